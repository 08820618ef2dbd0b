"""Two merchants who must not meet, and people who work for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from checkout.merchants.models import Merchant, ProviderAccount
    from tests.extra_providers.acme import Bank

_numbers = itertools.count(1)

LogIn = Callable[..., "Client"]


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

    return factories.a_merchant(name="Cups & Co", zone="Europe/Prague")


@pytest.fixture
def account(merchant: Merchant) -> ProviderAccount:
    from tests import factories

    return factories.an_account(merchant)


@pytest.fixture
def zenith(merchant: Merchant) -> Iterator[ProviderAccount]:
    """An account at the test provider that keeps cards and hears of parcels."""
    from tests import factories

    from providers.zenith import DESK  # isort: skip

    DESK.reset()
    yield factories.an_account(merchant, name="Zenith", provider="zenith", credentials={"key": "zen"})
    DESK.reset()


@pytest.fixture
def log_in(transactional_db: None) -> LogIn:
    """A browser of somebody with a role at a merchant; of a superuser without either."""
    from django.contrib.auth.models import User
    from django.test import Client

    from checkout.merchants.models import Member

    def make(merchant: Merchant | None = None, role: str = "owner") -> Client:
        name = f"{role}-{next(_numbers)}"
        user = User.objects.create(username=name, is_staff=True, is_superuser=merchant is None)
        if merchant:
            Member.objects.create(user=user, merchant=merchant, role=role)
        client = Client()
        client.force_login(user)
        client.user = user  # type: ignore[attr-defined]
        return client

    return make


@pytest.fixture
def owner(merchant: Merchant, log_in: LogIn) -> Any:
    return log_in(merchant, "owner")
