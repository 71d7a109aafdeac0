"""A program's socket to the kernel.

It repeats its calls when the kernel comes back after a crash. It knows nothing about which
calls there are.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import zmq

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.backoff import Backoff
from llmagentos.exchange import CONNECT_PATIENCE, DEFAULT_PATIENCE, Exchange
from llmagentos.home import Home
from llmagentos.stream import Stream
from llmagentos.waits import seconds

_ENDPOINT: Final = re.compile(
    rb"ipc://[^\0]{1,107}|tcp://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
)
"""No socket of a file can have a longer path."""


def routing_id() -> bytes:
    """A name for a client's connection, under which it comes back after an end."""
    return b"c" + os.urandom(15)


def prepare(socket: zmq.Socket[Any], name: bytes) -> None:
    """Set the options of a client's socket, before it connects.

    ZMQ_IMMEDIATE is not among them: with it, libzmq drops what has arrived but was not read when
    the connection ended, such as the last reply of a kernel that shuts down.
    """
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.setsockopt(zmq.LINGER, 200)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    # Nothing is refused because much is queued for a kernel that is there.
    socket.setsockopt(zmq.SNDHWM, 0)
    # The kernel hears of each connection that is made here, even from a program that then is
    # silent. Of one that libzmq makes by itself, while nobody looks, it does not; after a restart
    # it looks for those.
    socket.setsockopt(zmq.PROBE_ROUTER, 1)


def check_usable(owner: int, *, closed: bool) -> None:
    """Raises what is in the way of using a connection that the process ``owner`` made."""
    if os.getpid() != owner:
        # A socket's threads do not survive a fork: whatever was asked would never be answered.
        raise errors.EINVAL(
            f"this connection belongs to the process {owner}, of which this one is a fork",
            hint="connect again in the child",
        )
    if closed:
        raise errors.ECONNREFUSED("this connection was closed")


def checked(address: str) -> str:
    """An endpoint that libzmq can dial. Raises ``EINVAL``."""
    named = address.encode(errors="ignore") if isinstance(address, str) else b""
    if not _ENDPOINT.fullmatch(named) or named.decode() != address:
        raise errors.EINVAL(
            f"{address!a:.200} is no address of a system",
            hint="write it as ipc:///PATH/OF/kernel.sock or tcp://HOST:PORT, or leave it out",
        )
    return address


def not_up(address: str, home: Home) -> errors.ECONNREFUSED:
    """Nobody answers there."""
    if address != home.syscalls:
        return errors.ECONNREFUSED(
            f"no system answers at {address:.200}", hint="is the address right, and is it up?"
        )
    return errors.ECONNREFUSED(
        f"the system in {home.root} is not up", hint="start it: llmos up --detach"
    )


class Connection:
    """A DEALER socket to the kernel that repeats its calls when the kernel comes back.

    Each time it has gone, the socket is a new one: nothing stays queued for a kernel that is away,
    since a call that its caller was told is lost must not take effect later.
    """

    def __init__(self, address: str, home: Home, patience: float = DEFAULT_PATIENCE) -> None:
        limit = seconds(patience, "patience")
        self._patience = math.inf if limit is None else limit
        self._home = home
        self._owner = os.getpid()
        self._use = threading.RLock()
        """Held by the thread that uses the socket; no other may meanwhile."""
        self._parts: list[zmq.Frame] = []
        """Of messages that have come and were not passed on yet."""
        self._left: deque[int] = deque()
        """Calls that a thread has let go of that could not use the socket."""
        self._exchange = Exchange()
        self._address = checked(address)
        if address.startswith("ipc://") and not Path(address[6:]).exists():
            raise self._refused()
        self._name = routing_id()
        self._was_up = False
        self._down_since: float | None = time.monotonic()
        self._backoff = Backoff()
        self._dial()

    def _dial(self, rest: float = 0.0) -> None:
        """With a new socket. ``rest``: seconds until it connects."""
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        prepare(self._socket, self._name)
        self._monitor: zmq.Socket[bytes] = monitor.watch(
            self._socket, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._parts.clear()  # half a message, whose other half went with the last socket
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._connects_at: float | None = time.monotonic() + rest
        if not rest:
            self._connect()

    def _connect(self) -> None:
        self._connects_at = None
        self._socket.connect(self._address)

    def _dial_anew(self) -> None:
        """By a socket of the same name. What was queued for the kernel that has gone is dropped."""
        monitor.outlast(self._socket)
        self._monitor.close(0)
        self._dial(self._backoff.down())

    def _hang_up(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()

    @property
    def up(self) -> bool:
        """Whether there is a kernel at the other end, as far as was looked."""
        return self._down_since is None

    def open(
        self, name: str, args: Mapping[str, Any], session: str, buffers: Sequence[bytes] = ()
    ) -> Stream:
        with self._alone():
            stream = Stream(self, name)
            stream.number, frames = self._exchange.open(
                name, args, session, stream.inbox.append, buffers
            )
            if self._surely_up():
                self._send(frames)
            return stream

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Use the socket, which serves one thread at a time. Raises what is in the way."""
        check_usable(self._owner, closed=self._socket.closed)
        if not self._use.acquire(blocking=False):
            raise errors.EINVAL(
                "this connection is in use by another thread",
                hint="connect in each thread, or use connect_async and tasks",
            )
        try:
            while self._left:
                self._stop(self._left.popleft())
            yield
        finally:
            self._use.release()

    def _surely_up(self) -> bool:
        """libzmq connects again before we look. What went out there would reach the next kernel
        beside its own repeat, and perhaps not as ours: we have the same name twice by then."""
        return self.up and not monitor.pending(self._monitor)

    def _send(self, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            # The connection has just ended. The call is sent when it comes up again.
            return

    def abandon(self, number: int) -> bool:
        """Stop a call that nobody waits for any more; False if its reply came before."""
        waiting = number in self._exchange
        if os.getpid() != self._owner:
            self._exchange.abandon(number, cancel=False)
        elif not self._use.acquire(blocking=False):
            # It is the collector of garbage, which runs in any thread.
            self._left.append(number)
        else:
            try:
                self._stop(number)
            finally:
                self._use.release()
        return waiting

    def _stop(self, number: int) -> None:
        frames = self._exchange.abandon(number)
        if frames:
            # It may be the end of the program that lets go of a call.
            with suppress(zmq.ZMQError):
                if self._surely_up():
                    self._send(frames)

    def pump(self, seconds: float) -> None:
        """Take in what has come, waiting for at most so long. All calls fail when the kernel is
        gone."""
        with self._alone():
            if self._connects_at is not None:
                rest = self._connects_at - time.monotonic()
                if rest <= 0:
                    self._connect()
                seconds = min(seconds, max(0.001, rest))
            if self._parts:
                seconds = 0.0
            ready = dict(self._poller.poll(max(0, int(seconds * 1000))))
            if self._parts or self._socket in ready:
                self._take_in()
            if self._monitor in ready:
                self._heed(monitor.parse(self._monitor.recv_multipart()).event)
            if self._down_since is not None:
                waited = time.monotonic() - self._down_since
                if waited > (self._patience if self._was_up else CONNECT_PATIENCE):
                    self._exchange.fail_all(self._refused())

    def _take_in(self) -> None:
        # A handler of a signal may raise between any two steps of ours, but none of C's: so no part
        # of a message is lost, and what was not passed on yet is the next time.
        with suppress(zmq.Again):
            receive: Any = self._socket.recv
            self._parts.extend(map(receive, repeat(zmq.NOBLOCK), repeat(False)))
        while size := next((n for n, part in enumerate(self._parts, 1) if not part.more), 0):
            self._exchange.take_in([part.bytes for part in self._parts[:size]])
            del self._parts[:size]

    def _heed(self, event: int) -> None:
        if event == zmq.EVENT_DISCONNECTED:
            if self.up:
                self._down_since = time.monotonic()
                self._take_in()
            # Somebody was there and has hung up. libzmq would come again as often as it can.
            self._dial_anew()
            return
        self._backoff.up()
        self._was_up = True
        self._down_since = None
        for frames in self._exchange.unanswered():
            self._send(frames)

    def _refused(self) -> errors.ECONNREFUSED:
        return not_up(self._address, self._home)

    def close(self) -> None:
        if self._socket.closed or os.getpid() != self._owner:
            return
        with self._alone():
            self._exchange.fail_all(errors.ECONNREFUSED("this connection was closed"))
            self._hang_up()
