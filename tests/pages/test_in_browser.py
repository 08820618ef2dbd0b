"""Steps on our own page in a real browser, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from checkout.orders.apply import Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Order, Payment, SavedCard
from tests import factories
from tests.pages.shopper import BANK_CARD, press, url_of

from providers.zenith import DESK, RIGHT, paid  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)


PAY = re.compile(r"^Pay\s\S*\d")
"""The button that pays: it names the amount."""


@pytest.fixture
def order(merchant, zenith, live_server, settings) -> Order:
    settings.BASE_URL = live_server.url
    return factories.an_order(merchant, customer={"reference": "ada"})


@pytest.fixture
def address(live_server, order) -> str:
    return live_server.url + url_of(order)


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A browser without JavaScript."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(params=["with JavaScript", "without JavaScript"])
def visitor(request: pytest.FixtureRequest, page: Page) -> Page:
    return page if request.param == "with JavaScript" else request.getfixturevalue("plain")


@pytest.fixture
def card(client, merchant, order) -> SavedCard:
    earlier = factories.an_order(merchant, customer={"reference": "ada"})
    press(client, earlier, "bankcard", save="yes")
    payment = earlier.payments.get()
    apply(payment.account, paid(payment_ref(payment), token="tok"), road=Road.FETCH, cause="test")
    DESK.asked.clear()
    return SavedCard.objects.get()


def type_card(page: Page, **typed: str) -> None:
    labels = {
        "number": "Card number",
        "holder": "Name on card",
        "id_number": "Identity number",
        "phone": "Mobile number",
    }
    for name, label in labels.items():
        page.get_by_label(label).fill(typed.get(name, BANK_CARD[name]))


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", name=text)).to_be_visible(timeout=15_000)


def code_was_sent(order: Order, *, seconds_ago: int) -> None:
    payment = order.payments.latest("number")
    payment.step_data["sent_at"] = (timezone.now() - timedelta(seconds=seconds_ago)).isoformat()
    payment.save()


def test_a_shopper_pays_with_a_code(visitor, address, order):
    visitor.goto(address)
    type_card(visitor)
    visitor.get_by_role("button", name=PAY).click()
    heading(visitor, "Enter the code from your bank")
    visitor.get_by_label("Code").fill("000000")
    visitor.get_by_role("button", name=re.compile("Confirm")).click()
    expect(visitor.get_by_role("alert")).to_contain_text("You have 4 tries left", timeout=15_000)
    assert visitor.title().startswith("Error: [Test] Enter your code")
    assert visitor.get_by_label("Code").input_value() == ""

    visitor.get_by_label("Code").fill(RIGHT)
    visitor.get_by_role("button", name=re.compile("Confirm")).click()

    heading(visitor, "Payment complete")


def test_what_is_no_code_gets_its_word_beside_the_field(page, address, order, client):
    press(client, order, "bankcard")
    page.goto(address)
    page.get_by_label("Code").fill("12a")
    page.get_by_role("button", name=re.compile("Confirm")).click()

    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Code")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("alert").get_by_role("link").click()
    expect(page.get_by_label("Code")).to_be_focused()


@pytest.mark.parametrize("copied", ["135 790", "Your code is 135790.", "135790"])
def test_a_code_is_pasted_as_people_copy_it(page, address, order, client, copied):
    press(client, order, "bankcard")
    page.goto(address)
    page.get_by_label("Code").evaluate(
        """(field, text) => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            if (field.dispatchEvent(event)) field.value = text.slice(0, field.maxLength);
        }""",
        copied,
    )

    assert page.get_by_label("Code").input_value() == RIGHT


def test_the_clock_runs_down_to_a_way_on(page, plain, address, order, client):
    press(client, order, "bankcard")
    code_was_sent(order, seconds_ago=58)
    page.goto(address)
    plain.goto(address)
    again = "Enter your card again to get a new code"
    expect(page.get_by_role("link", name=again)).to_be_hidden()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"0:0[0-2]"))

    expect(page.get_by_role("link", name=again)).to_be_visible(timeout=5_000)
    plain.get_by_role("link", name="Look again").click()
    plain.get_by_role("link", name=again).click()
    heading(plain, "How would you like to pay?")


def test_a_scan_is_seen_without_a_press(visitor, address, order):
    visitor.goto(address)
    visitor.get_by_role("button", name=re.compile("Zen Pay")).click()
    heading(visitor, "Scan this code with Zen Pay")
    image = visitor.get_by_role("img", name="QR code to pay with Zen Pay")
    expect(image).to_have_js_property("complete", True)
    expect(image).not_to_have_js_property("naturalWidth", 0)

    payment = order.payments.get()
    DESK.reports[payment.reference] = paid(payment_ref(payment))
    Payment.objects.update(created_at=timezone.now() - timedelta(seconds=11))

    heading(visitor, "Payment complete")


def test_a_new_code_replaces_the_one_in_another_tab(context, address, order):
    one, other = context.new_page(), context.new_page()
    one.goto(address)
    one.get_by_role("button", name=re.compile("Zen Pay")).click()
    heading(one, "Scan this code with Zen Pay")
    other.goto(address)
    first = other.get_by_role("img").get_attribute("src")

    one.get_by_role("button", name="Show a new code").click()

    expect(other.get_by_role("img")).not_to_have_attribute("src", first, timeout=15_000)
    assert order.payments.count() == 2


def test_a_poll_that_was_lost_is_made_up_for(page, address, order, client):
    press(client, order, "wallet")
    lost: list[str] = []

    def lose_the_first(route: Any) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            route.abort()

    page.route("**/status?*", lose_the_first)
    page.goto(address)
    payment = order.payments.get()
    DESK.reports[payment.reference] = paid(payment_ref(payment))
    Payment.objects.update(created_at=timezone.now() - timedelta(seconds=11))

    heading(page, "Payment complete")
    assert lost


def test_a_saved_card_pays_and_another_is_removed(visitor, address, order, card):
    visitor.goto(address)
    expect(visitor.get_by_role("radio")).to_be_checked()
    visitor.get_by_role("link", name="Remove").click()
    visitor.get_by_role("link", name="Keep it").click()
    visitor.get_by_role("button", name=re.compile("with this card")).click()

    heading(visitor, "Payment complete")


def test_removing_a_card_takes_two_presses_and_no_script(plain, address, order, card):
    plain.goto(address)
    plain.get_by_role("link", name="Remove").click()
    heading(plain, "Remove this card?")
    plain.get_by_role("button", name="Remove this card").click()

    heading(plain, "How would you like to pay?")
    expect(plain.get_by_role("radio")).to_have_count(0)


def test_the_provider_hears_what_the_browser_is(page, address, order):
    page.goto(address)
    page.get_by_role("button", name=re.compile("Zen Pay")).click()
    heading(page, "Scan this code with Zen Pay")

    browser = next(request.browser for name, request in DESK.asked if name == "start")
    assert browser.javascript
    assert (browser.screen_width, browser.screen_height) == (1280, 720)
    assert browser.color_depth
    assert browser.time_zone_offset is not None
    assert "Chrome" in browser.user_agent


def test_an_error_that_appears_on_leaving_a_field_does_not_move_the_button_away(page, address, order):
    page.goto(address)
    page.get_by_label("Mobile number").fill("123")
    page.get_by_role("button", name=PAY).click()

    expect(page.get_by_role("alert")).to_be_visible(timeout=5_000)


def test_mistakes_in_the_holders_details_are_told_on_leaving_the_field(page, address, order):
    page.goto(address)
    for label, wrong, right, text in (
        ("Identity number", "110105194912310021", "11010519491231002X", "at least one character is wrong"),
        ("Mobile number", "12345", "138 0000 0000", "11 digits that begin with 1"),
        ("Name on card", "13800000000", "Ada", "looks like a number"),
    ):
        field = page.get_by_label(label)
        field.fill(wrong)
        field.blur()
        expect(page.get_by_text(text)).to_be_visible()
        field.fill(right)
        expect(page.get_by_text(text)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["card form", "code", "wrong code", "qr", "saved cards", "remove"])
def test_every_step_is_accessible_and_within_the_policy(browser, address, order, client, request, scheme, state):
    if state in {"saved cards", "remove"}:
        card = request.getfixturevalue("card")
        address += f"/cards/{card.public_id}/remove" if state == "remove" else ""
    elif state != "card form":
        press(client, order, "wallet" if state == "qr" else "bankcard")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    if state == "wrong code":
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name=re.compile("Confirm")).click()
        expect(page.get_by_role("alert")).to_be_visible()

    # Evaluated by the debugger's door: the page's own policy lets no such script in.
    found = Axe().run(page)

    assert [violation["id"] for violation in found.response["violations"]] == []
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert context.cookies() == []
    context.close()
