"""Lists of parcels: what each row would do, then what it did, and never twice."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from checkout.desk import parcel_lists, sheets
from checkout.desk.models import ParcelList, ParcelRow
from checkout.orders import operations, shipping
from checkout.orders.models import Shipment
from checkout.work import run_due
from tests.desk.stage import a_paid_order, a_parcel
from tests.factories import a_merchant, a_payment, an_account, an_order, work_until_quiet

from providers.zenith import DESK  # isort: skip

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = "/admin/desk/parcellist/"
HEAD = "order,carrier,number,shipped_on"


@pytest.fixture
def order(merchant, zenith):
    return a_paid_order(merchant, reference="cart-1")


def today() -> str:
    return timezone.now().date().isoformat()


def upload(client, merchant, text, *, name="parcels.csv", mode="test"):
    content = text.encode() if isinstance(text, str) else text
    wish = {"merchant": merchant.pk, "mode": mode, "file": SimpleUploadedFile(name, content)}
    return client.post(f"{LISTS}add/", wish, follow=True)


def lines(*rows: str, head: str = HEAD) -> str:
    return "\n".join((head, *rows))


def confirm(client):
    return client.post(reverse("admin:desk_parcellist_confirm", args=(ParcelList.objects.first().pk,)), follow=True)


def said(field="verdict"):
    return list(ParcelList.objects.first().rows.order_by("line").values_list(field, flat=True))


def problems(client) -> str:
    url = reverse("admin:desk_parcellist_problems", args=(ParcelList.objects.first().pk,))
    return b"".join(client.get(url).streaming_content).decode("utf-8-sig")


def test_a_dry_run_says_what_each_row_would_do_and_does_nothing(owner, merchant, order):
    a_parcel(order, "OLD")
    an_order(merchant, reference="unpaid")
    day = today()

    response = upload(
        owner,
        merchant,
        lines(
            f"cart-1,UPS,N1,{day}",
            f"cart-1,UPS,OLD,{day}",
            f"cart-1,UPS,N1,{day}",
            f"nowhere,UPS,N2,{day}",
            f"cart-1,UPS,=cmd(),{day}",
            "cart-1,UPS,N3,11/12/2026",
            f"unpaid,UPS,N4,{day}",
            f"{order.public_id},UPS,N5,{day}",
            f"cart-1,UPS,N6,{day},,,",
            f"cart-1,UPS,N6,{day},7",
        ),
    )

    assert said() == ["new", "same", "same", "unknown", "wrong", "wrong", "wrong", "new", "new", "wrong"]
    html = response.content.decode()
    for sentence in (
        "no order of this name",
        "This is a formula",
        "Write the day like 2026-11-21",
        "Nothing has been paid",
    ):
        assert sentence in html
    assert "3 parcels would be added" in html
    assert Shipment.objects.count() == 1


def test_after_a_yes_a_job_adds_the_new_ones_and_each_row_says_so(owner, merchant, order):
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}", f"cart-1,DHL,N2,{today()}", f"nowhere,UPS,N3,{today()}"))
    confirm(owner)
    assert not Shipment.objects.exists(), "a job does it, not the request"

    work_until_quiet()

    assert said("outcome") == ["added", "added", ""]
    assert list(Shipment.objects.values_list("number", "created_by")) == [
        ("N1", f"staff:{owner.user.pk}"),
        ("N2", f"staff:{owner.user.pk}"),
    ]
    made = ParcelList.objects.get()
    assert (made.state, made.due_at) == ("done", None)
    html = owner.get(reverse("admin:desk_parcellist_change", args=(made.pk,))).content.decode()
    assert ">Done<" in html
    assert sorted(one.number for name, request in DESK.asked if name == "upload_tracking" for one in request) == [
        "N1",
        "N2",
    ]


def test_the_same_file_again_changes_nothing(owner, merchant, order):
    text = lines(f"cart-1,UPS,N1,{today()}", f"cart-1,UPS,N2,{today()}")
    for _ in range(2):
        response = upload(owner, merchant, text)
        confirm(owner)
        work_until_quiet()

    assert said() == ["same", "same"]
    html = response.content.decode()
    assert "nothing to do" in html
    assert "very same file was worked through before" in html
    assert Shipment.objects.count() == 2
    assert sum(name == "upload_tracking" for name, _ in DESK.asked) == 1


def test_a_yes_counts_once(owner, merchant, order):
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}"))
    confirm(owner)
    work_until_quiet()

    assert "does not wait for a yes" in confirm(owner).content.decode()
    work_until_quiet()
    assert Shipment.objects.count() == 1


def test_a_dropped_list_does_nothing(owner, merchant, order):
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}"))
    owner.post(reverse("admin:desk_parcellist_drop", args=(ParcelList.objects.get().pk,)))
    confirm(owner)
    work_until_quiet()

    assert ParcelList.objects.get().state == "dropped"
    assert not Shipment.objects.exists()


def test_what_changed_since_the_dry_run_is_told_row_by_row(owner, merchant, order):
    held = a_paid_order(merchant, reference="cart-2")
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}", f"cart-2,UPS,N2,{today()}"))
    a_parcel(order, "N1")
    type(held).objects.filter(pk=held.pk).update(captured_total=0)
    confirm(owner)
    work_until_quiet()

    assert said("outcome") == ["same", "refused"]
    assert "Nothing has been paid" in problems(owner)


def test_one_row_that_breaks_keeps_no_other_from_its_turn(owner, merchant, order, monkeypatch):
    add = shipping.add

    def breaking(order, *, number, **facts):
        if number == "N1":
            raise RuntimeError("odd")
        return add(order, number=number, **facts)

    monkeypatch.setattr(shipping, "add", breaking)
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}", f"cart-1,UPS,N2,{today()}"))
    confirm(owner)
    work_until_quiet()

    assert said("outcome") == ["refused", "added"]


def test_a_job_that_was_cut_short_goes_on_where_it_was(owner, merchant, order, monkeypatch):
    text = lines(*(f"cart-1,UPS,N{number},{today()}" for number in range(120)))
    upload(owner, merchant, text)
    confirm(owner)
    made = ParcelList.objects.get()
    parcel_lists.take_turn(made.pk, at_most=-parcel_lists.TURN)
    assert 0 < Shipment.objects.count() < 120
    made.refresh_from_db()
    assert made.state == "working"
    ParcelRow.objects.filter(line=2).update(outcome="")  # added, and died before writing it down
    ParcelList.objects.update(reached=0)

    work_until_quiet(rounds=100)

    assert Shipment.objects.count() == 120
    assert said("outcome") == ["same", *["added"] * 119]


def test_a_long_list_is_checked_in_the_background(owner, merchant, order, monkeypatch):
    monkeypatch.setattr(parcel_lists, "CHUNK", 10)
    turn = parcel_lists.take_turn
    monkeypatch.setattr(parcel_lists, "take_turn", lambda pk, at_most: turn(pk, at_most=-at_most))
    response = upload(owner, merchant, lines(*(f"cart-1,UPS,N{number % 30},{today()}" for number in range(40))))
    html = response.content.decode()
    assert ">Being checked<" in html
    assert response["Refresh"] == "3"
    assert said().count("") == 30

    while run_due():
        pass

    assert ParcelList.objects.get().state == "checked"
    assert (said().count("new"), said().count("same")) == (30, 10)


def test_the_problem_file_can_be_corrected_and_brought_again(owner, merchant, order):
    upload(owner, merchant, lines(f'cart-1,UPS,"=N1",{today()}', f"cart-9,@x,-N2,{today()}"))

    text = problems(owner)
    assert "'=N1" in text
    assert "'@x,'-N2" in text
    corrected = text.replace("'=N1", "N1").replace("cart-9", "cart-1").replace("'@x", "UPS").replace("'-N2", "N2")
    upload(owner, merchant, corrected, name="problems.csv")

    assert said() == ["new", "new"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("order,carrier\n1,2", "missing: number, shipped_on"),
        (f"{HEAD},weight\n1,2,3,4,5", "“weight” is not known"),
        (f"{HEAD},reference\n1,2,3,4,5", "“order” stands there twice"),
        (HEAD, "a header and no rows"),
        (f'{HEAD}\n1,"2,3,4\n', "quotes do not match"),
        (b"PK\x03\x04 no", "damaged"),
    ],
)
def test_a_file_that_cannot_be_a_list_is_explained_and_nothing_is_kept(owner, merchant, order, text, sentence):
    response = upload(owner, merchant, text)

    html = response.content.decode()
    assert sentence in html or "submitted file is empty" in html
    assert not ParcelList.objects.exists()
    assert not ParcelRow.objects.exists()


def test_too_many_rows_are_refused_with_their_limit(owner, merchant, order, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_ROWS", 1500)
    response = upload(owner, merchant, lines(*("a,b,c,d" for _ in range(1501))))

    assert "more than 1,500 rows" in response.content.decode()
    assert not ParcelRow.objects.exists()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_template_is_itself_a_list(owner, merchant, order, kind):
    response = owner.get(f"{LISTS}template.{kind}")
    content = b"".join(response.streaming_content)
    assert f'filename="parcels.{kind}"' in response["Content-Disposition"]

    upload(owner, merchant, content, name=f"parcels.{kind}")

    assert said() == ["unknown"]


def test_other_names_of_columns_and_days_are_understood(owner, merchant, order):
    day = timezone.now().date()
    serial = (day - parcel_lists._EXCEL_EPOCH).days
    rows = [f"cart-1;UPS;N{n};{text}" for n, text in enumerate((day.strftime("%d.%m.%Y"), f"{day} 10:00", serial))]
    upload(owner, merchant, lines(*rows, head="Order Reference;Carrier;Tracking-Number;Date"))
    confirm(owner)
    work_until_quiet()

    assert list(Shipment.objects.values_list("shipped_on", flat=True)) == [day] * 3


def test_a_number_that_a_spreadsheet_rounded_is_refused(owner, merchant, order):
    response = upload(owner, merchant, lines(f"cart-1,UPS,1.23457E+15,{today()}"))
    assert "has rounded this number" in response.content.decode()


def test_a_reference_of_two_orders_is_not_guessed_at(owner, merchant, order):
    again = a_paid_order(merchant, reference="cart-1")
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}", f"{again.public_id},UPS,N1,{today()}"))

    assert said() == ["wrong", "new"]


def test_orders_of_other_merchants_and_modes_are_unknown(owner, merchant, order):
    other = a_merchant()
    an_account(other)
    theirs = an_order(other, reference="theirs")
    a_payment(theirs, "instant")
    upload(owner, merchant, lines(f"theirs,UPS,N1,{today()}", f"{theirs.public_id},UPS,N1,{today()}"))
    assert said() == ["unknown", "unknown"]

    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}"), mode="live")
    assert said() == ["unknown"]


def test_a_list_cannot_be_brought_for_another_merchant(owner, merchant, order):
    other = a_merchant()
    upload(owner, other, lines(f"cart-1,UPS,N1,{today()}"))
    assert not ParcelList.objects.exists()


@pytest.mark.parametrize("role", ["finance", "developer", "viewer"])
def test_other_roles_have_no_lists(log_in, owner, merchant, order, role):
    upload(owner, merchant, lines(f"cart-1,UPS,N1,{today()}"))
    made = ParcelList.objects.get()
    client = log_in(merchant, role)

    for url in (LISTS, f"{LISTS}add/", f"{LISTS}template.csv", f"{LISTS}{made.pk}/change/"):
        assert client.get(url).status_code in {302, 403}
    for name in ("confirm", "drop"):
        assert client.post(reverse(f"admin:desk_parcellist_{name}", args=(made.pk,))).status_code in {403, 404}
    assert ParcelList.objects.get().state == "checked"


@pytest.mark.parametrize("role", ["support", "shipping"])
def test_shipping_and_support_bring_lists(log_in, merchant, order, role):
    client = log_in(merchant, role)
    upload(client, merchant, lines(f"cart-1,UPS,N1,{today()}"))
    confirm(client)
    work_until_quiet()

    assert Shipment.objects.get().created_by == f"staff:{client.user.pk}"


def test_rows_are_leafed_through_and_chosen_by_kind(owner, merchant, order, monkeypatch):
    monkeypatch.setattr("checkout.desk.lists.SHOWN", 3)
    upload(owner, merchant, lines(*(f"cart-1,UPS,N{n},{today()}" for n in range(5)), f"nowhere,UPS,X,{today()}"))
    url = reverse("admin:desk_parcellist_change", args=(ParcelList.objects.get().pk,))

    first = owner.get(url).content.decode()
    further = re.search(r'href="(\?after=\d+)"', first)[1]
    second = owner.get(url + further).content.decode()
    unknown = owner.get(url, {"show": "unknown"}).content.decode()

    assert ">N2<" in first
    assert ">N3<" not in first
    assert ">N3<" in second
    assert ">X<" in unknown
    assert ">N0<" not in unknown


def test_a_hold_may_be_shipped_before_it_is_captured(owner, merchant, account, bank):
    held = an_order(merchant, capture="manual", reference="held")
    payment = a_payment(held, "card")
    bank.latest().approve()
    operations.inquire(payment, cause="test")

    upload(owner, merchant, lines(f"held,UPS,N1,{today()}"))

    assert said() == ["new"]
