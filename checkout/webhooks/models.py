"""The inbox: what providers send, kept as received."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.sealing import seal, unseal
from checkout.tenancy import TenantQuerySet, TenantRow
from providers.contract import Delivery


class State(models.TextChoices):
    RECEIVED = "received"
    APPLIED = "applied"
    PARKED = "parked", "parked: about nothing we know yet, or not confirmed yet"
    DEAD = "dead", "given up: a person has to look"


class WebhookEvent(TenantRow):
    """One authentic delivery, stored before it is understood. A redelivery is the same row."""

    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="webhook_events")
    event_id = models.CharField(max_length=100)
    sealed_delivery = models.BinaryField(help_text="method, path, headers and exact body")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the body")
    source_ip = models.GenericIPAddressField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    outcome = models.CharField(max_length=200, blank=True, help_text="what applying it came to")
    copies = models.PositiveIntegerField(default=0, help_text="redeliveries of the same event")
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, db_index=True)
    received_at = models.DateTimeField(default=timezone.now)

    objects = TenantQuerySet["WebhookEvent"].as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (models.UniqueConstraint(fields=("account", "event_id"), name="webhook_event_once"),)

    def __str__(self) -> str:
        return f"{self.account.provider} {self.event_id}"

    @staticmethod
    def sealed(account: ProviderAccount, event_id: str, delivery: Delivery) -> bytes:
        text = json.dumps(
            [delivery.method, delivery.path, dict(delivery.headers), delivery.body.decode("utf-8", "surrogateescape")]
        )
        return seal(text, context=f"webhook_event:{account.pk}:{event_id}")

    @property
    def delivery(self) -> Delivery:
        """The delivery exactly as it arrived. Raises SealBroken."""
        opened: list[Any] = json.loads(
            unseal(self.sealed_delivery, context=f"webhook_event:{self.account_id}:{self.event_id}")
        )
        method, path, headers, body = opened
        return Delivery(method, path, headers, body.encode("utf-8", "surrogateescape"))


class RefusedDeliveries(models.Model):
    """How many deliveries to an account were refused on a day, and why; nothing of them is kept."""

    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="refused_deliveries")
    day = models.DateField()
    reason = models.CharField(max_length=30)
    count = models.PositiveIntegerField(default=0)
    last_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the latest body")
    last_at = models.DateTimeField()

    class Meta:
        ordering = ("-day", "account")
        constraints = (models.UniqueConstraint(fields=("account", "day", "reason"), name="refused_once_a_day"),)
        verbose_name_plural = "refused deliveries"

    def __str__(self) -> str:
        return f"{self.day} {self.reason}: {self.count}"
