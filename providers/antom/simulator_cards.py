"""Antom's test cards: what each does in 3-D Secure and at the issuer, and all that is kept of one."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from providers.simulation import TestCard

DOCUMENTED = "Antom sandbox"
SEED = "sample of the product's own documents, success assumed"
OWN = "this simulator (assumed)"
BRANDS = (
    ("3[47]", "AMEX"),
    ("3[0689]", "DINERS"),
    ("35", "JCB"),
    ("4", "VISA"),
    ("62", "CUP"),
    ("6", "DISCOVER"),
    ("9490", "HYUNDAI"),
    ("[25]", "MASTERCARD"),
)
COUNTRIES = {"949022": "KR", "429409": "BR", "400605": "MX", "460072": "CL", "431037": "PE"}
#: Issued there, a card needs its holder's name.
NAMED = frozenset({"BR", "CL", "MX", "PE"})
# Fully authenticated, attempted, none.
ECI = {"MASTERCARD": {"Y": "02", "A": "01", "N": "00"}}
ECI_ELSEWHERE = {"Y": "05", "A": "06", "N": "07"}


@dataclass(frozen=True)
class Rule:
    """What a card does. ``code`` declines it; ``three_ds`` and ``trait`` name a way of behaving, see ``CARDS``."""

    code: str = ""
    three_ds: str = ""
    trait: str = ""


ORDINARY = Rule()
_GOOD = (
    ("4054695723100768", "VISA", "global"),
    ("5162774114974622", "MASTERCARD", "global"),
    ("9490220011669217", "HYUNDAI", "South Korea"),
    ("4294097400915107", "VISA", "Brazil"),
    ("4006055482525268", "VISA", "Mexico"),
    ("4600729331819383", "VISA", "Chile"),
    ("4310377720003234", "VISA", "Peru"),
)
_OWN = (
    ("4000000001000019", Rule("DO_NOT_HONOR"), "declined: DO_NOT_HONOR"),
    ("4000000001000027", Rule("USER_BALANCE_NOT_ENOUGH"), "declined: USER_BALANCE_NOT_ENOUGH"),
    ("4000000001000035", Rule("CARD_EXPIRED"), "declined: CARD_EXPIRED"),
    ("4000000001000043", Rule("LOST_CARD"), "declined: LOST_CARD"),
    ("4000000001000050", Rule("STOLEN_CARD"), "declined: STOLEN_CARD"),
    ("4000000001000068", Rule("FRAUD_REJECT"), "declined: FRAUD_REJECT"),
    ("4000000001000076", Rule("RISK_REJECT"), "declined: RISK_REJECT"),
    ("4000000001000084", Rule("CARD_NOT_SUPPORTED"), "declined: CARD_NOT_SUPPORTED"),
    ("4000000001000092", Rule("INVALID_CARD_NUMBER"), "declined: INVALID_CARD_NUMBER"),
    ("4000000001000100", Rule("INVALID_CVV"), "declined: INVALID_CVV"),
    (
        "4000000001000118",
        Rule(three_ds="soft_decline"),
        "without 3DS: upgraded to 3DS, or AUTHENTICATION_REQUIRED when no upgrade is allowed",
    ),
    ("4000000001000126", Rule("ACCESS_DENIED"), "declined: ACCESS_DENIED"),
    ("4000000001000134", Rule("PAYMENT_COUNT_EXCEED_LIMIT"), "declined: PAYMENT_COUNT_EXCEED_LIMIT"),
    ("4000000001000142", Rule("SYSTEM_ERROR"), "failed: SYSTEM_ERROR"),
    ("4000000001000159", Rule(trait="no_payment"), "U UNKNOWN_EXCEPTION, and no payment exists"),
    ("4000000001000167", Rule(trait="slow"), "U PAYMENT_IN_PROCESS without a URL, success after 20 s"),
    ("4000000001000175", Rule(trait="lost_answer"), "connection closed without an answer, the payment succeeds"),
    ("4000000001000183", Rule(trait="unknown_answer"), "U UNKNOWN_EXCEPTION, the payment succeeds"),
    ("4000000001000191", Rule(three_ds="fails"), "3DS always, authentication fails"),
    ("4000000001000209", Rule(three_ds="attempted"), "3DS always, attempted only (eci 06), success"),
    ("4000000001000217", Rule(trait="capture_fails"), "authorised, capture fails: PROCESS_FAIL"),
    ("4000000001000225", Rule(trait="capture_slow"), "authorised, capture U, success 10 s later"),
    ("4000000001000233", Rule(trait="refund_slow"), "captured, a refund succeeds later"),
    ("4000000001000241", Rule(trait="refund_fails"), "captured, a refund fails later: PROCESS_FAIL"),
    ("4000000001000258", Rule(trait="dispute_lost"), "captured, disputed 60 s later, judged lost 60 s after that"),
    ("4000000001000266", Rule(trait="dispute_won"), "captured, disputed 60 s later, judged won 60 s after that"),
    ("4000000001000274", Rule(trait="review"), "authorised under review (PROCESSING), ACCEPT after 30 s"),
)
CARDS: dict[str, tuple[TestCard, Rule]] = {
    card.number: (card, rule)
    for card, rule in [
        *[
            (TestCard(number, brand, "123", f"success ({place})", DOCUMENTED), ORDINARY)
            for number, brand, place in _GOOD
        ],
        # which code these two get is not documented
        *[
            (TestCard(number, brand, "123", "declined: DO_NOT_HONOR (code assumed)", DOCUMENTED), Rule("DO_NOT_HONOR"))
            for number, brand in (("4054692760174822", "VISA"), ("5162770472561357", "MASTERCARD"))
        ],
        (
            TestCard("4035501000000008", "VISA", "123", "3DS exempted: no challenge when 3DS is asked for", DOCUMENTED),
            Rule(three_ds="exempt"),
        ),
        (TestCard("4117347806156383", "VISA", "123", "success", SEED), ORDINARY),
        *[(TestCard(number, "VISA", "123", outcome, OWN), rule) for number, rule, outcome in _OWN],
    ]
}
#: Raw answer codes of the schemes, shown beside a decline and meant for logs only.
REFUSALS = {
    "DO_NOT_HONOR": ("05", "Do not honor"),
    "USER_BALANCE_NOT_ENOUGH": ("51", "Insufficient funds"),
    "CARD_EXPIRED": ("54", "Expired card"),
    "LOST_CARD": ("41", "Lost card"),
    "STOLEN_CARD": ("43", "Stolen card"),
    "INVALID_CARD_NUMBER": ("14", "Invalid card number"),
    "INVALID_CVV": ("N7", "CVV2 failure"),
    "AUTHENTICATION_REQUIRED": ("1A", "Additional customer authentication required"),
}


@dataclass(frozen=True)
class Card:
    """All that is left of a card once it was looked at. ``cvv`` is the issuer's verdict on it, not the code."""

    bin: str
    last4: str
    brand: str
    country: str
    fingerprint: str
    month: str
    year: str
    cvv: str
    rule: Rule

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Card":
        return cls(**{**kept, "rule": Rule(**kept["rule"])})

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def masked(self) -> str:
        return f"************{self.last4}"

    @property
    def always_3ds(self) -> bool:
        return self.rule.three_ds in {"fails", "attempted"}

    def eci(self, result: str) -> str:
        return ECI.get(self.brand, ECI_ELSEWHERE)[result]


def reduced(number: str, month: str, year: str, cvv: str, *, key: str) -> Card:
    """Keep what may be kept. ``key`` makes fingerprints that cannot be tried out against all card numbers."""
    return Card(
        bin=number[:6],
        last4=number[-4:],
        brand=next((name for pattern, name in BRANDS if re.match(pattern, number)), ""),
        country=COUNTRIES.get(number[:6], "US"),
        fingerprint=hmac.new(bytes.fromhex(key), number.encode(), hashlib.sha256).hexdigest(),
        month=month,
        year=year,
        cvv=verdict_on(cvv),
        rule=CARDS[number][1] if number in CARDS else ORDINARY,
    )


def verdict_on(cvv: str) -> str:
    """``cvvResultRaw``: ``D`` for 999, ``X`` when none was sent."""
    return {"": "X", "999": "D"}.get(cvv, "Y")
