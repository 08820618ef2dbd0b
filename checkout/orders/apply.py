"""One report, three roads: the one function through which news from a provider becomes our truth.

A report says what is true now, with amounts as running totals. ``apply`` locks the order, compares, appends what is new
and returns. It may be called twice, late and in any order.

Trust falls in this order: a verified fetch, a verified webhook, the answer to our own call. The browser is not on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from checkout.merchants.models import DuplicateMoney, LateMoney, ProviderAccount
from checkout.orders import intents, ledger, timeline, transitions
from checkout.orders.models import (
    Cancellation,
    Capture,
    Dispute,
    EntryKind,
    FraudAlert,
    Operation,
    Order,
    Payment,
    Refund,
    Source,
    Step,
    scope_of,
)
from checkout.tenancy import TenantQuerySet
from providers.contract import (
    Capability,
    DisputeReport,
    FraudReport,
    Hint,
    OperationReport,
    OperationStatus,
    PaymentReport,
    Report,
    Status,
)

Row = TypeVar("Row", bound=Payment | Operation)


class Road(StrEnum):
    """How a report reached us."""

    ANSWER = "answer"
    WEBHOOK = "webhook"
    FETCH = "fetch"


class Outcome(StrEnum):
    APPLIED = "applied"
    NO_NEWS = "no_news"
    CONFIRM = "confirm"
    """Not believed on this road: fetch."""
    REVIEW = "review"
    """It contradicts what we know; a person has been asked."""
    UNMATCHED = "unmatched"
    """We know no such payment at this account (yet)."""


MONEY_KINDS = {Capture: EntryKind.CAPTURED, Refund: EntryKind.REFUNDED}


def apply(account: ProviderAccount, report: Report, *, road: Road, cause: str) -> Outcome:
    """Make ``report``, which came from this very account, our truth. Changes nothing twice."""
    found = find(account, report)
    if found is None:
        return Outcome.UNMATCHED
    with transaction.atomic():
        payment = locked(found.pk)
        match report:
            case PaymentReport():
                return _payment(payment, report, road=road, cause=cause)
            case OperationReport():
                return _operation(payment, report, cause=cause)
            case DisputeReport():
                return _dispute(payment, report, cause=cause)
            case FraudReport():
                return _fraud(payment, report, cause=cause)
            case Hint():
                return Outcome.CONFIRM


def locked(payment_id: int) -> Payment:
    """The payment as it is now, its order locked until the transaction ends."""
    order_id = Payment.objects.values_list("order_id", flat=True).get(pk=payment_id)
    order = timeline.lock(order_id)
    return order.payments.select_related("account").get(pk=payment_id)


# ------------------------------------------------------------------------------------------------------------- payments


def _payment(payment: Payment, report: PaymentReport, *, road: Road, cause: str) -> Outcome:
    order = payment.order
    differs = _mismatch(payment, report)
    if differs:
        kind, ours, theirs = differs
        transitions.open_review(order, payment, kind, cause=cause, ours=ours, theirs=theirs)
        return Outcome.REVIEW
    if report.provider_reference and not payment.provider_reference:
        payment.provider_reference = report.provider_reference
        payment.save(update_fields=("provider_reference",))
    if report.absent:
        return Outcome.NO_NEWS
    if road is Road.WEBHOOK and _needs_confirmation(payment, report):
        return Outcome.CONFIRM

    seq = order.last_seq
    was_over = order.expired_at or order.cancelled_at
    changed = _keep_facts(payment, report)
    if report.review:
        theirs = str(report.amount or "")
        transitions.open_review(order, payment, report.review, cause=cause, ours=str(payment.money), theirs=theirs)
    money = _take_money(payment, report, cause=cause)
    _climb(payment, report, cause=cause)
    if money and was_over and transitions.flag_late(order):
        timeline.record(order, "payment.late", cause=cause, payment=payment)
    _after(payment, cause=cause)
    return Outcome.APPLIED if changed or order.last_seq > seq else Outcome.NO_NEWS


def _mismatch(payment: Payment, report: PaymentReport) -> tuple[str, str, str] | None:
    """What the provider has differently, as (kind, ours, theirs)."""
    if report.amount and report.amount.currency != payment.currency:
        return "currency", payment.currency, report.amount.currency
    if report.reference and report.reference != payment.reference:
        return "reference", payment.reference, report.reference
    theirs = report.provider_reference
    if theirs and payment.provider_reference and theirs != payment.provider_reference:
        return "provider_reference", payment.provider_reference, theirs
    if theirs and not payment.provider_reference:
        other = Payment.objects.filter(account=payment.account, provider_reference=theirs).first()
        if other:
            return "provider_reference", f"belongs to {other.reference}", theirs
    if report.amount and report.amount.minor != payment.amount and not report.review:
        return "amount", str(payment.money), str(report.amount)
    return None


def _needs_confirmation(payment: Payment, report: PaymentReport) -> bool:
    """Whether a webhook says something that only a fetch may make true."""
    takes_money_away = payment.status == Status.AUTHORISED and report.status in transitions.ENDED
    brings_news = (
        (report.authorised or 0) > payment.authorised_total
        or (report.captured or 0) > payment.captured_total
        or (report.refunded or 0) > payment.refunded_total
        or (bool(report.review) and not payment.reviews.filter(kind=report.review).exists())
    )
    return takes_money_away or (report.confirm and brings_news)


def _keep_facts(payment: Payment, report: PaymentReport) -> bool:
    """Keep what the provider says about the card and its checks; the newest word that says anything wins."""
    wanted: dict[str, object] = {}
    if report.card:
        expiry = (
            f"{report.card.expiry_month:02d}/{report.card.expiry_year}"
            if report.card.expiry_month and report.card.expiry_year
            else ""
        )
        wanted |= {
            "card_brand": report.card.brand[:30],
            "card_first6": report.card.first6[:6],
            "card_last4": report.card.last4[:4],
            "card_expiry": expiry,
            "card_issuer": report.card.issuer[:120],
            "card_country": report.card.issuer_country[:2],
        }
    if report.three_ds:
        facts = {name: value for name, value in asdict(report.three_ds).items() if value not in ("", None)}
        wanted["three_ds"] = {**payment.three_ds, **facts}
    wanted |= {"avs_result": report.avs_result[:20], "cvc_result": report.cvc_result[:20]}
    news = {name: value for name, value in wanted.items() if value and getattr(payment, name) != value}
    for name, value in news.items():
        setattr(payment, name, value)
    if news:
        payment.save(update_fields=tuple(news))
    return bool(news)


def _take_money(payment: Payment, report: PaymentReport, *, cause: str) -> bool:
    """Append what the running totals have more than ours; True when money came in. Smaller totals are old news."""

    def post(kind: EntryKind, amount: int) -> None:
        ledger.post(payment, kind, amount, cause=cause, evidence=report.raw)

    captured = report.captured or 0
    authorised = max(report.authorised or 0, captured)  # what is taken was held, if only for a moment
    news = False
    if authorised > payment.authorised_total:
        post(EntryKind.AUTHORISED, authorised - payment.authorised_total)
        news = True
    extra = _unexplained(payment, captured - payment.captured_total, Capture)
    if extra > 0:
        post(EntryKind.CAPTURED, extra)
        news = True
    extra = _unexplained(payment, (report.refunded or 0) - payment.refunded_total, Refund)
    if extra > 0:
        _external_refund(payment, extra, cause=cause, report=report)
    if (report.released or 0) > payment.released_total:
        post(EntryKind.RELEASED, (report.released or 0) - payment.released_total)
    return news


def _unexplained(payment: Payment, difference: int, kind: type[Capture] | type[Refund]) -> int:
    """How much of a difference no operation in flight accounts for. Those in flight are asked about at once."""
    if difference <= 0:
        return 0
    in_flight = list(_in_flight(payment, kind))
    if in_flight:
        kind.objects.filter(pk__in=[operation.pk for operation in in_flight]).update(due_at=timezone.now())
        Payment.objects.filter(pk=payment.pk).update(due_at=timezone.now())
    return difference - sum(operation.amount for operation in in_flight)


def _in_flight(payment: Payment, kind: type[Operation]) -> Iterable[Operation]:
    states = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)
    return kind._default_manager.filter(payment=payment, status__in=states)


def _external_refund(
    payment: Payment, amount: int, *, cause: str, report: PaymentReport | OperationReport, provider_reference: str = ""
) -> None:
    """Money was given back in the provider's own dashboard: a refund of ours records it."""
    refund = Refund.objects.create(
        **scope_of(payment),
        payment=payment,
        amount=amount,
        source=Source.EXTERNAL,
        requested_by=timeline.PROVIDER,
        provider_reference=provider_reference,
    )
    _settle(payment, refund, OperationStatus.SUCCEEDED, cause=cause, evidence=dict(report.raw))


def _climb(payment: Payment, report: PaymentReport, *, cause: str) -> None:
    status = report.status
    if status is None or (status is Status.CAPTURED and not payment.captured_total):
        return  # the capture is in flight as an operation of ours, which is being asked about
    if status is Status.PENDING:
        if payment.status == Status.CREATED:
            transitions.await_step(payment, Step.ASK, cause=cause)
        return
    held = payment.held
    if transitions.advance(payment, status, cause=cause, actor=timeline.PROVIDER):
        if status in transitions.ENDED:
            transitions.decline(payment, report.decline)
            if held:
                ledger.post(payment, EntryKind.RELEASED, held, cause=cause, evidence=report.raw)
        payment.due_at = None
        payment.save(update_fields=("due_at",))


def _after(payment: Payment, *, cause: str) -> None:
    """What every change of a payment brings with it."""
    order = payment.order
    transitions.refresh(order, cause=cause)
    _late_policy(order, payment, cause=cause)
    _duplicate_policy(order, cause=cause)
    transitions.announce(order, payment, cause=cause)


def _late_policy(order: Order, payment: Payment, *, cause: str) -> None:
    if "paid_late" not in order.flags or order.merchant.late_money == LateMoney.ACCEPT:
        return
    if not (payment.net or payment.held) or payment.events.filter(type="policy.late").exists():
        return
    timeline.record(order, "policy.late", cause=cause, payment=payment, policy=order.merchant.late_money)
    gives_back = order.merchant.late_money == LateMoney.REFUND
    if not (gives_back and intents.give_back(payment, reason="paid late")):
        transitions.open_review(order, payment, "late", cause=cause, ours="expired or cancelled", theirs="paid")


def _duplicate_policy(order: Order, *, cause: str) -> None:
    """Two attempts brought money: give the younger one's back, or ask a person, as the merchant decided."""
    if "duplicate" not in order.flags:
        return
    bringing = [payment for payment in order.payments.select_related("account") if payment.net or payment.held]
    for younger in bringing[1:]:
        if younger.events.filter(type="payment.duplicate").exists():
            continue
        policy = order.merchant.duplicate_money
        timeline.record(order, "payment.duplicate", cause=cause, payment=younger, policy=policy)
        gives_back = policy == DuplicateMoney.GIVE_BACK
        if not (gives_back and intents.give_back(younger, reason="paid twice")):
            first = bringing[0].reference
            transitions.open_review(order, younger, "duplicate", cause=cause, ours=first, theirs=younger.reference)


# ----------------------------------------------------------------------------------------------------------- operations


def _operation(payment: Payment, report: OperationReport, *, cause: str) -> Outcome:
    if report.amount and report.amount.currency != payment.currency:
        ours, theirs = payment.currency, report.amount.currency
        transitions.open_review(payment.order, payment, "currency", cause=cause, ours=ours, theirs=theirs)
        return Outcome.REVIEW
    if report.absent:
        return Outcome.NO_NEWS
    operation = _find_operation(payment, report)
    if operation is None:
        return _made_elsewhere(payment, report, cause=cause)
    operation.payment = payment
    if report.provider_reference and not operation.provider_reference:
        operation.provider_reference = report.provider_reference
    operation.error_code = report.error_code[:60] or operation.error_code
    operation.save(update_fields=("provider_reference", "error_code"))
    amount = report.amount.minor if report.amount else None
    if not _settle(payment, operation, report.status, cause=cause, amount=amount, evidence=dict(report.raw)):
        return Outcome.NO_NEWS
    _after(payment, cause=cause)
    return Outcome.APPLIED


def _made_elsewhere(payment: Payment, report: OperationReport, *, cause: str) -> Outcome:
    """A refund that nobody asked us for. A fetch may have told its amount before its own notice came."""
    if report.operation is not Capability.REFUND or not report.amount:
        return Outcome.UNMATCHED
    if report.status is not OperationStatus.SUCCEEDED:
        return Outcome.NO_NEWS
    nameless = Refund.objects.filter(payment=payment, source=Source.EXTERNAL, provider_reference="")
    known = nameless.filter(amount=report.amount.minor).first()
    if known:
        known.provider_reference = report.provider_reference
        known.save(update_fields=("provider_reference",))
        return Outcome.NO_NEWS
    _external_refund(
        payment, report.amount.minor, cause=cause, report=report, provider_reference=report.provider_reference
    )
    _after(payment, cause=cause)
    return Outcome.APPLIED


def _settle(
    payment: Payment,
    operation: Operation,
    status: OperationStatus,
    *,
    cause: str,
    evidence: dict[str, object],
    amount: int | None = None,
) -> bool:
    """Move an operation and do what that means for money. ``amount``: what the provider really moved, if it says."""
    was_in_flight = operation.is_in_flight
    held = payment.held
    if not transitions.advance(operation, status, cause=cause, actor=timeline.PROVIDER):
        return False
    if was_in_flight and not operation.is_in_flight:
        if operation.source != Source.EXTERNAL:
            ledger.free(payment, operation)
        operation.due_at = None
        operation.save(update_fields=("due_at",))
    moved = operation.amount if amount is None else amount
    if status is OperationStatus.SUCCEEDED and type(operation) in MONEY_KINDS:
        ledger.post(payment, MONEY_KINDS[type(operation)], moved, cause=cause, evidence=evidence)
    if status is OperationStatus.REVERSED:
        ledger.post(payment, EntryKind.REFUND_REVERSED, moved, cause=cause, evidence=evidence)
    if status is OperationStatus.SUCCEEDED and isinstance(operation, Capture):
        transitions.advance(payment, Status.CAPTURED, cause=cause)
    if status is OperationStatus.SUCCEEDED and isinstance(operation, Cancellation):
        if held:
            ledger.post(payment, EntryKind.RELEASED, held, cause=cause, evidence=evidence)
        transitions.advance(payment, Status.CANCELLED, cause=cause)
    return True


def _find_operation(payment: Payment, report: OperationReport) -> Operation | None:
    for kind in (Refund, Capture, Cancellation):
        rows = kind._default_manager.filter(payment=payment)
        if report.reference:
            found = rows.filter(reference=report.reference).first()
        else:
            found = rows.filter(provider_reference=report.provider_reference).exclude(provider_reference="").first()
        if found:
            return found
    return None


# ------------------------------------------------------------------------------------------------- disputes and alerts


def _dispute(payment: Payment, report: DisputeReport, *, cause: str) -> Outcome:
    respond_by: datetime | None = parse_datetime(report.respond_by) if report.respond_by else None
    dispute, is_new = Dispute.objects.get_or_create(
        payment=payment,
        provider_reference=report.provider_reference[:100],
        defaults={
            **scope_of(payment),
            "stage": report.stage[:30],
            "category": report.category[:60],
            "reason_code": report.reason_code[:30],
            "amount": report.amount.minor if report.amount else None,
            "respond_by": respond_by,
        },
    )
    if is_new:
        timeline.record(
            payment.order,
            "dispute.opened",
            cause=cause,
            actor=timeline.PROVIDER,
            payment=payment,
            category=dispute.category,
        )
        transitions.refresh(payment.order, cause=cause)
    elif dispute.stage != report.stage[:30]:
        dispute.stage = report.stage[:30]
        dispute.save(update_fields=("stage",))
        timeline.record(payment.order, "dispute.changed", cause=cause, payment=payment, stage=dispute.stage)
    else:
        return Outcome.NO_NEWS
    return Outcome.APPLIED


def _fraud(payment: Payment, report: FraudReport, *, cause: str) -> Outcome:
    _, is_new = FraudAlert.objects.get_or_create(
        payment=payment,
        provider_reference=report.provider_reference[:100],
        defaults={**scope_of(payment), "code": report.code[:60], "summary": report.summary[:200]},
    )
    if is_new:
        timeline.record(
            payment.order,
            "fraud.alerted",
            cause=cause,
            actor=timeline.PROVIDER,
            payment=payment,
            code=report.code[:60],
        )
    return Outcome.APPLIED if is_new else Outcome.NO_NEWS


# ------------------------------------------------------------------------------------------------------------- matching


def find(account: ProviderAccount, report: Report) -> Payment | None:
    """The payment a report is about: only ever one of the account it came from."""
    rows = Payment.objects.filter(account=account).select_related("account")
    match report:
        case PaymentReport() | Hint():
            return _by_references(rows, report.reference, report.provider_reference)
        case DisputeReport() | FraudReport():
            return _by_references(rows, report.reference, report.payment_provider_reference)
        case OperationReport():
            for kind in (Refund, Capture, Cancellation):
                mine = kind._default_manager.filter(payment__account=account)
                found = _by_references(mine, report.reference, report.provider_reference)
                if found:
                    return rows.get(pk=found.payment_id)
            if report.payment:
                return _by_references(rows, report.payment.reference, report.payment.provider_reference)
    return None


def _by_references(rows: TenantQuerySet[Row], ours: str, theirs: str) -> Row | None:
    found = rows.filter(reference=ours).first() if ours else None
    if found is None and theirs:
        found = rows.filter(provider_reference=theirs).first()
    return found
