"""The store: the kernel's state in SQLite.

One transaction for all that a turn of the loop has led to. It survives the death of any
process; with ``durability="full"`` a power cut as well. It knows the tables, and nothing
about what their rows mean to the machine.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

from sqlite_utils import Database

from kernel.config import StoreFailed
from kernel.crashpoints import reach
from kernel.effects import Delete, Put, Row
from kernel.file_table import FileTable
from kernel.mail_table import MailTable
from kernel.memory_table import MemoryTable
from kernel.migrations import MIGRATIONS
from kernel.records import Snapshot, manifest_from, past_process
from kernel.rows import failure
from llmagentos.abi.process import ProcessInfo

_WAL_PAGES: Final = 8000
"""Pages of 4 KB in the write-ahead log before they are carried over."""

_EVENT: Final = "INSERT INTO events (seq, time, type, pid, data) VALUES (?, ?, ?, ?, ?)"


class Store:
    def __init__(self, path: Path, durability: Literal["normal", "full"] = "normal") -> None:
        with ExitStack() as opened:
            try:
                connection = sqlite3.connect(path, timeout=2.0)
                opened.callback(connection.close)
                # Nobody else works on it while we live (there is a lock for that), so SQLite need
                # not ask the system for locks with every commit.
                connection.execute("PRAGMA locking_mode=EXCLUSIVE")
                connection.execute("PRAGMA journal_mode=WAL")
                flushed = "FULL" if durability == "full" else "NORMAL"
                connection.execute(f"PRAGMA synchronous={flushed}")
                # A checkpoint waits for the disk: rarely, and then with much to do.
                connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
                db = Database(connection, execute_plugins=False)
                with db.tracer(lambda *_: reach("during-migration")):
                    MIGRATIONS.apply(db)
                self.memory = MemoryTable(connection)
                self.files = FileTable(connection)
                self.mail = MailTable(connection)
            except (sqlite3.Error, OSError, StoreFailed) as error:
                raise failure(error, path) from None
            opened.pop_all()  # it stays open, unless something was in the way
        self.durability = durability
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
        """These rows, and all that was written to memory, files and mail since the last commit:
        all of it or nothing. Raises ``StoreFailed``; then nothing was written."""
        connection = self._connection
        reach("after-apply")
        try:
            for row in rows:
                if isinstance(row, Put):
                    columns = self._columns[row.table]
                    connection.execute(self._put(row.table), [row.row[name] for name in columns])
                else:
                    self._delete(row)
            connection.executemany(
                "INSERT INTO events (seq, time, type, pid, data) VALUES (?, ?, ?, ?, ?)",
                [(e["seq"], e["time"], e["type"], e["pid"], json.dumps(e["data"])) for e in events],
            )
            reach("before-commit")
            connection.commit()
        except sqlite3.Error as error:
            connection.rollback()
            raise StoreFailed(failure(error, self._path)) from error

    def _put(self, table: str) -> str:
        statement = self._statements.get(table)
        if statement is None:
            columns = self._columns[table]
            marks = ", ".join("?" * len(columns))
            names = ", ".join(f'"{name}"' for name in columns)
            statement = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"
            self._statements[table] = statement
        return statement

    def _delete(self, row: Delete) -> None:
        # A column that ends in "<" asks for all below the value.
        tests = " AND ".join(
            f"{name[:-1]} < ?" if name.endswith("<") else f"{name} = ?" for name in row.where
        )
        self._connection.execute(f"DELETE FROM {row.table} WHERE {tests}", list(row.where.values()))

    # -- reading -----------------------------------------------------------------------------

    def load(self) -> Snapshot:
        """The state as it was last committed. Raises ``EIO`` if it can't be read."""
        try:
            return self._load()
        except (sqlite3.Error, StoreFailed) as error:
            raise failure(error, self._path) from None

    def _load(self) -> Snapshot:
        meta = {row["key"]: row["value"] for row in self._rows("SELECT key, value FROM meta")}
        with self._connection:
            # What only pruned processes were made of.
            self._connection.execute(
                "DELETE FROM manifests WHERE hash NOT IN "
                "(SELECT manifest FROM processes WHERE manifest IS NOT NULL)"
            )
        last_audit = self._rows("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        bounds = self._rows("SELECT min(seq) AS oldest, max(seq) AS latest FROM events")[0]
        return Snapshot(
            boot=meta.get("boot", 0) + 1,
            next_pid=meta.get("next_pid", 1),
            processes=self._processes(),
            messages=self._messages(),
            manifests={
                row["hash"]: row["text"]
                for row in self._rows(
                    "SELECT hash, text FROM manifests WHERE hash IN "
                    "(SELECT manifest FROM processes WHERE reaped = 0)"
                )
            },
            replays=[
                (row["turn"], row["replies"])
                for row in self._rows("SELECT turn, replies FROM replays ORDER BY turn")
            ],
            last_message=self._rows("SELECT coalesce(max(id), 0) AS n FROM messages")[0]["n"],
            event_seq=bounds["latest"] or 0,
            event_oldest=bounds["oldest"] or 1,
            # What is missing at the end of the log must not be filled up unseen.
            audit_seq=max(meta.get("audit_seq", 0), last_audit[0]["seq"] if last_audit else 0),
            audit_oldest=self._rows("SELECT min(seq) AS oldest FROM audit")[0]["oldest"] or 1,
            audit_hash=last_audit[0]["hash"] if last_audit else "",
            drained=[key[8:] for key, on in meta.items() if key.startswith("drained:") and on],
            held=[*self.memory.held(), *self.files.held()],
            mail=self.mail.waiting(),
            topics=self.mail.topics(),
            next_approval=meta.get("next_approval", 1),
            approvals=self._rows("SELECT * FROM approvals ORDER BY id"),
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
                SELECT born FROM processes WHERE reaped = 0 AND born IS NOT NULL
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

    def pages(self, ids: list[int]) -> list[dict[str, Any]]:
        return self._rows(
            "SELECT messages.* FROM json_each(?) AS wanted JOIN messages"
            " ON messages.id = wanted.value ORDER BY messages.id",
            json.dumps(ids),
        )

    def summaries(self, ids: list[int]) -> list[tuple[int, list[int]]]:
        rows = self._rows(
            "SELECT messages.id, sources FROM json_each(?) AS wanted JOIN messages"
            " ON messages.id = wanted.value WHERE sources != '[]'",
            json.dumps(ids),
        )
        return [(row["id"], json.loads(row["sources"])) for row in rows]

    def process(self, pid: int) -> ProcessInfo | None:
        rows = self._rows("SELECT * FROM processes WHERE pid = ? AND reaped = 1", pid)
        return self._past(rows[0]) if rows else None

    def processes(self, count: int) -> list[ProcessInfo]:
        rows = self._rows(
            "SELECT * FROM processes WHERE reaped = 1 ORDER BY ended DESC LIMIT ?", count
        )
        return [self._past(row) for row in rows]

    def _past(self, row: dict[str, Any]) -> ProcessInfo:
        found = self._rows("SELECT hash, text FROM manifests WHERE hash = ?", row["manifest"])
        manifests = {one["hash"]: manifest_from(one["text"]) for one in found}
        return past_process(row, manifests).info()

    def replies(self, turn: int) -> bytes | None:
        rows = self._rows("SELECT replies FROM replays WHERE turn = ?", turn)
        return rows[0]["replies"] if rows else None

    def retire(self, kept: int) -> list[int]:
        """One of whom there is a fork, or who pays for others, stays as long as those do."""
        rows = self._rows("SELECT payer, origin FROM processes")
        needed = {row["payer"] for row in rows} | {row["origin"] for row in rows}
        past = self._rows("SELECT pid FROM processes WHERE reaped = 1 ORDER BY ended DESC")
        pids = [row["pid"] for row in past[kept:] if row["pid"] not in needed]
        for table in ("messages", "processes"):
            self._connection.executemany(
                f"DELETE FROM {table} WHERE pid = ?", [(pid,) for pid in pids]
            )
        return pids

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
