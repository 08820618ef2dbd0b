"""Amounts and moments as the shopper reads them: the locale's format, ISO 4217's decimals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format, get_timezone_gmt
from babel.numbers import get_currency_symbol, parse_pattern
from django.conf import settings
from django.utils.translation import get_language

from providers.money import exponent

_LETTERS_MEET_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
"""CLDR sets a space between ``KWD`` and the digits; babel leaves it out."""


def amount(minor: int, currency: str) -> str:
    """``€12.34`` in the active language; the decimals are ISO 4217's, which babel does not know for all currencies."""
    locale = number_locale()
    decimals = exponent(currency)
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    value = Decimal(minor).scaleb(-decimals)
    text = str(pattern.apply(value, locale, currency=currency, currency_digits=False))
    return _LETTERS_MEET_DIGITS.sub("\u00a0", text)


def amount_with_code(minor: int, currency: str) -> str:
    """``€12.34 EUR``: a symbol alone may mean several currencies. Said once where the symbol is the code."""
    text = amount(minor, currency)
    return text if currency in text else f"{text}\u00a0{currency}"


def code_beside(currency: str) -> str:
    """The code to set beside an amount; empty where the amount itself shows it."""
    return "" if get_currency_symbol(currency, locale=number_locale()) == currency else currency


def moment(when: datetime, zone: str) -> str:
    """``14 Mar 2026, 09:30 CET``, in the merchant's zone and with its name."""
    locale, local = number_locale(), when.astimezone(ZoneInfo(zone))
    day, hour = format_date(local, "medium", locale=locale), format_time(local, "short", locale=locale)
    written = str(get_datetime_format("medium", locale=locale)).replace("{1}", day).replace("{0}", hour)
    name = local.tzname() or ""
    return f"{written} {name if name.isalpha() else get_timezone_gmt(local, locale=locale)}"


def number_locale() -> Locale:
    """Babel's locale for the active language."""
    for tag in (get_language() or "", settings.LANGUAGE_CODE, "en"):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


def choose_language(wishes: Iterable[str]) -> str:
    """The first wish that we have texts for, region and all; the default language when there is none."""
    return next(filter(None, map(offered_language, wishes)), str(settings.LANGUAGE_CODE))


def offered_language(wish: str) -> str:
    """A BCP 47 tag as Django and babel both understand it; empty for a language that we do not offer."""
    locale = _locale_of(wish)
    tags = {tag.partition("-")[0]: tag for tag, _ in settings.LANGUAGES}
    tag = tags.get(locale.language, "") if locale else ""
    script = tag.partition("-")[2]
    if locale and script:  # whoever reads traditional characters is not served by simplified ones
        return tag if (locale.script or script).lower() == script else ""
    return f"{tag}-{locale.territory}".lower() if locale and locale.territory and tag else tag


def _locale_of(wish: str) -> Locale | None:
    """The locale that a tag means; that of its language alone where there is none for the whole, as for ``fr-JP``."""
    tag = wish.replace("_", "-")
    for part in (tag, tag.partition("-")[0]):
        try:
            return Locale.parse(part, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return None
