"""How Antom signs, both ways: RSA (PKCS#1 v1.5, SHA-256) over path, client id, time and the exact bytes of the body.

    POST /ams/api/v1/payments/pay
    CLIENT_ID.TIME.BODY

The signature stands in a header, Base64 and percent-encoded: ``algorithm=RSA256,keyVersion=1,signature=…``. The signed
content of a payment holds the card, so it is never logged.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

ALGORITHM = "RSA256"
LONGEST_HEADER = 4096
"""A signature by a key of 16384 bits would still fit."""


def content(path: str, client_id: str, time: str, body: bytes) -> bytes:
    """What is signed. ``path`` is that of the URL that was called, without host and query."""
    head = f"POST {path}\n{client_id}.{time}."
    return head.encode(errors="surrogatepass") + body


def sign(message: bytes, key: RSAPrivateKey, *, key_version: str = "1") -> str:
    """The value of the ``signature`` header for these bytes."""
    signature = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
    return f"algorithm={ALGORITHM},keyVersion={key_version},signature={quote(signature, safe='')}"


def is_genuine(header: str, message: bytes, keys: Collection[RSAPublicKey]) -> bool:
    """Whether one of the keys signed these bytes."""
    signature = signature_in(header)
    return signature is not None and any(_verifies(signature, message, key) for key in keys)


def signature_in(header: str) -> bytes | None:
    """The signature that a header carries: members in any order, spaces around commas, Base64 escaped or raw."""
    if not header.isascii() or len(header) > LONGEST_HEADER:
        return None
    members = dict(part.strip().partition("=")[::2] for part in header.split(","))
    if members.get("algorithm", ALGORITHM) != ALGORITHM:
        return None
    try:  # this decoder leaves a plus alone, so Base64 that was never escaped survives it
        return base64.b64decode(unquote_to_bytes(members.get("signature", "")), validate=True) or None
    except (ValueError, binascii.Error):
        return None


def _verifies(signature: bytes, message: bytes, key: RSAPublicKey) -> bool:
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------- keys


@lru_cache(maxsize=64)
def private_key(text: str) -> RSAPrivateKey:
    """PEM or, as the dashboard shows it, bare Base64; PKCS#8 or PKCS#1. Raises ValueError, which quotes nothing."""
    key = _load(text, serialization.load_pem_private_key, serialization.load_der_private_key, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA private key")
    return key


@lru_cache(maxsize=64)
def public_key(text: str) -> RSAPublicKey:
    """PEM or bare Base64, SubjectPublicKeyInfo or PKCS#1. Raises ValueError."""
    key = _load(text, serialization.load_pem_public_key, serialization.load_der_public_key)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key


def _load(text: str, from_pem: Any, from_der: Any, **options: Any) -> Any:
    try:
        if "-----BEGIN" in text:
            return from_pem(text.strip().encode(), **options)
        return from_der(base64.b64decode("".join(text.split()), validate=True), **options)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Their text may quote a part of the key.
        raise ValueError("neither a PEM nor a Base64 key") from None
