"""The approvals: what waits for the user's decision, and all of the one under the cursor.

It knows the ``cap`` calls, and how a file would change; what a decision leads to is the kernel's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static
from textual.worker import Worker

from llmagentos.abi.calls.cap import Approval, DecideResult, ListResult
from llmagentos.abi.calls.fs import FileInfo
from llmagentos.abi.errors import ECONNREFUSED, ENOENT, ETIMEOUT, LLMOSError
from shell.commands.approvals import visible
from shell.terminal import clip, size
from shell.tui import actions, asked
from shell.tui.asking import AskingView
from shell.tui.dialogs import Question
from shell.tui.reader import Line, Reader
from shell.tui.table import Cell, Column, FixedTable, LiveTable
from shell.tui.view import bound
from shell.tui.words import Words

PENDING: Final = (
    Column("id", "ID", 4, right=True),
    Column("pid", "PID", 5, right=True),
    Column("name", "NAME", 11, grow=True),
    Column("capability", "CAPABILITY", 15, grow=True),
    Column("age", "AGE", 6, 1, right=True),
    Column("expires", "EXPIRES", 7, 2, right=True),
)
SETTLED: Final = (PENDING[0], Column("status", "STATUS", 9), *PENDING[1:])
_HISTORY: Final = 100
"""Of those that are settled."""
_UNSEEN: Final = 0.5
"""Seconds that one which came under the cursor by itself can't be decided: nobody has read it."""
_MOST_BYTES: Final = 1024 * 1024
"""Of a file that is compared."""


class ApprovalsView(AskingView):
    NAME = "approvals"
    AGAIN = 1.0
    BINDINGS: ClassVar[list[BindingType]] = bound("approvals")
    DEFAULT_CSS = """
    ApprovalsView #halves { height: 1fr; }
    ApprovalsView.-wide #halves { layout: horizontal; }
    ApprovalsView.-wide #left { width: 46%; height: 1fr; }
    ApprovalsView.-narrow #left { height: 7; }
    ApprovalsView #right { width: 1fr; height: 1fr; }
    ApprovalsView #asked { height: auto; text-style: bold; }
    ApprovalsView.bare #right { display: none; }
    ApprovalsView.bare #left { width: 100%; height: 1fr; }
    ApprovalsView.bare #approvals { max-height: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]
        self._known: dict[str, Approval] = {}
        self._settled = False
        self._shown: Approval | None = None
        """What can be seen now: a decision is about this, and nothing else."""
        self._changed_at = -_UNSEEN
        """When that became another one without anybody's doing."""
        self._deciding: set[int] = set()
        self._comparing: Worker[None] | None = None
        self._compared: tuple[int, int] | None = None
        """Of which approval, and with which version of the file."""

    def body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="left"):
                yield FixedTable(*PENDING, id="approvals")
                yield Words(id="nothing", classes="empty")
            with Vertical(id="right", classes="pane"):
                yield Words(id="asked")
                yield Reader(id="whole")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#approvals", LiveTable)

    def target(self) -> int | None:
        return self._shown.pid if self._shown else None

    # -- what is there -------------------------------------------------------------------------

    async def _load(self) -> None:
        self._known = {str(approval.id): approval for approval in await self._all()}

    def _clear(self) -> None:
        self._known = {}

    async def _all(self) -> list[Approval]:
        """Those that wait, oldest first; then the settled ones, newest first."""
        found: list[Approval] = []
        history = _HISTORY if self._settled else 0
        more = True
        while more:
            after = found[-1].id if found else 0
            page = await self.app.link.call("cap.list", history=history, after=after)
            listed = ListResult.model_validate(page)
            found += listed.approvals
            more = listed.more and bool(listed.approvals)
        waiting = [one for one in found if one.status == "pending"]
        return waiting + [one for one in reversed(found) if one.status != "pending"]

    def _show(self) -> None:
        now, words = time.time(), self.filter.lower().split()
        seen = {
            key: approval
            for key, approval in self._known.items()
            if all(word in asked.searched(approval) for word in words)
        }
        before = self._shown.id if self._shown else None
        self.table.show(
            {key: self._row(approval, now) for key, approval in seen.items()},
            SETTLED if self._settled else PENDING,
        )
        self.set_class(not seen, "bare")
        nothing = self.query_one("#nothing", Static)
        nothing.display = not seen
        nothing.update(self._trouble or self._nothing())
        self._look()
        if self._shown is not None and self._shown.id != before:
            self._changed_at = time.monotonic()

    def _nothing(self) -> str:
        if self._known:
            return "nothing here has the words of the filter"
        if self._settled:
            return "nothing waits for a decision, and nothing was decided yet"
        return "nothing waits for a decision"

    def _row(self, approval: Approval, now: float) -> tuple[Cell, ...]:
        waits = approval.status == "pending"
        status = (Text(approval.status, self.app.colour_of(approval.status)),)
        return (
            str(approval.id),
            *(status if self._settled else ()),
            str(approval.pid),
            visible(approval.name),
            visible(approval.capability),
            asked.coarse(now - approval.created),
            asked.coarse(approval.expires - now) if waits else "-",
        )

    # -- the one under the cursor --------------------------------------------------------------

    @on(LiveTable.RowHighlighted, "#approvals")
    def _moved(self, event: LiveTable.RowHighlighted) -> None:
        event.stop()
        self._look()

    @on(LiveTable.RowSelected, "#approvals")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        # To what is asked, and not to a yes: a second enter, from there, is that.
        event.stop()
        self.query_one("#whole", Reader).focus()

    def _look(self) -> None:
        """Show it, if it is another one or another state of it."""
        approval = self._known.get(self.table.key or "")
        if approval is not None:
            words = asked.headline(approval, time.time())
            words += f"\n{clip(self._trouble, 200)}" if self._trouble else ""
            self.query_one("#asked", Static).update(words)
        if approval != self._shown:
            self._shown, self._compared = approval, None
            self._tell(asked.whole(approval) if approval else [])
        if approval is not None and asked.writes(approval) and not self._trouble:
            self._compare_soon(approval)

    def _compare_soon(self, approval: Approval) -> None:
        busy, name = self._comparing, str(approval.id)
        if busy is None or busy.is_finished or busy.name != name:
            self._comparing = self.run_worker(
                self._compare(approval), name, "file", exit_on_error=False, exclusive=True
            )

    def _tell(self, lines: list[Line]) -> None:
        self.query_one("#whole", Reader).show(lines)

    async def _compare(self, approval: Approval) -> None:
        """Show how the file would change, instead of all that would be in it."""
        try:
            lines = await self._difference(approval)
        except (ECONNREFUSED, ETIMEOUT):
            return
        except LLMOSError as error:
            lines = asked.uncompared(approval, error.message)
        if lines is not None and approval == self._shown:
            self._tell(lines)

    async def _difference(self, approval: Approval) -> list[Line] | None:
        """None: it is shown already."""
        arguments = approval.arguments
        path, pid = arguments["path"], arguments.get("pid", approval.pid)
        version, before = 0, b""
        try:
            told = await self.app.link.call("fs.stat", path=path, pid=pid)
        except ENOENT:
            told = None
        if told is not None:
            file = FileInfo.model_validate(told)
            version = file.version
            if file.size > _MOST_BYTES:
                return asked.uncompared(approval, f"it has {size(file.size)}")
        if (approval.id, version) == self._compared:
            return None
        if version:
            before = await self.app.link.content(path, version=version, pid=pid)
        # In a thread: with many lines it takes a while.
        text = arguments["text"]
        change = await asyncio.to_thread(asked.difference, path, before, version, text)
        self._compared = approval.id, version
        return asked.whole(approval, change)

    # -- actions -------------------------------------------------------------------------------

    def key_escape(self) -> None:
        super().key_escape()
        self.focus_body()

    def action_history(self) -> None:
        self._settled = not self._settled
        self._ask(anew=True)

    def action_decide(self, how: str) -> None:
        """``how``: "once", "always" or "reject"."""
        approval, found = self._shown, actions.named(self.NAME, "decide")
        why = self.app.refusal(found, self.target()) if found else ""
        if approval is None:
            why = why or "nothing waits for a decision"
        elif approval.status != "pending":
            why = why or f"approval {approval.id} is settled: {approval.status}"
        elif time.monotonic() - self._changed_at < _UNSEEN:
            why = why or "this one has only just come here: read it first"
        if why or approval is None:
            self.notify(why, severity="warning", markup=False)
        elif how != "reject":
            self._decide(approval, approve=True, always=how == "always")
        else:
            what = clip(visible(approval.capability), 200)
            question = f"Reject {what} of {visible(approval.name)} (pid {approval.pid})?"
            hint = "a reason that it is told; may be empty"

            def told(reason: str | None) -> None:
                if reason is not None:
                    self._decide(approval, approve=False, reason=reason.strip())

            self.app.push_screen(Question(question, example=hint), told)

    def _decide(self, approval: Approval, **decision: Any) -> None:
        if approval.id in self._deciding:
            return
        self._deciding.add(approval.id)

        async def do() -> str:
            try:
                told = await self.app.link.call(
                    "cap.decide", approval=approval.id, hash=approval.hash, **decision
                )
                self._known.pop(str(approval.id), None)
                self._show()
            finally:
                self._deciding.discard(approval.id)
                self._ask(anew=True)
            return asked.decided(DecideResult.model_validate(told).approval)

        self.app.act(do)
