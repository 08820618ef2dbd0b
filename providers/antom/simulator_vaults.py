"""Storing a card at Antom without paying: vaultPaymentMethod, createVaultingSession, inquireVaulting, notifyVaulting.

A vaulting is an ``Order`` over nothing, whose reference is ``vaulting `` and the merchant's ``vaultingRequestId``: the
merchant may use the same id for a payment. Its status is ``vaultingStatus``, or ``SESSION`` until a card was given.
"""

import secrets
from collections.abc import Set
from typing import TYPE_CHECKING, Any

from providers.antom.simulator_cards import Card
from providers.antom.simulator_checks import iso, result
from providers.antom.simulator_payments import three_ds_result
from providers.antom.simulator_words import AUTHORISED, FAILED, OPEN, Words, card_details
from providers.simulation import Account, Message, Notice, Order

if TYPE_CHECKING:
    from providers.antom.simulator import Simulator

LIFETIME_S = 840
IN_PROCESS = "VERIFICATION_IN_PROCESS"


def reference_of(request_id: str) -> str:
    return f"vaulting {request_id}"


class Vaults:
    def __init__(self, simulator: "Simulator", words: Words) -> None:
        self._simulator = simulator
        self._simulation = simulator.simulation
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._words = words

    def find(self, account: Account, request_id: str) -> Order | None:
        found: Order | None = self._store.order_by_reference(self._slug, account.id, reference_of(request_id))
        return found

    def open(self, account: Account, request_id: str, *, status: str, currency: str, **data: Any) -> Order:
        """A vaulting, added to the store."""
        now = self._clock.now()
        order = Order(
            provider=self._slug, id=self._words.number("1940108003001888"), account=account.id,
            reference=reference_of(request_id), status=status, amount=0, currency=currency, created_at=now,
        )  # fmt: skip
        order.data |= {
            "kind": "vaulting", "key": secrets.token_urlsafe(32), "page": "", "at_3ds": False, "code": "", "token": "",
            "expires_at": now + 1000 * LIFETIME_S, "acquirer": {"acquirerName": "ANTOM"},
        } | data  # fmt: skip
        order.enter(status, now, "created")
        self._store.set_key(self._slug, "page", order.data["key"], account=account.id, value=order.id)
        self._store.add_order(order)
        self._store.add_job(self._slug, "expire", order.id, order.data["expires_at"])
        return order

    def begin(self, order: Order, card: Card, *, three_ds: bool) -> None:
        order.data["card"] = card.dump()
        if three_ds or card.always_3ds:
            order.data |= {"at_3ds": True, "page": "3ds"}
            self._store.save_order(order)
        else:
            self.finish(order, card.rule.code)

    def authenticated(self, order: Order, answer: str) -> None:
        card = Card.load(order.data["card"])
        is_refused = three_ds_result(card, answer)["paResStatus"] == "N"
        self.finish(order, "USER_PAYMENT_VERIFICATION_FAILED" if is_refused else card.rule.code)

    def finish(self, order: Order, code: str = "") -> None:
        """The issuer's word: a token, or why there is none."""
        order.data |= {"at_3ds": False, "code": code}
        if not code:
            order.data["token"] = self._simulator.keep_token(order.account, Card.load(order.data["card"]))
        order.enter(FAILED if code else AUTHORISED, self._clock.now(), f"declined {code}" if code else "card stored")
        self._store.save_order(order)
        self._store.drop_jobs(self._slug, "expire", order.id)
        self._simulation.webhooks.announce(order, Notice("status"), lost=not self._address(order))

    def answer(self, order: Order) -> dict[str, Any]:
        """vaultPaymentMethod. Why the issuer declined is told by inquireVaulting."""
        if order.status == FAILED:
            asked = order.data["code"] == "USER_PAYMENT_VERIFICATION_FAILED"
            return {"result": result("VERIFICATION_FAIL" if asked else "PROCESS_FAIL")}
        told = {"vaultingRequestId": order.reference.removeprefix(reference_of(""))}
        if order.status == AUTHORISED:
            return told | {"paymentMethodDetail": self._detail(order), "result": result("SUCCESS")}
        return told | {"normalUrl": self._words.page_url(order), "result": result(IN_PROCESS)}

    def inquiry(self, order: Order) -> dict[str, Any]:
        code = IN_PROCESS if order.status == OPEN else order.data["code"] or "SUCCESS"
        told = {
            "vaultingRequestId": order.reference.removeprefix(reference_of("")), "vaultingStatus": order.status,
            "vaultingResultCode": code, "vaultingResultMessage": result(code)["resultMessage"],
        }  # fmt: skip
        if order.status == AUTHORISED:
            told["paymentMethodDetail"] = self._detail(order)
        elif order.status == OPEN and order.data["page"]:
            told["normalUrl"] = self._words.page_url(order)
        return told | {"result": result("SUCCESS")}

    def compose(self, order: Order, twists: Set[str]) -> Message:
        """notifyVaulting: no ``notifyType``."""
        code = IN_PROCESS if order.status == OPEN else order.data["code"] or "SUCCESS"
        body = {
            "vaultingRequestId": order.reference.removeprefix(reference_of("")),
            "paymentMethodDetail": self._detail(order), "vaultingCreateTime": iso(order.created_at),
            "acquirerInfo": order.data["acquirer"], "result": result(code),
        }  # fmt: skip
        if order.data["metadata"]:
            body["metadata"] = order.data["metadata"]
        return self._words.message(order, self._address(order), body, twists)

    def _address(self, order: Order) -> str:
        return str(order.data["notify_url"] or self._words.account(order).settings["notification_url"])

    @staticmethod
    def _detail(order: Order) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if "card" in order.data:
            card = Card.load(order.data["card"])
            shown = card_details(card)
            told = {
                "brand": shown["cardBrand"], "maskedCardNo": shown["cardNo"], "bin": shown["cardBin"],
                "cvvResultRaw": card.cvv,
            }  # fmt: skip
            told |= {name: value for name, value in shown.items() if name not in {"cardBrand", "cardNo", "cardBin"}}
        if order.data["token"]:
            told["cardToken"] = order.data["token"]
        return {"paymentMethodType": "CARD", "card": told}
