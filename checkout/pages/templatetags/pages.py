"""What the templates of the shopper's pages ask for: amounts, moments, icons."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from checkout.pages import cards, display

register = template.Library()

register.filter("amount", display.amount)
register.filter("amount_with_code", display.amount_with_code)
register.filter("code_beside", display.code_beside)


@register.filter
def moment(when: datetime, zone: str) -> str:
    return display.moment(when, zone)


@register.filter
def brand_label(brand: str) -> str:
    return cards.label_of(brand)


@register.simple_tag
def line_total(item: Mapping[str, Any], currency: str) -> str:
    """What one line of an order comes to."""
    return display.amount(int(item["quantity"]) * int(item["unit_amount"]), currency)


@register.simple_tag
def icon(name: str, modifier: str = "") -> SafeString:
    """An icon of the family in ``static/img/icons``, drawn into the page: decoration, so hidden from screen readers."""
    classes = f"icon icon--{modifier}" if modifier else "icon"
    return _drawn(f"icons/{name}", classes)


@register.simple_tag
def brand_mark(brand: str) -> SafeString:
    """A card scheme's mark, or a plain card for one that has none here; its name stands beside it as text."""
    if all(brand != known.brand for known in cards.brands()):
        return icon("card")
    return _drawn(f"brands/{brand}", "brand")


@cache
def _drawn(path: str, classes: str) -> SafeString:
    file = Path(settings.BASE_DIR) / "static" / "img" / f"{path}.svg"
    svg = file.read_text(encoding="utf-8").strip()
    # Safe as it stands: the drawings are files of ours.
    opening = f'<svg class="{classes}" aria-hidden="true" focusable="false"'
    return mark_safe(svg.replace('<svg xmlns="http://www.w3.org/2000/svg"', opening, 1))  # noqa: S308 # nosec
