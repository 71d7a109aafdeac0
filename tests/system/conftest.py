"""A home, and the real processes of a system in it; all are ended by pid, logs on failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from tests.system.machines import PATIENCE, Machines


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a kernel that is there is found."""
    for module in ("llmagentos.connection", "llmagentos.aio_connection"):
        monkeypatch.setattr(f"{module}.CONNECT_PATIENCE", PATIENCE)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


@contextmanager
def _machines(home: Home, request: pytest.FixtureRequest) -> Iterator[Machines]:
    """The log is part of the captured output, which pytest shows when a test fails."""
    machines = Machines(home)
    failed = request.session.testsfailed
    try:
        yield machines
    finally:
        machines.close()
        if request.session.testsfailed > failed:
            print(f"--- log of the processes in {home.root}\n{machines.logged()[-8000:]}")


@pytest.fixture
def machines(home: Home, request: pytest.FixtureRequest) -> Iterator[Machines]:
    """A home in which nothing runs yet."""
    with _machines(home, request) as machines:
        yield machines


@pytest.fixture
def kernel(machines: Machines) -> Machines:
    """With a kernel: ``kill_kernel`` is kill -9, ``start_kernel`` starts it again."""
    machines.start_kernel()
    return machines


@pytest.fixture
def scripted(kernel: Machines) -> Any:
    """A scripted driver with 4 slots, a moment for each token."""
    return kernel.start_driver("--delay", "0.01")


@pytest.fixture
def host(kernel: Machines) -> Any:
    return kernel.start_host()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Machines]:
    """One kernel for all the tests of a module, with a driver of 4 slots and a host."""
    with _machines(Home(tmp_path_factory.mktemp("shared") / "h"), request) as machines:
        machines.start_kernel()
        driver, host = machines.launch_driver("--delay", "0.01"), machines.start_host()
        machines.await_driver("fake", driver.pid)
        assert host.poll() is None
        yield machines


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be a program of a system."""
    monkeypatch.delenv("LLMOS_SESSION", raising=False)
