"""The events: what has happened of late, and what happens, as it happens.

It knows the event stream and how an event is shown in one line, and nothing about what events mean.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static
from textual.worker import Worker

from llmagentos.abi.calls.sys import Event, EventsResult
from llmagentos.abi.errors import EPERM, LLMOSError
from shell.terminal import clip
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.view import View, bound

MOST: Final = 5000
"""Lines that are kept."""
_HISTORY: Final = 1000
"""Events of the past that are asked for."""
_FAMILIES: Final = ("proc", "burst", "drv", "ipc", "approval", "kernel")
"""Of types, which have a colour of their own."""
_BEFORE: Final = 54
"""Columns before the words of an event."""
_TITLES: Final = f"{'SEQ':>7} {'TIME':<8} {'TYPE':<17} {'PID':>5} {'NAME':<12} DATA"


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


class EventsView(View):
    NAME = "events"
    BINDINGS: ClassVar[list[BindingType]] = bound("events")
    DEFAULT_CSS = """
    EventsView #about { height: 1; padding: 0 1; color: $text-muted; }
    EventsView #titles { height: 1; background: $panel; text-style: bold; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[Line] = deque(maxlen=MOST)
        self._count = 0
        self._seq = 0
        self._pid: int | None = None
        self._filtered = ""
        self._until: int | None = None
        """The last line that is shown while all is held still."""
        self._new = 0
        self._trouble = ""
        self._waiting: list[Event] = []
        self._asking: Worker[None] | None = None

    def body(self) -> ComposeResult:
        yield Static(id="about", markup=False)
        yield Static(_TITLES, id="titles", markup=False)
        yield Static(id="nothing", classes="empty", markup=False)
        yield Tail(self._name_of, id="tail")

    @property
    def tail(self) -> Tail:
        return self.query_one("#tail", Tail)

    def focus_body(self) -> None:
        self.tail.focus()

    def target(self) -> int | None:
        line = self.tail.line
        return line.event.pid if line and line.event else None

    def live(self, change: Change) -> None:
        if change.pids is None and change.vitals:
            self._ask()
        if self._asking is not None and not self._asking.is_finished:
            # After what was before them.
            self._waiting = [*self._waiting, *change.events][-MOST:]
        else:
            self._take(change.events)
        if self.filter != self._filtered:
            self._rebuild()

    # -- events --------------------------------------------------------------------------------

    def _ask(self) -> None:
        """For those that came while nobody listened."""
        if self._asking is None or self._asking.is_finished:
            self._asking = self.run_worker(self._fetch(), exit_on_error=False, group="events")

    async def _fetch(self) -> None:
        past: list[Event] = []
        try:
            past = await self._past()
            self._trouble = ""
        except EPERM:
            self._trouble = "what was before is not for this session to see"
        except LLMOSError as error:
            self._trouble = error.message
        except Exception as error:
            self.app.fault(error)
        waiting, self._waiting = self._waiting, []
        self._take([*past, *waiting])

    async def _past(self) -> list[Event]:
        """What is not known yet, and at most the last of it."""
        call = self.app.link.call
        page = EventsResult.model_validate(await call("sys.events", since=self._seq, limit=1))
        if page.latest < self._seq:
            # Another database: its count starts anew.
            self._seq = 0
        since = max(self._seq, page.latest - _HISTORY)
        page = EventsResult.model_validate(await call("sys.events", since=since, limit=_HISTORY))
        return page.events

    def _take(self, events: Iterable[Event]) -> None:
        fresh: list[Line] = []
        for event in events:
            if event.seq <= self._seq:
                continue  # told already, by the kernel or on the socket
            missed = event.seq - self._seq - 1 if self._seq else 0
            if missed:
                some = "1 event was" if missed == 1 else f"{missed} events were"
                fresh.append(self._line(None, f"        {some} missed"))
            words = " ".join(f"{key}={_word(value)}" for key, value in event.data.items())
            fresh.append(self._line(event, clip(words, 1000)))
            self._seq = event.seq
        self._lines.extend(fresh)
        seen = [line for line in fresh if self._passes(line)]
        if fresh and self._until is None:
            self.tail.add(seen, self._lines[0].number)
        if self._until is not None or not self.tail.follow:
            self._new += len(seen)
        self._tell()

    def _line(self, event: Event | None, words: str) -> Line:
        self._count += 1
        return Line(self._count, event, words)

    def _passes(self, line: Line) -> bool:
        event = line.event
        if event is None:
            return True
        if self._pid is not None and event.pid != self._pid:
            return False
        if not self._filtered:
            return True
        text = f"{event.seq} {event.type} {event.pid} {self._name_of(event.pid)} {line.words}"
        text = text.lower()
        return all(word in text for word in self._filtered.lower().split())

    def _rebuild(self) -> None:
        self._filtered = self.filter
        last = self._until if self._until is not None else self._count
        self.tail.replace(
            line for line in self._lines if line.number <= last and self._passes(line)
        )
        if self._until is None:
            self._new = 0
        self._tell()

    def _name_of(self, pid: int | None) -> str:
        process = self.app.board.find(pid) if pid is not None else None
        return clip(process.name, 40) if process else ""

    def _tell(self) -> None:
        count = len(self.tail.lines)
        parts = [f"{count} line{'s' if count != 1 else ''}"]
        if self._pid is not None:
            parts.append(f"of pid {self._pid} {self._name_of(self._pid)}".rstrip())
        if self._until is not None:
            parts.append(f"held still, {self._new} new; z lets it go on")
        elif self._new and not self.tail.at_end:
            parts.append(f"{self._new} new below; G goes there")
        if self._trouble:
            parts.append(clip(self._trouble, 200))
        # Its size does not depend on what it says: so nothing else is to be arranged anew.
        self.query_one("#about", Static).update(" | ".join(parts), layout=False)
        nothing = self.query_one("#nothing", Static)
        nothing.display = not count
        if not count:
            words = "none of the events is such" if self._lines else "nothing has happened yet"
            nothing.update(words)

    # -- actions -------------------------------------------------------------------------------

    @on(Tail.Moved)
    def _moved(self) -> None:
        titles = _TITLES[self.tail.scroll_offset.x :]
        self.query_one("#titles", Static).update(titles, layout=False)
        if self.tail.follow and self._until is None:
            self._new = 0
        self._tell()

    @on(Tail.Chosen)
    def _opened(self, event: Tail.Chosen) -> None:
        if event.line.event and event.line.event.pid is not None:
            self.app.open_agent(event.line.event.pid)

    def action_freeze(self) -> None:
        self._until = self._count if self._until is None else None
        if self._until is None:
            self._rebuild()
        self._tell()

    def action_mine(self) -> None:
        shown = "" if self._pid is None else str(self._pid)
        question = Question("Events of which process? Empty: of all", shown, example="a pid")
        self.app.push_screen(question, self._only)

    def _only(self, answer: str | None) -> None:
        if answer is None:
            return
        answer = answer.strip()
        if answer and not (answer.isascii() and answer.isdigit()):
            self.notify("a pid is a number", severity="warning")
            return
        self._pid = int(answer) if answer else None
        self._rebuild()


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
