"""An agent, as whoever spawned it holds it: its answer as it is made, and how it ended.

Once for programs with a thread of their own, and once for those on asyncio. It knows nothing about
connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.process import ExitRecord, ProcessDetail, Signal
from llmagentos.waits import seconds

if TYPE_CHECKING:
    from llmagentos.aio import AsyncSystem
    from llmagentos.aio_stream import AsyncStream
    from llmagentos.client import System
    from llmagentos.stream import Stream


class Agent:
    """A process that was spawned. ``notices``: what its manifest asks for and nobody offers now."""

    def __init__(self, system: System, pid: int, name: str, notices: Sequence[str] = ()) -> None:
        self._system = system
        self._ending: Stream | None = None
        self._end: Stream | None = None
        self._record: ExitRecord | None = None
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
        """How it ended. Raises ``ETIMEOUT`` if it goes on for longer than ``timeout`` seconds,
        ``EINVAL`` if that is negative or no number."""
        timeout = seconds(timeout)
        if self._record is None and self._ending is not None and self._ending.done:
            # A connection that was lost says nothing about the agent.
            with suppress(LLMOSError):
                self._record = ExitRecord.model_validate(self._ending.result())
        if self._record is None:
            told = self._told() if timeout is None else self._told_within(timeout)
            self._record = ExitRecord.model_validate(told)
        return self._record

    def _told(self) -> dict[str, Any]:
        # A call of its own, not that of ``ending``: whoever only waits is not sent the answer piece
        # by piece, and takes none from whoever reads it.
        end = self._end = self._end or self._system.open("proc.wait", pid=self.pid)
        try:
            return end.result()
        except LLMOSError:
            if self._end is end:
                self._end = None
            raise

    def _told_within(self, limit: float) -> dict[str, Any]:
        # The kernel ends the call with the wait: many of them leave none open there.
        return self._system.call("proc.wait", pid=self.pid, within=limit)

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
        self._record: ExitRecord | None = None
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
        """How it ended. Raises ``ETIMEOUT`` if it goes on for longer than ``timeout`` seconds,
        ``EINVAL`` if that is negative or no number."""
        timeout = seconds(timeout)
        if self._record is None and self._ending is not None and self._ending.done:
            # A connection that was lost says nothing about the agent.
            with suppress(LLMOSError):
                self._record = ExitRecord.model_validate(await self._ending.result())
        if self._record is None:
            told = await (self._told() if timeout is None else self._told_within(timeout))
            self._record = ExitRecord.model_validate(told)
        return self._record

    async def _told(self) -> dict[str, Any]:
        # A call of its own, not that of ``ending``: whoever only waits is not sent the answer piece
        # by piece, and takes none from whoever reads it.
        end = self._end = self._end or self._system.open("proc.wait", pid=self.pid)
        try:
            return await end.result()
        except LLMOSError:
            if self._end is end:
                self._end = None
            raise

    async def _told_within(self, limit: float) -> dict[str, Any]:
        # The kernel ends the call with the wait: many of them leave none open there.
        return await self._system.call("proc.wait", pid=self.pid, within=limit)

    async def kill(self, signal: Signal = "TERM", *, tree: bool = False) -> list[int]:
        return await self._system.kill(self.pid, signal, tree=tree)

    async def info(self) -> ProcessDetail:
        return await self._system.info(self.pid)

    def ending(self) -> AsyncStream:
        """The ``proc.wait`` call that tells its answer and its end; made once."""
        if self._ending is None:
            self._ending = self._system.open("proc.wait", pid=self.pid, stream=True)
        return self._ending
