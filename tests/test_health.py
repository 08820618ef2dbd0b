"""What a load balancer is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from checkout import work
from tests.factories import a_merchant, an_order


def test_a_living_process_says_so_without_the_database(client):
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client):
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["checks"] == {
        "database": True,
        "migrations": True,
        "worker": False,
        "work": True,
        "clock": True,
    }


@pytest.mark.django_db(transaction=True)
def test_a_working_worker_is_seen_and_a_silent_one_missed(client):
    work.run_due()
    assert client.get("/readyz").json()["status"] == "ok"

    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["worker"] is False


@pytest.mark.django_db(transaction=True)
def test_work_that_nobody_does_is_told_by_queue(client):
    an_order(a_merchant(), expires_in=300)

    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=False):
        answer = client.get("/readyz").json()

    assert answer["checks"]["work"] is False
    assert answer["late_seconds"]["orders"] == 300


@pytest.mark.django_db
def test_without_the_database_nothing_is_ready(client, monkeypatch):
    def away() -> None:
        raise OperationalError("password=hunter2 is wrong")

    monkeypatch.setattr(connection, "cursor", away)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["database"] is False
    assert b"hunter2" not in response.content
