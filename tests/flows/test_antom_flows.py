"""Antom's client, our core and Antom's simulator together, over real HTTP."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from django.utils import timezone

from checkout.orders import gateway, intents, operations
from checkout.orders.models import Dispute, Order, Payment, SavedCard
from checkout.orders.saved_cards import Agreement
from checkout.webhooks.models import WebhookEvent
from providers.contract import Purpose
from tests.factories import BROWSER, SHOPPER, VISA, a_payment, an_account, an_order
from tests.flows.stage import Simulator, charged, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = Path(gateway.__file__).parents[2] / "providers" / "antom"
CLIENT = "SANDBOX_5Y00000000000TEST"
APPROVED = dataclasses.replace(VISA, number="4054695723100768", cvc="123", holder="Ann Lee")


def card_of(number: str):
    return dataclasses.replace(APPROVED, number=number)


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    simulator_process.reset()
    return simulator_process.of("antom")


def open_account(merchant, simulator, **credentials: str):
    return an_account(
        merchant,
        name="Antom",
        provider="antom",
        base_url=f"{simulator.url}/antom",
        credentials={
            "client_id": CLIENT,
            "merchant_private_key": (KEYS / "simulator_key.pem").read_text(),
            "provider_public_key": (KEYS / "simulator_public_key.pem").read_text(),
            **credentials,
        },
    )


@pytest.fixture
def account(merchant, simulator):
    return open_account(merchant, simulator)


def fresh(order: Order) -> Order:
    order.refresh_from_db()
    return order


def news(simulator: Simulator, seconds: int = 6) -> None:
    simulator.advance(seconds)
    work_until_quiet()


def later(**span: int) -> None:
    with time_machine.travel(timezone.now() + timedelta(**span)):
        work_until_quiet()


def paid(merchant, simulator, number: str = APPROVED.number, **order) -> Payment:
    payment = a_payment(an_order(merchant, **order), "card", card=card_of(number))
    news(simulator)
    payment.refresh_from_db()
    assert payment.status == "captured"
    return payment


# ------------------------------------------------------------------------------------------------------- paying by card


def test_a_card_is_held_first_and_captured_by_antom_itself(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=APPROVED)
    assert (payment.status, payment.captured_total, fresh(order).status) == ("authorised", 0, "authorised")
    assert not order.events.filter(type="payment.succeeded").exists()

    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, fresh(order).status, charged(simulator)) == ("captured", "paid", 1000)
    assert (payment.card_brand, payment.card_last4) == ("visa", "0768")
    assert payment.avs_result
    assert payment.cvc_result


def test_a_capture_that_is_never_announced_is_found_by_asking(merchant, account, simulator):
    simulator.dial("webhook_drop")
    order = an_order(merchant)
    a_payment(order, "card", card=APPROVED)

    simulator.advance(6)
    later(seconds=15)

    assert (fresh(order).status, charged(simulator)) == ("paid", 1000)


@pytest.mark.parametrize("hand_over", ["GET", "POST"])
def test_a_challenge_leads_to_the_bank_by_redirect_or_by_form(merchant, account, simulator, hand_over):
    simulator.set_up("accounts", client_id=CLIENT, redirect_method=hand_over)
    order = an_order(merchant, three_ds="force")
    payment = a_payment(order, "card", card=APPROVED)
    assert payment.step == {"GET": "redirect", "POST": "post_form"}[hand_over]
    assert fresh(order).status == "requires_action"

    simulator.happen(payment.reference, "pay")
    news(simulator)

    payment.refresh_from_db()
    assert fresh(order).status == "paid"
    assert payment.three_ds["eci"] == "05"


def test_a_soft_decline_is_upgraded_to_a_challenge(merchant, account, simulator):
    payment = a_payment(an_order(merchant), "card", card=card_of("4000000001000118"))

    assert payment.step == "redirect"


def test_a_bank_that_demands_a_challenge_gets_one_at_the_next_try(merchant, account, simulator):
    simulator.dial("decline", value="AUTHENTICATION_REQUIRED", next=1)
    order = an_order(merchant)
    first = a_payment(order, "card", card=APPROVED)
    assert (first.status, first.decline_category) == ("failed", "authentication_required")

    second = a_payment(order, "card", card=APPROVED)

    assert (second.three_ds_wish, second.step) == ("force", "redirect")


@pytest.mark.parametrize(
    ("number", "code", "category"),
    [
        ("4000000001000019", "DO_NOT_HONOR", "declined"),
        ("4000000001000027", "USER_BALANCE_NOT_ENOUGH", "insufficient_funds"),
        ("4000000001000035", "CARD_EXPIRED", "expired_card"),
        ("4000000001000043", "LOST_CARD", "declined"),
        ("4000000001000068", "FRAUD_REJECT", "declined"),
        ("4000000001000100", "INVALID_CVV", "wrong_code"),
    ],
)
def test_a_decline_says_why_and_leaves_the_order_payable(merchant, account, simulator, number, code, category):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=card_of(number))
    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, payment.decline_code, payment.shown_decline) == ("failed", code, category)
    assert fresh(order).status == "open"


@pytest.mark.parametrize("number", ["4000000001000167", "4000000001000175", "4000000001000183"])
def test_an_answer_that_says_nothing_is_followed_to_the_money(merchant, account, simulator, settings, number):
    settings.PROVIDER_READ_SECONDS = 2.0
    gateway._http.cache_clear()
    order = an_order(merchant)

    payment = a_payment(order, "card", card=card_of(number))

    assert (payment.status, fresh(order).status) == ("pending", "processing")
    with pytest.raises(operations.AlreadyInProgress):
        a_payment(order, "card", card=APPROVED)
    simulator.advance(30)
    work_until_quiet()
    later(seconds=45)
    assert (fresh(order).status, charged(simulator)) == ("paid", 1000)


def test_a_payment_that_never_was_ends_without_money(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=card_of("4000000001000159"))
    assert payment.step == "ask"

    later(minutes=3)

    payment.refresh_from_db()
    assert (payment.status, fresh(order).status, charged(simulator)) == ("failed", "open", 0)


@pytest.mark.parametrize("dial", ["unsigned_answer", "forged_answer"])
def test_an_answer_without_their_signature_is_none(merchant, account, simulator, dial):
    simulator.dial(dial, next=1)
    order = an_order(merchant)

    payment = a_payment(order, "card", card=APPROVED)

    assert (payment.status, payment.step) == ("pending", "ask")
    simulator.advance(6)
    work_until_quiet()
    later(seconds=15)
    assert (fresh(order).status, charged(simulator)) == ("paid", 1000)


def test_a_review_after_the_hold_is_waited_for(merchant, account, simulator):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "card", card=card_of("4000000001000274"))
    news(simulator)
    payment.refresh_from_db()
    assert payment.status in {"pending", "authorised"}

    news(simulator, 40)
    later(minutes=2)

    payment.refresh_from_db()
    assert (payment.status, payment.held) == ("authorised", 1000)


# ---------------------------------------------------------------------------------------------------------- their pages


@pytest.mark.parametrize("method", ["cashier", "card_page"])
def test_a_page_of_theirs_is_a_redirect(merchant, account, simulator, method):
    account.methods = ["card", "cashier", "card_page"]
    account.save()
    order = an_order(merchant)
    payment = a_payment(order, method)
    assert payment.step == "redirect"
    assert requests.get(payment.step_data["url"], timeout=10).ok

    simulator.happen(payment.reference, "pay")
    news(simulator)
    later(seconds=15)

    assert (fresh(order).status, charged(simulator)) == ("paid", 1000)


def test_an_unpaid_page_is_closed_when_another_way_is_chosen(merchant, account, simulator):
    order = an_order(merchant, three_ds="force")
    old = a_payment(order, "card", card=APPROVED)

    new = a_payment(order, "cashier")

    old.refresh_from_db()
    assert (old.status, new.step) == ("cancelled", "redirect")


def test_a_shopper_who_never_comes_back_frees_the_order(merchant, account, simulator):
    order = an_order(merchant, three_ds="force")
    payment = a_payment(order, "card", card=APPROVED)

    simulator.advance(20 * 60)
    with time_machine.travel(timezone.now() + timedelta(minutes=20)):
        work_until_quiet()

    payment.refresh_from_db()
    assert payment.status in {"failed", "expired"}
    assert fresh(order).status == "open"


# ------------------------------------------------------------------------------------------------- captures and refunds


@pytest.fixture
def held(merchant, account, simulator) -> Payment:
    payment = a_payment(an_order(merchant, capture="manual"), "card", card=APPROVED)
    news(simulator)
    payment.refresh_from_db()
    assert (payment.status, payment.held, payment.captured_total) == ("authorised", 1000, 0)
    return payment


def test_a_hold_is_captured_whole(held, simulator):
    assert operations.capture(held).status == "succeeded"
    news(simulator)

    held.refresh_from_db()
    assert (held.captured_total, held.held, charged(simulator)) == (1000, 0, 1000)


def test_a_part_is_captured_and_the_rest_is_let_go(held, simulator):
    operations.capture(held, amount=400)
    news(simulator)
    later(minutes=2)

    held.refresh_from_db()
    assert (held.captured_total, held.held, charged(simulator)) == (400, 0, 400)
    with pytest.raises(intents.NotAllowed):
        operations.capture(held, amount=100)


def test_a_hold_is_let_go(held, simulator):
    assert operations.cancel(held).status == "succeeded"

    held.refresh_from_db()
    assert (held.status, held.held, charged(simulator)) == ("cancelled", 0, 0)


def test_a_hold_that_lapses_without_a_word_is_found(held, simulator):
    simulator.advance(8 * 24 * 3600)
    later(days=8)

    held.refresh_from_db()
    assert (held.status, held.held) == ("cancelled", 0)


@pytest.mark.parametrize(("number", "status"), [("4000000001000217", "failed"), ("4000000001000225", "succeeded")])
def test_a_capture_has_a_life_of_its_own(merchant, account, simulator, number, status):
    payment = a_payment(an_order(merchant, capture="manual"), "card", card=card_of(number))
    news(simulator)
    payment.refresh_from_db()

    row = operations.capture(payment)
    news(simulator, 60)
    later(minutes=3)

    row.refresh_from_db()
    assert row.status == status
    assert charged(simulator) == (1000 if status == "succeeded" else 0)


@pytest.mark.parametrize(("number", "status"), [("4000000001000233", "succeeded"), ("4000000001000241", "failed")])
def test_a_refund_is_told_when_it_is_done_and_not_before(merchant, account, simulator, number, status):
    payment = paid(merchant, simulator, number)

    row = operations.refund(payment, amount=600)
    assert (row.status, fresh(payment.order).refunded_total) == ("pending", 0)
    news(simulator, 60)

    row.refresh_from_db()
    assert row.status == status
    assert charged(simulator) == (400 if status == "succeeded" else 1000)


def test_two_equal_refunds_are_two(merchant, account, simulator):
    payment = paid(merchant, simulator)
    for _ in range(2):
        payment.refresh_from_db()
        operations.refund(payment, amount=300)
        news(simulator, 60)

    assert (fresh(payment.order).refunded_total, charged(simulator)) == (600, 400)


def test_refunds_done_at_once_are_understood_too(merchant, account, simulator):
    simulator.set_up("accounts", client_id=CLIENT, synchronous_refunds=True)

    assert operations.refund(paid(merchant, simulator)).status == "succeeded"
    assert charged(simulator) == 0


@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_a_lost_answer_to_an_operation_moves_money_once(merchant, account, simulator, settings, operation):
    payment = a_payment(an_order(merchant, capture="manual"), "card", card=APPROVED)
    news(simulator)
    payment.refresh_from_db()
    if operation == "refund":
        operations.capture(payment)
        payment.refresh_from_db()
    settings.PROVIDER_READ_SECONDS = 1.0
    gateway._http.cache_clear()
    simulator.dial("timeout_after", next=1, operation=operation)

    row = getattr(operations, operation)(payment, amount=600)
    assert row.is_in_flight
    simulator.advance(60)
    for minutes in (2, 10, 80):
        later(minutes=minutes)

    row.refresh_from_db()
    assert row.status == "succeeded"
    assert charged(simulator) == (600 if operation == "capture" else 400)


def test_a_refund_made_in_the_dashboard_is_seen(merchant, account, simulator):
    payment = paid(merchant, simulator)

    simulator.happen(payment.reference, "refund", amount=400)
    news(simulator, 60)
    operations.inquire(payment, cause="test")

    assert fresh(payment.order).refunded_total == 400
    assert payment.refunds.get().source == "external"


# -------------------------------------------------------------------------------------------------------- notifications


@pytest.mark.parametrize("fault", ["webhook_duplicate", "webhook_delay", "webhook_reorder", "webhook_drop"])
def test_however_the_news_travels_the_order_is_paid_once(merchant, account, simulator, fault):
    simulator.dial(fault)
    order = an_order(merchant)
    a_payment(order, "card", card=APPROVED)

    news(simulator, 15)
    later(minutes=2)
    simulator.advance(3600)
    work_until_quiet()

    assert fresh(order).status == "paid"
    assert order.events.filter(type="payment.succeeded").count() == 1
    assert charged(simulator) == 1000


def test_a_forged_notification_is_refused(merchant, account, simulator):
    simulator.dial("webhook_forged")
    a_payment(an_order(merchant), "card", card=APPROVED)

    news(simulator, 15)

    assert not WebhookEvent.objects.exists()
    assert {row.reason for row in account.refused_deliveries.all()} == {"bad_signature"}


@pytest.mark.parametrize(("number", "ending"), [("4000000001000258", "lost"), ("4000000001000266", "won")])
def test_a_dispute_is_followed_to_its_end(merchant, account, simulator, number, ending):
    payment = paid(merchant, simulator, number)

    simulator.advance(60 * 24 * 3600)
    with time_machine.travel(timezone.now() + timedelta(days=60)):
        work_until_quiet()

    dispute = Dispute.objects.get()
    assert dispute.status == ending
    assert dispute.reason_code
    assert [entry.kind for entry in payment.entries.filter(kind__startswith="dispute")] == (
        ["disputed"] if ending == "lost" else []
    )


# ---------------------------------------------------------------------------------------------------------- saved cards


ADA = {"customer": {"reference": "ada"}}


@pytest.fixture
def card(merchant, account, simulator) -> SavedCard:
    order = an_order(merchant, three_ds="force", **ADA)
    offer = next(offer for offer in operations.offers(order) if offer.method.code == "card")
    agreement = Agreement(wording="1", language="en", purpose=Purpose.RECURRING)
    payment = operations.start(
        order,
        offer_code=offer.code,
        submission="first",
        card=APPROVED,
        agreement=agreement,
        customer=SHOPPER,
        browser=BROWSER,
    )
    simulator.happen(payment.reference, "pay")
    news(simulator)
    later(seconds=15)
    return SavedCard.objects.get()


def test_a_saved_card_pays_with_the_shopper_there(merchant, card, simulator):
    order = an_order(merchant, **ADA)
    offer = operations.offer_for(card, order)
    assert offer

    operations.start(
        order, offer_code=offer.code, submission="second", saved_card=card, customer=SHOPPER, browser=BROWSER
    )
    news(simulator)

    assert (fresh(order).status, charged(simulator)) == ("paid", 2000)


def test_a_saved_card_is_charged_while_the_shopper_is_away(merchant, card, simulator):
    order = an_order(merchant, **ADA)

    operations.charge(order, card, purpose=Purpose.RECURRING, submission="m1", actor="key:x")
    news(simulator)

    assert (fresh(order).status, charged(simulator)) == ("paid", 2000)
    sent = simulator.calls("pay")[0]["request"]
    assert "recurringType" in sent
    assert "networkTransactionId" in sent


# ----------------------------------------------------------------------------------------------------------- wrong keys


def test_a_key_that_is_not_theirs_leaves_the_outcome_open(merchant, simulator):
    stranger = (KEYS.parent / "lianlian" / "simulator_public_key.pem").read_text()
    open_account(merchant, simulator, provider_public_key=stranger)

    payment = a_payment(an_order(merchant), "card", card=APPROVED)

    assert (payment.status, payment.step) == ("pending", "ask")


def test_a_key_that_is_not_ours_pays_nothing(merchant, simulator):
    stranger = (KEYS.parent / "lianlian" / "simulator_key.pem").read_text()
    open_account(merchant, simulator, merchant_private_key=stranger)

    payment = a_payment(an_order(merchant), "card", card=APPROVED)

    assert (payment.status, payment.decline_category, charged(simulator)) == ("failed", "processing_error", 0)


def test_while_a_key_is_being_changed_both_are_theirs(merchant, simulator):
    stranger = (KEYS.parent / "lianlian" / "simulator_public_key.pem").read_text()
    ours = (KEYS / "simulator_public_key.pem").read_text()
    open_account(merchant, simulator, provider_public_key=stranger, provider_public_key_previous=ours)

    assert a_payment(an_order(merchant), "card", card=APPROVED).status == "authorised"
