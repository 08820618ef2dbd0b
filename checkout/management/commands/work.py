"""``manage.py work``: does what is due, in a loop and without a broker: Celery's work on another engine."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections, connections

from checkout import work

logger = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two looks when nothing is due."""


class Command(BaseCommand):
    help = "Do what is due, until SIGTERM or SIGINT; rows in hand are finished first."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--threads", type=_positive, default=4, help="so that a slow provider delays nobody else")

    def handle(self, *, threads: int, **options: Any) -> None:
        stop = threading.Event()
        with _ended_by_signals(stop):
            workers = [threading.Thread(target=keep_working, args=(stop,), name=f"work-{n}") for n in range(threads)]
            for worker in workers:
                worker.start()
            logger.info("work_started threads=%s", threads)
            stop.wait()
            for worker in workers:
                worker.join()
        logger.info("work_ended")


def keep_working(stop: threading.Event) -> None:
    """Take due rows, one of each queue at a time, so that none waits for its turn longer than its lease."""
    while not stop.is_set():
        close_old_connections()
        try:
            handled = work.run_due(per_queue=1)
        except Exception:  # the database went away; the rows are still due when it comes back
            logger.exception("work_interrupted")
            handled = 0
        if not handled:
            stop.wait(PAUSE)
    connections.close_all()


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
