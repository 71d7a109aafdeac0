"""Workers: processes on the kernel's socket for drivers, and the life that all of them lead:
register, beat, fall silent, talk nonsense, die, and be started again.

It knows nothing about the work that they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmagentos.abi.wire import Message
from tests.kernel.rig import SERVICE
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.world import World

BEAT = 3.0
"""Seconds between two beats: fewer than in truth, so that fewer turns are about nothing else."""

_NEVER = float("-inf")


class Worker:
    """``card``: what it registers with, but for the state."""

    def __init__(self, world: World, name: str, card: dict[str, Any]) -> None:
        self.world, self.name, self.card = world, name, card
        self.alive = False
        self.peer = b""
        self.state = "ready"
        self._life = 0
        self._hanging = self._rude = False
        self._backlog: list[tuple[str, Any]] = []
        self._registered = _NEVER
        self.start()

    def start(self) -> None:
        """A new process under the same name."""
        if self.alive:
            return
        self.alive, self._life = True, self._life + 1
        self.peer = f"{self.name}-{self._life}".encode()
        self._registered, self._hanging, self._rude = _NEVER, False, False
        self._backlog.clear()
        self.state = "ready"
        if self.world.chance.random() < 0.3 and self.card["kind"] != "host":
            self.state = "loading"
            self._later(self.world.chance.uniform(0.1, 4.0), lambda: self.turn("ready"))
        self.link = self.world.network.link("drivers", self.peer, self)
        self._later(BEAT, self._beat)

    def die(self, away: float) -> None:
        """And be started again after so many seconds."""
        if self.alive:
            self.alive = False
            self.forget()
            self.link.close()
            self.world.agenda.after(away, self.start)

    def hang(self, seconds: float) -> None:
        """Do nothing and say nothing; what comes meanwhile is read afterwards."""
        if self.alive and not self._hanging:
            self._hanging = True
            self._later(seconds, self._wake)

    def babble(self) -> None:
        """Nonsense, for which the kernel turns it away."""
        self._rude = True
        bodies = ({"steps": 5}, {"steps": [{"burst": -1}]}, {"state": "sleepy"}, {"job": "x"})
        self.say(self.world.chance.choice(("report", "beat", "result", "welcome")),
                 self.world.chance.choice(bodies))  # fmt: skip

    def turn(self, state: str) -> None:
        """It can do more, or less, than before."""
        self.state = state
        self._pulse()

    # -- what differs ------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop all work."""
        raise NotImplementedError

    def obey(self, kind: str, body: Any) -> None:
        raise NotImplementedError

    def running(self) -> dict[int, str]:
        """The pids that a host runs, and their sessions."""
        return {}

    # -- the line to the kernel --------------------------------------------------------------

    @property
    def awake(self) -> bool:
        return self.alive and not self._hanging

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self.link.send(Message(kind, session=SERVICE, body=body))

    def up(self) -> None:
        if self._registered == _NEVER:
            self._register()

    def hear(self, item: tuple[str, Any]) -> None:
        if self._hanging:
            self._backlog.append(item)
        elif self.alive:
            kind, body = item
            if kind == "who":
                self._forgotten()
            elif kind == "refuse":
                # Another of the same name may not be known to have died.
                fair = self._rude or body.code == "EBUSY"
                must(fair, "{} is turned away for nothing: {}", self.name, body)
                self.die(self.world.chance.uniform(0.5, 5.0))
            elif kind == "welcome":
                self._welcomed()
            else:
                self.obey(kind, body)

    def _register(self) -> None:
        running = self.running()
        lists = {"running": [*running], "sessions": [*running.values()]}
        card = {**self.card, "state": self.state, "os_pid": self._life, **lists}
        self._registered = self.world.agenda.now
        self.say("register", card)

    def _welcomed(self) -> None:
        # What was begun under an earlier registration is void, also what came after this one left.
        if self.card["kind"] != "host":
            self.forget()

    def _forgotten(self) -> None:
        # Beats that were under way each bring a `who`; one registration answers them all.
        if self.world.agenda.now - self._registered > 1.0:
            self._welcomed()
            self._register()

    def _beat(self) -> None:
        self._pulse()
        self._later(BEAT, self._beat)

    def _pulse(self) -> None:
        if self.awake:
            self.say("beat", {"state": self.state})

    def _wake(self) -> None:
        self._hanging = False
        backlog, self._backlog = self._backlog, []
        for item in backlog:
            self.hear(item)
        self._pulse()

    def _later(self, seconds: float, action: Any) -> None:
        """Unless this process has ended by then."""
        life = self._life
        self.world.agenda.after(seconds, lambda: action() if self._still(life) else None)

    def _still(self, life: int) -> bool:
        return self.alive and self._life == life
