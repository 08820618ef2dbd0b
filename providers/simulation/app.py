"""The one WSGI application: every provider under ``/<slug>/``, the operator's JSON under ``/_sim/``, pages at ``/``."""

from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from providers.simulation import operator_api, panel
from providers.simulation.provider import Refused
from providers.simulation.simulation import Simulation
from providers.simulation.webhooks import is_loopback

BODY_LIMIT = 1024 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# No form-action: browsers apply it to redirects too, and the cashier redirects to the merchant after a form.
CONTENT_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"


def create_app(simulation: Simulation) -> Flask:
    app = Flask("providers.simulation", static_folder="static", static_url_path="/_static")
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(operator_api.blueprint(simulation), url_prefix="/_sim")
    app.register_blueprint(panel.blueprint(simulation))
    for slug, simulator in simulation.simulators.items():
        app.register_blueprint(simulator.blueprint(), url_prefix=f"/{slug}")

    @app.before_request
    def guard() -> None:
        """Keep other sites and rebound names away: a page on the web must not press this panel's buttons."""
        host = urlsplit(f"//{request.host}").hostname or ""
        if not simulation.allow_remote and not is_loopback(host):
            abort(403, "This simulator answers on loopback names only.")
        origin = request.headers.get("Origin")
        own = {request.host, urlsplit(simulation.public_url).netloc} - {""}
        foreign = origin and urlsplit(origin).netloc not in own
        if foreign and request.method not in SAFE_METHODS and not _is_landing(simulation, request.path):
            abort(403, "This form was sent from another site.")

    @app.after_request
    def protect(answer: Response) -> Response:
        if answer.mimetype == "text/html":
            answer.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer

    @app.errorhandler(Refused)
    def refused(refusal: Refused) -> tuple[Response | str, int]:
        if request.path.startswith("/_sim/"):
            return jsonify(error=str(refusal)), 400
        return render_template("simulation/message.html", title="That is not possible", text=str(refusal)), 400

    @app.errorhandler(HTTPException)
    def failed(failure: HTTPException) -> Response | tuple[Response | str, int]:
        status, text = failure.code or 500, failure.description or ""
        if request.path.startswith("/_sim/"):
            return jsonify(error=text), status
        slug = request.path.split("/", 2)[1]
        if slug in simulation.simulators:
            return simulation.simulators[slug].http_error(request.path, status, text)
        return render_template("simulation/message.html", title=failure.name, text=text), status

    return app


def _is_landing(simulation: Simulation, path: str) -> bool:
    slug, _, rest = path.lstrip("/").partition("/")
    return slug in simulation.simulators and rest.split("/", 1)[0] in simulation.simulators[slug].landings
