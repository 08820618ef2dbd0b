"""How StoreSquare might sign a webhook: the sender's side of the small grammar in which the profile describes it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


def digest(preset: Mapping[str, Any], secret: str, timestamp: str, raw: bytes) -> str:
    """The signature over a body as it is sent (without the digest, where that travels in the body)."""
    # Piece by piece and not by replace(): a body may contain the very words that mark the places.
    parts = {
        "{timestamp}": timestamp.encode(),
        "{body}": raw,
        "{secret}": secret.encode(),
        "{sorted}": _sorted_members(preset, raw).encode() if "{sorted}" in preset["template"] else b"",
    }
    text, rest = b"", str(preset["template"])
    while rest:
        name = next((mark for mark in parts if rest.startswith(mark)), "")
        text += parts[name] if name else rest[0].encode()
        rest = rest[len(name) or 1 :]
    if preset["algo"] == "hmac-sha256":
        hashed = hmac.digest(secret.encode(), text, "sha256")
    elif preset["algo"] == "sha256":
        hashed = hashlib.sha256(text).digest()
    else:
        raise ValueError(f"unknown algorithm {preset['algo']}")
    return {
        "hex_lower": hashed.hex(),
        "hex_upper": hashed.hex().upper(),
        "base64": base64.b64encode(hashed).decode(),
    }[preset["encoding"]]


def _sorted_members(preset: Mapping[str, Any], raw: bytes) -> str:
    """``k=v`` joined by ``&``, keys ascending, null and empty left out."""
    body = json.loads(raw)
    members = body[preset["sortedRoot"]] if preset.get("sortedRoot") else body
    place, _, where = str(preset["source"]).partition(":")
    left_out = where.rpartition(".")[2] if place == "body" else ""
    kept = {name: value for name, value in members.items() if name != left_out and value is not None and value != ""}
    return "&".join(f"{name}={_text(kept[name])}" for name in sorted(kept))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
