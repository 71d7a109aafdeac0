"""A driver's pace: how fast it has begun and gone on with answers, of late.

What was measured too long ago counts no more, so that a driver that was slow once is tried again.
It knows nothing about why a driver is as fast as it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_SAMPLES: Final = 64
_FRESH: Final = 0.2
"""How much the newest answer counts beside all before it."""
_STALE: Final = 120.0
"""Seconds after which nothing is known any more."""


@dataclass(slots=True)
class Pace:
    """``read``: seconds to the first token, for each token of the prompt that had to be read.
    ``make``: seconds from one token of an answer to the next."""

    read: float | None = None
    make: float | None = None
    firsts: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    at: float = 0.0

    def began(self, seconds: float, unread: int, now: float) -> None:
        """A first token came so long after its burst had started."""
        self._forget(now)
        self.firsts.append(seconds)
        self.read = _mixed(self.read, seconds / max(1, unread))

    def went_on(self, seconds: float, tokens: int, now: float) -> None:
        """So many more tokens came in that time."""
        if tokens > 0:
            self._forget(now)
            self.make = _mixed(self.make, seconds / tokens)

    def expected(self, unread: int, tokens: int, now: float) -> float | None:
        """Seconds for reading so many tokens and making so many; None: nobody knows."""
        if self.read is None or now - self.at > _STALE:
            return None
        return self.read * max(1, unread) + (self.make or 0.0) * tokens

    def percentile(self, share: float) -> float | None:
        """Of the seconds to the first token."""
        ranked = sorted(self.firsts)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else None

    def _forget(self, now: float) -> None:
        if now - self.at > _STALE:
            self.read = self.make = None
        self.at = now


def _mixed(before: float | None, fresh: float) -> float:
    return fresh if before is None else before + _FRESH * (fresh - before)
