"""What belongs to the installation and to no merchant."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """A worker's last sign of life."""

    name = models.CharField(max_length=20, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at}"
