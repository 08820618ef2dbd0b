"""What merchants hear: signed, once queued never lost, repeated until heard."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug import Response

from checkout.events.models import Delivery, Endpoint
from checkout.events.outbox import RETRIES
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


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "127.1"]
)
def test_private_addresses_are_never_called(merchant, httpserver, settings, host):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    httpserver.expect_request("/hear").respond_with_data("thanks")
    Endpoint.create_for(merchant, "test", url=f"http://{host}:{httpserver.port}/hear", types=["order.created"])

    an_order(merchant)
    work_until_quiet()

    assert heard(httpserver) == []
    assert Delivery.objects.get().answer_status is None


def test_neither_another_merchant_nor_another_mode_hears(merchant, httpserver):
    listen(a_merchant(), httpserver)
    httpserver.expect_request("/live").respond_with_data("thanks")
    Endpoint.create_for(merchant, "live", url=httpserver.url_for("/live"))

    a_payment(an_order(merchant), "instant")
    work_until_quiet()

    assert heard(httpserver) == []


def test_secrets_rest_sealed(merchant, httpserver):
    endpoint, secret = listen(merchant, httpserver)

    assert secret.encode() not in bytes(endpoint.sealed_secret)
    assert secret not in repr(vars(endpoint))
