"""The host: runs many agents beside each other, and starts and ends them as the kernel says.

It keeps no state that matters: when it dies, the kernel assigns its agents to another host.
It knows nothing about what an agent's loop does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from agents.compaction import CompactingSystem
from agents.link import Link
from agents.loop import Ending, leave, live
from agents.output import forget_old
from agents.program import Program
from llmagentos.abi.driver import Assignment, HostSignal
from llmagentos.abi.manifest import AgentSpec, ContextRule
from llmagentos.aio import AsyncSystem
from llmagentos.aio_connection import AsyncConnection
from llmagentos.home import Home

_PARENT_CHECK = 1.0

_log = logging.getLogger("agents.host")


@dataclass(slots=True)
class _Running:
    """An agent that runs here. ``leaving``: it is on its way out. ``program``: what it runs in
    place of the loop."""

    assignment: Assignment
    task: asyncio.Task[None]
    leaving: bool = False
    program: Program | None = None


class Host:
    """One agent host: one link to the kernel for its orders, one connection for all syscalls."""

    def __init__(self, home: Home, name: str, slots: int) -> None:
        self._agents: dict[int, _Running] = {}
        self._home = home
        self._link = Link(home, name, slots, self._sessions)
        self._connection = AsyncConnection(home.syscalls, home, withdraw=False)
        self._system = AsyncSystem(self._connection)

    async def serve(self, parent: int | None) -> None:
        """Run until SIGTERM or SIGINT, or until ``parent`` is no longer this process's parent.

        Raises the kernel's error if it refuses this host.
        """
        forget_old(self._home.logs)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        works = [self._obey(), self._link.beat(), self._link.watch(), stop.wait()]
        if parent is not None:
            works.append(_orphaned(parent))
        tasks = [loop.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._close(tasks)

    def _sessions(self) -> dict[int, str]:
        return {pid: one.assignment.session for pid, one in sorted(self._agents.items())}

    async def _obey(self) -> None:
        async for order in self._link.orders():
            if isinstance(order, Assignment):
                self._assign(order)
            else:
                self._signal(order)

    def _assign(self, assignment: Assignment) -> None:
        before = self._agents.get(assignment.pid)
        if before is not None:
            if before.assignment.session == assignment.session:
                return
            # The process was given to another host and came back: what ran here is void.
            before.task.cancel()
        spec = AgentSpec.model_validate(assignment.manifest.get("spec", {}))
        process, name = self._process(assignment, spec.context), _label(assignment)
        program = Program(assignment, self._home) if spec.program else None
        work = program.live(process, name) if program else live(process, name, spec)
        task = self._start(assignment, work)
        self._agents[assignment.pid] = _Running(assignment, task, program=program)

    def _signal(self, order: HostSignal) -> None:
        running = self._agents.get(order.pid)
        if running is None:
            return
        if order.signal == "KILL" and order.grace:
            if running.program is not None:
                running.program.exited()
            if not running.leaving:
                running.leaving = True
                asyncio.get_running_loop().call_later(order.grace, running.task.cancel)
        elif order.signal == "KILL":
            running.task.cancel()
            del self._agents[order.pid]
        elif running.program is not None:
            # What TERM does not end in time the kernel kills.
            running.program.signal(order.signal)
        elif order.signal == "TERM" and not running.leaving:
            running.task.cancel()
            running.leaving = True
            process, name = self._process(running.assignment), _label(running.assignment)
            work = leave(process, name, Ending.terminated())
            running.task = self._start(running.assignment, work)
        # INT reaches a loop as the ECANCELED of its call; STOP and CONT hold its bursts in the
        # kernel. Neither needs anything here.

    def _process(self, assignment: Assignment, rule: ContextRule | None = None) -> AsyncSystem:
        session, pid = assignment.session, assignment.pid
        if rule is not None and rule.overflow == "compact":
            return CompactingSystem(self._connection, session, pid, rule)
        return self._system.as_session(session, pid)

    def _start(self, assignment: Assignment, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=_label(assignment))
        task.add_done_callback(lambda ended: self._ended(assignment.pid, ended))
        return task

    def _ended(self, pid: int, task: asyncio.Task[None]) -> None:
        running = self._agents.get(pid)
        if running is not None and running.task is task:
            del self._agents[pid]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: its task failed", task.get_name(), exc_info=error)

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        # No agent exits because its host does: the kernel gives them to another one.
        tasks = [*tasks, *(running.task for running in self._agents.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._link.close()
        await self._system.close()


async def _orphaned(parent: int) -> None:
    # Nobody tells a process that its parent has died, so it has to look.
    while os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(_PARENT_CHECK)
    _log.info("the parent has gone, so this host ends")


def _label(assignment: Assignment) -> str:
    return f"{assignment.name} (pid {assignment.pid})"
