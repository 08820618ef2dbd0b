"""Zenith: a second provider that exists only in tests. It sends codes, shows QR codes, keeps cards, ships.

What it answers next is put into ``DESK.answers`` by the name of the call: a value, an exception, or a function of the
request. Whatever it was asked stands in ``DESK.asked``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from providers import contract
from providers.contract import (
    Capability,
    Card,
    CardFacts,
    CardField,
    CodeProblem,
    Delivery,
    EnterCode,
    LeadsTo,
    Method,
    OperationReport,
    OperationRequest,
    OperationStatus,
    PaymentRef,
    PaymentReport,
    PaymentRequest,
    Redirect,
    Reply,
    Report,
    ShowQr,
    Started,
    Status,
    StoredCard,
    Subscription,
    TrackingReport,
    TrackingRequest,
    Wait,
)

RIGHT = "135790"


class Desk:
    """What Zenith knows and what it will say."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.reports: dict[str, PaymentReport] = {}
        self.removed: list[str] = []

    def say(self, call: str, *answers: Any) -> None:
        """What to answer to the next calls of this name, one each."""
        self.answers.setdefault(call, []).extend(answers)

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def answer(self, call: str, request: Any, usual: Any) -> Any:
        self.asked.append((call, request))
        planned = self.answers.get(call)
        found = planned.pop(0) if planned else usual
        if isinstance(found, BaseException):
            raise found
        return found(request) if callable(found) else found


DESK = Desk()


@dataclass(frozen=True)
class Config:
    key: str = contract.secret(default="")


def paid(request: PaymentRequest | PaymentRef, **facts: Any) -> PaymentReport:
    """This payment, captured."""
    return PaymentReport(
        reference=request.reference,
        provider_reference=f"Z-{request.reference}",
        status=Status.CAPTURED,
        amount=request.amount,
        authorised=request.amount.minor,
        captured=request.amount.minor,
        **facts,
    )


def waiting(request: PaymentRequest | PaymentRef, **facts: Any) -> PaymentReport:
    """This payment, without an outcome."""
    usual = {"provider_reference": f"Z-{request.reference}", "status": Status.PENDING, "amount": request.amount}
    return PaymentReport(reference=request.reference, **{**usual, **facts})


class Provider(contract.Provider):
    slug = "zenith"
    name = "Zenith"
    capabilities = frozenset(
        {
            Capability.SUBMIT_CODE,
            Capability.CANCEL,
            Capability.CLOSE_UNPAID,
            Capability.UPLOAD_TRACKING,
            Capability.LOOK_UP_CARD,
            Capability.REMOVE_CARD,
            Capability.SUBSCRIBE,
            Capability.SAVE_CARD,
            Capability.PAY_WITH_TOKEN,
            Capability.TOKEN_KEEPS_CURRENCY,
            Capability.MERCHANT_INITIATED,
        }
    )
    methods = (
        Method(
            "bankcard",
            takes_card=True,
            leads_to=LeadsTo.CODE,
            required=frozenset({CardField.HOLDER, CardField.ID_NUMBER, CardField.PHONE}),
            optional=frozenset({CardField.EXPIRY, CardField.CVC}),
        ),
        Method("wallet", name="Zen Pay", leads_to=LeadsTo.QR),
        Method("page", leads_to=LeadsTo.PAGE),
        Method("hidden", opt_in=True),
    )
    redirect_hosts = ("zenith.example",)
    tracking_batch = 3

    def start(self, request: PaymentRequest) -> Started:
        usual: Any = Wait()
        if request.stored:
            usual = None
        elif request.method == "bankcard":
            usual = EnterCode(f"handle-{request.reference}", "138****0000")
        elif request.method == "wallet":
            usual = ShowQr(f"https://zenith.example/w/{request.reference}", 300)
        elif request.method == "page":
            usual = Redirect(f"https://zenith.example/p/{request.reference}")
        report = paid(request) if usual is None else waiting(request)
        self._remember(report)
        started = DESK.answer("start", request, Started(report, usual or Wait()))
        self._remember(started.report)
        return started

    def submit_code(self, payment: PaymentRef, *, handle: str, code: str) -> Started:
        right = Started(paid(payment), Wait())
        wrong = Started(waiting(payment), EnterCode(handle, problem=CodeProblem.WRONG))
        started = DESK.answer("submit_code", (payment, handle), right if code == RIGHT else wrong)
        self._remember(started.report)
        return started

    def fetch(self, payment: PaymentRef) -> PaymentReport:
        known = DESK.reports.get(payment.reference)
        return DESK.answer("fetch", payment, known or PaymentReport(reference=payment.reference, absent=True))

    def cancel(self, request: OperationRequest) -> OperationReport:
        return DESK.answer("cancel", request, request.report(OperationStatus.SUCCEEDED))

    def upload_tracking(self, requests: Sequence[TrackingRequest]) -> list[TrackingReport]:
        return DESK.answer(
            "upload_tracking", list(requests), [one.report(OperationStatus.SUCCEEDED) for one in requests]
        )

    def look_up_card(self, card: Card) -> CardFacts | None:
        return DESK.answer("look_up_card", card.number[-4:], CardFacts(funding="debit", issuer="Zenith Bank"))

    def remove_card(self, stored: StoredCard, *, payer: str) -> None:
        DESK.answer("remove_card", payer, None)
        DESK.removed.append(stored.token)

    def subscribe(self, url: str) -> Subscription:
        return DESK.answer("subscribe", url, Subscription(url, "ACTIVE", {"key": "handed-out"}))

    def verify_webhook(self, delivery: Delivery) -> str:
        raise contract.BadSignature("Zenith sends no webhooks", code="none")

    def parse_webhook(self, delivery: Delivery) -> list[Report]:
        return []

    def reply(self, *, accepted: bool) -> Reply:
        return Reply(200 if accepted else 401, b"")

    def _remember(self, report: PaymentReport) -> None:
        DESK.reports[report.reference] = report


__all__ = ("DESK", "RIGHT", "Config", "Desk", "Provider", "paid", "waiting")
