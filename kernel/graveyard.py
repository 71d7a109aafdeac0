"""The graveyard: processes that have ended. Zombies keep their place in the table until
somebody collects them; those that were collected are remembered for a while, then read from
the history on disk.

It knows nothing about how a process ends.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from kernel import lifecycle
from kernel.process import Process
from llmagentos.abi.process import ProcessInfo

if TYPE_CHECKING:
    from kernel.machine import Machine

_REMEMBERED = 1000

_BLOCK = 256
"""How many are buried before the history is looked through for what is too old."""


class Graveyard:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._zombies: OrderedDict[int, Process] = OrderedDict()
        self._reaped: OrderedDict[int, ProcessInfo] = OrderedDict()
        self._buried = 0

    def add_zombie(self, process: Process) -> None:
        """Nobody waits for it now. The oldest of too many are collected unseen."""
        self._zombies[process.pid] = process
        while len(self._zombies) > self._kernel.config.zombies_kept:
            _, oldest = next(iter(self._zombies.items()))
            lifecycle.reap(self._kernel, oldest)

    def bury(self, process: Process) -> None:
        """It was collected."""
        process.reaped = True
        self._kernel.changed(process)
        self._zombies.pop(process.pid, None)
        self._reaped[process.pid] = process.info()
        while len(self._reaped) > _REMEMBERED:
            self._reaped.popitem(last=False)
        self._buried += 1
        if self._buried % _BLOCK == 0:
            kept = max(_REMEMBERED, self._kernel.config.processes_kept)
            self._kernel.services.history.retire(kept)

    def find(self, pid: int) -> ProcessInfo | None:
        """A process that was collected."""
        return self._reaped.get(pid) or self._kernel.services.history.process(pid)

    def last(self, count: int) -> list[ProcessInfo]:
        """The last so many that were collected, newest first."""
        recent = [*reversed(self._reaped.values())][:count]
        if len(recent) == count:
            return recent
        known = {info.pid for info in recent}
        older = self._kernel.services.history.processes(count)
        return [*recent, *(info for info in older if info.pid not in known)][:count]
