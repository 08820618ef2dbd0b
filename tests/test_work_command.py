"""``manage.py work`` and ``manage.py create_api_key``."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from checkout import work
from checkout.merchants.models import ApiKey
from checkout.orders.models import Order
from tests.factories import a_merchant, an_order

PATIENCE = 20


@pytest.fixture
def orders(transactional_db) -> list[Order]:
    """Three orders that are due now."""
    merchant = a_merchant()
    made = [an_order(merchant) for _ in range(3)]
    Order.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    return made


@contextmanager
def a_queue(handle: Callable[[int], None]) -> Iterator[None]:
    """Only this queue, over all orders."""
    others = dict(work._queues)
    work._queues.clear()
    work.register(work.Queue("test", Order.objects.all, handle))
    try:
        yield
    finally:
        work._queues.clear()
        work._queues.update(others)


def end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def done(pk: int) -> None:
    Order.objects.filter(pk=pk).update(due_at=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_ends_when_asked_and_leaves_signals_as_they_were(number):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()

    call_command("work", threads=1)

    timer.join()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_work_does_what_is_due(orders):
    seen = []

    def handle(pk: int) -> None:
        done(pk)
        seen.append(pk)
        if len(seen) == len(orders):
            end()

    with a_queue(handle):
        call_command("work", threads=1)

    assert sorted(seen) == [order.pk for order in orders]


def test_a_slow_row_does_not_hold_up_the_rest(orders):
    slow, others = orders[0].pk, {order.pk for order in orders[1:]}
    seen: set[int] = set()
    others_are_done = threading.Event()
    waited = []

    def handle(pk: int) -> None:
        done(pk)
        if pk == slow:
            waited.append(others_are_done.wait(PATIENCE))
            end()
        else:
            seen.add(pk)
            if seen == others:
                others_are_done.set()

    with a_queue(handle):
        call_command("work", threads=2)

    assert waited == [True]


def test_the_row_in_hand_is_finished_before_the_end(orders):
    begun, finished = [], []

    def handle(pk: int) -> None:
        done(pk)
        begun.append(pk)
        end()
        threading.Event().wait(0.5)
        finished.append(pk)

    with a_queue(handle):
        call_command("work", threads=1)

    assert begun
    assert finished == begun


def test_work_goes_on_after_the_database_was_away(orders):
    rows = [ConnectionError("the database is away")]
    seen = []

    def come_and_go():
        if rows:
            raise rows.pop()
        return Order.objects.all()

    def handle(pk: int) -> None:
        done(pk)
        seen.append(pk)
        end()

    with a_queue(handle):
        work.register(work.Queue("test", come_and_go, handle))
        call_command("work", threads=1)

    assert seen


@pytest.mark.parametrize("threads", ["0", "-1", "many"])
def test_work_needs_a_thread(threads):
    with pytest.raises(CommandError, match="threads"):
        call_command("work", f"--threads={threads}")


# ---------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.django_db
def test_a_key_is_made_and_printed_once(capsys):
    merchant = a_merchant(slug="cups")

    call_command("create_api_key", merchant="cups", mode="live", scope=["read"])

    key = ApiKey.find(capsys.readouterr().out.strip())
    assert key is not None
    assert (key.merchant, key.mode, key.scopes) == (merchant, "live", ["read"])


@pytest.mark.django_db
def test_a_key_as_json(capsys):
    a_merchant(slug="cups")

    call_command("create_api_key", "--merchant=cups", "--json")

    made = json.loads(capsys.readouterr().out)
    assert made["key"].startswith("sk_test_")
    assert (made["merchant"], made["mode"]) == ("cups", "test")
    assert ApiKey.find(made["key"])


@pytest.mark.django_db
def test_an_unknown_merchant_is_answered_with_the_known_ones():
    a_merchant(slug="cups")

    with pytest.raises(CommandError, match=r"no merchant with the slug 'cup'.*cups"):
        call_command("create_api_key", merchant="cup")
