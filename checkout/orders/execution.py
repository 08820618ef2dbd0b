"""Carry captures, refunds and cancellations out: one step at a time, the row before the call, once however often.

A step is the sending itself or, when it may have arrived already, the question what became of it. What an answer means
for the money is ``apply``'s to say.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone

from checkout.orders import gateway, messages, schedule, transitions
from checkout.orders.apply import Road, apply, locked
from checkout.orders.models import Cancellation, Capture, Operation, Refund
from providers.contract import (
    Capability,
    OperationReport,
    OperationStatus,
    OutcomeUnknown,
    Provider,
    Rejected,
    Unreachable,
)

logger = logging.getLogger(__name__)


def execute(kind: type[Operation], pk: int) -> None:
    """Carry an operation on by one step: send it, or ask what became of it. What its queue calls."""
    claimed = _mark_sent(kind, pk)
    if claimed is None:
        return
    operation, send = claimed
    payment = operation.payment
    try:
        provider = gateway.connect(payment.account)
        gateway.release_connection()
        report = _send(provider, operation) if send else _follow_up(provider, operation)
    except Unreachable as error:
        _try_later(operation, unsent=send, code=error.code)
    except (Rejected, gateway.AccountUnusable) as error:
        logger.error("operation_rejected %s=%s", operation._meta.model_name, operation.pk)
        code = getattr(error, "code", "settings")
        if send:
            report = messages.operation_request(operation).report(OperationStatus.FAILED, error_code=code)
            apply(payment.account, report, road=Road.ANSWER, cause=f"answer to {operation.reference}")
        else:  # only our question was refused: the operation itself may well have happened
            _try_later(operation, unsent=False, code=code)
    except Exception as error:
        if not isinstance(error, OutcomeUnknown):
            logger.error("operation_broke %s=%s", operation._meta.model_name, operation.pk)
        _try_later(operation, unsent=False, code=getattr(error, "code", "") or type(error).__name__)
    else:
        apply(payment.account, report, road=Road.ANSWER, cause=f"answer to {operation.reference}")
        _try_later(operation, unsent=report.absent, code="")


def _mark_sent(kind: type[Operation], pk: int) -> tuple[Operation, bool] | None:
    """Commit that a call is being made; whether it is the sending itself. None when nothing is left to do."""
    with transaction.atomic():
        operation = kind._default_manager.get(pk=pk)
        operation.payment = locked(operation.payment_id)
        operation.refresh_from_db(fields=("status", "tries", "unsent", "due_at"))
        if not operation.is_in_flight:
            kind._default_manager.filter(pk=pk).update(due_at=None)
            return None
        send = operation.status == OperationStatus.CREATED or operation.unsent
        transitions.advance(operation, OperationStatus.SENT, cause=f"call {operation.tries + 1}")
        operation.tries, operation.unsent = operation.tries + 1, False
        operation.due_at = timezone.now() + schedule.UNSENT_PATIENCE
        operation.save(update_fields=("tries", "unsent", "due_at"))
        return operation, send


def _send(provider: Provider, operation: Operation) -> OperationReport:
    request = messages.operation_request(operation)
    match operation:
        case Refund():
            return provider.refund(request)
        case Capture():
            return provider.capture(request)
        case _:
            return provider.cancel(request)


def _follow_up(provider: Provider, operation: Operation) -> OperationReport:
    """What became of an operation that was sent: from its own inquiry, or read off the payment's totals."""
    request, payment = messages.operation_request(operation), operation.payment
    if isinstance(operation, Refund) and Capability.FETCH_REFUND in provider.capabilities:
        return provider.fetch_refund(request)
    report = provider.fetch(messages.payment_ref(payment))
    siblings = type(operation)._default_manager.filter(payment=payment).exclude(pk=operation.pk)
    if not isinstance(operation, Cancellation) and any(sibling.is_in_flight for sibling in siblings):
        # The totals cannot say whose amount they hold; sending again can.
        return request.report(OperationStatus.PENDING, absent=True, raw=report.raw)
    match operation:
        case Refund():
            done = (report.refunded or 0) >= payment.refunded_total + operation.amount
        case Capture():
            done = (report.captured or 0) >= payment.captured_total + operation.amount
        case _:
            done = report.status in transitions.ENDED
    if done:
        return request.report(OperationStatus.SUCCEEDED, raw=report.raw)
    # Not done: it is safe to send again, because the reference is the provider's idempotency key.
    return request.report(OperationStatus.PENDING, absent=True, raw=report.raw)


def _try_later(operation: Operation, *, unsent: bool, code: str) -> None:
    """Plan the next step of an operation that is still in flight; after the last one, ask a person."""
    with transaction.atomic():
        payment = locked(operation.payment_id)
        row = type(operation)._default_manager.get(pk=operation.pk)
        if not row.is_in_flight:
            return
        delay = schedule.wait(schedule.OPERATION, row.tries - 1)
        row.unsent, row.error_code = unsent, code[:60] or row.error_code
        row.due_at = timezone.now() + delay if delay else None
        row.save(update_fields=("unsent", "error_code", "due_at"))
        if delay is None:
            name = str(row._meta.model_name)
            transitions.open_review(payment.order, payment, f"{name}_stuck", cause="schedule", ours=row.reference)
