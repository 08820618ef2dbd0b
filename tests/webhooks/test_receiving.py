"""The door: genuine deliveries are stored before they are read, everything else is counted and changes nothing."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checkout.orders import links
from checkout.orders.models import Payment
from checkout.webhooks.models import RefusedDeliveries, WebhookEvent
from tests.factories import a_merchant, a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(merchant, account, bank):
    """A payment that the bank has approved and we have not heard of."""
    payment = a_payment(an_order(merchant), "card")
    bank.latest().approve()
    return payment


def post(client, account, body, *, key="acme-key", headers=None, **extra):
    from providers.acme import signed

    raw, signature = signed(body, key)
    url = reverse("webhooks:receive", args=(account.provider, account.webhook_id))
    headers = signature if headers is None else headers
    return client.post(url, raw, content_type="application/json", headers=headers, **extra)


# -------------------------------------------------------------------------------------------------------------- genuine


def test_a_genuine_delivery_is_stored_and_answered_before_it_is_read(client, account, bank, paid):
    notice = bank.latest().notice("e1")

    answer = post(client, account, notice)

    event = WebhookEvent.objects.get()
    assert (answer.status_code, answer.content) == (200, b"OK")
    assert (event.state, event.event_id, event.tries, event.copies) == ("received", "e1", 0, 0)
    assert (event.merchant_id, event.mode) == (account.merchant_id, "test")
    assert json.loads(event.delivery.body) == notice
    assert event.source_ip == "127.0.0.1"
    assert state(paid) == ("pending", "wait", "processing"), "the answer waits for nothing but the row"


def test_it_is_applied_once_by_the_worker(client, account, bank, paid):
    post(client, account, bank.latest().notice("e1"))

    work_until_quiet()
    work_until_quiet()

    event = WebhookEvent.objects.get()
    assert (event.state, event.outcome, event.tries, event.due_at) == ("applied", "applied", 1, None)
    assert state(paid) == ("captured", "", "paid")
    assert paid.entries.count() == 2


def test_a_delivery_that_makes_no_sense_to_us_yet_is_stored_too(client, account, bank, paid):
    answer = post(client, account, {"event": "e1", "kind": "poison"})

    assert answer.status_code == 200
    assert WebhookEvent.objects.get().state == "received"


def test_copies_are_counted_and_answered_alike(client, account, bank, paid):
    notice = bank.latest().notice("e1")

    answers = [post(client, account, notice) for _ in range(3)]
    work_until_quiet()
    answers.append(post(client, account, notice))
    work_until_quiet()

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"OK")}
    event = WebhookEvent.objects.get()
    assert (event.copies, event.tries, event.state) == (3, 1, "applied")
    assert paid.entries.count() == 2


def test_one_event_id_at_two_accounts_is_two_events(client, merchant, account, bank, paid):
    other = an_account(merchant)

    for receiver in (account, other):
        post(client, receiver, bank.latest().notice("e1"))

    assert WebhookEvent.objects.count() == 2


def test_bytes_that_are_no_text_are_kept_exactly(client, account, bank):
    from checkout.webhooks import inbox
    from tests.factories import a_delivery

    delivery = a_delivery(bytes(range(256)))
    inbox.record(account, "odd", delivery)

    assert WebhookEvent.objects.get().delivery == delivery


def test_a_body_rests_sealed(client, account, bank, paid):
    post(client, account, {**bank.latest().notice("e1"), "note": "canary-4711"})

    event = WebhookEvent.objects.get()
    assert b"canary-4711" not in bytes(event.sealed_delivery)
    assert b"canary-4711" in event.delivery.body


@pytest.mark.django_db(transaction=True)
def test_a_body_is_nowhere_in_the_database_file(client, bank, transactional_db):
    account = an_account(a_merchant())
    post(client, account, {"event": "e1", "kind": "nothing", "note": "canary-4711"})

    assert b"canary-4711" in WebhookEvent.objects.get().delivery.body
    assert b"canary-4711" not in stored_bytes()
    assert str(account.webhook_id).replace("-", "").encode() in stored_bytes(), "the search itself works"


def stored_bytes():
    """All that the database keeps: its files, or where there are none within reach, every column of every row."""
    if connection.vendor == "sqlite":
        name = Path(connection.settings_dict["NAME"])
        return b"".join(path.read_bytes() for path in name.parent.glob(f"{name.name}*") if path.is_file())
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT CAST(row_data AS text) FROM {table} AS row_data")
            found += [text.replace("-", "") for (text,) in cursor.fetchall()]
    return "\n".join(found).replace("\\x", "").encode()


# --------------------------------------------------------------------------------------------------------------- forged


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({}, "unsigned"), ({"X-Acme-Signature": ""}, "unsigned"), ({"X-Acme-Signature": "0" * 64}, "bad_signature")],
)
def test_what_is_not_theirs_is_refused_and_counted(client, account, bank, paid, headers, reason):
    for _ in range(3):
        answer = post(client, account, bank.latest().notice("e1"), headers=headers)
        assert (answer.status_code, answer.content) == (401, b"NO")

    refused = RefusedDeliveries.objects.get()
    assert (refused.reason, refused.count, len(refused.last_digest)) == (reason, 3, 64)
    assert not WebhookEvent.objects.exists()
    work_until_quiet()
    assert state(paid) == ("pending", "wait", "processing")


@given(data=st.data())
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_is_refused(client, account, bank, paid, data):
    from providers.acme import signed

    raw, headers = signed(bank.latest().notice("e1"))
    position = data.draw(st.integers(0, len(raw) - 1))
    flipped = bytes([raw[position] ^ (1 << data.draw(st.integers(0, 7)))])
    url = reverse("webhooks:receive", args=("acme", account.webhook_id))

    answer = client.post(
        url, raw[:position] + flipped + raw[position + 1 :], content_type="application/json", headers=headers
    )

    assert answer.status_code == 401
    assert not WebhookEvent.objects.exists()


@given(garbage=st.binary(max_size=200))
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_refused(client, account, bank, garbage):
    url = reverse("webhooks:receive", args=("acme", account.webhook_id))

    assert client.post(url, garbage, content_type="application/octet-stream").status_code == 401
    assert not WebhookEvent.objects.exists()


def test_another_accounts_key_is_refused_here(client, account, bank, paid):
    other = an_account(a_merchant(), credentials={"key": "other-key"})

    assert post(client, account, bank.latest().notice("e1"), key="other-key").status_code == 401
    assert post(client, other, bank.latest().notice("e1")).status_code == 401
    assert not WebhookEvent.objects.exists()


def test_two_keys_are_good_while_they_are_changed(client, merchant, bank):
    account = an_account(merchant, credentials={"key": "new", "old_key": "old"})

    assert [
        post(client, account, {"event": key, "kind": "nothing"}, key=key).status_code for key in ("new", "old", "older")
    ] == [200, 200, 401]


def test_an_account_without_a_key_accepts_nothing(client, merchant, bank):
    account = an_account(merchant, credentials={})

    assert post(client, account, {"event": "e1", "kind": "nothing"}, key="").status_code == 401


def test_an_account_whose_credentials_do_not_open_makes_the_provider_try_again(client, account, bank, settings):
    settings.SEAL_KEYS = ["MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="]
    client.raise_request_exception = False

    assert post(client, account, {"event": "e1", "kind": "nothing"}).status_code >= 500
    assert not WebhookEvent.objects.exists()


def test_a_get_is_refused_like_any_unsigned_delivery(client, account, bank):
    url = reverse("webhooks:receive", args=("acme", account.webhook_id))

    assert client.get(url).status_code == 401


# ----------------------------------------------------------------------------------------------------------- addresses


def test_an_unknown_url_is_not_there(client, account, bank):
    for slug, webhook_id in (("acme", uuid.uuid4()), ("bare", account.webhook_id), ("gone", account.webhook_id)):
        assert client.post(reverse("webhooks:receive", args=(slug, webhook_id))).status_code == 404


def test_the_url_that_providers_are_given_is_the_one_that_answers(client, account, settings):
    path = links.webhook_url(account).removeprefix(settings.BASE_URL)

    assert path == reverse("webhooks:receive", args=("acme", account.webhook_id))


def test_a_disabled_account_still_hears(client, merchant, bank):
    account = an_account(merchant, enabled=False)

    assert post(client, account, {"event": "e1", "kind": "nothing"}).status_code == 200


def test_what_is_too_large_is_refused_unread(client, account, bank, settings):
    from providers.acme import signed

    settings.WEBHOOK_MAX_BYTES = 1000
    fits = signed({"event": "fits", "kind": "nothing", "fill": "x" * 900})[0]
    assert len(fits) < 1000

    assert post(client, account, fits).status_code == 200
    assert post(client, account, {"event": "e2", "kind": "nothing", "fill": "x" * 1000}).status_code == 413
    assert WebhookEvent.objects.get().event_id == "fits"


def test_a_length_that_is_no_number_is_refused(client, account, bank):
    answer = post(client, account, {"event": "e1", "kind": "nothing"}, CONTENT_LENGTH="many")

    assert answer.status_code == 413
    assert not WebhookEvent.objects.exists()


def test_no_cookie_is_set_and_no_session_is_needed(client, account, bank):
    answer = post(client, account, {"event": "e1", "kind": "nothing"})

    assert not answer.cookies


def test_logs_hold_neither_body_nor_key(client, account, bank, paid, caplog):
    post(client, account, {**bank.latest().notice("e1"), "note": "canary-4711"}, headers={"X-Acme-Signature": "bad"})

    assert "webhook_refused" in caplog.text
    assert "canary-4711" not in caplog.text
    assert "acme-key" not in caplog.text
    assert fresh(paid).status == Payment.objects.get().status
    assert os.environ["LOG_LEVEL"] == "WARNING"
