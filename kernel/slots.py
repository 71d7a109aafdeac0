"""Slots: bursts get on a driver, and off it again.

It tells drivers what to do, and keeps count. Which burst, and which driver, is the scheduler's
affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import budget
from kernel.burst import Burst
from kernel.ledger import chain
from kernel.placement import by_numbers
from kernel.registry import Driver
from llmagentos.abi.driver import BurstRef, Start

if TYPE_CHECKING:
    from kernel.machine import Machine


class Slots:
    """``freed`` has the names of drivers that may have a slot for somebody. ``mean_seconds``: how
    long a burst was in its slot, of late."""

    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self.freed: dict[str, None] = {}
        self.running = 0
        self.mean_seconds = 0.0

    def start(self, burst: Burst, driver: Driver, model: str) -> None:
        """Onto the driver, or on with it where its KV is kept. Raises what
        ``budget.place`` does if that is more than the process may use."""
        now, process = self._kernel.now, burst.process
        burst.first_at = None
        if not burst.kept:
            resumes, numbered = burst.resumes, burst.numbered
            same = by_numbers(resumes, numbered, driver, model)
            begins = resumes is None and "resume_tokens" in driver.card.features
            burst.numbered = model if same or begins else ""
            burst.driver, burst.model, burst.moved_at = driver.name, model, len(burst.tokens)
            burst.counting = budget.place(burst, driver, now)
            if burst.risked:
                for one in chain(process):
                    self._kernel.changed(one)
            burst.prefill_weight = driver.prefill_weight
            self._kernel.residency.ran(process, driver)
        burst.queue_seconds += now - burst.submitted
        burst.state, burst.slot_since, burst.ran_from = "running", now, len(burst.tokens)
        driver.running.add(burst)
        self.running += 1
        process.model, process.driver = burst.model, driver.name
        if burst.kept:
            burst.kept = False
            self._kernel.command(driver, "resume", _ref(burst))
        else:
            burst.attempt += 1
            burst.started = burst.started or now
            self._kernel.command(driver, "start", _order(burst))
            self._kernel.health.started(driver, burst)
        self._kernel.journal.event(
            now, "burst.started", process.pid, burst=burst.id, driver=driver.name,
            model=burst.model, attempt=burst.attempt, tokens=len(burst.tokens),
            resumes=burst.resumes if burst.tokens else None,
            considered=process.placement.considered if process.placement else {},
        )  # fmt: skip
        self._kernel.settle(process, f"burst {burst.id} started on {driver.name}")

    def counted(self, burst: Burst, tokens: int, driver: Driver) -> None:
        """The driver has counted the prompt. Raises what ``budget.counted`` does if that is more
        than the process may use."""
        if tokens > burst.prompt_tokens:
            budget.counted(burst, tokens, driver, self._kernel.now)
        if burst.counting:
            burst.counting = False
            self._kernel.command(driver, "resume", _ref(burst))

    def timed(self, burst: Burst, driver: Driver, fresh: int) -> None:
        """It got so many tokens: take note of how fast the driver is."""
        if not fresh or burst.state != "running":
            return
        now = self._kernel.now
        if burst.first_at is None:
            unread = (burst.prompt_tokens or burst.estimate) + burst.ran_from - burst.recalled
            driver.pace.began(now - burst.slot_since, unread, now)
            burst.first_at = now
        else:
            driver.pace.went_on(now - burst.last_at, fresh, now)
        burst.last_at = now

    def preempt(self, burst: Burst, driver: Driver) -> None:
        """Out of its slot at the next token boundary."""
        if "preempt" in driver.card.features and not burst.counting:
            self._kernel.command(driver, "preempt", _ref(burst))
            burst.kept = True
            self.vacate(burst, driver)
        else:
            # Its tokens are kept here, and are prefilled again when it goes on.
            self._kernel.command(driver, "cancel", _ref(burst))
            self.vacate(burst, driver)
            self.leave(burst)
        self._kernel.settle(burst.process, f"burst {burst.id} gave up its slot")

    def snapshot(self, burst: Burst, driver: Driver) -> None:
        """It is kept, and nobody knows for how long: longer than its driver lives, perhaps."""
        if burst.kept and "snapshot" in driver.card.features:
            self._kernel.command(driver, "snapshot", _ref(burst))

    def cancel(self, burst: Burst) -> None:
        """Off its driver, and forgotten there, before its next step."""
        driver = self._kernel.registry.named(burst.driver)
        if driver is None:
            return
        if burst.state == "running" or burst.kept:
            self._kernel.command(driver, "cancel", _ref(burst))
        self.vacate(burst, driver)

    def leave(self, burst: Burst) -> None:
        """Nothing of it is left on its driver, which may not have heard so yet."""
        burst.kept = burst.counting = False
        burst.driver = None
        budget.unplace(burst)

    def vacate(self, burst: Burst, driver: Driver) -> None:
        """Its slot is free, if it had one."""
        if burst in driver.running:
            driver.running.discard(burst)
            self.running -= 1
            self.freed[driver.name] = None
            taken = self._kernel.now - burst.slot_since
            self.mean_seconds += 0.1 * (taken - self.mean_seconds)


def _ref(burst: Burst) -> BurstRef:
    return BurstRef(burst=burst.id, attempt=burst.attempt)


def _order(burst: Burst) -> Start:
    return Start(
        burst=burst.id,
        attempt=burst.attempt,
        pid=burst.process.pid,
        model=burst.model,
        messages=list(burst.messages),
        sampling=burst.sampling,
        context_tokens=burst.process.limits.context_tokens,
        labels=list(burst.labels),
        accepted=list(burst.tokens),
        text=burst.text if burst.resumes == "text" else None,
        tools=list(burst.tools),
        tool_choice=burst.tool_choice,
        hold=burst.counting,
    )
