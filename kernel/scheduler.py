"""The scheduler: admits bursts, gives them slots, takes the slots away again at token boundaries,
and moves bursts when a driver dies or a process is stopped.

In which order is the policy's affair, on which driver is placement's. It knows nothing about
what a burst's answer is used for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import budget
from kernel.burst import Burst
from kernel.demand import demand_of
from kernel.failover import Failover
from kernel.patience import Patience
from kernel.placement import decide, refusal
from kernel.policies import Policy
from kernel.ranking import choose
from kernel.registry import Driver
from kernel.slots import Slots
from kernel.waiting import Waiting
from llmagentos.abi.driver import StepReport
from llmagentos.abi.errors import EBUSY, EDRIVER, LLMOSError
from llmagentos.abi.process import Placement

if TYPE_CHECKING:
    from kernel.machine import Machine
    from kernel.process import Process


class Scheduler:
    def __init__(self, kernel: Machine, policy: Policy) -> None:
        self._kernel = kernel
        self._policy = policy
        self._waiting = Waiting(policy)
        self._patience = Patience(kernel, self._waiting)
        self._failover = Failover(kernel)
        self._slots = Slots(kernel)
        self._bursts: dict[int, Burst] = {}
        self.queued = 0

    @property
    def running(self) -> int:
        return self._slots.running

    # -- what the rest of the kernel asks for ------------------------------------------------

    def submit(self, burst: Burst) -> None:
        """Admit a burst. Raises ``EBUSY`` when the queue is full, ``ENODRIVER`` when nothing
        that we know of could ever run it."""
        limit = self._kernel.config.queue_limit
        if self.queued >= limit:
            estimate = self.estimate(self.queued + 1)
            raise EBUSY(
                f"the queue is full: {self.queued} bursts wait for a slot",
                hint=f"try again in about {estimate:.0f} s" if estimate else "try again later",
                detail={"position": self.queued + 1, "estimate": estimate},
            )
        demand = demand_of(burst)
        wait, drivers = self._waiting.find(demand), self._kernel.registry.compute()
        decision = wait.decision if wait is not None else decide(demand, drivers)
        if decision.outlook == "none" and not self._patience.booting:
            raise refusal(demand, decision, drivers, 0)
        self._bursts[burst.id] = burst
        self.enqueue(burst)

    def estimate(self, position: int) -> float:
        """Seconds until the burst at this place in the queue has a slot, as things go now;
        0.0: nobody knows yet."""
        slots = sum(d.card.slots for d in self._kernel.registry.compute() if d.usable)
        return round(position * self._slots.mean_seconds / slots, 1) if slots else 0.0

    def cancel(self, burst: Burst) -> None:
        """Forget a burst, wherever it is; the driver stops it before its next step."""
        if self._bursts.pop(burst.id, None) is None:
            return
        if burst.state == "queued":
            self._dequeue(burst)
        self._slots.cancel(burst)
        self._policy.end(burst, self._kernel.now)

    def fail(self, burst: Burst, error: LLMOSError) -> None:
        """It ends with this error, unless it has ended meanwhile."""
        if burst.id in self._bursts:
            self.cancel(burst)
            self._kernel.answers.failed(burst, error)

    def hold(self, burst: Burst) -> None:
        """STOP: no further token; what it has is kept."""
        driver = self._kernel.registry.named(burst.driver)
        if burst.state == "queued":
            self._dequeue(burst)
        elif burst.state == "running" and driver is not None:
            self._slots.preempt(burst, driver)
        burst.state = "held"
        if driver is not None:
            self._slots.snapshot(burst, driver)

    def release(self, burst: Burst) -> None:
        """CONT: back into the queue."""
        if burst.state == "held" and burst.id in self._bursts:
            self._failover.go_on(burst)

    def reorder(self, process: Process) -> None:
        """Its priority or its rights are not what they were: its bursts find their places anew."""
        for burst in process.bursts:
            # To enqueue one may show that there is no driver for any of them, and end them all.
            if burst.state == "queued" and burst.id in self._bursts:
                since = burst.submitted
                self._dequeue(burst)
                self.enqueue(burst, since)

    def waits_for_driver(self, burst: Burst) -> bool:
        """Whether it is not only a slot that it waits for."""
        wait = self._waiting.find(burst.demand)
        return wait is not None and wait.decision.outlook != "slot"

    # -- what drivers say --------------------------------------------------------------------

    def report(self, driver: Driver, step: StepReport) -> None:
        """One burst's part of a driver's step. Raises ``EPROTO`` for nonsense."""
        burst = self._bursts.get(step.burst)
        if burst is None or burst.driver != driver.name or step.attempt != burst.attempt:
            return  # it was cancelled, or moved elsewhere, while the report was on its way
        known, before = burst.prompt_tokens, len(burst.text)
        if not burst.accept(step):
            return
        now = self._kernel.now
        driver.count(len(step.tokens), now)
        self._slots.timed(burst, driver, len(step.tokens))
        if step.prompt_tokens is not None and "count" not in driver.card.features:
            burst.billed(step.prompt_tokens, nothing=step.finish == "error")
        elif step.prompt_tokens is not None:
            try:
                self._slots.counted(burst, step.prompt_tokens, driver)
            except LLMOSError as error:
                self.fail(burst, error)
                return
        # What a cache had is free, once; and no more than the prompt, whatever a driver may say.
        unread = max(0, burst.prompt_tokens - burst.cached_tokens)
        cached = min(step.cached_tokens, unread) if burst.attempt == 1 else 0
        burst.cached_tokens += cached
        burst.recalled += step.cached_tokens
        self._policy.serve(burst, burst.prompt_tokens - known - cached, len(step.tokens), now)
        if (excess := burst.excess) is not None:
            self.fail(burst, excess)
            return
        if step.tokens and driver.breaker.state == "half-open":
            self._kernel.health.succeeded(driver)
        if len(burst.text) > before:
            self._kernel.answers.text(burst, before)
        if step.finish == "error":
            self._failed(burst, driver, step)
        elif step.finish is not None:
            self._finish(burst, driver)
        elif burst.state == "running" and self._quantum_over(burst, driver):
            self._slots.preempt(burst, driver)
            self.enqueue(burst)

    def _failed(self, burst: Burst, driver: Driver, step: StepReport) -> None:
        if step.prompt_tokens == 0:
            budget.unused(burst)
        unexplained = EDRIVER(f"driver {driver.name} gave no reason")
        error = step.error.error(EDRIVER) if step.error else unexplained
        self._kernel.health.failed(driver, error)
        self._failover.failed(burst, driver, error)

    def _finish(self, burst: Burst, driver: Driver) -> None:
        del self._bursts[burst.id]
        if burst.state == "queued":
            # It was kept, and its last token came while it waited for its slot.
            self._dequeue(burst)
        self._slots.vacate(burst, driver)
        self._policy.end(burst, self._kernel.now)
        driver.bursts += 1
        self._kernel.health.succeeded(driver)
        self._kernel.answers.done(burst)

    def _quantum_over(self, burst: Burst, driver: Driver) -> bool:
        """Whether it has had its quantum, and the policy gives its slot to another."""
        quantum = self._policy.quantum
        if not quantum or len(burst.tokens) - burst.ran_from < quantum:
            return False
        queue = self._waiting.queue(driver)
        if len(queue) <= driver.room or "preempt" not in driver.card.features:
            return False
        waiting = queue.first(self._kernel.now)
        return waiting is not None and self._policy.yields(burst, waiting, self._kernel.now)

    def driver_changed(self) -> None:
        """A driver came, got ready, went or was released: look at all that waits again."""
        drivers = self._kernel.registry.compute()
        for wait in self._waiting:
            self._waiting.redirect(wait, decide(wait.demand, drivers))
            for burst in wait.bursts:
                _explain(burst, None, wait.decision.considered, self._kernel.now)
            self._patience.watch(wait)
        for driver in drivers:
            self.freed(driver)
        for burst in self._bursts.values():
            self._kernel.settle(burst.process, "the drivers changed")

    def driver_lost(self, driver: Driver) -> None:
        """Its bursts go back to the queue with the tokens that they have, or fail."""
        lost = [burst for burst in self._bursts.values() if burst.driver == driver.name]
        for burst in lost:
            if burst.id not in self._bursts:
                continue  # what became of another one has ended it
            was_running, was_held = burst.state == "running", burst.state == "held"
            self.take_off(burst, driver)
            if not was_held:
                self._failover.lost(burst, driver, was_running=was_running)
        self.driver_changed()

    def take_off(self, burst: Burst, driver: Driver) -> None:
        """Out of the queue or its slot, and nothing of it is left on its driver."""
        if burst.state == "queued":
            self._dequeue(burst)
        burst.state = "held"
        self._slots.vacate(burst, driver)
        self._slots.leave(burst)
        self._kernel.settle(burst.process, f"burst {burst.id} was interrupted")

    # -- queues and slots --------------------------------------------------------------------

    def freed(self, driver: Driver) -> None:
        """It may have a slot for somebody."""
        self._slots.freed[driver.name] = None

    def dispatch(self) -> None:
        """Start all that can start. Called once at the end of every turn."""
        freed = self._slots.freed
        while freed:
            name = next(iter(freed))
            del freed[name]
            driver = self._kernel.registry.named(name)
            if driver is None:
                continue
            queue = self._waiting.queue(driver)
            while driver.room and (burst := queue.first(self._kernel.now)) is not None:
                if not self._start(burst):
                    # Nobody overtakes it: else a large one might never be let through.
                    self._kernel.health.look_again(driver, driver.wait(burst, self._kernel.now))
                    break

    def _start(self, burst: Burst) -> bool:
        """Give it a slot of the best driver that has one for it. False if their providers let it
        through only later."""
        now, wait = self._kernel.now, self._waiting.find(burst.demand)
        assert wait is not None
        driver, considered = choose(burst, wait.demand, wait.decision, now)
        _explain(burst, driver, considered, now)
        if driver is None:
            return False
        self._dequeue(burst)
        burst.state = "held"  # it is in no queue: if it can't start, it must not be taken out again
        try:
            self._slots.start(burst, driver, wait.decision.model)
        except LLMOSError as error:
            self.fail(burst, error)
        else:
            self._policy.start(burst, now)
        return True

    def enqueue(self, burst: Burst, since: float | None = None) -> None:
        now = self._kernel.now
        burst.state = "queued"
        burst.submitted = now if since is None else since
        # Remembered, since what the process may do can change while its burst is queued.
        demand = demand_of(burst)
        wait = self._waiting.find(demand)
        if wait is None:
            wait = self._waiting.open(demand, decide(demand, self._kernel.registry.compute()))
        self._waiting.add(wait, burst, now)
        self.queued += 1
        for driver in wait.decision.drivers:
            self.freed(driver)
        if wait.decision.outlook != "slot":
            _explain(burst, None, wait.decision.considered, now)
            self._kernel.journal.event(
                now, "burst.waiting", burst.process.pid, burst=burst.id,
                outlook=wait.decision.outlook, considered=wait.decision.considered,
            )  # fmt: skip
            self._patience.watch(wait)

    def _dequeue(self, burst: Burst) -> None:
        wait = self._waiting.find(burst.demand)
        for driver in wait.decision.drivers if wait is not None else ():
            if driver.buckets:
                self.freed(driver)  # who waited behind it may be let through now
        gone = self._waiting.remove(burst, self._kernel.now)
        self.queued -= 1
        if gone is not None:
            self._patience.forget(gone)


def _explain(burst: Burst, chosen: Driver | None, considered: dict[str, str], now: float) -> None:
    name = chosen.name if chosen else None
    burst.process.placement = Placement(chosen=name, considered=considered, time=now)
