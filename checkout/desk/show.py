"""How the desk writes things: money, states, moments, references. HTML, always escaped, never styled inline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal
from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.pages.display import number_locale
from providers.money import Money, exponent

_STAFF = re.compile(r"staff:(\d{1,18})", re.ASCII)

# A word, and the tone of its pill: ok, busy, held, warn, bad or quiet. Tone only helps the eye; the word says it.
STATES: Mapping[str, tuple[object, str]] = {
    # orders
    "open": (_("Open"), "quiet"),
    "requires_action": (_("Awaits shopper"), "busy"),
    "processing": (_("Processing"), "busy"),
    "authorised": (_("Authorised"), "held"),
    "partially_paid": (_("Partly paid"), "warn"),
    "paid": (_("Paid"), "ok"),
    "partially_refunded": (_("Partly refunded"), "held"),
    "refunded": (_("Refunded"), "quiet"),
    "needs_review": (_("Needs review"), "bad"),
    "cancelled": (_("Cancelled"), "quiet"),
    "expired": (_("Expired"), "quiet"),
    "failed": (_("Failed"), "bad"),
    # payments, captures, refunds, cancellations
    "created": (_("Not sent yet"), "busy"),
    "sent": (_("Sent"), "busy"),
    "pending": (_("Pending"), "busy"),
    "captured": (_("Captured"), "ok"),
    "succeeded": (_("Done"), "ok"),
    "reversed": (_("Bounced"), "bad"),
    # webhooks
    "received": (_("Received"), "busy"),
    "applied": (_("Applied"), "ok"),
    "parked": (_("Parked"), "warn"),
    "dead": (_("Given up"), "bad"),
    "waiting": (_("Waiting"), "busy"),
    "delivered": (_("Delivered"), "ok"),
    # parcels, and lists of them
    "shipped": (_("Shipped"), "busy"),
    "queued": (_("Queued"), "busy"),
    "accepted": (_("Accepted"), "ok"),
    "rejected": (_("Rejected"), "bad"),
    "reading": (_("Being read"), "busy"),
    "checking": (_("Being checked"), "busy"),
    "checked": (_("Awaits your yes"), "warn"),
    "working": (_("At work"), "busy"),
    "done": (_("Done"), "ok"),
    "dropped": (_("Dropped"), "quiet"),
    # saved cards
    "usable": (_("Usable"), "ok"),
    "removed": (_("Removed"), "quiet"),
    # disputes
    "won": (_("Won"), "ok"),
    "lost": (_("Lost"), "bad"),
    # accounts, endpoints and keys
    "enabled": (_("Enabled"), "ok"),
    "disabled": (_("Disabled"), "quiet"),
    "active": (_("Active"), "ok"),
    "revoked": (_("Revoked"), "quiet"),
}

FLAGS: Mapping[str, object] = {
    "test": _("Test"),
    "paid_late": _("Paid late"),
    "overpaid": _("Overpaid"),
    "underpaid": _("Underpaid"),
    "duplicate": _("Duplicate"),
    "disputed": _("Disputed"),
    "downgraded_3ds": _("Without full 3-D Secure"),
}

STEPS: Mapping[str, object] = {
    "redirect": _("shopper is at the provider's page"),
    "post_form": _("shopper is being sent to the provider"),
    "code": _("awaiting the code sent by SMS"),
    "qr": _("awaiting a scan of the QR code"),
    "wait": _("awaiting the provider"),
    "ask": _("outcome unknown, being asked about"),
}

METHODS: Mapping[str, object] = {"card": _("Card form"), "cashier": _("Cashier page")}

DECLINES: Mapping[str, object] = {
    "declined": _("Declined"),
    "insufficient_funds": _("Insufficient funds"),
    "limit_exceeded": _("Limit exceeded"),
    "expired_card": _("Expired card"),
    "invalid_card": _("Invalid card"),
    "wrong_code": _("Wrong security code"),
    "not_permitted": _("Not permitted for this card"),
    "call_issuer": _("Shopper must call the bank"),
    "authentication_failed": _("Authentication failed"),
    "authentication_required": _("Authentication required"),
    "fraud": _("Suspected fraud (shoppers read: declined)"),
    "processing_error": _("Processing error"),
    "unavailable": _("Provider was not reached"),
    "abandoned": _("Shopper did not finish"),
}

REVIEWS: Mapping[str, object] = {
    "amount": _("Another amount"),
    "amount_differs": _("Another amount"),
    "currency": _("Another currency"),
    "reference": _("Another payment reference"),
    "provider_reference": _("Another provider reference"),
    "late": _("Money after the end"),
    "duplicate": _("Paid twice"),
    "no_outcome": _("No outcome after seven days"),
    "contradictory": _("Contradictory report"),
    "capture_stuck": _("Capture without an answer"),
    "refund_stuck": _("Refund without an answer"),
    "cancellation_stuck": _("Release without an answer"),
}


def words(table: Mapping[str, object], code: str) -> str:
    """The table's words for ``code``; for one it does not know, the code itself, made readable."""
    return str(table[code]) if code in table else code.replace("_", " ").capitalize()


def plain_money(minor: int, currency: str) -> str:
    """``1,250.00 EUR``, for sentences."""
    decimals = exponent(currency)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    number = format_decimal(Money(minor, currency).decimal, format=pattern, locale=number_locale())
    return f"{number}\u00a0{currency}"


def money(minor: int, currency: str) -> SafeString:
    """``1,250.00 EUR`` for a column: figures of one width, the currency set back."""
    number, _space, iso = plain_money(minor, currency).rpartition("\u00a0")
    return format_html('<span class="money">{}\u00a0<span class="money__code">{}</span></span>', number, iso)


def pill(state: str) -> SafeString:
    """A state as a pill with its word in it."""
    word, tone = STATES.get(state, (state.replace("_", " ").capitalize(), "quiet"))
    return format_html('<span class="pill pill--{}">{}</span>', tone, word)


def flag(name: str) -> SafeString:
    tone = "test" if name == "test" else "warn"
    return format_html('<span class="tag tag--{}">{}</span>', tone, words(FLAGS, name))


def code(text: str) -> SafeString:
    """An id in monospace; the desk's script puts a copy button behind it where it can."""
    if not text:
        return format_html('<span class="none">{}</span>', "–")
    return format_html('<code class="id" data-copy>{}</code>', text)


def moment(when: datetime, zone: str = "UTC") -> str:
    """``14 Mar 2026, 09:30:12`` in ``zone``, which the page names once."""
    return str(format_datetime(when, "medium", tzinfo=ZoneInfo(zone), locale=number_locale()))


def exact(when: datetime | None, zone: str = "UTC") -> SafeString:
    if when is None:
        return format_html('<span class="none">{}</span>', "–")
    return format_html('<time datetime="{}">{}</time>', when.isoformat(timespec="seconds"), moment(when, zone))


def age(when: datetime | None, zone: str = "UTC") -> SafeString:
    """``5 minutes ago``, or when it is still to come, ``in 5 minutes``; the exact time on hover."""
    if when is None:
        return format_html('<span class="none">{}</span>', "–")
    now = timezone.now()
    if abs((now - when).total_seconds()) < 60:
        text = gettext("just now")
    elif when > now:
        text = gettext("in %(time)s") % {"time": timesince(now, when, depth=1)}
    else:
        text = gettext("%(time)s ago") % {"time": timesince(when, now, depth=1)}
    title = f"{moment(when, zone)} ({zone})"
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(timespec="seconds"), title, text)


def people(actors: Iterable[str]) -> dict[str, str]:
    """The names behind ``staff:7``, by actor."""
    numbers = {int(found[1]) for actor in actors if (found := _STAFF.fullmatch(actor))}
    users = get_user_model()._default_manager.filter(pk__in=numbers)
    return {f"staff:{user.pk}": user.get_full_name() or user.get_username() for user in users}


def order_link(order: Any, url: str, marks: SafeString) -> SafeString:
    """An order's reference as a link, its marks, and below it whose it is and for whom."""
    below = order.customer.get("email") or order.description
    return format_html(
        '<a class="order-name" href="{}">{}</a>{}<span class="below">{}</span>', url, order.reference, marks, below
    )
