"""The mail table: mailboxes and topics, in SQLite.

A row's size stands before its body, so that it is found without reading that. It knows the rows,
and nothing about who may see them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kernel.rows import Rows
from llmagentos.abi.calls.ipc import Mail, Publication

if TYPE_CHECKING:
    from kernel.mail import Letter

_BESIDE: Final = 100
"""Bytes of a row in a reply, beside its texts."""


class MailTable(Rows):
    # -- mailboxes ---------------------------------------------------------------------------

    def waiting(self) -> list[dict[str, Any]]:
        """How much mail waits in each mailbox that is not empty."""
        return self._all("SELECT pid, count(*) AS length FROM mail GROUP BY pid")

    def put(self, pid: int, letter: Letter, time: float) -> int:
        labels = json.dumps(letter.labels)
        cursor = self._run(
            "INSERT INTO mail (pid, sender, time, bytes, labels, body) VALUES (?, ?, ?, ?, ?, ?)",
            pid, letter.sender, time, _bytes(letter.body, labels), labels, letter.body,
        )  # fmt: skip
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def take(self, pid: int, limit: int, enough: int) -> list[Mail]:
        sizes = self._all(
            "SELECT id, bytes FROM mail WHERE pid = ? ORDER BY id LIMIT ?", pid, limit
        )
        last = _last(sizes, enough)["id"]
        rows = self._all("SELECT * FROM mail WHERE pid = ? AND id <= ? ORDER BY id", pid, last)
        self._run("DELETE FROM mail WHERE pid = ? AND id <= ?", pid, last)
        return [Mail(id=row["id"], **_contents(row)) for row in rows]

    def drop(self, pid: int) -> None:
        self._run("DELETE FROM mail WHERE pid = ?", pid)

    # -- topics ------------------------------------------------------------------------------

    def topics(self) -> list[dict[str, Any]]:
        """Each topic, with its oldest and its newest seq."""
        return self._all(
            "SELECT topic, min(seq) AS oldest, max(seq) AS latest FROM publications GROUP BY topic"
        )

    def publish(
        self, topic: str, seq: int, sender: int, body: str, labels: Sequence[str], time: float
    ) -> None:
        written = json.dumps(labels)
        self._run(
            "INSERT INTO publications (topic, seq, sender, time, bytes, labels, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            topic, seq, sender, time, _bytes(body, written), written, body,
        )  # fmt: skip

    def published(self, topic: str, since: int, limit: int, enough: int) -> list[Publication]:
        sizes = self._all(
            "SELECT seq, bytes FROM publications WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?",
            topic, since, limit,
        )  # fmt: skip
        rows = self._all(
            "SELECT * FROM publications WHERE topic = ? AND seq > ? AND seq <= ? ORDER BY seq",
            topic, since, _last(sizes, enough)["seq"],
        )  # fmt: skip
        return [Publication(seq=row["seq"], **_contents(row)) for row in rows]

    def forget(self, topic: str, oldest: int) -> None:
        self._run("DELETE FROM publications WHERE topic = ? AND seq < ?", topic, oldest)


def _bytes(body: str, labels: str) -> int:
    """What a row takes in a reply."""
    return len(body.encode()) + len(labels) + _BESIDE


def _last(sizes: list[dict[str, Any]], enough: int) -> dict[str, Any]:
    """Of rows that there are, the one with which there are enough bytes, or the last one."""
    total = 0
    for row in sizes:
        total += row["bytes"]
        if total >= enough:
            break
    return row


def _contents(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "sender": row["sender"],
        "body": json.loads(row["body"]),
        "labels": json.loads(row["labels"]),
        "time": row["time"],
    }
