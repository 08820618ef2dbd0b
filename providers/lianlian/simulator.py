"""LianLian Pay's side of the wire (Easypay), played locally: trader and query API, card page, SMS codes, notifications.

Written from LianLian's public documentation and samples alone; what they leave open is a switch of the account or is
marked *assumed*. It shares no code with the client. Its parts: ``simulator_operations`` (what each API path does),
``_orders`` (money and cards), ``_members`` (the form of requests), ``_cards``, ``_signing`` and ``_pages``.

Card numbers, names, identity numbers and codes exist only while their request is answered.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

from flask import Blueprint, Response, request

from providers.lianlian import simulator_signing as signing
from providers.lianlian.simulator_cards import TEST_CARDS, TEXTS, Card
from providers.lianlian.simulator_members import Member, first_mistake, masked, to_fen, to_yuan
from providers.lianlian.simulator_operations import (
    APPLY,
    OPERATIONS,
    PAGE,
    VERIFY,
    Call,
    Members,
    Operation,
    Operations,
    money_text,
    told_refund,
)
from providers.lianlian.simulator_orders import SLUG, STATES, Denied, Orders
from providers.lianlian.simulator_pages import Pages
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
    faults,
)

#: Members that LianLian leaves out of an answer's signature, by operation.
UNSIGNED = {"orderquery": frozenset({"memo", "bank_name", "card_no"})}
# SHA-256 is named for these alone; everything else is RSA (MD5withRSA).
SHA256_TOO = frozenset({APPLY, VERIFY, "bankcardbindverify"})
RETRY_S, TRIES, NOTIFY_TIME_OUT_S = 120, 30, 5


class Simulator(ProviderSimulator):
    """Easypay at ``/lianlian``: every host of the client's settings is ``<base URL>/lianlian``."""

    slug = SLUG
    title = "LianLian Pay Easypay"
    creates = APPLY
    operations = (*OPERATIONS, PAGE)
    landings = frozenset({"payment", "travlepay.htm"})
    without_dials = frozenset({"dispute_later"})
    webhook_time_out_s = NOTIFY_TIME_OUT_S
    own_dials = (
        Dial("decline", "money", "6001", "the card is declined with this ret_code, whatever its number", 71),
        Dial("system_error", "answer", True, "9999 (system error), nothing was done", 24),
        Dial("system_error_after", "answer", True, "done, but the answer is 9999 (system error)", 25),
        Dial("broken_signature", "answer", True, "done, but the answer's signature fits other members", 26),
        Dial("unsigned_answer", "answer", True, "done, but the answer has no signature", 27),
        Dial("unknown_code", "answer", "9876", "done, but ret_code is this one, which nobody documented", 28),
        Dial("unknown_result", "answer", "SETTLED", "done, but result_pay is this word", 29),
        Dial("other_order", "answer", True, "done, but the genuine answer speaks of another no_order", 40),
        Dial("no_result", "answer", True, "done, but result_pay and token are missing", 41),
        Dial("foreign_currency", "answer", "USD", "done, but the answer says currency_order is this one", 42),
    )
    switches = (
        Switch("merchant_name", "Test merchant", "shown on the payment page"),
        Switch("no_sms", False, "No SMS Verification Flow: apply debits at once"),
        Switch("no_sms_limit", "", "yuan above which an account without SMS needs a code after all; empty: never"),
        Switch("no_sms_over_limit", "token", "what apply answers above that limit", ("token", "1902")),
        Switch("products", "easypay,preauth,page,bind,refund", "comma-separated; close is one more"),
        Switch("sign_types", "RSA,SHA256withRSA", "comma-separated sign types this merchant may use"),
        Switch("ip_list", "", "comma-separated addresses that may call; empty: any"),
        Switch("platform", "", "the platform this merchant shares its payers with; empty: none"),
        Switch("refund_balance", "", "yuan that refunds are drawn from; empty: unlimited"),
        Switch("apply_code", "0000", "ret_code with a token", ("0000", "8888")),
        Switch("bare_answers", False, "verify answers without dt_order and pay_type, like the real one of 2015"),
        Switch("unsigned_failures", False, "failures carry no signature, as in a sibling product"),
        Switch("vali_date", "YYMM", "how an expiry is written", ("YYMM", "MMYY")),
        Switch("preauth_result", "APPLY_SUCCESS", "result_pay of a granted hold", ("APPLY_SUCCESS", "SUCCESS")),
        Switch("preauth_query_plain", False, "the pre-authorisation query answers 0000, not the state"),
        Switch("preauth_query_needs_paybill", True, "it refuses a query without oid_paybill"),
        Switch(
            "capture_told",
            "captured",
            "amount told of a captured hold, but for its own query",
            ("captured", "authorised"),
        ),
        Switch("notify_authorisation", True, "a granted hold is notified"),
        Switch("notify_capture", True, "a capture is notified"),
        Switch("notify_failed_refund", False, "failed refunds are notified too, as in 2018"),
        Switch("empty_list", "3011", "the list of a payer without agreements", ("3011", "count")),
        Switch("return_method", "post", "how the payment page sends the browser back", ("post", "get")),
        Switch("capture_delay_s", 0.0, "a capture or cancel is done this much after it was accepted"),
        Switch("refund_delay_s", 5.0, "each step of a refund takes this long"),
        Switch("webhook_delay_s", 2.0, "a notification is sent this much after its cause"),
    )
    events = (
        OrderEvent("pay", "the payer pays, or the hold is granted"),
        OrderEvent("fail", "the attempt fails; another may follow", ("code",)),
        OrderEvent("process", "the payment is with the bank and stays there"),
        OrderEvent("expire", "valid_order is over"),
        OrderEvent("late_success", "money comes after FAILURE or CLOSED"),
        OrderEvent("capture", "a hold is captured", ("amount",)),
        OrderEvent("capture_fails", "the capture ends PR13"),
        OrderEvent("cancel", "a hold is let go"),
        OrderEvent("cancel_fails", "the cancel ends PR16"),
        OrderEvent("lapse", "a hold ends by age"),
        OrderEvent("refund_success", "an open refund succeeds now", ("no_refund",)),
        OrderEvent("refund_failure", "an open refund fails now", ("no_refund",)),
        OrderEvent("reverse", "the provider gives all back by itself; only queries tell"),
        OrderEvent("notify_twice", "the notification is sent twice at once"),
        OrderEvent("notify_broken_signature", "the notification is sent with a signature of another key"),
        OrderEvent("notify_wrong_amount", "the notification is sent with ten times the amount, genuinely signed"),
    )
    test_cards = TEST_CARDS

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.orders = Orders(simulation)
        self.api = Operations(simulation, self.orders)
        self.pages = Pages(self)
        self.key = signing.platform_key()
        self._stray_key: signing.PrivateKey | None = None

    # --- accounts --------------------------------------------------------------------------------------------------

    def default_accounts(self) -> list[Account]:
        """The documentation's sample merchant, and a second one without SMS."""
        return [
            self.account_from({"oid_partner": "201304121000001004"}),
            self.account_from({"oid_partner": "201304121000001005", "no_sms": True}),
        ]

    def account_from(self, payload: Mapping[str, Any]) -> Account:
        oid_partner = str(payload.get("oid_partner", ""))
        if not re.fullmatch("[0-9]{18}", oid_partner):
            raise Refused("oid_partner must be 18 digits")
        known = self.store.account(self.slug, oid_partner)
        settings: Members = {switch.name: switch.default for switch in self.switches}
        settings["merchant_public_key"] = signing.platform_public_key()
        settings |= known.settings if known else {}
        for name, value in payload.items():
            if name == "merchant_public_key":
                try:
                    signing.read_public_key(str(value))
                except ValueError as reason:
                    raise Refused(f"merchant_public_key is {reason}") from None
                settings[name] = str(value)
            elif name != "oid_partner":
                settings[name] = self._switch_value(name, value)
        return Account(self.slug, oid_partner, settings)

    def _switch_value(self, name: str, value: Any) -> Any:
        switch = next((one for one in self.switches if one.name == name), None)
        if switch is None:
            raise Refused(f"no switch is called {name!r}")
        if isinstance(switch.default, str) and isinstance(value, list):
            value = ",".join(map(str, value))
        wanted: type | tuple[type, ...] = (int, float) if isinstance(switch.default, float) else type(switch.default)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(switch.default, bool)):
            raise Refused(f"{name} must be of the kind of {switch.default!r}")
        if switch.choices and value not in switch.choices:
            raise Refused(f"{name} must be one of {', '.join(switch.choices)}")
        return value

    # --- the wire --------------------------------------------------------------------------------------------------

    def blueprint(self) -> Blueprint:
        routes = Blueprint(self.slug, __name__, template_folder="simulator_templates")
        for name, operation in OPERATIONS.items():
            routes.add_url_rule(operation.path, name, self._answering(name), methods=["POST"])
        routes.add_url_rule("/exchangerefund.htm", "exchangerefund", self._answering("refund"), methods=["POST"])
        routes.add_url_rule("/v1/bankcardbindverfy", "v1bind", self._answering("bankcardbindverify"), methods=["POST"])
        self.pages.route(routes)
        return routes

    def http_error(self, path: str, status: int, text: str) -> Response:
        if path.endswith(".htm") or "/v1/" in path:
            return Response(json.dumps({"error": text}), status=status, content_type="application/json;charset=utf-8")
        return self.pages.message("Page not found" if status == 404 else "That is not possible", text, status)

    def _answering(self, name: str) -> Callable[[], Response]:
        return lambda: self._answer(name, request.get_data())

    def _answer(self, name: str, raw: bytes) -> Response:
        """Check, act, write the log, and only then let the dials spoil the answer."""
        call = Call(name, request=f"{len(raw)} bytes")
        answer: Members = {}
        spoiled: Response | None = None
        try:
            self.admit(call, raw, OPERATIONS[name])
            spoiled = faults.before(call.faults, self.simulation.closing)
            if spoiled is None:
                if call.on("system_error"):
                    raise Denied("9999")
                code, told = OPERATIONS[name].act(self.api, call)
                answer = self._finished(call, code, told)
        except Denied as refusal:
            answer = self._finished(call, refusal.code, {}, refusal.detail)
        if spoiled is None:
            body = json.dumps(answer, ensure_ascii=False)
            reply = Response(body, content_type="application/json;charset=utf-8")
        else:
            reply = spoiled
        self.log(call, answer, reply.status_code)
        return faults.after(reply, call.faults, self.simulation.closing)

    def page_call(self, body: Members) -> Call:
        """A shop's form that brings a browser, to be admitted like any call."""
        return Call(PAGE, body=body, request=json.dumps(masked(body), ensure_ascii=False))

    def log(self, call: Call, answer: Members, status: int) -> None:
        verdict = f"{answer['ret_code']} {answer['ret_msg']}" if answer else f"HTTP {status}"
        self.store.insert(
            "calls", provider=self.slug, at=self.clock.now(), operation=call.operation,
            account=call.account.id if call.account else "", reference=call.reference, request=call.request,
            verdict=verdict, expected=call.expected, status=status,
            answer=json.dumps(masked(answer), ensure_ascii=False), faults=json.dumps(call.faults),
        )  # fmt: skip

    def admit(self, call: Call, raw: bytes, operation: Operation) -> None:
        """The checks in their assumed order: JSON, merchant, address, signature, product, members."""
        try:
            body = signing.read_object(raw)
        except (ValueError, RecursionError):
            raise Denied("1012") from None
        if any(isinstance(value, (dict, list, bool)) for value in body.values()):
            raise Denied("1012")
        call.body = body
        call.request = json.dumps(masked(body), ensure_ascii=False)
        self.admit_members(call, operation.product, operation.members)

    def admit_members(self, call: Call, product: str, wanted: tuple[Member, ...]) -> None:
        """The same from the merchant on, for bodies that were read already."""
        body = call.body
        call.account = self.store.account(self.slug, str(body.get("oid_partner", "")))
        if call.account is None:
            raise Denied("3001")
        settings = call.account.settings
        if not _may_call(str(settings["ip_list"]), request.remote_addr or ""):
            raise Denied("1008")
        self._check_signature(call)
        products = _split(settings["products"])
        if (product and product not in products) or (body.get("pay_type") == "F" and "preauth" not in products):
            raise Denied("3010")
        mistake = first_mistake(body, wanted, self.clock.now())
        if mistake is None and body.get("platform") and body["platform"] != settings["platform"]:
            mistake = "platform"
        if mistake is not None:
            raise Denied("1004", mistake)
        self._claim_faults(call)

    def _check_signature(self, call: Call) -> None:
        settings = call.merchant.settings
        name = signing.algorithm(call.body.get("sign_type"))
        allowed = _split(settings["sign_types"])
        if call.operation not in SHA256_TOO:
            allowed &= {signing.RSA}
        text = signing.canonical(call.body)
        call.expected = signing.canonical(masked(call.body))
        if name is None or name not in allowed:
            raise Denied("1001")
        call.sign_type = name
        signature = call.body.get("sign")
        key = signing.read_public_key(settings["merchant_public_key"])
        if not isinstance(signature, str) or not signing.is_genuine(text, signature, name, key):
            raise Denied("1001")

    def _claim_faults(self, call: Call) -> None:
        call.reference = self._reference(call)
        # Magic amounts act on the first application only: the same order may be applied for again.
        is_new = self.store.order_by_reference(self.slug, call.merchant.id, call.reference) is None
        amount = to_fen(call.body.get("money_order")) if call.operation in {APPLY, PAGE} and is_new else None
        claim = self.simulation.dials[self.slug].claim(call.operation, call.reference, amount)
        call.faults, call.kept = dict(claim.now), claim.kept

    def _reference(self, call: Call) -> str:
        """The merchant's order an API call is about, as far as it has one."""
        body, account = call.body, call.merchant
        if body.get("no_order"):
            return str(body["no_order"])
        keys = {"refund": f"{account.id}:{body.get('no_refund', '')}", "oid_refundno": str(body.get("oid_refundno"))}
        found = [self.store.key(self.slug, kind, key) for kind, key in keys.items()]
        order_id = str(body.get("oid_paybill") or next(filter(None, found), ""))
        order = self.store.order(self.slug, order_id)
        return order.reference if order and order.account == account.id else ""

    def _finished(self, call: Call, code: str, told: Members, detail: str = "") -> Members:
        """The whole answer: common members and signature. A failure has a minimal body."""
        text = f"{TEXTS.get(code, TEXTS['9999'])}({detail})" if detail else TEXTS.get(code, TEXTS["9999"])
        if call.account is None:
            return {"ret_code": code, "ret_msg": text}
        if call.on("system_error_after"):
            code, text, told = "9999", TEXTS["9999"], {}
        if call.on("unknown_code"):
            code = str(call.faults["unknown_code"])
        told = self._twisted(call, told)
        # Real answers spell the second type in capitals.
        spelled = {signing.SHA256: "SHA256WITHRSA"}.get(call.sign_type, call.sign_type)
        answer = {"ret_code": code, "ret_msg": text, "oid_partner": call.merchant.id} | told
        if call.on("unsigned_answer") or (not told and call.merchant.settings["unsigned_failures"] and code != "0000"):
            return answer
        answer["sign_type"] = spelled
        unsigned = UNSIGNED.get(call.operation, frozenset())
        source = signing.canonical({name: value for name, value in answer.items() if name not in unsigned})
        if call.on("broken_signature"):
            source += "&"
        return answer | {"sign": signing.sign(source, call.sign_type, self.key)}

    def _twisted(self, call: Call, told: Members) -> Members:
        told = {name: value for name, value in told.items() if value not in (None, "")}
        if call.on("unknown_result") and "result_pay" in told:
            told["result_pay"] = str(call.faults["unknown_result"])
        if call.on("other_order") and "no_order" in told:
            told["no_order"] = f"X{told['no_order'][1:]}"
        if call.on("no_result"):
            told.pop("result_pay", None)
            told.pop("token", None)
        if call.on("foreign_currency") and "money_order" in told:
            told["currency_order"] = str(call.faults["foreign_currency"])
        return told

    # --- notifications ---------------------------------------------------------------------------------------------

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        """5.2 or 5.3, always with ``sign_type`` RSA, signed over exactly these members."""
        if notice.kind == "refund":
            url, body = self._refund_notice(order, str(notice.extra["no_refund"]))
        else:
            url, body = str(order.data["notify_url"]), self._payment_notice(order)
        money = "money_refund" if notice.kind == "refund" else "money_order"
        tenfold = to_yuan((to_fen(body[money]) or 0) * 10)
        if "webhook_wrong_amount" in twists:
            body[money] = tenfold
        if "webhook_wrong_currency" in twists:
            body["currency_order"] = "USD"
        if "webhook_wrong_reference" in twists:
            body["oid_refundno" if notice.kind == "refund" else "oid_paybill"] = self.orders.number()
        if "webhook_unknown_status" in twists:
            body |= {"sta_refund": "7"} if notice.kind == "refund" else {"result_pay": "SETTLED"}
        key = self._forger() if "webhook_forged" in twists else self.key
        body["sign"] = signing.sign(signing.canonical(body), signing.RSA, key)
        if "webhook_tampered" in twists:
            body[money] = tenfold
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return Message(url, {"Content-Type": "text/json;charset=utf-8"}, raw)

    def _payment_notice(self, order: Order) -> Members:
        told = {
            "oid_partner": order.account,
            "sign_type": signing.RSA,
            "dt_order": order.data["dt_order"],
            "no_order": order.reference,
            "oid_paybill": order.id,
            "money_order": money_text(order, self.orders.account(order).settings["capture_told"]),
            "result_pay": STATES[order.status].result_pay,
            "pay_type": order.data["pay_type"],
            "info_order": order.data["info_order"],  # empty and present when none was given
        }
        card = order.data.get("card", {})
        more = {
            "settle_date": order.data.get("settle_date"),
            "bank_code": card.get("bank_code"),
            "no_agree": order.data.get("no_agree"),
        }
        return told | {name: value for name, value in more.items() if value}

    def _refund_notice(self, order: Order, no_refund: str) -> tuple[str, Members]:
        refund = next(one for one in order.data["refunds"] if one["no_refund"] == no_refund)
        told = {name: value for name, value in told_refund(refund).items() if value}
        head = {"oid_partner": order.account, "sign_type": signing.RSA, "ret_code": "0000", "ret_msg": TEXTS["0000"]}
        return str(refund["notify_url"]), head | told

    def _forger(self) -> signing.PrivateKey:
        if self._stray_key is None:
            self._stray_key = signing.stray_key()
        return self._stray_key

    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        """HTTP 200 and JSON with ``ret_code`` 0000; ``ret_msg`` may be any text."""
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError):
            return False
        return status == 200 and isinstance(found, dict) and found.get("ret_code") == "0000"

    def retry_wait(self, account: Account, attempt: int) -> float | None:
        """Every two minutes, thirty times in all."""
        return RETRY_S if attempt < TRIES else None

    # --- the operator ----------------------------------------------------------------------------------------------

    def run(self, job: Job) -> None:
        self.orders.run(job)

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        self.orders.happen(order, event, members)

    def words(self, order: Order) -> dict[str, Any]:
        state = STATES[order.status]
        told: Members = {
            "oid_paybill": order.id,
            "no_order": order.reference,
            "dt_order": order.data["dt_order"],
            "user_id": order.data["user_id"],
            "pay_type": order.data["pay_type"],
            "money_order": money_text(order),
            "result_pay": state.result_pay,
            "expires_at": order.data["expires_at"],
            "phone_page": f"/{self.slug}/phone",
        }
        if order.data["pay_type"] == "F":
            told["preauth"] = state.preauth
        if order.data["channel"] != "api":
            told["cashier_page"] = f"/{self.slug}/cashier/{order.data['cashier_key']}"
        if "card" in order.data:
            told["card"] = Card.load(order.data["card"]).masked
        for name in ("memo", "settle_date", "no_agree", "name_goods"):
            if order.data.get(name):
                told[name] = order.data[name]
        if order.data["refunds"]:
            told["refunds"] = [told_refund(refund) for refund in order.data["refunds"]]
        return told


def _split(text: Any) -> set[str]:
    return {part.strip() for part in str(text).split(",") if part.strip()}


def _may_call(allowed: str, address: str) -> bool:
    """Whether an address is in a list of addresses; an empty list allows all."""
    if not allowed.strip():
        return True
    try:
        return ipaddress.ip_address(address) in {ipaddress.ip_address(one) for one in _split(allowed)}
    except ValueError:
        return False
