"""Worth: whether KV that must make room is written to the disk, or computed again when needed.

It knows nothing about whose KV it is, nor about where it lies.
"""

from __future__ import annotations

import math
from typing import Final

_FRESH: Final = 0.2
"""How much what was measured last counts beside all before it."""


class Worth:
    """What it takes to compute a token, and to write or read a block, as measured. Seconds; nothing
    is known at first, and then all is worth keeping."""

    def __init__(self) -> None:
        self._compute = math.inf
        self._transfer = 0.0

    def computed(self, tokens: int, seconds: float) -> None:
        self._compute = _blend(self._compute, seconds / tokens)

    def transferred(self, blocks: int, seconds: float) -> None:
        self._transfer = _blend(self._transfer or math.inf, seconds / blocks)

    def keeps(self, tokens: int, write: int, read: int, likely: float) -> bool:
        """Whether to write so many blocks now, and to read so many later, is cheaper than to
        compute the tokens again; ``likely``: how likely they are needed at all, 0 to 1."""
        return (write + likely * read) * self._transfer < likely * tokens * self._compute


def _blend(before: float, now: float) -> float:
    return now if before == math.inf else before + _FRESH * (now - before)
