"""The Antom simulator against its brief, over real HTTP. Signatures are computed here, not with anybody else's code."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from providers.antom import simulator as antom
from providers.antom import simulator_cards, simulator_signing
from providers.simulation import Simulation
from providers.simulation.masking import passes_luhn
from providers.simulation.server import serving

FOLDER = Path(antom.__file__).resolve().parent
KEY = load_pem_private_key((FOLDER / "simulator_key.pem").read_bytes(), password=None)
PUBLIC_KEY = load_pem_public_key((FOLDER / "simulator_public_key.pem").read_bytes())
SANDBOX, PRODUCTION = "SANDBOX_5Y00000000000TEST", "5Y00000000000PROD"
PREFIX, PRODUCTION_PREFIX = "/antom/ams/sandbox/api/v1/", "/antom/ams/api/v1/"
GOOD, DECLINED, EXEMPT = "4054695723100768", "4054692760174822", "4035501000000008"
SOFT, ATTEMPTED, FAILS_3DS = "4000000001000118", "4000000001000209", "4000000001000191"
MINUTE, HOUR, DAY = 60, 3600, 86_400

# The brief's published vectors.
V1 = (
    "/ams/sandbox/api/v1/payments/inquiryPayment", "1735689600123", '{"paymentRequestId":"PAY_TEST_0001"}',
    ("ISNT51ChoySulAEDPifogU7Yp2FIVGpnHzNg89hOmM90f5d5GelIzvCdCV%2BftMKvGe6kd5Eer%2FOJS13qAEf73sKZUshW%2FtJSZdmO%2B4"
    "i3wYPescJGPqsR4r32YinSUkeuM3l0Ei9Qu5YqAzQz3Wh%2BJ9BaYvTtMKsz%2Buw4hYCpzkRJLhgRx0YoC0FOgfp1UPPEbooJIBv0F7qOk4DhR"
    "fmN2xvTMasDEQy%2F1%2FS5kZn4TLuoKFYRI%2BJz5W08oEBPKIfg1d9%2FaCljgaTcNzSXCJjbXy5yloTnQe1rHNPV0qeO7Ln0orG%2FXHZ%2B"
    "164o9WJs%2BP8gLh6WlU9UWU9kzBRHnl62VQ%3D%3D"),
)  # fmt: skip
V2 = (
    "/ams/sandbox/api/v1/payments/inquiryPayment", "2025-01-01T00:00:01Z",
    '{"result":{"resultCode":"ORDER_NOT_EXIST","resultMessage":"The order does not exist.","resultStatus":"F"}}',
    ("IdElbpvVpWlfROdMe8nsVKAXcXYbhkXnEOlzuer4MVi2x6KJWAWU8tngZgmkU1VLFpVJypjgKwzAoEG8dKk1gqxgZQGJ%2BR6%2FKvtC%2BWNK3"
    "zYTaUbrd5wyqs12%2FBCrZvn8gvayz86BfghpLjGc%2FosIg3pGZFUQ2f3pMu9BMqd%2FN9z125%2BBensDjEX3UwAl3c%2FtwqcE1RAjRlQapDG"
    "sADL1gimynE1ktnAOz7AR5FmaaUWt3Z0e6YmhqWrU6%2B0NSo2vDV0zGL4hiCdKeIJTyUFR%2B2u4M9aMm28%2F3B0ouJDumF%2BOW87zGRSKuYG"
    "D4m%2BVoCHNA889RryW8z1eSu9FW7%2FXvg%3D%3D"),
)  # fmt: skip
V3 = (
    "/webhooks/antom/", "2025-01-01T08:00:05+08:00",
    ('{"notifyType":"CAPTURE_RESULT","captureRequestId":"auto_é","captureId":"20250101190000000000001","paymentId":"20250'
    '101194000000000001","captureAmount":{"currency":"EUR","value":"30000"},"result":{"resultCode":"SUCCESS","resultMess'
    'age":"success.","resultStatus":"S"}}'),
    ("gwsotOIit9zgzRncb4duB7xhXb8SL6%2Bnu8mHRjS6LSfp5Vi%2Fit6WGWMkgWdwo2uH45e%2BX%2FiXNOI1yMLOYRkvAn3JCD7UJYdYjor0r9BH"
    "f51OAgpu7zAWjzQFWqctHhHH%2B37eX59lk51PdAs7myQA5mI6QtUpTfzxMZstnHRIxcnjybmAPBgRsM8U8FcIMNLv2eJ8cFLpR7QF%2Fzk%2BQM7"
    "Wu2rhg4F7Plb%2FszSxznL4WaZz9L3WVO5q1YPNdC1WVNDPejqkK3oO8dedvsIITXwRNyienskrkgl4t1JBkdBw%2FtSkApVG%2FIRkGVe3qur%2F"
    "gr%2Bk%2BgWncpAIrQZ%2Bko1HAZJ%2FDw%3D%3D"),
)  # fmt: skip


def sign(path: str, client: str, time: str, body: bytes, key: Any = KEY) -> str:
    """Section 2.1 of the brief."""
    raw = key.sign(f"POST {path}\n{client}.{time}.".encode() + body, PKCS1v15(), SHA256())
    return "algorithm=RSA256,keyVersion=1,signature=" + quote(base64.b64encode(raw).decode(), safe="")


def is_signed(header: str, path: str, client: str, time: str, body: bytes) -> bool:
    """Sections 2.2 and 2.3."""
    raw = base64.b64decode(unquote(header.split("signature=", 1)[1]))
    try:
        PUBLIC_KEY.verify(raw, f"POST {path}\n{client}.{time}.".encode() + body, PKCS1v15(), SHA256())  # type: ignore[union-attr, call-arg, arg-type]
    except InvalidSignature:
        return False
    return True


@dataclass
class Merchant:
    """A merchant's webhook address: remembers what came and answers as told."""

    url: str = ""
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(raw) for _, _, raw in self.got]

    @property
    def kinds(self) -> list[str]:
        return [told.get("notifyType") or told.get("disputeNotificationType") or "VAULTING" for told in self.bodies]

    def of(self, kind: str) -> dict[str, Any]:
        """The last notification of a kind."""
        return [told for told, found in zip(self.bodies, self.kinds, strict=True) if found == kind][-1]


ACKNOWLEDGED = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}'


@pytest.fixture(scope="module")
def merchant_server() -> Iterator[Merchant]:
    merchant = Merchant()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with merchant.lock:
                merchant.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, raw))
                status, reply = merchant.replies.pop(0) if merchant.replies else (200, ACKNOWLEDGED)
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    merchant.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield merchant
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulation, str, Path]]:
    path = tmp_path_factory.mktemp("simulation") / "state.sqlite3"
    with serving(path, webhook_time_out_s=2) as (simulation, url):
        yield simulation, url, path


class Api:
    """A merchant's side of the API, the payer's browser, and the operator's tools."""

    numbers = itertools.count(1)

    def __init__(self, simulation: Simulation, url: str, merchant: Merchant) -> None:
        self.simulation, self.url, self.merchant = simulation, url, merchant
        self.session = requests.Session()
        self.session.trust_env = False

    # --- the API

    def send(
        self,
        operation: str,
        body: dict[str, Any] | bytes,
        *,
        client: str = SANDBOX,
        key: Any = KEY,
        time: str = "",
        headers: dict[str, str | None] | None = None,
        prefix: str = "",
        method: str = "POST",
        timeout: float = 10,
    ) -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        path = (prefix or (PREFIX if client.startswith("SANDBOX_") else PRODUCTION_PREFIX)) + operation
        time = time or str(self.simulation.clock.now())
        sent: dict[str, str | None] = {
            "content-type": "application/json; charset=UTF-8",
            "client-id": client,
            "request-time": time,
            "signature": sign(path, client, time, raw, key),
        }
        kept = {name: value for name, value in (sent | (headers or {})).items() if value is not None}
        return self.session.request(method, self.url + path, data=raw, headers=kept, timeout=timeout)

    def call(self, operation: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        """A call whose answer must be genuine."""
        answer = self.send(operation, body, **options)
        path = requests.utils.urlparse(answer.url).path
        named = dict(answer.headers)
        assert answer.status_code == 200
        assert named["client-id"] == options.get("client", SANDBOX)
        assert is_signed(named["signature"], path, named["client-id"], named["response-time"], answer.content)
        told: dict[str, Any] = answer.json()
        return told

    def pay(self, body: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        return self.call("payments/pay", body or self.body(), **options)

    def inquire(self, reference: str, **options: Any) -> dict[str, Any]:
        return self.call("payments/inquiryPayment", {"paymentRequestId": reference}, **options)

    def capture(self, payment: str, value: int = 30000, id: str = "", **more: Any) -> dict[str, Any]:
        body = {"captureRequestId": id or self.reference("CAP"), "paymentId": payment}
        body |= {"captureAmount": {"currency": more.pop("currency", "EUR"), "value": str(value)}} | more  # type: ignore[dict-item]
        return self.call("payments/capture", body)

    def refund(self, payment: str, value: int = 30000, id: str = "", **more: Any) -> dict[str, Any]:
        body = {"refundRequestId": id or self.reference("REF"), "paymentId": payment}
        body |= {"refundAmount": {"currency": more.pop("currency", "EUR"), "value": str(value)}} | more  # type: ignore[dict-item]
        return self.call("payments/refund", body)

    def cancel(self, payment: str) -> dict[str, Any]:
        return self.call("payments/cancel", {"paymentId": payment})

    def reference(self, prefix: str = "PAY") -> str:
        return f"{prefix}_{next(self.numbers)}"

    def body(
        self, card: str | None = GOOD, *, value: int | str = 30000, currency: str = "EUR", manual: bool = False,
        **meta: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """The brief's minimal request; without a card it is the hosted card page's."""
        details: dict[str, Any] = {"is3DSAuthentication": False, "tokenize": False, "isCardOnFile": False}
        if card:
            details |= {"cardNo": card, "expiryMonth": "12", "expiryYear": "34", "cvv": "123"}
            details |= {"cardholderName": {"firstName": "Ann", "lastName": "Lee"}}
        amount = {"currency": currency, "value": str(value)}
        env = {
            "terminalType": "WEB", "clientIp": "203.0.113.7", "colorDepth": 24, "screenHeight": 900,
            "screenWidth": 1440, "timeZoneOffset": -60,
            "browserInfo": {
                "acceptHeader": "*/*", "javaEnabled": False, "javaScriptEnabled": True, "language": "en-GB",
                "userAgent": "UA",
            },
        }  # fmt: skip
        buyer = {"referenceBuyerId": "B1", "buyerEmail": "buyer@example.com"}
        order = {"referenceOrderId": "ORDER_1", "orderDescription": "Order 1", "orderAmount": amount, "buyer": buyer}
        return {
            "productCode": "CASHIER_PAYMENT", "paymentRequestId": self.reference(), "paymentAmount": amount,
            "order": order, "env": env,
            "paymentMethod": {"paymentMethodType": "CARD", "paymentMethodMetaData": details | meta},
            "paymentFactor": {"isAuthorization": True, "captureMode": "MANUAL" if manual else "AUTOMATIC"},
            "settlementStrategy": {"settlementCurrency": "EUR"},
            "paymentRedirectUrl": "https://shop.example/return/PAY_1?x=1",
            "paymentNotifyUrl": f"{self.merchant.url}/webhooks/antom/a1/?secret=no",
        }  # fmt: skip

    def session_body(self, **more: Any) -> dict[str, Any]:
        whole = self.body(None)
        return {name: whole[name] for name in whole if name != "paymentMethod"} | {
            "productScene": "CHECKOUT_PAYMENT"
        } | more  # fmt: skip

    def authorised(self, card: str = GOOD, **options: Any) -> dict[str, Any]:
        """A payment in manual mode, authorised."""
        told = self.pay(self.body(card, manual=True, **options))
        assert told["result"]["resultStatus"] == "S"
        return told

    def captured(self, card: str = GOOD, value: int = 30000) -> dict[str, Any]:
        told = self.authorised(card)
        assert code(self.capture(told["paymentId"], value)) == "SUCCESS"
        return told

    # --- the operator

    def sim(self, method: str, path: str, **body: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/_sim/{path}", json=body or None, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def switch(self, client: str = SANDBOX, **switches: Any) -> None:
        self.sim("POST", "antom/accounts", client_id=client, **switches)

    def dial(self, name: str, **more: Any) -> None:
        self.sim("POST", "antom/dials", name=name, **more)

    def event(self, id: str, name: str, **members: Any) -> None:
        self.sim("POST", f"antom/orders/{id}/events", event=name, **members)

    def order(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sim("GET", f"antom/orders/{id}")
        return found

    def settle(self) -> None:
        self.simulation.settle()

    def advance(self, seconds: float) -> None:
        self.simulation.advance(seconds)

    def books(self, id: str) -> list[tuple[str, int]]:
        return [(entry["kind"], entry["amount"]) for entry in self.order(id)["ledger"]]

    # --- the payer

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.session.get(url, timeout=10, allow_redirects=False, **options)

    def post(self, url: str, **form: str) -> requests.Response:
        return self.session.post(url, data=form, timeout=10, allow_redirects=False)

    def fill(self, url: str, number: str = GOOD, **form: str) -> requests.Response:
        whole = {"number": number, "month": "12", "year": "2034", "cvv": "123", "name": "Ann Lee"}
        return self.post(url, **(whole | form))


def code(told: dict[str, Any]) -> str:
    return str(told["result"]["resultCode"])


def outcome(told: dict[str, Any]) -> tuple[str, str]:
    return told["result"]["resultStatus"], told["result"]["resultCode"]


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one member set, or left out when the value is ``...``."""
    whole = copy.deepcopy(body)
    *above, name = path.split(".")
    at = whole
    for step in above:
        at = at[step]
    if value is ...:
        del at[name]
    else:
        at[name] = value
    return whole


@pytest.fixture
def api(running: tuple[Simulation, str, Path], merchant_server: Merchant) -> Iterator[Api]:
    """A fresh simulator whose default account waits for nothing."""
    simulation, url, _ = running
    merchant_server.replies.clear()
    merchant_server.got.clear()
    fresh = Api(simulation, url, merchant_server)
    fresh.sim("POST", "reset")
    for client in (SANDBOX, PRODUCTION):
        fresh.switch(client, webhook_delay_s=0.0, capture_delay_s=0.0, refund_delay_s=30.0)
    yield fresh
    simulation.webhooks.settle()
    fresh.session.close()


# --- signatures and the gateway --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "time", "body", "signature"), [V1, V2, V3], ids=["V1", "V2", "V3"])
def test_published_vectors(path, time, body, signature):
    header = f"algorithm=RSA256,keyVersion=1,signature={signature}"
    key = simulator_signing.provider_key()

    assert sign(path, SANDBOX, time, body.encode()) == header
    assert simulator_signing.sign(key, path, SANDBOX, time, body.encode()) == header
    assert simulator_signing.is_genuine(PUBLIC_KEY, header, path, SANDBOX, time, body.encode())
    assert not simulator_signing.is_genuine(PUBLIC_KEY, header, path, SANDBOX, time, body.encode() + b" ")


def test_the_signed_path_is_the_one_called_with_its_mount(api):
    body = b'{"paymentRequestId":"PAY_TEST_0001"}'
    time = str(api.simulation.clock.now())
    unmounted = sign("/ams/sandbox/api/v1/payments/inquiryPayment", SANDBOX, time, body)

    assert code(api.send("payments/inquiryPayment", body, time=time).json()) == "ORDER_NOT_EXIST"
    refused = api.send("payments/inquiryPayment", body, time=time, headers={"signature": unmounted})
    assert code(refused.json()) == "INVALID_SIGNATURE"


def test_answers_are_signed_with_lower_case_headers(api):
    answer = api.send("payments/inquiryPayment", {"paymentRequestId": "NOBODY"})
    names = list(answer.raw.headers)

    assert {"client-id", "response-time", "signature"} <= set(names)
    assert re.fullmatch("[0-9-]{10}T[0-9:]{8}Z", answer.headers["response-time"])
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"


def test_a_wrong_signature_is_answered_unsigned(api):
    stranger = generate_private_key(public_exponent=65537, key_size=2048)
    answer = api.send("payments/inquiryPayment", {"paymentRequestId": "X"}, key=stranger)

    assert answer.status_code == 200
    assert outcome(answer.json()) == ("F", "INVALID_SIGNATURE")
    assert "signature" not in answer.headers


@pytest.mark.parametrize(
    "twist",
    [
        lambda header: header.replace(",", ", "),
        lambda header: header.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        lambda header: ",".join(reversed(header.split(","))),
        lambda header: header.replace("keyVersion=1,", ""),
        lambda header: header.replace("keyVersion=1", "keyVersion=0"),
    ],
    ids=["spaces", "lower-case escapes", "other order", "no key version", "key version 0"],
)
def test_signature_headers_are_read_tolerantly(api, twist):
    body, time = b'{"paymentRequestId":"X"}', str(api.simulation.clock.now())
    header = twist(sign(f"{PREFIX}payments/inquiryPayment", SANDBOX, time, body))

    told = api.send("payments/inquiryPayment", body, time=time, headers={"signature": header})
    assert code(told.json()) == "ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    "twist",
    [
        unquote,
        lambda header: header.replace("RSA256", "RSA512"),
        lambda header: "algorithm=RSA256,keyVersion=1",
        lambda header: header[:-12],
        lambda header: "nonsense",
    ],
    ids=["Base64 unencoded", "another algorithm", "no signature", "cut off", "nonsense"],
)
def test_other_signature_headers_are_refused(api, twist):
    body, time = b'{"paymentRequestId":"X"}', str(api.simulation.clock.now())
    header = twist(sign(f"{PREFIX}payments/inquiryPayment", SANDBOX, time, body))

    told = api.send("payments/inquiryPayment", body, time=time, headers={"signature": header})
    assert code(told.json()) == "INVALID_SIGNATURE"


@pytest.mark.parametrize("time", ["1735689600123", "2025-01-01T00:00:00+00:00", "2025-01-01T08:30:00+08:30"])
def test_any_request_time_will_do(api, time):
    assert code(api.call("payments/inquiryPayment", {"paymentRequestId": "X"}, time=time)) == "ORDER_NOT_EXIST"


def test_clock_skew_counts_only_when_switched_on(api):
    api.switch(request_time_tolerance_s=60)

    assert code(api.call("payments/inquiryPayment", {"paymentRequestId": "X"})) == "ORDER_NOT_EXIST"
    late = api.call("payments/inquiryPayment", {"paymentRequestId": "X"}, time="2025-01-01T00:00:00Z")
    assert code(late) == "PARAM_ILLEGAL"


def test_white_space_in_the_body_is_signed_as_sent(api):
    body = json.dumps({"paymentRequestId": "X"}, indent=4).encode()

    assert code(api.send("payments/inquiryPayment", body).json()) == "ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "GET"}, "METHOD_NOT_SUPPORTED"),
        ({"method": "PUT"}, "METHOD_NOT_SUPPORTED"),
        ({"operation": "payments/consult"}, "NO_INTERFACE_DEF"),
        ({"prefix": "/antom/ams/api/v2/"}, "NO_INTERFACE_DEF"),
        ({"prefix": PRODUCTION_PREFIX}, "NO_INTERFACE_DEF"),
        ({"client": PRODUCTION, "prefix": PREFIX}, "NO_INTERFACE_DEF"),
        ({"headers": {"content-type": "text/plain"}}, "MEDIA_TYPE_NOT_ACCEPTABLE"),
        ({"client": "SANDBOX_NOBODY"}, "CLIENT_INVALID"),
        ({"headers": {"client-id": None}}, "CLIENT_INVALID"),
        ({"headers": {"request-time": None}}, "PARAM_ILLEGAL"),
        ({"headers": {"signature": None}}, "PARAM_ILLEGAL"),
        ({"time": "yesterday"}, "PARAM_ILLEGAL"),
        ({"body": b"{"}, "PARAM_ILLEGAL"),
        ({"body": b"[]"}, "PARAM_ILLEGAL"),
        ({"body": b'{"paymentRequestId":"\\ud800"}'}, "PARAM_ILLEGAL"),
        ({"body": b"\xff"}, "PARAM_ILLEGAL"),
        ({"body": b"[" * 100_000}, "PARAM_ILLEGAL"),
        # the earlier check answers
        ({"method": "GET", "operation": "payments/consult"}, "METHOD_NOT_SUPPORTED"),
        ({"operation": "nothing", "headers": {"content-type": "text/plain"}}, "NO_INTERFACE_DEF"),
        ({"client": "SANDBOX_NOBODY", "headers": {"content-type": "text/plain"}}, "MEDIA_TYPE_NOT_ACCEPTABLE"),
        ({"client": "SANDBOX_NOBODY", "headers": {"signature": None}}, "CLIENT_INVALID"),
    ],
)
def test_the_gateway_refuses_in_its_order_with_status_200(api, options, expected):
    options = {"operation": "payments/inquiryPayment", "body": {"paymentRequestId": "X"}} | options
    answer = api.send(**options)

    assert answer.status_code == 200
    assert outcome(answer.json()) == ("F", expected)
    assert "signature" in answer.headers


def test_keys_are_settings_of_an_account(api):
    own = generate_private_key(public_exponent=65537, key_size=2048)
    bare = base64.b64encode(own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    api.switch("SANDBOX_NEW")
    body = {"paymentRequestId": "X"}

    assert code(api.call("payments/inquiryPayment", body, client="SANDBOX_NEW", key=own)) == "KEY_NOT_FOUND"
    api.switch("SANDBOX_NEW", merchant_public_key=bare)
    assert code(api.call("payments/inquiryPayment", body, client="SANDBOX_NEW", key=own)) == "ORDER_NOT_EXIST"
    api.switch("SANDBOX_NEW", key_version="7")
    assert code(api.call("payments/inquiryPayment", body, client="SANDBOX_NEW", key=own)) == "KEY_NOT_FOUND"
    unreadable = {"client_id": "SANDBOX_NEW", "merchant_public_key": "nonsense"}
    assert api.session.post(f"{api.url}/_sim/antom/accounts", json=unreadable, timeout=5).status_code == 400


def test_a_request_that_is_too_large_gets_a_result(api):
    answer = api.send("payments/pay", b" " * (1024 * 1024 + 1))

    assert answer.status_code == 200
    assert code(answer.json()) == "PARAM_ILLEGAL"


def test_both_default_accounts_are_listed_and_can_pay(api):
    listed = {one["id"]: one for one in api.sim("GET", "antom/accounts")["accounts"]}

    assert set(listed) == {SANDBOX, PRODUCTION}
    assert code(api.pay(client=PRODUCTION)) == "SUCCESS"


# --- pay: what is demanded -------------------------------------------------------------------------------------------

META = "paymentMethod.paymentMethodMetaData"
MANDATORY = (
    "productCode", "paymentRequestId", "paymentAmount", "paymentAmount.value", "paymentAmount.currency", "order",
    "order.orderAmount", "order.referenceOrderId", "order.orderDescription", "env", "env.terminalType",
    "paymentMethod", "paymentMethod.paymentMethodType", "paymentFactor", "paymentFactor.isAuthorization",
    "paymentRedirectUrl", f"{META}.expiryMonth", f"{META}.expiryYear", f"{META}.cardholderName.lastName",
)  # fmt: skip


@pytest.mark.parametrize("path", MANDATORY)
def test_pay_demands(api, path):
    body = api.body()
    told = api.pay(changed(body, path, ...))

    assert outcome(told) == ("F", "PARAM_ILLEGAL")
    assert set(told) == {"result"}
    assert code(api.inquire(body["paymentRequestId"])) == "ORDER_NOT_EXIST"


WRONG = [
    ("productCode", "AGREEMENT_PAYMENT", "PARAM_ILLEGAL"),
    ("paymentRequestId", "x" * 65, "PARAM_ILLEGAL"),
    ("paymentRequestId", "a b", "PARAM_ILLEGAL"),
    ("paymentRequestId", 12, "PARAM_ILLEGAL"),
    ("paymentAmount.value", "0", "PARAM_ILLEGAL"),
    ("paymentAmount.value", "-5", "PARAM_ILLEGAL"),
    ("paymentAmount.value", "10.00", "PARAM_ILLEGAL"),
    ("paymentAmount.value", 30000, "PARAM_ILLEGAL"),
    ("paymentAmount.value", "1" * 17, "PARAM_ILLEGAL"),
    ("paymentAmount.value", "１２", "PARAM_ILLEGAL"),
    ("paymentAmount.currency", "eur", "PARAM_ILLEGAL"),
    ("paymentAmount.currency", "XXX", "CURRENCY_NOT_SUPPORT"),
    ("paymentAmount.currency", "KWD", "CURRENCY_NOT_SUPPORT"),
    ("order.orderAmount.currency", "KWD", "CURRENCY_NOT_SUPPORT"),
    ("order.referenceOrderId", "x" * 65, "PARAM_ILLEGAL"),
    ("order.orderDescription", "x" * 257, "PARAM_ILLEGAL"),
    ("order.goods", [{"goodsName": "Shoe"}], "PARAM_ILLEGAL"),
    ("order.goods", [{"referenceGoodsId": "1", "goodsName": "Shoe"}] * 101, "PARAM_ILLEGAL"),
    ("order.goods", {"goodsName": "Shoe"}, "PARAM_ILLEGAL"),
    ("order.shipping", {"shippingPhoneNo": "1" * 17}, "PARAM_ILLEGAL"),
    ("order.shipping", {"shippingAddress": {"city": "Bonn"}}, "PARAM_ILLEGAL"),
    ("order.buyer.buyerEmail", "x" * 65, "PARAM_ILLEGAL"),
    ("order.buyer.buyerRegistrationTime", "2025-01-01", "PARAM_ILLEGAL"),
    ("env.terminalType", "TV", "PARAM_ILLEGAL"),
    ("env.terminalType", "APP", "PARAM_ILLEGAL"),
    ("env.colorDepth", 25, "PARAM_ILLEGAL"),
    ("env.timeZoneOffset", 721, "PARAM_ILLEGAL"),
    ("env.browserInfo.javaEnabled", "yes", "PARAM_ILLEGAL"),
    ("env.browserInfo.language", "x" * 33, "PARAM_ILLEGAL"),
    ("paymentMethod.paymentMethodType", "ALIPAY_CN", "PARAM_ILLEGAL"),
    ("paymentFactor.isAuthorization", False, "PARAM_ILLEGAL"),
    ("paymentFactor.captureMode", "LATER", "PARAM_ILLEGAL"),
    ("settlementStrategy.settlementCurrency", "EURO", "PARAM_ILLEGAL"),
    ("paymentRedirectUrl", "shop.example", "PARAM_ILLEGAL"),
    ("paymentRedirectUrl", "javascript:alert(1)", "PARAM_ILLEGAL"),
    ("paymentNotifyUrl", "https://shop.example/" + "x" * 2048, "PARAM_ILLEGAL"),
    ("paymentExpiryTime", "tomorrow", "PARAM_ILLEGAL"),
    ("paymentExpiryTime", "2026-01-01T00:00:00", "PARAM_ILLEGAL"),
    (f"{META}.cardNo", "4" * 33, "PARAM_ILLEGAL"),
    (f"{META}.cardNo", "4054695723100769", "INVALID_CARD_NUMBER"),
    (f"{META}.cardNo", "4054-6957-2310-0768", "INVALID_CARD_NUMBER"),
    (f"{META}.expiryMonth", "13", "INVALID_EXPIRATION_DATE"),
    (f"{META}.expiryMonth", "00", "INVALID_EXPIRATION_DATE"),
    (f"{META}.expiryMonth", "1", "INVALID_EXPIRATION_DATE"),
    (f"{META}.expiryYear", "20", "INVALID_EXPIRATION_DATE"),
    (f"{META}.cvv", "99", "INVALID_CVV"),
    (f"{META}.cvv", "12345", "INVALID_CVV"),
    (f"{META}.cvv", "12a", "INVALID_CVV"),
    (f"{META}.billingAddress", {"city": "Bonn"}, "PARAM_ILLEGAL"),
    (f"{META}.billingAddress", {"region": "Germany"}, "PARAM_ILLEGAL"),
    (f"{META}.is3DSAuthentication", "yes", "PARAM_ILLEGAL"),
    (f"{META}.tokenizeMode", "SOMETIMES", "PARAM_ILLEGAL"),
    (f"{META}.recurringType", "SCHEDULED", "PARAM_ILLEGAL"),
    (f"{META}.recurringType", "MONTHLY", "PARAM_ILLEGAL"),
    (f"{META}.mpiData", {"eci": "05"}, "PARAM_ILLEGAL"),
    (f"{META}.mpiData", {"threeDSVersion": "3.0", "eci": "05"}, "PARAM_ILLEGAL"),
    ("paymentMethod.paymentMethodId", "ALIPAYnobody", "INVALID_PAYMENT_METHOD_META_DATA"),
    ("creditPayPlan", {"installmentNum": "13"}, "PARAM_ILLEGAL"),
    ("metadata", {"a": 1}, "PARAM_ILLEGAL"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "expected"), WRONG, ids=[f"{p} {str(v)[:24]!r}" for p, v, _ in WRONG])
def test_pay_refuses(api, path, value, expected):
    body = api.body()
    told = api.pay(changed(body, path, value))

    assert outcome(told) == ("F", expected)
    assert set(told) == {"result"}
    api.settle()
    assert api.merchant.got == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paymentFactor.isAuthorization", "true"),
        ("paymentFactor.captureMode", ""),
        ("paymentFactor.captureMode", ...),
        ("env.colorDepth", "24"),
        ("env.timeZoneOffset", "-330"),
        (f"{META}.tokenize", "false"),
        (f"{META}.cvv", ...),
        (f"{META}.cardholderName", ...),
        ("unheardOf", {"a": [1, 2]}),
        ("order.buyer", ...),
        ("order.orderAmount.value", "1"),
        ("settlementStrategy", ...),
        ("paymentNotifyUrl", ...),
    ],
)
def test_pay_accepts(api, path, value):
    assert code(api.pay(changed(api.body(), path, value))) == "SUCCESS"


@pytest.mark.parametrize("currency", ["JPY", "USD", "CLP", "VND", "THB"])
def test_amounts_are_minor_units_of_any_listed_currency(api, currency):
    told = api.pay(api.body(value=12345, currency=currency))
    api.settle()

    assert told["paymentAmount"] == {"currency": currency, "value": "12345"}
    assert api.books(told["paymentId"]) == [("charge", 12345)]


def test_rupiahs_end_in_two_noughts(api):
    assert code(api.pay(api.body(value=12345, currency="IDR"))) == "PARAM_ILLEGAL"
    assert code(api.pay(api.body(value=12300, currency="IDR"))) == "SUCCESS"


def test_currencies_are_a_switch(api):
    api.switch(currencies=["KWD", "EUR"])

    assert code(api.pay(api.body(value=77700, currency="KWD"))) == "SUCCESS"
    assert code(api.pay(api.body(currency="USD"))) == "CURRENCY_NOT_SUPPORT"


def test_latin_american_cards_need_a_name(api):
    body = api.body("4294097400915107")

    assert code(api.pay(changed(body, f"{META}.cardholderName", ...))) == "PARAM_ILLEGAL"


# --- pay: what comes of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(simulator_cards.CARDS))
def test_test_cards_pass_luhn(number):
    assert passes_luhn(number)


SUCCEEDING = (
    "4054695723100768", "5162774114974622", "9490220011669217", "4294097400915107", "4006055482525268",
    "4600729331819383", "4310377720003234", "4035501000000008", "4117347806156383", "4000000001000217",
    "4000000001000225", "4000000001000233", "4000000001000241", "4000000001000258", "4000000001000266",
    "4000000001000274",
)  # fmt: skip
FAILING = {
    "4054692760174822": "DO_NOT_HONOR", "5162770472561357": "DO_NOT_HONOR", "4000000001000019": "DO_NOT_HONOR",
    "4000000001000027": "USER_BALANCE_NOT_ENOUGH", "4000000001000035": "CARD_EXPIRED",
    "4000000001000043": "LOST_CARD", "4000000001000050": "STOLEN_CARD", "4000000001000068": "FRAUD_REJECT",
    "4000000001000076": "RISK_REJECT", "4000000001000084": "CARD_NOT_SUPPORTED",
    "4000000001000092": "INVALID_CARD_NUMBER", "4000000001000100": "INVALID_CVV",
    "4000000001000126": "ACCESS_DENIED", "4000000001000134": "PAYMENT_COUNT_EXCEED_LIMIT",
    "4000000001000142": "SYSTEM_ERROR",
}  # fmt: skip


@pytest.mark.parametrize("number", SUCCEEDING)
def test_a_card_that_succeeds(api, number):
    body = api.body(number, manual=True)
    told = api.pay(body)
    api.settle()

    assert outcome(told) == ("S", "SUCCESS")
    assert set(told["paymentResultInfo"]) == {"avsResultRaw", "cvvResultRaw", "networkTransactionId"}
    assert re.fullmatch("[0-9]{35}", told["paymentId"])
    assert told["paymentId"][8:24] == "1940108001001888"
    assert re.fullmatch("[0-9]{15}", told["paymentResultInfo"]["networkTransactionId"])
    assert api.books(told["paymentId"]) == []
    notice = api.merchant.of("PAYMENT_RESULT")
    assert outcome(notice) == ("S", "SUCCESS")
    assert notice["paymentResultInfo"]["cardNo"] == f"************{number[-4:]}"
    inquired = api.inquire(body["paymentRequestId"])
    assert (inquired["paymentStatus"], inquired["paymentResultCode"]) == ("SUCCESS", "SUCCESS")
    assert inquired["authExpiryTime"] > inquired["paymentTime"]


@pytest.mark.parametrize(("number", "expected"), FAILING.items())
def test_a_card_that_fails(api, number, expected):
    body = api.body(number)
    told = api.pay(body)
    api.settle()

    assert outcome(told) == ("F", expected)
    assert told["paymentRequestId"] == body["paymentRequestId"]
    assert outcome(api.merchant.of("PAYMENT_RESULT")) == ("F", expected)
    inquired = api.inquire(body["paymentRequestId"])
    assert outcome(inquired) == ("S", "SUCCESS")
    assert (inquired["paymentStatus"], inquired["paymentResultCode"]) == ("FAIL", expected)
    assert api.books(told["paymentId"]) == []


def test_the_sandbox_s_declines_carry_raw_code_05(api):
    assert api.pay(api.body(DECLINED))["paymentResultInfo"]["refusalCodeRaw"] == "05"


@pytest.mark.parametrize("value", ["11", "1111001111"])
@pytest.mark.parametrize("card", [GOOD, None])
def test_amounts_refused_for_risk(api, value, card):
    body = api.body(card, value=value)

    assert outcome(api.pay(body)) == ("F", "RISK_REJECT")
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "FAIL"


@pytest.mark.parametrize(
    ("address", "cvv", "expected"),
    [
        ({"region": "US", "zipCode": "10001"}, "123", ("Y", "Y")),
        ({"region": "US", "zipCode": "00000"}, "999", ("A", "D")),
        ({"region": "US", "address1": "no match"}, "1234", ("N", "Y")),
        ({"region": "DE"}, ..., ("U", "X")),
        (None, "", ("U", "X")),
    ],
)
def test_avs_and_cvv_verdicts(api, address, cvv, expected):
    body = changed(api.body(billingAddress=address), f"{META}.cvv", cvv)
    info = api.pay(body)["paymentResultInfo"]

    assert (info["avsResultRaw"], info["cvvResultRaw"]) == expected


def test_card_that_leaves_no_payment(api):
    body = api.body("4000000001000159")

    assert outcome(api.pay(body)) == ("U", "UNKNOWN_EXCEPTION")
    assert code(api.inquire(body["paymentRequestId"])) == "ORDER_NOT_EXIST"


def test_card_that_is_slow(api):
    body = api.body("4000000001000167")
    told = api.pay(body)

    assert outcome(told) == ("U", "PAYMENT_IN_PROCESS")
    assert not {"normalUrl", "redirectActionForm"} & set(told)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "PROCESSING"
    api.advance(21)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"
    assert api.books(told["paymentId"]) == [("charge", 30000)]


def test_card_whose_answer_is_lost(api):
    body = api.body("4000000001000175")

    with pytest.raises(requests.ConnectionError):
        api.send("payments/pay", body)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"
    assert outcome(api.pay(body)) == ("S", "SUCCESS")


def test_card_whose_answer_is_unknown(api):
    body = api.body("4000000001000183")

    assert api.pay(body) == {
        "result": {
            "resultCode": "UNKNOWN_EXCEPTION",
            "resultStatus": "U",
            "resultMessage": "unknown exception",
        }
    }
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"


def test_card_under_review(api):
    body = api.body("4000000001000274")
    told = api.pay(body)

    assert api.inquire(body["paymentRequestId"])["authReviewStatus"] == "PROCESSING"
    assert api.books(told["paymentId"]) == []
    api.advance(31)
    assert api.inquire(body["paymentRequestId"])["authReviewStatus"] == "ACCEPT"
    assert api.books(told["paymentId"]) == [("charge", 30000)]


def test_a_rejected_review_is_never_captured_by_itself(api):
    told = api.pay(api.body("4000000001000274"))
    api.event(told["paymentId"], "review", verdict="REJECT")
    api.advance(MINUTE)

    assert api.inquire(told["paymentRequestId"])["authReviewStatus"] == "REJECT"
    assert api.books(told["paymentId"]) == []
    assert code(api.cancel(told["paymentId"])) == "SUCCESS"


# --- the same id again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", [GOOD, DECLINED])
def test_a_final_answer_comes_back_unchanged(api, card):
    body = api.body(card)
    first = api.send("payments/pay", body).content
    api.settle()

    assert api.send("payments/pay", body).content == first
    assert len(api.merchant.kinds) == len(set(api.merchant.kinds))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paymentAmount.value", "1"),
        ("paymentAmount.currency", "USD"),
        (f"{META}.cardNo", "5162774114974622"),
        ("paymentMethod.paymentMethodMetaData", ...),
    ],
)
def test_an_id_stands_for_one_intention(api, path, value):
    body = api.body()
    api.pay(body)

    assert outcome(api.pay(changed(body, path, value))) == ("F", "REPEAT_REQ_INCONSISTENT")


def test_an_open_payment_gives_the_same_url_again(api):
    body = api.body(None)

    assert api.pay(body)["normalUrl"] == api.pay(body)["normalUrl"]


def test_ids_of_cancelled_and_expired_payments_are_used_up(api):
    cancelled, expired = api.body(None), api.body(None)
    api.cancel(api.pay(cancelled)["paymentId"])
    api.pay(expired)
    api.advance(15 * MINUTE)

    assert outcome(api.pay(cancelled)) == ("F", "ORDER_IS_CANCELED")
    assert outcome(api.pay(expired)) == ("F", "ORDER_IS_CLOSED")


def test_simultaneous_requests_make_one_payment(api):
    body = api.body()
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(api.send("payments/pay", body).content)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    api.settle()

    assert len(set(answers)) == 1
    assert api.books(json.loads(answers[0])["paymentId"]) == [("charge", 30000)]


def test_accounts_do_not_see_each_other(api):
    told = api.pay(api.body(manual=True))
    other = {"client": PRODUCTION}

    assert code(api.inquire(told["paymentRequestId"], **other)) == "ORDER_NOT_EXIST"
    by_id = {"paymentId": told["paymentId"]}
    assert code(api.call("payments/inquiryPayment", by_id, **other)) == "ORDER_NOT_EXIST"
    assert code(api.call("payments/cancel", by_id, **other)) == "ORDER_NOT_EXIST"


# --- 3-D Secure ------------------------------------------------------------------------------------------------------


def challenged(api: Api, card: str = GOOD, **meta: Any) -> tuple[dict[str, Any], str]:
    """A payment that waits on the 3DS page, and the page's address."""
    told = api.pay(api.body(card, **({"is3DSAuthentication": True} | meta)))
    assert outcome(told) == ("U", "PAYMENT_IN_PROCESS")
    return told, told["normalUrl"]


@pytest.mark.parametrize(
    ("card", "eci", "status"),
    [(GOOD, "05", "Y"), ("5162774114974622", "02", "Y"), (ATTEMPTED, "06", "A"), (SOFT, "05", "Y")],
)
def test_authenticated(api, card, eci, status):
    told, url = challenged(api, card)

    assert told["redirectActionForm"] == {
        "actionFormType": "RedirectActionForm", "method": "GET", "redirectUrl": url
    }  # fmt: skip
    assert "Authenticate" in api.get(url).text
    assert api.inquire(told["paymentRequestId"])["redirectActionForm"]["redirectUrl"] == url
    back = api.post(url, answer="authenticate")
    api.settle()

    assert (back.status_code, back.headers["location"]) == (302, "https://shop.example/return/PAY_1?x=1")
    found = api.merchant.of("PAYMENT_RESULT")["paymentResultInfo"]["threeDSResult"]
    assert (found["eci"], found["paResStatus"], found["threeDSVersion"]) == (eci, status, "2.2.0")
    assert found["challenged"] is True
    assert found["cavv"]
    assert found["liabilityShift"] == "1"
    assert api.inquire(told["paymentRequestId"])["paymentResultInfo"]["threeDSResult"] == found
    assert api.books(told["paymentId"]) == [("charge", 30000)]


@pytest.mark.parametrize(
    ("card", "answer", "cancel"),
    [(GOOD, "fail", None), (GOOD, "cancel", "01"), (FAILS_3DS, "authenticate", None)],
)
def test_not_authenticated(api, card, answer, cancel):
    told, url = challenged(api, card)
    back = api.post(url, answer=answer)
    api.settle()
    inquired = api.inquire(told["paymentRequestId"])

    assert back.headers["location"] == "https://shop.example/return/PAY_1?x=1"
    assert outcome(api.merchant.of("PAYMENT_RESULT")) == ("F", "USER_PAYMENT_VERIFICATION_FAILED")
    assert inquired["paymentResultCode"] == "USER_PAYMENT_VERIFICATION_FAILED"
    found = inquired["paymentResultInfo"]["threeDSResult"]
    assert (found["paResStatus"], found.get("challengeCancel")) == ("N", cancel)
    assert "cavv" not in found
    assert api.books(told["paymentId"]) == []


def test_authentication_does_not_save_a_bad_card(api):
    told, url = challenged(api, "4000000001000027")
    api.post(url, answer="authenticate")

    assert api.inquire(told["paymentRequestId"])["paymentResultCode"] == "USER_BALANCE_NOT_ENOUGH"


def test_leaving_decides_nothing(api):
    told, url = challenged(api)
    left = api.post(url, answer="leave")
    api.settle()

    assert left.status_code == 200
    assert "https://shop.example/return/PAY_1?x=1" in left.text
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "PROCESSING"
    assert api.merchant.got == []
    assert api.post(url, answer="authenticate").status_code == 302
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "SUCCESS"


def test_an_exempted_card_is_not_asked(api):
    told, url = challenged(api, EXEMPT)
    page = api.get(url)
    onward = page.headers["refresh"].partition("url=")[2]
    back = api.get(api.url + onward)

    assert "Authenticate" not in page.text
    assert back.headers["location"] == "https://shop.example/return/PAY_1?x=1"
    inquired = api.inquire(told["paymentRequestId"])
    assert inquired["paymentStatus"] == "SUCCESS"
    assert inquired["paymentResultInfo"]["threeDSResult"]["challenged"] is False


def test_nobody_passes_an_ordinary_challenge_by(api):
    told, url = challenged(api)

    assert api.get(f"{url}/frictionless").status_code == 404
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "PROCESSING"


@pytest.mark.parametrize(("upgrade", "expected"), [(True, "U"), (..., "U"), ("", "U"), (False, "F"), ("false", "F")])
def test_a_soft_decline_is_upgraded_when_allowed(api, upgrade, expected):
    body = api.body(SOFT)
    body = body if upgrade is ... else changed(body, f"{META}.enableAuthenticationUpgrade", upgrade)
    told = api.pay(body)

    assert outcome(told) == (expected, "PAYMENT_IN_PROCESS" if expected == "U" else "AUTHENTICATION_REQUIRED")


def test_the_acquirer_may_ask_for_3ds_from_an_amount(api):
    api.switch(three_ds_from_amount=20000)

    assert outcome(api.pay(api.body(value=20000))) == ("U", "PAYMENT_IN_PROCESS")
    assert outcome(api.pay(api.body(value=19999))) == ("S", "SUCCESS")


def test_3ds_done_elsewhere_is_echoed(api):
    mpi = {"threeDSVersion": "2.1.0", "eci": "06", "cavv": "AAABBEg0VhI0VniQEjRWAAAAAAA=", "dsTransactionId": "ds-1"}
    told = api.pay(api.body(SOFT, mpiData=mpi, enableAuthenticationUpgrade=False))

    assert outcome(told) == ("S", "SUCCESS")
    assert told["paymentResultInfo"]["threeDSResult"] == mpi


@pytest.mark.parametrize("spelling", ["cavv", "caav", "both"])
def test_the_cavv_is_spelt_as_switched(api, spelling):
    api.switch(cavv_spelling=spelling)
    told, url = challenged(api)
    api.post(url, answer="authenticate")
    found = api.inquire(told["paymentRequestId"])["paymentResultInfo"]["threeDSResult"]

    assert {"cavv", "caav"} & set(found) == ({"cavv", "caav"} if spelling == "both" else {spelling})


def test_the_browser_can_be_handed_over_by_a_form(api):
    api.switch(redirect_method="POST")
    told = api.pay(api.body(is3DSAuthentication=True))
    form = told["redirectActionForm"]

    assert "normalUrl" not in told
    assert form["method"] == "POST"
    landed = api.session.post(
        form["redirectUrl"], data=json.loads(form["parameters"]), headers={"Origin": "https://shop.example"},
        allow_redirects=False, timeout=5,
    )  # fmt: skip
    assert landed.status_code == 303
    page = api.get(api.url + landed.headers["location"])
    assert "Authenticate" in page.text
    assert api.inquire(told["paymentRequestId"])["redirectActionForm"] == form


def test_the_landing_leads_nowhere_else(api):
    assert api.post(f"{api.url}/antom/start", page="//evil.example", key="x").status_code == 400
    assert api.post(f"{api.url}/antom/start", page="3ds", key="../x").status_code == 400


def test_the_page_ends_with_the_payment(api):
    told, url = challenged(api)
    api.cancel(told["paymentId"])

    assert "This payment was cancelled" in api.get(url).text
    api.post(url, answer="authenticate")
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "CANCELLED"
    assert api.books(told["paymentId"]) == []
    assert api.get(f"{api.url}/antom/3ds/nobody").status_code == 404
    assert api.post(url, answer="perhaps").status_code == 400


# --- hosted pages ----------------------------------------------------------------------------------------------------


def test_hosted_card_page(api):
    told = api.pay(api.body(None))
    url = told["normalUrl"]

    assert outcome(told) == ("U", "PAYMENT_IN_PROCESS")
    assert "Pay by card" in api.get(url).text
    back = api.fill(url)
    api.settle()
    assert (back.status_code, back.headers["location"]) == (302, "https://shop.example/return/PAY_1?x=1")
    assert outcome(api.merchant.of("PAYMENT_RESULT")) == ("S", "SUCCESS")
    assert api.books(told["paymentId"]) == [("charge", 30000)]
    assert "This payment is done" in api.get(url).text


def test_hosted_card_page_with_3ds(api):
    told = api.pay(api.body(None, is3DSAuthentication=True))
    onward = api.fill(told["normalUrl"])

    assert "/antom/3ds/" in onward.headers["location"]
    assert api.get(told["normalUrl"]).headers["location"] == onward.headers["location"]
    api.post(api.url + onward.headers["location"], answer="authenticate")
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "SUCCESS"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"number": "4054695723100769"}, "not a card number"),
        ({"number": ""}, "not a card number"),
        ({"cvv": "12"}, "security code"),
        ({"cvv": ""}, "security code"),
        ({"month": "01", "year": "2020"}, "expired"),
        ({"name": " "}, "name on the card"),
    ],
)
def test_the_card_form_explains_mistakes_and_gives_no_card_back(api, form, text):
    told = api.pay(api.body(None))
    form = {"number": "5162774114974622"} | form
    page = api.fill(told["normalUrl"], **form)

    assert page.status_code == 422
    assert text in page.text
    assert not form["number"] or form["number"] not in page.text
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "PROCESSING"


def test_a_declined_card_on_the_hosted_page_ends_the_payment(api):
    told = api.pay(api.body(None))
    back = api.fill(told["normalUrl"], "4054 6927 6017 4822")

    assert back.headers["location"] == "https://shop.example/return/PAY_1?x=1"
    assert api.inquire(told["paymentRequestId"])["paymentResultCode"] == "DO_NOT_HONOR"


def test_a_form_sent_twice_pays_once(api):
    told = api.pay(api.body(None))
    api.fill(told["normalUrl"])
    api.fill(told["normalUrl"])
    api.settle()

    assert api.books(told["paymentId"]) == [("charge", 30000)]


def test_checkout_page(api):
    body = api.session_body()
    told = api.call("payments/createPaymentSession", body)

    assert outcome(told) == ("S", "SUCCESS")
    assert {"paymentSessionId", "paymentSessionData", "paymentSessionExpiryTime", "normalUrl"} <= set(told)
    assert api.call("payments/createPaymentSession", body) == told
    assert code(api.inquire(body["paymentRequestId"])) == "ORDER_NOT_EXIST"
    assert "Choose how to pay" in api.get(told["normalUrl"]).text
    card_page = api.url + api.post(told["normalUrl"], method="card").headers["location"]
    shown = api.fill(card_page, save="yes").headers["location"]
    api.settle()

    result_page = api.get(api.url + shown)
    assert "This payment is done" in result_page.text
    assert "https://shop.example/return/PAY_1?x=1" in result_page.text
    inquired = api.inquire(body["paymentRequestId"])
    assert (inquired["paymentStatus"], inquired["paymentMethodType"]) == ("SUCCESS", "CARD")
    assert re.fullmatch("ALIPAY[A-Za-z0-9+/=]{86,88}", inquired["paymentResultInfo"]["cardToken"])
    assert api.books(inquired["paymentId"]) == [("charge", 30000)]
    assert code(api.call("payments/createPaymentSession", body)) == "PROCESS_FAIL"


def test_a_stored_card_on_the_checkout_page(api):
    token = stored_token(api)
    body = api.session_body(savedPaymentMethods=[{"paymentMethodType": "CARD", "paymentMethodId": token}])
    told = api.call("payments/createPaymentSession", body)

    assert "Visa ending in 0768" in api.get(told["normalUrl"]).text
    assert api.post(told["normalUrl"], method="saved-1").status_code == 400
    api.post(told["normalUrl"], method="saved-0")
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"


def test_a_session_lives_an_hour(api):
    body = api.session_body()
    url = api.call("payments/createPaymentSession", body)["normalUrl"]
    api.advance(61 * MINUTE)

    assert "has expired" in api.get(url).text
    api.fill(url.replace("/checkout/", "/card/"))
    assert code(api.inquire(body["paymentRequestId"])) == "ORDER_NOT_EXIST"


def test_what_a_session_demands(api):
    for path, value in (("order.buyer", ...), ("productScene", "OTHER"), ("paymentAmount", ...), ("locale", "x" * 9)):
        told = api.call("payments/createPaymentSession", changed(api.session_body(locale="en"), path, value))
        assert code(told) == "PARAM_ILLEGAL", path
    other = {"paymentMethodTypeList": [{"paymentMethodType": "KAKAOPAY"}]}
    told = api.call("payments/createPaymentSession", api.session_body(availablePaymentMethod=other))
    assert code(told) == "NO_PAY_OPTIONS"
    embedded = api.call("payments/createPaymentSession", api.session_body(productScene="ELEMENT_PAYMENT"))
    assert "normalUrl" not in embedded


def test_a_session_s_id_is_not_free_for_pay(api):
    body = api.session_body()
    api.call("payments/createPaymentSession", body)

    again = api.body() | {"paymentRequestId": body["paymentRequestId"]}
    assert code(api.pay(again)) == "REPEAT_REQ_INCONSISTENT"


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_an_unfinished_payment_fails_after_14_minutes(api):
    told, url = challenged(api)
    api.advance(13 * MINUTE + 50)
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "PROCESSING"
    api.advance(11)
    inquired = api.inquire(told["paymentRequestId"])

    assert (inquired["paymentStatus"], inquired["paymentResultCode"]) == ("FAIL", "PROCESS_FAIL")
    assert outcome(api.merchant.of("PAYMENT_RESULT")) == ("F", "ORDER_IS_CLOSED")
    assert "has expired" in api.get(url).text
    api.post(url, answer="authenticate")
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "FAIL"


@pytest.mark.parametrize(("wish_s", "lives_s"), [(300, 300), (10 * DAY, 840), (-60, 60)])
def test_an_own_expiry_is_clamped(api, wish_s, lives_s):
    now = api.simulation.clock.now() / 1000
    wish = datetime.fromtimestamp(now + wish_s, UTC).isoformat(timespec="seconds")
    body = api.body(None) | {"paymentExpiryTime": wish}
    api.pay(body)
    api.advance(lives_s - 20)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "PROCESSING"
    api.advance(21)

    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "FAIL"


# --- inquiry ---------------------------------------------------------------------------------------------------------


def test_the_payment_id_wins(api):
    first, second = api.authorised(), api.authorised()
    both = {"paymentId": first["paymentId"], "paymentRequestId": second["paymentRequestId"]}

    assert api.call("payments/inquiryPayment", both)["paymentRequestId"] == first["paymentRequestId"]


@pytest.mark.parametrize("operation", ["inquiryPayment", "cancel"])
def test_one_of_both_ids_is_needed(api, operation):
    assert code(api.call(f"payments/{operation}", {"merchantAccountId": "1"})) == "PARAM_ILLEGAL"
    assert code(api.call(f"payments/{operation}", {"paymentRequestId": "x" * 65})) == "PARAM_ILLEGAL"
    assert code(api.call(f"payments/{operation}", {"paymentId": "1"})) == "ORDER_NOT_EXIST"


def test_metadata_and_acquirer_are_told(api):
    body = api.body(manual=True) | {"metadata": '{"shop":"7"}'}
    api.pay(body)
    api.settle()

    for told in (api.inquire(body["paymentRequestId"]), api.merchant.of("PAYMENT_RESULT")):
        assert told["metadata"] == '{"shop":"7"}'
        assert told["acquirerInfo"]["acquirerName"]
        assert told["acquirerInfo"]["acquirerTransactionId"]


def test_acquirers_take_turns(api):
    api.switch(acquirers=["ANTOM", "2C2P"])
    names = [api.inquire(api.authorised()["paymentRequestId"])["acquirerInfo"]["acquirerName"] for _ in range(4)]

    assert sorted(names) == ["2C2P", "2C2P", "ANTOM", "ANTOM"]


# --- capture ---------------------------------------------------------------------------------------------------------


def test_automatic_capture(api):
    api.switch(capture_delay_s=30.0)
    told = api.pay()
    inquired = api.inquire(told["paymentRequestId"])
    assert [one["transactionStatus"] for one in inquired["transactions"]] == ["PROCESSING"]
    assert outcome({"result": inquired["transactions"][0]["transactionResult"]}) == ("U", "PAYMENT_IN_PROCESS")
    api.advance(31)

    assert api.books(told["paymentId"]) == [("charge", 30000)]
    notice = api.merchant.of("CAPTURE_RESULT")
    assert outcome(notice) == ("S", "SUCCESS")
    assert notice["paymentId"] == told["paymentId"]
    assert "paymentRequestId" not in notice
    assert notice["captureId"][8:24] == "1940108901001888"
    transaction = api.inquire(told["paymentRequestId"])["transactions"][0]
    assert (transaction["transactionType"], transaction["transactionStatus"]) == ("CAPTURE", "SUCCESS")
    assert transaction["transactionRequestId"] == notice["captureRequestId"]
    assert code(api.capture(told["paymentId"])) == "ORDER_STATUS_INVALID"


def test_manual_capture(api):
    told = api.authorised()
    id = api.reference("CAP")
    first = api.capture(told["paymentId"], id=id)
    api.settle()

    assert outcome(first) == ("S", "SUCCESS")
    assert (first["captureRequestId"], first["captureAmount"]["value"]) == (id, "30000")
    assert first["captureTime"]
    assert first["acquirerInfo"]
    assert api.capture(told["paymentId"], id=id) == first
    assert api.merchant.of("CAPTURE_RESULT")["captureRequestId"] == id
    assert api.books(told["paymentId"]) == [("charge", 30000)]
    assert code(api.capture(told["paymentId"], 1, id=id)) == "REPEAT_REQ_INCONSISTENT"
    assert code(api.capture(told["paymentId"], 1)) == "ORDER_STATUS_INVALID"


def test_an_id_of_another_payment_s_capture_is_refused(api):
    first, second, id = api.authorised(), api.authorised(), api.reference("CAP")
    api.capture(first["paymentId"], id=id)

    assert code(api.capture(second["paymentId"], id=id)) == "REPEAT_REQ_INCONSISTENT"
    assert api.books(second["paymentId"]) == []


def test_a_partial_capture_releases_the_rest(api):
    told = api.authorised()

    assert code(api.capture(told["paymentId"], 10000)) == "SUCCESS"
    assert code(api.capture(told["paymentId"], 10000)) == "MULTI_CAPTURE_NOT_SUPPORTED"
    assert api.books(told["paymentId"]) == [("charge", 10000)]


def test_several_captures(api):
    assert code(api.capture(api.authorised()["paymentId"], 1, captureType="NON_FINAL")) == "MULTI_CAPTURE_NOT_SUPPORTED"
    api.switch(multi_capture=True)
    told = api.authorised()

    assert code(api.capture(told["paymentId"], 10000, captureType="NON_FINAL")) == "SUCCESS"
    assert code(api.capture(told["paymentId"], 5000, isLastCapture=False)) == "SUCCESS"
    assert code(api.capture(told["paymentId"], 15001)) == "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"
    assert code(api.capture(told["paymentId"], 10000)) == "SUCCESS"
    assert code(api.capture(told["paymentId"], 1)) == "MULTI_CAPTURE_NOT_SUPPORTED"
    assert sum(amount for _, amount in api.books(told["paymentId"])) == 25000


def test_full_capture_only(api):
    api.switch(full_capture_only=True)
    told = api.authorised()

    assert code(api.capture(told["paymentId"], 29999)) == "PARAM_ILLEGAL"
    assert code(api.capture(told["paymentId"], 30000)) == "SUCCESS"


def test_what_capture_refuses(api):
    told, declined = api.authorised(), api.pay(api.body(DECLINED, manual=True))
    open_one = api.pay(api.body(None, manual=True))

    assert code(api.capture("20250101194010800100188800000000000")) == "AUTH_NOT_FOUND"
    assert code(api.capture(told["paymentId"], currency="USD")) == "CURRENCY_NOT_SUPPORT"
    assert code(api.capture(told["paymentId"], 30001)) == "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"
    assert code(api.capture(declined["paymentId"])) == "ORDER_STATUS_INVALID"
    assert code(api.capture(open_one["paymentId"])) == "ORDER_STATUS_INVALID"
    assert code(api.capture(told["paymentId"], id="a b")) == "PARAM_ILLEGAL"
    assert code(api.capture(told["paymentId"], captureType="HALF")) == "PARAM_ILLEGAL"
    assert code(api.capture(told["paymentId"], 0)) == "PARAM_ILLEGAL"
    assert api.books(told["paymentId"]) == []


def test_a_refusal_is_final_for_its_id(api):
    told, id = api.authorised(), api.reference("CAP")

    assert code(api.capture(told["paymentId"], 30001, id=id)) == "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"
    assert code(api.capture(told["paymentId"], 30001, id=id)) == "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"
    assert code(api.capture(told["paymentId"], 30000, id=id)) == "REPEAT_REQ_INCONSISTENT"


def test_card_whose_capture_fails(api):
    told = api.authorised("4000000001000217")
    answer = api.capture(told["paymentId"])
    api.settle()

    assert outcome(answer) == ("F", "PROCESS_FAIL")
    assert set(answer) == {"result"}
    assert outcome(api.merchant.of("CAPTURE_RESULT")) == ("F", "PROCESS_FAIL")
    inquired = api.inquire(told["paymentRequestId"])
    assert (inquired["paymentStatus"], inquired["transactions"][0]["transactionStatus"]) == ("SUCCESS", "FAIL")
    assert api.books(told["paymentId"]) == []
    assert code(api.cancel(told["paymentId"])) == "SUCCESS"


def test_card_whose_capture_takes_time(api):
    told, id = api.authorised("4000000001000225"), api.reference("CAP")

    assert outcome(api.capture(told["paymentId"], id=id)) == ("U", "CAPTURE_IN_PROCESS")
    assert outcome(api.capture(told["paymentId"], id=id)) == ("U", "CAPTURE_IN_PROCESS")
    assert code(api.cancel(told["paymentId"])) == "ORDER_STATUS_INVALID"
    api.advance(11)
    assert outcome(api.capture(told["paymentId"], id=id)) == ("S", "SUCCESS")
    assert api.merchant.kinds.count("CAPTURE_RESULT") == 1
    assert api.books(told["paymentId"]) == [("charge", 30000)]


def test_an_authorisation_lapses_after_seven_days_in_silence(api):
    told = api.authorised()
    api.settle()
    before = len(api.merchant.got)
    api.advance(7 * DAY - MINUTE)
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "SUCCESS"
    api.advance(2 * MINUTE)

    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "CANCELLED"
    assert len(api.merchant.got) == before
    assert code(api.capture(told["paymentId"])) == "AUTH_EXPIRED"
    assert code(api.cancel(told["paymentId"])) == "CANCEL_WINDOW_EXCEED"


# --- cancel ----------------------------------------------------------------------------------------------------------


def test_cancel_an_authorisation(api):
    told = api.authorised()
    api.settle()
    before = len(api.merchant.got)
    first = api.cancel(told["paymentId"])
    api.settle()

    assert outcome(first) == ("S", "SUCCESS")
    assert first["paymentRequestId"] == told["paymentRequestId"]
    assert api.call("payments/cancel", {"paymentRequestId": told["paymentRequestId"]}) == first
    inquired = api.inquire(told["paymentRequestId"])
    assert (inquired["paymentStatus"], inquired["paymentResultCode"]) == ("CANCELLED", "SUCCESS")
    assert code(api.capture(told["paymentId"])) == "AUTH_CANCELLED"
    assert code(api.refund(told["paymentId"])) == "ORDER_IS_CANCELED"
    assert len(api.merchant.got) == before


def test_what_cannot_be_cancelled(api):
    captured, declined, refunded = api.captured(), api.pay(api.body(DECLINED)), api.captured()
    api.refund(refunded["paymentId"], 1)

    assert code(api.cancel("1")) == "ORDER_NOT_EXIST"
    assert code(api.cancel(captured["paymentId"])) == "ORDER_STATUS_INVALID"
    assert code(api.cancel(declined["paymentId"])) == "ORDER_STATUS_INVALID"
    assert code(api.cancel(refunded["paymentId"])) == "PROCESS_FAIL"


def test_money_that_comes_after_a_cancellation_goes_back(api):
    told = api.pay(api.body(None))
    api.cancel(told["paymentId"])
    api.event(told["paymentId"], "late_success")

    assert api.books(told["paymentId"]) == [("charge", 30000), ("refund", 30000)]
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "CANCELLED"


# --- refund ----------------------------------------------------------------------------------------------------------


def inquire_refund(api: Api, **ids: str) -> dict[str, Any]:
    return api.call("payments/inquiryRefund", ids)


def test_an_asynchronous_refund(api):
    told, id = api.captured(), api.reference("REF")
    first = api.refund(told["paymentId"], 10000, id=id, metadata="m", refundNotifyUrl=f"{api.merchant.url}/refunds")

    assert outcome(first) == ("U", "REFUND_IN_PROCESS")
    assert first["refundId"][8:24] == "1940108013001888"
    waiting = inquire_refund(api, refundRequestId=id)
    assert (waiting["refundStatus"], "refundTime" in waiting) == ("PROCESSING", False)
    assert api.refund(told["paymentId"], 10000, id=id, metadata="m")["refundId"] == first["refundId"]
    assert api.books(told["paymentId"]) == [("charge", 30000)]
    api.advance(31)

    notice = api.merchant.of("REFUND_RESULT")
    assert (notice["refundStatus"], notice["refundRequestId"], notice["metadata"]) == ("SUCCESS", id, "m")
    assert "paymentId" not in notice
    assert api.merchant.got[-1][0] == "/refunds"
    done = inquire_refund(api, refundId=first["refundId"])
    assert (done["refundStatus"], done["refundAmount"]["value"]) == ("SUCCESS", "10000")
    assert done["refundTime"]
    assert outcome(api.refund(told["paymentId"], 10000, id=id)) == ("S", "SUCCESS")
    assert api.books(told["paymentId"]) == [("charge", 30000), ("refund", 10000)]
    kinds = [one["transactionType"] for one in api.inquire(told["paymentRequestId"])["transactions"]]
    assert kinds == ["CAPTURE", "REFUND"]


def test_a_synchronous_refund_is_not_notified(api):
    api.switch(synchronous_refunds=True)
    told = api.captured()
    answer = api.refund(told["paymentId"])
    api.advance(MINUTE)

    assert outcome(answer) == ("S", "SUCCESS")
    assert answer["refundTime"]
    assert "REFUND_RESULT" not in api.merchant.kinds
    assert api.books(told["paymentId"]) == [("charge", 30000), ("refund", 30000)]


@pytest.mark.parametrize("synchronous", [False, True])
def test_card_whose_refund_fails(api, synchronous):
    api.switch(synchronous_refunds=synchronous)
    told, id = api.captured("4000000001000241"), api.reference("REF")

    assert outcome(api.refund(told["paymentId"], id=id)) == ("U", "REFUND_IN_PROCESS")
    api.advance(31)
    notice = api.merchant.of("REFUND_RESULT")
    assert (notice["refundStatus"], code(notice)) == ("FAIL", "PROCESS_FAIL")
    assert inquire_refund(api, refundRequestId=id)["refundStatus"] == "FAIL"
    assert outcome(api.refund(told["paymentId"], id=id)) == ("F", "PROCESS_FAIL")
    # its amount is free again
    assert code(api.refund(told["paymentId"])) == "REFUND_IN_PROCESS"
    assert api.books(told["paymentId"]) == [("charge", 30000)]


def test_card_whose_refund_is_never_synchronous(api):
    api.switch(synchronous_refunds=True)
    told = api.captured("4000000001000233")

    assert outcome(api.refund(told["paymentId"])) == ("U", "REFUND_IN_PROCESS")
    api.advance(31)
    assert api.books(told["paymentId"])[-1] == ("refund", 30000)


def test_pending_refunds_count_against_the_rest(api):
    told = api.captured(value=20000)

    assert code(api.refund(told["paymentId"], 15000)) == "REFUND_IN_PROCESS"
    assert code(api.refund(told["paymentId"], 5001)) == "REFUND_AMOUNT_EXCEED"
    assert code(api.refund(told["paymentId"], 5000)) == "REFUND_IN_PROCESS"
    api.advance(31)
    assert code(api.refund(told["paymentId"], 1)) == "REFUND_AMOUNT_EXCEED"
    assert sum(amount for kind, amount in api.books(told["paymentId"]) if kind == "refund") == 20000


def test_a_refund_of_one_capture(api):
    api.switch(multi_capture=True)
    told = api.authorised()
    first = api.capture(told["paymentId"], 10000, captureType="NON_FINAL")["captureId"]
    api.capture(told["paymentId"], 20000)

    assert code(api.refund(told["paymentId"], 10001, captureId=first)) == "REFUND_AMOUNT_EXCEED"
    assert code(api.refund(told["paymentId"], 10000, captureId=first)) == "REFUND_IN_PROCESS"
    assert code(api.refund(told["paymentId"], 1, captureId=first)) == "REFUND_AMOUNT_EXCEED"
    assert code(api.refund(told["paymentId"], 1, captureId="1")) == "PARAM_ILLEGAL"


def test_what_refund_refuses(api):
    held, captured, id = api.authorised(), api.captured(), api.reference("REF")

    assert code(api.refund("1")) == "ORDER_NOT_EXIST"
    assert code(api.refund(held["paymentId"])) == "ORDER_STATUS_INVALID"
    assert code(api.refund(captured["paymentId"], currency="USD")) == "CURRENCY_NOT_SUPPORT"
    assert code(api.refund(captured["paymentId"], 30001)) == "REFUND_AMOUNT_EXCEED"
    assert code(api.refund(captured["paymentId"], id="a/b")) == "PARAM_ILLEGAL"
    assert code(api.refund(captured["paymentId"], refundReason="x" * 257)) == "PARAM_ILLEGAL"
    assert code(api.refund(captured["paymentId"], 1, id=id)) == "REFUND_IN_PROCESS"
    assert code(api.refund(captured["paymentId"], 2, id=id)) == "REPEAT_REQ_INCONSISTENT"
    assert code(inquire_refund(api, refundRequestId="NOBODY")) == "ORDER_NOT_EXIST"
    assert code(inquire_refund(api)) == "PARAM_ILLEGAL"


def test_the_refund_window_is_a_year(api):
    told = api.captured()
    api.advance(365 * DAY - HOUR)
    assert code(api.refund(told["paymentId"], 1)) == "REFUND_IN_PROCESS"
    api.advance(2 * HOUR)

    assert code(api.refund(told["paymentId"], 1)) == "REFUND_WINDOW_EXCEED"


# --- stored cards ----------------------------------------------------------------------------------------------------


def stored_token(api: Api, card: str = GOOD) -> str:
    body = api.body(card, tokenize=True)
    told = api.pay(body)
    assert "cardToken" not in told["paymentResultInfo"]
    return str(api.inquire(body["paymentRequestId"])["paymentResultInfo"]["cardToken"])


def by_token(api: Api, token: str, **meta: Any) -> dict[str, Any]:
    body = api.body(None, isCardOnFile=True, **meta)
    body["paymentMethod"]["paymentMethodId"] = token
    return body


def test_a_card_is_stored_and_used_again(api):
    token = stored_token(api)
    api.settle()
    notice = api.merchant.of("PAYMENT_RESULT")
    told = api.pay(by_token(api, token, cvv="999"))

    assert re.fullmatch("ALIPAY[A-Za-z0-9+/=]{86,88}", token)
    assert notice["paymentResultInfo"]["cardToken"] == token
    assert outcome(told) == ("S", "SUCCESS")
    assert told["paymentResultInfo"]["cvvResultRaw"] == "D"
    assert stored_token(api) == token
    assert "cardToken" not in api.inquire(told["paymentRequestId"])["paymentResultInfo"]


def test_a_token_is_its_account_s_own_and_ends_with_the_card(api):
    token = stored_token(api)

    refused = api.pay(by_token(api, token), client=PRODUCTION)
    assert code(refused) == "INVALID_PAYMENT_METHOD_META_DATA"
    api.advance(9 * 366 * DAY)
    assert code(api.pay(by_token(api, token))) == "INVALID_EXPIRATION_DATE"


def test_no_token_without_success(api):
    body = api.body(DECLINED, tokenize=True)
    api.pay(body)

    assert "cardToken" not in api.inquire(body["paymentRequestId"])["paymentResultInfo"]


@pytest.mark.parametrize("kind", ["SCHEDULED", "UNSCHEDULED"])
def test_a_merchant_s_own_charge_never_asks_for_3ds(api, kind):
    token = stored_token(api)
    api.switch(three_ds_from_amount=1)
    network = {"networkTransactionId": "500000000000001"}

    assert outcome(api.pay(by_token(api, token, recurringType=kind, **network))) == ("S", "SUCCESS")
    assert code(api.pay(by_token(api, token, recurringType=kind))) == "PARAM_ILLEGAL"
    soft = api.pay(api.body(SOFT, recurringType=kind, **network))
    assert outcome(soft) == ("F", "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize(
    ("meta", "has_box", "is_stored"),
    [
        ({"tokenizeMode": "ASKFORCONSENT"}, True, False),
        ({"tokenizeMode": "DISABLED"}, False, False),
        ({"tokenizeMode": "ENABLED"}, False, True),
        ({"tokenize": True}, False, True),
    ],
)
def test_the_hosted_page_asks_for_consent(api, meta, has_box, is_stored):
    told = api.pay(api.body(None, **meta))

    assert ("Save card" in api.get(told["normalUrl"]).text) is has_box
    api.fill(told["normalUrl"])
    info = api.inquire(told["paymentRequestId"])["paymentResultInfo"]
    assert ("cardToken" in info) is is_stored


# --- vaulting --------------------------------------------------------------------------------------------------------


def vault_body(api: Api, card: str = GOOD, **details: Any) -> dict[str, Any]:
    whole = {"cardNo": card, "expiryMonth": "12", "expiryYear": "34", "cvv": "123"} | details
    return {
        "vaultingRequestId": api.reference("VAULT"), "vaultingNotificationUrl": f"{api.merchant.url}/vaults",
        "redirectUrl": "https://shop.example/cards", "env": {"terminalType": "WEB"},
        "paymentMethodDetail": {"paymentMethodType": "CARD", "card": whole},
    }  # fmt: skip


def inquire_vaulting(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    return api.call("vaults/inquireVaulting", {"vaultingRequestId": body["vaultingRequestId"]})


def test_a_card_is_stored_without_paying(api):
    body = vault_body(api)
    told = api.call("vaults/vaultPaymentMethod", body)
    api.settle()

    assert outcome(told) == ("S", "SUCCESS")
    card = told["paymentMethodDetail"]["card"]
    assert (card["brand"], card["maskedCardNo"]) == ("VISA", "************0768")
    assert api.call("vaults/vaultPaymentMethod", body) == told
    notice = api.merchant.of("VAULTING")
    assert notice["vaultingRequestId"] == body["vaultingRequestId"]
    assert notice["paymentMethodDetail"]["card"]["cardToken"] == card["cardToken"]
    assert inquire_vaulting(api, body)["vaultingStatus"] == "SUCCESS"
    assert code(api.pay(by_token(api, card["cardToken"]))) == "SUCCESS"


def test_a_vaulting_s_id_may_be_a_payment_s_too(api):
    body = vault_body(api)
    api.call("vaults/vaultPaymentMethod", body)

    assert code(api.pay(api.body() | {"paymentRequestId": body["vaultingRequestId"]})) == "SUCCESS"


@pytest.mark.parametrize("answer", ["authenticate", "fail"])
def test_storing_with_3ds(api, answer):
    body = vault_body(api, is3DSAuthentication=True)
    told = api.call("vaults/vaultPaymentMethod", body)

    assert outcome(told) == ("U", "VERIFICATION_IN_PROCESS")
    waiting = inquire_vaulting(api, body)
    assert (waiting["vaultingStatus"], waiting["normalUrl"]) == ("PROCESSING", told["normalUrl"])
    assert "Confirm your card" in api.get(told["normalUrl"]).text
    assert api.post(told["normalUrl"], answer=answer).headers["location"] == "https://shop.example/cards"
    api.settle()
    found = inquire_vaulting(api, body)
    if answer == "authenticate":
        assert (found["vaultingStatus"], found["vaultingResultCode"]) == ("SUCCESS", "SUCCESS")
        assert found["paymentMethodDetail"]["card"]["cardToken"]
    else:
        assert (found["vaultingStatus"], found["vaultingResultCode"]) == ("FAIL", "USER_PAYMENT_VERIFICATION_FAILED")
        assert outcome(api.merchant.of("VAULTING"))[0] == "F"


def test_a_card_that_cannot_be_stored(api):
    body = vault_body(api, "4000000001000043")

    assert outcome(api.call("vaults/vaultPaymentMethod", body)) == ("F", "PROCESS_FAIL")
    assert inquire_vaulting(api, body)["vaultingResultCode"] == "LOST_CARD"
    for wrong in ({"cardNo": "4054695723100769"}, {"cvv": "1234"}, {"expiryYear": "20"}, {"expiryMonth": ""}):
        assert code(api.call("vaults/vaultPaymentMethod", vault_body(api, **wrong))) == "PARAM_ILLEGAL"
    assert code(inquire_vaulting(api, {"vaultingRequestId": "NOBODY"})) == "VAULTING_NOT_EXIST"


def test_a_vaulting_session_waits_for_its_sdk(api):
    body = {
        "paymentMethodType": "CARD", "vaultingRequestId": api.reference("VAULT"),
        "vaultingNotificationUrl": f"{api.merchant.url}/vaults",
    }  # fmt: skip
    told = api.call("vaults/createVaultingSession", body)

    assert {"vaultingSessionData", "vaultingSessionId", "vaultingSessionExpiryTime"} <= set(told)
    assert code(inquire_vaulting(api, body)) == "VAULTING_NOT_EXIST"
    api.event(f"vaulting {body['vaultingRequestId']}", "pay")
    assert inquire_vaulting(api, body)["vaultingStatus"] == "SUCCESS"


# --- disputes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "judgement", "books"),
    [
        ("4000000001000258", "ACCEPT_BY_MERCHANT", [("charge", 30000), ("dispute", 30000)]),
        ("4000000001000266", "ACCEPT_BY_CUSTOMER", [("charge", 30000)]),
    ],
)
def test_cards_that_are_disputed(api, card, judgement, books):
    told = api.captured(card)
    api.advance(61)
    created = api.merchant.of("DISPUTE_CREATED")

    assert not {"notifyType", "result"} & set(created)
    assert (created["paymentId"], created["paymentRequestId"]) == (told["paymentId"], told["paymentRequestId"])
    assert created["disputeAmount"] == {"currency": "EUR", "value": "30000"}
    assert created["defenseDueTime"] > created["disputeTime"]
    assert code(api.refund(told["paymentId"])) == "ORDER_STATUS_INVALID"
    api.advance(61)
    judged = api.merchant.of("DISPUTE_JUDGED")
    assert judged["disputeJudgedResult"] == judgement
    assert judged["disputeId"] == created["disputeId"]
    assert api.books(told["paymentId"]) == books
    left = "REFUND_AMOUNT_EXCEED" if len(books) > 1 else "REFUND_IN_PROCESS"
    assert code(api.refund(told["paymentId"])) == left


def test_a_dispute_by_hand(api):
    told = api.captured()
    api.event(told["paymentId"], "dispute", amount=5000, reason_code="13.1")
    api.settle()

    created = api.merchant.of("DISPUTE_CREATED")
    assert (created["disputeAmount"]["value"], created["disputeReasonCode"]) == ("5000", "13.1")
    for wrong in ({"event": "dispute"}, {"event": "judge", "ending": "drawn"}):
        answer = api.session.post(f"{api.url}/_sim/antom/orders/{told['paymentId']}/events", json=wrong, timeout=5)
        assert answer.status_code == 400
    api.event(told["paymentId"], "judge", ending="lost")
    assert code(api.refund(told["paymentId"], 25001)) == "REFUND_AMOUNT_EXCEED"
    assert code(api.refund(told["paymentId"], 25000)) == "REFUND_IN_PROCESS"


def test_dispute_calls_are_contracted_apart(api):
    told = api.captured()
    api.event(told["paymentId"], "dispute")
    api.settle()
    id = {"disputeId": api.merchant.of("DISPUTE_CREATED")["disputeId"]}

    assert code(api.call("payments/acceptDispute", id)) == "ACCESS_DENIED"
    api.switch(dispute_api=True)
    template = api.call("payments/downloadDisputeEvidence", id | {"disputeEvidenceType": "DISPUTE_EVIDENCE_TEMPLATE"})
    assert (template["disputeEvidenceFormat"], bool(base64.b64decode(template["disputeEvidence"]))) == ("WORD", True)
    evidence = id | {"disputeEvidence": "cHJvb2Y="}
    assert code(api.call("payments/supplyDefenseDocument", evidence)) == "SUCCESS"
    assert code(api.call("payments/supplyDefenseDocument", evidence)) == "DEFENSE_EXCEED_LIMIT"
    api.advance(11 * DAY)
    assert code(api.call("payments/supplyDefenseDocument", evidence)) == "TIME_EXCEEDS_LIMIT"
    assert code(api.call("payments/acceptDispute", id)) == "SUCCESS"
    assert code(api.call("payments/acceptDispute", id)) == "REPEAT_REQUEST"
    assert code(api.call("payments/acceptDispute", {"disputeId": "1"})) == "PARAM_ILLEGAL"
    api.settle()
    assert api.merchant.kinds[-2:] == ["DEFENSE_SUPPLIED", "DISPUTE_ACCEPTED"]
    assert api.books(told["paymentId"])[-1] == ("dispute", 30000)


# --- notifications ---------------------------------------------------------------------------------------------------


def test_a_notification_is_signed_over_the_path_without_query(api):
    api.pay()
    api.settle()
    path, headers, raw = api.merchant.got[0]

    assert path == "/webhooks/antom/a1/?secret=no"
    assert headers["client-id"] == SANDBOX
    assert re.fullmatch("[0-9-]{10}T[0-9:]{8}Z", headers["request-time"])
    assert headers["content-type"].startswith("application/json")
    assert is_signed(headers["signature"], "/webhooks/antom/a1/", SANDBOX, headers["request-time"], raw)


def test_which_address_wins(api):
    api.switch(notification_url=f"{api.merchant.url}/dashboard")
    told = api.pay()
    api.settle()
    api.refund(told["paymentId"], 1)
    api.advance(31)
    api.event(told["paymentId"], "dispute")
    api.settle()

    paths = {kind: path for kind, (path, _, _) in zip(api.merchant.kinds, api.merchant.got, strict=True)}
    assert paths["PAYMENT_RESULT"] == "/webhooks/antom/a1/?secret=no"
    assert paths["CAPTURE_RESULT"] == paths["REFUND_RESULT"] == paths["DISPUTE_CREATED"] == "/dashboard"


def test_without_any_address_nothing_is_sent(api):
    told = api.pay(changed(api.body(), "paymentNotifyUrl", ...))
    api.settle()

    assert api.merchant.got == []
    assert {one["state"] for one in api.order(told["paymentId"])["webhooks"]} == {"dropped"}


def attempts(api: Api, payment: str) -> list[int]:
    """When the first notification of a payment was delivered, in seconds after the first time."""
    first = min(api.order(payment)["webhooks"], key=lambda one: one["id"])
    times = [attempt["at"] for attempt in first["attempts"]]
    return [round((at - times[0]) / 1000) for at in times]


def test_production_resends_on_schedule_eight_times_in_all(api):
    api.merchant.replies = [(500, b"")] * 20
    told = api.pay(api.body(manual=True), client=PRODUCTION)
    api.advance(2 * DAY)

    wanted = [0, 120, 720, 1320, 4920, 12120, 33720, 87720]
    assert [at for at, want in zip(attempts(api, told["paymentId"]), wanted, strict=True) if abs(at - want) > 1] == []
    assert api.order(told["paymentId"])["webhooks"][0]["state"] == "given_up"
    assert len({raw for _, _, raw in api.merchant.got}) == 1


def test_the_sandbox_sends_once_unless_switched(api):
    api.merchant.replies = [(500, b"")] * 3
    first = api.authorised()
    api.advance(2 * DAY)
    assert attempts(api, first["paymentId"]) == [0]
    api.merchant.replies = [(500, b"")]
    api.switch(resend_in_sandbox=True, resend_factor=0.5)
    second = api.authorised()
    api.advance(2 * MINUTE)

    assert attempts(api, second["paymentId"]) == [0, 60]
    assert api.order(second["paymentId"])["webhooks"][0]["state"] == "delivered"


@pytest.mark.parametrize(
    ("status", "reply", "is_enough"),
    [
        (200, ACKNOWLEDGED, True),
        (200, b'{"result":{"resultStatus":"S","resultCode":"SUCCESS"},"more":1}', True),
        (201, ACKNOWLEDGED, False),
        (200, b"SUCCESS", False),
        (200, b"", False),
        (200, b"[]", False),
        (200, b'{"result":"SUCCESS"}', False),
        (200, b'{"result":{"resultStatus":"F","resultCode":"SUCCESS"}}', False),
        (200, b'{"result":{"resultStatus":"S","resultCode":"OK"}}', False),
        (401, ACKNOWLEDGED, False),
    ],
)
def test_what_acknowledges(api, status, reply, is_enough):
    api.merchant.replies = [(status, reply)]
    told = api.authorised()
    api.settle()

    assert api.order(told["paymentId"])["webhooks"][0]["state"] == ("delivered" if is_enough else "given_up")


def test_timing_of_a_fresh_account(api):
    api.sim("POST", "reset")
    told = api.pay()
    api.advance(10)
    order = api.order(told["paymentId"])
    paid_at = order["history"][-2]["at"]

    assert 1000 <= order["ledger"][0]["at"] - paid_at < 2000
    sent = [(one["attempts"][0]["at"] - paid_at) // 1000 for one in reversed(order["webhooks"])]
    assert sent == [3, 4]
    assert api.merchant.kinds == ["PAYMENT_RESULT", "CAPTURE_RESULT"]


def received(api: Api, dial: str, **options: Any) -> tuple[dict[str, Any], bool, dict[str, Any]]:
    """The first notification of a payment under a dial, whether it is genuine, and the payment."""
    api.dial(dial, **options)
    told = api.authorised()
    api.settle()
    _, headers, raw = api.merchant.got[0]
    genuine = is_signed(headers["signature"], "/webhooks/antom/a1/", SANDBOX, headers["request-time"], raw)
    return json.loads(raw), genuine, told


@pytest.mark.parametrize(
    ("dial", "is_genuine", "differs"),
    [
        ("webhook_forged", False, None),
        ("webhook_tampered", False, "paymentAmount"),
        ("webhook_wrong_amount", True, "paymentAmount"),
        ("webhook_wrong_currency", True, "paymentAmount"),
        ("webhook_wrong_reference", True, "paymentId"),
        ("webhook_unknown_status", True, None),
    ],
)
def test_falsified_notifications(api, dial, is_genuine, differs):
    notice, genuine, told = received(api, dial)

    assert genuine is is_genuine
    wrong = [name for name in ("paymentId", "paymentRequestId", "paymentAmount") if notice[name] != told[name]]
    assert wrong == ([differs] if differs else [])
    assert (notice["result"]["resultStatus"] == "S") is (dial != "webhook_unknown_status")


def test_lost_duplicate_late_early_and_reordered_notifications(api):
    api.dial("webhook_drop", next=1)
    lost = api.authorised()
    api.settle()
    assert api.merchant.got == []
    assert api.inquire(lost["paymentRequestId"])["paymentStatus"] == "SUCCESS"
    api.dial("webhook_duplicate", next=1)
    api.authorised()
    api.settle()
    assert len(api.merchant.got) == 3
    assert len({raw for _, _, raw in api.merchant.got}) == 1
    api.merchant.got.clear()
    api.dial("webhook_delay", value=60, next=1)
    api.authorised()
    api.settle()
    assert api.merchant.got == []
    api.advance(61)
    assert api.merchant.kinds == ["PAYMENT_RESULT"]
    api.merchant.got.clear()
    api.dial("webhook_early", next=1)
    api.authorised()
    assert api.merchant.kinds == ["PAYMENT_RESULT"]
    api.merchant.got.clear()
    api.dial("webhook_reorder", next=1)
    api.authorised()
    api.advance(2)
    assert api.merchant.kinds == ["PAYMENT_RESULT", "PAYMENT_PENDING"]


def test_any_notification_can_be_sent_again(api):
    told = api.authorised()
    api.settle()
    api.sim("POST", f"antom/orders/{told['paymentId']}/resend")
    api.settle()

    assert api.merchant.kinds == ["PAYMENT_RESULT"] * 2


# --- dials -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "result_code", "status"),
    [
        ("pay", "MERCHANT_KYB_NOT_QUALIFIED", "F"),
        ("pay", "REQUEST_TRAFFIC_EXCEED_LIMIT", "U"),
        ("capture", "USER_STATUS_ABNORMAL", "F"),
        ("cancel", "UNKNOWN_EXCEPTION", "U"),
        ("refund", "MERCHANT_BALANCE_NOT_ENOUGH", "F"),
        ("inquiryPayment", "SYSTEM_ERROR", "F"),
        ("inquiryRefund", "UNKNOWN_EXCEPTION", "U"),
        ("capture", "CAPTURE_IN_PROCESS", "U"),
    ],
)
def test_any_result_code_can_be_forced_for_the_next_calls(api, operation, result_code, status):
    told = api.authorised()
    api.dial("result_code", value=result_code, operation=operation, next=1)
    bodies = {
        "pay": api.body(manual=True),
        "capture": {"captureRequestId": "C1", "paymentId": told["paymentId"], "captureAmount": told["paymentAmount"]},
        "cancel": {"paymentId": told["paymentId"]},
        "refund": {"refundRequestId": "R1", "paymentId": told["paymentId"], "refundAmount": told["paymentAmount"]},
        "inquiryPayment": {"paymentId": told["paymentId"]},
        "inquiryRefund": {"refundRequestId": "R1"},
    }

    assert outcome(api.call(f"payments/{operation}", bodies[operation])) == (status, result_code)
    assert api.inquire(told["paymentRequestId"])["paymentStatus"] == "SUCCESS"
    assert code(api.inquire(bodies["pay"]["paymentRequestId"])) == "ORDER_NOT_EXIST"
    assert api.books(told["paymentId"]) == []
    assert code(api.call(f"payments/{operation}", bodies[operation])) != result_code


def test_done_but_another_code_is_told(api):
    api.dial("result_code_after", next=1)
    body = api.body()

    assert outcome(api.pay(body)) == ("U", "UNKNOWN_EXCEPTION")
    api.settle()
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"


def test_unsigned_and_forged_answers(api):
    body = api.body(manual=True)
    api.dial("unsigned_answer", next=1)
    assert "signature" not in api.send("payments/pay", body).headers
    api.dial("forged_answer", next=1)
    forged = api.send("payments/pay", body)
    named = forged.headers

    path = f"{PREFIX}payments/pay"
    assert not is_signed(named["signature"], path, SANDBOX, named["response-time"], forged.content)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"


@pytest.mark.parametrize(
    ("dial", "status", "is_done"),
    [
        ("http_500", 500, False),
        ("http_503", 503, False),
        ("http_429", 429, False),
        ("http_500_after", 500, True),
        ("garbage_answer", 200, True),
        ("html_answer", 200, True),
        ("wrong_type_answer", 200, True),
    ],
)
def test_spoiled_answers(api, dial, status, is_done):
    api.dial(dial, next=1)
    body = api.body()
    answer = api.send("payments/pay", body)

    assert answer.status_code == status
    assert "signature" not in answer.headers
    assert (code(api.inquire(body["paymentRequestId"])) == "SUCCESS") is is_done


def test_an_answer_spoiled_on_its_way_keeps_its_signature(api):
    api.dial("oversized_answer", value=1, next=1)
    answer = api.send("payments/pay", api.body())
    named = answer.headers
    api.dial("truncated_answer", next=1)

    path = f"{PREFIX}payments/pay"
    assert is_signed(named["signature"], path, SANDBOX, named["response-time"], answer.content.rstrip(b" "))
    with pytest.raises(requests.RequestException):
        api.send("payments/pay", api.body()).json()


def test_no_answer_in_time(api):
    api.dial("timeout_after", value=2, next=1)
    body = api.body()

    with pytest.raises(requests.RequestException):
        api.send("payments/pay", body, timeout=0.5)
    assert api.inquire(body["paymentRequestId"])["paymentStatus"] == "SUCCESS"


def test_inquiries_can_lie(api):
    told = api.authorised()
    id = told["paymentRequestId"]
    for dial, name, expected in (
        ("query_wrong_amount", "paymentAmount", {"currency": "EUR", "value": "300000"}),
        ("query_wrong_currency", "paymentAmount", {"currency": "USD", "value": "30000"}),
        ("unknown_state", "paymentStatus", "SETTLING"),
    ):
        api.dial(dial)
        assert api.inquire(id)[name] == expected
        api.sim("DELETE", "antom/dials")
    api.dial("query_not_found", value=60)
    assert code(api.inquire(id)) == "ORDER_NOT_EXIST"
    api.dial("query_not_found", value=False)
    api.dial("query_lags", value=60)
    assert api.inquire(id)["paymentStatus"] == "PROCESSING"
    api.advance(61)
    assert api.inquire(id)["paymentStatus"] == "SUCCESS"


def test_money_dials(api):
    api.dial("paid_differs", value=-100, next=1)
    less = api.pay()
    api.dial("decline", value="PICKUP_CARD", next=1)
    assert outcome(api.pay()) == ("F", "PICKUP_CARD")
    api.dial("refund_later", value=60, next=1)
    refunded = api.pay()
    api.dial("dispute_later", value=60, next=1)
    disputed = api.pay()
    api.advance(120)

    assert api.books(less["paymentId"]) == [("charge", 29900)]
    assert api.inquire(less["paymentRequestId"])["transactions"][0]["transactionAmount"]["value"] == "29900"
    assert api.books(refunded["paymentId"]) == [("charge", 30000), ("refund", 30000)]
    assert code(api.refund(disputed["paymentId"])) == "ORDER_STATUS_INVALID"


def test_magic_amounts(api):
    body = api.body(value=77771)

    assert outcome(api.pay(body)) == ("F", "DO_NOT_HONOR")
    api.pay(api.body(value=77753))
    api.settle()
    assert [told["paymentAmount"]["value"] for told in api.merchant.bodies] == ["77771"]


def test_a_foreign_redirect(api):
    api.dial("foreign_redirect", next=1)

    assert "attacker.example" in api.pay(api.body(None))["normalUrl"]


ODD = [None, "", [], {}, 0, -1, True, 1e300, "x" * 3000, "\x00", "１", [[]], {"": {}}, "0001-01-01T00:00:00+14:00"]


def paths(value: Any, above: str = "") -> Iterator[str]:
    for name, member in value.items():
        yield above + name
        if isinstance(member, dict):
            yield from paths(member, f"{above}{name}.")


@pytest.mark.parametrize("operation", sorted(antom.PATHS))
def test_odd_values_are_refused_or_taken_but_break_nothing(api, operation):
    api.switch(dispute_api=True)
    told = api.captured()
    ids = {"paymentId": told["paymentId"], "paymentRequestId": told["paymentRequestId"], "disputeId": "1"}
    ids |= {"refundId": "1", "refundRequestId": "1", "captureRequestId": "1", "captureAmount": told["paymentAmount"]}
    body = {
        "payments/pay": api.body(
            tokenizeMode="ENABLED", billingAddress={"region": "US"}, mpiData={"threeDSVersion": "2.2.0", "eci": "05"}
        ),
        "payments/createPaymentSession": api.session_body(availablePaymentMethod={"paymentMethodMetaData": {}}),
        "vaults/vaultPaymentMethod": vault_body(api),
        "vaults/createVaultingSession": vault_body(api),
    }.get(operation, ids | {"refundAmount": told["paymentAmount"], "vaultingRequestId": "1"})

    for path, odd in itertools.product(paths(body), ODD):
        answer = api.send(operation, changed(body, path, odd))
        assert answer.status_code == 200, (path, odd)
        assert answer.json()["result"]["resultStatus"] in {"S", "F", "U"}, (path, odd)


# --- the operator ----------------------------------------------------------------------------------------------------


def test_events_for_a_waiting_payment(api):
    paid, failed, expired, closed = (api.pay(api.body(None)) for _ in range(4))
    api.event(paid["paymentId"], "pay")
    api.event(failed["paymentRequestId"], "fail", code="POLICY")
    api.event(expired["paymentId"], "expire")
    api.event(closed["paymentId"], "cancel")
    api.settle()

    assert api.books(paid["paymentId"]) == [("charge", 30000)]
    assert api.inquire(failed["paymentRequestId"])["paymentResultCode"] == "POLICY"
    assert api.inquire(expired["paymentRequestId"])["paymentResultCode"] == "PROCESS_FAIL"
    assert api.inquire(closed["paymentRequestId"])["paymentStatus"] == "CANCELLED"


def test_events_for_an_authorised_payment(api):
    told = api.authorised()
    api.event(told["paymentId"], "capture", amount=20000)
    api.event(told["paymentId"], "refund", amount=500)
    api.event(told["paymentId"], "refund", amount=700)
    api.event(told["paymentId"], "refund_fail")
    api.event(told["paymentId"], "refund_succeed")
    api.advance(31)

    assert api.books(told["paymentId"]) == [("charge", 20000), ("refund", 700)]
    lapsed = api.authorised()
    api.event(lapsed["paymentId"], "lapse")
    assert code(api.capture(lapsed["paymentId"])) == "AUTH_EXPIRED"


def test_events_for_a_pending_capture(api):
    api.switch(capture_delay_s=60.0)
    done, failed = api.pay(), api.pay()
    api.event(done["paymentId"], "capture_succeed")
    api.event(failed["paymentId"], "capture_fail", code="RISK_REJECT")
    api.advance(2 * MINUTE)

    assert api.books(done["paymentId"]) == [("charge", 30000)]
    assert api.books(failed["paymentId"]) == []
    assert code(api.merchant.of("CAPTURE_RESULT")) == "RISK_REJECT"


@pytest.mark.parametrize(
    ("event", "members"),
    [
        ("pay", {}),
        ("fail", {}),
        ("expire", {}),
        ("late_success", {}),
        ("capture", {"amount": 30001}),
        ("capture", {"amount": "ten"}),
        ("capture_succeed", {}),
        ("refund", {}),
        ("refund_succeed", {}),
        ("dispute", {}),
        ("judge", {}),
        ("review", {}),
        ("dance", {}),
    ],
)
def test_events_that_cannot_be(api, event, members):
    told = api.authorised()
    answer = api.session.post(
        f"{api.url}/_sim/antom/orders/{told['paymentId']}/events", json={"event": event, **members}, timeout=5
    )

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert api.books(told["paymentId"]) == []


def test_accounts_are_checked(api):
    for wrong in (
        {"client_id": ""},
        {"client_id": "a b"},
        {"client_id": SANDBOX, "nonsense": 1},
        {"client_id": SANDBOX, "redirect_method": "PUT"},
        {"client_id": SANDBOX, "multi_capture": "yes"},
        {"client_id": SANDBOX, "webhook_delay_s": True},
    ):
        assert api.session.post(f"{api.url}/_sim/antom/accounts", json=wrong, timeout=5).status_code == 400, wrong


def test_the_operator_sees_what_should_have_been_signed_but_no_card(api):
    body = api.body(cpf="12345678901", cvv="713")
    api.send("payments/pay", body, headers={"signature": "algorithm=RSA256,signature=AAAA"})
    call = api.sim("GET", "antom/calls", limit=1)["calls"][0]

    assert call["verdict"] == "INVALID_SIGNATURE"
    assert call["expected"].startswith(f"POST {PREFIX}payments/pay\n{SANDBOX}.")
    assert GOOD not in json.dumps(call)
    assert '"713"' not in json.dumps(call)
    assert "12345678901" not in json.dumps(call)


def test_no_card_number_security_code_or_token_is_left_behind(api, running):
    _, _, path = running
    token = stored_token(api, "5162774114974622")
    api.pay(by_token(api, token, cvv="7139"))
    hosted = api.pay(api.body(None))
    api.fill(hosted["normalUrl"], "4310377720003234", cvv="7139")
    api.call("vaults/vaultPaymentMethod", vault_body(api, "4600729331819383", cardholderName={
        "firstName": "Ann", "lastName": "Lee",
    }))  # fmt: skip
    api.pay(api.body("4006055482525268", cvv="7139") | {"paymentRequestId": "a b", "metadata": "4006055482525268"})
    api.settle()

    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for number in (b"5162774114974622", b"4310377720003234", b"4600729331819383", b"4006055482525268", b'7139"'):
        assert number not in kept, number
    logged = json.dumps(api.sim("GET", "antom/calls", limit=50))
    assert token not in logged
    assert token[:60] not in json.dumps(api.order(hosted["paymentId"])["words"])


def test_a_restart_forgets_nothing(merchant_server, tmp_path):
    state = tmp_path / "state.sqlite3"
    with serving(state) as (simulation, url):
        api = Api(simulation, url, merchant_server)
        body = api.body(None, tokenize=True)
        page = api.pay(body)["normalUrl"].removeprefix(url)
    with serving(state) as (simulation, url):
        api = Api(simulation, url, merchant_server)
        api.fill(url + page)
        api.advance(10)
        info = api.inquire(body["paymentRequestId"])["paymentResultInfo"]

        assert [entry["amount"] for entry in api.sim("GET", "ledger")["entries"]] == [30000]
        assert code(api.pay(by_token(api, info["cardToken"]))) == "SUCCESS"


def test_a_payment_is_shown_in_the_provider_s_words(api):
    told = api.captured()
    words = api.order(told["paymentId"])["words"]

    assert (words["paymentStatus"], words["captureMode"], words["card"]) == ("SUCCESS", "MANUAL", "VISA 405469…0768")
    assert [one["status"] for one in words["captures"]] == ["SUCCESS"]
    for page in (
        "/",
        "/panel/antom/accounts",
        "/panel/antom/cards",
        "/panel/antom/dials",
        f"/panel/antom/orders/{told['paymentId']}",
    ):
        assert api.get(api.url + page).status_code == 200, page


def test_unknown_pages_say_so(api):
    assert "Page not found" in api.get(f"{api.url}/antom/nothing").text
    assert api.get(f"{api.url}/antom/card/nobody").status_code == 404


def test_every_test_card_is_listed(api):
    listed = {card["number"] for card in api.sim("GET", "test-cards")["antom"]["cards"]}

    assert listed == set(simulator_cards.CARDS)
    assert len(listed) == 38
