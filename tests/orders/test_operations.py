"""Paying, from the row before the call to the money in the ledger."""

from __future__ import annotations

import pytest
from django.utils import timezone

from checkout.orders import operations
from tests import factories
from tests.factories import a_payment, an_order

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_instant_payment_pays_the_order(merchant, account):
    order = an_order(merchant)
    payment = a_payment(order, "instant")
    order.refresh_from_db()
    assert (payment.status, order.status, order.captured_total) == ("captured", "paid", 1000)
    assert list(order.events.values_list("type", flat=True)) == []
