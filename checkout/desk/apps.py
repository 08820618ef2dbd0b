from django.apps import AppConfig
from django.contrib.admin import apps as stock


class DeskConfig(AppConfig):
    name = "checkout.desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checkout import work
        from checkout.desk import parcel_lists
        from checkout.desk.models import ParcelList

        work.register(work.Queue("parcel_lists", ParcelList.objects.all, parcel_lists.take_turn))


class DeskAdminConfig(stock.AdminConfig):
    """Django's admin, with the desk as its site."""

    default = False
    default_site = "checkout.desk.site.DeskSite"
