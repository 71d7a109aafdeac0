"""Programs and the user's shells: clients that come, make calls in several lanes, die, come back.

A program has a process of its own, which it adopts with the user's key; a shell calls as the user.
It knows nothing about what the calls do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmagentos.abi.process import INIT
from tests.kernel.rig import USER
from tests.sim import kin
from tests.sim.callers import Call, Caller, Pause, Script
from tests.sim.manifests import capabilities, limits
from tests.sim.violation import must
from tests.sim.voices import Act, Voice, act

if TYPE_CHECKING:
    from tests.sim.world import World


class Client:
    """``name``: of the lasting process that a program has; "" if it ends with the connection."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.caller: Caller
        self.start()

    def start(self) -> None:
        number = self.world.number()
        self.caller = Caller(self.world, f"c-{self.name or 'program'}-{number}".encode())
        self._begin()

    def _begin(self) -> None:
        self.caller.run(self._adopt(), INIT, USER)

    def die(self, away: float) -> None:
        """A shell's ids end with it: the next one is another client."""
        if not self.caller.link.closed:
            self.caller.close()
            self.world.agenda.after(away, self.start)

    def _adopt(self) -> Script:
        """Again and again: its process may be killed, or run out of time."""
        chance = self.world.chance
        args = {"limits": limits(chance)}
        if chance.random() < 0.5:
            args["capabilities"] = capabilities(chance)
        if self.name:
            args["name"] = self.name
        made = yield Call("proc.adopt", args)
        if made is None or not made.ok:
            yield Pause(2.0)
            self._adopt_again(self.caller)
            return
        pid, session = made.body["pid"], made.body["session"]
        caller = self.caller
        for _ in range(self.world.chance.choice((3, 4, 6))):
            caller.run(self._lane(caller, pid), pid, session)

    def _lane(self, caller: Caller, pid: int) -> Script:
        voice = Voice(self.world, pid)
        while not self.world.ending:
            yield from act(voice)
            if voice.last.code == "EAUTH":
                # Its process has ended. Of many lanes the last one sees to another.
                if len(caller.lanes) == 1:
                    self._adopt_again(caller)
                return
            yield Pause(self.world.chance.choice((0.0, 0.3, 1.5)))

    def _adopt_again(self, caller: Caller) -> None:
        if not self.world.ending and caller is self.caller:
            caller.run(self._adopt(), INIT, USER)


class Shell(Client):
    """What only the user may is in here."""

    def _begin(self) -> None:
        for _ in range(3):
            self.caller.run(self._lane(self.caller, INIT), INIT, USER)

    def _lane(self, caller: Caller, pid: int) -> Script:
        voice = Voice(self.world, INIT)
        while not self.world.ending:
            chance = self.world.chance.random()
            if chance < 0.4:
                yield from kin.breed(voice)
            elif chance < 0.65:
                yield from kin.govern(voice)
            elif chance < 0.75:
                yield from kin.decide(voice)
            elif chance < 0.83:
                yield from self._administer(voice)
            else:
                yield from act(voice)
            yield Pause(self.world.chance.choice((0.1, 0.5, 1.5)))

    def _administer(self, voice: Voice) -> Act:
        chance, known = self.world.chance, self.world.witness.lives.known
        draw = chance.random()
        if draw < 0.3:
            labelled = [one for one in known.values() if one.labels and one.alive]
            if labelled:
                one = chance.choice(labelled)
                labels = [chance.choice(one.labels)]
                yield from voice.call("cap.revoke", pid=one.pid, labels=labels)
        elif draw < 0.6:
            name = chance.choice(sorted(self.world.workers))
            yield from voice.call("drv.drain", name=name)
            yield Pause(chance.uniform(0.5, 6.0))
            yield from voice.call("drv.drain", name=name, on=False)
        else:
            name = chance.choice(("sys.events", "sys.audit", "sys.metrics", "proc.list"))
            yield from voice.call(name)


def clean_up(world: World, end: float) -> Script:
    """The user helps all that waits for him, and in the end ends what never ends by itself."""
    voice, agenda = Voice(world, INIT), world.agenda
    patience = (end - agenda.now) / 2
    while True:
        for name in sorted(world.server.machine.registry.drained):
            yield from voice.call("drv.drain", name=name, on=False)
        for one in list(world.witness.lives.known.values()):
            if one.state == "STOPPED":
                yield from voice.call("proc.kill", pid=one.pid, signal="CONT")
            elif one.alive and one.kind == "agent" and agenda.now > end - patience:
                must(one.endless, "process {} never ends, and is {}", one.pid, one.state)
                yield from voice.call("proc.kill", pid=one.pid, signal="TERM")
        if any(True for _ in world.server.machine.approvals.open()):
            yield from kin.decide(voice)
        yield Pause(3.0)
