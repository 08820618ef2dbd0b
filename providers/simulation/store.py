"""What the simulation knows, in one SQLite file. Committed before anything is answered, so a kill loses nothing told.

All times are epoch milliseconds on the simulation's clock, all amounts integers in minor units.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from providers.simulation.provider import Account, Job, Order

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    provider TEXT NOT NULL, id TEXT NOT NULL, settings TEXT NOT NULL, PRIMARY KEY (provider, id));
CREATE TABLE IF NOT EXISTS orders (
    provider TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL, reference TEXT NOT NULL, status TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, created_at INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (provider, id), UNIQUE (provider, account, reference));
CREATE INDEX IF NOT EXISTS orders_by_age ON orders (provider, created_at);
CREATE TABLE IF NOT EXISTS keys (
    provider TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, account TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (provider, kind, key));
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, kind TEXT NOT NULL, order_id TEXT NOT NULL, account TEXT NOT NULL,
    reference TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, kind TEXT NOT NULL, order_id TEXT NOT NULL,
    due_at INTEGER NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (due_at);
CREATE TABLE IF NOT EXISTS webhooks (
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, order_id TEXT NOT NULL, account TEXT NOT NULL,
    reference TEXT NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
    twists TEXT NOT NULL, state TEXT NOT NULL, due_at INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS webhooks_by_due ON webhooks (state, due_at);
CREATE INDEX IF NOT EXISTS webhooks_by_order ON webhooks (provider, order_id);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, webhook INTEGER NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE, at INTEGER NOT NULL,
    status INTEGER, reply TEXT NOT NULL, error TEXT NOT NULL, took_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_by_webhook ON attempts (webhook);
CREATE TABLE IF NOT EXISTS dials (
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, operation TEXT,
    reference TEXT, remaining INTEGER);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, provider TEXT NOT NULL, at INTEGER NOT NULL, operation TEXT NOT NULL,
    account TEXT NOT NULL, reference TEXT NOT NULL, request TEXT NOT NULL, verdict TEXT NOT NULL,
    expected TEXT NOT NULL, status INTEGER NOT NULL, answer TEXT NOT NULL, faults TEXT NOT NULL);
"""
TABLES = ("facts", "accounts", "orders", "keys", "ledger", "jobs", "attempts", "webhooks", "dials", "calls")


class Store:
    """One connection behind one lock. Writes are ``BEGIN IMMEDIATE`` and may nest: the outermost one commits."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._after_commit: list[Callable[[], None]] = []
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;" + SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is kept together or not at all."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._db
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                    self._after_commit.clear()
                raise
            self._depth -= 1
            if self._depth:
                return
            self._db.execute("COMMIT")
            due, self._after_commit = self._after_commit, []
        for act in due:
            act()

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call ``act`` once the write in progress is committed."""
        with self.write():
            self._after_commit.append(act)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        found = self.rows(sql, *values)
        return found[0] if found else None

    def insert(self, table: str, **values: Any) -> int:
        """Add one row to one of ``TABLES``. The names come from our own code, never from outside."""
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608  # nosec B608
        with self.write() as db:
            return int(db.execute(sql, list(values.values())).lastrowid or 0)

    def clear(self) -> None:
        with self.write() as db:
            for table in ("attempts", *(name for name in TABLES if name != "attempts")):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  # nosec B608

    def fact(self, name: str) -> str | None:
        found = self.row("SELECT value FROM facts WHERE name = ?", name)
        return None if found is None else str(found["value"])

    def set_fact(self, name: str, value: str) -> None:
        with self.write() as db:
            db.execute(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def rising(self, name: str, at_least: int) -> int:
        """A number never given before under ``name``, greater than all earlier ones and not below ``at_least``."""
        with self.write():
            number = max(at_least, int(self.fact(name) or 0) + 1)
            self.set_fact(name, str(number))
            return number

    def save_account(self, account: Account) -> None:
        with self.write() as db:
            db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET settings = excluded.settings",
                (account.provider, account.id, json.dumps(account.settings)),
            )

    def account(self, provider: str, id: str) -> Account | None:
        found = self.row("SELECT * FROM accounts WHERE provider = ? AND id = ?", provider, id)
        return None if found is None else Account(provider, id, json.loads(found["settings"]))

    def accounts(self, provider: str) -> list[Account]:
        found = self.rows("SELECT * FROM accounts WHERE provider = ? ORDER BY rowid", provider)
        return [Account(provider, row["id"], json.loads(row["settings"])) for row in found]

    def add_order(self, order: Order) -> bool:
        """False when the account already used this reference."""
        with self.write() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (order.provider, order.id, order.account, order.reference, order.status, order.amount,
                 order.currency, order.created_at, json.dumps(order.data)),
            )  # fmt: skip
            return added.rowcount == 1

    def save_order(self, order: Order) -> None:
        with self.write() as db:
            db.execute(
                "UPDATE orders SET status = ?, data = ? WHERE provider = ? AND id = ?",
                (order.status, json.dumps(order.data), order.provider, order.id),
            )

    def order(self, provider: str, id: str) -> Order | None:
        found = self.row("SELECT * FROM orders WHERE provider = ? AND id = ?", provider, id)
        return None if found is None else _order(found)

    def order_by_reference(self, provider: str, account: str, reference: str) -> Order | None:
        found = self.row(
            "SELECT * FROM orders WHERE provider = ? AND account = ? AND reference = ?", provider, account, reference
        )
        return None if found is None else _order(found)

    def orders(
        self,
        provider: str,
        *,
        account: str | None = None,
        start: int = 0,
        end: int = 2**62,
        limit: int = 100,
        skip: int = 0,
    ) -> list[Order]:
        """Newest first, created between ``start`` and ``end`` (inclusive)."""
        found = self.rows(
            "SELECT * FROM orders WHERE provider = ? AND (? IS NULL OR account = ?) AND created_at BETWEEN ? AND ?"
            " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
            provider, account, account, start, end, limit, skip,
        )  # fmt: skip
        return [_order(row) for row in found]

    def count_orders(self, provider: str, *, account: str | None = None, start: int = 0, end: int = 2**62) -> int:
        found = self.row(
            "SELECT count(*) AS n FROM orders WHERE provider = ? AND (? IS NULL OR account = ?)"
            " AND created_at BETWEEN ? AND ?",
            provider, account, account, start, end,
        )  # fmt: skip
        return int(found["n"]) if found else 0

    def set_key(self, provider: str, kind: str, key: str, *, account: str, value: str) -> None:
        """Remember a look-up: page key → order id, card token → card, …"""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", (provider, kind, key, account, value))

    def key(self, provider: str, kind: str, key: str) -> str | None:
        found = self.row("SELECT value FROM keys WHERE provider = ? AND kind = ? AND key = ?", provider, kind, key)
        return None if found is None else str(found["value"])

    def add_job(self, provider: str, kind: str, order_id: str, due_at: int, **data: Any) -> None:
        self.insert("jobs", provider=provider, kind=kind, order_id=order_id, due_at=due_at, data=json.dumps(data))

    def claim_job(self, now: int) -> Job | None:
        """Take the job that is due first; whoever takes it runs it inside the same write."""
        with self.write() as db:
            found = self.row("SELECT * FROM jobs WHERE due_at <= ? ORDER BY due_at, id LIMIT 1", now)
            if found is None:
                return None
            db.execute("DELETE FROM jobs WHERE id = ?", (found["id"],))
            return Job(found["provider"], found["kind"], found["order_id"], json.loads(found["data"]))

    def drop_jobs(self, provider: str, kind: str, order_id: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM jobs WHERE provider = ? AND kind = ? AND order_id = ?", (provider, kind, order_id))

    def post(self, order: Order, kind: str, amount: int, currency: str, at: int) -> None:
        """Write a charge or a refund into the simulator's own books; never changed afterwards."""
        self.insert(
            "ledger", provider=order.provider, kind=kind, order_id=order.id, account=order.account,
            reference=order.reference, amount=amount, currency=currency, at=at,
        )  # fmt: skip


def _order(row: sqlite3.Row) -> Order:
    return Order(**{**dict(row), "data": json.loads(row["data"])})
