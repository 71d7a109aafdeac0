"""``llmos approvals``: what waits for the user's decision."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import click

from shell.session import open_system
from shell.terminal import duration, paint

if TYPE_CHECKING:
    from llmagentos.abi.calls.cap import Approval
    from llmagentos.client import System

ID = click.IntRange(1, 2**53)

_BLANK: Final = frozenset(
    map(
        chr,
        (
            0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164,
            *range(0xFE00, 0xFE10), 0xFFA0, *range(0xE0100, 0xE01F0),
        ),
    )
)  # fmt: skip
"""Characters that nobody sees, though Unicode takes them for printable."""

_ON_ANY: Final = frozenset(
    map(
        chr,
        (
            *range(0x300, 0x370), *range(0x483, 0x48A), *range(0x1AB0, 0x1B00),
            *range(0x1DC0, 0x1E00), *range(0x20D0, 0x2100), *range(0xFE20, 0xFE30),
        ),
    )
)  # fmt: skip
"""Marks that go on any letter, and make another one of it, or something that looks the same as
another one. Those of a script of their own are left: its words can't be read without."""

_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_reason = click.option("--reason", default="", help="What the process is told.")
_hash = click.option("--hash", "hash_", help="Only if the approval has this hash, as show tells.")


@click.group(invoke_without_command=True)
@_json
@click.pass_context
def approvals(ctx: click.Context, as_json: bool) -> None:
    """What agents ask the user to allow, and the user's answers.

    \b
    llmos approvals
    llmos approvals show 7
    llmos approvals approve 7
    llmos approvals reject 7 --reason "not on this machine"

    A process waits until somebody decides; after a day without a decision it is a no.
    """
    if ctx.invoked_subcommand is None:
        _list(0, as_json)
    elif as_json:
        raise click.UsageError(f"--json goes after {ctx.invoked_subcommand}")


@approvals.command(name="list")
@_json
@click.option(
    "--history", type=click.IntRange(0, 1000), default=0, help="So many that are settled as well."
)
def list_(as_json: bool, history: int) -> None:
    """What waits for a decision.

    \b
    llmos approvals list
    llmos approvals list --history 20
    llmos approvals list --json | jq '.approvals[] | {id, capability, arguments}'
    """
    _list(history, as_json)


@approvals.command()
@click.argument("id_", metavar="ID", type=ID)
@_json
def show(id_: int, as_json: bool) -> None:
    """One approval, with the exact arguments of the call.

    \b
    llmos approvals show 7

    Characters that can't be seen are written as \\uXXXX.
    """
    with open_system() as system:
        (found,) = system.call("cap.list", approval=id_)["approvals"]
    if as_json:
        return click.echo(visible(json.dumps(found, ensure_ascii=False, indent=2)))
    return click.echo("\n".join(_lines(_approval(found))))


@approvals.command()
@click.argument("id_", metavar="ID", type=ID)
@click.option("--always", is_flag=True, help="Don't ask this process for this capability again.")
@_hash
@_reason
@_json
def approve(id_: int, always: bool, hash_: str | None, reason: str, as_json: bool) -> None:
    """Let the call go on, once.

    \b
    llmos approvals approve 7
    llmos approvals approve 7 --always

    It is good for these arguments only; with --always, for this capability of this process.
    """
    _decide(id_, True, as_json, always=always, hash=hash_, reason=reason)


@approvals.command()
@click.argument("id_", metavar="ID", type=ID)
@_hash
@_reason
@_json
def reject(id_: int, hash_: str | None, reason: str, as_json: bool) -> None:
    """Refuse the call.

    \b
    llmos approvals reject 7
    llmos approvals reject 7 --reason "use the copy in /inbox"
    """
    _decide(id_, False, as_json, hash=hash_, reason=reason)


def visible(text: str) -> str:
    """With every character that hides itself, turns the line around or changes another one, written
    as JSON does."""
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    hidden = character in _BLANK or character in _ON_ANY
    if character == "\n" or (character.isprintable() and not hidden):
        return character
    return json.dumps(character)[1:-1]


def _quoted(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False))


def _approval(found: dict[str, Any]) -> Approval:
    from llmagentos.abi.calls.cap import Approval

    return Approval.model_validate(found)


def _list(history: int, as_json: bool) -> None:
    with open_system() as system:
        found = _all(system, history)
    if as_json:
        text = json.dumps({"approvals": found}, ensure_ascii=False, indent=2)
        return click.echo(visible(text))
    if not found:
        return click.echo("nothing waits for a decision")
    from shell.table import render

    rows = [_row(_approval(one), time.time()) for one in found]
    columns = ["ID", "PID", "NAME", "CAPABILITY", "ARGUMENTS", "ASKED", "EXPIRES"]
    if history:
        columns.insert(1, "STATUS")
    table = render(
        rows,
        columns,
        shorten=("ARGUMENTS", "CAPABILITY", "NAME"),
        omit=("EXPIRES", "NAME", "ASKED"),
        right=("ID", "PID", "ASKED", "EXPIRES"),
    )
    return click.echo(table)


def _all(system: System, history: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["id"] if found else 0
        page = system.call("cap.list", history=history, after=after)
        found += page["approvals"]
        if not page["more"]:
            return found


def _row(approval: Approval, now: float) -> dict[str, str]:
    left = approval.expires - now
    return {
        "ID": str(approval.id),
        "STATUS": approval.status,
        "PID": str(approval.pid),
        "NAME": approval.name,
        "CAPABILITY": visible(approval.capability),
        "ARGUMENTS": _quoted(approval.arguments),
        "ASKED": f"{duration(now - approval.created)} ago",
        "EXPIRES": f"in {duration(left)}" if approval.status == "pending" else "-",
    }


def _lines(approval: Approval) -> list[str]:
    now = time.time()
    status: str = approval.status
    if status == "pending":
        status += f", expires in {duration(approval.expires - now)}"
    elif approval.decided is not None:
        by = "the user" if approval.by == 1 else f"process {approval.by}"
        status += f", decided {duration(now - approval.decided)} ago by {by}"
    facts = {
        "approval": str(approval.id),
        "status": status,
        "asked": f"{duration(now - approval.created)} ago by {approval.name} (pid {approval.pid})",
        "call": approval.call,
        "capability": visible(approval.capability) + (", always" if approval.always else ""),
        "labels": ", ".join(approval.labels),
        "reason": _quoted(approval.reason) if approval.reason else "",
        "answer": _quoted(approval.note) if approval.note else "",
        "hash": approval.hash,
    }
    lines = [f"{name:<11} {value}" for name, value in facts.items() if value]
    lines += [f"{'content':<11} {one.size:,} bytes, SHA-256 {one.hash}" for one in approval.buffers]
    exact = json.dumps(approval.arguments, ensure_ascii=False, indent=2, sort_keys=True)
    return [*lines, "", paint("arguments", None, bold=True), visible(exact)]


def _decide(id_: int, approve: bool, as_json: bool, **more: Any) -> None:
    with open_system() as system:
        decided = system.call("cap.decide", approval=id_, approve=approve, **more)["approval"]
    if as_json:
        return click.echo(visible(json.dumps(decided, ensure_ascii=False, indent=2)))
    approval = _approval(decided)
    said = "approved" if approve else "rejected"
    for_good = ", and will not be asked again" if approval.always else ""
    waits = " (it is told when it makes the call again)" if approval.status == "approved" else ""
    return click.echo(
        f"approval {id_}: {visible(approval.capability)} of {approval.name} "
        f"(pid {approval.pid}) was {said}{for_good}{waits}"
    )
