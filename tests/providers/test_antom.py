"""Antom: what every provider must do, the published vectors, and each of its codes, states and rules."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import antom
from providers.antom import mapping, signing
from providers.antom.mapping import Action
from providers.contract import (
    Address,
    BadSignature,
    Browser,
    Card,
    Customer,
    Decline,
    DeclineCategory,
    Delivery,
    DisputeStatus,
    ExternalThreeDS,
    Hint,
    Item,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    PostForm,
    Purpose,
    Redirect,
    Rejected,
    Reply,
    Status,
    StoredCard,
    ThreeDSWish,
    Unreachable,
    Wait,
)
from providers.http import Http, HttpAnswer
from providers.money import Money, exponent
from tests.providers.conformance import ProviderConformance, compact, key_pair, recordings
from tests.providers.disorder import MoneyUnderDisorder, Part, Theirs, Truth
from tests.providers.transports import Canned, Received

CLIENT = "SANDBOX_5Y00000000000TEST"
OURS, THEIRS = "PAY_1", "20250101194010800100188812345678901"
PAID_AT = datetime(2025, 1, 1, tzinfo=UTC)
TOKEN = "ALIPAYc4Kd0+z/Jk7Qm3=="
NETWORK_ID = "500000000000001"
HOOK_PATH = "/webhooks/antom/"
HOOK = f"https://desk.example{HOOK_PATH}"
PREFIX = "/ams/sandbox/api/v1"
YES = {"resultCode": "SUCCESS", "resultMessage": "success.", "resultStatus": "S"}
PRICE = {"currency": "EUR", "value": "30000"}

# ------------------------------------------------------------------------- the other side, written without the package


def their_signature(path: str, client_id: str, time: str, body: bytes, key: rsa.RSAPrivateKey) -> str:
    """Section "Sign a request" of the documentation once more."""
    text = b"POST " + path.encode() + b"\n" + client_id.encode() + b"." + time.encode() + b"." + body
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
    return "algorithm=RSA256, keyVersion=2, signature=" + quote(signature, safe="").replace("%2F", "%2f")


def answer_headers(path: str, body: bytes, key: rsa.RSAPrivateKey, *, client_id: str = CLIENT) -> dict[str, str]:
    time = "2025-01-01T00:00:01Z"
    signature = their_signature(path, client_id, time, body, key)
    return {"Client-Id": client_id, "response-time": time, "signature": signature}


def delivery(body: Any, key: rsa.RSAPrivateKey, *, path: str = HOOK_PATH, client_id: str = CLIENT) -> Delivery:
    body = body if isinstance(body, bytes) else compact(body)
    time = "2025-01-01T08:00:05+08:00"
    headers = {
        "Content-Type": "application/json",
        "Request-Time": time,
        "client-id": client_id,
        "Signature": their_signature(path, client_id, time, body, key),
    }
    return Delivery("POST", path, headers, body)


# --------------------------------------------------------------------------------------------------------- conformance


def result(code: str, status: str) -> dict[str, str]:
    return {"resultCode": code, "resultMessage": code.lower().replace("_", " "), "resultStatus": status}


def price(money: Money) -> dict[str, str]:
    return {"currency": money.currency, "value": str(money.minor)}


def moved(kind: str, part: Part) -> dict[str, Any]:
    """A capture or refund as answers and notifications name it."""
    ids = {f"{kind}RequestId": part.reference, f"{kind}Id": part.provider_reference}
    return {**ids, f"{kind}Amount": price(part.amount)}


def truth_of(truth: Truth) -> dict[str, Any]:
    """An inquiry's answer."""
    taken = Money(truth.captured, truth.amount.currency)
    automatic = (Part(reference="auto_1", provider_reference="20260301120000", amount=taken),) if truth.captured else ()
    word, code = STATES[truth.status]
    parts = [("CAPTURE", one) for one in truth.captures or automatic] + [("REFUND", one) for one in truth.refunds]
    return {
        "result": YES,
        "paymentId": truth.provider_reference,
        "paymentRequestId": truth.reference,
        "paymentAmount": price(truth.amount),
        "paymentStatus": word,
        "paymentResultCode": code,
        "transactions": [
            {
                "transactionType": kind,
                "transactionStatus": MOVED[one.status],
                "transactionRequestId": one.reference,
                "transactionId": one.provider_reference,
                "transactionAmount": price(one.amount),
            }
            for kind, one in parts
        ],
    }


STATES = {
    Status.PENDING: ("PROCESSING", "PAYMENT_IN_PROCESS"),
    Status.AUTHORISED: ("SUCCESS", "SUCCESS"),
    Status.CAPTURED: ("SUCCESS", "SUCCESS"),
    Status.FAILED: ("FAIL", "DO_NOT_HONOR"),
    Status.CANCELLED: ("CANCELLED", "SUCCESS"),
    Status.EXPIRED: ("FAIL", "ORDER_IS_CLOSED"),
}
"""``paymentStatus`` and ``paymentResultCode`` for what can become of a payment."""
MOVED = {
    OperationStatus.SUCCEEDED: "SUCCESS",
    OperationStatus.PENDING: "PROCESSING",
    OperationStatus.FAILED: "FAIL",
}


class TestConformance(MoneyUnderDisorder, ProviderConformance):
    slug = "antom"
    provider_class = antom.Provider
    answers_are_signed = True
    amounts: ClassVar = {
        (1, "EUR"): "1",
        (30000, "USD"): "30000",
        (500, "JPY"): "500",
        (150_000, "IDR"): "150000",
        (9_999_999_999_999_999, "VND"): "9999999999999999",
    }
    words: ClassVar = {
        **mapping.PAYMENT_STATES,
        "SUCCESS captured": Status.CAPTURED,
        "SUCCESS under review": Status.PENDING,
        "FAIL closed": Status.EXPIRED,
        "FAIL cancelled": Status.CANCELLED,
    }
    operation_words: ClassVar = mapping.REFUND_STATES
    not_cards = (NETWORK_ID,)

    @property
    def accepted(self) -> Reply:
        headers = {"client-id": CLIENT, "response-time": "2025-01-01T00:00:02Z"}
        body = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}'
        return Reply(200, body, "application/json", headers)

    @time_machine.travel("2025-01-01T00:00:02Z", tick=False)
    def test_the_reply_is_exact(self):
        super().test_the_reply_is_exact()

    def config(self, secret: str, *, previous: str = "") -> antom.Config:
        return antom.Config(
            client_id=CLIENT,
            merchant_private_key=key_pair("ours").private_pem,
            provider_public_key=key_pair(secret).public_pem,
            provider_public_key_previous=key_pair(previous).public_pem if previous else "",
            agent_token="canary-agent-token-77",
        )

    def genuine_answer(self, body: bytes, sent: Received) -> tuple[bytes, dict[str, str]]:
        return body, answer_headers(sent.path, body, key_pair(self.secret).key)

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        return delivery(body, key_pair(secret).key)

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        price = json.loads(body)["paymentAmount"]
        return price["value"], price["currency"]

    def sent_reference(self, body: bytes) -> str:
        return json.loads(body)["paymentRequestId"]

    def sent_operation(self, call: str, body: bytes) -> tuple[str, Money | None]:
        fields = json.loads(body)
        if call == "cancel":
            return fields["paymentRequestId"], None
        kind = "capture" if call == "capture" else "refund"
        price = fields.get(f"{kind}Amount")
        money = Money.from_minor(price["value"], price["currency"]) if price else None
        return fields[f"{kind}RequestId"], money

    def word(self, body: Any) -> str | None:
        if not isinstance(body, dict):
            return None
        word, code = body.get("paymentStatus"), body.get("paymentResultCode")
        if body.get("notifyType") in {"PAYMENT_RESULT", "PAYMENT_PENDING"}:
            code = body["result"]["resultCode"]
            word = {"S": "SUCCESS", "F": "FAIL"}[body["result"]["resultStatus"]]
            word = "PENDING" if body["notifyType"] == "PAYMENT_PENDING" else word
        if word == "FAIL":
            word += {"ORDER_IS_CLOSED": " closed", "ORDER_IS_CANCELED": " cancelled"}.get(code, "")
        if word == "SUCCESS" and body.get("authReviewStatus") == "PROCESSING":
            word += " under review"
        captures = [one for one in body.get("transactions") or [] if one["transactionType"] == "CAPTURE"]
        if any(one["transactionStatus"] == "SUCCESS" for one in captures):
            word += " captured"
        return word

    def with_word(self, body: Any, word: str) -> Any:
        if "paymentStatus" not in body:
            return {**body, "result": {**body["result"], "resultStatus": word}}
        moved = [{**one, "transactionStatus": word} for one in body.get("transactions") or []]
        return {**body, "paymentStatus": word, **({"transactions": moved} if moved else {})}

    def operation_word(self, body: Any) -> str | None:
        return body.get("refundStatus") if isinstance(body, dict) else None

    def test_a_signed_answer_with_any_byte_changed_is_none(self, exchange):
        """The first of several answers, which may be shorter than the last."""
        for at in range(0, len(exchange.answers[0].body), 7):

            def spoil(body: bytes, sent: Received, at: int = at) -> tuple[bytes, Mapping[str, str]]:
                body, headers = self.genuine_answer(body, sent)
                return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], headers

            with pytest.raises(OutcomeUnknown):
                self.act(self.provider(self.played(exchange, genuine=spoil)), exchange.kind, exchange)

    def another_event(self) -> bytes:
        return compact({"notifyType": "BALANCE_CHANGED", "result": YES, "paymentId": THEIRS})

    # ------------------------------------------------------------------------------------------- the money's disorder

    tells_refunds_made_elsewhere = False  # a notifyRefund names no payment

    @pytest.fixture
    def theirs(self, db: None) -> Iterator[Theirs]:
        """Asked about once: until we know their id, nothing can be matched that names no other."""
        for stage in self._stage(manual=False):
            stage.ask()
            yield stage

    def answer_to(self, sent: Received, truth: Truth) -> Any:
        asked, call = json.loads(sent.body), sent.path.rsplit("/", 1)[1]
        if call == "inquiryPayment":
            return truth_of(truth)
        kind = "capture" if call == "capture" else "refund"
        parts = truth.captures if kind == "capture" else truth.refunds
        part = next((one for one in parts if one.reference == asked[f"{kind}RequestId"]), None)
        if part is None:
            return {"result": result("ORDER_NOT_EXIST", "F")}
        return {
            **moved(kind, part),
            **({"refundStatus": MOVED[part.status]} if kind == "refund" else {}),
            "result": YES,
        }

    def payment_event(self, truth: Truth) -> Any:
        if truth.captured:
            taken = Part(
                reference="auto_1",
                provider_reference="20260301120000",
                amount=Money(truth.captured, truth.amount.currency),
            )
            return self.capture_event(truth, taken)
        about = {"paymentId": truth.provider_reference, "paymentRequestId": truth.reference}
        word, code = STATES[truth.status]
        is_open = truth.status is Status.PENDING
        verdict = YES if is_open or word == "SUCCESS" else result(code, "F")
        kind = "PAYMENT_PENDING" if is_open else "PAYMENT_RESULT"
        return {"notifyType": kind, **about, "paymentAmount": price(truth.amount), "result": verdict}

    def capture_event(self, truth: Truth, part: Part) -> Any:
        about = {"paymentId": truth.provider_reference, **moved("capture", part)}
        return {"notifyType": "CAPTURE_RESULT", **about, "result": YES}

    def refund_event(self, truth: Truth, part: Part) -> Any:
        word = MOVED[part.status]
        return {"notifyType": "REFUND_RESULT", **moved("refund", part), "refundStatus": word, "result": YES}

    def wrong_types(self) -> Iterator[Any]:
        for result in (None, [], "S", {}, {"resultStatus": "S"}, {"resultStatus": True, "resultCode": "SUCCESS"}):
            yield {"result": result, "paymentRequestId": "P01J9Z3K8", "paymentStatus": "SUCCESS"}
        for price in ("300", {}, {"value": 12.5, "currency": "EUR"}, {"value": "1", "currency": "XXX"}, [1, "EUR"]):
            names = dict.fromkeys(("captureAmount", "refundAmount", "paymentAmount"), price)
            ours = {"captureRequestId": "R01J9Z3K8", "refundRequestId": "R01J9Z3K8"}
            words = {"paymentStatus": "SUCCESS", "refundStatus": 7, "paymentId": THEIRS}
            yield {"result": YES, "paymentRequestId": ["P01J9Z3K8"], **words, **ours, **names}


# ------------------------------------------------------------------------------------------------------- published keys

TEST_KEY = """-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCJ0yRES3jseoOw
5H77DLX/W//hFewVTb7IuIEic+JCfozO1m92FM7ZLA6MMA0AaqpEs7iRFs9Xxroy
xYPYCmmZapCE9BV/EV0LfXZVW1Q4ugjqxCPxp1Z20XNF1IM+M/wCF6wEkKfziPRa
xGZpfSkyvIsZUICcEwEVp/pdq3rTSHbboxmxv0NSO9tAb5386WY8X/QV94CkyeYm
BKLJbYnLLGTE0U6gPuKzc9hX+0aUbm0mnIl7WR2PSlYOc0dxfvBRZOjALkyvcrBd
JxrHmuki+tBiCPFdg40NRorMF2gI9YKeEvlC2BRLaJUwV98qU/wwnTp/b1hmxao6
DBdDpTMBAgMBAAECggEAAN50U660iN+OeQA+NLY0NFn2JD5cVxelMX37gnLmMeXu
XIqv+GsFKtiP3VGbcC2iYsoafcx90V91Yq1c7KQtw911VjR1XKNVYz8odQodK9Mw
cmdHx4kQjuTSXzxWkrI6AofEekewzcsTqO0+eafKXLS60JWk84opiMnR8ElAF8wf
MiQOdc4soCsUX5V+7d7qsc/g4qjneozdKcnodBtUZvkMKYeCqsmueNUB2iMLVYgP
4KlvJ77eCqXcF4EIS7xUdxu4KyCNz2NYLxlf0xx7UYO7txyzyr2O5aORN0PINU8I
9YmcEGLSaflybz6UK+H7jW7ZaCqVlP9NFoYP90RdqQKBgQC9PKGvbMRn9HVc9SYK
F9m7L16TRnS/RAnMIhV71YWMURiVyKMV/1GEZ47Tq/FLQJ5kJ5AyWvkkHk2yuO+2
PPUeCWBOUY+puf7spOmwNTfqsJHJzJn+ftF4v34ZMV8sQ9t71L5pKJtFlEDD1pko
+a8pAU9E0aWMY0NIpj2C8QinHwKBgQC6cxvOuRAmfe1QSKR1Tzlyl248S41Tb2hN
Z+Lb2oPNdbWtK/cVQM3bn7u0Kh7g8wpkPez68wJt+FvWx48XS/EJ5MZaN6a6yR7H
aPZ2agy7yP3yutf18PEAukoFSU+7N9EAPHaDd12FHVgjMvPcEZIXsqYo2CvXrDl3
/Wjqu3uB3wKBgG05iM1bR0YFSJR9/xXGTGsJXVo+SXZ4S/tiFOpkBPBHgpw5sUAq
HSACMeMlFGHuCz4dw9H8xl69ivVEXz/dkVFj8g1icDxz2Zs3WJbXMM4qWguTJ7NH
+ZnrVVovMBK5m/6ufbTutiiD+JnQzJhk/V/6nIlJRHdyd8x//3MLsoXbAoGAHWE8
FYQV5mrbdVYtDAsy2zq/dSLWnzoj7mabWdeCA2M0AJi385JlneD6u/YTLZE+pvMX
H6ghTuDe3+ZMRviBf/SbyOWSEUbV4chJZflqDkEquw/0Ld4Mq/eu6ExYEwFFnsro
RekORIaON+W0hY4DPla5ViBSMEcEO0MkQDDQ0nMCgYEAmuaPgs7rn3KLj+tCyh+L
w/qPTdYsCW9UnX8CerHNvLJXB4dsZT5Ti4XdLF1rjGPv1S/0f1g+gFaw0cJgjmXg
pioubA+B55C8A+dsHhroJF3fZv3uqbaVc5uNqbSIvLiS3C/G1wbs2yRQkY7QhI7o
yXH9TxxGvxWaO3LCQOVtwq8=
-----END PRIVATE KEY-----
"""
"""Made for documentation: it signs nothing real, and plays both roles below."""
TEST_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAidMkREt47HqDsOR++wy1
/1v/4RXsFU2+yLiBInPiQn6MztZvdhTO2SwOjDANAGqqRLO4kRbPV8a6MsWD2App
mWqQhPQVfxFdC312VVtUOLoI6sQj8adWdtFzRdSDPjP8AhesBJCn84j0WsRmaX0p
MryLGVCAnBMBFaf6Xat600h226MZsb9DUjvbQG+d/OlmPF/0FfeApMnmJgSiyW2J
yyxkxNFOoD7is3PYV/tGlG5tJpyJe1kdj0pWDnNHcX7wUWTowC5Mr3KwXScax5rp
IvrQYgjxXYONDUaKzBdoCPWCnhL5QtgUS2iVMFffKlP8MJ06f29YZsWqOgwXQ6Uz
AQIDAQAB
-----END PUBLIC KEY-----
"""
INQUIRY_PATH = "/ams/sandbox/api/v1/payments/inquiryPayment"
BODY_1 = b'{"paymentRequestId":"PAY_TEST_0001"}'
SIGNATURE_1 = (
    "ISNT51ChoySulAEDPifogU7Yp2FIVGpnHzNg89hOmM90f5d5GelIzvCdCV%2BftMKvGe6kd5Eer%2FOJS13qAEf73sKZUshW%2FtJSZdmO%2B4i3"
    "wYPescJGPqsR4r32YinSUkeuM3l0Ei9Qu5YqAzQz3Wh%2BJ9BaYvTtMKsz%2Buw4hYCpzkRJLhgRx0YoC0FOgfp1UPPEbooJIBv0F7qOk4DhRfmN"
    "2xvTMasDEQy%2F1%2FS5kZn4TLuoKFYRI%2BJz5W08oEBPKIfg1d9%2FaCljgaTcNzSXCJjbXy5yloTnQe1rHNPV0qeO7Ln0orG%2FXHZ%2B164o"
    "9WJs%2BP8gLh6WlU9UWU9kzBRHnl62VQ%3D%3D"
)
BODY_2 = b'{"result":{"resultCode":"ORDER_NOT_EXIST","resultMessage":"The order does not exist.","resultStatus":"F"}}'
SIGNATURE_2 = (
    "IdElbpvVpWlfROdMe8nsVKAXcXYbhkXnEOlzuer4MVi2x6KJWAWU8tngZgmkU1VLFpVJypjgKwzAoEG8dKk1gqxgZQGJ%2BR6%2FKvtC%2BWNK3z"
    "YTaUbrd5wyqs12%2FBCrZvn8gvayz86BfghpLjGc%2FosIg3pGZFUQ2f3pMu9BMqd%2FN9z125%2BBensDjEX3UwAl3c%2FtwqcE1RAjRlQapDGs"
    "ADL1gimynE1ktnAOz7AR5FmaaUWt3Z0e6YmhqWrU6%2B0NSo2vDV0zGL4hiCdKeIJTyUFR%2B2u4M9aMm28%2F3B0ouJDumF%2BOW87zGRSKuYGD"
    "4m%2BVoCHNA889RryW8z1eSu9FW7%2FXvg%3D%3D"
)
BODY_3 = (
    '{"notifyType":"CAPTURE_RESULT","captureRequestId":"auto_é","captureId":"20250101190000000000001",'
    '"paymentId":"20250101194000000000001","captureAmount":{"currency":"EUR","value":"30000"},'
    '"result":{"resultCode":"SUCCESS","resultMessage":"success.","resultStatus":"S"}}'
).encode()
SIGNATURE_3 = (
    "gwsotOIit9zgzRncb4duB7xhXb8SL6%2Bnu8mHRjS6LSfp5Vi%2Fit6WGWMkgWdwo2uH45e%2BX%2FiXNOI1yMLOYRkvAn3JCD7UJYdYjor0r9BH"
    "f51OAgpu7zAWjzQFWqctHhHH%2B37eX59lk51PdAs7myQA5mI6QtUpTfzxMZstnHRIxcnjybmAPBgRsM8U8FcIMNLv2eJ8cFLpR7QF%2Fzk%2BQM"
    "7Wu2rhg4F7Plb%2FszSxznL4WaZz9L3WVO5q1YPNdC1WVNDPejqkK3oO8dedvsIITXwRNyienskrkgl4t1JBkdBw%2FtSkApVG%2FIRkGVe3qur%"
    "2Fgr%2Bk%2BgWncpAIrQZ%2Bko1HAZJ%2FDw%3D%3D"
)
VECTORS = {
    "request": (INQUIRY_PATH, "1735689600123", BODY_1, SIGNATURE_1),
    "response": (INQUIRY_PATH, "2025-01-01T00:00:01Z", BODY_2, SIGNATURE_2),
    "notification": (HOOK_PATH, "2025-01-01T08:00:05+08:00", BODY_3, SIGNATURE_3),
}


def config(**changes: Any) -> antom.Config:
    facts = {
        "client_id": CLIENT,
        "merchant_private_key": key_pair("ours").private_pem,
        "provider_public_key": key_pair("theirs").public_pem,
    }
    return antom.Config(**{**facts, **changes})


def documented(http: Http) -> antom.Provider:
    """With the keys of the vectors."""
    return antom.Provider(config(merchant_private_key=TEST_KEY, provider_public_key=TEST_PUBLIC_KEY), http)


class TestVectors:
    @pytest.mark.parametrize("name", VECTORS)
    def test_what_is_signed_and_the_signature(self, name):
        path, time, body, signature = VECTORS[name]
        message = signing.content(path, CLIENT, time, body)
        header = signing.sign(message, signing.private_key(TEST_KEY))

        assert header == f"algorithm=RSA256,keyVersion=1,signature={signature}"
        assert signing.is_genuine(header, message, [signing.public_key(TEST_PUBLIC_KEY)])

    def test_their_digests_of_the_signed_content(self):
        digests = []
        for path, time, body, _ in VECTORS.values():
            digest = hashes.Hash(hashes.SHA256())
            digest.update(signing.content(path, CLIENT, time, body))
            digests.append(digest.finalize().hex())

        assert digests == [
            "320e7b61c19496712c99a40564b2668354e0351df1f6127993762fdcf7207588",
            "0a22f9b6b3e52cef7795ba251325636d31abe420ae1b7b9b99b682a0b41a1a35",
            "5f4323a353e35e42d814a8d31a7ab5e366d3679c6983427ad476708b02fa4b31",
        ]

    @time_machine.travel(datetime.fromtimestamp(1735689600.123, UTC), tick=False)
    def test_a_fetch_is_the_first_vector_and_its_answer_the_second(self):
        headers = {"client-id": CLIENT, "response-time": "2025-01-01T00:00:01Z"}
        headers["signature"] = f"algorithm=RSA256,keyVersion=1,signature={SIGNATURE_2}"
        http = Canned(BODY_2, headers=headers)

        report = documented(http).fetch(PaymentRef(reference="PAY_TEST_0001", amount=Money(30000, "EUR")))

        (sent,) = http.requests
        assert (sent.path, sent.body) == (INQUIRY_PATH, BODY_1)
        assert sent.headers["signature"] == f"algorithm=RSA256,keyVersion=1,signature={SIGNATURE_1}"
        assert sent.headers["request-time"] == "1735689600123"
        assert report.absent

    def test_a_webhook_is_the_third_vector(self):
        headers = {"client-id": CLIENT, "request-time": "2025-01-01T08:00:05+08:00"}
        headers["signature"] = f"algorithm=RSA256,keyVersion=1,signature={SIGNATURE_3}"
        about = Delivery("POST", HOOK_PATH, headers, BODY_3)

        assert documented(Canned(b"")).verify_webhook(about) == "CAPTURE_RESULT:20250101190000000000001:S"
        changed = dataclasses.replace(about, body=BODY_3.replace(b"30000", b"30001"))
        with pytest.raises(BadSignature):
            documented(Canned(b"")).verify_webhook(changed)


# ---------------------------------------------------------------------------------------------------------- signatures


def rewritten(header: str) -> dict[str, str]:
    """The same signature in the ways that headers have been seen or may be written."""
    raw = header.partition("signature=")[2]
    plain = raw.replace("%2B", "+").replace("%2F", "/").replace("%2f", "/").replace("%3D", "=")
    return {
        "spaces after commas": header.replace(",", ", "),
        "another order": f"signature={raw}, keyVersion=1, algorithm=RSA256",
        "lower-case escapes": re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), header),
        "never escaped": f"algorithm=RSA256,keyVersion=1,signature={plain}",
        "only the signature": f"signature={raw}",
    }


class TestSignatures:
    @pytest.mark.parametrize("way", list(rewritten("")))
    def test_a_header_is_read_however_it_is_written(self, way):
        message = signing.content("/p", CLIENT, "1", b"{}")
        header = rewritten(signing.sign(message, signing.private_key(TEST_KEY)))[way]

        assert signing.is_genuine(header, message, [signing.public_key(TEST_PUBLIC_KEY)])

    @pytest.mark.parametrize(
        "header",
        [
            *("", "signature=", "algorithm=RSA256", "signature=AAAA", "signature=é", "signature=%", "=", ",,,"),
            *("algorithm=HMAC,signature={0}", "algorithm=RSA256,keyVersion=1,SIGNATURE={0}", "signature={0}A", "{0}"),
            "signature=" + "A" * 10_000,
        ],
    )
    def test_a_header_that_is_none_proves_nothing(self, header):
        message = signing.content("/p", CLIENT, "1", b"{}")
        raw = signing.sign(message, signing.private_key(TEST_KEY)).partition("signature=")[2]

        assert not signing.is_genuine(header.replace("{0}", raw), message, [signing.public_key(TEST_PUBLIC_KEY)])

    def test_the_key_version_is_the_accounts(self):
        http = transport(paid())
        antom.Provider(config(key_version="3"), http).fetch(ref())

        assert http.requests[0].headers["signature"].startswith("algorithm=RSA256,keyVersion=3,signature=")

    def test_what_is_sent_verifies_by_the_documentations_rules(self):
        http = transport(paid())
        provider(http).fetch(ref())

        (sent,) = http.requests
        expected = their_signature(sent.path, CLIENT, sent.headers["request-time"], sent.body, key_pair("ours").key)
        assert sent.headers["signature"].partition("signature=")[2] == expected.partition("signature=")[2].replace(
            "%2f", "%2F"
        )
        assert sent.headers["request-time"].isdecimal()
        assert sent.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert sent.headers["client-id"] == CLIENT


# -------------------------------------------------------------------------------------------------------- the account


def der(key: Any, form: Any) -> bytes:
    if isinstance(form, serialization.PrivateFormat):
        return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def pem(key: Any, form: Any) -> str:
    if isinstance(form, serialization.PrivateFormat):
        return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


PRIVATE_FORMS = (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
PUBLIC_FORMS = (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1)


class TestConfig:
    @pytest.mark.parametrize("form", PRIVATE_FORMS)
    def test_a_private_key_is_read_in_every_form(self, form):
        key = key_pair("ours").key
        texts = [pem(key, form), f"\n {pem(key, form)} \n", base64.b64encode(der(key, form)).decode()]
        texts.append("\n".join(texts[2][at : at + 64] for at in range(0, len(texts[2]), 64)))

        for text in texts:
            assert config(merchant_private_key=text)
            assert signing.private_key(text).private_numbers() == key.private_numbers()

    @pytest.mark.parametrize("form", PUBLIC_FORMS)
    def test_a_public_key_is_read_in_every_form(self, form):
        key = key_pair("theirs").key

        for text in (pem(key, form), base64.b64encode(der(key, form)).decode()):
            assert config(provider_public_key=text)
            assert signing.public_key(text).public_numbers() == key.public_key().public_numbers()

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"client_id": ""}, "client_id"),
            ({"client_id": "a b"}, "client_id"),
            ({"client_id": "a\nb"}, "client_id"),
            ({"client_id": "x" * 65}, "client_id"),
            ({"merchant_private_key": ""}, "merchant_private_key"),
            ({"merchant_private_key": "QUJD"}, "merchant_private_key"),
            (
                {"merchant_private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"},
                "merchant_private",
            ),
            ({"merchant_private_key": TEST_PUBLIC_KEY}, "merchant_private_key"),
            ({"provider_public_key": ""}, "provider_public_key"),
            ({"provider_public_key": TEST_KEY}, "provider_public_key"),
            ({"provider_public_key": "-----BEGIN PUBLIC KEY-----"}, "provider_public_key"),
            ({"provider_public_key_previous": "no key"}, "provider_public_key_previous"),
            ({"key_version": ""}, "key_version"),
            ({"key_version": "1,signature=x"}, "key_version"),
            ({"environment": "live"}, "environment"),
            ({"settlement_currency": "eur"}, "settlement_currency"),
            ({"merchant_region": "DEU"}, "merchant_region"),
            ({"merchant_account_id": "x" * 33}, "merchant_account_id"),
            ({"agent_token": "a\r\nb"}, "agent_token"),
        ],
    )
    def test_a_wrong_field_is_named_and_shows_nothing(self, changes, named):
        with pytest.raises(ValueError, match=named) as caught:
            config(**changes)

        assert not [value for value in changes.values() if len(value) > 8 and value in str(caught.value)]
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("field", ["merchant_private_key", "provider_public_key"])
    def test_a_key_of_another_kind_is_refused(self, field):
        key = ec.generate_private_key(ec.SECP256R1())
        text = pem(key, PRIVATE_FORMS[0] if field == "merchant_private_key" else PUBLIC_FORMS[0])

        with pytest.raises(ValueError, match=field):
            config(**{field: text})

    @pytest.mark.parametrize(
        ("client_id", "environment", "path"),
        [
            ("SANDBOX_5Y1", "", "/ams/sandbox/api/v1/payments/inquiryPayment"),
            ("5Y1", "", "/ams/api/v1/payments/inquiryPayment"),
            ("SANDBOX_5Y1", "production", "/ams/api/v1/payments/inquiryPayment"),
            ("5Y1", "sandbox", "/ams/sandbox/api/v1/payments/inquiryPayment"),
        ],
    )
    def test_sandbox_and_production_differ_in_their_path(self, client_id, environment, path):
        http = transport(paid(), client_id=client_id)
        antom.Provider(config(client_id=client_id, environment=environment), http).fetch(ref())

        assert http.requests[0].path == path

    def test_the_signed_path_is_the_one_that_was_called_below_a_mount_point_too(self):
        http = transport(paid())
        http.base_url = "http://127.0.0.1:8001/antom"

        assert provider(http).fetch(ref()).status is Status.AUTHORISED

    def test_an_accounts_settings_go_where_they_belong(self):
        chosen = config(
            settlement_currency="EUR", merchant_region="DE", merchant_account_id="BERLIN", agent_token="agent-1234"
        )
        http = transport(paid(), paid())
        one = antom.Provider(chosen, http)
        one.start(ask())
        one.fetch(ref())

        start, fetch = (json.loads(sent.body) for sent in http.requests)
        assert start["settlementStrategy"] == {"settlementCurrency": "EUR"}
        assert (start["merchantRegion"], start["merchantAccountId"]) == ("DE", "BERLIN")
        assert fetch["merchantAccountId"] == "BERLIN"
        assert {sent.headers["agent-token"] for sent in http.requests} == {"agent-1234"}
        assert "agent-token" not in sent_by(provider, "fetch").headers


# ------------------------------------------------------------------------------------------------------------- helpers


def transport(*bodies: Any, client_id: str = CLIENT, status_code: int = 200) -> Canned:
    """Answers with these bodies, one after another, each genuine below whatever base URL it is called at."""
    first, *then = (compact(body) for body in bodies or ({},))

    def genuine(body: bytes, sent: Received) -> tuple[bytes, Mapping[str, str]]:
        mount = http.base_url.removeprefix("https://provider.test").removeprefix("http://127.0.0.1:8001")
        return body, answer_headers(mount + sent.path, body, key_pair("theirs").key, client_id=client_id)

    answers = [HttpAnswer(status_code, {}, body) for body in then]
    http = Canned(first, status_code, then=answers, genuine=genuine)
    return http


def provider(http: Http, **changes: Any) -> antom.Provider:
    return antom.Provider(config(**changes), http)


def ask(**changes: Any) -> PaymentRequest:
    facts = {
        "reference": OURS,
        "amount": Money(30000, "EUR"),
        "method": "card",
        "description": "Order 1",
        "return_url": "https://shop.example/return/PAY_1",
        "webhook_url": HOOK,
        "expires_in": 3600,
        "created_at": PAID_AT,
        "order_reference": "ORDER_1",
        "payer": "B1",
        "capture": "manual",
        "card": Card("4054695723100768", 12, 2030, "123", holder="Ann Lee"),
    }
    return PaymentRequest(**{**facts, **changes})


def ref(**changes: Any) -> PaymentRef:
    facts = {"reference": OURS, "amount": Money(30000, "EUR"), "provider_reference": THEIRS, "created_at": PAID_AT}
    return PaymentRef(**{**facts, **changes})


def operation(minor: int = 10000, **changes: Any) -> OperationRequest:
    facts = {
        "reference": "OP_1",
        "payment": ref(capture="manual"),
        "amount": Money(minor, "EUR"),
        "reason": "came back",
        "webhook_url": HOOK,
    }
    return OperationRequest(**{**facts, **changes})


def about(**more: Any) -> dict[str, Any]:
    return {"paymentId": THEIRS, "paymentRequestId": OURS, "paymentAmount": PRICE, **more}


def paid(**more: Any) -> dict[str, Any]:
    """Authorised, as ``pay`` and an inquiry say it."""
    return about(result=YES, paymentStatus="SUCCESS", paymentResultCode="SUCCESS", **more)


def no(code: str, **more: Any) -> dict[str, Any]:
    return {"result": result(code, "F"), **more}


def unsure(code: str, **more: Any) -> dict[str, Any]:
    return {"result": result(code, "U"), **more}


def transaction(kind: str, word: str, minor: int = 30000, reference: str = "OP_1", **more: Any) -> dict[str, Any]:
    facts = {
        "transactionType": kind,
        "transactionStatus": word,
        "transactionRequestId": reference,
        "transactionId": f"2025{reference}",
        "transactionAmount": {"currency": "EUR", "value": str(minor)},
    }
    return {**facts, **more}


def sent_by(make: Any, call: str, *arguments: Any, **changes: Any) -> Received:
    """The one request that a call sends."""
    http = transport(paid())
    getattr(make(http), call)(*(arguments or ([ask(**changes)] if call == "start" else [ref(**changes)])))
    return http.requests[0]


def sent(**changes: Any) -> dict[str, Any]:
    """The body of a start call."""
    return json.loads(sent_by(provider, "start", **changes).body)


def heard(fields: Mapping[str, Any]) -> list[Any]:
    """What a genuine notification with these members says."""
    arrived = delivery(fields, key_pair("theirs").key)
    one = provider(Canned(b""))
    one.verify_webhook(arrived)
    return one.parse_webhook(arrived)


# ---------------------------------------------------------------------------------------------------------- what we ask


class TestOurRequest:
    def test_the_documented_request(self):
        """The brief's minimal own-page request, member by member."""
        browser = Browser("UA", "*/*", "en-GB", False, True, False, 24, 1440, 900, -60)
        customer = Customer("c1", "buyer@example.com", ip="203.0.113.7")
        changes = {"browser": browser, "customer": customer, "three_ds": ThreeDSWish.SKIP}

        http = transport(paid())
        provider(http, settlement_currency="EUR").start(ask(**changes))

        assert http.requests[0].path == f"{PREFIX}/payments/pay"
        assert json.loads(http.requests[0].body) == {
            "productCode": "CASHIER_PAYMENT",
            "paymentRequestId": "PAY_1",
            "paymentAmount": PRICE,
            "order": {
                "referenceOrderId": "ORDER_1",
                "orderDescription": "Order 1",
                "orderAmount": PRICE,
                "buyer": {"referenceBuyerId": "B1", "buyerEmail": "buyer@example.com"},
            },
            "env": {
                "terminalType": "WEB",
                "clientIp": "203.0.113.7",
                "browserInfo": {
                    "acceptHeader": "*/*",
                    "javaEnabled": False,
                    "javaScriptEnabled": True,
                    "language": "en-GB",
                    "userAgent": "UA",
                },
                "colorDepth": 24,
                "screenHeight": 900,
                "screenWidth": 1440,
                "timeZoneOffset": -60,
            },
            "paymentMethod": {
                "paymentMethodType": "CARD",
                "paymentMethodMetaData": {
                    "cardNo": "4054695723100768",
                    "expiryMonth": "12",
                    "expiryYear": "30",
                    "cvv": "123",
                    "cardholderName": {"firstName": "Ann", "lastName": "Lee"},
                    "is3DSAuthentication": False,
                    "tokenize": False,
                    "isCardOnFile": False,
                },
            },
            "paymentFactor": {"isAuthorization": True, "captureMode": "MANUAL"},
            "settlementStrategy": {"settlementCurrency": "EUR"},
            "paymentRedirectUrl": "https://shop.example/return/PAY_1",
            "paymentNotifyUrl": HOOK,
        }

    def test_the_capture_mode_is_the_orders(self):
        assert sent(capture="automatic")["paymentFactor"] == {"isAuthorization": True, "captureMode": "AUTOMATIC"}

    def test_an_order_without_a_name_has_the_payments(self):
        assert sent(order_reference="")["order"]["referenceOrderId"] == OURS

    @pytest.mark.parametrize(
        ("wish", "expected"), [(ThreeDSWish.DEFAULT, None), (ThreeDSWish.FORCE, True), (ThreeDSWish.SKIP, False)]
    )
    def test_a_wish_for_3ds_is_told(self, wish, expected):
        metadata = sent(three_ds=wish)["paymentMethod"]["paymentMethodMetaData"]

        assert metadata.get("is3DSAuthentication") is expected
        assert "enableAuthenticationUpgrade" not in metadata

    @pytest.mark.parametrize(
        ("holder", "names"),
        [
            ("Ann Lee", ("Ann", "Lee")),
            ("Ann  Mary\tLee ", ("Ann Mary", "Lee")),
            ("Madonna", ("Madonna", "Madonna")),
            ("A" * 40 + " Lee", ("A" * 32, "Lee")),
        ],
    )
    def test_a_holder_has_two_names(self, holder, names):
        card = Card("4054695723100768", 1, 2031, "123", holder=holder)
        told = sent(card=card)["paymentMethod"]["paymentMethodMetaData"]

        assert told["cardholderName"] == {"firstName": names[0], "lastName": names[1]}
        assert (told["expiryMonth"], told["expiryYear"]) == ("01", "31")

    def test_without_a_holder_no_name_is_made_up(self):
        card = Card("4054695723100768", 1, 2031, "123")

        assert "cardholderName" not in sent(card=card)["paymentMethod"]["paymentMethodMetaData"]

    def test_a_card_to_be_kept(self):
        assert sent(store_card=True)["paymentMethod"]["paymentMethodMetaData"]["tokenize"] is True

    @pytest.mark.parametrize("cvc", ["", "321"])
    def test_a_saved_card_with_the_shopper_present(self, cvc):
        told = sent(card=None, stored=StoredCard(TOKEN, 12, 2030, cvc=cvc))["paymentMethod"]

        assert told == {
            "paymentMethodType": "CARD",
            "paymentMethodId": TOKEN,
            "paymentMethodMetaData": {"isCardOnFile": True, **({"cvv": cvc} if cvc else {})},
        }

    @pytest.mark.parametrize(
        ("purpose", "word"),
        [(Purpose.RECURRING, "SCHEDULED"), (Purpose.INSTALMENT, "SCHEDULED"), (Purpose.UNSCHEDULED, "UNSCHEDULED")],
    )
    def test_a_charge_while_the_shopper_is_away(self, purpose, word):
        stored = StoredCard(TOKEN, network_transaction_id=NETWORK_ID)
        told = sent(card=None, stored=stored, shopper_is_away=True, purpose=purpose, three_ds=ThreeDSWish.FORCE)

        assert told["paymentMethod"]["paymentMethodMetaData"] == {
            "isCardOnFile": True,
            "recurringType": word,
            "networkTransactionId": NETWORK_ID,
            "is3DSAuthentication": False,
        }
        assert told["env"] == {"terminalType": "WEB"}

    def test_a_3ds_run_that_was_done_elsewhere(self):
        done = ExternalThreeDS("2.2.0", "05", "AAABBEg0VhI0VniQEjRWAAAAAAA=", "8a880dc0-d2d2-4067-bcb1-b08d1690b26e")
        told = sent(external_three_ds=done, three_ds=ThreeDSWish.FORCE)["paymentMethod"]["paymentMethodMetaData"]

        assert told["mpiData"] == {
            "threeDSVersion": "2.2.0",
            "eci": "05",
            "cavv": "AAABBEg0VhI0VniQEjRWAAAAAAA=",
            "dsTransactionId": "8a880dc0-d2d2-4067-bcb1-b08d1690b26e",
        }
        assert (told["is3DSAuthentication"], told["enableAuthenticationUpgrade"]) == (False, False)

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            (Address("1 Main St", "Flat 2", "Springfield", "IL", "62701", "US"), {"state": "IL", "zipCode": "62701"}),
            (Address("1 Main St", country="US", region="us-ca"), {"state": "CA"}),
            (Address("1 Main St", country="US", region="California"), {}),
            (Address("1 High St", country="GB", postcode="SW1A 1AA"), {"zipCode": "SW1A 1AA"}),
            (Address("1 High St", country="GB", postcode="SW1A/1AA"), {}),
        ],
    )
    def test_a_billing_address_holds_only_what_cannot_refuse_the_payment(self, address, expected):
        told = sent(billing=address)["paymentMethod"]["paymentMethodMetaData"]["billingAddress"]

        assert {name: told[name] for name in ("state", "zipCode") if name in told} == expected
        assert (told["region"], told["address1"]) == (address.country, address.line1)

    @pytest.mark.parametrize("country", ["", "USA", "us"])
    def test_an_address_without_a_country_is_left_out(self, country):
        told = sent(billing=Address("1 Main St", country=country), shipping=Address("x", country=country))

        assert "billingAddress" not in told["paymentMethod"]["paymentMethodMetaData"]
        assert "shipping" not in told["order"]

    def test_goods_and_parcel_and_buyer(self):
        items = (Item("Kaffee", 2, 1250, "K-1"), Item("Gift", 1, 0), *[Item("x", 1, 1)] * 200)
        customer = Customer("c1", "a@example.com", "Ann Lee", "+4915112345678", "2001:db8::1", PAID_AT)
        order = sent(items=items, customer=customer, shipping=Address("1 Main St", country="DE"))["order"]

        assert order["goods"][:2] == [
            {
                "referenceGoodsId": "K-1",
                "goodsName": "Kaffee",
                "goodsUnitAmount": {"currency": "EUR", "value": "1250"},
                "goodsQuantity": "2",
            },
            {"referenceGoodsId": "2", "goodsName": "Gift", "goodsQuantity": "1"},
        ]
        assert len(order["goods"]) == 100
        assert order["shipping"]["shippingName"] == {"fullName": "Ann Lee"}
        assert order["buyer"]["buyerRegistrationTime"] == "2025-01-01T00:00:00Z"
        assert order["buyer"]["buyerName"] == {"fullName": "Ann Lee"}

    @pytest.mark.parametrize(
        ("description", "told"),
        [
            ("Two\x00 \ntickets", "Two tickets"),
            ("", OURS),
            ("测试商品", OURS),
            ("Tea 茶 set", "Tea set"),
            ("Café crème", "Café crème"),
            ("x" * 300, "x" * 256),
        ],
    )
    def test_a_description_is_plain(self, description, told):
        assert sent(description=description)["order"]["orderDescription"] == told

    @pytest.mark.parametrize(
        ("agent", "mobile", "expected"),
        [
            ("Mozilla/5.0 (iPhone; …)", True, ("WAP", "IOS")),
            ("Mozilla/5.0 (Linux; Android 15)", True, ("WAP", "ANDROID")),
            ("Mozilla/5.0 (KaiOS)", True, ("WEB", None)),
            ("Mozilla/5.0 (Linux; Android 15)", False, ("WEB", None)),
        ],
    )
    def test_a_phone_says_what_runs_on_it(self, agent, mobile, expected):
        env = sent(browser=Browser(agent, is_mobile=mobile))["env"]

        assert (env["terminalType"], env.get("osType")) == expected

    @pytest.mark.parametrize(("depth", "offset"), [(7, 721), (None, None), (-1, -721)])
    def test_odd_screens_are_not_told(self, depth, offset):
        env = sent(browser=Browser("UA", color_depth=depth, time_zone_offset=offset, screen_width=0))["env"]

        assert not {"colorDepth", "timeZoneOffset"} & set(env)
        assert env["screenWidth"] == 0

    @pytest.mark.parametrize(("currency", "told"), [("BRL", True), ("EUR", False)])
    def test_latin_american_cards_come_with_an_address_for_mail(self, currency, told):
        http = transport(paid(paymentAmount={"currency": currency, "value": "30000"}))
        provider(http).start(ask(amount=Money(30000, currency), customer=Customer(email="a@example.com")))

        metadata = json.loads(http.requests[0].body)["paymentMethod"]["paymentMethodMetaData"]
        assert ("payerEmail" in metadata) is told

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"reference": "PAY 1"}, "reference"),
            ({"reference": "P" * 65}, "reference"),
            ({"order_reference": "Ö1"}, "reference"),
            ({"amount": Money(1000, "KWD")}, "currency"),
            ({"amount": Money(1000, "CHF")}, "currency"),
            ({"amount": Money(0, "EUR")}, "amount"),
            ({"amount": Money(10**16, "EUR")}, "amount"),
            ({"amount": Money(150_050, "IDR")}, "amount"),
            ({"return_url": "https://shop.example/" + "x" * 2048}, "url"),
            ({"method": "wallet"}, "method"),
            ({"card": None}, "method"),
            ({"card": None, "stored": StoredCard(TOKEN), "shopper_is_away": True}, "network_transaction_id"),
        ],
    )
    def test_what_cannot_work_is_not_sent(self, changes, code):
        http = transport(paid())
        with pytest.raises(Rejected) as caught:
            provider(http).start(ask(**changes))

        assert caught.value.code == code
        assert not http.requests

    @pytest.mark.parametrize("currency", sorted(mapping.CURRENCIES))
    def test_antoms_minor_units_are_those_of_iso_4217(self, currency):
        assert exponent(currency) == (0 if currency in {"CLP", "JPY", "KRW", "VND"} else 2)

    def test_half_a_character_breaks_nothing(self):
        assert "?" in sent(customer=Customer(name="\ud800"))["order"]["buyer"]["buyerName"]["fullName"]


# -------------------------------------------------------------------------------------------------- the answer to pay


def started(body: Mapping[str, Any], **changes: Any) -> Any:
    return provider(transport(body)).start(ask(**changes))


CARD_CODES = {code for code, one in mapping.CODES.items() if one.action in {Action.CARD, Action.NO}}
CFG_CODES = {code for code, one in mapping.CODES.items() if one.action is Action.CFG}
ASK_CODES = {code for code, one in mapping.CODES.items() if one.action is Action.ASK}

DECLINES = {
    "INVALID_CARD_NUMBER": "invalid_card",
    "INVALID_EXPIRATION_DATE": "invalid_card",
    "INVALID_CVV": "wrong_code",
    "CARD_EXPIRED": "expired_card",
    "CARD_NOT_SUPPORTED": "not_permitted",
    "DO_NOT_HONOR": "declined",
    "LOST_CARD": "declined",
    "STOLEN_CARD": "declined",
    "USER_BALANCE_NOT_ENOUGH": "insufficient_funds",
    "BALANCE_NOT_ENOUGH": "insufficient_funds",
    "PAYMENT_AMOUNT_EXCEED_LIMIT": "limit_exceeded",
    "PAYMENT_COUNT_EXCEED_LIMIT": "limit_exceeded",
    "AUTHENTICATION_REQUIRED": "authentication_required",
    "USER_PAYMENT_VERIFICATION_FAILED": "authentication_failed",
    "RISK_REJECT": "fraud",
    "FRAUD_REJECT": "fraud",
    "SUSPECTED_RISK": "fraud",
    "PAYMENT_PROHIBITED": "not_permitted",
    "PROCESS_FAIL": "processing_error",
    "SYSTEM_ERROR": "processing_error",
    "NEVER_HEARD_OF": "declined",
}


class TestPay:
    @pytest.mark.parametrize("code", sorted(CARD_CODES))
    def test_a_no_is_a_failed_payment(self, code):
        for more in ({}, about()):
            report = started(no(code, **more)).report

            assert report.status is Status.FAILED
            assert report.decline.code == code
            assert report.provider_reference == more.get("paymentId", "")

    @pytest.mark.parametrize(("code", "category"), DECLINES.items())
    def test_why(self, code, category):
        assert started(no(code)).report.decline == Decline(DeclineCategory(category), code)

    @pytest.mark.parametrize("code", sorted(CFG_CODES))
    def test_a_mistake_of_ours_is_rejected(self, code):
        with pytest.raises(Rejected) as caught:
            started(no(code))

        assert caught.value.code == code

    def test_a_payment_that_was_made_and_denied_is_a_no(self, caplog):
        report = started(no("ACCESS_DENIED", **about())).report

        assert (report.status, report.provider_reference) == (Status.FAILED, THEIRS)
        assert report.decline == Decline(DeclineCategory.DECLINED, "ACCESS_DENIED")
        assert "antom_declined_by_configuration" in caplog.text

    @pytest.mark.parametrize("code", sorted(ASK_CODES))
    @pytest.mark.parametrize("status", ["F", "U"])
    def test_what_may_exist_already_is_asked_about(self, code, status):
        with pytest.raises(OutcomeUnknown) as caught:
            started({"result": result(code, status), "paymentRequestId": OURS})

        assert caught.value.code == code

    @pytest.mark.parametrize("code", ["UNKNOWN_EXCEPTION", "REQUEST_TRAFFIC_EXCEED_LIMIT", "NEVER_HEARD_OF"])
    def test_an_unsure_answer_is_asked_about_even_with_an_id(self, code):
        with pytest.raises(OutcomeUnknown):
            started(unsure(code, **about()))

    def test_wrong_card_data_are_the_shoppers_mistake_or_ours(self):
        code = "INVALID_PAYMENT_METHOD_META_DATA"

        assert started(no(code)).report.decline == Decline(DeclineCategory.INVALID_CARD, code)
        assert started(no(code), card=None, stored=StoredCard(TOKEN)).report.status is Status.FAILED
        with pytest.raises(Rejected):
            started(no(code), card=None, method="card_page")

    @pytest.mark.parametrize("capture", ["automatic", "manual"])
    def test_a_yes_is_a_hold_however_it_will_be_captured(self, capture):
        done = started(paid(), capture=capture)

        assert (done.report.status, done.report.authorised, done.report.captured) == (Status.AUTHORISED, 30000, None)
        assert isinstance(done.step, Wait)

    def test_the_held_amount_is_theirs_and_else_what_was_asked_for(self):
        less = paid(paymentAmount={"currency": "EUR", "value": "29999"})
        silent = {key: value for key, value in paid().items() if key != "paymentAmount"}

        assert started(less).report.amount == Money(29999, "EUR")
        assert (started(silent).report.amount, started(silent).report.authorised) == (None, 30000)

    def test_a_token_in_the_answer_to_pay_is_not_taken(self):
        assert started(paid(paymentResultInfo={"cardToken": TOKEN})).report.token == ""

    @pytest.mark.parametrize(
        ("more", "step"),
        [
            ({"normalUrl": "https://a.example/x"}, Redirect("https://a.example/x")),
            (
                {"redirectActionForm": {"method": "GET", "redirectUrl": "https://a.example/y"}},
                Redirect("https://a.example/y"),
            ),
            (
                {
                    "normalUrl": "https://a.example/x",
                    "redirectActionForm": {"method": "GET", "redirectUrl": "https://a.example/y"},
                },
                Redirect("https://a.example/x"),
            ),
            (
                {
                    "normalUrl": "https://a.example/x",
                    "redirectActionForm": {
                        "method": "POST",
                        "redirectUrl": "https://a.example/y",
                        "parameters": {"MD": "1", "n": 2, "nested": {}},
                    },
                },
                PostForm("https://a.example/y", {"MD": "1", "n": "2"}),
            ),
            (
                {
                    "redirectActionForm": {
                        "method": "POST",
                        "redirectUrl": "https://a.example/y",
                        "parameters": "PaReq=a%2Bb&MD=",
                    }
                },
                PostForm("https://a.example/y", {"PaReq": "a+b", "MD": ""}),
            ),
            (
                {
                    "normalUrl": "https://a.example/x",
                    "redirectActionForm": {"method": "POST", "redirectUrl": "https://a.example/y", "parameters": []},
                },
                Redirect("https://a.example/x"),
            ),
            (
                {"redirectActionForm": {"method": "POST", "redirectUrl": "https://a.example/y"}},
                PostForm("https://a.example/y", {}),
            ),
            ({}, Wait()),
            ({"normalUrl": "javascript:alert(1)", "redirectActionForm": "x"}, Wait()),
            ({"normalUrl": ["https://a.example/x"]}, Wait()),
        ],
    )
    def test_where_the_shopper_goes(self, more, step):
        done = started(unsure("PAYMENT_IN_PROCESS", **about(), **more))

        assert done.step == step
        assert (done.report.status, done.report.provider_reference) == (Status.PENDING, THEIRS)

    def test_a_payment_of_no_name_and_without_a_page_is_asked_about(self):
        with pytest.raises(OutcomeUnknown):
            started(unsure("PAYMENT_IN_PROCESS", paymentRequestId=OURS))

    def test_a_page_while_the_shopper_is_away_is_a_failure(self):
        stored = StoredCard(TOKEN, network_transaction_id=NETWORK_ID)
        body = unsure("PAYMENT_IN_PROCESS", **about(), normalUrl="https://a.example/x")
        done = started(body, card=None, stored=stored, shopper_is_away=True)

        assert (done.report.status, done.report.provider_reference) == (Status.FAILED, THEIRS)
        assert done.report.decline == Decline(DeclineCategory.AUTHENTICATION_REQUIRED, "shopper_is_away")
        assert isinstance(done.step, Wait)

    def test_without_a_page_nobody_is_missed(self):
        stored = StoredCard(TOKEN, network_transaction_id=NETWORK_ID)
        done = started(unsure("PAYMENT_IN_PROCESS", **about()), card=None, stored=stored, shopper_is_away=True)

        assert (done.report.status, done.step) == (Status.PENDING, Wait())

    @pytest.mark.parametrize("theirs", ["PAY_2", None, 7])
    def test_an_answer_about_another_payment_is_none(self, theirs):
        for body in (paid(), unsure("PAYMENT_IN_PROCESS", **about(), normalUrl="https://a.example/x")):
            with pytest.raises(OutcomeUnknown):
                started({**body, "paymentRequestId": theirs})

    def test_a_hold_of_no_name_is_asked_about(self):
        with pytest.raises(OutcomeUnknown, match="id"):
            started({**paid(), "paymentId": ""})

    def test_a_3ds_run_done_elsewhere_is_kept(self):
        done = ExternalThreeDS("2.2.0", "06", "AAAB", "ds-1", "A")
        facts = started(paid(), external_three_ds=done).report.three_ds

        assert (facts.flow, facts.eci, facts.status, facts.downgraded) == ("external", "06", "A", True)


class TestPages:
    @time_machine.travel(PAID_AT, tick=False)
    @pytest.mark.parametrize(
        ("seconds", "expiry"),
        [(3600, None), (7200, None), (1800, "2025-01-01T00:30:00Z"), (300, "2025-01-01T00:05:00Z")],
    )
    def test_a_checkout_page_lives_no_longer_than_the_order(self, seconds, expiry):
        http = transport({"result": YES, "normalUrl": "https://a.example/checkout"})
        provider(http).start(ask(method="cashier", card=None, expires_in=seconds, locale="de-DE"))

        (one,) = http.requests
        fields = json.loads(one.body)
        assert one.path == f"{PREFIX}/payments/createPaymentSession"
        assert fields["productScene"] == "CHECKOUT_PAYMENT"
        assert fields["locale"] == "de-DE"
        assert fields.get("paymentSessionExpiryTime") == expiry
        assert not {"paymentMethod", "availablePaymentMethod", "paymentExpiryTime"} & set(fields)

    def test_a_checkout_page_asks_for_consent_and_3ds(self):
        http = transport({"result": YES, "normalUrl": "https://a.example/checkout"})
        provider(http).start(ask(method="cashier", store_card=True, three_ds=ThreeDSWish.FORCE))

        offered = json.loads(http.requests[0].body)["availablePaymentMethod"]
        assert offered == {"paymentMethodMetaData": {"is3DSAuthentication": True, "tokenizeMode": "ASKFORCONSENT"}}

    @pytest.mark.parametrize("code", ["PROCESS_FAIL", "CARD_NOT_SUPPORTED"])
    def test_a_page_may_be_refused(self, code):
        assert started(no(code), method="cashier", card=None).report.status is Status.FAILED

    @pytest.mark.parametrize("code", ["PARAM_ILLEGAL", "NO_PAY_OPTIONS"])
    def test_a_page_that_we_asked_for_wrongly_is_rejected(self, code):
        with pytest.raises(Rejected):
            started(no(code), method="cashier", card=None)

    @pytest.mark.parametrize("body", [{"result": YES}, unsure("UNKNOWN_EXCEPTION"), unsure("PAYMENT_IN_PROCESS")])
    def test_a_page_that_is_none_is_asked_about(self, body):
        with pytest.raises(OutcomeUnknown):
            started(body, method="cashier", card=None)

    def test_a_card_page_is_asked_for_without_a_card(self):
        assert sent(method="card_page", card=None)["paymentMethod"] == {"paymentMethodType": "CARD"}
        assert sent(method="card_page", card=None, store_card=True)["paymentMethod"]["paymentMethodMetaData"] == {
            "tokenize": True
        }

    @pytest.mark.parametrize(
        ("after", "changes", "status", "absent", "awaits"),
        [
            (timedelta(minutes=5), {}, Status.PENDING, False, True),
            (timedelta(minutes=60), {}, Status.PENDING, False, True),
            (timedelta(minutes=62), {}, Status.EXPIRED, False, False),
            (timedelta(minutes=5), {"method": "card"}, None, True, False),
            (timedelta(minutes=5), {"method": "card_page"}, None, True, False),
            (timedelta(minutes=5), {"created_at": None}, None, True, False),
            (timedelta(minutes=5), {"provider_reference": THEIRS}, None, True, False),
        ],
    )
    def test_a_checkout_page_that_nobody_submitted_is_unknown_to_them(self, after, changes, status, absent, awaits):
        facts = {"method": "cashier", "provider_reference": "", **changes}
        with time_machine.travel(PAID_AT + after, tick=False):
            report = provider(transport(no("ORDER_NOT_EXIST"))).fetch(ref(**facts))

        assert (report.status, report.absent, report.awaits_shopper) == (status, absent, awaits)


# ------------------------------------------------------------------------------------------------------------ the truth


def fetched(body: Mapping[str, Any], **changes: Any) -> PaymentReport:
    return provider(transport(body)).fetch(ref(**changes))


class TestFetch:
    @pytest.mark.parametrize(
        ("rows", "money"),
        [
            (None, (30000, None, None, None)),
            ([], (30000, None, None, None)),
            ([transaction("CAPTURE", "PROCESSING")], (30000, None, None, None)),
            ([transaction("CAPTURE", "PENDING")], (30000, None, None, None)),
            ([transaction("CAPTURE", "FAIL")], (30000, None, None, None)),
            ([transaction("CAPTURE", "SUCCESS")], (30000, 30000, None, None)),
            ([transaction("CAPTURE", "SUCCESS", 12000)], (30000, 12000, None, 18000)),
            ([transaction("CAPTURE", "SUCCESS", 12000, captureType="NON_FINAL")], (30000, 12000, None, None)),
            (
                [
                    transaction("CAPTURE", "SUCCESS", 12000, "A", captureType="NON_FINAL"),
                    transaction("CAPTURE", "SUCCESS", 8000, "B", captureType="FINAL"),
                ],
                (30000, 20000, None, 10000),
            ),
            (
                [transaction("CAPTURE", "SUCCESS", 12000, "A"), transaction("CAPTURE", "PROCESSING", 8000, "B")],
                (30000, 12000, None, None),
            ),
            (
                [transaction("CAPTURE", "FAIL", 30000, "A"), transaction("CAPTURE", "SUCCESS", 30000, "B")],
                (30000, 30000, None, None),
            ),
            ([transaction("CAPTURE", "SUCCESS"), transaction("CAPTURE", "SUCCESS")], (30000, 30000, None, None)),
            (
                [
                    transaction("CAPTURE", "SUCCESS", 30000, "A"),
                    transaction("REFUND", "SUCCESS", 5000, "B"),
                    transaction("REFUND", "SUCCESS", 5000, "C"),
                    transaction("REFUND", "PROCESSING", 1000, "D"),
                    transaction("REFUND", "FAIL", 1000, "E"),
                    transaction("VOID", "SUCCESS", 1000, "F"),
                    transaction("AUTHORIZATION", "SUCCESS", 1000, "G"),
                ],
                (30000, 30000, 10000, None),
            ),
        ],
    )
    def test_captures_and_refunds_are_added_up(self, rows, money):
        report = fetched(paid(transactions=rows))

        assert (report.authorised, report.captured, report.refunded, report.released) == money
        assert report.status is (Status.CAPTURED if money[1] else Status.AUTHORISED)

    @pytest.mark.parametrize(
        "rows",
        [
            {},
            "x",
            [None],
            [[]],
            [{"transactionStatus": "SUCCESS"}],
            [transaction("CAPTURE", "SUCCESS", transactionAmount=None)],
            [transaction("CAPTURE", "SUCCESS", transactionAmount={"currency": "USD", "value": "1"})],
            [transaction("CAPTURE", "SUCCESS", transactionAmount={"currency": "EUR", "value": "1.5"})],
            [transaction("REFUND", "SUCCESS", transactionAmount={"currency": "EUR", "value": "-1"})],
        ],
    )
    def test_money_that_cannot_be_read_is_no_answer(self, rows):
        with pytest.raises(OutcomeUnknown):
            fetched(paid(transactions=rows))

    @pytest.mark.parametrize("name", ["paymentAmount", "paymentRequestId"])
    def test_an_answer_that_lacks_the_essential_is_none(self, name):
        body = {key: value for key, value in paid().items() if key != name}
        with pytest.raises(OutcomeUnknown):
            fetched(body)

    def test_a_capture_of_an_unknown_state_is_under_way_and_logged(self, caplog):
        report = fetched(paid(transactions=[transaction("CAPTURE", "SETTLING", 12000)]))

        assert (report.status, report.captured) == (Status.AUTHORISED, None)
        assert "antom_transaction_status_unknown" in caplog.text

    def test_an_unknown_state_of_a_payment_is_open_and_logged(self, caplog):
        assert fetched({**paid(), "paymentStatus": "FROZEN"}).status is Status.PENDING
        assert "antom_status_unknown reference=PAY_1 status=FROZEN" in caplog.text

    @pytest.mark.parametrize(
        ("word", "released", "review"), [("CANCELLED", 18000, ""), ("FAIL", 18000, "contradictory")]
    )
    def test_money_that_was_taken_wins_over_any_word(self, word, released, review):
        rows = [transaction("CAPTURE", "SUCCESS", 12000)]
        report = fetched({**paid(transactions=rows), "paymentStatus": word})

        assert (report.status, report.captured, report.released) == (Status.CAPTURED, 12000, released)
        assert report.review == review

    @pytest.mark.parametrize(
        ("capture", "words", "review"),
        [
            ("automatic", ["FAIL"], "capture_failed"),
            ("automatic", ["FAIL", "PROCESSING"], ""),
            ("automatic", ["PROCESSING"], ""),
            ("automatic", [], ""),
            ("manual", ["FAIL"], ""),
        ],
    )
    def test_an_automatic_capture_that_failed_needs_a_person(self, capture, words, review):
        rows = [transaction("CAPTURE", word, 30000, f"A{number}") for number, word in enumerate(words)]
        report = fetched(paid(transactions=rows), capture=capture)

        assert (report.status, report.authorised, report.review) == (Status.AUTHORISED, 30000, review)

    @pytest.mark.parametrize(
        ("verdict", "status", "review"),
        [
            ("PROCESSING", Status.PENDING, ""),
            ("ACCEPT", Status.AUTHORISED, ""),
            ("REJECT", Status.AUTHORISED, "auth_review_rejected"),
            ("", Status.AUTHORISED, ""),
        ],
    )
    def test_a_hold_may_be_looked_at_by_a_person(self, verdict, status, review):
        for report in (fetched(paid(authReviewStatus=verdict)), started(paid(authReviewStatus=verdict)).report):
            assert (report.status, report.review) == (status, review)
            assert report.authorised == (30000 if status is Status.AUTHORISED else None)

    @pytest.mark.parametrize(("code", "category"), DECLINES.items())
    def test_why_it_failed(self, code, category):
        body = {**paid(), "paymentStatus": "FAIL", "paymentResultCode": code}

        assert fetched(body).decline == Decline(DeclineCategory(category), code)

    @pytest.mark.parametrize(
        ("code", "status"), [("ORDER_IS_CLOSED", Status.EXPIRED), ("ORDER_IS_CANCELED", Status.CANCELLED)]
    )
    def test_how_an_unpaid_payment_ended(self, code, status):
        report = fetched({**paid(), "paymentStatus": "FAIL", "paymentResultCode": code})

        assert (report.status, report.decline.category) == (status, DeclineCategory.ABANDONED)

    @pytest.mark.parametrize("code", ["PROCESS_FAIL", "SYSTEM_ERROR", "INVALID_MERCHANT_STATUS", "NEVER_HEARD_OF"])
    def test_an_inquiry_that_failed_says_nothing(self, code):
        with pytest.raises(OutcomeUnknown) as caught:
            fetched(no(code))

        assert caught.value.code == code

    @pytest.mark.parametrize("code", ["UNKNOWN_EXCEPTION", "REQUEST_TRAFFIC_EXCEED_LIMIT", "PAYMENT_IN_PROCESS"])
    def test_an_inquiry_may_have_to_be_repeated(self, code):
        with pytest.raises(OutcomeUnknown):
            fetched(unsure(code, **about()))

    def test_an_unsure_answer_that_it_does_not_exist_is_none(self):
        with pytest.raises(OutcomeUnknown):
            fetched(unsure("ORDER_NOT_EXIST"))

    @pytest.mark.parametrize("code", sorted(mapping.REFUSED_REQUESTS))
    def test_an_inquiry_may_be_rejected(self, code):
        with pytest.raises(Rejected):
            fetched(no(code))

    @pytest.mark.parametrize(
        ("known", "asked"),
        [
            (THEIRS, {"paymentId": THEIRS, "paymentRequestId": OURS}),
            ("", {"paymentRequestId": OURS}),
        ],
    )
    def test_it_is_asked_for_by_their_id_and_ours(self, known, asked):
        assert json.loads(sent_by(provider, "fetch", provider_reference=known).body) == asked

    @pytest.mark.parametrize("value", ["30000", 30000])
    def test_an_amount_may_be_a_text_or_a_number(self, value):
        assert fetched(paid(paymentAmount={"currency": "EUR", "value": value})).amount == Money(30000, "EUR")

    def test_an_id_may_be_a_number(self):
        assert fetched({**paid(), "paymentId": 20250101}).provider_reference == "20250101"


# ---------------------------------------------------------------------------------------------------------- operations

NOT_THERE = no("ORDER_NOT_EXIST")
REFUSALS = {
    "capture": {
        *("AUTH_NOT_FOUND", "AUTH_EXPIRED", "AUTH_CANCELLED", "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"),
        *("MULTI_CAPTURE_NOT_SUPPORTED", "PAYMENT_COUNT_EXCEED_LIMIT", "CURRENCY_NOT_SUPPORT", "ORDER_STATUS_INVALID"),
        *("ORDER_IS_CANCELED", "USER_AMOUNT_EXCEED_LIMIT", "USER_BALANCE_NOT_ENOUGH", "USER_NOT_EXIST"),
        *("USER_STATUS_ABNORMAL", "RISK_REJECT", "INVALID_CONTRACT", "NO_PAY_OPTIONS", "PROCESS_FAIL"),
    },
    "cancel": {
        *("ORDER_STATUS_INVALID", "ORDER_NOT_EXIST", "CANCEL_WINDOW_EXCEED", "PAYMENT_METHOD_NOT_SUPPORTED"),
        *("MERCHANT_BALANCE_NOT_ENOUGH", "USER_NOT_EXIST", "USER_STATUS_ABNORMAL", "PROCESS_FAIL", "SYSTEM_ERROR"),
    },
    "refund": {
        *("ORDER_IS_CANCELED", "CURRENCY_NOT_SUPPORT", "ORDER_STATUS_INVALID", "ORDER_NOT_EXIST", "ORDER_IS_CLOSED"),
        *("PAYMENT_METHOD_NOT_SUPPORTED", "REFUND_AMOUNT_EXCEED", "REFUND_WINDOW_EXCEED", "REFUND_NOT_SUPPORTED"),
        *("PARTIAL_REFUND_NOT_SUPPORTED", "MULTIPLE_REFUNDS_NOT_SUPPORTED", "MERCHANT_BALANCE_NOT_ENOUGH"),
        *("PROCESS_FAIL", "SYSTEM_ERROR", "INVALID_MERCHANT_STATUS", "NEVER_HEARD_OF"),
    },
}
EACH_REFUSAL = [(call, code) for call, codes in REFUSALS.items() for code in sorted(codes)]
PATHS = {"capture": "/payments/capture", "cancel": "/payments/cancel", "refund": "/payments/refund"}


def operate(call: str, *bodies: Any, **changes: Any) -> Any:
    return getattr(provider(transport(*bodies)), call)(operation(**changes))


class TestOperations:
    def test_what_is_sent(self):
        bodies = {}
        for call in (*PATHS, "fetch_refund"):
            http = transport({"result": result("UNKNOWN_EXCEPTION", "U")})
            with pytest.raises(OutcomeUnknown):
                getattr(provider(http, merchant_account_id="BERLIN"), call)(operation())
            bodies[http.requests[0].path.removeprefix(PREFIX)] = json.loads(http.requests[0].body)

        price = {"currency": "EUR", "value": "10000"}
        assert bodies == {
            "/payments/capture": {
                "captureRequestId": "OP_1",
                "paymentId": THEIRS,
                "captureAmount": price,
                "captureType": "FINAL",
            },
            "/payments/cancel": {"paymentId": THEIRS, "paymentRequestId": OURS, "merchantAccountId": "BERLIN"},
            "/payments/refund": {
                "refundRequestId": "OP_1",
                "paymentId": THEIRS,
                "refundAmount": price,
                "refundReason": "came back",
                "refundNotifyUrl": HOOK,
            },
            "/payments/inquiryRefund": {"refundRequestId": "OP_1", "merchantAccountId": "BERLIN"},
        }

    def test_a_url_that_is_too_long_for_a_refund_is_left_to_the_dashboard(self):
        http = transport({"result": result("UNKNOWN_EXCEPTION", "U")})
        with pytest.raises(OutcomeUnknown):
            provider(http).refund(operation(webhook_url="https://desk.example/" + "x" * 1024, reason=""))

        assert not {"refundNotifyUrl", "refundReason"} & set(json.loads(http.requests[0].body))

    @pytest.mark.parametrize(("call", "code"), EACH_REFUSAL)
    def test_a_no_counts_when_they_know_of_nothing(self, call, code):
        known = paid() if call != "refund" else NOT_THERE
        report = operate(call, no(code), known)

        assert (report.status, report.error_code, report.reference) == (OperationStatus.FAILED, code, "OP_1")

    @pytest.mark.parametrize("call", PATHS)
    @pytest.mark.parametrize("code", ["ORDER_STATUS_INVALID", "REPEAT_REQ_INCONSISTENT", "PARAM_ILLEGAL"])
    @pytest.mark.parametrize("word", ["SUCCESS", "PROCESSING"])
    def test_a_no_to_a_repetition_of_what_has_happened_is_none(self, call, code, word):
        rows = [transaction("CAPTURE", word, 10000)]
        refund = {"result": YES, "refundRequestId": "OP_1", "refundStatus": word}
        known = {
            "capture": paid(transactions=rows),
            "cancel": {**paid(), "paymentStatus": "CANCELLED"},
            "refund": refund,
        }
        report = operate(call, no(code), known[call])

        done = word == "SUCCESS" or call == "cancel"
        assert report.status is (OperationStatus.SUCCEEDED if done else OperationStatus.PENDING)

    @pytest.mark.parametrize("call", PATHS)
    @pytest.mark.parametrize("code", ["SYSTEM_ERROR", "ORDER_STATUS_INVALID", "PARAM_ILLEGAL"])
    def test_a_no_that_cannot_be_confirmed_is_unknown(self, call, code):
        with pytest.raises(OutcomeUnknown) as caught:
            operate(call, no(code), unsure("UNKNOWN_EXCEPTION"))

        assert caught.value.code == code

    @pytest.mark.parametrize("call", PATHS)
    def test_a_no_is_unknown_when_the_inquiry_is_rejected(self, call):
        with pytest.raises(OutcomeUnknown):
            operate(call, no("ORDER_STATUS_INVALID"), no("KEY_NOT_FOUND"))

    @pytest.mark.parametrize("call", PATHS)
    @pytest.mark.parametrize("code", sorted(mapping.REFUSED_REQUESTS))
    def test_a_mistake_of_ours_is_rejected(self, call, code):
        for known in (NOT_THERE, no(code)):
            with pytest.raises(Rejected) as caught:
                operate(call, no(code), known)

            assert caught.value.code == code

    @pytest.mark.parametrize("call", ["capture", "refund"])
    def test_a_reference_that_they_know_with_another_amount_is_asked_about(self, call):
        with pytest.raises(OutcomeUnknown):
            operate(call, no("REPEAT_REQ_INCONSISTENT"), NOT_THERE)

    @pytest.mark.parametrize("call", [*PATHS, "fetch_refund"])
    @pytest.mark.parametrize("code", ["UNKNOWN_EXCEPTION", "REQUEST_TRAFFIC_EXCEED_LIMIT", "NEVER_HEARD_OF"])
    def test_an_unsure_answer_is_asked_about(self, call, code):
        with pytest.raises(OutcomeUnknown) as caught:
            operate(call, unsure(code))

        assert caught.value.code == code

    @pytest.mark.parametrize(
        ("call", "kind"), [("capture", "capture"), ("refund", "refund"), ("fetch_refund", "refund")]
    )
    @pytest.mark.parametrize("theirs", ["OP_2", None, 7])
    def test_an_answer_about_another_operation_is_none(self, call, kind, theirs):
        body = {"result": YES, f"{kind}RequestId": theirs, "refundStatus": "SUCCESS"}
        for one in (body, {"result": YES, "refundStatus": "SUCCESS"}):
            with pytest.raises(OutcomeUnknown):
                operate(call, one)

    def test_an_answer_about_another_cancellation_is_none(self):
        for body in ({"result": YES, "paymentRequestId": "PAY_2"}, {"result": YES}):
            with pytest.raises(OutcomeUnknown):
                operate("cancel", body)

    @pytest.mark.parametrize(("call", "kind"), [("capture", "capture"), ("refund", "refund")])
    def test_what_was_really_moved_is_told(self, call, kind):
        price = {"currency": "EUR", "value": "9999"}
        report = operate(call, {"result": YES, f"{kind}RequestId": "OP_1", f"{kind}Id": "T1", f"{kind}Amount": price})

        assert (report.status, report.amount) == (OperationStatus.SUCCEEDED, Money(9999, "EUR"))
        assert report.provider_reference == "T1"

    @pytest.mark.parametrize(("call", "kind"), [("capture", "capture"), ("refund", "refund")])
    @pytest.mark.parametrize("price", ["x", {"value": "1"}, {"currency": "EUR", "value": "0.5"}, [], 7])
    def test_an_amount_that_cannot_be_read_is_no_answer(self, call, kind, price):
        with pytest.raises(OutcomeUnknown):
            operate(call, {"result": YES, f"{kind}RequestId": "OP_1", f"{kind}Amount": price})

    @pytest.mark.parametrize("call", ["capture", "refund"])
    def test_without_their_id_of_the_payment_nothing_is_sent(self, call):
        http = transport({})
        with pytest.raises(Rejected, match="not known"):
            getattr(provider(http), call)(operation(payment=ref(provider_reference="")))

        assert not http.requests

    def test_a_payment_whose_answer_was_lost_is_closed_by_our_own_reference(self):
        http = transport({"result": YES, "paymentId": THEIRS, "paymentRequestId": OURS})
        report = provider(http).cancel(operation(payment=ref(provider_reference="")))

        assert report.status is OperationStatus.SUCCEEDED
        assert json.loads(http.requests[0].body) == {"paymentRequestId": OURS}

    @pytest.mark.parametrize("call", ["capture", "refund"])
    @pytest.mark.parametrize("amount", [Money(150_050, "IDR"), Money(100, "KWD")])
    def test_an_amount_that_cannot_work_is_not_sent(self, call, amount):
        http = transport({})
        with pytest.raises(Rejected):
            getattr(provider(http), call)(operation(amount=amount))

        assert not http.requests

    def test_a_capture_that_was_listed_without_a_name_may_be_this_one(self):
        rows = [transaction("CAPTURE", "SUCCESS", 10000, transactionRequestId=None)]
        with pytest.raises(OutcomeUnknown):
            operate("capture", no("ORDER_STATUS_INVALID"), paid(transactions=rows))

    def test_a_capture_that_they_list_as_failed_has_failed(self):
        rows = [transaction("CAPTURE", "FAIL", 10000), transaction("CAPTURE", "SUCCESS", 10000, "OP_2")]
        report = operate("capture", no("PROCESS_FAIL"), paid(transactions=rows))

        assert (report.status, report.error_code) == (OperationStatus.FAILED, "PROCESS_FAIL")

    def test_a_cancellation_of_a_payment_that_failed_lets_nothing_go(self):
        report = operate("cancel", no("ORDER_STATUS_INVALID"), {**paid(), "paymentStatus": "FAIL"})

        assert report.status is OperationStatus.FAILED

    @pytest.mark.parametrize("word", ["", "SETTLING", None])
    def test_an_unknown_state_of_a_refund_is_pending_and_logged(self, word, caplog):
        report = operate("fetch_refund", {"result": YES, "refundRequestId": "OP_1", "refundStatus": word})

        assert report.status is OperationStatus.PENDING
        assert "antom_refund_status_unknown" in caplog.text


# ---------------------------------------------------------------------------------------------------- whom we believe


class Answers(Http):
    """One answer, exactly so."""

    def __init__(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("https://provider.test")
        self.answer = HttpAnswer(status, headers or {}, body if isinstance(body, bytes) else compact(body))

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        return self.answer


def signed(body: Any, path: str = f"{PREFIX}/payments/inquiryPayment", **changes: Any) -> dict[str, str]:
    return answer_headers(path, compact(body), changes.pop("key", key_pair("theirs").key), **changes)


class TestTrust:
    @pytest.mark.parametrize("code", sorted(mapping.BELIEVED_UNSIGNED))
    @pytest.mark.parametrize("status", ["F", "U"])
    def test_the_gateway_does_not_sign_that_it_rejects_our_signature(self, code, status):
        with pytest.raises(Rejected) as caught:
            provider(Answers({"result": result(code, status)})).fetch(ref())

        assert caught.value.code == code

    @pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "DO_NOT_HONOR", "PARAM_ILLEGAL", "PROCESS_FAIL"])
    @pytest.mark.parametrize("call", ["start", "fetch"])
    def test_no_other_unsigned_failure_is_believed(self, code, call):
        one = provider(Answers(no(code)))
        with pytest.raises(OutcomeUnknown) as caught:
            one.start(ask()) if call == "start" else one.fetch(ref())

        assert caught.value.code == "unsigned"

    @pytest.mark.parametrize("code", ["SUCCESS", "INVALID_SIGNATURE"])
    def test_an_unsigned_success_is_an_alarm(self, code, caplog):
        with pytest.raises(OutcomeUnknown):
            provider(Answers({**paid(), "result": result(code, "S")})).fetch(ref())

        (alarm,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert alarm.getMessage().startswith("antom_unsigned_success path=/ams/sandbox/api/v1/payments/inquiryPayment")

    @pytest.mark.parametrize(
        "headers",
        [
            signed(paid(), key=key_pair("a stranger's").key),
            signed(paid(), path=f"{PREFIX}/payments/pay"),
            signed(paid(), path="/ams/api/v1/payments/inquiryPayment"),
            signed(paid(), client_id="SANDBOX_5Y00000000000ELSE"),
            {**signed(paid()), "response-time": "2025-01-01T00:00:02Z"},
            {**signed(paid()), "signature": "algorithm=RSA256,keyVersion=1,signature=AAAA"},
            {**signed(paid()), "signature": "nonsense"},
            signed(no("INVALID_SIGNATURE")),
        ],
    )
    def test_a_wrong_signature_is_an_alarm(self, headers, caplog):
        with pytest.raises(OutcomeUnknown) as caught:
            provider(Answers(paid(), headers=headers)).fetch(ref())

        assert caught.value.code == "bad_signature"
        assert [one for one in caplog.records if one.levelno == logging.ERROR]

    def test_a_wrong_signature_makes_even_a_rejection_none(self):
        body = no("INVALID_SIGNATURE")
        with pytest.raises(OutcomeUnknown):
            provider(Answers(body, headers=signed(body, key=key_pair("a stranger's").key))).fetch(ref())

    @pytest.mark.parametrize("status", [201, 202, 301, 400, 401, 403, 404, 429, 500, 503])
    def test_another_http_status_is_no_answer(self, status):
        for body in (paid(), NOT_THERE, no("DO_NOT_HONOR")):
            with pytest.raises(OutcomeUnknown) as caught:
                provider(Answers(body, status, signed(body))).fetch(ref())
            assert caught.value.code == f"http_{status}"

    @pytest.mark.parametrize("status", [400, 401, 500])
    def test_a_mistake_of_ours_is_one_with_any_http_status(self, status):
        with pytest.raises(Rejected):
            provider(Answers(no("INVALID_SIGNATURE"), status)).fetch(ref())
        body = no("NO_INTERFACE_DEF")
        with pytest.raises(Rejected):
            provider(Answers(body, status, signed(body))).fetch(ref())

    @pytest.mark.parametrize(
        "body",
        [
            {"result": {}},
            {"result": {"resultStatus": "S"}},
            {"result": {"resultStatus": "X", "resultCode": "SUCCESS"}},
            {"result": {"resultStatus": "S", "resultCode": "success!"}},
            {"result": []},
            {},
            [],
        ],
    )
    def test_an_answer_without_a_result_is_none(self, body):
        with pytest.raises(OutcomeUnknown) as caught:
            provider(Answers(body, headers=signed(body))).fetch(ref())

        assert caught.value.code == "unreadable"

    def test_no_connection_means_that_nothing_was_sent(self):
        with pytest.raises(Unreachable):
            provider(Http("http://127.0.0.1:1", connect_seconds=0.2)).start(ask())


# ------------------------------------------------------------------------------------------------------- notifications


def notice(verdict: Mapping[str, str] = YES, kind: str = "PAYMENT_RESULT", **more: Any) -> dict[str, Any]:
    return {"notifyType": kind, **about(), "result": verdict, **more}


class TestNotifications:
    @pytest.mark.parametrize(
        ("fields", "event"),
        [
            (notice(), f"PAYMENT_RESULT:{THEIRS}:S:-"),
            (notice(result("PROCESS_FAIL", "F")), f"PAYMENT_RESULT:{THEIRS}:F:-"),
            (notice(authReviewStatus="ACCEPT"), f"PAYMENT_RESULT:{THEIRS}:S:ACCEPT"),
            (notice(kind="PAYMENT_PENDING"), f"PAYMENT_PENDING:{THEIRS}:S:-"),
            (notice(kind="CAPTURE_RESULT", captureId="C1"), "CAPTURE_RESULT:C1:S"),
            (notice(kind="REFUND_RESULT", refundId="R1", refundStatus="FAIL"), "REFUND_RESULT:R1:FAIL"),
            ({"disputeNotificationType": "DISPUTE_JUDGED", "disputeId": "D1"}, "DISPUTE:D1:DISPUTE_JUDGED"),
            ({"vaultingRequestId": "V1", "result": YES}, "VAULTING:V1:S"),
        ],
    )
    def test_what_tells_an_event_from_another(self, fields, event):
        later = {**fields, "acquirerInfo": {"acquirerName": "another"}}
        for one in (fields, later):
            assert provider(Canned(b"")).verify_webhook(delivery(one, key_pair("theirs").key)) == event

    @pytest.mark.parametrize(
        "fields",
        [
            notice(kind="CAPTURE_RESULT", captureId="x" * 65),
            notice(kind="REFUND_RESULT", refundId="a b", refundStatus="SUCCESS"),
            notice(paymentId=None),
            notice(kind="A" * 64, paymentId="9" * 64),
            {"a": 1},
        ],
    )
    def test_an_event_without_good_ids_is_told_by_its_bytes(self, fields):
        one = delivery(fields, key_pair("theirs").key)
        event = provider(Canned(b"")).verify_webhook(one)

        assert event.endswith(one.digest)
        assert len(event) <= 100

    @pytest.mark.parametrize("query", ["", "?a=1", "?"])
    def test_the_signed_path_may_or_may_not_have_the_query(self, query):
        key = key_pair("theirs").key
        for path in (HOOK_PATH, HOOK_PATH + query):
            arrived = dataclasses.replace(delivery(notice(), key, path=path), path=HOOK_PATH + query)
            assert provider(Canned(b"")).verify_webhook(arrived)

        with pytest.raises(BadSignature):
            provider(Canned(b"")).verify_webhook(dataclasses.replace(arrived, path="/webhooks/antom/other/"))

    def test_another_clients_notification_is_refused(self):
        theirs = delivery(notice(), key_pair("theirs").key, client_id="SANDBOX_5Y00000000000ELSE")

        with pytest.raises(BadSignature) as caught:
            provider(Canned(b"")).verify_webhook(theirs)
        assert caught.value.code == "other_client"

    def test_the_time_is_signed_too(self):
        genuine = delivery(notice(), key_pair("theirs").key)
        later = {**genuine.headers, "Request-Time": "2025-01-01T08:00:06+08:00"}

        with pytest.raises(BadSignature):
            provider(Canned(b"")).verify_webhook(dataclasses.replace(genuine, headers=later))

    @pytest.mark.parametrize("body", [b"[]", b"7", b"{", b"[" * 50_000, b'{"a":' * 50_000, b"\xff", b"1" * 5000])
    def test_what_is_no_message_is_refused_even_with_a_genuine_signature(self, body):
        genuine = delivery(body, key_pair("theirs").key)

        with pytest.raises(BadSignature) as caught:
            provider(Canned(b"")).verify_webhook(genuine)
        assert caught.value.code == "unreadable"

    @pytest.mark.parametrize(
        "fields",
        [
            notice(paymentAmount=None),
            notice(paymentAmount={"currency": "EUR", "value": "x"}),
            notice(result("SUCCESS", "X")),
            notice({}),
            notice(kind="SOMETHING_NEW"),
            notice(kind="CAPTURE_RESULT"),
            notice(result("PROCESS_FAIL", "F"), kind="CAPTURE_RESULT"),
        ],
    )
    def test_what_cannot_be_believed_makes_us_ask(self, fields):
        (report,) = heard(fields)

        assert isinstance(report, Hint)
        assert (report.reference, report.provider_reference) == (OURS, THEIRS)

    @pytest.mark.parametrize(
        "fields",
        [
            {"notifyType": "SOMETHING_NEW"},
            {"notifyType": "CAPTURE_RESULT", "captureId": "C1", "result": YES},
            notice(paymentId="\x00", paymentRequestId="\x00", paymentAmount=7),
            {"notifyType": 7},
            {"vaultingRequestId": "V1", "result": YES, "paymentMethodDetail": {"card": {"cardToken": TOKEN}}},
        ],
    )
    def test_what_is_about_nothing_says_nothing(self, fields):
        assert heard(fields) == []

    def test_an_unsure_payment_is_open(self):
        (report,) = heard(notice(result("UNKNOWN_EXCEPTION", "U")))

        assert report.status is Status.PENDING

    @pytest.mark.parametrize(("code", "category"), DECLINES.items())
    def test_why_it_failed(self, code, category):
        (report,) = heard(notice(result(code, "F")))

        assert (report.status, report.decline) == (Status.FAILED, Decline(DeclineCategory(category), code))

    @pytest.mark.parametrize(
        ("verdict", "code", "error"),
        [
            ("FAIL", "PROCESS_FAIL", "PROCESS_FAIL"),
            ("FAIL", "SUCCESS", "FAIL"),
            ("SUCCESS", "PROCESS_FAIL", ""),
            ("PROCESSING", "SUCCESS", ""),
        ],
    )
    def test_a_refunds_own_status_decides(self, verdict, code, error):
        fields = {"notifyType": "REFUND_RESULT", "refundRequestId": "REF_1", "refundId": "R1", "refundStatus": verdict}
        (report,) = heard({**fields, "result": result(code, "F")})

        assert report.status is mapping.REFUND_STATES[verdict]
        assert report.error_code == error

    @pytest.mark.parametrize(
        ("kind", "verdict", "status", "stage"),
        [
            ("DISPUTE_CREATED", None, DisputeStatus.OPEN, "created"),
            ("DISPUTE_JUDGED", "ACCEPT_BY_CUSTOMER", DisputeStatus.WON, "judged"),
            ("DISPUTE_JUDGED", "ACCEPT_BY_MERCHANT", DisputeStatus.LOST, "judged"),
            ("DISPUTE_JUDGED", "SPLIT", DisputeStatus.OPEN, "judged"),
            ("DEFENSE_SUPPLIED", None, DisputeStatus.OPEN, "defense_supplied"),
            ("DEFENSE_DUE_ALERT", None, DisputeStatus.OPEN, "defense_due_alert"),
            ("DISPUTE_CANCELLED", None, DisputeStatus.WON, "cancelled"),
            ("DISPUTE_ACCEPTED", None, DisputeStatus.LOST, "accepted"),
            ("RDR_RESOLVED", None, DisputeStatus.LOST, "rdr_resolved"),
            ("DISPUTE_ESCALATED", None, DisputeStatus.OPEN, "escalated"),
            (None, None, DisputeStatus.OPEN, "unknown"),
        ],
    )
    def test_a_dispute(self, kind, verdict, status, stage, caplog):
        fields = {"disputeNotificationType": kind, "disputeId": "D1", **about(), "disputeJudgedResult": verdict}
        (report,) = heard({**fields, "disputeAmount": PRICE, "disputeType": "CHARGEBACK"})

        assert (report.status, report.stage, report.amount) == (status, stage, Money(30000, "EUR"))
        assert (report.provider_reference, report.category) == ("D1", "chargeback")
        assert ("antom_dispute_unknown" in caplog.text) is (stage in {"escalated", "unknown"} or verdict == "SPLIT")

    @pytest.mark.parametrize(
        ("due", "told"),
        [
            ("2025-02-11T00:00:00Z", "2025-02-11T00:00:00+00:00"),
            ("2025-02-11T00:00:00+08:30", "2025-02-11T00:00:00+08:30"),
            ("2025-02-11T00:00:00", ""),
            ("soon", ""),
            (7, ""),
        ],
    )
    def test_until_when_a_dispute_can_be_answered(self, due, told):
        fields = {"disputeNotificationType": "DISPUTE_CREATED", "disputeId": "D1", **about()}
        (report,) = heard({**fields, "defenseDueTime": due, "disputeAmount": "x"})

        assert (report.respond_by, report.amount) == (told, None)

    def test_a_refusal_is_no_acknowledgement(self):
        reply = provider(Canned(b"")).reply(accepted=False)

        assert reply.status == 401
        assert json.loads(reply.body)["result"]["resultStatus"] == "F"


# --------------------------------------------------------------------------------------------------------------- facts


def told_of(**info: Any) -> PaymentReport:
    """What an inquiry with this ``paymentResultInfo`` says."""
    return fetched(paid(paymentResultInfo=info))


class TestFacts:
    @pytest.mark.parametrize(
        ("word", "told"),
        [
            *[(word, f"{word} (full)") for word in "DFHMXY"],
            *[(word, f"{word} (address only)") for word in "ABOQ"],
            *[(word, f"{word} (postcode only)") for word in "LPWZ"],
            ("N", "N (none)"),
            *[(word, f"{word} (unchecked)") for word in "CEGIKRSU04"],
            *[("", ""), (None, ""), ("x" * 20, ""), (4, "4 (unchecked)")],
        ],
    )
    def test_the_address_check(self, word, told):
        assert told_of(avsResultRaw=word).avs_result == told
        assert len(told) <= 20

    @pytest.mark.parametrize(
        ("word", "told"),
        [
            ("Y", "Y (match)"),
            ("D", "D (no match)"),
            ("P", "P (processed)"),
            ("N", "N (absent)"),
            ("U", "U (unsupported)"),
            ("X", "X (unchecked)"),
            ("1", "1 (unchecked)"),
        ],
    )
    def test_the_check_of_the_security_code(self, word, told):
        assert told_of(cvvResultRaw=word).cvc_result == told

    @pytest.mark.parametrize(
        ("funding", "told"),
        [
            ("CREDIT", "credit"),
            ("CHARGE", "credit"),
            ("DEBIT", "debit"),
            ("DEFERRED_DEBIT", "debit"),
            ("PREPAID", "prepaid"),
        ],
    )
    def test_the_kind_of_card(self, funding, told):
        assert told_of(funding=funding).card.funding == told
        assert told_of(funding="LUNCHEON").card is None

    @pytest.mark.parametrize(
        ("info", "last4"),
        [
            ({"cardNo": "************0768"}, "0768"),
            ({"cardNo": "405469******0768"}, "0768"),
            ({"cardNo": "4054********0768", "lastFour": "1111"}, "1111"),
            ({"lastFour": 1234}, "1234"),
        ],
    )
    def test_the_last_four_digits(self, info, last4):
        assert told_of(**info).card.last4 == last4

    @pytest.mark.parametrize(
        ("brand", "told"), [("VISA", "visa"), ("CUP", "unionpay"), ("CARTES_BANCAIRES", "cartes_bancaires")]
    )
    def test_the_brand(self, brand, told):
        assert told_of(cardBrand=brand).card.brand == told

    def test_a_card_token_is_read_where_it_comes_from(self):
        info = {"cardToken": TOKEN, "networkTransactionId": NETWORK_ID}
        (notified,) = heard(notice(paymentResultInfo=info))

        for report in (told_of(**info), notified):
            assert (report.token, report.network_transaction_id) == (TOKEN, NETWORK_ID)
            assert TOKEN not in json.dumps(dict(report.raw))
            assert NETWORK_ID not in json.dumps(dict(report.raw))

    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"eci": "05"}, {"eci": "05", "downgraded": False}),
            ({"eci": "02"}, {"eci": "02", "downgraded": False}),
            ({"eci": "06"}, {"eci": "06", "downgraded": True}),
            ({"eci": "07"}, {"eci": "07", "downgraded": True}),
            ({"eci": "99"}, {"eci": "99", "downgraded": None}),
            ({"eci": "05", "caav": "AAAB"}, {"eci": "05"}),
            ({"challenged": True}, {"flow": "challenge"}),
            ({"challenged": "false"}, {"flow": "frictionless"}),
            ({"threeDSOffered": False}, {"enrolled": "N"}),
            ({"liabilityShift": "1"}, {"liability_shifted": True}),
            ({"liabilityShift": 0}, {"liability_shifted": False}),
            ({"liabilityShift": "-1"}, {"liability_shifted": False}),
            ({"paResStatus": "A", "xid": "x-1"}, {"status": "A", "ds_transaction_id": "x-1"}),
        ],
    )
    def test_3ds(self, facts, expected):
        found = dataclasses.asdict(told_of(threeDSResult=facts).three_ds)

        assert {name: found[name] for name in expected} == expected

    @pytest.mark.parametrize(
        "facts", [{}, {"eci": "", "cavv": "", "threeDSVersion": "", "dsTransactionId": ""}, None, [], "x", {"eci": []}]
    )
    def test_3ds_that_was_not_used(self, facts):
        assert told_of(threeDSResult=facts).three_ds is None

    def test_no_cryptogram_and_no_card_number_is_kept(self):
        info = {"cardNo": "4054695723100768", "threeDSResult": {"eci": "05", "cavv": "AAABBEg0VhI0VniQEjRWAAAAAAA="}}
        report = told_of(**info)

        kept = f"{json.dumps(dict(report.raw))} {report!r}"
        assert "AAABBEg0" not in kept
        assert "4054695723100768" not in kept

    def test_what_is_kept_for_the_desk(self):
        report = fetched(
            paid(
                acquirerInfo={"acquirerName": "ANTOM", "acquirerTransactionId": "T1", "acquirerCardToken": "secret"},
                paymentResultInfo={"refusalCodeRaw": "05"},
                authExpiryTime="2025-01-08T00:00:00Z",
                metadata="x" * 500,
            )
        )

        assert report.raw == {
            "paymentId": THEIRS,
            "paymentRequestId": OURS,
            "paymentStatus": "SUCCESS",
            "paymentResultCode": "SUCCESS",
            "authExpiryTime": "2025-01-08T00:00:00Z",
            "resultCode": "SUCCESS",
            "resultStatus": "S",
            "acquirerName": "ANTOM",
            "acquirerTransactionId": "T1",
            "refusalCodeRaw": "05",
        }


def test_every_recording_is_about_something_of_its_own():
    bodies = [
        json.dumps([one.answer or one.body, one.payment.get("method")], sort_keys=True) for one in recordings("antom")
    ]

    assert len(set(bodies)) == len(bodies)


# ------------------------------------------------------------------------------------------------------ whatever comes

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["SUCCESS", "FAIL", "S", "F", "\x00", "\ud800", "9" * 40, PRICE, YES, [], {}, [[]], OURS, THEIRS]),
)
NAMES = sorted(
    {
        *mapping.KEPT,
        *("result", "paymentAmount", "transactions", "paymentResultInfo", "threeDSResult", "acquirerInfo"),
        *("refundAmount", "captureAmount", "disputeAmount", "disputeJudgedAmount", "normalUrl", "redirectActionForm"),
    }
)
MESSAGES = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(ODD, st.dictionaries(st.sampled_from(NAMES), ODD, max_size=3), st.lists(ODD, max_size=3)),
    max_size=8,
)


class TestWhateverComes:
    @settings(max_examples=150, deadline=None)
    @given(fields=MESSAGES, kind=st.sampled_from(["PAYMENT_RESULT", "CAPTURE_RESULT", "REFUND_RESULT", None]))
    def test_a_notification_is_a_report_or_nothing(self, fields, kind):
        fields = {**fields, **({"notifyType": kind} if kind else {})}
        body = json.dumps(fields).encode()
        one = provider(Canned(b""))

        reports = one.parse_webhook(Delivery("POST", HOOK_PATH, {}, body))

        for report in reports:
            assert "\x00" not in f"{report!r}{dict(getattr(report, 'raw', {}))!r}".replace("\\x00", "\x00")
            json.dumps(dict(getattr(report, "raw", {}))).encode()

    @settings(max_examples=150, deadline=None)
    @given(fields=MESSAGES, call=st.sampled_from(["start", "fetch", "capture", "cancel", "refund", "fetch_refund"]))
    def test_an_answer_is_a_report_or_an_error_of_ours(self, fields, call):
        ids = {"paymentRequestId": OURS, "captureRequestId": "OP_1", "refundRequestId": "OP_1"}
        body = json.dumps({**ids, "result": YES, **fields}).encode()
        http = Canned(body, genuine=lambda got, sent: (got, answer_headers(sent.path, got, key_pair("theirs").key)))

        about_it = {"start": ask(), "fetch": ref()}.get(call, operation())
        with suppress(OutcomeUnknown, Rejected):
            assert getattr(provider(http), call)(about_it)
