"""The async Python client: as ``client.py``, for programs that run on asyncio.

One connection may carry the calls of many sessions (``AsyncSystem.as_session``), which is
how an agent host runs all its agents over one socket. It knows nothing about how the kernel
carries a call out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from llmagentos.abi.calls.fs import FileInfo
from llmagentos.abi.calls.llm import GenerateResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import Limits, ProcessDetail, ProcessInfo, Signal
from llmagentos.abi.talk import ToolChoice
from llmagentos.agent import AsyncAgent
from llmagentos.aio_connection import AsyncConnection
from llmagentos.aio_stream import AsyncStream
from llmagentos.exchange import (
    CONNECT_PATIENCE,
    DEFAULT_PATIENCE,
    arguments,
    generate_arguments,
    task_in,
)
from llmagentos.families import AsyncFamilies
from llmagentos.home import Home
from llmagentos.identity import become_async
from llmagentos.manifest_file import manifest_arguments
from llmagentos.waits import check_in_time, limited


class AsyncSystem(AsyncFamilies):
    """A session on a system. Close it, or use it as an async context manager."""

    def __init__(
        self, connection: AsyncConnection, session: str = "", pid: int | None = None
    ) -> None:
        self._connection = connection
        self.session = session
        self.pid = pid

    async def __aenter__(self) -> AsyncSystem:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, and with it a process that has no name."""
        await self._connection.close()

    def as_session(self, session: str, pid: int | None = None) -> AsyncSystem:
        """The same connection, under another session."""
        return AsyncSystem(self._connection, session, pid)

    async def call(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        /,
        *,
        within: float | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Make any syscall; the result as a map. ``within``: see ``System.call``. Of a task that is
        cancelled the kernel hears only if it waits for an LLM call: so say here how long to wait
        for mail, since what comes for a task that is gone is lost.
        """
        limit, patience = limited(name, {**(args or {}), **more}, within)
        result = await self.open(name, args, **{**more, **limit}).result(patience)
        if limit:
            check_in_time(name, result, within)
        return result

    def open(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        /,
        *,
        buffers: Sequence[bytes] = (),
        **more: Any,
    ) -> AsyncStream:
        """Make any syscall without waiting for its reply. ``buffers``: raw bytes beside it."""
        given = {**(args or {}), **arguments(**more)}
        return self._connection.open(name, given, self.session, buffers)

    async def spawn(
        self,
        manifest: str | os.PathLike[str] | Mapping[str, Any],
        text: str | None = None,
        *,
        name: str | None = None,
        model: str | None = None,
        sampling: Mapping[str, Any] | Model | None = None,
        limits: Mapping[str, Any] | Limits | None = None,
        placement: Mapping[str, Any] | Model | None = None,
        attach: bool = False,
    ) -> AsyncAgent:
        """Start an agent. ``manifest`` is a manifest's name, a path to one, or a dict.

        With ``attach`` it ends when this connection does.
        """
        result = await self.call(
            "proc.spawn",
            # A manifest in a pipe may take a while to come.
            await asyncio.to_thread(manifest_arguments, manifest),
            text=text,
            name=name,
            model=model,
            sampling=sampling,
            limits=limits,
            placement=placement,
            attach=attach,
        )
        return AsyncAgent(self, result["pid"], result["name"], result.get("notices", []))

    async def agent(self, pid: int) -> AsyncAgent:
        """The handle of a process that is there already."""
        return AsyncAgent(self, pid, (await self.info(pid)).process.name)

    async def generate(
        self,
        prompt: str | list[dict[str, Any]] | None = None,
        *,
        append: bool = False,
        model: str | list[str] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: ToolChoice | None = None,
        **sampling: Any,
    ) -> GenerateResult:
        """One LLM call; see ``System.generate``."""
        args = generate_arguments(
            prompt, append=append, model=model, tools=tools, tool_choice=tool_choice,
            sampling=sampling, stream=False,
        )  # fmt: skip
        return GenerateResult.model_validate(await self.call("llm.generate", args))

    def generate_stream(
        self,
        prompt: str | list[dict[str, Any]] | None = None,
        *,
        append: bool = False,
        model: str | list[str] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: ToolChoice | None = None,
        **sampling: Any,
    ) -> AsyncStream:
        """As ``generate``; iterate over it for the text, then await its ``result()``."""
        args = generate_arguments(
            prompt, append=append, model=model, tools=tools, tool_choice=tool_choice,
            sampling=sampling, stream=True,
        )  # fmt: skip
        return self.open("llm.generate", args)

    async def read_file(
        self, path: str, *, version: int | None = None, pid: int | None = None
    ) -> bytes:
        """A file's content; by default the newest, of one's own files."""
        read = self.open("fs.read", path=path, version=version, pid=pid)
        await read.result()
        return b"".join(read.buffers)

    async def write_file(self, path: str, content: bytes | str, **more: Any) -> FileInfo:
        """A new version of a file. ``more``: ``pid``, ``labels`` and ``expect``, the version that
        is to be the newest so far."""
        data = content.encode() if isinstance(content, str) else content
        write = self.open("fs.write", path=path, buffers=[data], **more)
        return FileInfo.model_validate(await write.result())

    async def processes(self, tree: int | None = None) -> list[ProcessInfo]:
        """The process table, by pid."""
        found: list[ProcessInfo] = []
        after: int | None = 0
        while after is not None:
            page = await self.call("proc.list", tree=tree, after=after)
            found += [ProcessInfo.model_validate(row) for row in page["processes"]]
            after = page["next"]
        return found

    async def info(self, pid: int | None = None) -> ProcessDetail:
        """All about one process; by default about oneself."""
        return ProcessDetail.model_validate(await self.call("proc.info", pid=pid))

    async def task(self) -> str:
        """What this process was last told: the text that it was spawned with, or what came after
        that. Raises ``ENOENT`` if it was told nothing."""
        return task_in(await self.call("ctx.read"))

    async def exit(self, answer: str = "", *, code: int = 0) -> None:
        """End this process with an answer. Its session is over; a program that a manifest names
        has a few seconds to be gone as well."""
        await self.call("proc.exit", answer=answer, code=code)

    async def kill(self, pid: int, signal: Signal = "TERM", *, tree: bool = False) -> list[int]:
        """Send a signal; the pids that got it."""
        result = await self.call("proc.kill", pid=pid, signal=signal, tree=tree)
        signalled: list[int] = result["signalled"]
        return signalled


class _Connecting:
    """What ``connect_async`` returns: await it, or enter it with ``async with``."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._system: AsyncSystem | None = None

    def __await__(self) -> Any:
        return _connect(**self._options).__await__()

    async def __aenter__(self) -> AsyncSystem:
        self._system = await _connect(**self._options)
        return self._system

    async def __aexit__(self, *_: object) -> None:
        if self._system is not None:
            await self._system.close()


def connect_async(
    address: str | None = None,
    *,
    name: str | None = None,
    home: str | Path | None = None,
    key: str | None = None,
    session: str | None = None,
    user: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> _Connecting:
    """As ``llmagentos.connect``: ``async with connect_async() as system: …``."""
    return _Connecting(
        address=address, name=name, home=home, key=key,
        session=session, user=user, patience=patience,
    )  # fmt: skip


async def _connect(
    address: str | None,
    name: str | None,
    home: str | Path | None,
    key: str | None,
    session: str | None,
    user: bool,
    patience: float,
) -> AsyncSystem:
    place = Home.at(home)
    if name is not None:
        place.session_file(name)
    connection = AsyncConnection(address or place.syscalls, place, patience)
    try:
        system = AsyncSystem(connection)
        await system.call("sys.ping", within=CONNECT_PATIENCE + 2)
        given = session or os.environ.get("LLMOS_SESSION")
        if given and not (user or name):
            system.session = given
            system.pid = (await system.info()).process.pid
            return system
        system.session = key or place.user_key()
        if not user:
            await become_async(system, place, name)
    except BaseException:
        await connection.close()
        raise
    return system
