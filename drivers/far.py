"""The line of a node: from another machine, over TCP, with its key.

Each connection has a socket of its own, with a routing id of its own: so what was said on one that
broke can't arrive on the next, and whoever uses the line learns that it is a new one (``line``). It
dials again by itself, and says on the log how it stands. It knows nothing about what the messages
mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any, Final

import zmq
from pydantic import TypeAdapter, ValidationError

from drivers.link import Link
from llmagentos import monitor
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.keys import NodeFile, TcpAddress
from llmagentos.abi.model import Model
from llmagentos.abi.wire import Message
from llmagentos.backoff import Backoff

log = logging.getLogger("driver")

_PATIENCE: Final = 10.0
"""Seconds for a connection to come about; libzmq does not tell of every way in which it can't."""

_ENDS: Final = int(
    zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENTS: Final = _ENDS | int(zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)


def checked_address(address: str) -> str:
    """Raises ``EINVAL`` for what can't be dialled."""
    try:
        return TypeAdapter(TcpAddress).validate_python(address)
    except ValidationError:
        raise EINVAL(
            f"{address!a:.100} is no address of a kernel", hint="write it as tcp://HOST:7667"
        ) from None


class FarLink(Link):
    _watched = _EVENTS

    def __init__(self, address: str, key: NodeFile) -> None:
        self._node = key
        self.line = 0
        self._said = ""
        super().__init__(address, "")
        self._backoff = Backoff(0.2)

    def _prepare(self, made: zmq.Socket[Any]) -> None:
        made.setsockopt(zmq.CURVE_SERVERKEY, self._node.server.encode())
        made.setsockopt(zmq.CURVE_PUBLICKEY, self._node.public.encode())
        made.setsockopt(zmq.CURVE_SECRETKEY, self._node.secret.encode())
        made.setsockopt(zmq.IPV6, 1)
        made.setsockopt(zmq.RECONNECT_IVL, -1)  # the next connection is another socket's
        made.setsockopt(zmq.CONNECT_TIMEOUT, 5000)
        made.setsockopt(zmq.HANDSHAKE_IVL, 6000)
        # As the kernel's side has it: whoever is away is missed within three seconds.
        made.setsockopt(zmq.HEARTBEAT_IVL, 500)
        made.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2000)
        made.setsockopt(zmq.HEARTBEAT_TTL, 2500)
        self._reached = self._up = False
        self._redial_at: float | None = None
        self._given_up_at = time.monotonic() + _PATIENCE

    def send(self, kind: str, body: Model) -> bool:
        return self._up and super().send(kind, body)

    def wait_connected(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._up and (left := end - time.monotonic()) > 0:
            self.wait(left)
            self._look()

    def wait(self, seconds: float) -> None:
        until = self._given_up_at if self._redial_at is None else self._redial_at
        if not self._up:
            seconds = min(seconds, until - time.monotonic())
        super().wait(seconds)

    def receive(self) -> Iterator[Message]:
        self._look()
        if self._up:
            yield from self._arrived()

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _look(self) -> None:
        """Take in how the connection stands, and dial again when it is time to."""
        while self._redial_at is None and self._monitor.poll(0):
            event = monitor.parse(self._monitor.recv_multipart()).event
            if event == zmq.EVENT_CONNECTED:
                self._reached = True
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._up = True
                self.line += 1
                self._backoff.up()
                self._say(f"connected to {self._address}", logging.INFO)
            elif event & _ENDS:
                self._broken()
        now = time.monotonic()
        if self._redial_at is None and not self._up and now >= self._given_up_at:
            self._broken()
        if self._redial_at is not None and now >= self._redial_at:
            self._socket.close(0)
            self._socket = self._dial()

    def _broken(self) -> None:
        if self._up:
            self._say(f"the connection to {self._address} broke; dialling again")
        elif self._reached:
            self._say(
                f"{self._address} refuses without a word; dialling again: the key may have been "
                "revoked, or be of another system"
            )
        else:
            self._say(f"{self._address} can't be reached; dialling again")
        self._up = False
        self._redial_at = time.monotonic() + self._backoff.down()
        self._hang_up()

    def _hang_up(self) -> None:
        """Take the socket out of use. It stays open, and silent, until there is another one."""
        if self._monitor.closed:
            return
        self._poller.unregister(self._socket)
        self._poller.unregister(self._monitor)
        self._end_monitor()

    def _say(self, words: str, level: int = logging.WARNING) -> None:
        if words != self._said:
            log.log(level, "%s", words)
        self._said = words
