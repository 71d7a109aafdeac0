"""The jobs that are open: those that wait for a slot of a driver, and those that have one.

First come, first served, as far as a driver may have the job. A job is never given to a driver
twice: what it has done by the time its driver dies, nobody knows. It knows nothing about what a
job is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel import checks, lifecycle
from kernel.calls import DEFERRED, Call, Deferred
from kernel.job import Job
from kernel.ledger import chain
from kernel.patience import BOOT_SETTLING
from kernel.registry import Driver
from kernel.tool_job import ToolJob
from llmagentos.abi.calls.tool import CallResult
from llmagentos.abi.driver import JobRef, JobResult
from llmagentos.abi.errors import (
    BY_CODE,
    EBUSY,
    EDRIVER,
    ENODRIVER,
    ETIMEOUT,
    DeniedError,
    LLMOSError,
)

if TYPE_CHECKING:
    from kernel.machine import Machine
    from kernel.process import Process


@dataclass(slots=True)
class Queue:
    """Jobs of one demand, oldest first. ``takers``: the drivers that take them as soon as they have
    room; none only while one may still announce itself after a boot."""

    takers: tuple[Driver, ...]
    jobs: OrderedDict[int, Job] = field(default_factory=OrderedDict)

    @property
    def first(self) -> Job:
        return next(iter(self.jobs.values()))


class Jobs:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._jobs: dict[int, Job] = {}
        self._queues: dict[Hashable, Queue] = {}
        self._left: dict[str, None] = {}
        """Drivers with a slot that a job has left in this turn."""

    def __iter__(self) -> Iterator[Job]:
        """The open ones, oldest first. One without a driver waits."""
        return iter(list(self._jobs.values()))

    def submit(self, job: Job) -> Deferred:
        """Raises what stands against it."""
        takers = self._takers(job)
        self._check_length(job, takers)
        job.reserve(self._kernel.now)
        job.call.waits, job.call.on_close = job.reason, partial(self._closed, job)
        self._jobs[job.id] = job
        self._queues.setdefault(job.demand, Queue(takers)).jobs[job.id] = job
        return DEFERRED

    def take_up(self, job: Job, call: Call) -> Deferred:
        """Who made the call of this job is gone; this one waits for it now. Raises ``EBUSY``."""
        if not job.call.done:
            raise EBUSY(f"this call of {job.title} is under way", hint="wait for its reply")
        job.call = call
        call.waits, call.on_close = job.reason, partial(self._closed, job)
        return DEFERRED

    def forget(self, process: Process) -> None:
        """It wants nothing any more of what is done for it though nobody waits for that."""
        for job in self._kernel.wanted.jobs(process):
            if job.call.done:
                self._drop(job)

    def dispatch(self) -> None:
        """Start all that can start. Called at the end of every turn, before the bursts are looked
        at and after that: where a job has left a slot in this turn, a burst may have it first,
        elsewhere a job, so that neither starves the other."""
        while (found := self._next()) is not None:
            job, driver = found
            try:
                self._start(job, driver)
            except LLMOSError as error:
                self._end(job, None, error)
        self._left.clear()

    # -- what drivers say and do -------------------------------------------------------------

    def result(self, driver: Driver, result: JobResult) -> None:
        """The end of a job. One that was aborted, or lost, has ended already."""
        job, kernel = self._jobs.get(result.job), self._kernel
        if job is None or job.driver is not driver:
            kernel.evidence.late(result.job, driver.name, result.denied)
            return
        kernel.evidence.denied(job, driver.name, result.denied)
        lifecycle.label(kernel, job.process, job.made(result), job.title)
        try:
            if result.error is not None:
                record = result.error
                kind = BY_CODE.get(record.code, EDRIVER)
                raise kind(record.message, hint=record.hint, detail=record.detail)
            answer = job.answer(result, kernel.now)
        except LLMOSError as error:
            self._end(job, result, error)
        else:
            self._event("done", job, seconds=self._seconds(job))
            self._leave(job, result)
            if job.append is not None and isinstance(answer, CallResult):
                answer = kernel.wanted.settle(job.process, job.append, answer)
            job.finish(kernel, answer)

    def driver_changed(self) -> None:
        """A driver came, got ready, or went: look at all that waits again."""
        for queue in list(self._queues.values()):
            while queue.jobs:
                try:
                    queue.takers = self._takers(queue.first)
                    break
                except LLMOSError as error:
                    self._end(queue.first, None, error)

    def driver_lost(self, driver: Driver) -> None:
        """Its jobs fail: what they have done, nobody knows."""
        for number in sorted(driver.jobs):
            job = self._jobs[number]
            error = EDRIVER(
                f"driver {driver.name} died while it worked on {job.title}: {driver.note}",
                hint="nobody knows how far it came, so it is not done again; look at what it did",
            )
            self._end(job, None, error)
        self.driver_changed()

    # -- queues and slots --------------------------------------------------------------------

    def _takers(self, job: Job) -> tuple[Driver, ...]:
        """Those that take such a job as soon as they have room. None, if one may still announce
        itself after a boot. Raises why there is none."""
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
        known = any(True for _ in kernel.registry)
        end = kernel.booted + (BOOT_SETTLING if known else kernel.config.boot_patience)
        if kernel.now < end:
            kernel.timers.set(("jobs", "late"), end, self.driver_changed)
            return ()
        raise job.unknown(kernel.registry)

    def _check_length(self, job: Job, takers: tuple[Driver, ...]) -> None:
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

    def _next(self) -> tuple[Job, Driver] | None:
        """The oldest job that there is room for, and the driver that has most."""
        found = None
        for queue in self._queues.values():
            job = queue.first
            if found is not None and found[0].id < job.id:
                continue
            free = [one for one in queue.takers if one.free and one.name not in self._left]
            if free:
                found = job, min(free, key=lambda one: (one.load / one.card.slots, one.name))
        return found

    def _start(self, job: Job, driver: Driver) -> None:
        """Raises what stands against it by now."""
        kernel = self._kernel
        # Something may have been revoked while it waited.
        checks.check(kernel, job.process, job.call.spec, job.args)
        offer = job.offer(driver)
        if offer.objection:
            raise job.forbidden({driver.name: offer.objection})
        job.begin(driver, kernel.now)
        self._dequeue(job)
        driver.jobs.add(job.id)
        kind, order = job.order()
        kernel.command(driver, kind, order)
        self._event("started", job)
        kernel.evidence.begun(job, driver.name)
        if job.reason == "tool":
            kernel.residency.waits(job.process, job.name)
        if job.timeout is not None:
            due = kernel.now + job.timeout
            kernel.timers.set(("job", job.id), due, partial(self._overdue, job))

    def _dequeue(self, job: Job) -> None:
        queue = self._queues.get(job.demand)
        if queue is not None:
            queue.jobs.pop(job.id, None)
            if not queue.jobs:
                del self._queues[job.demand]

    # -- endings -----------------------------------------------------------------------------

    def _closed(self, job: Job) -> None:
        """Nobody waits for it any more."""
        goes_on = job.append is not None and job.call.void and job.driver is not None
        if job.id in self._jobs and not goes_on:
            self._drop(job)

    def _drop(self, job: Job) -> None:
        self._abort(job)
        self._event("cancelled", job, seconds=self._seconds(job))
        self._leave(job, None)

    def _overdue(self, job: Job) -> None:
        self._abort(job)
        message = f"{job.title} took longer than {job.timeout:g} s, and was aborted"
        self._end(job, None, ETIMEOUT(message, hint="what it did until then stays done"))

    def _abort(self, job: Job) -> None:
        if job.driver is not None:
            self._kernel.command(job.driver, "abort", JobRef(job=job.id))
            self._kernel.evidence.aborted(job, job.driver.name)

    def _end(self, job: Job, result: JobResult | None, error: LLMOSError) -> None:
        """It failed. Where it may have done something, a repeat must not do it again."""
        kernel, name, begun = self._kernel, job.call.spec.name, job.driver is not None
        self._event("failed", job, error=error.code, seconds=self._seconds(job))
        if isinstance(error, DeniedError) and not begun:
            kernel.journal.audit(kernel.now, job.process.pid, name, error.code, error.message)
        driver = job.driver
        self._leave(job, result)
        if job.append is not None and driver is not None:
            told = kernel.wanted.fail(job.process, job.append, driver.name, error)
            kernel.calls.complete(job.call, told)
        else:
            job.fail(kernel, error, keep=begun and job.call.spec.writes)

    def _leave(self, job: Job, result: JobResult | None) -> None:
        """It is over: off every list, paid for, and out of its slot."""
        kernel, driver = self._kernel, job.driver
        del self._jobs[job.id]
        kernel.timers.cancel(("job", job.id))
        self._dequeue(job)
        if job.append is not None and isinstance(job, ToolJob):
            kernel.wanted.over(job, job.append)
        job.settle(result, kernel.now)
        if driver is None:
            return
        for one in chain(job.process):
            kernel.changed(one)
        if job.reason == "tool":
            self._tool_ended(job, result)
        driver.jobs.discard(job.id)
        self._left[driver.name] = None
        kernel.scheduler.freed(driver)

    def _tool_ended(self, job: Job, result: JobResult | None) -> None:
        residency = self._kernel.residency
        if result is not None and result.error is None:
            residency.took(job.name, self._seconds(job))
        others = (call for call in job.process.calls if call is not job.call)
        if not any(call.waits == job.reason for call in others):
            residency.goes_on(job.process)

    def _event(self, what: str, job: Job, **more: Any) -> None:
        kernel, driver = self._kernel, job.driver.name if job.driver else None
        kernel.journal.event(
            kernel.now, f"job.{what}", job.process.pid, job=job.id, driver=driver,
            **{job.noun: job.name}, **more,
        )  # fmt: skip

    def _seconds(self, job: Job) -> float:
        """Since it began."""
        return round(self._kernel.now - job.started, 3) if job.driver else 0.0


def _condition(driver: Driver) -> str:
    """Why it will take no new work, even when it has room; "" if it will."""
    if driver.drained and driver.up:
        return "is draining"
    if driver.state in ("ready", "loading"):
        return ""
    return f"is {driver.state}" + (f": {driver.note}" if driver.note else "")
