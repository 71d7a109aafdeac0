"""The syscalls of a program: what a process might call, with which arguments.

Each is a function that gives a call's name and arguments. Whatever is content may hold markers: those
that the process was told, and new ones of its own labels. It knows nothing about what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from llmagentos.abi.process import INIT
from tests.interference.markers import LABELS, found
from tests.interference.program import Dice
from tests.kernel.rig import agent

if TYPE_CHECKING:
    from tests.interference.world import Actor, World

Call = tuple[str, dict[str, Any]]

ALLOWED: Final = [
    "proc:spawn", "cap:decide", "mem:*:rw", "fs:/*:rw", "ipc:topic/*:rw", "ipc:mail/*:w",
    "tool:*", "llm:*@*",
]  # fmt: skip
RULES: Final = {"allow": ALLOWED, "ask": ["tool:asked(*)"]}


class Mind:
    """What a process says, and about whom: all of it by the dice."""

    def __init__(self, world: World, actor: Actor, dice: Dice) -> None:
        self.world = world
        self.actor = actor
        self.dice = dice
        self.labels = world.labels_of(actor.pid)

    def marker(self) -> str:
        """Something that it knows; "" if it is nothing worth knowing."""
        told, labels = self.actor.told, self.labels
        if self.actor.pid == INIT:
            return ""
        if labels and (not told or self.dice.once_in(3)):
            return self.world.markers.new(self.dice.pick(labels))
        return self.dice.pick(told) if told else ""

    def words(self) -> str:
        return f"news {self.marker()}" if not self.dice.once_in(6) else "news"

    def name(self, *plain: str) -> str:
        """A key, or the name of a file or a checkpoint: that is content, too."""
        return (self.marker() if self.dice.once_in(3) else "") or self.dice.pick(plain)

    def below(self) -> int | None:
        """Itself, or one below it."""
        return None if self.dice.once_in(2) else self._descendant()

    def child(self) -> int:
        return self._descendant() or self.anybody()

    def keeps(self, where: dict[str, Any]) -> dict[str, Any]:
        """Something is kept there from now on."""
        self.world.kept.append(where)
        return where

    def kept(self, what: str) -> dict[str, Any]:
        """Where something is kept that it could reach and knows the name of: a ``key`` or a
        ``path``. Nothing, if there is none."""
        told, pids = self.actor.told, {None, self.actor.pid, *self._descendants()}
        able = [
            where
            for where in self.world.kept
            if what in where
            and where.get("pid") in pids
            and all(one in told for one in found(where[what]))
        ]
        return self.dice.pick(able) if able else {}

    def _descendants(self) -> list[int]:
        own, parents = self.actor.pid, self.world.parents
        return [pid for pid in parents if is_below(parents, pid, own)]

    def _descendant(self) -> int | None:
        """One that may lack what this one has, or have what it lacks, mostly."""
        below = self._descendants()
        others = [pid for pid in below if self.world.labels_of(pid) != self.labels]
        below = others if others and not self.dice.once_in(4) else below
        return self.dice.pick(below) if below else None

    def anybody(self) -> int:
        return self.dice.pick(list(self.world.actors))

    def another(self) -> int:
        """Somebody who lacks what it has, mostly."""
        fewer = [pid for pid in self.world.parents if not self.world.labels_of(pid)]
        return self.dice.pick(fewer) if fewer and self.dice.once_in(2) else self.anybody()


def is_below(parents: dict[int, int], pid: int, above: int) -> bool:
    while (pid := parents.get(pid, 0)) > INIT:
        if pid == above:
            return True
    return False


def _target(mind: Mind) -> dict[str, Any]:
    pid = mind.below()
    return {} if pid is None else {"pid": pid}


def _messages(mind: Mind) -> list[dict[str, Any]]:
    return [{"role": "user", "content": mind.words()}]


# -- processes -------------------------------------------------------------------------------


def manifest(mind: Mind, labels: list[str]) -> dict[str, Any]:
    """Of a child. ``labels``: those that it has by itself."""
    spec: dict[str, Any] = {"capabilities": RULES, "prompt": f"be kind {mind.marker()}"}
    if labels:
        spec["labels"] = labels
        spec["prompt"] += f" {mind.world.markers.new(labels[0])}"
    if mind.dice.once_in(3):
        # Such bursts are held until they are counted.
        spec["limits"] = {"tokens": 100_000}
    if mind.dice.once_in(4):
        spec["restart"] = {"strategy": "always", "intensity": 2, "period": 60}
    if mind.dice.once_in(6):
        spec["placement"] = {"allow": ["cloud", "edge", "node"], "prefer": "cloud"}
    return agent("agent", **spec)


def spawn(mind: Mind) -> Call:
    own = [mind.dice.pick(tuple(LABELS.values()))] if mind.dice.once_in(8) else []
    return "proc.spawn", {"manifest": manifest(mind, own), "text": mind.words()}


def fork(mind: Mind) -> Call:
    return "proc.fork", {**_target(mind), "text": mind.words()}


def exit_(mind: Mind) -> Call:
    if mind.dice.once_in(2):
        said = {"message": mind.words(), "hint": mind.words(), "detail": {"at": mind.words()}}
        return "proc.exit", {"code": 1, "answer": mind.words(), "error": {"code": "EIO", **said}}
    return "proc.exit", {"answer": mind.words()}


def wait(mind: Mind) -> Call:
    more = {"stream": mind.dice.once_in(2), "reap": mind.dice.once_in(2)}
    return "proc.wait", {"pid": mind.child(), **more}


def info(mind: Mind) -> Call:
    return "proc.info", _target(mind)


def list_(mind: Mind) -> Call:
    return "proc.list", {}


# -- models and tools ------------------------------------------------------------------------


def generate(mind: Mind) -> Call:
    args: dict[str, Any] = {"stream": mind.dice.once_in(2)}
    if not mind.dice.once_in(2):
        args |= {"messages": _messages(mind), "append": not mind.dice.once_in(3)}
    if mind.dice.once_in(8):
        args["sampling"] = {"stop": [mind.words()]}
    return "llm.generate", args


def embed(mind: Mind) -> Call:
    return "llm.embed", {"texts": [mind.words(), mind.words()]}


def tool(mind: Mind) -> Call:
    name = mind.dice.pick(("echo", "echo", "search", "diary", "asked", "asked"))
    return "tool.call", {"name": name, "arguments": {"text": mind.words()}}


# -- the context -----------------------------------------------------------------------------


def read(mind: Mind) -> Call:
    return "ctx.read", _target(mind)


def append(mind: Mind) -> Call:
    return "ctx.append", {**_target(mind), "messages": _messages(mind)}


def compact(mind: Mind) -> Call:
    return "ctx.compact", {**_target(mind), "keep": mind.dice.below(2), "summary": mind.words()}


def checkpoint(mind: Mind) -> Call:
    return "ctx.checkpoint", {**_target(mind), "name": mind.name("first", "second")}


def restore(mind: Mind) -> Call:
    process = mind.world.machine.table.get(mind.actor.pid)
    # Whoever names one that is not there is told which there are.
    names = ["none", *process.checkpoints]
    return "ctx.restore", {**_target(mind), "checkpoint": mind.dice.pick(names)}


def rewind(mind: Mind) -> Call:
    process = mind.world.machine.table.get(mind.actor.pid)
    node, steps = process.head, mind.dice.below(3)
    while node is not None and node.parent is not None and steps:
        node, steps = node.parent, steps - 1
    return "ctx.rewind", {"message": node.id if node is not None and not steps else 0}


# -- memory and files ------------------------------------------------------------------------


def _new_row(mind: Mind) -> dict[str, Any]:
    key = mind.name("a", "b")
    own = {"pid": mind.below() or mind.actor.pid}
    return {**({"space": "notes"} if mind.dice.once_in(2) else own), "key": key}


def _row(mind: Mind) -> dict[str, Any]:
    return mind.kept("key") or {"space": "notes", "key": mind.name("a", "b")}


def put(mind: Mind) -> Call:
    row = mind.kept("key") if mind.dice.once_in(3) else _new_row(mind)
    row = row or _new_row(mind)
    return "mem.put", mind.keeps(row) | {"value": {"said": mind.words()}}


def get(mind: Mind) -> Call:
    return "mem.get", _row(mind)


def search(mind: Mind) -> Call:
    where = {"space": "notes"} if mind.dice.once_in(2) else _target(mind)
    return "mem.search", {**where, "query": "news"}


def keys(mind: Mind) -> Call:
    return "mem.list", {"space": "notes"} if mind.dice.once_in(2) else _target(mind)


def _new_file(mind: Mind) -> dict[str, Any]:
    if mind.dice.once_in(3):
        own = mind.below() or mind.actor.pid
        return {"path": f"/self/{mind.name('x')}/one", "pid": own}
    return {"path": f"/share/{mind.name('x')}/{mind.name('one', 'two')}"}


def _file(mind: Mind) -> dict[str, Any]:
    return mind.kept("path") or {"path": f"/share/x/{mind.name('one', 'two')}"}


def write(mind: Mind) -> Call:
    file = mind.kept("path") if mind.dice.once_in(3) else _new_file(mind)
    return "fs.write", mind.keeps(file or _new_file(mind)) | {"text": mind.words()}


def look(mind: Mind) -> Call:
    return mind.dice.pick(("fs.read", "fs.read", "fs.stat", "fs.history")), _file(mind)


def folder(mind: Mind) -> Call:
    path = mind.dice.pick(("/share", "/share/x", "/self", "/"))
    return "fs.list", {"path": path, "recursive": path != "/" and mind.dice.once_in(2)}


def change(mind: Mind) -> Call:
    if mind.dice.once_in(2):
        return "fs.delete", _file(mind)
    return "fs.restore", {**_file(mind), "version": 1 + mind.dice.below(2)}


# -- mail and topics -------------------------------------------------------------------------


def send(mind: Mind) -> Call:
    return "ipc.send", {"pid": mind.another(), "body": {"said": mind.words()}}


def recv(mind: Mind) -> Call:
    more = {"append": mind.dice.once_in(2), "block": mind.dice.once_in(3)}
    return "ipc.recv", {"limit": 3, **more}


def publish(mind: Mind) -> Call:
    return "ipc.publish", {"topic": mind.dice.pick(("news", "gossip")), "body": mind.words()}


def subscribe(mind: Mind) -> Call:
    topic = mind.dice.pick(("news", "gossip"))
    return "ipc.subscribe", {"topic": topic, "since": 0, "block": mind.dice.once_in(3)}


# -- rights ----------------------------------------------------------------------------------


def request(mind: Mind) -> Call:
    return "cap.request", {"capability": "net:example.org", "reason": mind.words()}


def decide(mind: Mind) -> Call:
    """By one of those above whoever asks, if they are asked in their turn."""
    approval = mind.dice.pick(mind.world.approvals[-3:] or [1])
    more = {"approve": mind.dice.once_in(2), "reason": mind.words()}
    return "cap.decide", {"approval": approval, **more}


def capabilities(mind: Mind) -> Call:
    return "cap.list", {**_target(mind), "history": 10}


def grant(mind: Mind) -> Call:
    globs = [f"tool:echo({mind.words()}*)"]
    if mind.dice.once_in(2):
        return "cap.grant", {"pid": mind.child(), "allow": globs}
    return "cap.revoke", {"pid": mind.child(), "deny": globs}


CALLS: Final[dict[str, tuple[Callable[[Mind], Call], int]]] = {
    "spawn": (spawn, 6), "fork": (fork, 5), "exit": (exit_, 5), "wait": (wait, 6),
    "info": (info, 2), "list": (list_, 1),
    "generate": (generate, 12), "embed": (embed, 3), "tool": (tool, 8),
    "read": (read, 5), "append": (append, 5), "compact": (compact, 3),
    "checkpoint": (checkpoint, 3), "restore": (restore, 3), "rewind": (rewind, 2),
    "put": (put, 6), "get": (get, 5), "search": (search, 3), "keys": (keys, 3),
    "write": (write, 6), "look": (look, 6), "folder": (folder, 3), "change": (change, 2),
    "send": (send, 6), "recv": (recv, 6), "publish": (publish, 4), "subscribe": (subscribe, 4),
    "request": (request, 3), "decide": (decide, 4), "capabilities": (capabilities, 4),
    "grant": (grant, 3),
}  # fmt: skip
"""What a process might do, and how often it does."""

TELL: Final = {
    "exit", "append", "compact", "checkpoint", "put", "write", "send", "publish", "request",
    "grant", "fork",
}  # fmt: skip
"""Most is shown by those of many labels that do this, and by those of few that do the others."""
HEAR: Final = {
    "wait", "info", "read", "restore", "get", "search", "keys", "look", "folder", "recv",
    "subscribe", "capabilities", "generate", "embed", "tool",
}  # fmt: skip

PASSING: Final = {"get", "search", "look", "generate"}
"""What is best done by those to whom somebody listens, and who may learn something now."""

FOLLOWED: Final[dict[str, tuple[str, ...]]] = {
    "append": ("read", "generate"), "compact": ("read", "generate"),
    "checkpoint": ("info", "restore"), "send": ("recv",), "grant": ("capabilities", "info"),
    "put": ("get", "keys"), "write": ("look",), "decide": ("capabilities", "request"),
}  # fmt: skip
"""What somebody does to whom another has done something."""

__all__ = ["CALLS", "FOLLOWED", "HEAR", "PASSING", "RULES", "TELL", "Call", "Mind", "is_below", "manifest"]
