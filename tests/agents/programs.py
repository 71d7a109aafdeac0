"""A program that a host runs: how a test has it run, and hears of it and of its end."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from llmagentos.home import Home
from tests.agents.scripted_kernel import Call, ScriptedKernel


def run(kernel: ScriptedKernel, folder: Path, *program: str, pid: int = 7) -> None:
    kernel.assign(pid, program=list(program), workdir=str(folder))


def end(kernel: ScriptedKernel) -> Call:
    call = kernel.call("proc.exit")
    kernel.answer(call)
    return call


def script(folder: Path, text: str) -> str:
    (folder / "it.py").write_text(text, encoding="utf-8")
    return "it.py"


def until(fact: Any, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def written(home: Home, pattern: str, pid: int = 7) -> re.Match[str]:
    """When the program has written this."""
    log = home.program_log(pid)
    return until(lambda: log.exists() and re.search(pattern, log.read_text(encoding="utf-8")))
