"""Whatever is wrong with a request, every operation says so as a problem document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.described import Described, operations, rows_of
from tests.api.test_orders import Api
from tests.factories import a_merchant

pytestmark = pytest.mark.django_db(transaction=True)

WITH_BODY = [one for one in operations() if "requestBody" in one.operation]
POSTS = [one for one in operations() if one.method == "POST"]
PATHS = {one.path: {other.method for other in operations() if other.path == one.path} for one in operations()}


@pytest.fixture(autouse=True)
def _small_bodies(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2000


@pytest.fixture
def rows() -> dict[str, str]:
    merchant = a_merchant()
    return {"key": Api(merchant).key, **rows_of(merchant, "test")}


def send(
    client: Any, one: Described, rows: dict[str, str], body: Any = "", kind: str = "application/json", **headers: str
) -> Any:
    headers = {"Authorization": f"Bearer {rows['key']}", **headers}
    return client.generic(one.method, one.path.format(**rows), body, content_type=kind, headers=headers)


def is_problem(answer: Any, status: int) -> bool:
    assert answer["Content-Type"] == "application/problem+json", answer.content
    problem = answer.json()
    assert problem["request_id"]
    assert "Traceback" not in answer.content.decode()
    assert (answer.status_code, problem["status"]) == (status, status), problem
    return True


@pytest.mark.parametrize("one", WITH_BODY, ids=str)
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{}", "text/plain", 415),
        ("a=1", "application/x-www-form-urlencoded", 415),
        ("{", "application/json", 400),
        ('{"a": 1, "a": 2}', "application/json", 400),
        (b"\xff", "application/json", 400),
        ('{"surprise": 1}', "application/json", 422),
        ("[]", "application/json", 422),
        ("null", "application/json", 422),
        ("x" * 2001, "application/json", 413),
    ],
    ids=["text", "form", "half", "doubled", "bytes", "unknown", "list", "null", "large"],
)
def test_a_body_that_is_none(client, rows, one, body, kind, status):
    assert is_problem(send(client, one, rows, body, kind), status)


@pytest.mark.parametrize("one", WITH_BODY, ids=str)
@pytest.mark.parametrize("wrong", [True, -1, 1.5, "\x00", [[]], {"a": {}}, "x" * 1500], ids=repr)
def test_a_wrong_value_names_its_field(client, rows, one, wrong):
    for name in one.body(rows) or ["surprise"]:
        answer = send(client, one, rows, json.dumps({**one.body(rows), name: wrong}))

        assert is_problem(answer, 422)
        assert answer.json()["field"].startswith(name)


@pytest.mark.parametrize("one", POSTS, ids=str)
@pytest.mark.parametrize("key", ["x" * 256, "card 4242424242424242", "a\x7fb"], ids=["long", "card", "control"])
def test_an_idempotency_key_that_cannot_be_kept(client, rows, one, key):
    answer = send(client, one, rows, json.dumps(one.body(rows)), **{"Idempotency-Key": key})

    assert is_problem(answer, 400)
    assert "4242" not in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
def test_another_method(client, rows, path):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - PATHS[path]:
        answer = client.generic(method, path.format(**rows), headers={"Authorization": f"Bearer {rows['key']}"})

        assert is_problem(answer, 405)
        assert set(answer["Allow"].split(", ")) == PATHS[path]


@pytest.mark.parametrize("one", [one for one in operations() if one.names], ids=str)
@pytest.mark.parametrize(
    "name", ["nonsense", "1", "%00", "%2e%2e", "a" * 3000, "%F0%9F%92%B6"], ids=lambda name: name[:12]
)
def test_an_address_that_names_nothing(client, rows, one, name):
    if one.names == ["customer_reference"] and name not in {"%00", "a" * 3000}:
        pytest.skip("a customer's reference may be any text")
    path = one.path.format(**{**rows, one.names[0]: name})
    body = json.dumps(one.body(rows)) if "requestBody" in one.operation else ""

    answer = client.generic(
        one.method, path, body, content_type="application/json", headers={"Authorization": f"Bearer {rows['key']}"}
    )

    assert is_problem(answer, 404)
