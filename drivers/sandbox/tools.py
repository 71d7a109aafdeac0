"""The tools of the sandbox, ``shell`` and ``python``, as an agent calls them.

They know nothing about how a command is confined.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import Field

from drivers.sandbox import namespaces, probe, view
from drivers.sandbox.folders import Folders
from drivers.sandbox.limits import MB, Limits
from drivers.sandbox.runs import Order, Outcome, run
from drivers.tool import Job, Tool, make_tool
from llmagentos.abi.errors import ECANCELED, EDRIVER, ENOSYS
from llmagentos.abi.model import Json, Model

log = logging.getLogger("driver")

_LONGEST: Final = 30_000
"""Characters: as UTF-8 they fit into one argument of a program, which is 128 KB at most."""

_NO_NUL: Final = r"^[^\x00]*$"

_SYSTEM_PYTHONS: Final = ("/usr/bin/python3", "/usr/local/bin/python3")
_TOLD: Final = ("call", "limit", "left")
"""What a command is told it was denied; of the rest its own errors tell."""

_UNCONFINED: Final = "NOT CONFINED: it may do all that the driver's user may."


class Shell(Model):
    command: str = Field(min_length=1, max_length=_LONGEST, pattern=_NO_NUL)
    timeout: float | None = Field(None, gt=0, le=600, description="seconds")


class Python(Model):
    code: str = Field(min_length=1, max_length=_LONGEST, pattern=_NO_NUL)
    timeout: float | None = Field(None, gt=0, le=600, description="seconds")


class Sandbox:
    """``confined``: without it commands run as the driver's user, with little to hold them."""

    def __init__(self, folders: Folders, limits: Limits, *, confined: bool = True) -> None:
        self._folders = folders
        self._limits = limits
        self._confined = confined
        self._python, self._python_home = _find_python(confined)
        self.obstacle = probe.obstacle(self._trial) if confined else ""
        if self.obstacle:
            log.error("nothing can be confined on this machine: %s", self.obstacle)
        if not confined:
            log.warning("commands of agents run WITHOUT confinement, as user %d", os.geteuid())

    def tools(self) -> Sequence[Tool]:
        seconds = f"{self._limits.seconds:g} seconds, if no timeout says otherwise."
        room = f"{self._limits.folder // MB} MB at most"
        kept = (
            f"It runs in {view.WORK}, kept for the next call ({room}). No network. {seconds}"
            if self._confined
            else f"{_UNCONFINED} It runs in a folder that is kept for the next call. {seconds}"
        )
        return (
            make_tool("shell", f"Run a command with /bin/sh. {kept}", Shell, self._shell),
            make_tool("python", f"Run Python code. {kept}", Python, self._run_python),
        )

    def _shell(self, arguments: Shell, job: Job) -> Json:
        return self._call(["/bin/sh", "-c", arguments.command], arguments.timeout, job)

    def _run_python(self, arguments: Python, job: Job) -> Json:
        return self._call([self._python, "-c", arguments.code], arguments.timeout, job)

    def _call(self, command: Sequence[str], timeout: float | None, job: Job) -> Json:
        if self.obstacle:
            raise ENOSYS(
                f"commands can't be confined on this machine: {self.obstacle}",
                hint="it takes Linux 6.2 with Landlock, and user namespaces for the driver's user; "
                "mend that and restart the driver, or start it with --unconfined",
            )
        canceled = ECANCELED("the command was ended: nobody wants its result any more")
        try:
            outcome = self._run(command, timeout or self._limits.seconds, job.pid, job.aborted)
        except EDRIVER:
            if job.aborted.is_set():
                raise canceled from None
            raise
        for what, words, times in outcome.denied:
            job.deny(what, words, times)
            if what in _TOLD:
                log.warning("process %d, job %d: denied: %s", job.pid, job.number, words)
        if job.aborted.is_set():
            raise canceled
        return _told(outcome)

    def _trial(self, aborted: threading.Event) -> Outcome:
        """Of the tool that needs more. As a process of ours that there is not."""
        return self._run([self._python, "-c", "pass"], 20.0, 0, aborted)

    def _run(
        self, command: Sequence[str], seconds: float, pid: int, aborted: threading.Event
    ) -> Outcome:
        spare = namespaces.spare_user(pid) if self._confined else None
        order = Order(
            command=command,
            work=self._folders.of(pid, spare),
            stage=self._folders.root,
            limits=self._limits._replace(seconds=seconds),
            spare=spare,
            python=self._python_home,
            confined=self._confined,
        )
        return run(order, aborted)


def _told(outcome: Outcome) -> Json:
    code = None if outcome.status is None else os.waitstatus_to_exitcode(outcome.status)
    number = signal.SIGKILL.value if code is None else -code
    return {
        "exit_code": code if code is not None and code >= 0 else None,
        "signal": signal.Signals(number).name if number > 0 else None,
        "stdout": outcome.stdout.text,
        "stderr": outcome.stderr.text,
        "stdout_truncated": outcome.stdout.truncated,
        "stderr_truncated": outcome.stderr.truncated,
        "seconds": outcome.seconds,
        "denied": [words for what, words, _ in outcome.denied if what in _TOLD],
        "removed": list(outcome.removed),
    }


def _find_python(confined: bool) -> tuple[str, str | None]:
    """The program, and the folder that must be shown to it. The system's if
    there is one: ours may lie in the home of a user."""
    for path in _SYSTEM_PYTHONS:
        if Path(path).exists():
            return path, None
    if not confined:
        return sys.executable, None
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    home = None if view.shows(sys.base_prefix) else sys.base_prefix
    return f"{sys.base_prefix}/bin/{name}", home
