"""What the engine asks of whoever runs the model: which sequences have KV, and one forward for all.

It knows nothing about orders, reports, or how a token is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from drivers.edge.sequence import Sequence as Burst
from llmagentos.abi.errors import LLMOSError

Reading = Sequence[tuple[Burst, int]]
"""Sequences whose prompt is being read, and how many more tokens of it in this step."""


class LostError(Exception):
    """A sequence can't go on: its KV, or the room for it, can't be had."""

    def __init__(self, sequence: Burst, error: LLMOSError) -> None:
        super().__init__(str(error))
        self.sequence = sequence
        self.error = error


class Runner(Protocol):
    @property
    def kv_bytes(self) -> int:
        """That sequences have taken."""

    @property
    def most(self) -> int:
        """Tokens that one sequence may have, whatever else there is."""

    def plan(self, waiting: Iterable[Burst], budget: int) -> Reading:
        """Whose prompts to read in the next step: ``budget`` tokens of them at most, oldest first.
        One that can't have its KV yet waits, and those behind it with it. Raises ``LostError``."""

    def forward(self, decoding: Sequence[Burst], reading: Reading) -> list[Any | None]:
        """One forward for all: each of ``decoding`` is fed its newest token. The logits after it,
        [vocabulary] in fp32, and after those of ``reading`` that are read to their end; else
        None."""

    def park(self, sequence: Burst) -> None:
        """It is held: its KV is kept, but may be put away if there is need of the room."""

    def forget(self, sequence: Burst) -> None:
        """It is over."""
