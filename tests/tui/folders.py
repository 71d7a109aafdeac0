"""Folders and a letter in four versions, as the kernel of the stage gives them, and their view."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from llmagentos.abi.errors import ENOENT
from shell.tui.app import ShellApp
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from tests.tui.stage import settled, staged

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
