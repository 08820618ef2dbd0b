"""What every provider has to do, as tests: subclass ``ProviderConformance``, say how it signs, add recordings.

What a subclass says, always:

=====================  =================================================================================================
``slug``               the provider's folder, here under ``recorded`` as in ``providers``
``provider_class``     its ``Provider``
``amounts``            how amounts stand on the wire, in each number of decimals that one of its methods can take
``words``              every status word of payments that is mapped, and its status
``accepted``           the very reply that its sender takes for a yes
``config``             credentials with this secret, and an earlier one
``deliver``            a webhook with this body, signed by other code than the package's own
``sent_amount``        amount and currency in the body of a start call
``sent_reference``     what it tells repeated start calls by, in their body
``word``               the status word in a body of theirs, if there is one
``another_event``      a webhook's body of a kind that nobody has heard of
=====================  =================================================================================================

and where it applies:

=====================  =================================================================================================
``currency``           of the ordinary payment, when it cannot be EUR
``method``             of the ordinary payment, when it is not ``card``
``card()``             another ordinary card, when the number or one of the fields does not suit
``genuine_answer``     the body and the headers of a genuine answer to this very call; with ``answers_are_signed``
``resigned``           a delivery with another text for its signature, when that is not in a header
``sent_operation``     our reference and the amount in the body of an operation's call, when there are operations
``operation_words``    like ``words``, for captures, cancellations and refunds; with ``operation_word``
``wrong_types``        answers with the right members and wrong types in them, beside those that are made of recordings
``with_word``          a body with another status word, when ``word`` is not one of its texts
``meanings``           network failures that its reference gives a meaning, e.g. ``{"429": Unreachable}``
``provider()``         a provider that is ready to call, e.g. with an access token already in hand
``canaries()``         more secrets that must be seen nowhere, such as that token
``not_cards``          numbers in its recordings that look like a card's and are none
=====================  =================================================================================================

``secret`` is a text that stands for what signs webhooks. Where that is a key, ``key_pair(secret)`` has
one for each text.

Recordings are explained in ``tests.providers.recording``. A provider without them fails: our own simulator shares our
beliefs, and only a recording can contradict them. Tests that do not concern a provider, because it lacks a capability,
are not there at all for it.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, ClassVar, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.contract import (
    OPERATIONS,
    BadSignature,
    Browser,
    Capability,
    Card,
    Customer,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    Provider,
    ProviderError,
    Redirect,
    Reply,
    Started,
    Status,
    StoredCard,
    TrackingReport,
    TrackingRequest,
    Unreachable,
    is_secret,
)
from providers.http import Http, HttpAnswer
from providers.money import Money, exponent
from tests.providers.recording import (
    NEEDED,
    RECORDED,
    Recording,
    RecordingMissing,
    compact,
    money,
    plain,
    recordings,
)
from tests.providers.transports import (
    BOUNDED,
    HTML,
    NETWORK_FAILURES,
    PATIENT,
    UNREADABLE,
    Canned,
    Received,
    Wire,
    nobody_listens,
)

__all__ = (
    "Canned",
    "ProviderConformance",
    "Received",
    "Recording",
    "RecordingMissing",
    "Wire",
    "compact",
    "key_pair",
    "money",
    "needs",
    "nobody_listens",
    "only_if",
    "plain",
    "recordings",
    "told",
)

NUMBER, CVC, ID_NUMBER, PHONE, CODE = "5436031030606378", "917", "11010519491231002X", "13800000000", "739164"
"""Sought in every representation, exception and log line."""
TOKEN = "src_canary3oqxta2juhbevjaw72"
"""Of a saved card; likewise."""
OURS, ANOTHER = "P01J9Z3K8", "P01J9Z3K9"
"""References of payments, shaped as the core makes them."""
OPERATION, ANOTHER_OPERATION = "R01J9Z3K8", "R01J9Z3K9"
WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MONEY = (
    Capability.SUBMIT_CODE,
    Capability.CAPTURE,
    Capability.CANCEL,
    Capability.REFUND,
    Capability.FETCH_REFUND,
)
"""The calls that move money or say where it is: each that is declared must have been recorded."""
NUMBERED = frozenset(MONEY) - {Capability.SUBMIT_CODE}
"""Those with a reference of ours for the operation."""
SLOW = {"silence in the body", "dripping body", "dripping headers"}
"""Failures that take their time; each call meets one of the kind, ``start`` and ``fetch`` meet all."""
UNHEARD_OF = "NEVER_SEEN_BEFORE"
"""A status word that no provider has."""
PUBLISHED_CARDS = frozenset(
    {
        "4242424242424242",  # the test card of Lesspay's reference and of many others
        "6222020000000000000",  # in LianLian's samples
    }
)
SECURITY_CODE = re.compile(r"cvc2?|cvv2?|cvn2?|csc|security_?code|card_?code|vali_?code", re.IGNORECASE)
"""Names of members that hold what is printed on the back of a card."""
PRIVATE_KEY = re.compile(r"PRIVATE KEY|\bMII[CEJ][A-Za-z0-9+/\\\s]{400,}")
"""A PEM header, or what PKCS#1 and PKCS#8 keys of usual lengths begin with in Base64."""
ODD: tuple[Any, ...] = (None, True, 7.5, "", "\x00", [], [[]], {}, {"a": 1}, -1)
"""What a member of an answer should never be."""

Test = TypeVar("Test", bound=Callable[..., None])


def only_if(concerns: Callable[[type[ProviderConformance]], bool]) -> Callable[[Test], Test]:
    """Leave this test out of the classes that it does not concern."""

    def mark(test: Test) -> Test:
        test.concerns = (*getattr(test, "concerns", ()), concerns)  # type: ignore[attr-defined]
        return test

    return mark


def needs(*capabilities: Capability) -> Callable[[Test], Test]:
    """Leave this test out for providers that lack one of these capabilities."""
    return only_if(lambda kit: set(capabilities) <= kit.provider_class.capabilities)


COUNTED = re.compile(r"\b(?:ms|account|payment|order|event|delivery|refund|capture|cancellation|pk)=\d+")
"""Durations and row numbers in a log line, any of which may happen to be the security code."""


class ProviderConformance:
    """Tests for one provider. What a subclass has to say stands first."""

    slug: ClassVar[str]
    provider_class: ClassVar[type[Provider]]
    amounts: ClassVar[Mapping[tuple[int, str], str]]
    """(minor units, currency) to text; at least one of 0, 2 and 3 decimals, as far as some method can take it."""
    words: ClassVar[Mapping[str, Status | None]]
    operation_words: ClassVar[Mapping[str, OperationStatus]] = {}
    accepted: ClassVar[Reply]
    answers_are_signed: ClassVar[bool] = False
    currency: ClassVar[str] = "EUR"
    method: ClassVar[str] = "card"
    meanings: ClassVar[Mapping[str, type[ProviderError]]] = {}
    not_cards: ClassVar[Collection[str]] = ()
    secret: ClassVar[str] = "canary-secret-Wy31kFZf4jkE"
    other_secret: ClassVar[str] = "canary-secret-9MvTz0aKq2Lp"

    def config(self, secret: str, *, previous: str = "") -> Any:
        """Credentials with this secret for webhooks, and an earlier one that is still accepted."""
        raise NotImplementedError

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        """A webhook as the provider sends it. Any text is a secret, even an empty one."""
        raise NotImplementedError

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        raise NotImplementedError

    def sent_reference(self, body: bytes) -> str:
        raise NotImplementedError

    def sent_operation(self, call: str, body: bytes) -> tuple[str, Money | None]:
        """What an operation is told apart by on the wire, and its amount if the call names one.

        Where the provider has no numbers for captures or cancellations, it is the payment's reference.
        """
        raise NotImplementedError

    def word(self, body: Any) -> str | None:
        raise NotImplementedError

    def operation_word(self, body: Any) -> str | None:
        return None

    def another_event(self) -> bytes:
        raise NotImplementedError

    def genuine_answer(self, body: bytes, sent: Received) -> tuple[bytes, Mapping[str, str]]:
        """The body and headers of a genuine answer to ``sent``. What cannot be signed is returned as it is."""
        return body, {}

    def resigned(self, genuine: Delivery, signature: str | None) -> Delivery:
        """The delivery with this text for a signature, or with none."""
        headers = {} if signature is None else dict.fromkeys(genuine.headers, signature)
        return dataclasses.replace(genuine, headers=headers)

    def wrong_types(self) -> Iterator[Any]:
        return iter(())

    def with_word(self, body: Any, word: str) -> Any:
        """``body`` with another status word."""
        return exchanged(body, self.word(body), word)

    def provider(self, http: Http, **options: Any) -> Provider:
        return self.provider_class(self.config(self.secret, **options), http)

    def canaries(self) -> tuple[str, ...]:
        return (self.secret, self.other_secret, NUMBER, ID_NUMBER, CODE, TOKEN, *secrets_of(type(self)))

    # ------------------------------------------------------------------------------------------------ ordinary things

    def card(self, **changes: Any) -> Card:
        facts = {"number": NUMBER, "expiry_month": 12, "expiry_year": 2031, "cvc": CVC, "holder": "Ada Lovelace"}
        return Card(**{**facts, "brand": "mastercard", "id_number": ID_NUMBER, "phone": PHONE, **changes})

    def request(self, **changes: Any) -> PaymentRequest:
        """An ordinary attempt to pay by card."""
        facts = {
            "reference": OURS,
            "amount": Money(1234, self.currency),
            "method": self.method,
            "description": "Two tickets",
            "return_url": "https://shop.test/return",
            "webhook_url": "https://desk.test/hook",
            "expires_in": 1800,
            "created_at": WHEN,
            "order_reference": "O01J9Z3K8",
            "payer": "U01J9Z3K8",
            "customer": Customer("c-7", "ada@shop.test", "Ada Lovelace", PHONE, "203.0.113.7", WHEN),
            "browser": Browser("Mozilla/5.0", "text/html", "en-GB,en;q=0.5"),
        }
        if "card" not in changes:
            facts["card"] = self.card()
        return PaymentRequest(**{**facts, **changes})

    def ref(self, **changes: Any) -> PaymentRef:
        facts = {
            "reference": OURS,
            "amount": Money(1234, self.currency),
            "provider_reference": "P2011337513994018818",
            "method": self.method,
            "created_at": WHEN,
            "payer": "U01J9Z3K8",
        }
        return PaymentRef(**{**facts, **changes})

    def operation(self, **changes: Any) -> OperationRequest:
        """An ordinary refund of a part; captures and cancellations look the same."""
        facts = {
            "reference": OPERATION,
            "payment": self.ref(),
            "amount": Money(500, self.currency),
            "reason": "one ticket came back",
            "requested_from": "203.0.113.8",
            "created_at": WHEN,
            "webhook_url": "https://desk.test/hook",
        }
        return OperationRequest(**{**facts, **changes})

    def parcel(self, **changes: Any) -> TrackingRequest:
        facts = {"reference": "T01J9Z3K8", "payment": self.ref(), "carrier": "DHL", "number": "JD014600003828"}
        return TrackingRequest(**{**facts, "shipped_on": date(2026, 3, 2), **changes})

    # -------------------------------------------------------------------------------------------------------- helpers

    @classmethod
    def calls(cls) -> list[str]:
        """All that can be asked of this provider."""
        return ["start", "fetch", *(one for one in Capability if one in OPERATIONS & cls.provider_class.capabilities)]

    @classmethod
    def recorded(cls, *kinds: str) -> list[Recording]:
        return recordings(cls.slug, *kinds)

    @classmethod
    def fullest(cls, kind: str) -> Recording | None:
        """The longest recording of a kind, which has most to break."""
        return max(cls.recorded(kind), key=lambda one: len(one.bytes), default=None)

    def act(self, provider: Provider, call: str, recording: Recording | None = None, **changes: Any) -> Any:
        """Make one call: an ordinary one, or the one that was recorded. ``changes`` are for what it is about."""
        known = recording.facts if recording else {}
        asked = {**(recording.asked if recording else {}), **changes}
        ref = self.ref(**{"provider_reference": "", **_only(PaymentRef, known)}) if recording else self.ref()
        match call:
            case "start":
                return provider.start(self.request(**{**_only(PaymentRequest, known), **changes}))
            case "fetch":
                return provider.fetch(dataclasses.replace(ref, **changes))
            case "submit_code":
                typed_in = {"handle": "h-01J9Z3K8", "code": CODE, **(recording.asked if recording else {})}
                return provider.submit_code(dataclasses.replace(ref, **changes), **typed_in)
            case "capture" | "cancel" | "refund" | "fetch_refund":
                about = {"payment": ref, **({"amount": ref.amount} if recording else {})}
                if call in {"capture", "cancel"}:
                    about = {"payment": dataclasses.replace(ref, capture="manual"), "amount": ref.amount}
                return getattr(provider, call)(self.operation(**{**about, **asked}))
            case "upload_tracking":
                return provider.upload_tracking([self.parcel(**{"payment": ref, **asked})])
            case "look_up_card":
                return provider.look_up_card(self.card(**asked))
            case "remove_card":
                return provider.remove_card(StoredCard(TOKEN), payer=ref.payer)
            case "subscribe":
                return provider.subscribe("https://desk.test/hook")
        raise AssertionError(f"nobody knows how to {call}")

    def canned(self, body: bytes, status_code: int = 200) -> Canned:
        """A transport that gives this as a genuine answer, every time."""
        return Canned(body, status_code, genuine=self.genuine_answer)

    def played(self, recording: Recording, *, genuine: Any = None) -> Canned:
        """A transport that gives the recorded answers."""
        first, *then = recording.answers
        return Canned(first.body, first.status, first.headers, then=then, genuine=genuine or self.genuine_answer)

    def replay(self, recording: Recording) -> Any:
        """What the provider makes of a recorded answer or webhook."""
        if recording.kind == "webhook":
            return self.hear(recording.bytes)
        return self.act(self.provider(self.played(recording)), recording.kind, recording)

    def hear(self, body: bytes) -> Any:
        """What the provider makes of a genuine webhook with this body."""
        delivery = self.deliver(body, secret=self.secret)
        provider = self.provider(Canned(b""))
        provider.verify_webhook(delivery)
        return provider.parse_webhook(delivery)

    def started(self) -> Recording:
        return self.recorded("start")[0]

    def delivered(self) -> Delivery:
        return self.deliver(self.recorded("webhook")[0].bytes, secret=self.secret)

    def first_sent(self, call: str, **changes: Any) -> Received:
        """What goes out first in an ordinary call, whatever is made of the answer."""
        recording = next(iter(self.recorded(call)), None)
        http = self.played(recording) if recording else self.canned(b"{}")
        with suppress(ProviderError):
            self.act(self.provider(http), call, **changes)
        return http.requests[0]

    def assert_clean(self, text: str) -> None:
        assert not [found for found in self.canaries() if found in text]
        text = COUNTED.sub("", text)
        assert not re.search(rf"(?<!of )\b{CVC}\b", text)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take away the tests that do not concern this provider."""
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "provider_class"):
            for name in dir(cls):
                if not all(concerns(cls) for concerns in getattr(getattr(cls, name), "concerns", ())):
                    setattr(cls, name, None)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Feeds tests that ask for a ``recording``, an ``exchange`` (of any call), a ``webhook``, a ``call``."""
        kit, names = type(self), set(metafunc.fixturenames)
        kinds = {"recording": (*kit.calls(), "webhook"), "exchange": kit.calls(), "webhook": ("webhook",)}
        for name in kinds.keys() & names:
            found = kit.recorded(*kinds[name])
            metafunc.parametrize(name, found, ids=[one.name for one in found])
        if {"call", "failure"} <= names:
            both = [
                (call, failure)
                for call in kit.calls()
                for failure in NETWORK_FAILURES
                if call in {"start", "fetch"} or failure not in SLOW
            ]
            metafunc.parametrize(("call", "failure"), both)
        elif "call" in names:
            metafunc.parametrize("call", [str(one) for one in kit.calls()])
        if "declared" in names:
            metafunc.parametrize("declared", [str(one) for one in MONEY if one in kit.calls()])
        if "numbered" in names:
            metafunc.parametrize("numbered", [str(one) for one in MONEY if one in NUMBERED & set(kit.calls())])
        if "priced" in names:
            found = [one for one in kit.recorded(*kit.calls()) if says_an_amount(one.says)]
            metafunc.parametrize("priced", found, ids=[one.name for one in found])
        if "offered" in names:
            metafunc.parametrize("offered", kit.provider_class.methods, ids=lambda method: method.code)

    @pytest.fixture(autouse=True)
    def quiet(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        """Whatever a test does, nothing secret is logged, at any level, by anybody."""
        caplog.set_level("DEBUG")
        yield
        for phase in ("setup", "call"):
            for record in caplog.get_records(phase):
                self.assert_clean(f"{record.getMessage()} {record.args!r} {record.exc_text or ''}")

    # ----------------------------------------------------------------------------------------------------- recordings

    def test_a_missing_recording_fails(self, tmp_path):
        (tmp_path / self.slug).mkdir()

        with pytest.raises(RecordingMissing, match="fetch, start, webhook"):
            recordings(self.slug, folder=tmp_path)

    @only_if(lambda kit: bool(kit.provider_class.capabilities & set(MONEY)))
    def test_each_call_that_moves_money_was_recorded(self, declared):
        assert recordings(self.slug, declared, needed={*NEEDED, declared})

    def test_every_recording_says_where_it_comes_from(self):
        assert not [one.name for one in recordings(self.slug) if len(one.origin) < 20]

    def test_a_recorded_exchange_says_what_it_says(self, recording):
        heard = self.replay(recording)
        if isinstance(heard, OperationReport):  # which payment, was our own question
            heard = dataclasses.replace(heard, payment=None)

        assert plain(heard) == recording.says

    def test_a_report_can_be_kept_as_json_and_holds_no_secret(self, recording):
        for report in reports_in(self.replay(recording)):
            kept = json.dumps(getattr(report, "raw", {}), allow_nan=False)
            assert json.loads(kept) is not None
            assert not getattr(report, "token", "") or report.token not in kept
            self.assert_clean(kept)

    def test_no_recording_holds_what_nobody_may_keep(self):
        files = sorted(path for path in (RECORDED / self.slug).rglob("*") if path.is_file())

        assert files
        for path in files:
            text = path.read_text()
            assert not set(card_numbers(text)) - PUBLISHED_CARDS - set(self.not_cards), path.name
            assert not PRIVATE_KEY.search(text), path.name
            assert not list(security_codes(json.loads(text))), path.name

    def test_every_mapped_word_was_seen(self):
        bodies = [body for one in self.recorded(*self.calls(), "webhook") for body in one.bodies]

        assert {self.word(body) for body in bodies} >= set(self.words)
        assert {self.operation_word(body) for body in bodies} >= set(self.operation_words)

    def test_a_word_means_one_thing_on_every_road(self):
        for one in self.recorded("fetch", "webhook"):
            meanings = {self.words[word] for word in map(self.word, one.bodies) if word is not None} or {None}
            for report in reports_in(self.replay(one)):
                if isinstance(report, PaymentReport):
                    assert report.status in meanings, one.name

    def test_a_webhook_and_a_fetch_of_the_same_payment_agree(self):
        """One may know more than the other, but where both say something, it is the same."""
        said: dict[Any, dict[str, list[Any]]] = {}
        for one in self.recorded("fetch", "webhook"):
            for report in reports_in(self.replay(one)):
                if isinstance(report, PaymentReport) and report.status:
                    facts = plain(dataclasses.replace(report, confirm=False))
                    key = (report.reference, report.provider_reference, *map(self.word, one.bodies))
                    said.setdefault(key, {}).setdefault(one.kind, []).append(facts)
        both = [roads for roads in said.values() if len(roads) == 2]

        assert both, "no payment was recorded on both roads"
        for roads in both:
            assert any(agree(*pair) for pair in pairs(roads["fetch"], roads["webhook"]))

    @pytest.mark.parametrize("road", ["fetch", "webhook"])
    def test_a_word_that_nobody_mapped_ends_nothing_and_is_logged(self, road, caplog):
        """Quietly only where it makes us ask: no usable answer, or a hint."""
        known = [one for one in self.recorded(road) if self.words.get(self.word(one.bodies[-1]) or "")]

        assert known
        for one in known:
            body = self.with_word(one.bodies[-1], UNHEARD_OF)
            assert body != one.bodies[-1], one.name
            answer = {"status_code": one.answers[-1].status, "body": body} if road == "fetch" else {}
            caplog.clear()
            try:
                heard = self.replay(dataclasses.replace(one, answer=[*as_list(one.answer)[:-1], answer], body=body))
            except OutcomeUnknown:
                continue
            assert_nothing_ended(heard, body)
            warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
            assert warned or (heard and not statuses(heard)), one.name

    def test_another_amount_than_ours_is_told_as_it_is(self, priced):
        (amount,) = [report.amount for report in reports_in(self.replay(priced))]
        others = [Money(amount.minor + 1, amount.currency)]
        if priced.kind not in NUMBERED:  # an operation has its payment's currency
            others.append(Money(amount.minor, "USD" if amount.currency != "USD" else "EUR"))

        for ours in others:
            with suppress(ProviderError):
                heard = self.act(self.provider(self.played(priced)), priced.kind, priced, amount=ours)
                for report in reports_in(heard):
                    assert report.amount == amount or getattr(report, "review", "")

    # ----------------------------------------------------------------------------------------------------- our calls

    def test_an_amount_has_its_own_decimals_on_the_wire(self):
        taken = [method.currencies for method in self.provider_class.methods]
        decimals = {0, 2, 3} if None in taken else {exponent(one) for some in taken for one in some or ()}
        assert {exponent(currency) for _, currency in self.amounts} >= decimals

        for (minor, currency), text in self.amounts.items():
            sent = self.first_sent("start", amount=Money(minor, currency))

            assert self.sent_amount(sent.body) == (text, currency)

    def test_our_reference_tells_a_repeated_call(self):
        sent = [self.first_sent("start", reference=one) for one in (OURS, OURS, ANOTHER)]

        assert [self.sent_reference(one.body) for one in sent] == [OURS, OURS, ANOTHER]

    @only_if(lambda kit: bool(NUMBERED & kit.provider_class.capabilities))
    def test_our_reference_tells_a_repeated_operation(self, numbered):
        """Or the payment's reference does, where it can happen to a payment only once."""
        asked = (OPERATION, OPERATION, ANOTHER_OPERATION)
        sent = [self.first_sent(numbered, reference=one) for one in asked]
        told = [self.sent_operation(numbered, one.body)[0] for one in sent]

        assert told in ([*asked], [OURS] * 3)

    @needs(Capability.REFUND)
    def test_two_equal_refunds_are_two(self):
        sent = [self.first_sent("refund", reference=one) for one in (OPERATION, ANOTHER_OPERATION)]
        told = [self.sent_operation("refund", one.body) for one in sent]

        assert told == [(one, Money(500, self.currency)) for one in (OPERATION, ANOTHER_OPERATION)]

    @needs(Capability.REFUND, Capability.PARTIAL_REFUND)
    @pytest.mark.parametrize("minor", [1, 500, 1233, 1234])
    def test_a_part_is_refunded_as_a_part(self, minor):
        amount = Money(minor, self.currency)

        assert self.sent_operation("refund", self.first_sent("refund", amount=amount).body)[1] == amount

    @needs(Capability.CAPTURE, Capability.PARTIAL_CAPTURE)
    @pytest.mark.parametrize("minor", [1, 500, 1233, 1234])
    def test_a_part_is_captured_as_a_part(self, minor):
        amount = Money(minor, self.currency)

        assert self.sent_operation("capture", self.first_sent("capture", amount=amount).body)[1] == amount

    def test_capabilities_are_exactly_the_methods_that_exist(self):
        overridden = {one for one in OPERATIONS if getattr(self.provider_class, one) is not getattr(Provider, one)}
        own = {name for name, _ in inspect.getmembers(self.provider_class, inspect.isfunction) if name[0] != "_"}

        assert self.provider_class.capabilities & OPERATIONS == overridden
        assert not own - set(dir(Provider)), "what no caller knows is private"

    def test_a_card_goes_where_it_is_asked_for_and_nowhere_else(self, offered):
        """In the body of the call, for a method that takes cards: not in its path or headers, nor in what we hear."""
        currency = self.currency if offered.currencies is None else min(offered.currencies)
        card = self.card()
        http = self.played(self.started())
        heard = None
        with suppress(ProviderError):
            heard = self.provider(http).start(self.request(method=offered.code, amount=Money(1234, currency)))

        seen = [f"{one.path} {dict(one.headers)}" for one in http.requests]
        if not offered.takes_card:
            seen += [one.body.decode() for one in http.requests]
        for text in (*seen, f"{plain(heard)} {heard!r} {[report.raw for report in reports_in(heard)]}"):
            assert card.number not in text
            assert not re.search(rf"(?<![\w.]){card.cvc}(?![\w.])", text)

    def test_its_card_method_and_its_capabilities_fit_together(self):
        takes_card = any(method.takes_card for method in self.provider_class.methods)

        assert takes_card or Capability.SAVE_CARD not in self.provider_class.capabilities

    # ------------------------------------------------------------------------------------------------------- failures

    def test_a_refused_connection_means_that_they_never_acted(self, call):
        with nobody_listens() as url, pytest.raises(Unreachable) as caught:
            self.act(self.provider(Http(url, **PATIENT)), call)

        self.assert_clean(told(caught.value))

    def test_after_a_network_failure_the_outcome_is_unknown(self, call, failure):
        play, code = NETWORK_FAILURES[failure]
        with Wire(play) as wire, pytest.raises(self.meanings.get(failure, OutcomeUnknown)) as caught:
            self.act(self.provider(Http(wire.url, **{**PATIENT, **BOUNDED.get(code, {})})), call)

        assert caught.value.code == code or not code
        assert len(wire.requests) == 1, "nothing is repeated, and no redirect is followed"
        self.assert_clean(told(caught.value))

    @pytest.mark.parametrize("kind", UNREADABLE)
    def test_an_unreadable_answer_leaves_the_outcome_unknown(self, call, kind):
        with pytest.raises(OutcomeUnknown) as caught:
            self.act(self.provider(self.canned(UNREADABLE[kind])), call)

        self.assert_clean(told(caught.value))

    def test_an_answer_cut_anywhere_leaves_the_outcome_unknown(self, exchange):
        step = 13 if self.answers_are_signed else 1  # signing takes its time
        length = len(exchange.answers[0].body)
        for at in {*range(0, length, step), length - 1}:

            def cut(body: bytes, sent: Received, at: int = at) -> tuple[bytes, Mapping[str, str]]:
                body, headers = self.genuine_answer(body, sent)
                return body[:at], headers

            with pytest.raises(OutcomeUnknown):
                self.act(self.provider(self.played(exchange, genuine=cut)), exchange.kind, exchange)

    def test_wrong_types_in_an_answer_end_nothing_and_break_nothing(self, call):
        for body in self.wrong_types():
            with suppress(OutcomeUnknown):
                assert_nothing_ended(self.act(self.provider(self.canned(compact(body))), call), body)

    def test_a_broken_member_of_an_answer_ends_nothing_else_and_breaks_nothing(self, call):
        """Whatever stands in one member of their fullest answer, it brings no end that the true answer has not."""
        recording = self.fullest(call)
        if recording:
            ends = {None, *statuses(self.replay(recording))}
            *before, last = recording.answers
            for body in broken(json.loads(last.body)):
                answers = [*before, HttpAnswer(last.status, last.headers, compact(body))]
                http = Canned(answers[0].body, answers[0].status, then=answers[1:], genuine=self.genuine_answer)
                with suppress(OutcomeUnknown):
                    assert_nothing_ended(self.act(self.provider(http), call, recording), body, allowed=ends)

    def test_an_unsigned_answer_moves_no_money(self, exchange):
        """Where answers are signed, an unsigned one is none; where they are not, only a fetch is believed."""
        provider = self.provider(self.played(exchange, genuine=lambda body, _: (body, {})))
        if self.answers_are_signed:
            with pytest.raises(OutcomeUnknown):
                self.act(provider, exchange.kind, exchange)
        elif exchange.kind == "start":
            report = self.act(provider, "start", exchange).report
            assert not report.captured
            assert not report.authorised

    @only_if(lambda kit: kit.answers_are_signed)
    def test_an_answer_signed_by_somebody_else_is_none(self, exchange):
        elsewhere = type(self)()
        elsewhere.secret, elsewhere.other_secret = self.other_secret, self.secret

        with pytest.raises(OutcomeUnknown):
            self.act(elsewhere.provider(self.played(exchange)), exchange.kind, exchange)

    @only_if(lambda kit: kit.answers_are_signed)
    def test_both_keys_sign_answers_while_one_is_being_changed(self, exchange):
        elsewhere = type(self)()
        elsewhere.secret, elsewhere.other_secret = self.other_secret, self.secret
        provider = elsewhere.provider(self.played(exchange), previous=self.secret)

        expected = self.act(self.provider(self.played(exchange)), exchange.kind, exchange)
        assert plain(self.act(provider, exchange.kind, exchange)) == plain(expected)

    @only_if(lambda kit: kit.answers_are_signed)
    def test_a_signed_answer_with_any_byte_changed_is_none(self, exchange):
        for at in range(0, len(exchange.answers[0].body), 7):

            def spoil(body: bytes, sent: Received, at: int = at) -> tuple[bytes, Mapping[str, str]]:
                body, headers = self.genuine_answer(body, sent)
                return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], headers

            with pytest.raises(OutcomeUnknown):
                self.act(self.provider(self.played(exchange, genuine=spoil)), exchange.kind, exchange)

    # ------------------------------------------------------------------------------------------------------- webhooks

    def test_a_genuine_webhook_is_accepted(self, webhook):
        event_id = self.provider(Canned(b"")).verify_webhook(self.deliver(webhook.bytes, secret=self.secret))

        assert 0 < len(event_id) <= 100

    def test_a_webhook_with_any_byte_changed_is_refused(self, webhook):
        genuine = self.deliver(webhook.bytes, secret=self.secret)
        provider = self.provider(Canned(b""))
        for at in range(len(genuine.body)):
            body = bytearray(genuine.body)
            body[at] ^= 1
            with pytest.raises(BadSignature):
                provider.verify_webhook(dataclasses.replace(genuine, body=bytes(body)))

    def test_a_webhook_that_was_cut_or_lengthened_is_refused(self, webhook):
        genuine = self.deliver(webhook.bytes, secret=self.secret)
        for body in (b"", genuine.body[:-1], genuine.body[1:], genuine.body + b"}", genuine.body * 2):
            with pytest.raises(BadSignature):
                self.provider(Canned(b"")).verify_webhook(dataclasses.replace(genuine, body=body))

    def test_a_webhook_signed_with_another_secret_is_refused(self, webhook):
        with pytest.raises(BadSignature) as caught:
            self.provider(Canned(b"")).verify_webhook(self.deliver(webhook.bytes, secret=self.other_secret))

        self.assert_clean(told(caught.value))

    def test_a_webhook_without_a_signature_is_refused(self, webhook):
        genuine = self.deliver(webhook.bytes, secret=self.secret)

        for signature in (None, "", " "):
            with pytest.raises(BadSignature):
                self.provider(Canned(b"")).verify_webhook(self.resigned(genuine, signature))

    @pytest.mark.parametrize("junk", ["0" * 64, "é" * 64, "\udcff", "a,b", "=", "0" * 100_000])
    def test_a_garbled_signature_is_refused(self, junk):
        with pytest.raises(BadSignature):
            self.provider(Canned(b"")).verify_webhook(self.resigned(self.delivered(), junk))

    @pytest.mark.parametrize(
        "junk", [b"", b"\x00", b"null", b"[]", b"7", b"{", b"\xff\xfe", b"[" * 60_000, b"a=b", HTML]
    )
    def test_garbage_is_refused_whatever_its_signature(self, junk):
        genuine = self.delivered()

        with pytest.raises(BadSignature):
            self.provider(Canned(b"")).verify_webhook(dataclasses.replace(genuine, body=junk))

    def test_headers_are_found_in_any_case(self):
        genuine = self.delivered()
        shouted = dataclasses.replace(genuine, headers={key.upper(): value for key, value in genuine.headers.items()})

        assert self.provider(Canned(b"")).verify_webhook(shouted)

    def test_both_secrets_work_while_one_is_being_changed(self, webhook):
        provider = self.provider(Canned(b""), previous=self.other_secret)
        ids = [
            provider.verify_webhook(self.deliver(webhook.bytes, secret=one)) for one in (self.secret, self.other_secret)
        ]

        assert ids[0] == ids[1]
        with pytest.raises(BadSignature):
            provider.verify_webhook(self.deliver(webhook.bytes, secret="a third"))

    def test_an_absent_earlier_secret_accepts_nothing(self, webhook):
        with pytest.raises(BadSignature):
            self.provider(Canned(b"")).verify_webhook(self.deliver(webhook.bytes, secret=""))

    def test_redeliveries_share_an_id_and_other_events_do_not(self):
        provider = self.provider(Canned(b""))
        ids = {}
        for one in self.recorded("webhook"):
            deliveries = [self.deliver(one.bytes, secret=self.secret) for _ in range(2)]
            later = dataclasses.replace(deliveries[1], headers={**deliveries[1].headers, "X-Attempt": "2"})
            assert provider.verify_webhook(deliveries[0]) == provider.verify_webhook(later)
            ids[provider.verify_webhook(deliveries[0])] = one.name

        assert len(ids) == len(self.recorded("webhook"))

    def test_parsing_is_pure(self, webhook):
        delivery = self.deliver(webhook.bytes, secret=self.secret)
        http = Canned(b"")
        first, second = self.provider(http).parse_webhook(delivery), self.provider(http).parse_webhook(delivery)

        assert first == second
        assert not http.requests

    def test_an_event_that_nobody_knows_moves_nothing(self):
        heard = self.hear(self.another_event())

        assert all(isinstance(one, Hint | FraudReport | DisputeReport) for one in heard)

    def test_a_broken_member_of_a_webhook_ends_nothing_else_and_breaks_nothing(self):
        about_money = [one for one in self.recorded("webhook") if statuses(self.replay(one))]
        recording = max(about_money, key=lambda one: len(one.bytes))
        ends = {None, *statuses(self.replay(recording))}
        for body in broken(json.loads(recording.bytes)):
            with suppress(BadSignature):
                assert_nothing_ended(self.hear(compact(body)), body, allowed=ends)

    def test_the_reply_is_exact(self):
        provider = self.provider(Canned(b""))

        assert provider.reply(accepted=True) == self.accepted
        assert provider.reply(accepted=False).body != self.accepted.body
        assert provider.reply(accepted=False).status >= 400

    # -------------------------------------------------------------------------------------------------------- secrets

    def test_a_configuration_shows_none_of_its_secrets(self):
        config = self.config(self.secret, previous=self.other_secret)
        secrets = [one for one in dataclasses.fields(config) if is_secret(one)]

        assert secrets
        self.assert_clean(repr(config) + str(config))

    def test_nothing_shows_a_secret_or_a_card(self):
        config = self.config(self.secret, previous=self.other_secret)
        http = self.played(self.started())
        provider = self.provider(http, previous=self.other_secret)
        request = self.request(store_card=True)
        started = self.act(provider, "start", self.started(), store_card=True)
        delivery = self.delivered()

        seen = (config, provider, http, request, request.card, started, http.answer, *http.requests, delivery)
        for one in (*seen, *provider.parse_webhook(delivery)):
            self.assert_clean(f"{one!r} {one}")

    def test_what_a_call_was_answered_shows_no_secret(self, exchange):
        heard = self.replay(exchange)

        self.assert_clean(f"{heard!r} {heard}")

    @needs(Capability.PAY_WITH_TOKEN)
    def test_a_token_is_shown_nowhere(self):
        request = self.request(card=None, stored=StoredCard(TOKEN, currency=self.currency))
        self.assert_clean(f"{request!r} {PaymentReport(token=TOKEN)!r}")
        with nobody_listens() as url, pytest.raises(Unreachable) as caught:
            self.provider(Http(url, **PATIENT)).start(request)

        self.assert_clean(told(caught.value))

    def test_a_step_leads_to_a_page(self, exchange):
        heard = self.replay(exchange)

        if isinstance(heard, Started) and isinstance(heard.step, Redirect):
            assert heard.step.url.startswith("https://")


# ------------------------------------------------------------------------------------------------------- small things


@dataclass(frozen=True, repr=False)
class KeyPair:
    """An RSA key that stands for a secret."""

    key: rsa.RSAPrivateKey

    @property
    def private_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def public_pem(self) -> str:
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@cache
def key_pair(secret: str) -> KeyPair:
    """The same pair for the same text, as long as the tests run."""
    return KeyPair(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@cache
def secrets_of(kit: type[ProviderConformance]) -> tuple[str, ...]:
    """The secret fields of its configuration: each line of them, so that a key is found in any wrapping."""
    config = kit().config(kit.secret, previous=kit.other_secret)
    values = [getattr(config, one.name) for one in dataclasses.fields(config) if is_secret(one)]
    return tuple(
        line for value in values for line in str(value).splitlines() if len(line) >= 12 and "-----" not in line
    )


def told(error: BaseException) -> str:
    """All that an error report could show of an exception: itself, what it came from, what it interrupted."""
    lines = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            lines.append(f"{one!r} {one} {vars(one)!r}")
            todo += [one.__cause__, None if one.__suppress_context__ else one.__context__]
    return "\n".join(lines)


def reports_in(heard: Any) -> list[Any]:
    """All reports in what a call or a webhook gave."""
    if isinstance(heard, Started):
        return [heard.report]
    return [one for one in (heard if isinstance(heard, list) else [heard]) if one is not None]


def statuses(heard: Any) -> list[Any]:
    kinds = PaymentReport | OperationReport | TrackingReport
    return [report.status for report in reports_in(heard) if isinstance(report, kinds)]


OPEN = {None, Status.PENDING, OperationStatus.PENDING, OperationStatus.SENT}


def assert_nothing_ended(heard: Any, body: Any, *, allowed: Collection[Any] = ()) -> None:
    """Every report leaves its subject open, or ends it as ``allowed``."""
    assert {*statuses(heard)} <= {*OPEN, *allowed}, body
    assert not [report for report in reports_in(heard) if getattr(report, "absent", False)], body


def broken(body: Any) -> Iterator[Any]:
    """The body again and again, each time with one member that is something else, or not there."""
    for key in body if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ():
        for other in (*ODD, *broken(body[key])):
            copy = body.copy()
            copy[key] = other
            yield copy
    if isinstance(body, dict):
        for key in body:
            yield {name: value for name, value in body.items() if name != key}


def card_numbers(text: str) -> Iterator[str]:
    """Whatever might be the number of a card: as long as one, with the right check digit, and no moment in time."""
    for found in re.findall(r"(?<!\d)(?:\d{13,19}|\d{4}(?:[ -]\d{4}){2,3}[ -]\d{1,4})(?!\d)", text):
        number = re.sub(r"\D", "", found)
        doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(number))]
        if sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0 and not _is_moment(number):
            yield number


def _is_moment(digits: str) -> bool:
    """``YYYYMMDDhhmmss``. No card of that length begins like one."""
    return bool(re.fullmatch(r"20\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])([01]\d|2[0-3])([0-5]\d){2}", digits))


def security_codes(body: Any) -> Iterator[str]:
    """Members that are named like a card's security code and not masked."""
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        if isinstance(value, dict | list):
            yield from security_codes(value)
        elif SECURITY_CODE.fullmatch(str(key)) and re.search(r"\d", str(value or "")):
            yield str(key)


def says_an_amount(says: Any) -> bool:
    """Whether a recording is said to tell what the payment or operation is for."""
    if isinstance(says, dict):
        return "amount" in says or "amount" in says.get("report", {})
    return False


def as_list(answers: Any) -> list[Any]:
    return [answers] if isinstance(answers, Mapping) else list(answers)


def exchanged(body: Any, old: Any, new: str) -> Any:
    """The body with each text ``old`` in it replaced."""
    if isinstance(body, dict):
        return {key: exchanged(value, old, new) for key, value in body.items()}
    if isinstance(body, list):
        return [exchanged(one, old, new) for one in body]
    return new if isinstance(body, str) and body == old else body


def pairs(left: list[Any], right: list[Any]) -> Iterator[tuple[Any, Any]]:
    return ((one, other) for one in left for other in right)


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in one.keys() & other.keys())


def _only(kind: type, facts: Mapping[str, Any]) -> dict[str, Any]:
    known = {one.name for one in dataclasses.fields(kind)}
    return {key: value for key, value in facts.items() if key in known}
