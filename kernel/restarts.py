"""Restarts: an agent that ended is begun again, as its manifest says, but not for ever.

As in OTP: more than ``intensity`` restarts within ``period`` seconds are a crash loop, and the
agent ends as FAILED, with the reasons of each time. It keeps its pid, its memory, its files and
what it has spent; its context is that of its birth, and the children of its earlier life are
killed. It knows nothing about how an agent runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import lifecycle
from kernel.process import Process
from llmagentos.abi.errors import EFAILED
from llmagentos.abi.process import ErrorRecord

if TYPE_CHECKING:
    from kernel.machine import Machine


def wanted(kernel: Machine, process: Process, code: int) -> bool:
    """Whether it is to be begun again. What a signal, or the end of its wall time, ended is not."""
    rule = process.spec.restart
    if process.kind != "agent" or rule.strategy == "never":
        return False
    if process.deadline is not None and kernel.now >= process.deadline:
        return False
    return rule.strategy == "always" or code != 0


def loops(kernel: Machine, process: Process) -> bool:
    """Whether it was begun again too often of late."""
    rule = process.spec.restart
    return len(_recent(kernel, process)) >= rule.intensity


def failure(process: Process, why: str) -> ErrorRecord:
    """What a crash loop ends with."""
    rule = process.spec.restart
    reasons = [*process.failures, why]
    error = EFAILED(
        f"process {process.pid} was started again {len(process.restarts)} times within "
        f"{rule.period:g} s, and ended each time; at last: {why}",
        hint="look into its reasons, or give it a higher restart.intensity",
        detail={"reasons": reasons},
    )
    return ErrorRecord.of(error)


def restart(kernel: Machine, process: Process, why: str) -> None:
    """Begin it again."""
    process.restarts = (*_recent(kernel, process), kernel.now)
    process.failures = (*process.failures, why)[-process.spec.restart.intensity :]
    for child in kernel.table.tree(process)[1:]:
        lifecycle.signal(kernel, child, "KILL")
    process.stopped = False
    process.head, process.context_tokens, process.checkpoints = process.born, 0, {}
    process.hosted_before = False
    kernel.journal.event(
        kernel.now, "proc.restarted", process.pid, why=why, count=len(process.restarts)
    )
    kernel.changed(process)
    kernel.hosts.add(process)
    kernel.settle(process, f"it was restarted: {why}")


def _recent(kernel: Machine, process: Process) -> tuple[float, ...]:
    since = kernel.now - process.spec.restart.period
    return tuple(moment for moment in process.restarts if moment > since)
