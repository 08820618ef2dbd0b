"""Money under disorder: a provider's own messages, late, twice and in any order, through its client into the core.

Mix ``MoneyUnderDisorder`` into a ``ProviderConformance`` and say how the provider words the truth about one payment:

================================  ======================================================================================
``answer_to``                     the body of their answer to whatever is asked about the payment: a fetch, a fetch of a
                                  refund, an operation sent again; an object or bytes, signed by ``genuine_answer``
``payment_event``                 the body of their webhook about the payment, or None where they send none about this
``capture_event``                 the same about one capture; the one about the payment unless said otherwise
``refund_event``                  the same about one refund; none unless said otherwise
``announces_failure``             False where a failure is only ever found by asking
``tells_refunds_made_elsewhere``  False where nobody hears of a part given back in the provider's own dashboard
``other_currency``                one that a message could name by mistake; empty where messages name none
================================  ======================================================================================

An event's body must differ from another's where the provider's events have ids of their own.

Nothing here knows how a message looks. The answer to our own first call is always lost, so each story begins with an
unknown outcome; where a provider is silent, we ask instead, as the sweep would.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from checkout.merchants.models import ProviderAccount
from checkout.orders import execution, gateway, operations
from checkout.orders.models import Order, Payment
from checkout.webhooks import inbox
from checkout.webhooks.models import State, WebhookEvent
from providers.contract import BadSignature, Capability, OperationStatus, Status
from providers.http import Http
from providers.money import Money
from tests import factories
from tests.factories import work_until_quiet
from tests.orders.invariants import check_order
from tests.orders.stage import fresh, types
from tests.providers.conformance import needs, only_if
from tests.providers.recording import compact
from tests.providers.transports import Play, Received, Wire, answer

if TYPE_CHECKING:
    import socket

    from tests.providers.conformance import ProviderConformance as _Kit
else:
    _Kit = object

AMOUNT = 1000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One capture or refund, as the provider has it."""

    reference: str
    """Ours; for one that was made in the provider's dashboard, whatever it makes up."""
    provider_reference: str
    amount: Money
    status: OperationStatus = OperationStatus.SUCCEEDED


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One payment, as the provider has it."""

    reference: str
    provider_reference: str
    amount: Money
    created_at: datetime
    payer: str
    manual: bool
    """To be captured by hand."""
    status: Status = Status.PENDING
    authorised: int = 0
    captured: int = 0
    captures: tuple[Part, ...] = ()
    refunds: tuple[Part, ...] = ()

    @property
    def refunded(self) -> int:
        return sum(part.amount.minor for part in self.refunds if part.status is OperationStatus.SUCCEEDED)

    def but(self, **facts: Any) -> Truth:
        return dataclasses.replace(self, **facts)


class Theirs:
    """A provider on loopback that knows one payment of ours, and says of it what ``truth`` is."""

    def __init__(self, kit: MoneyUnderDisorder, *, manual: bool) -> None:
        self.kit = kit
        self.wire = Wire(self._play)
        self.truth: Truth | None = None
        """None: every answer is lost."""
        self.account = self.new_account()
        self.payment = self._pay(manual=manual)
        self.truth = Truth(
            reference=self.payment.reference,
            provider_reference=kit.ref().provider_reference,
            amount=self.payment.money,
            created_at=self.payment.created_at,
            payer=self.payment.payer,
            manual=manual,
        )

    def new_account(self) -> ProviderAccount:
        """An account at this provider, of a merchant of its own. All have the same credentials."""
        self.kit.provider(Http(self.wire.url))  # may get ready for calls, e.g. put a token in place
        return factories.an_account(
            factories.a_merchant(),
            name=self.kit.provider_class.name,
            provider=self.kit.slug,
            base_url=self.wire.url,
            methods=[self.kit.method],
            credentials=dataclasses.asdict(self.kit.config(self.kit.secret)),
        )

    def _pay(self, *, manual: bool) -> Payment:
        capture = "manual" if manual else "automatic"
        currency = self.kit.currency
        order = factories.an_order(self.account.merchant, amount_minor=AMOUNT, currency=currency, capture=capture)
        return factories.a_payment(order, self.kit.method, card=self.kit.card())

    def _play(self, connection: socket.socket, sent: Received) -> bool:
        play: Play = answer(b"", 500, close=True)
        if self.truth:
            body, headers = self.kit.genuine_answer(as_bytes(self.kit.answer_to(sent, self.truth)), sent)
            play = answer(body, close=True, **{name.replace("-", "_"): value for name, value in headers.items()})
        return play(connection, sent)

    # ----------------------------------------------------------------------------------------------------- what happens

    def is_now(self, **facts: Any) -> Truth:
        """The truth changes; nobody has told us yet."""
        assert self.truth is not None
        self.truth = self.truth.but(**facts)
        return self.truth

    def is_paid(self) -> Truth:
        return self.is_now(status=Status.CAPTURED, authorised=AMOUNT, captured=AMOUNT)

    def refunds(self, *amounts: int) -> Truth:
        """Somebody gives money back in the provider's dashboard."""
        assert self.truth is not None
        parts = [
            Part(
                reference=f"D01J9Z3K{number}",
                provider_reference=f"2026030112000{number}",
                amount=Money(amount, self.payment.currency),
            )
            for number, amount in enumerate(amounts, start=1)
        ]
        return self.is_now(refunds=(*self.truth.refunds, *parts))

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Whatever is asked meanwhile, its answer is lost."""
        truth, self.truth = self.truth, None
        yield
        self.truth = truth

    # ----------------------------------------------------------------------------------------------------- how we learn

    def tell(self, body: Any, *, account: ProviderAccount | None = None) -> WebhookEvent | None:
        """Their webhook arrives, and is dealt with. Where they send none, we ask."""
        if body is None:
            self.ask()
            return None
        account = account or self.account
        delivery = self.kit.deliver(as_bytes(body), secret=self.kit.secret)
        event_id = gateway.connect(account).verify_webhook(delivery)
        inbox.record(account, event_id, delivery)
        work_until_quiet()
        return WebhookEvent.objects.get(account=account, event_id=event_id)

    def ask(self) -> None:
        """What the sweep does in time: ask about the payment, and carry on what is in flight."""
        payment = operations.inquire(fresh(self.payment), cause="test")
        for row in (*payment.captures.all(), *payment.refunds.all()):
            execution.execute(type(row), row.pk)
        work_until_quiet()

    # ----------------------------------------------------------------------------------------------------- what we know

    @property
    def money(self) -> tuple[int, int, int]:
        """Authorised, captured, refunded, as we have it."""
        payment = fresh(self.payment)
        return payment.authorised_total, payment.captured_total, payment.refunded_total - payment.reversed_total

    @property
    def status(self) -> tuple[str, str]:
        """Of the payment and of its order."""
        payment = fresh(self.payment)
        return payment.status, payment.order.status

    @property
    def successes(self) -> int:
        return types(self.payment.order).count("payment.succeeded")


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else compact(body)


class MoneyUnderDisorder(_Kit):
    """Tests for one provider, beside those of ``ProviderConformance``."""

    announces_failure: ClassVar[bool] = True
    tells_refunds_made_elsewhere: ClassVar[bool] = True
    other_currency: ClassVar[str] = "USD"

    def answer_to(self, sent: Received, truth: Truth) -> Any:
        raise NotImplementedError

    def payment_event(self, truth: Truth) -> Any:
        raise NotImplementedError

    def capture_event(self, truth: Truth, part: Part) -> Any:
        return self.payment_event(truth)

    def refund_event(self, truth: Truth, part: Part) -> Any:
        return None

    # ---------------------------------------------------------------------------------------------------------- stages

    @pytest.fixture
    def theirs(self, db: None) -> Iterator[Theirs]:
        """A payment whose start was never answered."""
        yield from self._stage(manual=False)

    @pytest.fixture
    def held(self, db: None) -> Iterator[Theirs]:
        """A payment to be captured by hand, whose money is held."""
        for stage in self._stage(manual=True):
            stage.is_now(status=Status.AUTHORISED, authorised=AMOUNT)
            stage.ask()
            assert (stage.status[0], stage.money) == ("authorised", (AMOUNT, 0, 0))
            yield stage

    def _stage(self, *, manual: bool) -> Iterator[Theirs]:
        stage = Theirs(self, manual=manual)
        with stage.wire:
            assert (stage.status[0], stage.money) == ("pending", (0, 0, 0)), "an unknown outcome"
            yield stage
        for order in Order.objects.select_related("merchant"):
            check_order(order)

    # ----------------------------------------------------------------------------------------------------- any provider

    def test_money_is_learnt_although_the_answer_was_lost(self, theirs):
        theirs.tell(self.payment_event(theirs.is_paid()))

        assert (theirs.status, theirs.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))

    def test_the_same_event_twice_is_one_event(self, theirs):
        body = self.payment_event(theirs.is_paid())
        assert body is not None
        theirs.tell(body)
        known = types(theirs.payment.order)

        event = theirs.tell(body)

        assert (WebhookEvent.objects.count(), event.copies) == (1, 1)
        assert types(theirs.payment.order) == known
        assert (theirs.successes, theirs.money) == (1, (AMOUNT, AMOUNT, 0))

    def test_asking_after_being_told_changes_nothing(self, theirs):
        theirs.tell(self.payment_event(theirs.is_paid()))
        known = types(theirs.payment.order)

        theirs.ask()

        assert (types(theirs.payment.order), theirs.money) == (known, (AMOUNT, AMOUNT, 0))

    def test_late_news_of_waiting_changes_nothing(self, theirs):
        waiting = self.payment_event(theirs.truth)
        theirs.tell(self.payment_event(theirs.is_paid()))

        theirs.tell(waiting)

        assert (theirs.status, theirs.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))

    @only_if(lambda kit: kit.announces_failure)
    def test_late_news_of_a_failure_takes_no_money_away(self, theirs):
        failed = self.payment_event(theirs.truth.but(status=Status.FAILED))
        assert failed is not None
        theirs.tell(self.payment_event(theirs.is_paid()))

        theirs.tell(failed)

        assert (theirs.status, theirs.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))

    def test_a_fetch_that_contradicts_a_capture_takes_no_money_away(self, theirs):
        theirs.tell(self.payment_event(theirs.is_paid()))
        theirs.is_now(status=Status.FAILED, authorised=0, captured=0)

        theirs.ask()

        assert (theirs.status[0], theirs.money) == ("captured", (AMOUNT, AMOUNT, 0))

    def test_money_after_a_failure_is_money(self, theirs):
        theirs.is_now(status=Status.FAILED)
        theirs.ask()
        assert theirs.status[0] == "failed"

        theirs.tell(self.payment_event(theirs.is_paid()))

        assert (theirs.status, theirs.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))

    @pytest.mark.parametrize("difference", [-1, 1, AMOUNT])
    def test_another_amount_is_put_before_a_person(self, theirs, difference):
        amount = AMOUNT + difference
        theirs.is_now(amount=Money(amount, self.currency))

        theirs.tell(self.payment_event(theirs.is_now(status=Status.CAPTURED, authorised=amount, captured=amount)))
        theirs.ask()

        review = theirs.payment.reviews.first()
        assert (theirs.status[1], theirs.successes) == ("needs_review", 0)
        assert review.theirs.startswith(Money(amount, self.currency).decimal)

    @only_if(lambda kit: bool(kit.other_currency))
    def test_another_currency_is_put_before_a_person_and_is_no_money(self, theirs):
        theirs.is_now(amount=Money(AMOUNT, self.other_currency))

        theirs.tell(self.payment_event(theirs.is_paid()))
        theirs.ask()

        assert (theirs.status[1], theirs.successes, theirs.money) == ("needs_review", 0, (0, 0, 0))
        assert self.other_currency in theirs.payment.reviews.first().theirs

    def test_an_event_at_another_account_moves_nothing(self, theirs):
        stranger = theirs.new_account()
        body = self.payment_event(theirs.is_paid())
        asked = len(theirs.wire.requests)

        event = theirs.tell(body, account=stranger)

        assert (event.state, event.outcome) == (State.PARKED, "unmatched")
        assert (theirs.status[0], theirs.money) == ("pending", (0, 0, 0))
        assert len(theirs.wire.requests) == asked

    def test_an_event_signed_for_another_account_is_none(self, theirs):
        delivery = self.deliver(as_bytes(self.payment_event(theirs.is_paid())), secret=self.other_secret)

        with pytest.raises(BadSignature):
            gateway.connect(theirs.account).verify_webhook(delivery)

    def test_every_order_of_news_ends_the_same(self, theirs, order_of_news):
        """Each of them twice; what is asked meanwhile is answered with how it all ended."""
        news = {
            "failed": self.payment_event(theirs.truth.but(status=Status.FAILED)),
            "captured": self.payment_event(theirs.is_paid()),
        }
        if "authorised" in order_of_news:
            held = theirs.truth.but(status=Status.AUTHORISED, authorised=AMOUNT, captured=0)
            news["authorised"] = self.payment_event(held)
        if "refunded" in order_of_news:
            truth = theirs.refunds(300)
            news["refunded"] = self.refund_event(truth, truth.refunds[0])

        for name in order_of_news:
            theirs.tell(news[name])
            theirs.tell(news[name])
        theirs.ask()

        refunded = theirs.truth.refunded
        assert theirs.money == (AMOUNT, AMOUNT, refunded)
        assert theirs.status == ("captured", "partially_refunded" if refunded else "paid")
        assert theirs.successes == 1
        assert theirs.payment.refunds.count() == len(theirs.truth.refunds)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Feeds tests that ask for an ``order_of_news``: all orders of what this provider can have news of."""
        super().pytest_generate_tests(metafunc)
        if "order_of_news" in metafunc.fixturenames:
            can = self.provider_class.capabilities
            names = ["failed", "captured"]
            names += ["authorised"] if Capability.CAPTURE in can else []
            names += ["refunded"] if Capability.PARTIAL_REFUND in can and self.tells_refunds_made_elsewhere else []
            metafunc.parametrize("order_of_news", list(itertools.permutations(names)), ids="-".join)

    # --------------------------------------------------------------------------------------------------------- captures

    @needs(Capability.CAPTURE)
    def test_a_capture_may_be_heard_of_before_its_authorisation(self, held):
        authorised = self.payment_event(held.truth)
        part = self._capture(held)

        held.tell(self.capture_event(held.truth, part))
        held.tell(authorised)

        assert (held.status, held.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))
        assert [capture.status for capture in held.payment.captures.all()] == ["succeeded"]

    @needs(Capability.CAPTURE)
    def test_a_capture_twice_takes_once(self, held):
        part = self._capture(held)

        for _ in range(2):
            held.tell(self.capture_event(held.truth, part))
            held.ask()

        assert (held.money, held.successes, held.payment.captures.count()) == ((AMOUNT, AMOUNT, 0), 1, 1)

    @needs(Capability.CAPTURE, Capability.PARTIAL_CAPTURE)
    def test_news_of_a_smaller_capture_after_a_full_one_is_old(self, held):
        stale = self.payment_event(held.truth.but(status=Status.CAPTURED, captured=400))
        part = self._capture(held)
        held.tell(self.capture_event(held.truth, part))

        held.tell(stale)
        held.ask()

        assert (held.status, held.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))

    @only_if(lambda kit: kit.tells_refunds_made_elsewhere)
    @needs(Capability.CAPTURE, Capability.REFUND)
    @pytest.mark.parametrize("first", ["refund", "capture"])
    def test_a_refund_may_overtake_its_capture(self, held, first):
        part = self._capture(held)
        captured = self.capture_event(held.truth, part)
        truth = held.refunds(AMOUNT)
        refunded = self.refund_event(truth, truth.refunds[0])

        for body in (refunded, captured) if first == "refund" else (captured, refunded):
            held.tell(body)
        held.ask()

        assert (held.status, held.money) == (("captured", "refunded"), (AMOUNT, AMOUNT, AMOUNT))
        assert (held.payment.captures.count(), held.payment.refunds.count()) == (1, 1)

    def _capture(self, held: Theirs) -> Part:
        """We capture all of it; it works, and the answer is lost."""
        with held.silence():
            row = operations.capture(fresh(held.payment))
        assert row.is_in_flight
        part = Part(reference=row.reference, provider_reference="20260301120099", amount=held.payment.money)
        held.is_now(status=Status.CAPTURED, captured=AMOUNT, captures=(part,))
        return part

    # ---------------------------------------------------------------------------------------------------------- refunds

    @needs(Capability.REFUND, Capability.PARTIAL_REFUND)
    def test_two_equal_refunds_of_ours_are_two(self, theirs):
        theirs.tell(self.payment_event(theirs.is_paid()))
        first, second = self._refunds(theirs, 300, 300)

        truth = theirs.is_now(refunds=(first, dataclasses.replace(second, status=OperationStatus.PENDING)))
        for _ in range(2):
            theirs.tell(self.refund_event(truth, first))
        assert theirs.money == (AMOUNT, AMOUNT, 300)
        theirs.tell(self.refund_event(theirs.is_now(refunds=(first, second)), second))
        theirs.ask()

        assert (theirs.status[1], theirs.money) == ("partially_refunded", (AMOUNT, AMOUNT, 600))
        assert [refund.status for refund in theirs.payment.refunds.all()] == ["succeeded", "succeeded"]

    @needs(Capability.REFUND, Capability.PARTIAL_REFUND)
    def test_a_refund_that_failed_gives_nothing_back(self, theirs):
        theirs.tell(self.payment_event(theirs.is_paid()))
        (part,) = self._refunds(theirs, 300)
        failed = dataclasses.replace(part, status=OperationStatus.FAILED)

        theirs.tell(self.refund_event(theirs.is_now(refunds=(failed,)), failed))
        theirs.ask()

        assert (theirs.status, theirs.money) == (("captured", "paid"), (AMOUNT, AMOUNT, 0))
        assert fresh(theirs.payment).refundable == AMOUNT

    def _refunds(self, theirs: Theirs, *amounts: int) -> list[Part]:
        """We ask for refunds; they work, and the answers are lost."""
        with theirs.silence():
            rows = [operations.refund(fresh(theirs.payment), amount=amount) for amount in amounts]
        assert all(row.is_in_flight for row in rows)
        return [
            Part(
                reference=row.reference,
                provider_reference=f"2026030112010{number}",
                amount=Money(row.amount, theirs.payment.currency),
            )
            for number, row in enumerate(rows)
        ]
