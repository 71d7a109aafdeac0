"""Lives: what is known of each process from turn to turn, and what may become of it.

None is lost, none comes back, states go where they may, limits and rights only shrink unless
somebody gave, and labels stay unless the user took them. It knows nothing about budgets, queues
or data.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kernel.machine import Machine
from kernel.process import Process
from llmagentos.abi.process import INIT, Limits
from tests.sim.levels import NO, SAMPLES, YES, level, matches
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.server import Turn

_NEXT: Final = {
    "NEW": {"READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "READY": {"NEW", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "RUNNING": {"NEW", "READY", "WAITING", "STOPPED", "ZOMBIE"},
    "WAITING": {"NEW", "READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"},
    "STOPPED": {"NEW", "READY", "RUNNING", "WAITING", "ZOMBIE"},
    "ZOMBIE": set(),
}  # fmt: skip

_REASONS: Final = {"llm", "tool", "mail", "child", "approval", "timer", "driver"}


@dataclass(slots=True, eq=False)
class Known:
    """One process, as of the last turn. ``denied``: globs that were revoked from it. ``endless``: it
    is begun again whenever it ends."""

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
    denied: list[str] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Given:
    """What somebody may have given or taken in the turn at hand. ``allowed``: by pid, who gave, and
    globs; ``freed``: labels that the user took, by pid; ``denied``: globs, by pid."""

    allowed: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    freed: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    denied: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


class Lives:
    """``known``: those in the table. ``gone``: the pids of those that were collected."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.gone: set[int] = set()
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

    # -- after a turn ------------------------------------------------------------------------

    def check(self, machine: Machine, turn: Turn, given: Given) -> None:
        self._before = {pid: known.levels for pid, known in self.known.items()}
        self._events(turn)
        fresh = [process for process in machine.table if process.pid not in self.known]
        for process in sorted(fresh, key=lambda process: process.pid):
            self._born(machine, process)
        for process in machine.table:
            self._lives(machine, process, given)
        for pid in self.known.keys() - {process.pid for process in machine.table}:
            self._left(machine, pid)
        if turn.inputs and type(turn.inputs[-1]).__name__ == "Tick":
            self._on_time(machine, turn.now)

    def _events(self, turn: Turn) -> None:
        for event in turn.effects.events:
            known = self.known.get(event["pid"] or 0)
            if event["type"] == "proc.restarted" and known is not None:
                known.restarts.append(turn.now)
            elif event["type"] == "proc.state":
                state, reason = event["data"]["state"], event["data"]["reason"]
                pid = event["pid"]
                before = known.state if known is not None else "NEW"
                may = _NEXT[before]
                must(state in may, f"process {pid} went from {before} to {state}")
                waits = state == "WAITING"
                must(waits == (reason in _REASONS), f"process {pid} is {state} for {reason}")
                if known is not None:
                    known.state = state

    def _born(self, machine: Machine, process: Process) -> None:
        pid = process.pid
        must(pid > self._last_pid, f"pid {pid} was given twice")
        self._last_pid = pid
        payer = process.payer.pid if process.payer else 0
        levels = [level(process.rights, sample) for sample in SAMPLES]
        endless = process.spec.restart.strategy == "always"
        self.known[pid] = known = Known(
            pid, process.kind, endless, process.ppid, payer, process.labels, process.rights, levels, process.limits,
            process.state,
        )  # fmt: skip
        above = self.known.get(payer)
        if above is None:
            return
        known.denied = list(above.denied)
        now = machine.table.find(payer)
        rights_now = [level(now.rights, s) if now and payer != INIT else YES for s in SAMPLES]
        for sample, mine, then, later in zip(SAMPLES, levels, above.levels, rights_now, strict=True):
            most = YES if payer == INIT else max(then, later)
            must(mine <= most, f"child {pid} may {sample}, its parent {payer} may not")
        lost = set(above.labels) - set(process.labels)
        must(not lost or payer == INIT, f"child {pid} lacks its parent's labels {lost}")
        limits_now = now.limits if now else above.limits
        for name in Limits.model_fields:
            mine = getattr(process.limits, name)
            most = getattr(above.limits, name)
            if most is None:
                most = getattr(limits_now, name)
            must(
                most is None or (mine is not None and mine <= most),
                f"child {pid} has {name} {mine}, its parent {payer} {most}",
            )

    # -- one process -------------------------------------------------------------------------

    def _lives(self, machine: Machine, process: Process, given: Given) -> None:
        known = self.known[process.pid]
        if process.pid != INIT:
            if process.labels is not known.labels:
                lost = set(known.labels) - set(process.labels) - given.freed[process.pid]
                must(not lost, f"process {process.pid} shed its labels {sorted(lost)}")
                known.labels = process.labels
            known.denied += given.denied[process.pid]
            if process.rights is not known.rights or given.denied[process.pid]:
                self._rights(process, known, given)
            if process.limits is not known.limits:
                self._limits(process, known)
            self._restarts(process, known)
        must(
            known.alive or not process.alive, f"process {process.pid} has ended, and lives again"
        )
        if known.parent != process.ppid:
            above = self.known.get(known.parent)
            now = machine.table.find(known.parent)
            orphaned = above is None or now is None or not now.alive
            must(
                process.ppid == INIT and orphaned,
                f"process {process.pid} went from parent {known.parent} to {process.ppid}",
            )
            known.parent = process.ppid
        known.alive = process.alive
        above = machine.table.find(process.ppid)
        must(
            process.pid == INIT or (above is not None and above.alive),
            f"process {process.pid} is a child of {process.ppid}, which has ended",
        )
        _check_state(machine, process)
        must(known.state == process.state, f"process {process.pid} changed its state untold")

    def _rights(self, process: Process, known: Known, given: Given) -> None:
        known.rights = process.rights
        before, known.levels = known.levels, [level(process.rights, one) for one in SAMPLES]
        for sample, old, new in zip(SAMPLES, before, known.levels, strict=True):
            revoked = any(matches(glob, sample) for glob in known.denied)
            must(not revoked or new == NO, f"process {process.pid} may {sample}, which was revoked")
            if new <= old:
                continue
            givers = [by for by, glob in given.allowed[process.pid] if matches(glob, sample)]
            must(givers, f"nobody gave process {process.pid} {sample}")
            able = any(by == INIT or self._may(by, sample) for by in givers)
            must(able, f"process {process.pid} was given {sample} by {givers}, who may not")

    def _may(self, pid: int, sample: str) -> bool:
        known, place = self.known.get(pid), SAMPLES.index(sample)
        now = known is not None and known.levels[place] == YES
        return now or (pid in self._before and self._before[pid][place] == YES)

    def _limits(self, process: Process, known: Known) -> None:
        for name in Limits.model_fields:
            old, new = getattr(known.limits, name), getattr(process.limits, name)
            must(
                old is None or (new is not None and new <= old),
                f"process {process.pid} had {name} {old}, and has {new}",
            )
        known.limits = process.limits

    def _restarts(self, process: Process, known: Known) -> None:
        if known.restarts:
            rule, last = process.spec.restart, known.restarts[-1]
            recent = sum(moment > last - rule.period for moment in known.restarts)
            must(
                recent <= rule.intensity,
                f"process {process.pid} was restarted {recent} times in {rule.period:g} s",
            )

    def _left(self, machine: Machine, pid: int) -> None:
        info = machine.graveyard.find(pid)
        must(info is not None and info.exit is not None, f"process {pid} was lost")
        known = self.known.pop(pid)
        self.gone.add(pid)
        for one in self.known.values():
            must(one.parent != pid, f"process {one.pid} is still a child of {known.pid}")

    def _on_time(self, machine: Machine, now: float) -> None:
        for process in machine.table:
            for due in (process.deadline, process.terminate_by):
                late = process.alive and due is not None and due <= now
                must(not late, f"process {process.pid} should have ended at {due}, it is {now}")


def _check_state(machine: Machine, process: Process) -> None:
    """It follows from the facts."""
    pid, state = process.pid, process.state
    running = any(burst.state == "running" for burst in process.bursts)
    if not process.alive:
        must(state == "ZOMBIE", f"process {pid} has ended and is {state}")
        must(not process.bursts and not process.calls, f"process {pid} has ended and goes on")
        must(not process.children, f"process {pid} has ended and has children")
        must(not process.session, f"process {pid} has ended and has a session")
        must(pid not in machine.mail._boxes, f"process {pid} has ended and has a mailbox")
        must(not machine.approvals.of(pid), f"process {pid} has ended and waits for approvals")
    elif process.stopped:
        must(state == "STOPPED", f"process {pid} was stopped and is {state}")
        held = all(burst.state == "held" for burst in process.bursts)
        must(held, f"process {pid} is stopped, and its bursts are not held")
    else:
        must((state == "RUNNING") == running, f"process {pid} is {state}, runs: {running}")
        must(state != "STOPPED", f"process {pid} was continued and is {state}")
        must(not process.held, f"process {pid} goes on and its replies are held")
        held = any(burst.state == "held" for burst in process.bursts)
        must(not held, f"process {pid} goes on, and its bursts are held")
