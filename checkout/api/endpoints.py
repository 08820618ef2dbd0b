"""Where events are sent: a shop sets up its own endpoints, sees how telling them goes, and asks for what it missed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import unquote_plus
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import Query, Router
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from checkout.api import idempotency
from checkout.api.access import BearerKey, actor_of, find, key_of
from checkout.api.answers import (
    IDEMPOTENCY_KEY,
    DeliveriesAnswer,
    DeliveryAnswer,
    EndpointAnswer,
    EndpointsAnswer,
    NewEndpointAnswer,
    PingAnswer,
    ReplayAnswer,
    refusals,
)
from checkout.api.bodies import Body
from checkout.api.events import EventId, EventType, uuid_of
from checkout.api.paging import PageQuestion, page
from checkout.api.problems import Problem
from checkout.api.questions import Moment, refuse_parameters
from checkout.events import outbox, wire
from checkout.events.models import Delivery, DeliveryState, Endpoint
from checkout.merchants.models import ApiKey, Scope
from checkout.orders.creation import holds_card_number
from checkout.orders.presentation import timestamp
from checkout.tenancy import TenantQuerySet

router = Router()

TO_READ = refusals(401, 403, 404, 422)
TO_WRITE = refusals(400, 401, 403, 404, 409, 413, 415, 422)
TO_ACT = refusals(400, 401, 403, 404, 409, 413)
AT_MOST = 20
REPLAYED = timedelta(days=30)
"""How far back missed events can be asked for."""


def _reachable(url: str) -> str:
    """What can be seen of an address without calling it; where its name leads is judged at each delivery."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise PydanticCustomError("url", "Give a URL without blanks, backslashes and control characters.")
    try:
        URLValidator(schemes=["http", "https"])(url)
        wire.check_address(url)
    except ValidationError:
        raise PydanticCustomError("url", "Give an absolute URL.") from None
    except wire.AddressRefused as refused:
        raise PydanticCustomError("url", "{why}", {"why": str(refused)}) from None
    if holds_card_number(unquote_plus(url)):
        raise PydanticCustomError("url", "This looks like a card number; card numbers are never stored.")
    return url


Url = Annotated[
    str, StringConstraints(max_length=500), AfterValidator(_reachable), Field(examples=["https://shop.example/events"])
]
Types = Annotated[list[EventType], Field(max_length=100, description="empty: all of them")]


class EndpointBody(Body):
    url: Url
    types: Types = []


class EndpointChange(Body):
    """What is left out stays as it is."""

    url: Url | None = None
    types: Types | None = None
    enabled: bool | None = None


class ReplayBody(Body):
    since: Annotated[Moment, Field(strict=False, description="at most 30 days ago")]


class DeliveriesQuestion(PageQuestion):
    state: DeliveryState | None = None


@router.get(
    "/endpoints",
    summary="List endpoints",
    auth=BearerKey(Scope.READ),
    response={200: EndpointsAnswer, **refusals(401, 403, 422)},
)
def listed(request: HttpRequest) -> HttpResponse:
    """All that were not removed, the oldest first."""
    refuse_parameters(request)
    key = key_of(request)
    return JsonResponse(
        {"endpoints": [endpoint_object(endpoint) for endpoint in _endpoints().of(key.merchant, key.mode)]}
    )


@router.post(
    "/endpoints",
    summary="Add an endpoint",
    auth=BearerKey(Scope.ENDPOINTS),
    response={201: NewEndpointAnswer, **refusals(400, 401, 403, 409, 413, 415, 422)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def add(request: HttpRequest, body: EndpointBody) -> HttpResponse:
    """Its secret is in this one answer and nowhere else; it verifies every event that comes."""
    key = key_of(request)

    def act() -> HttpResponse:
        if _endpoints().of(key.merchant, key.mode).count() >= AT_MOST:
            raise Problem(409, "too_many_endpoints", f"There can be {AT_MOST}; remove one first.")
        endpoint, secret = Endpoint.create_for(key.merchant, key.mode, url=body.url, types=body.types)
        return JsonResponse({**endpoint_object(endpoint), "secret": secret}, status=201)

    return idempotency.once(request, key, act)


@router.get(
    "/endpoints/{endpoint_id}",
    summary="Read an endpoint",
    auth=BearerKey(Scope.READ),
    response={200: EndpointAnswer, **refusals(401, 403, 404)},
)
def read(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    return JsonResponse(endpoint_object(_endpoint(key_of(request), endpoint_id)))


@router.post(
    "/endpoints/{endpoint_id}",
    summary="Change an endpoint, switch it off or on",
    auth=BearerKey(Scope.ENDPOINTS),
    response={200: EndpointAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def change(request: HttpRequest, endpoint_id: UUID, body: EndpointChange) -> HttpResponse:
    """What happens while it is off is not sent by itself afterwards: ask for a replay."""
    key = key_of(request)
    endpoint = _endpoint(key, endpoint_id)

    def act() -> HttpResponse:
        changes = {name: value for name, value in body.model_dump().items() if value is not None}
        if "enabled" in changes:
            changes["disabled_why"] = "" if body.enabled else "it was switched off"
        for name, value in changes.items():
            setattr(endpoint, name, value)
        endpoint.save(update_fields=tuple(changes))
        return JsonResponse(endpoint_object(endpoint))

    return idempotency.once(request, key, act)


@router.delete(
    "/endpoints/{endpoint_id}",
    summary="Remove an endpoint",
    auth=BearerKey(Scope.ENDPOINTS),
    response={204: None, **refusals(401, 403, 404)},
)
def remove(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """It hears of nothing ever after. Twice is as good as once."""
    find(Endpoint.objects.all(), key_of(request), endpoint_id, "endpoint").end()
    return HttpResponse(status=204)


@router.post(
    "/endpoints/{endpoint_id}/rotate",
    summary="Make a new secret",
    auth=BearerKey(Scope.ENDPOINTS),
    response={200: NewEndpointAnswer, **TO_ACT},
    openapi_extra=IDEMPOTENCY_KEY,
)
def rotate(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """It is in this one answer and nowhere else; the one before signs too for 24 hours. Send an Idempotency-Key."""
    key = key_of(request)
    endpoint = _endpoint(key, endpoint_id)

    def act() -> HttpResponse:
        secret = endpoint.rotate()
        return JsonResponse({**endpoint_object(endpoint), "secret": secret})

    return idempotency.once(request, key, act)


@router.post(
    "/endpoints/{endpoint_id}/ping",
    summary="Try an endpoint",
    auth=BearerKey(Scope.ENDPOINTS),
    response={200: PingAnswer, **TO_ACT},
    openapi_extra=IDEMPOTENCY_KEY,
)
def ping(request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
    """Send a signed event of type ``ping`` now, even to one that is switched off, and tell what came back."""
    key = key_of(request)
    endpoint = _endpoint(key, endpoint_id)

    def act() -> HttpResponse:
        answer, took = outbox.ping(endpoint)
        return JsonResponse(
            {
                "is_success": answer.is_success,
                "answer_status": answer.status_code,
                "answer": answer.text,
                "latency_ms": took,
            }
        )

    return idempotency.once_outside(request, key, act)


@router.post(
    "/endpoints/{endpoint_id}/replay",
    summary="Send what an endpoint missed",
    auth=BearerKey(Scope.ENDPOINTS),
    response={200: ReplayAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def replay(request: HttpRequest, endpoint_id: UUID, body: ReplayBody) -> HttpResponse:
    """Every event since then that it wants and did not confirm. ``is_complete`` false: ask again for the rest."""
    key = key_of(request)
    endpoint = _endpoint(key, endpoint_id)
    if body.since < timezone.now() - REPLAYED:
        raise Problem(422, "invalid_field", "Events are sent again for 30 days.", field="since")

    def act() -> HttpResponse:
        try:
            queued, is_complete = outbox.replay(endpoint, since=body.since)
        except outbox.EndpointDisabled:
            raise _disabled() from None
        return JsonResponse({"queued": queued, "is_complete": is_complete})

    return idempotency.once(request, key, act)


@router.get(
    "/endpoints/{endpoint_id}/deliveries",
    summary="See how telling an endpoint goes",
    auth=BearerKey(Scope.READ),
    response={200: DeliveriesAnswer, **TO_READ},
)
def deliveries(request: HttpRequest, endpoint_id: UUID, question: Query[DeliveriesQuestion]) -> HttpResponse:
    """One for each event, with the last answer that came; those queued last come first."""
    rows = _deliveries(_endpoint(key_of(request), endpoint_id))
    if question.state:
        rows = rows.filter(state=question.state)
    return page(request, "deliveries", rows, question, delivery_object, by="")


@router.post(
    "/endpoints/{endpoint_id}/deliveries/{event_id}/redeliver",
    summary="Send one event again",
    auth=BearerKey(Scope.ENDPOINTS),
    response={200: DeliveryAnswer, **TO_ACT},
    openapi_extra=IDEMPOTENCY_KEY,
)
def redeliver(request: HttpRequest, endpoint_id: UUID, event_id: EventId) -> HttpResponse:
    """Same id and body, signed with today's secret; within seconds, heard before or not."""
    key = key_of(request)
    delivery = _deliveries(_endpoint(key, endpoint_id)).filter(event__public_id=uuid_of(event_id)).first()
    if delivery is None:
        raise Problem(404, "not_found", "There is no such delivery.")

    def act() -> HttpResponse:
        try:
            outbox.redeliver(delivery, actor=actor_of(key))
        except outbox.EndpointDisabled:
            raise _disabled() from None
        return JsonResponse(delivery_object(delivery))

    return idempotency.once(request, key, act)


def endpoint_object(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": str(endpoint.public_id),
        "url": endpoint.url,
        "types": endpoint.types,
        "enabled": endpoint.enabled,
        "disabled_why": endpoint.disabled_why,
        "rotated_at": timestamp(endpoint.rotated_at) if endpoint.rotated_at else None,
        "created_at": timestamp(endpoint.created_at),
    }


def delivery_object(delivery: Delivery) -> dict[str, Any]:
    return {
        "event": outbox.message_id(delivery.event),
        "type": delivery.event.type,
        "order": str(delivery.event.order.public_id),
        "state": delivery.state,
        "tries": delivery.tries,
        "answer_status": delivery.answer_status,
        "answer": delivery.answer,
        "latency_ms": delivery.latency_ms,
        "sent_at": timestamp(delivery.sent_at) if delivery.sent_at else None,
        "next_try_at": timestamp(delivery.due_at) if delivery.due_at else None,
        "asked_by": delivery.asked_by,
    }


def _endpoints() -> TenantQuerySet[Endpoint]:
    return Endpoint.objects.filter(ended_at=None)


def _endpoint(key: ApiKey, endpoint_id: UUID) -> Endpoint:
    return find(_endpoints(), key, endpoint_id, "endpoint")


def _deliveries(endpoint: Endpoint) -> QuerySet[Delivery]:
    return Delivery.objects.filter(endpoint=endpoint).select_related("event__order", "endpoint")


def _disabled() -> Problem:
    return Problem(409, "endpoint_disabled", "This endpoint is switched off. Switch it on first.")
