"""Several roads bring the same news at once; whichever comes first, second and last, the end is the same."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from checkout import work
from checkout.orders import execution, operations
from checkout.orders.operations import AlreadyInProgress, NotPayable
from tests.factories import a_payment, an_event, an_order
from tests.orders.invariants import check_order
from tests.orders.stage import fresh, pass_time

pytestmark = pytest.mark.django_db


def in_every_order(roads, prepare, clock, bank):
    """Prepare a scene afresh and walk ``roads`` in each possible order; the ends, each with an order that led there."""
    ends = {}
    for walk in sorted(set(itertools.permutations(roads))):
        began = timezone.now()
        with transaction.atomic():
            order, ways = prepare()
            for road in walk:
                ways[road]()
            pass_time(clock, minutes=40)
            check_order(fresh(order))
            ends.setdefault(end_of(order), walk)
            transaction.set_rollback(True)
        clock.move_to(began)
        bank.reset()
    return ends


def end_of(order):
    """All of an order's end that must not depend on the order of events."""
    order = fresh(order)
    money = ("status", "authorised_total", "released_total", "captured_total", "refunded_total", "reversed_total")
    return (
        order.status,
        tuple(order.flags),
        tuple(order.payments.order_by("number").values_list(*money)),
        tuple(sorted(order.payments.values_list("refunds__status", "refunds__amount"), key=str)),
        order.events.filter(type="payment.succeeded").count(),
    )


def roads_of(account, charge, order, payment):
    """The ways on which news of one payment comes, and the shopper who tries once more."""

    numbers = itertools.count(1)

    def webhook():
        work.run_one("inbox", an_event(account, charge.notice(f"p{next(numbers)}")).pk)

    def retry():
        with pytest.raises((NotPayable, AlreadyInProgress)):
            a_payment(order, "instant")

    return {
        "return": lambda: operations.inquire(payment, cause="return", min_interval=timedelta(seconds=5)),
        "webhook": webhook,
        "inquiry": lambda: operations.inquire_due(payment.pk),
        "expiry": lambda: operations.expire_due(order.pk),
        "retry": retry,
        "pays": charge.approve,
        "fails": lambda: charge.end("failed"),
    }


@pytest.mark.parametrize(
    ("capture", "roads"),
    [
        ("automatic", ("return", "webhook", "webhook", "expiry", "retry")),
        ("manual", ("inquiry", "webhook", "expiry", "retry")),
    ],
)
def test_a_shopper_who_paid_as_the_order_expired(merchant, account, bank, clock, capture, roads):
    def prepare():
        order = an_order(merchant, expires_in=300, capture=capture)
        payment = a_payment(order, "cashier")
        clock.shift(301)
        bank.latest().approve()
        return order, roads_of(account, bank.latest(), order, payment)

    ends = in_every_order(roads, prepare, clock, bank)

    status, took, succeeded = ("paid", 1000, 1) if capture == "automatic" else ("authorised", 0, 0)
    payment = ("captured" if took else "authorised", 1000, 0, took, 0, 0)
    assert list(ends) == [(status, ("test",), (payment,), ((None, None),), succeeded)]


def test_a_shopper_who_pays_at_some_moment(merchant, account, bank, clock):
    """Only whether the money was late depends on when everybody else looked."""

    def prepare():
        order = an_order(merchant, expires_in=300)
        payment = a_payment(order, "cashier")
        clock.shift(301)
        return order, roads_of(account, bank.latest(), order, payment)

    ends = in_every_order(("webhook", "expiry", "retry", "pays"), prepare, clock, bank)

    paid = (("captured", 1000, 0, 1000, 0, 0),)
    assert {(status, payments, succeeded) for status, _, payments, _, succeeded in ends} == {("paid", paid, 1)}
    assert {flags for _, flags, *_ in ends} == {("test",), ("test", "paid_late")}


def test_a_card_that_fails_at_some_moment(merchant, account, bank, clock):
    def prepare():
        order = an_order(merchant, expires_in=300)
        payment = a_payment(order, "card")
        clock.shift(301)
        return order, roads_of(account, bank.latest(), order, payment)

    ends = in_every_order(("webhook", "inquiry", "expiry", "fails"), prepare, clock, bank)

    assert list(ends) == [("expired", ("test",), (("failed", 0, 0, 0, 0, 0),), ((None, None),), 0)]


def test_a_refund_whose_answer_was_lost(merchant, account, bank, clock):
    def prepare():
        payment = a_payment(an_order(merchant), "instant")
        bank.arm("refund", "lost_after")
        refund = operations.refund(payment, amount=400)
        charge = bank.latest()
        deed, other = charge.operations[refund.reference], charge.refund_elsewhere(100)
        ours = charge.operation_notice("r1", deed, reference=refund.reference)
        return payment.order, {
            **roads_of(account, charge, payment.order, payment),
            "refund's webhook": lambda: work.run_one("inbox", an_event(account, ours).pk),
            "other's webhook": lambda: work.run_one(
                "inbox", an_event(account, charge.operation_notice("r2", other)).pk
            ),
            "follow-up": lambda: execution.execute(type(refund), refund.pk),
        }

    roads = ("inquiry", "refund's webhook", "other's webhook", "follow-up")
    ends = in_every_order(roads, prepare, clock, bank)

    refunds = (("succeeded", 100), ("succeeded", 400))
    payment = ("captured", 1000, 0, 1000, 500, 0)
    assert list(ends) == [("partially_refunded", ("test",), (payment,), refunds, 1)]


def test_a_capture_whose_answer_was_lost(merchant, account, bank, clock):
    def prepare():
        payment = a_payment(an_order(merchant, capture="manual"), "instant")
        bank.arm("capture", "lost_after")
        capture = operations.capture(payment, amount=400)
        charge = bank.latest()
        ours = charge.operation_notice("c1", charge.operations[capture.reference], reference=capture.reference)
        charge.capture_elsewhere(100)
        return payment.order, {
            **roads_of(account, charge, payment.order, payment),
            "capture's webhook": lambda: work.run_one("inbox", an_event(account, ours).pk),
            "follow-up": lambda: execution.execute(type(capture), capture.pk),
        }

    roads = ("webhook", "inquiry", "capture's webhook", "follow-up")
    ends = in_every_order(roads, prepare, clock, bank)

    payment = ("captured", 1000, 0, 500, 0, 0)
    assert list(ends) == [("partially_paid", ("test", "underpaid"), (payment,), ((None, None),), 1)]
