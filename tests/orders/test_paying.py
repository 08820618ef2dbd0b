"""Starting a payment: one row, then one call, and an answer for whatever the provider does."""

from __future__ import annotations

import pytest

from checkout.orders import operations
from checkout.orders.models import Payment
from checkout.orders.operations import AlreadyInProgress, NotPayable
from providers.contract import Decline, DeclineCategory
from tests.factories import a_merchant, a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, pass_time, state, types

pytestmark = pytest.mark.django_db


def submit(order, submission, method="instant"):
    offer = next(offer for offer in operations.offers(order) if offer.method.code == method)
    return operations.start(order, offer_code=offer.code, submission=submission)


# ----------------------------------------------------------------------------------------------------------- happy ends


def test_an_instant_payment_pays_the_order(merchant, account, bank):
    order = an_order(merchant)

    payment = a_payment(order, "instant")

    assert state(payment) == ("captured", "", "paid")
    assert (fresh(order).captured_total, bank.latest().captured) == (1000, 1000)
    assert types(order) == [
        "order.created",
        "payment.started",
        "order.processing",
        "payment.captured",
        "order.paid",
        "payment.succeeded",
    ]


def test_a_redirect_awaits_the_shopper(merchant, account, bank):
    payment = a_payment(an_order(merchant), "cashier")

    assert state(payment) == ("pending", "redirect", "requires_action")
    assert payment.step_data == {"url": f"https://cashier.acme.example/{bank.latest().id}"}
    pending = payment.events.get(type="payment.pending")
    assert pending.data["step"] == "redirect"


def test_a_card_without_an_answer_yet_is_waited_for(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")

    assert state(payment) == ("pending", "wait", "processing")
    assert (payment.card_first6, payment.card_last4, payment.card_expiry) == ("424242", "4242", "12/2099")


def test_a_manual_order_is_held_and_not_captured(merchant, account, bank):
    order = an_order(merchant, capture="manual")

    payment = a_payment(order, "instant")

    assert state(payment) == ("authorised", "", "authorised")
    assert (payment.held, payment.captured_total, bank.latest().manual) == (1000, 0, True)


@pytest.mark.parametrize(
    ("method", "step", "data"),
    [("form", "post_form", {"charge": "A1"}), ("qr", "qr", None), ("transfer", "wait", None)],
)
def test_each_step_of_a_provider_becomes_ours(merchant, bank, method, step, data):
    an_account(merchant, provider="bare")
    payment = a_payment(an_order(merchant), method)

    assert payment.step == step
    assert payment.step_data.get("fields") == data


def test_the_provider_hears_our_reference_the_amount_and_the_time_left(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant, amount_minor=1234, currency="JPY", expires_in=600), "cashier")

    assert list(bank.charges) == [payment.reference]
    assert str(bank.latest().amount) == "1234 JPY"


# ------------------------------------------------------------------------------------------------------------- bad ends


def test_a_decline_leaves_the_order_payable(merchant, account, bank):
    order = an_order(merchant)
    first = a_payment(order, "card")
    bank.latest().end("failed", DeclineCategory.INSUFFICIENT_FUNDS)

    operations.inquire(first, cause="test")

    assert state(first) == ("failed", "", "open")
    assert (fresh(first).decline_category, fresh(first).decline_code) == ("insufficient_funds", "51")
    assert state(a_payment(order, "instant")) == ("captured", "", "paid")
    assert [payment.number for payment in order.payments.all()] == [1, 2]


def test_a_fraud_decline_is_shown_as_any_other(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().state, bank.latest().decline = "failed", Decline(DeclineCategory.FRAUD, "59")

    payment = operations.inquire(payment, cause="test")

    assert (payment.decline_category, payment.shown_decline) == ("fraud", "declined")


def test_an_unreachable_provider_fails_the_attempt_without_using_up_a_try(account, bank):
    merchant = account.merchant
    merchant.try_limit = 1
    merchant.save()
    order = an_order(merchant)
    bank.arm("start", "unreachable")

    payment = a_payment(order, "instant")

    assert state(payment) == ("failed", "", "open")
    assert payment.decline_category == "unavailable"
    assert bank.charges == {}
    assert state(a_payment(order, "instant")) == ("captured", "", "paid")


def test_a_rejected_request_fails_with_the_providers_code(merchant, account, bank):
    bank.arm("start", "rejected")

    payment = a_payment(an_order(merchant), "instant")

    assert state(payment) == ("failed", "", "open")
    assert (payment.decline_category, payment.decline_code) == ("processing_error", "rejected")


def test_credentials_that_do_not_open_fail_the_attempt_and_block_nothing(merchant, account, bank, settings):
    order = an_order(merchant)
    settings.SEAL_KEYS = ["MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="]

    payment = a_payment(order, "instant")

    assert state(payment) == ("failed", "", "open")
    assert payment.decline_code == "settings"
    assert bank.calls == []


@pytest.mark.parametrize("fault", ["lost", "lost_after", "garbled"])
def test_an_unknown_outcome_blocks_a_second_charge(merchant, account, bank, fault):
    order = an_order(merchant)
    bank.arm("start", fault)

    payment = a_payment(order, "instant")

    assert state(payment) == ("pending", "ask", "processing")
    with pytest.raises(AlreadyInProgress):
        a_payment(order, "instant")
    assert bank.calls.count("start") == 1


@pytest.mark.parametrize("fault", ["lost_after", "garbled"])
def test_a_charge_whose_answer_was_lost_is_found_by_asking(merchant, account, bank, clock, fault):
    bank.arm("start", fault)
    payment = a_payment(an_order(merchant), "instant")

    pass_time(clock, seconds=20)

    assert state(payment) == ("captured", "", "paid")
    assert fresh(payment).captured_total == bank.latest().captured


def test_a_charge_that_never_arrived_is_not_believed_absent_at_once(merchant, account, bank, clock):
    order = an_order(merchant)
    bank.arm("start", "lost")
    payment = a_payment(order, "instant")

    pass_time(clock, seconds=50)
    assert state(payment) == ("pending", "ask", "processing")
    pass_time(clock, minutes=3)

    assert state(payment) == ("failed", "", "open")
    assert fresh(payment).decline_category == "unavailable"
    assert state(a_payment(order, "instant")) == ("captured", "", "paid")


def test_a_process_that_died_before_its_call_leaves_a_row_that_is_asked_about(merchant, account, bank, clock):
    order = an_order(merchant)
    bank.arm("start", "death")
    with pytest.raises(KeyboardInterrupt):
        a_payment(order, "instant")
    payment = order.payments.get()
    assert payment.status == "created"

    pass_time(clock, minutes=3)

    assert state(payment) == ("failed", "", "open")


def test_a_process_that_died_after_its_call_charged_once(merchant, account, bank, clock):
    order = an_order(merchant)
    bank.arm("start", "death_after")
    with pytest.raises(KeyboardInterrupt):
        a_payment(order, "instant")
    with pytest.raises(AlreadyInProgress):
        a_payment(order, "instant")

    pass_time(clock, minutes=3)

    assert state(order.payments.get()) == ("captured", "", "paid")
    assert bank.calls.count("start") == 1


def test_an_answer_that_leads_to_an_unknown_host_is_not_followed(merchant, account, bank):
    bank.redirect_to = "https://cashier.acme.example.evil.example/{id}"
    order = an_order(merchant)

    payment = a_payment(order, "cashier")

    assert state(payment) == ("failed", "", "open")
    assert payment.step_data == {}
    assert payment.decline_code == "redirect_refused"
    assert "payment.redirect_refused" in types(order)


@pytest.mark.parametrize(
    "url",
    [
        "http://cashier.acme.example/1",
        "https://user@cashier.acme.example/1",
        "https://cashier.acme.example\\@evil.example/1",
        "https://evil.example\\.cashier.acme.example/1",
        "//cashier.acme.example/1",
        "javascript:alert(1)",
        "https://[cashier.acme.example/1",
        "https:///1",
        "",
    ],
)
def test_a_redirect_that_is_not_plainly_to_a_known_https_host_is_refused(merchant, bank, url):
    an_account(merchant, base_url="https://api.acme.example")
    bank.redirect_to = url

    assert state(a_payment(an_order(merchant), "cashier")) == ("failed", "", "open")


def test_an_account_adds_hosts_of_its_own(merchant, bank):
    an_account(merchant, base_url="https://api.acme.example", redirect_hosts=["*.bank.example"])
    bank.redirect_to = "https://three-ds.bank.example/{id}"

    assert a_payment(an_order(merchant), "cashier").step == "redirect"


def test_money_that_came_by_a_refused_redirect_is_still_found(merchant, account, bank, clock):
    bank.redirect_to = "https://elsewhere.example/"
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()

    pass_time(clock, minutes=45)

    assert state(payment) == ("captured", "", "paid")


# ------------------------------------------------------------------------------------------------------ second attempts


def test_one_form_makes_one_payment_and_one_call(merchant, account, bank):
    order = an_order(merchant)

    first, second = submit(order, "form"), submit(order, "form")

    assert first == second
    assert bank.calls == ["start"]


def test_the_same_form_again_after_a_failure_shows_the_failure(merchant, account, bank):
    order = an_order(merchant)
    bank.arm("start", "rejected")

    first, second = submit(order, "form"), submit(order, "form")

    assert first == second
    assert bank.calls == ["start"]


def test_a_redirect_gives_way_to_another_attempt_after_it_was_asked_about(merchant, account, bank):
    order = an_order(merchant)
    first = a_payment(order, "cashier")

    second = a_payment(order, "instant")

    assert bank.calls == ["start", "fetch", "start"]
    assert (state(first)[0], state(second)) == ("expired", ("captured", "", "paid"))
    assert fresh(first).due_at is not None, "it is still listened to"


def test_a_redirect_that_was_paid_meanwhile_stops_another_attempt(merchant, account, bank):
    order = an_order(merchant)
    first = a_payment(order, "cashier")
    bank.latest().approve()

    with pytest.raises(NotPayable) as refused:
        a_payment(order, "instant")

    assert refused.value.reason == "paid"
    assert state(first) == ("captured", "", "paid")
    assert bank.calls.count("start") == 1


@pytest.mark.parametrize("fault", ["unreachable", "lost", "rejected", "garbled"])
def test_a_redirect_that_cannot_be_asked_about_does_not_give_way(merchant, account, bank, fault):
    order = an_order(merchant)
    first = a_payment(order, "cashier")
    bank.arm("fetch", "lost" if fault == "garbled" else fault)

    with pytest.raises(AlreadyInProgress) as refused:
        a_payment(order, "instant")

    assert refused.value.payment == first
    assert state(first) == ("pending", "redirect", "requires_action")
    assert bank.calls.count("start") == 1


def test_a_payment_that_is_waited_for_does_not_give_way(merchant, account, bank):
    order = an_order(merchant)
    first = a_payment(order, "card")

    with pytest.raises(AlreadyInProgress):
        a_payment(order, "instant")

    assert state(first) == ("pending", "wait", "processing")
    assert bank.calls == ["start"]


def test_a_paid_order_is_not_paid_again(merchant, account, bank):
    order = an_order(merchant)
    a_payment(order, "instant")

    with pytest.raises(NotPayable) as refused:
        a_payment(order, "instant")

    assert refused.value.reason == "paid"
    assert bank.calls.count("start") == 1


def test_tries_are_used_up(merchant, account, bank):
    merchant.try_limit = 2
    merchant.save()
    order = an_order(merchant)
    for _ in range(2):
        payment = a_payment(order, "card")
        bank.latest().end("failed")
        operations.inquire(payment, cause="test")

    with pytest.raises(NotPayable) as refused:
        a_payment(order, "instant")

    assert (refused.value.reason, fresh(order).status) == ("failed", "failed")
    assert order.payments.count() == 2


def test_an_expired_order_is_not_payable_even_before_the_sweep(merchant, account, bank, clock):
    order = an_order(merchant, expires_in=300)
    clock.shift(300)

    with pytest.raises(NotPayable) as refused:
        a_payment(order, "instant")

    assert refused.value.reason == "expired"
    assert bank.calls == []


# --------------------------------------------------------------------------------------------------------------- offers


def test_a_disabled_account_offers_nothing(merchant, bank):
    account = an_account(merchant, enabled=False)

    assert operations.offers(an_order(merchant)) == []
    with pytest.raises(NotPayable, match="offer"):
        operations.start(an_order(merchant), offer_code=f"{account.pk}:instant", submission="form")


def test_another_merchants_or_modes_account_offers_nothing(merchant, bank):
    an_account(a_merchant())
    an_account(merchant, mode="live", base_url="https://api.acme.example")

    assert operations.offers(an_order(merchant)) == []


@pytest.mark.parametrize(
    ("limits", "offered"),
    [
        ({"minimum_minor": 1000, "maximum_minor": 1000}, True),
        ({"minimum_minor": 1001}, False),
        ({"maximum_minor": 999}, False),
        ({"currencies": ["EUR"]}, True),
        ({"currencies": ["USD"]}, False),
        ({"methods": ["card"]}, False),
        ({"methods": ["instant"]}, True),
    ],
)
def test_an_account_is_offered_within_its_limits(merchant, bank, limits, offered):
    an_account(merchant, **limits)
    codes = {offer.method.code for offer in operations.offers(an_order(merchant))}

    assert ("instant" in codes) is offered


def test_the_favourite_account_offers_a_method_once(merchant, bank):
    an_account(merchant, name="Second")
    favourite = an_account(merchant, name="First", priority=5)

    offers = operations.offers(an_order(merchant))

    assert [offer.account for offer in offers] == [favourite] * 3


def test_an_order_that_is_captured_by_hand_is_not_offered_to_a_provider_that_captures_at_once(merchant, bank):
    an_account(merchant, provider="bare")

    assert operations.offers(an_order(merchant)) != []
    assert operations.offers(an_order(merchant, capture="manual")) == []


def test_an_account_of_a_provider_that_is_gone_does_not_break_the_others(merchant, account, bank):
    an_account(merchant, provider="gone", priority=9)

    assert [offer.account for offer in operations.offers(an_order(merchant))] == [account] * 3


def test_a_live_account_never_reaches_a_simulator(merchant, bank):
    an_account(merchant, mode="live", base_url="http://127.0.0.1:9/acme")
    order = an_order(merchant, mode="live")

    payment = a_payment(order, "instant")

    assert state(payment) == ("failed", "", "open")
    assert bank.calls == []


def test_children_belong_to_the_merchant_and_mode_of_their_order(merchant, account, bank):
    payment = a_payment(an_order(merchant), "instant")
    work_until_quiet()

    rows = [payment, *payment.entries.all(), *payment.order.events.all()]
    assert {(row.merchant_id, row.mode) for row in rows} == {(merchant.pk, "test")}
    assert Payment.objects.of(merchant, "live").count() == 0
