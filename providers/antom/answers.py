"""What Antom says, in our words: answers to our calls and notifications, which are shaped alike.

Everything here has a verified signature behind it, and is still read with care: the small readers at the end take what
has the right type and shape and leave the rest. An amount or an id that makes no sense makes the whole answer none.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from providers.antom import mapping
from providers.antom.mapping import Action
from providers.contract import (
    Capability,
    CardFacts,
    Decline,
    DeclineCategory,
    Delivery,
    DisputeReport,
    DisputeStatus,
    Hint,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    PostForm,
    ProviderError,
    Redirect,
    RefundReport,
    Rejected,
    Report,
    Started,
    Status,
    Step,
    ThreeDSFacts,
    Wait,
)
from providers.money import Money, MoneyError

logger = logging.getLogger(__name__)

Fields = Mapping[str, Any]

ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
CODE = re.compile(r"[A-Z0-9_]{1,64}", re.ASCII)
SHORT = re.compile(r"[ -~]{1,64}")
LONG = re.compile(r"[!-~]{1,2048}")
DIGITS = re.compile(r"\d{1,16}", re.ASCII)
LAST_FOUR = re.compile(r".*?(\d{4})", re.ASCII)
URL = re.compile(r"https?://[!-~]{1,2040}")
CHECK = re.compile(r"[!-~]{1,4}")
COUNTRY, LETTER, FINGERPRINT = re.compile(r"[A-Z]{2}"), re.compile(r"[A-Z]"), re.compile(r"[!-~]{1,256}")


@dataclass(frozen=True)
class Answer:
    """What Antom said to one call: its verdict, and all the rest."""

    status: str
    """``S``, ``F`` or ``U``."""
    code: str
    fields: Fields = field(repr=False)

    def unusable(self) -> ProviderError:
        """The error for an inquiry that was not answered: it says nothing about what it asked for."""
        if self.status == "F" and self.code in mapping.REFUSED_REQUESTS:
            return Rejected("Antom does not accept this request", code=self.code)
        return OutcomeUnknown("Antom has no answer now", code=self.code)


def opened(fields: Any) -> Answer:
    """The envelope of every answer. Raises OutcomeUnknown when it is none."""
    result = _object(fields, "result") if isinstance(fields, dict) else {}
    status, code = text(result, "resultStatus", CODE), text(result, "resultCode", CODE)
    if status not in {"S", "F", "U"} or not code:
        raise OutcomeUnknown("the answer has no result", code="unreadable")
    return Answer(status, code, fields)


# -------------------------------------------------------------------------------------------------------------- paying


def started(answer: Answer, request: PaymentRequest) -> Started:
    """The answer to ``pay``: authorised, declined, a page to go to, or under way. Raises OutcomeUnknown, Rejected.

    A page for a shopper who is away is a failure, and so it is reported: what Antom still has open has to be cancelled.
    """
    if answer.status == "F":
        return _refused(answer, request)
    if answer.status == "S" or answer.code == mapping.IN_PROCESS:
        _about(answer.fields, request.reference)
    facts = _payment_facts(answer.fields, request.reference) | _external(request)
    if answer.status == "S":
        if not facts["provider_reference"]:  # without it, nothing could be done with the money
            raise OutcomeUnknown("authorised, but under what id is not said", code="no_payment_id")
        return Started(_authorised(answer.fields, facts, request.amount), Wait())
    step = _step(answer.fields)
    if answer.code != mapping.IN_PROCESS or not (step or facts["provider_reference"]):
        raise OutcomeUnknown("Antom may have made this payment", code=answer.code)
    if step and request.shopper_is_away:
        why = Decline(DeclineCategory.AUTHENTICATION_REQUIRED, "shopper_is_away")
        return Started(PaymentReport(**facts, status=Status.FAILED, decline=why), Wait())
    return Started(PaymentReport(**facts, status=Status.PENDING), step or Wait())


def opened_page(answer: Answer, request: PaymentRequest) -> Started:
    """The answer to ``createPaymentSession``. There is no payment, and no id of it, before the shopper submits one."""
    if answer.status == "F":
        return _refused(answer, request)
    step = _step(answer.fields)
    if answer.status != "S" or step is None:
        raise OutcomeUnknown("Antom's answer leads to no page", code=answer.code)
    report = PaymentReport(reference=request.reference, status=Status.PENDING, raw=kept(answer.fields))
    return Started(report, step)


def _refused(answer: Answer, request: PaymentRequest) -> Started:
    """A no. Where a payment was made and declined it has an id; a mistake of ours makes none."""
    meaning, theirs = mapping.meaning(answer.code), text(answer.fields, "paymentId", ID)
    if meaning.action is Action.ASK:
        raise OutcomeUnknown("this reference is known already", code=answer.code)
    has_card = bool(request.card or request.stored)
    if meaning.action is Action.CFG and not theirs:
        raise Rejected("Antom does not accept this request", code=answer.code)
    if answer.code == mapping.NEEDS_PAYMENT_DATA and not has_card:
        raise Rejected("Antom does not accept this request", code=answer.code)
    if meaning.action is Action.CFG:
        logger.error("antom_declined_by_configuration reference=%s code=%s", request.reference, answer.code)
    facts = _payment_facts(answer.fields, request.reference)
    return Started(PaymentReport(**facts, status=Status.FAILED, decline=_decline(answer.code)), Wait())


def _step(fields: Fields) -> Step | None:
    """Where the shopper goes next. A form is only worth posting when Antom asks for that."""
    form, url = _object(fields, "redirectActionForm"), text(fields, "normalUrl", URL)
    action = text(form, "redirectUrl", URL)
    if action and text(form, "method", CODE) == "POST":
        parameters = _parameters(form.get("parameters"))
        if parameters or not url:
            return PostForm(action, parameters)
    url = url or action
    return Redirect(url) if url else None


def _parameters(told: Any) -> dict[str, str]:
    """``parameters`` of a form: an object, the text of one, or pairs as in a query."""
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            told = dict(parse_qsl(told, keep_blank_values=True, max_num_fields=100)) if told.count("&") < 100 else {}
    if not isinstance(told, dict):
        return {}
    return {str(name): str(value) for name, value in told.items() if isinstance(value, str | int)}


# ----------------------------------------------------------------------------------------------------------- the truth


def inquired(answer: Answer, payment: PaymentRef) -> PaymentReport:
    """The answer to ``inquiryPayment``. Raises OutcomeUnknown when its money cannot be read."""
    fields = answer.fields
    _about(fields, payment.reference)
    word, code = text(fields, "paymentStatus", CODE), text(fields, "paymentResultCode", CODE)
    status = mapping.PAYMENT_STATES.get(word)
    if status is None:
        logger.warning("antom_status_unknown reference=%s status=%s", payment.reference, word)
    moved = list(_movements(fields))
    captured = sum(one.amount for one in moved if one.kind == "CAPTURE" and one.word == mapping.DONE)
    refunded = sum(one.amount for one in moved if one.kind == "REFUND" and one.word == mapping.DONE)
    facts = _payment_facts(fields, payment.reference, with_token=True) | {"refunded": refunded or None}
    if captured:
        return _captured(facts, captured, moved, word)
    if status is Status.AUTHORISED:
        report = _authorised(fields, facts, None)
        captures = {one.word for one in moved if one.kind == "CAPTURE"}
        if payment.capture == "automatic" and captures and captures <= mapping.ENDED_WITHOUT_MONEY:
            return _reviewed(report, "capture_failed")
        return report
    if status is Status.FAILED:
        return PaymentReport(**facts, status=mapping.ENDINGS.get(code, status), decline=_decline(code))
    decline = Decline(DeclineCategory.ABANDONED) if status is Status.CANCELLED else None
    return PaymentReport(**facts, status=status or Status.PENDING, decline=decline)


def unknown(payment: PaymentRef, answer: Answer) -> PaymentReport:
    """Antom knows no such payment; of a checkout page, it knows none before the shopper has submitted one."""
    raw = kept(answer.fields)
    if payment.method != mapping.CASHIER_METHOD or payment.provider_reference or payment.created_at is None:
        return PaymentReport(reference=payment.reference, absent=True, raw=raw)
    lives_until = payment.created_at + timedelta(seconds=mapping.SESSION_SECONDS[1] + mapping.SETTLING_SECONDS)
    if datetime.now(UTC) < lives_until:
        return PaymentReport(reference=payment.reference, status=Status.PENDING, awaits_shopper=True, raw=raw)
    why = Decline(DeclineCategory.ABANDONED)
    return PaymentReport(reference=payment.reference, status=Status.EXPIRED, decline=why, raw=raw)


def _authorised(fields: Fields, facts: dict[str, Any], ours: Money | None) -> PaymentReport:
    """A hold, unless Antom still looks at it. In automatic mode, too: the capture is a further step.

    Raises OutcomeUnknown when nobody says how much is held; ``ours`` is what was asked for.
    """
    verdict = text(fields, "authReviewStatus", CODE)
    if verdict == mapping.REVIEW_PENDING:
        return PaymentReport(**facts, status=Status.PENDING)
    amount = facts["amount"] or ours
    if amount is None or not amount.minor:
        raise OutcomeUnknown("authorised, but how much is not said", code="no_amount")
    report = PaymentReport(**facts, status=Status.AUTHORISED, authorised=amount.minor)
    return _reviewed(report, "auth_review_rejected") if verdict == mapping.REVIEW_REJECTED else report


def _captured(facts: dict[str, Any], captured: int, moved: list[Movement], word: str) -> PaymentReport:
    """Money that was taken, whatever else is said. What a last capture leaves of the hold is let go."""
    amount: Money | None = facts["amount"]
    if amount is None:
        raise OutcomeUnknown("captured, but of how much is not said", code="no_amount")
    captures = [one for one in moved if one.kind == "CAPTURE"]
    settled = all(one.word == mapping.DONE or one.word in mapping.ENDED_WITHOUT_MONEY for one in captures)
    last = any(one.is_last for one in captures if one.word == mapping.DONE)
    is_over = settled and (last or word == "CANCELLED")
    report = PaymentReport(
        **facts,
        status=Status.CAPTURED,
        authorised=amount.minor,
        captured=captured,
        released=max(0, amount.minor - captured) or None if is_over else None,
    )
    return _reviewed(report, "contradictory") if word == "FAIL" else report


def _reviewed(report: PaymentReport, why: str) -> PaymentReport:
    logger.warning("antom_needs_a_person reference=%s why=%s", report.reference, why)
    return replace(report, review=why)


@dataclass(frozen=True)
class Movement:
    """One capture or refund as an inquiry lists it."""

    kind: str
    word: str
    reference: str
    provider_reference: str
    amount: int
    is_last: bool


def _movements(fields: Fields) -> Iterator[Movement]:
    """Each one once. Raises OutcomeUnknown for a list, or an amount that moved, that cannot be read."""
    rows = fields.get("transactions")
    rows = [] if rows is None else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OutcomeUnknown("transactions that cannot be read", code="unreadable")
    total = money(fields, "paymentAmount")
    seen: set[tuple[str, str]] = set()
    for row in rows:
        kind, word = text(row, "transactionType", CODE), text(row, "transactionStatus", CODE)
        amount = money(row, "transactionAmount")
        if not kind:
            raise OutcomeUnknown("a transaction of no type", code="unreadable")
        if word == mapping.DONE and (amount is None or (total and amount.currency != total.currency)):
            raise OutcomeUnknown("money moved, but how much is not said", code="no_amount")
        if word not in {mapping.DONE, *mapping.ENDED_WITHOUT_MONEY, *mapping.UNDER_WAY}:
            logger.warning("antom_transaction_status_unknown type=%s status=%s", kind, word)
        one = Movement(
            kind,
            word,
            text(row, "transactionRequestId", ID),
            text(row, "transactionId", ID),
            amount.minor if amount else 0,
            mapping.CAPTURES_ARE_FINAL and text(row, "captureType", CODE) != "NON_FINAL",
        )
        name = (kind, one.provider_reference or one.reference)
        if kind in {"CAPTURE", "REFUND"} and not (name[1] and name in seen):
            seen.add(name)
            yield one


# ---------------------------------------------------------------------------------------------------------- operations


def operated(answer: Answer, request: OperationRequest, kind: str) -> OperationReport:
    """The answer to a capture or a refund (``kind``) that is no refusal. Raises OutcomeUnknown."""
    done = answer.status == "S"
    if not done and answer.code not in {mapping.CAPTURE_IN_PROCESS, mapping.REFUND_IN_PROCESS}:
        raise OutcomeUnknown("Antom may have done it", code=answer.code)
    name = f"{kind}RequestId"
    if done or name in answer.fields:
        _about(answer.fields, request.reference, name=name)
    return request.report(
        OperationStatus.SUCCEEDED if done else OperationStatus.PENDING,
        provider_reference=text(answer.fields, f"{kind}Id", ID),
        amount=money(answer.fields, f"{kind}Amount") if done else None,
        raw=kept(answer.fields),
    )


def cancelled(answer: Answer, request: OperationRequest) -> OperationReport:
    """The answer to a cancellation that is no refusal. Raises OutcomeUnknown."""
    if answer.status != "S":
        raise OutcomeUnknown("Antom may have cancelled it", code=answer.code)
    _about(answer.fields, request.payment.reference)
    return request.report(OperationStatus.SUCCEEDED, raw=kept(answer.fields))


def capture_among(answer: Answer, request: OperationRequest) -> OperationReport | None:
    """What an inquiry says of this very capture; None when it knows none, or one that took nothing."""
    _about(answer.fields, request.payment.reference)
    captures = [one for one in _movements(answer.fields) if one.kind == "CAPTURE"]
    if not all(one.reference for one in captures):
        raise OutcomeUnknown("a capture of no name, which may be this one", code="unreadable")
    mine = [one for one in captures if one.reference == request.reference]
    if not mine or mine[0].word in mapping.ENDED_WITHOUT_MONEY:
        return None
    done = mine[0].word == mapping.DONE
    return request.report(
        OperationStatus.SUCCEEDED if done else OperationStatus.PENDING,
        provider_reference=mine[0].provider_reference,
        amount=Money(mine[0].amount, request.amount.currency) if done else None,
        raw=kept(answer.fields),
    )


def inquired_refund(answer: Answer, request: OperationRequest) -> RefundReport:
    """The answer to ``inquiryRefund``. Raises OutcomeUnknown when it is about another, or its money unreadable."""
    _about(answer.fields, request.reference, name="refundRequestId")
    return request.report(**_refund_facts(answer.fields, money(answer.fields, "refundAmount")))


def _refund_facts(fields: Fields, amount: Money | None) -> dict[str, Any]:
    word = text(fields, "refundStatus", CODE)
    status = mapping.REFUND_STATES.get(word)
    if status is None:
        logger.warning("antom_refund_status_unknown refund=%s status=%s", text(fields, "refundId", ID), word)
    failed = status is OperationStatus.FAILED
    code = text(_object(fields, "result"), "resultCode", CODE)
    return {
        "provider_reference": text(fields, "refundId", ID),
        "status": status or OperationStatus.PENDING,
        "amount": amount,
        "error_code": (code if code != "SUCCESS" else word) if failed else "",
        "raw": kept(fields),
    }


# ------------------------------------------------------------------------------------------------------- notifications


def notified(fields: Fields, delivery: Delivery) -> list[Report]:
    """What a verified notification says. What cannot be read, or is not known, is at most a hint."""
    kind = text(fields, "notifyType", CODE)
    try:
        if kind in {mapping.PAYMENT_RESULT, mapping.PAYMENT_PENDING}:
            return [_payment_notice(fields, is_pending=kind == mapping.PAYMENT_PENDING)]
        if kind == mapping.REFUND_RESULT:
            return [_refund_notice(fields)]
    except OutcomeUnknown as error:
        return _hints(fields, error.code)
    if kind == mapping.CAPTURE_RESULT:
        # It names one capture, perhaps one that nobody asked for, and neither the payment's amount nor its currency:
        # only the totals of an inquiry settle both a capture of ours and an automatic one.
        return _hints(fields, "capture")
    if "disputeNotificationType" in fields:
        return [_dispute_notice(fields, delivery)]
    if "vaultingRequestId" not in fields:
        logger.warning("antom_notification_unknown type=%s digest=%s", kind, delivery.digest)
        return _hints(fields, "unknown notification")
    return []


def event_id(fields: Fields, delivery: Delivery) -> str:
    """What tells one event from another, and never two deliveries of the same."""
    kind = text(fields, "notifyType", CODE)
    verdict = text(_object(fields, "result"), "resultStatus", CODE)
    if kind == mapping.CAPTURE_RESULT:
        parts = [text(fields, "captureId", ID), verdict]
    elif kind == mapping.REFUND_RESULT:
        parts = [text(fields, "refundId", ID), text(fields, "refundStatus", CODE)]
    elif kind:
        # A manual review ends with another notification of the same kind and result.
        parts = [text(fields, "paymentId", ID), verdict, text(fields, "authReviewStatus", CODE) or "-"]
    elif "disputeNotificationType" in fields:
        kind = "DISPUTE"
        parts = [text(fields, "disputeId", ID), text(fields, "disputeNotificationType", CODE)]
    else:
        kind = "VAULTING"
        parts = [text(fields, "vaultingRequestId", ID), verdict]
    readable = ":".join((kind, *parts))
    return readable if all(parts) and len(readable) <= 100 else f"{kind[:30]}:{delivery.digest}"


def _payment_notice(fields: Fields, *, is_pending: bool) -> PaymentReport:
    """Raises OutcomeUnknown when it cannot be read."""
    answer = opened(fields)
    reference = text(fields, "paymentRequestId", ID)
    if not reference:
        raise OutcomeUnknown("a notification about nothing", code="no_reference")
    facts = _payment_facts(fields, reference, with_token=True)
    if answer.status == "U" or is_pending:
        return PaymentReport(**facts, status=Status.PENDING)
    if answer.status == "S":
        return _authorised(fields, facts, None)
    status = mapping.ENDINGS.get(answer.code, Status.FAILED)
    return PaymentReport(**facts, status=status, decline=_decline(answer.code))


def _refund_notice(fields: Fields) -> OperationReport:
    """Raises OutcomeUnknown for an amount that cannot be read."""
    facts = _refund_facts(fields, money(fields, "refundAmount"))
    return OperationReport(reference=text(fields, "refundRequestId", ID), operation=Capability.REFUND, **facts)


def _dispute_notice(fields: Fields, delivery: Delivery) -> DisputeReport:
    notice = text(fields, "disputeNotificationType", CODE)
    verdict = text(fields, "disputeJudgedResult", CODE)
    status = mapping.DISPUTE_NOTICES.get(notice) or mapping.DISPUTE_RESULTS.get(verdict)
    if status is None:
        logger.warning("antom_dispute_unknown notice=%s result=%s digest=%s", notice, verdict, delivery.digest)
    try:
        amount = money(fields, "disputeJudgedAmount") or money(fields, "disputeAmount")
    except OutcomeUnknown:
        amount = None
    return DisputeReport(
        reference=text(fields, "paymentRequestId", ID),
        payment_provider_reference=text(fields, "paymentId", ID),
        provider_reference=text(fields, "disputeId", ID) or delivery.digest[:40],
        stage=(notice.lower() or "unknown").removeprefix("dispute_"),
        status=status or DisputeStatus.OPEN,
        category=text(fields, "disputeType", CODE).lower() or "chargeback",
        reason_code=text(fields, "disputeReasonCode", SHORT),
        amount=amount,
        respond_by=_moment(fields.get("defenseDueTime")),
        raw=kept(fields),
    )


def _hints(fields: Fields, why: str) -> list[Report]:
    ours, theirs = text(fields, "paymentRequestId", ID), text(fields, "paymentId", ID)
    return [Hint(reference=ours, provider_reference=theirs, why=why)] if ours or theirs else []


# --------------------------------------------------------------------------------------------------------------- facts


def _payment_facts(fields: Fields, reference: str, *, with_token: bool = False) -> dict[str, Any]:
    """What every word about a payment may say beside its state. Raises OutcomeUnknown for an unreadable amount.

    ``with_token``: whether the reusable token is looked for; the answer to ``pay`` is not where it comes from.
    """
    info = _object(fields, "paymentResultInfo")
    return {
        "reference": reference,
        "provider_reference": text(fields, "paymentId", ID),
        "amount": money(fields, "paymentAmount"),
        "card": _card(info),
        "three_ds": _three_ds(_object(info, "threeDSResult")),
        "avs_result": _checked(info, "avsResultRaw", mapping.AVS),
        "cvc_result": _checked(info, "cvvResultRaw", mapping.CVC),
        "network_transaction_id": text(info, "networkTransactionId", SHORT),
        "token": text(info, "cardToken", LONG) if with_token else "",
        "raw": kept(fields),
    }


def _card(info: Fields) -> CardFacts | None:
    brand = text(info, "cardBrand", CODE)
    last = LAST_FOUR.fullmatch(text(info, "lastFour", SHORT) or text(info, "cardNo", SHORT))
    month, year = text(info, "expiryMonth", DIGITS), text(info, "expiryYear", DIGITS)
    facts = CardFacts(
        brand=mapping.BRANDS.get(brand, brand.lower()),
        first6=text(info, "cardBin", DIGITS)[:6],
        last4=last[1] if last else "",
        expiry_month=int(month) if 1 <= int(month or 0) <= 12 else None,
        expiry_year=2000 + int(year) % 100 if year else None,
        issuer=_name(info.get("issuerName")),
        issuer_country=text(info, "issuingCountry", COUNTRY),
        funding=mapping.FUNDING.get(text(info, "funding", CODE), ""),
        fingerprint=text(info, "fingerprint", FINGERPRINT),
    )
    return facts if facts != CardFacts() else None


def _three_ds(result: Fields) -> ThreeDSFacts | None:
    """None when 3DS was not used: the object may be there with empty texts in it."""
    eci = text(result, "eci", DIGITS)
    offered, challenged = _flag(result, "threeDSOffered"), _flag(result, "challenged")
    facts = ThreeDSFacts(
        enrolled={True: "Y", False: "N", None: ""}[offered],
        downgraded=mapping.DOWNGRADED.get(eci),
        eci=eci[:2],
        version=text(result, "threeDSVersion", SHORT)[:16],
        ds_transaction_id=text(result, "dsTransactionId", SHORT) or text(result, "xid", SHORT),
        status=text(result, "paResStatus", LETTER),
        liability_shifted=mapping.LIABILITY.get(text(result, "liabilityShift", SHORT)),
        flow={True: "challenge", False: "frictionless", None: ""}[challenged],
    )
    return facts if facts != ThreeDSFacts() else None


def _external(request: PaymentRequest) -> dict[str, Any]:
    """What is known of a 3DS run that somebody else did, where Antom says nothing."""
    done = request.external_three_ds
    if done is None or request.card is None:
        return {}
    facts = ThreeDSFacts(
        eci=done.eci,
        version=done.version,
        ds_transaction_id=done.ds_transaction_id,
        status=done.status,
        downgraded=mapping.DOWNGRADED.get(done.eci),
        flow="external",
    )
    return {"three_ds": facts}


def _checked(info: Fields, name: str, meanings: Mapping[str, str]) -> str:
    """A check's raw word and what it means: ``Y (full)``."""
    word = text(info, name, CHECK)
    return f"{word} ({meanings.get(word, mapping.UNCHECKED)})" if word else ""


def _decline(code: str) -> Decline:
    return Decline(mapping.meaning(code).category, code)


def kept(fields: Fields) -> dict[str, str]:
    """The harmless members, for the desk."""
    found = {name: text(fields, name, SHORT) for name in mapping.KEPT}
    for name, members in mapping.KEPT_OF.items():
        found |= {member: text(_object(fields, name), member, SHORT) for member in members}
    return {name: value for name, value in found.items() if value}


# --------------------------------------------------------------------------------------------------------- the readers


def text(fields: Fields, name: str, shape: re.Pattern[str]) -> str:
    """A member's text if it is one of this shape, else nothing. A whole number counts as its text."""
    value = fields.get(name)
    if type(value) is int and abs(value) < 10**18:
        value = str(value)
    return value if isinstance(value, str) and shape.fullmatch(value) else ""


def money(fields: Fields, name: str) -> Money | None:
    """None when it is not there. Raises OutcomeUnknown for an amount that is there but makes no sense."""
    told = fields.get(name)
    if told is None:
        return None
    try:
        return Money.from_minor(told["value"], told["currency"])
    except (MoneyError, TypeError, KeyError, IndexError, AttributeError):
        raise OutcomeUnknown("an amount that cannot be read", code="amount_unreadable") from None


def _about(fields: Fields, reference: str, *, name: str = "paymentRequestId") -> None:
    """Raises OutcomeUnknown when this does not name the very payment (or operation) that was asked about.

    A signature covers neither our question nor anything that would tell an old answer from a new one.
    """
    if fields.get(name) != reference:
        raise OutcomeUnknown("Antom answered about something else", code="other_reference")


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _flag(fields: Fields, name: str) -> bool | None:
    value = fields.get(name)
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None


def _name(value: Any) -> str:
    """A name as people write it, without what no database keeps."""
    return "".join(sign for sign in value if sign.isprintable())[:120] if isinstance(value, str) else ""


def _moment(value: Any) -> str:
    """A time with its zone, or nothing."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return moment.isoformat() if moment.tzinfo else ""
