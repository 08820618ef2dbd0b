"""Acme: a provider that exists only in tests, found by the gateway like any other.

It can do everything that the contract knows, and its *bank* (the other side of the wire, in memory) keeps books of its own:
the oracle against which the core's truth is compared. Faults are armed by name and strike once each.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

from providers import contract
from providers.contract import (
    Capability,
    Card,
    Delivery,
    Method,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    Redirect,
    Rejected,
    Reply,
    Report,
    Started,
    Status,
    Unreachable,
    Wait,
    secret,
)
from providers.money import Money

ERRORS = {"unreachable": Unreachable, "rejected": Rejected, "lost": OutcomeUnknown, "lost_after": OutcomeUnknown}


@dataclass
class Charge:
    """One payment in the bank's books; amounts in minor units."""

    reference: str
    id: str
    amount: Money
    manual: bool
    state: str = "pending"
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0
    card: Card | None = None
    operations: dict[str, tuple[str, int, OperationStatus]] = field(default_factory=dict)

    def approve(self) -> None:
        """The shopper paid: money is held, or taken when capture is automatic."""
        if self.state in {"authorised", "captured"}:
            return
        self.authorised = self.amount.minor
        self.state = "authorised"
        if not self.manual:
            self.captured, self.state = self.amount.minor, "captured"

    def end(self, state: str) -> None:
        if self.state == "pending":
            self.state = state

    def report(self) -> PaymentReport:
        return PaymentReport(
            reference=self.reference,
            provider_reference=self.id,
            status=Status(self.state),
            amount=self.amount,
            authorised=self.authorised,
            captured=self.captured,
            refunded=self.refunded,
            released=self.released,
            raw={"id": self.id, "state": self.state},
        )


class Bank:
    """The other side of the wire."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.faults: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.ids = itertools.count(1)

    def arm(self, call: str, fault: str) -> None:
        """Let the next ``call`` fail: unreachable, rejected, lost (never acted) or lost_after (acted, answer lost)."""
        self.faults.setdefault(call, []).append(fault)

    def strike(self, call: str, moment: str) -> None:
        pending = self.faults.get(call, [])
        if pending and (pending[0] == "lost_after") == (moment == "after"):
            fault = pending.pop(0)
            raise ERRORS[fault](fault, code=fault)

    def latest(self) -> Charge:
        return list(self.charges.values())[-1]


BANK = Bank()


@dataclass(frozen=True)
class Config:
    key: str = secret(default="")


class Provider(contract.Provider):
    slug = "acme"
    name = "Acme"
    capabilities = frozenset(
        {
            Capability.CAPTURE,
            Capability.PARTIAL_CAPTURE,
            Capability.CANCEL,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.FETCH_REFUND,
        }
    )
    methods = (Method("card", takes_card=True), Method("cashier"), Method("instant"))
    redirect_hosts = ("cashier.acme.example",)

    def start(self, request: PaymentRequest) -> Started:
        BANK.calls.append("start")
        BANK.strike("start", "before")
        charge = BANK.charges.setdefault(
            request.reference,
            Charge(
                request.reference, f"A{next(BANK.ids)}", request.amount, request.capture == "manual", card=request.card
            ),
        )
        if request.method == "instant":
            charge.approve()
        BANK.strike("start", "after")
        step = Redirect(f"https://cashier.acme.example/{charge.id}") if request.method == "cashier" else Wait()
        return Started(charge.report(), step)

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        BANK.calls.append("fetch")
        BANK.strike("fetch", "before")
        charge = BANK.charges.get(payment.reference)
        return charge.report() if charge else PaymentReport(reference=payment.reference, absent=True)

    def capture(self, request: OperationRequest) -> OperationReport:
        return self._operate("capture", request)

    def cancel(self, request: OperationRequest) -> OperationReport:
        return self._operate("cancel", request)

    def refund(self, request: OperationRequest) -> OperationReport:
        return self._operate("refund", request)

    def fetch_refund(self, request: OperationRequest) -> OperationReport:
        BANK.calls.append("fetch_refund")
        BANK.strike("fetch_refund", "before")
        found = BANK.charges[request.payment.reference].operations.get(request.reference)
        if found is None:
            return request.report(OperationStatus.PENDING, absent=True)
        return request.report(found[2])

    def _operate(self, kind: str, request: OperationRequest) -> OperationReport:
        BANK.calls.append(kind)
        BANK.strike(kind, "before")
        charge = BANK.charges[request.payment.reference]
        if request.reference not in charge.operations:
            charge.operations[request.reference] = (kind, request.amount.minor, self._act(kind, charge, request))
        BANK.strike(kind, "after")
        return request.report(charge.operations[request.reference][2])

    def _act(self, kind: str, charge: Charge, request: OperationRequest) -> OperationStatus:
        amount = request.amount.minor
        if kind == "capture" and amount <= charge.authorised - charge.captured - charge.released:
            charge.captured += amount
            charge.state = "captured"
        elif kind == "cancel" and charge.state == "authorised":
            charge.released, charge.state = charge.authorised, "cancelled"
        elif kind == "refund" and amount <= charge.captured - charge.refunded:
            charge.refunded += amount
        else:
            return OperationStatus.FAILED
        return OperationStatus.SUCCEEDED

    def verify_webhook(self, delivery: Delivery) -> str:
        if delivery.header("x-acme-key") != self.config.key:
            raise contract.BadSignature("not Acme's", code="bad_signature")
        return str(json.loads(delivery.body)["event"])

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        data = json.loads(delivery.body)
        amount = Money(data["amount"], data["currency"]) if "amount" in data else None
        return [
            PaymentReport(
                reference=data.get("reference", ""),
                provider_reference=data.get("id", ""),
                status=Status(data["state"]) if data.get("state") else None,
                amount=amount,
                authorised=data.get("authorised"),
                captured=data.get("captured"),
                refunded=data.get("refunded"),
                raw={"event": data["event"]},
            )
        ]

    def reply(self, *, accepted: bool) -> Reply:
        return Reply(200 if accepted else 401, b"OK" if accepted else b"NO")


__all__ = ("BANK", "Bank", "Charge", "Config", "Provider")
