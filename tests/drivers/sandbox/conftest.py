"""A sandbox in a small world that it must not reach: secrets, listeners, and a process to hurt."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.sandbox import landlock, seccomp
from drivers.sandbox.folders import Folders
from drivers.sandbox.limits import Limits
from drivers.sandbox.tools import Sandbox
from drivers.tool import Job
from llmagentos.home import Home

SECRET = "s3cret-of-the-driver"
PID = 7


class Box:
    """A sandbox, called as its driver would call it."""

    def __init__(self, root: Path, limits: Limits | None = None, *, confined: bool = True) -> None:
        self.folders = Folders(root)
        self.sandbox = Sandbox(self.folders, limits or Limits(seconds=60), confined=confined)
        self.tools = {tool.card.name: tool for tool in self.sandbox.tools()}

    def shell(self, command: str, *, job: Job | None = None, **more: Any) -> dict[str, Any]:
        return self._run("shell", job, command=command, **more)

    def python(self, code: str, *, job: Job | None = None, **more: Any) -> dict[str, Any]:
        return self._run("python", job, code=code, **more)

    def _run(self, tool: str, job: Job | None, **arguments: Any) -> dict[str, Any]:
        result = self.tools[tool].run(arguments, job or Job(1, PID))
        assert isinstance(result, dict)
        return result

    def is_still(self, name: str) -> bool:
        """Nobody writes to this file."""
        file = self.folders.root / str(PID) / name
        texts = []
        for pause in (0.0, 0.6):
            time.sleep(pause)
            texts.append(file.read_text() if file.exists() else "")
        return texts[0] == texts[1]

    def works(self) -> None:
        """A benign command does what it always did."""
        result = self.shell("echo fine > fine && cat fine && id -u")
        assert (result["stdout"], result["exit_code"]) == ("fine\n1000\n", 0), result


class World:
    """What is outside, and whether it is as it was."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "h")
        self.home.create()
        self.home.user_key_file.write_text(SECRET)
        self.home.database.write_text(SECRET)
        self.box = Box(self.home.root / "sandbox" / "box")
        self.other = self.box.folders.of(8, None) / "diary"
        self.other.write_text(SECRET)
        self.outside = root / "outside"
        self.outside.mkdir(mode=0o777)
        self.outside.chmod(0o777)
        self.victim = subprocess.Popen(["sleep", "600"])
        self.kernel = _listener(socket.AF_UNIX, str(self.home.run / "kernel.sock"))
        self.abstract_name = f"llmos-test-{self.victim.pid}"
        self.abstract = _listener(socket.AF_UNIX, f"\0{self.abstract_name}")
        self.tcp = _listener(socket.AF_INET, ("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.inherited = os.open(self.home.user_key_file, os.O_RDONLY)
        os.set_inheritable(self.inherited, True)
        self._before = self._facts()

    def names(self) -> dict[str, Any]:
        """What an attempt knows of it: more than an agent would."""
        return {
            "HOME": str(self.home.root),
            "KEY": str(self.home.user_key_file),
            "DB": str(self.home.database),
            "SOCKET": str(self.home.run / "kernel.sock"),
            "ABSTRACT": self.abstract_name,
            "TCP": self.tcp.getsockname()[1],
            "UDP": self.udp.getsockname()[1],
            "OTHER": str(self.other),
            "OUTSIDE": str(self.outside),
            "VICTIM": self.victim.pid,
            "DRIVER": os.getpid(),
            "SECRET": SECRET,
        }

    def is_unharmed(self) -> None:
        assert self._facts() == self._before
        for listener in (self.kernel, self.abstract, self.tcp):
            with pytest.raises(BlockingIOError):
                listener.accept()
        with pytest.raises(BlockingIOError):
            self.udp.recv(1)

    def _facts(self) -> dict[str, Any]:
        status = Path(f"/proc/{self.victim.pid}/stat").read_text().rsplit(")", 1)[1].split()
        files = (self.home.user_key_file, self.home.database, self.other)
        return {
            "victim": (self.victim.poll(), status[0] in "SDR", os.getpriority(0, self.victim.pid)),
            "host": socket.gethostname(),
            "files": [file.read_text() for file in files],
            "outside": os.listdir(self.outside),
            "home": sorted(os.listdir(self.home.root)),
            "usr": Path("/usr/escaped").exists(),
            "tmp": Path("/tmp/llmos-escaped").exists(),
            "settings": Path("/proc/sys/vm/overcommit_memory").read_text(),
            "nice": os.getpriority(0, 0),
        }

    def close(self) -> None:
        os.close(self.inherited)
        for one in (self.kernel, self.abstract, self.tcp, self.udp):
            one.close()
        self.victim.kill()
        self.victim.wait(30)


def _listener(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    listener.setblocking(False)
    return listener


def _confined(box: Box) -> Box:
    """Skips where the machine can't; not where the sandbox only says so."""
    namespaces = ("unshare", "--map-root-user", "-mpnui", "--fork", "--mount-proc", "true")
    able = landlock.version() >= landlock.OLDEST and seccomp.supported()
    if not able or subprocess.run(namespaces, capture_output=True).returncode != 0:
        pytest.skip(f"this machine can't confine: {box.sandbox.obstacle}")
    assert box.sandbox.obstacle == ""
    return box


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    os.environ["LLMOS_TEST_SECRET"] = SECRET
    world = World(tmp_path_factory.mktemp("world"))
    try:
        _confined(world.box)
        yield world
    finally:
        world.close()
        del os.environ["LLMOS_TEST_SECRET"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    return _confined(Box(tmp_path_factory.mktemp("box")))


@pytest.fixture
def small_box(tmp_path: Path) -> Box:
    """With little of everything, so that it is used up soon."""
    limits = Limits(
        seconds=60, memory=128 << 20, processes=24, file=8 << 20, folder=16 << 20, entries=500,
        tmp=4 << 20, output=1 << 20,
    )  # fmt: skip
    return _confined(Box(tmp_path / "box", limits))
