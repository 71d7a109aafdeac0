"""``llmos logs``: what a process has said and was told, its context."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from shell.commands.process import PID
from shell.session import open_system
from shell.terminal import paint, printable

if TYPE_CHECKING:
    from llmagentos.abi.calls.ctx import ContextMessage
    from llmagentos.client import System

_COLOURS: Final = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}


@click.command()
@click.argument("pid", type=PID)
@click.option("-f", "--follow", is_flag=True, help="Go on until the process ends.")
def logs(pid: int, follow: bool) -> None:
    """What a process was told and has said.

    \b
    llmos logs 12
    llmos logs 12 -f
    """
    with open_system() as system:
        log = _Log(system, pid)
        if not follow:
            return log.catch_up()
        # Before the context is read, so that nothing falls between the two.
        answer = system.open("proc.wait", pid=pid, stream=True, reap=False)
        log.catch_up()
        for piece in answer.pieces():
            log.stream(piece.burst, piece.text)
        answer.result()
        return log.catch_up()


class _Log:
    """What was shown of a context. A streamed answer becomes a message; it is shown once."""

    def __init__(self, system: System, pid: int) -> None:
        self._system = system
        self._pid = pid
        self._shown = 0
        self._burst = 0
        self._streamed = ""
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
            if message.role == "assistant" and streamed and message.content == streamed:
                streamed = ""
            else:
                self._show(message)
            for call in message.tool_calls:
                self._write(f"→ {call.name} {call.arguments}".rstrip() + "\n")

    def stream(self, burst: int, text: str) -> None:
        if burst != self._burst:
            self.catch_up()
            self._burst = burst
            self._heading("assistant")
        self._streamed += text
        self._write(text)

    def _show(self, message: ContextMessage) -> None:
        self._heading(message.role)
        if message.content or not message.tool_calls:
            self._write(message.content + "\n")

    def _heading(self, role: str) -> None:
        self._write(paint(f"── {role} ──", _COLOURS.get(role), bold=True) + "\n", ours=True)

    def _write(self, text: str, *, ours: bool = False) -> None:
        sys.stdout.write(printable(text) if self._screen and not ours else text)
        sys.stdout.flush()
