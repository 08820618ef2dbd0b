"""Antom APO: card payments on our own form, on its hosted pages and by saved card, routed to several acquirers."""

from providers.antom.provider import Config, Provider

__all__ = ("Config", "Provider")
