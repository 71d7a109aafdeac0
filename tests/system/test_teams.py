"""Agents that work together: does a team come to one answer, and does nothing of it outlive a kill?

Real processes; the models are scripted, one for each part that is played.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos import System
from llmagentos.home import Home
from tests.system.machines import Machines, eventually

PARTS = [f"Part {number} of it?" for number in range(1, 9)]
QUESTION = "\n".join(PARTS)
SLEEP = {"name": "time.sleep", "arguments": json.dumps({"seconds": 60})}
NOW = {"name": "time.now", "arguments": "{}"}


def _manifest(name: str, **spec: Any) -> str:
    # JSON is YAML.
    return json.dumps(
        {"apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": name}, "spec": spec}
    )


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path / "h"))
    try:
        machines.start_kernel()
        machines.start_host()
        machines.start("-m", "drivers.clock", "--name", "clock", "--no-parent")
        yield machines
    finally:
        machines.close()


def _team(machines: Machines, *calls: dict[str, str]) -> None:
    """A planner that echoes, so that each line of the question is a part of the plan; eight workers
    that make ``calls`` first; and a critic."""
    turns = json.dumps([{"calls": list(calls)}, {"text": "Found."}])
    machines.launch_driver("--model", "planner", name="planner")
    machines.launch_driver("--model", "worker", "--turns", turns, name="worker", slots=8)
    machines.launch_driver("--model", "critic", "--script", "Well done.", name="critic")
    program = ["python", "-m", "agents.apps.research", "--workers", "8"]
    limits = {"tokens": 20_000, "children": 12, "turns": 60, "tool_calls": 20}
    allow = ["proc:spawn", "llm:worker", "llm:critic", "tool:time.*"]
    for name, spec in (
        ("research-team", {"model": "planner", "program": program, "limits": limits,
                           "capabilities": {"allow": allow}}),
        ("research-worker", {"model": "worker", "tools": ["time.*"]}),
        ("research-critic", {"model": "critic"}),
    ):  # fmt: skip
        (machines.home.manifests / f"{name}.yaml").write_text(_manifest(name, **spec))
    with machines.user() as user:
        eventually(lambda: _ready(user) >= {"planner", "worker", "critic", "clock", "host"})


def _ready(user: System) -> set[str]:
    return {row["name"] for row in user.call("drv.list")["drivers"] if row["state"] == "ready"}


def test_do_eight_workers_and_a_critic_come_to_one_answer(machines: Machines) -> None:
    _team(machines, NOW)
    with machines.user() as user:
        agent = user.spawn("research-team", QUESTION)
        ended = agent.wait(60)
        assert ended.code == 0, ended.error
        assert all(f"{part}\nFound." in ended.answer for part in PARTS)
        assert ended.answer.endswith("Remarks: Well done.")
        past = user.call("proc.list", history=100)["processes"]
    family = [row["name"] for row in past if row["ppid"] == agent.pid]
    assert sorted(family) == ["critic", *(f"part-{number}" for number in range(1, 9))]
    assert {row["state"] for row in past if row["ppid"] == agent.pid} == {"ZOMBIE"}
    assert ended.usage.tool_calls == 0, "its own; those of its children are theirs"


def test_does_the_team_go_on_when_the_host_is_killed(machines: Machines) -> None:
    _team(machines, NOW, {"name": "time.sleep", "arguments": json.dumps({"seconds": 1})})
    with machines.user() as user:
        agent = user.spawn("research-team", QUESTION)
        eventually(lambda: len(user.processes(agent.pid)) == 9)
        os.kill(_host(user), signal.SIGKILL)
        machines.start_host("other")
        ended = agent.wait(60)
        assert ended.code == 0, ended.error
        assert all(f"{part}\nFound." in ended.answer for part in PARTS)
        past = user.call("proc.list", history=100)["processes"]
    assert len([row for row in past if row["ppid"] == agent.pid]) == 9, "nobody is there twice"


def test_does_a_kill_of_the_tree_leave_nothing(machines: Machines) -> None:
    _team(machines, SLEEP)
    with machines.user() as user:
        agent = user.spawn("research-team", QUESTION)
        eventually(lambda: user.call("drv.info", name="clock")["running"] == 8)
        programs = _below(_host(user))
        assert programs
        victims = user.kill(agent.pid, "KILL", tree=True)
        assert len(victims) == 9
        # Sooner than the tools would end by themselves.
        eventually(lambda: _quiet(user))
        eventually(lambda: not any(map(_is_there, programs)))
        states = {one.state for one in user.processes(agent.pid)}
        assert states == {"ZOMBIE"}
        ledger = user.info(agent.pid).ledger
        assert {name: one.reserved for name, one in ledger.items() if one.reserved} == {}
        assert ledger["tool_calls"].spent == 8


def _host(user: System) -> int:
    rows = user.call("drv.list")["drivers"]
    return int(next(row["os_pid"] for row in rows if row["kind"] == "host"))


def _quiet(user: System) -> bool:
    """No burst on any driver, and no tool at work."""
    return all(
        row["running"] == 0 for row in user.call("drv.list")["drivers"] if row["kind"] != "host"
    )


def _below(pid: int) -> list[int]:
    """The OS processes that this one has started, and those that they have."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_below(child)]
    return found


def _is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_is_each_stage_of_a_pipeline_given_what_the_last_one_said(machines: Machines) -> None:
    machines.launch_driver("--model", "translator", "--script", "Der Text.", name="translator")
    machines.launch_driver("--model", "summariser", name="summariser")
    home = machines.home
    for name, spec in (
        ("both", {"program": ["python", "-m", "agents.apps.pipeline", "translate", "summarise"],
                  "capabilities": {"allow": ["proc:spawn", "llm:*"]}}),
        ("translate", {"model": "translator"}),
        ("summarise", {"model": "summariser"}),
        ("broken", {"program": ["python", "-m", "agents.apps.pipeline", "translate", "missing"],
                    "capabilities": {"allow": ["proc:spawn", "llm:*"]}}),
    ):  # fmt: skip
        (home.manifests / f"{name}.yaml").write_text(_manifest(name, **spec))
    with machines.user() as user:
        eventually(lambda: _ready(user) >= {"translator", "summariser", "host"})
        agent = user.spawn("both", "The text.")
        ended = agent.wait(30)
        assert (ended.code, ended.answer) == (0, "Der Text."), ended.error
        assert "# translate\nDer Text.\n# summarise\nDer Text." in home.program_log(
            agent.pid
        ).read_text(encoding="utf-8")
        ended = user.spawn("broken", "The text.").wait(30)
        assert ended.error is not None
        assert ended.error.code == "ENOENT"
        ended = user.spawn("both").wait(30)
        assert ended.error is not None
        assert ended.error.code == "EINVAL"
