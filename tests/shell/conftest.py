"""Homes and supervisors for the shell's tests: real processes, each ended by its pid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from shell.cli import main
from shell.lock import supervisor_pid
from tests.shell.standins import Supervised, end
from tests.system.machines import Machines

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


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a kernel that is there answers the doctor."""
    monkeypatch.setattr("shell.vitals._PATIENCE", 30.0)


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


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A kernel, a host and a scripted driver that says back what it was told, word by word."""
    machines = Machines(Home(tmp_path_factory.mktemp("machines") / "h"))
    try:
        machines.start_kernel()
        machines.start_driver("--delay", "0.01")
        machines.start_host()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def on_machines(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command on them: its status, stdout and stderr."""
    monkeypatch.setenv("LLMOS_HOME", str(machines.home.root))
    monkeypatch.delenv("LLMOS_SESSION", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run
