from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

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
def merchant(transactional_db: None) -> Merchant:
    from tests import factories

    return factories.a_merchant()


@pytest.fixture
def account(merchant: Merchant) -> ProviderAccount:
    from tests import factories

    return factories.an_account(merchant)
