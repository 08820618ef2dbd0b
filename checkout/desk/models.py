"""Lists of parcels that staff bring: each row as it was read, what it would do, and what it did."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from checkout.orders.models import Order, Shipment
from checkout.tenancy import TenantQuerySet, TenantRow


class State(models.TextChoices):
    """Where a list is; it only moves on."""

    READING = "reading"
    CHECKING = "checking"
    CHECKED = "checked", "awaits a yes"
    WORKING = "working"
    DONE = "done"
    DROPPED = "dropped"


class Verdict(models.TextChoices):
    """What a row would do, found out without doing it."""

    NEW = "new"
    SAME = "same", "there already"
    UNKNOWN = "unknown", "unknown order"
    WRONG = "wrong", "wrong field"


class Outcome(models.TextChoices):
    """What a row did."""

    ADDED = "added"
    SAME = "same", "there already"
    REFUSED = "refused"


class ParcelList(TenantRow):
    """One uploaded file of parcels: a dry run first, then a job. Its orders are those of one merchant and one mode."""

    name = models.CharField(max_length=200, help_text="of the file")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file")
    uploaded_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State.choices, default=State.READING, editable=False)
    row_count = models.PositiveIntegerField(default=0)
    reached = models.PositiveIntegerField(default=0, help_text="the last line dealt with in this state")
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.CharField(max_length=80, blank=True)
    finished_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, db_index=True)

    objects = TenantQuerySet["ParcelList"].as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (models.Index(fields=("merchant", "mode", "digest"), name="parcel_list_digest"),)

    def __str__(self) -> str:
        return self.name

    @property
    def is_at_work(self) -> bool:
        """A worker has it, or will in a moment."""
        return self.due_at is not None


class ParcelRow(models.Model):
    """One line of a list. Its texts are kept as they were read, cut to what their column holds."""

    list = models.ForeignKey(ParcelList, models.CASCADE, related_name="rows")
    line = models.PositiveIntegerField(help_text="as the program that made the file counts")
    order_name = models.CharField(max_length=200)
    carrier = models.CharField(max_length=100)
    number = models.CharField(max_length=100)
    shipped_on = models.CharField(max_length=40)
    direction = models.CharField(max_length=20)
    url = models.CharField(max_length=600)
    order = models.ForeignKey(Order, models.PROTECT, null=True, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    problem = models.CharField(max_length=250, blank=True)
    shipment = models.ForeignKey(Shipment, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ("list", "line")
        constraints = (models.UniqueConstraint(fields=("list", "line"), name="parcel_row_line_once"),)
        indexes = (models.Index(fields=("list", "order", "number"), name="parcel_row_twin"),)

    def __str__(self) -> str:
        return f"{self.line}: {self.order_name} {self.carrier} {self.number}"
