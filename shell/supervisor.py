"""The supervisor: keeps the kernel, the drivers and the agent hosts of one home running.

The kernel comes first and goes last; what dies is started again. It sleeps until a signal or
a timer wakes it, and imports nothing heavy: it is the one process that must not fail. It knows
nothing about syscalls, nor about what its programs do.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from llmagentos.home import Home
from shell.service import QUICK_DEATHS, Program, Service, rotate

KERNEL_IS_ELSEWHERE: Final = 3
"""The kernel's exit code when another one holds the home."""

DISK_IS_FULL: Final = 4
"""The kernel's exit code when it can't write its state because there is no room."""

LEFT_ALONE: Final = signal.SIGUSR1
"""That whoever stays with the system has ended. Not SIGTERM: the kernel of Linux sends it once for
each thread that our parent had, and a second SIGTERM means that somebody is in a hurry."""

_GRACE: Final = 5.0
_KERNEL_GRACE: Final = 3.0
_BOOT_PATIENCE: Final = 5.0
"""Drivers and hosts wait so long for the kernel to listen: on a small machine their imports
would slow its start down. They can do without it."""

Plan = Callable[[], Sequence[Program]]
Wait = Callable[[float | None], None]
"""Sleep until a signal, but for at most so many seconds."""


class Supervisor:
    """``kernel`` is started at once, the programs of ``plan`` when it is ``listening``."""

    def __init__(
        self,
        home: Home,
        kernel: Program,
        plan: Plan,
        *,
        environment: Mapping[str, str],
        listening: Callable[[], bool],
    ) -> None:
        self._home = home
        self._environment = environment
        self._listening = listening
        self._plan: Plan | None = plan
        self._kernel = Service(kernel, home.logs, environment)
        self._others: list[Service] = []
        self._began = time.monotonic()
        self._hurry = False
        self._status: int | None = None
        self._log = home.logs / "supervisor.log"
        rotate(self._log)

    def run(self) -> int:
        """Serve until a signal, or the kernel's own good end; the exit status."""
        with self._signals() as wait:
            self._start(self._kernel)
            while self._status is None:
                self._tell_state()
                wait(self._pause())
                self._mourn()
                self._bring_up()
            self._tell_state()
            self._take_down(wait)
        self._tell_state()
        self._say(f"down, exit code {self._status}")
        return self._status

    # -- waiting ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[Wait]:
        """Signals wake the loop through a socket pair; it looks at what they meant itself."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        selector = selectors.DefaultSelector()
        selector.register(ours, selectors.EVENT_READ)

        def sleep(seconds: float | None) -> None:
            if selector.select(seconds):
                with contextlib.suppress(BlockingIOError):
                    for number in ours.recv(4096):
                        self._heed(signal.Signals(number))

        watched = (
            signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, LEFT_ALONE,
        )  # fmt: skip
        before = {number: signal.signal(number, lambda *_: None) for number in watched}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield sleep
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            selector.close()
            ours.close()
            theirs.close()

    def _heed(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            for service in self._others:
                if service.given_up:
                    self._say(f"{service.name}: trying again, as asked")
                    service.revive()
        elif number == LEFT_ALONE:
            if self._status is None:
                self._say("llmos up has ended: going down")
                self._status = 0
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._say(f"{number.name}: going down")
            self._hurry = self._status is not None
            self._status = self._status or 0

    def _pause(self) -> float | None:
        """Seconds until there is something to do without a signal; None: nothing."""
        if self._plan is not None:
            return 0.02
        due = [s.due for s in (self._kernel, *self._others) if s.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    # -- starting --------------------------------------------------------------------------

    def _bring_up(self) -> None:
        """Start what is due: what is new, and what died a while ago."""
        if self._status is not None:
            return
        if self._plan is not None and (
            self._listening() or time.monotonic() - self._began > _BOOT_PATIENCE
        ):
            try:
                programs = self._plan()
            except Exception as error:
                # Whoever ran `llmos up` is told by it; this is for the log.
                self._say(f"the configuration can't be used: {error}")
                self._status = 2
                return
            self._plan = None
            self._others = [Service(p, self._home.logs, self._environment) for p in programs]
        now = time.monotonic()
        for service in (self._kernel, *self._others):
            if service.due is not None and service.due <= now:
                self._start(service)

    def _start(self, service: Service) -> None:
        try:
            service.start()
        except OSError as error:
            self._say(f"{service.name} can't be started: {error}")
            self._again(service, forgive=error.errno in (errno.ENOSPC, errno.EDQUOT))
            if service is self._kernel and service.given_up:
                self._status = 1
        else:
            self._say(f"{service.name} started, pid {service.pid}")

    # -- dying -----------------------------------------------------------------------------

    def _mourn(self) -> None:
        code = self._kernel.ended()
        if code is not None:
            self._kernel_ended(code)
        for service in self._others:
            code = service.ended()
            if code is not None:
                self._say(f"{service.name} ended: {_meaning(code)}")
                self._again(service)

    def _kernel_ended(self, code: int) -> None:
        self._say(f"kernel ended: {_meaning(code)}")
        if code == 0:
            self._status = self._status or 0
            return
        full = code == DISK_IS_FULL
        if full:
            self._say("the disk is full; the kernel is tried until there is room")
        # Somebody who kills the kernel over and over has not shown that it can't run, and a
        # full disk ends when somebody makes room.
        self._again(self._kernel, forgive=full or code < 0)
        if self._kernel.given_up:
            self._status = code if code == KERNEL_IS_ELSEWHERE else 1

    def _again(self, service: Service, *, forgive: bool = False) -> None:
        """Start it after a pause, or give it up if it has died too often. ``forgive``: never."""
        pause = service.back_off()
        if service.deaths >= QUICK_DEATHS and not forgive:
            said = service.last_line()
            why = f", at last with {said!r}" if said else ""
            service.give_up(f"it ended {service.deaths} times in a row{why}; see {service.log}")
            self._say(f"{service.name} is given up: {service.given_up}")
        else:
            self._say(f"{service.name} is started again in {pause:.1f} s")

    # -- ending ----------------------------------------------------------------------------

    def _take_down(self, wait: Wait) -> None:
        """Drivers and hosts first, so that the kernel still hears how their work ends."""
        self._end(self._others, _GRACE, wait)
        self._end([self._kernel], _KERNEL_GRACE, wait)

    def _end(self, services: list[Service], grace: float, wait: Wait) -> None:
        for service in services:
            service.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self._alive(services):
            left = deadline - time.monotonic()
            if left <= 0 or self._hurry:
                break
            wait(left)
        for service in self._alive(services):
            self._say(f"{service.name} did not end within {grace:.0f} s, killing it")
            service.kill()
        while self._alive(services):
            wait(0.1)

    def _alive(self, services: list[Service]) -> list[Service]:
        for service in services:
            code = service.ended()
            if code is not None:
                self._say(f"{service.name} ended: {_meaning(code)}")
        return [service for service in services if service.pid is not None]

    # -- telling ---------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"
        # A full disk must not take the system down.
        with contextlib.suppress(OSError), self._log.open("a", encoding="utf-8") as log:
            log.write(line)

    def _tell_state(self) -> None:
        services = [service.report() for service in (self._kernel, *self._others)]
        told = {"pid": os.getpid(), "going_down": self._status is not None, "services": services}
        text = json.dumps(told)
        file = services_file(self._home)
        fresh = file.with_suffix(".new")
        with contextlib.suppress(OSError):
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(file)


def services_file(home: Home) -> Path:
    """Where the supervisor tells what it runs."""
    return home.run / "services.json"


def _meaning(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
