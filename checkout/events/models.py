"""The outbox: where merchants want to hear of events, and every attempt to tell them."""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone

from checkout.merchants.models import Merchant
from checkout.orders.models import Event
from checkout.sealing import seal, unseal
from checkout.tenancy import TenantQuerySet, TenantRow

ROTATION = timedelta(hours=24)
"""How long a replaced secret goes on signing beside the new one."""


class Endpoint(TenantRow):
    """A merchant's URL that hears of events."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    url = models.URLField(max_length=500)
    types = models.JSONField(default=list, blank=True, help_text="event types to send; empty for all")
    enabled = models.BooleanField(default=True)
    rests_until = models.DateTimeField(
        null=True, editable=False, help_text="it took long; others come first until then"
    )
    disabled_why = models.CharField(max_length=100, blank=True, editable=False)
    sealed_secret = models.BinaryField(editable=False)
    sealed_previous = models.BinaryField(null=True, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False, help_text="it hears of nothing ever after")

    objects = TenantQuerySet["Endpoint"].as_manager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.url

    @classmethod
    def create_for(
        cls, merchant: Merchant, mode: str, *, url: str, types: list[str] | None = None
    ) -> tuple[Endpoint, str]:
        """A new endpoint and its secret, which is shown once."""
        endpoint = cls(merchant=merchant, mode=mode, url=url, types=types or [])
        text = new_secret()
        endpoint.sealed_secret = seal(text, context=endpoint._context)
        endpoint.save()
        return endpoint, text

    def rotate(self) -> str:
        """A new secret, shown once; the old one signs too for a day."""
        text = new_secret()
        self.sealed_previous, self.rotated_at = self.sealed_secret, timezone.now()
        self.sealed_secret = seal(text, context=self._context)
        self.save(update_fields=("sealed_secret", "sealed_previous", "rotated_at"))
        return text

    @property
    def secrets(self) -> list[str]:
        """What signs now, the newest first. Raises SealBroken."""
        sealed = [self.sealed_secret]
        if self.sealed_previous and self.rotated_at and timezone.now() - self.rotated_at < ROTATION:
            sealed.append(self.sealed_previous)
        return [unseal(one, context=self._context) for one in sealed]

    def end(self) -> None:
        """No more events, and no way back; its log stays. Twice is as good as once."""
        if self.ended_at is None:
            self.ended_at, self.enabled, self.disabled_why = timezone.now(), False, "it was removed"
            self.save(update_fields=("ended_at", "enabled", "disabled_why"))

    def wants(self, event_type: str) -> bool:
        return self.enabled and self.ended_at is None and (not self.types or event_type in self.types)

    @property
    def _context(self) -> str:
        return f"endpoint:{self.public_id}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead", "given up"


class Delivery(TenantRow):
    """One event for one endpoint, and how telling it goes."""

    event = models.ForeignKey(Event, models.PROTECT, related_name="deliveries")
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    body = models.TextField(blank=True, help_text="what is sent, fixed at the first attempt")
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, db_index=True)
    asked_by = models.CharField(max_length=80, blank=True, help_text="who had it sent again by hand")
    answer_status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, help_text="its first 4 KB, or why there is none")
    latency_ms = models.PositiveIntegerField(null=True)
    sent_at = models.DateTimeField(null=True)

    objects = TenantQuerySet["Delivery"].as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "deliveries"
        constraints = (models.UniqueConstraint(fields=("event", "endpoint"), name="delivery_once"),)

    def __str__(self) -> str:
        return f"{self.event.type} to {self.endpoint.url}"


def new_secret() -> str:
    """192 random bits in the form that Standard Webhooks prescribes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
