"""What a load balancer is told."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection


def test_a_living_process_says_so_without_the_database(client):
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_a_migrated_database_is_ready(client):
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["checks"] == {"database": True, "migrations": True}


@pytest.mark.django_db
def test_without_the_database_nothing_is_ready(client, monkeypatch):
    def away() -> None:
        raise OperationalError("password=hunter2 is wrong")

    monkeypatch.setattr(connection, "cursor", away)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["database"] is False
    assert b"hunter2" not in response.content
