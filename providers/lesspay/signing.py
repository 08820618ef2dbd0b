"""How Lesspay signs, both ways: SHA-256 over sorted pairs, the secret as the last one (*Authentication*).

It is a plain hash, not an HMAC, and nothing is escaped: a signature proves who wrote a message, but not where one field
ends and the next begins. The canonical string holds the secret and, for cards, number and code: it is never logged.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from providers.http import Body

Pairs = Mapping[str, Any]


def sign(fields: Pairs, secret: str, *, mode: str = "json_compact") -> str:
    """The upper-case hexadecimal signature of a message's top-level fields."""
    return hashlib.sha256(canonical(fields, secret, mode=mode).encode()).hexdigest().upper()


def sign_body(body: bytes, secret: str, *, mode: str, also: Pairs | None = None) -> str:
    """The signature of these very bytes; ``also`` are pairs that are signed and not sent in the body."""
    return sign({**parse(body), **(also or {})}, secret, mode=mode)


def matches(
    body: bytes, signature: str, secret: str, *, modes: Iterable[str], signed: Collection[str] | None = None
) -> bool:
    """Whether ``signature`` is right for these bytes in one of the modes; constant time, any case.

    ``signed`` names the top-level fields that are covered, None for all. Mode ``raw`` takes numbers and nested values
    exactly as they stand in the body. Raises ValueError when the body is no message.
    """
    fields, raw = parse(body), raw_members(body)
    if signed is not None:
        fields = {key: value for key, value in fields.items() if key in signed}
    literal = {key: value if isinstance(value, str | None) else raw[key] for key, value in fields.items()}
    got = signature.strip().upper().encode()
    expected = [sign(literal, secret) if mode == "raw" else sign(fields, secret, mode=mode) for mode in modes]
    return any(hmac.compare_digest(one.encode(), got) for one in expected)


def canonical(fields: Pairs, secret: str, *, mode: str = "json_compact") -> str:
    """``a=1&b=2&key=secret``: pairs that are not null or empty, by key in ASCII order."""
    pairs = dict(_flattened(fields, mode))
    kept = [f"{key}={value}" for key, value in sorted(pairs.items()) if value is not None and value != ""]
    return "&".join([*kept, f"key={secret}"])


def body_of(fields: Pairs) -> Body:
    """The body to send: compact, members sorted, so that the likely readings of "key={json}" agree.

    Half a surrogate pair, which no encoding has, becomes a question mark.
    """
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return Body(text.encode(errors="replace"))


def parse(body: bytes) -> dict[str, Any]:
    """A signed message with its members in order and its numbers as written. Raises ValueError."""
    fields = json.loads(body, parse_float=Decimal, object_pairs_hook=_without_doubles)
    if not isinstance(fields, dict):
        raise ValueError("a message is an object")
    return fields


def raw_members(body: bytes) -> dict[str, str]:
    """The exact text of each top-level value of a JSON object. Raises ValueError."""
    text = body.decode()
    decoder = json.JSONDecoder(parse_float=Decimal)
    found: dict[str, str] = {}
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, text.index(":", at) + 1)
        _, end = decoder.raw_decode(text, at)
        found[key] = text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


# ------------------------------------------------------------------------------------------------------ nested values

_DUMPS: Mapping[str, Callable[[Any], str]] = {
    "json_compact": lambda value: json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":")),
    "json_sorted": lambda value: json.dumps(
        value, ensure_ascii=False, default=str, separators=(",", ":"), sort_keys=True
    ),
    "json_spaced": lambda value: json.dumps(value, ensure_ascii=False, default=str),
}


def _flattened(fields: Pairs, mode: str) -> Iterable[tuple[str, str | None]]:
    for key, value in fields.items():
        if not isinstance(value, dict | list):
            yield key, _text(value)
        elif mode == "omit_nested":
            continue
        elif mode in {"flatten_dotted", "flatten_leaf"}:
            yield from _leaves(value, key, dotted=mode == "flatten_dotted")
        else:
            yield key, _DUMPS[mode](value)


def _leaves(value: Any, path: str, *, dotted: bool) -> Iterable[tuple[str, str | None]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if dotted else key, dotted=dotted)
    else:
        yield path, _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a member stands twice")
    return fields


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at
