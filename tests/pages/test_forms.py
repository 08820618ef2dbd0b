from __future__ import annotations

from datetime import datetime, timezone

import pytest
import time_machine

from checkout.pages import cards
from checkout.pages.forms import MESSAGES, CardForm, new_token, script_settings, submission
from providers.contract import CardField, Method
from tests import factories
from tests.pages.shopper import BANK_CARD, CARD

PLAIN = Method("card", takes_card=True)
BANK = Method(
    "bankcard",
    takes_card=True,
    required=frozenset({CardField.HOLDER, CardField.ID_NUMBER, CardField.PHONE}),
    optional=frozenset({CardField.EXPIRY, CardField.CVC}),
)


def mistakes(**typed: str) -> dict[str, list[str]]:
    form = CardForm(PLAIN, CARD | typed)
    form.is_valid()
    return {name: [str(error) for error in errors] for name, errors in form.errors.items()}


def said(*names: str) -> list[str]:
    return [str(MESSAGES[name]) for name in names]


def test_a_good_card_passes_and_knows_its_brand():
    form = CardForm(PLAIN, CARD)

    assert form.is_valid()
    card = form.card()
    assert (card.number, card.expiry_month, card.expiry_year) == ("4242424242424242", 12, 2040)
    assert (card.cvc, card.holder, card.brand) == ("123", "Ada Lovelace", "visa")


def test_all_mistakes_are_found_at_once_in_the_order_of_the_form():
    form = CardForm(PLAIN, {})

    assert not form.is_valid()
    assert [id for id, _ in form.links] == ["card-number", "card-expiry", "card-cvc", "card-holder"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("4242 4242 4242 4241", "number_wrong"),
        ("4242 4242 4242", "number_short"),
        ("4242 4242 4242 4", "number_wrong"),
        ("4242 4242", "number_short"),
        ("4242 4242 4242 4242 4242", "number_long"),
        ("4242-4242-4242-424x", "number_digits"),
        ("٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "number_digits"),
        ("9000000000000002", "number_wrong"),
        ("9000000000000001", "number_brand"),
        ("37828224631000500", "number_long"),
    ],
)
def test_a_wrong_number_says_what_is_wrong(number, message):
    brands = ", ".join(brand.label for brand in cards.brands())

    assert mistakes(number=number)["number"] == [text.format(brands=brands) for text in said(message)]


@pytest.mark.parametrize("number", ["4242-4242-4242-4242", "4242.4242.4242.4242", " 4242\u00a04242 4242 4242 "])
def test_a_number_may_be_grouped_in_any_way(number):
    assert "number" not in mistakes(number=number)


def test_a_scheme_without_check_digit_is_not_held_to_one():
    assert "number" not in mistakes(number="6200000000000001")


@pytest.mark.parametrize(
    ("number", "cvc", "is_right"),
    [
        ("4242424242424242", "123", True),
        ("4242424242424242", "1234", False),
        ("378282246310005", "1234", True),
        ("378282246310005", "123", False),
        ("4242424242424242", "12a", False),
    ],
)
def test_the_length_of_the_code_follows_the_brand(number, cvc, is_right):
    assert ("cvc" not in mistakes(number=number, cvc=cvc)) is is_right


def test_a_card_number_in_another_box_is_refused_and_not_shown_again():
    form = CardForm(PLAIN, CARD | {"holder": "4242 4242 4242 4242", "cvc": "4242424242424242"})

    assert not form.is_valid()
    assert str(form.errors["holder"][0]) == str(MESSAGES["holder_number"])
    assert str(form.errors["cvc"][0]) == str(MESSAGES["cvc_number"])
    assert form.kept_holder == ""


@pytest.mark.parametrize("holder", ["11010519491231002X", "138 0000 0000", "Ada 13800000000"])
def test_a_number_of_a_person_in_the_box_for_the_name_is_refused_and_not_shown_again(holder):
    form = CardForm(PLAIN, CARD | {"holder": holder})

    assert not form.is_valid()
    assert str(form.errors["holder"][0]) == str(MESSAGES["holder_digits"])
    assert form.kept_holder == ""


def bank_mistakes(**typed: str) -> dict[str, list[str]]:
    form = CardForm(BANK, BANK_CARD | typed)
    form.is_valid()
    return {name: [str(error) for error in errors] for name, errors in form.errors.items()}


def test_a_form_has_the_fields_of_its_method_and_no_others():
    assert [*CardForm(PLAIN).fields] == ["number", "expiry", "cvc", "holder", "save"]
    assert [*CardForm(BANK).fields] == ["number", "expiry", "cvc", "holder", "id_number", "phone", "save"]
    assert [*CardForm(Method("bare", required=frozenset())).fields] == ["number", "save"]
    assert not CardForm(BANK).fields["expiry"].required


def test_what_is_optional_may_be_left_out_but_not_be_wrong():
    assert bank_mistakes() == {}
    assert bank_mistakes(expiry="12/40", cvc="123") == {}
    assert bank_mistakes(expiry="13/40", cvc="1") == {
        "expiry": said("expiry_format"),
        "cvc": [str(MESSAGES["cvc_length"]).format(length=3)],
    }
    assert bank_mistakes(expiry="01/20")["expiry"] == said("expiry_past")


def test_what_a_method_does_not_ask_for_is_not_taken():
    form = CardForm(PLAIN, CARD | {"id_number": "11010519491231002X", "phone": "13800000000"})

    assert form.is_valid()
    assert (form.card().id_number, form.card().phone) == ("", "")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("11010519491231002X", "11010519491231002X"),
        (" 110105 19491231 002x ", "11010519491231002X"),
        ("110105491231002", "110105491231002"),
    ],
)
def test_an_identity_number_is_read_however_it_is_written(typed, kept):
    form = CardForm(BANK, BANK_CARD | {"id_number": typed})

    assert form.is_valid()
    assert form.card().id_number == kept


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "id_number_required"),
        ("110105194912310021", "id_number_wrong"),
        ("99999919491231002X", "id_number_wrong"),
        ("11010519491331002X", "id_number_wrong"),
        ("1101051949123100", "id_number_format"),
        ("11010519491231002Y", "id_number_format"),
        ("X1010519491231002X", "id_number_format"),
        ("١١٠١٠٥٤٩١٢٣١٠٠٢", "id_number_format"),
        ("1" * 10_000, "id_number_format"),
    ],
)
def test_a_wrong_identity_number_says_what_to_enter(typed, message):
    assert bank_mistakes(id_number=typed)["id_number"] == said(message)


@pytest.mark.parametrize(
    "typed",
    ["13800000000", "138 0000 0000", "+86 138-0000-0000", "+86 (138) 00000000", "008613800000000", "8613800000000"],
)
def test_a_phone_number_is_read_however_it_is_written(typed):
    form = CardForm(BANK, BANK_CARD | {"phone": typed})

    assert form.is_valid()
    assert form.card().phone == "13800000000"


@pytest.mark.parametrize(
    "typed", ["23800000000", "1380000000", "138000000000", "+49 171 0000000", "phone", "١٣٨٠٠٠٠٠٠٠٠"]
)
def test_a_phone_number_of_elsewhere_is_told_so(typed):
    assert bank_mistakes(phone=typed)["phone"] == said("phone_format")


def test_the_month_on_the_card_counts_until_it_is_over_everywhere():
    with time_machine.travel(datetime(2030, 5, 1, 6, tzinfo=timezone.utc), tick=False):  # noqa: UP017
        assert "expiry" not in mistakes(expiry="04/30")
    with time_machine.travel(datetime(2030, 5, 1, 13, tzinfo=timezone.utc), tick=False):  # noqa: UP017
        assert mistakes(expiry="04/30")["expiry"] == said("expiry_past")
        assert mistakes(expiry="04/80")["expiry"] == said("expiry_far")
        assert mistakes(expiry="0")["expiry"] == said("expiry_format")


def test_a_token_belongs_to_one_order_and_one_way_to_pay(order, merchant):
    token = new_token(order)

    assert submission(order, token, "1:card") == submission(order, token, "1:card") != ""
    assert submission(order, token, "1:card") != submission(order, token, "1:cashier")
    assert submission(factories.an_order(merchant), token, "1:card") == ""
    assert submission(order, token + "x", "1:card") == ""
    assert submission(order, "", "1:card") == ""


def test_the_script_gets_the_table_that_the_server_uses():
    assert '"brand":"visa"' in script_settings(cards.brands())


# ------------------------------------------------------------------------------------------- what some cards alone have


WITHOUT = {"number": "4242424242424242", "holder": "Ada", "id_number": "11010519491231002X", "phone": "13800000000"}


def chinese(**typed):
    from providers.zenith import Provider

    form = CardForm(Provider.methods[0], {**WITHOUT, **typed})
    assert form.is_valid(), form.errors
    return form


def test_a_form_knows_what_was_left_out():
    assert chinese().left_out == ["expiry", "cvc"]
    assert chinese(expiry="12/40").left_out == ["cvc"]
    assert chinese(expiry="12/40", cvc="123").left_out == []


def test_what_was_left_out_can_be_demanded_after_all():
    form = chinese(cvc="123")
    form.demand_the_rest()

    assert not form.is_valid()
    assert [field for field, _ in form.links] == ["card-expiry"]


def test_a_method_that_takes_one_scheme_says_so():
    method = Method("bankcard", takes_card=True, brands=frozenset({"unionpay"}))

    form = CardForm(method, {**CARD, "number": "4242424242424242"})

    assert form.errors["number"] == ["This kind of card is not accepted here. Use UnionPay."]
    assert '"brand":"visa"' not in script_settings(form.accepted)
