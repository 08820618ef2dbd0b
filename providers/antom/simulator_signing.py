"""Antom's signatures: what is signed, and RSASSA-PKCS1-v1_5 with SHA-256 over it ("SHA256withRSA").

The same string in three roles: a request, its answer and a notification. The test key pair of ``simulator_key.pem``
plays the provider, and the default accounts' merchant too.
"""

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from flask import Request

HERE = Path(__file__).resolve().parent
ALGORITHM = "RSA256"
#: Of an answer. The official SDK compares them as they are written here.
HEADERS = ("client-id", "response-time", "signature")


class BadHeader(Exception):
    """A signature header that cannot be read."""


def signed_path(called: Request) -> str:
    """The path that both sides sign: that of the URL actually called, so with ``/antom`` in front, without query."""
    return called.script_root + called.path


def webhook_path(url: str) -> str:
    """The path that a notification signs: that of the merchant's address, without query."""
    return urlsplit(url).path or "/"


def content(path: str, client_id: str, time: str, body: str) -> str:
    """The string to sign. One space, one LF, two dots, no line feed at the end."""
    return f"POST {path}\n{client_id}.{time}.{body}"


def sign(key: RSAPrivateKey, path: str, client_id: str, time: str, body: bytes) -> str:
    """The value of a ``signature`` header."""
    raw = key.sign(content(path, client_id, time, "").encode() + body, PKCS1v15(), SHA256())
    return f"algorithm={ALGORITHM},keyVersion=1,signature={quote(base64_text(raw), safe='')}"


def is_genuine(key: RSAPublicKey, header: str, path: str, client_id: str, time: str, body: bytes) -> bool:
    """Whether ``header`` is the merchant's signature over exactly these bytes."""
    try:
        raw = read_header(header)["signature"]
        # Base64 sent as it is would lose its + to a form decoder, as it does in the official SDK
        if not re.fullmatch("(?:[A-Za-z0-9]|%[0-9A-Fa-f]{2})+", raw):
            return False
        key.verify(
            base64.b64decode(unquote(raw), validate=True), content(path, client_id, time, "").encode() + body,
            PKCS1v15(), SHA256(),
        )  # fmt: skip
    except (BadHeader, binascii.Error, InvalidSignature, UnicodeEncodeError, ValueError):
        return False
    return True


def read_header(header: str) -> dict[str, str]:
    """``algorithm=RSA256, keyVersion=1, signature=…`` in any order; only ``signature`` has to be there."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    found = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    if not found.get("signature") or found.get("algorithm", ALGORITHM) != ALGORITHM:
        raise BadHeader
    return found


def key_version(header: str) -> str:
    """Which of the merchant's keys a header names; empty when it names none."""
    try:
        return read_header(header).get("keyVersion", "")
    except BadHeader:
        return ""


def read_public_key(text: str) -> RSAPublicKey | None:
    """A key as the dashboard shows it (bare Base64) or as PEM; None when it is neither."""
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.encode())
        else:
            key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def base64_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def sample_public_key() -> str:
    """The public half of the test key, as PEM."""
    text = (HERE / "simulator_public_key.pem").read_text()
    return text[text.index("-----BEGIN") :]


def provider_key() -> RSAPrivateKey:
    """What the provider signs with."""
    key = load_pem_private_key((HERE / "simulator_key.pem").read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("simulator_key.pem holds no RSA key")
    return key


def stranger_key() -> RSAPrivateKey:
    """A key of nobody's, for forged signatures."""
    return generate_private_key(public_exponent=65537, key_size=2048)
