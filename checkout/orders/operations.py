"""What people and machines ask of the core: offer, start, inquire, expire, cancel, capture, refund.

Each operation saves a row, calls the provider outside any transaction, then applies the report. A crash between any two
of these leaves a row that is due, and the sweep goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.merchants.models import ProviderAccount
from checkout.orders import gateway, intents, messages, saved_cards, schedule, timeline, transitions
from checkout.orders.apply import Outcome, Road, apply, locked
from checkout.orders.execution import execute
from checkout.orders.models import (
    Cancellation,
    Capture,
    CaptureMode,
    Operation,
    Order,
    OrderStatus,
    Payment,
    Refund,
    Review,
    SavedCard,
    Step,
    scope_of,
)
from checkout.orders.saved_cards import Agreement
from checkout.sealing import seal, unseal
from providers.contract import (
    Browser,
    Capability,
    Card,
    CardFacts,
    CodeProblem,
    Customer,
    Decline,
    DeclineCategory,
    EnterCode,
    Method,
    OutcomeUnknown,
    PaymentReport,
    PostForm,
    Provider,
    ProviderError,
    Purpose,
    Redirect,
    Rejected,
    ShowQr,
    Started,
    Status,
    ThreeDSWish,
    Unreachable,
)
from providers.contract import Step as NextStep

logger = logging.getLogger(__name__)

Op = TypeVar("Op", bound=Operation)

CODE_TRIES = 5
"""How many codes a shopper may enter for one SMS; the last one may be right."""

CODE_RESENDS = 3
"""How many more SMS an order may cause."""

UNHEARD = "unheard"
"""The code did not reach the provider: nothing was wrong with it. Beside the contract's ``CodeProblem``."""


class NotPayable(Exception):
    """The order cannot be paid now.

    ``reason`` is its status, or ``tries``, ``offer``, ``reused``, ``card`` (a saved one that is no more) or ``codes``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AlreadyInProgress(Exception):
    """Another attempt has no outcome yet, so nothing was started."""

    def __init__(self, payment: Payment) -> None:
        super().__init__(payment.reference)
        self.payment = payment


@dataclass(frozen=True)
class Offer:
    """One way in which this order can be paid."""

    account: ProviderAccount
    method: Method

    @property
    def code(self) -> str:
        return f"{self.account.pk}:{self.method.code}"

    @property
    def takes_card(self) -> bool:
        return self.method.takes_card

    @property
    def redirect_hosts(self) -> tuple[str, ...]:
        return gateway.redirect_hosts(self.account)


# --------------------------------------------------------------------------------------------------------------- paying


def offers(order: Order) -> list[Offer]:
    """Every way to pay that can work for this order, the merchant's favourite first; one of each method."""
    found: dict[str, Offer] = {}
    for account in ProviderAccount.objects.of(order.merchant, order.mode).filter(enabled=True):
        if account.provider not in gateway.catalogue():
            continue
        for method in gateway.provider_class(account.provider).methods:
            if _fits(account, method, order):
                found.setdefault(method.code, Offer(account, method))
    return list(found.values())


def refusal(order: Order) -> str:
    """Why no new attempt may be made now; empty when one may."""
    if order.is_final:
        return order.status
    if order.expires_at <= timezone.now():
        return OrderStatus.EXPIRED
    if not transitions.has_tries_left(order, list(order.payments.all())):
        return "tries"
    return ""


def start(
    order: Order,
    *,
    offer_code: str,
    submission: str,
    card: Card | None = None,
    saved_card: SavedCard | None = None,
    cvc: str = "",
    agreement: Agreement | None = None,
    customer: Customer | None = None,
    browser: Browser | None = None,
    locale: str = "",
) -> Payment:
    """Attempt to pay. One ``submission`` (one form) makes at most one payment and one provider call.

    ``agreement`` is the shopper's yes to keeping ``card``; ``cvc`` belongs to ``saved_card``. Raises NotPayable or
    AlreadyInProgress. Whatever the provider does, the answer is a payment.
    """
    existing = order.payments.filter(submission=submission).first()
    if existing:
        return existing
    if saved_card:
        if saved_card not in saved_cards.usable(order):
            raise NotPayable("card")
        offered = [offer_for(saved_card, order)]  # its own account, whoever else offers the same
    else:
        offered = [*offers(order)]
    offer = next((offer for offer in offered if offer and offer.code == offer_code), None)
    if offer is None:
        raise NotPayable("offer")
    wish = _Wish(card=card, saved_card=saved_card, agreement=agreement if card else None)
    payment, is_new = _attempt(order, offer, submission, wish)
    if is_new:
        request = messages.payment_request(
            payment,
            card=card,
            stored=saved_cards.stored_card(saved_card, cvc=cvc) if saved_card else None,
            customer=customer or Customer(),
            browser=browser or Browser(),
            locale=locale,
        )
        _begin(payment, lambda provider: provider.start(request))
        payment.refresh_from_db()
    return payment


def charge(order: Order, saved_card: SavedCard, *, purpose: Purpose, submission: str, actor: str) -> Payment:
    """Charge a saved card while the shopper is away: for what was agreed to, and nothing else.

    Raises NotPayable or AlreadyInProgress, like ``start``.
    """
    existing = order.payments.filter(submission=submission).first()
    if existing:
        return existing
    offer = offer_for(saved_card, order)
    consent = saved_card.consent
    if saved_card not in saved_cards.usable(order) or consent.ended_at or consent.purpose != purpose:
        raise NotPayable("card")
    if offer is None or not intents.offers(offer.account, Capability.MERCHANT_INITIATED):
        raise NotPayable("offer")
    wish = _Wish(saved_card=saved_card, shopper_is_away=True, actor=actor)
    payment, is_new = _attempt(order, offer, submission, wish)
    if is_new:
        request = messages.payment_request(
            payment,
            card=None,
            stored=saved_cards.stored_card(saved_card),
            customer=Customer(),
            browser=Browser(),
            locale="",
        )
        _begin(payment, lambda provider: provider.start(request))
        payment.refresh_from_db()
        if payment.is_waiting and payment.step not in {Step.WAIT, Step.ASK}:
            _end_unattended(payment)
            payment.refresh_from_db()
        elif payment.status == Status.FAILED and payment.decline_category == DeclineCategory.AUTHENTICATION_REQUIRED:
            _close(payment, is_unattended=True)
    return payment


def _end_unattended(payment: Payment) -> None:
    """The provider wants the shopper, who is not there: close it, and say that it takes the shopper."""
    _close(payment)
    with transaction.atomic():
        payment = locked(payment.pk)
        if payment.is_waiting:
            _give_up(payment, cause="the shopper is away")
        if payment.status in transitions.ENDED:
            transitions.decline(payment, Decline(DeclineCategory.AUTHENTICATION_REQUIRED))
        transitions.refresh(payment.order, cause="the shopper is away")


def offer_for(saved_card: SavedCard, order: Order) -> Offer | None:
    """The way to pay that a saved card stands for: its own account's card form."""
    account = saved_card.account
    if account.provider not in gateway.catalogue():
        return None
    methods = [method for method in gateway.provider_class(account.provider).methods if method.takes_card]
    return next((Offer(account, method) for method in methods if _fits(account, method, order)), None)


def look_up(offer: Offer, card: Card) -> CardFacts | None:
    """What the provider tells of a card before anything is started; None when it cannot tell, or not now."""
    if not intents.offers(offer.account, Capability.LOOK_UP_CARD):
        return None
    try:
        provider = gateway.connect(offer.account)
        gateway.release_connection()
        return provider.look_up_card(card)
    except (ProviderError, gateway.AccountUnusable) as error:
        logger.warning("card_not_looked_up account=%s error=%s", offer.account.pk, type(error).__name__)
        return None


def submit_code(payment: Payment, *, code: str) -> Payment:
    """Hand the shopper's SMS code in; one at a time, and at most CODE_TRIES with the same SMS.

    Raises NotPayable("codes") when only another attempt can bring another code. A payment that awaits no code any more
    is left as it is.
    """
    with transaction.atomic():
        payment = locked(payment.pk)
        if payment.status != Status.PENDING or payment.step != Step.CODE:
            return payment
        data = payment.step_data
        if not accepts_code(payment):
            raise NotPayable("codes")
        payment.code_tries += 1
        payment.save(update_fields=("code_tries",))
        # From here on money may move, so no other attempt may begin; a crash is found by the next inquiry.
        transitions.await_step(payment, Step.ASK, cause="code", data=data)
        _restart_schedule(payment, schedule.wait(schedule.INQUIRY, 0))
        transitions.refresh(payment.order, cause="code", actor=timeline.SHOPPER)
    handle, ref = unseal(data["handle"].encode(), context=_code_context(payment)), messages.payment_ref(payment)

    def not_sent(error: Unreachable) -> None:
        _await_code_again(payment.pk, data)

    _begin(payment, lambda provider: provider.submit_code(ref, handle=handle, code=code), unsent=not_sent)
    payment.refresh_from_db()
    return payment


def accepts_code(payment: Payment) -> bool:
    """Whether a code can still be entered for the SMS that was sent."""
    is_over = payment.step_data.get("problem") in {CodeProblem.EXPIRED, CodeProblem.LOCKED}
    return payment.step == Step.CODE and not is_over and payment.code_tries < CODE_TRIES


def codes_left(order: Order) -> int:
    """How many more times a code may be sent for this order."""
    sent = sum(event.type == "payment.code_sent" for event in order.events.all())
    return max(0, 1 + CODE_RESENDS - sent)


def inquire(payment: Payment, *, cause: str, min_interval: timedelta = timedelta(0)) -> Payment:
    """Ask the provider what is true of a payment, and apply it. Never raises for a provider's trouble.

    With ``min_interval``, a payment that was asked about more recently is left alone.
    """
    now = timezone.now()
    mine = Payment.objects.filter(pk=payment.pk)
    if min_interval:
        mine = mine.exclude(asked_at__gt=now - min_interval)
    if mine.update(asked_at=now):  # of several who ask at once, one is let through
        _ask(payment, cause=cause)
    payment.refresh_from_db()
    return payment


def inquire_due(pk: int) -> None:
    """A payment's next inquiry: what its queue calls. Only these count: a shopper who watches uses up no schedule."""
    payment = Payment.objects.select_related("account").get(pk=pk)
    Payment.objects.filter(pk=pk).update(asked_at=timezone.now())
    _ask(payment, cause="schedule", scheduled=True)


def _fits(account: ProviderAccount, method: Method, order: Order) -> bool:
    if method.code not in account.methods if account.methods else method.opt_in:
        return False
    if order.capture_mode == CaptureMode.MANUAL and not (method.can_hold and _can_hold(account)):
        return False
    if account.currencies and order.currency not in account.currencies:
        return False
    if method.currencies is not None and order.currency not in method.currencies:
        return False
    smallest = max(method.minimum, account.minimum_minor or 1)
    largest = [limit for limit in (method.maximum, account.maximum_minor) if limit is not None]
    return order.amount >= smallest and all(order.amount <= limit for limit in largest)


def _can_hold(account: ProviderAccount) -> bool:
    """A merchant who wants to capture by hand is never charged for by a provider that captures at once."""
    return intents.offers(account, Capability.CAPTURE)


@dataclass(frozen=True)
class _Wish:
    """What an attempt is made with, beside its way to pay."""

    card: Card | None = None
    saved_card: SavedCard | None = None
    agreement: Agreement | None = None
    shopper_is_away: bool = False
    actor: str = timeline.SHOPPER


def _attempt(order: Order, offer: Offer, submission: str, wish: _Wish) -> tuple[Payment, bool]:
    """Make way and save the row; whether it is new. Raises NotPayable or AlreadyInProgress."""
    began = timezone.now()
    for sibling in order.payments.filter(status=Status.PENDING).exclude(step__in=(Step.WAIT, Step.ASK)):
        _close(inquire(sibling, cause="another attempt"))
    try:
        with transaction.atomic():
            return _reserve_attempt(order.pk, offer, submission, began=began, wish=wish)
    except IntegrityError:
        # Somebody else's attempt was saved between our look and our row: the database is the judge.
        raise AlreadyInProgress(_blocking(order)) from None


def _close(payment: Payment, *, is_unattended: bool = False) -> None:
    """Have a provider that can do so take no money any more for what was just asked about and is not paid."""
    with transaction.atomic():
        closing = intents.close(locked(payment.pk), is_unattended=is_unattended)
    if closing:
        execute(Cancellation, closing.pk)


def _reserve_attempt(
    order_pk: int, offer: Offer, submission: str, *, began: datetime, wish: _Wish
) -> tuple[Payment, bool]:
    """The row before the call. Raises NotPayable or AlreadyInProgress."""
    card, saved_card = wish.card, wish.saved_card
    order = timeline.lock(order_pk)
    existing = order.payments.filter(submission=submission).first()
    if existing:
        return existing, False
    for sibling in order.payments.filter(status__in=(Status.CREATED, Status.PENDING)):
        _supersede(sibling, asked_since=began)
    transitions.refresh(order, cause="another attempt")
    reason = refusal(order)
    if reason:
        raise NotPayable(reason)
    payment = Payment(
        **scope_of(order),
        order=order,
        number=order.payments.count() + 1,
        account=offer.account,
        method=offer.method.code,
        submission=submission,
        amount=order.amount,
        currency=order.currency,
        three_ds_wish=_three_ds_wish(order),
        payer=saved_card.payer if saved_card else messages.payer_of(order),
        with_card=card is not None or saved_card is not None,
        saved_card=saved_card,
        shopper_is_away=wish.shopper_is_away,
        due_at=timezone.now() + schedule.UNSENT_PATIENCE,
    )
    if card:
        payment.card_brand = card.brand
        payment.card_first6, payment.card_last4 = card.number[:6], card.number[-4:]
        payment.card_expiry = f"{card.expiry_month:02d}/{card.expiry_year}" if card.expiry_month else ""
    elif saved_card:
        payment.card_brand, payment.card_last4 = saved_card.brand, saved_card.last4
        payment.card_expiry = saved_card.expiry
    if wish.agreement and saved_cards.can_be_kept(order):
        payment.consent = saved_cards.record_consent(order, wish.agreement)
    payment.save()
    timeline.record(
        order,
        "payment.started",
        cause="form" if wish.actor == timeline.SHOPPER else "charge",
        actor=wish.actor,
        payment=payment,
        method=payment.method,
        account=offer.account.name,
    )
    transitions.refresh(order, cause="form", actor=wish.actor)
    return payment, True


def _three_ds_wish(order: Order) -> str:
    """The merchant's, unless the bank declined the last attempt for want of it."""
    last = order.payments.order_by("-number").first()
    if last and last.decline_category == DeclineCategory.AUTHENTICATION_REQUIRED:
        return ThreeDSWish.FORCE
    return order.three_ds


def _supersede(sibling: Payment, *, asked_since: datetime) -> None:
    """Give way to another attempt, but only after the provider has said that no money came."""
    if sibling.is_blocking or not (sibling.answered_at and sibling.answered_at >= asked_since):
        raise AlreadyInProgress(sibling)
    _give_up(sibling, cause="superseded by another attempt")


def _give_up(payment: Payment, *, cause: str) -> None:
    """End an attempt ourselves after a fetch that showed no money, and go on listening for 30 days."""
    if transitions.advance(payment, Status.EXPIRED, cause=cause):
        transitions.decline(payment, Decline(DeclineCategory.ABANDONED))
        _restart_schedule(payment, schedule.wait(schedule.LISTENING, 0))


def _restart_schedule(payment: Payment, delay: timedelta | None) -> None:
    now = timezone.now()
    payment.inquiries, payment.schedule_from = 0, now
    payment.due_at = now + delay if delay else None
    payment.save(update_fields=("inquiries", "schedule_from", "due_at"))


def _blocking(order: Order) -> Payment:
    return order.payments.latest("number")


def _begin(
    payment: Payment, call: Callable[[Provider], Started], *, unsent: Callable[[Unreachable], None] | None = None
) -> None:
    """Make the call that may charge, and record whatever came of it. ``unsent``: what to do if it never arrived."""
    cause = "answer"
    try:
        provider = gateway.connect(payment.account)
        gateway.release_connection()
        started = call(provider)
    except Unreachable as error:
        # They never acted. The reference is not used again: the shopper decides whether to try once more.
        if unsent:
            unsent(error)
        else:
            _end_unsent(payment, error, Decline(DeclineCategory.UNAVAILABLE, error.code))
    except (Rejected, gateway.AccountUnusable) as error:
        logger.error("payment_rejected payment=%s code=%s", payment.pk, getattr(error, "code", "settings"))
        _end_unsent(payment, error, Decline(DeclineCategory.PROCESSING_ERROR, getattr(error, "code", "settings")))
    except Exception as error:
        # A time-out, or an answer that makes no sense to us: they may have acted.
        if not isinstance(error, OutcomeUnknown):
            logger.error("payment_call_broke payment=%s error=%s", payment.pk, type(error).__name__)
        _await_outcome(payment, getattr(error, "code", "") or type(error).__name__)
    else:
        _record_started(payment, started, cause=cause)
        if started.report.confirm:  # the answer itself is too weak, but it says that asking is worth while
            inquire(payment, cause="answer")


def _end_unsent(payment: Payment, error: Exception, why: Decline) -> None:
    with transaction.atomic():
        payment = locked(payment.pk)
        if payment.is_waiting:
            transitions.advance(payment, Status.FAILED, cause=f"answer: {type(error).__name__}", code=why.code)
            transitions.decline(payment, why)
            _restart_schedule(payment, None)
        transitions.refresh(payment.order, cause="answer")


def _await_outcome(payment: Payment, code: str) -> None:
    with transaction.atomic():
        payment = locked(payment.pk)
        if payment.is_waiting:
            transitions.await_step(payment, Step.ASK, cause=f"answer: unknown outcome ({code})", data=payment.step_data)
            _restart_schedule(payment, schedule.wait(schedule.INQUIRY, 0))
        transitions.refresh(payment.order, cause="answer")


def _record_started(payment: Payment, started: Started, *, cause: str) -> None:
    step, data, patience = _step_of(payment, started.step)
    with transaction.atomic():
        outcome = apply(payment.account, started.report, road=Road.ANSWER, cause=cause)
        payment = locked(payment.pk)
        if outcome is not Outcome.REVIEW and payment.is_waiting:
            if step in {Step.REDIRECT, Step.POST_FORM} and not gateway.may_redirect(payment.account, data["url"]):
                _refuse_redirect(payment, data["url"])
            elif step == Step.CODE:
                _await_code(payment, data, cause=cause)
            else:
                deadline = timezone.now() + patience if patience else None
                transitions.await_step(payment, step, cause=cause, data=data, deadline=deadline)
                _restart_schedule(payment, schedule.wait(schedule.INQUIRY, 0))
        transitions.refresh(payment.order, cause=cause)


def _refuse_redirect(payment: Payment, url: str) -> None:
    """A provider's answer that leads somewhere unknown is not followed; a person hears of it."""
    logger.error("redirect_refused payment=%s", payment.pk)
    transitions.advance(payment, Status.FAILED, cause="redirect to an unknown host")
    transitions.decline(payment, Decline(DeclineCategory.PROCESSING_ERROR, "redirect_refused"))
    timeline.record(payment.order, "payment.redirect_refused", cause="answer", payment=payment, url=url[:200])
    _restart_schedule(payment, schedule.wait(schedule.LISTENING, 0))


def _await_code(payment: Payment, data: dict[str, Any], *, cause: str) -> None:
    """Ask for a code: a new one, or the same again after a wrong one."""
    before = payment.step_data
    problem = data.get("problem")
    is_new = "handle" not in before or problem == CodeProblem.ANOTHER
    if is_new:
        payment.code_tries = 0
        payment.save(update_fields=("code_tries",))
        timeline.record(payment.order, "payment.code_sent", cause=cause, actor=timeline.PROVIDER, payment=payment)
        data["sent_at"] = timezone.now().isoformat()
        data["until"] = (timezone.now() + schedule.CODE_PATIENCE).isoformat()
    else:
        data = {**before, **data, "sent_to": data["sent_to"] or before.get("sent_to", "")}
        if not problem:
            data.pop("problem", None)
    if problem == CodeProblem.WRONG and payment.code_tries >= CODE_TRIES:
        data["problem"] = CodeProblem.LOCKED
    transitions.await_step(payment, Step.CODE, cause=cause, data=data, deadline=datetime.fromisoformat(data["until"]))
    _restart_schedule(payment, schedule.wait(schedule.INQUIRY, 0))


def _await_code_again(pk: int, data: dict[str, Any]) -> None:
    """The code never reached the provider: it is as good as not entered."""
    with transaction.atomic():
        payment = locked(pk)
        if payment.status == Status.PENDING and payment.step == Step.ASK:
            payment.code_tries -= 1
            payment.save(update_fields=("code_tries",))
            _await_code(payment, {**data, "problem": UNHEARD}, cause="code never arrived")
        transitions.refresh(payment.order, cause="code")


def _code_context(payment: Payment) -> str:
    return f"payment_code:{payment.public_id}"


def _step_of(payment: Payment, step: NextStep) -> tuple[Step, dict[str, Any], timedelta | None]:
    """What to await, what the page needs for it, and how long the shopper has."""
    match step:
        case Redirect(url):
            return Step.REDIRECT, {"url": url}, schedule.REDIRECT_PATIENCE
        case PostForm(url, fields):
            return Step.POST_FORM, {"url": url, "fields": dict(fields)}, schedule.REDIRECT_PATIENCE
        case EnterCode(handle, sent_to, problem):
            data = {"handle": seal(handle, context=_code_context(payment)).decode(), "sent_to": sent_to}
            return Step.CODE, data | ({"problem": problem} if problem else {}), schedule.CODE_PATIENCE
        case ShowQr(content, seconds):
            patience = timedelta(seconds=seconds) if seconds else schedule.CODE_PATIENCE
            return Step.QR, {"content": content}, min(patience, schedule.CODE_PATIENCE)
        case _:
            return Step.WAIT, {}, None


# ------------------------------------------------------------------------------------------------------------ inquiring


def _ask(payment: Payment, *, cause: str, scheduled: bool = False) -> None:
    report = _fetch(payment)
    if report is not None:
        outcome = apply(payment.account, report, road=Road.FETCH, cause=f"fetch: {cause}")
    with transaction.atomic():
        payment = locked(payment.pk)
        if report is not None and outcome is not Outcome.REVIEW:
            # An answer that contradicts ours is none: it may tell of money, so nothing ends because of it.
            payment.answered_at = timezone.now()
            payment.save(update_fields=("answered_at",))
            _draw_conclusions(payment, report)
        if scheduled:
            _plan_next(payment)
        transitions.refresh(payment.order, cause="fetch")


def _fetch(payment: Payment) -> PaymentReport | None:
    """The provider's word; None when there is no usable answer."""
    try:
        provider = gateway.connect(payment.account)
        gateway.release_connection()
        return provider.fetch(messages.payment_ref(payment))
    except (ProviderError, gateway.AccountUnusable) as error:
        kind = type(error).__name__
        logger.warning("inquiry_failed payment=%s error=%s code=%s", payment.pk, kind, getattr(error, "code", ""))
    except Exception as error:
        logger.error("inquiry_broke payment=%s error=%s", payment.pk, type(error).__name__)
    return None


def _draw_conclusions(payment: Payment, report: PaymentReport) -> None:
    """What silence means: a payment they never got, a page the shopper never saw, a shopper who never came back."""
    if not payment.is_waiting:
        return
    now = timezone.now()
    settled = timedelta(seconds=gateway.provider_class(payment.account.provider).settling_seconds)
    overdue = payment.deadline is not None and payment.deadline <= now
    if report.absent and payment.step == Step.POST_FORM:
        # They hear of it from the shopper's browser only, which may still be on its way.
        if overdue:
            _give_up(payment, cause="fetch: their page was never opened")
        return
    if report.absent:
        if not payment.provider_reference and now - payment.created_at >= settled:
            transitions.advance(payment, Status.FAILED, cause="fetch: they do not know it")
            transitions.decline(payment, Decline(DeclineCategory.UNAVAILABLE, "absent"))
            _restart_schedule(payment, schedule.wait(schedule.LISTENING, 0))
        return
    unseen = payment.step == Step.ASK and not payment.with_card and report.status is Status.PENDING
    if payment.step == Step.ASK and "handle" in payment.step_data and report.awaits_shopper:
        # A code was sent off and its answer was lost; the provider never took it.
        _await_code(payment, {**payment.step_data, "problem": UNHEARD}, cause="fetch: the code was not taken")
    elif unseen:
        # They made a page for the shopper but its address was lost with their answer, so nobody can pay there.
        _give_up(payment, cause="fetch: no money, and the shopper never got the page")
    elif overdue and report.status in {Status.PENDING, None}:
        _give_up(payment, cause="fetch: no money, and the shopper did not come back")


def _plan_next(payment: Payment) -> None:
    """The next inquiry, or none, or a person."""
    now = timezone.now()
    payment.inquiries += 1
    if payment.is_waiting or payment.awaits_capture:
        delay = schedule.wait(schedule.INQUIRY, payment.inquiries)
        if delay is None:
            kind = "no_outcome" if payment.is_waiting else "not_captured"
            transitions.open_review(
                payment.order, payment, kind, cause="schedule", ours=payment.status, theirs="no final answer"
            )
    elif payment.status == Status.AUTHORISED and payment.held and not _has_operations_in_flight(payment):
        delay = schedule.wait(schedule.HELD, payment.inquiries)
    elif payment.status in transitions.ENDED and payment.due_at:
        delay = schedule.wait(schedule.LISTENING, payment.inquiries)
    elif _has_operations_in_flight(payment):
        delay = schedule.DAY  # the end of an operation brings this forward: then the totals are compared once more
    elif payment.due_at and payment.due_at <= now:
        delay = timedelta()  # one ended while we asked, so this answer may be too old to have its money
    else:
        delay = None
    payment.due_at = now + delay if delay is not None else None
    if payment.due_at and payment.is_waiting and payment.deadline and payment.deadline > now:
        payment.due_at = min(payment.due_at, payment.deadline)
    payment.save(update_fields=("inquiries", "due_at"))


def _has_operations_in_flight(payment: Payment) -> bool:
    return any(operation.is_in_flight for operation in (*payment.captures.all(), *payment.refunds.all()))


# --------------------------------------------------------------------------------------------------- ending an order


def expire_due(pk: int) -> None:
    """An order whose time is up: ask about every open payment, and only then call it expired."""
    order = Order.objects.get(pk=pk)
    began = timezone.now()
    if order.expires_at > began:
        Order.objects.filter(pk=pk).update(due_at=order.expires_at)
        return
    # A payment at wait or ask has a schedule of its own; asking more often would not make its provider know more.
    for payment in order.payments.select_related("account").filter(status=Status.PENDING):
        if not payment.is_blocking:
            _close(inquire(payment, cause="expiry"))
    with transaction.atomic():
        order = timeline.lock(pk)
        if _end_waiting(order, asked_since=began, cause="order expired"):
            # Ever more rarely: what a provider cannot tell us now it will hardly tell us in a minute.
            overtime = timezone.now() - order.expires_at
            order.due_at = timezone.now() + min(max(schedule.MINUTE, overtime / 4), schedule.HOUR * 6)
            order.save(update_fields=("due_at",))
        elif order.captured_total or order.authorised_total or order.cancelled_at:
            order.due_at = None
            order.save(update_fields=("due_at",))
        else:
            transitions.expire_order(order, cause="expiry")


def cancel_order(order: Order, *, actor: str) -> Order:
    """The merchant no longer wants this order paid. Twice is as good as once; held money is let go.

    Raises intents.NotAllowed when money was taken or an attempt has no outcome yet.
    """
    began = timezone.now()
    for payment in order.payments.select_related("account").filter(status__in=(Status.CREATED, Status.PENDING)):
        _close(inquire(payment, cause="cancel"))
    with transaction.atomic():
        order = timeline.lock(order.pk)
        if order.cancelled_at:
            return order
        if order.captured_total:
            raise intents.NotAllowed("paid", "Money was taken; refund it instead.")
        if _end_waiting(order, asked_since=began, cause="order cancelled"):
            raise intents.NotAllowed("in_progress", "A payment has no outcome yet; try again later.")
        for payment in order.payments.select_related("account"):
            if payment.held and not intents.is_cancelling(payment):
                intents.cancel(payment, requested_by=actor)
        transitions.cancel_order(order, cause="cancel", actor=actor)
    return order


def _end_waiting(order: Order, *, asked_since: datetime, cause: str) -> bool:
    """Give up what awaits the shopper and was just asked about; whether anything is still open."""
    still_open = False
    for payment in order.payments.filter(status__in=(Status.CREATED, Status.PENDING)):
        if payment.is_blocking or not (payment.answered_at and payment.answered_at >= asked_since):
            still_open = True
        else:
            _give_up(payment, cause=cause)
    transitions.refresh(order, cause=cause)
    return still_open


# ----------------------------------------------------------------------------------------------------------- operations


def refund(payment: Payment, **wish: Any) -> Refund:
    """Ask for a refund and try it at once; see ``intents.refund`` for the wish. Raises intents.NotAllowed."""
    with transaction.atomic():
        row = intents.refund(locked(payment.pk), **wish)
    return _at_once(row)


def capture(payment: Payment, **wish: Any) -> Capture:
    """Ask for a capture and try it at once; see ``intents.capture`` for the wish. Raises intents.NotAllowed."""
    with transaction.atomic():
        row = intents.capture(locked(payment.pk), **wish)
    return _at_once(row)


def cancel(payment: Payment, **wish: Any) -> Cancellation:
    """Ask to let a hold go and try it at once; see ``intents.cancel`` for the wish. Raises intents.NotAllowed."""
    with transaction.atomic():
        row = intents.cancel(locked(payment.pk), **wish)
    return _at_once(row)


def resolve_review(review: Review, *, actor: str, resolution: str) -> bool:
    """Close a review with a person's words; False when it was closed before."""
    with transaction.atomic():
        review.order = timeline.lock(review.order_id)
        decided = transitions.resolve_review(review, actor=actor, resolution=resolution)
        if decided and review.payment_id:
            _resume(locked(review.payment_id))
    return decided


def _resume(payment: Payment) -> None:
    """Whatever was left to a person and still has no outcome is asked about again."""
    if payment.is_waiting and not payment.due_at:
        _restart_schedule(payment, schedule.wait(schedule.INQUIRY, 0))
    for kind in (Capture, Refund, Cancellation):
        for operation in kind._default_manager.filter(payment=payment, due_at=None):
            if operation.is_in_flight:
                operation.due_at = timezone.now()
                operation.save(update_fields=("due_at",))


def _at_once(row: Op) -> Op:
    execute(type(row), row.pk)
    row.refresh_from_db()
    return row
