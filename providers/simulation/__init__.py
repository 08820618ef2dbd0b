"""A kit for provider simulators: the other side of the wire, played over real HTTP on this machine.

One process serves every ``providers/<slug>/simulator.py`` under ``/<slug>/``, keeps what it knows in one SQLite file,
sends signed webhooks on the provider's own retry schedule, and can be told to misbehave. Its clock can jump.

A simulator shares no signing, mapping or money code with the client it tests: shared code would share its mistakes.
Start with ``python -m providers.simulation``; README.md beside this file describes the operator API.
"""

from providers.simulation.provider import (
    Account,
    Dial,
    Job,
    Message,
    Notice,
    Order,
    OrderEvent,
    ProviderSimulator,
    Refused,
    Switch,
    TestCard,
)
from providers.simulation.simulation import Simulation

__all__ = [
    "Account",
    "Dial",
    "Job",
    "Message",
    "Notice",
    "Order",
    "OrderEvent",
    "ProviderSimulator",
    "Refused",
    "Simulation",
    "Switch",
    "TestCard",
]
