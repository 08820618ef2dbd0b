"""What providers declare is what they can do, and what people read."""

from __future__ import annotations

import pytest

from checkout.orders import catalogue, gateway
from checkout.orders.checks import check_providers
from providers.contract import Capability, LeadsTo

from providers.zenith import Provider as Zenith  # isort: skip


def test_every_installed_provider_is_what_it_says():
    assert check_providers(None) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"capabilities": Zenith.capabilities | {Capability.REFUND}}, "refund is declared only"),
        ({"capabilities": Zenith.capabilities - {Capability.SUBSCRIBE}}, "subscribe has a method"),
        ({"capabilities": Zenith.capabilities - {Capability.CANCEL}}, "close_unpaid is declared without cancel"),
        ({"methods": ()}, "there is no way to pay"),
        ({"methods": Zenith.methods[1:]}, "no way to pay takes a card"),
    ],
)
def test_a_false_declaration_is_an_error(monkeypatch, changes, complaint):
    false = type("False_", (Zenith,), {"name": "Falsetto", **changes})
    monkeypatch.setattr(gateway, "catalogue", lambda: {"false": false})

    messages = [message.msg for message in check_providers(None)]

    assert any(complaint in message for message in messages)
    assert all("Falsetto" in message for message in messages)


def test_every_capability_has_a_word_and_every_method_says_where_it_leads():
    assert set(catalogue.WORDS) == set(Capability)
    for provider in catalogue.installed():
        codes = [method.code for method in provider.methods]
        assert len(codes) == len(set(codes))
        assert all(method.leads_to in LeadsTo for method in provider.methods)


def test_the_table_shows_each_way_to_pay():
    table = catalogue.table()

    assert "| Zenith | bankcard, Zen Pay, page, hidden (if asked for) |" in table
