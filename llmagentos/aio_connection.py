"""A program's socket to the kernel on asyncio: the async twin of ``connection.py``.

It knows nothing about which calls there are.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import zmq
import zmq.asyncio

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.aio_stream import AsyncStream
from llmagentos.backoff import Backoff
from llmagentos.connection import (
    check_usable,
    checked,
    not_up,
    prepare,
    routing_id,
)
from llmagentos.exchange import CONNECT_PATIENCE, DEFAULT_PATIENCE, Exchange
from llmagentos.home import Home
from llmagentos.waits import seconds

_AT_ONCE: Final = 256
"""Messages."""

_AFTER_ALL: Final = 0.05
"""Seconds for a loop that is late to take in what has come meanwhile, before it is given up."""


class AsyncConnection:
    """A DEALER socket on the running event loop that repeats its calls after a reconnect.

    ``withdraw``: an LLM call that nobody waits for any more is cancelled. An agent host does not
    want that: when it lets go of an agent, the kernel has ended the agent's calls, or gives them
    to another host.
    """

    def __init__(
        self,
        address: str,
        home: Home,
        patience: float = DEFAULT_PATIENCE,
        *,
        withdraw: bool = True,
    ) -> None:
        self._withdraw = withdraw
        self._home = home
        limit = seconds(patience, "patience")
        self._patience = math.inf if limit is None else limit
        self._exchange = Exchange()
        self._owner = os.getpid()
        self._up = False
        self._lost = False
        self._closed = False
        self._broken: errors.LLMOSError | None = None
        self._address = checked(address)
        self._name = routing_id()
        self._backoff = Backoff()
        self._loop = asyncio.get_running_loop()
        self._dial()
        self._be_patient(CONNECT_PATIENCE)

    def _dial(self, rest: float = 0.0) -> None:
        """As ``Connection`` does."""
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        prepare(self._socket, self._name)
        self._monitor = monitor.watch(
            self._socket, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        if not rest:
            self._socket.connect(self._address)
        # The same socket: a future for each message would take longer than all else here.
        self._plain: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket.underlying)
        self._arriving = self._next()
        self._reading, self._watching = (
            self._loop.create_task(work) for work in (self._read(), self._watch(rest))
        )
        for task in (self._reading, self._watching):
            task.add_done_callback(self._ended)

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
        """Whether there is a kernel at the other end just now."""
        return self._up

    def open(
        self, name: str, args: Mapping[str, Any], session: str, buffers: Sequence[bytes] = ()
    ) -> AsyncStream:
        self.check_usable()
        if self._broken is not None:
            raise self._broken
        stream = AsyncStream(self, name)
        stream.number, frames = self._exchange.open(
            name, args, session, stream.inbox.put_nowait, buffers
        )
        if self._surely_up():
            self._send(frames)
        elif self._lost:
            self._give_up()
        return stream

    def check_usable(self) -> None:
        """Raises what is in the way of using it here."""
        check_usable(self._owner, closed=self._closed)
        if not self._is_at_home():
            # What came of a call would wake nobody here.
            raise errors.EINVAL(
                "this connection belongs to another event loop",
                hint="connect in this one; from another thread: asyncio.run_coroutine_threadsafe",
            )

    def _is_at_home(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False  # none runs in this thread

    def _surely_up(self) -> bool:
        """As in ``Connection``: here the loop may be late."""
        return self._up and not monitor.pending(self._monitor)

    def _send(self, frames: list[bytes]) -> None:
        # A send that never waits: the future is done when it is returned. It fails when the
        # connection has just ended; then the call is sent when it comes up again.
        sent = asyncio.ensure_future(self._socket.send_multipart(frames, zmq.NOBLOCK))
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def abandon(self, number: int) -> bool:
        """Stop a call that nobody waits for any more; False if its reply came before."""
        waiting = number in self._exchange
        ours = os.getpid() == self._owner
        frames = self._exchange.abandon(number, cancel=self._withdraw and ours)
        if frames:
            # It may be the end of the program that lets go of a call.
            with suppress(zmq.ZMQError):
                if self._surely_up():
                    self._send(frames)
        return waiting

    async def _read(self) -> None:
        while True:
            self._exchange.take_in(await self._arriving)
            self._take_in(_AT_ONCE)
            self._arriving = self._next()
            await asyncio.sleep(0)  # however much there is, others have their turn

    def _next(self) -> asyncio.Future[list[bytes]]:
        return asyncio.ensure_future(self._socket.recv_multipart())

    def _take_in(self, most: int) -> None:
        """So many messages, or all that have come."""
        with suppress(zmq.Again):
            for _ in range(most):
                self._exchange.take_in(self._plain.recv_multipart(zmq.NOBLOCK))

    def _read_up(self) -> None:
        """Take in all that has come, instead of the task that reads."""
        if self._arriving.done() and self._arriving.exception() is None:
            self._exchange.take_in(self._arriving.result())
        self._take_in(sys.maxsize)
        self._reading.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Reading ends only with the connection; if it fails, nothing is ever heard again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = errors.ECONNREFUSED(
                f"this connection broke: {error!r}", hint="connect again"
            )
            self._exchange.fail_all(self._broken)

    async def _watch(self, rest: float) -> None:
        if rest:
            await asyncio.sleep(rest)
            self._socket.connect(self._address)
        while True:
            event = monitor.parse(await self._monitor.recv_multipart()).event
            if event != zmq.EVENT_DISCONNECTED:
                self._giving_up.cancel()
                self._backoff.up()
                self._up, self._lost = True, False
                for frames in self._exchange.unanswered():
                    self._send(frames)
                continue
            if self._up:
                self._up = False
                self._be_patient(self._patience)
            self._read_up()
            self._dial_anew()
            return

    def _be_patient(self, seconds: float) -> None:
        def look_once_more() -> None:
            self._giving_up = self._loop.call_later(_AFTER_ALL, self._give_up)

        self._giving_up = self._loop.call_later(seconds, look_once_more)

    def _give_up(self) -> None:
        self._lost = True
        self._exchange.fail_all(not_up(self._address, self._home))

    async def close(self) -> None:
        if self._closed or os.getpid() != self._owner:
            return
        if self._loop.is_closed():
            # Its tasks went with it, and nothing can wait on it any more.
            self._closed = True
            self._hang_up()
            return
        self.check_usable()
        self._closed = True
        self._giving_up.cancel()
        self._exchange.fail_all(errors.ECONNREFUSED("this connection was closed"))
        for task in (self._reading, self._watching):
            task.cancel()
        try:
            await asyncio.gather(self._reading, self._watching, return_exceptions=True)
        finally:
            # Whoever closes may be cancelled in turn: the kernel hears of the end all the same.
            self._hang_up()
