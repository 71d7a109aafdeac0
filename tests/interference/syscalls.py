"""The syscalls of a program: what a process might call, with which arguments.

Each is a function that gives a call's name and arguments, made up by the process's mind. Whatever
is content may hold markers. It knows nothing about what comes of it.
"""

from __future__ import annotations

from typing import Any, Final

from kernel.context import messages
from llmagentos.abi.process import INIT
from tests.interference.markers import LABELS
from tests.interference.mind import Mind
from tests.kernel.rig import agent

Call = tuple[str, dict[str, Any]]

ALLOWED: Final = [
    "proc:spawn", "cap:decide", "mem:*:rw", "fs:/*:rw", "ipc:topic/*:rw", "ipc:mail/*:w",
    "tool:*", "llm:*@*",
]  # fmt: skip
RULES: Final[dict[str, list[str]]] = {"allow": ALLOWED, "ask": []}
ASKING: Final = {"allow": ALLOWED, "ask": ["tool:asked(*)"]}
"""Of children, some of them: who is asked in his turn can't say yes."""


def _target(mind: Mind) -> dict[str, Any]:
    pid = mind.below()
    return {} if pid is None else {"pid": pid}


def _theirs(mind: Mind) -> dict[str, Any]:
    """As ``_target``, but mostly one below it: what is its own it may always."""
    pid = mind.child() if mind.dice.below(4) else None
    return {} if pid is None else {"pid": pid}


def _messages(mind: Mind) -> list[dict[str, Any]]:
    return [{"role": "user", "content": mind.words()}]


# -- processes -------------------------------------------------------------------------------


def manifest(mind: Mind, labels: list[str]) -> dict[str, Any]:
    """Of a child. ``labels``: those that it has by itself."""
    asks = mind.actor.pid != INIT and mind.dice.once_in(2)
    rules = ASKING if asks else RULES
    spec: dict[str, Any] = {"capabilities": rules, "prompt": f"be kind {mind.marker()}"}
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
    text = {"text": mind.words()} if mind.dice.once_in(2) else {}
    return "proc.fork", {**(_theirs(mind) if text else {}), **text}


def exit_(mind: Mind) -> Call:
    if mind.dice.once_in(2):
        said = {"message": mind.words(), "hint": mind.words(), "detail": {"at": mind.words()}}
        return "proc.exit", {"code": 1, "answer": mind.words(), "error": {"code": "EIO", **said}}
    return "proc.exit", {"answer": mind.words()}


def wait(mind: Mind) -> Call:
    more = {"stream": not mind.dice.once_in(3), "reap": mind.dice.once_in(2)}
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
    """A context, or what a summary in it stands for."""
    args = _target(mind)
    process = mind.world.machine.table.find(args.get("pid", mind.actor.pid))
    summaries = [one.id for one in messages(process.head) if one.sources] if process else []
    if summaries and mind.dice.once_in(2):
        args["source"] = mind.dice.pick(summaries)
    return "ctx.read", args


def append(mind: Mind) -> Call:
    return "ctx.append", {**_theirs(mind), "messages": _messages(mind)}


def compact(mind: Mind) -> Call:
    return "ctx.compact", {**_theirs(mind), "keep": mind.dice.below(2), "summary": mind.words()}


def checkpoint(mind: Mind) -> Call:
    return "ctx.checkpoint", {
        **_theirs(mind),
        "name": mind.marker() or mind.name("first", "second"),
    }


def restore(mind: Mind) -> Call:
    process = mind.world.machine.table.get(mind.actor.pid)
    # Whoever names one that is not there is told which there are.
    names = ["none", *process.checkpoints]
    return "ctx.restore", {**_theirs(mind), "checkpoint": mind.dice.pick(names)}


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
    return {**(own if mind.dice.once_in(3) else {"space": "notes"}), "key": key}


def _row(mind: Mind) -> dict[str, Any]:
    return mind.kept("key") or {"space": "notes", "key": mind.name("a", "b")}


def put(mind: Mind) -> Call:
    row = mind.kept("key") if mind.dice.once_in(3) else _new_row(mind)
    row = row or _new_row(mind)
    return "mem.put", mind.keeps(row) | {"value": {"said": mind.words()}}


def get(mind: Mind) -> Call:
    return "mem.get", _row(mind)


def search(mind: Mind) -> Call:
    where = _target(mind) if mind.dice.once_in(3) else {"space": "notes"}
    by = mind.dice.pick(("both", "both", "meaning", "words"))
    query = "news" if by == "words" else mind.words()
    return "mem.search", {**where, "query": query, "by": by}


def keys(mind: Mind) -> Call:
    return "mem.list", _theirs(mind) if mind.dice.once_in(3) else {"space": "notes"}


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


def asked_for(mind: Mind) -> Call:
    """What some processes must ask for."""
    return "tool.call", {"name": "asked", "arguments": {"text": mind.words()}}


def decide(mind: Mind) -> Call:
    """Answer one of those below, or ask in one's turn if nobody does."""
    below, approvals = mind.descendants(), mind.world.machine.approvals
    asked = [one.id for one in approvals.open() if one.pid in below and one.status == "pending"]
    if not asked and not mind.dice.once_in(8):
        return request(mind) if mind.dice.once_in(2) else asked_for(mind)
    approval = mind.dice.pick(asked or mind.world.approvals[-3:] or [1])
    more = {"approve": mind.dice.once_in(2), "reason": mind.words()}
    return "cap.decide", {"approval": approval, **more}


def capabilities(mind: Mind) -> Call:
    target = {} if mind.dice.below(3) else _target(mind)
    return "cap.list", {**target, "history": 10}


def grant(mind: Mind) -> Call:
    globs = [f"tool:echo({mind.words()}*)"]
    if mind.dice.once_in(2):
        return "cap.grant", {"pid": mind.child(), "allow": globs}
    return "cap.revoke", {"pid": mind.child(), "deny": globs}
