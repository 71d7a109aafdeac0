"""Lives: what is known of each process from turn to turn, and what may become of it.

None is lost, none comes back, limits and rights only shrink unless somebody gave, and labels stay
unless the user took them. It knows nothing about budgets, queues or data.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kernel.machine import Machine
from kernel.process import Process
from llmagentos.abi.process import INIT, Limits
from tests.sim import states
from tests.sim.consents import Given
from tests.sim.levels import NO, SAMPLES, YES, level, matches
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn


@dataclass(slots=True, eq=False)
class Known:
    """One process, as of the last turn. ``denied``: globs that were revoked from it. ``endless``:
    it is begun again whenever it ends."""

    pid: int
    kind: str
    endless: bool
    parent: int
    payer: int
    labels: tuple[str, ...]
    rights: Any
    levels: list[int]
    limits: Limits
    state: str
    alive: bool = True
    host: str | None = None
    letters: int = 0
    children: int = 0
    intensity: int = 0
    period: float = 0.0
    denied: list[str] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)


class Lives:
    """``known``: those in the table. ``collected``: those that are no longer there, by parent."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.collected: dict[int, list[int]] = defaultdict(list)
        self._last_pid = 0
        self._before: dict[int, list[int]] = {}
        """Levels before the turn at hand."""

    def family(self, pid: int) -> list[int]:
        """The living descendants of a process."""
        found, rest = [], [pid]
        while rest:
            above = rest.pop()
            for one in self.known.values():
                if one.parent == above and one.pid != above:
                    rest.append(one.pid)
                    if one.alive:
                        found.append(one.pid)
        return found

    def within(self, pid: int, root: int) -> bool:
        """Whether it is ``root`` or a descendant of it."""
        while pid != root and pid in self.known:
            pid = self.known[pid].parent
        return pid == root

    def booted(self) -> None:
        """Hosts of before may claim what they run."""
        for known in self.known.values():
            known.host = None

    # -- after a turn ------------------------------------------------------------------------

    def check(self, machine: Machine, turn: Turn, given: Given) -> None:
        self._before = {pid: known.levels for pid, known in self.known.items()}
        self._events(turn)
        fresh = [process for process in machine.table if process.pid not in self.known]
        for process in sorted(fresh, key=lambda process: process.pid):
            self._born(machine, process, given)
        for process in machine.table:
            self._lives(machine, process, given)
        left = sorted(self.known.keys() - {process.pid for process in machine.table})
        for pid in left:
            self._left(machine, pid)
        lost = [one.pid for one in self.known.values() if one.parent in left]
        must(not lost, "processes {} are children of one that was collected", lost)
        if turn.inputs and type(turn.inputs[-1]).__name__ == "Tick":
            self._on_time(machine, turn.now)

    def _events(self, turn: Turn) -> None:
        for event in turn.effects.events:
            known = self.known.get(event["pid"] or 0)
            if event["type"] == "proc.restarted" and known is not None:
                since = turn.now - known.period
                known.restarts = [moment for moment in known.restarts if moment > since]
                known.restarts.append(turn.now)
                times = len(known.restarts)
                must(times <= known.intensity, "{} is restarted {} times", event, times)
            elif event["type"] == "proc.state":
                states.check_change(event, known.state if known is not None else "NEW")
                if known is not None:
                    known.state = event["data"]["state"]

    def _born(self, machine: Machine, process: Process, given: Given) -> None:
        pid = process.pid
        must(pid > self._last_pid, "pid {} was given twice", pid)
        self._last_pid = pid
        payer = process.payer.pid if process.payer else 0
        levels = [level(process.rights, sample) for sample in SAMPLES]
        endless = process.spec.restart.strategy == "always"
        self.known[pid] = known = Known(
            pid, process.kind, endless, process.ppid, payer, process.labels, process.rights, levels,
            process.limits, process.state,
        )  # fmt: skip
        known.intensity = process.spec.restart.intensity
        known.period = process.spec.restart.period
        above = self.known.get(payer)
        if above is None:
            return
        known.denied = list(above.denied)
        now = machine.table.find(payer)
        rights_now = [level(now.rights, s) if now and payer != INIT else YES for s in SAMPLES]
        for sample, mine, then, later in zip(
            SAMPLES, levels, above.levels, rights_now, strict=True
        ):
            most = YES if payer == INIT else max(then, later)
            must(mine <= most, "child {} may {}, its parent {} may not", pid, sample, payer)
        if process.origin is not None:
            for name in ("tokens", "turns", "tool_calls", "money"):
                half = getattr(above.limits, name)
                mine = getattr(process.limits, name)
                fair = half is None or (mine is not None and mine <= half / 2)
                must(fair, "fork {} has {} {} of its parent's {}", pid, mine, name, half)
        lost = set(above.labels) - set(process.labels) - given.freed[payer]
        must(not lost or payer == INIT, "child {} lacks its parent's labels {}", pid, lost)
        limits_now = now.limits if now else above.limits
        for name in Limits.model_fields:
            mine = getattr(process.limits, name)
            most = getattr(above.limits, name)
            if most is None:
                most = getattr(limits_now, name)
            must(
                most is None or (mine is not None and mine <= most),
                "child {} has {} {}, its parent {} {}",
                pid,
                name,
                mine,
                payer,
                most,
            )

    # -- one process -------------------------------------------------------------------------

    def _lives(self, machine: Machine, process: Process, given: Given) -> None:
        known = self.known[process.pid]
        if process.pid != INIT:
            if process.labels is not known.labels:
                lost = set(known.labels) - set(process.labels) - given.freed[process.pid]
                must(not lost, "process {} shed its labels {}", process.pid, sorted(lost))
                known.labels = process.labels
            denied = known.denied
            if process.pid in given.denied:
                known.denied = denied + given.denied[process.pid]
            if process.rights != known.rights or known.denied is not denied:
                self._rights(process, known, given)
            self._room(machine, process, known)
            lost = known.host is not None and process.host is None
            must(
                not lost or not process.session,
                "{} has lost its host, which speaks for it",
                known.pid,
            )
            known.host = process.host
            if process.limits is not known.limits:
                self._limits(process, known)
        must(known.alive or not process.alive, "process {} has ended, and lives again", process.pid)
        if known.parent != process.ppid:
            above = self.known.get(known.parent)
            now = machine.table.find(known.parent)
            orphaned = above is None or now is None or not now.alive
            must(
                process.ppid == INIT and orphaned,
                "process {} went from parent {} to {}",
                process.pid,
                known.parent,
                process.ppid,
            )
            known.parent = process.ppid
        known.alive = process.alive
        above = machine.table.find(process.ppid)
        must(
            process.pid == INIT or (above is not None and above.alive),
            "process {} is a child of {}, which has ended",
            process.pid,
            process.ppid,
        )
        states.check(machine, process)
        must(known.state == process.state, "process {} changed its state untold", process.pid)

    def _rights(self, process: Process, known: Known, given: Given) -> None:
        known.rights = process.rights
        before, known.levels = known.levels, [level(process.rights, one) for one in SAMPLES]
        for sample, old, new in zip(SAMPLES, before, known.levels, strict=True):
            revoked = any(matches(glob, sample) for glob in known.denied)
            must(
                not revoked or new == NO,
                "process {} may {}, which was revoked",
                process.pid,
                sample,
            )
            if new <= old:
                continue
            givers = [by for by, glob in given.allowed[process.pid] if matches(glob, sample)]
            must(givers, "nobody gave process {} {}", process.pid, sample)
            able = any(by == INIT or self._level(by, sample) >= new for by in givers)
            must(able, "process {} was given {} by {}, who may not", process.pid, sample, givers)

    def _level(self, pid: int, sample: str) -> int:
        """The better one, of now and of before the turn."""
        place, known = SAMPLES.index(sample), self.known.get(pid)
        levels = [known.levels if known is not None else None, self._before.get(pid)]
        return max((each[place] for each in levels if each is not None), default=NO)

    def _room(self, machine: Machine, process: Process, known: Known) -> None:
        """Neither mail nor children grow beyond what is allowed, or was until now."""
        box = machine.mail._boxes.get(process.pid)
        letters = box.length if box is not None else 0
        most = machine.mail.limit(process)
        if letters > most and letters > known.letters:
            before = known.limits.mailbox
            lowered = before is None or letters <= before
            must(
                lowered and process.limits is not known.limits,
                "{} has {} letters",
                known.pid,
                letters,
            )
        known.letters = letters
        allowed, children = process.limits.children, len(process.children)
        if allowed is not None and children > allowed and children > known.children:
            living = sum(machine.table.get(pid).alive for pid in process.children)
            lowered = process.limits is not known.limits
            must(living <= allowed or lowered, "process {} has {} children", known.pid, living)
        known.children = children

    def _limits(self, process: Process, known: Known) -> None:
        for name in Limits.model_fields:
            old, new = getattr(known.limits, name), getattr(process.limits, name)
            must(
                old is None or (new is not None and new <= old),
                "process {} had {} {}, and has {}",
                process.pid,
                name,
                old,
                new,
            )
        known.limits = process.limits

    def _left(self, machine: Machine, pid: int) -> None:
        info = machine.graveyard.find(pid)
        must(info is not None and info.exit is not None, "process {} was lost", pid)
        known = self.known.pop(pid)
        self.collected[known.parent].append(pid)

    def _on_time(self, machine: Machine, now: float) -> None:
        for process in machine.table:
            for due in (process.deadline, process.terminate_by):
                late = process.alive and due is not None and due <= now
                must(
                    not late, "process {} should have ended at {}, it is {}", process.pid, due, now
                )
