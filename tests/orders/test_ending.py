"""How an order ends without being paid: its time is up, or the merchant no longer wants it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from checkout.orders import operations
from checkout.orders.intents import NotAllowed
from tests.factories import a_payment, an_order, work_until_quiet
from tests.orders.stage import fresh, pass_time, reach, state, types

pytestmark = pytest.mark.django_db


# ------------------------------------------------------------------------------------------------------------- its time


def test_an_order_that_nobody_tried_to_pay_expires_without_a_call(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)

    pass_time(clock, seconds=290)
    assert fresh(order).status == "open"
    pass_time(clock, seconds=20)

    assert (fresh(order).status, fresh(order).due_at) == ("expired", None)
    assert bank.calls == []


def test_expiry_asks_first_and_finds_the_money(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")
    clock.shift(295)
    work_until_quiet()
    bank.latest().approve()
    bank.calls.clear()

    operations.expire_due(order.pk)
    clock.shift(10)
    operations.expire_due(order.pk)

    assert bank.calls == ["fetch"]
    assert state(payment) == ("captured", "", "paid")
    assert "order.expired" not in types(order)


def test_expiry_asks_first_and_ends_what_was_not_paid(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")

    pass_time(clock, seconds=400)

    assert state(payment) == ("expired", "", "expired")
    assert fresh(payment).answered_at >= order.expires_at
    assert types(order)[-1] == "order.expired"


@pytest.mark.parametrize("fault", ["unreachable", "lost", "rejected"])
def test_nothing_expires_without_an_answer(merchant, account, bank, clock, fault):
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")
    for _ in range(100):
        bank.arm("fetch", fault)

    pass_time(clock, minutes=20)
    assert state(payment) == ("pending", "redirect", "requires_action")
    bank.faults.clear()
    pass_time(clock, minutes=20)

    assert state(payment) == ("expired", "", "expired")


@pytest.mark.parametrize("method", ["card", "instant"])
def test_an_unknown_outcome_never_expires(merchant, account, bank, clock, method):
    order = an_order(merchant, expires_in=300)
    bank.arm("start", "lost_after")
    for _ in range(500):
        bank.arm("fetch", "lost")
    payment = a_payment(order, method)

    pass_time(clock, days=10)

    assert state(payment) == ("pending", "ask", "needs_review")
    assert fresh(order).expired_at is None


def test_an_order_that_waits_long_for_an_answer_is_looked_at_ever_more_rarely(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)
    a_payment(order, "card")
    looks = 0

    end = timezone.now().timestamp() + 5 * 24 * 3600
    while fresh(order).due_at.timestamp() < end:
        reach(clock, fresh(order).due_at)
        operations.expire_due(order.pk)
        looks += 1

    assert looks < 60
    assert bank.calls == ["start"]


def test_an_authorised_order_does_not_expire(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300, capture="manual")
    payment = a_payment(order, "instant")

    pass_time(clock, hours=2)

    assert state(payment) == ("authorised", "", "authorised")
    assert fresh(order).due_at is None


def test_an_order_whose_hold_ended_expires_after_all(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300, capture="manual")
    payment = a_payment(order, "instant")
    pass_time(clock, hours=2)
    bank.latest().void("expired")
    operations.inquire(payment, cause="test")

    pass_time(clock, minutes=2)

    assert state(payment) == ("expired", "", "expired")


def test_an_order_with_all_tries_used_up_expires_in_the_end(merchant, account, bank, clock):
    merchant.try_limit = 1
    merchant.save()
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "card")
    bank.latest().end("failed")
    operations.inquire(payment, cause="test")
    assert fresh(order).status == "failed"

    pass_time(clock, seconds=400)

    assert fresh(order).status == "expired"


def test_expiry_twice_is_expiry_once(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)
    clock.shift(400)

    operations.expire_due(order.pk)
    operations.expire_due(order.pk)

    assert types(order).count("order.expired") == 1
    assert fresh(order).due_at is None


def test_an_order_that_comes_up_too_early_is_put_back(merchant, account, bank, clock):
    order = an_order(merchant)

    operations.expire_due(order.pk)

    assert (fresh(order).status, fresh(order).due_at) == ("open", order.expires_at)


# -------------------------------------------------------------------------------------------------- the merchant's wish


def test_cancelling_an_open_order_ends_it(merchant, account, bank):
    order = an_order(merchant)

    operations.cancel_order(order, actor="staff:1")
    operations.cancel_order(order, actor="staff:2")

    assert fresh(order).status == "cancelled"
    assert order.events.get(type="order.cancelled").actor == "staff:1"
    with pytest.raises(operations.NotPayable):
        a_payment(order, "instant")


def test_cancelling_asks_about_a_redirect_first(merchant, account, bank):
    order = an_order(merchant)
    payment = a_payment(order, "cashier")

    operations.cancel_order(order, actor="staff:1")

    assert bank.calls == ["start", "fetch"]
    assert state(payment) == ("expired", "", "cancelled")


def test_an_order_that_was_paid_meanwhile_is_not_cancelled(merchant, account, bank):
    order = an_order(merchant)
    payment = a_payment(order, "cashier")
    bank.latest().approve()

    with pytest.raises(NotAllowed) as refused:
        operations.cancel_order(order, actor="staff:1")

    assert refused.value.code == "paid"
    assert state(payment) == ("captured", "", "paid")


@pytest.mark.parametrize(("method", "fault"), [("card", ""), ("cashier", "unreachable"), ("cashier", "lost")])
def test_an_order_with_an_open_outcome_is_not_cancelled(merchant, account, bank, method, fault):
    order = an_order(merchant)
    payment = a_payment(order, method)
    if fault:
        bank.arm("fetch", fault)

    with pytest.raises(NotAllowed) as refused:
        operations.cancel_order(order, actor="staff:1")

    assert refused.value.code == "in_progress"
    assert fresh(payment).status == "pending"
    assert fresh(order).cancelled_at is None


def test_cancelling_an_authorised_order_lets_the_hold_go(merchant, account, bank):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "instant")

    operations.cancel_order(order, actor="staff:1")
    assert fresh(order).status == "authorised", "asked for is not done"
    work_until_quiet()

    assert state(payment) == ("cancelled", "", "cancelled")
    assert (bank.latest().held, fresh(payment).held, fresh(payment).released_total) == (0, 0, 1000)
    assert payment.cancellations.get().requested_by == "staff:1"


def test_an_order_whose_hold_is_being_let_go_can_be_cancelled(merchant, account, bank, clock):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "instant")
    bank.arm("cancel", "unreachable")
    operations.cancel(payment, requested_by="staff:1")

    operations.cancel_order(order, actor="staff:2")
    pass_time(clock, minutes=3)

    assert payment.cancellations.count() == 1
    assert state(payment) == ("cancelled", "", "cancelled")


def test_an_order_with_a_capture_on_its_way_is_not_cancelled(merchant, account, bank):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "instant")
    bank.arm("capture", "lost")
    operations.capture(payment)

    with pytest.raises(NotAllowed) as refused:
        operations.cancel_order(order, actor="staff:1")

    assert refused.value.code == "capturing"
    assert fresh(order).cancelled_at is None


def test_a_hold_that_turns_out_to_be_captured_is_late_money(merchant, account, bank, clock):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "instant")
    operations.cancel_order(order, actor="staff:1")
    bank.latest().capture_elsewhere(1000)

    pass_time(clock, minutes=3)

    assert state(payment) == ("captured", "", "paid")
    assert "paid_late" in fresh(order).flags
    assert payment.cancellations.get().status == "failed"
