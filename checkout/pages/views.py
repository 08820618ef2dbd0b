"""The shopper's pages: pay, wait, come back, leave. Cookie-free, never cached, whole without JavaScript.

What a page shows depends on stored facts alone; nothing that a browser sends moves a status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from checkout.orders import links, operations
from checkout.orders.models import Order, Payment, Step
from checkout.pages import cards, display, forms, texts
from checkout.pages import theme as themes
from checkout.pages.screens import PAYABLE, UNPAID, Screen, facts_of, screen_of
from providers.contract import Customer

STOP_POLLING = 286
"""htmx's own status: swap this in and ask no more."""

ASK_AFTER = timedelta(seconds=10)
"""How old an attempt without outcome is before its page asks the provider, and how long until it asks again."""

RETURN_INTERVAL = timedelta(seconds=3)
"""A return asks at once; a reload straight after it does not ask again."""

WIDEST_FIELD = 300
"""Characters of a browser's header that go to a provider."""

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


# ---------------------------------------------------------------------------------------------------------------- pages


@shopper_page
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
def pay(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """The order's page: whatever its state, this address shows it."""
    visit = Visit.to_order(request, page_token)
    with translation.override(visit.language):
        if request.method == "POST":
            return _submit(visit)
        return _page(visit)


@shopper_page
@require_GET
def status(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """What the waiting page asks every few seconds."""
    visit = Visit.to_order(request, page_token)
    with translation.override(visit.language):
        return _poll(visit) if _is_htmx(request) else _see_other(visit.page_url)


@shopper_page
@require_GET
def go(request: HttpRequest, page_token: str, public_id: UUID) -> HttpResponseBase:
    """On to the provider's page, as long as the attempt awaits the shopper there."""
    visit = Visit.to_order(request, page_token)
    payment = visit.payment
    if payment is None or payment.public_id != public_id or visit.screen is not Screen.RESUME:
        return _see_other(visit.page_url)
    if payment.step == Step.REDIRECT:
        return _see_other(payment.step_data["url"])
    with translation.override(visit.language):
        return _hand_over(visit, payment)


@shopper_page
@require_GET
def leave(request: HttpRequest, page_token: str) -> HttpResponseBase:
    """Back to the shop. Nothing is cancelled: the order stays payable until it expires."""
    return _see_other(Visit.to_order(request, page_token).order.cancel_url)


@shopper_page
@require_http_methods(["GET", "HEAD", "POST"])
def come_back(request: HttpRequest, token: str) -> HttpResponseBase:
    """Where providers send the browser, by GET or POST. Asks once, shows what is stored, and reads no parameter."""
    visit = Visit.from_provider(request, token)
    if request.method == "POST":
        return _see_other(request.path)
    visit.ask(min_interval=RETURN_INTERVAL if "waited" not in request.GET else ASK_AFTER)
    with translation.override(visit.language):
        return _poll(visit) if _is_htmx(request) else _page(visit)


@require_GET
def theme(request: HttpRequest, colour: str) -> HttpResponse:
    """A merchant's colour as a style sheet: the same for ever for the same address."""
    if not re.fullmatch(r"[0-9a-f]{6}", colour):
        raise Http404("not a colour")
    response = HttpResponse(themes.style_sheet(f"#{colour}"), content_type="text/css; charset=utf-8")
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


# --------------------------------------------------------------------------------------------------------------- visits


@dataclass
class Visit:
    """One request to the page of one order: the order, the attempt that it is about, and the screen that follows."""

    request: HttpRequest
    order: Order
    payment: Payment | None
    return_token: str = ""
    """Set when the browser comes back from a provider: it may be another one, so nothing personal is shown."""

    @classmethod
    def to_order(cls, request: HttpRequest, page_token: str) -> Visit:
        order = get_object_or_404(Order.objects.select_related("merchant"), page_token=page_token)
        return cls(request, order, _latest_payment(order))

    @classmethod
    def from_provider(cls, request: HttpRequest, token: str) -> Visit:
        payment = links.read_return_token(token)
        if payment is None:
            raise Http404("not a return address of ours")
        return cls(request, payment.order, payment, return_token=token)

    @property
    def screen(self) -> Screen:
        returned = bool(self.return_token)
        return screen_of(facts_of(self.order, self.payment, now=timezone.now(), returned=returned))

    @property
    def language(self) -> str:
        """Order, then browser, then merchant."""
        header = self.request.headers.get("Accept-Language", "")[:WIDEST_FIELD]
        browser = [tag for tag, _ in parse_accept_lang_header(header)]
        return display.choose_language([self.order.locale, *browser, self.order.merchant.locale])

    @property
    def page_url(self) -> str:
        return reverse("pages:pay", args=(self.order.page_token,))

    @property
    def poll_url(self) -> str:
        if self.return_token:
            return reverse("pages:return", args=(self.return_token,))
        return reverse("pages:status", args=(self.order.page_token,))

    def ask(self, *, min_interval: timedelta) -> None:
        """Ask the provider about an attempt without outcome, at most once in a while, and look again."""
        if self.payment is not None and self.payment.is_waiting:
            self.payment = operations.inquire(self.payment, cause="page", min_interval=min_interval)
            self.order.refresh_from_db()

    def look_again(self) -> None:
        self.order.refresh_from_db()
        self.payment = _latest_payment(self.order)


def _latest_payment(order: Order) -> Payment | None:
    """The attempt that the page is about: one under way before one that ended."""
    payments = list(order.payments.select_related("account").order_by("-number")[:20])
    return next((payment for payment in payments if payment.is_waiting), payments[0] if payments else None)


# --------------------------------------------------------------------------------------------------------------- paying


@sensitive_variables()
def _submit(visit: Visit) -> HttpResponseBase:
    """One press of a pay button. All refusals come before the provider hears anything."""
    if visit.screen not in PAYABLE:
        return _redirect(visit, visit.page_url)
    data, order = visit.request.POST, visit.order
    offer = next((offer for offer in _offers(order) if offer.code == data.get("offer")), None)
    if offer is None:
        return _refuse(visit, texts.not_offered())
    submission = forms.submission(order, data.get("token", ""), offer.code)
    form = forms.CardForm(data) if offer.takes_card else None
    if not submission:
        return _refuse(visit, texts.stale(), form=form)
    if form is not None and not form.is_valid():
        return _refuse(visit, texts.mistakes(form.links), form=form)
    try:
        payment = operations.start(
            order,
            offer_code=offer.code,
            submission=submission,
            card=form.card() if form else None,
            customer=_customer(visit.request),
            locale=visit.language,
        )
    except (operations.NotPayable, operations.AlreadyInProgress):
        return _redirect(visit, visit.page_url)
    return _follow(visit, payment, form)


def _follow(visit: Visit, payment: Payment, form: forms.CardForm | None) -> HttpResponseBase:
    """Where an attempt leads: to the provider, or to this page in its new state."""
    if payment.is_waiting and payment.step == Step.REDIRECT:
        return _redirect(visit, payment.step_data["url"])
    if payment.is_waiting and payment.step == Step.POST_FORM:
        return _redirect(visit, reverse("pages:go", args=(visit.order.page_token, payment.public_id)))
    visit.look_again()
    if visit.screen is Screen.DECLINED and form is not None and _is_htmx(visit.request):
        # Only the message is swapped, so what the shopper typed stays in the fields.
        return _refuse(visit, texts.decline(payment.shown_decline))
    return _redirect(visit, visit.page_url)


def _refuse(visit: Visit, message: texts.Message, form: forms.CardForm | None = None) -> HttpResponse:
    """The form again with a message: the page, or for htmx only what changed."""
    context = _context(visit, form=form, message=message)
    template = "checkout/_refusal.html" if _is_htmx(visit.request) else "checkout/page.html"
    return _allow_leaving(render(visit.request, template, context, status=422), visit)


def _customer(request: HttpRequest) -> Customer:
    return Customer(ip=request.META.get("REMOTE_ADDR", ""))


def _offers(order: Order) -> list[operations.Offer]:
    """Ways to pay on this page; a card form only where the installation allows one."""
    return [offer for offer in operations.offers(order) if settings.CARD_FORM or not offer.takes_card]


# -------------------------------------------------------------------------------------------------------------- showing


def _page(visit: Visit) -> HttpResponse:
    _ask_when_due(visit)
    screen = visit.screen
    context = _context(visit)
    if screen is Screen.GONE:
        return render(visit.request, "checkout/gone.html", context, status=410)
    return _allow_leaving(render(visit.request, "checkout/page.html", context), visit)


def _poll(visit: Visit) -> HttpResponse:
    """While we wait, only the next poll; afterwards the new screen, and no more polls."""
    _ask_when_due(visit)
    if visit.screen is Screen.WAITING:
        return render(visit.request, "checkout/_poll.html", _context(visit))
    if visit.screen in PAYABLE and not visit.return_token:
        # The form needs what only a whole page brings: its script and its form-action.
        return HttpResponseClientRedirect(visit.page_url)
    response = render(visit.request, "checkout/_swapped.html", _context(visit), status=STOP_POLLING)
    response["HX-Retarget"], response["HX-Reswap"] = "#action", "outerHTML"
    return response


def _ask_when_due(visit: Visit) -> None:
    payment = visit.payment
    if visit.screen is Screen.WAITING and payment and payment.created_at <= timezone.now() - ASK_AFTER:
        visit.ask(min_interval=ASK_AFTER)


def _context(
    visit: Visit, *, form: forms.CardForm | None = None, message: texts.Message | None = None
) -> dict[str, Any]:
    """Everything that a template of the frame shows."""
    order, payment, screen = visit.order, visit.payment, visit.screen
    names = {
        "merchant": order.merchant.name,
        "amount": display.amount(order.amount, order.currency),
        "received": display.amount(order.captured_total, order.currency),
        "refunded": display.amount(order.refunded_total, order.currency),
    }
    message = message or _message(screen, payment, retry_here=not visit.return_token)
    is_error = message is not None and message.is_error
    context: dict[str, Any] = {
        "order": order,
        "merchant": order.merchant,
        "payment": payment,
        "screen": screen,
        "is_test": order.mode == "test",
        "is_return": bool(visit.return_token),
        "is_payable": screen in PAYABLE and not visit.return_token,
        "accent": order.merchant.accent_colour.lstrip("#").lower(),
        "message": message,
        "page_url": visit.page_url,
        "title": texts.title(screen, is_error=is_error, is_test=order.mode == "test", **names),
    }
    if context["is_payable"]:
        context |= _form_context(order, form)
    elif screen in texts.RESULTS:
        context["result"] = texts.result(screen, **names)
        context["is_unpaid"] = screen in UNPAID
        context["way_back"] = _way_back(order, screen)
    if screen is Screen.WAITING:
        context["wait"] = Wait.of(visit)
    return context


def _way_back(order: Order, screen: Screen) -> str:
    """The shop's page that fits the outcome; none while the outcome is in doubt, for a shop may believe its address."""
    if screen in UNPAID:
        return order.cancel_url
    return "" if screen in {Screen.REVIEW, Screen.PARTLY_PAID} else order.success_url


def _form_context(order: Order, form: forms.CardForm | None) -> dict[str, Any]:
    offers = _offers(order)
    return {
        "token": forms.new_token(order),
        "card_offer": next((offer for offer in offers if offer.takes_card), None),
        "other_offers": [
            {"code": offer.code, "text": texts.method(offer.method.code)} for offer in offers if not offer.takes_card
        ],
        "form": form or forms.CardForm(initial={"holder": order.customer.get("name", "")}),
        "brands": cards.brands(),
        "script_settings": forms.script_settings(),
    }


def _message(screen: Screen, payment: Payment | None, *, retry_here: bool) -> texts.Message | None:
    if screen is Screen.DECLINED and payment:
        return texts.decline(payment.shown_decline)
    if screen is Screen.RESUME and retry_here:
        return texts.under_way()
    return None


@dataclass(frozen=True)
class Wait:
    """How long this browser has waited, and when it asks next: 2 s, then 5 s, then 15 s."""

    url: str
    waited: int
    """Seconds, as the browser counts them; they choose only the rhythm and the words."""

    @classmethod
    def of(cls, visit: Visit) -> Wait:
        text = visit.request.GET.get("waited", "0")
        return cls(visit.poll_url, min(int(text), 3600) if re.fullmatch(r"[0-9]{1,6}", text) else 0)

    @property
    def delay(self) -> int:
        return 2 if self.waited < 30 else 5 if self.waited < 120 else 15

    @property
    def next(self) -> int:
        return self.waited + self.delay

    @property
    def delay_without_script(self) -> int:
        """A whole page at a time: not as often."""
        return max(5, self.delay)

    @property
    def next_without_script(self) -> int:
        return self.waited + self.delay_without_script

    @property
    def is_long(self) -> bool:
        return self.waited >= 60


def _hand_over(visit: Visit, payment: Payment) -> HttpResponse:
    """A form for the provider's page, sent by a press or by our script."""
    url = urlsplit(payment.step_data["url"])
    context = _context(visit) | {
        "url": payment.step_data["url"],
        "fields": payment.step_data.get("fields", {}),
        "host": url.hostname,
        "is_payable": False,
    }
    response = render(visit.request, "checkout/hand_over.html", context)
    return _allow_forms_to(response, [f"{url.scheme}://{url.netloc}"])


# ------------------------------------------------------------------------------------------------------------ responses


def _allow_leaving(response: HttpResponse, visit: Visit) -> HttpResponse:
    """Let the pay forms end at a provider: Chromium holds form-action against redirects that follow a submit, too."""
    if visit.screen not in PAYABLE or visit.return_token:
        return response
    sources: dict[str, None] = {}
    for offer in _offers(visit.order):
        plain = not offer.account.is_live and offer.account.base_url.startswith("http:")
        for host in filter(None, offer.redirect_hosts):
            sources |= dict.fromkeys(f"{scheme}://{host}:*" for scheme in (("https", "http") if plain else ("https",)))
    return _allow_forms_to(response, sources)


def _allow_forms_to(response: HttpResponse, sources: Iterable[str]) -> HttpResponse:
    response._csp_update = {"form-action": list(sources)}  # type: ignore[attr-defined]
    return response


def _redirect(visit: Visit, url: str) -> HttpResponse:
    """On to ``url``, after a form: told to htmx, or by the status that makes a browser fetch it with GET."""
    return HttpResponseClientRedirect(url) if _is_htmx(visit.request) else _see_other(url)


def _see_other(url: str) -> HttpResponse:
    return HttpResponse(status=303, headers={"Location": url})


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
