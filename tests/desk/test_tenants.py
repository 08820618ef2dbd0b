"""Merchants never meet in the desk, and every screen says who may see it."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib import admin
from django.urls import reverse

from checkout.desk.models import ParcelList, ParcelRow
from checkout.desk.tenant import MerchantFilter, SuperuserOnly, TenantAdmin
from checkout.events.models import Delivery, Endpoint
from checkout.merchants.models import ApiKey, Member, Merchant, ProviderAccount
from checkout.orders.models import Event, Order, Review
from checkout.webhooks import inbox as webhook_inbox
from checkout.webhooks.models import WebhookEvent
from providers import contract
from tests.desk.stage import a_parcel
from tests.factories import a_merchant, a_payment, an_account, an_order

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "lamps-only"
"""A word that stands in every row of the other merchant."""


@pytest.fixture
def theirs(transactional_db):
    """One row of everything, of a merchant that our member does not work for."""
    merchant = a_merchant(slug=SECRET, name=f"{SECRET} Ltd")
    account = an_account(merchant, name=f"{SECRET} acme")
    order = an_order(merchant, reference=f"{SECRET}-1", customer={"email": f"{SECRET}@example.com"})
    payment = a_payment(order, "instant")
    review = Review.objects.create(merchant=merchant, mode="test", order=order, kind="late", cause=SECRET)
    body = json.dumps({"event": f"{SECRET}-evt", "reference": payment.reference}).encode()
    webhook_inbox.record(account, f"{SECRET}-evt", contract.Delivery("POST", "/", {"x-acme-key": "acme-key"}, body))
    key, _ = ApiKey.issue(merchant, "test", name=f"{SECRET} key")
    endpoint, _ = Endpoint.create_for(merchant, "test", url=f"https://{SECRET}.example/hook")
    delivery = Delivery.objects.create(
        merchant=merchant, mode="test", event=Event.objects.filter(order=order).first(), endpoint=endpoint
    )
    parcel = a_parcel(order, f"{SECRET}-number")
    parcel_list = ParcelList.objects.create(
        merchant=merchant, mode="test", name=f"{SECRET}.csv", digest="0", uploaded_by="staff:1", state="checked"
    )
    ParcelRow.objects.create(list=parcel_list, line=2, order=order, number=f"{SECRET}-number", verdict="wrong")
    from django.contrib.auth.models import User

    user = User.objects.create(username=f"{SECRET}-boss", is_staff=True)
    member = Member.objects.create(user=user, merchant=merchant, role="owner")
    return {
        Order: order,
        ProviderAccount: account,
        Merchant: merchant,
        Member: member,
        ApiKey: key,
        WebhookEvent: WebhookEvent.objects.get(account=account),
        Endpoint: endpoint,
        Delivery: delivery,
        ParcelList: parcel_list,
        "payment": payment,
        "review": review,
        "parcel": parcel,
    }


def test_every_screen_has_a_policy():
    for model, screen in admin.site._registry.items():
        assert isinstance(screen, TenantAdmin | SuperuserOnly), f"{model} is open to whoever has Django's permission"
        if isinstance(screen, TenantAdmin):
            assert screen.see, f"{model} does not say what it takes to see it"


def test_a_screen_without_a_policy_is_closed_by_the_site():
    from django.contrib.sessions.models import Session

    class Careless(admin.ModelAdmin):
        pass

    admin.site.register(Session, Careless)
    try:
        assert isinstance(admin.site._registry[Session], SuperuserOnly)
    finally:
        admin.site.unregister(Session)


def test_the_walk_covers_every_tenant_screen(theirs):
    screens = {model for model, screen in admin.site._registry.items() if isinstance(screen, TenantAdmin)}
    assert screens == {model for model in theirs if isinstance(model, type)}


def urls(theirs):
    for model, row in theirs.items():
        if not isinstance(model, type):
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_changelist") + f"?q={SECRET}"
        if MerchantFilter in admin.site._registry[model].list_filter:
            yield reverse(f"{name}_changelist") + f"?merchant={SECRET}"
        for page in ("change", "history", "delete"):
            yield reverse(f"{name}_{page}", args=(row.pk,))
    order, payment = theirs[Order], theirs["payment"]
    for name, target in (
        ("refund", payment),
        ("capture", payment),
        ("release", payment),
        ("cancel", order),
        ("ship", order),
        ("give-back", order),
    ):
        yield reverse("admin:orders_order_deed", args=(order.pk, name, target.pk))
    yield reverse("admin:orders_order_deed", args=(order.pk, "resolve", theirs["review"].pk))
    for name in ("delivered", "cancel-parcel"):
        yield reverse("admin:orders_order_deed", args=(order.pk, name, theirs["parcel"].pk))
    for name in ("confirm", "drop", "problems"):
        yield reverse(f"admin:desk_parcellist_{name}", args=(theirs[ParcelList].pk,))
    yield reverse("admin:orders_order_check", args=(order.pk, payment.pk))
    yield reverse("admin:merchants_apikey_revoke", args=(theirs[ApiKey].pk,))
    yield reverse("admin:webhooks_webhookevent_again", args=(theirs[WebhookEvent].pk,))
    yield reverse("admin:events_endpoint_rotate", args=(theirs[Endpoint].pk,))
    yield reverse("admin:events_delivery_again", args=(theirs[Delivery].pk,))
    yield reverse("admin:index")


def test_nothing_of_another_merchant_is_seen_or_done(owner, account, theirs, bank):
    calls = list(bank.calls)
    key = theirs[ApiKey]
    for url in urls(theirs):
        for response in (owner.get(url), owner.post(url, {"confirm": "on", "post": "yes", "name": "taken"})):
            assert response.status_code in {200, 302, 403, 404, 405}, url
            # What was typed into the address may stand in the page's own links and search box.
            content = response.getvalue() if response.streaming else response.content
            body = re.sub(f'(q=|q%3D|merchant=|merchant%3D|value="){SECRET}(?=[&"])', "", content.decode())
            assert SECRET not in body, url
            assert response.status_code != 200 or "/change/" not in url, url

    key.refresh_from_db()
    assert key.revoked_at is None
    assert ParcelList.objects.get().state == "checked"
    assert theirs[Order].shipments.get().status == "shipped"
    assert bank.calls == calls


def test_the_same_walk_shows_a_superuser_everything(log_in, theirs):
    everybody = log_in()
    for url in urls(theirs):
        response = everybody.get(url, follow=True)
        assert response.status_code in {200, 403, 405}, url
        if response.status_code == 200 and "?merchant" in url:
            assert SECRET in response.content.decode(), url


def test_choices_offer_only_ones_own_merchants(owner, theirs):
    for url in ("/admin/merchants/member/add/", "/admin/merchants/apikey/add/", "/admin/events/endpoint/add/"):
        response = owner.get(url)
        assert response.status_code == 200
        assert SECRET not in response.content.decode()


def test_a_merchant_cannot_be_chosen_past_the_form(owner, theirs):
    other = theirs[Merchant].pk
    owner.post(
        "/admin/merchants/apikey/add/", {"merchant": other, "mode": "test", "name": "mine now", "scopes": "read"}
    )
    owner.post("/admin/merchants/member/add/", {"merchant": other, "person": owner.user.username, "role": "owner"})
    owner.post("/admin/events/endpoint/add/", {"merchant": other, "mode": "test", "url": "https://x.example/"})
    owner.post(
        f"/admin/merchants/provideraccount/add/?merchant={other}&provider=acme&mode=test",
        {"name": "mine now", "base_url": "http://127.0.0.1:9/", "priority": 0},
    )

    assert not ApiKey.objects.filter(name="mine now").exists()
    assert Member.objects.filter(merchant=other).count() == 1
    assert Endpoint.objects.filter(merchant=other).count() == 1
    assert not ProviderAccount.objects.filter(name="mine now").exists()


@pytest.mark.parametrize("role", ["finance", "support", "shipping", "developer", "viewer"])
def test_only_owners_say_who_works_here(log_in, merchant, role):
    client = log_in(merchant, role)
    assert client.get("/admin/merchants/member/").status_code == 403
    assert client.get("/admin/merchants/member/add/").status_code == 403
    assert client.get(f"/admin/merchants/merchant/{merchant.pk}/change/").status_code in {302, 403}


@pytest.mark.parametrize("role", ["finance", "support", "shipping", "viewer"])
def test_only_owners_and_developers_see_accounts_and_keys(log_in, merchant, account, role):
    client = log_in(merchant, role)
    for url in ("/admin/merchants/provideraccount/", "/admin/merchants/apikey/", "/admin/events/endpoint/"):
        assert client.get(url).status_code == 403


def test_staff_without_a_membership_see_nothing(log_in, merchant, account):
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    order = an_order(merchant, reference="hidden-1")
    user = User.objects.create(username="temp", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)

    assert client.get("/admin/orders/order/").status_code == 403
    assert client.get(reverse("admin:orders_order_change", args=(order.pk,))).status_code in {302, 403}
    assert "hidden-1" not in client.get("/admin/").content.decode()
    assert client.get("/admin/auth/user/").status_code == 403


def test_a_member_who_leaves_sees_nothing_at_once(owner, merchant, account):
    an_order(merchant)
    assert owner.get("/admin/orders/order/").status_code == 200
    Member.objects.filter(user=owner.user).delete()
    assert owner.get("/admin/orders/order/").status_code == 403


def test_somebody_at_two_merchants_has_each_role_only_where_it_was_given(log_in, merchant, account):
    other = a_merchant()
    an_account(other)
    client = log_in(merchant, "viewer")
    Member.objects.create(user=client.user, merchant=other, role="owner")
    here, there = a_payment(an_order(merchant), "instant"), a_payment(an_order(other), "instant")

    def refund(payment):
        return client.get(reverse("admin:orders_order_deed", args=(payment.order_id, "refund", payment.pk))).status_code

    assert (refund(here), refund(there)) == (403, 200)
