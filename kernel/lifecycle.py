"""Lifecycle: how processes are labelled, signalled, end and are collected.

It knows nothing about messages on the wire, nor about which driver or host does the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kernel import restarts
from kernel.process import Process, described
from llmagentos.abi.errors import ECANCELED, EQUOTA, LLMOSError
from llmagentos.abi.process import (
    INIT,
    ErrorRecord,
    ExitRecord,
    Reason,
    Signal,
    State,
)

if TYPE_CHECKING:
    from kernel.machine import Machine

SIGNAL_EXIT = {"INT": 130, "TERM": 143, "KILL": 137}
"""Exit codes of processes that a signal ended, as shells write them: 128 + the number."""


def limit_wall(process: Process, other: float | None = None) -> None:
    """Set when its wall time is over: by its own limit, or earlier by another."""
    wall = process.limits.wall
    ends = [process.deadline, other, None if wall is None else process.started + wall]
    process.deadline = min((end for end in ends if end is not None), default=None)


def watch_wall(kernel: Machine, process: Process) -> None:
    """End the process when its wall time is over."""
    assert process.deadline is not None

    def over() -> None:
        error = EQUOTA(
            f"process {process.pid} ran longer than its wall limit of "
            f"{kernel.now - process.started:.0f} s",
            hint=f"at its end it was {described(process)}; give it a higher limit for wall",
        )
        end(kernel, process, code=error.exit_status, error=error)

    kernel.timers.set(("wall", process.pid), process.deadline, over)


def watch_term(kernel: Machine, process: Process) -> None:
    """Kill the process when its time to end by itself is over."""
    assert process.terminate_by is not None
    kernel.timers.set(
        ("term", process.pid),
        process.terminate_by,
        lambda: end(kernel, process, code=SIGNAL_EXIT["KILL"], by="KILL"),
    )


def taint(kernel: Machine, reader: Process, source: Process) -> None:
    """Labels follow the data: who reads of a labelled process is labelled. The user alone may see
    all of it and stay as he is."""
    label(kernel, reader, source.labels, f"process {source.pid}")


def label(kernel: Machine, reader: Process, labels: Iterable[str], source: str) -> None:
    """It has read data with these labels."""
    fresh = set(labels) - set(reader.labels)
    if not fresh or reader.pid == INIT:
        return
    reader.labels = tuple(sorted({*reader.labels, *fresh}))
    kernel.journal.event(
        kernel.now, "proc.labelled", reader.pid, labels=sorted(fresh), source=source
    )
    kernel.changed(reader)


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
    if not process.bursts:
        waits = next((call.waits for call in process.calls if call.waits), None)
        return ("WAITING", waits) if waits else ("READY", None)
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
        _tell_program(kernel, process, name)
        kernel.settle(process, "it was stopped")
    elif name == "CONT":
        process.stopped = False
        for burst in process.bursts:
            kernel.scheduler.release(burst)
        _tell_program(kernel, process, name)
        kernel.settle(process, "it was continued")
        kernel.replies.release(process)
    elif name == "KILL" or (process.host is None and _ends(process, name)):
        end(kernel, process, code=SIGNAL_EXIT[name], by=name)
    else:
        kernel.calls.cancel_calls(process, ECANCELED(f"{name} came"))
        kernel.hosts.signal(process, name)
        if name == "TERM" and process.terminate_by is None:
            process.terminate_by = kernel.now + kernel.config.term_grace
            kernel.changed(process)
            watch_term(kernel, process)


def _tell_program(kernel: Machine, process: Process, name: Signal) -> None:
    """What holds an agent's loop is its calls; a program has to be held itself."""
    if process.spec.program is not None:
        kernel.hosts.signal(process, name)


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
    """The process is over. ``own``: it said so itself, so its host need not be told; but
    a program may go on when it should be gone."""
    if not process.alive:
        return
    if process.terminate_by is not None and by is None:
        by = "TERM"  # it was asked to end, and has
    record = error if isinstance(error, ErrorRecord | None) else ErrorRecord.of(error)
    why = f"signal {by}" if by else f"exit {code}"
    if record is not None:
        why += f": {record.code}"
    again = by is None and restarts.wanted(kernel, process, code)
    if again and restarts.loops(kernel, process):
        again, record, code = False, restarts.failure(process, why), code or 1
        why = f"exit {code}: {record.code}"
    process.stopped = False
    kernel.replies.release(process)
    kernel.calls.drop_calls(process, "the process ended")
    if not own:
        kernel.hosts.signal(process, "KILL")
    elif process.spec.program is not None:
        kernel.hosts.signal(process, "KILL", grace=kernel.config.term_grace)
    kernel.forget_session(process)
    kernel.hosts.discard(process)
    process.host = None
    if again:
        restarts.restart(kernel, process, why)
        return
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
    kernel.residency.gone(process)
    kernel.table.unname(process)
    kernel.approvals.withdraw(process)
    kernel.mail.close(process)
    for pid in sorted(process.children):
        child = kernel.table.get(pid)
        kernel.table.move(child, kernel.table.init)
        kernel.changed(child)
        if not child.alive:
            reap(kernel, child)
    settle(kernel, process, why)
    kernel.journal.event(
        kernel.now, "proc.exited", process.pid, code=code, signal=by,
        error=record.code if record else None, tokens=process.usage.tokens,
    )  # fmt: skip
    kernel.exited(process)


def is_orphan(kernel: Machine, process: Process) -> bool:
    """Whether init has it from somebody who has ended: nobody is left who would collect it."""
    init = kernel.table.init
    return process.ppid == INIT and process.payer is not None and process.payer is not init


def reap(kernel: Machine, process: Process) -> None:
    """Its exit record was collected: it leaves the table, and stays in the history. What it had to
    itself goes."""
    kernel.memory.forget(process)
    kernel.files.forget(process)
    kernel.table.remove(process)
    kernel.connections.detach(process)
    kernel.graveyard.bury(process)
