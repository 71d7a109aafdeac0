"""How long to rest before a connection is made again.

One that has lasted comes again at once: the kernel was started anew, and somebody waits. One that
ended as soon as it was there may do so for ever, so after each such there is a rest, twice as long
as the one before. It knows nothing about sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LASTED: Final = 2.0
"""Seconds after which a connection is one that was good for something."""


class Backoff:
    """``first`` and ``most``: the shortest and the longest rest, in seconds."""

    def __init__(
        self, first: float = 0.05, most: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first
        self._most = most
        self._clock = clock
        self._up_at: float | None = None
        self._rest = 0.0

    def up(self) -> None:
        """The connection stands."""
        self._up_at = self._clock()

    def down(self) -> float:
        """It has ended, or never stood: seconds until the next one is to be made."""
        up_at, self._up_at = self._up_at, None
        if up_at is not None and self._clock() - up_at >= LASTED:
            self._rest = 0.0
        else:
            self._rest = min(self._most, self._rest * 2 or self._first)
        return self._rest
