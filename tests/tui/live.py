"""The TUI in a real terminal, on a real system.

The driver is the scripted one: slow enough to be watched, and it says back what it is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmagentos import System
from tests.system.machines import Machines
from tests.tui.terminal import Terminal

SIZES = [(80, 24), (200, 60)]
MANIFEST = """apiVersion: llmagentos/v1
kind: Agent
metadata: {name: a-teller, description: Says it back}
spec: {model: fake-model, prompt: Tell., limits: {tokens: 5000}, sampling: {max_tokens: 1000}}
"""


@contextmanager
def opened(
    machines: Machines, size: tuple[int, int], *, shows: str = "init", **more: str
) -> Iterator[Terminal]:
    given = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
    environment = {**given, "LLMOS_HOME": str(machines.home.root), "COLORTERM": "truecolor", **more}
    command = [sys.executable, "-m", "shell", *(["--read-only"] if "READ" in more else [])]
    with Terminal(command, *size, environment) as terminal:
        terminal.shows("Processes", shows)
        yield terminal


def row(user: System, pid: int) -> dict[str, Any]:
    found: dict[str, Any] = user.call("proc.info", pid=pid)["process"]
    return found
