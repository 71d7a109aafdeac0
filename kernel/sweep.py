"""A sweep: a search by words that looks at so many rows at a time.

To rank a row takes about a microsecond, and a word may be in each of a hundred thousand: nobody
else shall wait for all of them. What has been found is looked up when the sweep is over, so it is
what is there then. It knows nothing about calls, nor about how words are indexed.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kernel.memory_store import Match, MemoryStore

_KEPT: Final = 600
"""Rows of each kind that are kept until it is over: as many as a search may want, and 500 that may
have expired and be there still."""

Ranked = tuple[int, float]
"""The id of a row, and its score."""


class Sweep:
    """``kinds``: for each way in which rows are looked for one after the other, whether they must
    have all the words, or only some. If enough have all of them, nothing else is looked for."""

    def __init__(
        self, store: MemoryStore, space: str, words: list[str], kinds: Sequence[bool]
    ) -> None:
        self._store = store
        self._space = space
        self._words = words
        self._left = list(kinds)
        self._after = 0
        self._best: dict[bool, list[Ranked]] = {every: [] for every in kinds}

    def step(self) -> bool:
        """Look at some more rows; whether there are others still."""
        while self._left:
            if self._step():
                return True
        return False

    def _step(self) -> bool:
        """Whether there was more than fits in one go."""
        every, whole = self._left[0], not self._after
        found, after = self._store.ranked(self._space, self._words, self._after, _KEPT, every=every)
        best = self._best[every]
        # Of equals, the older row.
        best[:] = nlargest(_KEPT, (*best, *found), key=lambda one: (one[1], -one[0]))
        if after is not None:
            self._after = after
            return True
        self._after = 0
        del self._left[0]
        if every and (len(self._words) == 1 or len(best) == _KEPT):
            self._left.clear()
        return bool(self._left) and not whole

    def found(self, every: bool, now: float, limit: int) -> list[Match]:
        """The best of what was looked for so; nothing, if that was not needed."""
        return self._store.matches(self._space, self._best[every], now, limit)
