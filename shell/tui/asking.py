"""A view that asks the kernel for what it shows: now and then, when it comes to the front, and
after it has changed something.

It knows nothing about what is asked for.
"""

from __future__ import annotations

import time
from typing import ClassVar

from textual.worker import Worker

from llmagentos.abi.errors import ECONNREFUSED, ETIMEOUT, LLMOSError
from shell.tui.feed import Change
from shell.tui.view import View


class AskingView(View):
    """A subclass gives ``_load``, which asks, ``_clear``, which forgets what was found, and
    ``_show``. ``AGAIN``: seconds between two looks."""

    AGAIN: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0.0
        self._asking: Worker[None] | None = None
        self._trouble = ""
        """Why nothing was found out the last time."""

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
        try:
            await self._load()
            self._trouble = ""
        except LLMOSError as error:
            self._trouble = error.message
            if not isinstance(error, ECONNREFUSED | ETIMEOUT):
                # The kernel is there, and what was shown is not.
                self._clear()
        except Exception as error:
            self.app.fault(error)
        self._show()

    async def _load(self) -> None:
        raise NotImplementedError

    def _clear(self) -> None:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError
