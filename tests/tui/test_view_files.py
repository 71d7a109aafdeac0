"""Does the files view browse, and show what is in a file?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from llmagentos.abi.errors import ECONNREFUSED, EPERM
from shell.tui.content import MOST_TEXT
from tests.tui.folders import content, files, info, into_inbox, path
from tests.tui.stage import again, run, settled, text_of


def test_into_a_folder_and_up_again(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        assert path(app).startswith("/ | pid 1 init")
        await pilot.press("j", "k", "enter")
        await settled(pilot)
        assert path(app).startswith("/inbox | ")
        assert app.screen.table.key == "old/"
        assert "letter.txt" in text_of(app)
        await pilot.press("enter")
        await settled(pilot)
        assert "nothing is here" in text_of(app)
        await pilot.press("backspace")
        await settled(pilot)
        assert path(app).startswith("/inbox | ")
        await pilot.press("backspace")
        await settled(pilot)
        assert path(app).startswith("/ | ")
        await pilot.press("j", "enter")
        await settled(pilot)
        await pilot.press("backspace")
        await settled(pilot)
        assert app.screen.table.key == "self/", "the cursor is where we came from"

    run(app, play)


def test_a_text_is_shown_as_text(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        assert content(app) == ""
        await pilot.press("enter")
        await settled(pilot)
        assert content(app).startswith("/inbox/letter.txt, version 4")
        assert "Yours, Charles" in text_of(app)
        (read,) = app.link.calls("fs.read")
        assert (read["pid"], read["version"], read["length"]) == (1, 4, MOST_TEXT)

    run(app, play)


def test_what_is_no_text_is_dumped(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        await pilot.press("j", "enter")
        await settled(pilot)
        lines = content(app).split("\n")
        assert lines[5] == (
            "0040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO"
        )
        assert len(lines) == 1 + 4096 // 16 + 1
        assert lines[-1].startswith("… 1.0 kB more")

    run(app, play)


def test_a_text_cut_within_a_character_is_still_text(tmp_path: Path) -> None:
    whole = ("x" + "é" * MOST_TEXT).encode()
    listed = {"files": [info("/a.txt", 4, whole)], "folders": [], "more": False, "last": ""}
    app = files(tmp_path, contents={4: whole}, fs_list=listed)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await settled(pilot)
        assert content(app).split("\n")[1].startswith("xééé")
        assert "262.1 kB more" in content(app)

    run(app, play)


def test_the_files_of_another_process(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        await pilot.press("o", "j", "enter")
        await settled(pilot)
        assert path(app).startswith("/ | pid 2 research")
        assert app.link.calls("fs.list")[-1]["pid"] == 2

    run(app, play)


def test_an_error_is_told_in_words(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        app.link.given["fs.list"] = ECONNREFUSED("the system is not up")
        await again(pilot)
        assert "the system is not up" in path(app)
        assert "inbox/" in text_of(app), "what was shown stays"
        app.link.given["fs.list"] = EPERM("these files are not for you")
        await again(pilot)
        assert "these files are not for you" in text_of(app)
        assert "inbox/" not in text_of(app)

    run(app, play)


def test_a_file_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    app = files(tmp_path, contents={1: b""})

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert content(app) == "there is no such version"

    run(app, play)


def test_what_is_in_a_file_does_not_command_the_screen(tmp_path: Path) -> None:
    name = "[red]x.txt"
    evil = b"a\x1b[31mb [red]c[/red] \x07d\n"
    listed = {"files": [info(f"/{name}", 4, evil)], "folders": [], "more": False, "last": ""}
    app = files(tmp_path, contents={4: evil}, fs_list=listed)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await settled(pilot)
        assert content(app).split("\n")[1] == "a[31mb [red]c[/red] d"
        assert "[red]c[/red]" in text_of(app)
        assert not {"\x1b", "\x07"} & set(text_of(app))
        await pilot.press("D")
        await pilot.pause()
        assert "Delete /[red]x.txt?" in text_of(app)

    run(app, play)


def test_the_filter_needs_all_words(tmp_path: Path) -> None:
    app = files(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await into_inbox(pilot)
        await pilot.press("slash", *"pr t")
        await pilot.pause()
        assert app.screen.table.row_count == 1
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.table.row_count == 3
        assert app.focused is app.screen.table

    run(app, play)


def test_a_long_folder_comes_in_pages(tmp_path: Path) -> None:
    def listed(args: dict[str, Any]) -> dict[str, Any]:
        first = int(args["after"] or 0)
        rows = [info(f"/f{number:06}") for number in range(first, first + 1000)]
        return {"files": rows, "folders": [], "more": True, "last": str(first + 1000)}

    app = files(tmp_path, fs_list=listed)

    async def play(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert app.screen.table.row_count == 2000
        assert "more than these 2000" in path(app)

    run(app, play)
