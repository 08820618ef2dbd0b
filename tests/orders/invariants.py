"""What is true of every order at every moment (DESIGN 7), as one function that raises."""

from __future__ import annotations

from collections import Counter

from checkout.orders import ledger, transitions
from checkout.orders.models import Order, OrderStatus, Payment, Step
from checkout.orders.status import OrderFacts, order_status
from providers.contract import OperationStatus


def check_order(order: Order) -> None:
    """Hold one order, and all that hangs on it, against the invariants."""
    payments = list(order.payments.select_related("account"))
    for payment in payments:
        check_payment(payment)
    assert sum(payment.is_blocking for payment in payments) <= 1, "one open outcome at a time"
    assert [payment.number for payment in payments] == list(range(1, len(payments) + 1))
    events = list(order.events.order_by("seq"))
    assert [event.seq for event in events] == list(range(1, order.last_seq + 1)), "dense and in order"
    succeeded = Counter(event.payment_id for event in events if event.type == "payment.succeeded")
    assert set(succeeded.values()) <= {1}, "one announcement of success"
    rows = [*payments, *events, *order.reviews.all()]
    assert {(row.merchant_id, row.mode) for row in rows} == {(order.merchant_id, order.mode)}
    assert order.captured_total == sum(payment.captured_total for payment in payments)
    assert order.net == sum(payment.net for payment in payments)
    assert order.status == expected_status(order, payments), "a pure function of facts"
    if order.expired_at:
        ended = [payment for payment in payments if payment.is_waiting]
        assert not ended, "nothing is open when an order is called expired"
    if any(payment.is_waiting for payment in payments):
        assert order.status not in {OrderStatus.OPEN, OrderStatus.FAILED, OrderStatus.EXPIRED, OrderStatus.CANCELLED}


def expected_status(order: Order, payments: list[Payment]) -> str:
    return order_status(
        OrderFacts(
            amount=order.amount,
            captured=sum(payment.captured_total for payment in payments),
            refunded=sum(payment.refunded_total - payment.reversed_total for payment in payments),
            held=sum(payment.held for payment in payments),
            in_review=order.reviews.filter(resolved_at=None).exists(),
            awaited=frozenset(payment.step or Step.WAIT for payment in payments if payment.is_waiting),
            cancelled=order.cancelled_at is not None,
            expired=order.expired_at is not None,
            tries_left=transitions.has_tries_left(order, payments),
        )
    )


def check_payment(payment: Payment) -> None:
    assert payment.amount > 0
    assert ledger.differences(payment) == {}, "totals equal the folded ledger"
    assert {entry.currency for entry in payment.entries.all()} <= {payment.currency}
    operations = [*payment.captures.all(), *payment.refunds.all(), *payment.cancellations.all()]
    rows = [*operations, *payment.entries.all()]
    assert {(row.merchant_id, row.mode) for row in rows} <= {(payment.merchant_id, payment.mode)}
    reserved = sum(row.amount for row in payment.refunds.all() if row.is_in_flight)
    capturing = sum(row.amount for row in payment.captures.all() if row.is_in_flight)
    assert (payment.refunds_reserved, payment.captures_reserved) == (reserved, capturing)
    if not payment.exceeds:
        assert payment.refunded_total - payment.reversed_total + reserved <= payment.captured_total
        assert payment.captured_total + capturing + payment.released_total <= payment.authorised_total
    if payment.captured_total:
        assert payment.status == "captured", "money wins"
    if payment.events.filter(type="payment.expired", actor="system").exists():
        assert payment.answered_at is not None, "given up only after an answer"
    if payment.is_waiting:
        assert payment.step or payment.status == "created"
        assert payment.due_at or payment.reviews.exists(), "somebody will look at it"
    else:
        assert (payment.step, payment.step_data, payment.deadline) == ("", {}, None)
    for operation in operations:
        if operation.is_in_flight:
            assert operation.due_at or payment.reviews.exists(), "somebody will look at it"
    check_climbing(payment)


def check_climbing(payment: Payment) -> None:
    """Every status in the history is higher than the one before, for the payment and for each operation."""
    ranks: dict[str, int] = {}
    for event in payment.events.order_by("seq"):
        kind, _, word = event.type.partition(".")
        ladder = {"payment": transitions.PAYMENT, "refund": transitions.REFUND}.get(kind, transitions.OPERATION)
        subject = event.data.get("operation", "payment")
        if kind in {"payment", "capture", "refund", "cancellation"} and word in ladder:
            if word == OperationStatus.REVERSED:
                assert ranks[subject] == ladder[OperationStatus.SUCCEEDED]
            is_late_hold = event.type == "payment.authorised" and ranks.get(subject, -1) > ladder[word]
            assert is_late_hold or ladder[word] > ranks.get(subject, -1), f"{event.type} after {ranks}"
            ranks[subject] = max(ranks.get(subject, -1), ladder[word])
