"""The agenda: what happens when, in virtual seconds. Nothing here ever waits.

It knows nothing about what happens.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """What is due at the same time happens in the order in which it was entered."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._entered = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + max(0.0, seconds), action)

    def at(self, moment: float, action: Callable[[], None]) -> None:
        self._entered += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._entered, action))

    def step(self) -> None:
        """The next thing happens; the time is then."""
        self.now, _, action = heapq.heappop(self._heap)
        action()
