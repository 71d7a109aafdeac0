"""Round robin: every burst in its turn, for one quantum of tokens.

A burst whose quantum is over goes to the end of the queue if anybody waits. So while one waits,
each of those before it has at most one turn, and whoever comes later has none: it waits for at
most one quantum of each that was there, shared by the slots.

It knows nothing about who a burst belongs to: a tree of fifty processes has fifty turns.
"""

from __future__ import annotations

from kernel.burst import Burst
from kernel.policies.heap import Key
from kernel.policies.keyed import Keyed


class RoundRobin(Keyed):
    def __init__(self, quantum: int = 32) -> None:
        super().__init__(quantum)

    def key(self, burst: Burst) -> Key:
        return (burst.submitted,)

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        return True
