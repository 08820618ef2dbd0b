"""What they say: envelopes, payments, refunds, parcels and events, read through the profile.

Whatever arrives ends here in a report or in a defined error: wrong types are nothing said, and money that cannot be
read is no usable answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from providers.contract import (
    CardFacts,
    Decline,
    DeclineCategory,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PostForm,
    Redirect,
    ShowQr,
    Status,
    Step,
    ThreeDSFacts,
    TrackingReport,
    TrackingRequest,
    Unreachable,
    Wait,
)
from providers.http import HttpAnswer
from providers.money import Money, MoneyError
from providers.storesquare import mapping
from providers.storesquare.profile import LIFETIME_UNITS, Profile, find
from providers.storesquare.tokens import Token

logger = logging.getLogger(__name__)

LONGEST_TEXT, LONGEST_LINK = 200, 4096


class Message:
    """A JSON value and a profile that says where its facts stand. Shows nothing: it may hold a token."""

    def __init__(self, profile: Profile, value: Any) -> None:
        self.profile = profile
        self.value = value

    def __repr__(self) -> str:
        return "<Message>"

    def at(self, *paths: str) -> Any:
        """The first of these places that says anything, or None."""
        for path in paths:
            try:
                value = find(self.value, path)
            except KeyError:
                continue
            if value is not None:
                return value
        return None

    def inside(self, path: str) -> Message:
        """What stands at this place, as a message of its own."""
        return Message(self.profile, self.at(path))

    def text(self, *paths: str, longest: int = LONGEST_TEXT) -> str:
        return text_of(self.at(*paths), longest=longest)

    def fact(self, field: str, *, longest: int = LONGEST_TEXT) -> str:
        """A fact by its name in the profile, e.g. ``payment.tradeNo``."""
        return self.text(*self.profile.paths(field), longest=longest)

    def money(self, field: str, currency: str) -> Money | None:
        """Raises OutcomeUnknown for an amount that is there but makes no sense."""
        said = self.at(*self.profile.paths(field))
        if said is None or said == "":
            return None
        try:
            return Money.from_decimal(text_of(said), currency)
        except MoneyError:
            raise OutcomeUnknown("an amount that cannot be read", code="amount_unreadable") from None


@dataclass(frozen=True, repr=False)
class Answer:
    """An opened envelope: what kind of word its code is, and the whole message."""

    kind: str
    """``ok`` or a kind of ``errors`` in the profile."""
    code: str
    message: Message

    @property
    def is_ok(self) -> bool:
        return self.kind == "ok"

    @property
    def field(self) -> str:
        """The field of ours that they find fault with, if they name one."""
        return self.message.text(self.message.profile["envelope.errorField"])


def refuses_token(http: HttpAnswer, profile: Profile) -> bool:
    """Whether a call was refused because of its access token."""
    if http.status == 401:
        return True
    try:
        code = Message(profile, http.json(parse_float=Decimal)).text(profile["envelope.code"])
    except OutcomeUnknown:
        return False
    return http.status < 500 and code in profile.expired_codes


def opened(http: HttpAnswer, profile: Profile) -> Answer:
    """The envelope's verdict. Raises OutcomeUnknown for one that says nothing, Unreachable for "ask later"."""
    if not 200 <= http.status < 300 and not 400 <= http.status < 500:
        raise OutcomeUnknown("no usable answer", code=f"http_{http.status}")
    message = Message(profile, http.json(parse_float=Decimal))
    if not isinstance(message.value, Mapping):
        raise OutcomeUnknown("the answer is no message", code="unreadable")
    well = http.status < 300
    said = message.at(profile["envelope.code"])
    code = text_of(said)
    if said is not None and not code:
        raise OutcomeUnknown("the answer's code cannot be read", code="unreadable")
    if well and (said is None or code in profile.success_codes):
        return Answer("ok", code, message)
    kind = profile.kinds.get(code)
    if kind == "rateLimit":
        raise Unreachable("they ask to come back later", code=code)
    if kind is None or kind == "system":
        raise OutcomeUnknown("they do not say what became of it", code=code[:60] or f"http_{http.status}")
    return Answer(kind, code, message)


def token(answer: Answer) -> Token:
    """The access token of an answer. Raises Unreachable when there is none, for then nothing else was sent."""
    message, profile = answer.message, answer.message.profile
    value = message.at(*profile.paths_of("auth.tokenPath"))
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise Unreachable("no access token was given", code="no_token")
    lifetime = message.text(*profile.paths_of("auth.expiresInPath"), longest=12)
    seconds = float(profile["auth.defaultLifetime"])
    if lifetime.isascii() and lifetime.isdigit() and int(lifetime):
        seconds = int(lifetime) * LIFETIME_UNITS[profile["auth.expiresInUnit"]]
    return Token(value, time.time() + seconds - profile["auth.leeway"])


# ------------------------------------------------------------------------------------------------------------- payments


class Payment:
    """One payment as an answer or an event shows it."""

    def __init__(self, message: Message, about: PaymentRef | None = None) -> None:
        """``about`` is what we asked for, if we did. Raises OutcomeUnknown when the message does not show it."""
        self.message = message
        self.reference = message.fact("payment.orderNo")
        self.provider_reference = message.fact("payment.tradeNo", longest=100)
        self.word = message.fact("payment.status")
        if not self.word:
            raise OutcomeUnknown("the answer shows no payment", code="unreadable")
        if about and self.reference != about.reference:
            raise OutcomeUnknown("they answered about something else", code="other_order")
        state = message.profile.payment_state(self.word)
        if state is None:
            logger.warning("storesquare_state_unknown order=%s trade=%s", self.reference, self.provider_reference)
        self.state = state or str(message.profile["status.unknownPayment"])
        self.currency = message.fact("payment.currency") or (about.amount.currency if about else "")
        self.is_manual = (message.fact("payment.captureMethod") or (about.capture if about else "")) == "manual"

    def __repr__(self) -> str:
        return "<Payment>"

    @property
    def amount(self) -> Money | None:
        return self.message.money("payment.amount", self.currency)

    @property
    def captured(self) -> int | None:
        """What was taken, as far as they say or leave no doubt."""
        said = self.message.money("payment.capturedAmount", self.currency)
        if said is None and self.state in mapping.TAKEN and not self.is_manual:
            said = self.amount
        return said.minor if said else None

    @property
    def refunded(self) -> int | None:
        said = self.message.money("payment.refundedAmount", self.currency)
        if said is None and self.state == "refunded":
            return self.captured
        return said.minor if said else None

    @property
    def decline(self) -> Decline | None:
        category = mapping.DECLINE_OF_STATE.get(self.state)
        if category is None:
            return None
        code = self.message.fact("payment.failCode", longest=60)
        return decline_of(code, self.message.profile, otherwise=category)

    def report(self) -> PaymentReport:
        """All that it says. Raises OutcomeUnknown when its money cannot be read."""
        amount, captured, refunded = self.amount, self.captured, self.refunded
        if self.state in mapping.TAKEN and captured is None:
            raise OutcomeUnknown("taken, but how much is not said", code="no_amount")
        if self.state == "authorized" and not amount:
            raise OutcomeUnknown("held, but how much is not said", code="no_amount")
        if (
            (self.state in mapping.TAKEN and not captured)
            or (self.state in mapping.TAKEN - {"captured"} and refunded == 0)
            or (refunded or 0) > (captured or 0)
        ):
            return PaymentReport(**self._about(), amount=amount, review="contradictory")
        status = mapping.STATUS_OF_STATE[self.state]
        held = amount.minor if amount and (self.is_manual or status is Status.AUTHORISED) else captured
        rest = (held or 0) - (captured or 0)
        return PaymentReport(
            **self._about(),
            status=status,
            amount=amount,
            authorised=held if captured or status is Status.AUTHORISED else None,
            captured=captured,
            refunded=refunded,
            # One capture is all there is: what it leaves of a hold is let go at once.
            released=rest if captured and rest > 0 and self.message.profile["rules.captures"] == 1 else None,
            decline=self.decline,
            card=self._card(),
            three_ds=self._three_ds(),
            token=self.message.fact("payment.transactionIdentifier"),
            awaits_shopper=self.state == "created",
        )

    def _about(self) -> dict[str, Any]:
        return {"reference": self.reference, "provider_reference": self.provider_reference, "raw": self.raw()}

    def raw(self) -> dict[str, str]:
        """What is harmless and of use at the desk."""
        names = ("orderNo", "tradeNo", "status", "method", "captureMethod", "amount", "currency")
        more = ("capturedAmount", "refundedAmount", "failCode", "createTime", "payTime", "expireTime")
        said = {name: self.message.fact(f"payment.{name}") for name in (*names, *more)}
        return {name: text for name, text in said.items() if text}

    def refund(self, number: str) -> Message | None:
        """The refund of this number among those it shows.

        Raises OutcomeUnknown when it may be there and cannot be seen: something in the list is no refund, or more was
        given back than the list tells of.
        """
        rows = self.message.at(*self.message.profile.paths("payment.refunds"))
        if not isinstance(rows, list | None):
            raise OutcomeUnknown("the refunds cannot be read", code="unreadable")
        refunds = [Message(self.message.profile, row) for row in rows or ()]
        found = next((one for one in refunds if one.fact("refund.refundNumber") == number), None)
        if found is None:
            shortest, _ = self.message.profile["validation.refundNumber"]
            if any(len(one.fact("refund.refundNumber")) < shortest for one in refunds):
                raise OutcomeUnknown("a refund without a number", code="unreadable")
            if (self.refunded or 0) > sum(map(self._given_back, refunds)):
                raise OutcomeUnknown("more was given back than is listed", code="refunds_incomplete")
        return found

    def _given_back(self, refund: Message) -> int:
        has_succeeded = refund.profile.refund_state(refund.fact("refund.status")) == "succeeded"
        amount = refund.money("refund.amount", self.currency)
        return amount.minor if amount and has_succeeded else 0

    def _card(self) -> CardFacts | None:
        masked = self.message.fact("payment.card.masked")
        facts = CardFacts(
            brand=self.message.fact("payment.card.brand", longest=30).lower(),
            first6=masked[:6] if masked[:6].isdigit() and len(masked) >= 10 and not masked.isdigit() else "",
            last4=masked[-4:] if masked[-4:].isdigit() and len(masked) >= 4 else "",
            expiry_month=_whole(self.message.fact("payment.card.expiryMonth"), 1, 12),
            expiry_year=_whole(self.message.fact("payment.card.expiryYear"), 2000, 2100),
        )
        return facts if facts != CardFacts() else None

    def _three_ds(self) -> ThreeDSFacts | None:
        result, flow = self.message.fact("payment.threeDs.result"), self.message.fact("payment.threeDs.flow")
        facts = ThreeDSFacts(
            eci=self.message.fact("payment.threeDs.eci", longest=2),
            version=self.message.fact("payment.threeDs.version", longest=10),
            status=result if result in mapping.THREE_DS_RESULTS else "",
            flow=flow if flow in mapping.THREE_DS_FLOWS else "",
        )
        return facts if facts != ThreeDSFacts() else None


def decline_of(code: str, profile: Profile, *, otherwise: DeclineCategory) -> Decline:
    """Our category for their code; a code that nobody knows is a plain no."""
    word = profile["errors.decline"].get(code, "")
    return Decline(mapping.DECLINES.get(word, otherwise), code)


def shown_step(message: Message) -> Step | str:
    """What the shopper does next, or the word for a step that a web page cannot show."""

    def said(name: str, *, longest: int = LONGEST_LINK) -> str:
        return message.fact(f"payment.nextAction.{name}", longest=longest)

    kind, url, code = said("type"), said("url"), said("qrCode")
    if kind == mapping.SDK:
        return mapping.SDK
    if code and kind in {"", mapping.QR_CODE}:
        return _qr(message, code)
    if url and kind in {"", mapping.REDIRECT, mapping.QR_CODE}:
        form = message.at(*message.profile.paths("payment.nextAction.form"))
        if said("method").upper() == mapping.POST:
            fields = form.items() if isinstance(form, Mapping) else ()
            return PostForm(url, {name: text_of(value, longest=LONGEST_LINK) for name, value in fields})
        return Redirect(url)
    return Wait()


def session_url(message: Message) -> str:
    """Where a hosted session goes on. Raises OutcomeUnknown when they made one that nobody can reach."""
    url = message.fact("session.url", longest=LONGEST_LINK)
    if not url.startswith(("https://", "http://")):
        raise OutcomeUnknown("a session without an address", code="no_url")
    return url


def _qr(message: Message, code: str) -> Step | str:
    if code.startswith(mapping.IMAGE_DATA):
        return "qr_image"
    is_link = code.startswith(("http://", "https://"))
    if is_link and code.partition("?")[0].lower().endswith(mapping.IMAGE_SUFFIXES):
        return Redirect(code)
    return ShowQr(code, seconds=_seconds_left(message))


def _seconds_left(message: Message) -> int | None:
    """From their clock alone when they tell both times: it may differ from ours."""
    until, since = _moment(message.fact("payment.expireTime")), _moment(message.fact("payment.createTime"))
    if until is None:
        return None
    left = until - since if since else until - datetime.now(until.tzinfo)
    return max(0, int(min(left, timedelta(days=7)).total_seconds()))


# ----------------------------------------------------------------------------------------------------------- operations


def refund_report(request: OperationRequest, refund: Message) -> OperationReport:
    """One refund as they show it. Raises OutcomeUnknown when it is not ours or its money cannot be read."""
    if refund.fact("refund.refundNumber") != request.reference:
        raise OutcomeUnknown("they answered about something else", code="other_refund")
    word = refund.fact("refund.status")
    state = refund.profile.refund_state(word)
    if state is None:
        logger.warning("storesquare_refund_state_unknown refund=%s", request.reference)
    status = mapping.REFUND_OF_STATE.get(state or "", OperationStatus.PENDING)
    currency = refund.fact("refund.currency") or request.amount.currency
    failed = status is OperationStatus.FAILED
    names = ("refundNumber", "refundTradeNo", "orderNo", "amount", "currency", "status", "failCode", "refundTime")
    said = {name: refund.fact(f"refund.{name}") for name in names}
    return request.report(
        status,
        provider_reference=refund.fact("refund.refundTradeNo", longest=100),
        amount=refund.money("refund.amount", currency),
        error_code=(refund.fact("refund.failCode", longest=60) or "failed") if failed else "",
        raw={name: text for name, text in said.items() if text},
    )


def parcel_status(message: Message) -> str:
    """The state of the parcel in an answer; empty when it says none that we know."""
    place = f"{message.profile['fields.tracking.root']}.{message.profile['fields.tracking.status']}"
    return message.profile.tracking_state(message.text(place)) or ""


def shows_parcel(message: Message, facts: Mapping[str, str]) -> bool:
    """Whether the parcel in an answer has all of these."""
    root = message.profile["fields.tracking.root"]
    return all(message.text(f"{root}.{name}").lower() == value.lower() for name, value in facts.items())


def batch_reports(message: Message, requests: list[TrackingRequest]) -> dict[str, TrackingReport]:
    """What a batch came to, by our reference. A parcel that they do not mention is left open."""
    done = {_parcel(row) for row in _rows(message, "batchSuccess")}
    failed = {_parcel(row): row.text("code", longest=60) or "failed" for row in _rows(message, "batchFailed")}
    reports = {}
    for one in requests:
        parcel = (one.payment.reference, one.number)
        raw = {"orderNo": parcel[0], "trackingNo": parcel[1]}
        if parcel in done and parcel not in failed:
            status, code = OperationStatus.SUCCEEDED, ""
        elif parcel in failed and parcel not in done:
            status, code = OperationStatus.FAILED, failed[parcel]
        else:
            status, code = OperationStatus.PENDING, "not_answered"
        reports[one.reference] = one.report(status, error_code=code, raw=raw)
    return reports


def _rows(message: Message, name: str) -> list[Message]:
    rows = message.at(message.profile[f"fields.tracking.{name}"])
    return [Message(message.profile, row) for row in rows] if isinstance(rows, list) else []


def _parcel(row: Message) -> tuple[str, str]:
    return row.text("orderNo"), row.text("trackingNo")


# -------------------------------------------------------------------------------------------------------- small readers


def text_of(value: Any, *, longest: int = LONGEST_TEXT) -> str:
    """A plain value as visible text; nothing for anything else, and for what is too long to be meant."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    text = str(value)
    return text if len(text) <= longest and text.isprintable() else ""


def _whole(text: str, least: int, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and least <= int(text) <= most else None


def _moment(text: str) -> datetime | None:
    """A time with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
