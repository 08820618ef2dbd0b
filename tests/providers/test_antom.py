"""Antom: what every provider must do, the published vectors, and each of its codes, states and rules."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from providers import antom
from providers.antom import mapping
from providers.contract import (
    Delivery,
    OutcomeUnknown,
    Reply,
    Status,
)
from providers.money import Money
from tests.providers.conformance import ProviderConformance, Received, compact, key_pair

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


class TestConformance(ProviderConformance):
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

    def wrong_types(self) -> Iterator[Any]:
        for result in (None, [], "S", {}, {"resultStatus": "S"}, {"resultStatus": True, "resultCode": "SUCCESS"}):
            yield {"result": result, "paymentRequestId": "P01J9Z3K8", "paymentStatus": "SUCCESS"}
        for price in ("300", {}, {"value": 12.5, "currency": "EUR"}, {"value": "1", "currency": "XXX"}, [1, "EUR"]):
            names = dict.fromkeys(("captureAmount", "refundAmount", "paymentAmount"), price)
            ours = {"captureRequestId": "R01J9Z3K8", "refundRequestId": "R01J9Z3K8"}
            words = {"paymentStatus": "SUCCESS", "refundStatus": 7, "paymentId": THEIRS}
            yield {"result": YES, "paymentRequestId": ["P01J9Z3K8"], **words, **ours, **names}
