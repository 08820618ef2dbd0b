"""What a newcomer types first works, and says what is missing when it cannot."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import NetworkUsed

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clone(tmp_path) -> Path:
    """The tools and locks of this project in an empty folder, with an environment that passes for a built one."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment})


def checksum(path: Path) -> str:
    return run("cksum", path.name, cwd=path.parent).stdout


def test_help_lists_every_target():
    listed = run("make", "help", cwd=ROOT).stdout

    for target in ("demo", "test", "check", "bench"):
        assert f"make {target}" in listed


def test_a_built_environment_is_left_alone(clone):
    (clone / ".venv" / ".built-from").write_text(checksum(clone / "requirements.txt"))

    built = run("bin/venv", "requirements.txt", cwd=clone)

    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")


def test_a_changed_lock_is_installed_by_hash(clone):
    (clone / ".venv" / ".built-from").write_text(checksum(clone / "requirements.txt"))
    (clone / "requirements.txt").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    (clone / "uv").write_text("#!/bin/sh\nexit 1\n")
    (clone / ".venv" / "bin" / "python").unlink()
    (clone / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$@" >>asked\n')
    for script in (clone / "uv", clone / ".venv" / "bin" / "python"):
        script.chmod(0o755)

    built = run("bin/venv", "requirements.txt", cwd=clone, PATH=f"{clone}:{os.environ['PATH']}")

    assert built.returncode == 0
    assert re.search(r"pip install .*--require-hashes .*requirements\.txt", (clone / "asked").read_text())
    assert (clone / ".venv" / ".built-from").read_text() == checksum(clone / "requirements.txt")


def test_the_development_lock_serves_the_demo_too(clone):
    stamp = checksum(clone / "requirements-dev.txt") + checksum(clone / "requirements.txt")
    (clone / ".venv" / ".built-from").write_text(stamp)

    assert run("bin/venv", "requirements.txt", cwd=clone).stderr == ""
    assert run("bin/venv", "requirements-dev.txt", cwd=clone).stderr == ""


def test_bench_says_when_there_is_nothing_to_measure(clone):
    assert "nothing was measured" in run("make", "bench", cwd=clone).stderr


def test_a_named_browser_is_used(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)

    assert run("bin/chromium", cwd=ROOT, CHROMIUM=str(browser)).stdout.strip() == str(browser)


def test_a_missing_browser_is_explained(tmp_path):
    for tool in ("sh", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")

    missing = run("bin/chromium", cwd=ROOT, CHROMIUM="", PATH=str(tmp_path))

    assert missing.returncode == 1
    assert "apt-get install chromium" in missing.stderr
    assert "CHROMIUM=" in missing.stderr


# --------------------------------------------------------------------------------------------------------------- locks


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_pins_by_hash_and_names_no_index(lock):
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())

    assert all(re.match(r"[a-z0-9-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_the_locks_agree_with_each_other_and_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")

    assert runtime.items() <= development.items()
    for lock, wanted in ((runtime, project["dependencies"]), (development, project["optional-dependencies"]["dev"])):
        for requirement in wanted:
            assert re.split(r"[\[<>=]", requirement)[0].lower() in lock


# ------------------------------------------------------------------------------------------------------------- network


def test_tests_do_not_leave_this_machine():
    with socket.socket() as outside, pytest.raises(NetworkUsed):
        outside.connect(("192.0.2.1", 80))

    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 443)


def test_the_loopback_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_the_browser_opens_a_page(page, live_server):
    answer = page.goto(f"{live_server.url}/healthz")

    assert answer is not None
    assert answer.json() == {"status": "ok"}
