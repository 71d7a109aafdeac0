"""The processes: the table that is there when the TUI opens, live.

It knows the board and how a process is shown in one line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from llmagentos.abi.process import INIT, ProcessInfo
from shell.processes import ending, place, state
from shell.terminal import duration, printable
from shell.tui import signals
from shell.tui.board import SORTS
from shell.tui.dialogs import Choice
from shell.tui.feed import Change
from shell.tui.table import Cell, Column, LiveTable
from shell.tui.view import View, bound

COLUMNS: Final = (
    Column("pid", "PID", 5, right=True),
    Column("name", "NAME", 14, grow=True),
    Column("state", "STATE", 17),
    Column("model", "MODEL@DRIVER", 14, 4, grow=True),
    Column("in", "IN", 6, 6, right=True),
    Column("out", "OUT", 6, right=True),
    Column("pace", "TOK/S", 5, 2, right=True),
    Column("context", "CONTEXT", 10, 3, right=True),
    Column("budget", "BUDGET", 12, 7, right=True),
    Column("kv", "KV", 6, 8, right=True),
    Column("nice", "NI", 3, 9, right=True),
    Column("age", "AGE", 6, 1, right=True),
    Column("exit", "EXIT", 4, 5, right=True),
)


class ProcessesView(View):
    NAME = "processes"
    BINDINGS: ClassVar[list[BindingType]] = bound("processes")

    def __init__(self) -> None:
        super().__init__()
        self._frozen = False
        self._second = 0

    def body(self) -> Iterable[Widget]:
        yield LiveTable(*COLUMNS, id="processes")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#processes", LiveTable)

    def target(self) -> int | None:
        key = self.table.key
        return int(key) if key else None

    def live(self, change: Change) -> None:
        if self._frozen and (change.vitals or change.pids is not None):
            # But a filter still shows what has its words.
            return
        if change.pids is None:
            self._show()
            return
        changed = {str(pid) for pid in change.pids}
        second = int(time.monotonic())
        if second != self._second:
            # Ages change by themselves. Those out of sight may be old.
            self._second = second
            changed.update(self.table.in_sight)
        if changed:
            self._show(changed)

    def _show(self, changed: set[str] | None = None) -> None:
        """``changed``: the rows that are not as they were; None: all may not be."""
        board, now = self.app.board, time.time()
        board.filter = self.filter
        seen = {str(process.pid): (depth, process) for depth, process in board.seen()}

        def cells(key: str) -> tuple[Cell, ...]:
            depth, process = seen[key]
            return self._row(process, depth, now)

        self.table.change(list(seen), seen if changed is None else changed, cells)

    def _row(self, process: ProcessInfo, depth: int, now: float) -> tuple[Cell, ...]:
        usage, limits = process.usage, process.limits
        board = self.app.board
        marked = process.pid in board.marks
        indent = "  " * (depth - 1) + "└ " if depth else ""
        style = f"bold {self.app.colour_of('WAITING')}" if marked else ""
        return (
            str(process.pid),
            Text(f"{'● ' if marked else ''}{indent}{printable(process.name)}", style),
            Text(state(process), "dim" if process.exit else self.app.colour_of(process.state)),
            place(process),
            str(usage.prompt_tokens),
            str(usage.completion_tokens),
            f"{usage.tokens_per_second:.1f}" if usage.decode_seconds else "-",
            _of(process.context_tokens, limits.context_tokens),
            _of(usage.tokens, limits.tokens),
            f"{process.kv_bytes / 1e6:.1f}M" if process.kv_bytes else "-",
            str(process.priority),
            _age((process.ended or now) - process.started),
            ending(process),
        )

    def _chosen(self) -> list[ProcessInfo]:
        """What an action is about: all that are marked, else the one under the cursor."""
        board = self.app.board
        # None that a filter hides: nobody can see that it is marked.
        seen = {process.pid for _, process in board.seen()}
        marked = [pid for pid in board.targets if pid in seen]
        pids = marked or [pid for pid in [self.target()] if pid is not None]
        return [row for pid in pids if (row := board.rows.get(pid)) and pid != INIT]

    # -- actions -------------------------------------------------------------------------------

    @on(LiveTable.RowSelected, "#processes")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    @on(LiveTable.HeaderSelected, "#processes")
    def _header(self, event: LiveTable.HeaderSelected) -> None:
        if event.key in SORTS:
            self._sort_by(event.key)

    def action_open(self) -> None:
        if (pid := self.target()) is not None:
            self.app.open_agent(pid)

    def action_launch(self) -> None:
        from shell.tui.views.launch import LaunchView

        self.app.push_screen(LaunchView())

    def action_kill(self) -> None:
        if chosen := self._chosen():
            signals.choose(self.app, chosen, self.action_unmark)

    def action_hold(self) -> None:
        if chosen := self._chosen():
            signals.hold(self.app, chosen)

    def action_mark(self) -> None:
        pid = self.target()
        if pid is None or pid not in self.app.board.rows:
            return
        self.app.board.marks ^= {pid}
        self._show()
        self.table.action_move(1)

    def action_unmark(self) -> None:
        self.app.board.marks.clear()
        self._show()

    def action_tree(self) -> None:
        self.app.board.tree = not self.app.board.tree
        self._show()

    def action_reverse(self) -> None:
        self.app.board.reverse = not self.app.board.reverse
        self._show()

    def action_ended(self) -> None:
        self.app.board.ended = not self.app.board.ended
        self._show()

    def action_freeze(self) -> None:
        self._frozen = not self._frozen
        self.notify("the list is held still; z lets it go on" if self._frozen else "live again")
        if not self._frozen:
            self._show()

    def action_sort(self) -> None:
        titles = {c.key: c.title for c in COLUMNS if c.key in SORTS}
        self.app.push_screen(Choice("Sort by", titles, self.app.board.sort), self._sort_by)

    def _sort_by(self, key: str | None) -> None:
        board = self.app.board
        if key:
            board.reverse = key == board.sort and not board.reverse
            board.sort = key
            self._show()

    def action_nice(self, by: int) -> None:
        chosen = self._chosen()

        async def do() -> None:
            for process in chosen:
                priority = max(-20, min(19, process.priority + by))
                await self.app.link.call("proc.nice", pid=process.pid, priority=priority)

        self.app.act(do)


def _age(seconds: float) -> str:
    """Coarser than elsewhere: what changes every second in every line can't be read, and costs."""
    if seconds < 60:
        return f"{max(0, int(seconds))}s"
    return f"{int(seconds) // 60}m" if seconds < 3600 else duration(seconds)


def _of(used: int, limit: int | None) -> str:
    return f"{_short(used)}/{_short(limit)}" if limit else _short(used)


def _short(number: int) -> str:
    """``1234``, ``12.3k``, ``4.5M``."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"
