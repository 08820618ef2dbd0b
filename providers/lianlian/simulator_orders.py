"""What happens at LianLian's: orders, the bank's word, pre-authorisations, refunds, saved cards. No HTTP here.

Every function that changes something runs inside a write of the store. A ``ret_code`` is returned, not raised, where
the state must be kept.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from providers.lianlian import simulator_cards as cards
from providers.lianlian.simulator_cards import Card
from providers.lianlian.simulator_members import (
    DAY_MS,
    DEFAULT_VALID_ORDER,
    china,
    to_fen,
    to_yuan,
)
from providers.simulation import Account, Job, Notice, Order, Refused, Simulation

SLUG, CNY = "lianlian", "CNY"
TOKEN_LIFE_MS, CODE_LIFE_MS = 1_800_000, 600_000
WRONG_CODES_ALLOWED = 5
HOLD_MS = 30 * DAY_MS
REFUND_WINDOW_MS = 183 * DAY_MS
LATE_NOTICE_S = 10
REFUNDED_AT_ONCE, REFUND_FAILS = 8801, 8802  # fen


@dataclass(frozen=True)
class State:
    """How a status is told: ``result_pay`` of the order query, ``ret_code`` of the pre-authorisation query."""

    result_pay: str
    preauth: str


# From AUTHORISED on, only pre-authorisations. What the order query says about those is assumed.
STATES = {
    "WAITING": State("WAITING", "PR08"),
    "PROCESSING": State("PROCESSING", "PR09"),
    "SUCCESS": State("SUCCESS", "PR11"),
    "FAILURE": State("FAILURE", "PR10"),
    "REFUND": State("REFUND", "PR11"),
    "CLOSED": State("FAILURE", "2006"),
    "AUTHORISED": State("SUCCESS", "PR07"),
    "CAPTURING": State("PROCESSING", "PR12"),
    "CAPTURE_FAILED": State("SUCCESS", "PR13"),
    "CANCELLING": State("PROCESSING", "PR15"),
    "CANCELLED": State("FAILURE", "PR14"),
    "CANCEL_FAILED": State("SUCCESS", "PR16"),
    "LAPSED": State("FAILURE", "2006"),
}
UNPAID = frozenset({"WAITING", "FAILURE"})
OPEN = frozenset({"WAITING", "PROCESSING"})
HELD = frozenset({"AUTHORISED", "CAPTURE_FAILED", "CANCEL_FAILED"})
PAID = frozenset({"SUCCESS", "REFUND"})
DEAD = frozenset({"CLOSED", "LAPSED", "CANCELLED"})


class Denied(Exception):
    """Answer with this ``ret_code``; ``detail`` goes into brackets. Nothing was done."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}({detail})" if detail else code)
        self.code, self.detail = code, detail


class Orders:
    """Orders and saved cards of all merchants."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._store = simulation.store
        self._clock = simulation.clock

    # --- numbers and keyed fingerprints ----------------------------------------------------------------------------

    def number(self) -> str:
        """``yyyyMMdd`` and eight digits, never given twice: for orders, refunds and agreements alike."""
        day = f"{china(self._clock.now()):%Y%m%d}"
        return f"{day}{self._store.rising(f'lianlian_number_{day}', 1):08d}"

    def today(self) -> str:
        return f"{china(self._clock.now()):%Y%m%d}"

    def reduce(self, body: Mapping[str, Any]) -> Card:
        """Judge a card and forget it and its holder. ``Denied`` when its issuer is unknown."""
        number = str(body["card_no"])
        issuer = cards.BINS.get(number[:6])
        if issuer is None:
            raise Denied("1102")
        person = "|".join(str(body.get(name, "")) for name in ("id_type", "id_no", "acct_name"))
        return Card(
            bin=number[:6], last4=number[-4:], length=len(number), bank_code=issuer[0], kind=issuer[1],
            fingerprint=self.fingerprint(number), person=self.fingerprint(person),
            mobile=cards.masked_mobile(str(body.get("bind_mob", ""))),
        )  # fmt: skip

    def fingerprint(self, text: str) -> str:
        """The same for the same text, and of no use without this simulation's own key."""
        key = self._store.fact("lianlian_fingerprint_key")
        if key is None:
            key = secrets.token_hex(32)
            self._store.set_fact("lianlian_fingerprint_key", key)
        return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()

    # --- orders ----------------------------------------------------------------------------------------------------

    def open(
        self, account: Account, body: Mapping[str, Any], *, scope: str, channel: str, kept: dict[str, Any]
    ) -> Order:
        """A new order that waits for its payer."""
        now = self._clock.now()
        minutes = int(body.get("valid_order") or DEFAULT_VALID_ORDER)
        echoed = ("dt_order", "user_id", "pay_type", "name_goods", "notify_url")
        optional = ("info_order", "url_return", "back_url", "url_order")
        order = Order(
            provider=SLUG, id=self.number(), account=account.id, reference=str(body["no_order"]), status="WAITING",
            amount=to_fen(body["money_order"]) or 0, currency=CNY, created_at=now,
            data={name: str(body[name]) for name in echoed} | {name: str(body.get(name) or "") for name in optional},
        )  # fmt: skip
        order.data |= {
            "money_order": str(body["money_order"]),
            "scope": scope,
            "channel": channel,
            "cashier_key": secrets.token_hex(16),
            "expires_at": now + 60_000 * minutes,
            "refunds": [],
            "faults": kept,
        }
        order.enter("WAITING", now, "applied for")
        self._store.add_order(order)
        self._store.set_key(SLUG, "cashier", order.data["cashier_key"], account=account.id, value=order.id)
        self._store.add_job(SLUG, "expire", order.id, order.data["expires_at"])
        return order

    def find(self, account: Account, *, no_order: Any = "", oid_paybill: Any = "", dt_order: Any = "") -> Order:
        """By either number; ``Denied`` 8901 when there is none, 9092 when the two do not belong together."""
        by_reference = self._store.order_by_reference(SLUG, account.id, str(no_order)) if no_order else None
        by_id = self._store.order(SLUG, str(oid_paybill)) if oid_paybill else None
        if by_id is not None and by_id.account != account.id:
            by_id = None
        found = by_reference or by_id
        if found is None:
            raise Denied("8901")
        if no_order and oid_paybill and (by_reference is None or by_id is None or by_reference.id != by_id.id):
            raise Denied("9092")
        if dt_order and found.data["dt_order"] != dt_order:
            raise Denied("8901")
        return found

    def refuse_repeat(self, order: Order, body: Mapping[str, Any], scope: str) -> None:
        """``Denied`` unless the same order may be applied for once more: unpaid, and with the same terms."""
        if order.status in PAID | HELD:
            raise Denied("2007")
        if order.status in {"PROCESSING", "CAPTURING", "CANCELLING"}:
            raise Denied("2005")
        if order.status in DEAD or self._clock.now() >= order.data["expires_at"]:
            raise Denied("2006")
        same = (
            to_fen(body["money_order"]) == order.amount
            and body["dt_order"] == order.data["dt_order"]
            and body["pay_type"] == order.data["pay_type"]
            and (body["user_id"], scope) == (order.data["user_id"], order.data["scope"])
        )
        if not same:
            raise Denied("1002")

    def attach(self, order: Order, card: Card) -> None:
        """The payer chose a card: a failed order waits again."""
        order.data["card"] = card.dump()
        order.data.pop("memo", None)
        if order.status == "FAILURE":
            order.enter("WAITING", self._clock.now(), "applied for again")
        self._store.save_order(order)

    def send_code(self, order: Order) -> str:
        """Send an SMS; the token that goes with its code. Any token before is dead."""
        token = secrets.token_hex(16)
        now = self._clock.now()
        order.data |= {"token": _digest(token), "token_at": now, "sms_at": now, "wrong_codes": 0}
        self._store.save_order(order)
        return token

    def check_token(self, order: Order | None, token: str) -> None:
        """``Denied`` 1000 unless it is this order's present token, not used and not older than 30 minutes."""
        known = order.data.get("token", "") if order is not None else ""
        if order is None or not hmac.compare_digest(known, _digest(token)):
            raise Denied("1000")
        if self._clock.now() > order.data["token_at"] + TOKEN_LIFE_MS:
            raise Denied("1000")

    def check_code(self, order: Order, code: str) -> str:
        """``0000`` for a code that lets the payment go on, else why not. Only right codes use the token up."""
        if code == cards.EXPIRED_CODE or self._clock.now() > order.data["sms_at"] + CODE_LIFE_MS:
            return "1901"
        if code == cards.RIGHT_CODE or code in cards.CODES:
            order.data.pop("token", None)
            self._store.save_order(order)
            return "0000"
        order.data["wrong_codes"] += 1
        too_often = code == cards.TOO_OFTEN_CODE or order.data["wrong_codes"] > WRONG_CODES_ALLOWED
        if too_often:
            order.data.pop("token", None)
        self._store.save_order(order)
        return "9702" if too_often else "1900"

    def pay(self, order: Order, code: str = cards.RIGHT_CODE) -> tuple[str, str]:
        """Ask the bank, as the SMS code and the card will have it. The ``ret_code``, and a fault for the answer."""
        rule = cards.CODES.get(code)
        if rule is None:
            return self.ask_bank(order), ""
        if rule.after_s:
            self.process(order, rule.ends, rule.after_s)
        elif rule.ends == "FAILURE":
            self.fail(order, rule.ret_code)
        elif rule.fault == "reset_after":
            self.succeed(order, "code verified, connection lost", notice_after_s=LATE_NOTICE_S)
        else:
            self.succeed(order, "code verified")
        return rule.ret_code, rule.fault

    def ask_bank(self, order: Order) -> str:
        """The bank's word on the order's card: ``0000`` when the money came or is held."""
        faults = self._simulation.dials[SLUG].of(order)
        card = Card.load(order.data["card"])
        declined = str(faults.get("decline", cards.DECLINED.get(card.last4, "")))
        if declined:
            self.fail(order, declined)
            return declined
        self.succeed(order, "paid by card")
        return "0000"

    def process(self, order: Order, ends: str, after_s: float) -> None:
        self._enter(order, "PROCESSING", "with the bank")
        self._store.add_job(SLUG, "decide", order.id, self._clock.now() + int(1000 * after_s), ends=ends)

    def fail(self, order: Order, code: str) -> None:
        """Declined. The payer may try again, and nobody is notified of it."""
        order.data["memo"] = cards.TEXTS.get(code, cards.TEXTS["1005"])
        self._enter(order, "FAILURE", f"declined {code}")

    def succeed(self, order: Order, cause: str, *, notice_after_s: float = 0) -> None:
        """The money came, or is held for a pre-authorisation."""
        order.data.pop("memo", None)
        if "card" in order.data:
            order.data["no_agree"] = self.agree(order)
        if order.data["pay_type"] == "F":
            self._enter(order, "AUTHORISED", cause)
            self._store.add_job(SLUG, "lapse", order.id, self._clock.now() + HOLD_MS)
            if self.account(order).settings["notify_authorisation"]:
                self._announce(order, notice_after_s)
            return
        faults = self._simulation.dials[SLUG].of(order)
        received = order.amount + int(faults.get("paid_differs", 0))
        self._receive(order, received if received > 0 else order.amount + 1, cause)
        self._announce(order, notice_after_s)

    def _receive(self, order: Order, amount: int, cause: str) -> None:
        now = self._clock.now()
        order.data |= {"received": amount, "paid_at": now, "settle_date": self.today()}
        self._store.post(order, "charge", amount, CNY, now)
        self._enter(order, "SUCCESS", cause)
        faults = self._simulation.dials[SLUG].of(order)
        if "refund_later" in faults:
            self._store.add_job(SLUG, "reverse", order.id, now + int(1000 * float(faults["refund_later"])))

    def _enter(self, order: Order, status: str, cause: str) -> None:
        order.enter(status, self._clock.now(), cause)
        self._store.save_order(order)

    def _announce(self, order: Order, after_s: float = 0) -> None:
        if after_s:
            wait = max(0.0, after_s - float(self.account(order).settings["webhook_delay_s"]))
            self._store.add_job(SLUG, "notify", order.id, self._clock.now() + int(1000 * wait))
        else:
            self._simulation.webhooks.announce(order, Notice("payment"))

    def close(self, order: Order, cause: str) -> None:
        self._enter(order, "CLOSED", cause)

    def account(self, order: Order) -> Account:
        found = self._store.account(SLUG, order.account)
        assert found is not None  # noqa: S101  # nosec B101  accounts are never deleted alone
        return found

    # --- pre-authorisations ----------------------------------------------------------------------------------------

    def may_finish(self, order: Order) -> str:
        """``0000`` when a hold can be captured or let go now, else why not."""
        if order.status in HELD:
            return "0000"
        if order.status in PAID:
            return "2007"
        if order.status in {"CAPTURING", "CANCELLING", "PROCESSING"}:
            return "2005"
        return "2006" if order.status in DEAD else "5008"

    def capture(self, order: Order, amount: int) -> None:
        order.data["capturing"] = amount
        self._finish(order, "CAPTURING", "capture")

    def cancel(self, order: Order) -> None:
        self._finish(order, "CANCELLING", "cancel")

    def _finish(self, order: Order, status: str, kind: str) -> None:
        self._enter(order, status, kind)
        delay = float(self.account(order).settings["capture_delay_s"])
        if delay:
            self._store.add_job(SLUG, kind, order.id, self._clock.now() + int(1000 * delay))
        else:
            self._finished(order, kind)

    def _finished(self, order: Order, kind: str, *, fails: bool = False) -> None:
        stubborn = cards.CAPTURE_FAILS_ONCE if kind == "capture" else cards.CANCEL_FAILS_ONCE
        last4 = order.data.get("card", {}).get("last4")
        if fails or (last4 == stubborn and not order.data.get("failed_once")):
            order.data["failed_once"] = True
            self._enter(order, "CAPTURE_FAILED" if kind == "capture" else "CANCEL_FAILED", f"{kind} failed")
            return
        self._store.drop_jobs(SLUG, "lapse", order.id)
        if kind == "cancel":
            self._enter(order, "CANCELLED", "hold released")
            return
        self._receive(order, int(order.data["capturing"]), "captured")
        if self.account(order).settings["notify_capture"]:
            self._announce(order)

    # --- refunds ---------------------------------------------------------------------------------------------------

    def refund(self, account: Account, order: Order, body: Mapping[str, Any], amount: int) -> dict[str, Any]:
        """Accept a refund; ``Denied`` when the order, its age, the sum or the balance forbid it."""
        if self._store.key(SLUG, "refund", f"{account.id}:{body['no_refund']}") is not None:
            raise Denied("1002")
        if order.status not in PAID:
            raise Denied("5008")
        if self._clock.now() > order.data["paid_at"] + REFUND_WINDOW_MS:
            raise Denied("2006")
        if amount > self.refundable(order):
            raise Denied("5007")
        self._draw(order, amount)
        made: dict[str, Any] = {
            "no_refund": str(body["no_refund"]),
            "dt_refund": str(body["dt_refund"]),
            "money_refund": str(body["money_refund"]),
            "oid_refundno": self.number(),
            "amount": amount,
            "sta_refund": "0",
            "notify_url": str(body["notify_url"]),
            "created_at": self._clock.now(),
        }
        order.data["refunds"].append(made)
        for kind, key in (("refund", f"{account.id}:{made['no_refund']}"), ("oid_refundno", made["oid_refundno"])):
            self._store.set_key(SLUG, kind, key, account=account.id, value=order.id)
        self._store.save_order(order)
        if amount == REFUNDED_AT_ONCE or not account.settings["refund_delay_s"]:
            self.refunded(order, made, "2")
        else:
            self._plan_refund(order, made, "1" if amount == REFUND_FAILS else "2")
        return made

    def refundable(self, order: Order) -> int:
        given = sum(refund["amount"] for refund in order.data["refunds"] if refund["sta_refund"] != "3")
        return int(order.data.get("received", 0) - given - order.data.get("reversed", 0))

    def find_refund(self, account: Account, no_refund: str, oid_refundno: str) -> tuple[Order, dict[str, Any]]:
        """``Denied`` 8901 when this merchant never asked for such a refund."""
        key = ("refund", f"{account.id}:{no_refund}") if no_refund else ("oid_refundno", oid_refundno)
        order_id = self._store.key(SLUG, *key)
        order = self._store.order(SLUG, order_id) if order_id else None
        if order is None or order.account != account.id:
            raise Denied("8901")
        for refund in order.data["refunds"]:
            if (no_refund or refund["no_refund"]) == refund["no_refund"] and (
                oid_refundno or refund["oid_refundno"]
            ) == refund["oid_refundno"]:
                return order, refund
        raise Denied("8901")

    def refunded(self, order: Order, refund: dict[str, Any], state: str) -> None:
        """A refund moves on to ``1`` processing, ``2`` done or ``3`` failed; the last two are final."""
        refund |= {"sta_refund": state, "changed_at": self._clock.now()}
        account = self.account(order)
        if state == "2":
            refund["settle_date"] = self.today()
            self._store.post(order, "refund", refund["amount"], CNY, self._clock.now())
            done = sum(one["amount"] for one in order.data["refunds"] if one["sta_refund"] == "2")
            if done + int(order.data.get("reversed", 0)) >= order.data["received"]:
                self._enter(order, "REFUND", "refunded in full")
        if state == "3":
            self._draw(order, -refund["amount"])
        self._store.save_order(order)
        if state == "2" or (state == "3" and account.settings["notify_failed_refund"]):
            self._simulation.webhooks.announce(order, Notice("refund", {"no_refund": refund["no_refund"]}))

    def reverse(self, order: Order, cause: str) -> None:
        """All that is left goes back without any request of the merchant's; only a query shows it."""
        left = self.refundable(order)
        order.data["reversed"] = int(order.data.get("reversed", 0)) + left
        self._store.post(order, "refund", left, CNY, self._clock.now())
        self._enter(order, "REFUND", cause)

    def _plan_refund(self, order: Order, refund: dict[str, Any], state: str) -> None:
        due = self._clock.now() + int(1000 * float(self.account(order).settings["refund_delay_s"]))
        self._store.add_job(SLUG, "refund", order.id, due, no_refund=refund["no_refund"], state=state)

    def _draw(self, order: Order, amount: int) -> None:
        """Take a refund from the merchant's balance, where it has one."""
        account = self.account(order)
        balance = str(account.settings["refund_balance"])
        if not balance:
            return
        left = (to_fen(balance) or 0) - amount
        if left < 0:
            raise Denied("5006")
        account.settings["refund_balance"] = to_yuan(left)
        self._store.save_account(account)

    # --- saved cards -----------------------------------------------------------------------------------------------

    def agreements(self, scope: str, user_id: str | None = None) -> list[dict[str, Any]]:
        """Newest first; of one payer, or of all payers of a merchant."""
        found = self._store.rows(
            "SELECT key, value FROM keys WHERE provider = ? AND kind = 'agreement' AND account = ? ORDER BY key DESC",
            SLUG, scope,
        )  # fmt: skip
        every = [{"no_agree": row["key"], **json.loads(row["value"])} for row in found]
        return [one for one in every if user_id is None or one["user_id"] == user_id]

    def agreement(self, scope: str, user_id: str, no_agree: str) -> Card:
        """The saved card; ``Denied`` 3003 when there is none, 3011 when it is another payer's."""
        for one in self.agreements(scope):
            if one["no_agree"] == no_agree:
                if one["user_id"] != user_id:
                    raise Denied("3011")
                return Card.load(one["card"])
        raise Denied("3003")

    def check_person(self, scope: str, user_id: str, card: Card) -> None:
        """A payer is one natural person for as long as any card is bound."""
        if any(one["card"]["person"] != card.person for one in self.agreements(scope, user_id)):
            raise Denied("7018")

    def bind(self, scope: str, user_id: str, card: Card) -> str:
        """The agreement on this payer's card: the same card keeps its number."""
        for one in self.agreements(scope, user_id):
            if one["card"]["fingerprint"] == card.fingerprint:
                return str(one["no_agree"])
        number = self.number()
        kept = json.dumps({"user_id": user_id, "card": card.dump()})
        self._store.set_key(SLUG, "agreement", number, account=scope, value=kept)
        return number

    def agree(self, order: Order) -> str:
        return self.bind(order.data["scope"], order.data["user_id"], Card.load(order.data["card"]))

    def forget(self, kind: str, key: str) -> None:
        with self._store.write() as db:
            db.execute("DELETE FROM keys WHERE provider = ? AND kind = ? AND key = ?", (SLUG, kind, key))

    def begin_binding(self, scope: str, user_id: str, card: Card) -> str:
        """Send an SMS for a card to be bound without paying; the token that goes with its code."""
        token = secrets.token_hex(16)
        kept = {"user_id": user_id, "card": card.dump(), "at": self._clock.now(), "wrong_codes": 0}
        self._store.set_key(SLUG, "binding", _digest(token), account=scope, value=json.dumps(kept))
        return token

    def finish_binding(self, scope: str, user_id: str, token: str, code: str) -> tuple[str, Card | None, str]:
        """``ret_code``, card and agreement. As with payments, only right codes and too many wrong ones use a token."""
        key = _digest(token)
        found = self._store.row(
            "SELECT value FROM keys WHERE provider = ? AND kind = 'binding' AND key = ? AND account = ?",
            SLUG, key, scope,
        )  # fmt: skip
        kept = json.loads(found["value"]) if found else None
        if kept is None or kept["user_id"] != user_id or self._clock.now() > kept["at"] + TOKEN_LIFE_MS:
            return "1000", None, ""
        if code == cards.EXPIRED_CODE or self._clock.now() > kept["at"] + CODE_LIFE_MS:
            return "1901", None, ""
        if code in cards.RIGHT_BIND_CODES:
            self.forget("binding", key)
            card = Card.load(kept["card"])
            return "0000", card, self.bind(scope, user_id, card)
        kept["wrong_codes"] += 1
        if code == cards.TOO_OFTEN_CODE or kept["wrong_codes"] > WRONG_CODES_ALLOWED:
            self.forget("binding", key)
            return "9702", None, ""
        self._store.set_key(SLUG, "binding", key, account=scope, value=json.dumps(kept))
        return "1900", None, ""

    # --- what happens later or by the operator's hand --------------------------------------------------------------

    def run(self, job: Job) -> None:
        order = self._store.order(SLUG, job.order_id)
        if order is None:
            return
        if job.kind == "expire" and order.status in UNPAID:
            self.close(order, "valid_order is over")
        elif job.kind == "decide" and order.status == "PROCESSING":
            if job.data["ends"] == "SUCCESS":
                self.succeed(order, "the bank agreed")
            else:
                self.fail(order, "1005")
        elif job.kind == "notify":
            self._announce(order)
        elif job.kind == "lapse" and order.status in HELD:
            self._enter(order, "LAPSED", "the hold ended after 30 days")
        elif job.kind == "capture" and order.status == "CAPTURING":
            self._finished(order, "capture")
        elif job.kind == "cancel" and order.status == "CANCELLING":
            self._finished(order, "cancel")
        elif job.kind == "reverse" and order.status == "SUCCESS":
            self.reverse(order, "reversed by the provider")
        elif job.kind == "refund":
            self._continue_refund(order, job.data["no_refund"], job.data["state"])

    def _continue_refund(self, order: Order, no_refund: str, state: str) -> None:
        refund = next(one for one in order.data["refunds"] if one["no_refund"] == no_refund)
        if refund["sta_refund"] not in {"0", "1"}:
            return  # the operator was faster
        self.refunded(order, refund, state)
        if state == "1":
            self._plan_refund(order, refund, "3")

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        """An operator's event; ``Refused`` where the order's status has no room for it."""
        allowed = {
            "pay": OPEN,
            "fail": OPEN,
            "process": frozenset({"WAITING"}),
            "expire": UNPAID,
            "late_success": frozenset({"FAILURE", "CLOSED"}),
            "capture": HELD | {"CAPTURING"},
            "capture_fails": HELD | {"CAPTURING"},
            "cancel": HELD | {"CANCELLING"},
            "cancel_fails": HELD | {"CANCELLING"},
            "lapse": HELD,
            "reverse": frozenset({"SUCCESS"}),
        }
        if event.startswith("notify_"):
            self._notify(order, event)
            return
        if event.startswith("refund_"):
            self._decide_refund(order, event, str(members.get("no_refund", "")))
            return
        if order.status not in allowed[event]:
            raise Refused(f"{event} is not possible for an order that is {order.status}")
        if event in {"pay", "late_success"}:
            self.succeed(order, event)
        elif event == "fail":
            self.fail(order, str(members.get("code", "1005")))
        elif event == "process":
            self._enter(order, "PROCESSING", event)
        elif event == "expire":
            self.close(order, event)
        elif event == "lapse":
            self._enter(order, "LAPSED", event)
        elif event == "reverse":
            self.reverse(order, event)
        else:
            self._finish_by_hand(order, event, members)

    def _finish_by_hand(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        if event.startswith("capture") and order.status != "CAPTURING":
            amount = to_fen(str(members.get("amount", to_yuan(order.amount))))
            if amount is None or amount > order.amount:
                raise Refused("amount must be yuan, and not more than is held")
            order.data["capturing"] = amount
        kind, _, ending = event.partition("_")
        order.data["failed_once"] = True  # the operator's word counts, not the test card's
        self._finished(order, kind, fails=bool(ending))

    def _notify(self, order: Order, event: str) -> None:
        dials = {
            "notify_twice": {"webhook_duplicate": 2},
            "notify_broken_signature": {"webhook_forged": True},
            "notify_wrong_amount": {"webhook_wrong_amount": True},
        }
        twisted = replace(order, data=order.data | {"faults": order.data["faults"] | dials[event]})
        self._simulation.webhooks.announce(twisted, Notice("payment"))

    def _decide_refund(self, order: Order, event: str, no_refund: str) -> None:
        open_ones = [one for one in order.data["refunds"] if one["sta_refund"] in {"0", "1"}]
        chosen = [one for one in open_ones if one["no_refund"] == no_refund] if no_refund else open_ones
        if not chosen:
            raise Refused("this order has no such refund that is still open")
        self.refunded(order, chosen[-1], "2" if event == "refund_success" else "3")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
