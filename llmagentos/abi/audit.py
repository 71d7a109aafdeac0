"""The hash chain of the audit log: how an entry's hash is made, and how a log is verified.

Kernel and client use the same two functions. It knows nothing about where entries are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.model import Json

GENESIS = "0" * 64

CUT = "audit.cut"
"""The action of an entry that says that all up to another one were let go, since they are old."""


def chain_hash(
    previous: str, seq: int, time: float, pid: int, action: str, verdict: str, detail: str
) -> str:
    """SHA-256, in hex, over the previous hash and the entry's canonical JSON."""
    text = json.dumps([previous, seq, time, pid, action, verdict, detail], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def arguments_hash(arguments: Mapping[str, Json]) -> str:
    """``sha256:`` and the hash, in hex, of a tool's arguments as JSON that is written in one way
    only: keys in order, no spaces, UTF-8."""
    text = json.dumps(arguments, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def cut_detail(last: int, hash: str) -> str:
    """What such an entry says of the last one that went."""
    return f"up to {last} {hash}"


def first_break(entries: Iterable[AuditEntry]) -> int | None:
    """The seq of the first entry that was changed, removed or put in; None if the chain holds. One
    whose beginning is missing, and has no entry about that, is broken at 1."""
    previous, owed, expected = GENESIS, "", None
    for entry in entries:
        if expected is None and entry.seq > 1:
            previous, owed = entry.previous, cut_detail(entry.seq - 1, entry.previous)
        if entry.action == CUT and entry.detail == owed:
            owed = ""
        made = chain_hash(
            entry.previous, entry.seq, entry.time, entry.pid,
            entry.action, entry.verdict, entry.detail,
        )  # fmt: skip
        out_of_line = expected is not None and entry.seq != expected
        if entry.previous != previous or made != entry.hash or out_of_line:
            return entry.seq
        previous, expected = entry.hash, entry.seq + 1
    return 1 if owed else None
