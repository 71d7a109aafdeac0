"""A disk for one program: the real store over SQLite in memory, made from an image.

The migrations take longer than a whole program, and lead to the same tables every time: so they run
once, and each program gets a copy of what came out. What a turn commits is written when somebody
reads it, mostly never. It knows nothing about what is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from kernel.effects import Row
from kernel.file_table import FileTable
from kernel.mail_table import MailTable
from kernel.memory_table import MemoryTable
from kernel.records import Snapshot
from kernel.store import Store


class Disk(Store):
    def __init__(self) -> None:
        image, columns = _made()
        connection = sqlite3.connect(":memory:")
        connection.deserialize(image)
        self.memory = MemoryTable(connection)
        self.files = FileTable(connection)
        self.mail = MailTable(connection)
        self.durability = "normal"
        self._path = Path(":memory:")
        self._connection = connection
        self._columns = columns
        self._statements: dict[str, str] = {}
        self._late_rows: list[Row] = []
        self._late_events: list[dict[str, Any]] = []

    def commit(self, rows: Iterable[Row], events: Iterable[dict[str, Any]]) -> None:
        self._late_rows += rows
        self._late_events += events

    def load(self) -> Snapshot:
        self._settle()
        return super().load()

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        self._settle()
        return super()._rows(query, *values)

    def _settle(self) -> None:
        rows, events = self._late_rows, self._late_events
        if rows or events:
            self._late_rows, self._late_events = [], []
            super().commit(rows, events)


@lru_cache(maxsize=1)
def _made() -> tuple[bytes, dict[str, list[str]]]:
    """The tables of a new system, and their columns."""
    store = Store(Path(":memory:"))
    image = store._connection.serialize()
    store.close()
    return image, store._columns
