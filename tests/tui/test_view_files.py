"""Does the files view browse, show what is in a file, and tell its versions apart?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from llmagentos.abi.errors import ECONNREFUSED, ENOENT, EPERM
from shell.tui.app import ShellApp
from shell.tui.content import MOST_TEXT
from shell.tui.dialogs import Choice
from shell.tui.feed import Change
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from tests.tui.stage import run, settled, staged, text_of

NOW = 1_750_000_000.0
LETTER = {
    1: b"Dear Ada,\nthe engine is late.\nYours\n",
    2: b"Dear Ada,\nthe engine is ready.\nYours\nCharles\n",
    4: b"Dear Ada,\nthe engine is ready.\nYours, Charles\n",
}
PICTURE = bytes(range(256)) * 20


def info(path: str, version: int = 1, content: bytes = b"", **more: Any) -> dict[str, Any]:
    file = {
        "path": path, "version": version, "size": len(content), "hash": f"{version:02}ab" * 16,
        "labels": [], "owner": 1, "time": NOW + 60 * version, "deleted": False,
    }  # fmt: skip
    return file | more


INBOX = [
    info("/inbox/letter.txt", 4, LETTER[4], labels=["private"]),
    info("/inbox/picture.png", 1, PICTURE, owner=6),
]
VERSIONS = [
    info("/inbox/letter.txt", 4, LETTER[4], labels=["private"]),
    info("/inbox/letter.txt", 3, deleted=True),
    info("/inbox/letter.txt", 2, LETTER[2]),
    info("/inbox/letter.txt", 1, LETTER[1], owner=6),
]
FOLDERS = {
    "/": {"files": [], "folders": ["inbox", "self"], "more": False, "last": ""},
    "/inbox": {"files": INBOX, "folders": ["old"], "more": False, "last": ""},
    "/inbox/old": {"files": [], "folders": [], "more": False, "last": ""},
    "/self": {"files": [], "folders": [], "more": False, "last": ""},
}


class Reading:
    """A ``fs.read`` in flight."""

    def __init__(self, content: bytes | None) -> None:
        self.buffers = [content or b""]
        self._there = content is not None

    async def result(self, within: float | None = None) -> dict[str, Any]:
        await asyncio.sleep(0)
        if not self._there:
            raise ENOENT("there is no such version")
        return {}


def files(
    folder: Path,
    *,
    rights: Rights | None = None,
    theme: str = "llmos-dark",
    contents: dict[int, bytes] | None = None,
    **given: Any,
) -> ShellApp:
    """``contents``: of the letter, by version."""
    answers = {
        "fs_list": lambda args: FOLDERS[args["path"]],
        "fs_history": {"versions": VERSIONS},
        "fs_restore": info("/inbox/letter.txt", 5),
        "fs_delete": info("/inbox/letter.txt", 5),
    }
    app = staged(folder, first="files", theme=theme, rights=rights, **(answers | given))
    letters = contents or LETTER

    def opened(name: str, **args: Any) -> Reading:
        app.link.made.append((name, args))
        content = PICTURE if "picture" in args["path"] else letters.get(args["version"])
        return Reading(content[: args["length"]] if content is not None else None)

    app.link.open = opened
    return app


def path(app: ShellApp) -> str:
    return str(app.screen.query_one("#path", Static).content)


def content(app: ShellApp) -> str:
    return app.screen.query_one("#content", Reader).text


async def into_inbox(pilot: Pilot[int]) -> None:
    """With the cursor on the letter."""
    await pilot.press("enter")
    await settled(pilot)
    await pilot.press("j")
    await pilot.pause()


async def versions(pilot: Pilot[int]) -> None:
    await into_inbox(pilot)
    await pilot.press("h")
    await settled(pilot)


async def again(pilot: Pilot[int]) -> None:
    """As if the view had come to the front."""
    pilot.app.screen.live(Change(None, (), vitals=True))
    await settled(pilot)


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
