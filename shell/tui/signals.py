"""Signals from the screen: to one process, to those that are marked, to a tree.

Views that show processes share it. It knows nothing about how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from llmagentos.abi.errors import ECONNREFUSED, LLMOSError
from shell.terminal import printable
from shell.tui.dialogs import Choice

if TYPE_CHECKING:
    from llmagentos.abi.process import ProcessInfo
    from shell.tui.app import ShellApp

_MENU: Final = {
    "TERM": "TERM       ask it to end",
    "TERM tree": "TERM tree  ask it and all its descendants to end",
    "KILL": "KILL       end it at once",
    "KILL tree": "KILL tree  end it and all its descendants at once",
    "INT": "INT        cancel what it is doing",
    "STOP": "STOP       hold it between two tokens",
    "STOP tree": "STOP tree  hold it and all its descendants",
    "CONT": "CONT       let it go on",
    "CONT tree": "CONT tree  let it and all its descendants go on",
}


def choose(app: ShellApp, processes: Sequence[ProcessInfo], then: Callable[[], None]) -> None:
    """Ask for a signal and send it; ``then`` when that is done."""
    if all(process.state == "ZOMBIE" for process in processes):
        app.notify(f"{_named(processes)} ended already", severity="warning", markup=False)
        return

    def chosen(choice: str | None) -> None:
        if choice:
            name, _, tree = choice.partition(" ")
            send(app, processes, name, tree=bool(tree), then=then)

    app.push_screen(Choice(f"Which signal to {_named(processes)}?", _MENU), chosen)


def send(
    app: ShellApp,
    processes: Sequence[ProcessInfo],
    signal: str,
    *,
    tree: bool = False,
    then: Callable[[], None] = lambda: None,
) -> None:
    async def do() -> str:
        signalled: set[int] = set()
        refused: list[LLMOSError] = []
        for process in processes:
            if process.pid in signalled or process.state == "ZOMBIE":
                continue  # in the tree of another one, or gone
            try:
                sent = await app.link.call("proc.kill", pid=process.pid, signal=signal, tree=tree)
            except ECONNREFUSED:
                raise
            except LLMOSError as error:
                # The others get theirs all the same.
                refused.append(error)
            else:
                signalled.update(sent["signalled"])
        then()
        if refused and not signalled:
            raise refused[0]
        many = "" if len(signalled) == 1 else "es"
        return "\n".join(
            [f"{signal} was sent to {len(signalled)} process{many}", *map(str, refused)]
        )

    app.act(do)


def hold(app: ShellApp, processes: Sequence[ProcessInfo]) -> None:
    """Stop those that go on; if none does, let them all go on."""
    going = [process for process in processes if process.state not in ("STOPPED", "ZOMBIE")]
    held = [process for process in processes if process.state == "STOPPED"]
    if going or held:
        send(app, going or held, "STOP" if going else "CONT")
    else:
        app.notify(f"{_named(processes)} ended already", severity="warning", markup=False)


def _named(processes: Sequence[ProcessInfo]) -> str:
    if len(processes) == 1:
        return f"{printable(processes[0].name)} (pid {processes[0].pid})"
    return f"{len(processes)} processes"
