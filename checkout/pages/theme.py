"""A merchant's colour as a style sheet. The colour is corrected where text needs it, never refused."""

from __future__ import annotations

ENOUGH = 4.5
"""Contrast of text (WCAG 2.2, 1.4.3)."""

LIGHT_GROUND, DARK_GROUND = "#f5f6f8", "#1b1e24"
"""The least favourable grounds of base.css on which a link may stand."""

WHITE, BLACK = "#ffffff", "#000000"


def style_sheet(colour: str) -> str:
    """The four accent properties for ``colour`` (``#rrggbb``)."""
    ink = max((WHITE, BLACK), key=lambda candidate: contrast(candidate, colour))
    light = readable(colour, ground=LIGHT_GROUND)
    dark = readable(colour, ground=DARK_GROUND)
    return (
        "@layer theme{:root{"
        f"--accent:light-dark({light},{dark});"
        f"--accent-fill:{colour};"
        f"--accent-ink:{ink};"
        f"--accent-edge:light-dark({light},{dark})"
        "}}\n"
    )


def readable(colour: str, *, ground: str) -> str:
    """``colour``, moved towards black or white just as far as text on ``ground`` needs."""
    target = max((WHITE, BLACK), key=lambda candidate: contrast(candidate, ground))
    for percent in range(0, 101, 2):
        mixed = _mix(colour, target, percent / 100)
        if contrast(mixed, ground) >= ENOUGH:
            return mixed
    return target


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _mix(colour: str, target: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(target), strict=True)
    return "#" + "".join(f"{round(own + (other - own) * share):02x}" for own, other in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
