"""A town: one machine in this process, and everybody who talks to it in a stateful fuzz.

Users, programs, agents on a host, and drivers. Each step is one turn of a few inputs, made from a
seed of its own and from what was answered before, so a story can be played again with steps left
out. It knows nothing about which steps there are to be.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from kernel.config import Config
from kernel.effects import ClientGone, DriverGone, FromClient, FromDriver, Input, Tick
from llmagentos.abi import wire
from llmagentos.abi.process import INIT
from llmagentos.abi.wire import Message
from tests.campaigns.findings import shown, wrong_reply
from tests.campaigns.grammar import CALLS, narrow
from tests.campaigns.guests import NAMES, Guests
from tests.kernel.rig import USER, Rig

_CONFIG = Config(
    default_model="m", driver_patience=20, boot_patience=5, silence=8, queue_limit=20,
    events_kept=300, zombies_kept=20, processes_kept=20, mailbox=10, publications_kept=20,
    versions_kept=10, replays_kept=50, calls_open=40,
)  # fmt: skip
_LEARNT = {
    "pid": "pid", "checkpoint": "checkpoint", "summary": "message", "message": "message",
    "seq": "since", "version": "version", "approval": "approval", "hash": "hash",
}  # fmt: skip
_LAST = 8
"""Of each kind of thing, so many are remembered."""
_COMMON = ["llm.generate", "tool.call", "proc.spawn", "proc.fork", "proc.kill", "ipc.recv"]
_THINGS = ("path", "key", "space", "topic", "checkpoint", "pid")
"""Fields that say what a call is about."""
_NAMES = [name for name in CALLS if name != "sys.shutdown"]
_FAMILIES: dict[str, list[str]] = defaultdict(list)
for _name in _NAMES:
    _FAMILIES[_name.partition(".")[0]].append(_name)


class Wrong(Exception):
    """The machine did what it must never do."""


class Town:
    """``theme`` chooses the families of calls that are made most."""

    def __init__(self, theme: str) -> None:
        chance = random.Random(theme)
        self.rig = Rig(_CONFIG)
        chosen = chance.sample(sorted(_FAMILIES), 2)
        self._common = [*_COMMON, *(name for family in chosen for name in _FAMILIES[family])]
        self.pools: dict[str, list[Any]] = defaultdict(list, narrow(chance))
        self.pools["pid"] = [INIT]
        self.sessions: list[tuple[bytes, str]] = []
        self.story: list[str] = []
        self.guests = Guests(self._announce)
        self._turn: list[Input] = []
        self._calls: dict[tuple[bytes, int], Message] = {}
        self._number = 0
        self._read: dict[bytes, int] = defaultdict(int)
        self._ordered: dict[bytes, int] = defaultdict(int)
        self._said: list[tuple[bytes, Message]] = []
        self._leads: list[tuple[bytes, str, str, dict[str, Any]]] = []
        """Calls that succeeded, to be followed by others about the same things."""
        for name in NAMES:
            self.guests.arrive(name)
        self.adopt(chance)

    # -- steps -------------------------------------------------------------------------------

    def step(self, seed: str) -> None:
        """One turn: a few inputs, then a look at what came of them."""
        chance = random.Random(seed)
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            acts, weights = zip(*_ACTS, strict=True)
            chance.choices(acts, weights)[0](self, chance)
        inputs, self._turn = self._turn, []
        for one in inputs:
            self.rig.machine.apply(one, self.rig.now)
        self.rig.put_in(Tick())
        self._listen()

    def call(self, chance: random.Random) -> None:
        few = [*self.sessions[-3:], *self.sessions[-1:], (b"user", USER)]
        peer, session = chance.choice(few)
        name = chance.choice(self._common if chance.random() < 0.8 else _NAMES)
        known: dict[str, Any] = {}
        if self._leads and chance.random() < 0.4:
            peer, session, family, known = chance.choice(self._leads[-5:])
            name = chance.choice(_FAMILIES[family])
        grammar = CALLS[name]
        wild = chance.random() < 0.12
        args = grammar.wild(chance, self.pools) if wild else grammar.sound(chance, self.pools)
        if not wild:
            args |= {field: value for field, value in known.items() if field in grammar.fields}
        buffers: tuple[bytes, ...] = ()
        if name == "fs.write" and ("text" not in args or chance.random() < 0.1):
            buffers = (b"content",) * chance.choice([1, 1, 1, 1, 2])
        self._say(peer, session, name, args, buffers)

    def repeat(self, chance: random.Random) -> None:
        """A call that was made before; or another one under its id."""
        if not self._said:
            return
        peer, old = chance.choice(self._said[-20:])
        if chance.random() < 0.8:
            self._repeat(peer, old)
            return
        name = chance.choice(_NAMES)
        args = CALLS[name].sound(chance, self.pools)
        self._repeat(peer, Message("call", old.id, name, old.session, args))

    def adopt(self, chance: random.Random) -> None:
        peer = b"program-%d" % chance.randrange(4)
        args: dict[str, Any] = {"name": "known"} if chance.random() < 0.3 else {}
        if chance.random() < 0.5:
            ask = chance.choice([[], [], ["tool:*", "mem:*", "llm:*"]])
            args["capabilities"] = {"allow": ["*", "ipc:*"], "ask": ask}
        if chance.random() < 0.4:
            args["limits"] = CALLS["proc.limits"].sound(chance, {}).get("limits")
        self._say(peer, USER, "proc.adopt", args)

    def decide(self, chance: random.Random) -> None:
        if self.pools["approval"]:
            args = {"approval": chance.choice(self.pools["approval"][-3:])}
            args |= {"approve": chance.random() < 0.7, "always": chance.random() < 0.3}
            self._say(b"user", USER, "cap.decide", args)

    def work(self, chance: random.Random) -> None:
        self.guests.work(chance)

    def babble(self, chance: random.Random) -> None:
        self.guests.babble(chance, self.pools)

    def beat(self, chance: random.Random) -> None:
        self.guests.beat()

    def somebody_goes(self, chance: random.Random) -> None:
        if self.guests.peers and chance.random() < 0.5:
            gone = self.guests.gone(chance.choice(list(self.guests.peers)))
            self._turn.append(DriverGone(gone))
        elif self.sessions:
            self._turn.append(ClientGone(chance.choice(self.sessions)[0]))

    def somebody_comes(self, chance: random.Random) -> None:
        self.guests.arrive(chance.choice(NAMES))

    def time_passes(self, chance: random.Random) -> None:
        self.rig.now += chance.choice([0.1, 1, 3, 12, 61, 4000])

    def crash(self, chance: random.Random) -> None:
        """Only between turns."""
        if not self._turn:
            self.rig.crash()
            self._read.clear()
            self._ordered.clear()
            self.guests.forget()
            for name in NAMES[: chance.randint(0, 4)]:
                self.guests.arrive(name)

    def quiet(self) -> None:
        """Let go of all work that is under way: no driver is left, and no call."""
        for name in list(self.guests.peers):
            self.rig.put_in(DriverGone(self.guests.gone(name)))
        for process in list(self.rig.machine.table):
            self.rig.machine.calls.drop_calls(process, "the story is over")
        self.rig.put_in(Tick())
        self._listen()

    # -- to the machine and back -------------------------------------------------------------

    def _say(
        self, peer: bytes, session: str, name: str, args: Any, buffers: tuple[bytes, ...] = ()
    ) -> None:
        self._number += 1
        self._repeat(peer, Message("call", self._number, name, session, args, buffers))

    def _repeat(self, peer: bytes, message: Message) -> None:
        heard = _over_the_wire(message)
        if heard is not None:
            self.story.append(f"{peer.decode()}: {message.id} {message.name} {shown(message.body)}")
            self._said.append((peer, heard))
            self._calls[peer, heard.id] = heard
            self._turn.append(FromClient(peer, heard))

    def _announce(self, peer: bytes, kind: str, body: dict[str, Any], key: str) -> None:
        heard = _over_the_wire(Message(kind, session=key, body=body))
        if heard is not None:
            self.story.append(f"{peer.decode()} announces {kind} {shown(body)}")
            self._turn.append(FromDriver(peer, heard))

    def _listen(self) -> None:
        """Learn from what came; the first wrong thing ends the story."""
        for peer, messages in list(self.rig.inbox.items()):
            for message in messages[self._read[peer] :]:
                if message.kind == "reply":
                    if wrong := wrong_reply(message.name, message.body):
                        raise Wrong(wrong)
                    if message.body["ok"]:
                        self._learn(peer, message.name, message.body["result"])
                        self._follow(peer, self._calls[peer, message.id])
            self._read[peer] = len(messages)
        for peer in self.guests.peers.values():
            commands = self.rig.commands[peer]
            for kind, body in commands[self._ordered[peer] :]:
                if kind == "assign":
                    self.sessions.append((peer, body.session))
                self.guests.ordered(peer, kind, body)
            self._ordered[peer] = len(commands)
        for event in self.rig.events:
            if event["type"] == "kernel.bug":
                raise Wrong(f"{event['data']['call']}: {event['data']['error']}")
            if event["type"] == "approval.asked":
                self._remember("approval", event["data"]["approval"])
        self.rig.events.clear()

    def _learn(self, peer: bytes, name: str, result: dict[str, Any]) -> None:
        if name == "proc.adopt":
            self.sessions.append((peer, result["session"]))
        if name == "proc.spawn":
            self._remember("proc.fork.pid", result["pid"])
        for field, pool in _LEARNT.items():
            if isinstance(result.get(field), int | str):
                self._remember(pool, result[field])
        for id in result.get("ids", ())[:2]:
            self._remember("message", id)
        self.pools["call"] = [self._number, self._number - 1]
        self.pools["tree"] = self.pools["pid"]

    def _follow(self, peer: bytes, call: Message) -> None:
        things = {field: value for field, value in call.body.items() if field in _THINGS}
        if things:
            self._leads.append((peer, call.session, call.name.partition(".")[0], things))

    def _remember(self, pool: str, value: Any) -> None:
        if value not in self.pools[pool]:
            self.pools[pool] = [*self.pools[pool][-_LAST:], value]


def _over_the_wire(message: Message) -> Message | None:
    """As the kernel hears it; None: it is no msgpack, or malformed. Such things are said in bytes,
    by the stateless fuzzer."""
    try:
        return wire.decode(wire.encode(message))
    except (ValueError, OverflowError, wire.MalformedError):
        return None


_ACTS: list[tuple[Callable[[Town, random.Random], None], int]] = [
    (Town.call, 60), (Town.work, 24), (Town.adopt, 3), (Town.decide, 5), (Town.repeat, 5),
    (Town.babble, 2), (Town.beat, 4), (Town.somebody_goes, 2), (Town.somebody_comes, 3),
    (Town.time_passes, 5), (Town.crash, 1),
]  # fmt: skip
