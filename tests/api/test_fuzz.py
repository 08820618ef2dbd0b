"""The API against its own description: whatever a program sends, the answer is one that the document announces."""

from __future__ import annotations

import itertools

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from checkout.events import wire
from checkout.merchants.models import Merchant
from checkout.wsgi import application
from tests.api.described import DOCUMENT, rows_of
from tests.api.test_orders import Api
from tests.conftest import IN_CI
from tests.factories import a_merchant

pytestmark = pytest.mark.django_db(transaction=True)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.app = application


@pytest.fixture
def merchant() -> Merchant:
    return a_merchant()


@pytest.fixture
def key(merchant) -> str:
    return Api(merchant).key


@pytest.fixture
def own(merchant) -> itertools.cycle[dict[str, str]]:
    """In turns what was thought up, and rows that are there, so that more than a 404 is seen."""
    rows = rows_of(merchant, "test")
    return itertools.cycle([{}, rows, rows])


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch, settings):
    """A ping would wait for names that do not resolve here; what it says about that is tested with the endpoints."""
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.API_READS_PER_MINUTE = settings.API_WRITES_PER_MINUTE = 0
    monkeypatch.setattr(wire, "_session", lambda: (_ for _ in ()).throw(wire.AddressRefused("nobody listens")))


@schema.parametrize()
@settings(
    max_examples=60 if IN_CI else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_no_answer_surprises(case, key, own):
    case.path_parameters.update({name: value for name, value in next(own).items() if name in case.path_parameters})

    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)
