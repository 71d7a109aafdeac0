"""First in, first out: by the order of submission.

A burst that comes back after its driver died keeps the place that its age gives it.
"""

from __future__ import annotations

import heapq
from itertools import count

from kernel.burst import Burst


class Fifo:
    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Burst]] = []
        self._queued: set[int] = set()
        self._pushes = count()

    def push(self, burst: Burst) -> None:
        self._queued.add(burst.id)
        heapq.heappush(self._heap, (burst.id, next(self._pushes), burst))

    def remove(self, burst: Burst) -> None:
        # It stays in the heap until it surfaces: taking it out of the middle would cost O(n).
        self._queued.discard(burst.id)

    def first(self) -> Burst | None:
        while self._heap:
            burst = self._heap[0][2]
            if burst.id in self._queued:
                return burst
            heapq.heappop(self._heap)
        return None

    def __len__(self) -> int:
        return len(self._queued)
