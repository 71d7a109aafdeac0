"""Jobs without a host, and tools that wait until they are let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from drivers.jobs import Jobs
from drivers.tool import Job, Tool
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.jobs import JobResult, ToolOrder


def tool(name: str, run: Callable[[dict[str, Any], Job], Any]) -> Tool:
    return Tool(ToolCard(name=name), run)


class Bench:
    """Jobs without a host. ``gate`` tools wait until they are let go or aborted."""

    def __init__(self, slots: int = 2) -> None:
        self.woken = threading.Event()
        self.gates: dict[int, threading.Event] = {}
        self.seen: list[Job] = []
        self.jobs = Jobs([tool("gate", self._gate), tool("stuck", self._stuck)], slots, self._wake)

    def _wake(self) -> None:
        self.woken.set()

    def _gate(self, arguments: dict[str, Any], job: Job) -> Any:
        self.seen.append(job)
        while not self.gates.setdefault(job.number, threading.Event()).wait(0.005):
            if job.aborted.is_set():
                return "aborted"
        return f"done {job.number}"

    def _stuck(self, arguments: dict[str, Any], job: Job) -> Any:
        """Does not look whether it is aborted."""
        self.gates.setdefault(job.number, threading.Event()).wait(60)
        return "late"

    def call(self, *numbers: int, name: str = "gate") -> None:
        for number in numbers:
            order = ToolOrder(job=number, key=f"k{number}", pid=7, tool=name, arguments={})
            self.jobs.call(order)

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates.setdefault(number, threading.Event()).set()

    def begun(self, count: int) -> set[int]:
        """The jobs that have begun, once they are so many. A moment later: it may be too many."""
        end = time.monotonic() + 30
        while len(self.seen) < count:
            assert time.monotonic() < end, f"{len(self.seen)} of {count} have begun"
            time.sleep(0.005)
        time.sleep(0.1)
        return {job.number for job in self.seen}

    def results(self, count: int = 1, seconds: float = 30.0) -> list[JobResult]:
        """The next results, as the host would take them: when it is woken."""
        taken: list[JobResult] = []
        while len(taken) < count:
            assert self.woken.wait(seconds), "no result woke the host"
            self.woken.clear()
            taken += self.jobs.take_results()
        return taken
