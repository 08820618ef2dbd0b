"""A customer's saved cards by API: seen as far as may be shown, and removed."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from checkout.api.access import BearerKey, actor_of, find, key_of
from checkout.api.answers import CardsAnswer, refusals
from checkout.api.questions import Text
from checkout.merchants.models import Scope
from checkout.orders import saved_cards
from checkout.orders.models import SavedCard
from checkout.orders.presentation import saved_card_object

router = Router()


@router.get(
    "/customers/{customer_reference}/cards",
    summary="A customer's saved cards",
    auth=BearerKey(Scope.READ),
    response={200: CardsAnswer, **refusals(401, 403, 404)},
)
def listed(request: HttpRequest, customer_reference: Text) -> HttpResponse:
    """Those that can still be used, the newest first. A customer is whom you call by this reference on orders."""
    key = key_of(request)
    cards = SavedCard.objects.of(key.merchant, key.mode).filter(customer_reference=customer_reference, removed_at=None)
    return JsonResponse({"cards": [saved_card_object(card) for card in cards.select_related("consent")]})


@router.delete(
    "/cards/{card_id}",
    summary="Remove a saved card",
    auth=BearerKey(Scope.CARDS),
    response={204: None, **refusals(401, 403, 404)},
)
def remove(request: HttpRequest, card_id: UUID) -> HttpResponse:
    """It cannot be charged any more from now on; its provider is told to forget it. Twice is as good as once."""
    key = key_of(request)
    saved_cards.remove(find(SavedCard.objects.all(), key, card_id, "saved card"), actor=actor_of(key))
    return HttpResponse(status=204)
