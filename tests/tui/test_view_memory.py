"""Does the memory view show what a process remembers, find it, and forget only after a yes?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from llmagentos.abi.errors import ECONNREFUSED, EPERM
from shell.tui.app import ShellApp
from shell.tui.dialogs import Choice
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from shell.tui.views.memory import MemoryView
from tests.tui.stage import again, run, settled, staged, text_of

NOW = 1_750_000_000.0
EVIL = "a\x1b[31mb [red]c[/red] \x07d"


def brief(key: str, **more: Any) -> dict[str, Any]:
    row = {"key": key, "bytes": 120, "labels": [], "owner": 1, "updated": NOW - 7530}
    return row | {"expires": None} | more


def row(key: str, value: Any, **more: Any) -> dict[str, Any]:
    whole = {"space": "self", "key": key, "value": value, "labels": [], "owner": 1}
    return whole | {"created": NOW - 90_000, "updated": NOW - 7530, "expires": None} | more


ROWS = [
    brief("birthday", labels=["private"]),
    brief("noodles/recipe", bytes=48_200, owner=6),
    brief("project/plan", expires=NOW + 90_000),
]
VALUES = {
    "birthday": row("birthday", "the third of May", labels=["private"]),
    "noodles/recipe": row("noodles/recipe", {"water": "2 l", "minutes": 9, "salt": True}, owner=6),
    "project/plan": row("project/plan", ["read", "write", "sleep"], expires=NOW + 90_000),
}
HITS = [{"row": VALUES["noodles/recipe"], "score": 2.5, "snippet": "9 minutes in hot water"}]


def memory(folder: Path, **given: Any) -> ShellApp:
    answers = {
        "mem_list": {"rows": ROWS, "more": False},
        "mem_get": lambda args: VALUES[args["key"]],
        "mem_search": {"hits": HITS},
        "mem_delete": {"deleted": True},
    }
    return staged(folder, first="memory", **(answers | given))


def place(app: ShellApp) -> str:
    return str(app.screen.query_one("#place", Static).content)


def pane(app: ShellApp) -> str:
    return app.screen.query_one("#row", Reader).text


def test_the_row_under_the_cursor_is_shown_whole(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        assert "pid 1 init | space self | 3 rows" in place(app)
        assert "the third of May" in pane(app)
        assert "private" in pane(app)
        await pilot.press("j")
        await settled(pilot)
        assert '"minutes": 9' in pane(app)
        assert [args["key"] for args in app.link.calls("mem.get")] == ["birthday", "noodles/recipe"]

    run(app, play)


def test_only_where_the_cursor_rests_is_read(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "j")
        await settled(pilot)
        assert "sleep" in pane(app)
        assert [args["key"] for args in app.link.calls("mem.get")] == ["birthday", "project/plan"]

    run(app, play)


def test_pages_up_to_a_bound_which_is_told(tmp_path: Path) -> None:
    def listed(args: dict[str, Any]) -> dict[str, Any]:
        first = int(args.get("after", "key-1").removeprefix("key")) + 1
        keys = [f"key{number:06}" for number in range(first, first + args["limit"])]
        return {"rows": [brief(key) for key in keys], "more": True}

    app = memory(tmp_path, mem_list=listed, mem_get=row("key", 1))

    async def play(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert app.screen.table.row_count == 2000
        assert [args.get("after") for args in app.link.calls("mem.list")] == [None, "key000999"]
        assert "more than these 2000" in place(app)

    run(app, play)


def test_search_ranks_and_escape_goes_back(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("f", *"hot", "enter")
        await settled(pilot)
        (asked,) = app.link.calls("mem.search")
        assert (asked["query"], asked["space"], asked["pid"]) == ("hot", "self", 1)
        assert "9 minutes in hot water" in text_of(app)
        assert app.screen.table.row_count == 1
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.table.row_count == 3
        assert "birthday" in text_of(app)

    run(app, play)


def test_another_process_and_space(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("o", "j", "enter")
        await pilot.pause()
        await pilot.press("ctrl+u", *"abc", "enter")
        await settled(pilot)
        assert "pid 2 research | space abc" in place(app)
        last = app.link.calls("mem.list")[-1]
        assert (last["pid"], last["space"]) == (2, "abc")

    run(app, play)


@pytest.mark.parametrize(("keys", "calls"), [(("enter",), 0), (("j", "enter"), 1)])
def test_forgets_only_after_a_yes(tmp_path: Path, keys: tuple[str, ...], calls: int) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("D")
        await pilot.pause()
        assert "birthday" in text_of(app)
        await pilot.press(*keys)
        await settled(pilot)
        assert len(app.link.calls("mem.delete")) == calls
        assert all(args["key"] == "birthday" for args in app.link.calls("mem.delete"))

    run(app, play)


def test_nothing_is_forgotten_read_only(tmp_path: Path) -> None:
    app = memory(tmp_path, rights=Rights(read_only=True))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("D")
        await pilot.pause()
        assert not isinstance(app.screen, Choice)
        # Nor if it gets there by another way than its key.
        app.screen.action_forget()
        await pilot.pause()
        assert not isinstance(app.screen, Choice)

    run(app, play)


def test_an_error_is_told_in_words(tmp_path: Path) -> None:
    app = memory(tmp_path, mem_list=EPERM("this memory is not for you"))

    async def play(pilot: Pilot[int]) -> None:
        assert "this memory is not for you" in text_of(app)
        app.link.given["mem.list"] = {"rows": [], "more": False}
        await again(pilot)
        assert "nothing is remembered here" in text_of(app)

    run(app, play)


def test_what_was_shown_stays_while_the_kernel_is_away(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        app.link.given["mem.list"] = ECONNREFUSED("the system is not up")
        await again(pilot)
        assert "birthday" in text_of(app)
        assert "the system is not up" in place(app)
        app.link.given["mem.list"] = EPERM("not any more")
        await again(pilot)
        assert "birthday" not in text_of(app)

    run(app, play)


def test_what_is_remembered_does_not_command_the_screen(tmp_path: Path) -> None:
    hits = [{"row": row("key", EVIL), "score": 1.0, "snippet": EVIL}]
    app = memory(
        tmp_path, mem_list={"rows": [brief("[red]key", labels=["[b]x"])], "more": False},
        mem_get=row("[red]key", EVIL), mem_search={"hits": hits},
    )  # fmt: skip

    async def play(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert "[red]key" in text_of(app)
        assert "a[31mb [red]c[/red] d" in pane(app)
        assert not {"\x1b", "\x07"} & set(text_of(app))
        await pilot.press("D")
        await pilot.pause()
        assert "Forget [red]key?" in text_of(app)
        await pilot.press("escape", "f", "x", "enter")
        await settled(pilot)
        assert "[red]c[/red]" in text_of(app)
        assert not {"\x1b", "\x07"} & set(text_of(app))

    run(app, play)


def test_the_filter_needs_all_words(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"oo c")
        await pilot.pause()
        assert app.screen.table.row_count == 1
        assert "1 of 3 rows" in place(app)
        await pilot.press("9", "9")
        await pilot.pause()
        assert "no row has the words of the filter" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.table.row_count == 3
        assert app.focused is app.screen.table

    run(app, play)


def test_a_row_that_changes_is_read_again(tmp_path: Path) -> None:
    app = memory(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        assert isinstance(app.screen, MemoryView)
        app.link.given["mem.list"] = {"rows": [brief("birthday", updated=NOW)], "more": False}
        app.link.given["mem.get"] = row("birthday", "the fourth of May")
        await again(pilot)
        assert "the fourth of May" in pane(app)

    run(app, play)
