"""Parcels on the order's page: added, ended, and what their provider said of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.orders import shipping
from checkout.orders.models import Shipment, TrackingUpload
from providers.contract import Rejected, Unreachable
from tests.desk.stage import a_paid_order, a_parcel, deed, page
from tests.factories import a_payment, an_account, an_order, work_until_quiet

from providers.zenith import DESK, Provider  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(merchant, zenith):
    return a_paid_order(merchant)


def wish(**facts):
    usual = {"carrier": "UPS", "number": "1Z999", "shipped_on": timezone.now().date(), "direction": "forward"}
    return {**usual, "url": "", **facts}


def add(client, order, **facts):
    return client.post(deed(order, "ship", order), wish(**facts), follow=True)


def test_a_parcel_is_added_shown_and_told(owner, order):
    response = add(owner, order, url="https://ups.example/1Z999")

    html = response.content.decode()
    assert "Parcel 1Z999 was added." in html
    for words in ("1Z999", "UPS", "To the customer", "https://ups.example/1Z999", ">Queued<", owner.user.username):
        assert words in html
    assert Shipment.objects.get().created_by == f"staff:{owner.user.pk}"

    work_until_quiet()
    html = owner.get(page(order)).content.decode()
    assert ">Accepted<" in html
    assert "The provider took the parcel" in html


def test_the_same_parcel_again_is_said_to_be_there(owner, order):
    add(owner, order)
    assert "was there already" in add(owner, order).content.decode()
    assert Shipment.objects.count() == 1


def test_the_carriers_that_the_provider_takes_are_offered(owner, order, monkeypatch):
    monkeypatch.setattr(Provider, "carriers", ("DHL Paket", "Česká pošta"))

    html = owner.get(deed(order, "ship", order)).content.decode()

    assert '<datalist id="carrier-words">' in html
    assert '<option value="DHL Paket"></option>' in html
    assert 'list="carrier-words"' in html


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("number", "=cmd()", "Give the tracking number"),
        ("carrier", "<b>", "Give the carrier&#x27;s code"),
        ("shipped_on", "2000-01-01", "cannot have left before it was ordered"),
        ("url", "javascript:alert(1)", "Give an http or https address"),
        ("direction", "up", "Select a valid choice"),
    ],
)
def test_a_wrong_field_is_explained_beside_it_and_nothing_is_lost(owner, order, field, value, sentence):
    response = add(owner, order, **{field: value})

    html = response.content.decode()
    assert sentence in html
    assert not Shipment.objects.exists()
    assert 'name="carrier" value="UPS"' in html or field == "carrier"


def test_nothing_is_shipped_for_an_order_that_nobody_paid(owner, merchant, zenith):
    order = an_order(merchant)

    assert "not possible any more" in add(owner, order).content.decode()
    assert not Shipment.objects.exists()


@pytest.mark.parametrize(("name", "status"), [("delivered", "delivered"), ("cancel-parcel", "cancelled")])
def test_a_parcel_ends_once(owner, order, name, status):
    shipment = a_parcel(order)
    work_until_quiet()

    owner.get(deed(order, name, shipment))
    assert Shipment.objects.get().status == "shipped"
    owner.post(deed(order, name, shipment), {"confirm": "on"})
    assert Shipment.objects.get().status == status
    owner.post(deed(order, name, shipment), {"confirm": "on"})
    work_until_quiet()

    assert list(TrackingUpload.objects.values_list("says", "status")) == [
        ("shipped", "succeeded"),
        (status, "succeeded"),
    ]
    html = owner.get(page(order)).content.decode()
    assert f"/{name}/" not in html


def test_a_rejected_word_is_shown_with_its_code_and_sent_again(owner, order):
    a_parcel(order)
    DESK.say("upload_tracking", Rejected("wrong carrier", code="3002"))
    work_until_quiet()
    upload = TrackingUpload.objects.get()
    html = owner.get(page(order)).content.decode()
    assert ">Rejected<" in html
    assert "3002" in html

    owner.post(deed(order, "tell-again", upload), {"confirm": "on"})
    work_until_quiet()

    html = owner.get(page(order)).content.decode()
    assert ">Accepted<" in html
    assert "tell-again" not in html
    assert TrackingUpload.objects.count() == 2


def test_a_word_that_never_got_an_answer_failed_and_was_not_rejected(owner, order):
    shipment = a_parcel(order)
    DESK.say("upload_tracking", *[Unreachable("down", code="connection")] * 20)
    for _ in range(len(shipping.UPLOAD) + 1):
        TrackingUpload.objects.filter(shipment=shipment).exclude(due_at=None).update(
            due_at=timezone.now(), sent_at=timezone.now() - timedelta(hours=1)
        )
        work_until_quiet()

    html = owner.get(page(order)).content.decode()
    assert ">Failed<" in html
    assert ">Rejected<" not in html
    assert "connection" in html


def test_a_provider_that_wants_none_is_said_to(owner, merchant, account):
    order = an_order(merchant)
    a_payment(order, "instant")
    a_parcel(order)

    assert "No provider of this order wants to hear of parcels" in owner.get(page(order)).content.decode()


@pytest.mark.parametrize("role", ["finance", "developer", "viewer"])
def test_other_roles_see_parcels_and_touch_none(log_in, merchant, order, role):
    shipment = a_parcel(order)
    client = log_in(merchant, role)

    assert "1Z999" in client.get(page(order)).content.decode()
    for name, target in (("ship", order), ("delivered", shipment), ("tell-again", shipment.uploads.get())):
        assert client.post(deed(order, name, target), {"confirm": "on"}).status_code == 403
    assert list(Shipment.objects.values_list("status", flat=True)) == ["shipped"]


def test_shipping_staff_do_all_of_it(log_in, merchant, order):
    client = log_in(merchant, "shipping")
    add(client, order)
    client.post(deed(order, "delivered", Shipment.objects.get()), {"confirm": "on"})

    assert Shipment.objects.get().status == "delivered"


def test_a_parcel_is_reached_only_through_its_own_order(owner, merchant, order):
    other = a_paid_order(merchant)
    shipment = a_parcel(other)

    assert owner.post(deed(order, "delivered", shipment), {"confirm": "on"}).status_code == 404
    assert owner.post(deed(order, "tell-again", shipment.uploads.get()), {"confirm": "on"}).status_code == 404


def test_two_providers_are_told_each_for_itself(owner, merchant, order):
    second = an_account(merchant, name="Second", provider="zenith", credentials={"key": "zen"})
    order.payments.update(account=second)
    a_parcel(order)

    assert "told Second: shipped" in owner.get(page(order)).content.decode()
