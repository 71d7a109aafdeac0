"""The tail of a stream of events: lines that follow what comes, with a cursor.

It knows how an event is shown in one line, and nothing about where events come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from llmagentos.abi.calls.sys import Event
from shell.terminal import clip

MOST: Final = 5000
"""Lines that are kept."""
_FAMILIES: Final = ("proc", "burst", "drv", "ipc", "approval", "kernel")
"""Of types, which have a colour of their own."""
_BEFORE: Final = 54
"""Columns before the words of an event."""


@dataclass(frozen=True, slots=True)
class Line:
    """``number``: counts lines, without gaps. ``event``: None says that some were missed."""

    number: int
    event: Event | None
    words: str

    @property
    def family(self) -> str:
        return self.event.type.partition(".")[0] if self.event else "gap"


class Tail(ScrollView, can_focus=True):
    """Lines with a cursor. At its end it follows what comes; only what is seen is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tail--cursor", "tail--dim", "tail--gap", *(f"tail--{name}" for name in _FAMILIES),
    }  # fmt: skip
    DEFAULT_CSS = """
    Tail { height: 1fr; background: $background; scrollbar-size: 1 1; }
    Tail > .tail--cursor { background: $panel; color: $foreground; text-style: bold; }
    Tail:focus > .tail--cursor { background: $primary 40%; }
    Tail > .tail--dim { color: $text-muted; }
    Tail > .tail--gap { color: $warning; text-style: bold; }
    Tail > .tail--proc { color: $primary; }
    Tail > .tail--burst { color: $accent; }
    Tail > .tail--drv { color: $secondary; }
    Tail > .tail--ipc { color: $success; }
    Tail > .tail--approval { color: $warning; }
    Tail > .tail--kernel { color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("g,home", "move(-999999)", "First", show=False),
        Binding("G,end", "move(999999)", "Last", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("l,right", "scroll_right", "Right", show=False),
        Binding("h,left", "scroll_left", "Left", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]

    class Moved(Message):
        """It follows, or does not any more; or it shows another part of its lines."""

    class Chosen(Message):
        def __init__(self, line: Line) -> None:
            super().__init__()
            self.line = line

    def __init__(self, name_of: Callable[[int | None], str], *, id: str) -> None:
        super().__init__(id=id)
        self._name_of = name_of
        self.lines: list[Line] = []
        self.follow = True
        self._cursor = 0
        self._widest = 0
        self._styles: dict[str, Style] = {}
        self._clocks: dict[int, str] = {}

    def replace(self, lines: Iterable[Line]) -> None:
        """Others than before."""
        self.lines, self._widest, self.follow = [], 0, True
        self.add(lines, 0)

    def add(self, lines: Iterable[Line], oldest: int) -> None:
        """``oldest``: the number of the first line that is still kept."""
        fresh = list(lines)
        self.lines += fresh
        gone = 0
        while gone < len(self.lines) and self.lines[gone].number < oldest:
            gone += 1
        del self.lines[:gone]
        self._widest = max([self._widest, *(self._width_of(line) for line in fresh)])
        self._measure()
        if self.follow:
            self._cursor = len(self.lines) - 1
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        else:
            # What is being read stays where it is, as long as it is kept.
            self._cursor = max(0, self._cursor - gone)
            if gone:
                self.scroll_to(y=max(0, self.scroll_y - gone), animate=False, immediate=True)
        self.refresh()

    def _measure(self) -> None:
        size = Size(self._widest, len(self.lines))
        if self.show_vertical_scrollbar and size.width == self.virtual_size.width:
            # To assign it would have the whole screen arranged anew, many times a second.
            self.set_reactive(Tail.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size

    @property
    def line(self) -> Line | None:
        """The one under the cursor."""
        return self.lines[self._cursor] if 0 <= self._cursor < len(self.lines) else None

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follows(self.at_end)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_x(old_value, new_value)
        self.post_message(self.Moved())

    @property
    def at_end(self) -> bool:
        return round(self.scroll_y) >= self.max_scroll_y

    def _follows(self, follow: bool) -> None:
        if follow != self.follow:
            self.follow = follow
            if follow:
                self._cursor = len(self.lines) - 1
            self.post_message(self.Moved())

    def on_resize(self) -> None:
        if self.follow:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    # -- the cursor ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        if not self.lines:
            return
        last = len(self.lines) - 1
        self._cursor = max(0, min(last, self._cursor + by))
        height = self.scrollable_content_region.height
        top = min(self._cursor, max(round(self.scroll_y), self._cursor - height + 1))
        self.scroll_to(y=top, animate=False, immediate=True)
        self._follows(self._cursor == last)
        self.refresh()

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.scrollable_content_region.height - 1))

    def action_choose(self) -> None:
        if self.line is not None:
            self.post_message(self.Chosen(self.line))

    def on_click(self, event: Click) -> None:
        at = round(self.scroll_y) + event.y
        if at < len(self.lines):
            self.action_move(at - self._cursor)

    # -- drawing -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        place, width, base = top + y, self.size.width, self._style("")
        if place >= len(self.lines):
            return Strip.blank(width, base)
        parts = self._parts(self.lines[place])
        if place == self._cursor:
            base = self._style("cursor")
        strip = Strip([Segment(text, base + style) for text, style in parts])
        return strip.crop_extend(left, left + width, base)

    def _parts(self, line: Line) -> Sequence[tuple[str, Style]]:
        event = line.event
        if event is None:
            return [(line.words, self._style("gap"))]
        dim = self._style("dim")
        colour = self._style(line.family) if line.family in _FAMILIES else Style()
        pid = "" if event.pid is None else str(event.pid)
        return [
            (f"{event.seq:>7} {self._clock(event.time)} ", dim),
            (f"{set_cell_size(clip(event.type, 17), 17)} ", colour),
            (f"{pid:>5} {set_cell_size(self._name_of(event.pid), 12)} ", Style()),
            (line.words, Style()),
        ]

    def _clock(self, moment: float) -> str:
        second = int(moment)
        if second not in self._clocks:
            if len(self._clocks) > MOST:
                self._clocks.clear()
            self._clocks[second] = time.strftime("%H:%M:%S", time.localtime(second))
        return self._clocks[second]

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            style = self.get_component_rich_style(f"tail--{name}") if name else self.rich_style
            if name not in ("", "cursor"):
                # What is behind it is the line's.
                style = Style(color=style.color, bold=style.bold)
            self._styles[name] = style
        return self._styles[name]

    @staticmethod
    def _width_of(line: Line) -> int:
        return cell_len(line.words) + (_BEFORE if line.event else 0)
