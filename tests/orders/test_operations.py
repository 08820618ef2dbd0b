"""Refunds, captures and cancellations: asked for once, sent until answered, never more than there is."""

from __future__ import annotations

import pytest

from checkout.orders import execution, operations
from checkout.orders.intents import NotAllowed
from checkout.orders.models import Capture, Refund
from tests.factories import a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, hear, pass_time, state, types

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(merchant, account, bank):
    return a_payment(an_order(merchant), "instant")


@pytest.fixture
def held(merchant, account, bank):
    return a_payment(an_order(merchant, capture="manual"), "instant")


def totals(payment):
    payment = fresh(payment)
    return payment.authorised_total, payment.captured_total, payment.refunded_total, payment.released_total


# -------------------------------------------------------------------------------------------------------------- refunds


def test_a_refund_gives_back_all_that_remains(paid, bank):
    refund = operations.refund(paid, reason="sent back", requested_by="staff:1")

    assert (refund.status, refund.amount, refund.tries, refund.due_at) == ("succeeded", 1000, 1, None)
    assert state(paid) == ("captured", "", "refunded")
    assert (bank.latest().refunded, fresh(paid).refunds_reserved) == (1000, 0)
    requested = paid.order.events.get(type="refund.requested")
    assert (requested.actor, requested.data["amount"]) == ("staff:1", 1000)


def test_partial_refunds_add_up(paid, bank):
    operations.refund(paid, amount=300)
    assert state(paid)[2] == "partially_refunded"
    operations.refund(paid, amount=700)

    assert state(paid)[2] == "refunded"
    assert (bank.latest().refunded, fresh(paid).refundable) == (1000, 0)


@pytest.mark.parametrize(
    ("amount", "code"),
    [(1001, "too_much"), (0, "nothing_refundable"), (-5, "nothing_refundable"), (10**18, "too_much")],
)
def test_an_amount_that_is_not_there_is_not_refunded(paid, bank, amount, code):
    with pytest.raises(NotAllowed) as refused:
        operations.refund(paid, amount=amount)

    assert (refused.value.code, refused.value.remaining) == (code, 1000)
    assert bank.calls == ["start"]
    assert not Refund.objects.exists()


def test_a_refund_in_flight_is_spoken_for(paid, bank):
    bank.arm("refund", "lost")
    operations.refund(paid, amount=600)

    with pytest.raises(NotAllowed) as refused:
        operations.refund(paid, amount=600)

    assert (refused.value.code, refused.value.remaining) == ("too_much", 400)
    assert fresh(paid).refundable == 400


def test_a_refund_against_an_old_view_is_refused(paid, bank):
    operations.refund(paid, amount=300)

    with pytest.raises(NotAllowed) as refused:
        operations.refund(paid, amount=300, expected_refundable=1000)

    assert (refused.value.code, refused.value.remaining) == ("stale", 700)
    assert bank.latest().refunded == 300


def test_nothing_that_was_not_captured_is_refunded(held, bank):
    with pytest.raises(NotAllowed, match="Nothing is refundable"):
        operations.refund(held)


@pytest.mark.parametrize("fault", ["lost_after", "garbled"])
def test_a_refund_whose_answer_was_lost_is_asked_about_and_made_once(paid, bank, clock, fault):
    bank.arm("refund", fault)
    refund = operations.refund(paid, amount=400)
    assert (refund.status, state(paid)[2]) == ("sent", "paid"), "asked for is not done"

    pass_time(clock, minutes=3)

    assert (fresh(refund).status, bank.latest().refunded) == ("succeeded", 400)
    assert bank.calls.count("refund") == 1
    assert totals(paid)[2] == 400


@pytest.mark.parametrize(("fault", "sendings"), [("unreachable", 2), ("lost", 2)])
def test_a_refund_that_never_arrived_is_sent_again_under_its_name(paid, bank, clock, fault, sendings):
    bank.arm("refund", fault)
    refund = operations.refund(paid, amount=400)

    pass_time(clock, minutes=20)

    assert fresh(refund).status == "succeeded"
    assert list(bank.latest().operations) == [refund.reference]
    assert bank.calls.count("refund") == sendings


@pytest.mark.parametrize("death", ["death", "death_after"])
def test_a_refund_survives_the_death_of_its_process(paid, bank, clock, death):
    bank.arm("refund", death)
    with pytest.raises(KeyboardInterrupt):
        operations.refund(paid, amount=400)
    assert Refund.objects.get().status == "sent"

    pass_time(clock, minutes=20)

    assert (Refund.objects.get().status, bank.latest().refunded, totals(paid)[2]) == ("succeeded", 400, 400)


def test_a_rejected_refund_fails_and_frees_its_amount(paid, bank):
    bank.arm("refund", "rejected")

    refund = operations.refund(paid, amount=400)

    assert (refund.status, refund.error_code) == ("failed", "rejected")
    assert (fresh(paid).refunds_reserved, fresh(paid).refundable) == (0, 1000)
    assert state(paid)[2] == "paid"


def test_a_refused_refund_fails_with_the_banks_code(paid, bank):
    bank.refuses.add("refund")

    refund = operations.refund(paid)

    assert (refund.status, refund.error_code, fresh(paid).refundable) == ("failed", "no", 1000)


def test_a_rejected_question_does_not_fail_a_refund(paid, bank, clock):
    bank.arm("refund", "lost_after")
    bank.arm("fetch_refund", "rejected")
    refund = operations.refund(paid, amount=400)

    pass_time(clock, minutes=2)
    assert fresh(refund).status == "sent"
    pass_time(clock, minutes=20)

    assert fresh(refund).status == "succeeded"


def test_a_slow_refund_is_asked_about_until_it_is_done(paid, bank, clock):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=400)
    assert (refund.status, totals(paid)[2], fresh(paid).refunds_reserved) == ("pending", 0, 400)

    pass_time(clock, days=2)
    bank.settle()
    pass_time(clock, days=2)

    assert (fresh(refund).status, totals(paid)[2]) == ("succeeded", 400)


def test_a_refund_that_never_ends_is_left_to_a_person_and_taken_up_again(paid, bank, clock):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=400)

    pass_time(clock, days=16)
    review = paid.reviews.get()
    assert (review.kind, fresh(refund).status, fresh(refund).due_at) == ("refund_stuck", "pending", None)
    bank.settle()
    operations.resolve_review(review, actor="staff:1", resolution="Their support says that it is out.")
    work_until_quiet()

    assert fresh(refund).status == "succeeded"
    assert state(paid)[2] == "partially_refunded"


def test_a_bounced_refund_reopens_the_money(paid, account, bank):
    refund = operations.refund(paid)
    charge = bank.latest()
    charge.bounce(refund.reference)
    notice = charge.operation_notice("bounced", charge.operations[refund.reference], reference=refund.reference)

    hear(account, notice)
    hear(account, {**notice, "event": "bounced again"})

    assert fresh(refund).status == "reversed"
    assert (fresh(paid).reversed_total, fresh(paid).refundable, state(paid)[2]) == (1000, 1000, "paid")
    assert operations.refund(paid).status == "succeeded"
    assert state(paid)[2] == "refunded"


def test_a_bounce_that_overtakes_its_refund_counts_both(paid, account, bank):
    bank.slow.add("refund")
    refund = operations.refund(paid)
    bank.settle()
    charge = bank.latest()
    deed = charge.operations[refund.reference]
    went_out = charge.operation_notice("out", deed, reference=refund.reference)
    charge.bounce(refund.reference)

    hear(account, charge.operation_notice("bounced", deed, reference=refund.reference))
    hear(account, went_out)

    assert fresh(refund).status == "reversed"
    assert (fresh(paid).refunded_total, fresh(paid).reversed_total, fresh(paid).refunds_reserved) == (1000, 1000, 0)


def test_a_refund_that_moved_less_is_recorded_as_told(paid, account, bank):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=400)
    deed = bank.latest().operations[refund.reference]

    hear(account, bank.latest().operation_notice("r", deed, reference=refund.reference, state="succeeded", amount=300))

    assert (fresh(refund).status, totals(paid)[2], fresh(paid).refundable) == ("succeeded", 300, 700)


def test_a_refund_that_moved_nothing_is_no_entry(paid, account, bank):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=400)
    deed = bank.latest().operations[refund.reference]

    hear(account, bank.latest().operation_notice("r", deed, reference=refund.reference, state="succeeded", amount=0))

    assert (fresh(refund).status, totals(paid)[2], fresh(paid).refundable) == ("succeeded", 0, 1000)


def test_a_refund_told_in_another_currency_opens_a_review(paid, account, bank):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=400)
    deed = bank.latest().operations[refund.reference]

    hear(account, bank.latest().operation_notice("r", deed, reference=refund.reference, currency="USD"))

    assert paid.reviews.get().kind == "currency"
    assert (fresh(refund).status, totals(paid)[2]) == ("pending", 0)


def test_a_failure_after_a_success_changes_nothing(paid, account, bank):
    refund = operations.refund(paid, amount=400)
    deed = bank.latest().operations[refund.reference]

    hear(account, bank.latest().operation_notice("late", deed, reference=refund.reference, state="failed"))

    assert (fresh(refund).status, totals(paid)[2], fresh(paid).refunds_reserved) == ("succeeded", 400, 0)


# ----------------------------------------------------------------------------------------- refunds made at the provider


def test_a_refund_made_elsewhere_becomes_a_row(paid, bank):
    bank.latest().refund_elsewhere(300)

    operations.inquire(paid, cause="test")
    operations.inquire(paid, cause="test")

    refund = Refund.objects.get()
    assert (refund.source, refund.status, refund.amount) == ("external", "succeeded", 300)
    assert (state(paid)[2], fresh(paid).refunds_reserved) == ("partially_refunded", 0)


@pytest.mark.parametrize("notice_first", [True, False])
def test_a_refund_made_elsewhere_is_counted_once_by_either_road(paid, account, bank, notice_first):
    deed = bank.latest().refund_elsewhere(300)
    notice = bank.latest().operation_notice("r1", deed, reference="made-in-the-dashboard")
    roads = [lambda: hear(account, notice), lambda: operations.inquire(paid, cause="test")]

    for road in roads if notice_first else reversed(roads):
        road()
    hear(account, {**notice, "event": "r1 once more"})

    refund = Refund.objects.get()
    assert (refund.provider_reference, refund.amount, totals(paid)[2]) == (deed.id, 300, 300)


def test_two_refunds_made_elsewhere_and_told_as_one_sum_are_not_counted_twice(paid, account, bank):
    charge = bank.latest()
    deeds = [charge.refund_elsewhere(300), charge.refund_elsewhere(200)]
    operations.inquire(paid, cause="test")

    for deed in deeds:
        hear(account, charge.operation_notice(deed.id, deed))

    assert totals(paid)[2] == charge.refunded == 500


def test_a_refund_made_elsewhere_is_not_mistaken_for_ours_when_ours_fails(paid, bank, clock):
    bank.slow.add("refund")
    refund = operations.refund(paid, amount=300)
    bank.latest().refund_elsewhere(300)
    operations.inquire(paid, cause="test")
    assert totals(paid)[2] == 0, "ours may be the reason"
    bank.latest().operations[refund.reference].status = "failed"

    pass_time(clock, days=2)

    assert fresh(refund).status == "failed"
    assert totals(paid)[2] == bank.latest().refunded == 300
    assert Refund.objects.get(source="external").amount == 300


def test_more_given_back_than_taken_is_recorded_and_flagged(paid, bank):
    bank.latest().refunded = 1500

    operations.inquire(paid, cause="test")

    payment = fresh(paid)
    assert (payment.refunded_total, payment.exceeds, payment.refundable) == (1500, True, 0)
    assert state(paid)[2] == "refunded"


def test_a_second_capture_by_the_provider_is_recorded_and_flagged(paid, account, bank):
    bank.latest().authorised = bank.latest().captured = 2000

    operations.inquire(paid, cause="test")

    assert totals(paid)[:2] == (2000, 2000)
    assert "overpaid" in fresh(paid.order).flags
    assert paid.order.events.filter(type="payment.succeeded").count() == 1


def test_a_hold_that_ends_under_a_capture_in_flight_is_flagged(held, bank):
    bank.arm("capture", "lost")
    operations.capture(held)
    bank.latest().void()

    operations.inquire(held, cause="test")

    assert fresh(held).exceeds
    assert totals(held) == (1000, 0, 0, 1000)


# ------------------------------------------------------------------------------------------------------------- captures


def test_a_capture_takes_all_that_is_held(held, bank):
    capture = operations.capture(held)

    assert (capture.status, state(held)) == ("succeeded", ("captured", "", "paid"))
    assert (bank.latest().captured, fresh(held).captures_reserved) == (1000, 0)
    assert "payment.succeeded" in types(held.order)


def test_partial_captures_add_up(held, bank):
    operations.capture(held, amount=300)
    assert state(held) == ("captured", "", "partially_paid")
    operations.capture(held, amount=700)

    assert state(held)[2] == "paid"
    assert bank.latest().captured == 1000
    assert types(held.order).count("payment.succeeded") == 1


@pytest.mark.parametrize(("amount", "code"), [(1001, "too_much"), (0, "nothing_capturable")])
def test_more_than_is_held_is_not_captured(held, bank, amount, code):
    with pytest.raises(NotAllowed) as refused:
        operations.capture(held, amount=amount)

    assert (refused.value.code, refused.value.remaining) == (code, 1000)
    assert not Capture.objects.exists()


def test_a_paid_payment_has_nothing_to_capture(paid, bank):
    with pytest.raises(NotAllowed, match="Nothing is capturable"):
        operations.capture(paid)


@pytest.mark.parametrize("fault", ["lost", "lost_after", "garbled", "unreachable"])
def test_a_capture_without_answer_happens_once(held, bank, clock, fault):
    bank.arm("capture", fault)
    capture = operations.capture(held, amount=600)

    pass_time(clock, minutes=20)

    assert (fresh(capture).status, bank.latest().captured, totals(held)[1]) == ("succeeded", 600, 600)
    assert list(bank.latest().operations) == [capture.reference]


@pytest.mark.parametrize("second", ["lost", "lost_after"])
@pytest.mark.parametrize("first", ["lost", "lost_after"])
def test_two_captures_without_answer_are_told_apart(held, bank, clock, first, second):
    bank.arm("capture", first)
    bank.arm("capture", second)
    captures = [operations.capture(held, amount=300), operations.capture(held, amount=300)]

    pass_time(clock, hours=2)

    assert [fresh(capture).status for capture in captures] == ["succeeded", "succeeded"]
    assert totals(held)[1] == bank.latest().captured == 600


def test_a_refused_capture_frees_its_amount(held, bank):
    bank.refuses.add("capture")

    capture = operations.capture(held)

    assert (capture.status, fresh(held).captures_reserved, fresh(held).capturable) == ("failed", 0, 1000)
    assert state(held) == ("authorised", "", "authorised")


def test_a_capture_made_elsewhere_is_found(held, account, bank):
    bank.latest().capture_elsewhere(400)

    hear(account, bank.latest().notice("captured"))

    assert state(held) == ("captured", "", "partially_paid")
    assert totals(held)[:2] == (1000, 400)


def test_a_capture_of_ours_is_not_counted_again_when_a_webhook_tells_the_total(held, account, bank, clock):
    bank.arm("capture", "lost_after")
    operations.capture(held, amount=400)

    hear(account, bank.latest().notice("captured"))
    pass_time(clock, minutes=3)

    assert totals(held)[1] == bank.latest().captured == 400


# ---------------------------------------------------------------------------------------------------- letting a hold go


def test_a_cancellation_lets_the_hold_go(held, bank):
    cancellation = operations.cancel(held)

    assert (cancellation.status, cancellation.amount) == ("succeeded", 1000)
    assert state(held) == ("cancelled", "", "open")
    assert totals(held) == (1000, 0, 0, 1000)
    assert bank.latest().held == fresh(held).held == 0


@pytest.mark.parametrize("fault", ["lost", "lost_after", "garbled", "unreachable"])
def test_a_cancellation_without_answer_is_followed_up(held, bank, clock, fault):
    bank.arm("cancel", fault)
    cancellation = operations.cancel(held)

    pass_time(clock, minutes=10)

    assert fresh(cancellation).status == "succeeded"
    assert (state(held)[0], totals(held)) == ("cancelled", (1000, 0, 0, 1000))


def test_a_hold_is_let_go_once_and_not_while_a_capture_is_on_its_way(held, bank):
    bank.arm("cancel", "lost")
    operations.cancel(held)
    with pytest.raises(NotAllowed) as twice:
        operations.cancel(held)
    with pytest.raises(NotAllowed) as captured:
        operations.capture(held)

    assert (twice.value.code, captured.value.code) == ("cancelling", "cancelling")


def test_a_capture_on_its_way_keeps_the_hold(held, bank):
    bank.arm("capture", "lost")
    operations.capture(held, amount=1)

    with pytest.raises(NotAllowed) as refused:
        operations.cancel(held)

    assert refused.value.code == "capturing"


def test_nothing_held_is_nothing_to_let_go(paid, bank):
    with pytest.raises(NotAllowed) as refused:
        operations.cancel(paid)

    assert refused.value.code == "nothing_held"


# --------------------------------------------------------------------------------------------------------- capabilities


def test_a_provider_that_cannot_is_not_asked(merchant, bank):
    an_account(merchant, provider="bare")
    payment = a_payment(an_order(merchant), "transfer")
    bank.latest().approve()
    operations.inquire(payment, cause="test")
    bank.calls.clear()

    for operation in (operations.refund, operations.capture, operations.cancel):
        with pytest.raises(NotAllowed) as refused:
            operation(payment)
        assert refused.value.code == "unsupported"

    assert bank.calls == []


def test_an_operation_that_is_done_is_left_alone(paid, bank):
    refund = operations.refund(paid)
    bank.calls.clear()

    execution.execute(Refund, refund.pk)

    assert bank.calls == []
    assert totals(paid)[2] == 1000
