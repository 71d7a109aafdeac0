"""Real stand-in processes for the shell's tests, and how to wait for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from shell import image
from shell.supervisor import services_file

SUPERVISE = Path(__file__).with_name("supervise.py")


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail("it did not happen in time")


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Supervised:
    """A supervisor of stand-in programs, in a process of its own."""

    def __init__(self, home: Home, kernel: str, others: dict[str, str], **more: Any) -> None:
        home.create()
        self.home = home
        orders = {"kernel": kernel, "others": others, **more}
        self.process = subprocess.Popen(
            [sys.executable, str(SUPERVISE), json.dumps(orders)], env=image.environment(home)
        )

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        try:
            told = json.loads(services_file(self.home).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {service["name"]: service for service in told["services"]}

    def pid_of(self, name: str) -> int:
        def there() -> int | None:
            pid = self.services.get(name, {}).get("pid")
            return pid if pid and lives(pid) else None

        pid: int = until(there)
        return pid

    @property
    def log(self) -> str:
        return (self.home.logs / "supervisor.log").read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float = 30.0) -> int:
        return self.process.wait(seconds)


def end(pid: int) -> None:
    """End a process by its pid, if it is there."""
    if pid and lives(pid):
        os.kill(pid, signal.SIGKILL)


def run_llmos(home: Home, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shell", *words],
        env=image.environment(home), capture_output=True, text=True, timeout=90, **more,
    )  # fmt: skip


@contextmanager
def start_llmos(home: Home, *words: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "shell", *words],
        env=image.environment(home), text=True, stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            # A test that fails in the middle leaves nothing behind either.
            end(process.pid)
