"""Calls: one syscall on its way through the kernel, and what its handler may come back with.

It knows nothing about what any call does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.model import Model
from llmagentos.abi.process import Reason
from llmagentos.abi.syscalls import Syscall

if TYPE_CHECKING:
    from kernel.burst import Burst
    from kernel.process import Process

SHARED: Final = "user:"
"""What the scopes of calls under the user's key begin with."""

Sink = Callable[["Model | Buffered | LLMOSError"], None]


@dataclass(slots=True, eq=False)
class Call:
    """``scope`` is what the caller's id is unique in: its session, or, for the user's key,
    which many shells share, the session and the connection. ``outer``: the call that this one is
    made for; then ``sink`` gets what comes of it, and nothing goes to the caller."""

    peer: bytes
    id: int
    spec: Syscall
    process: Process
    scope: str
    buffers: tuple[bytes, ...] = ()
    stream: bool = False
    reap: bool = True
    awaited: Process | None = None
    burst: Burst | None = None
    waits: Reason | None = None
    """What its process is WAITING for, as long as this call is open; None: that follows from
    elsewhere."""
    on_close: Callable[[], None] | None = None
    """Takes the call off the lists of whoever was to answer it."""
    deferred: bool = False
    """It is on the lists of calls in flight."""
    approved: bool = False
    """Somebody has said yes to it."""
    granted: tuple[str, ...] = ()
    """The capabilities that the yes was about."""
    done: bool = False
    void: bool = False
    """Its caller is gone, by no fault of its process, and will make it again."""
    outer: Call | None = None
    sink: Sink | None = None

    @property
    def lasting(self) -> bool:
        """Whether no other client can ever have its scope."""
        return self.scope == self.process.session or self.scope.startswith(SHARED)


class Deferred:
    """What a handler returns when its reply comes later."""


DEFERRED = Deferred()


@dataclass(frozen=True, slots=True)
class Buffered:
    """A result with raw buffers beside it."""

    result: Model
    buffers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A result of many calls, and the body of the reply to each of them, written once."""

    result: Model
    body: bytes
