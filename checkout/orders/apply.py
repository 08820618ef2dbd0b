"""One report, three roads: the one function through which news from a provider becomes our truth.

A report says what is true now, with amounts as running totals. ``apply`` locks the order, compares, appends what is new
and returns. It may be called twice, late and in any order.

Trust falls in this order: a verified fetch, a verified webhook, the answer to our own call. The browser is not on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from checkout.merchants.models import DuplicateMoney, LateMoney, ProviderAccount
from checkout.orders import intents, ledger, saved_cards, schedule, timeline, transitions
from checkout.orders.models import (
    Cancellation,
    Capture,
    CaptureMode,
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
    DisputeStatus,
    FraudReport,
    Hint,
    OperationReport,
    OperationStatus,
    PaymentReport,
    Report,
    Status,
)
from providers.money import Money

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


LONGEST_REFERENCE = 100
"""As much of a provider's name for something as a column holds."""

KINDS: Mapping[Capability | None, type[Operation]] = {
    Capability.REFUND: Refund,
    Capability.CAPTURE: Capture,
    Capability.CANCEL: Cancellation,
}
MONEY_KINDS = {Capture: EntryKind.CAPTURED, Refund: EntryKind.REFUNDED}


def apply(account: ProviderAccount, report: Report, *, road: Road, cause: str) -> Outcome:
    """Make ``report``, which came from this very account, our truth. Changes nothing twice."""
    if isinstance(report, PaymentReport | OperationReport) and len(report.provider_reference) > LONGEST_REFERENCE:
        report = replace(report, provider_reference=_shortened(report.provider_reference))
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
                _hurry_operation(payment, report.operation_reference)
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
        _review_once(payment, kind, cause=cause, ours=ours, theirs=theirs)
        return Outcome.REVIEW
    if report.provider_reference and not payment.provider_reference:
        payment.provider_reference = report.provider_reference
        payment.save(update_fields=("provider_reference",))
    if report.absent:
        return Outcome.NO_NEWS
    if road is not Road.ANSWER:
        saved_cards.keep(payment, report)  # no money moves with it, so a verified word is enough
    if road is Road.WEBHOOK and _needs_confirmation(payment, report):
        return Outcome.CONFIRM

    seq = order.last_seq
    was_over = order.expired_at or order.cancelled_at
    changed = _keep_facts(payment, report)
    if report.review:
        theirs = str(report.amount or "")
        _review_once(payment, report.review, cause=cause, ours=str(payment.money), theirs=theirs)
    money = _take_money(payment, report, cause=cause)
    _climb(payment, report, road=road, cause=cause)
    if money and payment.held and payment.status in transitions.ENDED:
        # A hold cannot lift a status that only climbs, but it is money, and it can be captured or let go.
        timeline.record(order, "payment.authorised", cause=cause, actor=timeline.PROVIDER, payment=payment)
    if not report.review:
        _question_the_sum(payment, cause=cause)
    if money and was_over and transitions.flag_late(order):
        timeline.record(order, "payment.late", cause=cause, payment=payment)
    _after(payment, cause=cause)
    return Outcome.APPLIED if changed or order.last_seq > seq else Outcome.NO_NEWS


def _question_the_sum(payment: Payment, *, cause: str) -> None:
    """Nobody asked for a part, so a part is a mistake: a person looks before success is announced."""
    is_automatic = payment.order.capture_mode == CaptureMode.AUTOMATIC
    if is_automatic and 0 < payment.captured_total < payment.amount and not payment.captures.exists():
        theirs = Money(payment.captured_total, payment.currency)
        _review_once(payment, "captured_amount", cause=cause, ours=str(payment.money), theirs=str(theirs))


def _review_once(payment: Payment, kind: str, *, cause: str, ours: str, theirs: str) -> None:
    """Ask a person about something that a provider says; what was decided already is not asked again."""
    if not payment.reviews.filter(kind=kind[:30], theirs=theirs[:120]).exists():
        transitions.open_review(payment.order, payment, kind, cause=cause, ours=ours, theirs=theirs)


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
    takes_money_away = payment.held > 0 and (
        report.status in transitions.ENDED or (report.released or 0) > payment.released_total
    )
    # News of a hold may have been overtaken by the news of its end.
    revives = (
        payment.status in transitions.ENDED
        and not report.captured
        and (report.authorised or 0) > payment.authorised_total
    )
    brings_news = (
        (report.authorised or 0) > payment.authorised_total
        or (report.captured or 0) > payment.captured_total
        or (report.refunded or 0) > payment.refunded_total
        or (bool(report.review) and not payment.reviews.filter(kind=report.review).exists())
    )
    return takes_money_away or revives or (report.confirm and brings_news)


def _keep_facts(payment: Payment, report: PaymentReport) -> bool:
    """Keep what the provider says about the card and its checks; the newest word that says anything wins."""
    wanted: dict[str, object] = {}
    if report.card:
        wanted |= {
            "card_brand": report.card.brand[:30],
            "card_first6": report.card.first6[:6],
            "card_last4": report.card.last4[:4],
            "card_expiry": saved_cards.expiry_of(report.card),
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
        _ask_soon(payment)
    return difference - sum(operation.amount for operation in in_flight)


def _in_flight(payment: Payment, kind: type[Operation]) -> Iterable[Operation]:
    states = (OperationStatus.CREATED, OperationStatus.SENT, OperationStatus.PENDING)
    return kind._default_manager.filter(payment=payment, status__in=states)


def _external_refund(
    payment: Payment, amount: int, *, cause: str, report: PaymentReport | OperationReport, provider_reference: str = ""
) -> Refund:
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
    return refund


def _ask_soon(payment: Payment, *, delay: timedelta | None = None) -> None:
    """Have the payment's totals compared with the provider's again."""
    payment.due_at = timezone.now() + (delay or timedelta())
    payment.save(update_fields=("due_at", "inquiries", "schedule_from"))


def _climb(payment: Payment, report: PaymentReport, *, road: Road, cause: str) -> None:
    status = report.status
    if payment.captured_total:
        status = Status.CAPTURED  # money wins over any word, and over the lack of one
    elif payment.held and status in {None, Status.PENDING}:
        status = Status.AUTHORISED
    if status is None or (status is Status.CAPTURED and not payment.captured_total):
        return  # the capture is in flight as an operation of ours, which is being asked about
    if status is Status.PENDING:
        if payment.status == Status.CREATED and road is not Road.ANSWER:  # the answer itself says what is awaited
            transitions.await_step(payment, Step.ASK, cause=cause)
        return
    if transitions.advance(payment, status, cause=cause, actor=timeline.PROVIDER):
        if status in transitions.ENDED:
            transitions.decline(payment, report.decline)
        if payment.awaits_capture:
            payment.inquiries, payment.schedule_from = 0, timezone.now()
            _ask_soon(payment, delay=schedule.wait(schedule.INQUIRY, 0))
        elif payment.status == Status.AUTHORISED and payment.held:
            payment.inquiries, payment.schedule_from = 0, timezone.now()
            _ask_soon(payment, delay=schedule.wait(schedule.HELD, 0))
        elif status is Status.EXPIRED:
            # Whoever paid in the last second may be booked after it: listened to, as if we had given it up ourselves.
            payment.inquiries, payment.schedule_from = 0, timezone.now()
            _ask_soon(payment, delay=schedule.wait(schedule.LISTENING, 0))
        elif not any(_in_flight(payment, Capture)):
            payment.due_at = None
            payment.save(update_fields=("due_at",))
    if status in transitions.ENDED and payment.held:
        ledger.post(payment, EntryKind.RELEASED, payment.held, cause=cause, evidence=report.raw)


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
    if not (payment.net > 0 or payment.held) or payment.events.filter(type="policy.late").exists():
        return
    timeline.record(order, "policy.late", cause=cause, payment=payment, policy=order.merchant.late_money)
    gives_back = order.merchant.late_money == LateMoney.REFUND
    if not (gives_back and intents.give_back(payment, reason="paid late")):
        transitions.open_review(order, payment, "late", cause=cause, ours="expired or cancelled", theirs="paid")


def _duplicate_policy(order: Order, *, cause: str) -> None:
    """Two attempts brought money: give the younger one's back, or ask a person, as the merchant decided."""
    if "duplicate" not in order.flags:
        return
    bringing = [payment for payment in order.payments.select_related("account") if payment.net > 0 or payment.held]
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
        _review_once(payment, "currency", cause=cause, ours=ours, theirs=theirs)
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
    if report.status not in {OperationStatus.SUCCEEDED, OperationStatus.REVERSED}:
        return Outcome.NO_NEWS
    if not report.provider_reference:
        return Outcome.CONFIRM  # told again, it could not be recognised; the sum can
    nameless = _nameless(payment)
    known = nameless.filter(amount=report.amount.minor).first()
    is_new = not nameless.exists()
    if known:
        known.payment, known.provider_reference = payment, report.provider_reference
        known.save(update_fields=("provider_reference",))
    elif is_new:
        known = _external_refund(
            payment, report.amount.minor, cause=cause, report=report, provider_reference=report.provider_reference
        )
    if known and report.status is OperationStatus.REVERSED:
        _settle(payment, known, OperationStatus.REVERSED, cause=cause, evidence=dict(report.raw))
    _after(payment, cause=cause)
    # It may be in a sum that a fetch told, or be another of the same amount; only the next sum can say.
    return Outcome.APPLIED if is_new else Outcome.CONFIRM


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
    if status is OperationStatus.REVERSED and operation.status != OperationStatus.SUCCEEDED:
        # The end of a refund overtook its success: it went out, or nothing could have come back.
        out = OperationStatus.SUCCEEDED
        _settle(payment, operation, out, cause=cause, evidence=evidence, amount=amount)
    was_in_flight, had_failed = operation.is_in_flight, operation.status == OperationStatus.FAILED
    held = payment.held
    if not transitions.advance(operation, status, cause=cause, actor=timeline.PROVIDER):
        return False
    if was_in_flight and not operation.is_in_flight:
        if operation.source != Source.EXTERNAL:
            ledger.free(payment, operation)
        operation.due_at = None
        operation.save(update_fields=("due_at",))
        if payment.due_at or status is OperationStatus.FAILED:
            # The totals may hold money that this operation seemed to explain.
            _ask_soon(payment)
        is_worth_a_look = payment.held or payment.captured_total  # closing what nobody paid may fail quietly
        if status is OperationStatus.FAILED and operation.source == Source.SYSTEM and is_worth_a_look:
            name = operation._meta.model_name
            transitions.open_review(payment.order, payment, f"{name}_failed", cause=cause, ours=operation.reference)
    moved = operation.amount if amount is None else amount
    if status is OperationStatus.SUCCEEDED and had_failed:
        # While it counted as failed, the totals may have told of its money. The next answer has the last word.
        moved = max(0, moved - _told_by_totals(payment, operation, moved))
        _ask_soon(payment)
    if status is OperationStatus.SUCCEEDED and type(operation) in MONEY_KINDS and moved:
        ledger.post(payment, MONEY_KINDS[type(operation)], moved, cause=cause, evidence=evidence)
    if status is OperationStatus.REVERSED and moved:
        ledger.post(payment, EntryKind.REFUND_REVERSED, moved, cause=cause, evidence=evidence)
    if status is OperationStatus.SUCCEEDED and isinstance(operation, Capture):
        transitions.advance(payment, Status.CAPTURED, cause=cause)
        if payment.held and not payment.captures_reserved:
            if not intents.can(payment, Capability.MULTIPLE_CAPTURE):
                ledger.post(payment, EntryKind.RELEASED, payment.held, cause=cause, evidence=evidence)
            _ask_soon(payment)
    if status is OperationStatus.SUCCEEDED and isinstance(operation, Cancellation):
        if held:
            ledger.post(payment, EntryKind.RELEASED, held, cause=cause, evidence=evidence)
        transitions.advance(payment, Status.CANCELLED, cause=cause)
    return True


def _told_by_totals(payment: Payment, operation: Operation, amount: int) -> int:
    """How much of an operation's money the ledger has already, because a payment's totals told of it first."""
    if isinstance(operation, Refund):
        known = _nameless(payment).filter(amount=amount).first()
        if known:
            known.provider_reference = operation.provider_reference or operation.reference
            known.reason = f"the same as {operation.reference}"
            known.save(update_fields=("provider_reference", "reason"))
        return known.amount if known else 0
    if isinstance(operation, Capture):
        done = Capture.objects.filter(payment=payment, status=OperationStatus.SUCCEEDED).exclude(pk=operation.pk)
        return max(0, payment.captured_total - sum(capture.amount for capture in done))
    return 0


def _nameless(payment: Payment) -> TenantQuerySet[Refund]:
    """Refunds made elsewhere that only a sum told of."""
    return Refund.objects.filter(payment=payment, source=Source.EXTERNAL, provider_reference="")


def _hurry_operation(payment: Payment, reference: str) -> None:
    """Have an operation asked about now, not when its schedule says."""
    for kind in KINDS.values():
        mine = kind._default_manager.filter(payment=payment, reference=reference)
        mine.filter(status__in=(OperationStatus.SENT, OperationStatus.PENDING)).update(due_at=timezone.now())


def _find_operation(payment: Payment, report: OperationReport) -> Operation | None:
    for kind in _kinds(report):
        rows = kind._default_manager.filter(payment=payment)
        found = _by_references(rows, report.reference, report.provider_reference)
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
    changed = is_new
    dispute.payment = payment
    if not is_new and dispute.stage != report.stage[:30]:
        dispute.stage, changed = report.stage[:30], True
        dispute.save(update_fields=("stage",))
        timeline.record(payment.order, "dispute.changed", cause=cause, payment=payment, stage=dispute.stage)
    return Outcome.APPLIED if _judge(dispute, report, cause=cause) or changed else Outcome.NO_NEWS


def _judge(dispute: Dispute, report: DisputeReport, *, cause: str) -> bool:
    """Follow a dispute to its end, with the money that its loss takes and a later win brings back."""
    payment, was_lost = dispute.payment, dispute.status == DisputeStatus.LOST
    if report.status is DisputeStatus.LOST and report.amount:
        dispute.amount = report.amount.minor  # what was taken in the end may be less than what was asked for
        dispute.save(update_fields=("amount",))
    if not transitions.judge_dispute(dispute, report.status, cause=cause):
        return False
    amount = dispute.amount or 0
    if amount and report.status is DisputeStatus.LOST:
        ledger.post(payment, EntryKind.DISPUTED, amount, cause=cause, evidence=report.raw)
    if amount and report.status is DisputeStatus.WON and was_lost:
        ledger.post(payment, EntryKind.DISPUTE_RETURNED, amount, cause=cause, evidence=report.raw)
    transitions.refresh(payment.order, cause=cause)
    return True


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
            for kind in _kinds(report):
                mine = kind._default_manager.filter(payment__account=account)
                found = _by_references(mine, report.reference, report.provider_reference)
                if found:
                    return rows.get(pk=found.payment_id)
            if report.payment:
                return _by_references(rows, report.payment.reference, report.payment.provider_reference)
    return None


def _kinds(report: OperationReport) -> Iterable[type[Operation]]:
    """What the report may be about: some providers number captures and refunds alike."""
    return (KINDS[report.operation],) if report.operation in KINDS else tuple(KINDS.values())


def _shortened(reference: str) -> str:
    """Something to know it by again. Nobody names a payment like that, so it only must not break anything."""
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def _by_references(rows: TenantQuerySet[Row], ours: str, theirs: str) -> Row | None:
    found = rows.filter(reference=ours).first() if ours else None
    if found is None and theirs:
        found = rows.filter(provider_reference=theirs).first()
    return found
