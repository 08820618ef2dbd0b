"""Errors as RFC 9457 problem documents: one form for people, programs and every status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from checkout import logs


class Problem(Exception):
    """An answer that is no success. ``code`` is stable; ``field`` names what is wrong in the request."""

    def __init__(
        self,
        status_code: int,
        code: str,
        detail: str,
        *,
        field: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status_code, self.code, self.detail, self.field = status_code, code, detail, field
        self.errors, self.headers = errors, dict(headers or {})


TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid field",
    429: "Too many requests",
    500: "Server error",
    503: "Unavailable",
}


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    document: dict[str, Any] = {
        "type": f"urn:paydesk:problem:{problem.code}",
        "title": TITLES.get(problem.status_code, "Error"),
        "status": problem.status_code,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": logs.request_id(),
    }
    if problem.field:
        document["field"] = problem.field
    if problem.errors:
        document["errors"] = list(problem.errors)
    response = JsonResponse(document, status=problem.status_code, content_type="application/problem+json")
    for name, value in problem.headers.items():
        response[name] = value
    return response
