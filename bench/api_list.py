"""Lists of orders against one plain primary-key read, in the same run, on the database that DATABASE_URL names.

    SECRET_KEY=x SEAL_KEYS=… DATABASE_URL=sqlite:////tmp/bench.sqlite3 python bench/api_list.py --orders 100000

Prints for each question its median, its ratio to the plain read, and whether an index served it (EXPLAIN). The database
must be an empty one for this purpose alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "checkout.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from checkout.merchants.models import ApiKey, Merchant, ProviderAccount  # noqa: E402
from checkout.orders.models import Order, Payment  # noqa: E402

BATCH = 5000
QUESTIONS = {
    "first page": "",
    "limit=100": "limit=100",
    "reference": "reference=cart-77",
    "status, common": "status=open",
    "status, rare": "status=needs_review",
    "status, none": "status=refunded",
    "provider, common": "provider=acme",
    "provider, rare": "provider=zenith",
    "provider, none": "provider=nobody",
    "range in the middle": "created_from={middle}&created_to={after}",
    "metadata, rare": "metadata[cart]=77",
    "metadata, none": "metadata[cart]=none",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    if Order.objects.exists():
        sys.exit("This database is in use; give an empty one.")
    merchant = Merchant.objects.create(slug="bench", name="Bench")
    _fill(merchant, options.orders)
    _fill(Merchant.objects.create(slug="other", name="Another shop of the same size"), options.orders)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _, key = ApiKey.issue(merchant, "test", name="bench")
    client = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {key}"})
    pk = Order.objects.filter(merchant=merchant).order_by("pk")[options.orders // 2].pk
    plain = _median(lambda: Order.objects.get(pk=pk), options.rounds * 10)
    print(f"{connection.vendor}, {options.orders} orders; one row by primary key: {plain * 1000:.2f} ms")
    middle = timezone.now() - timedelta(seconds=options.orders // 2)
    moments = {"middle": _written(middle), "after": _written(middle + timedelta(minutes=5))}
    questions = {name: query.format(**moments) for name, query in QUESTIONS.items()}
    questions["a page far down"] = _far_down(client)
    for name, query in questions.items():
        seconds = _median(lambda query=query: _ask(client, query), options.rounds)
        print(f"  {name:<20} {seconds * 1000:8.1f} ms {seconds / plain:8.0f} x   {_plan(client, query)}")


def _fill(merchant: Merchant, number: int) -> None:
    """A shop's past: an order a second, most paid by one provider, a few waiting for a person."""
    accounts = [
        ProviderAccount.objects.create(
            merchant=merchant, mode="test", name=slug, provider=slug, base_url="https://provider.invalid"
        )
        for slug in ("acme", "zenith")
    ]
    now = timezone.now()
    for start in range(0, number, BATCH):
        orders = Order.objects.bulk_create(
            _order(merchant, n, now - timedelta(seconds=number - n)) for n in range(start, min(start + BATCH, number))
        )
        Payment.objects.bulk_create(_payment(order, accounts[order.amount % 5000 == 0]) for order in orders[1::2])


def _order(merchant: Merchant, n: int, moment: datetime) -> Order:
    return Order(
        merchant=merchant,
        mode="test",
        reference=f"cart-{n}",
        amount=n + 1,
        currency="EUR",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cart",
        status="needs_review" if n % 20_000 == 77 else "paid" if n % 2 else "open",
        metadata={"cart": str(n), "channel": "web"},
        created_at=moment,
        expires_at=moment,
    )


def _payment(order: Order, account: ProviderAccount) -> Payment:
    return Payment(
        merchant=order.merchant,
        mode=order.mode,
        order=order,
        number=1,
        account=account,
        method="card",
        submission="1",
        amount=order.amount,
        currency=order.currency,
        status="captured",
        authorised_total=order.amount,
        captured_total=order.amount,
    )


def _ask(client: Client, query: str) -> Any:
    answer = client.get(f"/api/v1/orders?{query}")
    if answer.status_code != 200:
        sys.exit(f"{query}: {answer.status_code} {answer.content.decode()[:300]}")
    return answer


def _far_down(client: Client) -> str:
    query = ""
    for _ in range(200):
        query = f"limit=100&cursor={_ask(client, query or 'limit=100').json()['next_cursor']}"
    return query


def _plan(client: Client, query: str) -> str:
    """How the database found the orders: the names of the indexes, and SCAN or SORT if it had to."""
    with CaptureQueriesContext(connection) as queries:
        _ask(client, query)
    sql = next(one["sql"] for one in reversed(queries) if 'FROM "orders_order"' in one["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"{'EXPLAIN QUERY PLAN' if connection.vendor == 'sqlite' else 'EXPLAIN'} {sql}")
        return " | ".join(str(row[-1]).strip() for row in cursor.fetchall())[:400]


def _median(act: Callable[[], Any], rounds: int) -> float:
    act()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
