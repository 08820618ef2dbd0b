"""LianLian: what every provider must do, published and real signatures, and each of its codes, states and rules."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import logging
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from html import escape
from typing import Any, ClassVar
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest
import time_machine
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from providers import lianlian
from providers.contract import (
    Address,
    BadSignature,
    Browser,
    Capability,
    Card,
    CardFacts,
    CodeProblem,
    Customer,
    Decline,
    DeclineCategory,
    Delivery,
    EnterCode,
    Hint,
    Item,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    PostForm,
    ProviderError,
    Rejected,
    Reply,
    Started,
    Status,
    StoredCard,
    Unreachable,
    Wait,
)
from providers.http import Http, HttpAnswer
from providers.lianlian import mapping, signing
from providers.lianlian.mapping import Action
from providers.money import Money
from tests.providers.conformance import (
    Canned,
    ProviderConformance,
    Received,
    compact,
    nobody_listens,
    plain,
    recordings,
)
from tests.providers.disorder import MoneyUnderDisorder, Part, Truth

TEST_KEY = (
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCWhGhj+WFp9SlKufiRqT3oK8cLx2ErBDs7l7QYUY6R+DOiWAI0"
    "u+MedHrdGgoADwAMTR+anNVp9mKwH+BFfcu9XrFeCKPY/rLMLdalgONQ09tdd1M4VqinXRSE2MiBKefWUkxHtH22A8VCmuM3/XIP"
    "Y0vqfcUWLN8PUhAyr7/TkJBfpYZSMNnMR1rKU/p4bcr8po4yKohO9YHMUhGF+MLxbZBitZz5y0z75hMyFKA2tO3aZxlzR2g3sMJQ"
    "NlkrBN4Jf7K3kaXDltigppQmFk3qgA9cBhpoIFsqEkWxtrK1NbhMUD4rzrtrEGx1YcsTwc6mOo5v/iNxq0TucYmVK4INAgMBAAEC"
    "ggEABfNHEzNfzqoH+gcfFKxoS542GLjxlkXtDN6NmpaCzdzONxab7mIXyPOZiysahm+8CesfRY6kqzM31IxLYpk7WDRUS7TeEVfZ"
    "pqkQlBYOe9AG8It6k+ltHRdYwSW2y3sQyhASfuqGO7oAxDDOVxTNu7OqY83utYE28j/wGajeqv+RAnVwVqf1yJ2nOT70IMSIJ5y4"
    "Xj4NByECXqYbp8JpUH2H2nNXmL6EwfJ94U4rm0TpdEpDYgcguT7Z+na1PybPYKIkshHotfbfeGEbCRZ6a2V942/odbMsPT+SW8vj"
    "CEBmGnt+eB1PYilPdXnQh52AijiUVgTxJJq5rSgKgVbtWwKBgQDPRUZC4EYKJcX7Z7fC+ayogTr37uYBFTDcEdudhdsH4GUQ9ZAz"
    "BN0nsLmhhej3BvBCPzLbyE0eudXfJRdCDa1M5ewag463fi/ipfA4g/X5IDWmahcKjU6/9D/ogL5lfQNNPYleMZ/nSQg3jJOCBHCF"
    "LdXgyptWDD5Y8JfZTqHUdwKBgQC552QssV+C92dq/SXa3zXFX1qo04WNJyfA+/nS4zUoaM7j+9ddqbEMTFF3JMNXwbmhhi97HYe9"
    "1hnwXIILSatOM2rA6IKl0rEsbn5bjF7LeSj3sw+6kjaczIq/zNWzwQn8gEzAKo5DQ5NJRNYwi6I623iqSxAMqbMdcPFBVxySmwKB"
    "gQC3454SdyesmRatlbdTJHAqj3zhuvIUw9g1ZyKQ/tD0jAEeqr7khMwxCnmm9Edb4qwGGkvk8jB5siYtc5rO35OBRfvTCiT0Zt/V"
    "FaOqgGkaPZlbq4QFuJjFdM2+WXqST/c97/qPtzdG22SO5Al6sLWjcqbuaNKn5PTrs4kFIt4wwQKBgDwFKAOB9MtM4zfYqWsj27Fw"
    "ms2dFSZAeQZGlB7xOk1koT9cJOlZiw7kaPzlgqgHpM4wi43dN+EjidZfl6DbVRJ3aUUFDIFLJ+aneeZGyKg64u4uAqsC39z58OYB"
    "1REnBvld1unIE4xF+fyS2/BqdKM6Dpg0ieb8txaPS2UEIfZ3AoGADE+aAv2enOfW6pZJc2YM3NgdWhjD4Sd6uq/mDdPTQ0wXKU7f"
    "FZSbRfw7gV+Ro/2E1XU9j0Ahm3fkpl9dv9fBaE3xrW5iT7U5dBEngk3fP03Uom/rDaOVzhWgoSotz5Gdupx177wkSEZ9wXuOa7fs"
    "B9J8OtBRBqW+Fky22mRDAIA="
)
"""PKCS#8. Made for documentation: it signs nothing real, and plays both roles below."""
TEST_PUBLIC_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAloRoY/lhafUpSrn4kak96CvHC8dhKwQ7O5e0GFGOkfgzolgCNLvjHnR6"
    "3RoKAA8ADE0fmpzVafZisB/gRX3LvV6xXgij2P6yzC3WpYDjUNPbXXdTOFaop10UhNjIgSnn1lJMR7R9tgPFQprjN/1yD2NL6n3F"
    "FizfD1IQMq+/05CQX6WGUjDZzEdaylP6eG3K/KaOMiqITvWBzFIRhfjC8W2QYrWc+ctM++YTMhSgNrTt2mcZc0doN7DCUDZZKwTe"
    "CX+yt5Glw5bYoKaUJhZN6oAPXAYaaCBbKhJFsbaytTW4TFA+K867axBsdWHLE8HOpjqOb/4jcatE7nGJlSuCDQIDAQAB"
)
REAL_KEY = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCSS/DiwdCf/aZsxxcacDnooGph3d2JOj5GXWi+q3gznZauZjkNP8SKl3J2liP0"
    "O6rU/Y/29+IUe+GTMhMOFJuZm1htAtKiu5ekW0GlBMWxf4FPkYlQkPE0FtaoMP3gYfh+OwI+fIRrpW3ySn3mScnc6Z700nU/VYrR"
    "kfcSCbSnRwIDAQAB"
)
"""LianLian's own, published, of 1024 bits."""
CANONICAL_A = (
    "acct_name=张三&api_version=1.0&bind_mob=13800000000&busi_partner=101001&card_no=622202000000"
    "0000000&dt_order=20240115103000&id_no=11010519491231002X&id_type=0&money_order=31.68&name_"
    "goods=测试商品&no_order=LLT202401150001&notify_url=https://pay.example.test/hooks/lianlian?m=1"
    '&v=2&oid_partner=201304121000001004&pay_type=M&risk_item={"frms_ware_category":"2009","goo'
    'ds_name":"测试商品","user_info_dt_register":"20230101000000"}&sign_type=RSA&user_id=u-1001&val'
    "id_order=30"
)
SIGN_A = (
    "Sl1Yf5FrVOYX2glQOLU+jlUCOUujWcQu/R33AuqpK9rHxgDr4LLgomGnzYSdTMsowSEOiWVOpM3m0l8TPOOCJAOjcMjRwpqZAxw/"
    "EsYxmzyZ1RZB32Ht3GSO3v49vUUQ6qUnUMvew0HR+EAQrULy8dTdrY13caxcYelAJ+/ieGe1v/E5q3M5taZkqrBFEKI8RVPczvnd"
    "KHJ+Gbd+uk4yd7M6HWPDxiQXBfVopcBFgkQ09O87aG0cxazXKMBb/hUlJh6qlOZbyAauXeMTsaN+gmgEy01xUlTavi5u6NEadSTe"
    "bNTBxacRbRv2+TfSSmyUjGazbhWLpJbfnaiZt/EWrA=="
)
SIGN_B = (
    "AplkqkqlWAkzyeMZIOnHdvZmxiKIhVc4Iu+wvgWyFB2k0r0HDgx2lg34kBPlDC7S4N4wacsgCWsE42vtWTLzOGgweOvjoKMS67iM"
    "EpctDG4XATn0dmvWFv0gHr+50kstoxCYgVJLGppy2PD+V/FFU2a1nHnOL2TSrc+zMkh48UWQlRRVsKvEbhMDOHIC9rM0MBmK6s2+"
    "cmcdM5QbLhJnI3LnyeU2ILV60qgpwg7LJDeBeLu76d0BvQWt2eQ07Z0XtqjhK3QNnhvyCnoLhpbhriMifEVr5fKl+959infaHOex"
    "fgBQlcFmltyP6ED3cEaLBkcB11MuGmyQ+LhAYf2Ezg=="
)
CANONICAL_C = (
    "bank_code=01020000&dt_order=20240115103000&money_order=31.68&no_agree=2024011500000002&no_"
    "order=LLT202401150001&oid_partner=201304121000001004&oid_paybill=2024011500000001&pay_type"
    "=M&result_pay=SUCCESS&settle_date=20240115&sign_type=RSA"
)
SIGN_C = (
    "Djzfxo4AQvJaa5SPItMZoSFKIlneshFfETdx/hEJVDCpG2BbK+BH9WX9Lv4ObN9FF65EqurbYP2RSlybF++TGJrxRfkBFt2xn0/j"
    "DqdmC0XgoRhy05tGSPvbDaVEcItoRfq4ZylsaCzP+C3Aceqo3ZogIt35Te6FMKnPo+ESZjzef4XRzsJBzXsqS823MC9auH674YNQ"
    "+YyL9rCtcK0TVJh/iljI8YxBaA9kMQz5uSuBlRjHbwG4e0qtZje96HhLXVLs5/IvpzQtaRwPOzgfDqIW705QS0wfe3Hp3bAo0TPL"
    "gYWRZmjQdp3KxBU1cray2j60MzSF1t4lgd5OM7FqiQ=="
)
REAL_MESSAGES = {
    "R1": (
        (
            "info_order=商品名称&money_order=0.01&no_agree=2015090900197005&no_order=20150911145230172&oid_"
            "partner=201310102000003524&oid_paybill=2015091100334077&result_pay=SUCCESS&ret_code=0000&r"
            "et_msg=交易成功&settle_date=20150911&sign_type=RSA"
        ),
        (
            "dsC9m7JWJAjvnwLbnEqr3RUMr8FgvLrNC4b4ah91uVGOo81Djki3rIvt6gyFMN3A57D2VGGyMd5C11QRnkLBhimYBeTIIVeUrD/m"
            "fMrSJaNvwl76kDECQNxU/lmtPlC+WkRLlHbZnWjI/wHLKbVSZymeTC090tOPfiEhKZI4OLU="
        ),
    ),
    "R2": (
        "oid_partner=201408071000001541&ret_code=4005&ret_msg=商户未开通权限&sign_type=RSA",
        (
            "M/EH4khKDPUIMnDqEid7mh90Acj0pguMVLiq17+ubl9M8YtOqG79X0q+b6TzuyiHVDOlXlUM8dvJQjgJ2qJFcGXe+1DakX0T71DL"
            "OQZjE3BEPcCWGQN0PcBpAs3EE1LBaI5p8FmBd3bLGMybYpTrt7/DC+BrukvJLgW7pMjHtHw="
        ),
    ),
    "R3": (
        (
            "dt_order=20221013145018&no_order=LLianPay-YT-20221013145018&oid_partner=201408071000001539"
            "&ret_code=8888&ret_msg=短信已下发，需验证短信验证码&sign_type=RSA&token=ce40a0c2e72964cc25e1dcd4e47e62c1"
            "&user_id=LLianPay-YT-Test-12345"
        ),
        (
            "Oz+vjL3b4CwKyaVGIO1cn924BYM8LqeX5tZ7U+ZVOmEP2MTgBAnd7FzAV6bxkv0KIxn63/rVMevXAJbeJl2EogV5mF4NaP+kD6kV"
            "UGUW7TDQHjokrlLoUrMrZSw3BT6rj0My30Tn+cy8zq5WXuYcVqpGGv0ZZACt11ZrJaSYHX4="
        ),
    ),
    "R4": (
        (
            "confirm_code=646872&no_order=20190510112458100750606813&oid_partner=201801030001351894&ret"
            "_code=4002&ret_msg=疑似重复提交订单&sign_type=RSA"
        ),
        (
            "fCtHOFJKJjv7hTyttL9mOugxmOo4jb+wvQODi1ldm/gVVRgbBCK+jKAgsH3COyL20w0vzYLq+fJA8toywInQ9VlHvc4VBYn6G1jb"
            "PnnBJXagfl6YpxdhFCJ6/o5vSr816vVMsz0/jwVjGhr2cDtTjwUvU9U6N8cfC5XPb/qiM2A="
        ),
    ),
}

MERCHANT, OURS, THEIRS = "201304121000001004", "LLT202401150001", "2024011500000001"
TOKEN = "ce40a0c2e72964cc25e1dcd4e47e62c1"
AGREEMENT = "2024011500000002"
CREATED = datetime(2024, 1, 15, 2, 30, tzinfo=UTC)
"""10:30 in China, as in the vectors."""
HOLDER, ID_NUMBER, PHONE, NUMBER = "张三", "11010519491231002X", "13800000000", "6222020000000000000"
CARD = Card(NUMBER, 0, 0, "", holder=HOLDER, id_number=ID_NUMBER, phone=PHONE)
CREDIT_CARD = dataclasses.replace(CARD, expiry_month=9, expiry_year=2031, cvc="917")
HOOK = "https://pay.example.test/hooks/lianlian?m=1&v=2"


# ------------------------------------------------------------------------- the other side, written without the package


def their_canonical(fields: Mapping[str, Any], *, unsigned: tuple[str, ...] = ()) -> str:
    """Section "signature source" of the documentation once more."""
    lines = []
    for name in sorted(fields):
        value = fields[name]
        if name != "sign" and name not in unsigned and value not in (None, "") and not isinstance(value, dict | list):
            lines.append(f"{name}={value}")
    return "&".join(lines)


def md5_with_rsa(text: str, key: rsa.RSAPrivateKey) -> str:
    """RFC 8017, section 8.2.1, by hand: ``m ** d mod n`` of the padded DigestInfo."""
    numbers, size = key.private_numbers(), key.key_size // 8
    info = bytes.fromhex("3020300c06082a864886f70d020505000410") + hashlib.md5(text.encode()).digest()
    block = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    signed = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return base64.b64encode(signed.to_bytes(size, "big")).decode()


def new_key(bits: int = 1024) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def private_text(key: Any, *, form: str = "PKCS8", encoding: str = "PEM") -> str:
    """A private key as people paste it: a PEM, or bare Base64."""
    der = key.private_bytes(
        getattr(serialization.Encoding, encoding),
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )
    return der.decode() if encoding == "PEM" else base64.b64encode(der).decode()


@cache
def public_text(key: Any, *, form: str = "SubjectPublicKeyInfo", encoding: str = "PEM") -> str:
    der = key.public_key().public_bytes(
        getattr(serialization.Encoding, encoding), getattr(serialization.PublicFormat, form)
    )
    return der.decode() if encoding == "PEM" else base64.b64encode(der).decode()


OUR_KEY, THEIR_KEY, THEIR_NEXT_KEY, FOREIGN_KEY = (new_key() for _ in range(4))


def signed(
    fields: Mapping[str, Any], key: rsa.RSAPrivateKey = THEIR_KEY, *, unsigned: tuple[str, ...] = ()
) -> dict[str, Any]:
    whole = {"oid_partner": MERCHANT, **fields, "sign_type": "RSA"}
    return {**whole, "sign": md5_with_rsa(their_canonical(whole, unsigned=unsigned), key)}


def oddly_signed(fields: Mapping[str, Any], key: rsa.RSAPrivateKey = THEIR_KEY) -> dict[str, Any]:
    """A message whose members need not be text: signed as JSON writes them."""
    written = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in fields.items()}
    return {**fields, "oid_partner": MERCHANT, "sign_type": "RSA", "sign": signed(written, key)["sign"]}


def delivery(fields: Mapping[str, Any], key: rsa.RSAPrivateKey = THEIR_KEY) -> Delivery:
    return raw_delivery(compact(signed(fields, key)))


def raw_delivery(body: bytes) -> Delivery:
    return Delivery("POST", "/hooks/lianlian", {"Content-Type": "text/json;charset=utf-8"}, body)


class Script(Http):
    """Answers by path, one after another, each a signed message or an exception; remembers what was sent."""

    def __init__(self, base_url: str = "https://provider.test", **answers: Any) -> None:
        super().__init__(base_url)
        self.answers = {
            f"/{name}.htm": deque(some if isinstance(some, list) else [some]) for name, some in answers.items()
        }
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        self.sent.append((self.base_url + path, json.loads(body or b"")))
        answer = self.answers[path].popleft()
        if isinstance(answer, Exception):
            raise answer
        return HttpAnswer(200, {}, answer if isinstance(answer, bytes) else compact(answer))

    @property
    def paths(self) -> list[str]:
        return [url.rsplit("/", 1)[1].removesuffix(".htm") for url, _ in self.sent]

    @property
    def last(self) -> dict[str, Any]:
        return self.sent[-1][1]


def config(**changes: Any) -> lianlian.Config:
    facts = {
        "oid_partner": MERCHANT,
        "ware_category": "2009",
        "merchant_private_key": private_text(OUR_KEY),
        "provider_public_key": public_text(THEIR_KEY),
    }
    return lianlian.Config(**{**facts, **changes})


def provider(http: Http, **changes: Any) -> lianlian.Provider:
    return lianlian.Provider(config(**changes), http)


def ask(**changes: Any) -> PaymentRequest:
    facts = {
        "reference": OURS,
        "amount": Money(3168, "CNY"),
        "method": "card",
        "description": "测试商品",
        "return_url": "https://pay.example.test/return/x",
        "webhook_url": HOOK,
        "expires_in": 1800,
        "created_at": CREATED,
        "payer": "U1001",
        "card": CARD,
        "customer": Customer(ip="203.0.113.9", since=datetime(2022, 12, 31, 16, tzinfo=UTC)),
    }
    return PaymentRequest(**{**facts, **changes})


def ref(**changes: Any) -> PaymentRef:
    facts = {
        "reference": OURS,
        "amount": Money(3168, "CNY"),
        "provider_reference": THEIRS,
        "created_at": CREATED,
        "payer": "U1001",
    }
    return PaymentRef(**{**facts, **changes})


def operation(minor: int = 3168, **changes: Any) -> OperationRequest:
    facts = {
        "reference": "OP202401160001",
        "payment": ref(capture="manual"),
        "amount": Money(minor, "CNY"),
        "created_at": datetime(2024, 1, 16, 1, 0, tzinfo=UTC),
        "webhook_url": HOOK,
    }
    return OperationRequest(**{**facts, **changes})


def no(code: str, **more: Any) -> dict[str, Any]:
    """A failure as they answer it: signed, and next to nothing in it."""
    return signed({"ret_code": code, "ret_msg": "说明", **more})


def yes(**more: Any) -> dict[str, Any]:
    facts = {"ret_code": "0000", "ret_msg": "交易成功", "no_order": OURS, "oid_paybill": THEIRS, "money_order": "31.68"}
    return signed({**facts, **more})


def found(word: str, **more: Any) -> dict[str, Any]:
    return yes(result_pay=word, **more)


def hold(code: str, **more: Any) -> dict[str, Any]:
    """The pre-authorisation query's answer."""
    return yes(ret_code=code, **more)


def without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The same answer, signed, without some of its members."""
    return signed({name: value for name, value in fields.items() if name not in {*names, "sign", "sign_type"}})


# --------------------------------------------------------------------------------------------------------- conformance


@cache
def key_called(secret: str) -> rsa.RSAPrivateKey:
    """LianLian's key, by what the tests call its secret."""
    return new_key()


class TestConformance(MoneyUnderDisorder, ProviderConformance):
    slug = "lianlian"
    provider_class = lianlian.Provider
    answers_are_signed = True
    currency = "CNY"
    amounts: ClassVar = {
        (1, "CNY"): "0.01",
        (3168, "CNY"): "31.68",
        (100_000, "CNY"): "1000.00",
        (10_000_000_000, "CNY"): "100000000.00",
    }
    words: ClassVar = {
        **mapping.ORDER_STATES,
        **{word: status for word, status in mapping.PREAUTH_STATES.items() if word != "0000"},
        "8901": None,
    }
    operation_words: ClassVar = {**mapping.REFUND_STATES, **mapping.CAPTURE_STATES, **mapping.CANCEL_STATES}
    accepted = Reply(200, b'{"ret_code":"0000","ret_msg":"ok"}', "application/json")

    def config(self, secret: str, *, previous: str = "") -> lianlian.Config:
        changes = {"provider_public_key_previous": public_text(key_called(previous))} if previous else {}
        return config(provider_public_key=public_text(key_called(secret)), **changes)

    def genuine_answer(self, body: bytes, sent: Received) -> tuple[bytes, dict[str, str]]:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            return body, {}
        return (compact(oddly_signed(fields, key_called(self.secret))) if isinstance(fields, dict) else body), {}

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        return raw_delivery(compact(oddly_signed(json.loads(body), key_called(secret))))

    def resigned(self, genuine: Delivery, signature: str | None) -> Delivery:
        fields = {**json.loads(genuine.body), "sign": signature}
        return dataclasses.replace(genuine, body=json.dumps(fields).encode())

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        return json.loads(body)["money_order"], "CNY"

    def sent_reference(self, body: bytes) -> str:
        return json.loads(body)["no_order"]

    def sent_operation(self, call: str, body: bytes) -> tuple[str, Money | None]:
        fields = json.loads(body)
        amount = fields.get("money_refund") or fields.get("money_order")
        return fields.get("no_refund") or fields["no_order"], Money.from_decimal(amount, "CNY") if amount else None

    def word(self, body: Any) -> str | None:
        word = body.get("result_pay") or body.get("ret_code")
        return word if word in self.words else None

    def operation_word(self, body: Any) -> str | None:
        return body.get("sta_refund") or body.get("ret_code")

    def another_event(self) -> bytes:
        return compact({"no_agree": AGREEMENT, "user_id": "U1001"})

    def wrong_types(self) -> Iterator[Any]:
        for one in (None, True, 7, "", "word", [], {}):
            yield {"ret_code": one}
            yield {"ret_code": "0000", "result_pay": one}
            yield {"ret_code": "0000", "token": one}
            yield {"ret_code": "0000", "no_order": one, "result_pay": "SUCCESS", "money_order": "1.00"}
        for one in (None, True, "", "word", [], {}):  # a number would be an amount
            yield {"ret_code": "0000", "result_pay": "SUCCESS", "money_order": one}
            yield {"ret_code": "0000", "result_pay": "APPLY_SUCCESS", "money_order": one}

    # ------------------------------------------------------------------------------------------ the truth on the wire

    announces_failure = False
    tells_refunds_made_elsewhere = False
    other_currency = ""
    words_of: ClassVar = {
        Status.PENDING: "WAITING",
        Status.AUTHORISED: "SUCCESS",
        Status.CAPTURED: "SUCCESS",
        Status.FAILED: "FAILURE",
    }
    holds_of: ClassVar = {Status.AUTHORISED: "PR07", Status.CAPTURED: "PR11", Status.FAILED: "PR10"}
    refund_words_of: ClassVar = {
        OperationStatus.PENDING: "0",
        OperationStatus.SUCCEEDED: "2",
        OperationStatus.FAILED: "3",
    }

    def answer_to(self, sent: Received, truth: Truth) -> dict[str, Any]:
        common = {"ret_code": "0000", "ret_msg": "ok", "oid_partner": MERCHANT}
        if "refund" in sent.path:
            asked = json.loads(sent.body)["no_refund"]
            found = [self._refund(part) for part in truth.refunds if part.reference == asked]
            return {**common, **found[0]} if found else {**common, "ret_code": "8901"}
        if "preauth" in sent.path.lower():
            return {**common, **self._order(truth), "ret_code": self.holds_of.get(truth.status, "2003")}
        given_back = truth.refunded and truth.refunded == truth.captured
        return {**common, **self._order(truth), "result_pay": "REFUND" if given_back else self.words_of[truth.status]}

    def payment_event(self, truth: Truth) -> dict[str, Any] | None:
        """Only success is told."""
        if truth.status not in {Status.CAPTURED, Status.AUTHORISED}:
            return None
        return {"oid_partner": MERCHANT, **self._order(truth), "result_pay": "SUCCESS", "settle_date": "20260301"}

    def capture_event(self, truth: Truth, part: Part) -> None:
        return None

    def refund_event(self, truth: Truth, part: Part) -> dict[str, Any] | None:
        if part.status is OperationStatus.PENDING:
            return None
        return {"oid_partner": MERCHANT, **self._refund(part), "settle_date": "20260301"}

    def _order(self, truth: Truth) -> dict[str, Any]:
        return {
            "no_order": truth.reference,
            "dt_order": truth.created_at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y%m%d%H%M%S"),
            "money_order": truth.amount.decimal,
            "oid_paybill": truth.provider_reference,
            "pay_type": "F" if truth.manual else "D",
        }

    def _refund(self, part: Part) -> dict[str, Any]:
        return {
            "no_refund": part.reference,
            "dt_refund": "20260301120000",
            "money_refund": part.amount.decimal,
            "oid_refundno": part.provider_reference,
            "sta_refund": self.refund_words_of[part.status],
        }


# ------------------------------------------------------------------------------------------------------------- signing

VECTOR = {
    "api_version": "1.0",
    "oid_partner": MERCHANT,
    "user_id": "u-1001",
    "platform": None,
    "busi_partner": "101001",
    "no_order": OURS,
    "dt_order": "20240115103000",
    "name_goods": "测试商品",
    "info_order": "",
    "money_order": "31.68",
    "notify_url": HOOK,
    "valid_order": 30,
    "pay_type": "M",
    "id_type": "0",
    "id_no": ID_NUMBER,
    "acct_name": HOLDER,
    "card_no": NUMBER,
    "bind_mob": PHONE,
    "risk_item": '{"frms_ware_category":"2009","goods_name":"测试商品","user_info_dt_register":"20230101000000"}',
    "sign_type": "RSA",
}
VECTOR_B = {**VECTOR, "sign_type": "SHA256withRSA"}


def fields_of(text: str) -> dict[str, str]:
    """The members behind a canonical string, none of whose values holds an ampersand."""
    return dict(pair.split("=", 1) for pair in text.split("&"))


@pytest.mark.parametrize(("fields", "signature"), [(VECTOR, SIGN_A), (VECTOR_B, SIGN_B)], ids=["A", "B"])
def test_a_request_is_signed_as_the_vectors_are(fields, signature):
    key, public = signing.private_key(TEST_KEY), signing.public_key(TEST_PUBLIC_KEY)

    assert signing.with_signature(fields, key)["sign"] == signature
    assert signing.is_genuine({**fields, "sign": signature}, [public], sign_types={fields["sign_type"]})


def test_the_canonical_string_is_that_of_vector_a():
    text = signing.canonical(VECTOR)

    assert text == CANONICAL_A == their_canonical(VECTOR)
    assert len(text.encode()) == 481
    assert hashlib.md5(text.encode()).hexdigest() == "53d5b753d890525383304036e3eefc43"


def test_the_canonical_string_is_that_of_vector_b():
    text = signing.canonical(VECTOR_B)

    assert len(text.encode()) == 491
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "08dcdd2e1191bbf8e16d70acad3823395300b1e846295bc13d33c1de9ba26c57"
    )


def test_vector_c_is_a_notification_that_is_accepted():
    body = compact({**fields_of(CANONICAL_C), "info_order": "", "sign": SIGN_C})

    assert provider(Canned(b""), provider_public_key=TEST_PUBLIC_KEY).verify_webhook(raw_delivery(body))


@pytest.mark.parametrize("name", REAL_MESSAGES)
def test_a_message_that_lianlian_signed_is_genuine(name):
    text, signature = REAL_MESSAGES[name]
    message = {**fields_of(text), "sign": signature}

    assert signing.canonical(message) == text
    assert signing.is_genuine(message, [signing.public_key(REAL_KEY)], sign_types={"RSA"})


@pytest.mark.parametrize("name", REAL_MESSAGES)
def test_a_message_that_lianlian_signed_is_not_genuine_with_anything_changed(name):
    text, signature = REAL_MESSAGES[name]
    message = {**fields_of(text), "sign": signature}
    keys = [signing.public_key(REAL_KEY)]

    for member in message:
        assert not signing.is_genuine({**message, member: message[member] + "1"}, keys, sign_types={"RSA"})
        assert not signing.is_genuine({**message, member: ""}, keys, sign_types={"RSA"})


@pytest.mark.parametrize("name", REAL_MESSAGES)
def test_without_a_library_that_knows_md5_signatures_are_compared_by_hand(name, monkeypatch):
    text, signature = REAL_MESSAGES[name]
    given, key = base64.b64decode(signature), signing.public_key(REAL_KEY)

    assert signing.verify_md5_by_hand(text.encode(), given, key)
    assert not signing.verify_md5_by_hand(text.encode() + b" ", given, key)
    assert not signing.verify_md5_by_hand(text.encode(), given[:-1] + bytes([given[-1] ^ 1]), key)
    assert not signing.verify_md5_by_hand(text.encode(), b"\x00" + given, key)
    assert not signing.verify_md5_by_hand(text.encode(), b"\xff" * len(given), key), "larger than the modulus"


class WithoutMd5:
    """A key of a hardened library."""

    def __init__(self, key: Any) -> None:
        self.key_size, self.public_numbers = key.key_size, key.public_numbers

    def verify(self, *_: object) -> None:
        raise UnsupportedAlgorithm("no MD5")


def test_a_hardened_library_still_verifies():
    text, signature = REAL_MESSAGES["R1"]
    key: Any = WithoutMd5(signing.public_key(REAL_KEY))

    assert signing.verify(text, signature, key, sign_type="RSA")
    assert not signing.verify(text + "x", signature, key, sign_type="RSA")
    assert not signing.verify(text, signature, key, sign_type="SHA256withRSA")


def test_a_digest_at_the_end_of_another_padding_is_no_signature():
    """Bleichenbacher's forgery: the right digest in a block that is not padded to its full length."""
    text, key = "a=1", THEIR_KEY
    info = signing.MD5_DIGEST_INFO + hashlib.md5(text.encode()).digest()
    size, numbers = key.key_size // 8, key.private_numbers()
    for block in (
        b"\x00\x01\xff\x00" + info + b"\x07" * (size - len(info) - 4),
        b"\x00\x02" + b"\xff" * (size - len(info) - 3) + b"\x00" + info,
        b"\x00\x01" + b"\xff" * (size - len(info) - 4) + b"\x00\x00" + info,
    ):
        forged = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
        assert not signing.verify_md5_by_hand(text.encode(), forged, key.public_key())
        assert not signing.verify(text, base64.b64encode(forged).decode(), key.public_key(), sign_type="RSA")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"b": "2", "a": "1"}, "a=1&b=2"),
        ({"a": "", "b": None, "c": "0", "d": 0, "e": 30}, "c=0&d=0&e=30"),
        ({"a": "x", "sign": "y"}, "a=x"),
        ({"a": [1], "b": {"c": 1}, "d": "1"}, "d=1"),
        ({"a_b": "1", "a1": "2", "aa": "3"}, "a1=2&a_b=1&aa=3"),
        ({"url": "https://x.test/?a=1&b=%20 ü"}, "url=https://x.test/?a=1&b=%20 ü"),
        ({"risk_item": '{"a":"b"}'}, 'risk_item={"a":"b"}'),
        ({"flag": True, "other": False}, "flag=true&other=false"),
    ],
)
def test_what_is_signed(fields, text):
    assert signing.canonical(fields) == text


def test_numbers_in_a_message_are_signed_as_they_were_written():
    message = signing.parse(b'{"a":1.50,"b":30,"c":1e5,"d":' + b"9" * 6000 + b"}")

    assert signing.canonical(message) == "a=1.50&b=30&c=1e5&d=" + "9" * 6000


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"7", b'"a"', b"{", b"\xff\xfe", b"NaN", b'{"a":NaN}', b'{"a":-Infinity}'),
        *(b'{"a":1,"a":2}', b"[" * 60_000, b'{"a":' * 60_000, b'{"a":"\n"}'),
    ],
)
def test_what_is_no_message(body):
    with pytest.raises(ValueError, match=r"."):
        signing.parse(body)


@given(st.dictionaries(st.text("abc_1", min_size=1), st.one_of(st.none(), st.text(), st.integers(0))))
def test_both_sides_sign_the_same_text(fields):
    assert signing.canonical(fields) == their_canonical(fields)


@pytest.mark.parametrize("sign_type", ["MD5", "md5", "", "RSA ", "SHA1withRSA", "none", "SHA256withRSA"])
def test_a_sign_type_that_is_not_used_proves_nothing(sign_type):
    message = {"a": "1", "sign_type": sign_type}
    message["sign"] = md5_with_rsa(their_canonical(message), THEIR_KEY)

    assert not signing.is_genuine(message, [THEIR_KEY.public_key()], sign_types={"RSA"})


def test_a_plain_md5_with_a_shared_secret_is_refused():
    text = f"money_order=31.68&no_order={OURS}&oid_partner={MERCHANT}&sign_type=MD5"
    message = {**fields_of(text), "sign": hashlib.md5(f"{text}&key=secret".encode()).hexdigest()}

    with pytest.raises(BadSignature):
        provider(Canned(b"")).verify_webhook(raw_delivery(compact(message)))


@pytest.mark.parametrize("spelling", ["SHA256withRSA", "SHA256WITHRSA", "sha256withrsa"])
def test_the_name_of_a_sign_type_is_signed_as_it_is_spelled(spelling):
    message = {"a": "1", "sign_type": spelling}
    message["sign"] = signing.sign(f"a=1&sign_type={spelling}", THEIR_KEY, sign_type="SHA256withRSA")

    assert signing.is_genuine(message, [THEIR_KEY.public_key()], sign_types={"SHA256withRSA"})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sign: sign + "\n",
        lambda sign: " " + sign,
        lambda sign: sign[:40] + "\n" + sign[40:],
        lambda sign: sign.rstrip("="),
        lambda sign: sign.replace("=", ""),
        lambda sign: sign[:-2] + chr(ord(sign[-2]) + 1) + "=",
        lambda sign: sign + "=",
        lambda sign: "",
        lambda sign: None,
        lambda sign: 7,
        lambda sign: [sign],
        lambda sign: "é" * 172,
        lambda sign: base64.b64encode(b"\x00" + base64.b64decode(sign)).decode(),
        lambda sign: "A" * 100_000,
    ],
)
def test_a_signature_is_written_in_one_way_only(spoil):
    message = signed({"no_order": OURS})
    assert signing.is_genuine(message, [THEIR_KEY.public_key()], sign_types={"RSA"})

    message["sign"] = spoil(message["sign"])
    assert not signing.is_genuine(message, [THEIR_KEY.public_key()], sign_types={"RSA"})


# ------------------------------------------------------------------------------------------------------- configuration

SPELLINGS = [
    ("PEM", "PKCS8", "SubjectPublicKeyInfo"),
    ("PEM", "TraditionalOpenSSL", "PKCS1"),
    ("DER", "PKCS8", "SubjectPublicKeyInfo"),
    ("DER", "TraditionalOpenSSL", "PKCS1"),
]


@pytest.mark.parametrize(("encoding", "private", "public"), SPELLINGS)
def test_keys_may_be_pasted_in_any_spelling(encoding, private, public):
    ours, theirs = (
        private_text(OUR_KEY, form=private, encoding=encoding),
        public_text(THEIR_KEY, form=public, encoding=encoding),
    )
    http = Script(easypay=yes(token=TOKEN))
    provider(http, merchant_private_key=ours, provider_public_key=theirs).start(ask())

    assert http.last["sign"] == md5_with_rsa(their_canonical(http.last), OUR_KEY)


def test_a_bare_key_may_be_broken_into_lines():
    text = private_text(OUR_KEY, encoding="DER")

    assert config(merchant_private_key="\n".join(text[at : at + 64] for at in range(0, len(text), 64)) + "\n")


@pytest.mark.parametrize("bits", [1024, 2048])
def test_keys_of_their_sizes_are_accepted(bits):
    key = new_key(bits)

    assert config(merchant_private_key=private_text(key), provider_public_key=public_text(key))


NO_KEYS = [
    "",
    "secret",
    "-----BEGIN PRIVATE KEY-----\nnope\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\nnope\n-----END PUBLIC KEY-----",
    base64.b64encode(b"no key at all").decode(),
    private_text(ec.generate_private_key(ec.SECP256R1())),
    public_text(ec.generate_private_key(ec.SECP256R1())),
]


@pytest.mark.parametrize("field", ["merchant_private_key", "provider_public_key", "provider_public_key_previous"])
@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_key_is_refused_by_the_name_of_its_field(field, text):
    if field == "provider_public_key_previous" and not text:
        assert config(provider_public_key_previous="")
        return
    with pytest.raises(ValueError, match=field) as caught:
        config(**{field: text})

    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)


def test_keys_in_each_others_place_are_refused():
    with pytest.raises(ValueError, match="merchant_private_key"):
        config(merchant_private_key=public_text(OUR_KEY))
    with pytest.raises(ValueError, match="provider_public_key"):
        config(provider_public_key=private_text(THEIR_KEY))


def test_an_encrypted_key_is_refused():
    text = OUR_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    ).decode()

    with pytest.raises(ValueError, match="merchant_private_key"):
        config(merchant_private_key=text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("oid_partner", ""),
        ("oid_partner", "shop"),
        ("oid_partner", "1" * 19),
        ("oid_partner", "２０１３"),
        ("ware_category", ""),
        ("ware_category", "209"),
        ("ware_category", "20090"),
        ("sign_type", "MD5"),
        ("sign_type", "rsa"),
        ("busi_partner", "101002"),
        ("risk_extras", "[]"),
        ("risk_extras", "{"),
        ("risk_extras", '{"a":1,"a":2}'),
        ("risk_extras", "null"),
        ("query_url", "queryapi.lianlianpay.com"),
        ("query_url", "ftp://x.test"),
        ("cashier_url", "https://"),
        ("cashier_url", "https://["),
        ("h5_url", "https://x.test/?a=b"),
        ("refund_path", "refund.htm"),
        ("pay_type_credit", "F"),
        ("expiry_format", "MM/YY"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(field, value):
    with pytest.raises(ValueError, match=field):
        config(**{field: value})


def test_a_machine_without_md5_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(signing, "can_sign", lambda key, sign_type: sign_type != "RSA")

    with pytest.raises(ValueError, match="OpenSSL"):
        config()


def test_whether_a_machine_can_sign_is_tried(monkeypatch):
    key = private_text(new_key())
    monkeypatch.setattr(signing, "sign", Mock(side_effect=UnsupportedAlgorithm("no MD5")))

    assert not signing.can_sign(key, "RSA")
    assert signing.can_sign(private_text(OUR_KEY), "RSA"), "known from before"


@pytest.mark.parametrize(
    ("base", "changes", "places"),
    [
        (
            "https://traderapi.lianlianpay.com",
            {},
            {
                "query": "https://queryapi.lianlianpay.com",
                "cashier": "https://payment.lianlianpay.com",
                "h5": "https://wap.lianlianpay.com",
            },
        ),
        (
            "http://127.0.0.1:9000/lianlian/",
            {},
            dict.fromkeys(("query", "cashier", "h5"), "http://127.0.0.1:9000/lianlian"),
        ),
        (
            "https://traderapi.lianlianpay.com",
            {"query_url": "https://q.test/", "cashier_url": "https://c.test/x", "h5_url": "https://h.test"},
            {"query": "https://q.test", "cashier": "https://c.test/x", "h5": "https://h.test"},
        ),
        ("https://traderapi.lianlianpay.com.evil.test", {}, {"query": "https://traderapi.lianlianpay.com.evil.test"}),
    ],
)
def test_where_its_hosts_are(base, changes, places):
    http = Script(base, easypay=yes(token=TOKEN), orderquery=found("WAITING"))
    one = provider(http, **changes)
    one.start(ask())
    one.fetch(ref())
    pages = {
        "cashier": one.start(ask(method="cashier", card=None)).step.url,
        "h5": one.start(ask(method="cashier", card=None, browser=Browser(is_mobile=True))).step.url,
    }

    assert http.sent[0][0] == f"{base.rstrip('/')}/easypay.htm"
    assert http.sent[1][0] == f"{places['query']}/orderquery.htm"
    assert pages["cashier"] == f"{places.get('cashier', base)}/payment/traveleasypay.htm"
    assert pages["h5"] == f"{places.get('h5', base)}/travlepay.htm"


# ------------------------------------------------------------------------------------------------------------ applying


def test_an_application_is_what_the_reference_shows():
    (sample,) = recordings("lianlian", "request")
    http = Script(easypay=yes(token=TOKEN))
    provider(http).start(ask())

    assert {name: value for name, value in http.last.items() if name != "sign"} == sample.sent
    assert http.last["sign"] == md5_with_rsa(their_canonical(http.last), OUR_KEY)


def test_an_application_is_sent_as_json_without_empty_members():
    http = Canned(compact(yes(token=TOKEN)))
    provider(http).start(ask())
    (sent,) = http.requests

    assert (sent.method, sent.path) == ("POST", "/easypay.htm")
    assert sent.headers == {"Content-Type": "application/json;charset=utf-8"}
    assert HOLDER.encode() in sent.body
    assert all(value not in (None, "") for value in json.loads(sent.body).values())


def applied(*, settings: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    http = Script(easypay=yes(token=TOKEN))
    provider(http, **(settings or {})).start(ask(**changes))
    return http.last


def risk_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(sent["risk_item"])


@pytest.mark.parametrize(
    ("changes", "settings", "members"),
    [
        ({"card": CREDIT_CARD}, {}, {"vali_date": "3109", "cvv2": "917", "pay_type": "M"}),
        ({"card": CREDIT_CARD}, {"expiry_format": "MMYY"}, {"vali_date": "0931"}),
        ({"card": CREDIT_CARD}, {"pay_type_credit": "N"}, {"pay_type": "N"}),
        ({}, {"pay_type_credit": "N"}, {"pay_type": "M", "vali_date": None, "cvv2": None}),
        ({"capture": "manual", "card": CREDIT_CARD}, {"pay_type_credit": "N"}, {"pay_type": "F"}),
        ({}, {"busi_partner": "109001"}, {"busi_partner": "109001"}),
        ({"browser": Browser(is_mobile=True)}, {}, {"client_chnl": "16"}),
        ({"expires_in": 3600}, {}, {"valid_order": 60}),
        ({"expires_in": 30}, {}, {"valid_order": 1}),
        ({"expires_in": 7 * 24 * 3600}, {}, {"valid_order": 10080}),
        ({"payer": ""}, {}, {"user_id": OURS}),
        ({"payer": "x" * 33}, {}, {"user_id": OURS}),
        ({"description": "a" * 50}, {}, {"name_goods": "a" * 40}),
        ({"description": "两\nlines\x00 "}, {}, {"name_goods": "两 lines"}),
        ({"description": " "}, {}, {"name_goods": OURS}),
        ({"description": "NULL"}, {}, {"name_goods": OURS}),
        ({"description": "\udcff"}, {}, {"name_goods": OURS}),
        ({"amount": Money(1, "CNY")}, {}, {"money_order": "0.01"}),
        ({"amount": Money(10_000_000_000, "CNY")}, {}, {"money_order": "100000000.00"}),
        ({"created_at": datetime(2024, 12, 31, 16, 0, 1, tzinfo=UTC)}, {}, {"dt_order": "20250101000001"}),
        ({"card": dataclasses.replace(CARD, phone="+86 138-0000-0000")}, {}, {"bind_mob": PHONE}),
        ({"card": dataclasses.replace(CARD, phone="0086138 0000 0000")}, {}, {"bind_mob": PHONE}),
        ({"card": dataclasses.replace(CARD, id_number=" 11010519491231002x")}, {}, {"id_no": ID_NUMBER}),
        ({"card": dataclasses.replace(CARD, holder=" 张 三\n")}, {}, {"acct_name": "张 三"}),
    ],
)
def test_what_an_application_says(changes, settings, members):
    sent = applied(settings=settings, **changes)

    assert {name: sent.get(name) for name in members} == members


def test_a_saved_card_goes_alone():
    sent = applied(stored=StoredCard(AGREEMENT, cvc="917"), card=None)

    assert sent["no_agree"] == AGREEMENT
    assert not sent.keys() & {"card_no", "acct_name", "bind_mob", "id_type", "id_no", "vali_date", "cvv2"}
    assert not risk_of(sent).keys() & {"user_info_full_name", "user_info_id_no"}


def test_risk_control_hears_when_the_payer_registered():
    assert risk_of(applied())["user_info_dt_register"] == "20230101000000"
    assert risk_of(applied(customer=Customer()))["user_info_dt_register"] == "20240115103000", "a guest registers now"


def test_risk_control_hears_of_a_parcel():
    customer = Customer(name="李四", phone="13900000000", ip="203.0.113.9")
    goods = {
        "customer": customer,
        "shipping": Address(city="杭州", region="浙江"),
        "items": (Item("a", 2, 100), Item("b", 1, 200)),
    }
    risk = risk_of(applied(settings={"busi_partner": "109001"}, **goods))

    assert {name: value for name, value in risk.items() if name.startswith(("delivery", "goods_count"))} == {
        "delivery_full_name": "李四",
        "delivery_phone": "13900000000",
        "delivery_addr_province": "浙江",
        "delivery_addr_city": "杭州",
        "goods_count": "3",
    }
    assert "delivery_addr_city" not in risk_of(applied(**goods)), "virtual goods are not delivered"


def test_the_merchant_adds_to_what_risk_control_hears():
    extras = {"logistics_mode": "2", "airline_list": [{"a": "b"}], "user_info_identify_state": "1"}
    risk = risk_of(applied(settings={"risk_extras": json.dumps(extras)}))

    assert {name: risk[name] for name in extras} == extras


def test_risk_item_is_compact_and_signed_as_it_stands():
    sent = applied()

    assert sent["risk_item"] == json.dumps(risk_of(sent), ensure_ascii=False, separators=(",", ":"))
    assert "测试商品" in sent["risk_item"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Money(100, "USD")}, "currency"),
        ({"amount": Money(0, "CNY")}, "amount"),
        ({"amount": Money(10_000_000_001, "CNY")}, "amount"),
        ({"webhook_url": "https://x.test/" + "a" * 120}, "notify_url"),
        ({"created_at": None}, "created_at"),
        ({"created_at": datetime(2024, 1, 15)}, "created_at"),
        ({"reference": "x" * 33}, "reference"),
        ({"reference": "a b"}, "reference"),
        ({"reference": ""}, "reference"),
        ({"method": "card", "card": None}, "method"),
        ({"method": "alipay"}, "method"),
        ({"method": "cashier", "created_at": None}, "created_at"),
    ],
)
def test_what_cannot_be_asked_for_is_rejected_before_anything_is_sent(changes, code):
    http = Script()
    with pytest.raises(Rejected) as caught:
        provider(http).start(ask(**changes))

    assert caught.value.code == code
    assert not http.sent


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": "123"}, "number"),
        ({"number": "6222 0200"}, "number"),
        ({"number": "٦" * 16}, "number"),
        ({"holder": " "}, "holder"),
        ({"phone": ""}, "phone"),
        ({"phone": "23800000000"}, "phone"),
        ({"phone": "+1 212 555 0100"}, "phone"),
        ({"id_number": ""}, "id_number"),
        ({"id_number": "1101051949123100X2"}, "id_number"),
        ({"id_number": "1" * 16}, "id_number"),
        ({"cvc": "12"}, "cvc"),
        ({"cvc": "1234"}, "cvc"),
        ({"expiry_month": 12, "expiry_year": 31}, "expiry"),
        ({"expiry_month": 0, "expiry_year": 2031}, "expiry"),
    ],
)
def test_a_mistyped_card_is_a_no_before_anything_is_sent(changes, field):
    http = Script()
    started = provider(http).start(ask(card=dataclasses.replace(CARD, **changes)))

    assert started.report.status is Status.FAILED
    assert started.report.decline == Decline(DeclineCategory.INVALID_CARD, field)
    assert not http.sent


@pytest.mark.parametrize("id_number", ["1" * 15, "1" * 18, ID_NUMBER])
def test_old_and_new_identity_numbers_are_taken(id_number):
    assert applied(card=dataclasses.replace(CARD, id_number=id_number))["id_no"] == id_number


def start(answer: Any, **changes: Any) -> Started:
    return provider(Script(easypay=answer)).start(ask(**changes))


@pytest.mark.parametrize("code", ["0000", "8888"])
def test_a_token_asks_for_the_code(code):
    started = start(yes(ret_code=code, token=TOKEN))

    assert started.step == EnterCode(TOKEN, "138****0000")
    assert started.report.status is Status.PENDING
    assert started.report.provider_reference == THEIRS


def test_an_order_that_waits_waits_for_the_code():
    assert start(found("WAITING", token=TOKEN)).step == EnterCode(TOKEN, "138****0000")
    assert submit(found("WAITING", token=TOKEN)).step == EnterCode(TOKEN, problem=CodeProblem.ANOTHER)


@pytest.mark.parametrize("word", ["SUCCESS", "PROCESSING", "FAILURE"])
def test_once_there_is_a_result_no_code_is_asked_for(word):
    assert start(found(word, token=TOKEN)).step == submit(found(word, token=TOKEN)).step == Wait()


def test_of_a_saved_card_the_phone_is_not_known():
    assert start(yes(token=TOKEN), card=None, stored=StoredCard(AGREEMENT)).step == EnterCode(TOKEN)


def test_without_sms_the_answer_has_the_result():
    started = start(found("SUCCESS", no_agree=AGREEMENT))

    assert started.step == Wait()
    assert (started.report.status, started.report.captured) == (Status.CAPTURED, 3168)
    assert started.report.token == AGREEMENT


@pytest.mark.parametrize("word", ["SUCCESS", "REFUND"])
def test_a_hold_that_succeeded_is_not_captured(word):
    for more in ({"capture": "manual"}, {}):
        answer = found(word) if more else found(word, pay_type="F")
        started = start(answer, **more)
        assert started.report.status is Status.PENDING
        assert not started.report.captured
        assert not started.report.authorised


def test_a_granted_hold_is_authorised():
    started = start(found("APPLY_SUCCESS"), capture="manual")

    assert (started.report.status, started.report.authorised, started.report.captured) == (
        Status.AUTHORISED,
        3168,
        None,
    )


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (yes(), "no_result"),
        (yes(token=""), "no_result"),
        (yes(token="\n" + TOKEN), "no_result"),
        (yes(ret_code="8888"), "8888"),
        (yes(ret_code="2003"), "2003"),
        (yes(token=TOKEN, no_order="another"), "other_order"),
        (found("SUCCESS", no_order="another"), "other_order"),
        (found("SUCCESS", money_order=""), "no_amount"),
        (found("SUCCESS", money_order="0.00"), "no_amount"),
        (found("SUCCESS", money_order="-1"), "amount_unreadable"),
        (found("SUCCESS", money_order="1,000.00"), "amount_unreadable"),
        (found("SUCCESS", money_order="1.005"), "amount_unreadable"),
        (found("SUCCESS", currency_order="yuan"), "amount_unreadable"),
        (without(found("SUCCESS"), "money_order"), "no_amount"),
        (signed({"ret_code": "0000", "oid_partner": "201304121000001005", "token": TOKEN}), "other_merchant"),
        (signed({"ret_code": "0000", "token": TOKEN}, FOREIGN_KEY), "bad_signature"),
        ({**yes(token=TOKEN), "token": "another"}, "bad_signature"),
        ({**yes(token=TOKEN), "sign": ""}, "unsigned"),
        ({"ret_code": "0000", "token": TOKEN}, "unsigned"),
        ({"ret_code": "6001"}, "unsigned"),
        ({"ret_code": "1001"}, "unsigned"),
        ({"ret_code": "3001"}, "unsigned"),
        (signed({"ret_code": 0}), "unreadable"),
        (signed({"ret_code": "00000"}), "unreadable"),
        (signed({"ret_msg": "x"}), "unreadable"),
    ],
)
def test_an_answer_that_is_not_good_enough_leaves_the_outcome_unknown(answer, code):
    with pytest.raises(OutcomeUnknown) as caught:
        start(answer)

    assert caught.value.code == code


def test_another_currency_is_reported_as_such():
    assert start(found("SUCCESS", currency_order="USD")).report.amount == Money(3168, "USD")


def test_another_amount_is_reported_as_such():
    assert start(found("SUCCESS", money_order="31.6")).report.amount == Money(3160, "CNY")


def test_a_forged_answer_is_loud(caplog):
    with pytest.raises(OutcomeUnknown):
        start(signed({"ret_code": "0000", "token": TOKEN}, FOREIGN_KEY))

    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.getMessage() == "lianlian_answer_forged path=/easypay.htm ret_code=0000"


@pytest.mark.parametrize("status_code", [201, 302, 400, 401, 403, 404, 429, 500, 502])
def test_any_other_http_status_leaves_the_outcome_unknown(status_code):
    with pytest.raises(OutcomeUnknown) as caught:
        provider(Canned(compact(yes(token=TOKEN)), status_code)).start(ask())

    assert caught.value.code == f"http_{status_code}"


# -------------------------------------------------------------------------------------------------------- return codes

TABLE = {
    Action.OK: "0000 8888 2003",
    Action.CODE: "1900 8110 9700",
    Action.NEW: "1000 1901 1902 6002 9701 9702 9703",
    Action.FIX: (
        "7777 1100 1102 1103 1108 1109 1112 1113 1114 1115 1200 1805 9912 3003 3011 3006 3007 8000 3009 9913 5001 5505"
        " 5601 7018 8099 9907"
    ),
    Action.FAIL: "1005 1014 1016 1019 9911 1101 1105 1110 1104 1106 1107 1111 2006 6001 9094 9910",
    Action.ASK: ("1002 9983 1003 1007 2004 2005 2007 2008 5005 9920 8117 8901 9093 9902 9903 9990 9991 9999"),
    Action.WAIT: "0106 1006 9091 1201 1202 3002 3004 4000 5006 6601 9000 9970 9704 9921",
    Action.CFG: ("1001 1004 1008 1009 1012 9002 9901 3001 3010 4005 4007 5002 5003 5004 5007 5008 5504 7017 9092"),
    Action.NONE: (
        "3005 3008 4001 4002 4003 4004 5501 5502 5503 5506 9104 7001 7119 8001 8002 8003 8006 8010 8101 8102 8103 8104"
        " 8105 8106 8107 8108 8109 8111 8112 8113 8114 8115 8116 8911"
    ),
}
"""The documentation's return codes, by what a client does about each."""
ROWS = [(code, action) for action, codes in TABLE.items() for code in codes.split()]


def test_every_documented_code_has_its_meaning():
    assert {code: meaning.action for code, meaning in mapping.CODES.items()} == dict(ROWS)


def test_a_code_that_ends_in_a_no_has_a_category_and_no_other_has():
    ending = {Action.CODE, Action.NEW, Action.FIX, Action.FAIL, Action.WAIT}

    assert {code for code, one in mapping.CODES.items() if one.category} == {
        code for code, action in ROWS if action in ending
    }


@pytest.mark.parametrize(("code", "action"), [*ROWS, ("4711", Action.ASK), ("ABCD", Action.ASK)])
def test_a_code_as_the_answer_to_an_application(code, action):
    if action in {Action.CODE, Action.NEW, Action.FIX, Action.FAIL, Action.WAIT}:
        started = start(no(code))
        assert started.report.status is (Status.EXPIRED if code == "2006" else Status.FAILED)
        assert started.report.decline == Decline(mapping.CODES[code].category, code)
        assert started.step == Wait()
    else:
        with pytest.raises(Rejected if action is Action.CFG else OutcomeUnknown) as caught:
            start(no(code))
        assert caught.value.code in {code, "no_result"}


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("6001", "insufficient_funds"),
        ("1019", "limit_exceeded"),
        ("1103", "invalid_card"),
        ("1108", "authentication_failed"),
        ("1101", "declined"),
        ("9910", "fraud"),
        ("9000", "unavailable"),
        ("1107", "not_permitted"),
        ("1902", "authentication_required"),
    ],
)
def test_a_category_of_a_no(code, category):
    assert start(no(code)).report.decline.category == category


def test_an_unlisted_code_is_logged(caplog):
    with pytest.raises(OutcomeUnknown):
        start(no("4711"))

    assert "lianlian_code_unknown path=/easypay.htm ret_code=4711" in caplog.messages


# ------------------------------------------------------------------------------------------------------------ the page


def page(*, settings: Mapping[str, Any] | None = None, **changes: Any) -> PostForm:
    http = Script()
    with time_machine.travel(datetime(2024, 1, 15, 2, 31, tzinfo=UTC), tick=False):
        started = provider(http, **(settings or {})).start(ask(method="cashier", card=None, **changes))

    assert started.report == PaymentReport(reference=OURS, status=Status.PENDING)
    assert not http.sent, "the browser is the first to ask"
    return started.step


def test_a_card_that_was_typed_in_goes_to_no_page():
    for mobile in (False, True):
        step = provider(Script()).start(ask(method="cashier", card=CREDIT_CARD, browser=Browser(is_mobile=mobile))).step
        text = json.dumps(dict(step.fields), ensure_ascii=False)

        assert not [one for one in (NUMBER, HOLDER, ID_NUMBER, PHONE, '"917"') if one in text]


def test_the_web_page_gets_its_fields_signed():
    step = page()
    fields = dict(step.fields)

    assert step.url == "https://provider.test/payment/traveleasypay.htm"
    assert fields.pop("sign") == md5_with_rsa(their_canonical(fields), OUR_KEY)
    assert json.loads(fields.pop("risk_item")) == {
        "frms_ware_category": "2009",
        "user_info_mercht_userno": "U1001",
        "user_info_dt_register": "20230101000000",
        "goods_name": "测试商品",
    }
    assert fields == {
        "version": "1.0",
        "oid_partner": MERCHANT,
        "user_id": "U1001",
        "sign_type": "RSA",
        "timestamp": "20240115103100",
        "busi_partner": "101001",
        "no_order": OURS,
        "dt_order": "20240115103000",
        "name_goods": "测试商品",
        "money_order": "31.68",
        "notify_url": HOOK,
        "valid_order": "30",
        "pay_type": "M",
        "userreq_ip": "203_0_113_9",
        "url_return": "https://pay.example.test/return/x",
    }


def test_a_phone_gets_the_h5_page():
    step = page(browser=Browser(is_mobile=True))
    fields = json.loads(step.fields["req_data"])

    assert step.url == "https://provider.test/travlepay.htm"
    assert set(step.fields) == {"req_data"}
    assert fields["sign"] == md5_with_rsa(their_canonical(fields), OUR_KEY)
    assert (fields["app_request"], fields["syschnotify_flag"], fields["valid_order"]) == ("3", "1", 30)
    assert not fields.keys() & {"userreq_ip", "url_order"}


def test_pages_are_signed_with_rsa_whatever_the_account_chose():
    assert page(settings={"sign_type": "SHA256withRSA"}).fields["sign_type"] == "RSA"


def test_a_hold_on_the_page():
    assert page(capture="manual").fields["pay_type"] == "F"


def test_a_saved_card_on_the_page():
    assert page(stored=StoredCard(AGREEMENT)).fields["no_agree"] == AGREEMENT


@pytest.mark.parametrize(
    ("ip", "text"),
    [("122.11.37.211", "122_11_37_211"), ("2001:db8::1", "2001_db8__1"), ("", "127_0_0_1"), ("f" * 60, "f" * 32)],
)
def test_the_address_on_the_page(ip, text):
    assert page(customer=Customer(ip=ip)).fields["userreq_ip"] == text


def test_a_return_url_that_is_too_long_is_left_out(caplog):
    assert "url_return" not in page(return_url="https://x.test/" + "a" * 120).fields
    assert f"lianlian_return_url_too_long reference={OURS}" in caplog.messages


def test_a_page_survives_being_written_into_html():
    fields = page(description='a"><b>&').fields

    assert all(isinstance(value, str) for value in fields.values())
    assert '"><b>' not in escape(fields["name_goods"])


# ---------------------------------------------------------------------------------------------------------- the code


def submit(answer: Any, *, code: str = "123456", settings: Mapping[str, Any] | None = None, **changes: Any) -> Started:
    http = Script(easypayverify=answer)
    return provider(http, **(settings or {})).submit_code(ref(**changes), handle=TOKEN, code=code)


def test_a_code_is_handed_in():
    http = Script(easypayverify=found("SUCCESS"))
    provider(http).submit_code(ref(), handle=TOKEN, code="123456")

    assert {name: value for name, value in http.last.items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "no_order": OURS,
        "dt_order": "20240115103000",
        "money_order": "31.68",
        "token": TOKEN,
        "verify_code": "123456",
    }
    assert http.last["sign"] == md5_with_rsa(their_canonical(http.last), OUR_KEY)


def test_an_answer_that_lianlian_really_gave():
    """Vector R1, with nothing changed: their own key, merchant and order."""
    text, signature = REAL_MESSAGES["R1"]
    http = Script(easypayverify={**fields_of(text), "sign": signature})
    real = provider(http, oid_partner="201310102000003524", provider_public_key=REAL_KEY)
    order = ref(reference="20150911145230172", amount=Money(1, "CNY"), provider_reference="")
    report = real.submit_code(order, handle=TOKEN, code="123456").report

    assert (report.status, report.captured, report.amount) == (Status.CAPTURED, 1, Money(1, "CNY"))
    assert (report.provider_reference, report.token) == ("2015091100334077", "2015090900197005")


@pytest.mark.parametrize(
    ("code", "problem", "handle"),
    [
        *((code, CodeProblem.WRONG, TOKEN) for code in ("1900", "9700", "8110")),
        *((code, CodeProblem.EXPIRED, "") for code in ("1901", "9703")),
        *((code, CodeProblem.LOCKED, "") for code in ("1000", "9701", "9702")),
    ],
)
def test_what_was_wrong_with_a_code(code, problem, handle):
    started = submit(no(code))

    assert started.step == EnterCode(handle, problem=problem)
    assert started.report == PaymentReport(reference=OURS, status=Status.PENDING)


@pytest.mark.parametrize("code", ["", " ", "12345 ", "1234567", "12-45", "１２３４５６", "12\x0045"])
def test_what_can_be_no_code_is_wrong_without_a_call(code):
    http = Script()
    started = provider(http).submit_code(ref(), handle=TOKEN, code=code)

    assert started.step == EnterCode(TOKEN, problem=CodeProblem.WRONG)
    assert not http.sent


@pytest.mark.parametrize("code", ["8888", "0000"])
def test_a_further_code_is_asked_for(code):
    another = "f" * 32

    assert submit(yes(ret_code=code, token=another)).step == EnterCode(another, problem=CodeProblem.ANOTHER)


def test_a_further_code_for_the_same_token():
    assert submit(yes(ret_code="8888")).step == EnterCode(TOKEN, problem=CodeProblem.ANOTHER)


@pytest.mark.parametrize(
    ("word", "status", "captured"),
    [
        ("SUCCESS", Status.CAPTURED, 3168),
        ("PROCESSING", Status.PENDING, None),
        ("WAITING", Status.PENDING, None),
        ("FAILURE", Status.FAILED, None),
        ("APPLY_SUCCESS", Status.AUTHORISED, None),
        ("SOMETHING", Status.PENDING, None),
    ],
)
def test_what_a_code_led_to(word, status, captured):
    started = submit(found(word))

    assert started.step == Wait()
    assert (started.report.status, started.report.captured) == (status, captured)


def test_a_code_for_a_hold_captures_nothing():
    report = submit(found("SUCCESS"), capture="manual").report

    assert (report.status, report.captured, report.authorised) == (Status.PENDING, None, None)


@pytest.mark.parametrize(("code", "action"), [*ROWS, ("4711", Action.ASK)])
def test_a_code_of_the_table_as_the_answer_to_an_sms_code(code, action):
    if code in mapping.CODE_PROBLEMS or code == "8888":
        assert submit(no(code)).step.problem
    elif action in {Action.FIX, Action.FAIL, Action.NEW, Action.WAIT}:
        report = submit(no(code)).report
        assert report.status is (Status.EXPIRED if code == "2006" else Status.FAILED)
        assert report.decline == Decline(mapping.CODES[code].category, code)
    else:
        with pytest.raises(Rejected if action is Action.CFG else OutcomeUnknown):
            submit(no(code))


@pytest.mark.parametrize("answer", [{"ret_code": "1900"}, {"ret_code": "1005"}, {"ret_code": "1001"}, yes()])
def test_after_an_answer_that_proves_nothing_a_code_is_not_judged(answer):
    with pytest.raises(OutcomeUnknown):
        submit(answer)


def test_a_time_out_after_a_code_leaves_the_outcome_unknown():
    with pytest.raises(OutcomeUnknown):
        submit(OutcomeUnknown("x", code="read_timeout"))


@pytest.mark.parametrize("call", ["apply", "verify"])
def test_application_and_code_are_signed_as_the_account_chose(call):
    http = Script(easypay=yes(token=TOKEN), easypayverify=found("SUCCESS"))
    one = provider(http, sign_type="SHA256withRSA")
    one.start(ask()) if call == "apply" else one.submit_code(ref(), handle=TOKEN, code="123456")
    sent = http.last

    assert sent["sign_type"] == "SHA256withRSA"
    assert signing.verify(their_canonical(sent), sent["sign"], OUR_KEY.public_key(), sign_type="SHA256withRSA")


def test_every_other_call_is_signed_with_rsa():
    http = Script(orderquery=found("WAITING"))
    provider(http, sign_type="SHA256withRSA").fetch(ref())

    assert http.last["sign_type"] == "RSA"


# ----------------------------------------------------------------------------------------------------------- the truth


def fetch(order: Any, holding: Any = None, **changes: Any) -> PaymentReport:
    http = Script(orderquery=order, **({"preauthquery": holding} if holding else {}))
    report = provider(http).fetch(ref(**changes))
    assert http.paths == ["orderquery", "preauthquery"][: len(http.sent)]
    return report


def test_an_order_is_asked_about_by_our_numbers():
    http = Script(orderquery=found("WAITING"))
    provider(http).fetch(ref())

    assert {name: value for name, value in http.last.items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "no_order": OURS,
        "dt_order": "20240115103000",
    }


@pytest.mark.parametrize("word", ["", "NEVER_HEARD_OF", "success"])
def test_an_unknown_state_ends_nothing(word, caplog):
    report = fetch(found(word))

    assert report.status is Status.PENDING
    assert f"lianlian_state_unknown reference={OURS}" in caplog.messages


@pytest.mark.parametrize("code", ["8901", "9093", "5002"])
def test_an_order_that_they_do_not_know(code):
    report = fetch(no(code))

    assert report.absent
    assert report.status is None


@pytest.mark.parametrize("code", ["8901", "9093", "5002", "2006", "0000", "9999"])
def test_an_unsigned_answer_to_a_query_says_nothing(code):
    with pytest.raises(OutcomeUnknown):
        fetch({"ret_code": code})


@pytest.mark.parametrize(
    ("code", "action"), [row for row in ROWS if row[0] not in {"0000", "2006", "8901", "9093", "5002"}]
)
def test_a_code_as_the_answer_to_a_query(code, action):
    with pytest.raises(Rejected if action is Action.CFG else OutcomeUnknown) as caught:
        fetch(no(code))

    assert caught.value.code == code


@pytest.mark.parametrize("code", ["1001", "1012", "3001", "1008"])
def test_an_unsigned_word_about_our_query_is_believed(code):
    with pytest.raises(Rejected) as caught:
        fetch({"ret_code": code, "ret_msg": "x"})

    assert caught.value.code == code


@pytest.mark.parametrize(
    "members", [{}, {"memo": "余额不足", "bank_name": "工商银行", "card_no": "622208*********0000"}]
)
def test_members_that_they_do_not_sign_may_come_or_not(members):
    unsigned = ("memo", "bank_name", "card_no")
    fields = {"ret_code": "0000", "no_order": OURS, "result_pay": "SUCCESS", "money_order": "31.68", **members}

    assert fetch(signed(fields, unsigned=unsigned)).captured == 3168


def test_the_card_number_may_be_signed_after_all():
    fields = {"ret_code": "0000", "result_pay": "SUCCESS", "money_order": "31.68", "card_no": "6222**0000", "memo": "x"}

    assert fetch(signed(fields, unsigned=("memo",))).captured == 3168


def test_what_is_not_signed_is_not_believed():
    report = fetch({**found("SUCCESS"), "bank_name": "Another bank", "card_no": "4242424242424242"})

    assert report.card is None
    assert "4242" not in json.dumps(report.raw)


def test_an_unsigned_member_elsewhere_makes_an_answer_forged():
    with pytest.raises(OutcomeUnknown):
        start({**yes(token=TOKEN), "memo": "x"})


HOLDS = [
    ("2003", {"status": Status.PENDING}),
    ("PR08", {"status": Status.PENDING}),
    ("PR09", {"status": Status.PENDING}),
    ("PR07", {"status": Status.AUTHORISED, "authorised": 3168}),
    ("PR10", {"status": Status.FAILED, "decline": Decline(DeclineCategory.DECLINED, "PR10")}),
    ("2006", {"status": Status.EXPIRED, "decline": Decline(DeclineCategory.ABANDONED, "2006")}),
    ("PR12", {"status": Status.AUTHORISED, "authorised": 3168}),
    ("PR11", {"status": Status.CAPTURED, "authorised": 3168, "captured": 3168}),
    ("PR13", {"status": Status.AUTHORISED, "authorised": 3168}),
    ("PR15", {"status": Status.AUTHORISED, "authorised": 3168}),
    ("PR14", {"status": Status.CANCELLED, "authorised": 3168, "released": 3168}),
    ("PR16", {"status": Status.AUTHORISED, "authorised": 3168}),
]


@pytest.mark.parametrize(
    ("code", "word", "waits"),
    [
        ("", "WAITING", True),
        ("", "PROCESSING", False),
        ("", "FAILURE", False),
        ("2003", "WAITING", True),
        ("PR08", "WAITING", True),
        ("PR09", "WAITING", False),
        ("PR07", "SUCCESS", False),
        ("0000", "WAITING", True),
    ],
)
def test_whether_it_waits_for_the_shopper(code, word, waits):
    report = fetch(found(word), hold(code), capture="manual") if code else fetch(found(word))

    assert report.awaits_shopper is waits


@pytest.mark.parametrize(("code", "facts"), HOLDS)
def test_a_state_of_a_hold(code, facts):
    report = fetch(found("SUCCESS", pay_type="F"), hold(code), capture="manual")

    said = {name: getattr(report, name) for name in ("status", "authorised", "captured", "released", "decline")}
    assert {name: value for name, value in said.items() if value is not None} == facts
    assert (report.provider_reference, report.amount) == (THEIRS, Money(3168, "CNY"))
    assert report.raw["ret_code"] == code


def test_every_state_of_a_hold_is_tested():
    assert {code for code, _ in HOLDS} | {"0000"} == set(mapping.PREAUTH_STATES)


def test_a_hold_is_asked_about_by_both_numbers():
    http = Script(orderquery=found("SUCCESS"), preauthquery=hold("PR07"))
    provider(http).fetch(ref(capture="manual", provider_reference=""))

    assert {name: value for name, value in http.last.items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "api_version": "1.0",
        "pay_type": "F",
        "no_order": OURS,
        "dt_order": "20240115103000",
        "oid_paybill": THEIRS,
    }


@pytest.mark.parametrize("pay_type", ["F", "G"])
def test_an_order_that_says_it_is_a_hold_is_one(pay_type):
    report = fetch(found("SUCCESS", pay_type=pay_type), hold("PR07"))

    assert (report.status, report.captured) == (Status.AUTHORISED, None)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("WAITING", Status.PENDING),
        ("PROCESSING", Status.PENDING),
        ("SUCCESS", Status.PENDING),
        ("REFUND", Status.PENDING),
        ("FAILURE", Status.FAILED),
        ("APPLY_SUCCESS", Status.AUTHORISED),
    ],
)
@pytest.mark.parametrize("code", ["0000", "8901", "9093"])
def test_of_a_hold_without_a_state_the_order_query_tells_all_but_money_taken(word, status, code):
    report = fetch(found(word), hold(code), capture="manual")

    assert (report.status, report.captured, report.refunded) == (status, None, None)


def test_a_hold_outlives_its_order():
    assert fetch(no("2006"), hold("PR07"), capture="manual").status is Status.AUTHORISED
    for code in ("0000", "2006", "8901"):
        assert fetch(no("2006"), hold(code), capture="manual").status is Status.EXPIRED


def test_of_a_hold_may_less_have_been_taken():
    report = fetch(found("SUCCESS", money_order="20.00"), hold("PR11"), capture="manual")

    assert (report.authorised, report.captured, report.released, report.amount) == (
        3168,
        2000,
        1168,
        Money(3168, "CNY"),
    )


@pytest.mark.parametrize(("ours", "taken", "let_go"), [(0, 3168, None), (2000, 2000, 1168), (3168, 3168, None)])
def test_where_the_query_shows_the_whole_hold_our_own_capture_tells(ours, taken, let_go):
    report = fetch(found("SUCCESS"), hold("PR11"), capture="manual", captured=ours)

    assert (report.authorised, report.captured, report.released) == (3168, taken, let_go)


def test_what_was_taken_of_a_hold_may_have_been_given_back():
    report = fetch(found("REFUND"), hold("PR11"), capture="manual")

    assert (report.status, report.captured, report.refunded) == (Status.CAPTURED, 3168, 3168)


def test_a_hold_of_unknown_amount_is_not_reported():
    with pytest.raises(OutcomeUnknown):
        fetch(without(found("SUCCESS"), "money_order"), without(hold("PR07"), "money_order"), capture="manual")


@pytest.mark.parametrize("code", ["9999", "2005", "4711", "PR99"])
def test_an_unknown_state_of_a_hold_is_no_answer(code):
    with pytest.raises(OutcomeUnknown):
        fetch(found("SUCCESS"), hold(code), capture="manual")


def test_a_hold_that_may_not_be_asked_about_is_rejected():
    with pytest.raises(Rejected):
        fetch(found("SUCCESS"), no("3010"), capture="manual")


def test_an_absent_hold_is_not_asked_about_twice():
    assert fetch(no("8901"), capture="manual").absent


# -------------------------------------------------------------------------------------------------------- notifications

NOTICE = {
    "no_order": OURS,
    "dt_order": "20240115103000",
    "oid_paybill": THEIRS,
    "money_order": "31.68",
    "result_pay": "SUCCESS",
    "pay_type": "M",
    "settle_date": "20240115",
}
REFUND_NOTICE = {
    "no_refund": "OP202401160001",
    "dt_refund": "20240116090000",
    "money_refund": "10.00",
    "oid_refundno": "2024011600000001",
    "sta_refund": "2",
}


def heard(fields: Mapping[str, Any], **settings: Any) -> list[Any]:
    one, notice = provider(Canned(b""), **settings), delivery(fields)
    assert one.verify_webhook(notice)
    return one.parse_webhook(notice)


def test_a_notification_of_money_is_confirmed_first_if_the_account_says_so():
    for confirm in (True, False):
        (report,) = heard(NOTICE, confirm_notifications=confirm)
        assert (report.status, report.captured, report.confirm) == (Status.CAPTURED, 3168, confirm)


@pytest.mark.parametrize(
    "changes",
    [
        {"pay_type": "F"},
        {"pay_type": "G"},
        {"result_pay": "APPLY_SUCCESS"},
        {"result_pay": "FAILURE"},
        {"result_pay": "REFUND"},
        {"result_pay": ""},
        {"result_pay": "WHATEVER"},
        {"money_order": ""},
        {"money_order": "0.00"},
        {"money_order": "lots"},
        {"money_order": "1" * 40},
        {"currency_order": "XXX"},
    ],
)
def test_a_notification_that_concludes_nothing_is_a_hint(changes):
    assert heard({**NOTICE, **changes}) == [Hint(reference=OURS, provider_reference=THEIRS)]


@pytest.mark.parametrize("pay_type", ["M", "N", "2", "", None, 2])
def test_other_kinds_of_payment_are_money(pay_type):
    (report,) = heard({**NOTICE, "pay_type": pay_type})

    assert report.captured == 3168


def test_a_notification_of_a_refund_is_told_by_its_number():
    (report,) = heard(REFUND_NOTICE)

    assert report == OperationReport(
        reference="OP202401160001",
        provider_reference="2024011600000001",
        operation=Capability.REFUND,
        status=OperationStatus.SUCCEEDED,
        amount=Money(1000, "CNY"),
        raw=report.raw,
    )


@pytest.mark.parametrize(
    ("word", "status"), [("0", "pending"), ("1", "pending"), ("2", "succeeded"), ("3", "failed"), ("4", "pending")]
)
def test_a_state_of_a_refund(word, status):
    (report,) = heard({**REFUND_NOTICE, "sta_refund": word})

    assert report.status == status


def test_a_refund_of_an_unreadable_amount_is_not_done():
    (report,) = heard({**REFUND_NOTICE, "money_refund": "ten"})

    assert (report.status, report.amount) == (OperationStatus.PENDING, None)


def test_a_genuine_notification_about_nothing_known_is_left_alone(caplog):
    assert heard({"no_agree": AGREEMENT, "user_id": "U1001"}) == []
    assert [line for line in caplog.messages if line.startswith("lianlian_notification_unknown digest=")]


def test_members_that_nobody_knows_are_signed_too():
    notice = delivery({**NOTICE, "brand_new": "x"})
    one = provider(Canned(b""))

    assert one.verify_webhook(notice)
    with pytest.raises(BadSignature):
        one.verify_webhook(raw_delivery(notice.body.replace(b'"brand_new":"x"', b'"brand_new":"y"')))


@pytest.mark.parametrize("member", ["card_no", "bank_name", "memo"])
def test_a_notification_has_no_unsigned_members(member):
    body = compact({**signed(NOTICE), member: "x"})

    with pytest.raises(BadSignature):
        provider(Canned(b"")).verify_webhook(raw_delivery(body))


def test_the_card_in_a_notification_is_kept_nowhere():
    notice = {**NOTICE, "card_no": NUMBER, "id_no": ID_NUMBER, "acct_name": HOLDER, "id_type": "0"}
    (report,) = heard(notice)

    assert not [one for one in (NUMBER, ID_NUMBER, HOLDER) if one in repr(report) + json.dumps(report.raw)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (compact(signed({**NOTICE, "oid_partner": "201304121000001005"})), "other_merchant"),
        (compact({**signed(NOTICE), "extra": {"a": 1}}), "unreadable"),
        (compact({**signed(NOTICE), "extra": []}), "unreadable"),
        (compact({**signed(NOTICE), "filler": "x" * 70_000}), "too_large"),
        (compact(signed(NOTICE)).replace(b'{"', b'{"no_order":"other","', 1), "unreadable"),
        (compact({**NOTICE, "oid_partner": MERCHANT}), "bad_signature"),
        (compact(signed(NOTICE, FOREIGN_KEY)), "bad_signature"),
        (compact({**signed(NOTICE), "sign_type ": "RSA", "sign_type": ""}), "bad_signature"),
    ],
)
def test_a_notification_that_is_refused(body, code):
    with pytest.raises(BadSignature) as caught:
        provider(Canned(b"")).verify_webhook(raw_delivery(body))

    assert caught.value.code == code


def test_any_byte_changed_is_refused():
    notice, one = delivery(NOTICE), provider(Canned(b""))
    for at in range(len(notice.body)):
        body = bytearray(notice.body)
        body[at] ^= 1
        with pytest.raises(BadSignature):
            one.verify_webhook(raw_delivery(bytes(body)))


def test_the_key_before_the_last_is_still_theirs():
    notice = delivery(NOTICE, THEIR_NEXT_KEY)
    changing = {"provider_public_key_previous": public_text(THEIR_NEXT_KEY)}

    assert provider(Canned(b""), **changing).verify_webhook(notice)
    assert provider(Script(easypay=signed({"ret_code": "6001"}, THEIR_NEXT_KEY)), **changing).start(ask())
    with pytest.raises(BadSignature):
        provider(Canned(b"")).verify_webhook(notice)


def test_an_event_is_known_again_by_its_numbers_and_state():
    one = provider(Canned(b""))

    assert one.verify_webhook(delivery(NOTICE)) == f"payment:{OURS}:{THEIRS}:SUCCESS:31.68:20240115"
    assert one.verify_webhook(delivery(REFUND_NOTICE)) == "refund:OP202401160001:2024011600000001:2:10.00"


def test_an_event_signed_anew_is_the_same_event():
    one = provider(Canned(b""), provider_public_key_previous=public_text(THEIR_NEXT_KEY))

    assert one.verify_webhook(delivery(NOTICE)) == one.verify_webhook(delivery(NOTICE, THEIR_NEXT_KEY))


@pytest.mark.parametrize(
    "changes", [{"money_order": "31.69"}, {"result_pay": "REFUND"}, {"oid_paybill": "2"}, {"settle_date": "20240116"}]
)
def test_another_state_is_another_event(changes):
    one = provider(Canned(b""))

    assert one.verify_webhook(delivery(NOTICE)) != one.verify_webhook(delivery({**NOTICE, **changes}))


@pytest.mark.parametrize("odd", ["x" * 200, "a:b", "a\x00b", "号", True, " "])
def test_an_event_id_is_short_and_plain_whatever_comes(odd):
    event_id = provider(Canned(b"")).verify_webhook(raw_delivery(compact(oddly_signed({**NOTICE, "oid_paybill": odd}))))

    assert 0 < len(event_id) <= 100
    assert event_id.isascii()
    assert event_id.isprintable()


ODD = [None, True, False, 0, 7, 7.5, "", " ", "x", "\x00", "号", "9" * 5000, "-1", "1e9", "NaN"]


@pytest.mark.parametrize("member", [*NOTICE, *REFUND_NOTICE, "no_agree", "bank_code", "currency_order"])
def test_whatever_a_genuine_notification_holds_ends_in_a_report(member):
    one = provider(Canned(b""))
    base = REFUND_NOTICE if member in REFUND_NOTICE else NOTICE
    for odd in ODD:
        notice = raw_delivery(compact(oddly_signed({**base, member: odd})))
        assert one.verify_webhook(notice)
        for report in one.parse_webhook(notice):
            assert isinstance(report, PaymentReport | OperationReport | Hint)
            assert "\x00" not in json.dumps(plain(report))


def test_the_replies():
    one = provider(Canned(b""))

    assert one.reply(accepted=True) == Reply(200, b'{"ret_code":"0000","ret_msg":"ok"}', "application/json")
    assert one.reply(accepted=False) == Reply(400, b'{"ret_code":"9999","ret_msg":"verify failed"}', "application/json")


# ---------------------------------------------------------------------------------------------------------- operations


def run(call: str, *, minor: int = 3168, settings: Mapping[str, Any] | None = None, **answers: Any) -> OperationReport:
    return getattr(provider(Script(**answers), **(settings or {})), call)(operation(minor))


def test_a_capture_says_how_much():
    http = Script(preauthComplete=yes(), preauthquery=hold("PR11"))
    provider(http).capture(operation(2000))

    assert http.paths == ["preauthComplete", "preauthquery"]
    assert {name: value for name, value in http.sent[0][1].items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "api_version": "1.0",
        "user_id": "U1001",
        "pay_type": "F",
        "no_order": OURS,
        "dt_order": "20240115103000",
        "oid_paybill": THEIRS,
        "money_order": "20.00",
    }


def test_a_cancellation_is_of_the_whole_hold():
    http = Script(preauthCancel=yes(), preauthquery=hold("PR14"))
    provider(http).cancel(operation(2000))

    assert http.sent[0][1]["money_order"] == "31.68"
    assert "risk_item" not in http.sent[0][1]


CONFIRMED = [
    ("capture", "PR11", "succeeded", ""),
    ("capture", "PR12", "pending", ""),
    ("capture", "PR13", "failed", "PR13"),
    ("capture", "PR07", "pending", ""),
    ("capture", "0000", "pending", ""),
    ("cancel", "PR14", "succeeded", ""),
    ("cancel", "2006", "succeeded", ""),
    ("cancel", "PR15", "pending", ""),
    ("cancel", "PR16", "failed", "PR16"),
    ("cancel", "PR07", "pending", ""),
    ("capture", "PR14", "failed", "PR14"),
    ("capture", "2006", "failed", "2006"),
    ("cancel", "PR11", "failed", "PR11"),
]
PATHS = {"capture": "preauthComplete", "cancel": "preauthCancel"}


@pytest.mark.parametrize(("call", "state", "status", "error"), CONFIRMED)
def test_accepted_is_confirmed_by_one_query(call, state, status, error):
    report = run(call, **{PATHS[call]: yes(), "preauthquery": hold(state)})

    assert (report.status, report.error_code, report.reference) == (status, error, "OP202401160001")


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize(
    "trouble",
    [
        Unreachable("x"),
        OutcomeUnknown("x"),
        no("9999"),
        no("3010"),
        b"<html>",
        {"ret_code": "PR11"},
        hold("PR11", no_order="x"),
    ],
)
def test_accepted_and_not_confirmed_is_pending(call, trouble):
    assert run(call, **{PATHS[call]: yes(), "preauthquery": trouble}).status is OperationStatus.PENDING


@pytest.mark.parametrize(
    ("call", "state"),
    [("capture", "PR11"), ("capture", "PR12"), ("cancel", "PR14"), ("cancel", "PR15"), ("cancel", "2006")],
)
@pytest.mark.parametrize("code", ["2005", "2006", "2007", "7017", "5601", "1005", "8901", "9000", "9999", "3010"])
def test_sent_again_a_no_is_none_if_it_was_done(call, state, code):
    report = run(call, **{PATHS[call]: no(code), "preauthquery": hold(state), "orderquery": found("SUCCESS")})

    assert report.status in {OperationStatus.SUCCEEDED, OperationStatus.PENDING}
    assert not report.error_code


@pytest.mark.parametrize(
    ("call", "state"), [("capture", "PR14"), ("capture", "PR10"), ("capture", "2006"), ("cancel", "PR11")]
)
@pytest.mark.parametrize("code", ["2006", "2007", "7017", "9999"])
def test_a_hold_that_came_to_another_end_is_a_no(call, state, code):
    report = run(call, **{PATHS[call]: no(code), "preauthquery": hold(state)})

    assert (report.status, report.error_code) == (OperationStatus.FAILED, state)


@pytest.mark.parametrize("code", ["2007", "2005", "9999", "1005", "7017"])
@pytest.mark.parametrize("taken", ["20.00", "31.68"])
def test_what_another_capture_took_is_not_taken_for_this_one(code, taken):
    """A hold is captured once, and both captures would look the same but for their amounts."""
    answers = {"preauthComplete": no(code), "preauthquery": hold("PR11")}
    http = Script(**answers, orderquery=found("SUCCESS", money_order=taken))
    with pytest.raises(OutcomeUnknown):
        provider(http).capture(operation(1168))

    assert http.paths == ["preauthComplete", "preauthquery", "orderquery"]


@pytest.mark.parametrize(
    "order", [no("8901"), no("9999"), no("2006"), Unreachable("x"), found("SUCCESS", money_order="")]
)
def test_a_capture_of_unknown_amount_is_in_doubt(order):
    with pytest.raises(OutcomeUnknown):
        run("capture", preauthComplete=no("1005"), preauthquery=hold("PR11"), orderquery=order)


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("code", ["2006", "1005", "8901", "9093", "9000", "5601", "1902"])
def test_a_no_to_what_was_not_done_is_a_no(call, code):
    report = run(call, **{PATHS[call]: no(code), "preauthquery": hold("PR07")})

    assert (report.status, report.error_code) == (OperationStatus.FAILED, code)


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("code", ["7017", "3010", "1001", "5002"])
def test_a_wrong_operation_is_rejected(call, code):
    with pytest.raises(Rejected) as caught:
        run(call, **{PATHS[call]: no(code), "preauthquery": hold("PR07")})

    assert caught.value.code == code


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize(
    "code", ["2005", "2007", "2008", "1002", "1003", "9999", "9990", "4711", "8101", "2003", "8888"]
)
@pytest.mark.parametrize("state", ["PR07", "PR13", "PR16", "0000", "8901"])
def test_nobody_knows_what_became_of_an_operation(call, code, state):
    with pytest.raises(OutcomeUnknown):
        run(call, **{PATHS[call]: no(code), "preauthquery": hold(state)})


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("trouble", [Unreachable("x"), OutcomeUnknown("x"), no("9999"), b"junk"])
def test_a_no_that_cannot_be_checked_is_none(call, trouble):
    with pytest.raises(OutcomeUnknown) as caught:
        run(call, **{PATHS[call]: no("7017"), "preauthquery": trouble})

    assert caught.value.code == "7017"


@pytest.mark.parametrize("call", PATHS)
def test_where_even_the_query_is_refused_the_request_was(call):
    with pytest.raises(Rejected):
        run(call, **{PATHS[call]: no("1001"), "preauthquery": no("1001")})
    with pytest.raises(OutcomeUnknown):
        run(call, **{PATHS[call]: no("1005"), "preauthquery": no("1001")})


@pytest.mark.parametrize("call", ["capture", "cancel", "refund"])
@pytest.mark.parametrize(
    "answer", [{"ret_code": "0000"}, {"ret_code": "5007"}, {"ret_code": "1001"}, {**no("5007"), "ret_code": "5008"}]
)
def test_an_unsigned_answer_to_an_operation_says_nothing(call, answer):
    with pytest.raises(OutcomeUnknown):
        run(call, preauthComplete=answer, preauthCancel=answer, refund=answer)


@pytest.mark.parametrize("call", ["capture", "cancel"])
def test_an_operation_on_another_order_says_nothing(call):
    with pytest.raises(OutcomeUnknown):
        run(call, **{PATHS[call]: yes(no_order="another")})


def refunded(sta: str, **more: Any) -> dict[str, Any]:
    facts = {
        "ret_code": "0000",
        "no_refund": "OP202401160001",
        "dt_refund": "20240116090000",
        "money_refund": "10.00",
        "oid_refundno": "2024011600000001",
        "sta_refund": sta,
    }
    return signed({**facts, **more})


def test_a_refund_has_numbers_of_its_own():
    http = Script(refund=refunded("0"))
    provider(http).refund(operation(1000))

    assert {name: value for name, value in http.last.items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "no_refund": "OP202401160001",
        "dt_refund": "20240116090000",
        "no_order": OURS,
        "dt_order": "20240115103000",
        "oid_paybill": THEIRS,
        "money_refund": "10.00",
        "notify_url": HOOK,
    }


def test_a_refund_is_asked_about_by_its_numbers():
    http = Script(refundquery=refunded("2"))
    provider(http).fetch_refund(operation(1000))

    assert {name: value for name, value in http.last.items() if name != "sign"} == {
        "oid_partner": MERCHANT,
        "sign_type": "RSA",
        "no_refund": "OP202401160001",
        "dt_refund": "20240116090000",
    }


def test_the_refund_path_is_a_setting():
    http = Script(exchangerefund=refunded("2", money_foreign_refund="1.00", rate="7.1", rate_id="1"))
    report = provider(http, refund_path="/exchangerefund.htm").refund(operation(1000))

    assert report.status is OperationStatus.SUCCEEDED


@pytest.mark.parametrize("call", ["refund", "fetch_refund"])
@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("0", "pending", ""),
        ("1", "pending", ""),
        ("2", "succeeded", ""),
        ("3", "failed", "sta_refund_3"),
        ("", "pending", ""),
        ("9", "pending", ""),
    ],
)
def test_what_became_of_a_refund(call, word, status, error):
    report = run(call, minor=1000, refund=refunded(word), refundquery=refunded(word))

    assert (report.status, report.error_code, report.amount) == (status, error, Money(1000, "CNY"))
    assert report.provider_reference == "2024011600000001"


@pytest.mark.parametrize("call", ["refund", "fetch_refund"])
@pytest.mark.parametrize("changes", [{"no_refund": "another"}, {"money_refund": "ten"}])
def test_an_answer_about_another_refund_says_nothing(call, changes):
    with pytest.raises(OutcomeUnknown):
        run(call, refund=refunded("2", **changes), refundquery=refunded("2", **changes))


@pytest.mark.parametrize("code", ["8901", "9093", "5002"])
def test_a_refund_that_they_do_not_know(code):
    report = run("fetch_refund", refundquery=no(code))

    assert (report.absent, report.status) == (True, OperationStatus.PENDING)


@pytest.mark.parametrize(("code", "action"), [row for row in ROWS if row[0] not in {"0000", "8901", "9093", "5002"}])
def test_a_code_as_the_answer_to_a_refund_query(code, action):
    with pytest.raises(Rejected if action is Action.CFG else OutcomeUnknown):
        run("fetch_refund", refundquery=no(code))


@pytest.mark.parametrize(("code", "action"), [row for row in ROWS if row[0] != "0000"])
def test_a_code_as_the_answer_to_a_refund(code, action):
    """A no counts when the refund query does not know the refund either."""
    answers = {"refund": no(code), "refundquery": no("8901")}
    if action is Action.CFG:
        with pytest.raises(Rejected):
            run("refund", **answers)
    elif action in {Action.OK, Action.ASK, Action.NONE} and code not in {"5005", "9920", "8901", "9093"}:
        with pytest.raises(OutcomeUnknown):
            run("refund", **answers)
    else:
        report = run("refund", **answers)
        assert (report.status, report.error_code) == (OperationStatus.FAILED, code)


@pytest.mark.parametrize("code", ["5007", "5003", "5005", "5006", "9920", "8901"])
@pytest.mark.parametrize(("word", "status"), [("2", "succeeded"), ("0", "pending"), ("3", "failed")])
def test_a_refund_sent_again_is_not_refused_for_having_been_done(code, word, status):
    assert run("refund", minor=1000, refund=no(code), refundquery=refunded(word)).status == status


@pytest.mark.parametrize("missing", ["refund", "payment"])
@pytest.mark.parametrize("call", ["refund", "fetch_refund", "capture", "cancel"])
def test_without_its_time_nothing_can_be_named(call, missing):
    if (missing == "refund" and call in {"capture", "cancel"}) or (missing == "payment" and call == "fetch_refund"):
        return
    changes = {"created_at": None} if missing == "refund" else {"payment": ref(created_at=None)}
    http = Script()
    with pytest.raises(Rejected) as caught:
        getattr(provider(http), call)(operation(**changes))

    assert caught.value.code == "created_at"
    assert not http.sent


@pytest.mark.parametrize("call", ["fetch", "submit_code"])
def test_without_its_time_no_payment_can_be_named(call):
    http = Script()
    options = {} if call == "fetch" else {"handle": TOKEN, "code": "123456"}
    with pytest.raises(Rejected):
        getattr(provider(http), call)(ref(created_at=None), **options)

    assert not http.sent


# --------------------------------------------------------------------------------------------------------------- cards


@pytest.mark.parametrize(("card_type", "funding"), [("2", "debit"), ("3", "credit"), ("4", ""), ("", "")])
def test_a_card_is_looked_up(card_type, funding):
    http = Script(
        bankcardbin=signed(
            {"ret_code": "0000", "bank_code": "01020000", "bank_name": "工商银行", "card_type": card_type}
        )
    )

    assert provider(http).look_up_card(CARD) == CardFacts(issuer="工商银行", funding=funding)
    assert (http.last["card_no"], http.last["api_version"]) == (NUMBER, "1.0")


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"bank_code": "03080000", "card_type": "3"}, CardFacts(issuer="招商银行", funding="credit")),
        ({"bank_code": "99990000"}, CardFacts(issuer="99990000")),
        ({"card_type": "2"}, CardFacts(funding="debit")),
        ({"bank_name": "x" * 100}, None),
        ({}, None),
    ],
)
def test_what_is_known_of_a_card(fields, facts):
    assert provider(Script(bankcardbin=signed({"ret_code": "0000", **fields}))).look_up_card(CARD) == facts


def test_a_card_that_they_do_not_know():
    assert provider(Script(bankcardbin=no("5001"))).look_up_card(CARD) is None


def test_what_can_be_no_number_is_not_looked_up():
    http = Script()

    assert provider(http).look_up_card(dataclasses.replace(CARD, number="abc")) is None
    assert not http.sent


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (no("1001"), Rejected),
        ({"ret_code": "1001"}, Rejected),
        (no("9999"), OutcomeUnknown),
        ({"ret_code": "0000"}, OutcomeUnknown),
        ({"ret_code": "5001"}, OutcomeUnknown),
    ],
)
def test_a_look_up_that_fails(answer, error):
    with pytest.raises(error):
        provider(Script(bankcardbin=answer)).look_up_card(CARD)


@pytest.mark.parametrize("answer", [signed({"ret_code": "0000"}), no("3003"), no("3011"), no("3007")])
def test_a_card_is_removed(answer):
    http = Script(bankcardunbind=answer)
    provider(http).remove_card(StoredCard(AGREEMENT), payer="U1001")

    assert {name: http.last[name] for name in ("user_id", "no_agree", "pay_type")} == {
        "user_id": "U1001",
        "no_agree": AGREEMENT,
        "pay_type": "M",
    }


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (no("3004"), OutcomeUnknown),
        (no("4000"), OutcomeUnknown),
        (no("1001"), Rejected),
        ({"ret_code": "0000"}, OutcomeUnknown),
        ({"ret_code": "3003"}, OutcomeUnknown),
    ],
)
def test_a_card_that_is_not_removed(answer, error):
    with pytest.raises(error):
        provider(Script(bankcardunbind=answer)).remove_card(StoredCard(AGREEMENT), payer="U1001")


# -------------------------------------------------------------------------------------------------------------- hygiene

SECRET_THINGS = (NUMBER, ID_NUMBER, PHONE, HOLDER, TOKEN, AGREEMENT)


@pytest.mark.parametrize("body", [b"", b"{}", compact({"ret_code": "6001"}), compact(no("1004")), compact(no("9999"))])
def test_no_frame_of_a_traceback_shows_the_card(body):
    with pytest.raises(ProviderError) as caught:
        provider(Canned(body)).start(ask(card=CREDIT_CARD))

    assert not [text for text in locals_of(caught.value) if any(one in text for one in (NUMBER, ID_NUMBER, PHONE))]


def test_no_frame_of_a_failed_call_shows_the_card():
    with nobody_listens() as url, pytest.raises(ProviderError) as caught:
        provider(Http(url)).start(ask(card=CREDIT_CARD))

    assert not [text for text in locals_of(caught.value) if any(one in text for one in (NUMBER, ID_NUMBER, PHONE))]


def locals_of(error: BaseException) -> Iterator[str]:
    """What an error report that prints variables would show of the product's own frames."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/providers/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
            yield repr(frame.f_locals)


def test_nothing_secret_is_shown_or_logged(caplog):
    caplog.set_level("DEBUG")
    http = Script(
        easypay=yes(token=TOKEN),
        easypayverify=found("SUCCESS", no_agree=AGREEMENT),
        bankcardbin=no("9999"),
        bankcardunbind=no("9999"),
    )
    one = provider(http)
    shown = [one, one.config, ask(), one.start(ask()), one.submit_code(ref(), handle=TOKEN, code="123456")]
    for call in (lambda: one.look_up_card(CARD), lambda: one.remove_card(StoredCard(AGREEMENT), payer="U1001")):
        with pytest.raises(OutcomeUnknown) as caught:
            call()
        shown.append(caught.value)
    notice = delivery({**NOTICE, "card_no": NUMBER, "id_no": ID_NUMBER, "no_agree": AGREEMENT})
    shown += [one.verify_webhook(notice), one.parse_webhook(notice)]

    text = " ".join(f"{each!r} {each}" for each in shown) + caplog.text
    private = private_text(OUR_KEY).splitlines()[1]
    assert not [secret for secret in (*SECRET_THINGS, "123456", private) if secret in text]


def test_what_is_kept_for_the_desk_is_harmless():
    answer = yes(result_pay="SUCCESS", token=TOKEN, no_agree=AGREEMENT, card_no=NUMBER, id_no=ID_NUMBER, info_order="x")
    report = submit(answer).report

    assert set(report.raw) <= set(mapping.KEPT)
    assert not set(mapping.KEPT) & {"token", "no_agree", "card_no", "id_no", "acct_name", "bind_mob", "ret_msg"}


@pytest.mark.parametrize("odd", [None, True, 7, 7.5, [], {}, [[]], {"a": 1}, "x" * 500, "\x00"])
@pytest.mark.parametrize(
    "member",
    ["result_pay", "money_order", "token", "oid_paybill", "no_agree", "bank_code", "pay_type", "currency_order"],
)
def test_whatever_an_answer_holds_ends_in_a_report_or_an_error(member, odd):
    for fields in (
        {"ret_code": "0000", "result_pay": "SUCCESS", "money_order": "31.68", member: odd},
        {"ret_code": "0000", "token": TOKEN, member: odd},
    ):
        answer = {**oddly_signed(fields)}
        for call in (lambda a: start(a).report, lambda a: submit(a).report, fetch):
            try:
                report = call(answer) if call is not fetch else fetch(answer, no("8901"))
            except (OutcomeUnknown, Rejected):
                continue
            json.dumps(plain(report))
            assert "\x00" not in json.dumps(report.raw)
