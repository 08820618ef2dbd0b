"""What a visit is answered with: a page, what htmx swaps into one, or the way elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from checkout.orders.models import Order, Payment
from checkout.pages import display, forms, steps, texts, ways
from checkout.pages.screens import UNPAID, Screen
from checkout.pages.visits import ANOTHER, LANGUAGE, Visit

STOP_POLLING = 286
"""htmx's own status: swap this in and ask no more."""

ASK_AFTER = timedelta(seconds=10)
"""How old an attempt without outcome is before its page asks the provider, and how long until it asks again."""


def page(visit: Visit) -> HttpResponse:
    _ask_when_due(visit)
    context = context_of(visit)
    if visit.screen is Screen.GONE:
        return render(visit.request, "checkout/gone.html", context, status=410)
    return _allow_leaving(render(visit.request, "checkout/page.html", context), visit)


def poll(visit: Visit) -> HttpResponse:
    """While we wait, only the next poll; afterwards the new screen, and no more polls."""
    _ask_when_due(visit)
    if visit.screen is Screen.WAITING or _still_scans(visit):
        return render(visit.request, "checkout/_poll.html", context_of(visit))
    if visit.is_payable:
        # The form needs what only a whole page brings: its script and its form-action.
        return HttpResponseClientRedirect(visit.page_url)
    return swap(visit, status=STOP_POLLING)


def swap(visit: Visit, *, status: int = 200, **changes: Any) -> HttpResponse:
    """For htmx: what to do next, in place of what was to do before."""
    response = render(visit.request, "checkout/_swapped.html", context_of(visit, **changes), status=status)
    response["HX-Retarget"], response["HX-Reswap"] = "#action", "outerHTML"
    return response


def refuse(visit: Visit, message: texts.Message, **typed: Any) -> HttpResponse:
    """The form again with a message: the page, or for htmx only what changed. ``typed``: a form as it was sent."""
    if visit.is_htmx and "code_form" in typed:
        return swap(visit, status=422, message=message, **typed)
    context = context_of(visit, message=message, **typed)
    template = "checkout/_refusal.html" if visit.is_htmx else "checkout/page.html"
    return _allow_leaving(render(visit.request, template, context, status=422), visit)


def removal(visit: Visit, way: ways.SavedWay) -> HttpResponse:
    """Asks once more before a saved card is removed."""
    context = context_of(visit) | {"way": way, "is_payable": False}
    return render(visit.request, "checkout/remove_card.html", context)


def hand_over(visit: Visit, payment: Payment) -> HttpResponse:
    """A form for the provider's page, sent by a press or by our script."""
    url = urlsplit(payment.step_data["url"])
    context = context_of(visit) | {
        "url": payment.step_data["url"],
        "fields": payment.step_data.get("fields", {}),
        "host": url.hostname,
        "is_payable": False,
    }
    response = render(visit.request, "checkout/hand_over.html", context)
    return _allow_forms_to(response, [f"{url.scheme}://{url.netloc}"])


def redirect(visit: Visit, url: str) -> HttpResponse:
    """On to ``url``, after a form: told to htmx, or by the status that makes a browser fetch it with GET."""
    return HttpResponseClientRedirect(url) if visit.is_htmx else see_other(url)


def see_other(url: str) -> HttpResponse:
    return HttpResponse(status=303, headers={"Location": url})


# ------------------------------------------------------------------------------------------------------------- contexts


def context_of(
    visit: Visit,
    *,
    message: texts.Message | None = None,
    form: forms.CardForm | None = None,
    saved_form: forms.SavedCardForm | None = None,
    code_form: forms.CodeForm | None = None,
) -> dict[str, Any]:
    """Everything that a template of the frame shows."""
    order, payment, screen = visit.order, visit.payment, visit.screen
    names = {
        "merchant": order.merchant.name,
        "amount": display.amount(order.amount, order.currency),
        "received": display.amount(order.captured_total, order.currency),
        "refunded": display.amount(order.refunded_total, order.currency),
    }
    is_choosing = visit.is_payable and (_chooses(visit) or form is not None or saved_form is not None)
    message = message or _message(visit, is_choosing=is_choosing)
    is_error = message is not None and message.is_error
    context: dict[str, Any] = {
        "order": order,
        "merchant": order.merchant,
        "payment": payment,
        "screen": screen,
        "is_test": order.mode == "test",
        "is_return": bool(visit.return_token),
        "is_payable": is_choosing,
        "accent": order.merchant.accent_colour.lstrip("#").lower(),
        "message": message,
        "page_url": visit.page_url,
        "another_url": visit.another_url,
        "link_language": visit.link_language,
        "title": texts.title(screen, is_error=is_error, is_test=order.mode == "test", **names),
    }
    if is_choosing:
        context |= _choice(visit, form, saved_form)
        context["continue_url"] = _continue_url(visit)
    elif screen in texts.RESULTS:
        context["result"] = texts.result(screen, **names)
        context["is_unpaid"] = screen in UNPAID
        context["way_back"] = _way_back(order, screen)
    elif screen is Screen.CODE and payment:
        context["code"] = steps.CodeStep.of(payment)
        context["code_form"] = code_form
    elif screen is Screen.QR and payment:
        context["qr"] = steps.QrStep.of(payment)
    if screen is Screen.WAITING or "qr" in context:
        context["wait"] = Wait.of(visit)
    return context


def _chooses(visit: Visit) -> bool:
    """Whether the ways to pay are shown: not while a code or a scan is awaited, unless the shopper wants another."""
    match visit.screen:
        case Screen.CODE:
            return ANOTHER in visit.request.GET or (visit.payment is not None and steps.is_dead(visit.payment))
        case Screen.QR:
            return ANOTHER in visit.request.GET
        case _:
            return True


def _choice(visit: Visit, form: forms.CardForm | None, saved_form: forms.SavedCardForm | None) -> dict[str, Any]:
    order, choice = visit.order, visit.ways.now
    if form is None and choice.card is not None:
        form = forms.CardForm(choice.card.method, initial={"holder": order.customer.get("name", "")})
    return {
        "token": forms.new_token(order),
        "card_offer": choice.card,
        "other_offers": ways.labelled(choice.others),
        "saved_ways": choice.saved,
        "saved_form": saved_form,
        "asks_cvc": settings.CARD_FORM,
        "can_keep_card": choice.can_keep_card,
        "form": form,
        "brands": form.accepted if form else (),
        "script_settings": forms.script_settings(form.accepted) if form else "",
    }


def _message(visit: Visit, *, is_choosing: bool) -> texts.Message | None:
    screen, payment = visit.screen, visit.payment
    if screen is Screen.DECLINED and payment:
        return texts.decline(payment.shown_decline)
    if screen is Screen.CODE and payment and (not is_choosing or steps.is_dead(payment)):
        return steps.code_message(payment)
    return texts.under_way() if _continue_url(visit) and is_choosing else None


def _continue_url(visit: Visit) -> str:
    """Where an attempt that is under way goes on; empty when there is none, or none that can."""
    if visit.payment is None or visit.return_token:
        return ""
    match visit.screen:
        case Screen.RESUME:
            return visit.address("pages:go", visit.order.page_token, visit.payment.public_id)
        case Screen.CODE:
            return "" if steps.is_dead(visit.payment) else visit.page_url
        case Screen.QR:
            return visit.page_url
    return ""


def _way_back(order: Order, screen: Screen) -> str:
    """The shop's page that fits the outcome; none while the outcome is in doubt, for a shop may believe its address."""
    if screen in UNPAID:
        return order.cancel_url
    return "" if screen in {Screen.REVIEW, Screen.PARTLY_PAID} else order.success_url


# -------------------------------------------------------------------------------------------------------------- waiting


@dataclass(frozen=True)
class Wait:
    """How long this browser has waited, and when it asks next: 2 s, then 5 s, then 15 s."""

    address: str
    waited: int
    """Seconds, as the browser counts them; they choose only the rhythm and the words."""
    seen: str = ""
    """Which QR code the page shows."""
    language: str = ""
    """What the link asked for."""

    @classmethod
    def of(cls, visit: Visit) -> Wait:
        text = visit.request.GET.get("waited", "0")
        waited = min(int(text), 3600) if re.fullmatch(r"[0-9]{1,6}", text) else 0
        return cls(visit.poll_path, waited, _seen(visit), visit.link_language)

    @property
    def url(self) -> str:
        query = {"waited": self.waited + self.delay} | ({"seen": self.seen} if self.seen else {})
        return f"{self.address}?{urlencode(query | self._language)}"

    @property
    def delay(self) -> int:
        return 2 if self.waited < 30 else 5 if self.waited < 120 else 15

    @property
    def delay_without_script(self) -> int:
        """A whole page at a time: not as often."""
        return max(5, self.delay)

    @property
    def next_without_script(self) -> str:
        """The same page again."""
        return f"?{urlencode({'waited': self.waited + self.delay_without_script} | self._language)}"

    @property
    def _language(self) -> dict[str, str]:
        return {LANGUAGE: self.language} if self.language else {}

    @property
    def is_long(self) -> bool:
        """Without a QR code to look at, a long wait is explained."""
        return self.waited >= 60 and not self.seen


def _seen(visit: Visit) -> str:
    return steps.QrStep.of(visit.payment).seen if visit.screen is Screen.QR and visit.payment else ""


def _still_scans(visit: Visit) -> bool:
    """The page shows the very QR code that is to be scanned, or says rightly that its time is over."""
    return visit.screen is Screen.QR and visit.request.GET.get("seen") == _seen(visit)


def _ask_when_due(visit: Visit) -> None:
    payment = visit.payment
    awaits_news = visit.screen in {Screen.WAITING, Screen.QR}
    if awaits_news and payment and payment.created_at <= timezone.now() - ASK_AFTER:
        visit.ask(min_interval=ASK_AFTER)


# -------------------------------------------------------------------------------------------------------------- leaving


def _allow_leaving(response: HttpResponse, visit: Visit) -> HttpResponse:
    """Let the pay forms end at a provider: Chromium holds form-action against redirects that follow a submit, too."""
    if not visit.is_payable:
        return response
    sources: dict[str, None] = {}
    for offer in (*visit.ways.offers, *(way.offer for way in visit.ways.saved)):
        plain = not offer.account.is_live and offer.account.base_url.startswith("http:")
        for host in filter(None, offer.redirect_hosts):
            sources |= dict.fromkeys(f"{scheme}://{host}:*" for scheme in (("https", "http") if plain else ("https",)))
    return _allow_forms_to(response, sources)


def _allow_forms_to(response: HttpResponse, sources: Iterable[str]) -> HttpResponse:
    response._csp_update = {"form-action": list(sources)}  # type: ignore[attr-defined]
    return response
