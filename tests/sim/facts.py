"""Facts: what the kernel has acknowledged. Nothing of it may be lost, nor be done twice.

Replies are looked at in the order in which they leave, which is the order in which their calls took
effect; only those that were held for a stopped process come late. It knows nothing about rights,
budgets or queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.machine import Machine
from llmagentos.abi import wire
from llmagentos.abi.driver import Start
from llmagentos.abi.syscalls import TABLE
from llmagentos.abi.wire import Message
from tests.sim.answers import Answer, answer
from tests.sim.callers import Sent
from tests.sim.contexts import Contexts
from tests.sim.disk import Disk
from tests.sim.drivers import vector
from tests.sim.keeping import Files, Memory
from tests.sim.post import Post
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn

_LOST = ("EAUTH", "ESRCH")
"""Errors of a caller whose process has ended, or is somebody else's now."""


class Facts:
    """``answers``: what drivers were asked for, by the first word of the answer. ``orders``: jobs
    of tools, by what the tool was told."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.orders: dict[str, list[str]] = {}
        self._settled: set[str] = set()
        self._jobs: set[int] = set()
        self._held: set[int] = set()
        """Calls whose replies were once held for a stopped process."""
        self._names: dict[str, int] = {}
        self._exits: dict[int, Any] = {}
        self.restarted = False
        """Whether any answer was begun anew."""
        self._memory, self._files, self._post = Memory(), Files(), Post()
        self._contexts = Contexts()

    # -- calls and replies -------------------------------------------------------------------

    def applied(self, sent: Sent, *, stopped: bool) -> None:
        """The kernel is about to take it in, perhaps not for the first time."""
        if sent.told is not None:
            return
        family = sent.name.partition(".")[0]
        if family == "mem":
            self._memory.applied(sent)
        elif family == "fs":
            self._files.applied(sent)
        elif family == "ipc":
            self._post.applied(sent)
        elif family == "ctx":
            self._contexts.applied(sent, held=stopped)

    def reply(self, sent: Sent, message: Message) -> bool:
        """A reply is about to leave. Whether it is the first that says so."""
        if sent.ok:
            self._check_again(sent, message)
            return False
        sent.told = message
        if message.body["ok"]:
            self._answered(sent, message.body["result"], message.buffers)
        else:
            self._refused(sent, message.body["error"]["code"])
        return True

    def _check_again(self, sent: Sent, message: Message) -> None:
        assert sent.told is not None
        if TABLE[sent.name].writes:
            lost = not message.body["ok"] and message.body["error"]["code"] in _LOST
            same = lost or message.body == sent.told.body
            must(same, "call {} was answered {}, then {}", sent.id, sent.told.body, message.body)

    def _answered(self, sent: Sent, result: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        family, late = sent.name.partition(".")[0], sent.id in self._held
        if late and not TABLE[sent.name].writes:
            return  # what was read then says nothing of now
        if family == "mem":
            self._memory.answered(sent, result, late=late)
        elif family == "fs":
            self._files.answered(sent, result, buffers, late=late)
        elif family == "ipc":
            self._post.answered(sent, result, late=late)
        elif family == "tool" and sent.name == "tool.call":
            told = sent.args["arguments"]["text"]
            self._settled.add(told)
            said = result["content"]["said"]
            must(said.startswith(f"done {told}"), "{!r} is no answer to {!r}", said, told)
        elif sent.name == "llm.embed":
            right = [vector(text) for text in sent.args["texts"]]
            must(result["vectors"] == right, "call {} got the wrong vectors", sent.id)
        elif sent.name == "proc.wait":
            self._ended(result)
        elif sent.name == "proc.info" and result["process"]["exit"] is not None:
            self._ended(result["process"]["exit"])
        elif sent.name in ("proc.spawn", "proc.fork"):
            self._names[sent.args["name"]] = result["pid"]
        if sent.name == "llm.generate":
            self._check_answer(sent, result)
        if family in ("ctx", "llm", "proc"):
            self._contexts.answered(sent, result, late=late)

    def _refused(self, sent: Sent, code: str) -> None:
        if code == "EAUTH":
            return  # it may have been done before, for a session that is over
        family = sent.name.partition(".")[0]
        if family == "mem":
            self._memory.refused(sent, code)
        elif family == "fs":
            self._files.refused(sent)
        elif family == "ipc":
            self._post.refused(sent)
        elif sent.name == "tool.call" and code in ("EDRIVER", "ETIMEOUT"):
            # What it has done by now, nobody knows.
            told = sent.args["arguments"]["text"]
            if told in self.orders:
                self._settled.add(told)

    def _ended(self, record: dict[str, Any]) -> None:
        known = self._exits.setdefault(record["pid"], record)
        must(known == record, "process {} ended so {}, and so {}", record["pid"], known, record)

    def _check_answer(self, sent: Sent, result: dict[str, Any]) -> None:
        text, count = result["text"], result["usage"]["completion_tokens"]
        said = self.answers.get(text.partition(" ")[0])
        must(said is not None, "call {} was answered {!r}, which nobody said", sent.id, text)
        assert said is not None
        made = len(text.split())  # an answer that was begun anew took more tokens than it has
        must(made == count or (self.restarted and made < count), "call {} took {}", sent.id, count)
        must(text == said.readable(made, final=True), "call {} was answered {!r}", sent.id, text)
        # Of a driver that can't go on by tokens nobody knows what their numbers mean.
        known = (said.ids[:made], ())
        must(tuple(result["tokens"]) in known, "call {} has the wrong tokens", sent.id)
        whole = made == len(said.ids)
        must((result["finish"] == "stop") == whole, "call {} ended at {}", sent.id, count)

    # -- orders -------------------------------------------------------------------

    def started(self, order: Start) -> None:
        """A driver is about to be told."""
        said = answer(order.messages)
        self.answers[said.tag] = said
        self._contexts.bursts[said.tag].add(order.burst)

    def ordered(self, job: int, told: str, key: str) -> None:
        """A tool is about to be told."""
        must(told not in self._settled, "{!r} was settled, and is done again", told)
        must(job not in self._jobs, "job {} is given to a driver again", job)
        self._jobs.add(job)
        keys = self.orders.setdefault(told, [])
        must(key in keys or not keys, "{!r} has another key than before", told)
        keys.append(key)

    def turned(self, machine: Machine, turn: Turn) -> None:
        """After each turn."""
        for process in machine.table:
            self._held.update(wire.decode(send.frames).id for send in process.held)
        self.restarted |= any(e["type"] == "burst.restarted" for e in turn.effects.events)
        restarted = [e["pid"] for e in turn.effects.events if e["type"] == "proc.restarted"]
        self._contexts.turned(restarted)

    # -- all of it ---------------------------------------------------------------------------

    def check(self, machine: Machine, disk: Disk) -> None:
        self._memory.check(machine, disk)
        self._files.check(machine, disk)
        self._post.check(machine, disk)
        self._contexts.check(machine)
        names: dict[str, list[int]] = {}
        for pid, name in disk.rows("SELECT pid, name FROM processes"):
            names.setdefault(name, []).append(pid)
        for name, pid in self._names.items():
            must(names.get(name) == [pid], "{} is process {}, not {}", name, pid, names.get(name))
        for pid in self._names.values():
            there = machine.table.find(pid) or machine.graveyard.find(pid)
            must(there, "process {} was lost", pid)
