"""Fern & Clay, as its own programmer would write it: an address, an API key and a webhook secret are all it knows.

It shares the checkout's process and nothing else: orders are made over HTTP, and what became of them is learned from
signed webhooks, which it keeps in a file.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

TRIES = 3
SECONDS = 10
"""How long the checkout may take for one answer."""

REMEMBERED = 65_536
"""How many bytes at the end of the notebook are read."""

_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # without those that are read for one another
_writing = threading.Lock()


@dataclass(frozen=True)
class Product:
    slug: str
    name: str
    made: str
    amount_minor: int
    currency: str


PRODUCTS = (
    Product("fern-mug", "Fern mug", "Thrown stoneware, a frond pressed by hand. 320 ml.", 3400, "EUR"),
    Product("everyday-bowl", "Everyday bowl", "Oat glaze over speckled clay. Breakfast to soup.", 4200, "EUR"),
    Product("bud-vase", "Bud vase", "Terracotta with a dipped neck, for a single stem.", 5850, "EUR"),
    Product("tea-bowl", "Mended tea bowl", "From our friends in Mashiko, its crack filled with gold.", 7200, "JPY"),
    Product("kopi-cup", "Kopi cup", "Thick-walled and honest, for a morning in Singapore.", 2900, "SGD"),
    Product("salt-pig", "Salt pig", "Honey glaze, a wide mouth and a spoon of pear wood.", 4900, "USD"),
    Product("cream-jug", "Cream jug", "Sage over cream, from a wheel in Stoke-on-Trent.", 3600, "GBP"),
    Product("gaiwan", "Gaiwan", "Lid, bowl and saucer from Jingdezhen. For slow tea.", 26800, "CNY"),
)

CUSTOMER = "visitor"
"""The shop's name for whoever visits it: everybody here is the same customer, so cards can be kept for later."""


@dataclass(frozen=True)
class Heard:
    """One event that the checkout told us of."""

    id: str
    type: str
    reference: str
    status: str
    at: str

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)

    @property
    def label(self) -> str:
        return self.status.replace("_", " ")


class CheckoutAway(Exception):
    """The checkout gave no order; nothing was sold."""


class NotGenuine(Exception):
    """A message that the checkout did not sign."""


@dataclass(frozen=True)
class Shop:
    checkout_url: str
    api_key: str
    webhook_secret: str
    notebook: Path
    """A file with a line for each event, in order of arrival."""

    @classmethod
    def open(cls) -> Shop:
        """The shop as the environment describes it; its two secrets stand in a file of their own."""
        keys = json.loads(Path(os.environ["SHOP_KEYS"]).read_text(encoding="utf-8"))
        return cls(os.environ["BASE_URL"], keys["api_key"], keys["webhook_secret"], Path(os.environ["SHOP_NOTEBOOK"]))

    @property
    def url(self) -> str:
        return f"{self.checkout_url}/shop/"

    def sell(self, product: Product) -> str:
        """Make an order; the address where it is paid. Raises CheckoutAway."""
        reference = "FC-" + "".join(secrets.choice(_LETTERS) for _ in range(6))
        order = {
            "amount_minor": product.amount_minor,
            "currency": product.currency,
            "reference": reference,
            "description": product.name,
            "items": [
                {"name": product.name, "quantity": 1, "unit_amount": product.amount_minor, "sku": product.slug},
            ],
            "customer": {"reference": CUSTOMER},
            "success_url": f"{self.url}thanks?order={reference}",
            "cancel_url": f"{self.url}basket?product={product.slug}",
        }
        # One key for all tries: whichever of them arrived, there is one order.
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": str(uuid.uuid4())}
        with requests.Session() as session:
            session.trust_env = False
            for wait in range(TRIES):
                time.sleep(wait)
                try:
                    answer = session.post(
                        f"{self.checkout_url}/api/v1/orders", json=order, headers=headers, timeout=SECONDS
                    )
                except requests.RequestException:
                    continue
                if answer.status_code < 500:
                    return _address(answer)
        raise CheckoutAway("it does not answer")

    def hear(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Note a webhook. Raises NotGenuine."""
        try:
            message = Webhook(self.webhook_secret).verify(body, dict(headers))
            order = message["data"]["order"]
            event = Heard(
                id=str(message["id"]),
                type=str(message["type"]),
                reference=str(order["reference"]),
                status=str(order["status"]),
                at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        except (WebhookVerificationError, ValueError, KeyError, TypeError) as error:
            raise NotGenuine(str(error)) from None
        with _writing, self.notebook.open("a", encoding="utf-8") as notebook:
            notebook.write(json.dumps(asdict(event)) + "\n")

    def heard(self, reference: str = "") -> list[Heard]:
        """What we know, the latest first; each event once, however often it was told."""
        try:
            with self.notebook.open("rb") as notebook:
                size = notebook.seek(0, os.SEEK_END)
                notebook.seek(max(0, size - REMEMBERED))
                lines = notebook.read().splitlines()
        except FileNotFoundError:
            return []
        if size > REMEMBERED:
            del lines[0]  # its beginning was cut off
        told = [Heard(**json.loads(line)) for line in lines]
        events = {event.id: event for event in reversed(told) if reference in ("", event.reference)}
        return list(events.values())

    def is_paid(self, reference: str) -> bool:
        """Whether the checkout ever told us so; the address that the browser came back to proves nothing."""
        return any(event.status == "paid" for event in self.heard(reference))


def product(slug: str) -> Product | None:
    return next((product for product in PRODUCTS if product.slug == slug), None)


def _address(answer: requests.Response) -> str:
    if answer.status_code != 201:
        raise CheckoutAway(f"it refused the order with {answer.status_code}")
    url: str = answer.json()["url"]
    return url
