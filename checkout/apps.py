from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """What belongs to the whole project: its system checks and commands."""

    name = "checkout"

    def ready(self) -> None:
        from checkout import checks  # noqa: F401 - registers them
