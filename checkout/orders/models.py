"""The core's tables: facts, constraints, questions. Statuses are written by ``transitions``, money by ``ledger``.

Amounts are integers in minor units of the order's currency. Constraints guard against our own mistakes; a provider's
fact that breaks our expectations is recorded all the same and opens a review.
"""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.tenancy import AppendOnly, TenantQuerySet, TenantRow
from providers.contract import (
    DeclineCategory,
    Direction,
    DisputeStatus,
    OperationStatus,
    Purpose,
    ShipmentStatus,
    Status,
    ThreeDSWish,
)
from providers.money import Money


def page_token() -> str:
    """256 random bits: whoever has them may see and pay the order."""
    return secrets.token_urlsafe(32)


def payment_reference() -> str:
    """Our name for one attempt, unique for ever: at most 32 letters and digits, as the strictest provider wants it."""
    return "P" + uuid.uuid4().hex[:25].upper()


def upload_reference() -> str:
    """Our name for one word about a parcel."""
    return "T" + uuid.uuid4().hex[:25].upper()


def operation_reference() -> str:
    """Our name for one capture, cancellation or refund."""
    return "R" + uuid.uuid4().hex[:25].upper()


class CaptureMode(models.TextChoices):
    AUTOMATIC = "automatic"
    MANUAL = "manual"


class OrderStatus(models.TextChoices):
    """Computed by ``status.order_status`` and cached; never set by hand."""

    OPEN = "open"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    NEEDS_REVIEW = "needs_review"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class Order(TenantRow):
    """One obligation: what a shopper owes a merchant for. Its amount and currency never change."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    page_token = models.CharField(max_length=64, default=page_token, unique=True, editable=False)
    reference = models.CharField(max_length=100, help_text="the merchant's own name for it")
    description = models.CharField(max_length=250, blank=True)
    amount = models.PositiveBigIntegerField(editable=False, help_text="in minor units")
    currency = models.CharField(max_length=3, editable=False)
    items = models.JSONField(default=list, blank=True, help_text="name, quantity, unit_amount (minor units), sku")
    customer = models.JSONField(default=dict, blank=True, help_text="reference, email, name, phone")
    billing = models.JSONField(default=dict, blank=True)
    shipping = models.JSONField(default=dict, blank=True)
    success_url = models.URLField(max_length=2000)
    cancel_url = models.URLField(max_length=2000)
    capture_mode = models.CharField(max_length=10, choices=CaptureMode.choices, default=CaptureMode.AUTOMATIC)
    three_ds = models.CharField(max_length=10, default=ThreeDSWish.DEFAULT)
    locale = models.CharField(max_length=20, blank=True, help_text="BCP 47; empty: the browser's")
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    expires_at = models.DateTimeField(editable=False)

    due_at = models.DateTimeField(null=True, editable=False, db_index=True, help_text="when the sweep looks at it")
    expired_at = models.DateTimeField(null=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, editable=False)
    status = models.CharField(max_length=20, choices=OrderStatus.choices, default=OrderStatus.OPEN, editable=False)
    flags = models.JSONField(default=list, editable=False)
    authorised_total = models.PositiveBigIntegerField(default=0, editable=False, help_text="held now, minor units")
    captured_total = models.PositiveBigIntegerField(default=0, editable=False, help_text="minor units")
    refunded_total = models.PositiveBigIntegerField(default=0, editable=False, help_text="minor units")
    last_seq = models.PositiveIntegerField(default=0, editable=False)

    objects = TenantQuerySet["Order"].as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(fields=("merchant", "mode", "-created_at", "-id"), name="order_tenant_newest"),
            models.Index(fields=("merchant", "mode", "status", "-created_at", "-id"), name="order_tenant_status"),
            models.Index(fields=("merchant", "mode", "reference"), name="order_tenant_reference"),
        )
        constraints = (models.CheckConstraint(condition=Q(amount__gt=0), name="order_amount_positive"),)

    def __str__(self) -> str:
        return f"{self.reference} ({self.money})"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def net(self) -> int:
        """Captured less refunded, in minor units."""
        return self.captured_total - self.refunded_total

    @property
    def is_final(self) -> bool:
        """No further attempt to pay will be made."""
        return self.status not in {OrderStatus.OPEN, OrderStatus.REQUIRES_ACTION, OrderStatus.PROCESSING}


class Step(models.TextChoices):
    """What a pending payment waits for."""

    NONE = "", "nothing"
    REDIRECT = "redirect"
    POST_FORM = "post_form"
    CODE = "code"
    QR = "qr"
    WAIT = "wait"
    ASK = "ask", "outcome unknown"


BLOCKING = Q(status=Status.CREATED) | Q(status=Status.PENDING, step__in=(Step.WAIT, Step.ASK))
"""Payments whose outcome is open in a way that forbids a second attempt."""


class Payment(TenantRow):
    """One attempt to pay one order through one provider. Another try is another row."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="payments")
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    number = models.PositiveSmallIntegerField(help_text="1 for the order's first attempt")
    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="payments")
    method = models.CharField(max_length=30)
    submission = models.CharField(max_length=64, help_text="the form it was sent by: one form, one payment")
    reference = models.CharField(max_length=32, default=payment_reference, unique=True, editable=False)
    provider_reference = models.CharField(max_length=100, blank=True, editable=False)
    amount = models.PositiveBigIntegerField(help_text="in minor units")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, default=Status.CREATED, editable=False)
    step = models.CharField(max_length=10, choices=Step.choices, blank=True, default=Step.NONE, editable=False)
    step_data = models.JSONField(default=dict, blank=True, editable=False)
    deadline = models.DateTimeField(null=True, editable=False, help_text="when the shopper's step is given up")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_at = models.DateTimeField(null=True, editable=False, help_text="when it left the waiting states")

    due_at = models.DateTimeField(null=True, editable=False, db_index=True, help_text="the next inquiry")
    inquiries = models.PositiveSmallIntegerField(default=0, editable=False, help_text="made since the schedule began")
    schedule_from = models.DateTimeField(default=timezone.now, editable=False)
    asked_at = models.DateTimeField(null=True, editable=False, help_text="the last inquiry")
    answered_at = models.DateTimeField(null=True, editable=False, help_text="the last inquiry that got an answer")

    decline_category = models.CharField(max_length=30, blank=True, editable=False)
    decline_code = models.CharField(max_length=60, blank=True, editable=False, help_text="the provider's, for the desk")
    payer = models.CharField(max_length=32, blank=True, editable=False, help_text="the shopper's name at the provider")
    with_card = models.BooleanField(
        default=False, editable=False, help_text="a card went out with the request, typed or saved"
    )
    saved_card = models.ForeignKey("SavedCard", models.PROTECT, null=True, editable=False, related_name="payments")
    consent = models.ForeignKey("Consent", models.PROTECT, null=True, editable=False, related_name="payments")
    shopper_is_away = models.BooleanField(default=False, editable=False, help_text="the merchant started it")
    code_tries = models.PositiveSmallIntegerField(default=0, editable=False, help_text="with the present code")
    card_brand = models.CharField(max_length=30, blank=True, editable=False)
    card_first6 = models.CharField(max_length=6, blank=True, editable=False)
    card_last4 = models.CharField(max_length=4, blank=True, editable=False)
    card_expiry = models.CharField(max_length=7, blank=True, editable=False, help_text="MM/YYYY")
    card_issuer = models.CharField(max_length=120, blank=True, editable=False)
    card_country = models.CharField(max_length=2, blank=True, editable=False)
    three_ds_wish = models.CharField(max_length=10, default=ThreeDSWish.DEFAULT, editable=False)
    three_ds = models.JSONField(default=dict, blank=True, editable=False, help_text="what really happened")
    avs_result = models.CharField(max_length=20, blank=True, editable=False)
    cvc_result = models.CharField(max_length=20, blank=True, editable=False)

    authorised_total = models.PositiveBigIntegerField(default=0, editable=False)
    released_total = models.PositiveBigIntegerField(default=0, editable=False)
    captured_total = models.PositiveBigIntegerField(default=0, editable=False)
    refunded_total = models.PositiveBigIntegerField(default=0, editable=False, help_text="ever refunded")
    reversed_total = models.PositiveBigIntegerField(default=0, editable=False, help_text="refunds that bounced")
    captures_reserved = models.PositiveBigIntegerField(default=0, editable=False, help_text="captures in flight")
    refunds_reserved = models.PositiveBigIntegerField(default=0, editable=False, help_text="refunds in flight")
    exceeds = models.BooleanField(
        default=False, editable=False, help_text="the provider reported more than should be possible"
    )

    objects = TenantQuerySet["Payment"].as_manager()

    class Meta:
        ordering = ("order", "number")
        constraints = (
            models.UniqueConstraint(fields=("order", "number"), name="payment_number_once"),
            models.UniqueConstraint(fields=("order", "submission"), name="payment_submission_once"),
            models.UniqueConstraint(fields=("order",), condition=BLOCKING, name="payment_one_open_outcome"),
            models.UniqueConstraint(
                fields=("account", "provider_reference"),
                condition=~Q(provider_reference=""),
                name="payment_provider_reference_once",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(
                condition=Q(exceeds=True)
                | Q(authorised_total__gte=F("captured_total") + F("captures_reserved") + F("released_total")),
                name="payment_captures_within_authorised",
            ),
            models.CheckConstraint(
                condition=Q(exceeds=True)
                | Q(captured_total__gte=F("refunded_total") - F("reversed_total") + F("refunds_reserved")),
                name="payment_refunds_within_captured",
            ),
        )

    def __str__(self) -> str:
        return self.reference

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_waiting(self) -> bool:
        return self.status in {Status.CREATED, Status.PENDING}

    @property
    def is_blocking(self) -> bool:
        """Its outcome is open in a way that forbids a second attempt."""
        return self.status == Status.CREATED or (self.status == Status.PENDING and self.step in {Step.WAIT, Step.ASK})

    @property
    def is_disputed(self) -> bool:
        """A scheme may take its money back, or has done so."""
        return self.disputes.exclude(status=DisputeStatus.WON).exists()

    @property
    def awaits_capture(self) -> bool:
        """Held by a provider that takes the money by itself a little later."""
        is_automatic = self.order.capture_mode == CaptureMode.AUTOMATIC
        return self.status == Status.AUTHORISED and is_automatic and self.held > 0

    @property
    def held(self) -> int:
        """Authorised and neither captured nor let go, minor units. A hold may come after we gave the attempt up."""
        return max(0, self.authorised_total - self.captured_total - self.released_total)

    @property
    def net(self) -> int:
        """Money that stayed, minor units."""
        return self.captured_total - self.refunded_total + self.reversed_total

    @property
    def refundable(self) -> int:
        """What can still be given back, minor units: refunds in flight are spoken for."""
        return max(0, self.net - self.refunds_reserved)

    @property
    def capturable(self) -> int:
        """What can still be captured, minor units: captures in flight are spoken for."""
        return max(0, self.held - self.captures_reserved)

    @property
    def shown_decline(self) -> str:
        """The category as the shopper may know it: suspicion of fraud looks like any decline."""
        if self.decline_category == DeclineCategory.FRAUD:
            return DeclineCategory.DECLINED
        return self.decline_category


class Source(models.TextChoices):
    """Who asked for an operation."""

    STAFF = "staff"
    API = "api"
    SYSTEM = "system"
    EXTERNAL = "external", "at the provider"


class Operation(TenantRow):
    """One intended effect on a payment. The row is saved before the call and keeps its reference on every retry."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="%(class)ss")
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    reference = models.CharField(max_length=32, default=operation_reference, unique=True, editable=False)
    provider_reference = models.CharField(max_length=100, blank=True, editable=False)
    amount = models.PositiveBigIntegerField(editable=False, help_text="in minor units")
    status = models.CharField(max_length=20, default=OperationStatus.CREATED, editable=False)
    source = models.CharField(max_length=10, choices=Source.choices)
    reason = models.CharField(max_length=200, blank=True)
    requested_by = models.CharField(max_length=80, blank=True, help_text="actor, e.g. staff:7 or key:sk_test_ab")
    requested_from = models.GenericIPAddressField(null=True, blank=True, editable=False)
    approved_by = models.CharField(max_length=80, blank=True)
    tries = models.PositiveSmallIntegerField(default=0, editable=False, help_text="calls made so far")
    unsent = models.BooleanField(default=False, editable=False, help_text="the last call certainly never arrived")
    due_at = models.DateTimeField(null=True, editable=False, db_index=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    error_code = models.CharField(max_length=60, blank=True, editable=False)

    objects = TenantQuerySet["Operation"].as_manager()

    class Meta:
        abstract = True
        ordering = ("pk",)
        constraints = (models.CheckConstraint(condition=Q(amount__gt=0), name="%(class)s_amount_positive"),)

    def __str__(self) -> str:
        return self.reference

    @property
    def is_in_flight(self) -> bool:
        """It may still have its effect, so its amount is spoken for."""
        return self.status in {OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING}


class Capture(Operation):
    """Take held money, whole or in part."""


class Refund(Operation):
    """Give captured money back, whole or in part."""


class Cancellation(Operation):
    """Let a hold go. Its amount is what was held when it was asked for."""


class EntryKind(models.TextChoices):
    AUTHORISED = "authorised"
    RELEASED = "released"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    REFUND_REVERSED = "refund_reversed"
    DISPUTED = "disputed"
    DISPUTE_RETURNED = "dispute_returned"


class LedgerEntry(AppendOnly):
    """One movement of money that a provider told us of. The folded entries are the truth; totals are a cache."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=20, choices=EntryKind.choices)
    amount = models.PositiveBigIntegerField(help_text="in minor units")
    currency = models.CharField(max_length=3)
    cause = models.CharField(max_length=120, help_text="what told us: webhook 12, fetch, refund R…")
    evidence = models.JSONField(default=dict, help_text="the provider's words, free of card data and secrets")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("pk",)
        constraints = (models.CheckConstraint(condition=Q(amount__gt=0), name="entry_amount_positive"),)

    def __str__(self) -> str:
        return f"{self.kind} {Money(self.amount, self.currency)}"


class Event(AppendOnly):
    """Something that happened to an order: its timeline, and the outbox to the merchant."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="events")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="events")
    public_id = models.UUIDField(default=uuid.uuid4, unique=True)
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    actor = models.CharField(max_length=80, help_text="system, shopper, provider, staff:7, key:sk_test_ab")
    cause = models.CharField(max_length=120)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("order", "seq")
        indexes = (models.Index(fields=("merchant", "mode", "-created_at", "-id"), name="event_tenant_newest"),)
        constraints = (models.UniqueConstraint(fields=("order", "seq"), name="event_seq_once"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Review(TenantRow):
    """Something only a person can decide. While one is open, its order needs review and no success is announced."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="reviews")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="reviews")
    kind = models.CharField(max_length=30, help_text="amount, currency, provider_reference, late, duplicate, …")
    ours = models.CharField(max_length=120, blank=True)
    theirs = models.CharField(max_length=120, blank=True)
    cause = models.CharField(max_length=120)
    opened_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=80, blank=True)
    resolution = models.CharField(max_length=250, blank=True)

    objects = TenantQuerySet["Review"].as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("order", "payment", "kind"), condition=Q(resolved_at__isnull=True), name="review_open_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind}: ours {self.ours}, theirs {self.theirs}"


class Dispute(TenantRow):
    """Money a card scheme may take back. A row of its own, never a payment's status."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes")
    provider_reference = models.CharField(max_length=100)
    stage = models.CharField(max_length=30)
    status = models.CharField(max_length=10, default=DisputeStatus.OPEN, editable=False)
    category = models.CharField(max_length=60, blank=True)
    reason_code = models.CharField(max_length=30, blank=True)
    amount = models.PositiveBigIntegerField(null=True, help_text="in minor units")
    respond_by = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = TenantQuerySet["Dispute"].as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (models.UniqueConstraint(fields=("payment", "provider_reference"), name="dispute_once"),)

    def __str__(self) -> str:
        return f"{self.category or 'dispute'} {self.provider_reference}"


class FraudAlert(TenantRow):
    """A provider's warning about a payment."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="fraud_alerts")
    provider_reference = models.CharField(max_length=100)
    code = models.CharField(max_length=60, blank=True)
    summary = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = TenantQuerySet["FraudAlert"].as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (models.UniqueConstraint(fields=("payment", "provider_reference"), name="fraud_alert_once"),)

    def __str__(self) -> str:
        return f"{self.code} {self.summary}"


class Consent(TenantRow):
    """A shopper's yes to keeping a card: which words, in which language, when and from where. Its end is kept too."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="consents")
    customer_reference = models.CharField(max_length=100)
    purpose = models.CharField(max_length=12, choices=[(one, one) for one in Purpose])
    wording = models.CharField(max_length=20, help_text="version of the sentence beside the box")
    language = models.CharField(max_length=20)
    ip = models.GenericIPAddressField(null=True)
    given_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = TenantQuerySet["Consent"].as_manager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.purpose} by {self.customer_reference}"


class SavedCard(TenantRow):
    """A card that a provider keeps for a merchant's customer. Its token opens only for this row."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="saved_cards")
    customer_reference = models.CharField(max_length=100)
    payer = models.CharField(max_length=32)
    consent = models.ForeignKey(Consent, models.PROTECT, related_name="cards")
    sealed_token = models.BinaryField(editable=False)
    token_digest = models.CharField(max_length=64, editable=False)
    brand = models.CharField(max_length=30, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    expiry = models.CharField(max_length=7, blank=True, help_text="MM/YYYY")
    currency = models.CharField(max_length=3, help_text="of the payment that it was saved with")
    created_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=80, blank=True)
    due_at = models.DateTimeField(null=True, db_index=True, help_text="when the provider is told to forget it")
    tries = models.PositiveSmallIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, help_text="when the provider had forgotten it")

    objects = TenantQuerySet["SavedCard"].as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("account", "customer_reference", "token_digest"),
                condition=Q(removed_at__isnull=True),
                name="saved_card_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}"


class Shipment(TenantRow):
    """A parcel of an order."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="shipments")
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    carrier = models.CharField(max_length=60)
    number = models.CharField(max_length=64)
    shipped_on = models.DateField()
    direction = models.CharField(max_length=10, choices=[(one, one) for one in Direction], default=Direction.FORWARD)
    status = models.CharField(max_length=10, default=ShipmentStatus.SHIPPED, editable=False)
    url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=80, blank=True)

    objects = TenantQuerySet["Shipment"].as_manager()

    class Meta:
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("order", "carrier", "number"), name="shipment_once"),)

    def __str__(self) -> str:
        return f"{self.carrier} {self.number}"


class TrackingUpload(TenantRow):
    """One word to a provider about a parcel, as it stood when it was asked for. The row precedes the call."""

    shipment = models.ForeignKey(Shipment, models.PROTECT, related_name="uploads")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="uploads")
    reference = models.CharField(max_length=32, default=upload_reference, unique=True, editable=False)
    status = models.CharField(max_length=20, default=OperationStatus.CREATED, editable=False)
    says = models.CharField(max_length=10, help_text="the parcel's status that the provider is told")
    is_change = models.BooleanField(default=False, help_text="of a parcel that the provider knows")
    requested_by = models.CharField(max_length=80, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, help_text="the last call that it was part of")
    due_at = models.DateTimeField(null=True, db_index=True)
    error_code = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = TenantQuerySet["TrackingUpload"].as_manager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.reference

    @property
    def is_in_flight(self) -> bool:
        return self.status in {OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING}


def scope_of(row: TenantRow) -> dict[str, Any]:
    """Merchant and mode for a child of ``row``: children are made with their parent's, so they cannot differ."""
    return {"merchant_id": row.merchant_id, "mode": row.mode}
