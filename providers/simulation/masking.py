"""Card data leaves no trace: everything that is logged or shown passes through here first."""

import re
from typing import Any

# Member names that hold card data, a secret or a token in any provider's words, compared without case or underscores.
_NUMBERS = {"number", "pan", "cardnumber", "cardno", "accountno"}
_SECRETS = {"cvv", "cvc", "cvv2", "securitycode", "password", "verifycode", "otp"}
_TOKENS = {"token", "cardtoken"}
_DIGITS = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){11,18}(?![0-9A-Za-z])")
# Ids and times are digits too and pass Luhn one time in ten: these members are left as they are.
_PLAIN = {"starttime", "endtime", "timestamp", "reference", "requestid", "payorderid", "mchorderno"}


def passes_luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mask_number(number: str) -> str:
    """First six and last four, which may be kept; fewer digits than that keep nothing."""
    return f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}" if len(number) >= 13 else "*" * len(number)


def mask_text(text: str) -> str:
    """Hide every run of 12 to 19 digits that could be a card number."""

    def hide(found: re.Match[str]) -> str:
        digits = re.sub(r"[ -]", "", found[0])
        return mask_number(digits) if passes_luhn(digits) else found[0]

    return _DIGITS.sub(hide, text)


def mask(value: Any, name: str = "") -> Any:
    """A copy of parsed JSON with card data hidden, at any depth. What hides nothing keeps its type."""
    plain_name = re.sub(r"[_-]", "", name).lower()
    if isinstance(value, dict):
        return {key: mask(member, str(key)) for key, member in value.items()}
    if isinstance(value, list):
        return [mask(member, name) for member in value]
    if value is None or isinstance(value, bool) or plain_name in _PLAIN:
        return value
    if plain_name in _SECRETS:
        return "***"
    if plain_name in _NUMBERS:
        return mask_number(re.sub(r"[^0-9]", "", str(value)))
    if plain_name in _TOKENS:
        return f"{str(value)[:8]}***"
    masked = mask_text(str(value))
    return value if masked == str(value) else masked
