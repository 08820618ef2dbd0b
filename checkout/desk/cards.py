"""Saved cards on an order's page: what the shopper agreed to, and an end to it when the shopper asks for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk.access import Act
from checkout.desk.actions import ConfirmForm, Deed, Said
from checkout.orders import saved_cards
from checkout.orders.models import Order, SavedCard

PURPOSES = {
    "recurring": _("for regular payments"),
    "instalment": _("for instalments"),
    "unscheduled": _("for later purchases"),
}


def cards_of(order: Order) -> QuerySet[SavedCard]:
    """The cards of this order's customer, and those that this very order saved or was paid with; newest first."""
    cards = SavedCard.objects.of(order.merchant, order.mode)
    theirs = Q(consent__order=order) | Q(pk__in=order.payments.exclude(saved_card=None).values("saved_card_id"))
    if saved_cards.can_be_kept(order):
        theirs |= Q(customer_reference=order.customer["reference"])
    return cards.filter(theirs).select_related("account", "consent__order").order_by("-pk")


def state(card: SavedCard) -> str:
    """The word of its pill."""
    if card.removed_at:
        return "removed"
    return "expired" if saved_cards.has_expired(card) else "usable"


class RemoveCard(Deed):
    name, act, on = "remove-card", Act.FORGET_CARD, SavedCard
    label, title, button = _("Remove…"), _("Remove a saved card"), _("Remove the card")
    is_danger = True

    def is_offered(self, target: SavedCard) -> bool:
        return target.removed_at is None

    def form(self, target: SavedCard, data: Any = None) -> forms.Form:
        return ConfirmForm(data)

    def effect(self, target: SavedCard) -> str:
        return gettext(
            "The card pays nothing any more, from now on, and %(provider)s is asked to forget it where it can. "
            "The shopper would have to save it anew."
        ) % {"provider": target.account.name}

    def facts(self, target: SavedCard) -> Iterable[tuple[Any, Any]]:
        yield _("Card"), f"{target.brand.capitalize()} •••• {target.last4}".strip()
        yield _("Customer"), target.customer_reference

    def perform(self, target: SavedCard, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        if saved_cards.remove(target, actor=actor):
            return messages.SUCCESS, gettext("The card is removed.")
        return messages.WARNING, gettext("Somebody else removed this card before.")


DEEDS: tuple[Deed, ...] = (RemoveCard(),)
