"""A table: which blocks one sequence has, and what they are called.

It knows nothing about who else has them, nor about tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.edge.blocks import BLOCK, name_of, root


class Table:
    """``blocks``: for ``length`` tokens. ``wants``: how many blocks it may come to need. ``had``:
    for how many tokens it had some when it was held."""

    def __init__(self, labels: Sequence[str], wants: int) -> None:
        self.wants = wants
        self.blocks: list[int] = []
        self.length = 0
        self.had = 0
        self._names = [root(labels)]

    @property
    def missing(self) -> int:
        """How many blocks more it may come to need."""
        return self.wants - len(self.blocks)

    @property
    def full(self) -> int:
        """How many of its blocks are full."""
        return self.length // BLOCK

    def know(self, tokens: Sequence[int]) -> None:
        """These are all its tokens up to now: what was known of them before is the same."""
        for number in range(len(self._names) - 1, len(tokens) // BLOCK):
            part = tokens[number * BLOCK : (number + 1) * BLOCK]
            self._names.append(name_of(self._names[-1], part))

    def name(self, number: int) -> bytes:
        """Of its block ``number``, which is full of tokens that are known."""
        return self._names[number + 1]

    def names(self, first: int, end: int) -> list[bytes]:
        """Of the blocks from ``first`` to before ``end``."""
        return self._names[first + 1 : end + 1]

    def tail(self, tokens: Sequence[int], end: int) -> bytes:
        """What its last block is called if it is not full, but has the tokens up to ``end``."""
        first = end // BLOCK
        return name_of(self._names[first], tokens[first * BLOCK : end])
