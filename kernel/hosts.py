"""Hosts: which agent host runs which agent.

It knows nothing about what a host does with an agent, nor about bursts.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from kernel.process import Process
from kernel.registry import Driver
from kernel.table import digest
from llmagentos.abi.driver import Assignment, HostSignal
from llmagentos.abi.process import Signal

if TYPE_CHECKING:
    from kernel.machine import Machine


class Hosts:
    """Agents without a host are assigned in the order of their pids, to the host with the most
    room. After a boot, those that were running wait a moment for their host to claim them."""

    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._homeless: dict[int, Process] = {}
        self._order: list[int] = []
        """A heap of pids, some of which may have a host by now."""
        self._claimable: dict[int, Process] = {}
        """By pid, those that their host of before a boot, and no other, may claim."""

    def add(self, process: Process) -> None:
        """An agent that needs a host."""
        self._homeless[process.pid] = process
        heapq.heappush(self._order, process.pid)

    def restore(self, process: Process) -> None:
        """An agent of before a boot, which may still be on its host."""
        if process.host is None:
            self.add(process)
        else:
            self._homeless[process.pid] = self._claimable[process.pid] = process
            process.claim, process.host = process.host, None

    def discard(self, process: Process) -> None:
        self._homeless.pop(process.pid, None)
        self._claimable.pop(process.pid, None)
        process.claim = None
        host = self._kernel.registry.named(process.host)
        if host is not None:
            host.pids.discard(process.pid)

    def end_claims(self) -> None:
        """Whatever no host has claimed by now is assigned anew."""
        for pid, process in self._claimable.items():
            heapq.heappush(self._order, pid)
            process.claim = None
            self._kernel.changed(process)
        self._claimable.clear()

    def joined(self, host: Driver) -> None:
        """A host has registered: it keeps what it still runs and may, and drops the rest."""
        sessions = dict(zip(host.card.running, host.card.sessions, strict=False))
        for pid in host.card.running:
            process = self._claimable.get(pid)
            if process is not None and _acts_for(host, process, sessions.get(pid)):
                self.discard(process)
                self._settle_on(host, process, "was claimed by")
            elif pid not in host.pids:
                self.signal_at(host, pid, "KILL")

    def lost(self, host: Driver) -> None:
        """A host is away: its agents go on elsewhere, from their last committed step."""
        for pid in sorted(host.pids):
            process = self._kernel.table.find(pid)
            if process is None or not process.alive:
                continue
            process.host = None
            # What the dead host still had in flight must not take effect beside its successor.
            self._kernel.calls.drop_calls(process, "its host died", void=True)
            self._kernel.forget_session(process)
            self.add(process)
            self._kernel.settle(process, f"host {host.name} is away")
        host.pids.clear()

    def place(self) -> None:
        """Give every agent a host, as far as there is room. Called at the end of every input."""
        while self._order:
            if self._order[0] not in self._homeless:
                heapq.heappop(self._order)
                continue
            hosts = [host for host in self._kernel.registry.hosts() if host.free]
            if not hosts:
                return
            host = max(hosts, key=lambda host: (host.free, host.name))
            self._assign(host, self._homeless.pop(heapq.heappop(self._order)))

    def signal(self, process: Process, signal: Signal, grace: float = 0.0) -> None:
        host = self._kernel.registry.named(process.host)
        if host is not None and host.up:
            self.signal_at(host, process.pid, signal, grace)

    def signal_at(self, host: Driver, pid: int, signal: Signal, grace: float = 0.0) -> None:
        self._kernel.command(host, "signal", HostSignal(pid=pid, signal=signal, grace=grace))

    def _assign(self, host: Driver, process: Process) -> None:
        # A host of before, which did not claim it in time, may still act for it.
        self._kernel.calls.drop_calls(process, "it was given to another host", void=True)
        self._kernel.forget_session(process)
        token = self._kernel.services.mint()
        self._kernel.table.give_session(process, token)
        assert process.manifest is not None
        manifest = process.manifest.model_dump(mode="json")
        assignment = Assignment(
            pid=process.pid, name=process.name, session=token, manifest=manifest
        )
        self._kernel.command(host, "assign", assignment)
        self._settle_on(host, process, "was assigned to")

    def _settle_on(self, host: Driver, process: Process, how: str) -> None:
        host.pids.add(process.pid)
        if process.terminate_by is not None:
            self.signal_at(host, process.pid, "TERM")  # the host of before may not have heard it
        if process.stopped and process.spec.program is not None:
            self.signal_at(host, process.pid, "STOP")
        process.host, process.claim, process.hosted_before = host.name, None, True
        self._kernel.journal.event(self._kernel.now, "proc.hosted", process.pid, host=host.name)
        self._kernel.settle(process, f"it {how} host {host.name}")


def _acts_for(host: Driver, process: Process, session: str | None) -> bool:
    """Whether this is its host, and this still its session. A host may not have heard that the
    process was given away since, or to itself anew: it would act in vain. Who says nothing of a
    session is believed."""
    proven = session is None or digest(session) == process.session
    return process.claim == host.name and proven
