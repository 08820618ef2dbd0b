"""Events for merchants: queued in the transaction of their cause, signed by Standard Webhooks, told until heard.

A delivery is a row from the start, so nothing between a payment and its announcement can be lost. Its body is fixed at
the first attempt; ``webhook-id`` stays the same on every attempt, so a receiver can tell a repetition.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import requests
from django.conf import settings
from django.utils import timezone
from requests_hardened import Config, HTTPSession, Manager
from standardwebhooks import Webhook

from checkout.events.models import Delivery, DeliveryState, Endpoint
from checkout.logs import mask_text
from checkout.orders.models import Event
from checkout.orders.presentation import order_object, timestamp
from checkout.orders.schedule import wait
from checkout.orders.timeline import PUBLIC
from checkout.work import nudge

logger = logging.getLogger(__name__)

RETRIES: Sequence[timedelta] = tuple(timedelta(minutes=n) for n in (1, 5, 30, 120, 360, 720, 1440, 1440))
"""Waits after a failed attempt; after the last one the delivery is dead."""

KEPT_ANSWER = 4096
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
    delivery = Delivery.objects.select_related("event__order", "endpoint").get(pk=pk)
    endpoint = delivery.endpoint
    if delivery.state != DeliveryState.WAITING or not endpoint.enabled:
        Delivery.objects.filter(pk=pk).update(due_at=None)
        return
    if not delivery.body:
        delivery.body = json.dumps(payload(delivery.event), ensure_ascii=False, separators=(",", ":"))
        delivery.save(update_fields=("body",))
    started = time.monotonic()
    status, answer = _send(delivery)
    delivery.latency_ms = round((time.monotonic() - started) * 1000)
    delivery.answer_status, delivery.answer = status, mask_text(answer)
    delivery.sent_at, delivery.tries = timezone.now(), delivery.tries + 1
    delay = wait(RETRIES, delivery.tries - 1)
    if status is not None and 200 <= status < 300:
        delivery.state, delay = DeliveryState.DELIVERED, None
    elif status == GONE:
        delivery.state, delay = DeliveryState.DEAD, None
        Endpoint.objects.filter(pk=endpoint.pk).update(enabled=False, disabled_why="it answered 410 Gone")
    elif delay is None:
        delivery.state = DeliveryState.DEAD
    delivery.due_at = timezone.now() + delay if delay else None
    delivery.save()
    logger.info("event_sent delivery=%s type=%s status=%s tries=%s", pk, delivery.event.type, status, delivery.tries)


def payload(event: Event) -> dict[str, object]:
    """What a merchant receives: the event, and the order as it is now. A lower ``sequence`` is older news."""
    return {
        "id": str(event.public_id),
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


def signed_headers(delivery: Delivery, *, now: datetime) -> dict[str, str]:
    """Standard Webhooks: id, timestamp and a signature by each valid secret over ``id.timestamp.body``."""
    message_id = f"evt_{delivery.event.public_id.hex}"
    signatures = [Webhook(one).sign(message_id, now, delivery.body) for one in delivery.endpoint.secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _send(delivery: Delivery) -> tuple[int | None, str]:
    """The endpoint's status and the beginning of its answer, or None and what went wrong."""
    deadline = time.monotonic() + settings.DELIVERY_SECONDS
    kept = bytearray()
    try:
        with (
            _session() as session,
            session.post(
                delivery.endpoint.url,
                data=delivery.body.encode(),
                headers=signed_headers(delivery, now=datetime.now(UTC)),
                stream=True,
            ) as response,
        ):
            while len(kept) < KEPT_ANSWER and time.monotonic() < deadline:
                chunk = response.raw.read1(KEPT_ANSWER)
                if not chunk:
                    break
                kept += chunk
            return response.status_code, bytes(kept[:KEPT_ANSWER]).decode(errors="replace").replace("\x00", "")
    except (requests.RequestException, OSError) as error:
        return None, type(error).__name__


def _session() -> HTTPSession:
    """Public addresses only, judged at the moment of connecting; no redirects; nothing from the environment."""
    config = Config(
        ip_filter_enable=not settings.ALLOW_PRIVATE_ENDPOINTS,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(min(3.0, settings.DELIVERY_SECONDS), settings.DELIVERY_SECONDS),
        user_agent_override="Paydesk",
    )
    session = Manager(config).get_session()
    session.trust_env = False
    return session
