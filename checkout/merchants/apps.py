from django.apps import AppConfig


class MerchantsConfig(AppConfig):
    name = "checkout.merchants"
    default_auto_field = "django.db.models.BigAutoField"
