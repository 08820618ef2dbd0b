from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "checkout.webhooks"
    default_auto_field = "django.db.models.BigAutoField"
