"""The event stream and the audit log: two append-only lists that people read.

Events say what happened; audit entries say who did or was refused what, each chained to the
one before by a hash. Neither ever holds the content of a message. It knows nothing about how
they are kept or sent.
"""

from __future__ import annotations

from typing import Any

from kernel.effects import Delete, Effects, Put
from llmagentos.abi.audit import GENESIS, chain_hash


class Journal:
    def __init__(self, events_kept: int) -> None:
        self._kept = events_kept
        self.effects = Effects()
        self.seq = 0
        self.oldest = 1
        self.audit_seq = 0
        self._audit_hash = GENESIS

    def restore(self, seq: int, oldest: int, audit_seq: int, audit_hash: str) -> None:
        self.seq, self.oldest = seq, max(1, oldest)
        self.audit_seq, self._audit_hash = audit_seq, audit_hash or GENESIS

    def event(self, now: float, type: str, pid: int | None = None, /, **data: Any) -> None:
        self.seq += 1
        self.effects.events.append(
            {"seq": self.seq, "time": now, "type": type, "pid": pid, "data": data}
        )
        # Old events go in blocks: one delete for every hundred inserts.
        if self.seq - self.oldest >= self._kept + 100:
            self.oldest = self.seq - self._kept
            self.effects.rows.append(Delete("events", {"seq<": self.oldest}))

    def audit(self, now: float, pid: int, action: str, verdict: str, detail: str = "") -> None:
        self.audit_seq += 1
        previous = self._audit_hash
        self._audit_hash = chain_hash(previous, self.audit_seq, now, pid, action, verdict, detail)
        row = {
            "seq": self.audit_seq, "time": now, "pid": pid, "action": action,
            "verdict": verdict, "detail": detail, "previous": previous, "hash": self._audit_hash,
        }  # fmt: skip
        self.effects.rows.append(Put("audit", row))
        self.effects.rows.append(Put("meta", {"key": "audit_seq", "value": self.audit_seq}))
