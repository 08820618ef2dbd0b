from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.orders import links
from checkout.orders.models import Order, OrderStatus, Payment, Step
from checkout.pages.screens import PAYABLE, UNPAID, Facts, Screen, screen_of
from checkout.pages.texts import RESULTS
from providers.contract import DeclineCategory, Status
from tests import factories
from tests.pages.shopper import press, screen_in, url_of

STATES = {
    OrderStatus.OPEN: Screen.DECLINED,
    OrderStatus.REQUIRES_ACTION: Screen.RESUME,
    OrderStatus.PROCESSING: Screen.WAITING,
    OrderStatus.AUTHORISED: Screen.COLLECTING,
    OrderStatus.PARTIALLY_PAID: Screen.PARTLY_PAID,
    OrderStatus.PAID: Screen.PAID,
    OrderStatus.PARTIALLY_REFUNDED: Screen.PARTLY_REFUNDED,
    OrderStatus.REFUNDED: Screen.REFUNDED,
    OrderStatus.NEEDS_REVIEW: Screen.REVIEW,
    OrderStatus.CANCELLED: Screen.CANCELLED,
    OrderStatus.EXPIRED: Screen.EXPIRED,
    OrderStatus.FAILED: Screen.FAILED,
}


def combinations() -> list[Facts]:
    return [
        Facts(
            status=status,
            paid_late=late,
            time_is_up=time_is_up,
            payment_status=payment,
            step=step,
            returned=returned,
            captures_by_itself=by_itself,
        )
        for status, late, time_is_up, payment, step, returned, by_itself in itertools.product(
            OrderStatus.values, (True, False), (True, False), ("", *Status), Step.values, (True, False), (True, False)
        )
    ]


def test_every_combination_of_facts_has_a_screen_that_can_be_shown():
    for facts in combinations():
        assert screen_of(facts) in PAYABLE | RESULTS.keys()


def test_money_that_the_merchant_takes_later_is_said_to_be_held():
    held = Facts(status=OrderStatus.AUTHORISED, payment_status=Status.AUTHORISED)

    assert screen_of(held) is Screen.HELD
    assert screen_of(dataclasses.replace(held, captures_by_itself=True)) is Screen.COLLECTING


def test_a_doubt_about_money_is_never_shown_as_an_end_without_money():
    doubtful = {Status.CREATED, Status.PENDING}
    undecided = {OrderStatus.OPEN, OrderStatus.REQUIRES_ACTION, OrderStatus.PROCESSING}
    for facts in combinations():
        if facts.payment_status in doubtful and facts.status in undecided:
            assert screen_of(facts) not in UNPAID | {Screen.DECLINED}


def test_no_attempt_starts_once_the_time_is_up_or_the_order_settled():
    for facts in combinations():
        if facts.time_is_up:
            assert screen_of(facts) not in PAYABLE


def test_the_page_of_an_unpaid_order_closes_for_good_and_that_of_a_paid_one_does_not():
    assert screen_of(Facts(status=OrderStatus.EXPIRED, time_is_up=True, long_over=True)) is Screen.GONE
    assert screen_of(Facts(status=OrderStatus.PAID, time_is_up=True, long_over=True)) is Screen.PAID


def put(order: Order, status: str) -> Payment:
    """Make the stored facts of an order in this state."""
    payment = factories.a_payment(order, "cashier" if status == OrderStatus.REQUIRES_ACTION else "card")
    if status == OrderStatus.OPEN:
        Payment.objects.filter(pk=payment.pk).update(
            status=Status.FAILED, step="", decline_category=DeclineCategory.DECLINED
        )
    elif status not in {OrderStatus.REQUIRES_ACTION, OrderStatus.PROCESSING}:
        Payment.objects.filter(pk=payment.pk).update(status=Status.CAPTURED, step="", settled_at=timezone.now())
    Order.objects.filter(pk=order.pk).update(status=status)
    payment.refresh_from_db()
    return payment


@pytest.mark.parametrize("status", STATES)
def test_every_address_answers_for_every_state_without_asking_a_provider(client, bank, order, status):
    payment = put(order, status)
    bank.calls.clear()

    shown = client.get(url_of(order))
    sent_again = client.post(url_of(order), {"token": "stale", "offer": "0:card"})
    answers = {
        "status": client.get(f"{url_of(order)}/status"),
        "poll": client.get(f"{url_of(order)}/status", headers={"HX-Request": "true"}),
        "go": client.get(f"{url_of(order)}/go/{payment.public_id}"),
        "go elsewhere": client.get(f"{url_of(order)}/go/{order.public_id}"),
        "leave": client.get(f"{url_of(order)}/cancel"),
    }

    assert shown.status_code == 200
    assert screen_in(shown) is STATES[status]
    assert sent_again.status_code == (422 if STATES[status] in PAYABLE else 303)
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "status": 303,
        "poll": 200 if STATES[status] in PAYABLE | {Screen.WAITING} else 286,
        "go": 303,
        "go elsewhere": 303,
        "leave": 303,
    }
    assert answers["leave"]["Location"] == order.cancel_url
    assert answers["go elsewhere"]["Location"] == url_of(order)
    assert (answers["go"]["Location"] == url_of(order)) is (STATES[status] is not Screen.RESUME)
    assert bank.calls == []


KINDS = {
    "pay": {"offer": "0:card", "token": "stale"},
    "saved card": {"kind": "saved_card", "saved_card": "0", "token": "stale"},
    "code": {"kind": "code", "code": "135790"},
    "again": {"kind": "again"},
    "unknown": {"kind": "refund", "amount": "1"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", STATES)
def test_no_press_does_harm_in_a_state_that_it_does_not_fit(client, bank, order, status, kind):
    payment = put(order, status)
    before = Payment.objects.values().get()
    bank.calls.clear()

    for named in (payment.public_id, order.public_id, "", "x"):
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.post(url_of(order), {**KINDS[kind], "payment": str(named)}, headers=headers)
            assert answer.status_code in ({422, 200, 303} if STATES[status] in PAYABLE else {200, 303})

    order.refresh_from_db()
    assert (Payment.objects.values().get(), order.status) == (before, status)
    assert bank.calls == []


@pytest.mark.parametrize("status", STATES)
def test_no_state_has_a_card_to_remove_or_a_code_to_scan_where_there_is_none(client, bank, order, status):
    payment = put(order, status)
    bank.calls.clear()
    address = f"{url_of(order)}/cards/{payment.public_id}/remove"

    assert client.get(address)["Location"] == client.post(address)["Location"] == url_of(order)
    assert client.get(f"{url_of(order)}/qr/{payment.public_id}.svg").status_code == 404
    assert bank.calls == []


@pytest.mark.parametrize("method", ["bankcard", "wallet"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_on_our_page_heeds_only_what_belongs_to_it(client, merchant, zenith, method, kind):
    from providers.zenith import DESK

    order = factories.an_order(merchant)
    press(client, order, method)
    before = Payment.objects.values().get()
    asked = DESK.names()

    for named in (order.public_id, "", "x"):
        client.post(url_of(order), {**KINDS[kind], "payment": str(named)})

    assert Payment.objects.values().get() == before
    assert DESK.names() == asked


@pytest.mark.parametrize(("method", "screen"), [("bankcard", Screen.CODE), ("wallet", Screen.QR)])
def test_every_address_answers_while_a_step_on_our_page_is_awaited(client, merchant, zenith, method, screen):
    order = factories.an_order(merchant)
    press(client, order, method)
    payment = order.payments.get()

    assert screen_in(client.get(url_of(order))) is screen
    assert client.get(f"{url_of(order)}/status")["Location"] == url_of(order)
    assert client.get(f"{url_of(order)}/status", headers={"HX-Request": "true"}).status_code == 200
    assert client.get(f"{url_of(order)}/go/{payment.public_id}")["Location"] == url_of(order)
    assert client.get(f"{url_of(order)}/qr/{payment.public_id}.svg").status_code == (
        200 if screen is Screen.QR else 404
    )
    assert client.get(f"{url_of(order)}/cancel")["Location"] == order.cancel_url
    returned = client.get(f"/return/{links.return_token(payment)}")
    assert screen_in(returned) is Screen.WAITING
    assert f'href="{url_of(order)}"' in returned.content.decode()


@pytest.mark.parametrize("status", STATES)
def test_a_return_shows_every_state_and_asks_only_about_an_open_payment(client, bank, order, status):
    payment = put(order, status)
    bank.calls.clear()
    open_before = payment.is_waiting

    shown = client.get(f"/return/{links.return_token(payment)}")

    expected = Screen.WAITING if STATES[status] is Screen.RESUME else STATES[status]
    assert shown.status_code == 200
    assert screen_in(shown) is expected
    assert bank.calls == (["fetch"] if open_before else [])


def test_an_order_whose_time_is_up_is_closed_before_the_sweep_says_so(client, order):
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert screen_in(client.get(url_of(order))) is Screen.EXPIRED


def test_money_that_came_late_is_said_to_be_late(client, order):
    put(order, OrderStatus.PAID)
    Order.objects.filter(pk=order.pk).update(flags=["paid_late"])

    shown = client.get(url_of(order))

    assert screen_in(shown) is Screen.PAID_LATE
    assert "arrived late" in shown.content.decode()


def test_a_page_closed_for_good_is_gone_and_shows_nothing_of_the_order(client, order):
    long_ago = timezone.now() - timedelta(days=31)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.EXPIRED, expires_at=long_ago)

    shown = client.get(url_of(order))

    assert shown.status_code == 410
    assert order.reference not in shown.content.decode()
    assert order.description not in shown.content.decode()


def test_an_unknown_address_is_a_page_that_helps(client, db):
    shown = client.get("/pay/unknown")

    assert shown.status_code == 404
    assert "go back to the shop" in shown.content.decode()
