"""A question: what a process wants to do and needs somebody's yes for. As the kernel holds it, as
a row, and as it is shown.

It knows nothing about who decides, nor about what becomes of the call.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kernel.rules import bare
from llmagentos.abi.calls.cap import Approval, ApprovalStatus, Buffer

if TYPE_CHECKING:
    from kernel.calls import Call

REQUEST: Final = "cap.request"
"""The one call that asks for something to keep, not to be let through."""


@dataclass(slots=True, eq=False)
class Question:
    """``arguments`` and ``buffers`` are JSON. ``heard``: whoever asked has got the answer."""

    id: int
    pid: int
    name: str
    call: str
    capability: str
    arguments: str
    buffers: str
    labels: tuple[str, ...]
    hash: str
    reason: str
    status: ApprovalStatus
    created: float
    expires: float
    decided: float | None = None
    by: int | None = None
    always: bool = False
    note: str = ""
    heard: bool = False
    parked: Call | None = None
    """The call that waits for the answer; after a restart of the kernel, or of the client, there
    is none until it is made again."""
    args: Any = None
    """Its arguments, decoded."""
    size: int = 0
    """What it takes of the kernel's memory while it is open, more or less."""

    def __post_init__(self) -> None:
        sizes = (size for size, _ in json.loads(self.buffers))
        self.size = 1000 + len(self.arguments.encode()) + sum(sizes)

    @property
    def open(self) -> bool:
        """Whether a call may still wait for it, or come to fetch the decision."""
        unheard = self.status in ("approved", "rejected") and not self.heard
        return self.status == "pending" or unheard

    def row(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in _COLUMNS}
        flags = {"always": int(self.always), "heard": int(self.heard)}
        return {**row, **flags, "labels": json.dumps(self.labels)}

    def shown(self) -> Approval:
        return Approval(
            id=self.id,
            pid=self.pid,
            name=self.name,
            call=self.call,
            capability=self.capability,
            arguments=json.loads(self.arguments),
            buffers=[Buffer(size=size, hash=hash) for size, hash in json.loads(self.buffers)],
            labels=list(self.labels),
            hash=self.hash,
            reason=self.reason,
            status=self.status,
            created=self.created,
            expires=self.expires,
            decided=self.decided,
            by=self.by,
            always=self.always,
            note=self.note,
        )


_COLUMNS: Final = (
    "id", "pid", "name", "call", "capability", "arguments", "buffers", "hash", "reason", "status",
    "created", "expires", "decided", "by", "note",
)  # fmt: skip


def restored(row: dict[str, Any]) -> Question:
    return Question(
        **{name: row[name] for name in _COLUMNS},
        labels=tuple(json.loads(row["labels"])),
        always=bool(row["always"]),
        heard=bool(row["heard"]),
    )


def canonical(args: Any) -> str:
    """The arguments of a call, written in one way only."""
    given = args.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(given, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def contents(buffers: tuple[bytes, ...]) -> str:
    """Buffers by their sizes and hashes."""
    return json.dumps([(len(one), hashlib.sha256(one).hexdigest()) for one in buffers])


def fingerprint(call: Call, asked: tuple[str, ...], args: Any, text: str = "") -> str:
    """A hash of all that a decision is about. ``text``: the arguments, if they are written down
    already."""
    process, name = call.process, call.spec.name
    # What a model reads is its process's context, and that is not among the arguments.
    reads = name == "llm.generate" and (args.messages is None or args.append)
    head = process.head.id if reads and process.head else None
    whole = [process.pid, name, asked, text or canonical(args), contents(call.buffers), head]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def named(asked: tuple[str, ...]) -> str:
    """What is asked for, without arguments."""
    return " ".join(bare(one).removesuffix("@*") for one in asked)
