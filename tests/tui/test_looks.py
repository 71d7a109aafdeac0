"""Does every screen look as it did when somebody last looked at it?

``pytest --snapshot-update tests/tui/test_looks.py`` takes what there is now for right: look at it
first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.stage import SIZES, THEMES, settled, staged

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
    "sort": ("o",),
    "marked": ("space", "space", "a"),
    "help": ("question_mark",),
    "palette": ("ctrl+p",),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", PROCESSES)
def test_processes(
    snap_compare: Compare, tmp_path: Path, scene: str, size: str, theme: str
) -> None:
    app = staged(tmp_path, theme=theme)
    keys = PROCESSES[scene]
    assert snap_compare(app, run_before=pressing(*keys), terminal_size=SIZES[size])
