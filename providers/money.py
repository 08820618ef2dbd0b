"""Money as integers in minor units, and one codec for each way it is written on a wire.

Exponents come from ISO 4217 (the ``iso4217`` package); display lives elsewhere. Floats do not exist here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from iso4217 import Currency

_DECIMAL = re.compile(r"\d{1,18}(\.\d{1,6})?", re.ASCII)
_MINOR = re.compile(r"\d{1,18}", re.ASCII)

MAXIMUM = 2**63 - 1
"""As much as a database keeps; above about 10**28 the decimal form would be rounded."""


class MoneyError(ValueError):
    """An amount or a currency that cannot be represented exactly."""


@cache
def exponent(currency: str) -> int:
    """How many decimals ``currency`` has by ISO 4217 (JPY 0, EUR 2, KWD 3).

    Raises MoneyError for a code that is no currency in use: unknown, lower-case, or a metal or fund
    without minor units.
    """
    try:
        decimals = Currency(currency).exponent
    except ValueError:
        decimals = None
    if decimals is None:
        raise MoneyError(f"{currency!r} is not an ISO 4217 currency that can be paid in")
    return int(decimals)


@dataclass(frozen=True, order=False)
class Money:
    """An exact amount: ``minor`` units of ``currency`` (1234 EUR is 12.34 euro)."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise MoneyError("an amount is a whole number of minor units")
        if self.minor < 0:
            raise MoneyError("an amount is not negative")
        if self.minor > MAXIMUM:
            raise MoneyError("an amount is too large")
        exponent(self.currency)

    @property
    def decimal(self) -> str:
        """The amount in major units with exactly the currency's decimals: ``"12.34"``, ``"1000"``."""
        return str(Decimal(self.minor).scaleb(-exponent(self.currency)))

    @classmethod
    def from_decimal(cls, text: str, currency: str) -> Money:
        """Read ``"12.34"``. Raises MoneyError for signs, exponents, blanks or more decimals than exist.

        Superfluous zeros are accepted (``"1000.00"`` for yen): providers write them.
        """
        if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
            raise MoneyError(f"{text!r} is not a decimal amount")
        scaled = Decimal(text).scaleb(exponent(currency))
        if scaled != scaled.to_integral_value():
            raise MoneyError(f"{text!r} has more decimals than {currency} has")
        return cls(int(scaled), currency)

    @classmethod
    def from_minor(cls, text: str | int, currency: str) -> Money:
        """Read ``"1234"`` or ``1234`` minor units. Raises MoneyError for anything else."""
        if isinstance(text, str):
            if not _MINOR.fullmatch(text):
                raise MoneyError(f"{text!r} is not a whole number of minor units")
            text = int(text)
        return cls(text, currency)

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"
