"""The driver's end of the line to the kernel: frames out, decoded messages in.

One DEALER socket with a routing id that stays the same through reconnects. ZeroMQ reconnects
by itself, but not to somebody who hangs up at once: then it rests first, longer each time. What
could not be sent because nobody is there is not queued for later, since a kernel that comes back
has a new boot and wants none of it. It knows nothing about what the messages mean.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import zmq

from llmagentos import monitor
from llmagentos.abi.errors import EPROTO
from llmagentos.abi.model import Model
from llmagentos.abi.wire import Message, decode, encode
from llmagentos.backoff import Backoff
from llmagentos.home import Home

log = logging.getLogger("driver")


class Link:
    """A connection to ``address`` that names itself with the service key. ``wake`` may be
    called from any thread or signal handler to end a ``wait`` early."""

    line = 1
    """The number of the line that we speak over: under another one, whatever was agreed is void."""

    _watched = int(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    """What is told of the connection."""

    def __init__(self, address: str, service_key: str) -> None:
        self._address = address
        self._key = service_key
        self._sent = 0
        self._backoff = Backoff(0.1)
        self._connects_at: float | None = None
        """When to connect again, while we rest."""
        # Sockets rather than a pipe: a number that is closed may be somebody else's file by then.
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._poller = zmq.Poller()
        self._poller.register(self._bell.fileno(), zmq.POLLIN)
        self._socket = self._dial()

    @classmethod
    def at(cls, home: Home) -> Link:
        """To the kernel of this home."""
        return cls(home.drivers, home.service_key())

    def _dial(self) -> zmq.Socket[Any]:
        made: zmq.Socket[Any] = zmq.Context.instance().socket(zmq.DEALER)
        made.setsockopt(zmq.ROUTING_ID, uuid.uuid4().bytes)
        made.setsockopt(zmq.IMMEDIATE, 1)
        # One report per step of at most a few thousand tokens in all: bounded without a limit,
        # and a report that is dropped would leave a hole in somebody's answer.
        made.setsockopt(zmq.SNDHWM, 0)
        made.setsockopt(zmq.RCVHWM, 0)
        made.setsockopt(zmq.RECONNECT_IVL, 100)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        made.setsockopt(zmq.LINGER, 1000)
        self._prepare(made)
        self._monitor: zmq.Socket[bytes] = made.get_monitor_socket(self._watched)
        self._poller.register(self._monitor, zmq.POLLIN)
        made.connect(self._address)
        self._poller.register(made, zmq.POLLIN)
        return made

    def _prepare(self, made: zmq.Socket[Any]) -> None:
        """What else is set before it connects."""

    def _look(self) -> None:
        """Take in how the connection stands, and connect again when it is time to."""
        rest = 0.0
        while monitor.pending(self._monitor):
            event = monitor.parse(self._monitor.recv_multipart()).event
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._backoff.up()
                rest = 0.0  # it is back already
            else:
                rest = self._backoff.down()
        if rest and self._connects_at is None:
            self._socket.disconnect(self._address)
            self._connects_at = time.monotonic() + rest
        if self._connects_at is not None and time.monotonic() >= self._connects_at:
            self._connects_at = None
            self._socket.connect(self._address)

    def send(self, kind: str, body: Model) -> bool:
        """False if the kernel is not there now; nothing is kept for later then."""
        self._sent += 1
        message = Message(
            kind, self._sent, session=self._key, body=body.model_dump(exclude_none=True)
        )
        try:
            self._socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def wait_connected(self, seconds: float) -> None:
        """Until the kernel is there; or not, after this time: it may come later."""
        end = time.monotonic() + seconds
        while not self._socket.poll(0, zmq.POLLOUT) and (left := end - time.monotonic()) > 0:
            self.wait(min(left, 0.05))
            self._look()

    def wait(self, seconds: float) -> None:
        """Sleep until there is something to receive, somebody wakes us, or time is up."""
        if self._connects_at is not None:
            seconds = min(seconds, self._connects_at - time.monotonic())
        ready = dict(self._poller.poll(max(0, round(seconds * 1000))))
        if self._bell.fileno() in ready:
            self._bell.recv(4096)

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: then it wakes anyway; closed: nobody sleeps
            self._button.send(b"\0")

    def receive(self) -> Iterator[Message]:
        """All that has arrived by now. What is no message is logged and ignored."""
        self._look()
        yield from self._arrived()

    def _arrived(self) -> Iterator[Message]:
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                yield decode(frames)
            except EPROTO as error:
                log.warning("the kernel sent something malformed, ignored: %s", error.message)

    def close(self) -> None:
        """What was sent still leaves, within a second."""
        self._end_monitor()
        self._socket.close()
        self._bell.close()
        self._button.close()

    def _end_monitor(self) -> None:
        if not self._monitor.closed:
            self._socket.disable_monitor()
            self._monitor.close(0)
