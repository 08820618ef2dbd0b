"""StoreSquare: cards, wallets and QR payments through one gateway, most of whose wire is described by a profile."""

from providers.storesquare.provider import Config, Provider

__all__ = ("Config", "Provider")
