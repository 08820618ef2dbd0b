"""Parcels: ours at once, the provider's by a queue that tells everything once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone

from checkout.orders import operations, shipping
from checkout.orders.models import Order, Shipment, TrackingUpload
from providers.contract import OperationStatus, OutcomeUnknown, Rejected, Unreachable
from tests.factories import a_payment, an_account, an_order, work_until_quiet
from tests.orders.stage import fresh, types

from providers.zenith import DESK, RIGHT  # isort: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(zenith):
    return zenith


@pytest.fixture
def order(merchant, account) -> Order:
    return paid_order(merchant)


def paid_order(merchant) -> Order:
    order = an_order(merchant)
    from tests.factories import VISA

    operations.submit_code(a_payment(order, "bankcard", card=VISA), code=RIGHT)
    return fresh(order)


def add(order: Order, number: str = "1Z999", **facts) -> Shipment:
    return shipping.add(
        order, **{"carrier": "UPS", "number": number, "shipped_on": timezone.now().date(), "actor": "staff:1", **facts}
    )


def uploads() -> list[list[str]]:
    """The numbers in each call to the provider."""
    return [[one.number for one in request] for name, request in DESK.asked if name == "upload_tracking"]


def test_a_parcel_is_ours_at_once_and_the_provider_hears_later(order):
    shipment = add(order)
    assert TrackingUpload.objects.get().status == OperationStatus.CREATED
    assert not uploads()

    work_until_quiet()

    upload = TrackingUpload.objects.get()
    assert (upload.status, upload.due_at, upload.error_code) == ("succeeded", None, "")
    assert uploads() == [["1Z999"]]
    assert types(order)[-2:] == ["shipment.added", "tracking.succeeded"]
    assert shipment.status == "shipped"


def test_the_same_parcel_again_changes_nothing(order):
    first, second = add(order), add(order)
    work_until_quiet()

    assert first == second
    assert len(uploads()) == 1


def test_an_order_may_have_several_parcels(order):
    for number in ("1", "2", "3"):
        add(order, number)

    assert order.shipments.count() == 3


def test_parcels_of_one_account_go_out_together(merchant, account):
    for number in range(5):
        add(paid_order(merchant), f"N{number}")

    work_until_quiet()

    assert sorted(len(call) for call in uploads()) == [2, 3], "three at once is what the provider takes"
    assert sorted(number for call in uploads() for number in call) == ["N0", "N1", "N2", "N3", "N4"]
    assert set(TrackingUpload.objects.values_list("status", flat=True)) == {"succeeded"}


def test_each_parcel_of_a_batch_has_its_own_verdict(merchant, account):
    orders = [paid_order(merchant) for _ in range(2)]
    for number, one in enumerate(orders):
        add(one, f"N{number}")
    DESK.say(
        "upload_tracking",
        lambda requests: [
            one.report(OperationStatus.SUCCEEDED)
            if one.number == "N0"
            else one.report(OperationStatus.FAILED, error_code="3002")
            for one in requests
        ],
    )

    work_until_quiet()

    said = {upload.shipment.number: (upload.status, upload.error_code) for upload in TrackingUpload.objects.all()}
    assert said == {"N0": ("succeeded", ""), "N1": ("failed", "3002")}


def test_a_parcel_that_the_answer_leaves_out_is_told_again(order, clock):
    add(order)
    DESK.say("upload_tracking", [])
    work_until_quiet()
    assert TrackingUpload.objects.get().status == OperationStatus.SENT

    clock.shift(90)
    work_until_quiet()

    assert TrackingUpload.objects.get().status == OperationStatus.SUCCEEDED


@pytest.mark.parametrize("error", [Unreachable("down"), OutcomeUnknown("lost"), TypeError("odd")])
def test_trouble_is_tried_again_with_the_same_reference(order, clock, error):
    add(order)
    DESK.say("upload_tracking", error)
    work_until_quiet()
    clock.shift(90)
    work_until_quiet()

    references = [request[0].reference for name, request in DESK.asked if name == "upload_tracking"]
    assert len(references) == 2
    assert len(set(references)) == 1
    assert TrackingUpload.objects.get().status == OperationStatus.SUCCEEDED


def test_trouble_without_end_is_told_to_a_person(order, clock):
    add(order)
    DESK.say("upload_tracking", *[Unreachable("down", code="connection")] * 20)
    for _ in range(12):
        work_until_quiet()
        clock.shift(timedelta(days=2))

    upload = TrackingUpload.objects.get()
    assert (upload.status, upload.error_code, upload.due_at) == ("failed", "connection", None)
    assert types(order)[-1] == "tracking.failed"


def test_a_refused_request_is_not_repeated(order):
    add(order)
    DESK.say("upload_tracking", Rejected("wrong key", code="2001"))
    work_until_quiet()

    assert TrackingUpload.objects.get().error_code == "2001"
    assert len(uploads()) == 1


def test_a_change_follows_what_was_told_before(order):
    shipment = add(order)
    shipment = shipping.change(shipment, status="cancelled", actor="staff:1")
    change = TrackingUpload.objects.get(is_change=True)
    shipping.upload_due(change.pk)
    assert not uploads(), "the later word waits for the earlier one"
    for is_change in (False, True):
        TrackingUpload.objects.filter(is_change=is_change).update(due_at=timezone.now())
        work_until_quiet()

    told = [request[0] for name, request in DESK.asked if name == "upload_tracking"]
    assert [(one.status, one.is_known) for one in told] == [("shipped", False), ("cancelled", True)]
    assert fresh(shipment).status == "cancelled"


def test_an_ended_parcel_stays_ended(order):
    shipment = shipping.change(add(order), status="delivered", actor="staff:1")

    assert shipping.change(shipment, status="delivered", actor="staff:1").status == "delivered"
    with pytest.raises(shipping.InvalidShipment, match="delivered already"):
        shipping.change(shipment, status="cancelled", actor="staff:1")
    with pytest.raises(shipping.InvalidShipment):
        shipping.change(shipment, status="shipped", actor="staff:1")


def test_a_provider_that_wants_none_is_told_nothing(merchant):
    an_account(merchant)
    order = an_order(merchant)
    a_payment(order, "instant")

    add(order)

    assert order.shipments.count() == 1
    assert not TrackingUpload.objects.exists()


def test_an_order_that_nobody_paid_ships_nothing(merchant, account):
    with pytest.raises(shipping.InvalidShipment, match="Nothing has been paid"):
        add(an_order(merchant))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("carrier", ""),
        ("carrier", "x" * 61),
        ("carrier", "UPS\x00"),
        ("carrier", "<b>"),
        ("number", ""),
        ("number", "x" * 65),
        ("number", "=cmd()"),
        ("number", "１２３"),
        ("shipped_on", date(2000, 1, 1)),
        ("shipped_on", date(2100, 1, 1)),
        ("direction", "up"),
        ("url", "javascript:alert(1)"),
        ("url", "ftp://x.example/1"),
        ("url", "https://x.example/" + "a" * 500),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_saved(order, field, value):
    with pytest.raises(shipping.InvalidShipment) as caught:
        add(order, **{field: value})

    assert caught.value.field == field
    assert not Shipment.objects.exists()


def test_what_would_happen_can_be_asked_without_saving(order):
    facts = {"carrier": "UPS", "number": "1Z999", "shipped_on": timezone.now().date()}
    assert shipping.judge(order, **facts) is None
    assert not Shipment.objects.exists()

    shipment = add(order)

    assert shipping.judge(order, **facts) == shipment


def rejected(order) -> TrackingUpload:
    add(order)
    DESK.say("upload_tracking", Rejected("wrong carrier", code="3002"))
    work_until_quiet()
    return TrackingUpload.objects.get()


def test_a_rejected_word_is_said_anew_under_another_reference(order):
    first = rejected(order)

    second = shipping.tell_again(first, actor="staff:1")
    work_until_quiet()

    assert (fresh(first).status, fresh(second).status) == ("failed", "succeeded")
    assert first.reference != second.reference
    assert uploads() == [["1Z999"], ["1Z999"]]
    assert types(order)[-2:] == ["tracking.requested", "tracking.succeeded"]


def test_only_the_last_rejected_word_is_said_anew(order):
    first = rejected(order)
    second = shipping.tell_again(first, actor="staff:1")

    for upload in (first, second):
        with pytest.raises(shipping.InvalidShipment):
            shipping.tell_again(upload, actor="staff:1")
    work_until_quiet()
    with pytest.raises(shipping.InvalidShipment):
        shipping.tell_again(second, actor="staff:1")
    assert TrackingUpload.objects.count() == 2


def test_a_word_said_anew_tells_how_the_parcel_stands_now(order):
    """The provider never took it, so it is no change of anything they have."""
    first = rejected(order)
    shipping.change(first.shipment, status="delivered", actor="staff:1")
    DESK.say("upload_tracking", Rejected("not known", code="3004"))
    work_until_quiet()

    shipping.tell_again(TrackingUpload.objects.last(), actor="staff:1")
    work_until_quiet()

    told = [request[0] for name, request in DESK.asked if name == "upload_tracking"][-1]
    assert (told.status, told.is_known) == ("delivered", False)
