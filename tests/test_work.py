"""Work that is due: claimed once, renewed when slow, repeated after a death, and never stopped by one bad row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from checkout import work
from checkout.orders.models import Order
from tests.factories import a_merchant, an_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock():
    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def orders(db, clock):
    """Three orders, due in this order."""
    merchant = a_merchant()
    rows = [an_order(merchant) for _ in range(3)]
    for number, row in enumerate(rows):
        Order.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(minutes=10 - number))
    return rows


@pytest.fixture
def queue(monkeypatch):
    """One queue of orders; its handler notes what it is given, and ``then`` says what else it does."""

    class Log(list):
        then = staticmethod(lambda pk: Order.objects.filter(pk=pk).update(due_at=None))

        def handle(self, pk):
            self.append(pk)
            self.then(pk)

    log = Log()
    monkeypatch.setattr(work, "_queues", {})
    work.register(work.Queue("orders", Order.objects.all, log.handle))
    return log


def pks(rows):
    return [row.pk for row in rows]


def test_what_is_due_is_done_oldest_first(orders, queue, clock):
    Order.objects.filter(pk=orders[1].pk).update(due_at=timezone.now() - timedelta(hours=1))

    assert work.run_due() == 3
    assert queue == [orders[1].pk, orders[0].pk, orders[2].pk]
    assert work.run_due() == 0


def test_what_is_not_due_is_left(orders, queue, clock):
    Order.objects.update(due_at=timezone.now() + timedelta(seconds=1))
    assert work.run_due() == 0

    clock.shift(1)

    assert work.run_due() == 3


def test_a_run_takes_no_more_than_its_share(orders, queue, clock):
    assert [work.run_due(per_queue=2), work.run_due(per_queue=2)] == [2, 1]


def test_a_row_that_broke_comes_again_after_its_lease_and_stops_nobody(orders, queue, clock, caplog):
    done = queue.then

    def break_once(pk):
        if queue.count(orders[0].pk) == 1 and pk == orders[0].pk:
            raise ValueError("no")
        done(pk)

    queue.then = break_once
    work.run_due()
    assert queue == pks(orders)
    assert f"work_failed queue=orders pk={orders[0].pk}" in caplog.text
    clock.shift(59)
    assert work.run_due() == 0
    clock.shift(1)

    assert work.run_due() == 1
    assert queue[3:] == [orders[0].pk]


def test_a_row_whose_worker_died_comes_again(orders, queue, clock):
    def die(pk):
        raise KeyboardInterrupt

    done, queue.then = queue.then, die
    with pytest.raises(KeyboardInterrupt):
        work.run_due()
    queue.then = done
    clock.shift(60)

    assert work.run_due() == 3


def test_a_nudge_does_one_row_and_only_when_it_is_due(orders, queue, clock):
    assert work.run_one("orders", orders[1].pk) == 1
    assert work.run_one("orders", orders[1].pk) == 0
    assert queue == [orders[1].pk]


def test_a_claimed_row_is_not_taken_again_by_a_nudge_from_its_own_handler(orders, queue, clock):
    queue.then = lambda pk: work.run_one("orders", pk)

    work.run_due()

    assert queue == pks(orders)


def test_a_slow_row_does_not_let_the_leases_behind_it_run_out(orders, queue, clock):
    done, others = queue.then, []

    def slow(pk):
        clock.shift(40)
        done(pk)
        others.append(work.run_due())

    queue.then = slow
    work.run_due()

    assert queue == pks(orders), "renewed half-way, so another worker found nothing to take"


def test_a_lease_that_ran_out_is_not_used(orders, queue, clock):
    done = queue.then

    def slow(pk):
        queue.then = done
        clock.shift(61)
        done(pk)
        work.run_due()  # another worker comes by meanwhile

    queue.then = slow
    work.run_due()

    assert sorted(queue) == pks(orders)


def test_without_a_broker_a_nudge_is_nothing(orders, settings, django_capture_on_commit_callbacks):
    settings.CELERY_BROKER_URL = ""
    with django_capture_on_commit_callbacks() as callbacks:
        work.nudge("orders", orders[0].pk)

    assert callbacks == []


def test_a_nudge_waits_for_the_commit_and_its_loss_breaks_nothing(
    orders, settings, django_capture_on_commit_callbacks, monkeypatch, caplog
):
    from checkout.orders import tasks

    def refuse(*args, **kwargs):
        raise ConnectionError("broker down")

    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(tasks.run_one, "apply_async", refuse)
    with django_capture_on_commit_callbacks() as callbacks:
        work.nudge("orders", orders[0].pk)
    assert len(callbacks) == 1

    callbacks[0]()

    assert f"nudge_lost queue=orders pk={orders[0].pk} error=ConnectionError" in caplog.text


def test_a_task_of_a_newer_version_is_understood(orders, queue, clock):
    from checkout.orders.tasks import run_due, run_one

    run_one("orders", orders[0].pk, hint="from the future")
    run_due(hint="from the future")

    assert sorted(queue) == pks(orders)
