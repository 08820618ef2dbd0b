from __future__ import annotations

from datetime import date

import pytest

from checkout.pages import cards


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", "visa"),
        ("5555555555554444", "mastercard"),
        ("2221000000000009", "mastercard"),
        ("2720990000000007", "mastercard"),
        ("378282246310005", "amex"),
        ("6011111111111117", "discover"),
        ("30569309025904", "diners"),
        ("3530111333300000", "jcb"),
        ("6200000000000005", "unionpay"),
        ("6759649826438453", "maestro"),
        ("4936980000000000", "maestro"),
    ],
)
def test_a_number_is_known_by_the_longest_prefix_that_claims_it(number, brand):
    assert cards.brand_of(number).brand == brand


@pytest.mark.parametrize("number", ["", "9", "2721000000000000", "1", "22"])
def test_a_number_that_no_scheme_claims_has_no_brand(number):
    assert cards.brand_of(number) is None


@pytest.mark.parametrize(
    "text", ["04/30", "4/30", "04 / 30", "04/2030", "0430", "042030", "2030-04", "2030/4", "04-30", " 04.30 "]
)
def test_an_expiry_date_is_read_however_it_is_written(text):
    assert cards.read_expiry(text) == (4, 2030)


@pytest.mark.parametrize("text", ["", "13/30", "00/30", "2030", "4", "April 2030", "04/30/01", "٠٤/٣٠", "4/3"])
def test_what_is_no_expiry_date_is_not_guessed(text):
    assert cards.read_expiry(text) is None


def test_a_card_is_good_until_the_end_of_its_month():
    assert not cards.has_passed(4, 2030, date(2030, 4, 30))
    assert cards.has_passed(4, 2030, date(2030, 5, 1))
