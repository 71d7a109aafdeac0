"""Holdings: what a process keeps in memory and in files, and on whose quotas that counts.

It knows nothing about what is kept, only how much of which resources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kernel import ledger
from kernel.process import Process
from llmagentos.abi.errors import LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine

Amounts = tuple[tuple[str, int], ...]
"""Resources of the ledger, and how much of each."""


def take(owner: Process, amounts: Amounts) -> None:
    """Raises ``EQUOTA``; then none of it was taken."""
    for done, (what, amount) in enumerate(amounts):
        try:
            ledger.take(owner, what, amount)
        except LLMOSError:
            for other, taken in amounts[:done]:
                ledger.give_back(owner, other, taken)
            raise


def give_back(kernel: Machine, owner: int, amounts: Amounts) -> None:
    process = kernel.table.find(owner)
    if process is not None:
        for what, amount in amounts:
            ledger.give_back(process, what, amount)


def replace(
    kernel: Machine, owner: Process, amounts: Amounts, old: Iterable[tuple[int, Amounts]]
) -> None:
    """Take this in place of what others held, which makes room first: who replaces something of
    a relative needs room in their common budgets only for what is more. Raises ``EQUOTA``; then
    nothing has changed."""
    former = list(old)
    for pid, held in former:
        give_back(kernel, pid, held)
    try:
        take(owner, amounts)
    except LLMOSError:
        for pid, held in former:
            give_back(kernel, pid, tuple((what, -amount) for what, amount in held))
        raise


def heir(kernel: Machine, process: Process) -> Process:
    """Who answers for what a collected process leaves behind: the nearest of those on whose
    budgets it drew that is still in the table. In the end that is init."""
    above = ledger.chain(process)
    next(above)
    return next((one for one in above if kernel.table.find(one.pid) is one), kernel.table.init)


def pass_on(process: Process, to: Process, amounts: Amounts) -> None:
    """The heir's account, and those above it, hold this already. What was between them and the
    process does so no longer: else a boot, which counts by owners, would find other books."""
    for one in ledger.chain(process):
        if one is to:
            return
        for what, amount in amounts:
            one.account(what).spent -= amount
