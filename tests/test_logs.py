"""Nothing that looks like a card number or is called a secret reaches a log line."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from logging.config import DictConfigurator

import pytest
import structlog
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from checkout import logs
from checkout.logs import mask, mask_text

VISA = "4111111111111111"
AMEX = "378282246310005"


def card_numbers() -> st.SearchStrategy[str]:
    body = st.text("0123456789", min_size=11, max_size=18)
    return body.map(lambda digits: digits + luhn.calc_check_digit(digits))


def plain_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Nd", "Cs"])).filter(lambda text: "=" not in text)


@given(before=plain_text(), number=card_numbers(), after=plain_text())
def test_a_card_number_is_masked_wherever_it_stands(before, number, after):
    assert number not in mask_text(before + number + after)


@given(number=card_numbers(), separator=st.sampled_from([" ", "-", ".", "  ", "\u00a0", "/"]), size=st.integers(2, 6))
def test_separators_do_not_hide_a_card_number(number, separator, size):
    grouped = separator.join(number[at : at + size] for at in range(0, len(number), size))

    assert mask_text(f"card {grouped}, please") == "card [card], please"


@pytest.mark.parametrize(
    "text",
    [
        f"100 {VISA} 123",
        "amount 12 4111 1111 1111 1111 12/30 123",
        f"{VISA}1230123",  # number, expiry and code in one row of digits
        f"99{AMEX}00000000",
        f"pan{VISA}x",
        f"{VISA}|{VISA}",
    ],
)
def test_a_card_number_among_other_digits_is_masked(text):
    masked = mask_text(text)

    assert VISA not in masked
    assert "1111 1111" not in masked
    assert AMEX not in masked


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "order 2026-11-21 07:31:55.516914",
        "20261121",
        str(uuid.UUID("12345678-1234-4234-8234-123456789012")),
        "10.255.255.1",
        "payment_started order=42 reference=PD-00000042",
    ],
)
def test_other_numbers_stay(text):
    assert mask_text(text) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | card_numbers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    ),
    card_numbers(),
)
def test_a_card_number_at_any_depth_is_masked(value, number):
    event = {"event": value, "more": [{"deep": (number, int(number), number.encode())}]}

    assert number not in json.dumps(mask(event), default=repr)


def test_a_number_as_key_or_inside_an_object_is_masked():
    class Holder:
        def __repr__(self) -> str:
            return f"Holder({VISA})"

    assert VISA not in repr(mask({VISA: 1, "object": Holder()}))


@pytest.mark.parametrize(
    "name",
    [
        "password", "API_KEY", "apiKey", "client_secret", "Authorization", "Set-Cookie", "access_token", "signature",
        "cvc", "cvv2", "card_number", "cardNumber", "pan", "sms_code", "seal_keys", "credentials", "sessionid", "otp",
    ],
)  # fmt: skip
def test_what_is_called_a_secret_is_hidden(name):
    assert mask({name: "hunter2"}) == {name: logs.HIDDEN}


@pytest.mark.parametrize("name", ["event", "code", "provider_reference", "order", "status", "company", "spin"])
def test_what_is_not_called_a_secret_is_shown(name):
    assert mask({name: "hunter2"}) == {name: "hunter2"}


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "client_secret: hunter2x",
        '{"api_key": "hunter2"}',
        "Authorization: Bearer hunter2hunter2",
        "sent Bearer hunter2hunter2",
        "key sk_live_hunter2hunter2",
        "/callback?token=hunter2&x=1",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
    ],
)
def test_a_secret_inside_a_text_is_hidden(text):
    assert "hunter2" not in mask_text(text)


# --------------------------------------------------------------------------------------------------------------- lines


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """What has been written so far, as the settings format it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    configurator = DictConfigurator(settings.LOGGING)
    handler.setFormatter(configurator.configure_formatter(dict(settings.LOGGING["formatters"]["lines"])))
    logging.getLogger().addHandler(handler)
    yield lambda: written.getvalue().splitlines()
    logging.getLogger().removeHandler(handler)


def test_a_line_of_the_standard_library_is_masked_json(lines):
    logging.getLogger("checkout.orders").warning("payment_odd order=%s number=%s", 7, VISA)

    event = json.loads(lines()[0])
    assert event["event"] == "payment_odd order=7 number=[card]"
    assert (event["level"], event["logger"]) == ("warning", "checkout.orders")
    assert event["timestamp"].endswith("Z")


def test_a_line_of_structlog_is_masked_json(lines):
    structlog.get_logger("checkout.orders").warning("payment_odd", order=7, note=f"{VISA} was typed", cvc="123")

    event = json.loads(lines()[0])
    assert (event["event"], event["order"]) == ("payment_odd", 7)
    assert (event["note"], event["cvc"]) == ("[card] was typed", "[hidden]")


def test_a_traceback_is_masked_and_shows_no_variable(lines):
    def fail() -> None:
        secret_in_a_local = "hunter2" + "hunter2"
        raise ValueError(f"cannot read {VISA}, {len(secret_in_a_local)}")

    try:
        fail()
    except ValueError:
        logging.getLogger("checkout").exception("failed")
        structlog.get_logger("checkout").exception("failed")

    assert len(lines()) == 2
    for line in lines():
        assert "ValueError: cannot read [card], 14" in json.loads(line)["exception"]
        assert "hunter2hunter2" not in line


def test_a_line_break_cannot_forge_a_line(lines):
    logging.getLogger("checkout").warning("name=%s", 'x\n{"event": "forged"}')

    assert len(lines()) == 1


def test_a_line_carries_the_id_of_its_request(lines):
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("checkout").warning("inside")
        assert logs.request_id() == "r-1"

    assert json.loads(lines()[0])["request_id"] == "r-1"
    assert logs.request_id() == ""
