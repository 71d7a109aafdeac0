"""What the tests of work for drivers share: a system whose boot is long ago, a program that may do
all there, and its calls of tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import Program, Rig, settled


@pytest.fixture
def rig() -> Rig:
    return settled()


@pytest.fixture
def ann(rig: Rig) -> Program:
    return Program(rig, "ann", "*")


def call(program: Program, name: str = "echo", /, **args: Any) -> int:
    return program.start("tool.call", name=name, **args)


def error(program: Program, number: int) -> str:
    body = program.reply(number)
    assert body is not None, "no reply has come"
    return str(body["error"]["code"])


def used(rig: Rig, pid: int) -> int:
    usage = rig.call("proc.info", pid=pid)["process"]["usage"]
    return int(usage["tool_calls"])
