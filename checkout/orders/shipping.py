"""Parcels, and telling providers of them: a queue of its own that never holds up the merchant.

A parcel is ours at once. Where the payment's provider wants to hear of it, an upload is saved with it and sent later,
together with others of the same account where the provider takes several at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import date, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.utils import timezone

from checkout.orders import gateway, messages, timeline, transitions
from checkout.orders.models import Order, Payment, Shipment, TrackingUpload, scope_of
from checkout.orders.schedule import wait
from checkout.tenancy import TenantQuerySet
from checkout.work import nudge
from providers.contract import (
    Capability,
    Direction,
    OperationStatus,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    ShipmentStatus,
    TrackingReport,
)

logger = logging.getLogger(__name__)

UPLOAD: Sequence[timedelta] = tuple(timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 1440, 1440, 1440))
"""Waits between attempts to tell a provider; after the last one a person is asked."""

JUST_SENT = timedelta(seconds=30)
"""A parcel that went out so recently, as another one's neighbour, has had its turn."""

AFTER_THE_EARLIER = timedelta(seconds=30)
"""How long a later word about a parcel waits for an earlier one that is still on its way."""

UNUSABLE = "settings"
"""The code of a word that could not be said: our own settings are wrong, and nobody was asked."""

_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}", re.ASCII)
_CARRIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._&-]{0,59}", re.ASCII)
IN_FLIGHT = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)


class InvalidShipment(ValueError):
    """A field of a parcel is wrong, or what is asked of it cannot be; nothing was saved."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def add(
    order: Order,
    *,
    carrier: str,
    number: str,
    shipped_on: date,
    direction: str = Direction.FORWARD,
    url: str = "",
    actor: str,
) -> Shipment:
    """A parcel of this order; the very same one again is the one that is there. Raises InvalidShipment."""
    carrier, number, url = carrier.strip(), number.strip(), url.strip()
    with transaction.atomic():
        order = timeline.lock(order.pk)
        known = judge(order, carrier=carrier, number=number, shipped_on=shipped_on, direction=direction, url=url)
        if known:
            return known
        shipment = Shipment.objects.create(
            **scope_of(order),
            order=order,
            carrier=carrier,
            number=number,
            shipped_on=shipped_on,
            direction=direction,
            url=url,
            created_by=actor[:80],
        )
        timeline.record(
            order, "shipment.added", cause="shipment", actor=actor, shipment=str(shipment.public_id), carrier=carrier
        )
        _enqueue(shipment, is_change=False, actor=actor)
    return shipment


def judge(
    order: Order, *, carrier: str, number: str, shipped_on: date, direction: str = Direction.FORWARD, url: str = ""
) -> Shipment | None:
    """The parcel that ``add`` would find there already, or None for a new one. Raises InvalidShipment as it would."""
    carrier, number, url = carrier.strip(), number.strip(), url.strip()
    _check(carrier=carrier, number=number, shipped_on=shipped_on, direction=direction, url=url, order=order)
    known = Shipment.objects.filter(order=order, carrier=carrier, number=number).first()
    if known is None and not order.captured_total and not order.authorised_total:
        raise InvalidShipment("order", "Nothing has been paid for this order, so there is nothing to ship.")
    return known


def change(shipment: Shipment, *, status: str, actor: str) -> Shipment:
    """Say that a parcel arrived or is none any more. Raises InvalidShipment when it ended otherwise before."""
    if status not in {ShipmentStatus.DELIVERED, ShipmentStatus.CANCELLED}:
        raise InvalidShipment("status", "Choose delivered or cancelled.")
    with transaction.atomic():
        order = timeline.lock(shipment.order_id)
        shipment = order.shipments.get(pk=shipment.pk)
        if shipment.status == status:
            return shipment
        if not transitions.end_shipment(shipment, ShipmentStatus(status), order=order, actor=actor):
            raise InvalidShipment("status", f"This parcel is {shipment.status} already.")
        _enqueue(shipment, is_change=True, actor=actor)
    return shipment


def was_refused(upload: TrackingUpload) -> bool:
    """The provider said no. Otherwise a failed one was given up: no attempt got an answer, or none could be made."""
    spent = upload.tries > len(UPLOAD)
    return upload.status == OperationStatus.FAILED and not spent and upload.error_code != UNUSABLE


def can_be_told_again(upload: TrackingUpload) -> bool:
    """The provider did not take it, and nothing was said to them about this parcel since."""
    if upload.status != OperationStatus.FAILED:
        return False
    return not upload.shipment.uploads.filter(payment_id=upload.payment_id, pk__gt=upload.pk).exists()


def tell_again(upload: TrackingUpload, *, actor: str) -> TrackingUpload:
    """Tell a provider anew what it did not take: how the parcel stands now. Raises InvalidShipment.

    The rejected word stays as it is; this is another one, with a reference of its own.
    """
    with transaction.atomic():
        order = timeline.lock(upload.shipment.order_id)
        upload = TrackingUpload.objects.select_related("shipment", "payment__account").get(pk=upload.pk)
        if not can_be_told_again(upload):
            raise InvalidShipment("upload", "This is on its way, was accepted, or was said anew already.")
        shipment, payment = upload.shipment, upload.payment
        is_known = shipment.uploads.filter(payment=payment, status=OperationStatus.SUCCEEDED).exists()
        timeline.record(
            order,
            "tracking.requested",
            cause=f"again after {upload.reference}",
            actor=actor,
            payment=payment,
            shipment=str(shipment.public_id),
        )
        return _tell(shipment, payment, is_change=is_known, actor=actor)


def upload_due(pk: int) -> None:
    """Tell a provider of a parcel, and of others that wait for the same account; what its queue calls."""
    uploads = _claim(pk)
    if not uploads:
        return
    account = uploads[0].payment.account
    by_reference = {upload.reference: upload for upload in uploads}
    try:
        provider = gateway.connect(account)
        gateway.release_connection()
        reports = provider.upload_tracking([messages.tracking_request(upload) for upload in uploads])
    except (Rejected, gateway.AccountUnusable) as error:
        code = getattr(error, "code", UNUSABLE)
        for upload in uploads:
            _settle(upload, _failed(upload, code))
    except Exception as error:
        if not isinstance(error, ProviderError):
            logger.error("tracking_broke account=%s error=%s", account.pk, type(error).__name__)
        # The same words again change nothing at the provider, so an unknown outcome is simply told again.
        code = getattr(error, "code", "") or type(error).__name__
        for upload in uploads:
            _try_later(upload, code, reached=isinstance(error, OutcomeUnknown))
    else:
        for report in reports:
            if report.reference in by_reference:
                _settle(by_reference.pop(report.reference), report)
        for upload in by_reference.values():
            _try_later(upload, "not_answered", reached=True)


def _check(*, carrier: str, number: str, shipped_on: date, direction: str, url: str, order: Order) -> None:
    if not _CARRIER.fullmatch(carrier):
        raise InvalidShipment("carrier", "Give the carrier's code: up to 60 plain letters, digits and blanks.")
    if not _NUMBER.fullmatch(number):
        raise InvalidShipment("number", "Give the tracking number: up to 64 letters, digits, blanks, dots and dashes.")
    if direction not in set(Direction):
        raise InvalidShipment("direction", "Choose forward or return.")
    if shipped_on > timezone.now().date() + timedelta(days=1):
        raise InvalidShipment("shipped_on", "The parcel cannot have left in the future.")
    if shipped_on < order.created_at.date() - timedelta(days=1):
        raise InvalidShipment("shipped_on", "The parcel cannot have left before it was ordered.")
    if url:
        try:
            URLValidator(schemes=["http", "https"])(url)
        except ValidationError:
            raise InvalidShipment("url", "Give an http or https address.") from None
        if len(url) > 500:
            raise InvalidShipment("url", "At most 500 characters.")


def _enqueue(shipment: Shipment, *, is_change: bool, actor: str) -> None:
    """One upload for each payment that brought money and whose provider wants to hear."""
    for payment in shipment.order.payments.select_related("account"):
        if not (payment.captured_total or payment.held) or not _wants_tracking(payment):
            continue
        _tell(shipment, payment, is_change=is_change, actor=actor)


def _tell(shipment: Shipment, payment: Payment, *, is_change: bool, actor: str) -> TrackingUpload:
    upload = TrackingUpload.objects.create(
        **scope_of(shipment),
        shipment=shipment,
        payment=payment,
        says=shipment.status,
        is_change=is_change,
        requested_by=actor[:80],
        due_at=timezone.now(),
    )
    nudge("uploads", upload.pk)
    return upload


def _wants_tracking(payment: Payment) -> bool:
    known = gateway.catalogue().get(payment.account.provider)
    return known is not None and Capability.UPLOAD_TRACKING in known.capabilities


def _claim(pk: int) -> list[TrackingUpload]:
    """This upload and its neighbours, marked as sent; a later word about a parcel waits for the earlier one."""
    now = timezone.now()
    with transaction.atomic():
        first = _rows().filter(pk=pk).first()
        if first is None or not first.is_in_flight:
            TrackingUpload.objects.filter(pk=pk).update(due_at=None)
            return []
        if first.sent_at and now - first.sent_at < JUST_SENT:
            return []
        if first.shipment.uploads.filter(payment=first.payment, status__in=IN_FLIGHT, pk__lt=pk).exists():
            TrackingUpload.objects.filter(pk=pk).update(due_at=now + AFTER_THE_EARLIER)
            return []
        batch = gateway.provider_class(first.payment.account.provider).tracking_batch
        others = (
            _rows()
            .filter(payment__account=first.payment.account, status=OperationStatus.CREATED, is_change=False)
            .exclude(pk=pk)
            .order_by("pk")
        )
        uploads = [first]
        if not first.is_change:
            uploads += others.select_for_update(skip_locked=True, of=("self",))[: max(0, batch - 1)]
        transitions.mark_sent(uploads)
        for upload in uploads:
            upload.tries, upload.sent_at = upload.tries + 1, now
            upload.save(update_fields=("tries", "sent_at"))
    return uploads


def _rows() -> TenantQuerySet[TrackingUpload]:
    return TrackingUpload.objects.select_related("shipment", "payment__order__merchant", "payment__account")


def _failed(upload: TrackingUpload, code: str) -> TrackingReport:
    return TrackingReport(reference=upload.reference, status=OperationStatus.FAILED, error_code=code)


def _settle(upload: TrackingUpload, report: TrackingReport) -> None:
    if report.status is OperationStatus.PENDING:
        _try_later(upload, report.error_code, reached=True)
        return
    with transaction.atomic():
        upload.payment.order = timeline.lock(upload.payment.order_id)
        upload.error_code, upload.due_at = report.error_code[:60], None
        upload.save(update_fields=("error_code", "due_at"))
        transitions.advance(upload, report.status, cause=f"answer to {upload.reference}", code=report.error_code[:60])


def _try_later(upload: TrackingUpload, code: str, *, reached: bool) -> None:
    delay = wait(UPLOAD, upload.tries - 1)
    if delay is None:
        _settle(upload, _failed(upload, code or "no_answer"))
        return
    upload.error_code, upload.due_at = code[:60], timezone.now() + delay
    upload.save(update_fields=("error_code", "due_at"))
    logger.warning("tracking_waits upload=%s code=%s reached=%s", upload.pk, code, reached)
