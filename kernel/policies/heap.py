"""A heap from which things can be taken out, and in which they can be moved: the next of many
in O(log n).

It knows nothing about what it holds.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

Key = tuple[float, ...]


class Heap(Generic[T]):
    """Things by their keys, least first, and by age where keys are equal."""

    __slots__ = ("_entries", "_places", "_pushes")

    def __init__(self) -> None:
        self._entries: list[tuple[Key, int, T]] = []
        self._places: dict[T, int] = {}
        """The number of the entry that counts for each."""
        self._pushes = count()

    def push(self, item: T, key: Key) -> None:
        """Put it in, or move it if it is in."""
        self._places[item] = number = next(self._pushes)
        heapq.heappush(self._entries, (key, number, item))
        self._tidy()

    def remove(self, item: T) -> None:
        # Its entry stays until it surfaces: taking it out of the middle would cost O(n).
        self._places.pop(item, None)
        self._tidy()

    def first(self) -> tuple[Key, T] | None:
        while self._entries:
            key, number, item = self._entries[0]
            if self._places.get(item) == number:
                return key, item
            heapq.heappop(self._entries)
        return None

    def __contains__(self, item: T) -> bool:
        return item in self._places

    def __len__(self) -> int:
        return len(self._places)

    def _tidy(self) -> None:
        # What never surfaces would stay for ever. Each rebuilding is paid for by as many removals.
        if len(self._entries) > 2 * len(self._places) + 16:
            self._entries = [e for e in self._entries if self._places.get(e[2]) == e[1]]
            heapq.heapify(self._entries)
