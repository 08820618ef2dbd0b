"""A sealed value opens with its key, in its place, and nowhere else."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checkout.sealing import SealBroken, seal, unseal

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture(autouse=True)
def old_key(settings):
    settings.SEAL_KEYS = [OLD]


@given(text=st.text(max_size=200), context=st.text(min_size=1, max_size=40))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sealed_opens_in_its_place(text, context):
    assert unseal(seal(text, context=context), context=context) == text


def test_the_text_does_not_show():
    assert b"secret" not in seal("secret", context="row:1")


def test_two_seals_of_one_text_differ():
    assert seal("secret", context="row:1") != seal("secret", context="row:1")


def test_a_value_moved_to_another_place_does_not_open():
    with pytest.raises(SealBroken, match="elsewhere"):
        unseal(seal("secret", context="row:1"), context="row:2")


def test_a_changed_byte_does_not_open():
    token = bytearray(seal("secret", context="row:1"))
    for position in range(0, len(token), 7):
        changed = bytearray(token)
        changed[position] ^= 1
        with pytest.raises(SealBroken):
            unseal(bytes(changed), context="row:1")


@pytest.mark.parametrize("token", [b"", b"nonsense", b"\xff\x00"])
def test_nonsense_does_not_open(token):
    with pytest.raises(SealBroken):
        unseal(token, context="row:1")


def test_a_databases_memoryview_opens():
    assert unseal(memoryview(seal("secret", context="row:1")), context="row:1") == "secret"


def test_another_key_does_not_open(settings):
    token = seal("secret", context="row:1")
    settings.SEAL_KEYS = [NEW]

    with pytest.raises(SealBroken) as error:
        unseal(token, context="row:1")

    assert "secret" not in str(error.value)
    assert OLD not in str(error.value)


def test_a_new_key_in_front_seals_and_the_old_one_still_opens(settings):
    old_token = seal("secret", context="row:1")
    settings.SEAL_KEYS = [NEW, OLD]
    new_token = seal("secret", context="row:1")

    assert unseal(old_token, context="row:1") == unseal(new_token, context="row:1") == "secret"
    settings.SEAL_KEYS = [NEW]
    assert unseal(new_token, context="row:1") == "secret"
    with pytest.raises(SealBroken):
        unseal(old_token, context="row:1")


def test_without_a_key_nothing_is_stored(settings):
    settings.SEAL_KEYS = []

    with pytest.raises(ImproperlyConfigured, match="SEAL_KEYS"):
        seal("secret", context="row:1")
