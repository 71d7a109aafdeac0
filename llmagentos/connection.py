"""A program's socket to the kernel, and a call in flight on it.

It repeats its calls when the kernel comes back after a crash. It knows nothing about which
calls there are, but that one of the LLM is cancelled when nobody waits for it any more.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.exchange import (
    CONNECT_PATIENCE,
    DEFAULT_PATIENCE,
    GENERATE,
    Exchange,
    Piece,
    Reply,
)
from llmagentos.home import Home
from llmagentos.waits import seconds, too_late


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
    # silent: what hangs on one that does not come back after a restart ends. One that libzmq makes
    # by itself, while nobody looks, it does not hear of.
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
        self._exchange = Exchange()
        if address.startswith("ipc://") and not Path(address[6:]).exists():
            raise self._refused()
        self._address = address
        self._name = routing_id()
        self._was_up = False
        self._down_since: float | None = time.monotonic()
        self._dial()

    def _dial(self) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        prepare(self._socket, self._name)
        self._monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._socket.connect(self._address)

    def _hang_up(self, linger: int | None = None) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger)

    @property
    def up(self) -> bool:
        """Whether there is a kernel at the other end, as far as was looked."""
        return self._down_since is None

    def open(
        self, name: str, args: Mapping[str, Any], session: str, buffers: Sequence[bytes] = ()
    ) -> Stream:
        check_usable(self._owner, closed=self._socket.closed)
        stream = Stream(self, name)
        stream.number, frames = self._exchange.open(
            name, args, session, stream.inbox.append, buffers
        )
        if self._surely_up():
            self._send(frames)
        return stream

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
        frames = self._exchange.abandon(number)
        if frames and os.getpid() == self._owner:
            # It may be the end of the program that lets go of a call.
            with suppress(zmq.ZMQError):
                if self._surely_up():
                    self._send(frames)
        return waiting

    def pump(self, seconds: float) -> None:
        """Take in what has come, waiting for at most so long. All calls fail when the kernel is
        gone."""
        check_usable(self._owner, closed=self._socket.closed)
        ready = dict(self._poller.poll(max(0, int(seconds * 1000))))
        if self._socket in ready:
            self._take_in()
        if self._monitor in ready:
            self._heed(monitor.parse(self._monitor.recv_multipart()).event)
        if self._down_since is not None:
            waited = time.monotonic() - self._down_since
            if waited > (self._patience if self._was_up else CONNECT_PATIENCE):
                self._exchange.fail_all(self._refused())

    def _take_in(self) -> None:
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._exchange.feed(frames)

    def _heed(self, event: int) -> None:
        if event == zmq.EVENT_DISCONNECTED:
            # One that was never up is tried again by libzmq, less and less often.
            if self.up:
                self._down_since = time.monotonic()
                self._take_in()
                self._hang_up(0)
                self._dial()
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
        if self._socket.closed or os.getpid() != self._owner:
            return
        self._exchange.fail_all(errors.ECONNREFUSED("this connection was closed"))
        self._hang_up()


class Stream:
    """A call in flight: iterate over its text as it comes; ``result`` is what it ended with.

    Close it, or use it as a context manager, to be sure that an LLM call does not go on when
    nobody reads it. Leaving a loop over it early does that, too.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.number = 0
        self.inbox: deque[Reply | Piece] = deque()
        self._connection = connection
        self._name = name
        self._reply: Reply | None = None
        self._given_up: errors.LLMOSError | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for it no longer. What has ended stays as it is."""
        if self._connection.abandon(self.number):
            self._give_up(errors.ECANCELED("this stream was closed before its end"))

    def _give_up(self, error: errors.LLMOSError) -> errors.LLMOSError:
        """Nothing comes any more; every later use gets the same answer."""
        self.inbox.clear()
        self._given_up = error
        self._reply = Reply(error=error)
        return error

    def __iter__(self) -> Iterator[str]:
        """The text. An answer that had to be made anew starts again, on a new line."""
        try:
            for piece in self.pieces():
                yield _told(piece)
        except GeneratorExit:
            self._withdraw()
            raise

    def pieces(self, within: float | None = None) -> Iterator[Piece]:
        """The parts of the answer; ends when the reply has come. Raises ``ETIMEOUT`` after
        ``within`` seconds; of these the kernel knows nothing, unlike those of ``System.call``."""
        patience = seconds(within)
        deadline = None if patience is None else time.monotonic() + patience
        while self._reply is None:
            while not self.inbox:
                left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if left <= 0:
                    self._connection.abandon(self.number)
                    raise self._give_up(too_late(within))
                try:
                    self._connection.pump(left)
                except errors.LLMOSError:
                    raise
                except BaseException:
                    # Ctrl-C, or whatever else a handler of a signal raises.
                    self._withdraw()
                    raise
            item = self.inbox.popleft()
            if isinstance(item, Piece):
                yield item
            else:
                self._reply = item
        if self._given_up is not None:
            raise self._given_up

    def _withdraw(self) -> None:
        # Other calls cost nothing, and may be taken up again where they were left.
        if self._name == GENERATE:
            self.close()

    @property
    def done(self) -> bool:
        """Whether the reply has come."""
        return self._reply is not None

    @property
    def buffers(self) -> tuple[bytes, ...]:
        """What raw buffers came beside the result."""
        return self._reply.buffers if self._reply else ()

    def arrived(self) -> Iterator[Piece]:
        """The parts that have come already; never waits."""
        while self.inbox and self._reply is None:
            item = self.inbox.popleft()
            if isinstance(item, Piece):
                yield item
            else:
                self._reply = item

    def ready(self) -> Iterator[str]:
        """The text that has come already; never waits."""
        return map(_told, self.arrived())

    def result(self, within: float | None = None) -> dict[str, Any]:
        """Wait for the reply; raises the error that it carries."""
        for _ in self.pieces(within):
            pass
        assert self._reply is not None
        return self._reply.unwrap()


def _told(piece: Piece) -> str:
    return f"\n{piece.text}" if piece.anew else piece.text
