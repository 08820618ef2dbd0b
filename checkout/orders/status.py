"""What an order's status is: one pure function of facts."""

from __future__ import annotations

from dataclasses import dataclass

from checkout.orders.models import OrderStatus, Step


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """All that an order's status depends on; amounts in minor units."""

    amount: int
    captured: int = 0
    refunded: int = 0
    held: int = 0
    in_review: bool = False
    awaited: frozenset[str] = frozenset()
    """The steps of payments whose outcome is open; a payment not yet sent counts as ``wait``."""
    cancelled: bool = False
    expired: bool = False
    tries_left: bool = True


def order_status(facts: OrderFacts) -> OrderStatus:
    """The first rule that holds decides. Money comes before everything that only time did."""
    net = facts.captured - facts.refunded
    rules = (
        (facts.in_review, OrderStatus.NEEDS_REVIEW),
        (facts.captured > 0 and net <= 0, OrderStatus.REFUNDED),
        (facts.refunded > 0, OrderStatus.PARTIALLY_REFUNDED),
        (net >= facts.amount, OrderStatus.PAID),
        (net > 0, OrderStatus.PARTIALLY_PAID),
        (facts.held > 0, OrderStatus.AUTHORISED),
        (bool(facts.awaited & {Step.WAIT, Step.ASK}), OrderStatus.PROCESSING),
        (bool(facts.awaited), OrderStatus.REQUIRES_ACTION),
        (facts.cancelled, OrderStatus.CANCELLED),
        (facts.expired, OrderStatus.EXPIRED),
        (not facts.tries_left, OrderStatus.FAILED),
    )
    return next((status for holds, status in rules if holds), OrderStatus.OPEN)
