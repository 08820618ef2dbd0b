"""The guide tells the truth: its examples are sent, its code is run, its lists are complete."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_httpserver import HTTPServer

from checkout.api.document import document
from checkout.api.views import api as described_api
from checkout.events import wire
from checkout.events.outbox import RETRIES
from checkout.merchants.models import Scope
from checkout.orders.presentation import timestamp
from tests.api.described import rows_of
from tests.api.test_orders import Api
from tests.factories import a_merchant, an_order, work_until_quiet

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
REQUESTS = re.findall(r"```http\n(GET|POST) (\S+)\n(?:\n(.+?)\n)?```", GUIDE, re.DOTALL)
(SNIPPET,) = re.findall(r"```python\n(.+?)```", GUIDE, re.DOTALL)


def test_the_guide_has_examples():
    assert len(REQUESTS) == GUIDE.count("```http") > 8


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "path", "body"), REQUESTS, ids=[f"{one[0]} {one[1]}" for one in REQUESTS])
def test_an_example_is_accepted(method, path, body, monkeypatch):
    monkeypatch.setattr(wire, "post", lambda *sent: wire.Answer(200, "thanks"))
    merchant = a_merchant()
    values = {**rows_of(merchant, "test"), "an_hour_ago": timestamp(timezone.now() - timedelta(hours=1))}
    for name, value in values.items():
        path, body = path.replace(f"{{{name}}}", value), body.replace(f"{{{name}}}", value)
    api = Api(merchant)

    answer = api.get(path) if method == "GET" else api.post(path, body)

    assert answer.status_code in {200, 201}, answer.content


@pytest.mark.django_db(transaction=True)
def test_the_snippet_believes_us_and_nobody_else(httpserver: HTTPServer, settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = True
    httpserver.expect_request("/hear").respond_with_data("")
    merchant = a_merchant()
    api = Api(merchant)
    endpoint = api.post("/api/v1/endpoints", {"url": httpserver.url_for("/hear")}).json()
    new = api.post(f"/api/v1/endpoints/{endpoint['id']}/rotate", "").json()
    order = an_order(merchant)
    work_until_quiet()
    scope: dict[str, Any] = {}
    exec(SNIPPET, scope)
    verified = scope["verified"]

    ((request, _),) = httpserver.log
    headers = {name.lower(): value for name, value in request.headers.items()}
    for secret in (endpoint["secret"], new["secret"]):
        assert verified(secret, headers, request.get_data())["data"]["order"]["id"] == str(order.public_id)
    late = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}
    for sent in ((headers, request.get_data() + b" "), (late, request.get_data())):
        with pytest.raises(ValueError, match=r"old|signed"):
            verified(new["secret"], *sent)
    with pytest.raises(ValueError, match="signed"):
        verified("whsec_" + "A" * 32, headers, request.get_data())


def test_every_scope_is_explained():
    assert re.findall(r"^\| `([a-z:]+)` \|", GUIDE, re.MULTILINE) == list(Scope.values)


def test_every_refusal_is_explained():
    told = set(re.findall(r"\b[45]\d\d\b", GUIDE.partition("| status | means |")[2].partition("\n\n")[0]))
    operations = (one for methods in document(described_api)["paths"].values() for one in methods.values())

    assert {str(code) for one in operations for code in one["responses"] if int(code) >= 400} <= told


def test_the_schedule_is_the_one_that_is_kept():
    assert [wait.total_seconds() / 60 for wait in RETRIES] == [1, 5, 30, 120, 360, 720, 1440, 1440]
    assert "1 minute, 5 minutes, 30 minutes, 2, 6, 12, 24 and 24\n  hours" in GUIDE


def test_the_limits_are_the_defaults(settings):
    assert f"{settings.API_READS_PER_MINUTE} readings and {settings.API_WRITES_PER_MINUTE} writings" in GUIDE
    assert f"larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20} MiB" in GUIDE


def test_bodies_in_the_guide_are_json():
    for _, _, body in REQUESTS:
        assert body == "" or isinstance(json.loads(body), dict)
