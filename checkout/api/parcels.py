"""Parcels by API: the merchant's at once; what became of telling the provider stands with them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router
from pydantic import Field, StringConstraints

from checkout.api import idempotency
from checkout.api.access import BearerKey, actor_of, find, key_of
from checkout.api.answers import IDEMPOTENCY_KEY, ShipmentAnswer, refusals
from checkout.api.bodies import Body
from checkout.api.problems import Problem
from checkout.merchants.models import Scope
from checkout.orders import shipping
from checkout.orders.models import Order, Shipment
from checkout.orders.presentation import shipment_object

router = Router()
TO_WRITE = refusals(400, 401, 403, 404, 409, 413, 415, 422)


class ShipmentBody(Body):
    carrier: Annotated[str, StringConstraints(max_length=60), Field(examples=["UPS"])]
    number: Annotated[str, StringConstraints(max_length=64), Field(examples=["1Z999AA10123456784"])]
    shipped_on: Annotated[date, Field(strict=False, examples=["2026-11-21"])]
    direction: Literal["forward", "return"] = "forward"
    url: Annotated[str, StringConstraints(max_length=500)] = ""


class ShipmentChange(Body):
    status: Literal["delivered", "cancelled"]


@router.post(
    "/orders/{order_id}/shipments",
    summary="Add a parcel",
    auth=BearerKey(Scope.SHIPMENTS),
    response={201: ShipmentAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def add(request: HttpRequest, order_id: UUID, body: ShipmentBody) -> HttpResponse:
    """The same carrier and number again is the parcel that is there."""
    key = key_of(request)
    order = find(Order.objects.select_related("merchant"), key, order_id, "order")

    def act() -> HttpResponse:
        shipment = shipping.add(order, **body.model_dump(), actor=actor_of(key))
        return JsonResponse(shipment_object(shipment), status=201)

    return idempotency.once(request, key, act)


@router.post(
    "/shipments/{shipment_id}",
    summary="Say that a parcel arrived, or is none any more",
    auth=BearerKey(Scope.SHIPMENTS),
    response={200: ShipmentAnswer, **TO_WRITE},
    openapi_extra=IDEMPOTENCY_KEY,
)
def change(request: HttpRequest, shipment_id: UUID, body: ShipmentChange) -> HttpResponse:
    key = key_of(request)
    shipment = find(Shipment.objects.select_related("order__merchant"), key, shipment_id, "shipment")

    def act() -> HttpResponse:
        try:
            changed = shipping.change(shipment, status=body.status, actor=actor_of(key))
        except shipping.InvalidShipment as error:
            raise Problem(409, "shipment_ended", str(error), field=error.field) from None
        return JsonResponse(shipment_object(changed))

    return idempotency.once(request, key, act)
