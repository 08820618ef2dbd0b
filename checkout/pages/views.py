"""The shopper's pages: pay, wait, come back, leave. Cookie-free, never cached, whole without JavaScript.

What a page shows depends on stored facts alone; nothing that a browser sends moves a status.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from checkout.orders.models import Step
from checkout.pages import presses, showing, steps
from checkout.pages import theme as themes
from checkout.pages.screens import Screen
from checkout.pages.showing import see_other
from checkout.pages.visits import Visit

RETURN_INTERVAL = timedelta(seconds=3)
"""A return asks at once; a reload straight after it does not ask again."""

View = Callable[..., HttpResponseBase]


def shopper_page(view: View) -> View:
    """No cookie, no cache. Safe without a CSRF token: nobody is logged in, and the address itself is the secret."""

    @wraps(view)
    def dressed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response["Referrer-Policy"] = "no-referrer"
        patch_vary_headers(response, ("Accept-Language", "HX-Request"))
        return response

    wrapped: View = csrf_exempt(never_cache(dressed))
    return wrapped


@shopper_page
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
def pay(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """The order's page: whatever its state, this address shows it."""
    visit = Visit.to_order(request, page_token)
    with translation.override(visit.language):
        return presses.press(visit) if request.method == "POST" else showing.page(visit)


@shopper_page
@require_GET
def status(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """What a page that waits asks every few seconds."""
    visit = Visit.to_order(request, page_token)
    with translation.override(visit.language):
        return showing.poll(visit) if visit.is_htmx else see_other(visit.page_url)


@shopper_page
@require_GET
def go(request: HttpRequest, page_token: str, public_id: UUID) -> HttpResponseBase:
    """On to the provider's page, as long as the attempt awaits the shopper there."""
    visit = Visit.to_order(request, page_token)
    payment = visit.payment
    if payment is None or not visit.is_about(public_id) or visit.screen is not Screen.RESUME:
        return see_other(visit.page_url)
    if payment.step == Step.REDIRECT:
        return see_other(payment.step_data["url"])
    with translation.override(visit.language):
        return showing.hand_over(visit, payment)


@shopper_page
@require_GET
def qr(request: HttpRequest, page_token: str, public_id: UUID) -> HttpResponseBase:
    """The QR code of an attempt, for as long as it can be scanned."""
    visit = Visit.to_order(request, page_token)
    payment = visit.payment
    if payment is None or not visit.is_about(public_id) or visit.screen is not Screen.QR:
        raise Http404("there is no such code to scan")
    if steps.QrStep.of(payment).is_over:
        raise Http404("the time for this code is over")
    try:
        drawing = steps.draw_qr(payment.step_data["content"])
    except ValueError:
        raise Http404("more than a QR code can hold") from None
    return HttpResponse(drawing, content_type="image/svg+xml")


@shopper_page
@require_http_methods(["GET", "HEAD", "POST"])
def remove_card(request: HttpRequest, page_token: str, public_id: UUID) -> HttpResponseBase:
    """Asks whether a saved card is to be removed, and removes it. A card that is not there is gone already."""
    visit = Visit.to_order(request, page_token)
    way = visit.ways.saved_way(str(public_id)) if visit.is_payable else None
    if way is None:
        return see_other(visit.page_url)
    with translation.override(visit.language):
        return presses.remove(visit, way) if request.method == "POST" else showing.removal(visit, way)


@shopper_page
@require_GET
def leave(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """Back to the shop. Nothing is cancelled: the order stays payable until it expires."""
    return see_other(Visit.to_order(request, page_token).order.cancel_url)


@shopper_page
@require_http_methods(["GET", "HEAD", "POST"])
def come_back(request: HttpRequest, token: str) -> HttpResponseBase:
    """Where providers send the browser, by GET or POST. Asks once, shows what is stored, and reads no parameter."""
    visit = Visit.from_provider(request, token)
    if request.method == "POST":
        return see_other(request.path)
    visit.ask(min_interval=RETURN_INTERVAL if "waited" not in request.GET else showing.ASK_AFTER)
    with translation.override(visit.language):
        return showing.poll(visit) if visit.is_htmx else showing.page(visit)


@require_GET
def theme(request: HttpRequest, colour: str) -> HttpResponse:
    """A merchant's colour as a style sheet: the same for ever for the same address."""
    if not re.fullmatch(r"[0-9a-f]{6}", colour):
        raise Http404("not a colour")
    response = HttpResponse(themes.style_sheet(f"#{colour}"), content_type="text/css; charset=utf-8")
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
