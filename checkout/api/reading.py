"""The API's description for people: the OpenAPI document turned into what a page shows, whatever it describes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class Field:
    name: str
    kind: str
    is_required: bool
    description: str
    link: str = ""
    """The schema that it is made of, if it has a name."""


@dataclass(frozen=True)
class Answered:
    status: str
    phrase: str
    link: str


@dataclass(frozen=True)
class Described:
    id: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: list[Field]
    body: list[Field]
    example: str
    answers: list[Answered]
    refusals: str


@dataclass(frozen=True)
class Shape:
    name: str
    description: str
    fields: list[Field]
    values: list[str]
    """What it can be, if it is a word out of a list."""


def chapters(document: dict[str, Any]) -> dict[str, list[Described]]:
    """Operations by their tag, in the order of the document."""
    found: dict[str, list[Described]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append(_described(document, path, method, operation))
    return found


def shapes(document: dict[str, Any]) -> list[Shape]:
    """What answers and bodies are made of."""
    return [
        Shape(name, _sentence(schema), _fields(schema), schema.get("enum", []))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]


def _described(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Described:
    body = _resolved(document, _json(operation.get("requestBody", {})))
    statuses = {str(status): answer for status, answer in operation["responses"].items()}
    return Described(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=_sentence(operation),
        scope=operation["security"][0]["BearerKey"][0],
        parameters=[
            Field(one["name"], _kind(one["schema"]), one["required"], _sentence(one), _name(one["schema"]))
            for one in operation["parameters"]
        ],
        body=_fields(body),
        example=json.dumps(_example(document, body), indent=2) if body else "",
        answers=[
            Answered(status, HTTPStatus(int(status)).phrase, _name(_json(answer)))
            for status, answer in statuses.items()
            if status < "400"
        ],
        refusals=", ".join(status for status in sorted(statuses) if status >= "400"),
    )


def _json(part: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][_name(schema)] if "$ref" in schema else schema
    return found


def _fields(schema: dict[str, Any]) -> list[Field]:
    required = schema.get("required", [])
    return [
        Field(name, _kind(one), name in required, _sentence(one), _name(one) or _name(one.get("items", {})))
        for name, one in schema.get("properties", {}).items()
    ]


def _name(schema: dict[str, Any]) -> str:
    """The name of the schema that this one refers to; empty when it refers to none, or to several."""
    references = [one["$ref"] for one in (schema, *schema.get("anyOf", [])) if "$ref" in one]
    return references[0].rpartition("/")[2] if len(references) == 1 else ""


def _kind(schema: dict[str, Any]) -> str:
    """What a value looks like, in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return _name(schema)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "anything"))


def _sentence(schema: dict[str, Any]) -> str:
    """Its description without the marks that stand for code."""
    return " ".join(str(schema.get("description", "")).replace("`", "").split())


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A body of what is required, made of the examples that stand beside each field."""
    return {
        name: one["examples"][0] if "examples" in one else f"<{_kind(one)}>"
        for name, one in _resolved(document, schema).get("properties", {}).items()
        if name in schema.get("required", []) or "examples" in one
    }
