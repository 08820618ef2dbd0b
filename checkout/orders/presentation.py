"""An order as merchants see it: the same object in the API's answers and in every event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from checkout.orders import actions
from checkout.orders.links import page_url
from checkout.orders.models import Dispute, Operation, Order, Payment, SavedCard, Shipment
from providers.money import Money


def order_object(order: Order) -> dict[str, Any]:
    """The whole order, with all that hangs on it and what would be accepted now."""
    return {
        **order_facts(order),
        "payments": [payment_object(payment) for payment in order.payments.select_related("account")],
        "shipments": [shipment_object(shipment) for shipment in order.shipments.all()],
        "actions": [action_object(action) for action in actions.of_order(order)],
    }


def order_facts(order: Order) -> dict[str, Any]:
    """What stands in the order's own row, so that a list costs one query.

    Plain data, ready for JSON: amounts in minor units with the decimal beside them, times in UTC.
    """
    return {
        "id": str(order.public_id),
        "url": page_url(order),
        "mode": order.mode,
        "status": order.status,
        "flags": list(order.flags),
        "amount_minor": order.amount,
        "amount": order.money.decimal,
        "currency": order.currency,
        "authorised_minor": order.authorised_total,
        "captured_minor": order.captured_total,
        "captured": Money(order.captured_total, order.currency).decimal,
        "refunded_minor": order.refunded_total,
        "refunded": Money(order.refunded_total, order.currency).decimal,
        "reference": order.reference,
        "description": order.description,
        "items": order.items,
        "metadata": order.metadata,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "capture": order.capture_mode,
        "three_ds": order.three_ds,
        "created_at": timestamp(order.created_at),
        "expires_at": timestamp(order.expires_at),
    }


def payment_object(payment: Payment) -> dict[str, Any]:
    card = {"brand": payment.card_brand, "last4": payment.card_last4, "expiry": payment.card_expiry}
    return {
        "id": str(payment.public_id),
        "number": payment.number,
        "provider": payment.account.provider,
        "method": payment.method,
        "status": payment.status,
        "awaits": payment.step or None,
        "decline_category": payment.decline_category or None,
        "decline_code": payment.decline_code or None,
        "card": card if payment.card_last4 else None,
        "three_ds": {"wish": payment.three_ds_wish, **payment.three_ds},
        "capture_pending": payment.awaits_capture,
        "authorised_minor": payment.authorised_total,
        "captured_minor": payment.captured_total,
        "refunded_minor": payment.refunded_total - payment.reversed_total,
        "disputes": [dispute_object(dispute) for dispute in payment.disputes.all()],
        "created_at": timestamp(payment.created_at),
    }


def operation_object(operation: Operation) -> dict[str, Any]:
    """A capture, refund or release. Asked for is not done: only ``succeeded`` moved money."""
    money = Money(operation.amount, operation.payment.currency)
    return {
        "id": str(operation.public_id),
        "payment": str(operation.payment.public_id),
        "order": str(operation.payment.order.public_id),
        "amount_minor": operation.amount,
        "amount": money.decimal,
        "currency": money.currency,
        "status": operation.status,
        "reason": operation.reason,
        "error_code": operation.error_code or None,
        "created_at": timestamp(operation.created_at),
    }


def saved_card_object(card: SavedCard) -> dict[str, Any]:
    return {
        "id": str(card.public_id),
        "customer": card.customer_reference,
        "brand": card.brand,
        "last4": card.last4,
        "expiry": card.expiry,
        "purpose": card.consent.purpose,
        "created_at": timestamp(card.created_at),
    }


def dispute_object(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.provider_reference,
        "stage": dispute.stage,
        "status": dispute.status,
        "category": dispute.category,
        "reason_code": dispute.reason_code,
        "amount_minor": dispute.amount,
        "respond_by": timestamp(dispute.respond_by) if dispute.respond_by else None,
    }


def shipment_object(shipment: Shipment) -> dict[str, Any]:
    return {
        "id": str(shipment.public_id),
        "carrier": shipment.carrier,
        "number": shipment.number,
        "shipped_on": shipment.shipped_on.isoformat(),
        "direction": shipment.direction,
        "status": shipment.status,
        "url": shipment.url,
        "uploads": [
            {"payment": str(upload.payment.public_id), "status": upload.status, "error_code": upload.error_code or None}
            for upload in shipment.uploads.select_related("payment")
        ],
    }


def action_object(action: actions.Action) -> dict[str, Any]:
    return {
        "action": action.verb,
        "payment": str(action.payment.public_id) if action.payment else None,
        "maximum_minor": action.maximum,
        "can_be_partial": action.can_be_partial,
    }


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
