"""Recall: what is there already of that which a sequence begins with, in the pool or the archive.

It knows nothing about who is let in, nor about what is put away.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from drivers.edge.archive import Archive
from drivers.edge.blocks import BLOCK, Blocks
from drivers.edge.pool import Pool
from drivers.edge.table import Table
from drivers.edge.worth import Worth
from llmagentos.abi.errors import EIO

log = logging.getLogger("driver")

Found = list[int | None]
"""The blocks that a sequence begins with; None for one that is in the archive only."""


class Recall:
    def __init__(self, blocks: Blocks, pool: Pool, archive: Archive, worth: Worth) -> None:
        self._blocks = blocks
        self._pool = pool
        self._archive = archive
        self._worth = worth

    def missing(self, table: Table, tokens: Sequence[int]) -> bytes | None:
        """The name of the first block that would have to be computed, if that is a full one."""
        names = table.names(0, (len(tokens) - 1) // BLOCK)
        absent = (one for one in names if not self._blocks.has(one) and one not in self._archive)
        return next(absent, None)

    def find(self, table: Table, tokens: Sequence[int]) -> Found:
        """What there is, with a reference to each block. One token at least is left to be computed,
        since its logits are wanted."""
        found: Found = []
        for number in range((len(tokens) - 1) // BLOCK):
            name = table.name(number)
            block = self._blocks.share(name)
            if block is None and name not in self._archive:
                break
            found.append(block)
        return found

    def archived(self, table: Table, found: Found) -> list[bytes]:
        """What of it must be read from the archive."""
        return [table.name(number) for number, block in enumerate(found) if block is None]

    def bring(self, table: Table, found: Found, tokens: Sequence[int]) -> None:
        """The table has what was found, those blocks that are in the archive included. There is
        room for them."""
        absent = [number for number, block in enumerate(found) if block is None]
        names = self.archived(table, found)
        end = len(found) * BLOCK
        # What was put away at a token within a block has it under a name of its own.
        for stop in range(min(len(tokens), end + BLOCK) - 1, end, -1):
            if (name := table.tail(tokens, stop)) in self._archive:
                names.append(name)
                end = stop
                break
        fresh: list[int] = []
        if names:
            try:
                fresh = self._read(names)
            except EIO as error:
                log.warning("%s; it is computed again", error.message)
                first = absent[0] if absent else len(found)
                self.leave(block for block in found[first:] if block is not None)
                found, absent, end = found[:first], [], first * BLOCK
        for number, block in zip(absent, fresh, strict=False):
            self._blocks.name(block, table.name(number))
            found[number] = block
        table.blocks = [block for block in found if block is not None] + fresh[len(absent) :]
        table.length = end

    def leave(self, blocks: Iterable[int]) -> None:
        """One reference fewer to each; what begins a sequence is kept longest."""
        for block in reversed(list(blocks)):
            self._blocks.leave(block)

    def _read(self, names: list[bytes]) -> list[int]:
        begun = time.perf_counter()
        fresh: list[int] = []
        try:
            for piece in self._pool.pieces(len(names)):
                content = self._archive.read(names[piece])
                taken = [self._blocks.take() for _ in names[piece]]
                fresh += taken
                self._pool.copy_in(taken, content)
        except EIO:
            self.leave(fresh)
            raise
        self._worth.transferred(len(names), time.perf_counter() - begun)
        return fresh
