"""The file table: files and their versions, in SQLite. Each content is kept once, however many
versions have it.

It knows the rows, and nothing about who may see them.
"""

from __future__ import annotations

import sqlite3
from itertools import accumulate
from typing import Any, Final

from kernel.config import StoreFailed
from kernel.files import OWN_MOUNTS, Version
from kernel.rows import Rows, failure
from llmagentos.abi.errors import EIO

# In an own mount the owner follows from the path, and the column is empty: what a process owns in
# shared mounts is found by an index that has nothing else in it.
_OWNER: Final = f"coalesce(owner, CAST(substr(path, {len(OWN_MOUNTS) + 1}) AS INTEGER)) AS owner"
_VERSION: Final = f"path, version, hash, size, labels, {_OWNER}, time, deleted"

_AT_ONCE: Final = 4 * 1024 * 1024
"""Bytes of contents that are deleted in one go, which takes some 5 ms."""


class FileTable(Rows):
    def held(self) -> list[tuple[int, str, int]]:
        """Owner, resource and amount of what is kept."""
        sums = self._all(f"SELECT {_OWNER}, sum(size) AS size FROM files GROUP BY 1")
        return [(one["owner"], "storage_bytes", one["size"]) for one in sums]

    # -- versions ----------------------------------------------------------------------------

    def newest(self, path: str) -> Version | None:
        found = self.versions(path, 1)
        return found[0] if found else None

    def version(self, path: str, version: int) -> Version | None:
        found = self._versions("path = ? AND version = ?", path, version)
        return found[0] if found else None

    def versions(self, path: str, limit: int) -> list[Version]:
        return self._versions("path = ? ORDER BY version DESC LIMIT ?", path, limit)

    def up_to(self, path: str, version: int) -> list[Version]:
        return self._versions("path = ? AND version <= ?", path, version)

    def live(self, start: str, end: str, limit: int) -> list[Version]:
        where = "live = 1 AND path >= ? AND path < ? ORDER BY path LIMIT ?"
        return self._versions(where, start, end, limit)

    def _versions(self, where: str, *values: Any) -> list[Version]:
        rows = self._all(f"SELECT {_VERSION} FROM files WHERE {where}", *values)
        return [Version(**{**row, "deleted": bool(row["deleted"])}) for row in rows]

    def add(self, version: Version) -> None:
        self._run("UPDATE files SET live = 0 WHERE path = ? AND live = 1", version.path)
        owner = None if version.path.startswith(OWN_MOUNTS) else version.owner
        self._run(
            "INSERT INTO files (path, version, live, hash, size, labels, owner, time, deleted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            version.path, version.version, not version.deleted, version.hash, version.size,
            version.labels, owner, version.time, version.deleted,
        )  # fmt: skip

    def prune(self, versions: list[Version]) -> None:
        for one in versions:
            self._run("DELETE FROM files WHERE path = ? AND version = ?", one.path, one.version)
        for hash in {one.hash for one in versions}:
            self._run(
                "DELETE FROM contents WHERE hash = ?"
                " AND NOT EXISTS (SELECT 1 FROM files WHERE files.hash = contents.hash)",
                hash,
            )  # fmt: skip

    def bequeath(self, owner: int, heir: int) -> int:
        rows, size = self._sums("owner = ?", owner)
        if rows:
            self._run("UPDATE files SET owner = ? WHERE owner = ?", heir, owner)
        return size

    def _sums(self, where: str, *values: Any) -> tuple[int, int]:
        found = self._one(
            f"SELECT count(*), coalesce(sum(size), 0) FROM files WHERE {where}", *values
        )
        return (found[0], found[1]) if found else (0, 0)

    # -- contents ----------------------------------------------------------------------------

    def keep(self, hash: str, content: bytes) -> None:
        if self._one("SELECT 1 FROM contents WHERE hash = ?", hash) is None:
            self._run("INSERT INTO contents (hash, data) VALUES (?, ?)", hash, content)

    def content(self, hash: str, offset: int, length: int) -> bytes:
        found = self._one("SELECT rowid FROM contents WHERE hash = ?", hash)
        if found is None:
            raise EIO(f"the content {hash} is missing", hint="restore state.db from a backup")
        try:
            # SQL's substr reads all of it first, whatever part is wanted.
            with self._connection.blobopen("contents", "data", found[0], readonly=True) as blob:
                blob.seek(min(offset, len(blob)))
                return blob.read(length)
        except sqlite3.Error as error:
            raise StoreFailed(failure(error, None)) from error

    # -- what is put off ---------------------------------------------------------------------

    def drop(self, start: str, end: str) -> tuple[int, int]:
        rows, size = self._sums("path >= ? AND path < ?", start, end)
        if rows:
            self._run("INSERT INTO files_dropped (low, high) VALUES (?, ?)", start, end)
        return rows, size

    def tidy(self, limit: int) -> bool:
        """Delete some versions of what was dropped."""
        dropped = self._one("SELECT low, high FROM files_dropped LIMIT 1")
        if dropped is None:
            return False
        gone = self._versions("path >= ? AND path < ? LIMIT ?", *dropped, limit)
        sizes = accumulate(one.size for one in gone)
        self.prune(gone[: max(1, sum(size <= _AT_ONCE for size in sizes))])
        if not gone:
            self._run("DELETE FROM files_dropped WHERE low = ?", dropped[0])
        return True
