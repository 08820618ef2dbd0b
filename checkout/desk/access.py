"""Who may do what in the desk: one table of acts and roles, and the questions asked of it.

A membership is the whole authority: Django's own permissions and groups are not consulted. A superuser runs the
installation and may do everything for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet

from checkout.merchants.models import Member, Merchant, Role

Row = TypeVar("Row", bound=Model)

OWNER, FINANCE, SUPPORT, DEVELOPER, SHIPPING = Role.OWNER, Role.FINANCE, Role.SUPPORT, Role.DEVELOPER, Role.SHIPPING


class Act(StrEnum):
    SEE_ORDERS = "see_orders"
    SEE_MONEY = "see_money"
    """The ledger, captures, refunds: what became of the money after it was paid."""
    SEE_INBOX = "see_inbox"
    CHECK = "check"
    REFUND = "refund"
    CAPTURE = "capture"
    CANCEL = "cancel"
    DECIDE = "decide"
    """Close a review."""
    SHIP = "ship"
    """Parcels, one by one and by lists."""
    FORGET_CARD = "forget_card"
    EXPORT = "export"
    REPLAY = "replay"
    SET_UP = "set_up"
    """Provider accounts, API keys, webhook endpoints."""
    MANAGE = "manage"
    """The merchant's settings and its members."""


ALLOWED: Mapping[Act, frozenset[str]] = {
    Act.SEE_ORDERS: frozenset(Role.values),
    Act.SEE_MONEY: frozenset(Role.values) - {Role.SHIPPING},
    Act.SEE_INBOX: frozenset({OWNER, FINANCE, SUPPORT, DEVELOPER}),
    Act.CHECK: frozenset({OWNER, FINANCE, SUPPORT, DEVELOPER}),
    Act.REFUND: frozenset({OWNER, FINANCE, SUPPORT}),
    Act.CAPTURE: frozenset({OWNER, FINANCE}),
    Act.CANCEL: frozenset({OWNER, FINANCE}),
    Act.DECIDE: frozenset({OWNER, FINANCE}),
    Act.SHIP: frozenset({OWNER, SUPPORT, SHIPPING}),
    Act.FORGET_CARD: frozenset({OWNER, SUPPORT}),
    Act.EXPORT: frozenset({OWNER, FINANCE}),
    Act.REPLAY: frozenset({OWNER, DEVELOPER}),
    Act.SET_UP: frozenset({OWNER, DEVELOPER}),
    Act.MANAGE: frozenset({OWNER}),
}


def may(user: Any, act: Act, merchant_id: int | None = None) -> bool:
    """Whether ``user`` may do this for that merchant, or for any of theirs when none is named."""
    if not (user.is_active and user.is_staff):
        return False
    if user.is_superuser:
        return True
    theirs = merchant_ids(user, act)
    return bool(theirs) if merchant_id is None else merchant_id in theirs


def require(user: Any, act: Act, merchant_id: int) -> None:
    """Raises PermissionDenied."""
    if not may(user, act, merchant_id):
        raise PermissionDenied


def merchant_ids(user: Any, act: Act) -> frozenset[int]:
    """The merchants for which a member may do this. Superusers are not asked: they see everybody."""
    return frozenset(merchant for merchant, role in _roles(user).items() if role in ALLOWED[act])


def own(user: Any, act: Act, rows: QuerySet[Row], path: str = "merchant") -> QuerySet[Row]:
    """Those of ``rows`` whose merchant, found by ``path``, is one for which ``user`` may do this."""
    return rows if user.is_superuser else rows.filter(**{f"{path}__in": merchant_ids(user, act)})


def merchants(user: Any, act: Act) -> QuerySet[Merchant]:
    """The merchants themselves, for choices and filters."""
    return own(user, act, Merchant.objects.all(), "pk")


def _roles(user: Any) -> dict[int, str]:
    """Read once a request: the user object lives no longer."""
    if not hasattr(user, "_desk_roles"):
        rows = Member.objects.filter(user_id=user.pk).values_list("merchant_id", "role")
        user._desk_roles = dict(rows)
    roles: dict[int, str] = user._desk_roles
    return roles


def actor(user: Any) -> str:
    """How the timeline names a member of staff."""
    return f"staff:{user.pk}"
