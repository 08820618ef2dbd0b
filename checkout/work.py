"""Everything that has to happen later, done when it is due.

Whatever must happen later is a row with a due time, committed together with its cause. A *queue* names such rows and
the function that deals with one of them. ``run_due()`` claims a few due rows (it pushes their due time into the future,
so that a crash costs one lease and two workers never share a row) and handles them one by one. Celery calls it, and so
does the loop of ``manage.py work``: the same code on two engines. A nudge only makes a row's turn come sooner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from checkout.models import Heartbeat

logger = logging.getLogger(__name__)

BEAT = timedelta(seconds=5)
"""How often a worker leaves a sign of life."""


@dataclass(frozen=True)
class Queue:
    """Rows with a due time, and what to do with one of them."""

    name: str
    rows: Callable[[], models.QuerySet[models.Model]]
    handle: Callable[[int], None]
    """Called with a primary key, outside any transaction; sets the row's next due time, or None when done."""
    field: str = "due_at"
    lease: timedelta = timedelta(seconds=60)
    """How long a claimed row is left alone; a handler that died is repeated after it."""


_queues: dict[str, Queue] = {}


def register(queue: Queue) -> None:
    """Make ``run_due`` serve this queue; called from an app's ``ready``."""
    _queues[queue.name] = queue


def run_due(*, per_queue: int = 20) -> int:
    """Handle what is due now, at most ``per_queue`` rows of each queue; the number of rows handled."""
    beat()
    return sum(_run(queue, *claim) for queue in _queues.values() for claim in _claim(queue, per_queue))


def run_one(name: str, pk: int) -> int:
    """Handle one row if it is due and nobody else has it; what a nudge does."""
    queue = _queues[name]
    return sum(_run(queue, *claim) for claim in _claim(queue, 1, pk=pk))


def nudge(name: str, pk: int) -> None:
    """Ask for a row's turn as soon as the current transaction is committed. Losing this costs seconds, nothing else."""
    if settings.CELERY_BROKER_URL:
        transaction.on_commit(lambda: _send(name, pk), robust=True)


def beat() -> None:
    """Leave a sign of life, at most every few seconds."""
    now = timezone.now()
    Heartbeat.objects.get_or_create(name="worker", defaults={"at": now})
    Heartbeat.objects.filter(name="worker", at__lt=now - BEAT).update(at=now)


def lateness() -> dict[str, int]:
    """How many seconds the most overdue row of each queue has waited; 0 when nothing is due."""
    now = timezone.now()
    late = {}
    for queue in _queues.values():
        oldest = queue.rows().filter(**{f"{queue.field}__lte": now}).order_by(queue.field).values_list(queue.field)
        first = oldest.first()
        late[queue.name] = int((now - first[0]).total_seconds()) if first else 0
    return late


def _send(name: str, pk: int) -> None:
    from checkout.orders.tasks import run_one as task

    try:
        task.apply_async((name, pk), retry=False)
    except Exception as error:  # a broker that is down delays work; it never breaks the request that caused it
        logger.warning("nudge_lost queue=%s pk=%s error=%s", name, pk, type(error).__name__)


def _claim(queue: Queue, limit: int, *, pk: int | None = None) -> list[tuple[int, datetime]]:
    """Rows that nobody else will touch until the time beside them."""
    now = timezone.now()
    until = now + queue.lease
    due = queue.rows().filter(**{f"{queue.field}__lte": now})
    if pk is not None:
        due = due.filter(pk=pk)
    if not due.exists():  # an idle look takes no write lock
        return []
    with transaction.atomic():
        claimed = list(
            due.order_by(queue.field)
            .select_for_update(skip_locked=True, of=("self",))
            .values_list("pk", flat=True)[:limit]
        )
        queue.rows().filter(pk__in=claimed).update(**{queue.field: until})
    return [(pk, until) for pk in claimed]


def _run(queue: Queue, pk: int, until: datetime) -> int:
    now = timezone.now()
    if until - now < queue.lease / 2:
        # The rows before it took long. Renew the lease, unless it ran out and somebody else took the row.
        mine = queue.rows().filter(pk=pk, **{queue.field: until})
        if until <= now or not mine.update(**{queue.field: now + queue.lease}):
            return 0
    try:
        queue.handle(pk)
    except Exception:
        # One poisoned row must not stop its neighbours; its lease brings it back.
        logger.exception("work_failed queue=%s pk=%s", queue.name, pk)
    return 1
