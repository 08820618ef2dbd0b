"""``manage.py create_api_key``: a new API key, shown once."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout.merchants.models import ApiKey, Merchant, Scope
from checkout.tenancy import Mode


class Command(BaseCommand):
    help = "Make an API key for a merchant and print it. It cannot be shown again: only its hash is kept."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--merchant", required=True, metavar="SLUG")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.TEST.value)
        parser.add_argument("--name", default="command line", help="to tell it from other keys in the desk")
        parser.add_argument("--scope", action="append", choices=Scope.values, help="may be repeated; default: all")
        parser.add_argument("--json", action="store_true", help="print a JSON object instead of the key alone")

    def handle(self, *, merchant: str, mode: str, name: str, scope: list[str] | None, **options: Any) -> None:
        owner = Merchant.objects.filter(slug=merchant).first()
        if owner is None:
            known = ", ".join(Merchant.objects.values_list("slug", flat=True)) or "there is none yet"
            raise CommandError(f"There is no merchant with the slug {merchant!r}. Merchants: {known}.")
        key, text = ApiKey.issue(owner, mode, name=name, scopes=scope)
        if options["json"]:
            about = {"key": text, "name": key.name, "merchant": owner.slug, "mode": key.mode, "scopes": key.scopes}
            self.stdout.write(json.dumps(about))
        else:
            self.stdout.write(text)
