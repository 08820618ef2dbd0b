"""The page for a code by SMS: what it asks, what it says of a code that did not do, and how another one is had."""

from __future__ import annotations

import logging
import re

import pytest
from django.apps import apps
from django.utils import timezone

from checkout.orders import operations
from checkout.orders.models import Order, Payment
from checkout.pages.screens import Screen
from providers.contract import (
    CardFacts,
    CodeProblem,
    EnterCode,
    OutcomeUnknown,
    Redirect,
    Rejected,
    Started,
    Unreachable,
)
from tests import factories
from tests.pages.shopper import BANK_CARD, HTMX, later, press, screen_in, send, text_of, token_in, url_of

from providers.zenith import DESK, RIGHT, paid, waiting  # isort: skip

WRONG = "864209"


@pytest.fixture
def order(merchant, zenith) -> Order:
    return factories.an_order(merchant, currency="CNY")


@pytest.fixture
def sent(client, order) -> Payment:
    """An attempt that awaits its code."""
    press(client, order, "bankcard")
    payment = order.payments.get()
    assert payment.step == "code"
    return payment


def submitted() -> int:
    return DESK.names().count("submit_code")


def test_a_card_that_needs_a_code_leads_to_a_page_with_one_field_for_it(client, order):
    answer = press(client, order, "bankcard")
    shown = client.get(answer["Location"])
    page = shown.content.decode()

    assert answer.status_code == 303
    assert screen_in(shown) is Screen.CODE
    assert "138****0000" in page
    assert 'autocomplete="one-time-code"' in page
    assert re.search(r'id="code"[^>]*inputmode="numeric"[^>]*maxlength="6"', page)
    assert 'name="number"' not in page
    assert "[Test] Enter your code" in page


def test_the_right_code_pays(client, order, sent):
    answer = send(client, order, "code", code=" 135-790 ")

    assert answer.status_code == 303
    assert screen_in(client.get(url_of(order))) is Screen.PAID
    assert submitted() == 1


def test_a_code_may_lead_to_the_bank_page(client, order, sent):
    step = Redirect(f"https://zenith.example/3ds/{sent.reference}")
    DESK.say("submit_code", lambda request: Started(waiting(request[0]), step))

    assert send(client, order, "code", code=RIGHT)["Location"] == step.url


def problem_of(payment: Payment, problem: CodeProblem) -> None:
    DESK.say("submit_code", lambda request: Started(waiting(request[0]), EnterCode(request[1], problem=problem)))


@pytest.mark.parametrize(
    ("problem", "text", "is_asked_again"),
    [
        (CodeProblem.WRONG, "That code is not right", True),
        (CodeProblem.EXPIRED, "The code has expired", False),
        (CodeProblem.LOCKED, "This code can no longer be used", False),
        (CodeProblem.ANOTHER, "a further code was sent", True),
    ],
)
def test_each_problem_has_a_text_and_a_way_on(client, order, sent, problem, text, is_asked_again):
    problem_of(sent, problem)
    send(client, order, "code", code=WRONG)
    shown = client.get(url_of(order))
    page = shown.content.decode()

    assert text in page
    assert ('name="code"' in page) is is_asked_again
    assert ('name="number"' in page) is not is_asked_again
    assert ("<title>Error: " in page) is (problem is not CodeProblem.ANOTHER)
    assert WRONG not in page


def test_the_tries_that_are_left_are_counted_down_and_the_last_may_be_right(client, order, sent):
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        send(client, order, "code", code=WRONG)
        assert f"You have {left} left." in text_of(client.get(url_of(order)))

    send(client, order, "code", code=RIGHT)

    assert screen_in(client.get(url_of(order))) is Screen.PAID


def test_after_the_last_wrong_code_the_forms_stand_below_and_no_code_is_taken(client, order, sent):
    for _ in range(operations.CODE_TRIES + 3):
        send(client, order, "code", code=WRONG)
    page = client.get(url_of(order)).content.decode()

    assert submitted() == operations.CODE_TRIES
    assert "This code can no longer be used" in page
    assert 'name="code"' not in page
    assert 'name="number"' in page
    press(client, order, "bankcard")
    assert order.payments.count() == 2


def test_a_bank_that_was_not_reached_leaves_the_code_good(client, order, sent):
    DESK.say("submit_code", Unreachable("down", code="connection"))
    send(client, order, "code", code=RIGHT)

    assert "Your code has not been used" in text_of(client.get(url_of(order)))
    send(client, order, "code", code=RIGHT)
    assert screen_in(client.get(url_of(order))) is Screen.PAID


def test_a_lost_answer_is_waited_for(client, order, sent):
    DESK.say("submit_code", OutcomeUnknown("lost", code="read_timeout"))
    send(client, order, "code", code=RIGHT)
    shown = client.get(url_of(order))

    assert screen_in(shown) is Screen.WAITING
    assert "Please do not pay again" in text_of(shown)
    send(client, order, "code", code=RIGHT)
    assert submitted() == 1


@pytest.mark.parametrize("code", ["", "   ", "abcdef", "12345x", "123", "1234567", "9" * 10_000, "١٢٣٤٥٦", "<b>"])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_what_is_no_code_is_told_so_without_a_call(client, order, sent, code, headers):
    answer = send(client, order, "code", code=code, headers=headers)
    page = answer.content.decode()

    assert answer.status_code == 422
    assert ("Enter the code from the text message" if not code.strip() else "Enter only the digits") in page
    assert 'href="#code"' in page
    assert len(code) < 3 or code.strip() == "" or code not in page
    assert submitted() == 0
    sent.refresh_from_db()
    assert (sent.step, sent.code_tries) == ("code", 0)


def test_htmx_swaps_the_page_for_itself_with_what_was_wrong(client, order, sent):
    answer = send(client, order, "code", code=WRONG, headers=HTMX)

    assert (answer.status_code, answer["HX-Retarget"]) == (200, "#action")
    assert "<html" not in answer.content.decode()
    assert "That code is not right" in answer.content.decode()
    assert "<title>Error: " in answer.content.decode()


def test_htmx_is_led_to_the_outcome(client, order, sent):
    assert send(client, order, "code", code=RIGHT, headers=HTMX)["HX-Redirect"] == url_of(order)


def test_a_code_for_an_earlier_attempt_uses_up_nothing(client, order, sent):
    with later(61):
        press(client, order, "bankcard")
        newer = order.payments.latest("number")

        answer = client.post(url_of(order), {"kind": "code", "payment": str(sent.public_id), "code": WRONG})

    assert answer.status_code == 303
    newer.refresh_from_db()
    assert (newer.number, newer.code_tries, submitted()) == (2, 0, 0)


def test_two_tabs_with_one_code_are_one_call(client, order, sent):
    one, other = send(client, order, "code", code=RIGHT), send(client, order, "code", code=RIGHT)

    assert one["Location"] == other["Location"] == url_of(order)
    assert submitted() == 1


def test_a_card_form_sent_twice_sends_one_code(client, order):
    token = token_in(client.get(url_of(order)))
    answers = [press(client, order, "bankcard", token=token) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert (order.payments.count(), DESK.names().count("start")) == (1, 1)


def test_another_code_can_be_asked_for_after_a_minute(client, order, sent):
    early = client.get(url_of(order)).content.decode()
    with later(61):
        late = client.get(url_of(order)).content.decode()

    assert re.search(r'data-countdown="(59|60)" data-then="resend"', early)
    assert re.search(r'id="resend"[^>]* hidden', early)
    assert f'href="{url_of(order)}"' in early, "without a script, a reload brings the button"
    assert "data-countdown" not in late
    assert re.search(r'id="resend"[^>]*(?<!hidden)>', late)


def test_a_typed_card_is_asked_for_again(client, order, sent):
    with later(61):
        page = client.get(url_of(order)).content.decode()
        pressed = send(client, order, "again")
        form = client.get(f"{url_of(order)}?another")

    assert "Enter your card again to get a new code" in page
    assert pressed["Location"] == f"{url_of(order)}?another#card"
    assert 'name="number"' in form.content.decode()
    assert f'href="{url_of(order)}"' in form.content.decode(), "and back to the code"
    assert order.payments.count() == 1


def test_within_the_minute_a_second_code_is_refused_before_the_provider_hears_of_it(client, order, sent):
    answer = press(client, order, "bankcard")

    assert answer.status_code == 422
    assert "A code was sent just now" in text_of(answer)
    assert order.payments.count() == 1
    assert BANK_CARD["id_number"] not in answer.content.decode()


def test_other_ways_to_pay_need_not_wait(client, order, sent):
    answer = press(client, order, "page")

    assert answer["Location"].startswith("https://zenith.example/p/")
    sent.refresh_from_db()
    assert sent.status in {"cancelled", "expired"}


def test_when_no_more_codes_can_be_sent_the_page_says_so_and_offers_what_needs_none(client, order):
    for number in range(1 + operations.CODE_RESENDS):
        with later(61 * number):
            press(client, order, "bankcard")
    with later(61 * 5):
        page = client.get(url_of(order))
        choice = client.get(f"{url_of(order)}?another").content.decode()
        refused = press(client, order, "bankcard")

    assert order.payments.count() == 4
    assert "No more codes can be sent for this order" in text_of(page)
    assert 'name="number"' not in choice
    assert "Zen Pay" in choice
    assert refused.status_code == 422
    assert "No more codes can be sent for this order" in text_of(refused)
    assert order.payments.count() == 4


def test_a_rejected_request_is_a_decline(client, order, sent):
    DESK.say("submit_code", Rejected("our mistake", code="1001"))
    send(client, order, "code", code=RIGHT)

    assert screen_in(client.get(url_of(order))) is Screen.DECLINED


def test_an_order_whose_time_is_up_takes_no_code(client, order, sent):
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now())

    answer = send(client, order, "code", code=RIGHT)

    assert answer.status_code == 303
    assert submitted() == 0


@pytest.mark.parametrize("answer", ["right", "wrong", "unreachable", "lost", "broken", "rejected"])
def test_neither_the_code_nor_who_entered_it_is_found_anywhere(client, order, answer, caplog):
    caplog.set_level(logging.DEBUG)
    code = {"right": RIGHT}.get(answer, WRONG)
    faults = {
        "unreachable": Unreachable("down"),
        "lost": OutcomeUnknown("lost"),
        "broken": KeyError(code),
        "rejected": Rejected("no"),
    }
    pages = press(client, order, "bankcard", number="1").content
    pages += press(client, order, "bankcard").content
    if answer in faults:
        DESK.say("submit_code", faults[answer])
    for headers in ({}, HTMX):
        pages += send(client, order, "code", code=code, headers=headers).content
        pages += client.get(url_of(order)).content

    rows = [repr(row) for model in apps.get_models() for row in model._default_manager.values_list()]
    logged = caplog.text + repr([vars(record) for record in caplog.records])
    secrets = [code, "11010519491231002", "13800000000", "138 0000 0000"]
    for name, sink in (("pages", pages.decode()), ("rows", "".join(rows)), ("log", logged)):
        assert not [secret for secret in secrets if secret in sink], name


def test_what_was_typed_goes_to_the_provider_as_it_should_be_written(client, order):
    press(client, order, "bankcard")
    card = next(request.card for name, request in DESK.asked if name == "start")

    assert (card.number, card.holder) == ("6222021234567890128", "张三")
    assert (card.id_number, card.phone) == ("11010519491231002X", "13800000000")
    assert (card.expiry_month, card.expiry_year, card.cvc, card.brand) == (0, 0, "", "unionpay")


def test_it_does_not_matter_who_paid_meanwhile(client, order, sent):
    DESK.reports[sent.reference] = paid(operations.messages.payment_ref(sent))
    operations.inquire(sent, cause="test")

    assert send(client, order, "code", code=RIGHT).status_code == 303
    assert submitted() == 0
    assert screen_in(client.get(url_of(order))) is Screen.PAID


def test_a_credit_card_without_its_date_and_code_is_known_before_anything_is_started(client, order):
    DESK.say("look_up_card", CardFacts(funding="credit", issuer="Zenith Bank"))

    answer = press(client, order, "bankcard")
    page = answer.content.decode()

    assert answer.status_code == 422
    assert "This is a credit card. Enter the expiry date" in page
    assert DESK.names() == ["look_up_card"]
    assert not order.payments.exists()


@pytest.mark.parametrize("answer", [None, CardFacts(funding="debit"), Unreachable("down"), OutcomeUnknown("lost")])
def test_a_card_that_nobody_knows_better_is_tried(client, order, answer):
    DESK.say("look_up_card", answer)

    assert press(client, order, "bankcard").status_code == 303
    assert order.payments.get().step == "code"
