"""Whatever answers under the API's path, answers as a problem document: also what never reached a view of ours."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from checkout.api.problems import Problem, answer

CODES = {404: "not_found", 405: "method_not_allowed"}


class Problems:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not request.path_info.startswith("/api/"):
            return response
        response["Cache-Control"] = "no-store"
        if response.status_code < 400 or "json" in response.get("Content-Type", ""):
            return response
        allowed = {"Allow": response["Allow"]} if "Allow" in response else {}
        code = CODES.get(response.status_code, "error")
        detail = "This method is not possible here." if allowed else "This is not possible."
        problem: HttpResponse = answer(request, Problem(response.status_code, code, detail, headers=allowed))
        return problem
