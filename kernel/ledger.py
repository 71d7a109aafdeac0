"""The ledger: what a process and its descendants may use, have reserved, and have spent.

*Reserve* before the work, *settle* with what it took, and the rest is *released*; each step
counts for the process and for every ancestor of it, so a tree can't spend more than its root
may. It knows nothing about what the amounts are spent on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmagentos.abi.errors import EQUOTA


@dataclass(slots=True)
class Account:
    """One resource of one process, its descendants' use included."""

    spent: int = 0
    reserved: int = 0

    def left(self, limit: int) -> int:
        return limit - self.spent - self.reserved


@dataclass(frozen=True, slots=True)
class Line:
    """An account on the way from a process to the root, with the limit that holds there."""

    pid: int
    account: Account
    limit: int | None


def reserve(what: str, amount: int, chain: Iterable[Line]) -> None:
    """Set ``amount`` aside in every account of the chain, or in none: raises ``EQUOTA``."""
    lines = list(chain)
    for line in lines:
        if line.limit is not None and line.account.left(line.limit) < amount:
            left = max(0, line.account.left(line.limit))
            raise EQUOTA(
                f"process {line.pid} has {left} of its {line.limit} {what} left, "
                f"and this needs up to {amount}",
                hint=f"start it with a higher limit for {what}",
                detail={"pid": line.pid, "limit": line.limit, "left": left, "needs": amount},
            )
    for line in lines:
        line.account.reserved += amount


def settle(reserved: int, spent: int, chain: Iterable[Line]) -> None:
    """Turn a reservation into what was really used, and release the rest."""
    for line in chain:
        line.account.reserved -= reserved
        line.account.spent += spent
