"""One button that gives an order's money back: release what is held, refund what was taken, and say which first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk.access import Act
from checkout.desk.actions import Deed, Said, payer, refusal, said
from checkout.desk.show import plain_money
from checkout.orders import intents, operations
from checkout.orders.actions import Verb, of_payment
from checkout.orders.models import Order, Payment


@dataclass(frozen=True)
class Move:
    """What giving back means for one payment."""

    verb: Verb
    payment: Payment
    amount: int

    def __str__(self) -> str:
        return f"{self.payment.pk}:{self.verb}:{self.amount}"


def moves(order: Order) -> list[Move]:
    """What would return all of this order's money now, as far as its providers can do it."""
    found = []
    for payment in order.payments.select_related("account"):
        payment.order = order
        possible = {action.verb: action for action in of_payment(payment)}
        action = possible.get(Verb.RELEASE) or possible.get(Verb.REFUND)
        if action and action.maximum:
            found.append(Move(action.verb, payment, action.maximum))
    return found


def left_over(order: Order, planned: list[Move]) -> Iterable[tuple[Payment, int]]:
    """Payments with money that would not come back by these moves, and how much of it."""
    covered = {move.payment.pk: move.amount for move in planned}
    for payment in order.payments.select_related("account"):
        rest = payment.refundable + payment.capturable - covered.get(payment.pk, 0)
        if rest > 0:
            yield payment, rest


class GiveBackForm(forms.Form):
    """A yes to the very moves that stood on the page: ``plan`` travels along, and another plan needs another yes."""

    reason = forms.CharField(label=_("Reason"), max_length=200, required=False, help_text=_("For the timeline."))
    plan = forms.CharField(widget=forms.HiddenInput)
    confirm = forms.BooleanField(label=_("I have read what happens, and mean it"))

    def __init__(self, *args: Any, plan: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.true_plan = self.fields["plan"].initial = plan

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("plan") not in {None, self.true_plan}:
            self.data = {**self.data, "plan": self.true_plan}
            raise forms.ValidationError(gettext("What has to happen has changed meanwhile. Read it again."))
        return cleaned


class GiveBack(Deed):
    name, act, on = "give-back", Act.REFUND, Order
    label, title, button = _("Give the money back…"), _("Give the money back"), _("Give it back")
    is_danger = True

    def acts(self, target: Order) -> frozenset[Act]:
        verbs = {move.verb for move in moves(target)}
        return frozenset({Act.CANCEL if verb is Verb.RELEASE else Act.REFUND for verb in verbs})

    def is_offered(self, target: Order) -> bool:
        return bool(moves(target))

    def form(self, target: Order, data: Any = None) -> forms.Form:
        return GiveBackForm(data, plan=_plan(moves(target)))

    def effect(self, target: Order) -> str:
        verbs = {move.verb for move in moves(target)}
        if verbs == {Verb.RELEASE}:
            return gettext("Nothing was taken yet: the hold is released. It cannot be captured afterwards.")
        if verbs == {Verb.REFUND}:
            return gettext("The money was taken: it is refunded. A refund cannot be taken back.")
        return gettext("What is only held is released, what was taken is refunded. Neither can be taken back.")

    def facts(self, target: Order) -> Iterable[tuple[Any, Any]]:
        planned = moves(target)
        for move in planned:
            label = _("Release") if move.verb is Verb.RELEASE else _("Refund")
            yield label, _line(move.payment, move.amount)
        for payment, rest in left_over(target, planned):
            why = _("Not given back: disputed") if payment.is_disputed else _("Not given back by this")
            yield why, _line(payment, rest)

    def perform(self, target: Order, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        answers = [_do(move, wish["reason"], actor=actor, ip=ip) for move in moves(target)]
        if not answers:
            return messages.WARNING, gettext("Nothing was left to give back.")
        return max(level for level, _text in answers), " ".join(text for _level, text in answers)


def _do(move: Move, reason: str, *, actor: str, ip: str | None) -> Said:
    """One move; a refusal of it does not stop the others."""
    try:
        if move.verb is Verb.RELEASE:
            hold = operations.cancel(move.payment, requested_by=actor, requested_from=ip)
            return said(hold, done=gettext("The hold of %(amount)s was released."))
        refund = operations.refund(
            move.payment,
            amount=move.amount,
            expected_refundable=move.amount,
            reason=reason,
            requested_by=actor,
            requested_from=ip,
        )
        return said(refund, done=gettext("%(amount)s was given back."))
    except intents.NotAllowed as error:
        return messages.ERROR, refusal(error, move.payment.currency)


def _plan(planned: list[Move]) -> str:
    return ",".join(map(str, planned))


def _line(payment: Payment, amount: int) -> str:
    return gettext("%(amount)s to %(payer)s (attempt %(number)s at %(provider)s)") % {
        "amount": plain_money(amount, payment.currency),
        "payer": payer(payment),
        "number": payment.number,
        "provider": payment.account.name,
    }


DEEDS: tuple[Deed, ...] = (GiveBack(),)
