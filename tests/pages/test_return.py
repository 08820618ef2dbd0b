from __future__ import annotations

from django.test import Client

from checkout.orders import links
from checkout.orders.models import Payment
from checkout.pages.screens import Screen
from providers.contract import DeclineCategory, Status
from tests import factories
from tests.pages.shopper import screen_in, url_of


def address(payment: Payment) -> str:
    return f"/return/{links.return_token(payment)}"


def test_a_return_by_post_is_answered_by_a_redirect_to_itself_and_changes_nothing(order, bank):
    payment = factories.a_payment(order, "cashier")
    bank.calls.clear()

    answer = Client(enforce_csrf_checks=True).post(f"{address(payment)}?a=b", {"status": "paid", "amount": "1000"})

    assert answer.status_code == 303
    assert answer["Location"] == address(payment)
    assert not answer.cookies
    assert bank.calls == []


def test_what_the_browser_brings_moves_nothing(client, order, bank):
    payment = factories.a_payment(order, "cashier")

    shown = client.get(address(payment), {"status": "paid", "result": "success"})

    assert screen_in(shown) is Screen.WAITING
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_a_return_asks_once_and_a_reload_does_not_ask_again(client, order, bank):
    payment = factories.a_payment(order, "cashier")
    bank.calls.clear()

    client.get(address(payment))
    client.get(address(payment))

    assert bank.calls == ["fetch"]


def test_a_return_shows_what_the_provider_said_when_asked(client, order, bank):
    payment = factories.a_payment(order, "cashier")
    bank.latest().approve()

    assert screen_in(client.get(address(payment))) is Screen.PAID


def test_a_provider_in_trouble_leaves_the_page_honest(client, order, bank):
    payment = factories.a_payment(order, "cashier")
    bank.arm("fetch", "unreachable")

    shown = client.get(address(payment))

    assert shown.status_code == 200
    assert "We do not know yet" in shown.content.decode()


def test_another_browser_sees_the_outcome_and_nothing_personal(merchant, account, bank):
    order = factories.an_order(
        merchant,
        description="A private matter",
        items=[{"name": "A private thing", "quantity": 1, "unit_amount": 1000}],
        customer={"name": "Ada Lovelace", "email": "ada@example.org"},
    )
    payment = factories.a_payment(order, "card")
    bank.latest().approve()

    shown = Client().get(address(payment))
    page = shown.content.decode()

    assert screen_in(shown) is Screen.PAID
    assert order.success_url in page
    for text in ("private", "Ada", "ada@example.org", "4242"):
        assert text not in page
    assert not shown.cookies
    assert "no-store" in shown["Cache-Control"]


def test_a_declined_return_leads_back_to_the_form(client, order):
    payment = factories.a_payment(order, "cashier")
    Payment.objects.filter(pk=payment.pk).update(
        status=Status.FAILED, step="", decline_category=DeclineCategory.INSUFFICIENT_FUNDS
    )
    type(order).objects.filter(pk=order.pk).update(status="open")

    page = client.get(address(payment)).content.decode()

    assert "<title>Error: " in page
    assert "not enough money" in page
    assert f'href="{url_of(order)}"' in page


def test_a_token_that_was_changed_is_a_page_that_helps(client, order):
    payment = factories.a_payment(order, "cashier")

    shown = client.get(f"{address(payment)}x")

    assert shown.status_code == 404
    assert "the shop hears of it" in shown.content.decode()


def test_a_form_for_the_provider_has_a_button_and_may_go_there_only(client, order):
    payment = factories.a_payment(order, "cashier")
    Payment.objects.filter(pk=payment.pk).update(
        step="post_form",
        step_data={"url": "https://cashier.acme.example/pay?x=1", "fields": {"data": '"><b>', "sign": "s"}},
    )

    shown = client.get(f"{url_of(order)}/go/{payment.public_id}")
    page = shown.content.decode()

    assert 'action="https://cashier.acme.example/pay?x=1"' in page
    assert 'name="data" value="&quot;&gt;&lt;b&gt;"' in page
    assert "Continue to cashier.acme.example" in page
    assert "form-action 'self' https://cashier.acme.example;" in shown["Content-Security-Policy"] + ";"
