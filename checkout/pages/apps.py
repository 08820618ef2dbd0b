from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "checkout.pages"
    default_auto_field = "django.db.models.BigAutoField"
