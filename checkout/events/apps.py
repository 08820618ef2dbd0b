from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "checkout.events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checkout import work
        from checkout.events import outbox
        from checkout.events.models import Delivery
        from checkout.orders import timeline

        timeline.listeners.append(outbox.enqueue)
        work.register(work.Queue("deliveries", Delivery.objects.all, outbox.deliver))
