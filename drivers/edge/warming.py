"""Warming up: what any later step will take, a step takes before the first sequence comes.

So the memory that the process then has is all that it needs beside keys and values, as in the
profile run of vLLM. One layer stands for all, as each frees what the next one takes. The blocks
that are read were never written: they cost nothing. It knows nothing about sequences.
"""

from __future__ import annotations

from typing import Final

import torch

from drivers.edge.attention import Span, Step
from drivers.edge.blocks import BLOCK
from drivers.edge.llama import Llama
from drivers.edge.memory import PROGRAMS
from drivers.edge.pool import Pool

_PER_STEP: Final = 4
"""Products with weights in a layer: each has a program of its own for each number of rows."""


def warm(llama: Llama, pool: Pool, slots: int, chunk: int, context: int) -> None:
    """The largest steps of ``slots`` sequences and a ``chunk`` of a prompt, at the end of
    ``context``; and as many programs as are kept. The pool is empty afterwards."""
    shallow = llama.shallow()
    blocks = -(-context // BLOCK)
    each = max(1, min(blocks, pool.blocks // slots))
    reading = Span([0] * blocks, max(0, context - chunk), min(chunk, context))
    if pool.device.type == "cpu":
        for rows in range(1, PROGRAMS // _PER_STEP + 1):
            _step(shallow, pool, [Span([0], BLOCK - 1, 1)] * rows, [], rows)
    # No two begin alike, as that is what takes most.
    decoding = [
        Span([number % pool.blocks, *[0] * (each - 1)], each * BLOCK - 1, 1)
        for number in range(slots)
    ]
    for _ in range(2):
        _step(shallow, pool, decoding, [reading], slots)
        _step(shallow, pool, decoding, [], slots)
    pool.wipe()


def _step(llama: Llama, pool: Pool, decoding: list[Span], reading: list[Span], wanted: int) -> None:
    spans = [*decoding, *reading]
    positions = [at for span in spans for at in range(span.start, span.start + span.count)]
    rows = torch.tensor(positions, device=pool.device)
    ends = torch.arange(wanted, device=pool.device).clamp_(max=len(rows) - 1)
    llama.forward(torch.zeros_like(rows), rows, Step(pool, decoding, reading), ends)
