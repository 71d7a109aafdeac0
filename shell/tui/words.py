"""Words on the screen that others have written: what would command the terminal is left out, and
nothing in them is markup.

It knows nothing about what they say.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.visual import VisualType
from textual.widgets import Static

from shell.terminal import printable


def harmless(content: Any) -> Any:
    """A text, or a Rich text, without control characters; anything else as it is."""
    if isinstance(content, str):
        return printable(content)
    if isinstance(content, Text) and printable(content.plain) != content.plain:
        return Text(printable(content.plain), content.style)
    return content


class Words(Static):
    """As Textual's ``Static``, for what is not our own."""

    def __init__(self, content: VisualType = "", **more: Any) -> None:
        super().__init__(harmless(content), **{**more, "markup": False})

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        super().update(harmless(content), layout=layout)
