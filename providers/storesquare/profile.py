"""The profile: every word of StoreSquare's that no public page states, as data.

``profile.json`` beside this module is the default. A merchant who holds the provider's manual enters an override, a
JSON object that is merged over it: objects member by member, lists and plain values replaced. Nothing else knows a
path, a header, a status word, an answer's member or the parts of a signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

DEFAULT_FILE = Path(__file__).with_name("profile.json")

PAYMENT_STATES = frozenset(
    {
        *("created", "pending", "authorized", "captured", "partially_refunded", "refunded"),
        *("failed", "cancelled", "expired"),
    }
)
REFUND_STATES = frozenset({"pending", "succeeded", "failed"})
TRACKING_STATES = frozenset({"shipped", "delivered", "cancelled"})
SECOND_INQUIRY_ROLES = frozenset({"cancel", "refund_inquiry", "none"})
LIFETIME_UNITS: Mapping[str, float] = {"milliseconds": 0.001, "seconds": 1, "minutes": 60}
TIMESTAMP_UNITS: Mapping[str, int] = {"s": 1, "ms": 1000}
ALGORITHMS = frozenset({"hmac-sha256", "sha256"})
ENCODINGS = frozenset({"hex_lower", "hex_upper", "base64"})
KEY_SOURCES = frozenset({"secret", "webhookSecret"})
PARTS = frozenset({"timestamp", "body", "sorted", "secret"})

BOUNDS = (
    *("orderNo", "sessionDescription", "paymentDescription", "frontUrl", "subscribeUrl"),
    *("expiryMinutes", "refundNumber", "refundReason"),
)
"""Of ``validation``, those that our requests keep to."""

_MISSING = object()


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    with_token: bool


@dataclass(frozen=True)
class Scheme:
    """How a webhook is signed."""

    algorithm: str
    parts: tuple[str, ...]
    """Alternately text and the name of a part, beginning and ending with text."""
    encoding: str
    source: str
    """``header:<name>`` or ``body:<path>``, like ``timestamp_source``."""
    timestamp_source: str
    """Empty when no time is signed."""
    timestamp_unit: int
    """How many of them make a second."""
    tolerance: int
    """Seconds by which the time may differ; 0 for any."""
    sorted_root: str
    """The member whose members are signed as sorted pairs; empty for the whole body."""
    key_source: str
    """``secret`` or ``webhookSecret``."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.parts[1::2])


class Profile:
    """A complete and coherent profile. ``profile["webhook.ack.body"]`` looks a value up."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        """Raises ValueError with a sentence that names what is wrong."""
        self._members = members
        self._states = {word.upper(): state for word, state in self["status.payment"].items()}
        self._refund_states = {word.upper(): state for word, state in self["status.refund"].items()}
        self._tracking_states = {word.upper(): state for word, state in self["status.tracking"].items()}
        self.success_codes = frozenset(map(str, self["envelope.successCodes"]))
        self.expired_codes = frozenset(map(str, self["auth.expiredCodes"]))
        self.kinds = {str(code): kind for kind, codes in self["errors"].items() for code in codes}
        self.kinds |= {str(code): "system" for code in self["envelope.unknownOutcomeCodes"]}
        _check(self)

    def __repr__(self) -> str:
        return f"<Profile {self['provider']} {self['profileVersion']}>"

    def __getitem__(self, path: str) -> Any:
        return find(self._members, path)

    def endpoint(self, operation: str) -> Endpoint:
        said = self["endpoints"][operation]
        return Endpoint(said["method"], said["path"], said["auth"])

    def paths(self, field: str) -> tuple[str, ...]:
        """Where a fact may stand in an answer, in the order to look: ``paths("payment.card.brand")``."""
        return self.paths_of(f"fields.{field}")

    def paths_of(self, path: str) -> tuple[str, ...]:
        said = self[path]
        return (said,) if isinstance(said, str) else tuple(said)

    def payment_state(self, word: str) -> str | None:
        """A canonical state; None for a word that nobody knows."""
        return self._states.get(word.upper())

    def refund_state(self, word: str) -> str | None:
        return self._refund_states.get(word.upper())

    def tracking_state(self, word: str) -> str | None:
        return self._tracking_states.get(word.upper())

    def tracking_word(self, state: str) -> str:
        """The word for one of ``TRACKING_STATES`` that we send."""
        return next(str(word) for word, meaning in self["status.tracking"].items() if meaning == state)

    def scheme(self, preset: str = "") -> Scheme:
        """The way webhooks are signed: of this name, or the profile's choice. Raises ValueError."""
        name = preset or self["webhook.preset"]
        said = self["webhook.presets"].get(name)
        if not isinstance(said, Mapping):
            raise ValueError(
                f"signature names no preset of the profile: there are {', '.join(self['webhook.presets'])}"
            )
        return _scheme(f"webhook.presets.{name}", {"keySource": self["webhook.keySource"], **said})


@lru_cache(maxsize=32)
def load(override: str = "") -> Profile:
    """The default with ``override``, a JSON object or nothing, over it. Raises ValueError."""
    members = json.loads(DEFAULT_FILE.read_text())
    if override.strip():
        try:
            over = json.loads(override, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ValueError("profile is no JSON") from None
        if not isinstance(over, dict):
            raise ValueError("profile is a JSON object, to be merged over the default")
        members = _merged(members, over, "")
    try:
        return Profile(members)
    except (TypeError, KeyError, AttributeError):
        raise ValueError("profile: a member that was added is of the wrong kind") from None


def find(members: Any, path: str) -> Any:
    """The value at a dotted path. Raises KeyError."""
    for step in path.split("."):
        if not isinstance(members, Mapping):
            raise KeyError(path)
        members = members[step]
    return members


def placed(value: Any, path: str) -> Any:
    """A message that holds ``value`` at a dotted path and nothing else."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return value


# -------------------------------------------------------------------------------------------------------------- merging


def _merged(default: Mapping[str, Any], over: Mapping[str, Any], where: str) -> dict[str, Any]:
    result = dict(default)
    for name, value in over.items():
        path = f"{where}.{name}" if where else name
        old = default.get(name, _MISSING)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[name] = _merged(old, value, path)
        elif _may_replace(old, value, path):
            result[name] = value
        else:
            raise ValueError(f"profile: {path} is of another kind than what it replaces")
    return result


def _may_replace(old: Any, value: Any, path: str) -> bool:
    if old is _MISSING or old is None:
        return True
    if path.startswith("fields."):
        return isinstance(old, str | list) and isinstance(value, str | list)
    if value is None:
        return not isinstance(old, Mapping | list)
    return type(old) is type(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# ------------------------------------------------------------------------------------------------------------ coherence


def _check(profile: Profile) -> None:
    for name, endpoint in profile["endpoints"].items():
        path = endpoint.get("path")
        if not (isinstance(path, str) and path.startswith("/") and path.isascii() and path.isprintable()):
            raise ValueError(f"profile: endpoints.{name}.path begins with a slash")
        if not isinstance(endpoint.get("method"), str) or not isinstance(endpoint.get("auth"), bool):
            raise ValueError(f"profile: endpoints.{name} has a method and says whether it needs the token")
    for field, paths in _leaves(profile["fields"], ""):
        places = [paths] if isinstance(paths, str) else paths
        if not isinstance(places, list) or not places or not all(isinstance(one, str) and one for one in places):
            raise ValueError(f"profile: fields.{field} is one path or a list of paths")
        if field.endswith("status") and len(places) > 1:
            raise ValueError(f"profile: fields.{field} has exactly one path, or one state could be read for another")
    for table, known in (("payment", PAYMENT_STATES), ("refund", REFUND_STATES), ("tracking", TRACKING_STATES)):
        if not set(map(str, profile[f"status.{table}"].values())) <= known:
            raise ValueError(f"profile: status.{table} leads to: {', '.join(sorted(known))}")
    if not set(profile["status.tracking"].values()) >= TRACKING_STATES:
        raise ValueError("profile: status.tracking has a word for each state")
    if profile["status.unknownPayment"] != "pending":
        raise ValueError("profile: status.unknownPayment is pending: an unknown word ends nothing")
    if profile["secondInquiryRole"] not in SECOND_INQUIRY_ROLES:
        raise ValueError(f"profile: secondInquiryRole is one of {', '.join(sorted(SECOND_INQUIRY_ROLES))}")
    if profile["auth.expiresInUnit"] not in LIFETIME_UNITS:
        raise ValueError(f"profile: auth.expiresInUnit is one of {', '.join(LIFETIME_UNITS)}")
    if profile["auth.requestSigning"] is not None:
        raise ValueError("profile: auth.requestSigning is null: signed requests are not built")
    if profile["tracking.batchLimit"] < 1:
        raise ValueError("profile: tracking.batchLimit is at least 1")
    if not profile["webhook.requireSignature"] and not profile["webhook.confirmByInquiry"]:
        raise ValueError("profile: webhook.requireSignature may be off only while webhook.confirmByInquiry is on")
    for path in ("variants", "methods", "tracking.patch", "webhook.presets"):
        for name, member in profile[path].items():
            if not isinstance(member, Mapping):
                raise ValueError(f"profile: {path}.{name} is an object")
    for name, variant in profile["variants"].items():
        if not isinstance(variant.get("sessionExtraRequired"), list):
            raise ValueError(f"profile: variants.{name} has a list sessionExtraRequired")
    for name in BOUNDS:
        bounds = profile["validation"][name]
        if [type(one) for one in bounds] != [int, int] or bounds[0] > bounds[1]:
            raise ValueError(f"profile: validation.{name} is a least and a most")
    if not set(map(str, profile["webhook.eventTypes"].values())) <= {"payment", "refund"}:
        raise ValueError("profile: webhook.eventTypes leads to: payment, refund")
    for name in profile["webhook.presets"]:
        profile.scheme(name)
    profile.scheme()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{path}.{name}" if path else name)


def _scheme(where: str, said: Mapping[str, Any]) -> Scheme:
    def one_of(name: str, known: Any, default: str = "") -> Any:
        value = said.get(name, default)
        if value not in known:
            raise ValueError(f"profile: {where}.{name} is one of {', '.join(sorted(known))}")
        return value

    timed_by = said.get("timestampSource")
    scheme = Scheme(
        algorithm=one_of("algo", ALGORITHMS),
        parts=_parts(where, said.get("template")),
        encoding=one_of("encoding", ENCODINGS),
        source=_source(f"{where}.source", said.get("source")),
        timestamp_source=_source(f"{where}.timestampSource", timed_by) if timed_by else "",
        timestamp_unit=TIMESTAMP_UNITS[one_of("timestampUnit", TIMESTAMP_UNITS, "ms")],
        tolerance=said.get("toleranceSeconds", 0),
        sorted_root=said.get("sortedRoot") or "",
        key_source=one_of("keySource", KEY_SOURCES),
    )
    if type(scheme.tolerance) is not int or scheme.tolerance < 0:
        raise ValueError(f"profile: {where}.toleranceSeconds is a whole number")
    if not isinstance(scheme.sorted_root, str):
        raise ValueError(f"profile: {where}.sortedRoot is a path")
    if (scheme.tolerance or "timestamp" in scheme.names) and not scheme.timestamp_source:
        raise ValueError(f"profile: {where}.timestampSource says where the time stands")
    if scheme.algorithm == "sha256" and "secret" not in scheme.names:
        raise ValueError(f"profile: {where}.template has no secret, so anybody could sign")
    if not scheme.names & {"body", "sorted"}:
        raise ValueError(f"profile: {where}.template covers nothing of the message")
    if "body" in scheme.names and scheme.source.startswith("body:"):
        raise ValueError(f"profile: {where}: a digest cannot cover the body that it stands in")
    return scheme


def _parts(where: str, template: Any) -> tuple[str, ...]:
    """``"{timestamp}.{body}"`` as text and names in turn."""
    pieces: list[str] = []
    rest = template if isinstance(template, str) else ""
    while "{" in rest:
        text, _, rest = rest.partition("{")
        name, closed, rest = rest.partition("}")
        if not closed or name not in PARTS:
            raise ValueError(f"profile: {where}.template has the parts {', '.join(sorted(PARTS))}")
        pieces += [text, name]
    return (*pieces, rest)


def _source(where: str, said: Any) -> str:
    kind, _, name = said.partition(":") if isinstance(said, str) else ("", "", "")
    if kind not in {"header", "body"} or not name:
        raise ValueError(f"profile: {where} is header:<name> or body:<path>")
    return str(said)
