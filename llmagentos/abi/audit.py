"""The hash chain of the audit log: how an entry's hash is made, and how a log is verified.

Kernel and client use the same two functions. It knows nothing about where entries are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from llmagentos.abi.calls.sys import AuditEntry

GENESIS = "0" * 64


def chain_hash(
    previous: str, seq: int, time: float, pid: int, action: str, verdict: str, detail: str
) -> str:
    """SHA-256, in hex, over the previous hash and the entry's canonical JSON."""
    text = json.dumps([previous, seq, time, pid, action, verdict, detail], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def first_break(entries: Iterable[AuditEntry], previous: str = GENESIS) -> int | None:
    """The seq of the first entry that was changed, removed or put in; None if the chain holds."""
    expected = None
    for entry in entries:
        made = chain_hash(
            entry.previous, entry.seq, entry.time, entry.pid,
            entry.action, entry.verdict, entry.detail,
        )  # fmt: skip
        out_of_line = expected is not None and entry.seq != expected
        if entry.previous != previous or made != entry.hash or out_of_line:
            return entry.seq
        previous, expected = entry.hash, entry.seq + 1
    return None
