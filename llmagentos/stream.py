"""A call in flight: its text as it comes, and what it ended with.

It knows nothing about which calls there are, but that one of the LLM is cancelled when nobody waits
for it any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmagentos.abi import errors
from llmagentos.exchange import GENERATE, Piece, Reply
from llmagentos.waits import seconds, too_late

if TYPE_CHECKING:
    from llmagentos.connection import Connection


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
