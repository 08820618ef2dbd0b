"""The webhook queue: rows first, then one HTTP POST each, and again on the provider's schedule until acknowledged.

States of a webhook: ``waiting`` (for ``due_at``), ``sending``, ``delivered``, ``given_up``, ``dropped`` (on purpose).
"""

import dataclasses
import ipaddress
import json
import logging
import threading
import time
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closed_after
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from providers.simulation.provider import Account, Message, Notice, Order, ProviderSimulator

if TYPE_CHECKING:
    from providers.simulation.simulation import Simulation

logger = logging.getLogger(__name__)

SENDERS = 8
REPLY_LIMIT = 2000  # characters of the merchant's reply that are kept
#: Dials that falsify the message itself.
TWISTS = frozenset(
    {
        "webhook_forged",
        "webhook_tampered",
        "webhook_wrong_amount",
        "webhook_wrong_currency",
        "webhook_wrong_reference",
        "webhook_unknown_status",
    }
)


class Webhooks:
    """Queue and senders. ``time_out_s`` is how long a merchant may take to answer (Jeepay allows 20 s)."""

    def __init__(self, simulation: "Simulation", *, time_out_s: float = 20) -> None:
        self._simulation = simulation
        self._store = simulation.store
        self._time_out_s = time_out_s
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook")
        self._flying = 0
        self._landed = threading.Condition()
        with self._store.write() as db:
            db.execute("UPDATE webhooks SET state = 'waiting' WHERE state = 'sending'")

    def announce(self, order: Order, notice: Notice, *, lost: bool = False) -> None:
        """Queue the webhook for a piece of news, falsified as the order's dials say. Call it inside a write."""
        simulator = self._simulation.simulators[order.provider]
        faults = self._simulation.dials[order.provider].of(order)
        twists = TWISTS & set(faults)
        account = self._store.account(order.provider, order.account)
        due_at = self._simulation.clock.now()
        if "webhook_early" not in faults:
            due_at += int(1000 * float((account.settings if account else {}).get("webhook_delay_s", 0)))
        due_at += int(1000 * float(faults.get("webhook_delay", 0)))
        state = "dropped" if lost or "webhook_drop" in faults else "waiting"
        message = simulator.compose(order, notice, twists)
        for _ in range(int(faults.get("webhook_duplicate", 1))):
            self._queue(order, notice.kind, message, due_at, state=state, twists=twists)
        if "webhook_reorder" in faults and len(order.history) > 1:
            before = dataclasses.replace(order, status=order.history[-2]["status"])
            old_news = simulator.compose(before, Notice("status"), twists)
            self._queue(order, "old news", old_news, due_at + 1000, state=state, twists=twists)

    def resend(self, order: Order, webhook: int | None = None) -> None:
        """Send one webhook again as it was, or the order's present status without any fault."""
        if webhook is not None:
            with self._store.write() as db:
                db.execute(
                    "UPDATE webhooks SET state = 'waiting', due_at = ? WHERE id = ? AND provider = ? AND order_id = ?"
                    " AND state <> 'sending'",
                    (self._simulation.clock.now(), webhook, order.provider, order.id),
                )
                self._store.after_commit(self._simulation.wake)
            return
        message = self._simulation.simulators[order.provider].compose(order, Notice("status"), set())
        self._queue(order, "resent", message, self._simulation.clock.now(), state="waiting", twists=set())

    def _queue(self, order: Order, kind: str, message: Message, due_at: int, *, state: str, twists: Set[str]) -> None:
        with self._store.write():
            self._store.insert(
                "webhooks", provider=order.provider, order_id=order.id, account=order.account,
                reference=order.reference, kind=kind, url=message.url, headers=json.dumps(message.headers),
                body=message.body, twists=" ".join(sorted(twists)), state=state, due_at=due_at,
                created_at=self._simulation.clock.now(),
            )  # fmt: skip
            self._store.after_commit(self._simulation.wake)

    def next_due(self) -> int | None:
        found = self._store.row("SELECT min(due_at) AS due FROM webhooks WHERE state = 'waiting'")
        return None if found is None or found["due"] is None else int(found["due"])

    def send_due(self) -> None:
        """Start every webhook that is due; ``settle`` waits for them."""
        with self._store.write() as db:
            now = self._simulation.clock.now()
            due = self._store.rows(
                "SELECT * FROM webhooks WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at, id", now
            )
            db.execute("UPDATE webhooks SET state = 'sending' WHERE state = 'waiting' AND due_at <= ?", (now,))
            with self._landed:
                self._flying += len(due)
        for row in due:
            self._pool.submit(self._send, dict(row))

    def settle(self, time_out_s: float = 60) -> bool:
        """Wait until nothing is being sent; False when that takes too long."""
        with self._landed:
            return self._landed.wait_for(lambda: self._flying == 0, time_out_s)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, row: dict[str, Any]) -> None:
        try:
            status, reply, error, took_ms = self._post(row)
            self._record(row, status, reply, error, took_ms)
        except Exception:
            logger.exception("simulated_webhook_failed webhook=%s", row["id"])
        finally:
            with self._landed:
                self._flying -= 1
                self._landed.notify_all()

    def _post(self, row: dict[str, Any]) -> tuple[int | None, bytes, str, int]:
        if not self._simulation.allow_remote and not is_loopback(urlsplit(row["url"]).hostname or ""):
            return None, b"", "not sent: only loopback addresses are allowed without --allow-remote", 0
        message = self._message(row)
        own_limit = self._simulation.simulators[row["provider"]].webhook_time_out_s
        time_out_s = self._time_out_s if own_limit is None else min(own_limit, self._time_out_s)
        begun = time.monotonic()
        status, reply, error = None, b"", ""
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    message.url, data=message.body, headers=message.headers, timeout=time_out_s,
                    allow_redirects=False, stream=True,
                )  # fmt: skip
                with closed_after(answer):
                    status = answer.status_code
                    reply = answer.raw.read(REPLY_LIMIT, decode_content=True)
        except (requests.RequestException, OSError, ValueError) as failure:
            error = type(failure).__name__
        except Exception as failure:  # urllib3's own errors while reading the reply
            error = type(failure).__name__
        return status, reply, error, int(1000 * (time.monotonic() - begun))

    def _message(self, row: dict[str, Any]) -> Message:
        """The bytes of this attempt, kept in the row so that the panel shows what was sent last."""
        kept = Message(row["url"], json.loads(row["headers"]), bytes(row["body"]))
        account = self._store.account(row["provider"], row["account"])
        if account is None:
            return kept
        message = self._simulation.simulators[row["provider"]].refresh(account, row["kind"], kept)
        if message != kept:
            with self._store.write() as db:
                db.execute(
                    "UPDATE webhooks SET headers = ?, body = ? WHERE id = ?",
                    (json.dumps(message.headers), message.body, row["id"]),
                )
        return message

    def _record(self, row: dict[str, Any], status: int | None, reply: bytes, error: str, took_ms: int) -> None:
        simulator = self._simulation.simulators[row["provider"]]
        now = self._simulation.clock.now()
        with self._store.write() as db:
            account = self._store.account(row["provider"], row["account"])
            if account is None or self._store.row("SELECT 1 FROM webhooks WHERE id = ?", row["id"]) is None:
                return  # a reset came in between
            self._store.insert(
                "attempts", webhook=row["id"], at=now, status=status, reply=reply.decode("utf-8", "replace"),
                error=error, took_ms=took_ms,
            )  # fmt: skip
            state, due_at = self._after(simulator, account, row, status, reply)
            db.execute("UPDATE webhooks SET state = ?, due_at = ? WHERE id = ?", (state, due_at or now, row["id"]))
            self._store.after_commit(self._simulation.wake)

    def _after(
        self, simulator: ProviderSimulator, account: Account, row: dict[str, Any], status: int | None, reply: bytes
    ) -> tuple[str, int | None]:
        if status is not None and simulator.is_acknowledged(account, status, reply):
            return "delivered", None
        attempts = self._store.row("SELECT count(*) AS n FROM attempts WHERE webhook = ?", row["id"])
        wait = simulator.retry_wait(account, int(attempts["n"]) if attempts else 1)
        if wait is None:
            return "given_up", None
        return "waiting", self._simulation.clock.now() + int(1000 * wait)

    def listing(self, provider: str, order_id: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """Webhooks with their attempts, newest first."""
        found = self._store.rows(
            "SELECT * FROM webhooks WHERE provider = ? AND (? IS NULL OR order_id = ?) ORDER BY id DESC LIMIT ?",
            provider, order_id, order_id, limit,
        )  # fmt: skip
        return [self._view(dict(row)) for row in found]

    def _view(self, row: dict[str, Any]) -> dict[str, Any]:
        tries = self._store.rows(
            "SELECT at, status, reply, error, took_ms FROM attempts WHERE webhook = ? ORDER BY id", row["id"]
        )
        return row | {
            "headers": json.loads(row["headers"]),
            "body": bytes(row["body"]).decode("utf-8", "replace"),
            "twists": row["twists"].split(),
            "attempts": [dict(attempt) for attempt in tries],
        }


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine without asking any name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
