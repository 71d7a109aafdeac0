"""The witness: sees every turn of the kernel, before anybody hears of it, and knows what must hold.

It hands what it sees to those who each watch over one kind of promise, and watches itself over what
leaves the kernel: labelled words go to nobody without their label, and events have no gap. It knows
nothing about why anybody does anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kernel.effects import ClientGone, ClientHere, FromClient, Input, Put
from kernel.machine import Machine
from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.driver import Start
from llmagentos.abi.process import INIT
from llmagentos.abi.wire import Message
from tests.sim import queues
from tests.sim.books import Books
from tests.sim.callers import Sent
from tests.sim.consents import Consents, Given, declassified, revoked
from tests.sim.durable import differences, durable
from tests.sim.facts import Facts
from tests.sim.levels import NO, level
from tests.sim.lives import Lives
from tests.sim.markers import labels_of
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn
    from tests.sim.world import World

_EVERY = 8
"""Turns between two looks at whole tables."""

_PATIENCE = 15.0
"""Seconds after which a process must have ended that is attached to a connection that did."""


class Witness:
    def __init__(self, world: World) -> None:
        self.world = world
        self.lives, self.books = Lives(), Books()
        self.facts, self.consents = Facts(), Consents()
        self.events: list[dict[str, Any]] = []
        self._given = Given()
        self._gone: set[bytes] = set()
        """Connections that have ended, in the turn at hand."""
        self._revoked: dict[int, dict[int, list[str]]] = {}
        self._lasting: dict[str, Any] | None = None
        self._rows = {"memory": 0, "mail": 0, "publications": 0, "files": 0}

    @property
    def _machine(self) -> Machine:
        return self.world.server.machine

    # -- before a turn is committed ----------------------------------------------------------

    def begins(self, risky: bool) -> None:
        """A turn begins. ``risky``: it may be lost, and then all must be as it is now."""
        self._given = Given()
        self._revoked.clear()
        self._gone.clear()
        self._lasting = durable(self._machine) if risky else None

    def applies(self, one: Input) -> None:
        if isinstance(one, ClientGone):
            self._gone.add(one.peer)
        elif isinstance(one, FromClient | ClientHere):
            self._gone.discard(one.peer)
        if not isinstance(one, FromClient):
            return
        for label in declassified(one):
            self.world.markers.declassify(label)
        sent = self.world.calls.get(one.message.id)
        if sent is not None and sent.message is one.message:
            process = self._machine.table.find(sent.pid)
            self.consents.applies(sent, self._machine, self._given)
            self._revoked[sent.id] = revoked(sent, self._machine)
            stopped = process is not None and process.stopped
            self.facts.applied(sent, stopped=stopped)

    # -- after -------------------------------------------------------------------------------

    def committed(self, turn: Turn, *, dies: bool) -> None:
        for _, message, frames in turn.replies:
            sent = self.world.calls.get(message.id)
            if sent is not None:
                self._leaves(sent, message, frames)
        self.consents.turned(self._machine)
        self._commands(turn)
        self._events(turn)
        self._check(turn)
        self._lasting = durable(self._machine) if dies else None

    def booted(self, turn: Turn) -> None:
        self.books.booted()
        self.lives.booted()
        if self._lasting is not None:
            changed = differences(self._lasting, durable(self._machine), turn.now)
            must(not changed, "a boot changes {}", changed[:3])
        self._given = Given()
        self._gone.clear()
        self._events(turn)
        self._check(turn)
        self._look_at_all()

    def _leaves(self, sent: Sent, message: Message, frames: list[bytes]) -> None:
        """A reply, or a part of one."""
        process = self._machine.table.find(sent.pid)
        if sent.pid != INIT and process is not None:
            words = {word for frame in frames for word in self.world.markers.found(frame)}
            if words:
                lacks = labels_of(words) - set(process.labels)
                must(not lacks, "process {} is told {} by {}", sent.pid, words, sent.name)
                self.world.markers.hears(sent.pid, words)
        if message.kind == "reply" and self.facts.reply(sent, message) and sent.ok:
            self.consents.answered(sent, message.body["result"])
            for pid, globs in self._revoked.get(sent.id, {}).items():
                self._given.denied[pid] += globs

    def _commands(self, turn: Turn) -> None:
        for peer, kind, body, packed in turn.commands:
            driver = self._machine.registry.of(peer)
            if kind not in ("start", "call", "embed") or driver is None:
                continue
            words = self.world.markers.found(packed)
            lacks = labels_of(words) - set(driver.card.labels)
            must(not lacks, "driver {} is given {}", driver.name, words)
            leaves = any(word[0] == "p" for word in words) and driver.card.zone != "device"
            must(not leaves, "{} leave the device", words)
            must(not driver.drained, "driver {} drains, and gets work", driver.name)
            if kind == "call":
                self.facts.ordered(body.job, body.arguments["text"], body.key)
            else:
                self._check_placed(driver, body)
            if isinstance(body, Start):
                self.facts.started(body)
                self.books.placed[body.burst] = driver.name

    def _check_placed(self, driver: Any, order: Any) -> None:
        """May this process have this model there?"""
        process = self._machine.table.get(order.pid)
        stopped = process.stopped and isinstance(order, Start)
        must(not stopped, "process {} is stopped, and its burst goes on", process.pid)
        kind = driver.card.kind
        must(kind in process.places, "process {} may not run on {}", process.pid, kind)
        capability = f"llm:{order.model}@{driver.name}"
        may = process.pid == INIT or level(process.rights, capability) != NO
        must(may, "process {} may not {}", process.pid, capability)
        price = next(card.price for card in driver.card.models if card.name == order.model)
        if price is None:
            step = process
            while step is not None:
                limit = step.limits.money
                must(limit is None, "the money of {} is limited, {} has no price", step.pid, order)
                step = step.payer

    def _events(self, turn: Turn) -> None:
        """They have no gap, and tell nobody's words."""
        for event in turn.effects.events:
            latest = self.events[-1]["seq"] if self.events else 0
            must(event["seq"] == latest + 1, "event {} comes after {}", event, latest)
            must(event["type"] != "kernel.bug", "a bug: {}", event["data"])
            self.events.append(event)
        told = json.dumps(turn.effects.events)
        audits = [
            row.row for row in turn.effects.rows if isinstance(row, Put) and row.table == "audit"
        ]
        told += json.dumps(audits)
        words = self.world.markers.found(told.encode())
        must(not words, "events or audit tell {}", words)

    def _check(self, turn: Turn) -> None:
        machine, disk = self._machine, self.world.server.disk
        self._check_labels(turn)
        whole = turn.number % _EVERY == 0
        self.lives.check(machine, turn, self._given)
        self.books.check(machine, disk, turn, whole=whole)
        queues.check(machine, self._gone)
        self.facts.turned(machine, turn)
        if whole:
            self._look_at_all()

    def _check_labels(self, turn: Turn) -> None:
        """What was written carries the labels of its words."""
        for row in turn.effects.rows:
            if isinstance(row, Put) and row.table == "messages":
                process = self._machine.table.find(row.row["pid"])
                labels = process.labels if process is not None else ("private", "team")
                if row.row["pid"] != INIT:
                    self._labelled("the context of", row.row["pid"], row.row["content"], labels)
        disk, last = self.world.server.disk, self._rows
        for table, columns in _WRITTEN.items():
            found = disk.rows(
                f"SELECT {table}.rowid, {table}.labels, {columns} WHERE {table}.rowid > ?",
                last[table],
            )
            for rowid, labels, *texts in found:
                last[table] = max(last[table], rowid)
                text = " ".join(t.decode() if isinstance(t, bytes) else str(t) for t in texts)
                self._labelled("a row of", table, text, json.loads(labels))

    def _labelled(self, where: str, which: Any, text: str, labels: Any) -> None:
        words = self.world.markers.found(text.encode())
        lacks = labels_of(words) - set(labels)
        must(not lacks, "{} {} has {}, and lacks {}", where, which, words, lacks)

    # -- whole tables ------------------------------------------------------------------------

    def _look_at_all(self) -> None:
        for process in self._machine.table:
            missed = self.world.network.missed(process.attached) if process.attached else 0.0
            late = process.alive and missed > _PATIENCE
            must(not late, "{} outlives its connection by {} s", process.pid, missed)
        disk = self.world.server.disk
        self.facts.check(self._machine, disk)

    def close(self) -> None:
        """At the end: the events and the audit log, as they were kept."""
        self._look_at_all()
        disk = self.world.server.disk
        kept = disk.rows("SELECT seq, time, type, pid, data FROM events ORDER BY seq")
        oldest = kept[0][0] if kept else 1
        told = [
            (e["seq"], e["time"], e["type"], e["pid"], json.dumps(e["data"]))
            for e in self.events
            if e["seq"] >= oldest
        ]
        must(kept == told, "the events that were kept are not those that were told")
        entries = disk.store.audit(0, 100_000)
        broken = first_break(AuditEntry.model_validate(row) for row in entries)
        must(broken is None, "the audit log is broken at {}", broken)


_WRITTEN = {
    "memory": "key, value FROM memory",
    "mail": "body FROM mail",
    "publications": "body FROM publications",
    "files": "path, data FROM files LEFT JOIN contents USING (hash)",
}
"""The columns that have people's words, by table."""
