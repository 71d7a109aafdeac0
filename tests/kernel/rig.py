"""A kernel's machine with everything around it played by the test: clients, drivers, hosts,
the clock and the disk (a real SQLite store, in memory).

``Rig.crash`` throws the machine away and boots another from what was committed.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

from kernel import lifecycle
from kernel.boot import boot
from kernel.catalog import Catalog
from kernel.config import Config, Services
from kernel.effects import ClientGone, Effects, FromClient, Input, Tick
from kernel.ledger import Account
from kernel.machine import Machine
from llmagentos.abi import wire
from llmagentos.abi.errors import from_wire
from llmagentos.abi.wire import Message
from tests.kernel.blank import blank, opened
from tests.kernel.fakes import MODEL, SERVICE, FakeDriver, FakeHost, FakeTool

__all__ = [
    "MODEL", "SERVICE", "USER", "FakeDriver", "FakeHost", "FakeTool", "Program", "Rig", "agent",
    "said", "settled",
]  # fmt: skip

USER = "the-user's-key"

AGENT: dict[str, Any] = {
    "apiVersion": "llmagentos/v1",
    "kind": "Agent",
    "metadata": {"name": "agent"},
    "spec": {"model": MODEL},
}


def agent(name: str = "agent", **spec: Any) -> dict[str, Any]:
    """A manifest with these fields in its spec."""
    return {**AGENT, "metadata": {"name": name}, "spec": {"model": MODEL, **spec}}


def said(text: str = "hi") -> list[dict[str, str]]:
    """The messages of somebody who says this."""
    return [{"role": "user", "content": text}]


class Rig:
    manifests = Path(__file__).parents[2] / "manifests"

    def __init__(self, config: Config | None = None, start: float = 1_000_000.0) -> None:
        self.config = config or Config(default_model=MODEL)
        self.store = opened(blank())
        self.now = start
        self.beating: list[FakeDriver] = []
        self.silent: set[bytes] = set()
        """Clients that are there and say nothing."""
        self._tokens = count()
        self._ids = count(1)
        self.boot()

    # -- the machine's surroundings ----------------------------------------------------------

    def boot(self) -> None:
        services = Services(
            catalog=Catalog([self.manifests]),
            history=self.store,
            memory=self.store.memory,
            files=self.store.files,
            mail=self.store.mail,
            mint=lambda: f"{next(self._tokens):064x}",
            user_key=USER,
            service_key=SERVICE,
            version="test",
            os_pid=1,
            events_socket="",
        )
        self.machine = Machine(self.config, services)
        self.inbox: dict[bytes, list[Message]] = defaultdict(list)
        self.commands: dict[bytes, list[tuple[str, Any]]] = defaultdict(list)
        self.events: list[dict[str, Any]] = []
        self._take(boot(self.machine, self.store.load(), self.now))

    def crash(self) -> None:
        self.boot()

    def put_in(self, event: Input) -> None:
        self._take(self.machine.handle(event, self.now))

    def _take(self, effects: Effects) -> None:
        self.store.commit(effects.rows, effects.events)
        for send in effects.sends:
            self.inbox[send.peer].append(wire.decode(send.frames))
        for command in effects.commands:
            body = command.body.model_dump(mode="json") if command.body else {}
            wire.decode(wire.encode(Message(command.kind, body=body)))
            self.commands[command.peer].append((command.kind, command.body))
        self.events += effects.events
        for peer in effects.doubted:
            if peer not in self.silent:
                self.put_in(ClientGone(peer))

    def wait(self, seconds: float) -> None:
        """Let time pass: drivers beat, and timers do what they are for, in their order."""
        end = self.now + seconds
        while self.now < end:
            due = self.machine.timers.next_due()
            self.now = min(end, self.now + 1.0, max(self.now, due if due is not None else end))
            self.put_in(Tick())
            for driver in self.beating:
                driver.beat()

    def data(self, kind: str) -> list[dict[str, Any]]:
        """Of the events of one type, oldest first."""
        return [event["data"] for event in self.events if event["type"] == kind]

    # -- a client ----------------------------------------------------------------------------

    def send(
        self,
        name: str,
        /,
        *,
        session: str = USER,
        peer: bytes = b"user",
        id: int | None = None,
        **args: Any,
    ) -> int:
        """Make a call, and don't wait for its reply; its id."""
        number = next(self._ids) if id is None else id
        self.put_in(FromClient(peer, Message("call", number, name, session, args)))
        return number

    def reply(self, number: int, peer: bytes = b"user") -> dict[str, Any] | None:
        """The body of the reply to a call, if it has come."""
        replies = [m for m in self.inbox[peer] if m.id == number and m.kind == "reply"]
        return replies[-1].body if replies else None

    def call(self, name: str, /, **options: Any) -> dict[str, Any]:
        """Make a call that is answered at once; raises the error that it answers with."""
        return self.result(self.send(name, **options), options.get("peer", b"user"))

    def result(self, number: int, peer: bytes = b"user") -> dict[str, Any]:
        """Of a call whose reply has come; raises the error that it answers with."""
        body = self.reply(number, peer)
        assert body is not None, "no reply has come"
        if not body["ok"]:
            raise from_wire(body["error"])
        result: dict[str, Any] = body["result"]
        return result

    def streamed(self, number: int, peer: bytes = b"user") -> str:
        return "".join(
            m.body["text"] for m in self.inbox[peer] if m.id == number and m.kind == "stream"
        )

    def program(self, name: str | None = None, peer: bytes = b"prog") -> tuple[int, str]:
        """A program that said hello: its pid and its session."""
        made = self.call("proc.adopt", peer=peer, **({"name": name} if name else {}))
        return made["pid"], made["session"]

    def spawn(self, manifest: dict[str, Any] | None = None, **options: Any) -> int:
        options.setdefault("text", "hello")
        made = self.call("proc.spawn", manifest=manifest or AGENT, **options)
        pid: int = made["pid"]
        return pid

    def labels(self, pid: int) -> list[str]:
        labels: list[str] = self.call("proc.info", pid=pid)["process"]["labels"]
        return labels

    def state(self, pid: int) -> str:
        info = self.call("proc.info", pid=pid)["process"]
        return f"{info['state']}({info['reason']})" if info["reason"] else str(info["state"])

    # -- a driver, a host --------------------------------------------------------------------

    def driver(self, name: str = "edge", **card: Any) -> FakeDriver:
        return FakeDriver(self, name, card)

    def tool(self, name: str = "tools", *tools: str | dict[str, Any], **card: Any) -> FakeTool:
        return FakeTool(self, name, tools or ("echo",), card)

    def host(self, name: str = "host", **card: Any) -> FakeHost:
        return FakeHost(self, name, card)

    def drop_client(self, peer: bytes) -> None:
        self.put_in(ClientGone(peer))


def settled(**config: Any) -> Rig:
    """One whose boot is long ago."""
    rig = Rig(Config(default_model=MODEL, **config))
    rig.wait(rig.config.boot_patience)
    return rig


class Program:
    """A lasting program, on a connection of its own. What it may do is given as globs."""

    def __init__(self, rig: Rig, name: str, *allow: str, **limits: Any) -> None:
        self._rig = rig
        self.peer = name.encode()
        made = rig.call("proc.adopt", name=name, limits=limits, capabilities={"allow": list(allow)})
        self.pid, self.session = made["pid"], made["session"]

    def start(self, name: str, /, **args: Any) -> int:
        """Make a call, and don't wait for its reply; its id."""
        return self._rig.send(name, session=self.session, peer=self.peer, **args)

    def call(self, name: str, /, **args: Any) -> dict[str, Any]:
        """Make a call that is answered at once; raises the error that it answers with."""
        return self._rig.call(name, session=self.session, peer=self.peer, **args)

    def reply(self, number: int) -> dict[str, Any] | None:
        return self._rig.reply(number, self.peer)

    def result(self, number: int) -> dict[str, Any]:
        """Of a call whose reply has come; raises the error that it answers with."""
        return self._rig.result(number, self.peer)

    def account(self, what: str) -> Account:
        """What it has spent and reserved by now."""
        found = self._rig.machine.table.get(self.pid).account(what)
        return Account(found.spent, found.reserved)

    def label(self, *labels: str) -> None:
        """It has read something with these labels."""
        machine = self._rig.machine
        lifecycle.label(machine, machine.table.get(self.pid), labels, "the test")
