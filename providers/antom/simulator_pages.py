"""What the payer sees at Antom: hosted card page, checkout page with its result view, and the issuer's 3DS page.

A page belongs to one payment or vaulting through a key in its address, and changes it only when a form is posted. The
card number and the security code are never written back into a page.
"""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from providers.antom.simulator_api import PAYMENT_S
from providers.antom.simulator_cards import Card, verdict_on
from providers.antom.simulator_checks import RISK_AMOUNTS, Denied
from providers.antom.simulator_payments import Payments
from providers.antom.simulator_vaults import Vaults
from providers.antom.simulator_words import AUTHORISED, CANCELLED, OPEN, SESSION, Words
from providers.simulation import Order

if TYPE_CHECKING:
    from providers.antom.simulator import Simulator

PAGES = frozenset({"card", "checkout", "3ds"})
# Why a card cannot be one: field and text.
UNFIT = {
    "INVALID_CARD_NUMBER": ("number", "This is not a card number. Check its digits."),
    "INVALID_EXPIRATION_DATE": ("year", "This card has expired."),
    "INVALID_CVV": ("cvv", "Enter the 3 or 4 digits of the security code."),
}
ENDED = {
    AUTHORISED: ("This payment is done", "There is nothing left to do here."),
    OPEN: ("Your bank is still deciding", "You need not wait here: the shop will be told."),
    CANCELLED: ("This payment was cancelled", "Nothing was charged. Go back to the shop to try again."),
}
NOT_MADE = ("This payment was not made", "Nothing was charged. Go back to the shop to try again.")
EXPIRED = ("This payment page has expired", "Nothing was charged. Go back to the shop to try again.")
LEFT = ("You left this page", "Nothing was decided. Until it expires, you can come back and go on.")
Page = str | Response | Redirect | tuple[str, int]


class Pages:
    def __init__(self, simulator: "Simulator", words: Words, payments: Payments, vaults: Vaults) -> None:
        self._simulator = simulator
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._words = words
        self._payments = payments
        self._vaults = vaults

    def add_to(self, routes: Blueprint) -> None:
        routes.get("/checkout/<key>")(self.checkout)
        routes.post("/checkout/<key>")(self.choose)
        routes.get("/card/<key>")(self.card)
        routes.post("/card/<key>")(self.pay)
        routes.get("/3ds/<key>")(self.challenge)
        routes.post("/3ds/<key>")(self.answer)
        routes.get("/3ds/<key>/frictionless")(self.pass_through)
        routes.get("/result/<key>")(self.result)
        routes.post("/start")(self.start)

    def expiry(self) -> int:
        return int(self._clock.now()) + 1000 * PAYMENT_S

    def start(self) -> Redirect:
        """The landing of ``redirectActionForm``: it leads on to the page that the form names."""
        page, key = request.form.get("page", ""), request.form.get("key", "")
        if page not in PAGES or not re.fullmatch("[A-Za-z0-9_-]{1,64}", key):
            abort(400, "page and key do not name a page of this server")
        return redirect(f"/{self._slug}/{page}/{key}", 303)

    # --- checkout and card page ------------------------------------------------------------------------------------

    def checkout(self, key: str) -> Page:
        """The methods: a stored card, or another one."""
        order = self._order(key)
        if not self._is_payable(order):
            return self._ended(order)
        saved = self._saved(order)
        return render_template(
            "antom/checkout.html", order=order, merchant=self._merchant(order), saved=list(enumerate(saved)), wrong=""
        )

    def choose(self, key: str) -> Page:
        order = self._order(key)
        method = request.form.get("method", "")
        if not self._is_payable(order):
            return self._ended(order)
        saved = self._saved(order)
        if method == "card":
            return redirect(f"/{self._slug}/card/{key}", 303)
        if not re.fullmatch("saved-[0-9]{1,2}", method) or int(method.removeprefix("saved-")) >= len(saved):
            abort(400, "no such way to pay")
        card = Card.load({**saved[int(method.removeprefix("saved-"))].dump(), "cvv": verdict_on("")})
        return self._begin(key, card)

    def card(self, key: str) -> Page:
        """The hosted card form."""
        order = self._order(key)
        if not self._is_payable(order):
            return self._ended(order)
        return self._card_page(order, {})

    def _card_page(self, order: Order, wrong: dict[str, str]) -> str:
        today: datetime = self._simulator.today
        return render_template(
            "antom/card.html", order=order, merchant=self._merchant(order), wrong=wrong,
            years=range(today.year, today.year + 15),
        )  # fmt: skip

    def pay(self, key: str) -> Page:
        """Judge the card typed into the form."""
        order = self._order(key)
        if not self._is_payable(order):
            return self._ended(order)
        names = ("number", "month", "year", "cvv")
        number, month, year, cvv = (re.sub(r"[ -]", "", request.form.get(name, "")) for name in names)
        name = request.form.get("name", "").strip()[:128]
        if not name:
            return self._card_page(order, {"name": "Enter the name on the card."}), 422
        if not cvv:
            return self._card_page(order, dict([UNFIT["INVALID_CVV"]])), 422
        meta = {
            "cardNo": number or "-", "expiryMonth": month or "-", "expiryYear": year[-2:] or "-", "cvv": cvv,
            "cardholderName": name,
        }  # fmt: skip
        try:
            card = self._simulator.card_from(meta)
        except Denied as denied:
            return self._card_page(order, dict([UNFIT[denied.code]])), 422
        return self._begin(key, card, save=request.form.get("save") == "yes")

    def _begin(self, key: str, card: Card, *, save: bool = False) -> Page:
        with self._store.write():
            order = self._order(key)
            if self._is_payable(order):
                if order.status == SESSION:
                    self._payments.submit(order, self.expiry())
                if save and order.data["asks_consent"]:
                    order.data["wants"]["token"] = True
                if order.amount in RISK_AMOUNTS:
                    self._payments.decline(order, "RISK_REJECT")
                else:
                    self._payments.begin(order, card)
        if order.data["at_3ds"] and order.status == OPEN:
            return redirect(f"/{self._slug}/3ds/{key}", 302)
        return self._leave(order)

    def _is_payable(self, order: Order) -> bool:
        """Whether the page still waits for a card."""
        if order.data["kind"] != "payment" or "card" in order.data or order.status not in {OPEN, SESSION}:
            return False
        return order.status == OPEN or self._clock.now() < order.data["session"]["expires_at"]

    def _saved(self, order: Order) -> list[Card]:
        return [self._simulator.card_of_token(token) for token in order.data.get("session", {}).get("saved", [])]

    # --- 3-D Secure ------------------------------------------------------------------------------------------------

    def challenge(self, key: str) -> Page:
        """The issuer's page. An exempted card is asked nothing: its page goes on by itself."""
        order = self._order(key)
        if not self._is_challenged(order):
            return self._ended(order)
        card = Card.load(order.data["card"])
        page = Response(render_template("antom/challenge.html", order=order, card=card, merchant=self._merchant(order)))
        if card.rule.three_ds == "exempt":
            page.headers["Refresh"] = f"1; url=/{self._slug}/3ds/{key}/frictionless"
        return page

    def answer(self, key: str) -> Page:
        answer = request.form.get("answer", "")
        if answer not in {"authenticate", "fail", "cancel", "leave"}:
            abort(400, "answer must be authenticate, fail, cancel or leave")
        if answer == "leave":
            heading, text = LEFT
            order = self._order(key)
            return render_template(
                "antom/ended.html", order=order, heading=heading, text=text, link=order.data["redirect_url"]
            )
        return self._authenticate(key, answer)

    def pass_through(self, key: str) -> Page:
        if Card.load(self._order(key).data.get("card") or abort(404)).rule.three_ds != "exempt":
            abort(404, "This card has to be asked.")
        return self._authenticate(key, "frictionless")

    def _authenticate(self, key: str, answer: str) -> Redirect:
        with self._store.write():
            order = self._order(key)
            if self._is_challenged(order):
                happening = self._vaults if order.data["kind"] == "vaulting" else self._payments
                happening.authenticated(order, answer)
        return self._leave(order)

    @staticmethod
    def _is_challenged(order: Order) -> bool:
        return bool(order.status == OPEN and order.data["at_3ds"])

    # --- the way back ----------------------------------------------------------------------------------------------

    def result(self, key: str) -> Page:
        """The checkout page's result view, from which the payer goes on to the shop."""
        order = self._order(key)
        return self._ended(order)

    def _leave(self, order: Order) -> Redirect:
        """Back to the shop, whose address gets nothing added; a checkout page shows its result first."""
        if order.data.get("session") and order.data["kind"] == "payment":
            return redirect(f"/{self._slug}/result/{order.data['key']}", 302)
        return redirect(str(order.data["redirect_url"]), 302)

    def _ended(self, order: Order) -> Page:
        if self._is_challenged(order):
            return redirect(f"/{self._slug}/3ds/{order.data['key']}", 303)
        heading, text = ENDED.get(order.status, NOT_MADE)
        if order.status == SESSION or order.data.get("closed"):
            heading, text = EXPIRED
        if order.data["kind"] == "vaulting" and order.status == AUTHORISED:
            heading = "Your card is stored"
        return render_template(
            "antom/ended.html", order=order, heading=heading, text=text, link=order.data["redirect_url"]
        )

    def _order(self, key: str) -> Order:
        id = self._store.key(self._slug, "page", key)
        found: Order | None = self._store.order(self._slug, id) if id else None
        return found or abort(404, "There is no such payment.")

    def _merchant(self, order: Order) -> Any:
        return self._words.account(order).settings["merchant_name"]
