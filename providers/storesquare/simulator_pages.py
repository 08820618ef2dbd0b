"""What a shopper sees at StoreSquare: hosted cashier, issuer's 3-D Secure page, wallet. No script anywhere."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, abort, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from providers.simulation import Order
from providers.storesquare import simulator_cards as cards
from providers.storesquare.simulator_checks import MEANINGS
from providers.storesquare.simulator_payments import PAID, Payments

if TYPE_CHECKING:
    from providers.storesquare.simulator import Simulator

METHOD_NAMES = {
    "card": "Card",
    "payNow": "PayNow",
    "grabPay": "GrabPay",
    "shopeePay": "ShopeePay",
    "wechat": "WeChat Pay",
    "alipay": "Alipay",
    "alipayPlus": "Alipay+",
    "upay": "UnionPay QR",
    "paypal": "PayPal",
    "applePay": "Apple Pay",
    "googlePay": "Google Pay",
}
Page = str | Redirect | tuple[str, int]


class Pages:
    def __init__(self, simulator: "Simulator", payments: Payments) -> None:
        self._simulator = simulator
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._payments = payments

    def add_to(self, routes: Blueprint) -> None:
        routes.get("/cashier/<session>")(self.cashier)
        routes.post("/cashier/<session>")(self.pay_at_cashier)
        routes.post("/cashier/<session>/cancel")(self.cancel_at_cashier)
        routes.post("/start/<page>/<trade_no>")(self.start)
        routes.get("/3ds/<trade_no>")(self.challenge)
        routes.post("/3ds/<trade_no>")(self.answer_challenge)
        routes.get("/wallet/<trade_no>")(self.wallet)
        routes.post("/wallet/<trade_no>")(self.answer_wallet)
        routes.get("/result/<trade_no>")(self.result)

    # --- cashier ---------------------------------------------------------------------------------------------------

    def cashier(self, session: str) -> Page:
        """The methods; with ``?method=card`` the card form."""
        order = self._of_session(session)
        if not self._is_payable(order):
            return self._ended(order)
        return self._cashier_page(order, request.args.get("method", ""), {})

    def _cashier_page(self, order: Order, method: str, wrong: dict[str, str]) -> str:
        account = self._payments.account(order)
        offered = self._offered(order)
        if offered == ["card"]:
            method = "card"
        today = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        return render_template(
            "storesquare/cashier.html", order=order, merchant=account.settings["merchant_name"], wrong=wrong,
            methods=[(name, METHOD_NAMES.get(name, name)) for name in offered],
            method=method if method in offered else "", years=range(today.year, today.year + 15),
            declined=MEANINGS.get(order.data.get("fail") or ""), left_ms=self._left(order),
            here=f"/{self._slug}/cashier/{order.data['session_id']}",
        )  # fmt: skip

    def pay_at_cashier(self, session: str) -> Page:
        """Judge what was chosen and typed. The form never gets number or CVC back."""
        order = self._of_session(session)
        method = request.form.get("method", "")
        if method not in self._offered(order):
            abort(400, "This method is not offered.")
        form = {name: request.form.get(name, "").strip() for name in ("first_name", "last_name", "month", "year")}
        form |= {name: re.sub(r"[ -]", "", request.form.get(name, "")) for name in ("number", "cvc")}
        wrong = _form_mistakes(form) if method == "card" else {}
        if wrong and self._is_payable(order):
            return self._cashier_page(order, "card", wrong), 422
        with self._store.write():
            order = self._of_session(session)
            if not self._is_payable(order):
                return self._onward(order)
            if method == "card":
                card = cards.reduced(
                    form["number"], form["cvc"], form["month"], form["year"], form["last_name"],
                    key=self._simulator.fingerprint_key, today=self._simulator.this_month,
                )  # fmt: skip
                self._payments.pay_by_card(order, card)
            else:
                profile = self._payments.profile(self._payments.account(order))
                self._payments.pay_by_wallet(order, method, profile["methods"][method].get("productType", ""))
        if order.status == "pending" and order.data["action"]:
            return redirect(f"/{self._slug}/{'3ds' if method == 'card' else 'wallet'}/{order.id}", 303)
        return self._onward(order)

    def cancel_at_cashier(self, session: str) -> Page:
        with self._store.write():
            order = self._of_session(session)
            if self._is_payable(order):
                self._payments.end(order, "cancelled", "cancelled by the shopper")
        return self._onward(order)

    def _offered(self, order: Order) -> list[str]:
        offered = self._simulator.methods_for(self._payments.account(order), order.currency)
        return [name for name in offered if order.data["only_method"] in {"", name}]

    @staticmethod
    def _is_payable(order: Order) -> bool:
        """Open, and not with a slow issuer. A challenge or wallet left unanswered gives way to another attempt."""
        return order.status == "created" or (order.status == "pending" and bool(order.data["action"]))

    # --- 3-D Secure and wallet -------------------------------------------------------------------------------------

    def start(self, page: str, trade_no: str) -> Redirect:
        """Where a shop's own form lands (a redirect by POST); it only leads on."""
        order = self._of(trade_no)
        if page not in {"3ds", "wallet"} or request.form.get("session") != order.data.get("landing"):
            abort(400, "This payment was not started here.")
        return redirect(f"/{self._slug}/{page}/{trade_no}", 303)

    def challenge(self, trade_no: str) -> Page:
        order = self._of(trade_no)
        if not self._is_challenged(order):
            return self._ended(order)
        card = cards.Card.load(order.data["card"])
        merchant = self._payments.account(order).settings["merchant_name"]
        return render_template("storesquare/challenge.html", order=order, card=card, merchant=merchant)

    def answer_challenge(self, trade_no: str) -> Page:
        answer = request.form.get("answer", "")
        if answer not in {"authenticate", "fail", "cancel"}:
            abort(400, "answer must be authenticate, fail or cancel")
        with self._store.write():
            order = self._of(trade_no)
            if self._is_challenged(order):
                self._payments.answer_challenge(order, answer)
        return self._onward(order)

    @staticmethod
    def _is_challenged(order: Order) -> bool:
        return order.status == "pending" and order.data["method"] == "card" and bool(order.data["action"])

    def wallet(self, trade_no: str) -> Page:
        """What the shopper's telephone shows after scanning, or the wallet's own web page."""
        order = self._of(trade_no)
        if not self._is_at_wallet(order):
            return self._ended(order)
        account = self._payments.account(order)
        method = order.data["method"]
        return render_template(
            "storesquare/wallet.html", order=order, name=METHOD_NAMES.get(method, method),
            merchant=account.settings["merchant_name"], left_ms=self._left(order),
            cashier=f"/{self._slug}/cashier/{order.data['session_id']}" if "session_id" in order.data else "",
        )  # fmt: skip

    def answer_wallet(self, trade_no: str) -> Page:
        answer = request.form.get("answer", "")
        if answer not in {"approve", "reject", "expire"}:
            abort(400, "answer must be approve, reject or expire")
        with self._store.write():
            order = self._of(trade_no)
            scanned = (order.data.get("action") or {}).get("type") == "qrCode" and order.data["kind"] != "session"
            if self._is_at_wallet(order):
                self._simulator.happen(order, answer, {})
        return redirect(f"/{self._slug}/result/{trade_no}", 303) if scanned else self._onward(order)

    @staticmethod
    def _is_at_wallet(order: Order) -> bool:
        return order.status == "pending" and order.data["method"] != "card" and bool(order.data["action"])

    # --- ends ------------------------------------------------------------------------------------------------------

    def result(self, trade_no: str) -> Page:
        return self._ended(self._of(trade_no))

    def _onward(self, order: Order) -> Redirect:
        """Back to the list after a decline, else to the shop; without a return address, to a page that tells."""
        if order.data["kind"] == "session" and order.status == "created":
            return redirect(f"/{self._slug}/cashier/{order.data['session_id']}", 303)
        return redirect(self._return_address(order) or f"/{self._slug}/result/{order.id}", 303)

    def _return_address(self, order: Order) -> str:
        """With the order's numbers and status: a hint to the shop, unsigned."""
        address = str(order.data["front_url"])
        if not address:
            return ""
        profile = self._payments.profile(self._payments.account(order))
        told = (order.reference, order.id if order.data["is_known"] else "", profile.payment_word(order.status))
        query = urlencode(list(zip(profile["returnParams"], told, strict=False)))
        parts = urlsplit(address)
        return parts._replace(query="&".join(filter(None, [parts.query, query]))).geturl()

    def _ended(self, order: Order) -> str:
        texts = {
            "created": ("Choose how to pay", "This payment waits at the cashier."),
            "pending": ("This payment is being worked on", "The result is not known yet. The shop will hear of it."),
            "authorized": ("This payment is done", "The amount is reserved on your card."),
            "expired": ("This payment page has expired", "Nothing was charged. Go back to the shop to try again."),
            "cancelled": ("This payment was cancelled", "Nothing was charged."),
            "refunded": ("This payment was refunded", "The amount goes back to where it came from."),
        } | dict.fromkeys(PAID, ("This payment is done", "The amount was paid. There is nothing left to do here."))
        heading, text = texts.get(
            order.status, ("This payment was not made", "Nothing was charged. Go back to the shop to try again.")
        )
        link = self._return_address(order)
        if order.status == "created" and "session_id" in order.data:
            link = f"/{self._slug}/cashier/{order.data['session_id']}"
        return render_template("storesquare/ended.html", order=order, heading=heading, text=text, link=link)

    def _left(self, order: Order) -> int:
        return max(0, int(order.data["expires_at"]) - self._clock.now())

    def _of_session(self, session: str) -> Order:
        order_id = self._store.key(self._slug, "session", session)
        return self._of(order_id or "")

    def _of(self, trade_no: str) -> Order:
        return self._store.order(self._slug, trade_no) or abort(404, "There is no such payment.")


def _form_mistakes(form: dict[str, Any]) -> dict[str, str]:
    wrong = {}
    if not cards.is_card_number(form["number"]):
        wrong["number"] = "This is not a card number. Check its 13 to 19 digits."
    if not re.fullmatch("0[1-9]|1[0-2]", form["month"]):
        wrong["month"] = "Choose a month."
    if not re.fullmatch("[0-9]{4}", form["year"]):
        wrong["year"] = "Choose a year."
    if not re.fullmatch("[0-9]{3,4}", form["cvc"]) or len(form["cvc"]) != cards.cvc_length(form["number"]):
        wrong["cvc"] = "Enter the 3 digits on the back, or the 4 on the front of an American Express card."
    for name, label in (("first_name", "first name"), ("last_name", "last name")):
        if not form[name]:
            wrong[name] = f"Enter the {label} on the card."
    return wrong
