"""Many at once: one call, one entry, one owner of each row of work, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from checkout import work
from checkout.orders import apply as applying
from checkout.orders import operations
from checkout.orders.apply import Outcome, Road
from checkout.orders.intents import NotAllowed
from checkout.orders.models import Order, Payment, Refund
from checkout.orders.operations import AlreadyInProgress, NotPayable
from tests.factories import VISA, a_payment, an_event, an_order, work_until_quiet
from tests.orders.invariants import check_order
from tests.orders.stage import fresh

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 20


@pytest.fixture
def merchant(transactional_db):
    from tests import factories

    return factories.a_merchant()


def at_once(call, *, times=MANY):
    """The answers, or errors, of as many threads that start together."""
    gate = threading.Barrier(times)

    def thread(number):
        try:
            gate.wait(20)
            return call(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(thread, range(times)))


def start(order, submission, method="card"):
    offer = next(offer for offer in operations.offers(order) if offer.method.code == method)
    return operations.start(order, offer_code=offer.code, submission=submission, card=VISA)


@pytest.mark.parametrize("method", ["card", "cashier", "instant"])
def test_many_submits_of_one_form_make_one_call(merchant, account, bank, method):
    order = an_order(merchant)
    bank.pause = 0.05

    payments = at_once(lambda number: start(order, "the form", method))

    assert {payment.pk for payment in payments} == {Payment.objects.get().pk}
    assert bank.calls.count("start") == len(bank.charges) == 1
    check_order(fresh(order))


def test_many_forms_of_one_order_make_one_charge(merchant, account, bank):
    order = an_order(merchant)
    bank.pause = 0.05

    answers = at_once(lambda number: start(order, f"form {number}"))

    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {Payment: 1, AlreadyInProgress: MANY - 1}
    assert bank.calls.count("start") == 1


def test_many_refunds_that_do_not_fit_together_leave_one(merchant, account, bank):
    payment = a_payment(an_order(merchant), "instant")

    answers = at_once(lambda number: operations.refund(payment, amount=600))

    assert Counter(type(answer) for answer in answers) == {Refund: 1, NotAllowed: MANY - 1}
    assert bank.latest().refunded == fresh(payment).refunded_total == 600
    check_order(fresh(payment.order))


def test_many_captures_and_a_cancellation_never_take_more_than_is_held(merchant, account, bank):
    payment = a_payment(an_order(merchant, capture="manual"), "instant")

    at_once(
        lambda number: operations.cancel(payment) if number % 5 == 0 else operations.capture(payment, amount=400),
        times=10,
    )
    work_until_quiet()

    charge = bank.latest()
    assert charge.captured <= 800
    assert (fresh(payment).captured_total, fresh(payment).held) == (charge.captured, charge.held)
    check_order(fresh(payment.order))


def test_one_report_many_times_is_one_entry(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()
    report = bank.latest().report()

    outcomes = at_once(lambda number: applying.apply(account, report, road=Road.WEBHOOK, cause=f"webhook {number}"))

    assert Counter(outcomes) == {Outcome.APPLIED: 1, Outcome.NO_NEWS: MANY - 1}
    assert Counter(payment.entries.values_list("kind", flat=True)) == {"authorised": 1, "captured": 1}
    assert payment.order.events.filter(type="payment.succeeded").count() == 1


def test_a_webhook_at_the_moment_of_the_return_is_one_effect(merchant, account, bank):
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()
    notice = bank.latest().notice("paid")

    def arrive(number):
        if number % 2:
            return operations.inquire(payment, cause="return")
        event = an_event(account, notice)
        return work.run_one("inbox", event.pk)

    at_once(arrive, times=10)
    work_until_quiet()

    assert payment.entries.count() == 2
    assert payment.order.events.filter(type="payment.succeeded").count() == 1
    check_order(fresh(payment.order))


def test_many_who_ask_within_the_interval_make_one_inquiry(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.pause = 0.05

    at_once(lambda number: operations.inquire(payment, cause="page", min_interval=timedelta(seconds=60)))

    assert bank.calls.count("fetch") == 1


def test_no_two_workers_take_the_same_row(merchant, account, bank, monkeypatch):
    orders = [an_order(merchant) for _ in range(40)]
    Order.objects.update(due_at=timezone.now())
    taken = []

    def handle(pk):
        taken.append(pk)
        time.sleep(0.005)
        Order.objects.filter(pk=pk).update(due_at=None)

    monkeypatch.setattr(work, "_queues", {"orders": work.Queue("orders", Order.objects.all, handle)})

    def worker(number):
        while work.run_due(per_queue=3):
            pass

    assert at_once(worker, times=6) == [None] * 6
    assert sorted(taken) == sorted(order.pk for order in orders)


def test_everything_at_once_ends_without_a_deadlock(merchant, account, bank):
    orders = [an_order(merchant, capture="manual" if number % 2 else "automatic") for number in range(3)]
    payments = [a_payment(order, "instant") for order in orders]

    def anything(number):
        payment = payments[number % 3]
        deeds = (
            lambda: operations.refund(payment, amount=100),
            lambda: operations.capture(payment, amount=100),
            lambda: operations.inquire(payment, cause="test"),
            lambda: operations.cancel_order(payment.order, actor="staff:1"),
            lambda: an_event(account, bank.charges[payment.reference].notice(f"e{number}")),
            work.run_due,
            lambda: start(payment.order, f"form {number}"),
        )
        for turn in range(4):
            try:
                deeds[(number + turn) % len(deeds)]()
            except (NotAllowed, NotPayable, AlreadyInProgress):
                continue

    began = time.monotonic()
    errors = [answer for answer in at_once(anything, times=14) if answer is not None]
    work_until_quiet()

    assert errors == []
    assert time.monotonic() - began < 60
    for order in Order.objects.select_related("merchant"):
        check_order(order)
    for payment in payments:
        charge, payment = bank.charges[payment.reference], fresh(payment)
        assert (payment.captured_total, payment.refunded_total, payment.held) == (
            charge.captured,
            charge.refunded,
            charge.held,
        )
