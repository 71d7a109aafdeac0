"""The jail: the program that shuts itself in, and runs one command in there.

Three processes: one that leaves all namespaces and waits; the first one inside, the warden; and the
command. Its standard input brings what to run, a line of JSON, and its end says that nobody wants
the result; what became of it goes to the descriptor that it is given. It has nothing but the
standard library, and knows nothing about tools.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any, Final

from drivers.sandbox import (
    landlock,
    limits,
    linux,
    loose,
    namespaces,
    seccomp,
    view,
    warden,
    witness,
)

_LINE: Final = 0
_CHUNK: Final = 65536
_NICENESS: Final = 10
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": view.WORK,
    "TMPDIR": "/tmp",
    "USER": "sandbox",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def main(report: int) -> None:
    """Says what became of it to the descriptor ``report``: the warden's account, or ``broken``."""
    os.set_inheritable(report, False)
    try:
        order = _order()
        _volunteer()
        if not order["confined"]:
            _say(report, _loose(order))
            return
        namespaces.leave(order["spare"])
        first = os.fork()
        if first == 0:
            _inside(order, report)
        for descriptor in (report, 1, 2):
            os.close(descriptor)
        os.waitpid(first, 0)
    except BaseException as error:
        _say(report, {"broken": str(error) or repr(error)})


def _inside(order: dict[str, Any], report: int) -> None:
    """The first process in there. Does not return."""
    said: dict[str, Any] = {"broken": "the warden of the jail died"}
    try:
        linux.die_with_parent(signal.SIGKILL)
        linux.hide_memory()
        os.umask(0o022)  # the one around it may be 077, and who uses the view is another user
        bounds = limits.Limits(**order["limits"])
        socket.sethostname("sandbox")
        view.build(order["stage"], order["work"], order["python"], bounds)
        said = _guarded(order, bounds)
    except BaseException as error:
        said = {"broken": str(error) or repr(error)}
    finally:
        _say(report, said)
        os._exit(0)


def _loose(order: dict[str, Any]) -> dict[str, Any]:
    """Run it without a jail."""
    linux.adopt_orphans()
    bounds = limits.Limits(**order["limits"])
    pid = os.fork()
    if pid == 0:
        try:
            _prepare(order["work"])
            os.execve(order["command"][0], order["command"], _ENVIRONMENT | {"HOME": order["work"]})
        finally:
            os._exit(127)
    os.close(1)
    os.close(2)
    return loose.watch(pid, bounds.seconds, _LINE)


def _guarded(order: dict[str, Any], bounds: limits.Limits) -> dict[str, Any]:
    """Run it, and watch it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(order, bounds, theirs)
    theirs.close()
    os.close(1)
    os.close(2)
    words, descriptors, _, _ = socket.recv_fds(ours, _CHUNK, 1)
    if not descriptors:
        return {"broken": words.decode(errors="replace")}
    # Where there is one user only, those who made the jail are he as well.
    others = 2 if os.getuid() == namespaces.USER else 0
    seen = witness.Witness(bounds, order["python"], others)
    account = warden.Warden(bounds, _LINE, view.WORK, seen).watch(pid, descriptors[0])
    failure = ours.recv(_CHUNK)
    return account if not failure else {"broken": failure.decode(errors="replace")}


def _become(order: dict[str, Any], bounds: limits.Limits, line: socket.socket) -> None:
    """The command. Does not return."""
    try:
        _prepare(view.WORK)
        namespaces.become_user()
        limits.apply(bounds)
        landlock.restrict(view.rights(order["python"]))
        listener = seccomp.install(bounds)
        socket.send_fds(line, [b"!"], [listener])
        os.execve(order["command"][0], order["command"], _ENVIRONMENT)
    except BaseException as error:
        with contextlib.suppress(OSError):
            line.send((str(error) or repr(error)).encode())
    finally:
        os._exit(127)


def _prepare(work: str) -> None:
    """What a command finds, confined or not."""
    os.setsid()
    os.nice(_NICENESS)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.chdir(work)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and so would the command
    os.umask(0o022)


def _volunteer() -> None:
    """Where memory runs out, Linux ends this first, and of this what is largest."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _order() -> dict[str, Any]:
    words = b""
    while not words.endswith(b"\n"):
        chunk = os.read(_LINE, _CHUNK)
        if not chunk:
            raise EOFError("nobody wants it any more")
        words += chunk
    order: dict[str, Any] = json.loads(words)
    return order


def _say(report: int, said: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(report, json.dumps(said).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
