"""A client's line to a rig, in place of a socket: what comes when is the test's to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kernel.effects import FromClient
from llmagentos.abi import wire
from llmagentos.client import System
from llmagentos.exchange import Exchange
from llmagentos.stream import Stream
from tests.kernel.rig import USER, Rig

Event = Callable[[], object]


class Line:
    """``before``: what happens just before the calls of one name reach the
    kernel, one event before each. ``later``: what happens while nothing is asked."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._exchange = Exchange()
        self._heard = 0
        self.before: dict[str, list[Event]] = {}
        self.later: list[Event] = []

    def open(
        self, name: str, args: Mapping[str, Any], session: str, buffers: Sequence[bytes] = ()
    ) -> Stream:
        stream = Stream(self, name)  # type: ignore[arg-type]
        stream.number, frames = self._exchange.open(name, args, session, stream.inbox.append)
        if events := self.before.get(name):
            events.pop(0)()
        self._rig.put_in(FromClient(b"shell", wire.decode(frames)))
        return stream

    def pump(self, _: float) -> None:
        """All that has come, or what comes next."""
        if self._heard == len(self._rig.inbox[b"shell"]):
            assert self.later, "it waits for what never comes"
            self.later.pop(0)()
        fresh = self._rig.inbox[b"shell"][self._heard :]
        self._heard += len(fresh)
        for message in fresh:
            self._exchange.feed(wire.encode(message))

    def abandon(self, number: int) -> bool:
        return bool(self._exchange.abandon(number))

    def system(self) -> System:
        """The user's session on it."""
        return System(self, USER, 1)  # type: ignore[arg-type]

    def close(self) -> None:
        return
