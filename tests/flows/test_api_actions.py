"""``actions`` keeps its word against real simulators: what is listed is done, what is not listed is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from checkout.merchants.models import ProviderAccount
from checkout.orders import gateway, operations
from checkout.orders.models import Order, Payment
from providers.contract import Card
from tests.api.test_orders import Api
from tests.factories import VISA, a_merchant, a_payment, an_account, an_order
from tests.flows.stage import Simulator, charged, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = Path(gateway.__file__).parents[2] / "providers" / "lianlian"
APPROVED = dataclasses.replace(VISA, number="4444333322221111", cvc="123")
DECLINED = dataclasses.replace(VISA, number="4000000000009995", cvc="123")
CREDIT = Card(
    number="6259650000000000",
    expiry_month=12,
    expiry_year=2031,
    cvc="123",
    brand="unionpay",
    holder="张三",
    id_number="11010519491231002X",
    phone="13800000000",
)
DEEDS = {"capture": "captures", "refund": "refunds", "release": "releases"}
"""What a payment can be asked, and where."""


@dataclass(frozen=True)
class Place:
    """A provider to pay at, and how a shopper does it there."""

    slug: str
    credentials: Callable[[], dict[str, str]]
    card: Card
    currency: str = "EUR"
    code: str = ""

    def account(self, api: Api, simulator: Simulator) -> ProviderAccount:
        return an_account(
            api.row.merchant,
            name=self.slug,
            provider=self.slug,
            base_url=f"{simulator.url}/{self.slug}",
            credentials=self.credentials(),
        )

    def pay(self, order: Order, card: Card) -> Payment:
        payment = a_payment(order, "card", card=card)
        return operations.submit_code(payment, code=self.code) if payment.step == "code" else payment


PLACES = [
    Place("storesquare", lambda: {"app_id": "086000000000001", "secret": "sim_secret_3f9a1c5e7b2d4860"}, APPROVED),
    Place(
        "lianlian",
        lambda: {
            "oid_partner": "201304121000001004",
            "ware_category": "2009",
            "merchant_private_key": (KEYS / "simulator_key.pem").read_text(),
            "provider_public_key": (KEYS / "simulator_public_key.pem").read_text(),
        },
        CREDIT,
        currency="CNY",
        code="123456",
    ),
]


def read(api: Api, order: Order) -> dict[str, Any]:
    return dict(api.get(f"/api/v1/orders/{order.public_id}").json())


def ask(api: Api, order: Order, verb: str, amount: int | None = None) -> Any:
    """Whether listed or not: exactly what a shop's program would send."""
    payment = order.payments.order_by("-number").first()
    if verb == "cancel":
        return api.post(f"/api/v1/orders/{order.public_id}/cancel", "")
    body: Any = "" if verb == "release" else {} if amount is None else {"amount_minor": amount}
    return api.post(f"/api/v1/payments/{payment.public_id}/{DEEDS[verb]}", body)


def settle(simulator: Simulator) -> None:
    """Long enough for whatever was asked: some providers settle refunds a little later, and are asked."""
    work_until_quiet()
    simulator.advance(30)
    work_until_quiet()
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        work_until_quiet()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.slug)
@settings(
    max_examples=6,
    phases=(Phase.generate,),  # each example is a whole conversation with a provider: too slow to shrink
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_listed_action_succeeds_and_every_other_is_refused(place, our_url, simulator_process, data):
    simulator = simulator_process.of(place.slug)
    simulator.reset()
    api = Api(a_merchant())
    place.account(api, simulator)
    capture = data.draw(st.sampled_from(["manual", "automatic"]), label="capture")
    order = an_order(api.row.merchant, currency=place.currency, amount_minor=3168, capture=capture)
    place.pay(order, place.card)
    settle(simulator)

    for _ in range(5):
        seen = read(api, order)
        listed = {one["action"]: one for one in seen["actions"]}
        for verb in {"cancel", *DEEDS} - listed.keys():
            if verb == "cancel" and seen["status"] == "cancelled":
                continue  # twice is as good as once
            refused = ask(api, order, verb)
            assert refused.status_code == 409, (verb, seen["status"], refused.content)
            assert read(api, order) == seen
        choices = sorted(listed.keys() - {"add_shipment"})
        if not choices:
            break
        verb = data.draw(st.sampled_from(choices), label="action")
        _take(api, order, simulator, listed[verb], data)

    order.refresh_from_db()
    assert charged(simulator) == order.captured_total - order.refunded_total


def _take(api: Api, order: Order, simulator: Simulator, action: dict[str, Any], data: st.DataObject) -> None:
    """Do a listed action, with any amount that it allows; one minor unit more than its maximum is refused."""
    verb, amount = action["action"], None
    if verb in {"capture", "refund"}:
        assert ask(api, order, verb, action["maximum_minor"] + 1).status_code == 409
        smallest = 1 if action["can_be_partial"] else action["maximum_minor"]
        amount = data.draw(st.integers(smallest, action["maximum_minor"]), label="amount")
    before = read(api, order)

    answer = ask(api, order, verb, amount)

    assert answer.status_code in {200, 201}, (verb, amount, answer.content)
    settle(simulator)
    after = read(api, order)
    if verb in {"capture", "refund"}:
        done = api.get(f"/api/v1/{DEEDS[verb]}/{answer.json()['id']}").json()
        assert done["status"] == "succeeded", done
        total = {"capture": "captured_minor", "refund": "refunded_minor"}[verb]
        assert after[total] == before[total] + amount
    else:
        assert after["authorised_minor"] == 0
        assert verb == "release" or after["status"] == "cancelled"


@pytest.mark.parametrize("card", [None, DECLINED], ids=["unpaid", "declined"])
def test_an_order_without_money_can_be_called_off_and_nothing_else(our_url, simulator_process, card):
    place = PLACES[0]
    simulator = simulator_process.of(place.slug)
    simulator.reset()
    api = Api(a_merchant())
    place.account(api, simulator)
    order = an_order(api.row.merchant)
    if card:
        place.pay(order, card)
        settle(simulator)
        for verb in DEEDS:
            assert ask(api, order, verb).status_code == 409

    assert [one["action"] for one in read(api, order)["actions"]] == ["cancel"]
    assert ask(api, order, "cancel").json()["status"] == "cancelled"
    assert read(api, order)["actions"] == []
