"""What the process writes about its work: JSON lines without a card number or a secret in them.

Code logs an event name and ids and never needs to think about this; the masking here is the last net, not the first.
``mask`` hides what looks like a card number (12 to 19 digits that pass the Luhn check, with or without separators) and
what is called a secret, at any depth.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from logging import DEBUG as DEBUG
from typing import Any

import structlog
from stdnum import luhn

HIDDEN = "[hidden]"
CARD = "[card]"

# ----------------------------------------------------------------------------------------------------------- masking

SECRET_NAME = re.compile(
    r"passw|secret|token|authori[sz]ation|cookie|api[_-]?key|private[_-]?key|seal[_-]?key|credential|signature|session"
    r"|cvc|cvv|card[_-]?number|(?:^|[_-])(?:pan|otp|pin)(?:$|[_-])|(?:sms|verification|security)[_-]?code",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"""(?P<name>[\w-]*(?:passw|secret|token|authorization|api[_-]?key|private[_-]?key|credential|signature|cvc|cvv)[\w-]*
         ["']?\s*[=:]\s*["']?(?:(?:bearer|basic)\s+)?)(?P<value>[^\s"',;&}\])]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_API_KEY = re.compile(r"\b([a-z]k_(?:live|test)_)\w+")
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
# Random ids look like digits and hyphens too; version and variant tell a UUID from a number in groups of four.
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", re.IGNORECASE)
_DIGITS = re.compile(r"\d(?:[ \t\u00a0._/-]{0,2}\d){11,}")
_GROUP = re.compile(r"\d+")


def mask(value: Any) -> Any:
    """The same thing with card numbers and secrets hidden; what is not plain data becomes its masked ``repr``."""
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        text = repr(value)
        masked = mask_text(text)
        return value if masked == text else masked
    if isinstance(value, bytes | bytearray | memoryview):
        return mask_text(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        return {
            mask_text(str(key)): HIDDEN if SECRET_NAME.search(str(key)) and inner else mask(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(inner) for inner in value]
    return mask_text(repr(value))


def mask_text(text: str) -> str:
    """The text with card numbers, assigned secrets, API keys and private keys hidden."""
    text = _PEM.sub(HIDDEN, text)
    text = _API_KEY.sub(rf"\g<1>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<name>{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    parts, end = [], 0
    for uuid in _UUID.finditer(text):
        parts += [_DIGITS.sub(_mask_digits, text[end : uuid.start()]), uuid.group()]
        end = uuid.end()
    return "".join([*parts, _DIGITS.sub(_mask_digits, text[end:])])


def _mask_digits(found: re.Match[str]) -> str:
    """Hide each stretch of whole groups that is a card number, and one glued into a longer row of digits."""
    text = found.group()
    groups = [group.span() for group in _GROUP.finditer(text)]
    for first, (start, _) in enumerate(groups):
        for _, stop in reversed(groups[first:]):
            if _is_card(text[start:stop]):
                return _mask_text_digits(text[:start]) + CARD + _mask_text_digits(text[stop:])
    for start, stop in groups:
        for at in range(start, stop - 14):
            for length in (16, 15):
                if at + length <= stop and _is_branded(text[at : at + length]):
                    return _mask_text_digits(text[:at]) + CARD + _mask_text_digits(text[at + length :])
    return text


def _mask_text_digits(text: str) -> str:
    return _DIGITS.sub(_mask_digits, text)


def _is_card(text: str) -> bool:
    digits = "".join(str(int(character)) for character in text if character.isdecimal())
    return 12 <= len(digits) <= 19 and luhn.is_valid(digits)


def _is_branded(digits: str) -> bool:
    """Luhn alone would call every tenth stretch of a long id a card; inside one, the first digits must fit as well."""
    prefix = r"3[47]" if len(digits) == 15 else r"4|5[1-5]|2[2-7]|6[0-5]|35"
    return re.match(prefix, digits) is not None and _is_card(digits)


# ----------------------------------------------------------------------------------------------------------- logging


def configure(*, level: str, as_json: bool) -> dict[str, Any]:
    """Set structlog up and give the LOGGING setting that sends the standard library's records the same way."""
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": common,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.StackInfoRenderer(),
                    structlog.processors.format_exc_info,
                    scrub,
                    renderer,
                ],
            }
        },
        # Standard error: what a command prints on standard output stays readable by the next program.
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["lines"], "level": level},
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # django-structlog says it better, once a request; and beat's "anything due?" every few seconds is no news.
            "django.request": {"level": "CRITICAL"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "django_structlog.celery": {"level": "WARNING"},
            # At DEBUG these two would print statements with their values and URLs with their queries.
            "django.db.backends": {"level": "INFO"},
            "urllib3": {"level": "INFO"},
        },
    }


def scrub(logger: Any, method: str, event_dict: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """structlog processor: the last thing that happens to an event before it is rendered."""
    known = {key: event_dict[key] for key in ("timestamp", "level") if key in event_dict}
    return {**mask(event_dict), **known}


def request_id() -> str:
    """The id of the request or task that is running, as every line of it carries; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
