"""A service: one program of the system as its supervisor runs it, with its back-off and log.

It knows nothing about which programs there are, nor about the others.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from shell.terminal import clip

_PR_SET_PDEATHSIG: Final = 1
_SECRET: Final = re.compile("KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

FIRST_BACKOFF: Final = 0.2
LONGEST_BACKOFF: Final = 10.0
HEALTHY_AFTER: Final = 30.0
"""Seconds of life after which earlier deaths are forgotten."""

_DOUBLINGS: Final = 10
"""Enough for the longest back-off. Who dies for days must not make the number overflow."""

QUICK_DEATHS: Final = 5
"""So many in a row, and a service is given up."""

_LAST: Final = 4096
"""Bytes at the end of a log in which its last line is looked for."""

LOG_LIMIT: Final = 4 * 1024 * 1024
"""Bytes beyond which a log is set aside when its program starts."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run under which name. ``withheld``: variables of our environment that it does not
    get, since they hold the keys of others."""

    name: str
    command: Sequence[str]
    withheld: frozenset[str] = frozenset()


def secret_variables(keys: Iterable[str | None], others: Iterable[str]) -> frozenset[str]:
    """Those that hold a key, and of ``others`` those that seem to by their names: ``HTTPS_PROXY``
    and the like are for everybody."""
    found = {name for name in keys if name}
    return frozenset(found | {name for name in others if _SECRET.search(name.upper())})


class Service:
    """One program, started again when it dies."""

    def __init__(self, program: Program, logs: Path, environment: Mapping[str, str]) -> None:
        self.name = program.name
        self.log = logs / f"{program.name}.log"
        self.deaths = 0
        self.restarts = 0
        self.given_up = ""
        self.due: float | None = 0.0
        self._command = list(program.command)
        self._environment = {
            name: value for name, value in environment.items() if name not in program.withheld
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Run it. It dies with the supervisor, even if that one is killed."""
        rotate(self.log)
        self.due = None
        self._since = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # A group of its own, so that whatever it has started can be killed with it.
                process_group=0,
                # Safe: the supervisor has one thread.
                preexec_fn=partial(die_with, os.getpid(), signal.SIGKILL),  # noqa: PLW1509
            )

    def ended(self) -> int | None:
        """Its exit code (negative: the signal), once, if it has ended since the last look."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self._process = None
        return code

    def last_line(self) -> str:
        """What it wrote last, as far as it fits a line of a screen; "" if it wrote nothing."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _LAST))
                lines = log.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return clip(next((line.strip() for line in reversed(lines) if line.strip()), ""), 160)

    def back_off(self) -> float:
        """Count a death: the seconds until it is started again."""
        if time.monotonic() - self._since >= HEALTHY_AFTER:
            self.deaths = 0
        self.deaths += 1
        self.restarts += 1
        pause = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self.deaths - 1, _DOUBLINGS))
        self.due = time.monotonic() + pause
        return pause

    def give_up(self, reason: str) -> None:
        self.given_up, self.due = reason, None

    def revive(self) -> None:
        """Try one that was given up again."""
        self.given_up, self.deaths, self.due = "", 0, 0.0

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it and whatever it has started, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def report(self) -> dict[str, Any]:
        """What ``llmos status`` shows of it."""
        return {
            "name": self.name,
            "pid": self.pid,
            "restarts": self.restarts,
            "given_up": self.given_up,
            "log": str(self.log),
        }


def rotate(log: Path) -> None:
    """Set a log that has grown long aside; one old one is kept."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the system send us this signal when our parent ends, even if that got kill -9."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)
    # If it has ended before we asked, the signal will not come any more.
    if os.getppid() != parent:
        os._exit(1)
