"""What every test stands on: a fixed environment, one of two databases, no network beyond this machine, a browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
ENGINE = os.environ.get("TEST_ENGINE", "sqlite")
# Shared by the processes of one run, so that two runs in one folder never meet in a database.
RUN = os.environ.setdefault("TEST_RUN", str(os.getpid()))
SCRATCH = ROOT / ".cache" / "tests" / RUN

# Whatever the shell or a .env file says, tests start from the defaults.
for name in re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
    os.environ.pop(name, None)
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "checkout.settings",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright keeps an event loop running in the thread that tests run in
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "only-for-tests",
    "SEAL_KEYS": "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMhISE=",
    "STATIC_MANIFEST": "off",
    "LOG_LEVEL": "WARNING",
}
if ENGINE == "postgresql":
    os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
else:
    os.environ["DATABASE_URL"] = f"sqlite:///{SCRATCH / 'unused'}"

from django.conf import settings  # noqa: E402 - reads the environment above

# A file and not memory on SQLite: threads and processes then meet the same locks as in production.
settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = (
    f"test_paydesk_{RUN}" if ENGINE == "postgresql" else str(SCRATCH / "database")
)
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

import hypothesis  # noqa: E402

hypothesis.settings.register_profile("default", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "default")

# --------------------------------------------------------------------------------------------------------- which tests

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server", "client_with_database"}
BROWSER_FIXTURES = {"page", "context", "browser", "new_context"}


def pytest_configure(config: pytest.Config) -> None:
    SCRATCH.mkdir(parents=True, exist_ok=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(SCRATCH, ignore_errors=True)
        if ENGINE == "postgresql":
            _drop_databases()


def _drop_databases() -> None:
    """What a worker that was killed, or a migration that failed, left on the server."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        names = "SELECT datname FROM pg_database WHERE datname = %(own)s OR starts_with(datname, %(own)s || '_gw')"
        for (name,) in server.execute(names, {"own": f"test_paydesk_{RUN}"}).fetchall():
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark browser tests; on PostgreSQL keep what the database can make a difference to."""
    for item in items:
        if _fixtures(item) & BROWSER_FIXTURES:
            item.add_marker(pytest.mark.browser)
    if ENGINE == "postgresql":
        kept = [item for item in items if _touches_database(item) and not item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def _touches_database(item: pytest.Item) -> bool:
    return item.get_closest_marker("django_db") is not None or bool(_fixtures(item) & DATABASE_FIXTURES)


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


# ------------------------------------------------------------------------------------------------------------- network


class NetworkUsed(BaseException):
    """A test tried to leave this machine. Not an Exception, so that no code under test can take it for an outage."""


@pytest.fixture(scope="session", autouse=True)
def only_this_machine() -> Iterator[None]:
    """Connections go to loopback only, and other names do not resolve, as if the machine were offline."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
    known = {"", "localhost", socket.gethostname(), settings.DATABASES["default"].get("HOST", "")}

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_outside(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_outside(self, address)
        return connect_ex(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_literal(host) and str(host or "").rstrip(".") not in known:
            raise socket.gaierror(socket.EAI_NONAME, f"tests are offline: {host!r} does not resolve")
        return resolve(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_resolve)
    yield
    patch.undo()


def _refuse_outside(connection: socket.socket, address: Any) -> None:
    if connection.family in {socket.AF_INET, socket.AF_INET6}:
        host = str(address[0])
        if host != "localhost" and not (_is_literal(host) and ip_address(host).is_loopback):
            raise NetworkUsed(f"a test tried to connect to {host}")


def _is_literal(host: Any) -> bool:
    try:
        ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, which finds this machine and nothing else; ``*.test`` are further names for it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        sentence = "Chromium is missing; `bin/chromium` installs it or says how"
        pytest.fail(sentence) if IN_CI else pytest.skip(sentence)
    return {
        **browser_type_launch_args,
        "executable_path": path,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--no-first-run",
            "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        ],
    }
