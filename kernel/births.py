"""Births: how a process begins, and what it has of its parent. Never more than that.

It knows nothing about messages on the wire, nor about which driver or host does the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from kernel import lifecycle
from kernel.context import Node
from kernel.effects import Put
from kernel.limits import tighter
from kernel.process import Process
from kernel.rules import Rules, of_manifest
from llmagentos.abi.errors import EPERM, EQUOTA
from llmagentos.abi.manifest import AgentSpec, Manifest, Place
from llmagentos.abi.process import INIT, Limits

if TYPE_CHECKING:
    from kernel.machine import Machine

_MOST_GLOBS: Final = 4096
"""In all the rules of one process."""


def begin(
    kernel: Machine,
    parent: Process,
    name: str,
    kind: Literal["agent", "program"],
    *,
    manifest: Manifest | None = None,
    limits: Limits | None = None,
    attached: bytes = b"",
    head: Node | None = None,
    rules: Rules | None = None,
    origin: int | None = None,
) -> Process:
    """A new child of ``parent``. Raises ``EQUOTA`` when it may have no more children. ``rules``:
    those of a program; an agent has its manifest's. ``origin``: of whom it is a fork."""
    _check_children(kernel, parent)
    manifest_hash = None
    if manifest is not None:
        manifest_hash, manifest, rows = kernel.manifests.keep(manifest)
        kernel.effects.rows += rows
    spec = manifest.spec if manifest else None
    own = of_manifest(spec) if spec else rules
    pid = kernel.table.new_pid()
    process = Process(
        pid=pid,
        ppid=parent.pid,
        name=name,
        kind=kind,
        started=kernel.now,
        manifest=manifest,
        manifest_hash=manifest_hash,
        priority=_priority(parent, spec),
        labels=tuple(sorted({*(spec.labels if spec else ()), *parent.labels})),
        limits=tighter(spec.limits if spec else None, limits, parent.limits),
        rights=_rights(parent, own),
        places=_places(parent, spec),
        payer=parent,
        tree=pid if parent.pid == INIT else parent.tree,
        weight=spec.schedule.weight if spec and parent.pid == INIT else parent.weight,
        due=_due(kernel, parent, spec),
        attached=attached,
        head=head,
        context_tokens=parent.context_tokens if head else 0,
        origin=origin,
    )
    kernel.table.add(process)
    if attached:
        kernel.connections.attach(process)
    kernel.effects.rows.append(Put("meta", {"key": "next_pid", "value": kernel.table.next_pid}))
    lifecycle.limit_wall(process, parent.deadline)
    if process.deadline is not None:
        lifecycle.watch_wall(kernel, process)
    kernel.journal.event(
        kernel.now, "proc.spawned", process.pid, ppid=parent.pid, name=name, kind=kind
    )
    kernel.changed(process)
    if kind == "agent":
        kernel.hosts.add(process)
    else:
        kernel.settle(process, "it was adopted")
    return process


def _check_children(kernel: Machine, parent: Process) -> None:
    allowed = parent.limits.children
    if allowed is None:
        return
    living = sum(1 for pid in parent.children if kernel.table.get(pid).alive)
    if living >= allowed:
        raise EQUOTA(
            f"process {parent.pid} has {living} children, and may have {allowed}",
            hint="wait for one of them to end",
        )


def _rights(parent: Process, own: Rules | None) -> tuple[Rules, ...]:
    """Its own rules, and all that bind its parent. Raises ``EQUOTA`` for too many."""
    if own is None:
        return parent.rights
    rights = (*(rules for rules in parent.rights if rules != own), own)
    if sum(rules.size for rules in rights) > _MOST_GLOBS:
        raise EQUOTA(
            f"a child of process {parent.pid} would be bound by more than {_MOST_GLOBS} globs",
            hint="give it, or those above it, fewer capabilities",
        )
    return rights


def _due(kernel: Machine, parent: Process, spec: AgentSpec | None) -> float | None:
    """When it should be done: by its own manifest, or as soon as its parent."""
    own = kernel.now + spec.schedule.deadline if spec and spec.schedule.deadline else None
    return min((due for due in (own, parent.due) if due is not None), default=None)


def _priority(parent: Process, spec: AgentSpec | None) -> int:
    """A child runs at most as soon as its parent would."""
    if spec is None:
        return parent.priority
    return (
        spec.schedule.priority
        if parent.pid == INIT
        else max(spec.schedule.priority, parent.priority)
    )


def _places(parent: Process, spec: AgentSpec | None) -> tuple[Place, ...]:
    """Where both the manifest and the parent allow. Raises ``EPERM`` if that is nowhere."""
    if spec is None:
        return parent.places
    places = tuple(place for place in spec.placement.allow if place in parent.places)
    if not places:
        raise EPERM(
            f"the manifest allows {', '.join(spec.placement.allow)} only, and process "
            f"{parent.pid} may use {', '.join(parent.places)} only",
            hint="a child gets at most what its parent has",
        )
    return places
