"""Fault dials: which faults exist, which are on, and which amounts bring them on by themselves.

A dial is switched on for everything, for one reference, or for the next *n* calls. Besides, each dial with a number
answers to a magic amount: **777 followed by the dial's two digits, in minor units**, so 777.53 in a currency with two
decimals, 77753 in one with none, 77.753 in one with three. Every other amount is ordinary.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from providers.simulation.amounts import shown
from providers.simulation.provider import Dial, Order, ProviderSimulator, Refused
from providers.simulation.store import Store

MAGIC_HUNDRED = 777

ANSWER = (
    Dial("slow_answer", "answer", 5, "the answer takes this many seconds", 10),
    Dial("http_500", "answer", True, "HTTP 500, nothing was done", 11),
    Dial("http_503", "answer", True, "HTTP 503 (maintenance), nothing was done", 12),
    Dial("http_429", "answer", 2, "HTTP 429, nothing was done; value is Retry-After in seconds", 13),
    Dial("timeout_before", "answer", 60, "nothing was done and no answer comes for this many seconds", 14),
    Dial("timeout_after", "answer", 60, "done (a card is charged), but no answer comes for this many seconds", 15),
    Dial("reset_after", "answer", True, "done, then the connection is closed without an answer", 16),
    Dial("http_500_after", "answer", True, "done, but the answer is HTTP 500", 17),
    Dial("garbage_answer", "answer", True, "done, but the answer is random bytes", 18),
    Dial("html_answer", "answer", True, "done, but the answer is an HTML page with status 200", 19),
    Dial("truncated_answer", "answer", True, "done, but the answer breaks off half-way", 20),
    Dial("oversized_answer", "answer", 16, "done, but the answer is padded to this many MiB", 21),
    Dial("wrong_type_answer", "answer", True, "done, but the answer is valid JSON of unexpected types", 22),
    Dial("drip_answer", "answer", 0.2, "done, but the answer comes one byte at a time, this many seconds apart", 23),
)
QUERY = (
    Dial("query_not_found", "query", 5, "inquiries find nothing for this many seconds after creation", 30),
    Dial("query_lags", "query", 30, "inquiries show the first status for this many seconds after a change", 31),
    Dial("query_wrong_amount", "query", True, "inquiries report ten times the amount", 32),
    Dial("query_wrong_currency", "query", True, "inquiries report another currency", 33),
)
WEBHOOK = (
    Dial("webhook_duplicate", "webhook", 3, "each webhook is sent this many times at once", 50),
    Dial("webhook_delay", "webhook", 60, "each webhook is sent this many seconds late", 51),
    Dial("webhook_reorder", "webhook", True, "after each webhook the news before it is sent once more", 52),
    Dial("webhook_drop", "webhook", True, "no webhook is sent; only an inquiry shows the status", 53),
    Dial("webhook_forged", "webhook", True, "signed with another secret", 54),
    Dial("webhook_tampered", "webhook", True, "the amount is altered after signing", 55),
    Dial("webhook_wrong_amount", "webhook", True, "genuine signature over ten times the amount", 56),
    Dial("webhook_wrong_currency", "webhook", True, "genuine signature over another currency", 57),
    Dial("webhook_wrong_reference", "webhook", True, "genuine signature over the id of another order", 58),
    Dial("webhook_unknown_status", "webhook", True, "genuine signature over a status word nobody documented", 59),
    Dial("webhook_early", "webhook", True, "sent before the create call is answered", 60),
)
MONEY = (
    Dial("paid_differs", "money", -100, "the money that comes differs by this many minor units", 70),
    Dial("decline", "money", "20051", "the card is declined with this response code, whatever its number", 71),
    Dial("dispute_later", "money", 60, "a dispute is raised this many seconds after success", 72),
    Dial("refund_later", "money", 60, "the provider refunds this many seconds after success", 73),
)
#: Moments whose faults stay with an order for its whole life.
LASTING = frozenset({"query", "webhook", "money"})


@dataclass(frozen=True)
class Claim:
    """Faults by name with their values: those that act on one call, and those among them that a new order keeps."""

    now: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


class Dials:
    """The dials of one provider."""

    def __init__(self, store: Store, simulator: ProviderSimulator) -> None:
        self._store = store
        self._slug = simulator.slug
        self._creates = simulator.creates
        self._operations = simulator.operations
        every = (*ANSWER, *QUERY, *WEBHOOK, *MONEY, *simulator.own_dials)
        self.catalogue = {dial.name: dial for dial in every if dial.name not in simulator.without_dials}

    def turn(
        self,
        name: str,
        value: Any = None,
        *,
        reference: str | None = None,
        next_calls: int | None = None,
        operation: str | None = None,
    ) -> int | None:
        """Switch ``name`` on and return the setting's id; a value of ``False`` switches it off again.

        With ``reference`` it acts on that order only, with ``next_calls`` on that many calls of ``operation`` only.
        """
        dial = self.catalogue.get(name)
        if dial is None:
            raise Refused(f"no dial is called {name!r}")
        if operation is not None and operation not in self._operations:
            raise Refused(f"no operation is called {operation!r}; there are {', '.join(self._operations)}")
        if next_calls is not None and next_calls < 1:
            raise Refused("next must be 1 or more")
        if operation is None:
            operation = self._creates
        if value is None or (value is True and dial.default is not True):
            value = dial.default
        if value is not False and isinstance(dial.default, (int, float)) != isinstance(value, (int, float)):
            raise Refused(f"{name} takes a value like {json.dumps(dial.default)}")
        with self._store.write() as db:
            db.execute(
                "DELETE FROM dials WHERE provider = ? AND name = ? AND operation = ? AND reference IS ?",
                (self._slug, name, operation, reference),
            )
            if value is False:
                return None
            return self._store.insert(
                "dials", provider=self._slug, name=name, value=json.dumps(value), operation=operation,
                reference=reference, remaining=next_calls,
            )  # fmt: skip

    def clear(self, setting: int | None = None) -> None:
        """Switch off one setting, or all of them."""
        with self._store.write() as db:
            db.execute("DELETE FROM dials WHERE provider = ? AND (? IS NULL OR id = ?)", (self._slug, setting, setting))

    def settings(self) -> list[dict[str, Any]]:
        found = self._store.rows("SELECT * FROM dials WHERE provider = ? ORDER BY id", self._slug)
        return [
            {"id": row["id"], "name": row["name"], "value": json.loads(row["value"]), "operation": row["operation"],
             "reference": row["reference"], "next": row["remaining"]}
            for row in found
        ]  # fmt: skip

    def claim(self, operation: str, reference: str, amount: int | None = None) -> "Claim":
        """The faults of one call.

        ``amount`` (minor units) is given by the call that creates an order, and brings in the magic amounts. A setting
        for the next calls is used up by one. An order keeps what came by magic or for the next calls; a setting that
        stays on is looked up whenever it matters, see ``of``.
        """
        kept: dict[str, Any] = {}
        if amount is not None and amount // 100 == MAGIC_HUNDRED:
            kept |= {dial.name: dial.default for dial in self.catalogue.values() if dial.magic == amount % 100}
        faults = dict(kept)
        with self._store.write() as db:
            found = self._store.rows(
                "SELECT * FROM dials WHERE provider = ? AND operation = ? AND (reference IS NULL OR reference = ?)"
                " ORDER BY reference IS NOT NULL, id",
                self._slug, operation, reference,
            )  # fmt: skip
            for row in found:
                faults[row["name"]] = json.loads(row["value"])
                if row["remaining"] is not None:
                    kept[row["name"]] = faults[row["name"]]
                    db.execute("UPDATE dials SET remaining = remaining - 1 WHERE id = ?", (row["id"],))
            db.execute("DELETE FROM dials WHERE remaining <= 0")
        return Claim(faults, self._lasting(kept))

    def _lasting(self, faults: dict[str, Any]) -> dict[str, Any]:
        known = {name: self.catalogue[name].moment for name in faults if name in self.catalogue}
        return {name: faults[name] for name, moment in known.items() if moment in LASTING}

    def of(self, order: Order) -> dict[str, Any]:
        """The lasting faults of an order now: what it was created with, and what is on at present."""
        found = self._store.rows(
            "SELECT name, value FROM dials WHERE provider = ? AND remaining IS NULL"
            " AND (reference IS NULL OR reference = ?) ORDER BY reference IS NOT NULL, id",
            self._slug, order.reference,
        )  # fmt: skip
        now = {row["name"]: json.loads(row["value"]) for row in found}
        return self._lasting(now | order.data.get("faults", {}))


def magic_rows(simulator_dials: Dials) -> list[dict[str, str]]:
    """The table of magic amounts, in a currency with two decimals, with none and with three."""
    return [
        {
            "dial": dial.name,
            "moment": dial.moment,
            "value": json.dumps(dial.default),
            "usd": shown(MAGIC_HUNDRED * 100 + dial.magic, "USD"),
            "jpy": shown(MAGIC_HUNDRED * 100 + dial.magic, "JPY"),
            "kwd": shown(MAGIC_HUNDRED * 100 + dial.magic, "KWD"),
            "meaning": dial.meaning,
        }
        for dial in sorted(simulator_dials.catalogue.values(), key=lambda dial: (dial.magic is None, dial.magic or 0))
        if dial.magic is not None
    ]
