"""The ``proc`` family: processes and their tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from kernel import births, ledger, lifecycle, offers, reach
from kernel.adoption import adopt
from kernel.calls import DEFERRED, Call, Deferred
from kernel.limits import lowered, tighter
from kernel.patience import BOOT_SETTLING
from kernel.process import Process, brief
from kernel.rights import check_model, check_program, check_tool
from kernel.rules import tool_names
from llmagentos.abi.calls.proc import (
    Empty,
    ExitArgs,
    ForkArgs,
    InfoArgs,
    KillArgs,
    KillResult,
    LimitsArgs,
    LimitsResult,
    ListArgs,
    ListResult,
    NiceArgs,
    SpawnArgs,
    SpawnResult,
    WaitArgs,
)
from llmagentos.abi.errors import EINVAL, EPERM, ESRCH, ETIMEOUT
from llmagentos.abi.manifest import Manifest
from llmagentos.abi.process import INIT, ErrorRecord, ExitRecord, Limits, ProcessDetail
from llmagentos.abi.talk import ChatMessage

if TYPE_CHECKING:
    from kernel.machine import Machine


def _manifest(kernel: Machine, args: SpawnArgs) -> Manifest:
    catalog = kernel.services.catalog
    if args.source is not None:
        manifest = catalog.parsed(args.source, args.file, args.folder)
    elif isinstance(args.manifest, str):
        manifest = catalog.named(args.manifest)
    else:
        manifest = catalog.checked(args.manifest or {})
    spec = manifest.spec
    if args.model is not None:
        spec = spec.model_copy(update={"model": args.model})
    if args.sampling is not None:
        spec = spec.model_copy(update={"sampling": args.sampling.over(spec.sampling)})
    if args.placement is not None:
        spec = spec.model_copy(update={"placement": args.placement})
    return manifest.model_copy(update={"spec": spec})


def spawn(kernel: Machine, call: Call, args: SpawnArgs) -> SpawnResult:
    manifest = _manifest(kernel, args)
    for model in manifest.spec.models:
        check_model(call.process, model)
    for tool in tool_names(manifest.spec):
        check_tool(call.process, tool)
    if manifest.spec.program is not None:
        check_program(call.process)
    process = births.begin(
        kernel,
        call.process,
        args.name or manifest.metadata.name,
        "agent",
        manifest=manifest,
        limits=args.limits,
        attached=call.peer if args.attach else b"",
    )
    if manifest.spec.prompt.strip():
        kernel.append(process, ChatMessage(role="system", content=manifest.spec.prompt.strip()))
    if args.text is not None:
        kernel.append(process, ChatMessage(role="user", content=args.text))
    process.born = process.head
    what = "pid" if manifest.spec.program is None else "a program, pid"
    kernel.journal.audit(kernel.now, call.process.pid, "proc.spawn", "ok", f"{what} {process.pid}")
    # Right after a boot drivers come one after the other.
    late = kernel.now < kernel.booted + BOOT_SETTLING
    notices = [] if late else offers.missing(manifest.spec, kernel.registry)
    return SpawnResult(pid=process.pid, name=process.name, notices=notices)


def fork(kernel: Machine, call: Call, args: ForkArgs) -> SpawnResult:
    parent = reach.target(kernel, call.process, args.pid)
    if not parent.alive:
        raise reach.ended(parent.pid)
    if parent.manifest is None or parent.spec.program is not None:
        raise EINVAL(
            f"process {parent.pid} is no running agent",
            hint="only an agent can be forked: a program's code is not the kernel's to copy",
        )
    child = births.begin(
        kernel,
        parent,
        args.name or parent.name,
        "agent",
        manifest=parent.manifest,
        limits=_halved(parent),
        head=parent.head,
        origin=parent.pid,
    )
    if args.text is not None:
        lifecycle.taint(kernel, child, call.process)
        kernel.append(child, ChatMessage(role="user", content=args.text))
    child.born = child.head
    kernel.residency.forked(parent, child)
    kernel.journal.audit(kernel.now, call.process.pid, "proc.fork", "ok", f"pid {child.pid}")
    return SpawnResult(pid=child.pid, name=child.name)


def _halved(parent: Process) -> Limits:
    """Half of what the parent has left; the other half stays with the parent, since what a
    child spends counts for those above it too."""
    halves = {what: ledger.left(parent, what) for what in ("tokens", "turns", "tool_calls")}
    money = ledger.left(parent, "money")
    return Limits(
        money=None if money is None else money // 2 / ledger.MONEY,
        **{what: None if left is None else left // 2 for what, left in halves.items()},
    )


def exit_(kernel: Machine, call: Call, args: ExitArgs) -> Empty:
    if call.process.pid == INIT:
        raise EINVAL("the user's own process doesn't end", hint="sys.shutdown ends the system")
    error = None
    if args.error is not None:
        fields = {name: args.error.get(name) for name in ErrorRecord.model_fields}
        given = {name: value for name, value in fields.items() if value is not None}
        try:
            error = ErrorRecord.model_validate(given)
        except ValueError:
            raise EINVAL(
                "proc.exit: error is not of the form {code, message, hint, detail}"
            ) from None
    lifecycle.end(kernel, call.process, code=args.code, answer=args.answer, error=error, own=True)
    return Empty()


def wait(kernel: Machine, call: Call, args: WaitArgs) -> ExitRecord | Deferred:
    process = kernel.table.find(args.pid)
    if process is None:
        past = kernel.graveyard.find(args.pid)
        if past is None or past.exit is None:
            raise ESRCH(f"there is no process {args.pid}", hint="llmos ps lists them")
        lifecycle.label(kernel, call.process, past.labels, f"process {args.pid}")
        return past.exit
    if process is call.process:
        raise EINVAL("a process can't wait for its own end")
    lifecycle.taint(kernel, call.process, process)
    if process.exit is not None:
        if args.reap:
            lifecycle.reap(kernel, process)
        return process.exit
    call.stream, call.reap, call.awaited, call.waits = args.stream, args.reap, process, "child"
    call.on_close = partial(process.watchers.discard, call)
    process.watchers.add(call)
    if args.stream:
        for burst in process.bursts:
            kernel.answers.so_far(call, burst)
    if args.timeout is not None:
        message = f"process {args.pid} did not end within {args.timeout:g} s"
        kernel.calls.expire(call, args.timeout, lambda: ETIMEOUT(message))
    return DEFERRED


def kill(kernel: Machine, call: Call, args: KillArgs) -> KillResult:
    target = reach.target(kernel, call.process, args.pid)
    if target.pid == INIT:
        raise EPERM("process 1 takes no signals", hint="llmos down ends the system")
    if not target.alive:
        raise reach.ended(args.pid)
    victims = kernel.table.tree(target) if args.tree else [target]
    signalled = [process for process in victims if process.alive]
    for process in signalled:
        lifecycle.signal(kernel, process, args.signal)
    pids = [process.pid for process in signalled]
    kernel.journal.audit(
        kernel.now, call.process.pid, "proc.kill", "ok", f"{args.signal} to {pids}"
    )
    return KillResult(signalled=pids)


def nice(kernel: Machine, call: Call, args: NiceArgs) -> Empty:
    target = reach.target(kernel, call.process, args.pid)
    if args.priority < target.priority and call.process.pid != INIT:
        raise EPERM(f"only the user may raise the priority of process {args.pid}")
    target.priority = args.priority
    kernel.scheduler.reorder(target)
    kernel.changed(target)
    return Empty()


def limits(kernel: Machine, call: Call, args: LimitsArgs) -> LimitsResult:
    target = reach.target(kernel, call.process, args.pid)
    if args.limits is None:
        return LimitsResult(limits=target.limits)
    if not target.alive:
        raise reach.ended(target.pid)
    if target.pid == INIT:
        raise EINVAL(f"process {target.pid} takes no limits")
    lowered(target.limits, args.limits)
    for process in kernel.table.tree(target):
        if not process.alive:
            continue
        process.limits = tighter(process.limits, args.limits)
        lifecycle.limit_wall(process)
        if process.deadline is not None:
            lifecycle.watch_wall(kernel, process)
        kernel.changed(process)
    for process in kernel.table:
        # Where money is limited now, bursts that wait may not go to drivers without a price.
        kernel.scheduler.reorder(process)
    kernel.journal.audit(kernel.now, call.process.pid, "proc.limits", "ok", f"pid {target.pid}")
    return LimitsResult(limits=target.limits)


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    root = reach.target(kernel, call.process, args.tree)
    found = [process for process in _listed(kernel, root, args.pids) if process.pid > args.after]
    found.sort(key=lambda process: process.pid)
    kv = kernel.registry.kv
    rows = [process.info(kv(process.pid)) for process in found[: args.limit]]
    if root.pid == INIT and not args.after:
        rows += kernel.graveyard.last(args.history)
    return ListResult(
        processes=[brief(row) for row in sorted(rows, key=lambda row: row.pid)],
        next=found[args.limit - 1].pid if len(found) > args.limit else None,
    )


def _listed(kernel: Machine, root: Process, pids: list[int] | None) -> list[Process]:
    if pids is None:
        return kernel.table.tree(root)
    wanted = set(pids)
    if root.pid == INIT:
        # All are below it: no need to look at each of them for a few.
        found = map(kernel.table.find, wanted)
        return [process for process in found if process is not None]
    return [process for process in kernel.table.tree(root) if process.pid in wanted]


def info(kernel: Machine, call: Call, args: InfoArgs) -> ProcessDetail:
    process = call.process if args.pid is None else kernel.table.find(args.pid)
    if process is None:
        past = kernel.graveyard.find(args.pid or 0)
        if past is None:
            raise ESRCH(f"there is no process {args.pid}", hint="llmos ps lists them")
        lifecycle.label(kernel, call.process, past.labels, f"process {args.pid}")
        return ProcessDetail(process=past)
    # Its prompt may be what a labelled process wrote for it, and its answer or error what it says.
    lifecycle.taint(kernel, call.process, process)
    return ProcessDetail(
        process=process.info(kernel.registry.kv(process.pid)),
        placement=process.placement,
        history=[
            {"time": step.time, "from": step.before, "to": step.after, "why": step.why}
            for step in process.history
        ],
        spec=process.manifest.model_dump(mode="json") if process.manifest else None,
        ledger=ledger.budgets(process),
        checkpoints=list(process.checkpoints),
        mailbox=kernel.mail.length(process),
    )


HANDLERS: dict[str, Callable[..., Any]] = {
    "proc.spawn": spawn,
    "proc.fork": fork,
    "proc.exit": exit_,
    "proc.wait": wait,
    "proc.kill": kill,
    "proc.nice": nice,
    "proc.limits": limits,
    "proc.list": list_,
    "proc.info": info,
    "proc.adopt": adopt,
}
