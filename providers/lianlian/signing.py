"""How LianLian signs, both ways: RSA (PKCS#1 v1.5) over ``name=value`` pairs, sorted by name and joined by ``&``.

``sign_type`` "RSA" means MD5withRSA, as its documentation says and signed messages of its samples prove. Values stand
in the signed text raw, so it holds card data: it is never logged and leaves this module only to be tested.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

Fields = Mapping[str, Any]

HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "rsa": hashes.MD5(),  # noqa: S303  # nosec B303 - their choice
    "sha256withrsa": hashes.SHA256(),
}
"""By ``sign_type``, whose case varies. The legacy "MD5", a plain hash with a shared secret, is refused."""

MD5_DIGEST_INFO = bytes.fromhex("3020300c06082a864886f70d020505000410")
NULL_TEXT = "null"
"""Old samples leave a value of this text out of the signed text, whatever its case: nobody should send it."""


# ----------------------------------------------------------------------------------------------------------- a message


def with_signature(fields: Fields, key: RSAPrivateKey) -> dict[str, Any]:
    """These fields, ``sign_type`` among them, and ``sign``; without those that are empty."""
    kept = {name: value for name, value in fields.items() if value is not None and value != ""}
    return {**kept, "sign": sign(canonical(kept), key, sign_type=str(kept["sign_type"]))}


def parse(body: bytes) -> dict[str, Any]:
    """A message: a JSON object, each member once, its numbers as the text they were written with. Raises ValueError."""
    try:
        message = json.loads(
            body.decode(), parse_int=str, parse_float=str, parse_constant=_refuse, object_pairs_hook=_once
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message


def is_genuine(
    message: Fields,
    keys: Collection[RSAPublicKey],
    *,
    sign_types: Collection[str],
    unsigned: Collection[Collection[str]] = ((),),
) -> bool:
    """Whether one of the keys signed this message, leaving out one of the alternatives of ``unsigned`` members."""
    signature, sign_type = message.get("sign"), message.get("sign_type")
    if not isinstance(signature, str) or not isinstance(sign_type, str):
        return False
    if sign_type.lower() not in {one.lower() for one in sign_types}:
        return False
    return any(
        verify(canonical(message, unsigned=left_out), signature, key, sign_type=sign_type)
        for key in keys
        for left_out in unsigned
    )


def canonical(fields: Fields, *, unsigned: Collection[str] = ()) -> str:
    """The signed text: members with a value, by name; without ``sign``, lists, objects and ``unsigned``."""
    pairs = {name: _text(value) for name, value in fields.items() if name != "sign" and name not in unsigned}
    return "&".join(f"{name}={pairs[name]}" for name in sorted(pairs) if pairs[name])


def compact(value: Any) -> str:
    """JSON as we send it, be it a message or a value in one: that is signed exactly as it stands there."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------------------------------------------------- signatures


def sign(text: str, key: RSAPrivateKey, *, sign_type: str) -> str:
    """The signature in Base64, for a way to sign that ``can_sign``."""
    return base64.b64encode(key.sign(_bytes(text), padding.PKCS1v15(), HASHES[sign_type.lower()])).decode()


@lru_cache(maxsize=64)
def can_sign(key: str, sign_type: str) -> bool:
    """Whether this machine's OpenSSL lets us sign so: a hardened one knows no MD5. Raises ValueError for no key."""
    try:
        return bool(sign("", private_key(key), sign_type=sign_type))
    except UnsupportedAlgorithm:
        return False


def verify(text: str, signature: str, key: RSAPublicKey, *, sign_type: str) -> bool:
    """Whether ``signature`` is the one for ``text``, in its one way of being written."""
    algorithm = HASHES.get(sign_type.lower())
    given = _base64(signature)
    if algorithm is None or given is None:
        return False
    try:
        key.verify(given, _bytes(text), padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    except UnsupportedAlgorithm:
        return isinstance(algorithm, hashes.MD5) and verify_md5_by_hand(_bytes(text), given, key)
    return True


def verify_md5_by_hand(message: bytes, signature: bytes, key: RSAPublicKey) -> bool:
    """MD5withRSA where the library has no MD5: the whole padded block is compared, never only its end."""
    numbers, size = key.public_numbers(), (key.key_size + 7) // 8
    value = int.from_bytes(signature, "big")
    if len(signature) != size or value >= numbers.n:
        return False
    tail = b"\x00" + MD5_DIGEST_INFO + hashlib.md5(message, usedforsecurity=False).digest()
    expected = b"\x00\x01" + b"\xff" * (size - 2 - len(tail)) + tail
    return hmac.compare_digest(pow(value, numbers.e, numbers.n).to_bytes(size, "big"), expected)


# ---------------------------------------------------------------------------------------------------------------- keys


@lru_cache(maxsize=64)
def private_key(text: str) -> RSAPrivateKey:
    """PEM or bare Base64, PKCS#8 or PKCS#1. Raises ValueError."""
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


# ------------------------------------------------------------------------------------------------------------- details


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _base64(text: str) -> bytes | None:
    """Decoded, if it is written the standard way: no spaces, and no stray bits at its end."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a member stands twice")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
