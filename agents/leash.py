"""A leash: runs one program for an agent host, and sees to it that all of it ends when it should.

Run by its path, as ``leash.py PROGRAM ARGUMENTS…``. Its standard input is a socket to the host: a
byte that comes is the number of a signal for the program's group, and the end of the socket is the
end of the host, however that came. Whatever the program has started is killed with it, also what
has left its group: whose parent has gone becomes a child of the leash. On the socket it says, a
line each: ``failed ERRNO``, ``exited CODE`` or ``killed SIGNAL``. It knows nothing about agents.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_HOST = 0
_SWEEP_WITHIN = 5.0
"""Seconds: what starts new processes faster than they can be killed is left to itself then."""

_OUT_OF_REACH = (ProcessLookupError, PermissionError)
"""One that has ended, or that has become another user's, as sudo does."""


def main() -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Its program may have stopped it. It has to hear of the end of the host all the same.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are the program's, and come by the socket
    child, error = _start(libc, sys.argv[1:])
    # Nobody else's pipes shall wait for the leash.
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    if error:
        _say(f"failed {error}")
        return
    status = _watch(child, wake)
    _sweep()
    if status is not None:
        code = os.waitstatus_to_exitcode(status)
        _say(f"killed {-code}" if code < 0 else f"exited {code}")


def _start(libc: ctypes.CDLL, command: list[str]) -> tuple[int, int]:
    """The program's pid, or the number of the error that was in its way."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    leash = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            # If the leash itself is killed. Nobody but it has started a thread.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != leash:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(command[0], command)
        except OSError as failed:
            os.write(tell, str(failed.errno).encode())
        finally:
            os._exit(127)
    os.close(tell)
    error = os.read(told, 16)
    os.close(told)
    if error:
        os.waitpid(child, 0)
    return child, int(error or 0)


def _watch(child: int, wake: int) -> int | None:
    """Until the program has ended: its status. None: the host has."""
    while True:
        ready = select.select([_HOST, wake], [], [])[0]
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            for pid, status in _ended():
                if pid == child:
                    return status
        if _HOST in ready:
            orders = b""
            with contextlib.suppress(ConnectionError):
                orders = os.read(_HOST, 64)
            if not orders:
                return None
            for number in orders:
                with contextlib.suppress(*_OUT_OF_REACH):
                    os.killpg(child, number)


def _ended() -> list[tuple[int, int]]:
    """Children that have ended, with their statuses."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(one)
    return found


def _sweep() -> None:
    """Kill all that is left. Those whose parent is killed come to us, so look again."""
    end = time.monotonic() + _SWEEP_WITHIN
    while (left := _descendants()) and time.monotonic() < end:
        for pid in left:
            with contextlib.suppress(*_OUT_OF_REACH):
                os.kill(pid, signal.SIGKILL)
        _ended()
        time.sleep(0.002)


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes as long to load as all the rest
        with contextlib.suppress(OSError, ValueError):
            pid = int(name)
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                parents[pid] = int(file.read().rpartition(b")")[2].split()[1])
    found: list[int] = []
    front = {os.getpid()}
    while front:
        front = {pid for pid, parent in parents.items() if parent in front}
        found += front
    return found


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(_HOST, line.encode() + b"\n")


if __name__ == "__main__":
    main()
