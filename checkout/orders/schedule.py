"""When to ask again (DESIGN 9): fixed steps, a little jitter, and an end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

INQUIRY: Sequence[timedelta] = (
    timedelta(seconds=10),
    timedelta(seconds=30),
    *(MINUTE * n for n in (1, 2, 5, 10, 30)),
    *(HOUR * n for n in (1, 3, 6)),
    *(HOUR * 12,) * 13,
)
"""Waits between inquiries about a payment whose outcome is open: seven days in all, then a person is asked."""

LISTENING: Sequence[timedelta] = (MINUTE * 30, HOUR * 6, DAY, DAY * 6, DAY * 23)
"""Waits between inquiries about a payment that we gave up ourselves: money may still come for 30 days."""

HELD: Sequence[timedelta] = (DAY,) * 30
"""Waits between inquiries about money that is held for a merchant to capture: a hold may lapse without a word."""

OPERATION: Sequence[timedelta] = (MINUTE, MINUTE * 5, HOUR, HOUR * 6, *(DAY,) * 13)
"""Waits between inquiries about a capture, cancellation or refund in flight: 14 days, then a person is asked."""

REDIRECT_PATIENCE = MINUTE * 15
"""How long a shopper may be away at a provider's page before we ask and give the attempt up."""

CODE_PATIENCE = MINUTE * 30
"""How long an SMS code or a QR code is waited for."""

UNSENT_PATIENCE = timedelta(seconds=30)
"""When a payment that was saved but has no answer is first asked about: its process may have died."""


def wait(schedule: Sequence[timedelta], done: int) -> timedelta | None:
    """How long to wait after ``done`` inquiries, give or take a tenth; None when the schedule is used up."""
    if done >= len(schedule):
        return None
    return schedule[done] * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
