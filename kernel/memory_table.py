"""The memory table: rows that processes remember, in SQLite, and an index of their words.

A row gets a new, higher id with each new value, so the index lacks what is above its own highest
id: it is brought up to date when somebody searches, and a little at a time in between. A put
costs nothing there. What is in the index and no longer in the table is passed over, and cleared
away later.

It knows the rows, and nothing about who may see them.
"""

from __future__ import annotations

import json
import sqlite3
from itertools import takewhile
from typing import Any, Final

from kernel.memory import OWN_SPACES, Brief, Found, Head, Row
from kernel.rows import Rows

# In an own space the owner follows from the name, and the column is empty: what a process owns in
# shared spaces is found by an index that has nothing else in it.
_OWNER: Final = f"coalesce(owner, CAST(substr(space, {len(OWN_SPACES) + 1}) AS INTEGER)) AS owner"
_ROW: Final = f"key, value, labels, {_OWNER}, created, updated, expires, bytes"
_CURRENT: Final = "(expires IS NULL OR expires > ?)"

_GET: Final = f"SELECT {_ROW} FROM memory WHERE space = ? AND key = ? AND {_CURRENT}"
_HEAD: Final = (
    f"SELECT id, {_OWNER}, created, expires, bytes FROM memory WHERE space = ? AND key = ?"
)
_PUT: Final = (
    "INSERT OR REPLACE INTO memory (id, space, key, value, labels, owner, created, updated,"
    " expires, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PAGE: Final = (
    f"SELECT key, bytes, labels, {_OWNER}, updated, expires FROM memory"
    f" WHERE space = ? AND key >= ? AND key <> ? AND {_CURRENT} ORDER BY key LIMIT ?"
)

_CHUNK: Final = 500
"""Rows that are indexed in one go."""

_SNIPPET_WORDS: Final = 16


class MemoryTable(Rows):
    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._indexed = self._last_indexed()
        last = self._one("SELECT coalesce(max(id), 0) FROM memory")
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
        found = self._one(_HEAD, space, key)
        return Head(*found) if found else None

    def page(self, space: str, prefix: str, after: str, now: float, limit: int) -> list[Brief]:
        # Keys that begin with a text are all in one place, and begin there.
        rows = self._all(_PAGE, space, max(prefix, after), after, now, limit)
        found = (Brief(**row) for row in rows)
        return list(takewhile(lambda row: row.key.startswith(prefix), found))

    def put(self, space: str, row: Row, replaced: int | None) -> None:
        self._last += 1
        owner = None if space.startswith(OWN_SPACES) else row.owner
        self._run(
            _PUT, self._last, space, row.key, row.value, row.labels, owner, row.created,
            row.updated, row.expires, row.bytes,
        )  # fmt: skip
        if replaced is not None:
            self._stale(replaced)

    def delete(self, id: int) -> None:
        self._run("DELETE FROM memory WHERE id = ?", id)
        self._stale(id)

    # -- many rows ---------------------------------------------------------------------------

    def expire(self, now: float, limit: int) -> list[tuple[int, int]]:
        rows = self._all(
            f"SELECT id, {_OWNER}, bytes FROM memory WHERE expires <= ? ORDER BY expires LIMIT ?",
            now, limit,
        )  # fmt: skip
        for row in rows:
            self.delete(row["id"])
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
            self._run("UPDATE memory SET owner = ? WHERE owner = ?", heir, owner)
        return rows, size

    def _sums(self, where: str, value: Any) -> tuple[int, int]:
        query = f"SELECT count(*), coalesce(sum(bytes), 0) FROM memory WHERE {where}"
        found = self._one(query, value)
        return (found[0], found[1]) if found else (0, 0)

    # -- what is put off ---------------------------------------------------------------------

    def tidy(self, limit: int) -> bool:
        return self._delete_dropped(limit) or self._clear_stale(limit) or self._index_new(limit)

    def _delete_dropped(self, limit: int) -> bool:
        """Delete the next so many rows of spaces that were dropped; False if there is none."""
        dropped = self._one("SELECT space FROM memory_dropped LIMIT 1")
        if dropped is None:
            return False
        rows = self._all("SELECT id FROM memory WHERE space = ? LIMIT ?", dropped[0], limit)
        for row in rows:
            self.delete(row["id"])
        if len(rows) < limit:
            self._run("DELETE FROM memory_dropped WHERE space = ?", dropped[0])
        return True

    def _clear_stale(self, limit: int) -> bool:
        """Clear so much out of the index that is no longer in the table; False if nothing was."""
        stale = [(row["id"],) for row in self._all("SELECT id FROM memory_stale LIMIT ?", limit)]
        self._run_many("DELETE FROM memory_words WHERE rowid = ?", stale)
        self._run_many("DELETE FROM memory_stale WHERE id = ?", stale)
        return bool(stale)

    def _index_new(self, limit: int) -> bool:
        """Index the next so many rows; False if there was none."""
        rows = self._all(
            "SELECT id, space, key, value FROM memory WHERE id > ? ORDER BY id LIMIT ?",
            self._indexed, limit,
        )  # fmt: skip
        if not rows:
            return False
        self._run_many(
            "INSERT INTO memory_words (rowid, words, room) VALUES (?, ?, ?)",
            [
                (row["id"], f"{row['key']}: {_text(row['value'])}", _token(row["space"]))
                for row in rows
            ],
        )
        self._indexed = rows[-1]["id"]
        return True

    # -- words -------------------------------------------------------------------------------

    def search(self, space: str, words: list[str], now: float, limit: int) -> list[Found]:
        while self._index_new(_CHUNK):
            pass
        quoted = " AND ".join(f'"{word}"' for word in words)
        rows = self._all(
            f"SELECT {_ROW}, -rank AS score,"
            f" snippet(memory_words, 0, '', '', '…', {_SNIPPET_WORDS}) AS snippet"
            " FROM memory_words JOIN memory ON memory.id = memory_words.rowid"
            f" WHERE memory_words MATCH ? AND memory.space = ? AND {_CURRENT}"
            " ORDER BY rank LIMIT ?",
            f"room : {_token(space)} AND words : ({quoted})", space, now, limit,
        )  # fmt: skip
        return [
            Found(score=row.pop("score"), snippet=row.pop("snippet"), row=Row(**row))
            for row in rows
        ]

    def _stale(self, id: int) -> None:
        """The row is no longer in the table; the index may have it."""
        if id <= self._indexed:
            self._run("INSERT INTO memory_stale (id) VALUES (?)", id)

    def _last_indexed(self) -> int:
        found = self._one("SELECT rowid FROM memory_words ORDER BY rowid DESC LIMIT 1")
        return found[0] if found else 0


def _token(space: str) -> str:
    """A space's name as one word that no tokenizer takes apart or stems. With it in the index, a
    search need not look at what others have of the same words."""
    return str(int.from_bytes(space.encode()))


def _text(value: str) -> str:
    """All words in a JSON value, names of fields included."""
    if value.startswith('"'):
        text: str = json.loads(value)
        return text
    found: list[str] = []
    rest = [json.loads(value)]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest += [part for item in reversed(one.items()) for part in (item[1], item[0])]
        elif isinstance(one, list):
            rest += reversed(one)
        elif isinstance(one, str | float) or type(one) is int:
            found.append(str(one))
    return " ".join(found)
