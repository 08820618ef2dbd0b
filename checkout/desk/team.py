"""Merchants, the people who work for them, and the keys of their systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, show
from checkout.desk.access import Act
from checkout.desk.actions import ConfirmForm
from checkout.desk.fields import HostsField
from checkout.desk.tenant import MerchantFilter, ModeFilter, StockModelForm, SuperuserOnly, TenantAdmin
from checkout.merchants.models import ApiKey, Member, Merchant, Role, Scope
from checkout.tenancy import Mode

if TYPE_CHECKING:
    StockUserAdmin = UserAdmin[Any]
else:
    StockUserAdmin = UserAdmin

ROLES = {
    Role.OWNER: _("Owner: everything, and who else works here"),
    Role.FINANCE: _("Finance: refunds, captures, reviews"),
    Role.SUPPORT: _("Support: looks things up, refunds"),
    Role.SHIPPING: _("Shipping: orders, without what was refunded"),
    Role.DEVELOPER: _("Developer: provider accounts, keys, webhooks"),
    Role.VIEWER: _("Viewer: looks, and does nothing"),
}

SCOPES = {
    Scope.READ: _("Read orders and payments"),
    Scope.ORDERS: _("Make and cancel orders, capture"),
    Scope.REFUNDS: _("Refund"),
}


class MerchantForm(StockModelForm):
    zone = forms.ChoiceField(
        label=_("Time zone"), choices=lambda: [(zone, zone) for zone in sorted(available_timezones())]
    )
    accent_colour = forms.CharField(
        label=_("Accent colour"),
        required=False,
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", _("Write a colour like #2f4bc7."))],
        help_text=_("Like #2f4bc7. It is corrected where text would be hard to read. Empty: ours."),
    )
    return_hosts = HostsField(
        wildcards=False,
        label=_("Return hosts"),
        help_text=_("Where shoppers may be sent back to, one host a line. Empty: anywhere."),
    )

    class Meta:
        model = Merchant
        fields = (
            "name",
            "slug",
            "support_email",
            "accent_colour",
            "locale",
            "zone",
            "return_hosts",
            "late_money",
            "duplicate_money",
            "try_limit",
        )
        labels = {
            "slug": _("Short name"),
            "support_email": _("E-mail for shoppers"),
            "locale": _("Language"),
            "late_money": _("Money after the end"),
            "duplicate_money": _("Paid twice"),
            "try_limit": _("Attempts"),
        }
        help_texts = {
            "support_email": _("Shown when a shopper needs help."),
            "locale": _("A tag like en or zh-Hans, used when neither order nor browser says."),
            "late_money": _("When a payment comes after its order expired or was cancelled."),
            "duplicate_money": _("When two payments of one order both bring money."),
            "try_limit": _("How often a shopper may try to pay one order."),
        }


class MerchantAdmin(TenantAdmin):
    heading = _("Merchants")
    merchant_path = "pk"
    see = to_change = Act.MANAGE
    form = MerchantForm
    nothing_here = _("No merchant yet. Add one; its orders, accounts and keys follow.")
    list_display = ("name", "slug", "locale", "zone")
    fieldsets = (
        (None, {"fields": ("name", "slug", "support_email")}),
        (_("What shoppers see"), {"fields": ("accent_colour", "locale", "zone", "return_hosts")}),
        (_("When something is unusual"), {"fields": ("late_money", "duplicate_money", "try_limit")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A new tenant is made by those who run the installation."""
        return bool(request.user.is_superuser)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return () if request.user.is_superuser else ("slug",)


class MemberForm(StockModelForm):
    """People are named, not picked from a list: the list would show who works for other merchants."""

    person = forms.CharField(
        label=_("User name"), max_length=150, help_text=_("Of somebody who can already log in to the desk.")
    )
    role = forms.ChoiceField(label=_("Role"), choices=list(ROLES.items()), widget=forms.RadioSelect)

    class Meta:
        model = Member
        fields = ("merchant", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            for name in ("person", "merchant"):
                if name in self.fields:
                    self.fields[name].disabled = True
            self.initial["person"] = self.instance.user.get_username()

    def clean_person(self) -> Any:
        name = self.cleaned_data["person"]
        user = get_user_model()._default_manager.filter(username=name, is_active=True, is_staff=True).first()
        if user is None:
            raise forms.ValidationError(gettext("Nobody with this user name can log in to the desk."))
        self.instance.user = user
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        user, merchant = getattr(self.instance, "user", None), cleaned.get("merchant")
        others = Member.objects.exclude(pk=self.instance.pk)
        if user and merchant and others.filter(user=user, merchant=merchant).exists():
            self.add_error("person", gettext("This person is a member already."))
        return cleaned


class MemberAdmin(TenantAdmin):
    heading = _("Members")
    see = to_add = to_change = to_delete = Act.MANAGE
    form = MemberForm
    fields = ("merchant", "person", "role")
    nothing_here = _("Nobody works here yet. Add people by their user name.")
    list_display = ("user", "merchant", "role_")
    list_filter = (MerchantFilter,)
    list_select_related = ("user", "merchant")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        choices = access.merchants(request.user, Act.MANAGE)[:2]
        return {"merchant": choices[0].pk} if len(choices) == 1 else {}

    @admin.display(description=_("Role"), ordering="role")
    def role_(self, member: Member) -> str:
        return show.words({str(role): words for role, words in ROLES.items()}, member.role)


class OwnerForm(forms.Form):
    """Whose a new row is, and whether it is about real money."""

    merchant = forms.ModelChoiceField(Merchant.objects.none(), label=_("Merchant"), empty_label=None)
    mode = forms.ChoiceField(
        label=_("Mode"),
        choices=((Mode.TEST, _("Test: no real money")), (Mode.LIVE, _("Live: real money"))),
        widget=forms.RadioSelect,
        initial=Mode.TEST,
    )

    def __init__(self, *args: Any, merchants: QuerySet[Merchant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["merchant"]
        choice.queryset = merchants
        if merchants.count() == 1:
            choice.initial = merchants.first()
            choice.widget = choice.hidden_widget()


class ApiKeyForm(OwnerForm):
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What uses it, like “shop” or “warehouse”."))
    scopes = forms.MultipleChoiceField(
        label=_("May"), choices=list(SCOPES.items()), widget=forms.CheckboxSelectMultiple, initial=list(Scope.values)
    )
    field_order = ("merchant", "name", "mode", "scopes")


class StaffAdmin(SuperuserOnly, StockUserAdmin):
    """Who can log in. What somebody may do is said by memberships, so groups and permissions are not shown."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("May log in"), {"fields": ("is_active", "is_staff", "is_superuser")}),
    )
    list_display = ("username", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active")
    filter_horizontal = ()


class ApiKeyAdmin(TenantAdmin):
    heading = _("API keys")
    see = to_add = Act.SET_UP
    nothing_here = _("No key yet. Add one, and your shop can make orders.")
    list_display = ("name", "prefix_", "mode_", "state", "used")
    list_filter = (MerchantFilter, ModeFilter)
    search_fields = ("name", "prefix")
    fields = ("name", "merchant", "mode_", "prefix_", "may", "state", "created", "used", "last_used_ip")
    readonly_fields = fields
    change_form_template = "admin/desk/apikey.html"

    @admin.display(description=_("Begins with"))
    def prefix_(self, key: ApiKey) -> SafeString:
        return show.code(f"{key.prefix}…")

    @admin.display(description=_("Mode"), ordering="mode")
    def mode_(self, key: ApiKey) -> SafeString | str:
        return show.flag("test") if key.is_test else gettext("Live")

    @admin.display(description=_("May"))
    def may(self, key: ApiKey) -> str:
        return ", ".join(
            show.words({str(scope): words for scope, words in SCOPES.items()}, scope) for scope in key.scopes
        )

    @admin.display(description=_("State"), ordering="revoked_at")
    def state(self, key: ApiKey) -> SafeString:
        return show.pill("revoked" if key.revoked_at else "active")

    @admin.display(description=_("Made"))
    def created(self, key: ApiKey) -> SafeString:
        return show.age(key.created_at)

    @admin.display(description=_("Last used"), ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString:
        return show.age(key.last_used_at)

    def get_urls(self) -> list[URLPattern]:
        revoke = path("<int:pk>/revoke/", self.admin_site.admin_view(self.revoke_view), name="merchants_apikey_revoke")
        return [revoke, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Issue a key. Its text is in this one answer and nowhere else: no redirect, no session, no message."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        merchants = access.merchants(request.user, Act.SET_UP)
        form = ApiKeyForm(request.POST if request.method == "POST" else None, merchants=merchants)
        if request.method != "POST" or not form.is_valid():
            note = _("The key is shown once, on the next page. We keep only its fingerprint.")
            return self.page(request, "admin/desk/new.html", {"title": _("Add an API key"), "note": note, "form": form})
        wish = form.cleaned_data
        key, text = ApiKey.issue(wish["merchant"], wish["mode"], name=wish["name"], scopes=wish["scopes"])
        self.log_addition(request, key, [{"added": {}}])
        facts = ((_("Name"), key.name), (_("Merchant"), key.merchant.name), (_("Mode"), key.get_mode_display()))
        return self.once(request, _("Your new API key"), text, facts)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        key = self.get_queryset(request).filter(pk=pk).first()
        if key is None:
            raise Http404
        access.require(request.user, Act.SET_UP, key.merchant_id)
        back = reverse("admin:merchants_apikey_change", args=(key.pk,))
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
                self.log_change(request, key, [{"changed": {"fields": ["revoked"]}}])
            messages.success(request, gettext("The key no longer works."))
            return HttpResponseRedirect(back)
        context = {
            "title": _("Revoke an API key"),
            "subtitle": key.name,
            "effect": gettext("Whatever still uses this key is refused from now on. A revoked key never comes back."),
            "facts": ((_("Begins with"), show.code(f"{key.prefix}…")), (_("Last used"), show.age(key.last_used_at))),
            "form": form,
            "button": _("Revoke"),
            "is_danger": True,
            "back": back,
        }
        return self.page(request, "admin/desk/confirm.html", context)
