"""The simulation's clock: real time plus an offset that only grows, so that time can jump forward but never back."""

import time

from providers.simulation.store import Store

OFFSET = "clock_offset_ms"


class Clock:
    """Epoch milliseconds. The offset is kept in the store, so a restart does not undo a jump."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def offset_ms(self) -> int:
        return int(self._store.fact(OFFSET) or 0)

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def jump_to(self, moment_ms: int) -> None:
        """Make ``now()`` at least ``moment_ms``; a moment already past changes nothing."""
        with self._store.write():
            ahead = moment_ms - self.now()
            if ahead > 0:
                self._store.set_fact(OFFSET, str(self.offset_ms + ahead))
