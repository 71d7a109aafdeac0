"""A text to be read, line by line, each of its own kind.

It knows nothing about where the text comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from shell.terminal import printable

_FOLD: Final = 400
"""Characters of a line; a longer one goes on in the next."""

Line = tuple[str, str]
"""Its text, and what it is: "added", "removed", "head", or ""."""


class Reader(TextArea, inherit_bindings=False):
    """A text to be read, however long it is: only what is seen of it is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"reader--added", "reader--removed", "reader--head"}
    DEFAULT_CSS = """
    Reader, Reader:focus { border: none; padding: 0; background: $background; }
    Reader { scrollbar-size: 1 1; }
    Reader > .reader--added { color: $success; }
    Reader > .reader--removed { color: $error; }
    Reader > .reader--head { color: $accent; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup,ctrl+u", "page_up", "Page up", show=False),
        Binding("pagedown,ctrl+d", "page_down", "Page down", show=False),
        Binding("home,g", "scroll_home", "First", show=False),
        Binding("end,G", "scroll_end", "Last", show=False),
        Binding("ctrl+c,super+c", "copy", "Copy", show=False),
    ]

    def __init__(self, hint: str = "", *, id: str) -> None:
        super().__init__(
            id=id, read_only=True, show_cursor=False, highlight_cursor_line=False, placeholder=hint
        )
        self._shown: list[Line] = []

    def show(self, lines: Iterable[Line]) -> None:
        shown = [(part, kind) for line, kind in lines for part in _folded(printable(line))]
        if shown != self._shown:
            self._shown = shown
            self.load_text("\n".join(part for part, _ in shown))
            self.scroll_home(animate=False)

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        kind = self._shown[line_index][1] if line_index < len(self._shown) else ""
        if kind:
            line.stylize(self.get_component_rich_style(f"reader--{kind}", partial=True))
        return line


def _folded(line: str) -> list[str]:
    """Where it is very long it is slow to draw, so it is cut."""
    return [line[at : at + _FOLD] for at in range(0, len(line), _FOLD)] or [""]
