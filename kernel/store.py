"""The store: the kernel's state in SQLite.

One transaction for all that a turn of the loop has led to. It survives the death of any
process; with ``durability="full"`` a power cut as well. It knows the tables, and nothing
about what their rows mean to the machine.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgpack
from sqlite_utils import Database

from kernel.effects import Delete, Put, Row
from kernel.migrations import MIGRATIONS
from kernel.records import Snapshot, past_process
from llmagentos.abi.errors import EIO, ENOSPC
from llmagentos.abi.process import ProcessInfo

_REPLAY_KEPT = 86400.0
"""Seconds that replies to shells, which have no process, outlive a boot."""


class Store:
    def __init__(self, path: Path, durability: Literal["normal", "full"] = "normal") -> None:
        try:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
            connection.execute("PRAGMA busy_timeout=2000")
            db = Database(connection, execute_plugins=False)
            MIGRATIONS.apply(db)
        except (sqlite3.Error, OSError) as error:
            raise _failure(error, path) from None
        self._path = path
        self._connection = connection
        self._columns = {
            table.name: [column.name for column in table.columns] for table in db.tables
        }
        self._statements: dict[str, str] = {}

    def close(self) -> None:
        self._connection.close()

    # -- writing -----------------------------------------------------------------------------

    def commit(self, rows: Iterable[Row], events: Iterable[dict[str, Any]]) -> None:
        """All of it or nothing. Raises ``ENOSPC`` or ``EIO``; then nothing was written."""
        connection = self._connection
        try:
            for row in rows:
                if isinstance(row, Put):
                    connection.execute(self._put(row.table), self._values(row))
                else:
                    self._delete(row)
            connection.executemany(
                "INSERT INTO events (seq, time, type, pid, data) VALUES (?, ?, ?, ?, ?)",
                [(e["seq"], e["time"], e["type"], e["pid"], json.dumps(e["data"])) for e in events],
            )
            connection.commit()
        except sqlite3.Error as error:
            connection.rollback()
            raise _failure(error, self._path) from error

    def _put(self, table: str) -> str:
        statement = self._statements.get(table)
        if statement is None:
            columns = self._columns[table]
            marks = ", ".join("?" * len(columns))
            names = ", ".join(columns)
            statement = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"
            self._statements[table] = statement
        return statement

    def _values(self, row: Put) -> list[Any]:
        if row.table == "replays":
            row.row["reply"] = msgpack.packb(row.row["reply"])
        return [row.row[column] for column in self._columns[row.table]]

    def _delete(self, row: Delete) -> None:
        # A column that ends in "<" asks for all below the value.
        tests = " AND ".join(
            f"{name[:-1]} < ?" if name.endswith("<") else f"{name} = ?" for name in row.where
        )
        self._connection.execute(f"DELETE FROM {row.table} WHERE {tests}", list(row.where.values()))

    # -- reading -----------------------------------------------------------------------------

    def load(self, now: float) -> Snapshot:
        """The state as it was last committed. Raises ``EIO`` if it can't be read."""
        try:
            return self._load(now)
        except sqlite3.Error as error:
            raise _failure(error, self._path) from None

    def _load(self, now: float) -> Snapshot:
        meta = {row["key"]: row["value"] for row in self._rows("SELECT key, value FROM meta")}
        with self._connection:
            self._connection.execute(
                "DELETE FROM replays WHERE scope LIKE 'user:%' AND time < ?", [now - _REPLAY_KEPT]
            )
        last_audit = self._rows("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        bounds = self._rows("SELECT min(seq) AS oldest, max(seq) AS latest FROM events")[0]
        return Snapshot(
            boot=meta.get("boot", 0) + 1,
            next_pid=meta.get("next_pid", 1),
            processes=self._processes(),
            messages=self._messages(),
            replays=[
                {**row, "reply": msgpack.unpackb(row["reply"])}
                for row in self._rows(
                    "SELECT scope, id, name, reply FROM replays ORDER BY time, id"
                )
            ],
            last_message=self._rows("SELECT coalesce(max(id), 0) AS n FROM messages")[0]["n"],
            event_seq=bounds["latest"] or 0,
            event_oldest=bounds["oldest"] or 1,
            # What is missing at the end of the log must not be filled up unseen.
            audit_seq=max(meta.get("audit_seq", 0), last_audit[0]["seq"] if last_audit else 0),
            audit_hash=last_audit[0]["hash"] if last_audit else "",
            drained=[key[8:] for key, on in meta.items() if key.startswith("drained:") and on],
        )

    def _processes(self) -> list[dict[str, Any]]:
        """Those that were not collected, and those on whose budgets they draw."""
        return self._rows(
            """
            WITH RECURSIVE kept(pid) AS (
                SELECT pid FROM processes WHERE reaped = 0
                UNION
                SELECT payer FROM processes JOIN kept USING (pid) WHERE payer IS NOT NULL
            )
            SELECT processes.* FROM processes JOIN kept USING (pid)
            """
        )

    def _messages(self) -> list[dict[str, Any]]:
        """Those that a living process or a zombie can reach."""
        return self._rows(
            """
            WITH RECURSIVE reached(id) AS (
                SELECT head FROM processes WHERE reaped = 0 AND head IS NOT NULL
                UNION
                SELECT mark.value FROM processes, json_each(processes.checkpoints) AS mark
                    WHERE reaped = 0 AND mark.value > 0
                UNION
                SELECT messages.parent FROM messages JOIN reached USING (id)
                    WHERE messages.parent IS NOT NULL
            )
            SELECT messages.* FROM messages JOIN reached USING (id)
            """
        )

    def messages(self, pid: int) -> list[dict[str, Any]]:
        return self._rows(
            """
            WITH RECURSIVE reached(id) AS (
                SELECT head FROM processes WHERE pid = ? AND head IS NOT NULL
                UNION
                SELECT messages.parent FROM messages JOIN reached USING (id)
                    WHERE messages.parent IS NOT NULL
            )
            SELECT messages.* FROM messages JOIN reached USING (id) ORDER BY id
            """,
            pid,
        )

    def process(self, pid: int) -> ProcessInfo | None:
        rows = self._rows("SELECT * FROM processes WHERE pid = ? AND reaped = 1", pid)
        return past_process(rows[0]).info() if rows else None

    def processes(self, count: int) -> list[ProcessInfo]:
        rows = self._rows(
            "SELECT * FROM processes WHERE reaped = 1 ORDER BY ended DESC LIMIT ?", count
        )
        return [past_process(row).info() for row in rows]

    def events(self, since: int, limit: int, pid: int | None) -> list[dict[str, Any]]:
        where = "seq > ?" if pid is None else "seq > ? AND pid = ?"
        values = [since] if pid is None else [since, pid]
        rows = self._rows(
            f"SELECT * FROM events WHERE {where} ORDER BY seq LIMIT ?", *values, limit
        )
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def audit(self, since: int, limit: int) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", since, limit)

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _failure(error: Exception, path: Path) -> ENOSPC | EIO:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "disk is full" in str(error):
        return ENOSPC(
            f"the disk is full: {path} can't be written",
            hint="make room; the system goes on from its last committed step",
        )
    return EIO(f"{path} can't be used: {error}", hint="move it away to start with a new state")
