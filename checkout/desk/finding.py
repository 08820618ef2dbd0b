"""Finding orders by anything that people have in hand: a reference, an e-mail address, a card's last four, a parcel.

The shape of a term says where to look. Each look reads one index of its own (they are made in the migration
``search_indexes``) and brings the newest few, so the box stays fast however many orders there are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Func, Q, QuerySet, TextField
from django.db.models.functions import Upper
from django.db.models.sql.compiler import SQLCompiler

from checkout.orders.models import Cancellation, Capture, Order, Payment, Refund, Shipment

LIMIT = 1000
"""Orders that one look brings; whoever needs others narrows the search."""
SHORTEST = 4
"""Characters of a provider's reference that are a beginning worth looking for."""

LAST = "\U0010ffff"


class Email(Func):
    """The customer's address in small letters, written as its index is: otherwise the index would not be used."""

    template = "LOWER(JSON_EXTRACT(%(expressions)s, '$.email'))"
    output_field = TextField()

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="LOWER((%(expressions)s ->> 'email'))", **context)


def named(term: str, merchants: Collection[int]) -> set[int]:
    """The orders of these merchants that ``term`` names by itself: an id, a reference or a tracking number, whole."""
    return _theirs(_named(term, merchants), merchants)


def matching(term: str, merchants: Collection[int]) -> set[int]:
    """The orders of these merchants that ``term`` may mean."""
    looks = [*_named(term, merchants), Order.objects.filter(_begins("reference", term), merchant__in=merchants)]
    if "@" in term:
        by_mail = Order.objects.alias(mail=Email(F("customer")))
        looks.append(by_mail.filter(merchant__in=merchants, mail=term.lower()))
    digits = term.lstrip("•* ")
    if re.fullmatch(r"\d{4}", digits, re.ASCII):
        looks.append(_of(Payment.objects.filter(merchant__in=merchants, card_last4=digits)))
    if len(term) >= SHORTEST:
        begun = Payment.objects.filter(_begins("provider_reference", term), merchant__in=merchants)
        looks.append(_of(begun))
    return _theirs(looks, merchants)


def _named(term: str, merchants: Collection[int]) -> list[QuerySet[Any]]:
    looks: list[QuerySet[Any]] = [
        Order.objects.filter(merchant__in=merchants, reference=term),
        _of(Payment.objects.filter(reference=term.upper())),
        _of(Payment.objects.filter(merchant__in=merchants, provider_reference=term)),
        _of(Shipment.objects.alias(big=Upper("number")).filter(merchant__in=merchants, big=term.upper())),
    ]
    for kind in (Capture, Refund, Cancellation):
        rows = kind._default_manager.all()
        looks.append(_of(rows.filter(reference=term.upper()), "payment__order_id"))
        looks.append(_of(rows.filter(merchant__in=merchants, provider_reference=term), "payment__order_id"))
    public_id = _uuid(term)
    if public_id:
        looks.append(Order.objects.filter(public_id=public_id))
        looks.append(_of(Payment.objects.filter(public_id=public_id)))
    return looks


def _theirs(looks: list[QuerySet[Any]], merchants: Collection[int]) -> set[int]:
    """What the looks bring, less what is somebody else's."""
    found = set(_ids(looks))
    return set(Order.objects.filter(pk__in=found, merchant__in=merchants).values_list("pk", flat=True))


def _ids(looks: list[QuerySet[Any]]) -> Iterator[int]:
    for look in looks:
        rows = look.values_list("pk", flat=True) if look.model is Order else look
        yield from rows.order_by("-pk")[:LIMIT]


def _of(rows: QuerySet[Any], path: str = "order_id") -> QuerySet[Any]:
    return rows.values_list(path, flat=True)


def _begins(field: str, term: str) -> Q:
    """By an index on either database: PostgreSQL's is made for patterns, SQLite's for ranges."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": term})
    return Q(**{f"{field}__gte": term, f"{field}__lt": term + LAST})


def _uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None
