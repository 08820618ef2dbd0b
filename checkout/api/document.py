"""The API's own description: what the framework knows of it, and what it cannot know."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

PROBLEM = "application/problem+json"


@lru_cache(maxsize=1)
def document(api: NinjaAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document: refusals with their media type, and which scope each operation needs."""
    return dict(_Document(api, api.get_root_path({})))


class _Document(OpenAPISchema):
    def responses(self, operation: Operation) -> dict[int, Any]:
        described: dict[int, Any] = super().responses(operation)
        for status_code, response in described.items():
            if status_code >= 400:
                response["content"] = {PROBLEM: response["content"]["application/json"]}
        return described

    def operation_security(self, operation: Operation) -> list[dict[str, Any]] | None:
        """OpenAPI 3.1 lets a bearer key have role names beside it: ours are the key's scopes."""
        super().operation_security(operation)
        return [{type(auth).__name__: [str(auth.scope)]} for auth in operation.auth_callbacks if hasattr(auth, "scope")]

    def _extract_parameters(self, model: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super()._extract_parameters(model)
        for parameter in found:
            schema = parameter["schema"] = _never_null(parameter["schema"])
            if schema.get("type") == "object":
                parameter |= {"style": "deepObject", "explode": True}  # metadata[cart]=7
        return found


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or is left out; there is no way to write null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    kept = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**kept, **kinds[0]}
