"""What the shopper does on our own page while an attempt waits: enter a code from an SMS, or scan a QR code."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from checkout.orders import gateway, operations
from checkout.orders.models import Order, Payment, Step
from checkout.pages import texts, ways
from providers.contract import Method

CODE_REST = timedelta(seconds=60)
"""How long after an SMS another one may be asked for."""


@dataclass(frozen=True)
class CodeStep:
    """A code that the shopper was sent and can still enter."""

    payment: Payment
    sent_to: str
    """Masked; empty when the provider did not say."""
    rest: int
    """Seconds until another code may be asked for."""
    left: int
    """How many more codes may be sent for this order."""

    @classmethod
    def of(cls, payment: Payment) -> CodeStep:
        return cls(
            payment=payment,
            sent_to=str(payment.step_data.get("sent_to", "")),
            rest=seconds_of_rest(payment),
            left=operations.codes_left(payment.order),
        )

    @property
    def clock(self) -> str:
        return _clock(self.rest)

    @property
    def can_repeat(self) -> bool:
        """One press is enough for another code: nothing has to be typed again."""
        return self.payment.saved_card is not None


@dataclass(frozen=True)
class QrStep:
    """A QR code that the shopper scans."""

    payment: Payment
    method: Method
    seconds: int
    """For how long it can still be scanned."""
    app_url: str
    """Opens the app on this device; empty when the content leads nowhere that we may send a shopper to."""

    @classmethod
    def of(cls, payment: Payment) -> QrStep:
        content = str(payment.step_data.get("content", ""))
        return cls(
            payment=payment,
            method=ways.method_of(payment),
            seconds=_seconds_until(payment.deadline) if payment.deadline else 0,
            app_url=content if gateway.may_redirect(payment.account, content) else "",
        )

    @property
    def name(self) -> str:
        return texts.name_of(self.method)

    @property
    def is_over(self) -> bool:
        return not self.seconds

    @property
    def clock(self) -> str:
        return _clock(self.seconds)

    @property
    def image_url(self) -> str:
        return reverse("pages:qr", args=(self.payment.order.page_token, self.payment.public_id))

    @property
    def seen(self) -> str:
        """What a page shows of it, so that its poll can tell whether that is still right."""
        return f"{self.payment.number}{'-over' if self.is_over else ''}"


def is_dead(payment: Payment) -> bool:
    """The code that was sent can no longer be entered: only another attempt brings another one."""
    return payment.step == Step.CODE and not operations.accepts_code(payment)


def code_message(payment: Payment) -> texts.Message | None:
    """What became of the code that was entered last."""
    tries_left = max(0, operations.CODE_TRIES - payment.code_tries)
    return texts.code_problem(payment.step_data.get("problem", ""), tries_left=tries_left)


def no_code_now(order: Order, payment: Payment | None) -> texts.Message | None:
    """Why an attempt that sends an SMS may not be made now; None when it may."""
    if not operations.codes_left(order):
        return texts.no_more_codes()
    if payment is not None and payment.is_waiting and operations.accepts_code(payment):
        rest = seconds_of_rest(payment)
        if rest:
            return texts.code_is_new(rest)
    return None


def seconds_of_rest(payment: Payment) -> int:
    sent_at = datetime.fromisoformat(payment.step_data["sent_at"])
    return _seconds_until(sent_at + CODE_REST)


def draw_qr(content: str) -> bytes:
    """``content`` as an SVG file, dark on white whatever the page's colours. Raises ValueError when it is too long."""
    import segno  # takes a while, and only one kind of page draws

    file = io.BytesIO()
    code = segno.make_qr(content, error="m")
    code.save(file, kind="svg", xmldecl=False, light="#fff", border=4, scale=8, omitsize=True)
    return file.getvalue()


def _clock(seconds: int) -> str:
    """``1:05``: what a script counts down reads the same without one."""
    return f"{seconds // 60}:{seconds % 60:02d}"


def _seconds_until(moment: datetime) -> int:
    return max(0, math.ceil((moment - timezone.now()).total_seconds()))
