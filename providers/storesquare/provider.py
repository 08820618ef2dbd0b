"""StoreSquare as a provider, in the order a shopper meets it: start, the truth, operations, webhooks, tracking.

Its answers carry no signature, and how it signs webhooks is assumed: money is believed from an inquiry only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from providers import contract
from providers.contract import (
    BadSignature,
    Capability,
    Decline,
    DeclineCategory,
    Delivery,
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
    ProviderError,
    Redirect,
    Rejected,
    Reply,
    Report,
    ShipmentStatus,
    Started,
    Status,
    Subscription,
    TrackingReport,
    TrackingRequest,
    Unreachable,
    Wait,
)
from providers.http import Body, HttpAnswer
from providers.money import Money
from providers.storesquare import answers, bodies, mapping, signing, tokens
from providers.storesquare.answers import Answer, Message, Payment
from providers.storesquare.profile import Endpoint, Profile, Scheme, load, placed
from providers.storesquare.tokens import Token

EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,90}")
DEFAULT = load()


@dataclass(frozen=True)
class Config:
    """What StoreSquare hands out, and what a merchant who has its manual knows better than we do."""

    app_id: str = field(metadata={"label": "App id", "help": "Merchant number, usually 15 digits."})
    secret: str = contract.secret(metadata={"label": "Secret"})
    secret_previous: str = contract.secret(
        default="",
        metadata={
            "label": "Previous secret",
            "help": "While the secret is being changed, webhooks signed with the old one are still theirs.",
        },
    )
    webhook_secret: str = contract.secret(
        default="",
        metadata={"label": "Webhook secret", "help": "Only if webhooks are signed with a key of their own."},
    )
    webhook_secret_previous: str = contract.secret(default="", metadata={"label": "Previous webhook secret"})
    variant: str = field(
        default="storesquare",
        metadata={"label": "Variant", "help": "storesquare, or seachange for the second brand of the platform."},
    )
    signature: str = field(
        default="",
        metadata={
            "label": "Webhook signature",
            "help": "Preset of the profile, e.g. hmac_ts_body, sha256_body_secret or sha256_sorted_kv; empty: its own.",
        },
    )
    fraud_mode: str = field(
        default="N", metadata={"label": "Fraud check", "help": "Y has StoreSquare check for fraud, N does not."}
    )
    profile: str = field(
        default="",
        repr=False,
        metadata={
            "label": "Profile",
            "help": "Corrections from the provider's manual: a JSON object that is merged over the default profile.",
            "multiline": True,
        },
    )

    def __post_init__(self) -> None:
        if not self.app_id or not self.secret:
            raise ValueError("app_id and secret are both needed")
        if not (self.app_id.isascii() and self.app_id.isprintable()):
            raise ValueError("app_id is written with plain characters only")
        profile = load(self.profile)
        if self.variant not in profile["variants"]:
            raise ValueError(f"variant is one of: {', '.join(profile['variants'])}")
        profile.scheme(self.signature)
        if self.fraud_mode not in mapping.FRAUD_MODES:
            raise ValueError("fraud_mode is N or Y")


def _methods() -> tuple[Method, ...]:
    """What the default profile offers: its own page, our card form, and wallets that pay at once."""
    hosted = Method(mapping.CASHIER_METHOD)
    card = Method(mapping.CARD_METHOD, takes_card=True, leads_to=LeadsTo.RESULT)
    wallets = []
    for code, name in mapping.METHOD_NAMES.items():
        known = DEFAULT["methods"][code]
        everywhere = "*" in known["currencies"]
        wallets.append(
            Method(
                code,
                name=name,
                leads_to=LeadsTo.QR if known["action"] == mapping.QR_CODE else LeadsTo.PAGE,
                currencies=None if everywhere else frozenset(known["currencies"]),
                can_hold=bool(known.get("manualCapture")),
                opt_in=not known["enabled"],
            )
        )
    return (hosted, card, *wallets)


class Provider(contract.Provider):
    slug = "storesquare"
    name = DEFAULT["displayName"]
    capabilities = frozenset(
        {
            Capability.CAPTURE,
            Capability.CANCEL,
            Capability.REFUND,
            Capability.FETCH_REFUND,
            Capability.UPLOAD_TRACKING,
            Capability.SUBSCRIBE,
            Capability.PARTIAL_CAPTURE,
            Capability.PARTIAL_REFUND,
            Capability.CLOSE_UNPAID,
            Capability.SAVE_CARD,
            Capability.PAY_WITH_TOKEN,
            Capability.TOKEN_KEEPS_CURRENCY,
            Capability.MERCHANT_INITIATED,
            Capability.THREE_DS_WISH,
            Capability.EXTERNAL_THREE_DS,
        }
    )
    methods = _methods()
    session_seconds = tuple(minutes * 60 for minutes in DEFAULT["validation.expiryMinutes"])
    settling_seconds = mapping.SETTLING_SECONDS
    tracking_batch = DEFAULT["tracking.batchLimit"]
    carriers = mapping.CARRIERS
    redirect_hosts = tuple(DEFAULT["hosts.redirect"])

    config: Config

    @property
    def profile(self) -> Profile:
        return load(self.config.profile)

    # ----------------------------------------------------------------------------------------------------- payments

    def start(self, request: PaymentRequest) -> Started:
        """A hosted session, a payment by the chosen method, or one with a saved card."""
        if request.stored:
            if self.profile["tokenPayment.cardNoRequired"]:
                return _failed(request, DeclineCategory.UNAVAILABLE, "card_number_needed")
            return self._start("token_payment", request, bodies.body_of(bodies.token_payment(request, self.profile)))
        if request.method == mapping.CASHIER_METHOD:
            return self._start("session_create", request, bodies.body_of(self._session(request)))
        fraud_mode = self.config.fraud_mode
        body = bodies.body_of(bodies.payment(request, self.profile, fraud_mode=fraud_mode))
        return self._start("payment_create", request, body)

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        """Inquiry by our number."""
        answer = self._call("inquiry", bodies.body_of(bodies.inquiry(payment)))
        if answer.kind == "notFound":
            return PaymentReport(reference=payment.reference, absent=True, raw={"code": answer.code})
        return self._shown(answer, payment).report()

    def _start(self, operation: str, request: PaymentRequest, body: Body) -> Started:
        answer = self._call(operation, body)
        if answer.is_ok:
            is_session = operation == "session_create"
            return _session_started(request, answer.message) if is_session else _started(request, answer.message)
        if answer.kind == "decline":
            why = answers.decline_of(answer.code, self.profile, otherwise=DeclineCategory.DECLINED)
            return _failed(request, why.category, why.code)
        last = answer.field.rpartition(".")[2]
        if answer.kind == "tokenUnusable" or (answer.kind == "invalid" and last in mapping.CARD_FIELDS):
            return _failed(request, DeclineCategory.INVALID_CARD, answer.code)
        if answer.kind == "invalid" and last == mapping.CODE_FIELD:
            return _failed(request, DeclineCategory.WRONG_CODE, answer.code)
        _reject(answer)
        raise OutcomeUnknown("they may have this payment already", code=answer.code)

    def _session(self, request: PaymentRequest) -> dict[str, Any]:
        return bodies.session(request, self.profile, variant=self.config.variant, fraud_mode=self.config.fraud_mode)

    def _shown(self, answer: Answer, about: PaymentRef) -> Payment:
        """The payment in an answer. Raises Rejected or OutcomeUnknown when there is none."""
        if not answer.is_ok:
            _reject(answer)
            raise OutcomeUnknown("they have no answer now", code=answer.code)
        return Payment(answer.message, about)

    # --------------------------------------------------------------------------------------------------- operations

    def capture(self, request: OperationRequest) -> OperationReport:
        """One capture of all or less; what is left of the hold is let go with it."""
        answer = self._call("capture", bodies.body_of(bodies.capture(request)))
        if answer.is_ok:
            return _capture_report(request, Payment(answer.message, request.payment))
        _reject_unless_no(answer)
        if answer.kind in {"decline", "notFound"}:
            return request.report(OperationStatus.FAILED, error_code=answer.code)
        said = self._look_again(request.payment)
        if said.state in mapping.TAKEN and said.captured == request.amount.minor:
            return _capture_report(request, said)  # by this very request, sent before
        if said.state == "authorized" and answer.kind != "invalid":
            raise OutcomeUnknown("refused, though it is held", code=answer.code)
        return request.report(OperationStatus.FAILED, error_code=answer.code, raw=said.raw())

    def cancel(self, request: OperationRequest) -> OperationReport:
        """The second of the two inquiries of the reference, where the profile says that it cancels."""
        if self.profile["secondInquiryRole"] != "cancel":
            return request.report(OperationStatus.FAILED, error_code="unsupported")
        answer = self._call("inquiry_second", bodies.body_of(bodies.money_operation(request.payment)))
        if answer.is_ok:
            return _cancel_report(request, Payment(answer.message, request.payment))
        _reject_unless_no(answer)
        if answer.kind == "notFound":
            return request.report(OperationStatus.FAILED, error_code=answer.code)
        said = self._look_again(request.payment)
        report = _cancel_report(request, said, code=answer.code)
        if report.status is OperationStatus.PENDING:
            raise OutcomeUnknown("refused, though nothing stands against it", code=answer.code)
        return report

    def refund(self, request: OperationRequest) -> OperationReport:
        """Sent again with the same number, it is answered by the refund that is there."""
        answer = self._call("refund", bodies.body_of(bodies.refund(request, self.profile)))
        if answer.is_ok:
            return answers.refund_report(request, answer.message.inside(self.profile["envelope.data"]))
        _reject_unless_no(answer)
        if answer.kind in {"decline", "notFound"}:
            return request.report(OperationStatus.FAILED, error_code=answer.code)
        said = self._look_again(request.payment)
        known = said.refund(request.reference)
        if known:
            return answers.refund_report(request, known)
        fits = (said.refunded or 0) + request.amount.minor <= (said.captured or 0)
        if answer.kind == "conflict" and said.state in mapping.TAKEN and fits:
            raise OutcomeUnknown("refused, though it could be given back", code=answer.code)
        return request.report(OperationStatus.FAILED, error_code=answer.code, raw=said.raw())

    def fetch_refund(self, request: OperationRequest) -> OperationReport:
        """The payment's inquiry lists its refunds."""
        answer = self._call("inquiry", bodies.body_of(bodies.inquiry(request.payment)))
        if answer.kind == "notFound":
            return request.report(OperationStatus.PENDING, absent=True)
        said = self._shown(answer, request.payment)
        known = said.refund(request.reference)
        if known:
            return answers.refund_report(request, known)
        if said.report().status is not Status.CAPTURED:
            raise OutcomeUnknown("they do not show that there is anything to give back", code="not_captured")
        return request.report(OperationStatus.PENDING, absent=True)

    def _look_again(self, about: PaymentRef) -> Payment:
        """What is true after a no: ours may be the second call of two. Raises OutcomeUnknown when nobody can say."""
        try:
            return self._shown(self._call("inquiry", bodies.body_of(bodies.inquiry(about))), about)
        except ProviderError as error:
            raise OutcomeUnknown("refused, and the inquiry failed", code=error.code) from None

    # ----------------------------------------------------------------------------------------------------- webhooks

    def verify_webhook(self, delivery: Delivery) -> str:
        """By the scheme that the profile describes, over the raw bytes; the provider's own event id."""
        scheme = self.profile.scheme(self.config.signature)
        if self.profile["webhook.requireSignature"] or signing.is_signed(delivery, scheme):
            claim = signing.claim(delivery, scheme, now=time.time())
            if not claim.is_made_with(self._secrets(scheme)):
                raise BadSignature("wrong signature", code="bad_signature")
        event = Message(self.profile, signing.parse(delivery.body))
        names = self.profile["webhook.body"]
        if event.text(names["appId"]) not in {"", self.config.app_id}:
            raise BadSignature("meant for another merchant", code="other_app")
        event_id = event.text(names["eventId"])
        if EVENT_ID.fullmatch(event_id):
            return event_id
        return hashlib.sha256(event_id.encode() if event_id else delivery.body).hexdigest()

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        """What moves money is to be confirmed by an inquiry, everything else is only a reason to inquire."""
        profile, names = self.profile, self.profile["webhook.body"]
        event = Message(profile, signing.parse(delivery.body))
        kind = profile["webhook.eventTypes"].get(event.text(names["eventType"]), "")
        data = Message(profile, event.at(names["data"]))
        if kind != "payment":
            about = data.fact("refund.orderNo"), data.fact("refund.tradeNo")
            return _hints(*about, kind or "an event unknown to us", operation=data.fact("refund.refundNumber"))
        message = Message(profile, placed(data.value, profile["envelope.data"]))
        reference, theirs = message.fact("payment.orderNo"), message.fact("payment.tradeNo", longest=100)
        try:
            report = Payment(message).report()
        except OutcomeUnknown as error:
            return _hints(reference, theirs, error.code)
        report = dataclasses.replace(report, token="")
        if not profile["webhook.confirmByInquiry"]:
            return [report]
        is_signed = signing.is_signed(delivery, profile.scheme(self.config.signature))
        if is_signed and report.status in {Status.AUTHORISED, Status.CAPTURED}:
            return [dataclasses.replace(report, confirm=True)]
        return _hints(reference, theirs, str(report.status or "contradictory"))

    def reply(self, *, accepted: bool) -> Reply:
        if not accepted:
            return Reply(401, b"refused")
        ack = self.profile["webhook.ack"]
        return Reply(ack["status"], ack["body"].encode(), ack["contentType"])

    def subscribe(self, url: str) -> Subscription:
        """One address for each merchant number; a new one takes the place of the old."""
        shortest, longest = self.profile["validation.subscribeUrl"]
        if not shortest <= len(url) <= longest:
            raise Rejected(f"the address has {shortest} to {longest} characters", code="subscribe_url")
        if self.http.base_url.startswith("https:") and not url.startswith("https://"):
            raise Rejected("the address is an https one", code="subscribe_url")
        said = {"apiVersion": "webhook.apiVersion", "signMethod": "webhook.signMethod"}
        fields = {name: self.profile[path] for name, path in said.items()}
        answer = self._call("webhook_subscribe", bodies.body_of({**fields, "subscribeUrl": url}))
        if not answer.is_ok:
            raise Rejected("the address is not taken", code=answer.code)
        if not answer.code:
            raise OutcomeUnknown("the answer says neither yes nor no", code="unreadable")
        return _subscription(url, answer.message)

    def _secrets(self, scheme: Scheme) -> tuple[str, ...]:
        if scheme.key_source == "secret":
            return self.config.secret, self.config.secret_previous
        return self.config.webhook_secret, self.config.webhook_secret_previous

    # ----------------------------------------------------------------------------------------------------- tracking

    def upload_tracking(self, requests: Sequence[TrackingRequest]) -> list[TrackingReport]:
        """New parcels together, changes one by one."""
        reports = {one.reference: self._change(one) for one in requests if one.is_known}
        new = [one for one in requests if not one.is_known]
        # A batch is answered by order and tracking number, so the same pair twice goes in two calls.
        first = {(one.payment.reference, one.number): one for one in reversed(new)}
        batch = [one for one in new if first[one.payment.reference, one.number] is one]
        size = self.profile["tracking.batchLimit"]
        for at in range(0, len(batch), size):
            reports |= self._add_all(batch[at : at + size])
        reports |= {one.reference: self._add(one) for one in new if one.reference not in reports}
        return [reports[one.reference] for one in requests]

    def _add_all(self, requests: list[TrackingRequest]) -> dict[str, TrackingReport]:
        if len(requests) == 1:
            return {requests[0].reference: self._add(requests[0])}
        parcels = [bodies.parcel(one, self.profile) for one in requests]
        answer = self._call("tracking_batch", bodies.body_of(parcels))
        if not answer.is_ok:
            if answer.kind in {"credentials", "token"}:
                raise Rejected("they do not let us in", code=answer.code)
            return {one.reference: self._add(one) for one in requests}  # one of them may have spoilt it for all
        reports = answers.batch_reports(answer.message, requests)
        for one in requests:
            code = reports[one.reference].error_code
            if self.profile.kinds.get(code) == "conflict":
                reports[one.reference] = self._compared(one, code)
        return reports

    def _add(self, request: TrackingRequest) -> TrackingReport:
        answer = self._call("tracking_add", bodies.body_of(bodies.parcel(request, self.profile)))
        if answer.kind == "conflict":
            return self._compared(request, answer.code)
        return _tracking_report(request, answer)

    def _change(self, request: TrackingRequest) -> TrackingReport:
        changes = bodies.parcel_changes(request, self.profile)
        if not changes:
            return self._compared(request, "unsupported")
        body = bodies.body_of(bodies.parcel_update(request, changes, self.profile))
        answer = self._call("tracking_update", body)
        if answer.kind == "conflict":
            return self._compared(request, answer.code)
        return _tracking_report(request, answer)

    def _compared(self, request: TrackingRequest, code: str) -> TrackingReport:
        """After a no because of what they have: it is a yes, given before, if that is what we wanted to tell."""
        answer = self._call("tracking_get", bodies.body_of(bodies.parcel_query(request)))
        if not answer.is_ok:
            return _tracking_report(request, answer, code=code)
        report = _tracking_report(request, answer)
        as_wanted = request.status in {ShipmentStatus.SHIPPED, report.raw["status"]}
        if as_wanted and answers.shows_parcel(answer.message, bodies.parcel_facts(request, self.profile)):
            return report
        return dataclasses.replace(report, status=OperationStatus.FAILED, error_code=code)

    # --------------------------------------------------------------------------------------------------------- calls

    def _call(self, operation: str, body: Body) -> Answer:
        """Send with a good token, renewed once if it is refused, and open the envelope."""
        endpoint = self.profile.endpoint(operation)
        if not endpoint.with_token:
            return answers.opened(self._send(endpoint, body), self.profile)
        token = self._token()
        answer = self._send(endpoint, body, token)
        if answers.refuses_token(answer, self.profile):
            answer = self._send(endpoint, body, self._token(instead_of=token))
            if answers.refuses_token(answer, self.profile):
                raise Rejected("a new access token is refused, too", code=f"http_{answer.status}")
        return answers.opened(answer, self.profile)

    def _send(self, endpoint: Endpoint, body: Body, token: Token | None = None) -> HttpAnswer:
        headers = _Headers({"Content-Type": self.profile["http.contentType"]})
        if token:
            headers[self.profile["auth.header"]] = f"{self.profile['auth.scheme']} {token.value}".strip()
        return self.http.send(endpoint.method, endpoint.path, body=body, headers=headers)

    def _token(self, *, instead_of: Token | None = None) -> Token:
        whose = tokens.key(self.http.base_url, self.config.app_id, self.config.secret)
        return tokens.current(whose, self._fetch_token, instead_of=instead_of)

    def _fetch_token(self) -> Token:
        """Whatever goes wrong here, the call that needed it was never made."""
        body = bodies.body_of({"appId": self.config.app_id, "secret": self.config.secret})
        status = 0
        try:
            http = self._send(self.profile.endpoint("token"), body)
            status = http.status
            answer = answers.opened(http, self.profile)
        except OutcomeUnknown as error:
            if status in {401, 403}:
                raise Rejected("the app id or the secret is wrong", code=error.code) from None
            raise Unreachable("no access token was given", code=error.code) from None
        if not answer.is_ok:
            raise Rejected("no access token for these credentials", code=answer.code)
        return answers.token(answer)


class _Headers(dict[str, str]):
    """Shows nothing: one of them is the access token."""

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"


def _reject(answer: Answer) -> None:
    """Raises Rejected for an answer that finds our request or our credentials wrong."""
    if answer.kind in mapping.REJECTIONS:
        raise Rejected("StoreSquare does not accept this request", code=answer.code)


def _reject_unless_no(answer: Answer) -> None:
    """As above, but a fault in an operation's own figures is a no to it."""
    if answer.kind != "invalid":
        _reject(answer)


# ------------------------------------------------------------------------------------------------------------- payments


def _failed(request: PaymentRequest, category: DeclineCategory, code: str) -> Started:
    why = Decline(category, code)
    return Started(PaymentReport(reference=request.reference, status=Status.FAILED, decline=why), Wait())


def _session_started(request: PaymentRequest, message: Message) -> Started:
    number, word = message.fact("payment.orderNo"), message.fact("session.status")
    if number not in {"", request.reference}:
        raise OutcomeUnknown("they answered about something else", code="other_order")
    state = message.profile.payment_state(word) or "pending"
    ended = state in mapping.ENDED
    report = PaymentReport(
        reference=request.reference,
        provider_reference=message.fact("session.tradeNo", longest=100),
        status=mapping.STATUS_OF_STATE[state] if ended else Status.PENDING,
        decline=Decline(mapping.DECLINE_OF_STATE[state]) if ended else None,
        awaits_shopper=state == "created",
        raw={"status": word, "expireTime": message.fact("session.expireTime")},
    )
    is_open = state in mapping.OPEN
    return Started(report, Redirect(answers.session_url(message)) if is_open else Wait())


def _started(request: PaymentRequest, message: Message) -> Started:
    """A payment just made. What it says of money is a reason to inquire at once: the answer is not signed."""
    about = PaymentRef(reference=request.reference, amount=request.amount, capture=request.capture)
    said = Payment(message, about)
    report = said.report()
    report = dataclasses.replace(
        report,
        status=report.status if said.state in mapping.ENDED else Status.PENDING,
        authorised=None,
        captured=None,
        refunded=None,
        released=None,
        token="",
        review="",
        confirm=said.state in mapping.TAKEN or said.state == "authorized",
    )
    if said.state not in mapping.OPEN:
        return Started(report, Wait())
    step = answers.shown_step(message)
    if isinstance(step, str):
        return Started(_hopeless(report, DeclineCategory.UNAVAILABLE, step), Wait())
    if request.shopper_is_away and not isinstance(step, Wait):
        return Started(_hopeless(report, DeclineCategory.AUTHENTICATION_REQUIRED, "shopper_is_away"), Wait())
    return Started(report, step)


def _hopeless(report: PaymentReport, category: DeclineCategory, code: str) -> PaymentReport:
    """Open at the provider, but nobody can take the step that it waits for. Should money come after all, money wins."""
    return dataclasses.replace(report, status=Status.FAILED, decline=Decline(category, code), awaits_shopper=False)


# ----------------------------------------------------------------------------------------------------------- operations


def _capture_report(request: OperationRequest, said: Payment) -> OperationReport:
    """Raises OutcomeUnknown when its money cannot be read or contradicts its word."""
    report = said.report()
    if report.review:
        raise OutcomeUnknown("taken, but not as they say", code=report.review)
    if said.state in mapping.ENDED:
        code = report.decline.code if report.decline else ""
        return request.report(OperationStatus.FAILED, error_code=code or said.state, raw=report.raw)
    if report.status is not Status.CAPTURED:
        return request.report(OperationStatus.PENDING, raw=report.raw)
    taken = Money(report.captured or 0, said.currency)
    return request.report(OperationStatus.SUCCEEDED, amount=taken, raw=report.raw)


def _cancel_report(request: OperationRequest, said: Payment, *, code: str = "") -> OperationReport:
    """However it ended, nothing is held any more and nothing can come. Raises OutcomeUnknown like a capture's."""
    report = said.report()
    if report.review:
        raise OutcomeUnknown("taken, or not", code=report.review)
    if said.state in mapping.ENDED:
        return request.report(OperationStatus.SUCCEEDED, raw=report.raw)
    if report.status is Status.CAPTURED:
        return request.report(OperationStatus.FAILED, error_code=code or "captured", raw=report.raw)
    return request.report(OperationStatus.PENDING, raw=report.raw)


def _tracking_report(request: TrackingRequest, answer: Answer, *, code: str = "") -> TrackingReport:
    if answer.kind in {"credentials", "token"}:
        raise Rejected("they do not let us in", code=answer.code)
    raw = {"orderNo": request.payment.reference, "trackingNo": request.number}
    if not answer.is_ok:
        return request.report(OperationStatus.FAILED, error_code=code or answer.code, raw=raw)
    if not answers.shows_parcel(answer.message, bodies.parcel_query(request)):
        raise OutcomeUnknown("the answer shows no such parcel", code="unreadable")
    raw["status"] = answers.parcel_status(answer.message)
    return request.report(OperationStatus.SUCCEEDED, raw=raw)


# ------------------------------------------------------------------------------------------------------------- messages


def _hints(reference: str, theirs: str, why: str, *, operation: str = "") -> list[Report]:
    """A reason to inquire, if it says about what."""
    if not (reference or theirs):
        return []
    return [Hint(reference=reference, provider_reference=theirs, operation_reference=operation, why=why)]


def _subscription(url: str, message: Message) -> Subscription:
    key = message.fact("subscription.signKey")
    return Subscription(
        url=url,
        status=message.fact("subscription.status", longest=30),
        credentials={"webhook_secret": key} if key else {},
    )
