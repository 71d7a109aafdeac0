"""Is a state of every older schema taken up, with all that is in it?"""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from kernel.migrations import MIGRATIONS
from kernel.store import Store
from llmagentos.abi.manifest import Manifest
from tests.kernel.meaning import Embedder, lacking
from tests.kernel.rig import MODEL, Rig, agent

LATER = [one.name for one in MIGRATIONS.pending(Database(memory=True))][1:]


def first_schema(path: Path) -> None:
    """A database as the first version left it: a running agent, a collected one, a context."""
    db = Database(sqlite3.connect(path))
    MIGRATIONS.apply(db, stop_before=LATER[0])
    manifest = Manifest.model_validate(agent("old", limits={"tokens": 500})).model_dump_json()
    row: dict[str, Any] = {
        "ppid": 1, "kind": "agent", "state": "READY", "reason": None, "manifest": manifest,
        "session": "", "priority": 3, "labels": '["private"]',
        "rights": json.dumps([{"allow": ["proc:spawn"], "ask": [], "deny": ["llm:x@*"]}]),
        "places": '["edge"]', "payer": 1, "deadline": None, "terminate_by": None,
        "limits": '{"tokens":500}', "usage": '{"prompt_tokens":7,"turns":2}', "tokens_spent": 9,
        "turns_spent": 2, "context_tokens": 0, "checkpoints": '{"mine":1}', "attached": "",
        "stopped": 0, "hosted": 1, "model": MODEL, "driver": "edge", "started": 5.0, "ended": None,
        "exit": None, "reaped": 0, "head": 2,
    }  # fmt: skip
    ended = {"code": 0, "answer": "done", "started": 5.0, "ended": 6.0, "name": "past", "pid": 3}
    init = {
        **row, "pid": 1, "ppid": 0, "name": "init", "kind": "init", "manifest": None,
        "rights": "[]", "places": '["edge","node","cloud"]', "payer": None, "labels": "[]",
        "head": None, "checkpoints": "{}", "limits": "{}", "hosted": 0,
    }  # fmt: skip
    past = {**row, "pid": 3, "name": "past", "state": "ZOMBIE", "reaped": 1, "ended": 6.0,
            "exit": json.dumps(ended)}  # fmt: skip
    db.table("processes").insert_all([init, {**row, "pid": 2, "name": "old"}, past])
    message = {"pid": 2, "role": "user", "time": 5.0, "sources": "[]"}
    db.table("messages").insert_all([
        {**message, "id": 1, "parent": None, "content": "hello"},
        {**message, "id": 2, "parent": 1, "content": "again"},
    ])  # fmt: skip
    db.table("replays").insert(
        {"scope": "user:00", "id": 1, "name": "proc.spawn", "reply": b"\x80", "time": 5.0}
    )
    db.table("meta").insert_all([{"key": "boot", "value": 4}, {"key": "next_pid", "value": 4}])
    db.table("events").insert({"seq": 1, "time": 5.0, "type": "x", "pid": 2, "data": "{}"})
    db.conn.commit()
    db.conn.close()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    path = tmp_path / "state.db"
    first_schema(path)

    class Old(Rig):
        def __init__(self) -> None:
            super().__init__()
            self.store = Store(path)
            self.boot()

    return Old()


def test_is_all_of_the_first_schema_there(rig: Rig) -> None:
    info = rig.call("proc.info", pid=2)
    process = info["process"]
    assert (process["name"], process["priority"], process["labels"]) == ("old", 3, ["private"])
    assert (process["limits"]["tokens"], process["usage"]["turns"]) == (500, 2)
    assert info["spec"]["metadata"]["name"] == "old"
    assert [m["content"] for m in rig.call("ctx.read", pid=2)["messages"]] == ["hello", "again"]
    account = rig.machine.table.get(2).account("tokens")
    assert (account.spent, account.reserved) == (9, 0)
    assert rig.call("proc.info", pid=3)["process"]["exit"]["answer"] == "done"
    assert rig.machine.boot == 5
    assert rig.call("sys.events")["events"][0]["type"] == "x"


def test_may_an_agent_of_before_still_use_its_own_model_and_no_other(rig: Rig) -> None:
    (rules,) = rig.machine.table.get(2).rights
    assert rules.says(f"llm:{MODEL}@edge") == "allow"
    assert rules.says("llm:other@edge") == "deny"
    assert rules.says("proc:spawn") == "allow"


def test_does_a_second_boot_find_what_the_first_one_wrote(rig: Rig) -> None:
    before = rig.call("proc.info", pid=2)["process"]
    rig.crash()
    after = rig.call("proc.info", pid=2)["process"]
    assert after == before
    assert rig.machine.boot == 6


def test_is_a_migration_that_was_cut_off_made_again(tmp_path: Path) -> None:
    for name in LATER:
        path = tmp_path / f"{name}.db"
        first_schema(path)
        db = Database(sqlite3.connect(path))
        MIGRATIONS.apply(db, stop_before=name)
        db.conn.close()
        store = Store(path)
        assert len(store.load().processes) == 2, name
        assert store._rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        store.close()


def test_do_rows_that_were_put_before_there_were_vectors_get_them(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    db = Database(sqlite3.connect(path))
    MIGRATIONS.apply(db, stop_before="0010_vectors")
    row = {
        "id": 7, "space": "notes", "key": "pet", "labels": '["team"]', "owner": 1, "created": 5.0,
        "updated": 5.0, "expires": None, "bytes": 80, "value": '"a dog"',
    }  # fmt: skip
    db.table("memory").insert(row)
    db.conn.commit()
    db.conn.close()

    class Old(Rig):
        def __init__(self) -> None:
            super().__init__()
            self.store = Store(path)
            self.boot()

    rig = Old()
    driver = Embedder(rig, labels=["team"])
    driver.catches_up()
    assert [order.texts for order in driver.orders] == [["pet: a dog"]]
    assert lacking(rig, "notes") == 0
    rows = rig.store._connection.execute("SELECT id, labels, model FROM memory_vectors").fetchall()
    assert [tuple(one) for one in rows] == [(7, '["team"]', "vec/3")]
