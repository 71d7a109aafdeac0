"""Homes and supervisors for the shell's tests: real processes, each ended by its pid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from shell.lock import supervisor_pid
from tests.shell.standins import Supervised, end

ECHO = {
    "apiVersion": "llmagentos/v1",
    "kind": "Agent",
    "metadata": {"name": "echo"},
    "spec": {"model": "fake-model", "prompt": "Say it back.", "sampling": {"max_tokens": 5000}},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("LLMOS_HOME", str(home.root))
    monkeypatch.delenv("LLMOS_SESSION", raising=False)
    yield home
    end(supervisor_pid(home) or 0)
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


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("manifests") / "echo.yaml"
    file.write_text(json.dumps(ECHO))
    return str(file)
