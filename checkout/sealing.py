"""Sealing: how a secret rests in the database.

A sealed value is a Fernet token (AES-128-CBC with HMAC-SHA256) of the text together with its *context*, a string that
names the row and column it belongs to. A ciphertext copied to another row therefore does not open. ``SEAL_KEYS`` lists
the keys: the first one seals, all of them open, so a key is rotated by putting a new one in front.
"""

from __future__ import annotations

import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class SealBroken(Exception):
    """A sealed value does not open: wrong or missing key, changed bytes, or moved from another row."""


def seal(text: str, *, context: str) -> bytes:
    """Encrypt ``text`` so that it opens only with the same ``context``."""
    return _keys(tuple(settings.SEAL_KEYS)).encrypt(json.dumps([context, text]).encode())


def unseal(token: bytes | memoryview, *, context: str) -> str:
    """The sealed text. Raises SealBroken."""
    try:
        found, text = json.loads(_keys(tuple(settings.SEAL_KEYS)).decrypt(bytes(token)))
    except (InvalidToken, ValueError):
        raise SealBroken("the seal does not open with any key in SEAL_KEYS") from None
    if found != context:
        raise SealBroken("the sealed value belongs elsewhere")
    return str(text)


@lru_cache(maxsize=4)
def _keys(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("SEAL_KEYS is empty, so nothing secret can be stored; see .env.example")
    return MultiFernet([Fernet(key) for key in keys])
