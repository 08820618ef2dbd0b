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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
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
    LOOK_UP_CARD = "look_up_card"
    REMOVE_CARD = "remove_card"
    SUBSCRIBE = "subscribe"

    PARTIAL_CAPTURE = "partial_capture"
    """Less than the hold may be captured."""
    MULTIPLE_CAPTURE = "multiple_capture"
    """A hold may be captured in several parts. Without it, what the first capture leaves is let go."""
    PARTIAL_REFUND = "partial_refund"
    CLOSE_UNPAID = "close_unpaid"
    """``cancel`` also closes a payment that nobody has paid yet, so that no money can come any more."""
    SAVE_CARD = "save_card"
    PAY_WITH_TOKEN = "pay_with_token"  # noqa: S105 - a capability's name
    TOKEN_KEEPS_CURRENCY = "token_keeps_currency"  # noqa: S105 - likewise
    """A saved card pays only in the currency of the payment that it was saved with."""
    MERCHANT_INITIATED = "merchant_initiated"
    """A saved card may be charged while the shopper is away."""
    THREE_DS_WISH = "three_ds_wish"
    EXTERNAL_THREE_DS = "external_three_ds"
    """Takes the result of a 3-D Secure run that somebody else did."""


OPERATIONS = frozenset(
    {
        Capability.SUBMIT_CODE,
        Capability.CAPTURE,
        Capability.CANCEL,
        Capability.REFUND,
        Capability.FETCH_REFUND,
        Capability.UPLOAD_TRACKING,
        Capability.LOOK_UP_CARD,
        Capability.REMOVE_CARD,
        Capability.SUBSCRIBE,
    }
)


class ThreeDSWish(StrEnum):
    """What the merchant would like; the provider may do otherwise, and its report says what happened."""

    DEFAULT = "default"
    FORCE = "force"
    SKIP = "skip"


class CardField(StrEnum):
    """What a card form can ask for beside the number."""

    HOLDER = "holder"
    EXPIRY = "expiry"
    CVC = "cvc"
    ID_NUMBER = "id_number"
    """Of the holder's identity document."""
    PHONE = "phone"
    """As the bank knows it."""


class LeadsTo(StrEnum):
    """What the shopper meets after choosing a method: a word on it is shown before."""

    RESULT = "result"
    """Nothing in between, or a check by the bank."""
    PAGE = "page"
    """The provider's own page."""
    QR = "qr"
    CODE = "code"
    """A code by SMS."""


class Purpose(StrEnum):
    """What a card is saved for, and why it is charged while the shopper is away."""

    RECURRING = "recurring"
    INSTALMENT = "instalment"
    UNSCHEDULED = "unscheduled"


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
    name: str = ""
    """A brand's name as people write it, e.g. ``WeChat Pay``; empty where the code says it all."""
    leads_to: LeadsTo = LeadsTo.PAGE
    takes_card: bool = False
    """True when the shopper types a card into *our* page, so the request carries ``card``."""
    required: frozenset[CardField] = frozenset({CardField.HOLDER, CardField.EXPIRY, CardField.CVC})
    """What the card form insists on, beside the number."""
    optional: frozenset[CardField] = frozenset()
    """What it asks for and can do without: some cards have it."""
    brands: frozenset[str] = frozenset()
    """Card brands that it takes, as ``Card.brand`` names them; empty for all that the form knows."""
    currencies: frozenset[str] | None = None
    """Currencies it can take; None for any."""
    minimum: int = 1
    """Smallest amount, in minor units."""
    maximum: int | None = None
    """Largest amount, in minor units; None for no limit."""
    can_hold: bool = True
    """Whether the money can be held and captured later, where the provider can capture at all."""
    opt_in: bool = False
    """Offered only by accounts that name it: most are not enabled for it."""


@dataclass(frozen=True, repr=False)
class Card:
    """A card as typed by the shopper. Lives in the memory of one request and nowhere else; its repr says nothing."""

    number: str
    expiry_month: int
    """0 when the form did not insist on it."""
    expiry_year: int
    """Four digits; 0 like the month."""
    cvc: str
    """Empty when the form did not insist on it."""
    holder: str = ""
    brand: str = ""
    """As recognised from the number, e.g. ``visa``."""
    id_number: str = ""
    """Of the holder's identity card, where the method asks for it. As secret as the number."""
    phone: str = ""
    """The holder's, as the bank knows it, where the method asks for it."""

    def __repr__(self) -> str:
        return "Card(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a card is never pickled, so it cannot reach a queue, a cache or a session")


@dataclass(frozen=True)
class StoredCard:
    """A card that the provider keeps for the shopper, as a request to pay with it needs it."""

    token: str = field(repr=False)
    """The provider's word for it."""
    expiry_month: int = 0
    expiry_year: int = 0
    """Four digits; 0 when the provider never said."""
    currency: str = ""
    """Of the payment that it was saved with."""
    network_transaction_id: str = field(default="", repr=False)
    """Of the payment that it was saved with, as far as the provider told it."""
    cvc: str = field(default="", repr=False)
    """Typed anew for this payment; never kept."""


@dataclass(frozen=True)
class Customer:
    """Who pays, as far as the merchant told us; every field may be empty."""

    reference: str = ""
    email: str = ""
    name: str = ""
    phone: str = ""
    ip: str = ""
    """Of the shopper's browser."""
    since: datetime | None = None
    """When the merchant first knew this customer, or None."""


@dataclass(frozen=True)
class Browser:
    """What the shopper's browser said of itself. Without JavaScript, the numbers are None."""

    user_agent: str = ""
    accept: str = ""
    accept_language: str = ""
    is_mobile: bool = False
    javascript: bool = False
    java: bool = False
    color_depth: int | None = None
    screen_width: int | None = None
    screen_height: int | None = None
    time_zone_offset: int | None = None
    """Minutes by which UTC is ahead, as ``Date.getTimezoneOffset`` counts: -60 in Berlin in winter."""


@dataclass(frozen=True)
class ExternalThreeDS:
    """The result of a 3-D Secure run that the merchant did elsewhere."""

    version: str
    eci: str
    cavv: str = field(repr=False)
    ds_transaction_id: str = ""
    status: str = "Y"
    """The scheme's letter: Y, A, N, U, C or R."""
    xid: str = ""


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
    created_at: datetime | None = None
    """When the attempt was made, with zone. The same on every later word about it."""
    order_reference: str = ""
    """Ours for the order: the same for every attempt to pay it."""
    payer: str = ""
    """Ours for the shopper at this account, at most 32 letters and digits; a guest has one for each order."""
    capture: str = "automatic"
    """``automatic`` or ``manual``."""
    three_ds: ThreeDSWish = ThreeDSWish.DEFAULT
    external_three_ds: ExternalThreeDS | None = None
    card: Card | None = None
    store_card: bool = False
    """True only after recorded consent."""
    stored: StoredCard | None = None
    """The saved card to pay with."""
    purpose: Purpose = Purpose.UNSCHEDULED
    """What the card is stored for, or why it is charged now."""
    shopper_is_away: bool = False
    """True: the merchant charges a saved card by itself, so no step can be asked of anybody."""
    customer: Customer = Customer()
    browser: Browser = Browser()
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
    capture: str = "automatic"
    """``automatic`` or ``manual``, as it was started."""
    created_at: datetime | None = None
    payer: str = ""
    captured: int = 0
    """What we captured and are capturing, minor units: some providers say *that* money was taken but not how much."""


@dataclass(frozen=True, kw_only=True)
class OperationRequest:
    """A capture, cancellation or refund. ``reference`` is ours and is reused on every retry."""

    reference: str
    payment: PaymentRef
    amount: Money
    reason: str = ""
    requested_from: str = ""
    """IP address of whoever asked for it; empty when nobody did."""
    created_at: datetime | None = None
    """When it was asked for, with zone."""
    webhook_url: str = ""
    provider_reference: str = ""
    """Theirs for this operation, empty while unknown."""

    def report(self, status: OperationStatus, **facts: Any) -> OperationReport:
        """A report on this very operation."""
        return OperationReport(reference=self.reference, payment=self.payment, status=status, **facts)


CaptureRequest: TypeAlias = OperationRequest
CancelRequest: TypeAlias = OperationRequest
RefundRequest: TypeAlias = OperationRequest


class Direction(StrEnum):
    FORWARD = "forward"
    RETURN = "return"


class ShipmentStatus(StrEnum):
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class TrackingRequest:
    """One parcel that the provider is to be told of, or told anew. ``reference`` is ours, and reused on every retry."""

    reference: str
    payment: PaymentRef
    carrier: str
    """The provider's carrier code."""
    number: str
    shipped_on: date
    direction: Direction = Direction.FORWARD
    status: ShipmentStatus = ShipmentStatus.SHIPPED
    url: str = ""
    is_known: bool = False
    """They accepted this parcel before: change what they have."""

    def report(self, status: OperationStatus, **facts: Any) -> TrackingReport:
        return TrackingReport(reference=self.reference, status=status, **facts)


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


class CodeProblem(StrEnum):
    """What was wrong with the code that the shopper entered."""

    WRONG = "wrong"
    """Try again with the same one."""
    EXPIRED = "expired"
    LOCKED = "locked"
    """Too many wrong codes, or the exchange is over: only another attempt to pay brings another code."""
    ANOTHER = "another"
    """It was right; the provider has sent a further one and asks for that."""


@dataclass(frozen=True)
class EnterCode:
    """Ask the shopper for a code that the provider sent by SMS; ``handle`` names the exchange to the provider.

    After a code that is EXPIRED or LOCKED the handle is of no more use, and may be empty.
    """

    handle: str = field(repr=False)
    sent_to: str = ""
    """Masked."""
    problem: CodeProblem | None = None


@dataclass(frozen=True)
class ShowQr:
    """Show ``content`` as a QR code."""

    content: str
    seconds: int | None = None
    """For how long it can be scanned, if the provider says."""


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
    funding: str = ""
    """``credit``, ``debit`` or ``prepaid``."""
    fingerprint: str = field(default="", repr=False)
    """The same for the same number, if the provider has such a thing."""


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
    status: str = ""
    """The scheme's letter: Y, A, N, U, C or R."""
    liability_shifted: bool | None = None
    flow: str = ""
    """``none``, ``frictionless``, ``challenge`` or ``external``."""


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
    network_transaction_id: str = field(default="", repr=False)
    """The card scheme's name for this payment: later ones without the shopper refer to it."""
    review: str = ""
    """Set when the provider's own word needs a person: ``amount_differs``, ``contradictory``, …"""
    confirm: bool = False
    """Too weak to move money on: checked for mismatch, then confirmed by a fetch (an answer of ours: at once)."""
    absent: bool = False
    """The provider does not know this payment (answer to a fetch)."""
    awaits_shopper: bool = False
    """Nothing is under way at the provider: it waits for the shopper, to enter a code for instance."""
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
class TrackingReport:
    """What a provider says of one parcel: SUCCEEDED (they have it), FAILED, or PENDING."""

    reference: str
    status: OperationStatus
    error_code: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class DisputeStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    """The merchant keeps the money."""
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class DisputeReport:
    """A card scheme's dispute. A row of its own; it never changes a payment's status."""

    reference: str = ""
    """Our payment reference."""
    payment_provider_reference: str = ""
    provider_reference: str
    """Theirs for the dispute, stable over redeliveries."""
    stage: str = "received"
    status: DisputeStatus = DisputeStatus.OPEN
    category: str = ""
    reason_code: str = ""
    amount: Money | None = None
    """In dispute, or, once lost, taken back."""
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
    operation_reference: str = ""
    """Ours, if it is a capture, cancellation or refund that something happened to."""
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
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subscription:
    """Where the provider sends webhooks from now on."""

    url: str
    status: str = ""
    """The provider's word."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields of ``Config`` that it handed out anew, e.g. a secret for signatures."""


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


def public_key(**kwargs: Any) -> Any:
    """A ``Config`` field that holds a public key: shown, and typed into a large box."""
    metadata = {**kwargs.pop("metadata", {}), "multiline": True}
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
    tracking_batch: ClassVar[int] = 1
    """How many parcels ``upload_tracking`` takes at once."""
    carriers: ClassVar[tuple[str, ...]] = ()
    """Carrier codes that it is known to take; others may work too."""
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
        """Hand in the code from the shopper's SMS. A wrong one is an ``EnterCode`` step with its problem."""
        raise Unsupported(f"{self.slug} has no submit_code")

    def capture(self, request: CaptureRequest) -> CaptureReport:
        """Take held money. Sent again with the same reference, it takes nothing twice."""
        raise Unsupported(f"{self.slug} has no capture")

    def cancel(self, request: CancelRequest) -> CancelReport:
        """Let a hold go; with ``CLOSE_UNPAID``, also close a payment that is still open."""
        raise Unsupported(f"{self.slug} has no cancel")

    def refund(self, request: RefundRequest) -> RefundReport:
        """Give captured money back. Sent again with the same reference, it gives nothing back twice."""
        raise Unsupported(f"{self.slug} has no refund")

    def fetch_refund(self, request: RefundRequest) -> RefundReport:
        """The truth about one refund now; ``absent`` when they do not know it."""
        raise Unsupported(f"{self.slug} has no fetch_refund")

    def upload_tracking(self, requests: Sequence[TrackingRequest]) -> list[TrackingReport]:
        """Tell of at most ``tracking_batch`` parcels: a report for each, in the same order."""
        raise Unsupported(f"{self.slug} has no upload_tracking")

    def look_up_card(self, card: Card) -> CardFacts | None:
        """What the number alone tells: issuer, debit or credit. None when they do not know it. Moves nothing."""
        raise Unsupported(f"{self.slug} has no look_up_card")

    def remove_card(self, stored: StoredCard, *, payer: str) -> None:
        """Have the provider forget a saved card. Quiet when it has no such card any more."""
        raise Unsupported(f"{self.slug} has no remove_card")

    def subscribe(self, url: str) -> Subscription:
        """Have webhooks sent to ``url``."""
        raise Unsupported(f"{self.slug} has no subscribe")
