"""The first start: what comes up, how far it is, and then a chat with the assistant.

It knows nothing about how a system is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import ProgressBar, Static

from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.errors import LLMOSError
from shell import boot
from shell.engines import computing, progress
from shell.terminal import printable
from shell.tui.feed import Change
from shell.tui.view import View, bound
from shell.tui.words import Words
from shell.watch import services_of

ASSISTANT: Final = "assistant"
"""The manifest to chat with."""


class StartView(View):
    NAME = "start"
    FILTERED = False
    BINDINGS: ClassVar[list[BindingType]] = bound("start")
    DEFAULT_CSS = """
    StartView #coming { align: center middle; height: 1fr; }
    StartView #welcome { width: 72; max-width: 96%; height: auto; padding: 0 0 1 0; }
    StartView .driver { width: 72; max-width: 96%; height: 2; layout: vertical; }
    StartView ProgressBar Bar { width: 60; }
    StartView #trouble { width: 72; max-width: 96%; height: auto; color: $error; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._leaving = False

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="coming", can_focus=False):
            yield Static(
                "LLMAgentOS is coming up. When its model is there, a chat with the assistant opens "
                "by itself; Esc shows the processes at once.",
                id="welcome",
            )
            yield Words(id="trouble")

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._watch_kernel(), exit_on_error=False)

    async def _watch_kernel(self) -> None:
        """A kernel that does not come up has left a word why."""
        try:
            await asyncio.to_thread(boot.wait_until_up, self.app.link.home)
        except LLMOSError as error:
            self._trouble(f"{error.message}\n{error.hint}")

    def live(self, change: Change) -> None:
        if not change.vitals or self._leaving:
            return
        engines = computing(self.app.feed.vitals.drivers)
        for driver in engines:
            self._show(driver)
        hosts = [d for d in self.app.feed.vitals.drivers if d.kind == "host" and d.state == "ready"]
        if hosts and any(driver.state == "ready" for driver in engines):
            self._leaving = True
            self.app.act(self._chat)
            return
        failed = [progress(driver) for driver in engines if driver.state in ("failed", "down")]
        given_up = [
            f"{service['name']} is given up: {service['given_up']}"
            for service in services_of(self.app.link.home)
            if service.get("given_up")
        ]
        self._trouble("\n".join([*failed, *given_up]))

    def _show(self, driver: DriverInfo) -> None:
        """Its bar, and in words what it does."""
        id = f"driver-{driver.name.replace('.', '-')}"
        words = printable(progress(driver))
        for row in self.query(f"#{id}"):
            row.query_one(Static).update(words)
            row.query_one(ProgressBar).update(total=_total(driver), progress=100 * _done(driver))
            return
        row = Horizontal(
            Words(words),
            ProgressBar(total=_total(driver), show_eta=False),
            id=id,
            classes="driver",
        )
        self.query_one("#coming").mount(row, before="#trouble")

    def _trouble(self, words: str) -> None:
        self.query_one("#trouble", Static).update(printable(words))

    async def _chat(self) -> str | None:
        """With the assistant that is there already, or a new one."""
        for process in self.app.board.rows.values():
            if process.manifest == ASSISTANT and process.state != "ZOMBIE":
                self.app.open_agent(process.pid, talk=True)
                return None
        try:
            spawned = await self.app.link.call("proc.spawn", manifest=ASSISTANT)
        except LLMOSError:
            self.action_skip()
            raise
        self.app.open_agent(spawned["pid"], talk=True)
        return None

    def action_skip(self) -> None:
        self._leaving = True
        self.app.go("processes")


def _done(driver: DriverInfo) -> float:
    if driver.state == "ready":
        return 1.0
    return driver.progress or 0.0


def _total(driver: DriverInfo) -> int | None:
    """None: how long it takes is not known."""
    return 100 if driver.state == "ready" or driver.progress is not None else None
