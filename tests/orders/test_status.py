"""An order's status is one pure function of facts: its table, and what holds for all facts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout.orders import transitions
from checkout.orders.models import OrderStatus, Step
from checkout.orders.status import OrderFacts, order_status
from providers.contract import OperationStatus, Status

STEPS = [step for step in Step.values if step]
FACTS = st.builds(
    OrderFacts,
    amount=st.integers(1, 2000),
    captured=st.integers(0, 3000),
    refunded=st.integers(0, 3000),
    held=st.integers(0, 3000),
    in_review=st.booleans(),
    awaited=st.frozensets(st.sampled_from(STEPS)),
    cancelled=st.booleans(),
    expired=st.booleans(),
    tries_left=st.booleans(),
)
MONEY = {
    OrderStatus.PAID,
    OrderStatus.PARTIALLY_PAID,
    OrderStatus.REFUNDED,
    OrderStatus.PARTIALLY_REFUNDED,
    OrderStatus.AUTHORISED,
}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, "open"),
        ({"awaited": {"redirect"}}, "requires_action"),
        ({"awaited": {"post_form"}}, "requires_action"),
        ({"awaited": {"code"}}, "requires_action"),
        ({"awaited": {"qr"}}, "requires_action"),
        ({"awaited": {"wait"}}, "processing"),
        ({"awaited": {"ask"}}, "processing"),
        ({"awaited": {"ask", "redirect"}}, "processing"),
        ({"awaited": {"ask"}, "expired": True}, "processing"),
        ({"held": 1000}, "authorised"),
        ({"held": 1000, "expired": True}, "authorised"),
        ({"held": 500, "captured": 500}, "partially_paid"),
        ({"captured": 999}, "partially_paid"),
        ({"captured": 1000}, "paid"),
        ({"captured": 1001}, "paid"),
        ({"captured": 1000, "expired": True}, "paid"),
        ({"captured": 1000, "cancelled": True}, "paid"),
        ({"captured": 1000, "tries_left": False}, "paid"),
        ({"captured": 1000, "refunded": 1}, "partially_refunded"),
        ({"captured": 1000, "refunded": 1000}, "refunded"),
        ({"captured": 1000, "refunded": 1200}, "refunded"),
        ({"captured": 2000, "refunded": 1000}, "partially_refunded"),
        ({"cancelled": True}, "cancelled"),
        ({"cancelled": True, "expired": True}, "cancelled"),
        ({"expired": True}, "expired"),
        ({"expired": True, "tries_left": False}, "expired"),
        ({"tries_left": False}, "failed"),
        ({"tries_left": False, "awaited": {"redirect"}}, "requires_action"),
        ({"captured": 1000, "in_review": True}, "needs_review"),
    ],
)
def test_the_table(facts, status):
    facts = {**facts, "awaited": frozenset(facts.get("awaited", ()))}

    assert order_status(OrderFacts(amount=1000, **facts)) == status


@given(FACTS)
def test_all_facts_have_a_status(facts):
    assert order_status(facts) in OrderStatus


@given(FACTS)
def test_time_and_tries_do_not_matter_once_there_is_money(facts):
    status = order_status(facts)

    if status in MONEY:
        assert order_status(replace(facts, expired=True, cancelled=True, tries_left=False)) == status
        assert order_status(replace(facts, expired=False, cancelled=False, tries_left=True)) == status


@given(FACTS)
def test_money_beats_expired_and_cancelled(facts):
    if facts.captured > facts.refunded:
        assert order_status(facts) not in {OrderStatus.EXPIRED, OrderStatus.CANCELLED, OrderStatus.FAILED}


@given(FACTS)
def test_an_open_review_comes_before_everything(facts):
    assert order_status(replace(facts, in_review=True)) == OrderStatus.NEEDS_REVIEW


@given(FACTS, st.integers(0, 1000))
def test_more_money_never_makes_an_order_less_paid(facts, more):
    rank = [OrderStatus.PARTIALLY_PAID, OrderStatus.PAID]
    facts = replace(facts, refunded=0, in_review=False)
    before, after = order_status(facts), order_status(replace(facts, captured=facts.captured + more))

    if before in rank:
        assert rank.index(after) >= rank.index(before)


@given(FACTS)
def test_paid_means_that_all_of_it_stayed(facts):
    if order_status(facts) == OrderStatus.PAID:
        assert facts.captured - facts.refunded >= facts.amount


def test_every_status_can_be_reached():
    amounts, steps = (0, 500, 1000), (frozenset(), frozenset({"wait"}), frozenset({"redirect"}))
    truth = (False, True)
    reached = {
        order_status(
            OrderFacts(
                amount=1000,
                captured=captured,
                refunded=refunded,
                held=held,
                in_review=in_review,
                awaited=awaited,
                cancelled=cancelled,
                expired=expired,
                tries_left=tries_left,
            )
        )
        for captured, refunded, held, awaited, in_review, cancelled, expired, tries_left in itertools.product(
            amounts, amounts, amounts, steps, truth, truth, truth, truth
        )
    }

    assert reached == set(OrderStatus)


def test_every_word_has_its_place_on_the_ladder():
    assert set(transitions.PAYMENT) == set(Status)
    assert set(transitions.REFUND) == set(OperationStatus)
    assert set(transitions.OPERATION) == set(OperationStatus) - {OperationStatus.REVERSED}
    assert max(transitions.PAYMENT, key=transitions.PAYMENT.__getitem__) == Status.CAPTURED
