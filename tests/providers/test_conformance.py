"""The kit itself: a client with a flaw fails, and what may not be kept is found. Shown with a spoilt Lesspay client."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from providers.contract import Decline, DeclineCategory, OutcomeUnknown, PaymentReport, Started, Status, Wait
from providers.lesspay import Provider
from providers.money import Money
from tests.providers import test_lesspay
from tests.providers.conformance import (
    PRIVATE_KEY,
    assert_nothing_ended,
    broken,
    card_numbers,
    key_pair,
    security_codes,
)
from tests.providers.recording import recordings

START, FETCH, VERIFY, PARSE = Provider.start, Provider.fetch, Provider.verify_webhook, Provider.parse_webhook


def of(kind: str) -> Any:
    return next(one for one in recordings("lesspay", kind))


def gives_up(self: Provider, request: Any) -> Started:
    try:
        return START(self, request)
    except OutcomeUnknown:
        why = Decline(DeclineCategory.DECLINED)
        return Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=why), Wait())


def makes_up_a_reference(self: Provider, request: Any) -> Started:
    return START(self, dataclasses.replace(request, reference=uuid.uuid4().hex))


def sends_cents(self: Provider, request: Any) -> Started:
    minor = request.amount.minor // 100
    return START(self, dataclasses.replace(request, amount=Money(minor, request.amount.currency)))


def tells_the_card(self: Provider, request: Any) -> Started:
    started = START(self, request)
    raw = {"card": request.card.number}
    return dataclasses.replace(started, report=dataclasses.replace(started.report, raw=raw))


def echoes_our_amount(self: Provider, payment: Any) -> PaymentReport:
    return dataclasses.replace(FETCH(self, payment), amount=payment.amount)


def believes_anybody(self: Provider, delivery: Any) -> str:
    return delivery.digest


def counts_deliveries(self: Provider, delivery: Any) -> str:
    VERIFY(self, delivery)
    return uuid.uuid4().hex


def looks_again(self: Provider, delivery: Any) -> list[Any]:
    self.http.send("POST", "/api/global/v1/pay/query-order", body=b"{}", headers={})
    return PARSE(self, delivery)


def invents_money(self: Provider, delivery: Any) -> list[Any]:
    return [
        PaymentReport(reference="P1", status=Status.CAPTURED, captured=1, amount=Money(1, "EUR")),
        *PARSE(self, delivery),
    ]


FLAWS: list[tuple[str, Callable[..., Any], str, tuple[Any, ...]]] = [
    ("start", gives_up, "test_an_unreadable_answer_leaves_the_outcome_unknown", ("start", "HTML")),
    ("start", gives_up, "test_after_a_network_failure_the_outcome_is_unknown", ("start", "reset")),
    ("start", gives_up, "test_an_answer_cut_anywhere_leaves_the_outcome_unknown", (of("start"),)),
    ("start", gives_up, "test_wrong_types_in_an_answer_end_nothing_and_break_nothing", ("start",)),
    ("start", makes_up_a_reference, "test_our_reference_tells_a_repeated_call", ()),
    ("start", sends_cents, "test_an_amount_has_its_own_decimals_on_the_wire", ()),
    ("start", tells_the_card, "test_a_report_can_be_kept_as_json_and_holds_no_secret", (of("start"),)),
    ("fetch", echoes_our_amount, "test_another_amount_than_ours_is_told_as_it_is", (of("fetch"),)),
    ("verify_webhook", believes_anybody, "test_a_webhook_with_any_byte_changed_is_refused", (of("webhook"),)),
    ("verify_webhook", believes_anybody, "test_a_webhook_without_a_signature_is_refused", (of("webhook"),)),
    ("verify_webhook", believes_anybody, "test_a_webhook_signed_with_another_secret_is_refused", (of("webhook"),)),
    ("verify_webhook", counts_deliveries, "test_redeliveries_share_an_id_and_other_events_do_not", ()),
    ("parse_webhook", looks_again, "test_parsing_is_pure", (of("webhook"),)),
    ("parse_webhook", invents_money, "test_an_event_that_nobody_knows_moves_nothing", ()),
    ("void", lambda self: None, "test_capabilities_are_exactly_the_methods_that_exist", ()),
    ("refund", lambda self, request: None, "test_capabilities_are_exactly_the_methods_that_exist", ()),
]


@pytest.mark.parametrize(
    ("method", "flaw", "claim", "given"), FLAWS, ids=[f"{flaw[1].__name__}-{flaw[2]}" for flaw in FLAWS]
)
def test_a_flaw_is_noticed(method, flaw, claim, given, monkeypatch):
    kit = test_lesspay.TestConformance()
    getattr(kit, claim)(*given)

    monkeypatch.setattr(Provider, method, flaw, raising=False)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(kit, claim)(*given)


def test_tests_that_need_a_capability_are_not_there_without_it():
    assert test_lesspay.TestConformance.test_two_equal_refunds_are_two is None
    assert test_lesspay.TestConformance.test_a_capture_twice_takes_once is None
    assert callable(test_lesspay.TestConformance.test_the_same_event_twice_is_one_event)


@pytest.mark.parametrize(
    "text",
    [
        '"number": "4242424242424242"',
        '"number": 4242424242424242,',
        "4242 4242 4242 4242",
        "5555-5555-5555-4444",
        "378282246310005",
        "number=6222020000000000000&",
    ],
)
def test_a_card_number_is_found(text):
    assert list(card_numbers(text))


@pytest.mark.parametrize(
    "text", ["4242424242424241", "20240116090000", "1764577927001", "0" * 40, "4242 4242", "12.34"]
)
def test_other_numbers_are_no_cards(text):
    assert not list(card_numbers(text))


@pytest.mark.parametrize(
    "body", [{"cvv": "100"}, {"card": [{"securityCode": "1234"}]}, {"vali_code": 123}, {"CVV2": "999"}]
)
def test_a_security_code_is_found(body):
    assert list(security_codes(body))


@pytest.mark.parametrize("body", [{"cvv": "***"}, {"cvv": ""}, {"cvc": None}, {"cvvResult": "M1"}, {"code": "1000"}])
def test_a_masked_security_code_is_fine(body):
    assert not list(security_codes(body))


def test_a_private_key_is_found_and_a_public_one_is_fine():
    pair = key_pair("any")

    assert PRIVATE_KEY.search(pair.private_pem)
    assert PRIVATE_KEY.search("".join(pair.private_pem.splitlines()[1:-1]))
    assert not PRIVATE_KEY.search(pair.public_pem)
    assert not PRIVATE_KEY.search("".join(pair.public_pem.splitlines()[1:-1]))


def test_every_member_is_broken_once():
    bodies = list(broken({"a": {"b": 1}, "c": [2]}))

    assert {"a": {"b": None}, "c": [2]} in bodies
    assert {"a": None, "c": [2]} in bodies
    assert {"a": {"b": 1}, "c": [[]]} in bodies
    assert {"c": [2]} in bodies
    assert {"a": {}, "c": [2]} in bodies


def test_an_end_is_noticed():
    assert_nothing_ended(PaymentReport(status=Status.PENDING), {})
    with pytest.raises(AssertionError):
        assert_nothing_ended(PaymentReport(status=Status.FAILED), {})
    with pytest.raises(AssertionError):
        assert_nothing_ended(PaymentReport(absent=True), {})


# ------------------------------------------------------------------------------------------------- money under disorder


def takes_any_currency(self: Provider, payment: Any) -> PaymentReport:
    report = FETCH(self, payment)
    return dataclasses.replace(report, amount=payment.amount, captured=report.captured and payment.amount.minor)


def doubles_money(self: Provider, delivery: Any) -> list[Any]:
    return [dataclasses.replace(one, confirm=False, captured=2 * one.captured) for one in PARSE(self, delivery)]


@pytest.mark.parametrize(
    ("method", "flaw", "claim", "given"),
    [
        ("fetch", takes_any_currency, "test_another_currency_is_put_before_a_person_and_is_no_money", ()),
        ("parse_webhook", doubles_money, "test_the_same_event_twice_is_one_event", ()),
        ("parse_webhook", lambda self, delivery: [], "test_money_is_learnt_although_the_answer_was_lost", ()),
    ],
)
def test_money_that_is_wrong_is_noticed(db, method, flaw, claim, given, monkeypatch):
    kit = test_lesspay.TestConformance()
    monkeypatch.setattr(Provider, method, flaw)
    stages = kit._stage(manual=False)

    with pytest.raises(AssertionError):
        getattr(kit, claim)(next(stages), *given)
    stages.close()
