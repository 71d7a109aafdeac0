"""One process: the conversation with it, and all that is known of it.

It knows how to follow a process; how its messages and facts look is for others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static, TabbedContent, TabPane

from llmagentos.abi.calls.cap import ListResult
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.process import ProcessDetail, ProcessInfo
from shell.tui import contexts, facts, limits, signals
from shell.tui.conversation import MOST, Conversation
from shell.tui.feed import Change
from shell.tui.say import Say
from shell.tui.table import Column, LiveTable
from shell.tui.view import View, bound
from shell.tui.words import Words

_PANES: Final = {
    "talk": "Conversation",
    "context": "Context",
    "budget": "Budget",
    "rights": "Rights",
    "family": "Family",
    "history": "History",
    "manifest": "Manifest",
}
_CONTEXT: Final = (
    Column("id", "ID", 6, right=True),
    Column("role", "ROLE", 9),
    Column("tokens", "≈TOKENS", 7, right=True),
    Column("time", "TIME", 8, 1),
    Column("text", "TEXT", 20, grow=True),
)
_TALL: Final = 16
"""Lines from which on there is room for more than what is said."""
_AGAIN: Final = 1.0
"""Seconds between two tries to follow it, and between two looks at what changes by itself."""
_WHILE: Final = 60.0
"""Seconds that it is followed by one call."""


class AgentView(View):
    NAME = "agent"
    FILTERED = False
    BINDINGS: ClassVar[list[BindingType]] = bound("agent")
    VERTICAL_BREAKPOINTS = [(0, "-short"), (_TALL, "-tall")]  # noqa: RUF012 - as its base has it
    DEFAULT_CSS = """
    AgentView #who { height: 1; padding: 0 1; background: $boost; text-wrap: nowrap; }
    AgentView TabbedContent { height: 1fr; }
    AgentView TabPane { padding: 0; }
    AgentView .facts { padding: 0 1; }
    AgentView.-short #views { display: none; }
    AgentView.-short Meters { display: none; }
    AgentView.-short Meters.down { display: block; height: 1; }
    AgentView.-short Say { border: none; height: 1; padding: 0 1; background: $boost; }
    AgentView.-short Bubble { margin: 0 1; }
    """

    def __init__(self, pid: int, *, talk: bool = False) -> None:
        super().__init__()
        self.pid = pid
        self._talk = talk
        self._detail: ProcessDetail | None = None
        self._messages: list[ContextMessage] = []
        self._tokens = 0
        self._stale = asyncio.Event()
        self._seen = asyncio.Event()
        """It was read once: what it says now belongs after what it has said before."""
        self._looked = 0.0
        self._idle = False
        self._known: tuple[int, str, int] | None = None
        self._reading = asyncio.Lock()

    def body(self) -> Iterable[Widget]:
        yield Words(f"pid {self.pid}", id="who")
        with TabbedContent(id="panes"):
            with TabPane(_PANES["talk"], id="talk"):
                yield Conversation(id="conversation")
                yield Say(self.pid, id="say")
            with TabPane(_PANES["context"], id="context"):
                yield LiveTable(*_CONTEXT, id="messages")
            for name in ("budget", "rights", "family", "history", "manifest"):
                with TabPane(_PANES[name], id=name), VerticalScroll():
                    yield Words(id=f"{name}-facts", classes="facts")

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._follow(), exit_on_error=False, group="follow")
        self.run_worker(self._look(), exit_on_error=False, group="look")

    def focus_body(self) -> None:
        if self._talk:
            self.set_focus(self.query_one("#say"))
        elif self._pane == "talk":
            self.set_focus(self.query_one(Conversation))
        else:
            pane = self.query_one(f"#{self._pane}", TabPane)
            for widget in pane.query("LiveTable, VerticalScroll"):
                self.set_focus(widget)
                break

    @property
    def _pane(self) -> str:
        return self.query_one("#panes", TabbedContent).active or "talk"

    def target(self) -> int | None:
        return self.pid

    def live(self, change: Change) -> None:
        # Now and then in any case: what others do to its context is no event.
        old = time.monotonic() - self._looked > _AGAIN
        if change.pids is None or self.pid in change.pids or old:
            self._stale.set()

    # -- following it --------------------------------------------------------------------------

    async def _look(self) -> None:
        """Read it anew whenever something has happened to it."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            self._looked = time.monotonic()
            try:
                await self._read()
            except LLMOSError as error:
                self._who(error.message)
            except Exception as error:
                if self.is_gone:
                    return  # while it was read
                self.app.fault(error)
            self._seen.set()
            await asyncio.sleep(0.2)

    async def _read(self, *, forced: bool = False) -> None:
        """``forced``: the messages too, whether there are more or not."""
        async with self._reading:
            call = self.app.link.call
            self._detail = ProcessDetail.model_validate(await call("proc.info", pid=self.pid))
            process = self._detail.process
            self._idle = process.state not in ("RUNNING", "READY")
            self._who(facts.headline(process, self.app.colour_of))
            await self._show_pane()
            known = (process.context_messages, process.state, process.context_tokens)
            if forced or known != self._known or self._pane == "context":
                self._known = known
                found = await contexts.read(self.app.link, self.pid, MOST)
                self._messages, self._tokens = found.messages, found.tokens
            conversation = self.query_one(Conversation)
            await conversation.show(self._messages, idle=self._idle)
            conversation.note(facts.ending(process) or facts.waiting(self._detail))
            if process.exit is not None:
                self.query_one(Say).retire()

    def _who(self, words: str | Text) -> None:
        self.query_one("#who", Words).update(words)

    async def _show_pane(self) -> None:
        detail, name = self._detail, self._pane
        if detail is None or name == "talk":
            return
        if name == "context":
            rows = facts.context_rows(self._messages, self._tokens)
            self.query_one("#messages", LiveTable).show(rows)
            return
        shown: Any
        if name == "budget":
            shown = facts.budget(detail)
        elif name == "rights":
            found = await self.app.link.call("cap.list", pid=self.pid)
            shown = facts.rights(ListResult.model_validate(found), detail.process)
        elif name == "family":
            shown = facts.family(detail, self.app.board.find)
        elif name == "history":
            shown = facts.history(detail, self.app.colour_of)
        else:
            shown = facts.manifest(detail.spec)
        self.query_one(f"#{name}-facts", Static).update(shown)

    async def _follow(self) -> None:
        """Its answers, as they are made, until it has ended."""
        conversation = self.query_one(Conversation)
        burst = 0
        await self._seen.wait()
        while True:
            try:
                # For a while only, so that the kernel is not asked for ever by a view that is gone.
                answer = self.app.link.open(
                    "proc.wait", pid=self.pid, stream=True, reap=False, timeout=_WHILE
                )
                try:
                    again = True
                    async for piece in answer.pieces():
                        if piece.burst != burst and burst:
                            await self._read(forced=True)
                        same = piece.burst == burst
                        # Asked again, it tells an answer that is being made from its beginning.
                        await conversation.hear(piece.text, anew=piece.anew or (again and same))
                        burst, again = piece.burst, False
                        if self._idle:
                            self._stale.set()
                    await answer.result()
                finally:
                    answer.close()
            except LLMOSError as error:
                if error.code == "ETIMEOUT":
                    continue
                if error.code != "ECONNREFUSED":
                    return
            except Exception as error:
                if self.is_gone:
                    return
                self.app.fault(error)
            else:
                await conversation.hush()
                self._stale.set()
                return
            await asyncio.sleep(_AGAIN)

    # -- actions -------------------------------------------------------------------------------

    @property
    def _process(self) -> ProcessInfo | None:
        return self.app.board.rows.get(self.pid) or (self._detail.process if self._detail else None)

    @on(TabbedContent.TabActivated, "#panes")
    def _turned(self, event: TabbedContent.TabActivated) -> None:
        event.stop()
        self._stale.set()
        # It can be focused when it is shown, and not before.
        self.call_after_refresh(self.focus_body)

    def action_talk(self) -> None:
        self.query_one("#panes", TabbedContent).active = "talk"
        self.set_focus(self.query_one("#say"))

    def action_back(self) -> None:
        if self.leave():
            return
        if self.query_one("#say").has_focus:
            self._talk = False
            self.focus_body()
        else:
            self.app.pop_screen()

    def action_kill(self) -> None:
        if (process := self._process) is not None:
            signals.choose(self.app, [process], self._stale.set)

    def action_hold(self) -> None:
        if (process := self._process) is not None:
            signals.hold(self.app, [process])

    def action_fold(self) -> None:
        self.query_one(Conversation).fold()

    def action_next_tab(self) -> None:
        self._turn(1)

    def action_previous_tab(self) -> None:
        self._turn(-1)

    def _turn(self, by: int) -> None:
        names = list(_PANES)
        panes = self.query_one("#panes", TabbedContent)
        panes.active = names[(names.index(self._pane) + by) % len(names)]

    def action_checkpoint(self) -> None:
        contexts.checkpoint(self.app, self.pid, self._stale.set)

    def action_rewind(self) -> None:
        def rewound() -> None:
            self._known = None
            self._stale.set()

        checkpoints = self._detail.checkpoints if self._detail else []
        contexts.rewind(self.app, self.pid, checkpoints, self._messages, rewound)

    def action_fork(self) -> None:
        contexts.fork(self.app, self.pid)

    def action_limits(self) -> None:
        limits.lower(self.app, self.pid, self._stale.set)
