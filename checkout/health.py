"""Two questions of a load balancer: is the process alive (``/healthz``), and can it serve (``/readyz``)?"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from checkout import work
from checkout.models import Heartbeat

LATE_SECONDS = 60
"""A worker that was silent, or work that was due, for longer than this is a reason to look."""

CLOCK_SECONDS = 5


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Says nothing about the database, so that an outage there does not restart every process."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether this process can serve, and whether the work behind it goes on.

    Only what this process cannot serve without makes it unready: payments go on while a worker is away.
    """
    checks = {"database": _database_answers()}
    checks["migrations"] = checks["database"] and _is_migrated()
    ready = all(checks.values())
    if ready:
        late = work.lateness()
        checks |= {"worker": _worker_lives(), "work": max(late.values()) < LATE_SECONDS, "clock": _clock_agrees()}
    status = "unavailable" if not ready else "ok" if all(checks.values()) else "degraded"
    answer = {"status": status, "checks": checks, "late_seconds": late if ready else {}}
    return JsonResponse(answer, status=200 if ready else 503)


def _worker_lives() -> bool:
    return Heartbeat.objects.filter(at__gte=timezone.now() - timedelta(seconds=LATE_SECONDS)).exists()


def _clock_agrees() -> bool:
    """This machine's clock against the database's: timers of several machines must mean the same."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        else:
            cursor.execute("SELECT strftime('%s', 'now')")
        (theirs,) = cursor.fetchone()
    return abs(float(theirs) - time.time()) < CLOCK_SECONDS


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
