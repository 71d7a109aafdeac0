"""Does every screen look as it did when somebody last looked at it?

``pytest --snapshot-update tests/tui/test_looks.py`` takes what there is now for right: look at it
first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from llmagentos.abi.errors import ECONNREFUSED
from tests.tui.stage import LOOKS, SIZES, settled, staged, text_of, until
from tests.tui.talk import opened, talking

Compare = Callable[..., bool]


def pressing(*keys: str) -> Callable[[Pilot[int]], Any]:
    async def press(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)

    return press


PROCESSES = {
    "flat": (),
    "tree": ("t",),
    "kill": ("j", "x"),
    "help": ("question_mark",),
}


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("scene", PROCESSES)
def test_processes(
    snap_compare: Compare, tmp_path: Path, scene: str, size: str, theme: str
) -> None:
    app = staged(tmp_path, theme=theme)
    keys = PROCESSES[scene]
    assert snap_compare(app, run_before=pressing(*keys), terminal_size=SIZES[size])


SHOWS = {"talk": "A boat.", "context": "A boat.", "rights": "its own rules"}
"""What comes last in each of these scenes."""
AGENT = {"talk": (), "context": ("right_square_bracket",), "rights": ("right_square_bracket",) * 3}


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("scene", AGENT)
def test_agent(
    snap_compare: Compare,
    tmp_path: Path,
    scene: str,
    size: str,
    theme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shell.tui.facts.time.localtime", time.gmtime)
    rules = [{"allow": ["llm:*"], "ask": ["tool:shell(*)"], "deny": [], "approved": []}]
    caps = {"rules": rules, "labels": ["private"], "approvals": [], "more": False}
    app = talking(tmp_path, theme=theme, cap_list=caps)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        for key in AGENT[scene]:
            await pilot.press(key)
            await settled(pilot)
        shows = SHOWS[scene]
        await until(pilot, lambda: shows in text_of(app))

    assert snap_compare(app, run_before=play, terminal_size=SIZES[size])


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_launch(snap_compare: Compare, tmp_path: Path, size: str, theme: str) -> None:
    app = staged(tmp_path, theme=theme)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query_one("#found", OptionList).option_count)
        for box in app.screen.query("Input, TextArea"):
            box.cursor_blink = False  # type: ignore[attr-defined]
        await pilot.press("down")
        await settled(pilot)

    assert snap_compare(app, run_before=play, terminal_size=SIZES[size])


@pytest.mark.parametrize("size", SIZES)
def test_a_kernel_that_is_away(snap_compare: Compare, tmp_path: Path, size: str) -> None:
    app = staged(tmp_path, sys_info=ECONNREFUSED("the system in ~/.llmos is not up"))
    app.link.heard = float("inf")
    assert snap_compare(app, run_before=pressing(), terminal_size=SIZES[size])
