"""Do memory, files and events look as they did when somebody last looked at them?

As in ``test_looks.py``, with a clock that stands still.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot

from shell.tui.reader import Reader
from tests.tui.folders import files
from tests.tui.stage import LOOKS, SIZES, settled, until
from tests.tui.test_view_events import events, many
from tests.tui.test_view_memory import NOW, memory

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still, in Greenwich."""
    still = SimpleNamespace(
        time=lambda: NOW + 60,
        monotonic=time.monotonic,
        strftime=time.strftime,
        localtime=time.gmtime,
    )
    for name in ("terminal", "tui.views.memory", "tui.tail"):
        monkeypatch.setattr(f"shell.{name}.time", still)


async def read(pilot: Pilot[int], beginning: str) -> None:
    """Until what the cursor rests on is shown."""
    reader = pilot.app.screen.query_one(Reader)
    await until(pilot, lambda: reader.text.startswith(beginning))


async def a_row(pilot: Pilot[int]) -> None:
    await settled(pilot)
    await pilot.press("j")
    await read(pilot, "noodles")


async def found(pilot: Pilot[int]) -> None:
    await settled(pilot)
    await pilot.press("f", *"hot", "enter")
    await read(pilot, "noodles")


async def history(pilot: Pilot[int]) -> None:
    await settled(pilot)
    await pilot.press("enter")
    await settled(pilot)
    await pilot.press("j", "h")
    await read(pilot, "--- version 3")
    await pilot.press("j", "j")
    await read(pilot, "--- version 1")


async def dumped(pilot: Pilot[int]) -> None:
    await settled(pilot)
    await pilot.press("enter")
    await settled(pilot)
    await pilot.press("j", "j", "enter")
    await read(pilot, "/inbox/picture.png")


async def a_gap(pilot: Pilot[int]) -> None:
    await settled(pilot)
    pilot.app.screen.live(many(53, 60))
    await pilot.press("k", "k", "k")
    pilot.app.screen.live(many(61, 66))
    await settled(pilot)


Play = Callable[[Pilot[int]], Awaitable[None]]
MEMORY: dict[str, Play] = {"list": a_row, "search": found}
FILES: dict[str, Play] = {"history": history, "dump": dumped}


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("scene", MEMORY)
def test_memory(snap_compare: Compare, tmp_path: Path, scene: str, size: str, theme: str) -> None:
    app = memory(tmp_path, theme=theme)
    assert snap_compare(app, run_before=MEMORY[scene], terminal_size=SIZES[size])


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("scene", FILES)
def test_files(snap_compare: Compare, tmp_path: Path, scene: str, size: str, theme: str) -> None:
    app = files(tmp_path, theme=theme)
    assert snap_compare(app, run_before=FILES[scene], terminal_size=SIZES[size])


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_events(snap_compare: Compare, tmp_path: Path, size: str, theme: str) -> None:
    app = events(tmp_path, 40, theme=theme)
    assert snap_compare(app, run_before=a_gap, terminal_size=SIZES[size])
