"""Books: do the accounts say what was really reserved, spent and kept?

Every open burst and job is counted anew, and every one that has ended since the last turn; what is
kept is counted in the tables. It knows nothing about who may do what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from kernel import ledger
from kernel.burst import Burst
from kernel.job import EmbedJob, Job
from kernel.ledger import HELD, chain
from kernel.machine import Machine
from kernel.process import Process
from llmagentos.abi.process import INIT
from tests.sim.disk import Disk
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn

_RESOURCES: Final = ("tokens", "turns", "money", "tool_calls", *HELD)
_KEPT: Final = ("memory_rows", "memory_bytes", "storage_bytes")

Amounts = Counter[tuple[int, str]]
"""By pid and resource."""


class Books:
    def __init__(self) -> None:
        self._spent: Amounts = Counter()
        self._used: Amounts = Counter()
        """What was spent and reserved after the last turn."""
        self._limits: dict[tuple[int, str], int | None] = {}
        self._bursts: list[Burst] = []
        self._jobs: list[Job] = []
        self._minutes: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._rates: dict[int, int | None] = {}

    def check(self, machine: Machine, disk: Disk, turn: Turn) -> None:
        everyone = _everyone(machine)
        bursts = [burst for process in everyone.values() for burst in process.bursts]
        jobs = list(machine.jobs)
        ended = _ended(self._bursts, bursts), _ended(self._jobs, jobs)
        self._bursts, self._jobs = bursts, jobs
        reserved, kept = _reserved(bursts, jobs), _kept(machine, disk)
        least, most = _due(*ended)
        accounts = {
            (process.pid, what): (process, account)
            for process in everyone.values()
            for what, account in process.accounts.items()
        }
        for key, (process, account) in accounts.items():
            pid, what = key
            must(
                account.reserved == reserved[key],
                f"process {pid} has {account.reserved} {what} reserved, and {reserved[key]} are "
                f"what its open work may take",
            )
            self._check_spent(key, process, account.spent, least, most, kept)
            self._check_limit(key, process, account.spent + account.reserved)
        for amounts in (reserved, kept):
            missing = [key for key, amount in amounts.items() if amount and key not in accounts]
            must(not missing, f"there are no accounts for {missing}")
        self._check_rates(machine, turn.now)
        self._remember(accounts)

    def booted(self) -> None:
        """All that was under way is void."""
        self._bursts, self._jobs = [], []
        # Money and KV that were reserved are not any more.
        for key in self._used:
            self._used[key] = self._spent[key]

    def _check_spent(
        self, key: tuple[int, str], process: Process, spent: int,
        least: Amounts, most: Amounts, kept: Amounts,
    ) -> None:  # fmt: skip
        pid, what = key
        must(spent >= 0, f"process {pid} has spent {spent} {what}")
        if what in _KEPT:
            must(spent == kept[key], f"process {pid} holds {spent} {what}, and keeps {kept[key]}")
        elif what == "kv_bytes":
            must(not spent, f"process {pid} has spent {spent} bytes of KV")
        else:
            fresh = spent - self._spent[key]
            must(
                least[key] <= fresh <= most[key],
                f"process {pid} was charged {fresh} {what} in a turn in which {least[key]} to "
                f"{most[key]} were due",
            )

    def _check_limit(self, key: tuple[int, str], process: Process, used: int) -> None:
        """Never passed; one that was lowered, by no more than before."""
        pid, what = key
        limit = ledger.limit(process, what)
        before = self._limits.get(key, limit)
        allowed = [self._used[key], *(one for one in (limit, before) if one is not None)]
        must(
            limit is None or used <= max(allowed),
            f"process {pid} uses {used} {what}, and may {limit}",
        )

    def _remember(self, accounts: dict[tuple[int, str], tuple[Process, Any]]) -> None:
        self._spent, self._used, self._limits = Counter(), Counter(), {}
        for key, (process, account) in accounts.items():
            self._spent[key] = account.spent
            self._used[key] = account.spent + account.reserved
            self._limits[key] = ledger.limit(process, key[1])

    def _check_rates(self, machine: Machine, now: float) -> None:
        """No minute has more tokens than it may."""
        for process in machine.table:
            most = process.limits.tokens_per_minute
            pid, before = process.pid, self._rates.get(process.pid)
            self._rates[pid] = most
            if most is None or not process.alive or pid == INIT:
                continue
            fresh = process.account("tokens").spent - self._spent[pid, "tokens"]
            minute = [*self._minutes[pid], (now, fresh)] if fresh else self._minutes[pid]
            minute = [(moment, amount) for moment, amount in minute if moment > now - 60.0]
            used = sum(amount for _, amount in minute)
            # One that was lowered holds for what comes after.
            lowered = before is None or most < before
            self._minutes[pid] = [] if lowered else minute
            must(lowered or used <= most, f"process {pid} used {used} tokens of {most} a minute")


def _everyone(machine: Machine) -> dict[int, Process]:
    """Those in the table, and those that were collected and still pay."""
    found = {process.pid: process for process in machine.table}
    for process in machine.table:
        found.update((one.pid, one) for one in chain(process))
    return found


def _ended(before: list[Any], now: list[Any]) -> list[Any]:
    still = set(map(id, now))
    return [one for one in before if id(one) not in still]


def _reserved(bursts: list[Burst], jobs: list[Job]) -> Amounts:
    found: Amounts = Counter()
    for burst in bursts:
        for one in chain(burst.process):
            for what, amount in burst.reserved.items():
                found[one.pid, what] += amount
    for job in jobs:
        for one in chain(job.process):
            if isinstance(job, EmbedJob):
                found[one.pid, "tokens"] += job._bound
                found[one.pid, "money"] += job._money
            else:
                found[one.pid, "tool_calls"] += 1
    return found


def _due(bursts: list[Burst], jobs: list[Job]) -> tuple[Amounts, Amounts]:
    """The least and the most that must have been charged for what has ended."""
    least: Amounts = Counter()
    most: Amounts = Counter()
    for burst in bursts:
        tokens = burst.prompt_tokens + len(burst.tokens) if burst.started else 0
        for one in chain(burst.process):
            for amounts in (least, most):
                amounts[one.pid, "tokens"] += tokens
                amounts[one.pid, "money"] += burst.cost
            most[one.pid, "turns"] += burst.started is not None
    for job in jobs:
        begun = job.driver is not None
        for one in chain(job.process):
            if isinstance(job, EmbedJob):
                most[one.pid, "tokens"] += job._bound if begun else 0
                most[one.pid, "money"] += job._money
            else:
                least[one.pid, "tool_calls"] += begun
                most[one.pid, "tool_calls"] += begun
    return least, most


def _kept(machine: Machine, disk: Disk) -> Amounts:
    """What lies in memory and files, by whoever pays for it."""
    found: Amounts = Counter()
    for owner, what, amount in (*disk.store.memory.held(), *disk.store.files.held()):
        process = machine.table.find(owner)
        if process is not None:
            for one in chain(process):
                found[one.pid, what] += amount
    return found
