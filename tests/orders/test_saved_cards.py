"""Saved cards: a yes first, a token from proof, use only where both belong, and an end that is an end."""

from __future__ import annotations

import dataclasses
import json

import pytest
from django.db import connection

from checkout.merchants.models import ProviderAccount
from checkout.orders import operations, saved_cards
from checkout.orders.apply import Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Consent, Order, Payment, SavedCard
from checkout.orders.saved_cards import Agreement
from checkout.sealing import SealBroken
from providers.contract import (
    CardFacts,
    Decline,
    DeclineCategory,
    EnterCode,
    OutcomeUnknown,
    PaymentReport,
    Purpose,
    Redirect,
    Rejected,
    Started,
    Status,
    Unreachable,
    Wait,
)
from tests.factories import VISA, a_merchant, a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, pass_time, state

from providers.zenith import DESK, RIGHT, paid, waiting  # isort: skip

pytestmark = pytest.mark.django_db

WHO = {"customer": {"reference": "ada"}}
YES = Agreement(wording="2026-11", language="de", ip="203.0.113.9")
TOKEN = "tok_canary_7Qx2"


@pytest.fixture
def account(zenith) -> ProviderAccount:
    return zenith


def agreed(order: Order, agreement: Agreement | None = YES) -> Payment:
    """A card typed with a tick beside the box."""
    offer = next(offer for offer in operations.offers(order) if offer.takes_card)
    number = order.payments.count() + 1
    return operations.start(
        order, offer_code=offer.code, submission=f"form {order.pk} {number}", card=VISA, agreement=agreement
    )


def told(payment: Payment, token: str = TOKEN, *, road: Road = Road.FETCH) -> None:
    report = paid(payment_ref(payment), token=token, network_transaction_id="ntx-1")
    apply(payment.account, report, road=road, cause="test")


def kept(merchant, **order) -> SavedCard:
    payment = agreed(an_order(merchant, **{**WHO, **order}))
    told(payment)
    return SavedCard.objects.latest("pk")


def pay_with(card: SavedCard, order: Order, submission: str = "again") -> Payment:
    offer = operations.offer_for(card, order)
    assert offer
    return operations.start(order, offer_code=offer.code, submission=submission, saved_card=card)


def test_a_yes_is_recorded_with_its_words_and_goes_out(merchant, account):
    payment = agreed(an_order(merchant, **WHO))
    consent = Consent.objects.get()

    assert (consent.customer_reference, consent.wording, consent.language, consent.ip) == (
        "ada",
        "2026-11",
        "de",
        "203.0.113.9",
    )
    assert payment.consent == consent
    assert consent.given_at
    assert DESK.asked[-1][1].store_card is True


def test_without_a_yes_nothing_is_stored_there_or_here(merchant, account):
    payment = agreed(an_order(merchant, **WHO), agreement=None)
    told(payment)

    assert DESK.asked[-1][1].store_card is False
    assert not Consent.objects.exists()
    assert not SavedCard.objects.exists()


def test_a_guest_has_nobody_to_keep_a_card_for(merchant, account):
    payment = agreed(an_order(merchant))
    told(payment)

    assert DESK.asked[-1][1].store_card is False
    assert not SavedCard.objects.exists()


@pytest.mark.parametrize("road", [Road.FETCH, Road.WEBHOOK])
def test_a_token_is_kept_from_proof(merchant, account, road):
    payment = agreed(an_order(merchant, **WHO))
    told(payment, road=road)

    card = SavedCard.objects.get()
    assert (card.brand, card.last4, card.expiry, card.currency) == ("visa", "4242", "12/2099", "EUR")
    assert (card.merchant, card.mode, card.customer_reference, card.account) == (merchant, "test", "ada", account)
    assert saved_cards.stored_card(card).token == TOKEN
    assert saved_cards.stored_card(card).network_transaction_id == "ntx-1"


def test_a_token_in_the_answer_to_our_own_call_is_not_proof(merchant, account):
    payment = agreed(an_order(merchant, **WHO))
    told(payment, road=Road.ANSWER)

    assert not SavedCard.objects.exists()


def test_a_token_told_twice_is_one_card(merchant, account):
    payment = agreed(an_order(merchant, **WHO))
    for road in (Road.FETCH, Road.WEBHOOK, Road.FETCH):
        told(payment, road=road)
    again = agreed(an_order(merchant, **WHO))
    told(again)

    assert SavedCard.objects.count() == 1


def test_a_token_rests_sealed_and_opens_in_its_own_row_only(merchant, account):
    card = kept(merchant)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert TOKEN not in repr(cursor.fetchall()), table

    other = SavedCard.objects.create(
        merchant=merchant,
        mode="test",
        account=account,
        customer_reference="eve",
        payer="U1",
        consent=card.consent,
        sealed_token=bytes(card.sealed_token),
        token_digest="x",
        currency="EUR",
    )
    with pytest.raises(SealBroken):
        saved_cards.stored_card(other)


def test_a_saved_card_pays(merchant, account):
    card = kept(merchant)
    order = an_order(merchant, **WHO)
    assert saved_cards.usable(order) == [card]

    payment = pay_with(card, order)

    assert (payment.status, payment.card_last4, fresh(order).status) == ("captured", "4242", "paid")
    request = DESK.asked[-1][1]
    assert (request.card, request.stored.token, request.payer) == (None, TOKEN, card.payer)
    assert (request.shopper_is_away, request.store_card) == (False, False)


@pytest.mark.parametrize(
    "other",
    [
        {"customer": {"reference": "eve"}},
        {"customer": {}},
        {"mode": "live"},
        {"currency": "JPY"},
    ],
    ids=["another customer", "a guest", "another mode", "another currency"],
)
def test_a_saved_card_pays_nothing_else(merchant, account, other):
    card = kept(merchant)
    order = an_order(merchant, **{**WHO, **other})

    assert saved_cards.usable(order) == []
    offers = operations.offers(an_order(merchant, **WHO))
    with pytest.raises(operations.NotPayable):
        operations.start(order, offer_code=offers[0].code, submission="x", saved_card=card)


def test_a_saved_card_is_no_other_merchants(merchant, account):
    card = kept(merchant)
    other = a_merchant()
    an_account(other, provider="zenith", credentials={"key": "z"})
    order = an_order(other, **WHO)

    assert saved_cards.usable(order) == []
    offer = next(offer for offer in operations.offers(order) if offer.takes_card)
    with pytest.raises(operations.NotPayable, match="card"):
        operations.start(order, offer_code=offer.code, submission="x", saved_card=card)
    assert DESK.names().count("start") == 1


def test_an_expired_card_and_one_of_a_switched_off_account_are_not_offered(merchant, account):
    card = kept(merchant)
    SavedCard.objects.update(expiry="01/2020")
    assert saved_cards.usable(an_order(merchant, **WHO)) == []
    SavedCard.objects.update(expiry="")
    assert saved_cards.usable(an_order(merchant, **WHO)) == [card]
    ProviderAccount.objects.update(enabled=False)
    assert saved_cards.usable(an_order(merchant, **WHO)) == []


def test_a_saved_card_may_ask_for_a_code(merchant, account):
    card = kept(merchant)
    DESK.say("start", lambda request: Started(waiting(request), EnterCode("handle", "138****0000")))

    payment = pay_with(card, an_order(merchant, **WHO))

    assert payment.step == "code"
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_a_removed_card_stops_at_once_and_the_provider_forgets_it(merchant, account):
    card = kept(merchant)

    assert saved_cards.remove(card, actor="shopper")
    assert saved_cards.usable(an_order(merchant, **WHO)) == []
    assert not saved_cards.remove(card, actor="shopper"), "twice is as good as once"
    work_until_quiet()

    card = fresh(card)
    assert (DESK.removed, card.removed_by, card.due_at) == ([TOKEN], "shopper", None)
    assert card.revoked_at
    assert card.consent.ended_at


@pytest.mark.parametrize("error", [Unreachable("down"), OutcomeUnknown("lost")])
def test_forgetting_is_tried_again(merchant, account, clock, error):
    card = kept(merchant)
    DESK.say("remove_card", error)
    saved_cards.remove(card, actor="key:sk_test")
    work_until_quiet()
    assert fresh(card).revoked_at is None

    pass_time(clock, minutes=2)
    # Only the queue of removed cards is due then.
    work_until_quiet()
    clock.shift(120)
    work_until_quiet()

    assert fresh(card).revoked_at


def test_a_refusal_to_forget_is_not_repeated(merchant, account, clock):
    card = kept(merchant)
    DESK.say("remove_card", Rejected("no", code="3004"))
    saved_cards.remove(card, actor="staff:1")
    work_until_quiet()
    clock.shift(10**6)
    work_until_quiet()

    assert DESK.names().count("remove_card") == 1
    assert fresh(card).revoked_at is None


def test_a_token_that_comes_after_the_end_of_the_consent_is_not_kept(merchant, account):
    payment = agreed(an_order(merchant, **WHO))
    told(payment)
    saved_cards.remove(SavedCard.objects.get(), actor="shopper")

    told(fresh(payment))

    assert SavedCard.objects.filter(removed_at=None).count() == 0


# -------------------------------------------------------------------------------------------------- while away


def agreed_to(merchant, purpose: Purpose) -> SavedCard:
    payment = agreed(an_order(merchant, **WHO), dataclasses.replace(YES, purpose=purpose))
    told(payment)
    return SavedCard.objects.latest("pk")


def charged(card: SavedCard, order: Order, purpose: Purpose = Purpose.RECURRING, submission: str = "m1") -> Payment:
    return operations.charge(order, card, purpose=purpose, submission=submission, actor="key:sk_test_ab")


def test_a_charge_while_the_shopper_is_away_names_its_reason_and_the_first_payment(merchant, account):
    card = agreed_to(merchant, Purpose.RECURRING)
    order = an_order(merchant, **WHO)

    payment = charged(card, order)

    request = DESK.asked[-1][1]
    assert (request.shopper_is_away, request.purpose) == (True, Purpose.RECURRING)
    assert (request.stored.token, request.stored.network_transaction_id) == (TOKEN, "ntx-1")
    assert (payment.status, fresh(order).status) == ("captured", "paid")
    assert order.events.get(type="payment.started").actor == "key:sk_test_ab"


def test_one_submission_charges_once(merchant, account):
    card = agreed_to(merchant, Purpose.RECURRING)
    order = an_order(merchant, **WHO)

    assert charged(card, order) == charged(card, order)
    assert DESK.names().count("start") == 2


def test_a_charge_needs_a_live_consent_to_that_very_purpose(merchant, account):
    card = agreed_to(merchant, Purpose.UNSCHEDULED)
    with pytest.raises(operations.NotPayable, match="card"):
        charged(card, an_order(merchant, **WHO))
    saved_cards.remove(card, actor="shopper")
    with pytest.raises(operations.NotPayable, match="card"):
        charged(card, an_order(merchant, **WHO), Purpose.UNSCHEDULED)


@pytest.mark.parametrize("step", [Redirect("https://zenith.example/3ds"), EnterCode("handle")])
def test_a_provider_that_wants_the_shopper_gets_a_no(merchant, account, step):
    card = agreed_to(merchant, Purpose.RECURRING)
    DESK.say("start", lambda request: Started(waiting(request), step))

    payment = charged(card, an_order(merchant, **WHO))

    assert (payment.status, payment.decline_category) == ("cancelled", "authentication_required")
    assert "cancel" in DESK.names()


def test_a_provider_that_says_no_because_the_shopper_is_away_is_told_to_forget_it(merchant, account):
    card = agreed_to(merchant, Purpose.RECURRING)
    no = Decline(DeclineCategory.AUTHENTICATION_REQUIRED, "PAYMENT_IN_PROCESS")
    DESK.say(
        "start",
        lambda request: Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=no), Wait()),
    )

    payment = charged(card, an_order(merchant, **WHO))

    assert (payment.status, fresh(payment).decline_category) == ("failed", "authentication_required")
    assert DESK.names()[-1] == "cancel"


def test_a_card_typed_on_the_providers_page_is_kept_by_what_the_provider_tells(merchant, account):
    payment = agreed(an_order(merchant, **WHO))
    Payment.objects.update(card_last4="", card_brand="", card_expiry="")
    facts = CardFacts(brand="mastercard", last4="4444", expiry_month=3, expiry_year=2033)

    apply(account, paid(payment_ref(payment), token=TOKEN, card=facts), road=Road.WEBHOOK, cause="test")

    card = SavedCard.objects.get()
    assert (card.brand, card.last4, card.expiry) == ("mastercard", "4444", "03/2033")


def test_a_charge_without_answer_is_asked_about(merchant, account, clock):
    card = agreed_to(merchant, Purpose.RECURRING)
    DESK.say("start", OutcomeUnknown("lost", code="read_timeout"))
    payment = charged(card, an_order(merchant, **WHO))
    assert state(payment) == ("pending", "ask", "processing")

    DESK.reports[payment.reference] = paid(payment_ref(payment))
    pass_time(clock, seconds=15)

    assert fresh(payment).captured_total == 1000


def test_a_bank_that_wants_to_see_the_shopper_is_shown_him_next_time(merchant, account):
    order = an_order(merchant)
    no = Decline(DeclineCategory.AUTHENTICATION_REQUIRED, "65")
    DESK.say(
        "start",
        lambda request: Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=no), Wait()),
    )
    a_payment(order, "bankcard", card=VISA)

    a_payment(order, "bankcard", card=VISA)

    assert [request.three_ds for name, request in DESK.asked if name == "start"] == ["default", "force"]


def test_what_a_provider_is_told_of_a_customer_is_the_same_for_every_order(merchant, account):
    first, second = (a_payment(an_order(merchant, **WHO), "wallet") for _ in range(2))
    guest = a_payment(an_order(merchant), "wallet")

    assert first.payer == second.payer != guest.payer
    assert len(first.payer) == 26
    assert "ada" not in json.dumps(first.payer)
