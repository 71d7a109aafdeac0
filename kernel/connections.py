"""Connections: which calls and processes hang on which client's connection.

It knows nothing about sockets; the server says when one has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import lifecycle
from kernel.calls import SHARED, Call
from kernel.ordered import Ordered
from kernel.process import Process

if TYPE_CHECKING:
    from kernel.machine import Machine

_CHOSEN_BY_US = b"\0"
"""What the routing ids begin with that a ROUTER gives to peers without one of their own."""

_RECONNECT_GRACE = 10.0
"""Seconds after a boot in which clients of before may come back."""


class Connections:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._calls: dict[bytes, Ordered[Call]] = {}
        self._attached: dict[bytes, Ordered[Process]] = {}
        self._awaited: set[bytes] = set()
        """Of before the boot, with processes attached, and not heard since."""

    @staticmethod
    def user_scope(peer: bytes) -> str:
        """Many shells share the user's key, so their ids are told apart by connection. One that
        chose no routing id gets a new one with each connection, and perhaps one that another
        client had before: it can't repeat a call, and nothing is kept for it."""
        return f"{'once:' if peer.startswith(_CHOSEN_BY_US) else SHARED}{peer.hex()}"

    def heard(self, peer: bytes) -> None:
        self._awaited.discard(peer)

    def opened(self, call: Call) -> None:
        self._calls.setdefault(call.peer, Ordered()).add(call)

    def closed(self, call: Call) -> None:
        calls = self._calls.get(call.peer)
        if calls is not None:
            calls.discard(call)
            if not calls:
                del self._calls[call.peer]

    def move(self, call: Call, peer: bytes) -> None:
        """The caller repeated the call on another connection: the reply goes there."""
        self.closed(call)
        call.peer = peer
        self.opened(call)

    def attach(self, process: Process) -> None:
        """It ends with the connection that is named in it."""
        self._attached.setdefault(process.attached, Ordered()).add(process)

    def detach(self, process: Process) -> None:
        processes = self._attached.get(process.attached)
        if processes is not None:
            processes.discard(process)
            if not processes:
                del self._attached[process.attached]

    def gone(self, peer: bytes) -> None:
        """A connection ended: its calls are cancelled, and what is attached to it ends."""
        kernel = self._kernel
        for call in self._calls.get(peer, ()):
            # An agent's calls come from its host; another host makes them again.
            kernel.calls.abandon(call, void=call.process.kind == "agent")
        for process in self._attached.get(peer, ()):
            if process.kind == "program":
                lifecycle.end(kernel, process, code=0)
            else:
                for one in kernel.table.tree(process):
                    lifecycle.signal(kernel, one, "KILL")
            if not process.reaped:
                lifecycle.reap(kernel, process)
        kernel.replays.forget(self.user_scope(peer))

    def expect_back(self) -> None:
        """After a boot: what is attached to a connection that doesn't come back ends. A program
        that has nothing to say may be back all the same, so silence is only a reason to look."""
        kernel = self._kernel
        self._awaited = set(self._attached)

        def over() -> None:
            missing, self._awaited = self._awaited, set()
            kernel.effects.doubted += sorted(missing & self._attached.keys())

        kernel.timers.set("reconnect", kernel.now + _RECONNECT_GRACE, over)
