"""`make demo` stands up by itself, sells something, and leaves no process behind. Seen from outside only."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, expect

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 120
"""A machine that does much else at the same time."""

# What somebody may have set for real work; a demonstration believes none of it.
STRANGE = {"DATABASE_URL": "postgres://nobody@127.0.0.1:9/none", "BASE_URL": "https://pay.example", "DEMO": "0"}


class Demo:
    """The command, started as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.simulator_port = free_port(), free_port()
        self.said = folder.parent / f"{folder.name}.said"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Demo:
        self.found.unlink(missing_ok=True)  # one from an earlier run says nothing about this one
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **STRANGE,
            "DEMO_FOLDER": str(self.folder),
            "PORT": str(self.port),
            "SIMULATOR_PORT": str(self.simulator_port),
        }
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def ready(self) -> Demo:
        assert self.process
        until(lambda: self.found.exists() or self.process.poll() is not None, seconds=READY_SECONDS)
        assert self.process.poll() is None, self.words
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code; nothing that it started is left."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def found(self) -> Path:
        return self.folder / "demo.json"

    @property
    def words(self) -> str:
        return self.said.read_text()

    def __getattr__(self, name: str) -> str:
        """What ``demo.json`` says."""
        if name.startswith("_") or not self.found.exists():
            raise AttributeError(name)
        return str(json.loads(self.found.read_text())[name])

    def order(self, **fields: Any) -> requests.Response:
        body = {
            "amount_minor": 1250,
            "currency": "EUR",
            "reference": "by-hand",
            "success_url": self.shop_url,
            "cancel_url": self.shop_url,
            **fields,
        }
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return browse().post(f"{self.base_url}/api/v1/orders", json=body, headers=headers, timeout=30)

    def parts(self) -> dict[int, str]:
        """The processes that have this demonstration's folder in their environment: id and command."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.folder).encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended, or is not ours to look at
                continue
        return found

    def is_over(self) -> bool:
        ports = [self.port, self.simulator_port]
        return not self.parts() and not any(is_taken(port) for port in ports)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One that runs."""
    demo = Demo(tmp_path_factory.mktemp("demo") / "data").start()
    try:
        yield demo.ready()
    finally:
        demo.end()


@pytest.fixture
def another(tmp_path) -> Iterator[Demo]:
    """One that a test may end as it likes."""
    another = Demo(tmp_path / "data")
    try:
        yield another
    finally:
        if another.process:
            another.end()


def test_everything_that_is_printed_answers(demo):
    printed = re.findall(r"http://127\.0\.0\.1:\d+\S*", demo.words)

    assert {demo.shop_url, demo.checkout_url, f"{demo.base_url}/admin/", f"{demo.simulator_url}/"} <= set(printed)
    for url in {demo.shop_url, demo.checkout_url, f"{demo.base_url}/admin/", f"{demo.simulator_url}/"}:
        assert browse().get(url, timeout=30).status_code == 200, url
    for secret in (demo.api_key, demo.admin_user, demo.admin_password):
        assert secret in demo.words


def test_it_is_ready_when_it_says_so(demo):
    ready = browse().get(f"{demo.base_url}/readyz", timeout=30).json()

    assert browse().get(f"{demo.base_url}/healthz", timeout=30).status_code == 200
    assert ready["checks"]["database"]
    assert ready["checks"]["migrations"]


def test_the_file_for_programs_holds_all_that_they_need(demo):
    found = json.loads(demo.found.read_text())

    assert {
        "base_url",
        "simulator_url",
        "api_key",
        "admin_user",
        "admin_password",
        "checkout_url",
        "shop_url",
    } == set(found)
    assert demo.found.stat().st_mode & 0o077 == 0


def test_the_printed_key_makes_orders(demo):
    answer = demo.order()

    assert answer.status_code == 201
    assert answer.json()["mode"] == "test"
    assert answer.json()["url"].startswith(demo.base_url)


def test_the_printed_login_opens_the_desk(demo):
    staff, login = browse(), f"{demo.base_url}/admin/login/?next=/admin/"
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', staff.get(login, timeout=30).text)
    assert token
    form = {"username": demo.admin_user, "password": demo.admin_password, "csrfmiddlewaretoken": token.group(1)}

    answer = staff.post(login, form, headers={"Origin": demo.base_url}, allow_redirects=False, timeout=30)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_the_shop_sells_by_the_api_and_hears_of_it(demo):
    answer = browse().post(f"{demo.shop_url}buy", {"product": "tea-bowl"}, allow_redirects=False, timeout=30)

    assert (answer.status_code, urlsplit(answer.headers["Location"]).path[:5]) == (303, "/pay/")
    assert "7,200" in browse().get(answer.headers["Location"], timeout=30).text
    until(lambda: "order.created" in browse().get(demo.shop_url, timeout=30).text)


@pytest.mark.parametrize(
    "headers", [{}, {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}]
)
def test_the_shop_believes_no_webhook_that_is_not_signed(demo, headers):
    forged = {"id": "evt_1", "type": "payment.succeeded", "sequence": 9, "data": {"order": {"reference": "FC-FORGED"}}}

    answer = browse().post(f"{demo.shop_url}webhooks", json=forged, headers=headers, timeout=30)

    assert answer.status_code == 401
    assert "FC-FORGED" not in browse().get(demo.shop_url, timeout=30).text


@pytest.mark.parametrize("path", ["", "basket?product=fern-mug", "thanks?order=FC-ABCDEF"])
def test_the_shops_pages_set_no_cookie_and_need_no_script(demo, path):
    answer = browse().get(f"{demo.shop_url}{path}", timeout=30)

    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", answer.text)


def test_a_purchase_leads_from_the_shop_through_the_checkout_to_the_thanks(demo, page: Page):
    page.goto(demo.shop_url)
    page.get_by_role("button", name="Buy Fern mug").click()
    page.get_by_label("Card number").fill("4242424242424242")
    page.get_by_label("Expiry date").fill("12/40")
    page.get_by_label("Security code").fill("100")
    page.get_by_label("Name on card").fill("A Shopper")
    page.get_by_role("button", name=re.compile(r"^Pay\s\S*\d")).click()

    page.get_by_role("button", name="Approve").click(timeout=30_000)
    expect(page.get_by_role("heading", name="Payment complete")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Go back to Fern & Clay").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=30_000)
    page.goto(demo.shop_url)
    expect(page.get_by_text("payment.succeeded").first).to_be_visible(timeout=30_000)


def test_who_leaves_the_checkout_finds_the_basket_as_it_was(demo, page: Page):
    page.goto(demo.shop_url)
    page.get_by_role("button", name="Buy Bud vase").click()
    page.wait_for_url(f"{demo.base_url}/pay/*")

    page.goto(f"{demo.shop_url}basket?product=bud-vase")

    expect(page.get_by_role("heading", name="Bud vase")).to_be_visible()
    page.get_by_role("button", name="Go to payment").click()
    page.wait_for_url(f"{demo.base_url}/pay/*")


def test_it_ends_whole_and_finds_everything_again(another):
    another.start().ready()
    first = json.loads(another.found.read_text())
    order = another.order().json()
    assert len(another.parts()) >= 4

    assert another.end(signal.SIGINT) == 0
    until(another.is_over)
    another.start().ready()

    again = json.loads(another.found.read_text())
    key = {"Authorization": f"Bearer {again['api_key']}"}
    read = browse().get(f"{another.base_url}/api/v1/orders/{order['id']}", headers=key, timeout=30)
    assert {**again, "checkout_url": ""} == {**first, "checkout_url": ""}
    assert read.json()["reference"] == "by-hand"
    assert another.end(signal.SIGTERM) == 0
    until(another.is_over)


def test_when_one_part_dies_the_others_end_and_the_command_fails(another):
    another.start().ready()
    (worker,) = [pid for pid, command in another.parts().items() if "manage.py work" in command]

    os.kill(worker, signal.SIGKILL)

    assert another.process.wait(60) != 0
    assert "worker ended" in another.words
    until(another.is_over)


def test_ctrl_c_while_it_starts_ends_it_too(another):
    another.start()
    until(lambda: len(another.parts()) > 1, seconds=READY_SECONDS)

    another.end(signal.SIGINT)

    until(another.is_over)
    assert "Traceback" not in another.words


@pytest.mark.parametrize("name", ["port", "simulator_port"])
def test_a_port_in_use_is_said_in_a_sentence(another, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        setattr(another, name, taken.getsockname()[1])
        code = another.start().process.wait(60)

        assert code != 0
        assert f"Port {getattr(another, name)}" in another.words
        assert f"{name.upper()}=" in another.words
    assert "Traceback" not in another.words
    assert not another.parts()


# -------------------------------------------------------------------------------------------------------------- tools


def browse() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def until(holds: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
