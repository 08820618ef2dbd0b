"""The simulators' kit: clock, dials, store, panel, command line. What is Lesspay's own is tested beside this file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Blueprint, Response

from providers.simulation import (
    Account,
    Dial,
    Job,
    Message,
    Notice,
    Order,
    OrderEvent,
    ProviderSimulator,
    Refused,
    Simulation,
    amounts,
    masking,
)
from providers.simulation import simulation as simulation_module
from providers.simulation.app import create_app
from providers.simulation.panel import back, read_value
from providers.simulation.server import make_simulation_server, serving
from providers.simulation.store import Store
from providers.simulation.tables import markdown
from providers.simulation.webhooks import is_loopback

ROOT = Path(__file__).resolve().parents[2]


class Simulator(ProviderSimulator):
    """The smallest provider there could be: what a second one has to bring."""

    slug = "tiny"
    title = "Tiny Pay"
    creates = "pay"
    operations = ("pay", "ask")
    own_dials = (Dial("tiny_fault", "answer", True, "something of its own"),)
    without_dials = frozenset({"paid_differs"})
    events = (OrderEvent("pay", "the payer pays"),)

    def blueprint(self) -> Blueprint:
        return Blueprint(self.slug, __name__)

    def default_accounts(self) -> list[Account]:
        return [Account(self.slug, "shop", {})]

    def account_from(self, payload: Mapping[str, Any]) -> Account:
        return Account(self.slug, str(payload["id"]), {})

    def compose(self, order: Order, notice: Notice, twists: Any) -> Message:
        return Message(order.data["url"], {}, json.dumps({"status": order.status}).encode())

    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        return status == 200

    def retry_wait(self, account: Account, attempt: int) -> float | None:
        return 10 if attempt < 3 else None

    def run(self, job: Job) -> None:
        order = self.store.order(self.slug, job.order_id)
        assert order is not None
        order.enter(job.kind, self.clock.now(), "planned")
        self.store.save_order(order)

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        order.enter("paid", self.clock.now(), event)
        self.store.save_order(order)
        self.simulation.webhooks.announce(order, Notice("status"))

    def words(self, order: Order) -> dict[str, Any]:
        return {"state": order.status}

    def http_error(self, path: str, status: int, text: str) -> Response:
        return Response("tiny error", status=status)


@pytest.fixture
def simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """Only the tiny provider, and nothing happens by itself."""
    monkeypatch.setattr(simulation_module, "find_simulators", lambda: [Simulator])
    one = Simulation(tmp_path / "state.sqlite3")
    yield one
    one.stop()


def place(simulation: Simulation, id: str = "o1", url: str = "http://127.0.0.1:9/") -> Order:
    order = Order("tiny", id, "shop", f"ref-{id}", "open", 500, "USD", simulation.clock.now(), {"url": url})
    order.enter("open", simulation.clock.now(), "created")
    assert simulation.store.add_order(order)
    return order


def stored(simulation: Simulation, id: str = "o1") -> Order:
    order = simulation.store.order("tiny", id)
    assert order is not None
    return order


# --- amounts and masking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digits", "minor"),
    [
        ("0", 0, 0),
        ("100", 2, 10_000),
        ("100.5", 2, 10_050),
        ("0.001", 3, 1),
        ("999999999999.99", 2, 99_999_999_999_999),
        ("1.001", 2, None),
        ("1.0", 0, None),
        ("01", 2, None),
        ("-1", 2, None),
        ("+1", 2, None),
        ("1e2", 2, None),
        ("1.", 2, None),
        (".5", 2, None),
        ("１", 2, None),
        ("", 2, None),
        ("1\n", 2, None),
    ],
)
def test_decimals_become_minor_units_or_nothing(text: str, digits: int, minor: int | None) -> None:
    assert amounts.to_minor(text, digits) == minor


def test_minor_units_become_full_decimals() -> None:
    assert amounts.to_decimal(5, 2) == "0.05"
    assert amounts.to_decimal(5, 0) == "5"
    assert amounts.to_decimal(1234, 3) == "1.234"
    assert amounts.shown(123_456_789, "USD") == "1,234,567.89 USD"
    assert (amounts.exponent("JPY"), amounts.exponent("KWD"), amounts.exponent("BTC")) == (0, 3, None)


def test_card_data_is_masked_at_any_depth_and_in_any_type() -> None:
    masked = masking.mask(
        {
            "card_data": {"number": 4242424242424242, "cvv": "100", "expiry_month": 12},
            "note": "paid with 4242 4242 4242 4242 today",
            "list": [{"cardNo": "4000-0566-5566-5556"}, True, None],
            "token": "src_3oqxta2juhbevjaw72pgorkd5e",
            "request_id": "4242424242424242",
            "amount": 1_762_741_122_001,
        }
    )

    assert masked == {
        "card_data": {"number": "424242******4242", "cvv": "***", "expiry_month": 12},
        "note": "paid with 424242******4242 today",
        "list": [{"cardNo": "400005******5556"}, True, None],
        "token": "src_3oqx***",
        "request_id": "4242424242424242",
        "amount": 1_762_741_122_001,
    }


# --- clock and due things ------------------------------------------------------------------------------------------


def test_the_clock_jumps_forward_only_and_survives_a_restart(tmp_path: Path, simulation: Simulation) -> None:
    before = simulation.clock.now()
    simulation.advance(3600)
    simulation.clock.jump_to(before)

    other = Store(tmp_path / "state.sqlite3")
    offset = int(other.fact("clock_offset_ms") or 0)
    other.close()

    assert simulation.clock.now() >= before + 3_600_000
    assert 3_599_000 <= offset <= 3_600_000


def test_planned_things_happen_in_order_and_at_their_own_time(simulation: Simulation) -> None:
    order = place(simulation)
    begun = simulation.clock.now()
    for kind, seconds in (("third", 300), ("first", 100), ("second", 200)):
        simulation.store.add_job("tiny", kind, order.id, begun + 1000 * seconds)
    simulation.advance(250)
    early = stored(simulation).status
    simulation.advance(100)

    history = stored(simulation).history
    assert early == "second"
    assert [change["status"] for change in history] == ["open", "first", "second", "third"]
    assert [round((change["at"] - begun) / 1000) for change in history] == [0, 100, 200, 300]


def test_due_things_happen_by_themselves_once_started(simulation: Simulation) -> None:
    order = place(simulation)
    simulation.start()
    simulation.store.add_job("tiny", "late", order.id, simulation.clock.now() + 50)
    simulation.wake()

    deadline = time.monotonic() + 5
    while stored(simulation).status != "late" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stored(simulation).status == "late"


def test_a_webhook_is_tried_until_the_schedule_ends(simulation: Simulation) -> None:
    order = place(simulation)
    with simulation.store.write():
        simulation.simulators["tiny"].happen(order, "pay", {})
    simulation.advance(100)

    [webhook] = simulation.webhooks.listing("tiny", order.id)
    assert webhook["state"] == "given_up"
    assert [attempt["error"] for attempt in webhook["attempts"]] == ["ConnectionError"] * 3


def test_a_webhook_in_flight_at_a_kill_is_sent_after_the_restart(tmp_path: Path, simulation: Simulation) -> None:
    order = place(simulation)
    with simulation.store.write() as db:
        simulation.simulators["tiny"].happen(order, "pay", {})
        db.execute("UPDATE webhooks SET state = 'sending'")

    again = Simulation(tmp_path / "state.sqlite3")
    states = [webhook["state"] for webhook in again.webhooks.listing("tiny")]
    again.stop()

    assert states == ["waiting"]


# --- store ---------------------------------------------------------------------------------------------------------


def test_a_write_is_kept_whole_or_not_at_all(simulation: Simulation) -> None:
    order = place(simulation)

    def break_off() -> None:
        with simulation.store.write():
            simulation.store.post(order, "charge", 500, "USD", 1)
            with simulation.store.write():
                simulation.store.post(order, "charge", 500, "USD", 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()

    assert simulation.store.rows("SELECT * FROM ledger") == []


def test_numbers_rise_even_when_the_floor_falls(simulation: Simulation) -> None:
    numbers = [simulation.store.rising("n", floor) for floor in (10, 5, 5, 20, 0)]

    assert numbers == [10, 11, 12, 20, 21]


def test_a_reset_leaves_the_default_accounts_alone(simulation: Simulation) -> None:
    place(simulation)
    simulation.advance(60)
    simulation.dials["tiny"].turn("http_500")
    simulation.reset()

    assert simulation.store.count_orders("tiny") == 0
    assert simulation.clock.offset_ms == 0
    assert simulation.dials["tiny"].settings() == []
    assert [account.id for account in simulation.store.accounts("tiny")] == ["shop"]


# --- dials ---------------------------------------------------------------------------------------------------------


def test_a_provider_adds_dials_and_leaves_some_out(simulation: Simulation) -> None:
    catalogue = simulation.dials["tiny"].catalogue

    assert "tiny_fault" in catalogue
    assert "paid_differs" not in catalogue


def test_the_narrower_setting_wins_and_the_next_calls_use_it_up(simulation: Simulation) -> None:
    dials = simulation.dials["tiny"]
    dials.turn("slow_answer", 1)
    dials.turn("slow_answer", 9, reference="r", next_calls=1)

    assert dials.claim("pay", "other").now == {"slow_answer": 1}
    assert dials.claim("ask", "r").now == {}
    assert dials.claim("pay", "r").now == {"slow_answer": 9}
    assert dials.claim("pay", "r").now == {"slow_answer": 1}


def test_an_order_keeps_what_came_by_magic_or_for_the_next_calls(simulation: Simulation) -> None:
    dials = simulation.dials["tiny"]
    dials.turn("webhook_delay", True)
    dials.turn("webhook_forged", next_calls=1)

    claim = dials.claim("pay", "r", 77_753)

    assert claim.kept == {"webhook_drop": True, "webhook_forged": True}
    assert claim.now == claim.kept | {"webhook_delay": 60}


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("unknown", None, {}),
        ("http_500", None, {"operation": "refund"}),
        ("http_500", None, {"next_calls": 0}),
        ("slow_answer", "long", {}),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    simulation: Simulation, name: str, value: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        simulation.dials["tiny"].turn(name, value, **options)


# --- pages and protection ------------------------------------------------------------------------------------------


def test_the_panel_shows_and_changes_things_without_script(simulation: Simulation) -> None:
    client = create_app(simulation).test_client()
    order = place(simulation)
    here = f"/panel/tiny/orders/{order.id}"

    paid = client.post(f"{here}/events", data={"event": "pay", "back": here})
    client.post(f"{here}/resend", data={"back": here})
    client.post("/panel/tiny/dials", data={"name": "slow_answer", "value": "2.5", "next": "3", "reference": ""})
    client.post("/panel/clock", data={"seconds": "90"})

    assert (paid.status_code, paid.headers["Location"]) == (303, here)
    assert stored(simulation).status == "paid"
    assert simulation.dials["tiny"].settings()[0] | {"id": 1} == {
        "id": 1, "name": "slow_answer", "value": 2.5, "operation": "pay", "reference": None, "next": 3,
    }  # fmt: skip
    for path in ("/", here, *(f"/panel/tiny/{page}" for page in ("dials", "cards", "calls", "accounts"))):
        page = client.get(path)
        assert page.status_code == 200, path
        assert "<strong>Simulator.</strong> No real money" in page.text
        assert "<script" not in page.text
        assert " style=" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "ConnectionError" in client.get(here).text
    assert "1 min 30 s ahead" in client.get("/").text
    setting = simulation.dials["tiny"].settings()[0]["id"]
    client.post("/panel/tiny/dials/clear", data={"id": setting})
    assert simulation.dials["tiny"].settings() == []


def test_mistakes_are_explained(simulation: Simulation) -> None:
    client = create_app(simulation).test_client()

    assert client.post("/panel/clock", data={"seconds": "-5"}).status_code == 400
    assert "forward only" in client.post("/panel/clock", data={"seconds": "-5"}).text
    assert client.post("/_sim/clock", json={"advance_seconds": "x"}).json == {
        "error": "advance_seconds must be a number"
    }
    assert client.post("/_sim/tiny/dials", data="[]").json == {"error": "the body must be a JSON object"}
    assert client.get("/_sim/tiny/orders/none").status_code == 404
    assert client.get("/panel/none/dials").status_code == 404
    assert client.get("/tiny/none").text == "tiny error"
    assert client.get("/none").status_code == 404


def test_other_sites_cannot_press_the_buttons(simulation: Simulation) -> None:
    client = create_app(simulation).test_client()

    assert client.post("/panel/reset", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/panel/reset", headers={"Origin": "null"}).status_code == 403
    assert client.post("/panel/reset", headers={"Origin": "http://localhost"}).status_code == 303
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"Host": "127.0.0.1:8001"}).status_code == 200


def test_going_back_stays_here(simulation: Simulation) -> None:
    app = create_app(simulation)
    for page, goal in (("/panel/x", "/panel/x"), ("//evil.example", "/"), ("/\\evil", "/"), ("http://evil", "/")):
        with app.test_request_context(method="POST", data={"back": page}):
            assert back().headers["Location"] == goal


def test_a_typed_value_is_json_or_text() -> None:
    assert [read_value(text) for text in ("", "2", "0.5", "true", "20051x", '"a"')] == [
        None,
        2,
        0.5,
        True,
        "20051x",
        "a",
    ]
    with pytest.raises(Refused):
        read_value("[1]")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("shop.localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, is_ours: bool) -> None:
    assert is_loopback(host) == is_ours


def test_serving_elsewhere_is_refused(simulation: Simulation) -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        make_simulation_server(simulation, "0.0.0.0", 0)


# --- discovery and tables ------------------------------------------------------------------------------------------


def test_every_simulator_folder_is_found_and_mounted(tmp_path: Path) -> None:
    folders = {path.parent.name for path in (ROOT / "providers").glob("*/simulator.py")}
    with serving(tmp_path / "state.sqlite3") as (simulation, url):
        tables = requests.get(f"{url}/_sim/test-cards", timeout=10).json()

        assert set(simulation.simulators) == folders == set(tables)
        assert "lesspay" in folders
        for slug in folders:
            assert simulation.simulators[slug].slug == slug


def test_the_tables_come_from_the_code(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path / "state.sqlite3")
    text = markdown(simulation)
    simulation.stop()

    assert "| `4242424242424242` | visa | 100 |" in text
    assert "| 777.53 USD | 77,753 JPY | 77.753 KWD | `webhook_drop` |" in text


# --- command line --------------------------------------------------------------------------------------------------


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "providers.simulation", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_cleanly_and_remembers(tmp_path: Path, ending: signal.Signals) -> None:
    state = tmp_path / "new" / "state.sqlite3"
    for _ in range(2):
        process = start("--port", "0", "--state", str(state))
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split(" at ")[1].strip()
        requests.post(f"{url}_sim/clock", json={"advance_seconds": 3600}, timeout=10)
        offset = requests.get(f"{url}_sim/clock", timeout=10).json()["offset_ms"]
        process.send_signal(ending)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")

    assert "Simulator (no real money)" in line
    assert offset >= 7_190_000


def test_the_command_refuses_a_public_address_and_prints_tables(tmp_path: Path) -> None:
    refused = start("--host", "0.0.0.0", "--state", str(tmp_path / "state.sqlite3"))
    printed = start("--tables")

    _, errors = refused.communicate(timeout=20)
    text, _ = printed.communicate(timeout=20)
    assert refused.returncode == 2
    assert "--allow-remote" in errors
    assert printed.returncode == 0
    assert "### Magic amounts" in text
