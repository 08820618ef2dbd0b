"""A card number goes through every path, the failing ones too, and is found nowhere afterwards."""

from __future__ import annotations

import base64
import json
import logging
import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection
from django.test import Client
from stdnum import luhn

from checkout.merchants.models import ApiKey
from checkout.orders.links import page_url, return_url, webhook_url
from providers.lesspay import signing
from tests.factories import an_order
from tests.flows.stage import work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

CVC = "937"


def a_number(start: str = "4") -> str:
    """A number that no other test and no table of test cards has."""
    body = start + "".join(random.choices("0123456789", k=15 - len(start)))
    return body + luhn.calc_check_digit(body)


def disguises(number: str) -> Iterator[bytes]:
    """The forms in which a number may hide."""
    spaced = [sign.join(number[at : at + 4] for at in range(0, 16, 4)) for sign in (" ", "-", "%20", "+")]
    for text in (number, number[::-1], quote(number), *spaced):
        raw = text.encode()
        yield from (raw, raw.hex().encode(), text.encode("utf-16-le"), base64.b64encode(raw).rstrip(b"=")[:-1])


class Log(logging.Handler):
    """Everything that any logger says, with its tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += logging.Formatter().format(record) + json.dumps(vars(record), default=repr) + "\n"


@pytest.fixture
def log() -> Iterator[Log]:
    handler, root = Log(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


class Shopper:
    """Sends the pay form as a browser would, and keeps every answer."""

    def __init__(self, order) -> None:
        self.order, self.client, self.seen = order, Client(raise_request_exception=False), b""

    def pay(self, number: str, *, path: str = "", **fields: str):
        url = path or page_url(self.order).split("/", 3)[3].join(("/", ""))
        page = self.client.get(url)
        token = re.search(rb'name="token" value="([^"]+)"', page.content)
        offer = re.search(rb'value="(\d+:card)"', page.content)
        data = {
            "offer": offer[1].decode() if offer else "",
            "token": token[1].decode() if token else "",
            "number": number,
            "expiry": "12/40",
            "cvc": CVC,
            "holder": "A Shopper",
            **fields,
        }
        for headers in ({}, {"HX-Request": "true"}):
            answer = self.client.post(url, data, headers=headers)
            self.seen += page.content + answer.content + str(answer.headers).encode()
        return answer


def everything_stored() -> Iterator[tuple[str, bytes]]:
    """Each table as text, and on SQLite the database's files as they lie on the disk."""
    for model in apps.get_models(include_auto_created=True):
        for row in model._default_manager.values_list():
            yield model._meta.label, repr([bytes(one) if isinstance(one, memoryview) else one for one in row]).encode()
    if connection.vendor == "sqlite":
        name = Path(str(connection.settings_dict["NAME"]))
        for file in name.parent.glob(name.name + "*"):
            yield str(file.name), file.read_bytes()


def test_a_card_number_is_found_nowhere(merchant, account, simulator, settings, log, capfd, tmp_path):
    settings.PROVIDER_READ_SECONDS = 1.0
    numbers: list[str] = []
    seen = b""

    def shopper(**fields) -> tuple[Shopper, str]:
        numbers.append(a_number())
        return Shopper(an_order(merchant, **fields)), numbers[-1]

    # What the provider makes of it: paid, declined, challenged, silent, broken, nonsense, refused.
    for dial in ("", "decline", "timeout_after", "reset_after", "http_500_after", "garbage_answer", "business_refusal"):
        one, number = shopper(three_ds="skip" if dial else "default")
        if dial:
            simulator.dial(dial, next=1)
        one.pay(number)
        seen += one.seen
    # Nobody there, and a key that they do not know.
    for change in ({"base_url": "http://127.0.0.1:9/lesspay"}, {"credentials": {"app_id": "x", "app_secret": "y"}}):
        before = account.base_url, account.credentials
        account.base_url = change.get("base_url", account.base_url)
        account.set_credentials(change.get("credentials", account.credentials))
        account.save()
        one, number = shopper()
        one.pay(number)
        seen += one.seen
        account.base_url = before[0]
        account.set_credentials(before[1])
        account.save()
    # Sealed credentials that do not open: an error inside of us.
    keys, settings.SEAL_KEYS = settings.SEAL_KEYS, ["bm90LXRoZS1rZXktdGhhdC1zZWFsZWQtdGhpcy1vbmU="]
    one, number = shopper()
    one.pay(number)
    seen += one.seen
    settings.SEAL_KEYS = keys
    # Typing mistakes, and the number in every wrong place.
    for field in ("holder", "expiry", "cvc", "token", "offer", "surprise"):
        one, number = shopper()
        one.pay(number, **{field: number})
        one.pay(number[:-1] + str((int(number[-1]) + 1) % 10))
        one.client.get(f"/pay/{number}?number={number}")
        one.client.get(f"/return/{number}")
        one.client.post(f"/return/{number}", {"card": number})
        seen += one.seen
    # A merchant's program that sends one along.
    _, key = ApiKey.issue(merchant, "test", name="canary")
    good = {
        "amount_minor": 100,
        "currency": "EUR",
        "reference": "r",
        "success_url": "https://shop.example/",
        "cancel_url": "https://shop.example/",
    }
    number = a_number()
    numbers.append(number)
    for bad in (
        {"reference": number},
        {"description": f"card {number}"},
        {"metadata": {"pan": number}},
        {"metadata": {number: "x"}},
        {"customer": {"name": number}},
        {"billing": {"line1": number}},
        {"success_url": f"https://shop.example/?card={number}"},
        {"currency": number},
        {number: 1},
        {"amount_minor": int(number) * 10},
    ):
        for extra in ({}, {"Idempotency-Key": number}):
            answer = Client().post(
                "/api/v1/orders",
                json.dumps({**good, **bad}),
                content_type="application/json",
                headers={"Authorization": f"Bearer {key}", **extra},
            )
            assert answer.status_code in {400, 422}
            seen += re.sub(rb'"field": "[^"]*"', b"", answer.content)
    # Webhooks that carry one: forged, and genuine.
    body = signing.body_of({"request_id": "P0", "order_status": "FAILED", "order_status_int": 3, "note": number})
    for signature in ("0" * 64, signing.sign(json.loads(body), account.credentials["app_secret"])):
        answer = Client().post(
            webhook_url(account).split("/", 3)[3].join(("/", "")),
            body,
            content_type="application/json",
            headers={"x-auth-signature": signature},
        )
        seen += answer.content
    simulator.settle()
    work_until_quiet()
    for payment in [payment for order in merchant_orders(merchant) for payment in order.payments.all()]:
        seen += Client().get("/" + return_url(payment).split("/", 3)[3]).content

    output = "".join(capfd.readouterr())
    sinks = [
        ("responses", seen),
        ("log", log.text.encode()),
        ("output", output.encode()),
        ("mail", repr([vars(message) for message in mail.outbox]).encode()),
        ("simulator", b"".join(file.read_bytes() for file in simulator.state.parent.glob("*"))),
        *everything_stored(),
    ]
    assert len(numbers) > 15
    found = [
        (name, form[:6])
        for name, content in sinks
        for number in numbers
        for form in disguises(number)
        if form in content
    ]
    assert found == []
    code = re.compile(rb"cv[cv]2?\W{1,6}" + CVC.encode(), re.IGNORECASE)
    assert [name for name, content in sinks if code.search(content)] == []


def merchant_orders(merchant):
    from checkout.orders.models import Order

    return Order.objects.filter(merchant=merchant)
