"""What every row of a merchant carries: whose it is, and whether it is real money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from checkout.merchants.models import Merchant


class Mode(models.TextChoices):
    """Test and live never meet: the mode is a column of every row, taken from the key that made it."""

    TEST = "test"
    LIVE = "live"


Row = TypeVar("Row", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[Row]):
    def of(self, merchant: Merchant, mode: str) -> Self:
        """Only this merchant's rows of this mode."""
        return self.filter(merchant=merchant, mode=mode)


class TenantRow(models.Model):
    """A row that belongs to one merchant in one mode, both equal to its parent's."""

    merchant = models.ForeignKey("merchants.Merchant", models.PROTECT, related_name="+", editable=False)
    mode = models.CharField(max_length=4, choices=Mode.choices, editable=False)

    class Meta:
        abstract = True

    @property
    def is_test(self) -> bool:
        return self.mode == Mode.TEST


class HistoryError(Exception):
    """Somebody tried to change what only grows."""


class AppendOnlyQuerySet(TenantQuerySet[Row]):
    def update(self, **kwargs: Any) -> int:
        raise HistoryError(f"{self.model.__name__} rows are never updated")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise HistoryError(f"{self.model.__name__} rows are never deleted")


class AppendOnly(TenantRow):
    """History: inserted once, never updated or deleted (a trigger says so on PostgreSQL, this guard everywhere)."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise HistoryError(f"{type(self).__name__} rows are never updated")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise HistoryError(f"{type(self).__name__} rows are never deleted")
