"""What the environment makes of the settings, and what `manage.py check` says about it."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.db import connection

from checkout import celery_app, checks

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def settings_from(monkeypatch):
    """The settings that a given environment leads to, as a dictionary."""

    def read(**environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "checkout" / "settings.py"))

    for name in ("DATABASE_URL", "STATIC_MANIFEST", "LOG_LEVEL"):
        monkeypatch.delenv(name)
    return read


def test_the_example_lists_every_variable():
    read = set(re.findall(r"""\benv\.\w+\(\s*"([A-Z_]+)\"""", (ROOT / "checkout" / "settings.py").read_text()))
    listed = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(read)


def test_the_example_shows_the_defaults(settings_from):
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    default, explicit = settings_from(), settings_from(**shown)

    differing = {name for name in default if name.isupper() and explicit[name] != default[name]}
    assert differing <= {"LOGGING"}  # its formatters are new objects each time
    assert explicit["LOGGING"]["root"] == default["LOGGING"]["root"]


def test_a_fresh_installation_is_closed(settings_from):
    settings = settings_from()

    assert (settings["DEBUG"], settings["DEMO"], settings["CARD_FORM"]) == (False, False, False)
    assert settings["ALLOWED_HOSTS"] == ["127.0.0.1"]
    assert settings["SIMULATOR_URL"] == ""


def test_https_makes_everything_secure(settings_from):
    settings = settings_from(BASE_URL="https://pay.example.com")

    assert settings["SECURE_SSL_REDIRECT"]
    assert settings["SECURE_HSTS_SECONDS"] == 31_536_000
    assert settings["SESSION_COOKIE_SECURE"]
    assert settings["CSRF_COOKIE_SECURE"]
    assert settings["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert settings["ALLOWED_HOSTS"] == ["pay.example.com"]
    assert settings["SECURE_PROXY_SSL_HEADER"] is None


def test_private_endpoints_need_debug_or_demo(settings_from):
    assert not settings_from(ALLOW_PRIVATE_ENDPOINTS="on")["ALLOW_PRIVATE_ENDPOINTS"]
    assert settings_from(ALLOW_PRIVATE_ENDPOINTS="on", DEMO="on")["ALLOW_PRIVATE_ENDPOINTS"]


def test_a_secret_may_be_a_file(settings_from, tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY")
    (tmp_path / "key").write_text("from a file")

    assert settings_from(SECRET_KEY_FILE=str(tmp_path / "key"))["SECRET_KEY"] == "from a file"


def test_postgresql_is_pooled_unless_somebody_else_pools(settings_from):
    url = "postgres://paydesk@127.0.0.1/paydesk?sslmode=require"
    pooled = settings_from(DATABASE_URL=url)["DATABASES"]["default"]
    direct = settings_from(DATABASE_URL=url, DATABASE_POOL="0")["DATABASES"]["default"]

    assert pooled["OPTIONS"]["pool"]["max_size"] == 16
    assert pooled["OPTIONS"]["sslmode"] == "require"
    assert "pool" not in direct["OPTIONS"]
    assert direct["CONN_MAX_AGE"] == 60


@pytest.mark.parametrize("broker", ["", "redis://127.0.0.1:6379/0", "amqp://127.0.0.1//"])
def test_publishing_never_waits_long(settings_from, broker):
    settings = settings_from(CELERY_BROKER_URL=broker)

    assert settings["CELERY_BROKER_CONNECTION_TIMEOUT"] <= 0.2
    assert not settings["CELERY_TASK_PUBLISH_RETRY"]
    assert settings["CELERY_BROKER_WRITE_URL"] == (broker or "memory://")


def test_the_beat_calls_tasks_that_exist():
    celery_app.loader.import_default_modules()

    for entry in celery_app.conf.beat_schedule.values():
        assert entry["task"] in celery_app.tasks


@pytest.mark.django_db
def test_the_database_keeps_what_it_confirms_and_never_waits_for_ever():
    with connection.cursor() as cursor:

        def ask(question: str) -> Any:
            cursor.execute(question)
            return cursor.fetchone()[0]

        if connection.vendor == "sqlite":
            assert ask("PRAGMA journal_mode") == "wal"
            assert ask("PRAGMA synchronous") == 2  # FULL
            assert ask("PRAGMA busy_timeout") >= 5000
        else:
            assert ask("SHOW lock_timeout") == "5s"
            assert ask("SHOW statement_timeout") == "15s"


# -------------------------------------------------------------------------------------------------------------- checks

WRONG = {
    "paydesk.E001": {"SECRET_KEY": ""},
    "paydesk.E002": {"SEAL_KEYS": []},
    "paydesk.E003": {"SEAL_KEYS": [Fernet.generate_key().decode(), "too short"]},
    "paydesk.E004": {"BASE_URL": "pay.example.com"},
    "paydesk.E005": {"BASE_URL": "http://pay.example.com", "ALLOWED_HOSTS": ["pay.example.com"]},
    "paydesk.E006": {"ALLOWED_HOSTS": ["*"]},
    "paydesk.E007": {"ALLOWED_HOSTS": ["pay.example.com"]},
    "paydesk.E008": {"TRUSTED_PROXIES": ["balancer"], "HTTPS": True},
    "paydesk.E009": {"TRUSTED_PROXIES": ["0.0.0.0/0"], "HTTPS": True},
    "paydesk.E010": {"CARD_FORM": True},
    "paydesk.E011": {"CARD_FORM": True, "DEBUG": True, "PLAYGROUND": True, "HTTPS": True},
    "paydesk.E012": {"DEMO": True, "PLAYGROUND": True, "HTTPS": True},
    "paydesk.E013": {"SIMULATOR_URL": "127.0.0.1:8100"},
    "paydesk.E014": {"PAGE_SECONDS": 60},
    "paydesk.E015": {"PROVIDER_READ_SECONDS": 0},
    "paydesk.E016": {"DATABASES": {"default": {"ENGINE": "django.db.backends.mysql"}}},
    "paydesk.E017": {"CELERY_BROKER_URL": "sqs://queue"},
    "paydesk.E018": {"API_READS_PER_MINUTE": -1},
    "paydesk.W001": {"TRUSTED_PROXIES": ["192.0.2.1"]},
    "paydesk.W002": {"DEBUG": True, "PLAYGROUND": True},
    "paydesk.W003": {},
    "paydesk.W004": {"SIMULATOR_URL": "http://127.0.0.1:8100"},
    "paydesk.W005": {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"},
    "paydesk.W006": {"STATIC_MANIFEST": True, "BASE_DIR": Path("nowhere")},
    "paydesk.I001": {"CARD_FORM": True, "HTTPS": True},
}


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
@pytest.mark.parametrize("check", WRONG)
def test_an_odd_setting_is_explained(check, settings):
    for name, value in WRONG[check].items():
        setattr(settings, name, value)

    found = [message for message in all_messages() if message.id == check]

    assert found
    assert found[0].hint


def test_every_check_is_tested():
    assert set(re.findall(r"paydesk\.[EWI]\d+", Path(checks.__file__).read_text())) == set(WRONG)


def test_the_settings_of_these_tests_are_fine():
    assert not checks.check_settings(None)


def test_an_installation_as_it_should_be_has_no_warning(settings):
    settings.HTTPS = True
    settings.BASE_URL = "https://pay.example.com"
    settings.ALLOWED_HOSTS = ["pay.example.com"]
    settings.TRUSTED_PROXIES = ["192.0.2.0/24"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    assert not all_messages()


def test_no_explanation_shows_a_secret(settings):
    settings.SEAL_KEYS = ["this-is-secret"]
    settings.CELERY_BROKER_URL = "sqs://user:this-is-secret@queue"

    assert not [message for message in all_messages() if "this-is-secret" in str(message)]


def test_the_checks_are_registered(settings):
    settings.SEAL_KEYS = []

    assert "paydesk.E002" in {message.id for message in run_checks(tags=["security"])}


def all_messages() -> list[Any]:
    return [*checks.check_settings(None), *checks.check_deployment(None)]


def test_tests_do_not_depend_on_the_shell():
    assert os.environ["ENV_FILE"] == os.devnull
