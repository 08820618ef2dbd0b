"""What the shopper's browser says of itself, for a provider's risk checks. It decides nothing here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.http import HttpRequest

from checkout.pages.visits import WIDEST_FIELD
from providers.contract import Browser

_NUMBER = re.compile(r"-?[0-9]{1,6}")


def browser_of(request: HttpRequest) -> Browser:
    """From the headers, and from the hidden fields that ``page.js`` fills in; what makes no sense there is left out."""
    agent, typed = _header(request, "User-Agent"), request.POST
    runs_script = typed.get("browser_javascript") == "1"
    return Browser(
        user_agent=agent,
        accept=_header(request, "Accept"),
        accept_language=_header(request, "Accept-Language"),
        is_mobile="Mobi" in agent,  # https://developer.mozilla.org/docs/Web/HTTP/Browser_detection_using_the_user_agent
        javascript=runs_script,
        java=runs_script and typed.get("browser_java") == "1",
        color_depth=_number(typed, "browser_color_depth", 1, 64) if runs_script else None,
        screen_width=_number(typed, "browser_screen_width", 1, 65_535) if runs_script else None,
        screen_height=_number(typed, "browser_screen_height", 1, 65_535) if runs_script else None,
        time_zone_offset=_number(typed, "browser_time_zone_offset", -14 * 60, 12 * 60) if runs_script else None,
    )


def _header(request: HttpRequest, name: str) -> str:
    return request.headers.get(name, "")[:WIDEST_FIELD]


def _number(typed: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = typed.get(name, "")
    number = int(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and low <= number <= high else None
