"""Does an agent of a real system get its commands run, by a driver that is a process of its own?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmagentos.abi.errors import EPERM, ETIMEOUT
from llmagentos.home import Home
from tests.drivers.sandbox.conftest import Box
from tests.system.machines import Machines, eventually


@pytest.fixture
def machines(tmp_path: Path, box: Box) -> Iterator[Machines]:
    """With a kernel and a sandbox. (``box``: where nothing can be confined this is skipped.)"""
    machines = Machines(Home(tmp_path / "h"))
    try:
        machines.start_kernel()
        driver = machines.start("-m", "drivers.sandbox", "--name", "box", "--no-parent")
        machines.await_driver("box", driver.pid)
        yield machines
    finally:
        machines.close()


def test_is_a_command_run_through_the_kernel(machines: Machines) -> None:
    with machines.user() as user:
        offered = [one for one in user.call("tool.list")["tools"] if one["driver"] != "kernel"]
        assert [(tool["name"], tool["driver"]) for tool in offered] == [
            ("python", "box"),
            ("shell", "box"),
        ]
        said = user.call("tool.call", name="shell", arguments={"command": "echo hello > a; cat a"})
        assert said["content"]["stdout"] == "hello\n"
        assert said["labels"] == []
        code = f"open({str(machines.home.user_key_file)!r})"
        refused = user.call("tool.call", name="python", arguments={"code": code})["content"]
        assert "No such file" in refused["stderr"]
        net = {"code": "import socket; socket.socket()"}
        assert user.call("tool.call", name="python", arguments=net)["content"]["denied"] == [
            "socket(AF_INET)"
        ]
    assert "denied: socket(AF_INET)" in machines.logged()


def test_does_the_kernels_timeout_end_it(machines: Machines) -> None:
    with machines.user() as user:
        slow = {"command": "while :; do date +%s.%N > b; sleep 0.1; done & sleep 600"}
        with pytest.raises(ETIMEOUT):
            user.call("tool.call", name="shell", arguments=slow, timeout=0.5)
        after = {"command": "cat b; sleep 0.5; echo /; cat b"}

        def is_still() -> bool:
            said = user.call("tool.call", name="shell", arguments=after)["content"]["stdout"]
            first, second = map(str.strip, said.split("/"))
            return first == second

        eventually(is_still)


def test_is_a_tool_that_nobody_allowed_refused_and_audited(machines: Machines) -> None:
    with machines.user() as user:
        poor = user.call("proc.adopt", name="poor", capabilities={"allow": ["tool:python(*)"]})
    with machines.program(session=poor["session"]) as program:
        fine = program.call("tool.call", name="python", arguments={"code": "print(1)"})
        assert fine["content"]["stdout"] == "1\n"
        with pytest.raises(EPERM):
            program.call("tool.call", name="shell", arguments={"command": "true"})
    with machines.user() as user:
        entries = user.call("sys.audit")["entries"]
    assert ("tool.call", "EPERM") in [(entry["action"], entry["verdict"]) for entry in entries]
