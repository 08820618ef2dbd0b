"""LianLian Pay's Easypay as a provider, in the order a shopper meets it: apply, the SMS code, the truth, operations.

Requests, answers and notifications are signed. ``ret_code`` says whether a call was understood, ``result_pay`` what
became of the money, and failures are never announced: a fetch has to find them. A hold is a story of its own, told by
the pre-authorisation query alone.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from providers import contract
from providers.contract import (
    BadSignature,
    CancelReport,
    CancelRequest,
    Capability,
    CaptureReport,
    CaptureRequest,
    Card,
    CardFacts,
    CardField,
    CodeProblem,
    Decline,
    DeclineCategory,
    Delivery,
    EnterCode,
    Hint,
    LeadsTo,
    Method,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    PostForm,
    ProviderError,
    RefundReport,
    RefundRequest,
    Rejected,
    Reply,
    Report,
    Started,
    Status,
    StoredCard,
    Wait,
    public_key,
    secret,
)
from providers.http import Body, Http
from providers.lianlian import mapping, signing
from providers.lianlian.mapping import Action, Endpoint
from providers.money import Money, MoneyError

logger = logging.getLogger(__name__)

HEADERS = {"Content-Type": "application/json;charset=utf-8"}
CODE = re.compile(r"[0-9A-Z]{4}")
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TOKEN = re.compile(r"[!-~]{1,200}")
SHORT = re.compile(r"[ -~]{1,40}")


@dataclass(frozen=True)
class Config:
    """What LianLian and the merchant agreed on. Keys are PEM or bare Base64."""

    oid_partner: str
    ware_category: str
    """``frms_ware_category``: the industry code that LianLian assigned."""
    merchant_private_key: str = secret(
        metadata={"multiline": True, "help": "Ours: PEM or Base64. Its public half is uploaded to LianLian."}
    )
    provider_public_key: str = public_key(metadata={"help": "LianLian's, from its merchant console: PEM or Base64."})
    provider_public_key_previous: str = public_key(default="")
    """While LianLian changes its key, messages signed with the old one are still theirs."""
    sign_type: str = "RSA"
    busi_partner: str = mapping.BUSI_PARTNERS["virtual goods"]
    risk_extras: str = field(
        default="", metadata={"multiline": True, "help": "Further members of risk_item, as a JSON object."}
    )
    query_url: str = ""
    cashier_url: str = ""
    h5_url: str = ""
    """Other hosts; where empty, LianLian's real ones beside its real trader host, else the account's base URL."""
    refund_path: str = mapping.REFUND_PATH
    pay_type_credit: str = mapping.ORDINARY
    expiry_format: str = mapping.EXPIRY_FORMATS[0]
    confirm_notifications: bool = True
    """Whether a notification of money is confirmed by a query first: their key may be of 1024 bits, their hash MD5."""

    def __post_init__(self) -> None:
        _demand(re.fullmatch(r"\d{1,18}", self.oid_partner, re.ASCII), "oid_partner is a number of at most 18 digits")
        _demand(_loads(signing.private_key, self.merchant_private_key), "merchant_private_key is not an RSA key")
        _demand(_loads(signing.public_key, self.provider_public_key), "provider_public_key is not an RSA public key")
        _demand(
            not self.provider_public_key_previous or _loads(signing.public_key, self.provider_public_key_previous),
            "provider_public_key_previous is not an RSA public key",
        )
        _demand(re.fullmatch(r"\d{4}", self.ware_category, re.ASCII), "ware_category is a code of four digits")
        _demand(_is_object(self.risk_extras), "risk_extras is not a JSON object")
        _demand(self.refund_path.startswith("/"), "refund_path begins with a slash")
        for sign_type in {self.sign_type, mapping.ALWAYS} & set(mapping.SIGN_TYPES):
            can = signing.can_sign(self.merchant_private_key, sign_type)
            _demand(can, f"sign_type {sign_type} needs a hash that this machine's OpenSSL does not offer")
        for name, words in _CHOICES.items():
            _demand(getattr(self, name) in words, f"{name} is one of {', '.join(words)}")
        for name in ("query_url", "cashier_url", "h5_url"):
            _demand(not getattr(self, name) or _is_address(getattr(self, name)), f"{name} is not the address of a host")


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sign_type": mapping.SIGN_TYPES,
    "busi_partner": tuple(mapping.BUSI_PARTNERS.values()),
    "pay_type_credit": mapping.PAY_TYPES_CREDIT,
    "expiry_format": mapping.EXPIRY_FORMATS,
}


@dataclass(frozen=True)
class Answer:
    """What LianLian said to one call, its signature checked."""

    code: str
    fields: Mapping[str, Any]

    @property
    def action(self) -> Action:
        return mapping.meaning(self.code).action

    def text(self, name: str, shape: re.Pattern[str] = ID) -> str:
        return _text(self.fields, name, shape)


class Provider(contract.Provider):
    slug = "lianlian"
    name = "LianLian Pay"
    capabilities = frozenset(
        {
            Capability.SUBMIT_CODE,
            Capability.CAPTURE,
            Capability.CANCEL,
            Capability.REFUND,
            Capability.FETCH_REFUND,
            Capability.LOOK_UP_CARD,
            Capability.REMOVE_CARD,
            Capability.PARTIAL_CAPTURE,
            Capability.PARTIAL_REFUND,
            Capability.SAVE_CARD,
            Capability.PAY_WITH_TOKEN,
        }
    )
    methods = (
        Method(
            mapping.CARD_METHOD,
            leads_to=LeadsTo.CODE,
            takes_card=True,
            required=frozenset({CardField.HOLDER, CardField.ID_NUMBER, CardField.PHONE}),
            optional=frozenset({CardField.EXPIRY, CardField.CVC}),  # credit cards have them
            currencies=frozenset({mapping.CURRENCY}),
            minimum=mapping.MINIMUM,
            maximum=mapping.MAXIMUM,
        ),
        Method(
            mapping.CASHIER_METHOD,
            currencies=frozenset({mapping.CURRENCY}),
            minimum=mapping.MINIMUM,
            maximum=mapping.MAXIMUM,
        ),
    )
    session_seconds = mapping.SESSION_SECONDS
    settling_seconds = mapping.SETTLING_SECONDS
    redirect_hosts = mapping.REDIRECT_HOSTS

    config: Config

    # ------------------------------------------------------------------------------------------------------- paying

    def start(self, request: PaymentRequest) -> Started:
        """A form for LianLian's page, or an application that is answered with a token and an SMS to the shopper."""
        if request.amount.currency != mapping.CURRENCY:
            raise Rejected("LianLian takes yuan only", code="currency")
        if not mapping.MINIMUM <= request.amount.minor <= mapping.MAXIMUM:
            raise Rejected("the amount is out of LianLian's bounds", code="amount")
        if len(request.webhook_url) > mapping.URL_LENGTH:
            raise Rejected("the notification URL is too long for LianLian", code="notify_url")
        if request.method == mapping.CASHIER_METHOD:
            return Started(PaymentReport(reference=request.reference, status=Status.PENDING), self._page(request))
        if request.method != mapping.CARD_METHOD or not (request.card or request.stored):
            raise Rejected("neither the page nor a card", code="method")
        problem = "" if request.stored else _problem_of(request.card)
        if problem:  # known beforehand, and their answer to it would look like a mistake of ours
            why = Decline(DeclineCategory.INVALID_CARD, problem)
            return Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=why), Wait())
        answer = self._call(mapping.APPLY, self._body(self._application(request), sign_type=self.config.sign_type))
        ref = PaymentRef(reference=request.reference, amount=request.amount, capture=request.capture)
        token = _token(answer)
        if token:
            phone = request.card.phone if request.card and not request.stored else ""
            return Started(_report(answer, ref, status=Status.PENDING), EnterCode(token, _masked(phone)))
        return _started(answer, ref)

    def submit_code(self, payment: PaymentRef, *, handle: str, code: str) -> Started:
        """Verify: the code that moves the money. Sent once; after trouble on the way only a fetch helps."""
        waiting = PaymentReport(reference=payment.reference, status=Status.PENDING)
        if not re.fullmatch(mapping.SMS_CODE, code):
            return Started(waiting, EnterCode(handle, problem=CodeProblem.WRONG))
        fields = {**_order(payment), "money_order": payment.amount.decimal, "token": handle, "verify_code": code}
        answer = self._call(mapping.VERIFY, self._body(fields, sign_type=self.config.sign_type))
        problem = mapping.CODE_PROBLEMS.get(answer.code)
        if problem:
            return Started(waiting, EnterCode(handle if problem is CodeProblem.WRONG else "", problem=problem))
        token = _token(answer)
        if token or answer.code == mapping.ANOTHER_CODE:
            step = EnterCode(token or handle, problem=CodeProblem.ANOTHER)
            return Started(_report(answer, payment, status=Status.PENDING), step)
        return _started(answer, payment)

    # ------------------------------------------------------------------------------------------------------ the truth

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """The order query; for a hold the pre-authorisation query too, which alone tells of held and taken money."""
        order = self._call(mapping.ORDER_QUERY, self._body(_order(payment)))
        if order.code in mapping.NO_SUCH_RECORD:
            return PaymentReport(reference=payment.reference, absent=True, raw=_raw(order.fields))
        _same_order(order, payment)
        if order.code not in {mapping.SUCCESS, mapping.EXPIRED}:
            raise _no_usable(order)
        if not _is_hold(order, payment):
            return _of_order(order, payment)
        theirs = order.text("oid_paybill") or payment.provider_reference
        return _of_hold(order, self._ask_hold(payment, theirs), payment)

    def _ask_hold(self, payment: PaymentRef, provider_reference: str) -> Answer:
        """The pre-authorisation query. Raises as fetch does, for everything that is no state."""
        fields = {
            "api_version": mapping.API_VERSION,
            "pay_type": mapping.HOLD,
            "oid_paybill": provider_reference,
            **_order(payment),
        }
        answer = self._call(mapping.PREAUTH_QUERY, self._body(fields))
        _same_order(answer, payment)
        if answer.code not in mapping.PREAUTH_STATES and answer.code not in mapping.NO_SUCH_RECORD:
            raise _no_usable(answer)
        return answer

    # ------------------------------------------------------------------------------------------------- notifications

    def verify_webhook(self, delivery: Delivery) -> str:
        """Their signature over every member with a value, those unknown to us included."""
        if len(delivery.body) > mapping.NOTIFICATION_BYTES:
            raise BadSignature("too large", code="too_large")
        try:
            fields = signing.parse(delivery.body)
        except ValueError:
            raise BadSignature("not a message", code="unreadable") from None
        if any(isinstance(value, dict | list) for value in fields.values()):
            raise BadSignature("not a flat message", code="unreadable")
        if fields.get("oid_partner") != self.config.oid_partner:
            raise BadSignature("for another merchant", code="other_merchant")
        if not self._is_genuine(fields):
            raise BadSignature("wrong signature", code="bad_signature")
        return _event_id(fields, delivery)

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        """Money for an ordinary payment, a refund's state, or a hint: a hold's notification concludes nothing."""
        fields = signing.parse(delivery.body)
        if _text(fields, "no_refund"):
            return [_refund_notice(fields)]
        reference = _text(fields, "no_order")
        if not reference:
            logger.warning("lianlian_notification_unknown digest=%s", delivery.digest)
            return []
        hint = Hint(reference=reference, provider_reference=_text(fields, "oid_paybill"))
        if _text(fields, "pay_type") in mapping.HOLD_TYPES or fields.get("result_pay") != mapping.PAID:
            return [hint]
        try:
            return [_paid(fields, confirm=self.config.confirm_notifications)]
        except OutcomeUnknown:
            return [hint]

    def reply(self, *, accepted: bool) -> Reply:
        """Anything but 200 with ``0000`` within five seconds is sent again, every two minutes, thirty times in all."""
        if accepted:
            return Reply(200, mapping.ACKNOWLEDGEMENT, "application/json")
        return Reply(mapping.REFUSAL_STATUS, mapping.REFUSAL, "application/json")

    # ---------------------------------------------------------------------------------------------------- operations

    def capture(self, request: CaptureRequest) -> CaptureReport:
        """Take a hold, once: what is not taken of it is let go. "Accepted" is confirmed by one query."""
        fields = {**self._operation(request), "money_order": request.amount.decimal}
        return self._of_operation(request, mapping.PREAUTH_CAPTURE, fields, mapping.CAPTURE_STATES)

    def cancel(self, request: CancelRequest) -> CancelReport:
        """Let a hold go, all of it: LianLian cancels the authorised amount only."""
        fields = {**self._operation(request), "money_order": request.payment.amount.decimal}
        return self._of_operation(request, mapping.PREAUTH_CANCEL, fields, mapping.CANCEL_STATES)

    def refund(self, request: RefundRequest) -> RefundReport:
        """Give money back, within six months. Success means that the bank accepted it."""
        fields = {
            **_refund_number(request),
            **_order(request.payment),
            "oid_paybill": request.payment.provider_reference,
            "money_refund": request.amount.decimal,
            "notify_url": request.webhook_url,
        }
        answer = self._call(Endpoint("trader", self.config.refund_path), self._body(fields))
        if answer.code == mapping.SUCCESS:
            return _of_refund(answer, request)
        return self._refused(request, answer, lambda: self._known_refund(request))

    def fetch_refund(self, request: RefundRequest) -> RefundReport:
        answer = self._call(mapping.REFUND_QUERY, self._body(_refund_number(request)))
        if answer.code in mapping.NO_SUCH_RECORD:
            return request.report(OperationStatus.PENDING, absent=True, raw=_raw(answer.fields))
        if answer.code != mapping.SUCCESS:
            raise _no_usable(answer)
        return _of_refund(answer, request)

    def _of_operation(
        self,
        request: OperationRequest,
        endpoint: Endpoint,
        fields: Mapping[str, str],
        states: Mapping[str, OperationStatus],
    ) -> OperationReport:
        """Capture or cancellation. There is no number of its own on the wire: the hold's state tells what happened."""
        answer = self._call(endpoint, self._body(fields))
        _same_order(answer, request.payment)
        if answer.code != mapping.SUCCESS:
            return self._refused(request, answer, lambda: self._known_operation(request, states))
        try:
            hold = self._ask_hold(request.payment, request.payment.provider_reference)
        except ProviderError:
            return request.report(OperationStatus.PENDING, raw=_raw(answer.fields))
        status = states.get(hold.code, OperationStatus.PENDING)
        error = hold.code if status is OperationStatus.FAILED else ""
        return request.report(status, error_code=error, raw=_raw(hold.fields))

    def _refused(
        self, request: OperationRequest, answer: Answer, known: Callable[[], OperationReport | None]
    ) -> OperationReport:
        """A no. It may be to a repetition of what has happened, so it counts only if they do not know the operation."""
        if answer.action in {Action.OK, Action.ASK, Action.NONE} and answer.code not in mapping.DOUBTFUL_NO:
            raise OutcomeUnknown("LianLian may have done it", code=answer.code)
        try:
            found = known()
        except Rejected:
            found = None
            if answer.action is not Action.CFG:
                raise OutcomeUnknown("refused, or done before", code=answer.code) from None
        except ProviderError:
            raise OutcomeUnknown("refused, or done before", code=answer.code) from None
        if found:
            return found
        if answer.action is Action.CFG:
            raise Rejected("LianLian does not accept this request", code=answer.code)
        return request.report(OperationStatus.FAILED, error_code=answer.code, raw=_raw(answer.fields))

    def _known_refund(self, request: RefundRequest) -> RefundReport | None:
        report = self.fetch_refund(request)
        return None if report.absent else report

    def _known_operation(
        self, request: OperationRequest, states: Mapping[str, OperationStatus]
    ) -> OperationReport | None:
        hold = self._ask_hold(request.payment, request.payment.provider_reference)
        status = states.get(hold.code)
        done = status in {OperationStatus.SUCCEEDED, OperationStatus.PENDING}
        return request.report(status, raw=_raw(hold.fields)) if status and done else None

    def _operation(self, request: OperationRequest) -> dict[str, str]:
        return {
            "api_version": mapping.API_VERSION,
            "user_id": _payer(request.payment.payer, request.payment.reference),
            "pay_type": mapping.HOLD,
            "oid_paybill": request.payment.provider_reference,
            **_order(request.payment),
        }

    # --------------------------------------------------------------------------------------------------------- cards

    def look_up_card(self, card: Card) -> CardFacts | None:
        """Issuer and kind, for cards issued by members of UnionPay: credit cards need expiry and CVV2."""
        if not re.fullmatch(mapping.CARD_NUMBER, card.number, re.ASCII):
            return None
        body = self._body({"api_version": mapping.API_VERSION, "card_no": card.number})
        answer = self._call(mapping.CARD_BIN, body)
        if answer.code in mapping.UNKNOWN_CARD:
            return None
        if answer.code != mapping.SUCCESS:
            raise _no_usable(answer)
        issuer = _line(str(answer.fields.get("bank_name") or ""))[:60] or _issuer(answer.fields)
        funding = mapping.FUNDING.get(answer.text("card_type"), "")
        return CardFacts(issuer=issuer, funding=funding) if issuer or funding else None

    def remove_card(self, stored: StoredCard, *, payer: str) -> None:
        """Unbind. A card that they do not have any more is as good as removed."""
        fields = {"user_id": payer, "no_agree": stored.token, "pay_type": mapping.UNBIND_TYPE}
        answer = self._call(mapping.UNBIND, self._body(fields))
        if answer.code != mapping.SUCCESS and answer.code not in mapping.NO_SUCH_CARD:
            raise _no_usable(answer)

    # --------------------------------------------------------------------------------------------------- our requests

    def _application(self, request: PaymentRequest) -> dict[str, Any]:
        """Easypay Apply. A saved card goes alone: whatever else came with it would be ignored."""
        is_mobile = request.browser.is_mobile
        fields = {
            "api_version": mapping.API_VERSION,
            **self._purchase(request, server_to_server=True),
            "client_chnl": mapping.CHANNEL_H5 if is_mobile else mapping.CHANNEL_WEB,
        }
        if request.stored:
            return {**fields, "no_agree": request.stored.token}
        return {**fields, **_card_fields(request.card, self.config.expiry_format)} if request.card else fields

    def _page(self, request: PaymentRequest) -> PostForm:
        """Easypay's web page, or for a phone the H5 page: the same order in another wrapping."""
        fields = {
            "version": mapping.API_VERSION,
            "timestamp": _time(datetime.now(UTC)),
            **self._purchase(request, server_to_server=False),
            "url_return": request.return_url if len(request.return_url) <= mapping.URL_LENGTH else "",
            "no_agree": request.stored.token if request.stored else "",
        }
        if not fields["url_return"]:
            logger.warning("lianlian_return_url_too_long reference=%s", request.reference)
        if request.browser.is_mobile:
            fields |= {"app_request": mapping.H5_REQUEST, "syschnotify_flag": mapping.H5_COMES_BACK_BY_ITSELF}
            form = {"req_data": signing.compact(self._signed(fields))}
            return PostForm(self._address("h5") + mapping.H5_PATH, form)
        fields["userreq_ip"] = re.sub(r"[.:]", "_", request.customer.ip)[: mapping.IP_LENGTH] or mapping.UNKNOWN_IP
        form = {name: str(value) for name, value in self._signed(fields).items()}
        return PostForm(self._address("cashier") + mapping.CASHIER_PATH, form)

    def _purchase(self, request: PaymentRequest, *, server_to_server: bool) -> dict[str, Any]:
        """What page and application have in common."""
        is_credit = bool(request.card and not request.stored and request.card.cvc)
        ordinary = self.config.pay_type_credit if is_credit else mapping.ORDINARY
        goods = _line(request.description)
        goods = request.reference if goods.lower() in {"", signing.NULL_TEXT} else goods
        return {
            "user_id": _payer(request.payer, request.reference),
            "busi_partner": self.config.busi_partner,
            **_order(request),
            "name_goods": goods[: mapping.GOODS_LENGTH].strip(),
            "money_order": request.amount.decimal,
            "notify_url": request.webhook_url,
            "valid_order": max(1, request.expires_in // 60),
            "pay_type": mapping.HOLD if request.capture == "manual" else ordinary,
            "risk_item": signing.compact(self._risk(request, goods, server_to_server=server_to_server)),
        }

    def _risk(self, request: PaymentRequest, goods: str, *, server_to_server: bool) -> dict[str, Any]:
        """What their risk control wants to know. Our members win over nothing that the merchant sets itself."""
        card = request.card if not request.stored else None
        known = request.customer
        since = known.since or request.created_at
        risk: dict[str, Any] = {
            "frms_ware_category": self.config.ware_category,
            "user_info_mercht_userno": _payer(request.payer, request.reference),
            "user_info_dt_register": _time(since) if since else "",
            "goods_name": goods[: mapping.GOODS_LENGTH].strip(),
            "user_info_bind_phone": _phone(card.phone if card else known.phone),
        }
        if server_to_server:
            channel = mapping.CHANNEL_H5 if request.browser.is_mobile else mapping.CHANNEL_WEB
            risk |= {"frms_client_chnl": channel, "frms_ip_addr": _line(known.ip)}
        if card:
            risk |= {
                "user_info_full_name": _line(card.holder),
                "user_info_id_type": mapping.ID_TYPE,
                "user_info_id_no": _id_number(card.id_number),
                "user_info_identify_state": mapping.IDENTIFIED,
            }
        if self.config.busi_partner == mapping.BUSI_PARTNERS["physical goods"]:
            risk |= _delivery(request)
        kept = {name: value for name, value in risk.items() if value}
        return {**kept, **json.loads(self.config.risk_extras or "{}")}

    # --------------------------------------------------------------------------------------------------- on the wire

    def _body(self, fields: Mapping[str, Any], *, sign_type: str = mapping.ALWAYS) -> Body:
        return Body(signing.compact(self._signed(fields, sign_type=sign_type)).encode())

    def _signed(self, fields: Mapping[str, Any], *, sign_type: str = mapping.ALWAYS) -> dict[str, Any]:
        whole = {"oid_partner": self.config.oid_partner, **fields, "sign_type": sign_type}
        return signing.with_signature(whole, signing.private_key(self.config.merchant_private_key))

    def _address(self, role: str) -> str:
        """Where LianLian's ``role`` is: as configured, its real host beside the real trader, or all on one host."""
        configured = {
            "query": self.config.query_url,
            "cashier": self.config.cashier_url,
            "h5": self.config.h5_url,
        }.get(role, "")
        base = self.http.base_url
        is_real = urlsplit(base).netloc == urlsplit(mapping.HOSTS["trader"]).netloc
        return (configured or (mapping.HOSTS[role] if is_real and role != "trader" else base)).rstrip("/")

    def _call(self, endpoint: Endpoint, body: Body) -> Answer:
        """Send a signed body; their answer, genuine and ours. Raises Unreachable, OutcomeUnknown or Rejected."""
        http: Http = self.http if endpoint.host == "trader" else self.http.at(self._address(endpoint.host))
        received = http.post(endpoint.path, body, HEADERS).expect(200).body
        try:
            fields = signing.parse(received)
        except ValueError:
            raise OutcomeUnknown("LianLian's answer is no message", code="unreadable") from None
        answer = Answer(_text(fields, "ret_code", CODE), fields)
        if not answer.code:
            raise OutcomeUnknown("LianLian's answer has no code", code="unreadable")
        if not self._is_genuine(fields, endpoint):
            if fields.get("sign"):
                logger.error("lianlian_answer_forged path=%s ret_code=%s", endpoint.path, answer.code)
                raise OutcomeUnknown("LianLian's answer is not signed by LianLian", code="bad_signature")
            if answer.code not in endpoint.believed_unsigned:
                logger.warning("lianlian_answer_unsigned path=%s ret_code=%s", endpoint.path, answer.code)
                raise OutcomeUnknown("LianLian's answer is not signed", code="unsigned")
        elif fields.get("oid_partner") != self.config.oid_partner:
            raise OutcomeUnknown("LianLian answered another merchant", code="other_merchant")
        if answer.code not in mapping.CODES and answer.code not in mapping.PREAUTH_STATES:
            logger.warning("lianlian_code_unknown path=%s ret_code=%s", endpoint.path, answer.code)
        return answer

    def _is_genuine(self, fields: Mapping[str, Any], endpoint: Endpoint | None = None) -> bool:
        """Signed with LianLian's key, or with the one before it, in a way that this account uses."""
        texts = (self.config.provider_public_key, self.config.provider_public_key_previous)
        return signing.is_genuine(
            fields,
            [signing.public_key(text) for text in texts if text],
            sign_types={self.config.sign_type, mapping.ALWAYS},
            unsigned=endpoint.unsigned_members if endpoint else ((),),
        )


# -------------------------------------------------------------------------------------------------------- our requests


def _order(about: PaymentRequest | PaymentRef) -> dict[str, str]:
    """An order's two names, the same on every call about it."""
    return _number("order", about.reference, about.created_at)


def _refund_number(request: RefundRequest) -> dict[str, str]:
    return _number("refund", request.reference, request.created_at)


def _number(kind: str, reference: str, created_at: datetime | None) -> dict[str, str]:
    if not re.fullmatch(mapping.ORDER_NUMBER, reference):
        raise Rejected(f"the reference does not fit no_{kind}", code="reference")
    if created_at is None or created_at.tzinfo is None:
        raise Rejected(f"without the time of the {kind} LianLian does not find it", code="created_at")
    return {f"no_{kind}": reference, f"dt_{kind}": _time(created_at)}


def _time(moment: datetime) -> str:
    return moment.astimezone(mapping.ZONE).strftime(mapping.TIME_FORMAT)


def _payer(payer: str, reference: str) -> str:
    """``user_id`` binds one natural person: whom we do not know gets one for this payment."""
    return payer if re.fullmatch(mapping.PAYER, payer) else reference


def _line(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _phone(text: str) -> str:
    """A mainland mobile number as banks know it, eleven digits; a foreign one keeps its plus, and fits nowhere."""
    return re.sub(r"^(\+86|0086|86(?=\d{11}$))", "", re.sub(r"[^0-9+]", "", text))


def _id_number(text: str) -> str:
    return text.strip().upper()


def _problem_of(card: Card | None) -> str:
    """The field that LianLian would refuse by its form, or nothing."""
    if card is None:
        return "number"
    shapes = {
        "number": (mapping.CARD_NUMBER, card.number),
        "holder": (r".+", _line(card.holder)),
        "phone": (mapping.MOBILE, _phone(card.phone)),
        "id_number": (mapping.ID_NUMBER, _id_number(card.id_number)),
        "cvc": (rf"(?:{mapping.CVV2})?", card.cvc),
        "expiry": (r"(?:0 0|[1-9]\d? \d{4})", f"{card.expiry_month} {card.expiry_year}"),
    }
    return next((name for name, (shape, text) in shapes.items() if not re.fullmatch(shape, text, re.ASCII)), "")


def _card_fields(card: Card, expiry_format: str) -> dict[str, str]:
    year, month = f"{card.expiry_year % 100:02d}", f"{card.expiry_month:02d}"
    expiry = year + month if expiry_format == "YYMM" else month + year
    return {
        "card_no": card.number,
        "acct_name": _line(card.holder),
        "bind_mob": _phone(card.phone),
        "id_type": mapping.ID_TYPE,
        "id_no": _id_number(card.id_number),
        "vali_date": expiry if card.expiry_month else "",
        "cvv2": card.cvc,
    }


def _delivery(request: PaymentRequest) -> dict[str, str]:
    """For physical goods, as far as we know it; the rest is the merchant's ``risk_extras``."""
    address = request.shipping or contract.Address()
    count = sum(item.quantity for item in request.items)
    return {
        "delivery_full_name": _line(request.customer.name),
        "delivery_phone": _phone(request.customer.phone),
        "delivery_addr_province": _line(address.region),
        "delivery_addr_city": _line(address.city),
        "goods_count": str(count) if count else "",
    }


def _masked(phone: str) -> str:
    digits = _phone(phone)
    return f"{digits[:3]}****{digits[-4:]}" if digits else ""


# -------------------------------------------------------------------------------------------------------- their answer


def _started(answer: Answer, payment: PaymentRef) -> Started:
    """What an application or a code came to, when no code is asked for."""
    if answer.action in {Action.FIX, Action.FAIL, Action.NEW, Action.CODE, Action.WAIT}:
        status = Status.EXPIRED if answer.code == mapping.EXPIRED else Status.FAILED
        return Started(_report(answer, payment, status=status, decline=_decline(answer.code)), Wait())
    if answer.code != mapping.SUCCESS:
        raise _no_usable(answer)
    if not answer.fields.get("result_pay"):
        raise OutcomeUnknown("accepted, but what became of it is not said", code="no_result")
    return Started(_of_order(answer, payment), Wait())


def _token(answer: Answer) -> str:
    """What the shopper's code is to be handed in with; nothing once the answer has a result."""
    is_asked_for = answer.code in mapping.VERIFICATION_NEEDED
    has_result = answer.text("result_pay") not in mapping.NO_RESULT
    return answer.text("token", TOKEN) if is_asked_for and not has_result else ""


def _no_usable(answer: Answer) -> ProviderError:
    if answer.action is Action.CFG:
        return Rejected("LianLian does not accept this request", code=answer.code)
    return OutcomeUnknown("LianLian has no answer now", code=answer.code)


def _decline(code: str) -> Decline:
    category = mapping.meaning(code).category or mapping.DECLINE_OF_STATE.get(code)
    return Decline(category or DeclineCategory.PROCESSING_ERROR, code)


def _same_order(answer: Answer, payment: PaymentRef) -> None:
    if answer.fields.get("no_order", payment.reference) != payment.reference:
        raise OutcomeUnknown("LianLian answered about something else", code="other_order")


def _is_hold(answer: Answer, payment: PaymentRef) -> bool:
    return payment.capture == "manual" or answer.text("pay_type") in mapping.HOLD_TYPES


def _of_order(answer: Answer, payment: PaymentRef) -> PaymentReport:
    """An order by its ``result_pay``. A hold that "succeeded" is not captured: what it is, a fetch finds out."""
    if answer.code == mapping.EXPIRED:
        return _report(answer, payment, status=Status.EXPIRED, decline=_decline(mapping.EXPIRED))
    word = answer.text("result_pay")
    if word not in mapping.ORDER_STATES:
        logger.warning("lianlian_state_unknown reference=%s", payment.reference)
    status = mapping.ORDER_STATES.get(word, Status.PENDING)
    if _is_hold(answer, payment) and status is Status.CAPTURED:
        return _report(answer, payment, status=Status.PENDING)
    if status is Status.CAPTURED:
        paid = _total(answer.fields)
        given_back = paid if word == mapping.REFUNDED_STATE else None
        return _report(answer, payment, status=status, authorised=paid, captured=paid, refunded=given_back)
    if status is Status.AUTHORISED:
        return _report(answer, payment, status=status, authorised=_total(answer.fields))
    why = _decline(word) if status is Status.FAILED else None
    return _report(answer, payment, status=status, decline=why, awaits_shopper=word in mapping.AWAITS_SHOPPER)


def _of_hold(order: Answer, hold: Answer, payment: PaymentRef) -> PaymentReport:
    """A hold: its state from the pre-authorisation query, what was taken of it from the order query."""
    status = mapping.PREAUTH_STATES.get(hold.code)
    if status is None:
        return _of_order(Answer(order.code, {**order.fields, "pay_type": mapping.HOLD}), payment)
    facts: dict[str, Any] = {"amount": _amount(hold.fields) or _amount(order.fields)}
    facts["raw"] = {**_raw(order.fields), **_raw(hold.fields)}
    facts["provider_reference"] = hold.text("oid_paybill") or order.text("oid_paybill")
    if status in {Status.PENDING, Status.FAILED, Status.EXPIRED}:
        why = None if status is Status.PENDING else _decline(hold.code)
        waits = hold.code in mapping.AWAITS_SHOPPER
        return _report(order, payment, status=status, decline=why, awaits_shopper=waits, **facts)
    held = _total(hold.fields if hold.fields.get("money_order") else order.fields)
    if status is Status.AUTHORISED:
        return _report(order, payment, status=status, authorised=held, **facts)
    if status is Status.CANCELLED:
        return _report(order, payment, status=status, authorised=held, released=held, **facts)
    if not mapping.ORDER_QUERY_SHOWS_WHAT_WAS_CAPTURED:
        return _report(order, payment, status=None, authorised=held, **facts)
    taken = _total(order.fields)
    given_back = taken if order.fields.get("result_pay") == mapping.REFUNDED_STATE else None
    let_go = max(0, held - taken) or None
    return _report(
        order, payment, status=status, authorised=held, captured=taken, refunded=given_back, released=let_go, **facts
    )


def _report(answer: Answer, payment: PaymentRef, **facts: Any) -> PaymentReport:
    """A report on this very payment. Raises OutcomeUnknown when the answer is about another."""
    _same_order(answer, payment)
    known = {
        "reference": payment.reference,
        "provider_reference": answer.text("oid_paybill"),
        "amount": _amount(answer.fields),
        "card": _card(answer.fields),
        "token": answer.text("no_agree"),
        "raw": _raw(answer.fields),
    }
    return PaymentReport(**{**known, **facts})


def _of_refund(answer: Answer, request: RefundRequest) -> RefundReport:
    if answer.fields.get("no_refund", request.reference) != request.reference:
        raise OutcomeUnknown("LianLian answered about another refund", code="other_refund")
    return request.report(**_refund_facts(answer.fields))


def _refund_notice(fields: Mapping[str, Any]) -> OperationReport:
    return OperationReport(
        reference=_text(fields, "no_refund"), operation=Capability.REFUND, **_refund_facts(fields, quiet=True)
    )


def _refund_facts(fields: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Raises OutcomeUnknown for an amount that cannot be read; ``quiet`` leaves it out instead."""
    word = _text(fields, "sta_refund")
    if word not in mapping.REFUND_STATES:
        logger.warning("lianlian_refund_state_unknown reference=%s", _text(fields, "no_refund"))
    status = mapping.REFUND_STATES.get(word, OperationStatus.PENDING)
    try:
        amount = _amount(fields, "money_refund")
    except OutcomeUnknown:
        if not quiet:
            raise
        amount, status = None, OperationStatus.PENDING
    return {
        "provider_reference": _text(fields, "oid_refundno"),
        "status": status,
        "amount": amount,
        "error_code": f"sta_refund_{word}" if status is OperationStatus.FAILED else "",
        "raw": _raw(fields),
    }


def _paid(fields: Mapping[str, Any], *, confirm: bool) -> PaymentReport:
    """A notification of money. Raises OutcomeUnknown when it does not say how much."""
    paid = _total(fields)
    return PaymentReport(
        reference=_text(fields, "no_order"),
        provider_reference=_text(fields, "oid_paybill"),
        status=Status.CAPTURED,
        amount=_amount(fields),
        authorised=paid,
        captured=paid,
        card=_card(fields),
        token=_text(fields, "no_agree"),
        confirm=confirm,
        raw=_raw(fields),
    )


def _event_id(fields: Mapping[str, Any], delivery: Delivery) -> str:
    """Kind, both numbers and what the event says of them: a hold's two notifications differ in their dates only."""
    kind = "refund" if fields.get("no_refund") else "payment" if fields.get("no_order") else "other"
    names = {
        "refund": ("no_refund", "oid_refundno", "sta_refund", "money_refund"),
        "payment": ("no_order", "oid_paybill", "result_pay", "money_order", "settle_date"),
    }.get(kind, ())
    parts = [str(fields.get(name) or "") for name in names]
    readable = ":".join((kind, *parts))
    if (
        parts
        and len(readable) <= 100
        and re.fullmatch(r"[A-Za-z0-9_.:-]+", readable)
        and not any(":" in p for p in parts)
    ):
        return readable
    return f"{kind}:{delivery.digest}"


# --------------------------------------------------------------------------------------------------------- the readers


def _text(fields: Mapping[str, Any], name: str, shape: re.Pattern[str] = ID) -> str:
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


def _card(fields: Mapping[str, Any]) -> CardFacts | None:
    issuer = _issuer(fields)
    return CardFacts(issuer=issuer) if issuer else None


def _issuer(fields: Mapping[str, Any]) -> str:
    code = _text(fields, "bank_code")
    return mapping.BANKS.get(code, code)


def _raw(fields: Mapping[str, Any]) -> dict[str, str]:
    found = {name: _text(fields, name, SHORT) for name in mapping.KEPT}
    return {name: text for name, text in found.items() if text}


# ------------------------------------------------------------------------------------------------- the configuration


def _demand(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _loads(load: Callable[[str], object], text: str) -> bool:
    try:
        load(text)
    except ValueError:
        return False
    return True


def _is_object(text: str) -> bool:
    try:
        return not text.strip() or isinstance(signing.parse(text.encode()), dict)
    except ValueError:
        return False


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
