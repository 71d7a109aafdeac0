"""A door: one ROUTER socket, and who is connected to it.

ZeroMQ tells of a connection's end by file descriptor, and of a message's sender by routing
id; each message says which descriptor it came through. Descriptors are used again, and the
word of an end may overtake the connection's last messages, so an end only makes suspects of
those who came through the descriptor. A moment later each is sent a message: to one that is
gone, that fails. One that is connected and has said nothing yet may have come through any
descriptor that nobody is known by, so each end of such a one makes it a suspect.

What a slow client does not take in at once waits for it here, up to a number of bytes; then it
is deaf. It knows nothing about what the messages mean.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import zmq

from llmagentos import monitor
from llmagentos.abi import wire

_GRACE: Final = 0.2
"""Seconds between the end of a connection and the look who is gone: what was sent before the
end may still be on its way."""

_MOST_WAITING: Final = 16 * 1024 * 1024
"""Bytes that wait for one client, beside what ZeroMQ has taken for it."""

_TRIES: Final = 20

_RETRY: Final = 0.002

# As plain numbers: pyzmq's flags are enums, whose operators cost more than a send.
_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_READABLE: Final = int(zmq.POLLIN)

_ALIVE: Final = wire.encode(wire.Message("alive"))


@dataclass(slots=True)
class _Backlog:
    """What waits for one peer."""

    messages: deque[list[bytes]] = field(default_factory=deque)
    size: int = 0


class Door:
    """Times are in seconds, of any clock that does not go back."""

    def __init__(self, address: str, options: Mapping[int, int | bytes] | None = None) -> None:
        """``options``: of the socket. With CURVE among them, each message says whose it is."""
        self._known_by_key = zmq.CURVE_SERVER in (options or {})
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        # What pyzmq has around its own send takes as long as the sending.
        self._send = partial(zmq.backend.Socket.send, self.socket)
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_FRAME)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.socket.setsockopt(zmq.SNDHWM, 64)
        for option, value in (options or {}).items():
            self.socket.setsockopt(option, value)
        self.monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.bind(address)
        self._descriptor: dict[bytes, int] = {}
        self._peers: dict[int, set[bytes]] = {}
        self._unclaimed: set[int] = set()
        """Descriptors that ended before anybody was known to have come through them."""
        self._suspects: dict[bytes, float] = {}
        self._silent: set[bytes] = set()
        """Peers that are there, or are about to be found out not to be, and have said nothing."""
        self._backlogs: dict[bytes, _Backlog] = {}

    def receive(self, now: float) -> tuple[bytes, list[bytes], str] | None:
        """The next message, its sender before it and whose key the sender has after it ("" where
        there are no keys), or None. Frame by frame, and without a look at the
        socket's options, since either takes longer than all the rest here."""
        recv = self.socket.recv
        while True:
            try:
                peer = recv(_NOW)
            except zmq.Again:
                return None
            frames: list[bytes] = []
            more = True  # after the name of the sender there is at least one
            while more:
                frame = recv(copy=False)
                frames.append(frame.bytes)
                more = frame.more
            try:
                descriptor = int(frame.get(zmq.SRCFD))
            except zmq.ZMQError:
                # ZMTP 1.0, which libzmq still understands, tells no descriptor; no client of
                # ours speaks it.
                continue
            if self._descriptor.get(peer) != descriptor:
                self._came_through(peer, descriptor, now)
            return peer, frames, str(frame.get("User-Id")) if self._known_by_key else ""

    @property
    def pending(self) -> bool:
        """Whether there is another message; cheaper than to find out by an exception."""
        return bool(int(self.socket.get(zmq.EVENTS)) & _READABLE)

    def _came_through(self, peer: bytes, descriptor: int, now: float) -> None:
        self._peers.get(self._descriptor.get(peer, -1), set()).discard(peer)
        self._descriptor[peer] = descriptor
        self._silent.discard(peer)
        self._peers.setdefault(descriptor, set()).add(peer)
        if descriptor in self._unclaimed:
            self._unclaimed.discard(descriptor)
            self._suspects[peer] = now + _GRACE

    def watch(self, now: float) -> None:
        """Take note of connections that ended."""
        while self.monitor.poll(0):
            descriptor = monitor.parse(self.monitor.recv_multipart()).value
            peers = self._peers.pop(descriptor, None)
            if not peers:
                self._unclaimed.add(descriptor)
            for peer in peers or self._silent:
                self._suspects[peer] = now + _GRACE

    def doubt(self, peers: Iterable[bytes], now: float) -> None:
        """Look who of these is there. ``gone`` tells of those who are not, or not any more one
        day."""
        for peer in peers:
            if peer not in self._descriptor:
                self._silent.add(peer)
                # An end that we heard of before may still be on its way to the socket.
                self._suspects[peer] = now + _GRACE

    def gone(self, now: float) -> list[bytes]:
        """The peers that are gone for good."""
        if not self._suspects:
            return []
        due = [peer for peer, moment in self._suspects.items() if moment <= now]
        gone = []
        for peer in due:
            del self._suspects[peer]
            if self._is_there(peer):
                if peer not in self._silent:
                    self._peers.setdefault(self._descriptor[peer], set()).add(peer)
            else:
                # Its descriptor may belong to somebody else by now, whose end is not its own.
                descriptor = self._descriptor.pop(peer, -1)
                self._peers.get(descriptor, set()).discard(peer)
                self._silent.discard(peer)
                self._backlogs.pop(peer, None)
                gone.append(peer)
        return gone

    def next_due(self, now: float) -> float | None:
        """When to ask for ``gone`` and to ``flush`` again."""
        if self._backlogs:
            return now + _RETRY
        return min(self._suspects.values(), default=None)

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """Now, or as soon as the peer takes it in. False if too much waits for it already: then
        all of that is dropped. To a peer that is gone nothing is sent."""
        backlog = self._backlogs.get(peer)
        if backlog is None:
            for _ in range(_TRIES):
                if self._offer(peer, frames) != "full":
                    return True
                os.sched_yield()  # mostly it is only ZeroMQ's own thread that is behind
            backlog = self._backlogs[peer] = _Backlog()
        backlog.messages.append(frames)
        backlog.size += sum(map(len, frames))
        if backlog.size <= _MOST_WAITING:
            return True
        del self._backlogs[peer]
        return False

    def flush(self) -> None:
        """Send what waits, as far as it is taken in."""
        for peer, backlog in list(self._backlogs.items()):
            while backlog.messages:
                outcome = self._offer(peer, backlog.messages[0])
                if outcome == "full":
                    break
                if outcome == "gone":
                    backlog.messages.clear()
                    break
                backlog.size -= sum(map(len, backlog.messages.popleft()))
            if not backlog.messages:
                del self._backlogs[peer]

    def _is_there(self, peer: bytes) -> bool:
        return self._offer(peer, _ALIVE) != "gone"

    def _offer(self, peer: bytes, frames: list[bytes]) -> Literal["sent", "full", "gone"]:
        send = self._send
        try:
            send(peer, _MORE)
            for frame in frames[:-1]:
                send(frame, _MORE)
            send(frames[-1], _NOW)
        except zmq.Again:
            return "full"
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return "gone"
        return "sent"

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close()
