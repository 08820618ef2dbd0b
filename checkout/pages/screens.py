"""Which screen an order's page shows: one pure function of facts, so that every URL answers for every state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from checkout.orders.models import CaptureMode, Order, OrderStatus, Payment, Step
from providers.contract import Status

CLOSED_FOR_GOOD = timedelta(days=30)
"""After its end, for how long the page of an unpaid order still says what became of it."""


class Screen(StrEnum):
    PAY = "pay"
    DECLINED = "declined"
    RESUME = "resume"
    CODE = "code"
    QR = "qr"
    WAITING = "waiting"
    REVIEW = "review"
    PAID = "paid"
    PAID_LATE = "paid_late"
    PARTLY_PAID = "partly_paid"
    HELD = "held"
    COLLECTING = "collecting"
    REFUNDED = "refunded"
    PARTLY_REFUNDED = "partly_refunded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    GONE = "gone"


PAYABLE = frozenset({Screen.PAY, Screen.DECLINED, Screen.RESUME, Screen.CODE, Screen.QR})
"""Screens from which an attempt to pay may start."""

UNPAID = frozenset({Screen.FAILED, Screen.CANCELLED, Screen.EXPIRED})
"""Screens of orders that ended without money."""

_AWAITED = {
    Step.REDIRECT: Screen.RESUME,
    Step.POST_FORM: Screen.RESUME,
    Step.CODE: Screen.CODE,
    Step.QR: Screen.QR,
}
"""What an attempt under way asks of the shopper. Without an entry there is nothing to do but wait."""

_ENDINGS = {
    OrderStatus.NEEDS_REVIEW: Screen.REVIEW,
    OrderStatus.PAID: Screen.PAID,
    OrderStatus.PARTIALLY_PAID: Screen.PARTLY_PAID,
    OrderStatus.AUTHORISED: Screen.HELD,
    OrderStatus.REFUNDED: Screen.REFUNDED,
    OrderStatus.PARTIALLY_REFUNDED: Screen.PARTLY_REFUNDED,
    OrderStatus.PROCESSING: Screen.WAITING,
    OrderStatus.CANCELLED: Screen.CANCELLED,
    OrderStatus.EXPIRED: Screen.EXPIRED,
    OrderStatus.FAILED: Screen.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the screen depends on."""

    status: str
    """The order's."""
    paid_late: bool = False
    time_is_up: bool = False
    """The order can no longer be paid, whether or not that was written down yet."""
    long_over: bool = False
    payment_status: str = ""
    """The latest attempt's, or the one that the shopper returns from; empty without any."""
    step: str = ""
    returned: bool = False
    """The shopper has come back from the provider's page."""
    captures_by_itself: bool = False
    """The merchant leaves the capture to the provider."""


def facts_of(order: Order, payment: Payment | None, *, now: datetime, returned: bool = False) -> Facts:
    return Facts(
        status=order.status,
        paid_late="paid_late" in order.flags,
        time_is_up=order.expires_at <= now,
        long_over=order.expires_at + CLOSED_FOR_GOOD <= now,
        payment_status=payment.status if payment else "",
        step=payment.step if payment else "",
        returned=returned,
        captures_by_itself=order.capture_mode == CaptureMode.AUTOMATIC,
    )


def screen_of(facts: Facts) -> Screen:
    """The one screen for these facts. A doubt about money is never shown as a failure."""
    screen = _ENDINGS.get(OrderStatus(facts.status)) or _unsettled(facts)
    if screen is Screen.PAID and facts.paid_late:
        return Screen.PAID_LATE
    if screen is Screen.HELD and facts.captures_by_itself:
        return Screen.COLLECTING
    if screen in UNPAID and facts.long_over:
        return Screen.GONE
    return screen


def _unsettled(facts: Facts) -> Screen:
    """An order that is open or awaits the shopper."""
    if facts.payment_status in {Status.CREATED, Status.PENDING}:
        can_act = not facts.returned and not facts.time_is_up
        return _AWAITED.get(Step(facts.step), Screen.WAITING) if can_act else Screen.WAITING
    if facts.status == OrderStatus.REQUIRES_ACTION:
        # Another attempt than this one is under way: its page says more.
        return Screen.WAITING
    if facts.time_is_up:
        return Screen.EXPIRED
    return Screen.DECLINED if facts.payment_status else Screen.PAY
