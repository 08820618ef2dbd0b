"""What the browser says of itself goes to the provider; nonsense goes nowhere."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from checkout.pages.browsers import browser_of
from providers.contract import Browser
from tests import factories
from tests.pages.shopper import press, url_of

from providers.zenith import DESK  # isort: skip

TYPED = {
    "browser_javascript": "1",
    "browser_java": "0",
    "browser_color_depth": "24",
    "browser_screen_width": "1280",
    "browser_screen_height": "800",
    "browser_time_zone_offset": "-60",
}
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"


def browser(headers: dict[str, str] | None = None, **typed: str) -> Browser:
    return browser_of(RequestFactory().post("/", typed, headers=headers or {}))


def test_a_browser_with_a_script_describes_itself():
    found = browser({"User-Agent": PHONE, "Accept": "text/html", "Accept-Language": "de-DE"}, **TYPED)

    assert found == Browser(
        user_agent=PHONE,
        accept="text/html",
        accept_language="de-DE",
        is_mobile=True,
        javascript=True,
        java=False,
        color_depth=24,
        screen_width=1280,
        screen_height=800,
        time_zone_offset=-60,
    )


def test_without_a_script_there_are_only_headers():
    found = browser({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, **{**TYPED, "browser_javascript": ""})

    assert found == Browser(user_agent="Mozilla/5.0 (X11; Linux x86_64)")


@pytest.mark.parametrize("value", ["", "x", "1e3", "-", "0x10", "9" * 400, "-99999", "٢٤", "24; DROP", "24\n"])
@pytest.mark.parametrize(
    "name", ["browser_color_depth", "browser_screen_width", "browser_screen_height", "browser_time_zone_offset"]
)
def test_nonsense_is_left_out(name, value):
    found = browser(**{**TYPED, name: value})

    assert getattr(found, name.removeprefix("browser_")) is None
    assert found.javascript


def test_headers_go_no_further_than_their_first_part():
    assert len(browser({"User-Agent": "x" * 10_000}).user_agent) == 300


def test_the_provider_hears_it_with_the_payment(client, merchant, zenith):
    order = factories.an_order(merchant)
    page = client.get(url_of(order)).content.decode()
    press(client, order, "wallet", headers={"User-Agent": PHONE}, **TYPED)

    request = next(request for name, request in DESK.asked if name == "start")
    assert (request.browser.is_mobile, request.browser.screen_width) == (True, 1280)
    for name in TYPED:
        assert f'name="{name}"' in page
