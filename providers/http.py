"""The one HTTP client for providers: exact bytes out, a bounded answer or a clear error back.

- Pooled connections for each account. Nothing of the environment (proxies, CA bundles, .netrc) changes a call's way.
- A connection that was never made is tried once more, then it is ``Unreachable``: they never acted. As soon as a
  connection stands, bytes may have arrived, so every later trouble is ``OutcomeUnknown`` and nothing is repeated.
- Time is bounded three times: to connect, between two reads, and in total, so that an answer of one byte a second ends.
- Redirects are not followed, certificates are always checked, and answers above a size are not read to their end.
- The log has one line a call: method, host, path, status, duration, outcome. Never a body, a header or a query string.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry

from providers.contract import OutcomeUnknown, ProviderError, Unreachable

logger = logging.getLogger(__name__)

CHUNK = 64 * 1024


@dataclass(frozen=True)
class HttpAnswer:
    """What came back: any status; whether it is good news is for the provider to say."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self, **options: Any) -> Any:
        """The body as JSON. Raises OutcomeUnknown when it is none: an unreadable answer says nothing."""
        try:
            return json.loads(self.body, **options)
        except ValueError:
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
        self._session = requests.Session()
        self._session.trust_env = False
        adapter = _Adapter(pool_connections=2, pool_maxsize=pool_size, max_retries=_ONLY_CONNECTING)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __repr__(self) -> str:
        return f"<Http {self.label}>"

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send these very bytes. Raises Unreachable or OutcomeUnknown; ``code`` names the kind of trouble."""
        return self.send("POST", path, body=body, headers=headers)

    def send(self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> HttpAnswer:
        """Any other method, under the same promises."""
        url = self.base_url + path
        started = time.monotonic()
        outcome, status = "ok", 0
        try:
            answer = self._exchange(method, url, body, headers)
            status = answer.status
        except ProviderError as error:
            outcome = f"{type(error).__name__}:{error.code}"
            raise
        finally:
            parts = urlsplit(url)
            elapsed = round((time.monotonic() - started) * 1000)
            logger.info(
                "provider_call %s method=%s host=%s path=%s status=%s ms=%s outcome=%s",
                *(self.label, method, parts.hostname, parts.path, status, elapsed, outcome),
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
                return HttpAnswer(response.status_code, dict(response.headers), self._read(response))
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


# ------------------------------------------------------------------------------------------------------- the deadline


class _Watch:
    """Knows how far a call has come, and can cut its connection from another thread."""

    def __init__(self) -> None:
        self.connected = False
        self.is_cut = False
        self.connection: HTTPConnection | None = None

    def cut(self) -> None:
        self.is_cut = True
        sock = self.connection.sock if self.connection else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(2)


class _Current(threading.local):
    watch: _Watch | None = None


_current = _Current()


def _note(connection: HTTPConnection) -> None:
    """From here on, bytes may reach the other side."""
    if _current.watch:
        _current.watch.connected, _current.watch.connection = True, connection


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


_ONLY_CONNECTING = Retry(total=None, connect=1, read=0, redirect=0, status=0, other=0, backoff_factor=0.1)

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.SSLError, "tls"),
    (requests.exceptions.ConnectTimeout, "connect_timeout"),
    (requests.exceptions.ReadTimeout, "read_timeout"),
    (urllib3.exceptions.ReadTimeoutError, "read_timeout"),
    (urllib3.exceptions.SSLError, "tls"),
    (requests.exceptions.InvalidURL, "bad_url"),
    (requests.exceptions.InvalidSchema, "bad_url"),
)


def _kind(error: BaseException) -> str:
    return next((name for kind, name in _KINDS if isinstance(error, kind)), "connection")
