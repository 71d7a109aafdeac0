"""The colours: which themes there are beside Textual's own, and the colour of each state.

It knows nothing about what is coloured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

DEFAULT: Final = "llmos-dark"

THEMES: Final = (
    Theme(
        name="llmos-dark", dark=True,
        primary="#7aa2f7", secondary="#bb9af7", accent="#7dcfff",
        success="#9ece6a", warning="#e0af68", error="#f7768e",
        foreground="#c0caf5", background="#16161e", surface="#1a1b26", panel="#24283b",
    ),
    Theme(
        name="llmos-light", dark=False,
        primary="#2e5cb8", secondary="#7847bd", accent="#0f6f8f",
        success="#3a7d1e", warning="#9a6200", error="#c02b42",
        foreground="#2b2f45", background="#f4f5fa", surface="#ffffff", panel="#dfe2ee",
    ),
    # The colours of Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of
    # colour vision.
    Theme(
        name="llmos-safe", dark=True,
        primary="#56b4e9", secondary="#cc79a7", accent="#56b4e9",
        success="#0db089", warning="#f0e442", error="#e8751a",
        foreground="#f2f2f2", background="#101010", surface="#181818", panel="#2a2a2a",
    ),
)  # fmt: skip
"""``textual-ansi`` takes those of the terminal; it comes with Textual."""

_STATES: Final = {
    "RUNNING": "success",
    "READY": "accent",
    "WAITING": "warning",
    "STOPPED": "secondary",
    "ready": "success",
    "loading": "warning",
    "failed": "error",
    "down": "error",
    "drained": "secondary",
    "draining": "secondary",
    "pending": "warning",
    "approved": "success",
    "rejected": "error",
}


def colour_of(state: str, variables: Mapping[str, str]) -> str:
    """As Rich writes it; "" for a state without one. ``variables``: of the theme."""
    found = variables.get(_STATES.get(state, ""), "")
    return found.removeprefix("ansi_") if found.startswith(("#", "ansi_")) else ""
