from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "checkout.webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checkout import work
        from checkout.webhooks import inbox
        from checkout.webhooks.models import WebhookEvent

        work.register(work.Queue("inbox", WebhookEvent.objects.all, inbox.apply_event))
