"""One button: it says whether money is released or refunded, and then does exactly that."""

from __future__ import annotations

import pytest

from checkout.orders import operations
from checkout.orders.models import Dispute
from tests.desk.stage import deed, page
from tests.factories import a_payment, an_order

from providers.zenith import DESK  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(merchant, account):
    return a_payment(an_order(merchant), "instant")


@pytest.fixture
def held(merchant, account, bank):
    payment = a_payment(an_order(merchant, capture="manual"), "card")
    bank.latest().approve()
    return operations.inquire(payment, cause="test")


def plan_in(html):
    return html.partition('name="plan" value="')[2].partition('"')[0]


def give_back(client, order, **fields):
    url = deed(order, "give-back", order)
    plan = plan_in(client.get(url).content.decode())
    return client.post(url, {"plan": plan, "reason": "regret", "confirm": "on", **fields}, follow=True)


def test_a_hold_is_said_to_be_released_and_is(owner, held, bank):
    html = owner.get(deed(held.order, "give-back", held.order)).content.decode()
    assert "the hold is released" in html
    assert "<dt>Release</dt>" in html
    assert "10.00\xa0EUR to Visa •••• 4242" in html

    give_back(owner, held.order)

    held.refresh_from_db()
    assert (held.status, held.held, held.refunds.count()) == ("cancelled", 0, 0)


def test_taken_money_is_said_to_be_refunded_and_is_for_what_remains(owner, paid, bank):
    operations.refund(paid, amount=400)
    html = owner.get(deed(paid.order, "give-back", paid.order)).content.decode()
    assert "it is refunded" in html
    assert "<dt>Refund</dt>" in html
    assert "6.00\xa0EUR" in html

    response = give_back(owner, paid.order)

    assert bank.latest().refunded == 1000
    assert "6.00\xa0EUR was given back." in response.content.decode()
    last = paid.refunds.last()
    assert (last.amount, last.reason, last.requested_by) == (600, "regret", f"staff:{owner.user.pk}")


def test_a_plan_that_has_changed_needs_another_yes(owner, paid, bank):
    url = deed(paid.order, "give-back", paid.order)
    plan = plan_in(owner.get(url).content.decode())
    operations.refund(paid, amount=400)

    response = owner.post(url, {"plan": plan, "confirm": "on"})

    assert "has changed meanwhile" in response.content.decode()
    assert plan_in(response.content.decode()) == plan.replace("1000", "600")
    assert bank.latest().refunded == 400


def test_twice_gives_back_once(owner, paid, bank):
    give_back(owner, paid.order)
    response = give_back(owner, paid.order)

    assert "not possible any more" in response.content.decode()
    assert bank.latest().refunded == 1000


def test_without_a_yes_nothing_happens(owner, paid, bank):
    url = deed(paid.order, "give-back", paid.order)
    owner.post(url, {"plan": plan_in(owner.get(url).content.decode())})
    assert bank.latest().refunded == 0


def test_disputed_money_is_not_given_back_by_one_button(owner, paid, bank):
    Dispute.objects.create(
        merchant=paid.merchant, mode=paid.mode, payment=paid, provider_reference="d1", stage="received"
    )

    assert "give-back" not in owner.get(page(paid.order)).content.decode()
    assert "not possible any more" in give_back(owner, paid.order).content.decode()
    assert bank.latest().refunded == 0


def test_support_refunds_and_leaves_holds_alone(log_in, merchant, paid, held, bank):
    support = log_in(merchant, "support")
    assert give_back(support, held.order).status_code == 403
    assert give_back(support, paid.order).status_code == 200

    held.refresh_from_db()
    assert held.held == 1000
    assert paid.refunds.count() == 1


def test_a_provider_that_gives_nothing_back_by_api_has_no_button(owner, merchant, zenith):
    payment = a_payment(an_order(merchant), "bankcard")
    operations.submit_code(payment, code="135790")
    assert DESK.names() == ["start", "submit_code"]

    assert "give-back" not in owner.get(page(payment.order)).content.decode()
