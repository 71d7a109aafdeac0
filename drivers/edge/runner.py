"""What the engine asks of whoever runs the model: which sequences have KV, and one forward for all.

It knows nothing about orders, reports, or how a token is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from drivers.edge.sequence import Sequence as Burst
from llmagentos.abi.errors import LLMOSError

Reading = Sequence[tuple[Burst, int]]
"""Sequences whose prompt is being read, and how many more tokens of it in this step."""


class Plan(NamedTuple):
    """Of a step. ``lost``: those that can't go on, since their KV or the room for it can't be had,
    and why."""

    reading: Reading
    lost: Sequence[tuple[Burst, LLMOSError]] = ()


class Runner(Protocol):
    @property
    def kv_bytes(self) -> int:
        """That sequences have taken."""

    @property
    def most(self) -> int:
        """Tokens that one sequence may have, whatever else there is."""

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        """Whose prompts to read in the next step: ``budget`` tokens of them at most, oldest first.
        One that can't have its KV yet waits, and none behind it is let in before it."""

    def forward(self, decoding: Sequence[Burst], reading: Reading) -> list[Any | None]:
        """One forward for all: each of ``decoding`` is fed its newest token. The logits after it,
        [vocabulary] in fp32, and after those of ``reading`` that are read to their end; else
        None. In the place of one that failed alone stands its error."""

    def park(self, sequence: Burst) -> None:
        """It is held: its KV is kept, but may be put away if there is need of the room."""

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        """It is over. ``spoiled``: its KV may have numbers in it that are none."""
