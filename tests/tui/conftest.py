"""What all tests of the TUI need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from textual._context import active_app
from textual.app import App
from textual.pilot import Pilot, WaitForScreenTimeout

from llmagentos.home import Home
from tests.system.machines import Machines
from tests.tui.live import MANIFEST
from tests.tui.stage import idle


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


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual takes an app for idle when its process uses little of the CPU. That takes 20 ms and
    more with each key, and is wrong on a loaded machine, where the process gets little of it."""

    async def wait(*_: float) -> None:
        await idle(active_app.get())

    monkeypatch.setattr("textual.app.wait_for_idle", wait)
    monkeypatch.setattr("textual.pilot.wait_for_idle", wait)


@pytest.fixture(autouse=True)
def motionless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moves on the screen is Textual's, and each key would wait for its end."""
    begins = App.__init__

    def init(app: App[object], *args: object, **more: object) -> None:
        begins(app, *args, **more)
        app.animation_level = "none"

    monkeypatch.setattr(App, "__init__", init)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody had read what is there before a key is pressed."""
    monkeypatch.setattr("shell.tui.views.approvals._UNSEEN", 0.0)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """A real system, for the screen in a real terminal."""
    home = Home(tmp_path / "h")
    machines = Machines(home)
    try:
        machines.start_kernel()
        (home.manifests / "a-teller.yaml").write_text(MANIFEST, encoding="utf-8")
        machines.start_driver("--delay", "0.3")
        machines.start_host()
        yield machines
    finally:
        machines.close()
