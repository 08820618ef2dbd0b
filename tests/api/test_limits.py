"""How much a key may ask: counted for all processes together, told with a time to come back, and for nobody else."""

from __future__ import annotations

import pytest
import time_machine

from checkout.api import limits
from checkout.api.models import Share
from checkout.merchants.models import ApiKey
from tests.api.test_orders import Api
from tests.factories import a_merchant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_lots():
    limits.forget()
    yield
    limits.forget()


@pytest.fixture
def clock():
    with time_machine.travel("2030-01-01T12:00:15Z", tick=False) as clock:
        yield clock


@pytest.fixture
def api() -> Api:
    return Api(a_merchant())


def statuses(api: Api, number: int) -> list[int]:
    return [api.get("/api/v1/orders").status_code for _ in range(number)]


@pytest.mark.parametrize("limit", [1, 3, 20, 47])
def test_so_many_and_no_more(api, clock, settings, limit):
    settings.API_READS_PER_MINUTE = limit

    assert statuses(api, limit + 3) == [200] * limit + [429] * 3


def test_a_refusal_says_when_to_come_back_and_then_it_works(api, clock, settings):
    settings.API_READS_PER_MINUTE = 1
    statuses(api, 1)

    refused = api.get("/api/v1/orders")

    assert (refused.status_code, refused["Retry-After"]) == (429, "45")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "too_many_requests"
    clock.shift(45)
    assert statuses(api, 2) == [200, 429]


def test_reading_and_writing_have_their_own_share(api, clock, settings):
    settings.API_READS_PER_MINUTE = settings.API_WRITES_PER_MINUTE = 1

    assert statuses(api, 2) == [200, 429]
    assert [api.post().status_code for _ in range(2)] == [201, 429]


def test_another_key_is_another_share_whatever_its_headers_say(api, clock, settings):
    settings.API_READS_PER_MINUTE = 1
    statuses(api, 1)

    headers = {"Authorization": f"Bearer {api.key}", "X-Forwarded-For": "198.51.100.9", "X-Real-IP": "198.51.100.9"}
    assert api.client.get("/api/v1/orders", headers=headers).status_code == 429
    assert statuses(Api(api.row.merchant), 1) == [200]


def test_all_processes_share_one_limit(api, clock, settings):
    settings.API_READS_PER_MINUTE = 60
    granted = 0
    for _ in range(30):
        limits.forget()  # as if each were another process that ends after three requests
        granted += statuses(api, 3).count(200)

    assert 20 <= granted <= 60
    assert Share.objects.get(api_key=api.row).taken == 60


def test_a_minute_costs_few_writes(api, clock, settings, django_assert_num_queries):
    settings.API_READS_PER_MINUTE = 1000
    statuses(api, 1)

    with django_assert_num_queries(2 * 40):  # the key and the orders
        statuses(api, 40)


def test_a_used_up_share_is_refused_without_asking_the_database(api, clock, settings, django_assert_num_queries):
    settings.API_READS_PER_MINUTE = 1
    statuses(api, 2)

    with django_assert_num_queries(1):  # the key
        assert statuses(api, 1) == [429]


def test_zero_is_no_limit(api, settings):
    settings.API_READS_PER_MINUTE = 0

    assert set(statuses(api, 30)) == {200}
    assert not Share.objects.exists()


def test_guessing_keys_counts_for_nobody(api, clock, settings):
    settings.API_READS_PER_MINUTE = 1
    stranger = Api(a_merchant())
    ApiKey.objects.filter(pk=stranger.row.pk).update(revoked_at="2026-01-01T00:00:00Z")

    assert statuses(stranger, 3) == [401, 401, 401]
    assert statuses(api, 1) == [200]
