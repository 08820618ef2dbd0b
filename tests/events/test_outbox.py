"""What merchants hear: signed, once queued never lost, repeated until heard."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.db import connection, transaction
from django.utils import timezone
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Response

from checkout import work
from checkout.events.models import Delivery, Endpoint
from checkout.events.outbox import RETRIES
from checkout.orders import timeline
from tests.factories import a_merchant, a_payment, an_account, an_order
from tests.flows.stage import work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _private_endpoints(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = True


@pytest.fixture
def merchant():
    merchant = a_merchant()
    an_account(merchant)
    return merchant


def listen(merchant, httpserver: HTTPServer, *, status: int = 200, **fields):
    httpserver.expect_request("/hear").respond_with_data("thanks", status=status)
    return Endpoint.create_for(merchant, "test", url=httpserver.url_for("/hear"), **fields)


def heard(httpserver: HTTPServer):
    return [request for request, _ in httpserver.log]


def test_a_payment_is_announced_signed_and_with_the_whole_order(merchant, httpserver):
    _, secret = listen(merchant, httpserver, types=["payment.succeeded"])
    order = an_order(merchant)

    a_payment(order, "instant")
    work_until_quiet()

    (request,) = heard(httpserver)
    event = Webhook(secret).verify(request.get_data(), dict(request.headers))
    assert (event["type"], event["data"]["order"]["status"]) == ("payment.succeeded", "paid")
    assert event["data"]["order"]["id"] == str(order.public_id)
    assert event["sequence"] == order.events.get(type="payment.succeeded").seq


def test_a_changed_body_does_not_verify(merchant, httpserver):
    _, secret = listen(merchant, httpserver, types=["payment.succeeded"])
    a_payment(an_order(merchant), "instant")
    work_until_quiet()

    (request,) = heard(httpserver)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.get_data() + b" ", dict(request.headers))


def test_two_secrets_sign_while_one_is_being_replaced(merchant, httpserver):
    endpoint, old = listen(merchant, httpserver, types=["order.created"])
    new = endpoint.rotate()

    an_order(merchant)
    work_until_quiet()

    (request,) = heard(httpserver)
    for secret in (old, new):
        assert Webhook(secret).verify(request.get_data(), dict(request.headers))["type"] == "order.created"


def test_a_failed_delivery_is_repeated_with_the_same_id_and_body(merchant, httpserver):
    answers = iter([500, 200])
    httpserver.expect_request("/hear").respond_with_handler(lambda request: Response("", status=next(answers)))
    Endpoint.create_for(merchant, "test", url=httpserver.url_for("/hear"), types=["order.created"])

    an_order(merchant)
    work_until_quiet()
    assert (Delivery.objects.get().state, Delivery.objects.get().answer_status) == ("waiting", 500)
    with time_machine.travel(timezone.now() + timedelta(seconds=70)):
        work_until_quiet()

    first, second = heard(httpserver)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.get_data() == second.get_data()
    assert (Delivery.objects.get().state, Delivery.objects.get().tries) == ("delivered", 2)


def test_a_dead_endpoint_is_given_up_after_its_schedule(merchant):
    Endpoint.create_for(merchant, "test", url="http://127.0.0.1:9/", types=["order.created"])
    an_order(merchant)

    moment = timezone.now()
    for delay in (timedelta(0), *RETRIES):
        moment += delay * 1.2 + timedelta(seconds=61)
        with time_machine.travel(moment):
            work_until_quiet()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.due_at) == ("dead", len(RETRIES) + 1, None)


def test_410_stops_everything_at_this_endpoint(merchant, httpserver):
    endpoint, _ = listen(merchant, httpserver, status=410, types=["order.created"])

    an_order(merchant)
    work_until_quiet()
    an_order(merchant)
    work_until_quiet()

    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert len(heard(httpserver)) == 1


def test_a_redirect_is_not_followed(merchant, httpserver):
    httpserver.expect_request("/hear").respond_with_data("", status=302, headers={"Location": "/elsewhere"})
    Endpoint.create_for(merchant, "test", url=httpserver.url_for("/hear"), types=["order.created"])

    an_order(merchant)
    work_until_quiet()

    assert [request.path for request in heard(httpserver)] == ["/hear"]


def test_in_earnest_nothing_on_this_machine_is_told(merchant, httpserver, settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    listen(merchant, httpserver, types=["order.created"])

    an_order(merchant)
    work_until_quiet()

    assert heard(httpserver) == []
    assert (Delivery.objects.get().answer_status, Delivery.objects.get().answer) == (None, "Use an https address.")


def test_neither_another_merchant_nor_another_mode_hears(merchant, httpserver):
    listen(a_merchant(), httpserver)
    httpserver.expect_request("/live").respond_with_data("thanks")
    Endpoint.create_for(merchant, "live", url=httpserver.url_for("/live"))

    a_payment(an_order(merchant), "instant")
    work_until_quiet()

    assert heard(httpserver) == []


def test_an_event_has_one_id_in_header_and_body_and_a_number_that_grows(merchant, httpserver):
    listen(merchant, httpserver)
    order = an_order(merchant)

    a_payment(order, "instant")
    work_until_quiet()

    events = [(request.headers["webhook-id"], json.loads(request.get_data())) for request in heard(httpserver)]
    assert [name for name, _ in events] == [body["id"] for _, body in events]
    assert all(re.fullmatch(r"evt_[0-9a-f]{32}", name) for name, _ in events)
    told = [(body["sequence"], body["type"]) for _, body in events]
    assert sorted(told) == [
        (event.seq, event.type) for event in order.events.order_by("seq") if event.type in timeline.PUBLIC
    ]
    assert {body["mode"] for _, body in events} == {"test"}


def test_the_verifiers_published_example_agrees_with_our_signature():
    """From the Standard Webhooks specification's own libraries."""
    secret, message_id, body = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        '{"test": 2432232314}',
    )
    moment = datetime.fromtimestamp(1614265330, UTC)

    assert Webhook(secret).sign(message_id, moment, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_rolled_back_is_not_told(merchant, httpserver):
    listen(merchant, httpserver)

    with transaction.atomic():
        an_order(merchant)
        transaction.set_rollback(True)
    work_until_quiet()

    assert heard(httpserver) == []
    assert not Delivery.objects.exists()


def test_several_workers_tell_everything_and_each_thing_once(merchant, httpserver):
    listen(merchant, httpserver, types=["order.created"])
    orders = [an_order(merchant) for _ in range(12)]

    def work_on() -> None:
        for _ in range(12):
            work.run_due(per_queue=1)
        connection.close()

    workers = [threading.Thread(target=work_on) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    told = [json.loads(request.get_data())["data"]["order"]["id"] for request in heard(httpserver)]
    assert sorted(told) == sorted(str(order.public_id) for order in orders)


def test_a_worker_that_dies_after_sending_sends_the_same_again(merchant, httpserver, monkeypatch):
    listen(merchant, httpserver, types=["order.created"])
    an_order(merchant)

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "save", lambda self, **fields: _die(fields))
        with pytest.raises(KeyboardInterrupt):
            work.run_due()
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        work_until_quiet()

    first, second = heard(httpserver)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.get_data() == second.get_data()


def _die(fields) -> None:
    if "state" in fields["update_fields"]:
        raise KeyboardInterrupt


def test_a_slow_endpoint_rests_and_does_not_hold_up_the_others(merchant, httpserver):
    httpserver.expect_request("/slow").respond_with_handler(lambda request: (time.sleep(1.1), Response(""))[1])
    Endpoint.create_for(merchant, "test", url=httpserver.url_for("/slow"), types=["order.created"])
    for _ in range(10):
        an_order(merchant)
    listen(merchant, httpserver, types=["order.created"])
    an_order(merchant)

    started = time.monotonic()
    work_until_quiet()

    assert time.monotonic() - started < 4
    assert [request.path for request in heard(httpserver)] == ["/slow", "/hear"]
    assert Delivery.objects.filter(state="waiting", tries=0).count() == 10


def test_a_slow_endpoint_is_told_everything_in_the_end(merchant, httpserver):
    naps = iter([1.1])
    httpserver.expect_request("/hear").respond_with_handler(
        lambda request: (time.sleep(next(naps, 0)), Response(""))[1]
    )
    Endpoint.create_for(merchant, "test", url=httpserver.url_for("/hear"), types=["order.created"])
    for _ in range(3):
        an_order(merchant)
    work_until_quiet()
    assert Delivery.objects.filter(state="delivered").count() == 1

    for seconds in (10, 20, 30):
        with time_machine.travel(timezone.now() + timedelta(seconds=seconds)):
            work_until_quiet()

    assert Delivery.objects.filter(state="delivered").count() == 3
    assert Endpoint.objects.get().rests_until is None


def test_what_was_queued_for_an_endpoint_that_is_switched_off_waits_unsent(merchant, httpserver):
    listen(merchant, httpserver, types=["order.created"])
    an_order(merchant)
    Endpoint.objects.update(enabled=False)
    work_until_quiet()

    assert heard(httpserver) == []
    assert (Delivery.objects.get().state, Delivery.objects.get().due_at) == ("waiting", None)


def test_a_secret_that_cannot_be_opened_is_said_and_tried_again_later(merchant, httpserver, settings):
    listen(merchant, httpserver, types=["order.created"])
    an_order(merchant)

    settings.SEAL_KEYS = [Fernet.generate_key().decode()]
    work_until_quiet()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries) == ("waiting", 1)
    assert "SEAL_KEYS" in delivery.answer
    assert heard(httpserver) == []


def test_the_answer_is_kept_without_secrets(merchant, httpserver):
    httpserver.expect_request("/hear").respond_with_data("token=abc123 and card 4242424242424242", status=500)
    Endpoint.create_for(merchant, "test", url=httpserver.url_for("/hear"), types=["order.created"])

    an_order(merchant)
    work_until_quiet()

    delivery = Delivery.objects.get()
    assert "abc123" not in delivery.answer
    assert "4242" not in delivery.answer
    assert (delivery.answer_status, delivery.latency_ms is not None) == (500, True)


def test_the_waits_between_attempts_are_those_that_are_documented():
    minutes = [wait.total_seconds() / 60 for wait in RETRIES]

    assert minutes == [1, 5, 30, 2 * 60, 6 * 60, 12 * 60, 24 * 60, 24 * 60]


def test_secrets_rest_sealed(merchant, httpserver):
    endpoint, secret = listen(merchant, httpserver)

    assert secret.encode() not in bytes(endpoint.sealed_secret)
    assert secret not in repr(vars(endpoint))
