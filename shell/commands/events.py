"""``llmos events``: what has happened, and what happens."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from llmagentos.home import Home
from shell.commands.process import PID
from shell.failure import tell
from shell.session import open_system
from shell.terminal import paint, print_json, printable

if TYPE_CHECKING:
    from llmagentos.abi.calls.sys import Event


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array; following, one object a line.")
@click.option("--pid", type=PID, help="Only events of this process.")
def events(follow: bool, as_json: bool, pid: int | None) -> None:
    """What has happened, and what happens.

    Spawns, bursts, signals, drivers that come and go.

    \b
    llmos events
    llmos events -f --pid 12
    llmos events -f --json | jq -c 'select(.type == "proc.exited")'

    Events name processes and drivers, never the content of a message.
    """
    from shell.events import Events

    with open_system() as system:
        stream = Events(system, Home.default().events, pid)
        if as_json and not follow:
            return print_json([event.model_dump() for event in stream.past()])
        lost = 0
        for event in stream.all() if follow else stream.past():
            if stream.lost > lost:
                tell(f"{stream.lost - lost} events are no longer kept and are missing here")
                lost = stream.lost
            if as_json:
                print_json(event.model_dump(), line=True)
            else:
                _show(event)
    return None


def _show(event: Event) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    who = f"pid {event.pid}" if event.pid is not None else ""
    words = (f"{key}={_word(value)}" for key, value in event.data.items())
    kind = paint(f"{event.type:<18}", "cyan")
    sys.stdout.write(f"{event.seq:>6} {clock} {kind} {who:<8} {' '.join(words)}".rstrip() + "\n")
    sys.stdout.flush()


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text).replace("\n", " ")
