"""Who a key is: the first thing that a new integration asks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from checkout.api.access import BearerKey, key_of
from checkout.api.answers import MeAnswer, refusals
from checkout.merchants.models import ProviderAccount, Scope
from checkout.orders import gateway
from checkout.orders.presentation import timestamp

router = Router()


@router.get(
    "/me",
    summary="Who this key is",
    auth=BearerKey(Scope.READ),
    response={200: MeAnswer, **refusals(401, 403)},
)
def read(request: HttpRequest) -> HttpResponse:
    """Merchant and mode, the key's scopes, and the ways to pay that its orders are offered."""
    key = key_of(request)
    accounts = ProviderAccount.objects.of(key.merchant, key.mode).filter(enabled=True)
    return JsonResponse(
        {
            "merchant": {"slug": key.merchant.slug, "name": key.merchant.name},
            "mode": key.mode,
            "key": {
                "name": key.name,
                "prefix": key.prefix,
                "scopes": key.scopes,
                "created_at": timestamp(key.created_at),
            },
            "accounts": [_account(account) for account in accounts if account.provider in gateway.catalogue()],
        }
    )


def _account(account: ProviderAccount) -> dict[str, Any]:
    methods = gateway.provider_class(account.provider).methods
    return {
        "name": account.name,
        "provider": account.provider,
        "methods": [one.code for one in methods if one.code in account.methods or not (account.methods or one.opt_in)],
        "currencies": account.currencies,
    }
