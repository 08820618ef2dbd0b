"""What a shopper does to a page, for tests that use Django's client."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client

from checkout.orders.models import Order
from checkout.pages.screens import Screen

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 40", "cvc": "123", "holder": "Ada Lovelace"}


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
    token = token or token_in(client.get(url_of(order)))
    card = CARD | more if method == "card" else more
    return client.post(url_of(order), {"token": token, "offer": offer_code(order, method), **card}, headers=headers)


def screen_in(response: HttpResponse) -> Screen:
    return response.context["screen"]
