"""A child: an MCP server that runs as our own process, spoken to over its standard streams.

Whatever it writes, it costs us a bounded amount of memory and of log: an answer that is too large
fails that call only; other lines that are no messages are logged and skipped, up to a number. Its
environment is what it is given. It knows nothing about tools.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from drivers.mcp.lines import Allowance, Line, Lines
from llmagentos.abi.errors import EINVAL

log = logging.getLogger("driver")

MOST: Final = 16 * 1024 * 1024
"""Bytes of one message from the server."""

NONSENSE: Final = 1000
"""So many lines in a row that are no messages, and the server is ended."""

_LEASH: Final = Path(__file__).with_name("leash.py")
_GRACE: Final = 1.0
_CHUNK: Final = 64 * 1024
_ANSWER: Final = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d+)\s*,')

Incoming = MemoryObjectSendStream[SessionMessage | Exception]
Outgoing = MemoryObjectReceiveStream[SessionMessage]
Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]


def environment(names: Sequence[str]) -> dict[str, str]:
    """What a server gets of ours: what any program needs, and what was named."""
    wanted = ("PATH", "HOME", "LANG", *names)
    return {name: os.environ[name] for name in wanted if name in os.environ}


class Child:
    """One life of the server. ``ended`` is set when it is over, or of no use any more; ``why``
    says so for people."""

    poll: float | None = None

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.ended = asyncio.Event()
        self.why = ""
        self._command = list(command)
        self._environment = dict(environment)
        self._nonsense = 0

    @contextlib.asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        """Start it; leaving ends it, and all that it has started."""
        program = shutil.which(self._command[0], path=self._environment.get("PATH"))
        if program is None:
            raise EINVAL(
                f"there is no program {self._command[0]}",
                hint="install it, or name it by its whole path",
            )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), program, *self._command[1:],
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._environment, start_new_session=True,
        )  # fmt: skip
        heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, said = anyio.create_memory_object_stream[SessionMessage](0)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, process, heard)
                tasks.start_soon(self._speak, process, said)
                tasks.start_soon(_overhear, process)
                yield read, write
                await self._part(process)
                tasks.cancel_scope.cancel()
        finally:
            _signal(process, signal.SIGKILL)
            for stream in (heard, read, write, said):
                stream.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(_GRACE):
                await process.wait()
            process._transport.close()  # type: ignore[attr-defined] # or it waits for grandchildren

    async def _listen(self, process: Process, heard: Incoming) -> None:
        assert process.stdout is not None
        lines = Lines(MOST)
        async with heard:
            while not self.why and (chunk := await _more(process, process.stdout)):
                for line in lines.feed(chunk):
                    message = self._read(line)
                    if message is not None:
                        await heard.send(message)
            if not self.why:
                self.why = await _last_words(process)
            self.ended.set()

    def _read(self, line: Line) -> SessionMessage | None:
        """None, if there is nothing in it."""
        if not line.whole:
            return self._too_long(line)
        if not line.text.strip():
            return None
        try:
            message = jsonrpc_message_adapter.validate_json(line.text, by_name=False)
        except ValueError:
            self._nonsense += 1
            if self._nonsense <= 3:
                log.warning("the server wrote what is no message, ignored: %r", line.text[:200])
            if self._nonsense >= NONSENSE:
                self.why = f"it wrote {NONSENSE:,} lines in a row that are no MCP messages"
            return None
        self._nonsense = 0
        return SessionMessage(message)

    def _too_long(self, line: Line) -> SessionMessage | None:
        said = f"the server sent a message of {line.length:,} bytes; the most is {MOST:,}"
        log.warning("%s", said)
        found = _ANSWER.match(line.text)
        if found is None:
            # Whose it was can't be told, and somebody may wait for it.
            self.why = said
            return None
        error = ErrorData(code=INTERNAL_ERROR, message=said)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))

    async def _speak(self, process: Process, said: Outgoing) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which its output tells as well
            async for message in said:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()

    async def _part(self, process: Process) -> None:
        """As the protocol says: its input ends, and then it has a moment to end too."""
        assert process.stdin is not None
        process.stdin.close()
        for step in (None, signal.SIGTERM):
            if step is not None:
                _signal(process, step)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await process.wait()
                    return


async def _overhear(process: Process) -> None:
    """Its standard error goes to our log, as much of it as somebody might read."""
    assert process.stderr is not None
    lines, allowance = Lines(4096), Allowance(200, 10.0)
    while chunk := await process.stderr.read(_CHUNK):
        for line in lines.feed(chunk):
            if not allowance.take():
                continue
            if left_out := allowance.forgiven():
                log.warning("%s lines of the server's were left out here", f"{left_out:,}")
            log.info("server: %s", line.text[:500].decode(errors="replace"))


async def _more(process: Process, output: asyncio.StreamReader) -> bytes:
    """Its next output. None, too, if it is dead and only what it has started could write."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                return await output.read(_CHUNK)
        if process.returncode is not None:
            return b""


async def _last_words(process: Process) -> str:
    """Its output has ended; why?"""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()
    status = process.returncode
    if status is None:
        return "it closed its output"
    if status < 0:
        return f"it was killed by {signal.Signals(-status).name}"
    return f"it ended with exit status {status}"


def _signal(process: Process, number: int) -> None:
    """To it and what it has started, unless that has a group of its own."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, number)
