"""The one door to ``providers/``: finds the folders, opens an account's credentials, hands out configured Providers."""

from __future__ import annotations

import dataclasses
import importlib
import ipaddress
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import Http404

import providers
from checkout.merchants.models import ProviderAccount
from checkout.orders import links
from checkout.sealing import SealBroken
from providers.contract import Provider, Subscription
from providers.http import Http


class AccountUnusable(Exception):
    """An account's settings make no working provider; the message says which one and why, without any secret."""


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, type[Provider]]:
    """Every provider in ``providers/``, by slug, in alphabetical order."""
    found: dict[str, type[Provider]] = {}
    for module in pkgutil.iter_modules(providers.__path__):
        if module.ispkg:
            package = importlib.import_module(f"providers.{module.name}")
            if hasattr(package, "Provider"):
                found[package.Provider.slug] = package.Provider
    return found


def provider_class(slug: str) -> type[Provider]:
    """The class behind a slug. Raises AccountUnusable when there is no such provider."""
    try:
        return catalogue()[slug]
    except KeyError:
        raise AccountUnusable(f"there is no provider called {slug!r}") from None


def credential_fields(slug: str) -> tuple[dataclasses.Field[Any], ...]:
    """What the account form in the desk asks for."""
    return dataclasses.fields(_config_class(slug))


def check_credentials(slug: str, values: Mapping[str, Any]) -> None:
    """Raises AccountUnusable when these credentials make no configuration."""
    _configure(slug, values)


def connect(account: ProviderAccount) -> Provider:
    """A provider configured for this account, on its pooled connections. Raises AccountUnusable."""
    if account.is_live:
        refuse_simulator(account.base_url)
    try:
        config = _configure(account.provider, account.credentials)
    except SealBroken as error:
        raise AccountUnusable(f"the credentials of account {account.pk} do not open: {error}") from None
    return provider_class(account.provider)(config, _http(account.pk, account.base_url))


def subscribe(account: ProviderAccount) -> Subscription:
    """Have the provider send its webhooks to us, and keep what it hands out for that.

    Raises ProviderError or AccountUnusable; then nothing was changed here.
    """
    subscription = connect(account).subscribe(links.webhook_url(account))
    if subscription.credentials:
        account.set_credentials({**account.credentials, **subscription.credentials})
        account.save(update_fields=("sealed_credentials",))
    return subscription


def release_connection() -> None:
    """Give a pooled connection back before waiting for a provider: a slow one must not empty the pool."""
    if not connection.in_atomic_block and connection.settings_dict.get("OPTIONS", {}).get("pool"):
        connection.close()


def account_or_404(slug: str, webhook_id: UUID) -> tuple[ProviderAccount, Provider]:
    """The account behind a webhook URL, enabled or not: money may still arrive. Raises Http404."""
    account = ProviderAccount.objects.select_related("merchant").filter(provider=slug, webhook_id=webhook_id).first()
    if account is None:
        raise Http404("no such webhook URL")
    return account, connect(account)


def refuse_simulator(base_url: str) -> None:
    """Live money never meets a simulator: https to a public host only. Raises AccountUnusable."""
    parts = urlsplit(base_url)
    simulator = urlsplit(settings.SIMULATOR_URL) if settings.SIMULATOR_URL else None
    if parts.scheme != "https" or not parts.hostname:
        raise AccountUnusable("a live account needs an https base URL")
    if simulator and parts.netloc == simulator.netloc:
        raise AccountUnusable("a live account cannot use the simulator")
    if parts.hostname == "localhost" or _is_private(parts.hostname):
        raise AccountUnusable("a live account cannot use an address of this machine or network")


def redirect_hosts(account: ProviderAccount) -> tuple[str, ...]:
    """Hosts that shoppers of this account may be sent to: the provider's known ones, its API's own, the account's."""
    own = urlsplit(account.base_url).hostname or ""
    return (*provider_class(account.provider).redirect_hosts, own, *account.redirect_hosts)


def may_redirect(account: ProviderAccount, url: str) -> bool:
    """Whether a shopper may be sent to ``url``: https (http only for a test account on plain http), known host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain_http_is_fine = not account.is_live and urlsplit(account.base_url).scheme == "http"
    if parts.scheme != "https" and not (parts.scheme == "http" and plain_http_is_fine):
        return False
    host = (parts.hostname or "").lower()
    if not host or parts.username is not None or "\\" in url:
        return False
    return any(
        host == known or (known.startswith("*.") and host.endswith(known[1:]))
        for known in map(str.lower, redirect_hosts(account))
    )


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _config_class(slug: str) -> Any:
    provider_class(slug)
    return importlib.import_module(f"providers.{slug}").Config


def _configure(slug: str, values: Mapping[str, Any]) -> Any:
    config = _config_class(slug)
    known = {field.name for field in dataclasses.fields(config)}
    try:
        return config(**{name: value for name, value in values.items() if name in known})
    except (TypeError, ValueError) as error:
        raise AccountUnusable(f"the credentials for {slug} are incomplete: {type(error).__name__}") from None


@lru_cache(maxsize=256)
def _http(account_pk: int, base_url: str) -> Http:
    return Http(
        base_url,
        label=f"account={account_pk}",
        connect_seconds=settings.PROVIDER_CONNECT_SECONDS,
        read_seconds=settings.PROVIDER_READ_SECONDS,
    )
