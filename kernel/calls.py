"""Calls: one syscall on its way through the kernel, and the replies that are kept for repeats.

It knows nothing about what any call does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kernel.effects import Delete, Put, Row
from llmagentos.abi.syscalls import Syscall

if TYPE_CHECKING:
    from kernel.burst import Burst
    from kernel.process import Process


@dataclass(slots=True, eq=False)
class Call:
    """``scope`` is what the caller's id is unique in: its session, or, for the user's key,
    which many shells share, the session and the connection."""

    peer: bytes
    id: int
    spec: Syscall
    process: Process
    scope: str
    stream: bool = False
    reap: bool = True
    awaited: Process | None = None
    burst: Burst | None = None
    done: bool = False


class Deferred:
    """What a handler returns when its reply comes later."""


DEFERRED = Deferred()


class Kept(NamedTuple):
    """A reply, and the call that it is the reply to."""

    name: str
    reply: dict[str, Any]


@dataclass(slots=True)
class Replays:
    """The replies of the last calls of each scope that wrote something: a repeated id gets the
    first reply again, and takes no second effect."""

    most: int
    _replies: dict[str, OrderedDict[int, Kept]] = field(default_factory=dict)

    def restore(self, scope: str, id: int, name: str, reply: dict[str, Any]) -> None:
        self._replies.setdefault(scope, OrderedDict())[id] = Kept(name, reply)

    def find(self, scope: str, id: int) -> Kept | None:
        replies = self._replies.get(scope)
        return replies.get(id) if replies else None

    def keep(self, call: Call, reply: dict[str, Any], now: float) -> list[Row]:
        scope, id, name = call.scope, call.id, call.spec.name
        replies = self._replies.setdefault(scope, OrderedDict())
        replies[id] = Kept(name, reply)
        row = {"scope": scope, "id": id, "name": name, "reply": reply, "time": now}
        rows: list[Row] = [Put("replays", row)]
        if len(replies) > self.most:
            old, _ = replies.popitem(last=False)
            rows.append(Delete("replays", {"scope": scope, "id": old}))
        return rows

    def forget(self, scope: str) -> list[Row]:
        if self._replies.pop(scope, None) is None:
            return []
        return [Delete("replays", {"scope": scope})]
