"""Orders paid in a real browser, against the provider's simulator, with our worker running beside."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from checkout.orders.links import page_url, return_url
from checkout.orders.models import Order
from tests.factories import an_order
from tests.flows.stage import work_until_quiet

pytestmark = pytest.mark.django_db(transaction=True)

CHALLENGED = "4000000001000019"
FRICTIONLESS = "4000000001000027"
DECLINED = "4000000000200511"

PAY = re.compile(r"^Pay\s\S*\d")
"""The button that pays: it names the amount."""


@pytest.fixture
def order(merchant, account, our_url) -> Order:
    return an_order(merchant, success_url=f"{our_url}/healthz?thanks", cancel_url=f"{our_url}/healthz?basket")


def type_card(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry date").fill("12/40")
    page.get_by_label("Security code").fill("100")
    page.get_by_label("Name on card").fill("A Shopper")


def press_pay(page: Page) -> None:
    page.get_by_role("button", name=PAY).click()


def pay_by_card(page: Page, number: str) -> None:
    type_card(page, number)
    press_pay(page)


def pay_at_the_cashier(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Security code").fill("100")
    page.get_by_role("button", name=PAY).click()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", name=text)).to_be_visible(timeout=15_000)


def paid(order: Order, simulator) -> None:
    """Our truth and the provider's books agree: one charge of the whole amount."""
    order.refresh_from_db()
    assert (order.status, order.captured_total) == ("paid", order.amount)
    assert [entry["amount"] for entry in simulator.books()] == [order.amount]
    assert order.events.filter(type="payment.succeeded").count() == 1


def test_a_shopper_pays_at_the_cashier(visitor, order, simulator, worker):
    visitor.goto(page_url(order))
    visitor.get_by_role("button", name=re.compile("payment page", re.IGNORECASE)).first.click()
    visitor.wait_for_url(f"{simulator.url}/**")
    pay_at_the_cashier(visitor, CHALLENGED)
    visitor.get_by_role("button", name="Approve").click()

    heading(visitor, "Payment complete")
    paid(order, simulator)
    visitor.get_by_role("link", name="Go back to Fern & Clay").click()
    assert visitor.url.endswith("/healthz?thanks")


def test_a_shopper_pays_by_card_with_a_challenge(visitor, order, simulator, worker):
    visitor.goto(page_url(order))
    pay_by_card(visitor, CHALLENGED)
    visitor.get_by_role("button", name="Approve").click()

    heading(visitor, "Payment complete")
    paid(order, simulator)


def test_a_card_without_a_challenge_waits_and_then_is_paid(visitor, order, simulator, worker):
    visitor.goto(page_url(order))
    pay_by_card(visitor, FRICTIONLESS)

    heading(visitor, "Payment complete")
    paid(order, simulator)


def test_a_declined_card_leads_to_another_try(visitor, order, simulator, worker):
    visitor.goto(page_url(order))
    pay_by_card(visitor, DECLINED)
    expect(visitor.get_by_role("alert")).to_be_visible(timeout=15_000)
    assert "20051" not in visitor.content()

    pay_by_card(visitor, FRICTIONLESS)

    heading(visitor, "Payment complete")
    paid(order, simulator)
    assert [payment.status for payment in order.payments.order_by("number")] == ["failed", "captured"]


def test_a_refused_challenge_says_so_and_can_be_tried_again(page, order, simulator, worker):
    page.goto(page_url(order))
    pay_by_card(page, CHALLENGED)
    page.get_by_role("button", name="Reject").click()

    page.get_by_role("link", name=re.compile("payment page|try again", re.IGNORECASE)).first.click(timeout=15_000)
    pay_by_card(page, FRICTIONLESS)

    heading(page, "Payment complete")
    paid(order, simulator)


def test_an_abandoned_challenge_frees_the_order_by_itself(page, order, simulator):
    page.goto(page_url(order))
    pay_by_card(page, CHALLENGED)
    expect(page.get_by_role("button", name="Approve")).to_be_visible()

    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        work_until_quiet()
    page.goto(page_url(order))

    order.refresh_from_db()
    assert order.status == "open"
    expect(page.get_by_role("button", name=PAY)).to_be_visible()
    assert simulator.books() == []


def test_typing_mistakes_are_all_told_at_once_and_nothing_is_sent(plain, order, simulator):
    plain.goto(page_url(order))
    plain.get_by_label("Card number").fill("4242 4242 4242 4241")
    plain.get_by_label("Expiry date").fill("01/20")
    plain.get_by_label("Security code").fill("1")
    plain.get_by_label("Name on card").fill("Kim Möller")
    press_pay(plain)

    summary = plain.get_by_role("alert")
    assert summary.get_by_role("link").count() == 3
    assert plain.title().startswith("Error:")
    assert plain.get_by_label("Name on card").input_value() == "Kim Möller"
    assert [plain.get_by_label(label).input_value() for label in ("Card number", "Security code")] == ["", ""]
    assert simulator.calls("create-order") == []


def test_a_double_click_is_one_payment(page, order, simulator, worker):
    page.goto(page_url(order))
    type_card(page, FRICTIONLESS)
    page.get_by_role("button", name=PAY).dblclick()

    heading(page, "Payment complete")
    assert len(simulator.calls("create-order")) == 1
    paid(order, simulator)


def test_two_tabs_make_one_payment(context: BrowserContext, order, simulator):
    simulator.dial("slow_answer", value=2, next=1, operation="create-order")
    one, other = context.new_page(), context.new_page()
    for tab in (one, other):
        tab.goto(page_url(order))
        type_card(tab, FRICTIONLESS)
    one.evaluate("document.querySelector('#card').requestSubmit()")
    other.evaluate("document.querySelector('#card').requestSubmit()")

    for tab in (one, other):
        heading(tab, "We are checking your payment")
    simulator.settle()
    work_until_quiet()
    for tab in (one, other):
        heading(tab, "Payment complete")
    assert len(simulator.calls("create-order")) == 1
    paid(order, simulator)


def test_back_and_reload_after_success_show_success(page, order, simulator, worker):
    page.goto(page_url(order))
    pay_by_card(page, CHALLENGED)
    page.get_by_role("button", name="Approve").click()
    heading(page, "Payment complete")

    page.reload()
    heading(page, "Payment complete")
    page.goto(page_url(order))
    heading(page, "Payment complete")
    page.go_back()
    page.go_back()
    page.goto(page_url(order))
    heading(page, "Payment complete")
    paid(order, simulator)


def test_going_back_from_the_cashier_offers_to_continue_or_choose_again(page, order, simulator, worker):
    page.goto(page_url(order))
    page.get_by_role("button", name=re.compile("payment page", re.IGNORECASE)).first.click()
    page.wait_for_url(f"{simulator.url}/**")
    page.goto(page_url(order))
    expect(page.get_by_role("link", name="Continue where you left off")).to_be_visible()

    pay_by_card(page, FRICTIONLESS)

    heading(page, "Payment complete")
    paid(order, simulator)


def test_the_return_works_in_another_browser(page, browser, order, simulator, worker):
    page.goto(page_url(order))
    pay_by_card(page, CHALLENGED)
    page.get_by_role("button", name="Approve").click()
    heading(page, "Payment complete")

    stranger = browser.new_context()
    elsewhere = stranger.new_page()
    elsewhere.goto(return_url(order.payments.get()))
    heading(elsewhere, "Payment complete")
    assert stranger.cookies() == []
    stranger.close()


def test_nothing_is_loaded_from_elsewhere_and_nothing_offends_the_policy(page, order, our_url):
    foreign: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(our_url) else foreign.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(page_url(order))
    page.wait_for_load_state("networkidle")

    assert (foreign, complaints) == ([], [])
    assert page.context.cookies() == []
