"""Lists page by page, the newest first. A page goes on exactly where the last one ended, whatever came in meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from django.db import models
from django.http import HttpRequest, JsonResponse
from pydantic import Field

from checkout.api.access import key_of
from checkout.api.problems import Problem
from checkout.api.questions import Question
from checkout.sealing import SealBroken, seal, unseal

Row = TypeVar("Row", bound=models.Model)

AT_MOST = 100


class PageQuestion(Question):
    """What every list can be asked."""

    cursor: Annotated[
        str, Field(max_length=1000, description="`next_cursor` of the page before, with the same filters")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=AT_MOST, description="how many at most")] = 25


def page(
    request: HttpRequest,
    name: str,
    rows: models.QuerySet[Row],
    question: PageQuestion,
    show: Callable[[Row], dict[str, Any]],
    *,
    by: str = "created_at",
) -> JsonResponse:
    """One page of ``rows`` as ``{name: […], "next_cursor": …}``, by the time in ``by``, if any, and by primary key.

    The cursor is sealed: it opens only for this list, merchant, mode and these filters. Raises Problem.
    """
    context = _context(request, name, question)
    if question.cursor:
        moment, pk = _opened(question.cursor, context)
        # Not "earlier, or as early and …": a range at the start lets the database begin in the middle of its index.
        rows = (
            rows.filter(**{f"{by}__lte": moment}).exclude(**{by: moment, "pk__gte": pk})
            if by
            else rows.filter(pk__lt=pk)
        )
    order = (f"-{by}", "-pk") if by else ("-pk",)
    found = list(rows.order_by(*order)[: question.limit + 1])
    shown, is_last = found[: question.limit], len(found) <= question.limit
    next_cursor = None if is_last else _sealed(shown[-1], by, context)
    return JsonResponse({name: [show(row) for row in shown], "next_cursor": next_cursor})


def _sealed(row: models.Model, by: str, context: str) -> str:
    return seal(json.dumps([getattr(row, by).isoformat() if by else "", row.pk]), context=context).decode()


def _opened(cursor: str, context: str) -> tuple[datetime | None, int]:
    try:
        moment, pk = json.loads(unseal(cursor.encode(), context=context))
    except SealBroken:
        detail = "Use next_cursor as it came, with the filters that it came with."
        raise Problem(422, "invalid_field", detail, field="cursor") from None
    return datetime.fromisoformat(moment) if moment else None, int(pk)


def _context(request: HttpRequest, name: str, question: PageQuestion) -> str:
    key = key_of(request)
    filters = question.model_dump_json(exclude={"cursor", "limit"})
    digest = hashlib.sha256(f"{request.path} {filters}".encode()).hexdigest()
    return f"cursor:{name}:{key.merchant_id}:{key.mode}:{digest}"
