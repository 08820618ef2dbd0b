"""Parcels on an order's page: add one, say how it ended, tell a provider again what it did not take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from checkout.desk.access import Act
from checkout.desk.actions import ConfirmForm, Deed, Said
from checkout.orders import gateway, shipping
from checkout.orders.actions import Verb, of_order
from checkout.orders.models import Order, Shipment, TrackingUpload
from providers.contract import Direction, OperationStatus, ShipmentStatus

DIRECTIONS: Mapping[str, object] = {Direction.FORWARD: _("To the customer"), Direction.RETURN: _("Back to the shop")}

TOLD = {
    OperationStatus.CREATED: "queued",
    OperationStatus.SENT: "sent",
    OperationStatus.PENDING: "pending",
    OperationStatus.SUCCEEDED: "accepted",
}


def uploads_of(order: Order) -> QuerySet[TrackingUpload]:
    """Each word to a provider about this order's parcels, oldest first."""
    rows = TrackingUpload.objects.filter(shipment__order=order)
    return rows.select_related("shipment", "payment__account").order_by("pk")


def told(upload: TrackingUpload) -> str:
    """What became of telling a provider, as the word of a pill."""
    if upload.status == OperationStatus.FAILED:
        return "rejected" if shipping.was_refused(upload) else "failed"
    return TOLD.get(OperationStatus(upload.status), upload.status)


def carriers(order: Order) -> list[str]:
    """The carriers that this order's providers are known to take."""
    slugs = {payment.account.provider for payment in order.payments.select_related("account")}
    known = (gateway.catalogue()[slug].carriers for slug in slugs if slug in gateway.catalogue())
    return sorted({carrier for some in known for carrier in some})


class Suggesting(forms.TextInput):
    """A text field that offers words and takes any other."""

    def __init__(self, words: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = list(words)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        listed = f"{name}-words"
        field = super().render(name, value, {**(attrs or {}), "list": listed}, renderer)
        options = format_html_join("", '<option value="{}"></option>', ((word,) for word in self.words))
        return format_html('{}<datalist id="{}">{}</datalist>', field, listed, options)


class ParcelForm(forms.Form):
    carrier = forms.CharField(label=_("Carrier"), max_length=60)
    number = forms.CharField(label=_("Tracking number"), max_length=64)
    shipped_on = forms.DateField(
        label=_("Shipped on"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    direction = forms.ChoiceField(label=_("Direction"), choices=list(DIRECTIONS.items()))
    url = forms.CharField(
        label=_("Link to the carrier's page"),
        max_length=500,
        required=False,
        widget=forms.URLInput,
        help_text=_("Where it can be followed; may stay empty."),
    )

    def __init__(self, *args: Any, order: Order, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["shipped_on"].initial = _today(order)
        self.fields["carrier"].widget = Suggesting(carriers(order), attrs={"maxlength": 60, "autocomplete": "off"})
        self.fields["number"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}


def _today(order: Order) -> date:
    return timezone.now().astimezone(ZoneInfo(order.merchant.zone)).date()


class AddParcel(Deed):
    name, act, on = "ship", Act.SHIP, Order
    label, title, button = _("Add parcel…"), _("Add a parcel"), _("Add the parcel")

    def is_offered(self, target: Order) -> bool:
        return any(action.verb is Verb.SHIP for action in of_order(target))

    def form(self, target: Order, data: Any = None) -> forms.Form:
        return ParcelForm(data, order=target)

    def effect(self, target: Order) -> str:
        return gettext("The parcel is on record at once. Providers that want to hear of it are told in the background.")

    def perform(self, target: Order, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        before = target.shipments.count()
        shipment = shipping.add(target, **wish, actor=actor)
        if target.shipments.count() == before:
            return messages.INFO, gettext("Parcel %(number)s was there already.") % {"number": shipment.number}
        return messages.SUCCESS, gettext("Parcel %(number)s was added.") % {"number": shipment.number}


class EndParcel(Deed):
    """Say how a parcel ended."""

    act, on = Act.SHIP, Shipment
    to: ShipmentStatus
    done: Any

    def is_offered(self, target: Shipment) -> bool:
        return target.status == ShipmentStatus.SHIPPED

    def form(self, target: Shipment, data: Any = None) -> forms.Form:
        return ConfirmForm(data)

    def facts(self, target: Shipment) -> Iterable[tuple[Any, Any]]:
        yield _("Carrier"), target.carrier
        yield _("Tracking number"), target.number

    def perform(self, target: Shipment, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        shipping.change(target, status=self.to, actor=actor)
        return messages.SUCCESS, str(self.done) % {"number": target.number}


class Delivered(EndParcel):
    name, to = "delivered", ShipmentStatus.DELIVERED
    label, title, button = _("Delivered…"), _("The parcel has arrived"), _("It has arrived")
    done = _("Parcel %(number)s has arrived.")

    def effect(self, target: Shipment) -> str:
        return gettext("Providers that know of the parcel are told that it arrived. This cannot be taken back.")


class CancelParcel(EndParcel):
    name, to = "cancel-parcel", ShipmentStatus.CANCELLED
    label, title, button = _("Cancel parcel…"), _("Cancel a parcel"), _("Cancel the parcel")
    done = _("Parcel %(number)s is cancelled.")
    is_danger = True

    def effect(self, target: Shipment) -> str:
        return gettext(
            "Providers that know of the parcel are told that it is none any more. The number stays on record and "
            "cannot be used for this order again."
        )


class TellAgain(Deed):
    name, act, on = "tell-again", Act.SHIP, TrackingUpload
    label, title, button = _("Send again…"), _("Tell the provider again"), _("Send again")

    def is_offered(self, target: TrackingUpload) -> bool:
        return shipping.can_be_told_again(target)

    def form(self, target: TrackingUpload, data: Any = None) -> forms.Form:
        return ConfirmForm(data)

    def effect(self, target: TrackingUpload) -> str:
        return gettext("%(provider)s is told anew how the parcel stands now.") % {
            "provider": target.payment.account.name
        }

    def facts(self, target: TrackingUpload) -> Iterable[tuple[Any, Any]]:
        yield _("Parcel"), f"{target.shipment.carrier} {target.shipment.number}"
        yield _("Refused with"), target.error_code or "–"

    def perform(self, target: TrackingUpload, wish: dict[str, Any], *, actor: str, ip: str | None = None) -> Said:
        shipping.tell_again(target, actor=actor)
        return messages.SUCCESS, gettext("It is queued, and goes out in a moment.")


DEEDS: tuple[Deed, ...] = (AddParcel(), Delivered(), CancelParcel(), TellAgain())
