"""A live table: told what it should show, it draws anew only the lines that are different.

Rows are known by a key, so the cursor stays on its row when others come, go or move. Textual's own
table draws all that is in sight when one cell changes, which at a thousand rows and a few hundred
changes a second keeps keys waiting. It knows nothing about what is in the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from shell.tui.words import harmless

Cell = str | Text


class Column(NamedTuple):
    """``width`` in cells, without the space between columns. ``rank``: when there is no room, those
    of the highest rank go first. ``grow``: takes what room is left. ``right``: for numbers."""

    key: str
    title: str
    width: int
    rank: int = 0
    grow: bool = False
    right: bool = False


_GAP: Final = 1
_NARROWEST: Final = 20


def fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """Those that there is room for, as wide as they may be."""
    chosen = list(columns)
    while len(chosen) > 1 and _width(chosen) > room:
        least = max(chosen, key=lambda column: (column.rank, columns.index(column)))
        if least.rank == 0:
            break
        chosen.remove(least)
    spare = max(0, room - _width(chosen))
    growing = [column for column in chosen if column.grow]
    for number, column in enumerate(growing):
        more = spare // len(growing) + (number < spare % len(growing))
        chosen[chosen.index(column)] = column._replace(width=column.width + more)
    return chosen


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + _GAP for column in columns)


class LiveTable(ScrollView, can_focus=True):
    """A table with a cursor over whole rows, and the keys of vi beside the arrows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor", "table--row"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Select", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("h", "scroll_left", "Left", show=False),
        Binding("l", "scroll_right", "Right", show=False),
        Binding("g,home", "move(-999999)", "First", show=False),
        Binding("G,end", "move(999999)", "Last", show=False),
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False),
    ]

    class RowMessage(Message):
        """``key`` of the row."""

        def __init__(self, table: LiveTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LiveTable:
            return self.table

    class RowHighlighted(RowMessage):
        """The cursor came to this row."""

    class RowSelected(RowMessage):
        """Enter, or a click on the row with the cursor."""

    class HeaderSelected(RowMessage):
        """A click on the title of a column; ``key`` is the column's."""

    def __init__(self, *columns: Column, id: str | None = None) -> None:
        super().__init__(id=id)
        self._all = columns
        self._fitted: list[Column] = []
        self._places: list[int] = []
        self._order: list[str] = []
        self._row = 0
        self._cells: dict[str, tuple[Cell, ...]] = {}
        """Of rows that were in sight, as they were when they were last asked for."""
        self._strips: dict[tuple[str, bool], Strip] = {}
        self._cells_of: Callable[[str], Sequence[Cell]] = lambda key: ()

    # -- what it shows -------------------------------------------------------------------------

    @property
    def key(self) -> str | None:
        """Of the row under the cursor."""
        return self._order[self._row] if self._row < len(self._order) else None

    @property
    def row_count(self) -> int:
        return len(self._order)

    @property
    def in_sight(self) -> list[str]:
        """The keys of the rows that can be seen now."""
        first = int(self.scroll_y)
        return self._order[first : first + max(0, self.size.height - 1)]

    def show(self, rows: Mapping[str, Sequence[Cell]], columns: Sequence[Column] = ()) -> None:
        """These rows, in this order, each with a cell for every column there is. ``columns``: with
        other columns than before."""
        if columns and tuple(columns) != self._all:
            self._all = tuple(columns)
            self._fit()
            self.refresh()
        self.change(list(rows), rows.keys(), rows.__getitem__)

    def change(
        self, order: list[str], changed: Iterable[str], cells: Callable[[str], Sequence[Cell]]
    ) -> None:
        """Rows in this order. Of those that have ``changed`` or are new the ``cells`` are asked for
        when they are in sight, so the rest of a long table costs nothing."""
        kept, self._cells_of = self.key, cells
        before, sight = set(self._cells), set(self.in_sight)
        if order != self._order:
            self._order = order
            there = set(order)
            for key in before - there:
                self._forget(key)
            self._row = self._place(kept)
            self.virtual_size = Size(_width(self._fitted), len(order) + 1)
            self.refresh()
            if self.key != kept:
                self._moved()
        for key in changed:
            if key not in before:
                continue
            if key in sight and key in self._cells:
                fresh = tuple(cells(key))
                if fresh == self._cells[key]:
                    continue
                self._cells[key] = fresh
                self._redraw(key)
            else:
                self._forget(key)

    def go_to(self, key: str) -> None:
        """The cursor onto this row, if it is there."""
        if key in self._order:
            self._to(self._order.index(key))

    def _place(self, key: str | None) -> int:
        """Where a row is now; if it has gone, what is in its place."""
        if key is not None and key in self._order:
            return self._order.index(key)
        return max(0, min(self._row, len(self._order) - 1))

    def _redraw(self, key: str) -> None:
        for cursor in (False, True):
            self._strips.pop((key, cursor), None)
        line = self._order.index(key) - int(self.scroll_y) + 1
        self.refresh(Region(0, line, self.size.width, 1))

    def _forget(self, key: str) -> None:
        self._cells.pop(key, None)
        for cursor in (False, True):
            self._strips.pop((key, cursor), None)

    # -- drawing -------------------------------------------------------------------------------

    def _fit(self) -> None:
        self._fitted = fitting(self._all, max(_NARROWEST, self.size.width - 1))
        keys = [column.key for column in self._all]
        self._places = [keys.index(column.key) for column in self._fitted]
        self._strips.clear()
        self.virtual_size = Size(_width(self._fitted), len(self._order) + 1)

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        left, width = int(self.scroll_x), self.size.width
        if y == 0:
            style = self.get_component_rich_style("table--header")
            strip = self._strip([column.title for column in self._fitted], style)
        else:
            row = y - 1 + int(self.scroll_y)
            if row >= len(self._order):
                return Strip.blank(width, self.get_component_rich_style("table--row"))
            strip = self._row_strip(self._order[row], cursor=row == self._row)
            style = self._style(cursor=row == self._row)
        return strip.crop_extend(left, left + width, style)

    def _style(self, *, cursor: bool) -> Style:
        return self.get_component_rich_style("table--cursor" if cursor else "table--row")

    def _row_strip(self, key: str, *, cursor: bool) -> Strip:
        found = self._strips.get((key, cursor))
        if found is None:
            cells = self._cells.get(key)
            if cells is None:
                cells = self._cells[key] = tuple(self._cells_of(key))
            chosen = [cells[place] for place in self._places]
            found = self._strips[key, cursor] = self._strip(chosen, self._style(cursor=cursor))
        return found

    def _strip(self, cells: Sequence[Cell], style: Style) -> Strip:
        gap = Segment(" " * _GAP, style)
        console = self.app.console
        segments: list[Segment] = []
        for column, cell in zip(self._fitted, cells, strict=True):
            text = harmless(Text(cell) if isinstance(cell, str) else cell.copy())
            text.end = ""
            text.truncate(column.width, overflow="ellipsis", pad=not column.right)
            if column.right:
                text.pad_left(column.width - text.cell_len)
            # A text gives its own style to its parts only, not to the whole.
            whole = style + console.get_style(text.style) if text.style else style
            segments += Segment.apply_style(text.render(console), whole)
            segments.append(gap)
        return Strip(segments)

    # -- the cursor ----------------------------------------------------------------------------

    def _to(self, row: int) -> None:
        row = max(0, min(row, len(self._order) - 1))
        if row != self._row:
            for line in (self._row, row):
                at = line - int(self.scroll_y) + 1
                self.refresh(Region(0, at, self.size.width, 1))
            self._row = row
            self._moved()
        room = max(1, self.size.height - 1)
        first = int(self.scroll_y)
        if row < first:
            self.scroll_to(y=row, animate=False)
        elif row >= first + room:
            self.scroll_to(y=row - room + 1, animate=False)

    def _moved(self) -> None:
        if (key := self.key) is not None:
            self.post_message(self.RowHighlighted(self, key))

    def action_move(self, rows: int) -> None:
        self._to(self._row + rows)

    def action_page(self, pages: int) -> None:
        self._to(self._row + pages * max(1, self.size.height - 2))

    def action_select(self) -> None:
        if (key := self.key) is not None:
            self.post_message(self.RowSelected(self, key))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y == 0:
            at = event.x + int(self.scroll_x)
            for column in self._fitted:
                at -= column.width + _GAP
                if at < 0:
                    self.post_message(self.HeaderSelected(self, column.key))
                    return
            return
        row = event.y - 1 + int(self.scroll_y)
        if row == self._row:
            self.action_select()
        elif row < len(self._order):
            self._to(row)


class FixedTable(LiveTable):
    """Without ``h`` for the left, which is a view's own key here; so the last line shows it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if action == "scroll_left" else super().check_action(action, parameters)
