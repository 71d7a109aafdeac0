"""Migrations: how the state database came to be what it is, step by numbered step.

A step that has been released is never changed; a new one is added. It knows nothing about
what the rows mean.
"""

from __future__ import annotations

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
