"""The queues of jobs: those that wait for a slot of a driver, by what they need of it.

First come, first served, as far as a driver may have the job. It knows nothing about what a job
is, nor about what becomes of one that has its slot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernel.job import Job
from kernel.patience import BOOT_SETTLING
from kernel.registry import Driver
from llmagentos.abi.errors import EBUSY, ENODRIVER

if TYPE_CHECKING:
    from kernel.machine import Machine


@dataclass(slots=True)
class JobQueue:
    """Jobs of one demand, oldest first. ``takers``: the drivers that take them as soon as they have
    room; none only while one may still announce itself, after a boot or when it has got ready."""

    takers: tuple[Driver, ...]
    jobs: OrderedDict[int, Job] = field(default_factory=OrderedDict)

    @property
    def first(self) -> Job:
        return next(iter(self.jobs.values()))


class JobQueues:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._queues: dict[Hashable, JobQueue] = {}

    def __iter__(self) -> Iterator[JobQueue]:
        return iter(list(self._queues.values()))

    def find(self, job: Job) -> JobQueue | None:
        """Where jobs like this one wait."""
        return self._queues.get(job.demand)

    def add(self, job: Job, takers: tuple[Driver, ...]) -> None:
        self._queues.setdefault(job.demand, JobQueue(takers)).jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """It waits no more, if it did."""
        queue = self.find(job)
        if queue is not None:
            queue.jobs.pop(job.id, None)
            if not queue.jobs:
                del self._queues[job.demand]

    def next(self, left: Container[str]) -> tuple[Job, Driver] | None:
        """The oldest job that there is room for, and the driver that has most; none of those whose
        names are in ``left``."""
        found = None
        for queue in self._queues.values():
            job = queue.first
            if found is not None and found[0].id < job.id:
                continue
            free = [one for one in queue.takers if one.free and one.name not in left]
            if free:
                found = job, min(free, key=lambda one: (one.load / one.card.slots, one.name))
        return found

    def takers(self, job: Job) -> tuple[Driver, ...]:
        """Those that take such a job as soon as they have room. None, if one may still announce
        itself, or its tools. Raises why there is none."""
        kernel = self._kernel
        able: list[tuple[str, Driver]] = []
        objections, conditions = {}, {}
        for driver in kernel.registry:
            name, objection = job.offer(driver)
            if objection:
                objections[driver.name] = objection
            elif name and (condition := _condition(driver)):
                conditions[driver.name] = condition
            elif name:
                able.append((name, driver))
        if able:
            best = min(name for name, _ in able)
            return tuple(driver for name, driver in able if name == best)
        if conditions:
            reasons = {**objections, **conditions}
            raise ENODRIVER(
                f"no driver for {job.title} is up",
                hint="; ".join(f"{name} {why}" for name, why in reasons.items()),
                detail=reasons,
            )
        if objections:
            raise job.forbidden(objections)
        if any(map(job.may_come, kernel.registry)):
            return ()
        known = any(True for _ in kernel.registry)
        end = kernel.booted + (BOOT_SETTLING if known else kernel.config.boot_patience)
        if kernel.now < end:
            kernel.timers.set(("jobs", "late"), end, kernel.jobs.driver_changed)
            return ()
        raise job.unknown(kernel.registry)

    def check_length(self, job: Job, takers: tuple[Driver, ...]) -> None:
        """Raises ``EBUSY`` if too many wait for the same already, beside those that will have a
        slot in this turn."""
        most = self._kernel.config.queue_limit
        queues = [q.jobs for q in self._queues.values() if q.first.title == job.title]
        waiting = sum(map(len, queues)) - sum(driver.free for driver in takers)
        if waiting >= most:
            raise EBUSY(
                f"the queue is full: {waiting} calls wait for {job.title}",
                hint="try again later",
                detail={"length": waiting, "limit": most},
            )


def _condition(driver: Driver) -> str:
    """Why it will take no new work, even when it has room; "" if it will."""
    if driver.drained and driver.up:
        return "is draining"
    if driver.state in ("ready", "loading"):
        return ""
    return driver.condition
