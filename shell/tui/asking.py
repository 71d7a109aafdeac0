"""A view that asks the kernel for what it shows: now and then, when it comes to the front, and
after it has changed something.

It knows nothing about what is asked for.
"""

from __future__ import annotations

import time
from typing import ClassVar

from textual.worker import Worker

from shell.tui.feed import Change
from shell.tui.view import View


class AskingView(View):
    """A subclass gives ``_fetch``, which never raises, and ``_show``, what was found. ``AGAIN``:
    seconds between two looks."""

    AGAIN: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0.0
        self._asking: Worker[None] | None = None

    def live(self, change: Change) -> None:
        fronted = change.pids is None and change.vitals
        if fronted or time.monotonic() - self._asked >= self.AGAIN:
            self._ask()
        elif change.pids is None:
            self._show()

    def _ask(self, *, anew: bool = False) -> None:
        """``anew``: what is being asked for is no longer wanted."""
        if not anew and self._asking is not None and not self._asking.is_finished:
            return
        self._asked = time.monotonic()
        self._asking = self.run_worker(
            self._fetch(), exit_on_error=False, exclusive=True, group="ask"
        )

    async def _fetch(self) -> None:
        """Ask, and show."""
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError
