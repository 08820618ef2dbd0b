"""The shop's pages. No cookies and no scripts; the basket is the address."""

from __future__ import annotations

import re

from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from checkout.demo.shop import PRODUCTS, CheckoutAway, NotGenuine, Shop, product

SHOWN = 10
LOOKS = 20
"""How often the thanks page looks for news by itself."""

# A browser also checks where a form's answer redirects to, and this machine has more than one name.
leads_to_checkout = csp_update({"form-action": [settings.BASE_URL]})


@never_cache
@leads_to_checkout
@require_safe
def window(request: HttpRequest) -> HttpResponse:
    return _window(request)


@never_cache
@leads_to_checkout
@csrf_exempt
@require_POST
def buy(request: HttpRequest) -> HttpResponse:
    """Make an order and send the browser to pay it."""
    chosen = product(request.POST.get("product", ""))
    if chosen is None:
        raise Http404("no such product")
    try:
        url = Shop.open().sell(chosen)
    except CheckoutAway as error:
        return _window(request, status=503, trouble=str(error))
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


@never_cache
@leads_to_checkout
@require_safe
def basket(request: HttpRequest) -> HttpResponse:
    """Where a shopper lands who did not pay."""
    chosen = product(request.GET.get("product", ""))
    if chosen is None:
        return HttpResponseRedirect(reverse("shop:window"))
    return render(request, "shop/basket.html", {"product": chosen})


@never_cache
@require_safe
def thanks(request: HttpRequest) -> HttpResponse:
    """Where a shopper lands who paid; believed once a webhook says so."""
    reference = request.GET.get("order", "")
    if not re.fullmatch(r"FC-\w{6}", reference):
        return HttpResponseRedirect(reverse("shop:window"))
    is_paid = Shop.open().is_paid(reference)
    look = int(text) if (text := request.GET.get("look", "")[:3]).isdecimal() else 1
    looks_again = not is_paid and look < LOOKS
    context = {"reference": reference, "is_paid": is_paid, "looks_again": looks_again}
    response = render(request, "shop/thanks.html", context)
    if looks_again:
        response["Refresh"] = f"2; url={reverse('shop:thanks')}?order={reference}&look={look + 1}"
    return response


@csrf_exempt
@require_POST
def webhooks(request: HttpRequest) -> HttpResponse:
    """Verify over the raw bytes, note, answer."""
    try:
        Shop.open().hear(request.body, request.headers)
    except NotGenuine:
        return HttpResponse("not genuine", status=401, content_type="text/plain")
    return HttpResponse(status=204)


def _window(request: HttpRequest, *, status: int = 200, trouble: str = "") -> HttpResponse:
    context = {"products": PRODUCTS, "heard": Shop.open().heard()[:SHOWN], "trouble": trouble}
    return render(request, "shop/window.html", context, status=status)
