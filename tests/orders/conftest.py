from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import time_machine

if TYPE_CHECKING:
    from checkout.merchants.models import Merchant, ProviderAccount
    from tests.extra_providers.acme import Bank


@pytest.fixture(autouse=True)
def bank() -> Iterator[Bank]:
    """The test provider's own books, empty."""
    from tests import factories  # noqa: F401 - puts the test provider where the gateway looks

    from providers.acme import BANK  # isort: skip

    BANK.reset()
    yield BANK
    BANK.reset()


@pytest.fixture
def zenith(merchant: Merchant) -> Iterator[ProviderAccount]:
    """An account at the test provider that sends codes, shows QR codes, keeps cards and hears of parcels."""
    from tests import factories

    from providers.zenith import DESK  # isort: skip

    DESK.reset()
    yield factories.an_account(merchant, name="Zenith", provider="zenith", credentials={"key": "zen"})
    DESK.reset()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until a test shifts it."""
    with time_machine.travel(datetime(2030, 1, 1, 12, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def merchant(db: None, request: pytest.FixtureRequest) -> Merchant:
    from tests import factories

    if "clock" in request.fixturenames:  # the clock stops before anything happens, wherever a test names it
        request.getfixturevalue("clock")

    return factories.a_merchant()


@pytest.fixture
def account(merchant: Merchant) -> ProviderAccount:
    from tests import factories

    return factories.an_account(merchant)
