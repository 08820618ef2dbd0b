"""Lesspay 2.0: card payments on its cashier page, from our own card form, and by token."""

from providers.lesspay.provider import Config, Provider

__all__ = ("Config", "Provider")
