"""The README tells the truth: its commands exist, and its first payment works as printed."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client

from checkout.merchants.models import ApiKey
from checkout.orders import catalogue, gateway
from checkout.orders.models import Order
from providers.simulation.simulation import Simulation
from providers.simulation.tables import markdown
from tests.factories import a_merchant

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", README, re.MULTILINE))))
def test_each_make_target_exists(target):
    assert subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True).returncode == 0


def test_each_file_that_is_linked_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.django_db
def test_the_first_payment_works_as_printed():
    (block,) = re.findall(r"```sh\n(curl.*?)```", README, re.DOTALL)
    merchant = a_merchant()
    _, key = ApiKey.issue(merchant, "test", name="README")
    words = shlex.split(block.replace("\\\n", " ").replace("$PAYDESK_KEY", key))
    url = next(word for word in words if word.startswith("http"))
    headers = dict(word.split(": ", 1) for flag, word in itertools.pairwise(words) if flag == "-H")
    body = words[words.index("-d") + 1]

    answer = Client().post(urlsplit(url).path, body, content_type=headers.pop("Content-Type"), headers=headers)

    assert answer.status_code == 201
    assert answer.json()["url"].endswith(Order.objects.get().page_token)


def test_the_table_of_providers_is_the_generated_one(monkeypatch):
    ours = {slug: one for slug, one in gateway.catalogue().items() if (ROOT / "providers" / slug).is_dir()}
    monkeypatch.setattr(gateway, "catalogue", lambda: ours)
    section = README.split("## Providers")[1].split("\n## ")[0]

    assert catalogue.table() in section, "run bin/describe"


def test_the_tables_of_test_cards_are_the_simulators_own():
    simulation = Simulation(":memory:")
    generated = markdown(simulation)
    simulation.stop()

    document = (ROOT / "docs" / "test-cards.md").read_text()
    assert generated.strip() in document, "run bin/describe"
