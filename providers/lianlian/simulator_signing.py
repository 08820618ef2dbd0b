"""LianLian's signatures: the string that is signed, and RSASSA-PKCS1-v1_5 over it (RFC 8017, sections 8.2 and 9.2).

Worked out from the definition, because ``RSA`` means MD5withRSA here and a hardened OpenSSL refuses MD5. It is a test
double's code: nothing in it guards a private key against timing.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

HERE = Path(__file__).resolve().parent
RSA, SHA256 = "RSA", "SHA256withRSA"
# ASN.1 prefix of the DigestInfo (RFC 8017, 9.2, note 1) and the hash behind each sign_type.
ALGORITHMS = {
    RSA: (bytes.fromhex("3020300c06082a864886f70d020505000410"), "md5"),
    SHA256: (bytes.fromhex("3031300d060960864801650304020105000420"), "sha256"),
}


class Literal(str):
    """A JSON number exactly as it was written: ``31.680`` is signed as ``31.680``."""

    __slots__ = ()


@dataclass(frozen=True)
class PublicKey:
    """A modulus and an exponent."""

    n: int
    e: int

    @property
    def size(self) -> int:
        """Bytes of a signature."""
        return (self.n.bit_length() + 7) // 8


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """A key that signs. It never shows itself."""

    n: int
    d: int

    @property
    def size(self) -> int:
        return (self.n.bit_length() + 7) // 8


def read_object(raw: bytes) -> dict[str, Any]:
    """One JSON object with its numbers as ``Literal``; ValueError for anything else."""
    found = json.loads(raw.decode("utf-8"), parse_float=Literal, parse_int=Literal, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    json.dumps(found, ensure_ascii=False).encode()  # lone surrogates and bottomless nesting fail here
    return found


def canonical(members: Mapping[str, Any]) -> str:
    """Members with a value in ASCII order as ``name=value``, joined by ``&``; no ``sign``, no lists, no objects."""
    return "&".join(
        f"{name}={_text(members[name])}"
        for name in sorted(members)
        if name != "sign" and members[name] is not None and members[name] != ""
        if not isinstance(members[name], (dict, list))
    )


def algorithm(sign_type: object) -> str | None:
    """Which of ``ALGORITHMS`` a sign_type means; its letters' case does not matter. The old ``MD5`` is none of them."""
    return next((name for name in ALGORITHMS if isinstance(sign_type, str) and name.lower() == sign_type.lower()), None)


def sign(text: str, name: str, key: PrivateKey) -> str:
    """Base64 of the signature over the text's UTF-8 bytes, in one line."""
    block = int.from_bytes(_padded(text, name, key.size))
    return base64.b64encode(pow(block, key.d, key.n).to_bytes(key.size)).decode()


def is_genuine(text: str, signature: str, name: str, key: PublicKey) -> bool:
    """Whether the signature's whole block is the one that the text calls for."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(raw) != key.size:
        return False
    block = pow(int.from_bytes(raw), key.e, key.n).to_bytes(key.size)
    return hmac.compare_digest(block, _padded(text, name, key.size))


def read_public_key(text: str) -> PublicKey:
    """A public key as PEM or as bare Base64 of its SubjectPublicKeyInfo; ValueError when it is none for RSA."""
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.encode())
        else:
            key = load_der_public_key(base64.b64decode(re.sub(r"\s", "", text), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a public key") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    numbers = key.public_numbers()
    return PublicKey(numbers.n, numbers.e)


def platform_key() -> PrivateKey:
    """The simulator's own key."""
    key = load_pem_private_key((HERE / "simulator_key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101  # nosec B101
    return _numbers(key)


def platform_public_key() -> str:
    """Its public half as PEM: what a merchant enters as LianLian's key, and in the default accounts its own too."""
    return (HERE / "simulator_public_key.pem").read_text()


def stray_key() -> PrivateKey:
    """A fresh key that nobody trusts, for forgeries."""
    return _numbers(generate_private_key(65537, 2048))


def _numbers(key: RSAPrivateKey) -> PrivateKey:
    numbers = key.private_numbers()
    return PrivateKey(numbers.public_numbers.n, numbers.d)


def _padded(text: str, name: str, size: int) -> bytes:
    """EMSA-PKCS1-v1_5: ``00 01 FF…FF 00`` and the DigestInfo, as long as the key."""
    prefix, hash_name = ALGORITHMS[name]
    info = prefix + hashlib.new(hash_name, text.encode("utf-8"), usedforsecurity=False).digest()
    return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
