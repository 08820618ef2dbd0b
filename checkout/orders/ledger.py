"""The only code that writes money: append an entry, raise the cached total, in one breath.

A provider's fact is never refused. When it breaks what should be possible (more captured than authorised, more given
back than taken), the payment is marked ``exceeds``, which lifts the database's guard against our own mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from checkout.orders.models import Capture, EntryKind, LedgerEntry, Operation, Payment, Refund, scope_of

TOTAL_OF = {
    EntryKind.AUTHORISED: "authorised_total",
    EntryKind.RELEASED: "released_total",
    EntryKind.CAPTURED: "captured_total",
    EntryKind.REFUNDED: "refunded_total",
    EntryKind.REFUND_REVERSED: "reversed_total",
}
"""Which cached total an entry raises. Disputes have entries but no total: they are followed in rows of their own."""

RESERVE_OF: Mapping[type[Operation], str] = {Capture: "captures_reserved", Refund: "refunds_reserved"}
"""Where an operation's amount is spoken for while it is in flight; a cancellation moves no money."""


def post(payment: Payment, kind: EntryKind, amount: int, *, cause: str, evidence: Mapping[str, Any]) -> LedgerEntry:
    """Append ``amount`` minor units to a locked payment and keep its totals equal to the folded ledger."""
    entry = LedgerEntry.objects.create(
        **scope_of(payment),
        payment=payment,
        kind=kind,
        amount=amount,
        currency=payment.currency,
        cause=cause[:120],
        evidence=dict(evidence),
    )
    total = TOTAL_OF.get(kind)
    if total:
        setattr(payment, total, getattr(payment, total) + amount)
        payment.exceeds = payment.exceeds or breaks_bounds(payment)
        payment.save(update_fields=(total, "exceeds"))
    return entry


def reserve(payment: Payment, operation: Operation) -> None:
    """Speak for an operation's amount while it is in flight. The database refuses what exceeds the payment."""
    _change_reserve(payment, operation, +operation.amount)


def free(payment: Payment, operation: Operation) -> None:
    """The operation came to an end: its amount is no longer spoken for."""
    _change_reserve(payment, operation, -operation.amount)


def _change_reserve(payment: Payment, operation: Operation, change: int) -> None:
    reserve = RESERVE_OF.get(type(operation))
    if reserve:
        setattr(payment, reserve, getattr(payment, reserve) + change)
        payment.save(update_fields=(reserve,))


def breaks_bounds(payment: Payment) -> bool:
    """Whether the totals break what our own operations may never break."""
    taken = payment.captured_total + payment.captures_reserved + payment.released_total
    given_back = payment.refunded_total - payment.reversed_total + payment.refunds_reserved
    return taken > payment.authorised_total or given_back > payment.captured_total


def fold(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """The totals that these entries amount to, by the name of the cached total."""
    totals = dict.fromkeys(TOTAL_OF.values(), 0)
    for entry in entries:
        total = TOTAL_OF.get(EntryKind(entry.kind))
        if total:
            totals[total] += entry.amount
    return totals


def differences(payment: Payment) -> dict[str, tuple[int, int]]:
    """Cached totals that differ from the folded ledger, as (cached, folded); empty when all is well."""
    folded = fold(payment.entries.all())
    return {name: (getattr(payment, name), total) for name, total in folded.items() if getattr(payment, name) != total}
