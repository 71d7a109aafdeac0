"""The table of vectors: what rows of memory mean, beside the rows, and which rows lack that.

A put costs nothing here if the row is new: those above the highest id in the table are taken note
of later. A row whose text or labels have changed lacks a vector again. What is searched is kept in
RAM as well, a matrix for each space. It knows the rows, and nothing about who may see them, nor
about what makes vectors.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from kernel.memory_store import Lacking
from kernel.row_text import row_text
from kernel.rows import Rows

if TYPE_CHECKING:
    from kernel.matrix import Matrix

_MOST: Final = 256 * 1024 * 1024
"""Bytes of the matrices in RAM, beside the one that is searched."""


class VectorTable(Rows):
    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        last = self._one("SELECT coalesce(max(id), 0) FROM memory_vectors")
        self._noted: int = last[0] if last else 0
        """The highest id in the table."""
        lacking = self._all("SELECT id, labels FROM memory_vectors WHERE vector IS NULL")
        self._lacking: dict[int, str] = {row["id"]: row["labels"] for row in lacking}
        self._sets = Counter(self._lacking.values())
        counted = self._all(
            "SELECT model AS kind, count(*) AS n FROM memory_vectors"
            " WHERE model IS NOT NULL GROUP BY model"
        )
        self._kinds: Counter[str] = Counter({one["kind"]: one["n"] for one in counted})
        self._matrices: OrderedDict[tuple[str, str], Matrix] = OrderedDict()

    # -- as rows come and go -----------------------------------------------------------------

    def changed(self, id: int, labels: str) -> None:
        """The row is another one than it was."""
        if id > self._noted or self._lacking.get(id) == labels:
            return
        self._forget(id)
        self._run(
            "INSERT OR REPLACE INTO memory_vectors (id, labels, model, vector)"
            " VALUES (?, ?, NULL, NULL)",
            id, labels,
        )  # fmt: skip
        self._lack(id, labels)

    def deleted(self, id: int) -> None:
        if id <= self._noted:
            self._forget(id)
            self._run("DELETE FROM memory_vectors WHERE id = ?", id)

    def _forget(self, id: int) -> None:
        """What is known of it beside its row in the table, which is about to change."""
        labels = self._lacking.pop(id, None)
        if labels is not None:
            self._sets[labels] -= 1
            return
        found = self._one("SELECT model FROM memory_vectors WHERE id = ?", id)
        if found and found[0] is not None:
            self._kinds[found[0]] -= 1
        for place, matrix in list(self._matrices.items()):
            if matrix.drop(id) and not len(matrix):
                del self._matrices[place]  # the space may be gone, with its process

    def _lack(self, id: int, labels: str) -> None:
        self._lacking[id] = labels
        self._sets[labels] += 1

    # -- rows that lack one ------------------------------------------------------------------

    def note(self, limit: int) -> bool:
        query = "SELECT id, labels FROM memory WHERE id > ? ORDER BY id LIMIT ?"
        rows = self._all(query, self._noted, limit)
        self._run_many(
            "INSERT INTO memory_vectors (id, labels, model, vector) VALUES (?, ?, NULL, NULL)",
            [(row["id"], row["labels"]) for row in rows],
        )
        for row in rows:
            self._noted = row["id"]
            self._lack(row["id"], row["labels"])
        return len(rows) == limit

    def labels(self) -> list[str]:
        return sorted(labels for labels, count in self._sets.items() if count > 0)

    def pick(self, labels: Sequence[str], limit: int, most: int) -> list[Lacking]:
        marks = ", ".join("?" * len(labels))
        rows = self._all(
            "SELECT memory.id, memory.labels, key, value, bytes"
            " FROM memory_vectors JOIN memory USING (id)"
            f" WHERE vector IS NULL AND memory_vectors.labels IN ({marks})"
            " AND memory.labels = memory_vectors.labels ORDER BY memory_vectors.id LIMIT ?",
            *labels, limit,
        )  # fmt: skip
        picked: list[Lacking] = []
        size = 0
        for row in rows:
            size += row["bytes"]
            if picked and size > most:
                break
            text = row_text(row["key"], row["value"]) if row["bytes"] <= most else None
            picked.append(Lacking(row["id"], row["labels"], text))
        return picked

    def keep(self, kind: str, vectors: Iterable[tuple[int, bytes]]) -> None:
        for id, vector in vectors:
            if id not in self._lacking:
                continue  # it was deleted, or its whole space was
            self._forget(id)
            self._run(
                "UPDATE memory_vectors SET model = ?, vector = ? WHERE id = ?", kind, vector, id
            )
            self._kinds[kind] += 1
            if vector and self._matrices:
                self._into_matrix(kind, id, vector)

    def _into_matrix(self, kind: str, id: int, vector: bytes) -> None:
        found = self._one("SELECT space FROM memory WHERE id = ?", id)
        matrix = self._matrices.get((found[0], kind)) if found else None
        if matrix is not None:
            matrix.set(id, vector)

    # -- kinds -------------------------------------------------------------------------------

    def kind(self) -> str | None:
        counted = [(count, kind) for kind, count in self._kinds.items() if kind and count > 0]
        return max(counted)[1] if counted else None

    def shed(self, kind: str, limit: int) -> bool:
        if not any(n > 0 for one, n in self._kinds.items() if one not in ("", kind)):
            return False
        rows = self._all(
            "SELECT memory_vectors.id, memory.labels FROM memory_vectors JOIN memory USING (id)"
            " WHERE model IS NOT NULL AND model <> '' AND model <> ? LIMIT ?",
            kind, limit,
        )  # fmt: skip
        for row in rows:
            self.changed(row["id"], row["labels"])
        return bool(rows)

    # -- searching ---------------------------------------------------------------------------

    def rows(self, space: str) -> int:
        found = self._one("SELECT count(*) FROM memory WHERE space = ?", space)
        return found[0] if found else 0

    def lacking(self, space: str, kind: str | None) -> int:
        rows = self.rows(space)
        matrix = self._matrix(space, kind) if rows and kind else None
        return rows - (len(matrix) if matrix else 0)

    def nearest(self, space: str, kind: str, vector: bytes, count: int) -> list[tuple[int, float]]:
        """The ids of rows, and the cosines, nearest first."""
        matrix = self._matrix(space, kind)
        return matrix.nearest(vector, count) if matrix else []

    def cosines(self, space: str, kind: str, vector: bytes, ids: Iterable[int]) -> dict[int, float]:
        """Of rows of the space, by their ids."""
        matrix = self._matrix(space, kind)
        return matrix.cosines(vector, ids) if matrix else {}

    def searched(self) -> int:
        """How many spaces are in RAM, to be searched."""
        return len(self._matrices)

    def _matrix(self, space: str, kind: str) -> Matrix | None:
        """None: no row of the space has a vector of this kind."""
        matrix = self._matrices.get((space, kind))
        if matrix is None:
            rows = self._all(
                "SELECT memory.id, vector FROM memory JOIN memory_vectors USING (id)"
                " WHERE memory.space = ? AND model = ? AND length(vector) > 0",
                space, kind,
            )  # fmt: skip
            if not rows:
                return None
            # Only a kernel with something to search loads what multiplies.
            from kernel.matrix import Matrix

            dimensions = len(rows[0]["vector"])
            matrix = Matrix(dimensions, ((row["id"], row["vector"]) for row in rows))
            self._make_room()
            self._matrices[space, kind] = matrix
        self._matrices.move_to_end((space, kind))
        return matrix

    def _make_room(self) -> None:
        while self._matrices and sum(one.room for one in self._matrices.values()) > _MOST:
            self._matrices.popitem(last=False)
