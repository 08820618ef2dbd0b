"""What an order offers is exactly what would be accepted: every offer is taken up, everything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction

from checkout.orders import intents, operations, shipping
from checkout.orders.actions import Action, Verb, of_order
from checkout.orders.models import Order
from tests.factories import VISA, a_payment, an_account, an_order
from tests.orders.stage import fresh

from providers.acme import BANK  # isort: skip

pytestmark = pytest.mark.django_db


def opened(merchant) -> Order:
    return an_order(merchant)


def at_the_cashier(merchant) -> Order:
    order = an_order(merchant)
    a_payment(order, "cashier")
    return order


def without_outcome(merchant) -> Order:
    order = an_order(merchant)
    a_payment(order, "card", card=VISA)
    return order


def paid(merchant) -> Order:
    order = an_order(merchant)
    a_payment(order, "instant")
    return order


def held(merchant) -> Order:
    order = an_order(merchant, capture="manual")
    a_payment(order, "instant")
    return order


def partly_captured(merchant) -> Order:
    order = held(merchant)
    operations.capture(order.payments.get(), amount=400)
    return order


def partly_refunded(merchant) -> Order:
    order = paid(merchant)
    operations.refund(order.payments.get(), amount=400)
    return order


def refund_under_way(merchant) -> Order:
    order = paid(merchant)
    BANK.slow.add("refund")
    operations.refund(order.payments.get(), amount=400)
    return order


def capture_under_way(merchant) -> Order:
    order = held(merchant)
    BANK.slow.add("capture")
    operations.capture(order.payments.get(), amount=400)
    return order


def release_under_way(merchant) -> Order:
    order = held(merchant)
    BANK.slow.add("cancel")
    operations.cancel(order.payments.get())
    return order


def refunded(merchant) -> Order:
    order = paid(merchant)
    operations.refund(order.payments.get())
    return order


def released(merchant) -> Order:
    order = held(merchant)
    operations.cancel(order.payments.get())
    return order


def cancelled(merchant) -> Order:
    order = opened(merchant)
    operations.cancel_order(order, actor="staff:1")
    return order


STATES = (
    opened,
    at_the_cashier,
    without_outcome,
    paid,
    held,
    partly_captured,
    partly_refunded,
    refund_under_way,
    capture_under_way,
    release_under_way,
    refunded,
    released,
    cancelled,
)


def take_up(order: Order, action: Action) -> None:
    """Do it, by its largest amount, and undo our rows again."""
    with transaction.atomic():
        payment = fresh(action.payment) if action.payment else None
        match action.verb:
            case Verb.REFUND:
                intents.refund(payment, amount=action.maximum)
            case Verb.CAPTURE:
                intents.capture(payment, amount=action.maximum)
            case Verb.RELEASE:
                intents.cancel(payment)
            case Verb.CANCEL:
                operations.cancel_order(order, actor="staff:1")
            case Verb.SHIP:
                shipping.add(order, carrier="UPS", number="1", shipped_on=datetime.now(UTC).date(), actor="staff:1")
        transaction.set_rollback(True)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_everything_offered_is_accepted_and_nothing_else(merchant, account, state):
    order = fresh(state(merchant))
    offered = of_order(order)

    for action in offered:
        take_up(fresh(order), action)
    verbs = {action.verb for action in offered}
    for payment in order.payments.all():
        for verb in {Verb.REFUND, Verb.CAPTURE, Verb.RELEASE} - verbs:
            with pytest.raises(intents.NotAllowed):
                take_up(order, Action(verb, payment))
    for action in offered:
        if action.maximum and action.verb is not Verb.RELEASE:
            with pytest.raises(intents.NotAllowed):
                take_up(order, Action(action.verb, action.payment, action.maximum + 1))


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        (opened, {"cancel"}),
        (at_the_cashier, {"cancel"}),
        (without_outcome, set()),
        (paid, {"refund", "add_shipment"}),
        (held, {"capture", "release", "cancel", "add_shipment"}),
        (partly_captured, {"capture", "refund", "add_shipment"}),
        (refund_under_way, {"refund", "add_shipment"}),
        (release_under_way, {"add_shipment"}),
        (refunded, {"add_shipment"}),
        (cancelled, set()),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_is_offered_in_each_state(merchant, account, state, verbs):
    assert {action.verb for action in of_order(fresh(state(merchant)))} == verbs


def test_a_provider_that_can_do_nothing_offers_nothing(merchant):
    an_account(merchant, provider="bare", credentials={})
    order = an_order(merchant)
    a_payment(order, operations.offers(order)[0].method.code)

    assert {action.verb for action in of_order(order)} <= {"cancel", "add_shipment"}
