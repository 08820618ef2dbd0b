"""The URLs that an order or an account is known by outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core import signing

from checkout.orders.models import Order, Payment

if TYPE_CHECKING:
    from checkout.merchants.models import ProviderAccount

_SALT = "paydesk.return"


def page_url(order: Order) -> str:
    """Where the shopper pays."""
    return f"{settings.BASE_URL}/pay/{order.page_token}"


def return_url(payment: Payment) -> str:
    """Where a provider sends the browser back to. It names the payment and proves nothing about money."""
    return f"{settings.BASE_URL}/return/{return_token(payment)}"


def return_token(payment: Payment) -> str:
    return signing.Signer(salt=_SALT).sign(payment.public_id.hex)


def read_return_token(text: str) -> Payment | None:
    """The payment that a return token names; None when the token is not ours."""
    try:
        public_id = signing.Signer(salt=_SALT).unsign(text)
    except signing.BadSignature:
        return None
    return Payment.objects.select_related("order__merchant", "account").filter(public_id=public_id).first()


def webhook_url(account: ProviderAccount) -> str:
    """Where a provider sends this account's webhooks."""
    return f"{settings.BASE_URL}/hooks/{account.provider}/{account.webhook_id}/"
