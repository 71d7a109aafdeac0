"""What the engine asks of whoever runs the model: which sequences have KV, and one forward for all.

It knows nothing about orders, reports, or how a token is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import torch

from drivers.edge.blocks import BLOCK
from drivers.edge.sequence import Sequence as Burst
from llmagentos.abi.errors import LLMOSError

_PIECE: Final = 256
_BEHIND: Final = 4
"""A long prompt leaves so much of each step, a quarter, to those behind it: else a short one would
wait until all of it is read."""

Reading = Sequence[tuple[Burst, int]]
"""Sequences whose prompt is being read, and how many more tokens of it in this step."""


def share(unread: int, budget: int) -> int:
    """How many of a step's ``budget`` of tokens one reads that comes next: all that it needs, if
    that is there. Else some are left, but never less than a block."""
    if unread <= budget or budget < _BEHIND * BLOCK:
        return min(unread, budget)
    return budget - budget // _BEHIND


def topped_up(chosen: Reading, unread: Callable[[Burst], int], budget: int) -> Reading:
    """The rest of the step for those who would read more, oldest first."""
    found: list[tuple[Burst, int]] = []
    for sequence, count in chosen:
        more = min(budget, unread(sequence) - count)
        found.append((sequence, count + more))
        budget -= more
    return found


class Plan(NamedTuple):
    """Of a step. ``ready``: those with a part of their answer, and all KV but that of its newest
    token, so that they decode. ``lost``: those that can't go on, since the room for their KV can't
    be had, and why."""

    reading: Reading
    ready: Sequence[Burst] = ()
    lost: Sequence[tuple[Burst, LLMOSError]] = ()


class Logits(NamedTuple):
    """After one token: ``row``, [vocabulary]; the likeliest token and its logit, which are found
    for all sequences at once."""

    row: torch.Tensor
    best: int
    top: float


class Runner(Protocol):
    def warm_up(self, slots: int, chunk: int, context: int) -> int | None:
        """Before the first sequence: take the memory that the largest step needs, in which
        ``slots`` sequences decode or end their prompts, and ``chunk`` tokens are read at the end of
        ``context``. The most bytes that the process will have in memory from now on; None, if
        nobody knows."""

    @property
    def kv_bytes(self) -> int:
        """That sequences and processes have taken."""

    @property
    def most(self) -> int:
        """Tokens that one sequence may have, whatever else there is."""

    def kv(self) -> dict[int, int]:
        """Bytes that each process has in memory, by pid; what several share counts for each."""

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        """Whose prompts to read in the next step, ``budget`` tokens of them at most, oldest first;
        one that can't be read to its end leaves a part of them to those behind it.
        Those that are ready wait for no prompt. One that can't have its KV yet waits, and none
        behind it is let in before it."""

    def forward(
        self, decoding: Sequence[Burst], reading: Reading
    ) -> Sequence[Logits | Exception | None]:
        """One forward for all: each of ``decoding`` is fed its newest token. The logits after it,
        and after those of ``reading`` that are read to their end; else None. In the place of one
        that failed alone stands its error."""

    def spent(self, made: int, read: int, seconds: float) -> None:
        """What a step took, in which so many tokens were made and read."""

    def park(self, sequence: Burst) -> None:
        """It is held: its KV is kept, but may be put away if there is need of the room."""

    def rest(self, sequence: Burst) -> None:
        """It is over, and its process has what it has read until its next one is over."""

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        """It is over. ``spoiled``: its KV may have numbers in it that are none."""

    def snapshot(self, sequence: Burst) -> None:
        """It is held, and its KV shall outlive the driver. Raises ``ENOSPC``."""

    def expect(self, pid: int, seconds: float | None) -> None:
        """When a process comes back to what it has read; None, if nobody knows."""

    def fork(self, pid: int, child: int) -> None:
        """What the one has read the other has too."""

    def drop(self, pid: int) -> None:
        """The process does not come back."""

    def clear(self) -> None:
        """Nobody knows any more which processes there are."""


def in_rows(logits: torch.Tensor) -> list[Logits]:
    """``logits``: [sequences, vocabulary]."""
    if not len(logits):
        return []
    # A row's largest number is found fast, and where it is slowly: so look in one piece of it only.
    width = logits.shape[-1]
    pieces = logits.unflatten(-1, (-1, min(_PIECE, width & -width)))
    tops, where = pieces.amax(dim=-1).max(dim=-1)
    found = pieces[torch.arange(len(where), device=where.device), where].argmax(dim=-1)
    bests = where * pieces.shape[-1] + found
    return [
        Logits(row, best, top)
        for row, best, top in zip(logits, bests.tolist(), tops.tolist(), strict=True)
    ]
