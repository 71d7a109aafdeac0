"""The board: the process table as it was last heard of, and the part of it that is to be seen, in
order.

Filter, sort, tree, marks. Pure: it knows nothing about screens, nor about where rows come from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from llmagentos.abi.process import ProcessInfo
from shell.processes import in_tree, state

_PAST: Final = 1000
"""Collected processes that are remembered."""

_BUSY: Final = {"RUNNING": 0, "READY": 1, "WAITING": 2, "NEW": 3, "STOPPED": 4, "ZOMBIE": 5}


def _share(used: float, limit: float | None) -> float:
    return used / limit if limit else 0.0


SORTS: Final[dict[str, Callable[[ProcessInfo], Any]]] = {
    "pid": lambda p: p.pid,
    "name": lambda p: (p.name, p.pid),
    "state": lambda p: (_BUSY[p.state], p.reason or "", p.pid),
    "model": lambda p: (p.model or "", p.driver or "", p.pid),
    "in": lambda p: (-p.usage.prompt_tokens, p.pid),
    "out": lambda p: (-p.usage.completion_tokens, p.pid),
    "pace": lambda p: (-p.usage.tokens_per_second, p.pid),
    "context": lambda p: (-p.context_tokens, p.pid),
    "budget": lambda p: (-_share(p.usage.tokens, p.limits.tokens), p.pid),
    "kv": lambda p: (-p.kv_bytes, p.pid),
    "nice": lambda p: (p.priority, p.pid),
    "age": lambda p: (p.started, p.pid),
}
"""What can be sorted by: the most, or the busiest, first."""


@dataclass(slots=True)
class Board:
    """``rows``: those that live, by pid. ``past``: some that were collected."""

    rows: dict[int, ProcessInfo] = field(default_factory=dict)
    past: dict[int, ProcessInfo] = field(default_factory=dict)
    sort: str = "pid"
    reverse: bool = False
    tree: bool = False
    ended: bool = False
    filter: str = ""
    marks: set[int] = field(default_factory=set)

    def replace(self, rows: Iterable[ProcessInfo], past: Iterable[ProcessInfo] = ()) -> None:
        """All of them, anew."""
        fresh = {row.pid: row for row in rows}
        self._collect(self.rows.keys() - fresh.keys())
        self.rows = fresh
        for row in past:
            if row.pid not in fresh:
                self.past[row.pid] = row

    def update(self, rows: Iterable[ProcessInfo], asked: Collection[int]) -> set[int]:
        """Those that were ``asked`` for; who is not among the rows is gone. Which ones changed."""
        fresh = {row.pid: row for row in rows}
        changed = {pid for pid, row in fresh.items() if self.rows.get(pid) != row}
        self.rows.update(fresh)
        gone = {pid for pid in asked if pid in self.rows and pid not in fresh}
        self._collect(gone)
        return changed | gone

    def find(self, pid: int) -> ProcessInfo | None:
        return self.rows.get(pid) or self.past.get(pid)

    def family(self, pid: int) -> list[int]:
        """It, and all above it."""
        line: list[int] = []
        row = self.find(pid)
        while row is not None and row.pid not in line:
            line.append(row.pid)
            row = self.find(row.ppid)
        return line

    @property
    def targets(self) -> list[int]:
        """Those that are marked and live."""
        return sorted(pid for pid in self.marks if pid in self.rows)

    def seen(self) -> list[tuple[int, ProcessInfo]]:
        """What is to be seen, in order: each with its depth in the tree, 0 in a flat list."""
        rows = [row for row in self._all() if self._passes(row)]
        rows.sort(key=SORTS[self.sort], reverse=self.reverse)
        return list(in_tree(rows)) if self.tree else [(0, row) for row in rows]

    def _all(self) -> Iterable[ProcessInfo]:
        if not self.ended:
            return self.rows.values()
        return [*self.past.values(), *self.rows.values()]

    def _passes(self, row: ProcessInfo) -> bool:
        """All words of the filter are in it somewhere."""
        if not self.filter:
            return True
        text = f"{row.pid} {row.name} {state(row)} {row.model}@{row.driver}".lower()
        text += f" {' '.join(row.labels)}"
        return all(word in text for word in self.filter.lower().split())

    def _collect(self, pids: Iterable[int]) -> None:
        for pid in pids:
            self.past[pid] = self.rows.pop(pid)
            self.marks.discard(pid)
        while len(self.past) > _PAST:
            del self.past[next(iter(self.past))]
