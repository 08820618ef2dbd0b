from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "checkout.desk"
    default_auto_field = "django.db.models.BigAutoField"
