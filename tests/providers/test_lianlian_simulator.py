"""LianLian's simulator against its brief, over real HTTP. Signatures are made and checked by OpenSSL here."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import MD5, SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from providers.lianlian import simulator as lianlian
from providers.lianlian import simulator_signing as signing
from providers.simulation import Simulation
from providers.simulation.server import serving

FOLDER = Path(lianlian.__file__).parent
KEY: Any = load_pem_private_key((FOLDER / "simulator_key.pem").read_bytes(), None)
PUBLIC: Any = load_pem_public_key((FOLDER / "simulator_public_key.pem").read_bytes())

PARTNER, NO_SMS_PARTNER = "201304121000001004", "201304121000001005"
DEBIT, CREDIT = "6222081202008630000", "6259650000000000"
NONE: frozenset[str] = frozenset()
UNSIGNED = frozenset({"memo", "bank_name", "card_no"})


def debit(ending: str) -> str:
    return f"622208120200863{ending}"


def credit(ending: str) -> str:
    return f"625965000000{ending}"


def hash_of(body: dict[str, Any]) -> Any:
    return SHA256() if str(body.get("sign_type")).upper() == "SHA256WITHRSA" else MD5()


def source(body: dict[str, Any], without: frozenset[str] = NONE) -> str:
    """Section 2.2: sorted, no sign, nothing empty, no lists, raw values."""
    kept = {
        name: value
        for name, value in body.items()
        if value not in (None, "") and name != "sign" and name not in without and not isinstance(value, (list, dict))
    }
    return "&".join(f"{name}={kept[name]}" for name in sorted(kept))


def signed(body: dict[str, Any], key: Any = KEY) -> dict[str, Any]:
    raw = key.sign(source(body).encode(), PKCS1v15(), hash_of(body))
    return body | {"sign": base64.b64encode(raw).decode()}


def is_genuine(body: dict[str, Any], without: frozenset[str] = NONE, key: Any = PUBLIC) -> bool:
    try:
        key.verify(
            base64.b64decode(body.get("sign", "")),
            source(body, without).encode(),
            PKCS1v15(),
            hash_of(body),
        )
    except InvalidSignature:
        return False
    return "sign_type" in body


@dataclass
class Merchant:
    """A merchant's notification address: remembers what came and answers as told."""

    url: str = ""
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(raw) for _, raw in self.got]


ACKNOWLEDGED = (200, b'{"ret_code":"0000","ret_msg":"ok"}')


@pytest.fixture(scope="module")
def merchant_server() -> Iterator[Merchant]:
    merchant = Merchant()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            with merchant.lock:
                merchant.got.append(({name.lower(): value for name, value in self.headers.items()}, raw))
                status, reply = merchant.replies.pop(0) if merchant.replies else ACKNOWLEDGED
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


@pytest.fixture
def merchant(merchant_server: Merchant) -> Merchant:
    merchant_server.replies.clear()
    merchant_server.got.clear()
    return merchant_server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulation, str, Path]]:
    path = tmp_path_factory.mktemp("simulation") / "state.sqlite3"
    with serving(path, webhook_time_out_s=2) as (simulation, url):
        yield simulation, url, path


class Api:
    """A merchant's side of the API, and the operator's."""

    def __init__(self, simulation: Simulation, url: str, merchant: Merchant) -> None:
        self.simulation, self.url, self.merchant = simulation, url, merchant
        self.session = requests.Session()
        self.session.trust_env = False
        self.number = 0

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.simulation.clock.now() / 1000, UTC) + timedelta(hours=8)

    @property
    def stamp(self) -> str:
        return f"{self.now:%Y%m%d%H%M%S}"

    @property
    def today(self) -> str:
        return f"{self.now:%Y%m%d}"

    def next(self, prefix: str = "N") -> str:
        self.number += 1
        return f"{prefix}{self.number:012d}"

    def risk(self, user_id: str = "u-1001", **changes: Any) -> str:
        whole = {
            "frms_ware_category": "2009",
            "user_info_mercht_userno": user_id,
            "user_info_dt_register": "20230101000000",
            "goods_name": "测试商品",
        } | changes
        kept = {name: value for name, value in whole.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))

    def common(self, **members: Any) -> dict[str, Any]:
        """Members of a call with merchant and sign type; None leaves one out."""
        whole = {"oid_partner": PARTNER, "sign_type": "RSA"} | members
        return {name: value for name, value in whole.items() if value is not None}

    def person(self, number: str = DEBIT, **changes: Any) -> dict[str, Any]:
        whole = {
            "card_no": number,
            "acct_name": "张三",
            "bind_mob": "13800000000",
            "id_type": "0",
            "id_no": "11010519491231002X",
        }
        if number.startswith("625965"):
            whole |= {"vali_date": "3512", "cvv2": "123"}
        return whole | changes

    def order_body(self, **changes: Any) -> dict[str, Any]:
        return {
            "user_id": "u-1001",
            "busi_partner": "101001",
            "no_order": self.next(),
            "dt_order": self.stamp,
            "name_goods": "测试商品",
            "notify_url": self.merchant.url,
            "risk_item": self.risk(),
            "pay_type": "M",
            "money_order": "31.68",
        } | changes

    def apply_body(self, number: str | None = DEBIT, **changes: Any) -> dict[str, Any]:
        card = self.person(number) if number else {}
        return self.common(**{"api_version": "1.0"} | self.order_body() | card | changes)

    def send(self, path: str, body: dict[str, Any], *, key: Any = KEY, timeout: float = 10) -> requests.Response:
        raw = json.dumps(signed(body, key), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json;charset=utf-8"}
        return self.session.post(f"{self.url}/lianlian/{path}", data=raw, headers=headers, timeout=timeout)

    def post(self, path: str, body: dict[str, Any], *, key: Any = KEY) -> dict[str, Any]:
        """The answer, which is HTTP 200, JSON in UTF-8 and genuine, whatever it says."""
        answer = self.send(path, body, key=key)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json;charset=utf-8"
        found = dict(json.loads(answer.content.decode()))
        assert is_genuine(found, UNSIGNED if path == "orderquery.htm" else NONE), found
        assert None not in found.values()
        return found

    def apply(self, number: str | None = DEBIT, **changes: Any) -> dict[str, Any]:
        return self.post("easypay.htm", self.apply_body(number, **changes))

    def waiting(self, number: str | None = DEBIT, **changes: Any) -> dict[str, Any]:
        """An order that waits for its code: the answer, token included."""
        answer = self.apply(number, **changes)
        assert answer["ret_code"] in {"0000", "8888"}, answer
        assert re.fullmatch("[0-9a-f]{32}", answer["token"])
        return answer

    def verify(self, applied: dict[str, Any], code: str = "123456", **changes: Any) -> dict[str, Any]:
        return self.post("easypayverify.htm", self.verify_body(applied, code, **changes))

    def verify_body(self, applied: dict[str, Any], code: str = "123456", **changes: Any) -> dict[str, Any]:
        whole = {name: applied[name] for name in ("oid_partner", "no_order", "dt_order", "money_order", "token")}
        return self.common(**whole | {"verify_code": code} | changes)

    def paid(self, number: str | None = DEBIT, **changes: Any) -> dict[str, Any]:
        answer = self.verify(self.waiting(number, **changes))
        assert (answer["ret_code"], answer["result_pay"]) == ("0000", "SUCCESS"), answer
        return answer

    def query(self, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
        whole = {name: order[name] for name in ("oid_partner", "no_order", "dt_order")}
        return self.post("orderquery.htm", self.common(**whole | changes))

    def state(self, order: dict[str, Any]) -> str:
        answer = self.query(order)
        assert answer["ret_code"] == "0000", answer
        return str(answer["result_pay"])

    def held(self, number: str = CREDIT, **changes: Any) -> dict[str, Any]:
        answer = self.verify(self.waiting(number, **{"pay_type": "F", "money_order": "100.00"} | changes))
        assert (answer["ret_code"], answer["result_pay"]) == ("0000", "APPLY_SUCCESS"), answer
        return answer

    def held_by(self, no_agree: str) -> dict[str, Any]:
        return self.verify(self.waiting(None, no_agree=no_agree, pay_type="F", money_order="100.00"))

    def preauth(self, path: str, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
        whole = {name: order[name] for name in ("no_order", "dt_order", "oid_paybill")}
        whole |= {"api_version": "1.0", "pay_type": "F", "user_id": "u-1001", "money_order": "100.00"}
        if path == "preauthquery.htm":
            del whole["user_id"], whole["money_order"]
        return self.post(path, self.common(**whole | changes))

    def hold_state(self, order: dict[str, Any]) -> str:
        return str(self.preauth("preauthquery.htm", order)["ret_code"])

    def refund(self, order: dict[str, Any], money: str, **changes: Any) -> dict[str, Any]:
        body = {
            "no_refund": self.next("R"),
            "dt_refund": self.stamp,
            "money_refund": money,
            "no_order": order["no_order"],
            "dt_order": order["dt_order"],
            "oid_paybill": order["oid_paybill"],
            "notify_url": self.merchant.url,
        }
        return self.post("refund.htm", self.common(**body | changes))

    def refund_state(self, refund: dict[str, Any]) -> str:
        whole = {name: refund[name] for name in ("no_refund", "dt_refund")}
        answer = self.post("refundquery.htm", self.common(**whole))
        assert answer["ret_code"] == "0000", answer
        return str(answer["sta_refund"])

    def bind(self, number: str = DEBIT, **changes: Any) -> dict[str, Any]:
        whole = {"api_version": "2.1", "user_id": "u-1001", "pay_type": "M", "risk_item": self.risk()}
        return self.post("bankcardbind.htm", self.common(**whole | self.person(number) | changes))

    def bind_verify(self, token: str, code: str = "666666", **changes: Any) -> dict[str, Any]:
        whole = {"user_id": "u-1001", "token": token, "verify_code": code}
        return self.post("bankcardbindverfy.htm", self.common(**whole | changes))

    def bound(self, number: str = DEBIT, **changes: Any) -> str:
        answer = self.bind_verify(self.bind(number, **changes)["token"], user_id=changes.get("user_id", "u-1001"))
        assert answer["ret_code"] == "0000", answer
        return str(answer["no_agree"])

    def cards(self, user_id: str = "u-1001", **changes: Any) -> dict[str, Any]:
        whole = {"user_id": user_id, "offset": "0", "pay_type": "M"}
        return self.post("bankcardbindlist.htm", self.common(**whole | changes))

    def operator(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.session.request(method, f"{self.url}/_sim/{path}", json=body or None, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def account(self, **settings: Any) -> None:
        self.operator("POST", "lianlian/accounts", **{"oid_partner": PARTNER} | settings)

    def dial(self, name: str, value: Any = None, **options: Any) -> None:
        self.operator("POST", "lianlian/dials", name=name, value=value, **options)

    def jump(self, seconds: float) -> None:
        self.operator("POST", "clock", advance_seconds=seconds)

    def event(self, order: dict[str, Any], event: str, **members: Any) -> dict[str, Any]:
        return self.operator("POST", f"lianlian/orders/{order['no_order']}/events", event=event, **members)

    def ledger(self, kind: str = "charge") -> list[int]:
        return [one["amount"] for one in self.operator("GET", "lianlian/ledger")["entries"] if one["kind"] == kind]

    def notices(self) -> list[dict[str, Any]]:
        """What the merchant was sent once the delay is over."""
        self.jump(3)
        return self.merchant.bodies


@pytest.fixture
def api(running: tuple[Simulation, str, Path], merchant: Merchant) -> Iterator[Api]:
    simulation, url, _ = running
    simulation.webhooks.settle()
    simulation.reset()
    one = Api(simulation, url, merchant)
    yield one
    one.session.close()


# --- signing -------------------------------------------------------------------------------------------------------

VECTOR = (
    "acct_name=张三&api_version=1.0&bind_mob=13800000000&busi_partner=101001&card_no=6222020000000000000"
    "&dt_order=20240115103000&id_no=11010519491231002X&id_type=0&money_order=31.68&name_goods=测试商品"
    "&no_order=LLT202401150001&notify_url=https://pay.example.test/hooks/lianlian?m=1&v=2"
    '&oid_partner=201304121000001004&pay_type=M&risk_item={"frms_ware_category":"2009","goods_name":"测试商品",'
    '"user_info_dt_register":"20230101000000"}&sign_type=RSA&user_id=u-1001&valid_order=30'
)
VECTOR_BODY = (
    '{"api_version":"1.0","oid_partner":"201304121000001004","user_id":"u-1001","platform":null,'
    '"busi_partner":"101001","no_order":"LLT202401150001","dt_order":"20240115103000","name_goods":"测试商品",'
    '"info_order":"","money_order":"31.68","notify_url":"https://pay.example.test/hooks/lianlian?m=1&v=2",'
    '"valid_order":30,"pay_type":"M","id_type":"0","id_no":"11010519491231002X","acct_name":"张三",'
    '"card_no":"6222020000000000000","bind_mob":"13800000000","risk_item":"{\\"frms_ware_category\\":\\"2009\\",'
    '\\"goods_name\\":\\"测试商品\\",\\"user_info_dt_register\\":\\"20230101000000\\"}","sign_type":"RSA"}'
)
NOTICE_VECTOR = (
    "bank_code=01020000&dt_order=20240115103000&money_order=31.68&no_agree=2024011500000002&no_order=LLT202401150001"
    "&oid_partner=201304121000001004&oid_paybill=2024011500000001&pay_type=M&result_pay=SUCCESS&settle_date=20240115"
    "&sign_type=RSA"
)
VECTORS = [
    (
        VECTOR,
        "RSA",
        (
            "Sl1Yf5FrVOYX2glQOLU+jlUCOUujWcQu/R33AuqpK9rHxgDr4LLgomGnzYSdTMsowSEOiWVOpM3m0l8TPOOCJAOjcMjRwpqZAxw/EsYxmzyZ1RZB"
            "32Ht3GSO3v49vUUQ6qUnUMvew0HR+EAQrULy8dTdrY13caxcYelAJ+/ieGe1v/E5q3M5taZkqrBFEKI8RVPczvndKHJ+Gbd+uk4yd7M6HWPDxiQX"
            "BfVopcBFgkQ09O87aG0cxazXKMBb/hUlJh6qlOZbyAauXeMTsaN+gmgEy01xUlTavi5u6NEadSTebNTBxacRbRv2+TfSSmyUjGazbhWLpJbfnaiZ"
            "t/EWrA=="
        ),
    ),
    (
        VECTOR.replace("sign_type=RSA", "sign_type=SHA256withRSA"),
        "SHA256withRSA",
        (
            "AplkqkqlWAkzyeMZIOnHdvZmxiKIhVc4Iu+wvgWyFB2k0r0HDgx2lg34kBPlDC7S4N4wacsgCWsE42vtWTLzOGgweOvjoKMS67iMEpctDG4XATn0"
            "dmvWFv0gHr+50kstoxCYgVJLGppy2PD+V/FFU2a1nHnOL2TSrc+zMkh48UWQlRRVsKvEbhMDOHIC9rM0MBmK6s2+cmcdM5QbLhJnI3LnyeU2ILV6"
            "0qgpwg7LJDeBeLu76d0BvQWt2eQ07Z0XtqjhK3QNnhvyCnoLhpbhriMifEVr5fKl+959infaHOexfgBQlcFmltyP6ED3cEaLBkcB11MuGmyQ+LhA"
            "Yf2Ezg=="
        ),
    ),
    (
        NOTICE_VECTOR,
        "RSA",
        (
            "Djzfxo4AQvJaa5SPItMZoSFKIlneshFfETdx/hEJVDCpG2BbK+BH9WX9Lv4ObN9FF65EqurbYP2RSlybF++TGJrxRfkBFt2xn0/jDqdmC0XgoRhy"
            "05tGSPvbDaVEcItoRfq4ZylsaCzP+C3Aceqo3ZogIt35Te6FMKnPo+ESZjzef4XRzsJBzXsqS823MC9auH674YNQ+YyL9rCtcK0TVJh/iljI8YxB"
            "aA9kMQz5uSuBlRjHbwG4e0qtZje96HhLXVLs5/IvpzQtaRwPOzgfDqIW705QS0wfe3Hp3bAo0TPLgYWRZmjQdp3KxBU1cray2j60MzSF1t4lgd5O"
            "M7FqiQ=="
        ),
    ),
]
PRODUCTION_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCSS/DiwdCf/aZsxxcacDnooGph3d2JOj5GXWi+q3gznZauZjkNP8SKl3J2liP0O6rU/Y/29+IU"
    "e+GTMhMOFJuZm1htAtKiu5ekW0GlBMWxf4FPkYlQkPE0FtaoMP3gYfh+OwI+fIRrpW3ySn3mScnc6Z700nU/VYrRkfcSCbSnRwIDAQAB"
)
REAL = [
    (
        (
            "info_order=商品名称&money_order=0.01&no_agree=2015090900197005&no_order=20150911145230172"
            "&oid_partner=201310102000003524&oid_paybill=2015091100334077&result_pay=SUCCESS&ret_code=0000&ret_msg=交易成功"
            "&settle_date=20150911&sign_type=RSA"
        ),
        (
            "dsC9m7JWJAjvnwLbnEqr3RUMr8FgvLrNC4b4ah91uVGOo81Djki3rIvt6gyFMN3A57D2VGGyMd5C11QRnkLBhimYBeTIIVeUrD/mfMrSJaNvwl76"
            "kDECQNxU/lmtPlC+WkRLlHbZnWjI/wHLKbVSZymeTC090tOPfiEhKZI4OLU="
        ),
    ),
    (
        "oid_partner=201408071000001541&ret_code=4005&ret_msg=商户未开通权限&sign_type=RSA",
        (
            "M/EH4khKDPUIMnDqEid7mh90Acj0pguMVLiq17+ubl9M8YtOqG79X0q+b6TzuyiHVDOlXlUM8dvJQjgJ2qJFcGXe+1DakX0T71DLOQZjE3BEPcCW"
            "GQN0PcBpAs3EE1LBaI5p8FmBd3bLGMybYpTrt7/DC+BrukvJLgW7pMjHtHw="
        ),
    ),
]


@pytest.mark.parametrize(("text", "name", "expected"), VECTORS, ids="ABC")
def test_the_brief_s_vectors_are_reproduced_to_the_byte(text: str, name: str, expected: str) -> None:
    assert signing.sign(text, name, signing.platform_key()) == expected
    own = signing.read_public_key(signing.platform_public_key())
    assert signing.is_genuine(text, expected, name, own)
    assert not signing.is_genuine(text + "1", expected, name, own)


def test_the_canonical_string_drops_null_and_empty_members_and_keeps_numbers_as_written() -> None:
    assert signing.canonical(signing.read_object(VECTOR_BODY.encode())) == VECTOR
    assert signing.canonical({"b": "0", "a": [1], "c": {"d": 1}, "sign": "x", "e": signing.Literal("30")}) == "b=0&e=30"


@pytest.mark.parametrize(("text", "expected"), REAL, ids=["R1", "R2"])
def test_real_messages_verify_with_the_production_key_of_1024_bits(text: str, expected: str) -> None:
    key = signing.read_public_key(PRODUCTION_KEY)
    assert signing.is_genuine(text, expected, "RSA", key)
    assert not signing.is_genuine(text.replace("ret_code=", "ret_code=1"), expected, "RSA", key)


@pytest.mark.parametrize("signature", ["", "!", "AAAA", base64.b64encode(bytes(256)).decode(), "é"])
def test_what_is_no_signature_is_refused_not_raised(signature: str) -> None:
    assert not signing.is_genuine("a=1", signature, "RSA", signing.read_public_key(signing.platform_public_key()))


def test_keys_never_show_themselves() -> None:
    assert str(signing.platform_key().d) not in repr(signing.platform_key())


# --- the order of checks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'"x"', b'{"a":NaN}', b"\xff", b'{"a":[1]}', b'{"a":{}}', b'{"a":true}']
)
def test_a_body_that_is_no_flat_object_is_1012_and_unsigned(api: Api, raw: bytes) -> None:
    answer = api.session.post(f"{api.url}/lianlian/easypay.htm", data=raw, timeout=5)
    assert answer.status_code == 200
    assert answer.json() == {"ret_code": "1012", "ret_msg": "请求报文解析失败"}


@pytest.mark.parametrize("partner", [None, "", "999999999999999999"])
def test_an_unknown_merchant_is_3001_and_unsigned(api: Api, partner: str | None) -> None:
    answer = api.send("easypay.htm", api.apply_body(oid_partner=partner)).json()
    assert answer == {"ret_code": "3001", "ret_msg": "非法商户"}


def test_a_caller_outside_the_list_is_1008_before_its_signature_is_looked_at(api: Api) -> None:
    api.account(ip_list="10.0.0.1")
    assert api.post("easypay.htm", api.apply_body() | {"sign_type": "MD5"})["ret_code"] == "1008"
    api.account(ip_list="10.0.0.1, 127.0.0.1")
    assert api.apply()["ret_code"] == "0000"


def test_a_failure_is_signed_and_minimal(api: Api) -> None:
    answer = api.apply(money_order="0")
    assert answer == {
        "ret_code": "1004",
        "ret_msg": "商户请求参数校验错误(money_order)",
        "oid_partner": PARTNER,
        "sign_type": "RSA",
        "sign": answer["sign"],
    }


def test_a_signature_of_another_key_a_missing_one_and_a_changed_member_are_1001(api: Api) -> None:
    body = api.apply_body()
    assert api.post("easypay.htm", body, key=generate_private_key(65537, 2048))["ret_code"] == "1001"
    raw = api.session.post(f"{api.url}/lianlian/easypay.htm", json=body, timeout=5).json()
    assert raw["ret_code"] == "1001"
    changed = signed(body) | {"money_order": "0.01"}
    assert api.session.post(f"{api.url}/lianlian/easypay.htm", json=changed, timeout=5).json()["ret_code"] == "1001"
    assert api.query(body)["ret_code"] == "8901"


@pytest.mark.parametrize("sign_type", [None, "MD5", "SHA1withRSA", "RSA "])
def test_other_sign_types_are_1001(api: Api, sign_type: str | None) -> None:
    assert api.post("easypay.htm", api.apply_body(sign_type=sign_type))["ret_code"] == "1001"


def test_a_sign_type_with_a_blank_in_its_name_is_a_missing_one(api: Api) -> None:
    body = api.apply_body(sign_type=None) | {"sign_type ": "RSA"}
    assert api.post("easypay.htm", body)["ret_code"] == "1001"


def test_sha256_is_taken_by_apply_and_verify_and_answered_in_capitals(api: Api) -> None:
    applied = api.waiting(sign_type="SHA256withRSA")
    assert applied["sign_type"] == "SHA256WITHRSA"
    answer = api.verify(applied, sign_type="sha256WithRSA")
    assert (answer["result_pay"], answer["sign_type"]) == ("SUCCESS", "SHA256WITHRSA")
    assert api.query(applied, sign_type="SHA256withRSA")["ret_code"] == "1001"


def test_a_sign_type_that_is_switched_off_is_1001(api: Api) -> None:
    api.account(sign_types="RSA")
    assert api.apply(sign_type="SHA256withRSA")["ret_code"] == "1001"


@pytest.mark.parametrize("spelling", ["pem", "bare"])
def test_a_merchant_s_own_key_is_taken_as_pem_or_bare_base64(api: Api, spelling: str) -> None:
    own = generate_private_key(65537, 1024)
    public: RSAPublicKey = own.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    api.account(merchant_public_key=pem if spelling == "pem" else base64.b64encode(der).decode())
    assert api.post("easypay.htm", api.apply_body(), key=own)["ret_code"] == "0000"
    assert api.apply()["ret_code"] == "1001"


@pytest.mark.parametrize(
    ("products", "path", "change"),
    [
        ("preauth,refund", "easypay.htm", {}),
        ("easypay,refund", "easypay.htm", {"pay_type": "F"}),
        ("easypay", "bankcardbind.htm", {}),
        ("easypay", "refund.htm", {}),
        ("easypay", "closeOrder.htm", {}),
    ],
)
def test_a_product_the_merchant_lacks_is_3010_before_members_are_looked_at(
    api: Api, products: str, path: str, change: dict[str, str]
) -> None:
    api.account(products=products)
    assert api.post(path, api.common(**change))["ret_code"] == "3010"


# --- the form of members -------------------------------------------------------------------------------------------

REQUIRED = [
    *("api_version", "user_id", "busi_partner", "no_order", "dt_order", "name_goods", "notify_url", "risk_item"),
    *("pay_type", "money_order", "card_no", "acct_name", "bind_mob", "id_type", "id_no"),
]
MALFORMED: list[tuple[str, Any]] = [
    ("api_version", "2.0"),
    ("user_id", "x" * 33),
    ("busi_partner", "101002"),
    ("no_order", "x" * 33),
    ("dt_order", "20240230000000"),
    ("dt_order", "2024"),
    ("name_goods", "品" * 41),
    ("info_order", "x" * 256),
    ("notify_url", "pay.example.test/hook"),
    ("notify_url", f"https://pay.example.test/{'x' * 128}"),
    ("valid_order", 0),
    ("valid_order", "soon"),
    ("risk_item", "{"),
    ("risk_item", "[]"),
    ("risk_item", '{"frms_ware_category":"2009"}'),
    ("pay_type", "D"),
    ("money_order", "0.00"),
    ("money_order", "1.234"),
    ("money_order", "-1.00"),
    ("money_order", "100000000.01"),
    ("money_order", "1e3"),
    ("money_order", "１.00"),
    ("money_order", 31),
    ("client_chnl", "11"),
    ("card_no", "6222 0812 0200 8630"),
    ("bind_mob", "23800000000"),
    ("bind_mob", "1380000000"),
    ("id_type", "1"),
    ("id_no", "1101051949123100"),
    ("vali_date", "12/35"),
    ("cvv2", "12"),
    ("bank_code", "0" * 19),
    ("platform", "shared"),
    ("name_goods", "NULL"),
]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_member_is_1004_with_its_name(api: Api, name: str) -> None:
    body = api.apply_body()
    del body[name]
    answer = api.post("easypay.htm", body)
    assert (answer["ret_code"], answer["ret_msg"]) == ("1004", f"商户请求参数校验错误({name})")


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_a_malformed_member_is_1004_with_its_name(api: Api, name: str, value: Any) -> None:
    answer = api.apply(**{name: value})
    assert (answer["ret_code"], answer["ret_msg"]) == ("1004", f"商户请求参数校验错误({name})")


@pytest.mark.parametrize(("days", "code"), [(-2, "1004"), (-0.9, "0000"), (0.9, "0000"), (2, "1004")])
def test_dt_order_may_be_a_day_off(api: Api, days: float, code: str) -> None:
    moment = api.now + timedelta(days=days)
    assert api.apply(dt_order=f"{moment:%Y%m%d%H%M%S}")["ret_code"] == code


@pytest.mark.parametrize(("path", "name"), [
    ("easypayverify.htm", "token"), ("easypayverify.htm", "verify_code"), ("easypayverify.htm", "money_order"),
    ("orderquery.htm", "dt_order"), ("orderquery.htm", "no_order"), ("preauthComplete.htm", "user_id"),
    ("preauthComplete.htm", "api_version"), ("preauthCancel.htm", "money_order"), ("preauthquery.htm", "pay_type"),
    ("preauthquery.htm", "oid_paybill"), ("bankcardbind.htm", "api_version"), ("bankcardbind.htm", "card_no"),
    ("bankcardbindverfy.htm", "token"), ("bankcardunbind.htm", "no_agree"), ("bankcardbindlist.htm", "offset"),
    ("bankcardbin.htm", "card_no"), ("refund.htm", "no_refund"), ("refund.htm", "notify_url"),
    ("refund.htm", "dt_order"), ("refundquery.htm", "dt_refund"), ("refundquery.htm", "no_refund"),
    ("closeOrder.htm", "no_order"),
])  # fmt: skip
def test_every_operation_names_the_member_it_misses(api: Api, path: str, name: str) -> None:
    api.account(products="easypay,preauth,bind,refund,close")
    whole = api.person() | {
        "api_version": "2.1" if path == "bankcardbind.htm" else "1.0",
        "user_id": "u-1001",
        "no_order": "N1",
        "dt_order": api.stamp,
        "money_order": "1.00",
        "pay_type": "M" if path.startswith("bankcard") else "F",
        "token": "0" * 32,
        "verify_code": "123456",
        "no_agree": "2024011500000002",
        "offset": "0",
        "no_refund": "R1",
        "dt_refund": api.stamp,
        "money_refund": "1.00",
        "notify_url": api.merchant.url,
        "risk_item": api.risk(),
    }
    whole.pop(name, None)
    assert api.post(path, api.common(**whole))["ret_msg"] == f"商户请求参数校验错误({name})"


def test_unknown_paths_and_methods_are_plain_http_failures(api: Api) -> None:
    assert api.session.post(f"{api.url}/lianlian/nothing.htm", timeout=5).status_code == 404
    assert api.session.get(f"{api.url}/lianlian/easypay.htm", timeout=5).status_code == 405


# --- apply and verify ----------------------------------------------------------------------------------------------


def test_apply_answers_with_token_order_and_echo(api: Api) -> None:
    answer = api.waiting(info_order="note", money_order="1.5")
    assert answer["ret_code"] == "0000"
    assert re.fullmatch(f"{api.today}[0-9]{{8}}", answer["oid_paybill"])
    assert (answer["sms_flag"], answer["pay_type"], answer["bank_code"]) == ("1", "M", "01020000")
    assert (answer["info_order"], answer["money_order"], answer["name_goods"]) == ("note", "1.5", "测试商品")
    assert "result_pay" not in answer
    assert api.state(answer) == "WAITING"
    assert api.ledger() == []


def test_a_payment_is_answered_like_the_real_one_and_booked_and_notified_once(api: Api) -> None:
    applied = api.waiting(info_order="note")
    answer = api.verify(applied)
    assert set(answer) == {
        *("ret_code", "ret_msg", "oid_partner", "sign_type", "sign", "info_order", "money_order", "no_agree"),
        *("no_order", "oid_paybill", "result_pay", "settle_date", "dt_order", "pay_type"),
    }
    assert (answer["result_pay"], answer["settle_date"]) == ("SUCCESS", api.today)
    assert re.fullmatch("[0-9]{16}", answer["no_agree"])
    assert api.ledger() == [3168]
    assert [body["result_pay"] for body in api.notices()] == ["SUCCESS"]
    assert api.state(applied) == "SUCCESS"


def test_the_bare_switch_gives_exactly_the_members_of_2015(api: Api) -> None:
    api.account(bare_answers=True)
    assert set(api.paid(info_order="商品名称")) == {
        *("info_order", "money_order", "no_agree", "no_order", "oid_partner", "oid_paybill", "result_pay", "ret_code"),
        *("ret_msg", "settle_date", "sign_type", "sign"),
    }


def test_apply_may_answer_8888_by_account_or_card(api: Api) -> None:
    assert api.apply(debit("0021"))["ret_code"] == "8888"
    api.account(apply_code="8888")
    applied = api.apply()
    assert applied["ret_code"] == "8888"
    assert api.verify(applied)["result_pay"] == "SUCCESS"


def test_sample_cards_that_fail_luhn_and_published_bins_work(api: Api) -> None:
    assert api.paid("6222020000000000000")["result_pay"] == "SUCCESS"
    assert api.apply("4242424242424242", user_id="u-9")["ret_code"] == "1102"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"vali_date": None}, "1103"),
        ({"cvv2": None}, "1103"),
        ({"vali_date": "2012"}, "1103"),
        ({"vali_date": "3513"}, "1103"),
        ({"pay_type": "N"}, "0000"),
        ({"pay_type": "F"}, "0000"),
        ({"bank_code": "01020000"}, "0000"),
        ({"bank_code": "01030000"}, "9907"),
    ],
)
def test_a_credit_card_needs_an_expiry_ahead_and_cvv2(api: Api, change: dict[str, Any], code: str) -> None:
    assert api.apply(CREDIT, **change)["ret_code"] == code


def test_expiries_may_be_written_month_first(api: Api) -> None:
    api.account(vali_date="MMYY")
    assert api.apply(CREDIT, vali_date="1235")["ret_code"] == "0000"
    assert api.apply(CREDIT, vali_date="3512")["ret_code"] == "1103"


@pytest.mark.parametrize("pay_type", ["F", "N"])
def test_a_debit_card_cannot_do_what_credit_cards_do(api: Api, pay_type: str) -> None:
    body = api.apply_body(pay_type=pay_type)
    assert api.post("easypay.htm", body)["ret_code"] == "5601"
    assert api.query(body)["ret_code"] == "8901"


def test_a_payer_is_one_person_until_the_last_card_is_unbound(api: Api) -> None:
    paid = api.paid()
    other = {"acct_name": "李四", "id_no": "110105194912310038"}
    assert api.apply(**other)["ret_code"] == "7018"
    assert api.apply(**other, user_id="u-2")["ret_code"] == "0000"
    whole = {"user_id": "u-1001", "no_agree": paid["no_agree"], "pay_type": "M"}
    assert api.post("bankcardunbind.htm", api.common(**whole))["ret_code"] == "0000"
    assert api.apply(**other)["ret_code"] == "0000"


@pytest.mark.parametrize(("ending", "code"), [("0012", "1100"), ("0013", "1108"), ("0014", "9704")])
def test_cards_that_the_bank_refuses_at_apply_leave_an_order_that_may_go_on(api: Api, ending: str, code: str) -> None:
    body = api.apply_body(debit(ending))
    assert api.post("easypay.htm", body)["ret_code"] == code
    assert api.state(body) == "WAITING"
    again = api.post("easypay.htm", body | api.person())
    assert api.verify(again)["result_pay"] == "SUCCESS"


@pytest.mark.parametrize(
    ("ending", "code"),
    [("0002", "6001"), ("0003", "1101"), ("0004", "1019"), ("0005", "9910"), ("0006", "9000"), ("0007", "9990")],
)
def test_cards_that_the_bank_declines_when_verified(api: Api, ending: str, code: str) -> None:
    applied = api.waiting(debit(ending))
    assert api.verify(applied)["ret_code"] == code
    found = api.query(applied, query_version="1.1")
    assert (found["result_pay"], bool(found["memo"])) == ("FAILURE", True)
    assert api.ledger() == []
    assert api.notices() == []


def test_a_failed_order_may_be_applied_for_again_with_another_card(api: Api) -> None:
    body = api.apply_body(debit("0002"))
    first = api.post("easypay.htm", body)
    assert api.verify(first)["ret_code"] == "6001"
    second = api.post("easypay.htm", body | api.person())
    assert second["oid_paybill"] == first["oid_paybill"]
    assert api.state(second) == "WAITING"
    assert api.verify(second)["result_pay"] == "SUCCESS"
    assert api.ledger() == [3168]


CODES = [
    ("000003", "0000", "PROCESSING", "SUCCESS"),
    ("000004", "0000", "PROCESSING", "FAILURE"),
    ("000005", "1005", "FAILURE", "FAILURE"),
    ("000007", "9999", "PROCESSING", "SUCCESS"),
    ("000008", "9999", "PROCESSING", "FAILURE"),
]


@pytest.mark.parametrize(("code", "ret_code", "at_first", "finally_"), CODES)
def test_codes_decide_what_becomes_of_a_payment(
    api: Api, code: str, ret_code: str, at_first: str, finally_: str
) -> None:
    applied = api.waiting()
    answer = api.verify(applied, code)
    assert answer["ret_code"] == ret_code
    assert answer.get("result_pay") == ("PROCESSING" if ret_code == "0000" else None)
    assert api.state(applied) == at_first
    api.jump(5)
    assert api.state(applied) == finally_
    assert len(api.notices()) == len(api.ledger()) == (finally_ == "SUCCESS")


def test_code_000006_debits_and_drops_the_connection_and_notifies_ten_seconds_later(api: Api) -> None:
    applied = api.waiting()
    with pytest.raises(requests.ConnectionError):
        api.send("easypayverify.htm", api.verify_body(applied, "000006"))
    assert api.state(applied) == "SUCCESS"
    assert api.ledger() == [3168]
    api.jump(9)
    assert api.merchant.bodies == []
    api.jump(2)
    assert len(api.merchant.bodies) == 1


def test_code_000009_pays_and_breaks_the_signature(api: Api) -> None:
    applied = api.waiting()
    answer = api.send("easypayverify.htm", api.verify_body(applied, "000009")).json()
    assert answer["result_pay"] == "SUCCESS"
    assert not is_genuine(answer)
    assert api.state(applied) == "SUCCESS"


def test_a_wrong_code_leaves_order_and_token_as_they_are(api: Api) -> None:
    applied = api.waiting()
    for _ in range(5):
        assert api.verify(applied, "111111")["ret_code"] == "1900"
    assert api.state(applied) == "WAITING"
    assert api.verify(applied)["result_pay"] == "SUCCESS"


def test_the_sixth_wrong_code_kills_the_token(api: Api) -> None:
    body = api.apply_body()
    applied = api.post("easypay.htm", body)
    codes = [api.verify(applied, "111111")["ret_code"] for _ in range(6)]
    assert codes == ["1900"] * 5 + ["9702"]
    assert api.verify(applied)["ret_code"] == "1000"
    assert api.verify(api.post("easypay.htm", body))["result_pay"] == "SUCCESS"


def test_codes_for_expired_and_too_often(api: Api) -> None:
    applied = api.waiting()
    assert api.verify(applied, "000001")["ret_code"] == "1901"
    assert api.verify(applied, "000002")["ret_code"] == "9702"
    assert api.verify(applied)["ret_code"] == "1000"


def test_an_sms_lives_ten_minutes_and_a_token_thirty(api: Api) -> None:
    body = api.apply_body()
    applied = api.post("easypay.htm", body)
    api.jump(601)
    assert api.verify(applied)["ret_code"] == "1901"
    api.jump(1200)
    assert api.verify(applied)["ret_code"] == "1000"
    assert api.verify(api.post("easypay.htm", body))["result_pay"] == "SUCCESS"


def test_a_token_is_for_its_order_once_and_only_until_the_next(api: Api) -> None:
    body = api.apply_body()
    first, other = api.post("easypay.htm", body), api.waiting()
    second = api.post("easypay.htm", body)
    assert second["oid_paybill"] == first["oid_paybill"]
    assert second["token"] != first["token"]
    assert api.verify(first)["ret_code"] == "1000"
    assert api.verify(second, token=other["token"])["ret_code"] == "1000"
    assert api.verify(second, no_order="unknown")["ret_code"] == "1000"
    assert api.verify(second)["ret_code"] == "0000"
    assert api.verify(second)["ret_code"] == "1000"
    assert api.ledger() == [3168]


def test_verify_checks_the_amount_as_a_number(api: Api) -> None:
    applied = api.waiting(money_order="5.00")
    assert api.verify(applied, money_order="5.01")["ret_code"] == "7017"
    assert api.verify(applied, money_order="5")["ret_code"] == "0000"


def test_a_second_apply_is_judged_by_what_became_of_the_first(api: Api) -> None:
    body = api.apply_body()
    applied = api.post("easypay.htm", body)
    for change in ({"money_order": "31.69"}, {"dt_order": f"{api.today}000000"}, {"user_id": "u-2"}):
        assert api.post("easypay.htm", body | change)["ret_code"] == "1002"
    api.verify(applied, "000003")
    assert api.post("easypay.htm", body)["ret_code"] == "2005"
    api.jump(5)
    assert api.post("easypay.htm", body)["ret_code"] == "2007"
    assert api.ledger() == [3168]


def test_two_payers_in_a_hurry_debit_once(api: Api) -> None:
    applied = api.waiting()
    body = api.verify_body(applied)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(api.send("easypayverify.htm", body).json()["ret_code"]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["0000", "1000", "1000", "1000"]
    assert api.ledger() == [3168]


def test_valid_order_ends_an_unpaid_order(api: Api) -> None:
    body = api.apply_body(valid_order=20)
    applied = api.post("easypay.htm", body)
    api.jump(20 * 60 + 1)
    assert api.state(applied) == "FAILURE"
    assert api.verify(applied)["ret_code"] == "2006"
    assert api.post("easypay.htm", body)["ret_code"] == "2006"
    assert api.notices() == []
    hold = api.waiting(CREDIT, pay_type="F", valid_order=20)
    api.jump(20 * 60 + 1)
    assert api.hold_state(hold) == "2006"


def test_an_order_that_failed_late_ends_with_its_time_too(api: Api) -> None:
    body = api.apply_body(valid_order="1")
    applied = api.post("easypay.htm", body)
    api.jump(57)
    api.verify(applied, "000004")
    api.jump(10)
    assert api.post("easypay.htm", body)["ret_code"] == "2006"


def test_an_unpaid_order_lives_seven_days_by_default(api: Api) -> None:
    applied = api.waiting()
    api.jump(7 * 86_400 - 60)
    assert api.state(applied) == "WAITING"
    api.jump(120)
    assert api.state(applied) == "FAILURE"


# --- without SMS ---------------------------------------------------------------------------------------------------


def test_an_account_without_sms_debits_at_apply(api: Api) -> None:
    answer = api.apply(oid_partner=NO_SMS_PARTNER)
    assert "token" not in answer
    assert (answer["ret_code"], answer["result_pay"], answer["settle_date"]) == ("0000", "SUCCESS", api.today)
    assert re.fullmatch("[0-9]{16}", answer["no_agree"])
    assert api.ledger() == [3168]
    assert len(api.notices()) == 1


def test_an_account_without_sms_is_declined_at_apply(api: Api) -> None:
    body = api.apply_body(debit("0002"), oid_partner=NO_SMS_PARTNER)
    assert api.post("easypay.htm", body)["ret_code"] == "6001"
    assert api.state(body) == "FAILURE"
    assert api.ledger() == []


def test_cards_without_sms_work_in_any_account(api: Api) -> None:
    assert api.apply(debit("0031"))["result_pay"] == "SUCCESS"
    slow = api.apply(debit("0032"))
    assert slow["result_pay"] == "PROCESSING"
    api.jump(5)
    assert api.state(slow) == "SUCCESS"
    assert api.ledger() == [3168, 3168]


def test_above_the_limit_an_account_without_sms_needs_a_code_or_refuses(api: Api) -> None:
    api.account(oid_partner=NO_SMS_PARTNER, no_sms_limit="50.00")
    assert "result_pay" in api.apply(oid_partner=NO_SMS_PARTNER, money_order="50.00")
    applied = api.waiting(oid_partner=NO_SMS_PARTNER, money_order="50.01")
    assert api.verify(applied)["result_pay"] == "SUCCESS"
    api.account(oid_partner=NO_SMS_PARTNER, no_sms_over_limit="1902")
    assert api.apply(oid_partner=NO_SMS_PARTNER, money_order="50.01")["ret_code"] == "1902"


# --- order query and closing ---------------------------------------------------------------------------------------


def test_the_order_query_tells_the_order_and_leaves_three_members_unsigned(api: Api) -> None:
    paid = api.paid(CREDIT, info_order="note")
    found = api.query(paid, query_version="1.1")
    assert (found["pay_type"], found["card_no"], found["bank_name"]) == ("N", "625965******0000", "工商银行")
    assert (found["money_order"], found["settle_date"], found["info_order"]) == ("31.68", api.today, "note")
    assert not is_genuine(found)
    assert is_genuine(found, UNSIGNED)
    assert "bank_name" not in api.query(paid)
    assert api.query(paid, query_version="4.0")["ret_code"] == "1004"


def test_an_order_is_found_by_either_number_and_only_by_its_own(api: Api) -> None:
    first, second = api.paid(), api.paid()
    stamp = first["dt_order"]
    by_id = api.post("orderquery.htm", api.common(oid_paybill=first["oid_paybill"], dt_order=stamp))
    assert by_id["no_order"] == first["no_order"]
    assert api.query(first, oid_paybill=second["oid_paybill"])["ret_code"] == "9092"
    assert api.query(first, dt_order="20240101000000")["ret_code"] == "8901"
    assert api.query(first, no_order="unknown")["ret_code"] == "8901"
    assert api.query(first, oid_partner=NO_SMS_PARTNER)["ret_code"] == "8901"
    stolen = api.common(oid_partner=NO_SMS_PARTNER, oid_paybill=first["oid_paybill"], dt_order=stamp)
    assert api.post("orderquery.htm", stolen)["ret_code"] == "8901"


def test_an_unpaid_order_can_be_closed_where_the_merchant_has_that_product(api: Api) -> None:
    api.account(products="easypay,close,refund")
    waiting, paid = api.waiting(), api.paid()

    def close(order: dict[str, Any]) -> str:
        return str(api.post("closeOrder.htm", api.common(no_order=order["no_order"]))["ret_code"])

    assert [close(waiting), close(waiting), close(paid), close({"no_order": "X"})] == ["0000", "2006", "2007", "8901"]
    assert api.verify(waiting)["ret_code"] == "2006"
    assert api.state(waiting) == "FAILURE"


# --- pre-authorisations --------------------------------------------------------------------------------------------


def test_a_hold_is_granted_captured_and_only_then_charged(api: Api) -> None:
    applied = api.waiting(CREDIT, pay_type="F", money_order="100.00")
    assert api.hold_state(applied) == "PR08"
    granted = api.verify(applied)
    assert (granted["result_pay"], "settle_date" in granted) == ("APPLY_SUCCESS", False)
    assert api.hold_state(granted) == "PR07"
    assert api.ledger() == []
    captured = api.preauth("preauthComplete.htm", granted, money_order="60.00")
    assert (captured["ret_code"], captured["settle_date"], captured["user_id"]) == ("0000", api.today, "u-1001")
    assert "result_pay" not in captured
    assert api.hold_state(granted) == "PR11"
    assert api.ledger() == [6000]
    found = api.query(granted)
    assert (found["result_pay"], found["pay_type"], found["money_order"]) == ("SUCCESS", "F", "60.00")
    assert api.preauth("preauthquery.htm", granted)["money_order"] == "100.00"
    assert [body["money_order"] for body in api.notices()] == ["100.00", "60.00"]
    api.account(capture_told="authorised")
    assert api.query(granted)["money_order"] == "100.00"


def test_holds_are_notified_at_grant_and_at_capture_unless_switched_off(api: Api) -> None:
    held = api.held()
    api.preauth("preauthComplete.htm", held)
    assert [(body["pay_type"], body["result_pay"]) for body in api.notices()] == [("F", "SUCCESS")] * 2
    api.account(notify_authorisation=False, notify_capture=False)
    api.preauth("preauthComplete.htm", api.held())
    assert len(api.notices()) == 2


def test_holds_may_be_granted_with_success_and_queried_without_a_state(api: Api) -> None:
    api.account(preauth_result="SUCCESS", preauth_query_plain=True)
    granted = api.verify(api.waiting(CREDIT, pay_type="F"))
    assert granted["result_pay"] == "SUCCESS"
    assert api.hold_state(granted) == "0000"


def test_a_query_without_oid_paybill_is_refused_unless_the_switch_allows_it(api: Api) -> None:
    held = api.held()
    assert api.preauth("preauthquery.htm", held, oid_paybill=None)["ret_code"] == "1004"
    api.account(preauth_query_needs_paybill=False)
    assert api.preauth("preauthquery.htm", held, oid_paybill=None)["ret_code"] == "PR07"


def test_a_hold_is_let_go_as_a_whole(api: Api) -> None:
    held = api.held()
    assert api.preauth("preauthCancel.htm", held, money_order="99.99")["ret_code"] == "7017"
    assert api.preauth("preauthCancel.htm", held)["ret_code"] == "0000"
    assert api.hold_state(held) == "PR14"
    assert api.ledger() == []
    for path in ("preauthCancel.htm", "preauthComplete.htm"):
        assert api.preauth(path, held)["ret_code"] == "2006"


@pytest.mark.parametrize(("amount", "code"), [("100.01", "7017"), ("0.00", "1004"), ("0.01", "0000"), ("100", "0000")])
def test_a_capture_takes_up_to_what_is_held(api: Api, amount: str, code: str) -> None:
    assert api.preauth("preauthComplete.htm", api.held(), money_order=amount)["ret_code"] == code


def test_one_capture_is_all_and_nothing_runs_beside_it(api: Api) -> None:
    api.account(capture_delay_s=3.0)
    held = api.held()
    assert api.preauth("preauthComplete.htm", held)["ret_code"] == "0000"
    assert api.hold_state(held) == "PR12"
    assert api.preauth("preauthCancel.htm", held)["ret_code"] == "2005"
    assert api.preauth("preauthComplete.htm", held)["ret_code"] == "2005"
    api.jump(3)
    assert api.hold_state(held) == "PR11"
    assert api.preauth("preauthComplete.htm", held)["ret_code"] == "2007"
    assert api.preauth("preauthCancel.htm", held)["ret_code"] == "2007"
    assert api.ledger() == [10_000]


def test_a_cancel_takes_its_time_too(api: Api) -> None:
    api.account(capture_delay_s=3.0)
    held = api.held()
    api.preauth("preauthCancel.htm", held)
    assert api.hold_state(held) == "PR15"
    api.jump(3)
    assert api.hold_state(held) == "PR14"


def test_unpaid_unknown_and_foreign_holds_cannot_be_captured(api: Api) -> None:
    waiting, ordinary, held = api.waiting(CREDIT, pay_type="F", money_order="100.00"), api.paid(), api.held()
    codes = [
        api.preauth("preauthComplete.htm", order, **change)["ret_code"]
        for order, change in [
            (waiting, {}),
            (ordinary, {}),
            (held, {"no_order": "unknown", "oid_paybill": None}),
            (held, {"user_id": "u-2"}),
            (held, {"oid_paybill": ordinary["oid_paybill"]}),
            (held, {"oid_partner": NO_SMS_PARTNER}),
        ]
    ]
    assert codes == ["5008", "8901", "8901", "8901", "9092", "8901"]
    assert api.hold_state(ordinary) == "8901"


def test_a_capture_or_cancel_may_fail_once_and_then_work(api: Api) -> None:
    held = api.held(credit("0041"))
    assert api.preauth("preauthComplete.htm", held)["ret_code"] == "0000"
    assert api.hold_state(held) == "PR13"
    api.preauth("preauthComplete.htm", held)
    assert api.hold_state(held) == "PR11"
    held = api.held(credit("0042"))
    api.preauth("preauthCancel.htm", held)
    assert api.hold_state(held) == "PR16"
    api.preauth("preauthCancel.htm", held)
    assert api.hold_state(held) == "PR14"
    assert api.ledger() == [10_000]


def test_a_hold_ends_after_thirty_days(api: Api) -> None:
    held = api.held()
    api.jump(30 * 86_400 - 60)
    assert api.hold_state(held) == "PR07"
    api.jump(120)
    assert api.hold_state(held) == "2006"
    assert api.preauth("preauthComplete.htm", held)["ret_code"] == "2006"


def test_a_hold_that_was_declined_or_is_undecided_says_so(api: Api) -> None:
    declined = api.waiting(credit("0002"), pay_type="F", money_order="100.00")
    api.verify(declined)
    slow = api.waiting(CREDIT, pay_type="F", money_order="100.00")
    assert api.verify(slow, "000003")["result_pay"] == "PROCESSING"
    assert [api.hold_state(declined), api.hold_state(slow)] == ["PR10", "PR09"]
    api.jump(5)
    assert api.hold_state(slow) == "PR07"


# --- refunds -------------------------------------------------------------------------------------------------------


def test_a_refund_succeeds_after_five_seconds_and_is_notified(api: Api) -> None:
    paid = api.paid()
    api.notices()
    refund = api.refund(paid, "31.68")
    assert (refund["ret_code"], refund["sta_refund"], refund["money_refund"]) == ("0000", "0", "31.68")
    assert re.fullmatch("[0-9]{16}", refund["oid_refundno"])
    assert "settle_date" not in refund
    assert (api.refund_state(refund), api.state(paid)) == ("0", "SUCCESS")
    api.jump(5)
    assert (api.refund_state(refund), api.state(paid)) == ("2", "REFUND")
    notice = api.notices()[-1]
    assert is_genuine(notice)
    assert (notice["no_refund"], notice["sta_refund"], notice["settle_date"]) == (
        refund["no_refund"],
        "2",
        api.today,
    )
    assert api.ledger("refund") == [3168]


def test_partial_refunds_add_up_to_the_payment_and_no_further(api: Api) -> None:
    paid = api.paid(money_order="100.00")
    assert api.refund(paid, "60.00")["ret_code"] == "0000"
    assert api.refund(paid, "40.01")["ret_code"] == "5007"  # the first one counts while it is open
    api.jump(5)
    assert api.state(paid) == "SUCCESS"
    assert api.refund(paid, "40.00")["ret_code"] == "0000"
    api.jump(5)
    assert api.state(paid) == "REFUND"
    assert api.refund(paid, "0.01")["ret_code"] == "5007"
    assert api.ledger("refund") == [6000, 4000]


def test_88_01_is_refunded_at_once_and_88_02_fails_in_two_steps(api: Api) -> None:
    paid = api.paid(money_order="176.03")
    assert api.refund(paid, "88.01")["sta_refund"] == "2"
    failing = api.refund(paid, "88.02")
    states = [api.refund_state(failing)]
    for _ in range(2):
        api.jump(5)
        states.append(api.refund_state(failing))
    assert states == ["0", "1", "3"]
    assert api.ledger("refund") == [8801]
    assert [body["sta_refund"] for body in api.notices() if "no_refund" in body] == ["2"]
    assert api.refund(paid, "88.02")["ret_code"] == "0000"  # the amount is free again


def test_failed_refunds_are_notified_where_that_is_switched_on(api: Api) -> None:
    api.account(notify_failed_refund=True)
    api.refund(api.paid(money_order="100.00"), "88.02")
    api.jump(10)
    assert [body["sta_refund"] for body in api.notices() if "no_refund" in body] == ["3"]


def test_a_refund_number_is_used_once_and_found_again(api: Api) -> None:
    paid = api.paid()
    refund = api.refund(paid, "10.00")
    assert api.refund(paid, "10.00", no_refund=refund["no_refund"])["ret_code"] == "1002"
    assert api.refund_state(refund) == "0"
    by_id = api.common(oid_refundno=refund["oid_refundno"], dt_refund=refund["dt_refund"])
    assert api.post("refundquery.htm", by_id)["no_refund"] == refund["no_refund"]
    for wrong in ({"no_refund": "unknown"}, {"dt_refund": "20240101000000"}, {"oid_partner": NO_SMS_PARTNER}):
        whole = {"no_refund": refund["no_refund"], "dt_refund": refund["dt_refund"]} | wrong
        assert api.post("refundquery.htm", api.common(**whole))["ret_code"] == "8901"


def test_refunds_need_a_paid_order_of_this_merchant(api: Api) -> None:
    paid, waiting, held = api.paid(), api.waiting(), api.held()
    assert api.refund(waiting, "1.00")["ret_code"] == "5008"
    assert api.refund(held, "1.00")["ret_code"] == "5008"
    assert api.refund(paid, "1.00", no_order="unknown", oid_paybill=None)["ret_code"] == "5002"
    assert api.refund(paid, "1.00", oid_partner=NO_SMS_PARTNER)["ret_code"] == "5002"
    assert api.refund(paid, "1.00", oid_paybill=waiting["oid_paybill"])["ret_code"] == "9092"
    assert api.refund(paid, "1.00", no_order=None, dt_order=None)["ret_code"] == "0000"


def test_a_refund_of_a_captured_hold_is_limited_by_the_capture(api: Api) -> None:
    held = api.held()
    api.preauth("preauthComplete.htm", held, money_order="60.00")
    assert api.refund(held, "60.01")["ret_code"] == "5007"
    assert api.refund(held, "60.00")["ret_code"] == "0000"
    api.jump(5)
    assert api.state(held) == "REFUND"


def test_refunds_end_six_months_after_the_payment(api: Api) -> None:
    paid = api.paid()
    api.jump(184 * 86_400)
    assert api.refund(paid, "1.00")["ret_code"] == "2006"


def test_refunds_draw_on_the_merchant_s_balance_and_failed_ones_give_it_back(api: Api) -> None:
    paid = api.paid(money_order="200.00")
    api.account(refund_balance="88.02")
    assert api.refund(paid, "88.02")["ret_code"] == "0000"
    assert api.refund(paid, "0.01")["ret_code"] == "5006"
    api.jump(10)
    assert api.refund(paid, "88.02")["ret_code"] == "0000"


def test_the_foreign_currency_path_refunds_too(api: Api) -> None:
    paid = api.paid()
    body = {"no_refund": "R1", "dt_refund": api.stamp, "money_refund": "1.00", "notify_url": api.merchant.url}
    answer = api.post("exchangerefund.htm", api.common(**body, oid_paybill=paid["oid_paybill"]))
    assert answer["ret_code"] == "0000"


# --- saved cards ---------------------------------------------------------------------------------------------------


def test_a_paid_card_is_saved_once_for_each_payer_and_pays_again(api: Api) -> None:
    first = api.paid()
    assert api.paid()["no_agree"] == first["no_agree"]
    assert api.paid(user_id="u-2")["no_agree"] != first["no_agree"]
    again = api.paid(None, no_agree=first["no_agree"])
    assert again["no_agree"] == first["no_agree"]
    assert api.query(again)["card_no"] == "622208*********0000"


def test_a_saved_card_is_its_payer_s_only(api: Api) -> None:
    no_agree = api.paid()["no_agree"]
    assert api.apply(None, no_agree=no_agree, user_id="u-2")["ret_code"] == "3011"
    assert api.apply(None, no_agree="2024011599999999")["ret_code"] == "3003"
    assert api.apply(None, no_agree=no_agree, oid_partner=NO_SMS_PARTNER)["ret_code"] == "3003"


def test_a_saved_credit_card_needs_no_expiry_and_keeps_its_kind(api: Api) -> None:
    no_agree = api.paid(CREDIT)["no_agree"]
    assert api.held_by(no_agree)["result_pay"] == "APPLY_SUCCESS"
    saved_debit = api.paid()["no_agree"]
    assert api.apply(None, no_agree=saved_debit, pay_type="F")["ret_code"] == "5601"


def test_merchants_of_one_platform_share_their_payers(api: Api) -> None:
    api.account(platform="mall")
    api.account(oid_partner=NO_SMS_PARTNER, platform="mall")
    no_agree = api.paid(platform="mall")["no_agree"]
    shared = api.apply(None, no_agree=no_agree, oid_partner=NO_SMS_PARTNER, platform="mall")
    assert shared["result_pay"] == "SUCCESS"


def test_a_card_is_bound_without_paying(api: Api) -> None:
    answer = api.bind()
    assert (answer["ret_code"], answer["user_id"]) == ("0000", "u-1001")
    bound = api.bind_verify(answer["token"])
    assert (bound["ret_code"], bound["card_no"], bound["user_id"]) == ("0000", "0000", "u-1001")
    assert api.paid(None, no_agree=bound["no_agree"])["no_agree"] == bound["no_agree"]
    assert api.bind()["ret_code"] == "3009"
    assert api.ledger() == [3168]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("666666", "0000"), ("123456", "0000"), ("111111", "1900"), ("000001", "1901"), ("000002", "9702")],
)
def test_codes_of_a_binding(api: Api, code: str, expected: str) -> None:
    assert api.bind_verify(api.bind()["token"], code)["ret_code"] == expected


def test_a_binding_s_token_is_used_once_by_its_payer_and_in_time(api: Api) -> None:
    token = api.bind()["token"]
    assert api.bind_verify(token, user_id="u-2")["ret_code"] == "1000"
    assert [api.bind_verify(token, "1")["ret_code"] for _ in range(6)] == ["1900"] * 5 + ["9702"]
    assert api.bind_verify(token)["ret_code"] == "1000"
    token = api.bind()["token"]
    api.jump(601)
    assert api.bind_verify(token)["ret_code"] == "1901"
    api.jump(1200)
    assert api.bind_verify(token)["ret_code"] == "1000"


def test_the_other_path_of_bind_verify_is_served_too(api: Api) -> None:
    body = api.common(user_id="u-1001", token=api.bind()["token"], verify_code="666666")
    assert api.post("v1/bankcardbindverfy", body)["ret_code"] == "0000"


@pytest.mark.parametrize(
    ("number", "change", "code"),
    [
        (CREDIT, {"cvv2": None}, "1103"),
        (DEBIT, {"pay_type": "N"}, "5601"),
        ("4242424242424242", {}, "1102"),
        (debit("0012"), {}, "1100"),
        (debit("0021"), {}, "8888"),
    ],
)
def test_what_a_binding_is_refused_for(api: Api, number: str, change: dict[str, Any], code: str) -> None:
    assert api.bind(number, **change)["ret_code"] == code


def test_the_list_shows_newest_first_with_the_list_unsigned(api: Api) -> None:
    assert api.cards()["ret_code"] == "3011"
    first, second = api.bound(), api.bound(CREDIT)
    answer = api.cards()
    assert answer["count"] == "2"
    assert [one["no_agree"] for one in answer["agreement_list"]] == [second, first]
    assert answer["agreement_list"][0] == {
        "no_agree": second,
        "card_no": "0000",
        "bank_code": "01020000",
        "bank_name": "工商银行",
        "card_type": "3",
        "bind_mobile": "138****0000",
    }
    assert [one["no_agree"] for one in api.cards(offset="1")["agreement_list"]] == [first]
    assert [one["no_agree"] for one in api.cards(no_agree=first)["agreement_list"]] == [first]
    assert [one["no_agree"] for one in api.cards(card_no=CREDIT)["agreement_list"]] == [second]
    assert api.cards("u-2")["ret_code"] == "3011"


def test_an_empty_list_may_be_a_count_of_nothing(api: Api) -> None:
    api.account(empty_list="count")
    answer = api.cards()
    assert (answer["ret_code"], answer["count"], answer["agreement_list"]) == ("0000", "0", [])


def test_unbinding_forgets_the_card_and_needs_its_pay_type(api: Api) -> None:
    no_agree = api.bound()

    def unbind(**changes: Any) -> str:
        whole = {"user_id": "u-1001", "no_agree": no_agree, "pay_type": "M"} | changes
        return str(api.post("bankcardunbind.htm", api.common(**whole))["ret_code"])

    assert [unbind(pay_type=None), unbind(pay_type="2"), unbind(user_id="u-2")] == ["3003", "3003", "3011"]
    assert [unbind(), unbind()] == ["0000", "3003"]
    assert api.apply(None, no_agree=no_agree)["ret_code"] == "3003"


def test_a_card_bin_tells_bank_and_kind(api: Api) -> None:
    answer = api.post("bankcardbin.htm", api.common(card_no=CREDIT))
    told = [answer[name] for name in ("card_no", "bank_code", "bank_name", "card_type")]
    assert told == ["0000", "01020000", "工商银行", "3"]
    assert api.post("bankcardbin.htm", api.common(card_no="4242424242424242"))["ret_code"] == "5001"


# --- notifications -------------------------------------------------------------------------------------------------


def test_a_notification_has_the_documented_form(api: Api) -> None:
    paid = api.paid()
    api.notices()
    headers, raw = api.merchant.got[0]
    body = json.loads(raw)
    assert headers["content-type"] == "text/json;charset=utf-8"
    assert is_genuine(body)
    assert body.pop("sign")
    assert body == {
        "oid_partner": PARTNER,
        "sign_type": "RSA",
        "no_order": paid["no_order"],
        "dt_order": paid["dt_order"],
        "oid_paybill": paid["oid_paybill"],
        "money_order": "31.68",
        "result_pay": "SUCCESS",
        "pay_type": "M",
        "info_order": "",
        "settle_date": api.today,
        "bank_code": "01020000",
        "no_agree": paid["no_agree"],
    }


def test_a_notification_waits_two_seconds_unless_told_otherwise(api: Api) -> None:
    api.paid()
    api.jump(1)
    assert api.merchant.bodies == []
    api.jump(1.1)
    assert len(api.merchant.bodies) == 1
    api.account(webhook_delay_s=0.0)
    api.paid()
    api.operator("POST", "settle")
    assert len(api.merchant.bodies) == 2


@pytest.mark.parametrize(
    "reply",
    [
        (500, b'{"ret_code":"0000"}'),
        (200, b"SUCCESS"),
        (200, b'{"ret_code":"9999"}'),
        (200, b'["0000"]'),
        (201, b'{"ret_code":"0000"}'),
    ],
)
def test_only_200_with_ret_code_0000_ends_the_retries(api: Api, reply: tuple[int, bytes]) -> None:
    api.merchant.replies.append(reply)
    api.paid()
    api.jump(3)
    api.jump(110)
    assert len(api.merchant.bodies) == 1
    api.jump(20)
    api.jump(300)
    assert len(api.merchant.bodies) == 2


def test_a_notification_is_sent_thirty_times_two_minutes_apart(api: Api) -> None:
    api.merchant.replies.extend([(200, b'{"ret_code":"9999"}')] * 40)
    paid = api.paid()
    api.jump(2 * 3_600)
    sent = api.operator("GET", f"lianlian/webhooks?order={paid['oid_paybill']}")["webhooks"][0]
    moments = [attempt["at"] for attempt in sent["attempts"]]
    assert (len(moments), sent["state"]) == (30, "given_up")
    assert all(119_000 <= after - before <= 122_000 for before, after in itertools.pairwise(moments))


def test_a_merchant_has_five_seconds_to_answer() -> None:
    assert lianlian.Simulator.webhook_time_out_s == 5


@pytest.mark.parametrize(
    ("dial", "genuine", "member", "differs"),
    [
        ("webhook_forged", False, "money_order", False),
        ("webhook_tampered", False, "money_order", True),
        ("webhook_wrong_amount", True, "money_order", True),
        ("webhook_wrong_reference", True, "oid_paybill", True),
        ("webhook_unknown_status", True, "result_pay", True),
    ],
)
def test_dials_falsify_notifications(api: Api, dial: str, genuine: bool, member: str, differs: bool) -> None:
    api.dial(dial)
    paid = api.paid()
    body = api.notices()[0]
    assert is_genuine(body) == genuine
    assert (body[member] != paid[member]) == differs


def test_dials_duplicate_drop_and_hurry_notifications(api: Api) -> None:
    api.dial("webhook_duplicate", 3)
    api.paid()
    assert len(api.notices()) == 3
    api.operator("DELETE", "lianlian/dials")
    api.dial("webhook_drop")
    api.paid()
    assert len(api.notices()) == 3
    api.operator("DELETE", "lianlian/dials")
    api.dial("webhook_early")
    api.paid()
    assert len(api.merchant.bodies) == 4


def test_the_operator_sends_twice_with_a_broken_signature_and_with_another_amount(api: Api) -> None:
    paid = api.paid()
    api.notices()
    for event in ("notify_twice", "notify_broken_signature", "notify_wrong_amount"):
        api.event(paid, event)
    bodies = api.notices()[1:]
    assert [(is_genuine(body), body["money_order"]) for body in bodies] == [
        (True, "31.68"), (True, "31.68"), (False, "31.68"), (True, "316.80"),
    ]  # fmt: skip
    api.operator("POST", f"lianlian/orders/{paid['no_order']}/resend")
    assert len(api.notices()) == 6


# --- pages ---------------------------------------------------------------------------------------------------------

RETURN = "https://shop.example/return?o=1"


class Browser:
    """A payer who comes from the shop's form."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.page = ""

    def form(self, **changes: Any) -> dict[str, Any]:
        members = {"version": "1.0", "timestamp": self.api.stamp, "url_return": RETURN} | self.api.order_body()
        return self.api.common(**members | changes)

    def arrive(self, channel: str = "web", *, key: Any = KEY, **changes: Any) -> requests.Response:
        """Post the shop's form; stop at the redirect to the payment page."""
        own = {"userreq_ip": "122_11_37_211"} if channel == "web" else {"app_request": "3"}
        body = signed(self.form(**own | changes), key)
        path = "payment/traveleasypay.htm" if channel == "web" else "travlepay.htm"
        data = body if channel == "web" else {"req_data": json.dumps(body, ensure_ascii=False)}
        answer = self.api.session.post(
            f"{self.api.url}/lianlian/{path}", data=data, headers={"Origin": "https://shop.example"},
            allow_redirects=False, timeout=10,
        )  # fmt: skip
        if answer.status_code == 303:
            self.page = self.api.url + answer.headers["Location"]
        return answer

    def look(self) -> str:
        return self.api.session.get(self.page, timeout=10).text

    def press(self, answer: str, **form: str) -> requests.Response:
        return self.api.session.post(self.page, data={"answer": answer} | form, timeout=10)

    def pay(self, number: str = DEBIT, code: str = "123456", **form: str) -> requests.Response:
        typed = {name: str(value) for name, value in self.api.person(number).items() if name != "id_type"}
        return self.press("pay", **typed | {"verify_code": code} | form)


@pytest.fixture
def browser(api: Api) -> Browser:
    return Browser(api)


def inputs(page: str) -> dict[str, str]:
    """The hidden inputs of a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


def test_the_web_page_pays_and_sends_separate_signed_fields_back(api: Api, browser: Browser) -> None:
    assert browser.arrive(info_order="note").status_code == 303
    assert 'value="pay"' in browser.look()
    done = browser.pay()
    assert f'action="{RETURN}"' in done.text
    back = inputs(done.text)
    assert is_genuine(back)
    assert (back["ret_code"], back["result_pay"], back["money_order"]) == ("0000", "SUCCESS", "31.68")
    assert (back["settle_date"], back["bank_code"], back["info_order"]) == (api.today, "01020000", "note")
    assert api.ledger() == [3168]
    assert [body["no_order"] for body in api.notices()] == [back["no_order"]]


def test_the_h5_page_sends_res_data_back(api: Api, browser: Browser) -> None:
    browser.arrive("h5", bg_color="ff5001", syschnotify_flag="0")
    back = inputs(browser.pay().text)
    told = json.loads(back.pop("res_data"))
    assert back == {}
    assert is_genuine(told)
    assert told["result_pay"] == "SUCCESS"
    assert "ret_code" not in told


def test_the_browser_may_be_sent_back_by_get(api: Api, browser: Browser) -> None:
    api.account(return_method="get")
    browser.arrive()
    found = re.search(r'href="(https://shop.example/return[^"]*)"', browser.pay().text)
    assert found
    back = dict(parse_qsl(urlsplit(html.unescape(found[1])).query))
    assert back.pop("o") == "1"
    assert is_genuine(back)


def test_without_url_return_nothing_is_sent_back(browser: Browser) -> None:
    browser.arrive(url_return=None)
    done = browser.pay().text
    assert "The payment is done" in done
    assert "Return to the shop" not in done


def test_code_000009_breaks_the_browser_s_signature_too(browser: Browser) -> None:
    browser.arrive()
    assert not is_genuine(inputs(browser.pay(code="000009").text))


@pytest.mark.parametrize(
    ("channel", "change", "expected"),
    [
        ("web", {"oid_partner": "999999999999999999"}, "3001"),
        ("web", {"sign_type": "SHA256withRSA"}, "1001"),
        ("web", {"version": "2.0"}, "1004 商户请求参数校验错误(version)"),
        ("web", {"timestamp": "20240115103000"}, "1004 商户请求参数校验错误(timestamp)"),
        ("web", {"userreq_ip": "122.11.37.211"}, "1004 商户请求参数校验错误(userreq_ip)"),
        ("web", {"pay_type": "N"}, "1004 商户请求参数校验错误(pay_type)"),
        ("web", {"url_return": "shop"}, "1004 商户请求参数校验错误(url_return)"),
        ("web", {"no_agree": "2024011500000002"}, "3003"),
        ("web", {"card_no": DEBIT}, "1004 商户请求参数校验错误(acct_name)"),
        ("h5", {"app_request": "4"}, "1004 商户请求参数校验错误(app_request)"),
        ("h5", {"bg_color": "red"}, "1004 商户请求参数校验错误(bg_color)"),
    ],
)
def test_a_wrong_form_is_explained_on_a_page(
    browser: Browser, channel: str, change: dict[str, Any], expected: str
) -> None:
    answer = browser.arrive(channel, **change)
    assert answer.status_code == 400
    assert expected in answer.text


def test_a_forged_form_makes_no_order(api: Api, browser: Browser) -> None:
    answer = browser.arrive(key=generate_private_key(65537, 2048), no_order="FORGED")
    assert (answer.status_code, "1001" in answer.text) == (400, True)
    assert api.operator("GET", "lianlian/orders")["total"] == 0


def test_the_page_product_can_be_missing(api: Api, browser: Browser) -> None:
    api.account(products="easypay")
    assert "3010" in browser.arrive().text


def test_broken_h5_json_is_1012(api: Api) -> None:
    answer = api.session.post(f"{api.url}/lianlian/travlepay.htm", data={"req_data": "{"}, timeout=5)
    assert (answer.status_code, "1012" in answer.text) == (400, True)


def test_a_failure_on_the_page_sends_nothing_and_may_be_tried_again(api: Api, browser: Browser) -> None:
    browser.arrive(back_url="https://shop.example/cards")
    failed = browser.press("fail")
    assert "支付处理失败" in failed.text
    assert 'href="https://shop.example/cards"' in failed.text
    assert api.notices() == []
    declined = browser.pay(debit("0002"))
    assert "卡余额不足" in declined.text
    assert inputs(declined.text) == {}
    assert inputs(browser.pay().text)["result_pay"] == "SUCCESS"
    assert api.ledger() == [3168]


def test_a_closed_window_changes_nothing(api: Api, browser: Browser) -> None:
    browser.arrive(no_order="CLOSED1")
    left = browser.press("close").text
    assert "You have left the payment" in left
    assert RETURN not in left
    assert api.operator("GET", "lianlian/orders/CLOSED1")["status"] == "WAITING"
    assert 'value="pay"' in browser.look()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"code": "111111"}, "This code is wrong"),
        ({"code": "000001"}, "This code has expired"),
        ({"code": "000002"}, "Too many wrong codes"),
        ({"code": ""}, "Enter the code"),
        ({"number": "4242424242424242"}, "No bank issued"),
        ({"number": debit("0012")}, "does not know this card number"),
        ({"number": debit("0014")}, "could not be sent"),
        ({"number": "62220812020086300xx"}, "Enter the 12 to 19 digits"),
        ({"number": CREDIT, "cvv2": ""}, "needs an expiry that lies ahead"),
        ({"number": CREDIT, "vali_date": "2001"}, "needs an expiry that lies ahead"),
        ({"acct_name": ""}, "Enter the card holder"),
        ({"id_no": "1"}, "identity number"),
        ({"bind_mob": "1"}, "Enter the 11 digits"),
    ],
)
def test_the_page_says_what_is_wrong_and_never_repeats_what_was_typed(
    api: Api, browser: Browser, form: dict[str, str], text: str
) -> None:
    browser.arrive()
    answer = browser.pay(**form)
    assert answer.status_code == 422
    assert text in answer.text
    assert form.get("number", DEBIT) not in answer.text
    assert api.ledger() == []
    assert inputs(browser.pay().text)["result_pay"] == "SUCCESS"


def test_a_preset_card_asks_for_the_code_only(api: Api, browser: Browser) -> None:
    browser.arrive(**{name: value for name, value in api.person().items() if name != "bind_mob"})
    page = browser.look()
    assert "工商银行 622208*********0000" in page
    assert 'name="card_no"' not in page
    assert inputs(browser.press("pay", verify_code="123456").text)["result_pay"] == "SUCCESS"


def test_a_preset_credit_card_asks_for_its_expiry_but_a_saved_one_does_not(api: Api, browser: Browser) -> None:
    preset = {name: value for name, value in api.person(CREDIT).items() if name not in {"vali_date", "cvv2"}}
    browser.arrive(**preset)
    assert browser.press("pay", verify_code="123456").status_code == 422
    done = browser.press("pay", verify_code="123456", vali_date="3512", cvv2="123")
    no_order = inputs(done.text)["no_order"]
    no_agree = api.operator("GET", f"lianlian/orders/{no_order}")["words"]["no_agree"]
    browser.arrive(no_agree=no_agree)
    assert inputs(browser.press("pay", verify_code="123456").text)["result_pay"] == "SUCCESS"


def test_the_page_holds_an_amount_on_credit_cards_only(api: Api, browser: Browser) -> None:
    browser.arrive(pay_type="F", money_order="100.00")
    assert "need a credit card" in browser.pay().text
    back = inputs(browser.pay(CREDIT).text)
    assert (back["pay_type"], back["result_pay"]) == ("F", "SUCCESS")
    assert api.hold_state(back) == "PR07"
    assert api.ledger() == []


def test_a_page_order_that_saw_no_sms_is_created_but_not_waiting_for_one(api: Api, browser: Browser) -> None:
    browser.arrive(pay_type="F", no_order="PAGE1", dt_order=api.stamp)
    words = api.operator("GET", "lianlian/orders/PAGE1")["words"]
    assert api.hold_state(words) == "2003"


def test_the_same_form_comes_back_to_the_same_order_until_it_is_paid(api: Api, browser: Browser) -> None:
    form = {"no_order": "SAME1", "dt_order": api.stamp}
    browser.arrive(**form)
    page = browser.page
    browser.arrive(**form)
    assert browser.page == page
    assert "1002" in browser.arrive(**form, money_order="1.00").text
    browser.pay()
    browser.arrive(**form)
    assert "The payment is done" in browser.look()
    browser.pay()
    assert api.ledger() == [3168]


def test_a_page_expires_with_its_order(api: Api, browser: Browser) -> None:
    browser.arrive(valid_order="10")
    api.jump(601)
    assert "This payment page has expired" in browser.look()
    assert "This payment page has expired" in browser.pay().text
    assert api.ledger() == []


def test_a_slow_bank_shows_a_waiting_page(api: Api, browser: Browser) -> None:
    browser.arrive()
    assert "The bank is still deciding" in browser.pay(code="000003").text
    api.jump(5)
    assert "The payment is done" in browser.look()


def test_the_page_works_without_scripts_and_forbids_them(browser: Browser) -> None:
    browser.arrive()
    answer = browser.api.session.get(browser.page, timeout=5)
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_other_sites_cannot_press_the_page_s_buttons(api: Api, browser: Browser) -> None:
    browser.arrive()
    foreign = api.session.post(
        browser.page, data={"answer": "fail"}, headers={"Origin": "https://evil.example"}, timeout=5
    )
    assert foreign.status_code == 403


def test_unknown_pages_and_buttons_are_explained(api: Api, browser: Browser) -> None:
    assert api.session.get(f"{api.url}/lianlian/cashier/unknown", timeout=5).status_code == 404
    browser.arrive()
    assert browser.press("other").status_code == 400


def test_the_phone_page_tells_the_codes_and_who_waits(api: Api) -> None:
    applied = api.waiting()
    page = api.session.get(f"{api.url}/lianlian/phone", timeout=5).text
    for text in ("123456", "666666", "000009", "138****0000", applied["no_order"]):
        assert text in page
    assert applied["token"] not in page
    api.verify(applied)
    assert applied["no_order"] not in api.session.get(f"{api.url}/lianlian/phone", timeout=5).text


# --- faults --------------------------------------------------------------------------------------------------------


def raw_answer(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(api.send(path, body).json())


def test_http_500_and_system_error_do_nothing(api: Api) -> None:
    body = api.apply_body()
    api.dial("http_500", next=1)
    assert api.send("easypay.htm", body).status_code == 500
    assert api.query(body)["ret_code"] == "8901"
    api.dial("system_error", next=1)
    assert api.post("easypay.htm", body)["ret_code"] == "9999"
    assert api.query(body)["ret_code"] == "8901"


def test_a_debit_can_go_unanswered(api: Api) -> None:
    applied = api.waiting()
    api.dial("timeout_after", 30, operation="easypayverify", next=1)
    with pytest.raises(requests.ReadTimeout):
        api.send("easypayverify.htm", api.verify_body(applied), timeout=0.5)
    assert api.state(applied) == "SUCCESS"
    assert api.ledger() == [3168]


@pytest.mark.parametrize("dial", ["garbage_answer", "html_answer", "truncated_answer", "wrong_type_answer"])
def test_a_debit_can_be_answered_with_rubbish(api: Api, dial: str) -> None:
    applied = api.waiting()
    api.dial(dial, operation="easypayverify", next=1)
    try:
        answer = api.send("easypayverify.htm", api.verify_body(applied))
    except requests.RequestException:
        assert dial == "truncated_answer"
    else:
        assert b'"ret_code"' not in answer.content
    assert api.state(applied) == "SUCCESS"


@pytest.mark.parametrize(
    ("dial", "genuine", "member", "value"),
    [
        ("broken_signature", False, "result_pay", "SUCCESS"),
        ("unsigned_answer", False, "sign", None),
        ("unknown_code", True, "ret_code", "9876"),
        ("unknown_result", True, "result_pay", "SETTLED"),
        ("no_result", True, "result_pay", None),
        ("foreign_currency", True, "currency_order", "USD"),
        ("system_error_after", True, "ret_code", "9999"),
    ],
)
def test_own_dials_spoil_a_done_debit_s_answer(
    api: Api, dial: str, genuine: bool, member: str, value: str | None
) -> None:
    applied = api.waiting()
    api.dial(dial, operation="easypayverify", next=1)
    answer = raw_answer(api, "easypayverify.htm", api.verify_body(applied))
    assert is_genuine(answer) == genuine
    assert answer.get(member) == value
    assert api.state(applied) == "SUCCESS"


def test_an_answer_can_be_about_another_order(api: Api) -> None:
    applied = api.waiting()
    api.dial("other_order", operation="orderquery", next=1)
    assert api.query(applied)["no_order"] != applied["no_order"]


def test_magic_amounts_bring_faults_and_ordinary_ones_do_not(api: Api) -> None:
    api.paid(money_order="777.53")
    assert api.notices() == []
    api.paid(money_order="777.99")
    assert len(api.notices()) == 1


def test_a_magic_amount_spoils_the_first_application_only(api: Api) -> None:
    body = api.apply_body(money_order="777.17")
    assert api.send("easypay.htm", body).status_code == 500
    assert api.state(body) == "WAITING"
    assert api.verify(api.post("easypay.htm", body))["result_pay"] == "SUCCESS"


def test_queries_may_lag_find_nothing_or_lie(api: Api) -> None:
    paid = api.paid()
    api.dial("query_not_found", 60)
    assert api.query(paid)["ret_code"] == "8901"
    api.operator("DELETE", "lianlian/dials")
    api.dial("query_lags", 60)
    assert api.state(paid) == "WAITING"
    api.operator("DELETE", "lianlian/dials")
    api.dial("query_wrong_amount")
    assert api.query(paid)["money_order"] == "316.80"


def test_the_money_that_comes_may_differ_and_is_booked_as_it_came(api: Api) -> None:
    api.dial("paid_differs", -100)
    paid = api.paid()
    assert paid["money_order"] == api.query(paid)["money_order"] == api.notices()[0]["money_order"] == "30.68"
    assert api.ledger() == [3068]


def test_decline_and_refund_later_act_on_any_card(api: Api) -> None:
    api.dial("decline", "1101")
    assert api.verify(api.waiting())["ret_code"] == "1101"
    api.operator("DELETE", "lianlian/dials")
    api.dial("refund_later", 60)
    paid = api.paid()
    api.jump(61)
    assert api.state(paid) == "REFUND"
    assert api.ledger("refund") == [3168]


def test_failures_may_come_unsigned(api: Api) -> None:
    api.account(unsigned_failures=True)
    answer = raw_answer(api, "easypay.htm", api.apply_body(money_order="0"))
    assert set(answer) == {"ret_code", "ret_msg", "oid_partner"}
    assert is_genuine(api.waiting())


# --- the operator --------------------------------------------------------------------------------------------------


def test_the_operator_knows_two_accounts(api: Api) -> None:
    known = api.operator("GET", "lianlian/accounts")["accounts"]
    assert [(one["id"], one["no_sms"]) for one in known] == [(PARTNER, False), (NO_SMS_PARTNER, True)]
    assert "PRIVATE" not in json.dumps(known)


@pytest.mark.parametrize(
    "wish",
    [
        {"oid_partner": "1"},
        {"oid_partner": PARTNER, "merchant_public_key": "x"},
        {"oid_partner": PARTNER, "unknown": 1},
        {"oid_partner": PARTNER, "no_sms": "yes"},
        {"oid_partner": PARTNER, "apply_code": "1"},
    ],
)
def test_a_wrong_account_is_refused(api: Api, wish: dict[str, Any]) -> None:
    answer = api.session.post(f"{api.url}/_sim/lianlian/accounts", json=wish, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_events_move_an_order(api: Api) -> None:
    waiting = api.waiting()
    api.event(waiting, "process")
    assert api.state(waiting) == "PROCESSING"
    api.event(waiting, "fail", code="6001")
    assert api.state(waiting) == "FAILURE"
    api.event(waiting, "late_success")
    assert api.state(waiting) == "SUCCESS"
    api.event(waiting, "reverse")
    assert api.state(waiting) == "REFUND"
    assert (api.ledger(), api.ledger("refund")) == ([3168], [3168])
    closed = api.waiting()
    api.event(closed, "expire")
    assert api.verify(closed)["ret_code"] == "2006"
    paid = api.waiting()
    api.event(paid, "pay")
    assert api.state(paid) == "SUCCESS"


def test_events_move_a_hold(api: Api) -> None:
    held = api.held()
    api.event(held, "capture_fails")
    assert api.hold_state(held) == "PR13"
    api.event(held, "cancel_fails")
    assert api.hold_state(held) == "PR16"
    api.event(held, "capture", amount="40.00")
    assert api.hold_state(held) == "PR11"
    assert api.ledger() == [4000]
    for event, code in (("cancel", "PR14"), ("lapse", "2006")):
        other = api.held()
        api.event(other, event)
        assert api.hold_state(other) == code


def test_events_decide_refunds(api: Api) -> None:
    paid = api.paid(money_order="100.00")
    first, second = api.refund(paid, "10.00"), api.refund(paid, "20.00")
    api.event(paid, "refund_failure", no_refund=first["no_refund"])
    api.event(paid, "refund_success")
    assert (api.refund_state(first), api.refund_state(second)) == ("3", "2")
    api.jump(10)
    assert (api.refund_state(first), api.refund_state(second)) == ("3", "2")
    assert api.ledger("refund") == [2000]


@pytest.mark.parametrize("event", ["pay", "capture", "expire", "refund_success", "unknown"])
def test_events_that_make_no_sense_are_refused(api: Api, event: str) -> None:
    paid = api.paid()
    answer = api.session.post(
        f"{api.url}/_sim/lianlian/orders/{paid['no_order']}/events", json={"event": event}, timeout=5
    )
    assert answer.status_code == 400
    assert api.ledger() == [3168]


def test_the_panel_shows_orders_cards_calls_and_accounts(api: Api) -> None:
    paid = api.paid()
    api.refund(paid, "1.00")
    for page in ("", f"panel/lianlian/orders/{paid['oid_paybill']}", "panel/lianlian/calls", "panel/lianlian/cards",
                 "panel/lianlian/accounts", "panel/lianlian/dials"):  # fmt: skip
        assert api.session.get(f"{api.url}/{page}", timeout=5).status_code == 200
    cards = api.operator("GET", "test-cards")["lianlian"]["cards"]
    assert len(cards) == len({card["number"] for card in cards}) == len(lianlian.TEST_CARDS)


def test_every_test_card_does_what_its_ending_says(api: Api) -> None:
    for card in lianlian.TEST_CARDS:
        assert api.apply(card.number, user_id=f"u-{card.number[-4:]}")["ret_code"] in {
            "0000",
            "8888",
            "1100",
            "1108",
            "9704",
        }


def test_calls_are_logged_with_the_string_that_should_have_been_signed(api: Api) -> None:
    body = api.apply_body(money_order="0")
    api.post("easypay.htm", body)
    call = api.operator("GET", "lianlian/calls?limit=1")["calls"][0]
    assert (call["operation"], call["account"], call["verdict"]) == (
        "easypay",
        PARTNER,
        "1004 商户请求参数校验错误(money_order)",
    )
    assert f"no_order={body['no_order']}&" in call["expected"]
    assert "id_no=***" in call["expected"]


def test_numbers_names_codes_and_tokens_leave_no_trace(running: tuple[Simulation, str, Path], api: Api) -> None:
    private = ["李小龙", "110105199001011234", "13912345678", "6222089999888877776", "6259659999888877"]
    person = {"acct_name": private[0], "id_no": private[1], "bind_mob": private[2]}
    risk = api.risk(user_info_full_name=private[0], user_info_id_no=private[1], user_info_bind_phone=private[2])
    applied = api.waiting(private[3], **person, risk_item=risk)
    api.verify(applied, "918273")
    api.verify(applied)
    other = {"user_id": "u-7"} | person
    api.paid(private[4], **other, vali_date="4711", cvv2="947")
    api.bind_verify(api.bind(private[3][:-1] + "5", **other)["token"], user_id="u-7")
    api.apply(api.next() + private[3], user_id="u-8", no_order=private[3], money_order="x")
    browser = Browser(api)
    browser.arrive(user_id="u-9")
    browser.pay(private[3], "918273", **person)
    browser.pay(private[3], **person)
    api.cards()
    api.notices()
    told = json.dumps(
        [api.operator("GET", f"lianlian/{what}") for what in ("calls", "orders", "webhooks")], ensure_ascii=False
    )
    state = sqlite3.connect(running[2])
    kept = "\n".join(state.iterdump())
    state.close()
    for secret in [*private, applied["token"], "918273", '"4711"', '"947"', "PRIVATE KEY"]:
        assert secret not in told, secret
        assert secret not in kept, secret
    assert "622208*********7776" in told


def test_everything_survives_a_restart(tmp_path: Path, merchant: Merchant) -> None:
    with serving(tmp_path / "state.sqlite3") as (simulation, url):
        before = Api(simulation, url, merchant)
        applied, paid = before.waiting(), before.paid()
        refund = before.refund(paid, "10.00")
    with serving(tmp_path / "state.sqlite3") as (simulation, url):
        after = Api(simulation, url, merchant)
        after.number = before.number
        assert after.verify(applied)["result_pay"] == "SUCCESS"
        after.jump(6)
        assert after.refund_state(refund) == "2"
        assert after.paid(None, no_agree=paid["no_agree"])["no_agree"] == paid["no_agree"]
