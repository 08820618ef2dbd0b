"""StoreSquare: what every provider must do, its signatures, its token, and each rule and code of its brief."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, ClassVar

import pytest
import time_machine

from providers import storesquare
from providers.contract import (
    Address,
    BadSignature,
    Browser,
    Capability,
    Card,
    Customer,
    Decline,
    DeclineCategory,
    Delivery,
    Direction,
    ExternalThreeDS,
    Hint,
    Item,
    LeadsTo,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentRequest,
    ProviderError,
    Purpose,
    Redirect,
    Rejected,
    Reply,
    ShipmentStatus,
    ShowQr,
    Status,
    StoredCard,
    ThreeDSWish,
    TrackingRequest,
    Unreachable,
    Wait,
)
from providers.http import Http, HttpAnswer
from providers.money import Money
from providers.storesquare import answers, mapping, profile, tokens
from tests.providers import transports
from tests.providers.conformance import (
    ProviderConformance,
    Received,
    Wire,
    compact,
    nobody_listens,
    told,
)
from tests.providers.disorder import MoneyUnderDisorder, Part, Truth

APP = "086000000000001"
SECRET = "sim_secret_3f9a1c5e7b2d4860"
BEARER = "canary-bearer-7Qm2xV9rT4kL"
OURS, THEIRS = "20250703000001", "202507030800050000001"
NUMBER = "4444333322221111"


class Script(Http):
    """A transport that plays answers in turn, or by path, and remembers what was sent."""

    def __init__(self, *plays: Any, base_url: str = "https://provider.test") -> None:
        super().__init__(base_url)
        self.plays = list(plays)
        self.requests: list[Received] = []

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        self.requests.append(Received(method, path, dict(headers), body or b""))
        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        if isinstance(play, Exception):
            raise play
        status, body = play if isinstance(play, tuple) else (200, play)
        return HttpAnswer(status, {}, body if isinstance(body, bytes) else compact(body))

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.requests]

    def fields(self, at: int = -1) -> Any:
        return json.loads(self.requests[at].body)


def about_what_was_asked(answer: bytes, sent: bytes) -> bytes:
    """An answer about whatever order was asked for."""
    try:
        number, message = json.loads(sent).get("orderNo"), json.loads(answer)
        if number and message["data"]["orderNo"]:
            return compact({**message, "data": {**message["data"], "orderNo": number}})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return answer


def provider(http: Http | None = None, *, has_token: bool = True, **options: Any) -> storesquare.Provider:
    """StoreSquare with a token in place, unless it is to fetch one."""
    config = storesquare.Config(**{"app_id": APP, "secret": SECRET, **options})
    one = storesquare.Provider(config, http or Script({}))
    if has_token:
        whose = tokens.key(one.http.base_url, config.app_id, config.secret)
        tokens.remember(whose, tokens.Token(BEARER, float("inf")))
    return one


@pytest.fixture(autouse=True)
def no_tokens() -> Iterator[None]:
    tokens.forget_all()
    yield
    tokens.forget_all()


def ok(data: Any, **more: Any) -> dict[str, Any]:
    return {"code": "0000", "message": "success", "requestId": "req_1", "data": data, **more}


def no(code: str, **data: Any) -> tuple[int, dict[str, Any]]:
    """A refusal with the HTTP status of the brief's table."""
    table = {"2001": 401, "2004": 403, "3002": 404, "3009": 404, "5002": 404, "9001": 429, "9999": 500}
    conflicts = {"3001", "3003", "3005", "3006", "5001", "5004"}
    status = table.get(code) or (409 if code in conflicts else 200 if code.startswith("4") else 400)
    return status, {"code": code, "message": "no", "requestId": "req_1", "data": data or None}


def payment(status: str = "SUCCESS", **changes: Any) -> dict[str, Any]:
    facts = {
        "orderNo": OURS,
        "tradeNo": THEIRS,
        "paymentMethodType": "card",
        "amount": "100.99",
        "currency": "USD",
        "captureMethod": "auto",
        "capturedAmount": "100.99" if status in {"SUCCESS", "PARTIAL_REFUNDED", "REFUNDED"} else "0.00",
        "refundedAmount": "0.00",
        "status": status,
    }
    return {**facts, **changes}


def ref(**changes: Any) -> PaymentRef:
    return PaymentRef(
        **{"reference": OURS, "amount": Money(10099, "USD"), "provider_reference": THEIRS, "method": "card", **changes}
    )


CARD = Card(number=NUMBER, expiry_month=3, expiry_year=2031, cvc="7391", holder="Ada King Lovelace", brand="visa")
BROWSER = Browser(
    user_agent="Mozilla/5.0",
    accept="text/html",
    accept_language="en-SG",
    javascript=True,
    java=False,
    color_depth=24,
    screen_width=1920,
    screen_height=1080,
    time_zone_offset=-480,
)


def ask(**changes: Any) -> PaymentRequest:
    facts = {
        "reference": OURS,
        "amount": Money(10099, "USD"),
        "method": "card",
        "description": "Two tickets",
        "return_url": "https://shop.test/return",
        "webhook_url": "https://desk.test/hook",
        "expires_in": 3600,
        "locale": "en-SG",
        "card": CARD,
        "customer": Customer(
            email="ada@example.com", name="Ada King Lovelace", phone="+65 9123 4567", ip="203.0.113.7"
        ),
        "browser": BROWSER,
    }
    return PaymentRequest(**{**facts, **changes})


def sent(request: PaymentRequest, answer: Any = None, **options: Any) -> dict[str, Any]:
    """What a start call sends."""
    http = Script(answer or ok(payment("PENDING")))
    provider(http, **options).start(request)
    fields = http.fields()
    assert isinstance(fields, dict)
    return fields


def override(**members: Any) -> str:
    return json.dumps(members)


# ------------------------------------------------------------------------------------------------------------- webhooks


def hmac_ts_body(body: bytes, secret: str, timestamp: str) -> str:
    """The default scheme once more, written without looking at the package."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def delivery(body: bytes, *, secret: str = SECRET, timestamp: str = "", **headers: str) -> Delivery:
    timestamp = timestamp or str(int(time.time() * 1000))
    return Delivery(
        "POST",
        "/hooks/x",
        {
            "Content-Type": "application/json",
            "X-App-Id": APP,
            "X-Api-Version": "20250703",
            "X-Sign-Method": "sha256",
            "X-Timestamp": timestamp,
            "X-Signature": hmac_ts_body(body, secret, timestamp),
            **headers,
        },
        body,
    )


def event(kind: str = "payment.succeeded", data: Any = None, **changes: Any) -> bytes:
    facts = {
        "apiVersion": "20250703",
        "appId": APP,
        "eventId": "evt_0000000001",
        "eventType": kind,
        "eventTime": "2025-07-03T08:00:05Z",
        "data": payment() if data is None else data,
    }
    return compact({**facts, **changes})


class TestConformance(MoneyUnderDisorder, ProviderConformance):
    slug = "storesquare"
    provider_class = storesquare.Provider
    amounts: ClassVar = {
        (1000, "JPY"): "1000",
        (1, "KRW"): "1",
        (1234, "EUR"): "12.34",
        (10099, "USD"): "100.99",
        (1, "SGD"): "0.01",
        (1230, "KWD"): "1.23",
        (5000, "BHD"): "5.00",
        (2**63 - 1, "USD"): "92233720368547758.07",
    }
    words: ClassVar = {
        "INIT": Status.PENDING,
        "CREATED": Status.PENDING,
        "PENDING": Status.PENDING,
        "PROCESSING": Status.PENDING,
        "AUTHORIZED": Status.AUTHORISED,
        "SUCCESS": Status.CAPTURED,
        "SUCCEEDED": Status.CAPTURED,
        "CAPTURED": Status.CAPTURED,
        "PAID": Status.CAPTURED,
        "PARTIAL_REFUNDED": Status.CAPTURED,
        "REFUNDED": Status.CAPTURED,
        "FAILED": Status.FAILED,
        "FAIL": Status.FAILED,
        "DECLINED": Status.FAILED,
        "CANCELLED": Status.CANCELLED,
        "CANCELED": Status.CANCELLED,
        "VOIDED": Status.CANCELLED,
        "EXPIRED": Status.EXPIRED,
        "CLOSED": Status.EXPIRED,
    }
    operation_words: ClassVar = {
        "SUCCESS": OperationStatus.SUCCEEDED,
        "PROCESSING": OperationStatus.PENDING,
        "PENDING": OperationStatus.PENDING,
        "FAILED": OperationStatus.FAILED,
    }
    accepted = Reply(200, b"success", "text/plain")

    def config(self, secret: str, *, previous: str = "") -> storesquare.Config:
        return storesquare.Config(APP, secret, previous)

    def provider(self, http: Http, **options: Any) -> storesquare.Provider:
        """With an access token in place: the calls are about what follows."""
        whose = tokens.key(http.base_url, APP, self.secret)
        tokens.remember(whose, tokens.Token(BEARER, float("inf")))
        return storesquare.Provider(self.config(self.secret, **options), http)

    def genuine_answer(self, body: bytes, sent: Received) -> tuple[bytes, Mapping[str, str]]:
        return about_what_was_asked(body, sent.body), {}

    def sent_operation(self, call: str, body: bytes) -> tuple[str, Money | None]:
        """Captures and cancellations have no number of their own."""
        fields = json.loads(body)
        amount = fields.get("captureAmount") or fields.get("amount")
        return fields.get("refundNumber") or fields["orderNo"], Money.from_decimal(amount, "EUR") if amount else None

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        return delivery(body, secret=secret)

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        fields = json.loads(body)
        return fields["amount"], fields["currency"]

    def sent_reference(self, body: bytes) -> str:
        return str(json.loads(body)["orderNo"])

    def word(self, body: Any) -> str | None:
        data = body.get("data") or {}
        return None if "refundNumber" in data else data.get("status")

    def operation_word(self, body: Any) -> str | None:
        data = body.get("data") or {}
        return data.get("status") if "refundNumber" in data else None

    def another_event(self) -> bytes:
        return event("payout.sent")

    def wrong_types(self) -> Iterator[Any]:
        odd = (None, True, 7, 7.5, "", "word", [], [[]], {}, {"a": 1})
        for one in odd:
            yield {"code": one}
            yield {"code": one, "data": payment("PENDING", orderNo="P01J9Z3K8")}
            yield ok(one)
            for member in ("status", "amount", "currency", "capturedAmount", "refundedAmount", "card", "threeDs"):
                if type(one) not in {int, float}:  # an amount may well be a number
                    said = payment("SUCCESS", orderNo="P01J9Z3K8", capturedAmount=None, amount=None)
                    yield ok(said | {member: one})
                yield ok(payment("PENDING", orderNo="P01J9Z3K8", currency="EUR", amount="12.34") | {member: one})
            for member in ("tradeNo", "nextAction", "refunds", "expireTime", "transactionIdentifier", "failCode"):
                yield ok(payment("PENDING", orderNo="P01J9Z3K8") | {member: one})
            for member in ("type", "url", "qrCode", "form", "method", "payload"):
                yield ok(payment("PENDING", orderNo="P01J9Z3K8", nextAction={member: one}))
            for member in ("brand", "cardNo", "expiryMonth", "expiryYear"):
                yield ok(payment("PENDING", orderNo="P01J9Z3K8", card={member: one}))

    def test_the_table_names_the_same_words(self):
        assert set(self.words) == set(profile.load()["status.payment"])
        assert set(self.operation_words) == set(profile.load()["status.refund"])

    # ------------------------------------------------------------------------------------------ the truth on the wire

    words_of: ClassVar = {
        Status.PENDING: "PENDING",
        Status.AUTHORISED: "AUTHORIZED",
        Status.CAPTURED: "SUCCESS",
        Status.FAILED: "FAILED",
    }
    events_of: ClassVar = {
        Status.PENDING: "payment.pending",
        Status.AUTHORISED: "payment.authorized",
        Status.CAPTURED: "payment.succeeded",
        Status.FAILED: "payment.failed",
    }
    refund_words_of: ClassVar = {
        OperationStatus.PENDING: "PROCESSING",
        OperationStatus.SUCCEEDED: "SUCCESS",
        OperationStatus.FAILED: "FAILED",
    }

    def answer_to(self, sent: Received, truth: Truth) -> bytes:
        if "refund" in sent.path:
            number = json.loads(sent.body)["refundNumber"]
            return ok(next(self._refund(truth, part) for part in truth.refunds if part.reference == number))
        return ok(self._payment(truth))

    def payment_event(self, truth: Truth) -> bytes:
        return self._event(self.events_of[truth.status], self._payment(truth))

    def refund_event(self, truth: Truth, part: Part) -> bytes:
        done = part.status is OperationStatus.SUCCEEDED
        return self._event("refund.succeeded" if done else "refund.failed", self._refund(truth, part))

    def _event(self, kind: str, data: dict[str, Any]) -> bytes:
        return event(kind, data, eventId=f"evt_{hashlib.sha256(compact([kind, data])).hexdigest()[:20]}")

    def _payment(self, truth: Truth) -> dict[str, Any]:
        word, currency = self.words_of[truth.status], truth.amount.currency
        if truth.refunded:
            word = "REFUNDED" if truth.refunded == truth.captured else "PARTIAL_REFUNDED"
        return {
            "orderNo": truth.reference,
            "tradeNo": truth.provider_reference,
            "paymentMethodType": "card",
            "amount": truth.amount.decimal,
            "currency": currency,
            "captureMethod": "manual" if truth.manual else "auto",
            "capturedAmount": Money(truth.captured, currency).decimal,
            "refundedAmount": Money(truth.refunded, currency).decimal,
            "status": word,
            "refunds": [self._refund(truth, part) for part in truth.refunds],
        }

    def _refund(self, truth: Truth, part: Part) -> dict[str, Any]:
        return {
            "refundNumber": part.reference,
            "refundTradeNo": part.provider_reference,
            "orderNo": truth.reference,
            "tradeNo": truth.provider_reference,
            "amount": part.amount.decimal,
            "currency": part.amount.currency,
            "status": self.refund_words_of[part.status],
        }


# ----------------------------------------------------------------------------------------------------------- signatures

VECTOR = (
    b'{"apiVersion":"20250703","appId":"086000000000001","eventId":"evt_0000000001","eventType":"payment.succeeded",'
    b'"eventTime":"2025-07-03T08:00:05Z","data":{"orderNo":"20250703000001","tradeNo":"202507030800050000001",'
    b'"paymentMethodType":"card","amount":"100.99","currency":"USD","status":"SUCCESS"}}'
)
VECTOR_TIME = "1751529605000"
DIGESTS = {
    "hmac_ts_body": "5c7031b965f895328badfd75c8632125eee13f5b76d047757f6b4102c6cac173",
    "sha256_body_secret": "9ac9f1951fbde9307d848d1eb30b6683a7fb3121905ac76ed85ea66bb33f041c",
    "sha256_sorted_kv": "9cbb65309ca7e1b686f030644e3c63b82bc08defbb15679b9fc11951bb82e17f",
}


def vector(signature: str, *, timestamp: str = VECTOR_TIME, body: bytes = VECTOR) -> Delivery:
    return Delivery("POST", "/hooks/x", {"X-Timestamp": timestamp, "X-Signature": signature}, body)


def at_vector_time() -> Any:
    return time_machine.travel(int(VECTOR_TIME) / 1000, tick=False)


def test_the_vectors_are_about_the_published_bytes():
    assert len(VECTOR) == 296
    assert hashlib.sha256(VECTOR).hexdigest() == "3c2952bf5905aa4d66b2848e6fa1818364c2138cef64a95d54d8ddc8b99c3833"
    assert hmac_ts_body(VECTOR, SECRET, VECTOR_TIME) == DIGESTS["hmac_ts_body"]


@pytest.mark.parametrize("preset", DIGESTS)
@pytest.mark.parametrize("dress", [str.lower, str.upper, lambda text: f" {text}\r\n"])
def test_a_vector_is_genuine(preset, dress):
    with at_vector_time():
        event_id = provider(signature=preset).verify_webhook(vector(dress(DIGESTS[preset])))

    assert event_id == "evt_0000000001"


@pytest.mark.parametrize("preset", DIGESTS)
@pytest.mark.parametrize("other", DIGESTS)
def test_a_vector_of_another_preset_is_not(preset, other):
    if preset == other:
        return
    with at_vector_time(), pytest.raises(BadSignature):
        provider(signature=preset).verify_webhook(vector(DIGESTS[other]))


@pytest.mark.parametrize("preset", DIGESTS)
def test_a_preset_can_be_chosen_in_the_profile(preset):
    chosen = override(webhook={"preset": preset})

    with at_vector_time():
        assert provider(profile=chosen).verify_webhook(vector(DIGESTS[preset]))


@pytest.mark.parametrize("preset", ["sha256_body_secret", "sha256_sorted_kv"])
def test_presets_without_a_time_know_no_age(preset):
    assert provider(signature=preset).verify_webhook(vector(DIGESTS[preset]))


@pytest.mark.parametrize(
    ("seconds", "genuine"), [(0, True), (299, True), (-299, True), (301, False), (-301, False), (86400, False)]
)
def test_a_time_may_differ_by_five_minutes(seconds, genuine):
    one = vector(DIGESTS["hmac_ts_body"])
    with time_machine.travel(int(VECTOR_TIME) / 1000 + seconds, tick=False):
        if genuine:
            assert provider().verify_webhook(one)
        else:
            with pytest.raises(BadSignature) as caught:
                provider().verify_webhook(one)
            assert caught.value.code == "stale"


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "-1751529605000", "1751529605000.5", "１７５１５２９６０５０００", "9" * 40]
)
def test_a_time_that_is_none_is_refused(timestamp):
    with at_vector_time(), pytest.raises(BadSignature):
        provider().verify_webhook(vector(hmac_ts_body(VECTOR, SECRET, timestamp), timestamp=timestamp))


def test_the_time_is_signed_too():
    with at_vector_time(), pytest.raises(BadSignature) as caught:
        provider().verify_webhook(vector(DIGESTS["hmac_ts_body"], timestamp="1751529605001"))

    assert caught.value.code == "bad_signature"


def preset(**members: Any) -> str:
    """A profile with one more preset, which it uses."""
    return override(webhook={"preset": "mine", "presets": {"mine": members}})


TEMPLATE = {"algo": "sha256", "template": "{body}{secret}", "encoding": "hex_lower", "source": "header:X-Signature"}


def test_a_signature_may_be_base64():
    digest = hashlib.sha256(VECTOR + SECRET.encode()).digest()
    one = provider(profile=preset(**{**TEMPLATE, "encoding": "base64"}))

    assert one.verify_webhook(vector(base64.b64encode(digest).decode()))
    with pytest.raises(BadSignature):
        one.verify_webhook(vector(digest.hex()))


def test_a_signature_may_travel_in_another_header():
    one = provider(profile=preset(**{**TEMPLATE, "source": "header:X-Pay-Sign", "encoding": "hex_upper"}))
    signature = hashlib.sha256(VECTOR + SECRET.encode()).hexdigest().upper()

    assert one.verify_webhook(Delivery("POST", "/", {"x-pay-sign": signature}, VECTOR))


def test_a_signature_in_the_body_does_not_cover_itself():
    said = {**TEMPLATE, "template": "{sorted}&key={secret}", "sortedRoot": "", "source": "body:sign"}
    signed = f"appId={APP}&data=" + '{"b":[1.50,true,null],"orderNo":"1"}' + f"&eventId=e1&key={SECRET}"
    signature = hashlib.sha256(signed.encode()).hexdigest()
    data = '{"orderNo":"1","b":[1.50,true,null]}'
    body = f'{{"eventId":"e1","data":{data},"none":null,"appId":"{APP}","sign":"{signature}"}}'

    assert provider(profile=preset(**said)).verify_webhook(Delivery("POST", "/", {}, body.encode())) == "e1"
    with pytest.raises(BadSignature):
        provider(profile=preset(**said)).verify_webhook(Delivery("POST", "/", {}, body.replace("1.50", "1.5").encode()))


def test_a_signature_inside_the_sorted_object_does_not_cover_itself():
    said = {**TEMPLATE, "template": "{sorted}&key={secret}", "sortedRoot": "data", "source": "body:data.sign"}
    signature = hashlib.sha256(f"flag=true&n=5&orderNo=1&key={SECRET}".encode()).hexdigest()
    body = compact({"data": {"orderNo": "1", "n": 5, "flag": True, "empty": "", "sign": signature}})

    assert provider(profile=preset(**said)).verify_webhook(Delivery("POST", "/", {}, body))


def test_a_time_may_stand_in_the_body_and_count_seconds():
    said = {**TEMPLATE, "timestampSource": "body:time", "timestampUnit": "s", "toleranceSeconds": 60}
    body = compact({"eventId": "e1", "time": 1751529605})
    one = Delivery("POST", "/", {"X-Signature": hashlib.sha256(body + SECRET.encode()).hexdigest()}, body)

    with at_vector_time():
        assert provider(profile=preset(**said)).verify_webhook(one) == "e1"
    with pytest.raises(BadSignature):
        provider(profile=preset(**said)).verify_webhook(one)


def test_a_separate_webhook_secret_is_the_only_one_that_counts():
    separate = override(webhook={"keySource": "webhookSecret"})
    one = {"profile": separate, "webhook_secret": "new-hook", "webhook_secret_previous": "old-hook"}

    for good in ("new-hook", "old-hook"):
        assert provider(**one).verify_webhook(delivery(VECTOR, secret=good))
    for bad in (SECRET, ""):
        with pytest.raises(BadSignature):
            provider(**one).verify_webhook(delivery(VECTOR, secret=bad))
    with pytest.raises(BadSignature):
        provider(profile=separate).verify_webhook(delivery(VECTOR, secret=""))


def test_nested_members_too_deep_to_sort_are_refused():
    deep = b'{"data":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"

    with pytest.raises(BadSignature):
        provider(signature="sha256_sorted_kv").verify_webhook(vector("0" * 64, body=deep))


def test_sorting_needs_something_to_sort():
    with pytest.raises(BadSignature):
        provider(signature="sha256_sorted_kv").verify_webhook(vector("0" * 64, body=b'{"data":7}'))


def test_a_member_that_stands_twice_is_refused():
    with pytest.raises(BadSignature):
        provider().verify_webhook(delivery(VECTOR[:-1] + b',"eventId":"evt_2"}'))


def test_an_event_for_another_merchant_is_refused():
    with pytest.raises(BadSignature) as caught:
        provider().verify_webhook(delivery(event(appId="086000000000002")))

    assert caught.value.code == "other_app"


def test_an_unsigned_webhook_is_let_in_only_where_the_profile_says_so_and_never_believed():
    lenient = provider(profile=override(webhook={"requireSignature": False}))
    unsigned = delivery(VECTOR, **{"X-Signature": ""})

    assert lenient.verify_webhook(unsigned) == "evt_0000000001"
    assert lenient.parse_webhook(unsigned) == [Hint(reference=OURS, provider_reference=THEIRS, why="captured")]
    with pytest.raises(BadSignature):
        lenient.verify_webhook(delivery(VECTOR, secret="wrong"))
    with pytest.raises(BadSignature):
        provider().verify_webhook(unsigned)


@pytest.mark.parametrize("event_id", ["evt_1", "a" * 90, "A-1.2:3_4"])
def test_their_event_id_is_ours(event_id):
    assert provider().verify_webhook(delivery(event(eventId=event_id))) == event_id


@pytest.mark.parametrize("event_id", [None, "", "é", "a b", "x" * 91, "x" * 5000, 7.5, ["a"], {"a": 1}, "a\x00"])
def test_an_odd_event_id_becomes_a_digest_that_stays_the_same(event_id):
    one, other = event(eventId=event_id), event(eventId=event_id, eventType="payment.failed")
    ids = [provider().verify_webhook(delivery(body, **{"X-Try": "2"})) for body in (one, one, other)]

    assert ids[0] == ids[1]
    assert all((one.isalnum() and len(one) <= 64) or one == "7.5" for one in ids)


# --------------------------------------------------------------------------------------------------------------- events


def parsed(body: bytes, **options: Any) -> list[Any]:
    return provider(**options).parse_webhook(delivery(body))


@pytest.mark.parametrize(
    ("kind", "status", "captured"),
    [("payment.succeeded", "SUCCESS", 10099), ("payment.succeeded", "PARTIAL_REFUNDED", 10099)],
)
def test_news_of_money_is_confirmed_by_an_inquiry(kind, status, captured):
    (report,) = parsed(event(kind, payment(status, refundedAmount="1.00" if "REFUND" in status else "0.00")))

    assert report.confirm
    assert (report.status, report.captured) == (Status.CAPTURED, captured)


def test_the_status_of_an_event_counts_and_not_its_name():
    (report,) = parsed(event("payment.failed", payment("SUCCESS")))

    assert (report.status, report.confirm) == (Status.CAPTURED, True)


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "EXPIRED", "PENDING", "INIT", "SOMETHING"])
def test_what_brings_no_money_is_a_reason_to_inquire(status):
    (hint,) = parsed(event("payment.failed", payment(status)))

    assert isinstance(hint, Hint)
    assert (hint.reference, hint.provider_reference) == (OURS, THEIRS)


@pytest.mark.parametrize("kind", ["refund.succeeded", "refund.failed"])
def test_news_of_a_refund_is_a_reason_to_inquire(kind):
    (hint,) = parsed(event(kind, {"refundNumber": "R1", "orderNo": OURS, "tradeNo": THEIRS, "status": "SUCCESS"}))

    assert hint == Hint(reference=OURS, provider_reference=THEIRS, operation_reference="R1", why="refund")


def test_an_event_tells_no_token():
    (report,) = parsed(event(data=payment(transactionIdentifier="000000000000020005060720116005061")))

    assert report.token == ""


@pytest.mark.parametrize("data", [{}, [], None, 7, "x", {"orderNo": ["a"]}, {"status": "SUCCESS"}])
@pytest.mark.parametrize("kind", ["payment.succeeded", "refund.succeeded", "payout.sent", 7, None])
def test_an_event_about_nothing_is_of_no_interest(kind, data):
    assert parsed(event(eventType=kind, data={"x": 1} if data is None else data)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "a lot"},
        {"amount": "1e5"},
        {"amount": "-5.00"},
        {"amount": "100.999"},
        {"currency": "XXX"},
        {"currency": ""},
        {"capturedAmount": "9" * 30},
        {"capturedAmount": "0.00"},
        {"capturedAmount": None, "captureMethod": "manual"},
        {"refundedAmount": "200.00"},
    ],
)
def test_an_event_whose_money_makes_no_sense_is_a_reason_to_inquire(changes):
    (hint,) = parsed(event(data=payment(**changes)))

    assert isinstance(hint, Hint)
    assert hint.reference == OURS


def test_a_profile_may_take_webhooks_at_their_word():
    trusting = override(webhook={"confirmByInquiry": False})

    (report,) = parsed(event("payment.failed", payment("FAILED", failCode="4001")), profile=trusting)

    assert (report.status, report.confirm) == (Status.FAILED, False)


def test_the_members_of_an_event_are_named_by_the_profile():
    renamed = override(
        webhook={
            "body": {"eventId": "id", "eventType": "type", "data": "payload"},
            "eventTypes": {"PAYMENT_OK": "payment"},
            "ack": {"status": 200, "contentType": "application/json", "body": '{"code":"0000"}'},
        }
    )
    one = provider(profile=renamed)
    body = compact({"id": "e9", "type": "PAYMENT_OK", "payload": payment()})

    assert one.verify_webhook(delivery(body)) == "e9"
    assert one.parse_webhook(delivery(body))[0].captured == 10099
    assert one.reply(accepted=True) == Reply(200, b'{"code":"0000"}', "application/json")


# ----------------------------------------------------------------------------------------------------- the access token


def access(value: str = BEARER, **more: Any) -> dict[str, Any]:
    return ok({"accessToken": value, "tokenType": "Bearer", "expiresIn": 3600, **more})


PAID = ok(payment())


def test_a_token_is_fetched_once_and_sent_with_every_call():
    http = Script(access(), PAID, PAID)
    one = provider(http, has_token=False)
    one.fetch(ref())
    one.fetch(ref())

    assert http.paths == ["/v1/auth/token", "/v1/payments/inquiry", "/v1/payments/inquiry"]
    assert http.fields(0) == {"appId": APP, "secret": SECRET}
    assert "Authorization" not in http.requests[0].headers
    assert {one.headers["Authorization"] for one in http.requests[1:]} == {f"Bearer {BEARER}"}
    assert {one.headers["Content-Type"] for one in http.requests} == {"application/json; charset=utf-8"}


def test_a_token_belongs_to_place_merchant_and_secret():
    cases = [
        {"app_id": APP},
        {"app_id": APP, "secret": "another"},
        {"app_id": "086000000000002"},
        {"app_id": APP, "base_url": "https://elsewhere.test"},
    ]
    for case in cases:
        http = Script(access(), PAID, base_url=case.pop("base_url", "https://provider.test"))
        provider(http, has_token=False, **case).fetch(ref())

        assert len(http.requests) == 2, case


@pytest.mark.parametrize(
    ("lifetime", "lasts"), [(3600, 3540), ("3600", 3540), (None, 1740), ("soon", 1740), (True, 1740), (0, 1740)]
)
def test_a_token_is_renewed_a_minute_before_its_end(lifetime, lasts):
    http = Script(access(expiresIn=lifetime), PAID, PAID, access("second"), PAID)
    one = provider(http, has_token=False)
    with time_machine.travel(1_000_000, tick=False) as clock:
        one.fetch(ref())
        clock.shift(lasts - 1)
        one.fetch(ref())
        assert http.paths.count("/v1/auth/token") == 1
        clock.shift(2)
        one.fetch(ref())

    assert http.paths.count("/v1/auth/token") == 2
    assert http.requests[-1].headers["Authorization"] == "Bearer second"


@pytest.mark.parametrize("unit", ["milliseconds", "minutes"])
def test_a_lifetime_may_be_told_in_other_units(unit):
    told_as = {"milliseconds": 600_000, "minutes": 10}[unit]
    message = answers.Message(profile.load(override(auth={"expiresInUnit": unit})), access(expiresIn=told_as))
    with time_machine.travel(1_000_000, tick=False):
        assert answers.token(answers.Answer("ok", "0000", message)).good_until == 1_000_000 + 600 - 60


REFUSALS = {
    "401": (401, {}),
    "401 with HTML": (401, b"<html>"),
    "2002": no("2002"),
    "2003": (401, {"code": "2003"}),
    "2003 with 200": (200, {"code": "2003", "data": None}),
    "2003 as a number": (200, {"code": 2003}),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_token_is_renewed_once_and_the_call_repeated_once(refusal):
    http = Script(access("first"), REFUSALS[refusal], access("second"), ok(payment("PENDING")))
    provider(http, has_token=False).start(ask())

    assert http.paths == ["/v1/auth/token", "/v1/payments", "/v1/auth/token", "/v1/payments"]
    assert http.requests[1].body == http.requests[3].body
    assert http.requests[3].headers["Authorization"] == "Bearer second"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_second_refusal_is_a_matter_of_settings(refusal):
    http = Script(access("first"), REFUSALS[refusal], access("second"), REFUSALS[refusal])
    with pytest.raises(Rejected):
        provider(http, has_token=False).start(ask())

    assert len(http.requests) == 4


NO_TOKEN = {
    "time-out": OutcomeUnknown("no usable answer", code="read_timeout"),
    "no connection": Unreachable("no connection", code="connection"),
    "500": (500, {}),
    "HTML": b"<html>",
    "empty": b"",
    "busy": no("9001"),
    "no data": ok(None),
    "no token": ok({}),
    "a number": ok({"accessToken": 7}),
    "two lines": ok({"accessToken": "a\r\nX-Evil: 1"}),
    "not ASCII": ok({"accessToken": "é"}),
}


@pytest.mark.parametrize("trouble", NO_TOKEN)
def test_without_a_token_nothing_was_sent(trouble):
    http = Script(NO_TOKEN[trouble])
    with pytest.raises(Unreachable) as caught:
        provider(http, has_token=False).start(ask())

    assert http.paths == ["/v1/auth/token"]
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (no("2001"), "2001"),
        (no("1002"), "1002"),
        (no("2004"), "2004"),
        (no("3002"), "3002"),
        ((401, b"<html>"), "unreadable"),
        ((403, {}), "http_403"),
    ],
)
def test_wrong_credentials_are_a_matter_of_settings(answer, code):
    http = Script(answer)
    with pytest.raises(Rejected) as caught:
        provider(http, has_token=False).start(ask())

    assert caught.value.code == code
    assert http.paths == ["/v1/auth/token"]
    assert SECRET not in told(caught.value)


def test_a_renewal_that_fails_leaves_the_refused_call_unsent():
    with pytest.raises(Unreachable):
        provider(Script(access(), no("2003"), (503, b"")), has_token=False).start(ask())


@pytest.mark.parametrize("path", ["data.access_token", "data.token"])
def test_a_token_may_stand_in_several_places(path):
    http = Script(ok({path.removeprefix("data."): "elsewhere", "expires_in": 60}), PAID)
    provider(http, has_token=False).fetch(ref())

    assert http.requests[1].headers["Authorization"] == "Bearer elsewhere"


def test_header_and_scheme_are_the_profile_s():
    http = Script(PAID)
    provider(http, profile=override(auth={"header": "X-Token", "scheme": ""})).fetch(ref())

    assert http.requests[0].headers["X-Token"] == BEARER
    assert "Authorization" not in http.requests[0].headers


def together(count: int, call: Callable[[], tokens.Token]) -> list[Any]:
    """What each of several threads heard that called at the same moment."""
    heard: list[Any] = []
    gate = threading.Barrier(count)

    def one() -> None:
        gate.wait()
        try:
            heard.append(call().value)
        except ProviderError as error:
            heard.append(type(error))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


WHOSE = tokens.key("https://provider.test", APP, SECRET)


def slowly(fetched: list[int], outcome: Callable[[], tokens.Token]) -> Callable[[], tokens.Token]:
    def fetch() -> tokens.Token:
        fetched.append(1)
        time.sleep(0.05)
        return outcome()

    return fetch


def test_of_many_who_need_a_token_one_fetches():
    fetched: list[int] = []
    good = slowly(fetched, lambda: tokens.Token("one", float("inf")))

    assert together(8, lambda: tokens.current(WHOSE, good)) == ["one"] * 8
    assert len(fetched) == 1


def test_of_many_who_were_refused_one_renews():
    old = tokens.Token("old", float("inf"))
    tokens.remember(WHOSE, old)
    fetched: list[int] = []
    new = slowly(fetched, lambda: tokens.Token("new", float("inf")))

    assert together(8, lambda: tokens.current(WHOSE, new, instead_of=old)) == ["new"] * 8
    assert len(fetched) == 1


def test_those_who_waited_share_a_failure_and_later_ones_try_again():
    fetched: list[int] = []

    def fail() -> tokens.Token:
        raise Unreachable("down", code="x")

    assert together(8, lambda: tokens.current(WHOSE, slowly(fetched, fail))) == [Unreachable] * 8
    assert len(fetched) < 8
    assert tokens.current(WHOSE, lambda: tokens.Token("later", float("inf"))).value == "later"


def test_a_key_holds_no_secret():
    assert SECRET not in repr(WHOSE)
    assert "one" not in repr(tokens.Token("one", 1.0))


@pytest.mark.parametrize(
    "trouble", [b"", no("2004"), no("1001"), no("3001"), no("9999"), no("9001"), (401, b""), ok({})]
)
def test_no_frame_of_a_traceback_shows_card_secret_or_token(trouble):
    http = Script(trouble)
    with pytest.raises(ProviderError) as caught:
        provider(http).start(ask())

    seen = frames(caught.value)
    assert seen
    assert not [text for text in seen for canary in (NUMBER, CARD.cvc, SECRET, BEARER) if canary in text]


def test_no_frame_of_a_call_that_found_nobody_shows_them_either():
    with nobody_listens() as url, pytest.raises(Unreachable) as caught:
        provider(Http(url)).start(ask())

    assert not [text for text in frames(caught.value) for canary in (NUMBER, SECRET, BEARER) if canary in text]


def test_the_log_tells_of_a_call_and_of_nothing_in_it(caplog):
    caplog.set_level("DEBUG")
    with Wire(
        transports.answer(compact(access())), transports.answer(compact(no("2003")[1]), 401), transports.answer(b"")
    ) as wire:
        with pytest.raises(Unreachable):
            provider(Http(wire.url), has_token=False).start(ask())
        headers = [one.headers for one in wire.requests]

    assert "path=/v1/payments status=401" in caplog.text
    assert headers[1]["authorization"] == f"Bearer {BEARER}"
    assert not [canary for canary in (NUMBER, SECRET, BEARER) if canary in caplog.text]


def frames(error: BaseException) -> list[str]:
    """What an error report that prints variables would show of the product's own frames."""
    found = []
    trace = error.__traceback__
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if "/providers/" in name and "/tests/" not in name:
            found.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    return found


# --------------------------------------------------------------------------------------------------------- our requests


def test_a_card_payment_says_all_that_we_know():
    http = Script(ok(payment("PENDING")))
    provider(http).start(
        ask(
            billing=Address("1 Raffles Place", "", "Singapore", "", "048616", "SG"),
            shipping=Address("2 Orchard Road", "#05", "Singapore", "SG-01", "238801", "SG"),
            items=(Item("Ticket", 2, 5000, "T-1"), Item("Fee", 1, 99)),
            three_ds=ThreeDSWish.FORCE,
        )
    )

    assert (http.requests[0].method, http.requests[0].path) == ("POST", "/v1/payments")
    assert http.fields() == {
        "amount": "100.99",
        "currency": "USD",
        "orderNo": OURS,
        "expiryTime": "60",
        "fraudMode": "N",
        "frontUrl": "https://shop.test/return",
        "notificationUrl": "https://desk.test/hook",
        "productInfo": [
            {"productName": "Ticket", "sku": "T-1", "price": "50.00", "quantity": "2"},
            {"productName": "Fee", "price": "0.99", "quantity": "1"},
        ],
        "shipping": {
            "address": {
                "line1": "2 Orchard Road",
                "line2": "#05",
                "city": "Singapore",
                "state": "SG-01",
                "postcode": "238801",
                "country": "SG",
            },
            "email": "ada@example.com",
            "firstName": "Ada King",
            "lastName": "Lovelace",
            "phone": {"countryCode": "65", "number": "91234567"},
        },
        "paymentMethodType": "card",
        "description": "Two tickets",
        "deviceInfo": {
            "clientIp": "203.0.113.7",
            "language": "en-SG",
            "browser": {
                "acceptHeader": "text/html",
                "colorDepth": "24",
                "javaEnable": False,
                "javascriptEnable": True,
                "screenHeight": "1080",
                "screenWidth": "1920",
                "sessionId": "0",
                "timeZone": "-480",
                "userAgent": "Mozilla/5.0",
            },
        },
        "billing": {
            "address": {"line1": "1 Raffles Place", "city": "Singapore", "postcode": "048616", "country": "SG"},
            "email": "ada@example.com",
            "phone": {"countryCode": "65", "number": "91234567"},
            "storedcredentials": "none",
        },
        "card": {
            "cardNo": NUMBER,
            "cvc": "7391",
            "expiryMonth": "03",
            "expiryYear": "2031",
            "firstName": "Ada King",
            "lastName": "Lovelace",
            "captureMethod": "auto",
        },
        "threeDsMode": "standard",
    }


SESSION = ok(
    {"sessionId": "cs_1", "orderNo": OURS, "tradeNo": None, "url": "https://pay.test/cashier/cs_1", "status": "INIT"}
)


def test_a_session_says_what_a_session_can():
    http = Script(SESSION)
    started = provider(http).start(
        ask(method="cashier", card=None, capture="manual", description="A description of 30 letters")
    )

    assert http.requests[0].path == "/v1/checkout/sessions"
    assert http.fields() == {
        "amount": "100.99",
        "currency": "USD",
        "orderNo": OURS,
        "expiryTime": "60",
        "fraudMode": "N",
        "frontUrl": "https://shop.test/return",
        "notificationUrl": "https://desk.test/hook",
        "captureMethod": "manual",
        "description": "A description of 30 lette",
        "linkMode": "session",
        "threeDsMode": "auto",
    }
    assert started.step == Redirect("https://pay.test/cashier/cs_1")
    assert (started.report.status, started.report.provider_reference) == (Status.PENDING, "")


def test_the_second_brand_wants_the_method_of_a_session():
    fields = sent(ask(method="cashier", card=None), SESSION, variant="seachange")

    assert fields["paymentMethodType"] == "card"


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [(0, "30"), (1740, "30"), (1800, "30"), (1859, "30"), (3600, "60"), (7200, "120"), (99999, "120")],
)
@pytest.mark.parametrize("method", ["cashier", "card"])
def test_the_time_to_pay_stays_within_bounds(method, seconds, minutes):
    fields = sent(ask(method=method, expires_in=seconds), SESSION if method == "cashier" else None)

    assert fields["expiryTime"] == minutes


@pytest.mark.parametrize(
    ("wish", "mode"), [(ThreeDSWish.DEFAULT, "auto"), (ThreeDSWish.FORCE, "standard"), (ThreeDSWish.SKIP, "no")]
)
@pytest.mark.parametrize("method", ["cashier", "card"])
def test_a_wish_for_3ds_is_told(method, wish, mode):
    assert sent(ask(method=method, three_ds=wish), SESSION if method == "cashier" else None)["threeDsMode"] == mode


def test_a_3ds_run_done_elsewhere_is_handed_on_and_none_done_here():
    external = ExternalThreeDS("2.1.0", "05", "AAkBBIVHRQAAAAABiIdgAAAAAAA=", "f38e6948", "A", "WFg=")
    fields = sent(ask(external_three_ds=external, three_ds=ThreeDSWish.FORCE))

    assert fields["threeDsMode"] == "no"
    assert fields["threeDsData"] == {
        "authenticationResultCode": "A",
        "cavv": "AAkBBIVHRQAAAAABiIdgAAAAAAA=",
        "dsTransId": "f38e6948",
        "dsVersion": "2.1.0",
        "eci": "05",
        "xid": "WFg=",
    }


@pytest.mark.parametrize(
    ("purpose", "reason"),
    [(Purpose.RECURRING, "RECURRING"), (Purpose.INSTALMENT, "INSTALLMENT"), (Purpose.UNSCHEDULED, "UNSCHEDULED")],
)
def test_a_card_is_stored_for_a_reason(purpose, reason):
    billing = sent(ask(store_card=True, purpose=purpose))["billing"]

    assert (billing["storedcredentials"], billing["customerInitiatedReason"]) == ("store", reason)
    assert "customerInitiatedReason" not in sent(ask(purpose=purpose))["billing"]


def test_a_card_may_be_captured_later():
    assert sent(ask(capture="manual"))["card"]["captureMethod"] == "manual"


@pytest.mark.parametrize(("mode", "said"), [("N", "N"), ("Y", "Y")])
def test_the_fraud_check_is_a_setting(mode, said):
    assert sent(ask(), fraud_mode=mode)["fraudMode"] == said


@pytest.mark.parametrize(
    ("holder", "names"),
    [("Ada Lovelace", ("Ada", "Lovelace")), ("REFUSED51", ("REFUSED51", "REFUSED51")), ("  A  B  C ", ("A B", "C"))],
)
def test_a_holder_has_two_names(holder, names):
    card = sent(ask(card=dataclasses.replace(CARD, holder=holder)))["card"]

    assert (card["firstName"], card["lastName"]) == names


@pytest.mark.parametrize(
    ("phone", "said"),
    [
        ("+1 (212) 555-0100", {"countryCode": "1", "number": "2125550100"}),
        ("+7 495 123-45-67", {"countryCode": "7", "number": "4951234567"}),
        ("+442071838750", {"countryCode": "44", "number": "2071838750"}),
        ("+852 2123 4567", {"countryCode": "852", "number": "21234567"}),
        ("91234567", None),
        ("+65", None),
        ("", None),
        ("call me", None),
    ],
)
def test_a_phone_number_is_told_with_its_country_or_not_at_all(phone, said):
    assert sent(ask(customer=Customer(phone=phone)))["billing"].get("phone") == said


WALLETS = [
    ("payNow", {"payNow": {"productType": "qr-code"}}),
    ("grabPay", {"grabPay": {"productType": "qr-code"}}),
    ("shopeePay", {"shopeePay": {"productType": "qr-code"}}),
    ("wechat", {"wechat": {"productType": "qr-code"}}),
    ("alipay", {"alipay": {"productType": "qr-code"}}),
    ("alipayPlus", {"alipayPlus": {"productType": "qr-code"}}),
    ("upay", {"upay": {"productType": "qr-code"}}),
    ("paypal", {"paypal": {"productType": "qr-code"}}),
    ("applePay", {}),
    ("googlePay", {}),
]


@pytest.mark.parametrize(("method", "objects"), WALLETS)
@pytest.mark.parametrize("is_mobile", [True, False])
def test_a_wallet_is_asked_for_by_its_own_object(method, objects, is_mobile):
    fields = sent(ask(method=method, card=None, browser=dataclasses.replace(BROWSER, is_mobile=is_mobile)))
    if method == "wechat" and is_mobile:
        objects = {"wechat": {"productType": "h5"}}

    assert fields["paymentMethodType"] == method
    assert {name: fields[name] for name in fields.keys() & dict(WALLETS).keys()} == objects
    assert not fields.keys() & {"card", "threeDsMode", "captureMethod"}


def test_every_wallet_of_the_profile_has_a_name():
    assert {method for method, _ in WALLETS} == set(profile.load()["methods"]) - {"card"} == set(mapping.METHOD_NAMES)


REFUSED_HERE = {
    "an unknown method": ({"method": "cowrie", "card": None}, "method"),
    "no card": ({"card": None}, "method"),
    "a wallet cannot hold": ({"method": "paypal", "card": None, "capture": "manual"}, "manual_capture"),
    "a third decimal": ({"amount": Money(1234, "KWD")}, "decimals"),
    "a long return URL": ({"return_url": "https://shop.test/" + "r" * 111}, "return_url"),
    "a short reference": ({"reference": "P123"}, "reference"),
    "a long reference": ({"reference": "P" * 65}, "reference"),
    "an odd reference": ({"reference": "P12/34"}, "reference"),
    "a foreign reference": ({"reference": "Püppchen"}, "reference"),
}


@pytest.mark.parametrize("case", REFUSED_HERE)
def test_what_cannot_be_asked_is_not_sent(case):
    changes, code = REFUSED_HERE[case]
    http = Script(ok(payment("PENDING")))
    with pytest.raises(Rejected) as caught:
        provider(http).start(ask(**changes))

    assert caught.value.code == code
    assert not http.requests


@pytest.mark.parametrize("reference", ["P1234", "P" * 64, "a-b_c"])
def test_a_reference_that_fits_is_sent(reference):
    assert sent(ask(reference=reference), ok(payment("PENDING", orderNo=reference)))["orderNo"] == reference


@pytest.mark.parametrize("item", [Item("Discount", 1, -100), Item("Pearl", 1, 1234)])
def test_a_cart_that_cannot_be_said_is_left_out(item):
    assert "productInfo" not in sent(ask(items=(item,), amount=Money(12340, "KWD")))


@pytest.mark.parametrize("text", ["two\nlines", "a\x00b\u202e c", "half \ud800 a pair"])
def test_a_description_is_one_line_of_visible_text(text):
    assert sent(ask(description=text))["description"].isprintable()


def test_nothing_empty_is_sent():
    def leaves(value: Any) -> Iterator[Any]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for one in inner:
            yield from leaves(one)
            yield one

    bare = ask(
        customer=Customer(), browser=Browser(), description="", card=dataclasses.replace(CARD, holder="", cvc="")
    )
    for fields in (sent(bare), sent(dataclasses.replace(bare, method="cashier"), SESSION)):
        assert not [leaf for leaf in leaves(fields) if leaf in ("", None, {}, [])]


# ---------------------------------------------------------------------------------------------------------- saved cards

TOKEN = "000000000000020005060720116005061"
STORED = StoredCard(TOKEN, 3, 2031, "USD")


def test_a_saved_card_pays_by_identifier_and_expiry_only():
    http = Script(ok(payment("PENDING")))
    provider(http).start(ask(card=None, stored=STORED))

    assert http.requests[0].path == "/v1/payments/token"
    assert http.fields() == {
        "amount": "100.99",
        "orderNo": OURS,
        "transactionIdentifier": TOKEN,
        "expiryMonth": "03",
        "expiryYear": "2031",
        "description": "Two tickets",
        "deviceInfo": sent(ask())["deviceInfo"],
        "threeDsMode": "auto",
    }


def test_a_merchant_charges_a_saved_card_alone():
    fields = sent(
        ask(card=None, stored=STORED, shopper_is_away=True, purpose=Purpose.RECURRING, three_ds=ThreeDSWish.FORCE)
    )

    assert (fields["customerInitiatedReason"], fields["threeDsMode"]) == ("RECURRING", "no")
    assert "deviceInfo" not in fields


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Money(10099, "EUR")}, "currency"),
        ({"capture": "manual"}, "manual_capture"),
        ({"external_three_ds": ExternalThreeDS("2.1.0", "05", "x")}, "external_three_ds"),
    ],
)
def test_what_a_saved_card_cannot_do_is_not_asked(changes, code):
    http = Script(ok(payment("PENDING")))
    with pytest.raises(Rejected) as caught:
        provider(http).start(ask(card=None, stored=STORED, **changes))

    assert caught.value.code == code
    assert not http.requests


def test_an_account_that_needs_card_numbers_cannot_use_saved_cards():
    http = Script({})
    started = provider(http, profile=override(tokenPayment={"cardNoRequired": True})).start(
        ask(card=None, stored=STORED)
    )

    assert started.report.decline == Decline(DeclineCategory.UNAVAILABLE, "card_number_needed")
    assert not http.requests


@pytest.mark.parametrize("answer", [no("3009"), no("1002", field="cardNo"), no("1001", field="transactionIdentifier")])
def test_a_saved_card_that_they_cannot_use_is_a_no(answer):
    report = provider(Script(answer)).start(ask(card=None, stored=STORED)).report

    assert (report.status, report.decline.category) == (Status.FAILED, DeclineCategory.INVALID_CARD)


def test_a_token_is_told_by_an_inquiry_only():
    stored = ok(payment(transactionIdentifier=TOKEN))

    assert provider(Script(stored)).start(ask(store_card=True)).report.token == ""
    report = provider(Script(stored)).fetch(ref())
    assert report.token == TOKEN
    assert TOKEN not in f"{report!r} {report.raw}"


def test_nobody_is_asked_for_a_step_while_the_shopper_is_away():
    challenge = ok(payment("PENDING", nextAction={"type": "redirect", "url": "https://bank.test/3ds"}))
    started = provider(Script(challenge)).start(ask(card=None, stored=STORED, shopper_is_away=True))

    assert started.step == Wait()
    assert started.report.decline == Decline(DeclineCategory.AUTHENTICATION_REQUIRED, "shopper_is_away")


# --------------------------------------------------------------------------------------------------------- their answer

DECLINES = {
    "4001": DeclineCategory.DECLINED,
    "4002": DeclineCategory.INSUFFICIENT_FUNDS,
    "4003": DeclineCategory.EXPIRED_CARD,
    "4004": DeclineCategory.WRONG_CODE,
    "4005": DeclineCategory.AUTHENTICATION_FAILED,
    "4006": DeclineCategory.FRAUD,
    "4007": DeclineCategory.DECLINED,
    "4008": DeclineCategory.PROCESSING_ERROR,
    "4009": DeclineCategory.ABANDONED,
}


@pytest.mark.parametrize("code", DECLINES)
@pytest.mark.parametrize("road", ["start", "envelope", "fetch"])
def test_a_decline_is_a_no_with_its_reason(code, road):
    failed = ok(payment("FAILED", failCode=code))
    if road == "fetch":
        report = provider(Script(failed)).fetch(ref())
    else:
        report = provider(Script(failed if road == "start" else no(code))).start(ask()).report

    assert report.status is Status.FAILED
    assert report.decline == Decline(DECLINES[code], code)


def test_the_table_of_declines_is_complete():
    assert set(DECLINES) == set(profile.load()["errors.decline"])
    assert set(profile.load()["errors.decline"].values()) == set(mapping.DECLINES)


@pytest.mark.parametrize(
    ("member", "code"), [("failCode", "7777"), ("errorCode", "4002"), ("failCode", 4002), ("x", "")]
)
def test_a_reason_that_nobody_knows_is_a_plain_no(member, code):
    report = provider(Script(ok(payment("FAILED", **{member: code})))).fetch(ref())
    known = str(code) == "4002"

    assert report.decline == Decline(DECLINES["4002"] if known else DeclineCategory.DECLINED, str(code))


REJECTIONS = ["1001", "1002", "1003", "2001", "2004", "3004", "3007", "3008", "5003", "6001", "6002"]


@pytest.mark.parametrize("code", REJECTIONS)
def test_a_request_that_is_wrong_stops(code):
    answer = no(code)
    with pytest.raises(Rejected) as caught:
        provider(Script(answer, answer if answer[0] != 401 else access(), answer)).start(ask())

    assert caught.value.code in {code, "http_401"}


@pytest.mark.parametrize("code", ["3001", "3002", "3003", "3005", "3006", "9999", "7777", ""])
@pytest.mark.parametrize("stored", [None, STORED])
def test_what_they_may_have_done_is_asked_about(code, stored):
    with pytest.raises(OutcomeUnknown):
        provider(Script(no(code))).start(ask(stored=stored))


@pytest.mark.parametrize("kind", ["session", "payment", "fetch"])
def test_too_many_requests_means_not_this_one(kind):
    one = provider(Script(no("9001")))
    with pytest.raises(Unreachable):
        one.fetch(ref()) if kind == "fetch" else one.start(ask(method="cashier" if kind == "session" else "card"))


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ((200, ok(payment())), True),
        ((201, ok(payment())), True),
        ((200, {**ok(payment()), "code": 0}), True),
        ((200, {**ok(payment()), "code": "200"}), True),
        ((200, {**ok(payment()), "code": 200}), True),
        ((200, {"data": payment()}), True),
        ((200, {**ok(payment()), "code": None}), True),
        ((400, ok(payment())), False),
        ((404, {"data": payment()}), False),
        ((500, ok(payment())), False),
        ((302, ok(payment())), False),
        ((200, {**ok(payment()), "code": "0001"}), False),
        ((200, {**ok(payment()), "code": True}), False),
        ((200, {**ok(payment()), "code": ["0000"]}), False),
        ((403, b"<html>"), False),
        ((404, b"<html>"), False),
    ],
)
def test_success_is_a_good_status_with_a_good_code(answer, good):
    one = provider(Script(answer))
    if good:
        assert one.fetch(ref()).captured == 10099
    else:
        with pytest.raises(OutcomeUnknown):
            one.fetch(ref())


@pytest.mark.parametrize("field", ["card.cardNo", "card.expiryMonth", "cardNo", "card.lastName"])
def test_a_fault_in_what_the_shopper_typed_is_a_no(field):
    report = provider(Script(no("1001", field=field))).start(ask()).report

    assert (report.status, report.decline) == (Status.FAILED, Decline(DeclineCategory.INVALID_CARD, "1001"))


def test_a_wrong_security_code_is_a_no_of_its_own():
    report = provider(Script(no("1001", field="card.cvc"))).start(ask()).report

    assert report.decline == Decline(DeclineCategory.WRONG_CODE, "1001")


@pytest.mark.parametrize("field", ["currency", "deviceInfo.clientIp", "", ["card.cardNo"]])
def test_a_fault_in_anything_else_is_ours(field):
    with pytest.raises(Rejected):
        provider(Script(no("1001", field=field))).start(ask())


@pytest.mark.parametrize(
    "changes", [{"orderNo": "P9999"}, {"orderNo": None}, {"status": None}, {"status": ["SUCCESS"]}]
)
@pytest.mark.parametrize("road", ["start", "fetch"])
def test_an_answer_about_something_else_is_none(road, changes):
    one = provider(Script(ok(payment() | changes)))
    with pytest.raises(OutcomeUnknown):
        one.start(ask()) if road == "start" else one.fetch(ref())


@pytest.mark.parametrize("word", ["SUCCESS", "AUTHORIZED", "REFUNDED", "PARTIAL_REFUNDED", "UNDER_REVIEW"])
def test_an_answer_to_our_call_moves_no_money(word):
    started = provider(Script(ok(payment(word, refundedAmount="100.99" if "REFUND" in word else "0.00")))).start(ask())
    report = started.report

    assert (report.status, report.captured, report.authorised, report.refunded) == (Status.PENDING, None, None, None)
    assert started.step == Wait()
    assert report.amount == Money(10099, "USD")
    assert report.confirm == (word != "UNDER_REVIEW")


@pytest.mark.parametrize("word", ["success", "Success", "sUcCeSs"])
def test_words_are_read_in_any_case(word):
    assert provider(Script(ok(payment() | {"status": word}))).fetch(ref()).status is Status.CAPTURED


def test_an_unknown_word_ends_nothing_and_is_logged_by_ids(caplog):
    report = provider(Script(ok(payment("UNDER_REVIEW")))).fetch(ref())

    assert report.status is Status.PENDING
    assert f"storesquare_state_unknown order={OURS} trade={THEIRS}" in caplog.text


def step(action: Any, **changes: Any) -> Any:
    return provider(Script(ok(payment("PENDING", nextAction=action, **changes)))).start(ask()).step


CHALLENGE = "https://bank.test/3ds?a=1&b=2"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"type": "redirect", "url": CHALLENGE, "method": "GET"}, Redirect(CHALLENGE)),
        ({"type": "redirect", "url": CHALLENGE}, Redirect(CHALLENGE)),
        ({"url": CHALLENGE}, Redirect(CHALLENGE)),
        ({"type": "qrCode", "qrCode": "00020101021226"}, ShowQr("00020101021226")),
        ({"qrCode": "00020101021226"}, ShowQr("00020101021226")),
        ({"type": "qrCode", "qrCode": "https://pay.test/w/1"}, ShowQr("https://pay.test/w/1")),
        ({"type": "qrCode", "qrCode": "https://pay.test/w/1.PNG?x=1"}, Redirect("https://pay.test/w/1.PNG?x=1")),
        ({"type": "qrCode", "url": "https://pay.test/w/1"}, Redirect("https://pay.test/w/1")),
        ({"type": "none"}, Wait()),
        ({"type": "dance", "url": CHALLENGE}, Wait()),
        ({"type": "redirect"}, Wait()),
        ({}, Wait()),
        (None, Wait()),
    ],
)
def test_the_next_action_becomes_a_step(action, expected):
    assert step(action) == expected


def test_a_form_is_posted_with_plain_texts():
    form = {"creq": "eyJ", "n": 7, "flag": True, "list": ["x"], "none": None}
    shown = step({"type": "redirect", "url": CHALLENGE, "method": "post", "form": form})

    assert shown.url == CHALLENGE
    assert shown.fields == {"creq": "eyJ", "n": "7", "flag": "", "list": "", "none": ""}


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"expireTime": "2025-07-03T09:00:00Z", "createTime": "2025-07-03T08:59:00Z"}, 60),
        ({"expireTime": "2025-07-03T09:00:00Z"}, 300),
        ({"expireTime": "2025-07-03T09:00:00"}, None),
        ({"expireTime": "tomorrow"}, None),
        ({"expireTime": "2025-07-03T08:00:00Z"}, 0),
        ({"expireTime": "9999-12-31T23:59:59Z"}, 604800),
        ({}, None),
    ],
)
def test_a_qr_code_has_its_time(changes, seconds):
    with time_machine.travel("2025-07-03T08:55:00Z", tick=False):
        assert step({"type": "qrCode", "qrCode": "text"}, **changes) == ShowQr("text", seconds=seconds)


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"type": "sdk", "payload": "{}"}, "sdk"),
        ({"type": "qrCode", "qrCode": "data:image/png;base64,iVBO"}, "qr_image"),
    ],
)
def test_what_a_page_cannot_show_is_a_no(action, code):
    started = provider(Script(ok(payment("PENDING", nextAction=action)))).start(ask())

    assert started.step == Wait()
    assert started.report.decline == Decline(DeclineCategory.UNAVAILABLE, code)
    assert started.report.status is Status.FAILED


@pytest.mark.parametrize("member", ["url", "payUrl", "redirectUrl"])
def test_a_session_may_tell_its_address_in_several_places(member):
    answer = ok({"sessionId": "cs_1", "orderNo": OURS, "status": "INIT", member: "https://pay.test/c"})

    assert provider(Script(answer)).start(ask(method="cashier")).step == Redirect("https://pay.test/c")


@pytest.mark.parametrize(
    "data", [{}, {"url": ""}, {"url": 7}, {"url": "https://pay.test/c", "orderNo": "P9999"}, None, []]
)
def test_a_session_that_nobody_can_reach_is_no_answer(data):
    with pytest.raises(OutcomeUnknown):
        provider(Script(ok(data))).start(ask(method="cashier"))


@pytest.mark.parametrize("word", ["EXPIRED", "CANCELLED", "FAILED"])
def test_a_session_that_has_ended_has_no_step(word):
    started = provider(Script(ok({"status": word, "url": "https://pay.test/c"}))).start(ask(method="cashier"))

    assert started.report.status == word.lower()
    assert started.step == Wait()


# ------------------------------------------------------------------------------------------------------------ the truth


def test_an_inquiry_is_by_our_number_only():
    http = Script(PAID)
    provider(http).fetch(ref())

    assert (http.requests[0].path, http.fields()) == ("/v1/payments/inquiry", {"orderNo": OURS})


def test_an_unknown_payment_is_absent():
    report = provider(Script(no("3002"))).fetch(ref())

    assert report.absent
    assert report.status is None


@pytest.mark.parametrize(
    ("facts", "totals"),
    [
        ({}, (10099, 10099, 0, None)),
        ({"capturedAmount": None}, (10099, 10099, 0, None)),
        ({"captureMethod": "manual", "capturedAmount": "60.00"}, (10099, 6000, 0, 4099)),
        ({"captureMethod": "manual"}, (10099, 10099, 0, None)),
        ({"status": "REFUNDED", "refundedAmount": "100.99"}, (10099, 10099, 10099, None)),
        ({"status": "REFUNDED", "refundedAmount": None}, (10099, 10099, 10099, None)),
        ({"status": "PARTIAL_REFUNDED", "refundedAmount": "0.01"}, (10099, 10099, 1, None)),
        ({"status": "PARTIAL_REFUNDED", "refundedAmount": None}, (10099, 10099, None, None)),
        ({"amount": 100.99, "capturedAmount": 100.99}, (10099, 10099, 0, None)),
        ({"amount": "100.990", "capturedAmount": "100.9900"}, (10099, 10099, 0, None)),
    ],
)
def test_totals_are_running_totals(facts, totals):
    report = provider(Script(ok(payment(**facts)))).fetch(ref())

    assert (report.authorised, report.captured, report.refunded, report.released) == totals
    assert report.status is Status.CAPTURED


def test_a_hold_is_the_whole_amount():
    report = provider(Script(ok(payment("AUTHORIZED", captureMethod="manual")))).fetch(ref())

    assert (report.status, report.authorised, report.captured, report.released) == (Status.AUTHORISED, 10099, 0, None)


def test_money_that_came_is_told_whatever_the_word():
    report = provider(Script(ok(payment("FAILED", capturedAmount="100.99")))).fetch(ref())

    assert (report.status, report.captured) == (Status.FAILED, 10099)


def test_several_captures_leave_a_rest_that_is_still_held():
    several = override(rules={"captures": 5})
    facts = ok(payment(captureMethod="manual", capturedAmount="60.00"))

    assert provider(Script(facts), profile=several).fetch(ref()).released is None


@pytest.mark.parametrize(
    "facts",
    [
        {"capturedAmount": "0.00"},
        {"status": "REFUNDED", "refundedAmount": "0.00"},
        {"refundedAmount": "101.00"},
        {"status": "AUTHORIZED", "capturedAmount": "0.00", "refundedAmount": "1.00"},
    ],
)
def test_what_contradicts_itself_goes_to_a_person(facts):
    report = provider(Script(ok(payment(**facts)))).fetch(ref())

    assert (report.status, report.review) == (None, "contradictory")
    assert (report.captured, report.authorised, report.refunded) == (None, None, None)


@pytest.mark.parametrize(
    "facts",
    [
        {"capturedAmount": None, "captureMethod": "manual"},
        {"capturedAmount": None, "amount": None},
        {"amount": None, "status": "AUTHORIZED", "capturedAmount": "0.00"},
        {"capturedAmount": "12,50"},
        {"amount": "1e2"},
        {"amount": "NaN"},
        {"amount": " 100.99"},
        {"currency": "usd"},
        {"currency": "ZZZ"},
        {"capturedAmount": {"value": "1"}},
    ],
)
def test_money_that_cannot_be_read_is_no_answer(facts):
    with pytest.raises(OutcomeUnknown):
        provider(Script(ok(payment(**facts)))).fetch(ref())


def test_the_way_it_was_started_counts_where_they_do_not_say():
    unsaid = ok(payment(captureMethod=None, capturedAmount="60.00"))

    assert provider(Script(unsaid)).fetch(ref(capture="manual")).released == 4099
    assert provider(Script(unsaid)).fetch(ref()).released is None


def test_a_currency_that_they_do_not_say_is_the_one_we_asked_in():
    report = provider(Script(ok(payment(currency=None)))).fetch(ref())

    assert report.amount == Money(10099, "USD")


@pytest.mark.parametrize(
    ("masked", "first6", "last4"),
    [
        ("444433******1111", "444433", "1111"),
        ("************1111", "", "1111"),
        ("1111", "", "1111"),
        ("hidden", "", ""),
        (7, "", ""),
    ],
)
def test_of_a_card_only_its_ends_are_kept(masked, first6, last4):
    report = provider(Script(ok(payment(card={"cardNo": masked, "brand": "VISA"})))).fetch(ref())

    assert (report.card.first6, report.card.last4, report.card.brand) == (first6, last4, "visa")


def test_a_number_that_is_not_masked_goes_nowhere():
    report = provider(Script(ok(payment(card={"cardNo": NUMBER, "brand": "visa"})))).fetch(ref())

    assert report.card.last4 == "1111"
    assert NUMBER not in f"{report!r} {report.raw}"


@pytest.mark.parametrize("flow", ["none", "frictionless", "challenge", "external", "else"])
def test_what_happened_with_3ds_is_told(flow):
    report = provider(
        Script(ok(payment(threeDs={"flow": flow, "result": "A", "eci": "06", "version": "2.2.0"})))
    ).fetch(ref())

    assert (report.three_ds.status, report.three_ds.eci, report.three_ds.version) == ("A", "06", "2.2.0")
    assert report.three_ds.flow == ("" if flow == "else" else flow)


def test_only_harmless_members_are_kept():
    report = provider(
        Script(ok(payment(card={"cardNo": "444433******1111"}, transactionIdentifier=TOKEN, extra="x")))
    ).fetch(ref())

    assert set(report.raw) == {
        *("orderNo", "tradeNo", "status", "method", "captureMethod", "amount", "currency"),
        *("capturedAmount", "refundedAmount"),
    }


def test_null_bytes_and_half_characters_reach_no_report():
    odd = json.dumps(ok(payment(tradeNo="T\x00", captureMethod="\ud800"))).encode()
    report = provider(Script(odd)).fetch(ref())

    assert report.provider_reference == ""
    assert "captureMethod" not in report.raw


# ----------------------------------------------------------------------------------------------------------- operations


def operation(minor: int = 10099, **changes: Any) -> OperationRequest:
    facts = {
        "reference": "R00000001",
        "payment": ref(),
        "amount": Money(minor, "USD"),
        "reason": "Changed their mind",
        "requested_from": "203.0.113.9",
        "webhook_url": "https://desk.test/hook",
    }
    return OperationRequest(**{**facts, **changes})


def refunded(status: str = "SUCCESS", **changes: Any) -> dict[str, Any]:
    facts = {
        "refundNumber": "R00000001",
        "refundTradeNo": "202507040900000000007",
        "orderNo": OURS,
        "tradeNo": THEIRS,
        "amount": "5.55",
        "currency": "USD",
        "status": status,
    }
    return {**facts, **changes}


def by_name(one: storesquare.Provider, name: str) -> Callable[[OperationRequest], Any]:
    call: Callable[[OperationRequest], Any] = getattr(one, name)
    return call


@pytest.mark.parametrize(
    ("name", "path", "fields"),
    [
        ("capture", "/v1/payments/capture", {"captureAmount": "100.99"}),
        ("cancel", "/v1/payments/cancel", {}),
        (
            *("refund", "/v1/refunds"),
            {
                "amount": "100.99",
                "clientIp": "203.0.113.9",
                "reason": "Changed their mind",
                "refundNumber": "R00000001",
                "notificationUrl": "https://desk.test/hook",
            },
        ),
    ],
)
def test_an_operation_names_the_payment_twice(name, path, fields):
    http = Script(ok(refunded() if name == "refund" else payment("CANCELLED")))
    by_name(provider(http), name)(operation())

    assert http.requests[0].path == path
    assert http.fields() == {"orderNo": OURS, "tradeNo": THEIRS, **fields}


def test_a_refund_that_nobody_asked_for_has_its_required_fields():
    http = Script(ok(refunded()))
    provider(http).refund(operation(reason="", requested_from="", webhook_url="", payment=ref(provider_reference="")))

    assert http.fields() == {
        "orderNo": OURS,
        "amount": "100.99",
        "clientIp": "127.0.0.1",
        "reason": "Refund",
        "refundNumber": "R00000001",
    }


def test_a_long_reason_is_cut():
    http = Script(ok(refunded()))
    provider(http).refund(operation(reason="because " * 50))

    assert len(http.fields()["reason"]) <= 128


WORDS_OF_OPERATIONS = [
    ("capture", "SUCCESS", OperationStatus.SUCCEEDED),
    ("capture", "PARTIAL_REFUNDED", OperationStatus.SUCCEEDED),
    ("capture", "AUTHORIZED", OperationStatus.PENDING),
    ("capture", "PENDING", OperationStatus.PENDING),
    ("capture", "UNDER_REVIEW", OperationStatus.PENDING),
    ("capture", "FAILED", OperationStatus.FAILED),
    ("capture", "CANCELLED", OperationStatus.FAILED),
    ("cancel", "CANCELLED", OperationStatus.SUCCEEDED),
    ("cancel", "VOIDED", OperationStatus.SUCCEEDED),
    ("cancel", "EXPIRED", OperationStatus.SUCCEEDED),
    ("cancel", "FAILED", OperationStatus.SUCCEEDED),
    ("cancel", "AUTHORIZED", OperationStatus.PENDING),
    ("cancel", "UNDER_REVIEW", OperationStatus.PENDING),
    ("cancel", "SUCCESS", OperationStatus.FAILED),
]


@pytest.mark.parametrize(("name", "word", "status"), WORDS_OF_OPERATIONS)
def test_a_word_about_the_payment_is_one_about_the_operation(name, word, status):
    back = "1.00" if "REFUNDED" in word else "0.00"
    report = by_name(provider(Script(ok(payment(word, refundedAmount=back)))), name)(operation())

    assert report.status is status
    assert bool(report.error_code) == (status is OperationStatus.FAILED)


def test_a_capture_says_how_much_was_really_taken():
    report = provider(Script(ok(payment(capturedAmount="60.00", captureMethod="manual")))).capture(operation(6000))

    assert report.amount == Money(6000, "USD")


@pytest.mark.parametrize("name", ["capture", "cancel"])
@pytest.mark.parametrize("taken", ["0.00", "all", None])
def test_a_capture_whose_amount_makes_no_sense_is_no_answer(name, taken):
    with pytest.raises(OutcomeUnknown):
        by_name(provider(Script(ok(payment(captureMethod="manual", capturedAmount=taken)))), name)(operation())


@pytest.mark.parametrize("status", ["SUCCESS", "PROCESSING", "PENDING", "FAILED", "success", "HELD", None, 7])
@pytest.mark.parametrize("road", ["refund", "fetch_refund"])
def test_a_refund_has_a_status_of_its_own(status, road):
    said = refunded(failCode="4008") | {"status": status}
    answer = ok(said if road == "refund" else payment(refunds=[said]))
    report = by_name(provider(Script(answer)), road)(operation(555))
    expected = {
        "SUCCESS": OperationStatus.SUCCEEDED,
        "success": OperationStatus.SUCCEEDED,
        "FAILED": OperationStatus.FAILED,
    }.get(str(status), OperationStatus.PENDING)

    assert report.status is expected
    assert report.amount == Money(555, "USD")
    assert report.provider_reference == "202507040900000000007"
    assert report.error_code == ("4008" if expected is OperationStatus.FAILED else "")


@pytest.mark.parametrize(
    "data", [refunded(refundNumber="R2"), refunded(refundNumber=None), refunded(amount="x"), {}, None, []]
)
def test_an_answer_about_another_refund_is_none(data):
    with pytest.raises(OutcomeUnknown):
        provider(Script(ok(data))).refund(operation(555))


@pytest.mark.parametrize("rows", [[], None, [refunded(refundNumber="R00000002")]])
def test_a_refund_that_they_do_not_list_is_absent(rows):
    report = provider(Script(ok(payment(refunds=rows)))).fetch_refund(operation(555))

    assert report.absent
    assert report.status is OperationStatus.PENDING


def test_a_refund_of_a_payment_that_they_do_not_know_is_absent():
    assert provider(Script(no("3002"))).fetch_refund(operation(555)).absent


@pytest.mark.parametrize("rows", [{}, "none", 7, [7], [None], [{}], [refunded(refundNumber=None)]])
def test_a_list_of_refunds_that_cannot_be_read_is_no_answer(rows):
    with pytest.raises(OutcomeUnknown):
        provider(Script(ok(payment(refunds=rows)))).fetch_refund(operation(555))


@pytest.mark.parametrize("rows", [[], None, [refunded(refundNumber="R00000002", amount="5.00")]])
def test_a_refund_may_be_among_those_that_are_not_listed(rows):
    with pytest.raises(OutcomeUnknown) as caught:
        provider(Script(ok(payment(refundedAmount="5.55", refunds=rows)))).fetch_refund(operation(555))

    assert caught.value.code == "refunds_incomplete"


@pytest.mark.parametrize("word", ["PENDING", "AUTHORIZED", "FAILED", "UNDER_REVIEW"])
def test_nothing_is_said_of_a_refund_where_nothing_seems_taken(word):
    with pytest.raises(OutcomeUnknown):
        provider(Script(ok(payment(word)))).fetch_refund(operation(555))


def refusals() -> Iterator[Any]:
    """(operation, their no, what an inquiry shows afterwards, what that makes of it)."""
    held, taken = payment("AUTHORIZED", captureMethod="manual"), payment(captureMethod="manual")
    succeeded, failed, unknown = OperationStatus.SUCCEEDED, OperationStatus.FAILED, None
    yield "capture", "3003", taken, succeeded  # by the same request, sent before
    yield "capture", "3004", taken, succeeded
    yield "capture", "3003", {**taken, "capturedAmount": "60.00"}, failed
    yield "capture", "3003", payment("CANCELLED"), failed
    yield "capture", "3003", payment("PENDING"), failed
    yield "capture", "3004", held, failed
    yield "capture", "3003", held, unknown
    yield "cancel", "3003", payment("CANCELLED"), succeeded
    yield "cancel", "3003", payment("EXPIRED"), succeeded
    yield "cancel", "3003", taken, failed
    yield "cancel", "3003", held, unknown
    yield "cancel", "3006", payment("EXPIRED"), succeeded
    yield "refund", "3004", payment(refundedAmount="5.55", refunds=[refunded()]), succeeded
    yield "refund", "3003", payment("REFUNDED", refundedAmount="100.99", refunds=[refunded()]), succeeded
    yield "refund", "3005", payment(refunds=[refunded("FAILED")]), failed
    others = [refunded(refundNumber="R00000002", amount="100.00")]
    yield "refund", "3004", payment("PARTIAL_REFUNDED", refundedAmount="100.00", refunds=others), failed
    yield "refund", "3003", held, failed
    yield "refund", "3003", payment("CANCELLED"), failed
    yield "refund", "3005", payment(), unknown
    yield "refund", "1001", payment(), failed


@pytest.mark.parametrize(("name", "code", "shown", "status"), list(refusals()))
def test_after_a_no_the_inquiry_decides(name, code, shown, status):
    http = Script(no(code), ok(shown))
    call = by_name(provider(http), name)
    request = operation(555 if name == "refund" else 10099)
    if status is None:
        with pytest.raises(OutcomeUnknown) as caught:
            call(request)
        assert caught.value.code == code
    else:
        report = call(request)
        assert report.status is status
        assert (report.error_code == "") == (status is OperationStatus.SUCCEEDED)
    assert http.paths[1] == "/v1/payments/inquiry"


@pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
@pytest.mark.parametrize(
    "trouble", [(500, b""), no("3002"), no("9001"), no("2004"), Unreachable("", code="connection")]
)
def test_after_a_no_without_an_inquiry_nobody_knows(name, trouble):
    with pytest.raises(OutcomeUnknown):
        by_name(provider(Script(no("3003"), trouble)), name)(operation())


@pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
def test_an_operation_on_an_unknown_payment_is_a_no(name):
    report = by_name(provider(Script(no("3002"))), name)(operation())

    assert (report.status, report.error_code) == (OperationStatus.FAILED, "3002")


@pytest.mark.parametrize("name", ["capture", "refund"])
def test_a_decline_of_an_operation_is_a_no(name):
    report = by_name(provider(Script(no("4001"))), name)(operation())

    assert (report.status, report.error_code) == (OperationStatus.FAILED, "4001")


@pytest.mark.parametrize("name", ["capture", "cancel", "refund", "fetch_refund"])
@pytest.mark.parametrize(
    "answer", [(500, b""), b"<html>", no("9999"), no("7777"), OutcomeUnknown("", code="read_timeout")]
)
def test_an_operation_without_an_answer_is_unknown(name, answer):
    with pytest.raises(OutcomeUnknown):
        by_name(provider(Script(answer)), name)(operation())


@pytest.mark.parametrize("name", ["capture", "cancel", "refund", "fetch_refund"])
def test_an_operation_that_they_forbid_stops(name):
    with pytest.raises(Rejected):
        by_name(provider(Script(no("2004"))), name)(operation())


@pytest.mark.parametrize("role", ["refund_inquiry", "none"])
def test_where_the_second_inquiry_does_not_cancel_nothing_is_sent(role):
    http = Script({})
    report = provider(http, profile=override(secondInquiryRole=role)).cancel(operation())

    assert (report.status, report.error_code) == (OperationStatus.FAILED, "unsupported")
    assert not http.requests


# ------------------------------------------------------------------------------------------------------------- tracking


def parcel(number: str = "1Z999", **changes: Any) -> TrackingRequest:
    facts = {
        "reference": f"T{number}",
        "payment": ref(),
        "carrier": "2EBOX",
        "number": number,
        "shipped_on": date(2025, 7, 4),
        "url": "https://track.test/1Z999",
    }
    return TrackingRequest(**{**facts, **changes})


def known(number: str = "1Z999", **changes: Any) -> dict[str, Any]:
    facts = {
        "carrier": "2EBOX",
        "orderNo": OURS,
        "shipmentDate": "2025-07-04",
        "shipmentDirection": "FORWARD",
        "shippingStatus": "SHIPPED",
        "trackingNo": number,
        "trackingNumberType": "CARRIER_PROVIDED",
        "trackingUrl": "https://track.test/1Z999",
        "createTime": "2025-07-04T10:00:00Z",
    }
    return {**facts, **changes}


def upload(http: Script, *parcels: TrackingRequest, **options: Any) -> list[tuple[str, OperationStatus, str]]:
    reports = provider(http, **options).upload_tracking(parcels)
    assert [one.reference for one in reports] == [one.reference for one in parcels]
    return [(one.reference, one.status, one.error_code) for one in reports]


DONE, FAILED, OPEN = OperationStatus.SUCCEEDED, OperationStatus.FAILED, OperationStatus.PENDING


@pytest.mark.parametrize(("direction", "word"), [(Direction.FORWARD, "FORWARD"), (Direction.RETURN, "RETURN")])
@pytest.mark.parametrize("status", ShipmentStatus)
def test_one_parcel_is_added_alone(direction, word, status):
    http = Script(ok(known()))

    assert upload(http, parcel(direction=direction, status=status)) == [("T1Z999", DONE, "")]
    assert http.requests[0].path == "/v1/trackings"
    assert http.fields() == {
        "carrier": "2EBOX",
        "orderNo": OURS,
        "shipmentDate": "2025-07-04",
        "shipmentDirection": word,
        "shippingStatus": status.upper(),
        "trackingNo": "1Z999",
        "trackingNumberType": "CARRIER_PROVIDED",
        "trackingUrl": "https://track.test/1Z999",
    }


def batch(success: list[str], failed: Mapping[str, str]) -> dict[str, Any]:
    return ok(
        {
            "success": [{"orderNo": OURS, "trackingNo": one} for one in success],
            "failed": [
                {"orderNo": OURS, "trackingNo": one, "code": code, "message": "no"} for one, code in failed.items()
            ],
        }
    )


def test_several_parcels_go_together_and_are_answered_each():
    http = Script(batch(["A", "B"], {"C": "3002"}))
    heard = upload(http, parcel("A"), parcel("B", url=""), parcel("C"), parcel("D"))

    assert heard == [("TA", DONE, ""), ("TB", DONE, ""), ("TC", FAILED, "3002"), ("TD", OPEN, "not_answered")]
    assert http.paths == ["/v1/trackings/batch"]
    assert isinstance(http.fields(), list)
    assert [one["trackingNo"] for one in http.fields()] == ["A", "B", "C", "D"]
    assert "trackingUrl" not in http.fields()[1]


def test_a_long_list_is_split():
    names = [f"N{at}" for at in range(41)]
    http = Script(batch(names[:20], {}), batch(names[20:40], {}), ok(known("N40")))

    assert {status for _, status, _ in upload(http, *map(parcel, names))} == {DONE}
    assert [len(http.fields(0)), len(http.fields(1)), http.paths[2]] == [20, 20, "/v1/trackings"]


def test_a_batch_that_is_refused_whole_is_told_one_by_one():
    http = Script(no("1001"), ok(known("A")), no("1001"))

    assert upload(http, parcel("A"), parcel("B")) == [("TA", DONE, ""), ("TB", FAILED, "1001")]


def test_the_same_number_twice_goes_in_two_calls():
    http = Script(batch(["A", "B"], {}), ok(known("A", carrier="DHL")))
    heard = upload(http, parcel("A"), parcel("B"), parcel("A", reference="T2", carrier="DHL"))

    assert heard == [("TA", DONE, ""), ("TB", DONE, ""), ("T2", DONE, "")]
    assert http.paths == ["/v1/trackings/batch", "/v1/trackings"]


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"success": 7, "failed": None}, {"success": [7, None, {}], "failed": [[]]}]
)
def test_a_batch_that_says_nothing_leaves_all_open(data):
    assert upload(Script(ok(data)), parcel("A"), parcel("B")) == [
        ("TA", OPEN, "not_answered"),
        ("TB", OPEN, "not_answered"),
    ]


DUPLICATES = [
    ({}, DONE),
    ({"shippingStatus": "DELIVERED"}, DONE),
    ({"carrier": "2ebox"}, DONE),
    ({"carrier": "DHL"}, FAILED),
    ({"shipmentDate": "2025-07-05"}, FAILED),
    ({"shipmentDirection": "RETURN"}, FAILED),
]


@pytest.mark.parametrize(("differs", "status"), DUPLICATES)
def test_a_parcel_that_they_have_is_compared(differs, status):
    http = Script(no("5001"), ok(known() | differs))

    assert upload(http, parcel()) == [("T1Z999", status, "" if status is DONE else "5001")]
    assert http.paths[1] == "/v1/trackings/retrieve"
    assert http.fields() == {"orderNo": OURS, "trackingNo": "1Z999"}


@pytest.mark.parametrize("data", [None, {}, [], known(trackingNo=None), known("another"), known(orderNo="P9999")])
@pytest.mark.parametrize("plays", ["add", "compare"])
def test_an_answer_that_shows_no_such_parcel_is_none(data, plays):
    with pytest.raises(OutcomeUnknown):
        upload(Script(*([no("5001")] if plays == "compare" else []), ok(data)), parcel())


def test_a_duplicate_in_a_batch_is_compared_too():
    http = Script(batch(["A"], {"B": "5001", "C": "5001"}), ok(known("B")), ok(known("C", carrier="DHL")))

    assert upload(http, parcel("A"), parcel("B"), parcel("C")) == [
        ("TA", DONE, ""),
        ("TB", DONE, ""),
        ("TC", FAILED, "5001"),
    ]


@pytest.mark.parametrize("code", ["3002", "3008", "1001", "1002", "5003", "4001"])
def test_a_no_to_a_parcel_is_a_no_to_that_parcel(code):
    assert upload(Script(no(code)), parcel()) == [("T1Z999", FAILED, code)]


@pytest.mark.parametrize("parcels", [1, 2])
def test_parcels_wait_for_better_times(parcels):
    for answer, error in ((no("9999"), OutcomeUnknown), (b"", OutcomeUnknown), (no("9001"), Unreachable)):
        with pytest.raises(error):
            upload(Script(answer), *map(parcel, "AB"[:parcels]))


@pytest.mark.parametrize("parcels", [1, 2])
def test_parcels_with_wrong_credentials_stop(parcels):
    with pytest.raises(Rejected):
        upload(Script((400, {"code": "2001"})), *map(parcel, "AB"[:parcels]))


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (ShipmentStatus.CANCELLED, [("/status", "CANCELLED")]),
        (ShipmentStatus.DELIVERED, [("/status", "DELIVERED"), ("/trackingUrl", "https://track.test/1Z999")]),
        (ShipmentStatus.SHIPPED, [("/trackingUrl", "https://track.test/1Z999")]),
    ],
)
def test_a_known_parcel_is_changed(status, changes):
    http = Script(ok(known()))

    assert upload(http, parcel(is_known=True, status=status)) == [("T1Z999", DONE, "")]
    assert http.requests[0].path == "/v1/trackings/update"
    assert http.fields() == {
        "orderNo": OURS,
        "trackingNo": "1Z999",
        "iterms": [{"op": "replace", "path": path, "value": value} for path, value in changes],
    }


@pytest.mark.parametrize(
    ("there", "status"), [("CANCELLED", DONE), ("cancelled", DONE), ("DELIVERED", FAILED), ("SHIPPED", FAILED)]
)
def test_a_change_told_twice_is_a_yes_if_it_is_there(there, status):
    http = Script(no("5004"), ok(known(shippingStatus=there)))
    heard = upload(http, parcel(is_known=True, status=ShipmentStatus.CANCELLED))

    assert heard == [("T1Z999", status, "" if status is DONE else "5004")]


def test_a_change_that_cannot_be_said_is_compared_and_not_made():
    http = Script(ok(known()))
    heard = upload(
        http,
        parcel(is_known=True, status=ShipmentStatus.DELIVERED, url=""),
        profile=override(tracking={"allowDelivered": False}),
    )

    assert heard == [("T1Z999", FAILED, "unsupported")]
    assert http.paths == ["/v1/trackings/retrieve"]


def test_a_change_of_an_unknown_parcel_is_a_no():
    assert upload(Script(no("5002")), parcel(is_known=True, status=ShipmentStatus.CANCELLED)) == [
        ("T1Z999", FAILED, "5002")
    ]


def test_the_name_of_the_list_of_changes_is_the_profile_s():
    http = Script(ok(known()))
    upload(http, parcel(is_known=True), profile=override(tracking={"wire": {"items": "items"}}))

    assert "items" in http.fields()


# --------------------------------------------------------------------------------------------------------- subscription


def test_a_subscription_names_address_version_and_method():
    http = Script(ok({"subscribeUrl": "https://desk.test/hook", "status": "ACTIVE"}))
    subscription = provider(http).subscribe("https://desk.test/hook")

    assert http.requests[0].path == "/v1/webhooks/subscribe"
    assert http.fields() == {
        "apiVersion": "20250703",
        "signMethod": "sha256",
        "subscribeUrl": "https://desk.test/hook",
    }
    assert (subscription.url, subscription.status, subscription.credentials) == ("https://desk.test/hook", "ACTIVE", {})


def test_a_key_that_is_handed_out_becomes_the_webhook_secret():
    subscription = provider(Script(ok({"status": "ACTIVE", "signKey": "a-new-key"}))).subscribe(
        "https://desk.test/hook"
    )

    assert subscription.credentials == {"webhook_secret": "a-new-key"}
    assert "a-new-key" not in repr(subscription)


@pytest.mark.parametrize("url", ["", "x" * 157, "https://desk.test/" + "x" * 139, "http://desk.test/hook"])
def test_an_address_that_they_cannot_take_is_not_sent(url):
    http = Script(ok({}))
    with pytest.raises(Rejected):
        provider(http).subscribe(url)

    assert not http.requests


def test_a_plain_address_is_for_a_simulator_on_plain_http():
    http = Script(ok({"status": "ACTIVE"}), base_url="http://127.0.0.1:9000")

    assert provider(http).subscribe("http://127.0.0.1:8000/hook").status == "ACTIVE"


@pytest.mark.parametrize("code", ["6001", "6002", "2004", "1001"])
def test_an_address_that_they_refuse_stops(code):
    with pytest.raises(Rejected):
        provider(Script(no(code))).subscribe("https://desk.test/hook")


# -------------------------------------------------------------------------------------------- configuration and profile


def test_what_it_can_do_is_declared():
    assert storesquare.Provider.capabilities == {
        *(Capability.CAPTURE, Capability.CANCEL, Capability.REFUND, Capability.FETCH_REFUND),
        *(Capability.UPLOAD_TRACKING, Capability.SUBSCRIBE, Capability.PARTIAL_CAPTURE, Capability.PARTIAL_REFUND),
        *(Capability.CLOSE_UNPAID, Capability.SAVE_CARD, Capability.PAY_WITH_TOKEN, Capability.TOKEN_KEEPS_CURRENCY),
        *(Capability.MERCHANT_INITIATED, Capability.THREE_DS_WISH, Capability.EXTERNAL_THREE_DS),
    }
    assert storesquare.Provider.tracking_batch == 20
    assert storesquare.Provider.session_seconds == (1800, 7200)


@pytest.mark.parametrize(
    ("code", "leads_to", "currencies", "opt_in"),
    [
        ("cashier", LeadsTo.PAGE, None, False),
        ("card", LeadsTo.RESULT, None, False),
        ("payNow", LeadsTo.QR, {"SGD"}, False),
        ("grabPay", LeadsTo.QR, {"SGD", "MYR"}, False),
        ("shopeePay", LeadsTo.QR, {"SGD", "MYR"}, False),
        ("wechat", LeadsTo.QR, {"SGD", "HKD", "USD"}, False),
        ("alipay", LeadsTo.QR, {"SGD", "HKD", "USD"}, False),
        ("alipayPlus", LeadsTo.QR, {"SGD", "HKD", "USD"}, False),
        ("upay", LeadsTo.QR, {"SGD", "HKD", "USD"}, False),
        ("paypal", LeadsTo.PAGE, None, False),
        ("applePay", LeadsTo.PAGE, None, True),
        ("googlePay", LeadsTo.PAGE, None, True),
    ],
)
def test_a_way_to_pay_says_where_it_works_and_where_it_leads(code, leads_to, currencies, opt_in):
    (method,) = [one for one in storesquare.Provider.methods if one.code == code]

    assert (method.leads_to, method.currencies, method.opt_in) == (leads_to, currencies, opt_in)
    assert method.can_hold == (code in {"cashier", "card"})
    assert method.takes_card == (code == "card")
    assert bool(method.name) == (code not in {"cashier", "card"})


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"app_id": ""}, "app_id"),
        ({"app_id": "é"}, "app_id"),
        ({"app_id": "a\r\nb"}, "app_id"),
        ({"secret": ""}, "secret"),
        ({"variant": "third"}, "variant"),
        ({"signature": "md5"}, "signature"),
        ({"fraud_mode": "maybe"}, "fraud_mode"),
        ({"profile": "{"}, "profile"),
        ({"profile": "[]"}, "profile"),
        ({"profile": "[" * 100_000}, "profile"),
        ({"profile": '{"a": NaN}'}, "profile"),
        ({"profile": override(endpoints=7)}, "endpoints"),
        ({"profile": override(endpoints={"capture": {"path": "v1/capture"}})}, "capture"),
        ({"profile": override(endpoints={"capture": {"path": "/v1/ä"}})}, "capture"),
        ({"profile": override(endpoints={"capture": "/v1/capture"})}, "capture"),
        ({"profile": override(endpoints={"more": {"path": "/v1/more"}})}, "more"),
        ({"profile": override(endpoints={"more": "/v1/more"})}, "profile"),
        ({"profile": override(fields={"payment": {"status": ["a", "b"]}})}, "status"),
        ({"profile": override(fields={"payment": {"amount": []}})}, "amount"),
        ({"profile": override(fields={"payment": {"amount": [7]}})}, "amount"),
        ({"profile": override(fields={"payment": 7})}, "payment"),
        ({"profile": override(status={"payment": {"DONE": "done"}})}, "payment"),
        ({"profile": override(status={"payment": {"DONE": ["captured"]}})}, "payment"),
        ({"profile": override(status={"refund": {"DONE": "captured"}})}, "refund"),
        ({"profile": override(status={"tracking": {"SHIPPED": "delivered"}})}, "tracking"),
        ({"profile": override(status={"unknownPayment": "failed"})}, "unknownPayment"),
        ({"profile": override(secondInquiryRole="refund")}, "secondInquiryRole"),
        ({"profile": override(variants={"third": 7})}, "third"),
        ({"profile": override(variants={"third": {}})}, "third"),
        ({"profile": override(methods={"cowrie": "qr"})}, "cowrie"),
        ({"profile": override(validation={"orderNo": [64]})}, "orderNo"),
        ({"profile": override(validation={"orderNo": [64, 5]})}, "orderNo"),
        ({"profile": override(validation={"orderNo": []})}, "orderNo"),
        ({"profile": override(validation={"orderNo": ["5", "64"]})}, "orderNo"),
        ({"profile": override(webhook={"eventTypes": {"payout.sent": "payout"}})}, "eventTypes"),
        ({"profile": override(auth={"expiresInUnit": "days"})}, "expiresInUnit"),
        ({"profile": override(auth={"requestSigning": {"algo": "x"}})}, "requestSigning"),
        ({"profile": override(errors={"more": 7})}, "profile"),
        ({"profile": override(errors={"invalid": "1001"})}, "invalid"),
        ({"profile": override(tracking={"batchLimit": 0})}, "batchLimit"),
        ({"profile": override(tracking={"batchLimit": "20"})}, "batchLimit"),
        ({"profile": override(webhook={"preset": "none"})}, "signature"),
        ({"profile": override(webhook={"presets": {"mine": 7}})}, "mine"),
        ({"profile": override(webhook={"keySource": "thin air"})}, "keySource"),
        ({"profile": override(webhook={"requireSignature": False, "confirmByInquiry": False})}, "requireSignature"),
        ({"profile": preset(**{**TEMPLATE, "algo": "md5"})}, "algo"),
        ({"profile": preset(**{**TEMPLATE, "encoding": "rot13"})}, "encoding"),
        ({"profile": preset(**{**TEMPLATE, "source": "cookie:x"})}, "source"),
        ({"profile": preset(**{**TEMPLATE, "source": "header:"})}, "source"),
        ({"profile": preset(**{**TEMPLATE, "source": 7})}, "source"),
        ({"profile": preset(**{**TEMPLATE, "template": "{body}"})}, "secret"),
        ({"profile": preset(**{**TEMPLATE, "template": "{secret}"})}, "covers nothing"),
        ({"profile": preset(**{**TEMPLATE, "template": "{body}{secret}{salt}"})}, "template"),
        ({"profile": preset(**{**TEMPLATE, "template": "{body"})}, "template"),
        ({"profile": preset(**{**TEMPLATE, "template": None})}, "template"),
        ({"profile": preset(**{**TEMPLATE, "template": "{timestamp}{body}{secret}"})}, "timestampSource"),
        ({"profile": preset(**{**TEMPLATE, "toleranceSeconds": 300})}, "timestampSource"),
        ({"profile": preset(**{**TEMPLATE, "toleranceSeconds": "300"})}, "toleranceSeconds"),
        ({"profile": preset(**{**TEMPLATE, "timestampUnit": "years"})}, "timestampUnit"),
        ({"profile": preset(**{**TEMPLATE, "source": "body:sign"})}, "cannot cover"),
        ({"profile": preset(**{**TEMPLATE, "sortedRoot": 7})}, "sortedRoot"),
    ],
)
def test_a_configuration_that_cannot_work_says_what_is_wrong(changes, names):
    with pytest.raises(ValueError, match=names) as caught:
        storesquare.Config(**{"app_id": APP, "secret": SECRET, **changes})

    assert SECRET not in str(caught.value)


def test_a_configuration_has_words_for_its_form():
    fields = {one.name: one.metadata for one in dataclasses.fields(storesquare.Config)}

    assert not [name for name, metadata in fields.items() if not metadata.get("label")]
    assert fields["profile"]["multiline"]


def test_an_empty_profile_is_the_default():
    assert profile.load("") is profile.load("")
    assert profile.load(" \n")["displayName"] == "StoreSquare"


def test_an_override_is_merged_deeply():
    over = profile.load(
        override(fields={"payment": {"amount": "data.total"}}, returnParams=["a"], errors={"mine": ["X1"]})
    )

    assert over.paths("payment.amount") == ("data.total",)
    assert over.paths("payment.currency") == ("data.currency",)
    assert over["returnParams"] == ["a"]
    assert over.kinds["X1"] == "mine"
    assert over.kinds["3001"] == "duplicateOrder"


@pytest.mark.parametrize("operation_key", sorted(profile.load()["endpoints"]))
def test_every_path_comes_from_the_profile(operation_key):
    moved = override(endpoints={operation_key: {"path": "/elsewhere", "method": "PUT"}})
    data = known() | payment() | {"accessToken": BEARER, "url": "https://pay.test/c", **refunded(orderNo=OURS)}
    one = provider(http := Script(ok(data)), profile=moved, has_token=operation_key != "token")
    calls: dict[str, Callable[[], Any]] = {
        "token": lambda: one.fetch(ref()),
        "session_create": lambda: one.start(ask(method="cashier")),
        "payment_create": lambda: one.start(ask()),
        "token_payment": lambda: one.start(ask(stored=STORED)),
        "capture": lambda: one.capture(operation()),
        "inquiry": lambda: one.fetch(ref()),
        "inquiry_second": lambda: one.cancel(operation()),
        "refund": lambda: one.refund(operation()),
        "tracking_get": lambda: one.upload_tracking([parcel(is_known=True, url="")]),
        "tracking_add": lambda: one.upload_tracking([parcel()]),
        "tracking_batch": lambda: one.upload_tracking([parcel("A"), parcel("B")]),
        "tracking_update": lambda: one.upload_tracking([parcel(is_known=True)]),
        "webhook_subscribe": lambda: one.subscribe("https://desk.test/hook"),
    }
    calls[operation_key]()

    assert (http.requests[0].method, http.requests[0].path) == ("PUT", "/elsewhere")


def test_an_endpoint_may_need_no_token():
    http = Script(PAID)
    provider(http, has_token=False, profile=override(endpoints={"inquiry": {"auth": False}})).fetch(ref())

    assert http.paths == ["/v1/payments/inquiry"]
    assert "Authorization" not in http.requests[0].headers


def test_words_and_places_of_an_answer_come_from_the_profile():
    other = override(
        envelope={"code": "retCode", "successCodes": ["OK"]},
        fields={"payment": {"status": "data.state", "amount": ["data.money.total", "data.amount"]}},
        status={"payment": {"DONE": "captured"}},
    )
    answer = {"retCode": "OK", "data": payment() | {"status": "FAILED", "state": "DONE", "money": {"total": "100.99"}}}
    report = provider(Script(answer), profile=other).fetch(ref())

    assert (report.status, report.captured) == (Status.CAPTURED, 10099)


def test_answers_may_keep_their_facts_elsewhere():
    deeper = {"fields": {"payment": {}}, "envelope": {"data": "result.order"}}
    for name, paths in profile.load()["fields"]["payment"].items():
        if isinstance(paths, list):
            deeper["fields"]["payment"][name] = [path.replace("data.", "result.order.") for path in paths]
    one = provider(Script({"code": "0", "result": {"order": payment()}}), profile=json.dumps(deeper))

    assert one.fetch(ref()).captured == 10099
    assert one.parse_webhook(delivery(event()))[0].captured == 10099


def test_codes_come_from_the_profile():
    other = override(errors={"notFound": ["E404"], "decline": {"E51": "insufficient_funds"}})

    assert provider(Script((200, {"code": "E404"})), profile=other).fetch(ref()).absent
    report = provider(Script((200, {"code": "E51"})), profile=other).start(ask()).report
    assert report.decline == Decline(DeclineCategory.INSUFFICIENT_FUNDS, "E51")
