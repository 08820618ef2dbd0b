"""The one HTTP client for providers: exact bytes out, a bounded answer or a clear error back.

- Pooled connections for each account. Nothing of the environment (proxies, CA bundles, .netrc) changes a call's way.
- A connection that was never made is tried once more, then it is ``Unreachable``: they never acted. As soon as a
  connection stands, bytes may have arrived, so every later trouble is ``OutcomeUnknown`` and nothing is repeated.
- Time is bounded three times: to connect, between two reads, and in total, so that an answer of one byte a second ends.
- Redirects are not followed, certificates are always checked, and answers above a size are not read to their end.
- The log has one line a call: method, host, path, status, duration, outcome. Never a body, a header or a query string.
"""

from __future__ import annotations

import copy
import json
import logging
import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry

from providers.contract import OutcomeUnknown, ProviderError, Rejected, Unreachable

logger = logging.getLogger(__name__)

CHUNK = 64 * 1024


class Body(bytes):
    """Bytes to send. They may hold a card, so their repr, which is what a traceback shows, tells only how many."""

    def __repr__(self) -> str:
        return f"<Body of {len(self)} bytes>"

    __str__ = __repr__


@dataclass(frozen=True)
class HttpAnswer:
    """What came back: any status; whether it is good news is for the provider to say."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Looked up without regard to case."""
    body: bytes = field(repr=False)

    def expect(self, status: int = 200, *, rejections: Collection[int] = ()) -> HttpAnswer:
        """This answer, if its status is the one. Raises Rejected for one of ``rejections``, else OutcomeUnknown.

        Only a status that surely means "we did nothing" belongs among the rejections.
        """
        if self.status == status:
            return self
        if self.status in rejections:
            raise Rejected("the request was refused", code=f"http_{self.status}")
        raise OutcomeUnknown("no usable answer", code=f"http_{self.status}")

    def json(self, **options: Any) -> Any:
        """The body as JSON. Raises OutcomeUnknown when it is none: an unreadable answer says nothing."""
        try:
            return json.loads(self.body, **options)
        except (ValueError, RecursionError):
            raise OutcomeUnknown("the answer is not JSON", code="unreadable") from None


class Http:
    """Calls to one provider for one account."""

    def __init__(
        self,
        base_url: str,
        *,
        label: str = "",
        connect_seconds: float = 2.0,
        read_seconds: float = 15.0,
        total_seconds: float = 25.0,
        max_bytes: int = 1024 * 1024,
        pool_size: int = 16,
    ) -> None:
        """``label`` is written to the log and names the account, e.g. ``account=7``."""
        self.base_url = base_url.rstrip("/")
        self.label = label
        self.timeouts = (connect_seconds, read_seconds)
        self.total_seconds = total_seconds
        self.max_bytes = max_bytes
        self._session = _Session()
        adapter = _Adapter(pool_connections=2, pool_maxsize=pool_size, max_retries=_ONLY_CONNECTING)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __repr__(self) -> str:
        return f"<Http {self.label}>"

    def at(self, base_url: str) -> Http:
        """The same connections and bounds, for another of the provider's hosts."""
        other = copy.copy(self)
        other.base_url = base_url.rstrip("/")
        return other

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send these very bytes. Raises Unreachable or OutcomeUnknown; ``code`` names the kind of trouble."""
        return self.send("POST", path, body=body, headers=headers)

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        """Any other method, under the same promises."""
        url = self.base_url + path
        body = None if body is None else Body(body)
        started = time.monotonic()
        outcome, status = "broke", 0
        try:
            answer = self._exchange(method, url, body, headers)
            outcome, status = "ok", answer.status
        except ProviderError as error:
            outcome = f"{type(error).__name__}:{error.code}"
            raise
        finally:
            elapsed = round((time.monotonic() - started) * 1000)
            logger.info(
                "provider_call %s method=%s host=%s path=%s status=%s ms=%s outcome=%s",
                *(self.label, method, *_place(url), status, elapsed, outcome),
            )
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> HttpAnswer:
        watch = _current.watch = _Watch()
        timer = threading.Timer(self.total_seconds, watch.cut)
        timer.daemon = True
        timer.start()
        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers={"Accept-Encoding": "identity", **headers},
                timeout=self.timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code < 200:  # the true answer would be taken for the next call's
                    raise OutcomeUnknown("an announcement and no answer", code="interim")
                body_read = self._read(response)
            if not watch.is_cut:  # a connection that we cut may look like an answer that came to its end
                return HttpAnswer(response.status_code, response.headers, body_read)
            kind = "deadline"
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Their text may quote what was sent, so neither it nor the exception itself goes any further.
            kind = _kind(error)
        finally:
            timer.cancel()
            _current.watch = None
        if not watch.connected:
            raise Unreachable("no connection was made", code=kind)
        raise OutcomeUnknown("no usable answer", code="deadline" if watch.is_cut else kind)

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            body += chunk
            if len(body) > self.max_bytes:
                raise OutcomeUnknown("the answer is too large", code="too_large")
        return bytes(body)


class _Session(requests.Session):
    """Remembers nothing between calls and takes nothing from the environment."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None at all: asked even when redirects are not followed, and then the whole body would be read first."""


# ------------------------------------------------------------------------------------------------------- the deadline


class _Watch:
    """Knows how far a call has come, and can cut its connection from another thread."""

    def __init__(self) -> None:
        self.connected = False
        self.is_cut = False
        self.sock: socket.socket | None = None
        """Kept apart from its connection, which lets go of it as soon as an answer says ``Connection: close``."""

    def cut(self) -> None:
        self.is_cut = True
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    watch: _Watch | None = None


_current = _Current()


def _note(connection: HTTPConnection) -> None:
    """From here on, bytes may reach the other side. Raises when it took too long to come so far."""
    watch = _current.watch
    if watch:
        watch.sock = connection.sock
        if watch.is_cut:
            connection.close()
            raise urllib3.exceptions.ConnectTimeoutError(connection, "the time for the whole call is over")
        watch.connected = True


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _note(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # kept alive from an earlier call
            _note(self)
        super().request(*args, **kwargs)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()  # includes the check of the certificate: nothing of ours was sent before it
        _note(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _note(self)
        super().request(*args, **kwargs)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


_ONLY_CONNECTING = Retry(total=None, connect=1, read=False, redirect=0, status=0, other=0, backoff_factor=0.1)

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.SSLError, "tls"),
    (requests.exceptions.ConnectTimeout, "connect_timeout"),
    (requests.exceptions.ReadTimeout, "read_timeout"),
    (urllib3.exceptions.ReadTimeoutError, "read_timeout"),
    (urllib3.exceptions.SSLError, "tls"),
    (requests.exceptions.InvalidURL, "bad_url"),
    (requests.exceptions.InvalidSchema, "bad_url"),
)


def _place(url: str) -> tuple[str, str]:
    """Host and path, as far as ``url`` has them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.hostname or "", parts.path


def _kind(error: BaseException) -> str:
    return next((name for kind, name in _KINDS if isinstance(error, kind)), "connection")
