"""A conversation on a terminal: what an agent answers, as it comes, and what is written to it.

It knows nothing about how the agent was started, nor about what becomes of it after a failure.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from llmagentos.abi.errors import ESRCH
from shell.commands.process import ended_with
from shell.failure import tell
from shell.terminal import printable
from shell.watch import explain_silence

if TYPE_CHECKING:
    from llmagentos.agent import Agent
    from llmagentos.client import System
    from llmagentos.exchange import Piece
    from llmagentos.stream import Stream

_GLANCE: Final = 0.05
"""Seconds between two looks at an agent that answers."""

_PROMPT: Final = "> "


def converse(system: System, agent: Agent, *, told: bool) -> int:
    """Answers and questions, until one of the two ends it; the exit status.

    ``told``: it has a text to answer already. Where no person sits before it, one answer is all.
    """
    answer, out = agent.ending(), Answer()
    person = sys.stdin is not None and sys.stdin.isatty()
    if person and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            # That it is there makes what is written editable.
            import readline  # noqa: F401
    explain_silence(system, answer, agent.pid)
    while _answered(agent, answer, out, stoppable=person):
        if told and not out.burst:
            # It was quicker than we were: it had answered before we listened.
            _last_words(system, agent, out)
        out.close()
        line = _line() if person else None
        if line is None:
            try:
                agent.kill("TERM")
            except ESRCH:
                break  # somebody else was quicker
            agent.wait()
            return 0
        # Who has ended meanwhile tells of it in the next round.
        with contextlib.suppress(ESRCH):
            system.call("ipc.send", pid=agent.pid, body=line)
    out.close()
    return ended_with(answer.result())


class Answer:
    """Answers on stdout, as they come; each ends with a line end."""

    def __init__(self) -> None:
        self.burst = 0
        self._screen = sys.stdout.isatty()
        self._last = "\n"

    def take(self, piece: Piece) -> None:
        if piece.anew:
            self.close()
            click.echo("llmos: the answer had to be made anew; here it is from its start", err=True)
        self.write(piece.burst, piece.text)

    def write(self, burst: int, text: str) -> None:
        if burst != self.burst:
            self.close()
            self.burst = burst
        shown = printable(text) if self._screen else text
        if shown:
            sys.stdout.write(shown)
            sys.stdout.flush()
            self._last = shown[-1]

    def close(self) -> None:
        if self._last != "\n":
            self.write(self.burst, "\n")


def _answered(agent: Agent, answer: Stream, out: Answer, *, stoppable: bool) -> bool:
    """Write what it answers, until it waits for mail; False: it has ended.

    With ``stoppable`` a Ctrl-C ends the answer; a second one is the caller's.
    """
    while True:
        try:
            process = agent.info().process
            _write_ready(answer, out)
            if answer.done:
                return False
            if (process.state, process.reason) == ("WAITING", "mail"):
                return True
            time.sleep(_GLANCE)
        except KeyboardInterrupt:
            if not stoppable:
                raise
            stoppable = False
            agent.kill("INT")


def _write_ready(answer: Stream, out: Answer) -> None:
    """What has come already. A look at the process has brought it here, so what it said before it
    waits is there when it is seen to wait."""
    from llmagentos.exchange import Piece

    while answer.inbox and isinstance(piece := answer.inbox[0], Piece):
        answer.inbox.popleft()
        out.take(piece)
    # Only its end can be left now.
    for _ in answer.ready():
        pass


def _last_words(system: System, agent: Agent, out: Answer) -> None:
    for message in system.call("ctx.read", pid=agent.pid, last=1)["messages"]:
        if message["role"] == "assistant":
            out.write(1, message["content"])


def _line() -> str | None:
    """What a person writes next; None at the end."""
    while True:
        try:
            if not sys.stdout.isatty():
                # The answers go elsewhere; the prompt must not go there as well.
                click.echo(_PROMPT, nl=False, err=True)
            line = input(_PROMPT if sys.stdout.isatty() else "")
            line.encode("utf-8")
        except EOFError:
            click.echo(err=not sys.stdout.isatty())
            return None
        except UnicodeError:
            tell("that is not UTF-8", "set the terminal to UTF-8 and write it again")
            continue
        if line.strip():
            return line
