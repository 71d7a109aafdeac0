"""The disk: the real store, on an SQLite database in memory that outlives the kernel's process.

What was not committed when the process died is gone when the store is opened again. The disk can
be full, so that SQLite itself refuses to write in the middle of a turn, and it can fail as a turn
is committed. It knows nothing about what the rows mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernel.config import StoreFailed
from kernel.effects import Row
from kernel.store import Store
from llmagentos.abi.errors import EIO
from tests.kernel.blank import blank, opened

_PLENTY = 1_000_000


class Disk:
    """``failing``: the next commit fails. ``filling``: there is hardly any room."""

    def __init__(self) -> None:
        self.connection = blank()
        self.failing = self.filling = False
        self.store: Store

    @property
    def risky(self) -> bool:
        """Whether the next turn may not be written."""
        return self.failing or self.filling

    def open(self) -> None:
        """As the kernel does when it starts, whatever became of the one before."""
        self.connection.rollback()
        self.store = opened(self.connection)
        self.store.memory.slice = 2  # a search goes over several turns

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
