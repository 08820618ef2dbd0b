"""What happens to a payment at Antom: authorisation, capture, refund, dispute, expiry.

A payment is one ``Order`` whose status is Antom's ``paymentStatus``, or ``SESSION`` as long as a checkout page was
opened and nobody paid on it. Captures, refunds and disputes are lists in its data. Every function that changes
something runs inside a write.
"""

import base64
import re
import secrets
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from providers.antom.simulator_cards import Card
from providers.antom.simulator_words import AUTHORISED, CANCELLED, FAILED, OPEN, SESSION, Words
from providers.simulation import Account, Notice, Order, Refused

if TYPE_CHECKING:
    from providers.antom.simulator import Simulator

DAY_S = 86_400
SLOW_S, SLOW_CAPTURE_S, REVIEW_S, DISPUTE_S, JUDGEMENT_S = 20, 10, 30, 60, 60
DEFENCE_DAYS = 10
REFUND_DAYS = 365
SCHEME_NAMES = {"VISA": "Visa", "MASTERCARD": "Mastercard"}
DISPUTE_REASONS = {"MASTERCARD": "4853"}
DISPUTE_REASON = "10.4"


class Payments:
    def __init__(self, simulator: "Simulator", words: Words) -> None:
        self._simulator = simulator
        self._simulation = simulator.simulation
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._words = words

    # --- looking things up -----------------------------------------------------------------------------------------

    def find(self, account: Account, body: Mapping[str, Any]) -> Order | None:
        """By ``paymentId``, which wins, or ``paymentRequestId``. A session that nobody paid on is no payment."""
        if body.get("paymentId"):
            order = self._store.order(self._slug, body["paymentId"])
        else:
            order = self._store.order_by_reference(self._slug, account.id, body.get("paymentRequestId", ""))
        is_payment = order is not None and order.data["kind"] == "payment" and order.status != SESSION
        return order if order is not None and is_payment and order.account == account.id else None

    @staticmethod
    def captured(order: Order) -> int:
        return sum(int(one["amount"]) for one in order.data["captures"] if one["status"] == "SUCCESS")

    @staticmethod
    def refundable(order: Order, capture_id: str = "") -> int:
        """What is captured and neither refunded, on its way back, nor lost in a dispute."""
        captures = [one for one in order.data["captures"] if one["status"] == "SUCCESS"]
        refunds = [one for one in order.data["refunds"] if one["status"] != "FAIL"]
        if capture_id:
            captures = [one for one in captures if one["id"] == capture_id]
            refunds = [one for one in refunds if one["capture"] == capture_id]
        lost = [one for one in order.data["disputes"] if one["state"] == "lost"]
        return sum(int(one["amount"]) for one in captures) - sum(int(one["amount"]) for one in refunds + lost)

    @staticmethod
    def is_disputed(order: Order) -> bool:
        return any(one["state"] == "open" for one in order.data["disputes"])

    # --- coming into being -----------------------------------------------------------------------------------------

    def new(self, account: Account, reference: str, *, status: str, amount: int, currency: str, **data: Any) -> Order:
        """A payment with the members that every payment has. The caller adds it to the store."""
        now = self._clock.now()
        acquirers = re.split("[, ]+", account.settings["acquirers"].strip()) or ["ANTOM"]
        turn = self._store.rising("antom_acquirer", 0)
        order = Order(
            provider=self._slug, id=self._words.number("1940108001001888"), account=account.id, reference=reference,
            status=status, amount=amount, currency=currency, created_at=now,
        )  # fmt: skip
        name = acquirers[turn % len(acquirers)]
        order.data |= {
            "kind": "payment", "key": secrets.token_urlsafe(32), "page": "", "at_3ds": False, "begun_at": now,
            "captures": [], "refunds": [], "disputes": [], "decline": "", "closed": False,
            "lapsed": False, "review": "", "token": "", "three_ds": {},
            "network_id": f"5{secrets.randbelow(10**14):014d}",
            "acquirer": {
                "acquirerName": name,
                "acquirerMerchantId": f"MID_{name}",
                "acquirerTransactionId": f"T{secrets.token_hex(8)}",
                "referenceRequestId": f"R{secrets.token_hex(8)}",
            },
        } | data  # fmt: skip
        order.enter(status, now, "created")
        self._store.set_key(self._slug, "page", order.data["key"], account=account.id, value=order.id)
        return order

    def await_payer(self, order: Order, expires_at: int) -> None:
        """From now on the payment closes itself when nobody finishes it."""
        order.data["expires_at"] = expires_at
        self._store.add_job(self._slug, "expire", order.id, expires_at)

    def submit(self, order: Order, expires_at: int) -> None:
        """Somebody pays on a checkout page: now there is a payment."""
        order.data["begun_at"] = self._clock.now()
        self._change(order, OPEN, "paid for on the checkout page")
        self.await_payer(order, expires_at)
        self._store.save_order(order)

    def begin(self, order: Order, card: Card) -> None:
        """A card was given, by the API or on the hosted page: send the payer to 3-D Secure or ask the issuer."""
        wants, settings = order.data["wants"], self._words.account(order).settings
        order.data["card"] = card.dump()
        limit = settings["three_ds_from_amount"]
        if wants["mpi"]:
            order.data["three_ds"] = wants["mpi"]
        may = not wants["recurring"] and not wants["mpi"]
        is_soft = card.rule.three_ds == "soft_decline"
        is_due = wants["three_ds"] or card.always_3ds or (limit and order.amount >= limit)
        if may and (is_due or (is_soft and wants["upgrade"])):
            self._challenge(order)
        elif is_soft and not wants["mpi"]:
            self.decline(order, "AUTHENTICATION_REQUIRED")
        else:
            self.decide(order)

    def _challenge(self, order: Order) -> None:
        order.data["at_3ds"] = True
        order.data["page"] = order.data["page"] or "3ds"
        self._store.save_order(order)

    def authenticated(self, order: Order, answer: str) -> None:
        """The payer answered the 3DS page: ``authenticate``, ``fail`` or ``cancel``; ``frictionless`` asks nobody."""
        card = Card.load(order.data["card"])
        order.data["at_3ds"] = False
        order.data["three_ds"] = three_ds_result(card, answer)
        if order.data["three_ds"]["paResStatus"] == "N":
            self.decline(order, "USER_PAYMENT_VERIFICATION_FAILED")
        else:
            self.decide(order)

    def decide(self, order: Order) -> None:
        """The issuer's word, at once or later."""
        rule = Card.load(order.data["card"]).rule
        lasting = self._simulation.dials[self._slug].of(order)
        code = str(lasting.get("decline", rule.code))
        if code:
            self.decline(order, code)
        elif rule.trait == "slow":
            self._store.add_job(self._slug, "approve", order.id, self._clock.now() + 1000 * SLOW_S)
            self._store.save_order(order)
        else:
            self.authorise(order, "card approved")

    def decline(self, order: Order, code: str) -> None:
        order.data["decline"] = code
        self._change(order, FAILED, f"declined {code}")
        self._announce(order, Notice("status"))

    def close(self, order: Order, cause: str) -> None:
        """Nobody paid in time."""
        order.data["closed"] = True
        self._change(order, FAILED, cause)
        self._announce(order, Notice("status"))

    def authorise(self, order: Order, cause: str) -> None:
        """The amount is held. An automatic capture follows, unless somebody looks at the payment first."""
        now, settings = self._clock.now(), self._words.account(order).settings
        order.data |= {"paid_at": now, "auth_expires_at": now + 1000 * int(settings["authorisation_ttl_s"])}
        card = Card.load(order.data["card"])
        if order.data["wants"]["token"]:
            order.data["token"] = self._simulator.keep_token(order.account, card)
        self._change(order, AUTHORISED, cause)
        self._store.add_job(self._slug, "lapse", order.id, order.data["auth_expires_at"])
        if card.rule.trait == "review":
            order.data["review"] = "PROCESSING"
            self._store.add_job(self._slug, "review", order.id, now + 1000 * REVIEW_S)
        self._store.save_order(order)
        self._announce(order, Notice("status"))
        if not order.data["review"]:
            self._capture_by_itself(order)

    def review(self, order: Order, verdict: str) -> None:
        order.data["review"] = verdict
        self._store.save_order(order)
        if verdict == "ACCEPT" and order.status == AUTHORISED:
            self._capture_by_itself(order)

    def cancel(self, order: Order, cause: str) -> None:
        """Let a hold go, or close what nobody has paid. Nobody is told."""
        order.data["cancelled_at"] = self._clock.now()
        self._change(order, CANCELLED, cause)

    def lapse(self, order: Order) -> None:
        """The time to capture is over: an untouched hold is gone, what is left of another cannot be captured."""
        order.data["lapsed"] = True
        if any(one["status"] != "FAIL" for one in order.data["captures"]):
            self._store.save_order(order)
        else:
            self._change(order, CANCELLED, "not captured in time")

    def pay_late(self, order: Order) -> None:
        """Money comes after a cancellation: it goes back in full and the status stays."""
        self._store.post(order, "charge", order.amount, order.currency, self._clock.now())
        self._store.post(order, "refund", order.amount, order.currency, self._clock.now())

    def _change(self, order: Order, status: str, cause: str) -> None:
        order.enter(status, self._clock.now(), cause)
        self._store.save_order(order)
        self._store.drop_jobs(self._slug, "expire", order.id)

    def _note(self, order: Order, cause: str) -> None:
        """Something happened that leaves the status as it is."""
        order.enter(order.status, self._clock.now(), cause)
        self._store.save_order(order)

    # --- captures --------------------------------------------------------------------------------------------------

    def _capture_by_itself(self, order: Order) -> None:
        if order.data["mode"] != "AUTOMATIC":
            return
        delay = float(self._words.account(order).settings["capture_delay_s"])
        self.begin_capture(order, f"AUTO_{secrets.token_hex(8)}", order.amount, after_s=delay)

    def begin_capture(
        self, order: Order, request_id: str, amount: int, *, final: bool = True, after_s: float = 0
    ) -> dict[str, Any]:
        """Take held money, ``after_s`` from now. The card may have its own mind."""
        capture: dict[str, Any] = {
            "id": self._words.number("1940108901001888"), "request": request_id, "amount": amount,
            "status": "PROCESSING", "code": "", "final": final, "at": self._clock.now(),
        }  # fmt: skip
        order.data["captures"].append(capture)
        trait = Card.load(order.data["card"]).rule.trait
        if trait == "capture_slow":
            after_s = max(after_s, SLOW_CAPTURE_S)
        if after_s > 0:
            due_at = self._clock.now() + int(1000 * after_s)
            self._store.add_job(self._slug, "capture", order.id, due_at, capture=capture["id"])
            self._store.save_order(order)
        else:
            self.finish_capture(order, capture)
        return capture

    def finish_capture(self, order: Order, capture: dict[str, Any], code: str = "") -> None:
        """The acquirer's word. Money counts as it came, which a dial may have changed."""
        rule = Card.load(order.data["card"]).rule
        lasting = self._simulation.dials[self._slug].of(order)
        capture["at"] = self._clock.now()
        capture["code"] = code or ("PROCESS_FAIL" if rule.trait == "capture_fails" else "")
        if capture["code"]:
            capture["status"] = "FAIL"
            self._note(order, f"capture failed {capture['code']}")
        else:
            came = capture["amount"] + int(lasting.get("paid_differs", 0))
            capture |= {"status": "SUCCESS", "amount": came if came > 0 else capture["amount"] + 1}
            self._store.post(order, "charge", capture["amount"], order.currency, self._clock.now())
            self._note(order, f"captured {capture['amount']}")
            self._plan_aftermath(order, rule.trait, lasting)
        self._announce(order, Notice("CAPTURE_RESULT", {"id": capture["id"]}))

    def _plan_aftermath(self, order: Order, trait: str, lasting: Mapping[str, Any]) -> None:
        now = self._clock.now()
        if trait in {"dispute_lost", "dispute_won"}:
            ending = trait.removeprefix("dispute_")
            self._store.add_job(self._slug, "dispute", order.id, now + 1000 * DISPUTE_S, ending=ending)
        elif "dispute_later" in lasting:
            due_at = now + int(1000 * float(lasting["dispute_later"]))
            self._store.add_job(self._slug, "dispute", order.id, due_at, ending="")
        if "refund_later" in lasting:
            due_at = now + int(1000 * float(lasting["refund_later"]))
            self._store.add_job(self._slug, "dashboard_refund", order.id, due_at)

    # --- refunds ---------------------------------------------------------------------------------------------------

    def begin_refund(self, order: Order, request_id: str, amount: int, **details: Any) -> dict[str, Any]:
        """Give money back, at once or later as the account and the card have it."""
        settings, trait = self._words.account(order).settings, Card.load(order.data["card"]).rule.trait
        refund: dict[str, Any] = {
            "id": self._words.number("1940108013001888"), "request": request_id, "amount": amount,
            "status": "PROCESSING", "code": "", "at": self._clock.now(), "asked_at": self._clock.now(), "capture": "",
            "url": "", "metadata": "",
        } | details  # fmt: skip
        order.data["refunds"].append(refund)
        self._store.set_key(
            self._slug, "refund", f"{order.account} {request_id}", account=order.account, value=order.id
        )
        self._store.set_key(self._slug, "refund_id", refund["id"], account=order.account, value=order.id)
        if settings["synchronous_refunds"] and trait not in {"refund_slow", "refund_fails"}:
            self.finish_refund(order, refund, silent=True)
        else:
            due_at = self._clock.now() + int(1000 * float(settings["refund_delay_s"]))
            self._store.add_job(self._slug, "refund", order.id, due_at, refund=refund["id"])
            self._store.save_order(order)
        return refund

    def finish_refund(self, order: Order, refund: dict[str, Any], code: str = "", *, silent: bool = False) -> None:
        trait = Card.load(order.data["card"]).rule.trait
        refund["at"] = self._clock.now()
        refund["code"] = code or ("PROCESS_FAIL" if trait == "refund_fails" else "")
        if refund["code"]:
            refund["status"] = "FAIL"
            self._note(order, f"refund failed {refund['code']}")
        else:
            refund["status"] = "SUCCESS"
            self._store.post(order, "refund", refund["amount"], order.currency, self._clock.now())
            self._note(order, f"refunded {refund['amount']}")
        if not silent:
            self._announce(order, Notice("REFUND_RESULT", {"id": refund["id"]}))

    # --- disputes --------------------------------------------------------------------------------------------------

    def dispute(self, order: Order, amount: int = 0, reason: str = "") -> dict[str, Any]:
        """The cardholder wants money back: 0 stands for all that was captured."""
        captured = self.captured(order)
        if not captured:
            raise Refused("only a captured payment can be disputed")
        if self.is_disputed(order):
            raise Refused("there is an open dispute already")
        if amount > captured:
            raise Refused("a dispute is about no more than was captured")
        card, now = Card.load(order.data["card"]), self._clock.now()
        dispute: dict[str, Any] = {
            "id": self._words.number("25013101157"), "amount": amount or captured, "state": "open", "at": now,
            "due_at": now + 1000 * DEFENCE_DAYS * DAY_S,
            "reason": reason or DISPUTE_REASONS.get(card.brand, DISPUTE_REASON),
            "scheme": SCHEME_NAMES.get(card.brand, card.brand), "defended": False, "accepted": False,
        }  # fmt: skip
        order.data["disputes"].append(dispute)
        self._store.set_key(self._slug, "dispute", dispute["id"], account=order.account, value=order.id)
        self._note(order, f"disputed {dispute['amount']}")
        self._announce(order, Notice("DISPUTE_CREATED", {"id": dispute["id"]}))
        return dispute

    def judge(self, order: Order, dispute: dict[str, Any], ending: str) -> None:
        """``won`` or ``lost``, from the merchant's side. Lost money stands in the books as ``dispute``."""
        dispute |= {"state": ending, "judged_at": self._clock.now()}
        if ending == "lost":
            self._store.post(order, "dispute", dispute["amount"], order.currency, self._clock.now())
        self._note(order, f"dispute {ending}")
        self._announce(order, Notice("DISPUTE_JUDGED", {"id": dispute["id"]}))

    def accept_dispute(self, order: Order, dispute: dict[str, Any]) -> None:
        """The merchant gives in."""
        dispute |= {"state": "lost", "accepted": True, "judged_at": self._clock.now()}
        self._store.post(order, "dispute", dispute["amount"], order.currency, self._clock.now())
        self._note(order, "dispute accepted")
        self._announce(order, Notice("DISPUTE_ACCEPTED", {"id": dispute["id"]}))

    def defend_dispute(self, order: Order, dispute: dict[str, Any]) -> None:
        dispute["defended"] = True
        self._note(order, "dispute defended")
        self._announce(order, Notice("DEFENSE_SUPPLIED", {"id": dispute["id"]}))

    def _announce(self, order: Order, notice: Notice) -> None:
        self._simulation.webhooks.announce(order, notice, lost=not self._words.address(order, notice))


def three_ds_result(card: Card, answer: str) -> dict[str, Any]:
    """``threeDSResult`` of a challenge answered with ``answer``; some cards have their own mind."""
    status = "Y" if answer in {"authenticate", "frictionless"} else "N"
    if card.rule.three_ds == "fails":
        status = "N"
    elif card.rule.three_ds == "attempted" and status == "Y":
        status = "A"
    told: dict[str, Any] = {
        "threeDSVersion": "2.2.0",
        "eci": card.eci(status),
        "dsTransactionId": str(uuid.uuid4()),
        "challenged": answer != "frictionless",
        "threeDSOffered": True,
        "paResStatus": status,
        "liabilityShift": "0" if status == "N" else "1",
    }
    if answer == "frictionless" and card.rule.three_ds == "exempt":
        return told | {"eci": card.eci("N"), "paResStatus": "I", "liabilityShift": "0", "exemptionType": "lowValue"}
    if status != "N":
        told["cavv"] = base64.b64encode(secrets.token_bytes(20)).decode()
    return told | ({"challengeCancel": "01"} if answer == "cancel" else {})
