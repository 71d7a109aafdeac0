"""The link to the kernel: one connection for as long as the screen lives, kernel or not.

What is asked while it is away waits, or fails in words; when it is back, all goes on. It knows
nothing about what is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Final

from llmagentos.abi.calls.cap import ListResult, RuleSet
from llmagentos.abi.errors import ECONNREFUSED, LLMOSError
from llmagentos.abi.process import INIT
from llmagentos.aio import AsyncSystem
from llmagentos.aio_connection import AsyncConnection
from llmagentos.aio_stream import AsyncStream
from llmagentos.home import Home
from shell.tui.rights import Rights

_PATIENCE: Final = 30.0
"""Seconds that a call in flight waits for a kernel that went away, if whoever made it does."""
_ANSWER_WITHIN: Final = 10.0


class Link:
    """``session``: of the process to act for; without one, of the user."""

    def __init__(self, home: Home, *, read_only: bool = False, session: str = "") -> None:
        self.home = home
        # Who we are is not known yet: until then nothing is changed with a session of a process.
        self.rights = Rights(read_only=read_only or bool(session))
        self.heard = time.monotonic()
        """When there was last word of the kernel."""
        self._read_only = read_only
        self._session = session
        self._known = False
        self._connection: AsyncConnection | None = None
        self._system: AsyncSystem | None = None

    @classmethod
    def default(cls, *, read_only: bool = False) -> Link:
        """As the user, or as the process whose session is in the environment."""
        session = os.environ.get("LLMOS_SESSION", "")
        return cls(Home.default(), read_only=read_only, session=session)

    @property
    def up(self) -> bool:
        return self._connection is not None and self._connection.up

    @property
    def silence(self) -> float:
        """Seconds since there was last word of the kernel."""
        return time.monotonic() - self.heard

    async def call(self, name: str, /, *, within: float = _ANSWER_WITHIN, **args: Any) -> Any:
        """Make a syscall. Raises what the kernel answers, ``ECONNREFUSED``, ``ETIMEOUT``."""
        result = await self._ready().call(name, within=within, **args)
        self.heard = time.monotonic()
        return result

    def open(self, name: str, /, *, buffers: Sequence[bytes] = (), **args: Any) -> AsyncStream:
        """Make a syscall without waiting for its reply."""
        return self._ready().open(name, buffers=buffers, **args)

    async def content(self, path: str, version: int | None = None, pid: int | None = None) -> bytes:
        """Of a file."""
        return await self._ready().read_file(path, version=version, pid=pid)

    async def learn(self) -> Rights:
        """Who we are, and what we may."""
        if not self._known:
            pid = INIT
            rules: tuple[RuleSet, ...] = ()
            if self._session:
                pid = (await self.call("proc.info"))["process"]["pid"]
                found = ListResult.model_validate(await self.call("cap.list"))
                rules = tuple(found.rules)
            self.rights = Rights(pid, rules, self._read_only)
            self._known = True
        return self.rights

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    def _ready(self) -> AsyncSystem:
        if self._system is None:
            try:
                session = self._session or self.home.user_key()
            except LLMOSError:
                # Its first kernel has not made it yet.
                raise ECONNREFUSED(
                    f"the system in {self.home.root} is not up", hint="start it: llmos up --detach"
                ) from None
            self._connection = AsyncConnection(self.home.syscalls, self.home, _PATIENCE)
            self._system = AsyncSystem(self._connection, session)
        return self._system
