"""A view of what one process keeps: a list, and beside it all of what is under the cursor.

It knows whose it is, and asks before anything goes; what is kept, and how it is read, is for
others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from textual.timer import Timer

from shell.terminal import clip
from shell.tui import actions
from shell.tui.asking import AskingView
from shell.tui.dialogs import Choice

_REST: Final = 0.15
"""Seconds that the cursor rests before what is under it is read."""


class KeptView(AskingView):
    """A subclass has a ``#left`` and a ``#right`` in its ``#halves``."""

    DEFAULT_CSS = """
    KeptView #halves { layout: horizontal; height: 1fr; }
    KeptView.-narrow #halves { layout: vertical; }
    KeptView #left { width: 1fr; height: 1fr; }
    KeptView #right { width: 1fr; height: 1fr; }
    KeptView.-narrow #left, KeptView.-narrow #right { width: 100%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
        self._pid: int | None = None
        self._rest: Timer | None = None

    @property
    def pid(self) -> int:
        """Whose it is; at first, one's own."""
        return self._pid if self._pid is not None else self.app.link.rights.pid

    def target(self) -> int | None:
        return self.pid

    def _ask_whose(self, question: str, then: Callable[[int], None]) -> None:
        rows = sorted(self.app.board.rows.values(), key=lambda row: row.pid)
        people = {str(row.pid): f"{row.pid:>5}  {clip(row.name, 40)}" for row in rows}

        def chosen(pid: str | None) -> None:
            if pid is not None:
                then(int(pid))

        if people:
            self.app.push_screen(Choice(question, people, str(self.pid)), chosen)
        else:
            self.notify("no process is known yet", severity="warning")

    def _ask_first(
        self,
        action: str,
        question: str,
        do: Callable[[], Awaitable[str]],
        *,
        no: str = "No",
        yes: str = "Yes",
    ) -> None:
        """Do it after a yes, if it may be done at all. Whose it is must not change meanwhile."""
        found = actions.named(self.NAME, action)
        why = self.app.refusal(found, self.target()) if found else ""
        if why:
            self.notify(why, severity="warning", markup=False)
            return

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.app.act(do)

        self.app.push_screen(Choice(clip(question, 300), {"no": no, "yes": yes}), answered)

    def _when_rested(self, do: Callable[[], None]) -> None:
        """Once the cursor rests where it is now."""
        self._stay()
        self._rest = self.set_timer(_REST, do)

    def _stay(self) -> None:
        """Nothing is read any more that the cursor has left."""
        if self._rest is not None:
            self._rest.stop()
