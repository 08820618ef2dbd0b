from django.apps import AppConfig
from django.contrib.admin import apps as stock


class DeskConfig(AppConfig):
    name = "checkout.desk"
    default_auto_field = "django.db.models.BigAutoField"


class DeskAdminConfig(stock.AdminConfig):
    """Django's admin, with the desk as its site."""

    default = False
    default_site = "checkout.desk.site.DeskSite"
