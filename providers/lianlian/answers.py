"""What they say: LianLian's answers and notifications, read with suspicion, as the contract's reports."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.contract import (
    Capability,
    CardFacts,
    Decline,
    DeclineCategory,
    Delivery,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    ProviderError,
    RefundReport,
    RefundRequest,
    Rejected,
    Started,
    Status,
    Wait,
)
from providers.lianlian import mapping
from providers.lianlian.mapping import Action
from providers.money import Money, MoneyError

logger = logging.getLogger(__name__)

CODE = re.compile(r"[0-9A-Z]{4}")
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TOKEN = re.compile(r"[!-~]{1,200}")
SHORT = re.compile(r"[ -~]{1,40}")
NAME = re.compile(r"[\w .,&()-]{1,60}")
EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


@dataclass(frozen=True)
class Answer:
    """What LianLian said to one call, its signature checked."""

    code: str
    fields: Mapping[str, Any]

    @property
    def action(self) -> Action:
        return mapping.meaning(self.code).action

    def text(self, name: str, shape: re.Pattern[str] = ID) -> str:
        return text_of(self.fields, name, shape)


def started(answer: Answer, payment: PaymentRef) -> Started:
    """What an application or a code came to, when no code is asked for."""
    if answer.action in {Action.FIX, Action.FAIL, Action.NEW, Action.CODE, Action.WAIT}:
        status = Status.EXPIRED if answer.code == mapping.EXPIRED else Status.FAILED
        return Started(report(answer, payment, status=status, decline=_decline(answer.code)), Wait())
    if answer.code != mapping.SUCCESS:
        raise no_usable(answer)
    if not answer.fields.get("result_pay"):
        raise OutcomeUnknown("accepted, but what became of it is not said", code="no_result")
    return Started(of_order(answer, payment), Wait())


def token_of(answer: Answer) -> str:
    """What the shopper's code is to be handed in with; nothing once the answer has a result."""
    is_asked_for = answer.code in mapping.VERIFICATION_NEEDED
    has_result = answer.text("result_pay") not in mapping.NO_RESULT
    return answer.text("token", TOKEN) if is_asked_for and not has_result else ""


def no_usable(answer: Answer) -> ProviderError:
    if answer.action is Action.CFG:
        return Rejected("LianLian does not accept this request", code=answer.code)
    return OutcomeUnknown("LianLian has no answer now", code=answer.code)


def _decline(code: str) -> Decline:
    category = mapping.meaning(code).category or mapping.DECLINE_OF_STATE.get(code)
    return Decline(category or DeclineCategory.PROCESSING_ERROR, code)


def same_order(answer: Answer, payment: PaymentRef) -> None:
    if answer.fields.get("no_order", payment.reference) != payment.reference:
        raise OutcomeUnknown("LianLian answered about something else", code="other_order")


def is_hold(answer: Answer, payment: PaymentRef) -> bool:
    return payment.capture == "manual" or answer.text("pay_type") in mapping.HOLD_TYPES


def of_order(answer: Answer, payment: PaymentRef) -> PaymentReport:
    """An order by its ``result_pay``. A hold that "succeeded" is not captured: what it is, a fetch finds out."""
    if answer.code == mapping.EXPIRED:
        return report(answer, payment, status=Status.EXPIRED, decline=_decline(mapping.EXPIRED))
    word = answer.text("result_pay")
    if word not in mapping.ORDER_STATES:
        logger.warning("lianlian_state_unknown reference=%s", payment.reference)
    status = mapping.ORDER_STATES.get(word, Status.PENDING)
    if is_hold(answer, payment) and status is Status.CAPTURED:
        return report(answer, payment, status=Status.PENDING)
    if status is Status.CAPTURED:
        paid = _total(answer.fields)
        given_back = paid if word == mapping.REFUNDED_STATE else None
        return report(answer, payment, status=status, authorised=paid, captured=paid, refunded=given_back)
    if status is Status.AUTHORISED:
        return report(answer, payment, status=status, authorised=_total(answer.fields))
    why = _decline(word) if status is Status.FAILED else None
    return report(answer, payment, status=status, decline=why, awaits_shopper=word in mapping.AWAITS_SHOPPER)


def of_hold(order: Answer, hold: Answer, payment: PaymentRef) -> PaymentReport:
    """A hold: its state from the pre-authorisation query, what was taken of it from the order query."""
    status = mapping.PREAUTH_STATES.get(hold.code)
    if status is None:
        return of_order(Answer(order.code, {**order.fields, "pay_type": mapping.HOLD}), payment)
    facts: dict[str, Any] = {"amount": _amount(hold.fields) or _amount(order.fields)}
    facts["raw"] = {**kept(order.fields), **kept(hold.fields)}
    facts["provider_reference"] = hold.text("oid_paybill") or order.text("oid_paybill")
    if status in {Status.PENDING, Status.FAILED, Status.EXPIRED}:
        why = None if status is Status.PENDING else _decline(hold.code)
        waits = hold.code in mapping.AWAITS_SHOPPER
        return report(order, payment, status=status, decline=why, awaits_shopper=waits, **facts)
    held = _total(hold.fields if hold.fields.get("money_order") else order.fields)
    if status is Status.AUTHORISED:
        return report(order, payment, status=status, authorised=held, **facts)
    if status is Status.CANCELLED:
        return report(order, payment, status=status, authorised=held, released=held, **facts)
    taken = _total(order.fields)
    if taken == held and 0 < payment.captured < held:
        taken = payment.captured  # no page says whose amount this is after a capture; a hold is captured only once
    given_back = taken if order.fields.get("result_pay") == mapping.REFUNDED_STATE else None
    let_go = max(0, held - taken) or None
    return report(
        order, payment, status=status, authorised=held, captured=taken, refunded=given_back, released=let_go, **facts
    )


def report(answer: Answer, payment: PaymentRef, **facts: Any) -> PaymentReport:
    """A report on this very payment. Raises OutcomeUnknown when the answer is about another."""
    same_order(answer, payment)
    known = {
        "reference": payment.reference,
        "provider_reference": answer.text("oid_paybill"),
        "amount": _amount(answer.fields),
        "card": _card(answer.fields),
        "token": answer.text("no_agree"),
        "raw": kept(answer.fields),
    }
    return PaymentReport(**{**known, **facts})


def of_operation(hold: Answer, request: OperationRequest, states: Mapping[str, OperationStatus]) -> OperationReport:
    """A capture or cancellation by the state of its hold; PENDING for a state that does not tell."""
    status = states.get(hold.code, OperationStatus.PENDING)
    error = hold.code if status is OperationStatus.FAILED else ""
    return request.report(status, error_code=error, raw=kept(hold.fields))


def of_refund(answer: Answer, request: RefundRequest) -> RefundReport:
    if answer.fields.get("no_refund", request.reference) != request.reference:
        raise OutcomeUnknown("LianLian answered about another refund", code="other_refund")
    return request.report(**_refund_facts(answer.fields))


def refund_notice(fields: Mapping[str, Any]) -> OperationReport:
    return OperationReport(
        reference=text_of(fields, "no_refund"), operation=Capability.REFUND, **_refund_facts(fields, quiet=True)
    )


def _refund_facts(fields: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Raises OutcomeUnknown for an amount that cannot be read; ``quiet`` leaves it out instead."""
    word = text_of(fields, "sta_refund")
    if word not in mapping.REFUND_STATES:
        logger.warning("lianlian_refund_state_unknown reference=%s", text_of(fields, "no_refund"))
    status = mapping.REFUND_STATES.get(word, OperationStatus.PENDING)
    try:
        amount = _amount(fields, "money_refund")
    except OutcomeUnknown:
        if not quiet:
            raise
        amount, status = None, OperationStatus.PENDING
    return {
        "provider_reference": text_of(fields, "oid_refundno"),
        "status": status,
        "amount": amount,
        "error_code": f"sta_refund_{word}" if status is OperationStatus.FAILED else "",
        "raw": kept(fields),
    }


def paid(fields: Mapping[str, Any], *, confirm: bool) -> PaymentReport:
    """A notification of money. Raises OutcomeUnknown when it does not say how much."""
    paid = _total(fields)
    return PaymentReport(
        reference=text_of(fields, "no_order"),
        provider_reference=text_of(fields, "oid_paybill"),
        status=Status.CAPTURED,
        amount=_amount(fields),
        authorised=paid,
        captured=paid,
        card=_card(fields),
        token=text_of(fields, "no_agree"),
        confirm=confirm,
        raw=kept(fields),
    )


def event_id(fields: Mapping[str, Any], delivery: Delivery) -> str:
    """Kind, both numbers and what the event says of them: a hold's two notifications differ in their dates only."""
    kind = "refund" if fields.get("no_refund") else "payment" if fields.get("no_order") else "other"
    names = {
        "refund": ("no_refund", "oid_refundno", "sta_refund", "money_refund"),
        "payment": ("no_order", "oid_paybill", "result_pay", "money_order", "settle_date"),
    }.get(kind, ())
    parts = [str(fields.get(name) or "") for name in names]
    readable = ":".join((kind, *parts))
    if not parts:
        return f"{kind}:{delivery.digest}"
    is_plain = EVENT_ID.fullmatch(readable) and readable.count(":") == len(parts)
    return readable if is_plain else f"{kind}:{hashlib.sha256(readable.encode(errors='replace')).hexdigest()}"


# --------------------------------------------------------------------------------------------------------- the readers


def text_of(fields: Mapping[str, Any], name: str, shape: re.Pattern[str] = ID) -> str:
    """A member's text if it is one of this shape, else nothing. (Numbers are texts already: see ``signing.parse``.)"""
    value = fields.get(name)
    return value if isinstance(value, str) and shape.fullmatch(value) else ""


def _amount(fields: Mapping[str, Any], name: str = "money_order") -> Money | None:
    """Raises OutcomeUnknown for an amount that is there but makes no sense."""
    text = fields.get(name)
    if text is None or text == "":
        return None
    try:
        return Money.from_decimal(text, fields.get("currency_order") or mapping.CURRENCY)
    except (MoneyError, TypeError):
        raise OutcomeUnknown("an amount that cannot be read", code="amount_unreadable") from None


def _total(fields: Mapping[str, Any]) -> int:
    """Money that was moved. Raises OutcomeUnknown when the answer does not say how much."""
    amount = _amount(fields)
    if not amount or not amount.minor:
        raise OutcomeUnknown("money, but how much is not said", code="no_amount")
    return amount.minor


def facts_of_card(answer: Answer) -> CardFacts | None:
    """What a card BIN query says."""
    issuer = answer.text("bank_name", NAME) or _issuer(answer.fields)
    funding = mapping.FUNDING.get(answer.text("card_type"), "")
    return CardFacts(issuer=issuer, funding=funding) if issuer or funding else None


def _card(fields: Mapping[str, Any]) -> CardFacts | None:
    issuer = _issuer(fields)
    return CardFacts(issuer=issuer) if issuer else None


def _issuer(fields: Mapping[str, Any]) -> str:
    code = text_of(fields, "bank_code")
    return mapping.BANKS.get(code, code)


def kept(fields: Mapping[str, Any]) -> dict[str, str]:
    found = {name: text_of(fields, name, SHORT) for name in mapping.KEPT}
    return {name: text for name, text in found.items() if text}
