"""A visit: one request to one order's page, and the screen that follows from what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation.trans_real import parse_accept_lang_header

from checkout.orders import links, operations
from checkout.orders.models import Order, Payment
from checkout.pages import display
from checkout.pages.screens import PAYABLE, Screen, facts_of, screen_of
from checkout.pages.ways import Ways

WIDEST_FIELD = 300
"""Characters of a browser's header that are read, and that go to a provider."""

WIDEST_TAG = 35
"""Characters that a language tag may have (RFC 5646, section 4.4)."""

LANGUAGE = "lang"
"""In the query of a page: the language to show it in, where the order names none."""

ANOTHER = "another"
"""In the query of a page that awaits a code or a scan: show the other ways to pay instead."""


@dataclass
class Visit:
    """One request to the page of one order: the order, the attempt that it is about, and the screen that follows."""

    request: HttpRequest
    order: Order
    payment: Payment | None
    return_token: str = ""
    """Set when the browser comes back from a provider: it may be another one, so nothing personal is shown."""

    @classmethod
    def to_order(cls, request: HttpRequest, page_token: str) -> Visit:
        order = get_object_or_404(Order.objects.select_related("merchant"), page_token=page_token)
        return cls(request, order, _latest_payment(order))

    @classmethod
    def from_provider(cls, request: HttpRequest, token: str) -> Visit:
        payment = links.read_return_token(token)
        if payment is None:
            raise Http404("not a return address of ours")
        return cls(request, payment.order, payment, return_token=token)

    @property
    def screen(self) -> Screen:
        returned = bool(self.return_token)
        return screen_of(facts_of(self.order, self.payment, now=timezone.now(), returned=returned))

    @property
    def is_payable(self) -> bool:
        """Whether an attempt to pay may start from here."""
        return self.screen in PAYABLE and not self.return_token

    @property
    def is_htmx(self) -> bool:
        return self.request.headers.get("HX-Request") == "true"

    @property
    def language(self) -> str:
        """Order, then link, then browser, then merchant."""
        header = self.request.headers.get("Accept-Language", "")[:WIDEST_FIELD]
        browser = [tag for tag, _ in parse_accept_lang_header(header)]
        return display.choose_language([self.order.locale, self.link_language, *browser, self.order.merchant.locale])

    @property
    def link_language(self) -> str:
        """What ``?lang=`` asks for, if we offer it; our own links and forms hand it on, a provider does not."""
        return display.offered_language(self.request.GET.get(LANGUAGE, "")[:WIDEST_TAG])

    @property
    def page_url(self) -> str:
        return self.address("pages:pay", self.order.page_token)

    @property
    def another_url(self) -> str:
        """The page with the other ways to pay, while a code or a scan is awaited."""
        return self.address("pages:pay", self.order.page_token, query=(ANOTHER,))

    @property
    def poll_path(self) -> str:
        if self.return_token:
            return reverse("pages:return", args=(self.return_token,))
        return reverse("pages:status", args=(self.order.page_token,))

    def address(self, name: str, *args: object, query: tuple[str, ...] = ()) -> str:
        """One of this order's addresses, in the language that the link asked for."""
        words = (*query, *((f"{LANGUAGE}={self.link_language}",) if self.link_language else ()))
        path = reverse(name, args=args)
        return f"{path}?{'&'.join(words)}" if words else path

    @cached_property
    def ways(self) -> Ways:
        return Ways.of(self.order)

    def is_about(self, public_id: object) -> bool:
        """Whether this names the attempt that the page is about: a stale tab may mean an earlier one."""
        return self.payment is not None and str(self.payment.public_id) == str(public_id)

    def ask(self, *, min_interval: timedelta) -> None:
        """Ask the provider about an attempt without outcome, at most once in a while, and look again."""
        if self.payment is not None and self.payment.is_waiting:
            self.payment = operations.inquire(self.payment, cause="page", min_interval=min_interval)
            self.order.refresh_from_db()

    def look_again(self) -> None:
        self.__dict__.pop("ways", None)
        self.order.refresh_from_db()
        self.payment = _latest_payment(self.order)


def _latest_payment(order: Order) -> Payment | None:
    """The attempt that the page is about: one under way before one that ended."""
    payments = list(order.payments.select_related("account", "saved_card").order_by("-number")[:20])
    return next((payment for payment in payments if payment.is_waiting), payments[0] if payments else None)
