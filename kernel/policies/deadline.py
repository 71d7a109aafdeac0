"""Earliest deadline first: the burst that is due soonest.

A burst without a deadline counts as due ``patience`` seconds after its admission, and one that
comes when its deadline is over already counts as due at once. Neither date moves while a burst
lives, so who gives his slot away never takes it back from the same one.

What it promises, and what not:

- On one slot, if there is any order at all in which every burst is done when it counts as due,
  then this is one, up to a quantum: a slot is given away only when that is over.
- A burst is passed only by those that count as due before it does, and so never by one that is
  admitted after that time. It waits for work that was admitted by then, and for no more: that
  is why nobody starves, with a deadline or without one.
- When there is more work than time, what is overdue still goes first, and can make others late
  that could have been in time. Nothing is dropped: to end what is late is its owner's affair.

It knows nothing about how long a burst will be.
"""

from __future__ import annotations

from kernel.burst import Burst
from kernel.policies.heap import Key
from kernel.policies.keyed import Keyed


class Deadline(Keyed):
    def __init__(self, quantum: int = 16, patience: float = 60.0) -> None:
        super().__init__(quantum)
        self.patience = patience

    def key(self, burst: Burst) -> Key:
        return (self._due(burst), burst.id)

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        return self._due(waiting) < self._due(running)

    def _due(self, burst: Burst) -> float:
        if burst.due is None:
            return burst.admitted + self.patience
        return max(burst.due, burst.admitted)
