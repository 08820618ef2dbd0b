"""All simulators, their one store and their one clock, and whatever becomes due."""

import importlib
import logging
import threading
from pathlib import Path

from providers.simulation.clock import Clock
from providers.simulation.dials import Dials
from providers.simulation.provider import ProviderSimulator
from providers.simulation.store import Store
from providers.simulation.webhooks import Webhooks

PROVIDERS = Path(__file__).resolve().parent.parent

logger = logging.getLogger(__name__)


class Simulation:
    """The other side of the wire. Before ``start()`` nothing falls due by itself: ``settle()``, ``advance()`` do it."""

    def __init__(
        self, state: Path | str, *, allow_remote: bool = False, public_url: str = "", webhook_time_out_s: float = 20
    ) -> None:
        self.allow_remote = allow_remote
        self.public_url = public_url.rstrip("/")
        self.store = Store(state)
        self.clock = Clock(self.store)
        self.closing = threading.Event()
        self._news = threading.Event()
        self._jumping = threading.Lock()
        self._worker: threading.Thread | None = None
        self.simulators = {simulator.slug: simulator(self) for simulator in find_simulators()}
        self.dials = {slug: Dials(self.store, simulator) for slug, simulator in self.simulators.items()}
        self.webhooks = Webhooks(self, time_out_s=webhook_time_out_s)
        self._seed()

    def _seed(self) -> None:
        with self.store.write():
            for simulator in self.simulators.values():
                for account in simulator.default_accounts():
                    if self.store.account(account.provider, account.id) is None:
                        self.store.save_account(account)

    def reset(self) -> None:
        """Forget everything, the clock's offset included; only the default accounts come back."""
        with self.store.write():
            self.store.clear()
            self._seed()

    def wake(self) -> None:
        """Something may be due."""
        self._news.set()

    def start(self) -> None:
        """Let due things happen by themselves from now on."""
        self._worker = threading.Thread(target=self._work, name="simulation", daemon=True)
        self._worker.start()

    def stop(self) -> None:
        """End waiting answers, let webhooks in flight land, close the store."""
        self.closing.set()
        self._news.set()
        if self._worker is not None:
            self._worker.join()
        self.webhooks.close()
        self.store.close()

    def _work(self) -> None:
        while not self.closing.is_set():
            self._news.clear()
            try:
                self.run_due()
                due = self._next_due()
            except Exception:
                logger.exception("simulation_work_failed")
                due = None
            wait = 60.0 if due is None else min(60.0, max(0.0, (due - self.clock.now()) / 1000))
            self._news.wait(wait)

    def run_due(self) -> None:
        """Do what is due now: planned jobs, then webhooks (which are started, not awaited)."""
        while self._run_job():
            pass
        self.webhooks.send_due()

    def _run_job(self) -> bool:
        with self.store.write():
            job = self.store.claim_job(self.clock.now())
            if job is None:
                return False
            self.simulators[job.provider].run(job)
            return True

    def settle(self) -> None:
        """Do what is due now, and wait until every webhook due now is answered or has failed."""
        self.run_due()
        self.webhooks.settle()

    def advance(self, seconds: float) -> None:
        """Jump forward. Whatever falls due on the way happens in order and at its own time, retries included."""
        with self._jumping:
            target = self.clock.now() + int(1000 * seconds)
            self.settle()
            while (due := self._next_due()) is not None and due <= target:
                self.clock.jump_to(due)
                self.settle()
            self.clock.jump_to(target)
            self.settle()

    def _next_due(self) -> int | None:
        job = self.store.row("SELECT min(due_at) AS due FROM jobs")
        moments = [self.webhooks.next_due(), job["due"] if job else None]
        return min((int(moment) for moment in moments if moment is not None), default=None)


def find_simulators() -> list[type[ProviderSimulator]]:
    """The ``Simulator`` class of every ``providers/<slug>/simulator.py``, by slug."""
    slugs = sorted(path.parent.name for path in PROVIDERS.glob("*/simulator.py"))
    return [importlib.import_module(f"providers.{slug}.simulator").Simulator for slug in slugs]
