"""API v1: thin, typed, and never HTML."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from checkout.api import idempotency, problems
from checkout.api.answers import IDEMPOTENCY_KEY, OrderAnswer, described_as_problems, refusals
from checkout.api.bodies import OrderBody, StrictJson
from checkout.api.problems import Problem
from checkout.logs import mask_text
from checkout.merchants.models import ApiKey, Scope
from checkout.orders import operations
from checkout.orders.creation import InvalidOrder, create_order
from checkout.orders.intents import NotAllowed
from checkout.orders.models import Order
from checkout.orders.presentation import order_object

USED_EVERY = timedelta(minutes=1)
"""How exactly a key's last use is kept."""


class BearerKey(HttpBearer):
    """``Authorization: Bearer sk_test_…``; merchant and mode come from the key and from nowhere else."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> ApiKey | None:
        key = ApiKey.find(token)
        if key is None:
            return None
        if self.scope not in key.scopes:
            raise Problem(403, "missing_scope", f"This key lacks the scope {self.scope}.")
        now = timezone.now()
        if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
            ip = request.META.get("REMOTE_ADDR") or None
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_ip=ip)
        return key


api = NinjaAPI(
    title="Paydesk API",
    version="1",
    description="Orders to be paid. Amounts are whole numbers of minor units.",
    docs_url=None,
    openapi_url=None,  # ours below answers GET only
    parser=StrictJson(),
    urls_namespace="api",
)


@api.get("/openapi.json", include_in_schema=False)
def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(described_as_problems(api.get_openapi_schema()))


@api.post(
    "/orders",
    summary="Create an order",
    auth=BearerKey(Scope.ORDERS),
    response={201: OrderAnswer, **refusals(400, 401, 403, 409, 413, 415, 422)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def create(request: HttpRequest, body: OrderBody) -> HttpResponse:
    """Save an order and answer with the URL where it is paid. No provider is called."""
    key = _key(request)

    def act() -> HttpResponse:
        fields = body.model_dump(exclude={"customer", "billing", "shipping"})
        people = {
            name: given.model_dump()
            for name in ("customer", "billing", "shipping")
            if (given := getattr(body, name)) is not None
        }
        order = create_order(key.merchant, key.mode, **fields, **people, actor=f"key:{key.prefix}")
        return JsonResponse(order_object(order), status=201)

    return idempotency.once(request, key, act)


@api.get(
    "/orders/{order_id}",
    summary="Read an order",
    auth=BearerKey(Scope.READ),
    response={200: OrderAnswer, **refusals(401, 403, 404)},
)
def read(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The order as it is committed now."""
    return JsonResponse(order_object(_order(_key(request), order_id)))


@api.post(
    "/orders/{order_id}/cancel",
    summary="Cancel an order",
    auth=BearerKey(Scope.ORDERS),
    response={200: OrderAnswer, **refusals(400, 401, 403, 404, 409, 413)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def cancel(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """No longer to be paid; held money is let go. Cancelling twice is as good as once."""
    key = _key(request)
    order = _order(key, order_id)

    def act() -> HttpResponse:
        try:
            cancelled = operations.cancel_order(order, actor=f"key:{key.prefix}")
        except NotAllowed as error:
            raise Problem(409, error.code, str(error)) from None
        return JsonResponse(order_object(cancelled))

    return idempotency.once_outside(request, key, act)


def _key(request: HttpRequest) -> ApiKey:
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    return key


def _order(key: ApiKey, order_id: UUID) -> Order:
    """Somebody else's order, one of the other mode and one that never was are the same 404."""
    order = Order.objects.of(key.merchant, key.mode).filter(public_id=order_id).select_related("merchant").first()
    if order is None:
        raise Problem(404, "not_found", "There is no such order.")
    return order


# -------------------------------------------------------------------------------------------------------------- errors


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return problems.answer(request, error)


@api.exception_handler(InvalidOrder)
def _invalid(request: HttpRequest, error: InvalidOrder) -> HttpResponse:
    details = [{"field": error.field, "detail": str(error)}]
    return problems.answer(request, Problem(422, "invalid_field", str(error), field=error.field, errors=details))


@api.exception_handler(ValidationError)
def _invalid_fields(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """All wrong fields at once; the first one is named on top. What was sent is not repeated."""
    details = [
        # The first two parts of a place are the framework's: where it looked, and the parameter's name.
        # Names of fields may be the merchant's, and may be anything.
        {"field": mask_text(".".join(str(part) for part in one["loc"][2:])), "detail": one["msg"]}
        for one in error.errors
    ]
    if all(one["loc"][:1] == ("path",) for one in error.errors):
        return problems.answer(request, Problem(404, "not_found", "There is no such order."))
    first = details[0]
    return problems.answer(
        request, Problem(422, "invalid_field", first["detail"], field=first["field"], errors=details)
    )


@api.exception_handler(AuthenticationError)
def _unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    problem = Problem(
        401, "invalid_key", "Send a valid API key.", headers={"WWW-Authenticate": 'Bearer realm="Paydesk"'}
    )
    return problems.answer(request, problem)


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__context__, Problem):  # the framework wraps whatever a parser raises
        return problems.answer(request, error.__context__)
    return problems.answer(request, Problem(error.status_code, "bad_request", str(error)))


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problems.answer(request, Problem(404, "not_found", "There is nothing at this address."))
