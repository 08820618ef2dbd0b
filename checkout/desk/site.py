"""The desk: Django's admin with our own face, our own front page, and no screen without a policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from checkout.desk.tenant import SuperuserOnly, TenantAdmin

SECTIONS = (
    (_("Payments"), ("Order", "ParcelList")),
    (_("Providers"), ("ProviderAccount", "WebhookEvent")),
    (_("Your systems"), ("ApiKey", "Endpoint", "Delivery")),
    (_("Team"), ("Merchant", "Member", "User")),
)
"""How the navigation is grouped; what is not named here follows under *More*."""


class DeskSite(admin.AdminSite):
    site_header = site_title = _("Paydesk")
    index_title = _("Overview")
    site_url = None
    enable_nav_sidebar = False
    index_template = "admin/desk/overview.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Registers, and closes to everybody but superusers whatever brings no policy of its own."""
        chosen = admin_class or admin.ModelAdmin
        if not issubclass(chosen, TenantAdmin | SuperuserOnly):
            chosen = type(chosen.__name__, (SuperuserOnly, chosen), {"__module__": chosen.__module__})
        super().register(model_or_iterable, chosen, **options)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from checkout.desk.overview import overview

        context = {
            **self.each_context(request),
            "title": self.index_title,
            "subtitle": None,
            **overview(request.user),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.index_template, context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """What somebody may see, in our sections; one app's own list when it is asked for."""
        if app_label:
            return super().get_app_list(request, app_label)
        models = {model["object_name"]: model for app in super().get_app_list(request) for model in app["models"]}
        for model in models.values():
            model["name"] = getattr(self._registry[model["model"]], "heading", model["name"])
        sections = [(name, [models.pop(key) for key in keys if key in models]) for name, keys in SECTIONS]
        return [_section(name, found) for name, found in [*sections, (_("More"), list(models.values()))] if found]


def _section(name: Any, models: Iterable[Any]) -> dict[str, Any]:
    return {"name": name, "app_label": "", "app_url": "", "has_module_perms": True, "models": list(models)}
