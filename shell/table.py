"""Tables that fit the terminal: cells are shortened first, then whole columns left out.

It knows nothing about what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shell import terminal
from shell.terminal import clip, width

GAP: Final = 2
"""Spaces between columns."""

SHORTEST: Final = 8
"""No cell is shortened to less."""

Row = Mapping[str, str]


def render(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    shorten: Sequence[str] = (),
    omit: Sequence[str] = (),
    right: Sequence[str] = (),
    paint: Mapping[str, Callable[[str], str]] | None = None,
    room: int | None = None,
) -> str:
    """The table as text.

    When it is too wide for ``room`` (default: the terminal) the columns ``shorten`` are cut
    down, widest first, then those in ``omit`` go, in that order. ``paint`` colours cells.
    """
    from tabulate import tabulate

    room = width() if room is None else room
    shown = list(columns)
    widths = {name: _natural(rows, name) for name in columns}
    for name in [*omit, None]:
        _shorten(widths, shown, shorten, room)
        if name is None or _total(widths, shown) <= room:
            break
        if name in shown:
            shown.remove(name)
            widths |= {other: _natural(rows, other) for other in shorten if other in widths}
    colours = paint or {}
    cells = [[colours.get(n, str)(clip(row.get(n, ""), widths[n])) for n in shown] for row in rows]
    # The headings are a row like any other: as headings, tabulate would make columns wider.
    return tabulate(
        [[terminal.paint(name, None, bold=True) for name in shown], *cells],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if name in right else "left" for name in shown],
    )


def _natural(rows: Sequence[Row], name: str) -> int:
    return max(len(name), *(len(row.get(name, "")) for row in rows), 0)


def _total(widths: Mapping[str, int], shown: Sequence[str]) -> int:
    return sum(widths[name] for name in shown) + GAP * (len(shown) - 1)


def _shorten(widths: dict[str, int], shown: Sequence[str], names: Sequence[str], room: int) -> None:
    can = [name for name in names if name in shown]
    while can and (over := _total(widths, shown) - room) > 0:
        widest = max(can, key=lambda name: widths[name])
        shortest = max(SHORTEST, len(widest))
        if widths[widest] <= shortest:
            return
        widths[widest] = max(shortest, widths[widest] - max(1, over // len(can)))
