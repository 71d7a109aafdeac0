"""Failures: what the caller of a call that failed is told, and who else hears of it.

It knows nothing about how the call is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmagentos.abi import errors

if TYPE_CHECKING:
    from kernel.machine import Machine
    from kernel.process import Process


def told(kernel: Machine, caller: Process | None, name: str, found: Exception) -> errors.LLMOSError:
    """What the caller is told of this. A refusal is audited. A bug must not take the kernel, and
    everybody else, down with it."""
    journal, now, pid = kernel.journal, kernel.now, caller.pid if caller else 0
    if isinstance(found, errors.DeniedError):
        journal.audit(now, pid, name[:64], found.code, found.message)
    if isinstance(found, errors.LLMOSError):
        return found
    kind = type(found).__name__
    journal.event(now, "kernel.bug", pid, call=name[:64], error=f"{kind} at {_place(found)}")
    return errors.EIO(
        f"{name[:64]} failed inside the kernel: {kind}",
        hint="this is a bug; llmos events shows it as kernel.bug",
    )


def _place(bug: Exception) -> str:
    """Where in our code it was raised, innermost first. What it says may be somebody's data, which
    has no place in an event."""
    trace, places = bug.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        folder, _, file = code.co_filename.rpartition("/")
        if folder.endswith(("kernel", "syscalls")):
            places.append(f"{file}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(places[:-4:-1])
