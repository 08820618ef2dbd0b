"""Lists of parcels: read a file, say what each row would do, and after a yes do it, row by row, in the background.

A list belongs to one merchant and one mode, and knows no order of anybody else. A row adds a parcel or finds it there,
so the same file again changes nothing, and neither does a turn that was cut short and is taken again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from time import monotonic
from typing import IO, Any
from uuid import UUID

from django.db import transaction
from django.db.models import CharField, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from checkout.desk import sheets
from checkout.desk.models import Outcome, ParcelList, ParcelRow, State, Verdict
from checkout.desk.sheets import Unreadable
from checkout.merchants.models import Merchant
from checkout.orders import shipping
from checkout.orders.models import Order
from checkout.work import nudge
from providers.contract import Direction

logger = logging.getLogger(__name__)

COLUMNS = ("order", "carrier", "number", "shipped_on", "direction", "url")
REQUIRED = ("order", "carrier", "number", "shipped_on")
IGNORED = frozenset({"line", "problem"})
"""Columns of our own problem file, which may be corrected and brought again."""
OTHER_NAMES = {
    "order_reference": "order",
    "reference": "order",
    "tracking": "number",
    "tracking_number": "number",
    "date": "shipped_on",
    "shipped": "shipped_on",
    "link": "url",
    "tracking_url": "url",
}
EXAMPLE = ("order-1001", "UPS", "1Z999AA10123456784", "2026-11-21", "forward", "https://ups.example/1Z999AA10123456784")

LENGTHS = {field.name: field.max_length for field in ParcelRow._meta.concrete_fields if isinstance(field, CharField)}

CHUNK = 500
TURN = timedelta(seconds=20)
"""How long a list is worked on before others have their turn; well below the lease of a queue's row."""
LEASE = timedelta(seconds=60)

_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T].*)?", re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})", re.ASCII)
_SERIAL = re.compile(r"([2-7]\d{4})(?:\.\d+)?", re.ASCII)
_ROUNDED = re.compile(r"\d+([.,]\d+)?E\+\d+", re.ASCII | re.IGNORECASE)
_EXCEL_EPOCH = date(1899, 12, 30)


# ------------------------------------------------------------------------------------------------------------- reading


def read(merchant: Merchant, mode: str, file: IO[bytes], *, name: str, actor: str) -> ParcelList:
    """Keep a file's rows and begin to check them. Raises Unreadable; then nothing is kept."""
    made = ParcelList.objects.create(
        merchant=merchant, mode=mode, name=name[-200:], digest=_digest(file), uploaded_by=actor[:80]
    )
    try:
        for chunk in _chunks(_rows(made, file)):
            ParcelRow.objects.bulk_create(chunk)
            made.row_count += len(chunk)
        if not made.row_count:
            raise Unreadable(gettext("The file has a header and no rows."))
    except BaseException:
        made.rows.all().delete()
        made.delete()
        raise
    # Small files are checked at once. The lease keeps workers away meanwhile, and brings one if this stops half-way.
    made.state, made.due_at = State.CHECKING, timezone.now() + LEASE
    made.save(update_fields=("row_count", "state", "due_at"))
    take_turn(made.pk, at_most=timedelta(seconds=2))
    made.refresh_from_db()
    return made


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(sheets.CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def _rows(made: ParcelList, file: IO[bytes]) -> Iterator[ParcelRow]:
    lines = sheets.read(file)
    _number, header = next(lines)
    places = _places(header)
    for line, cells in lines:
        row = ParcelRow(list=made, line=line)
        for name in COLUMNS:
            place = places.get(name)
            text = cells[place] if place is not None and place < len(cells) else ""
            column = "order_name" if name == "order" else name
            setattr(row, column, text[: LENGTHS[column]])
        if any(cells[len(header) :]):
            row.verdict = Verdict.WRONG
            row.problem = gettext("This row has more cells than the header. Perhaps a separator stands in a text.")
        yield row


def _places(header: Sequence[str]) -> dict[str, int]:
    """Where each of our columns stands. Raises Unreadable."""
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = re.sub(r"[\s-]+", "_", cell.strip().lower())
        name = OTHER_NAMES.get(name, name)
        if not name or name in IGNORED:
            continue
        if name not in COLUMNS:
            text = gettext("The column “%(name)s” is not known. These are: %(columns)s.")
            raise Unreadable(text % {"name": cell[:40], "columns": ", ".join(COLUMNS)})
        if name in places:
            raise Unreadable(gettext("The column “%(name)s” stands there twice.") % {"name": name})
        places[name] = place
    missing = [name for name in REQUIRED if name not in places]
    if missing:
        text = gettext("The first row names the columns. These are missing: %(columns)s.")
        raise Unreadable(text % {"columns": ", ".join(missing)})
    return places


def _chunks(rows: Iterator[ParcelRow]) -> Iterator[list[ParcelRow]]:
    chunk: list[ParcelRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


# ---------------------------------------------------------------------------------------------------------- a decision


def confirm(made: ParcelList, *, actor: str) -> bool:
    """Let the job begin; False when it is not (or no longer) waiting for a yes."""
    now = timezone.now()
    with transaction.atomic():
        began = ParcelList.objects.filter(pk=made.pk, state=State.CHECKED).update(
            state=State.WORKING, reached=0, confirmed_at=now, confirmed_by=actor[:80], due_at=now
        )
        if began:
            nudge("parcel_lists", made.pk)
    return bool(began)


def drop(made: ParcelList) -> bool:
    """Nothing of this list shall be done; False when it is too late for that."""
    waiting = (State.READING, State.CHECKING, State.CHECKED)
    return bool(ParcelList.objects.filter(pk=made.pk, state__in=waiting).update(state=State.DROPPED, due_at=None))


def uploaded_before(made: ParcelList) -> ParcelList | None:
    """The last time that the very same file was worked through."""
    same = ParcelList.objects.filter(merchant_id=made.merchant_id, mode=made.mode, digest=made.digest)
    return same.filter(pk__lt=made.pk, state=State.DONE).first()


# ------------------------------------------------------------------------------------------------------------- working


def take_turn(pk: int, *, at_most: timedelta = TURN) -> None:
    """Carry a list on for a while; what its queue calls."""
    end = monotonic() + at_most.total_seconds()
    made = ParcelList.objects.select_related("merchant").get(pk=pk)
    steps = {State.CHECKING: _check_some, State.WORKING: _do_some}
    step = steps.get(State(made.state))
    if step is None:
        ParcelList.objects.filter(pk=pk).update(due_at=None)
        return
    while step(made):
        if monotonic() > end:
            ParcelList.objects.filter(pk=pk, state=made.state).update(due_at=timezone.now())
            nudge("parcel_lists", pk)
            return


def _check_some(made: ParcelList) -> bool:
    """Judge some more rows; False when all are judged."""
    rows = list(made.rows.filter(line__gt=made.reached).order_by("line")[:CHUNK])
    if not rows:
        ParcelList.objects.filter(pk=made.pk, state=State.CHECKING).update(state=State.CHECKED, reached=0, due_at=None)
        return False
    orders = _orders(made, rows)
    twins = _twins(made, orders)
    for row in rows:
        if not row.verdict:
            _judge(row, orders.get(row.order_name, []), twins)
    with transaction.atomic():
        ParcelRow.objects.bulk_update(rows, ("verdict", "problem", "order"), batch_size=100)
        made.reached = rows[-1].line
        still = ParcelList.objects.filter(pk=made.pk, state=State.CHECKING)
        return bool(still.update(reached=made.reached, due_at=timezone.now() + LEASE))


def _orders(made: ParcelList, rows: Iterable[ParcelRow]) -> dict[str, list[Order]]:
    """The orders of this merchant and mode that the rows name, by reference or by our id."""
    names = {row.order_name for row in rows}
    ids = {name: UUID(name) for name in names if re.fullmatch(r"[0-9a-fA-F-]{32,36}", name) and _is_uuid(name)}
    mine = Order.objects.of(made.merchant, made.mode)
    found: dict[str, list[Order]] = defaultdict(list)
    for order in mine.filter(reference__in=names):
        found[order.reference].append(order)
    by_id = {order.public_id: order for order in mine.filter(public_id__in=ids.values())} if ids else {}
    for name, public_id in ids.items():
        if public_id in by_id and name not in found:
            found[name].append(by_id[public_id])
    return found


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


Twin = tuple[int, str, str]
"""What makes a parcel the same one: order, carrier, number."""


def _twins(made: ParcelList, orders: dict[str, list[Order]]) -> set[Twin]:
    """The new parcels of these orders in earlier rows of the same list."""
    ids = {order.pk for some in orders.values() for order in some}
    earlier = made.rows.filter(order__in=ids, verdict=Verdict.NEW, line__lte=made.reached)
    return set(earlier.values_list("order_id", "carrier", "number"))


def _judge(row: ParcelRow, orders: list[Order], twins: set[Twin]) -> None:
    """Say what the row would do. Nothing is saved."""
    if len(orders) != 1:
        row.verdict = Verdict.WRONG if orders else Verdict.UNKNOWN
        row.problem = (
            gettext("Several orders have this reference. Give our id instead.")
            if orders
            else gettext("There is no order of this name.")
        )
        return
    row.order = orders[0]
    try:
        facts = _facts(row)
        known = shipping.judge(row.order, **facts)
    except shipping.InvalidShipment as error:
        row.verdict, row.problem = Verdict.WRONG, f"{error.field}: {error}"[:250]
        return
    twin = (row.order.pk, row.carrier, row.number)
    if known or twin in twins:
        row.verdict = Verdict.SAME
        if known is None:
            row.problem = gettext("An earlier row of this list is the same parcel.")
        elif (known.shipped_on, known.direction) != (facts["shipped_on"], facts["direction"]):
            row.problem = gettext("The parcel is there with another date or direction, and stays as it is.")
    else:
        row.verdict = Verdict.NEW
        twins.add(twin)


def _do_some(made: ParcelList) -> bool:
    """Add some more parcels; False when all are added."""
    rows = made.rows.filter(line__gt=made.reached, verdict=Verdict.NEW, outcome="").order_by("line")
    some = list(rows.select_related("order__merchant")[:50])
    if not some:
        ParcelList.objects.filter(pk=made.pk, state=State.WORKING).update(
            state=State.DONE, finished_at=timezone.now(), due_at=None
        )
        return False
    for row in some:
        _add(row, actor=made.confirmed_by)
    made.reached = some[-1].line
    still = ParcelList.objects.filter(pk=made.pk, state=State.WORKING)
    return bool(still.update(reached=made.reached, due_at=timezone.now() + LEASE))


def _add(row: ParcelRow, *, actor: str) -> None:
    assert row.order is not None  # noqa: S101 - a new parcel has one
    try:
        facts = _facts(row)
        was_there = shipping.judge(row.order, **facts) is not None
        row.shipment = shipping.add(row.order, **facts, actor=actor)
        row.outcome = Outcome.SAME if was_there else Outcome.ADDED
    except shipping.InvalidShipment as error:
        row.outcome, row.problem = Outcome.REFUSED, f"{error.field}: {error}"[:250]
    except Exception as error:  # one row that breaks must not keep the others from their turn
        logger.exception("parcel_row_failed row=%s error=%s", row.pk, type(error).__name__)
        row.outcome = Outcome.REFUSED
        row.problem = gettext("Something went wrong with this row. Bring it again later.")
    row.save(update_fields=("outcome", "problem", "shipment"))


def _facts(row: ParcelRow) -> dict[str, Any]:
    """A row's texts as a parcel. Raises InvalidShipment."""
    for field in COLUMNS[1:]:
        if getattr(row, field).startswith("="):
            raise shipping.InvalidShipment(field, gettext("This is a formula. Put its value there."))
    if _ROUNDED.fullmatch(row.number):
        raise shipping.InvalidShipment(
            "number", gettext("The spreadsheet has rounded this number. Make the column text, and enter it again.")
        )
    direction = row.direction.strip().lower() or Direction.FORWARD
    return {
        "carrier": row.carrier,
        "number": row.number,
        "shipped_on": _day(row.shipped_on),
        "direction": direction,
        "url": row.url,
    }


def _day(text: str) -> date:
    """2026-11-21, 21.11.2026, or a spreadsheet's count of days. What could be two days is none."""
    try:
        if found := _ISO.fullmatch(text):
            return date(int(found[1]), int(found[2]), int(found[3]))
        if found := _DOTTED.fullmatch(text):
            return date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        raise shipping.InvalidShipment("shipped_on", gettext("There is no such day.")) from None
    if found := _SERIAL.fullmatch(text):
        return _EXCEL_EPOCH + timedelta(days=int(found[1]))
    raise shipping.InvalidShipment("shipped_on", gettext("Write the day like 2026-11-21."))


# -------------------------------------------------------------------------------------------------------- what it said


def problems(made: ParcelList) -> Iterator[Sequence[sheets.Cell]]:
    """The rows that were not taken, with why: corrected, the same file can be brought again."""
    yield ("line", *COLUMNS, "problem")
    for row in wrong(made).iterator(chunk_size=CHUNK):
        yield (row.line, row.order_name, row.carrier, row.number, row.shipped_on, row.direction, row.url, row.problem)


def wrong(made: ParcelList) -> QuerySet[ParcelRow]:
    """Rows that add nothing and should."""
    refused = made.rows.filter(outcome=Outcome.REFUSED) | made.rows.filter(verdict__in=(Verdict.UNKNOWN, Verdict.WRONG))
    return refused.order_by("line")


def template() -> Iterator[Sequence[sheets.Cell]]:
    """An empty list with one example."""
    yield COLUMNS
    yield EXAMPLE
