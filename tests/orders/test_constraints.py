"""The database refuses our own mistakes, whatever the code above it believes."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F, ProtectedError

from checkout.orders import operations, timeline
from checkout.orders.models import Capture, Event, LedgerEntry, Order, Payment, Refund, Review, scope_of
from checkout.tenancy import HistoryError
from tests.factories import a_payment, an_order
from tests.orders.stage import fresh

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(merchant, account, bank):
    return a_payment(an_order(merchant), "instant")


@pytest.fixture
def held(merchant, account, bank):
    return a_payment(an_order(merchant, capture="manual"), "instant")


def refused(name):
    """The database itself says no, and says which rule."""
    return pytest.raises(IntegrityError, match=name)


def change(payment, **fields):
    with transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(**fields)


def copy(payment, **fields):
    """Another row like this payment, with a name and number of its own."""
    names = ("order", "account", "method", "amount", "currency", "status", "step")
    row = {name: getattr(payment, name) for name in names}
    with transaction.atomic():
        return Payment.objects.create(
            **scope_of(payment), **{**row, "number": 2, "submission": "another form", **fields}
        )


# -------------------------------------------------------------------------------------------------------------- amounts


def test_an_orders_amount_is_positive(paid):
    with refused("order_amount_positive"), transaction.atomic():
        Order.objects.filter(pk=paid.order_id).update(amount=0)


def test_a_payments_amount_is_positive(paid):
    with refused("payment_amount_positive"):
        change(paid, amount=0)


@pytest.mark.parametrize("total", ["authorised_total", "captured_total", "refunded_total", "refunds_reserved"])
def test_totals_are_not_negative(paid, total):
    with pytest.raises(IntegrityError):
        change(paid, **{total: -1, "exceeds": True})


def test_an_operations_amount_is_positive(paid):
    for kind in (Refund, Capture):
        with refused("amount_positive"), transaction.atomic():
            kind.objects.create(**scope_of(paid), payment=paid, amount=0, source="staff")


def test_an_entrys_amount_is_positive(paid):
    with refused("entry_amount_positive"), transaction.atomic():
        LedgerEntry.objects.create(
            **scope_of(paid), payment=paid, kind="captured", amount=0, currency="EUR", cause="test"
        )


def test_refunds_stay_within_what_was_captured(paid):
    change(paid, refunds_reserved=1000)
    with refused("payment_refunds_within_captured"):
        change(paid, refunds_reserved=1001)
    with refused("payment_refunds_within_captured"):
        change(paid, refunded_total=1)


def test_a_bounced_refund_may_be_given_back_again(paid):
    change(paid, refunded_total=1000, reversed_total=1000, refunds_reserved=1000)

    with refused("payment_refunds_within_captured"):
        change(paid, refunds_reserved=1001)


def test_captures_stay_within_what_was_authorised(held):
    change(held, captures_reserved=1000)
    with refused("payment_captures_within_authorised"):
        change(held, captures_reserved=1001)
    with refused("payment_captures_within_authorised"):
        change(held, released_total=1)
    with refused("payment_captures_within_authorised"):
        change(held, captured_total=1)


def test_a_providers_excess_is_let_through_when_it_is_flagged(paid):
    change(paid, exceeds=True, captured_total=5000, refunded_total=6000)

    assert fresh(paid).exceeds


# ----------------------------------------------------------------------------------------------------------- uniqueness


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("created", ""), ("created", "")),
        (("pending", "wait"), ("created", "")),
        (("pending", "ask"), ("pending", "wait")),
        (("pending", "ask"), ("pending", "ask")),
    ],
)
def test_one_payment_of_an_order_has_an_open_outcome(paid, first, second):
    change(paid, status=first[0], step=first[1])

    with refused("payment_one_open_outcome|orders_payment.order_id"):
        copy(paid, status=second[0], step=second[1])


@pytest.mark.parametrize(
    ("first", "second"), [(("pending", "redirect"), ("created", "")), (("failed", ""), ("pending", "wait"))]
)
def test_an_attempt_beside_a_redirect_or_a_failure_is_no_second_open_outcome(paid, first, second):
    change(paid, status=first[0], step=first[1])

    assert copy(paid, status=second[0], step=second[1]).pk


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"number": 1}, "payment_number_once|number"),
        ({"submission": "same"}, "payment_submission_once|submission"),
        ({"reference": "same"}, "reference"),
        ({"provider_reference": "same"}, "payment_provider_reference_once|provider_reference"),
    ],
)
def test_names_and_numbers_are_given_once(paid, fields, rule):
    change(paid, **{name: value for name, value in fields.items() if name != "number"})

    with refused(rule):
        copy(paid, **fields)


def test_empty_provider_references_do_not_collide(paid):
    change(paid, provider_reference="")

    assert copy(paid, provider_reference="").pk


def test_an_operations_reference_is_given_once(paid):
    refund = operations.refund(paid, amount=1)

    with refused("reference"), transaction.atomic():
        Refund.objects.create(**scope_of(paid), payment=paid, amount=1, source="staff", reference=refund.reference)


def test_a_number_in_an_orders_history_is_given_once(paid):
    with refused("event_seq_once|seq"), transaction.atomic():
        Event.objects.create(
            **scope_of(paid), order=paid.order, seq=1, type="order.created", actor="system", cause="test"
        )


def test_one_review_of_a_kind_is_open_at_a_time(paid):
    fields = {**scope_of(paid), "order": paid.order, "payment": paid, "kind": "amount", "cause": "test"}
    Review.objects.create(**fields)

    with refused("review_open_once|kind"), transaction.atomic():
        Review.objects.create(**fields)


# ------------------------------------------------------------------------------------------------------------- history


@pytest.mark.parametrize("kind", [Event, LedgerEntry])
def test_history_is_never_updated_or_deleted(paid, kind):
    row = kind.objects.first()
    attempts = [
        row.save,
        row.delete,
        kind.objects.all().delete,
        lambda: kind.objects.update(cause="nothing happened"),
        lambda: kind.objects.filter(pk=row.pk).update(cause="nothing happened"),
        lambda: kind.objects.bulk_update([row], ["cause"]),
    ]

    for attempt in attempts:
        with pytest.raises(HistoryError):
            attempt()


@pytest.mark.parametrize("statement", ["UPDATE {} SET cause = 'nothing happened'", "DELETE FROM {}"])
@pytest.mark.parametrize("kind", [Event, LedgerEntry])
def test_postgresql_itself_keeps_history(paid, kind, statement):
    if connection.vendor != "postgresql":
        assert kind.objects.exists()
        return
    with (
        pytest.raises(DatabaseError, match="never updated or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(kind._meta.db_table))


def test_a_row_with_history_is_not_deleted(paid):
    for row in (paid.order, paid, paid.account, paid.merchant):
        with pytest.raises(ProtectedError):
            row.delete()


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused(paid):
    with pytest.raises(RuntimeError, match="transaction of its cause"):
        timeline.record(paid.order, "order.created", cause="test")


def test_a_counter_that_was_lost_is_noticed(paid):
    Order.objects.filter(pk=paid.order_id).update(last_seq=F("last_seq") - 1)

    with refused("seq"), transaction.atomic():
        timeline.record(timeline.lock(paid.order_id), "order.noted", cause="test")
