"""Timers: what is to happen later, soonest first.

It knows nothing about clocks: the time comes in with every question.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator


class Timers:
    """Actions by key; setting a key again replaces its action."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._actions: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._count = 0

    def set(self, key: Hashable, due: float, action: Callable[[], None]) -> None:
        self._count += 1
        self._actions[key] = (self._count, action)
        heapq.heappush(self._heap, (due, self._count, key))
        if len(self._heap) > 2 * len(self._actions) + 64:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def set_once(self, key: Hashable, due: float, action: Callable[[], None]) -> None:
        """Set it unless it is set already."""
        if key not in self._actions:
            self.set(key, due, action)

    def cancel(self, key: Hashable) -> None:
        self._actions.pop(key, None)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._actions

    def next_due(self) -> float | None:
        """When the soonest one is due."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Callable[[], None]]:
        """The actions that are due, each removed as it is handed out."""
        while True:
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now:
                return
            _, _, key = heapq.heappop(self._heap)
            yield self._actions.pop(key)[1]

    def _drop_stale(self) -> None:
        # A cancelled or replaced timer stays in the heap until it surfaces: removal from the
        # middle of a heap would cost O(n).
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)

    def _is_current(self, entry: tuple[float, int, Hashable]) -> bool:
        _, count, key = entry
        return self._actions.get(key, (0,))[0] == count
