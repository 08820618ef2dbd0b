"""Access tokens, kept for the whole process: one call for everybody who waits, one renewal for everybody refused.

A token belongs to a place, a merchant and a secret. It lives in memory only and shows itself nowhere.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from providers.contract import ProviderError

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Token:
    value: str = field(repr=False)
    good_until: float
    """By the wall clock; past it, another is fetched before anything is sent."""

    @property
    def is_good(self) -> bool:
        return time.time() < self.good_until


class _Slot:
    """The token of one key, and who is fetching it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None
        self.flights = 0
        self.failure: ProviderError | None = None


_slots: dict[Key, _Slot] = {}
_slots_lock = threading.Lock()


def key(base_url: str, app_id: str, secret: str) -> Key:
    """Whose token it is. The secret is in it as a digest, so that a new secret means a new token."""
    return base_url, app_id, hashlib.sha256(secret.encode()).hexdigest()


def current(whose: Key, fetch: Callable[[], Token], *, instead_of: Token | None = None) -> Token:
    """A good token, other than one that was refused. Raises whatever ``fetch`` raises.

    Of those who need one at the same moment, one fetches and the others take its result, be it an error.
    """
    slot = _slot(whose)
    seen = slot.flights
    if _fits(slot.token, instead_of):
        return slot.token  # type: ignore[return-value]
    with slot.lock:
        if _fits(slot.token, instead_of):
            return slot.token  # type: ignore[return-value]
        if slot.flights != seen and slot.failure is not None:
            raise type(slot.failure)(str(slot.failure), code=slot.failure.code)
        slot.flights, slot.failure = slot.flights + 1, None
        try:
            slot.token = fetch()
        except ProviderError as error:
            slot.failure = type(error)(str(error), code=error.code)
            raise
        return slot.token


def remember(whose: Key, token: Token) -> None:
    """Put a token in place without a call."""
    _slot(whose).token = token


def forget_all() -> None:
    with _slots_lock:
        _slots.clear()


def _slot(whose: Key) -> _Slot:
    with _slots_lock:
        return _slots.setdefault(whose, _Slot())


def _fits(token: Token | None, refused: Token | None) -> bool:
    return token is not None and token.is_good and (refused is None or token.value != refused.value)
