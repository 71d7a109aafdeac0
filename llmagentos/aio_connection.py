"""A program's socket to the kernel on asyncio, and a call in flight on it.

The async twin of ``connection.py``. It knows nothing about which calls there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import zmq
import zmq.asyncio

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.connection import prepare
from llmagentos.exchange import CONNECT_PATIENCE, DEFAULT_PATIENCE, Exchange, Piece, Reply
from llmagentos.home import Home


class AsyncConnection:
    """A DEALER socket on the running event loop that repeats its calls after a reconnect."""

    def __init__(self, address: str, home: Home, patience: float = DEFAULT_PATIENCE) -> None:
        self._home = home
        self._patience = patience
        self._exchange = Exchange()
        self._up = False
        self._lost = False
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        prepare(self._socket)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._socket.connect(address)
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(CONNECT_PATIENCE, self._give_up)
        self._tasks = [loop.create_task(self._read()), loop.create_task(self._watch())]

    def open(self, name: str, args: Mapping[str, Any], session: str) -> AsyncStream:
        stream = AsyncStream(self)
        stream.number, frames = self._exchange.open(name, args, session, stream.inbox.put_nowait)
        if self._up:
            self._send(frames)
        elif self._lost:
            self._give_up()
        return stream

    def _send(self, frames: list[bytes]) -> None:
        # A send that never waits: the future is done when it is returned. It fails when the
        # connection has just ended; then the call is sent when it comes up again.
        sent = asyncio.ensure_future(self._socket.send_multipart(frames, zmq.NOBLOCK))
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def forget(self, number: int) -> None:
        self._exchange.close(number)

    async def _read(self) -> None:
        while True:
            self._exchange.feed(await self._socket.recv_multipart())

    async def _watch(self) -> None:
        while True:
            event = monitor.parse(await self._monitor.recv_multipart()).event
            self._giving_up.cancel()
            self._up = event != zmq.EVENT_DISCONNECTED
            self._lost = False
            if self._up:
                for frames in self._exchange.unanswered():
                    self._send(frames)
            else:
                loop = asyncio.get_running_loop()
                self._giving_up = loop.call_later(self._patience, self._give_up)

    def _give_up(self) -> None:
        self._lost = True
        self._exchange.fail_all(
            errors.ECONNREFUSED(
                f"the system in {self._home.root} is not up", hint="start it: llmos up --detach"
            )
        )

    async def close(self) -> None:
        if self._socket.closed:
            return
        self._giving_up.cancel()
        self._exchange.fail_all(errors.ECONNREFUSED("this connection was closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()


class AsyncStream:
    """A call in flight: iterate over its text as it comes; ``result`` is what it ended with."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.number = 0
        self.inbox: asyncio.Queue[Reply | Piece] = asyncio.Queue()
        self._connection = connection
        self._reply: Reply | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        """The text. An answer that had to be made anew starts again, on a new line."""
        while self._reply is None:
            item = await self.inbox.get()
            if isinstance(item, Piece):
                yield f"\n{item.text}" if item.anew else item.text
            else:
                self._reply = item

    async def result(self, within: float | None = None) -> dict[str, Any]:
        """Wait for the reply; raises the error that it carries, or ``ETIMEOUT``."""
        try:
            async with asyncio.timeout(within):
                async for _ in self:
                    pass
        except TimeoutError:
            self._connection.forget(self.number)
            raise errors.ETIMEOUT(f"no reply came within {within:g} s") from None
        assert self._reply is not None
        return self._reply.unwrap()
