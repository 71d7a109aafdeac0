"""The warden: the first process in a jail, which watches the command and ends it.

It ends all of the jail when the command ends, when nobody wants it any more, and when a limit is
passed that only somebody who sees all of it can hold. It answers the system calls that come to it,
and notes what was refused. It knows nothing about how a jail is made.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from typing import Any, Final

from drivers.sandbox import folder, linux, seccomp, view
from drivers.sandbox.limits import Limits
from drivers.sandbox.witness import FILE_SIZE, Sight, Witness, shown

_TICK: Final = 0.05
_NOTED: Final = 100
_WORDS: Final = 400
_COARSE: Final = 10_000_000
"""Nanoseconds by which the clock of files may be behind."""
_SHELL_SAYS: Final = 128
"""A shell ends with this and the number of the signal that ended what it ran."""

_TELLING: Final = {
    signal.SIGXCPU: "processor time: a process took all of its own",
    signal.SIGXFSZ: FILE_SIZE,
}
_OTHER_TABLE: Final = "a system call of another architecture"


class Warden:
    """``line``: the descriptor whose end says that nobody wants the result. ``work``: the
    folder."""

    def __init__(self, limits: Limits, line: int, work: str, witness: Witness) -> None:
        self._limits = limits
        self._line = line
        self._work = work
        self._witness = witness
        self._denied: dict[Sight, int] = {}
        self._more = 0
        self._entered = False
        self._removed: list[str] = []
        self._looked = 0.0
        self._measured = 0.0
        self._measure_every = 0.0

    def watch(self, command: int, listener: int) -> dict[str, Any]:
        """Until the command, a child of ours, has ended, and all else in here has; what became of
        it. ``denied``: kind, what, how often; ``more``: what else was, which is not told."""
        begun, started = time.monotonic(), time.time_ns() - _COARSE
        died = os.pidfd_open(command)
        seccomp.hurry(listener)
        poll = select.poll()
        for descriptor in (died, listener, self._line):
            poll.register(descriptor, select.POLLIN)
        status: int | None = None
        while status is None:
            ready = {descriptor for descriptor, _ in poll.poll(_TICK * 1000)}
            if listener in ready and (notice := seccomp.receive(listener)):
                self._answer(listener, notice)
                if ready == {listener} and time.monotonic() - self._looked < _TICK:
                    continue
            status = _reap(command)
            if status is None and (self._line in ready or self._is_over(begun)):
                break
            self._looked = time.monotonic()
        self._end_all(command, status)
        seconds = time.monotonic() - begun
        self._settle(status, started)
        return {
            "status": status,
            "denied": [[what, words, times] for (what, words), times in self._denied.items()],
            "more": self._more,
            "removed": self._removed,
            "seconds": round(seconds, 3),
        }

    def _answer(self, listener: int, notice: seccomp.Notice) -> None:
        if attempt := seccomp.barred(notice):
            seccomp.refuse(listener, notice)
            self._note("call", attempt)
            return
        seen = None
        if self._entered:
            try:
                # Now: what is said of it must be so before it has happened.
                seen = self._witness.judge(notice)
            except (OSError, ValueError) as error:
                seen = _unseen(error)
        self._entered = True  # the first one was the jail's own, to become the command
        seccomp.go_on(listener, notice)
        if seen:
            self._note(*seen)

    def _is_over(self, begun: float) -> bool:
        """Whether a limit over all of them is passed; it is noted."""
        limits, now = self._limits, time.monotonic()
        if now - begun > limits.seconds:
            self._note("limit", f"time: more than {limits.seconds:g} seconds")
            return True
        if _resident() > limits.memory:
            self._note("limit", f"memory: more than {limits.memory:,} bytes")
            return True
        self._look_at_rooms()
        self._count()
        if now - self._measured < self._measure_every:
            return False
        found = folder.excess(self._work, limits.folder, limits.entries) or self._fullness()
        self._measured = time.monotonic()
        self._measure_every = max(0.1, 10 * (self._measured - now))
        if found:
            self._note("limit", found)
        return bool(found)

    def _count(self, ended: int = 0) -> None:
        if crowded := self._witness.crowd(ended):
            self._denied[crowded] = 1

    def _look_at_rooms(self) -> None:
        for room in view.ROOMS:
            state = os.statvfs(room)
            if not (state.f_bavail and state.f_favail):
                self._denied["limit", f"room: {room} is full"] = 1

    def _fullness(self) -> str:
        disk = os.statvfs(self._work)
        free = disk.f_bavail * disk.f_frsize
        return f"disk: less than {self._limits.spare:,} bytes are free" * (
            free < self._limits.spare
        )

    def _end_all(self, command: int, status: int | None) -> None:
        self._count(ended=int(status is not None))
        left = sum(1 for pid in _pids() if pid != 1)
        if status is not None and left:
            words = f"{left} left behind: a process ends with the call that started it"
            self._note("left", words)
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()

    def _settle(self, status: int | None, started: int) -> None:
        """``started``: by the clock of files."""
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            number = -code if code < 0 else code - _SHELL_SAYS
            for telling, words in _TELLING.items():
                if number == telling:
                    self._note("limit", words)
            if number == signal.SIGSYS:
                self._note("call", _OTHER_TABLE)
        limits = self._limits
        self._look_at_rooms()
        if folder.has_longest(self._work, limits.file, started):
            self._note("limit", FILE_SIZE)
        if found := folder.excess(self._work, limits.folder, limits.entries):
            self._note("limit", found)
            self._removed = folder.trim(self._work, limits.folder, limits.entries)

    def _note(self, what: str, words: str) -> None:
        seen = what, shown(words)[:_WORDS]
        if seen in self._denied or len(self._denied) < _NOTED:
            self._denied[seen] = self._denied.get(seen, 0) + 1
        else:
            self._more += 1


def _unseen(error: Exception) -> Sight | None:
    """A thread that has died meanwhile asks for nothing any more, and a wrong address gets it
    nothing."""
    if isinstance(error, OSError) and error.errno in (errno.ESRCH, errno.ENOENT, errno.EFAULT):
        return None
    return "call", f"arguments that could not be read: {error}"


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
    return pages * linux.PAGE
