"""API v1: thin, typed, and never HTML."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation

from checkout.api import cards, endpoints, events, me, money, orders, parcels, problems, reading
from checkout.api.bodies import Strict
from checkout.api.document import document
from checkout.api.problems import Problem
from checkout.logs import mask_text
from checkout.orders.creation import InvalidOrder
from checkout.orders.intents import NotAllowed
from checkout.orders.shipping import InvalidShipment


class Api(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        """``orders_create``: part of what programs are generated from, so it names no folder of ours."""
        return f"{operation.view_func.__module__.rpartition('.')[2]}_{operation.view_func.__name__}"


api = Api(
    title="Paydesk API",
    version="1",
    description="Orders to be paid. Amounts are whole numbers of minor units: 12.50 euro are 1250. Times are UTC.",
    docs_url=None,
    openapi_url=None,  # ours below answers GET only
    parser=Strict(),
    urls_namespace="api",
)


@api.get("/openapi.json", include_in_schema=False)
def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(document(api))


@api.get("/docs", include_in_schema=False)
def docs(request: HttpRequest) -> HttpResponse:
    """The same description as a page, for people."""
    described = document(api)
    context = {
        "title": described["info"]["title"],
        "description": described["info"]["description"],
        "file": request.path.removesuffix("docs") + "openapi.json",
        "chapters": reading.chapters(described),
        "shapes": reading.shapes(described),
    }
    return HttpResponse(render_to_string("api/docs.html", context))


for name, one in {
    "Orders": orders.router,
    "Payments": money.router,
    "Parcels": parcels.router,
    "Saved cards": cards.router,
    "Events": events.router,
    "Endpoints": endpoints.router,
    "You": me.router,
}.items():
    api.add_router("", one, tags=[name])


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
        # Names of fields may be the merchant's, and may be anything.
        {"field": mask_text(".".join(str(part) for part in _place(one["loc"]))), "detail": one["msg"]}
        for one in error.errors
    ]
    if all(one["loc"][:1] == ("path",) for one in error.errors):
        return problems.answer(request, Problem(404, "not_found", "There is nothing at this address."))
    first = details[0]
    return problems.answer(
        request, Problem(422, "invalid_field", first["detail"], field=first["field"], errors=details)
    )


def _place(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Without what is the framework's: where it looked, and the name that our view has for all of it, if it tells."""
    return loc[2:] if loc[:2] in {("body", "body"), ("query", "question")} else loc[1:]


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
