"""``llmos ps | kill | nice | fork | wait | limits | send``: processes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmagentos.abi.errors import ECONNREFUSED, EINVAL, LLMOSError
from shell.failure import tell
from shell.session import limits_from, open_system, process_rows
from shell.terminal import print_json

if TYPE_CHECKING:
    from llmagentos.client import System

SIGNALS = ("TERM", "KILL", "STOP", "CONT", "INT")


class SignalName(click.Choice[str]):
    """``KILL``, ``kill`` or ``SIGKILL``."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value.upper().removeprefix("SIG"), param, ctx)


PID = click.IntRange(1, 2**53)
"""The pids there can be: a larger one would not fit on the wire."""

SORTS = (
    "pid", "name", "state", "model", "in", "out", "pace", "context", "budget", "kv", "nice", "age",
)  # fmt: skip
"""Those of ``shell.tui.board``, which is imported only when it is needed."""

MOST = 10_000
"""Collected processes: the kernel gives no more at once."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as proc.list gives it.")
@click.option("--tree", is_flag=True, help="Children under their parents.")
@click.option("--all", "everything", is_flag=True, help="Also those that were collected.")
@click.option(
    "--history", type=click.IntRange(1, MOST), default=1000, show_default=True,
    help="Of those, so many: the last that were.",
)  # fmt: skip
@click.option("--filter", "words", metavar="WORDS", help="Only those with all of these words.")
@click.option("--sort", type=click.Choice(SORTS), help="By this column; the most comes first.")
@click.option("--reverse", is_flag=True, help="The other way round.")
def ps(
    as_json: bool,
    tree: bool,
    everything: bool,
    history: int,
    words: str | None,
    sort: str | None,
    reverse: bool,
) -> None:
    """The process table.

    \b
    llmos ps
    llmos ps --tree
    llmos ps --all --history 5000
    llmos ps --filter "running poet" --sort out
    llmos ps --json | jq '.processes[].name'

    IN and OUT are tokens of prompts and answers, TOK/S is the pace of decoding.
    """
    with open_system() as system:
        # One more than is shown, which tells whether that is all.
        rows = process_rows(system, history=min(history + 1, MOST) if everything else None)
        # After it: what is collected between the two has ended, and is shown so.
        live = live_pids(system) if everything else None
    if live is not None:
        rows = _newest(rows, live, history)
    plain = not (words or sort or reverse)
    if as_json and plain:
        return print_json({"processes": rows})
    from llmagentos.abi.process import ProcessInfo
    from shell.processes import process_table

    processes = [ProcessInfo.model_validate(row) for row in rows]
    if not plain:
        from shell.tui.board import Board

        board = Board(sort=sort or "pid", reverse=reverse, filter=words or "")
        board.replace(processes)
        processes = [process for _, process in board.seen()]
    if as_json:
        by_pid = {row["pid"]: row for row in rows}
        return print_json({"processes": [by_pid[process.pid] for process in processes]})
    return click.echo(process_table(processes, tree=tree))


@click.command()
@click.argument("pids", metavar="PID…", type=PID, nargs=-1, required=True)
@click.option(
    "-s", "--signal", type=SignalName(SIGNALS), default="TERM", show_default=True,
    help="The signal to send.",
)  # fmt: skip
@click.option("--tree", is_flag=True, help="To all its descendants too, in one step.")
def kill(pids: tuple[int, ...], signal: str, tree: bool) -> int:
    """Send a signal to processes.

    \b
    llmos kill 12                  ask it to end
    llmos kill 12 14 15            each of these
    llmos kill 12 -s KILL --tree   end it and its children at once
    llmos kill 12 -s STOP          hold it; -s CONT lets it go on
    """
    status = 0
    with open_system() as system:
        for pid in dict.fromkeys(pids):
            try:
                system.call("proc.kill", pid=pid, signal=signal, tree=tree)
            except LLMOSError as error:
                if len(pids) == 1 or isinstance(error, ECONNREFUSED):
                    raise
                # The others get theirs all the same.
                tell(error.message, error.hint)
                status = status or error.exit_status
    return status


# So that -5 is a number and no option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("pid", type=PID)
@click.argument("priority", metavar="N", type=click.IntRange(-20, 19))
def nice(pid: int, priority: int) -> None:
    """Change a process's priority: -20 comes first, 19 last.

    \b
    llmos nice 12 5
    llmos nice 12 -5
    """
    with open_system() as system:
        system.call("proc.nice", pid=pid, priority=priority)


@click.command()
@click.argument("pid", type=PID)
@click.argument("text", required=False)
@click.option("--name", help="The child's name; default: its parent's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def fork(pid: int, text: str | None, name: str | None, as_json: bool) -> None:
    """A child that goes on from where an agent is now.

    \b
    llmos fork 12 "Now say it in Spanish."
    llmos fork 12 --json | jq .pid

    It shares the context up to now, and halves what is left of the budget. Only the child is told
    TEXT. Prints its pid.
    """
    if text is not None and not text.strip():
        raise EINVAL("there is no text to tell the child", hint="llmos fork PID [TEXT]")
    with open_system() as system:
        made = system.call("proc.fork", pid=pid, text=text, name=name)
    if as_json:
        return print_json(made)
    return click.echo(made["pid"])


@click.command()
@click.argument("pid", type=PID)
@click.option("--json", "as_json", is_flag=True, help="Its exit record as one JSON document.")
def wait(pid: int, as_json: bool) -> int:
    """Wait for a process, exit with its code.

    \b
    llmos wait 12 && echo done
    llmos wait 12 --json | jq -r .answer
    """
    with open_system() as system:
        record = system.call("proc.wait", pid=pid)
    if as_json:
        print_json(record)
    return ended_with(record)


@click.command()
@click.argument("pid", type=PID)
@click.argument("pairs", metavar="[NAME=VALUE]…", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def limits(pid: int, pairs: tuple[str, ...], as_json: bool) -> None:
    """Show a process's limits, or lower them.

    \b
    llmos limits 12
    llmos limits 12 tokens=2000 wall=5m

    A limit can only be lowered.
    """
    given = limits_from(pairs)
    with open_system() as system:
        result = system.call("proc.limits", pid=pid, limits=given)
    if as_json:
        return print_json(result)
    for name, value in result["limits"].items():
        if value is not None:
            click.echo(f"{name}={value}")
    return None


@click.command()
@click.argument("pid", type=PID)
@click.argument("text")
def send(pid: int, text: str) -> None:
    """Put a text into a process's mailbox.

    \b
    llmos send 12 "the deadline is Friday"
    """
    if not text.strip():
        raise EINVAL("there is no text to send", hint="llmos send PID TEXT")
    with open_system() as system:
        system.call("ipc.send", pid=pid, body=text)


def _newest(rows: list[dict[str, Any]], live: set[int], most: int) -> list[dict[str, Any]]:
    """Without those that were collected before the last so many; says so, if there are any."""
    past = [row for row in rows if row["pid"] not in live]
    past.sort(key=lambda row: row["ended"] or 0.0)
    if not (left := {row["pid"] for row in past[:-most]}):
        return rows
    tell(
        f"of those that were collected only the last {most:,} are here",
        f"more: llmos ps --all --history {min(10 * most, MOST)}",
    )
    return [row for row in rows if row["pid"] not in left]


def live_pids(system: System) -> set[int]:
    """Who is in the process table: whoever is only in its history was collected."""
    return {row["pid"] for row in process_rows(system)}


def ended_with(record: dict[str, object]) -> int:
    """Tell why a process did not end well; the exit status that goes with its end."""
    code, error = record.get("code"), record.get("error")
    number = code if isinstance(code, int) else 1
    if isinstance(error, dict):
        tell(str(error.get("message", "")), str(error.get("hint", "")))
    elif number:
        by = f", ended by {record['signal']}" if record.get("signal") else ""
        tell(f"{record.get('name')} (pid {record.get('pid')}) exited with code {number}{by}")
    return number
