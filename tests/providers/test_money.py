"""Money: whole minor units, the decimals of ISO 4217, and nothing that is nearly right."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from providers.money import MAXIMUM, Money, MoneyError, exponent

CURRENCIES = sorted(one.code for one in Currency if one.exponent is not None)

amounts = st.builds(Money, st.integers(0, MAXIMUM), st.sampled_from(CURRENCIES))
ordinary = st.builds(Money, st.integers(0, 10**15), st.sampled_from(CURRENCIES))


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        ("EUR", 2),
        ("USD", 2),
        ("CNY", 2),
        ("HUF", 2),  # rounded to whole forints in shops, not in accounts
        ("TWD", 2),
        ("IDR", 2),
        ("ISK", 0),
        ("JPY", 0),
        ("KRW", 0),
        ("VND", 0),
        ("CLP", 0),
        ("UGX", 0),
        ("KWD", 3),
        ("BHD", 3),
        ("OMR", 3),
        ("JOD", 3),
        ("TND", 3),
        ("IQD", 3),
        ("MRU", 2),
        ("MGA", 2),
        ("CLF", 4),
        ("UYW", 4),
    ],
)
def test_a_currency_has_the_decimals_of_the_standard(currency, decimals):
    assert exponent(currency) == decimals


@pytest.mark.parametrize(
    "currency",
    [
        *("", "EU", "EURO", "ZZZ", "eur", "Eur", " EUR", "EUR ", "EUR\n", "€", "ＥＵＲ", "978", "E\x00R"),
        *("XAU", "XAG", "XDR", "XXX", "XTS", "XBA", "BTC", "USDT", "HRK"),
    ],
)
def test_what_cannot_be_paid_in_is_refused(currency):
    with pytest.raises(MoneyError):
        exponent(currency)
    with pytest.raises(MoneyError):
        Money(1, currency)
    with pytest.raises(MoneyError):
        Money.from_decimal("1", currency)
    with pytest.raises(MoneyError):
        Money.from_minor("1", currency)


@pytest.mark.parametrize("currency", [None, 978, 1.5, b"EUR", True])
def test_a_currency_is_a_text(currency):
    with pytest.raises(MoneyError):
        Money(1, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "EUR", "0.00"),
        (1, "EUR", "0.01"),
        (10, "EUR", "0.10"),
        (1234, "EUR", "12.34"),
        (100000, "EUR", "1000.00"),
        (123456789, "HUF", "1234567.89"),
        (0, "JPY", "0"),
        (1000, "JPY", "1000"),
        (1, "KWD", "0.001"),
        (1234, "KWD", "1.234"),
        (1000, "KWD", "1.000"),
        (1, "CLF", "0.0001"),
        (MAXIMUM, "JPY", "9223372036854775807"),
        (MAXIMUM, "USD", "92233720368547758.07"),
        (10**18, "JPY", "1000000000000000000"),
    ],
)
def test_the_decimal_form(minor, currency, text):
    assert Money(minor, currency).decimal == text
    assert str(Money(minor, currency)) == f"{text} {currency}"


@given(amounts)
def test_the_decimal_form_is_exact(money):
    assert Decimal(money.decimal) * 10 ** exponent(money.currency) == money.minor
    assert len(money.decimal.partition(".")[2]) == exponent(money.currency)
    assert set(money.decimal) <= set("0123456789.")


@given(ordinary)
def test_what_is_written_is_read(money):
    assert Money.from_decimal(money.decimal, money.currency) == money
    assert Money.from_minor(money.minor, money.currency) == money
    assert Money.from_minor(str(money.minor), money.currency) == money


@given(st.text(max_size=30), st.sampled_from(CURRENCIES))
def test_any_text_is_read_exactly_or_refused(text, currency):
    try:
        money = Money.from_decimal(text, currency)
    except MoneyError:
        return
    assert Decimal(text) == Decimal(money.decimal)


@given(st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=6), st.sampled_from(CURRENCIES))
def test_more_decimals_than_exist_are_refused_and_never_rounded(value, currency):
    exact = value.scaleb(exponent(currency))
    if exact == exact.to_integral_value():
        assert Money.from_decimal(f"{value:f}", currency).minor == exact
    else:
        with pytest.raises(MoneyError):
            Money.from_decimal(f"{value:f}", currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.34", "EUR", 1234),
        ("12.3", "EUR", 1230),
        ("12", "EUR", 1200),
        ("0012.34", "EUR", 1234),
        ("12.340000", "EUR", 1234),
        ("1000.00", "JPY", 1000),
        ("1000", "JPY", 1000),
        ("1.2340", "KWD", 1234),
        ("1000.00", "HUF", 100000),
        ("1000.50", "TWD", 100050),
        ("0.00", "EUR", 0),
    ],
)
def test_superfluous_and_missing_zeros_are_understood(text, currency, minor):
    assert Money.from_decimal(text, currency).minor == minor


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 ", " 1", "1\n", "+1", "-1", "-0", "--1", "1.", ".5", "1.2.3", "1,20", "1,000.00", "1_000", "1e2"),
        *("1E2", "0x10", "NaN", "Infinity", "inf", "1.234", "€1", "1 EUR", "١٢", "１２", "1.２", "0.0000001", "9" * 40),
        *("1\x00", "½", "²"),
    ],
)
def test_a_text_that_is_nearly_an_amount_is_refused(text):
    with pytest.raises(MoneyError):
        Money.from_decimal(text, "EUR")


@pytest.mark.parametrize("value", [None, 12, 12.34, True, Decimal("12.34"), b"12.34", ["12.34"], ("1",)])
def test_only_texts_are_decimal_amounts(value):
    with pytest.raises(MoneyError):
        Money.from_decimal(value, "EUR")


@pytest.mark.parametrize("value", [None, 1.0, 1.5, True, False, Decimal(1), "1", b"1", float("nan"), -1, 2**63, 10**30])
def test_an_amount_is_a_whole_number_in_bounds(value):
    with pytest.raises(MoneyError):
        Money(value, "EUR")


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.0", "1e2", " 1", "1\n", "0x1", "١", "1_0", "9" * 19, 1.0, True, None, b"1", -1, 2**63]
)
def test_only_whole_numbers_are_minor_units(value):
    with pytest.raises(MoneyError):
        Money.from_minor(value, "EUR")


def test_a_huge_decimal_is_refused_before_it_is_rounded():
    with pytest.raises(MoneyError):
        Money.from_decimal("999999999999999999.99", "EUR")


def test_an_amount_is_exact_in_any_decimal_context():
    with decimal.localcontext() as context:
        context.prec = 28
        context.rounding = decimal.ROUND_UP

        assert Money(MAXIMUM, "CLF").decimal == "922337203685477.5807"


def test_equal_amounts_of_different_currencies_differ():
    assert Money(1, "EUR") == Money(1, "EUR")
    assert Money(1, "EUR") != Money(1, "USD")
    assert len({Money(1, "EUR"), Money(1, "EUR"), Money(1, "USD")}) == 2


def test_amounts_are_not_ordered_and_not_changed():
    with pytest.raises(TypeError):
        assert Money(1, "EUR") < Money(2, "EUR")
    with pytest.raises(AttributeError):
        Money(1, "EUR").minor = 2


def test_an_error_is_a_value_error():
    assert issubclass(MoneyError, ValueError)
