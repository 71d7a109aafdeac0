"""Runs: one command in one jail, from its start until all that it started is gone.

It starts the jail, reads what the command says, and ends the jail when it says too much or nobody
wants it any more. It knows nothing about tools, or how a jail is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.sandbox.limits import Limits
from drivers.sandbox.stream import Stream
from llmagentos.abi.errors import EDRIVER, LLMOSError

_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from drivers.sandbox.jail import main; main(int(sys.argv[2]))"
)
"""Isolated, and without site: nothing of the driver's environment is in it, and it is there
soon."""

_PACKAGES: Final = Path(__file__).parents[2]
_CHUNK: Final = 1 << 16
_TICK: Final = 0.05
_PATIENCE: Final = 10.0
"""Seconds beyond its time that a jail may take to end itself."""


@dataclass(frozen=True, slots=True)
class Order:
    """``work``: the folder it works in; ``stage``: any folder. ``spare``: the user of the machine
    that it is to be, if we may choose. ``python``: where Python is, if that must be shown to it."""

    command: Sequence[str]
    work: Path
    stage: Path
    limits: Limits
    spare: int | None = None
    python: str | None = None
    confined: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """``status``: as ``waitpid`` gives it; None if it did not end by itself. ``denied``: the kind
    of thing, which one, and how often; see ``witness``."""

    status: int | None
    stdout: Stream
    stderr: Stream
    seconds: float
    denied: list[tuple[str, str, int]]
    removed: list[str]


def run(order: Order, aborted: threading.Event) -> Outcome:
    """Also of one that was aborted. Raises ``EDRIVER`` if the jail could not be made."""
    hears, says = os.pipe()
    words = [sys.executable, "-I", "-S", "-c", _BOOT, str(_PACKAGES), str(says)]
    try:
        jail = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=(says,), env={}, cwd="/", bufsize=0,
        )  # fmt: skip
    except OSError as error:
        os.close(hears)
        raise EDRIVER(f"the jail can't be started: {error.strerror}") from None
    finally:
        os.close(says)
    with jail, open(hears, "rb", buffering=0) as report:
        return _Run(order, jail, report, aborted).outcome()


class _Run:
    def __init__(
        self, order: Order, jail: subprocess.Popen[bytes], report: Any, aborted: threading.Event
    ) -> None:
        self._order = order
        self._jail = jail
        self._aborted = aborted
        self._out, self._err = Stream(), Stream()
        self._said = b""
        self._flooded = False
        self._selector = selectors.DefaultSelector()
        ears: list[tuple[Any, Callable[[bytes], None]]] = [
            (jail.stdout, self._out.feed),
            (jail.stderr, self._err.feed),
            (report, self._hear),
        ]
        for file, hear in ears:
            self._selector.register(file, selectors.EVENT_READ, hear)

    def outcome(self) -> Outcome:
        begun = time.monotonic()
        try:
            self._send_order()
            self._listen(begun + self._order.limits.seconds + _PATIENCE)
        finally:
            self._jail.kill()  # if it is still there, all in it dies with it
            self._selector.close()
        account = self._account()
        denied = [(what, words, times) for what, words, times in account["denied"]]
        if self._flooded:
            denied.insert(0, ("limit", f"output: more than {self._order.limits.output:,} bytes", 1))
        if account["more"]:
            denied.append(("more", "of other kinds", account["more"]))
        return Outcome(
            status=account["status"],
            stdout=self._out,
            stderr=self._err,
            seconds=account["seconds"],
            denied=denied,
            removed=account["removed"],
        )

    def _send_order(self) -> None:
        order = self._order
        words = {
            "command": list(order.command),
            "work": str(order.work),
            "stage": str(order.stage),
            "limits": order.limits._asdict(),
            "spare": order.spare,
            "python": order.python,
            "confined": order.confined,
        }
        assert self._jail.stdin is not None
        left = memoryview(json.dumps(words).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):  # it says why
            while left:
                left = left[self._jail.stdin.write(left) :]

    def _listen(self, deadline: float) -> None:
        while self._selector.get_map() and time.monotonic() < deadline:
            for key, _ in self._selector.select(_TICK):
                chunk = os.read(key.fd, _CHUNK)
                if chunk:
                    key.data(chunk)
                else:
                    self._selector.unregister(key.fileobj)
            if self._out.length + self._err.length > self._order.limits.output:
                self._flooded = True
            if self._flooded or self._aborted.is_set():
                self._hang_up()

    def _hang_up(self) -> None:
        """The jail ends all that runs in it, and says so."""
        assert self._jail.stdin is not None
        self._jail.stdin.close()

    def _hear(self, chunk: bytes) -> None:
        self._said += chunk

    def _account(self) -> dict[str, Any]:
        try:
            account: dict[str, Any] = json.loads(self._said)
        except ValueError:
            raise _broken("it ended without a word") from None
        if "broken" in account:
            raise _broken(account["broken"])
        return account


def _broken(why: str) -> LLMOSError:
    return EDRIVER(f"the jail broke: {why}", hint="see the driver's log; the command did not end")
