"""The webhook inbox: what providers sent, what it came to, and a way to apply it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, show
from checkout.desk.access import Act
from checkout.desk.actions import ConfirmForm
from checkout.desk.tenant import MerchantFilter, ModeFilter, TenantAdmin
from checkout.logs import HIDDEN, SECRET_NAME, mask, mask_text
from checkout.orders import gateway
from checkout.orders.apply import find
from checkout.orders.models import Payment
from checkout.sealing import SealBroken
from checkout.webhooks import inbox
from checkout.webhooks.models import State, WebhookEvent
from providers.contract import Delivery, Report

HIDDEN_HEADERS = re.compile(r"sign|secret|token|auth|cookie|key|hmac|digest|hash", re.IGNORECASE)
LONGEST = 60_000
"""Characters of a body that a page shows."""

OUTCOMES = {
    "applied": _("applied"),
    "no_news": _("no news"),
    "confirm": _("confirmed by asking"),
    "review": _("a person was asked"),
    "unmatched": _("matches no payment"),
    "nothing of interest": _("nothing of interest"),
}


class Deliveries(ChangeList):
    """The list, with the orders that its rows tell of, found in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        names = {row.pk: set(_names_in(row)) for row in rows}
        wanted = set().union(*names.values()) if names else set()
        told = Payment.objects.filter(
            Q(reference__in=wanted) | Q(provider_reference__in=wanted),
            account__in={row.account_id for row in rows},
        ).select_related("order")
        known = {(payment.account_id, name): payment.order for payment in told for name in _known_as(payment)}
        for row in rows:
            orders = (known.get((row.account_id, name)) for name in names[row.pk])
            row.told_order = next((order for order in orders if order), None)
        self.result_list = rows


class WebhookEventAdmin(TenantAdmin):
    heading = _("Webhook inbox")
    see = Act.SEE_INBOX
    nothing_here = _("No webhook has arrived yet. Each provider account shows the address to give to its provider.")
    list_display = ("event", "account", "state_", "came_to", "order", "copies", "received")
    list_filter = (MerchantFilter, ModeFilter, "state")
    search_fields = ("event_id__exact",)
    search_help_text = _("The provider's event id")
    list_select_related = ("account", "merchant")
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Deliveries

    @admin.display(description=_("Event"))
    def event(self, row: WebhookEvent) -> SafeString:
        marks = show.flag("test") if row.is_test else SafeString("")
        text = row.event_id if len(row.event_id) <= 28 else f"{row.event_id[:12]}…{row.event_id[-12:]}"
        return format_html('<code class="id" title="{}">{}</code>{}', row.event_id, text, marks)

    @admin.display(description=_("State"))
    def state_(self, row: WebhookEvent) -> SafeString:
        return show.pill(row.state)

    @admin.display(description=_("Came to"), empty_value="–")
    def came_to(self, row: WebhookEvent) -> str:
        return outcome(row)

    @admin.display(description=_("Order"), empty_value="–")
    def order(self, row: Any) -> SafeString | None:
        if row.told_order is None:
            return None
        url = reverse("admin:orders_order_change", args=(row.told_order.pk,))
        return format_html('<a href="{}">{}</a>', url, row.told_order.reference)

    @admin.display(description=_("Received"))
    def received(self, row: WebhookEvent) -> SafeString:
        return show.age(row.received_at, row.merchant.zone)

    # ---------------------------------------------------------------------------------------------------------- page

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.again_view)
        return [path("<int:pk>/again/", again, name="webhooks_webhookevent_again"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self.missing(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        context = {
            "title": _("Webhook"),
            "subtitle": row.event_id,
            "event": row,
            "outcome": outcome(row),
            "zone": row.merchant.zone,
            "payments": payments_of(row),
            "may_replay": access.may(request.user, Act.REPLAY, row.merchant_id),
            **readable(row),
        }
        return self.page(request, "admin/desk/webhook.html", {**context, **(extra_context or {})})

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Apply a stored delivery once more. Applying what is known already changes nothing."""
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        access.require(request.user, Act.REPLAY, row.merchant_id)
        back = reverse("admin:webhooks_webhookevent_change", args=(row.pk,))
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self._again(request, row)
            return HttpResponseRedirect(back)
        context = {
            "title": _("Apply again"),
            "subtitle": row.event_id,
            "effect": gettext(
                "The stored delivery is read and applied once more. What is known already changes nothing."
            ),
            "facts": ((_("State"), show.pill(row.state)), (_("Came to"), outcome(row))),
            "form": form,
            "button": _("Apply again"),
            "back": back,
        }
        return self.page(request, "admin/desk/confirm.html", context)

    def _again(self, request: HttpRequest, row: WebhookEvent) -> None:
        # What was applied or given up is made ready again; the inbox passes over it otherwise.
        WebhookEvent.objects.filter(pk=row.pk).update(state=State.RECEIVED, due_at=timezone.now())
        inbox.apply_event(row.pk)
        row.refresh_from_db(fields=("state", "outcome"))
        self.log_change(request, row, "Applied again")
        level = messages.SUCCESS if row.state == State.APPLIED else messages.WARNING
        text = gettext("Applied again. It came to: %(outcome)s.")
        messages.add_message(request, level, text % {"outcome": outcome(row)})


def outcome(row: WebhookEvent) -> str:
    """What applying it came to, in words."""
    if row.outcome.startswith("broke: "):
        return gettext("it could not be read (%(error)s)") % {"error": row.outcome.removeprefix("broke: ")}
    return ", ".join(str(OUTCOMES.get(part, part)) for part in row.outcome.split(", ")) if row.outcome else ""


def payments_of(row: WebhookEvent) -> list[Payment]:
    """The payments it tells of, found by reading it as its provider does."""
    unique = {payment.pk: payment for payment in (find(row.account, report) for report in _reports(row)) if payment}
    return list(Payment.objects.filter(pk__in=unique, merchant_id=row.merchant_id).select_related("order"))


def _reports(row: WebhookEvent) -> list[Report]:
    try:
        return gateway.connect(row.account).parse_webhook(row.delivery)
    except Exception:  # a body that nobody can read tells of nothing; its state says so already
        return []


def _names_in(row: WebhookEvent) -> Iterable[str]:
    """Every payment reference, ours or theirs, that a delivery carries."""
    for report in _reports(row):
        payment = getattr(report, "payment", None) or report
        for name in ("reference", "provider_reference", "payment_provider_reference"):
            if getattr(payment, name, ""):
                yield getattr(payment, name)


def _known_as(payment: Payment) -> Iterable[str]:
    return filter(None, (payment.reference, payment.provider_reference))


def readable(row: WebhookEvent) -> dict[str, Any]:
    """Headers and body for eyes: card numbers and whatever signs or opens something are hidden."""
    try:
        delivery = row.delivery
    except SealBroken:
        return {"seal_is_broken": True}
    body = pretty(delivery)
    return {
        "request_line": f"{delivery.method} {mask_text(delivery.path.split('?')[0])}",
        "query": list(_masked_pairs(parse_qsl(delivery.path.partition("?")[2], keep_blank_values=True))),
        "headers": [(name, header(name, value)) for name, value in sorted(delivery.headers.items())],
        "body": body[:LONGEST],
        "is_cut": len(body) > LONGEST,
        "size": len(delivery.body),
    }


def header(name: str, value: str) -> str:
    return HIDDEN if HIDDEN_HEADERS.search(name) else mask_text(value)


def pretty(delivery: Delivery) -> str:
    """A body as indented JSON or as one field a line, masked; anything else masked as it is."""
    text = delivery.body.decode("utf-8", "replace")
    try:
        return json.dumps(masked(json.loads(text)), indent=2, ensure_ascii=False)
    except ValueError:
        pass
    if "form-urlencoded" in delivery.header("content-type"):
        pairs = _masked_pairs(parse_qsl(text, keep_blank_values=True))
        return "\n".join(f"{name} = {value}" for name, value in pairs)
    return mask_text(text)


def masked(value: Any) -> Any:
    """``logs.mask``, and whatever is called a signature."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if _is_secret(name) and inner else masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return mask(value)


def _masked_pairs(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        yield name, HIDDEN if _is_secret(name) and value else mask_text(value)


def _is_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(name) or re.search(r"sign|hmac|hash", name, re.IGNORECASE))
