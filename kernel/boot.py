"""Booting: the machine takes up the state as it was last committed.

It knows nothing about how that state is kept on disk.
"""

from __future__ import annotations

from typing import Any, Final

from kernel import ledger, lifecycle
from kernel.calls import SHARED
from kernel.effects import Effects, Put
from kernel.machine import Machine
from kernel.process import Process
from kernel.records import Snapshot, nodes_from, process_from
from llmagentos.abi.process import INIT

_NOTHING: Final[dict[str, Any]] = {
    "head": None, "born": None, "checkpoints": "{}", "manifest": None,
}  # fmt: skip
"""A context, as the row of a process that has none says it."""

_BURSTS_A_BOOT = 1 << 32
"""Burst ids start anew with each boot, and must never repeat: a driver may still hold one of
before."""


_SHELL_REPLIES_KEPT = 86400.0
"""Seconds that replies to shells, which have no process, outlive a boot."""


def boot(kernel: Machine, snapshot: Snapshot, now: float) -> Effects:
    """Restore processes, contexts, replies and counters; what they lead to is returned."""
    kernel.now = kernel.booted = now
    kernel.boot = snapshot.boot
    kernel.next_burst = snapshot.boot * _BURSTS_A_BOOT
    kernel.next_message = snapshot.last_message + 1
    kernel.journal.restore(
        snapshot.event_seq,
        snapshot.event_oldest,
        snapshot.audit_seq,
        snapshot.audit_oldest,
        snapshot.audit_hash,
    )
    kernel.effects.rows.append(Put("meta", {"key": "boot", "value": snapshot.boot}))
    _restore_processes(kernel, snapshot)
    if kernel.table.find(INIT) is None:
        init = Process(INIT, 0, "init", "init", now, state="READY")
        kernel.table.add(init)
        kernel.changed(init)
    kernel.table.next_pid = max(kernel.table.next_pid, snapshot.next_pid)
    kernel.registry.drained.update(snapshot.drained)
    for owner, what, amount in snapshot.held:
        process = kernel.table.find(owner)
        if process is not None:
            ledger.settle(process, what, 0, amount)

    def wanted(scope: str, moment: float) -> bool:
        if scope.startswith(SHARED):
            return now - moment < _SHELL_REPLIES_KEPT
        return kernel.table.of_session(scope) is not None

    for turn, packed in snapshot.replays:
        kernel.replays.restore(turn, packed, wanted)
    kernel.mail.restore(snapshot.mail, snapshot.topics)
    for process in list(kernel.table):
        _revive(kernel, process)
    kernel.approvals.restore(snapshot.approvals, snapshot.next_approval)
    kernel.connections.expect_back()
    kernel.timers.set("claims", now + kernel.config.claim_patience, kernel.hosts.end_claims)
    kernel.journal.event(
        now, "sys.boot", boot=snapshot.boot, processes=len(kernel.table),
        version=kernel.services.version,
    )  # fmt: skip
    return kernel.flush()


def _restore_processes(kernel: Machine, snapshot: Snapshot) -> None:
    nodes = nodes_from(snapshot.messages)
    found = {row["pid"]: row for row in snapshot.processes}
    manifests = kernel.manifests.restore(snapshot.manifests)
    processes = {}
    for pid, row in sorted(found.items()):
        # Of a process that was collected, only the accounts are needed.
        past = {name: row[name] for name in _NOTHING} if row["reaped"] else None
        processes[pid] = process_from({**row, **_NOTHING} if past else row, nodes, manifests)
        processes[pid].past = past
    for pid, process in processes.items():
        process.payer = processes.get(found[pid]["payer"] or 0)
        if not process.reaped:
            kernel.table.add(process)


def _revive(kernel: Machine, process: Process) -> None:
    """What it did before the boot is void: no burst, no host, no call is left of that."""
    if process.attached:
        kernel.connections.attach(process)
    if not process.alive:
        kernel.graveyard.add_zombie(process)
        return
    if process.deadline is not None:
        lifecycle.watch_wall(kernel, process)
    if process.terminate_by is not None:
        lifecycle.watch_term(kernel, process)
    if process.kind == "agent":
        kernel.hosts.restore(process)
    kernel.settle(process, "the kernel was started anew")
