"""Idempotency-Key: the same key and the same request give the same bytes again, and act once.

The record is committed together with what the request made, so a crash in between leaves neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from checkout.api.models import IdempotencyRecord
from checkout.api.problems import Problem
from checkout.merchants.models import ApiKey
from checkout.orders.creation import holds_card_number

KEPT = timedelta(hours=24)


def once(request: HttpRequest, api_key: ApiKey, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Run ``act`` in a transaction, once for each key; without a key it simply runs. Raises Problem."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        with transaction.atomic():
            return act()
    if len(key) > 255 or not key.isprintable() or holds_card_number(key):
        detail = "Give at most 255 printable characters, and no card number."
        raise Problem(400, "invalid_idempotency_key", detail, field="Idempotency-Key")
    digest = _digest(request)
    IdempotencyRecord.objects.filter(api_key=api_key, key=key, created_at__lt=timezone.now() - KEPT).delete()
    replay = _replay(api_key, key, digest)
    if replay:
        return replay
    try:
        with transaction.atomic():
            # Somebody with the same key waits here until we commit, and then sees our answer.
            record = IdempotencyRecord.objects.create(api_key=api_key, key=key, digest=digest)
            response = act()
            record.status_code, record.body = response.status_code, response.content
            record.save(update_fields=("status_code", "body"))
            return response
    except IntegrityError:
        replay = _replay(api_key, key, digest)
        if replay is None:
            raise
        return replay


def _replay(api_key: ApiKey, key: str, digest: str) -> HttpResponse | None:
    record = IdempotencyRecord.objects.filter(api_key=api_key, key=key).first()
    if record is None:
        return None
    if record.digest != digest:
        raise Problem(
            409,
            "idempotency_mismatch",
            "This key was used for another request. Use a new key for a new request.",
            field="Idempotency-Key",
        )
    if record.status_code is None:
        raise Problem(
            409, "idempotency_in_progress", "The first request is still being answered.", headers={"Retry-After": "1"}
        )
    response = HttpResponse(
        bytes(record.body), status=record.status_code, content_type="application/json; charset=utf-8"
    )
    response["Idempotent-Replayed"] = "true"
    return response


def _digest(request: HttpRequest) -> str:
    head = f"{request.method} {request.path}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()
