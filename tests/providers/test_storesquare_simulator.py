"""The StoreSquare simulator against its brief, over real HTTP. Signatures are computed here, from the brief alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from providers.simulation import Simulation
from providers.simulation.masking import passes_luhn
from providers.simulation.server import serving
from providers.storesquare import simulator as storesquare
from providers.storesquare import simulator_signing as signing
from providers.storesquare.simulator_profile import Profile, merged

APP, SECRET = "086000000000001", "sim_secret_3f9a1c5e7b2d4860"
CARDS_APP, CARDS_SECRET = "086000000000002", "sim_secret_8c2e6b0d4f1a9753"
GOOD, CHALLENGED, NO_MONEY = "4444333322221111", "4000000000002503", "4000000000009995"
PATHS = {
    "session_create": "/v1/checkout/sessions",
    "payment_create": "/v1/payments",
    "token_payment": "/v1/payments/token",
    "capture": "/v1/payments/capture",
    "inquiry": "/v1/payments/inquiry",
    "cancel": "/v1/payments/cancel",
    "refund": "/v1/refunds",
    "tracking_get": "/v1/trackings/retrieve",
    "tracking_add": "/v1/trackings",
    "tracking_batch": "/v1/trackings/batch",
    "tracking_update": "/v1/trackings/update",
    "subscribe": "/v1/webhooks/subscribe",
}
FRONT = "https://shop.example/r?o=1"
RETRIES = (15, 60, 300, 1800, 7200, 21600, 86400)


def hmac_ts_body(secret: str, timestamp: str, raw: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + raw, hashlib.sha256).hexdigest()


def sha256_body_secret(secret: str, timestamp: str, raw: bytes) -> str:
    return hashlib.sha256(raw + secret.encode()).hexdigest()


def sha256_sorted_kv(secret: str, timestamp: str, raw: bytes) -> str:
    pairs = []
    for name, value in sorted(json.loads(raw)["data"].items()):
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
        pairs.append(f"{name}={text}")
    return hashlib.sha256("&".join([*pairs, f"key={secret}"]).encode()).hexdigest()


SIGNERS = {
    "hmac_ts_body": hmac_ts_body,
    "sha256_body_secret": sha256_body_secret,
    "sha256_sorted_kv": sha256_sorted_kv,
}


@dataclass
class Shop:
    """A merchant's webhook address: remembers what came and answers as told."""

    url: str = ""
    replies: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(raw) for _, _, raw in self.got]

    @property
    def types(self) -> list[str]:
        return [body["eventType"] for body in self.bodies]

    def assert_genuine(self, preset: str = "hmac_ts_body", secret: str = SECRET) -> None:
        assert self.got
        for _, headers, raw in self.got:
            assert headers["x-signature"] == SIGNERS[preset](secret, headers["x-timestamp"], raw)


@pytest.fixture(scope="module")
def shop_server() -> Iterator[Shop]:
    shop = Shop()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with shop.lock:
                shop.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, raw))
                status = shop.replies.pop(0) if shop.replies else 200
            self.send_response(status)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"success")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    shop.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield shop
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulation, str, Path]]:
    path = tmp_path_factory.mktemp("simulation") / "state.sqlite3"
    with serving(path, webhook_time_out_s=2) as (simulation, url):
        yield simulation, url, path


@pytest.fixture
def shop(shop_server: Shop) -> Shop:
    shop_server.replies.clear()
    shop_server.got.clear()
    return shop_server


class Api:
    """A merchant's side of the API, a shopper's browser, and the operator's."""

    def __init__(self, simulation: Simulation, url: str, shop: Shop) -> None:
        self.simulation, self.url, self.shop = simulation, url, shop
        self.base = f"{url}/storesquare"
        self.session = requests.Session()
        self.session.trust_env = False
        self.tokens: dict[str, str] = {}
        self.numbers = itertools.count(1)

    def token(self, app: str = APP, secret: str = SECRET) -> str:
        answer = self.raw("/v1/auth/token", {"appId": app, "secret": secret}, token=None)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["accessToken"])

    def raw(self, path: str, body: Any, *, token: str | None = "", app: str = APP, **options: Any) -> requests.Response:
        """Any call. The token is fetched when none is given; None sends none."""
        if token == "":
            if app not in self.tokens:
                self.tokens[app] = self.token(app, SECRET if app == APP else CARDS_SECRET)
            token = self.tokens[app]
        headers = {"Content-Type": "application/json; charset=utf-8"} | options.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.session.post(self.base + path, data=sent, headers=headers, timeout=options.pop("timeout", 10))

    def call(self, operation: str, body: Any, **options: Any) -> dict[str, Any]:
        """A call that succeeds: its ``data``."""
        answer = self.raw(PATHS[operation], body, **options)
        assert answer.status_code == 200, answer.text
        whole = answer.json()
        assert whole["code"] == "0000", whole
        assert whole["requestId"].startswith("req_")
        return dict(whole["data"])

    def refused(self, operation: str, body: Any, **options: Any) -> tuple[int, str, str]:
        """HTTP status, code and named field of a call that fails."""
        answer = self.raw(PATHS[operation], body, **options)
        whole = answer.json()
        return answer.status_code, whole["code"], (whole["data"] or {}).get("field", "")

    def order_no(self) -> str:
        return f"ORDER-{next(self.numbers):04d}"

    def session_body(self, **changes: Any) -> dict[str, Any]:
        whole = {
            "amount": "100.99",
            "currency": "USD",
            "orderNo": self.order_no(),
            "frontUrl": FRONT,
            "notificationUrl": f"{self.shop.url}/hook",
            "linkMode": "session",
        } | changes
        return {name: value for name, value in whole.items() if value is not None}

    def body(self, method: str, **changes: Any) -> dict[str, Any]:
        """A valid direct payment; a change to None leaves the member out."""
        browser = {
            "acceptHeader": "text/html",
            "userAgent": "Test",
            "javaEnable": False,
            "javascriptEnable": True,
            "colorDepth": "24",
        }
        whole: dict[str, Any] = {
            "amount": "100.99",
            "currency": "USD",
            "orderNo": self.order_no(),
            "paymentMethodType": method,
            "deviceInfo": {"clientIp": "192.0.2.1", "browser": browser},
            "frontUrl": FRONT,
            "notificationUrl": f"{self.shop.url}/hook",
        } | changes
        return {name: value for name, value in whole.items() if value is not None}

    def card_body(self, number: str = GOOD, *, mode: str | None = None, store: bool = False, **changes: Any) -> Any:
        """``mode`` is threeDsMode; changes whose name is a card's member go into the card."""
        card: dict[str, Any] = {
            "cardNo": number,
            "cvc": "1234" if number.startswith("34") else "123",
            "expiryMonth": "12",
            "expiryYear": "2039",
            "firstName": "Ann",
            "lastName": "Buyer",
        }
        for name in (*card, "captureMethod"):
            if name in changes:
                card[name] = changes.pop(name)
        card = {name: value for name, value in card.items() if value is not None}
        billing = {"email": "ann@example.com", "address": {"line1": "1 Road", "country": "GB"}}
        if store:
            billing |= {"storedcredentials": "store", "customerInitiatedReason": "UNSCHEDULED"}
        return self.body("card", **{"card": card, "billing": billing, "threeDsMode": mode} | changes)

    def wallet_body(self, method: str = "payNow", kind: str = "qr-code", **changes: Any) -> dict[str, Any]:
        return self.body(method, **{method: {"productType": kind}, "currency": "SGD"} | changes)

    def pay(self, number: str = GOOD, **options: Any) -> dict[str, Any]:
        return self.call("payment_create", self.card_body(number, **options))

    def inquire(self, order_no: str) -> dict[str, Any]:
        return self.call("inquiry", {"orderNo": order_no})

    def refund(self, order_no: str, amount: str, number: str = "R-0001", **changes: Any) -> dict[str, Any]:
        return self.call("refund", refund_body(order_no, amount, number, **changes))

    def operator(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.session.request(method, f"{self.url}/_sim/{path}", json=body or None, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def app(self, **settings: Any) -> None:
        self.operator("POST", "storesquare/apps", **{"app_id": APP} | settings)

    def dial(self, name: str, value: Any = None, **options: Any) -> None:
        self.operator("POST", "storesquare/dials", name=name, value=value, **options)

    def jump(self, seconds: float = 1) -> None:
        self.operator("POST", "clock", advance_seconds=seconds)
        self.tokens.clear()  # they may have ended on the way

    def event(self, id: str, event: str, **members: Any) -> dict[str, Any]:
        return self.operator("POST", f"storesquare/orders/{id}/events", event=event, **members)

    def books(self, kind: str) -> list[int]:
        entries = self.operator("GET", "storesquare/ledger")["entries"]
        return [entry["amount"] for entry in entries if entry["kind"] == kind]

    def click(self, page: str, **form: str) -> requests.Response:
        return self.session.post(page, data=form, allow_redirects=False, timeout=10)

    def at_cashier(self, page: str, number: str = GOOD, **changes: str) -> requests.Response:
        typed = {"month": "12", "year": "2035", "cvc": "123", "first_name": "Ann", "last_name": "Buyer"}
        return self.click(page, **{"method": "card", "number": number} | typed | changes)

    def follow(self, answer: requests.Response) -> str:
        """The address that a page sends the browser to, made absolute."""
        assert answer.status_code == 303, answer.text
        return requests.compat.urljoin(answer.url, answer.headers["Location"])


def refund_body(order_no: str, amount: str, number: str = "R-0001", **changes: Any) -> dict[str, Any]:
    whole = {
        "orderNo": order_no,
        "amount": amount,
        "refundNumber": number,
        "clientIp": "192.0.2.9",
        "reason": "returned",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def returned(address: str) -> dict[str, str]:
    """The hints that the shop's return address was given."""
    assert address.startswith("https://shop.example/r?o=1&")
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@pytest.fixture
def api(running: tuple[Simulation, str, Path], shop: Shop) -> Iterator[Api]:
    simulation, url, _ = running
    simulation.webhooks.settle()
    simulation.reset()
    one = Api(simulation, url, shop)
    yield one
    one.session.close()


# --- profile and signatures ----------------------------------------------------------------------------------------

VECTOR = (
    b'{"apiVersion":"20250703","appId":"086000000000001","eventId":"evt_0000000001","eventType":"payment.succeeded",'
    b'"eventTime":"2025-07-03T08:00:05Z","data":{"orderNo":"20250703000001","tradeNo":"202507030800050000001",'
    b'"paymentMethodType":"card","amount":"100.99","currency":"USD","status":"SUCCESS"}}'
)
DIGESTS = {
    "hmac_ts_body": "5c7031b965f895328badfd75c8632125eee13f5b76d047757f6b4102c6cac173",
    "sha256_body_secret": "9ac9f1951fbde9307d848d1eb30b6683a7fb3121905ac76ed85ea66bb33f041c",
    "sha256_sorted_kv": "9cbb65309ca7e1b686f030644e3c63b82bc08defbb15679b9fc11951bb82e17f",
}


@pytest.mark.parametrize("preset", DIGESTS)
def test_the_published_vectors(preset: str) -> None:
    assert len(VECTOR) == 296
    described = Profile.corrected("")["webhook.presets"][preset]
    assert signing.digest(described, SECRET, "1751529605000", VECTOR) == DIGESTS[preset]
    assert SIGNERS[preset](SECRET, "1751529605000", VECTOR) == DIGESTS[preset]


def test_the_other_encodings() -> None:
    preset = Profile.corrected("")["webhook.presets.hmac_ts_body"]
    right = DIGESTS["hmac_ts_body"]
    upper = signing.digest(preset | {"encoding": "hex_upper"}, SECRET, "1751529605000", VECTOR)
    plain = signing.digest(preset | {"encoding": "base64"}, SECRET, "1751529605000", VECTOR)
    assert upper == right.upper()
    assert base64.b64decode(plain).hex() == right


def test_sorted_members_leave_out_empty_ones_and_the_digest_itself() -> None:
    preset = Profile.corrected("")["webhook.presets.sha256_sorted_kv"] | {"source": "body:data.sign"}
    raw = json.dumps({"data": {"b": True, "a": {"y": 1, "x": "é"}, "c": None, "d": "", "sign": "zz"}}).encode()
    text = 'a={"x":"é","y":1}&b=true&key=' + SECRET
    assert signing.digest(preset, SECRET, "", raw) == hashlib.sha256(text.encode()).hexdigest()


def test_a_body_that_contains_the_words_of_the_template_is_signed_as_it_is() -> None:
    preset = Profile.corrected("")["webhook.presets.sha256_body_secret"]
    raw = b'{"data":{"description":"{secret}{body}"}}'
    assert signing.digest(preset, SECRET, "", raw) == hashlib.sha256(raw + SECRET.encode()).hexdigest()


def test_corrections_are_merged_over_the_shipped_profile() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert merged(base, {"a": {"c": [3]}, "e": 4}) == {"a": {"b": 1, "c": [3]}, "d": 2, "e": 4}
    profile = Profile.corrected('{"endpoints": {"refund": {"path": "/x"}}}')
    assert profile["endpoints.refund"] == {"method": "POST", "path": "/x", "auth": True}
    assert Profile.corrected("")["endpoints.refund.path"] == "/v1/refunds"


# --- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_given_for_the_right_secret(api: Api) -> None:
    answer = api.raw("/v1/auth/token", {"appId": APP, "secret": SECRET}, token=None).json()
    assert answer["code"] == "0000"
    assert answer["data"].keys() == {"accessToken", "tokenType", "expiresIn"}
    assert (answer["data"]["tokenType"], answer["data"]["expiresIn"]) == ("Bearer", 3600)


@pytest.mark.parametrize(
    ("body", "status", "code", "wrong"),
    [
        ({"appId": APP, "secret": "guess"}, 401, "2001", ""),
        ({"appId": "086000000000009", "secret": SECRET}, 401, "2001", ""),
        ({"appId": APP, "secret": CARDS_SECRET}, 401, "2001", ""),
        ({"appId": APP}, 400, "1002", "secret"),
        ({"secret": SECRET}, 400, "1002", "appId"),
        ({"appId": 86, "secret": SECRET}, 400, "1001", "appId"),
        (b"{", 400, "1003", ""),
        (b"[]", 400, "1001", ""),
        (b'{"appId": NaN}', 400, "1003", ""),
    ],
)
def test_a_wrong_token_request_is_refused(api: Api, body: Any, status: int, code: str, wrong: str) -> None:
    answer = api.raw("/v1/auth/token", body, token=None)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (answer.json()["data"] or {}).get("field", "") == wrong


@pytest.mark.parametrize("token", [None, "garbage", "é"])
def test_without_a_good_token_nothing_is_done(api: Api, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    answer = api.raw(PATHS["inquiry"], {"orderNo": "ORDER-0001"}, token=None, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "2002")


def test_a_token_ends_and_a_new_one_leaves_the_old_ones_alone(api: Api) -> None:
    api.app(token_lifetime_s=2.0)
    first = api.token()
    api.jump(1)
    second = api.token()
    body = {"orderNo": "ORDER-0001"}
    assert api.refused("inquiry", body, token=first) == (404, "3002", "")
    api.jump(1.5)
    assert api.refused("inquiry", body, token=first) == (401, "2003", "")
    assert api.refused("inquiry", body, token=second) == (404, "3002", "")


def test_the_expired_token_dial_acts_once_and_does_nothing(api: Api) -> None:
    api.dial("expired_token", next=1)
    body = api.card_body()
    assert api.refused("payment_create", body)[:2] == (401, "2003")
    assert api.books("charge") == []
    assert api.call("payment_create", body)["status"] == "SUCCESS"


def test_two_apps_do_not_see_each_other(api: Api) -> None:
    paid = api.pay(store=True)
    other = {"app": CARDS_APP}
    assert api.refused("inquiry", {"orderNo": paid["orderNo"]}, **other)[:2] == (404, "3002")
    assert api.refused("inquiry", {"tradeNo": paid["tradeNo"]}, **other)[:2] == (404, "3002")
    assert api.refused("refund", refund_body(paid["orderNo"], "1.00"), **other)[:2] == (404, "3002")
    token = {"amount": "1.00", "orderNo": "TOKEN-01", "expiryMonth": "12", "expiryYear": "2039"}
    token["transactionIdentifier"] = paid["transactionIdentifier"]
    assert api.refused("token_payment", token, **other)[:2] == (404, "3009")
    same_number = api.card_body(orderNo=paid["orderNo"])
    assert api.call("payment_create", same_number, **other)["status"] == "SUCCESS"


def test_the_second_app_takes_cards_only(api: Api) -> None:
    assert api.refused("payment_create", api.wallet_body(), app=CARDS_APP) == (400, "3008", "paymentMethodType")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/payments", 405), ("POST", "/v1/nowhere", 404)])
def test_unknown_paths_and_methods_answer_in_the_envelope(api: Api, method: str, path: str, status: int) -> None:
    answer = api.session.request(method, api.base + path, timeout=10)
    assert answer.status_code == status
    assert answer.json()["code"] == "1001"


def test_another_content_type_is_not_read(api: Api) -> None:
    answer = api.raw(PATHS["inquiry"], {"orderNo": "ORDER-0001"}, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (400, "1003")


# --- what a request must be ----------------------------------------------------------------------------------------

SESSION_MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": None}, "1002", "amount"),
    ({"amount": 100.99}, "1001", "amount"),
    ({"amount": 100}, "1001", "amount"),
    ({"amount": "0.00"}, "1001", "amount"),
    ({"amount": "-1.00"}, "1001", "amount"),
    ({"amount": "1.001"}, "1001", "amount"),
    ({"amount": "1,000.00"}, "1001", "amount"),
    ({"amount": "1e3"}, "1001", "amount"),
    ({"amount": "10.50", "currency": "JPY"}, "1001", "amount"),
    ({"amount": "1.234", "currency": "KWD"}, "1001", "amount"),
    ({"currency": None}, "1002", "currency"),
    ({"currency": "usd"}, "1001", "currency"),
    ({"currency": "QQQ"}, "3007", "currency"),
    ({"orderNo": None}, "1002", "orderNo"),
    ({"orderNo": "1234"}, "1001", "orderNo"),
    ({"orderNo": "1" * 65}, "1001", "orderNo"),
    ({"orderNo": "with space"}, "1001", "orderNo"),
    ({"orderNo": 1234567}, "1001", "orderNo"),
    ({"captureMethod": "later"}, "1001", "captureMethod"),
    ({"description": "x" * 26}, "1001", "description"),
    ({"expiryTime": "29"}, "1001", "expiryTime"),
    ({"expiryTime": "121"}, "1001", "expiryTime"),
    ({"expiryTime": 60}, "1001", "expiryTime"),
    ({"expiryTime": "1h"}, "1001", "expiryTime"),
    ({"fraudMode": "yes"}, "1001", "fraudMode"),
    ({"frontUrl": "https://shop.example/" + "x" * 110}, "1001", "frontUrl"),
    ({"frontUrl": "javascript:alert(1)"}, "1001", "frontUrl"),
    ({"linkMode": "link"}, "1001", "linkMode"),
    ({"notificationUrl": "http://shop.example/hook"}, "1001", "notificationUrl"),
    ({"threeDsMode": "no、auto、standard"}, "1001", "threeDsMode"),
    ({"productInfo": {"productName": "x"}}, "1001", "productInfo"),
    ({"productInfo": [{"productName": "x", "price": "1.00"}]}, "1002", "productInfo[0].quantity"),
    ({"productInfo": [{"productName": "x", "price": 1, "quantity": "1"}]}, "1001", "productInfo[0].price"),
    ({"shipping": {"address": {"country": "GBR"}}}, "1001", "shipping.address.country"),
]


@pytest.mark.parametrize(("changes", "code", "wrong"), SESSION_MISTAKES)
def test_a_session_with_a_mistake_is_refused(api: Api, changes: dict[str, Any], code: str, wrong: str) -> None:
    assert api.refused("session_create", api.session_body(**changes)) == (400, code, wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"expiryTime": "30"},
        {"expiryTime": "120"},
        {"orderNo": "12345"},
        {"orderNo": "x" * 64},
        {"description": "x" * 25},
        {"unknown": {"field": 1}},
        {"amount": "1000", "currency": "JPY"},
        {"amount": "1.23", "currency": "KWD"},
        {"frontUrl": None, "notificationUrl": None},
        {"shipping": {"firstName": "A", "phone": {"countryCode": "44", "number": "7000"}}},
    ],
)
def test_a_session_within_the_limits_is_made(api: Api, changes: dict[str, Any]) -> None:
    made = api.call("session_create", api.session_body(**changes))
    assert made.keys() == {"orderNo", "sessionId", "url", "tradeNo", "expireTime", "status"}
    assert made["status"] == "INIT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["expireTime"])


PAYMENT_MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"paymentMethodType": None}, "1002", "paymentMethodType"),
    ({"paymentMethodType": "x" * 21}, "1001", "paymentMethodType"),
    ({"paymentMethodType": "upi"}, "3008", "paymentMethodType"),
    ({"deviceInfo": None}, "1002", "deviceInfo"),
    ({"deviceInfo": {"browser": {}}}, "1002", "deviceInfo.clientIp"),
    ({"deviceInfo": {"clientIp": "not an address"}}, "1001", "deviceInfo.clientIp"),
    ({"deviceInfo": {"clientIp": "192.0.2.1"}}, "1002", "deviceInfo.browser"),
    ({"description": "x" * 51}, "1001", "description"),
    ({"billing": None}, "1002", "billing"),
    ({"billing": {"birthday": "1.1.1990"}}, "1001", "billing.birthday"),
    ({"billing": {"storedcredentials": "none/store"}}, "1001", "billing.storedcredentials"),
    ({"billing": {"customerInitiatedReason": "RECURRING"}}, "1001", "billing.customerInitiatedReason"),
    (
        {"billing": {"storedcredentials": "store", "customerInitiatedReason": "INSTALMENT"}},
        "1001",
        "billing.customerInitiatedReason",
    ),
    ({"frontUrl": None}, "1002", "frontUrl"),
    ({"billingDesc": "My shop"}, "2004", "billingDesc"),
    ({"threeDsData": {"eci": "05"}}, "1002", "threeDsData.authenticationResultCode"),
    ({"threeDsData": {"authenticationResultCode": "X", "eci": "05"}}, "1001", "threeDsData.authenticationResultCode"),
    ({"threeDsData": {"authenticationResultCode": "Y", "eci": "5"}}, "1001", "threeDsData.eci"),
    ({"card": None}, "1002", "card"),
    ({"cardNo": None}, "1002", "card.cardNo"),
    ({"cardNo": "4444333322221112"}, "1001", "card.cardNo"),
    ({"cardNo": "4444 3333 2222 1111"}, "1001", "card.cardNo"),
    ({"cardNo": "444433332222"}, "1001", "card.cardNo"),
    ({"cardNo": 4444333322221111}, "1001", "card.cardNo"),
    ({"cvc": None}, "1002", "card.cvc"),
    ({"cvc": "1234"}, "1001", "card.cvc"),
    ({"expiryMonth": "13"}, "1001", "card.expiryMonth"),
    ({"expiryMonth": "1"}, "1001", "card.expiryMonth"),
    ({"expiryYear": "39"}, "1001", "card.expiryYear"),
    ({"firstName": ""}, "1002", "card.firstName"),
    ({"lastName": None}, "1002", "card.lastName"),
    ({"captureMethod": "AUTO"}, "1001", "card.captureMethod"),
]


@pytest.mark.parametrize(("changes", "code", "wrong"), PAYMENT_MISTAKES)
def test_a_card_payment_with_a_mistake_is_refused(api: Api, changes: dict[str, Any], code: str, wrong: str) -> None:
    status, found, named = api.refused("payment_create", api.card_body(**changes))
    assert (status, found, named) == (403 if code == "2004" else 400, code, wrong)
    assert api.books("charge") == []


@pytest.mark.parametrize("name", ["javaEnable", "javascriptEnable"])
@pytest.mark.parametrize(("value", "code"), [("true", "1001"), (1, "1001"), (None, "1002")])
def test_the_browser_s_switches_are_booleans(api: Api, name: str, value: Any, code: str) -> None:
    body = api.card_body()
    body["deviceInfo"]["browser"][name] = value
    assert api.refused("payment_create", body) == (400, code, f"deviceInfo.browser.{name}")


@pytest.mark.parametrize(
    ("body", "code", "wrong"),
    [
        ({"payNow": None}, "1002", "payNow"),
        ({"payNow": {"productType": "poster"}}, "1001", "payNow.productType"),
        ({"payNow": {"productType": "pay"}}, "1002", "payNow.authCode"),
        ({"payNow": {"productType": "mini-program", "subAppId": "x"}}, "1002", "payNow.openId"),
        ({"payNow": {"productType": "h5"}, "frontUrl": None}, "1002", "frontUrl"),
        ({"currency": "USD"}, "3007", "currency"),
    ],
)
def test_a_wallet_payment_with_a_mistake_is_refused(api: Api, body: dict[str, Any], code: str, wrong: str) -> None:
    assert api.refused("payment_create", api.wallet_body(**body)) == (400, code, wrong)


def test_switches_limit_currencies_methods_and_descriptors(api: Api) -> None:
    api.app(currencies="USD,SGD", methods=["card", "payNow"], billing_desc_enabled=True)
    assert api.refused("session_create", api.session_body(currency="EUR"))[:2] == (400, "3007")
    assert api.refused("payment_create", api.wallet_body("alipay"))[:2] == (400, "3008")
    assert api.pay(billingDesc="My shop")["status"] == "SUCCESS"


def test_an_order_number_is_used_once(api: Api) -> None:
    first = api.card_body()
    api.call("payment_create", first)
    assert api.refused("payment_create", first) == (409, "3001", "orderNo")
    assert api.refused("session_create", api.session_body(orderNo=first["orderNo"])) == (409, "3001", "orderNo")
    assert api.books("charge") == [10099]


def test_of_many_equal_orders_at_once_one_is_paid(api: Api) -> None:
    body = api.card_body()
    api.token()
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: api.raw(PATHS["payment_create"], body).json()["code"], range(8)))
    assert sorted(codes) == ["0000"] + ["3001"] * 7
    assert api.books("charge") == [10099]


ODD: tuple[Any, ...] = (
    None,
    0,
    -1.5,
    True,
    "",
    "x" * 300,
    "、",
    [],
    {},
    [1],
    {"a": {"b": []}},
    [{}],
    "https://[",
    1e99,
)


def variants(body: Any, odd: Any) -> Iterator[Any]:
    """Copies of a body, each with one member at any depth replaced."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield body | {name: odd}
            for inner in variants(value, odd):
                yield body | {name: inner}
    elif isinstance(body, list):
        yield [odd]
        for inner in variants(body[0], odd):
            yield [inner]


@pytest.mark.parametrize("operation", [*PATHS, "token"])
def test_no_odd_value_is_a_system_error(api: Api, operation: str) -> None:
    paid = api.pay(store=True)
    order_no = paid["orderNo"]
    api.call("tracking_add", parcel(order_no))
    three_ds = {"authenticationResultCode": "Y", "eci": "05"}
    body: Any = {
        "token": {"appId": APP, "secret": SECRET},
        "session_create": api.session_body(productInfo=[{"productName": "x", "price": "1", "quantity": "1"}]),
        "payment_create": api.card_body(store=True, threeDsData=three_ds, shipping={"phone": {"number": "1"}}),
        "token_payment": token_body(api, paid["transactionIdentifier"], deviceInfo=api.body("card")["deviceInfo"]),
        "capture": {"orderNo": order_no, "tradeNo": paid["tradeNo"], "captureAmount": "1.00"},
        "inquiry": {"orderNo": order_no, "tradeNo": paid["tradeNo"], "paymentMethodType": "card"},
        "cancel": {"orderNo": order_no, "tradeNo": paid["tradeNo"]},
        "refund": refund_body(order_no, "1.00", notificationUrl="https://shop.example/r"),
        "tracking_get": {"orderNo": order_no, "trackingNo": "TN-1", "matedata": {}},
        "tracking_add": parcel(order_no, "TN-2"),
        "tracking_batch": [parcel(order_no, "TN-3")],
        "tracking_update": patch(order_no, ("replace", "/status", "CANCELLED")),
        "subscribe": subscription("https://shop.example/hook"),
    }[operation]
    path = PATHS.get(operation, "/v1/auth/token")
    for odd in ODD:
        for changed in [odd, *variants(body, odd)]:
            answer = api.raw(path, changed)
            assert answer.status_code < 500, (changed, answer.text)
            assert answer.json()["requestId"]


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b'{"a": "\\ud800"}', b"[" * 5000, b"nul", b'"x"', b"7"])
def test_a_body_that_is_no_json_object_is_refused(api: Api, raw: bytes) -> None:
    assert api.refused("inquiry", raw)[:2] in {(400, "1001"), (400, "1003")}


# --- cards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4444333322221111", "VISA"),
        ("4917610000000000", "VISA"),
        ("4911830000000", "VISA"),
        ("5555555555554444", "MASTERCARD"),
        ("5454545454545454", "MASTERCARD"),
        ("2221000000000009", "MASTERCARD"),
        ("343434343434343", "AMEX"),
        ("3528000700000000", "JCB"),
        ("6011000400000000", "DISCOVER"),
        ("6212454545454690", "UNIONPAY"),
        ("4242424242424242", "VISA"),
    ],
)
def test_ordinary_cards_are_approved(api: Api, number: str, brand: str) -> None:
    paid = api.pay(number)
    assert (paid["status"], paid["capturedAmount"], paid["refundedAmount"]) == ("SUCCESS", "100.99", "0.00")
    assert paid["card"]["brand"] == brand
    assert paid["card"]["cardNo"] == f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}"
    assert paid["threeDs"]["flow"] == "none"
    assert re.fullmatch("[0-9]{21}", paid["tradeNo"])
    assert (paid["nextAction"], paid["failCode"], paid["refunds"]) == (None, None, [])
    assert api.books("charge") == [10099]


@pytest.mark.parametrize(("number", "eci"), [(GOOD, "05"), ("5555555555554444", "02")])
def test_standard_mode_authenticates_ordinary_cards_quietly(api: Api, number: str, eci: str) -> None:
    paid = api.pay(number, mode="standard")
    assert paid["status"] == "SUCCESS"
    assert (paid["threeDs"]["flow"], paid["threeDs"]["result"], paid["threeDs"]["eci"]) == ("frictionless", "Y", eci)


@pytest.mark.parametrize(
    ("numbers", "mode", "flow", "result", "eci", "code"),
    [
        (("4000000000002701", "5200000000002235"), "auto", "frictionless", "Y", ("05", "02"), None),
        (("4000000000002925", "5200000000002276"), "auto", "frictionless", "N", ("07", "00"), "4005"),
        (("4000000000002420", "5200000000002664"), "auto", "none", "U", ("07", "00"), None),
        (("4000000000002420", "5200000000002664"), "standard", "none", "U", ("07", "00"), "4005"),
        (("4000000000002644", "5200000000002656"), "auto", "none", "U", ("07", "00"), "4008"),
    ],
)
def test_cards_without_a_challenge(
    api: Api, numbers: tuple[str, str], mode: str, flow: str, result: str, eci: tuple[str, str], code: str | None
) -> None:
    for number, expected in zip(numbers, eci, strict=True):
        paid = api.pay(number, mode=mode)
        assert paid["status"] == ("FAILED" if code else "SUCCESS")
        assert paid["failCode"] == code
        assert (paid["threeDs"]["flow"], paid["threeDs"]["result"], paid["threeDs"]["eci"]) == (flow, result, expected)


@pytest.mark.parametrize(
    "number",
    ["4000000000002925", "4000000000002503", "4000000000002370", "4000000000002420", "4000000000002644"],
)
def test_without_3ds_its_test_cards_are_ordinary(api: Api, number: str) -> None:
    paid = api.pay(number, mode="no", frontUrl=None)
    assert (paid["status"], paid["threeDs"]["flow"]) == ("SUCCESS", "none")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"number": "4000000000000002"}, "4001"),
        ({"number": "4000000000009995"}, "4002"),
        ({"number": "4000000000000069"}, "4003"),
        ({"number": "4000000000000127"}, "4004"),
        ({"number": "4000000000000119"}, "4008"),
        ({"number": "4100000000000019", "fraudMode": "Y"}, "4006"),
        ({"cvc": "000"}, "4004"),
        ({"expiryYear": "2020"}, "4003"),
        ({"lastName": "REFUSED"}, "4001"),
        ({"lastName": "REFUSED51"}, "4002"),
        ({"lastName": "refused43"}, "4007"),
        ({"lastName": "ERROR"}, "4008"),
        ({"number": CHALLENGED, "lastName": "REFUSED"}, "4001"),
    ],
)
def test_declines(api: Api, options: dict[str, Any], code: str) -> None:
    """HTTP 200 and code 0000: a decline is an answer."""
    paid = api.pay(**options)
    assert (paid["status"], paid["failCode"], paid["capturedAmount"]) == ("FAILED", code, "0.00")
    assert paid["failMessage"]
    assert api.books("charge") == []
    assert api.inquire(paid["orderNo"])["failCode"] == code
    api.jump()
    assert api.shop.types == ["payment.failed"]


def test_the_fraud_card_passes_unchecked(api: Api) -> None:
    assert api.pay("4100000000000019", fraudMode="N")["status"] == "SUCCESS"


def test_a_decline_may_be_told_by_the_envelope(api: Api) -> None:
    api.dial("decline_in_envelope", next=1)
    answer = api.raw(PATHS["payment_create"], api.card_body(NO_MONEY))
    assert (answer.status_code, answer.json()["code"]) == (200, "4002")
    assert answer.json()["data"]["status"] == "FAILED"


def test_a_slow_issuer_decides_after_twenty_seconds(api: Api) -> None:
    paid = api.pay(lastName="SLOW")
    assert (paid["status"], paid["nextAction"]) == ("PENDING", None)
    api.jump(19)
    assert api.inquire(paid["orderNo"])["status"] == "PENDING"
    api.jump(2)
    assert api.inquire(paid["orderNo"])["status"] == "SUCCESS"
    assert api.shop.types == ["payment.succeeded"]


@pytest.mark.parametrize("letter", ["Y", "A", "N", "U", "C", "R"])
def test_the_result_of_another_3ds_run_decides(api: Api, letter: str) -> None:
    data = {"authenticationResultCode": letter, "eci": "05", "cavv": "AAAB", "dsVersion": "2.1.0"}
    paid = api.pay(CHALLENGED, mode="no", threeDsData=data)
    assert (paid["threeDs"]["flow"], paid["threeDs"]["eci"]) == ("external", "05")
    assert (paid["status"], paid["failCode"]) == (("SUCCESS", None) if letter in "YA" else ("FAILED", "4005"))
    assert "AAAB" not in json.dumps(api.operator("GET", "storesquare/calls"))


# --- 3-D Secure page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [CHALLENGED, "5200000000002151"])
@pytest.mark.parametrize("mode", ["auto", "standard"])
def test_a_challenge_passed(api: Api, number: str, mode: str) -> None:
    begun = api.pay(number, mode=mode)
    action = begun["nextAction"]
    assert begun["status"] == "PENDING"
    assert (action["type"], action["method"]) == ("redirect", "GET")
    assert action["url"] == f"{api.base}/3ds/{begun['tradeNo']}"
    assert "Authenticate" in api.session.get(action["url"]).text
    hints = returned(api.follow(api.click(action["url"], answer="authenticate")))
    assert hints == {"o": "1", "orderNo": begun["orderNo"], "tradeNo": begun["tradeNo"], "status": "SUCCESS"}
    paid = api.inquire(begun["orderNo"])
    assert (paid["status"], paid["nextAction"], paid["threeDs"]["flow"]) == ("SUCCESS", None, "challenge")
    assert paid["threeDs"]["result"] == "Y"


@pytest.mark.parametrize(
    ("number", "button", "code"),
    [
        (CHALLENGED, "fail", "4005"),
        (CHALLENGED, "cancel", "4009"),
        ("4000000000002370", "authenticate", "4005"),
        ("4000000000002370", "cancel", "4005"),
        ("5200000000002490", "fail", "4005"),
    ],
)
def test_a_challenge_failed(api: Api, number: str, button: str, code: str) -> None:
    begun = api.pay(number)
    hints = returned(api.follow(api.click(begun["nextAction"]["url"], answer=button)))
    assert hints["status"] == "FAILED"
    assert api.inquire(begun["orderNo"])["failCode"] == code
    assert api.books("charge") == []
    again = api.click(begun["nextAction"]["url"], answer="authenticate")
    assert returned(api.follow(again))["status"] == "FAILED"


def test_a_challenge_abandoned_ends_by_expiry(api: Api) -> None:
    begun = api.pay(CHALLENGED, expiryTime="30")
    api.jump(1799)
    assert api.inquire(begun["orderNo"])["status"] == "PENDING"
    api.jump(2)
    assert api.inquire(begun["orderNo"])["status"] == "EXPIRED"
    assert api.shop.types == ["payment.expired"]
    assert "expired" in api.session.get(begun["nextAction"]["url"]).text


def test_a_redirect_by_post_lands_from_the_shop_s_own_form(api: Api) -> None:
    api.app(redirect_method="POST")
    action = api.pay(CHALLENGED)["nextAction"]
    assert (action["type"], action["method"]) == ("redirect", "POST")
    origin = {"Origin": "https://shop.example"}
    post = {"headers": origin, "allow_redirects": False}
    page = api.follow(api.session.post(action["url"], data=action["form"], **post))
    assert "Authenticate" in api.session.get(page).text
    assert api.session.post(action["url"], data={"session": "guess"}, **post).status_code == 400
    assert api.session.post(page, data={"answer": "authenticate"}, **post).status_code == 403


@pytest.mark.parametrize("path", ["/3ds/202600000000000000001", "/wallet/1", "/cashier/cs_x", "/result/1"])
def test_unknown_pages_are_pages(api: Api, path: str) -> None:
    answer = api.session.get(api.base + path)
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


# --- hosted checkout -----------------------------------------------------------------------------------------------


def test_the_cashier_lists_the_methods_of_the_currency(api: Api) -> None:
    page = api.session.get(api.call("session_create", api.session_body(currency="SGD"))["url"]).text
    for name in ("Card", "PayNow", "GrabPay", "WeChat Pay", "PayPal", "Cancel and return", "Pay within"):
        assert name in page
    assert "PayNow" not in api.session.get(api.call("session_create", api.session_body())["url"]).text
    only_cards = api.call("session_create", api.session_body(), app=CARDS_APP)["url"]
    assert 'name="number"' in api.session.get(only_cards).text


def test_a_session_is_paid_at_the_cashier(api: Api) -> None:
    made = api.call("session_create", api.session_body())
    before = api.inquire(made["orderNo"])
    assert (before["status"], before["tradeNo"], before["paymentMethodType"]) == ("INIT", None, None)
    assert 'autocomplete="cc-number"' in api.session.get(made["url"] + "?method=card").text
    hints = returned(api.follow(api.at_cashier(made["url"])))
    paid = api.inquire(made["orderNo"])
    assert (paid["status"], paid["paymentMethodType"], paid["tradeNo"]) == ("SUCCESS", "card", hints["tradeNo"])
    assert hints["status"] == "SUCCESS"
    assert returned(api.follow(api.at_cashier(made["url"])))["status"] == "SUCCESS"
    assert api.books("charge") == [10099]


def test_a_decline_leads_back_to_the_list_and_the_next_card_pays(api: Api) -> None:
    made = api.call("session_create", api.session_body())
    back = api.follow(api.at_cashier(made["url"], NO_MONEY))
    assert back == made["url"]
    page = api.session.get(back).text
    assert "insufficient funds" in page
    assert "Choose how to pay" in page
    assert api.inquire(made["orderNo"])["status"] == "INIT"
    assert returned(api.follow(api.at_cashier(made["url"])))["status"] == "SUCCESS"
    api.jump()
    assert api.shop.types == ["payment.succeeded"]
    assert api.shop.bodies[0]["data"]["failCode"] is None


def test_a_challenge_at_the_cashier(api: Api) -> None:
    made = api.call("session_create", api.session_body(threeDsMode="standard"))
    page = api.follow(api.at_cashier(made["url"], CHALLENGED))
    assert "/3ds/" in page
    assert api.inquire(made["orderNo"])["status"] == "PENDING"
    assert api.follow(api.click(page, answer="fail")) == made["url"]
    assert api.inquire(made["orderNo"])["status"] == "INIT"
    page = api.follow(api.at_cashier(made["url"], CHALLENGED))
    assert returned(api.follow(api.click(page, answer="authenticate")))["status"] == "SUCCESS"


def test_the_shopper_cancels_at_the_cashier(api: Api) -> None:
    made = api.call("session_create", api.session_body())
    hints = returned(api.follow(api.click(made["url"] + "/cancel")))
    assert hints == {"o": "1", "orderNo": made["orderNo"], "status": "CANCELLED"}
    api.jump()
    assert api.shop.types == ["payment.cancelled"]
    assert "was cancelled" in api.session.get(made["url"]).text
    assert returned(api.follow(api.at_cashier(made["url"])))["status"] == "CANCELLED"
    assert api.books("charge") == []


def test_a_session_expires_at_its_time(api: Api) -> None:
    made = api.call("session_create", api.session_body(expiryTime="30"))
    api.jump(1790)
    assert api.inquire(made["orderNo"])["status"] == "INIT"
    api.jump(15)
    assert api.inquire(made["orderNo"])["status"] == "EXPIRED"
    assert api.shop.types == ["payment.expired"]
    assert api.refused("cancel", {"orderNo": made["orderNo"]})[:2] == (409, "3006")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"number": "4444333322221112"}, "This is not a card number"),
        ({"number": ""}, "This is not a card number"),
        ({"cvc": "12"}, "Enter the 3 digits"),
        ({"month": "13"}, "Choose a month"),
        ({"last_name": ""}, "Enter the last name"),
    ],
)
def test_the_card_form_says_what_is_wrong_and_repeats_no_number(api: Api, typed: dict[str, str], says: str) -> None:
    made = api.call("session_create", api.session_body())
    answer = api.at_cashier(made["url"], **{"number": GOOD} | typed)
    assert answer.status_code == 422
    assert says in answer.text
    assert typed.get("number", GOOD) == "" or f'value="{typed.get("number", GOOD)}"' not in answer.text
    assert api.inquire(made["orderNo"])["status"] == "INIT"


@pytest.mark.parametrize(("button", "status"), [("approve", "SUCCESS"), ("expire", "EXPIRED")])
def test_a_wallet_chosen_at_the_cashier(api: Api, button: str, status: str) -> None:
    made = api.call("session_create", api.session_body(currency="SGD"))
    page = api.follow(api.click(made["url"], method="payNow"))
    assert api.inquire(made["orderNo"])["paymentMethodType"] == "payNow"
    assert "Choose another way to pay" in api.session.get(page).text
    assert returned(api.follow(api.click(page, answer=button)))["status"] == status


def test_a_rejected_wallet_leads_back_to_the_list_and_another_may_pay(api: Api) -> None:
    made = api.call("session_create", api.session_body(currency="SGD"))
    page = api.follow(api.click(made["url"], method="alipay"))
    assert api.follow(api.click(page, answer="reject")) == made["url"]
    api.click(made["url"], method="payNow")
    assert returned(api.follow(api.at_cashier(made["url"])))["status"] == "SUCCESS"
    assert api.inquire(made["orderNo"])["paymentMethodType"] == "card"


def test_without_a_return_address_a_page_tells_the_result(api: Api) -> None:
    made = api.call("session_create", api.session_body(frontUrl=None))
    page = api.follow(api.at_cashier(made["url"]))
    assert page.startswith(f"{api.base}/result/")
    assert "This payment is done" in api.session.get(page).text


def test_the_cashier_refuses_a_method_it_does_not_offer(api: Api) -> None:
    made = api.call("session_create", api.session_body(currency="EUR"))
    assert api.click(made["url"], method="payNow").status_code == 400


def test_the_second_brand_names_its_method_in_the_session(api: Api) -> None:
    api.app(profile={"variant": "seachange"})
    assert api.refused("session_create", api.session_body()) == (400, "1002", "paymentMethodType")
    named = {"paymentMethodType": "card", "metadata": {"cart": "7"}}
    made = api.call("session_create", api.session_body(**named))
    assert 'name="number"' in api.session.get(made["url"]).text
    wrong = api.session_body(paymentMethodType="card", metadata={"cart": 7})
    assert api.refused("session_create", wrong) == (400, "1001", "metadata.cart")


# --- wallets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["payNow", "grabPay", "shopeePay", "wechat", "alipay", "alipayPlus", "upay"])
def test_a_qr_code_leads_to_the_wallet_page(api: Api, method: str) -> None:
    begun = api.call("payment_create", api.wallet_body(method, frontUrl=None))
    assert (begun["status"], begun["paymentMethodType"], begun["captureMethod"]) == ("PENDING", method, "auto")
    assert begun["nextAction"] == {"type": "qrCode", "qrCode": f"{api.base}/wallet/{begun['tradeNo']}"}
    assert "card" not in begun
    page = api.session.get(begun["nextAction"]["qrCode"]).text
    for button in ("Approve", "Reject", "Expire"):
        assert f">{button}</button>" in page
    result = api.follow(api.click(begun["nextAction"]["qrCode"], answer="approve"))
    assert "This payment is done" in api.session.get(result).text
    paid = api.inquire(begun["orderNo"])
    assert (paid["status"], paid["nextAction"], paid["capturedAmount"]) == ("SUCCESS", None, "100.99")
    assert api.books("charge") == [10099]


@pytest.mark.parametrize(
    ("button", "status", "code", "event"),
    [
        ("reject", "FAILED", "4009", "payment.failed"),
        ("expire", "EXPIRED", None, "payment.expired"),
        ("approve", "SUCCESS", None, "payment.succeeded"),
    ],
)
def test_the_wallet_s_buttons(api: Api, button: str, status: str, code: str | None, event: str) -> None:
    begun = api.call("payment_create", api.wallet_body("wechat", "h5"))
    assert (begun["nextAction"]["type"], begun["nextAction"]["method"]) == ("redirect", "GET")
    assert returned(api.follow(api.click(begun["nextAction"]["url"], answer=button)))["status"] == status
    told = api.inquire(begun["orderNo"])
    assert (told["status"], told["failCode"]) == (status, code)
    api.jump()
    assert api.shop.types == [event]
    api.click(begun["nextAction"]["url"], answer="approve")
    assert api.inquire(begun["orderNo"])["status"] == status


def test_paypal_redirects_whatever_its_product_type(api: Api) -> None:
    body = api.body("paypal", paypal={"productType": "qr-code"})
    begun = api.call("payment_create", body)
    assert begun["nextAction"]["url"] == f"{api.base}/wallet/{begun['tradeNo']}"
    assert api.refused("payment_create", api.body("paypal", paypal={}, frontUrl=None))[1:] == ("1002", "frontUrl")


@pytest.mark.parametrize("method", ["applePay", "googlePay"])
def test_wallets_without_an_object_redirect(api: Api, method: str) -> None:
    assert api.call("payment_create", api.body(method))["nextAction"]["type"] == "redirect"


def test_a_code_shown_by_the_shopper_is_decided_at_once(api: Api) -> None:
    body = api.wallet_body("wechat", wechat={"productType": "pay", "authCode": "134567890123456789"})
    assert api.call("payment_create", body)["status"] == "SUCCESS"
    assert "134567890123456789" not in json.dumps(api.operator("GET", "storesquare/calls"))


def test_an_app_s_payload_is_opaque(api: Api) -> None:
    body = api.wallet_body("wechat", wechat={"productType": "mini-program", "subAppId": "wx1", "openId": "o1"})
    begun = api.call("payment_create", body)
    assert begun["nextAction"]["type"] == "sdk"
    assert begun["nextAction"]["payload"]
    api.event(begun["tradeNo"], "approve")
    assert api.inquire(begun["orderNo"])["status"] == "SUCCESS"


def test_a_method_is_switched_by_cancelling_and_a_new_order(api: Api) -> None:
    first = api.call("payment_create", api.wallet_body("alipay"))
    assert api.call("cancel", {"orderNo": first["orderNo"]})["status"] == "CANCELLED"
    assert "was cancelled" in api.session.get(first["nextAction"]["qrCode"]).text
    assert api.call("payment_create", api.wallet_body("payNow"))["status"] == "PENDING"


# --- inquiry, capture, cancel --------------------------------------------------------------------------------------


def test_an_inquiry_takes_either_number_and_refuses_a_mismatch(api: Api) -> None:
    one, two = api.pay(), api.pay()
    assert api.call("inquiry", {"tradeNo": one["tradeNo"], "paymentMethodType": "upi"}) == one
    assert api.call("inquiry", {"tradeNo": one["tradeNo"], "orderNo": one["orderNo"]}) == one
    mismatch = {"tradeNo": one["tradeNo"], "orderNo": two["orderNo"]}
    assert api.refused("inquiry", mismatch) == (400, "1001", "orderNo")
    assert api.refused("inquiry", {}) == (400, "1002", "orderNo")
    assert api.refused("inquiry", {"orderNo": "NOWHERE"})[:2] == (404, "3002")


@pytest.mark.parametrize(("amount", "minor"), [("100.99", 10099), ("40.00", 4000)])
def test_a_capture_of_all_or_less(api: Api, amount: str, minor: int) -> None:
    held = api.pay(captureMethod="manual")
    assert (held["status"], held["captureMethod"], held["capturedAmount"]) == ("AUTHORIZED", "manual", "0.00")
    assert api.books("charge") == []
    captured = api.call("capture", {"orderNo": held["orderNo"], "captureAmount": amount})
    assert (captured["status"], captured["capturedAmount"], captured["amount"]) == ("SUCCESS", amount, "100.99")
    again = api.call("capture", {"tradeNo": held["tradeNo"], "captureAmount": amount})
    assert again == captured
    assert api.books("charge") == [minor]
    assert api.refused("capture", {"orderNo": held["orderNo"], "captureAmount": "1.00"})[:2] == (409, "3003")
    api.jump()
    assert api.shop.types == ["payment.authorized", "payment.succeeded"]


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [("101.00", 400, "3004"), ("0.00", 400, "1001"), (100, 400, "1001"), (None, 400, "1002"), ("1.001", 400, "1001")],
)
def test_a_capture_that_cannot_be(api: Api, amount: Any, status: int, code: str) -> None:
    held = api.pay(captureMethod="manual")
    assert api.refused("capture", {"orderNo": held["orderNo"], "captureAmount": amount})[:2] == (status, code)
    assert api.inquire(held["orderNo"])["status"] == "AUTHORIZED"


def test_only_an_authorisation_is_captured(api: Api) -> None:
    for options in ({}, {"number": NO_MONEY}, {"number": CHALLENGED}):
        order_no = api.pay(**options)["orderNo"]
        assert api.refused("capture", {"orderNo": order_no, "captureAmount": "1.00"})[:2] == (409, "3003")


def test_a_session_s_capture_method_stands_outside_the_card(api: Api) -> None:
    made = api.call("session_create", api.session_body(captureMethod="manual"))
    assert returned(api.follow(api.at_cashier(made["url"])))["status"] == "AUTHORIZED"
    assert api.call("capture", {"orderNo": made["orderNo"], "captureAmount": "10.00"})["capturedAmount"] == "10.00"


def test_wallets_know_no_authorisation(api: Api) -> None:
    made = api.call("session_create", api.session_body(captureMethod="manual", currency="SGD"))
    page = api.follow(api.click(made["url"], method="payNow"))
    assert returned(api.follow(api.click(page, answer="approve")))["status"] == "SUCCESS"
    assert api.inquire(made["orderNo"])["captureMethod"] == "auto"


def test_an_authorisation_ages_seven_days(api: Api) -> None:
    held = api.pay(captureMethod="manual")
    api.jump(7 * 86_400 - 60)
    assert api.inquire(held["orderNo"])["status"] == "AUTHORIZED"
    api.jump(120)
    assert api.inquire(held["orderNo"])["status"] == "CANCELLED"
    assert api.shop.types == ["payment.authorized", "payment.cancelled"]
    assert api.books("charge") == []


def test_a_captured_payment_does_not_age(api: Api) -> None:
    held = api.pay(captureMethod="manual")
    api.call("capture", {"orderNo": held["orderNo"], "captureAmount": "100.99"})
    api.jump(8 * 86_400)
    assert api.inquire(held["orderNo"])["status"] == "SUCCESS"


def test_cancel_voids_what_is_not_captured_and_repeats(api: Api) -> None:
    session = api.call("session_create", api.session_body())["orderNo"]
    held = api.pay(captureMethod="manual")["orderNo"]
    pending = api.call("payment_create", api.wallet_body())["orderNo"]
    for order_no in (session, held, pending):
        assert api.call("cancel", {"orderNo": order_no})["status"] == "CANCELLED"
        assert api.call("cancel", {"orderNo": order_no})["status"] == "CANCELLED"
    api.jump()
    assert api.shop.types.count("payment.cancelled") == 3
    assert api.refused("cancel", {"orderNo": api.pay()["orderNo"]})[:2] == (409, "3003")
    assert api.refused("cancel", {"orderNo": "NOWHERE"})[:2] == (404, "3002")


def test_the_second_inquiry_s_role_is_a_switch(api: Api) -> None:
    paid = api.pay()
    api.refund(paid["orderNo"], "1.00")
    api.app(second_inquiry_role="refund_inquiry")
    told = api.call("cancel", {"orderNo": paid["orderNo"]})
    assert [refund["refundNumber"] for refund in told["refunds"]] == ["R-0001"]
    assert "status" not in told
    api.app(second_inquiry_role="none")
    assert api.refused("cancel", {"orderNo": paid["orderNo"]})[:2] == (403, "2004")
    api.app(second_inquiry_role="profile", profile={"secondInquiryRole": "refund_inquiry"})
    assert "refunds" in api.call("cancel", {"orderNo": paid["orderNo"]})


# --- refunds -------------------------------------------------------------------------------------------------------


def test_a_full_refund(api: Api) -> None:
    paid = api.pay()
    done = api.refund(paid["orderNo"], "100.99")
    assert (done["status"], done["amount"], done["currency"]) == ("SUCCESS", "100.99", "USD")
    assert (done["orderNo"], done["tradeNo"]) == (paid["orderNo"], paid["tradeNo"])
    told = api.inquire(paid["orderNo"])
    assert (told["status"], told["refundedAmount"], told["refunds"]) == ("REFUNDED", "100.99", [done])
    assert api.books("refund") == [10099]
    api.jump()
    assert api.shop.types == ["payment.succeeded", "refund.succeeded"]
    assert api.shop.bodies[1]["data"] == done
    assert api.refused("refund", refund_body(paid["orderNo"], "0.01", "R-0002"))[:2] == (400, "3004")


def test_partial_refunds_until_nothing_is_left(api: Api) -> None:
    paid = api.pay()
    api.refund(paid["orderNo"], "60.00", "R-0001")
    assert api.inquire(paid["orderNo"])["status"] == "PARTIAL_REFUNDED"
    assert api.refused("refund", refund_body(paid["orderNo"], "41.00", "R-0002"))[:2] == (400, "3004")
    api.refund(paid["orderNo"], "40.99", "R-0002")
    assert api.inquire(paid["orderNo"])["status"] == "REFUNDED"
    assert api.books("refund") == [6000, 4099]


def test_a_refund_number_is_one_refund(api: Api) -> None:
    one, two = api.pay(), api.pay()
    first = api.refund(one["orderNo"], "5.00")
    assert api.refund(one["orderNo"], "5.00", orderNo=None, tradeNo=one["tradeNo"]) == first
    assert api.refused("refund", refund_body(one["orderNo"], "6.00"))[:2] == (409, "3005")
    assert api.refused("refund", refund_body(two["orderNo"], "5.00"))[:2] == (409, "3005")
    assert api.books("refund") == [500]


def test_of_many_equal_refunds_at_once_one_is_made(api: Api) -> None:
    order_no = api.pay()["orderNo"]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: api.refund(order_no, "5.00")["refundTradeNo"], range(6)))
    assert len(set(found)) == 1
    assert api.books("refund") == [500]


@pytest.mark.parametrize(
    ("amount", "status", "event"), [("5.11", "SUCCESS", "succeeded"), ("5.13", "FAILED", "failed")]
)
def test_a_refund_decided_later(api: Api, amount: str, status: str, event: str) -> None:
    paid = api.pay()
    begun = api.refund(paid["orderNo"], amount)
    assert (begun["status"], begun["refundTime"]) == ("PROCESSING", None)
    assert api.inquire(paid["orderNo"])["refundedAmount"] == "0.00"
    assert api.refused("refund", refund_body(paid["orderNo"], "100.99", "R-0002"))[:2] == (400, "3004")
    api.jump(21)
    told = api.inquire(paid["orderNo"])
    assert told["refunds"][0]["status"] == status
    assert told["refundedAmount"] == ("5.11" if status == "SUCCESS" else "0.00")
    assert told["status"] == ("PARTIAL_REFUNDED" if status == "SUCCESS" else "SUCCESS")
    assert api.shop.types == ["payment.succeeded", f"refund.{event}"]
    if status == "FAILED":
        assert told["refunds"][0]["failCode"]
        assert api.refund(paid["orderNo"], "100.99", "R-0002")["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("changes", "code", "wrong"),
    [
        ({"amount": None}, "1002", "amount"),
        ({"amount": 5}, "1001", "amount"),
        ({"amount": "0"}, "1001", "amount"),
        ({"clientIp": None}, "1002", "clientIp"),
        ({"clientIp": "me"}, "1001", "clientIp"),
        ({"reason": None}, "1002", "reason"),
        ({"reason": "x" * 129}, "1001", "reason"),
        ({"refundNumber": None}, "1002", "refundNumber"),
        ({"refundNumber": "1234"}, "1001", "refundNumber"),
        ({"refundNumber": "x" * 65}, "1001", "refundNumber"),
        ({"orderNo": None}, "1002", "orderNo"),
        ({"notificationUrl": "ftp://x"}, "1001", "notificationUrl"),
    ],
)
def test_a_refund_with_a_mistake_is_refused(api: Api, changes: dict[str, Any], code: str, wrong: str) -> None:
    body = refund_body(api.pay()["orderNo"], "1.00") | changes
    assert api.refused("refund", body) == (400, code, wrong)
    assert api.books("refund") == []


def test_what_is_not_captured_is_not_refunded(api: Api) -> None:
    for options in ({"captureMethod": "manual"}, {"number": NO_MONEY}, {"number": CHALLENGED}):
        order_no = api.pay(**options)["orderNo"]
        assert api.refused("refund", refund_body(order_no, "1.00"))[:2] == (409, "3003")


def test_a_refund_s_news_goes_to_its_own_address_first(api: Api) -> None:
    paid = api.pay()
    api.refund(paid["orderNo"], "1.00", notificationUrl=f"{api.shop.url}/refunds")
    api.jump()
    assert [path for path, _, _ in api.shop.got] == ["/hook", "/refunds"]


def test_a_partial_capture_limits_refunds(api: Api) -> None:
    held = api.pay(captureMethod="manual")
    api.call("capture", {"orderNo": held["orderNo"], "captureAmount": "40.00"})
    assert api.refused("refund", refund_body(held["orderNo"], "40.01"))[:2] == (400, "3004")
    api.refund(held["orderNo"], "40.00")
    assert api.inquire(held["orderNo"])["status"] == "REFUNDED"


def test_yen_have_no_decimals(api: Api) -> None:
    paid = api.pay(amount="1000", currency="JPY")
    assert (paid["amount"], paid["capturedAmount"], paid["refundedAmount"]) == ("1000", "1000", "0")
    assert api.refund(paid["orderNo"], "400")["amount"] == "400"
    assert api.books("charge") == [1000]
    assert api.books("refund") == [400]


def test_dinars_carry_two_decimals_on_the_wire(api: Api) -> None:
    paid = api.pay(amount="1.23", currency="KWD")
    assert paid["capturedAmount"] == "1.23"
    assert api.books("charge") == [1230]


# --- stored cards --------------------------------------------------------------------------------------------------


def token_body(api: Api, identifier: str | None, **changes: Any) -> dict[str, Any]:
    whole = {
        "amount": "12.00",
        "orderNo": api.order_no(),
        "transactionIdentifier": identifier,
        "expiryMonth": "12",
        "expiryYear": "2039",
        "customerInitiatedReason": "UNSCHEDULED",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def test_an_identifier_is_given_only_when_asked_for_and_paid(api: Api) -> None:
    assert "transactionIdentifier" not in api.pay()
    assert "transactionIdentifier" not in api.pay(NO_MONEY, store=True)
    stored = api.pay(store=True)["transactionIdentifier"]
    assert re.fullmatch("[0-9]{33}", stored)
    assert api.pay(store=True)["transactionIdentifier"] != stored


def test_a_stored_card_pays_in_its_currency(api: Api) -> None:
    stored = api.pay("5555555555554444", store=True, currency="EUR")
    api.operator("POST", "storesquare/apps", app_id=APP, subscribe_url=f"{api.shop.url}/subscribed")
    paid = api.call("token_payment", token_body(api, stored["transactionIdentifier"]))
    assert (paid["status"], paid["currency"], paid["amount"]) == ("SUCCESS", "EUR", "12.00")
    assert (paid["card"]["brand"], paid["card"]["cardNo"][-4:]) == ("MASTERCARD", "4444")
    assert api.books("charge") == [10099, 1200]
    api.jump()
    assert [path for path, _, _ in api.shop.got] == ["/hook", "/subscribed"]


@pytest.mark.parametrize(
    ("changes", "status", "code", "wrong"),
    [
        ({"transactionIdentifier": "0" * 33}, 404, "3009", ""),
        ({"transactionIdentifier": None}, 400, "1002", "transactionIdentifier"),
        ({"transactionIdentifier": "1234"}, 400, "1001", "transactionIdentifier"),
        ({"expiryMonth": None}, 400, "1002", "expiryMonth"),
        ({"expiryYear": "39"}, 400, "1001", "expiryYear"),
        ({"amount": 12}, 400, "1001", "amount"),
        ({"amount": "12.001"}, 400, "1001", "amount"),
        ({"customerInitiatedReason": "ONCE"}, 400, "1001", "customerInitiatedReason"),
        ({"cardNo": "4444333322221112"}, 400, "1001", "cardNo"),
        ({"cardNo": "5555555555554444"}, 404, "3009", ""),
        ({"threeDsMode": "maybe"}, 400, "1001", "threeDsMode"),
    ],
)
def test_a_token_payment_with_a_mistake(api: Api, changes: dict[str, Any], status: int, code: str, wrong: str) -> None:
    identifier = api.pay(store=True)["transactionIdentifier"]
    assert api.refused("token_payment", token_body(api, identifier, **changes)) == (status, code, wrong)


def test_a_stored_card_may_have_expired_or_been_revoked(api: Api) -> None:
    stored = api.pay(store=True)
    identifier = stored["transactionIdentifier"]
    expired = api.call("token_payment", token_body(api, identifier, expiryYear="2020"))
    assert (expired["status"], expired["failCode"]) == ("FAILED", "4003")
    api.dial("decline", "4007")
    assert api.call("token_payment", token_body(api, identifier))["failCode"] == "4007"
    api.event(stored["tradeNo"], "revoke_card")
    assert api.refused("token_payment", token_body(api, identifier))[:2] == (404, "3009")


def test_a_card_number_alone_finds_the_stored_card(api: Api) -> None:
    api.pay(store=True)
    assert api.call("token_payment", token_body(api, None, cardNo=GOOD))["status"] == "SUCCESS"
    assert api.refused("token_payment", token_body(api, None, cardNo="5555555555554444"))[:2] == (404, "3009")
    api.app(profile={"tokenPayment": {"cardNoRequired": True}})
    assert api.refused("token_payment", token_body(api, "0" * 33)) == (400, "1002", "cardNo")


def test_a_shopper_present_may_be_challenged_with_a_stored_card(api: Api) -> None:
    begun = api.pay(CHALLENGED, store=True)
    assert "transactionIdentifier" not in begun
    api.click(begun["nextAction"]["url"], answer="authenticate")
    identifier = api.inquire(begun["orderNo"])["transactionIdentifier"]
    assert api.call("token_payment", token_body(api, identifier))["status"] == "SUCCESS"
    present = api.card_body()["deviceInfo"]
    again = api.call("token_payment", token_body(api, identifier, deviceInfo=present, threeDsMode="auto"))
    assert (again["status"], again["nextAction"]["type"]) == ("PENDING", "redirect")
    page = api.follow(api.click(again["nextAction"]["url"], answer="authenticate"))
    assert "This payment is done" in api.session.get(page).text


# --- tracking ------------------------------------------------------------------------------------------------------


def parcel(order_no: str, number: str = "TN-1", **changes: Any) -> dict[str, Any]:
    whole = {
        "carrier": "2EBOX",
        "orderNo": order_no,
        "shipmentDate": "2026-02-28",
        "shipmentDirection": "FORWARD",
        "shippingStatus": "SHIPPED",
        "trackingNo": number,
        "trackingNumberType": "CARRIER_PROVIDED",
        "trackingUrl": "https://carrier.example/t/1",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def patch(order_no: str, *items: tuple[str, str, str], number: str = "TN-1") -> dict[str, Any]:
    return {
        "orderNo": order_no,
        "trackingNo": number,
        "iterms": [{"op": op, "path": path, "value": value} for op, path, value in items],
    }


def test_a_parcel_is_added_found_and_changed_once(api: Api) -> None:
    order_no = api.pay()["orderNo"]
    added = api.call("tracking_add", parcel(order_no))
    assert added.keys() == parcel(order_no).keys() | {"createTime", "updateTime"}
    assert api.call("tracking_get", {"orderNo": order_no, "trackingNo": "TN-1", "matedata": {"a": "b"}}) == added
    assert api.refused("tracking_add", parcel(order_no))[:2] == (409, "5001")
    new_url = ("replace", "/trackingUrl", "https://carrier.example/t/2")
    cancelled = api.call("tracking_update", patch(order_no, new_url, ("replace", "/status", "CANCELLED")))
    assert (cancelled["shippingStatus"], cancelled["trackingUrl"]) == ("CANCELLED", "https://carrier.example/t/2")
    again = patch(order_no, ("replace", "/status", "DELIVERED"))
    assert api.refused("tracking_update", again)[:2] == (409, "5004")


@pytest.mark.parametrize(
    ("items", "status", "code"),
    [
        ([("add", "/status", "CANCELLED")], 400, "5003"),
        ([("replace", "/carrier", "DHL")], 400, "5003"),
        ([("replace", "/status", "SHIPPED")], 409, "5004"),
        ([("replace", "/status", "LOST")], 400, "1001"),
        ([("replace", "/trackingUrl", "carrier")], 400, "1001"),
        ([("replace", "/trackingUrl", "https://x.example"), ("add", "/status", "CANCELLED")], 400, "5003"),
        ([], 400, "1001"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    api: Api, items: list[tuple[str, str, str]], status: int, code: str
) -> None:
    order_no = api.pay()["orderNo"]
    added = api.call("tracking_add", parcel(order_no))
    assert api.refused("tracking_update", patch(order_no, *items))[:2] == (status, code)
    assert api.call("tracking_get", {"orderNo": order_no, "trackingNo": "TN-1"}) == added


def test_delivered_may_be_forbidden_by_the_profile(api: Api) -> None:
    order_no = api.pay()["orderNo"]
    api.call("tracking_add", parcel(order_no))
    api.app(profile={"tracking": {"allowDelivered": False}})
    delivered = patch(order_no, ("replace", "/status", "DELIVERED"))
    assert api.refused("tracking_update", delivered)[:2] == (409, "5004")
    api.app(profile="")
    assert api.call("tracking_update", delivered)["shippingStatus"] == "DELIVERED"


@pytest.mark.parametrize(
    ("changes", "code", "wrong"),
    [
        ({"carrier": None}, "1002", "carrier"),
        ({"shipmentDate": "28.02.2026"}, "1001", "shipmentDate"),
        ({"shipmentDate": "2026-02-30"}, "1001", "shipmentDate"),
        ({"shipmentDirection": "SIDEWAYS"}, "1001", "shipmentDirection"),
        ({"shippingStatus": "SHIPPED、CANCELLED"}, "1001", "shippingStatus"),
        ({"trackingNo": "x" * 65}, "1001", "trackingNo"),
        ({"trackingNumberType": "OWN"}, "1001", "trackingNumberType"),
        ({"trackingUrl": "carrier.example"}, "1001", "trackingUrl"),
    ],
)
def test_a_parcel_with_a_mistake(api: Api, changes: dict[str, Any], code: str, wrong: str) -> None:
    assert api.refused("tracking_add", parcel(api.pay()["orderNo"], **changes)) == (400, code, wrong)


def test_parcels_belong_to_paid_orders(api: Api) -> None:
    assert api.refused("tracking_add", parcel("NOWHERE"))[:2] == (404, "3002")
    assert api.refused("tracking_add", parcel(api.pay(NO_MONEY)["orderNo"]))[:2] == (409, "3003")
    assert api.refused("tracking_get", {"orderNo": api.pay()["orderNo"], "trackingNo": "TN-9"})[:2] == (404, "5002")
    held = api.pay(captureMethod="manual")["orderNo"]
    assert api.call("tracking_add", parcel(held))["trackingNo"] == "TN-1"
    api.app(tracking_methods="paypal")
    assert api.refused("tracking_add", parcel(api.pay()["orderNo"]))[:2] == (400, "3008")


def test_a_batch_succeeds_row_by_row(api: Api) -> None:
    one, two = api.pay()["orderNo"], api.pay()["orderNo"]
    told = api.call("tracking_batch", [parcel(one), parcel("NOWHERE"), parcel(two), parcel(two), "x"])
    assert told["success"] == [{"orderNo": one, "trackingNo": "TN-1"}, {"orderNo": two, "trackingNo": "TN-1"}]
    assert [(row["orderNo"], row["code"]) for row in told["failed"]] == [
        ("NOWHERE", "3002"),
        (two, "5001"),
        (None, "1001"),
    ]


@pytest.mark.parametrize("rows", [0, 21])
def test_a_batch_has_one_to_twenty_rows(api: Api, rows: int) -> None:
    order_no = api.pay()["orderNo"]
    body = [parcel(order_no, f"TN-{number}") for number in range(rows)]
    assert api.refused("tracking_batch", body)[:2] == (400, "1001")
    assert api.refused("tracking_get", {"orderNo": order_no, "trackingNo": "TN-0"})[:2] == (404, "5002")
    assert api.refused("tracking_batch", parcel(order_no))[:2] == (400, "1001")


# --- subscription and webhooks -------------------------------------------------------------------------------------


def subscription(url: str, **changes: Any) -> dict[str, Any]:
    whole = {"apiVersion": "20250703", "signMethod": "sha256", "subscribeUrl": url} | changes
    return {name: value for name, value in whole.items() if value is not None}


def test_a_subscription_is_replaced_by_the_next(api: Api) -> None:
    for place in ("/first", "/second"):
        told = api.call("subscribe", subscription(api.shop.url + place))
        assert told == subscription(api.shop.url + place) | {"status": "ACTIVE"}
    api.pay(notificationUrl=None)
    api.pay()
    api.jump()
    assert sorted(path for path, _, _ in api.shop.got) == ["/hook", "/second"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subscribeUrl": None}, "1002"),
        ({"apiVersion": None}, "1002"),
        ({"signMethod": None}, "1002"),
        ({"subscribeUrl": "http://shop.example/hook"}, "6001"),
        ({"subscribeUrl": "https://shop.example/" + "x" * 140}, "6001"),
        ({"subscribeUrl": "shop.example"}, "6001"),
        ({"apiVersion": "20240101"}, "6002"),
        ({"signMethod": "md5"}, "6002"),
    ],
)
def test_a_subscription_with_a_mistake(api: Api, changes: dict[str, Any], code: str) -> None:
    assert api.refused("subscribe", subscription("https://shop.example/hook", **changes))[:2] == (400, code)


def test_a_webhook_is_what_the_brief_says(api: Api) -> None:
    paid = api.pay()
    api.jump()
    (path, headers, raw), body = api.shop.got[0], api.shop.bodies[0]
    assert path == "/hook"
    assert headers["content-type"] == "application/json"
    assert (headers["x-app-id"], headers["x-api-version"], headers["x-sign-method"]) == (APP, "20250703", "sha256")
    assert abs(int(headers["x-timestamp"]) - api.simulation.clock.now()) < 60_000
    assert list(body) == ["apiVersion", "appId", "eventId", "eventType", "eventTime", "data"]
    assert (body["apiVersion"], body["appId"], body["eventType"]) == ("20250703", APP, "payment.succeeded")
    assert body["data"] == paid
    assert headers["x-signature"] == hmac_ts_body(SECRET, headers["x-timestamp"], raw)


@pytest.mark.parametrize("preset", SIGNERS)
def test_each_preset_signs_what_is_sent(api: Api, preset: str) -> None:
    api.app(signature_preset=preset)
    api.refund(api.pay(store=True)["orderNo"], "1.00")
    api.jump()
    assert api.shop.types == ["payment.succeeded", "refund.succeeded"]
    api.shop.assert_genuine(preset)


def test_the_preset_may_come_from_the_profile_and_from_an_account_s_own_preset(api: Api) -> None:
    api.app(profile={"webhook": {"preset": "sha256_body_secret"}})
    api.pay()
    api.jump()
    api.shop.assert_genuine("sha256_body_secret")
    own = {"algo": "sha256", "template": "{secret}{timestamp}{body}", "encoding": "base64", "source": "body:sign"}
    own |= {"timestampUnit": "s"}
    api.app(profile={"webhook": {"preset": "own", "presets": {"own": own}}})
    api.shop.got.clear()
    api.pay()
    api.jump()
    _, headers, raw = api.shop.got[0]
    body = json.loads(raw)
    sent = body.pop("sign")
    text = SECRET + headers["x-timestamp"] + json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    assert re.fullmatch("[0-9]{10}", headers["x-timestamp"])
    assert base64.b64decode(sent) == hashlib.sha256(text.encode()).digest()


def test_a_separate_key_is_told_at_subscription(api: Api) -> None:
    api.app(profile={"webhook": {"keySource": "webhookSecret"}})
    key = api.call("subscribe", subscription(f"{api.shop.url}/hook"))["signKey"]
    assert key != SECRET
    api.pay()
    api.jump()
    api.shop.assert_genuine(secret=key)
    assert key not in json.dumps(api.operator("GET", "storesquare/calls"))


def test_eight_attempts_each_signed_anew_under_one_event_id(api: Api) -> None:
    api.shop.replies[:] = [500] * 8
    paid = api.pay()
    begun = api.simulation.clock.now()
    api.jump(sum(RETRIES) + 60)
    assert len(api.shop.got) == 8
    api.shop.assert_genuine()
    assert len({body["eventId"] for body in api.shop.bodies}) == 1
    stamps = [int(headers["x-timestamp"]) for _, headers, _ in api.shop.got]
    assert abs(stamps[0] - begun) < 30_000
    waits = [round((after - before) / 1000) for before, after in itertools.pairwise(stamps)]
    assert all(abs(wait - due) <= 2 for wait, due in zip(waits, RETRIES, strict=True)), waits
    assert api.operator("GET", f"storesquare/orders/{paid['tradeNo']}")["webhooks"][0]["state"] == "given_up"


def test_the_waits_can_be_shortened(api: Api) -> None:
    api.app(retry_factor=0.1)
    api.shop.replies[:] = [500, 500]
    api.pay()
    api.jump(9)
    assert len(api.shop.got) == 3


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_ends_the_attempts(api: Api, status: int) -> None:
    api.shop.replies[:] = [401, status]
    api.pay()
    api.jump(100_000)
    assert len(api.shop.got) == 2


def test_without_any_address_the_news_is_dropped(api: Api) -> None:
    paid = api.pay(notificationUrl=None)
    api.jump(60)
    assert api.shop.got == []
    assert api.operator("GET", f"storesquare/orders/{paid['tradeNo']}")["webhooks"][0]["state"] == "dropped"


def test_an_event_is_replayed_genuine_altered_or_stale(api: Api) -> None:
    paid = api.pay()
    api.jump()
    event = api.shop.bodies[0]["eventId"]
    for members in ({}, {"tamper": True}, {"stale": True}):
        api.event(paid["tradeNo"], "replay", event_id=event, **members)
        api.jump()
    assert [body["eventId"] for body in api.shop.bodies] == [event] * 4
    genuine = [
        headers["x-signature"] == hmac_ts_body(SECRET, headers["x-timestamp"], raw) for _, headers, raw in api.shop.got
    ]
    assert genuine == [True, True, False, True]
    assert api.shop.bodies[2]["data"]["amount"] == "1009.90"
    age = api.simulation.clock.now() - int(api.shop.got[3][1]["x-timestamp"])
    assert age > 300_000


@pytest.mark.parametrize("members", [{"tamper": True}, {"stale": True}])
def test_a_falsified_event_stays_false_on_its_next_attempt(api: Api, members: dict[str, bool]) -> None:
    paid = api.pay()
    api.jump()
    api.shop.got.clear()
    api.shop.replies[:] = [401, 401]
    api.event(paid["tradeNo"], "replay", **members)
    api.jump(90)
    assert len(api.shop.got) == 3
    assert len({(headers["x-signature"], raw) for _, headers, raw in api.shop.got}) == 1


@pytest.mark.parametrize(
    ("dial", "member", "value"),
    [
        ("webhook_wrong_amount", "amount", "1009.90"),
        ("webhook_wrong_currency", "currency", "HKD"),
        ("webhook_unknown_status", "status", "SETTLED"),
    ],
)
def test_genuine_webhooks_that_say_something_wrong(api: Api, dial: str, member: str, value: str) -> None:
    api.dial(dial)
    api.refund(api.pay()["orderNo"], "5.00")
    api.jump()
    api.shop.assert_genuine()
    assert api.shop.bodies[0]["data"][member] == value
    assert api.shop.bodies[1]["data"][member] == ("50.00" if member == "amount" else value)


def test_a_webhook_about_another_order(api: Api) -> None:
    api.dial("webhook_wrong_reference")
    paid = api.pay()
    api.jump()
    api.shop.assert_genuine()
    assert api.shop.bodies[0]["data"]["orderNo"] != paid["orderNo"]
    assert api.shop.bodies[0]["data"]["tradeNo"] != paid["tradeNo"]


@pytest.mark.parametrize("preset", SIGNERS)
@pytest.mark.parametrize("dial", ["webhook_forged", "webhook_tampered"])
def test_false_webhooks(api: Api, dial: str, preset: str) -> None:
    api.app(signature_preset=preset)
    api.dial(dial)
    api.shop.replies[:] = [401]
    api.pay()
    api.jump(20)
    assert len(api.shop.got) == 2
    for _, headers, raw in api.shop.got:
        assert headers["x-signature"] != SIGNERS[preset](SECRET, headers["x-timestamp"], raw)


def test_duplicated_delayed_dropped_and_reordered_webhooks(api: Api) -> None:
    api.dial("webhook_duplicate", 3)
    held = api.pay(captureMethod="manual")
    api.jump()
    assert len({body["eventId"] for body in api.shop.bodies}) == 1
    assert api.shop.types == ["payment.authorized"] * 3
    api.dial("webhook_duplicate", False)
    api.dial("webhook_reorder")
    api.call("capture", {"orderNo": held["orderNo"], "captureAmount": "1.00"})
    api.jump(3)
    assert api.shop.types[3:] == ["payment.succeeded", "payment.authorized"]
    api.dial("webhook_reorder", False)
    api.dial("webhook_delay", 60)
    api.pay()
    api.jump(30)
    assert len(api.shop.got) == 5
    api.jump(40)
    assert len(api.shop.got) == 6
    assert api.simulation.clock.now() - int(api.shop.got[5][1]["x-timestamp"]) < 30_000
    api.dial("webhook_drop")
    api.pay()
    api.jump(120)
    assert len(api.shop.got) == 6


def test_the_webhook_may_be_earlier_than_the_answer(api: Api) -> None:
    api.dial("webhook_early")
    api.pay()
    assert api.shop.types == ["payment.succeeded"]


# --- dials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "make"),
    [
        ("payment_create", lambda api: api.card_body()),
        ("session_create", lambda api: api.session_body()),
    ],
)
@pytest.mark.parametrize("dial", ["timeout_after", "reset_after"])
def test_an_answer_lost_after_the_deed(api: Api, dial: str, operation: str, make: Any) -> None:
    body = make(api)
    api.dial(dial, 0 if dial == "timeout_after" else None, next=1, operation=operation)
    api.token()
    with pytest.raises(requests.ConnectionError):
        api.raw(PATHS[operation], body)
    found = api.inquire(body["orderNo"])
    assert found["status"] == ("SUCCESS" if operation == "payment_create" else "INIT")
    assert api.refused(operation, body)[:2] == (409, "3001")
    assert len(api.books("charge")) == (operation == "payment_create")


@pytest.mark.parametrize(
    ("dial", "status", "done"),
    [
        ("http_500", 500, False),
        ("http_503", 503, False),
        ("http_429", 429, False),
        ("rate_limited", 429, False),
        ("http_500_after", 500, True),
        ("system_error_after", 500, True),
        ("html_answer", 200, True),
        ("garbage_answer", 200, True),
        ("wrong_type_answer", 200, True),
    ],
)
def test_answer_dials(api: Api, dial: str, status: int, done: bool) -> None:
    api.dial(dial, next=1)
    answer = api.raw(PATHS["payment_create"], api.card_body())
    assert answer.status_code == status
    assert len(api.books("charge")) == done
    if status == 429:
        assert answer.headers["Retry-After"] == "2"
    if dial in {"rate_limited", "system_error_after"}:
        assert answer.json()["code"] == ("9001" if dial == "rate_limited" else "9999")


def test_a_dial_acts_on_the_operation_named(api: Api) -> None:
    paid = api.pay()
    api.dial("http_500_after", next=1, operation="refund")
    assert api.raw(PATHS["refund"], refund_body(paid["orderNo"], "5.00")).status_code == 500
    assert api.refund(paid["orderNo"], "5.00")["status"] == "SUCCESS"
    assert api.books("refund") == [500]


@pytest.mark.parametrize(
    ("dial", "member", "value"),
    [
        ("unknown_state", "status", "SETTLING"),
        ("foreign_redirect", "nextAction", "https://cashier.attacker.example/pay"),
    ],
)
def test_odd_answers(api: Api, dial: str, member: str, value: str) -> None:
    api.dial(dial, next=1)
    found = api.pay(CHALLENGED)[member]
    assert (found["url"] if member == "nextAction" else found) == value


def test_the_code_may_be_a_number(api: Api) -> None:
    api.dial("code_as_number", next=1)
    assert api.raw(PATHS["payment_create"], api.card_body()).json()["code"] == 0


def test_inquiries_that_lie(api: Api) -> None:
    order_no = api.pay()["orderNo"]
    api.dial("query_wrong_amount")
    api.dial("query_wrong_currency")
    told = api.inquire(order_no)
    assert (told["amount"], told["capturedAmount"], told["currency"]) == ("1009.90", "1009.90", "HKD")


def test_inquiries_that_lag_or_find_nothing(api: Api) -> None:
    api.dial("query_not_found", 5)
    order_no = api.pay()["orderNo"]
    assert api.refused("inquiry", {"orderNo": order_no})[:2] == (404, "3002")
    api.jump(6)
    api.dial("query_lags", 30)
    late = api.inquire(order_no)
    assert (late["status"], late["capturedAmount"]) == ("PENDING", "0.00")
    api.jump(30)
    assert api.inquire(order_no)["status"] == "SUCCESS"


def test_magic_amounts(api: Api) -> None:
    assert api.raw(PATHS["payment_create"], api.card_body(amount="777.11")).status_code == 500
    paid = api.pay(amount="777.70")
    assert (paid["amount"], paid["capturedAmount"]) == ("777.70", "776.70")
    assert api.books("charge") == [77670]
    assert api.pay(amount="777.71")["failCode"] == "4002"
    api.call("payment_create", api.card_body(amount="777.53"))
    api.jump(5)
    assert api.shop.types == ["payment.succeeded", "payment.failed"]


def test_a_refund_made_at_the_portal(api: Api) -> None:
    api.dial("refund_later", 60)
    order_no = api.pay()["orderNo"]
    api.jump(61)
    told = api.inquire(order_no)
    assert (told["status"], told["refunds"][0]["refundNumber"][:7]) == ("REFUNDED", "PORTAL-")
    api.jump()
    assert api.shop.types[-1] == "refund.succeeded"


# --- the operator --------------------------------------------------------------------------------------------------


def test_the_default_apps_are_listed(api: Api) -> None:
    found = {app["id"]: app for app in api.operator("GET", "storesquare/apps")["apps"]}
    assert (found[APP]["secret"], found[APP]["methods"]) == (SECRET, "*")
    assert (found[CARDS_APP]["secret"], found[CARDS_APP]["methods"]) == (CARDS_SECRET, "card")


@pytest.mark.parametrize(
    ("event", "members", "status"),
    [
        ("approve", {}, "SUCCESS"),
        ("approve", {"amount": "90.00"}, "SUCCESS"),
        ("reject", {}, "FAILED"),
        ("reject", {"code": "4007"}, "FAILED"),
        ("expire", {}, "EXPIRED"),
        ("cancel", {}, "CANCELLED"),
    ],
)
def test_the_operator_decides_a_pending_payment(api: Api, event: str, members: dict[str, str], status: str) -> None:
    begun = api.call("payment_create", api.wallet_body())
    api.event(begun["orderNo"], event, **members)
    told = api.inquire(begun["orderNo"])
    assert told["status"] == status
    assert told["failCode"] == (members.get("code", "4009") if event == "reject" else None)
    assert told["capturedAmount"] == (members.get("amount", "100.99") if event == "approve" else "0.00")


@pytest.mark.parametrize("ending", ["reject", "cancel", "expire"])
def test_money_may_come_late(api: Api, ending: str) -> None:
    begun = api.call("payment_create", api.wallet_body())
    api.event(begun["tradeNo"], ending)
    api.event(begun["tradeNo"], "late_success")
    told = api.inquire(begun["orderNo"])
    assert (told["status"], told["failCode"], told["capturedAmount"]) == ("SUCCESS", None, "100.99")
    assert api.books("charge") == [10099]


def test_the_operator_captures_and_refunds(api: Api) -> None:
    held = api.pay(captureMethod="manual")
    api.event(held["tradeNo"], "capture", amount="50.00")
    api.event(held["tradeNo"], "refund", amount="20.00")
    told = api.inquire(held["orderNo"])
    assert (told["capturedAmount"], told["refundedAmount"]) == ("50.00", "20.00")
    assert (api.books("charge"), api.books("refund")) == ([5000], [2000])


@pytest.mark.parametrize(("event", "status"), [("refund_succeed", "SUCCESS"), ("refund_fail", "FAILED")])
def test_the_operator_decides_a_refund(api: Api, event: str, status: str) -> None:
    paid = api.pay()
    api.refund(paid["orderNo"], "5.11", "R-0001")
    api.refund(paid["orderNo"], "6.11", "R-0002")
    api.event(paid["tradeNo"], event, refund_number="R-0002")
    assert [one["status"] for one in api.inquire(paid["orderNo"])["refunds"]] == ["PROCESSING", status]
    api.jump(30)
    assert [one["status"] for one in api.inquire(paid["orderNo"])["refunds"]] == ["SUCCESS", status]


@pytest.mark.parametrize(
    ("event", "members"),
    [
        ("approve", {}),
        ("reject", {}),
        ("expire", {}),
        ("cancel", {}),
        ("capture", {}),
        ("late_success", {}),
        ("refund", {"amount": "101.00"}),
        ("refund", {"amount": "x"}),
        ("refund_fail", {}),
        ("revoke_card", {}),
        ("replay", {"event_id": "evt_none"}),
        ("dance", {}),
    ],
)
def test_what_cannot_happen_is_refused(api: Api, event: str, members: dict[str, str]) -> None:
    paid = api.pay()
    address = f"{api.url}/_sim/storesquare/orders/{paid['tradeNo']}/events"
    answer = api.session.post(address, json={"event": event} | members, timeout=10)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert api.inquire(paid["orderNo"]) == paid


@pytest.mark.parametrize(
    "wrong",
    [
        {"app_id": "123"},
        {"app_id": "086000000000077"},
        {"app_id": APP, "no_such_switch": 1},
        {"app_id": APP, "signature_preset": "md5"},
        {"app_id": APP, "second_inquiry_role": "dance"},
        {"app_id": APP, "token_lifetime_s": "long"},
        {"app_id": APP, "billing_desc_enabled": 1},
        {"app_id": APP, "profile": "{"},
        {"app_id": APP, "profile": "[]"},
        {"app_id": APP, "profile": {"endpoints": {"refund": {"path": "/v1/payments"}}}},
    ],
)
def test_a_wrong_account_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    before = api.operator("GET", "storesquare/apps")
    assert api.session.post(f"{api.url}/_sim/storesquare/apps", json=wrong, timeout=10).status_code == 400
    assert api.operator("GET", "storesquare/apps") == before


def test_every_card_and_page_is_in_the_panel(api: Api) -> None:
    held = api.pay(CHALLENGED)
    made = api.call("session_create", api.session_body())
    cards = api.session.get(f"{api.url}/panel/storesquare/cards").text
    for number in storesquare.CARDS:
        assert number in cards
        assert passes_luhn(number) or number == "6212454545454690"
    for path in ("/", "/panel/storesquare/dials", "/panel/storesquare/calls", "/panel/storesquare/accounts"):
        assert api.session.get(api.url + path).status_code == 200
    assert (
        f"/storesquare/3ds/{held['tradeNo']}"
        in api.session.get(f"{api.url}/panel/storesquare/orders/{held['tradeNo']}").text
    )
    listed = api.operator("GET", f"storesquare/orders/{made['orderNo']}")["words"]
    assert api.session.get(api.url + listed["cashier_page"]).status_code == 200


# --- corrections of the profile ------------------------------------------------------------------------------------


def test_a_corrected_path_word_and_response_key_are_the_account_s_own(api: Api) -> None:
    paid = api.pay()
    api.app(
        profile={
            "endpoints": {"inquiry": {"path": "/v2/query"}, "token": {"path": "/oauth/token"}},
            "status": {"emit": {"captured": "PAID"}},
            "fields": {"payment": {"tradeNo": ["data.paymentId", "data.tradeNo"]}},
            "auth": {"header": "X-Access-Token", "tokenPath": ["result.token"]},
            "envelope": {"code": "retCode", "successCodes": ["200"]},
        }
    )
    given = api.raw("/oauth/token", {"appId": APP, "secret": SECRET}, token=None).json()
    assert given["retCode"] == "200"
    headers = {"X-Access-Token": f"Bearer {given['result']['token']}"}
    answer = api.raw("/v2/query", {"orderNo": paid["orderNo"]}, token=None, headers=headers).json()
    assert (answer["data"]["status"], answer["data"]["paymentId"]) == ("PAID", paid["tradeNo"])
    assert "tradeNo" not in answer["data"]
    assert api.raw(PATHS["inquiry"], {"orderNo": paid["orderNo"]}, token=None, headers=headers).status_code == 404
    assert api.refused("inquiry", {"orderNo": "NOWHERE"}, app=CARDS_APP)[:2] == (404, "3002")


# --- what is kept --------------------------------------------------------------------------------------------------


def test_no_card_number_code_token_or_birthday_is_kept(
    api: Api, running: tuple[Simulation, str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    token = api.token()
    body = api.card_body(cvc="987", store=True)
    body["billing"]["birthday"] = "1971-02-03"
    paid = api.call("payment_create", body, token=token)
    made = api.call("session_create", api.session_body(), token=token)
    api.at_cashier(made["url"], "5454545454545454", cvc="986")
    api.refused("payment_create", api.card_body("4444333322221112"), token=token)
    api.call("token_payment", token_body(api, paid["transactionIdentifier"], cardNo=GOOD), token=token)
    api.jump()
    simulation, url, path = running
    shown = json.dumps([api.operator("GET", f"storesquare/{page}") for page in ("calls", "orders", "webhooks")])
    shown += api.session.get(f"{url}/panel/storesquare/calls").text
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir()).decode("latin-1")
    rows = json.dumps([dict(row) for row in simulation.store.rows("SELECT * FROM calls")])
    written = "".join(capfd.readouterr())
    for secret in (GOOD, "5454545454545454", "4444333322221112", token, "1971-02-03", '"987"', '"986"'):
        assert secret not in shown
        assert secret not in stored
        assert secret not in written
    assert SECRET not in rows
    assert paid["transactionIdentifier"] not in rows


def test_the_state_survives_a_restart(tmp_path: Path, shop: Shop) -> None:
    with serving(tmp_path / "state.sqlite3") as (simulation, url):
        first = Api(simulation, url, shop)
        held = first.pay(captureMethod="manual", store=True)
        token = first.tokens[APP]
    with serving(tmp_path / "state.sqlite3") as (simulation, url):
        second = Api(simulation, url, shop)
        second.tokens[APP] = token
        done = second.call("capture", {"orderNo": held["orderNo"], "captureAmount": "1.00"})
        assert (done["status"], done["transactionIdentifier"]) == ("SUCCESS", held["transactionIdentifier"])
        again = token_body(second, held["transactionIdentifier"], orderNo="TOKEN-1")
        assert second.call("token_payment", again)["status"] == "SUCCESS"
