"""Tenants: who uses Paydesk, who works there, which keys and which provider accounts are theirs."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from checkout.sealing import seal, unseal
from checkout.tenancy import Mode, TenantQuerySet, TenantRow


class LateMoney(models.TextChoices):
    """What happens with money that arrives after an order expired or was cancelled."""

    ACCEPT = "accept"
    HOLD = "hold"
    REFUND = "refund"


class DuplicateMoney(models.TextChoices):
    """What happens when two payments of one order both bring money."""

    HOLD = "hold"
    GIVE_BACK = "give_back"


class Merchant(models.Model):
    """A tenant. Rows of one merchant are never visible to another."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    support_email = models.EmailField(blank=True)
    accent_colour = models.CharField(max_length=7, blank=True, help_text="#rrggbb; empty for the default")
    locale = models.CharField(max_length=20, default="en", help_text="BCP 47, used when nothing else says")
    zone = models.CharField(max_length=50, default="UTC", help_text="IANA time zone that the desk shows times in")
    return_hosts = models.JSONField(
        default=list, blank=True, help_text="hosts that success and cancel URLs may lead to; empty for any"
    )
    late_money = models.CharField(max_length=10, choices=LateMoney.choices, default=LateMoney.ACCEPT)
    duplicate_money = models.CharField(max_length=10, choices=DuplicateMoney.choices, default=DuplicateMoney.HOLD)
    try_limit = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(20)], help_text="attempts to pay one order"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner"
    FINANCE = "finance"
    SUPPORT = "support"
    SHIPPING = "shipping"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Member(models.Model):
    """A person who works for a merchant, and as what."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="members")
    role = models.CharField(max_length=10, choices=Role.choices)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "merchant"), name="member_once"),)

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Scope(models.TextChoices):
    READ = "read"
    ORDERS = "orders:write"
    CAPTURES = "captures:write"
    REFUNDS = "refunds:write"
    CARDS = "cards:write"
    """Charge and remove saved cards."""
    SHIPMENTS = "shipments:write"
    ENDPOINTS = "endpoints:write"
    """Say where events are sent, and have them sent again."""


class ApiKey(TenantRow):
    """A merchant's key to the API. Only its hash is kept: 256 random bits need no slow hash."""

    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=20, editable=False, help_text="its first characters, to tell keys apart")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantQuerySet["ApiKey"].as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, merchant: Merchant, mode: str, *, name: str, scopes: list[str] | None = None) -> tuple[ApiKey, str]:
        """Make a key; the text in the answer is shown once and cannot be had again."""
        text = f"sk_{mode}_{secrets.token_urlsafe(32)}"
        key = cls.objects.create(
            merchant=merchant,
            mode=mode,
            name=name,
            prefix=text[:14],
            digest=cls.digest_of(text),
            scopes=scopes if scopes is not None else list(Scope.values),
        )
        return key, text

    @classmethod
    def find(cls, text: str) -> ApiKey | None:
        """The live row behind a presented key; None when unknown or revoked."""
        return (
            cls.objects.select_related("merchant").filter(digest=cls.digest_of(text), revoked_at__isnull=True).first()
        )

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


class ProviderAccount(TenantRow):
    """A merchant's account at one provider: what a payment points to."""

    name = models.CharField(max_length=80)
    provider = models.SlugField()  # no choices: a new provider must not need a migration
    base_url = models.URLField(help_text="where the provider's API is; the simulator's in test mode, if wanted")
    webhook_id = models.UUIDField(
        default=uuid.uuid4, unique=True, editable=False, help_text="the secret part of its webhook URL"
    )
    sealed_credentials = models.BinaryField(default=bytes, editable=False)
    methods = models.JSONField(default=list, blank=True, help_text="offered methods; empty for all the provider has")
    currencies = models.JSONField(default=list, blank=True, help_text="ISO 4217 codes; empty for all")
    minimum_minor = models.PositiveBigIntegerField(null=True, blank=True, help_text="smallest amount, minor units")
    maximum_minor = models.PositiveBigIntegerField(null=True, blank=True, help_text="largest amount, minor units")
    redirect_hosts = models.JSONField(
        default=list, blank=True, help_text="further hosts that shoppers may be sent to, e.g. *.example.com"
    )
    priority = models.SmallIntegerField(default=0, help_text="higher comes first")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet["ProviderAccount"].as_manager()

    class Meta:
        ordering = ("-priority", "pk")

    def __str__(self) -> str:
        return f"{self.name} ({self.mode})"

    @property
    def credentials(self) -> dict[str, str]:
        """The opened credentials, for the gateway only. Raises SealBroken."""
        if not self.sealed_credentials:
            return {}
        opened: dict[str, str] = json.loads(unseal(self.sealed_credentials, context=self._context))
        return opened

    def set_credentials(self, values: Mapping[str, Any]) -> None:
        """Seal ``values``; the caller saves."""
        self.sealed_credentials = seal(json.dumps(dict(values)), context=self._context)

    @property
    def _context(self) -> str:
        return f"provider_account:{self.webhook_id}"

    @property
    def is_live(self) -> bool:
        return self.mode == Mode.LIVE
