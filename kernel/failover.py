"""Failover: what becomes of a burst whose driver dies under it, or fails with it.

It goes on elsewhere from what it has: by the numbers of its tokens where they mean the same, else
by its text. Where no driver can go on, it is begun anew or it fails, as its manifest says. It knows
nothing about slots, nor about which driver is the best.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kernel.burst import Burst
from kernel.demand import Demand, demand_of
from kernel.health import ELSEWHERE
from kernel.placement import decide
from kernel.registry import Driver
from llmagentos.abi.errors import EDRIVER, LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine


class Failover:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def lost(self, burst: Burst, driver: Driver, *, was_running: bool) -> None:
        """Its driver is gone, and it is in no queue and no slot."""
        died = EDRIVER(
            f"driver {driver.name} died after {len(burst.tokens)} tokens of this answer: "
            f"{driver.away}",
            hint="look into its log; with failover: continue it goes on elsewhere",
        )
        if burst.tokens and _rule(burst) == "fail":
            self._kernel.scheduler.fail(burst, died)
        elif was_running and burst.attempt >= self._kernel.config.attempts and not driver.far:
            error = EDRIVER(
                f"driver {driver.name} died under this burst, the {burst.attempt}th that did: "
                f"{driver.away}",
                hint="look into its log; the prompt itself may be what kills it",
            )
            self._kernel.scheduler.fail(burst, error)
        else:
            if was_running:
                self._tell(burst, driver, "EDRIVER")
            self.go_on(burst)

    def failed(self, burst: Burst, driver: Driver, error: LLMOSError) -> None:
        """Its driver, which is well otherwise, has ended it with this error."""
        scheduler = self._kernel.scheduler
        begun = bool(burst.tokens)
        if (
            error.code not in ELSEWHERE
            or burst.state != "running"
            or burst.attempt >= self._kernel.config.attempts
            or (begun and _rule(burst) == "fail")
        ):
            scheduler.fail(burst, error)
            return
        scheduler.take_off(burst, driver)
        if error.code != "ERATE":  # then only its provider lets nothing through for now
            burst.failed_on += (driver.name,)
        demand = demand_of(burst)
        stays = error.code == "ERATE" and self._is_worth_waiting(demand, driver)
        if not stays and self._outlook(demand) != "slot" and not self._begins_anew(burst):
            scheduler.fail(burst, error)
            return
        self._tell(burst, driver, error.code)
        scheduler.enqueue(burst)

    def _is_worth_waiting(self, demand: Demand, driver: Driver) -> bool:
        """Whether its provider takes something again before the burst has lost its patience."""
        patience = demand.patience
        most = self._kernel.config.driver_patience if patience is None else patience
        return driver.shut_until - self._kernel.now <= most

    def go_on(self, burst: Burst) -> None:
        """Into the queue, to go on where it can."""
        if burst.tokens and self._outlook(demand_of(burst)) != "slot":
            self._begins_anew(burst)
        self._kernel.scheduler.enqueue(burst)

    def _outlook(self, demand: Demand) -> str:
        return decide(demand, self._kernel.registry.compute()).outlook

    def _begins_anew(self, burst: Burst) -> bool:
        """True if it does, since its manifest allows it, and a driver is there for it."""
        if not burst.tokens or _rule(burst) != "restart":
            return False
        anew = replace(demand_of(burst), resumes=None, numbered="")
        if self._outlook(anew) != "slot":
            # Better the same driver once more than none; the attempts are counted.
            if self._outlook(replace(anew, failed_on=())) != "slot":
                return False
            burst.failed_on = ()
        self._kernel.journal.event(
            self._kernel.now, "burst.restarted", burst.process.pid, burst=burst.id,
            tokens=len(burst.tokens),
        )  # fmt: skip
        burst.begin_anew()
        self._kernel.answers.begun_anew(burst)
        return True

    def _tell(self, burst: Burst, driver: Driver, code: str) -> None:
        # Everybody hears events, and what a driver says may quote what it was told.
        self._kernel.journal.event(
            self._kernel.now, "burst.interrupted", burst.process.pid, burst=burst.id,
            driver=driver.name, tokens=len(burst.tokens), error=code,
        )  # fmt: skip


def _rule(burst: Burst) -> str:
    return burst.process.spec.placement.failover
