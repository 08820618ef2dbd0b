"""The screen for exports: choose rows, read their totals, take the file. Each file taken is in the merchant's log."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk import access, sheets, show
from checkout.desk.access import Act
from checkout.desk.exports import TABLES, Table, Wish, lines, totals
from checkout.desk.tenant import TenantAdmin
from checkout.merchants.models import Merchant
from checkout.tenancy import Mode

WORKBOOK_ROWS = 20_000
"""A workbook is made whole before it is sent, so it has a bound; a CSV file has none."""


class ExportForm(forms.Form):
    table = forms.ChoiceField(label=_("Rows"), choices=[(name, table.title) for name, table in TABLES.items()])
    merchant = forms.ModelChoiceField(
        Merchant.objects.none(), label=_("Merchant"), to_field_name="slug", empty_label=None
    )
    mode = forms.ChoiceField(label=_("Mode"), choices=((Mode.LIVE, _("Live")), (Mode.TEST, _("Test"))))
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    state = forms.ChoiceField(label=_("State"), required=False)

    def __init__(self, *args: Any, merchants: QuerySet[Merchant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["merchant"]
        choice.queryset = merchants
        state: Any = self.fields["state"]
        state.choices = [("", _("All")), *((table.title, list(_choices(table))) for table in TABLES.values())]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        table, state = TABLES.get(cleaned.get("table", "")), cleaned.get("state")
        if table and state and state not in table.states:
            self.add_error("state", gettext("These rows have no such state. Choose one of their own."))
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", gettext("This day comes before the first one."))
        return cleaned

    def wish(self) -> Wish:
        facts = {name: self.cleaned_data[name] for name in ("merchant", "mode", "since", "until", "state")}
        return Wish(table=TABLES[self.cleaned_data["table"]], **facts)


class FileForm(ExportForm):
    """The same question, with the kind of file."""

    kind = forms.ChoiceField(choices=(("csv", "CSV"), ("xlsx", "XLSX")), widget=forms.HiddenInput)


def export_view(screen: TenantAdmin, request: HttpRequest) -> HttpResponseBase:
    """On GET what there is and its totals; on POST the file."""
    if not access.may(request.user, Act.EXPORT):
        raise PermissionDenied
    merchants = access.merchants(request.user, Act.EXPORT)
    if request.method == "POST":
        asked = FileForm(request.POST, merchants=merchants)
        if asked.is_valid():
            wish, kind = asked.wish(), asked.cleaned_data["kind"]
            if kind == "csv" or not wish.rows()[WORKBOOK_ROWS:].exists():
                _log(request, wish, kind)
                return _file(wish, kind)
            text = gettext("A workbook takes at most %(limit)s rows. Choose fewer days, or take the CSV file.")
            asked.add_error(None, text % {"limit": f"{WORKBOOK_ROWS:,}"})
        form: ExportForm = asked
    else:
        usual = {"mode": Mode.LIVE, "table": "order", "merchant": getattr(merchants.first(), "slug", "")}
        form = ExportForm({**usual, **request.GET.dict()}, merchants=merchants)
    context: dict[str, Any] = {"title": _("Export"), "form": form, "may_take": False}
    if form.is_valid() or request.method == "POST":
        context |= _shown(form)
    return screen.page(request, "admin/desk/export.html", context)


def _shown(form: ExportForm) -> dict[str, Any]:
    """What the screen says of a valid wish: its totals, and the file's name for each kind."""
    if form.errors:
        return {}
    wish = form.wish()
    found = totals(wish)
    return {
        "may_take": bool(found),
        "is_empty": not found,
        "heads": [*wish.table.group, "rows", *wish.table.amounts],
        "totals": [
            [
                *(str(total[name]).replace("_", " ") for name in wish.table.group),
                f"{total['rows']:,}",
                *(_money(total, name) for name in wish.table.amounts),
            ]
            for total in found
        ],
        "group_size": len(wish.table.group),
        "zone": wish.merchant.zone,
    }


def _money(total: dict[str, Any], name: str) -> str:
    minor, currency = int(total[f"{name}_minor"]), str(total["currency"])
    return ("−" if minor < 0 else "") + show.plain_money(abs(minor), currency)


def _choices(table: Table) -> Any:
    words = {state: word for state, (word, _tone) in show.STATES.items()}
    return ((state, show.words(words, state)) for state in table.states)


def _file(wish: Wish, kind: str) -> HttpResponseBase:
    today = timezone.now().astimezone(ZoneInfo(wish.merchant.zone)).date()
    name = f"{wish.merchant.slug}-{wish.mode}-{wish.table.name}-{today}.{kind}"
    if kind == "xlsx":
        return FileResponse(sheets.workbook(lines(wish)), as_attachment=True, filename=name)
    response = StreamingHttpResponse(sheets.csv_lines(lines(wish)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _log(request: HttpRequest, wish: Wish, kind: str) -> None:
    days = f"{wish.since or '…'} – {wish.until or '…'}"
    said = f"Exported {wish.table.name} rows ({wish.mode}, {days}, {wish.state or 'all states'}) as {kind.upper()}"
    LogEntry.objects.create(
        user_id=int(str(request.user.pk)),
        content_type=ContentType.objects.get_for_model(Merchant),
        object_id=str(wish.merchant.pk),
        object_repr=str(wish.merchant)[:200],
        action_flag=CHANGE,
        change_message=said,
    )
