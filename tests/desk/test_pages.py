"""The desk's face: its policy for content, and a form that browsers can really send."""

from __future__ import annotations

import re

import pytest

from tests.factories import a_payment, an_order

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_page_has_inline_script_or_style(owner, log_in, merchant, account):
    payment = a_payment(an_order(merchant), "instant")
    order = f"/admin/orders/order/{payment.order_id}/"
    pages = [
        "/admin/",
        "/admin/orders/order/",
        f"{order}change/",
        f"{order}refund/{payment.pk}/",
        f"{order}give-back/{payment.order_id}/",
        f"{order}ship/{payment.order_id}/",
        "/admin/desk/parcellist/",
        "/admin/desk/parcellist/add/",
        "/admin/orders/order/export/?mode=test",
        f"{order}check/{payment.pk}/",
        f"/admin/merchants/provideraccount/{account.pk}/change/",
        "/admin/merchants/provideraccount/add/",
        "/admin/merchants/apikey/add/",
        "/admin/webhooks/webhookevent/",
        "/admin/login/",
    ]
    for url in pages:
        for client in (owner, log_in()):
            response = client.get(url, follow=True)
            html = response.content.decode()
            assert response.status_code == 200, url
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", html), url
            assert "default-src 'none'" in response["Content-Security-Policy"]


def test_the_login_page_names_the_product(client):
    html = client.get("/admin/login/").content.decode()
    assert "Paydesk" in html


def test_forms_of_the_desk_may_say_where_they_come_from(client):
    """Under no-referrer a browser sends ``Origin: null``, and the login would be refused as forged."""
    assert client.get("/admin/login/")["Referrer-Policy"] == "same-origin"


def test_pages_of_the_desk_are_never_cached(owner, merchant, account):
    order = an_order(merchant)
    for url in ("/admin/", "/admin/orders/order/", f"/admin/orders/order/{order.pk}/change/"):
        assert "no-store" in owner.get(url)["Cache-Control"]


def test_text_of_shoppers_and_merchants_is_escaped(owner, merchant, account):
    evil = "<img src=x onerror=alert(1)>"
    order = an_order(merchant, reference=evil, description=evil, customer={"name": evil, "email": "a@b.example"})
    for url in ("/admin/orders/order/", f"/admin/orders/order/{order.pk}/change/", "/admin/"):
        assert evil not in owner.get(url).content.decode()
