"""Books: do the accounts say what was really reserved, spent and kept?

Every open burst and job is counted anew, and every one that has ended since the last turn; what is
kept is counted in the tables. It knows nothing about who may do what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kernel import ledger
from kernel.burst import Burst
from kernel.embed_job import EmbedJob
from kernel.job import Job
from kernel.ledger import HELD, Account, chain
from kernel.machine import Machine
from kernel.process import Process
from kernel.tool_job import ToolJob
from llmagentos.abi.process import INIT, Limits
from tests.sim.disk import Disk
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn

_KEPT: Final = ("memory_rows", "memory_bytes", "storage_bytes")

Amounts = Counter[tuple[int, str]]
"""By pid and resource."""


@dataclass(slots=True)
class _Entry:
    """One account, as of the last turn, and the limits that it had then."""

    spent: int = 0
    risked: int = 0
    reserved: int = 0
    limits: Limits | None = None
    limit: int | None = None


class Books:
    """``placed``: the driver that was last told to start each burst."""

    def __init__(self) -> None:
        self.placed: dict[int, str] = {}
        self._entries: dict[tuple[int, str], _Entry] = {}
        self._bursts: list[Burst] = []
        self._jobs: list[Job] = []
        self._limits: dict[int, Limits] = {}
        self._minutes: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._rates: dict[int, int | None] = {}

    def booted(self) -> None:
        """All that was under way is void."""
        self._bursts, self._jobs = [], []
        for entry in self._entries.values():
            # What was out of the kernel's hands when it died is taken for spent.
            entry.spent += entry.risked
            entry.reserved = entry.risked = 0

    def check(self, machine: Machine, disk: Disk, turn: Turn, *, whole: bool) -> None:
        """``whole``: look at what is kept as well."""
        everyone = _everyone(machine)
        bursts = [burst for process in everyone.values() for burst in process.bursts]
        jobs = list(machine.jobs)
        due = _due(_ended(self._bursts, bursts), _ended(self._jobs, jobs), self.placed)
        self._bursts, self._jobs = bursts, jobs
        reserved, kept = _reserved(bursts, jobs), _kept(machine, disk) if whole else Counter()
        self._check_rates(machine, turn.now)
        for pid, process in everyone.items():
            for what, account in process.accounts.items():
                key = pid, what
                must(
                    account.reserved == reserved.pop(key, 0),
                    "process {} has {} {} reserved, more or less than its open work may take",
                    pid, account.reserved, what,
                )  # fmt: skip
                if whole and what in _KEPT:
                    there = kept.pop(key, 0)
                    must(account.spent == there, "{} of {}: {}, not {}", what, pid, account, there)
                entry = self._entries.get(key)
                if entry is None:
                    entry = self._entries[key] = _Entry()
                must(0 <= account.risked <= account.reserved, "{} of {}: {}", what, pid, account)
                entry.risked = account.risked
                if key in due or not _same(entry, process, account):
                    _check_spent(key, account.spent - entry.spent, due.pop(key, (0, 0)))
                    self._check_limit(key, process, account, entry)
        left = {**reserved, **kept, **{key: least for key, (least, _) in due.items()}}
        self._limits = {pid: process.limits for pid, process in everyone.items()}
        missing = {key: n for key, n in left.items() if n and key[0] in everyone}
        must(not missing, "there are no accounts for {}", missing)

    def _check_limit(
        self, key: tuple[int, str], process: Process, account: Account, entry: _Entry
    ) -> None:
        """Never passed; one that was lowered, by no more than before."""
        limit, used = ledger.limit(process, key[1]), account.spent + account.reserved
        before = entry.limit
        if entry.limits is None:
            # Of an account that is new, only what holds since the turn before is known.
            changed = self._limits.get(key[0], process.limits) is not process.limits
            before = None if changed else limit
        if limit is not None and before is not None:
            most = max(limit, before, entry.spent + entry.reserved)
            must(used <= most, "process {} uses {} {}, and may {}", key[0], used, key[1], limit)
        entry.spent, entry.reserved = account.spent, account.reserved
        entry.limits, entry.limit = process.limits, limit

    def _check_rates(self, machine: Machine, now: float) -> None:
        """No minute has more tokens than it may."""
        for process in machine.table:
            most = process.limits.tokens_per_minute
            pid, before = process.pid, self._rates.get(process.pid)
            self._rates[pid] = most
            if most is None or not process.alive or pid == INIT:
                continue
            entry = self._entries.get((pid, "tokens"))
            fresh = process.account("tokens").spent - (entry.spent if entry else 0)
            minute = [*self._minutes[pid], (now, fresh)] if fresh else self._minutes[pid]
            minute = [(moment, amount) for moment, amount in minute if moment > now - 60.0]
            used = sum(amount for _, amount in minute)
            # One that was lowered holds for what comes after.
            lowered = before is None or most < before
            self._minutes[pid] = [] if lowered else minute
            must(
                lowered or used <= most, "process {} used {} tokens of {} a minute", pid, used, most
            )


def _same(entry: _Entry, process: Process, account: Account) -> bool:
    same = (entry.spent, entry.reserved) == (account.spent, account.reserved)
    return same and entry.limits is process.limits


def _check_spent(key: tuple[int, str], fresh: int, due: tuple[int, int]) -> None:
    """What was charged in this turn, for the work that has ended."""
    pid, what = key
    if what not in HELD:
        must(
            due[0] <= fresh <= due[1],
            "process {} was charged {} {} in a turn in which {} to {} were due",
            pid, fresh, what, *due,
        )  # fmt: skip
    must(what != "kv_bytes" or not fresh, "process {} has spent {} bytes of KV", pid, fresh)


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
            elif isinstance(job, ToolJob):
                found[one.pid, "tool_calls"] += 1
    return found


def _due(
    bursts: list[Burst], jobs: list[Job], placed: dict[int, str]
) -> dict[tuple[int, str], tuple[int, int]]:
    """The least and the most that must have been charged for what has ended."""
    least: Amounts = Counter()
    most: Amounts = Counter()
    for burst in bursts:
        tokens = burst.prompt_tokens + burst.made + burst.sunk_tokens if burst.started else 0
        money = burst.cost
        dearest = tokens, money
        if not burst.metered:  # nobody has said what it took: at most all that was set aside
            top = burst.sampling.max_tokens
            dearest = (
                burst.prompt_bound + top + burst.sunk_tokens,
                burst.cost_of(burst.prompt_bound, top, burst.price),
            )
        there = burst.cost == burst.sunk_cost or placed.get(burst.id) == burst.driver
        must(there, "burst {} pays {}, which never had it", burst.id, burst.driver)
        for one in chain(burst.process):
            for amounts, (used, paid) in ((least, (tokens, money)), (most, dearest)):
                amounts[one.pid, "tokens"] += used
                amounts[one.pid, "money"] += paid
            most[one.pid, "turns"] += burst.started is not None
    for job in jobs:
        begun = job.driver is not None
        for one in chain(job.process):
            if isinstance(job, EmbedJob):
                most[one.pid, "tokens"] += job._bound if begun else 0
                most[one.pid, "money"] += job._money
            elif isinstance(job, ToolJob):
                least[one.pid, "tool_calls"] += begun
                most[one.pid, "tool_calls"] += begun
    return {key: (least[key], amount) for key, amount in most.items()}


def _kept(machine: Machine, disk: Disk) -> Amounts:
    """What lies in memory and files, by whoever pays for it."""
    found: Amounts = Counter()
    for owner, what, amount in (*disk.store.memory.held(), *disk.store.files.held()):
        process = machine.table.find(owner)
        if process is not None:
            for one in chain(process):
                found[one.pid, what] += amount
    return found
