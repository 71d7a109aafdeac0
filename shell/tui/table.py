"""A live table: told what it should show, it changes only what is different.

Rows are known by a key, so the cursor stays on its row when others come, go or move. It knows
nothing about what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

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


class LiveTable(DataTable[Cell]):
    """A table with a cursor over whole rows, and the keys of vi beside the arrows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("h", "scroll_left", "Left", show=False),
        Binding("l", "scroll_right", "Right", show=False),
        Binding("g", "scroll_top", "First", show=False),
        Binding("G", "scroll_bottom", "Last", show=False),
        Binding("ctrl+d", "page_down", "Page down", show=False),
        Binding("ctrl+u", "page_up", "Page up", show=False),
    ]

    def __init__(self, *columns: Column, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self._all = columns
        self._fitted: list[Column] = []
        self._cells: dict[str, tuple[Cell, ...]] = {}
        self._order: list[str] = []

    @property
    def key(self) -> str | None:
        """Of the row under the cursor."""
        if not self._order or not 0 <= self.cursor_row < self.row_count:
            return None
        return self.ordered_rows[self.cursor_row].key.value

    def show(self, rows: Mapping[str, Sequence[Cell]], columns: Sequence[Column] = ()) -> None:
        """These rows, in this order, each with a cell for every column there is. ``columns``: with
        other columns than before."""
        if columns and tuple(columns) != self._all:
            self._all = tuple(columns)
            self._fitted = []
        kept = self.key
        self._fit()
        places = [self._all.index(self._named(column.key)) for column in self._fitted]
        with self.app.batch_update():
            self._remove(rows)
            for key, cells in rows.items():
                self._put(key, tuple(cells[place] for place in places))
            self._arrange(list(rows))
            if kept is not None and kept != self.key:
                self.go_to(kept)

    def go_to(self, key: str) -> None:
        """The cursor onto this row, if it is there."""
        if key in self._cells:
            self.move_cursor(row=self.get_row_index(key), animate=False)

    def _named(self, key: str) -> Column:
        return next(column for column in self._all if column.key == key)

    def _fit(self) -> None:
        fitted = fitting(self._all, max(20, self.container_size.width - 2))
        if fitted == self._fitted:
            return
        self.clear(columns=True)
        self._cells.clear()
        self._order = []
        self._fitted = fitted
        for column in fitted:
            title = self._aligned(column, column.title)
            self.add_column(title, width=column.width + _GAP, key=column.key)

    def _remove(self, rows: Mapping[str, Sequence[Cell]]) -> None:
        gone = self._cells.keys() - rows.keys()
        if len(gone) > len(self._cells) // 2:
            # To remove most of them one by one takes longer than to begin anew.
            self.clear()
            self._cells.clear()
            gone = set()
        for key in gone:
            self.remove_row(key)
            del self._cells[key]
        self._order = [key for key in self._order if key in self._cells]

    def _put(self, key: str, cells: tuple[Cell, ...]) -> None:
        before = self._cells.get(key)
        if before == cells:
            return
        self._cells[key] = cells
        if before is None:
            self.add_row(*map(self._aligned, self._fitted, cells), key=key)
            self._order.append(key)
            return
        for column, old, new in zip(self._fitted, before, cells, strict=True):
            if old != new:
                self.update_cell(key, column.key, self._aligned(column, new))

    @staticmethod
    def _aligned(column: Column, cell: Cell) -> Text:
        text = Text(cell) if isinstance(cell, str) else cell.copy()
        text.truncate(column.width, overflow="ellipsis")
        if column.right:
            # A table of Textual's does not justify by itself.
            text.pad_left(column.width - text.cell_len)
        return text

    def _arrange(self, order: list[str]) -> None:
        if order == self._order:
            return
        self._order = order
        places = {key: place for place, key in enumerate(order)}
        # Textual sorts by what is in the cells. It asks for each row once, in the order in which
        # they were added, which is that of our own cells.
        turns = iter([places[key] for key in self._cells])
        self.sort(self._fitted[0].key, key=lambda _: next(turns))
