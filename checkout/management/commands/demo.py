"""``manage.py demo``: the whole product on this machine, with a shop and simulated providers, until Ctrl-C.

It needs no configuration and believes none: its processes get an environment of their own, so that a ``.env`` with real
accounts has no part in it. What it makes up once (keys, a password) stays in its folder, and a second run finds the
same data again. ``PORT`` and ``SIMULATOR_PORT`` move it to other ports.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess  # nosec B404
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import requests
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management.base import BaseCommand

from checkout.demo.shop import PRODUCTS, Shop

HOST = "127.0.0.1"
READY_SECONDS = 60
"""How long a part may take to answer for the first time; a slow machine, not a fast one, decides."""

GRACE_SECONDS = 10
"""How long a part may take to end."""

LAST_LINES = 20
INHERITED = ("PATH", "HOME", "LANG", "LC_", "TMPDIR", "TZ", "PYTHON", "LD_LIBRARY_PATH", "DYLD_")
PARENT_DEATH = 1  # Linux, prctl(2): PR_SET_PDEATHSIG


class Failed(Exception):
    """Why there is no demonstration, in a sentence for whoever started it."""


class Ended(Exception):
    """Somebody asked for the end."""


class Command(BaseCommand):
    help = "Run a shop, the checkout, the desk and simulated providers on this machine; Ctrl-C ends them all."
    requires_system_checks: list[str] = []  # there are no settings to check yet

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        default = os.environ.get("DEMO_FOLDER") or settings.BASE_DIR / ".demo"
        parser.add_argument("--folder", type=Path, default=default, help="keeps data, keys and logs (default: .demo)")

    def handle(self, *, folder: Path, **options: Any) -> None:
        try:
            with _asked_to_end() as asked:
                self._run(Demo(folder.resolve(), _port("PORT", 8000), _port("SIMULATOR_PORT", 8001), asked))
        except Ended:
            self.stdout.write("\n  Ended.")
        except Failed as failure:
            self.stderr.write(str(failure))
            sys.exit(1)

    def _run(self, demo: Demo) -> None:
        demo.prepare()
        self.stdout.write("\n  Starting Paydesk …")
        self.stdout.flush()
        with demo.running():
            self._present(demo.introduce())
            demo.wait_for_the_end()

    def _present(self, found: Mapping[str, str]) -> None:
        rows = (
            ("Shop", found["shop_url"], "buy something"),
            ("Checkout", found["checkout_url"], "an order that waits to be paid"),
            ("Desk", f"{found['base_url']}/admin/", f"{found['admin_user']}  {found['admin_password']}"),
            ("Simulator", f"{found['simulator_url']}/", "test cards, faults, webhooks"),
            ("API key", found["api_key"], f"for {found['base_url']}/api/v1/"),
        )
        lines = []
        for label, what, remark in rows:
            # A long address would push its remark out of the window, so the remark goes below it.
            lines.append(f"  {label:<11}{what}")
            lines.append(f"  {'':<11}{self.style.HTTP_NOT_MODIFIED(remark)}")
        self.stdout.write("\n".join(("", *lines, "", "  No real money moves. Ctrl-C ends everything.", "")))
        self.stdout.flush()


@dataclass
class Demo:
    folder: Path
    port: int
    simulator_port: int
    asked_to_end: threading.Event
    parts: list[Part] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    """What is made up once and kept in ``secrets.json``."""

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.simulator_port}"

    @property
    def found(self) -> Path:
        """Tells programs how to get in; it is there as long as the demonstration runs."""
        return self.folder / "demo.json"

    def prepare(self) -> None:
        """Everything that can be refused before a process is started."""
        if self.port == self.simulator_port:
            raise Failed("PORT and SIMULATOR_PORT are the same; give the simulator a port of its own.")
        _require_free("PORT", self.port)
        _require_free("SIMULATOR_PORT", self.simulator_port)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.kept = self._read_or_make_secrets()
        self.found.unlink(missing_ok=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """All parts, answering; every one of them is gone afterwards."""
        with _locked(self.folder):
            try:
                self._start_all()
                yield
            finally:
                for part in reversed(self.parts):
                    part.ask_to_end()
                deadline = time.monotonic() + GRACE_SECONDS
                for part in reversed(self.parts):
                    part.end(deadline)
                self.found.unlink(missing_ok=True)

    def introduce(self) -> dict[str, str]:
        """Make a first order; what to tell people, and programs by ``demo.json``."""
        shop = Shop(self.base_url, self.kept["api_key"], self.kept["webhook_secret"], self.folder / "heard.jsonl")
        found = {
            "base_url": self.base_url,
            "simulator_url": self.simulator_url,
            "api_key": self.kept["api_key"],
            "admin_user": self.kept["admin_user"],
            "admin_password": self.kept["admin_password"],
            "checkout_url": shop.sell(PRODUCTS[0]),
            "shop_url": shop.url,
        }
        _write_privately(self.found, found)
        return found

    def wait_for_the_end(self) -> NoReturn:
        """Raises Ended when somebody asks, Failed when a part dies."""
        self._until(lambda: False, seconds=float("inf"), what="")
        raise Ended

    # ------------------------------------------------------------------------------------------------------- starting

    def _start_all(self) -> None:
        manage = (sys.executable, str(settings.BASE_DIR / "manage.py"))
        simulator = (sys.executable, "-m", "providers.simulation", "--host", HOST, "--port", str(self.simulator_port))
        granian = (str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--no-access-log")
        size = ("--workers", "1", "--blocking-threads", "16")  # the shop's threads wait for the API's
        # What takes longest comes first, and all of it at the same time.
        seed = self._start("seed", *manage, "seed_demo", "--admin", self.kept["admin_user"], talks=True)
        self._start("web", *granian, *size, "--host", HOST, "--port", str(self.port), "checkout.wsgi:application")
        self._start("simulator", *simulator, "--state", str(self.folder / "simulator.sqlite3"))
        self._finish(seed)
        self._until(lambda: _answers(f"{self.base_url}/healthz"), what="The web server")
        self._until(lambda: _answers(f"{self.simulator_url}/_sim/clock"), what="The simulator")
        self._start("worker", *manage, "work")

    def _finish(self, seed: Part) -> None:
        """Tell it what to seed with, and keep what it made."""
        self.parts.remove(seed)
        try:
            given = {name: self.kept.get(name, "") for name in ("admin_password", "api_key")}
            answer, _ = seed.process.communicate(json.dumps(given).encode(), READY_SECONDS)
        except subprocess.TimeoutExpired:
            seed.end(0)
            raise Failed(f"The database was not ready after {READY_SECONDS} seconds: {seed.log}") from None
        if seed.process.returncode:
            raise Failed(f"The database cannot be used. The last words:\n\n{seed.last_words()}")
        made = json.loads(answer)
        self.kept |= made
        _write_privately(self.folder / "secrets.json", self.kept)
        _write_privately(self.folder / "shop.json", made)

    def _start(self, name: str, *command: str, talks: bool = False) -> Part:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # nosec B603
                command,
                cwd=settings.BASE_DIR,
                env=self._environment(),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else output,
                stderr=output if talks else subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, and it ends the others in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        self.parts.append(Part(name, process, log))
        return self.parts[-1]

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith(INHERITED)} | {
            "ENV_FILE": os.devnull,
            "DEMO": "1",
            "CARD_FORM": "1",
            "ALLOW_PRIVATE_ENDPOINTS": "1",
            "SECRET_KEY": self.kept["secret_key"],
            "SEAL_KEYS": self.kept["seal_keys"],
            "DATABASE_URL": f"sqlite:///{self.folder / 'paydesk.sqlite3'}",
            "BASE_URL": self.base_url,
            "SIMULATOR_URL": self.simulator_url,
            "SHOP_KEYS": str(self.folder / "shop.json"),
            "SHOP_NOTEBOOK": str(self.folder / "heard.jsonl"),
            "LOG_JSON": "0",
            "PYTHONUNBUFFERED": "1",
        }

    def _until(self, is_so: Callable[[], bool], *, what: str, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            for part in self.parts:
                if part.process.poll() is not None:
                    raise Failed(f"The {part.name} ended by itself. Its last words:\n\n{part.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"{what} does not answer after {seconds:.0f} seconds. Logs are in {self.folder}.")
            if self.asked_to_end.wait(0.1 if what else 0.5):
                raise Ended

    def _read_or_make_secrets(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        if path.exists():
            kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        if (self.folder / "paydesk.sqlite3").exists():
            raise Failed(
                f"{path} is missing, so the data beside it cannot be opened. Remove {self.folder} to start anew."
            )
        made = {
            "secret_key": secrets.token_urlsafe(50),
            "seal_keys": Fernet.generate_key().decode(),
            "admin_user": "admin",
            "admin_password": secrets.token_urlsafe(12),
        }
        _write_privately(path, made)
        return made


@dataclass(frozen=True)
class Part:
    """One process, and everything that it starts."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask_to_end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for it to go, then make it and whatever it left behind go."""
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # the group is empty, or holds nothing but a zombie (macOS)
            pass
        self.process.wait()

    def last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (none)"


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Set by Ctrl-C, SIGTERM or a closed window, even where a shell has us started with SIGINT ignored."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    yield asked


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed(
                f"Another demo is running in {folder}; end it, or set DEMO_FOLDER to another folder."
            ) from None
        yield


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)

    def _end_with_parent() -> None:
        """Between fork and exec: SIGTERM for this process should the one that started it be killed."""
        _libc.prctl(PARENT_DEATH, signal.SIGTERM)


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Failed(f"{name} is {text!r}, which is not a port.")
    return int(text)


def _require_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Failed(f"Port {port} cannot be had ({error.strerror}); choose another: {name}=… make demo") from None


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no part in this
        try:
            return session.get(url, timeout=5).status_code == 200
        except requests.RequestException:
            return False


def _write_privately(path: Path, content: Mapping[str, str]) -> None:
    """All of it or nothing, readable by its owner only."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)
