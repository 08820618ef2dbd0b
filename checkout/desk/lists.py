"""The screen for lists of parcels: bring a file, read what it would do, say yes, see what it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, parcel_lists, sheets, show
from checkout.desk.access import Act
from checkout.desk.models import Outcome, ParcelList, ParcelRow, State, Verdict
from checkout.desk.story import who
from checkout.desk.team import OwnerForm
from checkout.desk.tenant import MerchantFilter, ModeFilter, TenantAdmin

SHOWN = 100
"""Rows on one page of a list."""

VERDICTS = {
    Verdict.NEW: (_("New"), "ok"),
    Verdict.SAME: (_("There already"), "quiet"),
    Verdict.UNKNOWN: (_("Unknown order"), "bad"),
    Verdict.WRONG: (_("Wrong"), "bad"),
}
OUTCOMES = {
    Outcome.ADDED: (_("Added"), "ok"),
    Outcome.SAME: (_("There already"), "quiet"),
    Outcome.REFUSED: (_("Refused"), "bad"),
}
TAKEN = frozenset({State.WORKING, State.DONE})


class UploadForm(OwnerForm):
    file = forms.FileField(label=_("File"), max_length=200, widget=forms.FileInput(attrs={"accept": ".csv,.txt,.xlsx"}))
    field_order = ("merchant", "mode", "file")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = gettext(
            "CSV or XLSX, at most %(size)s and %(rows)s rows. Nothing happens before you have seen what it would do."
        ) % {"size": filesizeformat(settings.DESK_MAX_BODY), "rows": f"{sheets.MAX_ROWS:,}"}


class ParcelListAdmin(TenantAdmin):
    heading = _("Parcel lists")
    see = to_add = Act.SHIP
    nothing_here = _("No list yet. Upload one to add many parcels at once; you see what it would do before it does it.")
    list_display = ("name_", "state_", "row_count", "brought", "created")
    list_display_links = None
    list_filter = (MerchantFilter, ModeFilter, "state")
    list_select_related = ("merchant",)
    sortable_by = ()

    @admin.display(description=_("File"))
    def name_(self, row: ParcelList) -> SafeString:
        marks = show.flag("test") if row.mode == "test" else SafeString("")
        url = reverse("admin:desk_parcellist_change", args=(row.pk,))
        return format_html('<a href="{}">{}</a>{}', url, row.name, marks)

    @admin.display(description=_("State"))
    def state_(self, row: ParcelList) -> SafeString:
        return show.pill(row.state)

    @admin.display(description=_("By"))
    def brought(self, row: ParcelList) -> str:
        return who(row.uploaded_by, show.people([row.uploaded_by]))

    @admin.display(description=_("Uploaded"))
    def created(self, row: ParcelList) -> SafeString:
        return show.age(row.created_at, row.merchant.zone)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("template.csv", wrap(self.template_view), {"kind": "csv"}, name="desk_parcellist_template"),
            path("template.xlsx", wrap(self.template_view), {"kind": "xlsx"}, name="desk_parcellist_workbook"),
            path("<int:pk>/confirm/", wrap(self.confirm_view), name="desk_parcellist_confirm"),
            path("<int:pk>/drop/", wrap(self.drop_view), name="desk_parcellist_drop"),
            path("<int:pk>/problems.csv", wrap(self.problems_view), name="desk_parcellist_problems"),
            *super().get_urls(),
        ]

    # --------------------------------------------------------------------------------------------------------- bring

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Take a file, and show what it would do."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        merchants = access.merchants(request.user, Act.SHIP)
        is_post = request.method == "POST"
        form = UploadForm(request.POST if is_post else None, request.FILES if is_post else None, merchants=merchants)
        if is_post and form.is_valid():
            wish = form.cleaned_data
            try:
                made = parcel_lists.read(
                    wish["merchant"],
                    wish["mode"],
                    wish["file"].file,
                    name=wish["file"].name,
                    actor=access.actor(request.user),
                )
            except sheets.Unreadable as error:
                form.add_error("file", str(error))
            else:
                self.log_addition(request, made, [{"added": {}}])
                return HttpResponseRedirect(reverse("admin:desk_parcellist_change", args=(made.pk,)))
        return self.page(request, "admin/desk/upload.html", {"title": _("Upload parcels"), "form": form})

    def template_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """An empty list with its columns and one example."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if kind == "xlsx":
            return FileResponse(sheets.workbook(parcel_lists.template()), as_attachment=True, filename="parcels.xlsx")
        return _csv(parcel_lists.template(), "parcels.csv")

    # ---------------------------------------------------------------------------------------------------------- read

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        made = self.get_object(request, unquote(object_id))
        if made is None:
            return self.missing(request, object_id)
        if not self.has_view_permission(request, made):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        chosen = request.GET.get("show", "")
        rows = _chosen(made, chosen)
        after = request.GET.get("after", "")
        if after.isdecimal():
            rows = rows.filter(line__gt=min(int(after), sheets.LAST_ROW))
        shown = list(rows.select_related("order").order_by("line")[: SHOWN + 1])
        names = show.people([made.uploaded_by, made.confirmed_by])
        context = {
            "title": made.name,
            "parcel_list": made,
            "zone": made.merchant.zone,
            "uploaded_by": who(made.uploaded_by, names),
            "confirmed_by": who(made.confirmed_by, names) if made.confirmed_by else "",
            "before": parcel_lists.uploaded_before(made),
            "tabs": _tabs(made, chosen),
            "new_count": made.rows.filter(verdict=Verdict.NEW).count(),
            "has_problems": parcel_lists.wrong(made).exists(),
            "rows": [{"row": row, "pill": _pill(row)} for row in shown[:SHOWN]],
            "next": shown[SHOWN - 1].line if len(shown) > SHOWN else None,
            "chosen": chosen,
            "may_confirm": made.state == State.CHECKED,
            "may_drop": made.state in {State.CHECKING, State.CHECKED, State.READING},
        }
        response = self.page(request, "admin/desk/parcel_list.html", {**context, **(extra_context or {})})
        if made.is_at_work:
            response["Refresh"] = "3"
        return response

    def problems_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The rows that were not taken, with why."""
        return _csv(parcel_lists.problems(self._list(request, pk)), f"problems-{pk}.csv")

    # -------------------------------------------------------------------------------------------------------- decide

    def confirm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        made = self._list(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if parcel_lists.confirm(made, actor=access.actor(request.user)):
            self.log_change(request, made, "Confirmed")
            messages.success(request, gettext("The parcels are being added. This page shows how far it is."))
        else:
            messages.warning(request, gettext("This list does not wait for a yes."))
        return HttpResponseRedirect(reverse("admin:desk_parcellist_change", args=(pk,)))

    def drop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        made = self._list(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if parcel_lists.drop(made):
            self.log_change(request, made, "Dropped")
            messages.success(request, gettext("The list is dropped; nothing was done."))
        else:
            messages.warning(request, gettext("It is too late for that: the parcels are being added."))
        return HttpResponseRedirect(reverse("admin:desk_parcellist_change", args=(pk,)))

    def _list(self, request: HttpRequest, pk: int) -> ParcelList:
        made: ParcelList | None = self.get_queryset(request).filter(pk=pk).first()
        if made is None:
            raise Http404
        access.require(request.user, Act.SHIP, made.merchant_id)
        return made


def _csv(rows: Iterable[Any], name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(sheets.csv_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _column(made: ParcelList) -> str:
    return "outcome" if made.state in TAKEN else "verdict"


def _chosen(made: ParcelList, chosen: str) -> QuerySet[ParcelRow]:
    if chosen == "problems":
        return parcel_lists.wrong(made)
    if chosen in set(Verdict) | set(Outcome):
        return made.rows.filter(**{_column(made): chosen})
    return made.rows.all()


def _tabs(made: ParcelList, chosen: str) -> list[dict[str, Any]]:
    """How many rows there are of each kind, as links to them."""
    column = _column(made)
    words: dict[Any, Any] = dict(OUTCOMES if column == "outcome" else VERDICTS)
    counted = made.rows.exclude(**{column: ""}).order_by().values_list(column).annotate(rows=Count("pk"))
    counts = dict(counted)
    tabs = [{"name": "", "word": _("All"), "count": made.row_count}]
    for kind, (word, _tone) in words.items():
        if kind in counts:
            tabs.append({"name": str(kind), "word": word, "count": counts[kind]})
    if column == "outcome":
        tabs.append({"name": "problems", "word": _("Problems"), "count": parcel_lists.wrong(made).count()})
    return [{**tab, "is_chosen": tab["name"] == chosen} for tab in tabs]


def _pill(row: ParcelRow) -> SafeString:
    """What a row did, or would do."""
    if row.outcome:
        word, tone = OUTCOMES[Outcome(row.outcome)]
    elif row.verdict:
        word, tone = VERDICTS[Verdict(row.verdict)]
    else:
        word, tone = _("Not checked yet"), "busy"
    return format_html('<span class="pill pill--{}">{}</span>', tone, word)
