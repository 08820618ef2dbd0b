"""The description is true, frozen, and readable: programs were written against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from checkout.merchants.models import Scope
from tests.api.described import DOCUMENT, operations
from tests.api.test_orders import Api
from tests.factories import a_merchant

FROZEN = Path(__file__).with_name("openapi.json")
RENEW = f"manage.py openapi >{FROZEN.relative_to(Path.cwd()) if FROZEN.is_relative_to(Path.cwd()) else FROZEN.name}"


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a program that was written against ``old`` would stumble over."""
    found = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            present = new["paths"].get(path, {}).get(method)
            found += [f"{where} is gone"] if present is None else _operation(where, operation, present)
    for name, schema in old["components"]["schemas"].items():
        present = new["components"]["schemas"].get(name)
        is_sent = name in _sent(old)
        found += [f"{name} is gone"] if present is None else _schema(name, schema, present, is_sent=is_sent)
    return found


def _operation(where: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = [f"{where} needs another scope"] * (old["security"] != new["security"])
    found += [f"{where} has another operationId"] * (old["operationId"] != new["operationId"])
    found += [f"{where} never answers {code} now" for code in set(old["responses"]) - set(new["responses"])]
    found += [
        f"{where} answers {code} with something else"
        for code in set(old["responses"]) & set(new["responses"])
        if old["responses"][code].get("content") != new["responses"][code].get("content")
    ]
    before, after = ({one["name"]: one for one in each["parameters"]} for each in (old, new))
    found += [f"{where} lost the parameter {name}" for name in before.keys() - after.keys()]
    found += [
        f"{where} requires {name} now"
        for name, one in after.items()
        if one["required"] and not before.get(name, {}).get("required")
    ]
    for name in before.keys() & after.keys():
        found += _schema(f"{where} {name}", before[name]["schema"], after[name]["schema"], is_sent=True)
    if old.get("requestBody") != new.get("requestBody"):
        found.append(f"{where} takes another body")
    return found


def _schema(where: str, old: dict[str, Any], new: dict[str, Any], *, is_sent: bool) -> list[str]:
    """``is_sent``: programs send it, so it may only become wider; otherwise they read it."""
    found = [
        f"{where} is no {old.get(word)} now"
        for word in ("type", "format", "pattern", "$ref", "anyOf", "items", "additionalProperties")
        if old.get(word) != new.get(word)
    ]
    before, after = (set(map(str, one.get("enum", []))) for one in (old, new))
    found += [f"{where} lost the value {value}" for value in before - after]
    found += [f"{where} accepts fewer values now"] * (is_sent and bool(after) and not before)
    before, after = old.get("properties", {}), new.get("properties", {})
    found += [f"{where} lost the field {name}" for name in before.keys() - after.keys()]
    newly = set(new.get("required", [])) - set(old.get("required", []))
    missing = set(old.get("required", [])) - set(new.get("required", []))
    found += [f"{where} requires {name} now" for name in (newly if is_sent else [])]
    found += [f"{where} may leave {name} out now" for name in (() if is_sent else missing & after.keys())]
    for word, is_narrower in (("maximum", int.__lt__), ("maxLength", int.__lt__), ("minimum", int.__gt__)):
        if is_sent and word in new and (word not in old or is_narrower(new[word], old[word])):
            found.append(f"{where} has a narrower {word} now")
    for name in before.keys() & after.keys():
        found += _schema(f"{where}.{name}", before[name], after[name], is_sent=is_sent)
    return found


def _sent(document: dict[str, Any]) -> set[str]:
    """The schemas that bodies are made of, at any depth."""
    named: set[str] = set()

    def gather(part: Any) -> None:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in named:
                named.add(name)
                gather(document["components"]["schemas"][name])
            for inner in part.values():
                gather(inner)
        elif isinstance(part, list):
            for inner in part:
                gather(inner)

    for methods in document["paths"].values():
        for operation in methods.values():
            gather(operation.get("requestBody"))
    return named


# -------------------------------------------------------------------------------------------------------------- frozen


def test_nothing_that_programs_rely_on_has_changed():
    found = breaking(json.loads(FROZEN.read_text()), DOCUMENT)

    assert not found, "This breaks programs; what must change so goes into /api/v2:\n" + "\n".join(found)


def test_the_frozen_file_is_the_served_one():
    assert json.loads(FROZEN.read_text()) == DOCUMENT, f"If it only grew, renew the file: {RENEW}"


def _without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(document))
    part = copy
    for name in path[:-1]:
        part = part[name]
    if isinstance(part, list):
        part.remove(path[-1])
    else:
        del part[path[-1]]
    return copy


SCHEMAS = ("components", "schemas")


@pytest.mark.parametrize(
    "path",
    [
        ("paths", "/api/v1/me"),
        ("paths", "/api/v1/orders", "get"),
        ("paths", "/api/v1/orders", "post", "responses", "409"),
        (*SCHEMAS, "OrderAnswer", "properties", "url"),
        (*SCHEMAS, "OrderAnswer", "required", "url"),
        (*SCHEMAS, "OrderBody", "properties", "metadata"),
        (*SCHEMAS, "OrderBody", "properties", "amount_minor", "type"),
        (*SCHEMAS, "OrderBody", "properties", "capture", "enum", "manual"),
        (*SCHEMAS, "ProblemAnswer"),
    ],
    ids="/".join,
)
def test_what_is_taken_away_is_noticed(path):
    assert breaking(DOCUMENT, _without(DOCUMENT, *path))


@pytest.mark.parametrize(
    "path",
    [
        ("paths", "/api/v1/me"),
        ("paths", "/api/v1/orders", "post", "responses", "409"),
        (*SCHEMAS, "OrderAnswer", "properties", "url"),
        (*SCHEMAS, "OrderBody", "properties", "metadata"),
        (*SCHEMAS, "OrderBody", "properties", "capture", "enum", "manual"),
    ],
    ids="/".join,
)
def test_what_is_added_breaks_nobody(path):
    older = _without(DOCUMENT, *path)

    assert not breaking(older, DOCUMENT)


def test_a_field_that_is_required_only_now_is_noticed():
    older = _without(DOCUMENT, *SCHEMAS, "OrderBody", "required", "currency")

    assert breaking(older, DOCUMENT) == ["OrderBody requires currency now"]


# ---------------------------------------------------------------------------------------------------------------- true


@pytest.mark.parametrize("one", operations(), ids=str)
def test_an_operation_says_what_it_needs(one):
    assert one.scope in Scope.values
    assert one.operation["summary"]
    assert {"401", "403", "429"} <= set(one.operation["responses"])
    if one.names:
        assert "404" in one.operation["responses"]


def test_operation_ids_are_unique():
    ids = [one.operation["operationId"] for one in operations()]

    assert len(ids) == len(set(ids))


@pytest.mark.django_db(transaction=True)
def test_other_sites_scripts_get_no_permission(client):
    api = Api(a_merchant())
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answers = [
        client.get("/api/v1/orders", headers={"Authorization": f"Bearer {api.key}", **origin}),
        client.options("/api/v1/orders", headers=origin),
        client.get("/api/v1/openapi.json", headers=origin),
    ]

    assert [answer.status_code for answer in answers] == [200, 405, 200]
    for answer in answers:
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answers[1]["Content-Type"] == "application/problem+json"


# ------------------------------------------------------------------------------------------------------------ readable


def test_the_page_shows_every_operation_and_object(client):
    page = client.get("/api/v1/docs")

    text = page.content.decode()
    assert page.status_code == 200
    assert page["Content-Security-Policy"]
    for one in operations():
        assert f'id="{one.operation["operationId"]}"' in text
        assert one.path in text
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="{name}"' in text
    assert client.post("/api/v1/docs").status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_loads_nothing_from_elsewhere_and_fits(page: Page, live_server, width):
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.set_viewport_size({"width": width, "height": 800})

    page.goto(f"{live_server.url}/api/v1/docs")

    assert not [url for url in asked if not url.startswith(live_server.url)]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    targets = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
    )
    assert targets
    assert page.evaluate("names => names.filter(name => !document.getElementById(name))", targets) == []
