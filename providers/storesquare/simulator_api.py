"""StoreSquare's operations: every path of the profile, from the bearer token to the answer."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Response, request

from providers.simulation import Account, Order, faults, masking
from providers.simulation.dials import Claim
from providers.storesquare import simulator_checks as checks
from providers.storesquare.simulator_cards import DECLINES, Card, fingerprint, reduced
from providers.storesquare.simulator_checks import Denied, Fields
from providers.storesquare.simulator_payments import OPEN, PAID, Payments, moment
from providers.storesquare.simulator_profile import Profile, put

if TYPE_CHECKING:
    from providers.storesquare.simulator import Simulator

#: Operations that bring a payment into being: magic amounts act on them.
CREATING = frozenset({"session_create", "payment_create", "token_payment"})
Act = Callable[[Account, Profile, Any, Claim], dict[str, Any]]


class Api:
    def __init__(self, simulator: "Simulator", payments: Payments) -> None:
        self._simulator = simulator
        self._simulation = simulator.simulation
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._payments = payments
        self._acts: dict[str, Act] = {
            "session_create": self._session_create,
            "payment_create": self._payment_create,
            "token_payment": self._token_payment,
            "capture": self._capture,
            "inquiry": self._inquiry,
            "inquiry_second": self._inquiry_second,
            "refund": self._refund,
            "tracking_get": self._tracking_get,
            "tracking_add": self._tracking_add,
            "tracking_batch": self._tracking_batch,
            "tracking_update": self._tracking_update,
            "webhook_subscribe": self._webhook_subscribe,
        }

    def answer(self, path: str) -> Response:
        """Find operation and account, act, write the log, and only then let the dials spoil the answer."""
        raw = request.get_data()
        account, refusal = self._bearer()
        account = account or self._account_named(raw)
        profile, operation = self._operation(account, path)
        if not operation:
            return self.failure(profile, Denied("1001", http=404), "no such path")
        if request.method != profile[f"endpoints.{operation}.method"]:
            return self.failure(profile, Denied("1001", http=405), "method not allowed")
        claim, verdict, reference, shown = Claim(), "accepted", "", f"{len(raw)} bytes"
        try:
            if profile[f"endpoints.{operation}.auth"] and refusal is not None:
                raise refusal
            body = self._parse(raw, operation)
            shown = json.dumps(masked(body), ensure_ascii=False)
            reference = self._reference(account, body)
            claim = self._simulation.dials[self._slug].claim(operation, reference, self._amount(operation, body))
            spoiled = faults.before(claim.now, self._simulation.closing)
            answer = self._act(operation, account, profile, body, claim) if spoiled is None else spoiled
        except Denied as denied:
            verdict = str(denied)
            answer = self.failure(profile, denied)
            if denied.code == "9001":
                answer.headers["Retry-After"] = str(claim.now.get("rate_limited", 2))
        self._store.insert(
            "calls", provider=self._slug, at=self._clock.now(), operation=operation, verdict=verdict,
            status=answer.status_code, answer=_masked_text(answer.get_data(as_text=True)), request=shown,
            faults=json.dumps(claim.now), account=account.id if account else "", reference=reference, expected="",
        )  # fmt: skip
        return faults.after(answer, claim.now, self._simulation.closing)

    def _act(self, operation: str, account: Account | None, profile: Profile, body: Any, claim: Claim) -> Response:
        if "rate_limited" in claim.now:
            raise Denied("9001")
        if operation == "token":
            return self._token(body)
        if "expired_token" in claim.now:
            raise Denied("2003")
        if account is None:
            raise Denied("2002")
        told = self._acts[operation](account, profile, body, claim)
        if "system_error_after" in claim.now:
            raise Denied("9999")
        return self._success(profile, told, claim.now)

    # --- who, where, what ------------------------------------------------------------------------------------------

    def _bearer(self) -> tuple[Account | None, Denied | None]:
        """The account of the token sent, and what is wrong with it. A late token still says whose it was."""
        for account in self._store.accounts(self._slug):
            profile = self._payments.profile(account)
            scheme, _, token = request.headers.get(profile["auth.header"], "").partition(" ")
            if scheme.lower() != profile["auth.scheme"].lower():
                continue
            found = self._store.row(
                "SELECT value FROM keys WHERE provider = ? AND kind = 'token' AND key = ? AND account = ?",
                self._slug, _hash(token), account.id,
            )  # fmt: skip
            if found is not None:
                return account, Denied("2003") if int(found["value"]) <= self._clock.now() else None
        return None, Denied("2002")

    def _account_named(self, raw: bytes) -> Account | None:
        """The account that a token request names: its profile decides where the token's path is."""
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        name = body.get("appId") if isinstance(body, dict) else None
        return self._store.account(self._slug, name) if isinstance(name, str) else None

    def _operation(self, account: Account | None, path: str) -> tuple[Profile, str]:
        known = [account] if account else self._store.accounts(self._slug)
        for profile in [Profile.corrected(""), *map(self._payments.profile, known)][1 if account else 0 :]:
            operation = profile.operation_at(path)
            if operation:
                return profile, operation
        return self._payments.profile(account) if account else Profile.corrected(""), ""

    def _parse(self, raw: bytes, operation: str) -> Any:
        if request.mimetype != "application/json":
            raise Denied("1003")
        try:
            body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
            json.dumps(body, ensure_ascii=False).encode()  # lone surrogates fail here
        except (ValueError, RecursionError):
            raise Denied("1003") from None
        if not isinstance(body, list if operation == "tracking_batch" else dict):
            raise Denied("1001")
        return body

    def _reference(self, account: Account | None, body: Any) -> str:
        """The orderNo a call is about, as far as it can be told before validation."""
        if not isinstance(body, dict) or account is None:
            return ""
        if isinstance(body.get("orderNo"), str) and body["orderNo"]:
            return str(body["orderNo"])[:64]
        known = self._store.order(self._slug, str(body.get("tradeNo", "")))
        return known.reference if known and known.account == account.id else ""

    def _amount(self, operation: str, body: Any) -> int | None:
        if operation not in CREATING:
            return None
        currency = body.get("currency", "USD")
        if not isinstance(body.get("amount"), str) or not isinstance(currency, str):
            return None
        return checks.to_minor(body["amount"], currency)

    # --- answers ---------------------------------------------------------------------------------------------------

    def _success(self, profile: Profile, told: dict[str, Any], on: dict[str, Any]) -> Response:
        code: Any = profile["envelope.successCodes"][0]
        failed, told = self._fail_code(profile, told), dict(told)
        if "decline_in_envelope" in on and failed:
            return self._envelope(profile, failed, checks.MEANINGS[failed], told)
        if "code_as_number" in on:
            code = int(code)
        if "unknown_state" in on:
            put(told, profile.key("fields.payment.status"), "SETTLING")
        if "foreign_redirect" in on:
            for name in ("fields.session.url", "fields.payment.nextAction.url"):
                if _at(told, profile.key(name)):
                    put(told, profile.key(name), on["foreign_redirect"])
        return self._envelope(profile, code, "success", told)

    @staticmethod
    def _fail_code(profile: Profile, told: dict[str, Any]) -> str:
        code = _at(told, profile.key("fields.payment.failCode"))
        return code if code in DECLINES else ""

    def failure(self, profile: Profile, denied: Denied, text: str = "") -> Response:
        told: dict[str, Any] = {}
        if denied.field:
            put(told, profile["envelope.errorField"], denied.field)
        return self._envelope(profile, denied.code, text or checks.MEANINGS[denied.code], told, http=denied.http)

    @staticmethod
    def _envelope(profile: Profile, code: Any, message: str, told: dict[str, Any], http: int = 200) -> Response:
        body: dict[str, Any] = {}
        put(body, profile["envelope.code"], code)
        put(body, profile["envelope.message"], message)
        put(body, profile["envelope.requestId"], f"req_{secrets.token_hex(12)}")
        body |= {profile.data: None} | told
        return Response(json.dumps(body, ensure_ascii=False), status=http, content_type="application/json")

    # --- operations ------------------------------------------------------------------------------------------------

    def _token(self, body: dict[str, Any]) -> Response:
        """3.1. A new token leaves the earlier ones alone."""
        fields = Fields(body)
        name, secret = fields.text("appId", required=True), fields.text("secret", required=True)
        account = self._store.account(self._slug, name)
        right = str(account.settings["secret"]) if account else secrets.token_hex()
        if not secrets.compare_digest(secret.encode(), right.encode()) or account is None:
            raise Denied("2001")
        profile, lifetime = self._payments.profile(account), float(account.settings["token_lifetime_s"])
        token, told = secrets.token_urlsafe(32), dict[str, Any]()
        ends_at = str(self._clock.now() + int(1000 * lifetime))
        self._store.set_key(self._slug, "token", _hash(token), account=account.id, value=ends_at)
        unit = 1000 if profile["auth.expiresInUnit"] in {"ms", "milliseconds"} else 1
        put(told, profile.key("auth.tokenPath"), token)
        put(told, f"{profile.data}.tokenType", profile["auth.scheme"])
        put(told, profile.key("auth.expiresInPath"), int(lifetime * unit))
        return self._envelope(profile, profile["envelope.successCodes"][0], "success", told)

    def _session_create(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.2."""
        fields = Fields(body)
        checks.check_session(fields, profile, remote=self._simulation.allow_remote)
        method = ""
        if "paymentMethodType" in profile["variants"][profile["variant"]]["sessionExtraRequired"]:
            method = fields.text("paymentMethodType")
            self._simulator.require_method(account, method, body["currency"])
        self._require_currency(account, body["currency"])
        if not self._simulator.methods_for(account, body["currency"]):
            raise Denied("2004")
        with self._store.write():
            order = self._new(account, body, claim, kind="session", currency=body["currency"])
            order.data |= {"session_id": f"cs_{secrets.token_urlsafe(24)}", "only_method": method}
            self._store.set_key(self._slug, "session", order.data["session_id"], account=account.id, value=order.id)
            self._add(order)
            told = self._payments.session_answer(order)
        self._settle_early(order)
        return told

    def _payment_create(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.3."""
        fields = Fields(body)
        checks.check_payment(fields, profile, remote=self._simulation.allow_remote)
        self._require_currency(account, body["currency"])
        method = body["paymentMethodType"]
        self._simulator.require_method(account, method, body["currency"])
        checks.check_method(fields, profile)
        if fields.has("billingDesc") and not account.settings["billing_desc_enabled"]:
            raise Denied("2004", "billingDesc")
        with self._store.write():
            order = self._new(account, body, claim, kind="payment", currency=body["currency"])
            if method == "card":
                details = body["card"]
                order.data["capture"] = details.get("captureMethod") or profile["defaults.captureMethod"]
                order.data["store"] = (body.get("billing") or {}).get("storedcredentials") == "store"
                self._add(order)
                self._payments.pay_by_card(order, self.reduce(details), external=body.get("threeDsData"))
            else:
                self._add(order)
                listed = profile["methods"][method]
                kind = (body.get(listed["object"]) or {}).get("productType") if listed["object"] else ""
                self._payments.pay_by_wallet(order, method, kind or listed.get("productType", ""))
            told = self._payments.describe(order)
        self._settle_early(order)
        return told

    def _token_payment(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.4: currency and card come from the payment that yielded the identifier."""
        fields = Fields(body)
        checks.check_token_payment(fields, profile)
        number = fields.text("cardNo")
        mark = fingerprint(self._simulator.fingerprint_key, number) if number else ""
        found = self._payments.card_on_file(account, fields.text("transactionIdentifier"), mark)
        if found is None:
            raise Denied("3009")
        card, currency = found
        fields.money("amount", currency)
        month, year = body["expiryMonth"], body["expiryYear"]
        card = Card.load(
            vars(card)
            | {"month": month, "year": year, "code": "4003" if year + month < self._simulator.this_month else ""}
        )
        with self._store.write():
            order = self._new(account, body, claim, kind="token", currency=currency)
            order.data["capture"] = profile["tokenPayment.captureMethod"]
            if not fields.has("deviceInfo"):
                order.data["three_ds_mode"] = "no"
            self._add(order)
            self._payments.pay_by_card(order, card)
            told = self._payments.describe(order)
        self._settle_early(order)
        return told

    def _capture(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.5: once, all or less; the identical capture again is the same answer."""
        fields = Fields(body)
        fields.text("captureAmount", required=True)
        with self._store.write():
            order = self._find(account, profile, fields)
            amount = fields.money("captureAmount", order.currency)
            if order.data.get("capture_asked") == amount:
                return self._payments.describe(order)
            if order.status != "authorized":
                raise Denied("3003")
            if amount > order.amount:
                raise Denied("3004")
            if amount < order.amount and not profile["rules.partialCapture"]:
                raise Denied("1001", "captureAmount")
            order.data["capture_asked"] = amount
            self._payments.charge(order, amount, "capture")
            return self._payments.describe(order)

    def _inquiry(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.6."""
        fields = Fields(body)
        fields.text("paymentMethodType", length=profile["validation.paymentMethodType"])
        order = self._find(account, profile, fields)
        lasting = self._simulation.dials[self._slug].of(order) | claim.now
        if self._clock.now() < order.created_at + 1000 * float(lasting.get("query_not_found", 0)):
            raise Denied("3002")
        late = self._clock.now() < order.history[-1]["at"] + 1000 * float(lasting.get("query_lags", 0))
        return self._payments.describe(
            order,
            status=order.history[0]["status"] if late else "",
            scale=10 if "query_wrong_amount" in lasting else 1,
            currency=("HKD" if order.currency == "USD" else "USD") if "query_wrong_currency" in lasting else "",
        )

    def _inquiry_second(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.7: what it does is not published, so the account's switch or the profile says."""
        role = account.settings["second_inquiry_role"]
        role = profile["secondInquiryRole"] if role == "profile" else role
        if role == "none":
            raise Denied("2004")
        with self._store.write():
            order = self._find(account, profile, Fields(body))
            if role == "refund_inquiry":
                told: dict[str, Any] = {}
                put(told, profile.key("fields.payment.orderNo"), order.reference)
                put(told, profile.key("fields.payment.tradeNo"), order.id)
                refunds = [self._payments.describe_refund(order, refund) for refund in order.data["refunds"]]
                put(told, profile.key("fields.payment.refunds"), refunds)
                return told
            if order.status in OPEN or order.status == "authorized":
                self._payments.end(order, "cancelled", "cancel")
            elif order.status == "expired":
                raise Denied("3006")
            elif order.status != "cancelled":
                raise Denied("3003")
            return self._payments.describe(order)

    def _refund(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        """3.8. One refundNumber is one refund: the same again is answered alike, anything else refused."""
        fields = Fields(body)
        checks.check_refund(fields, profile, remote=self._simulation.allow_remote)
        with self._store.write():
            order = self._find(account, profile, fields)
            amount, number = fields.money("amount", order.currency), body["refundNumber"]
            key = f"{account.id}:{number}"
            known = self._store.key(self._slug, "refund", key)
            if known is not None:
                refund = self._payments.refund_of(order, number)
                if known != order.id or refund is None or refund["amount"] != amount:
                    raise Denied("3005")
            else:
                if order.status not in PAID:
                    raise Denied("3004" if order.status == "refunded" else "3003")
                if amount > self._payments.refundable(order):
                    raise Denied("3004")
                if amount < order.data["captured"] and not profile["rules.partialRefunds"]:
                    raise Denied("1001", "amount")
                self._store.set_key(self._slug, "refund", key, account=account.id, value=order.id)
                refund = self._payments.refund(order, number, amount, fields.text("notificationUrl"))
            return {profile.data: self._payments.describe_refund(order, refund)}

    # --- tracking (3.9) --------------------------------------------------------------------------------------------

    def _tracking_add(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        with self._store.write():
            return {profile["fields.tracking.root"]: self._add_tracking(account, profile, body)}

    def _tracking_batch(self, account: Account, profile: Profile, body: list[Any], claim: Claim) -> dict[str, Any]:
        """A row that fails leaves the others alone."""
        if not 1 <= len(body) <= profile["tracking.batchLimit"]:
            raise Denied("1001")
        added, failed = [], []
        for row in body:
            named = row if isinstance(row, dict) else {}
            ids = {name: named.get(name) for name in ("orderNo", "trackingNo")}
            try:
                if not isinstance(row, dict):
                    raise Denied("1001")
                with self._store.write():
                    self._add_tracking(account, profile, row)
                added.append(ids)
            except Denied as denied:
                failed.append(ids | {"code": denied.code, "message": checks.MEANINGS[denied.code]})
        told: dict[str, Any] = {}
        put(told, profile["fields.tracking.batchSuccess"], added)
        put(told, profile["fields.tracking.batchFailed"], failed)
        return told

    def _add_tracking(self, account: Account, profile: Profile, row: dict[str, Any]) -> dict[str, Any]:
        fields = Fields(row)
        checks.check_tracking(fields, profile)
        order = self._store.order_by_reference(self._slug, account.id, row["orderNo"])
        if order is None:
            raise Denied("3002")
        if order.status not in profile["tracking.orderStates"]:
            raise Denied("3003")
        methods = account.settings["tracking_methods"]
        if methods != "*" and order.data["method"] not in methods.split(","):
            raise Denied("3008")
        key = f"{account.id}:{row['orderNo']}:{row['trackingNo']}"
        if self._store.key(self._slug, "tracking", key) is not None:
            raise Denied("5001")
        names, now = profile["fields.tracking"], moment(self._clock.now())
        kept = ("carrier", "orderNo", "shipmentDate", "shipmentDirection", "trackingNo", "trackingNumberType")
        tracking = {name: row[name] for name in kept} | {
            names["status"]: row["shippingStatus"],
            "trackingUrl": row.get("trackingUrl") or None,
            names["createTime"]: now,
            names["updateTime"]: now,
        }
        self._store.set_key(self._slug, "tracking", key, account=account.id, value=json.dumps(tracking))
        return tracking

    def _tracking_get(self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim) -> dict[str, Any]:
        _, tracking = self._find_tracking(account, profile, Fields(body))
        return {profile["fields.tracking.root"]: tracking}

    def _tracking_update(
        self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim
    ) -> dict[str, Any]:
        """All changes or none."""
        fields, names = Fields(body), profile["fields.tracking"]
        wire = profile["tracking.wire"]
        with self._store.write():
            key, tracking = self._find_tracking(account, profile, fields)
            for item in fields.rows(wire["items"], required=True):
                op, path = item.text("op", required=True), item.text("path", required=True)
                rule = profile["tracking.patch"].get(path)
                if rule is None or op not in rule["ops"]:
                    raise Denied("5003")
                if path == "/trackingUrl":
                    tracking["trackingUrl"] = item.url("value", required=True)
                    continue
                status = item.text("value", required=True, choices=checks.SHIPPING_STATUSES)
                allowed = status in rule["values"] and (status != "DELIVERED" or profile["tracking.allowDelivered"])
                if not allowed or tracking[names["status"]] != "SHIPPED":
                    raise Denied("5004")
                tracking[names["status"]] = status
            tracking[names["updateTime"]] = moment(self._clock.now())
            self._store.set_key(self._slug, "tracking", key, account=account.id, value=json.dumps(tracking))
        return {names["root"]: tracking}

    def _find_tracking(self, account: Account, profile: Profile, fields: Fields) -> tuple[str, dict[str, Any]]:
        order_no = fields.text("orderNo", required=True, length=profile["validation.orderNo"])
        number = fields.text("trackingNo", required=True, length=profile["tracking.trackingNo"])
        fields.inner(profile["tracking.wire.metadata"])
        if self._store.order_by_reference(self._slug, account.id, order_no) is None:
            raise Denied("3002")
        key = f"{account.id}:{order_no}:{number}"
        found = self._store.key(self._slug, "tracking", key)
        if found is None:
            raise Denied("5002")
        return key, json.loads(found)

    def _webhook_subscribe(
        self, account: Account, profile: Profile, body: dict[str, Any], claim: Claim
    ) -> dict[str, Any]:
        """3.10: one address per account, the latest counts."""
        fields = Fields(body)
        version, method = fields.text("apiVersion", required=True), fields.text("signMethod", required=True)
        address = fields.server_url(
            "subscribeUrl", remote=self._simulation.allow_remote, required=True,
            length=profile["validation.subscribeUrl"], code="6001",
        )  # fmt: skip
        if version != profile["webhook.apiVersion"] or method != profile["webhook.signMethod"]:
            raise Denied("6002")
        told: dict[str, Any] = {}
        with self._store.write():
            account.settings["subscribe_url"] = address
            for name, value in (("subscribeUrl", address), ("apiVersion", version), ("signMethod", method)):
                put(told, f"{profile.data}.{name}", value)
            put(told, profile.key("fields.subscription.status"), "ACTIVE")
            if profile["webhook.keySource"] == "webhookSecret":
                account.settings["webhook_secret"] = account.settings["webhook_secret"] or secrets.token_hex(16)
                put(told, profile.key("fields.subscription.signKey"), account.settings["webhook_secret"])
            self._store.save_account(account)
        return told

    # --- common to operations --------------------------------------------------------------------------------------

    def _find(self, account: Account, profile: Profile, fields: Fields) -> Order:
        """By ``tradeNo``, else by ``orderNo``; naming two different payments is a mistake."""
        trade_no = fields.text("tradeNo", length=(1, 64))
        order_no = fields.text("orderNo", length=profile["validation.orderNo"])
        if not trade_no and not order_no:
            raise Denied("1002", "orderNo")
        if trade_no:
            order = self._store.order(self._slug, trade_no)
        else:
            order = self._store.order_by_reference(self._slug, account.id, order_no)
        if order is None or order.account != account.id:
            raise Denied("3002")
        if order_no and order.reference != order_no:
            raise Denied("1001", "orderNo")
        return order

    def _require_currency(self, account: Account, currency: str) -> None:
        enabled = account.settings["currencies"]
        if enabled != "*" and currency not in enabled.split(","):
            raise Denied("3007", "currency")

    def _new(self, account: Account, body: dict[str, Any], claim: Claim, *, kind: str, currency: str) -> Order:
        amount = Fields(body).money("amount", currency)
        order = self._payments.new(account, body, kind=kind, amount=amount, currency=currency)
        order.data["faults"] = claim.kept
        return order

    def _add(self, order: Order) -> None:
        if not self._store.add_order(order):
            raise Denied("3001", "orderNo")
        self._store.add_job(self._slug, "expire", order.id, order.data["expires_at"])

    def _settle_early(self, order: Order) -> None:
        if "webhook_early" in self._simulation.dials[self._slug].of(order):
            self._simulation.settle()

    def reduce(self, details: dict[str, Any]) -> Card:
        """The only place that sees a whole card number; it ends with the request."""
        return reduced(
            details["cardNo"], details["cvc"], details["expiryMonth"], details["expiryYear"],
            details["lastName"], key=self._simulator.fingerprint_key, today=self._simulator.this_month,
        )  # fmt: skip


# Beside what the kit masks. Ids are digits too, and pass Luhn one time in ten: they are left as they are.
_HIDDEN = re.compile(
    "secret|token|access_?token|sign_?key|transaction_?identifier|birthday|cavv|auth_?code|open_?id", re.IGNORECASE
)
_PLAIN = frozenset({"orderNo", "tradeNo", "refundNumber", "refundTradeNo", "trackingNo"})


def masked(value: Any, name: str = "") -> Any:
    """A copy of parsed JSON fit for the log."""
    if isinstance(value, dict):
        return {key: masked(member, str(key)) for key, member in value.items()}
    if isinstance(value, list):
        return [masked(member, name) for member in value]
    if _HIDDEN.fullmatch(name) and value:
        return "***"
    return value if name in _PLAIN else masking.mask(value, name)


def _masked_text(text: str) -> str:
    try:
        return json.dumps(masked(json.loads(text)), ensure_ascii=False)
    except ValueError:
        return masking.mask_text(text)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _at(body: Any, path: str) -> Any:
    for step in path.split("."):
        body = body.get(step) if isinstance(body, dict) else None
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
