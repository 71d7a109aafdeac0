"""Residency: where processes may have left KV between their bursts, and whether they come back.

A driver decides by itself what it keeps, writes to the disk or drops. It is told here what only the
kernel knows: that a process waits for a tool, and how long such a tool takes as a rule; that it was
forked; that it has ended. It knows nothing about bursts that are under way, nor about what a driver
does with this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.process import Process
from kernel.registry import Driver
from llmagentos.abi.driver import Expected, Forked, ProcessRef

if TYPE_CHECKING:
    from kernel.machine import Machine

_FRESH: Final = 0.2
"""How much the last call of a tool counts beside all before it."""
_TOOLS: Final = 10_000
"""Of so many it is remembered how long they take."""


class Residency:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._drivers: dict[int, set[str]] = {}
        self._seconds: dict[str, float] = {}

    def ran(self, process: Process, driver: Driver) -> None:
        """It has a burst there."""
        if "fork" in driver.card.features:
            self._drivers.setdefault(process.pid, set()).add(driver.name)

    def waits(self, process: Process, tool: str) -> None:
        """It waits for a tool."""
        for driver in self._of(process):
            expected = Expected(pid=process.pid, seconds=self._seconds.get(tool))
            self._kernel.command(driver, "expect", expected)

    def took(self, tool: str, seconds: float) -> None:
        """A call of a tool has ended well."""
        before = self._seconds.pop(tool, seconds)
        self._seconds[tool] = before + _FRESH * (seconds - before)
        if len(self._seconds) > _TOOLS:
            del self._seconds[next(iter(self._seconds))]

    def goes_on(self, process: Process) -> None:
        """It waits for no tool any longer."""
        for driver in self._of(process):
            self._kernel.command(driver, "expect", Expected(pid=process.pid, seconds=0.0))

    def forked(self, parent: Process, child: Process) -> None:
        """The child begins with what the parent has read."""
        for driver in self._of(parent):
            self.ran(child, driver)
            self._kernel.command(driver, "fork", Forked(pid=parent.pid, child=child.pid))

    def gone(self, process: Process) -> None:
        """It has ended."""
        for driver in self._of(process):
            self._kernel.command(driver, "drop", ProcessRef(pid=process.pid))
        self._drivers.pop(process.pid, None)

    def _of(self, process: Process) -> list[Driver]:
        names = sorted(self._drivers.get(process.pid, ()))
        found = (self._kernel.registry.named(name) for name in names)
        return [driver for driver in found if driver is not None]
