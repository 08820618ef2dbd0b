"""API keys: shown once, kept as a hash, known by their merchant, mode and scopes."""

from __future__ import annotations

import hashlib

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.merchants.models import ApiKey, Scope
from tests.factories import a_merchant

pytestmark = pytest.mark.django_db


def test_only_the_hash_is_kept():
    key, text = ApiKey.issue(a_merchant(), "test", name="shop")

    columns = [str(value) for value in ApiKey.objects.values_list()[0]]
    assert not [column for column in columns if text in column]
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text.startswith(key.prefix)
    assert len(key.prefix) < len(text) - 32, "what tells keys apart gives none away"


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_key_says_its_mode(mode):
    _, text = ApiKey.issue(a_merchant(), mode, name="shop")

    assert text.startswith(f"sk_{mode}_")
    assert ApiKey.find(text).mode == mode


def test_a_key_is_found_by_its_text_alone():
    merchant = a_merchant()
    key, text = ApiKey.issue(merchant, "test", name="shop")
    ApiKey.issue(a_merchant(), "test", name="another shop")

    assert ApiKey.find(text) == key
    assert ApiKey.find(text).merchant == merchant


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: text + " ", lambda text: ""])
def test_a_text_that_is_not_the_key_finds_nothing(change):
    _, text = ApiKey.issue(a_merchant(), "test", name="shop")

    assert ApiKey.find(change(text)) is None


def test_the_hash_is_not_the_key():
    key, _ = ApiKey.issue(a_merchant(), "test", name="shop")

    assert ApiKey.find(key.digest) is None


def test_a_revoked_key_finds_nothing():
    key, text = ApiKey.issue(a_merchant(), "test", name="shop")
    key.revoked_at = timezone.now()
    key.save()

    assert ApiKey.find(text) is None


def test_a_key_may_do_everything_unless_its_scopes_say_less():
    merchant = a_merchant()
    everything, _ = ApiKey.issue(merchant, "test", name="all")
    reading, _ = ApiKey.issue(merchant, "test", name="read", scopes=[Scope.READ])
    nothing, _ = ApiKey.issue(merchant, "test", name="none", scopes=[])

    assert set(everything.scopes) == set(Scope.values)
    assert (reading.scopes, nothing.scopes) == (["read"], [])


def test_two_keys_are_never_the_same():
    merchant = a_merchant()
    key, _ = ApiKey.issue(merchant, "test", name="one")

    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.create(merchant=merchant, mode="test", name="two", prefix="sk", digest=key.digest)
