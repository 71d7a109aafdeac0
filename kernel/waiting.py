"""Waiting: the queued bursts, by what they wait for.

Bursts of one demand wait together. Where there is a driver for them, they stand in its run
queue (in several, if there are several); else they wait for one to come, and not for ever. It
knows nothing about slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kernel.burst import Burst
from kernel.demand import Demand
from kernel.ordered import Ordered
from kernel.placement import Decision
from kernel.policies import Policy, Queue
from kernel.registry import Driver


@dataclass(slots=True, eq=False)
class Wait:
    """The bursts of one demand, and who could take them. ``since``: when the last driver for them
    went away."""

    demand: Demand
    decision: Decision
    bursts: Ordered[Burst] = field(default_factory=Ordered)
    since: float | None = None


class Waiting:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._waits: dict[Demand, Wait] = {}
        self._queues: dict[str, Queue] = {}

    def __iter__(self) -> Iterator[Wait]:
        return iter(list(self._waits.values()))

    def find(self, demand: Demand | None) -> Wait | None:
        return self._waits.get(demand) if demand is not None else None

    def open(self, demand: Demand, decision: Decision) -> Wait:
        wait = self._waits[demand] = Wait(demand, decision)
        return wait

    def queue(self, driver: Driver) -> Queue:
        """Those that this driver can take, in the policy's order."""
        queue = self._queues.get(driver.name)
        if queue is None:
            queue = self._queues[driver.name] = self._policy.queue()
        return queue

    def add(self, wait: Wait, burst: Burst, now: float) -> None:
        burst.demand = wait.demand
        wait.bursts.add(burst)
        self._policy.arrive(burst, now)
        for driver in wait.decision.drivers:
            self.queue(driver).push(burst)

    def remove(self, burst: Burst, now: float) -> Wait | None:
        """Take it out of all queues. The wait that it was in, if that is empty and gone now."""
        wait = self.find(burst.demand)
        if wait is None or burst not in wait.bursts:
            return None
        self._policy.leave(burst, now)
        for driver in wait.decision.drivers:
            self.queue(driver).remove(burst)
        wait.bursts.discard(burst)
        burst.demand = None
        if wait.bursts:
            return None
        del self._waits[wait.demand]
        return wait

    def redirect(self, wait: Wait, decision: Decision) -> None:
        """Other drivers can take these bursts now."""
        before, after = wait.decision.drivers, decision.drivers
        wait.decision = decision
        if before == after:
            return
        for burst in wait.bursts:
            for driver in before:
                if driver not in after:
                    self.queue(driver).remove(burst)
            for driver in after:
                if driver not in before:
                    self.queue(driver).push(burst)
