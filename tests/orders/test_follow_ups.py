"""What follows an attempt: closing what nobody paid, a capture that the provider makes itself, a dispute's end."""

from __future__ import annotations

import dataclasses

import pytest

from checkout.orders import intents, operations
from checkout.orders.apply import Outcome, Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Cancellation, EntryKind, Payment, Review
from providers.contract import (
    Capability,
    DisputeReport,
    DisputeStatus,
    OperationStatus,
    OutcomeUnknown,
    PaymentReport,
    PostForm,
    Started,
    Status,
    Wait,
)
from providers.money import Money
from tests.factories import VISA, a_payment, an_account, an_order
from tests.orders.stage import fresh, pass_time, state, types

from providers.acme import BANK  # isort: skip
from providers.zenith import DESK, RIGHT, paid, waiting  # isort: skip

pytestmark = pytest.mark.django_db

THEIR_PAGE = "https://zenith.example/pay"


@pytest.fixture
def account(zenith):
    return zenith


def test_an_answer_that_wants_to_be_confirmed_is_asked_about_at_once(merchant, account):
    DESK.say("start", lambda request: Started(waiting(request, confirm=True), Wait()))
    DESK.say("fetch", paid)

    payment = a_payment(an_order(merchant), "bankcard", card=VISA)

    assert DESK.names() == ["start", "fetch"]
    assert (payment.status, fresh(payment.order).status) == ("captured", "paid")


def test_an_endless_name_of_theirs_breaks_nothing_and_is_known_again(merchant, account):
    payment = a_payment(an_order(merchant), "page")
    Payment.objects.update(provider_reference="")
    named = dataclasses.replace(paid(payment_ref(payment)), provider_reference="z" * 5000)

    assert apply(account, named, road=Road.FETCH, cause="test") is Outcome.APPLIED
    assert apply(account, named, road=Road.FETCH, cause="test") is Outcome.NO_NEWS
    assert len(fresh(payment).provider_reference) <= 100


# ------------------------------------------------------------------------------------------------------------- QR codes


def test_a_qr_code_is_shown_for_as_long_as_the_provider_says(merchant, account, clock):
    payment = a_payment(an_order(merchant), "wallet")

    assert (payment.step, payment.step_data["content"]) == ("qr", f"https://zenith.example/w/{payment.reference}")
    assert (payment.deadline - payment.created_at).total_seconds() == 300
    pass_time(clock, seconds=301)
    assert state(payment) == ("expired", "", "open")


def test_a_fresh_qr_code_is_another_attempt_after_the_old_one_was_closed(merchant, account):
    order = an_order(merchant)
    old = a_payment(order, "wallet")

    new = a_payment(order, "wallet")

    assert new.reference != old.reference
    assert DESK.names() == ["start", "fetch", "cancel", "start"]
    assert (fresh(old).status, new.step) == ("cancelled", "qr")


def test_a_qr_code_that_was_paid_meanwhile_is_not_replaced(merchant, account):
    order = an_order(merchant)
    payment = a_payment(order, "wallet")
    DESK.reports[payment.reference] = paid(payment_ref(payment))

    with pytest.raises(operations.NotPayable, match="paid"):
        a_payment(order, "wallet")
    assert DESK.names() == ["start", "fetch"]


# ----------------------------------------------------------------------------------------------- forms for their pages


def test_a_form_that_the_shopper_has_not_sent_yet_is_unknown_to_them_and_alive(merchant, account, clock):
    DESK.say(
        "start", lambda request: Started(waiting(request, provider_reference=""), PostForm(THEIR_PAGE, {"a": "1"}))
    )
    payment = a_payment(an_order(merchant), "page")
    DESK.reports.clear()

    pass_time(clock, minutes=14)
    assert state(payment) == ("pending", "post_form", "requires_action")
    pass_time(clock, minutes=2)

    assert state(payment) == ("expired", "", "open")
    assert fresh(payment).decline_category == "abandoned"


# -------------------------------------------------------------------------------------------------------------- closing


def test_a_provider_that_cannot_close_it_now_keeps_nobody_from_paying_otherwise(merchant, account):
    order = an_order(merchant)
    old = a_payment(order, "page")
    DESK.say("cancel", lambda request: request.report(OperationStatus.FAILED, error_code="3003"))

    a_payment(order, "wallet")

    assert fresh(old).status == "expired"
    assert not Review.objects.exists()


def test_a_lost_answer_to_closing_is_followed_up(merchant, account, clock):
    order = an_order(merchant)
    old = a_payment(order, "page")
    DESK.say("cancel", OutcomeUnknown("lost", code="read_timeout"))
    a_payment(order, "wallet")
    assert Cancellation.objects.get().is_in_flight

    pass_time(clock, minutes=10)

    assert Cancellation.objects.get().status == OperationStatus.SUCCEEDED
    assert fresh(old).status in {"expired", "cancelled"}


def test_an_order_that_expires_is_closed_at_the_provider(merchant, account, clock):
    order = an_order(merchant, expires_in=600)
    payment = a_payment(order, "page")

    pass_time(clock, seconds=601)

    assert "cancel" in DESK.names()
    assert (fresh(payment).status, fresh(order).status) == ("cancelled", "expired")


def test_cancelling_an_order_closes_what_is_open(merchant, account):
    order = an_order(merchant)
    payment = a_payment(order, "page")

    operations.cancel_order(order, actor="staff:1")

    assert (fresh(payment).status, fresh(order).status) == ("cancelled", "cancelled")


def test_money_after_closing_is_money_all_the_same(merchant, account):
    order = an_order(merchant)
    old = a_payment(order, "page")
    a_payment(order, "wallet")
    assert fresh(old).status == "cancelled"

    apply(account, paid(payment_ref(old)), road=Road.FETCH, cause="test")

    assert (fresh(old).status, fresh(order).status) == ("captured", "paid")


# ------------------------------------------------------------------------------------------------------------- offering


def test_a_method_that_must_be_asked_for_is_offered_only_then(merchant, account):
    codes = [offer.method.code for offer in operations.offers(an_order(merchant))]
    assert "hidden" not in codes
    account.methods = ["hidden"]
    account.save()

    assert [offer.method.code for offer in operations.offers(an_order(merchant))] == ["hidden"]


def test_a_method_that_cannot_hold_is_not_offered_for_manual_capture(merchant, monkeypatch):
    an_account(merchant)
    from providers.acme import Provider

    methods = tuple(dataclasses.replace(method, can_hold=method.code == "card") for method in Provider.methods)
    monkeypatch.setattr(Provider, "methods", methods)

    offers = operations.offers(an_order(merchant, capture="manual"))

    assert [offer.method.code for offer in offers] == ["card"]


# --------------------------------------------------------------------------------------- a capture that comes by itself


def held(request) -> PaymentReport:
    return PaymentReport(
        reference=request.reference,
        provider_reference=f"Z-{request.reference}",
        status=Status.AUTHORISED,
        amount=request.amount,
        authorised=request.amount.minor,
    )


@pytest.fixture
def awaited(merchant, account) -> Payment:
    DESK.say("start", lambda request: Started(held(request), Wait()))
    return a_payment(an_order(merchant), "bankcard", card=VISA)


def test_authorised_is_not_captured_until_the_provider_says_so(awaited, clock):
    assert state(awaited) == ("authorised", "", "authorised")
    assert awaited.awaits_capture
    assert awaited.due_at
    assert "payment.succeeded" not in types(awaited.order)

    DESK.reports[awaited.reference] = paid(payment_ref(awaited))
    pass_time(clock, seconds=15)

    assert state(awaited) == ("captured", "", "paid")
    assert "payment.succeeded" in types(awaited.order)


def test_a_capture_that_never_comes_reaches_a_person(awaited, clock):
    pass_time(clock, days=8)

    assert Review.objects.get().kind == "not_captured"


def test_a_hold_may_lapse_without_a_word_so_it_is_asked_about_daily(merchant, clock):
    an_account(merchant)
    payment = a_payment(an_order(merchant, capture="manual"), "instant")
    pass_time(clock, hours=12)
    assert "fetch" not in BANK.calls

    BANK.latest().void()
    pass_time(clock, hours=24)

    assert BANK.calls.count("fetch") == 1
    assert (fresh(payment).status, fresh(payment).held) == ("cancelled", 0)


def test_a_part_that_nobody_asked_for_is_looked_at_before_success_is_told(merchant, account):
    payment = a_payment(an_order(merchant), "page")
    part = dataclasses.replace(paid(payment_ref(payment)), captured=900, authorised=900)

    apply(account, part, road=Road.FETCH, cause="test")

    assert fresh(payment.order).status == "needs_review"
    assert Review.objects.get().kind == "captured_amount"
    assert "payment.succeeded" not in types(payment.order)


def test_what_one_capture_leaves_is_let_go_where_there_can_be_no_second(merchant, monkeypatch):
    from providers.acme import Provider

    monkeypatch.setattr(Provider, "capabilities", Provider.capabilities - {Capability.MULTIPLE_CAPTURE})
    an_account(merchant)
    payment = a_payment(an_order(merchant, capture="manual"), "instant")

    operations.capture(payment, amount=400)

    payment = fresh(payment)
    assert (payment.captured_total, payment.released_total, payment.held) == (400, 600, 0)
    assert payment.order.status == "partially_paid"


# ------------------------------------------------------------------------------------------------------------- disputes


def dispute(payment: Payment, status: DisputeStatus = DisputeStatus.OPEN, amount: int = 1000) -> Outcome:
    report = DisputeReport(
        reference=payment.reference,
        provider_reference="D1",
        stage=str(status),
        status=status,
        amount=Money(amount, payment.currency),
    )
    return apply(payment.account, report, road=Road.WEBHOOK, cause="test")


@pytest.fixture
def captured(merchant, account) -> Payment:
    return operations.submit_code(a_payment(an_order(merchant), "bankcard", card=VISA), code=RIGHT)


def entries(payment: Payment) -> list[tuple[str, int]]:
    kinds = (EntryKind.DISPUTED, EntryKind.DISPUTE_RETURNED)
    return list(payment.entries.filter(kind__in=kinds).values_list("kind", "amount"))


def test_a_lost_dispute_takes_its_money(captured):
    assert dispute(captured) is Outcome.APPLIED
    assert fresh(captured.order).flags == ["test", "disputed"]
    assert dispute(captured, DisputeStatus.LOST, 600) is Outcome.APPLIED

    assert entries(captured) == [("disputed", 600)]
    assert types(captured.order)[-1] == "dispute.lost"


def test_a_won_dispute_takes_nothing_and_lifts_the_flag(captured):
    dispute(captured)
    dispute(captured, DisputeStatus.WON)

    assert entries(captured) == []
    assert fresh(captured.order).flags == ["test"]


@pytest.mark.parametrize("order", [("lost", "lost"), ("lost", "open", "lost"), ("open", "lost", "open")])
def test_the_end_of_a_dispute_is_told_twice_late_and_out_of_order(captured, order):
    for word in order:
        dispute(captured, DisputeStatus(word))

    assert entries(captured) == [("disputed", 1000)]
    assert captured.disputes.get().status == "lost"


def test_a_dispute_won_on_appeal_brings_the_money_back(captured):
    for word in (DisputeStatus.OPEN, DisputeStatus.LOST, DisputeStatus.WON, DisputeStatus.WON):
        dispute(captured, word)

    assert entries(captured) == [("disputed", 1000), ("dispute_returned", 1000)]


def test_a_refund_of_disputed_money_takes_a_second_thought(merchant):
    an_account(merchant)
    payment = a_payment(an_order(merchant), "instant")
    dispute(payment)

    with pytest.raises(intents.NotAllowed) as caught:
        operations.refund(payment, amount=100)
    assert caught.value.code == "disputed"
    assert operations.refund(payment, amount=100, although_disputed=True).status == OperationStatus.SUCCEEDED


def test_a_capture_that_expects_another_amount_is_stale(merchant):
    an_account(merchant)
    payment = a_payment(an_order(merchant, capture="manual"), "instant")

    with pytest.raises(intents.NotAllowed) as caught:
        operations.capture(payment, expected_capturable=999)
    assert (caught.value.code, caught.value.remaining) == ("stale", 1000)
    assert operations.capture(payment, expected_capturable=1000).status == OperationStatus.SUCCEEDED
