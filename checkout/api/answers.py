"""What a merchant gets back, described for OpenAPI. ``orders.presentation`` makes it; a test holds the two together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from checkout.api.bodies import ItemBody
from checkout.orders.actions import Verb
from checkout.orders.models import OrderStatus, Step
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

Minor = Field(description="minor units of the currency", examples=[1250], ge=0)
Decimal = Field(description="the same as a decimal", examples=["12.50"])
NextCursor = Field(description="ask with it for the next page; null on the last one")


class Answer(Schema):
    model_config = ConfigDict(extra="forbid")


class CardAnswer(Answer):
    """As much of a card as may be shown."""

    brand: str = Field(examples=["visa"])
    last4: str = Field(examples=["4242"])
    expiry: str = Field(description="MM/YYYY", examples=["12/2030"])


class DisputeAnswer(Answer):
    """Money that a card scheme may take back, or has taken."""

    id: str
    stage: str
    status: DisputeStatus
    category: str
    reason_code: str
    amount_minor: int | None
    respond_by: datetime | None


class OperationAnswer(Answer):
    """A capture, a refund or a release. Only ``succeeded`` moved money."""

    id: UUID
    payment: UUID
    order: UUID
    amount_minor: int = Minor
    amount: str = Decimal
    currency: str
    status: OperationStatus
    reason: str
    error_code: str | None = Field(description="the provider's own")
    created_at: datetime


class SavedCardAnswer(Answer):
    id: UUID
    customer: str
    brand: str
    last4: str
    expiry: str = Field(description="MM/YYYY")
    purpose: Purpose = Field(description="what the shopper agreed to")
    created_at: datetime


class CardsAnswer(Answer):
    cards: list[SavedCardAnswer]


class PaymentAnswer(Answer):
    """One attempt to pay the order."""

    id: UUID
    number: int = Field(description="1 for the first attempt", ge=1)
    provider: str = Field(examples=["acme"])
    method: str = Field(examples=["card"])
    status: Status
    awaits: Step | None = Field(description="what a pending payment waits for")
    decline_category: DeclineCategory | None = Field(description="why it did not work")
    decline_code: str | None = Field(description="the provider's own, for your staff and not for the shopper")
    card: CardAnswer | None
    three_ds: dict[str, Any] = Field(description="what was wished for, and what happened")
    capture_pending: bool = Field(description="held, and captured by the provider itself a little later")
    authorised_minor: int = Minor
    captured_minor: int = Minor
    refunded_minor: int = Minor
    disputes: list[DisputeAnswer]
    created_at: datetime


class UploadAnswer(Answer):
    """What became of telling a payment's provider about a parcel."""

    payment: UUID
    status: OperationStatus
    error_code: str | None


class ShipmentAnswer(Answer):
    id: UUID
    carrier: str
    number: str
    shipped_on: date
    direction: Direction
    status: ShipmentStatus
    url: str
    uploads: list[UploadAnswer]


class ActionAnswer(Answer):
    """Something that would be accepted now."""

    action: Verb
    payment: UUID | None = Field(description="the payment that it is about; null for the order")
    maximum_minor: int | None = Field(description="the largest amount, where one can be given")
    can_be_partial: bool


class OrderFacts(Answer):
    """An order without what hangs on it: read it alone for its payments, parcels and actions."""

    id: UUID
    url: str = Field(description="where it is paid", examples=["https://pay.example/pay/Jh3…"])
    mode: Literal["test", "live"]
    status: OrderStatus
    flags: list[str] = Field(examples=[["test"]])
    amount_minor: int = Minor
    amount: str = Decimal
    currency: str = Field(examples=["EUR"])
    authorised_minor: int = Minor
    captured_minor: int = Minor
    captured: str = Decimal
    refunded_minor: int = Minor
    refunded: str = Decimal
    reference: str = Field(examples=["cart-1001"])
    description: str
    items: list[ItemBody]
    metadata: dict[str, str]
    success_url: str
    cancel_url: str
    capture: Literal["automatic", "manual"]
    three_ds: ThreeDSWish
    created_at: datetime
    expires_at: datetime


class OrderAnswer(OrderFacts):
    """An order, whole and current: the same in answers and in events."""

    payments: list[PaymentAnswer]
    shipments: list[ShipmentAnswer]
    actions: list[ActionAnswer] = Field(description="what would be accepted now")


class OrdersAnswer(Answer):
    orders: list[OrderFacts]
    next_cursor: str | None = NextCursor


class PaymentsAnswer(Answer):
    payments: list[PaymentAnswer]


class CapturesAnswer(Answer):
    captures: list[OperationAnswer]


class RefundsAnswer(Answer):
    refunds: list[OperationAnswer]


class DisputeFacts(DisputeAnswer):
    order: UUID
    payment: UUID
    currency: str
    created_at: datetime


class DisputesAnswer(Answer):
    disputes: list[DisputeFacts]
    next_cursor: str | None = NextCursor


class EventFacts(Answer):
    """Something that happened to an order."""

    id: str = Field(examples=["evt_5d1f0c3a6f7b4c0e9d2a8b1c4e5f6a7b"])
    type: str = Field(examples=["payment.succeeded"])
    created_at: datetime
    sequence: int = Field(description="counts each order's events; a lower one is older news")
    mode: Literal["test", "live"]
    order: UUID
    payment_id: UUID | None
    detail: dict[str, Any]


class EventsAnswer(Answer):
    events: list[EventFacts]
    next_cursor: str | None = NextCursor


class EventData(Answer):
    order: OrderAnswer
    payment_id: UUID | None
    detail: dict[str, Any]


class EventAnswer(Answer):
    """An event as endpoints hear it."""

    id: str
    type: str
    created_at: datetime
    sequence: int
    mode: Literal["test", "live"]
    data: EventData


class EndpointAnswer(Answer):
    """A URL of yours that hears of events."""

    id: UUID
    url: str
    types: list[str] = Field(description="empty: all of them")
    enabled: bool
    disabled_why: str
    rotated_at: datetime | None = Field(description="when its secret was made anew")
    created_at: datetime


class NewEndpointAnswer(EndpointAnswer):
    secret: str = Field(description="shown this once")


class EndpointsAnswer(Answer):
    endpoints: list[EndpointAnswer]


class PingAnswer(Answer):
    is_success: bool
    answer_status: int | None = Field(description="null: there was no answer")
    answer: str = Field(description="its first 4 KB, or why there is none")
    latency_ms: int


class ReplayAnswer(Answer):
    queued: int
    is_complete: bool = Field(description="false: there is more; ask again")


class DeliveryAnswer(Answer):
    """One event for one endpoint, and how telling it goes."""

    event: str
    type: str
    order: UUID
    state: Literal["waiting", "delivered", "dead"]
    tries: int
    answer_status: int | None
    answer: str = Field(description="its first 4 KB, or why there is none")
    latency_ms: int | None
    sent_at: datetime | None
    next_try_at: datetime | None
    asked_by: str = Field(description="who had it sent again by hand; empty: nobody")


class DeliveriesAnswer(Answer):
    deliveries: list[DeliveryAnswer]
    next_cursor: str | None = NextCursor


class MerchantAnswer(Answer):
    slug: str
    name: str


class KeyAnswer(Answer):
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime


class AccountAnswer(Answer):
    name: str
    provider: str
    methods: list[str] = Field(description="ways to pay that it offers", examples=[["card"]])
    currencies: list[str] = Field(description="empty: all that the provider takes")


class MeAnswer(Answer):
    """Who this key is, and what can be done with it."""

    merchant: MerchantAnswer
    mode: Literal["test", "live"]
    key: KeyAnswer
    accounts: list[AccountAnswer]


class FieldError(Answer):
    field: str
    detail: str


class ProblemAnswer(Answer):
    """A refusal, as RFC 9457 has it. ``code`` is for programs and stays as it is; ``detail`` is for people."""

    type: str = Field(examples=["urn:paydesk:problem:invalid_field"])
    title: str
    status: int
    code: str = Field(examples=["invalid_field"])
    detail: str
    request_id: str
    field: str = Field("", description="what is wrong in the request")
    errors: list[FieldError] = []


def refusals(*status_codes: int) -> dict[int, type[ProblemAnswer]]:
    """Those that an operation can give; too many requests in a minute are refused everywhere."""
    return dict.fromkeys((*status_codes, 429), ProblemAnswer)


IDEMPOTENCY_KEY = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "required": False,
            "description": "The same key and the same request get the same answer for 24 hours, and act once.",
            "schema": {"type": "string", "maxLength": 255},
        }
    ]
}
