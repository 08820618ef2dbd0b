"""What people, programs and developers are told when something breaks."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from checkout import errors

VISA = "4111111111111111"
CVC = "737"
SESSION = "hunter2"


def away(request: HttpRequest) -> HttpResponse:
    raise OperationalError("the database is away")


def broken(request: HttpRequest) -> HttpResponse:
    number = request.POST.get("number")
    raise ValueError(f"cannot read {number}")


handler400, handler403 = errors.bad_request, errors.forbidden
handler404, handler500 = errors.not_found, errors.server_error
urlpatterns = [path("away", away), path("broken", broken), path("api/away", away), path("api/broken", broken)]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def test_a_missing_database_is_an_honest_503(client):
    response = client.get("/away")

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert b"database" not in response.content


@pytest.mark.parametrize(
    ("where", "status", "code"),
    [("/api/away", 503, "unavailable"), ("/api/broken", 500, "server_error"), ("/api/nowhere", 404, "not_found")],
)
def test_a_program_gets_a_problem_document(client, where, status, code):
    response = client.get(where)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.json()["request_id"] == response["X-Request-ID"]


@pytest.mark.parametrize(("where", "status"), [("/nowhere", 404), ("/broken", 500)])
def test_a_person_gets_a_page(client, where, status):
    response = client.get(where)

    assert response.status_code == status
    assert "json" not in response["Content-Type"]


@pytest.mark.parametrize("debug", [True, False])
def test_a_report_shows_no_value(settings, debug):
    settings.DEBUG = debug
    request = RequestFactory().post(f"/broken?token={VISA}", {"number": VISA, "cvc": CVC})
    request.COOKIES["session"] = SESSION
    try:
        broken(request)
    except ValueError as error:
        reporter = errors.Reporter(request, type(error), error, error.__traceback__)

    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert "ValueError" in report
        assert "cannot read [card]" in report
        for secret in (VISA, CVC, SESSION, settings.SECRET_KEY, *settings.SEAL_KEYS):
            assert secret not in report


def test_django_uses_this_report(settings, client):
    settings.DEBUG = True

    response = client.post("/broken", {"number": VISA, "cvc": CVC})

    assert response.status_code == 500
    assert VISA.encode() not in response.content
    assert b"cannot read [card]" in response.content
