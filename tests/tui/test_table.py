"""Does the table show what it is told, ask only for what is seen, and keep the cursor on a row?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from shell.tui.table import Column, LiveTable, fitting

COLUMNS = (
    Column("name", "NAME", 8, grow=True),
    Column("size", "SIZE", 5, right=True),
    Column("note", "NOTE", 30, 2),
)


class Table(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield LiveTable(*COLUMNS)

    @property
    def table(self) -> LiveTable:
        return self.query_one(LiveTable)

    @on(LiveTable.RowHighlighted)
    @on(LiveTable.RowSelected)
    @on(LiveTable.HeaderSelected)
    def _heard(self, event: LiveTable.RowMessage) -> None:
        self.heard.append((type(event).__name__, event.key))

    def lines(self) -> list[str]:
        return [self.table.render_line(y).text for y in range(self.table.size.height)]


def play(part: Callable[[Table, Pilot[None]], Awaitable[None]]) -> None:
    async def whole() -> None:
        app = Table()
        async with app.run_test(size=(30, 8)) as pilot:
            app.table.focus()
            await part(app, pilot)

    asyncio.run(whole())


def rows(*keys: str) -> dict[str, tuple[str, str, str]]:
    return {key: (f"n-{key}", "12", "note") for key in keys}


def test_do_the_least_important_columns_go_and_the_others_grow() -> None:
    wide = fitting(COLUMNS, 60)
    assert [c.key for c in wide] == ["name", "size", "note"]
    assert sum(c.width + 1 for c in wide) == 60
    narrow = fitting(COLUMNS, 20)
    assert [(c.key, c.width) for c in narrow] == [("name", 13), ("size", 5)]
    assert [c.key for c in fitting(COLUMNS, 3)] == ["name", "size"]


def test_are_numbers_on_the_right_and_long_words_cut() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        app.table.show({"a": ("x" * 50, Text("7", "bold"), "")})
        await pilot.pause()
        title, row = app.lines()[:2]
        assert title.rstrip().endswith(" SIZE")
        assert row.rstrip().endswith("… " + " " * 4 + "7")

    play(part)


def test_does_the_cursor_stay_on_its_row_wherever_that_goes() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        app.table.show(rows("a", "b", "c"))
        await pilot.press("down")
        assert app.table.key == "b"
        app.table.show(rows("c", "x", "y", "b"))
        assert app.table.key == "b"
        app.table.show(rows("c", "x"))
        assert app.table.key == "x", "where it was, or the last there is"
        app.table.show({})
        assert app.table.key is None
        await pilot.press("down", "up", "enter", "g", "G")

    play(part)


def test_are_only_the_rows_in_sight_asked_for() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        asked: list[str] = []

        def cells(key: str) -> tuple[str, str, str]:
            asked.append(key)
            return (f"n-{key}", str(len(asked)), "")

        order = [str(number) for number in range(1000)]
        app.table.change(order, order, cells)
        await pilot.pause()
        assert set(asked) == set(order[:7])
        asked.clear()
        app.table.change(order, ["3", "500"], cells)
        await pilot.pause()
        assert asked == ["3"], "the other is out of sight"
        await pilot.press("G")
        await pilot.pause()
        assert "n-999" in app.lines()[-1]
        assert "500" not in asked

    play(part)


def test_is_a_row_that_changed_out_of_sight_right_when_it_is_seen() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        order = [str(number) for number in range(50)]
        said = dict.fromkeys(order, "old")
        app.table.change(order, order, lambda key: (said[key], "", ""))
        await pilot.press("G")
        await pilot.press("g")
        said["49"] = "new"
        app.table.change(order, ["49"], lambda key: (said[key], "", ""))
        await pilot.press("G")
        await pilot.pause()
        assert app.lines()[-1].startswith("new")

    play(part)


def test_does_a_click_bring_the_cursor_then_select_and_on_a_title_sort() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        app.table.show(rows("a", "b", "c"))
        await pilot.pause()
        app.heard.clear()
        await pilot.click(LiveTable, offset=(2, 3))
        await pilot.click(LiveTable, offset=(2, 3))
        await pilot.click(LiveTable, offset=(2, 0))
        await pilot.click(LiveTable, offset=(2, 7))
        await pilot.pause()
        assert app.heard == [
            ("RowHighlighted", "c"), ("RowSelected", "c"), ("HeaderSelected", "name"),
        ]  # fmt: skip

    play(part)


def test_is_no_markup_of_a_cell_obeyed() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        app.table.show({"a": ("[b]x", "", "")})
        await pilot.pause()
        assert app.lines()[1].startswith("[b]x")

    play(part)


def test_is_a_row_that_comes_back_shown_as_it_is_now() -> None:
    async def part(app: Table, pilot: Pilot[None]) -> None:
        app.table.show({"a": ("a", "", ""), "b": ("old", "", "")})
        await pilot.pause()
        app.table.show({"a": ("a", "", "")})
        app.table.show({"a": ("a", "", ""), "b": ("new", "", "")})
        await pilot.pause()
        assert app.lines()[2].startswith("new")

    play(part)
