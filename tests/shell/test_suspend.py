"""Do `llmos top` and the screen give the terminal back for a while? In a real shell, on a pty."""

from __future__ import annotations

import shlex

import pytest

from shell import image
from tests.system.machines import Machines
from tests.tui.terminal import Terminal


@pytest.mark.parametrize("words", [("top",), ()], ids=["top", "the screen"])
def test_does_ctrl_z_give_the_terminal_back_until_fg(
    machines: Machines, words: tuple[str, ...]
) -> None:
    environment = image.environment(machines.home) | {"PS1": "ready> "}
    with Terminal(["bash", "--norc", "-i"], 80, 24, environment) as terminal:
        terminal.shows("ready>")
        terminal.press(shlex.join(image.command("shell", *words)), "enter")
        terminal.shows("1 process ", "init")
        assert terminal.cursor_hidden
        terminal.press("\x1a")
        terminal.shows("Stopped")
        assert not terminal.cursor_hidden
        terminal.press("fg", "enter")
        terminal.until(lambda: terminal.cursor_hidden, "the screen of top again")
        terminal.shows("1 process ", "init")
        terminal.press("q")
        if not words:
            terminal.shows("Leave the system up")
            terminal.press("enter")
        terminal.until(lambda: not terminal.cursor_hidden, "the shell again")
        terminal.press("echo code $?", "enter")
        terminal.shows("code 0")
