"""Is in a real terminal decided what an agent may, and done only what the session may?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.system.machines import Machines, agent, eventually
from tests.tui.live import SIZES, opened, row
from tests.tui.terminal import PATIENCE


@pytest.mark.parametrize("how", ["key", "mouse"])
def test_is_an_approval_decided(machines: Machines, how: str) -> None:
    with machines.user() as user, opened(machines, SIZES[0]) as screen:
        adopted = user.call("proc.adopt", name="asker", capabilities={"ask": ["tool:shell"]})
        with machines.program(session=adopted["session"]) as program:
            waiting = program.open("cap.request", capability="tool:shell", reason="to look around")
            screen.press("2") if how == "key" else screen.click_on("Approvals")
            screen.shows("tool:shell", "to look around")
            # What has only just come under the cursor can not be decided: nobody has read it.
            screen.read(1.0)
            screen.press("y") if how == "key" else screen.click_on("Allow once")
            assert waiting.result(PATIENCE)["granted"] is True
        assert user.call("cap.list")["approvals"] == []


def test_are_an_agents_calls_asked_for_and_shown_with_what_came_of_them(
    machines: Machines,
) -> None:
    turns = [
        {"calls": [{"name": "time.now", "arguments": '{"timezone": "UTC"}'}]},
        {"text": "it is late"},
    ]
    machines.start_driver("--turns", json.dumps(turns), "--model", "tooled", name="tooled")
    clock = machines.start("-m", "drivers.clock", "--name", "clock", "--no-parent")
    machines.await_driver("clock", clock.pid)
    spec = {"model": "tooled", "tools": ["time.now"], "capabilities": {"ask": ["tool:time.now"]}}
    with machines.user() as user, opened(machines, SIZES[0]) as screen:
        pid = user.spawn(agent("watch", **spec), "How late is it?").pid
        screen.press("2")
        screen.shows("time.now", '"timezone": "UTC"')
        screen.read(1.0)
        screen.press("y")
        eventually(lambda: row(user, pid)["exit"], PATIENCE)
        screen.press("1")
        screen.shows("NAME", "ENDED")
        screen.press("G", "enter")
        screen.shows('▶ → time.now {"timezone": "UTC"}', "▶ time.now: ", "it is late")
        screen.press("e")
        screen.shows('  "timezone": "UTC"')
        log = machines.start("-m", "shell", "logs", str(pid))
        assert log.wait(PATIENCE) == 0
    assert '→ time.now {"timezone": "UTC"}\n' in machines.logged()


def test_are_an_agents_own_calls_decided_with_the_arguments_in_view(tmp_path: Path) -> None:
    """Once, for good, and no: what the model wants is shown letter by letter."""
    machines = Machines(Home(tmp_path / "h"))
    hidden = "\u202e\u200b\x1b[2J\U000e0041\u0301"
    commands = [f"echo one{hidden} # end-of-it", "echo two", "echo three", "echo four"]
    wishes = [
        {"calls": [{"name": "shell", "arguments": json.dumps({"command": command})}]}
        for command in commands
    ]
    try:
        machines.start_kernel()
        machines.start_driver("--turns", json.dumps([*wishes, {"text": "it is done"}]))
        words = ("-m", "drivers.sandbox", "--name", "box", "--no-parent", "--unconfined")
        machines.await_driver("box", machines.start(*words).pid)
        machines.start_host()
        asks = {"tools": ["shell"], "capabilities": {"ask": ["tool:shell(*)"]}}
        with machines.user() as user, opened(machines, SIZES[1]) as screen:
            pid = user.call("proc.spawn", manifest=agent(**asks), text="go")["pid"]
            screen.press("2")
            screen.shows("approval 1 of agent", "end-of-it", json.dumps(hidden)[1:-1])
            assert not set(screen.text) & set(hidden) - set("[2J")
            screen.read(1.0)
            screen.press("y")
            screen.shows("approval 2 of agent", "echo two")
            screen.read(1.0)
            screen.press("N")
            screen.shows("Enter sends")
            screen.press("not two")
            screen.press("enter")
            screen.shows("approval 3 of agent", "echo three")
            screen.read(1.0)
            screen.press("A")
            ended = eventually(lambda: row(user, pid)["exit"], PATIENCE)
            assert ended["answer"] == "it is done"
            messages = user.call("ctx.read", pid=pid)["messages"]
            first, second, *rest = (one["content"] for one in messages if one["role"] == "tool")
            assert '"exit_code": 0' in first
            assert second.startswith("EPERM: ")
            assert "not two" in second
            assert ['"exit_code": 0' in one for one in rest] == [True, True]
    finally:
        machines.close()


def test_can_a_screen_that_only_reads_change_nothing(machines: Machines) -> None:
    with machines.user() as user:
        pid = user.spawn(agent("sleeper", interactive=True, prompt="Sleep.")).pid
        with opened(machines, SIZES[0], READ="1") as screen:
            screen.shows("sleeper", "read-only")
            screen.press("G", "x", "s", "n")
            screen.read(0.5)
            assert "Which signal" not in screen.text
            assert "find a manifest" not in screen.text
            screen.press("q")
            assert screen.status(PATIENCE) == 0
        assert row(user, pid)["state"] == "WAITING"


def test_sees_a_programs_session_only_what_is_its_own_and_does_only_what_it_may(
    machines: Machines,
) -> None:
    with machines.user() as user:
        user.spawn(agent("others", interactive=True, prompt="Sleep."))
        adopted = user.call("proc.adopt", name="watcher", capabilities={"allow": ["llm:*"]})
        session = {"LLMOS_SESSION": adopted["session"]}
        with opened(machines, SIZES[0], shows="watcher", **session) as screen:
            assert "others" not in screen.text
            screen.press("n")
            screen.read(0.5)
            assert "find a manifest" not in screen.text
            screen.press("7")
            screen.shows("not for this session")
            screen.press("ctrl+q")
            assert screen.status(PATIENCE) == 0
