"""Reach: which other processes a process may act on, and to which it may write.

That follows from where they stand in the tree. It knows nothing about rules, but that a program
without any writes to its relatives only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.globs import globs
from kernel.ledger import chain
from kernel.process import Process
from llmagentos.abi.errors import EPERM, ESRCH

if TYPE_CHECKING:
    from kernel.machine import Machine

_MOST_STEPS: Final = 64
"""Collected processes that are looked up to find a living one above."""


def check_below(kernel: Machine, caller: Process, call: str, pid: int) -> None:
    """Raises ``EPERM`` unless the process is the caller or a descendant of it, ``ESRCH`` if there
    was never such a process."""
    if below(kernel, caller, pid):
        return
    if kernel.table.find(pid) is None and kernel.graveyard.find(pid) is None:
        raise ESRCH(f"there is no process {pid}", hint="llmos ps lists them")
    raise not_yours(caller, call, pid)


def target(kernel: Machine, caller: Process, pid: int | None) -> Process:
    """The process that a call names, or else the caller's own. Raises ``ESRCH``, which says whether
    there ever was such a process."""
    if pid is None:
        return caller
    process = kernel.table.find(pid)
    if process is not None:
        return process
    if kernel.graveyard.find(pid) is not None:
        raise ended(pid)
    raise ESRCH(f"there is no process {pid}", hint="llmos ps lists them")


def ended(pid: int) -> ESRCH:
    """Of one that is only read of any more."""
    hint = f"llmos info {pid} tells how, and ctx.read {pid} what was said"
    return ESRCH(f"process {pid} has ended", hint=hint)


def below(kernel: Machine, caller: Process, pid: int) -> bool:
    """Whether it is the caller or a descendant of it, also one that was collected."""
    for _ in range(_MOST_STEPS):
        process = kernel.table.find(pid)
        if process is not None:
            return kernel.table.within(process, caller)
        info = kernel.graveyard.find(pid)
        if info is None:
            return False
        pid = info.ppid
    return False


def not_yours(caller: Process, call: str, pid: int) -> EPERM:
    return EPERM(
        f"process {caller.pid} may not use {call} on process {pid}",
        hint="a process acts on itself and its descendants only",
        detail={"caller": caller.pid, "target": pid},
    )


def related(kernel: Machine, process: Process, pid: int) -> bool:
    """To those above and below it, a process may write anyway."""
    table, other = kernel.table, kernel.table.find(pid)
    if other is None:
        return False
    return table.within(other, process) or table.within(process, other)


def beyond(kernel: Machine, process: Process, pid: int, capability: str) -> bool:
    """Whether whoever it descends from could write there. A program writes to strangers only if
    its rules name mail, and what it has spawned can do no more, an orphan neither."""
    root = next((one for one in chain(process) if one.kind == "program"), None)
    other = kernel.table.find(pid)
    if root is None or (other is not None and other.tree == root.pid):
        return True
    if any(capability in rules.approved for rules in process.rights):
        return True
    named = (glob for rules in root.rights for glob in rules.allow if glob.startswith("ipc:"))
    return globs(tuple(named)).match((capability,))
