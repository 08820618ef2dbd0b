"""What was answered to which Idempotency-Key, and how much each API key asks."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from checkout.merchants.models import ApiKey


class IdempotencyRecord(models.Model):
    """One POST under one key: bound to method, path and body, with the bytes of its answer."""

    api_key = models.ForeignKey(ApiKey, models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body")
    status_code = models.PositiveSmallIntegerField(null=True, help_text="empty while the first call is being answered")
    body = models.BinaryField(default=bytes, help_text="sealed: an answer may hold a secret that is shown once")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("api_key", "key"), name="idempotency_key_once"),)

    def __str__(self) -> str:
        return self.key


class Share(models.Model):
    """How many requests of one kind an API key was allowed in the present minute."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=5)
    minute = models.PositiveBigIntegerField(help_text="since 1970")
    taken = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("api_key", "kind"), name="api_share_once"),)

    def __str__(self) -> str:
        return f"{self.taken} {self.kind}"
