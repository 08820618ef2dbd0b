"""Saved cards on the page: a box that nobody ticked, a list of one's own cards, and a way to remove them."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as django_settings
from django.test import Client

from checkout.orders.apply import Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Consent, Order, SavedCard
from checkout.pages import texts
from checkout.pages.screens import Screen
from providers.contract import EnterCode, PaymentReport, Rejected, Started, Status
from tests import factories
from tests.pages.shopper import BANK_CARD, HTMX, later, press, screen_in, send, text_of, token_in, url_of

from providers.zenith import DESK, RIGHT, paid, waiting  # isort: skip

WHO = {"customer": {"reference": "ada"}}
BOX = 'name="save"'


@pytest.fixture
def order(merchant, zenith) -> Order:
    return factories.an_order(merchant, **WHO)


def keep(client: Client, order: Order) -> SavedCard:
    """Pay with a tick beside the box, and have the provider say what it keeps."""
    press(client, order, "bankcard", save="yes", expiry="12/40")
    payment = order.payments.latest("number")
    report = paid(payment_ref(payment), token=f"tok-{payment.reference}")
    apply(payment.account, report, road=Road.FETCH, cause="test")
    return SavedCard.objects.latest("pk")


@pytest.fixture
def card(client, merchant, zenith) -> SavedCard:
    card = keep(client, factories.an_order(merchant, **WHO))
    DESK.asked.clear()
    return card


def pay_with(client: Client, order: Order, card: SavedCard, **fields):
    token = fields.pop("token", "") or token_in(client.get(f"{url_of(order)}?another"))
    return send(client, order, "saved_card", saved_card=str(card.public_id), token=token, **fields)


def requests() -> list:
    return [request for name, request in DESK.asked if name == "start"]


# -------------------------------------------------------------------------------------------------------------- consent


def test_the_box_is_there_and_not_ticked(client, order):
    page = client.get(url_of(order)).content.decode()

    assert "Save this card for my next purchase at Fern &amp; Clay" in " ".join(page.split())
    assert re.search(rf'type="checkbox" {BOX} value="yes">', page)


def test_no_tick_no_agreement(client, order):
    press(client, order, "bankcard")

    assert requests()[0].store_card is False
    assert not Consent.objects.exists()


def test_a_tick_is_kept_with_its_words_language_and_place(client, order):
    client.defaults["REMOTE_ADDR"] = "203.0.113.9"
    press(client, order, "bankcard", save="yes", headers={"Accept-Language": "en-GB"})

    consent = Consent.objects.get()
    assert (consent.wording, consent.language, consent.ip) == (texts.WORDING, "en-gb", "203.0.113.9")
    assert requests()[0].store_card is True


def test_the_words_are_those_of_their_version():
    source = (django_settings.BASE_DIR / "templates/checkout/_consent.html").read_text()
    sentences = [" ".join(text.split()) for text in re.findall(r"%}([^{%]*{{[^%]*){% endblocktranslate", source)]

    assert texts.WORDING == "2026-11"
    assert " ".join(sentences) == (
        "Save this card for my next purchase at {{ merchant }} The payment provider keeps the card. {{ merchant }} gets"
        " to see its last four digits, and you can remove it at any time."
    ), "new words need a new version"


def test_a_guest_is_not_asked_and_a_tick_of_theirs_is_not_heeded(client, merchant, zenith):
    order = factories.an_order(merchant)

    assert BOX not in client.get(url_of(order)).content.decode()
    press(client, order, "bankcard", save="yes")
    assert requests()[0].store_card is False


def test_a_provider_that_keeps_no_cards_is_not_asked_to(client, merchant, account, bank):
    order = factories.an_order(merchant, **WHO)

    assert BOX not in client.get(url_of(order)).content.decode()
    press(client, order, "card", save="yes")
    assert not Consent.objects.exists()


# ----------------------------------------------------------------------------------------------------------- the list


def test_ones_own_cards_stand_above_the_form(client, order, card):
    page = client.get(url_of(order)).content.decode()

    for text in ("UnionPay", "•••• 0128", "Valid until 12/2040", "Your bank may ask you to confirm"):
        assert text in page
    assert page.index('value="saved_card"') < page.index('name="number"')
    assert BANK_CARD["number"].replace(" ", "") not in page
    assert "tok-" not in page


def test_a_saved_card_pays_without_being_typed(client, order, card):
    answer = pay_with(client, order, card)

    assert answer["Location"] == url_of(order)
    assert screen_in(client.get(url_of(order))) is Screen.PAID
    request = requests()[0]
    assert (request.card, request.stored.cvc, request.store_card) == (None, "", False)


def test_the_code_on_the_card_goes_along_and_stays_nowhere(client, order, card):
    pay_with(client, order, card, cvc="731")

    assert requests()[0].stored.cvc == "731"
    assert "731" not in repr(list(order.payments.values()))


@pytest.mark.parametrize("cvc", ["12", "1234", "abc", "4242424242424242"])
def test_a_code_that_cannot_be_right_is_told_so(client, order, card, cvc):
    answer = pay_with(client, order, card, cvc=cvc)

    assert answer.status_code == 422
    assert 'href="#saved-cvc"' in answer.content.decode()
    assert f'value="{cvc}"' not in answer.content.decode()
    assert requests() == []


def test_where_card_data_may_not_reach_us_no_code_is_asked_for(client, order, card, settings):
    settings.CARD_FORM = False
    page = client.get(url_of(order)).content.decode()
    pay_with(client, order, card, cvc="731")

    assert 'name="cvc"' not in page
    assert requests()[0].stored.cvc == ""


def test_the_same_press_twice_is_one_payment(client, order, card):
    token = token_in(client.get(url_of(order)))
    for _ in range(2):
        pay_with(client, order, card, token=token)

    assert order.payments.count() == 1


@pytest.mark.parametrize(
    "other",
    [{"customer": {"reference": "eve"}}, {"customer": {}}, {"currency": "JPY"}],
    ids=["customer", "guest", "money"],
)
def test_a_card_that_is_not_ones_own_is_not_found(client, merchant, card, other):
    order = factories.an_order(merchant, **{**WHO, **other})

    assert "•••• 0128" not in client.get(url_of(order)).content.decode()
    answer = pay_with(client, order, card)
    assert answer.status_code == 422
    assert "can no longer be used here" in text_of(answer)
    assert requests() == []


def test_a_card_of_another_merchant_is_not_found(client, card):
    other = factories.a_merchant()
    factories.an_account(other, provider="zenith", credentials={"key": "z"})
    order = factories.an_order(other, **WHO)
    address = f"{url_of(order)}/cards/{card.public_id}/remove"

    pressed, asked, removed = pay_with(client, order, card), client.get(address), client.post(address)

    assert pressed.status_code == 422
    assert asked["Location"] == removed["Location"] == url_of(order)
    card.refresh_from_db()
    assert card.removed_at is None
    assert requests() == []


@pytest.mark.parametrize("nonsense", ["", "1", "x", "00000000-0000-0000-0000-000000000000", "' OR 1=1"])
def test_what_names_no_card_is_refused_like_one_that_is_gone(client, order, card, nonsense):
    token = token_in(client.get(url_of(order)))

    answer = send(client, order, "saved_card", saved_card=nonsense, token=token)

    assert (answer.status_code, requests()) == (422, [])


def test_an_expired_card_is_not_offered(client, order, card):
    SavedCard.objects.update(expiry="01/2020")

    assert "•••• 0128" not in client.get(url_of(order)).content.decode()


def test_a_declined_card_leaves_the_list_and_says_why(client, order, card):
    DESK.say("start", Rejected("no"))
    token = token_in(client.get(url_of(order)))
    answer = pay_with(client, order, card, token=token, headers=HTMX)
    page = answer.content.decode()

    assert answer.status_code == 422
    assert "could not be carried out" in page
    assert 'id="saved-token"' in page
    assert re.search(r'id="saved-token"[^>]*value="([^"]+)"', page)[1] != token
    pay_with(client, order, card)
    assert order.payments.count() == 2


@pytest.mark.parametrize("reason", ["card", "codes", "offer", "reused"])
def test_whatever_the_core_refuses_at_the_last_moment_has_a_text(reason):
    message = texts.not_payable(reason)

    assert message
    assert "no money was taken" in str(message.text).lower()


# ---------------------------------------------------------------------------------------------------------- with a code


def test_a_saved_card_that_needs_a_code_gets_another_by_one_press(client, order, card):
    def asks_for_a_code(request):
        return Started(waiting(request), EnterCode(f"handle-{request.reference}", "138****0000"))

    DESK.say("start", asks_for_a_code, asks_for_a_code)
    pay_with(client, order, card)
    first = order.payments.get()
    assert screen_in(client.get(url_of(order))) is Screen.CODE
    early = send(client, order, "again")
    with later(61):
        assert "Send another code" in text_of(client.get(url_of(order)))
        answer = send(client, order, "again")
        second = order.payments.latest("number")

    assert "A code was sent just now" in text_of(early)
    assert answer["Location"] == url_of(order)
    assert (second.number, second.saved_card, second.step) == (2, card, "code")
    first.refresh_from_db()
    assert first.status in {"cancelled", "expired"}
    send(client, order, "code", code=RIGHT)
    assert screen_in(client.get(url_of(order))) is Screen.PAID


def test_a_card_removed_meanwhile_gets_no_other_code(client, order, card):
    DESK.say("start", lambda request: Started(waiting(request), EnterCode("handle", "138****0000")))
    pay_with(client, order, card)
    SavedCard.objects.update(removed_at=card.created_at)
    with later(61):
        answer = send(client, order, "again")

    assert answer.status_code == 422
    assert "can no longer be used here" in text_of(answer)
    assert order.payments.count() == 1


# ------------------------------------------------------------------------------------------------------------- removal


def test_a_card_is_removed_after_a_question_that_needs_no_script(client, order, card):
    address = f"{url_of(order)}/cards/{card.public_id}/remove"

    assert f'href="{address}"' in client.get(url_of(order)).content.decode()
    question = client.get(address)
    assert "Remove this card?" in text_of(question)
    assert "•••• 0128" in text_of(question)
    card.refresh_from_db()
    assert card.removed_at is None

    answer = client.post(address)

    assert answer["Location"] == url_of(order)
    card.refresh_from_db()
    assert card.removed_by == "shopper"
    assert card.consent.ended_at
    assert "•••• 0128" not in client.get(url_of(order)).content.decode()
    assert client.post(address)["Location"] == url_of(order), "twice is as good as once"


def test_a_paid_order_removes_no_card(client, order, card):
    pay_with(client, order, card)

    answer = client.post(f"{url_of(order)}/cards/{card.public_id}/remove")

    assert answer["Location"] == url_of(order)
    card.refresh_from_db()
    assert card.removed_at is None


def test_a_card_of_a_second_account_pays_there(client, merchant, zenith, order, card):
    """Of two accounts that offer the same, only one has its form on the page; a card knows where it belongs."""
    second = factories.an_account(merchant, name="Second", provider="zenith", credentials={"key": "z"}, priority=-5)
    SavedCard.objects.update(account=second)

    page = client.get(url_of(order)).content.decode()
    pay_with(client, order, card)

    assert page.count('name="number"') == 1
    assert "•••• 0128" in page
    assert order.payments.get().account == second


def test_another_browser_sees_no_cards(client, merchant, order, card):
    from checkout.orders import links

    payment = factories.a_payment(order, "page")
    DESK.reports[payment.reference] = PaymentReport(
        reference=payment.reference, provider_reference=f"Z-{payment.reference}", status=Status.FAILED
    )
    shown = Client().get(f"/return/{links.return_token(payment)}")

    assert "0128" not in shown.content.decode()
