"""Whatever happens, in whatever order, with whatever going wrong: the invariants hold and the books agree.

A state machine plays shopper, merchant, bank and clock against the real database. After each step it holds every order
against the invariants; at the end it lets the faults stop, lets time pass, and compares our books with the bank's.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from checkout import work
from checkout.orders import operations
from checkout.orders.intents import NotAllowed
from checkout.orders.models import Order, Payment, Review
from checkout.orders.operations import AlreadyInProgress, NotPayable
from checkout.webhooks.models import State, WebhookEvent
from tests.factories import a_merchant, a_payment, an_account, an_event, an_order
from tests.orders.invariants import check_order
from tests.orders.stage import fresh, next_due, reach

pytestmark = pytest.mark.django_db

PROFILE = hypothesis.settings.get_current_profile_name()
EXAMPLES, STEPS = (100, 50) if PROFILE == "ci" else (25, 30)

FAULTS = st.sampled_from(("unreachable", "rejected", "lost", "lost_after", "garbled", "death", "death_after"))
ANY = st.integers(0, 10**6)
"""Which of the things at hand: taken modulo their number."""
AMOUNTS = st.integers(1, 1000)


def without_death(call, *args, **kwargs):
    """Make a call that our own process may not survive; a no is as good as a yes."""
    try:
        return call(*args, **kwargs)
    except (AlreadyInProgress, NotPayable, NotAllowed, KeyboardInterrupt):
        return None


def there_is_a_charge(machine):
    return bool(machine.bank.charges)


class Checkout(RuleBasedStateMachine):
    """One merchant, one bank, a few orders."""

    def __init__(self):
        super().__init__()
        from providers.acme import BANK

        self.bank = BANK
        self.bank.reset()
        self.clock = time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False)
        self.traveller = self.clock.start()
        self.database = transaction.atomic()  # each example's rows are gone with it
        self.database.__enter__()
        self.numbers = itertools.count(1)
        self.notices = []
        self.ranks = {}

    @initialize(
        late=st.sampled_from(("accept", "hold", "refund")),
        duplicate=st.sampled_from(("hold", "give_back")),
        tries=st.integers(2, 6),
    )
    def open_shop(self, late, duplicate, tries):
        self.merchant = a_merchant(late_money=late, duplicate_money=duplicate, try_limit=tries)
        self.account = an_account(self.merchant)
        self.orders = []
        self.order("automatic", 3600)

    # ----------------------------------------------------------------------------------------------- shopper, merchant

    @precondition(lambda self: len(self.orders) < 3)
    @rule(capture=st.sampled_from(("automatic", "manual")), expires_in=st.sampled_from((300, 3600, 86400)))
    def order(self, capture, expires_in):
        self.orders.append(an_order(self.merchant, capture=capture, expires_in=expires_in))

    @rule(which=ANY, method=st.sampled_from(("card", "cashier", "cashier", "instant")))
    def pay(self, which, method):
        without_death(a_payment, self.one_of(self.orders, which), method)

    @precondition(there_is_a_charge)
    @rule(which=ANY)
    def watch(self, which):
        if payment := self.one_of(self.payments(), which):
            without_death(operations.inquire, payment, cause="page", min_interval=timedelta(seconds=3))

    @rule(which=ANY)
    def cancel_order(self, which):
        without_death(operations.cancel_order, self.one_of(self.orders, which), actor="staff:1")

    @precondition(there_is_a_charge)
    @rule(which=ANY, amount=st.none() | AMOUNTS)
    def capture(self, which, amount):
        if payment := self.one_of(self.payments(), which):
            without_death(operations.capture, payment, amount=amount)

    @precondition(there_is_a_charge)
    @rule(which=ANY, amount=st.none() | AMOUNTS)
    def refund(self, which, amount):
        if payment := self.one_of([one for one in self.payments() if one.captured_total], which):
            without_death(operations.refund, payment, amount=amount)

    @precondition(there_is_a_charge)
    @rule(which=ANY)
    def let_go(self, which):
        if payment := self.one_of(self.payments(), which):
            without_death(operations.cancel, payment)

    @precondition(lambda self: Review.objects.filter(resolved_at=None).exists())
    @rule(which=ANY)
    def decide(self, which):
        reviews = list(Review.objects.filter(resolved_at=None).order_by("pk"))
        if review := self.one_of(reviews, which):
            assert operations.resolve_review(review, actor="staff:1", resolution="seen")
            assert not operations.resolve_review(review, actor="staff:2", resolution="seen")

    # ------------------------------------------------------------------------------------------------------------ bank

    @precondition(there_is_a_charge)
    @rule(which=ANY, outcome=st.sampled_from(("approve", "approve", "approve", "failed", "expired")))
    def shopper_decides(self, which, outcome):
        if charge := self.one_of(self.charges(), which):
            charge.approve() if outcome == "approve" else charge.end(outcome)

    @precondition(there_is_a_charge)
    @rule(which=ANY, amount=AMOUNTS, deed=st.sampled_from(("refund", "capture", "void")))
    def somebody_uses_the_providers_dashboard(self, which, amount, deed):
        if charge := self.one_of(self.charges(), which):
            match deed:
                case "refund":
                    made = charge.refund_elsewhere(amount)
                    if made:
                        self.notices.append(charge.operation_notice(f"e{next(self.numbers)}", made))
                case "capture":
                    charge.capture_elsewhere(amount)
                case "void":
                    charge.void()

    @precondition(there_is_a_charge)
    @rule(which=ANY)
    def refund_bounces(self, which):
        refunds = [
            (charge, reference)
            for charge in self.charges()
            for reference, deed in charge.operations.items()
            if deed.kind == "refund" and deed.status == "succeeded" and reference.startswith("R")
        ]
        if found := self.one_of(refunds, which):
            charge, reference = found
            charge.bounce(reference)
            deed = charge.operations[reference]
            self.notices.append(charge.operation_notice(f"e{next(self.numbers)}", deed, reference=reference))

    @precondition(there_is_a_charge)
    @rule(kind=st.sampled_from(("capture", "refund", "cancel")), mood=st.sampled_from(("slow", "no", "fast")))
    def bank_has_moods(self, kind, mood):
        self.bank.slow.discard(kind)
        self.bank.refuses.discard(kind)
        if mood == "slow":
            self.bank.slow.add(kind)
        if mood == "no":
            self.bank.refuses.add(kind)

    @precondition(there_is_a_charge)
    @rule()
    def bank_settles(self):
        self.bank.settle()

    @rule(call=st.sampled_from(("start", "fetch", "capture", "refund", "cancel", "fetch_refund")), fault=FAULTS)
    def something_breaks(self, call, fault):
        self.bank.arm(call, fault)

    # ------------------------------------------------------------------------------------------------------------ news

    @precondition(there_is_a_charge)
    @rule(which=ANY)
    def bank_writes_a_notice(self, which):
        if charge := self.one_of(self.charges(), which):
            self.notices.append(charge.notice(f"e{next(self.numbers)}"))

    @precondition(lambda self: self.notices)
    @rule(which=ANY)
    def notice_arrives(self, which):
        """Late, twice and in any order: whichever was ever written may come now."""
        if notice := self.one_of(self.notices, which):
            an_event(self.account, notice)

    @precondition(there_is_a_charge)
    @rule(which=ANY, lie=st.sampled_from(({"amount": 999}, {"currency": "USD"}, {"id": "A999"})))
    def forged_notice_arrives(self, which, lie):
        # Under another name than ours for it, it can be told from the truth only once we know its name.
        known = {payment.reference for payment in self.payments() if payment.provider_reference or "id" not in lie}
        if charge := self.one_of([one for one in self.charges() if one.reference in known], which):
            before = fresh_money(self.payments())
            event = an_event(self.account, charge.notice(f"e{next(self.numbers)}", **lie))
            work.run_one("inbox", event.pk)
            assert fresh_money(self.payments()) == before

    # ------------------------------------------------------------------------------------------------------------ time

    @rule(seconds=st.sampled_from((1, 15, 60, 600, 1000, 4000, 90000, 3 * 86400)))
    def clock_jumps(self, seconds):
        self.traveller.shift(seconds)

    @rule()
    def work_is_done(self):
        without_death(work.run_due)

    # ------------------------------------------------------------------------------------------------------ invariants

    @invariant()
    def all_is_well(self):
        for order in Order.objects.select_related("merchant").order_by("pk"):
            check_order(order)

    @invariant()
    def a_payment_never_falls_back(self):
        from checkout.orders.transitions import PAYMENT

        for payment in Payment.objects.all():
            assert PAYMENT[payment.status] >= self.ranks.get(payment.pk, 0)
            self.ranks[payment.pk] = PAYMENT[payment.status]

    def teardown(self):
        try:
            if hasattr(self, "merchant"):
                self.faults_end_and_the_books_agree()
        finally:
            transaction.set_rollback(True)
            self.database.__exit__(None, None, None)
            self.clock.stop()
            self.bank.reset()

    def faults_end_and_the_books_agree(self):
        self.bank.faults.clear()
        self.bank.slow.clear()
        self.bank.settle()
        for charge in self.charges():
            charge.end("expired")
        for notice in self.notices:  # no inquiry tells of a bounced refund, so this notice comes in the end
            if notice["kind"] == "operation":
                an_event(self.account, notice)
        self.listen_for(timedelta(days=1))
        self.decide_everything()
        self.listen_for(timedelta(days=40))
        self.decide_everything()
        self.listen_for(timedelta(days=40))
        self.all_is_well()
        for charge in self.charges():
            payment = Payment.objects.get(reference=charge.reference)
            self.books_agree(payment, charge)
        assert not [one for one in self.payments() if one.is_waiting]
        assert not WebhookEvent.objects.exclude(state__in=(State.APPLIED, State.DEAD)).exists()
        seen = snapshot()
        assert work.run_due() == 0
        assert snapshot() == seen

    def books_agree(self, payment, charge):
        ours = (payment.captured_total, payment.refunded_total, payment.reversed_total, payment.held)
        theirs = (charge.captured, charge.refunded, charge.bounced, charge.held)
        assert ours == theirs, (ours, theirs, payment.status, charge)
        assert not payment.captures_reserved
        assert not payment.refunds_reserved

    def decide_everything(self):
        for review in Review.objects.filter(resolved_at=None):
            operations.resolve_review(review, actor="staff:1", resolution="seen")

    def listen_for(self, span):
        end = timezone.now() + span
        self.run_until_quiet()
        for _ in range(500):
            due = next_due()
            if due is None or due > end:
                break
            reach(self.traveller, due)
            self.run_until_quiet()
        else:
            raise AssertionError("there is always something due")
        reach(self.traveller, end)

    def run_until_quiet(self):
        for _ in range(20):
            if not work.run_due():
                return
        raise AssertionError("there is always something due")

    # ------------------------------------------------------------------------------------------------------------- all

    def payments(self):
        return list(Payment.objects.select_related("account").order_by("pk"))

    def charges(self):
        return list(self.bank.charges.values())

    @staticmethod
    def one_of(things, which):
        return things[which % len(things)] if things else None


def fresh_money(payments):
    return [(one.status, one.captured_total, one.refunded_total, one.authorised_total) for one in map(fresh, payments)]


def snapshot():
    """All that the core knows, for "and again changes nothing"."""
    return [list(kind.objects.order_by("pk").values()) for kind in (Order, Payment, Review, WebhookEvent)]


@pytest.mark.usefixtures("db")
def test_whatever_happens_the_books_agree():
    hypothesis.stateful.run_state_machine_as_test(
        Checkout,
        settings=hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


# -------------------------------------------------------------------------------------------- every order ends the same


ROADS = ("return", "webhook", "webhook again", "schedule", "expiry", "retry")


def test_every_order_of_events_ends_the_same(merchant, account, bank, clock):
    """The shopper pays at the cashier when the order is about to expire; then everybody notices, in some order."""
    order = an_order(merchant, expires_in=300)
    payment = a_payment(order, "cashier")
    clock.shift(301)
    bank.latest().approve()
    notice = bank.latest().notice("paid")
    ends = Counter()

    def explore(left):
        if not left:
            check_order(fresh(order))
            ends[end_of(fresh(order))] += 1
        for road in left:
            if road == "webhook again" and "webhook" in left:
                continue  # of two copies, either may be called the second
            with transaction.atomic():
                walk(road, account, order, payment, notice)
                explore([other for other in left if other != road])
                transaction.set_rollback(True)

    explore(ROADS)

    assert ends == {("paid", ("test",), 1000, 1, ("captured",), 2): 360}


def walk(road, account, order, payment, notice):
    match road:
        case "return":
            operations.inquire(payment, cause="return", min_interval=timedelta(seconds=5))
        case "webhook" | "webhook again":
            work.run_one("inbox", an_event(account, notice).pk)
        case "schedule":
            work.run_one("payments", payment.pk)
        case "expiry":
            work.run_one("orders", order.pk)
        case "retry":
            with pytest.raises(NotPayable):
                a_payment(order, "instant")


def end_of(order):
    """Status, flags, money, announcements of success, payments, and entries in the ledger."""
    payments = list(order.payments.all())
    return (
        order.status,
        tuple(order.flags),
        order.captured_total,
        order.events.filter(type="payment.succeeded").count(),
        tuple(payment.status for payment in payments),
        sum(payment.entries.count() for payment in payments),
    )
