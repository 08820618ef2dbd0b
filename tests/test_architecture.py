"""Rules of the whole tree that no single test would notice being broken."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.template import engines

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = sorted(path for path in (ROOT / "checkout").rglob("*.py") if "migrations" not in path.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PAGES = [path for path in TEMPLATES if "mail" not in path.parts]  # mail readers know nothing but inline styles
PROVIDERS = {"antom", "lesspay", "lianlian", "storesquare"} | {
    path.parent.name for path in (ROOT / "providers").glob("*/provider.py") if path.parent.name != "simulation"
}

INLINE = {
    "script": re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=.application/json)", re.IGNORECASE),
    "style element": re.compile(r"<style", re.IGNORECASE),
    "style attribute": re.compile(r"<[a-z][^>]*\sstyle\s*=", re.IGNORECASE),
    "handler": re.compile(r"<[a-z][^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "htmx script": re.compile(r"\shx-on|hx-(?:vals|headers|vars)\s*=\s*.js:", re.IGNORECASE),
    "javascript: URL": re.compile(r"=\s*[\"']?javascript:", re.IGNORECASE),
}
UNESCAPED = re.compile(r"\|\s*safe\b|autoescape\s+off")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 0, run.stdout


def test_the_checkout_names_no_provider():
    name = re.compile("|".join(sorted(PROVIDERS)), re.IGNORECASE)
    sources = [*CHECKOUT, *TEMPLATES, *(ROOT / "static" / "js").glob("*.js")]

    assert not [f"{relative(path)}: {found}" for path in sources for found in name.findall(path.read_text())]


def test_only_transitions_writes_a_status():
    written = [
        f"{relative(path)}:{line}"
        for path in CHECKOUT
        if path.relative_to(ROOT / "checkout") != Path("orders/transitions.py")
        for line in status_writes(path.read_text())
    ]

    assert not written


@pytest.mark.parametrize(
    "source",
    [
        "payment.status = 'captured'",
        "payment.status: str = 'captured'",
        "payment.status, other = 'captured', 1",
        "Payment.objects.filter(pk=1).update(status='captured')",
        "Payment.objects.update(**{'status': 'captured'})",
        "setattr(payment, 'status', 'captured')",
        "Payment.objects.bulk_update(rows, ['status'])",
    ],
)
def test_a_write_to_a_status_is_seen(source):
    assert list(status_writes(source)) == [1]


@pytest.mark.parametrize("source", ["if payment.status == 'x': pass", "rows.filter(status='x')", "Reply(status=200)"])
def test_reading_a_status_is_no_write(source):
    assert not list(status_writes(source))


def status_writes(source: str) -> list[int]:
    """Lines that assign to a ``status`` attribute or update a ``status`` column."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if _writes_status(node)]


def _writes_status(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="status", ctx=ast.Store()):
            return True
        case ast.Call(func=ast.Attribute(attr="update"), keywords=keywords):
            return any(_names_status(keyword) for keyword in keywords)
        case ast.Call(func=ast.Attribute(attr="bulk_update"), args=args):
            return any(_is_status(inner) for arg in args for inner in ast.walk(arg))
        case ast.Call(func=ast.Name(id="setattr"), args=[_, name, _]):
            return _is_status(name)
    return False


def _names_status(keyword: ast.keyword) -> bool:
    unpacked = isinstance(keyword.value, ast.Dict) and any(key and _is_status(key) for key in keyword.value.keys)
    return keyword.arg == "status" or (keyword.arg is None and unpacked)


def _is_status(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "status"


def test_there_are_templates_to_look_at():
    assert TEMPLATES


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_every_template_compiles(path):
    engines["django"].get_template(str(path.relative_to(ROOT / "templates")))


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_page_has_nothing_inline(path):
    source = path.read_text()

    assert not [what for what, pattern in INLINE.items() if pattern.search(source)]


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_escapes_everything(path):
    assert not UNESCAPED.findall(path.read_text())
