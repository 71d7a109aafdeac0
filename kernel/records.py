"""Records: processes and messages as rows, and back.

It knows which columns there are, and nothing about SQL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from kernel import context
from kernel.context import Node
from kernel.ledger import Account
from kernel.process import Process
from llmagentos.abi.manifest import Capabilities, Manifest
from llmagentos.abi.process import ExitRecord, Limits, Usage


@dataclass(slots=True)
class Snapshot:
    """The state as it was last committed. ``boot`` counts this boot too. ``processes`` has those
    that were collected as well, as far as others draw on their budgets."""

    boot: int = 1
    next_pid: int = 1
    processes: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    replays: list[dict[str, Any]] = field(default_factory=list)
    last_message: int = 0
    event_seq: int = 0
    event_oldest: int = 1
    audit_seq: int = 0
    audit_hash: str = ""
    drained: list[str] = field(default_factory=list)


def _json(process: Process, name: str) -> str | None:
    """A field as JSON. What never or hardly ever changes is dumped once, not with each row."""
    value = getattr(process, name)
    known = process.dumped.get(name)
    if known is None or known[0] is not value:
        known = process.dumped[name] = (value, value.model_dump_json())
    return known[1]


def process_row(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "ppid": process.ppid,
        "name": process.name,
        "kind": process.kind,
        "state": process.state,
        "reason": process.reason,
        "manifest": _json(process, "manifest") if process.manifest else None,
        "session": process.session,
        "priority": process.priority,
        "labels": json.dumps(process.labels),
        "rights": json.dumps([rules.model_dump() for rules in process.rights]),
        "places": json.dumps(process.places),
        "payer": process.payer.pid if process.payer else None,
        "deadline": process.deadline,
        "terminate_by": process.terminate_by,
        "limits": _json(process, "limits"),
        "usage": process.usage.model_dump_json(exclude_defaults=True),
        "tokens_spent": process.tokens.spent,
        "turns_spent": process.turns.spent,
        "head": process.head.id if process.head else None,
        "context_tokens": process.context_tokens,
        "checkpoints": json.dumps(
            {name: node.id if node else 0 for name, node in process.checkpoints.items()}
        ),
        "attached": process.attached.hex(),
        "stopped": int(process.stopped),
        "hosted": int(process.hosted_before),
        "model": process.model,
        "driver": process.driver,
        "started": process.started,
        "ended": process.ended,
        "exit": process.exit.model_dump_json() if process.exit else None,
        "reaped": int(process.reaped),
    }


def process_from(row: dict[str, Any], nodes: dict[int, Node]) -> Process:
    return Process(
        pid=row["pid"],
        ppid=row["ppid"],
        name=row["name"],
        kind=row["kind"],
        started=row["started"],
        manifest=Manifest.model_validate_json(row["manifest"]) if row["manifest"] else None,
        session=row["session"],
        state=row["state"],
        reason=row["reason"],
        priority=row["priority"],
        labels=tuple(json.loads(row["labels"])),
        rights=tuple(Capabilities.model_validate(rules) for rules in json.loads(row["rights"])),
        places=tuple(json.loads(row["places"])),
        deadline=row["deadline"],
        terminate_by=row["terminate_by"],
        limits=Limits.model_validate_json(row["limits"]),
        usage=Usage.model_validate_json(row["usage"]),
        tokens=Account(spent=row["tokens_spent"]),
        turns=Account(spent=row["turns_spent"]),
        head=nodes[row["head"]] if row["head"] else None,
        context_tokens=row["context_tokens"],
        checkpoints={
            name: nodes[id] if id else None for name, id in json.loads(row["checkpoints"]).items()
        },
        attached=bytes.fromhex(row["attached"]),
        stopped=bool(row["stopped"]),
        reaped=bool(row["reaped"]),
        hosted_before=bool(row["hosted"]),
        model=row["model"],
        driver=row["driver"],
        ended=row["ended"],
        exit=ExitRecord.model_validate_json(row["exit"]) if row["exit"] else None,
    )


def past_process(row: dict[str, Any]) -> Process:
    """A process that was collected, without its context."""
    return process_from({**row, "head": None, "checkpoints": "{}"}, {})


def message_row(node: Node, pid: int) -> dict[str, Any]:
    return {
        "id": node.id,
        "parent": node.parent.id if node.parent else None,
        "pid": pid,
        "role": node.role,
        "content": node.content,
        "time": node.time,
        "sources": json.dumps(node.sources),
    }


def nodes_from(rows: list[dict[str, Any]]) -> dict[int, Node]:
    """The tree of messages. Parents have smaller ids than their children."""
    nodes: dict[int, Node] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        parent = nodes[row["parent"]] if row["parent"] else None
        sources = tuple(json.loads(row["sources"]))
        nodes[row["id"]] = context.grow(
            parent, row["id"], row["role"], row["content"], row["time"], sources
        )
    return nodes
