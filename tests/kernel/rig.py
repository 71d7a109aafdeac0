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
from kernel.effects import (
    ClientGone,
    DriverGone,
    Effects,
    FromClient,
    FromDriver,
    Input,
    Tick,
)
from kernel.machine import Machine
from llmagentos.abi import wire
from llmagentos.abi.errors import from_wire
from llmagentos.abi.wire import Message
from tests.kernel.blank import blank, opened

USER = "the-user's-key"
SERVICE = "the-service-key"
MODEL = "m"

AGENT: dict[str, Any] = {
    "apiVersion": "llmagentos/v1",
    "kind": "Agent",
    "metadata": {"name": "agent"},
    "spec": {"model": MODEL},
}


def agent(name: str = "agent", **spec: Any) -> dict[str, Any]:
    """A manifest with these fields in its spec."""
    return {**AGENT, "metadata": {"name": name}, "spec": {"model": MODEL, **spec}}


class Rig:
    manifests = Path(__file__).parents[2] / "manifests"

    def __init__(self, config: Config | None = None, start: float = 1_000_000.0) -> None:
        self.config = config or Config(default_model=MODEL)
        self.store = opened(blank())
        self.now = start
        self.beating: list[FakeDriver] = []
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

    def wait(self, seconds: float) -> None:
        """Let time pass: drivers beat, and timers do what they are for, in their order."""
        end = self.now + seconds
        while self.now < end:
            due = self.machine.timers.next_due()
            self.now = min(end, self.now + 1.0, max(self.now, due if due is not None else end))
            self.put_in(Tick())
            for driver in self.beating:
                driver.beat()

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
        number = self.send(name, **options)
        body = self.reply(number, options.get("peer", b"user"))
        assert body is not None, f"{name} was not answered"
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
        body = self.reply(number)
        assert body is not None, "no reply has come"
        if not body["ok"]:
            raise from_wire(body["error"])
        result: dict[str, Any] = body["result"]
        return result

    def label(self, *labels: str) -> None:
        """It has read something with these labels."""
        machine = self._rig.machine
        lifecycle.label(machine, machine.table.get(self.pid), labels, "the test")


class FakeDriver:
    """Speaks the driver protocol; its tokens are the words that the test gives it."""

    kind = "edge"

    def __init__(self, rig: Rig, name: str, card: dict[str, Any]) -> None:
        self._rig = rig
        self.name = name
        self._connections = count(1)
        self.card: dict[str, Any] = {
            "name": name,
            "kind": self.kind,
            "models": [{"name": MODEL, "context_length": 2048}] if self.kind != "host" else [],
            "slots": 4,
            "features": ["preempt", "resume_tokens", "count"] if self.kind == "edge" else [],
            "state": "ready",
            **card,
        }
        self.register()

    def register(self) -> None:
        """Connect anew and register."""
        self.peer = f"{self.name}-{next(self._connections)}".encode()
        self.say("register", self.card)
        if self not in self._rig.beating:
            self._rig.beating.append(self)

    def hang(self) -> None:
        """Say nothing any more."""
        self._rig.beating.remove(self)

    def die(self) -> None:
        self.hang()
        self._rig.put_in(DriverGone(self.peer))

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self._rig.put_in(FromDriver(self.peer, Message(kind, session=SERVICE, body=body)))

    def beat(self, state: str = "ready", **more: Any) -> None:
        self.say("beat", {"state": state, **more})

    def heard(self, kind: str) -> list[Any]:
        """The bodies of the commands of one kind, oldest first."""
        return [body for name, body in self._rig.commands[self.peer] if name == kind]

    @property
    def started(self) -> list[Any]:
        return self.heard("start")

    def report(
        self,
        start: Any,
        words: str = "",
        *,
        index: int | None = None,
        finish: str | None = None,
        prompt: int | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """One step of one burst: each word is a token. A prompt that the kernel wants to be counted
        first is counted in a step of its own; if it is too long, nothing comes after that."""
        if start.hold and prompt is not None:
            self._step(start, index=len(start.accepted), prompt_tokens=prompt)
            if any(ref.burst == start.burst for ref in self.heard("cancel")):
                return
            prompt = None
        tokens = words.split()
        self._step(
            start,
            index=len(start.accepted) if index is None else index,
            tokens=list(range(len(tokens))),
            text=words,
            finish=finish,
            prompt_tokens=prompt,
            error=error,
        )

    def _step(self, start: Any, **fields: Any) -> None:
        step = {"burst": start.burst, "attempt": start.attempt, **fields}
        self.say("report", {"steps": [step]})

    def answer(self, words: str = "fine thanks", prompt: int = 5) -> None:
        """Finish the burst that was started last."""
        self.report(self.started[-1], words, finish="stop", prompt=prompt)

    def result(self, order: Any, content: Any = None, **more: Any) -> None:
        """The end of a job."""
        self.say("result", {"job": order.job, "content": content, **more})

    @property
    def aborted(self) -> list[int]:
        return [body.job for body in self.heard("abort")]


class FakeTool(FakeDriver):
    """A driver of tools: names, or whole cards."""

    kind = "tool"

    def __init__(
        self, rig: Rig, name: str, tools: tuple[str | dict[str, Any], ...], card: dict[str, Any]
    ) -> None:
        cards = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
        super().__init__(rig, name, {"models": [], "features": [], "tools": cards, **card})

    @property
    def orders(self) -> list[Any]:
        return self.heard("call")


class FakeHost(FakeDriver):
    kind = "host"

    @property
    def assigned(self) -> list[Any]:
        return self.heard("assign")

    def session_of(self, pid: int) -> str:
        session: str = [a.session for a in self.assigned if a.pid == pid][-1]
        return session

    def act(self, pid: int, name: str, /, **args: Any) -> int:
        """Make a call in the name of an agent."""
        return self._rig.send(name, session=self.session_of(pid), peer=b"host", **args)

    def reply(self, number: int) -> dict[str, Any] | None:
        return self._rig.reply(number, b"host")
