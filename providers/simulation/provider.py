"""What one provider's simulator supplies; the kit does the rest. Read this before writing a second one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Blueprint, Response

if TYPE_CHECKING:
    from providers.simulation.simulation import Simulation


@dataclass
class Account:
    """One merchant's credentials at a provider, with the switches that shape how the simulator treats it."""

    provider: str
    id: str
    settings: dict[str, Any]


@dataclass
class Order:
    """One payment at a provider, in the provider's own words. ``reference`` is the merchant's id for it."""

    provider: str
    id: str
    account: str
    reference: str
    status: str
    amount: int
    currency: str
    created_at: int
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every status with its time and cause, oldest first."""
        return list(self.data.setdefault("history", []))

    def enter(self, status: str, at: int, cause: str) -> None:
        """Change the status and remember why. The caller saves the order."""
        self.status = status
        self.data.setdefault("history", []).append({"at": at, "status": status, "cause": cause})


@dataclass(frozen=True)
class Job:
    """Something that happens to an order later: its expiry, a delayed decision, a dispute."""

    provider: str
    kind: str
    order_id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """News worth a webhook: a status change, or an event with its own members."""

    kind: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """A webhook ready to be sent: the signature in ``headers`` is over exactly these bytes."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Dial:
    """A fault that can be switched on. ``default`` is its value when no other is given and for its magic amount.

    ``moment`` is when it acts: ``answer`` (to one API call), ``query`` (to inquiries about an order), ``webhook``
    (to an order's webhooks) or ``money`` (to what happens to the order). ``magic`` is the two last digits of the magic
    amount, see ``dials.py``.
    """

    name: str
    moment: str
    default: Any
    meaning: str
    magic: int | None = None


@dataclass(frozen=True)
class Switch:
    """One setting of an account: name, default and what it does. ``choices`` limits text switches."""

    name: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrderEvent:
    """Something an operator can make happen to an order, with the members the request may carry."""

    name: str
    meaning: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestCard:
    """A row of the test-card table."""

    __test__: ClassVar[bool] = False

    number: str
    brand: str
    cvv: str
    outcome: str
    origin: str


class Refused(Exception):
    """The operator asked for something that cannot be; the message says why."""


class ProviderSimulator(ABC):
    """One provider's side of the wire: the class ``Simulator`` in ``providers/<slug>/simulator.py``."""

    slug: ClassVar[str]
    title: ClassVar[str]
    accounts_name: ClassVar[str] = "accounts"
    #: The operation that creates an order: answer dials act on it unless told otherwise.
    creates: ClassVar[str]
    operations: ClassVar[tuple[str, ...]]
    own_dials: ClassVar[tuple[Dial, ...]] = ()
    #: Generic dials that make no sense for this provider.
    without_dials: ClassVar[frozenset[str]] = frozenset()
    switches: ClassVar[tuple[Switch, ...]] = ()
    events: ClassVar[tuple[OrderEvent, ...]] = ()
    test_cards: ClassVar[tuple[TestCard, ...]] = ()
    #: First path segments below ``/<slug>`` that a shop's own form may post a browser to. They decide nothing: they
    #: only lead on to a page.
    landings: ClassVar[frozenset[str]] = frozenset()
    #: Seconds a merchant has to answer a webhook, where that is less than the simulation allows.
    webhook_time_out_s: ClassVar[float | None] = None

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.store = simulation.store
        self.clock = simulation.clock

    @abstractmethod
    def blueprint(self) -> Blueprint:
        """API and pages, to be mounted under ``/<slug>``."""

    @abstractmethod
    def default_accounts(self) -> list[Account]:
        """What exists after a reset."""

    @abstractmethod
    def account_from(self, payload: Mapping[str, Any]) -> Account:
        """Read the operator's JSON; a known account keeps what the payload leaves out. ``Refused`` when it is wrong."""

    @abstractmethod
    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        """Write and sign a webhook. ``twists`` names the dials that falsify it, e.g. ``webhook_forged``."""

    def refresh(self, account: Account, kind: str, message: Message) -> Message:
        """The message as its next attempt sends it, for providers that stamp and sign every attempt anew."""
        return message

    @abstractmethod
    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        """Whether the merchant's reply ends the retries."""

    @abstractmethod
    def retry_wait(self, account: Account, attempt: int) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); None gives up."""

    @abstractmethod
    def run(self, job: Job) -> None:
        """Do what ``store.add_job`` planned; runs inside a write."""

    @abstractmethod
    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        """Make one of ``events`` happen; runs inside a write. ``Refused`` when the order's state forbids it."""

    @abstractmethod
    def words(self, order: Order) -> dict[str, Any]:
        """The order in the provider's own words, for the operator's JSON."""

    @abstractmethod
    def http_error(self, path: str, status: int, text: str) -> Response:
        """The provider's answer to an unknown path, a wrong method or a body that is too large."""
