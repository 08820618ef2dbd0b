"""The profile as the simulator reads it: every path, word and response key that StoreSquare has not published.

A reader of its own. The client reads the same file with other code, so neither can lean on the other's mistakes.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("profile.json")


class Profile:
    """The shipped profile with a merchant's corrections merged over it."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    @classmethod
    def corrected(cls, corrections: str) -> "Profile":
        """``corrections`` is the JSON text of an object, or nothing. ValueError when it is neither."""
        return _read(corrections.strip())

    def __getitem__(self, path: str) -> Any:
        """A value by its dotted path, e.g. ``auth.scheme``. A typing mistake is a KeyError."""
        found: Any = self._members
        for step in path.split("."):
            found = found[step]
        return found

    def key(self, path: str) -> str:
        """The response path to emit: the first where a reader would try several in order."""
        found = self[path]
        return str(found[0] if isinstance(found, list) else found)

    def operation_at(self, path: str) -> str:
        """The operation served at a path, or nothing."""
        return next((name for name, endpoint in self["endpoints"].items() if endpoint["path"] == path), "")

    def payment_word(self, status: str) -> str:
        return str(self["status.emit"][status])

    def refund_word(self, status: str) -> str:
        return str(self["status.refundEmit"][status])

    @property
    def data(self) -> str:
        """Where an answer's own members are in its envelope."""
        return str(self["envelope.data"])


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set a member at a dotted path, making the objects on the way."""
    *parents, last = path.split(".")
    for step in parents:
        inner = body.get(step)
        if not isinstance(inner, dict):
            inner = body[step] = {}
        body = inner
    body[last] = value


def merged(base: Any, over: Any) -> Any:
    """Objects are merged; lists and scalars are replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {name: merged(base[name], value) if name in base else value for name, value in over.items()}


@cache
def _read(corrections: str) -> Profile:
    over = json.loads(corrections) if corrections else {}
    if not isinstance(over, dict):
        raise ValueError("a correction of the profile is a JSON object")
    return Profile(merged(json.loads(FILE.read_text()), over))
