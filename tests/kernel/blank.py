"""A store in memory that is as new, without the migrations that every new one begins with: they
take longer than most tests do, and have tests of their own."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from unittest.mock import patch

from kernel.store import Store

MEMORY = Path(":memory:")


def blank() -> sqlite3.Connection:
    """A database in which all migrations have run."""
    connection = sqlite3.connect(MEMORY)
    connection.deserialize(_migrated())
    return connection


def opened(connection: sqlite3.Connection) -> Store:
    """The store on it, as when the kernel starts."""
    with patch("sqlite3.connect", return_value=connection):
        return Store(MEMORY)


@cache
def _migrated() -> bytes:
    connection = sqlite3.connect(MEMORY)
    opened(connection)
    return connection.serialize()
