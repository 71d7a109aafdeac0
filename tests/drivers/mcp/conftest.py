"""MCP servers as the tests run them: one in a thread of ours, without a kernel."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drivers.mcp.child import Child, environment
from drivers.mcp.server import Server
from drivers.tool import Job, Tool

SCRIPTED = Path(__file__).with_name("scripted.py")


def command(*options: str) -> list[str]:
    return [sys.executable, str(SCRIPTED), *options]


class Served:
    """A server and what it offers. ``state`` and ``note`` as it said last."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.said: list[tuple[str, str]] = []
        self.tools: dict[str, Tool] = {}
        self._job = 0

    def offer(self, state: str, note: str = "", tools: Any = None) -> None:
        if tools is not None:
            self.tools = {tool.card.name: tool for tool in tools}
        self.said.append((state, note))

    @property
    def state(self) -> str:
        return self.said[-1][0] if self.said else "loading"

    @property
    def note(self) -> str:
        return self.said[-1][1]

    def until(self, fact: Callable[[], Any], seconds: float = 60.0) -> Any:
        end = time.monotonic() + seconds
        while not (value := fact()):
            assert time.monotonic() < end, self.said
            time.sleep(0.01)
        return value

    def ready(self) -> Served:
        self.until(lambda: self.state == "ready")
        return self

    def call(self, name: str, **arguments: Any) -> Any:
        self._job += 1
        return self.tools[f"s.{name}"].run(arguments, Job(self._job, 2))


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, how a server has ended is known before it is told."""
    monkeypatch.setattr("drivers.mcp.child._GRACE", 30.0)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Runs a server: of these words, or what ``dial`` reaches."""
    running: list[Server] = []

    def run(*words: str, dial: Any = None, env: tuple[str, ...] = (), **options: Any) -> Served:
        dial = dial or partial(Child, list(words) or command(), environment(env))
        served = Served(Server("s", dial, **options))
        running.append(served.server)
        served.server.start(served.offer)
        return served

    yield run
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One scripted server for all the tests of a module that do it no harm."""
    server = Server("s", partial(Child, command(), environment(())))
    served = Served(server)
    server.start(served.offer)
    yield served.ready()
    server.stop()
