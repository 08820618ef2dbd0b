"""The row is the intent: decide whether an operation may be asked for, speak for its amount, save the row.

Nothing is called here. The row is due at once, and ``execution.execute`` does the asking. Every function expects the
order to be locked and runs in that transaction, so two people cannot give the same money back twice.
"""

from __future__ import annotations

from typing import TypeVar

from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.orders import gateway, ledger
from checkout.orders.models import Cancellation, Capture, CaptureMode, Operation, Payment, Refund, Source
from checkout.orders.timeline import SYSTEM, record
from checkout.work import nudge
from providers.contract import Capability, OperationStatus, Status

Op = TypeVar("Op", bound=Operation)


class NotAllowed(Exception):
    """The operation cannot be asked for now. ``code`` is stable, the message is for people; nothing was saved."""

    def __init__(self, code: str, message: str, *, remaining: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.remaining = remaining
        """What could be asked for instead, in minor units."""


def can(payment: Payment, capability: Capability) -> bool:
    """Whether the payment's provider can do this at all."""
    return offers(payment.account, capability)


def offers(account: ProviderAccount, capability: Capability) -> bool:
    """Whether an account's provider can do this at all."""
    return capability in gateway.provider_class(account.provider).capabilities


def refund(
    payment: Payment,
    *,
    amount: int | None = None,
    expected_refundable: int | None = None,
    reason: str = "",
    source: Source = Source.STAFF,
    requested_by: str = SYSTEM,
    requested_from: str | None = None,
    although_disputed: bool = False,
) -> Refund:
    """Ask to give back ``amount`` minor units, or all that remains. Raises NotAllowed.

    ``although_disputed``: the asker knows that the scheme may take the same money back, too.
    """
    wanted = judge_refund(
        payment, amount=amount, expected_refundable=expected_refundable, although_disputed=although_disputed
    )
    refund = Refund(amount=wanted, reason=reason, requested_from=requested_from)
    return _save(refund, payment, source, requested_by)


def judge_refund(
    payment: Payment,
    *,
    amount: int | None = None,
    expected_refundable: int | None = None,
    although_disputed: bool = False,
) -> int:
    """How much would be given back. Raises NotAllowed; changes nothing."""
    remaining = payment.refundable
    if not can(payment, Capability.REFUND):
        raise NotAllowed("unsupported", "This provider gives no money back through its API; use its own dashboard.")
    if expected_refundable is not None and expected_refundable != remaining:
        raise NotAllowed("stale", "The refundable amount has changed meanwhile.", remaining=remaining)
    wanted = remaining if amount is None else amount
    _within(wanted, remaining, "refundable")
    if wanted < payment.captured_total and not can(payment, Capability.PARTIAL_REFUND):
        raise NotAllowed("partial_unsupported", "This provider refunds only the whole amount.", remaining=remaining)
    if not although_disputed and payment.is_disputed:
        raise NotAllowed("disputed", "This payment is disputed: the same money could be given back twice.")
    return wanted


def capture(
    payment: Payment,
    *,
    amount: int | None = None,
    expected_capturable: int | None = None,
    source: Source = Source.STAFF,
    requested_by: str = SYSTEM,
    requested_from: str | None = None,
) -> Capture:
    """Ask to take ``amount`` minor units of what is held, or all of it. Raises NotAllowed."""
    wanted = judge_capture(payment, amount=amount, expected_capturable=expected_capturable)
    return _save(Capture(amount=wanted, requested_from=requested_from), payment, source, requested_by)


def judge_capture(payment: Payment, *, amount: int | None = None, expected_capturable: int | None = None) -> int:
    """How much would be taken. Raises NotAllowed; changes nothing."""
    remaining = payment.capturable
    if not can(payment, Capability.CAPTURE):
        raise NotAllowed("unsupported", "This provider captures by itself.")
    if payment.order.capture_mode == CaptureMode.AUTOMATIC and payment.status == Status.AUTHORISED:
        raise NotAllowed("automatic", "This payment is captured by itself.")
    if is_cancelling(payment):
        raise NotAllowed("cancelling", "The hold is being let go.")
    if expected_capturable is not None and expected_capturable != remaining:
        raise NotAllowed("stale", "The capturable amount has changed meanwhile.", remaining=remaining)
    wanted = remaining if amount is None else amount
    _within(wanted, remaining, "capturable")
    if wanted < payment.authorised_total and not can(payment, Capability.PARTIAL_CAPTURE):
        raise NotAllowed("partial_unsupported", "This provider captures only the whole amount.", remaining=remaining)
    return wanted


def cancel(
    payment: Payment,
    *,
    source: Source = Source.STAFF,
    requested_by: str = SYSTEM,
    requested_from: str | None = None,
) -> Cancellation:
    """Ask to let a hold go. Raises NotAllowed."""
    hold = Cancellation(amount=judge_cancel(payment), requested_from=requested_from)
    return _save(hold, payment, source, requested_by)


def judge_cancel(payment: Payment) -> int:
    """How much would be let go. Raises NotAllowed; changes nothing."""
    if not can(payment, Capability.CANCEL):
        raise NotAllowed("unsupported", "This provider lets holds go only by itself.")
    if payment.captured_total or not payment.held:
        raise NotAllowed("nothing_held", "Nothing is held on this payment.")
    if payment.captures_reserved:
        raise NotAllowed("capturing", "A capture is on its way.")
    if is_cancelling(payment):
        raise NotAllowed("cancelling", "The hold is already being let go.")
    return payment.held


def close(payment: Payment, *, is_unattended: bool = False) -> Cancellation | None:
    """Ask that nobody can pay this any more, before something else takes its place; None when that cannot be asked.

    ``is_unattended``: it failed because the shopper was wanted and is away, so it may still be open over there.
    """
    is_open = is_unattended or (payment.is_waiting and not payment.is_blocking)
    if not is_open or not can(payment, Capability.CLOSE_UNPAID) or is_cancelling(payment):
        return None
    return _save(Cancellation(amount=payment.amount, reason="unpaid"), payment, Source.SYSTEM, SYSTEM)


def give_back(payment: Payment, *, reason: str) -> Operation | None:
    """Ask for whatever returns this payment's money, on the system's own account; None when that cannot be asked."""
    try:
        if payment.net > 0:
            return refund(payment, reason=reason, source=Source.SYSTEM)
        return cancel(payment, source=Source.SYSTEM)
    except NotAllowed:
        return None


def _within(wanted: int, remaining: int, what: str) -> None:
    if wanted <= 0:
        raise NotAllowed(f"nothing_{what}", f"Nothing is {what}.", remaining=remaining)
    if wanted > remaining:
        raise NotAllowed("too_much", f"Only {remaining} is {what}.", remaining=remaining)


def is_cancelling(payment: Payment) -> bool:
    """Whether a cancellation of the hold is on its way."""
    in_flight = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)
    return Cancellation.objects.filter(payment=payment, status__in=in_flight).exists()


def _save(operation: Op, payment: Payment, source: Source, requested_by: str) -> Op:
    operation.payment = payment
    operation.merchant_id, operation.mode = payment.merchant_id, payment.mode
    operation.source, operation.requested_by, operation.due_at = source, requested_by, timezone.now()
    ledger.reserve(payment, operation)
    operation.save()
    name = operation._meta.model_name
    record(
        payment.order,
        f"{name}.requested",
        cause=f"{name} {operation.reference}",
        actor=requested_by,
        payment=payment,
        operation=str(operation.public_id),
        amount=operation.amount,
    )
    nudge(f"{name}s", operation.pk)
    return operation
