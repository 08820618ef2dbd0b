"""Who gets cookies, whose address counts, what is refused."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from checkout.urls import urlpatterns as product


@csrf_exempt
def echo(request: HttpRequest, token: str = "") -> HttpResponse:
    """What a view learns of the caller."""
    return HttpResponse(f"{request.META['REMOTE_ADDR']} {request.is_secure()} {len(request.body)}")


def protected(request: HttpRequest) -> HttpResponse:
    return HttpResponse("reached")


urlpatterns = [
    path("echo", echo),
    path("pay/<str:token>", echo),
    path("protected", protected),
    path("api/v1/echo", echo),
    *product,
]
pytestmark = pytest.mark.urls(__name__)


def test_nobody_outside_the_desk_gets_a_cookie(client):
    for method in (client.get, client.post):
        response = method("/echo")
        assert not response.cookies
        assert "Vary" not in response or "Cookie" not in response["Vary"]


def test_outside_the_desk_no_csrf_token_is_asked_for():
    client = Client(enforce_csrf_checks=True)
    client.cookies["session"] = "somebody"

    assert client.post("/protected").content == b"reached"


@pytest.mark.django_db
def test_the_desk_has_sessions_and_asks_for_a_csrf_token():
    User.objects.create_superuser("ada", password="a long password")
    client = Client(enforce_csrf_checks=True)
    form = client.get("/admin/login/")
    login = {"username": "ada", "password": "a long password"}

    assert client.post("/admin/login/", login).status_code == 403

    login["csrfmiddlewaretoken"] = form.context["csrf_token"]
    response = client.post("/admin/login/?next=/admin/", login)

    assert response.status_code == 302
    assert client.get("/admin/password_change/").status_code == 200


@pytest.mark.parametrize("where", ["/echo", "/nowhere", "/api/v1/nowhere", "/healthz", "/hooks/"])
def test_every_answer_carries_the_security_headers(client, where):
    headers = client.get(where).headers
    policy = dict(directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Request-ID"]


def test_forwarded_headers_of_a_stranger_are_dropped(client):
    response = client.get("/echo", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})

    assert response.content == b"127.0.0.1 False 0"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", b"203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", b"203.0.113.9"),  # the left one was typed by the client
        ("203.0.113.9, 10.1.2.3", b"203.0.113.9"),  # two trusted hops
        ("nonsense, 10.1.2.3", b"10.1.2.3"),
        ("2001:db8::7", b"2001:db8::7"),
        ("", b"127.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_who_called(client, settings, forwarded, address):
    settings.TRUSTED_PROXIES = ["127.0.0.1", "10.0.0.0/8"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    response = client.get("/echo", headers={"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"})

    assert response.content == address + b" True 0"


def test_the_nearest_proxy_decides_about_encryption(client, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    assert client.get("/echo", headers={"X-Forwarded-Proto": "https, http"}).content == b"127.0.0.1 False 0"


def test_a_large_body_is_refused_unread(client, settings):
    just_right = b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    assert client.post("/echo", just_right, content_type="text/plain").status_code == 200
    assert client.post("/echo", just_right + b"x", content_type="text/plain").status_code == 413

    refusal = client.post("/api/v1/echo", just_right + b"x", content_type="application/json")
    assert refusal["Content-Type"] == "application/problem+json"
    assert refusal.json()["code"] == "body_too_large"


def test_the_api_refuses_plain_http_and_pages_redirect(client, settings):
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True

    assert client.get("/api/v1/echo").status_code == 403
    assert client.get("/api/v1/echo").json()["code"] == "https_required"
    assert client.get("/api/v1/echo", secure=True).status_code == 200
    assert client.get("/echo").status_code == 301
    assert client.get("/healthz").status_code == 200


def test_a_forged_host_is_refused(client):
    assert client.get("/echo", headers={"Host": "evil.example"}).status_code == 400


def test_a_request_is_one_line_without_its_page_token_and_query(client, caplog):
    caplog.set_level(logging.INFO)
    token = "u7Xk" * 11

    client.get(f"/pay/{token}?name=Ada")

    lines = [record.getMessage() for record in caplog.records if "request_finished" in record.getMessage()]
    assert len(lines) == 1
    assert "GET /pay/u7Xku7…" in lines[0]
    assert token not in caplog.text
    assert "Ada" not in caplog.text
