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
from drivers.edge.worth import Worth
from llmagentos.abi.errors import ENOSPC

Owner = tuple[Literal["burst", "process"], int]

_DOUBT: Final = 0.5
"""How likely a process comes back to what it has read, if nobody says when."""
_LATE: Final = 30.0
"""Seconds after which one that was expected is not expected any more."""


@dataclass(slots=True, eq=False)
class Resident:
    """``names`` are those of ``blocks``, for ``length`` tokens. ``back``: when it is expected, on
    the clock of this machine; infinite, if nobody knows."""

    owner: Owner
    blocks: list[int]
    names: list[bytes]
    length: int
    back: float = math.inf

    @property
    def is_burst(self) -> bool:
        """One that has begun: it always finds again what it had."""
        return self.owner[0] == "burst"


class Residents:
    def __init__(
        self,
        blocks: Blocks,
        pool: Pool,
        archive: Archive,
        worth: Worth,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blocks = blocks
        self._pool = pool
        self._archive = archive
        self._worth = worth
        self._clock = clock
        self._here: dict[Owner, Resident] = {}
        """Longest first."""

    def __iter__(self) -> Iterator[Resident]:
        return iter(self._here.values())

    def has(self, owner: Owner) -> bool:
        return owner in self._here

    def add(self, resident: Resident) -> None:
        """Its references are ours from now on; those that its owner had here before are left."""
        if (before := self._here.pop(resident.owner, None)) is not None:
            self._leave(before)
        self._here[resident.owner] = resident

    def take(self, owner: Owner) -> Resident | None:
        """It goes on: what it has here, whose references are the caller's then."""
        return self._here.pop(owner, None)

    def remove(self, owner: Owner) -> None:
        """It does not come back to what it has, here and in the archive."""
        if (resident := self._here.pop(owner, None)) is not None:
            self._leave(resident)
        self._archive.release(owner)

    def remove_processes(self) -> None:
        """Nobody knows any more whether any process comes back."""
        for owner in {*self._here, *self._archive.claimants}:
            if owner[0] == "process":
                self.remove(owner)

    def expect(self, owner: Owner, seconds: float | None) -> None:
        if (resident := self._here.get(owner)) is not None:
            resident.back = math.inf if seconds is None else self._clock() + seconds

    def fork(self, owner: Owner, other: Owner) -> None:
        """``other`` has all that ``owner`` has. Nothing is copied."""
        if owner == other:
            return
        self.remove(other)
        self._archive.share(owner, other)
        if (resident := self._here.get(owner)) is not None:
            for block in resident.blocks:
                self._blocks.hold(block)
            blocks, names = list(resident.blocks), list(resident.names)
            self._here[other] = Resident(other, blocks, names, resident.length, resident.back)

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
        full: ENOSPC | None = None
        for resident in sorted(self, key=lambda one: -self._expected(one)):
            if self._blocks.room >= needed:
                break
            if not freed.isdisjoint(resident.blocks):
                try:
                    self._put_away(resident)
                except ENOSPC as error:
                    full = error  # the next one may be a process, which can be dropped
        if self._blocks.room >= needed:
            return True
        if full is not None:
            raise full
        return False

    def _expected(self, resident: Resident) -> float:
        return resident.back if resident.back > self._clock() - _LATE else math.inf

    def _put_away(self, resident: Resident) -> None:
        if resident.is_burst:
            self._write(resident)
        else:
            self._write_if_worth(resident)
        del self._here[resident.owner]
        self._leave(resident)

    def _write_if_worth(self, resident: Resident) -> None:
        write = sum(name not in self._archive for name in resident.names)
        likely = 1.0 if self._expected(resident) < math.inf else _DOUBT
        if self._worth.keeps(resident.length, write, len(resident.blocks), likely):
            try:
                self._write(resident)
            except ENOSPC:
                return  # it is read again when it is needed

    def _write(self, resident: Resident) -> None:
        fresh = [
            (name, block)
            for name, block in zip(resident.names, resident.blocks, strict=True)
            if name not in self._archive
        ]
        # What is there already must not be given up for what is to come.
        self._archive.claim(resident.owner, resident.names, firm=resident.is_burst)
        if fresh:
            begun = time.perf_counter()
            for piece in self._pool.pieces(len(fresh)):
                names, blocks = zip(*fresh[piece], strict=True)
                self._archive.put(names, self._pool.copy_out(blocks))
                # At once, or it might be given up for the next piece.
                self._archive.claim(resident.owner, names, firm=resident.is_burst)
            self._worth.transferred(len(fresh), time.perf_counter() - begun)

    def _leave(self, resident: Resident) -> None:
        for block in reversed(resident.blocks):
            self._blocks.leave(block)
