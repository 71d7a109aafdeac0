"""Crash points: named places on the way from a call to its reply where the kernel can be told to
die, as by ``kill -9``.

A kill from outside almost never hits the few microseconds between, say, a commit and the replies
that tell of it; and there a mistake would lose what was acknowledged, or do it twice.
``LLMOS_CRASH_AT=<point>:<n>`` makes this process kill itself when it passes that point for the
n-th time: ``tests/campaigns/crash.py`` does so hundreds of times. It is read once, and without it
``reach`` does nothing. It knows nothing about what happens at a point.

    at-boot-after-load   the state was read, nothing was made of it yet
    during-migration     before a statement of a migration
    before-apply         messages are there, nothing was done about them
    after-apply          they were applied, the rows of the turn are not written yet
    before-commit        all rows are written, not committed
    after-commit         committed, nobody was told
    mid-send             half of the replies have left
    after-send           all replies, commands and events have left
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "LLMOS_CRASH_AT"

POINTS: Final = (
    "at-boot-after-load", "during-migration", "before-apply", "after-apply", "before-commit",
    "after-commit", "mid-send", "after-send",
)  # fmt: skip

_LEAVING: Final = 0.02
"""Seconds for what was sent to leave: ZeroMQ sends from a thread of its own, which dies too."""


def _nothing(point: str) -> None:
    """No crash was asked for."""


def _plan(text: str) -> Callable[[str], None]:
    planned, _, count = text.partition(":")
    if planned not in POINTS:
        raise ValueError(f"{VARIABLE}: there is no point {planned!r}")
    left = int(count or 1)

    def reach(point: str) -> None:
        nonlocal left
        left -= point == planned
        if not left:
            time.sleep(_LEAVING)
            os.kill(os.getpid(), signal.SIGKILL)

    return reach


_TEXT: Final = os.environ.get(VARIABLE, "")

reach: Final = _plan(_TEXT) if _TEXT else _nothing
