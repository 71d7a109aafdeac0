"""``llmos logs``: what a process has said and was told, its context; and what a program wrote."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from llmagentos.abi.errors import EINVAL, EIO, ETIMEOUT
from llmagentos.home import Home
from shell.commands.process import PID
from shell.session import open_system
from shell.terminal import paint, printable

if TYPE_CHECKING:
    from llmagentos.client import System
    from shell.transcript import Transcript

_LOOK_AGAIN: Final = 0.3


@click.command()
@click.argument("pid", type=PID)
@click.option("-f", "--follow", is_flag=True, help="Go on until the process ends.")
def logs(pid: int, follow: bool) -> None:
    """What a process was told and has said.

    Of one that is a program, also what it has written to its standard output and error, which is in
    LLMOS_HOME/logs/agent-PID.log.

    \b
    llmos logs 12
    llmos logs 12 -f
    """
    with open_system() as system:
        from shell.transcript import Transcript

        log = Transcript(system, pid)
        output = _Output(pid) if _is_program(system, pid) else None
        if output is not None:
            return _show_program(system, log, output, follow=follow)
        if not follow:
            return log.catch_up()
        if pid == system.info().process.pid:
            raise EINVAL(
                f"{pid} is you, who says and is told nothing here",
                hint="llmos events -f follows the whole system",
            )
        # Before the context is read, so that nothing falls between the two.
        return log.follow(system.open("proc.wait", pid=pid, stream=True, reap=False))


def _is_program(system: System, pid: int) -> bool:
    spec = system.info(pid).spec
    # Of one that was collected the kernel keeps no manifest.
    return bool(spec and spec["spec"].get("program")) or Home.default().program_log(pid).exists()


def _show_program(system: System, log: Transcript, output: _Output, *, follow: bool) -> None:
    """Its calls and what it writes come from two sides, so both are looked at again and again."""
    ended = not follow
    while True:
        log.catch_up()
        output.catch_up()
        if ended:
            return
        try:
            system.call("proc.wait", pid=output.pid, timeout=_LOOK_AGAIN, reap=False)
        except ETIMEOUT:
            continue
        ended = True  # and one last look


class _Output:
    """What was shown of a program's log."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = Home.default().program_log(pid)
        self._shown = 0
        self._begun = False
        # What is there now may end in the middle of a letter.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def catch_up(self) -> None:
        try:
            with self._file.open("rb") as file:
                if self._shown > file.seek(0, os.SEEK_END):
                    self._shown = 0  # it had grown long, and was set aside
                file.seek(self._shown)
                fresh = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise EIO(f"{self._file} can't be read: {error.strerror}") from None
        self._shown += len(fresh)
        if fresh and not self._begun:
            self._begun = True
            sys.stdout.write(paint("── output ──", "yellow", bold=True) + "\n")
        text = self._decoder.decode(fresh)
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
