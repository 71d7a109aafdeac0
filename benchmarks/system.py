"""A system to measure: a kernel, an edge driver and agent hosts, in processes of their own.

It knows nothing about what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmagentos.client import connect
from llmagentos.home import Home


@contextmanager
def system(policy: str, slots: int, model: str, hosts: int = 0) -> Iterator[Home]:
    """In a home of its own, with the driver ready; all of it ends with the context."""
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
        home = Home(Path(folder))
        environment = {**os.environ, "LLMOS_HOME": folder}
        log = Path(folder) / "log"
        programs: list[subprocess.Popen[bytes]] = []

        def run(*arguments: str) -> None:
            command = [sys.executable, "-m", *arguments]
            with log.open("a") as file:
                programs.append(subprocess.Popen(command, env=environment, stderr=file))

        try:
            run("kernel", "--policy", policy, "--log-level", "WARNING")
            while not Path(home.syscalls.removeprefix("ipc://")).exists():
                _check(programs, log)
            run("drivers.edge", "--model", model, "--slots", str(slots))
            for number in range(hosts):
                run("agents", "--name", f"host-{number}")
            with connect(home=folder, user=True) as user:
                while not any(
                    driver["kind"] == "edge" and driver["state"] == "ready"
                    for driver in user.call("drv.list")["drivers"]
                ):
                    _check(programs, log)
            yield home
        finally:
            for program in programs:
                program.terminate()
            for program in programs:
                program.wait(20)


def _check(programs: list[subprocess.Popen[bytes]], log: Path) -> None:
    """One of them may have ended; else wait a little."""
    if any(program.poll() is not None for program in programs):
        raise RuntimeError(log.read_text())
    time.sleep(0.05)
