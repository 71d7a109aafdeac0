"""What the tests of rights and approvals share: families, who asks, what waits, what is decided and
what is told and written down."""

from __future__ import annotations

from typing import Any

import pytest

from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.errors import EPERM
from tests.kernel.rig import FakeHost, FakeTool, Program, Rig, agent

SHELL = {"name": "shell", "arguments": {"command": "rm -rf /tmp/x"}}
ASKS = {"allow": ["tool:*", "mem:*", "ipc:*"], "ask": ["tool:shell(*)"]}
ALL: dict[str, Any] = {"allow": ["*"]}
SPAWNS: dict[str, Any] = {"allow": ["proc:spawn"]}
DECIDES = ["proc:spawn", "cap:decide", "tool:*"]


@pytest.fixture
def tool(rig: Rig) -> FakeTool:
    return rig.tool("tools", "shell", "echo")


@pytest.fixture
def ann(rig: Rig) -> Program:
    return program(rig, "ann")


def program(rig: Rig, name: str, **rules: list[str]) -> Program:
    """A program that must ask before it uses the shell, or one with these rules."""
    rig.call("proc.adopt", name=name, capabilities=rules or ASKS)
    return Program(rig, name)


def ask(who: Program, command: str | None = None, **more: Any) -> int:
    """Call the shell, and don't wait for the reply."""
    arguments = SHELL["arguments"] if command is None else {"command": command}
    return who.start("tool.call", name="shell", arguments=arguments, **more)


def waiting(rig: Rig, **args: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = rig.call("cap.list", **args)["approvals"]
    return listed


def status(rig: Rig, id: int) -> str:
    (found,) = waiting(rig, approval=id)
    return str(found["status"])


def decide(rig: Rig, id: int, approve: bool = True, **more: Any) -> dict[str, Any]:
    return rig.call("cap.decide", approval=id, approve=approve, **more)


def refused(who: Program, number: int) -> str:
    """The message of the EPERM that a call was answered with."""
    with pytest.raises(EPERM) as caught:
        who.result(number)
    return str(caught.value.message)


def told(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return [event for event in rig.events if event["type"] == kind]


def family(rig: Rig, host: FakeHost, *rules: dict[str, Any]) -> list[int]:
    """Agents, each the child of the one before, with these capabilities."""
    pids = [rig.spawn(agent("a0", capabilities=rules[0]))]
    for number, more in enumerate(rules[1:], 1):
        pids.append(host.child(pids[-1], agent(f"a{number}", capabilities=more)))
    return pids


def audited(rig: Rig) -> list[AuditEntry]:
    return [AuditEntry.model_validate(entry) for entry in rig.call("sys.audit")["entries"]]


def answer(host: FakeHost, pid: int, id: int, **more: Any) -> str:
    """What comes of an agent's attempt to decide."""
    reply = host.reply(host.act(pid, "cap.decide", approval=id, **{"approve": True, **more}))
    assert reply is not None
    return "ok" if reply["ok"] else str(reply["error"]["code"])
