"""When something goes wrong outside a view: a page for people, a problem document for programs, a discreet report."""

from __future__ import annotations

import sys
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from checkout import logs
from checkout.logs import mask, mask_text

MEANING = {
    400: ("bad_request", "This request could not be understood."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address."),
    500: ("server_error", "Something went wrong on our side."),
    503: ("unavailable", "This service is briefly unavailable. Nothing was sent to a payment provider."),
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """An honest 503 while the database is away (nothing was committed, so nothing was sent), otherwise a 500."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        response = _answer(request, 503)
        response["Retry-After"] = "5"
        return response
    return _answer(request, 500)


def refuse(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    """A refusal before any view ran."""
    if request.path_info.startswith("/api/"):
        problem = {"type": "about:blank", "status": status, "title": message, "code": code, "detail": message}
        return JsonResponse(
            {**problem, "request_id": logs.request_id()}, status=status, content_type="application/problem+json"
        )
    return HttpResponse(message, status=status, content_type="text/plain; charset=utf-8")


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    code, message = MEANING[status]
    if request.path_info.startswith("/api/"):
        return refuse(request, status, code, message)
    try:
        # Rendered without the request: what failed may be the very thing that a context processor needs.
        body = render_to_string(f"{status}.html", {"message": message, "request_id": logs.request_id()})
    except TemplateDoesNotExist:
        return refuse(request, status, code, message)
    response = HttpResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response


class ReporterFilter(SafeExceptionReporterFilter):
    """Shows of variables only their type, and of the request only its outline, with DEBUG on or off."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_safe_settings(self) -> dict[str, Any]:
        return {}

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        shown = ("REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT")
        return {key: mask(request.META[key]) for key in shown if key in request.META}

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        return {name: f"<{type(value).__name__}>" for name, value in tb_frame.f_locals.items()}.items()


class Reporter(ExceptionReporter):
    """Django's error page and mail without query strings, and with its messages masked."""

    def get_traceback_data(self) -> dict[str, Any]:
        data: dict[str, Any] = super().get_traceback_data()
        for key in ("request_GET_items", "request_FILES_items", "request_insecure_uri", "unicode_hint"):
            data.pop(key, None)
        for key in ("exception_value", "exception_notes"):
            if key in data:
                data[key] = mask_text(str(data[key]))
        for frame in data.get("frames", []):
            if frame.get("exc_cause") is not None:
                frame["exc_cause"] = mask_text(repr(frame["exc_cause"]))
        if self.template_info:
            self.template_info["message"] = mask_text(str(self.template_info.get("message", "")))
        return data
