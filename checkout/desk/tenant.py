"""What every screen of the desk stands on: rows of one's own merchants, and nothing that was not declared.

A ``ModelAdmin`` of the desk is either a ``TenantAdmin``, which says where its rows keep their merchant and which act
each kind of access needs, or ``SuperuserOnly``. The site makes whatever is neither of them ``SuperuserOnly``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from checkout.desk import access
from checkout.desk.access import Act
from checkout.merchants.models import Merchant

if TYPE_CHECKING:
    StockAdmin = admin.ModelAdmin[Any]
    StockPaginator = Paginator[Any]
    StockModelForm = forms.ModelForm[Any]
else:
    StockAdmin, StockPaginator, StockModelForm = admin.ModelAdmin, Paginator, forms.ModelForm


class BoundedPaginator(StockPaginator):
    """Counts no further than ``LIMIT``: a list of a million rows is narrowed by its filters, not leafed through."""

    LIMIT = 1000

    @cached_property
    def found(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.LIMIT + 1].count())

    @property
    def count(self) -> int:
        return min(self.found, self.LIMIT)

    @property
    def is_cut(self) -> bool:
        """There are more rows than are counted."""
        return self.found > self.LIMIT


class TenantAdmin(StockAdmin):
    """Rows of the merchants that a member works for, as far as the member's role goes."""

    merchant_path = "merchant"
    """Where a row keeps its merchant, as a query spells it."""
    see: Act
    """What it takes to see a row. The other three are what it takes to add, change and delete; None: nobody may."""
    to_add: Act | None = None
    to_change: Act | None = None
    to_delete: Act | None = None

    heading: Any
    """What the screen is called, in the navigation too."""
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    list_per_page = 50
    actions = None
    nothing_here = _("Nothing here yet.")
    """What an empty list says: how its first row comes about."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.scoped(request, super().get_queryset(request))

    def scoped(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return access.own(request.user, self.see, rows, self.merchant_path)

    def merchant_of(self, row: Any) -> int:
        for name in self.merchant_path.split("__"):
            row = getattr(row, name)
        return int(row.pk if isinstance(row, Model) else row)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access.may(request.user, self.see)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.see, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.to_add, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.to_change, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.to_delete, obj)

    def _may(self, request: HttpRequest, act: Act | None, row: Any) -> bool:
        if act is None:
            return False
        return access.may(request.user, act, None if row is None else self.merchant_of(row))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter on the page asks for: a free lookup would be an oracle for columns that are not shown."""
        filters = self.get_list_filter(request) if request else self.list_filter
        names = {str(getattr(entry, "parameter_name", entry)) for entry in filters}
        return lookup.removesuffix("__exact") in names

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        if not request.user.is_superuser:
            act = self.to_add or self.see
            kwargs["queryset"] = own_rows(db_field.remote_field.model, access.merchant_ids(request.user, act))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.heading, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"heading": self.heading, "show_save_and_add_another": False, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What Django answers for a row that is not there, or not theirs: the front page, saying so."""
        go_home: Any = self._get_obj_does_not_exist_redirect  # type: ignore[attr-defined]
        answer: HttpResponse = go_home(request, self.opts, object_id)
        return answer

    def page(self, request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        """One of the desk's own pages, inside the frame of the site."""
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "heading": self.heading,
            "media": self.media,
        }
        return TemplateResponse(request, template, {**frame, **context}, status=status)

    def once(self, request: HttpRequest, title: Any, secret: str, facts: Iterable[tuple[Any, Any]]) -> HttpResponse:
        """Show a secret in this one answer: no redirect, no session, no message, no cache."""
        response = self.page(request, "admin/desk/once.html", {"title": title, "secret": secret, "facts": facts})
        response["Cache-Control"] = "no-store"
        return response


def own_rows(model: type[Model], merchants: frozenset[int]) -> QuerySet[Any]:
    """The choices a member has: rows that belong to their merchants, and of anything else none."""
    rows = model._default_manager.all()
    if model is Merchant:
        return rows.filter(pk__in=merchants)
    if any(field.name == "merchant" for field in model._meta.get_fields()):
        return rows.filter(merchant__in=merchants)
    return rows.none()


class SuperuserOnly(StockAdmin):
    """For those who run the installation."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_staff and request.user.is_superuser)


class MerchantFilter(admin.SimpleListFilter):
    """The merchants one may see; not there for whoever works for one only."""

    title = _("merchant")
    parameter_name = "merchant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.path = model_admin.merchant_path
        return [(merchant.slug, merchant.name) for merchant in access.merchants(request.user, model_admin.see)]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(**{f"{self.path}__in": Merchant.objects.filter(slug=self.value())})


class ModeFilter(admin.SimpleListFilter):
    title = _("mode")
    parameter_name = "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("Live")), ("test", _("Test"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(mode=self.value()) if self.value() else queryset
