"""The card form as the server reads it, and the token that makes one form one payment.

The number and the security code are never shown again, logged or stored: they live until the request ends.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import date, timedelta
from typing import Any

from django import forms
from django.core import signing
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from checkout.orders.creation import holds_card_number
from checkout.orders.models import Order
from checkout.pages import cards
from providers.contract import Card

_SALT = "paydesk.form"

FARTHEST_EXPIRY = 25
"""Years. Further ahead than any card is issued for, so it is a slip of the finger."""

MESSAGES = {
    "number_required": _("Enter the card number: the long number on the front of your card."),
    "number_digits": _("Enter the card number with digits only. Spaces are fine."),
    "number_short": _("Enter the whole card number: some digits are missing."),
    "number_long": _("Enter the card number again: it has too many digits."),
    "number_wrong": _("Check the card number: at least one digit is wrong."),
    "number_brand": format_lazy(
        _("This kind of card is not accepted here. Use {brands}."),
        brands=", ".join(brand.label for brand in cards.brands()),
    ),
    "expiry_required": _("Enter the expiry date that is printed on your card."),
    "expiry_format": _("Enter the expiry date as month and year, for example 04 / 30."),
    "expiry_past": _("This card has expired. Use another card, or check the date."),
    "expiry_far": _("Check the year of the expiry date: it is too far ahead."),
    "cvc_required": _("Enter the security code."),
    "cvc_length": _("Enter the {length} digits of the security code."),
    "holder_required": _("Enter the name as it is printed on your card."),
    "holder_number": _("This looks like a card number. Enter the name as it is printed on your card."),
    "cvc_number": _("This looks like a card number. Enter only the short security code."),
}


class CardForm(forms.Form):
    """A card as typed. All mistakes are found at once; each has one sentence that says what to enter."""

    number = forms.CharField(error_messages={"required": MESSAGES["number_required"]})
    expiry = forms.CharField(error_messages={"required": MESSAGES["expiry_required"]})
    cvc = forms.CharField(error_messages={"required": MESSAGES["cvc_required"]})
    holder = forms.CharField(max_length=100, error_messages={"required": MESSAGES["holder_required"]})

    @sensitive_variables()
    def clean_number(self) -> str:
        digits = cards.digits_of(self.cleaned_data["number"])
        if not (digits.isascii() and digits.isdigit()):
            raise forms.ValidationError(MESSAGES["number_digits"])
        if len(digits) > cards.LONGEST:
            raise forms.ValidationError(MESSAGES["number_long"])
        if len(digits) < cards.SHORTEST:
            raise forms.ValidationError(MESSAGES["number_short"])
        brand = cards.brand_of(digits)
        if (brand is None or brand.luhn) and not cards.passes_check_digit(digits):
            raise forms.ValidationError(MESSAGES["number_wrong"])
        if brand is None:
            raise forms.ValidationError(MESSAGES["number_brand"])
        if len(digits) not in brand.lengths:
            too_short = len(digits) < max(brand.lengths)
            raise forms.ValidationError(MESSAGES["number_short" if too_short else "number_long"])
        return digits

    @sensitive_variables()
    def clean_expiry(self) -> tuple[int, int]:
        expiry = cards.read_expiry(self.cleaned_data["expiry"])
        if expiry is None:
            raise forms.ValidationError(MESSAGES["expiry_format"])
        today = _earliest_today()
        if cards.has_passed(*expiry, today):
            raise forms.ValidationError(MESSAGES["expiry_past"])
        if expiry[1] > today.year + FARTHEST_EXPIRY:
            raise forms.ValidationError(MESSAGES["expiry_far"])
        return expiry

    @sensitive_variables()
    def clean_cvc(self) -> str:
        digits = cards.digits_of(self.cleaned_data["cvc"])
        if holds_card_number(digits):
            raise forms.ValidationError(MESSAGES["cvc_number"])
        brand = cards.brand_of(cards.digits_of(self.data.get("number", "")))
        expected = {brand.code} if brand else {3, 4}
        if not (digits.isascii() and digits.isdigit()) or len(digits) not in expected:
            length = str(brand.code) if brand else gettext("3 or 4")
            raise forms.ValidationError(format_lazy(MESSAGES["cvc_length"], length=length))
        return digits

    @sensitive_variables()
    def clean_holder(self) -> str:
        holder = " ".join(self.cleaned_data["holder"].split())
        if holds_card_number(holder):
            raise forms.ValidationError(MESSAGES["holder_number"])
        return holder

    @property
    def kept_holder(self) -> str:
        """The name to show again; a card number that was typed there is not."""
        typed = str(self["holder"].value() or "")[:100]
        return "" if holds_card_number(typed) else typed

    @property
    def kept_expiry(self) -> str:
        typed = str(self["expiry"].value() or "")[:9]
        return typed if cards.read_expiry(typed) else ""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Each mistake with the id of its field, in the order of the form."""
        return tuple((f"card-{name}", str(error)) for name in self.fields for error in self.errors.get(name, ()))

    @sensitive_variables()
    def card(self) -> Card:
        """The card of a valid form."""
        month, year = self.cleaned_data["expiry"]
        number = self.cleaned_data["number"]
        brand = cards.brand_of(number)
        return Card(
            number=number,
            expiry_month=month,
            expiry_year=year,
            cvc=self.cleaned_data["cvc"],
            holder=self.cleaned_data["holder"],
            brand=brand.brand if brand else "",
        )


def script_settings() -> str:
    """What the page's script needs to judge as the server does: the brand table and the messages, as JSON."""
    settings: dict[str, Any] = {
        "brands": cards.table(),
        "messages": {name: str(message) for name, message in MESSAGES.items()},
        "either": gettext("3 or 4"),
        "hints": {3: gettext("3 digits on the back of your card"), 4: gettext("4 digits on the front of your card")},
    }
    return json.dumps(settings, separators=(",", ":"))


def new_token(order: Order) -> str:
    """For one rendered form; works for this order only."""
    return signing.Signer(salt=f"{_SALT}.{order.public_id}").sign(secrets.token_urlsafe(16))


def submission(order: Order, token: str, offer_code: str) -> str:
    """The name of one form sent for one way to pay; empty when the token is not ours.

    The way to pay is part of it: a stale form sent again for something else is another wish, not a repetition.
    """
    try:
        nonce = signing.Signer(salt=f"{_SALT}.{order.public_id}").unsign(token)
    except signing.BadSignature:
        return ""
    return hashlib.sha256(f"{nonce} {offer_code}".encode()).hexdigest()


def _earliest_today() -> date:
    """Today where it is still earliest: a card must not expire hours before its owner's midnight."""
    return (timezone.now() - timedelta(hours=12)).date()
