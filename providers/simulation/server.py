"""Serving the simulation: a quiet threaded HTTP server, one thread a connection.

Werkzeug's server rather than a faster one, because the faults need the bare socket: an answer that never comes, breaks
off or drips.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from providers.simulation.app import create_app
from providers.simulation.simulation import Simulation
from providers.simulation.webhooks import is_loopback


class QuietRequestHandler(WSGIRequestHandler):
    """No access log, and no complaint about clients that hang up: both are what a test is made of."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        if type == "error" and "truncated on purpose" not in message % args:
            super().log(type, message, *args)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Paths hold page keys."""


def make_simulation_server(simulation: Simulation, host: str, port: int) -> BaseWSGIServer:
    """Bind, or refuse: a simulator takes test cards only and has no business on a public address."""
    if not simulation.allow_remote and not is_loopback(host):
        raise ValueError(f"{host} is not a loopback address; --allow-remote serves there all the same")
    return make_server(host, port, create_app(simulation), threaded=True, request_handler=QuietRequestHandler)


@contextmanager
def serving(
    state: Path | str, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[tuple[Simulation, str]]:
    """Run a simulation in this process for the length of a ``with`` block; gives it and its base URL."""
    simulation = Simulation(state, **options)
    server = make_simulation_server(simulation, host, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    simulation.start()
    thread.start()
    try:
        yield simulation, f"http://{host}:{server.server_port}"
    finally:
        simulation.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
        simulation.stop()
