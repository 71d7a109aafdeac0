"""A kernel that dies in the middle of a migration: the next one must find an old state or a new
one, and nothing between them.

It knows the first schema, of which a database is made, and no other.
"""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from kernel.migrations import MIGRATIONS
from tests.campaigns import books
from tests.campaigns.belief import same
from tests.campaigns.lanes import agent
from tests.campaigns.system import Broken, System

POINT = "during-migration"
_NAMES = [migration.name for migration in MIGRATIONS.pending(Database(memory=True))]

_PROCESS: dict[str, Any] = {
    "ppid": 0, "name": "init", "kind": "init", "state": "READY", "session": "", "priority": 0,
    "labels": "[]", "rights": "[]", "places": '["edge"]', "limits": "{}", "usage": "{}",
    "tokens_spent": 0, "turns_spent": 0, "context_tokens": 0, "checkpoints": "{}", "attached": "",
    "stopped": 0, "hosted": 0, "started": 1.0, "reaped": 0,
}  # fmt: skip


_ROWS = [(1, "init"), (2, "old")]


def kill(seed: int) -> str:
    """One death in a migration from a random old schema; where it came."""
    chance = random.Random(seed)
    # Mostly from where there is most to do with what is there.
    version = 1 if chance.random() < 0.5 else chance.randrange(len(_NAMES))
    system = System()
    try:
        at = _die(system, version, chance)
        _check(system, _ROWS if version else [])
    except BaseException:
        system.close()
        raise
    system.remove()
    return f"{at} from {_NAMES[version - 1] if version else 'nothing'}"


def _check(system: System, rows: list[tuple[int, str]]) -> None:
    """What it left is the old state or the new one; and another kernel brings it to an end."""
    books.check(system.home.database, {})
    with books.copied(system.home.database) as db:
        same("processes after the kill", rows, _rows(db))
    if not system.start_kernel():
        raise Broken(f"it does not start again: {system.logged()[-2000:]}")
    system.kill_kernel()
    with books.copied(system.home.database) as db:
        same("schema", _fresh_schema(), _schema(db))
        same("processes", rows or _ROWS[:1], _rows(db))


def _die(system: System, version: int, chance: random.Random) -> str:
    """Start a kernel on an old database until one dies in the migration; at which passing."""
    most = chance.choice([50, 190 - 20 * version])  # in its first step, or anywhere
    while True:
        system.home.database.unlink(missing_ok=True)
        _old(system.home.database, version)
        most = chance.randint(1, most)
        at = f"{POINT}:{most}"
        if not system.start_kernel(at):
            return at
        system.kill_kernel()


def _old(database: Path, version: int) -> None:
    """A database of an old schema, with two processes in it; none before there was a schema."""
    database.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        db = Database(connection, execute_plugins=False)
        if not version:
            return
        MIGRATIONS.apply(db, stop_before=_NAMES[1] if len(_NAMES) > 1 else None)
        manifest = json.dumps(agent("old"))
        rights = '[{"allow": ["proc:spawn"], "ask": [], "deny": []}]'
        more = {"name": "old", "kind": "agent", "state": "NEW", "manifest": manifest,
                "rights": rights, "ppid": 1, "payer": 1}  # fmt: skip
        db.table("processes").insert({"pid": 1, **_PROCESS})
        db.table("processes").insert({"pid": 2, **_PROCESS, **more})
        MIGRATIONS.apply(db, stop_before=_NAMES[version] if version < len(_NAMES) else None)


def _rows(db: sqlite3.Connection) -> list[tuple[int, str]]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'processes'").fetchone():
        return []
    return [tuple(row) for row in db.execute("SELECT pid, name FROM processes ORDER BY pid")]


def _schema(db: sqlite3.Connection) -> list[tuple[str, str]]:
    found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql NOTNULL ORDER BY name")
    return [(row[0], row[1]) for row in found if not row[0].startswith("idx__sqlite_migrations")]


@cache
def _fresh_schema() -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        MIGRATIONS.apply(Database(connection, execute_plugins=False))
        connection.row_factory = sqlite3.Row
        return _schema(connection)
