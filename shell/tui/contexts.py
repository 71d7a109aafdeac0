"""Contexts from the screen: what is in one, a checkpoint of it, back to what it was, a fork of it.

It knows nothing about how the messages are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from llmagentos.abi.calls.ctx import ContextMessage, ReadResult
from llmagentos.abi.errors import EQUOTA
from shell.terminal import clip
from shell.tui import facts
from shell.tui.dialogs import Choice, Question

if TYPE_CHECKING:
    from shell.tui.app import ShellApp
    from shell.tui.link import Link


async def read(link: Link, pid: int, most: int) -> ReadResult:
    """As many of the last messages as fit into one answer, at most so many."""
    last = most
    while True:
        try:
            return ReadResult.model_validate(await link.call("ctx.read", pid=pid, last=last))
        except EQUOTA:
            if last == 1:
                raise
            last = max(1, last // 5)


def checkpoint(app: ShellApp, pid: int, then: Callable[[], None]) -> None:
    """Ask for a name and make it; ``then`` when that is done."""

    async def do(name: str) -> str:
        made = await app.link.call("ctx.checkpoint", pid=pid, name=name.strip() or None)
        then()
        return f"checkpoint {made['checkpoint']} has {made['messages']} messages"

    def named(name: str | None) -> None:
        if name is not None:
            app.act(lambda: do(name))

    question = "A name for the conversation as it is now"
    app.push_screen(Question(question, example="empty: the kernel names it"), named)


def rewind(
    app: ShellApp,
    pid: int,
    checkpoints: Sequence[str],
    messages: Sequence[ContextMessage],
    then: Callable[[], None],
) -> None:
    """Ask to which checkpoint or message, and go back to it; ``then`` when that is done."""

    async def do(choice: str) -> str:
        kind, _, name = choice.partition(" ")
        if kind == "c":
            head = await app.link.call("ctx.restore", pid=pid, checkpoint=name)
        else:
            head = await app.link.call("ctx.rewind", pid=pid, message=int(name))
        then()
        return f"the context has {head['messages']} messages now"

    def chosen(choice: str | None) -> None:
        if choice is not None:
            app.act(lambda: do(choice))

    app.push_screen(Choice("Back to", dict(_points(checkpoints, messages))), chosen)


def _points(
    checkpoints: Sequence[str], messages: Sequence[ContextMessage]
) -> Iterable[tuple[str, str]]:
    """Where one can go back to, newest first."""
    for name in reversed(checkpoints):
        yield f"c {name}", f"checkpoint {name}"
    for message in reversed(messages[:-1]):
        words = clip(" ".join(facts.said_in(message).split()), 60)
        yield f"m {message.id}", f"{message.id}  {message.role}: {words}"
    yield "m 0", "to an empty context"


def fork(app: ShellApp, pid: int) -> None:
    """Ask what the child is told, begin it, and open it."""

    async def do(text: str) -> str:
        child = await app.link.call("proc.fork", pid=pid, text=text.strip() or None)
        app.open_agent(child["pid"])
        return f"process {child['pid']} goes on from here"

    def asked(text: str | None) -> None:
        if text is not None:
            app.act(lambda: do(text))

    app.push_screen(Question("What only the child is told", example="a message"), asked)
