"""What all tests of the TUI need."""

from __future__ import annotations

from contextlib import suppress

import pytest
from textual.pilot import Pilot, WaitForScreenTimeout


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's pilot waits half a minute for an answer of widgets that have gone meanwhile, as
    those of the last line do when the focus moves, and then fails."""
    waits = Pilot._wait_for_screen

    async def wait(pilot: Pilot[int]) -> bool:
        with suppress(WaitForScreenTimeout):
            return await waits(pilot, timeout=1.0)
        return True

    monkeypatch.setattr(Pilot, "_wait_for_screen", wait)
