"""The search box reads one narrow index for each meaning of a term, and never another merchant's rows."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout.desk import finding
from checkout.orders import operations
from checkout.orders.models import Order, Payment, Refund
from tests.desk.stage import a_parcel, page
from tests.factories import a_merchant, a_payment, an_account, an_order

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = re.compile(r"(Seq Scan on|SCAN) orders_(order|payment)\b(?!.*USING)")
LIST = "/admin/orders/order/"


@pytest.fixture
def paid(merchant, account):
    order = an_order(merchant, reference="cart-77", customer={"email": "Jana@Example.com"})
    payment = a_payment(order, "instant")
    a_parcel(order, "1z-Ups-7")
    refund = operations.refund(payment, amount=100)
    Refund.objects.filter(pk=refund.pk).update(provider_reference="their-refund-9")
    payment.card_last4 = "4242"
    payment.save(update_fields=("card_last4",))
    return payment


def terms(payment):
    refund = payment.refunds.get()
    return [
        "cart-77",
        "cart-",
        str(payment.order.public_id),
        str(payment.public_id).replace("-", ""),
        payment.reference.lower(),
        payment.provider_reference,
        payment.provider_reference[:4],
        refund.reference,
        refund.provider_reference,
        "1Z-UPS-7",
        "jana@example.COM",
        payment.card_last4,
        f"•••• {payment.card_last4}",
    ]


def test_every_kind_of_term_finds_its_order(merchant, paid):
    an_order(merchant, reference="other", customer={"email": "ada@example.com"})
    for term in terms(paid):
        assert finding.matching(term, [merchant.pk]) == {paid.order_id}, term


def test_no_term_finds_another_merchant_s_order(merchant, paid):
    other = a_merchant()
    for term in terms(paid):
        assert finding.matching(term, [other.pk]) == set(), term
        assert finding.named(term, [other.pk]) == set(), term


def test_a_beginning_is_read_as_it_is_written(merchant, account):
    an_order(merchant, reference="a%b_c")
    for term, finds in (("a%", True), ("A%", False), ("a_b", False), ("a%b_", True), ("%", False)):
        assert bool(finding.matching(term, [merchant.pk])) is finds, term


def test_a_tracking_number_leads_straight_to_its_order(owner, paid):
    assert owner.get(LIST, {"q": "1Z-ups-7"}).url == page(paid.order)


def test_two_orders_of_one_name_are_listed(owner, merchant, paid):
    again = an_order(merchant, reference="cart-77")
    html = owner.get(LIST, {"q": "cart-77"}).content.decode()
    for order in (paid.order, again):
        assert page(order) in html


def test_the_newest_of_too_many_are_found(merchant, account, monkeypatch):
    monkeypatch.setattr(finding, "LIMIT", 2)
    orders = [an_order(merchant, reference=f"many-{number}") for number in range(4)]
    assert finding.matching("many-", [merchant.pk]) == {orders[3].pk, orders[2].pk}


def fill(merchant, account, number=3000):
    """So many paid orders that reading them all would be the slower way; and the database knows it."""
    orders = Order.objects.bulk_create(
        Order(
            merchant=merchant,
            mode="test",
            reference=f"fill-{n}",
            amount=1000,
            currency="EUR",
            customer={"email": f"{n}@fill.example"},
            expires_at=timezone.now(),
        )
        for n in range(number)
    )
    Payment.objects.bulk_create(
        Payment(
            merchant=merchant,
            mode="test",
            order=order,
            number=1,
            account=account,
            status="captured",
            method="card",
            submission="x",
            amount=1000,
            currency="EUR",
            provider_reference=f"fill-{order.pk}",
            card_last4=f"{order.pk % 9000:04}",
        )
        for order in orders
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def plan_of(sql):
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", params=None)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_no_look_reads_a_whole_table(merchant, account, paid):
    fill(merchant, account)
    used = ""
    for term in terms(paid):
        with CaptureQueriesContext(connection) as captured:
            finding.matching(term, [merchant.pk])
        for query in captured:
            plan = plan_of(query["sql"])
            assert not re.search(WHOLE, plan), f"{query['sql']}\n{plan}"
            used += plan
    for name in ("desk_order_reference", "desk_payment_theirs", "desk_payment_last4", "desk_order_email"):
        assert name in used


@pytest.mark.parametrize("filters", [{}, {"status": "paid"}])
def test_the_list_counts_no_further_than_its_bound(owner, merchant, account, paid, filters):
    an_account(merchant, name="Second")
    with CaptureQueriesContext(connection) as captured:
        assert owner.get(LIST, filters).status_code == 200

    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "orders_order" in query["sql"]]
    assert counts
    assert all("LIMIT 1001" in sql for sql in counts)
