"""``llmos ctx``: the context of a process, back and forth."""

from __future__ import annotations

import time
from typing import Any

import click

from llmagentos.abi.errors import EINVAL, ENOENT
from shell.commands.process import PID
from shell.session import open_system
from shell.terminal import print_json, printable

COUNT = click.IntRange(1, 2**53)
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group()
def ctx() -> None:
    """The context of a process: what it was told and has said.

    \b
    llmos ctx read 12
    llmos ctx checkpoint 12 before-the-plan
    llmos ctx restore 12 before-the-plan
    """


@ctx.command()
@click.argument("pid", type=PID)
@click.option("--last", type=COUNT, help="Only so many messages, from the end.")
@click.option("--source", type=COUNT, help="Instead: what this summary stands for.")
@_as_json
def read(pid: int, last: int | None, source: int | None, as_json: bool) -> None:
    """The messages, with their ids; of a summary also which ones it stands for.

    \b
    llmos ctx read 12 --last 5
    llmos ctx read 12 --source 40
    llmos ctx read 12 --json | jq -r '.messages[-1].content'
    """
    with open_system() as system:
        found = system.call("ctx.read", pid=pid, last=last, source=source)
    if as_json:
        return print_json(found)
    for message in found["messages"]:
        at = time.strftime("%H:%M:%S", time.localtime(message["time"]))
        sources = message["sources"]
        stands = f" (for {sources[0]} to {sources[-1]})" if sources else ""
        said = printable(message["content"])
        click.echo(f"{message['id']:>6} {at} {message['role']}{stands}: {said}")
    return click.echo(f"{len(found['messages'])} messages, {found['tokens']} tokens", err=True)


@ctx.command()
@click.argument("pid", type=PID)
@_as_json
def checkpoints(pid: int, as_json: bool) -> None:
    """The names that parts of it have.

    \b
    llmos ctx checkpoints 12
    """
    with open_system() as system:
        names = system.call("proc.info", pid=pid)["checkpoints"]
    if as_json:
        return print_json({"checkpoints": names})
    return click.echo("\n".join(names) or "there is none")


@ctx.command()
@click.argument("pid", type=PID)
@click.argument("name", required=False)
@_as_json
def checkpoint(pid: int, name: str | None, as_json: bool) -> None:
    """Name the context as it is now; prints the name.

    \b
    llmos ctx checkpoint 12
    llmos ctx checkpoint 12 before-the-plan
    """
    with open_system() as system:
        made = system.call("ctx.checkpoint", pid=pid, name=name)
    if as_json:
        return print_json(made)
    return click.echo(made["checkpoint"])


@ctx.command()
@click.argument("pid", type=PID)
@click.argument("name")
@_as_json
def restore(pid: int, name: str, as_json: bool) -> None:
    """Back to a checkpoint.

    \b
    llmos ctx restore 12 before-the-plan
    """
    with open_system() as system:
        head = system.call("ctx.restore", pid=pid, checkpoint=name)
    _tell(head, as_json)


@ctx.command()
@click.argument("pid", type=PID)
@click.argument("message", type=click.IntRange(0, 2**53))
@_as_json
def rewind(pid: int, message: int, as_json: bool) -> None:
    """Back to where MESSAGE was the last one; 0 empties it.

    \b
    llmos ctx rewind 12 31
    """
    with open_system() as system:
        head = system.call("ctx.rewind", pid=pid, message=message)
    _tell(head, as_json)


@ctx.command()
@click.argument("pid", type=PID)
@click.argument("summary")
@click.option(
    "--keep", type=click.IntRange(0, 2**53), default=0, help="So many messages at its end stay."
)
@_as_json
def compact(pid: int, summary: str, keep: int, as_json: bool) -> None:
    """Put SUMMARY in the place of old messages; prints the checkpoint that undoes it.

    \b
    llmos ctx compact 12 "They agreed on Friday." --keep 2
    """
    if not summary.strip():
        raise EINVAL("the summary is empty", hint='llmos ctx compact PID --keep N "SUMMARY"')
    with open_system() as system:
        made = system.call("ctx.compact", pid=pid, keep=keep, summary=summary)
    if as_json:
        return print_json(made)
    return click.echo(made["checkpoint"])


@ctx.command()
@click.argument("pid", type=PID)
@_as_json
def undo(pid: int, as_json: bool) -> None:
    """Undo the last compaction. What was said since is not in the context then.

    \b
    llmos ctx checkpoint 12 before-the-undo
    llmos ctx undo 12
    """
    with open_system() as system:
        messages = system.call("ctx.read", pid=pid)["messages"]
        marks = [f"compact:{one['id']}" for one in messages if one["sources"]]
        kept = set(system.call("proc.info", pid=pid)["checkpoints"])
        undone = [mark for mark in marks if mark in kept]
        if not undone:
            raise ENOENT(
                f"the context of process {pid} has no compaction that can be undone",
                hint=f"llmos ctx checkpoints {pid} shows what there is to go back to",
            )
        head = system.call("ctx.restore", pid=pid, checkpoint=undone[-1])
    _tell(head, as_json)


def _tell(head: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(head)
    else:
        click.echo(f"{head['messages']} messages")
