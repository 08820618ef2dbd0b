"""StoreSquare's client, our core and StoreSquare's simulator together, over real HTTP."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from urllib.parse import urljoin

import pytest
import requests
import time_machine
from django.utils import timezone

from checkout.orders import gateway, links, operations, saved_cards, shipping
from checkout.orders.models import Order, Payment, SavedCard
from checkout.orders.saved_cards import Agreement
from checkout.webhooks.models import WebhookEvent
from providers.contract import Purpose
from tests.factories import BROWSER, SHOPPER, VISA, a_payment, an_account, an_order
from tests.flows.stage import Simulator, charged, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

CREDENTIALS = {"app_id": "086000000000001", "secret": "sim_secret_3f9a1c5e7b2d4860"}
APPROVED = dataclasses.replace(VISA, number="4444333322221111", cvc="123")
CHALLENGED = dataclasses.replace(VISA, number="4000000000002503", cvc="123")
DECLINED = dataclasses.replace(VISA, number="4000000000009995", cvc="123")
WALLETS = ["payNow", "grabPay", "shopeePay", "wechat", "alipay", "alipayPlus", "upay"]


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    simulator_process.reset()
    return simulator_process.of("storesquare")


@pytest.fixture
def account(merchant, simulator):
    return an_account(
        merchant,
        name="StoreSquare",
        provider="storesquare",
        base_url=f"{simulator.url}/storesquare",
        credentials=CREDENTIALS,
    )


def fresh(order: Order) -> Order:
    order.refresh_from_db()
    return order


def news(simulator: Simulator) -> None:
    simulator.settle()
    work_until_quiet()


def press(url: str, button: str) -> None:
    """Open a page of the simulator's, and press the button of this name."""
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(url, timeout=10)
        pressed = re.search(rf"<button[^>]*>\s*{button}", page.text)
        assert pressed, page.text
        name, value = (re.search(rf'{part}="([^"]*)"', pressed[0])[1] for part in ("name", "value"))
        action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        answer = session.post(urljoin(page.url, action[1] if action else ""), {name: value}, allow_redirects=False)
        assert answer.status_code in {302, 303}, answer.text


def test_a_card_is_paid_in_one_go(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=APPROVED)

    assert (fresh(order).status, payment.status) == ("paid", "captured"), (
        "the answer is confirmed by an inquiry at once"
    )
    assert (payment.card_last4, payment.card_brand) == ("1111", "visa")
    news(simulator)
    assert WebhookEvent.objects.get().state == "applied"
    assert charged(simulator) == 1000


def test_a_challenge_is_a_redirect_and_its_end_is_believed_from_an_inquiry(merchant, account, simulator):
    order = an_order(merchant, three_ds="force")
    payment = a_payment(order, "card", card=CHALLENGED)
    assert (payment.step, fresh(order).status) == ("redirect", "requires_action")

    press(payment.step_data["url"], "Authenticate")
    news(simulator)

    payment.refresh_from_db()
    assert fresh(order).status == "paid"
    assert (payment.three_ds["eci"], payment.three_ds["flow"]) == ("05", "challenge")


def test_a_decline_says_why_and_leaves_the_order_payable(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=DECLINED)
    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, payment.decline_category, payment.decline_code) == ("failed", "insufficient_funds", "4002")
    assert fresh(order).status == "open"
    a_payment(order, "card", card=APPROVED)
    assert (fresh(order).status, charged(simulator)) == ("paid", 1000)


@pytest.mark.parametrize("method", WALLETS)
def test_each_wallet_shows_a_qr_code_that_can_be_paid(merchant, account, simulator, method):
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, method)
    assert payment.step == "qr"
    assert payment.step_data["content"].startswith(f"{simulator.url}/storesquare/wallet/")

    simulator.happen(payment.reference, "approve")
    news(simulator)

    assert fresh(order).status == "paid"


@pytest.mark.parametrize(("event", "status"), [("reject", "failed"), ("expire", "expired"), ("cancel", "cancelled")])
def test_a_qr_code_that_is_not_paid_leaves_the_order_payable(merchant, account, simulator, event, status):
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")

    simulator.happen(payment.reference, event)
    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, fresh(order).status) == (status, "open")


def test_another_method_closes_the_first_one_at_the_provider(merchant, account, simulator):
    order = an_order(merchant, currency="SGD")
    old = a_payment(order, "payNow")

    new = a_payment(order, "wechat")

    old.refresh_from_db()
    assert (old.status, new.step) == ("cancelled", "qr")
    assert simulator.order(old.reference)["status"] == "cancelled"


@pytest.mark.parametrize("method", ["cashier", "paypal"])
def test_a_page_of_theirs_is_a_redirect(merchant, account, simulator, method):
    order = an_order(merchant)
    payment = a_payment(order, method)
    assert payment.step == "redirect"
    assert requests.get(payment.step_data["url"], timeout=10).ok

    simulator.happen(payment.reference, "approve")
    news(simulator)

    assert fresh(order).status == "paid"


def test_the_small_app_offers_what_it_was_not_given_and_hears_no(merchant, simulator):
    credentials = {"app_id": "086000000000002", "secret": "sim_secret_8c2e6b0d4f1a9753"}
    an_account(merchant, provider="storesquare", base_url=f"{simulator.url}/storesquare", credentials=credentials)

    payment = a_payment(an_order(merchant, currency="SGD"), "payNow")

    assert (payment.status, payment.decline_code) == ("failed", "3008")


# --------------------------------------------------------------------------------------------------------------- tokens


def test_an_expired_access_token_is_renewed_once(merchant, account, simulator):
    a_payment(an_order(merchant), "card", card=APPROVED)
    simulator.dial("expired_token", next=1, operation="payment_create")

    order = an_order(merchant)
    a_payment(order, "card", card=APPROVED)

    assert fresh(order).status == "paid"
    simulator.dial("expired_token", next=2, operation="payment_create")
    payment = a_payment(an_order(merchant), "card", card=APPROVED)
    assert (payment.status, payment.decline_category) == ("failed", "processing_error")


def test_wrong_credentials_never_reach_a_payment(merchant, simulator):
    wrong = {**CREDENTIALS, "secret": "sim_secret_0000000000000000"}
    an_account(merchant, provider="storesquare", base_url=f"{simulator.url}/storesquare", credentials=wrong)

    payment = a_payment(an_order(merchant), "card", card=APPROVED)

    assert (payment.status, payment.decline_category) == ("failed", "processing_error")
    assert not simulator.calls("payment_create")


@pytest.mark.parametrize(
    "fault", ["timeout_after", "http_500_after", "reset_after", "garbage_answer", "system_error_after"]
)
def test_an_answer_lost_after_the_charge_is_found_by_asking(merchant, account, simulator, settings, fault):
    a_payment(an_order(merchant), "cashier")  # has the access token fetched
    settings.PROVIDER_READ_SECONDS = 1.0
    gateway._http.cache_clear()
    simulator.dial(fault, next=1, operation="payment_create")
    simulator.dial("webhook_drop")
    order = an_order(merchant)

    payment = a_payment(order, "card", card=APPROVED)

    assert (payment.status, payment.step, fresh(order).status) == ("pending", "ask", "processing")
    with time_machine.travel(timezone.now() + timedelta(seconds=15)):
        work_until_quiet()
    assert fresh(order).status == "paid"
    assert charged(simulator) == 1000


# ------------------------------------------------------------------------------------------------- captures and refunds


@pytest.fixture
def held(merchant, account) -> Payment:
    payment = a_payment(an_order(merchant, capture="manual"), "card", card=APPROVED)
    assert (payment.status, payment.held) == ("authorised", 1000)
    return payment


def test_only_what_can_be_held_is_offered_for_manual_capture(merchant, account):
    codes = {offer.method.code for offer in operations.offers(an_order(merchant, capture="manual", currency="SGD"))}

    assert codes == {"card", "cashier"}


def test_a_hold_is_captured(held, simulator):
    assert operations.capture(held).status == "succeeded"

    news(simulator)
    held.refresh_from_db()
    assert (held.captured_total, held.held, fresh(held.order).status) == (1000, 0, "paid")
    assert charged(simulator) == 1000


def test_a_part_is_captured_and_the_rest_is_let_go(held, simulator):
    operations.capture(held, amount=400)
    news(simulator)

    held.refresh_from_db()
    assert (held.captured_total, held.released_total, held.held) == (400, 600, 0)
    assert charged(simulator) == 400


def test_a_hold_is_let_go(held, simulator):
    assert operations.cancel(held).status == "succeeded"

    news(simulator)
    held.refresh_from_db()
    assert (held.status, held.held, charged(simulator)) == ("cancelled", 0, 0)


def test_a_hold_that_is_forgotten_ends_by_itself(held, simulator):
    simulator.dial("webhook_drop")
    simulator.advance(8 * 24 * 3600)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        work_until_quiet()

    held.refresh_from_db()
    assert (held.status, held.held) == ("cancelled", 0)


@pytest.mark.parametrize("operation", ["capture", "refund"])
@pytest.mark.parametrize("fault", ["timeout_after", "http_500_after"])
def test_a_lost_answer_to_an_operation_moves_money_once(merchant, account, simulator, settings, operation, fault):
    payment = a_payment(an_order(merchant, capture="manual"), "card", card=APPROVED)
    if operation == "refund":
        operations.capture(payment)
    settings.PROVIDER_READ_SECONDS = 1.0
    gateway._http.cache_clear()
    simulator.dial(fault, next=1, operation=operation)
    payment.refresh_from_db()

    row = getattr(operations, operation)(payment, amount=600)
    assert row.is_in_flight

    for minutes in (2, 10, 80):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            work_until_quiet()
    row.refresh_from_db()
    assert row.status == "succeeded"
    assert charged(simulator) == (600 if operation == "capture" else 400)


def test_money_is_given_back_in_parts(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=APPROVED)

    first = operations.refund(payment, amount=300, reason="one cup broke", requested_from="203.0.113.7")
    payment.refresh_from_db()
    second = operations.refund(payment, amount=300, reason="so did the other")
    news(simulator)

    assert {first.status, second.status} == {"succeeded"}
    assert (fresh(order).refunded_total, order.status, charged(simulator)) == (600, "partially_refunded", 400)
    sent = "".join(call["request"] for call in simulator.calls("refund"))
    assert "203.0.113.7" in sent
    assert "one cup broke" in sent


@pytest.mark.parametrize(("cents", "status"), [(111, "succeeded"), (113, "failed")])
def test_a_refund_that_takes_its_time_is_not_called_done(merchant, account, simulator, cents, status):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=APPROVED)

    row = operations.refund(payment, amount=cents)
    assert (row.status, fresh(order).refunded_total) == ("pending", 0)
    simulator.advance(60)
    work_until_quiet()  # its webhook is a reason to ask, so nobody waits for the schedule

    row.refresh_from_db()
    payment.refresh_from_db()
    assert row.status == status
    assert payment.refundable == (1000 - cents if status == "succeeded" else 1000)


def test_a_refund_made_at_the_portal_is_seen(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=APPROVED)
    news(simulator)

    simulator.happen(payment.reference, "refund", amount="4.00")
    news(simulator)

    assert (fresh(order).refunded_total, payment.refunds.get().source) == (400, "external")


# ------------------------------------------------------------------------------------------------------------- webhooks


@pytest.mark.parametrize("preset", ["hmac_ts_body", "sha256_body_secret", "sha256_sorted_kv"])
def test_each_signature_preset_is_understood(merchant, account, simulator, preset):
    account.set_credentials({**CREDENTIALS, "signature": preset})
    account.save()
    simulator.set_up("apps", **CREDENTIALS, signature_preset=preset)
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")

    simulator.happen(payment.reference, "approve")
    news(simulator)

    assert WebhookEvent.objects.get().state == "applied"
    assert fresh(order).status == "paid"


@pytest.mark.parametrize("fault", ["webhook_duplicate", "webhook_delay", "webhook_reorder", "webhook_drop"])
def test_however_the_news_travels_the_order_is_paid_once(merchant, account, simulator, fault):
    simulator.dial(fault)
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")
    simulator.happen(payment.reference, "approve")

    news(simulator)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        work_until_quiet()
    simulator.advance(3600)
    work_until_quiet()

    assert fresh(order).status == "paid"
    assert order.events.filter(type="payment.succeeded").count() == 1


def test_a_forged_webhook_is_refused(merchant, account, simulator):
    simulator.dial("webhook_forged")
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")
    simulator.happen(payment.reference, "approve")

    news(simulator)

    assert WebhookEvent.objects.count() == 0
    assert account.refused_deliveries.get().reason == "bad_signature"


def test_another_amount_is_never_success(merchant, account, simulator):
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")

    simulator.happen(payment.reference, "approve", amount="9.00")
    news(simulator)

    assert fresh(order).status == "needs_review"
    assert not order.events.filter(type="payment.succeeded").exists()


def test_the_webhook_address_is_subscribed(account, simulator):
    assert gateway.subscribe(account).status == "ACTIVE"
    assert links.webhook_url(account) in simulator.calls("webhook_subscribe")[0]["request"]


# ---------------------------------------------------------------------------------------------------------- saved cards


ADA = {"customer": {"reference": "ada"}}


@pytest.fixture
def card(merchant, account, simulator) -> SavedCard:
    order = an_order(merchant, **ADA)
    offer = next(offer for offer in operations.offers(order) if offer.method.code == "card")
    agreement = Agreement(wording="1", language="en", purpose=Purpose.RECURRING)
    operations.start(
        order,
        offer_code=offer.code,
        submission="first",
        card=APPROVED,
        agreement=agreement,
        customer=SHOPPER,
        browser=BROWSER,
    )
    news(simulator)
    return SavedCard.objects.get()


def test_a_saved_card_pays_with_the_shopper_there(merchant, card, simulator):
    order = an_order(merchant, **ADA)
    offer = operations.offer_for(card, order)
    assert offer

    payment = operations.start(
        order, offer_code=offer.code, submission="second", saved_card=card, customer=SHOPPER, browser=BROWSER
    )

    assert (payment.status, fresh(order).status, charged(simulator)) == ("captured", "paid", 2000)


def test_a_saved_card_is_charged_while_the_shopper_is_away(merchant, card, simulator):
    order = an_order(merchant, **ADA)

    operations.charge(order, card, purpose=Purpose.RECURRING, submission="m1", actor="key:x")

    assert fresh(order).status == "paid"
    assert "RECURRING" in simulator.calls("token_payment")[0]["request"]


def test_a_saved_card_keeps_its_currency(merchant, card):
    assert saved_cards.usable(an_order(merchant, currency="SGD", **ADA)) == []


def test_a_revoked_card_is_a_decline(merchant, card, simulator):
    first = Payment.objects.get(order__reference=Order.objects.first().reference)
    simulator.happen(first.reference, "revoke_card")
    order = an_order(merchant, **ADA)

    payment = operations.charge(order, card, purpose=Purpose.RECURRING, submission="m2", actor="key:x")

    assert (payment.status, payment.decline_code) == ("failed", "3009")


# ------------------------------------------------------------------------------------------------------------- tracking


def test_parcels_are_told_in_batches_changed_and_told_once(merchant, account, simulator):
    today = timezone.now().date()
    shipments = []
    for number in range(3):
        order = an_order(merchant)
        a_payment(order, "card", card=APPROVED)
        shipments.append(
            shipping.add(fresh(order), carrier="FEDEX", number=f"N{number}", shipped_on=today, actor="staff:1")
        )
    work_until_quiet()

    assert [one.uploads.get().status for one in shipments] == ["succeeded"] * 3
    assert len(simulator.calls("tracking_batch")) == 1
    shipping.change(shipments[0], status="cancelled", actor="staff:1")
    work_until_quiet()
    assert shipments[0].uploads.get(is_change=True).status == "succeeded"
    assert len(simulator.calls("tracking_update")) == 1


def test_a_parcel_whose_answer_was_lost_is_there_once(merchant, account, simulator, settings):
    order = an_order(merchant)
    a_payment(order, "card", card=APPROVED)
    simulator.dial("http_500_after", next=1, operation="tracking_add")
    shipment = shipping.add(fresh(order), carrier="DHL", number="N1", shipped_on=timezone.now().date(), actor="staff:1")
    work_until_quiet()
    assert shipment.uploads.get().is_in_flight

    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        work_until_quiet()

    assert shipment.uploads.get().status == "succeeded"


def test_the_pages_of_the_other_side_work(merchant, account, simulator):
    order = an_order(merchant, currency="SGD")
    payment = a_payment(order, "payNow")

    assert requests.get(payment.step_data["content"], timeout=10).ok
