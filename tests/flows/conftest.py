"""The stage for whole flows: our server, a provider's simulator in a process of its own, and the worker's loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


@pytest.fixture
def worker() -> Iterator[None]:
    """The worker's loop, as `manage.py work` runs it."""
    from django.db import connection

    from checkout import work

    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            work.run_due()
            stop.wait(0.1)
        connection.close()

    thread = threading.Thread(target=loop)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A browser without JavaScript and without any cookie."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(params=["with JavaScript", "without JavaScript"])
def visitor(request: pytest.FixtureRequest, page: Page) -> Page:
    return page if request.param == "with JavaScript" else request.getfixturevalue("plain")
