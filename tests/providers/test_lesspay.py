"""Lesspay: what every provider must do, its published samples on the wire, and each of its words and codes."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from providers import lesspay
from providers.contract import (
    BadSignature,
    Capability,
    Card,
    Decline,
    DeclineCategory,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    ProviderError,
    Redirect,
    Rejected,
    Reply,
    Started,
    Status,
    StoredCard,
    ThreeDSFacts,
    ThreeDSWish,
    Unsupported,
    Wait,
)
from providers.http import Http
from providers.lesspay import mapping, signing
from providers.money import Money
from tests.providers.conformance import (
    Canned,
    ProviderConformance,
    Recording,
    compact,
    nobody_listens,
    recordings,
)
from tests.providers.disorder import MoneyUnderDisorder, Truth
from tests.providers.transports import Received

SECRET = "Wy31kFZf4jkE+Y2XZhmFuQ"
"""The sample secret of the Authentication page; every digest below is made with it."""
THEIRS = "P2011789219984105474"
OURS = "M20260228150001"
SID = "https://authentication-devices.sandbox.checkout.com/sessions-interceptor/sid_xxxxx"
WORDS = {
    Status.PENDING: "PENDING_PAY",
    Status.CAPTURED: "SUCCEED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "CANCELED",
    Status.EXPIRED: "CLOSED",
}
"""Theirs for what can become of a payment."""


def signature(fields: Mapping[str, Any], secret: str) -> str:
    """The Authentication page once more, written without looking at the package: sorted pairs, the secret last."""
    lines = []
    for key in sorted(fields):
        value = fields[key]
        if value is None or value == "":
            continue
        if isinstance(value, dict | list):
            value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        elif isinstance(value, bool):
            value = str(value).lower()
        lines.append(f"{key}={value}")
    return hashlib.sha256("&".join([*lines, f"key={secret}"]).encode()).hexdigest().upper()


def delivery(body: bytes, sign: str) -> Delivery:
    return Delivery("POST", "/hooks/x", {"Content-Type": "application/json", "X-Auth-Signature": sign}, body)


class TestConformance(MoneyUnderDisorder, ProviderConformance):
    slug = "lesspay"
    provider_class = lesspay.Provider
    amounts: ClassVar = {
        (1000, "JPY"): "1000",
        (1, "KRW"): "1",
        (1234, "EUR"): "12.34",
        (10000, "USD"): "100.00",
        (1, "USD"): "0.01",
        (123400, "HUF"): "1234.00",
        (1234, "KWD"): "1.234",
        (5, "BHD"): "0.005",
        (2**63 - 1, "USD"): "92233720368547758.07",
    }
    words: ClassVar = {
        "PENDING_CONFIRM": Status.PENDING,
        "PENDING_PAY": Status.PENDING,
        "SUCCEED": Status.CAPTURED,
        "FAILED": Status.FAILED,
        "CANCELED": Status.CANCELLED,
        "REFUND": Status.CAPTURED,
        "CLOSED": Status.EXPIRED,
        "PARTIAL_SUCCESS": None,
        "PAID": None,
    }
    accepted = Reply(200, b"SUCCESS", "text/plain")

    def config(self, secret: str, *, previous: str = "") -> lesspay.Config:
        return lesspay.Config("690b2b46e4b09c73147db688", secret, previous)

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        return delivery(body, signature(json.loads(body), secret))

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        fields = json.loads(body)
        return fields["target_amount"], fields["target_currency"]

    def sent_reference(self, body: bytes) -> str:
        return json.loads(body)["request_id"]

    def word(self, body: Any) -> str | None:
        return (body.get("data") or body).get("order_status")

    def another_event(self) -> bytes:
        body = json.loads(recordings("lesspay", "webhook")[0].bytes)
        return compact({**body, "order_status": "SUCCEED", "order_status_int": 2, "event": "refund_received"})

    def wrong_types(self) -> Iterator[Any]:
        odd = (None, True, 7, 7.5, "", "word", [], [[]], {}, {"a": 1})
        for one in odd:
            yield {"code": one}
            yield {"code": 0, "msg": "SUCCESS", "data": one}
            yield {"code": 0, "data": {"pay_order_id": one, "order_data": one}}
            yield {"code": 0, "data": {"pay_order_id": THEIRS, "order_data": one}}
            for member in ("orderState", "payData", "payDataType", "3ds", "mchOrderNo"):
                yield {"code": 0, "data": {"pay_order_id": THEIRS, "order_data": {member: one}}}
            for member in ("records", "list", "rows"):
                yield {"code": 0, "data": {member: one}}
            order = {"request_id": "P01J9Z3K8", "order_status": one}
            yield {"code": 0, "data": order}
            yield {"code": 0, "data": {**order, "order_status": "PENDING_PAY", "channel_biz_data": one}}
            yield {"code": 0, "data": {**order, "order_status": "PENDING_PAY", "channel_biz_data": {"3ds": one}}}
            yield {
                "code": 0,
                "data": {**order, "order_status": "SUCCEED", "target_amount": one, "target_currency": one},
            }
            yield {"code": 0, "data": {**order, "order_status": "SUCCEED", "order_status_int": one}}
            yield {"code": 0, "data": {**order, "order_status_int": one}}

    def answer_to(self, sent: Received, truth: Truth) -> Any:
        return {"code": 0, "msg": "SUCCESS", "data": self.payment_event(truth)}

    def payment_event(self, truth: Truth) -> dict[str, Any]:
        word = "REFUND" if truth.refunded else WORDS[truth.status]
        return {
            "pay_order_id": truth.provider_reference,
            "request_id": truth.reference,
            "order_status": word,
            "target_amount": truth.amount.decimal,
            "target_currency": truth.amount.currency,
        }

    def test_the_tables_name_the_same_words(self):
        assert set(self.words) == set(mapping.ORDER_STATES.values()) == {*mapping.STATUSES, *mapping.REVIEWS}

    def test_what_moves_money_is_confirmed_first(self):
        moving = {word for word, status in self.words.items() if status in {None, Status.CAPTURED}}

        assert moving == mapping.MOVES_MONEY


# ------------------------------------------------------------------------------------------------------------- signing

FLAT = {
    "target_amount": "100.00",
    "target_currency": "USD",
    "transaction_type": "PAY_IN",
    "notify_url": "https://merchant.example.com/notify",
    "request_id": OURS,
    "fail_url": "https://merchant.example.com/fail",
    "success_url": "https://merchant.example.com/success",
    "product_name": "Test Product",
    "description": "Test Order",
    "way_type": "CARD_PAYMENT",
    "api_version": "V2",
    "pay_access_type": 2,
}
CARD_EXTRA = {
    "extra_type": "card",
    "card_data": {
        "number": "4242424242424242",
        "expiry_month": 12,
        "expiry_year": 2027,
        "cvv": "100",
        "store_for_future_use": False,
    },
    "three_ds": {"enabled": True},
}
V3 = {
    "target_currency": "USD",
    "target_amount": "100.00",
    "transaction_type": "PAY_IN",
    "way_code": "",
    "expired_time": None,
    "zero": 0,
    "flag": False,
}
V4 = {
    "page": "1",
    "page_size": "20",
    "start_time": "1762741122000",
    "end_time": "1762913922000",
    "pay_order_id": "P1988199177890902017",
    "request_id": "RO17628585949304010",
}
V5 = {**FLAT, "request_id": "M20260228160001", "pay_access_type": 1, "channel_extra": {"three_ds": {"enabled": True}}}
V6 = {**FLAT, "channel_extra": CARD_EXTRA}
V7 = {
    "api_version": "V2",
    "description": "Lesspay Order",
    "fail_url": "https://www.example.com/fail",
    "order_status": "SUCCEED",
    "order_status_int": 2,
    "pay_order_id": THEIRS,
    "product_name": "Lesspay Order",
    "request_id": OURS,
    "success_url": "https://www.example.com/success",
    "target_amount": "100.00",
    "target_currency": "USD",
    "channel_biz_data": {
        "card_token": "src_3oqxta2juhbevjaw72pgorkd5e",
        "issuer": "CKO, WHERE THE WORLD CHECKS OUT",
        "issuer_country": "GB",
        "3ds": {"downgraded": False, "enrolled": "Y", "upgrade_reason": "sca_retry"},
    },
}
ORDER = {key: value for key, value in V7.items() if key != "channel_biz_data"}
V9 = {
    "target_currency": "USD",
    "target_amount": "9.90",
    "transaction_type": "PAY_IN",
    "product_name": "Café 測試 & co",
    "description": "a=b&c",
}
V10 = {
    **FLAT,
    "request_id": "M20260228170001",
    "channel_extra": {"extra_type": "token", "token_data": {"token": "src_3oqxta2juhbevjaw72pgorkd5e"}},
}
V11 = {**ORDER, "event": "dispute_received", "event_data": {"category": "fraudulent", "reason_code": "10.4"}}

COMPACT = "json_compact"
V1 = {"target_currency": "USDT", "target_amount": 100, "transaction_type": "PAY_IN"}
VECTORS = [
    ("V1", V1, COMPACT, "CA7807E87BCE0AE490E7ADBD4E600E5112347C818AC06E07352F28CB2FDD70DF"),
    (
        "V2",
        {**V1, "target_amount": "100.00"},
        COMPACT,
        "E86029495ABF8E35060B7D87E7511025DE213B5528B76065CB788D9BE9323015",
    ),
    ("V3", V3, COMPACT, "CE0D0463B9F63ED506CA538E849B798FD75297ECCF73D5B5C7DF152FEB2DB99F"),
    ("V4", V4, COMPACT, "8269BD73F522B65227A8CFA489790C5813E3FE6C7CDD06E6BF82AF1AE3EA4B03"),
    ("V4b", {"request_id": OURS}, COMPACT, "C3A97CA2AC24758EBE9FA543CD7F0FB187A8E210AB096FE39908E285754B0DBF"),
    ("V5", V5, COMPACT, "115007516DFBF2255A6E0BC7707D4C27B7C5E92D78838BC9753025F966E7D7DA"),
    ("V6", V6, COMPACT, "00C7FB9CF431F743FE3C859AD4A983B374D234FBAAB7AC46B59EC1E3EBBB3A04"),
    ("V6", V6, "json_sorted", "EBA6660D437FCDE414DD0C9049AEA61B000CF37C13D003B6F1D19EF1261AB2DE"),
    ("V6", V6, "json_spaced", "A0AD661BA2298968A6BE21E646EF64BDE5D08596E9253C35A5E840502D82633E"),
    ("V6", V6, "flatten_dotted", "E6E5580390770CFC4AC59D4BA53E072DD68459F28FB630D8B8C2601569ABFBE5"),
    ("V6", V6, "flatten_leaf", "221DA4D9E3B46D1A1B027CDA7175C2E37E88CDC7384CC9C50901DA0E8A322928"),
    ("V6", V6, "omit_nested", "A4AB7DFFB822BDFF266E8E61BA00291ACB658E8958D3E3192646F019C4A5AC5C"),
    ("V7", V7, COMPACT, "C261CAF08751806F503F9495520560EC06D8B15EDD717AC08EC892491B2C5F0F"),
    ("V7", V7, "json_sorted", "573EBC71E5C752E53A22F1BD257F25ACB66540512F427AC55D45AF9CB1074872"),
    ("V7", V7, "omit_nested", "2264E8854747D1EEDC7F87B5DE6F0E3FFAE7643011C924BD0423608ECE5DE444"),
    (
        *("V8", {**ORDER, "order_status": "FAILED", "order_status_int": 3}, COMPACT),
        "25CC2AC26A299F64F7C93572C20054024B90DBF9A51C4400D5B7193506E91DCE",
    ),
    ("V9", V9, COMPACT, "5636ECA00FEF4708D8A99A8DE5BFCD10CC73586A4A5924E70B2964AA7BDA5023"),
    ("V10", V10, COMPACT, "16D109D94FF7FAD2AB1E0FA1B045540E6538491C48AA5D0F2FE532701CD2EE5B"),
    ("V11", V11, COMPACT, "22327F5363A13259B9AFE353B6E404A91522675E6D8D5ED0DAB66D9DDC5E0FBC"),
    ("V12", {}, COMPACT, "177787AFBB25B1699A20F33C2BB7DB96C1A6744A75E936E817DB32C94E62F611"),
]
UNUSABLE = ("7B5F1FEDDAB337DC", "CFCC2A")
"""Published digests that the published secret does not give: vectors of nothing."""


@pytest.mark.parametrize(("name", "fields", "mode", "digest"), VECTORS, ids=[f"{one[0]}-{one[2]}" for one in VECTORS])
def test_a_vector(name, fields, mode, digest):
    assert signing.sign(fields, SECRET, mode=mode) == digest


CANONICAL_V4 = (
    "end_time=1762913922000&page=1&page_size=20&pay_order_id=P1988199177890902017"
    "&request_id=RO17628585949304010&start_time=1762741122000"
)
CANONICAL_V5 = (
    'api_version=V2&channel_extra={"three_ds":{"enabled":true}}&description=Test Order'
    "&fail_url=https://merchant.example.com/fail&notify_url=https://merchant.example.com/notify"
    "&pay_access_type=1&product_name=Test Product&request_id=M20260228160001"
    "&success_url=https://merchant.example.com/success&target_amount=100.00&target_currency=USD"
    "&transaction_type=PAY_IN&way_type=CARD_PAYMENT"
)
CANONICAL_V9 = (
    "description=a=b&c&product_name=Café 測試 & co&target_amount=9.90&target_currency=USD&transaction_type=PAY_IN"
)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (V1, "target_amount=100&target_currency=USDT&transaction_type=PAY_IN"),
        (V3, "flag=false&target_amount=100.00&target_currency=USD&transaction_type=PAY_IN&zero=0"),
        (V4, CANONICAL_V4),
        (V5, CANONICAL_V5),
        (V9, CANONICAL_V9),
    ],
    ids=["V1", "V3", "V4", "V5", "V9"],
)
def test_a_canonical_string(fields, text):
    assert signing.canonical(fields, SECRET) == f"{text}&key={SECRET}"


def test_the_empty_message_is_signed_by_its_secret_alone():
    assert signing.canonical({}, SECRET) == f"key={SECRET}"


def test_the_digests_that_nothing_yields_are_not_vectors():
    here = {node.value for node in ast.walk(ast.parse(inspect.getsource(signing))) if isinstance(node, ast.Constant)}
    published = [V4, {**V4, "timestamp": "1764577927000"}, V1]

    assert not [one for one in here if isinstance(one, str) and one.startswith(UNUSABLE)]
    assert not [one for one in VECTORS if one[3].startswith(UNUSABLE)]
    assert not [one for one in published if signing.sign(one, SECRET).startswith(UNUSABLE)]


def test_this_file_and_the_package_sign_alike():
    for one in recordings("lesspay", "webhook"):
        fields = json.loads(one.bytes)
        assert signing.sign(fields, SECRET) == signature(fields, SECRET)


def test_what_is_sent_is_the_same_text_in_the_likely_readings():
    body = signing.body_of(V6)
    fields = json.loads(body)
    raw = {
        key: text if isinstance(fields[key], dict) else fields[key] for key, text in signing.raw_members(body).items()
    }

    assert fields == V6
    assert (
        signing.sign(fields, SECRET)
        == signing.sign(fields, SECRET, mode="json_sorted")
        == signing.sign(raw, SECRET)
        == "EBA6660D437FCDE414DD0C9049AEA61B000CF37C13D003B6F1D19EF1261AB2DE"
    )


@pytest.mark.parametrize("mode", mapping.WEBHOOK_VERIFY_MODES)
def test_a_webhook_is_verified_in_each_accepted_rendering(mode):
    body = json.dumps(V7, ensure_ascii=False, indent=1).encode()
    sign = (
        signing.sign(signing.raw_members(body) | ORDER, SECRET)
        if mode == "raw"
        else signing.sign(V7, SECRET, mode=mode)
    )

    assert provider().verify_webhook(delivery(body, sign))


@pytest.mark.parametrize("mode", ["omit_nested", "flatten_dotted", "flatten_leaf", "json_spaced"])
def test_a_webhook_is_not_verified_in_renderings_that_nobody_proved(mode):
    with pytest.raises(BadSignature):
        provider().verify_webhook(delivery(compact(V7), signing.sign(V7, SECRET, mode=mode)))


@pytest.mark.parametrize("dressed", [str.lower, str.upper, lambda text: f" {text}\r\n"])
def test_a_signature_is_read_in_any_case_and_dress(dressed):
    assert provider().verify_webhook(delivery(compact(V7), dressed(signature(V7, SECRET))))


def test_a_member_that_stands_twice_is_refused():
    body = compact(V7)[:-1] + b',"order_status":"SUCCEED"}'

    with pytest.raises(BadSignature):
        provider().verify_webhook(delivery(body, signature(json.loads(body), SECRET)))


def test_a_nested_member_that_stands_twice_is_refused():
    body = b'{"a":{"b":1,"b":2}}'

    with pytest.raises(BadSignature):
        provider().verify_webhook(delivery(body, signature(json.loads(body), SECRET)))


def test_numbers_are_signed_as_they_are_written():
    body = b'{"target_amount":100.00,"request_id":"M1","order_status_int":2}'
    sign = hashlib.sha256(f"order_status_int=2&request_id=M1&target_amount=100.00&key={SECRET}".encode()).hexdigest()

    assert provider().verify_webhook(delivery(body, sign))


def test_the_same_event_in_other_white_space_is_still_genuine():
    spaced = json.dumps(V7, indent=4).encode()

    assert provider().verify_webhook(delivery(spaced, signature(V7, SECRET)))


def test_an_event_id_says_what_it_is_about():
    event_id = provider().verify_webhook(delivery(compact(V11), signature(V11, SECRET)))

    assert event_id == f"{THEIRS}:2:dispute_received:{hashlib.sha256(compact(V11)).hexdigest()[:32]}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
messages = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), json_values, max_size=6)


@given(messages)
def test_any_message_verifies_as_it_was_signed_and_only_so(fields):
    body = compact(fields)
    sign = signature(fields, SECRET)

    assert signing.matches(body, sign, SECRET, modes=mapping.WEBHOOK_VERIFY_MODES)
    assert not signing.matches(body, sign, SECRET + "x", modes=mapping.WEBHOOK_VERIFY_MODES)


@given(messages, st.integers(0, 8))
def test_the_exact_text_of_each_member_is_found(fields, indent):
    body = json.dumps(fields, ensure_ascii=False, indent=indent).encode()
    members = signing.raw_members(body)

    assert {key: json.loads(text) for key, text in members.items()} == fields
    assert all(text in body.decode() for text in members.values())


@given(st.binary(max_size=200))
def test_no_bytes_break_the_verification(junk):
    with pytest.raises(BadSignature):
        provider().verify_webhook(delivery(junk, "0" * 64))


# ------------------------------------------------------------------------------------------------------------ requests


def provider(http: Canned | None = None, **options: Any) -> lesspay.Provider:
    return lesspay.Provider(lesspay.Config("690b2b46e4b09c73147db688", SECRET, **options), http or Canned(b""))


def ask(**changes: Any) -> PaymentRequest:
    """The attempt behind the reference's samples, whose return addresses and texts are two each and ours are one."""
    facts = {
        "reference": OURS,
        "amount": Money(10000, "USD"),
        "method": "card" if "card" in changes or "token" in changes else "cashier",
        "description": "Test Product",
        "return_url": "https://merchant.example.com/return",
        "webhook_url": "https://merchant.example.com/notify",
        "expires_in": 1800,
    }
    return PaymentRequest(**{**facts, **changes})


def accepted(**order: Any) -> bytes:
    return compact({"code": 0, "msg": "SUCCESS", "data": {"order_data": order, "pay_order_id": THEIRS}})


def sent(request: PaymentRequest) -> dict[str, Any]:
    http = Canned(accepted(orderState=1))
    provider(http).start(request)
    return json.loads(http.requests[0].body)


def recorded(name: str) -> Recording:
    return next(one for one in recordings("lesspay") if one.name == name)


def as_we_say(sample: Mapping[str, Any], *, cvv: str = "") -> dict[str, Any]:
    """A sample with our return address and text, and the security code that its recording does not keep."""
    one_return = "https://merchant.example.com/return"
    said = {**sample, "success_url": one_return, "fail_url": one_return, "description": sample["product_name"]}
    if cvv:
        extra = sample["channel_extra"]
        said["channel_extra"] = {**extra, "card_data": {**extra["card_data"], "cvv": cvv}}
    return said


TEST_CARD = Card(number="4242424242424242", expiry_month=12, expiry_year=2027, cvc="100")


def test_the_body_is_the_sample_with_3ds_enabled():
    request = ask(card=TEST_CARD, three_ds=ThreeDSWish.FORCE)

    assert sent(request) == as_we_say(recorded("start_3ds_enabled").sent, cvv="100")


def test_the_body_is_the_sample_with_3ds_disabled_and_says_that_the_card_is_not_kept():
    request = ask(reference="M20260228150002", card=TEST_CARD, three_ds=ThreeDSWish.SKIP)
    sample = as_we_say(recorded("start_3ds_disabled").sent, cvv="100")
    sample["channel_extra"]["card_data"]["store_for_future_use"] = False

    assert sent(request) == sample


def test_the_body_is_the_sample_at_the_cashier():
    request = ask(reference="M20260228160001", three_ds=ThreeDSWish.FORCE)

    assert sent(request) == as_we_say(recorded("request_cashier").sent)


def test_the_body_is_the_sample_with_a_token():
    request = ask(reference="M20260228170001", stored=StoredCard("src_3oqxta2juhbevjaw72pgorkd5e"))

    assert sent(request) == as_we_say(recorded("request_token").sent)


def test_the_types_are_those_of_the_tables():
    fields = sent(ask(card=TEST_CARD))
    card = fields["channel_extra"]["card_data"]

    assert type(fields["pay_access_type"]) is int
    assert type(fields["target_amount"]) is str
    assert (type(card["expiry_month"]), type(card["expiry_year"])) == (int, int)
    assert (type(card["number"]), type(card["cvv"]), type(card["store_for_future_use"])) == (str, str, bool)


@pytest.mark.parametrize("store", [True, False])
def test_whether_a_card_is_kept_is_always_said(store):
    fields = sent(ask(card=TEST_CARD, store_card=store))

    assert fields["channel_extra"]["card_data"]["store_for_future_use"] is store


@pytest.mark.parametrize(
    ("wish", "said"),
    [(ThreeDSWish.DEFAULT, None), (ThreeDSWish.FORCE, {"enabled": True}), (ThreeDSWish.SKIP, {"enabled": False})],
)
@pytest.mark.parametrize("way", [{"card": TEST_CARD}, {}], ids=["card", "cashier"])
def test_a_wish_for_3ds_is_said_as_wished(wish, said, way):
    fields = sent(ask(**way, three_ds=wish))

    assert fields.get("channel_extra", {}).get("three_ds") == said


@pytest.mark.parametrize("wish", ThreeDSWish)
def test_a_token_payment_ignores_the_wish_and_the_card(wish):
    fields = sent(ask(card=TEST_CARD, stored=StoredCard("src_abc"), three_ds=wish, store_card=True))

    assert fields["channel_extra"] == {"extra_type": "token", "token_data": {"token": "src_abc"}}
    assert fields["pay_access_type"] == 2


def test_an_ordinary_cashier_order_has_no_extra():
    fields = sent(ask())

    assert "channel_extra" not in fields
    assert fields["pay_access_type"] == 1


def test_nothing_empty_is_sent():
    def leaves(value: Any) -> Iterator[Any]:
        for inner in value.values() if isinstance(value, dict) else [value]:
            yield from leaves(inner) if isinstance(inner, dict) and inner else [inner]

    for request in (ask(), ask(card=TEST_CARD), ask(stored=StoredCard("src_abc")), ask(three_ds=ThreeDSWish.SKIP)):
        assert not [leaf for leaf in leaves(sent(request)) if leaf is None or leaf in ("", {})]


def test_the_body_is_compact_utf_8_with_sorted_nested_members():
    http = Canned(accepted(orderState=1))
    provider(http).start(ask(card=TEST_CARD, description="Café 測試 & co"))
    body = http.requests[0].body

    assert "Café 測試 & co".encode() in body
    assert b'{"card_data":{"cvv":"100","expiry_month":12,"expiry_year":2027,"number":"4242424242424242",' in body
    assert body == compact(json.loads(body))


def test_a_manual_capture_is_never_sent():
    http = Canned(b"")

    with pytest.raises(Rejected):
        provider(http).start(ask(capture="manual"))
    assert not http.requests


def test_a_card_given_at_the_cashier_is_not_passed_on():
    http = Canned(accepted(orderState=1))
    provider(http).start(ask(method="cashier", card=TEST_CARD))

    assert TEST_CARD.number.encode() not in http.requests[0].body


@pytest.mark.parametrize("text", ["", "  ", "\x00\n", "\u2028"])
def test_an_empty_text_is_replaced_by_the_reference(text):
    fields = sent(ask(description=text))

    assert (fields["product_name"], fields["description"]) == (OURS, OURS)


def test_a_text_is_one_line():
    assert sent(ask(description=" Two\r\ntickets\x00\t& more "))["description"] == "Two tickets & more"


def test_half_a_character_does_not_stop_a_payment():
    http = Canned(accepted(orderState=1))
    provider(http).start(ask(description="half \ud83d"))
    call = http.requests[0]

    assert call.headers["x-auth-signature"] == signature(json.loads(call.body), SECRET)


def test_long_texts_are_shortened():
    fields = sent(ask(description="é" * 300))

    assert (fields["product_name"], fields["description"]) == ("é" * 128, "é" * 256)


def test_a_call_goes_to_its_path_with_three_headers():
    http = Canned(accepted(orderState=1))
    with time_machine.travel(1764577927.0, tick=False):
        provider(http).start(ask())
    call = http.requests[0]

    assert (call.method, call.path) == ("POST", "/api/global/v1/pay/create-order")
    assert call.headers == {
        "Content-Type": "application/json",
        "x-auth-appid": "690b2b46e4b09c73147db688",
        "x-auth-timestamp": "1764577927000",
        "x-auth-signature": signature(json.loads(call.body), SECRET),
    }


def test_the_earlier_secret_signs_nothing():
    http = Canned(accepted(orderState=1))
    provider(http, app_secret_previous="older").start(ask())

    assert http.requests[0].headers["x-auth-signature"] == signature(json.loads(http.requests[0].body), SECRET)


@pytest.mark.parametrize("reference", ["", "x" * 33, "a b", "a/b", "é", "M1\n", "a.b"])
def test_a_reference_that_does_not_fit_is_never_sent(reference):
    http = Canned(b"")

    with pytest.raises(Rejected):
        provider(http).start(ask(reference=reference))
    assert not http.requests


@pytest.mark.parametrize("missing", [("", "s"), ("a", "")])
def test_incomplete_credentials_are_no_configuration(missing):
    with pytest.raises(ValueError, match="app_id and app_secret"):
        lesspay.Config(*missing)


# ------------------------------------------------------------------------------------------------ answers to a request


def start(body: bytes, status_code: int = 200, **changes: Any) -> Started:
    return provider(Canned(body, status_code)).start(ask(card=TEST_CARD, **changes))


def test_a_page_to_go_to_is_a_redirect():
    assert start(accepted(payDataType="payurl", payData=SID)).step == Redirect(SID)


def test_the_guideline_s_name_for_the_page_is_understood():
    body = compact({"code": 0, "data": {"pay_order_id": THEIRS, "checkout_url": SID}})

    assert start(body).step == Redirect(SID)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"payDataType": None, "payData": None},
        {"payDataType": "", "payData": ""},
        {"payDataType": "payurl"},
        {"payDataType": "payurl", "payData": ""},
        {"payDataType": "none", "payData": ""},
        {"payDataType": "form", "payData": "<form action='https://evil.test'></form>"},
        {"payDataType": "codeUrl", "payData": "weixin://wxpay/bizpayurl?pr=1"},
        {"payDataType": "codeImgUrl", "payData": "https://pay.test/qr.png"},
        {"payDataType": "PAYURL!", "payData": SID},
        {"payDataType": ["payurl"], "payData": SID},
        {"payDataType": "payurl", "payData": [SID]},
        {"payData": SID},
    ],
    ids=lambda order: f"{order.get('payDataType', 'absent')}-{order.get('payData', 'absent')}"[:40],
)
def test_anything_else_is_waited_out(order):
    started = start(accepted(orderState=1, **order))

    assert started.step == Wait()
    assert started.report.status is Status.PENDING


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (0, Status.PENDING),
        (1, Status.PENDING),
        (2, Status.PENDING),
        (3, Status.FAILED),
        (4, Status.CANCELLED),
        (5, Status.PENDING),
        (6, Status.EXPIRED),
        (11, Status.PENDING),
        (12, Status.PENDING),
        (99, Status.PENDING),
        ("2", Status.PENDING),
        (None, Status.PENDING),
    ],
)
def test_an_unsigned_answer_never_captures(state, status):
    report = start(accepted(orderState=state, target_amount="100.00", amount=10000)).report

    assert report.status is status
    assert (report.authorised, report.captured, report.refunded) == (None, None, None)
    assert bool(report.decline) is (status is not Status.PENDING)


@pytest.mark.parametrize("state", [[], {}, [2], {"a": 1}, True, 2.0, "PAID"])
def test_a_state_of_another_type_is_waited_out(state):
    assert start(accepted(orderState=state)).report.status is Status.PENDING


def test_the_order_is_found_by_either_of_its_names():
    only_inside = compact({"code": 0, "data": {"order_data": {"payOrderId": THEIRS}}})

    assert start(only_inside).report.provider_reference == THEIRS


@pytest.mark.parametrize("data", [None, {}, {"order_data": {}}, {"pay_order_id": ""}, {"pay_order_id": 7}, [], "P1"])
def test_success_without_an_order_is_an_unknown_outcome(data):
    with pytest.raises(OutcomeUnknown):
        start(compact({"code": 0, "msg": "SUCCESS", "data": data}))


def test_an_answer_that_names_two_orders_names_none():
    with pytest.raises(OutcomeUnknown) as caught:
        start(accepted(payOrderId="P1"))

    assert caught.value.code == "contradictory"


@pytest.mark.parametrize("state", [2, 3, 4, 5, 6, 12])
def test_nobody_is_sent_to_a_page_of_an_order_that_is_over(state):
    assert start(accepted(orderState=state, payDataType="payurl", payData=SID)).step == Wait()


def test_an_answer_about_another_order_says_so():
    assert start(accepted(mchOrderNo="M1", orderState=1)).report.reference == "M1"


def test_3ds_facts_at_creation_are_kept():
    facts = {"downgraded": True, "enrolled": "N", "upgrade_reason": None}

    assert start(accepted(**{"3ds": facts})).report.three_ds == ThreeDSFacts(enrolled="N", downgraded=True)


OUTCOMES = {
    10: OutcomeUnknown,
    11: Rejected,
    12: OutcomeUnknown,
    1201: OutcomeUnknown,
    1202: Rejected,
    5003: Rejected,
    5004: Rejected,
    -1: OutcomeUnknown,
    7777: OutcomeUnknown,
}


@pytest.mark.parametrize("code", OUTCOMES)
@pytest.mark.parametrize("data", [None, {"pay_order_id": THEIRS}], ids=["alone", "with an order"])
def test_an_error_code_of_a_start_is_the_right_error(code, data):
    with pytest.raises(ProviderError) as caught:
        start(compact({"code": code, "msg": f"SUCCESS {TEST_CARD.number}", "data": data}))

    assert type(caught.value) is OUTCOMES[code]
    assert caught.value.code == str(code)
    assert TEST_CARD.number not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (5000, DeclineCategory.DECLINED),
        (5002, DeclineCategory.PROCESSING_ERROR),
        (9999, DeclineCategory.DECLINED),
    ],
)
def test_a_no_by_a_business_rule_is_a_failed_payment(code, category):
    started = start(compact({"code": code, "msg": "card expired"}))

    assert started.report == PaymentReport(
        reference=OURS, status=Status.FAILED, decline=Decline(category, str(code)), raw=started.report.raw
    )
    assert started.step == Wait()


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 405])
@pytest.mark.parametrize("body", [b"", b"<html></html>", compact({"code": 9999, "msg": "sign error"})])
def test_a_refusal_by_http_is_ours_to_mend(status_code, body):
    for call in (lambda: start(body, status_code), lambda: fetch(body, status_code)):
        with pytest.raises(Rejected) as caught:
            call()
        assert caught.value.code == f"http_{status_code}"


@pytest.mark.parametrize("status_code", [100, 201, 204, 301, 408, 409, 418, 429, 500, 502, 503, 504, 599])
def test_any_other_http_status_leaves_the_outcome_unknown(status_code):
    body = accepted(orderState=3)
    for call in (lambda: start(body, status_code), lambda: fetch(body, status_code)):
        with pytest.raises(OutcomeUnknown) as caught:
            call()
        assert caught.value.code == f"http_{status_code}"


@pytest.mark.parametrize("code", ["0", 0.0, False, None, [], {}, "SUCCESS"])
def test_a_code_of_another_type_is_no_success(code):
    with pytest.raises(OutcomeUnknown):
        start(compact({"code": code, "data": {"pay_order_id": THEIRS}}))


# --------------------------------------------------------------------------------------------------------- Fetch Payin


def order(**changes: Any) -> dict[str, Any]:
    facts = {
        "pay_order_id": THEIRS,
        "request_id": OURS,
        "order_status": "SUCCEED",
        "order_status_int": 2,
        "target_amount": "100.00",
        "target_currency": "USD",
    }
    return {**facts, **changes}


REF = PaymentRef(reference=OURS, amount=Money(10000, "USD"), provider_reference=THEIRS)


def fetch(body: bytes, status_code: int = 200, ref: PaymentRef = REF) -> PaymentReport:
    return provider(Canned(body, status_code)).fetch(ref)


def fetched(data: Any, ref: PaymentRef = REF) -> PaymentReport:
    return fetch(compact({"code": 0, "msg": "SUCCESS", "data": data}), ref=ref)


@pytest.mark.parametrize(
    ("ref", "sent_fields"),
    [(REF, {"pay_order_id": THEIRS}), (dataclasses.replace(REF, provider_reference=""), {"request_id": OURS})],
    ids=["by theirs", "by ours"],
)
def test_an_inquiry_names_one_id_and_nothing_else(ref, sent_fields):
    http = Canned(compact({"code": 0, "data": order()}))
    provider(http).fetch(ref)

    assert http.requests[0].path == "/api/global/v1/pay/query-order"
    assert json.loads(http.requests[0].body) == sent_fields


OTHER = order(pay_order_id="P1", request_id="M1", order_status="FAILED", order_status_int=3)


@pytest.mark.parametrize(
    "data",
    [
        order(),
        [order()],
        [OTHER, order()],
        {"records": [OTHER, order()], "total": 2, "current": 1, "hasNext": False},
        {"list": [OTHER, order()]},
        {"rows": [None, "x", 7, [], OTHER, order()]},
        {"records": order()},
    ],
    ids=["object", "list", "second", "records", "list member", "rows among junk", "one in a page"],
)
@pytest.mark.parametrize("known", [THEIRS, ""], ids=["by theirs", "by ours"])
def test_our_order_is_picked_from_any_form_of_answer(data, known):
    report = fetched(data, dataclasses.replace(REF, provider_reference=known))

    assert (report.reference, report.provider_reference, report.captured) == (OURS, THEIRS, 10000)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, "x", 7, OTHER, [OTHER], {"records": []}, {"records": None}, {"records": [OTHER]}, {"total": 0}],
)
def test_an_answer_without_our_order_says_nothing(data):
    with pytest.raises(OutcomeUnknown) as caught:
        fetched(data)

    assert caught.value.code == "other_order"


def test_an_order_without_ids_is_not_ours():
    with pytest.raises(OutcomeUnknown):
        fetched(order(pay_order_id="", request_id=""), dataclasses.replace(REF, provider_reference=""))


@pytest.mark.parametrize("code", [1202, 5003])
def test_an_order_that_does_not_exist_is_absent(code):
    report = fetch(compact({"code": code, "msg": "not found", "data": None}))

    assert report.absent
    assert report.status is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *((code, OutcomeUnknown) for code in (10, 12, 1201, 7777, -1)),
        *((code, Rejected) for code in (11, 5000, 5002, 5004, 9999)),
    ],
)
def test_an_error_code_of_an_inquiry_ends_no_payment(code, error):
    with pytest.raises(ProviderError) as caught:
        fetch(compact({"code": code, "msg": "", "data": order(order_status="FAILED", order_status_int=3)}))

    assert type(caught.value) is error
    assert caught.value.code == str(code)


def test_a_paid_order_is_captured_in_full():
    report = fetched(order())

    assert (report.status, report.authorised, report.captured, report.refunded) == (Status.CAPTURED, 10000, 10000, None)
    assert report.amount == Money(10000, "USD")
    assert not report.confirm


def test_another_amount_or_currency_is_reported_as_theirs():
    assert fetched(order(target_amount="1.00")).amount == Money(100, "USD")
    assert fetched(order(target_currency="EUR")).amount == Money(10000, "EUR")


def test_a_refund_gives_everything_back():
    report = fetched(order(order_status="REFUND", order_status_int=5))

    assert (report.status, report.captured, report.refunded) == (Status.CAPTURED, 10000, 10000)


def test_money_of_another_amount_goes_to_a_person():
    report = fetched(order(order_status="PAID", order_status_int=12, target_amount="90.00"))

    assert (report.status, report.captured, report.review) == (None, None, "amount_differs")
    assert report.amount == Money(9000, "USD")


def test_closed_means_that_the_time_was_up():
    report = fetched(order(order_status="CLOSED", order_status_int=6))

    assert (report.status, report.decline) == (Status.EXPIRED, Decline(DeclineCategory.ABANDONED))


@pytest.mark.parametrize(("word", "number"), [("SUCCEED", 3), ("FAILED", 2), ("PENDING_PAY", 2), ("CLOSED", 5)])
def test_a_contradiction_ends_nothing_and_goes_to_a_person(word, number):
    report = fetched(order(order_status=word, order_status_int=number))

    assert (report.status, report.captured, report.decline, report.review) == (None, None, None, "contradictory")


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("SUCCESS", 2),
        ("SUCCESS", None),
        ("succeed", 2),
        ("REFUNDED", 5),
        ("CANCELLED", 4),
        ("PAID_OUT", 99),
        ("SUCCEED", 99),
        ("SUCCEED", "2"),
        ("SUCCEED", 2.0),
        ("PENDING_PAY", True),
        (None, None),
        (["SUCCEED"], 2),
        ("", 2),
    ],
)
def test_an_unknown_word_waits_and_leaves_a_log_line(word, number, caplog):
    report = fetched(order(order_status=word, order_status_int=number))

    assert (report.status, report.captured, report.review) == (Status.PENDING, None, "")
    assert f"lesspay_state_unknown pay_order_id={THEIRS}" in caplog.text


@pytest.mark.parametrize(("number", "status"), [(2, Status.CAPTURED), (3, Status.FAILED), (1, Status.PENDING)])
def test_a_number_alone_is_enough(number, status):
    data = order(order_status_int=number)
    del data["order_status"]

    assert fetched(data).status is status


@pytest.mark.parametrize(("word", "status"), mapping.STATUSES.items())
def test_a_word_alone_is_enough(word, status):
    data = order(order_status=word)
    del data["order_status_int"]

    assert fetched(data).status is status


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("", "USD"),
        (None, "USD"),
        ("100.00", None),
        ("100.00", ""),
        ("-1.00", "USD"),
        ("1e2", "USD"),
        ("100,00", "USD"),
        ("100.001", "USD"),
        ("100.5", "JPY"),
        ("0.00", "USD"),
        ("100.00", "usd"),
        ("100.00", "BTC"),
        (True, "USD"),
        ({}, "USD"),
        ("9" * 40, "USD"),
        ("٣", "USD"),
    ],
)
def test_a_capture_of_an_unreadable_amount_is_not_believed(amount, currency):
    with pytest.raises(OutcomeUnknown):
        fetched(order(target_amount=amount, target_currency=currency))


def test_a_capture_of_no_amount_at_all_is_not_believed():
    with pytest.raises(OutcomeUnknown) as caught:
        fetched(order(target_amount=None, target_currency=None))

    assert caught.value.code == "no_amount"


@pytest.mark.parametrize(
    ("written", "minor"),
    [(b"100", 10000), (b"100.00", 10000), (b"0.29", 29), (b"12345678901234567.89", 1234567890123456789)],
)
def test_an_amount_written_as_a_number_is_read_exactly(written, minor):
    body = compact({"code": 0, "data": order()}).replace(b'"100.00"', written)

    assert fetch(body).captured == minor


def test_three_decimals_and_none_are_read():
    assert fetched(order(target_amount="1.234", target_currency="KWD")).captured == 1234
    assert fetched(order(target_amount="1000", target_currency="JPY")).captured == 1000
    assert fetched(order(target_amount="1000.00", target_currency="JPY")).captured == 1000


@given(json_values, json_values, json_values, json_values)
def test_no_inquiry_answer_breaks_anything(word, number, amount, channel):
    data = order(order_status=word, order_status_int=number, target_amount=amount, channel_biz_data=channel)
    try:
        report = fetched(data)
    except OutcomeUnknown:
        return
    assert report.status in {None, *Status}


@given(json_values)
def test_no_envelope_breaks_anything(anything):
    for body in (anything, {"code": 0, "data": anything}, {"code": 0, "data": {"order_data": anything}}):
        for call in (start, fetch):
            try:
                call(compact(body))
            except ProviderError as error:
                assert isinstance(error, OutcomeUnknown)  # noqa: PT017 - a good answer is fine too


@given(json_values, json_values, json_values)
def test_no_create_answer_breaks_anything(state, page, reference):
    body = accepted(orderState=state, payDataType="payurl", payData=page, mchOrderNo=reference)
    started = start(body)

    assert started.report.status is not Status.CAPTURED
    assert json.dumps(dict(started.report.raw))


# ------------------------------------------------------------------------------------------------------------ webhooks


def heard(**changes: Any) -> Any:
    body = {**ORDER, **changes}
    one = delivery(compact(body), signature(body, SECRET))
    provider().verify_webhook(one)
    (report,) = provider().parse_webhook(one)
    return report


@pytest.mark.parametrize(("word", "number"), [("SUCCEED", 2), ("REFUND", 5), ("PAID", 12), ("PARTIAL_SUCCESS", 11)])
def test_a_webhook_that_tells_of_money_is_confirmed_by_a_fetch(word, number):
    assert heard(order_status=word, order_status_int=number).confirm


@pytest.mark.parametrize(("word", "number"), [("FAILED", 3), ("CANCELED", 4), ("CLOSED", 6), ("PENDING_PAY", 1)])
def test_a_webhook_that_tells_of_none_speaks_for_itself(word, number):
    report = heard(order_status=word, order_status_int=number)

    assert not report.confirm
    assert report.captured is None


@pytest.mark.parametrize(
    "changes",
    [
        {"order_status": "SUCCEED", "order_status_int": 3},
        {"order_status": "SUCCESS", "order_status_int": 2},
        {"order_status": "NEW", "order_status_int": 77},
        {"order_status": None, "order_status_int": None},
        {"order_status": ["SUCCEED"]},
        {"order_status_int": "2"},
        {"target_amount": "a lot"},
        {"target_amount": "0.00"},
        {"target_amount": None, "target_currency": None},
        {"target_currency": "usd"},
    ],
    ids=str,
)
def test_a_webhook_that_makes_no_sense_is_a_hint(changes):
    hint = heard(**changes)

    assert isinstance(hint, Hint)
    assert (hint.reference, hint.provider_reference) == (OURS, THEIRS)
    assert hint.why


def test_only_facts_of_the_channel_are_read():
    report = heard(channel_biz_data={"card_token": None, "issuer": None, "3ds": {"enrolled": "U", "downgraded": "yes"}})

    assert (report.token, report.card) == ("", None)
    assert report.three_ds == ThreeDSFacts(enrolled="U")


@pytest.mark.parametrize("channel", [None, "", [], "text", 7])
def test_a_channel_of_another_type_is_passed_over(channel):
    report = heard(channel_biz_data=channel)

    assert (report.card, report.three_ds, report.token) == (None, None, "")


@pytest.mark.parametrize(
    "event", ["payment_declined", "dispute_received", "something_new", "SUCCEED", 7, True, ["x"], {"a": 1}]
)
def test_an_event_never_carries_a_status(event):
    for number, word in mapping.ORDER_STATES.items():
        facts = {"event_data": {"amount": "100.00", "currency": "USD"}}
        report = heard(event=event, order_status=word, order_status_int=number, **facts)

        assert isinstance(report, FraudReport | DisputeReport)
        assert getattr(report, "status", "open") == "open"
        assert (report.reference, report.payment_provider_reference) == (OURS, THEIRS)


@pytest.mark.parametrize(
    "data", [None, "", [], "text", 7, {"amount": {}, "currency": []}, {"amount": "x", "currency": "y"}]
)
@pytest.mark.parametrize("event", ["payment_declined", "dispute_received"])
def test_event_data_of_another_form_breaks_nothing(event, data):
    report = heard(event=event, event_data=data)

    assert report.provider_reference
    assert getattr(report, "amount", None) is None


@pytest.mark.parametrize("code", mapping.FRAUD_CODES)
def test_a_fraud_code_is_put_into_words(code):
    report = heard(event="payment_declined", event_data={"response_code": code, "response_summary": "theirs"})

    assert (report.code, report.summary) == (code, mapping.FRAUD_CODES[code])


def test_an_unknown_fraud_code_keeps_their_words():
    report = heard(event="payment_declined", event_data={"response_code": "49999", "response_summary": "Risky"})

    assert (report.code, report.summary) == ("49999", "Risky")


@pytest.mark.parametrize(
    "category",
    [
        *("fraudulent", "unrecognized", "product_service_not_received", "product_service_not_as_described"),
        *("credit_not_processed", "duplicate", "other"),
    ],
)
def test_a_dispute_keeps_its_category(category):
    report = heard(event="dispute_received", event_data={"id": "dsp_1", "category": category})

    assert (report.provider_reference, report.category, report.stage) == ("dsp_1", category, "received")


def test_an_unknown_event_is_recorded_and_logged_by_its_digest(caplog):
    caplog.set_level(logging.WARNING)
    report = heard(event="refund_received\nlesspay_forged line=1")

    assert report.code == "unknown_event"
    assert "lesspay_event_unknown digest=" in caplog.text
    assert "lesspay_forged" not in caplog.text


def test_a_redelivered_notice_keeps_its_own_id():
    first = heard(event="payment_declined", event_data={"response_code": "30034"})
    again = heard(event="payment_declined", event_data={"response_code": "30034"})
    other = heard(event="payment_declined", event_data={"response_code": "41101"})

    assert first.provider_reference == again.provider_reference != other.provider_reference


@given(st.dictionaries(st.sampled_from([*V11, *V7]), json_values, max_size=6))
def test_no_genuine_message_breaks_the_parser(changes):
    body = {**V7, **changes}
    one = delivery(compact(body), signature(body, SECRET))

    assert len(provider().verify_webhook(one)) <= 100
    assert provider().parse_webhook(one) == provider().parse_webhook(one)


def test_fields_that_run_together_prove_nothing_about_money():
    """The signature joins fields without escaping: what follows was never sent, and yet it is genuine."""
    true = {**ORDER, "order_status": "FAILED", "order_status_int": 3, "description": "x&order_status=SUCCEED"}
    forged = {key: value for key, value in true.items() if key not in {"order_status", "order_status_int", "fail_url"}}
    forged |= {"description": "x", "order_status": "SUCCEED&fail_url=" + true["fail_url"] + "&order_status=FAILED"}
    forged |= {"order_status_int": 3}
    sign = signature(true, SECRET)

    assert provider().verify_webhook(delivery(compact(forged), sign))
    (said,) = provider().parse_webhook(delivery(compact(forged), sign))
    assert isinstance(said, Hint)


# -------------------------------------------------------------------------------------------------- what it cannot do


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund", "fetch_refund", "upload_tracking"])
def test_an_operation_that_the_reference_does_not_have_is_unsupported(operation):
    with pytest.raises(Unsupported):
        getattr(provider(), operation)(None)


@pytest.mark.parametrize("when", ["2026-03-15T18:00:00Z", "2026-03-15T18:00:00+08:00"])
def test_the_last_day_to_answer_a_dispute_is_kept(when):
    respond_by = heard(event="dispute_received", event_data={"evidence_required_by": when}).respond_by

    assert datetime.fromisoformat(respond_by) == datetime.fromisoformat(when)


@pytest.mark.parametrize("when", ["", None, "soon", "2026-03-15", "2026-03-15T18:00:00", 1773594000000, {}])
def test_a_time_without_a_zone_is_none(when):
    assert not heard(event="dispute_received", event_data={"evidence_required_by": when}).respond_by


def test_what_it_can_do_is_declared():
    assert lesspay.Provider.capabilities == {
        Capability.SAVE_CARD,
        Capability.PAY_WITH_TOKEN,
        Capability.THREE_DS_WISH,
    }
    assert {method.code: method.takes_card for method in lesspay.Provider.methods} == {"cashier": False, "card": True}


def test_numbers_with_fractions_are_never_floats():
    assert signing.parse(b'{"a":0.1}') == {"a": Decimal("0.1")}


# ------------------------------------------------------------------------------------------- switches and care


def test_a_signed_timestamp_is_one_more_pair(monkeypatch):
    monkeypatch.setattr(mapping, "SIGN_TIMESTAMP", True)
    http = Canned(accepted(orderState=1))
    provider(http).start(ask(card=TEST_CARD))
    request = http.requests[0]
    fields = json.loads(request.body)

    assert "timestamp" not in fields
    assert request.headers["x-auth-signature"] == signature(
        {**fields, "timestamp": request.headers["x-auth-timestamp"]}, SECRET
    )


def test_nested_members_are_signed_in_the_chosen_rendering(monkeypatch):
    monkeypatch.setattr(mapping, "SIGN_NESTED", "omit_nested")
    http = Canned(accepted(orderState=1))
    provider(http).start(ask(card=TEST_CARD))
    fields = {key: value for key, value in json.loads(http.requests[0].body).items() if key != "channel_extra"}

    assert http.requests[0].headers["x-auth-signature"] == signature(fields, SECRET)


def test_a_signature_may_cover_named_fields_only(monkeypatch):
    covered = {"request_id": OURS, "pay_order_id": THEIRS, "order_status": "SUCCEED"}
    event = delivery(compact(V7), signature(covered, SECRET))
    with pytest.raises(BadSignature):
        provider().verify_webhook(event)

    monkeypatch.setattr(mapping, "WEBHOOK_SIGNED_FIELDS", frozenset(covered))

    assert provider().verify_webhook(event)


def test_an_event_id_is_plain_whatever_the_fields_hold():
    odd = {**ORDER, "pay_order_id": "P1\x00\n\u00e9 " + "9" * 200, "event": ["a", {"b": 1}]}
    event_id = provider().verify_webhook(delivery(compact(odd), signature(odd, SECRET)))

    assert len(event_id) <= 100
    assert set(event_id) <= set("P0123456789abcdef:")


@pytest.mark.parametrize("text", ["half \ud800 a pair", "two\nlines\x00", "\u200bseats\u202e"])
def test_a_description_is_one_line_of_visible_text(text):
    fields = sent(ask(card=TEST_CARD, description=text))

    assert fields["description"] == fields["product_name"]
    assert fields["description"].isprintable()


@pytest.mark.parametrize("app_id", ["", "é", "a\r\nX-Evil: 1", "a\x00"])
def test_an_app_id_fits_into_a_header(app_id):
    with pytest.raises(ValueError, match="app_id"):
        lesspay.Config(app_id, SECRET)


@pytest.mark.parametrize("body", [b"", b'{"code":5004}', b'{"code":10}', b'{"code":0,"data":{}}'])
def test_no_frame_of_a_traceback_shows_the_card(body):
    with pytest.raises(ProviderError) as caught:
        provider(Canned(body)).start(ask(card=TEST_CARD))

    assert not [text for text in locals_of(caught.value) if TEST_CARD.number in text or SECRET in text]


def test_no_frame_of_a_failed_call_shows_the_card():
    with nobody_listens() as url, pytest.raises(ProviderError) as caught:
        provider(Http(url)).start(ask(card=TEST_CARD))

    assert not [text for text in locals_of(caught.value) if TEST_CARD.number in text or SECRET in text]


def locals_of(error: BaseException) -> Iterator[str]:
    """What an error report that prints variables would show of the product's own frames."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/providers/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
            yield repr(frame.f_locals)
