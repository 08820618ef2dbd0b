"""Finding an order, reading its story, and doing to it what is allowed."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from checkout.desk.tenant import BoundedPaginator, TenantAdmin
from checkout.orders import operations
from checkout.orders.models import Order, Review
from tests.factories import a_payment, an_order

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/orders/order/"


def page(order):
    return reverse("admin:orders_order_change", args=(order.pk,))


def deed(order, name, target):
    return reverse("admin:orders_order_deed", args=(order.pk, name, target.pk))


@pytest.fixture
def order(merchant, account):
    return an_order(merchant, reference="cart-77", customer={"email": "jana@example.com"})


@pytest.fixture
def paid(order):
    return a_payment(order, "instant")


@pytest.fixture
def held(merchant, account, bank):
    order = an_order(merchant, capture="manual")
    payment = a_payment(order, "card")
    bank.latest().approve()
    return operations.inquire(payment, cause="test")


# ---------------------------------------------------------------------------------------------------------- the list


def test_the_list_shows_amount_status_attempts_method_and_age(owner, paid):
    html = owner.get(LIST).content.decode()

    assert "10.00" in html
    assert re.search(r'pill--ok">Paid<', html)
    assert "tag--test" in html
    assert re.search(r'<td class="field-attempts">1</td>', html)
    assert re.search(r'<time datetime="[^"]+" title="[^"]+\(Europe/Prague\)">just now</time>', html)


@pytest.mark.parametrize("what", ["public_id", "reference", "payment", "theirs", "email", "last4", "beginning"])
def test_one_box_finds_an_order_by_anything(owner, merchant, account, what):
    order = an_order(merchant, reference="cart-77", customer={"email": "jana@example.com"})
    payment = a_payment(order, "card")
    an_order(merchant, reference="other")
    term = {
        "public_id": str(order.public_id),
        "reference": "cart-77",
        "payment": payment.reference.lower(),
        "theirs": payment.provider_reference,
        "email": "Jana@Example.com",
        "last4": "4242",
        "beginning": "cart-",
    }[what]

    response = owner.get(LIST, {"q": term}, follow=True)

    html = response.content.decode()
    assert "cart-77" in html
    assert ">other<" not in html


def test_a_pasted_reference_leads_straight_to_its_order(owner, paid):
    assert owner.get(LIST, {"q": paid.reference}).url == page(paid.order)


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ({"status": "paid"}, True),
        ({"status": "open"}, False),
        ({"mode": "live"}, False),
        ({"currency": "EUR"}, True),
        ({"currency": "USD"}, False),
        ({"provider": "acme"}, True),
        ({"created": "today"}, True),
        ({"flag": "test"}, True),
        ({"flag": "duplicate"}, False),
        ({"money": "in"}, True),
    ],
)
def test_filters_narrow_the_list(owner, paid, query, finds):
    assert ("cart-77" in owner.get(LIST, query).content.decode()) is finds


def test_a_lookup_that_no_filter_asks_for_is_refused(owner, paid):
    assert owner.get(LIST, {"page_token__startswith": "a"}).status_code == 400


def test_an_empty_list_says_what_to_do(owner):
    assert "Your shop makes them through the API" in owner.get(LIST).content.decode()


def test_the_list_counts_no_further_than_its_limit(owner, merchant, account, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 2)
    monkeypatch.setattr(TenantAdmin, "list_per_page", 1)
    for _ in range(4):
        an_order(merchant)

    html = owner.get(LIST).content.decode()

    assert html.count('class="order-name"') == 1
    assert "The latest 2 are listed" in html


def test_the_list_needs_no_query_a_row(owner, merchant, account, django_assert_max_num_queries):
    for _ in range(8):
        a_payment(an_order(merchant), "instant")
    with django_assert_max_num_queries(20):
        owner.get(LIST)


# ---------------------------------------------------------------------------------------------------------- the page


def test_the_page_tells_who_did_what_and_when(owner, paid):
    operations.refund(paid, amount=400, reason="one cup broke", requested_by=f"staff:{owner.user.pk}")

    html = owner.get(page(paid.order)).content.decode()

    assert "times in Europe/Prague" in html
    for words in ("Order made", "Money was taken", "Refund asked for", "Refund done", "one cup broke"):
        assert words in html
    assert owner.user.username in html
    assert paid.reference in html
    assert "6.00" in html


def test_nothing_about_an_order_can_be_edited(owner, log_in, paid):
    before = Order.objects.values().get(pk=paid.order_id)
    for client in (owner, log_in()):
        assert client.get("/admin/orders/order/add/").status_code == 403
        assert client.post(page(paid.order), {"status": "paid", "captured_total": 1}).status_code == 405
        assert client.post(f"/admin/orders/order/{paid.order_id}/delete/", {"post": "yes"}).status_code == 403

    assert Order.objects.values().get(pk=paid.order_id) == before


def test_only_what_is_possible_is_offered(owner, paid, held, merchant):
    assert _offered(owner, paid.order) == {"refund", "give-back", "ship"}
    assert _offered(owner, held.order) == {"capture", "release", "cancel", "give-back", "ship"}
    assert _offered(owner, an_order(merchant)) == {"cancel"}


@pytest.mark.parametrize(
    ("role", "paid_deeds", "held_deeds"),
    [
        ("owner", {"refund", "give-back", "ship"}, {"capture", "release", "cancel", "give-back", "ship"}),
        ("finance", {"refund", "give-back"}, {"capture", "release", "cancel", "give-back"}),
        ("support", {"refund", "give-back", "ship"}, {"ship"}),
        ("developer", set(), set()),
        ("shipping", {"ship"}, {"ship"}),
        ("viewer", set(), set()),
    ],
)
def test_each_role_is_offered_its_own_and_refused_the_rest(
    log_in, merchant, bank, paid, held, role, paid_deeds, held_deeds
):
    client = log_in(merchant, role)

    assert _offered(client, paid.order) == paid_deeds
    assert _offered(client, held.order) == held_deeds
    calls = list(bank.calls)
    for name, target, deeds in (
        ("refund", paid, paid_deeds),
        ("give-back", paid.order, paid_deeds),
        ("ship", paid.order, paid_deeds),
        ("capture", held, held_deeds),
        ("release", held, held_deeds),
        ("give-back", held.order, held_deeds),
    ):
        if name not in deeds:
            assert client.post(deed(order_of(target), name, target), {"confirm": "on"}).status_code == 403
    assert bank.calls == calls


def test_a_viewer_cannot_even_ask(log_in, merchant, paid):
    check = reverse("admin:orders_order_check", args=(paid.order_id, paid.pk))
    assert log_in(merchant, "viewer").post(check).status_code == 403


def test_shipping_does_not_see_what_was_refunded(log_in, merchant, paid):
    operations.refund(paid, amount=400, reason="one cup broke")

    html = log_in(merchant, "shipping").get(page(paid.order)).content.decode()

    assert "one cup broke" not in html
    assert "Refund asked for" not in html
    assert "4.00" not in html


def _offered(client, order):
    html = client.get(page(order)).content.decode()
    return set(re.findall(rf'href="/admin/orders/order/{order.pk}/([a-z-]+)/\d+/"', html)) - {"check"}


def order_of(target):
    return target if isinstance(target, Order) else target.order


# --------------------------------------------------------------------------------------------------------- the deeds


def test_a_refund_is_confirmed_made_and_told(owner, paid, bank):
    url = deed(paid.order, "refund", paid)
    assert 'value="10.00"' in owner.get(url).content.decode()
    assert "refund" not in bank.calls

    response = owner.post(url, {"amount": "4.00", "remaining": 1000, "reason": "broken", "confirm": "on"}, follow=True)

    assert bank.latest().refunded == 400
    assert "4.00\xa0EUR was given back." in response.content.decode()
    assert paid.refunds.get().requested_by == f"staff:{owner.user.pk}"


def test_a_refund_without_confirmation_does_nothing(owner, paid, bank):
    response = owner.post(deed(paid.order, "refund", paid), {"amount": "4.00", "remaining": 1000})
    assert response.status_code == 200
    assert bank.latest().refunded == 0


@pytest.mark.parametrize("amount", ["10.01", "0", "-1", "1,50", "1.005", "ten", ""])
def test_an_amount_that_cannot_be_is_refused(owner, paid, bank, amount):
    response = owner.post(
        deed(paid.order, "refund", paid), {"amount": amount, "remaining": 1000, "confirm": "on", "reason": ""}
    )
    assert "errorlist" in response.content.decode()
    assert bank.latest().refunded == 0


def test_a_second_click_gives_nothing_back_twice(owner, paid, bank):
    wish = {"amount": "4.00", "remaining": 1000, "reason": "", "confirm": "on"}
    owner.post(deed(paid.order, "refund", paid), wish)
    response = owner.post(deed(paid.order, "refund", paid), wish)

    assert "The amount has changed meanwhile" in response.content.decode()
    assert 'name="remaining" value="600"' in response.content.decode()
    assert bank.latest().refunded == 400


def test_a_refused_refund_is_not_called_done(owner, paid, bank):
    bank.arm("refund", "rejected")
    wish = {"amount": "4.00", "remaining": 1000, "reason": "", "confirm": "on"}
    response = owner.post(deed(paid.order, "refund", paid), wish, follow=True)
    assert "Acme refused: rejected." in response.content.decode()


def test_an_unconfirmed_refund_is_called_asked_for(owner, paid, bank):
    bank.arm("refund", "lost")
    wish = {"amount": "4.00", "remaining": 1000, "reason": "", "confirm": "on"}
    response = owner.post(deed(paid.order, "refund", paid), wish, follow=True)
    assert "has not confirmed it yet" in response.content.decode()


def test_what_the_operation_refuses_is_said(owner, paid, bank, monkeypatch):
    """Between the page and its POST the money may have gone back by another road."""
    from checkout.desk import actions

    monkeypatch.setattr(actions.Refund, "is_offered", lambda self, target: True)
    form = actions.Refund.form
    stale = operations.Payment.objects.get(pk=paid.pk)
    monkeypatch.setattr(actions.Refund, "form", lambda self, target, data=None: form(self, stale, data))
    operations.refund(paid, amount=700)

    wish = {"amount": "4.00", "remaining": 1000, "reason": "", "confirm": "on"}
    response = owner.post(deed(paid.order, "refund", paid), wish, follow=True)

    assert "The amount has changed meanwhile" in response.content.decode()
    assert bank.latest().refunded == 700


def test_held_money_is_captured_in_part_and_the_rest_later(owner, held, bank):
    url = deed(held.order, "capture", held)
    owner.post(url, {"amount": "6.00", "remaining": 1000, "confirm": "on"})
    owner.post(url, {"amount": "6.00", "remaining": 1000, "confirm": "on"})
    assert bank.latest().captured == 600

    owner.post(url, {"amount": "4.00", "remaining": 400, "confirm": "on"})
    assert bank.latest().captured == 1000


def test_a_hold_is_released(owner, held, bank):
    response = owner.post(deed(held.order, "release", held), {"confirm": "on"}, follow=True)
    assert bank.latest().released == 1000
    assert "The hold of 10.00\xa0EUR was released." in response.content.decode()


def test_a_deed_that_is_not_possible_any_more_leads_back(owner, held, bank):
    owner.post(deed(held.order, "release", held), {"confirm": "on"})
    response = owner.get(deed(held.order, "capture", held), follow=True)
    assert "not possible any more" in response.content.decode()


def test_an_order_is_cancelled(owner, merchant, account):
    order = an_order(merchant)
    owner.post(deed(order, "cancel", order), {"confirm": "on"})
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_a_review_is_resolved_with_a_reason_and_a_name(owner, order, paid):
    review = Review.objects.create(
        merchant=order.merchant, mode="test", order=order, payment=paid, kind="amount", ours="10", theirs="9", cause="x"
    )
    url = deed(order, "resolve", review)
    assert "errorlist" in owner.post(url, {"confirm": "on", "resolution": " "}).content.decode()

    owner.post(url, {"confirm": "on", "resolution": "they were right"})

    review.refresh_from_db()
    assert (review.resolution, review.resolved_by) == ("they were right", f"staff:{owner.user.pk}")
    assert "they were right" in owner.get(page(order)).content.decode()


@pytest.mark.parametrize("role", ["support", "developer", "viewer", "shipping"])
def test_a_review_is_not_everybodys_to_resolve(log_in, merchant, order, role):
    review = Review.objects.create(merchant=merchant, mode="test", order=order, kind="late", cause="x")
    response = log_in(merchant, role).post(deed(order, "resolve", review), {"confirm": "on", "resolution": "fine"})
    assert response.status_code == 403
    review.refresh_from_db()
    assert review.resolved_at is None


def test_a_deed_reaches_only_rows_of_its_own_order(owner, merchant, paid):
    other = an_order(merchant)
    assert owner.get(deed(other, "refund", paid)).status_code == 404
    assert owner.get(reverse("admin:orders_order_check", args=(other.pk, paid.pk))).status_code == 404


# ---------------------------------------------------------------------------------------------------------- check now


def check(client, payment):
    return client.post(reverse("admin:orders_order_check", args=(payment.order_id, payment.pk))).content.decode()


def test_check_now_shows_theirs_beside_ours(owner, merchant, account, bank):
    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().approve()

    html = check(owner, payment)

    assert "there was news" in html
    assert re.search(r"Pending.*Captured", html, re.DOTALL)
    payment.refresh_from_db()
    assert payment.status == "captured"


def test_check_now_asks_at_most_every_ten_seconds(owner, paid, bank):
    check(owner, paid)
    calls = bank.calls.count("fetch")
    assert "a few seconds ago" in check(owner, paid)
    assert bank.calls.count("fetch") == calls


def test_a_provider_that_is_away_changes_nothing(owner, paid, bank):
    bank.arm("fetch", "unreachable")
    assert "no answer that could be applied" in check(owner, paid)


def test_a_contradiction_is_shown_and_not_applied(owner, merchant, account, bank):
    from providers.money import Money

    payment = a_payment(an_order(merchant), "cashier")
    bank.latest().amount = Money(900, "EUR")
    bank.latest().approve()

    html = check(owner, payment)

    assert "a person has to decide" in html
    assert "9.00 EUR" in html
    payment.refresh_from_db()
    assert payment.captured_total == 0


def test_looking_at_the_page_of_a_check_asks_nobody(owner, paid, bank):
    calls = bank.calls.count("fetch")
    owner.get(reverse("admin:orders_order_check", args=(paid.order_id, paid.pk)))
    assert bank.calls.count("fetch") == calls


# ------------------------------------------------------------------------------------------------------ the front page


def test_the_front_page_leads_to_what_needs_a_person(owner, order, paid):
    Review.objects.create(merchant=order.merchant, mode="test", order=order, kind="late", cause="x")
    html = owner.get("/admin/").content.decode()
    assert f'href="{page(order)}"' in html
    assert "Money after the end" in html
    assert "1 of 1 order brought money" in html


def test_the_front_page_never_adds_up_currencies(owner, merchant, account):
    a_payment(an_order(merchant), "instant")
    a_payment(an_order(merchant, currency="JPY", amount_minor=700), "instant")
    html = owner.get("/admin/").content.decode()
    assert html.count('class="tile"') == 2
    assert "Every outcome is known" in html


def test_a_payment_without_an_outcome_is_shown_after_a_while(owner, merchant, account):
    import time_machine
    from django.utils import timezone

    payment = a_payment(an_order(merchant, reference="slow-1"), "card")
    assert "slow-1" not in owner.get("/admin/").content.decode()
    with time_machine.travel(timezone.now() + timezone.timedelta(minutes=14)):
        assert "slow-1" not in owner.get("/admin/").content.decode()
    type(payment).objects.filter(pk=payment.pk).update(created_at=timezone.now() - timezone.timedelta(hours=1))
    assert "slow-1" in owner.get("/admin/").content.decode()
