"""What providers are told: our rows in the contract's words."""

from __future__ import annotations

import hashlib

from django.utils import timezone

from checkout.orders import gateway, links
from checkout.orders.models import Operation, Order, Payment, TrackingUpload
from providers.contract import (
    Address,
    Browser,
    Card,
    Customer,
    Direction,
    Item,
    OperationRequest,
    PaymentRef,
    PaymentRequest,
    Purpose,
    ShipmentStatus,
    StoredCard,
    ThreeDSWish,
    TrackingRequest,
)
from providers.money import Money


def payment_request(
    payment: Payment,
    *,
    card: Card | None,
    stored: StoredCard | None,
    customer: Customer,
    browser: Browser,
    locale: str,
) -> PaymentRequest:
    """One attempt to pay. Only this one call carries the card."""
    order = payment.order
    shortest, longest = gateway.provider_class(payment.account.provider).session_seconds
    remaining = int((order.expires_at - timezone.now()).total_seconds())
    return PaymentRequest(
        reference=payment.reference,
        amount=payment.money,
        method=payment.method,
        description=order.description or order.reference,
        return_url=links.return_url(payment),
        webhook_url=links.webhook_url(payment.account),
        expires_in=max(shortest, min(longest, remaining)),
        locale=order.locale or locale or order.merchant.locale,
        created_at=payment.created_at,
        order_reference=order.public_id.hex,
        payer=payment.payer,
        capture=order.capture_mode,
        three_ds=ThreeDSWish(payment.three_ds_wish),
        card=card,
        store_card=payment.consent is not None,
        stored=stored,
        purpose=_purpose(payment),
        shopper_is_away=payment.shopper_is_away,
        customer=_customer(order, customer),
        browser=browser,
        billing=Address(**order.billing) if order.billing else None,
        shipping=Address(**order.shipping) if order.shipping else None,
        items=tuple(Item(**item) for item in order.items),
    )


def payment_ref(payment: Payment) -> PaymentRef:
    return PaymentRef(
        reference=payment.reference,
        amount=payment.money,
        provider_reference=payment.provider_reference,
        method=payment.method,
        capture=payment.order.capture_mode,
        created_at=payment.created_at,
        payer=payment.payer,
        captured=payment.captured_total + payment.captures_reserved,
    )


def operation_request(operation: Operation) -> OperationRequest:
    return OperationRequest(
        reference=operation.reference,
        payment=payment_ref(operation.payment),
        amount=Money(operation.amount, operation.payment.currency),
        reason=operation.reason,
        requested_from=operation.requested_from or "",
        created_at=operation.created_at,
        webhook_url=links.webhook_url(operation.payment.account),
        provider_reference=operation.provider_reference,
    )


def tracking_request(upload: TrackingUpload) -> TrackingRequest:
    shipment = upload.shipment
    return TrackingRequest(
        reference=upload.reference,
        payment=payment_ref(upload.payment),
        carrier=shipment.carrier,
        number=shipment.number,
        shipped_on=shipment.shipped_on,
        direction=Direction(shipment.direction),
        status=ShipmentStatus(upload.says),
        url=shipment.url,
        is_known=upload.is_change,
    )


def payer_of(order: Order) -> str:
    """The shopper's name at providers: one for each customer of a merchant, one for each order of a guest."""
    who = order.customer.get("reference") or f"order {order.public_id}"
    return "U" + hashlib.sha256(f"{order.merchant_id} {order.mode} {who}".encode()).hexdigest()[:25].upper()


def _purpose(payment: Payment) -> Purpose:
    given = payment.consent or (payment.saved_card.consent if payment.saved_card else None)
    return Purpose(given.purpose) if given else Purpose.UNSCHEDULED


def _customer(order: Order, browser: Customer) -> Customer:
    """What the merchant said about the shopper, with what the browser shows."""
    told = {name: order.customer.get(name, "") for name in ("reference", "email", "name", "phone")}
    return Customer(**told, ip=browser.ip)
