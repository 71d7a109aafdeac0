"""A circuit breaker: a driver that keeps failing gets nothing for a while, then one burst on trial.

Closed, open, half-open as in Nygard's "Release It!" (2007). It knows nothing about drivers, nor
what counts as a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["closed", "open", "half-open"]

FAILURES: Final = 3
"""So many in a row open it."""

FIRST_PAUSE: Final = 5.0
"""Seconds for which it is open the first time; each failed trial doubles them."""

LONGEST_PAUSE: Final = 120.0


@dataclass(slots=True)
class Breaker:
    state: State = "closed"
    failures: int = 0
    """In a row."""
    pause: float = FIRST_PAUSE

    def failed(self) -> bool:
        """True if that opens it, for ``pause`` seconds."""
        self.failures += 1
        if self.state == "half-open":
            self.pause = min(LONGEST_PAUSE, 2 * self.pause)
        elif self.state == "open" or self.failures < FAILURES:
            return False
        self.state = "open"
        return True

    def try_again(self) -> None:
        """Its pause is over."""
        if self.state == "open":
            self.state = "half-open"

    def succeeded(self) -> bool:
        """True if that closes it."""
        before, self.state = self.state, "closed"
        self.failures, self.pause = 0, FIRST_PAUSE
        return before != "closed"
