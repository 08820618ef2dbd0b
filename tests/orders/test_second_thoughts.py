"""A provider says that a capture, refund or cancellation failed, and then that it happened after all."""

from __future__ import annotations

import pytest
from django.utils import timezone

from checkout import work
from checkout.orders import operations
from checkout.orders.intents import NotAllowed
from providers.contract import OperationStatus
from tests.factories import a_payment, an_event, an_order, work_until_quiet
from tests.orders.invariants import check_order
from tests.orders.stage import fresh, hear, pass_time, state

pytestmark = pytest.mark.django_db

ASK = {"capture": operations.capture, "refund": operations.refund, "cancel": operations.cancel}


def ready_for(kind, merchant):
    return a_payment(an_order(merchant, capture="automatic" if kind == "refund" else "manual"), "instant")


def refused(kind, payment, bank, **wish):
    """An operation that the bank said no to, and its entry in the bank's books."""
    bank.refuses.add(kind)
    row = ASK[kind](payment, **wish)
    bank.refuses.clear()
    assert row.status == "failed"
    return row, bank.latest().operations[row.reference]


def money(payment):
    payment = fresh(payment)
    return payment.held, payment.captured_total, payment.refunded_total


@pytest.mark.parametrize("told_first", [True, False])
@pytest.mark.parametrize("kind", ["refund", "capture"])
def test_what_happened_after_all_is_counted_once(merchant, account, bank, clock, kind, told_first):
    payment = ready_for(kind, merchant)
    row, deed = refused(kind, payment, bank, amount=400)
    work_until_quiet()
    charge = bank.latest()
    deed.status = charge.carry_out(deed)

    if told_first:
        operations.inquire(payment, cause="test")
    hear(account, charge.operation_notice("s1", deed, reference=row.reference))
    pass_time(clock, days=2)

    assert fresh(row).status == "succeeded"
    assert money(payment) == ((0, 1000, 400) if kind == "refund" else (600, 400, 0))
    check_order(fresh(payment.order))


@pytest.mark.parametrize("kind", ["refund", "capture"])
def test_what_happened_after_all_and_what_was_done_elsewhere_are_both_counted(merchant, account, bank, clock, kind):
    payment = ready_for(kind, merchant)
    row, deed = refused(kind, payment, bank, amount=400)
    charge = bank.latest()
    charge.refund_elsewhere(400) if kind == "refund" else charge.capture_elsewhere(400)
    work_until_quiet()
    deed.status = charge.carry_out(deed)

    hear(account, charge.operation_notice("s1", deed, reference=row.reference))
    pass_time(clock, days=2)

    assert money(payment) == ((0, 1000, 800) if kind == "refund" else (200, 800, 0))
    check_order(fresh(payment.order))


def test_a_hold_that_was_let_go_after_all_is_gone(merchant, account, bank):
    payment = ready_for("cancel", merchant)
    row, deed = refused("cancel", payment, bank)
    charge = bank.latest()
    deed.status = charge.carry_out(deed)

    hear(account, charge.operation_notice("s1", deed, reference=row.reference))

    assert (state(payment)[0], money(payment), fresh(payment).released_total) == ("cancelled", (0, 0, 0), 1000)
    check_order(fresh(payment.order))


def test_what_happens_while_an_answer_is_on_its_way_is_asked_about_again(merchant, account, bank, clock):
    """A sum is taken for our refund in flight; then ours fails, while an answer from before the sum is on its way."""
    payment = ready_for("refund", merchant)
    bank.slow.add("refund")
    row = operations.refund(payment, amount=400)
    charge = bank.latest()
    deed = charge.operations[row.reference]
    type(payment).objects.filter(pk=payment.pk).update(due_at=timezone.now())

    def somebody_else_refunds_and_ours_fails():
        charge.refund_elsewhere(400)
        deed.status = OperationStatus.FAILED
        for body in (charge.notice("p1"), charge.operation_notice("f1", deed, reference=row.reference)):
            work.run_one("inbox", an_event(account, body).pk)

    bank.meanwhile.append(somebody_else_refunds_and_ours_fails)
    work_until_quiet()

    assert (fresh(row).status, money(payment)) == ("failed", (0, 1000, 400))
    assert fresh(payment).due_at is None


def test_two_refunds_of_the_same_amount_made_elsewhere_are_two(merchant, account, bank):
    payment = ready_for("refund", merchant)
    charge = bank.latest()
    charge.refund_elsewhere(250)
    operations.inquire(payment, cause="test")
    second = charge.refund_elsewhere(250)

    hear(account, charge.operation_notice("x2", second))

    assert [row.amount for row in payment.refunds.all()] == [250, 250]
    assert money(payment) == (0, 1000, 500)


@pytest.mark.parametrize("fetched_first", [True, False])
def test_a_refund_made_elsewhere_that_bounces_comes_back(merchant, account, bank, fetched_first):
    payment = ready_for("refund", merchant)
    charge = bank.latest()
    deed = charge.refund_elsewhere(250)
    if fetched_first:
        operations.inquire(payment, cause="test")
    charge.bounce(deed.id)

    for number in range(2):
        hear(account, charge.operation_notice(f"b{number}", deed))

    assert [row.status for row in payment.refunds.all()] == ["reversed"]
    assert (fresh(payment).net, state(payment)[2]) == (charge.net, "paid") == (1000, "paid")
    check_order(fresh(payment.order))


def test_a_refund_made_elsewhere_without_a_name_is_read_off_the_sum(merchant, account, bank):
    payment = ready_for("refund", merchant)
    charge = bank.latest()
    deed = charge.refund_elsewhere(250)

    for number in range(3):
        hear(account, charge.operation_notice(f"x{number}", deed, id=""))

    assert (payment.refunds.count(), money(payment)) == (1, (0, 1000, 250))


def test_a_refund_numbered_like_a_capture_is_not_taken_for_it(merchant, account, bank):
    payment = ready_for("capture", merchant)
    captured = operations.capture(payment)
    charge = bank.latest()
    charge.refund_elsewhere(250)
    theirs = charge.operation_notice("c1", charge.operations[captured.reference], reference=captured.reference)
    hear(account, {**theirs, "id": "1"})

    hear(account, {**theirs, "event": "r1", "reference": "", "id": "1", "operation": "refund", "amount": 250})

    assert (payment.refunds.get().amount, money(payment)) == (250, (0, 1000, 250))


def test_credentials_that_do_not_open_fail_what_was_never_sent(merchant, account, bank, settings):
    payment = ready_for("refund", merchant)
    settings.SEAL_KEYS = ["MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="]

    row = operations.refund(payment)

    assert (row.status, row.error_code, bank.calls) == ("failed", "settings", ["start"])
    assert fresh(payment).refundable == 1000


def test_what_is_left_after_a_refund_elsewhere_is_what_can_be_given_back(merchant, account, bank):
    payment = ready_for("refund", merchant)
    bank.latest().refund_elsewhere(900)

    row = operations.refund(payment, amount=500)
    work_until_quiet()

    assert (row.status, fresh(payment).refundable, money(payment)) == ("failed", 100, (0, 1000, 900))
    with pytest.raises(NotAllowed):
        operations.refund(payment, amount=101)
