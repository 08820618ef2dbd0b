"""What ``manage.py check`` says about the installed providers."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from checkout.orders import catalogue


@register()
def check_providers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Pages and desk offer what a provider declares, so a false declaration is an error."""
    return [
        Error(
            f"The provider {provider.name} contradicts itself: {contradiction}.",
            hint="Its capabilities must name exactly the methods that it overrides; see providers/contract.py.",
            id="paydesk.E101",
        )
        for provider in catalogue.installed()
        for contradiction in catalogue.contradictions(provider)
    ]
