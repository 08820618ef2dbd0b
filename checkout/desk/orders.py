"""Orders: a list to find one by anything, and a page that tells its whole story. Nothing on it can be edited."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, actions, cards, finding, giving_back, parcels, show
from checkout.desk.access import Act
from checkout.desk.actions import CHECK_INTERVAL, Deed, refusal
from checkout.desk.exporting import export_view
from checkout.desk.overview import midnight_for
from checkout.desk.story import story, who
from checkout.desk.tenant import MerchantFilter, ModeFilter, TenantAdmin
from checkout.merchants.models import ProviderAccount
from checkout.orders import gateway, intents, links, operations, shipping
from checkout.orders.models import (
    Cancellation,
    Capture,
    Dispute,
    FraudAlert,
    LedgerEntry,
    Order,
    OrderStatus,
    Payment,
    Refund,
    Review,
    SavedCard,
    Shipment,
    TrackingUpload,
)
from checkout.webhooks.models import WebhookEvent

WEBHOOK = re.compile(r"\bwebhook (\d+)")
DEEDS: tuple[Deed, ...] = (*giving_back.DEEDS, *actions.DEEDS, *parcels.DEEDS, *cards.DEEDS)
STAFF = re.compile(r"\bstaff:\d{1,18}\b")


class StatusFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, str(show.STATES[status][0])) for status in OrderStatus]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class CurrencyFilter(admin.SimpleListFilter):
    title = _("currency")
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The currencies of the latest orders: a list of all that ever were would read the whole table."""
        recent = model_admin.get_queryset(request).order_by("-created_at").values_list("currency", flat=True)[:500]
        chosen = {request.GET["currency"]} if re.fullmatch("[A-Z]{3}", request.GET.get("currency", "")) else set()
        return [(currency, currency) for currency in sorted(set(recent) | chosen)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


class ProviderFilter(admin.SimpleListFilter):
    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        accounts = model_admin.scoped(request, ProviderAccount.objects.order_by("provider"))
        names = {slug: provider.name for slug, provider in gateway.catalogue().items()}
        return [(slug, names.get(slug, slug)) for slug in accounts.values_list("provider", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        accounts = list(ProviderAccount.objects.filter(provider=self.value()).values_list("pk", flat=True))
        return queryset.filter(Exists(Payment.objects.filter(order=OuterRef("pk"), account__in=accounts)))


class CreatedFilter(admin.SimpleListFilter):
    title = _("date")
    parameter_name = "created"
    days = {"today": 0, "week": 6, "month": 29, "quarter": 89}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("today", _("Today")),
            ("week", _("Last 7 days")),
            ("month", _("Last 30 days")),
            ("quarter", _("Last 90 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.days:
            return queryset
        midnight = midnight_for(request.user)
        return queryset.filter(created_at__gte=midnight - timedelta(days=self.days[str(self.value())]))


class MoneyFilter(admin.SimpleListFilter):
    title = _("money")
    parameter_name = "money"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("in", _("Came in")), ("held", _("Held")), ("none", _("None"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "in":
                return queryset.filter(captured_total__gt=0)
            case "held":
                return queryset.filter(authorised_total__gt=0)
            case "none":
                return queryset.filter(captured_total=0, authorised_total=0)
        return queryset


class FlagFilter(admin.SimpleListFilter):
    title = _("flag")
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, word) for name, word in show.FLAGS.items() if name != "test"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in show.FLAGS:
            return queryset
        # As text: SQLite cannot look into a JSON list.
        as_text: QuerySet[Any] = queryset.annotate(flag_text=Cast("flags", TextField()))
        return as_text.filter(flag_text__contains=f'"{self.value()}"')


class OrderAdmin(TenantAdmin):
    heading = _("Orders")
    see = Act.SEE_ORDERS
    nothing_here = _("No orders yet. Your shop makes them through the API; each one gets a page where it can be paid.")
    search_help_text = _(
        "Our id, your reference, a payment or provider reference, a tracking number, an e-mail address, "
        "a card's last four"
    )
    search_fields = ("reference",)
    list_display = ("named", "amount_", "status_", "attempts", "method", "created")
    list_display_links = None
    list_filter = (
        MerchantFilter,
        ModeFilter,
        StatusFilter,
        CreatedFilter,
        CurrencyFilter,
        ProviderFilter,
        FlagFilter,
        MoneyFilter,
    )
    sortable_by = ()
    ordering = ("-created_at", "-pk")

    # ---------------------------------------------------------------------------------------------------------- list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).select_related("merchant").prefetch_related("payments")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(pk__in=finding.matching(term, self._merchants(request))), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; a pasted id that names exactly one order leads straight to it."""
        term = request.GET.get("q", "").strip()
        if term and set(request.GET) == {"q"} and self.has_view_permission(request):
            named = finding.named(term, self._merchants(request))
            if len(named) == 1:
                return HttpResponseRedirect(reverse("admin:orders_order_change", args=list(named)))
        context = {"tools": self._tools(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def _merchants(self, request: HttpRequest) -> list[int]:
        return list(access.merchants(request.user, self.see).values_list("pk", flat=True))

    def _tools(self, request: HttpRequest) -> list[tuple[Any, str]]:
        """What can be done with the list, as word and address. An export begins with the list's own filters."""
        if not access.may(request.user, Act.EXPORT):
            return []
        kept = {name: request.GET[name] for name in ("merchant", "mode") if name in request.GET}
        kept |= {"state": request.GET["status"]} if "status" in request.GET else {}
        url = reverse("admin:orders_order_export")
        return [(_("Export…"), f"{url}?{urlencode(kept)}" if kept else url)]

    @admin.display(description=_("Order"))
    def named(self, order: Order) -> SafeString:
        marks = format_html_join("", "{}", ((show.flag(name),) for name in order.flags))
        url = reverse("admin:orders_order_change", args=(order.pk,))
        return show.order_link(order, url, marks)

    @admin.display(description=_("Amount"))
    def amount_(self, order: Order) -> SafeString:
        return show.money(order.amount, order.currency)

    @admin.display(description=_("Status"))
    def status_(self, order: Order) -> SafeString:
        return show.pill(order.status)

    @admin.display(description=_("Attempts"))
    def attempts(self, order: Order) -> int:
        return len(order.payments.all())

    @admin.display(description=_("Method"), empty_value="–")
    def method(self, order: Order) -> str | None:
        payments = order.payments.all()
        return show.words(show.METHODS, payments[len(payments) - 1].method) if payments else None

    @admin.display(description=_("Created"))
    def created(self, order: Order) -> SafeString:
        return show.age(order.created_at, order.merchant.zone)

    # ---------------------------------------------------------------------------------------------------------- page

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(partial(export_view, self)), name="orders_order_export"),
            path("<int:pk>/check/<int:target_pk>/", wrap(self.check_view), name="orders_order_check"),
            path("<int:pk>/<slug:deed>/<int:target_pk>/", wrap(self.deed_view), name="orders_order_deed"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order = self.get_object(request, unquote(object_id))
        if order is None:
            return self.missing(request, object_id)
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self.page(request, "admin/desk/order.html", {**self._story(request, order), **(extra_context or {})})

    def _story(self, request: HttpRequest, order: Order) -> dict[str, Any]:
        """Everything the page shows. Shipping staff see what was ordered and paid, not what went back."""
        sees_money = access.may(request.user, Act.SEE_MONEY, order.merchant_id)
        events = list(order.events.select_related("payment"))
        payments = list(order.payments.select_related("account"))
        names = _names(order, events)
        context = {
            "title": order.reference,
            "order": order,
            "zone": order.merchant.zone,
            "page_url": links.page_url(order),
            "items": [{**item, "total": item["quantity"] * item["unit_amount"]} for item in order.items],
            "payments": [
                {"row": payment, "facts": _facts(payment), "deeds": self._offered(request, order, payment)}
                for payment in payments
            ],
            "may_check": access.may(request.user, Act.CHECK, order.merchant_id),
            "deeds": self._offered(request, order, order),
            "reviews": [{"row": row, "deeds": self._offered(request, order, row)} for row in order.reviews.all()],
            "disputes": Dispute.objects.filter(payment__order=order).select_related("payment"),
            "alerts": FraudAlert.objects.filter(payment__order=order).select_related("payment"),
            "parcels": self._parcels(request, order, names),
            "sees_money": sees_money,
            "story": story(order, events, names=names, with_refunds=sees_money),
        }
        if sees_money:
            context["cards"] = [
                {"row": card, "deeds": self._offered(request, order, card)} for card in cards.cards_of(order)
            ]
            context["consents"] = order.consents.all()
            context["entries"] = LedgerEntry.objects.filter(payment__order=order).select_related("payment")
            context["operations"] = _operations(order)
        if access.may(request.user, Act.SEE_INBOX, order.merchant_id):
            numbers = {int(number) for event in events for number in WEBHOOK.findall(event.cause)}
            context["webhooks"] = WebhookEvent.objects.filter(pk__in=numbers, merchant_id=order.merchant_id)
        return context

    def _parcels(self, request: HttpRequest, order: Order, names: dict[str, str]) -> list[dict[str, Any]]:
        """Each parcel with what became of telling its providers, and what can be done to it."""
        uploads: dict[int, list[dict[str, Any]]] = {}
        for row in parcels.uploads_of(order):
            uploads.setdefault(row.shipment_id, []).append({"row": row, "deeds": self._offered(request, order, row)})
        return [
            {
                "row": shipment,
                "who": who(shipment.created_by, names),
                "uploads": uploads.get(shipment.pk, []),
                "deeds": self._offered(request, order, shipment),
            }
            for shipment in order.shipments.select_related("order")
        ]

    # ------------------------------------------------------------------------------------------------------- actions

    def _offered(self, request: HttpRequest, order: Order, target: Model) -> list[dict[str, Any]]:
        """The buttons for one thing: role, capability and state allow them."""
        return [
            {"deed": deed, "url": reverse("admin:orders_order_deed", args=(order.pk, deed.name, target.pk))}
            for deed in DEEDS
            if isinstance(target, deed.on)
            and access.may(request.user, deed.act, order.merchant_id)
            and deed.is_offered(target)
            and all(access.may(request.user, act, order.merchant_id) for act in deed.acts(target))
        ]

    def _order(self, request: HttpRequest, pk: int) -> Order:
        order: Order | None = self.get_queryset(request).filter(pk=pk).first()
        if order is None:
            raise Http404
        return order

    def deed_view(self, request: HttpRequest, pk: int, deed: str, target_pk: int) -> HttpResponse:
        """Show what a deed would do; on POST, do it."""
        order = self._order(request, pk)
        found = next((candidate for candidate in DEEDS if candidate.name == deed), None)
        if found is None:
            raise Http404
        access.require(request.user, found.act, order.merchant_id)
        target = _target(order, found, target_pk)
        back = HttpResponseRedirect(reverse("admin:orders_order_change", args=(order.pk,)))
        if not found.is_offered(target):
            messages.warning(request, gettext("This is not possible any more. The page shows what is true now."))
            return back
        for act in found.acts(target):
            access.require(request.user, act, order.merchant_id)
        form = found.form(target, request.POST if request.method == "POST" else None)
        if request.method != "POST" or not form.is_valid():
            return self._ask(request, order, found, target, form)
        try:
            level, text = found.perform(
                target,
                form.cleaned_data,
                actor=access.actor(request.user),
                ip=request.META.get("REMOTE_ADDR") or None,
            )
        except intents.NotAllowed as error:
            level, text = messages.ERROR, refusal(error, order.currency)
        except shipping.InvalidShipment as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
            return self._ask(request, order, found, target, form)
        messages.add_message(request, level, text)
        return back

    def _ask(self, request: HttpRequest, order: Order, deed: Deed, target: Any, form: Any) -> HttpResponse:
        context = {
            "title": deed.title,
            "subtitle": order.reference,
            "order": order,
            "payment": target if isinstance(target, Payment) else None,
            "effect": deed.effect(target),
            "facts": deed.facts(target),
            "form": form,
            "button": deed.button,
            "is_danger": deed.is_danger,
            "back": reverse("admin:orders_order_change", args=(order.pk,)),
        }
        return self.page(request, "admin/desk/confirm.html", context)

    def check_view(self, request: HttpRequest, pk: int, target_pk: int) -> HttpResponse:
        """Ask the provider what is true of a payment, and show it beside what we had."""
        order = self._order(request, pk)
        access.require(request.user, Act.CHECK, order.merchant_id)
        payment = order.payments.select_related("account").filter(pk=target_pk).first()
        if payment is None:
            raise Http404
        context = {
            "title": _("Check now"),
            "subtitle": payment.reference,
            "order": order,
            "payment": payment,
            "zone": order.merchant.zone,
            "back": reverse("admin:orders_order_change", args=(order.pk,)),
        }
        if request.method == "POST":
            context |= _compare(payment, actor=access.actor(request.user))
        return self.page(request, "admin/desk/check.html", context)


# ----------------------------------------------------------------------------------------------------- what is shown


def _target(order: Order, deed: Deed, pk: int) -> Any:
    """The very row, which must be this order's."""
    rows: dict[type[Model], QuerySet[Any]] = {
        Payment: order.payments.select_related("account", "order"),
        Review: order.reviews.select_related("payment"),
        Shipment: order.shipments.select_related("order"),
        TrackingUpload: parcels.uploads_of(order),
        SavedCard: cards.cards_of(order),
    }
    if deed.on is Order:
        target: Any = order if order.pk == pk else None
    else:
        target = rows[deed.on].filter(pk=pk).first()
    if target is None:
        raise Http404
    return target


def _facts(payment: Payment) -> Iterable[tuple[Any, Any]]:
    """What is known of an attempt beyond its status, as label and value; what nobody said is left out."""
    three_ds = payment.three_ds
    yield _("Our reference"), show.code(payment.reference)
    yield _("Their reference"), show.code(payment.provider_reference)
    if payment.card_last4:
        card = " ".join(
            filter(None, (payment.card_brand.capitalize(), payment.card_first6, "••••", payment.card_last4))
        )
        yield _("Card"), card
        if payment.card_expiry:
            yield _("Expires"), payment.card_expiry
    if payment.card_issuer or payment.card_country:
        yield _("Issuer"), ", ".join(filter(None, (payment.card_issuer, payment.card_country)))
    wish = {"force": _("always"), "skip": _("skip if possible")}.get(payment.three_ds_wish, _("provider decides"))
    yield _("3-D Secure wish"), wish
    if three_ds:
        yield _("3-D Secure fact"), _three_ds(three_ds)
    if payment.decline_category:
        yield _("Declined because"), show.words(show.DECLINES, payment.decline_category)
    if payment.decline_code:
        yield _("Provider's code"), show.code(payment.decline_code)
    if payment.avs_result:
        yield _("Address check"), payment.avs_result
    if payment.cvc_result:
        yield _("Security code check"), payment.cvc_result
    zone = payment.order.merchant.zone
    if payment.asked_at:
        yield _("Last asked"), show.age(payment.asked_at, zone)
    if payment.due_at:
        yield _("Next inquiry"), show.age(payment.due_at, zone)
    if payment.deadline and payment.is_waiting:
        yield _("Shopper has until"), show.exact(payment.deadline, zone)


def _three_ds(facts: dict[str, Any]) -> str:
    parts = []
    if facts.get("downgraded") is not None:
        parts.append(gettext("not fully authenticated") if facts["downgraded"] else gettext("authenticated"))
    for key, word in (("enrolled", gettext("enrolled")), ("eci", "ECI"), ("version", gettext("version"))):
        if facts.get(key):
            parts.append(f"{word} {facts[key]}")
    if facts.get("upgrade_reason"):
        parts.append(str(facts["upgrade_reason"]))
    return ", ".join(parts) or "–"


def _operations(order: Order) -> list[dict[str, Any]]:
    """Captures, refunds and releases of all its payments, in the order in which they were asked for."""
    labels = {Capture: _("Capture"), Refund: _("Refund"), Cancellation: _("Release")}
    found = [
        {"row": row, "label": label}
        for kind, label in labels.items()
        for row in kind._default_manager.filter(payment__order=order).select_related("payment")
    ]
    return sorted(found, key=lambda entry: entry["row"].created_at)


def _names(order: Order, events: Iterable[Any]) -> dict[str, str]:
    """The people behind ``staff:7``, for the timeline."""
    said = " ".join([f"{event.actor} {event.cause}" for event in events])
    said += " " + " ".join(order.reviews.values_list("resolved_by", flat=True))
    said += " " + " ".join(order.shipments.values_list("created_by", flat=True))
    return show.people(STAFF.findall(said))


def _compare(payment: Payment, *, actor: str) -> dict[str, Any]:
    """Ask, and set what we had beside what is true now. A contradiction is not applied: it stands in a review."""
    before, began = _figures(payment), timezone.now()
    if payment.asked_at and payment.asked_at > began - CHECK_INTERVAL:
        return {"answer": "recent"}
    reviews = set(payment.reviews.filter(resolved_at=None).values_list("pk", flat=True))
    payment = operations.inquire(payment, cause=f"check by {actor}", min_interval=CHECK_INTERVAL)
    answered = bool(payment.answered_at and payment.answered_at >= began)
    after = _figures(payment)
    rows = [(label, ours, theirs) for (label, ours), (_, theirs) in zip(before, after, strict=True)]
    contradictions = list(payment.reviews.filter(resolved_at=None))
    differs = any(review.pk not in reviews for review in contradictions)
    return {
        "payment": payment,
        "answer": "yes" if answered or differs else "none",
        "rows": rows,
        "is_news": before != after,
        "contradictions": contradictions,
        "differs": differs,
    }


def _figures(payment: Payment) -> list[tuple[Any, Any]]:
    amounts = (
        (_("Authorised"), payment.authorised_total),
        (_("Released"), payment.released_total),
        (_("Captured"), payment.captured_total),
        (_("Refunded"), payment.refunded_total - payment.reversed_total),
    )
    return [
        (_("Status"), show.pill(payment.status)),
        *((label, show.money(minor, payment.currency)) for label, minor in amounts),
        (_("Reference"), show.code(payment.provider_reference)),
    ]
