"""The operator's JSON API, for tests: see README.md beside this file. Amounts are minor units, times epoch ms."""

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from providers.simulation.provider import Account, Order, ProviderSimulator, Refused
from providers.simulation.simulation import Simulation
from providers.simulation.tables import markdown, tables


def blueprint(simulation: Simulation) -> Blueprint:
    routes = Blueprint("operator", __name__)

    @routes.get("/clock")
    def clock() -> Response:
        return jsonify(now=simulation.clock.now(), offset_ms=simulation.clock.offset_ms)

    @routes.post("/clock")
    def advance_clock() -> Response:
        simulation.advance(read_seconds(payload().get("advance_seconds", 0)))
        return clock()

    @routes.post("/settle")
    def settle() -> Response:
        simulation.settle()
        return clock()

    @routes.post("/reset")
    def reset() -> Response:
        simulation.reset()
        return clock()

    @routes.get("/test-cards")
    def test_cards() -> Response:
        if request.args.get("format") == "markdown":
            return Response(markdown(simulation), content_type="text/markdown; charset=utf-8")
        return jsonify(tables(simulation))

    @routes.get("/ledger")
    def whole_ledger() -> Response:
        return jsonify(entries=ledger(simulation))

    for simulator in simulation.simulators.values():
        routes.register_blueprint(_of(simulation, simulator), url_prefix=f"/{simulator.slug}")
    return routes


def _of(simulation: Simulation, simulator: ProviderSimulator) -> Blueprint:
    routes = Blueprint(f"operator-{simulator.slug}", __name__)
    store, slug, dials = simulation.store, simulator.slug, simulation.dials[simulator.slug]

    @routes.get(f"/{simulator.accounts_name}")
    def accounts() -> Response:
        return jsonify({simulator.accounts_name: [account_view(one) for one in store.accounts(slug)]})

    @routes.post(f"/{simulator.accounts_name}")
    def save_account() -> tuple[Response, int]:
        account = simulator.account_from(payload())
        store.save_account(account)
        return jsonify(account_view(account)), 201

    @routes.get("/dials")
    def list_dials() -> Response:
        return jsonify(catalogue=[asdict(dial) for dial in dials.catalogue.values()], set=dials.settings())

    @routes.post("/dials")
    def turn_dial() -> Response:
        wish = payload()
        setting = dials.turn(
            str(wish.get("name", "")), wish.get("value"), reference=wish.get("reference"),
            next_calls=wish.get("next"), operation=wish.get("operation"),
        )  # fmt: skip
        return jsonify(id=setting, set=dials.settings())

    @routes.delete("/dials")
    def clear_dials() -> Response:
        dials.clear()
        return jsonify(set=dials.settings())

    @routes.delete("/dials/<int:setting>")
    def clear_dial(setting: int) -> Response:
        dials.clear(setting)
        return jsonify(set=dials.settings())

    @routes.get("/orders")
    def orders() -> Response:
        found = store.orders(slug, limit=limit(), skip=request.args.get("skip", 0, int))
        return jsonify(orders=[order_view(simulation, order) for order in found], total=store.count_orders(slug))

    @routes.get("/orders/<id>")
    def order(id: str) -> Response:
        found = find_order(simulation, slug, id)
        entries, webhooks = ledger(simulation, slug, found.id), simulation.webhooks.listing(slug, found.id)
        return jsonify(order_view(simulation, found) | {"ledger": entries, "webhooks": webhooks})

    @routes.post("/orders/<id>/events")
    def raise_event(id: str) -> Response:
        members = payload()
        changed = happen(simulation, slug, id, str(members.pop("event", "")), members)
        return jsonify(order_view(simulation, changed))

    @routes.post("/orders/<id>/resend")
    def resend(id: str) -> Response:
        found = find_order(simulation, slug, id)
        simulation.webhooks.resend(found, payload().get("webhook"))
        return jsonify(webhooks=simulation.webhooks.listing(slug, found.id))

    @routes.get("/webhooks")
    def webhooks() -> Response:
        return jsonify(webhooks=simulation.webhooks.listing(slug, request.args.get("order"), limit()))

    @routes.get("/calls")
    def list_calls() -> Response:
        return jsonify(calls=calls(simulation, slug, limit()))

    @routes.get("/ledger")
    def own_ledger() -> Response:
        return jsonify(entries=ledger(simulation, slug))

    return routes


def payload() -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object."""
    if not request.get_data():
        return {}
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise Refused("the body must be a JSON object")
    return found


def read_seconds(text: Any) -> float:
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        raise Refused("advance_seconds must be a number") from None
    if not 0 <= seconds <= 10 * 366 * 86_400:
        raise Refused("the clock goes forward only, by ten years at most")
    return seconds


def limit() -> int:
    return max(1, min(request.args.get("limit", 200, int), 10_000))


def find_order(simulation: Simulation, slug: str, id: str) -> Order:
    """By the provider's id, or by the merchant's reference (the newest one with it)."""
    found = simulation.store.order(slug, id)
    if found is None:
        row = simulation.store.row(
            "SELECT id FROM orders WHERE provider = ? AND reference = ? ORDER BY created_at DESC LIMIT 1", slug, id
        )
        found = simulation.store.order(slug, row["id"]) if row else None
    if found is None:
        abort(404, f"no order {id}")
    return found


def happen(simulation: Simulation, slug: str, id: str, event: str, members: dict[str, Any]) -> Order:
    """Make an event happen to an order, as the provider's own staff or the card scheme would."""
    simulator = simulation.simulators[slug]
    known = {one.name: one for one in simulator.events}
    if event not in known:
        raise Refused(f"no event is called {event!r}; there are {', '.join(known)}")
    stray = set(members) - set(known[event].members)
    if stray:
        raise Refused(f"{event} takes no {', '.join(sorted(stray))}")
    with simulation.store.write():
        order = find_order(simulation, slug, id)
        simulator.happen(order, event, {name: value for name, value in members.items() if value not in (None, "")})
    return order


def account_view(account: Account) -> dict[str, Any]:
    return {"id": account.id, **account.settings}


def order_view(simulation: Simulation, order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "reference": order.reference,
        "account": order.account,
        "status": order.status,
        "amount": order.amount,
        "currency": order.currency,
        "created_at": order.created_at,
        "history": order.history,
        "faults": order.data.get("faults", {}),
        "words": simulation.simulators[order.provider].words(order),
    }


def ledger(simulation: Simulation, slug: str | None = None, order_id: str | None = None) -> list[dict[str, Any]]:
    """The simulator's own books, oldest first: every charge and refund that really happened."""
    found = simulation.store.rows(
        "SELECT * FROM ledger WHERE (? IS NULL OR provider = ?) AND (? IS NULL OR order_id = ?) ORDER BY id",
        slug, slug, order_id, order_id,
    )  # fmt: skip
    return [dict(row) for row in found]


def calls(simulation: Simulation, slug: str, count: int) -> list[dict[str, Any]]:
    """API calls received, newest first, card data masked."""
    found = simulation.store.rows("SELECT * FROM calls WHERE provider = ? ORDER BY id DESC LIMIT ?", slug, count)
    return [dict(row) | {"faults": json.loads(row["faults"])} for row in found]
