"""LianLian Pay's Easypay: Chinese bank cards by name, identity number, mobile number and a code by SMS."""

from providers.lianlian.provider import Config, Provider

__all__ = ("Config", "Provider")
