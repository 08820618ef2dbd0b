"""StoreSquare's side of the wire, played locally: API, cashier, 3-D Secure, wallets, webhooks, refunds, tracking.

Written from the brief and ``profile.json`` alone: no path, header, status word or response key stands in this code, and
an account may correct any of them with its switch ``profile``. It shares no code with the client.

``simulator_api`` answers the operations, ``simulator_checks`` says what they demand, ``simulator_payments`` is what
happens to a payment and how it is told, ``simulator_pages`` what the shopper sees, ``simulator_cards`` the test cards.
"""

import json
import re
import secrets
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, render_template

from providers.simulation import (
    Account,
    Dial,
    Job,
    Message,
    Notice,
    Order,
    OrderEvent,
    ProviderSimulator,
    Refused,
    Simulation,
    Switch,
)
from providers.storesquare.simulator_api import Api
from providers.storesquare.simulator_cards import CARDS, DECLINES
from providers.storesquare.simulator_checks import Denied
from providers.storesquare.simulator_pages import Pages
from providers.storesquare.simulator_payments import FINAL, OPEN, PAID, Payments
from providers.storesquare.simulator_profile import Profile

_SHIPPED = Profile.corrected("")
PAGES = frozenset({"cashier", "3ds", "wallet", "start", "result"})
ROLES = ("profile", "cancel", "refund_inquiry", "none")


class Simulator(ProviderSimulator):
    """StoreSquare at ``/storesquare``: that is the client's base URL."""

    slug = "storesquare"
    title = "StoreSquare"
    accounts_name = "apps"
    creates = "payment_create"
    operations = tuple(_SHIPPED["endpoints"])
    landings = frozenset({"start"})
    webhook_time_out_s = float(_SHIPPED["webhook.ackTimeout"])
    without_dials = frozenset({"dispute_later"})  # nothing about disputes is published
    own_dials = (
        Dial("system_error_after", "answer", True, "done, but the answer is code 9999 (system error)", 24),
        Dial("expired_token", "answer", True, "code 2003 (token expired), nothing was done", 25),
        Dial("foreign_redirect", "answer", "https://cashier.attacker.example/pay", "url leads to this address", 26),
        Dial("unknown_state", "answer", True, "done, but the status is a word nobody documented", 27),
        Dial("decline_in_envelope", "answer", True, "a decline is told as the envelope's code", 28),
        Dial("code_as_number", "answer", True, "the envelope's code is a JSON number", 29),
        Dial("rate_limited", "answer", 2, "code 9001 (HTTP 429), nothing was done; value is Retry-After", 44),
        Dial("decline", "money", "4002", "the card is declined with this code, whatever its number", 71),
    )
    switches = (
        Switch("merchant_name", "Test merchant", "shown on the pages"),
        Switch("profile", "", "JSON object of corrections, merged over the shipped profile for this app"),
        Switch("signature_preset", "profile", "how webhooks are signed", ("profile", *_SHIPPED["webhook.presets"])),
        Switch("second_inquiry_role", "profile", "what the second inquiry does", ROLES),
        Switch("methods", "*", "comma-separated payment methods of this app; * is all of the profile"),
        Switch("currencies", "*", "comma-separated currencies of this app; * is all of ISO 4217"),
        Switch("tracking_methods", "*", "comma-separated payment methods whose orders take tracking numbers"),
        Switch("billing_desc_enabled", False, "billingDesc was activated for this app"),
        Switch("token_lifetime_s", 3600.0, "lifetime of an access token"),
        Switch("redirect_method", "GET", "how the browser is handed to the 3DS and wallet pages", ("GET", "POST")),
        Switch("refund_decision_s", 20.0, "a refund ending .11 or .13 is decided this much later"),
        Switch("subscribe_url", "", "the subscribed webhook address"),
        Switch("webhook_secret", "", "signs webhooks where the profile's keySource is webhookSecret"),
        Switch("webhook_delay_s", 0.2, "a webhook is sent this much after its cause"),
        Switch("retry_factor", 1.0, "stretches or shortens the waits between webhook attempts"),
    )
    events = (
        OrderEvent("approve", "the payer pays; amount: other than ordered", ("amount",)),
        OrderEvent("reject", "the payer or issuer says no", ("code",)),
        OrderEvent("expire", "the payment's time is over"),
        OrderEvent("cancel", "StoreSquare cancels the payment"),
        OrderEvent("capture", "the authorisation is captured at StoreSquare's portal", ("amount",)),
        OrderEvent("refund", "a refund made at StoreSquare's portal", ("amount",)),
        OrderEvent("refund_succeed", "a pending refund succeeds", ("refund_number",)),
        OrderEvent("refund_fail", "a pending refund fails", ("refund_number",)),
        OrderEvent("late_success", "money comes after the payment failed, was cancelled or expired"),
        OrderEvent("revoke_card", "the stored card's transactionIdentifier is revoked"),
        OrderEvent("replay", "an event again; tamper: altered, stale: old time stamp", ("event_id", "tamper", "stale")),
    )
    test_cards = tuple(card for card, _ in CARDS.values())

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._payments = Payments(self)
        self._api = Api(self, self._payments)
        self._pages = Pages(self, self._payments)

    # --- accounts --------------------------------------------------------------------------------------------------

    def default_accounts(self) -> list[Account]:
        """One app with every method, one that takes cards only."""
        whole = {"app_id": "086000000000001", "secret": "sim_secret_3f9a1c5e7b2d4860"}  # nosec B105
        cards = {"app_id": "086000000000002", "secret": "sim_secret_8c2e6b0d4f1a9753", "methods": "card"}  # nosec B105
        return [self.account_from(whole), self.account_from(cards)]

    def account_from(self, payload: Mapping[str, Any]) -> Account:
        app_id = str(payload.get("app_id", ""))
        if not re.fullmatch("[0-9]{15}", app_id):
            raise Refused("app_id must be 15 digits")
        known = self.store.account(self.slug, app_id)
        settings: dict[str, Any] = {switch.name: switch.default for switch in self.switches}
        settings |= known.settings if known else {}
        for name, value in payload.items():
            if name not in {"app_id", "secret"}:
                settings[name] = self._switch_value(name, value)
        settings["secret"] = str(payload.get("secret") or settings.get("secret") or "")
        if not settings["secret"]:
            raise Refused("secret is missing")
        return Account(self.slug, app_id, settings)

    def _switch_value(self, name: str, value: Any) -> Any:
        switch = next((one for one in self.switches if one.name == name), None)
        if switch is None:
            raise Refused(f"no switch is called {name!r}")
        if name == "profile":
            return _corrections(value)
        if isinstance(switch.default, str) and isinstance(value, list):
            value = ",".join(map(str, value))
        wanted: type | tuple[type, ...] = (int, float) if isinstance(switch.default, float) else type(switch.default)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(switch.default, bool)):
            raise Refused(f"{name} must be of the kind of {switch.default!r}")
        if switch.choices and value not in switch.choices:
            raise Refused(f"{name} must be one of {', '.join(switch.choices)}")
        return value

    def methods_for(self, account: Account, currency: str) -> list[str]:
        """The methods that this app may use in a currency, in the profile's order."""
        enabled, listed = account.settings["methods"], self._payments.profile(account)["methods"]
        return [
            name
            for name, method in listed.items()
            if (enabled == "*" or name in enabled.split(","))
            and ("*" in method["currencies"] or currency in method["currencies"])
        ]

    def require_method(self, account: Account, method: str, currency: str) -> None:
        enabled, listed = account.settings["methods"], self._payments.profile(account)["methods"]
        if method not in listed or not (enabled == "*" or method in enabled.split(",")):
            raise Denied("3008", "paymentMethodType")
        if method not in self.methods_for(account, currency):
            raise Denied("3007", "currency")

    @property
    def fingerprint_key(self) -> str:
        """Tells cards apart without their numbers; made once for each state file."""
        with self.store.write():
            key = self.store.fact("storesquare_fingerprint_key")
            if key is None:
                key = secrets.token_hex(32)
                self.store.set_fact("storesquare_fingerprint_key", key)
            return key

    @property
    def this_month(self) -> str:
        return datetime.fromtimestamp(self.clock.now() / 1000, UTC).strftime("%Y%m")

    # --- the wire --------------------------------------------------------------------------------------------------

    def blueprint(self) -> Blueprint:
        routes = Blueprint(self.slug, __name__, template_folder="simulator_templates")
        self._pages.add_to(routes)
        # every other path is the API's: where it is depends on the account's profile
        routes.add_url_rule(
            "/<path:path>", "api", lambda path: self._api.answer(f"/{path}"),
            methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        )  # fmt: skip
        return routes

    def http_error(self, path: str, status: int, text: str) -> Response:
        if path.removeprefix(f"/{self.slug}/").split("/", 1)[0] in PAGES:
            heading = "Page not found" if status == 404 else "That is not possible"
            page = render_template("storesquare/ended.html", order=None, heading=heading, text=text, link="")
            return Response(page, status=status)
        return self._api.failure(_SHIPPED, Denied("9999" if status >= 500 else "1001", http=status), text)

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        return self._payments.compose(order, notice, twists)

    def refresh(self, account: Account, kind: str, message: Message) -> Message:
        return self._payments.refresh(account, kind, message)

    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        return 200 <= status < 300

    def retry_wait(self, account: Account, attempt: int) -> float | None:
        waits = self._payments.profile(account)["webhook.retrySeconds"]
        return float(waits[attempt - 1]) * float(account.settings["retry_factor"]) if attempt <= len(waits) else None

    # --- what happens by itself, or on an operator's wish ----------------------------------------------------------

    def run(self, job: Job) -> None:
        order = self.store.order(self.slug, job.order_id)
        if order is None:
            return
        if job.kind == "expire" and order.status in OPEN:
            self._payments.end(order, "expired", "expired")
        elif job.kind == "decide" and order.status == "pending":
            self._payments.ask_issuer(order)
        elif job.kind == "age" and order.status == "authorized":
            self._payments.end(order, "cancelled", "not captured in time")
        elif job.kind == "refund":
            refund = self._payments.refund_of(order, job.data["number"])
            if refund is not None and refund["status"] == "pending":
                self._payments.decide_refund(order, refund, success=job.data["success"])
        elif job.kind == "refund_later" and order.status in PAID:
            self.happen(order, "refund", {})

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        payments = self._payments
        if event == "revoke_card":
            payments.revoke_card(order)
        elif event == "replay":
            payments.replay(
                order,
                str(members.get("event_id", "")),
                tamper=_is_yes(members, "tamper"),
                stale=_is_yes(members, "stale"),
            )
        elif event == "capture":
            self._require(order, event, {"authorized"})
            amount = payments.minor(members["amount"], order) if "amount" in members else order.amount
            if amount > order.amount:
                raise Refused("amount is more than was authorised")
            payments.charge(order, amount, event)
        elif event == "refund":
            self._require(order, event, PAID)
            left = payments.refundable(order)
            amount = payments.minor(members["amount"], order) if "amount" in members else left
            if not 0 < amount <= left:
                raise Refused("amount is more than can be refunded")
            payments.refund(order, f"PORTAL-{self.store.rising('storesquare_portal', 1):06d}", amount)
        elif event in {"refund_succeed", "refund_fail"}:
            self._decide_refund(order, event, str(members.get("refund_number", "")))
        elif event == "late_success":
            self._require(order, event, FINAL - {"refunded"})
            order.data |= {"method": order.data["method"] or "card", "is_known": True}
            payments.charge(order, order.amount, event)
        elif event == "approve":
            self._require(order, event, OPEN)
            payments.approve(order, event, payments.minor(members["amount"], order) if "amount" in members else None)
        elif event == "reject":
            self._require(order, event, OPEN)
            code = str(members.get("code", "4009"))
            if code not in DECLINES:
                raise Refused(f"code must be one of {', '.join(DECLINES)}")
            payments.decline(order, code, event)
        else:
            self._require(order, event, OPEN if event == "expire" else {*OPEN, "authorized"})
            payments.end(order, "expired" if event == "expire" else "cancelled", event)

    @staticmethod
    def _require(order: Order, event: str, allowed: Set[str]) -> None:
        if order.status not in allowed:
            raise Refused(f"{event} is not possible for a payment that is {order.status}")

    def _decide_refund(self, order: Order, event: str, number: str) -> None:
        waiting = [one for one in order.data["refunds"] if one["status"] == "pending" and number in {"", one["number"]}]
        if not waiting:
            raise Refused("this payment has no such refund pending")
        self._payments.decide_refund(order, waiting[0], success=event == "refund_succeed")

    def words(self, order: Order) -> dict[str, Any]:
        profile = self._payments.profile(self._payments.account(order))
        told = {
            name: value
            for name, value in self._payments.describe(order)[profile.data].items()
            if value not in (None, [], "")
        } | {"expires_at": order.data["expires_at"]}
        if "session_id" in order.data:
            told["cashier_page"] = f"/{self.slug}/cashier/{order.data['session_id']}"
        if order.status == "pending" and order.data.get("action"):
            page = "3ds" if order.data["method"] == "card" else "wallet"
            told[f"{page}_page"] = f"/{self.slug}/{page}/{order.id}"
        return told


def _corrections(value: Any) -> str:
    """The switch ``profile`` as text; an object is taken as well."""
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    try:
        profile = Profile.corrected(text)
    except (ValueError, RecursionError):
        raise Refused("profile must be a JSON object") from None
    paths = [endpoint["path"] for endpoint in profile["endpoints"].values()]
    if len(set(paths)) < len(paths):
        raise Refused("profile: two operations share a path")
    return text


def _is_yes(members: Mapping[str, Any], name: str) -> bool:
    return members.get(name) not in (None, False, "", "0", "false", "no")
