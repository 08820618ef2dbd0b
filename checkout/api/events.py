"""Events by API: for whoever cannot be called, was away, or doubts what it heard."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Query, Router
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from checkout.api.access import BearerKey, find, key_of
from checkout.api.answers import EventAnswer, EventsAnswer, refusals
from checkout.api.paging import PageQuestion, page
from checkout.api.questions import Moment
from checkout.events import outbox
from checkout.merchants.models import Scope
from checkout.orders.models import Event
from checkout.orders.timeline import PUBLIC
from checkout.tenancy import TenantQuerySet

router = Router()


def _public(name: str) -> str:
    if name not in PUBLIC:
        raise PydanticCustomError("event_type", "There is no such event.")
    return name


EventType = Annotated[str, AfterValidator(_public), Field(json_schema_extra={"enum": sorted(PUBLIC)})]
EventId = Annotated[
    str,
    StringConstraints(pattern=r"^evt_[0-9a-f]{32}$"),
    Field(examples=["evt_5d1f0c3a6f7b4c0e9d2a8b1c4e5f6a7b"]),
]


class EventsQuestion(PageQuestion):
    order: UUID | None = None
    type: EventType | None = None
    since: Annotated[Moment | None, Field(description="at this time or later")] = None


@router.get(
    "/events",
    summary="List events",
    auth=BearerKey(Scope.READ),
    response={200: EventsAnswer, **refusals(401, 403, 422)},
)
def listed(request: HttpRequest, question: Query[EventsQuestion]) -> HttpResponse:
    """The newest first. Each comes without its order: read it alone for the order as it is now."""
    key = key_of(request)
    wanted = {
        "order__public_id": question.order,
        "type": question.type,
        "created_at__gte": question.since,
    }
    rows = (
        _events()
        .of(key.merchant, key.mode)
        .filter(**{field: value for field, value in wanted.items() if value is not None})
    )
    return page(request, "events", rows, question, outbox.facts)


@router.get(
    "/events/{event_id}",
    summary="Read an event",
    auth=BearerKey(Scope.READ),
    response={200: EventAnswer, **refusals(401, 403, 404)},
)
def read(request: HttpRequest, event_id: EventId) -> HttpResponse:
    """As endpoints hear it, with the order as it is now. A lower ``sequence`` is older news of the same order."""
    event = find(_events().select_related("order__merchant"), key_of(request), uuid_of(event_id), "event")
    return JsonResponse(outbox.payload(event))


def uuid_of(event_id: str) -> UUID:
    return UUID(event_id.removeprefix("evt_"))


def _events() -> TenantQuerySet[Event]:
    return Event.objects.filter(type__in=PUBLIC).select_related("order", "payment")
