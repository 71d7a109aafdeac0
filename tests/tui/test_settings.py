"""Do theme and keys hold as they were set, and is a broken file told of in words?"""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from llmagentos.abi.errors import EINVAL
from llmagentos.home import Home
from shell.tui.app import ShellApp
from shell.tui.settings import Settings
from tests.tui.stage import run, settled, staged, text_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.create()
    return home


def test_is_what_was_saved_loaded_again(home: Home) -> None:
    assert Settings.load(home) == Settings()
    Settings("llmos-safe", {"processes.kill": "ctrl+k"}).save(home)
    assert Settings.load(home) == Settings("llmos-safe", {"processes.kill": "ctrl+k"})


@pytest.mark.parametrize(
    "text", ["[", "[" * 3000, "- 1", "theme: 3", "keys: 5", "keys: {anywhere.quit: null}", "\x00"]
)
def test_is_a_broken_file_an_error_that_names_it(home: Home, text: str) -> None:
    Settings.file(home).write_text(text, encoding="utf-8")
    with pytest.raises(EINVAL, match=r"tui\.yaml"):
        Settings.load(home)


def test_does_a_key_that_was_set_do_it_and_does_help_tell_it(tmp_path: Path) -> None:
    app = staged(tmp_path)
    app._settings.keys = {"processes.tree": "ctrl+y"}

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("t")
        assert not app.board.tree
        await pilot.press("ctrl+y")
        assert app.board.tree
        await pilot.press("question_mark")
        await settled(pilot)
        assert "^y" in text_of(app)

    run(app, play)


def test_is_a_theme_that_was_chosen_kept(tmp_path: Path) -> None:
    app = staged(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("ctrl+t", "j", "j", "enter")
        await settled(pilot)
        assert app.theme == "llmos-safe" or app.theme in app.available_themes
        assert Settings.load(app.link.home).theme == app.theme

    run(app, play)


def test_is_an_unknown_theme_or_key_told_and_the_rest_of_use(tmp_path: Path) -> None:
    app = staged(tmp_path, theme="no-such-theme")
    app._settings.keys = {"nowhere.nothing": "f12"}

    async def play(pilot: Pilot[int]) -> None:
        assert "there is no theme no-such-theme" in text_of(app)
        assert "nowhere.nothing" in text_of(app)
        assert isinstance(app, ShellApp)

    run(app, play)
