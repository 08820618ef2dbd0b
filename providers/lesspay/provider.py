"""Lesspay as a provider, in the order a shopper meets it: start, the truth, webhooks.

Lesspay answers a create call with "accepted" and tells the outcome later. Its answers carry no signature and its
webhooks a weak one, so money is believed from Fetch Payin only.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from providers import contract
from providers.contract import (
    BadSignature,
    Capability,
    CardFacts,
    CardField,
    Decline,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
    LeadsTo,
    Method,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    Redirect,
    Rejected,
    Reply,
    Report,
    Started,
    Status,
    Step,
    ThreeDSFacts,
    ThreeDSWish,
    Wait,
    secret,
)
from providers.http import Body
from providers.lesspay import mapping, signing
from providers.money import Money, MoneyError

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(mapping.REQUEST_ID)
NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_:-]")


@dataclass(frozen=True)
class Config:
    """What Lesspay's operations team hands out."""

    app_id: str
    app_secret: str = secret()
    app_secret_previous: str = secret(default="")
    """While a secret is being changed, webhooks signed with the old one are still theirs."""

    def __post_init__(self) -> None:
        if not self.app_id or not self.app_secret:
            raise ValueError("app_id and app_secret are both needed")
        if not (self.app_id.isascii() and self.app_id.isprintable()):
            raise ValueError("app_id travels in a header: plain characters only")


class Provider(contract.Provider):
    slug = "lesspay"
    name = "Lesspay"
    capabilities = frozenset({Capability.SAVE_CARD, Capability.PAY_WITH_TOKEN, Capability.THREE_DS_WISH})
    methods = (
        Method(mapping.CASHIER_METHOD),
        Method(
            mapping.CARD_METHOD,
            takes_card=True,
            leads_to=LeadsTo.RESULT,
            required=frozenset({CardField.EXPIRY, CardField.CVC}),
            optional=frozenset({CardField.HOLDER}),
        ),
    )
    session_seconds = mapping.SESSION_SECONDS
    settling_seconds = mapping.SETTLING_SECONDS
    redirect_hosts = mapping.REDIRECT_HOSTS

    config: Config

    def start(self, request: PaymentRequest) -> Started:
        """Create Payin. A no by a business rule comes back as a failed payment."""
        code, data = self._call(mapping.CREATE_PATH, signing.body_of(_create_fields(request)))
        if code in mapping.REFUSED:
            why = Decline(mapping.DECLINE_OF_CODE[code], str(code))
            return Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=why), Wait())
        if code in mapping.NOT_FOUND or code in mapping.WRONG_REQUEST:
            raise Rejected("Lesspay does not accept this request", code=str(code))
        if code != mapping.SUCCESS:
            raise OutcomeUnknown("Lesspay may have made this order", code=str(code))
        return _started(request, data)

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """Fetch Payin, by their id when we have it."""
        by = {"pay_order_id": payment.provider_reference} if payment.provider_reference else None
        code, data = self._call(mapping.QUERY_PATH, signing.body_of(by or {"request_id": payment.reference}))
        if code in mapping.NOT_FOUND:
            return PaymentReport(reference=payment.reference, absent=True, raw={"code": code})
        if code in mapping.WRONG_REQUEST or code in mapping.REFUSED:
            raise Rejected("Lesspay does not answer this inquiry", code=str(code))
        if code != mapping.SUCCESS:
            raise OutcomeUnknown("Lesspay has no answer now", code=str(code))
        return _report(_pick(data, payment))

    def verify_webhook(self, delivery: Delivery) -> str:
        """SHA-256 over the body's fields, in any of the renderings that the reference allows."""
        signature = delivery.header("x-auth-signature")
        if not signature:
            raise BadSignature("no signature", code="no_signature")
        try:
            genuine = any(
                signing.matches(
                    delivery.body,
                    signature,
                    one,
                    modes=mapping.WEBHOOK_VERIFY_MODES,
                    signed=mapping.WEBHOOK_SIGNED_FIELDS,
                )
                for one in (self.config.app_secret, self.config.app_secret_previous)
                if one
            )
            fields = signing.parse(delivery.body)
        except (ValueError, IndexError, RecursionError):
            raise BadSignature("not a message", code="unreadable") from None
        if not genuine:
            raise BadSignature("wrong signature", code="bad_signature")
        about = ":".join(str(fields.get(name, "")) for name in ("pay_order_id", "order_status_int", "event"))
        return f"{NOT_IN_AN_ID.sub('', about)[:60]}:{delivery.digest[:32]}"

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        fields = signing.parse(delivery.body)
        if fields.get("event"):
            return [_event(fields, delivery)]
        state = _state(fields)
        if state is None:
            return [_hint(fields, "status unknown or contradictory")]
        try:
            return [_report(fields, confirm=state in mapping.MOVES_MONEY)]
        except OutcomeUnknown as error:
            return [_hint(fields, error.code)]

    def reply(self, *, accepted: bool) -> Reply:
        """Exactly the word, without a line end: everything else is sent again."""
        return Reply(200, mapping.ACKNOWLEDGEMENT) if accepted else Reply(401, b"FAIL")

    def _call(self, path: str, body: Body) -> tuple[int, Any]:
        """Sign, send, open the envelope: their code and data."""
        timestamp = str(int(time.time() * 1000))
        signed = {"timestamp": timestamp} if mapping.SIGN_TIMESTAMP else {}
        headers = {
            "Content-Type": "application/json",
            "x-auth-appid": self.config.app_id,
            "x-auth-timestamp": timestamp,
            "x-auth-signature": signing.sign_body(body, self.config.app_secret, mode=mapping.SIGN_NESTED, also=signed),
        }
        answer = self.http.post(path, body, headers)
        envelope = answer.expect(200, rejections=mapping.WRONG_REQUEST_HTTP).json(parse_float=Decimal)
        if not isinstance(envelope, dict) or type(envelope.get("code")) is not int:
            raise OutcomeUnknown("Lesspay's answer has no code", code="unreadable")
        return envelope["code"], envelope.get("data")


# --------------------------------------------------------------------------------------------------------- our request


def _create_fields(request: PaymentRequest) -> dict[str, Any]:
    if not REQUEST_ID.fullmatch(request.reference):
        raise Rejected("the reference does not fit request_id", code="reference")
    if request.capture != "automatic":
        raise Rejected("Lesspay takes the money at once", code="manual_capture")
    extra = _channel_extra(request)
    text = _plain(request.description) or request.reference
    return {
        "target_amount": request.amount.decimal,
        "target_currency": request.amount.currency,
        "transaction_type": "PAY_IN",
        "notify_url": request.webhook_url,
        "request_id": request.reference,
        "success_url": request.return_url,
        "fail_url": request.return_url,
        "product_name": text[: mapping.PRODUCT_NAME_LENGTH].strip(),
        "description": text[: mapping.DESCRIPTION_LENGTH].strip(),
        "way_type": "CARD_PAYMENT",
        "api_version": mapping.API_VERSION,
        "pay_access_type": mapping.OPENAPI if "extra_type" in extra else mapping.CASHIER,
        **({"channel_extra": extra} if extra else {}),
    }


def _plain(text: str) -> str:
    """One line without control characters: both fields are required and are shown to people."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _channel_extra(request: PaymentRequest) -> dict[str, Any]:
    """What differs between the ways to pay. Raises Rejected for a way that is none."""
    if request.stored:
        return {"extra_type": "token", "token_data": {"token": request.stored.token}}  # ignores the 3DS wish
    wish = {
        ThreeDSWish.DEFAULT: {},
        ThreeDSWish.FORCE: {"three_ds": {"enabled": True}},
        ThreeDSWish.SKIP: {"three_ds": {"enabled": False}},
    }[request.three_ds]
    if request.method == mapping.CASHIER_METHOD:
        return wish
    if request.method != mapping.CARD_METHOD or request.card is None:
        raise Rejected("neither the cashier nor a card nor a token", code="method")
    card = {
        "number": request.card.number,
        "expiry_month": request.card.expiry_month,
        "expiry_year": request.card.expiry_year,
        "cvv": request.card.cvc,
        "store_for_future_use": request.store_card,
    }
    return {"extra_type": "card", "card_data": card, **wish}


# -------------------------------------------------------------------------------------------------------- their answer


def _started(request: PaymentRequest, data: Any) -> Started:
    """An accepted order. Whatever state it claims, money is left to a fetch: the answer is not signed."""
    order = data.get("order_data") if isinstance(data, dict) else None
    order = order if isinstance(order, dict) else {}
    theirs = (data.get("pay_order_id") if isinstance(data, dict) else None) or order.get("payOrderId")
    if not isinstance(theirs, str) or not theirs:
        raise OutcomeUnknown("Lesspay's answer names no order", code="unreadable")
    if order.get("payOrderId", theirs) != theirs:
        raise OutcomeUnknown("Lesspay's answer names two orders", code="contradictory")
    word = _word(order.get("orderState")) or ""
    status = mapping.STATUSES.get(word, Status.PENDING)
    ended = status in {Status.FAILED, Status.CANCELLED, Status.EXPIRED}
    report = PaymentReport(
        reference=str(order.get("mchOrderNo") or request.reference),
        provider_reference=theirs,
        status=status if ended else Status.PENDING,
        decline=Decline(mapping.DECLINE_OF_STATE[word]) if ended else None,
        three_ds=_three_ds(order.get("3ds")),
        raw={
            key: str(order[key])
            for key in ("payOrderId", "payOrderDetailId", "orderState", "payDataType")
            if key in order
        },
    )
    is_open = status is Status.PENDING and word not in mapping.MOVES_MONEY
    return Started(report, _step(order, data) if is_open else Wait())


def _step(order: Mapping[str, Any], data: Mapping[str, Any]) -> Step:
    """A page to go to, or nothing: every other ``payDataType`` is waited out."""
    url = order.get("payData") if order.get("payDataType") == "payurl" else None
    url = url or order.get("checkout_url") or data.get("checkout_url")  # the guideline page's name for it
    return Redirect(url) if isinstance(url, str) and url else Wait()


def _pick(data: Any, payment: PaymentRef) -> Mapping[str, Any]:
    """Our order among what Fetch Payin answered: one object, a list, or a page of a list.

    Raises OutcomeUnknown when it is not there: only their codes for "not found" say that an order does not exist.
    """
    if isinstance(data, dict) and "order_status" not in data and "order_status_int" not in data:
        data = next((data[name] for name in mapping.LIST_MEMBERS if name in data), None)
    rows = data if isinstance(data, list) else [data]
    for row in rows:
        if isinstance(row, dict) and (
            row.get("request_id") == payment.reference
            or (payment.provider_reference and row.get("pay_order_id") == payment.provider_reference)
        ):
            return row
    raise OutcomeUnknown("Lesspay answered about something else", code="other_order")


def _report(fields: Mapping[str, Any], *, confirm: bool = False) -> PaymentReport:
    """One order as a webhook or Fetch Payin shows it. Raises OutcomeUnknown when its money cannot be read."""
    state = _state(fields)
    if state is None:
        logger.warning("lesspay_state_unknown pay_order_id=%s", fields.get("pay_order_id"))
    amount = _amount(fields.get("target_amount"), fields.get("target_currency"))
    status = mapping.STATUSES.get(state or "", Status.PENDING)
    paid = amount.minor if amount else None
    if status is Status.CAPTURED and not paid:
        raise OutcomeUnknown("paid, but how much is not said", code="no_amount")
    channel = fields.get("channel_biz_data")
    channel = channel if isinstance(channel, dict) else {}
    category = mapping.DECLINE_OF_STATE.get(state or "")
    review = "contradictory" if _contradicts_itself(fields) else mapping.REVIEWS.get(state or "", "")
    return PaymentReport(
        reference=str(fields.get("request_id") or ""),
        provider_reference=str(fields.get("pay_order_id") or ""),
        status=None if review else status,
        amount=amount,
        authorised=paid if status is Status.CAPTURED else None,
        captured=paid if status is Status.CAPTURED else None,
        refunded=paid if state == "REFUND" else None,
        decline=Decline(category) if category else None,
        card=_card(channel),
        three_ds=_three_ds(channel.get("3ds")),
        token=str(channel.get("card_token") or ""),
        review=review,
        confirm=confirm,
        raw={
            key: str(fields[key])
            for key in ("pay_order_id", "request_id", "order_status", "target_amount", "target_currency")
            if key in fields
        },
    )


def _state(fields: Mapping[str, Any]) -> str | None:
    """Their word for the state; None when unknown, or when word and number disagree."""
    word, number = fields.get("order_status"), fields.get("order_status_int")
    if word is None:
        return _word(number)
    if word not in mapping.ORDER_STATES.values() or (number is not None and word != _word(number)):
        return None
    return str(word)


def _word(number: Any) -> str | None:
    return mapping.ORDER_STATES.get(number) if type(number) is int else None


def _contradicts_itself(fields: Mapping[str, Any]) -> bool:
    """Whether word and number are both known and name different states."""
    word, by_number = fields.get("order_status"), _word(fields.get("order_status_int"))
    return by_number is not None and word in mapping.ORDER_STATES.values() and word != by_number


def _amount(text: Any, currency: Any) -> Money | None:
    """Raises OutcomeUnknown for an amount that is there but makes no sense."""
    if text is None and currency is None:
        return None
    try:
        return Money.from_decimal(str(text), str(currency))
    except MoneyError:
        raise OutcomeUnknown("an amount that cannot be read", code="amount_unreadable") from None


def _card(channel: Mapping[str, Any]) -> CardFacts | None:
    issuer, country = channel.get("issuer"), channel.get("issuer_country")
    return CardFacts(issuer=str(issuer or ""), issuer_country=str(country or "")) if issuer or country else None


def _three_ds(facts: Any) -> ThreeDSFacts | None:
    if not isinstance(facts, dict):
        return None
    downgraded = facts.get("downgraded")
    return ThreeDSFacts(
        enrolled=str(facts.get("enrolled") or ""),
        downgraded=downgraded if isinstance(downgraded, bool) else None,
        upgrade_reason=str(facts.get("upgrade_reason") or ""),
    )


# -------------------------------------------------------------------------------------------------------------- events


def _event(fields: Mapping[str, Any], delivery: Delivery) -> Report:
    """Fraud and dispute notices. They carry an order status too, which they do not change."""
    about = fields.get("event_data")
    about = about if isinstance(about, dict) else {}
    ids: dict[str, Any] = {
        "reference": str(fields.get("request_id") or ""),
        "payment_provider_reference": str(fields.get("pay_order_id") or ""),
        "provider_reference": str(about.get("id") or delivery.digest[:40]),
    }
    event = str(fields["event"])
    raw = {"event": event} | {key: str(about[key]) for key in sorted(mapping.EVENT_FACTS & about.keys())}
    if event == mapping.DISPUTE_EVENT:
        try:
            amount = _amount(about.get("amount"), about.get("currency"))
        except OutcomeUnknown:
            amount = None
        return DisputeReport(
            **ids,
            category=str(about.get("category") or ""),
            reason_code=str(about.get("reason_code") or ""),
            amount=amount,
            respond_by=_moment(about.get("evidence_required_by")),
            raw=raw,
        )
    if event not in mapping.EVENTS:
        logger.warning("lesspay_event_unknown digest=%s", hashlib.sha256(event.encode()).hexdigest())
        return FraudReport(**ids, code=mapping.UNKNOWN_EVENT, summary=event[:60], raw=raw)
    code = str(about.get("response_code") or "")
    summary = mapping.FRAUD_CODES.get(code) or str(about.get("response_summary") or "")
    return FraudReport(**ids, code=code, summary=summary, raw=raw)


def _moment(text: Any) -> str:
    """A time with its zone, or nothing."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return ""
    return moment.isoformat() if moment.tzinfo else ""


def _hint(fields: Mapping[str, Any], why: str) -> Hint:
    return Hint(
        reference=str(fields.get("request_id") or ""),
        provider_reference=str(fields.get("pay_order_id") or ""),
        why=why,
    )
