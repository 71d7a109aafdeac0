"""The Python client: a program's connection to a system.

Everything here is a syscall. ``system.mem.put(…)`` and its like make any of them, typed (see
``families``); ``System.call`` makes any by its name. One connection serves one
thread at a time; another gets an ``EINVAL``. It knows nothing about how the kernel carries a call
out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from llmagentos.abi.calls.fs import FileInfo
from llmagentos.abi.calls.llm import GenerateResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import Limits, ProcessDetail, ProcessInfo, Signal
from llmagentos.abi.talk import ToolChoice
from llmagentos.agent import Agent
from llmagentos.connection import Connection
from llmagentos.exchange import (
    CONNECT_PATIENCE,
    DEFAULT_PATIENCE,
    arguments,
    generate_arguments,
    task_in,
)
from llmagentos.families import Families
from llmagentos.home import Home
from llmagentos.identity import become
from llmagentos.manifest_file import manifest_arguments
from llmagentos.stream import Stream
from llmagentos.waits import check_in_time, limited


def connect(
    address: str | None = None,
    *,
    name: str | None = None,
    home: str | Path | None = None,
    key: str | None = None,
    session: str | None = None,
    user: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> System:
    """Connect to a system and become a process of it.

    ``address`` is an ``ipc://`` or ``tcp://`` endpoint; by default the socket under ``home``
    (default: ``LLMOS_HOME``). With a ``name`` the program is the same process each time it
    comes back; without one its process ends with the connection. ``session`` (default: the
    environment's ``LLMOS_SESSION``) is a token that the program was given. ``user`` acts as the
    user, without a process of its own: what a shell does. ``key`` is the user's key, by default
    read from the home. ``patience`` is for how many seconds a call waits for a kernel that went
    away. Raises ``ECONNREFUSED`` when no system answers, ``EAUTH`` when it knows us not.
    """
    place = Home.at(home)
    if name is not None:
        place.session_file(name)
    connection = Connection(address or place.syscalls, place, patience)
    try:
        system = System(connection)
        system.call("sys.ping", within=CONNECT_PATIENCE + 2)
        given = session or os.environ.get("LLMOS_SESSION")
        if given and not (user or name):
            system.session = given
            system.pid = system.info().process.pid
            return system
        system.session = key or place.user_key()
        if not user:
            become(system, place, name)
    except BaseException:
        connection.close()
        raise
    return system


class System(Families):
    """A session on a system. Close it, or use it as a context manager."""

    def __init__(self, connection: Connection, session: str = "", pid: int | None = None) -> None:
        self._connection = connection
        self.session = session
        self.pid = pid

    def __enter__(self) -> System:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and with it a process that has no name."""
        self._connection.close()

    def call(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        /,
        *,
        within: float | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Make any syscall: ``system.call("proc.list", tree=1)``. Returns the result as a map.

        ``within`` is for how many seconds to wait for the reply (then ``ETIMEOUT``). A call that
        would wait for ever is told of it, so that the kernel ends it then and keeps it no longer;
        its word of that is given two seconds to get here.
        """
        limit, patience = limited(name, {**(args or {}), **more}, within)
        result = self.open(name, args, **{**more, **limit}).result(patience)
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
    ) -> Stream:
        """Make any syscall without waiting for its reply. ``buffers``: raw bytes beside it."""
        given = {**(args or {}), **arguments(**more)}
        return self._connection.open(name, given, self.session, buffers)

    def spawn(
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
    ) -> Agent:
        """Start an agent. ``manifest`` is a manifest's name, a path to one, or a dict.

        With ``attach`` it ends when this connection does.
        """
        result = self.call(
            "proc.spawn",
            manifest_arguments(manifest),
            text=text,
            name=name,
            model=model,
            sampling=sampling,
            limits=limits,
            placement=placement,
            attach=attach,
        )
        return Agent(self, result["pid"], result["name"], result.get("notices", []))

    def agent(self, pid: int) -> Agent:
        """The handle of a process that is there already."""
        return Agent(self, pid, self.info(pid).process.name)

    def generate(
        self,
        prompt: str | list[dict[str, Any]] | None = None,
        *,
        append: bool = False,
        model: str | list[str] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: ToolChoice | None = None,
        **sampling: Any,
    ) -> GenerateResult:
        """One LLM call. ``prompt`` is a text or a list of messages; without one the process's
        own context is the prompt. ``sampling``: temperature, top_p, top_k, seed, stop,
        max_tokens. ``tools``: maps of name, description and parameters (a JSON Schema) of what
        the model may call; ``tool_calls`` of the result are those that it wants made.
        ``tool_choice``: auto, required or none."""
        args = generate_arguments(
            prompt, append=append, model=model, tools=tools, tool_choice=tool_choice,
            sampling=sampling, stream=False,
        )  # fmt: skip
        return GenerateResult.model_validate(self.call("llm.generate", args))

    def generate_stream(
        self,
        prompt: str | list[dict[str, Any]] | None = None,
        *,
        append: bool = False,
        model: str | list[str] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: ToolChoice | None = None,
        **sampling: Any,
    ) -> Stream:
        """As ``generate``; iterate over it for the text, then ask for its ``result()``."""
        args = generate_arguments(
            prompt, append=append, model=model, tools=tools, tool_choice=tool_choice,
            sampling=sampling, stream=True,
        )  # fmt: skip
        return self.open("llm.generate", args)

    def follow(self, agents: Iterable[Agent]) -> Iterator[tuple[Agent, str]]:
        """The answers of several agents as they are made, until all of them have ended."""
        endings = {agent: agent.ending() for agent in agents}
        while endings:
            for agent, ending in list(endings.items()):
                for text in ending.ready():
                    yield agent, text
                if ending.done:
                    del endings[agent]
            if endings and not any(ending.inbox for ending in endings.values()):
                self._connection.pump(1.0)

    def read_file(self, path: str, *, version: int | None = None, pid: int | None = None) -> bytes:
        """A file's content; by default the newest, of one's own files."""
        read = self.open("fs.read", path=path, version=version, pid=pid)
        read.result()
        return b"".join(read.buffers)

    def write_file(self, path: str, content: bytes | str, **more: Any) -> FileInfo:
        """A new version of a file. ``more``: ``pid``, ``labels`` and ``expect``, the version that
        is to be the newest so far."""
        data = content.encode() if isinstance(content, str) else content
        write = self.open("fs.write", path=path, buffers=[data], **more)
        return FileInfo.model_validate(write.result())

    def processes(self, tree: int | None = None) -> list[ProcessInfo]:
        """The process table, by pid."""
        found: list[ProcessInfo] = []
        after: int | None = 0
        while after is not None:
            page = self.call("proc.list", tree=tree, after=after)
            found += [ProcessInfo.model_validate(row) for row in page["processes"]]
            after = page["next"]
        return found

    def info(self, pid: int | None = None) -> ProcessDetail:
        """All about one process; by default about oneself."""
        return ProcessDetail.model_validate(self.call("proc.info", pid=pid))

    def task(self) -> str:
        """What this process was last told: the text that it was spawned with, or what came after
        that. Raises ``ENOENT`` if it was told nothing."""
        return task_in(self.call("ctx.read"))

    def exit(self, answer: str = "", *, code: int = 0) -> None:
        """End this process with an answer. Its session is over; a program that a manifest names
        has a few seconds to be gone as well."""
        self.call("proc.exit", answer=answer, code=code)

    def kill(self, pid: int, signal: Signal = "TERM", *, tree: bool = False) -> list[int]:
        """Send a signal; the pids that got it."""
        result = self.call("proc.kill", pid=pid, signal=signal, tree=tree)
        signalled: list[int] = result["signalled"]
        return signalled
