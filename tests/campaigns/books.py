"""Books: is what lies in the database, with no kernel there, all that it should be?

It looks at a copy, so that the next kernel finds the files as the dead one left them. It knows
nothing about who wrote what.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from tests.campaigns.belief import AUDITED, Belief, same
from tests.campaigns.system import Broken


@contextmanager
def copied(database: Path) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="llmos-books-") as folder:
        for file in (database, database.with_name(f"{database.name}-wal")):
            if file.exists():
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / database.name)) as db:
            db.row_factory = sqlite3.Row
            yield db


def check(database: Path, heard: dict[int, tuple[Any, ...]]) -> None:
    """After each kill. ``heard``: the events that were published, by seq."""
    with copied(database) as db:
        same("integrity", ["ok"], [row[0] for row in db.execute("PRAGMA integrity_check")])
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
            same("events that were heard", {}, heard)
            return
        seqs = [row[0] for row in db.execute("SELECT seq FROM events ORDER BY seq")]
        if seqs:
            same("seqs of events", list(range(seqs[0], seqs[-1] + 1)), seqs)
        kept = {row["seq"]: row for row in db.execute("SELECT * FROM events")}
        for seq, event in heard.items():
            row = kept.get(seq)
            if row is None and (not seqs or seq > seqs[0]):
                raise Broken(f"event {seq} was published and is not there: {event}")
            if row is not None:
                there = (row["type"], row["pid"], json.loads(row["data"]))
                same(f"event {seq}", event, there)
        entries = [
            AuditEntry(**dict(row)) for row in db.execute("SELECT * FROM audit ORDER BY seq")
        ]
        if entries:
            same("first audit entry", 1, entries[0].seq)
        broken = first_break(entries)
        if broken is not None:
            raise Broken(f"the audit log is broken at {broken}")


def check_end(database: Path, belief: Belief) -> None:
    """When all was answered, and nothing more was asked."""
    with copied(database) as db:
        told = _counts(
            db, "SELECT action, count(*) FROM audit WHERE verdict = 'ok' GROUP BY action"
        )
        for name in AUDITED:
            same(f"{name} in the audit log", belief.done[name], told[name])
        happened = _counts(db, "SELECT type, count(*) FROM events GROUP BY type")
        (oldest,) = db.execute("SELECT min(seq) FROM events").fetchone()
        if oldest == 1:  # so none of them was forgotten yet
            born = sum(belief.done[name] for name in ("proc.spawn", "proc.fork", "proc.adopt"))
            same("events of births", born, happened["proc.spawned"])
            same("events of mail", sum(map(len, belief.sent.values())), happened["ipc.sent"])
            same("events of bursts", belief.done["llm.generate"], happened["burst.done"])
        spent = {
            row[0]: json.loads(row[1]) for row in db.execute("SELECT pid, spent FROM processes")
        }
        for pid, mine in belief.spent.items():
            books = spent[pid].get("tokens", 0), spent[pid].get("turns", 0)
            same(f"spent by process {pid}", (mine.tokens, mine.turns), books)
        all_spent = belief.spent.values()
        total = sum(one.tokens for one in all_spent), sum(one.turns for one in all_spent)
        same("spent by all", total, (spent[1].get("tokens", 0), spent[1].get("turns", 0)))


def _counts(db: sqlite3.Connection, query: str) -> Counter[str]:
    return Counter({row[0]: row[1] for row in db.execute(query)})
