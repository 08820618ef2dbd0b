"""What a merchant may send. Unknown fields, wrong types and doubled keys are refused by name; nothing is guessed."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja import Schema
from ninja.parser import Parser
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from checkout.api.problems import Problem
from checkout.api.questions import parameters
from checkout.orders.creation import holds_card_number

Text = Annotated[str, StringConstraints(max_length=250)]
Short = Annotated[str, StringConstraints(max_length=100)]


def _keepable(text: str) -> str:
    """What may stand in the database for ever: nothing that it cannot hold, and nothing that it must not."""
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise PydanticCustomError("text", "Control characters are not accepted.")
    if holds_card_number(text):
        raise PydanticCustomError("text", "This looks like a card number; card numbers are never stored.")
    return text


Note = Annotated[str, StringConstraints(max_length=200), AfterValidator(_keepable)]


class Body(Schema):
    model_config = ConfigDict(extra="forbid", strict=True)


class ItemBody(Body):
    """One line of the order; the lines add up to ``amount_minor``."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    quantity: Annotated[int, Field(ge=1, le=10**6)]
    unit_amount: Annotated[int, Field(ge=0, le=10**15, description="minor units")]
    sku: Short = ""


class CustomerBody(Body):
    reference: Short = ""
    email: Annotated[str, StringConstraints(max_length=254)] = ""
    name: Short = ""
    phone: Annotated[str, StringConstraints(max_length=40)] = ""


class AddressBody(Body):
    line1: Short = ""
    line2: Short = ""
    city: Short = ""
    region: Short = ""
    postcode: Annotated[str, StringConstraints(max_length=20)] = ""
    country: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")] = ""


class OrderBody(Body):
    """A new order. Amounts are whole numbers of minor units: 12.50 euro are 1250."""

    amount_minor: Annotated[int, Field(description="minor units of the currency", examples=[1250])]
    currency: Annotated[str, Field(description="ISO 4217", examples=["EUR"])]
    reference: Annotated[str, Field(description="your own name for it", examples=["cart-1001"])]
    success_url: Annotated[str, Field(examples=["https://shop.example/thanks"])]
    cancel_url: Annotated[str, Field(examples=["https://shop.example/cart"])]
    description: Text = ""
    expires_in: Annotated[int, Field(description="seconds, 300 to 604800")] = Field(
        default_factory=lambda: int(settings.PAGE_SECONDS)
    )
    items: Annotated[list[ItemBody], Field(max_length=100)] = []
    customer: CustomerBody | None = None
    billing: AddressBody | None = None
    shipping: AddressBody | None = None
    capture: Literal["automatic", "manual"] = "automatic"
    three_ds: Literal["default", "force", "skip"] = "default"
    locale: Annotated[str, StringConstraints(pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$", max_length=20)] = ""
    metadata: dict[str, str] = {}


class Strict(Parser):
    """JSON as RFC 8259 has it, without doubled members; 12.0 is the integer 12, as JSON Schema says."""

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        return parameters(request.GET)

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise Problem(415, "unsupported_media_type", "Send application/json.")
        try:
            value = json.loads(
                request.body,
                object_pairs_hook=_without_doubles,
                parse_float=_number,
                parse_constant=_no_constant,
            )
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text, and no database takes it
        except (ValueError, ArithmeticError, RecursionError):
            raise Problem(400, "invalid_json", "The body is not valid JSON.") from None
        return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _number(text: str) -> int | float:
    value = Decimal(text)
    if value.is_finite() and value.adjusted() <= 18 and value == value.to_integral_value():
        return int(value)
    return float(value)


def _no_constant(text: str) -> Any:
    raise ValueError(text)
