"""Faults: what goes wrong, how often, and when. Each seed has a weather of its own.

It knows nothing about how anybody gets over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmagentos.abi.wire import Message
from tests.sim.programs import Shell

if TYPE_CHECKING:
    from tests.sim.server import Fate
    from tests.sim.world import World

_CALM = 0.15
"""Below this draw a seed has no faults at all, but for those of its actors."""


class Faults:
    """``pause``: seconds between two faults, more or less."""

    def __init__(self, world: World) -> None:
        self.world, self.chance = world, world.chance
        self.over = False
        calm = self.chance.random() < _CALM
        self._crashes = 0.0 if calm else self.chance.choice((0.0, 0.005, 0.02, 0.02, 0.1))
        self._pause = 1e9 if calm else self.chance.choice((1.0, 4.0, 15.0))
        self._again()

    def fate(self) -> Fate:
        """What becomes of the kernel in the turn that begins."""
        if self.over or self.chance.random() >= self._crashes:
            return "lives"
        return self.chance.choice(("dies before the commit", "dies after the commit"))

    def _again(self) -> None:
        self.world.agenda.after(self.chance.expovariate(1.0 / self._pause), self._strike)

    def _strike(self) -> None:
        if self.over:
            return
        fault = self.chance.choices(
            (self._worker_dies, self._worker_hangs, self._worker_babbles, self._link_breaks,
             self._client_dies, self._clock_jumps, self._disk_fails, self._stranger),
            (5, 4, 2, 6, 4, 1, 1, 2),
        )[0]  # fmt: skip
        self.world.say(f"fault: {fault.__name__}")
        fault()
        self._again()

    def _worker_dies(self) -> None:
        worker = self.chance.choice(list(self.world.workers.values()))
        worker.die(self.chance.choice((0.1, 2.0, 12.0, 40.0)))

    def _worker_hangs(self) -> None:
        worker = self.chance.choice(list(self.world.workers.values()))
        worker.hang(self.chance.choice((0.5, 5.0, 15.0)))

    def _worker_babbles(self) -> None:
        workers = [w for w in self.world.workers.values() if w.awake]
        if workers:
            self.chance.choice(workers).babble()

    def _link_breaks(self) -> None:
        """A shell's, or a worker's, only so that both sides hear of it: see docs/wire.md."""
        links = [link for link in self.world.network if link.connected]
        if not links:
            return
        link, outage = self.chance.choice(links), self.chance.choice((0.05, 0.15, 1.0, 8.0))
        shells = {c.caller.link for c in self.world.clients if isinstance(c, Shell)}
        if link in shells:
            outage = 0.05
        elif link.door == "drivers":
            outage = max(outage, 1.0)
        link.cut(outage)

    def _client_dies(self) -> None:
        self.chance.choice(self.world.clients).die(self.chance.choice((0.1, 3.0, 20.0)))

    def _clock_jumps(self) -> None:
        self.world.server.skew += self.chance.choice((2.0, 30.0, 4000.0))

    def _disk_fails(self) -> None:
        disk = self.world.server.disk
        if self.chance.random() < 0.5:
            disk.failing = True
        else:
            disk.fill(self.chance.choice((0, 0, 1, 5)))
            self.world.agenda.after(self.chance.choice((0.5, 5.0)), disk.make_room)

    def _stranger(self) -> None:
        """Somebody without a session, or with a guessed one, tries his luck."""
        name = self.chance.choice(("proc.kill", "sys.shutdown", "ctx.read", "nonsense", ""))
        body = {"pid": self.chance.randint(1, 9)}
        session = self.chance.choice(("", "guess"))
        message = Message("call", self.world.number(), name, session, body)
        self.world.server.arrive("clients", b"stranger", message)
