"""The kernel's process: the real machine, the loop around it, and how it dies.

As ``kernel/server.py`` does, it takes what has arrived, applies it, commits once, and lets the
replies and commands leave; but it takes as many at a time as chance has it, and it can die before
the commit, or after it with only some of the replies sent. It knows nothing about what must hold:
the witness sees every turn.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kernel.boot import boot
from kernel.catalog import Catalog
from kernel.config import Config, Services, StoreFailed
from kernel.effects import (
    ClientGone,
    ClientHere,
    DriverGone,
    Effects,
    FromClient,
    FromDriver,
    Input,
    Tick,
)
from kernel.machine import Machine
from llmagentos.abi import wire
from llmagentos.abi.driver import FROM_KERNEL
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.wire import Message
from tests.kernel.rig import SERVICE, USER
from tests.sim.disk import Disk
from tests.sim.network import GONE, HERE, Door
from tests.sim.trace import told

if TYPE_CHECKING:
    from tests.sim.world import World

_CATALOG = Catalog([Path(__file__).parents[2] / "manifests"])
_EPOCH = 1_000_000.0

_PAUSES = (0.0, 0.02, 0.1, 0.3)
"""Seconds from the first message that arrives to the turn that takes it in, with all that came
meanwhile."""

Fate = Literal["lives", "dies before the commit", "dies after the commit"]


@dataclass(slots=True)
class Turn:
    """What one turn took in and led to. ``replies`` are decoded; ``commands`` are as their
    receivers get them."""

    number: int
    now: float
    inputs: list[Input]
    effects: Effects = field(default_factory=Effects)
    replies: list[tuple[bytes, Message, list[bytes]]] = field(default_factory=list)
    commands: list[tuple[bytes, str, Any, bytes]] = field(default_factory=list)


class Server:
    """``skew``: by how much its clock is off. ``down`` seconds pass between a death and the next
    start."""

    def __init__(self, world: World, config: Config) -> None:
        self.world, self.config = world, config
        self.disk = Disk()
        self.machine: Machine
        self.running = False
        self.skew = 0.0
        self.turns = 0
        self._inbox: deque[Input] = deque()
        self._tokens = count(1)
        self._wake = 0.0
        self._life = 0
        # What it does must not depend on what others draw.
        self._chance = random.Random(f"server {world.seed}")

    @property
    def now(self) -> float:
        return _EPOCH + self.world.agenda.now + self.skew

    # -- life and death ----------------------------------------------------------------------

    def boot(self) -> None:
        """Start, or try to: without room on the disk there is no start."""
        self.disk.open()
        services = Services(
            catalog=_CATALOG,
            history=self.disk.store,
            memory=self.disk.store.memory,
            files=self.disk.store.files,
            mail=self.disk.store.mail,
            mint=lambda: f"{next(self._tokens):064x}",
            user_key=USER,
            service_key=SERVICE,
            version="simulated",
            os_pid=1,
            events_socket="",
        )
        self.machine = Machine(self.config, services, self.world.policy())
        turn = Turn(self.turns, self.now, [])
        try:
            turn.effects = boot(self.machine, self.disk.store.load(), self.now)
            self.disk.commit(turn.effects.rows, turn.effects.events)
        except StoreFailed:
            self.world.say("the kernel can't start")
            self.disk.make_room()
            self.world.agenda.after(1.0, self.boot)
            return
        self.running, self._wake = True, float("inf")
        self._life += 1
        _decode(turn)
        self.world.witness.booted(turn)
        self._send(turn, len(turn.replies))
        self.world.network.kernel_came()
        self._look_at_timers()

    def die(self, why: str) -> None:
        self.world.say(f"the kernel dies: {why}")
        self.running = False
        self._inbox.clear()
        self.world.network.kernel_died()
        if self._chance.random() < 0.2:
            self.skew += self._chance.choice((-300.0, -5.0, 5.0, 4000.0))
        self.world.agenda.after(self._chance.choice((0.05, 0.5, 4.0)), self.boot)

    # -- turns -------------------------------------------------------------------------------

    def arrive(self, door: Door, peer: bytes, item: Any) -> None:
        if not self.running:
            return
        if not self._inbox:
            self._schedule(self._chance.choice(_PAUSES))
        gone, heard = (ClientGone, FromClient) if door == "clients" else (DriverGone, FromDriver)
        if item == HERE:
            self._inbox.append(ClientHere(peer))
        else:
            self._inbox.append(gone(peer) if item == GONE else heard(peer, item))

    def _schedule(self, seconds: float) -> None:
        moment = self.world.agenda.now + seconds
        if moment < self._wake:
            self._wake = moment
            life = self._life
            self.world.agenda.at(moment, lambda: self._due(life, moment))

    def _due(self, life: int, moment: float) -> None:
        if self.running and life == self._life and moment == self._wake:
            self._wake = float("inf")
            self._turn()

    def _look_at_timers(self) -> None:
        due = self.machine.timers.next_due()
        if self._inbox:
            self._schedule(0.0)
        elif due is not None:
            self._schedule(max(0.0, due - self.now))

    def _turn(self) -> None:
        fate = self.world.faults.fate()
        self.turns += 1
        many = min(len(self._inbox), self._chance.randint(1, 20))
        turn = Turn(self.turns, self.now, [self._inbox.popleft() for _ in range(many)])
        due = self.machine.timers.next_due()
        if due is not None and due <= turn.now:
            turn.inputs.append(Tick())
        witness = self.world.witness
        witness.begins(risky=fate == "dies before the commit" or self.disk.risky)
        turn.effects = self.machine.effects
        try:
            for one in turn.inputs:
                witness.applies(one)
                self.machine.apply(one, turn.now)
            turn.effects = self.machine.flush()
            if fate == "dies before the commit":
                self._tell(turn, fate)
                self.die(fate)
                return
            self.disk.commit(turn.effects.rows, turn.effects.events)
        except StoreFailed as failed:
            self._tell(turn, "can't write")
            self._abort(turn, failed)
            return
        _decode(turn)
        self._tell(turn, fate)
        witness.committed(turn, dies=fate != "lives")
        if fate == "lives":
            self._send(turn, len(turn.replies))
            self._look_at_timers()
        else:
            self._send(turn, self._chance.randint(0, len(turn.replies)))
            self.die(fate)

    def _tell(self, turn: Turn, fate: str) -> None:
        if self.world.verbose:
            for line in told(turn, fate):
                self.world.say(line)

    def _abort(self, turn: Turn, failed: StoreFailed) -> None:
        """The state can't be written: nobody may take what was done for done."""
        error = ErrorRecord(**failed.error.to_wire()).model_dump(mode="json")
        for send in turn.effects.sends:
            message = wire.decode(send.frames)
            if message.kind == "reply" and (link := self.world.network.find("clients", send.peer)):
                body = {"ok": False, "error": error}
                link.deliver(Message("reply", message.id, message.name, body=body))
        self.die(str(failed.error))

    def _send(self, turn: Turn, replies: int) -> None:
        """Only so many of the replies; the commands leave after them."""
        network = self.world.network
        for peer, message, _ in turn.replies[:replies]:
            if link := network.find("clients", peer):
                link.deliver(message)
        if replies < len(turn.replies):
            return
        for peer, kind, body, _ in turn.commands:
            if link := network.find("drivers", peer):
                link.deliver((kind, body))
        for peer in turn.effects.doubted:
            network.doubt(peer)


def _decode(turn: Turn) -> None:
    """As the receivers will."""
    turn.replies = [
        (send.peer, wire.decode(send.frames), send.frames[1:]) for send in turn.effects.sends
    ]
    for command in turn.effects.commands:
        packed, body = b"", None
        if command.body is not None:
            plain = command.body.model_dump(mode="json")
            packed = wire.pack(plain)
            body = FROM_KERNEL[command.kind].model_validate(plain)
        turn.commands.append((command.peer, command.kind, body, packed))
