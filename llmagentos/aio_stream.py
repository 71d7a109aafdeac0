"""A call in flight on asyncio: the async twin of ``stream.py``.

It knows nothing about which calls there are, but that one of the LLM is cancelled when nobody waits
for it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from llmagentos.abi import errors
from llmagentos.exchange import GENERATE, Piece, Reply
from llmagentos.waits import seconds, too_late

if TYPE_CHECKING:
    from llmagentos.aio_connection import AsyncConnection


class AsyncStream:
    """A call in flight: iterate over its text as it comes; ``result`` is what it ended with.

    An LLM call ends when the task that waits for it is cancelled, or leaves a loop over it.
    """

    def __init__(self, connection: AsyncConnection, name: str) -> None:
        self.number = 0
        self.inbox: asyncio.Queue[Reply | Piece] = asyncio.Queue()
        self._connection = connection
        self._name = name
        self._reply: Reply | None = None
        self._given_up: errors.LLMOSError | None = None

    def close(self) -> None:
        """Wait for it no longer. What has ended stays as it is."""
        if self._connection.abandon(self.number):
            self._give_up(errors.ECANCELED("this stream was closed before its end"))

    def _give_up(self, error: errors.LLMOSError) -> errors.LLMOSError:
        """Nothing comes any more; every later use gets the same answer."""
        self._given_up = error
        self._reply = Reply(error=error)
        self.inbox.put_nowait(self._reply)  # for a task that may be waiting
        return error

    async def __aiter__(self) -> AsyncIterator[str]:
        """The text. An answer that had to be made anew starts again, on a new line."""
        async for piece in self.pieces():
            yield f"\n{piece.text}" if piece.anew else piece.text

    async def pieces(self) -> AsyncIterator[Piece]:
        """The parts of the answer; ends when the reply has come."""
        if self._reply is None:
            self._connection.check_usable()
        try:
            while self._reply is None:
                item = await self.inbox.get()
                if isinstance(item, Piece):
                    yield item
                else:
                    self._reply = item
                    # Another task may be waiting for this call as well.
                    self.inbox.put_nowait(item)
        except (asyncio.CancelledError, GeneratorExit):
            # Other calls cost nothing, and may be taken up again where they were left.
            if self._name == GENERATE:
                self.close()
            raise
        if self._given_up is not None:
            raise self._given_up

    @property
    def done(self) -> bool:
        """Whether the reply has come."""
        return self._reply is not None

    @property
    def buffers(self) -> tuple[bytes, ...]:
        """What raw buffers came beside the result."""
        return self._reply.buffers if self._reply else ()

    async def result(self, within: float | None = None) -> dict[str, Any]:
        """Wait for the reply; raises the error that it carries, or ``ETIMEOUT`` after ``within``
        seconds; of these the kernel knows nothing, unlike those of ``AsyncSystem.call``."""
        patience = seconds(within)
        try:
            async with asyncio.timeout(patience):
                async for _ in self:
                    pass
        except TimeoutError:
            self._connection.abandon(self.number)
            raise self._give_up(too_late(within)) from None
        assert self._reply is not None
        return self._reply.unwrap()
