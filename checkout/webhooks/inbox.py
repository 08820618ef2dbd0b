"""Recorded once, applied once, leftovers swept up.

``record`` only stores; the answer to the provider follows its commit. ``apply_event`` is the work of a queue: it may be
repeated at any time, because applying a report twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.orders import gateway, operations
from checkout.orders.apply import Outcome, Road, apply, find
from checkout.orders.schedule import wait
from checkout.webhooks.models import RefusedDeliveries, State, WebhookEvent
from checkout.work import nudge
from providers.contract import Delivery, Report

logger = logging.getLogger(__name__)

PARKED: Sequence[timedelta] = tuple(timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 1440))
"""Waits between attempts to apply an event that is about nothing we know; then a person is asked."""


def record(account: ProviderAccount, event_id: str, delivery: Delivery, *, source_ip: str | None = None) -> bool:
    """Store a verified delivery; False for a redelivery, which is counted and changes nothing else."""
    now = timezone.now()
    try:
        with transaction.atomic():
            event = WebhookEvent.objects.create(
                merchant_id=account.merchant_id,
                mode=account.mode,
                account=account,
                event_id=event_id,
                sealed_delivery=WebhookEvent.sealed(account, event_id, delivery),
                digest=delivery.digest,
                source_ip=source_ip,
                due_at=now,
            )
            nudge("inbox", event.pk)
    except IntegrityError:
        WebhookEvent.objects.filter(account=account, event_id=event_id).update(copies=F("copies") + 1)
        return False
    return True


def refuse(account: ProviderAccount, reason: str, delivery: Delivery) -> None:
    """Count a delivery that was not theirs. Its digest is logged, its content is not."""
    now, reason = timezone.now(), reason[:30]
    logger.warning("webhook_refused account=%s reason=%s digest=%s", account.pk, reason, delivery.digest)
    row, _ = RefusedDeliveries.objects.get_or_create(
        account=account, day=now.date(), reason=reason, defaults={"last_at": now}
    )
    RefusedDeliveries.objects.filter(pk=row.pk).update(count=F("count") + 1, last_at=now, last_digest=delivery.digest)


def apply_event(pk: int) -> None:
    """Apply a stored event; what its queue calls."""
    event = WebhookEvent.objects.select_related("account__merchant").get(pk=pk)
    if event.state not in {State.RECEIVED, State.PARKED}:
        WebhookEvent.objects.filter(pk=pk).update(due_at=None)
        return
    try:
        reports = gateway.connect(event.account).parse_webhook(event.delivery)
        outcomes = [_apply(event, report) for report in reports]
    except Exception as error:
        # It stays parked like news of an unknown payment, so one that we never understand reaches a person.
        logger.exception("webhook_broke account=%s event=%s", event.account_id, event.pk)
        outcome, done = f"broke: {type(error).__name__}", False
    else:
        outcome = ", ".join(outcome for outcome, _ in outcomes) or "nothing of interest"
        done = all(is_done for _, is_done in outcomes)
    delay = None if done else wait(PARKED, event.tries)
    event.tries += 1
    event.outcome = outcome[:200]
    event.state = State.APPLIED if done else State.PARKED if delay else State.DEAD
    event.due_at = timezone.now() + delay if delay else None
    event.save(update_fields=("tries", "outcome", "state", "due_at"))
    if event.state == State.DEAD:
        logger.error("webhook_given_up account=%s event=%s", event.account_id, event.pk)


def _apply(event: WebhookEvent, report: Report) -> tuple[Outcome, bool]:
    """Apply one report: what it came to, and whether that was the end of it."""
    cause = f"webhook {event.pk}"
    outcome = apply(event.account, report, road=Road.WEBHOOK, cause=cause)
    payment = find(event.account, report) if outcome is Outcome.CONFIRM else None
    if payment is None:
        return outcome, outcome is not Outcome.UNMATCHED
    asked = timezone.now()
    payment = operations.inquire(payment, cause=cause)
    is_with_a_person = payment.reviews.filter(resolved_at=None).exists()
    return outcome, is_with_a_person or bool(payment.answered_at and payment.answered_at >= asked)
