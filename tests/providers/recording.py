"""Recordings: what a provider really said, or what its reference shows, kept as JSON in ``recorded/<slug>/``.

- ``origin``: where it comes from, and what was changed;
- ``kind``: ``request`` (only what we send), ``webhook``, or the name of the call that it answers: ``start``, ``fetch``,
  ``submit_code``, ``capture``, ``cancel``, ``refund``, ``fetch_refund``, ``upload_tracking``, ``look_up_card`` …;
- ``payment``: our ``reference`` and ``amount``, and, where they matter, their ``provider_reference`` and the
  ``method``, ``capture``, ``payer``, ``created_at`` and ``store_card`` of the attempt;
- ``payment.operation``: what else the call was given. For money: ``reference``, ``amount``, ``provider_reference``,
  ``reason``. For a code: ``handle``, ``code``. For a parcel: ``reference``, ``carrier``, ``number``, ``shipped_on`` …;
- ``sent``: the body of our call, if it is known;
- ``answer``: ``status_code`` and ``body`` of theirs, or a list of such answers where the call asks more than once;
- ``body``: a webhook's body, an object or its exact text;
- ``says``: what that means in the contract's words, as ``plain`` writes it.

Signatures are not recorded where they can be made again when the recording is played.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from providers.contract import PaymentRef
from providers.http import HttpAnswer
from providers.money import Money

RECORDED = Path(__file__).parent / "recorded"
NEEDED = frozenset({"start", "fetch", "webhook"})


class RecordingMissing(AssertionError):
    """A provider was never seen doing something that it must do."""


@dataclass(frozen=True)
class Recording:
    name: str
    origin: str
    kind: str
    payment: Mapping[str, Any] = field(default_factory=dict)
    sent: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | Sequence[Mapping[str, Any]] = field(default_factory=dict)
    body: Any = None
    says: Any = None

    @property
    def answers(self) -> list[HttpAnswer]:
        """Their answers in order, without what a genuine one is signed with."""
        answers = [self.answer] if isinstance(self.answer, Mapping) else self.answer
        return [HttpAnswer(one["status_code"], one.get("headers", {}), as_bytes(one["body"])) for one in answers]

    @property
    def bytes(self) -> bytes:
        """The body of their webhook or of their (last) answer."""
        return as_bytes(self.body) if self.kind == "webhook" else self.answers[-1].body

    @property
    def bodies(self) -> list[Any]:
        """All that they said, as far as it is JSON."""
        found = []
        for one in [self.bytes] if self.kind == "webhook" else [answer.body for answer in self.answers]:
            try:
                found.append(json.loads(one))
            except ValueError:
                continue
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What is recorded of the payment, as the contract's types have it."""
        return typed({key: value for key, value in self.payment.items() if key != "operation"})

    @property
    def asked(self) -> dict[str, Any]:
        """What else the call was given."""
        return typed(self.payment.get("operation", {}))

    @property
    def ref(self) -> PaymentRef:
        """The payment, with what is recorded of it and nothing else."""
        known = {one.name for one in dataclasses.fields(PaymentRef)}
        return PaymentRef(**{key: value for key, value in self.facts.items() if key in known})


def recordings(slug: str, *kinds: str, folder: Path = RECORDED, needed: Collection[str] = NEEDED) -> list[Recording]:
    """A provider's recordings of these kinds, or all. Raises RecordingMissing when a needed kind has none."""
    files = sorted((folder / slug).glob("*.json"))
    found = [Recording(name=path.stem, **json.loads(path.read_text())) for path in files]
    missing = set(needed) - {one.kind for one in found}
    if missing:
        raise RecordingMissing(f"{slug} has no recording of: {', '.join(sorted(missing))}")
    return [one for one in found if not kinds or one.kind in kinds]


def compact(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def as_bytes(body: Any) -> bytes:
    """A recorded body on the wire: exact text stays as it is."""
    return body.encode() if isinstance(body, str) else compact(body)


def money(text: str) -> Money:
    decimal, currency = text.split()
    return Money.from_decimal(decimal, currency)


_TYPES = {"amount": money, "created_at": datetime.fromisoformat, "shipped_on": date.fromisoformat}


def typed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _TYPES[key](value) if key in _TYPES else value for key, value in facts.items()}


def plain(value: Any) -> Any:
    """A report, step or anything in them as JSON knows it: only what it says, without ``raw``."""
    if isinstance(value, Money):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    said = {
        one.name: plain(getattr(value, one.name))
        for one in dataclasses.fields(value)
        if one.name != "raw" and getattr(value, one.name) is not one.default
    }
    return {"type": type(value).__name__, **said}
