"""One POST to an address that a merchant typed: never inwards, never for ever, never more than asked for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from checkout.events import wire

PUBLIC, PRIVATE = "93.184.215.14", "127.0.0.1"


@pytest.fixture(autouse=True)
def _playing(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = True


class Listener:
    """A server on this machine that talks as it is told, and counts who came."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.talk, self.came = talk, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hear"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.came += 1
                with connection, suppress(OSError):
                    self.talk(connection)


@contextmanager
def listening(talk: Callable[[socket.socket], None] = lambda connection: None) -> Iterator[Listener]:
    listener = Listener(talk)
    threading.Thread(target=listener.serve, daemon=True).start()
    try:
        yield listener
    finally:
        listener.server.shutdown(socket.SHUT_RDWR)
        listener.server.close()


def answer_with(text: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return talk


def drip(start: bytes) -> Callable[[socket.socket], None]:
    """One byte at a time, for longer than any test."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        for _ in range(600):
            connection.sendall(b"x")
            time.sleep(0.1)

    return talk


def test_an_answer_comes_back_with_its_status():
    with listening(answer_with(b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nthanks")) as there:
        assert wire.post(there.url, b"{}", {}) == wire.Answer(202, "thanks")


@pytest.mark.parametrize(
    ("start", "status_code"),
    [(b"", None), (b"HTTP/1.1 200 OK\r\nX-Slow: ", None), (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200)],
    ids=["before the status", "in the headers", "in the body"],
)
def test_a_byte_now_and_then_does_not_prolong_the_exchange(settings, start, status_code):
    settings.DELIVERY_SECONDS = 0.5
    with listening(drip(start)) as there:
        started = time.monotonic()
        answer = wire.post(there.url, b"{}", {})

    assert time.monotonic() - started < 2
    assert answer.status_code == status_code


def test_a_handshake_that_drips_ends_in_time_too(settings):
    settings.DELIVERY_SECONDS = 0.5
    with listening(drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")) as there:
        started = time.monotonic()
        answer = wire.post(there.url.replace("http:", "https:"), b"{}", {})

    assert time.monotonic() - started < 2
    assert answer == wire.Answer(None, "no answer in time")


def test_of_a_long_answer_the_first_4_kilobytes_are_kept():
    body = b"a\x00" + b"b" * 100_000
    with listening(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 100002\r\n\r\n" + body)) as there:
        answer = wire.post(there.url, b"{}", {})

    assert answer == wire.Answer(200, "a" + "b" * 4094)


def test_a_redirect_is_an_answer_and_its_body_is_not_read_to_the_end():
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n")
        with suppress(OSError):
            while len(sent) < 1000:
                connection.sendall(b"x" * 65536)
                sent.append(65536)

    sent: list[int] = []
    with listening(talk) as there:
        answer = wire.post(there.url, b"{}", {})

        assert (answer.status_code, there.came) == (302, 1)
    assert sum(sent) < 20_000_000


def test_proxies_and_passwords_of_the_environment_have_no_part_in_it(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with listening() as proxy, listening(answer_with(b"HTTP/1.1 204 No Content\r\n\r\n")) as there:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        heard: list[bytes] = []
        there.talk = lambda connection: (
            heard.append(connection.recv(65536)),
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n"),
        )

        answer = wire.post(there.url, b"{}", {})

        assert (answer.status_code, proxy.came) == (204, 0)
    assert b"Authorization" not in heard[0]


def test_nobody_there_is_said_in_words():
    with listening() as gone:
        port = gone.port

    assert wire.post(f"http://127.0.0.1:{port}/", b"{}", {}) == wire.Answer(None, "no connection")


# ------------------------------------------------------------------------------------------------- never inwards


@pytest.fixture
def in_earnest(settings):
    """As in production, on any port, so that a listener here would be reached if anything let us."""
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    settings.ENDPOINT_PORTS = range(65536)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
    ],
)
@pytest.mark.usefixtures("in_earnest")
def test_no_spelling_of_this_machine_is_ever_connected_to(host):
    with listening() as here:
        answer = wire.post(f"https://{host}:{here.port}/hear", b"{}", {})

        assert here.came == 0
    assert answer.status_code is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.1.2.3",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "::ffff:10.0.0.1",
        "::ffff:0:7f00:1",
        "::7f00:1",
    ],
)
@pytest.mark.usefixtures("in_earnest")
def test_no_name_leads_to_an_address_that_is_not_public(monkeypatch, address):
    answers_with(monkeypatch, [address])
    connected = watch_connections(monkeypatch)

    answer = wire.post("https://shop.example/hear", b"{}", {})

    assert (answer.text, connected) == ("not a public address", [])


@pytest.mark.usefixtures("in_earnest")
def test_a_name_that_changes_after_it_was_judged_gains_nothing(monkeypatch):
    looked_up = answers_with(monkeypatch, [PUBLIC, PRIVATE, PRIVATE])
    connected = watch_connections(monkeypatch)

    wire.post("https://shop.example/hear", b"{}", {})

    assert looked_up == ["shop.example"]
    assert set(connected) == {PUBLIC}


def answers_with(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """A resolver that gives the next address each time; the names that it was asked for."""
    looked_up: list[str] = []
    resolve, left = socket.getaddrinfo, iter(addresses)

    def lookup(host, port, *args, **kwargs):
        if host != "shop.example":
            return resolve(host, port, *args, **kwargs)
        looked_up.append(host)
        return resolve(next(left), port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return looked_up


def watch_connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    connected: list[str] = []

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return connected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://shop.example/hear", "https"),
        ("https://shop.example:8443/hear", "Port 8443"),
        ("https://user:word@shop.example/hear", "user name"),
        ("https://shop.example:99999/hear", "not an address"),
        ("ftp://shop.example/", "https"),
        ("file:///etc/passwd", "https"),
    ],
)
def test_an_odd_address_is_refused_before_its_name_is_looked_up(settings, monkeypatch, url, why):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    looked_up = answers_with(monkeypatch, [PUBLIC])

    answer = wire.post(url, b"{}", {})

    assert why in answer.text
    assert looked_up == []
