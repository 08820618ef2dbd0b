"""Events for merchants: queued in the transaction of their cause, signed by Standard Webhooks, told until heard.

A delivery is a row from the start, so nothing between a payment and its announcement can be lost. Its body is fixed at
the first attempt; its id stays the same on every attempt, so a receiver can tell a repetition. An endpoint that takes
long rests, so that it cannot keep the workers from the others.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from standardwebhooks import Webhook

from checkout.events import wire
from checkout.events.models import Delivery, DeliveryState, Endpoint
from checkout.logs import mask_text
from checkout.orders.models import Event
from checkout.orders.presentation import order_object, timestamp
from checkout.orders.schedule import wait
from checkout.orders.timeline import PUBLIC
from checkout.sealing import SealBroken
from checkout.work import nudge

logger = logging.getLogger(__name__)

RETRIES: Sequence[timedelta] = tuple(timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 720, 1440, 1440))
"""Waits after a failed attempt; after the last one the delivery is dead."""

SLOW = timedelta(seconds=1)
REST = 4
"""An endpoint that took longer than SLOW rests so many times as long: it never has more than a fifth of a worker."""

AT_ONCE = 1000
GONE = 410


def enqueue(event: Event) -> None:
    """Queue an event for everybody who wants it; called in the transaction that recorded it."""
    if event.type not in PUBLIC:
        return
    for endpoint in Endpoint.objects.filter(merchant_id=event.merchant_id, mode=event.mode, enabled=True):
        if endpoint.wants(event.type):
            delivery = Delivery.objects.create(
                merchant_id=event.merchant_id,
                mode=event.mode,
                event=event,
                endpoint=endpoint,
                due_at=timezone.now(),
            )
            nudge("deliveries", delivery.pk)


def deliver(pk: int) -> None:
    """One attempt; what the queue calls."""
    delivery = Delivery.objects.select_related("event__order__merchant", "endpoint").get(pk=pk)
    endpoint = delivery.endpoint
    if delivery.state != DeliveryState.WAITING or not endpoint.enabled or endpoint.ended_at:
        Delivery.objects.filter(pk=pk).update(due_at=None)
        return
    if not _its_turn(endpoint):
        Delivery.objects.filter(pk=pk).update(due_at=_put_off_all(endpoint))
        return
    if not delivery.body:
        delivery.body = json.dumps(payload(delivery.event), ensure_ascii=False, separators=(",", ":"))
        delivery.save(update_fields=("body",))
    started, now = time.monotonic(), datetime.now(UTC)
    try:
        headers = signed_headers(endpoint, message_id(delivery.event), delivery.body, now=now)
        answer = wire.post(endpoint.url, delivery.body.encode(), headers)
    except SealBroken as error:
        answer = wire.Answer(None, str(error))
    took = timedelta(seconds=time.monotonic() - started)
    _record(delivery, answer, took)
    _let_rest(endpoint, took)


def _record(delivery: Delivery, answer: wire.Answer, took: timedelta) -> None:
    delivery.latency_ms = round(took.total_seconds() * 1000)
    delivery.answer_status, delivery.answer = answer.status_code, mask_text(answer.text)
    delivery.sent_at, delivery.tries = timezone.now(), delivery.tries + 1
    delay = wait(RETRIES, delivery.tries - 1)
    if answer.is_success:
        delivery.state, delay = DeliveryState.DELIVERED, None
    elif answer.status_code == GONE:
        delivery.state, delay = DeliveryState.DEAD, None
        if not delivery.asked_by:  # what a person tries out says nothing about the endpoint's health
            Endpoint.objects.filter(pk=delivery.endpoint_id).update(enabled=False, disabled_why="it answered 410 Gone")
    elif delay is None:
        delivery.state = DeliveryState.DEAD
    delivery.due_at = timezone.now() + delay if delay else None
    delivery.save(update_fields=("latency_ms", "answer_status", "answer", "sent_at", "tries", "state", "due_at"))
    logger.info(
        "event_sent delivery=%s type=%s status=%s tries=%s",
        *(delivery.pk, delivery.event.type, answer.status_code, delivery.tries),
    )


def _its_turn(endpoint: Endpoint) -> bool:
    """Whether this endpoint may be called now. After a rest one caller is let through, and the others wait for it."""
    if endpoint.rests_until is None:
        return True
    now = timezone.now()
    rested = Endpoint.objects.filter(pk=endpoint.pk).exclude(rests_until__gt=now)
    return bool(rested.update(rests_until=now + 2 * timedelta(seconds=settings.DELIVERY_SECONDS)))


def _let_rest(endpoint: Endpoint, took: timedelta) -> None:
    if took > SLOW:
        Endpoint.objects.filter(pk=endpoint.pk).update(rests_until=timezone.now() + took * REST)
        _put_off_all(endpoint)
    elif endpoint.rests_until:
        Endpoint.objects.filter(pk=endpoint.pk).update(rests_until=None)


def _put_off_all(endpoint: Endpoint) -> datetime:
    """Let what is due at a resting endpoint wait until it has rested, in one go: it may be much."""
    endpoint.refresh_from_db(fields=("rests_until",))
    until = endpoint.rests_until or timezone.now()
    due = Delivery.objects.filter(endpoint=endpoint, state=DeliveryState.WAITING, due_at__lt=until).order_by("pk")
    with transaction.atomic():
        # Rows that somebody else holds are left to them: nobody waits, so nobody waits in a circle.
        rows = list(due.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:AT_ONCE])
        Delivery.objects.filter(pk__in=rows).update(due_at=until)
    return until


def payload(event: Event) -> dict[str, object]:
    """What a merchant receives: the event, and the order as it is now. A lower ``sequence`` is older news."""
    return {
        "id": message_id(event),
        "type": event.type,
        "created_at": timestamp(event.created_at),
        "sequence": event.seq,
        "mode": event.mode,
        "data": {
            "order": order_object(event.order),
            "payment_id": str(event.payment.public_id) if event.payment else None,
            "detail": event.data,
        },
    }


def message_id(event: Event) -> str:
    return f"evt_{event.public_id.hex}"


def facts(event: Event) -> dict[str, object]:
    """An event without its order as it is now: what a list of many can afford."""
    return {
        "id": message_id(event),
        "type": event.type,
        "created_at": timestamp(event.created_at),
        "sequence": event.seq,
        "mode": event.mode,
        "order": str(event.order.public_id),
        "payment_id": str(event.payment.public_id) if event.payment else None,
        "detail": event.data,
    }


def signed_headers(endpoint: Endpoint, name: str, body: str, *, now: datetime) -> dict[str, str]:
    """Standard Webhooks: id, timestamp and a signature by each valid secret over ``id.timestamp.body``."""
    signatures = [Webhook(one).sign(name, now, body) for one in endpoint.secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


# -------------------------------------------------------------------------------------------------------- once more


class EndpointDisabled(Exception):
    """Nothing is sent there now."""


def redeliver(delivery: Delivery, *, actor: str) -> None:
    """Send one event once more: same id, same body, today's secrets. Raises EndpointDisabled."""
    if not delivery.endpoint.enabled:
        raise EndpointDisabled
    delivery.state, delivery.due_at, delivery.asked_by = DeliveryState.WAITING, timezone.now(), actor
    delivery.save(update_fields=("state", "due_at", "asked_by"))
    nudge("deliveries", delivery.pk)


@transaction.atomic
def replay(endpoint: Endpoint, *, since: datetime) -> tuple[int, bool]:
    """Queue what this endpoint did not hear of since then: how many, and whether that was all of it.

    What it heard, and what is on its way, is left alone, so that asking again goes on where the last call ended.
    Raises EndpointDisabled.
    """
    if not endpoint.enabled:
        raise EndpointDisabled
    now = timezone.now()
    theirs = Delivery.objects.filter(endpoint=endpoint, event=OuterRef("pk"))
    settled = theirs.filter(Q(state=DeliveryState.DELIVERED) | Q(state=DeliveryState.WAITING, due_at__isnull=False))
    missed = Event.objects.filter(
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        type__in=[name for name in PUBLIC if endpoint.wants(name)],
        created_at__gte=since,
    ).exclude(Exists(settled))
    found = list(missed.order_by("created_at", "pk").values_list("pk", flat=True)[: AT_ONCE + 1])
    pks, was_all = found[:AT_ONCE], len(found) <= AT_ONCE
    Delivery.objects.filter(endpoint=endpoint, event__in=pks).update(state=DeliveryState.WAITING, due_at=now, tries=0)
    new = (
        Delivery(merchant_id=endpoint.merchant_id, mode=endpoint.mode, event_id=pk, endpoint=endpoint, due_at=now)
        for pk in pks
    )
    Delivery.objects.bulk_create(new, ignore_conflicts=True)
    return len(pks), was_all


def ping(endpoint: Endpoint) -> tuple[wire.Answer, int]:
    """Send a signed ``ping`` now, enabled or not; the answer, and how many milliseconds it took. Nothing is kept."""
    name = f"evt_{uuid.uuid4().hex}"
    event = {"id": name, "type": "ping", "created_at": timestamp(timezone.now()), "sequence": 0, "mode": endpoint.mode}
    body = json.dumps({**event, "data": {}}, separators=(",", ":"))
    started = time.monotonic()
    answer = wire.post(endpoint.url, body.encode(), signed_headers(endpoint, name, body, now=datetime.now(UTC)))
    took = round((time.monotonic() - started) * 1000)
    return wire.Answer(answer.status_code, mask_text(answer.text)), took
