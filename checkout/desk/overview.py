"""The desk's front page: what a person has to do, what waits too long, and how today goes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet, Sum
from django.urls import reverse
from django.utils import timezone

from checkout.desk import access
from checkout.desk.access import Act
from checkout.merchants.models import ProviderAccount
from checkout.orders.models import BLOCKING, Cancellation, Capture, Order, Payment, Refund, Review
from checkout.webhooks.models import RefusedDeliveries, State, WebhookEvent
from providers.contract import OperationStatus

SHOWN = 6
PATIENCE = timedelta(minutes=15)
"""How long an open outcome is nothing special."""
OPERATION_PATIENCE = timedelta(days=1)


def overview(user: Any) -> dict[str, Any]:
    """Everything the page shows, limited to the merchants that ``user`` works for."""
    orders = reverse("admin:orders_order_changelist")
    midnight = midnight_for(user)
    return {
        "zone": zone_for(user),
        "day": midnight,
        "reviews": access.own(user, Act.SEE_ORDERS, Review.objects.filter(resolved_at=None)).select_related(
            "order__merchant"
        )[:SHOWN],
        "stuck": list(_stuck_payments(user)) + _stuck_operations(user),
        "today": [_with_links(row, orders) for row in _today(user, midnight)],
        "webhooks": _webhooks(user),
        "refused": _refused(user),
        "has_accounts": access.own(user, Act.SEE_ORDERS, ProviderAccount.objects.all()).exists(),
        "may_set_up": access.may(user, Act.SET_UP),
        "orders_url": orders,
    }


def midnight_for(user: Any) -> datetime:
    """When today began, where ``user`` works."""
    return timezone.now().astimezone(ZoneInfo(zone_for(user))).replace(hour=0, minute=0, second=0, microsecond=0)


def zone_for(user: Any) -> str:
    """The zone of the one merchant somebody works for; UTC for whoever sees several."""
    zones = {merchant.zone for merchant in access.merchants(user, Act.SEE_ORDERS)[:50]}
    return zones.pop() if len(zones) == 1 else "UTC"


def _stuck_payments(user: Any) -> QuerySet[Payment]:
    late = timezone.now() - PATIENCE
    rows = Payment.objects.filter(BLOCKING, created_at__lt=late).select_related("order__merchant", "account")
    return access.own(user, Act.SEE_ORDERS, rows).order_by("created_at")[:SHOWN]


def _stuck_operations(user: Any) -> list[Any]:
    """Captures, refunds and releases that nobody has confirmed for a day."""
    in_flight = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)
    late = timezone.now() - OPERATION_PATIENCE
    found: list[Any] = []
    for kind in (Capture, Refund, Cancellation):
        rows = kind._default_manager.filter(status__in=in_flight, due_at__isnull=False, created_at__lt=late)
        found += access.own(user, Act.SEE_MONEY, rows.select_related("payment__order__merchant"))[:SHOWN]
    return found


def _today(user: Any, midnight: datetime) -> Iterable[Any]:
    """Orders made today by mode and currency; amounts of different currencies are never added up."""
    rows = access.own(user, Act.SEE_ORDERS, Order.objects.filter(created_at__gte=midnight)).order_by()
    return (
        rows.values("mode", "currency")
        .annotate(
            orders=Count("pk"),
            brought=Count("pk", filter=Q(captured_total__gt=0)),
            captured=Sum("captured_total"),
            held=Sum("authorised_total"),
        )
        .order_by("mode", "currency")
    )


def _with_links(row: dict[str, Any], orders: str) -> dict[str, Any]:
    query = {"mode": row["mode"], "currency": row["currency"], "created": "today"}
    return {**row, "url": f"{orders}?{urlencode(query)}", "paid_url": f"{orders}?{urlencode({**query, 'money': 'in'})}"}


def _webhooks(user: Any) -> list[dict[str, Any]]:
    """Deliveries that could not be applied, by state."""
    if not access.may(user, Act.SEE_INBOX):
        return []
    rows = access.own(user, Act.SEE_INBOX, WebhookEvent.objects.filter(state__in=(State.PARKED, State.DEAD))).order_by()
    url = reverse("admin:webhooks_webhookevent_changelist")
    return [
        {**row, "url": f"{url}?{urlencode({'state__exact': row['state']})}"}
        for row in rows.values("state").annotate(number=Count("pk")).order_by("state")
    ]


def _refused(user: Any) -> Iterable[Any]:
    """Deliveries refused in the last week, by account: a wrong secret shows here first."""
    if not access.may(user, Act.SET_UP):
        return []
    week = timezone.now().date() - timedelta(days=7)
    rows = access.own(user, Act.SET_UP, RefusedDeliveries.objects.filter(day__gte=week), "account__merchant").order_by()
    return rows.values("account", "account__name").annotate(number=Sum("count"))
