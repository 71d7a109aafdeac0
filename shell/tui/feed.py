"""The feed: keeps the board true, by asking only for what has changed.

Events say whose rows are old; a few times a second those are asked for, and those of whatever is
running. All of it is asked for only at the start, after a gap, and now and then. It knows nothing
about screens.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgpack
import zmq
from pydantic import ValidationError

from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.calls.drv import ListResult as Drivers
from llmagentos.abi.calls.sys import Event, InfoResult
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.process import ProcessInfo
from shell.engines import computing
from shell.tui.board import Board
from shell.tui.link import Link

TICK: Final = 0.25
"""Seconds between two looks."""
_SLOWLY: Final = 1.0
"""Between two looks at drivers and approvals."""
_ALL: Final = 30.0
"""Between two looks at all processes."""
_WITHIN: Final = 3.0
_PAGE: Final = 2000
_MOST_EVENTS: Final = 5000
"""Taken in one tick; the rest waits in the socket."""
_HISTORY: Final = 120
_PAST: Final = 200
"""Collected processes that are asked for."""


@dataclass(slots=True)
class Vitals:
    """What the header shows. ``pace``, ``queue`` and ``load`` are what they were, a second apart:
    tokens/s of all drivers, bursts that wait, and the share of slots that is taken."""

    info: InfoResult | None = None
    drivers: list[DriverInfo] = field(default_factory=list)
    queued: int = 0
    approvals: int = 0
    more: bool = False
    """More approvals than that."""
    pace: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    queue: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    load: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    @property
    def engines(self) -> list[DriverInfo]:
        """Those that compute, and are there."""
        return [driver for driver in computing(self.drivers) if driver.state != "down"]

    def take(self, listed: Drivers) -> None:
        self.drivers, self.queued = listed.drivers, listed.queued
        engines = self.engines
        slots = sum(driver.slots for driver in engines)
        self.pace.append(sum(driver.tokens_per_second for driver in engines))
        self.queue.append(float(listed.queued))
        self.load.append(sum(driver.running for driver in engines) / slots if slots else 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """What one tick brought. ``pids``: whose rows have changed; None: all may have."""

    pids: frozenset[int] | None
    events: tuple[Event, ...]
    vitals: bool


class Feed:
    def __init__(self, link: Link, board: Board) -> None:
        self.board = board
        self.vitals = Vitals()
        self.down = ""
        """Why nothing is heard of the kernel; "" while it answers."""
        self._link = link
        self._seq = 0
        self._complete = False
        self._looked_at_all = 0.0
        self._looked_slowly = 0.0
        self._dirty: set[int] = set()
        self._socket: zmq.Socket[bytes] | None = None
        self._closed = False

    def close(self) -> None:
        """For good: a look that is still going on opens no other socket."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def tick(self) -> Change:
        """One look. Never raises: that the kernel is away is something to be shown."""
        events = self._drain()
        try:
            change = await self._look(events)
        except LLMOSError as error:
            self._complete = False
            gone = error.code == "ETIMEOUT" and not self._link.up
            # It didn't answer, since nobody is there.
            self.down = "the system is not up" if gone else error.message
            return Change(frozenset(), tuple(events), vitals=True)
        except ValidationError as error:
            self.down = f"what the kernel says makes no sense here: {error.errors()[0]['msg']}"
            return Change(frozenset(), tuple(events), vitals=True)
        self.down = ""
        return change

    async def _look(self, events: list[Event]) -> Change:
        await self._link.learn()
        now = time.monotonic()
        slowly = now - self._looked_slowly >= _SLOWLY or not self._complete
        if slowly:
            self._looked_slowly = now
            await self._vitals()
        if not self._complete or now - self._looked_at_all >= _ALL:
            self._looked_at_all = now
            await self._all()
            return Change(None, tuple(events), slowly)
        return Change(frozenset(await self._some()), tuple(events), slowly)

    async def _vitals(self) -> None:
        call, vitals = self._link.call, self.vitals
        vitals.info = InfoResult.model_validate(await call("sys.info", within=_WITHIN))
        vitals.take(Drivers.model_validate(await call("drv.list", within=_WITHIN)))
        listed = await call("cap.list", within=_WITHIN)
        vitals.approvals, vitals.more = len(listed["approvals"]), listed["more"]

    async def _all(self) -> None:
        self._dirty.clear()
        rows: list[ProcessInfo] = []
        after: int | None = 0
        while after is not None:
            page = await self._link.call("proc.list", after=after, limit=_PAGE, within=_WITHIN)
            rows += map(ProcessInfo.model_validate, page["processes"])
            after = page["next"]
        # None that live, so only the history: else the two could not be told apart.
        past = await self._link.call("proc.list", pids=[], history=_PAST, within=_WITHIN)
        self.board.replace(rows, map(ProcessInfo.model_validate, past["processes"]))
        self._complete = True

    async def _some(self) -> set[int]:
        """Those that something happened to, and those that run: they make tokens, which is no
        event."""
        running = {pid for pid, row in self.board.rows.items() if row.state == "RUNNING"}
        asked = sorted(self._dirty | running)[:_PAGE]
        if not asked:
            return set()
        page = await self._link.call("proc.list", pids=asked, limit=_PAGE, within=_WITHIN)
        self._dirty.difference_update(asked)
        return self.board.update(map(ProcessInfo.model_validate, page["processes"]), asked)

    def _drain(self) -> list[Event]:
        """What the event socket has."""
        if self._closed:
            return []
        if self._socket is None:
            self._socket = zmq.Context.instance().socket(zmq.SUB)
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.setsockopt(zmq.RCVHWM, 100_000)
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
            self._socket.connect(self._link.home.events)
        found: list[Event] = []
        with suppress(zmq.Again):
            while len(found) < _MOST_EVENTS:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
                event = _event(frames[-1])
                if event is not None:
                    found.append(event)
                    self._mark(event)
        return found

    def _mark(self, event: Event) -> None:
        if event.seq != self._seq + 1 and self._seq:
            # Something was missed, or another kernel counts.
            self._complete = False
        self._seq = event.seq
        for pid in (event.pid, event.data.get("to"), event.data.get("parent")):
            if isinstance(pid, int):
                self._dirty.add(pid)


def _event(raw: bytes) -> Event | None:
    try:
        return Event.model_validate(msgpack.unpackb(raw, raw=False))
    except (ValueError, ValidationError, msgpack.UnpackException):
        return None
