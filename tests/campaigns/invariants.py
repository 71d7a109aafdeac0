"""Invariants: what must be true of a machine, whatever was said to it.

What the disk holds is what memory holds; nothing is reserved for work that is over; and budgets
add up. It knows nothing about how the machine came to be as it is.
"""

from __future__ import annotations

from typing import Any

from kernel.ledger import HELD, SPENT, chain
from kernel.machine import Machine
from kernel.process import Process
from llmagentos.abi.process import INIT

_LASTING = (
    "ppid", "name", "kind", "labels", "rights", "places", "limits", "usage", "priority", "tree",
    "weight", "due", "deadline", "terminate_by", "origin", "restarts", "failures", "stopped",
    "attached", "exit", "session", "manifest_hash", "context_tokens",
)  # fmt: skip


def lasting(machine: Machine) -> dict[str, Any]:
    """All that a boot must bring back as it was, by where it is. No call is under way."""
    found: dict[str, Any] = {}
    for process in machine.table:
        for name in _LASTING:
            found[f"{process.pid}.{name}"] = getattr(process, name)
        found[f"{process.pid}.head"] = process.head.id if process.head else None
        found[f"{process.pid}.born"] = process.born.id if process.born else None
        marks = {name: node.id if node else None for name, node in process.checkpoints.items()}
        found[f"{process.pid}.checkpoints"] = marks
        found[f"{process.pid}.payers"] = [one.pid for one in chain(process)]
        found[f"{process.pid}.mail"] = machine.mail.length(process) if process.alive else 0
        for what in (*SPENT, *HELD):
            account = process.accounts.get(what)
            if what != "kv_bytes":
                found[f"{process.pid}.{what}"] = account.spent if account else 0
    for question in (*machine.approvals.open(), *machine.approvals.settled()):
        told = (question.pid, question.status, question.hash, question.labels, question.by)
        found[f"approval {question.id}"] = told
    found["drained"] = sorted(machine.registry.drained)
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {before.get(name)!r} before, {after.get(name)!r} after"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def unbalanced(machine: Machine) -> list[str]:
    """What is wrong in the accounts of a machine in which nothing is under way."""
    wrong = []
    for process in machine.table:
        for what, account in process.accounts.items():
            if account.reserved:
                wrong.append(f"process {process.pid} has {account.reserved} {what} reserved")
            if account.spent < 0:
                wrong.append(f"process {process.pid} has spent {account.spent} {what}")
        wrong += _over(process)
    if machine.scheduler.queued or machine.scheduler.running:
        wrong.append(f"{machine.scheduler.queued} bursts queued, {machine.scheduler.running} run")
    return wrong


def _over(process: Process) -> list[str]:
    """Of what it has spent for good: more than it may, though its limits were not lowered since."""
    if process.pid == INIT:
        return []
    own = process.accounts
    return [
        f"process {process.pid} has spent less than its child: {what}"
        for what in SPENT
        if process.payer and what in own
        and process.payer.account(what).spent < own[what].spent
    ]  # fmt: skip
