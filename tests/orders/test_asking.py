"""Inquiries: when a payment is asked about, what an answer means, and when a person is asked instead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from checkout import work
from checkout.orders import operations, schedule
from checkout.orders.models import Payment
from tests.factories import a_payment, an_order, work_until_quiet
from tests.orders.stage import fresh, pass_time, reach, state, types

pytestmark = pytest.mark.django_db

DESIGN = [10, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600]
"""Seconds between the first inquiries; after them, every twelve hours for seven days."""


@pytest.fixture
def no_jitter(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: 1.0)


def due_in(payment):
    return (fresh(payment).due_at - timezone.now()).total_seconds()


# --------------------------------------------------------------------------------------------------------- the schedule


@pytest.mark.parametrize("plan", [schedule.INQUIRY, schedule.LISTENING, schedule.OPERATION])
@given(done=st.integers(0, 40))
def test_jitter_stays_within_a_tenth_and_the_plan_ends(plan, done):
    waited = schedule.wait(plan, done)

    if done < len(plan):
        assert plan[done] * 0.9 <= waited <= plan[done] * 1.1
    else:
        assert waited is None


def test_the_plans_are_as_long_as_designed():
    days = [sum(plan, timedelta()) / timedelta(days=1) for plan in (schedule.INQUIRY, schedule.LISTENING)]

    assert [wait.total_seconds() for wait in schedule.INQUIRY[: len(DESIGN)]] == DESIGN
    assert set(schedule.INQUIRY[len(DESIGN) :]) == {timedelta(hours=12)}
    assert [round(length) for length in days] == [7, 30]
    assert timedelta(days=13) <= sum(schedule.OPERATION, timedelta()) <= timedelta(days=14)


def test_a_payment_without_outcome_is_asked_about_on_schedule_and_then_left_to_a_person(
    merchant, account, bank, clock, no_jitter
):
    payment = a_payment(an_order(merchant), "card")
    waits = []

    while fresh(payment).due_at:
        waits.append(due_in(payment))
        reach(clock, fresh(payment).due_at)
        work.run_one("payments", payment.pk)

    assert waits == [step.total_seconds() for step in schedule.INQUIRY]
    assert bank.calls.count("fetch") == len(schedule.INQUIRY)
    assert state(payment) == ("pending", "wait", "needs_review")
    assert payment.reviews.get().kind == "no_outcome"


def test_inquiries_that_get_no_answer_use_up_the_schedule_too(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")
    for _ in schedule.INQUIRY:
        bank.arm("fetch", "unreachable")

    pass_time(clock, days=9)

    assert fresh(payment).answered_at is None
    assert payment.reviews.get().kind == "no_outcome"


def test_a_person_who_closes_the_review_starts_the_schedule_again(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")
    pass_time(clock, days=9)
    bank.latest().approve()

    operations.resolve_review(payment.reviews.get(), actor="staff:1", resolution="Their support says it is paid.")
    pass_time(clock, seconds=20)

    assert state(payment) == ("captured", "", "paid")


def test_a_shopper_who_watches_does_not_use_up_the_schedule(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")

    for _ in range(100):
        clock.shift(10)
        operations.inquire(payment, cause="page", min_interval=timedelta(seconds=5))

    assert bank.calls.count("fetch") == 100
    assert not payment.reviews.exists()
    assert fresh(payment).inquiries == 0


def test_an_inquiry_is_made_no_more_often_than_asked_for(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")

    for _ in range(10):
        operations.inquire(payment, cause="return", min_interval=timedelta(seconds=5))
        clock.shift(1)

    assert bank.calls.count("fetch") == 2


def test_an_inquiry_without_an_interval_is_always_made(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")

    operations.inquire(payment, cause="desk")
    operations.inquire(payment, cause="desk")

    assert bank.calls.count("fetch") == 2


def test_a_settled_payment_is_left_alone(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "instant")

    pass_time(clock, days=40)

    assert fresh(payment).due_at is None
    assert bank.calls == ["start"]


# ------------------------------------------------------------------------------------------------- what an answer means


def test_asking_about_a_paid_payment_changes_nothing(merchant, account, bank):
    payment = a_payment(an_order(merchant), "instant")
    before = types(payment.order)

    operations.inquire(payment, cause="test")

    assert types(payment.order) == before
    assert payment.entries.count() == 2


@pytest.mark.parametrize("fault", ["unreachable", "lost", "rejected", "lost_after", "garbled"])
def test_no_answer_is_no_news(merchant, account, bank, fault, caplog):
    payment = a_payment(an_order(merchant), "card")
    before = types(payment.order)
    bank.arm("fetch", fault)

    operations.inquire(payment, cause="test")

    assert state(payment) == ("pending", "wait", "processing")
    assert types(payment.order) == before


def test_a_provider_that_forgot_a_payment_it_had_named_leaves_it_open(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")
    bank.charges.clear()

    pass_time(clock, hours=2)

    assert state(payment) == ("pending", "wait", "processing")


def test_a_page_that_the_shopper_never_got_is_given_up(merchant, account, bank, clock):
    order = an_order(merchant)
    bank.arm("start", "lost_after")
    payment = a_payment(order, "cashier")

    pass_time(clock, seconds=20)

    assert state(payment) == ("expired", "", "open")
    assert state(a_payment(order, "instant")) == ("captured", "", "paid")


def test_a_card_whose_answer_was_lost_is_never_given_up_while_the_provider_works_on_it(merchant, account, bank, clock):
    order = an_order(merchant)
    bank.arm("start", "lost_after")
    payment = a_payment(order, "card")

    pass_time(clock, hours=3)

    assert state(payment) == ("pending", "ask", "processing")


# ----------------------------------------------------------------------------------------------- shoppers who stay away


def test_an_abandoned_redirect_ends_by_itself_and_the_order_is_payable_again(merchant, account, bank, clock):
    order = an_order(merchant)
    payment = a_payment(order, "cashier")

    pass_time(clock, minutes=14)
    assert state(payment) == ("pending", "redirect", "requires_action")
    pass_time(clock, minutes=2)

    assert state(payment) == ("expired", "", "open")
    assert fresh(payment).decline_category == "abandoned"
    assert state(a_payment(order, "instant")) == ("captured", "", "paid")


@pytest.mark.parametrize("fault", ["unreachable", "lost"])
def test_an_abandoned_redirect_does_not_end_without_an_answer(merchant, account, bank, clock, fault):
    payment = a_payment(an_order(merchant), "cashier")
    for _ in range(50):
        bank.arm("fetch", fault)

    pass_time(clock, minutes=30)

    assert state(payment)[:2] == ("pending", "redirect")


def test_a_shopper_who_paid_and_never_came_back_is_found(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()

    pass_time(clock, seconds=20)

    assert state(payment) == ("captured", "", "paid")


@pytest.mark.parametrize("when", [{"minutes": 20}, {"days": 1}, {"days": 25}])
def test_money_of_an_abandoned_redirect_is_found_for_thirty_days(merchant, account, bank, clock, when):
    order = an_order(merchant, expires_in=7 * 24 * 3600)
    payment = a_payment(order, "cashier")
    pass_time(clock, minutes=16)
    assert fresh(payment).status == "expired"

    pass_time(clock, **when)
    bank.latest().approve()
    pass_time(clock, days=31)

    assert fresh(payment).status == "captured"
    assert fresh(order).captured_total == 1000


def test_listening_ends_after_thirty_days(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "cashier")

    pass_time(clock, days=40)

    assert fresh(payment).due_at is None
    work_until_quiet()
    assert Payment.objects.exclude(due_at=None).count() == 0


def test_a_qr_code_is_waited_for_longer(merchant, bank, clock):
    from tests.factories import an_account

    an_account(merchant, provider="bare")
    payment = a_payment(an_order(merchant), "qr")

    pass_time(clock, minutes=29)
    assert state(payment)[:2] == ("pending", "qr")
    pass_time(clock, minutes=2)

    assert state(payment) == ("expired", "", "open")
