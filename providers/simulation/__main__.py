"""``python -m providers.simulation``: serve every provider's simulator until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from providers.simulation.server import make_simulation_server
from providers.simulation.simulation import Simulation
from providers.simulation.tables import markdown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m providers.simulation", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--state", type=Path, default=Path("simulation.sqlite3"), help="SQLite file, made when missing")
    parser.add_argument("--public-url", default="", help="base URL browsers use, if not the one of the API call")
    parser.add_argument("--allow-remote", action="store_true", help="serve and call other than loopback addresses")
    parser.add_argument("--tables", action="store_true", help="print test cards and magic amounts as Markdown and end")
    chosen = parser.parse_args(arguments)
    if chosen.tables:
        simulation = Simulation(":memory:")
        sys.stdout.write(markdown(simulation))
        simulation.stop()
        return 0
    return serve(chosen)


def serve(chosen: argparse.Namespace) -> int:
    chosen.state.parent.mkdir(parents=True, exist_ok=True)
    simulation = Simulation(chosen.state, allow_remote=chosen.allow_remote, public_url=chosen.public_url)
    try:
        server = make_simulation_server(simulation, chosen.host, chosen.port)
    except (ValueError, OSError) as refusal:
        simulation.stop()
        sys.stderr.write(f"{refusal}\n")
        return 2

    def end(signal_number: int, frame: FrameType | None) -> None:
        simulation.closing.set()
        # shutdown() waits for the loop that this very thread runs
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    simulation.start()
    sys.stdout.write(f"Simulator (no real money) at http://{chosen.host}:{server.server_port}/\n")
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        simulation.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
