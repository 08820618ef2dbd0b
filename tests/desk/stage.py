"""Small words for tests of the desk: where a page is, and orders with parcels or saved cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils import timezone

from checkout.orders import operations, shipping
from checkout.orders.apply import Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Order, SavedCard, Shipment
from checkout.orders.saved_cards import Agreement
from tests.factories import VISA, a_payment, an_order

from providers.zenith import RIGHT, paid  # isort: skip

if TYPE_CHECKING:
    from checkout.merchants.models import Merchant


def page(order: Order) -> str:
    return reverse("admin:orders_order_change", args=(order.pk,))


def deed(order: Order, name: str, target: Any) -> str:
    return reverse("admin:orders_order_deed", args=(order.pk, name, target.pk))


def a_paid_order(merchant: Merchant, **fields: Any) -> Order:
    """Paid at the test provider that hears of parcels."""
    order = an_order(merchant, **fields)
    operations.submit_code(a_payment(order, "bankcard", card=VISA), code=RIGHT)
    order.refresh_from_db()
    return order


def a_parcel(order: Order, number: str = "1Z999", **facts: Any) -> Shipment:
    usual = {"carrier": "UPS", "number": number, "shipped_on": timezone.now().date(), "actor": "staff:1"}
    return shipping.add(order, **{**usual, **facts})


def a_saved_card(merchant: Merchant, *, customer: str = "ada", **fields: Any) -> SavedCard:
    """Kept at the test provider after a recorded yes, with the order that it came with."""
    order = an_order(merchant, customer={"reference": customer}, **fields)
    offer = next(offer for offer in operations.offers(order) if offer.takes_card)
    yes = Agreement(wording="2026-11", language="de", ip="203.0.113.9")
    payment = operations.start(order, offer_code=offer.code, submission=f"form {order.pk}", card=VISA, agreement=yes)
    apply(payment.account, paid(payment_ref(payment), token=f"tok-{order.pk}"), road=Road.FETCH, cause="test")
    return SavedCard.objects.latest("pk")
