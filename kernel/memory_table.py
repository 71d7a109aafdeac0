"""The memory table: rows that processes remember, in SQLite, and an index of their words.

The index lacks the rows above its own highest id, and has old words of those that are noted as
stale: it is brought up to date before somebody searches, and a little at a time in between. A put
costs nothing there, and a new value goes where the old one was: each page of the disk that a
commit touches must be written.

It knows the rows, and nothing about who may see them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Any, Final

from kernel.memory_store import OWN_SPACES, Brief, Head, Match, Row
from kernel.row_text import row_text
from kernel.rows import Rows
from kernel.vector_table import VectorTable

# In an own space the owner follows from the name, and the column is empty: what a process owns in
# shared spaces is found by an index that has nothing else in it.
_OWNER: Final = f"coalesce(owner, CAST(substr(space, {len(OWN_SPACES) + 1}) AS INTEGER)) AS owner"
_ROW: Final = f"key, value, labels, {_OWNER}, created, updated, expires, bytes"
_CURRENT: Final = "(expires IS NULL OR expires > ?)"

_GET: Final = f"SELECT {_ROW} FROM memory WHERE space = ? AND key = ? AND {_CURRENT}"
_HEAD: Final = (
    f"SELECT id, {_OWNER}, created, expires, bytes FROM memory WHERE space = ? AND key = ?"
)
_ADD: Final = (
    "INSERT INTO memory (id, space, key, value, labels, owner, created, updated, expires, bytes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CHANGE: Final = (
    "UPDATE memory SET value = ?, labels = ?, created = ?, updated = ?, bytes = ? WHERE id = ?"
)
_MOVE: Final = "UPDATE memory SET owner = ?, expires = ? WHERE id = ?"
_PAGE: Final = (
    f"SELECT key, bytes, labels, {_OWNER}, updated, expires FROM memory"
    f" WHERE space = ? AND key >= ? AND key <> ? AND {_CURRENT} ORDER BY key LIMIT ?"
)

_MATCH: Final = "FROM memory_words WHERE memory_words MATCH ? AND rowid > ?"
_CUT: Final = f"SELECT rowid {_MATCH} ORDER BY rowid LIMIT 1 OFFSET ?"
# As the table's own rank, which SQLite takes longer to sort by. The room is for no score.
_RANKED: Final = (
    f"SELECT rowid, -bm25(memory_words, 1.0, 0.0) AS score {_MATCH} AND rowid <= ?"
    " ORDER BY score DESC, rowid LIMIT ?"
)
_MOST_ID: Final = 2**63 - 1

_SLICES: Final = 8

_HEADS: Final = 4096

_EXPIRED: Final = 500
"""Rows that may have expired and be there still, of those that are nearest."""

_AT_ONCE: Final = 256 * 1024
"""Bytes of rows that are indexed or deleted in one go, which takes some 5 ms."""


class MemoryTable(Rows):
    slice = 8192
    """Rows with the words of a search that are ranked in one go, in some 10 ms; or an eighth of
    all that are indexed, if that is more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.vectors = VectorTable(connection)
        self._heads: dict[tuple[str, str], Head] = {}
        """Of rows that were put of late: most that is put again is put again soon."""
        self._indexed = self._last_indexed()
        last = self._one("SELECT coalesce(max(id), 0) FROM memory")
        self._noted: set[int] = {row["id"] for row in self._all("SELECT id FROM memory_stale")}
        # An id that the index still has may not come again.
        self._last = max(last[0] if last else 0, self._indexed)

    def held(self) -> list[tuple[int, str, int]]:
        """Owner, resource and amount of what is kept."""
        sums = self._all(
            f"SELECT {_OWNER}, count(*) AS memory_rows, sum(bytes) AS memory_bytes FROM memory"
            " GROUP BY 1"
        )
        return [
            (one["owner"], what, one[what])
            for one in sums
            for what in ("memory_rows", "memory_bytes")
        ]

    # -- single rows -------------------------------------------------------------------------

    def row(self, space: str, key: str, now: float) -> Row | None:
        found = self._one(_GET, space, key, now)
        return Row(*found) if found else None

    def head(self, space: str, key: str) -> Head | None:
        known = self._heads.get((space, key))
        if known is not None:
            return known
        found = self._one(_HEAD, space, key)
        return Head(*found) if found else None

    def page(self, space: str, prefix: str, after: str, now: float, limit: int) -> list[Brief]:
        # Keys that begin with a text are all in one place, and begin there.
        rows = self._all(_PAGE, space, max(prefix, after), after, now, limit)
        found = (Brief(**row) for row in rows)
        return list(takewhile(lambda row: row.key.startswith(prefix), found))

    def put(self, space: str, row: Row, replaced: Head | None) -> None:
        owner = None if space.startswith(OWN_SPACES) else row.owner
        if replaced is None:
            id = self._last = self._last + 1
            self._run(
                _ADD, id, space, row.key, row.value, row.labels, owner, row.created,
                row.updated, row.expires, row.bytes,
            )  # fmt: skip
        else:
            id = replaced.id
            self._run(_CHANGE, row.value, row.labels, row.created, row.updated, row.bytes, id)
            if (row.owner, row.expires) != (replaced.owner, replaced.expires):
                self._run(_MOVE, owner, row.expires, id)  # apart, since there are indexes of these
            self._stale(id, replaced.bytes)
            self.vectors.changed(id, row.labels)
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        self._heads[space, row.key] = Head(id, row.owner, row.created, row.expires, row.bytes)

    def delete(self, row: Head) -> None:
        self._delete(row.id, row.bytes)

    def _delete(self, id: int, size: int) -> None:
        self._heads.clear()
        self._run("DELETE FROM memory WHERE id = ?", id)
        self._stale(id, size)
        self.vectors.deleted(id)

    def _stale(self, id: int, size: int) -> None:
        """The row is not what the index has of it, if it has any."""
        if id <= self._indexed and id not in self._noted:
            self._run("INSERT INTO memory_stale (id, bytes) VALUES (?, ?)", id, size)
            self._noted.add(id)

    # -- many rows ---------------------------------------------------------------------------

    def expire(self, now: float, limit: int) -> list[tuple[int, int]]:
        rows = self._all(
            f"SELECT id, {_OWNER}, bytes FROM memory WHERE expires <= ? ORDER BY expires LIMIT ?",
            now, limit,
        )  # fmt: skip
        rows = _at_once(rows)
        for row in rows:
            self._delete(row["id"], row["bytes"])
        return [(row["owner"], row["bytes"]) for row in rows]

    def next_expiry(self) -> float | None:
        found = self._one("SELECT min(expires) FROM memory WHERE expires IS NOT NULL")
        return found[0] if found else None

    def drop(self, space: str) -> tuple[int, int]:
        rows, size = self._sums("space = ?", space)
        if rows:
            self._run("INSERT INTO memory_dropped (space) VALUES (?)", space)
        return rows, size

    def bequeath(self, owner: int, heir: int) -> tuple[int, int]:
        rows, size = self._sums("owner = ?", owner)
        if rows:
            self._heads.clear()
            self._run("UPDATE memory SET owner = ? WHERE owner = ?", heir, owner)
        return rows, size

    def _sums(self, where: str, value: Any) -> tuple[int, int]:
        query = f"SELECT count(*), coalesce(sum(bytes), 0) FROM memory WHERE {where}"
        found = self._one(query, value)
        return (found[0], found[1]) if found else (0, 0)

    # -- what is put off ---------------------------------------------------------------------

    def tidy(self, limit: int) -> bool:
        return self._delete_dropped(limit) or self.index(limit)

    def _delete_dropped(self, limit: int) -> bool:
        """Delete some rows of spaces that were dropped; False if there is none."""
        dropped = self._one("SELECT space FROM memory_dropped LIMIT 1")
        if dropped is None:
            return False
        query = "SELECT id, bytes FROM memory WHERE space = ? LIMIT ?"
        rows = _at_once(self._all(query, dropped[0], limit))
        for row in rows:
            self._delete(row["id"], row["bytes"])
        if not rows:
            self._run("DELETE FROM memory_dropped WHERE space = ?", dropped[0])
        return True

    # -- words -------------------------------------------------------------------------------

    def index(self, limit: int) -> bool:
        if self._noted and self._mend(limit):
            return True
        query = "SELECT id, bytes FROM memory WHERE id > ? ORDER BY id LIMIT ?"
        fresh = self._all(query, self._indexed, limit + 1)
        if not fresh:
            return False
        some = _at_once(fresh[:limit])
        last: int = some[-1]["id"]
        self._add_words("id > ? AND id <= ?", self._indexed, last)
        self._indexed = last
        return len(some) < len(fresh)

    def _mend(self, limit: int) -> bool:
        """Take some of what is stale out of the index, and index anew what is still there of it;
        whether there is more."""
        rows = self._all(
            "SELECT id, memory_stale.bytes + coalesce(memory.bytes, 0) AS bytes"
            " FROM memory_stale LEFT JOIN memory USING (id) LIMIT ?",
            limit + 1,
        )
        some = _at_once(rows[:limit])
        stale = [(row["id"],) for row in some]
        self._run_many("DELETE FROM memory_words WHERE rowid = ?", stale)
        self._run_many("DELETE FROM memory_stale WHERE id = ?", stale)
        for (id,) in stale:
            self._noted.discard(id)
            self._add_words("id = ?", id)
        return len(some) < len(rows)

    def _add_words(self, where: str, *values: Any) -> None:
        rows = self._all(f"SELECT id, space, key, value FROM memory WHERE {where}", *values)
        self._run_many(
            "INSERT INTO memory_words (rowid, words, room) VALUES (?, ?, ?)",
            [(row["id"], row_text(row["key"], row["value"]), _token(row["space"])) for row in rows],
        )

    def ranked(
        self, space: str, words: list[str], after: int, limit: int, *, every: bool
    ) -> tuple[list[tuple[int, float]], int | None]:
        quoted = (" AND " if every else " OR ").join(f'"{word}"' for word in words)
        wanted = f"room : {_token(space)} AND words : ({quoted})"
        # To count in how many rows each word is takes SQLite time for all of them, each time.
        some = max(self.slice, self._indexed // _SLICES)
        last = self._one(_CUT, wanted, after, some - 1)
        upto = last[0] if last else _MOST_ID
        ranked = self._run(_RANKED, wanted, after, upto, limit).fetchall()
        return ranked, last[0] if last else None

    def matches(
        self, space: str, found: Sequence[tuple[int, float]], now: float, limit: int
    ) -> list[Match]:
        matches: list[Match] = []
        for start in range(0, len(found), limit):
            scores = dict(found[start : start + limit])
            marks = ", ".join("?" * len(scores))
            rows = self._all(
                "SELECT id, key, bytes, labels FROM memory"
                f" WHERE id IN ({marks}) AND +space = ? AND {_CURRENT}",  # by their ids
                *scores, space, now,
            )  # fmt: skip
            there = {row.pop("id"): row for row in rows}
            for id, score in scores.items():
                if id in there and len(matches) < limit:
                    matches.append(Match(**there[id], score=score))
            if len(matches) == limit:
                break
        return matches

    # -- meaning -----------------------------------------------------------------------------

    def nearest(self, space: str, kind: str, vector: bytes, now: float, limit: int) -> list[Match]:
        # Some have expired and are not deleted yet.
        near = self.vectors.nearest(space, kind, vector, limit + _EXPIRED)
        return self.matches(space, near, now, limit)

    def cosines(
        self, space: str, kind: str, vector: bytes, keys: Sequence[str]
    ) -> dict[str, float]:
        marks = ", ".join("?" * len(keys))
        query = f"SELECT id, key FROM memory WHERE space = ? AND key IN ({marks})"
        named = {row["id"]: row["key"] for row in self._all(query, space, *keys)}
        found = self.vectors.cosines(space, kind, vector, named)
        return {named[id]: cosine for id, cosine in found.items()}

    def _last_indexed(self) -> int:
        found = self._one("SELECT rowid FROM memory_words ORDER BY rowid DESC LIMIT 1")
        return found[0] if found else 0


def _at_once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of them that together are not too large; one at least."""
    sizes = accumulate(row["bytes"] for row in rows)
    return rows[: max(1, sum(size <= _AT_ONCE for size in sizes))]


def _token(space: str) -> str:
    """A space's name as one word that no tokenizer takes apart or stems. With it in the index, a
    search need not look at what others have of the same words."""
    return str(int.from_bytes(space.encode()))
