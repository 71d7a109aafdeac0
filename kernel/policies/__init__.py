"""Scheduling policies: in which order the bursts that wait get slots. One file each.

A policy knows bursts only; which driver a burst goes to is placement's affair, and when a slot
is free the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kernel.policies.deadline import Deadline
from kernel.policies.fair import Fair
from kernel.policies.fifo import Fifo
from kernel.policies.priority import Priority
from kernel.policies.rr import RoundRobin

if TYPE_CHECKING:
    from kernel.burst import Burst


class Queue(Protocol):
    """The bursts that wait for slots of one driver. A burst may wait in the queues of several.
    Every operation is O(log n) in the length of the queue."""

    def push(self, burst: Burst) -> None: ...

    def remove(self, burst: Burst) -> None:
        """Take it out, wherever it stands; nothing happens if it isn't in here."""

    def first(self, now: float) -> Burst | None:
        """The burst that is next, left in the queue."""

    def __len__(self) -> int: ...


class Policy(Protocol):
    """The order of the bursts, for all drivers together. The scheduler tells it what becomes of
    each one, so that it can keep books: arrive, leave and start may happen many times, as a
    burst that lost its slot arrives again; end happens once."""

    quantum: int
    """Tokens after which a running burst may be asked to give its slot away; 0: never."""

    def queue(self) -> Queue:
        """A new one, for a driver."""

    def arrive(self, burst: Burst, now: float) -> None:
        """It begins to wait. Comes before it is pushed into the queues."""

    def leave(self, burst: Burst, now: float) -> None:
        """It waits no more: started, cancelled or held. Comes before it is removed from the
        queues."""

    def start(self, burst: Burst, now: float) -> None:
        """It got a slot."""

    def serve(self, burst: Burst, prompt_tokens: int, tokens: int, now: float) -> None:
        """What a report brought: newly counted prompt tokens, and new completion tokens."""

    def end(self, burst: Burst, now: float) -> None:
        """It is over, finished or cancelled: nothing more will be heard of it."""

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        """Whether ``running``, which had its quantum, gives its slot to ``waiting``, which is
        first in the queue of its driver. If so, it stands behind it when it is pushed again."""


POLICIES: dict[str, Callable[[], Policy]] = {
    "fair": Fair,
    "fifo": Fifo,
    "rr": RoundRobin,
    "priority": Priority,
    "deadline": Deadline,
}
"""By the name that the configuration has for them; the first is the default."""
