"""A program's socket to the kernel, and a call in flight on it.

It repeats its calls when the kernel comes back after a crash. It knows nothing about which
calls there are.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import zmq

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.exchange import CONNECT_PATIENCE, DEFAULT_PATIENCE, Exchange, Piece, Reply
from llmagentos.home import Home


def prepare(socket: zmq.Socket[Any]) -> None:
    """Set the options of a client's socket, before it connects."""
    socket.setsockopt(zmq.ROUTING_ID, b"c" + os.urandom(15))
    socket.setsockopt(zmq.LINGER, 200)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    # Nothing is queued for a kernel that is away: a call that its caller was told is lost must
    # not take effect later. And nothing is refused because much is queued for one that is there.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDHWM, 0)
    # The kernel hears of each connection at once, even from a program that then is silent: what
    # hangs on a connection that does not come back after a restart ends.
    socket.setsockopt(zmq.PROBE_ROUTER, 1)


class Connection:
    """A DEALER socket to the kernel that repeats its calls when the kernel comes back."""

    def __init__(self, address: str, home: Home, patience: float = DEFAULT_PATIENCE) -> None:
        self._patience = patience
        self._home = home
        self._exchange = Exchange()
        if address.startswith("ipc://") and not Path(address[6:]).exists():
            raise self._refused()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        prepare(self._socket)
        self._monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._was_up = False
        self._down_since: float | None = time.monotonic()
        self._socket.connect(address)

    def open(self, name: str, args: Mapping[str, Any], session: str) -> Stream:
        stream = Stream(self)
        stream.number, frames = self._exchange.open(name, args, session, stream.inbox.append)
        if self._down_since is None:
            self._send(frames)
        return stream

    def _send(self, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            # The connection has just ended. The call is sent when it comes up again.
            return

    def forget(self, number: int) -> None:
        self._exchange.close(number)

    def pump(self, seconds: float) -> None:
        """Take in what has come, waiting for at most so long. Raises when the kernel is gone."""
        for socket, _ in self._poller.poll(max(0, int(seconds * 1000))):
            if socket is self._monitor:
                self._heed(monitor.parse(self._monitor.recv_multipart()).event)
                continue
            while True:
                try:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                self._exchange.feed(frames)
        if self._down_since is not None:
            waited = time.monotonic() - self._down_since
            if waited > (self._patience if self._was_up else CONNECT_PATIENCE):
                self._exchange.fail_all(self._refused())

    def _heed(self, event: int) -> None:
        if event == zmq.EVENT_DISCONNECTED:
            self._down_since = time.monotonic()
            return
        self._was_up = True
        self._down_since = None
        for frames in self._exchange.unanswered():
            self._send(frames)

    def _refused(self) -> errors.ECONNREFUSED:
        return errors.ECONNREFUSED(
            f"the system in {self._home.root} is not up", hint="start it: llmos up --detach"
        )

    def close(self) -> None:
        if self._socket.closed:
            return
        self._exchange.fail_all(errors.ECONNREFUSED("this connection was closed"))
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()


class Stream:
    """A call in flight: iterate over its text as it comes; ``result`` is what it ended with."""

    def __init__(self, connection: Connection) -> None:
        self.number = 0
        self.inbox: deque[Reply | Piece] = deque()
        self._connection = connection
        self._reply: Reply | None = None

    def __iter__(self) -> Iterator[str]:
        """The text. An answer that had to be made anew starts again, on a new line."""
        for piece in self.pieces():
            yield f"\n{piece.text}" if piece.anew else piece.text

    def pieces(self, within: float | None = None) -> Iterator[Piece]:
        """The parts of the answer; ends when the reply has come. Raises ``ETIMEOUT``."""
        deadline = None if within is None else time.monotonic() + within
        while self._reply is None:
            while not self.inbox:
                left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if left <= 0:
                    self._connection.forget(self.number)
                    raise errors.ETIMEOUT(f"no reply came within {within:g} s")
                self._connection.pump(left)
            item = self.inbox.popleft()
            if isinstance(item, Piece):
                yield item
            else:
                self._reply = item

    @property
    def done(self) -> bool:
        """Whether the reply has come."""
        return self._reply is not None

    def ready(self) -> Iterator[str]:
        """The text that has come already; never waits."""
        while self.inbox and self._reply is None:
            item = self.inbox.popleft()
            if isinstance(item, Piece):
                yield item.text
            else:
                self._reply = item

    def result(self, within: float | None = None) -> dict[str, Any]:
        """Wait for the reply; raises the error that it carries."""
        for _ in self.pieces(within):
            pass
        assert self._reply is not None
        return self._reply.unwrap()
