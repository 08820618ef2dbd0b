"""From the record: applied once, parked while it makes no sense, retried, and given up with an alarm."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from checkout import work
from checkout.orders import operations
from checkout.webhooks import inbox
from checkout.webhooks.models import WebhookEvent
from tests.factories import a_payment, an_account, an_event, an_order, work_until_quiet
from tests.orders.stage import fresh, hear, pass_time, reach, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(merchant, account, bank):
    return a_payment(an_order(merchant), "card")


def test_an_event_is_applied_and_done(waiting, account, bank):
    bank.latest().approve()

    event = hear(account, bank.latest().notice("e1"))

    assert (event.state, event.outcome, event.due_at) == ("applied", "applied", None)
    assert state(waiting) == ("captured", "", "paid")


def test_an_event_of_no_interest_is_done(account, bank):
    event = hear(account, {"event": "e1", "kind": "advertisement"})

    assert (event.state, event.outcome) == ("applied", "nothing of interest")


def test_an_event_applied_again_changes_nothing(waiting, account, bank):
    bank.latest().approve()
    event = hear(account, bank.latest().notice("e1"))

    inbox.apply_event(event.pk)

    assert fresh(event).tries == 1
    assert waiting.entries.count() == 2


def test_a_webhook_before_our_own_row_is_parked_and_finds_it_later(merchant, account, bank, clock):
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()
    notice = bank.latest().notice("e1")
    reference, payment.reference = payment.reference, "P-not-committed-yet"
    type(payment).objects.update(reference=payment.reference, provider_reference="", due_at=None)
    event = hear(account, notice)
    assert (event.state, event.outcome) == ("parked", "unmatched")

    type(payment).objects.update(reference=reference)
    pass_time(clock, minutes=2)

    assert (fresh(event).state, fresh(event).tries) == ("applied", 2)
    assert state(payment) == ("captured", "", "paid")


def test_an_event_that_never_finds_its_payment_is_given_up_with_an_alarm(account, bank, clock, caplog):
    event = hear(account, {"event": "e1", "reference": "P1", "state": "pending"})
    assert event.state == "parked"

    pass_time(clock, days=3)

    assert (fresh(event).state, fresh(event).due_at, fresh(event).tries) == ("dead", None, len(inbox.PARKED) + 1)
    assert f"webhook_given_up account={account.pk} event={event.pk}" in caplog.text


def test_the_waits_of_a_parked_event_grow(account, bank, clock):
    event = hear(account, {"event": "e1", "reference": "P1", "state": "pending"})
    waits = []
    while fresh(event).state == "parked":
        waits.append((fresh(event).due_at - timezone.now()) / timedelta(minutes=1))
        reach(clock, fresh(event).due_at)
        work.run_one("inbox", event.pk)

    assert waits == [pytest.approx(minutes, rel=0.11) for minutes in (1, 5, 30, 120, 360, 1440)]


def test_another_accounts_event_is_parked_and_not_applied(merchant, waiting, account, bank):
    """Two accounts with one key: the signature is good at either URL, the payment belongs to one."""
    bank.latest().approve()
    other = an_account(merchant)

    event = hear(other, bank.latest().notice("e1"))

    assert event.state == "parked"
    assert state(waiting) == ("pending", "wait", "processing")


def test_an_event_that_needs_a_fetch_is_done_when_the_fetch_answers(waiting, account, bank):
    bank.latest().approve()

    event = hear(account, {"event": "e1", "kind": "hint", "reference": waiting.reference})

    assert (event.state, event.outcome) == ("applied", "confirm")
    assert state(waiting) == ("captured", "", "paid")


@pytest.mark.parametrize("fault", ["unreachable", "lost", "rejected"])
def test_an_event_that_needs_a_fetch_stays_parked_until_the_fetch_answers(waiting, account, bank, clock, fault):
    bank.latest().approve()
    bank.arm("fetch", fault)
    event = hear(account, {"event": "e1", "kind": "hint", "reference": waiting.reference})
    assert (event.state, event.outcome) == ("parked", "confirm")
    assert state(waiting) == ("pending", "wait", "processing")

    pass_time(clock, minutes=3)

    assert fresh(event).state == "applied"
    assert state(waiting) == ("captured", "", "paid")


def test_an_event_that_needs_a_fetch_is_left_to_the_person_whom_the_fetch_called(waiting, account, bank):
    bank.latest().approve()
    bank.latest().tells = {"provider_reference": "A999"}

    event = hear(account, {"event": "e1", "kind": "hint", "reference": waiting.reference})

    assert event.state == "applied"
    assert state(waiting)[2] == "needs_review"


def test_an_event_that_breaks_is_retried_given_up_and_stops_nobody(waiting, account, bank, clock, caplog):
    poison = an_event(account, {"event": "e1", "kind": "poison"})
    bank.latest().approve()

    event = hear(account, bank.latest().notice("e2"))
    assert (fresh(poison).state, fresh(poison).outcome) == ("parked", "broke: ValueError")
    assert event.state == "applied"
    pass_time(clock, days=3)

    assert fresh(poison).state == "dead"
    assert "webhook_given_up" in caplog.text


def test_an_event_whose_seal_does_not_open_waits_for_its_key(waiting, account, bank, clock, settings):
    keys, wrong = settings.SEAL_KEYS, ["MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="]
    bank.latest().approve()
    event = an_event(account, bank.latest().notice("e1"))
    settings.SEAL_KEYS = wrong
    inbox.apply_event(event.pk)
    assert fresh(event).state == "parked"

    settings.SEAL_KEYS = keys
    pass_time(clock, minutes=2)

    assert fresh(event).state == "applied"


def test_a_worker_that_died_leaves_an_event_that_comes_again(waiting, account, bank, clock):
    bank.latest().approve()
    event = an_event(account, {"event": "e1", "kind": "hint", "reference": waiting.reference})
    bank.arm("fetch", "death")
    with pytest.raises(KeyboardInterrupt):
        work.run_one("inbox", event.pk)
    assert fresh(event).state == "received"

    clock.shift(61)
    work_until_quiet()

    assert fresh(event).state == "applied"
    assert state(waiting) == ("captured", "", "paid")


def test_events_of_an_ended_account_are_still_applied(waiting, account, bank):
    type(account).objects.update(enabled=False)
    bank.latest().approve()

    hear(account, bank.latest().notice("e1"))

    assert state(waiting) == ("captured", "", "paid")


def test_a_thousand_copies_are_one_row(waiting, account, bank):
    notice = bank.latest().notice("e1")
    for _ in range(50):
        an_event(account, notice)

    assert WebhookEvent.objects.get().copies == 49
    operations.inquire(waiting, cause="test")
