"""Weight, colours and amounts: what a design promises in numbers."""

from __future__ import annotations

import gzip
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from checkout.pages import display, theme
from tests.pages.shopper import url_of

COLOURS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


def test_the_whole_pay_page_stays_light(client, order):
    page = client.get(url_of(order)).content
    files = set(re.findall(r'(?:href|src)="/static/([^"]+)"', page.decode()))
    bodies = [page, *((Path(settings.BASE_DIR) / "static" / file).read_bytes() for file in files)]

    assert sum(len(gzip.compress(body)) for body in bodies) <= 60_000
    assert len(bodies) + len(re.findall(r'href="/theme/', page.decode())) <= 12


@given(COLOURS)
def test_any_colour_of_a_merchant_ends_up_readable(colour):
    sheet = theme.style_sheet(colour)
    light, dark = re.search(r"--accent:light-dark\((#\w{6}),(#\w{6})\)", sheet).groups()
    ink = re.search(r"--accent-ink:(#\w{6})", sheet)[1]

    assert theme.contrast(light, theme.LIGHT_GROUND) >= 4.5
    assert theme.contrast(dark, theme.DARK_GROUND) >= 4.5
    assert theme.contrast(ink, colour) >= 4.5


def test_a_theme_is_a_style_sheet_that_never_changes(client):
    sheet = client.get("/theme/0f6b52.css")

    assert sheet["Content-Type"].startswith("text/css")
    assert "immutable" in sheet["Cache-Control"]
    assert client.get("/theme/red.css").status_code == 404
    assert client.get("/theme/0f6b52%7D.css").status_code == 404


@pytest.mark.parametrize(
    ("minor", "currency", "language", "text"),
    [
        (1234567, "EUR", "en", "€12,345.67"),
        (1234567, "EUR", "de", "12.345,67\u00a0€"),
        (1000, "JPY", "en", "¥1,000"),
        (1234, "KWD", "en", "KWD\u00a01.234"),
        (100000, "HUF", "en", "HUF\u00a01,000.00"),
        (5, "USD", "en", "$0.05"),
        (100, "USD", "en-au", "USD\u00a01.00"),
    ],
)
def test_amounts_have_the_decimals_of_the_standard_and_the_marks_of_the_language(minor, currency, language, text):
    with translation.override(language):
        assert display.amount(minor, currency) == text


def test_a_currency_is_named_where_its_sign_could_mean_another():
    with translation.override("en"):
        assert display.amount_with_code(500, "USD") == "$5.00\u00a0USD"
        assert display.amount_with_code(500, "CHF") == "CHF\u00a05.00"


@pytest.mark.parametrize(
    ("zone", "text"), [("Europe/Berlin", "1 PM CET"), ("America/Sao_Paulo", "9 AM GMT-03:00"), ("UTC", "12 PM UTC")]
)
def test_a_moment_is_told_in_the_zone_of_the_merchant_and_names_it(zone, text):
    with translation.override("en"):
        told = display.moment(datetime(2030, 1, 1, 12, tzinfo=timezone.utc), zone)  # noqa: UP017

    assert told.replace("\u202f", " ").replace(":00 ", " ", 1) == f"Jan 1, 2030, {text}"


def test_the_language_is_the_first_that_there_are_texts_for():
    assert display.choose_language(["", "xx", "en-GB", "de"]) == "en-gb"
    assert display.choose_language([]) == "en"
