"""All settings, read from the environment; `.env.example` lists every variable, `manage.py check` explains odd ones.

Any variable may be given as a file instead, with ``_FILE`` appended to its name (Docker and Kubernetes secrets).
"""

from pathlib import Path
from urllib.parse import urlsplit

import environ

from checkout import logs

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()
env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))

# ------------------------------------------------------------------------------------------------------ what this is

DEBUG = env.bool("DEBUG", default=False)
DEMO = env.bool("DEMO", default=False)  # set by `manage.py demo`: simulators, one machine, no real money
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
HTTPS = BASE_URL.startswith("https://")
PLAYGROUND = DEBUG or DEMO

# Empty means missing: Django refuses to work with it, and a system check says what to do.
SECRET_KEY = env.str("SECRET_KEY", default="")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Fernet keys for secrets at rest: the first seals, all of them open. Never derived from SECRET_KEY.
SEAL_KEYS = env.list("SEAL_KEYS", default=[])

# --------------------------------------------------------------------------------------------------------- payments

CARD_FORM = env.bool("CARD_FORM", default=False)  # card numbers reach this server: PCI DSS SAQ D
SIMULATOR_URL = env.str("SIMULATOR_URL", default="").rstrip("/")
# Webhook endpoints on private addresses are for a developer's own machine, whatever the environment says.
ALLOW_PRIVATE_ENDPOINTS = env.bool("ALLOW_PRIVATE_ENDPOINTS", default=False) and PLAYGROUND
ENDPOINT_PORTS = env.list("ENDPOINT_PORTS", cast=int, default=[443])  # where merchants may listen for webhooks
PAGE_SECONDS = env.int("PAGE_SECONDS", default=3600)  # how long a new order can be paid
PROVIDER_CONNECT_SECONDS = env.float("PROVIDER_CONNECT_SECONDS", default=2.0)
PROVIDER_READ_SECONDS = env.float("PROVIDER_READ_SECONDS", default=15.0)
DELIVERY_SECONDS = env.float("DELIVERY_SECONDS", default=10.0)  # one webhook to a merchant, from connect to answer

# Requests a minute that one API key may make; 0 for any number.
API_READS_PER_MINUTE = env.int("API_READS_PER_MINUTE", default=6000)
API_WRITES_PER_MINUTE = env.int("API_WRITES_PER_MINUTE", default=1200)

# ------------------------------------------------------------------------------------------------------ application

INSTALLED_APPS = [
    "checkout.desk.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_structlog",
    "csp",
    "checkout",
    "checkout.merchants",
    "checkout.orders",
    "checkout.webhooks",
    "checkout.events",
    "checkout.pages",
    "checkout.api",
    "checkout.desk",
    *(["checkout.demo"] if DEMO else []),
]
DESK_PATH = "/admin/"
# Only the desk has sessions, logins, messages and CSRF tokens; shoppers, the API and webhooks get no cookie at all
# (see checkout/middleware.py).
MIDDLEWARE = [
    "checkout.middleware.RequestLog",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "checkout.middleware.Forwarded",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "checkout.middleware.Limits",
    "checkout.api.middleware.Problems",
    "django.middleware.common.CommonMiddleware",
    "checkout.middleware.DeskSession",
    "checkout.middleware.DeskCsrf",
    "checkout.middleware.DeskAuthentication",
    "checkout.middleware.DeskMessages",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "checkout.urls"
WSGI_APPLICATION = "checkout.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
# What shoppers are offered; `bin/messages --check` sees to it that each is complete. The desk speaks English.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "locale"]

# --------------------------------------------------------------------------------------------------------- database

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'paydesk.sqlite3'}")}
_database = DATABASES["default"]
_options = _database.setdefault("OPTIONS", {})
_pool_size = env.int("DATABASE_POOL", default=16)
_statement_seconds = env.int("DATABASE_STATEMENT_SECONDS", default=15)
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock at BEGIN, so two writers queue instead of failing half-way.
    _options["transaction_mode"] = "IMMEDIATE"
    _options["timeout"] = 20
    _options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
elif _database["ENGINE"] == "django.db.backends.postgresql":
    _database["CONN_HEALTH_CHECKS"] = True
    _options.setdefault("connect_timeout", 5)
    _options["options"] = (
        f"-c lock_timeout=5s -c statement_timeout={_statement_seconds}s -c idle_in_transaction_session_timeout=60s"
    )
    if _pool_size:
        _options["pool"] = {"min_size": 1, "max_size": _pool_size, "timeout": 5}
    else:  # PgBouncer in front: one connection a thread, kept for a minute
        _database["CONN_MAX_AGE"] = 60
        _database["DISABLE_SERVER_SIDE_CURSORS"] = True

# ---------------------------------------------------------------------------------------------- addresses and cookies

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[urlsplit(BASE_URL).hostname or "127.0.0.1"])
if PLAYGROUND:
    ALLOWED_HOSTS += ["127.0.0.1", "localhost", "[::1]"]
# Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed; from anybody else they are dropped.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
NINJA_NUM_PROXIES = 0  # REMOTE_ADDR is already the client's when a view sees it

SECURE_SSL_REDIRECT = HTTPS
# The API never redirects (the key would have travelled in the clear): it refuses. Probes come in over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^api/", r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"

# The __Host- prefix binds a cookie to this very host; browsers accept it only together with Secure.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [BASE_URL]
SESSION_COOKIE_AGE = env.int("SESSION_IDLE_SECONDS", default=900)
SESSION_SAVE_EVERY_REQUEST = True  # so that the age counts from the last request
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Pages add what one response needs with csp_update: a cashier's host in form-action, nothing else so far.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
WEBHOOK_MAX_BYTES = 524_288
DESK_MAX_BODY = 5 * 1_048_576  # staff upload tracking lists
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # looks for Django's CSRF middleware by its literal name; ours is a subclass
    "security.W021",  # whether to ask browsers to preload HSTS is the owner of the whole domain's decision
]

# ------------------------------------------------------------------------------------------------------ static files

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Hashed and compressed after `manage.py collectstatic`; straight from the source folders while playing.
STATIC_MANIFEST = env.bool("STATIC_MANIFEST", default=not PLAYGROUND)
STATIC_ROOT = BASE_DIR / "staticfiles" if STATIC_MANIFEST else None
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# ------------------------------------------------------------------------------------------------------------- queue

# Messages are nudges with an id: losing one costs seconds, so publishing gives up at once rather than delay a shopper.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")
# Without a broker Celery would look for one on this machine; a message into memory goes nowhere, as it should.
CELERY_BROKER_READ_URL = CELERY_BROKER_WRITE_URL = CELERY_BROKER_URL or "memory://"
CELERY_BROKER_CONNECTION_TIMEOUT = 0.2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"max_retries": 0, "interval_start": 0, "interval_step": 0} | (
    {"read_timeout": 0.2, "write_timeout": 0.2}
    if CELERY_BROKER_URL.startswith(("amqp", "pyamqp"))
    else {"socket_timeout": 0.2, "socket_connect_timeout": 0.2, "retry_on_timeout": False}
)
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "paydesk"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "run-due": {"task": "paydesk.run_due", "schedule": 5.0, "options": {"expires": 5}},
}

# -------------------------------------------------------------------------------------------------------------- mail

vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="paydesk@localhost")

# -------------------------------------------------------------------------------------------------------------- logs

LOGGING = logs.configure(level=env.str("LOG_LEVEL", default="INFO"), as_json=env.bool("LOG_JSON", default=not DEBUG))
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # addresses are personal data; the database keeps what fraud checks need
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logs.DEBUG
DEFAULT_EXCEPTION_REPORTER = "checkout.errors.Reporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "checkout.errors.ReporterFilter"
