"""Every operation that the API describes, asked about another merchant's rows and with too small a key."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from checkout.events.models import Endpoint
from checkout.merchants.models import Scope
from checkout.orders.models import Capture, Order, Refund, SavedCard, Shipment
from tests.api.described import Described, operations, rows_of
from tests.api.test_orders import Api
from tests.factories import a_merchant

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = {"GET /api/v1/customers/{customer_reference}/cards"}
"""What names nothing of ours, and is empty for somebody else's word."""

ABOUT_ROWS = [one for one in operations() if one.names and str(one) not in LISTS]


@pytest.fixture(autouse=True)
def _private_endpoints(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False


def call(api: Api, one: Described, values: dict[str, str], **more: str) -> Any:
    path = one.path.format(**{**values, **more})
    body = one.body(values)
    return api.client.generic(
        one.method,
        path,
        "" if body is None else json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.key}"},
    )


def told(answer: Any) -> dict[str, Any]:
    """What an answer says, apart from its own id."""
    return {**answer.json(), "request_id": ""}


def everything() -> list[list[dict[str, Any]]]:
    return [
        list(kind.objects.order_by("pk").values()) for kind in (Order, Capture, Refund, SavedCard, Shipment, Endpoint)
    ]


@pytest.mark.parametrize("one", ABOUT_ROWS, ids=str)
def test_anothers_row_and_the_other_modes_are_the_same_404_as_none(one):
    mine, other = a_merchant(), a_merchant()
    theirs, live, own = rows_of(other, "test"), rows_of(mine, "live"), rows_of(mine, "test")
    never = {name: f"evt_{uuid.uuid4().hex}" if name == "event_id" else str(uuid.uuid4()) for name in own}
    before = everything()
    api = Api(mine)

    nothing = call(api, one, own, **{one.names[0]: never[one.names[0]]})
    answers = [call(api, one, own, **{name: rows[name]}) for rows in (theirs, live) for name in one.names]

    assert nothing.status_code == 404
    for answer in answers:
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"
    assert told(answers[0]) == told(nothing)
    assert everything() == before


@pytest.mark.parametrize("one", ABOUT_ROWS, ids=str)
def test_ones_own_row_is_found(one):
    """Otherwise the walk above would prove nothing."""
    mine = a_merchant()

    assert call(Api(mine), one, rows_of(mine, "test")).status_code in {200, 201, 204, 400, 409}


@pytest.mark.parametrize("path", sorted(LISTS))
def test_a_list_named_by_anothers_word_is_empty(path):
    (one,) = [one for one in operations() if str(one) == path]
    mine, other = a_merchant(), a_merchant()
    own, theirs, live = rows_of(mine, "test"), rows_of(other, "test"), rows_of(mine, "live")

    assert len(call(Api(mine), one, own).json()["cards"]) == 1
    assert [call(Api(mine), one, rows).json()["cards"] for rows in (theirs, live)] == [[], []]


@pytest.mark.parametrize("one", operations(), ids=str)
def test_a_key_without_the_scope_is_refused_before_anything_else(one):
    merchant = a_merchant()
    values = rows_of(merchant, "test")
    others = [scope for scope in Scope.values if scope != one.scope]
    before = everything()

    answer = call(Api(merchant, scopes=others), one, values)

    assert one.scope in Scope.values
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert everything() == before


@pytest.mark.parametrize("one", operations(), ids=str)
def test_without_a_key_there_is_nothing(one, client):
    values = rows_of(a_merchant(), "test")

    answer = client.generic(one.method, one.path.format(**values), content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


@pytest.mark.parametrize("one", [one for one in operations() if not one.names and one.method == "GET"], ids=str)
def test_a_list_shows_nothing_of_anybody_else(one):
    mine, other = a_merchant(), a_merchant()
    foreign = [*rows_of(other, "test").values(), *rows_of(mine, "live").values(), other.slug]

    answer = call(Api(mine), one, {})

    assert answer.status_code == 200
    assert not [text for text in foreign if text in answer.content.decode()]


@pytest.mark.parametrize("one", operations(), ids=str)
def test_every_post_takes_an_idempotency_key_and_nothing_else_does(one):
    headers = {given["name"] for given in one.operation["parameters"] if given["in"] == "header"}

    assert headers == ({"Idempotency-Key"} if one.method == "POST" else set())


@pytest.mark.parametrize("one", [one for one in operations() if one.method == "POST"], ids=str)
def test_one_idempotency_key_gives_one_answer(one):
    merchant = a_merchant()
    values = rows_of(merchant, "test")
    api = Api(merchant)
    body = one.body(values)

    def send() -> Any:
        return api.client.generic(
            "POST",
            one.path.format(**values),
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {api.key}", "Idempotency-Key": "once"},
        )

    first, again = send(), send()

    assert first.status_code == again.status_code
    if first.status_code < 400:
        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"
