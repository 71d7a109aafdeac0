"""A program: an executable that a manifest names, run as an OS process in place of the loop.

It has a session of its process in its environment, and nothing else of ours that is secret. How it
ends, and what it has written to its standard output, is how its process ends, unless it says that
itself by ``proc.exit``. It knows nothing about the kernel's side of signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import llmagentos
from agents.loop import INTERRUPTED, TERMINATED, Ending, leave
from agents.output import Output, Tail
from llmagentos.abi import errors
from llmagentos.abi.driver import Assignment
from llmagentos.aio import AsyncSystem
from llmagentos.home import Home

_IMAGE: Final = Path(__file__).resolve().parent.parent
"""The folder of the system's own packages."""

_CHECKOUT: Final = Path(llmagentos.__file__).resolve().parent.parent == _IMAGE
_LEASH: Final = Path(__file__).with_name("leash.py")
_OURS: Final = ("python", "python3")
_PASSED_ON: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""What any program needs. Keys of services are in variables as well, so it gets no others."""

_CHUNK: Final = 64 * 1024
_GONE_WITHIN: Final = 10.0
_LAST_WORDS: Final = 1.0
"""Seconds in which what it wrote last is read, if something that got away keeps its pipe open."""

_SIGNALS: Final = {
    "TERM": signal.SIGTERM,
    "INT": signal.SIGINT,
    "STOP": signal.SIGSTOP,
    "CONT": signal.SIGCONT,
}

_log = logging.getLogger("agents.program")


class Program:
    """One life of the program of one process."""

    def __init__(self, assignment: Assignment, home: Home) -> None:
        spec = assignment.manifest.get("spec", {})
        self._assignment = assignment
        self._words: list[str] = list(spec["program"])
        self._folder = home.root / (spec.get("workdir") or "")
        self._home = home
        self._log = home.program_log(assignment.pid)
        self._answer, self._complaint = Tail(), Tail()
        self._leash: asyncio.StreamWriter | None = None
        self._exited = False
        self._early: list[int] = []
        """Signals that came before it was started."""

    def signal(self, name: str) -> None:
        """To it, and what it has started in its group. One that has ended hears nothing."""
        number = _SIGNALS[name]
        if self._leash is None:
            self._early.append(number)
        else:
            self._leash.write(bytes([number]))

    def exited(self) -> None:
        """It has said itself how its process ends: nothing more can be said about that."""
        self._exited = True

    async def live(self, process: AsyncSystem, name: str) -> None:
        """Run it to its end, and end its process. To cancel this kills it, at once and whole."""
        try:
            ending = await self._run()
        except errors.LLMOSError as error:
            ending = Ending.failed(error)
        except OSError as error:
            reason = error.strerror or str(error)
            ending = Ending.failed(errors.EIO(f"the program can't be run: {reason}"))
        except Exception as error:
            # Nobody else would ever end its process.
            _log.exception("%s: an error beside its program", name)
            what = f"the host failed beside the program: {type(error).__name__}"
            ending = Ending.failed(errors.EIO(what, hint="the host's log has the traceback"))
        if not self._exited:
            await leave(process, name, ending)

    async def _run(self) -> Ending:
        command, environment = self._command(), self._environment()
        output = Output(self._log)
        try:
            output.write(f"--- {_now()} process {self._assignment.pid}: {command[0]}\n".encode())
            async with self._started(command, environment) as (leash, said):
                ears = [
                    asyncio.create_task(_hear(leash.stdout, output, self._answer)),
                    asyncio.create_task(_hear(leash.stderr, output, self._complaint)),
                ]
                last = (await said.read()).decode().strip()
                await asyncio.wait(ears, timeout=_LAST_WORDS)
                for ear in ears:
                    ear.cancel()
                ending = self._ended(last.split())
                output.write(f"--- {_now()} {last or 'its leash was killed'}\n".encode())
        finally:
            output.close()
        return ending

    @contextlib.asynccontextmanager
    async def _started(
        self, command: list[str], environment: dict[str, str]
    ) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
        """Leaving ends it, and all that it has started."""
        ours, theirs = socket.socketpair()
        try:
            leash = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_LEASH), *command,
                stdin=theirs.fileno(), stdout=PIPE, stderr=PIPE, env=environment, cwd=self._folder,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            said, self._leash = await asyncio.open_connection(sock=ours)
            self._leash.write(bytes(self._early))
            yield leash, said
        finally:
            if self._leash is not None:
                self._leash.close()
            ours.close()
            await _gone(leash)

    def _command(self) -> list[str]:
        """With a whole path in its front. Raises ``ENOENT`` or ``EINVAL``."""
        first, *rest = self._words
        if not self._folder.is_dir():
            raise errors.ENOENT(
                f"there is no folder {self._folder} to run the program in",
                hint="see spec.workdir; the default is the manifest's folder",
            )
        if first in _OURS:
            return [sys.executable, *rest]
        if "/" not in first:
            found = shutil.which(first)
            if found is None:
                raise errors.ENOENT(
                    f"there is no program {first} on the path",
                    hint="install it, or name it by a path, as ./program",
                )
            return [found, *rest]
        path = self._folder / first
        if not path.is_file():
            raise errors.ENOENT(
                f"there is no program {path}", hint="paths are seen from the manifest's folder"
            )
        if not os.access(path, os.X_OK):
            raise errors.EINVAL(
                f"{path} is not executable",
                hint=f"chmod +x it, or name its interpreter: program: [python, {first}]",
            )
        return [str(path), *rest]

    def _environment(self) -> dict[str, str]:
        given = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        given |= {
            "LLMOS_HOME": str(self._home.root),
            "LLMOS_SESSION": self._assignment.session,
            "LLMOS_PID": str(self._assignment.pid),
            "PYTHONUNBUFFERED": "1",
        }
        # In a user's own program our `agents` must not stand before another project's.
        path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        path = [entry for entry in path if Path(entry) != _IMAGE]
        if self._words[0] in _OURS and (_CHECKOUT or self._folder == _IMAGE / "manifests"):
            path.insert(0, str(_IMAGE))
        if path:
            given["PYTHONPATH"] = os.pathsep.join(path)
        return given

    def _ended(self, last: list[str]) -> Ending:
        """How its process ends, from the last word of its leash."""
        match last:
            case ["exited", "0"]:
                return Ending(0, self._answer.text(self._log))
            case ["exited", code]:
                return self._failed(int(code), f"the program ended with exit status {code}")
            case ["killed", number]:
                name = _name(int(number))
                if name in ("SIGTERM", "SIGINT"):
                    status = TERMINATED if name == "SIGTERM" else INTERRUPTED
                    error = errors.ECANCELED(f"{name[3:]} ended it")
                    return Ending(status, self._answer.text(self._log), error.to_wire())
                return self._failed(128 + int(number), f"the program was killed by {name}")
            case ["failed", number]:
                reason = os.strerror(int(number))
                if int(number) == errno.ENOEXEC:
                    reason += "; a script needs a first line such as #!/bin/sh"
                return Ending.failed(errors.EINVAL(f"{self._words[0]} can't be run: {reason}"))
        return self._failed(1, "the program was killed, with what watches it")

    def _failed(self, code: int, what: str) -> Ending:
        why = self._complaint.last_line()
        error = errors.EFAILED(
            f"{what}: {why:.500}" if why else what,
            hint=f"llmos logs {self._assignment.pid} shows what it wrote",
            detail={"log": str(self._log)},
        )
        return Ending(code, self._answer.text(self._log), error.to_wire())


def _name(number: int) -> str:
    """Of a signal; most of the real-time ones have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _hear(stream: asyncio.StreamReader | None, output: Output, tail: Tail) -> None:
    assert stream is not None
    while data := await stream.read(_CHUNK):
        tail.add(data)
        try:
            output.write(data)
        except OSError as error:
            # It goes on: a disk that is full is no fault of its.
            _log.error("%d bytes of a program's output are lost: %s", len(data), error.strerror)


async def _gone(leash: Process) -> None:
    """Its leash kills it when we hang up. Nobody who cancels us twice may leave it behind."""
    with contextlib.suppress(ProcessLookupError):
        leash.send_signal(signal.SIGCONT)  # the program may have stopped it
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(_GONE_WITHIN):
            await leash.wait()
    if leash.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            leash.kill()
    leash._transport.close()  # type: ignore[attr-defined] # or it waits for grandchildren's pipes


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
