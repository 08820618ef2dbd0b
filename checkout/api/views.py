"""API v1: thin, typed, and never HTML."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from checkout.api import cards, idempotency, money, parcels, problems
from checkout.api.access import BearerKey, actor_of, find, key_of
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
from checkout.orders.shipping import InvalidShipment

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
    key = key_of(request)

    def act() -> HttpResponse:
        fields = body.model_dump(exclude={"customer", "billing", "shipping"})
        people = {
            name: given.model_dump()
            for name in ("customer", "billing", "shipping")
            if (given := getattr(body, name)) is not None
        }
        order = create_order(key.merchant, key.mode, **fields, **people, actor=actor_of(key))
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
    return JsonResponse(order_object(_order(key_of(request), order_id)))


@api.post(
    "/orders/{order_id}/cancel",
    summary="Cancel an order",
    auth=BearerKey(Scope.ORDERS),
    response={200: OrderAnswer, **refusals(400, 401, 403, 404, 409, 413)},
    openapi_extra=IDEMPOTENCY_KEY,
)
def cancel(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """No longer to be paid; held money is let go. Cancelling twice is as good as once."""
    key = key_of(request)
    order = _order(key, order_id)

    def act() -> HttpResponse:
        return JsonResponse(order_object(operations.cancel_order(order, actor=actor_of(key))))

    return idempotency.once_outside(request, key, act)


def _order(key: ApiKey, order_id: UUID) -> Order:
    return find(Order.objects.select_related("merchant"), key, order_id, "order")


for one in (money.router, parcels.router, cards.router):
    api.add_router("", one)


# -------------------------------------------------------------------------------------------------------------- errors


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return problems.answer(request, error)


@api.exception_handler(NotAllowed)
def _not_allowed(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    """What state or provider forbid now; what could be asked for instead stands in the order's ``actions``."""
    return problems.answer(request, Problem(409, error.code, str(error)))


@api.exception_handler(InvalidShipment)
@api.exception_handler(InvalidOrder)
def _invalid(request: HttpRequest, error: InvalidOrder | InvalidShipment) -> HttpResponse:
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
