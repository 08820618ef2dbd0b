"""Print the API's description, as it is served: for files, and for programs that write clients."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from checkout.api.document import document
from checkout.api.views import api


class Command(BaseCommand):
    help = "Print the OpenAPI document of API v1."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(document(api), indent=2, ensure_ascii=False))
