"""Events and endpoints by API: read back what was told, be told again, and try what was set up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from checkout.api.answers import (
    DeliveriesAnswer,
    DeliveryAnswer,
    DisputesAnswer,
    EndpointsAnswer,
    EventAnswer,
    EventsAnswer,
    MeAnswer,
    NewEndpointAnswer,
    PaymentsAnswer,
    PingAnswer,
)
from checkout.api.models import IdempotencyRecord
from checkout.events import outbox
from checkout.events.models import Delivery, Endpoint
from checkout.merchants.models import Merchant
from checkout.orders import intents
from checkout.orders.apply import locked
from checkout.orders.models import Dispute, Event
from tests.api.test_orders import Api
from tests.factories import a_merchant, a_payment, an_account, an_order, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _private_endpoints(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = True


@pytest.fixture
def merchant() -> Merchant:
    merchant = a_merchant()
    an_account(merchant)
    return merchant


@pytest.fixture
def api(merchant) -> Api:
    return Api(merchant)


@pytest.fixture
def url(httpserver: HTTPServer) -> str:
    httpserver.expect_request("/hear").respond_with_data("thanks")
    return httpserver.url_for("/hear")


def add(api: Api, url: str, **body: Any) -> dict[str, Any]:
    answer = api.post("/api/v1/endpoints", {"url": url, **body})
    assert answer.status_code == 201, answer.content
    NewEndpointAnswer.model_validate_json(answer.content)
    return dict(answer.json())


def act(api: Api, endpoint: dict[str, Any], what: str = "", body: Any = None, **headers: str) -> Any:
    path = f"/api/v1/endpoints/{endpoint['id']}" + (f"/{what}" if what else "")
    return api.post(path, "" if body is None else body, **headers)


def heard(httpserver: HTTPServer) -> list[Any]:
    return [request for request, _ in httpserver.log]


# -------------------------------------------------------------------------------------------------------------- events


def test_an_event_is_read_as_endpoints_hear_it(api, merchant, url, httpserver):
    endpoint = add(api, url, types=["payment.succeeded"])
    a_payment(an_order(merchant), "instant")
    work_until_quiet()

    (request,) = heard(httpserver)
    told = Webhook(endpoint["secret"]).verify(request.get_data(), dict(request.headers))
    answer = api.get(f"/api/v1/events/{told['id']}")

    EventAnswer.model_validate_json(answer.content)
    assert answer.json() == told


def test_events_are_listed_without_those_that_are_only_for_the_timeline(api, merchant):
    order = an_order(merchant)
    a_payment(order, "instant")
    an_order(merchant)

    answer = api.get(f"/api/v1/events?{urlencode({'order': order.public_id})}")

    EventsAnswer.model_validate_json(answer.content)
    listed = [event["type"] for event in answer.json()["events"]]
    assert listed == [event.type for event in order.events.order_by("-seq") if event.type in outbox.PUBLIC]
    assert {"order.created", "payment.succeeded"} <= set(listed)


def test_events_are_found_by_type_and_time_and_page_by_page(api, merchant):
    for _ in range(3):
        an_order(merchant)
    moments = [str(event["created_at"]) for event in api.get("/api/v1/events").json()["events"]]
    first = api.get("/api/v1/events?limit=2&type=order.created").json()
    second = api.get(f"/api/v1/events?limit=2&type=order.created&cursor={first['next_cursor']}").json()

    assert [len(page["events"]) for page in (first, second)] == [2, 1]
    assert second["next_cursor"] is None
    assert len({event["id"] for page in (first, second) for event in page["events"]}) == 3
    assert len(api.get(f"/api/v1/events?since={moments[-1]}").json()["events"]) == 3
    assert api.get("/api/v1/events?since=2999-01-01T00:00:00Z").json()["events"] == []
    assert api.get("/api/v1/events?type=payment.failed").json()["events"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=order.gone", "type"),
        ("type=code.sent", "type"),
        ("order=7", "order"),
        ("since=now", "since"),
        ("x=1", "x"),
    ],
)
def test_a_wrong_parameter_of_events_is_named(api, query, field):
    answer = api.get(f"/api/v1/events?{query}")

    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_an_event_that_is_not_public_is_not_there(api, merchant):
    order = an_order(merchant)
    event = order.events.get()
    hidden = Event.objects.create(
        merchant=merchant, mode="test", order=order, seq=99, type="staff.note", actor="staff:1", cause="note"
    )

    assert api.get(f"/api/v1/events/{outbox.message_id(event)}").status_code == 200
    assert api.get(f"/api/v1/events/{outbox.message_id(hidden)}").status_code == 404
    assert api.get("/api/v1/events/nonsense").status_code == 404


# ----------------------------------------------------------------------------------------------------------- endpoints


def test_a_secret_is_shown_once_and_kept_sealed(api, url):
    endpoint = add(api, url)

    listed = api.get("/api/v1/endpoints")

    EndpointsAnswer.model_validate_json(listed.content)
    assert [one["url"] for one in listed.json()["endpoints"]] == [url]
    assert endpoint["secret"] not in listed.content.decode()
    assert endpoint["secret"].startswith("whsec_")


def test_a_repeated_creation_shows_the_same_secret_and_stores_it_nowhere_in_the_clear(api, url):
    body = {"url": url}
    first, again = (api.post("/api/v1/endpoints", body, **{"Idempotency-Key": "e1"}) for _ in range(2))

    assert first.content == again.content
    assert Endpoint.objects.count() == 1
    assert first.json()["secret"].encode() not in bytes(IdempotencyRecord.objects.get().body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "http://shop.example/hear"}, "url"),
        ({"url": "https://shop.example:8443/hear"}, "url"),
        ({"url": "https://user:word@shop.example/"}, "url"),
        ({"url": "https://shop.example/\x00"}, "url"),
        ({"url": "ftp://shop.example/"}, "url"),
        ({"url": "https://shop.example/" + "x" * 500}, "url"),
        ({"url": "https://shop.example/4242424242424242"}, "url"),
        ({"url": "https://[::1/"}, "url"),
        ({"url": "https://shop.example/", "types": ["order.gone"]}, "types.0"),
        ({"url": "https://shop.example/", "types": "order.created"}, "types"),
        ({"url": "https://shop.example/", "secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_endpoint_is_refused_by_field(api, settings, body, field):
    settings.ALLOW_PRIVATE_ENDPOINTS = False

    answer = api.post("/api/v1/endpoints", body)

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not Endpoint.objects.exists()


def test_a_new_secret_signs_and_so_does_the_old_one_for_a_day(api, merchant, url, httpserver):
    endpoint = add(api, url)
    rotated = act(api, endpoint, "rotate").json()

    an_order(merchant)
    work_until_quiet()

    (request,) = heard(httpserver)
    assert rotated["secret"] != endpoint["secret"]
    for secret in (rotated["secret"], endpoint["secret"]):
        Webhook(secret).verify(request.get_data(), dict(request.headers))


def test_a_switched_off_endpoint_hears_nothing_and_catches_up_when_asked(api, merchant, url, httpserver):
    endpoint = add(api, url, types=["order.created"])
    since = (timezone.now() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    an_order(merchant)
    work_until_quiet()
    off = act(api, endpoint, body={"enabled": False}).json()
    an_order(merchant)
    an_order(merchant)
    work_until_quiet()
    too_early = act(api, endpoint, "replay", {"since": since})
    act(api, endpoint, body={"enabled": True})

    queued = [act(api, endpoint, "replay", {"since": since}).json() for _ in range(2)]
    work_until_quiet()

    assert (off["enabled"], off["disabled_why"]) == (False, "it was switched off")
    assert (too_early.status_code, too_early.json()["code"]) == (409, "endpoint_disabled")
    assert queued == [{"queued": 2, "is_complete": True}, {"queued": 0, "is_complete": True}]
    assert len({request.headers["webhook-id"] for request in heard(httpserver)}) == len(heard(httpserver)) == 3


def test_a_long_replay_goes_on_where_it_ended(api, merchant, url, httpserver, monkeypatch):
    monkeypatch.setattr(outbox, "AT_ONCE", 2)
    for _ in range(3):
        an_order(merchant)
    endpoint = add(api, url, types=["order.created"])
    since = (timezone.now() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    answers = [act(api, endpoint, "replay", {"since": since}).json() for _ in range(2)]

    assert answers == [{"queued": 2, "is_complete": False}, {"queued": 1, "is_complete": True}]
    work_until_quiet()
    assert len(heard(httpserver)) == 3


@pytest.mark.parametrize("since", ["2020-01-01T00:00:00Z", "yesterday", 5, None])
def test_a_replay_has_a_sensible_beginning(api, url, since):
    answer = act(api, add(api, url), "replay", {"since": since})

    assert (answer.status_code, answer.json()["field"]) == (422, "since")


def test_one_event_is_sent_again_with_its_id_and_marked_as_asked_for(api, merchant, url, httpserver):
    endpoint = add(api, url, types=["order.created"])
    order = an_order(merchant)
    work_until_quiet()
    event = outbox.message_id(order.events.get())

    answer = act(api, endpoint, f"deliveries/{event}/redeliver")
    work_until_quiet()

    DeliveryAnswer.model_validate_json(answer.content)
    first, second = heard(httpserver)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event
    assert first.get_data() == second.get_data()
    listed = api.get(f"/api/v1/endpoints/{endpoint['id']}/deliveries")
    (delivery,) = DeliveriesAnswer.model_validate_json(listed.content).deliveries
    assert (delivery.state, delivery.tries, delivery.answer) == ("delivered", 2, "thanks")
    assert delivery.asked_by == f"key:{api.row.prefix}"


def test_sending_again_by_hand_does_not_switch_an_endpoint_off(api, merchant, httpserver):
    httpserver.expect_request("/gone").respond_with_data("gone", status=410)
    endpoint = add(api, httpserver.url_for("/gone"), types=["order.created"])
    order = an_order(merchant)
    Delivery.objects.update(state="delivered", due_at=None)

    act(api, endpoint, f"deliveries/{outbox.message_id(order.events.get())}/redeliver")
    work_until_quiet()

    assert Delivery.objects.get().state == "dead"
    assert Endpoint.objects.get().enabled


def test_nothing_is_sent_again_to_a_switched_off_endpoint(api, merchant, url):
    endpoint = add(api, url)
    order = an_order(merchant)
    act(api, endpoint, body={"enabled": False})

    answer = act(api, endpoint, f"deliveries/{outbox.message_id(order.events.get())}/redeliver")

    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_disabled")


def test_deliveries_are_found_by_state(api, merchant, url):
    endpoint = add(api, url)
    for _ in range(3):
        an_order(merchant)
    path = f"/api/v1/endpoints/{endpoint['id']}/deliveries"
    first = api.get(f"{path}?limit=2&state=waiting").json()

    assert len(first["deliveries"]) == 2
    assert len(api.get(f"{path}?limit=2&state=waiting&cursor={first['next_cursor']}").json()["deliveries"]) == 1
    assert api.get(f"{path}?state=dead").json()["deliveries"] == []
    assert api.get(f"{path}?state=gone").json()["field"] == "state"


@pytest.mark.parametrize(("status", "is_success"), [(204, True), (500, False), (302, False)])
def test_a_ping_tells_what_came_back(api, httpserver, status, is_success):
    httpserver.expect_request("/hear").respond_with_data("", status=status)
    endpoint = add(api, httpserver.url_for("/hear"))

    answer = act(api, endpoint, "ping")

    PingAnswer.model_validate_json(answer.content)
    assert (answer.json()["is_success"], answer.json()["answer_status"]) == (is_success, status)
    (request,) = heard(httpserver)
    told = Webhook(endpoint["secret"]).verify(request.get_data(), dict(request.headers))
    assert (told["type"], told["id"]) == ("ping", request.headers["webhook-id"])
    assert not Delivery.objects.exists()


def test_a_ping_never_reaches_a_private_address(api, httpserver, settings):
    httpserver.expect_request("/hear").respond_with_data("secret metadata")
    endpoint = add(api, httpserver.url_for("/hear"))
    settings.ALLOW_PRIVATE_ENDPOINTS = False

    answer = act(api, endpoint, "ping").json()

    assert (answer["is_success"], answer["answer_status"]) == (False, None)
    assert heard(httpserver) == []


def test_a_removed_endpoint_hears_of_nothing_and_cannot_be_had_back(api, merchant, url, httpserver):
    endpoint = add(api, url)
    an_order(merchant)

    def remove() -> int:
        path = f"/api/v1/endpoints/{endpoint['id']}"
        return int(api.client.delete(path, headers={"Authorization": f"Bearer {api.key}"}).status_code)

    assert [remove(), remove()] == [204, 204]
    an_order(merchant)
    Endpoint.objects.update(enabled=True)
    an_order(merchant)
    work_until_quiet()

    assert heard(httpserver) == []
    assert api.get("/api/v1/endpoints").json()["endpoints"] == []
    assert act(api, endpoint, body={"enabled": True}).status_code == 404


def test_there_are_not_endlessly_many_endpoints(api, url):
    for _ in range(20):
        add(api, url)

    assert api.post("/api/v1/endpoints", {"url": url}).json()["code"] == "too_many_endpoints"


# ------------------------------------------------------------------------------------------------------ further reading


def test_a_key_learns_who_it_is(merchant):
    an_account(merchant, name="Off", enabled=False)
    api = Api(merchant, scopes=["read", "orders:write"])

    answer = api.get("/api/v1/me")

    me = MeAnswer.model_validate_json(answer.content)
    assert (me.merchant.slug, me.mode, me.key.name, me.key.scopes) == (
        merchant.slug,
        "test",
        "test",
        ["read", "orders:write"],
    )
    assert [(account.provider, "card" in account.methods) for account in me.accounts] == [("acme", True)]
    assert api.key not in answer.content.decode()
    assert "acme-key" not in answer.content.decode()


def test_an_orders_payments_captures_and_refunds_are_listed(api, merchant):
    order = an_order(merchant)
    payment = a_payment(order, "instant")
    for amount in (100, 200):
        with transaction.atomic():
            intents.refund(locked(payment.pk), amount=amount)
    path = f"/api/v1/orders/{order.public_id}"

    payments = PaymentsAnswer.model_validate_json(api.get(f"{path}/payments").content).payments
    assert [(one.number, one.provider, one.status) for one in payments] == [(1, "acme", "captured")]
    assert [one["amount_minor"] for one in api.get(f"{path}/refunds").json()["refunds"]] == [100, 200]
    assert api.get(f"{path}/captures").json() == {"captures": []}


def test_disputes_are_listed_with_their_order(api, merchant):
    payment = a_payment(an_order(merchant), "instant")
    for number in range(3):
        Dispute.objects.create(
            merchant=merchant,
            mode="test",
            payment=payment,
            provider_reference=f"d{number}",
            stage="chargeback",
            amount=100,
            status="lost" if number else "open",
        )

    answer = api.get("/api/v1/disputes?limit=2")

    found = DisputesAnswer.model_validate_json(answer.content)
    assert [one.id for one in found.disputes] == ["d2", "d1"]
    assert found.disputes[0].order == payment.order.public_id
    rest = api.get(f"/api/v1/disputes?limit=2&cursor={found.next_cursor}").json()["disputes"]
    assert [one["id"] for one in rest] == ["d0"]
    assert [one["id"] for one in api.get("/api/v1/disputes?status=open").json()["disputes"]] == ["d0"]
    assert api.get("/api/v1/disputes?status=gone").json()["field"] == "status"


def test_a_cursor_ends_with_its_filters_also_for_events(api, merchant):
    for _ in range(2):
        an_order(merchant)
    cursor = api.get("/api/v1/events?limit=1").json()["next_cursor"]

    assert api.get(f"/api/v1/events?cursor={cursor}&type=order.created").status_code == 422
    assert api.get(f"/api/v1/orders?cursor={cursor}").status_code == 422


def test_a_replay_asks_for_nothing_older_than_its_time(api, merchant, url):
    with time_machine.travel(timezone.now() - timedelta(hours=2), tick=True):
        an_order(merchant)
    an_order(merchant)
    endpoint = add(api, url, types=["order.created"])
    since = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert act(api, endpoint, "replay", {"since": since}).json()["queued"] == 1
