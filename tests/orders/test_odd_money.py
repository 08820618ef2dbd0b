"""Money that comes late, twice, or not as agreed: always recorded, never silently right."""

from __future__ import annotations

import pytest

from checkout.orders import operations
from providers.money import Money
from tests.factories import a_merchant, a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, hear, pass_time, state, types

pytestmark = pytest.mark.django_db


def shop(**policy):
    account = an_account(a_merchant(**policy))
    return account.merchant, account


def late(clock, bank, merchant, capture="automatic"):
    """An order that expired, and then its shopper paid."""
    order = an_order(merchant, expires_in=300, capture=capture)
    payment = a_payment(order, "cashier")
    pass_time(clock, minutes=10)
    assert state(payment) == ("expired", "", "expired")
    bank.latest().approve()
    pass_time(clock, hours=2)
    return order, payment


# ----------------------------------------------------------------------------------------------------------------- late


def test_late_money_is_accepted(db, bank, clock):
    merchant, _ = shop(late_money="accept")
    order, payment = late(clock, bank, merchant)

    assert state(payment) == ("captured", "", "paid")
    assert fresh(order).flags == ["test", "paid_late"]
    assert types(order)[-1] == "payment.succeeded"
    assert order.events.get(type="payment.succeeded").data["late"] is True
    assert types(order).count("payment.late") == 1


def test_late_money_is_held_for_a_person(db, bank, clock):
    merchant, _ = shop(late_money="hold")
    order, payment = late(clock, bank, merchant)
    assert (state(payment)[2], order.reviews.get().kind) == ("needs_review", "late")
    assert "payment.succeeded" not in types(order)
    assert fresh(order).captured_total == 1000

    operations.resolve_review(order.reviews.get(), actor="staff:1", resolution="Ship it.")

    assert state(payment)[2] == "paid"
    assert types(order).count("payment.succeeded") == 1


def test_late_money_is_refunded(db, bank, clock):
    merchant, _ = shop(late_money="refund")
    _, payment = late(clock, bank, merchant)

    assert state(payment) == ("captured", "", "refunded")
    assert bank.latest().refunded == 1000
    refund = payment.refunds.get()
    assert (refund.source, refund.reason) == ("system", "paid late")


def test_late_money_that_cannot_be_refunded_is_left_to_a_person(db, bank, clock):
    merchant = a_merchant(late_money="refund")
    an_account(merchant, provider="bare")
    order = an_order(merchant, expires_in=300)
    a_payment(order, "form")
    bank.redirect_to = "https://cashier.acme.example/"
    pass_time(clock, minutes=10)
    bank.latest().approve()

    pass_time(clock, hours=2)

    assert (fresh(order).status, order.reviews.get().kind) == ("needs_review", "late")


def test_a_refund_of_late_money_that_fails_is_left_to_a_person(db, bank, clock):
    merchant, _ = shop(late_money="refund")
    bank.refuses.add("refund")
    order, _payment = late(clock, bank, merchant)

    assert (fresh(order).status, order.reviews.get().kind) == ("needs_review", "refund_failed")


def test_a_late_hold_is_seen_and_can_be_captured(db, bank, clock):
    merchant, _ = shop(late_money="accept")
    order, payment = late(clock, bank, merchant, capture="manual")
    assert state(payment) == ("expired", "", "authorised")
    assert "paid_late" in fresh(order).flags
    assert "payment.authorised" in types(order)

    operations.capture(payment)

    assert state(payment) == ("captured", "", "paid")


def test_a_late_hold_is_let_go(db, bank, clock):
    merchant, _ = shop(late_money="refund")
    order, payment = late(clock, bank, merchant, capture="manual")

    assert bank.latest().held == fresh(payment).held == 0
    assert fresh(order).status == "expired"
    assert payment.cancellations.get().status == "succeeded"


def test_money_after_a_cancelled_order_is_late(db, bank, clock):
    merchant, _ = shop(late_money="hold")
    order = an_order(merchant)
    a_payment(order, "cashier")
    operations.cancel_order(order, actor="staff:1")
    bank.latest().approve()

    pass_time(clock, hours=1)

    assert (fresh(order).status, order.reviews.get().kind) == ("needs_review", "late")


# ---------------------------------------------------------------------------------------------------------------- twice


def twice(clock, bank, merchant, capture="automatic"):
    """The shopper left the first attempt, paid by a second, and then paid the first as well."""
    order = an_order(merchant, capture=capture)
    first = a_payment(order, "cashier")
    charge = bank.latest()
    second = a_payment(order, "instant")
    charge.approve()
    pass_time(clock, hours=1)
    return order, first, second


def test_double_money_is_held_for_a_person(db, bank, clock):
    merchant, _ = shop(duplicate_money="hold")
    order, first, second = twice(clock, bank, merchant)

    review = order.reviews.get()
    assert (review.kind, review.ours, review.theirs) == ("duplicate", first.reference, second.reference)
    assert fresh(order).status == "needs_review"
    assert {"duplicate", "overpaid"} <= set(fresh(order).flags)
    assert fresh(order).captured_total == 2000


def test_the_younger_of_double_money_is_given_back(db, bank, clock):
    merchant, _ = shop(duplicate_money="give_back")
    order, first, second = twice(clock, bank, merchant)

    assert [fresh(payment).net for payment in (first, second)] == [1000, 0]
    assert [charge.net for charge in bank.charges.values()] == [1000, 0]
    assert "duplicate" not in fresh(order).flags
    assert types(order).count("payment.duplicate") == 1


def test_the_younger_of_two_holds_is_let_go(db, bank, clock):
    merchant, _ = shop(duplicate_money="give_back")
    order, first, second = twice(clock, bank, merchant, capture="manual")

    assert [fresh(payment).held for payment in (first, second)] == [1000, 0]
    assert [charge.held for charge in bank.charges.values()] == [1000, 0]
    assert fresh(order).status == "authorised"


def test_double_money_that_cannot_be_given_back_is_left_to_a_person(db, bank, clock):
    merchant, _ = shop(duplicate_money="give_back")
    bank.refuses.add("refund")
    order, _, _ = twice(clock, bank, merchant)

    assert (fresh(order).status, order.reviews.get().kind) == ("needs_review", "refund_failed")


# -------------------------------------------------------------------------------------------------------- not as agreed

LIES = [
    ({"amount": 999}, "amount", "10.00 EUR", "9.99 EUR"),
    ({"currency": "USD"}, "currency", "EUR", "USD"),
    ({"id": "A77"}, "provider_reference", "A1", "A77"),
]


@pytest.mark.parametrize(("lie", "kind", "ours", "theirs"), LIES)
def test_a_webhook_that_disagrees_opens_a_review_and_moves_no_money(merchant, account, bank, lie, kind, ours, theirs):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()

    event = hear(account, bank.latest().notice("paid", **lie))

    assert (event.state, event.outcome) == ("applied", "review")
    review = payment.reviews.get()
    assert (review.kind, review.ours, review.theirs) == (kind, ours, theirs)
    assert state(payment) == ("pending", "wait", "needs_review")
    assert not payment.entries.exists()
    assert "payment.succeeded" not in types(payment.order)
    assert payment.order.events.get(type="review.opened").data["theirs"] == theirs


def test_another_reference_than_ours_opens_a_review(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()

    hear(account, bank.latest().notice("paid", reference="P0123"))

    assert (payment.reviews.get().kind, state(payment)[2]) == ("reference", "needs_review")
    assert not payment.entries.exists()


def test_a_provider_reference_of_another_payment_opens_a_review(merchant, account, bank):
    first = a_payment(an_order(merchant), "card")
    bank.arm("start", "lost_after")
    second = a_payment(an_order(merchant), "card")
    assert fresh(second).provider_reference == ""

    hear(account, bank.latest().notice("mixed up", id=fresh(first).provider_reference))

    assert second.reviews.get().ours == f"belongs to {first.reference}"
    assert fresh(second).provider_reference == ""


@pytest.mark.parametrize("same_merchant", [True, False])
def test_news_of_another_accounts_payment_is_not_believed(merchant, account, bank, clock, same_merchant):
    """Both accounts have the same key, so the signature is good; the payment is still not theirs."""
    stranger = an_account(merchant if same_merchant else a_merchant())
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()

    event = hear(stranger, bank.latest().notice("paid"))

    assert (event.state, event.outcome) == ("parked", "unmatched")
    assert state(payment) == ("pending", "wait", "processing")


@pytest.mark.parametrize("amount", [Money(999, "EUR"), Money(1000, "USD")])
def test_a_fetch_that_disagrees_ends_nothing(merchant, account, bank, clock, amount):
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")
    bank.latest().approve()
    bank.latest().tells = {"amount": amount}

    pass_time(clock, days=1)

    assert state(payment) == ("pending", "redirect", "needs_review")
    assert fresh(order).expired_at is None, "a fetch that shows money is no reason to expire"
    assert payment.reviews.count() == 1


def test_an_answer_that_disagrees_is_not_followed(merchant, account, bank):
    bank.tells = {"amount": Money(1, "EUR")}

    payment = a_payment(an_order(merchant), "instant")

    assert state(payment) == ("created", "", "needs_review")
    assert payment.reviews.get().theirs == "0.01 EUR"
    assert not payment.entries.exists()


def test_a_decided_review_announces_the_held_back_success_once(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()
    hear(account, bank.latest().notice("forged", amount=999))
    operations.inquire(payment, cause="test")
    assert state(payment) == ("captured", "", "needs_review")
    assert "payment.succeeded" not in types(payment.order)

    operations.resolve_review(payment.reviews.get(), actor="staff:1", resolution="A test of theirs.")
    operations.inquire(payment, cause="test")
    hear(account, bank.latest().notice("once more"))

    assert state(payment) == ("captured", "", "paid")
    assert types(payment.order).count("payment.succeeded") == 1
    assert payment.order.events.get(type="order.reviewed").actor == "staff:1"


def test_what_a_person_decided_is_not_asked_again(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    hear(account, bank.latest().notice("one", amount=999))
    operations.resolve_review(payment.reviews.get(), actor="staff:1", resolution="Seen.")

    hear(account, bank.latest().notice("two", amount=999))
    assert payment.reviews.count() == 1
    hear(account, bank.latest().notice("three", amount=998))

    assert payment.reviews.count() == 2


def test_a_review_is_decided_once(merchant, account, bank):
    payment = a_payment(an_order(merchant), "card")
    hear(account, bank.latest().notice("one", amount=999))
    review = payment.reviews.get()

    assert operations.resolve_review(review, actor="staff:1", resolution="Seen.")
    assert not operations.resolve_review(fresh(review), actor="staff:2", resolution="No!")
    assert fresh(review).resolved_by == "staff:1"
    work_until_quiet()
