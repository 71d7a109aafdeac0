"""An agent, as whoever spawned it holds it: its answer as it is made, and how it ended.

Once for programs with a thread of their own, and once for those on asyncio. It knows nothing about
connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from llmagentos.abi.errors import ETIMEOUT
from llmagentos.abi.process import ExitRecord, ProcessDetail, Signal

if TYPE_CHECKING:
    from llmagentos.aio import AsyncSystem
    from llmagentos.aio_connection import AsyncStream
    from llmagentos.client import System
    from llmagentos.connection import Stream


class Agent:
    """A process that was spawned. ``notices``: what its manifest asks for and nobody offers now."""

    def __init__(self, system: System, pid: int, name: str, notices: Sequence[str] = ()) -> None:
        self._system = system
        self._ending: Stream | None = None
        self._end: Stream | None = None
        self.pid = pid
        self.name = name
        self.notices = notices

    def __repr__(self) -> str:
        return f"<Agent {self.name} pid {self.pid}>"

    def stream(self) -> Iterator[str]:
        """Its answer, piece by piece, until it has ended. Then ``wait()`` says how."""
        heard = False
        ending = self.ending()
        for chunk in ending:
            heard = True
            yield chunk
        if not heard:
            # It had ended, or had its answer made, before we listened.
            answer = self.wait().answer
            if answer:
                yield answer

    def wait(self, timeout: float | None = None) -> ExitRecord:
        """How it ended. Raises ``ETIMEOUT`` if it goes on for longer than ``timeout`` seconds."""
        # Whoever only waits is not sent the answer piece by piece.
        end = self._end or self._ending or self._system.open("proc.wait", pid=self.pid)
        self._end = end
        try:
            return ExitRecord.model_validate(end.result(timeout))
        except ETIMEOUT:
            self._end = None
            if end is self._ending:
                self._ending = None
            raise

    def kill(self, signal: Signal = "TERM", *, tree: bool = False) -> list[int]:
        return self._system.kill(self.pid, signal, tree=tree)

    def info(self) -> ProcessDetail:
        return self._system.info(self.pid)

    def ending(self) -> Stream:
        """The ``proc.wait`` call that tells its answer and its end; made once."""
        if self._ending is None:
            self._ending = self._system.open("proc.wait", pid=self.pid, stream=True)
        return self._ending


class AsyncAgent:
    """A process that was spawned. ``notices``: what its manifest asks for and nobody offers now."""

    def __init__(
        self, system: AsyncSystem, pid: int, name: str, notices: Sequence[str] = ()
    ) -> None:
        self._system = system
        self._ending: AsyncStream | None = None
        self._end: AsyncStream | None = None
        self.pid = pid
        self.name = name
        self.notices = notices

    def __repr__(self) -> str:
        return f"<AsyncAgent {self.name} pid {self.pid}>"

    async def stream(self) -> AsyncIterator[str]:
        """Its answer, piece by piece, until it has ended. Then ``wait()`` says how."""
        heard = False
        async for chunk in self.ending():
            heard = True
            yield chunk
        if not heard:
            answer = (await self.wait()).answer
            if answer:
                yield answer

    async def wait(self, timeout: float | None = None) -> ExitRecord:  # noqa: ASYNC109
        """How it ended. Raises ``ETIMEOUT`` if it goes on for longer than ``timeout`` seconds."""
        # Whoever only waits is not sent the answer piece by piece.
        end = self._end or self._ending or self._system.open("proc.wait", pid=self.pid)
        self._end = end
        try:
            return ExitRecord.model_validate(await end.result(timeout))
        except ETIMEOUT:
            self._end = None
            if end is self._ending:
                self._ending = None
            raise

    async def kill(self, signal: Signal = "TERM", *, tree: bool = False) -> list[int]:
        return await self._system.kill(self.pid, signal, tree=tree)

    async def info(self) -> ProcessDetail:
        return await self._system.info(self.pid)

    def ending(self) -> AsyncStream:
        """The ``proc.wait`` call that tells its answer and its end; made once."""
        if self._ending is None:
            self._ending = self._system.open("proc.wait", pid=self.pid, stream=True)
        return self._ending
