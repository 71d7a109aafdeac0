"""A view: what every screen of the TUI has in common.

The header, the row of views, the body, a line for a filter or a command, and the keys. It knows
nothing about what its body shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import ActiveBinding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Input, Tab, Tabs
from textual.worker import Worker, WorkerState

from shell.tui import actions
from shell.tui.feed import Change
from shell.tui.guard import Guard
from shell.tui.meters import Meters
from shell.tui.table import Cell, LiveTable

if TYPE_CHECKING:
    from shell.tui.app import ShellApp

VIEWS: Final = {
    "processes": "1 Processes",
    "approvals": "2 Approvals",
    "drivers": "3 Drivers",
    "models": "4 Models",
    "memory": "5 Memory",
    "files": "6 Files",
    "events": "7 Events",
}
"""Those that the row at the top has."""


class View(Guard, Screen[Any]):
    """``NAME``: as in the table of actions. A subclass gives the ``body``, and what it does on
    a ``live`` change."""

    NAME: ClassVar[str]
    FILTERED: ClassVar[bool] = True
    """Whether ``/`` filters what it shows."""

    app: ShellApp

    def __init__(self) -> None:
        super().__init__()
        self.filter = ""
        self._greyed: frozenset[str] = frozenset()

    def compose(self) -> ComposeResult:
        yield Meters()
        # What is not one of them stands behind them, so that all of them can be chosen.
        titles = VIEWS if self.NAME in VIEWS else {**VIEWS, self.NAME: "•"}
        tabs = (Tab(title, id=name) for name, title in titles.items())
        yield Tabs(*tabs, active=self.NAME, id="views")
        yield from self.body()
        yield Input(id="line", classes="hidden", select_on_focus=False)
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> Iterable[Widget]:
        """What is between the header and the keys."""
        return ()

    def filtered(self, rows: Mapping[str, tuple[Cell, ...]]) -> dict[str, tuple[Cell, ...]]:
        """Those that have all the words of the filter."""
        words = self.filter.lower().split()
        return {
            key: cells
            for key, cells in rows.items()
            if all(word in " ".join(map(str, cells)).lower() for word in words)
        }

    def live(self, change: Change) -> None:
        """Something is new, or this view has come to the front (all may have changed then)."""

    @property
    def is_gone(self) -> bool:
        """Whether it is gone, or going: its widgets go before it does, and work on them fails."""
        return self._pruning or not self.is_attached

    def target(self) -> int | None:
        """The process that an action is about, if it is about one."""
        return None

    def tick(self, change: Change) -> None:
        """Called a few times a second while this view is in front."""
        if change.vitals:
            feed = self.app.feed
            note = "read-only" if self.app.link.rights.read_only else ""
            self.query_one(Meters).show(feed.vitals, feed.down, self.app.link.silence, note=note)
        self.live(change)
        refused = self._refused()
        if refused != self._greyed:
            # The last line is made anew by that, so only when it has to be.
            self._greyed = refused
            self.refresh_bindings()

    def _refused(self) -> frozenset[str]:
        """The actions that this session can't do, with what is chosen now."""
        target = self.target()
        return frozenset(a.id for a in actions.of(self.NAME) if self.app.refusal(a, target))

    def on_mount(self) -> None:
        self.focus_body()

    def on_screen_resume(self) -> None:
        self.query_one("#views", Tabs).active = self.NAME
        self.tick(Change(None, (), vitals=True))

    def focus_body(self) -> None:
        """The cursor to where the keys are."""
        for table in self.query(LiveTable):
            self.set_focus(table)
            break

    @on(Tabs.TabActivated, "#views")
    def _tab_chosen(self, event: Tabs.TabActivated) -> None:
        event.stop()
        name = event.tab.id if event.tab else None
        if name and name != self.NAME and self.is_current:
            self.app.go(name)

    # -- the line for a filter or a command ----------------------------------------------------

    def ask(self, sign: str, value: str = "") -> None:
        """Open the line: ``/`` for a filter, ``:`` for a command."""
        line = self.query_one("#line", Input)
        line.remove_class("hidden")
        line.placeholder = (
            "words to filter by" if sign == "/" else "an action, such as kill or view drivers"
        )
        line.border_title = sign
        line.value = value
        line.suggester = self.app.suggester(self) if sign == ":" else None
        self.set_focus(line)

    @on(Input.Changed, "#line")
    def _line_typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.border_title == "/" and event.input.has_focus:
            self.filter = event.value
            self.live(Change(None, (), vitals=False))

    @on(Input.Submitted, "#line")
    def _line_entered(self, event: Input.Submitted) -> None:
        event.stop()
        sign, words = event.input.border_title, event.value
        self.close_line()
        if sign == ":" and words.strip():
            self.app.obey(self, words.strip())

    def close_line(self) -> None:
        line = self.query_one("#line", Input)
        line.add_class("hidden")
        self.focus_body()

    def leave(self) -> bool:
        """Out of the line, and without a filter; False if there was neither."""
        line = self.query_one("#line", Input)
        opened, filtered = not line.has_class("hidden"), bool(self.filter)
        if opened:
            self.close_line()
        if filtered and not (opened and line.border_title == ":"):
            self.filter = ""
            self.live(Change(None, (), vitals=False))
        return opened or filtered

    def key_escape(self) -> None:
        if actions.named(self.NAME, "back") is None:
            self.leave()

    def filter_line(self) -> None:
        if self.FILTERED:
            self.ask("/", self.filter)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Work that failed must not have failed in silence."""
        if event.state == WorkerState.ERROR and isinstance(event.worker.error, Exception):
            self.app.fault(event.worker.error)

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """Without ``/`` where that is typed: Textual takes its key for none that writes."""
        found = super().active_bindings
        if self.focused is not None and self.focused.check_consume_key("slash", "/"):
            found.pop("slash", None)
        return found

    # -- what may be done ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None shows it in grey: this session may not."""
        found = actions.named(self.NAME, action)
        if found is None or not found.calls:
            return True
        return None if self.app.refusal(found, self.target()) else True


def bound(where: str) -> list[BindingType]:
    """A view's ``BINDINGS``."""
    return list(actions.bindings(where))
