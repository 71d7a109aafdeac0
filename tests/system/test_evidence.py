"""Does the audit log of a real system have every attempt to get out of the sandbox?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmagentos.abi.audit import arguments_hash
from llmagentos.abi.errors import ETIMEOUT
from llmagentos.home import Home
from tests.drivers.sandbox.attempts import FILES, NETWORK, PROCESSES
from tests.drivers.sandbox.conftest import World, box, world
from tests.shell.standins import run_llmos
from tests.system.machines import Machines

__all__ = ["box", "world"]  # fixtures

BOMBS = {
    "processes without end": ("while :; do sleep 9 & done", "limit: processes"),
    "a file of 1 GB": ("head -c 1G /dev/zero > big", "limit: file size"),
    "a sparse file": ("truncate -s 1G big", "limit: file size"),
    "much memory": ("python3 -c 'bytearray(1 << 32)'", "limit: memory"),
    "no end": ("sleep 60", "limit: time"),
    "endless words": ("yes", "limit: output"),
    "a demon": ("setsid sleep 60 & sleep 0.1", "left: 1 left behind"),
}


@pytest.fixture
def machines(tmp_path: Path, world: World) -> Iterator[Machines]:
    """(``world``: where nothing can be confined this is skipped.)"""
    machines = Machines(Home(tmp_path / "h"))
    try:
        machines.start_kernel()
        yield machines
    finally:
        machines.close()


def _entries(machines: Machines) -> list[dict[str, Any]]:
    with machines.user() as user:
        found: list[dict[str, Any]] = []
        while page := user.call("sys.audit", since=len(found), limit=1000)["entries"]:
            found += page
    return found


def _denied(machines: Machines) -> list[dict[str, Any]]:
    return [entry for entry in _entries(machines) if entry["verdict"] == "denied"]


def test_is_every_attempt_in_the_audit_log(machines: Machines, world: World) -> None:
    driver = machines.start("-m", "drivers.sandbox", "--name", "box", "--no-parent")
    machines.await_driver("box", driver.pid)
    home = machines.home
    real = {
        "HOME": str(home.root), "KEY": str(home.user_key_file), "DB": str(home.database),
        "SOCKET": str(home.run / "kernel.sock"), "DRIVER": driver.pid,
    }  # fmt: skip
    names = world.names() | real
    calls = {
        attempt.name: ("python", {"code": attempt.code(names)}, attempt.kind)
        for attempt in (*FILES, *PROCESSES, *NETWORK)
    }
    calls |= {
        name: ("shell", {"command": command, "timeout": 0.5 if name == "no end" else 60.0}, what)
        for name, (command, what) in BOMBS.items()
    }
    pids: dict[str, int] = {}
    with ThreadPoolExecutor(4) as threads:

        def call(name: str) -> None:
            tool, arguments, _ = calls[name]
            # A process each: what one does to its folder is nothing to the others.
            given = {"allow": [f"tool:{tool}(*)"]}
            number = list(calls).index(name)
            # A connection each: one serves one thread.
            with machines.user() as user:
                adopted = user.call("proc.adopt", name=f"prisoner-{number}", capabilities=given)
            pids[name] = adopted["pid"]
            with machines.program(session=adopted["session"]) as program:
                result = program.call("tool.call", name=tool, arguments=arguments)["content"]
            assert name in BOMBS or result["stdout"].startswith("held"), (name, result)

        list(threads.map(call, calls))
    world.is_unharmed()
    assert len(calls) >= 80
    entries = [entry for entry in _entries(machines) if entry["action"] == "tool.call"]
    for name, (tool, arguments, kind) in calls.items():
        own = [entry for entry in entries if entry["pid"] == pids[name]]
        begun, *denied = sorted(own, key=lambda entry: entry["seq"])
        assert begun["verdict"] == "begun"
        assert f"{tool} on box, arguments {arguments_hash(arguments)}" in begun["detail"]
        assert {entry["verdict"] for entry in denied} <= {"denied"}
        assert any(f"box: {kind}" in entry["detail"] for entry in denied) == bool(kind), (name, own)
        assert kind or denied == []
    key = f"openat {real['KEY']}: not there"
    assert any(entry["detail"].endswith(f"box: file: {key}") for entry in entries)
    verified = run_llmos(home, "audit", "verify")
    assert (verified.returncode, "none changed" in verified.stdout) == (0, True), verified
    listed = run_llmos(home, "audit", "list", "--verdict", "denied").stdout
    assert key in listed
    assert "limit: processes: as many as there may be, 64" in listed


def test_does_a_timeout_hide_nothing(machines: Machines) -> None:
    """Of whoever makes the call: the sandbox's own limit is never met."""
    driver = machines.start("-m", "drivers.sandbox", "--name", "box", "--no-parent")
    machines.await_driver("box", driver.pid)
    with machines.user() as user:
        slow = {"command": "cat /etc/shadow; sleep 100"}
        for seconds in (0.5, 5.0, 30.0):  # until there was time enough to begin
            with pytest.raises(ETIMEOUT):
                user.call("tool.call", name="shell", arguments=slow, timeout=seconds)
            end = time.monotonic() + 2 * seconds
            while not (denied := _denied(machines)) and time.monotonic() < end:
                time.sleep(0.05)
            if denied:
                break
    assert "box: file: openat /etc/shadow: not there" in denied[0]["detail"]
