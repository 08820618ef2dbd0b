"""LianLian's pages for browsers: the payment page behind the web and H5 redirects, and the payer's telephone.

The shop's own form brings the browser here. After success it goes back once, with signed members; after a failure or a
closed window nothing is sent. A typed card is reduced before anything else and never written back into the form.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from providers.lianlian import simulator_cards as cards
from providers.lianlian import simulator_members as members
from providers.lianlian import simulator_signing as signing
from providers.lianlian.simulator_cards import TEXTS, Card
from providers.lianlian.simulator_orders import DEAD, HELD, PAID, SLUG, STATES, TOKEN_LIFE_MS, UNPAID, Denied
from providers.simulation import Order, faults

if TYPE_CHECKING:
    from providers.lianlian.simulator import Simulator
    from providers.lianlian.simulator_operations import Call

PRODUCT = "page"
SMS_SHOWN = 20
# What the form holds to begin with: a person who does not exist (brief: vectors A and B).
SAMPLE = {"acct_name": "张三", "id_no": "11010519491231002X", "bind_mob": "13800000000"}
SAMPLE_CARD = {"M": "6222081202008630000", "F": "6259650000000000"}
FIELD_ERRORS = {
    "card_no": "Enter the 12 to 19 digits of the card number.",
    "acct_name": "Enter the card holder’s name.",
    "id_no": "Enter the 15 or 18 characters of the identity number.",
    "bind_mob": "Enter the 11 digits of the mobile number known to the bank.",
    "vali_date": "Enter the expiry and the security code of a credit card.",
    "verify_code": "Enter the code from the SMS.",
}
# Where on the form a refusal belongs, and what it says there.
REFUSALS = {
    "1102": ("card_no", "No bank issued a card with this number."),
    "1100": ("card_no", "The bank does not know this card number."),
    "1103": ("vali_date", "This credit card needs an expiry that lies ahead and its security code."),
    "1108": ("card_no", "Name, identity number or mobile number do not fit this card."),
    "5601": ("card_no", "Pre-authorisations need a credit card."),
    "7018": ("acct_name", "This payer’s saved cards belong to another person."),
    "9704": ("verify_code", "The SMS could not be sent. Try again."),
    "1900": ("verify_code", "This code is wrong. Check the SMS and enter it again."),
    "1901": ("verify_code", "This code has expired. Ask for a new one."),
    "9702": ("verify_code", "Too many wrong codes. Ask for a new one."),
}
ENDINGS = {
    "paid": ("The payment is done", "The amount was paid, and the shop is being told."),
    "held": ("The amount is held", "The card is pre-authorised. The shop takes the money later."),
    "processing": ("The bank is still deciding", "The shop will hear the result. You may close this page."),
    "closed": ("This payment page has expired", "Nothing was charged. Go back to the shop to try again."),
    "left": ("You have left the payment", "Nothing was charged, and the shop is not told. The order stays open."),
    "refunded": ("This payment was refunded", "The amount goes back to the card."),
}


class Pages:
    """The HTML side of the simulator."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._store = simulator.store
        self._orders = simulator.orders

    def route(self, routes: Blueprint) -> None:
        routes.post("/payment/traveleasypay.htm")(self.web)
        routes.post("/travlepay.htm")(self.h5)
        routes.get("/cashier/<key>")(self.cashier)
        routes.post("/cashier/<key>")(self.answer)
        routes.get("/phone")(self.phone)

    def message(self, heading: str, text: str, status: int = 200) -> Response:
        page = render_template("lianlian/ended.html", heading=heading, text=text, order=None, merchant="")
        return Response(page, status=status)

    # --- arriving --------------------------------------------------------------------------------------------------

    def web(self) -> Response | Redirect:
        """3.7: one form field for each member."""
        return self._arrive("web", request.form.to_dict(), members.WEB)

    def h5(self) -> Response | Redirect:
        """3.8: one field that holds the signed JSON."""
        try:
            body = signing.read_object(request.form.get("req_data", "").encode())
        except (ValueError, RecursionError):
            return self.message("This payment cannot be made", f"1012 {TEXTS['1012']}", 400)
        return self._arrive("h5", body, members.H5)

    def _arrive(self, channel: str, body: dict[str, Any], wanted: tuple[members.Member, ...]) -> Response | Redirect:
        """Check the shop's form and lead on to the payment page, or say what is wrong with it."""
        call = self._simulator.page_call(body)
        try:
            self._simulator.admit_members(call, PRODUCT, (*wanted, *members.CARD_MEMBERS_IF_ANY))
            spoiled = faults.before(call.faults, self._simulator.simulation.closing)
            order = None if spoiled is not None else self._open(call, channel)
        except Denied as refusal:
            text = TEXTS.get(refusal.code, "") + (f"({refusal.detail})" if refusal.detail else "")
            self._simulator.log(call, {"ret_code": refusal.code, "ret_msg": text}, 400)
            return self.message("This payment cannot be made", f"{refusal.code} {text}", 400)
        self._simulator.log(call, {}, 303 if order is not None else 500)
        if spoiled is not None or order is None:
            return spoiled or abort(500)
        return redirect(f"/{SLUG}/cashier/{order.data['cashier_key']}", 303)

    def _open(self, call: "Call", channel: str) -> Order:
        """The order, new or met again on its page. An ended one is shown as what it is."""
        body, scope = call.body, self._simulator.api.scope(call)
        with self._store.write():
            known = self._store.order_by_reference(SLUG, call.merchant.id, str(body["no_order"]))
            if known is not None:
                try:
                    self._orders.refuse_repeat(known, body, scope)
                except Denied as refusal:
                    if refusal.code == "1002":
                        raise
                    return known
            preset = self._preset(call)
            order = known or self._orders.open(call.merchant, body, scope=scope, channel=channel, kept=call.kept)
            order.data["preset"] = preset.dump() if preset else None
            order.data["preset_saved"] = bool(body.get("no_agree"))
            self._store.save_order(order)
        return order

    def _preset(self, call: "Call") -> Card | None:
        """The card the shop already knows: a saved one, or number and person; then the page asks for the code only."""
        body, scope = call.body, self._simulator.api.scope(call)
        if body.get("no_agree"):
            return self._orders.agreement(scope, str(body["user_id"]), str(body["no_agree"]))
        if not body.get("card_no"):
            return None
        for name in ("acct_name", "id_type", "id_no"):
            if not body.get(name):
                raise Denied("1004", name)
        card = self._orders.reduce(body)
        self._orders.check_person(scope, str(body["user_id"]), card)
        return card

    # --- paying ----------------------------------------------------------------------------------------------------

    def cashier(self, key: str) -> Response:
        """The payment page, or what became of it."""
        order = self._order(key)
        if order.status in UNPAID and self._simulator.clock.now() < order.data["expires_at"]:
            return self._form(order, {})
        return self._ended(order)

    def answer(self, key: str) -> Response | Redirect:
        """One of the three buttons."""
        choice = request.form.get("answer", "")
        if choice not in {"pay", "fail", "close"}:
            abort(400, "answer must be pay, fail or close")
        order = self._order(key)
        here = redirect(f"/{SLUG}/cashier/{key}", 303)
        if order.status not in UNPAID or self._simulator.clock.now() >= order.data["expires_at"]:
            return here
        if choice == "close":
            return self._ended(order, "left")
        if choice == "fail":
            with self._store.write():
                order = self._order(key)
                if order.status in UNPAID:
                    self._orders.fail(order, "1005")
            return here
        return self._pay(order, {name: text.strip() for name, text in request.form.items()}) or here

    def _pay(self, order: Order, form: dict[str, str]) -> Response | None:
        """Judge card and code; the form again when something is wrong with them, nothing when the order moved on."""
        form["card_no"] = re.sub(r"[ -]", "", form.get("card_no", ""))
        wrong = self._mistakes(order, form)
        if wrong:
            return self._form(order, wrong)
        code, fault = form["verify_code"], ""
        with self._store.write():
            order = self._order(order.data["cashier_key"])
            if order.status not in UNPAID:
                return None
            try:
                self._orders.attach(order, self._card(order, form))
                self._check_code(order, code)
            except Denied as refusal:
                return self._form(order, dict([REFUSALS.get(refusal.code, ("card_no", TEXTS[refusal.code]))]))
            _, fault = self._orders.pay(order, code)
            if fault == "broken_signature":
                order.data["broken_return"] = True
                self._store.save_order(order)
        if fault == "reset_after":
            return faults.after(Response(), {fault: True}, self._simulator.simulation.closing)
        return None

    def _mistakes(self, order: Order, form: Mapping[str, str]) -> dict[str, str]:
        wanted = [members.required("verify_code", members.text(6))]
        if not order.data["preset"]:
            wanted += [one for one in members.CARD_MEMBERS if one.name != "id_type"]
        wrong = {one.name for one in wanted if members.first_mistake(form, (one,), 0)}
        wrong = {"vali_date" if name == "cvv2" else name for name in wrong}
        return {name: FIELD_ERRORS[name] for name in wrong}

    def _card(self, order: Order, form: Mapping[str, str]) -> Card:
        """The preset card or the typed one, fit for this order; ``Denied`` when it is not."""
        preset = order.data["preset"]
        card = Card.load(preset) if preset else self._orders.reduce({**form, "id_type": "0"})
        if not order.data["preset_saved"]:
            self._simulator.api.check_expiry(self._orders.account(order), card, form)
            self._orders.check_person(order.data["scope"], order.data["user_id"], card)
        if order.data["pay_type"] == "F" and card.kind != cards.CREDIT:
            raise Denied("5601")
        if card.last4 in cards.REFUSED_AT_APPLY:
            raise Denied(cards.REFUSED_AT_APPLY[card.last4])
        return card

    def _check_code(self, order: Order, code: str) -> None:
        if code == cards.EXPIRED_CODE:
            raise Denied("1901")
        if code == cards.TOO_OFTEN_CODE:
            raise Denied("9702")
        if code != cards.RIGHT_CODE and code not in cards.CODES:
            raise Denied("1900")

    def _form(self, order: Order, wrong: dict[str, str]) -> Response:
        preset = Card.load(order.data["preset"]) if order.data["preset"] else None
        page = render_template(
            "lianlian/cashier.html", order=order, merchant=self._merchant(order), wrong=wrong, preset=preset,
            asks_credit=preset is None or (preset.kind == cards.CREDIT and not order.data["preset_saved"]),
            sample=SAMPLE, sample_card="" if wrong else SAMPLE_CARD.get(order.data["pay_type"], ""),
            credit=order.data["pay_type"] == "F" or (preset is not None and preset.kind == cards.CREDIT),
            expiry=self._sample_expiry(order), right_code=cards.RIGHT_CODE,
        )  # fmt: skip
        return Response(page, status=422 if wrong else 200)

    def _sample_expiry(self, order: Order) -> str:
        year = f"{(members.china(self._simulator.clock.now()).year + 3) % 100:02d}"
        return f"12{year}" if self._orders.account(order).settings["vali_date"] == "MMYY" else f"{year}12"

    # --- leaving ---------------------------------------------------------------------------------------------------

    def _ended(self, order: Order, how: str = "") -> Response:
        if not how:
            how = "processing"
            if order.status in PAID:
                how = "refunded" if order.status == "REFUND" else "paid"
            elif order.status in HELD:
                how = "held"
            elif order.status in DEAD | UNPAID:
                how = "closed"
        heading, text = ENDINGS[how]
        address = str(order.data["url_return"]) if how in {"paid", "held"} else ""
        back = self._return_members(order) if address else {}
        by_get = self._orders.account(order).settings["return_method"] == "get"
        if address and by_get:
            address += ("&" if urlsplit(address).query else "?") + urlencode(back)
        page = render_template(
            "lianlian/ended.html", heading=heading, text=text, order=order, merchant=self._merchant(order),
            address=address, back={} if by_get else back, again=how == "left",
        )  # fmt: skip
        return Response(page)

    def _return_members(self, order: Order) -> dict[str, str]:
        """What the browser carries back: separate fields from the web page, ``res_data`` from H5. Signed with RSA."""
        told = {
            "oid_partner": order.account,
            "sign_type": signing.RSA,
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "oid_paybill": order.id,
            "money_order": str(order.data["money_order"]),
            "result_pay": STATES[order.status].result_pay,
            "settle_date": order.data.get("settle_date", ""),
            "info_order": order.data["info_order"],
            "pay_type": order.data["pay_type"],
            "bank_code": order.data.get("card", {}).get("bank_code", ""),
        }
        if order.data["channel"] == "web":
            told |= {"ret_code": "0000", "ret_msg": TEXTS["0000"]}
        told = {name: value for name, value in told.items() if value}
        source = signing.canonical(told) + ("&" if order.data.get("broken_return") else "")
        told["sign"] = signing.sign(source, signing.RSA, self._simulator.key)
        return told if order.data["channel"] == "web" else {"res_data": json.dumps(told, ensure_ascii=False)}

    def phone(self) -> str:
        """The payers' telephones: which SMS are on their way, and which codes do what."""
        now = self._simulator.clock.now()
        waiting = [
            {"order": order, "mobile": order.data.get("card", {}).get("mobile", ""), "at": order.data["sms_at"]}
            for order in self._store.orders(SLUG, limit=SMS_SHOWN)
            if order.status == "WAITING" and order.data.get("token") and now <= order.data["sms_at"] + TOKEN_LIFE_MS
        ]
        return render_template("lianlian/phone.html", waiting=waiting, codes=cards.CODE_TABLE)

    def _order(self, key: str) -> Order:
        order_id = self._store.key(SLUG, "cashier", key)
        order = self._store.order(SLUG, order_id) if order_id else None
        return order or abort(404, "There is no such payment.")

    def _merchant(self, order: Order) -> str:
        return str(self._orders.account(order).settings["merchant_name"])
