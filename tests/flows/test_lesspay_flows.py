"""Client, core and simulator together, without a browser."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from checkout.orders import operations
from checkout.orders.models import Dispute, FraudAlert, Order, Payment
from checkout.webhooks.models import WebhookEvent
from tests.factories import VISA, a_payment, an_order
from tests.flows.stage import Simulator, charged, work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

FRICTIONLESS = dataclasses.replace(VISA, number="4000000001000027")
CHALLENGED = dataclasses.replace(VISA, number="4000000001000019")
DECLINED = dataclasses.replace(VISA, number="4000000000200511")
NOT_ENROLLED = dataclasses.replace(VISA, number="4000000001000035")
SUSPECTED = dataclasses.replace(VISA, number="4000000000300345")
DISPUTED = dataclasses.replace(VISA, number="4000000001000084")


def fresh(order: Order) -> Order:
    order.refresh_from_db()
    return order


def news(simulator: Simulator) -> None:
    """The provider sends what it has, and our worker deals with it."""
    simulator.settle()
    work_until_quiet()


def test_a_card_without_challenge_is_paid_when_the_webhook_was_confirmed(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=FRICTIONLESS)
    assert (payment.status, payment.step) == ("pending", "wait")

    news(simulator)

    payment.refresh_from_db()
    assert (fresh(order).status, payment.status, payment.captured_total) == ("paid", "captured", 1000)
    assert (payment.card_last4, payment.card_country, payment.three_ds["enrolled"]) == ("0027", "GB", "Y")
    assert WebhookEvent.objects.get().state == "applied"
    assert charged(simulator) == 1000


def test_a_challenge_sends_the_shopper_to_the_bank(merchant, account, simulator):
    payment = a_payment(an_order(merchant), "card", card=CHALLENGED)

    assert payment.step == "redirect"
    assert payment.step_data["url"].startswith(simulator.url)
    assert payment.deadline - timezone.now() > timedelta(minutes=14)


def test_a_decline_leaves_the_order_payable(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=DECLINED)

    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, payment.decline_category, fresh(order).status) == ("failed", "declined", "open")
    a_payment(order, "card", card=FRICTIONLESS)
    news(simulator)
    assert fresh(order).status == "paid"
    assert order.payments.count() == 2


@pytest.mark.parametrize(
    "fault",
    [
        "timeout_after",
        "http_500_after",
        "reset_after",
        "garbage_answer",
        "html_answer",
        "truncated_answer",
        "oversized_answer",
        "wrong_type_answer",
        "system_exception_after",
    ],
)
def test_an_answer_lost_after_the_charge_is_found_by_asking(merchant, account, simulator, settings, fault):
    settings.PROVIDER_READ_SECONDS = 1.0
    simulator.dial(fault, next=1, operation="create-order")
    simulator.dial("webhook_drop")
    order = an_order(merchant)

    payment = a_payment(order, "card", card=FRICTIONLESS)

    assert (payment.status, payment.step, fresh(order).status) == ("pending", "ask", "processing")
    with pytest.raises(operations.AlreadyInProgress):
        a_payment(order, "card", card=FRICTIONLESS)
    with time_machine.travel(timezone.now() + timedelta(seconds=15)):
        work_until_quiet()
    assert fresh(order).status == "paid"
    assert charged(simulator) == 1000


def test_a_provider_that_never_got_the_call_costs_no_try(merchant, account, simulator):
    account.base_url = "http://127.0.0.1:9/lesspay"
    account.save()
    order = an_order(merchant)

    payment = a_payment(order, "card", card=FRICTIONLESS)

    assert (payment.status, payment.decline_category, fresh(order).status) == ("failed", "unavailable", "open")


def test_an_abandoned_cashier_page_frees_the_order(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "cashier")
    assert fresh(order).status == "requires_action"

    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        work_until_quiet()

    payment.refresh_from_db()
    assert (payment.status, payment.decline_category, fresh(order).status) == ("expired", "abandoned", "open")


def test_money_after_expiry_is_recorded_and_said_to_be_late(merchant, account, simulator):
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        work_until_quiet()
        assert fresh(order).status == "expired"

        simulator.happen(payment.reference, "pay")
        news(simulator)

    assert (fresh(order).status, order.flags) == ("paid", ["test", "paid_late"])
    assert order.events.filter(type="payment.succeeded").count() == 1


@pytest.mark.parametrize("fault", ["webhook_duplicate", "webhook_delay", "webhook_reorder", "webhook_drop"])
def test_however_the_news_travels_the_order_is_paid_once(merchant, account, simulator, fault):
    simulator.dial(fault)
    order = an_order(merchant)
    a_payment(order, "card", card=FRICTIONLESS)

    news(simulator)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        work_until_quiet()
    simulator.advance(3600)
    work_until_quiet()

    assert fresh(order).status == "paid"
    assert order.events.filter(type="payment.succeeded").count() == 1
    assert Payment.objects.get().entries.filter(kind="captured").count() == 1


def test_a_forged_webhook_is_refused_and_the_sweep_finds_the_truth(merchant, account, simulator):
    simulator.dial("webhook_forged")
    order = an_order(merchant)
    a_payment(order, "card", card=FRICTIONLESS)

    news(simulator)

    assert WebhookEvent.objects.count() == 0
    assert account.refused_deliveries.get().reason == "bad_signature"
    with time_machine.travel(timezone.now() + timedelta(seconds=15)):
        work_until_quiet()
    assert fresh(order).status == "paid"


@pytest.mark.parametrize("fault", ["webhook_wrong_amount", "webhook_wrong_currency"])
def test_a_genuine_webhook_about_other_money_asks_a_person(merchant, account, simulator, fault):
    simulator.dial(fault)
    order = an_order(merchant)
    a_payment(order, "card", card=FRICTIONLESS)

    news(simulator)

    assert fresh(order).status == "needs_review"
    review = order.reviews.get()
    assert (bool(review.ours), bool(review.theirs), review.ours == review.theirs) == (True, True, False)
    assert not order.events.filter(type="payment.succeeded").exists()


def test_another_amount_paid_at_the_provider_is_never_success(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "cashier")

    simulator.happen(payment.reference, "pay", amount="9.00")
    news(simulator)

    assert fresh(order).status == "needs_review"
    assert order.reviews.get().kind == "amount_differs"


def test_a_refund_made_at_the_provider_is_seen(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=FRICTIONLESS)
    news(simulator)

    simulator.happen(payment.reference, "refund")
    news(simulator)

    assert (fresh(order).status, order.refunded_total) == ("refunded", 1000)
    assert payment.refunds.get().source == "external"
    assert charged(simulator) == 0


def test_fraud_and_dispute_notices_change_no_status(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=DISPUTED)
    news(simulator)

    simulator.advance(30 * 24 * 3600)
    work_until_quiet()
    simulator.happen(payment.reference, "payment_declined", code="41101")
    news(simulator)

    assert (fresh(order).status, "disputed" in order.flags) == ("paid", True)
    assert Dispute.objects.get().category
    assert FraudAlert.objects.get().code == "41101"


def test_suspected_fraud_looks_like_any_decline_to_the_shopper(merchant, account, simulator):
    order = an_order(merchant)
    payment = a_payment(order, "card", card=SUSPECTED)

    news(simulator)

    payment.refresh_from_db()
    assert (payment.status, payment.shown_decline, fresh(order).status) == ("failed", "declined", "open")


@pytest.mark.parametrize(("wish", "sent"), [("default", None), ("force", True), ("skip", False)])
def test_the_3ds_wish_goes_out_and_the_fact_comes_back(merchant, account, simulator, wish, sent):
    order = an_order(merchant, three_ds=wish)
    payment = a_payment(order, "card", card=NOT_ENROLLED)

    news(simulator)

    body = json.loads(simulator.calls("create-order")[0]["request"])
    assert body["channel_extra"].get("three_ds", {}).get("enabled") is sent
    payment.refresh_from_db()
    assert payment.three_ds_wish == wish
    if wish != "skip":
        assert payment.three_ds["downgraded"] is True
        assert "downgraded_3ds" in fresh(order).flags


def test_a_redirect_to_a_foreign_host_stops_the_payment(merchant, account, simulator):
    simulator.dial("foreign_redirect", next=1)
    order = an_order(merchant)

    payment = a_payment(order, "cashier")

    assert (payment.status, payment.step, fresh(order).status) == ("failed", "", "open")
    assert order.events.filter(type="payment.redirect_refused").exists()


def test_an_answer_about_another_order_changes_nothing_but_asks_a_person(merchant, account, simulator):
    simulator.dial("query_wrong_amount")
    order = an_order(merchant)
    a_payment(order, "card", card=FRICTIONLESS)

    news(simulator)

    assert fresh(order).status == "needs_review"
    assert order.captured_total == 0
