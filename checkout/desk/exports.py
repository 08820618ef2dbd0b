"""Tables to take away: orders, payments, refunds and the ledger of one merchant in one mode, row after row.

Rows stream, so that a table may be of any length; what follows the last one are its totals, which equal those of the
screen. Moments stand there in UTC and in the merchant's zone, amounts as decimals and in minor units.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from checkout.desk.sheets import Cell
from checkout.merchants.models import Merchant
from checkout.orders.models import EntryKind, LedgerEntry, Order, OrderStatus, Payment, Refund
from providers.contract import OperationStatus, Status
from providers.money import exponent

CHUNK = 1000
Cells = dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """One kind of row that can be taken away."""

    name: str
    title: Any
    rows: Callable[[], QuerySet[Any]]
    state: str
    """The column that the filter for states reads."""
    states: Sequence[str]
    amounts: Mapping[str, Any]
    """Columns of money, by what they are in the database."""
    group: tuple[str, ...]
    """What totals are made for: sums over other things mean nothing."""
    facts: Callable[[Any], Cells]
    moments: tuple[str, ...] = ("created_at",)
    metadata: Callable[[Any], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Wish:
    """Which rows somebody wants: whose, and between which days, both included, in the merchant's zone."""

    table: Table
    merchant: Merchant
    mode: str
    since: date | None = None
    until: date | None = None
    state: str = ""

    def rows(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.table.rows().filter(merchant=self.merchant, mode=self.mode)
        zone = ZoneInfo(self.merchant.zone)
        if self.since:
            rows = rows.filter(created_at__gte=datetime.combine(self.since, time.min, zone))
        if self.until:
            rows = rows.filter(created_at__lt=datetime.combine(self.until + timedelta(days=1), time.min, zone))
        if self.state:
            rows = rows.filter(**{self.table.state: self.state})
        summed: QuerySet[Any] = rows.annotate(**{f"sum_{name}": amount for name, amount in self.table.amounts.items()})
        return summed


def totals(wish: Wish) -> list[Cells]:
    """How many rows there are and what their money amounts to, for each currency (and kind), as the database says."""
    table = wish.table
    sums = {f"total_{name}": Sum(f"sum_{name}") for name in table.amounts}
    grouped = wish.rows().order_by().values(*table.group).annotate(rows=Count("pk"), **sums).order_by(*table.group)
    found = []
    for row in grouped:
        what = {name: row[name] for name in table.group}
        found.append({**what, "rows": row["rows"], **_amounts(row, "total_", table, row["currency"])})
    return found


def lines(wish: Wish) -> Iterator[list[Cell]]:
    """The header, each row, oldest first, and the totals of these very rows."""
    zone = wish.merchant.zone
    sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    columns = _columns(wish)
    yield list(columns)
    for row in _stream(wish.rows()):
        cells = _cells(row, wish.table, zone)
        key = tuple(cells[name] for name in wish.table.group)
        sums[key]["rows"] += 1
        for name in wish.table.amounts:
            sums[key][f"sum_{name}"] += getattr(row, f"sum_{name}")
        yield [cells.get(column) for column in columns]
    for key in sorted(sums):
        found = dict(zip(wish.table.group, key, strict=True))
        total: Cells = {"row": "total", **found, **_amounts(sums[key], "sum_", wish.table, str(found["currency"]))}
        yield [total.get(column) for column in columns]


def _columns(wish: Wish) -> list[str]:
    table = wish.table
    money = [column for name in table.amounts for column in (name, f"{name}_minor")]
    moments = [f"{name.removesuffix('_at')}_{zone}" for name in table.moments for zone in ("utc", wish.merchant.zone)]
    facts = list(table.facts(None))
    return ["row", *facts, *money, *moments, *(["metadata"] if table.metadata else [])]


def _cells(row: Any, table: Table, zone: str) -> Cells:
    cells: Cells = {"row": table.name, **table.facts(row)}
    money = {f"sum_{name}": getattr(row, f"sum_{name}") for name in table.amounts}
    cells |= _amounts(money, "sum_", table, str(cells["currency"]))
    for name in table.moments:
        moment: datetime | None = getattr(row, name)
        if moment:
            short = name.removesuffix("_at")
            cells[f"{short}_utc"] = moment.astimezone(UTC).isoformat(timespec="seconds")
            cells[f"{short}_{zone}"] = moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    if table.metadata:
        cells["metadata"] = json.dumps(table.metadata(row), ensure_ascii=False, sort_keys=True)
    return cells


def _amounts(found: Mapping[str, Any], prefix: str, table: Table, currency: str) -> Cells:
    cells: Cells = {}
    for name in table.amounts:
        minor = int(found[f"{prefix}{name}"])
        cells[name] = Decimal(minor).scaleb(-exponent(currency))
        cells[f"{name}_minor"] = minor
    return cells


def _stream(rows: QuerySet[Any]) -> Iterator[Any]:
    """All rows in short queries, each beginning where the one before ended: no query lasts long, no row comes twice."""
    rows, last = rows.order_by("pk"), 0
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        yield from chunk
        last = chunk[-1].pk


def _money(expression: Any) -> Any:
    return ExpressionWrapper(expression, output_field=BigIntegerField())


def _of_order(order: Order | None) -> Cells:
    if order is None:
        return dict.fromkeys(
            ("id", "reference", "description", "status", "flags", "customer", "email", "name", "currency"), ""
        )
    return {
        "id": str(order.public_id),
        "reference": order.reference,
        "description": order.description,
        "status": order.status,
        "flags": " ".join(order.flags),
        "customer": str(order.customer.get("reference") or ""),
        "email": str(order.customer.get("email") or ""),
        "name": str(order.customer.get("name") or ""),
        "currency": order.currency,
    }


def _of_payment(payment: Payment | None) -> Cells:
    names = (
        *("id", "reference", "order_id", "order", "number", "provider", "account", "provider_reference", "method"),
        *("status", "decline_category", "decline_code", "card_brand", "card_last4", "currency"),
    )
    if payment is None:
        return dict.fromkeys(names, "")
    values: tuple[Cell, ...] = (
        str(payment.public_id),
        payment.reference,
        str(payment.order.public_id),
        payment.order.reference,
        payment.number,
        payment.account.provider,
        payment.account.name,
        payment.provider_reference,
        payment.method,
        payment.status,
        payment.decline_category,
        payment.decline_code,
        payment.card_brand,
        payment.card_last4,
        payment.currency,
    )
    return dict(zip(names, values, strict=True))


def _of_refund(refund: Refund | None) -> Cells:
    names = (
        *("id", "reference", "order_id", "order", "payment", "provider", "provider_reference", "status", "source"),
        *("reason", "requested_by", "error_code", "currency"),
    )
    if refund is None:
        return dict.fromkeys(names, "")
    values: tuple[Cell, ...] = (
        str(refund.public_id),
        refund.reference,
        str(refund.payment.order.public_id),
        refund.payment.order.reference,
        refund.payment.reference,
        refund.payment.account.provider,
        refund.provider_reference,
        refund.status,
        refund.source,
        refund.reason,
        refund.requested_by,
        refund.error_code,
        refund.payment.currency,
    )
    return dict(zip(names, values, strict=True))


def _of_entry(entry: LedgerEntry | None) -> Cells:
    names = ("entry", "kind", "order_id", "order", "payment", "provider", "provider_reference", "cause", "currency")
    if entry is None:
        return dict.fromkeys(names, "")
    values: tuple[Cell, ...] = (
        entry.pk,
        entry.kind,
        str(entry.payment.order.public_id),
        entry.payment.order.reference,
        entry.payment.reference,
        entry.payment.account.provider,
        entry.payment.provider_reference,
        entry.cause,
        entry.currency,
    )
    return dict(zip(names, values, strict=True))


TABLES = {
    table.name: table
    for table in (
        Table(
            name="order",
            title=_("Orders"),
            rows=Order.objects.all,
            state="status",
            states=OrderStatus.values,
            amounts={
                "amount": _money(F("amount")),
                "authorised": _money(F("authorised_total")),
                "captured": _money(F("captured_total")),
                "refunded": _money(F("refunded_total")),
                "net": _money(F("captured_total") - F("refunded_total")),
            },
            group=("currency",),
            facts=_of_order,
            metadata=lambda order: order.metadata,
        ),
        Table(
            name="payment",
            title=_("Payments"),
            rows=lambda: Payment.objects.select_related("order", "account"),
            state="status",
            states=[str(status) for status in Status],
            amounts={
                "amount": _money(F("amount")),
                "authorised": _money(F("authorised_total")),
                "released": _money(F("released_total")),
                "captured": _money(F("captured_total")),
                "refunded": _money(F("refunded_total") - F("reversed_total")),
                "net": _money(F("captured_total") - F("refunded_total") + F("reversed_total")),
            },
            group=("currency",),
            facts=_of_payment,
            moments=("created_at", "settled_at"),
            metadata=lambda payment: payment.order.metadata,
        ),
        Table(
            name="refund",
            title=_("Refunds"),
            rows=lambda: Refund.objects.select_related("payment__order", "payment__account").annotate(
                currency=F("payment__currency")
            ),
            state="status",
            states=[str(status) for status in OperationStatus],
            amounts={"amount": _money(F("amount"))},
            group=("currency", "status"),
            facts=_of_refund,
            metadata=lambda refund: refund.payment.order.metadata,
        ),
        Table(
            name="ledger",
            title=_("Ledger"),
            rows=lambda: LedgerEntry.objects.select_related("payment__order", "payment__account"),
            state="kind",
            states=EntryKind.values,
            amounts={"amount": _money(F("amount"))},
            group=("currency", "kind"),
            facts=_of_entry,
        ),
    )
}
