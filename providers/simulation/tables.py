"""The tables of test cards and magic amounts, from the very data that the simulators act upon."""

from dataclasses import asdict
from typing import Any

from providers.simulation.dials import magic_rows
from providers.simulation.simulation import Simulation


def tables(simulation: Simulation) -> dict[str, Any]:
    """Per provider: ``cards`` and ``amounts``, as lists of flat objects."""
    return {
        slug: {
            "title": simulator.title,
            "cards": [asdict(card) for card in simulator.test_cards],
            "amounts": magic_rows(simulation.dials[slug]),
        }
        for slug, simulator in simulation.simulators.items()
    }


def markdown(simulation: Simulation) -> str:
    """The same as Markdown, for the documentation."""
    lines: list[str] = []
    for table in tables(simulation).values():
        lines += [f"## {table['title']}", "", "### Test cards", ""]
        lines += ["| number | brand | CVV | outcome | origin |", "|---|---|---|---|---|"]
        for card in table["cards"]:
            lines.append(
                f"| `{card['number']}` | {card['brand']} | {card['cvv']} | {card['outcome']} | {card['origin']} |"
            )
        lines += ["", "### Magic amounts", ""]
        lines += ["| two decimals | none | three | dial | value | what happens |", "|---|---|---|---|---|---|"]
        for row in table["amounts"]:
            lines.append(
                f"| {row['usd']} | {row['jpy']} | {row['kwd']} | `{row['dial']}` | {row['value']} | {row['meaning']} |"
            )
        lines.append("")
    return "\n".join(lines)
