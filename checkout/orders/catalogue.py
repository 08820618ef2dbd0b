"""What the installed providers can do, in words: for the README, for people, and for ``manage.py check``."""

from __future__ import annotations

from collections.abc import Iterator

from checkout.orders import gateway
from providers.contract import OPERATIONS, Capability, Method, Provider

WORDS = {
    Capability.SUBMIT_CODE: "code by SMS",
    Capability.CAPTURE: "capture",
    Capability.PARTIAL_CAPTURE: "partial capture",
    Capability.MULTIPLE_CAPTURE: "several captures",
    Capability.CANCEL: "release a hold",
    Capability.CLOSE_UNPAID: "close what nobody paid",
    Capability.REFUND: "refund",
    Capability.PARTIAL_REFUND: "partial refund",
    Capability.FETCH_REFUND: "follow a refund",
    Capability.UPLOAD_TRACKING: "tracking numbers",
    Capability.SAVE_CARD: "save a card",
    Capability.PAY_WITH_TOKEN: "pay with a saved card",
    Capability.MERCHANT_INITIATED: "charge a saved card while the shopper is away",
    Capability.REMOVE_CARD: "forget a saved card",
    Capability.LOOK_UP_CARD: "card look-up",
    Capability.THREE_DS_WISH: "3-D Secure wish",
    Capability.EXTERNAL_THREE_DS: "3-D Secure done elsewhere",
    Capability.SUBSCRIBE: "sets its webhook address by itself",
    Capability.TOKEN_KEEPS_CURRENCY: "saved cards keep their currency",
}


def table() -> str:
    """The README's table of providers, as Markdown."""
    rows = ["| provider | ways to pay | beyond paying |", "| --- | --- | --- |"]
    for provider in installed():
        ways = ", ".join(_way(method) for method in provider.methods)
        beyond = ", ".join(word for capability, word in WORDS.items() if capability in provider.capabilities)
        rows.append(f"| {provider.name} | {ways} | {beyond} |")
    return "\n".join(rows) + "\n"


def installed() -> list[type[Provider]]:
    """Those that come with Paydesk, by name."""
    return sorted(gateway.catalogue().values(), key=lambda provider: provider.name)


def contradictions(provider: type[Provider]) -> Iterator[str]:
    """Where a provider's declared capabilities and its methods disagree: a page would offer what cannot be done."""
    for capability in OPERATIONS:
        is_there = getattr(provider, capability) is not getattr(Provider, capability)
        if is_there != (capability in provider.capabilities):
            yield f"{capability} has a method but is not declared" if is_there else f"{capability} is declared only"
    takes_card = any(method.takes_card for method in provider.methods)
    if Capability.PAY_WITH_TOKEN in provider.capabilities and not takes_card:
        yield "pay_with_token is declared, but no way to pay takes a card"
    if Capability.CLOSE_UNPAID in provider.capabilities and Capability.CANCEL not in provider.capabilities:
        yield "close_unpaid is declared without cancel"
    if not provider.methods:
        yield "there is no way to pay"


def _way(method: Method) -> str:
    word = method.name or method.code.replace("_", " ")
    return f"{word} (if asked for)" if method.opt_in else word
