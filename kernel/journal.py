"""The event stream and the audit log: two append-only lists that people read.

Events say what happened; audit entries say who did or was refused what, each chained to the
one before by a hash. Neither ever holds the content of a message. Both let their oldest entries
go, the audit log not without an entry about that. It knows nothing about how they are kept or
sent.
"""

from __future__ import annotations

from typing import Any, Final

from kernel.config import Config, History
from kernel.effects import Delete, Effects, Put
from llmagentos.abi.audit import CUT, GENESIS, chain_hash, cut_detail

_BLOCK: Final = 100
"""So many old entries go at once: one delete for all of them."""


class Journal:
    def __init__(self, config: Config, history: History) -> None:
        self._config = config
        self._history = history
        self.effects = Effects()
        self.seq = 0
        self.written = 0
        """The last event of those that can be read: what happens in this turn is not yet."""
        self.oldest = 1
        self.audit_seq = 0
        self.audit_written = 0
        self._audit_oldest = 1
        self._audit_hash = GENESIS

    def restore(
        self, seq: int, oldest: int, audit_seq: int, audit_oldest: int, audit_hash: str
    ) -> None:
        self.seq, self.written, self.oldest = seq, seq, max(1, oldest)
        self.audit_seq, self.audit_written = audit_seq, audit_seq
        self._audit_oldest = max(1, audit_oldest)
        self._audit_hash = audit_hash or GENESIS

    def flush(self) -> Effects:
        """What this turn has led to. It is written before the next one begins."""
        effects, self.effects = self.effects, Effects()
        self.written, self.audit_written = self.seq, self.audit_seq
        return effects

    def event(self, now: float, type: str, pid: int | None = None, /, **data: Any) -> None:
        self.seq += 1
        self.effects.events.append(
            {"seq": self.seq, "time": now, "type": type, "pid": pid, "data": data}
        )
        kept = self._config.events_kept
        if self.seq - self.oldest >= kept + _BLOCK:
            self.oldest = self.seq - kept
            self.effects.rows.append(Delete("events", {"seq<": self.oldest}))

    def audit(self, now: float, pid: int, action: str, verdict: str, detail: str = "") -> None:
        self._link(now, pid, action, verdict, detail)
        if self.audit_seq - self._audit_oldest >= self._config.audit_kept + _BLOCK:
            self._cut(now)

    def _cut(self, now: float) -> None:
        """Let the oldest entries go. An entry says so, with the hash of the last of them: nobody
        can take a beginning away unseen."""
        last = self.audit_seq - self._config.audit_kept
        for entry in self._history.audit(last - 1, 1):
            self._audit_oldest = last + 1
            self._link(now, 0, CUT, "ok", cut_detail(last, entry["hash"]))
            self.effects.rows.append(Delete("audit", {"seq<": self._audit_oldest}))

    def _link(self, now: float, pid: int, action: str, verdict: str, detail: str) -> None:
        self.audit_seq += 1
        previous = self._audit_hash
        self._audit_hash = chain_hash(previous, self.audit_seq, now, pid, action, verdict, detail)
        row = {
            "seq": self.audit_seq, "time": now, "pid": pid, "action": action,
            "verdict": verdict, "detail": detail, "previous": previous, "hash": self._audit_hash,
        }  # fmt: skip
        self.effects.rows.append(Put("audit", row))
        self.effects.rows.append(Put("meta", {"key": "audit_seq", "value": self.audit_seq}))
