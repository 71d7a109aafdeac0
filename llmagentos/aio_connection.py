"""A program's socket to the kernel on asyncio, and a call in flight on it.

The async twin of ``connection.py``. It knows nothing about which calls there are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import zmq
import zmq.asyncio

from llmagentos import monitor
from llmagentos.abi import errors
from llmagentos.exchange import CONNECT_PATIENCE, DEFAULT_PATIENCE, Exchange, Piece, Reply
from llmagentos.home import Home


class AsyncConnection:
    """A DEALER socket on the running event loop that repeats its calls after a reconnect."""

    def __init__(self, address: str, home: Home, patience: float = DEFAULT_PATIENCE) -> None:
        self._home = home
        self._patience = patience
        self._exchange = Exchange()
        self._was_up = False
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, b"a" + os.urandom(15))
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._socket.connect(address)
        loop = asyncio.get_running_loop()
        self._giving_up: asyncio.TimerHandle | None = loop.call_later(
            CONNECT_PATIENCE, self._give_up
        )
        self._tasks = [loop.create_task(self._read()), loop.create_task(self._watch())]

    def open(self, name: str, args: Mapping[str, Any], session: str) -> AsyncStream:
        stream = AsyncStream(self)
        stream.number, frames = self._exchange.open(name, args, session, stream.inbox.put_nowait)
        # A DEALER's queue takes the frames at once; the future only says that it has.
        self._socket.send_multipart(frames)
        return stream

    def forget(self, number: int) -> None:
        self._exchange.close(number)

    async def _read(self) -> None:
        while True:
            self._exchange.feed(await self._socket.recv_multipart())

    async def _watch(self) -> None:
        while True:
            event = monitor.parse(await self._monitor.recv_multipart()).event
            if self._giving_up is not None:
                self._giving_up.cancel()
            if event == zmq.EVENT_DISCONNECTED:
                loop = asyncio.get_running_loop()
                self._giving_up = loop.call_later(self._patience, self._give_up)
                continue
            if self._was_up:
                for frames in self._exchange.unanswered():
                    self._socket.send_multipart(frames)
            self._was_up = True

    def _give_up(self) -> None:
        self._exchange.fail_all(
            errors.ECONNREFUSED(
                f"the system in {self._home.root} is not up", hint="start it: llmos up --detach"
            )
        )

    async def close(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
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
        while self._reply is None:
            item = await self.inbox.get()
            if isinstance(item, Piece):
                yield item.text
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
