"""What only some providers ask of a shopper, in a real browser: a code by SMS, a QR code, a form to the bank."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from checkout.orders.links import page_url
from checkout.orders.models import Order
from tests.factories import an_account, an_order
from tests.flows import test_antom_flows as antom
from tests.flows import test_lianlian_flows as lianlian
from tests.flows import test_storesquare_flows as storesquare
from tests.flows.stage import Simulator
from tests.flows.test_browser import PAY, heading, paid, press_pay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other_side(simulator_process: Simulator) -> Simulator:
    simulator_process.reset()
    return simulator_process


def an_order_of(merchant, our_url: str, **fields) -> Order:
    addresses = {"success_url": f"{our_url}/healthz?thanks", "cancel_url": f"{our_url}/healthz?basket"}
    return an_order(merchant, **addresses, **fields)


def type_card(page: Page, card) -> None:
    page.get_by_label("Card number").fill(card.number)
    page.get_by_label("Name on card").fill(card.holder)
    if card.cvc:
        page.get_by_label("Expiry date").fill("12/40")
        page.get_by_label("Security code").fill(card.cvc)


# ------------------------------------------------------------------------------------------------------ a code by SMS


@pytest.fixture
def in_yuan(merchant, our_url, other_side) -> Order:
    lianlian.open_account(merchant, other_side)
    return an_order_of(merchant, our_url, currency="CNY")


def ask_for_a_code(page: Page, order: Order) -> None:
    page.goto(page_url(order))
    type_card(page, lianlian.DEBIT)
    page.get_by_label("Identity number").fill(lianlian.DEBIT.id_number)
    page.get_by_label("Mobile number").fill(lianlian.DEBIT.phone)
    press_pay(page)
    heading(page, "Enter the code from your bank")


def enter(page: Page, code: str) -> None:
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name=re.compile("Confirm and pay")).click()


def test_a_shopper_pays_with_a_code_by_sms(visitor, in_yuan, other_side, worker):
    ask_for_a_code(visitor, in_yuan)
    expect(visitor.get_by_text("138****0000")).to_be_visible()
    assert lianlian.DEBIT.id_number not in visitor.content()

    enter(visitor, "111111")
    expect(visitor.get_by_text("That code is not right")).to_be_visible()
    enter(visitor, lianlian.RIGHT)

    heading(visitor, "Payment complete")
    paid(in_yuan, other_side.of("lianlian"))


def test_a_shopper_whose_code_is_over_is_not_left_alone(visitor, in_yuan, other_side, worker):
    ask_for_a_code(visitor, in_yuan)

    enter(visitor, "000001")

    expect(visitor.get_by_role("alert")).to_be_visible()
    expect(visitor.get_by_role("button", name=re.compile("Confirm and pay"))).to_have_count(0)


def test_a_shopper_goes_on_to_a_page_by_a_form(visitor, in_yuan, other_side, worker):
    visitor.goto(page_url(in_yuan))
    visitor.get_by_role("button", name=re.compile("payment page", re.IGNORECASE)).first.click()
    hand_over(visitor)
    visitor.wait_for_url(f"{other_side.url}/lianlian/**")
    visitor.get_by_label("Code from the SMS").fill(lianlian.RIGHT)
    visitor.get_by_role("button", name=PAY).click()
    visitor.get_by_role("button", name=re.compile("back|return|shop", re.IGNORECASE)).first.click()

    heading(visitor, "Payment complete")
    paid(in_yuan, other_side.of("lianlian"))


# ----------------------------------------------------------------------------------------------------------- a QR code


@pytest.fixture
def in_singapore(merchant, our_url, other_side) -> Order:
    an_account(
        merchant,
        name="StoreSquare",
        provider="storesquare",
        base_url=f"{other_side.url}/storesquare",
        credentials=storesquare.CREDENTIALS,
    )
    return an_order_of(merchant, our_url, currency="SGD")


def test_a_shopper_pays_by_scanning_a_code(visitor, browser, in_singapore, other_side, worker):
    visitor.goto(page_url(in_singapore))
    visitor.get_by_role("button", name=re.compile("PayNow")).click()
    heading(visitor, "Scan this code with PayNow")
    picture = visitor.get_by_role("img", name="QR code to pay with PayNow")
    drawn = visitor.request.get(urljoin(visitor.url, picture.get_attribute("src")))
    assert (drawn.status, drawn.headers["content-type"]) == (200, "image/svg+xml")

    phone = browser.new_context().new_page()
    phone.goto(in_singapore.payments.get().step_data["content"])
    phone.get_by_role("button", name="Approve").click()
    phone.context.close()

    heading(visitor, "Payment complete")
    paid(in_singapore, other_side.of("storesquare"))


def test_a_fresh_code_replaces_the_old_one(visitor, in_singapore, other_side, worker):
    visitor.goto(page_url(in_singapore))
    visitor.get_by_role("button", name=re.compile("PayNow")).click()
    heading(visitor, "Scan this code with PayNow")

    visitor.get_by_role("button", name="Show a new code").click()
    heading(visitor, "Scan this code with PayNow")

    old, new = in_singapore.payments.order_by("number")
    assert (old.status, new.step) == ("cancelled", "qr")


def test_a_shopper_pays_at_another_providers_cashier(visitor, in_singapore, other_side, worker):
    visitor.goto(page_url(in_singapore))
    visitor.get_by_role("button", name=re.compile("payment page", re.IGNORECASE)).first.click()
    visitor.wait_for_url(f"{other_side.url}/storesquare/cashier/**")

    visitor.get_by_role("link", name="Card").click()
    visitor.get_by_label("Card number").fill(storesquare.APPROVED.number)
    visitor.get_by_label("Security code").fill("123")
    visitor.get_by_label("First name").fill("Ada")
    visitor.get_by_label("Last name").fill("Lovelace")
    press_pay(visitor)

    heading(visitor, "Payment complete")
    paid(in_singapore, other_side.of("storesquare"))


# ------------------------------------------------------------------------------------------- 3-D Secure by a form POST


def test_a_shopper_is_handed_to_the_bank_by_a_form(visitor, merchant, our_url, other_side, worker):
    antom.open_account(merchant, other_side)
    other_side.of("antom").set_up("accounts", client_id=antom.CLIENT, redirect_method="POST")
    order = an_order_of(merchant, our_url, three_ds="force")

    visitor.goto(page_url(order))
    type_card(visitor, antom.APPROVED)
    press_pay(visitor)
    hand_over(visitor)
    visitor.wait_for_url(f"{other_side.url}/antom/**")
    visitor.get_by_role("button", name=re.compile("Authenticate", re.IGNORECASE)).click()
    visitor.wait_for_url(f"{our_url}/**")
    until_paid(order)
    visitor.goto(page_url(order))

    heading(visitor, "Payment complete")
    paid(order, other_side.of("antom"))


def hand_over(page: Page) -> None:
    """Without JavaScript, the form to the provider takes a press; with it, the script may be faster than we are."""
    with suppress(TimeoutError):
        page.get_by_role("button", name=re.compile("Continue")).click(timeout=2000)


def until_paid(order: Order) -> None:
    """The hold is captured a moment later, and the worker hears of it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        order.refresh_from_db()
        if order.status == "paid":
            return
        time.sleep(0.1)
    raise AssertionError(f"the order is {order.status}")
