"""The machine: the kernel's whole state, and what an input does to it.

Inputs and the time go in, effects come out, for as many inputs together as one commit is to
serve. It reads no clock, opens no socket and no file, and draws no random number: all of that
is handed in. It holds the parts together and collects what they lead to; what happens is in the
parts.
"""

from __future__ import annotations

from kernel import context, lifecycle
from kernel.answers import Answers
from kernel.approvals import Approvals
from kernel.config import Config, Services
from kernel.connections import Connections
from kernel.context import Node
from kernel.dispatch import Dispatch
from kernel.effects import (
    ClientGone,
    ClientHere,
    Command,
    DriverGone,
    Effects,
    FromClient,
    FromDriver,
    Input,
    Put,
    Tick,
)
from kernel.evidence import Evidence
from kernel.files import Files
from kernel.graveyard import Graveyard
from kernel.health import Health
from kernel.hosts import Hosts
from kernel.jobs import Jobs
from kernel.journal import Journal
from kernel.mail import Mail
from kernel.manifests import Manifests
from kernel.memory import Memory
from kernel.policies import POLICIES, Policy
from kernel.port import Port
from kernel.process import Process
from kernel.records import message_row, process_row
from kernel.registry import Driver, Registry
from kernel.replays import Replays
from kernel.replies import Replies
from kernel.residency import Residency
from kernel.scheduler import Scheduler
from kernel.table import Table
from kernel.timers import Timers
from kernel.vectors import Vectors
from kernel.wanted import Wanted
from llmagentos.abi.model import Model
from llmagentos.abi.talk import ChatMessage


class Machine:
    def __init__(self, config: Config, services: Services, policy: Policy | None = None) -> None:
        self.config = config
        self.services = services
        self.now = 0.0
        self.boot = 0
        self.booted = 0.0
        self.next_message = 1
        self.next_burst = 1
        self.journal = Journal(config, services.history)
        self.timers = Timers()
        self.table = Table()
        self.registry = Registry()
        self.residency = Residency(self)
        self.health = Health(self)
        self.scheduler = Scheduler(self, policy or POLICIES[config.policy]())
        self.hosts = Hosts(self)
        self.port = Port(self)
        self.jobs = Jobs(self)
        self.evidence = Evidence(self)
        self.wanted = Wanted(self)
        self.answers = Answers(self)
        self.calls = Dispatch(self)
        self.replies = Replies(self)
        self.replays = Replays(config.replays_kept, services.history.replies)
        self.connections = Connections(self)
        self.approvals = Approvals(self)
        self.memory = Memory(self)
        self.vectors = Vectors(self)
        self.files = Files(self)
        self.mail = Mail(self)
        self.graveyard = Graveyard(self)
        self.manifests = Manifests()
        self._changed: dict[int, Process] = {}
        self._unsettled: dict[int, tuple[Process, str]] = {}

    @property
    def effects(self) -> Effects:
        """What the turn at hand has led to so far."""
        return self.journal.effects

    # -- inputs ------------------------------------------------------------------------------

    def handle(self, event: Input, now: float) -> Effects:
        """What this input leads to: a turn with one input only."""
        self.apply(event, now)
        return self.flush()

    def apply(self, event: Input, now: float) -> None:
        """Take in one input. ``now`` is in seconds since 1970, and never goes back. Raises
        ``StoreFailed``: then the machine is of no use any more."""
        self.now = now
        match event:
            case FromClient():
                self.calls.call(*event)
            case FromDriver():
                self.port.heard(*event)
            case ClientHere(peer):
                self.connections.heard(peer)
            case ClientGone(peer):
                self.connections.gone(peer)
            case DriverGone():
                self.port.gone(*event)
            case Tick():
                for action in self.timers.due(now):
                    action()

    def flush(self) -> Effects:
        """The end of a turn: let what can go on go on, and hand out all that the inputs since the
        last one have led to."""
        self.hosts.place()
        self.jobs.dispatch()
        self.scheduler.dispatch()
        self.jobs.dispatch()
        self.vectors.dispatch()
        for process, why in self._unsettled.values():
            lifecycle.settle(self, process, why)
        self._unsettled.clear()
        rows = self.effects.rows
        for process in self._changed.values():
            rows.append(Put("processes", process_row(process)))
        self._changed.clear()
        rows += self.replays.flush()
        return self.journal.flush()

    # -- what the parts of the kernel share --------------------------------------------------

    def command(self, driver: Driver, kind: str, body: Model) -> None:
        """Tell a driver or host something; one that is away hears nothing."""
        if driver.peer:
            self.effects.commands.append(Command(driver.peer, kind, body))

    def changed(self, process: Process) -> None:
        """Its row must be written again."""
        self._changed[process.pid] = process

    def settle(self, process: Process, why: str) -> None:
        """Its state may not follow from the facts any more. It is brought in line at the end of
        this input, once, however much of it changes until then."""
        self._unsettled[process.pid] = (process, why)

    def append(self, process: Process, message: ChatMessage, sources: tuple[int, ...] = ()) -> Node:
        """A new last message in a process's context."""
        node = context.grow(process.head, self.next_message, message, self.now, sources)
        self.next_message += 1
        process.head = node
        self.effects.rows.append(Put("messages", message_row(node, process.pid)))
        self.changed(process)
        return node

    def new_burst(self) -> int:
        number = self.next_burst
        self.next_burst += 1
        return number

    def exited(self, process: Process) -> None:
        """Tell those who wait for it, and decide how long it stays in the table."""
        assert process.exit is not None
        collected = False
        for call in process.watchers:
            collected = collected or call.reap
            lifecycle.taint(self, call.process, process)
            self.calls.complete(call, process.exit)
        if collected or lifecycle.is_orphan(self, process):
            lifecycle.reap(self, process)
        else:
            self.graveyard.add_zombie(process)

    def forget_session(self, process: Process) -> None:
        if process.session:
            self.replays.forget(process.session)
        self.table.revoke(process)
        self.changed(process)  # else the old session would be valid again after a boot
