"""Provider accounts, keys, members and endpoints: secrets go in and never come out."""

from __future__ import annotations

import logging

import pytest
from django.contrib.admin.models import LogEntry

from checkout.events.models import Endpoint
from checkout.merchants.models import ApiKey, Member, ProviderAccount
from checkout.orders import gateway, links
from checkout.webhooks import inbox
from providers.contract import Delivery, Rejected
from tests.factories import a_merchant, an_account

from providers.zenith import DESK  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/merchants/provideraccount/add/"
SECRET = "acme-s3cr3t-value"


def change(account):
    return f"/admin/merchants/provideraccount/{account.pk}/change/"


def wish(**fields):
    return {"name": "Acme EU", "enabled": "on", "priority": 0, "base_url": "http://127.0.0.1:9/", **fields}


def add(client, merchant, mode="test", **fields):
    query = f"?merchant={merchant.pk}&provider=acme&mode={mode}"
    return client.post(ADD + query, wish(credential_key=SECRET, **fields))


# ------------------------------------------------------------------------------------------------- provider accounts


def test_an_account_begins_with_what_cannot_be_changed_later(owner, merchant):
    html = owner.get(ADD).content.decode()
    assert 'name="provider"' in html
    assert 'name="mode"' in html
    assert "credential_" not in html


def test_the_form_asks_for_the_providers_own_credentials(owner, merchant):
    html = owner.get(ADD + f"?merchant={merchant.pk}&provider=acme&mode=test").content.decode()
    for config_field in gateway.credential_fields("acme"):
        assert f'name="credential_{config_field.name}"' in html
    for method in gateway.provider_class("acme").methods:
        assert f'value="{method.code}"' in html


def test_an_account_is_made_with_sealed_credentials(owner, merchant):
    add(owner, merchant, currencies="eur, JPY", methods=["card"], redirect_hosts="*.Bank.example\nthree.example")

    account = ProviderAccount.objects.get()
    assert account.credentials["key"] == SECRET
    assert SECRET.encode() not in bytes(account.sealed_credentials)
    assert (account.merchant, account.mode, account.provider) == (merchant, "test", "acme")
    assert account.currencies == ["EUR", "JPY"]
    assert account.methods == ["card"]
    assert account.redirect_hosts == ["*.bank.example", "three.example"]


def test_an_empty_secret_keeps_the_one_that_is_set(owner, account):
    owner.post(change(account), wish(name="Renamed", credential_key=""))
    account.refresh_from_db()
    assert (account.name, account.credentials["key"]) == ("Renamed", "acme-key")


def test_a_new_secret_replaces_the_old_one(owner, account):
    owner.post(change(account), wish(credential_key=SECRET))
    account.refresh_from_db()
    assert account.credentials["key"] == SECRET


def test_a_secret_never_comes_out_again(owner, merchant, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    add(owner, merchant)
    account = ProviderAccount.objects.get()
    pages = [
        owner.get(change(account)),
        owner.post(change(account), wish(name="", credential_key=SECRET)),  # an error shows the form again
        owner.post(change(account), wish(credential_key=SECRET), follow=True),
        owner.get("/admin/merchants/provideraccount/"),
        owner.get(f"/admin/merchants/provideraccount/{account.pk}/history/"),
        owner.get("/admin/"),
    ]

    for page in pages:
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
        assert bytes(account.sealed_credentials).decode() not in page.content.decode()
    assert "Set. Leave empty to keep it." in pages[0].content.decode()
    assert not [entry for entry in LogEntry.objects.all() if SECRET in f"{entry.change_message}{entry.object_repr}"]
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capsys.readouterr())
    assert SECRET not in repr(account)


def test_a_missing_secret_is_said_to_be_missing(owner, merchant):
    account = an_account(merchant, credentials={})
    assert "Not set." in owner.get(change(account)).content.decode()


def test_credentials_that_do_not_open_are_asked_for_anew(owner, account):
    ProviderAccount.objects.update(sealed_credentials=b"broken")
    assert "Enter all of them again" in owner.get(change(account)).content.decode()


@pytest.mark.parametrize(
    "base_url", ["http://api.acme.example/", "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/"]
)
def test_live_money_never_meets_a_simulator(owner, merchant, base_url):
    html = add(owner, merchant, "live", base_url=base_url).content.decode()
    assert "A live account" in html
    assert not ProviderAccount.objects.exists()


def test_a_live_account_at_a_public_address_is_made(owner, merchant):
    add(owner, merchant, "live", base_url="https://api.acme.example/")
    assert ProviderAccount.objects.get().is_live


def test_the_mode_of_an_account_cannot_be_changed(owner, account):
    owner.post(change(account), wish(mode="live", provider="other", merchant="99", credential_key=""))
    account.refresh_from_db()
    assert (account.mode, account.provider) == ("test", "acme")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currencies", "EURO"),
        ("currencies", "XAU"),
        ("redirect_hosts", "https://bank.example/x"),
        ("redirect_hosts", "*.com"),
        ("redirect_hosts", "*"),
        ("methods", "teleport"),
        ("base_url", "javascript:alert(1)"),
    ],
)
def test_what_makes_no_sense_is_refused(owner, account, field, value):
    response = owner.post(change(account), wish(**{field: value}))
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()


def test_the_page_shows_where_webhooks_go_and_what_was_refused(owner, account):
    inbox.refuse(account, "bad_signature", Delivery("POST", "/", {}, b"x"))
    html = owner.get(change(account)).content.decode()
    assert links.webhook_url(account) in html
    assert "1 delivery was refused in 30 days: bad_signature." in html
    assert "Refund a part" in html


def at_zenith(merchant):
    DESK.reset()
    return an_account(merchant, name="Zenith", provider="zenith", credentials={"key": "old"})


def test_a_provider_that_can_is_given_the_webhook_address(owner, merchant):
    account = at_zenith(merchant)
    assert "Give it to the provider now" in owner.get(change(account)).content.decode()

    answer = owner.post(f"/admin/merchants/provideraccount/{account.pk}/subscribe/", follow=True)

    account.refresh_from_db()
    assert "ACTIVE" in answer.content.decode()
    assert DESK.asked == [("subscribe", links.webhook_url(account))]
    assert account.credentials == {"key": "handed-out"}, "a secret that it hands out is kept"
    assert "handed-out" not in answer.content.decode()


def test_a_provider_that_refuses_the_address_changes_nothing(owner, merchant):
    account = at_zenith(merchant)
    DESK.say("subscribe", Rejected("no", code="6001"))

    answer = owner.post(f"/admin/merchants/provideraccount/{account.pk}/subscribe/", follow=True)

    account.refresh_from_db()
    assert "6001" in answer.content.decode()
    assert account.credentials == {"key": "old"}


def test_only_somebody_who_sets_up_gives_the_address_away(merchant, log_in):
    account = at_zenith(merchant)
    url = f"/admin/merchants/provideraccount/{account.pk}/subscribe/"

    assert log_in(a_merchant()).post(url).status_code == 404
    assert log_in(merchant, "viewer").post(url).status_code in {403, 404}
    assert log_in(merchant, "owner").get(url).status_code == 405
    assert DESK.asked == []


# ---------------------------------------------------------------------------------------------------------------- keys


def issue(client, merchant):
    return client.post(
        "/admin/merchants/apikey/add/", {"merchant": merchant.pk, "mode": "test", "name": "shop", "scopes": ["read"]}
    )


def test_a_key_is_shown_once_and_kept_nowhere(owner, merchant):
    import re

    from django.contrib.sessions.models import Session

    response = issue(owner, merchant)

    text = re.search(r"sk_test_[\w-]+", response.content.decode())[0]
    key = ApiKey.find(text)
    assert (key.name, key.scopes) == ("shop", ["read"])
    assert "no-store" in response["Cache-Control"]
    assert text not in str(response.cookies)
    assert not [session for session in Session.objects.all() if text in str(session.get_decoded())]
    assert text not in str(list(LogEntry.objects.values()))
    for url in ("/admin/merchants/apikey/", f"/admin/merchants/apikey/{key.pk}/change/", "/admin/"):
        assert text not in owner.get(url).content.decode()


def test_a_revoked_key_no_longer_works(owner, merchant):
    key, text = ApiKey.issue(merchant, "test", name="shop")
    url = f"/admin/merchants/apikey/{key.pk}/revoke/"
    owner.get(url)
    assert ApiKey.find(text)

    owner.post(url, {"confirm": "on"})

    assert ApiKey.find(text) is None
    assert "Revoked" in owner.get("/admin/merchants/apikey/").content.decode()


def test_a_key_cannot_be_edited_or_deleted(owner, merchant):
    key, _ = ApiKey.issue(merchant, "test", name="shop", scopes=["read"])
    owner.post(f"/admin/merchants/apikey/{key.pk}/change/", {"scopes": '["refunds:write"]', "mode": "live"})
    assert owner.post(f"/admin/merchants/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403
    key.refresh_from_db()
    assert (key.scopes, key.mode) == (["read"], "test")


# ------------------------------------------------------------------------------------------------- members, merchants


def test_a_member_is_named_and_gets_a_role(owner, merchant, log_in):
    from django.contrib.auth.models import User

    User.objects.create(username="mia", is_staff=True)
    owner.post("/admin/merchants/member/add/", {"merchant": merchant.pk, "person": "mia", "role": "support"})
    member = Member.objects.get(user__username="mia")
    assert (member.merchant, member.role) == (merchant, "support")

    url = f"/admin/merchants/member/{member.pk}/"
    owner.post(url + "change/", {"role": "finance"})
    member.refresh_from_db()
    assert member.role == "finance"

    owner.post(url + "delete/", {"post": "yes"})
    assert not Member.objects.filter(pk=member.pk).exists()


def test_somebody_unknown_cannot_become_a_member(owner, merchant):
    response = owner.post("/admin/merchants/member/add/", {"merchant": merchant.pk, "person": "x", "role": "owner"})
    assert "Nobody with this user name" in response.content.decode()


def test_a_merchant_is_set_up_by_its_owner_and_made_by_a_superuser(owner, merchant, log_in):
    url = f"/admin/merchants/merchant/{merchant.pk}/change/"
    fields = {
        "name": "Cups",
        "locale": "de",
        "zone": "Europe/Berlin",
        "accent_colour": "#aa3300",
        "return_hosts": "shop.example\nwww.shop.example",
        "late_money": "hold",
        "duplicate_money": "hold",
        "try_limit": 3,
    }
    assert owner.post(url, fields).status_code == 302
    merchant.refresh_from_db()
    assert merchant.return_hosts == ["shop.example", "www.shop.example"]

    assert "errorlist" in owner.post(url, {**fields, "accent_colour": "red"}).content.decode()
    assert owner.get("/admin/merchants/merchant/add/").status_code == 403
    assert log_in().get("/admin/merchants/merchant/add/").status_code == 200


# ----------------------------------------------------------------------------------------------------------- endpoints


def test_an_endpoints_secret_is_shown_once_and_can_be_renewed(owner, merchant):
    response = owner.post(
        "/admin/events/endpoint/add/",
        {"merchant": merchant.pk, "mode": "test", "url": "https://shop.example/hook", "types": ["payment.succeeded"]},
    )
    endpoint = Endpoint.objects.get()
    (first,) = endpoint.secrets
    assert first in response.content.decode()
    assert first not in owner.get(f"/admin/events/endpoint/{endpoint.pk}/change/").content.decode()

    response = owner.post(f"/admin/events/endpoint/{endpoint.pk}/rotate/", {"confirm": "on"})
    endpoint.refresh_from_db()
    assert endpoint.secrets[0] in response.content.decode()
    assert endpoint.secrets[1] == first


@pytest.mark.parametrize("url", ["http://shop.example/", "https://me:secret@shop.example/", "ftp://shop.example/"])
def test_an_endpoint_that_would_leak_is_refused(owner, merchant, url):
    owner.post("/admin/events/endpoint/add/", {"merchant": merchant.pk, "mode": "test", "url": url})
    assert not Endpoint.objects.exists()
