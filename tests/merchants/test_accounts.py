"""Provider accounts: credentials rest sealed and bound to their row; rows stay with their merchant and mode."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from checkout.merchants.models import Member, ProviderAccount
from checkout.orders import gateway
from checkout.sealing import SealBroken
from tests.factories import a_merchant, an_account

pytestmark = pytest.mark.django_db


def test_credentials_rest_sealed():
    account = an_account(a_merchant(), credentials={"key": "canary-4711"})

    stored = ProviderAccount.objects.get(pk=account.pk)
    assert b"canary-4711" not in bytes(stored.sealed_credentials)
    assert stored.credentials == {"key": "canary-4711"}
    assert "canary-4711" not in repr(gateway.connect(stored).config)


def test_credentials_copied_to_another_account_do_not_open():
    account, thief = an_account(a_merchant()), an_account(a_merchant())
    thief.sealed_credentials = account.sealed_credentials
    thief.save()

    with pytest.raises(SealBroken):
        _ = ProviderAccount.objects.get(pk=thief.pk).credentials
    with pytest.raises(gateway.AccountUnusable):
        gateway.connect(thief)


def test_an_account_without_credentials_has_none():
    account = ProviderAccount(merchant=a_merchant(), mode="test", provider="acme", base_url="http://127.0.0.1:9/")

    assert account.credentials == {}


def test_rows_are_found_by_merchant_and_mode_together():
    merchant = a_merchant()
    test, live = an_account(merchant), an_account(merchant, mode="live", base_url="https://api.acme.example")
    an_account(a_merchant())

    assert list(ProviderAccount.objects.of(merchant, "test")) == [test]
    assert list(ProviderAccount.objects.of(merchant, "live")) == [live]


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.acme.example",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/",
        "https://[::1]/",
        "https:///",
    ],
)
def test_a_live_account_is_not_pointed_at_this_machine_or_plain_http(base_url):
    account = an_account(a_merchant(), mode="live", base_url=base_url)

    with pytest.raises(gateway.AccountUnusable):
        gateway.connect(account)


def test_a_live_account_never_uses_the_simulator(settings):
    settings.SIMULATOR_URL = "https://simulator.example"
    account = an_account(a_merchant(), mode="live", base_url="https://simulator.example/acme")

    with pytest.raises(gateway.AccountUnusable, match="simulator"):
        gateway.connect(account)


def test_a_person_works_for_a_merchant_once(django_user_model):
    merchant, user = a_merchant(), django_user_model.objects.create_user("ada")
    Member.objects.create(merchant=merchant, user=user, role="owner")
    Member.objects.create(merchant=a_merchant(), user=user, role="viewer")

    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.create(merchant=merchant, user=user, role="viewer")
