"""What shoppers read: what happened to the money, and what to do next. No codes, no blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from checkout.orders.operations import UNHEARD
from checkout.pages.screens import Screen
from providers.contract import CodeProblem, DeclineCategory, LeadsTo, Method

Text = str | Promise

WORDING = "2026-11"
"""Version of the two sentences beside the box that saves a card (``_consent.html``). New words, new version."""


@dataclass(frozen=True)
class Result:
    """A screen that tells: its mark, its heading, and the two sentences."""

    tone: str
    icon: str
    heading: Text
    money: Text
    """What happened to the money."""
    then: Text
    """What to do next."""


@dataclass(frozen=True)
class Message:
    """A box above the form. ``links`` lead to the fields that need attention."""

    tone: str
    title: Text
    text: Text = ""
    links: tuple[tuple[str, str], ...] = ()
    is_error: bool = True


@dataclass(frozen=True)
class MethodText:
    """How one way to pay is offered."""

    icon: str
    label: Text
    hint: Text


RESULTS: Mapping[Screen, Result] = {
    Screen.WAITING: Result(
        "brand",
        "clock",
        _("We are checking your payment"),
        _("We do not know yet whether your payment went through. Please do not pay again."),
        _("This page updates by itself. You can also close it: %(merchant)s hears of the outcome as soon as we do."),
    ),
    Screen.REVIEW: Result(
        "warning",
        "search",
        _("Your payment is being checked"),
        _("Something about this payment needs a closer look. Please do not pay again."),
        _("A person is looking at it, and %(merchant)s will tell you the outcome. There is nothing more to do here."),
    ),
    Screen.PAID: Result(
        "success",
        "check",
        _("Payment complete"),
        _("We have received %(amount)s for %(merchant)s."),
        _("%(merchant)s has been told. You can go back to the shop or close this page."),
    ),
    Screen.PAID_LATE: Result(
        "success",
        "check",
        _("Your payment arrived late"),
        _("We have received %(amount)s, but only after the time to pay was over."),
        _("%(merchant)s has been told and decides whether to keep the order or give the money back. Do not pay again."),
    ),
    Screen.PARTLY_PAID: Result(
        "warning",
        "alert",
        _("Part of the amount has arrived"),
        _("We have received %(received)s of %(amount)s."),
        _("%(merchant)s has been told and will get in touch. Please do not pay again."),
    ),
    Screen.HELD: Result(
        "success",
        "shield",
        _("Payment authorised"),
        _("%(amount)s is reserved on your account and has not been taken yet."),
        _("%(merchant)s takes it when your order is ready, or lets it go. There is nothing more to do here."),
    ),
    Screen.COLLECTING: Result(
        "success",
        "check",
        _("Payment authorised"),
        _("Your bank has approved %(amount)s for %(merchant)s."),
        _("It is being collected now, and %(merchant)s hears of it by itself. There is nothing more to do here."),
    ),
    Screen.REFUNDED: Result(
        "plain",
        "return",
        _("Payment refunded"),
        _("%(refunded)s is on its way back to you."),
        _("Depending on your bank it can take a few working days until you see it."),
    ),
    Screen.PARTLY_REFUNDED: Result(
        "success",
        "return",
        _("Payment complete, partly refunded"),
        _("You paid %(received)s, and %(refunded)s of it is on its way back to you."),
        _("Depending on your bank it can take a few working days until you see it."),
    ),
    Screen.FAILED: Result(
        "danger",
        "cross",
        _("This payment did not work"),
        _("No money was taken. For your safety, this page accepts no further attempts."),
        _("Go back to %(merchant)s to order again or to choose another way to pay."),
    ),
    Screen.CANCELLED: Result(
        "plain",
        "cross",
        _("This order was cancelled"),
        _("It can no longer be paid, and no money was taken."),
        _("Go back to %(merchant)s if you would like to order again."),
    ),
    Screen.EXPIRED: Result(
        "plain",
        "clock",
        _("The time to pay is over"),
        _("No money was taken."),
        _("Go back to %(merchant)s to order again and get a new payment page."),
    ),
    Screen.GONE: Result(
        "plain",
        "page",
        _("This page is closed"),
        _("The order behind it ended some time ago, and no money was taken here."),
        _("If you have a question about it, ask the shop that sent you the link."),
    ),
}

_DECLINES: Mapping[str, tuple[Text, Text]] = {
    DeclineCategory.DECLINED: (
        _("Your bank did not approve this payment"),
        _("No money was taken. Try another card or another way to pay, or ask your bank."),
    ),
    DeclineCategory.INSUFFICIENT_FUNDS: (
        _("There is not enough money available on this card"),
        _("No money was taken. Use another card or another way to pay."),
    ),
    DeclineCategory.LIMIT_EXCEEDED: (
        _("This payment is above a limit of your card"),
        _("No money was taken. Use another card, or ask your bank to raise the limit."),
    ),
    DeclineCategory.EXPIRED_CARD: (
        _("The bank says that this card has expired"),
        _("No money was taken. Check the expiry date, or use another card."),
    ),
    DeclineCategory.INVALID_CARD: (
        _("The bank does not know this card number"),
        _("No money was taken. Check the number, or use another card."),
    ),
    DeclineCategory.WRONG_CODE: (
        _("The security code does not match this card"),
        _("No money was taken. Check the code on your card and try again."),
    ),
    DeclineCategory.NOT_PERMITTED: (
        _("This card cannot be used for this payment"),
        _("No money was taken. Use another card, or ask your bank to allow payments on the internet."),
    ),
    DeclineCategory.CALL_ISSUER: (
        _("Your bank would like to speak with you first"),
        _("No money was taken. Call the number on the back of your card, or use another card."),
    ),
    DeclineCategory.AUTHENTICATION_FAILED: (
        _("Your bank could not confirm that it was you"),
        _("No money was taken. Try again and follow your bank's steps, or use another card."),
    ),
    DeclineCategory.AUTHENTICATION_REQUIRED: (
        _("Your bank asks for one more confirmation"),
        _("No money was taken. Try again and confirm the payment in your bank's app or on its page."),
    ),
    DeclineCategory.PROCESSING_ERROR: (
        _("The payment could not be carried out"),
        _("No money was taken. Try again in a few minutes, or choose another way to pay."),
    ),
    DeclineCategory.UNAVAILABLE: (
        _("The payment service could not be reached"),
        _("Nothing was sent to your bank, so no money was taken. Try again, or choose another way to pay."),
    ),
    DeclineCategory.ABANDONED: (
        _("The payment was not finished"),
        _("No money was taken. You can start again below."),
    ),
}

_METHODS: Mapping[str, MethodText] = {
    "cashier": MethodText(
        "page", _("Pay on a secure payment page"), _("You continue on our payment partner's page and come back here.")
    )
}

_NEXT: Mapping[LeadsTo, tuple[str, Text]] = {
    LeadsTo.PAGE: ("wallet", _("You continue on its own page and come back here.")),
    LeadsTo.QR: ("qr", _("You scan a code with its app on your phone.")),
    LeadsTo.CODE: ("phone", _("Your bank sends you a code by text message.")),
    LeadsTo.RESULT: ("wallet", _("Your bank may ask you to confirm.")),
}
"""For a method without a text of its own: an icon, and what comes next."""


_TITLES: Mapping[Screen, Text] = {
    Screen.CODE: _("Enter your code · %(amount)s · %(merchant)s"),
    Screen.QR: _("Scan to pay %(amount)s to %(merchant)s"),
}


def result(screen: Screen, **names: str) -> Result:
    """A screen's texts with the merchant and the amounts filled in."""
    text = RESULTS[screen]
    return Result(text.tone, text.icon, text.heading, str(text.money) % names, str(text.then) % names)


def decline(category: str) -> Message:
    """Why it did not work and what to do, for a category the shopper may know."""
    title, advice = _DECLINES.get(category, _DECLINES[DeclineCategory.DECLINED])
    return Message("warning" if category == DeclineCategory.ABANDONED else "danger", title, advice)


def mistakes(links: tuple[tuple[str, str], ...]) -> Message:
    return Message("danger", _("Check your card details"), _("Nothing has been sent to your bank."), links)


def stale() -> Message:
    return Message(
        "warning",
        _("Please press the button once more"),
        _("This page had been open for a while, so nothing was sent and no money was taken."),
    )


def not_offered() -> Message:
    return Message(
        "warning",
        _("This way to pay is no longer offered"),
        _("Nothing was sent and no money was taken. Choose another way to pay."),
    )


def code_problem(problem: str, *, tries_left: int) -> Message | None:
    """What was wrong with the last code, or that another one is asked for; None when there is nothing to say."""
    match problem:
        case CodeProblem.WRONG:
            left = ngettext("You have %(count)d try left.", "You have %(count)d tries left.", tries_left)
            advice = gettext("Look at the text message again and enter its newest code.")
            return Message("danger", _("That code is not right"), f"{advice} {left % {'count': tries_left}}")
        case CodeProblem.EXPIRED:
            return Message(
                "warning",
                _("The code has expired"),
                _("No money was taken. Start again below to get a new code, or pay another way."),
            )
        case CodeProblem.LOCKED:
            return Message(
                "danger",
                _("This code can no longer be used"),
                _("No money was taken. Start again below to get a new one, or pay another way."),
            )
        case CodeProblem.ANOTHER:
            return Message(
                "plain",
                _("That code was right, and a further code was sent"),
                _("Your bank asks for one more confirmation. Enter the code from the newest text message."),
                is_error=False,
            )
        case problem if problem == UNHEARD:
            return Message(
                "warning",
                _("Your code has not been used"),
                _("We could not reach the bank. The code is still good: enter it once more."),
            )
    return None


def code_mistake(links: tuple[tuple[str, str], ...]) -> Message:
    return Message("danger", _("Check the code"), _("Nothing has been sent to your bank."), links)


def code_is_new(seconds: int) -> Message:
    text = ngettext(
        "It can take a moment to arrive. Another one can be sent in %(count)d second.",
        "It can take a moment to arrive. Another one can be sent in %(count)d seconds.",
        seconds,
    )
    return Message("warning", _("A code was sent just now"), text % {"count": seconds})


def no_more_codes() -> Message:
    return Message(
        "warning",
        _("No more codes can be sent for this order"),
        _("No money was taken. Choose another way to pay."),
    )


def card_gone() -> Message:
    return Message(
        "warning",
        _("This saved card can no longer be used here"),
        _("No money was taken. Choose another card or another way to pay."),
    )


def not_payable(reason: str) -> Message | None:
    """Why an attempt was not made, where the shopper can do something about it on this page."""
    match reason:
        case "card":
            return card_gone()
        case "codes":
            return no_more_codes()
        case "offer":
            return not_offered()
        case "reused":
            return stale()
    return None


def under_way() -> Message:
    return Message(
        "plain",
        _("You have started to pay"),
        _("Continue where you left off. If you choose another way, we first make sure that you do not pay twice."),
        is_error=False,
    )


def method(offered: Method) -> MethodText:
    """How a method is offered: its brand, and what comes next."""
    known = _METHODS.get(offered.code)
    if known and not offered.name:
        return known
    icon, hint = _NEXT[offered.leads_to]
    label = offered.name or gettext("Pay with %(name)s") % {"name": name_of(offered)}
    return MethodText(icon, label, hint)


def name_of(offered: Method) -> str:
    """A method's name as people write it; made of its code where that says it all."""
    return offered.name or offered.code.replace("_", " ").capitalize()


def title(screen: Screen, *, is_error: bool, is_test: bool, **names: str) -> str:
    """The document's title: what, how much, to whom; begins with "Error:" when something needs attention."""
    if screen in RESULTS:
        text = f"{RESULTS[screen].heading} · {names['amount']} · {names['merchant']}"
    else:
        text = str(_TITLES.get(screen, _("Pay %(amount)s to %(merchant)s"))) % names
    if is_test:
        text = gettext("[Test] %(title)s") % {"title": text}
    return gettext("Error: %(title)s") % {"title": text} if is_error else text
