"""Lesspay as a provider, in the order a shopper meets it: start, the truth, webhooks.

Lesspay answers a create call with "accepted" and tells the outcome later. Its answers carry no signature and its
webhooks a weak one, so money is believed from Fetch Payin only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers import contract
from providers.contract import (
    BadSignature,
    Capability,
    CardFacts,
    Decline,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
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
from providers.lesspay import mapping, signing
from providers.money import Money, MoneyError

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


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


class Provider(contract.Provider):
    slug = "lesspay"
    name = "Lesspay"
    capabilities = frozenset({Capability.SAVE_CARD, Capability.PAY_WITH_TOKEN, Capability.THREE_DS_WISH})
    methods = (Method("cashier"), Method("card", takes_card=True))
    session_seconds = mapping.SESSION_SECONDS
    settling_seconds = mapping.SETTLING_SECONDS
    redirect_hosts = mapping.REDIRECT_HOSTS

    config: Config

    def start(self, request: PaymentRequest) -> Started:
        """Create Payin. A no by a business rule comes back as a failed payment."""
        code, data = self._call(mapping.CREATE_PATH, _create_fields(request))
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
        code, data = self._call(mapping.QUERY_PATH, by or {"request_id": payment.reference})
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
                signing.matches(delivery.body, signature, one, modes=mapping.WEBHOOK_VERIFY_MODES)
                for one in (self.config.app_secret, self.config.app_secret_previous)
                if one
            )
            fields = signing.parse(delivery.body)
        except (ValueError, IndexError, RecursionError):
            raise BadSignature("not a message", code="unreadable") from None
        if not genuine:
            raise BadSignature("wrong signature", code="bad_signature")
        state, event = fields.get("order_status_int", ""), fields.get("event", "")
        return f"{fields.get('pay_order_id', '')}:{state}:{event}"[:60] + f":{delivery.digest[:32]}"

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

    def _call(self, path: str, fields: Mapping[str, Any]) -> tuple[int, Any]:
        """Sign, send, open the envelope: their code and data."""
        body = signing.body_of(fields)
        headers = {
            "Content-Type": "application/json",
            "x-auth-appid": self.config.app_id,
            "x-auth-timestamp": str(int(time.time() * 1000)),
            "x-auth-signature": signing.sign(json.loads(body), self.config.app_secret),
        }
        answer = self.http.post(path, body, headers)
        if answer.status in mapping.WRONG_REQUEST_HTTP:
            raise Rejected("Lesspay refused the request", code=f"http_{answer.status}")
        if answer.status != 200:
            raise OutcomeUnknown("Lesspay did not answer properly", code=f"http_{answer.status}")
        envelope = answer.json()
        if not isinstance(envelope, dict) or type(envelope.get("code")) is not int:
            raise OutcomeUnknown("Lesspay's answer has no code", code="unreadable")
        return envelope["code"], envelope.get("data")


# --------------------------------------------------------------------------------------------------------- our request


def _create_fields(request: PaymentRequest) -> dict[str, Any]:
    if not REQUEST_ID.fullmatch(request.reference):
        raise Rejected("the reference does not fit request_id", code="reference")
    extra = _channel_extra(request)
    return {
        "target_amount": request.amount.decimal,
        "target_currency": request.amount.currency,
        "transaction_type": "PAY_IN",
        "notify_url": request.webhook_url,
        "request_id": request.reference,
        "success_url": request.return_url,
        "fail_url": request.return_url,
        "product_name": request.description[: mapping.PRODUCT_NAME_LENGTH],
        "description": request.description[: mapping.DESCRIPTION_LENGTH],
        "way_type": "CARD_PAYMENT",
        "api_version": mapping.API_VERSION,
        "pay_access_type": mapping.OPENAPI if "extra_type" in extra else mapping.CASHIER,
        **({"channel_extra": extra} if extra else {}),
    }


def _channel_extra(request: PaymentRequest) -> dict[str, Any]:
    if request.token:
        return {"extra_type": "token", "token_data": {"token": request.token}}  # ignores the 3DS wish
    wish = {
        ThreeDSWish.DEFAULT: {},
        ThreeDSWish.FORCE: {"three_ds": {"enabled": True}},
        ThreeDSWish.SKIP: {"three_ds": {"enabled": False}},
    }[request.three_ds]
    if request.card is None:
        return wish
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
    word = mapping.ORDER_STATES.get(order.get("orderState", 1), "")
    status = mapping.STATUSES.get(word, Status.PENDING)
    ended = status in {Status.FAILED, Status.CANCELLED, Status.EXPIRED}
    report = PaymentReport(
        reference=str(order.get("mchOrderNo") or request.reference),
        provider_reference=theirs,
        status=status if ended else Status.PENDING,
        decline=Decline(mapping.DECLINE_OF_STATE[word]) if ended else None,
        three_ds=_three_ds(order.get("3ds")),
        raw={
            key: order[key] for key in ("payOrderId", "payOrderDetailId", "orderState", "payDataType") if key in order
        },
    )
    return Started(report, _step(order, data))


def _step(order: Mapping[str, Any], data: Mapping[str, Any]) -> Step:
    """A page to go to, or nothing: every other ``payDataType`` is waited out."""
    url = order.get("payData") if order.get("payDataType") == "payurl" else None
    url = url or data.get("checkout_url")  # the guideline page's name for it
    return Redirect(url) if isinstance(url, str) and url else Wait()


def _pick(data: Any, payment: PaymentRef) -> Mapping[str, Any]:
    """Our order among what Fetch Payin answered: one object, a list, or a page of a list."""
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
    return PaymentReport(
        reference=str(fields.get("request_id") or ""),
        provider_reference=str(fields.get("pay_order_id") or ""),
        status=None if state in mapping.REVIEWS else status,
        amount=amount,
        authorised=paid if status is Status.CAPTURED else None,
        captured=paid if status is Status.CAPTURED else None,
        refunded=paid if state == "REFUND" else None,
        decline=Decline(category) if category else None,
        card=_card(channel),
        three_ds=_three_ds(channel.get("3ds")),
        token=str(channel.get("card_token") or ""),
        review=mapping.REVIEWS.get(state or "", ""),
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
    by_number = mapping.ORDER_STATES.get(number) if type(number) is int else None
    if word is None and number is not None:
        return by_number
    if word not in mapping.ORDER_STATES.values() or (number is not None and word != by_number):
        return None
    return str(word)


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
    ids = {
        "reference": str(fields.get("request_id") or ""),
        "payment_provider_reference": str(fields.get("pay_order_id") or ""),
        "provider_reference": str(about.get("id") or delivery.digest[:40]),
    }
    raw = {"event": str(fields["event"])}
    if fields["event"] == mapping.DISPUTE_EVENT:
        try:
            amount = _amount(about.get("amount"), about.get("currency"))
        except OutcomeUnknown:
            amount = None
        return DisputeReport(
            **ids,
            category=str(about.get("category") or ""),
            reason_code=str(about.get("reason_code") or ""),
            amount=amount,
            respond_by=str(about.get("evidence_required_by") or ""),
            raw=raw,
        )
    if fields["event"] not in mapping.EVENTS:
        logger.warning("lesspay_event_unknown digest=%s", hashlib.sha256(str(fields["event"]).encode()).hexdigest())
        return FraudReport(**ids, code="unknown_event", summary=str(fields["event"])[:60], raw=raw)
    code = str(about.get("response_code") or "")
    summary = mapping.FRAUD_CODES.get(code) or str(about.get("response_summary") or "")
    return FraudReport(**ids, code=code, summary=summary, raw=raw)


def _hint(fields: Mapping[str, Any], why: str) -> Hint:
    return Hint(
        reference=str(fields.get("request_id") or ""),
        provider_reference=str(fields.get("pay_order_id") or ""),
        why=why,
    )
