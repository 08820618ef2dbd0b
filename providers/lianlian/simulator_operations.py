"""What each of LianLian's API paths does: from a checked request to ``ret_code`` and members, before any signature."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.lianlian import simulator_cards as cards
from providers.lianlian import simulator_members as members
from providers.lianlian import simulator_signing as signing
from providers.lianlian.simulator_cards import BANKS, BINS, Card
from providers.lianlian.simulator_members import Member, first_mistake, to_fen, to_yuan
from providers.lianlian.simulator_orders import PAID, SLUG, STATES, Denied, Orders
from providers.simulation import Account, Order, Simulation

APPLY, VERIFY, PAGE = "easypay", "easypayverify", "page"
PAGE_SIZE = 10  # agreements in one answer, assumed

Members = dict[str, Any]


@dataclass
class Call:
    """One API call while it is answered."""

    operation: str
    account: Account | None = None
    body: Members = field(default_factory=dict)
    sign_type: str = signing.RSA
    reference: str = ""
    faults: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    request: str = ""
    expected: str = ""

    @property
    def merchant(self) -> Account:
        assert self.account is not None  # noqa: S101  # nosec B101  admitted calls have one
        return self.account

    def on(self, fault: str) -> bool:
        return fault in self.faults


@dataclass(frozen=True)
class Operation:
    """One path of the API: the product it needs (or none), the form of its request, and what it does."""

    path: str
    product: str
    members: tuple[Member, ...]
    act: Callable[["Operations", Call], tuple[str, Members]]


class Operations:
    """The API's acts. ``Denied`` is a failure that changed nothing; a failure that did is a returned ``ret_code``."""

    def __init__(self, simulation: Simulation, orders: Orders) -> None:
        self.simulation = simulation
        self.store = simulation.store
        self.clock = simulation.clock
        self.orders = orders

    # --- apply and verify ------------------------------------------------------------------------------------------

    def apply(self, call: Call) -> tuple[str, Members]:
        """3.1: make the order or find it again, and send a code, or debit where no code is asked for."""
        with self.store.write():
            order, card, refusal = self.take_order(call, "api")
            if refusal:
                return refusal, {}
            settings = call.merchant.settings
            silent = settings["no_sms"] or card.last4 in {cards.NO_SMS, cards.NO_SMS_SLOW}
            limit = to_fen(settings["no_sms_limit"])
            over = silent and limit is not None and order.amount > limit
            if over and settings["no_sms_over_limit"] == "1902":
                return "1902", {}
            if not silent or over:
                token = self.orders.send_code(order)
                code = "8888" if card.last4 == cards.ANSWERS_8888 else settings["apply_code"]
                return code, self._applied(order) | {"token": token, "sms_flag": "1"}
            if card.last4 == cards.NO_SMS_SLOW:
                self.orders.process(order, "SUCCESS", 5)
                return "0000", self._applied(order) | {"result_pay": "PROCESSING"}
            code = self.orders.ask_bank(order)
        self._hurry(order)
        return code, self._applied(order) | self._result(order) if code == "0000" else {}

    def take_order(self, call: Call, channel: str) -> tuple[Order, Card, str]:
        """The order with its card, new or applied for again, and the bank's refusal if the card brings one.

        ``Denied``, with nothing left behind, when card, person or terms are wrong.
        """
        body, scope = call.body, self.scope(call)
        known = self.store.order_by_reference(SLUG, call.merchant.id, body["no_order"])
        if known is not None:
            self.orders.refuse_repeat(known, body, scope)
        card = self.card_of(call)
        order = known or self.orders.open(call.merchant, body, scope=scope, channel=channel, kept=call.kept)
        self.orders.attach(order, card)
        return order, card, cards.REFUSED_AT_APPLY.get(card.last4, "")

    def card_of(self, call: Call) -> Card:
        """The request's card, reduced, or the saved one; ``Denied`` when it does not fit payer or product."""
        body, scope = call.body, self.scope(call)
        if body.get("no_agree"):
            card = self.orders.agreement(scope, body["user_id"], body["no_agree"])
        else:
            mistake = first_mistake(body, members.CARD_MEMBERS, self.clock.now())
            if mistake is not None:
                raise Denied("1004", mistake)
            card = self.orders.reduce(body)
            self.check_expiry(call.merchant, card, body)
            self.orders.check_person(scope, body["user_id"], card)
        if body["pay_type"] in {"F", "N"} and card.kind != cards.CREDIT:
            raise Denied("5601")
        if body.get("bank_code") and body["bank_code"] != card.bank_code:
            raise Denied("9907")
        return card

    def check_expiry(self, account: Account, card: Card, body: Mapping[str, Any]) -> None:
        """Credit cards need an expiry that lies ahead, and a CVV2: ``Denied`` 1103."""
        if card.kind != cards.CREDIT:
            return
        written = str(body.get("vali_date") or "")
        if not (re.fullmatch("[0-9]{4}", written) and re.fullmatch("[0-9]{3}", str(body.get("cvv2") or ""))):
            raise Denied("1103")
        if account.settings["vali_date"] == "MMYY":
            written = written[2:] + written[:2]
        today = f"{members.china(self.clock.now()):%y%m}"
        if not "01" <= written[2:] <= "12" or written < today:
            raise Denied("1103")

    def scope(self, call: Call) -> str:
        """Whose payers these are: a merchant's own, or those of the platform it shares."""
        return str(call.body.get("platform") or call.merchant.id)

    def verify(self, call: Call) -> tuple[str, Members]:
        """3.2: the code decides, then the bank."""
        body = call.body
        with self.store.write():
            order = self.store.order_by_reference(SLUG, call.merchant.id, body["no_order"])
            if order is not None and order.status == "CLOSED":
                return "2006", {}
            self.orders.check_token(order, body["token"])
            assert order is not None  # noqa: S101  # nosec B101
            if body.get("dt_order") and body["dt_order"] != order.data["dt_order"]:
                return "1000", {}
            if to_fen(body["money_order"]) != order.amount:
                return "7017", {}
            code = self.orders.check_code(order, body["verify_code"])
            if code == "0000":
                code, fault = self.orders.pay(order, body["verify_code"])
                if fault:
                    call.faults[fault] = True
        self._hurry(order)
        return code, self._verified(order) if code == "0000" else {}

    def _hurry(self, order: Order) -> None:
        if "webhook_early" in self.simulation.dials[SLUG].of(order):
            self.simulation.settle()

    def _applied(self, order: Order) -> Members:
        return {
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "money_order": money_text(order),
            "name_goods": order.data["name_goods"],
            "oid_paybill": order.id,
            "pay_type": order.data["pay_type"],
            "bank_code": order.data["card"]["bank_code"],
            "info_order": order.data["info_order"],
        }

    def _verified(self, order: Order) -> Members:
        """The real answer of 2015, and the two members that the current table adds."""
        told = {
            "no_order": order.reference,
            "oid_paybill": order.id,
            "money_order": money_text(order),
            "info_order": order.data["info_order"],
        } | self._result(order)
        if not self.orders.account(order).settings["bare_answers"]:
            told |= {"dt_order": order.data["dt_order"], "pay_type": order.data["pay_type"]}
        return told

    def _result(self, order: Order) -> Members:
        """``result_pay`` of an order that was just debited, with what belongs to success."""
        if order.status == "AUTHORISED":
            granted = self.orders.account(order).settings["preauth_result"]
            return {"result_pay": granted, "no_agree": order.data.get("no_agree")}
        if order.status != "SUCCESS":
            return {"result_pay": STATES[order.status].result_pay}
        return {
            "result_pay": "SUCCESS",
            "settle_date": order.data["settle_date"],
            "no_agree": order.data.get("no_agree"),
        }

    # --- queries ---------------------------------------------------------------------------------------------------

    def query_order(self, call: Call) -> tuple[str, Members]:
        """3.3: ``ret_code`` is the query's own, ``result_pay`` the order's."""
        body = call.body
        if not (body.get("no_order") or body.get("oid_paybill")):
            raise Denied("1004", "no_order")
        order, status, twist = self._looked_up(call)
        card = Card.load(order.data["card"]) if "card" in order.data else None
        told = {
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "oid_paybill": order.id,
            "result_pay": STATES[status].result_pay,
            "settle_date": order.data.get("settle_date") if status in PAID else None,
            "info_order": order.data["info_order"],
            "pay_type": self._queried_pay_type(order, card),
            "bank_code": card.bank_code if card else None,
            "card_no": card.masked if card else None,
        } | twist
        if body.get("query_version") == "1.1":
            told |= {"memo": order.data.get("memo"), "bank_name": card.bank_name if card else None}
        return "0000", told

    def _queried_pay_type(self, order: Order, card: Card | None) -> str:
        if order.data["pay_type"] == "F":
            return "F"
        return "N" if card is not None and card.kind == cards.CREDIT else "M"

    def _looked_up(self, call: Call) -> tuple[Order, str, Members]:
        """The order asked for, the status that queries show, and its amount as they show it."""
        body = call.body
        order = self.orders.find(
            call.merchant, no_order=body.get("no_order"), oid_paybill=body.get("oid_paybill"),
            dt_order=body.get("dt_order"),
        )  # fmt: skip
        lasting = self.simulation.dials[SLUG].of(order) | call.faults
        now = self.clock.now()
        if now < order.created_at + 1000 * float(lasting.get("query_not_found", 0)):
            raise Denied("8901")
        lags = now < order.history[-1]["at"] + 1000 * float(lasting.get("query_lags", 0))
        captures = call.merchant.settings["capture_told"] if call.operation == "orderquery" else "authorised"
        told: Members = {"money_order": money_text(order, captures)}
        if "query_wrong_amount" in lasting:
            told["money_order"] = to_yuan(order.amount * 10)
        if "query_wrong_currency" in lasting:
            told["currency_order"] = "USD"
        return order, order.history[0]["status"] if lags else order.status, told

    def query_preauth(self, call: Call) -> tuple[str, Members]:
        """3.6: the state is in ``ret_code``."""
        settings = call.merchant.settings
        if settings["preauth_query_needs_paybill"] and not call.body.get("oid_paybill"):
            raise Denied("1004", "oid_paybill")
        order, status, twist = self._looked_up(call)
        if order.data["pay_type"] != "F":
            raise Denied("8901")
        code = STATES[status].preauth
        if status == "WAITING" and "sms_at" not in order.data:
            code = "2003"
        told = {"no_order": order.reference, "dt_order": order.data["dt_order"], "oid_paybill": order.id} | twist
        return "0000" if settings["preauth_query_plain"] else code, told

    # --- pre-authorisations ----------------------------------------------------------------------------------------

    def capture(self, call: Call) -> tuple[str, Members]:
        """3.4: accepted; the query says when it is done."""
        amount = to_fen(call.body["money_order"]) or 0
        with self.store.write():
            order = self._held_order(call)
            if amount > order.amount:
                raise Denied("7017")
            self.orders.capture(order, amount)
        self._hurry(order)
        return "0000", {
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "oid_paybill": order.id,
            "money_order": call.body["money_order"],
            "settle_date": order.data.get("settle_date"),
            "info_order": order.data["info_order"],
            "user_id": order.data["user_id"],
        }

    def cancel(self, call: Call) -> tuple[str, Members]:
        """3.5: accepted; the query says when it is done."""
        with self.store.write():
            order = self._held_order(call)
            if to_fen(call.body["money_order"]) != order.amount:
                raise Denied("7017")
            self.orders.cancel(order)
        return "0000", {
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "oid_paybill": order.id,
            "user_id": order.data["user_id"],
        }

    def _held_order(self, call: Call) -> Order:
        body = call.body
        order = self.orders.find(
            call.merchant, no_order=body["no_order"], oid_paybill=body.get("oid_paybill"), dt_order=body["dt_order"]
        )
        if order.data["pay_type"] != "F" or order.data["user_id"] != body["user_id"]:
            raise Denied("8901")
        code = self.orders.may_finish(order)
        if code != "0000":
            raise Denied(code)
        return order

    def close_order(self, call: Call) -> tuple[str, Members]:
        """3.15: end an order that was not paid."""
        with self.store.write():
            order = self.orders.find(call.merchant, no_order=call.body["no_order"])
            code = {"WAITING": "0000", "FAILURE": "0000", "PROCESSING": "2005", "CLOSED": "2006"}.get(order.status)
            if code is None:
                code = self.orders.may_finish(order)
                code = "2007" if code == "0000" else code
            if code != "0000":
                raise Denied(code)
            self.orders.close(order, "closed by the merchant")
        return "0000", {"no_order": order.reference}

    # --- refunds ---------------------------------------------------------------------------------------------------

    def refund(self, call: Call) -> tuple[str, Members]:
        """3.13: accepted as ``0``; done or failed later."""
        body, account = call.body, call.merchant
        if not (body.get("no_order") or body.get("oid_paybill")):
            raise Denied("1004", "no_order")
        if body.get("no_order") and not body.get("dt_order"):
            raise Denied("1004", "dt_order")
        if body.get("trader_refund") not in (None, "", account.id):
            raise Denied("1004", "trader_refund")
        with self.store.write():
            try:
                order = self.orders.find(
                    account, no_order=body.get("no_order"), oid_paybill=body.get("oid_paybill"),
                    dt_order=body.get("dt_order"),
                )  # fmt: skip
            except Denied as refusal:
                raise Denied("5002" if refusal.code == "8901" else refusal.code) from None
            made = self.orders.refund(account, order, body, to_fen(body["money_refund"]) or 0)
        self._hurry(order)
        return "0000", told_refund(made)

    def query_refund(self, call: Call) -> tuple[str, Members]:
        """3.14: by either number, with the very ``dt_refund``."""
        body = call.body
        no_refund, oid_refundno = str(body.get("no_refund") or ""), str(body.get("oid_refundno") or "")
        if not (no_refund or oid_refundno):
            raise Denied("1004", "no_refund")
        order, found = self.orders.find_refund(call.merchant, no_refund, oid_refundno)
        lasting = self.simulation.dials[SLUG].of(order) | call.faults
        now = self.clock.now()
        is_hidden = now < found["created_at"] + 1000 * float(lasting.get("query_not_found", 0))
        if found["dt_refund"] != body["dt_refund"] or is_hidden:
            raise Denied("8901")
        told = told_refund(found)
        if now < found.get("changed_at", 0) + 1000 * float(lasting.get("query_lags", 0)):
            told |= {"sta_refund": "0", "settle_date": None}
        if "query_wrong_amount" in lasting:
            told["money_refund"] = to_yuan(found["amount"] * 10)
        return "0000", told

    # --- saved cards -----------------------------------------------------------------------------------------------

    def bind(self, call: Call) -> tuple[str, Members]:
        """3.9, first half: check a card without paying and send a code."""
        body, scope = call.body, self.scope(call)
        with self.store.write():
            card = self.orders.reduce(body)
            self.check_expiry(call.merchant, card, body)
            if body["pay_type"] == "N" and card.kind != cards.CREDIT:
                raise Denied("5601")
            self.orders.check_person(scope, body["user_id"], card)
            bound = self.orders.agreements(scope, body["user_id"])
            if any(one["card"]["fingerprint"] == card.fingerprint for one in bound):
                raise Denied("3009")
            if card.last4 in cards.REFUSED_AT_APPLY:
                raise Denied(cards.REFUSED_AT_APPLY[card.last4])
            token = self.orders.begin_binding(scope, body["user_id"], card)
        code = "8888" if card.last4 == cards.ANSWERS_8888 else str(call.merchant.settings["apply_code"])
        return code, {"user_id": body["user_id"], "token": token}

    def verify_binding(self, call: Call) -> tuple[str, Members]:
        """3.9, second half: the agreement."""
        body, settings = call.body, call.merchant.settings
        with self.store.write():
            for scope in filter(None, (call.merchant.id, settings["platform"])):
                found = self.orders.finish_binding(scope, body["user_id"], body["token"], body["verify_code"])
                if found[0] != "1000":
                    break
        code, card, no_agree = found
        if card is None:
            return code, {}
        return "0000", {"user_id": body["user_id"], "card_no": card.last4, "no_agree": no_agree}

    def unbind(self, call: Call) -> tuple[str, Members]:
        """3.10. Without ``pay_type`` the platform looks among express agreements (2) and finds none."""
        body = call.body
        if (body.get("pay_type") or "2") not in {"M", "F", "D"}:
            raise Denied("3003")
        with self.store.write():
            self.orders.agreement(self.scope(call), body["user_id"], body["no_agree"])
            self.orders.forget("agreement", body["no_agree"])
        return "0000", {}

    def list_agreements(self, call: Call) -> tuple[str, Members]:
        """3.11: newest first; the list itself is not signed."""
        body = call.body
        every = self.orders.agreements(self.scope(call), body["user_id"])
        if body.get("no_agree"):
            every = [one for one in every if one["no_agree"] == body["no_agree"]]
        if body.get("card_no"):
            every = [one for one in every if one["card"]["fingerprint"] == self.orders.fingerprint(body["card_no"])]
        if not every and call.merchant.settings["empty_list"] == "3011":
            raise Denied("3011")
        start = int(body["offset"])
        told = [
            {
                "no_agree": one["no_agree"],
                "card_no": one["card"]["last4"],
                "bank_code": one["card"]["bank_code"],
                "bank_name": BANKS[one["card"]["bank_code"]],
                "card_type": one["card"]["kind"],
                "bind_mobile": one["card"]["mobile"],
            }
            for one in every[start : start + PAGE_SIZE]
        ]
        return "0000", {"user_id": body["user_id"], "count": str(len(every)), "agreement_list": told}

    def card_bin(self, call: Call) -> tuple[str, Members]:
        """3.12: who issued a card, and whether it is a credit card."""
        number = call.body["card_no"]
        if number[:6] not in BINS:
            raise Denied("5001")
        bank, kind = BINS[number[:6]]
        return "0000", {"card_no": number[-4:], "bank_code": bank, "bank_name": BANKS[bank], "card_type": kind}


OPERATIONS = {
    APPLY: Operation("/easypay.htm", "easypay", members.APPLY, Operations.apply),
    VERIFY: Operation("/easypayverify.htm", "easypay", members.VERIFY, Operations.verify),
    "orderquery": Operation("/orderquery.htm", "", members.ORDER_QUERY, Operations.query_order),
    "preauthcomplete": Operation("/preauthComplete.htm", "preauth", members.CAPTURE, Operations.capture),
    "preauthcancel": Operation("/preauthCancel.htm", "preauth", members.CANCEL, Operations.cancel),
    "preauthquery": Operation("/preauthquery.htm", "preauth", members.PREAUTH_QUERY, Operations.query_preauth),
    "bankcardbind": Operation("/bankcardbind.htm", "bind", members.BIND, Operations.bind),
    "bankcardbindverify": Operation("/bankcardbindverfy.htm", "bind", members.BIND_VERIFY, Operations.verify_binding),
    "bankcardunbind": Operation("/bankcardunbind.htm", "bind", members.UNBIND, Operations.unbind),
    "bankcardbindlist": Operation("/bankcardbindlist.htm", "bind", members.AGREEMENTS, Operations.list_agreements),
    "bankcardbin": Operation("/bankcardbin.htm", "", members.CARD_BIN, Operations.card_bin),
    "refund": Operation("/refund.htm", "refund", members.REFUND, Operations.refund),
    "refundquery": Operation("/refundquery.htm", "refund", members.REFUND_QUERY, Operations.query_refund),
    "closeorder": Operation("/closeOrder.htm", "close", members.CLOSE, Operations.close_order),
}


def money_text(order: Order, told_of_captures: str = "authorised") -> str:
    """The order's amount as the merchant wrote it, unless other money came.

    Of a captured hold nobody documented which amount is told; ``told_of_captures`` is the account's switch.
    """
    received = order.data.get("received")
    is_hold = order.data["pay_type"] == "F" and told_of_captures == "authorised"
    if received is None or received == order.amount or is_hold:
        return str(order.data["money_order"])
    return to_yuan(received)


def told_refund(refund: Mapping[str, Any]) -> Members:
    names = ("no_refund", "dt_refund", "money_refund", "oid_refundno", "sta_refund", "settle_date")
    return {name: refund.get(name) for name in names}
