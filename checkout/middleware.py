"""What happens to a request before a view sees it, and who pays for what.

Sessions, logins, messages and CSRF tokens exist only under the desk's path. Everybody else (shoppers, the API,
webhooks, returns from a cashier) is served without a cookie: a return is a cross-site POST that carries none, and
answering it with a new one would log staff out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin
from django_structlog.middlewares import RequestMiddleware

from checkout import logs
from checkout.errors import refuse

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_LONG_SEGMENT = re.compile(r"(?<=/)([\w-]{6})[\w:-]{26,}")


class RequestLog(RequestMiddleware):
    """One line a request, without query string, page token or static file; its id goes out in ``X-Request-ID``."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(f"/{settings.STATIC_URL.strip('/')}/"):
            return self.get_response(request)
        return super().__call__(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response["X-Request-ID"] = logs.request_id()
        super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} " + logs.mask_text(_LONG_SEGMENT.sub(r"\1…", request.path))


class Forwarded:
    """Puts the client's own address into REMOTE_ADDR; ``X-Forwarded-*`` counts only when a trusted proxy sent it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.trusted = [ip_network(proxy, strict=False) for proxy in settings.TRUSTED_PROXIES]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = [hop.strip() for hop in request.META.pop("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        protocol = request.META.pop("HTTP_X_FORWARDED_PROTO", "")
        if self._trusts(request.META.get("REMOTE_ADDR", "")):
            # Each proxy appends, so the nearest hop is last and only the nearest protocol is theirs.
            if protocol:
                request.META["HTTP_X_FORWARDED_PROTO"] = protocol.split(",")[-1].strip()
            for hop in reversed(path):
                if not _is_address(hop):
                    break
                request.META["REMOTE_ADDR"] = hop
                if not self._trusts(hop):
                    break
        return self.get_response(request)

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self.trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class Limits:
    """Refuses what is too large before reading it, and an API call whose key travelled unencrypted."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_desk = request.path_info.startswith(settings.DESK_PATH)
        limit = settings.DESK_MAX_BODY if is_desk else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > limit:
            return refuse(request, 413, "body_too_large", f"The body is larger than {limit} bytes.")
        if settings.HTTPS and request.path_info.startswith("/api/") and not request.is_secure():
            return refuse(request, 403, "https_required", "Use https, and revoke the key that was sent without it.")
        return self.get_response(request)


class _DeskOnly(MiddlewareMixin):
    """Mixed into a middleware: acts under the desk's path and is not there for anybody else."""

    async_capable = False

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(settings.DESK_PATH):
            return super().__call__(request)
        return self.get_response(request)


class DeskSession(_DeskOnly, SessionMiddleware):
    pass


class DeskAuthentication(_DeskOnly, AuthenticationMiddleware):
    pass


class DeskMessages(_DeskOnly, MessageMiddleware):
    pass


class DeskCsrf(_DeskOnly, CsrfViewMiddleware):
    """Django runs ``process_view`` hooks whatever ``__call__`` decided, so this one decides again."""

    def process_view(self, request: HttpRequest, *view: Any) -> Any:
        if request.path_info.startswith(settings.DESK_PATH):
            return super().process_view(request, *view)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Let the desk's own forms name where they come from: under ``no-referrer`` browsers send ``Origin: null``."""
        response.headers.setdefault("Referrer-Policy", "same-origin")
        answer: HttpResponseBase = super().process_response(request, response)
        return answer
