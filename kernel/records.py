"""Records: processes and messages as rows, and back.

It knows which columns there are, and nothing about SQL.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from kernel import context
from kernel.context import Node
from kernel.ledger import SPENT, Account
from kernel.process import Process
from kernel.rate import Window
from kernel.rules import Rules
from llmagentos.abi.manifest import AgentSpec, Capabilities, Manifest, Metadata
from llmagentos.abi.process import ExitRecord, Limits, Usage
from llmagentos.abi.talk import ChatMessage


@dataclass(slots=True)
class Snapshot:
    """The state as it was last committed. ``boot`` counts this boot too. ``processes`` has those
    that were collected as well, as far as others draw on their budgets. ``held``: owner, resource
    and amount of what lies in memory and files. ``mail``: how much waits in each mailbox.
    ``topics``: of each, its oldest and its newest seq. ``approvals``: whole rows."""

    boot: int = 1
    next_pid: int = 1
    processes: list[dict[str, Any]] = field(default_factory=list)
    manifests: dict[str, str] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    replays: list[tuple[int, bytes]] = field(default_factory=list)
    last_message: int = 0
    event_seq: int = 0
    event_oldest: int = 1
    audit_seq: int = 0
    audit_oldest: int = 1
    audit_hash: str = ""
    drained: list[str] = field(default_factory=list)
    held: list[tuple[int, str, int]] = field(default_factory=list)
    mail: list[dict[str, Any]] = field(default_factory=list)
    topics: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    next_approval: int = 1


def manifest_text(manifest: Manifest) -> tuple[str, str]:
    """A manifest's name in the table of manifests, and its text there."""
    text = manifest.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest(), text


def manifest_from(text: str) -> Manifest:
    """As it is in the table. One of an older version that would be refused today stays readable,
    but gives its process no rights any more: what it wanted to say, nobody can know."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        said = json.loads(text)
        return Manifest(
            apiVersion="llmagentos/v1",
            kind="Agent",
            metadata=Metadata(
                name=said["metadata"]["name"],
                description="this version can't read the manifest, so it has no rights",
            ),
            spec=AgentSpec(capabilities=Capabilities(deny=["*"])),
        )


def process_row(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "ppid": process.ppid,
        "name": process.name,
        "kind": process.kind,
        "state": process.state,
        "reason": process.reason,
        "manifest": process.manifest_hash,
        "session": process.session,
        "priority": process.priority,
        "labels": _list(process.labels),
        "rights": _rights(process.rights),
        "places": _list(process.places),
        "payer": process.payer.pid if process.payer else None,
        "tree": process.tree,
        "weight": process.weight,
        "due": process.due,
        "deadline": process.deadline,
        "terminate_by": process.terminate_by,
        "limits": _limits(process.limits),
        "usage": process.usage.model_dump_json(exclude_defaults=True),
        "spent": json.dumps(
            {
                name: one.spent + one.risked
                for name, one in process.accounts.items()
                if name in SPENT
            }
        ),
        "minute": json.dumps(process.minute.slices) if process.minute else None,
        "head": process.head.id if process.head else None,
        "born": process.born.id if process.born else None,
        "origin": process.origin,
        "context_tokens": process.context_tokens,
        "checkpoints": json.dumps(
            {name: node.id if node else 0 for name, node in process.checkpoints.items()}
        )
        if process.checkpoints
        else "{}",
        "attached": process.attached.hex(),
        "stopped": int(process.stopped),
        "host": process.host or process.claim,
        "hosted": int(process.hosted_before),
        "restarts": _list(process.restarts),
        "failures": _list(process.failures),
        "model": process.model,
        "driver": process.driver,
        "started": process.started,
        "ended": process.ended,
        "exit": process.exit.model_dump_json() if process.exit else None,
        "reaped": int(process.reaped),
        **(process.past or {}),
    }


@lru_cache(maxsize=4096)
def _list(values: tuple[str | float, ...]) -> str:
    return json.dumps(values)


@lru_cache(maxsize=4096)
def _rights(rights: tuple[Rules, ...]) -> str:
    return json.dumps([asdict(rules) for rules in rights])


_LIMITS: Final[dict[int, tuple[Limits, str]]] = {}
"""Limits as JSON, by identity: thousands of processes share a few records."""


def _limits(limits: Limits) -> str:
    known = _LIMITS.get(id(limits))
    if known is None or known[0] is not limits:
        if len(_LIMITS) > 4096:
            _LIMITS.clear()
        known = _LIMITS[id(limits)] = (limits, limits.model_dump_json(exclude_none=True))
    return known[1]


def process_from(
    row: dict[str, Any], nodes: dict[int, Node], manifests: dict[str, Manifest]
) -> Process:
    return Process(
        pid=row["pid"],
        ppid=row["ppid"],
        name=row["name"],
        kind=row["kind"],
        started=row["started"],
        manifest=manifests[row["manifest"]] if row["manifest"] else None,
        manifest_hash=row["manifest"],
        session=row["session"],
        state=row["state"],
        reason=row["reason"],
        priority=row["priority"],
        labels=tuple(json.loads(row["labels"])),
        rights=tuple(
            Rules(**{name: tuple(globs) for name, globs in rules.items()})
            for rules in json.loads(row["rights"])
        ),
        places=tuple(json.loads(row["places"])),
        tree=row["tree"],
        weight=row["weight"],
        due=row["due"],
        deadline=row["deadline"],
        terminate_by=row["terminate_by"],
        limits=Limits.model_validate_json(row["limits"]),
        usage=Usage.model_validate_json(row["usage"]),
        accounts={name: Account(spent=n) for name, n in json.loads(row["spent"]).items()},
        minute=Window({int(n): amount for n, amount in json.loads(row["minute"]).items()})
        if row["minute"]
        else None,
        head=nodes[row["head"]] if row["head"] else None,
        born=nodes[row["born"]] if row["born"] else None,
        origin=row["origin"],
        context_tokens=row["context_tokens"],
        checkpoints={
            name: nodes[id] if id else None for name, id in json.loads(row["checkpoints"]).items()
        },
        attached=bytes.fromhex(row["attached"]),
        stopped=bool(row["stopped"]),
        reaped=bool(row["reaped"]),
        host=row["host"],
        hosted_before=bool(row["hosted"]),
        restarts=tuple(json.loads(row["restarts"])),
        failures=tuple(json.loads(row["failures"])),
        model=row["model"],
        driver=row["driver"],
        ended=row["ended"],
        exit=ExitRecord.model_validate_json(row["exit"]) if row["exit"] else None,
    )


def past_process(row: dict[str, Any], manifests: dict[str, Manifest]) -> Process:
    """A process that was collected, without its context."""
    bare = {**row, "head": None, "born": None, "checkpoints": "{}"}
    return process_from(bare, {}, manifests)


def message_row(node: Node, pid: int) -> dict[str, Any]:
    return {
        "id": node.id,
        "parent": node.parent.id if node.parent else None,
        "pid": pid,
        "role": node.role,
        "content": node.content,
        "time": node.time,
        "sources": json.dumps(node.sources),
        "tools": _tools(node.message),
    }


def nodes_from(rows: list[dict[str, Any]]) -> dict[int, Node]:
    """The tree of messages. Parents have smaller ids than their children."""
    nodes: dict[int, Node] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        nodes[row["id"]] = node_from(row, nodes[row["parent"]] if row["parent"] else None)
    return nodes


def node_from(row: dict[str, Any], parent: Node | None = None) -> Node:
    """One message; without a ``parent`` it stands for itself."""
    sources = tuple(json.loads(row["sources"]))
    tools = json.loads(row["tools"]) if row["tools"] else {}
    message = ChatMessage.model_validate({"role": row["role"], "content": row["content"], **tools})
    return context.grow(parent, row["id"], message, row["time"], sources)


def _tools(message: ChatMessage) -> str | None:
    """What a message has to do with tools; most have nothing."""
    if not message.tool_calls and message.tool_call is None:
        return None
    return message.model_dump_json(include={"tool_calls", "tool_call"})
