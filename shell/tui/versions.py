"""The versions of a file: a table of them, and what is new in one.

It knows nothing about where contents come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from llmagentos.abi.calls.fs import FileInfo
from shell.terminal import clock, size
from shell.tui.content import difference, lines_of
from shell.tui.reader import Line
from shell.tui.table import Cell, Column, FixedTable

_COLUMNS: Final = (
    Column("version", "VER", 5, right=True),
    Column("time", "TIME", 19),
    Column("size", "SIZE", 8, right=True),
    Column("owner", "OWNER", 5, 1, right=True),
    Column("labels", "LABELS", 10, 2, grow=True),
    Column("hash", "SHA-256", 12, 3),
)


class Versions(FixedTable):
    """``all``: newest first; none, while it is closed."""

    def __init__(self, *, id: str) -> None:
        super().__init__(*_COLUMNS, id=id)
        self.styles.height = "auto"
        self.all: Sequence[FileInfo] = ()

    def open(self, versions: Sequence[FileInfo]) -> None:
        self.all = versions
        self.show({str(version.version): _cells(version) for version in versions})

    @property
    def chosen(self) -> FileInfo | None:
        """The one under the cursor."""
        return next((one for one in self.all if str(one.version) == self.key), None)

    @property
    def before(self) -> FileInfo | None:
        """The one before that."""
        later = iter(self.all)
        found = next((one for one in later if str(one.version) == self.key), None)
        return next(later, None) if found is not None else None


async def compared(
    new: FileInfo, old: FileInfo | None, read: Callable[[FileInfo], Awaitable[bytes]]
) -> list[Line]:
    """What is new in a version, and all that is in it. ``read`` gives a version's content."""
    after = await read(new)
    whole: list[Line] = [(f"version {new.version}", "head"), *lines_of(after, new.size)]
    if new.deleted:
        whole = [(f"with version {new.version} it was deleted", "head")]
    if old is None:
        return whole
    before = await read(old)
    # In a thread: with many lines it takes a while.
    changed = await asyncio.to_thread(
        difference, before, after, f"version {old.version}", f"version {new.version}"
    )
    return [*changed, ("", ""), *whole]


def _cells(file: FileInfo) -> tuple[Cell, ...]:
    amount = "deleted" if file.deleted else size(file.size)
    labels = ",".join(file.labels)
    return (
        str(file.version), clock(file.time), amount, str(file.owner), labels, file.hash[:12],
    )  # fmt: skip
