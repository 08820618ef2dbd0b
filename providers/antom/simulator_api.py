"""Antom's gateway: every operation, from the client id to the signed answer. Business failures are HTTP 200 too."""

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Response, request

from providers.antom import simulator_checks as checks
from providers.antom import simulator_signing as signing
from providers.antom.simulator_cards import Card, verdict_on
from providers.antom.simulator_checks import Denied, is_true, result
from providers.antom.simulator_payments import DAY_S, REFUND_DAYS, Payments
from providers.antom.simulator_vaults import Vaults, reference_of
from providers.antom.simulator_words import AUTHORISED, CANCELLED, OPEN, SESSION, Words
from providers.simulation import Account, Order, faults, masking
from providers.simulation.dials import Claim

if TYPE_CHECKING:
    from providers.antom.simulator import Simulator

PRODUCTION, SANDBOX = "api/v1/", "sandbox/api/v1/"
PATHS = {
    "payments/pay": "pay",
    "payments/createPaymentSession": "createPaymentSession",
    "payments/inquiryPayment": "inquiryPayment",
    "payments/capture": "capture",
    "payments/cancel": "cancel",
    "payments/refund": "refund",
    "payments/inquiryRefund": "inquiryRefund",
    "vaults/vaultPaymentMethod": "vaultPaymentMethod",
    "vaults/createVaultingSession": "createVaultingSession",
    "vaults/inquireVaulting": "inquireVaulting",
    "payments/acceptDispute": "acceptDispute",
    "payments/supplyDefenseDocument": "supplyDefenseDocument",
    "payments/downloadDisputeEvidence": "downloadDisputeEvidence",
}
#: Operations that bring a payment into being: magic amounts act on them.
CREATING = frozenset({"pay", "createPaymentSession"})
#: Answers spoiled on their way, not at their source, keep their signature.
SPOILED_ON_THE_WAY = frozenset({"truncated_answer", "oversized_answer", "drip_answer"})
HIDDEN = frozenset({"paymentmethodid", "cpf", "dateofbirth", "businessno", "cardpassworddigest", "cavv"})
LONG = frozenset({"disputeevidence"})
PAYMENT_S, SESSION_S, MINUTE_S = 840, 3600, 60
CANCEL_DAYS = 7

JSON = "application/json; charset=UTF-8"
Told = dict[str, Any]


class Api:
    def __init__(self, simulator: "Simulator", words: Words, payments: Payments, vaults: Vaults) -> None:
        self._simulator = simulator
        self._simulation = simulator.simulation
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._words = words
        self._payments = payments
        self._vaults = vaults
        self._acts: dict[str, Callable[[Account, Told, Claim], Told]] = {
            "pay": self._pay,
            "createPaymentSession": self._create_session,
            "inquiryPayment": self._inquire,
            "capture": self._capture,
            "cancel": self._cancel,
            "refund": self._refund,
            "inquiryRefund": self._inquire_refund,
            "vaultPaymentMethod": self._vault,
            "createVaultingSession": self._create_vaulting_session,
            "inquireVaulting": self._inquire_vaulting,
            "acceptDispute": self._accept_dispute,
            "supplyDefenseDocument": self._defend_dispute,
            "downloadDisputeEvidence": self._dispute_evidence,
        }

    # --- the gateway -----------------------------------------------------------------------------------------------

    def answer(self, rest: str) -> Response:
        """Admit the call, act, write the log, and only then let the dials spoil the answer."""
        raw = request.get_data()
        log = {"operation": rest[:80], "account": "", "reference": "", "request": f"{len(raw)} bytes", "expected": ""}
        claim, verdict, spoiled = Claim(), "accepted", None
        try:
            account, body = self._admit(rest, raw, log)
            claim = self._claim(log, body)
            spoiled = faults.before(claim.now, self._simulation.closing)
            told = {} if spoiled else self._act(log["operation"], account, body, claim)
        except Denied as denied:
            verdict, told = str(denied), {"result": result(denied.code, denied.text)}
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        answer = spoiled or Response(text, content_type=JSON)
        if told and told["result"]["resultCode"] != "INVALID_SIGNATURE" and "unsigned_answer" not in claim.now:
            answer.headers.update(
                self._words.signed_answer(
                    signing.signed_path(request), request.headers.get("client-id", ""), text.encode(),
                    forged="forged_answer" in claim.now,
                )
            )  # fmt: skip
        self._store.insert(
            "calls", provider=self._slug, at=self._clock.now(), verdict=verdict, status=answer.status_code,
            answer=json.dumps(masked(told), ensure_ascii=False), faults=json.dumps(claim.now), **log,
        )  # fmt: skip
        sent = faults.after(answer, claim.now, self._simulation.closing)
        if SPOILED_ON_THE_WAY & set(claim.now) and sent is not answer:
            sent.headers.update({name: answer.headers[name] for name in signing.HEADERS if name in answer.headers})
        return sent

    def failure(self, status: int, text: str) -> Response:
        """The answer to a request that is too large for the gateway, or that broke this simulator."""
        body = json.dumps({"result": result("PARAM_ILLEGAL" if status < 500 else "UNKNOWN_EXCEPTION", text)})
        return Response(body, status=status if status >= 500 else 200, content_type=JSON)

    def _admit(self, rest: str, raw: bytes, log: dict[str, str]) -> tuple[Account, Told]:
        """Assumed order: verb, path, media type, client id, key, headers, signature, JSON."""
        if request.method != "POST":
            raise Denied("METHOD_NOT_SUPPORTED")
        prefix = SANDBOX if rest.startswith(SANDBOX) else PRODUCTION
        operation = PATHS.get(rest.removeprefix(prefix)) if rest.startswith(prefix) else None
        if operation is None:
            raise Denied("NO_INTERFACE_DEF")
        log["operation"] = operation
        if request.mimetype not in {"", "application/json"}:
            raise Denied("MEDIA_TYPE_NOT_ACCEPTABLE")
        client_id = request.headers.get("client-id", "")
        account: Account | None = self._store.account(self._slug, client_id)
        if account is None:
            raise Denied("CLIENT_INVALID")
        log["account"] = account.id
        if account.id.startswith("SANDBOX_") != (prefix == SANDBOX):
            raise Denied("NO_INTERFACE_DEF", "sandbox client ids belong to the sandbox path, and only they")
        key = signing.read_public_key(account.settings["merchant_public_key"])
        header, time = request.headers.get("signature", ""), request.headers.get("request-time", "")
        wanted = account.settings["key_version"]
        if key is None or (wanted and signing.key_version(header) not in {"", wanted}):
            raise Denied("KEY_NOT_FOUND")
        for name, value in (("request-time", time), ("signature", header)):
            if not value:
                raise Denied("PARAM_ILLEGAL", name)
        self._require_fresh(account, time)
        body = _read(raw)
        path = signing.signed_path(request)
        if body is not None:
            log["request"] = json.dumps(masked(body), ensure_ascii=False)
        log["expected"] = signing.content(path, client_id, time, log["request"])
        if not signing.is_genuine(key, header, path, client_id, time, raw):
            raise Denied("INVALID_SIGNATURE")
        if not isinstance(body, dict):
            raise Denied("PARAM_ILLEGAL", "body")
        return account, body

    def _require_fresh(self, account: Account, time: str) -> None:
        """Epoch milliseconds or ISO 8601. No skew is checked unless the account asks for it."""
        if re.fullmatch("[0-9]{13}", time):
            sent_at = int(time)
        elif checks.moment(time):
            sent_at = checks.at(time)
        else:
            raise Denied("PARAM_ILLEGAL", "request-time")
        tolerance = account.settings["request_time_tolerance_s"]
        if tolerance and abs(self._clock.now() - sent_at) > 1000 * tolerance:
            raise Denied("PARAM_ILLEGAL", "request-time")

    def _claim(self, log: dict[str, str], body: Told) -> Claim:
        operation = log["operation"]
        log["reference"] = self._reference(log["account"], body)
        amount = checks.minor(body, "paymentAmount") if operation in CREATING else None
        claim: Claim = self._simulation.dials[self._slug].claim(operation, log["reference"], amount)
        return claim

    def _reference(self, account: str, body: Told) -> str:
        """The merchant's own id that a call is about, as far as it can be told before validation."""
        if isinstance(body.get("vaultingRequestId"), str):
            return reference_of(body["vaultingRequestId"][:64])
        if isinstance(body.get("paymentRequestId"), str) and body["paymentRequestId"]:
            return str(body["paymentRequestId"][:64])
        id = self._refund_owner(account, body) or str(body.get("paymentId", ""))
        known: Order | None = self._store.order(self._slug, id)
        return known.reference if known is not None and known.account == account else ""

    def _act(self, operation: str, account: Account, body: Told, claim: Claim) -> Told:
        if "result_code" in claim.now:
            raise Denied(str(claim.now["result_code"]))
        with self._store.write():
            told = self._acts[operation](account, body, claim)
        if "webhook_early" in claim.now:
            self._simulation.settle()
        if "foreign_redirect" in claim.now and "normalUrl" in told:
            told["normalUrl"] = claim.now["foreign_redirect"]
        if "result_code_after" in claim.now:
            return {"result": result(str(claim.now["result_code_after"]))}
        return told

    # --- pay and createPaymentSession ------------------------------------------------------------------------------

    def _pay(self, account: Account, body: Told, claim: Claim) -> Told:
        """3.2, decided in the order of the reference's 7.2."""
        checks.require(body, checks.PAY)
        checks.require_env(body["env"])
        if not is_true(body["paymentFactor"]["isAuthorization"]):
            raise Denied("PARAM_ILLEGAL", "paymentFactor.isAuthorization")
        self._require_currencies(account, body)
        meta = body["paymentMethod"].get("paymentMethodMetaData") or {}
        card = self._card(account, body["paymentMethod"], meta)
        given = body["paymentMethod"].get("paymentMethodId") or (card.fingerprint if card else "")
        known = self._store.order_by_reference(self._slug, account.id, body["paymentRequestId"])
        if known is not None:
            return self._pay_again(known, body, given)
        if card is not None and card.rule.trait == "no_payment":
            return {"result": result("UNKNOWN_EXCEPTION")}
        order = self._new(account, body, meta, claim, status=OPEN, given=given)
        self._store.add_order(order)
        self._payments.await_payer(order, self._expiry(body.get("paymentExpiryTime")))
        if order.amount in checks.RISK_AMOUNTS:
            self._payments.decline(order, "RISK_REJECT")
        elif card is None:
            order.data["page"] = "card"
            self._store.save_order(order)
        else:
            self._payments.begin(order, card)
        if card is not None and card.rule.trait == "lost_answer" and order.status == AUTHORISED:
            claim.now["reset_after"] = True
        if card is not None and card.rule.trait == "unknown_answer" and order.status == AUTHORISED:
            return {"result": result("UNKNOWN_EXCEPTION")}
        return self._words.pay_answer(order)

    def _pay_again(self, known: Order, body: Told, given: str) -> Told:
        same = known.amount == checks.minor(body, "paymentAmount") and known.data.get("given") == given
        if not same or known.currency != body["paymentAmount"]["currency"] or "session" in known.data:
            raise Denied("REPEAT_REQ_INCONSISTENT")
        return self._words.pay_answer(known)

    def _create_session(self, account: Account, body: Told, claim: Claim) -> Told:
        """3.3. ``CHECKOUT_PAYMENT`` has a hosted page; other scenes are for a client-side SDK."""
        checks.require(body, checks.SESSION)
        checks.require_env(body.get("env") or {})
        self._require_currencies(account, body)
        listed = (body.get("availablePaymentMethod") or {}).get("paymentMethodTypeList") or []
        if listed and not any(one["paymentMethodType"] == "CARD" for one in listed):
            raise Denied("NO_PAY_OPTIONS")
        known = self._store.order_by_reference(self._slug, account.id, body["paymentRequestId"])
        if known is not None:
            return self._session_again(known, body)
        saved = [one["paymentMethodId"] for one in body.get("savedPaymentMethods") or []]
        for token in saved:
            self._token_card(account, token)
        fixed = body.get("paymentMethod") or {}
        meta = (body.get("availablePaymentMethod") or {}).get("paymentMethodMetaData") or {}
        meta |= fixed.get("paymentMethodMetaData") or {}
        order = self._new(account, body, meta, claim, status=SESSION, given="")
        latest = self._clock.now() + 1000 * SESSION_S
        wish = body.get("paymentSessionExpiryTime")
        order.data["session"] = {
            "id": secrets.token_urlsafe(32), "data": secrets.token_urlsafe(96),
            "expires_at": min(latest, checks.at(wish)) if wish else latest,
            "saved": saved,
        }  # fmt: skip
        order.data["page"] = "checkout" if body.get("productScene") == "CHECKOUT_PAYMENT" else ""
        self._store.add_order(order)
        return self._session_answer(order)

    def _session_again(self, known: Order, body: Told) -> Told:
        if known.amount != checks.minor(body, "paymentAmount") or known.status != SESSION:
            raise Denied("PROCESS_FAIL")
        return self._session_answer(known)

    def _session_answer(self, order: Order) -> Told:
        session = order.data["session"]
        told = {
            "paymentSessionId": session["id"], "paymentSessionData": session["data"],
            "paymentSessionExpiryTime": checks.iso(session["expires_at"]), "result": result("SUCCESS"),
        }  # fmt: skip
        return told | ({"normalUrl": self._words.page_url(order)} if order.data["page"] else {})

    def _require_currencies(self, account: Account, body: Told) -> None:
        for found in (body["paymentAmount"], body["order"]["orderAmount"]):
            checks.require_currency(account.settings["currencies"], found["currency"])

    def _card(self, account: Account, method: Told, meta: Told) -> Card | None:
        """What remains of the card, or the token's card; None where the hosted page will ask for it."""
        if meta.get("recurringType") and not meta.get("networkTransactionId"):
            raise Denied("PARAM_ILLEGAL", "networkTransactionId")
        if method.get("paymentMethodId"):
            card = self._token_card(account, method["paymentMethodId"])
            checks.require_card_date(card.month, card.year, today=self._simulator.today)
            checks.require_cvv(meta.get("cvv") or "")
            return Card.load({**card.dump(), "cvv": verdict_on(meta.get("cvv") or "")})
        return self._simulator.card_from(meta) if meta.get("cardNo") else None

    def _token_card(self, account: Account, token: str) -> Card:
        found = self._store.row(
            "SELECT value FROM keys WHERE provider = ? AND kind = 'token' AND key = ? AND account = ?",
            self._slug, token, account.id,
        )  # fmt: skip
        if found is None:
            raise Denied("INVALID_PAYMENT_METHOD_META_DATA", "paymentMethodId")
        return Card.load(json.loads(found["value"]))

    def _new(self, account: Account, body: Told, meta: Told, claim: Claim, *, status: str, given: str) -> Order:
        mpi = meta.get("mpiData") or {}
        echoed = ("threeDSVersion", "eci", "cavv", "dsTransactionId")
        mode = (body.get("paymentFactor") or {}).get("captureMode") or "AUTOMATIC"
        tokenize = is_true(meta.get("tokenize")) or meta.get("tokenizeMode") == "ENABLED"
        return self._payments.new(
            account, body["paymentRequestId"], status=status, amount=int(body["paymentAmount"]["value"]),
            currency=body["paymentAmount"]["currency"], mode=mode, given=given, avs=_avs(meta.get("billingAddress")),
            base=self._simulator.base_url(), redirect_url=body["paymentRedirectUrl"],
            notify_url=body.get("paymentNotifyUrl") or "", metadata=body.get("metadata") or "",
            description=body["order"]["orderDescription"], faults=claim.kept,
            asks_consent=not tokenize and meta.get("tokenizeMode") != "DISABLED",
            wants={
                "three_ds": is_true(meta.get("is3DSAuthentication")),
                "upgrade": checks.is_absent(meta.get("enableAuthenticationUpgrade"))
                or is_true(meta["enableAuthenticationUpgrade"]),
                "token": tokenize and not body.get("paymentMethod", {}).get("paymentMethodId"),
                "recurring": bool(meta.get("recurringType")),
                "mpi": {name: mpi[name] for name in echoed if mpi.get(name)},
            },
        )  # fmt: skip

    def _expiry(self, wish: str | None) -> int:
        """14 minutes; an own wish is pressed between one minute and that."""
        now: int = self._clock.now()
        if not wish:
            return now + 1000 * PAYMENT_S
        return max(now + 1000 * MINUTE_S, min(checks.at(wish), now + 1000 * PAYMENT_S))

    # --- inquiry, capture, cancel, refund --------------------------------------------------------------------------

    def _inquire(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.INQUIRY)
        checks.require_one(body, "paymentId", "paymentRequestId")
        order = self._require_payment(account, body)
        lasting = self._simulation.dials[self._slug].of(order) | claim.now
        now, begun_at, changed_at = self._clock.now(), order.data["begun_at"], order.history[-1]["at"]
        if now < begun_at + 1000 * float(lasting.get("query_not_found", 0)):
            raise Denied("ORDER_NOT_EXIST")
        if now < changed_at + 1000 * float(lasting.get("query_lags", 0)):
            told = self._words.essentials(order) | {
                "paymentStatus": OPEN, "paymentResultCode": "PAYMENT_IN_PROCESS",
                "paymentResultMessage": result("PAYMENT_IN_PROCESS")["resultMessage"], "result": result("SUCCESS"),
            }  # fmt: skip
        else:
            told = self._words.inquiry(order)
        if "query_wrong_amount" in lasting:
            told["paymentAmount"] = self._words.money(order, order.amount * 10)
        if "query_wrong_currency" in lasting:
            other = "USD" if order.currency != "USD" else "EUR"
            told["paymentAmount"] = {**told["paymentAmount"], "currency": other}
        if "unknown_state" in lasting:
            told["paymentStatus"] = "SETTLING"
        return told

    def _require_payment(self, account: Account, body: Told, missing: str = "ORDER_NOT_EXIST") -> Order:
        order = self._payments.find(account, body)
        if order is None:
            raise Denied(missing)
        return order

    def _capture(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.CAPTURE)
        order = self._require_payment(account, body, "AUTH_NOT_FOUND")
        amount = int(body["captureAmount"]["value"])
        kind = body.get("captureType") or ("NON_FINAL" if body.get("isLastCapture") in (False, "false") else "FINAL")
        known = self._remembered("capture", account, body["captureRequestId"], order, body["captureAmount"])
        if known is not None:
            captures = [one for one in order.data["captures"] if one["request"] == body["captureRequestId"]]
            return {"result": result(known)} if known else self._words.capture_answer(order, captures[-1])
        refusal = self._capture_refusal(account, order, body["captureAmount"], is_final=kind == "FINAL")
        self._remember("capture", account, body["captureRequestId"], order, body["captureAmount"], refusal)
        if refusal:
            return {"result": result(refusal)}
        capture = self._payments.begin_capture(order, body["captureRequestId"], amount, final=kind == "FINAL")
        return self._words.capture_answer(order, capture)

    @staticmethod
    def _capture_refusal(account: Account, order: Order, asked: Told, *, is_final: bool) -> str:
        earlier = [one for one in order.data["captures"] if one["status"] != "FAIL"]
        taken, amount = sum(one["amount"] for one in earlier), int(asked["value"])
        many = account.settings["multi_capture"]
        if order.data["lapsed"]:
            return "AUTH_EXPIRED"
        if order.status == CANCELLED:
            return "AUTH_CANCELLED"
        if order.status != AUTHORISED or order.data["mode"] == "AUTOMATIC" or taken >= order.amount:
            return "ORDER_STATUS_INVALID"
        if asked["currency"] != order.currency:
            return "CURRENCY_NOT_SUPPORT"
        if taken + amount > order.amount:
            return "CAPTURE_AMOUNT_EXCEED_AUTH_LIMIT"
        if not many and (earlier or not is_final):
            return "MULTI_CAPTURE_NOT_SUPPORTED"
        if any(one["final"] for one in earlier):
            return "MULTI_CAPTURE_NOT_SUPPORTED"
        if account.settings["full_capture_only"] and amount != order.amount:
            return "PARAM_ILLEGAL"
        return ""

    def _cancel(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.INQUIRY)
        checks.require_one(body, "paymentId", "paymentRequestId")
        order = self._require_payment(account, body)
        if order.status == CANCELLED and not order.data["lapsed"]:
            return self._cancelled(order)
        if any(one["status"] != "FAIL" for one in order.data["refunds"]):
            raise Denied("PROCESS_FAIL")
        is_captured = any(one["status"] != "FAIL" for one in order.data["captures"])
        if is_captured or order.status not in {OPEN, AUTHORISED, CANCELLED}:
            raise Denied("ORDER_STATUS_INVALID")
        since = order.data.get("paid_at", order.data["begun_at"])
        if order.data["lapsed"] or self._clock.now() > since + 1000 * CANCEL_DAYS * DAY_S:
            raise Denied("CANCEL_WINDOW_EXCEED")
        self._payments.cancel(order, "cancelled by the merchant")
        return self._cancelled(order)

    @staticmethod
    def _cancelled(order: Order) -> Told:
        return {
            "paymentId": order.id, "paymentRequestId": order.reference,
            "cancelTime": checks.iso(order.data["cancelled_at"]), "result": result("SUCCESS"),
        }  # fmt: skip

    def _refund(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.REFUND)
        order = self._require_payment(account, body)
        known = self._remembered("refund", account, body["refundRequestId"], order, body["refundAmount"])
        if known is not None:
            refunds = [one for one in order.data["refunds"] if one["request"] == body["refundRequestId"]]
            return {"result": result(known)} if known else self._words.refund_answer(order, refunds[-1])
        capture_id = body.get("captureId") or ""
        refusal = self._refund_refusal(order, body["refundAmount"], capture_id)
        self._remember("refund", account, body["refundRequestId"], order, body["refundAmount"], refusal)
        if refusal:
            return {"result": result(refusal)}
        refund = self._payments.begin_refund(
            order, body["refundRequestId"], int(body["refundAmount"]["value"]), capture=capture_id,
            url=body.get("refundNotifyUrl") or "", metadata=body.get("metadata") or "",
        )  # fmt: skip
        return self._words.refund_answer(order, refund)

    def _refund_refusal(self, order: Order, asked: Told, capture_id: str) -> str:
        if order.status == CANCELLED:
            return "ORDER_IS_CANCELED"
        if not self._payments.captured(order) or self._payments.is_disputed(order):
            return "ORDER_STATUS_INVALID"
        if asked["currency"] != order.currency:
            return "CURRENCY_NOT_SUPPORT"
        if capture_id and all(one["id"] != capture_id for one in order.data["captures"]):
            return "PARAM_ILLEGAL"
        left = min(self._payments.refundable(order), self._payments.refundable(order, capture_id))
        if int(asked["value"]) > left:
            return "REFUND_AMOUNT_EXCEED"
        if self._clock.now() > order.data["paid_at"] + 1000 * REFUND_DAYS * DAY_S:
            return "REFUND_WINDOW_EXCEED"
        return ""

    def _remember(self, kind: str, account: Account, id: str, order: Order, asked: Told, refusal: str) -> None:
        """An id stands for one intention: what was asked, and the refusal if that was the answer."""
        value = json.dumps([order.id, asked["currency"], int(asked["value"]), refusal])
        self._store.set_key(self._slug, f"{kind}_request", f"{account.id} {id}", account=account.id, value=value)

    def _remembered(self, kind: str, account: Account, id: str, order: Order, asked: Told) -> str | None:
        """The refusal, an empty text if the request was taken, None if the id is new."""
        found = self._store.key(self._slug, f"{kind}_request", f"{account.id} {id}")
        if found is None:
            return None
        *before, refusal = json.loads(found)
        if before != [order.id, asked["currency"], int(asked["value"])]:
            raise Denied("REPEAT_REQ_INCONSISTENT")
        return str(refusal)

    def _refund_owner(self, account: str, body: Told) -> str:
        """The id of the payment that a refund belongs to; ``refundId`` wins."""
        if body.get("refundId"):
            return self._store.key(self._slug, "refund_id", str(body["refundId"])) or ""
        return self._store.key(self._slug, "refund", f"{account} {body.get('refundRequestId', '')}") or ""

    def _inquire_refund(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.INQUIRY_REFUND)
        checks.require_one(body, "refundId", "refundRequestId")
        order: Order | None = self._store.order(self._slug, self._refund_owner(account.id, body))
        if order is None or order.account != account.id:
            raise Denied("ORDER_NOT_EXIST")
        name = "refundId" if body.get("refundId") else "refundRequestId"
        member = "id" if name == "refundId" else "request"
        refund = next(one for one in order.data["refunds"] if one[member] == body[name])
        lasting = self._simulation.dials[self._slug].of(order) | claim.now
        if self._clock.now() < refund["asked_at"] + 1000 * float(lasting.get("query_not_found", 0)):
            raise Denied("ORDER_NOT_EXIST")
        return self._words.refund_inquiry(order, refund)

    # --- vaults and disputes ---------------------------------------------------------------------------------------

    def _vault(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.VAULT)
        checks.require_env(body["env"])
        known = self._vaults.find(account, body["vaultingRequestId"])
        if known is not None:
            return self._vaults.answer(known)
        details = body["paymentMethodDetail"]["card"]
        try:
            card = self._simulator.card_from(details)
        except Denied as denied:
            raise Denied("PARAM_ILLEGAL", denied.code) from None
        order = self._vaults.open(
            account, body["vaultingRequestId"], status=OPEN, currency=body.get("vaultingCurrency") or "USD",
            base=self._simulator.base_url(), redirect_url=body["redirectUrl"],
            notify_url=body["vaultingNotificationUrl"], metadata=body.get("metadata") or "", faults=claim.kept,
        )  # fmt: skip
        self._vaults.begin(order, card, three_ds=is_true(details.get("is3DSAuthentication")))
        return self._vaults.answer(order)

    def _create_vaulting_session(self, account: Account, body: Told, claim: Claim) -> Told:
        """The client-side SDK would ask for the card; here the operator's events take its place."""
        checks.require(body, checks.VAULT_SESSION)
        order = self._vaults.find(account, body["vaultingRequestId"])
        if order is None:
            order = self._vaults.open(
                account, body["vaultingRequestId"], status=SESSION, currency="USD", base=self._simulator.base_url(),
                redirect_url=body.get("redirectUrl") or "", notify_url=body["vaultingNotificationUrl"], metadata="",
                faults=claim.kept, session={"id": secrets.token_urlsafe(32), "data": secrets.token_urlsafe(96)},
            )  # fmt: skip
        if "session" not in order.data or order.status != SESSION:
            raise Denied("PROCESS_FAIL")
        return {
            "vaultingSessionId": order.data["session"]["id"], "vaultingSessionData": order.data["session"]["data"],
            "vaultingSessionExpiryTime": checks.iso(order.data["expires_at"]), "result": result("SUCCESS"),
        }  # fmt: skip

    def _inquire_vaulting(self, account: Account, body: Told, claim: Claim) -> Told:
        checks.require(body, checks.INQUIRY_VAULT)
        order = self._vaults.find(account, body["vaultingRequestId"])
        if order is None or order.status == SESSION:
            raise Denied("VAULTING_NOT_EXIST")
        return self._vaults.inquiry(order)

    def _dispute(self, account: Account, body: Told, schema: Mapping[str, Any]) -> tuple[Order, dict[str, Any]]:
        if not account.settings["dispute_api"]:
            raise Denied("ACCESS_DENIED", "disputes are handled at the acquirer")
        checks.require(body, schema)
        id = self._store.key(self._slug, "dispute", body["disputeId"])
        order: Order | None = self._store.order(self._slug, id) if id else None
        if order is None or order.account != account.id:
            raise Denied("PARAM_ILLEGAL", "disputeId")
        return order, next(one for one in order.data["disputes"] if one["id"] == body["disputeId"])

    def _accept_dispute(self, account: Account, body: Told, claim: Claim) -> Told:
        order, dispute = self._dispute(account, body, checks.DISPUTE)
        if dispute["state"] != "open":
            raise Denied("REPEAT_REQUEST")
        self._payments.accept_dispute(order, dispute)
        return self._resolved(dispute)

    def _defend_dispute(self, account: Account, body: Told, claim: Claim) -> Told:
        order, dispute = self._dispute(account, body, checks.DEFENCE)
        if dispute["state"] != "open":
            raise Denied("REPEAT_REQUEST")
        if self._clock.now() > dispute["due_at"]:
            raise Denied("TIME_EXCEEDS_LIMIT")
        if dispute["defended"]:
            raise Denied("DEFENSE_EXCEED_LIMIT")
        self._payments.defend_dispute(order, dispute)
        return self._resolved(dispute)

    def _resolved(self, dispute: Mapping[str, Any]) -> Told:
        now = checks.iso(self._clock.now())
        return {"disputeId": dispute["id"], "disputeResolutionTime": now, "result": result("SUCCESS")}

    def _dispute_evidence(self, account: Account, body: Told, claim: Claim) -> Told:
        self._dispute(account, body, checks.EVIDENCE)
        is_template = body["disputeEvidenceType"] == "DISPUTE_EVIDENCE_TEMPLATE"
        return {
            "disputeEvidence": base64.b64encode(b"Evidence of the simulator").decode(),
            "disputeEvidenceFormat": "WORD" if is_template else "PDF",
            "result": result("SUCCESS"),
        }


def masked(value: Any, name: str = "") -> Any:
    """A copy of parsed JSON fit for logs."""
    plain_name = name.lower()
    if isinstance(value, dict):
        return {key: masked(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [masked(member, name) for member in value]
    if plain_name in HIDDEN and value:
        return "***"
    if plain_name in LONG:
        return f"{len(str(value))} characters"
    return masking.mask(value, name)


def _read(raw: bytes) -> Any:
    """The JSON of a body; None when it is none."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(body, ensure_ascii=False).encode()  # lone surrogates and bottomless nesting fail here
    except (ValueError, RecursionError):
        return None
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _avs(address: Mapping[str, Any] | None) -> str:
    """``avsResultRaw`` for the trigger values of an address."""
    if not address:
        return "U"
    if address.get("address1") == "no match":
        return "N"
    if address.get("zipCode") == "00000":
        return "A"
    return "Y" if address["region"] == "US" else "U"
