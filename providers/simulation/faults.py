"""What the answer dials do to one API call: ``before`` it is acted upon, and ``after`` to the finished answer."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flask import Response, request

PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body><h1>It works</h1></body></html>"


def before(faults: dict[str, Any], closing: threading.Event) -> Response | None:
    """Wait, or answer in place of the API; None lets the call go on."""
    if "slow_answer" in faults:
        _hold(float(faults["slow_answer"]), closing)
    if "http_500" in faults:
        return _plain(500, "Internal Server Error")
    if "http_503" in faults:
        return _plain(503, "Service Unavailable")
    if "http_429" in faults:
        answer = _plain(429, "Too Many Requests")
        answer.headers["Retry-After"] = str(faults["http_429"])
        return answer
    if "timeout_before" in faults:
        return _silence(float(faults["timeout_before"]), closing)
    return None


def after(answer: Response, faults: dict[str, Any], closing: threading.Event) -> Response:
    """Spoil an answer whose effect is already committed."""
    body = answer.get_data()
    if "timeout_after" in faults:
        return _silence(float(faults["timeout_after"]), closing)
    if "reset_after" in faults:
        return _silence(0, closing)
    if "http_500_after" in faults:
        return _plain(500, "Internal Server Error")
    if "garbage_answer" in faults:
        return Response(b"\x00\xff\xfe" + os.urandom(64), content_type="application/json")
    if "html_answer" in faults:
        return Response(PAGE, content_type="text/html; charset=utf-8")
    if "wrong_type_answer" in faults:
        return Response(b'["code", 0, {"data": null}]', content_type="application/json")
    if "truncated_answer" in faults:
        whole = Response(_part(body), content_type="application/json")
        whole.headers["Content-Length"] = str(len(body))
        return whole
    if "oversized_answer" in faults:
        padding = b" " * (int(faults["oversized_answer"]) * 1024 * 1024)
        return Response(body + padding, content_type="application/json")
    if "drip_answer" in faults:
        dripping = Response(_drip(body, float(faults["drip_answer"]), closing), content_type="application/json")
        dripping.headers["Content-Length"] = str(len(body))
        return dripping
    return answer


def _plain(status: int, text: str) -> Response:
    return Response(text, status=status, content_type="text/plain; charset=utf-8")


def _part(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionAbortedError("truncated on purpose")


def _drip(body: bytes, pause: float, closing: threading.Event) -> Iterator[bytes]:
    for position in range(len(body)):
        yield body[position : position + 1]
        if closing.wait(pause):
            return


def _silence(seconds: float, closing: threading.Event) -> Response:
    """Say nothing for a while, then close the connection; without a socket (test client) 504 stands in for it."""
    _hold(seconds, closing)
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if connection is None:
        return _plain(504, "no answer")
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)
    return _plain(504, "no answer")


def _hold(seconds: float, closing: threading.Event) -> None:
    """Wait in real time, but no longer than the client listens or the process lives."""
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    step = 0.1
    while seconds > 0 and not closing.wait(min(step, seconds)):
        seconds -= step
        if connection is not None and _is_gone(connection):
            return


def _is_gone(connection: socket.socket) -> bool:
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
