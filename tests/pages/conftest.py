from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from checkout.merchants.models import Merchant, ProviderAccount
    from checkout.orders.models import Order
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
    """An account at the test provider that sends codes, shows QR codes and keeps cards."""
    from tests import factories

    from providers.zenith import DESK  # isort: skip

    DESK.reset()
    yield factories.an_account(merchant, name="Zenith", provider="zenith", credentials={"key": "zen"})
    DESK.reset()


@pytest.fixture(autouse=True)
def card_form(settings: Any) -> None:
    settings.CARD_FORM = True


@pytest.fixture
def merchant(db: None) -> Merchant:
    from tests import factories

    return factories.a_merchant(name="Fern & Clay", accent_colour="#0f6b52")


@pytest.fixture
def account(merchant: Merchant) -> ProviderAccount:
    from tests import factories

    return factories.an_account(merchant)


@pytest.fixture
def order(merchant: Merchant, account: ProviderAccount) -> Order:
    from tests import factories

    return factories.an_order(merchant)
