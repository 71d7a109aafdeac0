"""The jobs that are open: those that wait for a slot of a driver, and those that have one.

A job is never given to a driver twice: what it has done by the time its driver dies, nobody knows.
It knows nothing about what a job is, nor about which is first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel import checks, lifecycle
from kernel.calls import DEFERRED, Call, Deferred
from kernel.job import Job
from kernel.job_queues import JobQueues
from kernel.ledger import chain
from kernel.registry import Driver
from kernel.tool_job import ToolJob
from llmagentos.abi.calls.tool import CallResult
from llmagentos.abi.errors import (
    EBUSY,
    EDRIVER,
    ETIMEOUT,
    DeniedError,
    LLMOSError,
)
from llmagentos.abi.jobs import JobRef, JobResult

if TYPE_CHECKING:
    from kernel.machine import Machine
    from kernel.process import Process


class Jobs:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._jobs: dict[int, Job] = {}
        self._queues = JobQueues(kernel)
        self._left: dict[str, None] = {}
        """Drivers with a slot that a job has left in this turn."""

    def __iter__(self) -> Iterator[Job]:
        """The open ones, oldest first. One without a driver waits."""
        return iter(list(self._jobs.values()))

    def submit(self, job: Job) -> Deferred:
        """Raises what stands against it."""
        takers = self._queues.takers(job)
        self._queues.check_length(job, takers)
        job.reserve(self._kernel.now)
        job.call.waits, job.call.on_close = job.reason, partial(self._closed, job)
        self._jobs[job.id] = job
        self._queues.add(job, takers)
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
        while (found := self._queues.next(self._left)) is not None:
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
                raise result.error.error(EDRIVER)
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
        for queue in self._queues:
            while queue.jobs:
                try:
                    queue.takers = self._queues.takers(queue.first)
                    break
                except LLMOSError as error:
                    self._end(queue.first, None, error)

    def driver_lost(self, driver: Driver) -> None:
        """Its jobs fail: what they have done, nobody knows."""
        for number in sorted(driver.jobs):
            job = self._jobs[number]
            error = EDRIVER(
                f"driver {driver.name} died while it worked on {job.title}: {driver.away}",
                hint="nobody knows how far it came, so it is not done again; look at what it did",
            )
            self._end(job, None, error)
        self.driver_changed()

    def _start(self, job: Job, driver: Driver) -> None:
        """Raises what stands against it by now."""
        kernel = self._kernel
        # Something may have been revoked while it waited.
        checks.check(kernel, job.process, job.call.spec, job.args)
        offer = job.offer(driver)
        if offer.objection:
            raise job.forbidden({driver.name: offer.objection})
        job.begin(driver, kernel.now)
        self._queues.remove(job)
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
        self._queues.remove(job)
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
