"""The page with a QR code: shown while it can be scanned, renewed on request, and replaced by the outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.orders import operations
from checkout.orders.messages import payment_ref
from checkout.orders.models import Order, Payment
from checkout.pages import steps
from checkout.pages.screens import Screen
from providers.contract import ShowQr, Started, Unreachable
from tests import factories
from tests.pages.shopper import HTMX, later, press, screen_in, send, text_of, url_of

from providers.zenith import DESK, paid, waiting  # isort: skip


@pytest.fixture
def order(merchant, zenith) -> Order:
    return factories.an_order(merchant)


@pytest.fixture
def shown(client, order) -> Payment:
    press(client, order, "wallet")
    payment = order.payments.get()
    assert payment.step == "qr"
    return payment


def image_of(payment: Payment) -> str:
    return f"{url_of(payment.order)}/qr/{payment.public_id}.svg"


def poll(client, order: Order, seen: str = "1"):
    return client.get(f"{url_of(order)}/status", {"waited": "0", "seen": seen}, headers=HTMX)


def pay_at_the_provider(payment: Payment) -> None:
    DESK.reports[payment.reference] = paid(payment_ref(payment))
    Payment.objects.filter(pk=payment.pk).update(created_at=timezone.now() - timedelta(seconds=11), asked_at=None)


def test_the_page_names_the_method_and_shows_the_code(client, order, shown):
    page = client.get(url_of(order))

    assert screen_in(page) is Screen.QR
    assert "Scan this code with Zen Pay" in text_of(page)
    assert f'src="{image_of(shown)}"' in page.content.decode()
    assert 'data-countdown="300"' in page.content.decode() or 'data-countdown="299"' in page.content.decode()
    assert 'http-equiv="refresh"' in page.content.decode()
    assert 'name="number"' not in page.content.decode(), "a page that renews itself would lose what was typed"


def test_the_image_is_a_drawing_that_nobody_keeps(client, order, shown):
    image = client.get(image_of(shown))

    assert image["Content-Type"] == "image/svg+xml"
    assert "no-store" in image["Cache-Control"]
    assert image.content.startswith(b"<svg")
    assert b"<script" not in image.content
    assert image.content == steps.draw_qr(shown.step_data["content"])


def test_another_content_is_another_drawing():
    assert steps.draw_qr("one") != steps.draw_qr("two")
    with pytest.raises(ValueError):  # noqa: PT011 - any
        steps.draw_qr("x" * 5000)


def test_the_image_is_there_for_its_own_attempt_and_time_only(client, order, shown):
    assert client.get(image_of(shown).replace(str(shown.public_id), str(order.public_id))).status_code == 404
    with later(301):
        assert client.get(image_of(shown)).status_code == 404
    pay_at_the_provider(shown)
    operations.inquire(shown, cause="test")
    assert client.get(image_of(shown)).status_code == 404


def test_what_no_qr_code_can_hold_is_an_image_that_is_missing_and_no_error(client, order):
    DESK.say("start", lambda request: Started(waiting(request), ShowQr("x" * 5000)))
    press(client, order, "wallet")

    assert client.get(url_of(order)).status_code == 200
    assert client.get(image_of(order.payments.get())).status_code == 404


@pytest.mark.parametrize(
    ("content", "base_url", "is_linked"),
    [
        ("https://zenith.example/w/1", "https://api.zenith.example", True),
        ("https://elsewhere.example/w/1", "https://api.zenith.example", False),
        ("http://zenith.example/w/1", "https://api.zenith.example", False),
        ("http://zenith.example/w/1", "http://127.0.0.1:9/zenith", True),
        ("weixin://wxpay/bizpayurl?pr=1", "https://api.zenith.example", False),
        ("javascript:alert(1)//zenith.example", "https://api.zenith.example", False),
        ("00020101021226", "https://api.zenith.example", False),
    ],
)
def test_the_app_is_opened_only_where_a_shopper_may_be_sent(client, order, content, base_url, is_linked):
    ProviderAccount.objects.update(base_url=base_url)
    DESK.say("start", lambda request: Started(waiting(request), ShowQr(content, 300)))
    press(client, order, "wallet")

    page = client.get(url_of(order)).content.decode()

    assert ("Open Zen Pay on this device" in page) is is_linked
    assert (f'href="{content}"' in page) is is_linked


def test_the_poll_goes_on_while_the_code_is_right_and_brings_the_outcome(client, order, shown):
    assert poll(client, order).status_code == 200
    assert 'id="poll"' in poll(client, order).content.decode()
    assert "seen=1" in poll(client, order).content.decode()

    pay_at_the_provider(shown)
    answer = poll(client, order)

    assert (answer.status_code, answer["HX-Retarget"]) == (286, "#action")
    assert "Payment complete" in answer.content.decode()


def test_a_page_with_an_old_code_is_loaded_anew(client, order, shown):
    send(client, order, "again")

    assert order.payments.count() == 2
    assert poll(client, order, seen="1")["HX-Redirect"] == url_of(order)
    assert "HX-Redirect" not in poll(client, order, seen="2")


def test_a_code_that_nobody_scanned_gives_way_to_the_forms(client, order, shown):
    with later(301):
        assert poll(client, order)["HX-Redirect"] == url_of(order)
        assert "The payment was not finished" in text_of(client.get(url_of(order)))


def test_while_nobody_knows_whether_it_was_scanned_in_time_the_page_still_listens(client, order, shown):
    DESK.say("fetch", *[Unreachable("down")] * 5)
    with later(301):
        page = client.get(url_of(order))
        assert poll(client, order, seen="1")["HX-Redirect"] == url_of(order)
        assert poll(client, order, seen="1-over").status_code == 200

    assert "The time for this code is over" in text_of(page)
    assert "<img" not in page.content.decode()
    assert 'id="poll"' in page.content.decode()


def test_a_new_code_is_a_new_attempt_after_the_provider_was_asked_about_the_old_one(client, order, shown):
    answer = send(client, order, "again")
    new = order.payments.latest("number")

    assert answer["Location"] == url_of(order)
    assert DESK.names() == ["start", "fetch", "cancel", "start"]
    assert (new.number, new.step, new.method) == (2, "qr", "wallet")
    shown.refresh_from_db()
    assert shown.status in {"cancelled", "expired"}


def test_who_has_paid_the_old_code_gets_no_new_one(client, order, shown):
    pay_at_the_provider(shown)

    send(client, order, "again")

    assert order.payments.count() == 1
    assert screen_in(client.get(url_of(order))) is Screen.PAID


def test_two_presses_for_a_new_code_are_one(client, order, shown):
    fields = {"kind": "again", "payment": str(shown.public_id)}
    for _ in range(2):
        client.post(url_of(order), fields)

    assert order.payments.count() == 2


def test_a_method_that_was_switched_off_gives_no_new_code(client, order, shown, zenith):
    ProviderAccount.objects.update(methods=["page"])

    answer = send(client, order, "again")

    assert answer.status_code == 422
    assert "no longer offered" in text_of(answer)


def test_another_way_to_pay_is_a_link_away(client, order, shown):
    choice = client.get(f"{url_of(order)}?another")

    assert "Continue where you left off" in text_of(choice)
    assert "refresh" not in choice.content.decode()
    assert press(client, order, "page")["Location"].startswith("https://zenith.example/p/")
