"""A token bucket: how much a provider still lets through, as far as one can tell from here.

It fills evenly up to its limit. It knows nothing about what is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmagentos.abi.cards import Rate

_INSTANT: Final = 0.001
"""Seconds that are no wait: a clock of fractions may not even tell them apart."""


@dataclass(slots=True)
class Bucket:
    """``level`` is what there was at the time ``at``."""

    rate: Rate
    level: float
    at: float

    @classmethod
    def of(cls, rate: Rate, now: float, before: Bucket | None = None) -> Bucket:
        """As its provider tells it. What we have sent and it has not seen yet is not in its
        number, so the smaller one counts."""
        level = float(rate.limit if rate.left is None else rate.left)
        if before is not None:
            level = min(level, before.there(now))
        return cls(rate, min(level, rate.limit), now)

    def there(self, now: float) -> float:
        filled = self.level + (now - self.at) * self.rate.limit / self.rate.period
        return min(float(self.rate.limit), filled)

    def ready_in(self, amount: int, now: float) -> float:
        """Seconds until so much can be taken. What is more than all it holds may go when it is
        full."""
        lacking = min(amount, self.rate.limit) - self.there(now)
        seconds = lacking * self.rate.period / self.rate.limit
        return seconds if seconds > _INSTANT else 0.0

    def take(self, amount: int, now: float) -> None:
        """Below zero, if it was told late how much there is."""
        self.level, self.at = self.there(now) - amount, now
