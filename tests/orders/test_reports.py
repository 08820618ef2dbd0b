"""One report, three roads: by whichever it came, it says the same, and money beyond what was agreed is still money."""

from __future__ import annotations

import dataclasses

import pytest

from checkout.orders import operations
from checkout.orders.apply import Outcome, Road, apply
from checkout.orders.models import Order
from providers.contract import Status
from tests.factories import a_payment, an_order
from tests.orders.invariants import check_order
from tests.orders.stage import fresh, hear, state, types

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def sound(db):
    """Whatever a test here did, the invariants hold for every order that it left behind."""
    yield
    for order in Order.objects.select_related("merchant"):
        check_order(order)


def told(account, report, road=Road.FETCH):
    return apply(account, report, road=road, cause="test")


@pytest.mark.parametrize("road", list(Road))
def test_every_road_leads_to_the_same_truth(merchant, account, bank, road):
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()
    report = bank.latest().report()

    outcomes = [told(account, report, road) for _ in range(3)]

    assert outcomes == [Outcome.APPLIED, Outcome.NO_NEWS, Outcome.NO_NEWS]
    assert (state(payment), payment.entries.count()) == (("captured", "", "paid"), 2)
    assert types(payment.order).count("payment.succeeded") == 1


@pytest.mark.parametrize("word", [Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.PENDING, Status.AUTHORISED])
@pytest.mark.parametrize("road", list(Road))
def test_no_road_lowers_money(merchant, account, bank, road, word):
    payment = a_payment(an_order(merchant), "instant")

    told(account, dataclasses.replace(bank.latest().report(), status=word), road)

    assert state(payment) == ("captured", "", "paid")


def test_one_ending_does_not_become_another(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().end("failed")
    operations.inquire(payment, cause="test")

    told(account, dataclasses.replace(bank.latest().report(), status=Status.EXPIRED))

    assert state(payment)[0] == "failed"


def test_success_waits_for_the_last_open_review(merchant, account, bank):
    payment = a_payment(an_order(merchant), "cashier")
    hear(account, bank.latest().notice("lie 1", currency="USD"))
    hear(account, bank.latest().notice("lie 2", amount=1))
    bank.latest().approve()
    hear(account, bank.latest().notice("truth"))

    first, second = payment.reviews.all()
    operations.resolve_review(first, actor="staff:1", resolution="")
    assert (state(payment)[2], types(payment.order).count("payment.succeeded")) == ("needs_review", 0)
    operations.resolve_review(second, actor="staff:1", resolution="")

    assert (state(payment)[2], types(payment.order).count("payment.succeeded")) == ("paid", 1)


def test_more_money_than_agreed_is_recorded_and_flagged(merchant, account, bank):
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()

    told(account, dataclasses.replace(bank.latest().report(), captured=1500))

    order = fresh(payment.order)
    assert (fresh(payment).captured_total, order.captured_total, order.status) == (1500, 1500, "paid")
    assert "overpaid" in order.flags


def test_more_given_back_than_was_taken_is_recorded_and_flagged(merchant, account, bank):
    payment = a_payment(an_order(merchant), "instant")

    told(account, dataclasses.replace(bank.latest().report(), refunded=1500))

    assert (fresh(payment).refunded_total, fresh(payment).exceeds, fresh(payment).refundable) == (1500, True, 0)
    assert state(payment)[2] == "refunded"


def test_an_order_paid_in_part_is_flagged(merchant, account, bank):
    payment = a_payment(an_order(merchant, capture="manual"), "instant")

    operations.capture(payment, amount=400)

    assert (state(payment)[2], fresh(payment.order).flags) == ("partially_paid", ["test", "underpaid"])
