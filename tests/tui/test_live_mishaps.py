"""Does the TUI outlive a killed kernel and its own faults, and leave the terminal as it was?"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from unittest.mock import patch

import pytest
from textual.pilot import Pilot

from shell.tui.views.processes import ProcessesView
from tests.system.machines import Machines, agent
from tests.tui.live import SIZES, opened
from tests.tui.stage import settled, staged, text_of
from tests.tui.terminal import PATIENCE


def test_does_it_wait_for_a_kernel_that_was_killed_and_go_on(machines: Machines) -> None:
    with opened(machines, SIZES[0]) as screen:
        with machines.user() as user:
            user.spawn(agent("sleeper", interactive=True, prompt="Sleep."))
        screen.shows("sleeper")
        machines.kill_kernel()
        screen.shows("the system is not up; waiting for it")
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
