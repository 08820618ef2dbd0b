"""What can be chosen, and what is said of it: by what a method declares, whoever offers it."""

from __future__ import annotations

import dataclasses

import pytest

from checkout.orders import operations
from checkout.pages import texts, ways
from providers.contract import LeadsTo, Method
from tests import factories
from tests.pages.shopper import CARD, press, text_of, token_in, url_of


@pytest.mark.parametrize("leads_to", LeadsTo)
def test_a_brand_is_named_and_what_comes_next_is_said(leads_to):
    text = texts.method(Method("x_pay", name="X Pay", leads_to=leads_to))

    assert text.label == "X Pay"
    assert text.hint
    assert {other: texts.method(Method("x", name="X", leads_to=other)).hint for other in LeadsTo}[leads_to] == text.hint


def test_every_next_step_has_words_of_its_own():
    hints = {str(texts.method(Method("x", name="X", leads_to=leads_to)).hint) for leads_to in LeadsTo}

    assert len(hints) == len(LeadsTo)


def test_a_method_without_a_name_is_called_by_its_code():
    assert texts.method(Method("bank_transfer")).label == "Pay with Bank transfer"
    assert texts.method(Method("cashier")).label == "Pay on a secure payment page"


def test_methods_of_two_accounts_stand_side_by_side(client, merchant, account, zenith):
    order = factories.an_order(merchant)
    page = text_of(client.get(url_of(order)))

    for text in ("Pay on a secure payment page", "Zen Pay", "You scan a code with its app on your phone."):
        assert text in page
    assert client.get(url_of(order)).content.decode().count('id="card"') == 1


def test_two_that_read_the_same_say_whose_they_are(merchant, account, zenith):
    order = factories.an_order(merchant)
    page = next(offer for offer in operations.offers(order) if offer.method.code == "page")
    twin = dataclasses.replace(page, account=account, method=Method("twin", name="Zen Pay"))
    wallet = next(offer for offer in operations.offers(order) if offer.method.code == "wallet")

    labels = [str(row["text"].label) for row in ways.labelled((wallet, twin, page))]

    assert labels == ["Zen Pay, by Zenith", "Zen Pay, by Acme", "Pay with Page"]


def test_a_single_way_is_the_one_button_and_names_its_brand(client, merchant, zenith):
    zenith.methods = ["wallet"]
    zenith.save()

    page = text_of(client.get(url_of(factories.an_order(merchant))))

    assert "Pay €10.00 with Zen Pay" in page
    assert "You scan a code" in page


def test_only_the_first_card_form_is_offered(client, merchant, account, zenith, bank):
    order = factories.an_order(merchant)
    second = next(offer.code for offer in operations.offers(order) if offer.method.code == "bankcard")
    form = {"token": token_in(client.get(url_of(order))), "offer": second, **CARD}

    assert client.post(url_of(order), form).status_code == 422
    assert "Identity number" not in text_of(client.get(url_of(order)))
    assert not order.payments.exists()


def test_a_form_asks_for_what_its_method_needs(client, merchant, zenith):
    page = client.get(url_of(factories.an_order(merchant))).content.decode()

    for name in ("number", "expiry", "cvc", "holder", "id_number", "phone"):
        assert f'id="card-{name}"' in page
    assert "Optional: only credit cards have these two." in page
    assert page.count('aria-describedby="card-note ') == 2
    assert "it sends a code there" in page


def test_a_mistake_in_an_identity_number_shows_it_to_nobody(client, merchant, zenith):
    order = factories.an_order(merchant)
    answer = press(client, order, "bankcard", id_number="110105194912310021", phone="12345")

    assert answer.status_code == 422
    assert "at least one character is wrong" in text_of(answer)
    assert 'href="#card-id_number"' in answer.content.decode()
    assert "110105194912310021" not in answer.content.decode()
    assert 'value="12345"' not in answer.content.decode()
