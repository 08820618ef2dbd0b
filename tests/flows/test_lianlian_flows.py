"""LianLian's client, our core and LianLian's simulator together, over real HTTP."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from django.db import connection
from django.utils import timezone

from checkout.orders import gateway, operations, saved_cards
from checkout.orders.models import Order, Payment, SavedCard
from checkout.orders.saved_cards import Agreement
from checkout.webhooks.models import WebhookEvent
from providers.contract import Browser, Card, Purpose
from tests.factories import BROWSER, SHOPPER, a_payment, an_account, an_order
from tests.flows.stage import Simulator, charged, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = Path(gateway.__file__).parents[2] / "providers" / "lianlian"
PARTNER, WITHOUT_SMS = "201304121000001004", "201304121000001005"
WHO = {"holder": "张三", "id_number": "11010519491231002X", "phone": "13800000000"}
DEBIT = Card(number="6222081202008630000", expiry_month=0, expiry_year=0, cvc="", brand="unionpay", **WHO)
CREDIT = Card(number="6259650000000000", expiry_month=12, expiry_year=2031, cvc="123", brand="unionpay", **WHO)
RIGHT = "123456"


def card_ending(last4: str, card: Card = DEBIT) -> Card:
    return dataclasses.replace(card, number=card.number[:-4] + last4)


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    simulator_process.reset()
    return simulator_process.of("lianlian")


def open_account(merchant, simulator, partner: str = PARTNER, **credentials: str):
    return an_account(
        merchant,
        name="LianLian",
        provider="lianlian",
        base_url=f"{simulator.url}/lianlian",
        credentials={
            "oid_partner": partner,
            "ware_category": "2009",
            "merchant_private_key": (KEYS / "simulator_key.pem").read_text(),
            "provider_public_key": (KEYS / "simulator_public_key.pem").read_text(),
            **credentials,
        },
    )


@pytest.fixture
def account(merchant, simulator):
    return open_account(merchant, simulator)


def an_order_in_yuan(merchant, **fields) -> Order:
    return an_order(merchant, **{"currency": "CNY", "amount_minor": 3168, **fields})


def fresh(order: Order) -> Order:
    order.refresh_from_db()
    return order


def news(simulator: Simulator, seconds: int = 3) -> None:
    simulator.advance(seconds)
    work_until_quiet()


def later(**span: int) -> None:
    with time_machine.travel(timezone.now() + timedelta(**span)):
        work_until_quiet()


@pytest.fixture
def waiting(merchant, account) -> Payment:
    payment = a_payment(an_order_in_yuan(merchant), "card", card=DEBIT)
    assert payment.step == "code"
    return payment


# ----------------------------------------------------------------------------------------------------------- SMS codes


def test_a_debit_card_is_paid_with_the_code(waiting, simulator):
    assert waiting.step_data["sent_to"].endswith("0000")

    payment = operations.submit_code(waiting, code=RIGHT)

    assert (payment.status, payment.captured_total, fresh(payment.order).status) == ("captured", 3168, "paid")
    news(simulator)
    assert WebhookEvent.objects.get().state == "applied"
    assert charged(simulator) == 3168


@pytest.mark.parametrize("sign_type", ["RSA", "SHA256withRSA"])
def test_both_ways_to_sign_are_spoken(merchant, simulator, sign_type):
    open_account(merchant, simulator, sign_type=sign_type)
    payment = a_payment(an_order_in_yuan(merchant), "card", card=DEBIT)

    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_a_wrong_code_may_be_corrected(waiting):
    payment = operations.submit_code(waiting, code="111111")
    assert (payment.step, payment.step_data["problem"], payment.code_tries) == ("code", "wrong", 1)

    assert operations.submit_code(payment, code=RIGHT).status == "captured"


@pytest.mark.parametrize(("code", "problem"), [("000001", "expired"), ("000002", "locked")])
def test_a_code_that_is_over_takes_another_payment(waiting, simulator, code, problem):
    payment = operations.submit_code(waiting, code=code)
    assert (payment.step, payment.step_data["problem"]) == ("code", problem)

    again = a_payment(payment.order, "card", card=DEBIT)

    assert again.reference != payment.reference
    assert operations.submit_code(again, code=RIGHT).status == "captured"
    assert charged(simulator) == 3168


@pytest.mark.parametrize("code", ["000003", "000006", "000007", "000009"])
def test_a_debit_whose_answer_says_nothing_is_found_by_asking(waiting, simulator, code):
    payment = operations.submit_code(waiting, code=code)
    assert (payment.status, fresh(payment.order).status) == ("pending", "processing")
    with pytest.raises(operations.AlreadyInProgress):
        a_payment(payment.order, "card", card=DEBIT)

    simulator.dial("webhook_drop")
    simulator.advance(15)
    later(seconds=45)

    assert fresh(payment.order).status == "paid"
    assert charged(simulator) == 3168


@pytest.mark.parametrize("code", ["000004", "000008"])
def test_a_failure_that_is_never_announced_is_found_by_the_sweep(waiting, simulator, code):
    payment = operations.submit_code(waiting, code=code)
    assert payment.status == "pending"

    simulator.advance(15)
    later(seconds=45)

    payment.refresh_from_db()
    assert (payment.status, fresh(payment.order).status, charged(simulator)) == ("failed", "open", 0)
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize(
    ("last4", "category"),
    [
        ("0002", "insufficient_funds"),
        ("0003", "declined"),
        ("0004", "limit_exceeded"),
        ("0005", "declined"),
    ],
)
def test_a_decline_says_why(merchant, account, last4, category):
    payment = a_payment(an_order_in_yuan(merchant), "card", card=card_ending(last4))

    payment = operations.submit_code(payment, code=RIGHT)
    later(seconds=45)

    payment.refresh_from_db()
    assert (payment.status, payment.shown_decline) == ("failed", category)


@pytest.mark.parametrize("last4", ["0012", "0013", "0014"])
def test_a_card_that_is_refused_at_once_leaves_the_order_payable(merchant, account, last4):
    order = an_order_in_yuan(merchant)

    payment = a_payment(order, "card", card=card_ending(last4))

    assert (payment.status, fresh(order).status) == ("failed", "open")


def test_the_other_code_for_a_sent_sms_is_understood(merchant, account):
    payment = a_payment(an_order_in_yuan(merchant), "card", card=card_ending("0021"))

    assert payment.step == "code"
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


@pytest.mark.parametrize(("last4", "status"), [("0031", "captured"), ("0032", "pending")])
def test_a_card_without_sms_is_paid_at_once(merchant, account, simulator, last4, status):
    order = an_order_in_yuan(merchant)
    payment = a_payment(order, "card", card=card_ending(last4))
    assert payment.status == status

    simulator.advance(15)
    work_until_quiet()
    later(seconds=45)

    assert (fresh(order).status, charged(simulator)) == ("paid", 3168)


def test_an_account_without_sms_debits_at_once(merchant, simulator):
    open_account(merchant, simulator, WITHOUT_SMS)
    order = an_order_in_yuan(merchant)

    a_payment(order, "card", card=DEBIT)

    assert fresh(order).status == "paid"


def test_an_application_whose_answer_was_lost_is_asked_about(merchant, account, simulator, settings):
    settings.PROVIDER_READ_SECONDS = 1.0
    gateway._http.cache_clear()
    simulator.dial("timeout_after", next=1, operation="easypay")
    order = an_order_in_yuan(merchant)

    payment = a_payment(order, "card", card=DEBIT)

    assert payment.step == "ask"
    simulator.advance(2 * 3600)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        work_until_quiet()
    payment.refresh_from_db()
    assert payment.status in {"failed", "expired"}


def test_only_yuan_are_offered(merchant, account):
    assert operations.offers(an_order(merchant)) == []


def test_who_pays_is_kept_nowhere(waiting, simulator):
    operations.submit_code(waiting, code="864209")
    operations.submit_code(waiting, code=RIGHT)
    news(simulator)

    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = repr(cursor.fetchall())
            for secret in (DEBIT.number, DEBIT.id_number, DEBIT.phone, "864209", "张三"):
                assert secret not in rows, (table, secret)
    state = simulator.state.read_bytes()
    for secret in (DEBIT.number, DEBIT.id_number, "864209"):
        assert secret.encode() not in state


# --------------------------------------------------------------------------------------------------------- credit cards


def test_a_credit_card_needs_its_date_and_code(merchant, account):
    order = an_order_in_yuan(merchant)
    bare = dataclasses.replace(CREDIT, expiry_month=0, expiry_year=0, cvc="")

    assert a_payment(order, "card", card=bare).status == "failed"
    payment = a_payment(order, "card", card=CREDIT)
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


@pytest.fixture
def held(merchant, account, simulator) -> Payment:
    payment = a_payment(an_order_in_yuan(merchant, capture="manual"), "card", card=CREDIT)
    payment = operations.submit_code(payment, code=RIGHT)
    news(simulator)
    later(seconds=45)
    payment.refresh_from_db()
    assert (payment.status, payment.held) == ("authorised", 3168)
    return payment


def test_a_hold_is_captured(held, simulator):
    row = operations.capture(held)
    news(simulator)
    later(minutes=2)

    row.refresh_from_db()
    held.refresh_from_db()
    assert (row.status, held.captured_total, charged(simulator)) == ("succeeded", 3168, 3168)


def test_a_part_is_captured_and_the_rest_is_let_go(held, simulator):
    operations.capture(held, amount=1000)
    news(simulator)
    later(minutes=2)

    held.refresh_from_db()
    assert (held.captured_total, held.held, charged(simulator)) == (1000, 0, 1000)


def test_a_hold_is_let_go(held, simulator):
    operations.cancel(held)
    news(simulator)
    later(minutes=2)

    held.refresh_from_db()
    assert (held.status, held.held, charged(simulator)) == ("cancelled", 0, 0)


# -------------------------------------------------------------------------------------------------------------- refunds


@pytest.mark.parametrize(("fen", "status"), [(8801, "succeeded"), (8802, "failed"), (1000, "succeeded")])
def test_a_refund_has_a_life_of_its_own(merchant, account, simulator, fen, status):
    order = an_order_in_yuan(merchant, amount_minor=10000)
    payment = operations.submit_code(a_payment(order, "card", card=DEBIT), code=RIGHT)
    news(simulator)

    row = operations.refund(payment, amount=fen)
    assert row.status == ("succeeded" if fen == 8801 else "pending")
    news(simulator, 30)
    later(minutes=2)

    row.refresh_from_db()
    assert row.status == status
    assert charged(simulator) == 10000 - (fen if status == "succeeded" else 0)


def test_two_equal_refunds_are_two(merchant, account, simulator):
    order = an_order_in_yuan(merchant)
    payment = operations.submit_code(a_payment(order, "card", card=DEBIT), code=RIGHT)
    for _ in range(2):
        payment.refresh_from_db()
        operations.refund(payment, amount=1000)
        news(simulator, 30)
    later(minutes=2)

    assert fresh(order).refunded_total == 2000
    assert charged(simulator) == 1168


def test_a_lost_answer_to_a_refund_gives_back_once(merchant, account, simulator, settings):
    order = an_order_in_yuan(merchant)
    payment = operations.submit_code(a_payment(order, "card", card=DEBIT), code=RIGHT)
    settings.PROVIDER_READ_SECONDS = 1.0
    gateway._http.cache_clear()
    simulator.dial("timeout_after", next=1, operation="refund")

    row = operations.refund(payment, amount=1000)
    assert row.is_in_flight
    simulator.advance(30)
    for minutes in (2, 10, 80):
        later(minutes=minutes)

    row.refresh_from_db()
    assert (row.status, charged(simulator)) == ("succeeded", 2168)


# ---------------------------------------------------------------------------------------------------------- their pages


@pytest.mark.parametrize(("mobile", "path"), [(False, "/payment/traveleasypay.htm"), (True, "/travlepay.htm")])
def test_their_page_takes_our_form(merchant, account, simulator, mobile, path):
    order = an_order_in_yuan(merchant)
    offer = next(offer for offer in operations.offers(order) if offer.method.code == "cashier")
    browser = Browser(user_agent="Mozilla/5.0 (iPhone) Mobile", is_mobile=True) if mobile else BROWSER
    payment = operations.start(order, offer_code=offer.code, submission="f", customer=SHOPPER, browser=browser)
    assert (payment.step, fresh(order).status) == ("post_form", "requires_action")
    url = payment.step_data["url"]
    assert url == f"{simulator.url}/lianlian{path}"

    page = requests.post(url, data=payment.step_data["fields"], timeout=10)
    assert page.status_code == 200, page.text
    simulator.happen(payment.reference, "pay")
    news(simulator)

    assert fresh(order).status == "paid"


def test_a_form_that_was_changed_on_the_way_is_refused_there(merchant, account, simulator):
    payment = a_payment(an_order_in_yuan(merchant), "cashier")
    fields = {**payment.step_data["fields"], "money_order": "0.01"}

    page = requests.post(payment.step_data["url"], data=fields, timeout=10)

    assert page.status_code >= 400 or "1001" in page.text


# ------------------------------------------------------------------------------------------------------- notifications


@pytest.mark.parametrize("fault", ["webhook_duplicate", "webhook_delay", "webhook_drop"])
def test_however_the_news_travels_the_order_is_paid_once(waiting, simulator, fault):
    simulator.dial(fault)
    operations.submit_code(waiting, code="000003")

    simulator.advance(15)
    work_until_quiet()
    later(minutes=2)
    simulator.advance(3600)
    work_until_quiet()

    assert fresh(waiting.order).status == "paid"
    assert waiting.order.events.filter(type="payment.succeeded").count() == 1


def test_a_forged_notification_is_refused(waiting, account, simulator):
    simulator.dial("webhook_forged")
    operations.submit_code(waiting, code="000003")

    simulator.advance(15)
    work_until_quiet()

    assert not WebhookEvent.objects.exists()
    assert account.refused_deliveries.get().reason == "bad_signature"


def test_a_genuine_notification_about_other_money_asks_a_person(waiting, simulator):
    operations.submit_code(waiting, code=RIGHT)
    news(simulator)

    simulator.happen(waiting.reference, "notify_wrong_amount")
    news(simulator)

    assert fresh(waiting.order).status == "needs_review"


# ---------------------------------------------------------------------------------------------------------- saved cards


ADA = {"customer": {"reference": "ada"}}


@pytest.fixture
def card(merchant, account, simulator) -> SavedCard:
    order = an_order_in_yuan(merchant, **ADA)
    offer = next(offer for offer in operations.offers(order) if offer.method.code == "card")
    agreement = Agreement(wording="1", language="zh-hans", purpose=Purpose.UNSCHEDULED)
    payment = operations.start(
        order, offer_code=offer.code, submission="1", card=DEBIT, agreement=agreement, customer=SHOPPER
    )
    operations.submit_code(payment, code=RIGHT)
    news(simulator)
    return SavedCard.objects.get()


def test_a_saved_card_pays_with_a_code(merchant, card):
    order = an_order_in_yuan(merchant, **ADA)
    offer = operations.offer_for(card, order)
    assert offer

    payment = operations.start(order, offer_code=offer.code, submission="2", saved_card=card, customer=SHOPPER)

    assert payment.step == "code"
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_without_consent_no_agreement_is_kept(waiting, simulator):
    operations.submit_code(waiting, code=RIGHT)
    news(simulator)

    assert not SavedCard.objects.exists()


def test_a_removed_card_is_unbound_there(merchant, card, simulator):
    saved_cards.remove(card, actor="shopper")
    work_until_quiet()

    card.refresh_from_db()
    assert card.revoked_at
    assert len(simulator.calls("bankcardunbind")) == 1


# ---------------------------------------------------------------------------------------------------------- wrong keys


def test_keys_that_do_not_fit_move_nothing(merchant, simulator):
    stranger = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCSS/DiwdCf/aZsxxcacDnooGph3d2JOj5GXWi+q3gznZauZjkNP8SKl3J2liP0O6rU"
        "/Y/29+IUe+GTMhMOFJuZm1htAtKiu5ekW0GlBMWxf4FPkYlQkPE0FtaoMP3gYfh+OwI+fIRrpW3ySn3mScnc6Z700nU/VYrRkfcSCbSn"
        "RwIDAQAB\n-----END PUBLIC KEY-----\n"
    )
    open_account(merchant, simulator, provider_public_key=stranger)

    payment = a_payment(an_order_in_yuan(merchant), "card", card=DEBIT)

    assert (payment.status, payment.step) == ("pending", "ask"), "an answer that is not theirs is no answer"
