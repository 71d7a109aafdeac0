"""Does ``llmos top`` go on until it is told to end? With a real kernel and a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from llmagentos.home import Home
from shell import image
from tests.system.machines import Machines, agent
from tests.tui.terminal import Terminal


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path_factory.mktemp("top") / "h"))
    try:
        machines.start_kernel()
        yield machines
    finally:
        machines.close()


def top(machines: Machines, *before: str) -> Terminal:
    command = image.command("shell", "top", "--interval", "0.1")
    return Terminal([*before, *command], 100, 20, image.environment(machines.home))


def looks_again(terminal: Terminal) -> None:
    """The time on its first line goes on."""

    def time() -> str:
        found = re.search(r"\d\d:\d\d:\d\d", terminal.lines[0])
        return found[0] if found else ""

    terminal.until(time, "the process table")
    before = time()
    terminal.until(lambda: time() != before, "another look")


def test_does_q_end_it(machines: Machines) -> None:
    with top(machines) as terminal:
        looks_again(terminal)
        terminal.press("x", "q")
        assert terminal.status(10) == 0
        assert "Traceback" not in terminal.text


def test_does_it_do_without_a_keyboard(machines: Machines) -> None:
    with top(machines, "sh", "-c", 'exec "$@" <&-', "sh") as terminal:
        looks_again(terminal)
        terminal.press("q")
        looks_again(terminal)
        terminal.press("\x03")
        assert terminal.status(10) == 130
        assert "Traceback" not in terminal.text


def test_does_it_say_what_it_has_no_room_for(machines: Machines) -> None:
    with machines.user() as user:
        for number in range(30):
            user.spawn(agent(f"agent-{number}"), "hello")
    with top(machines) as terminal:
        # Of 20 lines one is left free; four are head, load, a blank one and the columns.
        terminal.shows("… and 17 more")
