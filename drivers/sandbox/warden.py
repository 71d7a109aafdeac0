"""The warden: the first process in a jail, which watches the command and ends it.

It ends all of the jail when the command ends, when nobody wants it any more, and when a limit is
passed that only somebody who sees all of it can hold. It says no to barred system calls, and notes
them. It knows nothing about how a jail is made.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import Any, Final

from drivers.sandbox import folder, seccomp
from drivers.sandbox.limits import Limits

_TICK: Final = 0.05
_NOTED: Final = 100
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_SHELL_SAYS: Final = 128
"""A shell ends with this and the number of the signal that ended what it ran."""

_TELLING: Final = {
    signal.SIGXCPU: "processor time: a process took all of its own",
    signal.SIGXFSZ: "file size: a file was to be longer than one may be",
    signal.SIGSYS: "a system call of another architecture",
}


class Warden:
    """``line``: the descriptor whose end says that nobody wants the result. ``work``: the
    folder."""

    def __init__(self, limits: Limits, line: int, work: str) -> None:
        self._limits = limits
        self._line = line
        self._work = work
        self._denied: dict[str, None] = {}
        self._removed: list[str] = []
        self._measured = 0.0
        self._measure_every = 0.0

    def watch(self, command: int, listener: int) -> dict[str, Any]:
        """Until the command, a child of ours, has ended, and all else in here has; what became of
        it."""
        begun = time.monotonic()
        died = os.pidfd_open(command)
        poll = select.poll()
        for descriptor in (died, listener, self._line):
            poll.register(descriptor, select.POLLIN)
        status: int | None = None
        while status is None:
            ready = {descriptor for descriptor, _ in poll.poll(_TICK * 1000)}
            if listener in ready and (attempt := seccomp.refuse_next(listener)):
                self._note(attempt)
            status = _reap(command)
            if status is None and (self._line in ready or self._is_over(begun)):
                break
        self._end_all(command, status)
        seconds = time.monotonic() - begun
        self._settle(status)
        return {
            "status": status,
            "denied": list(self._denied),
            "removed": self._removed,
            "seconds": round(seconds, 3),
        }

    def _is_over(self, begun: float) -> bool:
        """Whether a limit over all of them is passed; it is noted."""
        limits, now = self._limits, time.monotonic()
        if now - begun > limits.seconds:
            self._note(f"time: more than {limits.seconds:g} seconds")
            return True
        if _resident() > limits.memory:
            self._note(f"memory: more than {limits.memory:,} bytes")
            return True
        if now - self._measured < self._measure_every:
            return False
        found = folder.excess(self._work, limits.folder, limits.entries) or self._fullness()
        self._measured = time.monotonic()
        self._measure_every = max(0.1, 10 * (self._measured - now))
        if found:
            self._note(found)
        return bool(found)

    def _fullness(self) -> str:
        disk = os.statvfs(self._work)
        free = disk.f_bavail * disk.f_frsize
        return f"disk: less than {self._limits.spare:,} bytes are free" * (
            free < self._limits.spare
        )

    def _end_all(self, command: int, status: int | None) -> None:
        left = sum(1 for pid in _pids() if pid != 1)
        if status is not None and left:
            self._note(f"{left} left behind: a process ends with the call that started it")
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()

    def _settle(self, status: int | None) -> None:
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            number = -code if code < 0 else code - _SHELL_SAYS
            for telling, words in _TELLING.items():
                if number == telling:
                    self._note(words)
        limits = self._limits
        if found := folder.excess(self._work, limits.folder, limits.entries):
            self._note(found)
            self._removed = folder.trim(self._work, limits.folder, limits.entries)

    def _note(self, what: str) -> None:
        if len(self._denied) < _NOTED:
            self._denied[what] = None


def _reap(command: int) -> int | None:
    """All children that have ended; the status of the command, if it is one of them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == command:
                found = ended[1]
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _resident() -> int:
    """Bytes, of all but the warden. Pages that several share count for each of them."""
    pages = 0
    for pid in _pids():
        if pid != 1:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
                pages += int(file.read().split()[1])
    return pages * _PAGE
