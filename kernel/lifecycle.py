"""Lifecycle: how processes begin, are signalled, end and are collected.

It knows nothing about messages on the wire, nor about which driver or host does the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kernel.context import Node
from kernel.effects import Put
from kernel.limits import tighter
from kernel.process import Process
from llmagentos.abi.errors import ECANCELED, EQUOTA, LLMOSError
from llmagentos.abi.manifest import Manifest
from llmagentos.abi.process import (
    INIT,
    ErrorRecord,
    ExitRecord,
    Limits,
    Reason,
    Signal,
    State,
)

if TYPE_CHECKING:
    from kernel.machine import Machine

SIGNAL_EXIT = {"INT": 130, "TERM": 143, "KILL": 137}
"""Exit codes of processes that a signal ended, as shells write them: 128 + the number."""


def begin(
    kernel: Machine,
    parent: Process,
    name: str,
    kind: Literal["agent", "program"],
    *,
    manifest: Manifest | None = None,
    limits: Limits | None = None,
    attached: bytes = b"",
    head: Node | None = None,
) -> Process:
    """A new child of ``parent``. Raises ``EQUOTA`` when it may have no more children."""
    allowed = parent.limits.children
    if allowed is not None:
        living = sum(1 for pid in parent.children if kernel.table.get(pid).alive)
        if living >= allowed:
            raise EQUOTA(
                f"process {parent.pid} has {living} children, and may have {allowed}",
                hint="wait for one of them to end",
            )
    spec = manifest.spec if manifest else None
    process = Process(
        pid=kernel.table.new_pid(),
        ppid=parent.pid,
        name=name,
        kind=kind,
        started=kernel.now,
        manifest=manifest,
        priority=spec.schedule.priority if spec else parent.priority,
        labels=tuple(sorted({*(spec.labels if spec else ()), *parent.labels})),
        limits=tighter(spec.limits if spec else None, limits, parent.limits),
        attached=attached,
        head=head,
        context_tokens=parent.context_tokens if head else 0,
    )
    kernel.table.add(process)
    if attached:
        kernel.connections.attach(process)
    kernel.effects.rows.append(Put("meta", {"key": "next_pid", "value": kernel.table.next_pid}))
    if process.limits.wall is not None:
        watch_wall(kernel, process)
    kernel.journal.event(
        kernel.now, "proc.spawned", process.pid, ppid=parent.pid, name=name, kind=kind
    )
    kernel.changed(process)
    if kind == "agent":
        kernel.hosts.add(process)
    else:
        kernel.settle(process, "it was adopted")
    return process


def watch_wall(kernel: Machine, process: Process) -> None:
    """End the process when its wall time is over."""
    wall = process.limits.wall
    assert wall is not None
    key = ("wall", process.pid)

    def over() -> None:
        error = EQUOTA(
            f"process {process.pid} ran longer than its wall limit of {wall:g} s",
            hint="give it a higher limit for wall",
        )
        end(kernel, process, code=error.exit_status, error=error)

    kernel.timers.set(key, process.started + wall, over)


def settle(kernel: Machine, process: Process, why: str) -> None:
    """Bring the process's state in line with the facts."""
    state, reason = _state(kernel, process)
    if process.go(state, reason, kernel.now, why):
        kernel.journal.event(
            kernel.now, "proc.state", process.pid, state=state, reason=reason, why=why
        )
        kernel.changed(process)


def _state(kernel: Machine, process: Process) -> tuple[State, Reason | None]:
    if not process.alive:
        return "ZOMBIE", None
    if process.stopped:
        return "STOPPED", None
    if any(burst.state == "running" for burst in process.bursts):
        return "RUNNING", None
    if process.kind == "agent" and process.host is None:
        return ("WAITING", "driver") if process.hosted_before else ("NEW", None)
    if process.bursts and all(map(kernel.scheduler.waits_for_driver, process.bursts)):
        return "WAITING", "driver"
    if not process.bursts and any(call.awaited for call in process.calls):
        return "WAITING", "child"
    return "READY", None


def signal(kernel: Machine, process: Process, name: Signal) -> None:
    """Deliver one signal to one process. One that has ended is left alone."""
    if not process.alive or process.pid == INIT:
        return
    kernel.journal.event(kernel.now, "proc.signal", process.pid, signal=name)
    if name == "STOP":
        process.stopped = True
        for burst in process.bursts:
            kernel.scheduler.hold(burst)
        kernel.settle(process, "it was stopped")
    elif name == "CONT":
        process.stopped = False
        for burst in process.bursts:
            kernel.scheduler.release(burst)
        kernel.settle(process, "it was continued")
        kernel.calls.release_replies(process)
    elif name == "KILL" or (process.host is None and _ends(process, name)):
        end(kernel, process, code=SIGNAL_EXIT[name], by=name)
    else:
        kernel.calls.cancel_calls(process, ECANCELED(f"{name} came"))
        kernel.hosts.signal(process, name)
        if name == "TERM":
            due = kernel.now + kernel.config.term_grace
            kernel.timers.set(
                ("term", process.pid),
                due,
                lambda: end(kernel, process, code=SIGNAL_EXIT["KILL"], by="KILL"),
            )


def _ends(process: Process, name: Signal) -> bool:
    """Whether a signal that no host can pass on ends the process at once. An INT to a program
    only ends its calls: what it does then is its own affair."""
    return name == "TERM" or (name == "INT" and process.kind == "agent")


def end(
    kernel: Machine,
    process: Process,
    *,
    code: int,
    answer: str = "",
    error: LLMOSError | ErrorRecord | None = None,
    by: Signal | None = None,
    own: bool = False,
) -> None:
    """The process is over. ``own``: it said so itself, so its host need not be told."""
    if not process.alive:
        return
    if ("term", process.pid) in kernel.timers and by is None:
        by = "TERM"  # it was asked to end, and has
    record = error if isinstance(error, ErrorRecord | None) else ErrorRecord(**error.to_wire())
    kernel.calls.drop_calls(process, "the process ended")
    if not own:
        kernel.hosts.signal(process, "KILL")
    for key in ("wall", "term"):
        kernel.timers.cancel((key, process.pid))
    process.ended = kernel.now
    process.exit = ExitRecord(
        pid=process.pid,
        name=process.name,
        code=code,
        signal=by,
        answer=answer,
        error=record,
        usage=process.usage,
        started=process.started,
        ended=kernel.now,
    )
    kernel.forget_session(process)
    kernel.table.unname(process)
    kernel.hosts.discard(process)
    process.host = None
    for pid in sorted(process.children):
        kernel.table.move(kernel.table.get(pid), kernel.table.init)
        kernel.changed(kernel.table.get(pid))
    why = f"signal {by}" if by else f"exit {code}"
    if record is not None:
        why += f": {record.code}"
    settle(kernel, process, why)
    kernel.journal.event(
        kernel.now, "proc.exited", process.pid, code=code, signal=by,
        error=record.code if record else None, tokens=process.usage.tokens,
    )  # fmt: skip
    kernel.exited(process)


def reap(kernel: Machine, process: Process) -> None:
    """Its exit record was collected: it leaves the table, and stays in the history."""
    kernel.table.remove(process)
    kernel.connections.detach(process)
    kernel.graveyard.bury(process)
