"""The webhook inbox: readable, scrubbed, and applied again on request."""

from __future__ import annotations

import json
import re

import pytest

from checkout.webhooks import inbox
from checkout.webhooks.models import State, WebhookEvent
from providers.contract import Delivery
from tests.factories import a_payment, an_order

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/webhooks/webhookevent/"


def receive(account, event_id="evt-1", *, path="/hooks/acme/x/", headers=None, body=None, **data):
    body = json.dumps({"event": event_id, **data}).encode() if body is None else body
    headers = {"X-Acme-Key": "acme-key", "Content-Type": "application/json", **(headers or {})}
    inbox.record(account, event_id, Delivery("POST", path, headers, body), source_ip="203.0.113.9")
    return WebhookEvent.objects.get(account=account, event_id=event_id)


def show(client, row):
    return client.get(f"{LIST}{row.pk}/change/").content.decode()


def test_the_list_leads_from_a_delivery_to_its_order(owner, merchant, account):
    payment = a_payment(an_order(merchant, reference="cart-5"), "cashier")
    row = receive(account, reference=payment.reference, state="captured", captured=1000, authorised=1000)
    inbox.apply_event(row.pk)
    receive(account, "evt-2")

    html = owner.get(LIST).content.decode()
    assert f'<a href="/admin/orders/order/{payment.order_id}/change/">cart-5</a>' in html
    assert re.search(r"\b2\s+found", html)
    assert "Applied" in html


def test_a_delivery_leads_to_its_payment_and_the_order_back_to_it(owner, merchant, account):
    payment = a_payment(an_order(merchant), "cashier")
    row = receive(account, reference=payment.reference, state="captured", captured=1000, authorised=1000)
    inbox.apply_event(row.pk)
    row.refresh_from_db()

    assert payment.reference in show(owner, row)
    html = owner.get(f"/admin/orders/order/{payment.order_id}/change/").content.decode()
    assert f'href="{LIST}{row.pk}/change/"' in html


def test_card_numbers_and_secrets_are_hidden(owner, account):
    row = receive(
        account,
        path="/hooks/acme/x/?sign=5ec1e7&order=7",
        headers={"X-Signature": "5ec1e7", "Authorization": "Bearer 5ec1e7", "User-Agent": "Acme/1"},
        card="4242424242424242",
        nested={"pan": "4000 0000 0000 0002", "sign_info": "5ec1e7", "token": "5ec1e7"},
        note="paid with 5555-5555-5555-4444 today",
    )
    html = show(owner, row)
    for hidden in ("4242424242424242", "4000 0000 0000 0002", "5555-5555-5555-4444", "5ec1e7", "acme-key"):
        assert hidden not in html
    assert "Acme/1" in html
    assert "paid with" in html


def test_a_form_body_is_shown_field_by_field(owner, account):
    row = receive(
        account,
        body=b"order_no=7&card=4242424242424242&signInfo=5ec1e7",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    html = show(owner, row)
    assert "order_no = 7" in html
    assert "signInfo = [hidden]" in html
    assert "4242424242424242" not in html


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"{broken", b"<script>alert(1)</script>", b"[1, null]"])
def test_any_body_can_be_looked_at(owner, account, body):
    html = show(owner, receive(account, body=body))
    assert "<script>alert" not in html
    assert "No payment that we know." in html


def test_a_delivery_whose_seal_does_not_open_says_so(owner, account):
    row = receive(account)
    WebhookEvent.objects.update(sealed_delivery=b"broken")
    assert "does not open" in show(owner, row)


def test_apply_again_applies_a_parked_delivery(owner, merchant, account):
    payment = a_payment(an_order(merchant), "cashier")
    row = receive(account, reference=payment.reference, state="captured", captured=1000, authorised=1000)
    WebhookEvent.objects.update(state=State.DEAD, due_at=None)

    response = owner.post(f"{LIST}{row.pk}/again/", {"confirm": "on"}, follow=True)

    assert "Applied again. It came to: applied." in response.content.decode()
    payment.refresh_from_db()
    assert payment.status == "captured"


def test_apply_again_changes_nothing_twice(owner, merchant, account):
    payment = a_payment(an_order(merchant), "cashier")
    row = receive(account, reference=payment.reference, state="captured", captured=1000, authorised=1000)
    inbox.apply_event(row.pk)
    before = payment.order.events.count()

    response = owner.post(f"{LIST}{row.pk}/again/", {"confirm": "on"}, follow=True)

    assert "It came to: no news." in response.content.decode()
    assert payment.order.events.count() == before


def test_a_delivery_that_cannot_be_read_says_so(owner, account):
    row = receive(account, body=b"{broken")
    WebhookEvent.objects.update(state=State.DEAD, due_at=None)

    response = owner.post(f"{LIST}{row.pk}/again/", {"confirm": "on"}, follow=True)

    assert "it could not be read (JSONDecodeError)" in response.content.decode()
    row.refresh_from_db()
    assert row.state != State.APPLIED


@pytest.mark.parametrize("role", ["finance", "support", "shipping", "viewer"])
def test_applying_again_is_for_owners_and_developers(log_in, merchant, account, role):
    row = receive(account)
    response = log_in(merchant, role).post(f"{LIST}{row.pk}/again/", {"confirm": "on"})
    assert response.status_code in {403, 404}
    row.refresh_from_db()
    assert row.tries == 0
