"""The forms as the server reads them, and the token that makes one form one payment.

Numbers of cards and of people, security codes and codes from an SMS are never shown again, logged or stored: they live
until the request ends.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from django import forms
from django.core import signing
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from stdnum.cn import ric

from checkout.orders.creation import holds_card_number
from checkout.orders.models import Order, Payment, SavedCard
from checkout.pages import cards
from providers.contract import Card, CardField, Method

_SALT = "paydesk.form"

FARTHEST_EXPIRY = 25
"""Years. Further ahead than any card is issued for, so it is a slip of the finger."""

MESSAGES = {
    "number_required": _("Enter the card number: the long number on the front of your card."),
    "number_digits": _("Enter the card number with digits only. Spaces are fine."),
    "number_short": _("Enter the whole card number: some digits are missing."),
    "number_long": _("Enter the card number again: it has too many digits."),
    "number_wrong": _("Check the card number: at least one digit is wrong."),
    "number_brand": _("This kind of card is not accepted here. Use {brands}."),
    "expiry_required": _("Enter the expiry date that is printed on your card."),
    "expiry_format": _("Enter the expiry date as month and year, for example 04 / 30."),
    "expiry_past": _("This card has expired. Use another card, or check the date."),
    "expiry_far": _("Check the year of the expiry date: it is too far ahead."),
    "expiry_of_credit_card": _("This is a credit card. Enter the expiry date that is printed on it."),
    "cvc_of_credit_card": _("This is a credit card. Enter its security code."),
    "cvc_required": _("Enter the security code."),
    "cvc_length": _("Enter the {length} digits of the security code."),
    "holder_required": _("Enter the name as it is printed on your card."),
    "holder_number": _("This looks like a card number. Enter the name as it is printed on your card."),
    "holder_digits": _("This looks like a number. Enter the name as it is printed on your card."),
    "cvc_number": _("This looks like a card number. Enter only the short security code."),
    "id_number_required": _("Enter the number of your identity card."),
    "id_number_format": _("Enter all 18 characters of your identity card number; the last one may be an X."),
    "id_number_wrong": _("Check the number of your identity card: at least one character is wrong."),
    "phone_required": _("Enter the mobile number that your bank knows."),
    "phone_format": _("Enter a mobile number of mainland China: 11 digits that begin with 1."),
    "code_required": _("Enter the code from the text message."),
    "code_format": _("Enter only the digits of the code, as they stand in the text message."),
}

_MOST_DIGITS_IN_A_NAME = 10
"""A telephone number has more, and so has anything that identifies a person."""

_ID_NUMBER = re.compile(r"[0-9]{15}|[0-9]{17}[0-9X]")
"""Of a resident of China; 15 digits until 2013."""

_PHONE = re.compile(r"(?:(?:\+|00)?86)?(1[0-9]{10})")
_CODE = re.compile(r"[0-9]{4,6}")


class CardForm(forms.Form):
    """A card as typed, with the fields that its method asks for. All mistakes are found at once; each has one sentence
    that says what to enter.
    """

    number = forms.CharField(error_messages={"required": MESSAGES["number_required"]})
    expiry = forms.CharField(error_messages={"required": MESSAGES["expiry_required"]})
    cvc = forms.CharField(error_messages={"required": MESSAGES["cvc_required"]})
    holder = forms.CharField(max_length=100, error_messages={"required": MESSAGES["holder_required"]})
    id_number = forms.CharField(error_messages={"required": MESSAGES["id_number_required"]})
    phone = forms.CharField(error_messages={"required": MESSAGES["phone_required"]})
    save = forms.BooleanField(required=False)

    def __init__(self, method: Method, data: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.accepted = cards.accepted(method.brands)
        for name in CardField:
            if name not in method.required | method.optional:
                del self.fields[name]
            else:
                self.fields[name].required = name in method.required

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
        if brand not in self.accepted:
            raise forms.ValidationError(_brand_message(self.accepted))
        assert brand is not None  # noqa: S101 - it is one of them
        if len(digits) not in brand.lengths:
            too_short = len(digits) < max(brand.lengths)
            raise forms.ValidationError(MESSAGES["number_short" if too_short else "number_long"])
        return digits

    @sensitive_variables()
    def clean_expiry(self) -> tuple[int, int]:
        if not self.cleaned_data["expiry"]:
            return 0, 0
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
        return _read_cvc(self.cleaned_data["cvc"], cards.brand_of(cards.digits_of(self.data.get("number", ""))))

    @sensitive_variables()
    def clean_holder(self) -> str:
        holder = " ".join(self.cleaned_data["holder"].split())
        if holds_card_number(holder):
            raise forms.ValidationError(MESSAGES["holder_number"])
        if not _is_name(holder):
            raise forms.ValidationError(MESSAGES["holder_digits"])
        return holder

    @sensitive_variables()
    def clean_id_number(self) -> str:
        number = cards.digits_of(self.cleaned_data["id_number"]).upper()
        if number and not _ID_NUMBER.fullmatch(number):
            raise forms.ValidationError(MESSAGES["id_number_format"])
        if len(number) == 18 and not ric.is_valid(number):
            raise forms.ValidationError(MESSAGES["id_number_wrong"])
        return number

    @sensitive_variables()
    def clean_phone(self) -> str:
        typed = re.sub(r"[()]", "", cards.digits_of(self.cleaned_data["phone"]))
        found = _PHONE.fullmatch(typed)
        if typed and not found:
            raise forms.ValidationError(MESSAGES["phone_format"])
        return found[1] if found else ""

    @property
    def leaves_out_date_and_code(self) -> bool:
        """Debit cards of some banks have neither, so a form for both kinds can do without them."""
        return all(name in self.fields and not self.fields[name].required for name in ("expiry", "cvc"))

    @property
    def left_out(self) -> list[str]:
        """Optional fields of a valid form that were left empty, though some cards have them."""
        return [name for name in ("expiry", "cvc") if name in self.fields and not any(self._typed(name))]

    def _typed(self, name: str) -> tuple[Any, ...]:
        value = self.cleaned_data.get(name)
        return value if isinstance(value, tuple) else (value,)

    def demand_the_rest(self) -> None:
        """This very card has what was left out."""
        for name in self.left_out:
            self.add_error(name, MESSAGES[f"{name}_of_credit_card"])

    @property
    def kept_holder(self) -> str:
        """The name to show again; a number that was typed there is not."""
        typed = str(self["holder"].value() or "")[:100] if "holder" in self.fields else ""
        return typed if _is_name(typed) else ""

    @property
    def kept_expiry(self) -> str:
        typed = str(self["expiry"].value() or "")[:9] if "expiry" in self.fields else ""
        return typed if cards.read_expiry(typed) else ""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Each mistake with the id of its field, in the order of the form."""
        return tuple((f"card-{name}", str(error)) for name in self.fields for error in self.errors.get(name, ()))

    @sensitive_variables()
    def card(self) -> Card:
        """The card of a valid form."""
        typed = self.cleaned_data
        month, year = typed.get("expiry") or (0, 0)
        brand = cards.brand_of(typed["number"])
        return Card(
            number=typed["number"],
            expiry_month=month,
            expiry_year=year,
            cvc=typed.get("cvc", ""),
            holder=typed.get("holder", ""),
            brand=brand.brand if brand else "",
            id_number=typed.get("id_number", ""),
            phone=typed.get("phone", ""),
        )


class SavedCardForm(forms.Form):
    """The security code for a saved card; a shopper may leave it out."""

    cvc = forms.CharField(required=False)

    def __init__(self, card: SavedCard, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.saved_card = card

    @sensitive_variables()
    def clean_cvc(self) -> str:
        known = (brand for brand in cards.brands() if brand.brand == self.saved_card.brand)
        return _read_cvc(self.cleaned_data["cvc"], next(known, None))

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        return tuple(("saved-cvc", str(error)) for error in self.errors.get("cvc", ()))


class CodeForm(forms.Form):
    """A code from an SMS."""

    code = forms.CharField(error_messages={"required": MESSAGES["code_required"]})

    @sensitive_variables()
    def clean_code(self) -> str:
        digits = cards.digits_of(self.cleaned_data["code"])
        if not _CODE.fullmatch(digits):
            raise forms.ValidationError(MESSAGES["code_format"])
        return digits

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        return tuple(("code", str(error)) for error in self.errors.get("code", ()))


@sensitive_variables()
def _read_cvc(typed: str, brand: cards.Brand | None) -> str:
    """The digits of a security code, empty when nothing was typed."""
    digits = cards.digits_of(typed)
    if holds_card_number(digits):
        raise forms.ValidationError(MESSAGES["cvc_number"])
    expected = {brand.code} if brand else {3, 4}
    if digits and not (digits.isascii() and digits.isdigit() and len(digits) in expected):
        length = str(brand.code) if brand else gettext("3 or 4")
        raise forms.ValidationError(format_lazy(MESSAGES["cvc_length"], length=length))
    return digits


@sensitive_variables()
def _is_name(text: str) -> bool:
    """False for a number that was typed where a name belongs: of a card, a person or a telephone."""
    return sum(character.isdecimal() for character in text) <= _MOST_DIGITS_IN_A_NAME


def _brand_message(accepted: Sequence[cards.Brand]) -> str:
    return str(MESSAGES["number_brand"]).format(brands=", ".join(brand.label for brand in accepted))


def script_settings(accepted: Sequence[cards.Brand]) -> str:
    """What the page's script needs to judge as the server does: the brand table and the messages, as JSON."""
    names = {brand.brand for brand in accepted}
    messages = {name: str(message) for name, message in MESSAGES.items()}
    settings: dict[str, Any] = {
        "brands": [row for row in cards.table() if row["brand"] in names],
        "messages": {**messages, "number_brand": _brand_message(accepted)},
        "either": gettext("3 or 4"),
        "hints": {3: gettext("3 digits on the back of your card"), 4: gettext("4 digits on the front of your card")},
    }
    return json.dumps(settings, separators=(",", ":"))


def new_token(order: Order) -> str:
    """For one rendered form; works for this order only."""
    return signing.Signer(salt=f"{_SALT}.{order.public_id}").sign(secrets.token_urlsafe(16))


def submission(order: Order, token: str, way: str) -> str:
    """The name of one form sent for one way to pay; empty when the token is not ours.

    The way to pay is part of it: a stale form sent again for something else is another wish, not a repetition.
    """
    try:
        nonce = signing.Signer(salt=f"{_SALT}.{order.public_id}").unsign(token)
    except signing.BadSignature:
        return ""
    return hashlib.sha256(f"{nonce} {way}".encode()).hexdigest()


def repetition(payment: Payment) -> str:
    """The name of one wish to have the same again: pressed twice for the same attempt, it is one wish."""
    return hashlib.sha256(f"again {payment.public_id}".encode()).hexdigest()


def _earliest_today() -> date:
    """Today where it is still earliest: a card must not expire hours before its owner's midnight."""
    return (timezone.now() - timedelta(hours=12)).date()
