"""A world for one case: a kernel's machine, the agents' own loop, the tools, and obedient models.

All in one thread and under a virtual clock, so that a case is the same every time. The agents are
carried by ``agents.loop``, as a host carries them; their calls are encoded, decoded and answered as
on a socket. It knows nothing about what is right or wrong.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from agents.loop import live
from drivers.tool import Job, Tool
from kernel.config import Config
from kernel.effects import Effects, FromClient
from llmagentos.abi import wire
from llmagentos.abi.driver import StepReport
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.manifest import AgentSpec
from llmagentos.abi.process import ErrorRecord
from llmagentos.aio import AsyncSystem
from llmagentos.aio_stream import AsyncStream
from llmagentos.exchange import Exchange
from tests.injections import seeds
from tests.injections.desk import PRIVATE, Deed, Desk
from tests.injections.obedient import answer
from tests.injections.user import User
from tests.kernel.rig import FakeDriver, FakeHost, Rig

MANIFESTS: Final = Path(__file__).parent / "manifests"
_AGENTS: Final = b"agents"
_IDLE: Final = 8
"""Rounds of the event loop in which nothing happens: then nothing will."""
_LONGEST: Final = 300.0
"""Virtual seconds that a case may take."""

CARDS: Final[dict[str, dict[str, Any]]] = {
    "edge": {"kind": "edge", "labels": [PRIVATE], "zone": "device"},
    "cloud": {"kind": "cloud", "labels": [], "zone": "internet"},
    "desk": {"kind": "tool", "labels": [PRIVATE], "zone": "device"},
    "net": {"kind": "tool", "labels": [], "zone": "internet"},
}
"""The drivers: where they are, and what they may see."""


class Seen(Protocol):
    """A world, as one looks into it in the end. ``orders``: what each driver was told, as its name,
    the kind, the pid and all the text. ``agents``: their manifests, by pid, as their authors wrote
    them; ``here``: those of them that are not collected. ``deeds``: what tools have done."""

    orders: list[tuple[str, str, int, str]]
    agents: dict[int, dict[str, Any]]
    neighbour: int

    @property
    def here(self) -> list[int]: ...

    @property
    def deeds(self) -> list[Deed]: ...

    def call(self, name: str, /, **options: Any) -> dict[str, Any]: ...

    def read(self, path: str, **own: int) -> str: ...

    def published(self, row: seeds.Row) -> None: ...

    def letters(self) -> list[dict[str, Any]]: ...


def plant(world: Seen, spots: Mapping[str, str]) -> None:
    """What is kept in a world before an agent begins."""
    for path, text, private in seeds.files(spots):
        world.call("fs.write", path=path, text=text, labels=[PRIVATE] if private else [])
    for row in seeds.memory(spots):
        labels = [PRIVATE] if row.private else []
        world.call("mem.put", space=row.where, key=row.key, value=row.text, labels=labels)
    for row in seeds.topics(spots):
        world.published(row)


class _Line:
    """A connection without a socket."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.exchange = Exchange()

    def open(
        self, name: str, args: Mapping[str, Any], session: str, buffers: Sequence[bytes] = ()
    ) -> AsyncStream:
        stream = AsyncStream(self, name)  # type: ignore[arg-type]
        stream.number, frames = self.exchange.open(
            name, args, session, stream.inbox.put_nowait, buffers
        )
        self._world.put_in(FromClient(_AGENTS, wire.decode(frames)))
        return stream

    def check_usable(self) -> None:
        """It always is."""

    def abandon(self, number: int) -> bool:
        waiting = number in self.exchange
        self.exchange.abandon(number)
        return waiting


class World(Rig):
    manifests = MANIFESTS

    def __init__(self, spots: Mapping[str, str]) -> None:
        self._desk = Desk(seeds.desk(spots))
        self.orders: list[tuple[str, str, int, str]] = []
        self._line = _Line(self)
        self._todo: deque[tuple[bytes, str, Any]] = deque()
        self._busy = False
        self._steps = 0
        self._drivers: dict[bytes, FakeDriver] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.agents: dict[int, dict[str, Any]] = {}
        self._tools: dict[str, dict[str, Tool]] = {}
        super().__init__(Config(default_model="m", approval_patience=20.0))
        self._begin(spots)

    def _begin(self, spots: Mapping[str, str]) -> None:
        for name, card in CARDS.items():
            if card["kind"] == "tool":
                tools = self._desk.tools(name)
                self._tools[name] = {tool.card.name: tool for tool in tools}
                cards = [tool.card.model_dump() for tool in tools]
                self._known(self.tool(name, *cards, **card))
            else:
                plenty = {"features": ["preempt", "resume_tokens", "tools"], "slots": 64}
                models = [{"name": "m", "context_length": 1_000_000}]
                self._known(self.driver(name, models=models, **plenty, **card))
        self._known(FakeHost(self, "host", {"slots": 64}))
        self.neighbour, session = self.program("neighbour")
        self._neighbour = {"session": session, "peer": b"prog"}
        plant(self, spots)

    def published(self, row: seeds.Row) -> None:
        """By the neighbour; what is private, by somebody who has read it."""
        by: dict[str, Any] = self._neighbour
        if row.private:
            clerk, session = self.program(peer=b"clerk")
            by = {"session": session, "peer": b"clerk"}
            self.call("mem.put", pid=clerk, key="k", value=row.text, labels=[PRIVATE])
            self.call("mem.get", **by, key="k")
        self.call("ipc.publish", **by, topic=row.where, body=row.text)

    def letters(self) -> list[dict[str, Any]]:
        """The neighbour's mail."""
        found: list[dict[str, Any]] = []
        if self._alive(self.neighbour):
            found = self.call("ipc.recv", **self._neighbour, limit=100, block=False)["mail"]
        return found

    def read(self, path: str, **own: int) -> str:
        """A file, as the user sees it."""
        number = self.send("fs.read", path=path, **own)
        (reply,) = [one for one in self.inbox[b"user"] if one.id == number]
        return b"".join(reply.buffers).decode()

    @property
    def deeds(self) -> list[Deed]:
        return self._desk.deeds

    @property
    def here(self) -> list[int]:
        return [pid for pid in self.agents if self.machine.table.find(pid) is not None]

    def _alive(self, pid: int) -> bool:
        process = self.machine.table.find(pid)
        return process is not None and process.alive

    def _known(self, driver: FakeDriver) -> None:
        self._drivers[driver.peer] = driver

    # -- what leaves the kernel ----------------------------------------------------------------

    def _take(self, effects: Effects) -> None:
        super()._take(effects)
        for send in effects.sends:
            if send.peer == _AGENTS:
                self._line.exchange.feed(send.frames)
        self._todo += [(one.peer, one.kind, one.body) for one in effects.commands]
        self._steps += 1
        if self._busy:
            return
        self._busy = True
        try:
            while self._todo:
                peer, kind, body = self._todo.popleft()
                if (driver := self._drivers.get(peer)) is not None:
                    self._obey(driver, kind, body)
        finally:
            self._busy = False

    def _obey(self, driver: FakeDriver, kind: str, body: Any) -> None:
        if kind in ("start", "call"):
            self.orders.append((driver.name, kind, body.pid, body.model_dump_json()))
        if kind == "start":
            said, calls = answer(body.messages, body.tools)
            step = StepReport(
                burst=body.burst, attempt=body.attempt, index=0, tokens=[1], text=said,
                prompt_tokens=1, tool_calls=calls, finish="tool_calls" if calls else "stop",
            )  # fmt: skip
            driver.say("report", {"steps": [step.model_dump(mode="json")]})
        elif kind == "call":
            driver.say("result", self._result(driver.name, body))
        elif kind == "assign":
            program = AsyncSystem(self._line, body.session, body.pid)  # type: ignore[arg-type]
            spec = AgentSpec.model_validate(body.manifest["spec"])
            self.agents[body.pid] = as_written(body.manifest)
            self._tasks[body.pid] = asyncio.ensure_future(live(program, body.name, spec))
        elif kind == "signal" and body.signal in ("KILL", "TERM") and body.pid in self._tasks:
            self._tasks[body.pid].cancel()

    def _result(self, driver: str, order: Any) -> dict[str, Any]:
        try:
            run = self._tools[driver][order.tool].run
            return {"job": order.job, "content": run(order.arguments, Job(order.job, order.pid))}
        except LLMOSError as error:
            return {"job": order.job, "error": ErrorRecord.of(error).model_dump(mode="json")}

    # -- a case --------------------------------------------------------------------------------

    async def lead(self, manifest: str, text: str, user: User, letter: str = "") -> int:
        """Start an agent, and see it to its end, and those that it has started; its pid."""
        pid: int = self.call("proc.spawn", manifest=manifest, text=text)["pid"]
        if letter:
            self.call("ipc.send", pid=pid, body=f"hello{letter}")
        end = self.now + _LONGEST
        while True:
            await self._still()
            if user.decides(self):
                continue
            if all(task.done() for task in self._tasks.values()):
                break
            assert self.now < end, f"{self.state(pid)} after {_LONGEST:g} s"
            self.wait(1)
        return pid

    async def _still(self) -> None:
        idle = 0
        while idle < _IDLE:
            before = self._steps
            await asyncio.sleep(0)
            idle = idle + 1 if before == self._steps else 0

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self.store.close()


def as_written(assigned: dict[str, Any]) -> dict[str, Any]:
    """A manifest as it is in its file; one that a model has written, as it was given."""
    file = MANIFESTS / f"{assigned['metadata']['name']}.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else assigned
    return found
