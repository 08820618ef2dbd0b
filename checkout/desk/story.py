"""The timeline: an order's events as sentences a person can read, with who, why and when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import show
from checkout.orders.models import Event, Order

WHAT: Mapping[str, object] = {
    "order.created": _("Order made"),
    "order.open": _("Order is open again"),
    "order.requires_action": _("Order awaits the shopper"),
    "order.processing": _("Order awaits the provider"),
    "order.authorised": _("Order is authorised: money is held"),
    "order.partially_paid": _("Order is partly paid"),
    "order.paid": _("Order is paid"),
    "order.partially_refunded": _("Order is partly refunded"),
    "order.refunded": _("Order is refunded"),
    "order.needs_review": _("Order needs a person"),
    "order.reviewed": _("Review closed"),
    "order.cancelled": _("Order cancelled"),
    "order.expired": _("Order expired"),
    "order.failed": _("Order failed: no tries left"),
    "payment.started": _("Attempt started"),
    "payment.pending": _("Attempt sent"),
    "payment.code_sent": _("A code was sent to the shopper"),
    "payment.authorised": _("Money is held"),
    "payment.captured": _("Money was taken"),
    "payment.succeeded": _("Success announced"),
    "payment.failed": _("Attempt failed"),
    "payment.cancelled": _("Hold ended"),
    "payment.expired": _("Attempt given up"),
    "payment.late": _("Money came after the order had ended"),
    "payment.duplicate": _("A second payment brought money"),
    "payment.redirect_refused": _("A redirect to an unknown host was refused"),
    "review.opened": _("A person is asked"),
    "capture.requested": _("Capture asked for"),
    "capture.sent": _("Capture sent"),
    "capture.pending": _("Capture accepted, not done yet"),
    "capture.succeeded": _("Capture done"),
    "capture.failed": _("Capture failed"),
    "refund.requested": _("Refund asked for"),
    "refund.sent": _("Refund sent"),
    "refund.pending": _("Refund accepted, not done yet"),
    "refund.succeeded": _("Refund done"),
    "refund.failed": _("Refund failed"),
    "refund.reversed": _("Refund bounced: the money came back"),
    "cancellation.requested": _("Release of the hold asked for"),
    "cancellation.sent": _("Release sent"),
    "cancellation.pending": _("Release accepted, not done yet"),
    "cancellation.succeeded": _("Hold released"),
    "cancellation.failed": _("Release failed"),
    "dispute.opened": _("The payment is disputed"),
    "dispute.changed": _("The dispute moved on"),
    "dispute.won": _("The dispute is won: the money stays"),
    "dispute.lost": _("The dispute is lost: the money was taken back"),
    "shipment.added": _("Parcel added"),
    "shipment.delivered": _("Parcel arrived"),
    "shipment.cancelled": _("Parcel cancelled"),
    "tracking.requested": _("Parcel is told of again"),
    "tracking.succeeded": _("The provider took the parcel"),
    "tracking.failed": _("The provider did not take the parcel"),
    "policy.late": _("The policy for late money acts"),
    "fraud.alerted": _("The provider warns of fraud"),
}

ACTORS: Mapping[str, object] = {"system": _("Paydesk"), "shopper": _("Shopper"), "provider": _("Provider")}

TONES: Mapping[str, str] = {
    "order.paid": "ok",
    "payment.captured": "ok",
    "payment.authorised": "ok",
    "capture.succeeded": "ok",
    "refund.succeeded": "ok",
    "payment.failed": "bad",
    "capture.failed": "bad",
    "refund.failed": "bad",
    "refund.reversed": "bad",
    "cancellation.failed": "bad",
    "order.needs_review": "warn",
    "review.opened": "warn",
    "payment.duplicate": "warn",
    "payment.late": "warn",
    "dispute.opened": "bad",
    "dispute.won": "ok",
    "dispute.lost": "bad",
    "tracking.failed": "bad",
    "fraud.alerted": "bad",
}

_WEBHOOK = re.compile(r"\bwebhook (\d+)")
_REFERENCE = re.compile(r"\b([PRT][0-9A-F]{5})[0-9A-F]{20}\b")
_STAFF = re.compile(r"\bstaff:\d+")


def story(
    order: Order, events: Iterable[Event], *, names: Mapping[str, str], with_refunds: bool
) -> list[dict[str, Any]]:
    """One entry an event, oldest first. ``names`` are those of staff, by actor."""
    return [
        {
            "event": event,
            "what": show.words(WHAT, event.type) if event.type in WHAT else event.type,
            "tone": TONES.get(event.type, "quiet"),
            "who": who(event.actor, names),
            "why": why(event.cause, names),
            "why_url": _why_url(event.cause),
            "details": list(_details(order, event)),
        }
        for event in events
        if with_refunds or not _is_about_refunds(event)
    ]


def who(actor: str, names: Mapping[str, str]) -> str:
    if actor in names:
        return names[actor]
    if actor.startswith("key:"):
        return gettext("API key %(prefix)s…") % {"prefix": actor[4:]}
    if actor.startswith("staff:"):
        return gettext("Staff no. %(number)s") % {"number": actor[6:]}
    return str(ACTORS.get(actor, actor))


def why(cause: str, names: Mapping[str, str]) -> str:
    """A cause with people's names in it, and our long references cut: they stand in full elsewhere on the page."""
    return _STAFF.sub(lambda found: who(found.group(), names), _REFERENCE.sub(r"\g<1>…", cause))


def _is_about_refunds(event: Event) -> bool:
    return event.type.startswith("refund.") or event.type in {"order.refunded", "order.partially_refunded"}


def _why_url(cause: str) -> str:
    found = _WEBHOOK.search(cause)
    return reverse("admin:webhooks_webhookevent_change", args=found.groups()) if found else ""


def _details(order: Order, event: Event) -> Iterable[str]:
    """The data worth reading; ids and what the sentence already says are left out."""
    data = event.data
    if event.payment:
        yield gettext("attempt %(number)s") % {"number": event.payment.number}
    for key in ("amount", "captured"):
        if isinstance(data.get(key), int):
            yield show.plain_money(data[key], order.currency)
    if data.get("method"):
        yield show.words(show.METHODS, str(data["method"]))
    if data.get("account"):
        yield str(data["account"])
    if data.get("step"):
        yield show.words(show.STEPS, str(data["step"]))
    if data.get("kind"):
        yield show.words(show.REVIEWS, str(data["kind"]))
    if data.get("ours") or data.get("theirs"):
        yield gettext("we have %(ours)s, they have %(theirs)s") % {
            "ours": data.get("ours") or "–",
            "theirs": data.get("theirs") or "–",
        }
    for key in ("carrier", "code", "error_code", "url"):
        if data.get(key):
            yield str(data[key])
