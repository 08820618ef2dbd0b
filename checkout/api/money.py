"""Captures, refunds, releases and charges: the intent is saved and answered for; what becomes of it is told by events.

No provider is called for the first three before the answer: the row and the answer to its Idempotency-Key are committed
together, so neither a crash nor a repetition can move money twice.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Query, Router
from pydantic import Field

from checkout.api import idempotency
from checkout.api.access import BearerKey, actor_of, find, ip_of, key_of
from checkout.api.answers import (
    IDEMPOTENCY_KEY,
    CapturesAnswer,
    DisputesAnswer,
    OperationAnswer,
    PaymentAnswer,
    PaymentsAnswer,
    RefundsAnswer,
    refusals,
)
from checkout.api.bodies import Body, Note
from checkout.api.orders import order_of
from checkout.api.paging import PageQuestion, page
from checkout.api.problems import Problem
from checkout.merchants.models import ApiKey, Scope
from checkout.orders import intents, operations
from checkout.orders.apply import locked
from checkout.orders.models import Capture, Dispute, Operation, Order, Payment, Refund, SavedCard, Source
from checkout.orders.presentation import dispute_object, operation_object, payment_object, timestamp
from providers.contract import DisputeStatus, Purpose

router = Router()

Minor = Annotated[int, Field(ge=1, le=10**15, description="minor units; left out: all that remains")]
Expected = Annotated[int, Field(ge=0, le=10**15, description="refuse with 409 unless this much remains")]
TO_WRITE = refusals(400, 401, 403, 404, 409, 413, 415, 422)


class CaptureBody(Body):
    amount_minor: Minor | None = None
    expected_capturable_minor: Expected | None = None


class RefundBody(Body):
    amount_minor: Minor | None = None
    expected_refundable_minor: Expected | None = None
    reason: Note = ""
    although_disputed: Annotated[bool, Field(description="the customer may then get the money twice")] = False


class DisputesQuestion(PageQuestion):
    status: DisputeStatus | None = None
    order: UUID | None = None


class ChargeBody(Body):
    """Charge a saved card while the shopper is away."""

    saved_card: Annotated[UUID, Field(strict=False)]
    purpose: Annotated[Purpose, Field(strict=False, description="what the shopper agreed to")]


@router.get(
    "/orders/{order_id}/payments",
    summary="An order's attempts to pay",
    auth=BearerKey(Scope.READ),
    response={200: PaymentsAnswer, **refusals(401, 403, 404)},
)
def payments(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """All of them, the first one first; those that failed say why."""
    order = order_of(key_of(request), order_id)
    return JsonResponse({"payments": [payment_object(one) for one in order.payments.select_related("account")]})


@router.get(
    "/orders/{order_id}/captures",
    summary="An order's captures",
    auth=BearerKey(Scope.READ),
    response={200: CapturesAnswer, **refusals(401, 403, 404)},
)
def captures(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The first one first. What a provider captured by itself is not asked for, so it is no row here."""
    return JsonResponse({"captures": _operations(Capture, request, order_id)})


@router.get(
    "/orders/{order_id}/refunds",
    summary="An order's refunds",
    auth=BearerKey(Scope.READ),
    response={200: RefundsAnswer, **refusals(401, 403, 404)},
)
def refunds(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The first one first."""
    return JsonResponse({"refunds": _operations(Refund, request, order_id)})


@router.get(
    "/disputes",
    summary="List disputes",
    auth=BearerKey(Scope.READ),
    response={200: DisputesAnswer, **refusals(401, 403, 422)},
)
def disputes(request: HttpRequest, question: Query[DisputesQuestion]) -> HttpResponse:
    """The newest first. Respond to them at the provider, before ``respond_by``."""
    key = key_of(request)
    rows = Dispute.objects.of(key.merchant, key.mode).select_related("payment__order")
    if question.status:
        rows = rows.filter(status=question.status)
    if question.order:
        rows = rows.filter(payment__order__public_id=question.order)
    return page(request, "disputes", rows, question, _dispute_facts)


@router.post(
    "/payments/{payment_id}/captures",
    summary="Capture held money",
    auth=BearerKey(Scope.CAPTURES),
    response={201: OperationAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def capture(request: HttpRequest, payment_id: UUID, body: CaptureBody) -> HttpResponse:
    """Take what is held, whole or in part. What became of it comes as capture.succeeded or capture.failed."""
    key = key_of(request)
    payment = _payment(key, payment_id)

    def act() -> HttpResponse:
        row = intents.capture(
            locked(payment.pk),
            amount=body.amount_minor,
            expected_capturable=body.expected_capturable_minor,
            source=Source.API,
            requested_by=actor_of(key),
            requested_from=ip_of(request),
        )
        return JsonResponse(operation_object(row), status=201)

    return idempotency.once(request, key, act)


@router.post(
    "/payments/{payment_id}/refunds",
    summary="Refund a payment",
    auth=BearerKey(Scope.REFUNDS),
    response={201: OperationAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def refund(request: HttpRequest, payment_id: UUID, body: RefundBody) -> HttpResponse:
    """Give money back, whole or in part. Asked for is not done: refund.succeeded or refund.failed tells."""
    key = key_of(request)
    payment = _payment(key, payment_id)

    def act() -> HttpResponse:
        row = intents.refund(
            locked(payment.pk),
            amount=body.amount_minor,
            expected_refundable=body.expected_refundable_minor,
            reason=body.reason,
            although_disputed=body.although_disputed,
            source=Source.API,
            requested_by=actor_of(key),
            requested_from=ip_of(request),
        )
        return JsonResponse(operation_object(row), status=201)

    return idempotency.once(request, key, act)


@router.post(
    "/payments/{payment_id}/releases",
    summary="Let a hold go",
    auth=BearerKey(Scope.CAPTURES),
    response={201: OperationAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def release(request: HttpRequest, payment_id: UUID) -> HttpResponse:
    """Money that is held and shall not be taken. cancellation.succeeded or cancellation.failed tells."""
    key = key_of(request)
    payment = _payment(key, payment_id)

    def act() -> HttpResponse:
        row = intents.cancel(
            locked(payment.pk), source=Source.API, requested_by=actor_of(key), requested_from=ip_of(request)
        )
        return JsonResponse(operation_object(row), status=201)

    return idempotency.once(request, key, act)


@router.get(
    "/captures/{capture_id}",
    summary="Read a capture",
    auth=BearerKey(Scope.READ),
    response={200: OperationAnswer, **refusals(401, 403, 404)},
)
def read_capture(request: HttpRequest, capture_id: UUID) -> HttpResponse:
    return _read(Capture, request, capture_id, "capture")


@router.get(
    "/refunds/{refund_id}",
    summary="Read a refund",
    auth=BearerKey(Scope.READ),
    response={200: OperationAnswer, **refusals(401, 403, 404)},
)
def read_refund(request: HttpRequest, refund_id: UUID) -> HttpResponse:
    return _read(Refund, request, refund_id, "refund")


@router.post(
    "/orders/{order_id}/charges",
    summary="Charge a saved card while the shopper is away",
    auth=BearerKey(Scope.CARDS),
    response={201: PaymentAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def charge(request: HttpRequest, order_id: UUID, body: ChargeBody) -> HttpResponse:
    """Needs an Idempotency-Key and the shopper's consent to this very purpose. A decline is an answer, no error."""
    key = key_of(request)
    order = find(Order.objects.select_related("merchant"), key, order_id, "order")
    card = find(SavedCard.objects.filter(removed_at=None), key, body.saved_card, "saved card")
    name = request.headers.get("Idempotency-Key", "")
    if not name:
        raise Problem(400, "idempotency_key_missing", "A charge needs an Idempotency-Key.", field="Idempotency-Key")
    submission = hashlib.sha256(f"charge {key.merchant_id} {key.mode} {name}".encode()).hexdigest()

    def act() -> HttpResponse:
        try:
            payment = operations.charge(order, card, purpose=body.purpose, submission=submission, actor=actor_of(key))
        except operations.NotPayable as error:
            raise Problem(409, f"not_payable_{error.reason}", "This order cannot be paid with this card now.") from None
        except operations.AlreadyInProgress:
            raise Problem(409, "in_progress", "Another payment of this order has no outcome yet.") from None
        return JsonResponse(payment_object(payment), status=201)

    return idempotency.once_outside(request, key, act)


def _payment(key: ApiKey, payment_id: UUID) -> Payment:
    return find(Payment.objects.select_related("order"), key, payment_id, "payment")


def _operations(kind: type[Operation], request: HttpRequest, order_id: UUID) -> list[dict[str, Any]]:
    order = order_of(key_of(request), order_id)
    rows = kind._default_manager.filter(payment__order=order).select_related("payment__order").order_by("pk")
    return [operation_object(row) for row in rows]


def _dispute_facts(dispute: Dispute) -> dict[str, Any]:
    return {
        **dispute_object(dispute),
        "order": str(dispute.payment.order.public_id),
        "payment": str(dispute.payment.public_id),
        "currency": dispute.payment.currency,
        "created_at": timestamp(dispute.created_at),
    }


def _read(kind: type[Operation], request: HttpRequest, operation_id: UUID, what: str) -> HttpResponse:
    rows = kind._default_manager.select_related("payment__order")
    return JsonResponse(operation_object(find(rows, key_of(request), operation_id, what)))
