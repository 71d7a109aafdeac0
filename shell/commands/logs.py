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
    from llmagentos.abi.calls.ctx import ContextMessage
    from llmagentos.client import System
    from llmagentos.exchange import Piece

_COLOURS: Final = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}
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
        log = _Log(system, pid)
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
        answer = system.open("proc.wait", pid=pid, stream=True, reap=False)
        log.catch_up()
        log.forget_the_past()
        for piece in answer.pieces():
            log.stream(piece)
        answer.result()
        return log.catch_up()


def _is_program(system: System, pid: int) -> bool:
    spec = system.info(pid).spec
    # Of one that was collected the kernel keeps no manifest.
    return bool(spec and spec["spec"].get("program")) or Home.default().program_log(pid).exists()


def _show_program(system: System, log: _Log, output: _Output, *, follow: bool) -> None:
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
            sys.stdout.write(paint("── output ──", _COLOURS["tool"], bold=True) + "\n")
        text = self._decoder.decode(fresh)
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()


class _Log:
    """What was shown of a context. A streamed answer becomes a message, or was one before we heard
    a piece of it; it is shown once."""

    def __init__(self, system: System, pid: int) -> None:
        self._system = system
        self._pid = pid
        self._shown = 0
        self._burst = 0
        self._streamed = ""
        self._whole = False
        self._early: list[str] = []
        """Answers that were shown whole, and whose pieces may be still to come."""
        self._screen = sys.stdout.isatty()

    def catch_up(self) -> None:
        """Show the messages that are new, but for the answer that was streamed."""
        from llmagentos.abi.calls.ctx import ReadResult

        result = ReadResult.model_validate(self._system.call("ctx.read", pid=self._pid))
        streamed, self._streamed = self._streamed, ""
        if streamed:
            self._write("\n")
        for message in result.messages:
            if message.id <= self._shown:
                continue
            self._shown = message.id
            said = message.role == "assistant"
            if not (said and streamed and message.content == streamed):
                self._show(message)
                if said and message.content and not streamed:
                    self._early.append(message.content)
            if said:
                streamed = ""
            for call in message.tool_calls:
                self._write(f"→ {call.name} {call.arguments}".rstrip() + "\n")

    def forget_the_past(self) -> None:
        """What was said up to now comes in no pieces."""
        self._early.clear()

    def stream(self, piece: Piece) -> None:
        if piece.burst != self._burst:
            self.catch_up()
            self._burst = piece.burst
            # A short answer is in the context by now.
            self._whole = self._was_shown(piece.text)
            if not self._whole:
                self._heading("assistant")
        if self._whole:
            return
        if piece.anew and self._streamed:
            self._write("\n")
            click.echo("llmos: the answer had to be made anew; here it is from its start", err=True)
            self._streamed = ""
        self._streamed += piece.text
        self._write(piece.text)

    def _was_shown(self, beginning: str) -> bool:
        """Whether the answer that begins so is among the early ones. They come in their order."""
        while self._early:
            if self._early.pop(0).startswith(beginning):
                return True
        return False

    def _show(self, message: ContextMessage) -> None:
        self._heading(message.role)
        if message.content or not message.tool_calls:
            self._write(message.content + "\n")

    def _heading(self, role: str) -> None:
        self._write(paint(f"── {role} ──", _COLOURS.get(role), bold=True) + "\n", ours=True)

    def _write(self, text: str, *, ours: bool = False) -> None:
        sys.stdout.write(printable(text) if self._screen and not ours else text)
        sys.stdout.flush()
