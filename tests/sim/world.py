"""A world: the kernel and all who use it, under one virtual clock and from one seed.

``run`` lets them do as they please for so many turns of the kernel, while things go wrong; then
nothing goes wrong any more, and whatever was begun must come to its end. The same seed gives the
same world, to the last event. It knows nothing about what must hold: the witness does.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Any

from kernel.config import Config
from kernel.policies import POLICIES, Policy
from llmagentos.abi.process import INIT
from tests.kernel.rig import USER
from tests.sim.agenda import Agenda
from tests.sim.callers import Caller, Sent
from tests.sim.drivers import Driver
from tests.sim.faults import Faults
from tests.sim.hosts import Host
from tests.sim.markers import Markers
from tests.sim.network import Network
from tests.sim.programs import Client, Shell, clean_up
from tests.sim.server import Server
from tests.sim.tools import Effects, Tools
from tests.sim.violation import Violation, must
from tests.sim.witness import Witness
from tests.sim.workers import Worker

_BOUND = 400.0
"""Virtual seconds in which so many turns must come, and again in which all must come to its end
when nothing goes wrong any more."""


class World:
    """``calls``: all that were ever made, by id. ``ending``: nobody begins anything new.
    ``verbose``: the trace tells of every turn."""

    def __init__(self, seed: int, *, verbose: bool = False) -> None:
        self.seed, self.verbose = seed, verbose
        self.chance = random.Random(seed)
        self.agenda = Agenda()
        self.trace: list[str] = []
        self.calls: dict[int, Sent] = {}
        self.effects: Effects = Effects(list)
        self.ending = False
        self.rudeness = self.chance.choice((0.0, 0.3, 1.0))
        self._numbers = count(1)
        self.markers = Markers(self.chance)
        self.server = Server(self, self._config())
        self.network = Network(self.agenda, self.chance, self.server)
        self.witness = Witness(self)
        self.faults = Faults(self)
        self._quantum = self.chance.choice((1, 2, 4))
        self.server.boot()
        self.workers: dict[str, Worker] = {}
        self._employ()
        names = ("", "collector", "reader")
        self.clients: list[Client] = [Client(self, name) for name in names]
        self.clients += [Shell(self, "shell") for _ in range(2)]

    def number(self) -> int:
        return next(self._numbers)

    def say(self, what: str) -> None:
        self.trace.append(f"{self.agenda.now:.6f} {what}")

    # -- who there is ------------------------------------------------------------------------

    def _config(self) -> Config:
        chance = self.chance
        return Config(
            default_model="m", policy=chance.choice(list(POLICIES)),
            queue_limit=chance.choice((3, 40)), driver_patience=20.0, boot_patience=8.0,
            silence=10.0, approval_patience=chance.choice((10.0, 60.0)),
            zombies_kept=chance.choice((2, 100)), versions_kept=chance.choice((2, 100)),
            publications_kept=chance.choice((5, 100)), mailbox=chance.choice((2, 50)),
        )  # fmt: skip

    def policy(self) -> Policy:
        """A fresh one for each life of the kernel. Quanta are small, so that bursts lose slots."""
        name = self.server.config.policy
        made: Any = POLICIES[name]
        return made() if name == "fifo" else made(quantum=self._quantum)

    def _employ(self) -> None:
        chance = self.chance
        every = ["preempt", "resume_tokens", "count", "embed"]
        some = chance.sample([*every[:3], "resume_text"], chance.randint(0, 4))
        sequel = chance.choice(("resume_tokens", "resume_text"))
        free, dear = {"prompt": 0.0, "completion": 0.0}, {"prompt": 20.0, "completion": 10.0}
        price = chance.choice((None, free, dear, dear))
        near = [_model("m", price=price), _model("small", price=free, context_length=40)]
        far = [_model("m", price=dear), _model("small", price=chance.choice((None, dear)))]
        vectors = _model("vec", price=free, embeds=True, kv_bytes_per_token=0)
        for name, kind, models, features, labels, zone in (
            ("edge", "edge", [*near, vectors], every, ["private", "team"], "device"),
            ("spare", "edge", near[:1], some, ["private"], "device"),
            ("lab", "node", [_model("big"), *near[:1]], every[:2], ["private", "team"], "lab"),
            ("cloud", "cloud", far, [sequel], ["team"][: chance.randint(0, 1)], "cloud"),
        ):
            card = {
                "name": name, "kind": kind, "models": models, "features": features,
                "labels": labels, "zone": zone, "slots": chance.choice((1, 1, 2, 3)),
            }  # fmt: skip
            self.workers[name] = Driver(self, name, card, chance.choice((0.1, 0.3, 0.8)))
        for name, labels, tools in (
            ("tools", ["private", "team"], ("echo", "shell", "vault")),
            ("webtools", [], ("echo", "web")),
        ):
            cards = [{"name": t, "labels": ["private"] * (t == "vault")} for t in tools]
            card = {
                "name": name, "kind": "tool", "tools": cards, "labels": labels,
                "slots": chance.choice((1, 3)), "zone": "device",
            }  # fmt: skip
            self.workers[name] = Tools(self, name, card)
        for name, slots in (("host", 3), ("other", 30)):
            card = {"name": name, "kind": "host", "slots": slots}
            self.workers[name] = Host(self, name, card)

    # -- what happens ------------------------------------------------------------------------

    def run(self, turns: int) -> None:
        while self.server.turns < turns:
            self.agenda.step()
            must(self.agenda.now < _BOUND, "the kernel makes no progress")
        self._finish()
        self._last_crash()
        self.witness.close()

    def close(self) -> None:
        self.server.disk.close()

    def _finish(self) -> None:
        """Nothing goes wrong any more: everything that was begun comes to its end."""
        self.say("nothing goes wrong any more")
        self.ending = self.faults.over = True
        self.rudeness = 0.0
        self.server.disk.heal()
        end = self.agenda.now + _BOUND
        janitor = Caller(self, b"c-janitor")
        janitor.run(clean_up(self, end), INIT, USER)
        while not self._quiet(janitor):
            self.agenda.step()
            if self.agenda.now >= end:
                raise Violation(f"it never ends: {self._left()}")

    def _last_crash(self) -> None:
        boots = self.network.boots
        self.witness.begins(risky=True)
        self.server.die("the end")
        while not (self.server.running and self.network.boots > boots):
            self.agenda.step()

    def _callers(self) -> list[Caller]:
        hosts = [w.caller for w in self.workers.values() if isinstance(w, Host)]
        return [client.caller for client in self.clients] + [one for one in hosts if one]

    def _quiet(self, janitor: Caller) -> bool:
        busy = any(caller.lanes for caller in self._callers())
        if busy or not self.server.running:
            return False
        machine = self.server.machine
        agents = any(p.alive and p.kind == "agent" for p in machine.table)
        return not agents and all(
            call.process.pid == INIT for call in machine.calls._calls.values()
        )

    def _left(self) -> list[str]:
        """What still goes on."""
        machine = self.server.machine
        calls = [
            f"{call.spec.name} {call.id} of {call.process.pid}"
            for call in machine.calls._calls.values()
        ]
        agents = [
            f"{p.pid} {p.state}({p.reason}) on {p.host}, bursts {[b.state for b in p.bursts]}"
            for p in machine.table
            if p.alive and p.kind == "agent"
        ]
        lanes = [
            f"{caller.peer!r} waits for {[(s.name, s.id) for s in caller.waiting]}"
            for caller in self._callers()
            if caller.lanes
        ]
        return agents + calls + lanes


def _model(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "context_length": 400, "kv_bytes_per_token": 10, **more}
