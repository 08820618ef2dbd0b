"""The Lesspay simulator against its brief, over real HTTP. Signatures are computed here, not with the client's code."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from providers.lesspay import simulator as lesspay
from providers.simulation import Simulation
from providers.simulation.masking import passes_luhn
from providers.simulation.server import serving

APP_ID, SECRET = "690b2b46e4b09c73147db688", "Wy31kFZf4jkE+Y2XZhmFuQ"
CREATE, QUERY = "/lesspay/api/global/v1/pay/create-order", "/lesspay/api/global/v1/pay/query-order"
FRICTIONLESS, CHALLENGED, NO_MONEY = "4000000001000027", "4242424242424242", "4000000000200511"


def sign(body: dict[str, Any], secret: str = SECRET) -> str:
    """Authentication page, with nested objects as compact JSON in the order sent."""
    pairs = []
    for name in sorted(body):
        value = body[name]
        if value is None or value == "":
            continue
        is_text = isinstance(value, str)
        pairs.append(f"{name}={value if is_text else json.dumps(value, separators=(',', ':'), ensure_ascii=False)}")
    return hashlib.sha256("&".join([*pairs, f"key={secret}"]).encode()).hexdigest().upper()


@dataclass
class Merchant:
    """A merchant's webhook address: remembers what came and answers as told."""

    url: str = ""
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(raw) for _, raw in self.got]

    @property
    def statuses(self) -> list[str]:
        return [body["order_status"] for body in self.bodies]


@pytest.fixture(scope="module")
def merchant_server() -> Iterator[Merchant]:
    merchant = Merchant()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with merchant.lock:
                merchant.got.append(({name.lower(): value for name, value in self.headers.items()}, raw))
                status, reply = merchant.replies.pop(0) if merchant.replies else (200, b"SUCCESS")
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    merchant.url = f"http://127.0.0.1:{server.server_port}/hook"
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


@pytest.fixture
def merchant(merchant_server: Merchant) -> Merchant:
    merchant_server.replies.clear()
    merchant_server.got.clear()
    return merchant_server


class Api:
    """A merchant's side of the API, and the operator's."""

    def __init__(self, simulation: Simulation, url: str, merchant: Merchant) -> None:
        self.simulation, self.url, self.merchant = simulation, url, merchant
        self.session = requests.Session()
        self.session.trust_env = False
        self.number = 0

    def post(
        self,
        path: str,
        body: dict[str, Any] | bytes,
        *,
        app: str = APP_ID,
        secret: str = SECRET,
        headers: dict[str, str | None] | None = None,
        timeout: float = 10,
    ) -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        sent: dict[str, str | None] = {
            "content-type": "application/json",
            "x-auth-appid": app,
            "x-auth-timestamp": str(self.now),
            "x-auth-signature": "" if isinstance(body, bytes) else sign(body, secret),
        }
        kept = {name: value for name, value in (sent | (headers or {})).items() if value is not None}
        return self.session.post(self.url + path, data=raw, headers=kept, timeout=timeout)

    @property
    def now(self) -> int:
        return self.simulation.clock.now()

    def body(self, **changes: Any) -> dict[str, Any]:
        """A valid cashier order; a change to None leaves the member out."""
        self.number += 1
        whole = {
            "target_amount": "100.00",
            "target_currency": "USD",
            "transaction_type": "PAY_IN",
            "notify_url": self.merchant.url,
            "request_id": f"M{self.number:014d}",
            "fail_url": "https://shop.example/fail?o=1",
            "success_url": "https://shop.example/success?o=1",
            "product_name": "Test Product",
            "description": "Test Order",
            "way_type": "CARD_PAYMENT",
            "api_version": "V2",
            "pay_access_type": 1,
        } | changes
        return {name: value for name, value in whole.items() if value is not None}

    def card_body(
        self,
        number: str = FRICTIONLESS,
        *,
        three_ds: Any = None,
        store: bool | None = None,
        month: Any = 12,
        year: Any = 2031,
        cvv: Any = None,
        **changes: Any,
    ) -> dict[str, Any]:
        cvv = cvv or ("1000" if re.match("3[47]", number) else "100")
        card: dict[str, Any] = {"number": number, "expiry_month": month, "expiry_year": year, "cvv": cvv}
        if store is not None:
            card["store_for_future_use"] = store
        extra: dict[str, Any] = {"extra_type": "card", "card_data": card}
        if three_ds is not None:
            extra["three_ds"] = {"enabled": three_ds}
        return self.body(**{"pay_access_type": 2, "channel_extra": extra} | changes)

    def token_body(self, token: str, **changes: Any) -> dict[str, Any]:
        extra = {"extra_type": "token", "token_data": {"token": token}}
        return self.body(**{"pay_access_type": 2, "channel_extra": extra} | changes)

    def create(self, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer = self.post(CREATE, body, **options).json()
        assert answer["code"] == 0, answer
        assert answer["msg"] == "SUCCESS"
        return dict(answer["data"])

    def pay(self, number: str = FRICTIONLESS, **options: Any) -> dict[str, Any]:
        """Create a direct-card order; its ``order_data``."""
        return dict(self.create(self.card_body(number, **options))["order_data"])

    def query(self, **ids: str) -> dict[str, Any]:
        return dict(self.post(QUERY, ids).json())

    def found(self, id: str) -> dict[str, Any]:
        answer = self.query(pay_order_id=id)
        assert answer["code"] == 0, answer
        return dict(answer["data"])

    def operator(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.session.request(method, f"{self.url}/_sim/{path}", json=body or None, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def app(self, **settings: Any) -> None:
        self.operator("POST", "lesspay/apps", **{"app_id": APP_ID, "app_secret": SECRET} | settings)

    def dial(self, name: str, value: Any = None, **options: Any) -> None:
        self.operator("POST", "lesspay/dials", name=name, value=value, **options)

    def jump(self, seconds: float = 1) -> None:
        self.operator("POST", "clock", advance_seconds=seconds)

    def event(self, id: str, event: str, **members: Any) -> dict[str, Any]:
        return self.operator("POST", f"lesspay/orders/{id}/events", event=event, **members)

    def ledger(self, kind: str = "charge") -> list[dict[str, Any]]:
        return [entry for entry in self.operator("GET", "lesspay/ledger")["entries"] if entry["kind"] == kind]

    def webhooks(self, id: str) -> list[dict[str, Any]]:
        return list(reversed(self.operator("GET", f"lesspay/webhooks?order={id}")["webhooks"]))

    def click(self, page: str, **form: str) -> requests.Response:
        return self.session.post(page, data=form, allow_redirects=False, timeout=10)

    def at_cashier(self, page: str, number: str, **changes: str) -> requests.Response:
        return self.click(page, **{"number": number, "month": "12", "year": "2031", "cvv": "100"} | changes)


@pytest.fixture
def api(running: tuple[Simulation, str, Path], merchant: Merchant) -> Iterator[Api]:
    simulation, url, _ = running
    simulation.webhooks.settle()
    simulation.reset()
    one = Api(simulation, url, merchant)
    yield one
    one.session.close()


def assert_genuine(headers: dict[str, str], raw: bytes, secret: str = SECRET) -> None:
    assert headers["x-auth-signature"] == sign(json.loads(raw), secret)


# --- signing -------------------------------------------------------------------------------------------------------

V3 = (
    b'{"target_currency":"USD","target_amount":"100.00","transaction_type":"PAY_IN","way_code":"",'
    b'"expired_time":null,"zero":0,"flag":false}'
)
V4 = (
    b'{"page":"1","page_size":"20","start_time":"1762741122000","end_time":"1762913922000",'
    b'"pay_order_id":"P1988199177890902017","request_id":"RO17628585949304010"}'
)
V5 = (
    b'{"target_amount":"100.00","target_currency":"USD","transaction_type":"PAY_IN",'
    b'"notify_url":"https://merchant.example.com/notify","request_id":"M20260228160001",'
    b'"fail_url":"https://merchant.example.com/fail","success_url":"https://merchant.example.com/success",'
    b'"product_name":"Test Product","description":"Test Order","way_type":"CARD_PAYMENT","api_version":"V2",'
    b'"pay_access_type":1,"channel_extra":{"three_ds":{"enabled":true}}}'
)
V6 = V5.replace(b"M20260228160001", b"M20260228150001").replace(
    b'1,"channel_extra":{',
    b'2,"channel_extra":{"extra_type":"card","card_data":{"number":"4242424242424242","expiry_month":12,'
    b'"expiry_year":2027,"cvv":"100","store_for_future_use":false},',
)
V9 = (
    '{"target_currency":"USD","target_amount":"9.90","transaction_type":"PAY_IN",'
    '"product_name":"Café 測試 & co","description":"a=b&c"}'
)
V10 = V6[: V6.index(b'"channel_extra"')].replace(b"M20260228150001", b"M20260228170001") + (
    b'"channel_extra":{"extra_type":"token","token_data":{"token":"src_3oqxta2juhbevjaw72pgorkd5e"}}}'
)
V8 = (
    b'{"api_version":"V2","description":"Lesspay Order","fail_url":"https://www.example.com/fail",'
    b'"order_status":"FAILED","order_status_int":3,"pay_order_id":"P2011789219984105474",'
    b'"product_name":"Lesspay Order","request_id":"M20260228150001","success_url":"https://www.example.com/success",'
    b'"target_amount":"100.00","target_currency":"USD"}'
)
PAID = V8.replace(b'"FAILED","order_status_int":3', b'"SUCCEED","order_status_int":2')[:-1]
V7 = PAID + (
    b',"channel_biz_data":{"card_token":"src_3oqxta2juhbevjaw72pgorkd5e","issuer":"CKO, WHERE THE WORLD CHECKS OUT",'
    b'"issuer_country":"GB","3ds":{"downgraded":false,"enrolled":"Y","upgrade_reason":"sca_retry"}}}'
)
V11 = PAID + b',"event":"dispute_received","event_data":{"category":"fraudulent","reason_code":"10.4"}}'

VECTORS = [
    (
        b'{"target_currency":"USDT","target_amount":100,"transaction_type":"PAY_IN"}',
        "json_compact",
        "CA7807E87BCE0AE490E7ADBD4E600E5112347C818AC06E07352F28CB2FDD70DF",
    ),
    (
        b'{"target_currency":"USDT","target_amount":"100.00","transaction_type":"PAY_IN"}',
        "json_compact",
        "E86029495ABF8E35060B7D87E7511025DE213B5528B76065CB788D9BE9323015",
    ),
    (
        V3,
        "json_compact",
        "CE0D0463B9F63ED506CA538E849B798FD75297ECCF73D5B5C7DF152FEB2DB99F",
    ),
    (
        V4,
        "json_compact",
        "8269BD73F522B65227A8CFA489790C5813E3FE6C7CDD06E6BF82AF1AE3EA4B03",
    ),
    (
        b'{"request_id":"M20260228150001"}',
        "json_compact",
        "C3A97CA2AC24758EBE9FA543CD7F0FB187A8E210AB096FE39908E285754B0DBF",
    ),
    (V5, "json_compact", "115007516DFBF2255A6E0BC7707D4C27B7C5E92D78838BC9753025F966E7D7DA"),
    (V6, "json_compact", "00C7FB9CF431F743FE3C859AD4A983B374D234FBAAB7AC46B59EC1E3EBBB3A04"),
    (V6, "raw", "00C7FB9CF431F743FE3C859AD4A983B374D234FBAAB7AC46B59EC1E3EBBB3A04"),
    (V6, "json_sorted", "EBA6660D437FCDE414DD0C9049AEA61B000CF37C13D003B6F1D19EF1261AB2DE"),
    (V6, "json_spaced", "A0AD661BA2298968A6BE21E646EF64BDE5D08596E9253C35A5E840502D82633E"),
    (V6, "flatten_dotted", "E6E5580390770CFC4AC59D4BA53E072DD68459F28FB630D8B8C2601569ABFBE5"),
    (V6, "flatten_leaf", "221DA4D9E3B46D1A1B027CDA7175C2E37E88CDC7384CC9C50901DA0E8A322928"),
    (V6, "omit_nested", "A4AB7DFFB822BDFF266E8E61BA00291ACB658E8958D3E3192646F019C4A5AC5C"),
    (V7, "json_compact", "C261CAF08751806F503F9495520560EC06D8B15EDD717AC08EC892491B2C5F0F"),
    (V7, "json_sorted", "573EBC71E5C752E53A22F1BD257F25ACB66540512F427AC55D45AF9CB1074872"),
    (V7, "omit_nested", "2264E8854747D1EEDC7F87B5DE6F0E3FFAE7643011C924BD0423608ECE5DE444"),
    (V8, "json_compact", "25CC2AC26A299F64F7C93572C20054024B90DBF9A51C4400D5B7193506E91DCE"),
    (
        V9.encode(),
        "json_compact",
        "5636ECA00FEF4708D8A99A8DE5BFCD10CC73586A4A5924E70B2964AA7BDA5023",
    ),
    (V10, "json_compact", "16D109D94FF7FAD2AB1E0FA1B045540E6538491C48AA5D0F2FE532701CD2EE5B"),
    (V11, "json_compact", "22327F5363A13259B9AFE353B6E404A91522675E6D8D5ED0DAB66D9DDC5E0FBC"),
    (b"{}", "json_compact", "177787AFBB25B1699A20F33C2BB7DB96C1A6744A75E936E817DB32C94E62F611"),
]


@pytest.mark.parametrize(("raw", "mode", "expected"), VECTORS)
def test_the_vectors_of_the_brief_come_out(raw: bytes, mode: str, expected: str) -> None:
    text = lesspay.canonical(lesspay.read_json(raw), SECRET, mode, raw=raw)

    assert lesspay.digest(text) == expected


def test_raw_mode_signs_the_text_as_it_was_sent() -> None:
    raw = b'{ "b" : {"x": 1.50 , "y":"\\u00e9"} , "a":"t" }'
    body = lesspay.read_json(raw)

    assert lesspay.canonical(body, "s", "raw", raw=raw) == 'a=t&b={"x": 1.50 , "y":"\\u00e9"}&key=s'
    assert lesspay.canonical(body, "s", "json_compact") == 'a=t&b={"x":1.50,"y":"é"}&key=s'


def test_the_timestamp_is_a_pair_only_on_wish() -> None:
    assert lesspay.canonical({"z": "1"}, "s", "json_compact", timestamp="1630000000000") == (
        "timestamp=1630000000000&z=1&key=s"
    )


# --- authentication ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["appid", "timestamp", "signature"])
def test_a_missing_header_is_refused(api: Api, name: str) -> None:
    answer = api.post(CREATE, api.body(), headers={f"x-auth-{name}": None})

    assert answer.status_code == 401
    assert answer.json() == {"code": 9999, "msg": f"missing header x-auth-{name}"}
    assert api.operator("GET", "lesspay/orders")["total"] == 0


@pytest.mark.parametrize(
    ("headers", "msg"),
    [
        ({"x-auth-appid": "690b2b46e4b09c73147db689"}, "unknown appid"),
        ({"x-auth-timestamp": "1630000000"}, "timestamp must be 13 digits"),
        ({"x-auth-timestamp": "16300000000000"}, "timestamp must be 13 digits"),
        ({"x-auth-signature": "0" * 64}, "signature mismatch"),
    ],
)
def test_a_wrong_header_is_refused(api: Api, headers: dict[str, str | None], msg: str) -> None:
    answer = api.post(CREATE, api.body(), headers=headers)

    assert (answer.status_code, answer.json()["msg"]) == (401, msg)


def test_a_missing_header_is_named_before_an_unknown_app_and_that_before_a_bad_timestamp(api: Api) -> None:
    wrong = {"x-auth-appid": "unknown", "x-auth-timestamp": "1", "x-auth-signature": "1"}

    assert api.post(CREATE, b"{", headers=wrong | {"x-auth-timestamp": None}).json()["msg"].startswith("missing")
    assert api.post(CREATE, b"{", headers=wrong).json()["msg"] == "unknown appid"
    assert "13 digits" in api.post(CREATE, b"{", headers=wrong | {"x-auth-appid": APP_ID}).json()["msg"]


def test_wrong_ways_to_sign_are_refused(api: Api) -> None:
    body = api.card_body()
    unsorted = "&".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for name, value in body.items()
    )
    spaced = sign({**body, "channel_extra": json.dumps(body["channel_extra"])})
    signatures = {
        "another secret": sign(body, "another"),
        "unsorted keys": hashlib.sha256(f"{unsorted}&key={SECRET}".encode()).hexdigest().upper(),
        "lower-case hex": sign(body).lower(),
        "nested with blanks": spaced,
    }

    for signature in signatures.values():
        assert api.post(CREATE, body, headers={"x-auth-signature": signature}).status_code == 401
    assert api.post(CREATE, body).json()["code"] == 0


def test_the_lenient_switch_accepts_every_nested_mode_and_lower_case(api: Api) -> None:
    api.app(lenient_signatures=True)

    for rendered in (json.dumps, lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True)):
        body = api.card_body()
        signature = sign({**body, "channel_extra": rendered(body["channel_extra"])}).lower()
        assert api.post(CREATE, body, headers={"x-auth-signature": signature}).json()["code"] == 0


def test_lenient_accepts_the_secret_before_a_rotation(api: Api) -> None:
    api.app(app_secret="new", app_secret_previous=SECRET, lenient_signatures=True)

    assert api.post(CREATE, api.body()).json()["code"] == 0
    assert api.post(CREATE, api.body(), secret="new").json()["code"] == 0
    assert api.post(CREATE, api.body(), secret="older").status_code == 401


def test_authentication_errors_can_come_with_http_200(api: Api) -> None:
    api.app(auth_error_http=200)
    answer = api.post(CREATE, api.body(), headers={"x-auth-signature": "0" * 64})

    assert (answer.status_code, answer.json()["code"]) == (200, 9999)


def test_the_timestamp_window_is_off_unless_switched_on(api: Api) -> None:
    old: dict[str, str | None] = {"x-auth-timestamp": "1630000000000"}
    assert api.post(CREATE, api.body(), headers=old).json()["code"] == 0

    api.app(timestamp_tolerance_ms=300_000)

    assert api.post(CREATE, api.body(), headers=old).status_code == 401
    assert api.post(CREATE, api.body()).json()["code"] == 0


def test_undocumented_fields_can_be_left_out_of_the_expected_signature(api: Api) -> None:
    assert api.post(CREATE, api.body(surprise="x")).json()["code"] == 0

    api.app(drop_unknown_fields=True)

    assert api.post(CREATE, api.body(surprise="x")).status_code == 401


UNREADABLE = [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 100_000]


@pytest.mark.parametrize("raw", [*UNREADABLE, b'{"a":' + b"[" * 700 + b"]" * 700 + b"}"])
def test_a_body_that_is_no_json_object_is_http_400(api: Api, raw: bytes) -> None:
    answer = api.post(CREATE, raw, headers={"x-auth-signature": "0" * 64})

    assert answer.status_code == 400
    assert answer.json()["code"] == 11


def test_the_debug_page_shows_the_expected_string_without_secret_or_card(api: Api) -> None:
    body = api.card_body(CHALLENGED, cvv="987")
    api.post(CREATE, body, headers={"x-auth-signature": sign(body, "wrong")})
    call = api.operator("GET", "lesspay/calls")["calls"][0]
    page = api.session.get(f"{api.url}/panel/lesspay/calls/{call['id']}", timeout=10).text

    assert call["verdict"] == "9999: signature mismatch"
    assert call["expected"].endswith("&key=(app secret)")
    assert '"number":"424242******4242"' in call["expected"]
    assert '"cvv":"***"' in call["expected"]
    assert "The string that should have been signed" in page
    for secret in (SECRET, CHALLENGED, "987"):
        assert secret not in page.replace("424242******4242", "")
        assert secret not in json.dumps(call["request"])


# --- paths ---------------------------------------------------------------------------------------------------------


def test_other_paths_are_404_and_other_methods_405(api: Api) -> None:
    assert api.session.get(api.url + CREATE, timeout=10).status_code == 405
    assert api.session.get(api.url + QUERY, timeout=10).status_code == 405
    assert api.post("/lesspay/api/global/v1/pay/refund", {}).status_code == 404
    assert api.post("/lesspay/api/global/v1/pay/refund", {}).json()["code"] == 9999
    assert api.session.get(f"{api.url}/lesspay/cashier/unknown", timeout=10).status_code == 404


def test_a_body_over_one_megabyte_is_413(api: Api) -> None:
    assert api.post(CREATE, b"x" * 1_100_000, headers={"x-auth-signature": "0"}).status_code == 413


# --- create: validation --------------------------------------------------------------------------------------------

REQUIRED = [
    *("target_amount", "target_currency", "transaction_type", "request_id", "notify_url", "success_url"),
    *("fail_url", "product_name", "description", "way_type", "api_version", "pay_access_type"),
]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_code_11_with_its_name(api: Api, name: str) -> None:
    answer = api.post(CREATE, api.body(**{name: None}))

    assert answer.status_code == 200
    assert answer.json()["code"] == 11
    assert f"{name} is required" in answer.json()["msg"]
    assert "data" not in answer.json()


WRONG_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("target_amount", {"target_amount": 100}),
    ("target_amount", {"target_amount": "0.00"}),
    ("target_amount", {"target_amount": "-1.00"}),
    ("target_amount", {"target_amount": "1.001"}),
    ("target_amount", {"target_amount": "1,000.00"}),
    ("target_amount", {"target_amount": "1e3"}),
    ("target_amount", {"target_amount": "100.5", "target_currency": "JPY"}),
    ("target_currency", {"target_currency": "usd"}),
    ("transaction_type", {"transaction_type": "PAY_OUT"}),
    ("request_id", {"request_id": "x" * 33}),
    ("request_id", {"request_id": "with blank"}),
    ("request_id", {"request_id": 12}),
    ("notify_url", {"notify_url": "shop.example/hook"}),
    ("success_url", {"success_url": "javascript:alert(1)"}),
    ("fail_url", {"fail_url": "https:///nohost"}),
    ("product_name", {"product_name": "x" * 129}),
    ("description", {"description": "x" * 257}),
    ("way_type", {"way_type": "CARD"}),
    ("api_version", {"api_version": "V1"}),
    ("pay_access_type", {"pay_access_type": 3}),
    ("pay_access_type", {"pay_access_type": "token"}),
    ("pay_access_type", {"pay_access_type": "1"}),
    ("expired_time", {"expired_time": 1800}),
    ("expired_time", {"expired_time": "0"}),
    ("channel_extra", {"channel_extra": "x"}),
    ("three_ds", {"channel_extra": {"three_ds": True}}),
    ("three_ds.enabled", {"channel_extra": {"three_ds": {"enabled": "yes"}}}),
    ("extra_type", {"pay_access_type": 2}),
    ("extra_type", {"pay_access_type": 2, "channel_extra": {"extra_type": "cash"}}),
    ("card_data", {"pay_access_type": 2, "channel_extra": {"extra_type": "card"}}),
    (
        "token_data",
        {
            "pay_access_type": 2,
            "channel_extra": {"extra_type": "card", "card_data": {}, "token_data": {"token": "src_x"}},
        },
    ),
    ("token_data", {"pay_access_type": 2, "channel_extra": {"extra_type": "token"}}),
    ("token_data.token", {"pay_access_type": 2, "channel_extra": {"extra_type": "token", "token_data": {}}}),
]


@pytest.mark.parametrize(("name", "changes"), WRONG_FIELDS)
def test_a_malformed_field_is_code_11_with_its_name(api: Api, name: str, changes: dict[str, Any]) -> None:
    answer = api.post(CREATE, api.body(**changes)).json()

    assert answer["code"] == 11
    assert name in answer["msg"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("expiry_month", {"month": 13}),
        ("expiry_month", {"month": "12"}),
        ("expiry_year", {"year": 31}),
        ("cvv", {"cvv": "12"}),
        ("cvv", {"cvv": 100}),
        ("number", {"number": "4242"}),
        ("store_for_future_use", {"store": "yes"}),
    ],
)
def test_malformed_card_data_is_code_11(api: Api, name: str, options: dict[str, Any]) -> None:
    answer = api.post(CREATE, api.card_body(**options)).json()

    assert answer["code"] == 11
    assert f"card_data.{name}" in answer["msg"]


@pytest.mark.parametrize(
    "options",
    [{"number": "4242424242424241"}, {"year": 2025}, {"cvv": "1000"}, {"number": "378282246310005", "cvv": "100"}],
)
def test_a_card_that_cannot_be_one_is_code_5000(api: Api, options: dict[str, Any]) -> None:
    body = api.card_body(**options)

    assert api.post(CREATE, body).json()["code"] == 5000
    assert api.query(request_id=body["request_id"])["code"] == 1202


def test_a_card_expires_with_the_simulations_clock(api: Api) -> None:
    api.jump(6 * 366 * 86_400)

    assert api.post(CREATE, api.card_body()).json()["code"] == 5000


def test_currency_and_way_must_be_enabled(api: Api) -> None:
    assert api.post(CREATE, api.body(target_currency="BTC")).json()["code"] == 5004
    assert api.post(CREATE, api.body(way_type="CRYPTO")).json()["code"] == 5004
    assert api.post(CREATE, api.body(way_type="BANK_TRANSFER", target_amount=100)).json()["code"] == 5004

    api.app(currencies=["USD", "JPY"])

    assert api.post(CREATE, api.body(target_currency="EUR")).json()["code"] == 5004
    assert api.post(CREATE, api.body(target_currency="JPY", target_amount="500")).json()["code"] == 0


def test_a_request_id_is_taken_once_whatever_the_content(api: Api) -> None:
    body = api.body()
    first = api.create(body)

    assert api.post(CREATE, body).json()["code"] == 1201
    assert api.post(CREATE, {**body, "target_amount": "5.00"}).json()["code"] == 1201
    assert api.query(request_id=body["request_id"])["data"]["pay_order_id"] == first["pay_order_id"]
    assert api.operator("GET", "lesspay/orders")["total"] == 1


def test_one_request_id_at_once_from_many_sides_makes_one_charge(api: Api) -> None:
    body = api.card_body()
    with ThreadPoolExecutor(8) as pool:
        codes = [answer.json()["code"] for answer in pool.map(lambda _: api.post(CREATE, body), range(8))]

    assert sorted(codes) == [0] + [1201] * 7
    assert len(api.ledger()) == 1


def test_a_missing_notify_url_falls_back_to_the_registered_one(api: Api, merchant: Merchant) -> None:
    api.app(webhook_url=merchant.url)
    api.create(api.card_body(notify_url=None))
    api.jump()

    assert merchant.statuses == ["SUCCEED"]


# --- create: answers -----------------------------------------------------------------------------------------------


def test_the_cashier_answer_has_the_shape_of_the_sample(api: Api) -> None:
    data = api.create(api.body(request_id="M20260228150001"))
    order = data["order_data"]

    assert list(order) == [
        "payOrderId", "mchOrderNo", "orderState", "payOrderDetailId", "payOrderDetailState",
        "payOrderDetailIdEncode", "payDataType", "payData",
    ]  # fmt: skip
    assert data["pay_order_id"] == order["payOrderId"]
    assert order["mchOrderNo"] == "M20260228150001"
    assert (order["orderState"], order["payOrderDetailState"]) == (1, 1)
    assert order["payDataType"] == "payurl"
    assert re.fullmatch(rf"{api.url}/lesspay/cashier/[0-9a-f]{{64}}", order["payData"])


def test_ids_have_the_documented_forms_and_rise(api: Api) -> None:
    orders = [api.pay(CHALLENGED) for _ in range(5)]
    ids = [order["payOrderId"] for order in orders]

    assert all(re.fullmatch("P[0-9]{19}", id) for id in ids)
    assert all(re.fullmatch("PD[0-9]{19}", order["payOrderDetailId"]) for order in orders)
    assert all(re.fullmatch("[0-9a-f]{64}", order["payOrderDetailIdEncode"]) for order in orders)
    assert all(re.search("/sessions-interceptor/sid_[a-z2-7]{26}$", order["payData"]) for order in orders)
    assert ids == sorted(set(ids))


def test_a_direct_card_answer_carries_3ds_as_in_the_samples(api: Api) -> None:
    challenged, off, forced = api.pay(CHALLENGED), api.pay(CHALLENGED, three_ds=False), api.pay("4000000000201543")

    assert challenged["payDataType"] == "payurl"
    assert list(challenged["3ds"].items()) == [("downgraded", False), ("enrolled", "Y")]
    assert list(forced["3ds"].items()) == [("downgraded", False), ("enrolled", "Y"), ("upgrade_reason", "sca_retry")]
    assert not {"payData", "payDataType", "3ds"} & set(off)


def test_create_never_tells_the_outcome(api: Api) -> None:
    for number in (FRICTIONLESS, NO_MONEY):
        order = api.pay(number)
        assert (order["orderState"], order["payOrderDetailState"]) == (1, 1)
        assert "payData" not in order


def test_amounts_keep_the_form_they_came_in(api: Api) -> None:
    for amount, currency, minor in (("100", "USD", 10_000), ("1500", "JPY", 1500), ("1.234", "KWD", 1234)):
        order = api.pay(target_amount=amount, target_currency=currency)
        told = api.found(order["payOrderId"])
        assert (told["target_amount"], told["target_currency"]) == (amount, currency)
        assert api.ledger()[-1]["amount"] == minor


# --- cards ---------------------------------------------------------------------------------------------------------


def test_every_listed_card_passes_luhn() -> None:
    assert all(passes_luhn(card.number) for card in lesspay.Simulator.test_cards)
    assert len(lesspay.Simulator.test_cards) == 47


GOOD = [card.number for card, rule in lesspay.CARDS.values() if rule == lesspay.ORDINARY]
DECLINED = [(card.number, rule.code) for card, rule in lesspay.CARDS.values() if rule.code]


@pytest.mark.parametrize("number", [*GOOD, "4000056655665556"])
def test_an_ordinary_card_is_challenged_with_3ds_and_paid_at_once_without(api: Api, number: str) -> None:
    on, off = api.pay(number), api.pay(number, three_ds=False)

    assert "/sessions-interceptor/" in on["payData"]
    assert api.found(on["payOrderId"])["order_status"] == "PENDING_PAY"
    assert api.found(off["payOrderId"])["order_status"] == "SUCCEED"
    assert "3ds" not in api.found(off["payOrderId"])["channel_biz_data"]
    assert [entry["order_id"] for entry in api.ledger()] == [off["payOrderId"]]


@pytest.mark.parametrize(("number", "code"), [*DECLINED, ("4000000000201782", "20178")])
def test_a_declining_card_fails_with_its_code_and_fraud_adds_an_event(
    api: Api, merchant: Merchant, number: str, code: str
) -> None:
    order = api.pay(number)
    api.jump()
    told = api.operator("GET", f"lesspay/orders/{order['payOrderId']}")

    assert told["words"]["decline"] == code
    assert api.found(order["payOrderId"])["order_status_int"] == 3
    assert not api.ledger()
    events = [body for body in merchant.bodies if "event" in body]
    assert len(merchant.bodies) - len(events) == 1
    assert [body["event_data"]["response_code"] for body in events] == [code] * (code == "30034" or code[0] == "4")


def test_a_frictionless_card_is_paid_without_redirect(api: Api) -> None:
    order = api.pay("4000000001000027")

    assert "payData" not in order
    assert order["3ds"] == {"downgraded": False, "enrolled": "Y"}
    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"


@pytest.mark.parametrize(
    ("number", "facts"),
    [
        ("4000000001000035", {"downgraded": True, "enrolled": "N"}),
        ("4000000001000043", {"downgraded": False, "enrolled": "U"}),
    ],
)
def test_enrolment_is_told_at_creation_and_inquiry(api: Api, number: str, facts: dict[str, Any]) -> None:
    order = api.pay(number)

    assert order["3ds"] == facts
    assert api.found(order["payOrderId"])["channel_biz_data"]["3ds"] == facts
    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"


def test_a_challenge_is_approved_rejected_or_left(api: Api, merchant: Merchant) -> None:
    ends = {}
    for answer in ("approve", "reject", "leave"):
        order = api.pay("4000000001000019")
        back = api.click(order["payData"], answer=answer)
        assert back.status_code == 303
        ends[answer] = (back.headers["Location"], api.found(order["payOrderId"])["order_status"])
    api.jump()

    assert ends == {
        "approve": ("https://shop.example/success?o=1", "SUCCEED"),
        "reject": ("https://shop.example/fail?o=1", "FAILED"),
        "leave": ("https://shop.example/fail?o=1", "PENDING_PAY"),
    }
    assert merchant.statuses == ["SUCCEED", "FAILED"]


def test_authentication_that_fails_ends_in_failed(api: Api) -> None:
    order = api.pay("4000000001000050")
    back = api.click(order["payData"], answer="approve")

    assert back.headers["Location"] == "https://shop.example/fail?o=1"
    assert api.found(order["payOrderId"])["order_status"] == "FAILED"
    assert not api.ledger()


def test_an_abandoned_payment_stays_open_until_it_is_closed(api: Api, merchant: Merchant) -> None:
    order = api.pay("4000000001000068")
    api.click(order["payData"], answer="approve")
    api.jump(1790)
    assert api.found(order["payOrderId"])["order_status"] == "PENDING_PAY"

    api.jump(20)

    assert api.found(order["payOrderId"])["order_status_int"] == 6
    assert merchant.statuses == ["CLOSED"]


def test_a_lost_webhook_leaves_the_inquiry(api: Api, merchant: Merchant) -> None:
    order = api.pay("4000000001000076")
    api.jump(3600)

    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"
    assert not merchant.got
    assert [webhook["state"] for webhook in api.webhooks(order["payOrderId"])] == ["dropped"]


def test_a_disputed_card_succeeds_and_is_disputed_later(api: Api, merchant: Merchant) -> None:
    order = api.pay("4000000001000084")
    api.jump(5)
    assert merchant.statuses == ["SUCCEED"]
    assert "event" not in merchant.bodies[0]

    api.jump(60)

    assert merchant.bodies[1]["event"] == "dispute_received"
    assert merchant.bodies[1]["event_data"]["category"] == "fraudulent"
    assert merchant.statuses == ["SUCCEED", "SUCCEED"]
    assert_genuine(*merchant.got[1])
    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"


def test_a_forced_challenge_comes_even_with_3ds_off_and_by_token(api: Api, merchant: Merchant) -> None:
    order = api.pay("4000000000201543", three_ds=False, store=True)
    assert order["3ds"]["upgrade_reason"] == "sca_retry"
    assert api.click(order["payData"], answer="approve").headers["Location"].endswith("/success?o=1")
    token = api.found(order["payOrderId"])["channel_biz_data"]["card_token"]

    again = api.create(api.token_body(token))["order_data"]

    assert "/sessions-interceptor/" in again["payData"]


# --- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_comes_only_when_asked_for_and_paid(api: Api, merchant: Merchant) -> None:
    asked, not_asked = api.pay(FRICTIONLESS, store=True), api.pay(FRICTIONLESS, store=False)
    declined, pending = api.pay(NO_MONEY, store=True), api.pay(CHALLENGED, store=True)

    told = api.found(asked["payOrderId"])["channel_biz_data"]
    assert list(told) == ["card_token", "issuer", "issuer_country", "3ds"]
    assert re.fullmatch("src_[a-z2-7]{26}", told["card_token"])
    for order in (not_asked, declined, pending):
        assert "card_token" not in api.found(order["payOrderId"])["channel_biz_data"]


def test_an_app_has_one_token_for_a_card_and_pays_with_it(api: Api) -> None:
    tokens = {
        api.found(api.pay(FRICTIONLESS, store=True)["payOrderId"])["channel_biz_data"]["card_token"] for _ in range(2)
    }
    assert len(tokens) == 1

    order = api.create(api.token_body(tokens.pop()))["order_data"]

    assert "payData" not in order
    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"
    assert len(api.ledger()) == 3


def test_a_foreign_or_unknown_token_is_5000(api: Api) -> None:
    token = api.found(api.pay(FRICTIONLESS, store=True)["payOrderId"])["channel_biz_data"]["card_token"]
    api.operator("POST", "lesspay/apps", app_id="other", app_secret="s2")

    assert api.post(CREATE, api.token_body(token), app="other", secret="s2").json()["code"] == 5000
    assert api.post(CREATE, api.token_body("src_aaaaaaaaaaaaaaaaaaaaaaaaaa")).json()["code"] == 5000


def test_tokens_can_come_unasked(api: Api) -> None:
    api.app(always_card_token=True)

    assert "card_token" in api.found(api.pay()["payOrderId"])["channel_biz_data"]


# --- cashier -------------------------------------------------------------------------------------------------------


def test_the_cashier_takes_a_card_through_3ds_to_the_merchant(api: Api, merchant: Merchant) -> None:
    order = api.create(api.body(product_name="Blue <b>kettle</b>", target_amount="1234.50"))["order_data"]
    page = api.session.get(order["payData"], timeout=10).text
    assert "Simulator." in page
    assert "Blue &lt;b&gt;kettle&lt;/b&gt;" in page
    assert "1,234.50 USD" in page
    assert "<script" not in page

    challenge = api.at_cashier(order["payData"], "4242 4242 4242 4242")
    assert challenge.status_code == 303
    challenge_page = api.url + challenge.headers["Location"]
    shown = api.session.get(challenge_page, timeout=10).text
    assert "ending in 4242" in shown
    assert "Simulator." in shown
    back = api.click(challenge_page, answer="approve")
    api.jump()

    assert (back.status_code, back.headers["Location"]) == (303, "https://shop.example/success?o=1")
    assert merchant.bodies[0]["channel_biz_data"]["3ds"] == {"downgraded": False, "enrolled": "Y"}
    assert_genuine(*merchant.got[0])


def test_the_cashier_respects_three_ds_off_and_sends_declines_to_fail_url(api: Api) -> None:
    off = api.create(api.body(channel_extra={"three_ds": {"enabled": False}}))["order_data"]["payData"]
    declined = api.create(api.body())["order_data"]["payData"]

    assert api.at_cashier(off, CHALLENGED).headers["Location"] == "https://shop.example/success?o=1"
    assert api.at_cashier(declined, NO_MONEY).headers["Location"] == "https://shop.example/fail?o=1"


def test_the_cashier_explains_a_bad_card_and_gives_nothing_back(api: Api) -> None:
    page = api.create(api.body())["order_data"]["payData"]
    wrong: list[tuple[str, dict[str, str], str]] = [
        ("4242424242424241", {}, "number"),
        ("4242", {}, "number"),
        (CHALLENGED, {"cvv": ""}, "cvv"),
        (CHALLENGED, {"cvv": "1000"}, "cvv"),
        (CHALLENGED, {"month": "13"}, "month"),
        (CHALLENGED, {"month": "1", "year": "2026"}, "year"),
    ]
    for number, changes, name in wrong:
        answer = api.at_cashier(page, number, **changes)
        assert answer.status_code == 422
        assert f'id="{name}-error"' in answer.text
        assert answer.text.count('class="field__error"') == 1
        assert f'value="{number}"' not in answer.text
    assert api.at_cashier(page, FRICTIONLESS).status_code == 303


def test_a_second_click_pays_nothing_more(api: Api) -> None:
    page = api.create(api.body())["order_data"]["payData"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.at_cashier(page, FRICTIONLESS), range(6)))

    assert {answer.headers["Location"] for answer in answers} == {"https://shop.example/success?o=1"}
    assert len(api.ledger()) == 1
    assert "This payment is done" in api.session.get(page, timeout=10).text


def test_a_second_challenge_answer_changes_nothing(api: Api) -> None:
    order = api.pay(CHALLENGED)
    api.click(order["payData"], answer="approve")

    assert api.click(order["payData"], answer="reject").headers["Location"] == "https://shop.example/success?o=1"
    assert len(api.ledger()) == 1
    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"


def test_an_expired_cashier_says_so_and_takes_no_card(api: Api) -> None:
    page = api.create(api.body(expired_time="60"))["order_data"]["payData"]
    api.jump(61)

    assert "has expired" in api.session.get(page, timeout=10).text
    assert api.at_cashier(page, FRICTIONLESS).headers["Location"] == "https://shop.example/fail?o=1"
    assert not api.ledger()


def test_return_addresses_can_carry_parameters(api: Api) -> None:
    api.app(return_parameters=True)
    order = api.create(api.body())["order_data"]

    assert api.at_cashier(order["payData"], FRICTIONLESS).headers["Location"] == (
        f"https://shop.example/success?o=1&pay_order_id={order['payOrderId']}&order_status=SUCCEED"
    )


def test_the_payment_session_takes_the_ids_of_the_cashier_page(api: Api) -> None:
    page = api.create(api.body())["order_data"]["payData"]
    text = api.session.get(page, timeout=10).text
    ids = dict(re.findall(r'name="(payOrderIdEncode|mchNoEncode)" value="([0-9a-f]{64})"', text))
    path = f"{api.url}/lesspay/api/cashier/checkout-payment"

    session = api.session.post(path, json=ids | {"three_ds": {"enabled": False}}, timeout=10).json()
    unknown = api.session.post(path, json=ids | {"mchNoEncode": "0" * 64}, timeout=10).json()

    assert session["code"] == 0
    assert session["data"]["id"].startswith("ps_")
    assert session["data"]["payment_session_secret"].startswith("pss_")
    assert unknown["code"] == 1202
    assert api.at_cashier(page, CHALLENGED).headers["Location"].endswith("/success?o=1")
    assert api.session.post(path, json=ids, timeout=10).json()["code"] == 5002


# --- inquiry -------------------------------------------------------------------------------------------------------


def test_an_inquiry_by_either_id_gives_one_object(api: Api) -> None:
    body = api.card_body()
    id = api.create(body)["pay_order_id"]
    by_both = api.query(pay_order_id=id, request_id=body["request_id"], page="1", page_size="20")

    assert by_both == api.query(pay_order_id=id) == api.query(request_id=body["request_id"])
    assert by_both["data"] == {
        "pay_order_id": id,
        "request_id": body["request_id"],
        "order_status": "SUCCEED",
        "order_status_int": 2,
        "target_amount": "100.00",
        "target_currency": "USD",
        "channel_biz_data": {
            "issuer": "CKO, WHERE THE WORLD CHECKS OUT",
            "issuer_country": "GB",
            "3ds": {"downgraded": False, "enrolled": "Y"},
        },
    }


def test_unknown_and_foreign_orders_are_1202(api: Api) -> None:
    body = api.body()
    id = api.create(body)["pay_order_id"]
    api.operator("POST", "lesspay/apps", app_id="other", app_secret="s2")

    assert api.query(request_id="unknown")["code"] == 1202
    assert api.query(pay_order_id=id, request_id="unknown")["code"] == 1202
    for ids in ({"pay_order_id": id}, {"request_id": body["request_id"]}):
        assert api.post(QUERY, ids, app="other", secret="s2").json()["code"] == 1202


def test_an_inquiry_without_ids_lists_the_apps_orders(api: Api) -> None:
    ids = [api.create(api.body())["pay_order_id"] for _ in range(5)]
    first = api.query(page="1", page_size="2")["data"]
    last = api.query(page="3", page_size="2", start_time="1600000000000", end_time=str(api.now + 1000))["data"]

    assert [record["pay_order_id"] for record in first["records"]] == [ids[4], ids[3]]
    assert (first["total"], first["current"], first["hasNext"]) == (5, 1, True)
    assert [record["pay_order_id"] for record in last["records"]] == [ids[0]]
    assert last["hasNext"] is False
    assert api.query(start_time="1600000000000", end_time="1600000000001")["data"]["total"] == 0
    assert api.query(page="0")["code"] == 11


def test_the_inquiry_is_right_at_once_even_when_webhooks_fail(api: Api, merchant: Merchant) -> None:
    merchant.replies += [(500, b"")] * 9
    order = api.pay()

    assert api.found(order["payOrderId"])["order_status"] == "SUCCEED"


# --- webhooks ------------------------------------------------------------------------------------------------------


def test_a_webhook_has_the_shape_of_the_sample_and_is_signed_over_its_bytes(api: Api, merchant: Merchant) -> None:
    order = api.pay(store=True, product_name="Café 測試 & co", description="a=b&c")
    api.jump()
    headers, raw = merchant.got[0]
    body = json.loads(raw)

    assert list(body) == [
        "api_version", "description", "fail_url", "order_status", "order_status_int", "pay_order_id",
        "product_name", "request_id", "success_url", "target_amount", "target_currency", "channel_biz_data",
    ]  # fmt: skip
    assert body["pay_order_id"] == order["payOrderId"]
    assert (body["order_status"], body["order_status_int"]) == ("SUCCEED", 2)
    assert re.fullmatch("[0-9A-F]{64}", headers["x-auth-signature"])
    assert_genuine(headers, raw)
    assert not {"x-auth-appid", "x-auth-timestamp"} & set(headers)
    assert "Café".encode() in raw


def test_other_webhook_headers_and_signed_fields_come_by_switch(api: Api, merchant: Merchant) -> None:
    api.app(send_extra_headers=True, webhook_sign_fields="pay_order_id,order_status")
    api.pay()
    api.jump()
    headers, raw = merchant.got[0]
    body = json.loads(raw)

    assert headers["x-auth-appid"] == APP_ID
    assert headers["x-auth-signature"] == sign({name: body[name] for name in ("pay_order_id", "order_status")})


@pytest.mark.parametrize(
    ("profile", "waits"),
    [
        ("jeepay", [30, 60, 90, 120, 150]),
        ("doopayment", [60, 300, 300, *[600] * 5, *[3600] * 5, *[21_600] * 3]),
        ("none", []),
    ],
)
def test_retries_follow_the_profile_and_then_give_up(
    api: Api, merchant: Merchant, profile: str, waits: list[int]
) -> None:
    api.app(retry_profile=profile)
    merchant.replies += [(500, b"no")] * 40
    order = api.pay()
    api.jump(7 * 86_400)
    [webhook] = api.webhooks(order["payOrderId"])
    times = [attempt["at"] for attempt in webhook["attempts"]]

    assert webhook["state"] == "given_up"
    assert [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(times)] == waits
    assert {(attempt["status"], attempt["reply"]) for attempt in webhook["attempts"]} == {(500, "no")}
    assert len({raw for _, raw in merchant.got}) == 1


@pytest.mark.parametrize(
    ("status", "reply", "is_enough"),
    [
        (200, b"SUCCESS", True),
        (200, b"success", True),
        (200, b"SUCCESS\n", False),
        (200, b'"SUCCESS"', False),
        (200, b'{"code":"SUCCESS"}', False),
        (200, b"", False),
        (500, b"SUCCESS", False),
        (302, b"SUCCESS", False),
    ],
)
def test_only_the_whole_word_ends_the_retries(
    api: Api, merchant: Merchant, status: int, reply: bytes, is_enough: bool
) -> None:
    merchant.replies.append((status, reply))
    order = api.pay()
    api.jump(1)
    first = api.webhooks(order["payOrderId"])[0]["state"]
    api.jump(40)

    assert first == ("delivered" if is_enough else "waiting")
    assert len(merchant.got) == (1 if is_enough else 2)


def test_white_space_around_the_word_is_a_switch(api: Api, merchant: Merchant) -> None:
    api.app(ack_trim=True)
    merchant.replies.append((200, b" SUCCESS\n"))
    order = api.pay()
    api.jump()

    assert api.webhooks(order["payOrderId"])[0]["state"] == "delivered"


def test_an_unreachable_merchant_is_recorded_and_tried_again(api: Api) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    order = api.pay(notify_url=f"http://127.0.0.1:{port}/")
    api.jump()
    [attempt] = api.webhooks(order["payOrderId"])[0]["attempts"]

    assert attempt["status"] is None
    assert attempt["error"] == "ConnectionError"


def test_webhooks_never_leave_this_machine(api: Api) -> None:
    order = api.pay(notify_url="http://shop.example/hook")
    api.jump()
    [attempt] = api.webhooks(order["payOrderId"])[0]["attempts"]

    assert attempt["error"].startswith("not sent: only loopback")


def test_a_webhook_can_be_sent_again_as_it_was_or_as_things_are(api: Api, merchant: Merchant) -> None:
    api.dial("webhook_forged")
    order = api.pay()
    api.jump()
    first = api.webhooks(order["payOrderId"])[0]["id"]
    api.operator("POST", f"lesspay/orders/{order['payOrderId']}/resend", webhook=first)
    api.jump()
    api.operator("POST", f"lesspay/orders/{order['payOrderId']}/resend")
    api.jump()

    assert merchant.got[0][1] == merchant.got[1][1]
    assert_genuine(*merchant.got[2])


def test_the_expiry_webhook_is_a_switch(api: Api, merchant: Merchant) -> None:
    api.app(expiry_webhook=False, order_ttl_s=120)
    id = api.create(api.body())["pay_order_id"]
    api.jump(121)

    assert api.found(id)["order_status"] == "CLOSED"
    assert not merchant.got


def test_a_decision_can_take_its_time(api: Api) -> None:
    api.app(decision_delay_s=30.0)
    id = api.pay()["payOrderId"]
    assert api.found(id)["order_status"] == "PENDING_PAY"
    assert not api.ledger()

    api.jump(30)

    assert api.found(id)["order_status"] == "SUCCEED"


# --- operator ------------------------------------------------------------------------------------------------------


def test_an_operator_refunds_and_the_books_show_it(api: Api, merchant: Merchant) -> None:
    id = api.pay()["payOrderId"]
    api.jump()
    api.event(id, "refund")
    api.jump()

    assert merchant.statuses == ["SUCCEED", "REFUND"]
    assert merchant.bodies[1]["order_status_int"] == 5
    assert [(entry["reference"], entry["amount"], entry["currency"]) for entry in api.ledger("refund")] == [
        (merchant.bodies[0]["request_id"], 10_000, "USD")
    ]


@pytest.mark.parametrize(
    ("event", "status", "number"), [("cancel", "CANCELED", 4), ("fail", "FAILED", 3), ("close", "CLOSED", 6)]
)
def test_an_operator_ends_an_open_order_and_money_may_still_come(
    api: Api, merchant: Merchant, event: str, status: str, number: int
) -> None:
    id = api.create(api.body())["pay_order_id"]
    api.event(id, event)
    api.jump()
    assert (merchant.bodies[0]["order_status"], merchant.bodies[0]["order_status_int"]) == (status, number)

    api.event(id, "late_success")
    api.jump()

    assert merchant.statuses == [status, "SUCCEED"]
    assert api.found(id)["order_status"] == "SUCCEED"
    assert len(api.ledger()) == 1


def test_an_operator_pays_an_order_with_the_same_or_another_amount(api: Api) -> None:
    exact, other = (api.create(api.body())["pay_order_id"] for _ in range(2))
    api.event(exact, "pay")
    api.event(other, "pay", amount="99.50")

    assert api.found(exact)["order_status"] == "SUCCEED"
    assert api.found(other)["order_status_int"] == 12
    assert [entry["amount"] for entry in api.ledger()] == [10_000, 9_950]
    assert api.event(other, "settle_difference")["status"] == "SUCCEED"


def test_fraud_and_dispute_events_leave_the_status(api: Api, merchant: Merchant) -> None:
    id = api.pay()["payOrderId"]
    api.event(id, "payment_declined", code="41301")
    api.event(id, "dispute_received", category="duplicate", reason_code="12.6")
    api.jump()
    events = [body for body in merchant.bodies if "event" in body]

    assert [body["event"] for body in events] == ["payment_declined", "dispute_received"]
    assert events[0]["event_data"]["response_code"] == "41301"
    assert (events[1]["event_data"]["category"], events[1]["event_data"]["reason_code"]) == ("duplicate", "12.6")
    assert {body["order_status"] for body in merchant.bodies} == {"SUCCEED"}
    for headers, raw in merchant.got:
        assert_genuine(headers, raw)


def test_impossible_events_are_refused(api: Api) -> None:
    id = api.create(api.body())["pay_order_id"]

    for body in (
        {"event": "refund"},
        {"event": "nothing"},
        {"event": "cancel", "stray": 1},
        {"event": "pay", "amount": "0"},
        {"event": "dispute_received", "category": "bad mood"},
        {"event": "payment_declined", "code": "20051"},
    ):
        answer = api.session.post(f"{api.url}/_sim/lesspay/orders/{id}/events", json=body, timeout=10)
        assert answer.status_code == 400, body
        assert answer.json()["error"]
    assert api.found(id)["order_status"] == "PENDING_PAY"


def test_local_payment_methods_are_behind_a_switch(api: Api) -> None:
    api.app(lpm_enabled=True)
    extra = {"customer_data": {"name": "A"}}
    changes = {"way_type": "BANK_TRANSFER", "pay_access_type": 2, "api_version": "v2", "channel_extra": extra}
    local = api.body(**changes, way_code="TAZAPAY_PIX_BRL", target_currency="BRL", target_amount=10_000)
    wrong = api.body(**changes, way_code="TAZAPAY_PIX_BRL", target_currency="MXN", target_amount=10_000)
    decimal = api.body(**changes, way_code="TAZAPAY_PIX_BRL", target_currency="BRL", target_amount="100.00")
    order = api.create(local)["order_data"]

    assert "payData" not in order
    assert "target_currency" in api.post(CREATE, wrong).json()["msg"]
    assert "target_amount" in api.post(CREATE, decimal).json()["msg"]
    api.event(order["payOrderId"], "pay")
    assert api.ledger()[0]["amount"] == 10_000


# --- dials ---------------------------------------------------------------------------------------------------------


def magic(api: Api, name: str) -> str:
    number = next(dial.magic for dial in api.simulation.dials["lesspay"].catalogue.values() if dial.name == name)
    return f"777.{number:02d}"


def both_ways(api: Api, name: str) -> list[dict[str, Any]]:
    """Two card orders under one fault: by its magic amount, and by the operator's dial for one reference."""
    by_amount = api.card_body(target_amount=magic(api, name))
    by_dial = api.card_body()
    api.dial(name, reference=by_dial["request_id"])
    return [by_amount, by_dial]


@pytest.mark.parametrize(("name", "status"), [("http_500", 500), ("http_503", 503), ("http_429", 429)])
def test_errors_before_anything_was_done(api: Api, name: str, status: int) -> None:
    for body in both_ways(api, name):
        answer = api.post(CREATE, body)
        assert answer.status_code == status
        assert api.query(request_id=body["request_id"])["code"] == 1202
    assert not api.ledger()
    assert name != "http_429" or answer.headers["Retry-After"] == "2"


AFTER: dict[str, Callable[[requests.Response], bool]] = {
    "http_500_after": lambda answer: answer.status_code == 500,
    "garbage_answer": lambda answer: answer.content.startswith(b"\x00\xff"),
    "html_answer": lambda answer: b"<html>" in answer.content,
    "wrong_type_answer": lambda answer: isinstance(answer.json(), list),
    "oversized_answer": lambda answer: len(answer.content) > 16 * 1024 * 1024,
    "system_exception_after": lambda answer: answer.json()["code"] == 10,
    "foreign_redirect": lambda answer: answer.json()["code"] == 0,
    "unknown_state": lambda answer: answer.json()["data"]["order_data"]["orderState"] == 77,
}


@pytest.mark.parametrize("name", AFTER)
def test_a_spoiled_answer_hides_a_real_charge(api: Api, name: str) -> None:
    for body in both_ways(api, name):
        assert AFTER[name](api.post(CREATE, body))
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "SUCCEED"
    assert len(api.ledger()) == 2


@pytest.mark.parametrize("name", ["reset_after", "truncated_answer", "timeout_after"])
def test_a_broken_connection_hides_a_real_charge(api: Api, name: str) -> None:
    for body in both_ways(api, name):
        with pytest.raises((requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)):
            api.post(CREATE, body, timeout=0.5)
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "SUCCEED"
    assert len(api.ledger()) == 2


def test_a_timeout_before_leaves_nothing(api: Api) -> None:
    for body in both_ways(api, "timeout_before"):
        with pytest.raises((requests.ConnectionError, requests.Timeout)):
            api.post(CREATE, body, timeout=0.3)
        assert api.query(request_id=body["request_id"])["code"] == 1202
    assert not api.ledger()


def test_slow_and_dripping_answers_are_whole_in_the_end(api: Api) -> None:
    slow, dripping = api.card_body(), api.card_body()
    api.dial("slow_answer", 0.5, reference=slow["request_id"])
    api.dial("drip_answer", 0.001, reference=dripping["request_id"])
    begun = time.monotonic()
    assert api.post(CREATE, slow).json()["code"] == 0
    assert time.monotonic() - begun >= 0.5

    begun = time.monotonic()

    assert api.post(CREATE, dripping).json()["code"] == 0
    assert time.monotonic() - begun > 0.3


@pytest.mark.parametrize(("name", "code"), [("database_exception", 12), ("business_refusal", 5000)])
def test_a_refusal_in_json_leaves_nothing(api: Api, name: str, code: int) -> None:
    for body in both_ways(api, name):
        assert api.post(CREATE, body).json()["code"] == code
        assert api.query(request_id=body["request_id"])["code"] == 1202


def test_a_foreign_redirect_leads_away(api: Api) -> None:
    order = api.create(api.body(target_amount=magic(api, "foreign_redirect")))["order_data"]

    assert order["payData"] == "https://cashier.attacker.example/pay"


def test_the_next_calls_alone_can_fail(api: Api) -> None:
    api.dial("http_503", next=2)
    codes = [api.post(CREATE, api.body()).status_code for _ in range(4)]

    assert codes == [503, 503, 200, 200]
    assert not api.operator("GET", "lesspay/dials")["set"]


def test_inquiries_can_fail_too(api: Api) -> None:
    id = api.pay()["payOrderId"]
    api.dial("http_500", operation="query-order", next=1)

    assert api.post(QUERY, {"pay_order_id": id}).status_code == 500
    assert api.found(id)["order_status"] == "SUCCEED"


def test_a_global_dial_holds_until_it_is_switched_off(api: Api) -> None:
    api.dial("http_500")
    assert {api.post(CREATE, api.body()).status_code for _ in range(3)} == {500}

    api.dial("http_500", False)

    assert api.post(CREATE, api.body()).status_code == 200
    api.dial("webhook_drop")
    id = api.pay()["payOrderId"]
    api.dial("webhook_drop", False)
    api.event(id, "refund")
    first, second = (webhook["state"] for webhook in api.webhooks(id))
    assert first == "dropped" != second
    api.dial("http_503")
    api.operator("DELETE", "lesspay/dials")
    assert api.post(CREATE, api.body()).status_code == 200


def test_an_unsigned_call_uses_up_no_dial(api: Api) -> None:
    api.dial("http_503", next=1)
    api.post(CREATE, api.body(), headers={"x-auth-signature": "0" * 64})

    assert api.post(CREATE, api.body()).status_code == 503


def test_an_inquiry_may_find_nothing_at_first(api: Api) -> None:
    for body in both_ways(api, "query_not_found"):
        api.create(body)
        assert api.query(request_id=body["request_id"])["code"] == 1202
        api.jump(6)
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "SUCCEED"


def test_an_inquiry_may_lag_behind_the_webhook(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "query_lags"):
        api.create(body)
        api.jump()
        assert merchant.statuses[-1] == "SUCCEED"
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "PENDING_PAY"
        api.jump(30)
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "SUCCEED"


@pytest.mark.parametrize("name", ["query_wrong_amount", "query_wrong_currency"])
def test_an_inquiry_may_tell_something_else(api: Api, name: str) -> None:
    for body in both_ways(api, name):
        api.create(body)
        told = api.query(request_id=body["request_id"])["data"]
        assert (told["target_amount"] != body["target_amount"]) == (name == "query_wrong_amount")
        assert (told["target_currency"] != "USD") == (name == "query_wrong_currency")


def test_webhooks_can_come_several_times_at_once(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "webhook_duplicate"):
        merchant.got.clear()
        api.create(body)
        api.jump()
        assert merchant.statuses == ["SUCCEED"] * 3
        assert len({raw for _, raw in merchant.got}) == 1


def test_webhooks_can_come_late(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "webhook_delay"):
        merchant.got.clear()
        api.create(body)
        api.jump(55)
        assert not merchant.got
        api.jump(10)
        assert merchant.statuses == ["SUCCEED"]


def test_old_news_can_come_after_new_news(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "webhook_reorder"):
        merchant.got.clear()
        id = api.create(body)["pay_order_id"]
        api.jump(5)
        api.event(id, "refund")
        api.jump(5)
        assert merchant.statuses == ["SUCCEED", "PENDING_PAY", "REFUND", "SUCCEED"]
        for headers, raw in merchant.got:
            assert_genuine(headers, raw)


def test_webhooks_can_be_dropped(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "webhook_drop"):
        api.create(body)
    api.jump(3600)

    assert not merchant.got
    assert len(api.ledger()) == 2


@pytest.mark.parametrize("name", ["webhook_forged", "webhook_tampered"])
def test_a_false_webhook_does_not_fit_its_signature(api: Api, merchant: Merchant, name: str) -> None:
    for body in both_ways(api, name):
        merchant.got.clear()
        api.create(body)
        api.jump()
        headers, raw = merchant.got[0]
        assert headers["x-auth-signature"] != sign(json.loads(raw))
        assert (json.loads(raw)["target_amount"] != body["target_amount"]) == (name == "webhook_tampered")


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("webhook_wrong_amount", "target_amount"),
        ("webhook_wrong_currency", "target_currency"),
        ("webhook_wrong_reference", "pay_order_id"),
        ("webhook_unknown_status", "order_status"),
    ],
)
def test_a_genuine_webhook_can_tell_something_else(api: Api, merchant: Merchant, name: str, member: str) -> None:
    for body in both_ways(api, name):
        merchant.got.clear()
        api.create(body)
        api.jump()
        told, truth = merchant.bodies[0], api.query(request_id=body["request_id"])["data"]
        assert_genuine(*merchant.got[0])
        assert {key for key in truth if told.get(key) != truth[key]} - {"order_status_int"} == {member}


def test_a_webhook_can_overtake_the_answer(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "webhook_early"):
        merchant.got.clear()
        api.create(body)
        assert merchant.statuses == ["SUCCEED"]


def test_money_can_differ_from_the_order(api: Api, merchant: Merchant) -> None:
    for body in both_ways(api, "paid_differs"):
        merchant.got.clear()
        id = api.create(body)["pay_order_id"]
        api.jump()
        told = merchant.bodies[0]
        assert (told["order_status"], told["order_status_int"]) == ("PAID", 12)
        assert float(told["target_amount"]) == float(body["target_amount"]) - 1
        assert api.ledger()[-1]["amount"] == round(100 * float(body["target_amount"])) - 100
        assert api.found(id)["target_amount"] == told["target_amount"]
    api.app(paid_reports="ordered")
    assert api.found(id)["target_amount"] == body["target_amount"]


def test_any_card_can_be_declined(api: Api) -> None:
    for body in both_ways(api, "decline"):
        api.create(body)
        assert api.query(request_id=body["request_id"])["data"]["order_status"] == "FAILED"
    page = api.create(api.body(target_amount=magic(api, "decline")))["order_data"]["payData"]
    challenge = api.at_cashier(page, CHALLENGED).headers["Location"]
    assert api.click(api.url + challenge, answer="approve").headers["Location"].endswith("/fail?o=1")
    assert not api.ledger()


@pytest.mark.parametrize(
    ("name", "statuses"), [("dispute_later", ["SUCCEED", "SUCCEED"]), ("refund_later", ["SUCCEED", "REFUND"])]
)
def test_trouble_can_follow_success(api: Api, merchant: Merchant, name: str, statuses: list[str]) -> None:
    for body in both_ways(api, name):
        merchant.got.clear()
        api.create(body)
        api.jump(61)
        assert merchant.statuses == statuses
        assert ("event" in merchant.bodies[1]) == (name == "dispute_later")


@pytest.mark.parametrize(("amount", "currency"), [("777.11", "USD"), ("77711", "JPY"), ("77.711", "KWD")])
def test_a_magic_amount_works_in_every_exponent(api: Api, amount: str, currency: str) -> None:
    body = api.body(target_amount=amount, target_currency=currency)

    assert api.post(CREATE, body).status_code == 500


def test_other_amounts_are_ordinary(api: Api) -> None:
    for amount in ("7.77", "77.11", "776.99", "777.00", "777.99", "778.11", "7777.11", "19.11"):
        order = api.create(api.card_body(target_amount=amount))["pay_order_id"]
        assert api.operator("GET", f"lesspay/orders/{order}")["faults"] == {}


def test_every_dial_with_a_moment_has_its_own_magic_amount(api: Api) -> None:
    dials = api.simulation.dials["lesspay"].catalogue.values()
    numbers = [dial.magic for dial in dials]

    assert None not in numbers
    assert len(numbers) == len(set(numbers))


# --- card data -----------------------------------------------------------------------------------------------------


def test_no_card_number_or_cvv_is_kept_anywhere(
    api: Api, running: tuple[Simulation, str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    canaries = ("4000056655665556", "9537")
    good = api.card_body(canaries[0], cvv="953", store=True, three_ds=False)
    api.create(good)
    api.post(CREATE, api.card_body(canaries[0], cvv=canaries[1]))
    misplaced = api.body(
        pay_access_type=2,
        channel_extra={"extra_type": "card", "card": {"pan": int(canaries[0]), "cvc": canaries[1]}, "x": canaries[0]},
    )
    api.post(CREATE, misplaced)
    api.post(CREATE, good, headers={"x-auth-signature": "0" * 64})
    api.post(CREATE, b'{"number":"4000056655665556"', headers={"x-auth-signature": "0" * 64})
    page = api.create(api.body())["order_data"]["payData"]
    api.at_cashier(page, canaries[0], cvv=canaries[1])
    challenge = api.at_cashier(page, canaries[0], cvv="953").headers["Location"]
    api.click(api.url + challenge, answer="approve")
    api.jump()

    kept = b"".join(path.read_bytes() for path in running[2].parent.iterdir())
    for path in ("lesspay/calls", "lesspay/orders", "lesspay/webhooks", "lesspay/ledger"):
        kept += api.session.get(f"{api.url}/_sim/{path}", timeout=10).content
    kept += api.session.get(f"{api.url}/", timeout=10).content
    kept += "".join(capfd.readouterr()).encode()

    assert b"400005******5556" in kept
    for canary in (canaries[0].encode(), b'"953', b'"9537', b"=953&", b"=9537&", b":9537"):
        assert canary not in kept
