"""What may stand after the question mark. Every parameter has a name that we know, and stands there once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest, QueryDict
from ninja import Schema
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from checkout.api.problems import Problem

_MEMBER = re.compile(r"(?P<name>\w+)\[(?P<key>[^\[\]]*)\]")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Question(Schema):
    """A list's parameters. A parameter that is not among the fields is refused by name, not overlooked."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any, info: ValidationInfo) -> Any:
        # The framework passes on only what it knows, so the request itself is asked.
        asked = parameters(info.context["request"].GET) if info.context else {}
        for name in asked:
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise Problem(422, "unknown_parameter", f"There is no such parameter; there are: {known}.", field=name)
        return given


def parameters(query: QueryDict) -> dict[str, Any]:
    """The query's parameters, those in brackets gathered by name. Raises Problem when one stands there twice."""
    found: dict[str, Any] = {}
    for name, values in query.lists():
        if len(values) > 1:
            raise Problem(422, "invalid_field", "This parameter stands there twice.", field=name)
        member = _MEMBER.fullmatch(name)
        if member is None:
            found[name] = values[0]
        elif isinstance(members := found.setdefault(member["name"], {}), dict):
            members[member["key"]] = values[0]
    return found


def refuse_parameters(request: HttpRequest) -> None:
    """Where there is nothing to ask. Raises Problem."""
    for name in request.GET:
        raise Problem(422, "unknown_parameter", "There are no parameters here.", field=name)


def _moment(given: Any) -> Any:
    """RFC 3339 with its zone, and nothing that merely looks like a time."""
    if not isinstance(given, str) or not _RFC_3339.fullmatch(given):
        raise PydanticCustomError(
            "moment", "Give a time as in RFC 3339, with its zone (2026-11-21T09:30:00Z); a + is written %2B."
        )
    try:
        return datetime.fromisoformat(given.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "There is no such time.") from None


def _storable(text: str) -> str:
    if "\x00" in text:
        raise PydanticCustomError("text", "This cannot be stored, so it cannot be found.")
    return text


Moment = Annotated[
    datetime, BeforeValidator(_moment, json_schema_input_type=datetime), Field(examples=["2026-11-21T09:30:00Z"])
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,50}$")]
