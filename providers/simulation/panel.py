"""The operator's pages: the same as the JSON API, for people. Plain forms, no script."""

import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from providers.simulation.amounts import shown
from providers.simulation.dials import magic_rows
from providers.simulation.operator_api import calls, find_order, happen, ledger, read_seconds
from providers.simulation.provider import ProviderSimulator, Refused
from providers.simulation.simulation import Simulation

JUMPS = ((60, "1 min"), (300, "5 min"), (1_800, "30 min"), (3_600, "1 h"), (86_400, "1 day"), (604_800, "7 days"))
ORDERS_SHOWN = 25


def blueprint(simulation: Simulation) -> Blueprint:
    routes = Blueprint("panel", __name__)

    @routes.app_template_filter("moment")
    def moment(epoch_ms: int) -> str:
        return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

    @routes.app_template_filter("span")
    def span(length_ms: int) -> str:
        """The two largest units, e.g. ``2 d 3 h``."""
        seconds = round(length_ms / 1000)
        parts = [
            (seconds // 86_400, "d"),
            (seconds // 3600 % 24, "h"),
            (seconds // 60 % 60, "min"),
            (seconds % 60, "s"),
        ]
        return " ".join([f"{count} {unit}" for count, unit in parts if count][:2]) or "0 s"

    @routes.app_template_filter("amount")
    def amount(minor: int, currency: str) -> str:
        return shown(minor, currency)

    @routes.app_template_filter("pretty")
    def pretty(text: str) -> str:
        try:
            return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        except ValueError:
            return text

    @routes.app_context_processor
    def common() -> dict[str, Any]:
        return {
            "simulators": simulation.simulators,
            "now": simulation.clock.now(),
            "offset_ms": simulation.clock.offset_ms,
            "jumps": JUMPS,
        }

    def simulator_or_404(slug: str) -> ProviderSimulator:
        return simulation.simulators.get(slug) or abort(404, f"no provider {slug}")

    @routes.get("/")
    def overview() -> str:
        providers = [_summary(simulation, simulator) for simulator in simulation.simulators.values()]
        return render_template("simulation/overview.html", providers=providers)

    @routes.post("/panel/clock")
    def jump() -> Redirect:
        simulation.advance(read_seconds(request.form.get("seconds", "")))
        return back()

    @routes.post("/panel/reset")
    def reset() -> Redirect:
        simulation.reset()
        return redirect("/", 303)

    @routes.get("/panel/<slug>/orders/<id>")
    def order(slug: str, id: str) -> str:
        simulator, found = simulator_or_404(slug), find_order(simulation, slug, id)
        return render_template(
            "simulation/order.html", simulator=simulator, order=found, words=simulator.words(found),
            webhooks=simulation.webhooks.listing(slug, found.id), entries=ledger(simulation, slug, found.id),
            faults=simulation.dials[slug].of(found),
        )  # fmt: skip

    @routes.post("/panel/<slug>/orders/<id>/events")
    def raise_event(slug: str, id: str) -> Redirect:
        simulator_or_404(slug)
        members = {name: value for name, value in request.form.items() if name not in {"event", "back"} and value}
        happen(simulation, slug, id, request.form.get("event", ""), members)
        return back()

    @routes.post("/panel/<slug>/orders/<id>/resend")
    def resend(slug: str, id: str) -> Redirect:
        simulator_or_404(slug)
        simulation.webhooks.resend(find_order(simulation, slug, id), request.form.get("webhook", type=int))
        simulation.settle()
        return back()

    @routes.get("/panel/<slug>/dials")
    def list_dials(slug: str) -> str:
        dials = simulation.dials[simulator_or_404(slug).slug]
        return render_template(
            "simulation/dials.html", simulator=simulator_or_404(slug), catalogue=dials.catalogue.values(),
            settings=dials.settings(),
        )  # fmt: skip

    @routes.post("/panel/<slug>/dials")
    def turn_dial(slug: str) -> Redirect:
        form = request.form
        simulation.dials[simulator_or_404(slug).slug].turn(
            form.get("name", ""), read_value(form.get("value", "")), reference=form.get("reference") or None,
            next_calls=form.get("next", type=int), operation=form.get("operation") or None,
        )  # fmt: skip
        return back()

    @routes.post("/panel/<slug>/dials/clear")
    def clear_dials(slug: str) -> Redirect:
        simulation.dials[simulator_or_404(slug).slug].clear(request.form.get("id", type=int))
        return back()

    @routes.get("/panel/<slug>/calls")
    def list_calls(slug: str) -> str:
        simulator = simulator_or_404(slug)
        return render_template("simulation/calls.html", simulator=simulator, calls=calls(simulation, slug, 100))

    @routes.get("/panel/<slug>/calls/<int:id>")
    def call(slug: str, id: int) -> str:
        simulator = simulator_or_404(slug)
        found = simulation.store.row("SELECT * FROM calls WHERE provider = ? AND id = ?", slug, id)
        if found is None:
            abort(404, f"no call {id}")
        return render_template("simulation/call.html", simulator=simulator, call=dict(found))

    @routes.get("/panel/<slug>/cards")
    def cards(slug: str) -> str:
        simulator = simulator_or_404(slug)
        return render_template(
            "simulation/cards.html", simulator=simulator, amounts=magic_rows(simulation.dials[simulator.slug])
        )

    @routes.get("/panel/<slug>/accounts")
    def accounts(slug: str) -> str:
        simulator = simulator_or_404(slug)
        return render_template(
            "simulation/accounts.html", simulator=simulator, accounts=simulation.store.accounts(slug),
            base_url=f"{simulation.public_url or request.host_url.rstrip('/')}/{slug}",
        )  # fmt: skip

    @routes.get("/favicon.ico")
    def favicon() -> Response:
        return Response(status=204)

    return routes


def back() -> Redirect:
    """To the page whose button was pressed; its address comes from the form and may only be a path of this server."""
    page = request.form.get("back", "/")
    return redirect(page if page.startswith("/") and not page.startswith(("//", "/\\")) else "/", 303)


def read_value(text: str) -> Any:
    """A dial's value as typed: JSON when it is JSON, else text; nothing stands for the dial's default."""
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    if isinstance(value, (dict, list)):
        raise Refused("a dial's value is a number, a text, true or false")
    return value


def _summary(simulation: Simulation, simulator: ProviderSimulator) -> dict[str, Any]:
    slug = simulator.slug
    charged = simulation.store.rows(
        "SELECT currency, sum(CASE kind WHEN 'charge' THEN amount ELSE 0 END) AS charged,"
        " sum(CASE kind WHEN 'refund' THEN amount ELSE 0 END) AS refunded FROM ledger WHERE provider = ?"
        " GROUP BY currency ORDER BY currency",
        slug,
    )
    waiting = simulation.store.row("SELECT count(*) AS n FROM webhooks WHERE provider = ? AND state = 'waiting'", slug)
    return {
        "simulator": simulator,
        "orders": [
            {"order": order, "webhooks": simulation.webhooks.listing(slug, order.id)}
            for order in simulation.store.orders(slug, limit=ORDERS_SHOWN)
        ],
        "total": simulation.store.count_orders(slug),
        "books": [dict(row) for row in charged],
        "waiting": int(waiting["n"]) if waiting else 0,
        "dials": simulation.dials[slug].settings(),
    }
