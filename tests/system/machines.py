"""The system's own processes, as tests start, kill and end them: each by its pid, in one home."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from llmagentos import System, connect
from llmagentos.abi import errors, wire
from llmagentos.home import Home

ROOT = Path(__file__).parents[2]
MODEL = "fake-model"
PATIENCE = 30.0
"""Seconds for whatever comes as soon as it can, however busy the machine is."""


def agent(name: str = "agent", **spec: Any) -> dict[str, Any]:
    """A manifest with these fields in its spec."""
    return {
        "apiVersion": "llmagentos/v1",
        "kind": "Agent",
        "metadata": {"name": name},
        "spec": {"model": MODEL, **spec},
    }


def eventually(fact: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true value of ``fact`` within so many seconds."""
    end = time.monotonic() + seconds
    while not (value := fact()):
        assert time.monotonic() < end, f"still not so after {seconds:g} s"
        time.sleep(0.02)
    return value


class Machines:
    """A home and the processes in it. ``close`` ends whatever is left of them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.create()
        self._log = (home.logs / "test.log").open("ab")
        self._started: list[subprocess.Popen[bytes]] = []
        self.kernel: subprocess.Popen[bytes]

    def start(self, *words: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Run ``python <words>`` in this home. ``within``: what runs a command elsewhere."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
        process = subprocess.Popen(
            [*within, sys.executable, *words],
            cwd=ROOT,
            env={**environment, "LLMOS_HOME": str(self.home.root)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._started.append(process)
        return process

    def start_kernel(self, *options: str, within: Sequence[str] = ()) -> float:
        """Start it and wait until it answers a ping; the seconds that this took."""
        begun = time.monotonic()
        words = ("-m", "kernel", "--default-model", MODEL, *options)
        self.kernel = self.start(*words, within=within)
        with Raw(self.home.syscalls) as raw:
            raw.call("sys.ping")
        return time.monotonic() - begun

    def kill_kernel(self) -> None:
        """kill -9."""
        self.kernel.kill()
        self.kernel.wait(PATIENCE)

    def start_driver(self, *options: str, name: str = "fake", slots: int = 4) -> Any:
        """A scripted driver; returns when the kernel knows that it is ready."""
        driver = self.launch_driver(*options, name=name, slots=slots)
        self.await_driver(name, driver.pid)
        return driver

    def launch_driver(self, *options: str, name: str = "fake", slots: int = 4) -> Any:
        return self.start(
            "-m", "drivers.scripted", "--name", name, "--model", MODEL,
            "--slots", str(slots), "--no-parent", *options,
        )  # fmt: skip

    def start_node(
        self, address: str, key: Path, *options: str, slots: int = 4, within: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """A scripted engine that dials in, as on another machine. It is not waited for."""
        return self.start(
            "-m", "shell", "node", "--connect", address, "--key", str(key), "--engine", "scripted",
            "--model", MODEL, "--slots", str(slots), "--", *options, within=within,
        )  # fmt: skip

    def start_host(self, name: str = "host") -> Any:
        """An agent host; returns when the kernel knows it."""
        host = self.start("-m", "agents", "--name", name, "--no-parent", "--verbose")
        self.await_driver(name, host.pid)
        return host

    def await_driver(self, name: str, os_pid: int, seconds: float = PATIENCE) -> None:
        """Until the driver or host of that name is ready, and is this process."""

        def ready(user: System) -> bool:
            rows = user.call("drv.list")["drivers"]
            return (name, os_pid, "ready") in [(r["name"], r["os_pid"], r["state"]) for r in rows]

        with self.user() as user:
            eventually(lambda: ready(user), seconds)

    @contextmanager
    def held_up(self, name: str = "fake") -> Iterator[None]:
        """Nothing comes from this driver in the block."""
        with self.user() as user:
            number = user.call("drv.info", name=name)["os_pid"]
        os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(number, signal.SIGCONT)

    def user(self, **options: Any) -> System:
        """Connected as the user, as a shell is."""
        return connect(home=self.home.root, user=True, **options)

    def program(self, **options: Any) -> System:
        return connect(home=self.home.root, **options)

    def raw(self) -> Raw:
        return Raw(self.home.syscalls)

    def resident(self) -> float:
        """The kernel's resident memory in MB."""
        return memory(self.kernel.pid, "VmRSS")

    def logged(self) -> str:
        return (self.home.logs / "test.log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(PATIENCE)
        self._log.close()
        if self.home.run.parent != self.home.root:
            shutil.rmtree(self.home.run, ignore_errors=True)


def memory(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


class Raw:
    """A socket of one's own, for saying to the kernel what no honest client does."""

    def __init__(self, address: str) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.connect(address)
        self._last = 0

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def say(self, name: str, /, session: str = "", **args: Any) -> int:
        """Make a call; its id."""
        self._last += 1
        self.send(*wire.encode(wire.Message("call", self._last, name, session, args)))
        return self._last

    def hear(self, seconds: float = PATIENCE) -> wire.Message:
        """The next message that says anything."""
        while True:
            assert self.socket.poll(round(seconds * 1000)), f"nothing came within {seconds:g} s"
            message = wire.decode(self.socket.recv_multipart())
            if message.kind != "alive":
                return message

    def refusal(self, seconds: float = PATIENCE) -> tuple[int, errors.LLMOSError]:
        """The id and the error of the next reply."""
        message = self.hear(seconds)
        assert message.kind == "reply"
        assert message.body["ok"] is False
        return message.id, errors.from_wire(message.body["error"])

    def call(self, name: str, /, seconds: float = PATIENCE, **more: Any) -> dict[str, Any]:
        number = self.say(name, **more)
        while (message := self.hear(seconds)).id != number or message.kind != "reply":
            pass
        if not message.body["ok"]:
            raise errors.from_wire(message.body["error"])
        result: dict[str, Any] = message.body["result"]
        return result


def raw_stream(home: Home, door: str) -> socket.socket:
    """A plain socket to a door, below ZeroMQ."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(PATIENCE)
    line.connect(str(home.run / f"{door}.sock"))
    return line
