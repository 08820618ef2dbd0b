from functools import partial

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "checkout.orders"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checkout import work
        from checkout.orders import (
            checks,  # noqa: F401 - they register themselves
            execution,
            operations,
            saved_cards,
            shipping,
        )
        from checkout.orders.models import (
            Cancellation,
            Capture,
            Order,
            Payment,
            Refund,
            SavedCard,
            TrackingUpload,
        )

        work.register(work.Queue("payments", Payment.objects.all, operations.inquire_due))
        work.register(work.Queue("orders", Order.objects.all, operations.expire_due))
        for name, kind in (("captures", Capture), ("refunds", Refund), ("cancellations", Cancellation)):
            work.register(work.Queue(name, kind._default_manager.all, partial(execution.execute, kind)))
        work.register(work.Queue("uploads", TrackingUpload.objects.all, shipping.upload_due))
        work.register(work.Queue("saved_cards", SavedCard.objects.all, saved_cards.revoke_due))
