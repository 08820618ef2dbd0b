"""What a press of a button does. All refusals come before the provider hears anything.

Each form names its kind in a hidden field; in a state that does not fit, a press only shows the page as it is.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables

from checkout.orders import operations, saved_cards
from checkout.orders.models import Payment, Step
from checkout.orders.operations import Offer
from checkout.orders.saved_cards import Agreement
from checkout.pages import forms, steps, texts
from checkout.pages.browsers import browser_of
from checkout.pages.screens import Screen
from checkout.pages.showing import redirect, refuse, swap
from checkout.pages.visits import Visit
from checkout.pages.ways import SavedWay, sends_code
from providers.contract import Customer


def press(visit: Visit) -> HttpResponse:
    """One press of a button on the order's page."""
    if visit.is_payable:
        match visit.request.POST.get("kind", "pay"):
            case "pay":
                return _pay(visit)
            case "saved_card":
                return _pay_with_saved_card(visit)
            case "again":
                return _once_more(visit)
            case "code":
                return _enter_code(visit)
    return redirect(visit, visit.page_url)


def remove(visit: Visit, way: SavedWay) -> HttpResponse:
    """The shopper no longer wants this card to be kept."""
    saved_cards.remove(way.card, actor="shopper")
    return redirect(visit, visit.page_url)


@sensitive_variables()
def _pay(visit: Visit) -> HttpResponse:
    data, ways = visit.request.POST, visit.ways
    offer = ways.offer(data.get("offer", ""))
    if offer is None:
        return refuse(visit, texts.not_offered())
    form = forms.CardForm(offer.method, data) if offer.takes_card else None
    submission = forms.submission(visit.order, data.get("token", ""), offer.code)
    if not submission:
        return refuse(visit, texts.stale(), form=form)
    if form is None:
        return _start(visit, offer, submission, typed={})
    if not form.is_valid() or not _has_what_its_card_needs(offer, form):
        return refuse(visit, texts.mistakes(form.links), form=form)
    agreement = _agreement(visit) if form.cleaned_data["save"] and ways.can_keep_card else None
    return _start(visit, offer, submission, typed={"form": form}, card=form.card(), agreement=agreement)


@sensitive_variables()
def _pay_with_saved_card(visit: Visit) -> HttpResponse:
    data = visit.request.POST
    way = visit.ways.saved_way(data.get("saved_card", ""))
    if way is None:
        return refuse(visit, texts.card_gone())
    form = forms.SavedCardForm(way.card, data)
    submission = forms.submission(visit.order, data.get("token", ""), f"{way.offer.code} {way.card.public_id}")
    if not submission:
        return refuse(visit, texts.stale(), saved_form=form)
    if not form.is_valid():
        return refuse(visit, texts.mistakes(form.links), saved_form=form)
    cvc = form.cleaned_data["cvc"] if settings.CARD_FORM else ""  # card data reaches us only where it may
    return _start(visit, way.offer, submission, typed={"saved_form": form}, saved_card=way.card, cvc=cvc)


def _once_more(visit: Visit) -> HttpResponse:
    """The same way to pay again, for a new QR code or a new SMS. The core asks about the old attempt first."""
    payment = visit.payment
    awaits = visit.screen in {Screen.QR, Screen.CODE}
    if payment is None or not awaits or not visit.is_about(visit.request.POST.get("payment")):
        return redirect(visit, visit.page_url)
    submission = forms.repetition(payment)
    if payment.saved_card:
        way = visit.ways.saved_way(str(payment.saved_card.public_id))
        if way is None:
            return refuse(visit, texts.card_gone())
        return _start(visit, way.offer, submission, typed={}, saved_card=way.card)
    offer = visit.ways.again(payment)
    if offer is None:
        return refuse(visit, texts.not_offered())
    if offer.takes_card:  # it was typed, and what was typed is not kept
        return redirect(visit, f"{visit.another_url}#card")
    return _start(visit, offer, submission, typed={})


@sensitive_variables()
def _enter_code(visit: Visit) -> HttpResponse:
    payment, data = visit.payment, visit.request.POST
    fits = visit.screen is Screen.CODE and visit.is_about(data.get("payment"))
    if payment is None or not fits or steps.is_dead(payment):
        return redirect(visit, visit.page_url)
    form = forms.CodeForm(data)
    if not form.is_valid():
        return refuse(visit, texts.code_mistake(form.links), code_form=form)
    try:
        payment = operations.submit_code(payment, code=form.cleaned_data["code"])
    except operations.NotPayable:  # another tab used up the last try
        return redirect(visit, visit.page_url)
    visit.look_again()
    if visit.is_htmx and visit.screen is Screen.CODE and not steps.is_dead(payment):
        return swap(visit)
    return _follow(visit, payment, typed={})


@sensitive_variables()
def _start(visit: Visit, offer: Offer, submission: str, *, typed: dict[str, Any], **wish: Any) -> HttpResponse:
    """Attempt to pay, unless this very form did so before. ``typed``: the form to show again."""
    order = visit.order
    if sends_code(offer) and not order.payments.filter(submission=submission).exists():
        obstacle = steps.no_code_now(order, visit.payment)
        if obstacle:
            return refuse(visit, obstacle, **typed)
    try:
        payment = operations.start(
            order,
            offer_code=offer.code,
            submission=submission,
            customer=Customer(ip=_address(visit.request)),
            browser=browser_of(visit.request),
            locale=visit.language,
            **wish,
        )
    except operations.AlreadyInProgress:
        return redirect(visit, visit.page_url)
    except operations.NotPayable as error:
        visit.look_again()
        message = texts.not_payable(error.reason)
        return refuse(visit, message, **typed) if message and visit.is_payable else redirect(visit, visit.page_url)
    return _follow(visit, payment, typed=typed)


def _follow(visit: Visit, payment: Payment, *, typed: dict[str, Any]) -> HttpResponse:
    """Where an attempt leads: to the provider, or to this page in its new state."""
    if payment.is_waiting and payment.step == Step.REDIRECT:
        return redirect(visit, payment.step_data["url"])
    if payment.is_waiting and payment.step == Step.POST_FORM:
        return redirect(visit, visit.address("pages:go", visit.order.page_token, payment.public_id))
    visit.look_again()
    if visit.is_htmx and visit.screen is Screen.DECLINED and typed:
        # Only the message is swapped, so what the shopper typed stays in the fields.
        return refuse(visit, texts.decline(payment.shown_decline), **typed)
    return redirect(visit, visit.page_url)


@sensitive_variables()
def _has_what_its_card_needs(offer: Offer, form: forms.CardForm) -> bool:
    """Whether what may be left out for some cards was left out for such a card. The provider knows, if anybody does."""
    if not form.left_out:
        return True
    facts = operations.look_up(offer, form.card())
    if facts and facts.funding == "credit":
        form.demand_the_rest()
    return form.is_valid()


def _agreement(visit: Visit) -> Agreement:
    return Agreement(wording=texts.WORDING, language=visit.language[:20], ip=_address(visit.request))


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
