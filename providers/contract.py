"""What a provider is to us: read this first.

A provider is a translator. It turns our words into its own and its own into ours, and decides nothing: it never sees a
model, a request or a setting, and it keeps no state of ours. Whatever it learns (from the answer to our own call, from
a fetch, from a webhook) becomes a *report*: what is true now, amounts as running totals. One function in
``checkout.orders`` applies every report.

To add a provider: a folder ``providers/<slug>/`` whose package exports ``Provider`` (a subclass of the class below) and
``Config`` (a frozen dataclass whose fields are its credentials), and its tests. Nothing else changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from providers.money import Money

if TYPE_CHECKING:
    from providers.http import Http

# --------------------------------------------------------------------------------------------------------------- words


class Status(StrEnum):
    """A payment's ladder. It only climbs; see ``checkout.orders.transitions`` for the ranks."""

    CREATED = "created"
    PENDING = "pending"
    AUTHORISED = "authorised"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    CAPTURED = "captured"


class OperationStatus(StrEnum):
    """The ladder of a capture, a refund or a cancellation."""

    CREATED = "created"
    SENT = "sent"
    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    REVERSED = "reversed"


class Capability(StrEnum):
    """What a provider can do beyond starting and fetching a payment. Pages and desk ask for these, never for a name.

    The first group has a method of the same name, declared exactly when it is overridden; the second is behaviour.
    """

    SUBMIT_CODE = "submit_code"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    FETCH_REFUND = "fetch_refund"
    UPLOAD_TRACKING = "upload_tracking"

    PARTIAL_CAPTURE = "partial_capture"
    PARTIAL_REFUND = "partial_refund"
    SAVE_CARD = "save_card"
    PAY_WITH_TOKEN = "pay_with_token"  # noqa: S105 - a capability's name
    THREE_DS_WISH = "three_ds_wish"


OPERATIONS = frozenset(
    {
        Capability.SUBMIT_CODE,
        Capability.CAPTURE,
        Capability.CANCEL,
        Capability.REFUND,
        Capability.FETCH_REFUND,
        Capability.UPLOAD_TRACKING,
    }
)


class ThreeDSWish(StrEnum):
    """What the merchant would like; the provider may do otherwise, and its report says what happened."""

    DEFAULT = "default"
    FORCE = "force"
    SKIP = "skip"


class DeclineCategory(StrEnum):
    """Why a payment did not work, in the words the shopper's text is chosen by. Providers map their codes to these."""

    DECLINED = "declined"  # no usable reason; also what lost, stolen and suspected fraud look like to the shopper
    INSUFFICIENT_FUNDS = "insufficient_funds"
    LIMIT_EXCEEDED = "limit_exceeded"
    EXPIRED_CARD = "expired_card"
    INVALID_CARD = "invalid_card"
    WRONG_CODE = "wrong_code"
    NOT_PERMITTED = "not_permitted"
    CALL_ISSUER = "call_issuer"
    AUTHENTICATION_FAILED = "authentication_failed"
    AUTHENTICATION_REQUIRED = "authentication_required"
    FRAUD = "fraud"  # never shown as such: pages show DECLINED
    PROCESSING_ERROR = "processing_error"
    UNAVAILABLE = "unavailable"  # nothing was sent; another try or another method is safe
    ABANDONED = "abandoned"


# ---------------------------------------------------------------------------------------------------------- a question


@dataclass(frozen=True)
class Method:
    """One way to pay that a provider offers: what it needs and where it works."""

    code: str
    """Stable word, e.g. ``card`` (our own form), ``cashier`` (the provider's page)."""
    takes_card: bool = False
    """True when the shopper types a card into *our* page, so the request carries ``card``."""
    currencies: frozenset[str] | None = None
    """Currencies it can take; None for any."""
    minimum: int = 1
    """Smallest amount, in minor units."""
    maximum: int | None = None
    """Largest amount, in minor units; None for no limit."""


@dataclass(frozen=True, repr=False)
class Card:
    """A card as typed by the shopper. Lives in the memory of one request and nowhere else; its repr says nothing."""

    number: str
    expiry_month: int
    expiry_year: int
    """Four digits."""
    cvc: str
    holder: str = ""
    brand: str = ""
    """As recognised from the number, e.g. ``visa``."""

    def __repr__(self) -> str:
        return "Card(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a card is never pickled, so it cannot reach a queue, a cache or a session")


@dataclass(frozen=True)
class Customer:
    """Who pays, as far as the merchant or the browser told us; every field may be empty."""

    reference: str = ""
    email: str = ""
    name: str = ""
    phone: str = ""
    ip: str = ""
    user_agent: str = ""
    accept_language: str = ""


@dataclass(frozen=True)
class Address:
    """A postal address; ``country`` is ISO 3166 alpha-2."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postcode: str = ""
    country: str = ""


@dataclass(frozen=True)
class Item:
    """One line of an order; ``unit_amount`` in minor units of the order's currency."""

    name: str
    quantity: int
    unit_amount: int
    sku: str = ""


@dataclass(frozen=True, kw_only=True)
class PaymentRequest:
    """One attempt to pay. ``reference`` is ours, unique for ever, and the idempotency key of the attempt."""

    reference: str
    amount: Money
    method: str
    description: str
    return_url: str
    """Where the provider sends the browser, whatever the outcome. It proves nothing."""
    webhook_url: str
    expires_in: int
    """Seconds for which the shopper can still pay."""
    locale: str = "en"
    """BCP 47."""
    capture: str = "automatic"
    """``automatic`` or ``manual``."""
    three_ds: ThreeDSWish = ThreeDSWish.DEFAULT
    card: Card | None = None
    store_card: bool = False
    """True only after recorded consent."""
    token: str = field(default="", repr=False)
    """A saved card's token at this provider; empty unless one is used."""
    customer: Customer = Customer()
    billing: Address | None = None
    shipping: Address | None = None
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PaymentRef:
    """Points at one payment: our reference, theirs (empty while unknown) and what it is for."""

    reference: str
    amount: Money
    provider_reference: str = ""
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class OperationRequest:
    """A capture, cancellation or refund. ``reference`` is ours and is reused on every retry."""

    reference: str
    payment: PaymentRef
    amount: Money
    reason: str = ""
    customer_ip: str = ""
    provider_reference: str = ""
    """Theirs for this operation, empty while unknown."""

    def report(self, status: OperationStatus, **facts: Any) -> OperationReport:
        """A report on this very operation."""
        return OperationReport(reference=self.reference, payment=self.payment, status=status, **facts)


CaptureRequest: TypeAlias = OperationRequest
CancelRequest: TypeAlias = OperationRequest
RefundRequest: TypeAlias = OperationRequest

# --------------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True)
class Redirect:
    """Send the browser there with a GET. The caller checks the host against the account's list."""

    url: str


@dataclass(frozen=True)
class PostForm:
    """Send the browser there with a form POST of ``fields``."""

    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class EnterCode:
    """Ask the shopper for a code that the provider sent by SMS; ``handle`` names the exchange to the provider."""

    handle: str = field(repr=False)
    sent_to: str = ""
    """Masked."""


@dataclass(frozen=True)
class ShowQr:
    """Show ``content`` as a QR code."""

    content: str


@dataclass(frozen=True)
class Wait:
    """Nothing for the shopper to do: news comes by webhook or fetch."""


Step = Redirect | PostForm | EnterCode | ShowQr | Wait

# ------------------------------------------------------------------------------------------------------------- reports


@dataclass(frozen=True)
class Decline:
    """Why it did not work: our category and the provider's own code (for the desk only)."""

    category: DeclineCategory
    code: str = ""


@dataclass(frozen=True)
class CardFacts:
    """What the provider says about the card; empty means that it says nothing."""

    brand: str = ""
    first6: str = ""
    last4: str = ""
    expiry_month: int | None = None
    expiry_year: int | None = None
    issuer: str = ""
    issuer_country: str = ""


@dataclass(frozen=True)
class ThreeDSFacts:
    """What really happened with 3-D Secure; empty or None means that the provider does not say."""

    enrolled: str = ""
    """``Y``, ``N`` or ``U``."""
    downgraded: bool | None = None
    """True: paid without full authentication."""
    upgrade_reason: str = ""
    eci: str = ""
    version: str = ""
    ds_transaction_id: str = ""


@dataclass(frozen=True, kw_only=True)
class PaymentReport:
    """What a provider says is true of one payment now. Amounts are running totals; None means that it does not say."""

    reference: str = ""
    provider_reference: str = ""
    status: Status | None = None
    """None: the provider's word does not end or advance anything (unknown word, or only facts)."""
    amount: Money | None = None
    """What the provider believes the payment is for. Another amount or currency than ours stops everything."""
    authorised: int | None = None
    captured: int | None = None
    refunded: int | None = None
    released: int | None = None
    decline: Decline | None = None
    card: CardFacts | None = None
    three_ds: ThreeDSFacts | None = None
    avs_result: str = ""
    cvc_result: str = ""
    token: str = field(default="", repr=False)
    """A reusable token for this card, when one was asked for."""
    review: str = ""
    """Set when the provider's own word needs a person: ``amount_differs``, ``contradictory``, …"""
    confirm: bool = False
    """Too weak to move money on: checked for mismatch, then confirmed by a fetch."""
    absent: bool = False
    """The provider does not know this payment (answer to a fetch)."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The provider's answer for the desk, already free of card data and secrets."""

    def __post_init__(self) -> None:
        if self.status is Status.CAPTURED and not self.captured:
            raise ValueError("a report of a captured payment says how much was captured")
        if self.status is Status.AUTHORISED and not self.authorised:
            raise ValueError("a report of an authorised payment says how much is held")


@dataclass(frozen=True, kw_only=True)
class OperationReport:
    """What a provider says is true of one capture, cancellation or refund now."""

    reference: str = ""
    provider_reference: str = ""
    payment: PaymentRef | None = None
    """Needed when nobody asked us for the operation: it was made in the provider's own dashboard."""
    operation: Capability | None = None
    """Which operation it is, likewise needed only then."""
    status: OperationStatus
    amount: Money | None = None
    error_code: str = ""
    absent: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


CaptureReport: TypeAlias = OperationReport
CancelReport: TypeAlias = OperationReport
RefundReport: TypeAlias = OperationReport


@dataclass(frozen=True, kw_only=True)
class DisputeReport:
    """A card scheme's dispute. A row of its own; it never changes a payment's status."""

    reference: str = ""
    """Our payment reference."""
    payment_provider_reference: str = ""
    provider_reference: str
    """Theirs for the dispute, stable over redeliveries."""
    stage: str = "received"
    category: str = ""
    reason_code: str = ""
    amount: Money | None = None
    respond_by: str = ""
    """ISO 8601 with zone, empty when not said."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class FraudReport:
    """A warning about a payment. A row of its own; it never changes a payment's status."""

    reference: str = ""
    payment_provider_reference: str = ""
    provider_reference: str
    """Theirs for the alert, stable over redeliveries."""
    code: str = ""
    summary: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Something may have changed, but this message is too weak to believe: fetch."""

    reference: str = ""
    provider_reference: str = ""
    why: str = ""


Report = PaymentReport | OperationReport | DisputeReport | FraudReport | Hint


@dataclass(frozen=True)
class Started:
    """The answer to ``start``: what is true now, and what the shopper does next."""

    report: PaymentReport
    step: Step


# ------------------------------------------------------------------------------------------------------------ webhooks


@dataclass(frozen=True)
class Delivery:
    """One webhook exactly as it arrived. ``headers`` are looked up without regard to case by ``header``."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The value of a header, or an empty string."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")

    @property
    def digest(self) -> str:
        """SHA-256 of the body, hex: what may be logged of it."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Reply:
    """The very answer that the sender waits for."""

    status: int
    body: bytes
    content_type: str = "text/plain"


# -------------------------------------------------------------------------------------------------------------- errors


class ProviderError(Exception):
    """We did not get a usable answer. A provider's *no* is not an error: it comes back in a report."""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The provider's own code or the kind of network failure; safe to log."""


class Unreachable(ProviderError):
    """They never acted: the connection was not made. Repeat with the same reference."""


class OutcomeUnknown(ProviderError):
    """They may have acted: time-out after sending, 5xx, unreadable answer. Fetch before anything else."""


class Rejected(ProviderError):
    """Our request or credentials are wrong. Stop, tell an operator, keep their code."""


class BadSignature(ProviderError):
    """Not from them. Refuse, log the digest, change nothing."""


class Unsupported(ProviderError):
    """This provider has no such operation; ``capabilities`` said so."""


# ---------------------------------------------------------------------------------------------------------- a provider


def secret(**kwargs: Any) -> Any:
    """A ``Config`` field that holds a secret: write-only in the desk, absent from every repr."""
    metadata = {**kwargs.pop("metadata", {}), "secret": True}
    return field(repr=False, metadata=metadata, **kwargs)


def is_secret(config_field: dataclasses.Field[Any]) -> bool:
    return bool(config_field.metadata.get("secret"))


class Provider(ABC):
    """One provider, configured for one account."""

    slug: ClassVar[str]
    name: ClassVar[str]
    """As people write it."""
    capabilities: ClassVar[frozenset[Capability]]
    methods: ClassVar[tuple[Method, ...]]
    session_seconds: ClassVar[tuple[int, int]] = (300, 7 * 24 * 3600)
    """The shortest and longest time a shopper can be given to pay, in seconds."""
    settling_seconds: ClassVar[int] = 60
    """How long after our call "I do not know this payment" is not yet believed."""
    redirect_hosts: ClassVar[tuple[str, ...]] = ()
    """Hosts (``example.com``, ``*.example.com``) that its redirects are known to lead to; an account adds its own."""

    def __init__(self, config: Any, http: Http) -> None:
        self.config = config
        self.http = http

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.slug}>"

    @abstractmethod
    def start(self, request: PaymentRequest) -> Started:
        """Ask for a payment. Raises Unreachable, OutcomeUnknown or Rejected."""

    @abstractmethod
    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """The truth now; ``absent`` when they do not know it. Raises Unreachable, OutcomeUnknown or Rejected."""

    @abstractmethod
    def verify_webhook(self, delivery: Delivery) -> str:
        """A stable id for this event, the same for each redelivery, at most 100 characters. Raises BadSignature."""

    @abstractmethod
    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        """What a verified delivery says. Pure. Nothing of interest: an empty list; too weak to trust: a Hint."""

    @abstractmethod
    def reply(self, *, accepted: bool) -> Reply:
        """What to answer to a delivery that was stored (accepted) or refused."""

    def submit_code(self, payment: PaymentRef, *, handle: str, code: str) -> Started:
        raise Unsupported(f"{self.slug} has no submit_code")

    def capture(self, request: CaptureRequest) -> CaptureReport:
        raise Unsupported(f"{self.slug} has no capture")

    def cancel(self, request: CancelRequest) -> CancelReport:
        raise Unsupported(f"{self.slug} has no cancel")

    def refund(self, request: RefundRequest) -> RefundReport:
        raise Unsupported(f"{self.slug} has no refund")

    def fetch_refund(self, request: RefundRequest) -> RefundReport:
        raise Unsupported(f"{self.slug} has no fetch_refund")

    def upload_tracking(self, request: Any) -> Any:
        raise Unsupported(f"{self.slug} has no upload_tracking")
