"""Provider accounts: a form made from the provider's own list of credentials.

Secrets go in and never come out: not into the page, not into a message, not into the history of changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, show
from checkout.desk.access import Act
from checkout.desk.fields import KEEP, MISSING, CurrenciesField, HostsField, SecretArea, SecretInput
from checkout.desk.team import OwnerForm
from checkout.desk.tenant import MerchantFilter, ModeFilter, StockModelForm, TenantAdmin
from checkout.merchants.models import Merchant, ProviderAccount
from checkout.orders import gateway, links
from checkout.sealing import SealBroken
from checkout.tenancy import Mode
from checkout.webhooks.models import RefusedDeliveries
from providers.contract import Capability, ProviderError, is_secret

CAPABILITIES = {
    Capability.CAPTURE: _("Capture held money"),
    Capability.PARTIAL_CAPTURE: _("Capture a part"),
    Capability.MULTIPLE_CAPTURE: _("Capture in several parts"),
    Capability.CANCEL: _("Release a hold"),
    Capability.REFUND: _("Refund"),
    Capability.PARTIAL_REFUND: _("Refund a part"),
    Capability.FETCH_REFUND: _("Tell what became of a refund"),
    Capability.SUBMIT_CODE: _("Code by SMS"),
    Capability.UPLOAD_TRACKING: _("Tracking numbers"),
    Capability.SAVE_CARD: _("Save a card"),
    Capability.PAY_WITH_TOKEN: _("Pay with a saved card"),
    Capability.MERCHANT_INITIATED: _("Charge a saved card while the shopper is away"),
    Capability.REMOVE_CARD: _("Forget a saved card"),
    Capability.THREE_DS_WISH: _("3-D Secure as wished"),
    Capability.CLOSE_UNPAID: _("Close what nobody paid"),
    Capability.SUBSCRIBE: _("Set its webhook address by itself"),
}


class NewAccountForm(OwnerForm):
    """The first step: everything that cannot be changed afterwards."""

    provider = forms.ChoiceField(label=_("Provider"), widget=forms.RadioSelect)
    field_order = ("merchant", "provider", "mode")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        providers: Any = self.fields["provider"]
        providers.choices = [(slug, provider.name) for slug, provider in gateway.catalogue().items()]


class AccountForm(StockModelForm):
    """The second step, and every later change. ``form_for`` adds the provider's credentials."""

    provider: str
    merchant: Merchant
    mode: str
    credential_fields: tuple[dataclasses.Field[Any], ...] = ()

    base_url = forms.URLField(
        label=_("Base URL"),
        assume_scheme="https",
        help_text=_("Where the provider's API is. A test account may use the simulator's."),
    )
    methods = forms.MultipleChoiceField(
        label=_("Methods"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What shoppers may choose. None ticked: everything the provider has."),
    )
    currencies = CurrenciesField(label=_("Currencies"), help_text=_("ISO 4217 codes, like EUR, JPY. Empty: all."))
    redirect_hosts = HostsField(
        wildcards=True,
        label=_("Further redirect hosts"),
        help_text=_("Where else shoppers may be sent to, one host a line, like *.bank.example."),
    )

    class Meta:
        model = ProviderAccount
        fields = (
            "name",
            "enabled",
            "priority",
            "base_url",
            "methods",
            "currencies",
            "minimum_minor",
            "maximum_minor",
            "redirect_hosts",
        )
        labels = {
            "enabled": _("Enabled: shoppers can pay through it"),
            "minimum_minor": _("Smallest amount"),
            "maximum_minor": _("Largest amount"),
        }
        help_texts = {
            "priority": _("Of several accounts with the same method, the highest is offered."),
            "minimum_minor": _("In minor units: 1250 is 12.50 EUR, or 1,250 JPY. Empty: no limit."),
            "maximum_minor": _("In minor units. Empty: no limit."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.provider, self.instance.mode = self.provider, self.mode
            self.instance.merchant = self.merchant
        self.stored = _opened(self.instance)
        choice: Any = self.fields["methods"]
        choice.choices = [
            (method.code, show.words(show.METHODS, method.code))
            for method in gateway.provider_class(self.provider).methods
        ]
        for config_field in self.credential_fields:
            self._prepare(config_field)

    def _prepare(self, config_field: dataclasses.Field[Any]) -> None:
        name, field = config_field.name, self.fields[credential(config_field)]
        is_set = bool(self.stored.get(name))
        if is_secret(config_field):
            field.help_text = KEEP if is_set else MISSING
            field.required = _is_required(config_field) and not is_set
            if is_set and not _is_required(config_field):
                self.fields[f"clear_{name}"] = forms.BooleanField(
                    label=gettext("Remove: %(label)s") % {"label": field.label}, required=False
                )
        elif name in self.stored:
            field.initial = self.stored[name]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.mode == Mode.LIVE and cleaned.get("base_url"):
            try:
                gateway.refuse_simulator(cleaned["base_url"])
            except gateway.AccountUnusable as error:
                self.add_error("base_url", f"{str(error).capitalize()}.")
        low, high = cleaned.get("minimum_minor"), cleaned.get("maximum_minor")
        if low is not None and high is not None and low > high:
            self.add_error("maximum_minor", gettext("The largest amount is smaller than the smallest."))
        if not self.errors:
            try:
                gateway.check_credentials(self.provider, self.credentials())
            except gateway.AccountUnusable:
                self.add_error(None, gettext("These credentials are not what the provider's side expects."))
        return cleaned

    def credentials(self) -> dict[str, Any]:
        """What was stored, with what was typed now."""
        values = dict(self.stored)
        for config_field in self.credential_fields:
            typed = self.cleaned_data.get(credential(config_field))
            if self.cleaned_data.get(f"clear_{config_field.name}"):
                values.pop(config_field.name, None)
            elif typed not in {None, ""} or not is_secret(config_field):
                values[config_field.name] = typed
        return values

    def save(self, commit: bool = True) -> Any:
        self.instance.set_credentials(self.credentials())
        return super().save(commit)


def form_for(provider: str, merchant: Merchant, mode: str) -> type[AccountForm]:
    """The form for one provider's accounts."""
    config_fields = gateway.credential_fields(provider)
    declared = {credential(config_field): _field(config_field) for config_field in config_fields}
    facts = {"provider": provider, "merchant": merchant, "mode": mode, "credential_fields": config_fields}
    return type("AccountForm", (AccountForm,), {**declared, **facts, "__module__": __name__})


def credential(config_field: dataclasses.Field[Any]) -> str:
    """The form's name for a credential."""
    return f"credential_{config_field.name}"


def _field(config_field: dataclasses.Field[Any]) -> forms.Field:
    name = config_field.name
    label = config_field.metadata.get("label") or name.replace("_", " ").capitalize()
    help_text = config_field.metadata.get("help", "")
    default = None if config_field.default is dataclasses.MISSING else config_field.default
    if config_field.type in {bool, "bool"}:
        return forms.BooleanField(label=label, help_text=help_text, required=False, initial=default)
    # Keys come as files of several lines, and a one-line field would glue them together.
    is_key = name.endswith(("private_key", "public_key", "certificate"))
    if is_secret(config_field):
        widget: forms.Widget = SecretArea() if is_key else SecretInput()
        return forms.CharField(label=label, widget=widget, required=False, strip=True)
    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}) if is_key else forms.TextInput()
    required = _is_required(config_field)
    return forms.CharField(label=label, help_text=help_text, widget=widget, required=required, initial=default)


def _is_required(config_field: dataclasses.Field[Any]) -> bool:
    """It has no default, or the default of a secret, which is to be missing."""
    has_none = config_field.default is dataclasses.MISSING and config_field.default_factory is dataclasses.MISSING
    return has_none or bool(config_field.metadata.get("required"))


def _opened(account: ProviderAccount) -> dict[str, Any]:
    """The stored credentials; none when their seal does not open, so that they are asked for anew."""
    try:
        return dict(account.credentials)
    except SealBroken:
        return {}


class ProviderAccountAdmin(TenantAdmin):
    heading = _("Provider accounts")
    see = to_add = to_change = Act.SET_UP
    nothing_here = _("No provider account yet. Add one, and orders in its currencies can be paid through it.")
    list_display = ("name", "provider", "mode_", "state", "priority", "refused")
    list_filter = (MerchantFilter, ModeFilter)
    search_fields = ("name", "provider")
    change_form_template = "admin/desk/account.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        week = timezone.now().date() - timedelta(days=7)
        recent = RefusedDeliveries.objects.filter(account=OuterRef("pk"), day__gte=week).order_by().values("account")
        number = Subquery(recent.annotate(number=Sum("count")).values("number"))
        rows: QuerySet[Any] = super().get_queryset(request).select_related("merchant").annotate(recently_refused=number)
        return rows

    @admin.display(description=_("Mode"), ordering="mode")
    def mode_(self, account: ProviderAccount) -> SafeString | str:
        return show.flag("test") if account.is_test else gettext("Live")

    @admin.display(description=_("State"), ordering="enabled")
    def state(self, account: ProviderAccount) -> SafeString:
        return show.pill("enabled" if account.enabled else "disabled")

    @admin.display(description=_("Webhooks refused in 7 days"))
    def refused(self, account: Any) -> int:
        return account.recently_refused or 0

    # ------------------------------------------------------------------------------------------------ webhook address

    def get_urls(self) -> list[URLPattern]:
        subscribe = self.admin_site.admin_view(self.subscribe_view)
        return [path("<int:pk>/subscribe/", subscribe, name="merchants_provideraccount_subscribe"), *super().get_urls()]

    def subscribe_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Have the provider send its webhooks here from now on."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        account = self.get_queryset(request).filter(pk=pk).first()
        if account is None:
            raise Http404
        access.require(request.user, Act.SET_UP, account.merchant_id)
        try:
            subscription = gateway.subscribe(account)
        except (ProviderError, gateway.AccountUnusable) as error:
            code = getattr(error, "code", "") or gettext("settings")
            text = gettext("%(provider)s did not take the address: %(code)s.")
            self.message_user(request, text % {"provider": account.name, "code": code}, "ERROR")
        else:
            self.log_change(request, account, [{"changed": {"fields": ["webhook address at the provider"]}}])
            text = gettext("%(provider)s sends its webhooks here now: %(status)s.")
            said = subscription.status or gettext("accepted")
            self.message_user(request, text % {"provider": account.name, "status": said}, "SUCCESS")
        return HttpResponseRedirect("../change/")

    # ---------------------------------------------------------------------------------------------------------- form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """First the choice that is for ever, then the form that depends on it."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        if self._chosen(request) is None:
            form = NewAccountForm(
                request.GET if "provider" in request.GET else None, merchants=access.merchants(request.user, Act.SET_UP)
            )
            return self.page(
                request,
                "admin/desk/new.html",
                {
                    "title": _("Add a provider account"),
                    "note": _("These three cannot be changed afterwards."),
                    "form": form,
                    "is_question": True,
                },
            )
        return super().add_view(request, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> type[AccountForm]:
        if obj is not None:
            return form_for(obj.provider, obj.merchant, obj.mode)
        chosen = self._chosen(request)
        if chosen is None:
            raise gateway.AccountUnusable("no provider was chosen")
        return form_for(chosen["provider"], chosen["merchant"], chosen["mode"])

    def _chosen(self, request: HttpRequest) -> dict[str, Any] | None:
        """Merchant, provider and mode from the page's address, if they are a choice this member has."""
        form = NewAccountForm(request.GET, merchants=access.merchants(request.user, Act.SET_UP))
        return form.cleaned_data if form.is_valid() else None

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        form = self.get_form(request, obj)
        return (
            (None, {"fields": ("name", "enabled", "priority")}),
            (_("Credentials"), {"fields": ("base_url", *_credential_names(form, obj))}),
            (_("What shoppers are offered"), {"fields": ("methods", "currencies", "minimum_minor", "maximum_minor")}),
            (_("Redirects"), {"fields": ("redirect_hosts",)}),
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        account = self.get_object(request, object_id) if object_id else None
        if account is not None and account.provider not in gateway.catalogue():
            text = gettext("The provider “%(slug)s” is not installed, so this account cannot be changed.")
            self.message_user(request, text % {"slug": account.provider}, "ERROR")
            return HttpResponseRedirect("../../")
        chosen = None if account else self._chosen(request)
        facts = _panel(account) if account else _choice(chosen) if chosen else {}
        return super().changeform_view(request, object_id, form_url, {**facts, **(extra_context or {})})


def _credential_names(form: type[AccountForm], account: ProviderAccount | None) -> Iterable[str]:
    stored = _opened(account) if account else {}
    for config_field in form.credential_fields:
        yield credential(config_field)
        if is_secret(config_field) and not _is_required(config_field) and stored.get(config_field.name):
            yield f"clear_{config_field.name}"


def _panel(account: ProviderAccount) -> dict[str, Any]:
    """What stands beside the form."""
    month = timezone.now().date() - timedelta(days=30)
    return {
        "account": account,
        "webhook_url": links.webhook_url(account),
        "capabilities": _capabilities(account.provider),
        "subscribes": Capability.SUBSCRIBE in gateway.provider_class(account.provider).capabilities,
        "refused": account.refused_deliveries.filter(day__gte=month)
        .values("reason")
        .annotate(number=Sum("count"))
        .order_by("reason"),
        "seal_is_broken": bool(account.sealed_credentials) and not _opened(account),
        "subtitle": None,
        "title": format_html("{}", account.name),
        "provider_name": gateway.provider_class(account.provider).name,
    }


def _choice(chosen: dict[str, Any]) -> dict[str, Any]:
    provider = gateway.provider_class(chosen["provider"])
    title = gettext("Add an account at %(provider)s") % {"provider": provider.name}
    return {
        "title": title,
        "capabilities": _capabilities(provider.slug),
        "chosen": chosen,
        "provider_name": provider.name,
    }


def _capabilities(slug: str) -> list[tuple[Any, bool]]:
    able = gateway.provider_class(slug).capabilities
    return [(word, capability in able) for capability, word in CAPABILITIES.items()]
