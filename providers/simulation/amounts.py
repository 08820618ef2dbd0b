"""Decimal strings and minor units, worked out from ISO 4217 alone; floats do not exist here either."""

import re

from iso4217 import Currency

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,4}))?")


def exponent(currency: str) -> int | None:
    """How many decimals ``currency`` has; None when ISO 4217 lists no such currency or gives it no minor unit."""
    try:
        digits = Currency(currency).exponent
    except ValueError:
        return None
    return None if digits is None else int(digits)


def to_minor(text: str, digits: int) -> int | None:
    """``"12.30"`` with two digits is 1230; None when it is no plain decimal or has more decimals than that."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found[1], found[2] or ""
    return None if len(fraction) > digits else int(whole + fraction.ljust(digits, "0"))


def to_decimal(minor: int, digits: int) -> str:
    """The inverse of ``to_minor``, always with the currency's full decimals."""
    if digits == 0:
        return str(minor)
    text = str(minor).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


def shown(minor: int, currency: str) -> str:
    """An amount for people: ``1,234.50 USD``."""
    whole, dot, fraction = to_decimal(minor, exponent(currency) or 0).partition(".")
    return f"{int(whole):,}{dot}{fraction} {currency}"
