"""Card brands and the ways people write a number and an expiry date.

The table is ``card_brands.json``; the page hands the same rows to its script, so that both sides agree.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext
from stdnum import luhn

SHORTEST, LONGEST = 12, 19
"""Digits in a card number (ISO/IEC 7812)."""

_TABLE = Path(__file__).with_name("card_brands.json")
_NOT_DIGITS = re.compile(r"[\s\-\u2010-\u2015.]")
_EXPIRY = re.compile(
    r"""(?P<month>\d{1,2})\s*[/\-.\s]\s*(?P<year>\d{4}|\d{2})   # 4/30, 04 / 2030
      | (?P<iso_year>\d{4})\s*[/\-.]\s*(?P<iso_month>\d{1,2})   # 2030-04
      | (?P<mm>\d{2})(?P<yy>\d{4}|\d{2})                        # 0430, 042030""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True)
class Brand:
    """One card scheme: which numbers are its own and how they are written."""

    brand: str
    label: str
    prefixes: tuple[tuple[str, str], ...]
    """First and last of each range of leading digits."""
    lengths: frozenset[int]
    code: int
    """Digits in its security code."""
    luhn: bool

    def match(self, digits: str) -> int:
        """How many leading digits of ``digits`` it claims; 0 for none."""
        return max(
            (len(low) for low, high in self.prefixes if low <= digits[: len(low)] <= high and len(digits) >= len(low)),
            default=0,
        )


@cache
def table() -> tuple[dict[str, Any], ...]:
    """The rows as they stand in the file."""
    return tuple(json.loads(_TABLE.read_text(encoding="utf-8")))


@cache
def brands() -> tuple[Brand, ...]:
    return tuple(
        Brand(
            brand=row["brand"],
            label=row["label"],
            prefixes=tuple(_range(text) for text in row["prefixes"]),
            lengths=frozenset(row["lengths"]),
            code=row["code"],
            luhn=row.get("luhn", True),
        )
        for row in table()
    )


def accepted(wanted: frozenset[str]) -> tuple[Brand, ...]:
    """The brands of these names; all of them when none is named."""
    return tuple(brand for brand in brands() if not wanted or brand.brand in wanted)


def brand_of(digits: str) -> Brand | None:
    """The scheme that claims the longest part of the number's beginning; None when nobody does."""
    best = max(brands(), key=lambda brand: brand.match(digits))
    return best if best.match(digits) else None


def label_of(brand: str) -> str:
    """A scheme's name as people write it; the word itself when we do not know it, and "Card" without one."""
    return next((known.label for known in brands() if known.brand == brand), brand.capitalize() or gettext("Card"))


def digits_of(text: str) -> str:
    """A number as typed, without the blanks, hyphens and dots that people put between its groups."""
    return _NOT_DIGITS.sub("", text)


def passes_check_digit(digits: str) -> bool:
    return bool(luhn.is_valid(digits))


def read_expiry(text: str) -> tuple[int, int] | None:
    """Month and four-digit year of ``MM/YY``, ``MM/YYYY``, ``MMYY``, ``YYYY-MM`` …; None when it is none of them."""
    found = _EXPIRY.fullmatch(text.strip())
    if not found:
        return None
    month = int(found["month"] or found["iso_month"] or found["mm"])
    year = int(found["year"] or found["iso_year"] or found["yy"])
    if not 1 <= month <= 12:
        return None
    return month, year if year >= 100 else 2000 + year


def has_passed(month: int, year: int, today: date) -> bool:
    """A card is good until the end of the month that is printed on it."""
    return (year, month) < (today.year, today.month)


def _range(text: str) -> tuple[str, str]:
    low, _, high = text.partition("-")
    return low, high or low
