"""The API by its own description: every operation, rows to call it with, and a body that it takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from checkout.api.document import document
from checkout.api.views import api
from checkout.events.models import Delivery, Endpoint
from checkout.events.outbox import message_id
from checkout.merchants.models import Merchant
from checkout.orders.models import Capture, Consent, Order, Payment, Refund, SavedCard, Shipment, Source
from checkout.orders.presentation import timestamp
from checkout.sealing import seal
from tests.factories import an_account, an_order

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document(api)))


@dataclass(frozen=True)
class Described:
    """One operation of the document."""

    method: str
    path: str
    operation: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scope(self) -> str:
        return str(self.operation["security"][0]["BearerKey"][0])

    @property
    def names(self) -> list[str]:
        return [one["name"] for one in self.operation["parameters"] if one["in"] == "path"]

    def body(self, values: dict[str, str]) -> Any:
        """The smallest body that is accepted; None where there is none."""
        if "requestBody" not in self.operation:
            return None
        schema = resolved(self.operation["requestBody"]["content"]["application/json"]["schema"])
        now = {
            "shipped_on": str(timezone.now().date()),
            "since": timestamp(timezone.now()),
            "saved_card": values.get("saved_card"),
        }
        return {name: now.get(name, value) for name, value in example(schema).items()}


def operations() -> list[Described]:
    return [
        Described(method.upper(), path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def example(schema: dict[str, Any]) -> Any:
    """Something that a schema allows, with no more than it requires."""
    schema = resolved(schema)
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        required = schema.get("required", [])
        return {name: example(inner) for name, inner in schema["properties"].items() if name in required}
    if schema.get("format") == "uuid":
        return "1f0a2b3c-0000-4000-8000-000000000000"
    raise AssertionError(f"give this field an example: {schema}")


def rows_of(merchant: Merchant, mode: str) -> dict[str, str]:
    """One row of everything that a path can name."""
    live = {"base_url": "https://acme.example"} if mode == "live" else {}
    account = an_account(merchant, mode=mode, **live)
    order = an_order(merchant, mode=mode, customer={"reference": f"customer-{merchant.slug}-{mode}"})
    Endpoint.create_for(merchant, mode, url="https://shop.example/events")
    common: dict[str, Any] = {"merchant": merchant, "mode": mode}
    payment = Payment.objects.create(
        **common,
        order=order,
        number=1,
        account=account,
        method="instant",
        submission="one",
        amount=order.amount,
        currency=order.currency,
        status="captured",
        authorised_total=order.amount,
        captured_total=order.amount,
    )
    Order.objects.filter(pk=order.pk).update(captured_total=order.amount, authorised_total=order.amount)
    capture = Capture.objects.create(**common, payment=payment, amount=1, source=Source.API, status="succeeded")
    refund = Refund.objects.create(**common, payment=payment, amount=1, source=Source.API, status="failed")
    consent = Consent.objects.create(
        **common, order=order, customer_reference="c", purpose="recurring", wording="1", language="en"
    )
    card = SavedCard.objects.create(
        **common,
        account=account,
        customer_reference=order.customer["reference"],
        payer="p",
        consent=consent,
        sealed_token=seal("token", context="x"),
        token_digest=str(order.public_id)[:32],
        currency="EUR",
    )
    shipment = Shipment.objects.create(**common, order=order, carrier="UPS", number="1Z", shipped_on="2026-11-21")
    endpoint = Endpoint.objects.of(merchant, mode).get()
    again = an_order(merchant, mode=mode)
    delivery = Delivery.objects.get(endpoint=endpoint, event__order=again)
    return {
        "order_id": str(order.public_id),
        "payment_id": str(payment.public_id),
        "capture_id": str(capture.public_id),
        "refund_id": str(refund.public_id),
        "card_id": str(card.public_id),
        "saved_card": str(card.public_id),
        "customer_reference": order.customer["reference"],
        "shipment_id": str(shipment.public_id),
        "endpoint_id": str(endpoint.public_id),
        "event_id": message_id(delivery.event),
    }
