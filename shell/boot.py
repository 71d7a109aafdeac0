"""Bringing a system up and taking it down.

The supervisor is forked, not started as another interpreter, and before anything heavy is
imported: the kernel must answer within a second. It knows nothing about what runs in the
system, nor about screens.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import time
from collections.abc import Callable
from typing import Final, NoReturn

from llmagentos.abi.errors import ECONNREFUSED, EINVAL, EIO, ETIMEOUT, LLMOSError
from llmagentos.home import Home
from shell import disk, image
from shell.lock import SupervisorLock, supervisor_pid
from shell.ping import answers, listening
from shell.service import Program, die_with
from shell.supervisor import LEFT_ALONE, Plan, Supervisor, services_file

READY_WITHIN: Final = 30.0
DOWN_WITHIN: Final = 10.0
_ANSWER_WITHIN: Final = 3.0
_FULL_DISK_PATIENCE: Final = 3.0
_LAST_WORDS: Final = {
    "kernel.log": re.compile(r"^(?!hint:).*\S"),
    "supervisor.log": re.compile(r" kernel (ended|can't be started): "),
}
"""Which lines of which log tell why a system ended."""


class Started:
    """A supervisor that we have forked: whether it lives, and how to end it."""

    def __init__(self, life: int, child: int | None) -> None:
        self._life = life
        self._child = child

    @property
    def alive(self) -> bool:
        """Its end of the pipe closes when it ends, however it does."""
        return not select.select([self._life], [], [], 0)[0]

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False if it lives on."""
        return bool(select.select([self._life], [], [], seconds)[0])

    def status(self) -> int:
        """Its exit code, when it has ended; 0 for one that was detached."""
        if self._child is None:
            return 0
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])


def is_up(home: Home) -> bool:
    """Whether somebody runs this home: a supervisor, or a kernel that was started by hand."""
    return supervisor_pid(home) is not None or listening(home)


def launch(home: Home, kernel: Program, plan: Plan, *, detach: bool) -> Started:
    """Fork the supervisor. Without ``detach`` it ends when we do, but not by our Ctrl-C."""
    try:
        home.create()
    except (FileExistsError, NotADirectoryError) as error:
        raise EINVAL(
            f"there can be no system in {home.root}: {error.filename} is not a folder",
            hint="set LLMOS_HOME to a folder, or to one that is to be made",
        ) from None
    life, theirs = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(life)
        _become_supervisor(home, kernel, plan, parent=None if detach else parent)
    os.close(theirs)
    if detach:
        os.waitpid(child, 0)
    return Started(life, None if detach else child)


def wait_until_up(home: Home, started: Started | None = None) -> None:
    """Return as soon as the kernel answers. Raises ``EIO`` if its supervisor ends instead."""
    # Now, while the kernel is starting, and not when it could be asked already.
    import zmq  # noqa: F401

    began = time.monotonic()
    while not (listening(home) and answers(home, _ANSWER_WITHIN)):
        if started is not None and not started.alive and not is_up(home):
            raise broken(home, "did not come up")
        waited = time.monotonic() - began
        # Its supervisor tries for ever then; whoever waits for it need not.
        if waited > _FULL_DISK_PATIENCE and disk.is_full(home.root):
            raise broken(home, "did not come up")
        if waited > READY_WITHIN:
            raise ETIMEOUT(
                f"the kernel did not answer within {READY_WITHIN:.0f} s",
                hint=f"see {home.logs / 'kernel.log'}",
            )
        time.sleep(0.005)


def stays_up(home: Home, tell: Callable[[], object]) -> bool:
    """Wait until the system answers, or (False) until it is down; ``tell`` when it goes down.

    Raises ``ECONNREFUSED`` if it does neither.
    """
    deadline = time.monotonic() + READY_WITHIN
    told = False
    while is_up(home):
        if going_down(home):
            if not told:
                tell()
            told = True
        elif listening(home) and answers(home, _ANSWER_WITHIN) and not going_down(home):
            return True
        if time.monotonic() > deadline:
            raise ECONNREFUSED(
                f"the system in {home.root} is running, but its kernel does not answer",
                hint="take it down: llmos down",
            )
        time.sleep(0.02)
    return False


def going_down(home: Home) -> bool:
    """Whether the supervisor that runs this home ends it just now."""
    try:
        told = json.loads(services_file(home).read_text(encoding="utf-8"))
        return bool(told["going_down"]) and told["pid"] == supervisor_pid(home)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def broken(home: Home, how: str) -> LLMOSError:
    """A system that ended by itself, with what its kernel said last."""
    if disk.is_full(home.root):
        # The kernel could not even write down why: its log's last line is from before.
        return disk.full(home.root, f"the system {how}")
    return EIO(
        f"the system {how}: {_last_words(home)}",
        hint=f"see {home.logs / 'kernel.log'} and {home.logs / 'supervisor.log'}",
    )


def take_down(home: Home) -> bool:
    """End the system in good order, and by force if that takes too long. False: it was down."""
    supervisor = supervisor_pid(home)
    kernel = _shut_kernel_down(home)
    if supervisor is None and kernel is None:
        return False
    if supervisor is not None:
        if kernel is None:
            _send(supervisor, signal.SIGTERM)
        if not _until(lambda: supervisor_pid(home) != supervisor):
            # Its children are bound to it: they get SIGKILL from the system when it ends.
            _send(supervisor, signal.SIGKILL)
    elif kernel is not None and not _until(lambda: not _lives(kernel)):
        _send(kernel, signal.SIGKILL)
    return True


def _shut_kernel_down(home: Home) -> int | None:
    """Ask the kernel to end; its pid, None if it does not answer."""
    if not listening(home):
        return None
    from llmagentos.client import connect

    try:
        with connect(home=home.root, user=True, patience=2.0) as system:
            pid: int = system.call("sys.info", within=2.0)["os_pid"]
            system.call("sys.shutdown", within=2.0, reason="llmos down")
    except LLMOSError:
        return None
    return pid


def _become_supervisor(home: Home, kernel: Program, plan: Plan, *, parent: int | None) -> NoReturn:
    """In the forked child: leave the terminal, supervise, end without the parent's clean-up."""
    status = 1
    try:
        # Before anything is made: logs and state are nobody else's business.
        os.umask(0o077)
        os.setsid()
        if parent is None:
            if os.fork():
                os._exit(0)
        else:
            die_with(parent, LEFT_ALONE)
        _leave_terminal(home)
        status = _supervise(home, kernel, plan)
    finally:
        os._exit(status)


def _supervise(home: Home, kernel: Program, plan: Plan) -> int:
    lock = SupervisorLock(home)
    if not lock.acquire():
        return 0
    try:
        return Supervisor(
            home,
            kernel,
            plan,
            environment=image.environment(home),
            listening=lambda: listening(home),
        ).run()
    finally:
        lock.release()


def _leave_terminal(home: Home) -> None:
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(home.logs / "supervisor.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)


def _last_words(home: Home) -> str:
    """The kernel's own; if it has none, how its supervisor saw it end."""
    for name, tells in _LAST_WORDS.items():
        with contextlib.suppress(OSError, IndexError):
            lines = (home.logs / name).read_text(encoding="utf-8", errors="replace").splitlines()
            return [line for line in lines if tells.search(line)][-1]
    return "it left no word"


def _until(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DOWN_WITHIN
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
