"""News that comes late, twice, early or out of order changes facts and never history."""

from __future__ import annotations

import itertools

import pytest

from checkout.orders import apply as applying
from checkout.orders import operations
from checkout.orders.apply import Outcome, Road
from providers.contract import CardFacts, DisputeReport, FraudReport, Hint, PaymentReport, Status, ThreeDSFacts
from providers.money import Money
from tests.factories import a_payment, an_order
from tests.orders.stage import fresh, hear, state, types

pytestmark = pytest.mark.django_db


ORDERS_OF_NEWS = list(itertools.permutations(("authorised", "captured", "refunded", "failed")))


@pytest.fixture
def waiting(merchant, account, bank):
    return a_payment(an_order(merchant), "card")


@pytest.fixture
def held(merchant, account, bank):
    return a_payment(an_order(merchant, capture="manual"), "instant")


def told(payment, status=None, *, road=Road.WEBHOOK, **facts):
    report = PaymentReport(reference=payment.reference, status=status, **facts)
    return applying.apply(payment.account, report, road=road, cause="test")


# --------------------------------------------------------------------------------------------------------- out of order


@pytest.mark.parametrize("word", ["pending", "failed", "cancelled", "expired"])
def test_late_news_never_lowers_a_paid_payment(waiting, account, bank, word):
    old = bank.latest().notice("old", state=word)
    bank.latest().approve()
    hear(account, bank.latest().notice("paid"))

    hear(account, old)

    assert state(waiting) == ("captured", "", "paid")
    assert fresh(waiting).captured_total == 1000


@pytest.mark.parametrize("word", ["failed", "cancelled", "expired"])
def test_money_after_a_bad_ending_is_accepted(waiting, account, bank, word):
    hear(account, bank.latest().notice("end", state=word))
    assert state(waiting)[0] == word
    bank.latest().approve()

    hear(account, bank.latest().notice("paid"))

    assert state(waiting) == ("captured", "", "paid")


def test_a_capture_may_come_before_its_authorisation(held, account, bank):
    authorised = bank.latest().notice("authorised")
    bank.latest().capture_elsewhere(1000)
    captured = bank.latest().notice("captured")

    hear(account, captured)
    hear(account, authorised)

    assert state(held) == ("captured", "", "paid")
    assert (fresh(held).authorised_total, fresh(held).captured_total) == (1000, 1000)


def test_a_capture_without_any_authorisation_is_whole(waiting, account, bank):
    bank.latest().approve()

    hear(account, bank.latest().notice("captured", authorised=None))

    assert (fresh(waiting).authorised_total, fresh(waiting).captured_total) == (1000, 1000)


def test_smaller_totals_are_old_news(waiting, account, bank):
    bank.latest().approve()
    bank.latest().refund_elsewhere(400)
    hear(account, bank.latest().notice("refunded"))
    before = types(waiting.order)

    hear(account, bank.latest().notice("captured earlier", refunded=0))
    hear(account, bank.latest().notice("authorised earlier", state="authorised", captured=0, refunded=0))

    assert types(waiting.order) == before
    assert (fresh(waiting).captured_total, fresh(waiting).refunded_total) == (1000, 400)


@pytest.mark.parametrize(
    "order_of_news", list(itertools.permutations(("authorised", "captured", "refunded", "failed")))
)
def test_every_order_of_news_ends_the_same(held, account, bank, order_of_news):
    charge = bank.latest()
    notices = {"authorised": charge.notice("authorised"), "failed": charge.notice("failed", state="failed")}
    charge.capture_elsewhere(1000)
    notices["captured"] = charge.notice("captured")
    charge.refund_elsewhere(300)
    notices["refunded"] = charge.notice("refunded")

    for word in order_of_news:
        hear(account, notices[word])
        hear(account, {**notices[word], "event": f"{word} again"})

    payment = fresh(held)
    assert state(held) == ("captured", "", "partially_refunded")
    assert (payment.authorised_total, payment.captured_total, payment.refunded_total) == (1000, 1000, 300)
    assert types(held.order).count("payment.succeeded") == 1


@pytest.mark.parametrize(
    ("status", "captured"),
    [(None, None), (None, 5), ("pending", None), ("failed", None), ("expired", 7), ("captured", 1), ("captured", 2000)],
)
def test_a_report_twice_is_a_report_once(waiting, status, captured):
    told(waiting, status and Status(status), captured=captured)
    once = types(waiting.order)

    assert told(waiting, status and Status(status), captured=captured) is Outcome.NO_NEWS
    assert types(waiting.order) == once


# ------------------------------------------------------------------------------------------------- weak words and facts


@pytest.mark.parametrize("word", ["failed", "cancelled", "expired"])
def test_a_webhook_that_takes_a_hold_away_is_only_believed_by_fetch(held, account, bank, word):
    event = hear(account, bank.latest().notice("gone", state=word))

    assert (event.state, event.outcome, bank.calls[-1]) == ("applied", "confirm", "fetch")
    assert state(held) == ("authorised", "", "authorised")
    assert fresh(held).held == 1000


def test_a_webhook_that_takes_a_hold_away_is_believed_once_the_provider_says_so(held, account, bank):
    bank.latest().void()

    hear(account, bank.latest().notice("gone"))

    assert state(held) == ("cancelled", "", "open")
    assert (fresh(held).held, fresh(held).released_total) == (0, 1000)


def test_a_webhook_that_only_tells_of_a_release_is_confirmed(held, account, bank):
    hear(account, bank.latest().notice("gone", released=1000))

    assert fresh(held).released_total == 0
    assert bank.calls[-1] == "fetch"


def test_news_of_a_hold_after_the_news_of_its_end_is_confirmed(merchant, account, bank):
    payment = a_payment(an_order(merchant, capture="manual"), "card")
    bank.latest().approve()
    authorised = bank.latest().notice("authorised")
    bank.latest().void()
    hear(account, bank.latest().notice("gone", authorised=None, released=None))
    assert state(payment)[0] == "cancelled"

    hear(account, authorised)

    assert (fresh(payment).held, state(payment)[2]) == (0, "open")


def test_a_webhook_too_weak_to_move_money_is_confirmed(waiting, account, bank):
    hear(account, bank.latest().notice("said", state="captured", captured=1000, confirm=True))
    assert state(waiting) == ("pending", "wait", "processing")
    bank.latest().approve()

    hear(account, bank.latest().notice("true", confirm=True))

    assert state(waiting) == ("captured", "", "paid")


def test_a_hint_leads_to_a_fetch(waiting, account, bank):
    bank.latest().approve()

    event = hear(account, {"event": "h", "kind": "hint", "reference": waiting.reference})

    assert (event.outcome, state(waiting)) == ("confirm", ("captured", "", "paid"))


@pytest.mark.parametrize("status", [None, Status.PENDING, Status.FAILED, Status.EXPIRED])
def test_money_wins_over_any_word(waiting, status):
    told(waiting, status, captured=1000)

    assert state(waiting) == ("captured", "", "paid")


@pytest.mark.parametrize("status", [None, Status.PENDING])
def test_a_hold_without_a_word_is_a_hold(waiting, status):
    told(waiting, status, authorised=1000)

    assert state(waiting) == ("authorised", "", "authorised")


def test_a_failure_that_tells_of_a_hold_leaves_nothing_held(waiting):
    told(waiting, Status.FAILED, authorised=1000)

    assert state(waiting) == ("failed", "", "open")
    assert (fresh(waiting).held, fresh(waiting).released_total) == (0, 1000)


def test_an_unknown_payment_is_unmatched(account, bank):
    report = PaymentReport(reference="P1", status=Status.CAPTURED, captured=5, amount=Money(5, "EUR"))

    assert applying.apply(account, report, road=Road.WEBHOOK, cause="test") is Outcome.UNMATCHED
    assert applying.apply(account, Hint(reference="P1"), road=Road.WEBHOOK, cause="test") is Outcome.UNMATCHED


def test_a_review_of_the_providers_own_word_holds_success_back(waiting):
    told(waiting, Status.CAPTURED, captured=900, amount=Money(900, "EUR"), review="amount_differs")

    review = waiting.reviews.get()
    assert (review.kind, review.ours, review.theirs) == ("amount_differs", "10.00 EUR", "9.00 EUR")
    assert (fresh(waiting).captured_total, state(waiting)[2]) == (900, "needs_review")
    operations.resolve_review(review, actor="staff:1", resolution="Fine.")
    assert state(waiting)[2] == "partially_paid"
    assert "underpaid" in fresh(waiting.order).flags


def test_card_and_authentication_are_kept_as_told(waiting):
    card = CardFacts(brand="visa", last4="0027", expiry_month=3, expiry_year=2031, issuer_country="GB")
    told(waiting, card=card, three_ds=ThreeDSFacts(enrolled="Y", downgraded=True), avs_result="M", cvc_result="M")
    told(waiting, three_ds=ThreeDSFacts(eci="05"))

    payment = fresh(waiting)
    assert (payment.card_last4, payment.card_expiry, payment.card_country) == ("0027", "03/2031", "GB")
    assert payment.three_ds == {"enrolled": "Y", "downgraded": True, "eci": "05"}
    assert (payment.avs_result, payment.cvc_result) == ("M", "M")
    told(waiting, Status.CAPTURED, captured=1000)
    assert "downgraded_3ds" in fresh(waiting.order).flags


# -------------------------------------------------------------------------------------------------- disputes and alerts


def test_a_dispute_is_a_row_and_never_a_status(waiting, account, bank):
    bank.latest().approve()
    hear(account, bank.latest().notice("paid"))
    report = DisputeReport(reference=waiting.reference, provider_reference="D1", amount=Money(1000, "EUR"))

    outcomes = [applying.apply(account, report, road=Road.WEBHOOK, cause="test") for _ in range(2)]

    assert outcomes == [Outcome.APPLIED, Outcome.NO_NEWS]
    assert state(waiting) == ("captured", "", "paid")
    assert "disputed" in fresh(waiting.order).flags
    assert types(waiting.order).count("dispute.opened") == 1


def test_a_dispute_moves_on(waiting, account, bank):
    for name, stage in (("d1", "received"), ("d2", "lost"), ("d2", "lost")):
        hear(account, {"event": name, "kind": "dispute", "reference": waiting.reference, "id": "D1", "state": stage})

    assert waiting.disputes.get().stage == "lost"
    assert types(waiting.order).count("dispute.changed") == 1


def test_a_fraud_alert_is_a_row(waiting, account):
    report = FraudReport(reference=waiting.reference, provider_reference="F1", code="7")

    outcomes = [applying.apply(account, report, road=Road.WEBHOOK, cause="test") for _ in range(2)]

    assert outcomes == [Outcome.APPLIED, Outcome.NO_NEWS]
    assert (waiting.fraud_alerts.get().code, types(waiting.order).count("fraud.alerted")) == ("7", 1)
