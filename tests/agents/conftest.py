"""A host process that has been let in by a scripted kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.agents.scripted_kernel import ScriptedKernel

ROOT = Path(__file__).parents[2]
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a program works."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def kernel(home: Home) -> Iterator[ScriptedKernel]:
    scripted = ScriptedKernel(home)
    yield scripted
    scripted.close()


@pytest.fixture
def launch(home: Home) -> Iterator[Launch]:
    """Start ``python -m agents`` in this home."""
    with ExitStack() as started:
        yield lambda *options, **more: started.enter_context(running(home, *options, **more))


@pytest.fixture
def host(kernel: ScriptedKernel, launch: Launch) -> subprocess.Popen[str]:
    """A host that is registered, for one test."""
    process = launch()
    kernel.welcome()
    return process


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedKernel]:
    """A kernel with a host that serves all the tests of a module, each with pids of its own."""
    home = Home(tmp_path_factory.mktemp("shared") / "h")
    scripted = ScriptedKernel(home)
    with running(home):
        scripted.welcome()
        yield scripted
    scripted.close()


@pytest.fixture
def pid() -> int:
    """One that no other test uses."""
    return next(_pids)


_pids = count(2)


@contextmanager
def running(home: Home, *options: str, first: str = "") -> Iterator[subprocess.Popen[str]]:
    """A host process, killed at the end. ``first``: what it does before all else."""
    code = f"import runpy\n{first}\nrunpy.run_module('agents', run_name='__main__', alter_sys=True)"
    process = subprocess.Popen(
        [sys.executable, *(["-c", code] if first else ["-m", "agents"]),
         "--name", "h1", "--verbose", *options],
        cwd=ROOT,
        env={**os.environ, "LLMOS_HOME": str(home.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
