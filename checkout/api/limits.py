"""How much one key may ask in a minute: so many readings, so many writings, whichever process answers.

Counting each request in the database would make every reading a writing. A process therefore takes a lot of a twentieth
of the minute's share and serves from it; what it does not use is lost, so the limit is never exceeded and, with several
processes, may be met a little early.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from checkout.api.models import Share
from checkout.api.problems import Problem
from checkout.merchants.models import ApiKey

LOTS = 20
SECONDS = 60
READING = frozenset({"GET", "HEAD"})
REMEMBERED = 10_000


@dataclass
class _Lot:
    """What this process has left of what it took."""

    minute: int
    left: int = 0
    is_last: bool = False
    """The share of this minute is used up; there is no need to ask the database again."""


_lots: dict[tuple[int, str], _Lot] = {}
_lock = threading.Lock()
_taking = threading.Lock()


def count(key: ApiKey, method: str) -> None:
    """Count one request of this key. Raises Problem 429 when there were too many in this minute."""
    kind = "read" if method in READING else "write"
    limit = settings.API_READS_PER_MINUTE if kind == "read" else settings.API_WRITES_PER_MINUTE
    now = time.time()
    if limit and not _granted(key, kind, limit, int(now) // SECONDS):
        after = str(SECONDS - int(now) % SECONDS)
        detail = f"This key may make {limit} such requests a minute; go on in {after} seconds."
        raise Problem(429, "too_many_requests", detail, headers={"Retry-After": after})


def forget() -> None:
    """Give up what this process has taken."""
    with _lock:
        _lots.clear()


def _granted(key: ApiKey, kind: str, limit: int, minute: int) -> bool:
    if _serve(key, kind, minute):
        return True
    with _taking:  # one at a time: many at once would take many lots, and leave most of them unused
        if _serve(key, kind, minute):
            return True
        if _lot(key, kind, minute).is_last:
            return False
        size = _take(key, kind, limit, minute)
        with _lock:
            lot = _lot(key, kind, minute)
            lot.left += max(0, size - 1)
            lot.is_last = not size
    return size > 0


def _serve(key: ApiKey, kind: str, minute: int) -> bool:
    with _lock:
        lot = _lot(key, kind, minute)
        if lot.left:
            lot.left -= 1
            return True
    return False


def _lot(key: ApiKey, kind: str, minute: int) -> _Lot:
    lot = _lots.get((key.pk, kind))
    if lot is None or lot.minute != minute:
        if len(_lots) >= REMEMBERED:
            _lots.clear()
        lot = _lots[key.pk, kind] = _Lot(minute)
    return lot


def _take(key: ApiKey, kind: str, limit: int, minute: int) -> int:
    """A lot of this minute's share; 0 when there is none left."""
    rows = Share.objects.filter(api_key=key, kind=kind)
    lot = max(1, limit // LOTS)
    for size in (lot, 1):
        if rows.filter(minute=minute, taken__lte=limit - size).update(taken=F("taken") + size):
            return size
        if rows.filter(minute__lt=minute).update(minute=minute, taken=size):
            return size
    if rows.filter(minute__gte=minute).exists():
        return 0
    try:
        with transaction.atomic():
            Share.objects.create(api_key=key, kind=kind, minute=minute, taken=lot)
    except IntegrityError:  # another process was first
        return _take(key, kind, limit, minute)
    return lot
