"""``llmos info``: everything about one process, why it is where it is included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from shell.commands.process import PID
from shell.session import open_system
from shell.terminal import counted, duration, paint, print_json, printable

if TYPE_CHECKING:
    from llmagentos.abi.process import Budget, ProcessDetail, ProcessInfo


@click.command()
@click.argument("pid", type=PID)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as proc.info gives it.")
def info(pid: int, as_json: bool) -> None:
    """Everything about one process.

    Its usage, limits, placement and history.

    \b
    llmos info 12
    llmos info 12 --json | jq .placement
    """
    with open_system() as system:
        result = system.call("proc.info", pid=pid)
    if as_json:
        return print_json(result)
    from llmagentos.abi.process import ProcessDetail

    return click.echo("\n".join(lines_of(ProcessDetail.model_validate(result))))


def lines_of(detail: ProcessDetail) -> list[str]:
    """All that is told of it to a person."""
    from shell.processes import place, state

    process = detail.process
    limits = process.limits.model_dump(exclude_none=True)
    facts: dict[str, Any] = {
        "pid": process.pid,
        "parent": str(process.ppid),
        "children": ", ".join(map(str, process.children)),
        "name": process.name,
        "kind": process.kind,
        "manifest": process.manifest,
        "state": state(process),
        "age": duration((process.ended or time.time()) - process.started),
        "host": process.host,
        "burst on": place(process),
        "priority": str(process.priority),
        "labels": ", ".join(process.labels),
        "usage": _usage(process),
        "context": f"{counted(process.context_messages, 'message', 'messages')}, "
        f"{counted(process.context_tokens, 'token', 'tokens')}",
        "limits": ", ".join(f"{name}={value:.15g}" for name, value in limits.items()),
        "ledger": ", ".join(_budget(name, one) for name, one in detail.ledger.items()),
        "checkpoints": ", ".join(detail.checkpoints),
        "mailbox": counted(detail.mailbox, "message", "messages") if detail.mailbox else "",
        "exit": _exit(process),
    }
    lines = [f"{name:<11} {printable(str(value))}" for name, value in facts.items() if value]
    if detail.placement is not None:
        lines += ["", paint("placement", None, bold=True)]
        for driver, verdict in detail.placement.considered.items():
            mark = "→" if driver == detail.placement.chosen else " "
            lines.append(f" {mark} {driver}: {printable(verdict)}")
    if detail.history:
        lines += ["", paint("history", None, bold=True)]
        lines += [f"   {_transition(step)}" for step in detail.history]
    return lines


def _usage(process: ProcessInfo) -> str:
    usage = process.usage
    return (
        f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out, "
        f"{usage.tokens_per_second:.1f} tokens/s, {counted(usage.turns, 'turn', 'turns')}; "
        f"queued {usage.queue_seconds:.2f} s, prefill {usage.prefill_seconds:.2f} s, "
        f"decode {usage.decode_seconds:.2f} s"
    )


def _budget(name: str, budget: Budget) -> str:
    """``tokens 120 + 64 set aside of 2000``."""
    more = f" + {budget.reserved:.15g} set aside" if budget.reserved else ""
    most = f" of {budget.limit:.15g}" if budget.limit is not None else ""
    return f"{name} {budget.spent:.15g}{more}{most}"


def _exit(process: ProcessInfo) -> str:
    record = process.exit
    if record is None:
        return ""
    by = f" by {record.signal}" if record.signal else ""
    why = f": {record.error.message} ({record.error.code})" if record.error else ""
    return f"code {record.code}{by}{why}"


def _transition(step: dict[str, Any]) -> str:
    from shell.processes import word_of

    at = step.get("time")
    clock = time.strftime("%H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else ""
    why = f" ({step['why']})" if step.get("why") else ""
    return printable(f"{clock} {step.get('from') or '-'} → {word_of(str(step.get('to')))}{why}")
