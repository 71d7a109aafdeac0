"""The ``mem`` family: what a process remembers beyond its context."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from kernel import lifecycle, reach
from kernel.calls import Call, Deferred
from kernel.memory import own_space
from kernel.memory_store import Match, Row
from kernel.process import Process
from kernel.sweep import Sweep
from llmagentos.abi.calls.mem import (
    OWN,
    By,
    DeleteArgs,
    DeleteResult,
    GetArgs,
    Hit,
    ListArgs,
    ListResult,
    MemoryRow,
    PutArgs,
    PutResult,
    RowBrief,
    SearchArgs,
    SearchResult,
)
from llmagentos.abi.errors import EINVAL, ENOENT, LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine


def put(kernel: Machine, call: Call, args: PutArgs) -> PutResult:
    target = _written(_target(kernel, call, args.pid), args.space)
    own = args.space == OWN
    space, owner = (own_space(target), target) if own else (args.space, call.process)
    labels = call.process.labels
    if args.labels:
        labels = tuple(sorted({*labels, *args.labels}))
    fresh, size = kernel.memory.put(space, owner, args.key, args.value, _json(labels), args.ttl)
    return PutResult(created=fresh, bytes=size)


def get(kernel: Machine, call: Call, args: GetArgs) -> MemoryRow:
    row = kernel.memory.get(_space(kernel, call, args.pid, args.space), args.key)
    if row is None:
        raise ENOENT(
            f"there is no row {args.key!r} in the space {args.space}",
            hint="mem.list shows which there are",
        )
    _taint(kernel, call, args.space, row.labels)
    return _shown(row, args.space)


def search(kernel: Machine, call: Call, args: SearchArgs) -> SearchResult | Deferred:
    space = _space(kernel, call, args.pid, args.space)
    if args.by == "words":
        return _by_words(kernel, call, args)
    if args.by == "both":
        kernel.memory.words(args.query)  # what can't be searched is told before any driver works
    calls = kernel.calls
    try:
        return kernel.vectors.ask(
            call, args, space,
            lambda outcome: calls.go_on(call, _by_meaning, args, *outcome),
            lambda error: calls.go_on(call, _without_meaning, args, error),
        )  # fmt: skip
    except LLMOSError as error:
        return _without_meaning(kernel, call, args, error)


def _without_meaning(
    kernel: Machine, call: Call, args: SearchArgs, error: LLMOSError
) -> SearchResult | Deferred:
    """No vector can be made of the query."""
    if args.by == "meaning":
        raise error
    return _by_words(kernel, call, args, note=f"{error.code}: {error.message}")


def _by_words(
    kernel: Machine, call: Call, args: SearchArgs, note: str = ""
) -> SearchResult | Deferred:
    space = _space(kernel, call, args.pid, args.space)
    sweep = kernel.memory.sweep(space, args.query, True)
    if sweep is None:
        again = partial(kernel.calls.go_on, call, _by_words, args, note)
        return kernel.memory.when_indexed(call, again)

    def over() -> SearchResult:
        found = kernel.memory.by_words(sweep, args.limit)
        return _result(kernel, call, args, found, "words", note)

    return _sweep(kernel, call, sweep, over)


def _by_meaning(
    kernel: Machine, call: Call, args: SearchArgs, kind: str, vector: bytes
) -> SearchResult | Deferred:
    """Now that the vector of the query is there."""
    memory, space = kernel.memory, _space(kernel, call, args.pid, args.space)
    if args.by == "meaning":
        near = memory.nearest(space, kind, vector, args.limit)
        return _result(kernel, call, args, near, "meaning", kind=kind)
    sweep = memory.sweep(space, args.query, True, False)
    if sweep is None:
        again = partial(kernel.calls.go_on, call, _by_meaning, args, kind, vector)
        return memory.when_indexed(call, again)

    def over() -> SearchResult:
        found = memory.by_both(space, sweep, kind, vector, args.limit)
        return _result(kernel, call, args, found, "both", kind=kind)

    return _sweep(kernel, call, sweep, over)


def _sweep(
    kernel: Machine, call: Call, sweep: Sweep, over: Callable[[], SearchResult]
) -> SearchResult | Deferred:
    """Begin a sweep, behind those that were begun before. One in a turn is enough."""
    if kernel.memory.sweeps:
        return _rest(kernel, call, sweep, over)
    return _sweep_on(kernel, call, sweep, over)


def _sweep_on(
    kernel: Machine, call: Call, sweep: Sweep, over: Callable[[], SearchResult]
) -> SearchResult | Deferred:
    return _rest(kernel, call, sweep, over) if sweep.step() else over()


def _rest(kernel: Machine, call: Call, sweep: Sweep, over: Callable[[], SearchResult]) -> Deferred:
    again = partial(kernel.calls.go_on, call, _sweep_on, sweep, over)
    return kernel.memory.when_rested(call, again)


def _result(
    kernel: Machine, call: Call, args: SearchArgs, found: list[Match], by: By, note: str = "",
    kind: str | None = None,
) -> SearchResult:  # fmt: skip
    vectors, space = kernel.services.memory.vectors, _space(kernel, call, args.pid, args.space)
    for match in found:
        # Even that they are too large to be read tells something of them.
        _taint(kernel, call, args.space, match.labels)
    hits = [
        Hit(row=_shown(one.row, args.space), score=one.score, snippet=one.snippet)
        for one in kernel.memory.read(space, args.query, found)
    ]
    lacking = vectors.lacking(space, kind or vectors.kind())
    return SearchResult(hits=hits, by=by, lacking=lacking, note=note)


def delete(kernel: Machine, call: Call, args: DeleteArgs) -> DeleteResult:
    _written(_target(kernel, call, args.pid), args.space)
    space = _space(kernel, call, args.pid, args.space)
    return DeleteResult(deleted=kernel.memory.delete(space, args.key))


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    space = _space(kernel, call, args.pid, args.space)
    found = kernel.memory.page(space, args.prefix, args.after, args.limit + 1)
    rows = found[: args.limit]
    for row in rows:
        _taint(kernel, call, args.space, row.labels)
    shown = [
        RowBrief(
            key=row.key,
            bytes=row.bytes,
            labels=list(_labels(row.labels)),
            owner=row.owner,
            updated=row.updated,
            expires=row.expires,
        )
        for row in rows
    ]
    return ListResult(rows=shown, more=len(found) > len(rows))


# -- whose memory, and who reads it ----------------------------------------------------------


def _target(kernel: Machine, call: Call, pid: int | None) -> Process:
    return reach.target(kernel, call.process, pid)


def _space(kernel: Machine, call: Call, pid: int | None, space: str) -> str:
    """Its name in the store."""
    target = _target(kernel, call, pid)
    return own_space(target) if space == OWN else space


def _written(target: Process, space: str) -> Process:
    if space == OWN and not target.alive:
        raise EINVAL(f"process {target.pid} has ended; its memory can only be read")
    return target


def _taint(kernel: Machine, call: Call, space: str, labels: str) -> None:
    """Labels follow the data: keys are content, too."""
    if labels != _NONE:
        lifecycle.label(kernel, call.process, _labels(labels), f"memory, space {space}")


def _shown(row: Row, space: str) -> MemoryRow:
    return MemoryRow(
        space=space,
        key=row.key,
        value=json.loads(row.value),
        labels=list(_labels(row.labels)),
        owner=row.owner,
        created=row.created,
        updated=row.updated,
        expires=row.expires,
    )


@lru_cache(maxsize=4096)
def _json(labels: tuple[str, ...]) -> str:
    return json.dumps(labels)


_NONE = _json(())


@lru_cache(maxsize=4096)
def _labels(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


HANDLERS: dict[str, Callable[..., Any]] = {
    "mem.put": put,
    "mem.get": get,
    "mem.search": search,
    "mem.delete": delete,
    "mem.list": list_,
}
