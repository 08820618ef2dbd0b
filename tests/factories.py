"""Rows that tests start from, made the way the product makes them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import providers
from checkout import work
from checkout.merchants.models import Merchant, ProviderAccount
from checkout.orders import gateway, operations
from checkout.orders.creation import create_order
from checkout.orders.models import Order, Payment
from checkout.webhooks import inbox
from checkout.webhooks.models import WebhookEvent
from providers.contract import Browser, Card, Customer, Delivery

# The test provider is found by the gateway like any other folder.
_EXTRA = str(Path(__file__).parent / "extra_providers")
if _EXTRA not in providers.__path__:
    providers.__path__.append(_EXTRA)
    gateway.catalogue.cache_clear()

_numbers = itertools.count(1)

VISA = Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="100", holder="A Shopper", brand="visa")

SHOPPER = Customer(ip="203.0.113.7")
BROWSER = Browser(
    user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    accept="text/html",
    accept_language="en-GB",
    javascript=True,
    color_depth=24,
    screen_width=1280,
    screen_height=800,
    time_zone_offset=-60,
)


def a_merchant(**fields: Any) -> Merchant:
    number = next(_numbers)
    return Merchant.objects.create(**{"slug": f"shop-{number}", "name": f"Shop {number}", **fields})


def an_account(merchant: Merchant, **fields: Any) -> ProviderAccount:
    """An account at the test provider, unless ``provider`` says otherwise."""
    credentials = fields.pop("credentials", {"key": "acme-key"})
    account = ProviderAccount(
        **{
            "merchant": merchant,
            "mode": "test",
            "name": "Acme",
            "provider": "acme",
            "base_url": "http://127.0.0.1:9/acme",
            **fields,
        }
    )
    account.set_credentials(credentials)
    account.save()
    return account


def an_order(merchant: Merchant, **fields: Any) -> Order:
    mode = fields.pop("mode", "test")
    return create_order(
        merchant,
        mode,
        **{
            "amount_minor": 1000,
            "currency": "EUR",
            "reference": f"order-{next(_numbers)}",
            "description": "Two cups",
            "success_url": "https://shop.example/thanks",
            "cancel_url": "https://shop.example/cart",
            **fields,
        },
    )


def a_payment(order: Order, method: str = "cashier", *, card: Card | None = None) -> Payment:
    """Start a payment by the named method, as a form would."""
    offer = next(offer for offer in operations.offers(order) if offer.method.code == method)
    card = VISA if offer.takes_card and card is None else card
    return operations.start(
        order,
        offer_code=offer.code,
        submission=f"form-{next(_numbers)}",
        card=card,
        customer=SHOPPER,
        browser=BROWSER,
    )


def a_delivery(body: dict[str, Any] | bytes, *, key: str = "acme-key") -> Delivery:
    """A webhook of the test provider, signed, as it arrives."""
    from providers.acme import signed

    raw, headers = signed(body, key)
    return Delivery("POST", "/hooks/acme/", headers, raw)


def an_event(account: ProviderAccount, body: dict[str, Any], *, key: str = "acme-key") -> WebhookEvent:
    """A genuine webhook in the inbox, not applied yet."""
    delivery = a_delivery(body, key=key)
    event_id = gateway.connect(account).verify_webhook(delivery)
    inbox.record(account, event_id, delivery)
    return WebhookEvent.objects.get(account=account, event_id=event_id)


def work_until_quiet(*, rounds: int = 20) -> None:
    """What the worker's loop does, until nothing is due."""
    for _ in range(rounds):
        if not work.run_due():
            return
    raise AssertionError("there is always something due")
