"""The ``ctx`` family: a process's context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel import context, lifecycle
from kernel.calls import Call
from kernel.context import Node
from kernel.envelope import too_large
from kernel.process import Process
from kernel.records import nodes_from
from llmagentos.abi.calls.ctx import (
    AppendArgs,
    AppendResult,
    CheckpointArgs,
    CheckpointResult,
    CompactArgs,
    CompactResult,
    ContextMessage,
    HeadResult,
    ReadArgs,
    ReadResult,
    RestoreArgs,
    RewindArgs,
)
from llmagentos.abi.errors import EINVAL, ENOENT, EQUOTA, ESRCH
from llmagentos.abi.talk import ChatMessage
from llmagentos.abi.wire import MAX_BODY

if TYPE_CHECKING:
    from kernel.machine import Machine

_MOST_CHECKPOINTS = 256


def _target(kernel: Machine, call: Call, pid: int | None) -> Process:
    process = call.process if pid is None else kernel.table.get(pid)
    if not process.alive:
        raise EINVAL(f"process {process.pid} has ended; its context can only be read")
    return process


def read(kernel: Machine, call: Call, args: ReadArgs) -> ReadResult:
    process = call.process if args.pid is None else kernel.table.find(args.pid)
    if process is not None:
        lifecycle.taint(kernel, call.process, process)
        if args.last is None and context.size(process.head) > MAX_BODY:
            raise too_large(context.size(process.head))
        nodes, tokens = context.messages(process.head, args.last), process.context_tokens
    else:
        nodes, tokens = _past(kernel, call, args.pid or 0)
        nodes = nodes[-args.last :] if args.last else nodes
    found = [
        ContextMessage(
            id=node.id,
            role=node.role,
            content=node.content,
            time=node.time,
            sources=list(node.sources),
            tool_calls=node.message.tool_calls,
            tool_call=node.message.tool_call,
        )
        for node in nodes
    ]
    return ReadResult(messages=found, tokens=tokens)


def _past(kernel: Machine, call: Call, pid: int) -> tuple[list[Node], int]:
    """The context of a process that was collected, and its tokens."""
    info = kernel.graveyard.find(pid)
    if info is None:
        raise ESRCH(f"there is no process {pid}", hint="llmos ps lists them")
    lifecycle.label(kernel, call.process, info.labels, f"process {pid}")
    nodes = nodes_from(kernel.services.history.messages(pid))
    return list(nodes.values()), info.context_tokens


def append(kernel: Machine, call: Call, args: AppendArgs) -> AppendResult:
    process = _target(kernel, call, args.pid)
    lifecycle.taint(kernel, process, call.process)
    size = sum(map(context.bytes_of, args.messages))
    context.check_room(process.head, len(args.messages), size)
    nodes = [kernel.append(process, message) for message in args.messages]
    return AppendResult(ids=[node.id for node in nodes])


def compact(kernel: Machine, call: Call, args: CompactArgs) -> CompactResult:
    process = _target(kernel, call, args.pid)
    nodes = context.messages(process.head)
    first = 1 if nodes and nodes[0].role == "system" else 0
    cut = len(nodes) - args.keep
    replaced, kept = nodes[first:cut], nodes[max(first, cut) :]
    if not replaced:
        raise EINVAL(f"nothing to compact: the context has {len(nodes)} messages")
    lifecycle.taint(kernel, process, call.process)
    checkpoint = _checkpoint(kernel, process, None)
    process.head = nodes[0] if first else None
    sources = tuple(node.id for node in replaced)
    summary = kernel.append(process, ChatMessage(role="system", content=args.summary), sources)
    for node in kept:
        kernel.append(process, node.message, node.sources)
    _head_moved(kernel, process)
    return CompactResult(summary=summary.id, sources=list(sources), checkpoint=checkpoint)


def checkpoint(kernel: Machine, call: Call, args: CheckpointArgs) -> CheckpointResult:
    process = _target(kernel, call, args.pid)
    lifecycle.taint(kernel, process, call.process)
    name = _checkpoint(kernel, process, args.name)
    return CheckpointResult(checkpoint=name, messages=context.depth(process.head))


def _checkpoint(kernel: Machine, process: Process, name: str | None) -> str:
    if len(process.checkpoints) >= _MOST_CHECKPOINTS:
        raise EQUOTA(f"process {process.pid} has {_MOST_CHECKPOINTS} checkpoints, the most it may")
    if name is None:
        number = len(process.checkpoints) + 1
        while f"c{number}" in process.checkpoints:
            number += 1
        name = f"c{number}"
    process.checkpoints[name] = process.head
    kernel.changed(process)
    return name


def restore(kernel: Machine, call: Call, args: RestoreArgs) -> HeadResult:
    process = _target(kernel, call, args.pid)
    lifecycle.taint(kernel, call.process, process)
    if args.checkpoint not in process.checkpoints:
        names = ", ".join(process.checkpoints) or "none"
        raise ENOENT(
            f"process {process.pid} has no checkpoint {args.checkpoint}", hint=f"it has {names}"
        )
    return _set_head(kernel, process, process.checkpoints[args.checkpoint])


def rewind(kernel: Machine, call: Call, args: RewindArgs) -> HeadResult:
    process = _target(kernel, call, args.pid)
    return _set_head(kernel, process, context.rewound(process.head, args.message))


def _set_head(kernel: Machine, process: Process, head: Node | None) -> HeadResult:
    process.head = head
    _head_moved(kernel, process)
    return HeadResult(messages=context.depth(head))


def _head_moved(kernel: Machine, process: Process) -> None:
    # Nobody has counted the context as it is now.
    process.context_tokens = 0
    kernel.changed(process)


HANDLERS: dict[str, Callable[..., Any]] = {
    "ctx.read": read,
    "ctx.append": append,
    "ctx.compact": compact,
    "ctx.checkpoint": checkpoint,
    "ctx.restore": restore,
    "ctx.rewind": rewind,
}
