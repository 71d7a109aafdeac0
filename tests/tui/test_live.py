"""Does the TUI do its work in a real terminal, on a real system, with keys or with clicks only?"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import mode

import pytest

from llmagentos import System
from tests.system.machines import Machines, agent, eventually
from tests.tui.live import SIZES, opened, row
from tests.tui.terminal import PATIENCE, Terminal

STORY = " ".join(f"word{number}" for number in range(300))
"""Said back it lasts longer than any test: nobody ends before he is held or killed. By long pauses,
not by many words: the screen draws all that was said anew with each."""


@pytest.fixture(params=SIZES, ids=["80x24", "200x60"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
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
        screen.shows("ENDED")
        views = ("Approvals", "Drivers", "Models", "Memory", "Files", "Events", "Processes")
        for view in views:
            # A person looks where he has come before he clicks again.
            screen.insist(partial(screen.click_on, view), partial(is_front, screen, view), view)
        point_at(screen, "betas")
        screen.click_for("betas", "ended by KILL")
        screen.click_for("Quit", "Leave the system up")
        screen.click_on("Leave the system up")
        assert screen.status(PATIENCE) == 0


def test_is_torch_never_loaded_and_the_first_screen_soon_there(machines: Machines) -> None:
    begun = time.monotonic()
    with opened(machines, SIZES[0]) as screen:
        took = time.monotonic() - begun
        maps = Path(f"/proc/{screen.pid}/maps").read_text(encoding="ascii")
        assert "torch" not in maps
    # How long it takes is measured in benchmarks/tui.py; here only that it is no matter of minutes.
    assert took < 60
