"""Lists by API: complete and without doubles while others write, cheap, and strict about what they are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from checkout.api.answers import OrderFacts, OrdersAnswer
from checkout.merchants.models import Merchant
from checkout.orders.models import Order
from tests.api.test_orders import Api
from tests.factories import a_merchant, a_payment, an_account, an_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def merchant() -> Merchant:
    return a_merchant()


@pytest.fixture
def api(merchant) -> Api:
    return Api(merchant)


def ask(api: Api, **parameters: Any) -> Any:
    return api.get(f"/api/v1/orders?{urlencode(parameters)}")


def references(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [order["reference"] for order in answer.json()["orders"]]


def orders(merchant: Merchant, *names: str, **fields: Any) -> list[Order]:
    return [an_order(merchant, reference=name, **fields) for name in names]


def walk(api: Api, **parameters: Any) -> list[str]:
    found, cursor = [], None
    for _ in range(50):
        answer = ask(api, **parameters, **({"cursor": cursor} if cursor else {}))
        found += references(answer)
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


def test_the_newest_order_comes_first(api, merchant):
    orders(merchant, "a", "b", "c")

    answer = ask(api)

    assert references(answer) == ["c", "b", "a"]
    assert answer.json()["next_cursor"] is None
    OrdersAnswer.model_validate_json(answer.content)
    assert set(answer.json()["orders"][0]) == set(OrderFacts.model_fields)


def test_pages_are_complete_although_orders_come_in_meanwhile(api, merchant):
    orders(merchant, *"abcde")

    first = ask(api, limit=2)
    orders(merchant, "f", "g")
    second = ask(api, limit=2, cursor=first.json()["next_cursor"])
    third = ask(api, limit=2, cursor=second.json()["next_cursor"])

    assert [references(answer) for answer in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert third.json()["next_cursor"] is None


def test_orders_of_the_same_moment_are_neither_lost_nor_doubled(api, merchant):
    orders(merchant, *"abcdefg")
    Order.objects.update(created_at=timezone.now())

    assert walk(api, limit=2) == list("gfedcba")


@settings(max_examples=15)
@given(moments=st.lists(st.integers(0, 3), min_size=1, max_size=12), limit=st.integers(1, 5))
def test_any_page_size_walks_the_same_list(moments, limit):
    merchant = a_merchant()
    now = timezone.now()
    for number, moment in enumerate(moments):
        (order,) = orders(merchant, str(number))
        Order.objects.filter(pk=order.pk).update(created_at=now + timedelta(seconds=moment))

    expected = [order.reference for order in Order.objects.filter(merchant=merchant).order_by("-created_at", "-pk")]
    assert walk(Api(merchant), limit=limit) == expected


def test_other_merchants_and_other_modes_are_not_listed(api, merchant):
    orders(a_merchant(), "theirs")
    orders(merchant, "live", mode="live")
    orders(merchant, "mine")

    assert references(ask(api)) == ["mine"]


def test_a_list_asks_as_much_for_many_orders_as_for_one(api, merchant):
    an_account(merchant)
    a_payment(an_order(merchant), "instant")
    api.get("/api/v1/orders")  # the key's last use is written now, and not again

    counts = []
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert ask(api, limit=100).status_code == 200
        counts.append(len(queries))
        for _ in range(5):
            a_payment(an_order(merchant), "instant")

    assert counts[0] == counts[1] <= 3


def test_orders_are_found_by_each_filter(api, merchant):
    an_account(merchant)
    an_account(merchant, provider="zenith", name="Zenith", credentials={"key": "z"})
    paid, _, tagged = orders(merchant, "paid", "open", "tagged", metadata={"cart": "7", "7": "seven", "a__gt": "x"})
    a_payment(paid, "instant")
    Order.objects.exclude(pk=tagged.pk).update(metadata={"cart": "8"})

    assert references(ask(api, reference="open")) == ["open"]
    assert references(ask(api, status="paid")) == ["paid"]
    assert references(ask(api, provider="acme")) == ["paid"]
    assert references(ask(api, provider="zenith")) == []
    assert references(ask(api, provider="nobody")) == []
    assert references(ask(api, **{"metadata[cart]": "7"})) == ["tagged"]
    assert references(ask(api, **{"metadata[7]": "seven"})) == ["tagged"]
    assert references(ask(api, **{"metadata[a__gt]": "x"})) == ["tagged"]
    assert references(ask(api, **{"metadata[a__gt]": "a"})) == []
    assert references(ask(api, **{"metadata[cart]": "7", "metadata[7]": "eight"})) == []
    assert references(ask(api, **{"metadata[missing]": "7"})) == []
    assert references(ask(api, status="paid", reference="open")) == []


@settings(max_examples=25)
@given(
    name=st.text(min_size=1, max_size=40).filter(lambda text: not set(text) & set("[]\x00") and text.isprintable()),
    value=st.text(max_size=20).filter(str.isprintable),
)
def test_any_metadata_that_can_be_stored_can_be_found(name, value):
    merchant = a_merchant()
    (order,) = orders(merchant, "this")
    Order.objects.filter(pk=order.pk).update(metadata={name: value})
    orders(merchant, "other")

    assert references(ask(Api(merchant), **{f"metadata[{name}]": value})) == ["this"]


def test_the_range_holds_its_beginning_and_not_its_end(api, merchant):
    early, late = orders(merchant, "early", "late")
    for order, moment in ((early, "2026-01-01T10:00:00Z"), (late, "2026-01-01T11:00:00Z")):
        Order.objects.filter(pk=order.pk).update(created_at=moment)

    assert references(ask(api, created_from="2026-01-01T10:00:00Z", created_to="2026-01-01T11:00:00Z")) == ["early"]
    assert references(ask(api, created_from="2026-01-01T12:00:00+02:00", created_to="2026-01-01T13:00:00+02:00")) == [
        "early"
    ]
    assert references(ask(api, created_from="2026-01-01T10:00:00.001Z")) == ["late"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=gone", "status"),
        ("status=", "status"),
        ("reference=", "reference"),
        (f"reference={'x' * 101}", "reference"),
        ("reference=%00", "reference"),
        ("provider=%2e%2e", "provider"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-01", "created_from"),
        ("created_from=1767225600", "created_from"),
        ("created_from=2026-01-01T10:00:00", "created_from"),
        ("created_from=2026-01-01T10:00:00+02:00", "created_from"),  # an unencoded plus is a blank
        ("created_to=2026-02-30T10:00:00Z", "created_to"),
        ("created_to=0001-01-01T00:00:00%2B23:00", "created_to"),
        ("created_to=9999-12-31T23:59:59-23:00", "created_to"),
        ("metadata=7", "metadata"),
        ("metadata[]=7", "metadata"),
        ("metadata[a]=1&metadata[a]=2", "metadata[a]"),
        ("metadata[a]=%00", "metadata.a"),
        (f"metadata[{'k' * 41}]=7", "metadata"),
        ("&".join(f"metadata[k{n}]=v" for n in range(21)), "metadata"),
        ("reference[a]=1", "reference"),
        ("surprise=1", "surprise"),
        ("metadata[a=1", "metadata[a"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        (f"cursor={'x' * 1001}", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(api, query, field):
    answer = api.get(f"/api/v1/orders?{query}")

    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["field"].startswith(field)


def test_a_cursor_opens_only_where_it_came_from(api, merchant):
    orders(merchant, *"abc")
    cursor = ask(api, limit=1, reference="c").json()["next_cursor"] or ask(api, limit=1).json()["next_cursor"]
    elsewhere = Api(a_merchant())

    assert ask(api, cursor=cursor).status_code == 200
    for answer in (
        ask(api, cursor=cursor, status="open"),
        ask(elsewhere, cursor=cursor),
        ask(Api(merchant, "live"), cursor=cursor),
        ask(api, cursor=cursor[:-4] + "AAAA"),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor")
    assert str(merchant.pk) != cursor
    assert ask(Api(merchant), cursor=quote(cursor)).status_code == 200, "another key of the same shop may go on"


def test_what_is_no_list_takes_no_filter_from_elsewhere(api):
    assert api.client.get("/api/v1/orders?limit=1").status_code == 401
