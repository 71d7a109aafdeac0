"""The events: what has happened of late, and what happens, as it happens.

It knows the event stream and how an event is shown in one line, and nothing about what events mean.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static
from textual.worker import Worker

from llmagentos.abi.calls.sys import Event, EventsResult
from llmagentos.abi.errors import EPERM, LLMOSError
from shell.terminal import clip
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.tail import MOST, Line, Tail
from shell.tui.view import View, bound
from shell.tui.words import Words

_HISTORY: Final = 1000
"""Events of the past that are asked for."""
_TITLES: Final = f"{'SEQ':>7} {'TIME':<8} {'TYPE':<17} {'PID':>5} {'NAME':<12} DATA"


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
        yield Words(id="about")
        yield Words(_TITLES, id="titles")
        yield Words(id="nothing", classes="empty")
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
