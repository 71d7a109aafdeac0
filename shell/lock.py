"""The lock of a home's supervisor: at most one, and everybody can see its pid.

An ``flock`` on ``run/supervisor.lock``: it falls with the process, however that ends, so
there is no stale lock. It knows nothing about what a supervisor does.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from llmagentos.home import Home

_LOOKERS_PATIENCE: Final = 0.1
"""Somebody who only looks holds the lock for a moment; that must not turn a supervisor away."""


class SupervisorLock:
    """Held for as long as the supervisor lives."""

    def __init__(self, home: Home) -> None:
        self._file = lock_file(home)
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it and write our pid there; False if another supervisor has it."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _LOOKERS_PATIENCE
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
            time.sleep(0.01)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def lock_file(home: Home) -> Path:
    return home.run / "supervisor.lock"


def supervisor_pid(home: Home) -> int | None:
    """The pid of the supervisor that runs this home now; None: there is none."""
    try:
        descriptor = os.open(lock_file(home), os.O_RDONLY)
    except OSError:
        return None
    try:
        if _try(descriptor, fcntl.LOCK_SH):
            return None
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
