"""A new order: every field checked, nothing half saved, no provider called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from django.db import transaction
from django.utils import timezone
from stdnum import luhn

from checkout.merchants.models import Merchant
from checkout.orders import timeline
from checkout.orders.models import CaptureMode, Order
from checkout.tenancy import Mode
from checkout.work import nudge
from providers.contract import ThreeDSWish
from providers.money import Money, MoneyError

SHORTEST, LONGEST, USUAL = 5 * 60, 7 * 24 * 3600, 60 * 60
"""Bounds and default of an order's life, in seconds."""

LARGEST_AMOUNT = 10**15
"""Minor units; well inside what a database integer and a provider's field can hold."""

MAX_METADATA_KEYS = 20


class InvalidOrder(ValueError):
    """A field of a new order is wrong; nothing was saved."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def create_order(
    merchant: Merchant,
    mode: str,
    *,
    amount_minor: int,
    currency: str,
    reference: str,
    success_url: str,
    cancel_url: str,
    description: str = "",
    expires_in: int = USUAL,
    items: Sequence[Mapping[str, Any]] = (),
    customer: Mapping[str, str] | None = None,
    billing: Mapping[str, str] | None = None,
    shipping: Mapping[str, str] | None = None,
    capture: str = CaptureMode.AUTOMATIC,
    three_ds: str = ThreeDSWish.DEFAULT,
    locale: str = "",
    metadata: Mapping[str, str] | None = None,
    actor: str = timeline.SYSTEM,
) -> Order:
    """Save an order that can be paid for ``expires_in`` seconds. Raises InvalidOrder naming the field."""
    _check_amount(amount_minor, currency)
    _check_items(items, amount_minor)
    for field, url in (("success_url", success_url), ("cancel_url", cancel_url)):
        _check_url(field, url, merchant, mode)
    for field, text, longest in (("reference", reference, 100), ("description", description, 250)):
        _check_text(field, text, longest)
    if not reference.strip():
        raise InvalidOrder("reference", "Give the order a reference of your own.")
    if not SHORTEST <= expires_in <= LONGEST:
        raise InvalidOrder("expires_in", f"Choose between {SHORTEST} and {LONGEST} seconds.")
    if capture not in CaptureMode.values:
        raise InvalidOrder("capture", "Choose automatic or manual.")
    if three_ds not in set(ThreeDSWish):
        raise InvalidOrder("three_ds", "Choose default, force or skip.")
    _check_metadata(metadata or {})
    for field, given in (("items", items), ("customer", customer), ("billing", billing), ("shipping", shipping)):
        _check_texts(field, given)
    now = timezone.now()
    expires_at = now + timedelta(seconds=expires_in)
    with transaction.atomic():
        order = Order.objects.create(
            merchant=merchant,
            mode=mode,
            amount=amount_minor,
            currency=currency,
            reference=reference,
            description=description,
            success_url=success_url,
            cancel_url=cancel_url,
            items=[dict(item) for item in items],
            customer=dict(customer or {}),
            billing=dict(billing or {}),
            shipping=dict(shipping or {}),
            capture_mode=capture,
            three_ds=three_ds,
            locale=locale,
            metadata=dict(metadata or {}),
            created_at=now,
            expires_at=expires_at,
            due_at=expires_at,
            flags=["test"] if mode == Mode.TEST else [],
        )
        timeline.record(order, "order.created", cause="create", actor=actor)
        nudge("orders", order.pk)
    return order


def _check_amount(amount_minor: int, currency: str) -> None:
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        raise InvalidOrder("amount_minor", "Give a whole number of minor units.")
    if not 0 < amount_minor <= LARGEST_AMOUNT:
        raise InvalidOrder("amount_minor", f"Give a positive number of minor units, at most {LARGEST_AMOUNT}.")
    try:
        Money(amount_minor, currency)
    except MoneyError:
        raise InvalidOrder("currency", "Give an ISO 4217 currency code in capitals, such as EUR.") from None


def _check_items(items: Sequence[Mapping[str, Any]], amount_minor: int) -> None:
    if not items:
        return
    total = sum(int(item["quantity"]) * int(item["unit_amount"]) for item in items)
    if total != amount_minor:
        raise InvalidOrder(
            "items", f"The items add up to {total}, {abs(total - amount_minor)} away from the amount {amount_minor}."
        )


def _check_url(field: str, url: str, merchant: Merchant, mode: str) -> None:
    """Absolute http(s), no user name, no characters that browsers read in their own way, a host of the merchant's."""
    if len(url) > 2000 or re.search(r"[\x00-\x20\x7f\\]", url):
        raise InvalidOrder(field, "Give an absolute http or https URL without blanks or backslashes.")
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise InvalidOrder(field, "Give an absolute http or https URL.") from None
    if parts.scheme not in {"http", "https"} or not host or not url.lower().startswith(f"{parts.scheme}://"):
        raise InvalidOrder(field, "Give an absolute http or https URL.")
    if parts.username is not None or parts.password is not None:
        raise InvalidOrder(field, "A URL with a user name or password is not accepted.")
    if mode == Mode.LIVE and parts.scheme != "https":
        raise InvalidOrder(field, "Live orders need an https URL.")
    if holds_card_number(unquote_plus(url)):
        raise InvalidOrder(field, "This looks like a card number; card numbers are never stored.")
    if merchant.return_hosts and host not in merchant.return_hosts:
        raise InvalidOrder(field, f"{host} is not among this merchant's return hosts.")


def _check_text(field: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise InvalidOrder(field, f"At most {longest} characters.")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise InvalidOrder(field, "Control characters are not accepted.")
    if holds_card_number(text):
        raise InvalidOrder(field, "This looks like a card number; card numbers are never stored.")


def _check_texts(field: str, given: Any) -> None:
    """Every text at any depth: nothing that a merchant sends along may bring a card number into the database."""
    if isinstance(given, str):
        _check_text(field, given, 300)
    elif isinstance(given, Mapping):
        for name, inner in given.items():
            _check_texts(f"{field}.{name}", inner)
    elif isinstance(given, Sequence):
        for number, inner in enumerate(given):
            _check_texts(f"{field}.{number}", inner)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > MAX_METADATA_KEYS:
        raise InvalidOrder("metadata", f"At most {MAX_METADATA_KEYS} keys.")
    for key, value in metadata.items():
        _check_text("metadata", key, 40)
        _check_text(f"metadata.{key}", value, 500)


def holds_card_number(text: str) -> bool:
    """Whether ``text`` holds 13 to 19 digits, perhaps with blanks or dashes, that pass the card checksum."""
    for run in re.findall(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", text):
        digits = re.sub(r"\D", "", run)
        if digits[0] in "23456" and luhn.is_valid(digits):
            return True
    return False
