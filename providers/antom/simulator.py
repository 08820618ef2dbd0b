"""Antom's side of the wire, played locally: card payments through APO, hosted pages, 3-D Secure, notifications.

Written from the reference alone (its section 7); what that leaves open is a switch of the account or stands in a table,
marked *assumed*. It shares no code with the client.

``simulator_api`` answers the operations, ``simulator_checks`` says what they demand, ``simulator_payments`` and
``simulator_vaults`` are what happens to payments and stored cards, ``simulator_words`` how it is told and signed,
``simulator_pages`` what the payer sees, ``simulator_cards`` the test cards.
"""

import json
import re
import secrets
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, render_template, request

from providers.antom import simulator_signing as signing
from providers.antom.simulator_api import PATHS, Api
from providers.antom.simulator_cards import CARDS, NAMED, Card, reduced
from providers.antom.simulator_checks import CURRENCIES, Denied, require_card
from providers.antom.simulator_pages import Pages
from providers.antom.simulator_payments import DAY_S, JUDGEMENT_S, Payments
from providers.antom.simulator_vaults import Vaults
from providers.antom.simulator_words import AUTHORISED, CANCELLED, OPEN, SESSION, Words
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

SANDBOX_CLIENT, PRODUCTION_CLIENT = "SANDBOX_5Y00000000000TEST", "5Y00000000000PROD"
# Seconds to wait after failed delivery 1, 2, …: eight deliveries in all (one page says seven).
RESENDS = (120, 600, 600, 3_600, 7_200, 21_600, 54_000)
CARD_MEMBERS = ("cardNo", "expiryMonth", "expiryYear", "cvv")
#: What an operator pays with where nobody gave a card.
OPERATORS_CARD = ("4054695723100768", "12", "99", "123")


class Simulator(ProviderSimulator):
    """Antom APO at ``/antom``: the client's gateway host is this server with ``/antom`` behind it."""

    slug = "antom"
    title = "Antom APO"
    creates = "pay"
    operations = tuple(PATHS.values())
    landings = frozenset({"start"})
    own_dials = (
        Dial("unsigned_answer", "answer", True, "done, but the answer carries no signature", 24),
        Dial("forged_answer", "answer", True, "done, but the answer is signed with another key", 25),
        Dial("result_code", "answer", "SYSTEM_ERROR", "this result code, nothing was done", 26),
        Dial("result_code_after", "answer", "UNKNOWN_EXCEPTION", "done, but the answer is this result code alone", 27),
        Dial("foreign_redirect", "answer", "https://cashier.attacker.example/pay", "normalUrl is this address", 28),
        Dial("unknown_state", "query", True, "paymentStatus is a word nobody documented", 29),
        Dial("decline", "money", "DO_NOT_HONOR", "the card is declined with this code, whatever its number", 71),
    )
    switches = (
        Switch("merchant_name", "Test merchant", "shown on the pages"),
        Switch("merchant_public_key", "", "the merchant's key, PEM or bare Base64; without one KEY_NOT_FOUND"),
        Switch("key_version", "", "the only keyVersion known; empty accepts any"),
        Switch("notification_url", "", "the dashboard's address; empty: the payment's own paymentNotifyUrl everywhere"),
        Switch("resend_in_sandbox", False, "resend unacknowledged notifications to sandbox client ids too"),
        Switch("resend_factor", 1.0, "stretches or shortens the waits between deliveries"),
        Switch("webhook_delay_s", 3.0, "a notification is sent this much after its cause"),
        Switch("capture_delay_s", 1.0, "an automatic capture is done this much after the authorisation"),
        Switch("synchronous_refunds", False, "refunds are done at once, and then nothing is notified"),
        Switch("refund_delay_s", 5.0, "an asynchronous refund is done this much later"),
        Switch("full_capture_only", False, "a capture must be of the whole amount"),
        Switch("multi_capture", False, "several captures of one payment"),
        Switch("authorisation_ttl_s", 7 * DAY_S, "an uncaptured authorisation is released after this"),
        Switch("cavv_spelling", "cavv", "the member's name in threeDSResult", ("cavv", "caav", "both")),
        Switch("redirect_method", "GET", "how the browser is handed over: normalUrl, or a form", ("GET", "POST")),
        Switch("three_ds_from_amount", 0, "the acquirer asks for 3DS from this amount (minor units); 0: never"),
        Switch("acquirers", "ANTOM 2C2P ADYEN CHECKOUT", "acquirers that take turns"),
        Switch("currencies", CURRENCIES, "currencies of this account; * is all of ISO 4217"),
        Switch("request_time_tolerance_s", 0, "refuse older or newer request-time; 0 accepts all"),
        Switch("dispute_api", False, "acceptDispute, supplyDefenseDocument and downloadDisputeEvidence are contracted"),
    )
    events = (
        OrderEvent("pay", "the payer pays (a vaulting: the card is stored)"),
        OrderEvent("fail", "the issuer says no", ("code",)),
        OrderEvent("expire", "the time to pay is over"),
        OrderEvent("cancel", "Antom closes the payment"),
        OrderEvent("late_success", "money comes after a cancellation, and goes back"),
        OrderEvent("lapse", "the time to capture is over"),
        OrderEvent("review", "a review ends: ACCEPT or REJECT", ("verdict",)),
        OrderEvent("capture", "captured in the dashboard; amount in minor units", ("amount",)),
        OrderEvent("capture_succeed", "the pending capture succeeds"),
        OrderEvent("capture_fail", "the pending capture fails", ("code",)),
        OrderEvent("refund", "refunded in the dashboard; amount in minor units", ("amount",)),
        OrderEvent("refund_succeed", "a pending refund succeeds", ("refund_request_id",)),
        OrderEvent("refund_fail", "a pending refund fails", ("refund_request_id", "code")),
        OrderEvent("dispute", "the cardholder disputes; amount in minor units", ("amount", "reason_code")),
        OrderEvent("judge", "the open dispute ends: won or lost", ("ending",)),
    )
    test_cards = tuple(card for card, _ in CARDS.values())

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._words = Words(self)
        self._payments = Payments(self, self._words)
        self._vaults = Vaults(self, self._words)
        self._api = Api(self, self._words, self._payments, self._vaults)
        self._pages = Pages(self, self._words, self._payments, self._vaults)

    # --- accounts and cards ----------------------------------------------------------------------------------------

    def default_accounts(self) -> list[Account]:
        """One client id on the sandbox path and one on the production path, both with the test key."""
        key = signing.sample_public_key()
        return [
            self.account_from({"client_id": client_id, "merchant_public_key": key})
            for client_id in (SANDBOX_CLIENT, PRODUCTION_CLIENT)
        ]

    def account_from(self, payload: Mapping[str, Any]) -> Account:
        client_id = str(payload.get("client_id", ""))
        if not re.fullmatch("[0-9A-Za-z_]{1,64}", client_id):
            raise Refused("client_id must be 1 to 64 letters, digits and underscores")
        known = self.store.account(self.slug, client_id)
        settings: dict[str, Any] = {switch.name: switch.default for switch in self.switches}
        settings |= known.settings if known else {}
        for name, value in payload.items():
            if name != "client_id":
                settings[name] = self._switch_value(name, value)
        return Account(self.slug, client_id, settings)

    def _switch_value(self, name: str, value: Any) -> Any:
        switch = next((one for one in self.switches if one.name == name), None)
        if switch is None:
            raise Refused(f"no switch is called {name!r}")
        if isinstance(switch.default, str) and isinstance(value, list):
            value = " ".join(map(str, value))
        wanted: type | tuple[type, ...] = (int, float) if isinstance(switch.default, float) else type(switch.default)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(switch.default, bool)):
            raise Refused(f"{name} must be of the kind of {switch.default!r}")
        if switch.choices and value not in switch.choices:
            raise Refused(f"{name} must be one of {', '.join(switch.choices)}")
        if name == "merchant_public_key" and value and signing.read_public_key(str(value)) is None:
            raise Refused("merchant_public_key must be an RSA public key, PEM or bare Base64")
        return value

    @property
    def today(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now() / 1000, UTC)

    @property
    def _fingerprint_key(self) -> str:
        """Tells cards apart without their numbers; made once for each state file."""
        with self.store.write():
            key = self.store.fact("antom_fingerprint_key")
            if key is None:
                key = secrets.token_hex(32)
                self.store.set_fact("antom_fingerprint_key", key)
            return key

    def card_from(self, meta: Mapping[str, Any]) -> Card:
        """Judge the card of a request and forget it; ``Denied`` when it cannot be one."""
        number, month, year, cvv = (str(meta.get(name) or "") for name in CARD_MEMBERS)
        for name, text in zip(CARD_MEMBERS, (number, month, year), strict=False):
            if not text:
                raise Denied("PARAM_ILLEGAL", name)
        require_card(number, month, year, cvv, today=self.today)
        card = reduced(number, month, year, cvv, key=self._fingerprint_key)
        if card.country in NAMED and not meta.get("cardholderName"):
            raise Denied("PARAM_ILLEGAL", "cardholderName")
        return card

    def keep_token(self, account: str, card: Card) -> str:
        """One token for each account and card: ``ALIPAY`` and 88 Base64 characters."""
        name = f"{account}:{card.fingerprint}"
        token = self.store.key(self.slug, "card", name)
        if token is None:
            token = f"ALIPAY{signing.base64_text(secrets.token_bytes(64))}"
            self.store.set_key(self.slug, "card", name, account=account, value=token)
        self.store.set_key(self.slug, "token", token, account=account, value=json.dumps(card.dump()))
        return token

    def card_of_token(self, token: str) -> Card:
        """The card behind a token that is known to exist."""
        return Card.load(json.loads(self.store.key(self.slug, "token", token) or "{}"))

    def base_url(self) -> str:
        """Where browsers find the pages."""
        return f"{self.simulation.public_url or request.host_url.rstrip('/')}/{self.slug}"

    # --- the wire --------------------------------------------------------------------------------------------------

    def blueprint(self) -> Blueprint:
        routes = Blueprint(self.slug, __name__, template_folder="simulator_templates")
        routes.add_url_rule(
            "/ams/<path:rest>", "gateway", self._api.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]
        )
        self._pages.add_to(routes)
        return routes

    def http_error(self, path: str, status: int, text: str) -> Response:
        if path.startswith(f"/{self.slug}/ams/"):
            return self._api.failure(status, text)
        page = render_template("antom/ended.html", order=None, heading="Page not found", text=text, link="")
        return Response(page, status=status)

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        if order.data["kind"] == "vaulting":
            return self._vaults.compose(order, twists)
        return self._words.compose(order, notice, twists)

    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        """HTTP 200 and a ``result`` of SUCCESS and S; its message is free."""
        try:
            told = json.loads(reply)
        except (ValueError, RecursionError):
            return False
        found = told.get("result") if isinstance(told, dict) else None
        if status != 200 or not isinstance(found, dict):
            return False
        return found.get("resultCode") == "SUCCESS" and found.get("resultStatus") == "S"

    def retry_wait(self, account: Account, attempt: int) -> float | None:
        """The sandbox does not resend."""
        if account.id.startswith("SANDBOX_") and not account.settings["resend_in_sandbox"]:
            return None
        return RESENDS[attempt - 1] * float(account.settings["resend_factor"]) if attempt <= len(RESENDS) else None

    # --- what falls due --------------------------------------------------------------------------------------------

    def run(self, job: Job) -> None:
        order = self.store.order(self.slug, job.order_id)
        if order is None:
            return
        if order.data["kind"] == "vaulting":
            if order.status == OPEN:
                self._vaults.finish(order, "PROCESS_FAIL")
            return
        if job.kind == "expire" and order.status == OPEN:
            self._payments.close(order, "expired")
        elif job.kind == "approve" and order.status == OPEN:
            self._payments.authorise(order, "card approved later")
        elif job.kind == "lapse" and order.status == AUTHORISED:
            self._payments.lapse(order)
        elif job.kind == "review" and order.data["review"] == "PROCESSING":
            self._payments.review(order, "ACCEPT")
        elif job.kind == "capture":
            for capture in _pending(order.data["captures"], id=job.data["capture"]):
                self._payments.finish_capture(order, capture)
        elif job.kind == "refund":
            for refund in _pending(order.data["refunds"], id=job.data["refund"]):
                self._payments.finish_refund(order, refund)
        elif job.kind == "dashboard_refund" and self._payments.refundable(order) > 0:
            self._dashboard_refund(order, self._payments.refundable(order))
        elif job.kind == "dispute" and not self._payments.is_disputed(order):
            dispute = self._payments.dispute(order)
            if job.data["ending"]:
                due_at = self.clock.now() + 1000 * JUDGEMENT_S
                self.store.add_job(self.slug, "judge", order.id, due_at, id=dispute["id"], ending=job.data["ending"])
        elif job.kind == "judge":
            for dispute in order.data["disputes"]:
                if dispute["id"] == job.data["id"] and dispute["state"] == "open":
                    self._payments.judge(order, dispute, job.data["ending"])

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        if order.data["kind"] == "vaulting":
            self._happen_to_vaulting(order, event, members)
            return
        code = str(members.get("code", "DO_NOT_HONOR"))
        if event in {"pay", "fail"} and order.status == SESSION:
            self._payments.submit(order, self._pages.expiry())
        must_be = {"pay": OPEN, "fail": OPEN, "expire": OPEN, "late_success": CANCELLED, "lapse": AUTHORISED}
        if order.status != must_be.get(event, order.status):
            raise Refused(f"{event} is not possible for a payment that is {order.status}")
        if event == "pay":
            if "card" not in order.data:
                order.data["card"] = reduced(*OPERATORS_CARD, key=self._fingerprint_key).dump()
            if order.data["at_3ds"]:
                self._payments.authenticated(order, "authenticate")
            else:
                self._payments.authorise(order, event)
        elif event == "fail":
            self._payments.decline(order, code)
        elif event == "expire":
            self._payments.close(order, event)
        elif event == "cancel":
            self._happen_to_cancel(order)
        elif event == "late_success":
            self._payments.pay_late(order)
        elif event == "lapse":
            self._payments.lapse(order)
        elif event == "review":
            self._happen_to_review(order, str(members.get("verdict", "ACCEPT")))
        elif event == "capture":
            self._happen_to_capture(order, members)
        elif event in {"capture_succeed", "capture_fail"}:
            capture = _one(_pending(order.data["captures"]), "capture")
            self._payments.finish_capture(order, capture, code if event == "capture_fail" else "")
        elif event == "refund":
            self._dashboard_refund(order, _minor(members, self._payments.refundable(order)))
        elif event in {"refund_succeed", "refund_fail"}:
            wanted = {"request": members["refund_request_id"]} if "refund_request_id" in members else {}
            refund = _one(_pending(order.data["refunds"], **wanted), "refund")
            self._payments.finish_refund(
                order, refund, str(members.get("code", "PROCESS_FAIL")) if event == "refund_fail" else ""
            )
        elif event == "dispute":
            self._payments.dispute(order, _minor(members, 0), str(members.get("reason_code", "")))
        elif event == "judge":
            self._happen_to_judge(order, str(members.get("ending", "lost")))

    def _happen_to_vaulting(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        if event not in {"pay", "fail"} or order.status not in {OPEN, SESSION}:
            raise Refused(f"{event} is not possible for a vaulting that is {order.status}")
        if "card" not in order.data:
            order.data["card"] = reduced(*OPERATORS_CARD, key=self._fingerprint_key).dump()
        self._vaults.finish(order, str(members.get("code", "DO_NOT_HONOR")) if event == "fail" else "")

    def _happen_to_cancel(self, order: Order) -> None:
        captured = any(one["status"] != "FAIL" for one in order.data["captures"])
        if order.status not in {OPEN, AUTHORISED} or captured:
            raise Refused("only an open payment or an untouched authorisation can be cancelled")
        self._payments.cancel(order, "cancelled by Antom")

    def _happen_to_review(self, order: Order, verdict: str) -> None:
        if order.data["review"] != "PROCESSING":
            raise Refused("this payment is not under review")
        if verdict not in {"ACCEPT", "REJECT"}:
            raise Refused("verdict must be ACCEPT or REJECT")
        self._payments.review(order, verdict)

    def _happen_to_capture(self, order: Order, members: Mapping[str, Any]) -> None:
        taken = sum(one["amount"] for one in order.data["captures"] if one["status"] != "FAIL")
        amount = _minor(members, order.amount - taken)
        if order.status != AUTHORISED or not 0 < amount <= order.amount - taken:
            raise Refused("only held money can be captured, and no more than that")
        self._payments.begin_capture(order, f"DASH_{secrets.token_hex(8)}", amount)

    def _dashboard_refund(self, order: Order, amount: int) -> None:
        if not 0 < amount <= self._payments.refundable(order):
            raise Refused("only captured money can be refunded, and no more than that")
        self._payments.begin_refund(order, f"DASH_{secrets.token_hex(8)}", amount)

    def _happen_to_judge(self, order: Order, ending: str) -> None:
        if ending not in {"won", "lost"}:
            raise Refused("ending must be won or lost")
        dispute = _one([one for one in order.data["disputes"] if one["state"] == "open"], "dispute")
        self._payments.judge(order, dispute, ending)

    def words(self, order: Order) -> dict[str, Any]:
        told: dict[str, Any] = {"kind": order.data["kind"]}
        if order.data["kind"] == "vaulting":
            told |= {"vaultingStatus": order.status, "code": order.data["code"]}
        else:
            told |= {"paymentStatus": order.status, "captureMode": order.data["mode"]}
            shown = ("decline", "closed", "lapsed", "review", "captures", "refunds", "disputes")
            told |= {name: order.data[name] for name in shown if order.data[name]}
            told["acquirer"] = order.data["acquirer"]["acquirerName"]
        page = "3ds" if order.data["at_3ds"] else order.data["page"]
        if page and order.status in {OPEN, SESSION}:
            told["page"] = f"/{self.slug}/{page}/{order.data['key']}"
        if "card" in order.data:
            card = Card.load(order.data["card"])
            told["card"] = f"{card.brand} {card.bin}…{card.last4}"
        if order.data["token"]:
            told["card_token"] = f"{order.data['token'][:12]}…"
        return told


def _pending(members: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [
        one
        for one in members
        if one["status"] == "PROCESSING" and all(one[name] == value for name, value in wanted.items())
    ]


def _one(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if not found:
        raise Refused(f"there is no pending {what}")
    return found[0]


def _minor(members: Mapping[str, Any], otherwise: int) -> int:
    text = str(members.get("amount", otherwise))
    if not re.fullmatch("[0-9]{1,16}", text):
        raise Refused("amount must be a positive number of minor units")
    return int(text)
