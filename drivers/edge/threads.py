"""Threads: how many of them compute, as many as pay at the moment.

Threads that compute together wait for each other at every product, a thousand times a token. On a
quiet machine two are faster than one. Beside a busy program each wait may last as long as that
program's turn on the core, and one thread alone is several times as fast as two. So now and then a
step is made with other numbers of threads, half or twice as many, and what was faster is kept.
Between steps the number is what it was. It knows nothing about what a step computes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

_SOON: Final = 8
_LATE: Final = 256
"""Steps from one trial to the next: few at first, twice as many after each that changed nothing."""
_BETTER: Final = 0.9
"""Of the time that a step takes, at which it is worth a change."""
_WORSE: Final = 1.5
"""Times as long as usual: something has changed, so look at once."""


class Threads:
    """``most``: no more than these, and as many as there are outside of steps; ``use``: sets the
    number for what is computed from now on."""

    def __init__(self, most: int, use: Callable[[int], None]) -> None:
        self._most = most
        self._use = use
        self.count = most
        self._wait = _SOON
        self._left = _SOON
        self._fewer = True
        self._work: Hashable = None
        """Of the step under way."""
        self._usual: tuple[Hashable, float] | None = None
        """The work of the last steps, and how long they took."""
        self._tried: int | None = None
        self._promising: int | None = None
        """It was better once; if it is again, it is taken."""

    def begin(self, work: Hashable) -> None:
        """A step begins. Those of the same ``work`` take equally long."""
        if self._most == 1:
            return
        self._work = work
        same = self._usual is not None and self._usual[0] == work
        self._tried = None
        if self._left <= 0 and same:
            self._tried = self._promising or self._other()
        self._use(self._tried or self.count)

    def end(self, seconds: float) -> None:
        """It is over, and took so long. What belongs to it may still be computed."""
        if self._most == 1:
            return
        if self._tried is not None and self._usual is not None:
            better = seconds < _BETTER * self._usual[1]
            if better and self._promising is None:
                self._promising = self._tried
                return
            self._promising = None
            if better:
                self.count = self._tried
                self._usual = self._work, seconds
            self._wait = _SOON if better else min(_LATE, 2 * self._wait)
            self._left = self._wait
            return
        self._left -= 1
        if self._usual is None or self._usual[0] != self._work:
            self._usual = self._work, seconds
            return
        usual = self._usual[1]
        if seconds > _WORSE * usual and self._wait > _SOON:
            self._wait, self._left = _SOON, 0
        self._usual = self._work, 0.5 * usual + 0.5 * seconds

    def rest(self) -> None:
        """Whatever is computed from now on is somebody else's."""
        if self._most > 1:
            self._use(self._most)

    def _other(self) -> int:
        """Half as many, and the next time twice as many."""
        half, double = max(1, self.count // 2), min(self._most, self.count * 2)
        self._fewer = not self._fewer
        chosen = double if self._fewer else half
        if chosen == self.count:
            chosen = half if chosen == double else double
        return chosen
