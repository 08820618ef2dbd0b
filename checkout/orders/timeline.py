"""An order's history: every event gets the next number of its order, in the transaction of its cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from checkout.orders.models import Event, Order, Payment, scope_of

SYSTEM = "system"
SHOPPER = "shopper"
PROVIDER = "provider"

PUBLIC = frozenset(
    {
        "order.created",
        "order.expired",
        "order.cancelled",
        "order.needs_review",
        "order.reviewed",
        "payment.pending",
        "payment.authorised",
        "payment.succeeded",
        "payment.failed",
        "payment.cancelled",
        "payment.expired",
        "payment.late",
        "payment.duplicate",
        "capture.succeeded",
        "capture.failed",
        "refund.succeeded",
        "refund.failed",
        "refund.reversed",
        "cancellation.succeeded",
        "cancellation.failed",
        "dispute.opened",
        "dispute.won",
        "dispute.lost",
        "shipment.added",
        "shipment.delivered",
        "shipment.cancelled",
        "tracking.failed",
        "fraud.alerted",
    }
)
"""Events that merchants hear of; the others are for the timeline only."""

listeners: list[Callable[[Event], None]] = []
"""Called with each new event in its own transaction, so that what they write stands or falls with it."""


def lock(order_id: int) -> Order:
    """The order, locked until the transaction ends. Always the first lock taken: order, payment, operation."""
    return Order.objects.select_for_update(of=("self",)).select_related("merchant").get(pk=order_id)


def record(
    order: Order,
    type: str,
    *,
    cause: str,
    actor: str = SYSTEM,
    payment: Payment | None = None,
    **data: Any,
) -> Event:
    """Append an event to a locked order. ``data`` is small, and free of card data and secrets."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an event is recorded in the transaction of its cause")
    order.last_seq += 1
    order.save(update_fields=("last_seq",))
    event = Event.objects.create(
        **scope_of(order),
        order=order,
        payment=payment,
        seq=order.last_seq,
        type=type,
        actor=actor,
        cause=cause[:120],
        data=data,
    )
    for listen in listeners:
        listen(event)
    return event
