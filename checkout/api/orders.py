"""Orders by API: created at once and without any provider, found again, read truly, called off."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, Func, OuterRef, TextField, Value
from django.db.models.lookups import Exact
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Query, Router
from pydantic import Field, StringConstraints

from checkout.api import idempotency
from checkout.api.access import BearerKey, actor_of, find, key_of
from checkout.api.answers import IDEMPOTENCY_KEY, OrderAnswer, OrdersAnswer, refusals
from checkout.api.bodies import OrderBody
from checkout.api.paging import PageQuestion, page
from checkout.api.questions import Moment, Name, Text
from checkout.merchants.models import ApiKey, ProviderAccount, Scope
from checkout.orders import operations
from checkout.orders.creation import MAX_METADATA_KEYS, create_order
from checkout.orders.models import Order, OrderStatus, Payment
from checkout.orders.presentation import order_facts, order_object

router = Router()

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]
MetadataValue = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


class OrdersQuestion(PageQuestion):
    reference: Annotated[Text | None, Field(description="exactly this one of yours")] = None
    status: OrderStatus | None = None
    provider: Annotated[Name | None, Field(description="at least one attempt went there")] = None
    created_from: Annotated[Moment | None, Field(description="at this time or later")] = None
    created_to: Annotated[Moment | None, Field(description="before this time")] = None
    metadata: Annotated[
        dict[MetadataKey, MetadataValue] | None,
        Field(description="`metadata[cart]=7`; each given one must be equal", max_length=MAX_METADATA_KEYS),
    ] = None


@router.post(
    "/orders",
    summary="Create an order",
    auth=BearerKey(Scope.ORDERS),
    response={201: OrderAnswer, **refusals(400, 401, 403, 409, 413, 415, 422)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def create(request: HttpRequest, body: OrderBody) -> HttpResponse:
    """Save an order and answer with the URL where it is paid. No provider is called."""
    key = key_of(request)

    def act() -> HttpResponse:
        fields = body.model_dump(exclude={"customer", "billing", "shipping"})
        people = {
            name: given.model_dump()
            for name in ("customer", "billing", "shipping")
            if (given := getattr(body, name)) is not None
        }
        order = create_order(key.merchant, key.mode, **fields, **people, actor=actor_of(key))
        return JsonResponse(order_object(order), status=201)

    return idempotency.once(request, key, act)


@router.get(
    "/orders",
    summary="List orders",
    auth=BearerKey(Scope.READ),
    response={200: OrdersAnswer, **refusals(401, 403, 422)},
)
def listed(request: HttpRequest, question: Query[OrdersQuestion]) -> HttpResponse:
    """The newest first. Each comes without its payments, parcels and actions: read it alone for those."""
    key = key_of(request)
    wanted: dict[str, Any] = {
        "reference": question.reference,
        "status": question.status,
        "created_at__gte": question.created_from,
        "created_at__lt": question.created_to,
    }
    orders = Order.objects.of(key.merchant, key.mode).filter(
        **{field: value for field, value in wanted.items() if value is not None}
    )
    for name, value in (question.metadata or {}).items():
        orders = orders.filter(Exact(_metadata(name), value))
    if question.provider:
        accounts = ProviderAccount.objects.of(key.merchant, key.mode).filter(provider=question.provider)
        payments = Payment.objects.filter(order=OuterRef("pk"), account__in=list(accounts.values_list("pk", flat=True)))
        orders = orders.filter(Exists(payments))
    return page(request, "orders", orders, question, order_facts)


@router.get(
    "/orders/{order_id}",
    summary="Read an order",
    auth=BearerKey(Scope.READ),
    response={200: OrderAnswer, **refusals(401, 403, 404)},
)
def read(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The order as it is committed now."""
    return JsonResponse(order_object(order_of(key_of(request), order_id)))


@router.post(
    "/orders/{order_id}/cancel",
    summary="Cancel an order",
    auth=BearerKey(Scope.ORDERS),
    response={200: OrderAnswer, **refusals(400, 401, 403, 404, 409, 413)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def cancel(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """No longer to be paid; held money is let go. Cancelling twice is as good as once."""
    key = key_of(request)
    order = order_of(key, order_id)

    def act() -> HttpResponse:
        return JsonResponse(order_object(operations.cancel_order(order, actor=actor_of(key))))

    return idempotency.once_outside(request, key, act)


def order_of(key: ApiKey, order_id: UUID) -> Order:
    return find(Order.objects.select_related("merchant"), key, order_id, "order")


def _metadata(name: str) -> Func:
    """One text of the metadata. Django's own look-up takes "7" for a place in a list and "a__gt" for a comparison."""
    if connection.vendor == "postgresql":
        return Func(
            F("metadata"), Value(name), template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField()
        )
    path = Value(f"$.{json.dumps(name)}")
    return Func(F("metadata"), path, function="JSON_EXTRACT", output_field=TextField())
