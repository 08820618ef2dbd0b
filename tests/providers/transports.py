"""The network, replaced: an answer from memory, and a server on loopback that breaks in every way a network can."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from requests.structures import CaseInsensitiveDict

from providers.http import Http, HttpAnswer


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


Genuine = Callable[[bytes, Received], tuple[bytes, Mapping[str, str]]]
"""How a provider sends a body: as these bytes, under these headers."""


def as_it_is(body: bytes, _: Received) -> tuple[bytes, Mapping[str, str]]:
    return body, {}


class Canned(Http):
    """A transport that answers from memory, and remembers what was sent."""

    def __init__(
        self,
        body: bytes,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        then: Sequence[HttpAnswer] = (),
        genuine: Genuine = as_it_is,
    ) -> None:
        """``then`` are the answers to the second call and so on; the last one is repeated."""
        super().__init__("https://provider.test")
        self.answers = [HttpAnswer(status_code, headers or {}, body), *then]
        self.genuine = genuine
        self.requests: list[Received] = []

    @property
    def answer(self) -> HttpAnswer:
        """The first one."""
        return self.answers[0]

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        sent = Received(method, path, headers, body or b"")
        self.requests.append(sent)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        sent_back, signed = self.genuine(answer.body, sent)
        return HttpAnswer(answer.status, CaseInsensitiveDict({**answer.headers, **signed}), sent_back)


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
