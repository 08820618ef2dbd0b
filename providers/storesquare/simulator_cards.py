"""StoreSquare's test cards: what each does in 3-D Secure and at the issuer, and all that is kept of one."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.simulation import TestCard, masking

# Numbers of the likely upstream's and of public 3-D Secure test tables; the rest is this product's own choice.
PUBLIC, OWN = "public test number, behaviour assumed", "this simulator (assumed)"
UNIONPAY_SAMPLE = "6212454545454690"  # the reference's own sample does not pass Luhn

BRANDS = (
    ("3[47]", "AMEX"),
    ("35", "JCB"),
    ("4", "VISA"),
    ("62", "UNIONPAY"),
    ("6", "DISCOVER"),
    ("[25]", "MASTERCARD"),
)
# Authenticated, attempted, none.
ECI = {"MASTERCARD": {"Y": "02", "A": "01"}}
ECI_ELSEWHERE = {"Y": "05", "A": "06"}
DECLINES = {
    "4001": "declined by issuer",
    "4002": "insufficient funds",
    "4003": "card expired",
    "4004": "security code wrong",
    "4005": "3DS authentication failed",
    "4006": "rejected by fraud check",
    "4007": "card lost, stolen or restricted",
    "4008": "issuer or acquirer unavailable",
    "4009": "abandoned or rejected by the payer",
}


@dataclass(frozen=True)
class Rule:
    """What a card does. ``three_ds`` is a key of ``AUTHENTICATIONS``; ``code`` declines."""

    three_ds: str = "ordinary"
    code: str = ""
    fraud: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Authentication:
    """How a 3-D Secure run ends. ``code`` declines the payment; a challenge has no result until it is answered."""

    flow: str
    result: str = ""
    code: str = ""


NONE = Authentication("none")
# Per card: with threeDsMode auto, and with standard.
AUTHENTICATIONS: dict[str, tuple[Authentication, Authentication]] = {
    "ordinary": (NONE, Authentication("frictionless", "Y")),
    "frictionless": (Authentication("frictionless", "Y"),) * 2,
    "refused": (Authentication("frictionless", "N", "4005"),) * 2,
    "challenge": (Authentication("challenge"),) * 2,
    "challenge_fails": (Authentication("challenge"),) * 2,
    "unavailable": (Authentication("none", "U"), Authentication("none", "U", "4005")),
    "error": (Authentication("none", "U", "4008"),) * 2,
}
# A result of somebody else's run: these may proceed.
EXTERNAL_GOOD = frozenset({"Y", "A"})
# Names in the manner of the upstream's: they override the number.
NAMES = {
    "REFUSED": Rule(code="4001"),
    "REFUSED51": Rule(code="4002"),
    "REFUSED43": Rule(code="4007"),
    "ERROR": Rule(code="4008"),
    "SLOW": Rule(slow=True),
}

_PLAIN = (
    ("4444333322221111", "VISA"),
    ("4917610000000000", "VISA"),
    ("4911830000000", "VISA"),
    ("5555555555554444", "MASTERCARD"),
    ("5454545454545454", "MASTERCARD"),
    ("2221000000000009", "MASTERCARD"),
    ("343434343434343", "AMEX"),
    ("3528000700000000", "JCB"),
    ("6011000400000000", "DISCOVER"),
    (UNIONPAY_SAMPLE, "UNIONPAY"),
)
_THREE_DS = (
    ("4000000000002701", "5200000000002235", "frictionless", "frictionless 3DS, approved"),
    ("4000000000002925", "5200000000002276", "refused", "frictionless 3DS, not authenticated: 4005"),
    ("4000000000002503", "5200000000002151", "challenge", "3DS challenge, approved when authenticated"),
    ("4000000000002370", "5200000000002490", "challenge_fails", "3DS challenge, 4005 whatever is pressed"),
    ("4000000000002420", "5200000000002664", "unavailable", "no challenge possible: auto proceeds, standard 4005"),
    ("4000000000002644", "5200000000002656", "error", "error during authentication: 4008"),
)
_DECLINED = (
    ("4000000000000002", Rule(code="4001")),
    ("4000000000009995", Rule(code="4002")),
    ("4000000000000069", Rule(code="4003")),
    ("4000000000000127", Rule(code="4004")),
    ("4000000000000119", Rule(code="4008")),
)
_FRAUD = "4100000000000019"

CARDS: dict[str, tuple[TestCard, Rule]] = {
    card.number: (card, rule)
    for card, rule in [
        *[
            (
                TestCard(
                    number,
                    brand,
                    "1234" if brand == "AMEX" else "123",
                    "approved; 3DS only with standard, then frictionless",
                    PUBLIC,
                ),
                Rule(),
            )
            for number, brand in _PLAIN
        ],
        *[
            (TestCard(number, brand, "123", outcome, PUBLIC), Rule(three_ds=three_ds))
            for visa, mastercard, three_ds, outcome in _THREE_DS
            for number, brand in ((visa, "VISA"), (mastercard, "MASTERCARD"))
        ],
        *[
            (TestCard(number, "VISA", "123", f"declined {rule.code}: {DECLINES[rule.code]}", OWN), rule)
            for number, rule in _DECLINED
        ],
        (TestCard(_FRAUD, "VISA", "123", "4006 when fraudMode is Y, else approved", OWN), Rule(fraud=True)),
    ]
}


@dataclass(frozen=True)
class Card:
    """All that is left of a card once it was looked at. ``code`` is what its CVC or its date earned it."""

    bin: str
    last4: str
    length: int
    brand: str
    fingerprint: str
    month: str
    year: str
    three_ds: str
    code: str
    fraud: bool
    slow: bool

    @property
    def masked(self) -> str:
        return f"{self.bin}{'*' * (self.length - 10)}{self.last4}"

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Card":
        return cls(**kept)

    def authenticate(self, mode: str) -> Authentication:
        if mode == "no":
            return NONE
        return AUTHENTICATIONS[self.three_ds][mode == "standard"]

    def eci(self, result: str) -> str:
        if not result:
            return ""
        lowest = "00" if self.brand == "MASTERCARD" else "07"
        return ECI.get(self.brand, ECI_ELSEWHERE).get(result, lowest)


def is_card_number(number: str) -> bool:
    """13 to 19 digits that pass Luhn, or the reference's own sample."""
    return bool(re.fullmatch("[0-9]{13,19}", number)) and (masking.passes_luhn(number) or number == UNIONPAY_SAMPLE)


def brand_of(number: str) -> str:
    return next((name for pattern, name in BRANDS if re.match(pattern, number)), "OTHER")


def cvc_length(number: str) -> int:
    return 4 if brand_of(number) == "AMEX" else 3


def fingerprint(key: str, number: str) -> str:
    return hmac.new(bytes.fromhex(key), number.encode(), hashlib.sha256).hexdigest()


def reduced(number: str, cvc: str, month: str, year: str, last_name: str, *, key: str, today: str) -> Card:
    """Judge a card and forget it. ``key`` is of the fingerprint, ``today`` is ``YYYYMM``."""
    rule = NAMES.get(last_name.strip().upper()) or (CARDS[number][1] if number in CARDS else Rule())
    code = rule.code
    if set(cvc) == {"0"}:
        code = "4004"
    if year + month < today:
        code = "4003"
    return Card(
        number[:6], number[-4:], len(number), brand_of(number), fingerprint(key, number), month, year,
        rule.three_ds, code, rule.fraud, rule.slow,
    )  # fmt: skip
