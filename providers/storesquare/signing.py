"""Signatures of webhooks, built from the profile's description of them.

Nothing published says what StoreSquare hashes, so a signature here proves knowledge of the secret under an assumed
scheme: it opens the door to an inquiry, and moves no money by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.contract import BadSignature, Delivery
from providers.storesquare.profile import Scheme, find

_EPOCH = re.compile(r"\d{1,16}", re.ASCII)


class Number(str):
    """A JSON number exactly as it was written."""

    __slots__ = ()


@dataclass(frozen=True)
class Claim:
    """A delivery that says who signed it, before any secret was looked at."""

    scheme: Scheme
    signature: str
    parts: Mapping[str, bytes] = field(repr=False)
    """What goes into the message in place of its parts, beside the secret."""

    def is_made_with(self, secrets: Iterable[str]) -> bool:
        """Whether one of these made it. Constant time; an empty one made nothing."""
        got = self._folded(self.signature)
        # Every candidate is compared, so that the time taken does not tell which one was near.
        made = [self._folded(self.made_with(one)) for one in secrets if one]
        return bool(sum(hmac.compare_digest(one, got) for one in made))

    def made_with(self, secret: str) -> str:
        """The signature that this secret makes."""
        parts = {**self.parts, "secret": _bytes(secret)}
        pieces = self.scheme.parts
        message = b"".join(_bytes(piece) if at % 2 == 0 else parts[piece] for at, piece in enumerate(pieces))
        if self.scheme.algorithm == "sha256":
            digest = hashlib.sha256(message).digest()
        else:
            digest = hmac.digest(_bytes(secret), message, "sha256")
        if self.scheme.encoding == "base64":
            return base64.b64encode(digest).decode()
        return digest.hex().upper() if self.scheme.encoding == "hex_upper" else digest.hex()

    def _folded(self, signature: str) -> bytes:
        """Hexadecimal is read in any case."""
        return _bytes(signature if self.scheme.encoding == "base64" else signature.lower())


def claim(delivery: Delivery, scheme: Scheme, *, now: float) -> Claim:
    """What a delivery claims, its time checked. Raises BadSignature, with the reason as its code."""
    members = parse(delivery.body)
    signature = _read(scheme.source, delivery, members)
    if not signature:
        raise BadSignature("no signature", code="no_signature")
    timestamp = _read(scheme.timestamp_source, delivery, members) if scheme.timestamp_source else ""
    if scheme.tolerance:
        if not _EPOCH.fullmatch(timestamp):
            raise BadSignature("no time", code="no_timestamp")
        if abs(int(timestamp) / scheme.timestamp_unit - now) > scheme.tolerance:
            raise BadSignature("too old or too early", code="stale")
    pairs = sorted_pairs(members, scheme) if "sorted" in scheme.names else ""
    return Claim(scheme, signature, {"timestamp": _bytes(timestamp), "body": delivery.body, "sorted": _bytes(pairs)})


def is_signed(delivery: Delivery, scheme: Scheme) -> bool:
    """Whether a delivery carries a signature at all, right or wrong."""
    return bool(_read(scheme.source, delivery, parse(delivery.body)))


def sorted_pairs(members: Mapping[str, Any], scheme: Scheme) -> str:
    """``a=1&b=2``: members that are not null or empty, by name in ASCII order, without the digest itself."""
    try:
        root = find(members, scheme.sorted_root) if scheme.sorted_root else members
    except KeyError:
        root = None
    if not isinstance(root, Mapping):
        raise BadSignature("nothing to sort", code="unreadable")
    digest = scheme.source.removeprefix("body:") if scheme.source.startswith("body:") else ""
    inside = digest.removeprefix(f"{scheme.sorted_root}.") if scheme.sorted_root else digest
    pairs = {name: value for name, value in root.items() if name != inside and value is not None and value != ""}
    try:
        return "&".join(f"{name}={_text(pairs[name])}" for name in sorted(pairs))
    except RecursionError:
        raise BadSignature("nested too deeply", code="unreadable") from None


def parse(body: bytes) -> dict[str, Any]:
    """A message with its numbers as written. Raises BadSignature when the body is none or names a member twice."""
    try:
        members = json.loads(
            body,
            parse_float=Number,
            parse_int=Number,
            parse_constant=Number,
            object_pairs_hook=_without_doubles,
        )
    except (ValueError, RecursionError):
        raise BadSignature("not a message", code="unreadable") from None
    if not isinstance(members, dict):
        raise BadSignature("not a message", code="unreadable")
    return members


def _read(source: str, delivery: Delivery, members: Mapping[str, Any]) -> str:
    kind, _, name = source.partition(":")
    if kind == "header":
        return delivery.header(name).strip()
    try:
        value = find(members, name)
    except KeyError:
        return ""
    return value.strip() if isinstance(value, str) else ""


def _text(value: Any) -> str:
    """A plain value as it is; a nested one as compact JSON with sorted members."""
    return value if isinstance(value, str) else _compact(value)


def _compact(value: Any) -> str:
    match value:
        case Number():
            return str(value)
        case Mapping():
            return "{" + ",".join(f"{_compact(name)}:{_compact(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(_compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members
