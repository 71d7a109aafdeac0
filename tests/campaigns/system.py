"""A system that is killed again and again: one home, its kernel and its driver, as real processes.

It knows how to start a kernel that dies at a named point, and nothing about what is asked of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq

from kernel.crashpoints import VARIABLE
from llmagentos.abi import wire
from llmagentos.home import Home

ROOT = Path(__file__).parents[2]
MODEL = "fake-model"
_BOOTING = 60.0
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""glibc would keep what one large message took for the next one: up to 64 MB, in which no leak can
be seen. So it gives back what is free."""


class Broken(Exception):
    """The system has broken a promise."""


class System:
    """``close`` ends what is left of it; ``remove`` its home too."""

    def __init__(self) -> None:
        self.home = Home(Path(tempfile.mkdtemp(prefix="llmos-campaign-")))
        self.home.create()
        self.log = self.home.logs / "campaign.log"
        self._out = self.log.open("ab")
        self._driver: subprocess.Popen[bytes] | None = None
        self._kernel: subprocess.Popen[bytes] | None = None

    @property
    def kernel(self) -> subprocess.Popen[bytes]:
        assert self._kernel is not None
        return self._kernel

    def start_kernel(self, crash_at: str = "") -> bool:
        """Until it answers a ping. False: it died before, at the point that was asked for."""
        more = {VARIABLE: crash_at} if crash_at else {}
        self._kernel = self._start("-m", "kernel", "--default-model", MODEL, **more)
        ping = wire.encode(wire.Message("call", 1, "sys.ping"))
        with zmq.Context.instance().socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL, 10)
            socket.connect(self.home.syscalls)
            socket.send_multipart(ping)
            end = time.monotonic() + _BOOTING
            while not socket.poll(10):
                if self.died:
                    return False
                if time.monotonic() > end:
                    raise Broken(f"the kernel did not come up within {_BOOTING:g} s")
        return True

    def start_driver(self) -> None:
        """It stays through all boots of the kernel."""
        self._driver = self._start(
            "-m", "drivers.scripted", "--name", "fake", "--model", MODEL, "--no-parent",
            "--slots", "6", "--delay", "0.001",
        )  # fmt: skip

    def _start(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMOS_")}
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**kept, **_ALLOCATOR, **more, "LLMOS_HOME": str(self.home.root)},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
        )

    @property
    def died(self) -> bool:
        """As it was told to, by SIGKILL; it ends in no other way."""
        status = self.kernel.poll()
        if status not in (None, -signal.SIGKILL):
            raise Broken(f"the kernel ended with {status}: {self.logged()[-3000:]}")
        return status is not None

    def kill_kernel(self) -> None:
        """kill -9, unless it has done that itself."""
        self.kernel.kill()
        self.kernel.wait(30)

    def resident(self) -> float:
        """The kernel's resident memory in MB."""
        status = Path(f"/proc/{self.kernel.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        for process in (self._kernel, self._driver):
            if process is not None:
                process.kill()
                process.wait(30)
        self._out.close()

    def remove(self) -> None:
        self.close()
        for folder in {self.home.root, self.home.run}:
            shutil.rmtree(folder, ignore_errors=True)
