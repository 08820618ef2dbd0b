"""The only code that writes a status. A status only climbs; old news changes nothing; money wins.

Every function here expects its order to be locked (``timeline.lock``) and runs in that transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from checkout.orders.models import (
    Dispute,
    Event,
    Operation,
    Order,
    OrderStatus,
    Payment,
    Refund,
    Review,
    Shipment,
    Step,
    TrackingUpload,
    scope_of,
)
from checkout.orders.status import OrderFacts, order_status
from checkout.orders.timeline import SYSTEM, record
from providers.contract import Decline, DeclineCategory, DisputeStatus, OperationStatus, ShipmentStatus, Status

# Money wins: a capture may arrive after any bad ending, so it outranks them all.
PAYMENT: Mapping[str, int] = {
    Status.CREATED: 0,
    Status.PENDING: 1,
    Status.AUTHORISED: 2,
    Status.FAILED: 3,
    Status.CANCELLED: 3,
    Status.EXPIRED: 3,
    Status.CAPTURED: 4,
}
OPERATION: Mapping[str, int] = {
    OperationStatus.CREATED: 0,
    OperationStatus.SENT: 1,
    OperationStatus.PENDING: 2,
    OperationStatus.FAILED: 3,
    OperationStatus.SUCCEEDED: 4,
}
REFUND: Mapping[str, int] = {**OPERATION, OperationStatus.REVERSED: 5}  # a bank may bounce a finished refund

ENDED = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED})
"""Payments that ended without money, as far as anybody knows."""

UNPAID = frozenset({OrderStatus.OPEN, OrderStatus.FAILED})
"""Orders that nothing keeps from expiring."""

NOT_A_TRY = frozenset({DeclineCategory.UNAVAILABLE})
"""Attempts that never reached a provider do not use up the shopper's tries."""


def advance(
    row: Payment | Operation | TrackingUpload, to: str, *, cause: str, actor: str = SYSTEM, **data: Any
) -> bool:
    """Raise ``row`` to ``to`` and write down why; False when that is no news.

    One conditional UPDATE is the lock: exactly one caller hears True, and that caller does what follows.
    """
    rank = PAYMENT if isinstance(row, Payment) else REFUND if isinstance(row, Refund) else OPERATION
    lower = [status for status in rank if rank[status] < rank[to]]
    if isinstance(row, Refund) and to == OperationStatus.REVERSED:
        lower = [OperationStatus.SUCCEEDED]
    if not type(row)._default_manager.filter(pk=row.pk, status__in=lower).update(status=to):
        return False
    row.status = to
    payment = row if isinstance(row, Payment) else row.payment
    if isinstance(row, Payment) and not row.is_waiting:
        _settle(row)
    name = str(row._meta.model_name)
    if isinstance(row, Operation):
        data = {"operation": str(row.public_id), "amount": row.amount, **data}
    if isinstance(row, TrackingUpload):
        name, data = "tracking", {"shipment": str(row.shipment.public_id), **data}
    record(payment.order, f"{name}.{to}", cause=cause, actor=actor, payment=payment, **data)
    return True


def mark_sent(uploads: Iterable[TrackingUpload]) -> None:
    """These are on their way to a provider. No event: only what comes of it is worth one."""
    queued = [upload.pk for upload in uploads if upload.status == OperationStatus.CREATED]
    TrackingUpload.objects.filter(pk__in=queued, status=OperationStatus.CREATED).update(status=OperationStatus.SENT)


def end_shipment(shipment: Shipment, to: ShipmentStatus, *, order: Order, actor: str) -> bool:
    """A parcel arrived or is none any more; False when it ended before."""
    if not Shipment.objects.filter(pk=shipment.pk, status=ShipmentStatus.SHIPPED).update(status=to):
        return False
    shipment.status = to
    record(order, f"shipment.{to}", cause="shipment", actor=actor, shipment=str(shipment.public_id))
    return True


def judge_dispute(dispute: Dispute, to: DisputeStatus, *, cause: str) -> bool:
    """A dispute was decided, or decided otherwise; False when that is no news. An end is never undone by "open"."""
    before = dispute.status
    if to in {before, DisputeStatus.OPEN} or not Dispute.objects.filter(pk=dispute.pk, status=before).update(status=to):
        return False
    dispute.status = to
    order = dispute.payment.order
    record(order, f"dispute.{to}", cause=cause, payment=dispute.payment, before=before, amount=dispute.amount)
    return True


def await_step(
    payment: Payment, step: Step, *, cause: str, data: Mapping[str, Any] | None = None, deadline: datetime | None = None
) -> None:
    """Say what a payment that has no outcome yet waits for; no news once it has one."""
    if payment.status == Status.CREATED:
        # Status and step change in one statement: between them, another attempt would find the door open.
        Payment.objects.filter(pk=payment.pk, status=Status.CREATED).update(status=Status.PENDING, step=step)
        payment.status, payment.step = Status.PENDING, step
        record(payment.order, "payment.pending", cause=cause, payment=payment, step=str(step))
    if payment.status == Status.PENDING:
        payment.step, payment.step_data, payment.deadline = step, dict(data or {}), deadline
        payment.save(update_fields=("step", "step_data", "deadline"))


def decline(payment: Payment, why: Decline | None) -> None:
    """Keep why a payment did not work."""
    if why:
        payment.decline_category, payment.decline_code = why.category, why.code[:60]
        payment.save(update_fields=("decline_category", "decline_code"))


def open_review(
    order: Order, payment: Payment | None, kind: str, *, cause: str, ours: str = "", theirs: str = ""
) -> None:
    """Ask a person; one open review of a kind at a time."""
    kind = kind[:30]
    _, is_new = Review.objects.get_or_create(
        order=order,
        payment=payment,
        kind=kind,
        resolved_at=None,
        defaults={"ours": ours[:120], "theirs": theirs[:120], "cause": cause[:120], **scope_of(order)},
    )
    if is_new:
        record(order, "review.opened", cause=cause, payment=payment, kind=kind, ours=ours[:120], theirs=theirs[:120])
    refresh(order, cause=cause)


def resolve_review(review: Review, *, actor: str, resolution: str) -> bool:
    """A person's decision; False when somebody else decided already. Success held back is announced now."""
    now = timezone.now()
    if not Review.objects.filter(pk=review.pk, resolved_at=None).update(
        resolved_at=now, resolved_by=actor, resolution=resolution[:250]
    ):
        return False
    order = review.order
    record(order, "order.reviewed", cause="review", actor=actor, payment=review.payment, kind=review.kind)
    refresh(order, cause="review")
    for payment in order.payments.all():
        announce(order, payment, cause="review")
    return True


def expire_order(order: Order, *, cause: str) -> None:
    """Time is up, and no payment of it is open any more."""
    if order.expired_at is None:
        order.expired_at, order.due_at = timezone.now(), None
        order.save(update_fields=("expired_at", "due_at"))
        refresh(order, cause=cause)


def cancel_order(order: Order, *, cause: str, actor: str) -> None:
    """The merchant no longer wants it paid."""
    if order.cancelled_at is None:
        order.cancelled_at, order.due_at = timezone.now(), None
        order.save(update_fields=("cancelled_at", "due_at"))
        refresh(order, cause=cause, actor=actor)


def refresh(order: Order, *, cause: str, actor: str = SYSTEM) -> None:
    """Recompute an order's totals, flags and status from its payments, and write down a change of status."""
    payments = list(order.payments.all())
    before = order.status
    order.captured_total = sum(payment.captured_total for payment in payments)
    order.refunded_total = sum(payment.refunded_total - payment.reversed_total for payment in payments)
    order.authorised_total = sum(payment.held for payment in payments)
    order.flags = _flags(order, payments)
    order.status = order_status(
        OrderFacts(
            amount=order.amount,
            captured=order.captured_total,
            refunded=order.refunded_total,
            held=order.authorised_total,
            in_review=order.reviews.filter(resolved_at=None).exists(),
            awaited=frozenset(payment.step or Step.WAIT for payment in payments if payment.is_waiting),
            cancelled=order.cancelled_at is not None,
            expired=order.expired_at is not None,
            tries_left=has_tries_left(order, payments),
        )
    )
    order.save(update_fields=("captured_total", "refunded_total", "authorised_total", "flags", "status"))
    if order.status != before:
        record(order, f"order.{order.status}", cause=cause, actor=actor, before=before)
    if order.status in UNPAID and not order.due_at and not order.expired_at and not order.cancelled_at:
        # Held money kept it from expiring; now that it is gone, the order's time comes after all.
        order.due_at = order.expires_at
        order.save(update_fields=("due_at",))


def announce(order: Order, payment: Payment, *, cause: str) -> bool:
    """Tell that a payment brought money: once, and not while a person still has to look at the order."""
    if payment.status != Status.CAPTURED or order.status == OrderStatus.NEEDS_REVIEW:
        return False
    if Event.objects.filter(payment=payment, type="payment.succeeded").exists():
        return False
    late = "paid_late" in order.flags
    record(order, "payment.succeeded", cause=cause, payment=payment, captured=payment.captured_total, late=late)
    return True


def has_tries_left(order: Order, payments: list[Payment]) -> bool:
    tries = sum(payment.decline_category not in NOT_A_TRY for payment in payments)
    return tries < order.merchant.try_limit


def _settle(payment: Payment) -> None:
    payment.step, payment.step_data, payment.deadline = Step.NONE, {}, None
    payment.settled_at = payment.settled_at or timezone.now()
    payment.save(update_fields=("step", "step_data", "deadline", "settled_at"))


def _flags(order: Order, payments: list[Payment]) -> list[str]:
    bringing = [payment for payment in payments if payment.net > 0 or payment.held > 0]
    flags = {
        "test": order.is_test,
        "paid_late": "paid_late" in order.flags,
        "overpaid": order.net > order.amount,
        "underpaid": 0 < order.net < order.amount and not order.refunded_total,
        "duplicate": len(bringing) > 1,
        "disputed": any(payment.is_disputed for payment in payments if payment.captured_total),
        "downgraded_3ds": any(payment.three_ds.get("downgraded") is True for payment in bringing),
    }
    return [name for name, holds in flags.items() if holds]


def flag_late(order: Order) -> bool:
    """Money came after the order had ended; False when that was known."""
    if "paid_late" in order.flags:
        return False
    order.flags = [*order.flags, "paid_late"]
    order.save(update_fields=("flags",))
    return True
