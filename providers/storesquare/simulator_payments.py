"""A payment's life at StoreSquare, and how it is told: states, money, cards on file, refunds, webhooks.

Statuses are kept as the brief's canonical words (``created`` … ``refunded``) and put into the account's own words only
when they leave the house. Every method that changes something runs inside a write.
"""

import json
import secrets
from collections.abc import Mapping, Set
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import request

from providers.simulation import Account, Message, Notice, Order, Refused
from providers.storesquare import simulator_signing as signing
from providers.storesquare.simulator_cards import EXTERNAL_GOOD, Authentication, Card
from providers.storesquare.simulator_checks import MEANINGS, action_of, to_minor, to_text
from providers.storesquare.simulator_profile import Profile, put

if TYPE_CHECKING:
    from providers.storesquare.simulator import Simulator

OPEN = frozenset({"created", "pending"})
PAID = frozenset({"captured", "partially_refunded"})
FINAL = frozenset({"refunded", "failed", "cancelled", "expired"})
EVENTS = {
    "authorized": "payment.authorized",
    "captured": "payment.succeeded",
    "failed": "payment.failed",
    "cancelled": "payment.cancelled",
    "expired": "payment.expired",
    # only when an operator sends the present status again
    "partially_refunded": "payment.succeeded",
    "refunded": "payment.succeeded",
}
SLOW_S = 20
DAY_MS = 86_400_000
STALE_MS = 600_000
#: A webhook sent again on an operator's wish; what follows the word says how it was spoilt.
REPLAY = "replay"


class Payments:
    def __init__(self, simulator: "Simulator") -> None:
        self._simulation = simulator.simulation
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug

    # --- beginnings ------------------------------------------------------------------------------------------------

    def new(self, account: Account, body: Mapping[str, Any], *, kind: str, amount: int, currency: str) -> Order:
        """A payment as requested, not yet in the store. ``kind`` is ``session``, ``payment`` or ``token``."""
        profile, now = self.profile(account), self._clock.now()
        minutes = int(body.get("expiryTime") or profile["defaults.expiryTime"])
        order = Order(
            provider=self._slug, id=self.trade_number(), account=account.id, reference=body["orderNo"],
            status="created", amount=amount, currency=currency, created_at=now,
        )  # fmt: skip
        order.data = {
            "kind": kind,
            "method": None,
            "capture": body.get("captureMethod") or profile["defaults.captureMethod"],
            "three_ds_mode": body.get("threeDsMode") or profile["defaults.threeDsMode"],
            "fraud": body.get("fraudMode") or profile["defaults.fraudMode"],
            "description": body.get("description") or "",
            "front_url": body.get("frontUrl") or "",
            "notification_url": body.get("notificationUrl") or "",
            "expires_at": now + 60_000 * minutes,
            "base": f"{self._simulation.public_url or request.host_url.rstrip('/')}/{self._slug}",
            "is_known": kind != "session",  # whether the merchant was told the tradeNo
            "store": False,
            "captured": 0,
            "refunded": 0,
            "refunds": [],
        }
        order.enter("created" if kind == "session" else "pending", now, "created")
        return order

    def trade_number(self) -> str:
        """21 digits: the time to the second and a sequence."""
        moment = datetime.fromtimestamp(self._clock.now() / 1000, UTC).strftime("%Y%m%d%H%M%S")
        return str(self._store.rising("storesquare_number", int(moment) * 10_000_000 + 1))

    def pay_by_card(self, order: Order, card: Card, *, external: Mapping[str, Any] | None = None) -> None:
        """3-D Secure as card and mode have it, or the result of somebody else's run; then the issuer."""
        authentication = card.authenticate(order.data["three_ds_mode"])
        if external is not None:
            result = external["authenticationResultCode"]
            authentication = Authentication("external", result, "" if result in EXTERNAL_GOOD else "4005")
        order.data |= {"method": "card", "card": asdict(card), "is_known": True, "action": None}
        self._tell_three_ds(order, authentication.flow, authentication.result, (external or {}).get("eci", ""))
        if card.fraud and order.data["fraud"] == "Y":
            self.decline(order, "4006", "fraud check")
        elif authentication.flow == "challenge":
            order.data["action"] = self._redirect(order, "3ds")
            self.enter(order, "pending", "3DS challenge")
        elif authentication.code:
            self.decline(order, authentication.code, "3DS")
        else:
            self._authorise(order, card)

    def pay_by_wallet(self, order: Order, method: str, product_type: str) -> None:
        action = action_of(self.profile(self.account(order)), method, product_type)
        order.data |= {"method": method, "card": None, "three_ds": None, "is_known": True, "action": None}
        if action == "sync":
            self.approve(order, "code accepted")
            return
        if action == "qrCode":
            order.data["action"] = {"type": action, "qrCode": f"{order.data['base']}/wallet/{order.id}"}
        elif action == "sdk":
            order.data["action"] = {"type": action, "payload": json.dumps({"prepayId": secrets.token_hex(16)})}
        else:
            order.data["action"] = self._redirect(order, "wallet")
        self.enter(order, "pending", f"waiting for {method}")

    def answer_challenge(self, order: Order, answer: str) -> None:
        """``authenticate``, ``fail`` or ``cancel``, pressed on the issuer's page."""
        card = Card.load(order.data["card"])
        if answer == "authenticate" and card.three_ds == "challenge":
            self._tell_three_ds(order, "challenge", "Y")
            self._authorise(order, card)
            return
        self._tell_three_ds(order, "challenge", "N")
        given_up = answer == "cancel" and card.three_ds == "challenge"
        self.decline(order, "4009" if given_up else "4005", f"3DS {answer}")

    def _redirect(self, order: Order, page: str) -> dict[str, Any]:
        base = order.data["base"]
        if self.account(order).settings["redirect_method"] == "GET":
            return {"type": "redirect", "url": f"{base}/{page}/{order.id}", "method": "GET"}
        order.data["landing"] = secrets.token_hex(16)
        url = f"{base}/start/{page}/{order.id}"
        return {"type": "redirect", "url": url, "method": "POST", "form": {"session": order.data["landing"]}}

    def _tell_three_ds(self, order: Order, flow: str, result: str, eci: str = "") -> None:
        card = Card.load(order.data["card"])
        version = "2.2.0" if flow != "none" or result else None
        order.data["three_ds"] = {
            "flow": flow,
            "result": result or None,
            "eci": eci or card.eci(result) or None,
            "version": version,
        }

    # --- the issuer's and the payer's word -------------------------------------------------------------------------

    def _authorise(self, order: Order, card: Card) -> None:
        if not card.slow:
            self.ask_issuer(order)
            return
        order.data["action"] = None
        self.enter(order, "pending", "the issuer takes its time")
        self._store.add_job(self._slug, "decide", order.id, self._clock.now() + 1000 * SLOW_S)

    def ask_issuer(self, order: Order) -> None:
        card = Card.load(order.data["card"])
        code = str(self._faults(order).get("decline", card.code))
        if code:
            self.decline(order, code, f"declined {code}")
        else:
            self.approve(order, "card approved")

    def decline(self, order: Order, code: str, cause: str) -> None:
        """The end of a direct payment; in a hosted session the shopper may try again."""
        order.data |= {"action": None, "fail": code}
        if order.data["kind"] == "session":
            order.data |= {"method": None, "card": None, "three_ds": None}
            self.enter(order, "created", cause)
        else:
            self.enter(order, "failed", cause)

    def approve(self, order: Order, cause: str, amount: int | None = None) -> None:
        received = amount or order.amount + int(self._faults(order).get("paid_differs", 0))
        order.data |= {"action": None, "fail": None, "paid_at": self._clock.now(), "is_known": True}
        order.data["method"] = order.data["method"] or "card"
        if order.data.get("card"):
            order.data["auth_code"] = f"{secrets.randbelow(1_000_000):06d}"
            self._keep_card(order)
        if order.data["capture"] == "manual" and order.data["method"] == "card":
            days = int(self.profile(self.account(order))["rules.authorizationDays"])
            self._store.add_job(self._slug, "age", order.id, self._clock.now() + days * DAY_MS)
            self.enter(order, "authorized", cause)
        else:
            self.charge(order, received if received > 0 else order.amount, cause)

    def charge(self, order: Order, amount: int, cause: str) -> None:
        """Money moves. What an authorisation held beyond ``amount`` is let go."""
        order.data |= {"captured": amount, "paid_at": self._clock.now(), "action": None, "fail": None}
        self._store.post(order, "charge", amount, order.currency, self._clock.now())
        self.enter(order, "captured", cause)
        lasting = self._faults(order)
        if "refund_later" in lasting:
            due_at = self._clock.now() + int(1000 * float(lasting["refund_later"]))
            self._store.add_job(self._slug, "refund_later", order.id, due_at)

    def end(self, order: Order, status: str, cause: str) -> None:
        """``cancelled`` or ``expired``: no money can come any more."""
        order.data["action"] = None
        self.enter(order, status, cause)

    def enter(self, order: Order, status: str, cause: str) -> None:
        order.enter(status, self._clock.now(), cause)
        self._store.save_order(order)
        if status not in OPEN:
            for job in ("expire", "decide"):
                self._store.drop_jobs(self._slug, job, order.id)
        if status != "authorized":
            self._store.drop_jobs(self._slug, "age", order.id)
        if status in EVENTS and status not in {"partially_refunded", "refunded"}:
            self.announce(order, Notice(EVENTS[status]))

    # --- cards on file ---------------------------------------------------------------------------------------------

    def _keep_card(self, order: Order) -> None:
        """A new identifier for each payment that asked for one; 33 digits, known to its account only."""
        if not order.data["store"]:
            return
        identifier = f"{secrets.randbelow(10**21):033d}"
        kept = json.dumps({"card": order.data["card"], "currency": order.currency})
        self._store.set_key(self._slug, "credential", identifier, account=order.account, value=kept)
        name = f"{order.account}:{order.data['card']['fingerprint']}"
        self._store.set_key(self._slug, "card", name, account=order.account, value=identifier)
        order.data["credential"] = identifier

    def card_on_file(self, account: Account, identifier: str, fingerprint: str) -> tuple[Card, str] | None:
        """Card and currency of an identifier, or of the latest one of a card number's fingerprint."""
        if not identifier:
            identifier = self._store.key(self._slug, "card", f"{account.id}:{fingerprint}") or ""
        found = self._store.row(
            "SELECT value FROM keys WHERE provider = ? AND kind = 'credential' AND key = ? AND account = ?",
            self._slug, identifier, account.id,
        )  # fmt: skip
        if found is None:
            return None
        kept = json.loads(found["value"])
        card = Card.load(kept["card"])
        return None if fingerprint and card.fingerprint != fingerprint else (card, str(kept["currency"]))

    def revoke_card(self, order: Order) -> None:
        if not order.data.get("credential"):
            raise Refused("this payment stored no card")
        with self._store.write() as db:
            db.execute(
                "DELETE FROM keys WHERE provider = ? AND kind = 'credential' AND key = ?",
                (self._slug, order.data["credential"]),
            )

    # --- refunds ---------------------------------------------------------------------------------------------------

    def refundable(self, order: Order) -> int:
        pending: int = sum(refund["amount"] for refund in order.data["refunds"] if refund["status"] == "pending")
        return int(order.data["captured"]) - int(order.data["refunded"]) - pending

    def refund(self, order: Order, number: str, amount: int, notification_url: str = "") -> dict[str, Any]:
        """Begin a refund that is known to be allowed. Amounts ending .11 and .13 are decided later."""
        refund = {
            "number": number,
            "trade_number": self.trade_number(),
            "amount": amount,
            "status": "pending",
            "fail": None,
            "created_at": self._clock.now(),
            "decided_at": None,
            "notification_url": notification_url,
        }
        order.data["refunds"].append(refund)
        self._store.save_order(order)
        ending = to_text(amount, order.currency)[-3:]
        if ending in {".11", ".13"}:
            delay = float(self.account(order).settings["refund_decision_s"])
            due_at = self._clock.now() + int(1000 * delay)
            self._store.add_job(self._slug, "refund", order.id, due_at, number=number, success=ending == ".11")
        else:
            self.decide_refund(order, refund, success=True)
        return refund

    def decide_refund(self, order: Order, refund: dict[str, Any], *, success: bool) -> None:
        now = self._clock.now()
        refund |= {"status": "succeeded" if success else "failed", "decided_at": now}
        if success:
            order.data["refunded"] += refund["amount"]
            self._store.post(order, "refund", refund["amount"], order.currency, now)
            whole = order.data["refunded"] == order.data["captured"]
            self.enter(order, "refunded" if whole else "partially_refunded", f"refund {refund['number']}")
        else:
            refund["fail"] = "4001"
            self._store.save_order(order)
        self.announce(order, Notice(f"refund.{refund['status']}", {"refund": refund["number"]}))

    def refund_of(self, order: Order, number: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = order.data["refunds"]
        return next((refund for refund in found if refund["number"] == number), None)

    # --- how it is told --------------------------------------------------------------------------------------------

    def account(self, order: Order) -> Account:
        account = self._store.account(self._slug, order.account)
        if account is None:
            raise Refused("the app of this payment is gone")
        return account

    def profile(self, account: Account) -> Profile:
        return Profile.corrected(str(account.settings["profile"]))

    def _faults(self, order: Order) -> dict[str, Any]:
        return self._simulation.dials[self._slug].of(order)

    def describe(
        self, order: Order, *, status: str = "", word: str = "", scale: int = 1, currency: str = ""
    ) -> dict[str, Any]:
        """The Payment object in its envelope. The options falsify it: another status, word, amount or currency."""
        profile, data, body = self.profile(self.account(order)), order.data, dict[str, Any]()
        status = status or order.status

        def tell(name: str, value: Any) -> None:
            put(body, profile.key(f"fields.payment.{name}"), value)

        def tell_part(name: str, members: Mapping[str, Any] | None, *, none: bool) -> None:
            if members is not None:
                for member, value in members.items():
                    tell(f"{name}.{member}", value)
            elif none:
                first = next(iter(profile[f"fields.payment.{name}"]))
                parent = profile.key(f"fields.payment.{name}.{first}").rpartition(".")[0]
                if parent != profile.data:
                    put(body, parent, None)

        tell("orderNo", order.reference)
        tell("tradeNo", order.id if data["is_known"] else None)
        tell("method", data["method"])
        tell("amount", to_text(order.amount * scale, order.currency))
        tell("currency", currency or order.currency)
        tell("captureMethod", data["capture"] if data["method"] in {None, "card"} else "auto")
        captured = 0 if status in OPEN else data["captured"]
        tell("capturedAmount", to_text(captured * scale, order.currency))
        tell("refundedAmount", to_text(data["refunded"], order.currency))
        tell("status", word or profile.payment_word(status))
        tell_part("nextAction", data.get("action") if status == "pending" else None, none=True)
        card = data.get("card")
        tell_part("card", self._card_members(card, data) if card else None, none=data["method"] == "card")
        tell_part("threeDs", data.get("three_ds"), none=data["method"] == "card")
        if data.get("credential"):
            tell("transactionIdentifier", data["credential"])
        failed = data.get("fail") if status == "failed" else None
        tell("failCode", failed)
        tell("failMessage", MEANINGS[failed] if failed else None)
        tell("createTime", moment(order.created_at))
        tell("payTime", moment(data.get("paid_at")))
        tell("expireTime", moment(data["expires_at"]))
        tell("refunds", [self.describe_refund(order, refund) for refund in data["refunds"]])
        return body

    @staticmethod
    def _card_members(card: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "brand": card["brand"],
            "masked": Card.load(card).masked,
            "expiryMonth": card["month"],
            "expiryYear": card["year"],
            "authCode": data.get("auth_code"),
        }

    def describe_refund(self, order: Order, refund: Mapping[str, Any]) -> dict[str, Any]:
        profile, told = self.profile(self.account(order)), dict[str, Any]()
        members = {
            "refundNumber": refund["number"],
            "refundTradeNo": refund["trade_number"],
            "orderNo": order.reference,
            "tradeNo": order.id,
            "amount": to_text(refund["amount"], order.currency),
            "currency": order.currency,
            "status": profile.refund_word(refund["status"]),
            "failCode": refund["fail"],
            "failMessage": MEANINGS[refund["fail"]] if refund["fail"] else None,
            "createTime": moment(refund["created_at"]),
            "refundTime": moment(refund["decided_at"]),
        }
        for name, value in members.items():
            put(told, profile.key(f"fields.refund.{name}"), value)
        return told

    def session_answer(self, order: Order) -> dict[str, Any]:
        profile, body = self.profile(self.account(order)), dict[str, Any]()
        members = {
            "id": order.data["session_id"],
            "url": f"{order.data['base']}/cashier/{order.data['session_id']}",
            "tradeNo": None,
            "expireTime": moment(order.data["expires_at"]),
            "status": profile.payment_word("created"),
        }
        put(body, profile.key("fields.payment.orderNo"), order.reference)
        for name, value in members.items():
            put(body, profile.key(f"fields.session.{name}"), value)
        return body

    # --- webhooks --------------------------------------------------------------------------------------------------

    def announce(self, order: Order, notice: Notice) -> None:
        self._simulation.webhooks.announce(order, notice, lost=not self._address(order, notice))

    def _address(self, order: Order, notice: Notice) -> str:
        """The refund's own address, the payment's, the subscribed one: in the order the profile says."""
        account = self.account(order)
        refund = self.refund_of(order, str(notice.extra.get("refund", ""))) or {}
        places = {
            "notificationUrl": [refund.get("notification_url", ""), order.data["notification_url"]],
            "subscription": [account.settings["subscribe_url"]],
        }
        wanted = [address for place in self.profile(account)["webhook.precedence"] for address in places[place]]
        return next((str(address) for address in wanted if address), "")

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        account = self.account(order)
        profile, address = self.profile(account), self._address(order, notice)
        if notice.kind.startswith(REPLAY):
            body = json.loads(notice.extra["body"])
            late = STALE_MS if notice.kind.endswith("stale") else 0
            message = self._signed(account, address, body, self._clock.now() - late)
            return self._tampered(order, message) if notice.kind.endswith("tampered") else message
        names = profile["webhook.body"]
        kind = EVENTS.get(order.status, f"payment.{order.status}") if notice.kind == "status" else notice.kind
        body = {
            names.get("apiVersion", "apiVersion"): profile["webhook.apiVersion"],
            names["appId"]: account.id,
            names["eventId"]: f"evt_{self._store.rising('storesquare_event', 1):010d}",
            names["eventType"]: kind,
            names["eventTime"]: moment(self._clock.now()),
            names["data"]: self._news(order, notice, twists),
        }
        secret = secrets.token_hex(16) if "webhook_forged" in twists else ""
        message = self._signed(account, address, body, self._clock.now(), secret)
        return self._tampered(order, message) if "webhook_tampered" in twists else message

    def _tampered(self, order: Order, message: Message) -> Message:
        """Ten times the amount under a signature for the right one."""
        profile, body = self.profile(self.account(order)), json.loads(message.body)
        paid = profile.key("fields.payment.amount").rpartition(".")[2]
        body[profile["webhook.body.data"]][paid] = to_text(order.amount * 10, order.currency)
        return replace(message, body=_bytes(body))

    def _news(self, order: Order, notice: Notice, twists: Set[str]) -> dict[str, Any]:
        scale = 10 if "webhook_wrong_amount" in twists else 1
        currency = _other_currency(order.currency) if "webhook_wrong_currency" in twists else order.currency
        word = "SETTLED" if "webhook_unknown_status" in twists else ""
        if "webhook_wrong_reference" in twists:
            order = replace(order, id=self.trade_number(), reference=f"{order.reference[:60]}-OTH")
        refund = self.refund_of(order, str(notice.extra.get("refund", "")))
        if refund is None:
            profile = self.profile(self.account(order))
            told = self.describe(order, word=word, scale=scale, currency=currency)[profile.data]
            return dict(told)
        changed = replace(order, currency=currency)
        told = self.describe_refund(changed, refund | {"amount": refund["amount"] * scale})
        if word:
            told[self.profile(self.account(order)).key("fields.refund.status")] = word
        return told

    def refresh(self, account: Account, kind: str, message: Message) -> Message:
        """A genuine message is stamped and signed anew for each attempt; a falsified one stays as it is."""
        if kind.startswith(f"{REPLAY} "):
            return message
        header = self.profile(account)["webhook.headers.timestamp"]
        stamp = int(message.headers.get(header, "0"))
        body = self._without_digest(account, message.body)
        if self._signed(account, message.url, body, stamp, exact=True) != message:
            return message
        return self._signed(account, message.url, body, self._clock.now())

    def _preset(self, account: Account) -> dict[str, Any]:
        webhook = self.profile(account)["webhook"]
        chosen = account.settings["signature_preset"]
        return dict(webhook["presets"][webhook["preset"] if chosen == "profile" else chosen])

    def _without_digest(self, account: Account, raw: bytes) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(raw)
        place, _, where = str(self._preset(account)["source"]).partition(":")
        if place == "body":
            *parents, last = where.split(".")
            inner = body
            for step in parents:
                inner = inner[step]
            inner.pop(last, None)
        return body

    def _signed(
        self, account: Account, url: str, body: dict[str, Any], at: int, secret: str = "", *, exact: bool = False
    ) -> Message:
        """The message with its headers. ``exact`` takes ``at`` as it was sent, else it is epoch milliseconds."""
        profile, preset = self.profile(account), self._preset(account)
        names, webhook = profile["webhook.headers"], profile["webhook"]
        stamp = str(at if exact or preset.get("timestampUnit", "ms") == "ms" else at // 1000)
        if not secret:
            own = webhook["keySource"] == "webhookSecret" and account.settings["webhook_secret"]
            secret = str(own or account.settings["secret"])
        raw = _bytes(body)
        digest = signing.digest(preset, secret, stamp, raw)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "StoreSquare-Simulator",
            names["appId"]: account.id,
            names["apiVersion"]: webhook["apiVersion"],
            names["signMethod"]: webhook["signMethod"],
            names["timestamp"]: stamp,
        }
        place, _, where = str(preset["source"]).partition(":")
        if place == "header":
            headers[where] = digest
        else:
            whole = json.loads(raw)
            put(whole, where, digest)
            raw = _bytes(whole)
        return Message(url, headers, raw)

    def replay(self, order: Order, event_id: str, *, tamper: bool, stale: bool) -> None:
        """An event once more, under its own id: genuine, altered after signing, or with an old time stamp."""
        account = self.account(order)
        name = self.profile(account)["webhook.body.eventId"]
        for webhook in self._simulation.webhooks.listing(self._slug, order.id):
            body = self._without_digest(account, webhook["body"].encode())
            if not event_id or body[name] == event_id:
                kind = f"{REPLAY} tampered" if tamper else f"{REPLAY} stale" if stale else REPLAY
                self.announce(order, Notice(kind, {"body": json.dumps(body, ensure_ascii=False)}))
                return
        raise Refused("this payment has no such event")

    def minor(self, text: Any, order: Order) -> int:
        """An operator's amount."""
        amount = to_minor(str(text), order.currency)
        if not amount:
            raise Refused("amount must be a positive decimal of the payment's currency")
        return amount


def moment(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _other_currency(currency: str) -> str:
    return "USD" if currency != "USD" else "HKD"
