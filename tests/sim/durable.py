"""What lasts: all that a boot must bring back as it was.

It knows nothing about what came before.
"""

from __future__ import annotations

from typing import Any

from kernel.ledger import HELD, SPENT, chain
from kernel.machine import Machine
from kernel.process import Process

_LASTING = (
    "ppid", "name", "kind", "labels", "rights", "places", "limits", "usage", "priority", "tree",
    "weight", "due", "deadline", "terminate_by", "origin", "restarts", "failures", "stopped",
    "attached", "exit", "session", "manifest_hash", "context_tokens", "hosted_before", "started",
    "ended",
)  # fmt: skip


def durable(machine: Machine) -> dict[str, Any]:
    """By where it is."""
    found: dict[str, Any] = {}
    for process in machine.table:
        found.update((f"{process.pid}.{name}", getattr(process, name)) for name in _LASTING)
        found.update(_context(process))
        found[f"{process.pid}.payers"] = [one.pid for one in chain(process)]
        found[f"{process.pid}.mail"] = machine.mail.length(process) if process.alive else 0
        for what in (*SPENT, *HELD):
            account = process.accounts.get(what)
            if what != "kv_bytes":
                found[f"{process.pid}.{what}"] = account.spent + account.risked if account else 0
        used = process.minute.slices if process.minute is not None else {}
        found[f"{process.pid}.minute"] = dict(used)
        if process.session:
            kept = machine.replays._turns.get(process.session, {})
            found[f"{process.pid}.replies"] = sorted(kept)
    found["zombies"] = sorted(machine.graveyard._zombies)
    found["drained"] = sorted(machine.registry.drained)
    found["next"] = (machine.table.next_pid, machine.journal.audit_seq)
    for question in machine.approvals.open():
        found[f"approval {question.id}"] = (question.pid, question.status, question.hash)
    for name, topic in machine.mail.topics._topics.items():
        found[f"topic {name}"] = (topic.oldest, topic.latest)
    return found


def _context(process: Process) -> dict[str, Any]:
    marks = {name: node.id if node else None for name, node in process.checkpoints.items()}
    return {
        f"{process.pid}.head": process.head.id if process.head else None,
        f"{process.pid}.born": process.born.id if process.born else None,
        f"{process.pid}.checkpoints": marks,
    }


def differences(before: dict[str, Any], after: dict[str, Any], now: float) -> list[str]:
    """What is not as it was."""
    return [
        f"{name} was {before.get(name)!r} and is {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if not _same(name, before.get(name), after.get(name), now)
    ]


def _same(name: str, before: Any, after: Any, now: float) -> bool:
    """Of the tokens that were used, by slices of five seconds, only the last minute counts. It may
    be another one: the clock has gone on, or back."""
    if not name.endswith(".minute"):
        return bool(before == after)
    recent = {slice: n for slice, n in (before or {}).items() if (slice + 1) * 5.0 > now - 60.0}
    return recent.items() <= (after or {}).items()
