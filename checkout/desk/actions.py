"""What staff can do to an order: each deed is a page that says its effect, and a POST that calls one operation.

A deed is *offered* when role, capability and state allow it; the operation judges again under its lock, because between
the page and the POST the world may have moved.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk.access import Act
from checkout.desk.show import plain_money, words
from checkout.orders import gateway, intents, operations
from checkout.orders.actions import Verb, of_order, of_payment
from checkout.orders.models import Operation, Order, Payment, Review
from providers.contract import Capability, OperationStatus
from providers.money import Money, MoneyError

IN_FLIGHT = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)
CHECK_INTERVAL = timedelta(seconds=10)

Said = tuple[int, str]
"""A message's level and text."""

REFUSALS = {
    "unsupported": _("This provider cannot do that through its API. Use its own dashboard."),
    "stale": _("The amount has changed meanwhile. Look at it again."),
    "nothing_refundable": _("Nothing is left to refund."),
    "nothing_capturable": _("Nothing is left to capture."),
    "partial_unsupported": _("This provider does it only for the whole amount."),
    "cancelling": _("The hold is already being released."),
    "capturing": _("A capture is on its way."),
    "nothing_held": _("Nothing is held on this payment."),
    "paid": _("Money was taken. Refund it instead."),
    "disputed": _("This payment is disputed: the same money could be given back twice."),
    "automatic": _("This payment is captured by itself."),
    "in_progress": _("A payment has no outcome yet. Check it now, or try again later."),
}


def refusal(error: intents.NotAllowed, currency: str) -> str:
    """A refused operation in the reader's language."""
    if error.code == "too_much" and error.remaining is not None:
        return gettext("At most %(amount)s is left.") % {"amount": plain_money(error.remaining, currency)}
    return str(REFUSALS.get(error.code, error))


class AmountForm(forms.Form):
    """An amount up to what remains, and a deliberate yes. ``remaining`` travels along: a second click is stale."""

    amount = forms.CharField(label=_("Amount"), max_length=24)
    remaining = forms.IntegerField(widget=forms.HiddenInput)
    confirm = forms.BooleanField(label=_("I have checked the payment and the amount"))

    def __init__(self, *args: Any, currency: str, remaining: int, partial: bool, **kwargs: Any) -> None:
        self.currency, self.left, self.partial = currency, remaining, partial
        whole = Money(remaining, currency).decimal
        kwargs["initial"] = {"amount": whole, "remaining": remaining}
        super().__init__(*args, **kwargs)
        field = self.fields["amount"]
        field.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}
        field.label = gettext("Amount in %(currency)s") % {"currency": currency}
        if not partial:
            field.disabled = True
            field.help_text = gettext("This provider does it only for the whole amount.")

    def clean_amount(self) -> int:
        text = str(self.cleaned_data["amount"]).strip()
        try:
            minor = Money.from_decimal(text, self.currency).minor
        except MoneyError:
            example = Money(123456, self.currency).decimal
            raise forms.ValidationError(
                gettext("Write an amount like %(example)s, without thousands separators."), params={"example": example}
            ) from None
        if minor == 0:
            raise forms.ValidationError(gettext("Give an amount above zero."))
        if minor > self.left:
            raise forms.ValidationError(
                gettext("At most %(amount)s is left.") % {"amount": plain_money(self.left, self.currency)}
            )
        return minor

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("remaining") not in {None, self.left}:
            # Shown again with what remains now, so that the next yes is to the true amount.
            self.data = {**self.data, "remaining": str(self.left)}
            raise forms.ValidationError(str(REFUSALS["stale"]))
        return cleaned


class RefundForm(AmountForm):
    """Giving money back; disputed money takes a second yes."""

    reason = forms.CharField(label=_("Reason"), max_length=200, required=False, help_text=_("For the timeline."))
    although_disputed = forms.BooleanField(
        label=_("I know that this payment is disputed: the customer may get the money twice")
    )
    field_order = ("amount", "reason", "although_disputed", "confirm", "remaining")

    def __init__(self, *args: Any, is_disputed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_disputed:
            del self.fields["although_disputed"]


class ConfirmForm(forms.Form):
    confirm = forms.BooleanField(label=_("Yes, I mean it"))


class ResolutionForm(forms.Form):
    resolution = forms.CharField(
        label=_("What you found out and decided"),
        max_length=250,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Kept for ever in the timeline, with your name."),
    )
    confirm = forms.BooleanField(label=_("I have compared both sides with the provider"))


class Deed:
    """One thing that staff can do. ``target`` is the order, or a row of it: ``on`` says which kind."""

    name: str
    act: Act
    label: Any
    """On the button that leads to the page."""
    title: Any
    button: Any
    """On the button that does it."""
    is_danger = False
    on: type[Model] = Payment

    def acts(self, target: Any) -> frozenset[Act]:
        """What it takes, all of it, to do this to ``target``."""
        return frozenset({self.act})

    def is_offered(self, target: Any) -> bool:
        raise NotImplementedError

    def form(self, target: Any, data: Any = None) -> forms.Form:
        raise NotImplementedError

    def effect(self, target: Any) -> str:
        raise NotImplementedError

    def facts(self, target: Any) -> Iterable[tuple[Any, Any]]:
        """What to look at before deciding, as label and value."""
        return ()

    def perform(self, target: Any, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        """Call the operation. Raises intents.NotAllowed, or shipping.InvalidShipment for a field of the form."""
        raise NotImplementedError


class Refund(Deed):
    name, act = "refund", Act.REFUND
    label, title, button = _("Refund…"), _("Refund a payment"), _("Refund")
    is_danger = True

    def is_offered(self, target: Payment) -> bool:
        return _offers(target, Verb.REFUND, although_disputed=True)

    def form(self, target: Payment, data: Any = None) -> forms.Form:
        partial = _can(target, Capability.PARTIAL_REFUND)
        return RefundForm(
            data,
            currency=target.currency,
            remaining=target.refundable,
            partial=partial,
            is_disputed=target.is_disputed,
        )

    def effect(self, target: Payment) -> str:
        return gettext("%(provider)s gives the money back to %(payer)s. A refund cannot be taken back.") % {
            "provider": target.account.name,
            "payer": payer(target),
        }

    def facts(self, target: Payment) -> Iterable[tuple[Any, Any]]:
        yield _("Captured"), plain_money(target.captured_total, target.currency)
        yield _("Refunded so far"), plain_money(target.refunded_total - target.reversed_total, target.currency)
        if target.refunds_reserved:
            yield _("Refunds on their way"), plain_money(target.refunds_reserved, target.currency)
        yield _("Remaining"), plain_money(target.refundable, target.currency)

    def perform(self, target: Payment, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        row = operations.refund(
            target,
            amount=wish["amount"],
            expected_refundable=wish["remaining"],
            reason=wish["reason"],
            although_disputed=wish.get("although_disputed", False),
            requested_by=actor,
            requested_from=ip,
        )
        return said(row, done=gettext("%(amount)s was given back."))


class CaptureHold(Deed):
    name, act = "capture", Act.CAPTURE
    label, title, button = _("Capture…"), _("Capture held money"), _("Capture")

    def is_offered(self, target: Payment) -> bool:
        return _offers(target, Verb.CAPTURE)

    def form(self, target: Payment, data: Any = None) -> forms.Form:
        partial = _can(target, Capability.PARTIAL_CAPTURE)
        return AmountForm(data, currency=target.currency, remaining=target.capturable, partial=partial)

    def effect(self, target: Payment) -> str:
        return gettext("%(provider)s takes the money that is held on %(payer)s.") % {
            "provider": target.account.name,
            "payer": payer(target),
        }

    def facts(self, target: Payment) -> Iterable[tuple[Any, Any]]:
        yield _("Authorised"), plain_money(target.authorised_total, target.currency)
        yield _("Captured so far"), plain_money(target.captured_total, target.currency)
        if target.captures_reserved:
            yield _("Captures on their way"), plain_money(target.captures_reserved, target.currency)
        yield _("Remaining"), plain_money(target.capturable, target.currency)

    def perform(self, target: Payment, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        row = operations.capture(
            target,
            amount=wish["amount"],
            expected_capturable=wish["remaining"],
            requested_by=actor,
            requested_from=ip,
        )
        return said(row, done=gettext("%(amount)s was captured."))


class ReleaseHold(Deed):
    name, act = "release", Act.CANCEL
    label, title, button = _("Release hold…"), _("Release held money"), _("Release the hold")
    is_danger = True

    def is_offered(self, target: Payment) -> bool:
        return _offers(target, Verb.RELEASE)

    def form(self, target: Payment, data: Any = None) -> forms.Form:
        return ConfirmForm(data)

    def effect(self, target: Payment) -> str:
        return gettext("%(amount)s is no longer held on %(payer)s. It cannot be captured afterwards.") % {
            "amount": plain_money(target.held, target.currency),
            "payer": payer(target),
        }

    def perform(self, target: Payment, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        return said(
            operations.cancel(target, requested_by=actor, requested_from=ip),
            done=gettext("The hold of %(amount)s was released."),
        )


class CancelOrder(Deed):
    name, act, on = "cancel", Act.CANCEL, Order
    label, title, button = _("Cancel order…"), _("Cancel the order"), _("Cancel the order")
    is_danger = True

    def is_offered(self, target: Order) -> bool:
        return any(action.verb is Verb.CANCEL for action in of_order(target))

    def form(self, target: Order, data: Any = None) -> forms.Form:
        return ConfirmForm(data)

    def effect(self, target: Order) -> str:
        effect = gettext("Nobody can pay this order any more.")
        if target.authorised_total:
            held = plain_money(target.authorised_total, target.currency)
            effect += " " + gettext("The hold of %(amount)s is released.") % {"amount": held}
        return effect

    def perform(self, target: Order, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        operations.cancel_order(target, actor=actor)
        return messages.SUCCESS, gettext("The order is cancelled.")


class Resolve(Deed):
    name, act, on = "resolve", Act.DECIDE, Review
    label, title, button = _("Resolve…"), _("Resolve a review"), _("Close the review")

    def is_offered(self, target: Review) -> bool:
        return target.resolved_at is None

    def form(self, target: Review, data: Any = None) -> forms.Form:
        return ResolutionForm(data)

    def effect(self, target: Review) -> str:
        return gettext(
            "Closing changes no money. The order's status is computed anew, and a success that was held back is "
            "announced to the merchant."
        )

    def facts(self, target: Review) -> Iterable[tuple[Any, Any]]:
        yield _("We have"), target.ours or "–"
        yield _("They have"), target.theirs or "–"
        yield _("Told by"), target.cause

    def perform(self, target: Review, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        if operations.resolve_review(target, actor=actor, resolution=wish["resolution"]):
            return messages.SUCCESS, gettext("The review is closed.")
        return messages.WARNING, gettext("Somebody else closed this review before.")


DEEDS: tuple[Deed, ...] = (CaptureHold(), Refund(), ReleaseHold(), CancelOrder(), Resolve())


def _can(payment: Payment, capability: Capability) -> bool:
    try:
        return intents.can(payment, capability)
    except gateway.AccountUnusable:
        return False


def _offers(payment: Payment, verb: Verb, *, although_disputed: bool = False) -> bool:
    if verb is Verb.REFUND and although_disputed and payment.is_disputed:
        try:
            return intents.judge_refund(payment, although_disputed=True) > 0
        except (intents.NotAllowed, gateway.AccountUnusable):
            return False
    return any(action.verb is verb for action in of_payment(payment))


def payer(payment: Payment) -> str:
    if payment.card_last4:
        return f"{payment.card_brand.capitalize()} •••• {payment.card_last4}".strip()
    return gettext("the shopper")


def said(row: Operation, *, done: str) -> Said:
    """What became of an operation, without calling a request a success."""
    amount = {"amount": plain_money(row.amount, row.payment.currency)}
    provider = row.payment.account.name
    if row.status == OperationStatus.SUCCEEDED:
        return messages.SUCCESS, done % amount
    if row.status == OperationStatus.FAILED:
        refused = gettext("%(provider)s refused: %(code)s.")
        return messages.ERROR, refused % {
            "provider": provider,
            "code": row.error_code or words({}, gettext("no reason")),
        }
    asked = gettext("Asked for. %(provider)s has not confirmed it yet; we keep asking.")
    return messages.WARNING, asked % {"provider": provider}
