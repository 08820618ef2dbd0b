"""LianLian Pay's Easypay as a provider, in the order a shopper meets it: apply, the SMS code, the truth, operations.

Requests, answers and notifications are signed. ``ret_code`` says whether a call was understood, ``result_pay`` what
became of the money, and failures are never announced: a fetch has to find them. A hold is a story of its own, told by
the pre-authorisation query alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from providers.lianlian import answers, bodies, mapping, signing
from providers.lianlian.answers import Answer
from providers.lianlian.mapping import Action, Endpoint

logger = logging.getLogger(__name__)

HEADERS = {"Content-Type": "application/json;charset=utf-8"}


@dataclass(frozen=True)
class Config:
    """What LianLian and the merchant agreed on. Keys are PEM or bare Base64."""

    oid_partner: str = field(metadata={"label": "Merchant number (oid_partner)"})
    ware_category: str = field(
        metadata={"label": "Industry code", "help": "frms_ware_category: four digits, assigned by LianLian."}
    )
    merchant_private_key: str = secret(
        metadata={"multiline": True, "help": "Ours: PEM or Base64. Its public half is uploaded to LianLian."}
    )
    provider_public_key: str = public_key(metadata={"help": "LianLian's, from its merchant console: PEM or Base64."})
    provider_public_key_previous: str = public_key(
        default="", metadata={"help": "While LianLian changes its key: messages signed with the old one are accepted."}
    )
    sign_type: str = field(default="RSA", metadata={"help": "RSA or SHA256withRSA, as agreed with LianLian."})
    busi_partner: str = field(
        default=mapping.BUSI_PARTNERS["virtual goods"],
        metadata={"help": "101001 for virtual goods, 109001 for physical goods, as in the contract."},
    )
    risk_extras: str = field(
        default="", metadata={"multiline": True, "help": "Further members of risk_item, as a JSON object."}
    )
    query_url: str = field(default="", metadata={"help": "Empty: beside LianLian's real host, else the base URL."})
    cashier_url: str = field(default="", metadata={"help": "Of the payment page; empty: likewise."})
    h5_url: str = field(default="", metadata={"help": "Of the payment page for phones; empty: likewise."})
    refund_path: str = field(default=mapping.REFUND_PATH, metadata={"help": "/refund.htm, or /exchangerefund.htm."})
    pay_type_credit: str = field(
        default=mapping.ORDINARY, metadata={"help": "pay_type of ordinary payments by credit card: M or N."}
    )
    expiry_format: str = field(
        default=mapping.EXPIRY_FORMATS[0], metadata={"help": "Of a credit card's expiry date: YYMM or MMYY."}
    )
    confirm_notifications: bool = field(
        default=True, metadata={"help": "Ask LianLian before a notification of money counts: its signatures are weak."}
    )

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
            brands=frozenset({mapping.CARD_BRAND}),
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
        problem = "" if request.stored else bodies.problem_of(request.card)
        if problem:  # known beforehand, and their answer to it would look like a mistake of ours
            why = Decline(DeclineCategory.INVALID_CARD, problem)
            return Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=why), Wait())
        answer = self._call(
            mapping.APPLY, self._body(bodies.application(request, self.config), sign_type=self.config.sign_type)
        )
        ref = PaymentRef(reference=request.reference, amount=request.amount, capture=request.capture)
        token = answers.token_of(answer)
        if token:
            phone = request.card.phone if request.card and not request.stored else ""
            return Started(answers.report(answer, ref, status=Status.PENDING), EnterCode(token, bodies.masked(phone)))
        return answers.started(answer, ref)

    def submit_code(self, payment: PaymentRef, *, handle: str, code: str) -> Started:
        """Verify: the code that moves the money. Sent once; after trouble on the way only a fetch helps."""
        waiting = PaymentReport(reference=payment.reference, status=Status.PENDING)
        if not re.fullmatch(mapping.SMS_CODE, code):
            return Started(waiting, EnterCode(handle, problem=CodeProblem.WRONG))
        about = {**bodies.order(payment), "money_order": payment.amount.decimal}
        body = self._body({**about, "token": handle, "verify_code": code}, sign_type=self.config.sign_type)
        answer = self._call(mapping.VERIFY, body)
        problem = mapping.CODE_PROBLEMS.get(answer.code)
        if problem:
            return Started(waiting, EnterCode(handle if problem is CodeProblem.WRONG else "", problem=problem))
        token = answers.token_of(answer)
        if token or answer.code == mapping.ANOTHER_CODE:
            step = EnterCode(token or handle, problem=CodeProblem.ANOTHER)
            return Started(answers.report(answer, payment, status=Status.PENDING), step)
        return answers.started(answer, payment)

    def _page(self, request: PaymentRequest) -> PostForm:
        """A form that leads to LianLian's page; on the H5 page it is one field with all of them in it."""
        fields = self._signed(bodies.page(request, self.config))
        if request.browser.is_mobile:
            return PostForm(self._address("h5") + mapping.H5_PATH, {"req_data": signing.compact(fields)})
        form = {name: str(value) for name, value in fields.items()}
        return PostForm(self._address("cashier") + mapping.CASHIER_PATH, form)

    # ------------------------------------------------------------------------------------------------------ the truth

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """The order query; for a hold the pre-authorisation query too, which alone tells of held and taken money."""
        order = self._ask_order(payment)
        if order.code in mapping.NO_SUCH_RECORD:
            return PaymentReport(reference=payment.reference, absent=True, raw=answers.kept(order.fields))
        if not answers.is_hold(order, payment):
            return answers.of_order(order, payment)
        theirs = order.text("oid_paybill") or payment.provider_reference
        return answers.of_hold(order, self._ask_hold(payment, theirs), payment)

    def _ask_order(self, payment: PaymentRef) -> Answer:
        """The order query. Raises as fetch does, for everything that is no state."""
        answer = self._call(mapping.ORDER_QUERY, self._body(bodies.order(payment)))
        answers.same_order(answer, payment)
        if answer.code not in {mapping.SUCCESS, mapping.EXPIRED, *mapping.NO_SUCH_RECORD}:
            raise answers.no_usable(answer)
        return answer

    def _ask_hold(self, payment: PaymentRef, provider_reference: str) -> Answer:
        """The pre-authorisation query. Raises as fetch does, for everything that is no state."""
        fields = {
            "api_version": mapping.API_VERSION,
            "pay_type": mapping.HOLD,
            "oid_paybill": provider_reference,
            **bodies.order(payment),
        }
        answer = self._call(mapping.PREAUTH_QUERY, self._body(fields))
        answers.same_order(answer, payment)
        if answer.code not in mapping.PREAUTH_STATES and answer.code not in mapping.NO_SUCH_RECORD:
            raise answers.no_usable(answer)
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
        return answers.event_id(fields, delivery)

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        """Money for an ordinary payment, a refund's state, or a hint: a hold's notification concludes nothing."""
        fields = signing.parse(delivery.body)
        if answers.text_of(fields, "no_refund"):
            return [answers.refund_notice(fields)]
        reference = answers.text_of(fields, "no_order")
        if not reference:
            logger.warning("lianlian_notification_unknown digest=%s", delivery.digest)
            return []
        hint = Hint(reference=reference, provider_reference=answers.text_of(fields, "oid_paybill"))
        if answers.text_of(fields, "pay_type") in mapping.HOLD_TYPES or fields.get("result_pay") != mapping.PAID:
            return [hint]
        try:
            return [answers.paid(fields, confirm=self.config.confirm_notifications)]
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
        fields = {**bodies.about_hold(request), "money_order": request.amount.decimal}
        return self._of_operation(request, mapping.PREAUTH_CAPTURE, fields, mapping.CAPTURE_STATES)

    def cancel(self, request: CancelRequest) -> CancelReport:
        """Let a hold go, all of it: LianLian cancels the authorised amount only."""
        fields = {**bodies.about_hold(request), "money_order": request.payment.amount.decimal}
        return self._of_operation(request, mapping.PREAUTH_CANCEL, fields, mapping.CANCEL_STATES)

    def refund(self, request: RefundRequest) -> RefundReport:
        """Give money back, within six months. Success means that the bank accepted it."""
        fields = {
            **bodies.refund(request),
            **bodies.order(request.payment),
            "oid_paybill": request.payment.provider_reference,
            "money_refund": request.amount.decimal,
            "notify_url": request.webhook_url,
        }
        answer = self._call(Endpoint("trader", self.config.refund_path), self._body(fields))
        if answer.code == mapping.SUCCESS:
            return answers.of_refund(answer, request)
        return self._refused(request, answer, lambda: self._known_refund(request))

    def fetch_refund(self, request: RefundRequest) -> RefundReport:
        answer = self._call(mapping.REFUND_QUERY, self._body(bodies.refund(request)))
        if answer.code in mapping.NO_SUCH_RECORD:
            return request.report(OperationStatus.PENDING, absent=True, raw=answers.kept(answer.fields))
        if answer.code != mapping.SUCCESS:
            raise answers.no_usable(answer)
        return answers.of_refund(answer, request)

    def _of_operation(
        self,
        request: OperationRequest,
        endpoint: Endpoint,
        fields: Mapping[str, str],
        states: Mapping[str, OperationStatus],
    ) -> OperationReport:
        """Capture or cancellation. There is no number of its own on the wire: the hold's state tells what happened."""
        answer = self._call(endpoint, self._body(fields))
        answers.same_order(answer, request.payment)
        if answer.code != mapping.SUCCESS:
            return self._refused(request, answer, lambda: self._known_operation(request, states))
        try:
            hold = self._ask_hold(request.payment, request.payment.provider_reference)
        except ProviderError:
            return request.report(OperationStatus.PENDING, raw=answers.kept(answer.fields))
        return answers.of_operation(hold, request, states)

    def _refused(
        self, request: OperationRequest, answer: Answer, known: Callable[[], OperationReport | None]
    ) -> OperationReport:
        """A no. It may be to a repetition of what has happened, so first of all they are asked what they know."""
        doubtful = OutcomeUnknown("LianLian may have done it", code=answer.code)
        try:
            found = known()
        except Rejected:
            if answer.action is not Action.CFG:
                raise doubtful from None
            found = None  # nothing of ours is understood, so this was not either
        except ProviderError:
            raise doubtful from None
        if found:
            return found
        if answer.action is Action.CFG:
            raise Rejected("LianLian does not accept this request", code=answer.code)
        if answer.action in {Action.OK, Action.ASK, Action.NONE} and answer.code not in mapping.DOUBTFUL_NO:
            raise doubtful
        return request.report(OperationStatus.FAILED, error_code=answer.code, raw=answers.kept(answer.fields))

    def _known_refund(self, request: RefundRequest) -> RefundReport | None:
        report = self.fetch_refund(request)
        return None if report.absent else report

    def _known_operation(
        self, request: OperationRequest, states: Mapping[str, OperationStatus]
    ) -> OperationReport | None:
        """What the hold's state says of an operation that was refused; None when it says nothing."""
        hold = self._ask_hold(request.payment, request.payment.provider_reference)
        if hold.code not in states or hold.code in mapping.MAY_BE_OLD:
            return None
        if hold.code == mapping.CAPTURED and states is mapping.CAPTURE_STATES:
            taken = answers.of_hold(self._ask_order(request.payment), hold, request.payment).captured
            if taken != request.amount.minor:  # a hold is captured once: is that another capture, or our belief wrong?
                raise OutcomeUnknown("captured, but not this amount", code="other_amount")
        return answers.of_operation(hold, request, states)

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
            raise answers.no_usable(answer)
        return answers.facts_of_card(answer)

    def remove_card(self, stored: StoredCard, *, payer: str) -> None:
        """Unbind. A card that they do not have any more is as good as removed."""
        about = {"user_id": payer, "pay_type": mapping.UNBIND_TYPE}
        answer = self._call(mapping.UNBIND, self._body({**about, "no_agree": stored.token}))
        if answer.code != mapping.SUCCESS and answer.code not in mapping.NO_SUCH_CARD:
            raise answers.no_usable(answer)

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
        answer = Answer(answers.text_of(fields, "ret_code", answers.CODE), fields)
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
