"""What a shopper does to a page, for tests that use Django's client."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import time_machine
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from checkout.orders.models import Order
from checkout.pages.screens import Screen

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 40", "cvc": "123", "holder": "Ada Lovelace"}


BANK_CARD = {
    "number": "6222 0212 3456 7890 128",
    "holder": "张三",
    "id_number": "11010519491231002x",
    "phone": "+86 138 0000 0000",
}
"""What a method asks for that sends a code: a debit card, and whose it is."""

HTMX = {"HX-Request": "true"}


def url_of(order: Order) -> str:
    return f"/pay/{order.page_token}"


def token_in(response: HttpResponse) -> str:
    return unescape(re.search(r'name="token"[^>]*value="([^"]+)"', response.content.decode())[1])


def offer_code(order: Order, method: str) -> str:
    from checkout.orders import operations

    return next(offer.code for offer in operations.offers(order) if offer.method.code == method)


def press(client: Client, order: Order, method: str = "card", *, token: str = "", **more: Any) -> HttpResponse:
    """Open the page, fill it in, press the button."""
    headers = more.pop("headers", {})
    token = token or token_in(client.get(f"{url_of(order)}?another"))
    card = {"card": CARD, "bankcard": BANK_CARD}.get(method, {}) | more
    return client.post(url_of(order), {"token": token, "offer": offer_code(order, method), **card}, headers=headers)


def send(client: Client, order: Order, kind: str, **fields: Any) -> HttpResponse:
    """Press a button that stands beside what was started last."""
    headers = fields.pop("headers", {})
    latest = order.payments.order_by("number").last()
    payment = {"payment": str(latest.public_id)} if latest else {}
    return client.post(url_of(order), {"kind": kind, **payment, **fields}, headers=headers)


def later(seconds: int) -> time_machine.travel:
    """The same page, some time after."""
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=True)


def text_of(response: HttpResponse) -> str:
    """The page's words, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def screen_in(response: HttpResponse) -> Screen:
    return response.context["screen"]
