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
    "ISNT51ChoySulAEDPifogU7Yp2FIVGpnHzNg89hOmM90f5d5GelIzvCdCV%2BftMKvGe6kd5Eer%2FOJS13qAEf73sKZUshW%2FtJSZdmO%2B4"
    "i3wYPescJGPqsR4r32YinSUkeuM3l0Ei9Qu5YqAzQz3Wh%2BJ9BaYvTtMKsz%2Buw4hYCpzkRJLhgRx0YoC0FOgfp1UPPEbooJIBv0F7qOk4DhR"
    "fmN2xvTMasDEQy%2F1%2FS5kZn4TLuoKFYRI%2BJz5W08oEBPKIfg1d9%2FaCljgaTcNzSXCJjbXy5yloTnQe1rHNPV0qeO7Ln0orG%2FXHZ%2B"
    "164o9WJs%2BP8gLh6WlU9UWU9kzBRHnl62VQ%3D%3D",
)  # fmt: skip
V2 = (
    "/ams/sandbox/api/v1/payments/inquiryPayment", "2025-01-01T00:00:01Z",
    '{"result":{"resultCode":"ORDER_NOT_EXIST","resultMessage":"The order does not exist.","resultStatus":"F"}}',
    "IdElbpvVpWlfROdMe8nsVKAXcXYbhkXnEOlzuer4MVi2x6KJWAWU8tngZgmkU1VLFpVJypjgKwzAoEG8dKk1gqxgZQGJ%2BR6%2FKvtC%2BWNK3"
    "zYTaUbrd5wyqs12%2FBCrZvn8gvayz86BfghpLjGc%2FosIg3pGZFUQ2f3pMu9BMqd%2FN9z125%2BBensDjEX3UwAl3c%2FtwqcE1RAjRlQapDG"
    "sADL1gimynE1ktnAOz7AR5FmaaUWt3Z0e6YmhqWrU6%2B0NSo2vDV0zGL4hiCdKeIJTyUFR%2B2u4M9aMm28%2F3B0ouJDumF%2BOW87zGRSKuYG"
    "D4m%2BVoCHNA889RryW8z1eSu9FW7%2FXvg%3D%3D",
)  # fmt: skip
V3 = (
    "/webhooks/antom/", "2025-01-01T08:00:05+08:00",
    '{"notifyType":"CAPTURE_RESULT","captureRequestId":"auto_é","captureId":"20250101190000000000001","paymentId":"20250'
    '101194000000000001","captureAmount":{"currency":"EUR","value":"30000"},"result":{"resultCode":"SUCCESS","resultMess'
    'age":"success.","resultStatus":"S"}}',
    "gwsotOIit9zgzRncb4duB7xhXb8SL6%2Bnu8mHRjS6LSfp5Vi%2Fit6WGWMkgWdwo2uH45e%2BX%2FiXNOI1yMLOYRkvAn3JCD7UJYdYjor0r9BH"
    "f51OAgpu7zAWjzQFWqctHhHH%2B37eX59lk51PdAs7myQA5mI6QtUpTfzxMZstnHRIxcnjybmAPBgRsM8U8FcIMNLv2eJ8cFLpR7QF%2Fzk%2BQM7"
    "Wu2rhg4F7Plb%2FszSxznL4WaZz9L3WVO5q1YPNdC1WVNDPejqkK3oO8dedvsIITXwRNyienskrkgl4t1JBkdBw%2FtSkApVG%2FIRkGVe3qur%2F"
    "gr%2Bk%2BgWncpAIrQZ%2Bko1HAZJ%2FDw%3D%3D",
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
        fresh.switch(client, webhook_delay_s=0.0, capture_delay_s=0.0, refund_delay_s=1.0)
    yield fresh
    simulation.webhooks.settle()
    fresh.session.close()


# --- signatures and the gateway ----------------------------------------------------------------------------------------


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


# --- pay: what is demanded ---------------------------------------------------------------------------------------------

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


# --- pay: what comes of it ---------------------------------------------------------------------------------------------


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


# --- the same id again -------------------------------------------------------------------------------------------------


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
