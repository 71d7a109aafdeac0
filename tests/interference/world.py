"""The world of one program: a kernel's machine, the drivers around it, and who makes calls.

Everything that the machine lets out passes by ``_take``, where it is looked at; what a process was
told it knows from then on, and may say again. It knows nothing about which calls are made, nor
about what goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from kernel.config import Config
from kernel.effects import ClientGone, Effects, FromClient
from llmagentos.abi import wire
from llmagentos.abi.process import INIT
from llmagentos.abi.wire import Message
from tests.interference.clearance import check_command, check_message, check_public
from tests.interference.disk import Disk
from tests.interference.drivers import CARDS, HOST, Echo
from tests.interference.markers import Markers, found
from tests.kernel.rig import MODEL, USER, Rig

_CONFIG: Final = Config(default_model=MODEL)


@dataclass(slots=True)
class Actor:
    """A process that makes calls. ``told``: the markers that it knows. ``session``: "" while no
    host runs it."""

    pid: int
    session: str
    peer: bytes
    told: list[str] = field(default_factory=list)


class World(Rig):
    """``news``: to whom another process did something last, and what. ``kept``: where rows and
    files are. ``heard``: how often a call was answered well, by its name, and ``passed`` how often
    the answer had a marker in it: so that a test can tell whether anything happened at all."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.config, self.store, self.now = _CONFIG, Disk(), 1_000_000.0
        self.beating = []
        self._tokens, self._ids = count(), count(1)
        self.markers = Markers()
        self.actors: dict[int, Actor] = {INIT: Actor(INIT, USER, b"user")}
        self.parents: dict[int, int] = {}
        self.approvals: list[int] = []
        self.news = (INIT, "")
        self.kept: list[dict[str, Any]] = []
        self.heard: dict[str, int] = {}
        self.passed: dict[str, int] = {}
        self.trace = trace
        self._calls: dict[int, tuple[str, int]] = {}
        self._peers: dict[bytes, Echo] = {}
        self.drivers: dict[str, Echo] = {}
        self.boot()
        for name in (*CARDS, HOST):
            self.drivers[name] = Echo(self, name)
        self.wait_a_turn()

    def close(self) -> None:
        self.store.close()

    def wait_a_turn(self, seconds: float = 0.01) -> None:
        self.now += seconds

    def connected(self, driver: Echo) -> None:
        """A driver speaks under this peer from now on."""
        self._peers[driver.peer] = driver

    def tell(self, line: str) -> None:
        if self.trace is not None:
            self.trace.append(line)

    def labels_of(self, pid: int) -> tuple[str, ...]:
        """As the kernel has them."""
        process = self.machine.table.find(pid)
        if process is not None:
            return process.labels
        past = self.machine.graveyard.find(pid)
        return tuple(past.labels) if past is not None else ()

    def crash(self) -> None:
        """The kernel dies and is started again. Nobody has a host until one registers."""
        self._calls.clear()
        super().crash()

    def homeless(self) -> None:
        """The agents' host is gone, and their sessions with it."""
        for actor in self.actors.values():
            if actor.peer == b"host":
                actor.session = ""

    # -- calls ---------------------------------------------------------------------------------

    def say(self, actor: Actor, name: str, args: dict[str, Any]) -> None:
        """Make a call, whose reply may come at once, later, or never."""
        number = next(self._ids)
        self._calls[number] = name, actor.pid
        self.tell(f"{actor.pid}: {number} {name} {args}")
        self.put_in(FromClient(actor.peer, Message("call", number, name, actor.session, args)))

    def looked_at(self) -> None:
        """Whoever is there asks how the drivers are."""
        for actor in list(self.actors.values()):
            process = self.machine.table.find(actor.pid)
            if actor.pid != INIT and actor.session and process is not None and process.alive:
                self.say(actor, "drv.list", {})

    # -- what the machine lets out -------------------------------------------------------------

    def _take(self, effects: Effects) -> None:
        self.store.commit(effects.rows, effects.events)
        check_public(repr(effects.events))
        for event in effects.events:
            if event["type"] == "approval.asked":
                self.approvals.append(event["data"]["approval"])
                self.news = self.parents.get(event["pid"], INIT), "asked"
            elif event["type"] == "kernel.bug":
                raise AssertionError(f"a bug in the kernel: {event['data']}")
        # Before its replies: whoever is spawned exists when its parent hears of it.
        for command in effects.commands:
            self._commanded(command.peer, command.kind, command.body)
        for send in effects.sends:
            self._told(send.frames)
        for peer in effects.doubted:
            self.put_in(ClientGone(peer))

    def _commanded(self, peer: bytes, kind: str, body: Any) -> None:
        driver = self._peers.get(peer)
        if driver is None or body is None:
            return
        fields = body.model_dump(mode="json")
        raw = wire.pack(fields)
        if driver.name != HOST:
            self.tell(f"  {driver.name} <- {kind} {fields}")
            check_command(driver.card, kind, fields, raw)
            driver.hears(kind, body)
        elif kind == "assign":
            told = found(raw)
            check_message(body.pid, self.labels_of(body.pid), "its assignment", told)
            actor = self.actors.setdefault(body.pid, Actor(body.pid, "", b"host"))
            actor.session = body.session
            actor.told += told
            self._born(body.pid)

    def _told(self, frames: list[bytes]) -> None:
        message = wire.decode(frames)
        name, pid = self._calls.get(message.id, ("", INIT))
        if not name:
            return
        told = [one for frame in frames[1:] for one in found(frame)]
        if self.trace is not None:
            self.tell(f"  {pid} <- {message.id} {message.kind} {message.body}")
        if pid != INIT and told:
            check_message(pid, self.labels_of(pid), f"a {message.kind} to {name}", told)
            self.actors[pid].told += told
        if message.kind == "stream":
            self._counted("stream", told)
        elif message.body["ok"]:
            self._counted(name, told)
            result = message.body["result"]
            if name == "proc.fork":
                self.news = result["pid"], "fork"
            elif name == "cap.decide":
                self.news = self.parents.get(pid, INIT), "decided"
            elif name == "proc.adopt":
                peer = b"program-%d" % result["pid"]
                self.actors[result["pid"]] = Actor(result["pid"], result["session"], peer)
                self._born(result["pid"])
        else:
            self._counted(f"{message.body['error']['code']} {name}", told)

    def _born(self, pid: int) -> None:
        process = self.machine.table.find(pid)
        assert process is not None
        self.parents[pid] = process.ppid

    def _counted(self, what: str, told: list[str]) -> None:
        self.heard[what] = self.heard.get(what, 0) + 1
        if told:
            self.passed[what] = self.passed.get(what, 0) + 1
