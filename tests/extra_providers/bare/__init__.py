"""Bare: the least a provider can be. It starts and fetches payments, at Acme's bank, and can do nothing else."""

from __future__ import annotations

from providers.acme import Config
from providers.acme import Provider as Acme

from providers import contract
from providers.contract import Method


class Provider(Acme):
    slug = "bare"
    name = "Bare"
    capabilities: frozenset[contract.Capability] = frozenset()
    methods = (Method("form"), Method("qr"), Method("transfer"))
    capture = contract.Provider.capture
    cancel = contract.Provider.cancel
    refund = contract.Provider.refund
    fetch_refund = contract.Provider.fetch_refund


__all__ = ("Config", "Provider")
