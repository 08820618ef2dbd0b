from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "checkout.events"
    default_auto_field = "django.db.models.BigAutoField"
