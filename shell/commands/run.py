"""``llmos run``: one agent, from its text to its answer."""

from __future__ import annotations

import sys
from collections import deque
from io import BufferedReader
from typing import TYPE_CHECKING, Any

import click

from llmagentos.abi.errors import EINVAL, ESRCH, ETIMEOUT
from shell.commands.process import ended_with
from shell.failure import Terminated, tell
from shell.input import Amount, schema_from, text_from
from shell.session import limits_from, open_system, terminable
from shell.terminal import print_json

if TYPE_CHECKING:
    from llmagentos.abi.process import Signal
    from llmagentos.agent import Agent
    from llmagentos.client import System

PLACE = click.Choice(["edge", "node", "cloud"])
_LAST_WORDS = 2.0
"""Seconds that an agent has to end after Ctrl-C."""


@click.command()
@click.argument("manifest")
@click.argument("text", required=False)
@click.option("--json", "as_json", is_flag=True, help="Its exit record as one JSON document.")
@click.option("--model", help="Instead of the manifest's model.")
@click.option("--max-tokens", type=click.IntRange(1, 1_000_000), help="The longest answer.")
@click.option("--temperature", type=Amount(0, 10), help="0: always the likeliest token.")
@click.option("--schema", metavar="FILE", help="The answer is JSON that matches this JSON Schema.")
@click.option("--limit", "limit", multiple=True, metavar="NAME=VALUE", help="Lower a limit.")
@click.option("--name", help="The process's name; default: the manifest's.")
@click.option("--place", "places", multiple=True, type=PLACE, help="Where it may run.")
@click.option("--prefer", type=PLACE, help="Where it should run, if there is a choice.")
@click.option("--detach", is_flag=True, help="Print its pid and return; it goes on.")
def run(
    manifest: str,
    text: str | None,
    as_json: bool,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    schema: str | None,
    limit: tuple[str, ...],
    name: str | None,
    places: tuple[str, ...],
    prefer: str | None,
    detach: bool,
) -> int:
    """Run an agent on a text.

    Streams the answer to stdout and exits with the agent's code.

    MANIFEST is the name of a manifest, or a path to one. Without TEXT, or with -, it reads
    what is piped in, less the line end at its end. Ctrl-C ends the agent and its children.

    \b
    llmos run dialogue "What is an operating system?"
    llmos run summarise < letter.txt
    llmos run ./my-agent.yaml - --limit tokens=2000 --limit wall=1m
    llmos run translate "Good morning" --json | jq -r .answer
    llmos run dialogue "Name a river." --schema river.json | jq .name
    llmos run summarise --detach < letter.txt
    llmos run assistant "Hello"

    With an interactive agent, as assistant is, it is a conversation: write on; Ctrl-C ends an
    answer, Ctrl-D the agent. Where nobody can write on, the agent ends after its first answer.
    """
    # An agent that only waits for mail needs no text: nor does one that a script starts.
    given = None if detach and text is None and _nothing_piped_in() else text_from(text)
    limits = limits_from(limit)
    grammar = {"json_schema": schema_from(schema)} if schema else None
    wanted = {"max_tokens": max_tokens, "temperature": temperature, "grammar": grammar}
    sampling = {key: value for key, value in wanted.items() if value is not None}
    with terminable(), open_system() as system:
        agent = system.spawn(
            manifest,
            given,
            name=name,
            model=model,
            sampling=sampling or None,
            limits=limits,
            placement=_placement(places, prefer),
            attach=not detach,
        )
        if given is None and _needs_text(agent):
            _end(agent, "KILL")
            raise EINVAL(
                f"{agent.name} is given no text, and it has nothing to answer without one",
                hint='llmos run MANIFEST "TEXT", or pipe it in',
            )
        for notice in agent.notices:
            click.echo(f"llmos: {notice}", err=True)
        if detach:
            told = {"pid": agent.pid, "name": agent.name, "notices": list(agent.notices)}
            print_json(told) if as_json else click.echo(agent.pid)
            return 0
        signal: Signal = "INT"
        try:
            if not _is_interactive(agent):
                return _follow(system, agent, as_json=as_json)
            # INT would end its answer only.
            signal = "TERM"
            if as_json:
                raise EINVAL(
                    f"{agent.name} is interactive: it has no end that could be told as JSON",
                    hint="leave --json out, or start it with --detach",
                )
            from shell.commands.conversation import converse

            return converse(system, agent, told=given is not None)
        except (KeyboardInterrupt, Terminated):
            _end(agent, signal)
            raise


def _follow(system: System, agent: Agent, *, as_json: bool) -> int:
    from shell.commands.conversation import Answer
    from shell.watch import explain_silence

    answer = agent.ending()
    explain_silence(system, answer, agent.pid)
    if as_json:
        record = answer.result()
        print_json(record)
        return _ended(system, record)
    out = Answer()
    for piece in answer.pieces():
        out.take(piece)
    record = answer.result()
    if not out.burst:
        out.write(1, record.get("answer", ""))
    out.close()
    return _ended(system, record)


def _ended(system: System, record: dict[str, Any]) -> int:
    """As ``ended_with``; and that its answer was cut off, which is no failure."""
    if not record.get("error") and (tokens := _cut_at(system, record["pid"])):
        hint = "--max-tokens, or sampling.max_tokens in the manifest, allows a longer one"
        tell(f"the answer was cut off at {tokens} tokens", hint)
    return ended_with(record)


def _cut_at(system: System, pid: int) -> int:
    """The tokens of its last answer, if that had as many as it might; else 0."""
    from shell.events import Events

    told = (event.data for event in Events(system, "", pid).past() if event.type == "burst.done")
    last = next(iter(deque(told, maxlen=1)), {})
    return int(last["completion_tokens"]) if last.get("finish") == "length" else 0


def _placement(places: tuple[str, ...], prefer: str | None) -> dict[str, Any] | None:
    given = {"allow": list(places) or None, "prefer": prefer}
    return {name: value for name, value in given.items() if value is not None} or None


def _nothing_piped_in() -> bool:
    """Whether stdin is at its end from the start, as it is for a program in the background."""
    if sys.stdin is None or sys.stdin.isatty():
        return False
    raw = sys.stdin.buffer
    return isinstance(raw, BufferedReader) and not raw.peek(1)


def _is_interactive(agent: Agent) -> bool:
    return bool(_spec(agent).get("interactive"))


def _needs_text(agent: Agent) -> bool:
    """Whether it ends at once without one: it waits for no mail, and no program thinks for it."""
    spec = _spec(agent)
    return not (spec.get("interactive") or spec.get("program"))


def _spec(agent: Agent) -> dict[str, Any]:
    found = agent.info().spec
    return found["spec"] if found else {}


def _end(agent: Agent, signal: Signal) -> None:
    """Signal its tree; whatever does not end by that, or at a second Ctrl-C, is killed."""
    try:
        try:
            agent.kill(signal, tree=True)
            agent.wait(_LAST_WORDS)
        except (ETIMEOUT, KeyboardInterrupt, Terminated):
            agent.kill("KILL", tree=True)
            agent.wait(_LAST_WORDS)
    except (ESRCH, ETIMEOUT):
        # It has ended meanwhile. And if not: it ends with our connection.
        return
