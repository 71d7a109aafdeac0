"""Migrations: how the state database came to be what it is, step by numbered step.

A step that has been released is never changed; a new one is added. It knows nothing about
what the rows mean.
"""

from __future__ import annotations

import hashlib
import json

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("kernel")


@MIGRATIONS(name="0001_first")
def _first(db: Database) -> None:
    db.table("meta").create({"key": str, "value": int}, pk="key", strict=True)
    db.table("processes").create(
        {
            "pid": int,
            "ppid": int,
            "name": str,
            "kind": str,
            "state": str,
            "reason": str,
            "manifest": str,
            "session": str,
            "priority": int,
            "labels": str,
            "rights": str,
            "places": str,
            "payer": int,
            "deadline": float,
            "terminate_by": float,
            "limits": str,
            "usage": str,
            "tokens_spent": int,
            "turns_spent": int,
            "head": int,
            "context_tokens": int,
            "checkpoints": str,
            "attached": str,
            "stopped": int,
            "hosted": int,
            "model": str,
            "driver": str,
            "started": float,
            "ended": float,
            "exit": str,
            "reaped": int,
        },
        pk="pid",
        strict=True,
    )
    db.table("processes").create_index(["reaped", "ended"])
    db.table("messages").create(
        {
            "id": int,
            "parent": int,
            "pid": int,
            "role": str,
            "content": str,
            "time": float,
            "sources": str,
        },
        pk="id",
        strict=True,
    )
    db.table("messages").create_index(["pid"])
    db.table("replays").create(
        {"scope": str, "id": int, "name": str, "reply": bytes, "time": float},
        pk=("scope", "id"),
        strict=True,
    )
    db.table("events").create(
        {"seq": int, "time": float, "type": str, "pid": int, "data": str}, pk="seq", strict=True
    )
    db.table("events").create_index(["pid", "seq"])
    db.table("audit").create(
        {
            "seq": int,
            "time": float,
            "pid": int,
            "action": str,
            "verdict": str,
            "detail": str,
            "previous": str,
            "hash": str,
        },
        pk="seq",
        strict=True,
    )


@MIGRATIONS(name="0002_accounts")
def _accounts(db: Database) -> None:
    """Every resource has its account, a manifest is kept once for all processes that run it, and
    rights say what manifests imply."""
    db.table("manifests").create({"hash": str, "text": str}, pk="hash", strict=True)
    for name, kind in (
        ("spent", "TEXT"), ("minute", "TEXT"), ("tree", "INTEGER"), ("weight", "REAL"),
        ("due", "REAL"), ("born", "INTEGER"), ("origin", "INTEGER"), ("restarts", "TEXT"),
        ("failures", "TEXT"),
    ):  # fmt: skip
        db.execute(f"ALTER TABLE processes ADD COLUMN {name} {kind}")
    for row in list(db.table("processes").rows):
        manifest = row["manifest"]
        spec = json.loads(manifest)["spec"] if manifest else {}
        models = spec.get("model", [])
        implied = [f"llm:{m}@*" for m in ([models] if isinstance(models, str) else models)]
        rights = [
            {**rules, "allow": [*rules["allow"], *implied], "approved": []}
            for rules in json.loads(row["rights"])
        ]
        digest = hashlib.sha256(manifest.encode()).hexdigest() if manifest else None
        if digest:
            db.table("manifests").insert({"hash": digest, "text": manifest}, ignore=True)
        spent = {"tokens": row["tokens_spent"], "turns": row["turns_spent"]}
        changes = {
            "manifest": digest, "rights": json.dumps(rights), "spent": json.dumps(spent),
            "tree": 1, "weight": 1.0, "restarts": "[]", "failures": "[]",
        }  # fmt: skip
        db.table("processes").update(row["pid"], changes)
    for name in ("tokens_spent", "turns_spent"):
        db.execute(f"ALTER TABLE processes DROP COLUMN {name}")
    # Only of the few rows that are looked for, so that the others' changes cost nothing there.
    db.execute("DROP INDEX IF EXISTS idx_processes_reaped_ended")
    db.execute("CREATE INDEX processes_past ON processes (ended) WHERE reaped = 1")
    db.execute("CREATE INDEX processes_origin ON processes (origin) WHERE origin IS NOT NULL")


@MIGRATIONS(name="0003_replays_by_turn")
def _replays_by_turn(db: Database) -> None:
    """The replies of a turn in one row. Those of before go: they were for repeats of calls that
    were in flight when the kernel was stopped."""
    db.table("replays").drop()
    db.table("replays").create({"turn": int, "replies": bytes}, pk="turn", strict=True)


@MIGRATIONS(name="0004_memory")
def _memory(db: Database) -> None:
    """Rows of memory and an index of their words; the ids in it that are no longer rows, and the
    spaces whose rows are still to be deleted."""
    db.table("memory").create(
        {
            "id": int,
            "space": str,
            "key": str,
            "labels": str,
            "owner": int,
            "created": float,
            "updated": float,
            "expires": float,
            "bytes": int,
            "value": str,
        },
        pk="id",
        strict=True,
    )
    db.table("memory").create_index(["space", "key"], unique=True)
    db.execute("CREATE INDEX memory_expires ON memory (expires) WHERE expires IS NOT NULL")
    db.execute("CREATE INDEX memory_owner ON memory (owner) WHERE owner IS NOT NULL")
    db.execute("CREATE VIRTUAL TABLE memory_words USING fts5 (words, room, tokenize='porter')")
    # In which space it is says nothing about how well a row fits.
    db.execute("INSERT INTO memory_words (memory_words, rank) VALUES ('rank', 'bm25(1.0, 0.0)')")
    db.table("memory_stale").create({"id": int, "bytes": int}, pk="id", strict=True)
    db.table("memory_dropped").create({"space": str}, pk="space", strict=True)


@MIGRATIONS(name="0005_files")
def _files(db: Database) -> None:
    """Every version of every file; ``live`` marks the newest, unless it is a deletion. Each content
    once, and between which paths there is something still to be deleted."""
    db.table("files").create(
        {
            "path": str,
            "version": int,
            "live": int,
            "hash": str,
            "size": int,
            "labels": str,
            "owner": int,
            "time": float,
            "deleted": int,
        },
        pk=("path", "version"),
        strict=True,
    )
    db.table("files").create_index(["hash"])
    db.execute("CREATE UNIQUE INDEX files_live ON files (path) WHERE live = 1")
    db.execute("CREATE INDEX files_owner ON files (owner) WHERE owner IS NOT NULL")
    db.table("contents").create({"hash": str, "data": bytes}, pk="hash", strict=True)
    db.table("files_dropped").create({"low": str, "high": str}, pk="low", strict=True)


@MIGRATIONS(name="0006_mail")
def _mail(db: Database) -> None:
    # AUTOINCREMENT: no letter ever has the id of one that was taken out.
    db.execute(
        """
        CREATE TABLE mail (
            id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER, sender INTEGER, time REAL,
            bytes INTEGER, labels TEXT, body TEXT
        ) STRICT
        """
    )
    db.table("mail").create_index(["pid", "id"])
    db.table("publications").create(
        {
            "topic": str,
            "seq": int,
            "sender": int,
            "time": float,
            "bytes": int,
            "labels": str,
            "body": str,
        },
        pk=("topic", "seq"),
        strict=True,
    )


@MIGRATIONS(name="0007_approvals")
def _approvals(db: Database) -> None:
    db.table("approvals").create(
        {
            "id": int,
            "pid": int,
            "name": str,
            "call": str,
            "capability": str,
            "arguments": str,
            "buffers": str,
            "labels": str,
            "hash": str,
            "reason": str,
            "status": str,
            "created": float,
            "expires": float,
            "decided": float,
            "by": int,
            "always": int,
            "note": str,
            "heard": int,
        },
        pk="id",
        strict=True,
    )
    db.table("approvals").create_index(["status"])
    db.table("approvals").create_index(["pid"])


@MIGRATIONS(name="0008_hosts")
def _hosts(db: Database) -> None:
    db.table("processes").add_column("host", str)


@MIGRATIONS(name="0009_tools")
def _tools(db: Database) -> None:
    db.table("messages").add_column("tools", str)


@MIGRATIONS(name="0010_vectors")
def _vectors(db: Database) -> None:
    """What rows of memory mean, as bytes, and by which model. Without: it is still to be made, for
    a row of these labels. Empty: there is none to be had."""
    db.execute(
        """
        CREATE TABLE memory_vectors (
            id INTEGER PRIMARY KEY, labels TEXT NOT NULL, model TEXT, vector BLOB
        ) STRICT
        """
    )
    db.execute("CREATE INDEX memory_lacking ON memory_vectors (labels, id) WHERE vector IS NULL")
    db.execute("CREATE INDEX memory_models ON memory_vectors (model) WHERE model IS NOT NULL")
