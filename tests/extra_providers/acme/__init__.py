"""Acme: a provider that exists only in tests, found by the gateway like any other.

It can do everything that the contract knows, and its *bank* (the other side of the wire, in memory) keeps books of its
own: the oracle against which the core's truth is compared. Faults are armed by name and strike once each.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from providers import contract
from providers.contract import (
    Capability,
    Card,
    Decline,
    DeclineCategory,
    Delivery,
    DisputeReport,
    FraudReport,
    Hint,
    Method,
    OperationReport,
    OperationRequest,
    OperationStatus,
    OutcomeUnknown,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    PostForm,
    Redirect,
    Rejected,
    Reply,
    Report,
    ShowQr,
    Started,
    Status,
    Step,
    Unreachable,
    Wait,
    secret,
)
from providers.money import Money

ERRORS = {
    "unreachable": Unreachable,
    "rejected": Rejected,
    "lost": OutcomeUnknown,
    "lost_after": OutcomeUnknown,
    "garbled": ValueError,
    "death": KeyboardInterrupt,
    "death_after": KeyboardInterrupt,
}
AFTER = {"lost_after", "garbled", "death_after"}
"""Faults that strike when the bank has acted already."""


@dataclass
class Deed:
    """One capture, refund or cancellation in the bank's books."""

    id: str
    kind: str
    amount: int
    status: OperationStatus


@dataclass
class Charge:
    """One payment in the bank's books; amounts in minor units, as running totals."""

    reference: str
    id: str
    amount: Money
    manual: bool
    method: str = ""
    state: str = "pending"
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    bounced: int = 0
    released: int = 0
    card: Card | None = None
    decline: Decline | None = None
    operations: dict[str, Deed] = field(default_factory=dict)
    tells: dict[str, Any] = field(default_factory=dict)
    """What it says in its reports instead of the truth."""

    @property
    def held(self) -> int:
        return self.authorised - self.captured - self.released

    @property
    def net(self) -> int:
        return self.captured - self.refunded + self.bounced

    def approve(self) -> None:
        """The shopper paid: money is held, or taken when capture is automatic. A pending page may be late, not dead."""
        if self.state in {"authorised", "captured", "failed", "cancelled"}:
            return
        self.authorised = self.amount.minor
        self.state = "authorised"
        if not self.manual:
            self.captured, self.state = self.amount.minor, "captured"

    def end(self, state: str, category: DeclineCategory = DeclineCategory.DECLINED) -> None:
        """It ends without money: failed, cancelled or expired."""
        if self.state == "pending":
            self.state = state
            self.decline = Decline(category, "51") if state == "failed" else None

    def void(self, state: str = "cancelled") -> None:
        """The bank lets the hold go by itself."""
        if self.state == "authorised":
            self.released, self.state = self.authorised, state

    def capture_elsewhere(self, amount: int) -> None:
        """Somebody captures in the provider's own dashboard."""
        if 0 < amount <= self.held:
            self.captured += amount
            self.state = "captured"

    def refund_elsewhere(self, amount: int) -> Deed | None:
        """Somebody refunds in the provider's own dashboard."""
        if not 0 < amount <= self.net:
            return None
        self.refunded += amount
        deed = Deed(f"{self.id}-E{len(self.operations)}", "refund", amount, OperationStatus.SUCCEEDED)
        self.operations[deed.id] = deed
        return deed

    def bounce(self, reference: str) -> None:
        """The shopper's bank sends a finished refund back."""
        deed = self.operations[reference]
        if deed.status is OperationStatus.SUCCEEDED:
            deed.status = OperationStatus.REVERSED
            self.bounced += deed.amount

    def carry_out(self, deed: Deed) -> OperationStatus:
        """Do what an operation asks for, if it can be done."""
        if deed.kind == "capture" and deed.amount <= self.held:
            self.captured += deed.amount
            self.state = "captured"
        elif deed.kind == "cancel" and self.state == "authorised":
            self.released, self.state = self.authorised, "cancelled"
        elif deed.kind == "refund" and deed.amount <= self.net:
            self.refunded += deed.amount
        else:
            return OperationStatus.FAILED
        return OperationStatus.SUCCEEDED

    def report(self) -> PaymentReport:
        honest = PaymentReport(
            reference=self.reference,
            provider_reference=self.id,
            status=Status(self.state),
            amount=self.amount,
            authorised=self.authorised,
            captured=self.captured,
            refunded=self.refunded,
            released=self.released,
            decline=self.decline,
            raw={"id": self.id, "state": self.state},
        )
        return dataclasses.replace(honest, **self.tells)

    def notice(self, event: str, **changes: Any) -> dict[str, Any]:
        """A webhook's body about this charge as it is now; ``changes`` make it lie, None drops a field."""
        body = {
            "event": event,
            "kind": "payment",
            "reference": self.reference,
            "id": self.id,
            "state": self.state,
            "amount": self.amount.minor,
            "currency": self.amount.currency,
            "authorised": self.authorised,
            "captured": self.captured,
            "refunded": self.refunded,
            "released": self.released,
        }
        return {name: value for name, value in {**body, **changes}.items() if value is not None}

    def operation_notice(self, event: str, deed: Deed, *, reference: str = "", **changes: Any) -> dict[str, Any]:
        """A webhook's body about one capture, refund or cancellation."""
        body = {
            "event": event,
            "kind": "operation",
            "payment": self.reference,
            "payment_amount": self.amount.minor,
            "currency": self.amount.currency,
            "operation": deed.kind,
            "reference": reference,
            "id": deed.id,
            "amount": deed.amount,
            "state": str(deed.status),
        }
        return {**body, **changes}


class Bank:
    """The other side of the wire."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.faults: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.ids = itertools.count(1)
        self.redirect_to = "https://cashier.acme.example/{id}"
        self.slow: set[str] = set()
        """Operations that it only takes note of; ``settle`` carries them out."""
        self.refuses: set[str] = set()
        """Operations that it says no to."""
        self.tells: dict[str, Any] = {}
        """What new charges say in their reports instead of the truth."""
        self.meanwhile: list[Callable[[], object]] = []
        """What happens while the answer to the next inquiry is on its way."""
        self.pause = 0.0
        """Seconds that each call takes."""

    def arm(self, call: str, fault: str) -> None:
        """Let the next ``call`` fail: unreachable, rejected, lost (never acted), lost_after or garbled (acted).

        With death, and death_after, it is our own process that ends.
        """
        self.faults.setdefault(call, []).append(fault)

    def strike(self, call: str, moment: str) -> None:
        pending = self.faults.get(call, [])
        if pending and (pending[0] in AFTER) == (moment == "after"):
            fault = pending.pop(0)
            error = ERRORS[fault]
            raise error(fault, code=fault) if issubclass(error, contract.ProviderError) else error(fault)

    def called(self, call: str) -> None:
        time.sleep(self.pause)
        self.calls.append(call)
        self.strike(call, "before")

    def settle(self) -> None:
        """Carry out whatever it only took note of."""
        for charge in self.charges.values():
            for deed in charge.operations.values():
                if deed.status is OperationStatus.PENDING:
                    deed.status = charge.carry_out(deed)

    def latest(self) -> Charge:
        return list(self.charges.values())[-1]


BANK = Bank()


def signed(body: dict[str, Any] | bytes, key: str = "acme-key") -> tuple[bytes, dict[str, str]]:
    """A webhook as it goes over the wire: its bytes, and the header that proves whose it is."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw, {"X-Acme-Signature": hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()}


@dataclass(frozen=True)
class Config:
    key: str = secret(default="")
    old_key: str = secret(default="")


class Provider(contract.Provider):
    slug = "acme"
    name = "Acme"
    capabilities = frozenset(
        {
            Capability.CAPTURE,
            Capability.PARTIAL_CAPTURE,
            Capability.MULTIPLE_CAPTURE,
            Capability.CANCEL,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.FETCH_REFUND,
        }
    )
    methods = (Method("card", takes_card=True), Method("cashier"), Method("instant"))
    redirect_hosts = ("cashier.acme.example",)

    def start(self, request: PaymentRequest) -> Started:
        BANK.called("start")
        with BANK.lock:
            charge = BANK.charges.get(request.reference) or Charge(
                request.reference,
                f"A{next(BANK.ids)}",
                request.amount,
                request.capture == "manual",
                method=request.method,
                card=request.card,
                tells=dict(BANK.tells),
            )
            BANK.charges[request.reference] = charge
            if request.method == "instant":
                charge.approve()
        BANK.strike("start", "after")
        return Started(charge.report(), self._step(charge))

    def _step(self, charge: Charge) -> Step:
        url = BANK.redirect_to.format(id=charge.id)
        match charge.method:
            case "cashier":
                return Redirect(url)
            case "form":
                return PostForm(url, {"charge": charge.id})
            case "qr":
                return ShowQr(f"acme:{charge.id}")
            case _:
                return Wait()

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        BANK.called("fetch")
        charge = BANK.charges.get(payment.reference)
        report = charge.report() if charge else PaymentReport(reference=payment.reference, absent=True)
        while BANK.meanwhile:
            BANK.meanwhile.pop(0)()
        return report

    def capture(self, request: OperationRequest) -> OperationReport:
        return self._operate("capture", request)

    def cancel(self, request: OperationRequest) -> OperationReport:
        return self._operate("cancel", request)

    def refund(self, request: OperationRequest) -> OperationReport:
        return self._operate("refund", request)

    def fetch_refund(self, request: OperationRequest) -> OperationReport:
        BANK.called("fetch_refund")
        found = BANK.charges[request.payment.reference].operations.get(request.reference)
        if found is None:
            return request.report(OperationStatus.PENDING, absent=True)
        return request.report(found.status)

    def _operate(self, kind: str, request: OperationRequest) -> OperationReport:
        BANK.called(kind)
        with BANK.lock:
            charge = BANK.charges[request.payment.reference]
            deed = charge.operations.get(request.reference)
            if deed is None:
                deed = Deed(f"{charge.id}-{kind}-{len(charge.operations)}", kind, request.amount.minor, _PENDING)
                charge.operations[request.reference] = deed
                if kind in BANK.refuses:
                    deed.status = OperationStatus.FAILED
                elif kind not in BANK.slow:
                    deed.status = charge.carry_out(deed)
        BANK.strike(kind, "after")
        return request.report(deed.status, error_code="no" if deed.status is OperationStatus.FAILED else "")

    def verify_webhook(self, delivery: Delivery) -> str:
        found = delivery.header("X-Acme-Signature")
        keys = [key for key in (self.config.key, self.config.old_key) if key]
        if not any(hmac.compare_digest(found, signed(delivery.body, key)[1]["X-Acme-Signature"]) for key in keys):
            raise contract.BadSignature("not Acme's", code="unsigned" if not found else "bad_signature")
        return str(json.loads(delivery.body)["event"])

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        data = json.loads(delivery.body)
        match data.get("kind", "payment"):
            case "payment":
                return [_payment_report(data)]
            case "operation":
                return [_operation_report(data)]
            case "hint":
                return [Hint(reference=data["reference"])]
            case "dispute":
                return [DisputeReport(reference=data["reference"], provider_reference=data["id"], stage=data["state"])]
            case "fraud":
                return [FraudReport(reference=data["reference"], provider_reference=data["id"], code="1")]
            case "poison":
                raise ValueError("Acme's documentation does not say what this means")
            case _:
                return []

    def reply(self, *, accepted: bool) -> Reply:
        return Reply(200 if accepted else 401, b"OK" if accepted else b"NO")


_PENDING = OperationStatus.PENDING


def _payment_report(data: dict[str, Any]) -> PaymentReport:
    return PaymentReport(
        reference=data.get("reference", ""),
        provider_reference=data.get("id", ""),
        status=Status(data["state"]) if data.get("state") else None,
        amount=Money(data["amount"], data["currency"]) if "amount" in data else None,
        authorised=data.get("authorised"),
        captured=data.get("captured"),
        refunded=data.get("refunded"),
        released=data.get("released"),
        confirm=data.get("confirm", False),
        raw={"event": data["event"]},
    )


def _operation_report(data: dict[str, Any]) -> OperationReport:
    return OperationReport(
        reference=data["reference"],
        provider_reference=data["id"],
        payment=PaymentRef(reference=data["payment"], amount=Money(data["payment_amount"], data["currency"])),
        operation=Capability(data["operation"]),
        status=OperationStatus(data["state"]),
        amount=Money(data["amount"], data["currency"]),
        raw={"event": data["event"]},
    )


__all__ = ("BANK", "Bank", "Charge", "Config", "Deed", "Provider", "signed")
