"""Residents: KV whose owners don't run now.

Bursts that are held, and processes between two bursts, keep the blocks that they have until
somebody needs the room. Then those go first who come back last. What they have is put into the
archive, or dropped where to compute it anew is cheaper than to write and read it. It knows nothing
about tokens, nor about who is let in.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from drivers.edge.archive import Archive
from drivers.edge.blocks import Blocks
from drivers.edge.pool import Pool
from llmagentos.abi.errors import ENOSPC

Owner = tuple[Literal["burst", "process"], int]

_DOUBT: Final = 0.5
"""How likely a process comes back to what it has read, if nobody says when."""


@dataclass(slots=True, eq=False)
class Resident:
    """``names`` are those of ``blocks``, for ``length`` tokens. ``back``: when it is expected, on
    the clock of this machine; infinite, if nobody knows."""

    owner: Owner
    blocks: list[int]
    names: list[bytes]
    length: int
    back: float = math.inf


class Worth:
    """What it takes to compute a token, and to write or read a block, as measured of late.
    Seconds; nothing is known at first, and then all is worth keeping."""

    def __init__(self) -> None:
        self.compute = math.inf
        self.transfer = 0.0

    def computed(self, tokens: int, seconds: float) -> None:
        self.compute = _blend(self.compute, seconds / tokens)

    def transferred(self, blocks: int, seconds: float) -> None:
        self.transfer = _blend(self.transfer or math.inf, seconds / blocks)

    def keeps(self, resident: Resident) -> bool:
        """Whether to write it now and read it later is cheaper than to compute it again, if that
        is needed at all. A burst that has begun always finds again what it had."""
        if resident.owner[0] == "burst":
            return True
        likely = 1.0 if resident.back < math.inf else _DOUBT
        there_and_back = (1 + likely) * len(resident.blocks) * self.transfer
        return there_and_back < likely * resident.length * self.compute


class Residents:
    def __init__(
        self,
        blocks: Blocks,
        pool: Pool,
        archive: Archive,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.worth = Worth()
        self._blocks = blocks
        self._pool = pool
        self._archive = archive
        self._clock = clock
        self._here: dict[Owner, Resident] = {}
        """Longest first."""

    def __iter__(self) -> Iterator[Resident]:
        return iter(self._here.values())

    def has(self, owner: Owner) -> bool:
        return owner in self._here

    def add(self, resident: Resident) -> None:
        """Its references are ours from now on; what its owner had here before goes."""
        self.remove(resident.owner)
        self._here[resident.owner] = resident

    def take(self, owner: Owner) -> Resident | None:
        """It goes on: what it has here, whose references are the caller's then."""
        return self._here.pop(owner, None)

    def remove(self, owner: Owner) -> None:
        """Whatever it has, here and in the archive, is not wanted any more."""
        if (resident := self._here.pop(owner, None)) is not None:
            self._leave(resident)
        self._archive.release(owner)

    def expect(self, owner: Owner, seconds: float | None) -> None:
        if (resident := self._here.get(owner)) is not None:
            resident.back = math.inf if seconds is None else self._clock() + seconds

    def fork(self, owner: Owner, other: Owner) -> None:
        """``other`` has all that ``owner`` has. Nothing is copied."""
        if (resident := self._here.get(owner)) is None:
            return
        for block in resident.blocks:
            self._blocks.hold(block)
        blocks, names = list(resident.blocks), list(resident.names)
        self.add(Resident(other, blocks, names, resident.length, resident.back))

    def snapshot(self, owner: Owner) -> None:
        """What it has is in the archive too, and so its room costs nothing any more: nobody knows
        when it comes back. Raises ``ENOSPC``."""
        if (resident := self._here.get(owner)) is not None:
            self._write(resident)
            resident.back = math.inf

    def make_room(self, needed: int) -> bool:
        """Whether so many blocks can be taken. Raises ``ENOSPC`` if only the disk is in the way."""
        if self._blocks.room >= needed:
            return True
        held = Counter(block for one in self for block in one.blocks)
        freed = self._blocks.freed(held)
        if self._blocks.room + len(freed) < needed:
            return False  # it would be in vain
        for resident in sorted(self, key=lambda one: -one.back):
            if self._blocks.room >= needed:
                break
            if not freed.isdisjoint(resident.blocks):
                self._put_away(resident)
        return self._blocks.room >= needed

    def _put_away(self, resident: Resident) -> None:
        if self.worth.keeps(resident):
            try:
                self._write(resident)
            except ENOSPC:
                if resident.owner[0] == "burst":
                    raise
        del self._here[resident.owner]
        self._leave(resident)

    def _write(self, resident: Resident) -> None:
        fresh = [
            (name, block)
            for name, block in zip(resident.names, resident.blocks, strict=True)
            if name not in self._archive
        ]
        if fresh:
            begun = time.perf_counter()
            names, blocks = zip(*fresh, strict=True)
            self._archive.put(names, self._pool.copy_out(blocks))
            self.worth.transferred(len(fresh), time.perf_counter() - begun)
        self._archive.claim(resident.owner, resident.names)

    def _leave(self, resident: Resident) -> None:
        for block in reversed(resident.blocks):
            self._blocks.leave(block)


def _blend(before: float, now: float) -> float:
    return now if before == math.inf else 0.8 * before + 0.2 * now
