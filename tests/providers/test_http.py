"""The HTTP client over real sockets: what comes back, what went wrong, how long it took and what the log says."""

from __future__ import annotations

import gzip
import ipaddress
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests.adapters
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers.contract import OutcomeUnknown, ProviderError, Rejected, Unreachable
from providers.http import Http, HttpAnswer
from tests.providers.conformance import told
from tests.providers.transports import (
    BOUNDED,
    PATIENT,
    Play,
    Received,
    Wire,
    answer,
    drip,
    nobody_listens,
    raw,
    reset,
    silence,
)

OK = b'{"code":0}'
BODY = b'{"number":"5436031030606378"}'
HEADERS = {"Content-Type": "application/json", "X-Signature": "canary-signature"}


def http(url: str, **options: object) -> Http:
    return Http(url, **{**PATIENT, "label": "account=7", **options})


def failed(client: Http, kind: type[ProviderError], method: str = "POST") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        client.send(method, "/pay?key=canary-query", body=BODY, headers=HEADERS)
    assert type(caught.value) is kind
    assert "5436031030606378" not in told(caught.value)
    assert "canary" not in told(caught.value)
    return caught.value


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


# -------------------------------------------------------------------------------------------------- what goes and comes


def test_the_very_bytes_are_sent_and_what_came_is_answered():
    with Wire(answer(b"\x00\xff raw", 418, X_Trace="t1")) as wire:
        got = http(wire.url + "/base/").post("/pay", BODY, HEADERS)

    sent = wire.requests[0]
    assert (sent.method, sent.path, sent.body) == ("POST", "/base/pay", BODY)
    assert sent.headers["x-signature"] == "canary-signature"
    assert sent.headers["accept-encoding"] == "identity"
    assert (got.status, got.body) == (418, b"\x00\xff raw")
    assert got.headers["X-Trace"] == "t1"


def test_headers_of_an_answer_are_found_in_any_case():
    with Wire(answer(OK, retry_after="7")) as wire:
        got = http(wire.url).post("/pay", BODY, {})

    assert got.headers["Retry-After"] == "7"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_go_the_same_way(method):
    with Wire(answer(OK)) as wire:
        got = http(wire.url).send(method, "/pay", headers={})

    assert got.json() == {"code": 0}
    assert (wire.requests[0].method, wire.requests[0].body) == (method, b"")


def test_an_answer_shows_neither_its_body_nor_its_headers():
    shown = repr(HttpAnswer(200, {"X-Token": "canary"}, b"canary"))

    assert "canary" not in shown


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff", b"[" * 100_000, b'{"a":' * 50_000])
def test_a_body_that_is_no_json_is_an_unknown_outcome(body):
    with pytest.raises(OutcomeUnknown) as caught:
        HttpAnswer(200, {}, body).json()

    assert caught.value.code == "unreadable"


def test_an_unexpected_status_is_an_unknown_outcome_unless_it_surely_did_nothing():
    got = HttpAnswer(403, {}, b"")

    assert HttpAnswer(200, {}, b"").expect().status == 200
    with pytest.raises(OutcomeUnknown) as unknown:
        got.expect()
    with pytest.raises(Rejected) as rejected:
        got.expect(200, rejections={403})
    assert unknown.value.code == rejected.value.code == "http_403"


def test_an_answer_in_pieces_is_whole():
    chunks = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n5\r\ne":0}\r\n0\r\n\r\n'
    with Wire(raw(chunks)) as wire:
        assert http(wire.url).post("/", BODY, {}).json() == {"code": 0}


def test_an_answer_that_ends_with_its_connection_is_whole():
    with Wire(raw(b"HTTP/1.0 200 OK\r\n\r\n" + OK)) as wire:
        assert http(wire.url).post("/", BODY, {}).json() == {"code": 0}


# ----------------------------------------------------------------------------------------------------- never connected


def test_a_refused_connection_is_unreachable():
    with nobody_listens() as url:
        error = failed(http(url), Unreachable)

    assert error.code == "connection"


def test_a_name_that_does_not_resolve_is_unreachable():
    assert failed(http("https://api.provider.test"), Unreachable).code == "connection"


@contextmanager
def blackhole() -> Iterator[str]:
    """A listener whose queue is full: the system drops every further attempt to connect, without a word."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_connection_that_is_never_made_ends_and_is_unreachable():
    with blackhole() as url, within(3):
        error = failed(http(url, connect_seconds=0.15), Unreachable)

    assert error.code == "connect_timeout"


def test_a_connection_made_after_the_total_time_is_not_used():
    resolve = socket.getaddrinfo

    def slowly(*args: object, **kwargs: object) -> object:
        time.sleep(0.4)
        return resolve(*args, **kwargs)

    with Wire(drip(b"HTTP/1.1 200 OK\r\n\r\n")) as wire, pytest.MonkeyPatch.context() as patch, within(4):
        patch.setattr(socket, "getaddrinfo", slowly)
        error = failed(http(wire.url, total_seconds=0.2), Unreachable)

    assert error.code == "connect_timeout"
    assert not wire.requests


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "https://", "http://[", "nonsense", "https://*.provider.test"])
def test_an_address_that_is_none_is_unreachable(url):
    failed(http(url), Unreachable)


def test_a_header_that_cannot_be_sent_is_unreachable():
    with Wire(answer(OK)) as wire, pytest.raises(Unreachable) as caught:
        http(wire.url).post("/", BODY, {"X-Signature": "canary\r\nX-Forged: 1"})

    assert not wire.requests
    assert "canary" not in told(caught.value)


# ---------------------------------------------------------------------------------------------------- broken afterwards


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("play", "code"),
    [
        (silence(), "read_timeout"),
        (silence(b"HTTP/1.1 200 OK\r\n"), "read_timeout"),
        (silence(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "read_timeout"),
        (reset(), "connection"),
        (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "connection"),
        (raw(b""), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "connection"),
        (raw(b"HTTP/1.1 2"), "connection"),
        (raw(b"HTTP/1.1 twohundred OK\r\n\r\n"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n"), "connection"),
        (raw(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n"), "connection"),
        (raw(b"\x16\x03\x01\x02\x00"), "connection"),
    ],
    ids=[
        *("silence", "silent headers", "silent body", "reset", "reset body", "closed", "cut body", "cut chunks"),
        *("bad chunk", "two lengths", "false gzip", "cut status", "bad status", "many headers", "long header", "tls"),
    ],
)
def test_trouble_after_connecting_is_an_unknown_outcome_and_nothing_is_repeated(play, code, method):
    with Wire(play) as wire:
        error = failed(http(wire.url, **BOUNDED.get(code, {})), OutcomeUnknown, method)

    assert error.code == code
    assert len(wire.requests) == 1


def test_an_answer_cut_at_any_byte_is_never_a_good_one():
    message = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n" + OK
    with Wire(*(raw(message[:at]) for at in range(len(message)))) as wire:
        client = http(wire.url)
        for _ in range(len(message)):
            with pytest.raises(OutcomeUnknown):
                client.post("/", BODY, {}).expect().json()

    assert len(wire.requests) == len(message)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 302 OK\r\nLocation: /elsewhere\r\nContent-Length: 500\r\n\r\n",
    ],
    ids=["status", "headers", "body", "closing body", "endless body", "old endless body", "redirect"],
)
def test_one_byte_after_another_ends_with_the_total_time(head):
    with Wire(drip(head)) as wire, within(3):
        error = failed(http(wire.url, total_seconds=0.3), OutcomeUnknown)

    assert error.code == "deadline"


def test_one_announcement_after_another_ends_with_the_total_time():
    def play(connection: socket.socket, _: Received) -> bool:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)

    with Wire(play) as wire, within(3):
        failed(http(wire.url, total_seconds=0.3), OutcomeUnknown)


def test_an_announcement_never_makes_a_call_take_the_answer_of_another():
    def play(connection: socket.socket, request: Received) -> bool:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)
        return answer(request.body)(connection, request)

    with Wire(play, answer(b"second")) as wire:
        client = http(wire.url)
        with pytest.raises(OutcomeUnknown):
            client.post("/", b"first", {})

        assert client.post("/", b"second", {}).body == b"second"
    assert wire.connections == 2


def test_a_slow_call_does_not_end_its_neighbour():
    def play(connection: socket.socket, request: Received) -> bool:
        return silence()(connection, request) if request.path == "/slow" else answer(OK)(connection, request)

    with Wire(play) as wire:
        client = http(wire.url, total_seconds=0.3)
        errors: list[ProviderError] = []

        def slow() -> None:
            try:
                client.post("/slow", BODY, {})
            except ProviderError as error:
                errors.append(error)

        thread = threading.Thread(target=slow)
        thread.start()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert client.post("/quick", BODY, {}).status == 200
        thread.join(2)

    assert [error.code for error in errors] == ["deadline"]


def test_no_timer_is_left_behind():
    before = {thread.name for thread in threading.enumerate() if isinstance(thread, threading.Timer)}
    with Wire(answer(OK)) as wire, nobody_listens() as nobody:
        http(wire.url, total_seconds=60).post("/", BODY, {})
        failed(http(nobody, total_seconds=60), Unreachable)
    time.sleep(0.05)

    assert {thread.name for thread in threading.enumerate() if isinstance(thread, threading.Timer)} <= before


# ------------------------------------------------------------------------------------------------------------ too large


def test_an_answer_of_the_largest_size_is_read_and_one_byte_more_is_not():
    with Wire(answer(b"x" * 1000), answer(b"x" * 1001), answer(OK)) as wire:
        client = http(wire.url, max_bytes=1000)

        assert len(client.post("/", BODY, {}).body) == 1000
        assert failed(client, OutcomeUnknown).code == "too_large"
        assert client.post("/", BODY, {}).body == OK


def test_an_endless_answer_is_not_read_to_its_end():
    sent = 0

    def play(connection: socket.socket, _: Received) -> bool:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)
            sent += 65536

    with Wire(play) as wire, within(4):
        assert failed(http(wire.url), OutcomeUnknown).code == "too_large"

    assert sent < 32 * 1024 * 1024


def test_an_answer_that_unpacks_to_more_than_the_largest_size_is_refused():
    bomb = gzip.compress(b"0" * 20_000_000)
    with Wire(answer(bomb, Content_Encoding="gzip")) as wire, within(4):
        assert failed(http(wire.url), OutcomeUnknown).code == "too_large"


def test_a_packed_answer_in_two_parts_is_unpacked():
    packed = gzip.compress(OK)

    def play(connection: socket.socket, _: Received) -> bool:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        connection.sendall(head.encode() + packed[:5])
        time.sleep(0.05)
        connection.sendall(packed[5:])
        return True

    with Wire(play) as wire:
        assert http(wire.url).post("/", BODY, {}).json() == {"code": 0}


# ------------------------------------------------------------------------------------------------------------ redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_not_followed(status):
    with Wire(answer(OK)) as elsewhere, Wire(answer(b"moved", status, Location=elsewhere.url)) as wire:
        got = http(wire.url).post("/", BODY, HEADERS)

    assert (got.status, got.body) == (status, b"moved")
    assert (len(wire.requests), len(elsewhere.requests)) == (1, 0)


@pytest.mark.parametrize(
    "location", ["http://[", "http://169.254.169.254/", "file:///etc/passwd", "//", "", "\xff\xfe"]
)
def test_a_redirect_to_nonsense_is_an_answer_too(location):
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin1") + b"\r\n\r\n"
    with Wire(raw(head)) as wire:
        assert http(wire.url).post("/", BODY, {}).status == 302


def test_a_redirect_with_a_large_body_is_not_read_to_its_end():
    with Wire(answer(b"x" * 100_000, 302, Location="/elsewhere")) as wire:
        assert failed(http(wire.url), OutcomeUnknown).code == "too_large"


# ---------------------------------------------------------------------------------------------------------- connections


def test_a_connection_is_kept_for_the_next_call():
    with Wire(answer(OK)) as wire:
        client = http(wire.url)
        for _ in range(5):
            client.post("/", BODY, {})

    assert (wire.connections, len(wire.requests)) == (1, 5)


def test_a_kept_connection_that_they_closed_is_replaced():
    def play(connection: socket.socket, request: Received) -> bool:
        answer(OK)(connection, request)  # without a word about closing
        return False

    with Wire(play) as wire:
        client = http(wire.url)
        for _ in range(3):
            assert client.post("/", BODY, {}).body == OK
            time.sleep(0.05)

    assert (wire.connections, len(wire.requests)) == (3, 3)


def test_a_kept_connection_that_breaks_is_an_unknown_outcome():
    with Wire(answer(OK), reset()) as wire:
        client = http(wire.url)
        client.post("/", BODY, {})
        failed(client, OutcomeUnknown)

    assert (wire.connections, len(wire.requests)) == (1, 2)


def test_a_kept_connection_is_bounded_in_time_too():
    with Wire(answer(OK), drip(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) as wire, within(3):
        client = http(wire.url, total_seconds=0.3)
        client.post("/", BODY, {})

        assert failed(client, OutcomeUnknown).code == "deadline"


def test_after_every_trouble_the_next_call_is_a_fresh_one():
    troubles: list[Play] = [
        silence(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"),
        reset(),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"),
        answer(b"x" * 100_000),
    ]
    with Wire(*(play for trouble in troubles for play in (trouble, answer(OK)))) as wire:
        client = http(wire.url, read_seconds=0.5)
        for _ in troubles:
            failed(client, OutcomeUnknown)
            assert client.post("/", BODY, {}).body == OK


def test_nothing_is_remembered_between_calls():
    with Wire(answer(OK, Set_Cookie="session=canary; Path=/")) as wire:
        client = http(wire.url)
        client.post("/", BODY, {})
        client.post("/", BODY, {})

    assert "cookie" not in wire.requests[1].headers


def test_one_account_knows_nothing_of_another():
    with Wire(answer(OK)) as wire:
        for label in ("account=7", "account=8"):
            http(wire.url, label=label).post("/", BODY, {})

    assert wire.connections == 2


def test_many_threads_share_a_client():
    def play(connection: socket.socket, request: Received) -> bool:
        return answer(request.body)(connection, request)

    got: list[bool] = []
    with Wire(play) as wire:
        client = http(wire.url, pool_size=4)

        def call(number: int) -> None:
            for turn in range(10):
                text = f"{number}-{turn}".encode()
                got.append(client.post("/", text, {}).body == text)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert got == [True] * 80


# ---------------------------------------------------------------------------------------------------------- environment


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_ignored(name, monkeypatch):
    with Wire(answer(b"proxy")) as proxy, Wire(answer(OK)) as wire:
        monkeypatch.setenv(name, proxy.url)

        assert http(wire.url).post("/", BODY, {}).body == OK
    assert not proxy.requests


def test_passwords_of_the_environment_are_ignored(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Wire(answer(OK)) as wire:
        http(wire.url).post("/", BODY, {})

    assert "authorization" not in wire.requests[0].headers


# ------------------------------------------------------------------------------------------------------------------ log


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "providers.http"]


def test_a_call_is_one_line_in_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    with Wire(answer(b'{"token":"canary"}', 201)) as wire:
        http(wire.url).post("/pay/create?key=canary-query", BODY, HEADERS)

    (line,) = lines(caplog)
    pattern = r"provider_call account=7 method=POST host=127\.0\.0\.1 path=/pay/create status=201 ms=\d+ outcome=ok"
    assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(
    ("play", "outcome"),
    [
        (silence(), "OutcomeUnknown:read_timeout"),
        (drip(b"HTTP/1.1 200 OK\r\n\r\n"), "OutcomeUnknown:deadline"),
        (reset(), "OutcomeUnknown:connection"),
        (answer(b"x" * 100_000), "OutcomeUnknown:too_large"),
    ],
)
def test_a_failed_call_is_one_line_too(play, outcome, caplog):
    caplog.set_level(logging.INFO)
    with Wire(play) as wire:
        failed(http(wire.url, **BOUNDED.get(outcome.partition(":")[2], {})), OutcomeUnknown)

    (line,) = lines(caplog)
    assert re.search(rf" status=0 ms=\d+ outcome={outcome}$", line)


def test_a_call_that_was_never_made_is_one_line_too(caplog):
    caplog.set_level(logging.INFO)
    with nobody_listens() as url:
        failed(http(url), Unreachable)

    (line,) = lines(caplog)
    assert line.endswith("outcome=Unreachable:connection")


def test_our_log_shows_no_body_no_header_and_no_query(caplog):
    caplog.set_level(logging.DEBUG, logger="providers")
    with Wire(answer(b'{"token":"canary"}', X_Token="canary"), reset()) as wire:
        client = http(wire.url)
        client.post("/pay?key=canary-query", BODY, HEADERS)
        failed(client, OutcomeUnknown)

    ours = "".join(f"{record.getMessage()}{record.args!r}" for record in caplog.records if "providers" in record.name)
    assert "canary" not in ours
    assert "5436031030606378" not in ours


def test_a_client_shows_its_account_and_nothing_else():
    assert repr(Http("https://user:canary@provider.test", label="account=7")) == "<Http account=7>"


# ------------------------------------------------------------------------------------------------------------------ TLS


class Authority:
    """A certificate authority of our own, and certificates by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            **dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), True),
            **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
            **dict.fromkeys(("encipher_only", "decipher_only"), False),
        )
        built = self._about(self.name, self.key.public_key(), days=30).add_extension(basic, critical=True)
        self.certificate = built.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "127.0.0.1", *, days: int = 30, self_signed: bool = False) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        issuer, signer = (subject, key) if self_signed else (self.name, self.key)
        place = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        built = self._about(subject, key.public_key(), days=days, issuer=issuer)
        built = built.add_extension(x509.SubjectAlternativeName([place]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        signed = built.add_extension(identifier, critical=False).sign(signer, hashes.SHA256())
        chain = self.folder / f"{name}-{days}-{self_signed}.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _about(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int, issuer: x509.Name | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority, as if it stood among the ones that everybody trusts."""
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.path))
    return authority


def test_a_certificate_that_is_right_is_accepted(trusted):
    with Wire(answer(OK), tls=trusted.server()) as wire:
        client = http(wire.url)

        assert client.post("/", BODY, HEADERS).body == OK
        assert client.post("/", BODY, HEADERS).body == OK
    assert (wire.connections, wire.requests[0].body) == (1, BODY)


@pytest.mark.parametrize(
    "options",
    [{"self_signed": True}, {"days": -1}, {"name": "127.0.0.2"}, {"name": "provider.test"}],
    ids=["self-signed", "expired", "another address", "another name"],
)
def test_a_certificate_that_is_wrong_is_unreachable(options, trusted):
    with Wire(answer(OK), tls=trusted.server(**options)) as wire:
        error = failed(http(wire.url), Unreachable)

    assert error.code == "tls"
    assert not wire.requests


def test_an_authority_that_nobody_knows_is_unreachable(authority):
    with Wire(answer(OK), tls=authority.server()) as wire:
        assert failed(http(wire.url), Unreachable).code == "tls"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_makes_nobody_an_authority(name, authority, monkeypatch):
    monkeypatch.setenv(name, str(authority.path))
    with Wire(answer(OK), tls=authority.server()) as wire:
        failed(http(wire.url), Unreachable)

    assert not wire.requests


def test_a_server_that_speaks_no_tls_is_unreachable():
    with Wire(answer(OK)) as wire, within(4):
        failed(http(wire.url.replace("http:", "https:")), Unreachable)

    assert not wire.requests


def test_a_handshake_that_is_never_answered_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener, within(4):
        failed(http(f"https://127.0.0.1:{listener.getsockname()[1]}", connect_seconds=0.2), Unreachable)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
    ],
    ids=["body", "endless body", "headers"],
)
def test_one_encrypted_byte_after_another_ends_with_the_total_time(head, trusted):
    with Wire(drip(head), tls=trusted.server()) as wire, within(3):
        error = failed(http(wire.url, total_seconds=0.4), OutcomeUnknown)

    assert error.code == "deadline"


def test_an_encrypted_answer_that_is_reset_is_an_unknown_outcome(trusted):
    with Wire(reset(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), tls=trusted.server()) as wire:
        failed(http(wire.url), OutcomeUnknown)


def test_an_answer_is_json_of_its_bytes():
    assert HttpAnswer(200, {}, json.dumps({"name": "測試"}).encode()).json() == {"name": "測試"}
