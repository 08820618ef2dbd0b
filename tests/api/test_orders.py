"""Orders by API: created once, read truly, refused clearly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from django.utils import timezone

from checkout.api.answers import OrderAnswer, PaymentAnswer, ProblemAnswer
from checkout.api.models import IdempotencyRecord
from checkout.merchants.models import ApiKey, Merchant
from checkout.orders import timeline
from checkout.orders.models import Event, Order
from tests.factories import a_merchant, a_payment, an_account, an_order

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = {
    "amount_minor": 1250,
    "currency": "EUR",
    "reference": "cart-1001",
    "description": "Two cups",
    "success_url": "https://shop.example/thanks",
    "cancel_url": "https://shop.example/cart",
}


class Api:
    """A merchant's program."""

    def __init__(self, merchant: Merchant, mode: str = "test", **key: Any) -> None:
        self.row, self.key = ApiKey.issue(merchant, mode, name="test", **key)
        self.client = Client()

    def post(self, path: str = "/api/v1/orders", body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(GOOD if body is None else body)
        return self.client.post(
            path, data, content_type="application/json", headers={"Authorization": f"Bearer {self.key}", **headers}
        )

    def get(self, path: str) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {self.key}"})


@pytest.fixture
def merchant() -> Merchant:
    return a_merchant()


@pytest.fixture
def api(merchant: Merchant) -> Api:
    return Api(merchant)


@pytest.fixture(autouse=True)
def bank() -> Iterator[Any]:
    """The test provider's books, empty; nobody calls it unless a test says so."""
    from providers.acme import BANK

    BANK.reset()
    yield BANK
    BANK.reset()


def test_an_order_is_created_without_any_provider(api, merchant, settings, bank):
    an_account(merchant)

    answer = api.post()

    order = answer.json()
    assert answer.status_code == 201
    assert (order["status"], order["amount_minor"], order["amount"], order["currency"]) == (
        "open",
        1250,
        "12.50",
        "EUR",
    )
    assert order["reference"] == "cart-1001"
    assert order["expires_at"].endswith("Z")
    assert order["url"] == f"{settings.BASE_URL}/pay/{Order.objects.get().page_token}"
    assert answer["Cache-Control"] == "no-store"
    assert bank.calls == []


def test_reading_shows_what_is_committed(api, merchant):
    an_account(merchant)
    order = an_order(merchant)
    a_payment(order, "instant")

    found = api.get(f"/api/v1/orders/{order.public_id}").json()

    assert (found["status"], found["captured_minor"]) == ("paid", 1000)
    assert [payment["status"] for payment in found["payments"]] == ["captured"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"currency": "EURO"}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "XAU"}, "currency"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -5}, "amount_minor"),
        ({"amount_minor": 10.5}, "amount_minor"),
        ({"amount_minor": "1250"}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": None}, "amount_minor"),
        ({"amount_minor": 10**16}, "amount_minor"),
        ({"reference": "  "}, "reference"),
        ({"reference": "x" * 101}, "reference"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "card 4242 4242 4242 4242"}, "description"),
        ({"metadata": {"note": "4242424242424242"}}, "metadata.note"),
        ({"metadata": {f"k{n}": "v" for n in range(21)}}, "metadata"),
        ({"success_url": "/thanks"}, "success_url"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"success_url": "ftp://shop.example/"}, "success_url"),
        ({"success_url": "https://shop.example\\@evil.example/"}, "success_url"),
        ({"cancel_url": "https://user:word@shop.example/"}, "cancel_url"),
        ({"cancel_url": "https:///cart"}, "cancel_url"),
        ({"expires_in": 299}, "expires_in"),
        ({"expires_in": 604801}, "expires_in"),
        ({"items": [{"name": "Cup", "quantity": 1, "unit_amount": 1}]}, "items"),
        ({"items": [{"name": "Cup", "quantity": 0, "unit_amount": 1}]}, "items.0.quantity"),
        ({"surprise": 1}, "surprise"),
        ({"customer": {"mail": "a@b.example"}}, "customer.mail"),
        ({"capture": "later"}, "capture"),
        ({"three_ds": "maybe"}, "three_ds"),
        ({"amount_minor": 1e30}, "amount_minor"),
        ({"items": [{"name": "a\x00", "quantity": 1, "unit_amount": 1250}]}, "items.0.name"),
        ({"customer": {"email": "a\x00b"}}, "customer.email"),
        ({"locale": "en\n"}, "locale"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_saved(api, change, field):
    answer = api.post(body={**GOOD, **change})

    problem = answer.json()
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["field"] == field
    assert problem["request_id"]
    assert not Order.objects.exists()
    assert not Event.objects.exists()


def test_a_missing_field_is_named(api):
    answer = api.post(body={key: value for key, value in GOOD.items() if key != "currency"})

    assert (answer.status_code, answer.json()["field"]) == (422, "currency")


def test_all_wrong_fields_are_told_at_once(api):
    answer = api.post(body={**GOOD, "amount_minor": "x", "currency": 5, "surprise": 1})

    assert {one["field"] for one in answer.json()["errors"]} == {"amount_minor", "currency", "surprise"}


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "nul",
        '{"amount_minor": NaN}',
        '{"amount_minor": 1e99999999999999999999}',
        '{"amount_minor": 1e-99999999999999999999}',
        f'{{"amount_minor": {"9" * 5000}}}',
        '{"a": 1, "a": 2}',
        '{"metadata": {"a": "1", "a": "1"}}',
        "[" * 5000,
        b"\xff{}",
        json.dumps({**GOOD, "success_url": "https://shop.example/\ud800"}),
        json.dumps({**GOOD, "metadata": {"\ud800": "half a character"}}),
    ],
)
def test_what_is_no_json_is_a_400(api, body):
    answer = api.post(body=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "1", ""])
def test_json_that_is_no_object_is_refused(api, body):
    answer = api.post(body=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


@pytest.mark.parametrize("change", [{"4242424242424242": 1}, {"metadata": {"4242 4242 4242 4242": 5}}])
def test_a_card_number_in_a_fields_name_is_not_repeated(api, change):
    answer = api.post(body={**GOOD, **change})

    assert answer.status_code == 422
    assert "4242" not in answer.content.decode()


def test_an_integral_float_is_an_integer_as_json_schema_says(api):
    assert api.post(body=json.dumps(GOOD).replace("1250", "1250.0")).json()["amount_minor"] == 1250


def test_another_media_type_method_or_size_is_refused(api, settings):
    key = {"Authorization": f"Bearer {api.key}"}
    form = api.client.post("/api/v1/orders", {"amount_minor": 1}, headers=key)
    wrong_method = api.client.delete("/api/v1/orders", headers=key)
    too_large = api.post(body=json.dumps({**GOOD, "description": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE}))

    assert [form.status_code, wrong_method.status_code, too_large.status_code] == [415, 405, 413]
    for answer in (form, wrong_method, too_large):
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer sk_test_nobody"}, {"Authorization": "Basic abc"}])
def test_without_a_valid_key_there_is_nothing(api, header):
    answer = api.client.post("/api/v1/orders", json.dumps(GOOD), content_type="application/json", headers=header)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_ends_with_the_next_request(api):
    ApiKey.objects.filter(pk=api.row.pk).update(revoked_at="2026-01-01T00:00:00Z")

    assert api.post().status_code == 401


def test_a_key_may_do_what_its_scopes_say(merchant):
    reader = Api(merchant, scopes=["read"])

    refused = [
        reader.post(),
        reader.post(body={}),
        reader.post(f"/api/v1/orders/{an_order(merchant).public_id}/cancel"),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(403, "missing_scope")}


def test_a_keys_last_use_is_written_once_a_minute(api):
    with time_machine.travel("2030-01-01T12:00:00Z", tick=False) as clock:
        seen = []
        for seconds in (0, 30, 40):
            clock.shift(seconds)
            api.post()
            seen.append(ApiKey.objects.get(pk=api.row.pk).last_used_at)

    first, second, third = seen
    assert first == second
    assert third - first == timedelta(seconds=70)


def test_other_merchants_and_other_modes_orders_are_the_same_404(api, merchant):
    theirs = an_order(a_merchant())
    live = an_order(merchant, mode="live")

    answers = [
        api.get(f"/api/v1/orders/{order_id}")
        for order_id in (theirs.public_id, live.public_id, "1f0a2b3c-0000-4000-8000-000000000000", "nonsense")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"not_found"}


def test_the_same_key_and_body_give_the_same_bytes(api):
    first = api.post(**{"Idempotency-Key": "k1"})
    again = api.post(**{"Idempotency-Key": "k1"})

    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1


def test_the_same_key_with_another_body_is_a_conflict(api):
    api.post(**{"Idempotency-Key": "k1"})

    answer = api.post(body={**GOOD, "amount_minor": 1}, **{"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")


def test_a_refused_request_leaves_its_key_free(api):
    api.post(body={**GOOD, "currency": "EURO"}, **{"Idempotency-Key": "k1"})

    assert not IdempotencyRecord.objects.exists()
    assert api.post(**{"Idempotency-Key": "k1"}).status_code == 201


def test_two_merchants_may_use_the_same_key(api):
    other = Api(a_merchant())

    ids = {one.post(**{"Idempotency-Key": "k1"}).json()["id"] for one in (api, other)}

    assert len(ids) == 2


def test_twenty_parallel_posts_with_one_key_create_one_order(api):
    answers: list[Any] = []
    barrier = threading.Barrier(20)

    def post() -> None:
        barrier.wait()
        answers.append(
            Client().post(
                "/api/v1/orders",
                json.dumps(GOOD),
                content_type="application/json",
                headers={"Authorization": f"Bearer {api.key}", "Idempotency-Key": "k1"},
            )
        )
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Order.objects.count() == 1


def test_a_key_is_bound_to_its_path(api, merchant):
    paths = [f"/api/v1/orders/{an_order(merchant).public_id}/cancel" for _ in range(2)]

    answers = [api.post(path, body="", **{"Idempotency-Key": "k1"}) for path in paths]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[1].json()["code"] == "idempotency_mismatch"


def test_a_key_is_free_again_after_a_day(api):
    with time_machine.travel("2030-01-01T12:00:00Z", tick=False) as clock:
        first = api.post(**{"Idempotency-Key": "k1"}).json()
        clock.shift(timedelta(hours=23))
        same = api.post(**{"Idempotency-Key": "k1"}).json()
        clock.shift(timedelta(hours=2))
        other = api.post(**{"Idempotency-Key": "k1"}).json()

    assert first["id"] == same["id"] != other["id"]


def test_a_crash_leaves_neither_an_order_nor_its_record(api, monkeypatch):
    def crash(event: Event) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(timeline, "listeners", [*timeline.listeners, crash])
        with pytest.raises(RuntimeError):
            api.post(**{"Idempotency-Key": "k1"})

    assert not Order.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    assert api.post(**{"Idempotency-Key": "k1"}).status_code == 201


def test_a_cancellation_is_repeated_byte_for_byte(api, merchant):
    path = f"/api/v1/orders/{an_order(merchant).public_id}/cancel"

    first, again = (api.post(path, body="", **{"Idempotency-Key": "k1"}) for _ in range(2))

    assert (again.status_code, again.content) == (200, first.content)
    assert again["Idempotent-Replayed"] == "true"


def test_while_a_cancellation_asks_the_provider_its_key_is_in_progress(api, merchant, bank):
    an_account(merchant)
    order = an_order(merchant)
    a_payment(order, "cashier")
    path = f"/api/v1/orders/{order.public_id}/cancel"
    bank.pause = 1.0

    def cancel() -> None:
        first.append(api.post(path, body="", **{"Idempotency-Key": "k1"}))
        connection.close()

    first: list[Any] = []
    thread = threading.Thread(target=cancel)
    thread.start()
    while not IdempotencyRecord.objects.exists():
        time.sleep(0.01)
    meanwhile = api.post(path, body="", **{"Idempotency-Key": "k1"})
    thread.join()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "idempotency_in_progress")
    assert int(meanwhile["Retry-After"]) > 0
    assert first[0].json()["status"] == "cancelled"
    assert api.post(path, body="", **{"Idempotency-Key": "k1"}).content == first[0].content


def test_a_refused_cancellation_leaves_its_key_free(api, merchant):
    an_account(merchant)
    order = an_order(merchant)
    a_payment(order, "instant")

    answer = api.post(f"/api/v1/orders/{order.public_id}/cancel", body="", **{"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["code"]) == (409, "paid")
    assert not IdempotencyRecord.objects.exists()


def test_a_cancellation_whose_process_died_may_be_repeated_after_a_minute(api, merchant):
    order = an_order(merchant)
    path = f"/api/v1/orders/{order.public_id}/cancel"
    api.post(path, body="", **{"Idempotency-Key": "k1"})
    IdempotencyRecord.objects.update(status_code=None, body=b"")

    assert api.post(path, body="", **{"Idempotency-Key": "k1"}).status_code == 409
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert api.post(path, body="", **{"Idempotency-Key": "k1"}).json()["status"] == "cancelled"


def test_an_answer_whose_key_was_thrown_away_is_not_given_again_and_nothing_is_done_twice(api, settings):
    api.post(**{"Idempotency-Key": "k1"})
    settings.SEAL_KEYS = [Fernet.generate_key().decode()]

    again = api.post(**{"Idempotency-Key": "k1"})

    assert (again.status_code, again.json()["code"]) == (409, "idempotency_unreadable")
    assert Order.objects.count() == 1


def test_cancelling_twice_is_as_good_as_once(api, merchant):
    order = an_order(merchant)

    answers = [api.post(f"/api/v1/orders/{order.public_id}/cancel", body="") for _ in range(2)]

    assert [answer.json()["status"] for answer in answers] == ["cancelled", "cancelled"]
    assert order.events.filter(type="order.cancelled").count() == 1


def test_a_paid_order_cannot_be_cancelled(api, merchant):
    an_account(merchant)
    order = an_order(merchant)
    a_payment(order, "instant")

    answer = api.post(f"/api/v1/orders/{order.public_id}/cancel", body="")

    assert (answer.status_code, answer.json()["code"]) == (409, "paid")


def test_the_openapi_file_is_served_to_everybody_who_asks_by_get(client):
    document = client.get("/api/v1/openapi.json").json()

    assert {"/api/v1/orders", "/api/v1/orders/{order_id}", "/api/v1/orders/{order_id}/cancel"} < set(document["paths"])
    assert client.put("/api/v1/openapi.json").status_code == 405


def test_every_refusal_is_declared_with_its_media_type(client):
    paths = client.get("/api/v1/openapi.json").json()["paths"]

    for operation in (operation for path in paths.values() for operation in path.values()):
        declared = {code: set(answer["content"]) for code, answer in operation["responses"].items() if code >= "400"}
        assert {"401", "403"} <= set(declared)
        assert set.union(*declared.values()) == {"application/problem+json"}


def test_answers_are_what_the_openapi_file_says(api, merchant):
    an_account(merchant)
    items = [{"name": "Cup", "quantity": 2, "unit_amount": 500}]
    order = an_order(merchant, items=items, metadata={"cart": "7"})
    a_payment(order, "card")
    paid = api.get(f"/api/v1/orders/{order.public_id}")
    problem = api.post(body={})

    assert paid.json()["payments"][0]["card"]["last4"] == "4242"
    OrderAnswer.model_validate_json(paid.content)
    ProblemAnswer.model_validate_json(problem.content)
    assert set(paid.json()) == set(OrderAnswer.model_fields)
    assert set(paid.json()["payments"][0]) == set(PaymentAnswer.model_fields)


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v1/orders/", "/api/v1/docs/", "/api/v1/x/../orders"])
def test_what_is_not_there_is_a_problem_document_too(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"
