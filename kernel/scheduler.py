"""The scheduler: admits bursts, decides whose are in the drivers' slots, and moves them when a
driver dies or a process is stopped.

It knows nothing about what a burst's answer is used for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from kernel.burst import Burst
from kernel.placement import Decision, Outlook, decide, refusal
from kernel.policies import Policy
from kernel.registry import Driver
from llmagentos.abi.driver import BurstRef, Start, StepReport
from llmagentos.abi.errors import BY_CODE, EBUSY, EDRIVER, LLMOSError
from llmagentos.abi.process import Placement

if TYPE_CHECKING:
    from kernel.machine import Machine

_BOOT_SETTLING = 2.0
"""Seconds after a boot in which drivers announce themselves one after the other."""


class Scheduler:
    """Bursts with the same demand share a queue, so one that has to wait for its driver never
    stands in the way of one that need not."""

    def __init__(self, kernel: Machine, policy: Callable[[], Policy]) -> None:
        self._kernel = kernel
        self._policy = policy
        self._queues: dict[tuple[object, ...], Policy] = {}
        self._outlooks: dict[tuple[object, ...], Outlook] = {}
        """What each queue that can't move waits for."""
        self._away_since: dict[tuple[object, ...], float] = {}
        self._bursts: dict[int, Burst] = {}
        self._changed = False
        self.queued = 0
        self.running = 0

    # -- what the rest of the kernel asks for ------------------------------------------------

    def submit(self, burst: Burst) -> None:
        """Admit a burst. Raises ``EBUSY`` when the queue is full, ``ENODRIVER`` when nothing
        that we know of could ever run it."""
        limit = self._kernel.config.queue_limit
        if self.queued >= limit:
            raise EBUSY(
                f"the queue is full: {self.queued} bursts wait for a slot",
                hint="try again later",
                detail={"position": self.queued + 1},
            )
        decision = decide(burst, self._kernel.registry.compute())
        if decision.outlook == "none" and not self._booting():
            raise refusal(burst, decision, self._kernel.registry.compute())
        self._bursts[burst.id] = burst
        self._enqueue(burst)

    def cancel(self, burst: Burst) -> None:
        """Forget a burst, wherever it is; the driver stops it before its next step."""
        if self._bursts.pop(burst.id, None) is None:
            return
        if burst.state == "queued":
            self._dequeue(burst)
        driver = self._kernel.registry.named(burst.driver)
        if driver is not None and (burst.state == "running" or burst.kept):
            self._kernel.command(driver, "cancel", _ref(burst))
        if driver is not None:
            self._vacate(burst, driver)

    def hold(self, burst: Burst) -> None:
        """STOP: no further token; what it has is kept."""
        driver = self._kernel.registry.named(burst.driver)
        if burst.state == "queued":
            self._dequeue(burst)
        elif burst.state == "running" and driver is not None:
            if "preempt" in driver.card.features:
                self._kernel.command(driver, "preempt", _ref(burst))
                burst.kept = True
            else:
                # Its tokens are kept here, and are prefilled again when it goes on.
                self._kernel.command(driver, "cancel", _ref(burst))
            self._vacate(burst, driver)
        burst.state = "held"

    def release(self, burst: Burst) -> None:
        """CONT: back into the queue."""
        if burst.state == "held":
            self._enqueue(burst)

    # -- what drivers say --------------------------------------------------------------------

    def report(self, driver: Driver, step: StepReport) -> None:
        """One burst's part of a driver's step. Raises ``EPROTO`` for nonsense."""
        burst = self._bursts.get(step.burst)
        if burst is None or burst.driver != driver.name or step.attempt != burst.attempt:
            return  # it was cancelled, or moved elsewhere, while the report was on its way
        counted = burst.prompt_tokens
        before = len(burst.text)
        if not burst.accept(step):
            return
        driver.count(len(step.tokens), self._kernel.now)
        if burst.prompt_tokens > counted:
            self._kernel.answers.counted(burst, burst.prompt_tokens - counted)
        if self._bursts.get(burst.id) is not burst:
            return  # its prompt was more than its process may use
        if len(burst.text) > before:
            self._kernel.answers.text(burst, before)
        if step.finish == "error":
            record = step.error
            kind = BY_CODE.get(record.code if record else "", EDRIVER)
            message = record.message if record else f"driver {driver.name} gave no reason"
            self.fail(burst, kind(message, hint=record.hint if record else ""))
        elif step.finish is not None:
            driver.bursts += 1
            self._finish(burst, driver)
            self._kernel.answers.done(burst)

    def driver_changed(self) -> None:
        """A driver came, got ready, went or was released: look at all that waits again."""
        self._changed = True
        self.dispatch()
        for burst in self._bursts.values():
            self._kernel.settle(burst.process, "the drivers changed")

    def driver_lost(self, driver: Driver) -> None:
        """Its bursts go back to the queue with the tokens that they have, or fail."""
        lost = [burst for burst in self._bursts.values() if burst.driver == driver.name]
        for burst in lost:
            was_running = burst.state == "running"
            if burst.state == "queued":
                self._dequeue(burst)
            self._vacate(burst, driver)
            burst.kept = False
            if was_running and burst.attempt >= self._kernel.config.attempts:
                error = EDRIVER(
                    f"driver {driver.name} died under this burst, the "
                    f"{burst.attempt}th that did: {driver.note}",
                    hint="look into its log; the prompt itself may be what kills it",
                )
                self.fail(burst, error)
            elif burst.state != "held":
                self._enqueue(burst)
        self.driver_changed()

    # -- moving bursts -----------------------------------------------------------------------

    def dispatch(self) -> None:
        """Start all that can start. Called once at the end of every input."""
        while self._changed:
            self._changed = False
            for demand in list(self._queues):
                self._dispatch_queue(demand, self._queues[demand])

    def _dispatch_queue(self, demand: tuple[object, ...], queue: Policy) -> None:
        """Start what can start of one queue, the policy's order kept."""
        key = ("patience", demand)
        while (burst := queue.first()) is not None:
            decision = decide(burst, self._kernel.registry.compute())
            if decision.driver is not None:
                self._start(burst, decision.driver, decision)
                continue
            if decision.outlook == "none" and not self._booting():
                self.fail(burst, refusal(burst, decision, self._kernel.registry.compute()))
                continue
            self._outlooks[demand] = decision.outlook
            self._wait(key, demand, burst, decision)
            return
        self._kernel.timers.cancel(key)
        del self._queues[demand]
        self._outlooks.pop(demand, None)
        self._away_since.pop(demand, None)

    def waits_for_driver(self, burst: Burst) -> bool:
        """Whether it is not only a slot that it waits for."""
        return burst.state == "queued" and self._outlooks.get(burst.queue, "slot") != "slot"

    def fail(self, burst: Burst, error: LLMOSError) -> None:
        self.cancel(burst)
        self._kernel.answers.failed(burst, error)

    def _start(self, burst: Burst, driver: Driver, decision: Decision) -> None:
        self._dequeue(burst)
        now = self._kernel.now
        burst.queue_seconds += now - burst.submitted
        burst.state = "running"
        driver.running.add(burst)
        self.running += 1
        process = burst.process
        process.model, process.driver = decision.model, driver.name
        process.placement = Placement(chosen=driver.name, considered=decision.considered, time=now)
        if burst.kept:
            burst.kept = False
            self._kernel.command(driver, "resume", _ref(burst))
        else:
            burst.attempt += 1
            burst.driver, burst.model = driver.name, decision.model
            burst.started = burst.started or now
            self._kernel.command(driver, "start", self._start_command(burst))
        self._kernel.journal.event(
            now, "burst.started", process.pid, burst=burst.id, driver=driver.name,
            model=burst.model, attempt=burst.attempt, tokens=len(burst.tokens),
        )  # fmt: skip
        self._kernel.settle(process, f"burst {burst.id} started on {driver.name}")

    def _start_command(self, burst: Burst) -> Start:
        return Start(
            burst=burst.id,
            attempt=burst.attempt,
            pid=burst.process.pid,
            model=burst.model,
            messages=list(burst.messages),
            sampling=burst.sampling,
            context_tokens=burst.process.limits.context_tokens,
            accepted=burst.tokens,
        )

    def _wait(
        self, key: tuple[object, ...], demand: tuple[object, ...], burst: Burst, why: Decision
    ) -> None:
        """Nothing can start: say so in the process's placement, and don't wait for ever."""
        now, timers = self._kernel.now, self._kernel.timers
        burst.process.placement = Placement(chosen=None, considered=why.considered, time=now)
        if why.outlook == "away":
            self._away_since.setdefault(demand, now)
            due = now + self._kernel.config.driver_patience
            timers.set_once(key, due, partial(self._give_up, demand))
        elif why.outlook == "none":
            due = self._kernel.booted + self._boot_patience()
            timers.set(key, due, self._look_again)
        else:
            timers.cancel(key)
        if why.outlook != "away":
            self._away_since.pop(demand, None)

    def _look_again(self) -> None:
        self._changed = True

    def _give_up(self, demand: tuple[object, ...]) -> None:
        """Fail what has waited for its driver for long enough, and come back for the rest."""
        queue = self._queues.get(demand)
        patience, now = self._kernel.config.driver_patience, self._kernel.now
        while queue is not None and (burst := queue.first()) is not None:
            due = max(burst.submitted, self._away_since.get(demand, now)) + patience
            if due > now:
                self._kernel.timers.set(("patience", demand), due, partial(self._give_up, demand))
                return
            decision = decide(burst, self._kernel.registry.compute())
            names = ", ".join(f"{k}: {v}" for k, v in decision.considered.items())
            error = EDRIVER(
                f"no driver for {' or '.join(burst.models)} came back within {patience:g} s",
                hint=f"look at llmos status and the drivers' logs ({names})",
            )
            self.fail(burst, error)
        self._changed = True

    def _enqueue(self, burst: Burst) -> None:
        burst.state = "queued"
        burst.submitted = self._kernel.now
        # Remembered, since what the process may do can change while its burst is queued.
        burst.queue = burst.demand
        if burst.queue not in self._queues:
            self._queues[burst.queue] = self._policy()
        self._queues[burst.queue].push(burst)
        self.queued += 1
        self._changed = True

    def _dequeue(self, burst: Burst) -> None:
        queue = self._queues.get(burst.queue)
        if queue is not None:
            queue.remove(burst)
        self.queued -= 1

    def _vacate(self, burst: Burst, driver: Driver) -> None:
        if burst in driver.running:
            driver.running.discard(burst)
            self.running -= 1
            self._changed = True

    def _finish(self, burst: Burst, driver: Driver) -> None:
        del self._bursts[burst.id]
        if burst.state == "queued":
            # It was kept, and its last token came while it waited for its slot.
            self._dequeue(burst)
        self._vacate(burst, driver)

    def _booting(self) -> bool:
        return self._kernel.now < self._kernel.booted + self._boot_patience()

    def _boot_patience(self) -> float:
        known = self._kernel.registry.compute()
        return _BOOT_SETTLING if known else self._kernel.config.boot_patience


def _ref(burst: Burst) -> BurstRef:
    return BurstRef(burst=burst.id, attempt=burst.attempt)
