"""Replies: they go to whoever made the call, wait as long as its process is stopped, and are kept
for a repeat of the call.

It knows nothing about what they say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import envelope
from kernel.calls import Call
from kernel.process import Process
from kernel.replays import Kept

if TYPE_CHECKING:
    from kernel.machine import Machine


class Replies:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def say(self, peer: bytes, id: int, name: str, body: bytes) -> None:
        """To a message that makes no call."""
        self._kernel.effects.sends.append(envelope.reply(peer, id, name, body))

    def send(self, call: Call, body: bytes, buffers: tuple[bytes, ...] = ()) -> None:
        reply = envelope.reply(call.peer, call.id, call.spec.name, body, buffers)
        if call.process.stopped:
            call.process.hold(reply, len(body) + sum(map(len, buffers)))
        else:
            effects = self._kernel.effects
            effects.sends.append(reply)
            effects.size += len(body)
            if buffers:
                effects.size += sum(map(len, buffers))

    def release(self, process: Process) -> None:
        """The process goes on: it gets what came while it was stopped."""
        self._kernel.effects.sends += process.held
        process.held, process.held_bytes = [], 0

    def keep(self, call: Call, body: bytes) -> None:
        """For a repeat of the call."""
        if call.process.alive and call.lasting:
            kept = Kept(call.scope, call.id, call.spec.name, body, self._kernel.now)
            self._kernel.replays.keep(kept)
