"""Antom APO as a provider, in the order a shopper meets it: pay, the truth, notifications, operations.

Every call is a signed POST, and every answer is signed too, except when the gateway rejects our own signature. A
business failure arrives with HTTP 200: only ``result`` says what happened. A successful ``pay`` is a hold, even where
Antom captures by itself a moment later.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from providers import contract
from providers.antom import answers, bodies, mapping, signing
from providers.antom.answers import Answer
from providers.contract import (
    BadSignature,
    CancelReport,
    CancelRequest,
    Capability,
    CaptureReport,
    CaptureRequest,
    Delivery,
    LeadsTo,
    Method,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    ProviderError,
    RefundReport,
    RefundRequest,
    Rejected,
    Reply,
    Report,
    Started,
    Status,
    public_key,
    secret,
)
from providers.http import HttpAnswer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    """What Antom's dashboard shows. Keys are PEM or bare Base64; the gateway's host is the account's base URL."""

    client_id: str
    merchant_private_key: str = secret(
        metadata={"multiline": True, "help": "Ours: PEM or Base64. Its public half is uploaded to Antom."}
    )
    provider_public_key: str = public_key(metadata={"help": "Antom's, from its dashboard: PEM or Base64."})
    provider_public_key_previous: str = public_key(default="")
    """While Antom changes its key, messages signed with the old one are still theirs."""
    key_version: str = "1"
    environment: str = field(
        default="", metadata={"help": "sandbox or production; empty: a client id SANDBOX_… means sandbox."}
    )
    settlement_currency: str = field(default="", metadata={"help": "Needed when several are contracted."})
    merchant_region: str = ""
    merchant_account_id: str = field(default="", metadata={"help": "When one client id serves several locations."})
    agent_token: str = secret(default="", metadata={"help": "Of a service provider that acts for merchants."})

    def __post_init__(self) -> None:
        _demand(re.fullmatch(r"[!-+\--~]{1,64}", self.client_id), "client_id is a word of at most 64 plain characters")
        _demand(_loads(signing.private_key, self.merchant_private_key), "merchant_private_key is not an RSA key")
        _demand(_loads(signing.public_key, self.provider_public_key), "provider_public_key is not an RSA public key")
        _demand(
            not self.provider_public_key_previous or _loads(signing.public_key, self.provider_public_key_previous),
            "provider_public_key_previous is not an RSA public key",
        )
        _demand(re.fullmatch(r"[0-9]{1,8}", self.key_version), "key_version is a number")
        _demand(self.environment in {"", *mapping.PREFIXES}, "environment is sandbox, production or empty")
        _demand(
            re.fullmatch(r"([A-Z]{3})?", self.settlement_currency), "settlement_currency is a code of three capitals"
        )
        _demand(re.fullmatch(r"([A-Z]{2})?", self.merchant_region), "merchant_region is a code of two capitals")
        _demand(
            re.fullmatch(r"[!-~]{0,32}", self.merchant_account_id), "merchant_account_id: at most 32 plain characters"
        )
        _demand(re.fullmatch(r"[!-~]{0,128}", self.agent_token), "agent_token has at most 128 plain characters")

    @property
    def prefix(self) -> str:
        """Of every path: sandbox and production share a host."""
        by_client = "sandbox" if self.client_id.startswith(mapping.SANDBOX_CLIENT) else "production"
        return mapping.PREFIXES[self.environment or by_client]

    @property
    def settings(self) -> dict[str, str]:
        """What goes into every payment, by its name on the wire."""
        return {
            "settlementCurrency": self.settlement_currency,
            "merchantRegion": self.merchant_region,
            "merchantAccountId": self.merchant_account_id,
        }


class Provider(contract.Provider):
    slug = "antom"
    name = "Antom"
    capabilities = frozenset(
        {
            Capability.CAPTURE,
            Capability.CANCEL,
            Capability.REFUND,
            Capability.FETCH_REFUND,
            Capability.PARTIAL_CAPTURE,
            Capability.PARTIAL_REFUND,
            Capability.CLOSE_UNPAID,
            Capability.SAVE_CARD,
            Capability.PAY_WITH_TOKEN,
            Capability.MERCHANT_INITIATED,
            Capability.THREE_DS_WISH,
            Capability.EXTERNAL_THREE_DS,
        }
    )
    methods = (
        Method(mapping.CARD_METHOD, leads_to=LeadsTo.RESULT, takes_card=True, currencies=mapping.CURRENCIES),
        Method(mapping.CASHIER_METHOD, currencies=mapping.CURRENCIES),
        Method(mapping.CARD_PAGE_METHOD, currencies=mapping.CURRENCIES, opt_in=True),
    )
    session_seconds = mapping.SESSION_SECONDS
    settling_seconds = mapping.SETTLING_SECONDS
    redirect_hosts = mapping.REDIRECT_HOSTS

    config: Config

    # ------------------------------------------------------------------------------------------------------- paying

    def start(self, request: PaymentRequest) -> Started:
        """A hold, a no, or a page: any card can lead to one, whatever was wished for.

        A page while ``shopper_is_away`` is a failure (AUTHENTICATION_REQUIRED). Antom still has that payment open
        until it runs out, so it must then be cancelled.
        """
        if request.method == mapping.CASHIER_METHOD and not request.stored:
            answer = self._call(mapping.CREATE_SESSION, bodies.session(request, self.config.settings))
            return answers.opened_page(answer, request)
        needs_card = request.method == mapping.CARD_METHOD and not (request.card or request.stored)
        if needs_card or request.method not in {method.code for method in self.methods}:
            raise Rejected("neither a page nor a card", code="method")
        return answers.started(self._call(mapping.PAY, bodies.payment(request, self.config.settings)), request)

    # ------------------------------------------------------------------------------------------------------ the truth

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """The hold's state and, added up, the captures and refunds that belong to it."""
        answer = self._inquire(payment)
        return answers.inquired(answer, payment) if answer.status == "S" else answers.unknown(payment, answer)

    def _inquire(self, payment: PaymentRef) -> Answer:
        """Found (``S``), or certainly not there (``F``). Raises OutcomeUnknown or Rejected for every other answer."""
        answer = self._call(mapping.INQUIRE, self._payment(payment))
        if answer.status == "S" or (answer.status == "F" and answer.code == mapping.ORDER_NOT_EXIST):
            return answer
        raise answer.unusable()

    # ------------------------------------------------------------------------------------------------- notifications

    def verify_webhook(self, delivery: Delivery) -> str:
        """Their signature over our path without its query (or, nobody knows, with it) and the exact bytes."""
        client_id, sent_at = delivery.header("client-id"), delivery.header("request-time")
        if client_id != self.config.client_id:
            raise BadSignature("for another client", code="other_client")
        paths = dict.fromkeys((delivery.path.partition("?")[0], delivery.path))
        signature, keys = delivery.header("signature"), self._keys
        if not any(
            signing.is_genuine(signature, signing.content(path, client_id, sent_at, delivery.body), keys)
            for path in paths
        ):
            raise BadSignature("wrong signature", code="bad_signature")
        return answers.event_id(_message(delivery), delivery)

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        return answers.notified(_message(delivery), delivery)

    def reply(self, *, accepted: bool) -> Reply:
        """Anything but this answer is sent again: seven times, within a day."""
        headers = {"client-id": self.config.client_id, "response-time": bodies.time_text(datetime.now(UTC))}
        if accepted:
            return Reply(200, mapping.ACKNOWLEDGEMENT, "application/json", headers)
        return Reply(mapping.REFUSAL_STATUS, mapping.REFUSAL, "application/json", headers)

    # ---------------------------------------------------------------------------------------------------- operations

    def capture(self, request: CaptureRequest) -> CaptureReport:
        """Take a hold, once: what is not taken of it is let go."""
        answer = self._call(mapping.CAPTURE, bodies.capture(request))
        if answer.status == "F":
            return self._refused(request, answer, self._known_capture)
        return answers.operated(answer, request, "capture")

    def cancel(self, request: CancelRequest) -> CancelReport:
        """Let a hold go, or close what nobody has paid. The payment's own id makes repeating it harmless."""
        answer = self._call(mapping.CANCEL, self._payment(request.payment))
        if answer.status == "F":
            return self._refused(request, answer, self._known_cancel)
        return answers.cancelled(answer, request)

    def refund(self, request: RefundRequest) -> RefundReport:
        """Give captured money back; most acquirers say later whether it worked."""
        answer = self._call(mapping.REFUND, bodies.refund(request))
        if answer.status == "F":
            return self._refused(request, answer, self._known_refund)
        return answers.operated(answer, request, "refund")

    def fetch_refund(self, request: RefundRequest) -> RefundReport:
        fields = {"refundRequestId": bodies.reference(request.reference), **self._location}
        answer = self._call(mapping.INQUIRE_REFUND, fields)
        if answer.status == "F" and answer.code == mapping.ORDER_NOT_EXIST:
            return request.report(OperationStatus.PENDING, absent=True, raw=answers.kept(answer.fields))
        if answer.status != "S":
            raise answer.unusable()
        return answers.inquired_refund(answer, request)

    def _refused(
        self,
        request: OperationRequest,
        answer: Answer,
        known: Callable[[OperationRequest], OperationReport | None],
    ) -> OperationReport:
        """A no. It may be to a repetition of what has happened, so it counts only if they know no such operation."""
        try:
            found = known(request)
        except Rejected:
            found = None
            if answer.code not in mapping.REFUSED_REQUESTS:
                raise OutcomeUnknown("refused, or done before", code=answer.code) from None
        except ProviderError:
            raise OutcomeUnknown("refused, or done before", code=answer.code) from None
        if found:
            return found
        if answer.code in mapping.REPEATED:
            raise OutcomeUnknown("they have this reference already", code=answer.code)
        if answer.code in mapping.REFUSED_REQUESTS:
            raise Rejected("Antom does not accept this request", code=answer.code)
        return request.report(OperationStatus.FAILED, error_code=answer.code, raw=answers.kept(answer.fields))

    def _known_capture(self, request: OperationRequest) -> OperationReport | None:
        answer = self._inquire(request.payment)
        return answers.capture_among(answer, request) if answer.status == "S" else None

    def _known_cancel(self, request: OperationRequest) -> OperationReport | None:
        found = self.fetch(request.payment)
        return request.report(OperationStatus.SUCCEEDED, raw=found.raw) if found.status is Status.CANCELLED else None

    def _known_refund(self, request: OperationRequest) -> OperationReport | None:
        found = self.fetch_refund(request)
        return None if found.absent or found.status is OperationStatus.FAILED else found

    # --------------------------------------------------------------------------------------------------------- calls

    @property
    def _location(self) -> dict[str, str]:
        chosen = self.config.merchant_account_id
        return {"merchantAccountId": chosen} if chosen else {}

    def _payment(self, payment: PaymentRef) -> dict[str, str]:
        """Which payment: by their id, which wins, as soon as we know it, and by ours."""
        theirs = {"paymentId": payment.provider_reference} if payment.provider_reference else {}
        return {**theirs, "paymentRequestId": bodies.reference(payment.reference), **self._location}

    @property
    def _keys(self) -> list[Any]:
        texts = (self.config.provider_public_key, self.config.provider_public_key_previous)
        return [signing.public_key(one) for one in texts if one]

    def _call(self, endpoint: str, fields: Mapping[str, Any]) -> Answer:
        """Sign, send, verify, open. Raises Unreachable, OutcomeUnknown or Rejected."""
        body, sent_at = bodies.encode(fields), str(int(time.time() * 1000))
        path = self.config.prefix + endpoint
        called = urlsplit(self.http.base_url).path + path
        message = signing.content(called, self.config.client_id, sent_at, body)
        key = signing.private_key(self.config.merchant_private_key)
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "client-id": self.config.client_id,
            "request-time": sent_at,
            "signature": signing.sign(message, key, key_version=self.config.key_version),
            **({"agent-token": self.config.agent_token} if self.config.agent_token else {}),
        }
        return self._opened(called, self.http.post(path, body, headers))

    def _opened(self, called: str, got: HttpAnswer) -> Answer:
        """The answer to a call of this path, if it is one.

        Whatever is not signed, or not with HTTP 200, is believed only when it says that our request was not looked at.
        """
        is_signed = self._is_signed(called, got)
        try:
            answer = answers.opened(got.json())
        except OutcomeUnknown:
            got.expect(200)
            raise
        if not is_signed:
            if answer.code in mapping.BELIEVED_UNSIGNED and answer.status != "S":
                logger.error("antom_rejected_us path=%s code=%s", called, answer.code)
                raise Rejected("the gateway does not accept our credentials", code=answer.code)
            if answer.status == "S":
                logger.error("antom_unsigned_success path=%s code=%s", called, answer.code)
            raise OutcomeUnknown("the answer is not signed", code="unsigned")
        if got.status != 200 and answer.code in mapping.REFUSED_REQUESTS and answer.status == "F":
            raise Rejected("Antom does not accept this request", code=answer.code)
        got.expect(200)
        return answer

    def _is_signed(self, called: str, got: HttpAnswer) -> bool:
        """False without any signature. Raises OutcomeUnknown for a wrong one, or one for somebody else."""
        signature = _header(got, "signature")
        if not signature.strip():
            return False
        client_id = _header(got, "client-id")
        message = signing.content(called, client_id, _header(got, "response-time"), got.body)
        if client_id != self.config.client_id or not signing.is_genuine(signature, message, self._keys):
            logger.error("antom_wrong_signature path=%s", called)
            raise OutcomeUnknown("the answer's signature is wrong", code="bad_signature")
        return True


# --------------------------------------------------------------------------------------------------------- small things


def _message(delivery: Delivery) -> Mapping[str, Any]:
    """A notification's members. Raises BadSignature: nobody signs what is no message."""
    try:
        fields = json.loads(delivery.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadSignature("not a message", code="unreadable")
    return fields


def _header(got: HttpAnswer, name: str) -> str:
    return next((value for key, value in got.headers.items() if key.lower() == name), "")


def _demand(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _loads(load: Callable[[str], object], text: str) -> bool:
    try:
        load(text)
    except ValueError:
        return False
    return True
