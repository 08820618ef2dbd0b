"""Who is asking, and what of theirs they ask about. Whatever is not theirs is as if it never was."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from checkout.api import limits
from checkout.api.problems import Problem
from checkout.merchants.models import ApiKey, Scope
from checkout.tenancy import TenantQuerySet, TenantRow

Row = TypeVar("Row", bound=TenantRow)

USED_EVERY = timedelta(minutes=1)
"""How exactly a key's last use is kept."""


class BearerKey(HttpBearer):
    """``Authorization: Bearer sk_test_…``; merchant and mode come from the key and from nowhere else."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey | None:
        key = ApiKey.find(token)
        if key is None:
            return None
        limits.count(key, request.method or "")
        if self.scope not in key.scopes:
            raise Problem(403, "missing_scope", f"This key lacks the scope {self.scope}.")
        now = timezone.now()
        if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
            ip = request.META.get("REMOTE_ADDR") or None
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_ip=ip)
        return key


def key_of(request: HttpRequest) -> ApiKey:
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    return key


def actor_of(key: ApiKey) -> str:
    """How the timeline names a merchant's program."""
    return f"key:{key.prefix}"


def ip_of(request: HttpRequest) -> str | None:
    return request.META.get("REMOTE_ADDR") or None


def find(rows: TenantQuerySet[Row], key: ApiKey, public_id: UUID, what: str) -> Row:
    """Somebody else's row, one of the other mode and one that never was are the same 404. Raises Problem."""
    row = rows.of(key.merchant, key.mode).filter(public_id=public_id).first()
    if row is None:
        raise Problem(404, "not_found", f"There is no such {what}.")
    return row
