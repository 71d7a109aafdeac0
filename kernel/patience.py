"""Patience: how long bursts wait for a driver that is not there, before they fail.

It knows nothing about slots, nor about the order of those that wait.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kernel.demand import Demand
from kernel.placement import refusal
from kernel.waiting import Wait, Waiting
from llmagentos.abi.errors import EDRIVER

if TYPE_CHECKING:
    from kernel.machine import Machine

BOOT_SETTLING = 2.0
"""Seconds after a boot in which drivers announce themselves one after the other."""


class Patience:
    def __init__(self, kernel: Machine, waiting: Waiting) -> None:
        self._kernel = kernel
        self._waiting = waiting

    @property
    def booting(self) -> bool:
        """Whether drivers that nobody has heard of may still be on their way."""
        return self._kernel.now < self._booted

    @property
    def _booted(self) -> float:
        known = self._kernel.registry.compute()
        settling = BOOT_SETTLING if known else self._kernel.config.boot_patience
        return self._kernel.booted + settling

    def watch(self, wait: Wait) -> None:
        """Where no driver can take these bursts now, see to it that they don't wait for ever."""
        now, timers, key = self._kernel.now, self._kernel.timers, _key(wait.demand)
        outlook = wait.decision.outlook
        # Who says how long it waits means it; else loading may take what it takes.
        loads = outlook == "loading" and wait.demand.patience is not None
        if outlook == "away" or loads:
            wait.since = now if wait.since is None else wait.since
            due = now + self._of(wait.demand)
            timers.set_once(key, due, partial(self._give_up, wait.demand))
            return
        wait.since = None
        timers.cancel(key)
        if outlook == "none" and self.booting:
            timers.set(key, self._booted, partial(self._turn_away, wait.demand))
        elif outlook == "none":
            self._turn_away(wait.demand)

    def forget(self, wait: Wait) -> None:
        """Nobody is in it any more."""
        self._kernel.timers.cancel(_key(wait.demand))

    def _turn_away(self, demand: Demand) -> None:
        """The drivers that there are have had their time to come: none of them will ever do."""
        wait = self._waiting.find(demand)
        drivers = self._kernel.registry.compute()
        for burst in wait.bursts if wait is not None else ():
            assert wait is not None
            error = refusal(demand, wait.decision, drivers, len(burst.tokens))
            self._kernel.scheduler.fail(burst, error)

    def _give_up(self, demand: Demand) -> None:
        """Fail what has waited for its driver for long enough, and come back for the rest."""
        wait = self._waiting.find(demand)
        patience, now = self._of(demand), self._kernel.now
        for burst in wait.bursts if wait is not None else ():
            assert wait is not None
            due = max(burst.submitted, wait.since or now) + patience
            if due > now:
                self._kernel.timers.set(_key(demand), due, partial(self._give_up, demand))
                return
            names = ", ".join(f"{k}: {v}" for k, v in wait.decision.considered.items())
            error = EDRIVER(
                f"no driver for {' or '.join(burst.models)} came back within {patience:g} s",
                hint=f"look at llmos status and the drivers' logs ({names})",
            )
            self._kernel.scheduler.fail(burst, error)

    def _of(self, demand: Demand) -> float:
        """Seconds."""
        own = demand.patience
        return self._kernel.config.driver_patience if own is None else own


def _key(demand: Demand) -> tuple[str, Demand]:
    return "patience", demand
