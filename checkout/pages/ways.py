"""The ways to pay that one order's page offers: methods, one card form, saved cards, and how many codes are left."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext

from checkout.orders import gateway, operations, saved_cards
from checkout.orders.models import Order, Payment, SavedCard
from checkout.orders.operations import Offer
from checkout.pages import texts
from providers.contract import Capability, LeadsTo, Method


@dataclass(frozen=True)
class SavedWay:
    """A saved card and the offer by which it pays."""

    card: SavedCard
    offer: Offer


@dataclass(frozen=True)
class Ways:
    """What can be chosen. Of several card methods only the first is a form on the page."""

    order: Order
    card: Offer | None
    others: tuple[Offer, ...]
    saved: tuple[SavedWay, ...]

    @classmethod
    def of(cls, order: Order) -> Ways:
        offers = operations.offers(order)
        forms = [offer for offer in offers if offer.takes_card] if settings.CARD_FORM else []
        kept = [(card, operations.offer_for(card, order)) for card in saved_cards.usable(order)]
        return cls(
            order=order,
            card=forms[0] if forms else None,
            others=tuple(offer for offer in offers if not offer.takes_card),
            saved=tuple(SavedWay(card, offer) for card, offer in kept if offer),
        )

    @property
    def offers(self) -> tuple[Offer, ...]:
        return (*self.others, *((self.card,) if self.card else ()))

    @property
    def can_keep_card(self) -> bool:
        """Whether a typed card can be kept: one switch for showing the box and for heeding it."""
        if self.card is None or not saved_cards.can_be_kept(self.order):
            return False
        return Capability.SAVE_CARD in gateway.provider_class(self.card.account.provider).capabilities

    @property
    def now(self) -> Ways:
        """What can be chosen at this moment: nothing that would need an SMS which may no longer be sent."""
        leading = (*self.offers, *(way.offer for way in self.saved))
        if not any(sends_code(offer) for offer in leading) or operations.codes_left(self.order):
            return self
        return dataclasses.replace(
            self,
            card=self.card if self.card and not sends_code(self.card) else None,
            others=tuple(offer for offer in self.others if not sends_code(offer)),
            saved=tuple(way for way in self.saved if not sends_code(way.offer)),
        )

    def offer(self, code: str) -> Offer | None:
        return next((offer for offer in self.offers if offer.code == code), None)

    def saved_way(self, public_id: str) -> SavedWay | None:
        """A saved card by the id in its form: only this order's own customer's cards are looked through."""
        return next((way for way in self.saved if str(way.card.public_id) == public_id), None)

    def again(self, payment: Payment) -> Offer | None:
        """The way by which this payment was started, if it is still offered."""
        return self.offer(f"{payment.account_id}:{payment.method}")


def sends_code(offer: Offer) -> bool:
    return offer.method.leads_to is LeadsTo.CODE


def method_of(payment: Payment) -> Method:
    """What a payment was started by; a bare one when its provider has dropped it since."""
    methods = gateway.provider_class(payment.account.provider).methods
    return next((method for method in methods if method.code == payment.method), Method(payment.method))


def labelled(offers: tuple[Offer, ...]) -> list[dict[str, object]]:
    """Each offer with its texts; two that read the same say whose they are."""
    found = [(offer, texts.method(offer.method)) for offer in offers]
    often = Counter(str(text.label) for _, text in found)
    return [
        {"code": offer.code, "method": offer.method, "text": text if often[str(text.label)] == 1 else _by(offer, text)}
        for offer, text in found
    ]


def _by(offer: Offer, text: texts.MethodText) -> texts.MethodText:
    names = {"name": text.label, "provider": gateway.provider_class(offer.account.provider).name}
    return dataclasses.replace(text, label=gettext("%(name)s, by %(provider)s") % names)
