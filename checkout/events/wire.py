"""One POST to an address that a merchant typed: it may lead anywhere, answer anything, and take for ever.

- Only https, only public addresses, only the ports in ENDPOINT_PORTS. The name is looked up once, and the connection
  goes to the very address that was judged. Playing on one's own machine (ALLOW_PRIVATE_ENDPOINTS) lifts all this.
- Nothing of the environment (proxies, .netrc) changes the way. Redirects are not followed.
- The whole exchange ends in time, even if the other side sends a byte a second, and of its answer 4 KB are read.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

KEPT = 4096
"""How many bytes of an answer are read."""

CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Answer:
    """What came back. Without a status code there was no answer, and the text says why."""

    status_code: int | None
    text: str

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


class AddressRefused(requests.RequestException):
    """We do not send there."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send it once. Never raises for the other side's trouble."""
    seconds = settings.DELIVERY_SECONDS
    kept, status_code = bytearray(), None
    with _Deadline(seconds) as deadline:
        try:
            check_address(url)
            with (
                _session() as session,
                session.post(
                    url,
                    data=body,
                    headers={"User-Agent": "Paydesk", "Accept-Encoding": "identity", **headers},
                    timeout=(min(CONNECT_SECONDS, seconds), seconds),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                if deadline.is_over:  # headers that we cut off may look like headers that came to their end
                    raise requests.Timeout
                status_code = response.status_code
                while len(kept) < KEPT and (chunk := response.raw.read1(KEPT)):
                    kept += chunk
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if status_code is None:
                return Answer(None, _trouble(error, deadline))
    # A broken end of an answer changes nothing: they heard us and said so.
    return Answer(status_code, bytes(kept[:KEPT]).decode(errors="replace").replace("\x00", ""))


def check_address(url: str) -> None:
    """What can be seen without looking the name up. Raises AddressRefused with a sentence."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("This is not an address.") from None
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("An address with a user name or password is not accepted.")
    if settings.ALLOW_PRIVATE_ENDPOINTS:
        return
    if parts.scheme != "https":
        raise AddressRefused("Use an https address.")
    if (port or 443) not in settings.ENDPOINT_PORTS:
        allowed = ", ".join(map(str, settings.ENDPOINT_PORTS))
        raise AddressRefused(f"Port {port} is not accepted; these are: {allowed}.")


def _trouble(error: Exception, deadline: _Deadline) -> str:
    if deadline.is_over or isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, AddressRefused):
        return str(error)
    if isinstance(error, InvalidIPAddress):
        return "not a public address"
    if isinstance(error, requests.exceptions.SSLError):
        return "certificate not accepted"
    return "no connection"


# --------------------------------------------------------------------------------------------------------- the session


class _Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None at all: asked even when redirects are not followed, and then the whole body would be read first."""


def _session() -> _Session:
    session = _Session()
    if settings.ALLOW_PRIVATE_ENDPOINTS:
        session.mount("http://", _AnyAdapter())
        session.mount("https://", _AnyAdapter())
    else:
        session.adapters.clear()
        session.mount("https://", _PublicAdapter(is_https_proto=True))
    return session


class _AnyAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


class _PublicAdapter(IPFilterAdapter):  # type: ignore[misc]  # comes without types
    """Connects to the address that was judged, with the name in certificate and Host header."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _TlsPool}

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        host, pool = super().build_connection_pool_key_attributes(*args, **kwargs)
        address = ip_address(host["host"].strip("[]"))
        # What the library lets through, as of 1.3: reserved blocks, and the site-local one of old IPv6.
        if not address.is_global or address.is_reserved or getattr(address, "is_site_local", False):
            raise InvalidIPAddress(address)
        return host, pool


# -------------------------------------------------------------------------------------------------------- the deadline


class _Deadline:
    """Cuts the connection of its thread when time is over, whatever the other side does."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._reset = _deadline.set(self)
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()
        _deadline.reset(self._reset)
        if self._sock is not None:
            self._sock.close()

    def holds(self, sock: socket.socket) -> None:
        """A second handle: TLS takes the first one away, and an answer may let go of it early."""
        self._sock = sock.dup()
        if self.is_over:
            self._cut()

    def _cut(self) -> None:
        self.is_over = True
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


_deadline: ContextVar[_Deadline] = ContextVar("_deadline")


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _deadline.get().holds(sock)
        return sock


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _deadline.get().holds(sock)
        return sock


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
