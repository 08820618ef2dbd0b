"""Whoever plays in a whole flow, as objects that a test can talk to."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from checkout import work


class Simulator:
    """A provider's simulator, by its operator's API."""

    def __init__(self, url: str, state: Path, slug: str = "lesspay") -> None:
        self.url, self.state, self.slug = url, state, slug
        self._session = requests.Session()
        self._session.trust_env = False

    @classmethod
    @contextmanager
    def running(cls, state: Path) -> Iterator[Simulator]:
        """A process of its own, ended by its process id."""
        port = free_port()
        command = [sys.executable, "-m", "providers.simulation", "--port", str(port), "--state", str(state)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            simulator = cls(f"http://127.0.0.1:{port}", state)
            _until_it_answers(simulator.url, process)
            yield simulator
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)

    def of(self, slug: str) -> Simulator:
        """Another provider in the same process."""
        return Simulator(self.url, self.state, slug)

    def set_up(self, accounts: str, **account: Any) -> None:
        """Turn switches of one of its accounts; ``accounts`` is what this provider calls them."""
        self._post(f"/_sim/{self.slug}/{accounts}", **account)

    def reset(self) -> None:
        self._post("/_sim/reset")

    def advance(self, seconds: int) -> None:
        """Jump its clock forward; whatever falls due on the way happens."""
        self._post("/_sim/clock", advance_seconds=seconds)

    def settle(self) -> None:
        """Let it do what is due in the next second, webhooks included."""
        self.advance(1)

    def dial(self, name: str, **options: Any) -> None:
        self._post(f"/_sim/{self.slug}/dials", name=name, **options)

    def order(self, reference: str) -> dict[str, Any]:
        return self._get(f"/_sim/{self.slug}/orders/{reference}")

    def happen(self, reference: str, event: str, **data: Any) -> None:
        self._post(f"/_sim/{self.slug}/orders/{reference}/events", event=event, **data)

    def resend(self, reference: str) -> None:
        self._post(f"/_sim/{self.slug}/orders/{reference}/resend")

    def books(self) -> list[dict[str, Any]]:
        """Every charge and refund that this provider knows: the oracle."""
        entries: list[dict[str, Any]] = self._get(f"/_sim/{self.slug}/ledger")["entries"]
        return entries

    def calls(self, operation: str) -> list[dict[str, Any]]:
        answer = self._get(f"/_sim/{self.slug}/calls?limit=500")
        return [call for call in answer["calls"] if call["operation"] == operation]

    def _post(self, path: str, **data: Any) -> dict[str, Any]:
        answer = self._session.post(self.url + path, json=data, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._session.get(self.url + path, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def charged(simulator: Simulator) -> int:
    """What the provider's own books say it took and kept, in minor units."""
    signs = {"charge": 1, "refund": -1}
    return sum(signs[entry["kind"]] * entry["amount"] for entry in simulator.books())


def work_until_quiet(*, rounds: int = 20) -> None:
    """What the worker's loop does, until nothing is due."""
    for _ in range(rounds):
        if not work.run_due():
            return
    raise AssertionError("there is always something due")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _until_it_answers(url: str, process: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the simulator ended at once")
        try:
            requests.get(f"{url}/_sim/clock", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the simulator does not answer")
