"""Rates: how many tokens a process, with its descendants, has spent in the last minute.

Counted in slices of time, the oldest of which is kept whole: so what it says is never less than
the truth, and no minute ever has more than the limit. It knows nothing about limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60.0
_SLICE: Final = 5.0


@dataclass(slots=True)
class Window:
    """``slices``: the number of a slice of time, and what was spent in it; oldest first."""

    slices: dict[int, int] = field(default_factory=dict)

    def add(self, now: float, amount: int) -> None:
        number = int(now // _SLICE)
        self.slices[number] = self.slices.get(number, 0) + amount
        self._forget(now)

    def total(self, now: float) -> int:
        self._forget(now)
        return sum(self.slices.values())

    def room_in(self, now: float, excess: int) -> float:
        """Seconds until at least ``excess`` of what was spent is more than a minute old."""
        freed = 0
        for number, amount in self.slices.items():
            freed += amount
            if freed >= excess:
                return max(0.0, (number + 1) * _SLICE + MINUTE - now)
        return MINUTE

    def _forget(self, now: float) -> None:
        oldest = now - MINUTE
        for number in [n for n in self.slices if (n + 1) * _SLICE <= oldest]:
            del self.slices[number]
