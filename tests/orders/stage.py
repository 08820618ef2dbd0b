"""Small words for tests of the core: look again, let time pass, hear news."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import models
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.orders.models import Cancellation, Capture, Order, Payment, Refund
from checkout.webhooks.models import WebhookEvent
from tests.factories import an_event, work_until_quiet

Row = TypeVar("Row", bound=models.Model)


def fresh(row: Row) -> Row:
    """The row as the database has it now."""
    return type(row)._default_manager.get(pk=row.pk)


def hear(account: ProviderAccount, body: dict[str, Any]) -> WebhookEvent:
    """A genuine webhook arrives and the worker deals with it."""
    event = an_event(account, body)
    work_until_quiet()
    return fresh(event)


def pass_time(clock: Any, **span: float) -> None:
    """Let time pass, and whatever falls due on the way happen at its time."""
    end = timezone.now() + timedelta(**span)
    work_until_quiet()
    while (due := next_due()) is not None and due <= end:
        reach(clock, due)
        work_until_quiet()
    reach(clock, end)


def reach(clock: Any, moment: datetime) -> None:
    """Shift the clock to just after a moment, if that is still to come; seconds are floats, so not exactly to it."""
    if moment > timezone.now():
        clock.shift(moment - timezone.now() + timedelta(milliseconds=1))


def next_due() -> datetime | None:
    kinds = (Payment, Order, Capture, Refund, Cancellation, WebhookEvent)
    due = [kind._default_manager.aggregate(soonest=models.Min("due_at"))["soonest"] for kind in kinds]
    return min((when for when in due if when), default=None)


def types(order: Order) -> list[str]:
    """What happened to an order, in order."""
    return list(order.events.order_by("seq").values_list("type", flat=True))


def state(payment: Payment) -> tuple[str, str, str]:
    """A payment's status and step, and its order's status, as the database has them now."""
    payment = fresh(payment)
    return payment.status, payment.step, payment.order.status
