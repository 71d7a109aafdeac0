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
from textual.widgets import Input, Static

from llmagentos.abi.calls.mem import OWN, Hit, ListResult, MemoryRow, RowBrief, SearchResult
from llmagentos.abi.errors import LLMOSError
from shell.terminal import clip, clock, duration, size
from shell.tui.content import MOST_TEXT
from shell.tui.dialogs import Question
from shell.tui.kept import KeptView
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


class MemoryView(KeptView):
    NAME = "memory"
    BINDINGS: ClassVar[list[BindingType]] = bound("memory")
    DEFAULT_CSS = """
    MemoryView #place { height: 1; padding: 0 1; color: $text-muted; }
    MemoryView .bare #rows { max-height: 1; }
    MemoryView #left { width: 3fr; }
    MemoryView #right { width: 2fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._space = OWN
        self._words = ""
        self._rows: list[RowBrief] = []
        self._hits: list[Hit] = []
        self._by = "words"
        self._more = False
        self._wanted: tuple[str, float] | None = None

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

    # -- what is there -------------------------------------------------------------------------

    async def _load(self) -> None:
        if self._words:
            found = await self._call("mem.search", query=self._words, limit=_HITS)
            result = SearchResult.model_validate(found)
            self._hits, self._by = result.hits, result.by
        else:
            await self._list()

    def _clear(self) -> None:
        self._rows, self._hits = [], []

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
        seen = self.filtered(rows)
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
        if wanted is None:
            self._stay()
            self._tell("", "")
        else:
            self._when_rested(self._rested)

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
        def named(space: str | None, pid: int) -> None:
            if space is not None:
                self._go(pid, space.strip() or OWN)

        def chosen(pid: int) -> None:
            question = Question(f"Which space of pid {pid}?", OWN, example=OWN)
            self.app.push_screen(question, lambda space: named(space, pid))

        self._ask_whose("Whose memory?", chosen)

    def _go(self, pid: int | None, space: str, words: str = "") -> None:
        """To another memory, or to other words in it."""
        self._pid, self._space, self._words = pid, space, words
        self._rows, self._hits, self._more = [], [], False
        self._wanted = None
        self._ask(anew=True)

    def action_forget(self) -> None:
        key, pid, space = self.table.key, self.pid, self._space
        if key is None:
            return

        async def do() -> str:
            done = await self.app.link.call("mem.delete", pid=pid, space=space, key=key)
            self._ask(anew=True)
            return f"{clip(key, 60)} is forgotten" if done["deleted"] else "it was gone already"

        question = f"Forget {clip(key, 200)}?"
        self._ask_first("forget", question, do, no="No, keep it", yes="Yes, forget it")


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
        f"created {clock(row.created)}, updated {clock(row.updated)}",
    ]
    if row.expires:
        head.append(f"expires {clock(row.expires)}, in {duration(row.expires - now)}")
    if row.labels:
        head.append(f"labels  {', '.join(row.labels)}")
    if len(text) > MOST_TEXT:
        text = text[:MOST_TEXT] + "\n… there is more: llmos mem get shows all of it"
    return "\n".join([*head, "", text])
