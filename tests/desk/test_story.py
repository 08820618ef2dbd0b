"""The timeline has words for whatever the core writes down."""

from __future__ import annotations

import re
from pathlib import Path

from checkout.desk.story import WHAT, why
from checkout.orders.models import upload_reference
from checkout.orders.timeline import PUBLIC

ORDERS = Path(__file__).resolve().parents[2] / "checkout" / "orders"
EVENT = re.compile(r'"((?:order|payment|policy|dispute|shipment|tracking|review|fraud)\.[a-z_]+)"')


def test_every_event_has_words():
    written = {name for path in ORDERS.glob("*.py") for name in EVENT.findall(path.read_text())}
    assert len(written) > 15
    assert (written | PUBLIC) - set(WHAT) == set()


def test_our_long_references_are_cut_in_sentences():
    reference = upload_reference()
    assert why(f"answer to {reference}", {}) == f"answer to {reference[:6]}…"
