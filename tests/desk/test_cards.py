"""Saved cards on an order's page: the yes that they stand on, and their end."""

from __future__ import annotations

import pytest

from tests.desk.stage import a_saved_card, deed, page
from tests.factories import a_merchant, an_account, an_order, work_until_quiet

from providers.zenith import DESK  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def card(merchant, zenith):
    return a_saved_card(merchant)


def test_a_card_is_shown_with_the_yes_that_it_stands_on(owner, card):
    html = owner.get(page(card.consent.order)).content.decode()

    for words in ("Saved cards", "•••• 4242", ">Usable<", "for later purchases", "wording 2026-11 (de)", "Zenith"):
        assert words in html
    assert "tok-" not in html


def test_a_customer_s_next_order_shows_it_too_and_another_customer_s_does_not(owner, merchant, card):
    next_one = an_order(merchant, customer={"reference": "ada"})
    other = an_order(merchant, customer={"reference": "bob"})
    guest = an_order(merchant)

    assert "Saved cards" in owner.get(page(next_one)).content.decode()
    for order in (other, guest):
        assert "Saved cards" not in owner.get(page(order)).content.decode()
        assert owner.post(deed(order, "remove-card", card), {"confirm": "on"}).status_code == 404


def test_the_same_customer_name_at_another_merchant_is_somebody_else(owner, log_in, merchant, card):
    other = a_merchant()
    an_account(other)
    order = an_order(other, customer={"reference": "ada"})

    client = log_in(other, "owner")

    assert "Saved cards" not in client.get(page(order)).content.decode()
    assert client.post(deed(order, "remove-card", card), {"confirm": "on"}).status_code == 404
    card.refresh_from_db()
    assert card.removed_at is None


@pytest.mark.parametrize("role", ["owner", "support"])
def test_a_card_is_removed_here_and_at_the_provider(log_in, merchant, card, role):
    client = log_in(merchant, role)
    order = card.consent.order
    client.get(deed(order, "remove-card", card))
    card.refresh_from_db()
    assert card.removed_at is None

    client.post(deed(order, "remove-card", card), {"confirm": "on"})
    work_until_quiet()

    card.refresh_from_db()
    assert card.removed_by == f"staff:{client.user.pk}"
    assert card.consent.ended_at
    assert DESK.removed == [f"tok-{order.pk}"]
    html = client.get(page(order)).content.decode()
    assert ">Removed<" in html
    assert "the provider has forgotten it" in html
    assert "remove-card" not in html


@pytest.mark.parametrize("role", ["finance", "developer", "viewer", "shipping"])
def test_other_roles_remove_none(log_in, merchant, card, role):
    client = log_in(merchant, role)
    order = card.consent.order

    assert client.post(deed(order, "remove-card", card), {"confirm": "on"}).status_code == 403
    assert ("Saved cards" in client.get(page(order)).content.decode()) is (role != "shipping")
