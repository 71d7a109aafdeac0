"""A command that nothing confines: only its time is held, and what it leaves behind.

This is what ``--unconfined`` asks for. It knows nothing about why.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import Any


def watch(command: int, seconds: float, line: int) -> dict[str, Any]:
    """Until the command has ended, or its time, or the line; then all that it started is killed.
    The caller has adopted its orphans, before it began."""
    begun = time.monotonic()
    died = os.pidfd_open(command)
    ready = {fd for fd, _ in _poll((died, line), seconds)}
    status = os.waitpid(command, 0)[1] if died in ready else None
    denied = [] if ready else [["limit", f"time: more than {seconds:g} seconds", 1]]
    taken = time.monotonic() - begun
    _end_all()
    told = {"status": status, "denied": denied, "more": 0, "removed": []}
    return told | {"seconds": round(taken, 3)}


def _poll(descriptors: tuple[int, ...], seconds: float) -> list[tuple[int, int]]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return poll.poll(seconds * 1000)


def _end_all() -> None:
    """Children, and theirs, which become ours as their parents die."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.wait()


def _children() -> list[int]:
    with open("/proc/thread-self/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
