"""The ``ctx`` family: a process's context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kernel import context, lifecycle, pages, reach
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

_MOST_CHECKPOINTS: Final = 256
_UNDO: Final = "compact:"
"""What a checkpoint that undoes a compaction is called, before the id of its summary. No name that
somebody may give has a colon."""
_UNDONE: Final = 16
"""Compactions that can be undone: each keeps a whole context in memory."""


def _target(kernel: Machine, call: Call, pid: int | None) -> Process:
    process = reach.target(kernel, call.process, pid)
    if not process.alive:
        raise reach.ended(process.pid)
    return process


def read(kernel: Machine, call: Call, args: ReadArgs) -> ReadResult:
    process = call.process if args.pid is None else kernel.table.find(args.pid)
    if process is not None:
        lifecycle.taint(kernel, call.process, process)
        nodes, tokens = _present(process, args), process.context_tokens
    else:
        nodes, tokens = _past(kernel, call, args.pid or 0)
    if args.source is not None:
        nodes = pages.behind(kernel, nodes, args.source)[-(args.last or 0) :]
        if (size := sum(node.size for node in nodes)) > MAX_BODY:
            raise too_large(size)
    elif args.last is not None:
        nodes = nodes[-args.last :]
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


def _present(process: Process, args: ReadArgs) -> list[Node]:
    if args.source is not None:
        return context.messages(process.head)
    if args.last is None and context.size(process.head) > MAX_BODY:
        raise too_large(context.size(process.head))
    return context.messages(process.head, args.last)


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
    # A summary stands where it would, in a context that begins without one.
    first = 1 if nodes and nodes[0].role == "system" and not nodes[0].sources else 0
    cut = max(first, _cut(nodes, args))
    replaced, kept = nodes[first:cut], nodes[cut:]
    if not replaced:
        raise EINVAL(f"nothing to compact: the context has {len(nodes)} messages")
    lifecycle.taint(kernel, process, call.process)
    before = process.head
    process.head = nodes[0] if first else None
    sources = tuple(node.id for node in replaced)
    summary = kernel.append(process, ChatMessage(role="system", content=args.summary), sources)
    for node in kept:
        kernel.append(process, node.message, node.sources)
    _head_moved(kernel, process)
    undo = f"{_UNDO}{summary.id}"
    process.checkpoints[undo] = before
    older = [name for name in process.checkpoints if name.startswith(_UNDO)][:-_UNDONE]
    for name in older:
        del process.checkpoints[name]
    kernel.journal.event(
        kernel.now, "ctx.compacted", process.pid, summary=summary.id, messages=len(sources),
        checkpoint=undo, dropped=older,
    )  # fmt: skip
    return CompactResult(summary=summary.id, sources=list(sources), checkpoint=undo)


def _cut(nodes: list[Node], args: CompactArgs) -> int:
    """How many messages are before those that stay."""
    if args.keep is not None:
        return len(nodes) - args.keep
    for place, node in enumerate(nodes, 1):
        if node.id == args.through:
            return place
    raise ENOENT(
        f"the context has no message {args.through} any more", hint="read it again: it has changed"
    )


def checkpoint(kernel: Machine, call: Call, args: CheckpointArgs) -> CheckpointResult:
    process = _target(kernel, call, args.pid)
    lifecycle.taint(kernel, process, call.process)
    name = _checkpoint(kernel, process, args.name)
    return CheckpointResult(checkpoint=name, messages=context.depth(process.head))


def _checkpoint(kernel: Machine, process: Process, name: str | None) -> str:
    given = [one for one in process.checkpoints if not one.startswith(_UNDO)]
    if len(given) >= _MOST_CHECKPOINTS:
        raise EQUOTA(f"process {process.pid} has {_MOST_CHECKPOINTS} checkpoints, the most it may")
    if name is None:
        number = len(given) + 1
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
