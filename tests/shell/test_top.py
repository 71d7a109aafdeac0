"""Does `llmos top` give the terminal back, also for a while? In a real shell on a real terminal."""

from __future__ import annotations

import shlex

from shell import image
from tests.system.machines import Machines
from tests.tui.terminal import Terminal


def test_does_ctrl_z_give_the_terminal_back_until_fg(machines: Machines) -> None:
    environment = image.environment(machines.home) | {"PS1": "ready> "}
    with Terminal(["bash", "--norc", "-i"], 80, 24, environment) as terminal:
        terminal.shows("ready>")
        terminal.press(shlex.join(image.command("shell", "top")), "enter")
        terminal.shows("processes", "init")
        assert terminal.cursor_hidden
        terminal.press("\x1a")
        terminal.shows("Stopped")
        assert not terminal.cursor_hidden
        terminal.press("fg", "enter")
        terminal.until(lambda: terminal.cursor_hidden, "the screen of top again")
        terminal.shows("processes", "init")
        terminal.press("q")
        terminal.until(lambda: not terminal.cursor_hidden, "the shell again")
        terminal.press("echo code $?", "enter")
        terminal.shows("code 0")
