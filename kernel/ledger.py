"""The ledger: what a process and its descendants may use, have reserved, and have spent.

*Reserve* before the work, *settle* with what it took, and the rest is *released*; each step
counts for the process and for all on whose budgets it draws, so a tree can't spend more than
its root may. Some resources are spent for good (tokens), others are held for a while and given
back (rows of memory). It knows nothing about what the amounts are spent on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmagentos.abi.errors import EBUDGET, EQUOTA, LLMOSError
from llmagentos.abi.process import Budget

if TYPE_CHECKING:
    from kernel.process import Process

SPENT: Final = ("tokens", "turns", "money", "tool_calls")
"""Resources that are gone once they are used: their accounts are kept with the process."""

HELD: Final = ("kv_bytes", "memory_rows", "memory_bytes", "storage_bytes")
"""Resources that come back: their accounts follow from what is there."""

MONEY: Final = 1_000_000_000
"""Money is counted in whole billionths of the price table's currency: sums of floats would not
balance."""


@dataclass(slots=True)
class Account:
    """One resource of one process, its descendants' use included."""

    spent: int = 0
    reserved: int = 0
    risked: int = 0
    """Of what is reserved, what nobody will say the use of if the kernel dies now: on the disk it
    is spent."""


_UNUSED: Final = Account()


def limit(process: Process, what: str) -> int | None:
    """In the units of the account; None: no limit here."""
    value: float | None = getattr(process.limits, what)
    if what != "money" or value is None:
        return value if value is None else int(value)
    return int(value * MONEY)


def left(process: Process, what: str) -> int | None:
    """What it may still use of its own limit, those above it left aside."""
    most = limit(process, what)
    if most is None:
        return None
    own = process.account(what)
    return max(0, most - own.spent - own.reserved)


def is_limited(process: Process, what: str) -> bool:
    """Whether it, or anybody above it, has a limit for this."""
    return any(getattr(one.limits, what) is not None for one in chain(process))


def chain(process: Process) -> Iterator[Process]:
    """It, and all on whose budgets it draws. Not its ancestors: an orphan has another parent
    than before, but not another budget."""
    step: Process | None = process
    while step is not None:
        yield step
        step = step.payer


def reserve(process: Process, what: str, amount: int) -> None:
    """Set ``amount`` aside in every account of the chain, or in none: raises ``EQUOTA``, and
    ``EBUDGET`` for money."""
    for one in chain(process):
        if getattr(one.limits, what) is not None:
            _check(one, what, amount)
    for one in chain(process):
        one.account(what).reserved += amount


def settle(process: Process, what: str, reserved: int, spent: int) -> None:
    """Turn a reservation into what was really used, and release the rest."""
    if not (reserved or spent):
        return
    step: Process | None = process
    while step is not None:
        own = step.account(what)
        own.reserved -= reserved
        own.spent += spent
        step = step.payer


def take(process: Process, what: str, amount: int) -> None:
    """Reserve and settle in one step: what is used at once. Raises ``EQUOTA``."""
    if amount > 0:
        for one in chain(process):
            if getattr(one.limits, what) is not None:
                _check(one, what, amount)
    settle(process, what, 0, amount)


def give_back(process: Process, what: str, amount: int) -> None:
    """Something that was held is there no more."""
    settle(process, what, 0, -amount)


def risk(process: Process, what: str, amount: int) -> None:
    """So much more of what is reserved is out of our hands; or less."""
    for one in chain(process):
        one.account(what).risked += amount


def _check(process: Process, what: str, amount: int) -> None:
    most = limit(process, what)
    own = process.accounts.get(what)
    there = (most or 0) - (own.spent + own.reserved if own else 0)
    if there >= amount or amount <= 0:
        return
    raise _refusal(process.pid, what, most or 0, max(0, there), amount)


def _refusal(pid: int, what: str, most: int, there: int, amount: int) -> LLMOSError:
    kind = EBUDGET if what == "money" else EQUOTA

    def units(value: int) -> int | float:
        return value / MONEY if what == "money" else value

    def shown(value: int) -> str:
        return f"{units(value):.6g}" if what == "money" else str(value)

    words = what.replace("_", " ")
    return kind(
        f"process {pid} has {shown(there)} of its {shown(most)} {words} left, "
        f"and this needs up to {shown(amount)}",
        hint=f"start it with a higher limit for {what}",
        detail={"pid": pid, "limit": units(most), "left": units(there), "needs": units(amount)},
    )


def budgets(process: Process) -> dict[str, Budget]:
    """What is limited for it, or was used, as people read it."""
    found = {}
    for what in (*SPENT, *HELD):
        account, most = process.accounts.get(what, _UNUSED), limit(process, what)
        if most is not None or account.spent or account.reserved:
            unit = MONEY if what == "money" else 1
            found[what] = Budget(
                spent=account.spent / unit,
                reserved=account.reserved / unit,
                limit=most if most is None else most / unit,
            )
    return found


def price(per_million: float, tokens: int) -> int:
    """What so many tokens cost at most, in billionths: rounded up, so that no budget is passed."""
    return math.ceil(per_million * MONEY / 1_000_000 * tokens)
