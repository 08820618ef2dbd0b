"""What `manage.py check` says about the settings: what is wrong, why it matters, how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

NEW_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'
NEW_SEAL_KEY = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
BROKERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")


@register(Tags.security)
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every setting that is missing or odd, most urgent first."""
    return [*_keys(), *_addresses(), *_payments(), *_services()]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What only matters once real shoppers come."""
    return [*_deployment()]


def _keys() -> Iterator[CheckMessage]:
    if not _has_secret_key():
        yield Error(
            "SECRET_KEY is missing. It signs the desk's logins.",
            hint=f"Make one with: {NEW_KEY} and put it into the environment or .env; DEBUG does not replace it.",
            id="paydesk.E001",
        )
    if not settings.SEAL_KEYS:
        yield Error(
            "SEAL_KEYS is empty. Providers' credentials, saved cards and webhooks are encrypted with it at rest.",
            hint=f"Make one with: {NEW_SEAL_KEY} and keep it apart from the database's backups.",
            id="paydesk.E002",
        )
    for number, key in enumerate(settings.SEAL_KEYS, start=1):
        if not _is_fernet_key(key):
            yield Error(
                f"Key {number} in SEAL_KEYS is not a Fernet key (32 bytes in URL-safe base64).",
                hint=f"Make one with: {NEW_SEAL_KEY}. To rotate, put the new key first and keep the old ones after it.",
                id="paydesk.E003",
            )


def _addresses() -> Iterator[CheckMessage]:
    base = urlsplit(settings.BASE_URL)
    host = base.hostname or ""
    if base.scheme not in {"http", "https"} or not host or base.path or base.query or base.username:
        yield Error(
            f"BASE_URL is {settings.BASE_URL!r}, which is not the address of a site.",
            hint="Give scheme and host, and nothing after them: https://pay.example.com",
            id="paydesk.E004",
        )
    elif not settings.HTTPS and not _is_loopback(host):
        yield Error(
            f"BASE_URL is {settings.BASE_URL!r}: shoppers would pay over an unencrypted connection.",
            hint="Serve the site over TLS and let BASE_URL begin with https://",
            id="paydesk.E005",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS contains '*', so that a forged Host header is believed.",
            hint="List the site's own names, or leave the variable out: BASE_URL's host is the default.",
            id="paydesk.E006",
        )
    elif host and not any(host == name or (name[:1] == "." and host.endswith(name)) for name in settings.ALLOWED_HOSTS):
        yield Error(
            f"ALLOWED_HOSTS does not contain {host!r}, the host of BASE_URL: every payment page would answer 400.",
            hint="Add it, or leave the variable out.",
            id="paydesk.E007",
        )
    for proxy in settings.TRUSTED_PROXIES:
        if not _is_network(proxy):
            yield Error(
                f"TRUSTED_PROXIES contains {proxy!r}, which is neither an address nor a network.",
                hint="For example: TRUSTED_PROXIES=10.0.0.7,192.168.4.0/24",
                id="paydesk.E008",
            )
        elif ip_network(proxy, strict=False).prefixlen == 0:
            yield Error(
                f"TRUSTED_PROXIES contains {proxy!r}: anybody could claim any address and an encrypted connection.",
                hint="List the load balancers' own addresses.",
                id="paydesk.E009",
            )


def _payments() -> Iterator[CheckMessage]:
    if settings.CARD_FORM and not settings.PLAYGROUND and not settings.HTTPS:
        yield Error(
            "CARD_FORM is on without TLS: card numbers would travel in the clear.",
            hint="Let BASE_URL begin with https://, or turn CARD_FORM off and use the providers' own pages.",
            id="paydesk.E010",
        )
    if settings.CARD_FORM and settings.HTTPS and settings.DEBUG:
        yield Error(
            "CARD_FORM and DEBUG are on at a public address.",
            hint="Turn DEBUG off.",
            id="paydesk.E011",
        )
    if settings.CARD_FORM and not settings.PLAYGROUND:
        yield Info(
            "CARD_FORM is on: card numbers pass through this server, which puts it under PCI DSS SAQ D.",
            hint="The providers' own pages (SAQ A) need no CARD_FORM.",
            id="paydesk.I001",
        )
    if settings.DEMO and settings.HTTPS:
        yield Error(
            "DEMO is on at a public address: its keys and passwords are printed for everybody.",
            hint="DEMO is for `manage.py demo` on one's own machine.",
            id="paydesk.E012",
        )
    if settings.SIMULATOR_URL and urlsplit(settings.SIMULATOR_URL).scheme not in {"http", "https"}:
        yield Error(
            f"SIMULATOR_URL is {settings.SIMULATOR_URL!r}, which is not an address.",
            hint="For example http://127.0.0.1:8100, or leave it empty: then there is no simulator.",
            id="paydesk.E013",
        )
    if not 300 <= settings.PAGE_SECONDS <= 7 * 24 * 3600:
        yield Error(
            f"PAGE_SECONDS is {settings.PAGE_SECONDS}; an order can be open for 300 seconds to 7 days (604800).",
            hint="3600 is the default.",
            id="paydesk.E014",
        )
    for name in ("PROVIDER_CONNECT_SECONDS", "PROVIDER_READ_SECONDS", "DELIVERY_SECONDS"):
        if not 0 < getattr(settings, name) <= 60:
            yield Error(
                f"{name} is {getattr(settings, name):g}; a call must be given more than 0 and at most 60 seconds.",
                hint="Leave the variable out to get its default.",
                id="paydesk.E015",
            )
    for name in ("API_READS_PER_MINUTE", "API_WRITES_PER_MINUTE"):
        if getattr(settings, name) < 0:
            yield Error(
                f"{name} is {getattr(settings, name)}; it is a number of requests, or 0 for any number.",
                hint="Leave the variable out to get its default.",
                id="paydesk.E018",
            )


def _services() -> Iterator[CheckMessage]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine not in {"django.db.backends.sqlite3", "django.db.backends.postgresql"}:
        yield Error(
            f"DATABASE_URL leads to {engine}. Locks and constraints are only known to hold on SQLite and PostgreSQL.",
            hint="For example postgres://paydesk:password@127.0.0.1:5432/paydesk",
            id="paydesk.E016",
        )
    if settings.CELERY_BROKER_URL and urlsplit(settings.CELERY_BROKER_URL).scheme not in BROKERS:
        yield Error(
            f"CELERY_BROKER_URL begins with none of {', '.join(BROKERS)}.",
            hint="For example redis://127.0.0.1:6379/0, or leave it empty and run `manage.py work`.",
            id="paydesk.E017",
        )
    if not settings.HTTPS and settings.TRUSTED_PROXIES and not settings.PLAYGROUND:
        yield Warning(
            "TRUSTED_PROXIES is set while BASE_URL is plain http.",
            hint="Behind a balancer that ends TLS, BASE_URL is the address that browsers see: https://…",
            id="paydesk.W001",
        )


def _deployment() -> Iterator[CheckMessage]:
    if settings.PLAYGROUND:
        yield Warning(
            "DEBUG or DEMO is on: private webhook endpoints and simulators are possible.",
            hint="Leave both out where money is real.",
            id="paydesk.W002",
        )
    if not settings.HTTPS:
        yield Warning(
            "BASE_URL does not begin with https://, so cookies are not Secure and there is no HSTS.",
            hint="Serve the site over TLS.",
            id="paydesk.W003",
        )
    if settings.SIMULATOR_URL:
        yield Warning(
            "SIMULATOR_URL is set: test accounts talk to a simulator.",
            hint="Fine for a staging machine; leave it out where money is real.",
            id="paydesk.W004",
        )
    if settings.EMAIL_BACKEND.endswith((".console.EmailBackend", ".dummy.EmailBackend")):
        yield Warning(
            "EMAIL_URL is not set: receipts and alerts are printed instead of sent.",
            hint="For example smtp+tls://user:password@mail.example.com:587",
            id="paydesk.W005",
        )
    if settings.STATIC_MANIFEST and not (settings.BASE_DIR / "staticfiles" / "staticfiles.json").exists():
        yield Warning(
            "Style sheets and scripts have not been collected, so pages cannot be rendered.",
            hint="Run: manage.py collectstatic --noinput",
            id="paydesk.W006",
        )


def _has_secret_key() -> bool:
    try:
        return bool(settings.SECRET_KEY)
    except ImproperlyConfigured:  # what Django says to an empty one
        return False


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
