"""What every provider has to do, as tests: subclass ``ProviderConformance``, say how it signs, add recordings.

A recording is one exchange as the provider's reference shows it, or as it was seen: a JSON file in
``recorded/<slug>/`` with

- ``origin``: where it comes from, and what was changed;
- ``kind``: ``request`` (only what we send), ``start`` and ``fetch`` (their answer to it), or ``webhook``;
- ``payment``: our ``reference`` and ``amount``, and their ``provider_reference``;
- ``sent``: the body of our call, if it is known;
- ``answer``: ``status_code`` and ``body`` of theirs;
- ``body``: a webhook's body, an object or its exact text;
- ``says``: what that means in the contract's words, as ``plain`` writes it.

A provider without recordings fails: our own simulator shares our beliefs, and only a recording can contradict them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest

from providers.contract import (
    OPERATIONS,
    BadSignature,
    Capability,
    Card,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    Provider,
    Redirect,
    Reply,
    Started,
    Status,
    StoredCard,
    Unreachable,
    is_secret,
)
from providers.http import Http, HttpAnswer
from providers.money import Money, exponent

# ---------------------------------------------------------------------------------------------------------- recordings

RECORDED = Path(__file__).parent / "recorded"
NEEDED = {"start", "fetch", "webhook"}


class RecordingMissing(AssertionError):
    """A provider was never seen doing something that it must do."""


@dataclass(frozen=True)
class Recording:
    name: str
    origin: str
    kind: str
    payment: Mapping[str, str] = field(default_factory=dict)
    sent: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    says: Any = None

    @property
    def bytes(self) -> bytes:
        """The body of their answer or of their webhook."""
        body = self.body if self.kind == "webhook" else self.answer["body"]
        return body.encode() if isinstance(body, str) else compact(body)

    @property
    def ref(self) -> PaymentRef:
        return PaymentRef(
            reference=self.payment["reference"],
            amount=money(self.payment["amount"]),
            provider_reference=self.payment.get("provider_reference", ""),
        )


def recordings(slug: str, *kinds: str, folder: Path = RECORDED) -> list[Recording]:
    """A provider's recordings of these kinds, or all. Raises RecordingMissing when a needed kind has none."""
    files = sorted((folder / slug).glob("*.json"))
    found = [Recording(name=path.stem, **json.loads(path.read_text())) for path in files]
    missing = NEEDED - {one.kind for one in found}
    if missing:
        raise RecordingMissing(f"{slug} has no recording of: {', '.join(sorted(missing))}")
    return [one for one in found if not kinds or one.kind in kinds]


def compact(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def money(text: str) -> Money:
    decimal, currency = text.split()
    return Money.from_decimal(decimal, currency)


def plain(value: Any) -> Any:
    """A report, step or anything in them as JSON knows it: only what it says, without ``raw``."""
    if isinstance(value, Money):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if not dataclasses.is_dataclass(value):
        return value
    said = {
        one.name: plain(getattr(value, one.name))
        for one in dataclasses.fields(value)
        if one.name != "raw" and getattr(value, one.name) is not one.default
    }
    return {"type": type(value).__name__, **said}


# ---------------------------------------------------------------------------------------------------------- transports


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Canned(Http):
    """A transport that answers from memory, and remembers what was sent."""

    def __init__(self, body: bytes, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("https://provider.test")
        self.answer = HttpAnswer(status_code, headers or {}, body)
        self.requests: list[Received] = []

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        self.requests.append(Received(method, path, headers, body or b""))
        return self.answer


Play = Callable[[socket.socket, Received], bool]
"""Answers one request; True when the connection stays open."""


class Wire:
    """A server on loopback that plays what it is told, down to single bytes and resets."""

    def __init__(self, *plays: Play, tls: ssl.SSLContext | None = None) -> None:
        """The last play is repeated for every further request."""
        self.plays, self.tls = plays, tls
        self.requests: list[Received] = []
        self.connections = 0
        self.troubles: list[type[BaseException]] = []
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while (request := _read(reader)) is not None:
                    with self._lock:
                        self.requests.append(request)
                        play = self.plays[min(len(self.requests), len(self.plays)) - 1]
                    if not play(connection, request):
                        break
        except (OSError, ValueError) as error:
            self.troubles.append(type(error))
        finally:
            connection.close()


def _read(reader: Any) -> Received | None:
    line = reader.readline().decode().split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := reader.readline().decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Received(line[0], line[1], headers, reader.read(int(headers.get("content-length", 0))))


def answer(body: bytes, status_code: int = 200, *, close: bool = False, **headers: str) -> Play:
    """A proper answer. Header names are given with ``_`` for ``-``."""
    lines = {"Content-Length": str(len(body)), **({"Connection": "close"} if close else {})}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status_code} Word\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return raw(head.encode() + b"\r\n" + body, keep=not close)


def raw(message: bytes, *, keep: bool = False) -> Play:
    """These very bytes, then the end of the connection (or not)."""

    def play(connection: socket.socket, _: Received) -> bool:
        connection.sendall(message)
        return keep

    return play


def reset(message: bytes = b"") -> Play:
    """Some bytes, then a TCP reset."""

    def play(connection: socket.socket, _: Received) -> bool:
        connection.sendall(message)
        time.sleep(0.02)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return play


def silence(message: bytes = b"") -> Play:
    """Some bytes, then nothing until the other side gives up."""

    def play(connection: socket.socket, _: Received) -> bool:
        connection.sendall(message)
        connection.recv(1)
        return False

    return play


def drip(head: bytes, *, pause: float = 0.02) -> Play:
    """A beginning, then one byte after another, for ever."""

    def play(connection: socket.socket, _: Received) -> bool:
        connection.sendall(head)
        while True:
            connection.sendall(b" ")
            time.sleep(pause)

    return play


@contextmanager
def nobody_listens() -> Iterator[str]:
    """An address that refuses connections for as long as the block lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


PATIENT = {"connect_seconds": 2, "read_seconds": 5, "total_seconds": 10, "max_bytes": 64 * 1024}
"""Bounds of a client that waits even for a busy machine; what is meant to take too long is bounded as below."""
BOUNDED: Mapping[str, Mapping[str, float]] = {"read_timeout": {"read_seconds": 0.2}, "deadline": {"total_seconds": 0.3}}
HTML = b"<!doctype html><html><body><h1>Just a moment</h1></body></html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"

NETWORK_FAILURES: Mapping[str, tuple[Play, str]] = {
    "silence": (silence(), "read_timeout"),
    "silence in the body": (silence(HEAD + b'{"code":0,'), "read_timeout"),
    "dripping body": (drip(HEAD), "deadline"),
    "dripping headers": (drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), "deadline"),
    "reset": (reset(), "connection"),
    "reset in the body": (reset(HEAD + b'{"code":0,'), "connection"),
    "closed without a word": (raw(b""), "connection"),
    "cut in the headers": (raw(HEAD[:30]), ""),
    "cut in the body": (raw(HEAD + b'{"code":0,'), "connection"),
    "not HTTP": (raw(b"\x15\x03\x01\x00\x02\x02"), "connection"),
    "oversized": (answer(b'{"a":"' + b"x" * 100_000 + b'"}'), "too_large"),
    "429": (answer(b"", 429, Retry_After="1"), ""),
    "500": (answer(b'{"code":0}', 500), ""),
    "502 with HTML": (answer(HTML, 502, Content_Type="text/html"), ""),
    "503": (answer(b"", 503), ""),
    "redirect": (answer(b'{"code":0}', 302, Location="/elsewhere"), ""),
    "redirect to nonsense": (answer(b"", 307, Location="http://["), ""),
}
UNREADABLE: Mapping[str, bytes] = {
    "empty": b"",
    "HTML": HTML,
    "not text": b"\xff\xfe\x00\x01\x80",
    "deeply nested": b"[" * 60_000,
    "null": b"null",
    "a number": b"7",
    "not a number": b"NaN",
    "a word": b'"SUCCESS"',
    "a list": b"[]",
    "a list of lists": b"[[]]",
    "an empty object": b"{}",
    "an object of nothing": b'{"code":null,"data":null}',
}

# --------------------------------------------------------------------------------------------------------- conformance

NUMBER, CVC = "5436031030606378", "9173"
"""Sought in every representation, exception and log line."""


class ProviderConformance:
    """Tests for one provider. What a subclass has to say stands first."""

    slug: ClassVar[str]
    provider_class: ClassVar[type[Provider]]
    amounts: ClassVar[Mapping[tuple[int, str], str]]
    """How amounts stand on the wire: (minor units, currency) to text; at least one of 0, 2 and 3 decimals."""
    words: ClassVar[Mapping[str, Status | None]]
    """Every status word that is mapped, and what it means."""
    answers_are_signed: ClassVar[bool] = False
    accepted: ClassVar[Reply]
    """The very answer that its sender takes for a yes."""
    method: ClassVar[str] = "card"
    secret: ClassVar[str] = "canary-secret-Wy31kFZf4jkE"
    other_secret: ClassVar[str] = "canary-secret-9MvTz0aKq2Lp"

    def config(self, secret: str, *, previous: str = "") -> Any:
        """Credentials with this secret for webhooks, and an earlier one that is still accepted."""
        raise NotImplementedError

    def deliver(self, body: bytes, *, secret: str) -> Delivery:
        """A webhook as the provider sends it, signed by an implementation that is not the provider package's own."""
        raise NotImplementedError

    def sent_amount(self, body: bytes) -> tuple[str, str]:
        """Amount and currency in the body of a start call."""
        raise NotImplementedError

    def sent_reference(self, body: bytes) -> str:
        """What the provider tells repeated calls by, in the body of a start call."""
        raise NotImplementedError

    def word(self, body: Any) -> str | None:
        """The status word in a recorded body, if there is one."""
        raise NotImplementedError

    def another_event(self) -> bytes:
        """A webhook of a kind that nobody has heard of."""
        raise NotImplementedError

    def wrong_types(self) -> Iterator[Any]:
        """JSON answers with the right members and wrong types in them."""
        return iter(())

    def sign_answer(self, body: bytes) -> Mapping[str, str]:
        """Headers of a genuine answer with this body, where answers are signed."""
        return {}

    # -------------------------------------------------------------------------------------------------------- helpers

    def provider(self, http: Http, **options: Any) -> Provider:
        return self.provider_class(self.config(self.secret, **options), http)

    def request(self, **changes: Any) -> PaymentRequest:
        """An ordinary attempt to pay by card."""
        card = Card(
            number=NUMBER, expiry_month=12, expiry_year=2031, cvc=CVC, holder="Ada Lovelace", brand="mastercard"
        )
        facts = {
            "reference": "pay_01J9Z3K8",
            "amount": Money(1234, "EUR"),
            "method": self.method,
            "description": "Two tickets",
            "return_url": "https://shop.test/return",
            "webhook_url": "https://desk.test/hook",
            "expires_in": 1800,
            "card": card,
        }
        return PaymentRequest(**{**facts, **changes})

    def ref(self, **changes: Any) -> PaymentRef:
        facts = {
            "reference": "pay_01J9Z3K8",
            "amount": Money(1234, "EUR"),
            "provider_reference": "P2011337513994018818",
        }
        return PaymentRef(**{**facts, **changes})

    def canned(self, body: bytes, status_code: int = 200) -> Canned:
        return Canned(body, status_code, self.sign_answer(body))

    def replay(self, recording: Recording) -> Any:
        """What the provider makes of a recorded answer or webhook."""
        if recording.kind == "webhook":
            delivery = self.deliver(recording.bytes, secret=self.secret)
            provider = self.provider(Canned(b""))
            provider.verify_webhook(delivery)
            return provider.parse_webhook(delivery)
        provider = self.provider(self.canned(recording.bytes, recording.answer["status_code"]))
        if recording.kind == "fetch":
            return provider.fetch(recording.ref)
        return provider.start(self.request(reference=recording.ref.reference, amount=recording.ref.amount))

    def started(self) -> Recording:
        return recordings(self.slug, "start")[0]

    def delivered(self) -> Delivery:
        return self.deliver(recordings(self.slug, "webhook")[0].bytes, secret=self.secret)

    def act(self, provider: Provider, call: str) -> Any:
        return provider.start(self.request()) if call == "start" else provider.fetch(self.ref())

    def canaries(self) -> tuple[str, ...]:
        return (self.secret, self.other_secret, NUMBER)

    def assert_clean(self, text: str) -> None:
        assert not [found for found in self.canaries() if found in text]
        assert not re.search(rf"\b{CVC}\b", text)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Feeds tests that ask for a ``recording``, an ``exchange`` (start or fetch) or a ``webhook``."""
        kinds = {"recording": ("start", "fetch", "webhook"), "exchange": ("start", "fetch"), "webhook": ("webhook",)}
        for name in kinds.keys() & set(metafunc.fixturenames):
            found = recordings(metafunc.cls.slug, *kinds[name])
            metafunc.parametrize(name, found, ids=[one.name for one in found])

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

    def test_every_recording_says_where_it_comes_from(self):
        assert not [one.name for one in recordings(self.slug) if len(one.origin) < 20]

    def test_a_recorded_exchange_says_what_it_says(self, recording):
        assert plain(self.replay(recording)) == recording.says

    def test_a_report_can_be_kept_as_json(self, recording):
        heard = self.replay(recording)
        heard = heard.report if isinstance(heard, Started) else heard

        for report in heard if isinstance(heard, list) else [heard]:
            assert json.loads(json.dumps(getattr(report, "raw", {}), allow_nan=False)) is not None

    def test_what_is_kept_of_an_answer_holds_no_token(self, recording):
        heard = self.replay(recording)
        heard = heard.report if isinstance(heard, Started) else heard

        for report in heard if isinstance(heard, list) else [heard]:
            token = getattr(report, "token", "")
            assert not token or token not in json.dumps(report.raw)

    def test_every_mapped_word_was_seen(self):
        bodies = [json.loads(one.bytes) for one in recordings(self.slug, *NEEDED)]

        assert {self.word(body) for body in bodies} >= set(self.words)

    def test_a_word_means_one_thing_on_every_road(self):
        for one in recordings(self.slug, "fetch", "webhook"):
            heard = self.replay(one)
            for report in heard if isinstance(heard, list) else [heard]:
                if isinstance(report, PaymentReport):
                    assert report.status == self.words[self.word(json.loads(one.bytes)) or ""], one.name

    def test_a_webhook_and_a_fetch_of_the_same_payment_agree(self):
        said: dict[str, dict[str, list[Any]]] = {}
        for one in recordings(self.slug, "fetch", "webhook"):
            heard = self.replay(one)
            for report in heard if isinstance(heard, list) else [heard]:
                if isinstance(report, PaymentReport) and report.status:
                    facts = plain(dataclasses.replace(report, confirm=False))
                    key = f"{report.reference} {report.provider_reference} {self.word(json.loads(one.bytes))}"
                    said.setdefault(key, {}).setdefault(one.kind, []).append(facts)
        both = [roads for roads in said.values() if len(roads) == 2]

        assert both, "no payment was recorded on both roads"
        for roads in both:
            assert all(fetched in roads["webhook"] for fetched in roads["fetch"])

    # ----------------------------------------------------------------------------------------------------- our calls

    def test_an_amount_has_its_own_decimals_on_the_wire(self):
        assert {exponent(currency) for _, currency in self.amounts} >= {0, 2, 3}

        for (minor, currency), text in self.amounts.items():
            http = self.canned(self.started().bytes)
            self.provider(http).start(self.request(amount=Money(minor, currency)))

            assert self.sent_amount(http.requests[0].body) == (text, currency)

    def test_our_reference_tells_a_repeated_call(self):
        http = self.canned(self.started().bytes)
        provider = self.provider(http)
        provider.start(self.request())
        provider.start(self.request())
        provider.start(self.request(reference="pay_01J9Z3K9"))

        assert [self.sent_reference(one.body) for one in http.requests] == [
            "pay_01J9Z3K8",
            "pay_01J9Z3K8",
            "pay_01J9Z3K9",
        ]

    def test_capabilities_are_exactly_the_methods_that_exist(self):
        overridden = {one for one in OPERATIONS if getattr(self.provider_class, one) is not getattr(Provider, one)}

        assert self.provider_class.capabilities & OPERATIONS == overridden

    def test_its_card_method_and_its_capabilities_fit_together(self):
        takes_card = any(method.takes_card for method in self.provider_class.methods)

        assert takes_card or Capability.SAVE_CARD not in self.provider_class.capabilities

    # ------------------------------------------------------------------------------------------------------- failures

    @pytest.mark.parametrize("call", ["start", "fetch"])
    def test_a_refused_connection_means_that_they_never_acted(self, call):
        with nobody_listens() as url, pytest.raises(Unreachable) as caught:
            self.act(self.provider(Http(url, **PATIENT)), call)

        self.assert_clean(told(caught.value))

    @pytest.mark.parametrize("call", ["start", "fetch"])
    @pytest.mark.parametrize("failure", NETWORK_FAILURES)
    def test_after_a_network_failure_the_outcome_is_unknown(self, call, failure):
        play, code = NETWORK_FAILURES[failure]
        with Wire(play) as wire, pytest.raises(OutcomeUnknown) as caught:
            self.act(self.provider(Http(wire.url, **{**PATIENT, **BOUNDED.get(code, {})})), call)

        assert caught.value.code == code or not code
        assert len(wire.requests) == 1, "nothing is repeated, and no redirect is followed"
        self.assert_clean(told(caught.value))

    @pytest.mark.parametrize("call", ["start", "fetch"])
    @pytest.mark.parametrize("kind", UNREADABLE)
    def test_an_unreadable_answer_leaves_the_outcome_unknown(self, call, kind):
        with pytest.raises(OutcomeUnknown) as caught:
            self.act(self.provider(self.canned(UNREADABLE[kind])), call)

        self.assert_clean(told(caught.value))

    def test_an_answer_cut_anywhere_leaves_the_outcome_unknown(self, exchange):
        for at in range(len(exchange.bytes)):
            cut = dataclasses.replace(
                exchange, answer={"status_code": 200, "body": exchange.bytes[:at].decode("latin1")}
            )
            with pytest.raises(OutcomeUnknown):
                self.replay(cut)

    @pytest.mark.parametrize("call", ["start", "fetch"])
    def test_wrong_types_in_an_answer_end_nothing_and_break_nothing(self, call):
        for body in self.wrong_types():
            try:
                heard = self.act(self.provider(self.canned(compact(body))), call)
            except OutcomeUnknown:
                continue
            report = heard.report if isinstance(heard, Started) else heard
            assert report.status in {None, Status.PENDING}, body
            assert not report.absent, body

    def test_an_unsigned_answer_moves_no_money(self, exchange):
        """Where answers are signed, an unsigned one is none; where they are not, only a fetch is believed."""
        http = Canned(exchange.bytes)
        if self.answers_are_signed:
            with pytest.raises(OutcomeUnknown):
                self.act(self.provider(http), exchange.kind)
        elif exchange.kind == "start":
            report = self.provider(http).start(self.request(reference=exchange.ref.reference)).report
            assert not report.captured
            assert not report.authorised

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

        for headers in ({}, dict.fromkeys(genuine.headers, ""), dict.fromkeys(genuine.headers, " ")):
            with pytest.raises(BadSignature):
                self.provider(Canned(b"")).verify_webhook(dataclasses.replace(genuine, headers=headers))

    @pytest.mark.parametrize("junk", ["0" * 64, "é" * 64, "\udcff", "a,b", "=", "0" * 100_000])
    def test_a_garbled_signature_is_refused(self, junk):
        genuine = self.delivered()

        with pytest.raises(BadSignature):
            self.provider(Canned(b"")).verify_webhook(
                dataclasses.replace(genuine, headers=dict.fromkeys(genuine.headers, junk))
            )

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
        for one in recordings(self.slug, "webhook"):
            deliveries = [self.deliver(one.bytes, secret=self.secret) for _ in range(2)]
            later = dataclasses.replace(deliveries[1], headers={**deliveries[1].headers, "X-Attempt": "2"})
            assert provider.verify_webhook(deliveries[0]) == provider.verify_webhook(later)
            ids[provider.verify_webhook(deliveries[0])] = one.name

        assert len(ids) == len(recordings(self.slug, "webhook"))

    def test_parsing_is_pure(self, webhook):
        delivery = self.deliver(webhook.bytes, secret=self.secret)
        http = Canned(b"")
        first, second = self.provider(http).parse_webhook(delivery), self.provider(http).parse_webhook(delivery)

        assert first == second
        assert not http.requests

    def test_an_event_that_nobody_knows_moves_nothing(self):
        delivery = self.deliver(self.another_event(), secret=self.secret)
        provider = self.provider(Canned(b""))

        assert provider.verify_webhook(delivery)
        assert all(isinstance(one, Hint | FraudReport | DisputeReport) for one in provider.parse_webhook(delivery))

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
        http = self.canned(self.started().bytes)
        provider = self.provider_class(config, http)
        request = self.request(store_card=True)
        started = provider.start(request)
        delivery = self.delivered()

        seen = (config, provider, http, request, request.card, started, http.answer, delivery)
        for one in (*seen, *provider.parse_webhook(delivery)):
            self.assert_clean(f"{one!r} {one}")

    def test_a_token_is_shown_nowhere(self):
        token = "src_canary3oqxta2juhbevjaw72"
        request = self.request(card=None, stored=StoredCard(token))
        shown = f"{request!r} {PaymentReport(token=token)!r}"
        with nobody_listens() as url, pytest.raises(Unreachable) as caught:
            self.provider(Http(url, **PATIENT)).start(request)

        assert token not in shown + told(caught.value)

    def test_a_step_leads_to_a_page(self, exchange):
        heard = self.replay(exchange)

        if isinstance(heard, Started) and isinstance(heard.step, Redirect):
            assert heard.step.url.startswith("https://")


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
