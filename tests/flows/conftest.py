"""The stage for whole flows: our server, a provider's simulator in a process of its own, and the worker's loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from checkout.merchants.models import Merchant, ProviderAccount
    from tests.flows.stage import Simulator


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    from tests.flows.stage import Simulator

    state: Path = tmp_path_factory.mktemp("simulator") / "state.sqlite3"
    with Simulator.running(state) as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """The provider's side, with nothing in its books."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def our_url(live_server: Any, settings: Any) -> str:
    """Our own server, reachable by browsers and by the simulator's webhooks."""
    settings.BASE_URL = live_server.url
    settings.CARD_FORM = True
    return str(live_server.url)


@pytest.fixture
def merchant(our_url: str) -> Merchant:
    from tests import factories

    return factories.a_merchant(name="Fern & Clay")


@pytest.fixture
def account(merchant: Merchant, simulator: Simulator) -> ProviderAccount:
    from tests import factories

    return factories.an_account(
        merchant,
        name="Lesspay",
        provider="lesspay",
        base_url=f"{simulator.url}/lesspay",
        credentials={"app_id": "690b2b46e4b09c73147db688", "app_secret": "Wy31kFZf4jkE+Y2XZhmFuQ"},
    )
