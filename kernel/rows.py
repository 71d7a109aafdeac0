"""Rows: reading and writing SQLite within the transaction at hand, and what its errors mean.

It knows nothing about which tables there are.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kernel.config import StoreFailed
from llmagentos.abi.errors import EIO, ENOSPC

_HINTS: Final = {
    sqlite3.SQLITE_BUSY: "another program has it open; end that, then start again",
    sqlite3.SQLITE_CORRUPT: "put a backup in its place, or move it away to start with a new state",
    sqlite3.SQLITE_NOTADB: "put a backup in its place, or move it away to start with a new state",
}
_OTHER: Final = "look at its disk, and at whose it is; what was committed is in it"


class Rows:
    """The base of what keeps rows in tables of its own. Nothing here commits: the store does, once
    for all that a turn has written. Raises ``StoreFailed``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreFailed(failure(error, None)) from error

    def _run_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        try:
            self._connection.executemany(statement, values)
        except sqlite3.Error as error:
            raise StoreFailed(failure(error, None)) from error

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows that a query finds, by column."""
        try:
            cursor = self._connection.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise StoreFailed(failure(error, None)) from error

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row that a query finds."""
        row: tuple[Any, ...] | None = self._run(query, *values).fetchone()
        return row


def failure(error: Exception, path: Path | None) -> ENOSPC | EIO:
    """What an error of SQLite means to whoever runs the system."""
    if isinstance(error, StoreFailed) and isinstance(error.error, ENOSPC | EIO):
        return error.error
    what = str(path) if path else "the state database"
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "disk is full" in str(error):
        return ENOSPC(
            f"the disk is full: {what} can't be written",
            hint="make room; the system goes on from its last committed step",
        )
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return EIO(f"{what} can't be used: {error}", hint=_HINTS.get(code, _OTHER))
