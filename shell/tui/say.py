"""The line in which one writes to a process.

It knows nothing about what the process makes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Input

from llmagentos.abi.errors import LLMOSError

if TYPE_CHECKING:
    from shell.tui.app import ShellApp


class Say(Input):
    DEFAULT_CSS = """
    Say { border: round $panel; height: 3; margin: 0; }
    Say:focus { border: round $primary; }
    """

    app: ShellApp

    def __init__(self, pid: int, *, id: str) -> None:
        super().__init__(placeholder="Write to it; Enter sends, Esc leaves the line", id=id)
        self._pid = pid

    def retire(self) -> None:
        """Nobody reads it any more."""
        self.placeholder = "It has ended, and reads nothing any more"

    @on(Input.Submitted)
    def _said(self, event: Input.Submitted) -> None:
        event.stop()
        text = self.value.strip()
        if not text:
            return
        self.clear()

        async def do() -> None:
            try:
                await self.app.link.call("ipc.send", pid=self._pid, body=text)
            except LLMOSError as error:
                # After a time-out it may have arrived all the same; then it must not go twice.
                if error.code != "ETIMEOUT" and not self.value:
                    self.value = text
                raise

        self.app.act(do)
