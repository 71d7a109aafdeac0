"""The network between the kernel and everybody else: connections that are slow, and that break.

One connection keeps the order of what goes through it, so messages pass each other only where
they come through different ones. When it breaks, the last of what was on its way is lost, in both
directions. If it comes back within a moment, the kernel never hears of that; else it hears that
the peer has gone, after the last message that came through. It knows nothing about what is sent.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from tests.sim.agenda import Agenda

Door = Literal["clients", "drivers"]

_GRACE = 0.2
"""Seconds in which a peer may come back before the kernel hears that it has gone."""


class End(Protocol):
    """Who is at a link's other end."""

    def up(self) -> None:
        """The connection stands, perhaps again."""

    def hear(self, item: Any) -> None: ...


class Kernel(Protocol):
    """What the kernel's process hears. ``HERE``: of a connection; ``GONE``: that a peer has none
    any more."""

    running: bool

    def arrive(self, door: Door, peer: bytes, item: Any) -> None: ...


HERE: Final = "here"
GONE: Final = "gone"


class _Pipe:
    """One direction of one connection: first in, first out, each after a delay of its own."""

    def __init__(
        self, agenda: Agenda, delay: Callable[[], float], take: Callable[[Any], None]
    ) -> None:
        self._agenda, self._delay, self._take = agenda, delay, take
        self._items: deque[Any] = deque()
        self.last = 0.0
        """When the last of what is in it arrives."""

    def put(self, item: Any) -> None:
        self.last = max(self.last, self._agenda.now + self._delay())
        self._items.append(item)
        self._agenda.at(self.last, self._pop)

    def _pop(self) -> None:
        if self._items:
            self._take(self._items.popleft())

    def cut(self, chance: random.Random) -> None:
        """What was put in last is lost."""
        for _ in range(chance.randint(0, len(self._items))):
            self._items.pop()

    def clear(self) -> None:
        self._items.clear()


class Link:
    """What one process has to the kernel, as long as it lives, under one routing id."""

    def __init__(self, network: Network, door: Door, peer: bytes, end: End) -> None:
        self.door, self.peer, self.end = door, peer, end
        self.closed = False
        self._network = network
        self._mute = network.chance.random() < 0.4
        """It is connected again without a word: nobody looks at it until there is something to
        say."""
        self._slow = network.chance.choice((0.002, 0.01, 0.01, 0.05, 0.3))
        self._pipes: tuple[_Pipe, _Pipe] | None = None
        self._breaks = 0
        self._down_until = 0.0

    @property
    def connected(self) -> bool:
        return self._pipes is not None

    def send(self, item: Any) -> bool:
        """To the kernel. False, and nothing is kept for later, if it is not there."""
        if self._pipes is None:
            return False
        self._pipes[0].put(item)
        return True

    def deliver(self, item: Any) -> None:
        """From the kernel."""
        if self._pipes is not None:
            self._pipes[1].put(item)

    def connect(self) -> None:
        down = self._network.agenda.now < self._down_until or not self._network.kernel.running
        if self.closed or self._pipes is not None or down:
            return
        up = _Pipe(self._network.agenda, self._delay, self._arrive)
        self._pipes = up, _Pipe(self._network.agenda, self._delay, self._hear)
        if self.door == "clients" and not (self._mute and self._network.boots):
            up.put(HERE)
        self.end.up()

    def cut(self, outage: float) -> None:
        """The connection breaks, and stands again after so many seconds. Those are enough for the
        kernel to hear of it, or it never does."""
        noticed, now = self._break(), self._network.agenda.now
        self._down_until = now + outage if outage < _GRACE else noticed + outage
        self._network.agenda.at(self._down_until, self.connect)

    def close(self) -> None:
        """For good: the process has ended, and what it has sent may still arrive."""
        if not self.closed:
            self.closed = True
            self._break()
            self._network.forget(self)

    def kernel_died(self) -> None:
        """What was on its way there is lost with it; what it had sent may still come."""
        if self._pipes is not None:
            (up, down), self._pipes = self._pipes, None
            up.clear()
            down.cut(self._network.chance)

    def _break(self) -> float:
        """When the kernel hears of it."""
        agenda = self._network.agenda
        if self._pipes is None:
            return agenda.now
        (up, down), self._pipes = self._pipes, None
        up.cut(self._network.chance)
        down.cut(self._network.chance)
        self._breaks += 1
        breaks, boots = self._breaks, self._network.boots

        def notice() -> None:
            if self._pipes is None and (self._breaks, self._network.boots) == (breaks, boots):
                self._network.kernel.arrive(self.door, self.peer, GONE)

        moment = max(agenda.now, up.last) + _GRACE
        agenda.at(moment, notice)
        return moment

    def _delay(self) -> float:
        return self._network.chance.uniform(0.1, 2.0) * self._slow

    def _arrive(self, item: Any) -> None:
        self._network.kernel.arrive(self.door, self.peer, item)

    def _hear(self, item: Any) -> None:
        if not self.closed:
            self.end.hear(item)


class Network:
    """All links. ``boots``: how often the kernel was started."""

    def __init__(self, agenda: Agenda, chance: random.Random, kernel: Kernel) -> None:
        self.agenda, self.chance, self.kernel = agenda, chance, kernel
        self.boots = 0
        self._came = 0.0
        self._closed: dict[bytes, float] = {}
        self._links: dict[tuple[Door, bytes], Link] = {}

    def link(self, door: Door, peer: bytes, end: End) -> Link:
        made = self._links[door, peer] = Link(self, door, peer, end)
        self.agenda.after(self.chance.uniform(0, 0.1), made.connect)
        return made

    def __iter__(self) -> Any:
        return iter(list(self._links.values()))

    def find(self, door: Door, peer: bytes) -> Link | None:
        return self._links.get((door, peer))

    def doubt(self, peer: bytes) -> None:
        """The kernel wants to know whether this client is there. If it is not, it hears so."""
        boots = self.boots

        def look() -> None:
            link = self.find("clients", peer)
            if boots == self.boots and (link is None or not link.connected):
                self.kernel.arrive("clients", peer, GONE)

        self.agenda.after(_GRACE, look)

    def forget(self, link: Link) -> None:
        self._links.pop((link.door, link.peer), None)
        self._closed[link.peer] = self.agenda.now

    def missed(self, peer: bytes) -> float:
        """For how many seconds the kernel could have known that it is gone for good."""
        closed = self._closed.get(peer, self.agenda.now)
        return self.agenda.now - max(closed, self._came)

    def kernel_died(self) -> None:
        """All connections break at once, and nobody is there to notice."""
        self.boots += 1
        for link in self:
            link.kernel_died()

    def kernel_came(self) -> None:
        """Each comes back when it has tried again."""
        self._came = self.agenda.now
        for link in self:
            self.agenda.after(self.chance.choice((0.05, 0.5, 2.0)), link.connect)
