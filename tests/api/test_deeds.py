"""Captures, refunds, releases, charges, parcels and saved cards by API: once each, and only one's own."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from checkout.api.answers import CardsAnswer, OperationAnswer, PaymentAnswer, ShipmentAnswer
from checkout.merchants.models import Merchant, Scope
from checkout.orders import operations
from checkout.orders.apply import Road, apply
from checkout.orders.messages import payment_ref
from checkout.orders.models import Capture, Payment, Refund, SavedCard, Shipment
from checkout.orders.saved_cards import Agreement
from providers.contract import OutcomeUnknown, Purpose
from tests.api.test_orders import Api
from tests.factories import VISA, a_merchant, a_payment, an_account, an_order, work_until_quiet

from providers.acme import BANK  # isort: skip
from providers.zenith import DESK, paid  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)

AT_ZENITH = {"name": "Zenith", "provider": "zenith", "credentials": {"key": "z"}}


@pytest.fixture(autouse=True)
def _empty_books():
    BANK.reset()
    DESK.reset()


@pytest.fixture
def merchant() -> Merchant:
    return a_merchant()


@pytest.fixture
def api(merchant) -> Api:
    return Api(merchant)


@pytest.fixture
def payment(merchant) -> Payment:
    """Captured: ten euro."""
    an_account(merchant)
    return a_payment(an_order(merchant), "instant")


@pytest.fixture
def held(merchant) -> Payment:
    an_account(merchant)
    return a_payment(an_order(merchant, capture="manual"), "instant")


def deed(api: Api, payment: Payment, what: str, body: Any = None, **headers: str) -> Any:
    return api.post(f"/api/v1/payments/{payment.public_id}/{what}", body or {}, **headers)


# ------------------------------------------------------------------------------------------------------------ refunds


def test_a_refund_is_asked_for_and_then_done(api, payment):
    answer = deed(api, payment, "refunds", {"amount_minor": 400, "reason": "one cup broke"})

    assert answer.status_code == 201
    asked = OperationAnswer.model_validate_json(answer.content)
    assert (asked.amount_minor, asked.amount, asked.status, asked.reason) == (400, "4.00", "created", "one cup broke")
    assert "refund" not in BANK.calls, "no provider is called before the answer"
    work_until_quiet()
    assert api.get(f"/api/v1/refunds/{asked.id}").json()["status"] == "succeeded"
    row = Refund.objects.get()
    assert (row.requested_by, row.source, row.requested_from) == (f"key:{api.row.prefix}", "api", "127.0.0.1")


def test_a_refund_without_an_amount_is_of_what_remains(api, payment):
    deed(api, payment, "refunds", {"amount_minor": 400})

    assert deed(api, payment, "refunds").json()["amount_minor"] == 600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"amount_minor": 1001}, "too_much"),
        ({"amount_minor": 100, "expected_refundable_minor": 999}, "stale"),
    ],
)
def test_a_refund_that_cannot_be_is_a_conflict_that_says_why(api, payment, body, code):
    answer = deed(api, payment, "refunds", body)

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    "body", [{"amount_minor": 0}, {"amount_minor": -1}, {"amount_minor": 1.5}, {"amount_minor": "1"}, {"amount": 1}]
)
def test_a_refund_of_nonsense_names_the_field(api, payment, body):
    answer = deed(api, payment, "refunds", body)

    assert answer.status_code == 422
    assert answer.json()["field"].startswith("amount")


@pytest.mark.parametrize("reason", ["a\x00b", "card 4242 4242 4242 4242", "x" * 201, 5])
def test_a_reason_that_must_not_be_kept_is_refused(api, payment, reason):
    answer = deed(api, payment, "refunds", {"reason": reason})

    assert (answer.status_code, answer.json()["field"]) == (422, "reason")
    assert "4242" not in answer.content.decode()
    assert not Refund.objects.exists()


def test_one_key_refunds_once(api, payment):
    first, second = (deed(api, payment, "refunds", {"amount_minor": 400}, **{"Idempotency-Key": "r1"}) for _ in "12")

    assert first.content == second.content
    assert second["Idempotent-Replayed"] == "true"
    assert Refund.objects.count() == 1


def test_twenty_refunds_of_sixty_per_cent_at_once_make_one(api, payment):
    answers: list[int] = []

    def ask() -> None:
        try:
            answers.append(deed(api, payment, "refunds", {"amount_minor": 600}).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(answers) == [201] + [409] * 19
    assert Refund.objects.count() == 1


# ----------------------------------------------------------------------------------------------- captures and releases


def test_a_capture_takes_a_part(api, held):
    answer = deed(api, held, "captures", {"amount_minor": 300})
    work_until_quiet()

    assert answer.status_code == 201
    held.refresh_from_db()
    assert (held.captured_total, Capture.objects.get().status) == (300, "succeeded")
    assert api.get(f"/api/v1/captures/{answer.json()['id']}").json()["amount_minor"] == 300


def test_a_stale_capture_is_a_conflict(api, held):
    assert deed(api, held, "captures", {"expected_capturable_minor": 1}).json()["code"] == "stale"


def test_a_release_lets_the_hold_go(api, held):
    answer = deed(api, held, "releases")
    work_until_quiet()

    assert answer.status_code == 201
    held.refresh_from_db()
    assert (held.status, held.held) == ("cancelled", 0)
    assert deed(api, held, "releases").json()["code"] == "nothing_held"


def test_what_is_done_is_what_the_order_offers(api, held):
    order = api.get(f"/api/v1/orders/{held.order.public_id}").json()

    offered = {action["action"]: action for action in order["actions"]}
    assert set(offered) == {"capture", "release", "cancel", "add_shipment"}
    assert (offered["capture"]["maximum_minor"], offered["capture"]["can_be_partial"]) == (1000, True)
    assert offered["capture"]["payment"] == str(held.public_id)


# --------------------------------------------------------------------------------------------------- who may, and whose


DOORS = (
    ("post", "/api/v1/payments/{payment}/refunds", Scope.REFUNDS),
    ("post", "/api/v1/payments/{payment}/captures", Scope.CAPTURES),
    ("post", "/api/v1/payments/{payment}/releases", Scope.CAPTURES),
    ("post", "/api/v1/orders/{order}/shipments", Scope.SHIPMENTS),
    ("post", "/api/v1/shipments/{shipment}", Scope.SHIPMENTS),
    ("post", "/api/v1/orders/{order}/charges", Scope.CARDS),
    ("get", "/api/v1/customers/ada/cards", Scope.READ),
    ("delete", "/api/v1/cards/{card}", Scope.CARDS),
)
BODIES = {
    "/api/v1/orders/{order}/shipments": {"carrier": "UPS", "number": "1", "shipped_on": "2026-01-01"},
    "/api/v1/orders/{order}/charges": {"saved_card": str(uuid.uuid4()), "purpose": "recurring"},
    "/api/v1/shipments/{shipment}": {"status": "cancelled"},
}


def knock(api: Api, method: str, path: str, ids: dict[str, Any]) -> Any:
    address = path.format_map(ids)
    if method == "post":
        return api.post(address, BODIES.get(path, {}), **{"Idempotency-Key": str(uuid.uuid4())})
    call = getattr(api.client, method)
    return call(address, headers={"Authorization": f"Bearer {api.key}"})


@pytest.mark.parametrize(("method", "path", "scope"), DOORS)
def test_a_key_without_the_scope_is_told_so(merchant, payment, method, path, scope):
    poor = Api(merchant, scopes=[one for one in Scope.values if one != scope])
    ids = {name: uuid.uuid4() for name in ("order", "shipment", "card")} | {"payment": payment.public_id}

    answer = knock(poor, method, path, ids)

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


@pytest.mark.parametrize("other", ["another merchant", "the other mode", "nobody"])
@pytest.mark.parametrize(("method", "path", "scope"), DOORS)
def test_what_is_not_ones_own_is_as_if_it_never_was(merchant, payment, other, method, path, scope):
    card = a_saved_card(merchant)
    shipment = Shipment.objects.create(
        merchant=merchant, mode="test", order=payment.order, carrier="UPS", number="9", shipped_on=timezone.now()
    )
    stranger = Api(merchant, "live") if other == "the other mode" else Api(a_merchant())
    rows = {"order": payment.order, "shipment": shipment, "card": card, "payment": payment}
    ids = {name: uuid.uuid4() if other == "nobody" else row.public_id for name, row in rows.items()}

    answer = knock(stranger, method, path, ids)

    if path.startswith("/api/v1/customers"):
        assert answer.json() == {"cards": []}
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert SavedCard.objects.get().removed_at is None
    assert Shipment.objects.get().status == "shipped"


# ------------------------------------------------------------------------------------------------------------- parcels


def test_a_parcel_is_added_changed_and_shown_with_its_order(api, merchant):
    an_account(merchant, **AT_ZENITH)
    order = an_order(merchant)
    apply_paid(a_payment(order, "page"))
    path = f"/api/v1/orders/{order.public_id}/shipments"
    body = {"carrier": "UPS", "number": "1Z", "shipped_on": timezone.now().date().isoformat()}

    first, again = api.post(path, body), api.post(path, body)

    parcel = ShipmentAnswer.model_validate_json(first.content)
    assert (first.status_code, parcel.status, parcel.uploads[0].status) == (201, "shipped", "created")
    assert again.json()["id"] == str(parcel.id)
    work_until_quiet()
    shown = api.get(f"/api/v1/orders/{order.public_id}").json()["shipments"]
    assert shown[0]["uploads"][0]["status"] == "succeeded"
    assert api.post(f"/api/v1/shipments/{parcel.id}", {"status": "delivered"}).json()["status"] == "delivered"
    late = api.post(f"/api/v1/shipments/{parcel.id}", {"status": "cancelled"})
    assert (late.status_code, late.json()["code"]) == (409, "shipment_ended")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": "=1+1"}, "number"),
        ({"carrier": ""}, "carrier"),
        ({"shipped_on": "tomorrow"}, "shipped_on"),
        ({"shipped_on": "1999-01-01"}, "shipped_on"),
        ({"url": "javascript:x"}, "url"),
        ({"direction": "up"}, "direction"),
        ({"weight": 3}, "weight"),
    ],
)
def test_a_wrong_parcel_names_the_field(api, payment, change, field):
    body = {"carrier": "UPS", "number": "1", "shipped_on": timezone.now().date().isoformat(), **change}

    answer = api.post(f"/api/v1/orders/{payment.order.public_id}/shipments", body)

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not Shipment.objects.exists()


# --------------------------------------------------------------------------------------------------------- saved cards


def apply_paid(payment: Payment, **facts: Any) -> Payment:
    apply(payment.account, paid(payment_ref(payment), **facts), road=Road.FETCH, cause="test")
    return Payment.objects.get(pk=payment.pk)


def a_saved_card(merchant: Merchant, purpose: Purpose = Purpose.RECURRING) -> SavedCard:
    an_account(merchant, **AT_ZENITH)
    order = an_order(merchant, customer={"reference": "ada"})
    offer = next(offer for offer in operations.offers(order) if offer.method.code == "bankcard")
    agreement = Agreement(wording="1", language="en", purpose=purpose)
    payment = operations.start(order, offer_code=offer.code, submission="s", card=VISA, agreement=agreement)
    apply_paid(payment, token="tok_canary", network_transaction_id="n1")
    return SavedCard.objects.get(account__merchant=merchant)


def charge(api: Api, order: Any, card: SavedCard, key: str = "c1", purpose: str = "recurring") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"saved_card": str(card.public_id), "purpose": purpose}
    return api.post(f"/api/v1/orders/{order.public_id}/charges", body, **headers)


def test_a_saved_card_is_listed_without_its_token_and_removed(api, merchant):
    card = a_saved_card(merchant)

    answer = api.get("/api/v1/customers/ada/cards")

    (shown,) = CardsAnswer.model_validate_json(answer.content).cards
    assert (shown.brand, shown.last4, shown.purpose) == ("visa", "4242", "recurring")
    assert b"tok_canary" not in answer.content
    for _ in range(2):
        removed = api.client.delete(f"/api/v1/cards/{card.public_id}", headers={"Authorization": f"Bearer {api.key}"})
        assert removed.status_code == 204
    assert api.get("/api/v1/customers/ada/cards").json() == {"cards": []}
    card.refresh_from_db()
    assert card.removed_by == f"key:{api.row.prefix}"


def test_a_charge_happens_once_for_one_key(api, merchant):
    card = a_saved_card(merchant)
    order = an_order(merchant, customer={"reference": "ada"})

    first, second = charge(api, order, card), charge(api, order, card)

    assert PaymentAnswer.model_validate_json(first.content).status == "captured"
    assert (first.status_code, second.content) == (201, first.content)
    assert DESK.names().count("start") == 2


def test_a_charge_whose_answer_was_lost_is_not_made_again(api, merchant):
    card = a_saved_card(merchant)
    order = an_order(merchant, customer={"reference": "ada"})
    DESK.say("start", OutcomeUnknown("lost", code="read_timeout"))

    first = charge(api, order, card).json()
    second = charge(api, order, card, key="another").json()

    assert (first["status"], first["awaits"]) == ("pending", "ask")
    assert second["code"] == "in_progress"


def test_a_charge_needs_a_key_a_purpose_and_a_live_card(api, merchant):
    card = a_saved_card(merchant)
    order = an_order(merchant, customer={"reference": "ada"})

    assert charge(api, order, card, key="").json()["code"] == "idempotency_key_missing"
    assert charge(api, order, card, purpose="instalment").json()["code"] == "not_payable_card"
    assert charge(api, order, card, purpose="whim").json()["field"] == "purpose"
    assert charge(api, an_order(merchant), card, key="guest").json()["code"] == "not_payable_card"
    SavedCard.objects.update(removed_at=timezone.now())
    assert charge(api, order, card, key="gone").status_code == 404
    assert DESK.names().count("start") == 1
