"""Health: drivers that fail too often, or whose providers take no more for now, get nothing.

It keeps their circuit breakers and token buckets, and sees to it that they are looked at again. It
knows nothing about what becomes of the bursts that failed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from kernel.bucket import Bucket
from kernel.burst import Burst
from kernel.registry import Driver
from llmagentos.abi.cards import Rate
from llmagentos.abi.errors import LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine

FAULTS: Final = ("EDRIVER", "ETIMEOUT", "EAUTH")
"""Errors of bursts that say something about their driver."""

ELSEWHERE: Final = (*FAULTS, "ERATE")
"""Errors of bursts that another driver may not have."""

_BRIEF: Final = 5.0
"""Seconds for which a provider may take nothing and still be waited for as for a slot. For longer
than that it is away: other models are taken, and patience runs."""

_LONGEST: Final = 86_400.0

_CLOSED: Final = 1.0
"""Seconds for which a provider takes nothing that refuses, and does not say for how long."""


class Health:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def failed(self, driver: Driver, error: LLMOSError) -> None:
        """A burst of it ended with this error."""
        if error.code == "ERATE":
            said = error.detail.get("retry_after")
            self.shut(driver, said if isinstance(said, int | float) and said >= 0 else _CLOSED)
        elif error.code not in FAULTS:
            self.succeeded(driver)  # it is well: it has found a fault in what it was given
        elif driver.breaker.failed():
            pause, now = driver.breaker.pause, self._kernel.now
            driver.retry_at = now + pause
            self._kernel.journal.event(
                now, "drv.breaker", name=driver.name, state="open", error=error.code, seconds=pause
            )
            self._kernel.timers.set(
                ("breaker", driver.name), driver.retry_at, partial(self._try_again, driver)
            )
            self._kernel.scheduler.driver_changed()

    def succeeded(self, driver: Driver) -> None:
        """A burst of it ended well."""
        if driver.breaker.succeeded():
            self._kernel.timers.cancel(("breaker", driver.name))
            self._tell(driver)

    def renewed(self, driver: Driver) -> None:
        """It was started anew: what its last process did is no fault of this one."""
        driver.breaker.succeeded()
        driver.shut, driver.shut_until, driver.buckets = False, 0.0, {}
        for what in ("breaker", "shut", "rate"):
            self._kernel.timers.cancel((what, driver.name))

    def rates(self, driver: Driver, rates: list[Rate]) -> None:
        """What its provider lets through, as it says now."""
        now, before = self._kernel.now, driver.buckets
        driver.buckets = {
            (rate.what, rate.period): Bucket.of(rate, now, before.get((rate.what, rate.period)))
            for rate in rates
        }
        self._kernel.scheduler.freed(driver)

    def shut(self, driver: Driver, seconds: float) -> None:
        """Its provider takes nothing from it for so long."""
        now, seconds = self._kernel.now, min(seconds, _LONGEST)
        if now + seconds <= driver.shut_until:
            return
        driver.shut_until = now + seconds
        self._kernel.journal.event(now, "drv.shut", name=driver.name, seconds=round(seconds, 3))
        if seconds <= _BRIEF:
            self.look_again(driver, seconds)
            return
        driver.shut = True
        self._kernel.timers.set(("shut", driver.name), now + seconds, partial(self._opens, driver))
        self._kernel.scheduler.driver_changed()

    def _opens(self, driver: Driver) -> None:
        driver.shut = False
        self._kernel.scheduler.driver_changed()

    def started(self, driver: Driver, burst: Burst) -> None:
        """Off what its provider lets through."""
        for (what, _), bucket in driver.buckets.items():
            bucket.take(1 if what == "requests" else burst.most, self._kernel.now)

    def look_again(self, driver: Driver, seconds: float) -> None:
        """When it will take something again."""
        self._kernel.timers.set(
            ("rate", driver.name),
            self._kernel.now + seconds,
            partial(self._kernel.scheduler.freed, driver),
        )

    def _try_again(self, driver: Driver) -> None:
        driver.breaker.try_again()
        self._tell(driver)

    def _tell(self, driver: Driver) -> None:
        state = driver.breaker.state
        self._kernel.journal.event(self._kernel.now, "drv.breaker", name=driver.name, state=state)
        self._kernel.scheduler.driver_changed()
