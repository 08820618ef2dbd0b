"""A code by SMS: handed in as carefully as a payment is started."""

from __future__ import annotations

import dataclasses
import json
import threading
from datetime import timedelta

import pytest
from django.db import connection

from checkout.orders import operations, schedule
from checkout.orders.messages import payment_ref
from checkout.orders.models import Payment
from providers.contract import (
    CodeProblem,
    Decline,
    DeclineCategory,
    EnterCode,
    OutcomeUnknown,
    PaymentReport,
    Rejected,
    Started,
    Status,
    Unreachable,
    Wait,
)
from tests.factories import VISA, a_payment, an_order
from tests.orders.stage import fresh, pass_time, reach, types

from providers.zenith import DESK, RIGHT, paid, waiting  # isort: skip

pytestmark = pytest.mark.django_db

CARD = dataclasses.replace(
    VISA, id_number="11010519491231002X", phone="13800000000", cvc="", expiry_month=0, expiry_year=0
)


@pytest.fixture
def account(zenith):
    return zenith


@pytest.fixture
def payment(merchant, account) -> Payment:
    payment = a_payment(an_order(merchant), "bankcard", card=CARD)
    assert (payment.status, payment.step) == ("pending", "code")
    return payment


def test_the_right_code_pays(payment):
    payment = operations.submit_code(payment, code=RIGHT)

    assert (payment.status, payment.captured_total, fresh(payment.order).status) == ("captured", 1000, "paid")
    assert payment.step_data == {}


def test_what_names_the_exchange_rests_sealed(payment):
    stored = json.dumps(payment.step_data)

    assert f"handle-{payment.reference}" not in stored
    assert payment.step_data["sent_to"] == "138****0000"
    operations.submit_code(payment, code=RIGHT)
    assert ("submit_code", f"handle-{payment.reference}") in [
        (name, request[1]) for name, request in DESK.asked if name == "submit_code"
    ]


def test_neither_code_nor_identity_reaches_the_database(payment):
    operations.submit_code(payment, code="864209")

    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = repr(cursor.fetchall())
            assert not [one for one in ("864209", CARD.id_number, CARD.phone, CARD.number) if one in rows], table


def test_a_wrong_code_may_be_corrected_and_the_fifth_may_be_right(payment):
    for tries in range(1, 5):
        payment = operations.submit_code(payment, code="000000")
        assert (payment.step, payment.code_tries, payment.step_data["problem"]) == ("code", tries, CodeProblem.WRONG)

    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_after_five_wrong_codes_only_another_attempt_brings_another(payment):
    for _ in range(5):
        payment = operations.submit_code(payment, code="000000")

    assert (payment.step, payment.step_data["problem"]) == ("code", CodeProblem.LOCKED)
    with pytest.raises(operations.NotPayable, match="codes"):
        operations.submit_code(payment, code=RIGHT)
    assert DESK.names().count("submit_code") == 5


@pytest.mark.parametrize("problem", [CodeProblem.EXPIRED, CodeProblem.LOCKED])
def test_a_dead_exchange_takes_no_more_codes(payment, problem):
    DESK.say("submit_code", Started(waiting(payment_ref(payment)), EnterCode("", problem=problem)))
    payment = operations.submit_code(payment, code=RIGHT)

    assert not operations.accepts_code(payment)
    with pytest.raises(operations.NotPayable):
        operations.submit_code(payment, code=RIGHT)
    assert a_payment(payment.order, "bankcard", card=CARD).step == "code"
    assert fresh(payment).status in {"cancelled", "expired"}


def test_a_further_code_starts_the_count_again(payment):
    operations.submit_code(payment, code="000000")
    DESK.say("submit_code", Started(waiting(payment_ref(payment)), EnterCode("second", problem=CodeProblem.ANOTHER)))

    payment = operations.submit_code(payment, code=RIGHT)

    assert (payment.step, payment.code_tries, payment.step_data["problem"]) == ("code", 0, CodeProblem.ANOTHER)
    assert operations.submit_code(payment, code=RIGHT).status == "captured"
    assert DESK.asked[-1][1][1] == "second"


def test_a_code_that_never_arrived_counts_as_not_entered(payment):
    DESK.say("submit_code", Unreachable("down", code="connection"))

    payment = operations.submit_code(payment, code=RIGHT)

    assert (payment.step, payment.code_tries, payment.step_data["problem"]) == ("code", 0, operations.UNHEARD)
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_after_a_lost_answer_nothing_else_may_begin_until_the_provider_has_spoken(payment, clock):
    DESK.say("submit_code", OutcomeUnknown("lost", code="read_timeout"))

    payment = operations.submit_code(payment, code=RIGHT)

    assert (payment.status, payment.step, fresh(payment.order).status) == ("pending", "ask", "processing")
    with pytest.raises(operations.AlreadyInProgress):
        a_payment(payment.order, "bankcard", card=CARD)
    DESK.reports[payment.reference] = paid(payment_ref(payment))
    pass_time(clock, seconds=15)
    assert fresh(payment.order).status == "paid"


def test_a_lost_code_may_be_entered_again_when_the_provider_says_that_it_still_waits(payment, clock):
    DESK.say("submit_code", OutcomeUnknown("lost", code="read_timeout"))
    operations.submit_code(payment, code=RIGHT)
    DESK.reports[payment.reference] = waiting(payment_ref(payment), awaits_shopper=True)

    pass_time(clock, seconds=15)

    payment = fresh(payment)
    assert (payment.step, payment.step_data["problem"]) == ("code", operations.UNHEARD)
    assert operations.submit_code(payment, code=RIGHT).status == "captured"


def test_a_refusal_of_the_bank_ends_the_attempt(payment):
    no = PaymentReport(
        reference=payment.reference, status=Status.FAILED, decline=Decline(DeclineCategory.INSUFFICIENT_FUNDS, "6001")
    )
    DESK.say("submit_code", Started(no, Wait()))

    payment = operations.submit_code(payment, code=RIGHT)

    assert (payment.status, payment.decline_category, fresh(payment.order).status) == (
        "failed",
        "insufficient_funds",
        "open",
    )


def test_a_request_that_is_wrong_ends_the_attempt(payment):
    DESK.say("submit_code", Rejected("our mistake", code="1001"))

    assert operations.submit_code(payment, code=RIGHT).decline_category == "processing_error"


@pytest.mark.parametrize("answer", [TypeError("their documentation is wrong"), KeyError("token")])
def test_an_answer_that_breaks_our_reading_is_an_unknown_outcome(payment, answer):
    DESK.say("submit_code", answer)

    assert operations.submit_code(payment, code=RIGHT).step == "ask"


def test_a_code_for_a_payment_that_has_moved_on_changes_nothing(payment):
    operations.submit_code(payment, code=RIGHT)
    events = types(payment.order)

    assert operations.submit_code(payment, code=RIGHT).status == "captured"
    assert types(payment.order) == events
    assert DESK.names().count("submit_code") == 1


def test_while_a_code_is_on_its_way_another_press_does_nothing(payment):
    def press_again(_):
        assert operations.submit_code(payment, code=RIGHT).step == "ask"
        return Started(paid(payment_ref(payment)), Wait())

    DESK.say("submit_code", press_again)
    operations.submit_code(payment, code=RIGHT)

    assert DESK.names().count("submit_code") == 1
    assert fresh(payment).captured_total == 1000


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_make_one_call(merchant, account):
    payment = a_payment(an_order(merchant), "bankcard", card=CARD)
    threads = [threading.Thread(target=_press, args=(payment,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert DESK.names().count("submit_code") == 1
    assert fresh(payment).captured_total == 1000


def _press(payment: Payment) -> None:
    try:
        operations.submit_code(payment, code=RIGHT)
    finally:
        connection.close()


def test_a_code_that_nobody_enters_is_given_up_after_half_an_hour(payment, clock):
    pass_time(clock, minutes=31)

    assert fresh(payment).status == "expired"
    assert fresh(payment.order).status == "open"


def test_three_more_codes_can_be_sent_for_an_order(merchant, account, clock):
    order = an_order(merchant)
    for left in (3, 2, 1, 0):
        a_payment(order, "bankcard", card=CARD)
        assert operations.codes_left(order) == left
        reach(clock, clock_now() + timedelta(seconds=61))

    assert order.payments.exclude(step="code").count() == 3, "each new one closes the one before"
    assert DESK.names().count("cancel") == 3


def clock_now():
    from django.utils import timezone

    return timezone.now()


def test_what_is_handed_in_names_the_payment_as_it_was_started(payment):
    operations.submit_code(payment, code=RIGHT)
    started = next(request for name, request in DESK.asked if name == "start")
    ref = next(request for name, request in DESK.asked if name == "submit_code")[0]

    assert (ref.reference, ref.created_at, ref.payer) == (started.reference, started.created_at, started.payer)
    assert (ref.provider_reference, ref.capture) == (f"Z-{payment.reference}", "automatic")


def test_the_deadline_of_a_wrong_code_is_that_of_its_sms(payment, clock):
    before = payment.deadline
    pass_time(clock, minutes=5)

    payment = operations.submit_code(payment, code="000000")

    assert payment.deadline == before
    assert before - payment.created_at <= schedule.CODE_PATIENCE + timedelta(seconds=1)
