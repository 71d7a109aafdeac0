"""Agent hosts: each runs the agents that the kernel gives it, over a connection of its own.

A host keeps no state that matters: when it dies, its agents go on elsewhere. It knows nothing
about what an agent does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmagentos.abi.driver import Assignment
from tests.sim.agents import leave, live
from tests.sim.callers import Caller, Lane
from tests.sim.violation import must
from tests.sim.workers import Worker


@dataclass(slots=True, eq=False)
class _Agent:
    """``leaving``: TERM has come."""

    assignment: Assignment
    lane: Lane
    leaving: bool = False


class Host(Worker):
    def __init__(self, world: Any, name: str, card: dict[str, Any]) -> None:
        self._agents: dict[int, _Agent] = {}
        self._caller: Caller | None = None
        super().__init__(world, name, card)

    @property
    def caller(self) -> Caller | None:
        return self._caller

    def start(self) -> None:
        if not self.alive:
            super().start()
            self._caller = Caller(self.world, b"c-" + self.peer)

    def forget(self) -> None:
        """Only when it dies."""
        self._agents.clear()
        if self._caller is not None:
            self._caller.close()

    def running(self) -> dict[int, str]:
        return {pid: one.assignment.session for pid, one in sorted(self._agents.items())}

    def obey(self, kind: str, body: Any) -> None:
        if kind == "assign":
            self._assign(body)
        elif kind == "signal":
            self._signal(body.pid, body.signal)
        else:
            must(False, "host {} is told to {}", self.name, kind)

    def _assign(self, assignment: Assignment) -> None:
        before = self._agents.get(assignment.pid)
        if before is not None:
            if before.assignment.session == assignment.session:
                return
            self._drop(before)
        self._agents[assignment.pid] = self._run(assignment, live(self.world, assignment.pid))

    def _signal(self, pid: int, name: str) -> None:
        agent = self._agents.get(pid)
        if agent is None:
            return
        if name == "KILL":
            self._drop(agent)
            del self._agents[pid]
        elif name == "TERM" and not agent.leaving:
            self._drop(agent)
            self._agents[pid] = self._run(agent.assignment, leave(143), leaving=True)

    def _run(self, assignment: Assignment, script: Any, *, leaving: bool = False) -> _Agent:
        assert self._caller is not None
        pid = assignment.pid
        # A script may come to its end at once, so it is begun when its agent is known.
        agent = _Agent(assignment, Lane(script, pid, assignment.session), leaving)
        agent.lane.ended = lambda: self._ended(pid, agent)
        self._agents[pid] = agent
        self._caller.begin(agent.lane)
        return agent

    def _drop(self, agent: _Agent) -> None:
        assert self._caller is not None
        self._caller.stop(agent.lane)

    def _ended(self, pid: int, agent: _Agent) -> None:
        if self._agents.get(pid) is agent:
            del self._agents[pid]
