"""The demonstration's shop by itself: what it sends, what it believes, what it remembers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.urls import include, path
from standardwebhooks import Webhook

from checkout.demo.shop import PRODUCTS, CheckoutAway, NotGenuine, Shop

# The shop is mounted by the demonstration only.
urlpatterns = [path("shop/", include("checkout.demo.urls"))]
pytestmark = pytest.mark.urls(__name__)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ORDERS = "/api/v1/orders"


@pytest.fixture
def shop(tmp_path, httpserver, monkeypatch) -> Shop:
    (tmp_path / "shop.json").write_text(json.dumps({"api_key": "sk_test_x", "webhook_secret": SECRET}))
    monkeypatch.setenv("BASE_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("SHOP_KEYS", str(tmp_path / "shop.json"))
    monkeypatch.setenv("SHOP_NOTEBOOK", str(tmp_path / "heard.jsonl"))
    return Shop.open()


def test_it_sells_through_the_public_api(shop, httpserver):
    httpserver.expect_request(ORDERS, method="POST").respond_with_json({"url": "http://pay"}, status=201)

    assert shop.sell(PRODUCTS[0]) == "http://pay"

    request = httpserver.log[0][0]
    sent = request.get_json()
    assert request.headers["Authorization"] == "Bearer sk_test_x"
    assert (sent["amount_minor"], sent["currency"]) == (3400, "EUR")
    assert sent["success_url"].endswith(f"/shop/thanks?order={sent['reference']}")


def test_a_second_try_carries_the_same_idempotency_key(shop, httpserver):
    httpserver.expect_ordered_request(ORDERS).respond_with_data(status=503)
    httpserver.expect_ordered_request(ORDERS).respond_with_json({"url": "http://pay"}, status=201)

    assert shop.sell(PRODUCTS[0]) == "http://pay"

    first, second = (request for request, _ in httpserver.log)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.data == second.data


def test_a_refusal_is_not_tried_again(shop, httpserver):
    httpserver.expect_request(ORDERS).respond_with_json({}, status=401)

    with pytest.raises(CheckoutAway, match="401"):
        shop.sell(PRODUCTS[0])

    assert len(httpserver.log) == 1


def test_what_is_signed_is_heard_once(shop):
    for number in (1, 2, 2):
        shop.hear(told(number), signed(told(number)))

    assert [event.id for event in shop.heard()] == ["evt_2", "evt_1"]
    assert shop.is_paid("FC-AAAAAA")
    assert not shop.is_paid("FC-BBBBBB")


def test_a_notebook_that_grew_long_is_read_from_its_end(shop):
    for number in range(600):
        shop.hear(told(number), signed(told(number)))

    heard = shop.heard()

    assert heard[0].id == "evt_599"
    assert 10 < len(heard) < 600


@pytest.mark.parametrize(
    "forgery", ["unsigned", "other body", "other secret", "garbage", "a list", "no order", "bytes"]
)
def test_what_is_not_genuine_is_not_heard(shop, forgery):
    body, headers = {
        "unsigned": lambda: (told(), {}),
        "other body": lambda: (told(), signed(told(2))),
        "other secret": lambda: (told(), signed(told(), secret="whsec_" + "A" * 32)),
        "garbage": lambda: (told(), signed(told()) | {"Webhook-Signature": "nonsense"}),
        "a list": lambda: (b"[]", signed(b"[]")),
        "no order": lambda: (b"{}", signed(b"{}")),
        "bytes": lambda: (b"\xff", signed(b"{}")),
    }[forgery]()

    with pytest.raises(NotGenuine):
        shop.hear(body, headers)

    assert shop.heard() == []


def test_buying_leads_to_the_checkout(shop, client, httpserver):
    httpserver.expect_request(ORDERS).respond_with_json({"url": "http://pay/1"}, status=201)

    answer = client.post("/shop/buy", {"product": "fern-mug"})

    assert (answer.status_code, answer["Location"]) == (303, "http://pay/1")
    assert not answer.cookies


def test_a_refused_order_is_said_on_the_page(shop, client, httpserver):
    httpserver.expect_request(ORDERS).respond_with_json({}, status=401)

    answer = client.post("/shop/buy", {"product": "fern-mug"})

    assert answer.status_code == 503
    assert "Nothing was sold and nothing was charged" in answer.content.decode()


def test_what_is_not_on_the_shelf_is_not_sold(shop, client, httpserver):
    assert client.post("/shop/buy", {"product": "moon"}).status_code == 404
    assert client.get("/shop/basket?product=moon")["Location"] == "/shop/"
    assert not httpserver.log


def test_the_thanks_wait_for_a_webhook(shop, client):
    before = client.get("/shop/thanks?order=FC-AAAAAA")
    posted = client.post("/shop/webhooks", told(), content_type="application/json", headers=signed(told()))
    after = client.get("/shop/thanks?order=FC-AAAAAA")

    assert "Waiting for the payment" in before.content.decode()
    assert before["Refresh"] == "2; url=/shop/thanks?order=FC-AAAAAA&look=2"
    assert posted.status_code == 204
    assert "Thank you" in after.content.decode()
    assert "Refresh" not in after


def test_the_thanks_do_not_look_for_ever(shop, client):
    answer = client.get("/shop/thanks?order=FC-AAAAAA&look=20")

    assert "Refresh" not in answer
    assert "do not pay twice" in answer.content.decode()


@pytest.mark.parametrize("query", ["", "?order=", "?order=<b>", "?order=FC-AAAAAAA"])
def test_thanks_for_no_order_of_ours_lead_to_the_shop(shop, client, query):
    assert client.get(f"/shop/thanks{query}")["Location"] == "/shop/"


def test_the_last_ten_events_are_shown(shop, client):
    for number in range(12):
        shop.hear(told(number), signed(told(number)))

    page = client.get("/shop/").content.decode()

    assert page.count("payment.succeeded") == 10


def told(number: int = 1) -> bytes:
    order = {"reference": "FC-AAAAAA", "status": "paid"}
    return json.dumps({"id": f"evt_{number}", "type": "payment.succeeded", "data": {"order": order}}).encode()


def signed(body: bytes, *, secret: str = SECRET) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("evt", now, body.decode())
    return {"Webhook-Id": "evt", "Webhook-Timestamp": str(int(now.timestamp())), "Webhook-Signature": signature}
