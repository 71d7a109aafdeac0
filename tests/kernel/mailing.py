"""What the tests of mail share: two programs that write to each other, one with little room."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import Program, Rig


def post(sender: Program, to: Program, body: Any, **args: Any) -> int:
    return sender.start("ipc.send", pid=to.pid, body=body, **args)


def read(program: Program, limit: int = 1) -> list[Any]:
    """What is there now."""
    return bodies(program.call("ipc.recv", limit=limit, block=False))


def bodies(result: Any) -> list[Any]:
    return [mail["body"] for mail in result["mail"]]


@pytest.fixture
def ann(rig: Rig) -> Program:
    return Program(rig, "ann", "ipc:*")


@pytest.fixture
def bob(rig: Rig) -> Program:
    return Program(rig, "bob", "ipc:*", mailbox=3)


def fill(sender: Program, target: Program) -> None:
    for number in range(3):
        post(sender, target, number)
