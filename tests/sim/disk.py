"""The disk: the real store, on an SQLite database in memory that outlives the kernel's process.

What was not committed when the process died is gone when the store is opened again. The disk can
be full, so that SQLite itself refuses to write in the middle of a turn, and it can fail as a turn
is committed. It knows nothing about what the rows mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from kernel.config import StoreFailed
from kernel.effects import Row
from kernel.store import Store
from llmagentos.abi.errors import EIO

_MEMORY = Path(":memory:")
_PLENTY = 1_000_000


@lru_cache(maxsize=1)
def _empty() -> bytes:
    """A new database, migrated once for all worlds."""
    with patch("sqlite3.connect", return_value=sqlite3.connect(_MEMORY)) as connect:
        Store(_MEMORY)
        found: bytes = connect.return_value.serialize()
    return found


class Disk:
    """``failing``: the next commit fails. ``filling``: there is hardly any room."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(_MEMORY)
        self.connection.deserialize(_empty())
        self.failing = self.filling = False
        self.store: Store

    @property
    def risky(self) -> bool:
        """Whether the next turn may not be written."""
        return self.failing or self.filling

    def open(self) -> None:
        """As the kernel does when it starts, whatever became of the one before."""
        self.connection.rollback()
        with patch("sqlite3.connect", return_value=self.connection):
            self.store = Store(_MEMORY)

    def commit(self, rows: Iterable[Row], events: Iterable[dict[str, Any]]) -> None:
        if self.failing:
            self.failing = False
            self.connection.rollback()
            raise StoreFailed(EIO("the simulated disk failed"))
        self.store.commit(rows, events)

    def fill(self, pages: int) -> None:
        """Only so many more pages fit."""
        self.filling = True
        used = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.connection.execute(f"PRAGMA max_page_count={used + pages}").fetchone()

    def make_room(self) -> None:
        self.filling = False
        self.connection.execute(f"PRAGMA max_page_count={_PLENTY}").fetchone()

    def heal(self) -> None:
        self.failing = False
        self.make_room()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()

    def close(self) -> None:
        self.connection.close()
