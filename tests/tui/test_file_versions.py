"""Are a file's versions told apart, and is one brought back, or all deleted, after a yes only?"""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from shell.tui.dialogs import Choice
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from tests.tui.folders import PICTURE, content, files, into_inbox, path
from tests.tui.stage import run, settled, text_of


async def versions(pilot: Pilot[int]) -> None:
    await into_inbox(pilot)
    await pilot.press("h")
    await settled(pilot)


def test_versions_and_what_is_new_in_them(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        assert "h Versions" in text_of(app)
        await versions(pilot)
        assert "/inbox/letter.txt: 4 versions" in path(app)
        # The one before was a deletion, so all is new.
        assert "+Dear Ada," in content(app).split("\n")
        await pilot.press("j", "j")
        await settled(pilot)
        lines = content(app).split("\n")
        assert "-the engine is late." in lines
        assert "+the engine is ready." in lines
        assert lines[-4:-1] == ["the engine is ready.", "Yours", "Charles"]
        reader = app.screen.query_one("#content", Reader)
        colours = {str(reader.get_line(lines.index(line)).spans[0].style.color.name)
                   for line in ("-the engine is late.", "+the engine is ready.")}  # fmt: skip
        assert len(colours) == 2
        await pilot.press("h")
        await settled(pilot)
        assert app.focused is app.screen.table
        assert content(app) == ""

    run(app, play)


def test_the_version_that_was_deleted_and_the_first_one(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await versions(pilot)
        await pilot.press("j")
        await settled(pilot)
        assert "with version 3 it was deleted" in content(app)
        await pilot.press("j", "j")
        await settled(pilot)
        assert content(app).startswith("version 1\nDear Ada,")

    run(app, play)


def test_what_is_no_text_is_not_compared(tmp_path: Path) -> None:
    app = files(tmp_path, contents={4: PICTURE, 2: b"a", 1: b"b"})

    async def play(pilot: Pilot[int]) -> None:
        await versions(pilot)
        assert content(app).startswith("version 3 or version 4 is no text")

    run(app, play)


@pytest.mark.parametrize(("keys", "calls"), [(("enter",), 0), (("j", "enter"), 1)])
def test_restores_only_after_a_yes(tmp_path: Path, keys: tuple[str, ...], calls: int) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await versions(pilot)
        await pilot.press("j", "j", "R")
        await pilot.pause()
        assert "Bring version 2 of /inbox/letter.txt back?" in text_of(app)
        await pilot.press(*keys)
        await settled(pilot)
        made = [(args["path"], args["version"]) for args in app.link.calls("fs.restore")]
        assert made == [("/inbox/letter.txt", 2)] * calls

    run(app, play)


@pytest.mark.parametrize(("keys", "calls"), [(("enter",), 0), (("j", "enter"), 1)])
def test_deletes_only_after_a_yes(tmp_path: Path, keys: tuple[str, ...], calls: int) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        await pilot.press("D")
        await pilot.pause()
        assert "Delete /inbox/letter.txt?" in text_of(app)
        await pilot.press(*keys)
        await settled(pilot)
        assert [args["path"] for args in app.link.calls("fs.delete")] == [
            "/inbox/letter.txt"
        ] * calls

    run(app, play)


def test_a_folder_is_not_deleted(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("D")
        await pilot.pause()
        assert not isinstance(app.screen, Choice)

    run(app, play)


def test_nothing_is_changed_read_only(tmp_path: Path) -> None:
    app = files(tmp_path, rights=Rights(read_only=True))

    async def play(pilot: Pilot[int]) -> None:
        await versions(pilot)
        await pilot.press("R", "D")
        app.screen.action_restore()
        app.screen.action_delete()
        await pilot.pause()
        assert not isinstance(app.screen, Choice)

    run(app, play)
