"""States: where that of a process may go, and from which facts it follows.

It knows nothing about what was before the turn at hand.
"""

from __future__ import annotations

from typing import Any, Final

from kernel.machine import Machine
from kernel.process import Process
from tests.sim.violation import must

_NEXT: Final = {
    "NEW": {"READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "READY": {"NEW", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "RUNNING": {"NEW", "READY", "WAITING", "STOPPED", "ZOMBIE"},
    "WAITING": {"NEW", "READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "STOPPED": {"NEW", "READY", "RUNNING", "WAITING", "ZOMBIE"},
    "ZOMBIE": set(),
}  # fmt: skip

_REASONS: Final = {"llm", "tool", "mail", "child", "approval", "timer", "driver"}


def check_change(event: dict[str, Any], before: str) -> None:
    """Of a process, from the state that it was in ``before``, as an event tells it."""
    pid, state, reason = event["pid"], event["data"]["state"], event["data"]["reason"]
    may = _NEXT[before]
    must(state in may, "process {} went from {} to {}", pid, before, state)
    waits = state == "WAITING"
    must(waits == (reason in _REASONS), "process {} is {} for {}", pid, state, reason)


def check(machine: Machine, process: Process) -> None:
    """It follows from the facts."""
    pid, state = process.pid, process.state
    states = {burst.state for burst in process.bursts} if len(process.bursts) else set()
    if not process.alive:
        must(state == "ZOMBIE", "process {} has ended and is {}", pid, state)
        must(not states and not len(process.calls), "process {} has ended and goes on", pid)
        must(not process.children, "process {} has ended and has children", pid)
        must(not process.session, "process {} has ended and has a session", pid)
        must(pid not in machine.mail._boxes, "process {} has ended and has a mailbox", pid)
        must(not machine.approvals.of(pid), "process {} has ended and waits for approvals", pid)
    elif process.stopped:
        must(state == "STOPPED", "process {} was stopped and is {}", pid, state)
        must(states <= {"held"}, "process {} is stopped, and its bursts are {}", pid, states)
    else:
        runs = "running" in states
        must((state == "RUNNING") == runs, "process {} is {}, runs: {}", pid, state, runs)
        must(state != "STOPPED", "process {} was continued and is {}", pid, state)
        must(not process.held, "process {} goes on and its replies are held", pid)
        must("held" not in states, "process {} goes on, and its bursts are held", pid)
