"""Homes and supervisors for the shell's tests: real processes, each ended by its pid."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standins import Supervised

from llmagentos.home import Home
from shell import image


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("LLMOS_HOME", str(home.root))
    monkeypatch.delenv("LLMOS_SESSION", raising=False)
    yield home
    if home.run.parent != home.root:
        shutil.rmtree(home.run, ignore_errors=True)


@pytest.fixture
def supervised(home: Home) -> Iterator[Callable[..., Supervised]]:
    running: list[Supervised] = []

    def start(kernel: str = "exec sleep 60", others: Any = None, **more: Any) -> Supervised:
        running.append(Supervised(home, kernel, others or {}, **more))
        return running[-1]

    yield start
    for supervisor in running:
        supervisor.process.kill()
        supervisor.process.wait()


@pytest.fixture
def llmos(home: Home) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command as people do."""

    def run(*words: str, stdin: str | None = None, **more: Any) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "shell", *words],
            env={**image.environment(home), **more.pop("env", {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            **more,
        )

    return run
