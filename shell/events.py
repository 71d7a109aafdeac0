"""The event stream: first what has happened, then what happens, without gaps.

The event socket is PUB, which may drop; sequence numbers show a gap, and ``sys.events``
fills it. It knows nothing about what events mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgpack
import zmq
from pydantic import ValidationError

from llmagentos.abi.calls.sys import Event, EventsResult

if TYPE_CHECKING:
    from llmagentos.client import System

_PAGE: Final = 1000
_SILENCE: Final = 2000
"""Milliseconds without an event after which the kernel is asked: it may have been dropped."""


class Events:
    """Iterate over what has happened (``past``), or over that and what is to come (``all``)."""

    def __init__(self, system: System, address: str, pid: int | None = None) -> None:
        self._system = system
        self._address = address
        self._pid = pid
        self._seen = 0
        self.lost = 0

    def past(self) -> Iterator[Event]:
        """All that is kept and was not told yet."""
        while True:
            page = EventsResult.model_validate(
                self._system.call("sys.events", since=self._seen, limit=_PAGE, pid=self._pid)
            )
            if page.latest < self._seen:
                # Another database: its count starts anew.
                self._seen = 0
                continue
            self.lost += max(0, page.oldest - self._seen - 1) if self._seen else 0
            for event in page.events:
                self._seen = event.seq
                yield event
            if not page.more:
                self._seen = max(self._seen, page.latest)
                return

    def all(self) -> Iterator[Event]:
        """Endless. Subscribes first, so that nothing falls between past and future."""
        subscriber: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        try:
            subscriber.setsockopt(zmq.LINGER, 0)
            subscriber.setsockopt(zmq.SUBSCRIBE, b"")
            subscriber.connect(self._address)
            yield from self.past()
            while True:
                event = _next(subscriber)
                if event is None or event.seq != self._seen + 1:
                    if event is None or event.seq > self._seen:
                        yield from self.past()
                    continue
                self._seen = event.seq
                if self._pid is None or event.pid == self._pid:
                    yield event
        finally:
            subscriber.close()


def _next(subscriber: zmq.Socket[bytes]) -> Event | None:
    """The next event from the socket; None after a silence."""
    if not subscriber.poll(_SILENCE):
        return None
    frames = subscriber.recv_multipart()
    try:
        return Event.model_validate(msgpack.unpackb(frames[-1], raw=False))
    except (ValueError, ValidationError, msgpack.UnpackException):
        # Whatever it was, the kernel tells it again when it is asked.
        return None
