from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.orders.models import Payment
from checkout.pages.screens import Screen
from checkout.pages.texts import decline
from providers.contract import DeclineCategory
from tests import factories
from tests.pages.shopper import CARD, press, screen_in, token_in, url_of

HTMX = {"HX-Request": "true"}


def test_the_page_says_who_is_paid_what_for_and_how_much_before_anything_is_pressed(client, merchant, account):
    order = factories.an_order(
        merchant,
        amount_minor=7240,
        description="Spring order",
        items=[{"name": "Mug", "quantity": 2, "unit_amount": 3620}],
    )

    page = client.get(url_of(order)).content.decode()

    for text in ("Fern &amp; Clay", "Spring order", "Mug", "2 × €36.20", "€72.40", "EUR", "Test mode"):
        assert text in page
    assert "<title>[Test] Pay €72.40 to Fern &amp; Clay</title>" in page
    assert '<html lang="en"' in page


def test_a_live_page_does_not_speak_of_a_test(client, merchant):
    factories.an_account(merchant, mode="live", base_url="https://api.acme.example")
    order = factories.an_order(merchant, mode="live")

    assert "Test mode" not in client.get(url_of(order)).content.decode()


def test_pages_are_neither_stored_nor_tied_to_a_cookie(client, order):
    for response in (client.get(url_of(order)), press(client, order, number="1"), press(client, order)):
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "no-referrer"
        assert not response.cookies


def test_nothing_in_a_page_needs_an_inline_script_or_style(client, order):
    for page in (client.get(url_of(order)), press(client, order, number="1"), client.get("/pay/unknown")):
        html = page.content.decode()
        assert not re.search(r"<script(?![^>]*\ssrc=)", html)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
        assert "hx-on" not in html
        assert '"allowEval": false' in html


def test_a_cashier_is_reached_by_a_redirect_that_the_page_allows(client, order, bank):
    page = client.get(url_of(order))
    answer = press(client, order, "cashier")

    assert "https://cashier.acme.example:*" in page["Content-Security-Policy"].partition("form-action")[2]
    assert answer.status_code == 303
    assert answer["Location"] == "https://cashier.acme.example/A1"
    assert bank.calls == ["start"]


def test_a_live_page_lets_forms_end_at_https_only(client, merchant):
    factories.an_account(merchant, mode="live", base_url="https://api.acme.example")
    order = factories.an_order(merchant, mode="live")

    policy = client.get(url_of(order))["Content-Security-Policy"]

    assert "http://" not in policy


def test_htmx_is_told_where_to_go(client, order):
    answer = press(client, order, "cashier", headers=HTMX)

    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "https://cashier.acme.example/A1"


def test_an_attempt_without_outcome_leads_to_the_waiting_page(client, order):
    answer = press(client, order)
    shown = client.get(answer["Location"])

    assert answer.status_code == 303
    assert screen_in(shown) is Screen.WAITING
    assert "Please do not pay again" in shown.content.decode()
    assert 'http-equiv="refresh"' in shown.content.decode()


def test_the_same_form_sent_twice_is_one_payment(client, order, bank):
    token = token_in(client.get(url_of(order)))

    first, second = press(client, order, token=token), press(client, order, token=token)

    assert first["Location"] == second["Location"] == url_of(order)
    assert order.payments.count() == 1
    assert bank.calls == ["start"]


def test_mistakes_are_shown_together_and_only_harmless_words_are_kept(client, order, bank):
    answer = press(client, order, number="4242 4242 4242 4241", cvc="12", expiry="1/40")
    page = answer.content.decode()

    assert answer.status_code == 422
    assert "<title>Error: " in page
    assert 'href="#card-number"' in page
    assert 'href="#card-cvc"' in page
    assert 'role="alert" tabindex="-1" autofocus' in " ".join(page.split())
    assert "Ada Lovelace" in page
    assert "4242 4242 4242 4241" not in page
    assert not re.search(r'id="card-(number|cvc)"[^>]*value="[^"]', page)
    assert bank.calls == []


def test_htmx_gets_only_what_changed(client, order):
    answer = press(client, order, number="1", headers=HTMX)
    page = answer.content.decode()

    assert answer.status_code == 422
    assert "<html" not in page
    assert 'id="card-number"' not in page
    assert 'id="card-number-error" hx-swap-oob="true"' in page
    assert 'id="token"' in page


def test_a_decline_keeps_the_form_and_says_what_to_do(client, order, bank):
    bank.arm("start", "unreachable")
    answer = press(client, order)
    shown = client.get(answer["Location"])

    assert answer.status_code == 303
    assert screen_in(shown) is Screen.DECLINED
    assert "no money was taken" in shown.content.decode()
    assert shown.content.decode().count("<title>Error: ") == 1

    assert press(client, order).status_code == 303
    assert order.payments.count() == 2


def test_a_decline_by_htmx_brings_a_message_and_a_new_token(client, order, bank):
    bank.arm("start", "unreachable")
    token = token_in(client.get(url_of(order)))
    answer = press(client, order, token=token, headers=HTMX)

    assert answer.status_code == 422
    assert "could not be reached" in answer.content.decode()
    assert token_in(answer) != token


@pytest.mark.parametrize("category", DeclineCategory)
def test_every_reason_has_a_text_that_says_what_became_of_the_money(category):
    message = decline(category)

    assert "no money was taken" in str(message.text).lower()
    assert category.value not in f"{message.title} {message.text}" or category == DeclineCategory.DECLINED


def test_suspicion_of_fraud_reads_like_any_decline(client, order, bank):
    bank.arm("start", "unreachable")
    press(client, order)
    Payment.objects.update(decline_category=DeclineCategory.FRAUD, decline_code="59")

    page = client.get(url_of(order)).content.decode()

    assert str(decline(DeclineCategory.DECLINED).title) in page
    assert "fraud" not in page.lower()


def test_a_form_that_lost_its_token_is_offered_again(client, order, bank):
    answer = press(client, order, token="someone-elses")

    assert answer.status_code == 422
    assert "press the button once more" in answer.content.decode()
    assert bank.calls == []


def test_a_way_to_pay_that_is_not_offered_is_refused(client, order, bank):
    token = token_in(client.get(url_of(order)))

    answer = client.post(url_of(order), {"token": token, "offer": "999:card", **CARD})

    assert answer.status_code == 422
    assert "no longer offered" in answer.content.decode()
    assert bank.calls == []


def test_without_permission_for_card_forms_there_is_none(client, order, settings, bank):
    settings.CARD_FORM = False

    page = client.get(url_of(order)).content.decode()
    answer = press(client, order)

    assert 'name="number"' not in page
    assert answer.status_code == 422
    assert bank.calls == []


def test_a_form_cannot_change_the_amount_or_the_status(client, order):
    answer = client.post(
        url_of(order),
        {"token": token_in(client.get(url_of(order))), "offer": "0:none", "amount": "1", "status": "paid"},
    )

    assert answer.status_code == 422
    order.refresh_from_db()
    assert (order.amount, order.status) == (1000, "open")


@pytest.mark.parametrize(
    ("waited", "delay"), [("0", 2), ("29", 2), ("30", 5), ("119", 5), ("120", 15), ("-1", 2), ("x", 2), ("9" * 40, 2)]
)
def test_the_server_chooses_the_rhythm_of_the_wait(client, order, waited, delay):
    factories.a_payment(order, "card")

    poll = client.get(f"{url_of(order)}/status", {"waited": waited}, headers=HTMX)

    assert poll.status_code == 200
    assert f"load delay:{delay}s" in poll.content.decode()


def test_a_long_wait_names_the_reference_and_never_a_failure(client, order):
    factories.a_payment(order, "card")

    poll = client.get(f"{url_of(order)}/status", {"waited": "60"}, headers=HTMX).content.decode()

    assert order.reference in poll
    assert "still checking" in poll
    assert "fail" not in poll.lower()


def test_a_wait_of_ten_seconds_asks_once_and_not_at_every_poll(client, order, bank):
    payment = factories.a_payment(order, "card")
    Payment.objects.filter(pk=payment.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    bank.calls.clear()

    for _ in range(3):
        client.get(f"{url_of(order)}/status", headers=HTMX)

    assert bank.calls == ["fetch"]


def test_the_poll_brings_the_outcome_and_ends_itself(client, order, bank):
    payment = factories.a_payment(order, "card")
    Payment.objects.filter(pk=payment.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    bank.latest().approve()

    poll = client.get(f"{url_of(order)}/status", headers=HTMX)

    assert poll.status_code == 286
    assert poll["HX-Retarget"] == "#action"
    assert "Payment complete" in poll.content.decode()
    assert "hx-get" not in poll.content.decode()


def test_arabic_runs_from_right_to_left_but_card_numbers_do_not(client, merchant, account, settings):
    settings.LANGUAGES = [("en", "English"), ("ar", "العربية")]
    order = factories.an_order(merchant, locale="ar")

    page = client.get(url_of(order)).content.decode()

    assert '<html lang="ar" dir="rtl">' in page
    assert re.search(r'id="card-number"[^>]*dir="ltr"', page)
