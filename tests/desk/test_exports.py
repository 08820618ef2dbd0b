"""Tables to take away: complete, equal to the screen, harmless in a spreadsheet, and written down."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from checkout.desk import exporting, exports, sheets
from checkout.orders import operations
from checkout.orders.models import LedgerEntry, Order
from tests.factories import a_merchant, a_payment, an_account, an_order

pytestmark = pytest.mark.django_db(transaction=True)

EXPORT = "/admin/orders/order/export/"


@pytest.fixture
def paid(merchant, account):
    order = an_order(
        merchant,
        reference="cart-77",
        description="Two cups",
        customer={"reference": "ada", "email": "jana@example.com"},
        metadata={"shelf": "7", "a": "ü"},
    )
    return a_payment(order, "instant")


def wish(merchant, table="order", **fields):
    return {"table": table, "merchant": merchant.slug, "mode": "test", "since": "", "until": "", "state": "", **fields}


def take(client, merchant, table="order", kind="csv", **fields):
    return client.post(EXPORT, {**wish(merchant, table, **fields), "kind": kind})


def rows(response):
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_orders_carry_both_zones_both_kinds_of_amounts_and_metadata(owner, merchant, paid):
    operations.refund(paid, amount=250)
    moment = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    Order.objects.update(created_at=moment)

    order, total = rows(take(owner, merchant))

    assert (order["row"], order["reference"], order["id"]) == ("order", "cart-77", str(paid.order.public_id))
    assert (order["amount"], order["amount_minor"], order["net"], order["net_minor"]) == (
        "10.00",
        "1000",
        "7.50",
        "750",
    )
    assert order["created_utc"] == "2026-07-01T22:30:00+00:00"
    assert order["created_Europe/Prague"] == "2026-07-02T00:30:00+02:00"
    assert order["metadata"] == '{"a": "ü", "shelf": "7"}'
    assert (order["customer"], order["email"], order["flags"]) == ("ada", "jana@example.com", "test")
    assert (total["row"], total["currency"], total["refunded"], total["reference"]) == ("total", "EUR", "2.50", "")


def test_currencies_keep_their_own_decimals_and_are_never_added_up(owner, merchant, paid):
    an_order(merchant, currency="JPY", amount_minor=1500)
    an_order(merchant, currency="KWD", amount_minor=1500)

    totals = {row["currency"]: row["amount"] for row in rows(take(owner, merchant)) if row["row"] == "total"}

    assert totals == {"EUR": "10.00", "JPY": "1500", "KWD": "1.500"}


@pytest.mark.parametrize("table", list(exports.TABLES))
def test_totals_of_the_file_equal_those_of_the_screen_and_the_sum_of_its_rows(owner, merchant, account, bank, table):
    for number in range(5):
        payment = a_payment(an_order(merchant, amount_minor=1000 + number), "instant")
        if number % 2:
            operations.refund(payment, amount=100 + number)
    an_order(merchant, currency="USD")

    found = rows(take(owner, merchant, table))

    ours = [row for row in found if row["row"] == table]
    totals = [row for row in found if row["row"] == "total"]
    group = exports.TABLES[table].group
    for total in totals:
        same = [row for row in ours if all(row[name] == total[name] for name in group)]
        for name in exports.TABLES[table].amounts:
            assert int(total[f"{name}_minor"]) == sum(int(row[f"{name}_minor"]) for row in same)
    html = owner.get(EXPORT, wish(merchant, table)).content.decode()
    screen = re.findall(r'figure">([^<]*)</td>', html)
    shown = [
        text
        for total in totals
        for text in (
            str(sum(all(row[name] == total[name] for name in group) for row in ours)),
            *(f"{total[name]}\xa0{total['currency']}" for name in exports.TABLES[table].amounts),
        )
    ]
    assert totals
    assert screen == shown


def test_payments_refunds_and_the_ledger_tell_what_they_know(owner, merchant, account, bank, paid):
    operations.refund(paid, amount=250, reason="one cup broke", requested_by="staff:1")

    payment = rows(take(owner, merchant, "payment"))[0]
    refund = rows(take(owner, merchant, "refund"))[0]
    ledger = rows(take(owner, merchant, "ledger"))

    assert (payment["reference"], payment["status"], payment["refunded"]) == (paid.reference, "captured", "2.50")
    assert payment["settled_utc"]
    assert (refund["reason"], refund["status"], refund["payment"]) == ("one cup broke", "succeeded", paid.reference)
    kinds = [row["kind"] for row in ledger if row["row"] == "ledger"]
    assert kinds == list(LedgerEntry.objects.order_by("pk").values_list("kind", flat=True))
    assert len([row for row in ledger if row["row"] == "total"]) == len(set(kinds))


def test_days_are_those_of_the_merchant_and_both_are_included(owner, merchant, account):
    for day, hour in ((1, 21), (1, 22), (3, 21), (3, 22)):
        order = an_order(merchant, reference=f"{day}-{hour}")
        Order.objects.filter(pk=order.pk).update(created_at=datetime(2026, 7, day, hour, 30, tzinfo=UTC))

    found = rows(take(owner, merchant, since="2026-07-02", until="2026-07-03"))

    assert [row["reference"] for row in found if row["row"] == "order"] == ["1-22", "3-21"]


def test_states_narrow_and_must_be_of_the_rows(owner, merchant, paid):
    an_order(merchant, reference="open")

    assert [row["reference"] for row in rows(take(owner, merchant, state="paid"))] == ["cart-77", ""]
    assert "no such state" in take(owner, merchant, "refund", state="paid").content.decode()


@pytest.mark.parametrize("evil", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_texts_of_shoppers_and_merchants_never_become_formulas(owner, merchant, account, evil, kind):
    an_order(merchant, reference=evil, description=evil, customer={"name": evil})

    content = b"".join(take(owner, merchant, kind=kind).streaming_content)

    if kind == "csv":
        assert f",'{evil},'{evil}," in content.decode()
    else:
        assert evil in [cell for _, cells in sheets.read(io.BytesIO(content)) for cell in cells]


def test_a_workbook_holds_the_same_rows(owner, merchant, paid):
    text = list(csv.reader(io.StringIO(b"".join(take(owner, merchant).streaming_content).decode("utf-8-sig"))))
    book = [
        cells for _, cells in sheets.read(io.BytesIO(b"".join(take(owner, merchant, kind="xlsx").streaming_content)))
    ]

    assert len(book) == len(text) == 3
    assert book[0] == text[0]
    assert book[1][:9] == text[1][:9]


def test_a_workbook_that_would_be_too_large_is_refused_and_not_written_down(owner, merchant, paid, monkeypatch):
    monkeypatch.setattr(exporting, "WORKBOOK_ROWS", 1)
    an_order(merchant)

    response = take(owner, merchant, kind="xlsx")

    assert "at most 1 rows" in response.content.decode()
    assert not LogEntry.objects.exists()
    assert take(owner, merchant).streaming


def test_rows_stream_in_short_queries_and_none_is_left_out(
    owner, merchant, account, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(exports, "CHUNK", 4)
    for number in range(10):
        an_order(merchant, reference=f"n{number}")

    response = take(owner, merchant)
    with django_assert_max_num_queries(4):
        found = rows(response)

    assert [row["reference"] for row in found][:-1] == [f"n{number}" for number in range(10)]


def test_each_file_is_written_down_and_a_look_is_not(owner, merchant, paid):
    owner.get(EXPORT, wish(merchant))
    assert not LogEntry.objects.exists()

    take(owner, merchant, "ledger", since="2026-01-01")

    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (owner.user, str(merchant.pk))
    assert entry.change_message == "Exported ledger rows (test, 2026-01-01 – …, all states) as CSV"


def test_only_owners_and_finance_take_anything(log_in, merchant, paid):
    for role in ("owner", "finance"):
        client = log_in(merchant, role)
        assert client.get(EXPORT).status_code == 200
        assert EXPORT in client.get("/admin/orders/order/").content.decode()
    for role in ("support", "developer", "shipping", "viewer"):
        client = log_in(merchant, role)
        assert client.get(EXPORT).status_code == 403
        assert take(client, merchant).status_code == 403
        assert EXPORT not in client.get("/admin/orders/order/").content.decode()
    assert not LogEntry.objects.exists()


def test_another_merchant_s_rows_are_neither_counted_nor_taken(owner, merchant, paid):
    other = a_merchant(name="Lamps Ltd")
    an_account(other)
    an_order(other, reference="lamp-1")

    for response in (take(owner, other), owner.get(EXPORT, wish(other))):
        html = response.content.decode()
        assert "Select a valid choice" in html
        assert "lamp-1" not in html
        assert "Lamps Ltd" not in html
    assert "lamp-1" not in str(rows(take(owner, merchant)))


def test_somebody_at_two_merchants_exports_where_the_role_allows_it(log_in, merchant, paid):
    from checkout.merchants.models import Member

    other = a_merchant()
    client = log_in(merchant, "viewer")
    Member.objects.create(user=client.user, merchant=other, role="finance")

    assert client.get(EXPORT).status_code == 200
    assert "Select a valid choice" in take(client, merchant).content.decode()


def test_an_empty_choice_offers_no_file(owner, merchant, paid):
    tomorrow = (timezone.now() + timedelta(days=2)).date()
    html = owner.get(EXPORT, wish(merchant, since=tomorrow)).content.decode()
    assert "No row matches" in html
    assert "Download" not in html


def test_the_list_hands_its_filters_on(owner, merchant, paid):
    html = owner.get("/admin/orders/order/", {"status": "paid", "mode": "test"}).content.decode()
    assert f"{EXPORT}?mode=test&amp;state=paid" in html
    assert owner.get(f"{EXPORT}?mode=test&state=paid").status_code == 200


def test_a_refund_in_excess_makes_a_negative_number_not_a_text(owner, merchant, paid):
    Order.objects.update(refunded_total=1500)
    assert rows(take(owner, merchant))[0]["net"] == "-5.00"
    assert "−5.00\xa0EUR" in owner.get(EXPORT, wish(merchant)).content.decode()
