"""Idempotency-Key: the same key and the same request give the same bytes again, and act once.

What only writes to our database is committed together with its record, so a crash in between leaves neither. What may
call a provider cannot run in a transaction: its record is committed first and says *in progress*, and if its process
dies, the key is free again after a minute. Such an act must therefore be harmless when repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from checkout.api.models import IdempotencyRecord
from checkout.api.problems import Problem
from checkout.merchants.models import ApiKey
from checkout.orders.creation import holds_card_number
from checkout.sealing import SealBroken, seal, unseal

KEPT = timedelta(hours=24)

PATIENCE = timedelta(minutes=1)
"""How long a request without an answer counts as in progress; far longer than a request may take."""

Act = Callable[[], HttpResponse]


def once(request: HttpRequest, api_key: ApiKey, act: Act) -> HttpResponse:
    """Run ``act`` in a transaction, once for each key; without a key it simply runs. Raises Problem."""
    key = _key_of(request)
    if not key:
        with transaction.atomic():
            return act()
    digest = _digest(request)
    _forget_old(api_key, key)
    replay = _replay(api_key, key, digest)
    if replay:
        return replay
    try:
        with transaction.atomic():
            # Somebody with the same key waits here until we commit, and then sees our answer.
            record = IdempotencyRecord.objects.create(api_key=api_key, key=key, digest=digest)
            return _keep(record, act())
    except IntegrityError:
        replay = _replay(api_key, key, digest)
        if replay is None:
            raise
        return replay


def once_outside(request: HttpRequest, api_key: ApiKey, act: Act) -> HttpResponse:
    """Like ``once`` for an ``act`` that may call a provider and is as good twice as once. Raises Problem."""
    key = _key_of(request)
    if not key:
        return act()
    digest = _digest(request)
    _forget_old(api_key, key)
    record, is_mine = IdempotencyRecord.objects.get_or_create(api_key=api_key, key=key, defaults={"digest": digest})
    if not is_mine:
        replay = _replay(api_key, key, digest)
        if replay is None:  # refused and forgotten between our two looks
            raise _in_progress()
        return replay
    try:
        return _keep(record, act())
    except BaseException:
        record.delete()  # a refusal is no answer to keep: the same request may succeed later
        raise


def _key_of(request: HttpRequest) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if key and (len(key) > 255 or not key.isprintable() or holds_card_number(key)):
        detail = "Give at most 255 printable characters, and no card number."
        raise Problem(400, "invalid_idempotency_key", detail, field="Idempotency-Key")
    return key


def _forget_old(api_key: ApiKey, key: str) -> None:
    now = timezone.now()
    old = Q(created_at__lt=now - KEPT) | Q(status_code=None, created_at__lt=now - PATIENCE)
    IdempotencyRecord.objects.filter(old, api_key=api_key, key=key).delete()


def _keep(record: IdempotencyRecord, response: HttpResponse) -> HttpResponse:
    body = seal(response.content.decode(), context=_context(record))
    IdempotencyRecord.objects.filter(pk=record.pk).update(status_code=response.status_code, body=body)
    return response


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
        raise _in_progress()
    try:
        body = unseal(record.body, context=_context(record))
    except SealBroken:
        detail = "This was done, but the answer cannot be read any more. Ask for its outcome instead."
        raise Problem(409, "idempotency_unreadable", detail, field="Idempotency-Key") from None
    response = HttpResponse(body, status=record.status_code, content_type="application/json; charset=utf-8")
    response["Idempotent-Replayed"] = "true"
    return response


def _context(record: IdempotencyRecord) -> str:
    return f"idempotency:{record.pk}"


def _in_progress() -> Problem:
    detail = "The first request with this key is still being answered."
    return Problem(409, "idempotency_in_progress", detail, field="Idempotency-Key", headers={"Retry-After": "1"})


def _digest(request: HttpRequest) -> str:
    head = f"{request.method} {request.path}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()
