"""Does the TUI do its work in a real terminal, on a real system, with keys or with clicks only?

The driver is the scripted one: slow enough to be watched, and it says back what it is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mode
from typing import Any
from unittest.mock import patch

import pytest
from textual.pilot import Pilot

from llmagentos import System
from llmagentos.home import Home
from shell.tui.views.processes import ProcessesView
from tests.system.machines import Machines, agent, eventually
from tests.tui.stage import settled, staged, text_of
from tests.tui.terminal import PATIENCE, Terminal

SIZES = [(80, 24), (200, 60)]
STORY = " ".join(f"word{number}" for number in range(300))
"""Said back it lasts longer than any test: nobody ends before he is held or killed. By long pauses,
not by many words: the screen draws all that was said anew with each."""
MANIFEST = """apiVersion: llmagentos/v1
kind: Agent
metadata: {name: a-teller, description: Says it back}
spec: {model: fake-model, prompt: Tell., limits: {tokens: 5000}, sampling: {max_tokens: 1000}}
"""


@pytest.fixture(params=SIZES, ids=["80x24", "200x60"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    home = Home(tmp_path / "h")
    machines = Machines(home)
    try:
        machines.start_kernel()
        (home.manifests / "a-teller.yaml").write_text(MANIFEST, encoding="utf-8")
        machines.start_driver("--delay", "0.3")
        machines.start_host()
        yield machines
    finally:
        machines.close()


@contextmanager
def opened(
    machines: Machines, size: tuple[int, int], *, shows: str = "init", **more: str
) -> Iterator[Terminal]:
    given = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
    environment = {**given, "LLMOS_HOME": str(machines.home.root), "COLORTERM": "truecolor", **more}
    command = [sys.executable, "-m", "shell", *(["--read-only"] if "READ" in more else [])]
    with Terminal(command, *size, environment) as terminal:
        terminal.shows("Processes", shows)
        yield terminal


def row(user: System, pid: int) -> dict[str, Any]:
    found: dict[str, Any] = user.call("proc.info", pid=pid)["process"]
    return found


def is_front(screen: Terminal, view: str) -> bool:
    """Whether it is the one that is marked in the row of views."""
    row = screen.lines[2]
    usual = screen.colour(2, len(row) + 2)
    return view in row and screen.colour(2, row.index(view)) != usual


def test_is_everything_reached_with_keys(machines: Machines, size: tuple[int, int]) -> None:
    with machines.user() as user, opened(machines, size) as screen:
        # Launch two; watch the second one answer.
        for text in ("alpha", "beta"):
            screen.press("n")
            screen.write_at("find a manifest", "teller")
            screen.shows("Says it back")
            screen.press("enter")
            screen.write_at("what it is told", f"{text} {STORY}")
            screen.shows(f"llmos run a-teller '{text}")
            screen.press("f5")
            screen.shows("teller pid", "word7")
            screen.press_for("escape", "NAME")
        # Filter, and back.
        screen.press("/")
        screen.write_at("words to filter by", "teller run")
        screen.until(lambda: "init" not in screen.text, "the filter")
        screen.press("enter", "escape")
        screen.shows("init")
        # Hold the second and let it go on.
        screen.press("G", "s")
        eventually(lambda: row(user, 3)["state"] == "STOPPED", PATIENCE)
        screen.shows("STOPPED")
        screen.press("s")
        eventually(lambda: row(user, 3)["state"] == "RUNNING", PATIENCE)
        # Open it, talk to it, look at its budget.
        screen.press("enter")
        screen.shows("teller pid 3", "beta")
        screen.press("i")
        screen.write_at("Write to it", "and gamma then")
        screen.press("enter")
        eventually(lambda: user.call("proc.info", pid=3)["mailbox"] == 1, PATIENCE)
        # Out of the line; Esc and ] at once would be one command to the terminal.
        screen.press_for("escape", "i Talk")
        screen.press_for("]", "≈TOKENS")
        screen.press_for("]", "of 5,000")
        screen.press_for("[", "≈TOKENS")
        screen.press_for("[", "Write to it", "word2")
        screen.press_for("escape", "NAME")
        # Kill the tree of the first.
        screen.press("g", "j", "x")
        screen.shows("Which signal to a-teller (pid 2)?", "KILL tree")
        screen.press("j", "j", "j", "enter")
        eventually(lambda: row(user, 2)["state"] == "ZOMBIE", PATIENCE)
        screen.press("enter")
        screen.shows("ended by KILL")
        screen.press_for("escape", "NAME")
        screen.press("ctrl+q")
        screen.shows("Quit.", "Leave the system up")
        screen.press("enter")
        assert screen.status(PATIENCE) == 0
    assert machines.kernel.poll() is None


def in_order(text: str, *words: str) -> bool:
    """Whether the first lines that they are in come so."""
    lines = text.splitlines()
    places = [next((n for n, line in enumerate(lines) if word in line), -1) for word in words]
    return -1 not in places and places == sorted(places)


def points_at(screen: Terminal, name: str) -> bool:
    """Whether the table's cursor is in its row: that has another background than most."""
    colours = [screen.colour(number) for number in range(4, len(screen.lines) - 1)]
    number = next((n for n, line in enumerate(screen.lines) if f" {name} " in line), -1)
    return number >= 4 and screen.colour(number) != mode(colours)


def point_at(screen: Terminal, name: str) -> None:
    """Bring the cursor there. A click on the row that has it would open that."""
    screen.shows(f" {name} ")
    if not points_at(screen, name):
        screen.insist(lambda: screen.click_on(name), lambda: points_at(screen, name), name)


def hold(screen: Terminal, user: System, pid: int) -> None:
    """What is held already would go on by a second click."""
    point_at(screen, row(user, pid)["name"])
    if row(user, pid)["state"] != "STOPPED":
        screen.click_on("Stop/go on")


def write(screen: Terminal, hint: str, text: str) -> None:
    """Click into the field that says this, and write there."""
    screen.insist(lambda: screen.click_on(hint), lambda: screen.is_at(hint), hint)
    screen.write_at(hint, text)


def test_is_everything_reached_with_the_mouse(machines: Machines, size: tuple[int, int]) -> None:
    with machines.user() as user, opened(machines, size) as screen:
        for text in ("alpha", "beta"):
            spec = {"limits": {"tokens": 5000}, "sampling": {"max_tokens": 1000}}
            user.spawn(agent(f"{text}s", **spec), f"{text} {STORY}")
        screen.shows("alphas", "betas")
        screen.click_for("New", "find a manifest")
        screen.click_for("teller", "Says it back")
        write(screen, "what it is told", f"delta {STORY}")
        screen.shows("llmos run a-teller 'delta")
        screen.click_on("Run", last=True)
        screen.shows("teller pid 4", "word5")
        screen.click_for("Budget", "of 5,000")
        screen.click_for("Conversation", "Write to it")
        write(screen, "Write to it", "epsilon")
        screen.press("enter")
        eventually(lambda: user.call("proc.info", pid=4)["mailbox"] == 1, PATIENCE)
        screen.click_for("Processes", "NAME")
        # Before they change places: the cursor goes with its row, on the screen a moment later.
        point_at(screen, "betas")
        screen.click_for("Sort", "Sort by")
        screen.click_on("STATE", last=True)
        screen.until(lambda: "Sort by" not in screen.text, "the choice to close")
        screen.click_on("NAME")
        screen.until(lambda: in_order(screen.text, "a-teller", "alphas", "betas", "init"), "order")
        # The cursor follows its row a moment later, and the click is then meant for another.
        point_at(screen, "betas")
        screen.insist(
            partial(hold, screen, user, 3),
            lambda: row(user, 3)["state"] == "STOPPED",
            "betas to be held",
        )
        screen.click_for("Kill", "Which signal to betas (pid 3)?")
        screen.click_on("KILL tree")
        eventually(lambda: row(user, 3)["state"] == "ZOMBIE", PATIENCE)
        screen.shows("ZOMBIE")
        views = ("Approvals", "Drivers", "Models", "Memory", "Files", "Events", "Processes")
        for view in views:
            # A person looks where he has come before he clicks again.
            screen.insist(partial(screen.click_on, view), partial(is_front, screen, view), view)
        point_at(screen, "betas")
        screen.click_for("betas", "ended by KILL")
        screen.click_for("Quit", "Leave the system up")
        screen.click_on("Leave the system up")
        assert screen.status(PATIENCE) == 0


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
        screen.shows("NAME", "ZOMBIE")
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
            ended = eventually(lambda: row(user, pid)["exit"], 20)
            assert ended["answer"] == "it is done"
            messages = user.call("ctx.read", pid=pid)["messages"]
            first, second, *rest = (one["content"] for one in messages if one["role"] == "tool")
            assert '"exit_code": 0' in first
            assert second.startswith("EPERM: ")
            assert "not two" in second
            assert ['"exit_code": 0' in one for one in rest] == [True, True]
    finally:
        machines.close()


def test_does_it_wait_for_a_kernel_that_was_killed_and_go_on(machines: Machines) -> None:
    with opened(machines, SIZES[0]) as screen:
        with machines.user() as user:
            user.spawn(agent("sleeper", interactive=True, prompt="Sleep."))
        screen.shows("sleeper")
        machines.kill_kernel()
        screen.shows("waiting for it")
        screen.press("n", "escape", "x", "escape", "s", "t", "t")
        machines.start_kernel()
        screen.until(lambda: "waiting for it" not in screen.text, "the kernel")
        with machines.user() as user:
            user.spawn(agent("second", interactive=True, prompt="Sleep."))
        screen.shows("second", "sleeper")
        assert "Traceback" not in screen.text
    log = machines.home.logs / "tui.log"
    assert not log.exists() or "Traceback" not in log.read_text(encoding="utf-8")


def test_does_a_conversation_go_on_when_the_kernel_is_back(machines: Machines) -> None:
    with opened(machines, SIZES[0]) as screen:
        with machines.user() as user:
            pid = user.spawn(agent("echo", interactive=True, prompt="Echo.")).pid
        screen.shows("echo")
        screen.press("G", "enter")
        screen.shows("echo pid")
        screen.press("i")
        screen.write_at("Write to it", "first things")
        screen.press("enter")
        screen.until(lambda: screen.text.count("first things") == 2, "its answer")
        machines.kill_kernel()
        machines.start_kernel()
        screen.write_at("Write to it", "second thoughts")
        screen.press("enter")
        screen.until(lambda: screen.text.count("second thoughts") == 2, "its answer")
        with machines.user() as user:
            said = [m["content"] for m in user.call("ctx.read", pid=pid)["messages"]]
    assert said.count("second thoughts") == 2, "sent once, answered once"


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


def test_is_torch_never_loaded_and_the_first_screen_soon_there(machines: Machines) -> None:
    begun = time.monotonic()
    with opened(machines, SIZES[0]) as screen:
        took = time.monotonic() - begun
        maps = Path(f"/proc/{screen.pid}/maps").read_text(encoding="ascii")
        assert "torch" not in maps
    # How long it takes is measured in benchmarks/tui.py; here only that it is no matter of minutes.
    assert took < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_is_the_terminal_as_it_was_after_a_signal(
    machines: Machines, number: signal.Signals
) -> None:
    with opened(machines, SIZES[0]) as screen:
        os.kill(screen.pid, number)
        assert screen.status(PATIENCE) == 128 + number
        screen.read(0.2)
        assert screen.left, "the alternate screen and the mouse are given back"
        assert "Traceback" not in screen.text


def test_is_a_fault_of_its_own_told_in_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    app = staged(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        with patch.object(ProcessesView, "action_tree", side_effect=ZeroDivisionError):
            await pilot.press("t")
            await settled(pilot)
        await pilot.press("j", "question_mark")
        await settled(pilot)
        assert "All about this process" in text_of(app)

    async def whole() -> None:
        async with app.run_test(size=SIZES[0], notifications=True) as pilot:
            await settled(pilot)
            await play(pilot)

    asyncio.run(whole())
    assert not app.last_words
