"""Priorities as with nice, from -20 to 19: the lower number goes first, and among equals the one
that waits longer. With ageing, so that nobody starves.

A burst that waits gains one level in every ``ageing`` seconds. All that wait gain equally fast,
so their order never changes, and is that of ``priority * ageing + submitted``: a key that stands
still. One that runs gains nothing: it is worth its plain priority, which is also what it would
be worth were it to arrive now. It gives its slot away if the first that waits is worth at least
one whole level more. So equals take turns, but not more often than every ``ageing`` seconds, and
the burst that gave its slot away always stands behind the one that got it.

The bound, for a burst that begins to wait at a time t:

- None that begins to wait after t + 39 * ageing passes it: 39 levels are all there are.
- From t + 40 * ageing on, whatever runs gives its slot, at the end of its quantum, to this burst
  or to one of the n that still stand before it. Each of these needs one slot once, since it
  stands behind when it comes back.

So with s slots it waits for 40 * ageing seconds and 1 + n / s quanta at most, however many
urgent ones come, and however long they are. (A driver that can't preempt gives a slot away when
a burst ends: read *longest burst* for *quantum* there.)

It knows nothing about trees, and nothing about how long a burst is.
"""

from __future__ import annotations

from kernel.burst import Burst
from kernel.policies.heap import Key
from kernel.policies.keyed import Keyed


class Priority(Keyed):
    def __init__(self, quantum: int = 32, ageing: float = 5.0) -> None:
        super().__init__(quantum)
        self.ageing = ageing

    def key(self, burst: Burst) -> Key:
        return (burst.priority * self.ageing + burst.submitted, burst.id)

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        gained = (now - waiting.submitted) // self.ageing
        return waiting.priority - gained < running.priority
