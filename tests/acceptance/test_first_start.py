"""Does ``llmos`` on a fresh machine end in a chat, and leave as it was asked to?

With the real model, in a real terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmagentos import connect
from llmagentos.home import Home
from shell import boot
from tests.system.machines import eventually
from tests.tui.terminal import Terminal

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "h")
    yield home
    boot.take_down(home)
    if home.run.parent != home.root:
        shutil.rmtree(home.run, ignore_errors=True)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_does_the_first_start_end_in_a_chat(home: Home, size: tuple[int, int]) -> None:
    given = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
    environment = {**given, "LLMOS_HOME": str(home.root), "COLORTERM": "truecolor"}
    with Terminal([sys.executable, "-m", "shell"], *size, environment) as screen:
        screen.shows("LLMAgentOS is coming up", "edge loading", seconds=90)
        screen.shows("Write to it", seconds=120)
        screen.read(1.0)
        screen.press("Say hello in five words.", "enter")
        with connect(home=home.root, user=True) as user:

            def answer() -> str:
                last = user.call("ctx.read", pid=2)["messages"][-1]
                return str(last["content"]) if last["role"] == "assistant" else ""

            first = eventually(answer, 60).split()[0]
            screen.shows(first)
            agents = user.call("proc.list")["processes"]
            assert [row["name"] for row in agents] == ["init", "assistant"]
        screen.press("ctrl+q")
        screen.shows("1 agent is still there", "Take the system down")
        screen.press("down", "enter")
        assert screen.status(60) == 0
    assert not boot.is_up(home)
