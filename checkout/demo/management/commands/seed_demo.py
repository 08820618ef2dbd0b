"""``manage.py seed_demo``: what the demonstration starts from. Safe to repeat: it brings up to date what is there."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from checkout.events.models import Endpoint
from checkout.merchants.models import ApiKey, Member, Merchant, ProviderAccount, Role
from checkout.tenancy import Mode

SEED = Path(__file__).parents[2] / "seed.json"


class Command(BaseCommand):
    help = "Migrate and seed. Reads admin_password and api_key (may be empty) as JSON, prints the shop's secrets so."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--admin", required=True, help="user name of the superuser")

    def handle(self, *, admin: str, **options: Any) -> None:
        given = json.load(sys.stdin)
        call_command("migrate", interactive=False, verbosity=0)
        seed = json.loads(SEED.read_text(encoding="utf-8"))
        with transaction.atomic():
            merchant, _ = Merchant.objects.get_or_create(slug=seed["merchant"]["slug"], defaults=seed["merchant"])
            _staff(merchant, admin, given["admin_password"])
            for account in seed["accounts"]:
                _account(merchant, account)
            made = {"api_key": _api_key(merchant, given["api_key"]), "webhook_secret": _endpoint(merchant)}
        self.stdout.write(json.dumps(made))


def _staff(merchant: Merchant, name: str, password: str) -> None:
    users: Any = get_user_model().objects
    user = users.filter(username=name).first() or users.create_superuser(name, password=password)
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    Member.objects.get_or_create(user=user, merchant=merchant, defaults={"role": Role.OWNER})


def _account(merchant: Merchant, seed: dict[str, Any]) -> None:
    """The simulator's port may have changed; whatever else was set in the desk stays."""
    simulated = {"merchant": merchant, "mode": Mode.TEST, "provider": seed["provider"], "name": seed["name"]}
    account = ProviderAccount.objects.filter(**simulated).first()
    if account is None:
        account = ProviderAccount(**simulated, currencies=seed["currencies"])
        account.set_credentials({name: _text(value) for name, value in seed["credentials"].items()})
    account.base_url = settings.SIMULATOR_URL + seed["path"]
    account.save()


def _text(value: Any) -> str:
    """A credential as it stands in the seed, or in the file that the seed names."""
    return str(value) if isinstance(value, str) else (settings.BASE_DIR / value["file"]).read_text(encoding="utf-8")


def _api_key(merchant: Merchant, text: str) -> str:
    """The key that is known already, or a new one where it is not or was revoked."""
    if text and ApiKey.find(text):
        return text
    return ApiKey.issue(merchant, Mode.TEST, name="The shop")[1]


def _endpoint(merchant: Merchant) -> str:
    """The secret of the shop's endpoint."""
    url = f"{settings.BASE_URL}/shop/webhooks"
    endpoint = Endpoint.objects.of(merchant, Mode.TEST).filter(url__endswith="/shop/webhooks").first()
    if endpoint is None:
        return Endpoint.create_for(merchant, Mode.TEST, url=url)[1]
    endpoint.url = url
    endpoint.save(update_fields=("url",))
    return endpoint.secrets[0]
