"""``llmos ps | kill | wait | limits | send``: processes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmagentos.abi.errors import EINVAL
from shell.failure import tell
from shell.session import limits_from, open_system, process_rows
from shell.terminal import print_json

if TYPE_CHECKING:
    from llmagentos.client import System

SIGNALS = ("TERM", "KILL", "STOP", "CONT", "INT")
PID = click.IntRange(1, 2**53)
"""The pids there can be: a larger one would not fit on the wire."""

HISTORY = 1000


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as proc.list gives it.")
@click.option("--tree", is_flag=True, help="Children under their parents.")
@click.option("--all", "everything", is_flag=True, help="Also those that were collected.")
def ps(as_json: bool, tree: bool, everything: bool) -> None:
    """The process table.

    \b
    llmos ps
    llmos ps --tree
    llmos ps --json | jq '.processes[].name'

    IN and OUT are tokens of prompts and answers, TOK/S is the pace of decoding.
    """
    with open_system() as system:
        rows = process_rows(system, history=HISTORY if everything else None)
        # After it: what is collected between the two has ended, and is shown so.
        live = live_pids(system) if everything and not as_json else None
    if as_json:
        return print_json({"processes": rows})
    from llmagentos.abi.process import ProcessInfo
    from shell.processes import process_table

    processes = [ProcessInfo.model_validate(row) for row in rows]
    return click.echo(process_table(processes, tree=tree, live=live))


@click.command()
@click.argument("pid", type=PID)
@click.option(
    "-s", "--signal", type=click.Choice(SIGNALS, case_sensitive=False), default="TERM",
    show_default=True, help="The signal to send.",
)  # fmt: skip
@click.option("--tree", is_flag=True, help="To all its descendants too, in one step.")
def kill(pid: int, signal: str, tree: bool) -> None:
    """Send a signal to a process.

    \b
    llmos kill 12                  ask it to end
    llmos kill 12 -s KILL --tree   end it and its children at once
    llmos kill 12 -s STOP          hold it; -s CONT lets it go on
    """
    with open_system() as system:
        signal = signal.upper().removeprefix("SIG")
        system.call("proc.kill", pid=pid, signal=signal, tree=tree)


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
