"""Cards that shoppers let a merchant keep: a recorded yes first, a token from proof, and use only where both belong.

A card belongs to one merchant, one mode, one customer and one provider account. The provider keeps the number; we keep
its token, sealed, and what a person needs to tell cards apart.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from checkout.orders import gateway
from checkout.orders.models import Consent, Order, Payment, SavedCard, scope_of
from checkout.orders.schedule import wait
from checkout.sealing import seal, unseal
from checkout.work import nudge
from providers.contract import Capability, CardFacts, PaymentReport, ProviderError, Purpose, Rejected, StoredCard

logger = logging.getLogger(__name__)

REVOKE: Sequence[timedelta] = tuple(timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 1440, 1440))
"""Waits between attempts to have a provider forget a card."""


@dataclass(frozen=True)
class Agreement:
    """What a shopper said yes to, and where from."""

    wording: str
    """The version of the sentence that stood beside the box."""
    language: str
    ip: str = ""
    purpose: Purpose = Purpose.UNSCHEDULED


def can_be_kept(order: Order) -> bool:
    """Whether a card can be kept for this order's customer: only one whom the merchant has a name for."""
    return bool(order.customer.get("reference"))


def record_consent(order: Order, agreement: Agreement) -> Consent:
    """Write the yes down, in the transaction of the attempt that it came with."""
    return Consent.objects.create(
        **scope_of(order),
        order=order,
        customer_reference=order.customer["reference"],
        purpose=agreement.purpose,
        wording=agreement.wording,
        language=agreement.language,
        ip=agreement.ip or None,
    )


def usable(order: Order) -> list[SavedCard]:
    """This order's customer's cards that can pay it, the newest first."""
    if not can_be_kept(order):
        return []
    mine = SavedCard.objects.of(order.merchant, order.mode).filter(
        customer_reference=order.customer["reference"], removed_at=None, account__enabled=True
    )
    return [card for card in mine.select_related("account") if not has_expired(card) and _pays(card, order)]


def has_expired(card: SavedCard) -> bool:
    """A card is good until the end of the month that is printed on it; one without a date is left to its issuer."""
    month, _, year = card.expiry.partition("/")
    today = timezone.now().date()
    return bool(month and year) and (int(year), int(month)) < (today.year, today.month)


def keep(payment: Payment, report: PaymentReport) -> None:
    """Keep the token of a verified report, if the shopper agreed to it in this very attempt and nobody ended that."""
    consent = payment.consent
    last4 = (report.card.last4 if report.card else "") or payment.card_last4
    if not report.token or consent is None or consent.ended_at or not last4:
        return
    digest = salted_hmac("paydesk.saved_card", report.token, algorithm="sha256").hexdigest()
    card = SavedCard(
        **scope_of(payment),
        account=payment.account,
        customer_reference=consent.customer_reference,
        payer=payment.payer,
        consent=consent,
        token_digest=digest,
        brand=(report.card.brand if report.card else "") or payment.card_brand,
        last4=last4[:4],
        expiry=expiry_of(report.card) or payment.card_expiry,
        currency=payment.currency,
    )
    card.sealed_token = seal(json.dumps([report.token, report.network_transaction_id]), context=_context(card))
    try:
        with transaction.atomic():
            card.save()
    except IntegrityError:
        return  # told again


def expiry_of(card: CardFacts | None) -> str:
    """``MM/YYYY``, or nothing where the provider does not say."""
    if card is None or not card.expiry_month or not card.expiry_year:
        return ""
    return f"{card.expiry_month:02d}/{card.expiry_year}"


def stored_card(card: SavedCard, *, cvc: str = "") -> StoredCard:
    """What a provider needs to charge it. Raises SealBroken."""
    token, network_transaction_id = json.loads(unseal(card.sealed_token, context=_context(card)))
    month, _, year = card.expiry.partition("/")
    return StoredCard(
        token=token,
        expiry_month=int(month or 0),
        expiry_year=int(year or 0),
        currency=card.currency,
        network_transaction_id=network_transaction_id,
        cvc=cvc,
    )


def remove(card: SavedCard, *, actor: str) -> bool:
    """End a card's use here and now, and have the provider forget it where it can; False when it was over before."""
    now = timezone.now()
    with transaction.atomic():
        forgets = _has(card, Capability.REMOVE_CARD)
        ended = SavedCard.objects.filter(pk=card.pk, removed_at=None).update(
            removed_at=now, removed_by=actor[:80], due_at=now if forgets else None
        )
        if ended:
            Consent.objects.filter(pk=card.consent_id, ended_at=None).update(ended_at=now)
            nudge("saved_cards", card.pk)
    return bool(ended)


def revoke_due(pk: int) -> None:
    """Have a provider forget a removed card; what its queue calls."""
    card = SavedCard.objects.select_related("account").get(pk=pk)
    if not card.removed_at or card.revoked_at:
        SavedCard.objects.filter(pk=pk).update(due_at=None)
        return
    try:
        provider = gateway.connect(card.account)
        gateway.release_connection()
        provider.remove_card(stored_card(card), payer=card.payer)
    except (ProviderError, gateway.AccountUnusable) as error:
        logger.warning("card_not_revoked card=%s error=%s", pk, type(error).__name__)
        delay = None if isinstance(error, Rejected) else wait(REVOKE, card.tries)
        due_at = timezone.now() + delay if delay else None
        SavedCard.objects.filter(pk=pk).update(tries=card.tries + 1, due_at=due_at)
    else:
        SavedCard.objects.filter(pk=pk).update(tries=card.tries + 1, due_at=None, revoked_at=timezone.now())


def _pays(card: SavedCard, order: Order) -> bool:
    if not _has(card, Capability.PAY_WITH_TOKEN):
        return False
    return card.currency == order.currency or not _has(card, Capability.TOKEN_KEEPS_CURRENCY)


def _has(card: SavedCard, capability: Capability) -> bool:
    known = gateway.catalogue().get(card.account.provider)
    return known is not None and capability in known.capabilities


def _context(card: SavedCard) -> str:
    return f"saved_card:{card.public_id}"
