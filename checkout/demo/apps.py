from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The demonstration's shop; installed by ``manage.py demo`` only."""

    name = "checkout.demo"
