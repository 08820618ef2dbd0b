"""Where merchants hear of events, and how telling them goes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, show
from checkout.desk.access import Act
from checkout.desk.actions import ConfirmForm
from checkout.desk.team import OwnerForm
from checkout.desk.tenant import MerchantFilter, ModeFilter, StockModelForm, TenantAdmin
from checkout.events import wire
from checkout.events.models import Delivery, DeliveryState, Endpoint
from checkout.orders.timeline import PUBLIC


class EndpointFields(forms.Form):
    url = forms.URLField(
        label=_("Address"), max_length=500, assume_scheme="https", help_text=_("Events are sent there by POST.")
    )
    types = forms.MultipleChoiceField(
        label=_("Events"),
        required=False,
        choices=[(name, name) for name in sorted(PUBLIC)],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all of them."),
    )

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise forms.ValidationError(gettext("An address with a user name or password is not accepted."))
        if parts.scheme != "https" and not settings.ALLOW_PRIVATE_ENDPOINTS:
            raise forms.ValidationError(gettext("Use an https address."))
        try:
            wire.check_address(url)
        except wire.AddressRefused as refused:
            raise forms.ValidationError(str(refused)) from None
        return url


class NewEndpointForm(EndpointFields, OwnerForm):
    field_order = ("merchant", "mode", "url", "types")


class EndpointForm(EndpointFields, StockModelForm):
    class Meta:
        model = Endpoint
        fields = ("url", "enabled", "types")


class EndpointAdmin(TenantAdmin):
    heading = _("Webhook endpoints")
    see = to_add = to_change = Act.SET_UP
    form = EndpointForm
    nothing_here = _("No endpoint yet. Add one, and your shop hears of every change by signed webhook.")
    list_display = ("url", "mode_", "state", "wants")
    list_filter = (MerchantFilter, ModeFilter)
    search_fields = ("url",)
    fields = ("url", "enabled", "types")
    change_form_template = "admin/desk/endpoint.html"

    @admin.display(description=_("Mode"), ordering="mode")
    def mode_(self, endpoint: Endpoint) -> SafeString | str:
        return show.flag("test") if endpoint.is_test else gettext("Live")

    @admin.display(description=_("State"), ordering="enabled")
    def state(self, endpoint: Endpoint) -> SafeString:
        return format_html(
            '{}<span class="below">{}</span>',
            show.pill("enabled" if endpoint.enabled else "disabled"),
            endpoint.disabled_why,
        )

    @admin.display(description=_("Events"))
    def wants(self, endpoint: Endpoint) -> str:
        return ", ".join(endpoint.types) or gettext("all")

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        return [path("<int:pk>/rotate/", rotate, name="events_endpoint_rotate"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make an endpoint; its secret is in this one answer and nowhere else."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        merchants = access.merchants(request.user, Act.SET_UP)
        form = NewEndpointForm(request.POST if request.method == "POST" else None, merchants=merchants)
        if request.method != "POST" or not form.is_valid():
            return self.page(request, "admin/desk/new.html", {"title": _("Add a webhook endpoint"), "form": form})
        wish = form.cleaned_data
        endpoint, text = Endpoint.create_for(wish["merchant"], wish["mode"], url=wish["url"], types=wish["types"])
        self.log_addition(request, endpoint, [{"added": {}}])
        return self._issued(request, endpoint, text)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.enabled:
            obj.disabled_why = ""
        super().save_model(request, obj, form, change)

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A new secret; the old one goes on signing beside it for a day."""
        endpoint = self.get_queryset(request).filter(pk=pk).first()
        if endpoint is None:
            raise Http404
        access.require(request.user, Act.SET_UP, endpoint.merchant_id)
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            text = endpoint.rotate()
            self.log_change(request, endpoint, [{"changed": {"fields": ["secret"]}}])
            return self._issued(request, endpoint, text)
        context = {
            "title": _("New secret"),
            "subtitle": endpoint.url,
            "effect": gettext("A new secret signs from now on. The one before it signs too for 24 hours."),
            "form": form,
            "button": _("Make a new secret"),
            "back": reverse("admin:events_endpoint_change", args=(endpoint.pk,)),
        }
        return self.page(request, "admin/desk/confirm.html", context)

    def _issued(self, request: HttpRequest, endpoint: Endpoint, text: str) -> HttpResponse:
        facts = ((_("Address"), endpoint.url), (_("Merchant"), endpoint.merchant.name))
        return self.once(request, _("The endpoint's secret"), text, facts)


class DeliveryAdmin(TenantAdmin):
    heading = _("Deliveries")
    see = Act.SEE_INBOX
    nothing_here = _("Nothing was sent yet. Deliveries follow the first event that an endpoint wants.")
    list_display = ("told", "endpoint", "state_", "order", "answered", "tries", "sent")
    list_filter = (MerchantFilter, ModeFilter, "state")
    list_select_related = ("event__order", "endpoint", "merchant")
    sortable_by = ()
    fields = ("told", "endpoint", "state_", "order", "answered", "answer", "tries", "sent", "due", "sent_body")
    readonly_fields = fields
    change_form_template = "admin/desk/delivery.html"

    @admin.display(description=_("Event"))
    def told(self, row: Delivery) -> str:
        return row.event.type

    @admin.display(description=_("State"))
    def state_(self, row: Delivery) -> SafeString:
        return show.pill(row.state)

    @admin.display(description=_("Order"))
    def order(self, row: Delivery) -> SafeString:
        url = reverse("admin:orders_order_change", args=(row.event.order_id,))
        return format_html('<a href="{}">{}</a>', url, row.event.order.reference)

    @admin.display(description=_("Answer"), empty_value="–")
    def answered(self, row: Delivery) -> str | None:
        if row.answer_status is None:
            return row.answer[:60] or None
        return f"{row.answer_status}, {row.latency_ms or 0} ms"

    @admin.display(description=_("Sent"))
    def sent(self, row: Delivery) -> SafeString:
        return show.age(row.sent_at, row.merchant.zone)

    @admin.display(description=_("Next try"))
    def due(self, row: Delivery) -> SafeString:
        return show.age(row.due_at, row.merchant.zone)

    @admin.display(description=_("What was sent"))
    def sent_body(self, row: Delivery) -> SafeString:
        return format_html('<pre class="raw" tabindex="0">{}</pre>', row.body or "–")

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.again_view)
        return [path("<int:pk>/again/", again, name="events_delivery_again"), *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        may_replay = row is not None and access.may(request.user, Act.REPLAY, row.merchant_id)
        return super().changeform_view(
            request, object_id, form_url, {"may_replay": may_replay, **(extra_context or {})}
        )

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send the same event once more, with the same id, so that the other side can tell."""
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        access.require(request.user, Act.REPLAY, row.merchant_id)
        back = reverse("admin:events_delivery_change", args=(row.pk,))
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            rows: QuerySet[Delivery] = Delivery.objects.filter(pk=row.pk)
            rows.update(state=DeliveryState.WAITING, due_at=timezone.now())
            self.log_change(request, row, "Sent again")
            messages.success(request, gettext("It is sent again within seconds."))
            return HttpResponseRedirect(back)
        context = {
            "title": _("Send again"),
            "subtitle": row.event.type,
            "effect": gettext("The same event goes to the same address again, with the same id."),
            "facts": ((_("Address"), row.endpoint.url), (_("State"), show.pill(row.state))),
            "form": form,
            "button": _("Send again"),
            "back": back,
        }
        return self.page(request, "admin/desk/confirm.html", context)
