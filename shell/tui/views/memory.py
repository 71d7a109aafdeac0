"""The memory of processes: the rows of one space, and the whole of the row under the cursor.

It knows the ``mem`` calls, and nothing about who reads and writes the rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from llmagentos.abi.calls.mem import OWN, Hit, ListResult, MemoryRow, RowBrief, SearchResult
from llmagentos.abi.errors import ECONNREFUSED, ETIMEOUT, LLMOSError
from shell.terminal import clip, duration, size
from shell.tui import actions
from shell.tui.asking import AskingView
from shell.tui.content import MOST_TEXT
from shell.tui.dialogs import Choice, Question
from shell.tui.reader import Reader
from shell.tui.table import Cell, Column, LiveTable
from shell.tui.view import bound
from shell.tui.words import Words

LIST: Final = (
    Column("key", "KEY", 24, grow=True),
    Column("bytes", "SIZE", 8, 1, right=True),
    Column("labels", "LABELS", 12, 3),
    Column("owner", "OWNER", 5, 4, right=True),
    Column("updated", "UPDATED", 8, right=True),
    Column("expires", "EXPIRES", 8, 2, right=True),
)
HITS: Final = (
    Column("key", "KEY", 20, grow=True),
    Column("score", "SCORE", 6, 1, right=True),
    Column("labels", "LABELS", 12, 2),
    Column("where", "WHERE", 28, grow=True),
)
_MOST: Final = 2000
"""Rows that are loaded."""
_PAGE: Final = 1000
_HITS: Final = 100
_REST: Final = 0.15
"""Seconds that the cursor rests on a row before it is read."""


class MemoryView(AskingView):
    NAME = "memory"
    BINDINGS: ClassVar[list[BindingType]] = bound("memory")
    DEFAULT_CSS = """
    MemoryView #place { height: 1; padding: 0 1; color: $text-muted; }
    MemoryView #halves { layout: horizontal; height: 1fr; }
    MemoryView.-narrow #halves { layout: vertical; }
    MemoryView .bare #rows { max-height: 1; }
    MemoryView #left { width: 3fr; height: 1fr; }
    MemoryView #right { width: 2fr; height: 1fr; }
    MemoryView.-narrow #left, MemoryView.-narrow #right { width: 100%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
        self._pid: int | None = None
        self._space = OWN
        self._words = ""
        self._rows: list[RowBrief] = []
        self._hits: list[Hit] = []
        self._by = "words"
        self._more = False
        self._trouble = ""
        self._wanted: tuple[str, float] | None = None
        self._rest: Timer | None = None

    def body(self) -> ComposeResult:
        yield Words(id="place")
        with Container(id="halves"):
            with Vertical(id="left"):
                yield LiveTable(*LIST, id="rows")
                yield Words(id="nothing", classes="empty")
            with Vertical(id="right", classes="pane"):
                yield Reader(id="row")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#rows", LiveTable)

    @property
    def pid(self) -> int:
        """Whose memory it is."""
        return self._pid if self._pid is not None else self.app.link.rights.pid

    def target(self) -> int | None:
        return self.pid

    # -- what is there -------------------------------------------------------------------------

    async def _fetch(self) -> None:
        try:
            if self._words:
                found = await self._call("mem.search", query=self._words, limit=_HITS)
                result = SearchResult.model_validate(found)
                self._hits, self._by = result.hits, result.by
            else:
                await self._list()
            self._trouble = ""
        except LLMOSError as error:
            self._trouble = error.message
            if not isinstance(error, ECONNREFUSED | ETIMEOUT):
                # The kernel is there, and what was shown is not.
                self._rows, self._hits = [], []
        except Exception as error:
            self.app.fault(error)
        self._show()

    async def _list(self) -> None:
        rows: list[RowBrief] = []
        more = True
        while more and len(rows) < _MOST:
            after = rows[-1].key if rows else None
            told = await self._call("mem.list", after=after, limit=_PAGE)
            page = ListResult.model_validate(told)
            rows += page.rows
            more = page.more
        self._rows, self._more = rows, more

    async def _call(self, name: str, **args: Any) -> Any:
        return await self.app.link.call(name, pid=self.pid, space=self._space, **args)

    def _show(self) -> None:
        now = time.time()
        if self._words:
            rows = {hit.row.key: _hit_cells(hit) for hit in self._hits}
        else:
            rows = {row.key: _list_cells(row, now) for row in self._rows}
        words = self.filter.lower().split()
        seen = {
            key: cells
            for key, cells in rows.items()
            if all(word in f"{key} {' '.join(map(str, cells))}".lower() for word in words)
        }
        self.table.show(seen, HITS if self._words else LIST)
        self.query_one("#left").set_class(not seen, "bare")
        nothing = self.query_one("#nothing", Static)
        nothing.display = not seen
        nothing.update(self._nothing(hidden=len(rows)))
        self.query_one("#place", Static).update(self._place(len(rows), len(seen)))
        self._look()

    def _nothing(self, hidden: int) -> str:
        if self._trouble:
            return self._trouble
        if hidden:
            return "no row has the words of the filter"
        if self._words:
            what = "has all these words" if self._by == "words" else "is like this"
            return f"no row {what}; escape goes back to the list"
        return "nothing is remembered here"

    def _place(self, there: int, seen: int) -> str:
        process = self.app.board.find(self.pid)
        name = f" {clip(process.name, 20)}" if process else ""
        what = "row" if there == 1 else "rows"
        if self._words:
            how = {"words": "with", "meaning": "like", "both": "with or like"}[self._by]
            what += f" {how} {clip(self._words, 30)}"
        count = f"{seen} of {there}" if seen != there else str(there)
        parts = [f"pid {self.pid}{name}", f"space {self._space}", f"{count} {what}"]
        if self._more and not self._words:
            parts.append(f"and more than these {_MOST}: search finds them")
        if self._trouble and there:
            parts.append(self._trouble)
        return clip(" | ".join(parts), 500)

    # -- the row under the cursor --------------------------------------------------------------

    @on(LiveTable.RowHighlighted, "#rows")
    def _moved(self, event: LiveTable.RowHighlighted) -> None:
        event.stop()
        self._look()

    def _look(self) -> None:
        """Read the row under the cursor, if it is another one or another state of it."""
        key = self.table.key
        briefs: Iterable[RowBrief | MemoryRow] = (
            (hit.row for hit in self._hits) if self._words else self._rows
        )
        found = next((row for row in briefs if row.key == key), None)
        wanted = (found.key, found.updated) if found else None
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._rest is not None:
            self._rest.stop()
        if wanted is None:
            self._tell("", "")
        else:
            self._rest = self.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        if self._wanted is not None:
            reading = self._read(self._wanted[0])
            self.run_worker(reading, exit_on_error=False, exclusive=True, group="row")

    async def _read(self, key: str) -> None:
        try:
            row = MemoryRow.model_validate(await self._call("mem.get", key=key))
            self._tell(key, _whole(row, time.time()))
        except LLMOSError as error:
            self._tell(key, error.message)
        except Exception as error:
            self.app.fault(error)

    def _tell(self, key: str, text: str) -> None:
        if key == (self._wanted[0] if self._wanted else ""):
            self.query_one("#row", Reader).show((line, "") for line in text.split("\n"))

    # -- actions -------------------------------------------------------------------------------

    @on(LiveTable.RowSelected, "#rows")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        event.stop()
        self.query_one("#row", Reader).focus()

    def key_escape(self) -> None:
        closed = self.query_one("#line", Input).has_class("hidden")
        if closed and not self.filter and self._words:
            self._go(self._pid, self._space)
        else:
            super().key_escape()
            self.focus_body()

    def action_search(self) -> None:
        self.app.push_screen(Question("Search for which words?", self._words), self._search)

    def _search(self, words: str | None) -> None:
        if words is not None:
            self._go(self._pid, self._space, words.strip())

    def action_space(self) -> None:
        rows = sorted(self.app.board.rows.values(), key=lambda row: row.pid)
        people = {str(row.pid): f"{row.pid:>5}  {clip(row.name, 40)}" for row in rows}

        def named(space: str | None, pid: int) -> None:
            if space is not None:
                self._go(pid, space.strip() or OWN)

        def chosen(pid: str | None) -> None:
            if pid is not None:
                question = Question(f"Which space of pid {pid}?", OWN, example=OWN)
                self.app.push_screen(question, lambda space: named(space, int(pid)))

        if people:
            self.app.push_screen(Choice("Whose memory?", people, str(self.pid)), chosen)
        else:
            self.notify("no process is known yet", severity="warning")

    def _go(self, pid: int | None, space: str, words: str = "") -> None:
        """To another memory, or to other words in it."""
        self._pid, self._space, self._words = pid, space, words
        self._rows, self._hits, self._more = [], [], False
        self._wanted = None
        self._ask(anew=True)

    def action_forget(self) -> None:
        key, found = self.table.key, actions.named(self.NAME, "forget")
        if key is None or found is None:
            return
        if why := self.app.refusal(found, self.target()):
            self.notify(why, severity="warning", markup=False)
            return
        # Whose it is must not change while the question is open.
        pid, space = self.pid, self._space

        async def do() -> str:
            done = await self.app.link.call("mem.delete", pid=pid, space=space, key=key)
            self._ask(anew=True)
            return f"{clip(key, 60)} is forgotten" if done["deleted"] else "it was gone already"

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.app.act(do)

        choices = {"no": "No, keep it", "yes": "Yes, forget it"}
        self.app.push_screen(Choice(f"Forget {clip(key, 200)}?", choices), answered)


def _list_cells(row: RowBrief, now: float) -> tuple[Cell, ...]:
    return (
        clip(row.key, 512),
        size(row.bytes),
        ",".join(row.labels),
        str(row.owner),
        duration(now - row.updated),
        duration(row.expires - now) if row.expires else "never",
    )


def _hit_cells(hit: Hit) -> tuple[Cell, ...]:
    labels = ",".join(hit.row.labels)
    return clip(hit.row.key, 512), f"{hit.score:.3g}", labels, clip(hit.snippet, 1000)


def _whole(row: MemoryRow, now: float) -> str:
    """A text as it is, anything else as JSON."""
    value = row.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    head = [
        f"{row.key} in {row.space}, written by pid {row.owner}",
        f"created {_clock(row.created)}, updated {_clock(row.updated)}",
    ]
    if row.expires:
        head.append(f"expires {_clock(row.expires)}, in {duration(row.expires - now)}")
    if row.labels:
        head.append(f"labels  {', '.join(row.labels)}")
    if len(text) > MOST_TEXT:
        text = text[:MOST_TEXT] + "\n… there is more: llmos mem get shows all of it"
    return "\n".join([*head, "", text])


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
