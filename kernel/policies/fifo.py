"""First in, first out: by the order of submission.

A burst that comes back after its driver died keeps the place that its age gives it, and nobody
gives a slot away before he is done. Nobody is ever passed by one that was submitted later, so
nobody starves; but who comes after a long burst waits for all of it.

It knows nothing about lengths, trees or time.
"""

from __future__ import annotations

from kernel.burst import Burst
from kernel.policies.heap import Key
from kernel.policies.keyed import Keyed


class Fifo(Keyed):
    def __init__(self) -> None:
        super().__init__(quantum=0)

    def key(self, burst: Burst) -> Key:
        return (burst.id,)

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        return False
