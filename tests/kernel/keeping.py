"""What the tests of memory and files share: a rig with a disk, the books, and calls in short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from kernel.config import Config
from kernel.effects import FromClient
from kernel.ledger import HELD, chain
from kernel.process import Process
from kernel.store import Store
from llmagentos.abi.errors import from_wire
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, USER, FakeHost, Rig, agent

IDS = count(10**6)


class OnDisk(Rig):
    """A rig whose crash loses what was not committed, as a real one does."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self._path = path
        self.store = Store(path)
        self.boot()

    def crash(self) -> None:
        self.store.close()
        self.store = Store(self._path)
        self.boot()


def do(host: FakeHost, pid: int, name: str, /, **args: Any) -> dict[str, Any]:
    """A call of an agent; raises the error that it is answered with."""
    return host.result_of(host.act(pid, name, **args))


def spawned(rig: Rig, name: str = "agent", allow: tuple[str, ...] = (), **spec: Any) -> int:
    allowed = {"allow": ["mem:*:rw", "proc:spawn", *allow]}
    return rig.spawn(agent(name, capabilities=allowed, **spec))


def child(host: FakeHost, parent: int, name: str = "child", **spec: Any) -> int:
    allowed = {"allow": ["mem:*:rw", "proc:spawn"]}
    manifest = agent(name, capabilities=allowed, **spec)
    pid: int = do(host, parent, "proc.spawn", manifest=manifest, text="go")["pid"]
    return pid


def gauges(process: Process) -> dict[str, int]:
    """What is counted on it of what can be given back, but for nothing."""
    held = {what: process.accounts[what] for what in HELD if what in process.accounts}
    return {what: account.spent for what, account in held.items() if account.spent}


def books(rig: Rig) -> dict[int, dict[str, int]]:
    """The gauges of everybody in the table and of all on whose budgets they draw; checked
    against what is really there."""
    everybody = {one.pid: one for process in rig.machine.table for one in chain(process)}
    there: dict[int, dict[str, int]] = {pid: {} for pid in everybody}
    for owner, what, amount in [*rig.store.memory.held(), *rig.store.files.held()]:
        process = rig.machine.table.find(owner)
        for one in chain(process) if process else ():
            there[one.pid][what] = there[one.pid].get(what, 0) + amount
    there = {pid: {w: n for w, n in held.items() if n} for pid, held in there.items()}
    assert {pid: gauges(one) for pid, one in everybody.items()} == there
    return there


@contextmanager
def unchanged(rig: Rig) -> Iterator[None]:
    """No row of memory, and nothing in the books."""

    def rows() -> list[Any]:
        return rig.store._connection.execute("SELECT * FROM memory ORDER BY id").fetchall()

    before, held = rows(), books(rig)
    yield
    assert (rows(), books(rig)) == (before, held)


def end(rig: Rig, pid: int) -> None:
    """Ended and collected."""
    rig.call("proc.kill", pid=pid, signal="KILL")
    rig.call("proc.wait", pid=pid)


def found(rig: Rig, query: str, **args: Any) -> list[str]:
    return [hit["row"]["key"] for hit in rig.call("mem.search", query=query, **args)["hits"]]


def say(rig: Rig, name: str, buffers: tuple[bytes, ...] = (), **args: Any) -> Message:
    """A call with buffers beside it, and the whole reply."""
    session, peer = args.pop("session", USER), args.pop("peer", b"user")
    number = next(IDS)
    rig.put_in(FromClient(peer, Message("call", number, name, session, args, buffers)))
    reply = next(m for m in rig.inbox[peer] if m.id == number)
    if not reply.body["ok"]:
        raise from_wire(reply.body["error"])
    return reply


def write(rig: Rig, path: str, content: bytes | str = b"x", **args: Any) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    result: dict[str, Any] = say(rig, "fs.write", (data,), path=path, **args).body["result"]
    return result


def read(rig: Rig, path: str, **args: Any) -> bytes:
    reply = say(rig, "fs.read", path=path, **args)
    assert len(reply.buffers) == 1
    return reply.buffers[0]


def names(rig: Rig, path: str = "/self", **args: Any) -> list[str]:
    """What is in a folder, the folders with a slash."""
    told = rig.call("fs.list", path=path, **args)
    return sorted(
        [file["path"] for file in told["files"]] + [f"{folder}/" for folder in told["folders"]]
    )


def contents(rig: Rig) -> int:
    """How many contents are kept."""
    found: tuple[int] = rig.store._connection.execute("SELECT count(*) FROM contents").fetchone()
    return found[0]


def few(versions: int) -> Rig:
    return Rig(Config(default_model=MODEL, versions_kept=versions))
