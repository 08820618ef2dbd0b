"""What could be asked of an order now, by state and by what its providers can do: for the desk and for the API.

Nothing is decided here. Each action is one that ``intents`` or ``operations`` would accept at this moment, with the
largest amount that it would accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from checkout.orders import gateway, intents
from checkout.orders.models import Order, Payment
from providers.contract import Capability, Status


class Verb(StrEnum):
    CANCEL = "cancel"
    """The order: nobody shall pay it any more, and what is held is let go."""
    CAPTURE = "capture"
    REFUND = "refund"
    RELEASE = "release"
    """Let a payment's hold go."""
    SHIP = "add_shipment"


@dataclass(frozen=True)
class Action:
    verb: Verb
    payment: Payment | None = None
    """The payment that it is about; None for the order."""
    maximum: int | None = None
    """The largest amount, in minor units, where one can be given."""
    can_be_partial: bool = False


def of_order(order: Order) -> list[Action]:
    """Everything that would be accepted now, on the order and on its payments."""
    payments = list(order.payments.select_related("account"))
    found = [action for payment in payments for action in of_payment(payment)]
    if _can_be_cancelled(order, payments):
        found.append(Action(Verb.CANCEL))
    if order.captured_total or order.authorised_total:
        found.append(Action(Verb.SHIP))
    return found


def of_payment(payment: Payment) -> Iterator[Action]:
    """What would be accepted now on one payment."""
    judges = (
        (Verb.CAPTURE, intents.judge_capture, Capability.PARTIAL_CAPTURE),
        (Verb.REFUND, intents.judge_refund, Capability.PARTIAL_REFUND),
        (Verb.RELEASE, intents.judge_cancel, None),
    )
    for verb, judge, partial in judges:
        try:
            amount = judge(payment)
        except (intents.NotAllowed, gateway.AccountUnusable):
            continue
        can_be_partial = partial is not None and intents.can(payment, partial)
        yield Action(verb, payment, amount, can_be_partial)


def _can_be_cancelled(order: Order, payments: list[Payment]) -> bool:
    if order.cancelled_at or order.expired_at or order.captured_total:
        return False
    if any(payment.is_blocking for payment in payments):
        return False
    return all(
        any(action.verb is Verb.RELEASE for action in of_payment(payment))
        for payment in payments
        if payment.status == Status.AUTHORISED
    )
